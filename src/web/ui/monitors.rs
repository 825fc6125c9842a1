//! Health checks: what is asked of endpoints, how often, and how long a failover takes with it.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::clash::{Kept, keep};
use super::filters;
use super::form::{Faults, Form};
use super::frame::{Frame, Place};
use super::pools::{check_sentence, missing, models};
use super::text::{Text, plain, text};
use super::values::{Values, needed, number, put, words};
use super::visit::{Visit, see};
use super::{Page, every, export};
use crate::control::token::Role;
use crate::model::{Edit, FieldError, Id, Kind, Model, Monitor};
use crate::web::Problem;
use crate::web::access::hide;
use crate::web::extract::{Path, Query};

const ROWS: usize = 50;
/// Users of a check that its page lists.
const MAX_USERS: usize = 100;
/// The fields whose errors stand beside them.
const FIELDS: [&str; 24] = [
    "id",
    "name",
    "type",
    "interval",
    "timeout",
    "confirm",
    "fail_after",
    "recover_after",
    "max_latency_ms",
    "port",
    "method",
    "path",
    "host",
    "headers",
    "expect_status",
    "expect_body",
    "cert_warn_days",
    "send",
    "expect",
    "count",
    "max_loss",
    "qname",
    "qtype",
    "follow",
];

pub(super) fn pages() -> Vec<Page> {
    vec![
        Page::new("/monitors", Role::Viewer, get(list)),
        Page::new("/monitors.csv", Role::Viewer, get(csv)),
        Page::new("/monitors.json", Role::Viewer, get(json_rows)),
        Page::new("/monitors/new", Role::Editor, get(new).post(create)),
        Page::new("/monitors/{monitor}", Role::Viewer, get(show)),
        Page::new("/monitors/{monitor}/save", Role::Editor, post(save)),
        Page::new("/monitors/{monitor}/delete", Role::Editor, post(delete)),
    ]
}

/// Who uses a check.
#[derive(Default, Clone)]
struct Users {
    pools: Vec<String>,
    /// Endpoints with the pool that they are in, if any.
    endpoints: Vec<(String, Option<String>)>,
    /// The longest TTL of the names behind it, in seconds.
    ttl: u32,
}

impl Users {
    /// Pools that ask it themselves or through an endpoint.
    fn in_pools(&self) -> usize {
        let through = self.endpoints.iter().filter_map(|(_, pool)| pool.as_ref());
        self.pools.iter().chain(through).collect::<BTreeSet<_>>().len()
    }
}

/// Of every check, in one pass.
fn users(model: &Model) -> BTreeMap<Id<Monitor>, Users> {
    let uses = super::pools::uses(model);
    let ttl = |pool| {
        let policies = super::pools::policies(model, uses.get(pool).map_or(&[][..], Vec::as_slice));
        policies.iter().map(|(_, policy)| policy.ttl).max().unwrap_or_default()
    };
    let mut users: BTreeMap<Id<Monitor>, Users> = BTreeMap::new();
    let mut homes = BTreeMap::new();
    for (id, pool) in &model.pools {
        let ttl = ttl(id);
        for used in &pool.monitors {
            let known = users.entry(used.monitor.clone()).or_default();
            known.pools.push(id.to_string());
            known.ttl = known.ttl.max(ttl);
        }
        for member in &pool.members {
            homes.entry(&member.endpoint).or_insert((id, ttl));
        }
    }
    for (id, endpoint) in &model.endpoints {
        for used in &endpoint.monitors {
            let home = homes.get(id);
            let known = users.entry(used.monitor.clone()).or_default();
            known.endpoints.push((id.to_string(), home.map(|(pool, _)| pool.to_string())));
            known.ttl = known.ttl.max(home.map_or(0, |(_, ttl)| *ttl));
        }
    }
    users
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    page: usize,
}

struct Row {
    id: String,
    kind: &'static str,
    sentence: Text,
    pools: usize,
    endpoints: usize,
    seen: f64,
    is_changed: bool,
}

#[derive(Template)]
#[template(path = "ui/monitors.html")]
struct List {
    frame: Frame,
    q: String,
    rows: Vec<Row>,
    found: usize,
    total: usize,
    page: usize,
    pages: usize,
}

fn rows(visit: &Visit, live: &Model, model: &Model, q: &str) -> Vec<Row> {
    let users = users(model);
    let wanted = q.trim().to_lowercase();
    let found = model.monitors.iter().filter(|(id, monitor)| {
        wanted.is_empty() || id.as_str().contains(&wanted) || monitor.meta.name.to_lowercase().contains(&wanted)
    });
    let row = |(id, monitor): (&Id<Monitor>, &std::sync::Arc<Monitor>)| {
        let users = users.get(id).cloned().unwrap_or_default();
        Row {
            id: id.to_string(),
            kind: monitor.check.kind(),
            sentence: check_sentence(monitor, visit.web.metrics.node()),
            pools: users.in_pools(),
            endpoints: users.endpoints.len(),
            seen: monitor.worst_detection_seconds(),
            is_changed: live.monitors.get(id) != Some(monitor),
        }
    };
    found.map(row).collect()
}

async fn list(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let frame = visit.frame(Place::Pools, text("Health checks")).await.under(text("Pools"), "/pools");
    let (live, model) = models(&visit).await;
    let all = rows(&visit, &live, &model, &asked.q);
    let (found, pages) = (all.len(), all.len().div_ceil(ROWS).max(1));
    let page = asked.page.min(pages - 1);
    let rows = all.into_iter().skip(page * ROWS).take(ROWS).collect();
    Ok(visit.page(&List { frame, q: asked.q, rows, found, total: model.monitors.len(), page, pages }))
}

async fn csv(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let live = visit.model();
    let rows = rows(&visit, &live, &live, &asked.q).into_iter().map(|row| {
        vec![row.id, row.kind.to_owned(), row.pools.to_string(), row.endpoints.to_string(), row.seen.to_string()]
    });
    export::csv("health-checks", &["id", "type", "pools", "endpoints", "seen_within_seconds"], rows)
}

async fn json_rows(visit: Visit, Query(asked): Query<Asked>) -> Response {
    let live = visit.model();
    let rows = rows(&visit, &live, &live, &asked.q).into_iter().map(|row| {
        json!({ "id": row.id, "type": row.kind, "pools": row.pools, "endpoints": row.endpoints, "seen_within_seconds": row.seen })
    });
    export::json("health-checks", rows.collect::<Vec<Value>>())
}

#[derive(Template)]
#[template(path = "ui/monitor.html")]
struct Shown {
    frame: Frame,
    /// `None` for a new one.
    id: Option<String>,
    values: Values,
    dns_expect: String,
    faults: Faults,
    beside: Vec<String>,
    summary: Vec<(&'static str, String)>,
    sentence: Option<Text>,
    seen: Option<String>,
    all: Option<String>,
    ttl: u32,
    users: Users,
    is_changed: bool,
}

async fn page(
    visit: &Visit,
    known: Option<(&Id<Monitor>, &Monitor)>,
    values: Values,
    faults: Faults,
) -> Result<Response, Problem> {
    let faults = faults.sorted(&FIELDS);
    let (live, model) = models(visit).await;
    let title = known.map_or(text("Add a health check"), |(id, _)| plain(id));
    let frame = visit.frame(Place::Pools, title).await.under(text("Pools"), "/pools");
    let mut users = known.and_then(|(id, _)| users(&model).remove(id)).unwrap_or_default();
    users.pools.truncate(MAX_USERS);
    users.endpoints.truncate(MAX_USERS);
    let seen = known.map(|(_, monitor)| monitor.worst_detection_seconds());
    let page = Shown {
        frame: frame.under(text("Health checks"), "/monitors"),
        id: known.map(|(id, _)| id.to_string()),
        sentence: known.map(|(_, monitor)| check_sentence(monitor, visit.web.metrics.node())),
        seen: seen.map(|seen| format!("{seen:.0}")),
        all: seen.map(|seen| format!("{:.0}", seen + f64::from(users.ttl))),
        ttl: users.ttl,
        users,
        is_changed: known.is_some_and(|(id, monitor)| live.monitors.get(id).is_none_or(|live| **live != *monitor)),
        beside: faults.beside(&FIELDS),
        summary: faults.summary(&FIELDS),
        // As it was typed, or as the check has it.
        dns_expect: match values.get("dns_expect") {
            "" if values.is("type", "dns") => values.get("expect").to_owned(),
            typed => typed.to_owned(),
        },
        values,
        faults,
    };
    let status = if page.faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(visit.page_with(status, &page))
}

async fn of(visit: &Visit, id: &str) -> Result<(Id<Monitor>, std::sync::Arc<Monitor>, Value), Problem> {
    let (_, model) = models(visit).await;
    let known = id.parse::<Id<Monitor>>().ok().and_then(|id| Some((id.clone(), model.monitors.get(&id)?.clone())));
    let (id, monitor) = known.ok_or_else(|| missing("health check", id, model.monitors.keys().map(Id::as_str)))?;
    let value = model.entity(Kind::Monitors, id.as_str()).unwrap_or_default();
    Ok((id, monitor, value))
}

async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let (id, monitor, mut value) = of(&visit, &id).await?;
    hide(visit.user().role, Kind::Monitors, &mut value);
    page(&visit, Some((&id, &monitor)), values_of(&value), Faults::default()).await
}

/// A check's fields; headers are lines, without their values for those who may not read them.
fn values_of(value: &Value) -> Values {
    let mut values = Values::of_json(value);
    let line = |header: &Value| {
        let name = header["name"].as_str()?;
        Some(header["value"].as_str().map_or_else(|| name.to_owned(), |value| format!("{name}: {value}")))
    };
    let lines: Vec<String> = value["headers"].as_array().into_iter().flatten().filter_map(line).collect();
    values.set("headers", lines.join("\n"));
    values
}

async fn new(visit: Visit) -> Result<Response, Problem> {
    let mut values = Values::default();
    let usual = [
        ("type", "https"),
        ("interval", "10"),
        ("timeout", "3"),
        ("confirm", "1"),
        ("fail_after", "3"),
        ("recover_after", "2"),
        ("method", "GET"),
        ("path", "/"),
        ("expect_status", "200-299"),
        ("verify_tls", "true"),
        ("cert_warn_days", "14"),
        ("count", "3"),
        ("max_loss", "50"),
        ("qtype", "A"),
    ];
    usual.into_iter().for_each(|(name, value)| values.set(name, value));
    page(&visit, None, values, Faults::default()).await
}

/// The fields that a kind of check has.
fn fields_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "http" => &["port", "method", "path", "host", "headers", "expect_status", "expect_body", "follow"],
        "https" => &[
            "port",
            "method",
            "path",
            "host",
            "headers",
            "expect_status",
            "expect_body",
            "follow",
            "verify_tls",
            "cert_warn_days",
        ],
        "tcp" => &["port", "send", "expect"],
        "icmp" => &["count", "max_loss"],
        "dns" => &["port", "qname", "qtype", "expect"],
        _ => &[],
    }
}

/// A whole check from its form. What belongs to another kind is left out; what is not in the form stays.
fn read(before: Option<&Value>, form: &Form) -> Value {
    let mut value = json!({});
    for kept in ["tags", "note"] {
        put(&mut value, kept, before.and_then(|before| before.get(kept)).cloned().unwrap_or_default());
    }
    put(&mut value, "name", words(form.text("name")));
    put(&mut value, "type", words(form.text("type")));
    for name in ["interval", "timeout", "confirm", "fail_after", "recover_after"] {
        put(&mut value, name, needed(form.text(name)));
    }
    put(&mut value, "max_latency_ms", number(form.text("max_latency_ms")));
    for name in fields_of(form.text("type")) {
        let field = match *name {
            "port" => number(form.text(name)),
            "count" | "max_loss" | "cert_warn_days" => needed(form.text(name)),
            "follow" | "verify_tls" => form.has(name).into(),
            "headers" => headers(form.text("headers")),
            // A protocol's line may end with a line break.
            "send" | "expect" => words(form.text(&kind_field(form.text("type"), name))),
            _ => words(form.text(name)),
        };
        put(&mut value, name, field);
    }
    value
}

/// Two kinds have a field `expect`; in the form each has its own.
fn kind_field(kind: &str, name: &str) -> String {
    if kind == "dns" && name == "expect" { "dns_expect".into() } else { name.to_owned() }
}

fn headers(lines: &str) -> Value {
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        Value::Object(Map::from_iter([("name".into(), name.trim().into()), ("value".into(), value.trim().into())]))
    };
    lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(header).collect()
}

/// Two numbers that the page says in its own words.
fn timeout_fault(form: &Form) -> Option<FieldError> {
    let (timeout, interval) = (form.text("timeout").parse::<f64>().ok()?, form.text("interval").parse::<f64>().ok()?);
    let problem = format!("Timeout {timeout} s is longer than the interval {interval} s");
    (timeout > interval).then(|| FieldError::new("timeout", problem, "Checks would overlap"))
}

fn faults(errors: Vec<FieldError>, id: &str, form: &Form) -> Faults {
    let errors = errors.into_iter().filter(|error| !(error.at.ends_with(" timeout") && timeout_fault(form).is_some()));
    let mut faults = Faults::new(errors.collect(), &format!("monitors/{id} "))
        .renamed(|at| at.starts_with("headers[").then(|| "headers".to_owned()));
    timeout_fault(form).into_iter().for_each(|fault| faults.push(fault));
    faults
}

async fn save(visit: Visit, Path(id): Path<String>, form: Form) -> Result<Response, Problem> {
    let (id, monitor, before) = of(&visit, &id).await?;
    let edit = Edit { kind: Kind::Monitors, id: id.to_string(), value: Some(read(Some(&before), &form)) };
    match keep(&visit, vec![edit], &format!("/monitors/{id}")).await? {
        Kept::Drafted => {
            visit.say(text("{check} is kept in your draft.").set("check", &id));
            Ok(see(&format!("/monitors/{id}")))
        }
        Kept::Wrong(errors) => {
            let faults = faults(errors, id.as_str(), &form);
            page(&visit, Some((&id, &monitor)), Values::typed(&form), faults).await
        }
        Kept::Clash(page) => Ok(page),
    }
}

async fn create(visit: Visit, form: Form) -> Result<Response, Problem> {
    let (_, model) = models(&visit).await;
    let id = form.text("id");
    let wrong = match id.parse::<Id<Monitor>>() {
        Err(error) => Some(FieldError::told("id", &error)),
        Ok(known) if model.monitors.contains_key(&known) => {
            Some(FieldError::new("id", format!("there is a health check {id} already"), "choose another id"))
        }
        Ok(_) => None,
    };
    if let Some(wrong) = wrong {
        // Everything else is told with it.
        let id = every::stand_in(&model, Kind::Monitors);
        let edit = Edit { kind: Kind::Monitors, id: id.clone(), value: Some(read(None, &form)) };
        let mut own = Faults::default();
        own.push(wrong);
        let faults = every::merged(own, faults(every::errors(&model, &[edit]), &id, &form));
        return page(&visit, None, Values::typed(&form), faults).await;
    }
    let edit = Edit { kind: Kind::Monitors, id: id.to_owned(), value: Some(read(None, &form)) };
    match keep(&visit, vec![edit], "/monitors/new").await? {
        Kept::Drafted => {
            visit.say(text("{check} is kept in your draft. Choose it in a pool's settings.").set("check", id));
            Ok(see(&format!("/monitors/{id}")))
        }
        Kept::Wrong(errors) => page(&visit, None, Values::typed(&form), faults(errors, id, &form)).await,
        Kept::Clash(page) => Ok(page),
    }
}

async fn delete(visit: Visit, Path(id): Path<String>, _: Form) -> Result<Response, Problem> {
    let (id, monitor, value) = of(&visit, &id).await?;
    let edit = Edit { kind: Kind::Monitors, id: id.to_string(), value: None };
    match keep(&visit, vec![edit], &format!("/monitors/{id}")).await? {
        Kept::Drafted => {
            visit.say(text("The end of {check} is kept in your draft.").set("check", &id));
            Ok(see("/monitors"))
        }
        Kept::Wrong(errors) => page(&visit, Some((&id, &monitor)), values_of(&value), Faults::new(errors, "")).await,
        Kept::Clash(page) => Ok(page),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_check_goes_through_its_form_unchanged() {
        let checks = [
            json!({ "type": "https", "host": "www.example.com", "headers": [{ "name": "X-Probe", "value": "a: b" }],
                    "expect_body": "ok", "verify_tls": false, "timeout": 2.5, "max_latency_ms": 900 }),
            json!({ "type": "http", "method": "HEAD", "follow": true, "expect_status": "204" }),
            json!({ "type": "tcp", "port": 25, "expect": "220" }),
            json!({ "type": "icmp", "count": 5, "max_loss": 20 }),
            json!({ "type": "dns", "qname": "example.com.", "qtype": "AAAA", "expect": "2001:db8::1" }),
        ];
        for check in checks {
            let model = |value: Value| {
                let edit = Edit { kind: Kind::Monitors, id: "m".into(), value: Some(value) };
                Model::empty().check(&[edit]).unwrap().model
            };
            let before = model(check);
            let (monitor, value) =
                (&before.monitors[&"m".parse().unwrap()], before.entity(Kind::Monitors, "m").unwrap());
            let values = values_of(&value);
            let mut fields: Vec<(String, String)> = Vec::new();
            for name in FIELDS.iter().chain(&["verify_tls"]) {
                let is_set = !["follow", "verify_tls"].contains(name) || values.is(name, "true");
                if is_set {
                    fields.push((kind_field(monitor.check.kind(), name), values.get(name).to_owned()));
                }
            }
            let after = model(read(Some(&value), &Form(fields)));
            assert_eq!(after.monitors[&"m".parse().unwrap()], *monitor);
        }
    }

    #[test]
    fn a_header_without_its_value_is_shown_by_its_name() {
        let value = json!({ "headers": [{ "name": "Accept", "value": "text/html" }, { "name": "Authorization" }] });
        assert_eq!(values_of(&value).get("headers"), "Accept: text/html\nAuthorization");
    }

    #[test]
    fn a_timeout_longer_than_the_interval_is_told() {
        let form = Form(vec![("timeout".into(), "5".into()), ("interval".into(), "3".into())]);
        let edit = Edit {
            kind: Kind::Monitors,
            id: "m".into(),
            value: Some(json!({ "type": "icmp", "timeout": 5, "interval": 3 })),
        };
        let errors = Model::empty().check(&[edit]).unwrap_err();
        let said = faults(errors, "m", &form).of("timeout");
        assert_eq!(said, ["Timeout 5 s is longer than the interval 3 s. Checks would overlap."]);
    }
}
