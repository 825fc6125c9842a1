//! One endpoint: its last checks one by one, and the switches on it: check now, hold up or down by hand.

use std::collections::BTreeSet;
use std::time::Duration;

use askama::Template;
use axum::response::Response;
use jiff::Timestamp;

use super::super::beat::{self, Beat};
use super::super::filters;
use super::super::form::Form;
use super::super::frame::{Frame, Place};
use super::super::live::{Fragment, moving};
use super::super::state::{StateWord, endpoint_state, family_state, family_word};
use super::super::text::{Text, plain, text};
use super::super::visit::{Visit, see};
use super::head::{Head, Tab};
use super::hold::{self, Held};
use super::{Scene, tabs};
use crate::control::outcomes::Seen;
use crate::control::recent::is_news;
use crate::control::token::Role;
use crate::health::{EndpointState, Family};
use crate::model::{Endpoint, Id, Serve};
use crate::web::Problem;
use crate::web::extract::Path;

/// How long a page waits for a check that was asked for.
const WAIT: Duration = Duration::from_secs(4);
/// How often it looks for the outcome.
const LOOK: Duration = Duration::from_millis(50);
/// Events that the page shows.
const MAX_CHANGES: usize = 20;
/// Endpoints of a pool that are checked by one button.
const MAX_AT_ONCE: usize = crate::model::MAX_MEMBERS;

/// One check as a row.
pub struct Check {
    pub at: Timestamp,
    pub family: &'static str,
    pub monitor: String,
    pub passed: bool,
    pub status: Option<u16>,
    pub reason: String,
    pub connect: String,
    pub tls: String,
    pub first_byte: String,
    pub total: String,
    /// The beginning of what it answered.
    pub excerpt: Option<String>,
    /// Word for word what the check after it was answered.
    pub same: bool,
}

/// One monitor on one address.
struct Watched {
    monitor: String,
    family: &'static str,
    role: &'static str,
    state: StateWord,
    finding: String,
    trouble: Option<String>,
    next: Text,
    certificate: Option<Timestamp>,
}

/// What the live stream brings again.
struct Moving {
    addresses: Vec<(&'static str, StateWord, Option<&'static str>)>,
    badge: StateWord,
    reason: String,
    /// How long it has been down.
    since: Option<Text>,
    /// Held by hand: by whom, since when and why.
    held: Option<Held>,
    /// What it does to the clients of the pool, and how long caches keep what was answered before.
    then: Vec<Text>,
    caches: Option<Text>,
    is_pool_down: bool,
    may_operate: bool,
    beat: Beat,
    watched: Vec<Watched>,
    checks: Vec<Check>,
    changes: Vec<tabs::Change>,
    forced: bool,
}

moving! {
    moving: Moving;
    StatePart "ui/pools/endpoint_state.html" "endpoint-state",
    NotesPart "ui/pools/endpoint_notes.html" "endpoint-notes",
    NowPart "ui/pools/endpoint_now.html" "endpoint-now",
    HistoryPart "ui/pools/endpoint_history.html" "endpoint-history",
    ChecksPart "ui/pools/endpoint_checks.html" "endpoint-checks"
}

#[derive(Template)]
#[template(path = "ui/pools/endpoint.html")]
struct Page {
    frame: Frame,
    pool: String,
    id: String,
    named: Vec<String>,
    moving: Moving,
    serve: Option<Text>,
    depends_on: Vec<String>,
    weight: u16,
}

/// The pool and one of its members; one that is only drafted counts as well.
pub async fn of(visit: &Visit, id: &str, endpoint: &str) -> Result<(Scene, Id<Endpoint>), Problem> {
    let scene = Scene::of(visit, id).await?;
    let known = endpoint.parse::<Id<Endpoint>>().ok();
    let live = scene.live_pool().cloned();
    let is_member = |id: &Id<Endpoint>| {
        let members = scene.pool.members.iter().chain(live.iter().flat_map(|pool| &pool.members));
        members.into_iter().any(|member| member.endpoint == *id)
    };
    match known.filter(is_member) {
        Some(endpoint) => Ok((scene, endpoint)),
        None => Err(super::missing("endpoint", endpoint, scene.pool.members.iter().map(|m| m.endpoint.as_str()))),
    }
}

pub async fn show(visit: Visit, Path((id, endpoint)): Path<(String, String)>) -> Result<Response, Problem> {
    let (scene, id) = of(&visit, &id, &endpoint).await?;
    let frame = visit.frame(Place::Pools, plain(&id)).await.under(text("Pools"), "/pools");
    let frame = frame.under(plain(&scene.id), scene.path());
    let frame = frame.live(format!("endpoint:{}/{id}", scene.id));
    let configured = scene.live.endpoints.get(&id).or_else(|| scene.drafted.endpoints.get(&id));
    let page = Page {
        pool: scene.id.to_string(),
        named: configured.map(|endpoint| super::show::addresses(endpoint)).unwrap_or_default(),
        moving: moving(&visit, &scene, &id).await?,
        serve: configured.and_then(|endpoint| match endpoint.serve {
            Serve::Auto => None,
            Serve::Always => Some(text("It is set to be answered always, whatever its checks say.")),
            Serve::Never => Some(text("It is set to be answered never.")),
        }),
        depends_on: configured.map(|e| e.depends_on.iter().map(ToString::to_string).collect()).unwrap_or_default(),
        weight: scene.pool.members.iter().find(|member| member.endpoint == id).map_or(0, |member| member.weight),
        id: id.to_string(),
        frame,
    };
    Ok(visit.page(&page))
}

/// `path` is the pool, and after a slash the endpoint.
pub async fn live(visit: &Visit, path: &str) -> Vec<Fragment> {
    let (pool, endpoint) = path.split_once('/').unwrap_or((path, ""));
    let Ok((scene, id)) = of(visit, pool, endpoint).await else { return Vec::new() };
    match moving(visit, &scene, &id).await {
        Ok(moving) => fragments(visit, &moving, ""),
        Err(_) => Vec::new(),
    }
}

async fn moving(visit: &Visit, scene: &Scene, id: &Id<Endpoint>) -> Result<Moving, Problem> {
    let known = scene.health.endpoints.get(id);
    let families = known.iter().flat_map(|known| &known.families);
    let addresses = families.map(|(family, health)| {
        let forced =
            health.forced.map(|state| if state == EndpointState::Up { "held up by hand" } else { "held down by hand" });
        (family_word(*family), family_state(health), forced)
    });
    let addresses: Vec<_> = addresses.collect();
    let now_ms = visit.now.as_millisecond().unsigned_abs();
    let checks = visit.web.control.checks(id.clone()).await?;
    let watched = checks.into_iter().map(|check| Watched {
        monitor: check.monitor.to_string(),
        family: family_word(check.family),
        role: tabs::role_word(check.role),
        state: match check.state {
            EndpointState::Up => StateWord::Up,
            EndpointState::Down => StateWord::Down,
            EndpointState::Unknown => StateWord::NoData,
        },
        finding: check.finding,
        trouble: check.trouble,
        next: next(
            check.next_ms,
            check.last_ms,
            now_ms,
            scene.live.monitors.get(&check.monitor).map_or(10, |m| m.interval),
        ),
        certificate: check.certificate_ends,
    });
    let subjects = BTreeSet::from([format!("endpoints/{id}")]);
    let changes = visit.web.control.newest_about(&subjects, is_news, MAX_CHANGES).await?;
    let head = Head::of(visit, scene, Tab::Endpoints, None);
    let is_pool_down = head.banner.as_ref().is_some_and(|banner| banner.bad);
    Ok(Moving {
        then: head.banner.map(|banner| banner.then).unwrap_or_default(),
        caches: head.caches.map(|caches| caches.sentence),
        is_pool_down,
        may_operate: visit.may(Role::Operator),
        badge: endpoint_state(&scene.live, &scene.health, id),
        reason: known
            .and_then(|known| known.families.values().find(|f| f.state == EndpointState::Down))
            .map(|f| f.reason.clone())
            .unwrap_or_default(),
        since: super::down_since(visit, scene, id),
        held: hold::of_endpoint(visit, scene, id),
        beat: beat::of_endpoint(&visit.web.control.shared().outcomes, &scene.live, &scene.pool, id),
        watched: watched.collect(),
        checks: rows(visit, id),
        changes: changes.iter().map(|event| tabs::change(event, &subjects, &scene.live)).collect(),
        forced: addresses.iter().any(|(_, _, forced)| forced.is_some()),
        addresses,
    })
}

/// When the next check is due, or the first.
fn next(next_ms: Option<u64>, last_ms: Option<u64>, now_ms: u64, interval: u32) -> Text {
    let left = next_ms.map_or(u64::from(interval), |next| next.saturating_sub(now_ms).div_ceil(1000));
    match last_ms {
        None => text("First check in {s} s."),
        Some(_) => text("Next check in {s} s."),
    }
    .set("s", left)
}

/// The last checks by every monitor, the newest first.
pub fn rows(visit: &Visit, id: &Id<Endpoint>) -> Vec<Check> {
    let ms = |ms: Option<f64>| {
        ms.map_or(String::new(), |ms| if ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") })
    };
    let row = |monitor: &str, family: Family, seen: Seen| Check {
        at: i64::try_from(seen.at_ms).ok().and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or_default(),
        family: family_word(family),
        monitor: monitor.to_owned(),
        passed: seen.passed,
        status: seen.status,
        reason: seen.reason.to_string(),
        connect: ms(seen.latency.connect_ms),
        tls: ms(seen.latency.tls_ms),
        first_byte: ms(seen.latency.first_byte_ms),
        total: ms(seen.latency.total_ms),
        excerpt: seen.excerpt.map(|text| text.to_string()),
        same: false,
    };
    let mut rows: Vec<Check> = visit.web.control.shared().outcomes.of(id, |rings| {
        let each = rings.iter().flat_map(|(monitor, family, ring)| {
            let mut newer = None;
            ring.newest().map(move |seen| {
                let same = seen.excerpt.is_some() && seen.excerpt == newer;
                newer.clone_from(&seen.excerpt);
                Check { same, ..row(monitor.as_str(), *family, seen) }
            })
        });
        each.collect()
    });
    rows.sort_by_key(|row| std::cmp::Reverse(row.at));
    rows.truncate(crate::control::outcomes::KEPT);
    rows
}

pub async fn check(visit: Visit, Path((id, endpoint)): Path<(String, String)>, _: Form) -> Result<Response, Problem> {
    let (scene, id) = of(&visit, &id, &endpoint).await?;
    visit.say(check_now(&visit, &id).await?);
    Ok(see(&format!("{}/endpoints/{id}", scene.path())))
}

pub async fn check_pool(visit: Visit, Path(id): Path<String>, _: Form) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    let ids: Vec<Id<Endpoint>> =
        scene.pool.members.iter().map(|member| member.endpoint.clone()).take(MAX_AT_ONCE).collect();
    let since = ids.iter().map(|id| newest_ms(&visit, id)).max().unwrap_or_default();
    let mut asked = Vec::new();
    for id in ids {
        if !visit.web.control.checks(id.clone()).await?.is_empty() {
            visit.web.control.check_now(id.clone())?;
            asked.push(id);
        }
    }
    let heard = |visit: &Visit| asked.iter().filter(|id| newest_ms(visit, id) > since).count();
    wait(&visit, |visit| heard(visit) == asked.len()).await;
    let failing = asked.iter().filter(|id| newest(&visit, id).is_some_and(|seen| !seen.passed)).count();
    visit.say(
        match (asked.len(), failing) {
            (0, _) => text("Nothing checks these endpoints; give the pool a health check."),
            (_, 0) => text("Checked just now: {n} of {all} passed.").set("n", heard(&visit)),
            _ => text("Checked just now: {n} of {all} failed.").set("n", failing),
        }
        .set("all", asked.len()),
    );
    Ok(see(&scene.path()))
}

/// Checks an endpoint, waits for the outcome within reason, and says it.
async fn check_now(visit: &Visit, id: &Id<Endpoint>) -> Result<Text, Problem> {
    if visit.web.control.checks(id.clone()).await?.is_empty() {
        return Ok(text("Nothing checks {endpoint}; give it or its pool a health check.").set("endpoint", id));
    }
    let since = newest_ms(visit, id);
    visit.web.control.check_now(id.clone())?;
    wait(visit, |visit| newest_ms(visit, id) > since).await;
    Ok(match newest(visit, id).filter(|seen| seen.at_ms > since) {
        None => text("{endpoint} is being checked; its result comes when it is there."),
        Some(seen) if seen.passed => text("{endpoint} was checked just now and passed in {ms} ms.")
            .set("ms", filters::figure_text(seen.latency.total_ms.unwrap_or_default())),
        Some(seen) => text("{endpoint} was checked just now and failed: {reason}.").fact(
            "reason",
            "finding",
            seen.reason.to_string(),
        ),
    }
    .set("endpoint", id))
}

async fn wait(visit: &Visit, done: impl Fn(&Visit) -> bool) {
    let until = tokio::time::Instant::now() + WAIT;
    while !done(visit) && tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
}

fn newest(visit: &Visit, id: &Id<Endpoint>) -> Option<Seen> {
    let newest = |rings: &[(Id<_>, Family, crate::control::outcomes::Ring)]| {
        rings.iter().filter_map(|(_, _, ring)| ring.newest().next()).max_by_key(|seen| seen.at_ms)
    };
    visit.web.control.shared().outcomes.of(id, newest)
}

fn newest_ms(visit: &Visit, id: &Id<Endpoint>) -> u64 {
    newest(visit, id).map_or(0, |seen| seen.at_ms)
}
