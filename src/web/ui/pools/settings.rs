//! Every field of a pool in one form; also the form of a new pool, and the end of one.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::clash::{Kept, keep};
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
use super::super::text::{plain, text};
use super::super::values::{Values, needed, number, put, words};
use super::super::visit::{Visit, see};
use super::super::{every, filters};
use super::address::{Address, address};
use super::head::{Head, Tab};
use super::{Scene, models};
use crate::model::{COLOURS, Edit, FieldError, Id, Kind, Model, Monitor, MonitorUse, Pool, Role};
use crate::web::Problem;
use crate::web::extract::Path;

/// Health checks that a form offers; more are chosen by the API.
const MAX_CHOICES: usize = 200;
/// Servers that a new pool is given at once.
const MAX_SERVERS: usize = crate::model::MAX_MEMBERS;
/// Rules that a refusal names.
const MAX_NAMED: usize = 10;
/// The fields whose errors stand beside them.
const FIELDS: [&str; 17] = [
    "id",
    "servers",
    "name",
    "country",
    "healthy_when",
    "recovery",
    "admin",
    "lat",
    "lon",
    "note",
    "colour",
    "ramp",
    "answers",
    "shed.percent",
    "shed.low",
    "shed.high",
    "shed.stale_after",
];
/// Those that are folded away while nothing is wrong with them.
const FOLDED: [&str; 11] = [
    "admin",
    "lat",
    "lon",
    "note",
    "colour",
    "ramp",
    "answers",
    "shed.percent",
    "shed.low",
    "shed.high",
    "shed.stale_after",
];
/// What the colours of charts look like, from 1.
const COLOUR_WORDS: [(&str, &str); COLOURS as usize] =
    [("1", "Blue"), ("2", "Violet"), ("3", "Pink"), ("4", "Brown"), ("5", "Grey"), ("6", "Olive")];

/// A health check that can be chosen, and how much it counts.
pub struct MonitorChoice {
    pub id: String,
    pub what: &'static str,
    /// Empty where it is not chosen.
    pub role: &'static str,
}

pub fn monitor_choices(model: &Model, chosen: &[MonitorUse]) -> Vec<MonitorChoice> {
    let role = |id: &Id<Monitor>| chosen.iter().find(|used| used.monitor == *id).map_or("", |used| role_key(used.role));
    let choices = model.monitors.iter().map(|(id, monitor)| MonitorChoice {
        id: id.to_string(),
        what: monitor.check.kind(),
        role: role(id),
    });
    let mut choices: Vec<MonitorChoice> = choices.collect();
    choices.sort_by_key(|choice| choice.role.is_empty());
    choices.truncate(MAX_CHOICES.max(chosen.len()));
    choices
}

fn role_key(role: Role) -> &'static str {
    match role {
        Role::Required => "required",
        Role::Vote => "vote",
        Role::Watch => "watch",
    }
}

/// The chosen checks of a form, as JSON.
pub fn monitors_of(form: &Form) -> Value {
    let chosen = form.0.iter().filter_map(|(name, role)| Some((name.strip_prefix("monitor-")?, role.as_str())));
    let chosen = chosen.filter(|(_, role)| !role.is_empty());
    chosen.map(|(id, role)| json!({ "monitor": id, "role": role })).collect()
}

/// As `monitor_choices`, with what was typed.
fn typed_choices(model: &Model, form: &Form) -> Vec<MonitorChoice> {
    let uses: Vec<MonitorUse> = serde_json::from_value(monitors_of(form)).unwrap_or_default();
    monitor_choices(model, &uses)
}

#[derive(Template)]
#[template(path = "ui/pools/settings.html")]
struct Settings {
    frame: Frame,
    head: Head,
    values: Values,
    monitors: Vec<MonitorChoice>,
    faults: Faults,
    beside: Vec<String>,
    summary: Vec<(&'static str, String)>,
    /// What is folded away has something to say.
    unfolded: bool,
}

#[derive(Template)]
#[template(path = "ui/pools/new.html")]
struct New {
    frame: Frame,
    values: Values,
    monitors: Vec<MonitorChoice>,
    faults: Faults,
    beside: Vec<String>,
    summary: Vec<(&'static str, String)>,
    /// What is folded away has something to say.
    unfolded: bool,
}

pub async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    let monitors = monitor_choices(&scene.drafted, &scene.pool.monitors);
    page(&visit, &scene, values_of(&scene.value()), monitors, Faults::default()).await
}

async fn page(
    visit: &Visit,
    scene: &Scene,
    values: Values,
    monitors: Vec<MonitorChoice>,
    faults: Faults,
) -> Result<Response, Problem> {
    let frame = visit.frame(Place::Pools, plain(&scene.id)).await.under(text("Pools"), "/pools");
    let head = Head::of(visit, scene, Tab::Settings, None);
    let status = status(&faults);
    let faults = faults.sorted(&FIELDS);
    let (beside, summary, unfolded) = (faults.beside(&FIELDS), faults.summary(&FIELDS), unfolded(&faults));
    Ok(visit.page_with(status, &Settings { frame, head, values, monitors, faults, beside, summary, unfolded }))
}

fn unfolded(faults: &Faults) -> bool {
    FOLDED.iter().any(|field| !faults.of(field).is_empty())
}

fn status(faults: &Faults) -> StatusCode {
    if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }
}

/// A pool's fields, with the two that are words and a number taken apart.
fn values_of(pool: &Value) -> Values {
    let mut values = Values::of_json(pool);
    for (field, kind, amount) in
        [("healthy_when", "healthy_kind", "healthy_n"), ("recovery", "recovery_kind", "recovery_s")]
    {
        let whole = values.get(field).to_owned();
        let (word, number) = whole.split_once(' ').unwrap_or((&whole, ""));
        values.set(kind, word);
        values.set(amount, number);
    }
    values
}

/// Puts what was typed into a pool's JSON.
fn put_all(value: &mut Value, form: &Form) {
    for name in ["name", "note", "country", "admin"] {
        put(value, name, words(form.text(name)));
    }
    for name in ["lat", "lon", "colour", "answers", "shed.low", "shed.high"] {
        put(value, name, number(form.text(name)));
    }
    for name in ["ramp", "shed.percent", "shed.stale_after"] {
        put(value, name, needed(form.text(name)));
    }
    let healthy = format!("{} {}", form.text("healthy_kind"), form.text("healthy_n"));
    put(value, "healthy_when", words(healthy.trim()));
    let recovery = match form.text("recovery_kind") {
        "after" => format!("after {}", form.text("recovery_s")),
        word => word.to_owned(),
    };
    put(value, "recovery", words(recovery.trim()));
    put(value, "monitors", monitors_of(form));
}

/// The two fields that are a word and a number.
fn amounts(form: &Form, faults: &mut Faults) {
    let mut check = |at: &str, number: &str, range: RangeInclusive<u32>| {
        let is_wrong = !number.parse().is_ok_and(|number| range.contains(&number));
        let problem = match number {
            "" => "the number is empty".to_owned(),
            number => format!("{number} is out of range"),
        };
        let remedy = format!("use a whole number from {} to {}", range.start(), range.end());
        is_wrong.then(|| faults.push(FieldError::new(at, problem, remedy)));
    };
    let most = if form.text("healthy_kind") == "percent" { 100 } else { MAX_SERVERS as u32 };
    check("healthy_when", form.text("healthy_n"), 1..=most);
    if form.text("recovery_kind") == "after" {
        check("recovery", form.text("recovery_s"), 0..=86_400);
    }
}

pub async fn save(visit: Visit, Path(id): Path<String>, form: Form) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    let mut value = scene.value();
    put_all(&mut value, &form);
    let mut own = Faults::default();
    amounts(&form, &mut own);
    let edits = vec![Edit { kind: Kind::Pools, id: scene.id.to_string(), value: Some(value) }];
    let kept = match own.is_empty() {
        true => keep(&visit, edits.clone(), &format!("{}/settings", scene.path())).await?,
        false => Kept::Wrong(Vec::new()),
    };
    match kept {
        Kept::Drafted => {
            visit.say(text("The settings of {pool} are kept in your draft.").set("pool", &scene.id));
            Ok(see(&format!("{}/settings", scene.path())))
        }
        Kept::Wrong(errors) => {
            let more = every::errors(&scene.drafted, &edits);
            let errors = errors.iter().filter(|error| !more.contains(error)).chain(&more).cloned().collect();
            let faults = every::merged(own, Faults::new(errors, &format!("pools/{} ", scene.id)));
            page(&visit, &scene, Values::typed(&form), typed_choices(&scene.drafted, &form), faults).await
        }
        Kept::Clash(page) => Ok(page),
    }
}

pub async fn delete(visit: Visit, Path(id): Path<String>, _: Form) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    let edit = Edit { kind: Kind::Pools, id: scene.id.to_string(), value: None };
    match keep(&visit, vec![edit], &format!("{}/settings", scene.path())).await? {
        Kept::Drafted => {
            visit.say(text("The end of {pool} is kept in your draft.").set("pool", &scene.id));
            Ok(see("/pools"))
        }
        Kept::Wrong(errors) => {
            let mut faults = Faults::default();
            match users(&scene) {
                Some(users) => faults.push(FieldError::new("", users, "take it out of these rules first")),
                None => faults = Faults::new(errors, ""),
            }
            let monitors = monitor_choices(&scene.drafted, &scene.pool.monitors);
            page(&visit, &scene, values_of(&scene.value()), monitors, faults).await
        }
        Kept::Clash(page) => Ok(page),
    }
}

/// `eu is still used by rule 1 of www.example.com`; `None` where only something else stands in the way.
fn users(scene: &Scene) -> Option<String> {
    let uses = super::uses(&scene.drafted);
    let rules = uses.get(&scene.id)?.iter().filter_map(|used| {
        let name = scene.drafted.policies.get(used.policy)?.attach.first().map(|attach| attach.name.to_string());
        let name = name.unwrap_or_else(|| used.policy.to_string());
        Some(format!("rule {} of {}", used.rule + 1, name.trim_end_matches('.')))
    });
    let mut rules: Vec<String> = rules.collect();
    let more = rules.len().saturating_sub(MAX_NAMED);
    rules.truncate(MAX_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("{} is still used by {}{more}", scene.id, rules.join(", ")))
}

pub async fn new(visit: Visit) -> Result<Response, Problem> {
    let (_, model) = models(&visit).await;
    let shed = json!({ "percent": 0, "stale_after": 60 });
    let usual = json!({ "healthy_when": "at_least 1", "recovery": "after 60", "ramp": 0, "shed": shed });
    let mut values = values_of(&usual);
    values.set("admin", "on");
    let monitors = monitor_choices(&model, &[]);
    new_page(&visit, values, monitors, Faults::default()).await
}

async fn new_page(
    visit: &Visit,
    values: Values,
    monitors: Vec<MonitorChoice>,
    faults: Faults,
) -> Result<Response, Problem> {
    let frame = visit.frame(Place::Pools, text("Add pool")).await.under(text("Pools"), "/pools");
    let faults = faults.sorted(&FIELDS);
    let (beside, summary, unfolded) = (faults.beside(&FIELDS), faults.summary(&FIELDS), unfolded(&faults));
    Ok(visit.page_with(status(&faults), &New { frame, values, monitors, faults, beside, summary, unfolded }))
}

pub async fn create(visit: Visit, form: Form) -> Result<Response, Problem> {
    let (_, model) = models(&visit).await;
    let mut faults = Faults::default();
    let id = form.text("id");
    match id.parse::<Id<Pool>>() {
        Err(error) => faults.push(FieldError::told("id", &error)),
        Ok(known) if model.pools.contains_key(&known) => {
            faults.push(FieldError::new("id", format!("there is a pool {id} already"), "choose another id"));
        }
        Ok(_) => {}
    }
    let servers = servers(&model, form.text("servers"), &mut faults);
    amounts(&form, &mut faults);
    let mut edits: Vec<Edit> = Vec::new();
    let mut members: Vec<Value> = Vec::new();
    for (endpoint, value) in servers {
        members.push(json!({ "endpoint": endpoint }));
        if let Some(value) = value {
            edits.push(Edit { kind: Kind::Endpoints, id: endpoint, value: Some(value) });
        }
    }
    let mut value = json!({ "members": members });
    put_all(&mut value, &form);
    let pool = |id: &str| Edit { kind: Kind::Pools, id: id.to_owned(), value: Some(value.clone()) };
    if faults.is_empty() {
        edits.push(pool(id));
        match keep(&visit, edits, "/pools/new").await? {
            Kept::Drafted => {
                visit.say(text("{pool} is kept in your draft. Nobody is answered from it before it is applied and a name uses it.").set("pool", id));
                return Ok(see(&format!("/pools/{id}")));
            }
            Kept::Wrong(errors) => faults = Faults::new(errors, &format!("pools/{id} ")),
            Kept::Clash(page) => return Ok(page),
        }
    } else {
        // Everything else is told with it, under an id that nothing has.
        let id = every::stand_in(&model, Kind::Pools);
        edits.push(pool(&id));
        let errors = Faults::new(every::errors(&model, &edits), &format!("pools/{id} "));
        let of_servers =
            |at: &str| (at.starts_with("members") || at.starts_with("endpoints/")).then(|| "servers".into());
        faults = every::merged(faults, errors.renamed(of_servers));
    }
    new_page(&visit, Values::typed(&form), typed_choices(&model, &form), faults).await
}

/// `label address [address]`, one server a line; a label alone is an endpoint that there is.
fn servers(model: &Model, text: &str, faults: &mut Faults) -> Vec<(String, Option<Value>)> {
    let mut found: BTreeMap<String, Option<Value>> = BTreeMap::new();
    let mut order = Vec::new();
    let mut wrong = |problem: String, remedy: &str| faults.push(FieldError::new("servers", problem, remedy));
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        wrong("a pool needs a server".into(), "give one, such as eu-1 192.0.2.11");
    }
    for line in lines.into_iter().take(MAX_SERVERS) {
        let mut parts = line.split([' ', '\t', ',']).filter(|part| !part.is_empty());
        let label = parts.next().unwrap_or_default();
        let known = label.parse::<Id<crate::model::Endpoint>>().ok();
        let Some(known) = known else {
            wrong(
                format!("{label} is not a label"),
                "begin the line with a label of a-z, 0-9 and '-', then the address",
            );
            continue;
        };
        let mut value = json!({});
        let mut parts = parts.peekable();
        let is_alone = parts.peek().is_none();
        for part in parts {
            match address(part) {
                Ok(Address::Ipv4(ip)) => put(&mut value, "ipv4", ip.to_string().into()),
                Ok(Address::Ipv6(ip)) => put(&mut value, "ipv6", ip.to_string().into()),
                Ok(Address::Name(name)) => put(&mut value, "cname", name.into()),
                Err(error) => wrong(error.problem, &error.remedy),
            }
        }
        let is_bare = value.as_object().is_none_or(|fields| fields.is_empty());
        let exists = model.endpoints.contains_key(&known);
        match (is_alone, exists) {
            (true, false) => wrong(format!("{label} has no address"), "write it after the label"),
            (false, true) => wrong(
                format!("there is an endpoint {label} already"),
                "give its label alone to use it, or choose another",
            ),
            _ => {}
        }
        order.push(label.to_owned());
        found.insert(label.to_owned(), (!is_bare).then_some(value));
    }
    let mut servers = Vec::new();
    for label in order {
        if let Some(value) = found.remove(&label) {
            servers.push((label, value));
        }
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_goes_through_its_form_unchanged() {
        let pool = json!({
            "name": "Berlin", "admin": "on", "country": "DE", "healthy_when": "percent 50", "recovery": "after 60",
            "ramp": 30, "colour": 4, "shed": { "percent": 5, "low": 70.0, "high": 90.0, "stale_after": 60 },
            "monitors": [{ "monitor": "web", "role": "vote" }], "members": [{ "endpoint": "a" }],
        });
        let values = values_of(&pool);
        let names = [
            "name",
            "admin",
            "country",
            "healthy_kind",
            "healthy_n",
            "recovery_kind",
            "recovery_s",
            "ramp",
            "colour",
            "shed.percent",
            "shed.low",
            "shed.high",
            "shed.stale_after",
        ];
        let mut fields: Vec<(String, String)> =
            names.iter().map(|name| ((*name).to_owned(), values.get(name).to_owned())).collect();
        fields.push(("monitor-web".into(), "vote".into()));
        fields.push(("monitor-ping".into(), String::new()));
        let mut back = json!({ "members": [{ "endpoint": "a" }] });
        put_all(&mut back, &Form(fields));
        for low_or_high in ["low", "high"] {
            assert_eq!(back["shed"][low_or_high].as_f64(), pool["shed"][low_or_high].as_f64());
        }
        back["shed"] = pool["shed"].clone();
        assert_eq!(back, pool);
    }

    #[test]
    fn servers_are_read_line_by_line_with_every_error() {
        let mut faults = Faults::default();
        let read = servers(&Model::empty(), "eu-1 192.0.2.11 2001:db8::11\neu-2 192.0.2.300\n\neu-3\n", &mut faults);
        assert_eq!(read[0], ("eu-1".into(), Some(json!({ "ipv4": "192.0.2.11", "ipv6": "2001:db8::11" }))));
        let said = faults.of("servers");
        let address = "192.0.2.300 is not an address. The last part can be at most 255.";
        assert_eq!(said, [address, "eu-3 has no address. Write it after the label."]);
    }
}
