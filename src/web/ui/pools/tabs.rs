//! The smaller tabs of a pool: its health check in words, who uses it, and what happened to it.

use std::collections::BTreeSet;

use askama::Template;
use axum::response::Response;
use jiff::Timestamp;

use super::super::cause;
use super::super::filters;
use super::super::frame::{Frame, Place};
use super::super::live::{Fragment, moving};
use super::super::overview::latest;
use super::super::sentence;
use super::super::state::StateWord;
use super::super::text::{Text, plain, text};
use super::super::visit::Visit;
use super::head::{Head, Tab};
use super::{Scene, show, uses};
use crate::answer::{PlanState, policy_state};
use crate::health::{Event, EventKind};
use crate::model::{Check, HealthyWhen, Model, Monitor, Recovery};
use crate::web::Problem;
use crate::web::extract::Path;

/// Events of a pool on its history tab.
pub const SHOWN: usize = 100;
/// Names that are listed of one policy.
const NAMES: usize = 20;

/// A health check in words.
pub struct Said {
    pub check: Vec<Text>,
    pub decides: Vec<Text>,
}

pub fn said(visit: &Visit, scene: &Scene) -> Said {
    let node = visit.web.metrics.node();
    let mut monitors: Vec<_> = scene.pool.monitors.iter().map(|used| &used.monitor).collect();
    for member in &scene.pool.members {
        let own = scene.drafted.endpoints.get(&member.endpoint).map_or(&[][..], |endpoint| &endpoint.monitors);
        monitors.extend(own.iter().map(|used| &used.monitor));
    }
    monitors.sort();
    monitors.dedup();
    let monitors: Vec<&Monitor> =
        monitors.into_iter().filter_map(|id| scene.drafted.monitors.get(id).map(|m| &**m)).collect();
    let check: Vec<Text> = monitors.iter().map(|monitor| check_sentence(monitor, node)).collect();
    let mut decides = Vec::new();
    if let [monitor] = monitors[..] {
        decides.push(threshold_sentence(monitor));
    }
    decides.push(pool_sentence(scene));
    Said { check, decides }
}

/// `Every 10 s, get https://{address}/healthz from this node. Expect 200-299 within 3 s.`
pub fn check_sentence(monitor: &Monitor, node: &str) -> Text {
    let sentence = match &monitor.check {
        Check::Http(check) | Check::Https(check) => {
            let usual = if monitor.check.kind() == "http" { 80 } else { 443 };
            let host = check.host.clone().unwrap_or_else(|| "{address}".into());
            let port = if check.port == usual { String::new() } else { format!(":{}", check.port) };
            let url = format!("{}://{host}{port}{}", monitor.check.kind(), check.path);
            let sentence = match &check.expect_body {
                None => text("Every <b>{interval} s</b>, get <code>{url}</code> from <b>{node}</b>. Expect <b>{status}</b> within <b>{timeout} s</b>."),
                Some(_) => text("Every <b>{interval} s</b>, get <code>{url}</code> from <b>{node}</b>. Expect <b>{status}</b> and “{body}” within <b>{timeout} s</b>."),
            };
            sentence.set("url", url).set("status", check.expect_status).set("body", check.expect_body.as_deref().unwrap_or_default())
        }
        Check::Tcp(check) => text("Every <b>{interval} s</b>, connect to port <b>{port}</b> from <b>{node}</b>, within <b>{timeout} s</b>.").set("port", check.port),
        Check::Icmp(check) => text("Every <b>{interval} s</b>, send <b>{count}</b> echo requests from <b>{node}</b>. At most <b>{loss}%</b> may be lost within <b>{timeout} s</b>.")
            .set("count", check.count)
            .set("loss", check.max_loss),
        Check::Dns(check) => text("Every <b>{interval} s</b>, ask port <b>{port}</b> for <code>{question}</code> from <b>{node}</b>. Expect an answer within <b>{timeout} s</b>.")
            .set("port", check.port)
            .set("question", format!("{} {}", check.qname, check.qtype)),
    };
    sentence.set("interval", monitor.interval).set("timeout", monitor.timeout).set("node", node)
}

fn threshold_sentence(monitor: &Monitor) -> Text {
    text("An endpoint is <b>down</b> after <b>{failures} failures in a row</b>, and <b>up</b> again after <b>{passes} passes</b>.")
        .set("failures", monitor.fail_after)
        .set("passes", monitor.recover_after)
}

fn pool_sentence(scene: &Scene) -> Text {
    let healthy = match scene.pool.healthy_when {
        HealthyWhen::AtLeast(count) => {
            text("The pool answers while at least <b>{n}</b> of its endpoints are up{recovery}").set("n", count)
        }
        HealthyWhen::Percent(percent) => {
            text("The pool answers while at least <b>{n}%</b> of its endpoints are up{recovery}").set("n", percent)
        }
    };
    healthy.say(
        "recovery",
        match scene.pool.recovery {
            Recovery::Auto => text(", and returns at once."),
            Recovery::After(seconds) => text(", and returns after <b>{s} s</b> without a failure.").set("s", seconds),
            Recovery::Manual => text(", and returns when somebody approves it."),
        },
    )
}

/// One of the pool's checks, for its tab.
struct Checked {
    monitor: String,
    role: &'static str,
    own: Vec<String>,
    sentence: Text,
    threshold: Text,
    /// Seconds until a failure is seen, and until most clients follow.
    seen: String,
    all: String,
}

#[derive(Template)]
#[template(path = "ui/pools/health_check.html")]
struct HealthCheck {
    frame: Frame,
    head: Head,
    checks: Vec<Checked>,
    pool: Text,
    ttl: u32,
}

pub async fn health_check(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    let (frame, head) = frame(&visit, &scene, Tab::HealthCheck).await;
    let users = uses(&scene.drafted);
    let policies = super::policies(&scene.drafted, users.get(&scene.id).map_or(&[][..], Vec::as_slice));
    let ttl = policies.iter().map(|(_, policy)| policy.ttl).max().unwrap_or_default();
    let mut checks: Vec<Checked> = Vec::new();
    let mut add = |used: &crate::model::MonitorUse, own: Option<String>| {
        let Some(monitor) = scene.drafted.monitors.get(&used.monitor) else { return };
        if let Some(known) = checks
            .iter_mut()
            .find(|known| known.monitor == used.monitor.as_str() && !known.own.is_empty() && own.is_some())
        {
            known.own.extend(own);
            return;
        }
        let worst = monitor.worst_detection_seconds();
        checks.push(Checked {
            monitor: used.monitor.to_string(),
            role: role_word(used.role),
            own: own.into_iter().collect(),
            sentence: check_sentence(monitor, visit.web.metrics.node()),
            threshold: threshold_sentence(monitor),
            seen: format!("{worst:.0}"),
            all: format!("{:.0}", worst + f64::from(ttl)),
        });
    };
    scene.pool.monitors.iter().for_each(|used| add(used, None));
    for member in &scene.pool.members {
        let own = scene.drafted.endpoints.get(&member.endpoint).map_or(&[][..], |endpoint| &endpoint.monitors);
        own.iter().for_each(|used| add(used, Some(member.endpoint.to_string())));
    }
    let pool = pool_sentence(&scene);
    Ok(visit.page(&HealthCheck { frame, head, checks, pool, ttl }))
}

pub fn role_word(role: crate::model::Role) -> &'static str {
    match role {
        crate::model::Role::Required => "Required",
        crate::model::Role::Vote => "Vote",
        crate::model::Role::Watch => "Watch only",
    }
}

/// A rule that uses the pool.
struct Used {
    /// Policy, rule and step, as part of an id.
    key: String,
    names: Vec<String>,
    more: usize,
    rule: String,
    step: Option<usize>,
    sentence: Text,
    state: StateWord,
    word: &'static str,
}

moving!(row: Used; UsedState "ui/pools/used_state.html" "used-");

#[derive(Template)]
#[template(path = "ui/pools/used_by.html")]
struct UsedBy {
    frame: Frame,
    head: Head,
    rows: Vec<Used>,
}

pub async fn used_by(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    let (frame, head) = frame(&visit, &scene, Tab::UsedBy).await;
    let frame = frame.live(format!("used:{id}"));
    let rows = used(&visit, &scene);
    Ok(visit.page(&UsedBy { frame, head, rows }))
}

/// The pool, and how the rules that use it are now.
pub async fn live_used(visit: &Visit, id: &str) -> Vec<Fragment> {
    let Ok(scene) = Scene::of(visit, id).await else { return Vec::new() };
    let head = Head::of(visit, &scene, Tab::UsedBy, None);
    let rules = used(visit, &scene).iter().flat_map(|row| fragments(visit, row, &row.key)).collect::<Vec<_>>();
    show::head_fragments(visit, &head).into_iter().chain(rules).collect()
}

/// The rules that use the pool, what needs somebody first.
fn used(visit: &Visit, scene: &Scene) -> Vec<Used> {
    let snapshot = visit.web.control.snapshot();
    let users = uses(&scene.live);
    let row = |used: &super::Use| {
        let policy = scene.live.policies.get(used.policy)?;
        let rule = policy.rules.get(used.rule)?;
        let states = policy_state(&snapshot, policy);
        let state = states.rules.iter().find(|known| known.rule == used.rule).map_or(PlanState::AsPlanned, |r| r.state);
        let (state, word) = match state {
            PlanState::AsPlanned => (StateWord::Up, "As planned"),
            PlanState::Failover => (StateWord::Degraded, "On failover"),
            PlanState::LastResort => (StateWord::Down, "Last resort"),
            PlanState::NoAnswer => (StateWord::Down, "No answer"),
        };
        let names =
            policy.attach.iter().take(NAMES).map(|attach| attach.name.to_string().trim_end_matches('.').to_owned());
        let step = used.step.map_or("last".to_owned(), |step| step.to_string());
        Some(Used {
            key: format!("{}-{}-{step}", used.policy, used.rule),
            names: names.collect(),
            more: policy.attach.len().saturating_sub(NAMES),
            rule: rule.name.clone(),
            step: used.step.map(|step| step + 1),
            sentence: sentence::rule(policy, used.rule, &sentence::Bold(&scene.live)),
            state,
            word,
        })
    };
    let mut rows: Vec<Used> = users.get(&scene.id).into_iter().flatten().filter_map(row).collect();
    rows.sort_by_key(|row| row.state);
    rows
}

/// An event of a pool or of one of its endpoints.
pub struct Change {
    pub at: Timestamp,
    pub icon: &'static str,
    pub class: &'static str,
    pub what: Text,
    pub why: Text,
    pub incident: Option<u64>,
    /// The version that a publication made.
    pub version: Option<u64>,
}

#[derive(Template)]
#[template(path = "ui/pools/history.html")]
struct History {
    frame: Frame,
    head: Head,
    changes: Vec<Change>,
}

pub async fn history(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    let (frame, head) = frame(&visit, &scene, Tab::History).await;
    let changes = changes(&visit, &scene, SHOWN).await?;
    Ok(visit.page(&History { frame, head, changes }))
}

/// The newest events of the pool and its endpoints, at most `most`.
pub async fn changes(visit: &Visit, scene: &Scene, most: usize) -> Result<Vec<Change>, Problem> {
    let model = visit.model();
    let subjects = subjects(scene);
    let events = visit.web.control.history_of(&subjects, most).await?;
    Ok(events.iter().map(|event| change(event, &subjects, &model)).collect())
}

/// What the events of a pool are about: itself and its endpoints.
pub fn subjects(scene: &Scene) -> BTreeSet<String> {
    let endpoints = scene.pool.members.iter().map(|member| format!("endpoints/{}", member.endpoint));
    endpoints.chain([format!("pools/{}", scene.id)]).collect()
}

/// Of a publication, what it changed about these subjects.
pub fn change(event: &Event, subjects: &BTreeSet<String>, model: &Model) -> Change {
    let changed = event.changed.iter().filter(|(thing, _)| subjects.contains(*thing));
    let changed: Vec<&str> = changed.map(|(_, said)| said.as_str()).filter(|said| !said.is_empty()).collect();
    let (icon, class) = match (event.kind, event.to.as_str()) {
        (EventKind::Switch, _) => ("hand", ""),
        (EventKind::Publish, _) => ("scroll-text", ""),
        (_, "down") => ("octagon-x", "badc"),
        (_, "held") => ("triangle-alert", "warnc"),
        (_, "up" | "ok") => ("circle-check", "okc"),
        (EventKind::Certificate, _) => ("triangle-alert", "warnc"),
        _ => ("info", ""),
    };
    Change {
        at: event.at,
        icon,
        class,
        what: latest::title(event, model),
        why: match changed.is_empty() {
            true => cause::of_event(event),
            false => cause::of(event.kind, &changed.join(" ")),
        },
        version: latest::version(event).filter(|_| event.kind == EventKind::Publish),
        incident: event.incident,
    }
}

async fn frame(visit: &Visit, scene: &Scene, tab: Tab) -> (Frame, Head) {
    let frame = visit.frame(Place::Pools, plain(&scene.id)).await.under(text("Pools"), "/pools");
    (frame.live(format!("pool:{}", scene.id)), Head::of(visit, scene, tab, None))
}
