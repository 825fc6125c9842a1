//! The page of one name: its head, and the tab that the URL asks for.

use axum::response::Response;
use jiff::Timestamp;

use super::super::form::Form;
use super::super::sentence::{Plain, region_name, regions};
use super::super::text::{Text, plain, text};
use super::super::visit::Visit;
use super::state::NameState;
use super::{World, path, steering, tabs, traffic, types_word};
use crate::answer::{PlanState, PolicyState, policy_state};
use crate::health::HealthTable;
use crate::model::{Id, Model, Name, Policy, RecordType};
use crate::web::Problem;
use crate::web::extract::Path;

/// Regions that the head names.
const MAX_WHOM: usize = 3;

/// What stands above every tab.
pub struct Head {
    pub name: String,
    pub path: String,
    pub types: String,
    pub ttl: Option<u32>,
    pub rate: Option<f64>,
    pub state: NameState,
    /// Whose clients are not answered as planned.
    pub whom: Option<Text>,
    pub since: Option<Timestamp>,
    pub tab: &'static str,
    pub policy: Option<String>,
    pub live_revision: u64,
    /// Whether the draft has a say here.
    pub drafted: bool,
    /// Whether what is shown is what is live, though there is a draft.
    pub shows_live: bool,
    /// Other names of the same policy.
    pub others: usize,
    /// It is live, and gone in the draft.
    pub deleted: bool,
    /// Kept tests that are about it.
    pub tests: usize,
    /// For each live rule whom it is for and its first pool, which can be drained by hand.
    pub fail_over: Vec<(Text, String)>,
}

pub const TABS: [(&str, &str); 5] = [
    ("steering", "Steering"),
    ("records", "Records"),
    ("tests", "Tests"),
    ("traffic", "Traffic"),
    ("history", "History"),
];

impl Head {
    pub fn tabs(&self) -> [(&'static str, &'static str); 5] {
        TABS
    }
}

pub async fn show(visit: Visit, Path(name): Path<String>) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let query = visit.here.split_once('?').map_or("", |(_, query)| query);
    let query = Form::parse(query.as_bytes())?;
    match query.text("tab") {
        "records" => tabs::records(&visit, &world, &name).await,
        "tests" => tabs::tests(&visit, &world, &name).await,
        "traffic" => traffic::show(&visit, &world, &name).await,
        "history" => tabs::history(&visit, &world, &name).await,
        _ => steering::show(&visit, &world, &name, &query).await,
    }
}

/// The head of a name as the draft has it, or as it is live.
pub fn head(visit: &Visit, world: &World, name: &Name, tab: &'static str, shows_live: bool) -> Head {
    let model = if shows_live { &world.live } else { &world.drafted };
    let found = super::policy_of(model, name);
    let health = visit.web.control.health();
    let mut head = Head {
        name: name.without_dot(),
        path: path(name),
        types: types_word(&types(model, name, found.map(|(_, policy)| &**policy))),
        ttl: found.map(|(_, policy)| policy.ttl),
        rate: None,
        state: NameState::Plain,
        whom: None,
        since: None,
        tab,
        policy: found.map(|(id, _)| id.to_string()),
        live_revision: world.live.revision,
        drafted: false,
        shows_live,
        others: 0,
        deleted: false,
        tests: model.tests.values().filter(|test| test.qname == *name).count(),
        fail_over: super::policy_of(&world.live, name).map_or(Vec::new(), |(_, policy)| fail_over(&world.live, policy)),
    };
    let Some((id, policy)) = found else {
        let live = super::policy_of(&world.live, name).map(|(id, _)| id);
        (head.deleted, head.drafted) = (live.is_some(), live.is_some_and(|id| world.touches(id)));
        return head;
    };
    head.drafted = world.touches(id);
    head.others = policy.attach.iter().filter(|attach| attach.name != *name).count();
    if super::policy_of(&world.live, name).is_none() {
        head.state = NameState::Drafted;
        return head;
    }
    head.rate = Some(visit.web.control.shared().traffic.lock().policy_rate(id));
    if !policy.enabled {
        head.state = NameState::Off;
        return head;
    }
    let now = policy_state(&world.snapshot, policy);
    head.state = now.state.into();
    head.whom = whom(model, policy, &now);
    head.since = since(&now, &health);
    head
}

fn types(model: &Model, name: &Name, policy: Option<&Policy>) -> Vec<RecordType> {
    match policy {
        Some(policy) => {
            let attached = policy.attach.iter().filter(|attach| attach.name == *name);
            attached.flat_map(|attach| attach.types.iter().copied()).collect()
        }
        None => model.records.keys().filter(|key| key.name == *name).map(|key| key.rtype).collect(),
    }
}

/// The clients that are farthest from the plan.
fn whom(model: &Model, policy: &Policy, now: &PolicyState) -> Option<Text> {
    if now.state == PlanState::AsPlanned || policy.rules.len() == 1 {
        return None;
    }
    let mut names: Vec<Text> = Vec::new();
    for state in now.rules.iter().filter(|rule| rule.state == now.state) {
        let rule = policy.rules.get(state.rule)?;
        match rule.regions.is_empty() {
            true => names.push(text("everyone else")),
            false => names.extend(rule.regions.iter().map(|id| region_name(model, id))),
        }
    }
    let more = names.len().saturating_sub(MAX_WHOM);
    let listed = names
        .into_iter()
        .take(MAX_WHOM)
        .reduce(|before, next| text("{before}, {next}").say("before", before).say("next", next))
        .unwrap_or_else(|| plain(""));
    Some(match more {
        0 => listed,
        more => text("{regions} and {n} more").say("regions", listed).set("n", more),
    })
}

/// Whom each rule that is on sends where first.
fn fail_over(model: &Model, policy: &Policy) -> Vec<(Text, String)> {
    let rules = policy.rules.iter().enumerate().filter(|(_, rule)| policy.enabled && rule.enabled);
    let of = |(at, rule): (usize, &crate::model::Rule)| {
        let pool = &rule.steps.first()?.pools.first()?.pool;
        let whom = match at + 1 == policy.rules.len() {
            true if at == 0 => text("everyone"),
            true => text("everyone else"),
            false => regions(&rule.regions, &Plain(model)),
        };
        let said = text("{pool} for {whom}").set("pool", pool).say("whom", whom);
        Some((said, pool.to_string()))
    };
    rules.filter_map(of).collect()
}

/// Since when: the first of the missing pools that went away.
pub fn since(now: &PolicyState, health: &HealthTable) -> Option<Timestamp> {
    let away = now.rules.iter().filter(|rule| rule.state != PlanState::AsPlanned).flat_map(|rule| &rule.missing);
    let since_ms = away.filter_map(|id| health.pools.get(id)).map(|pool| pool.since_ms).filter(|ms| *ms > 0).min()?;
    Timestamp::from_millisecond(i64::try_from(since_ms).ok()?).ok()
}

/// The policy that a form of this name's page edits.
pub fn edited<'w>(world: &'w World, name: &Name) -> Result<(&'w Id<Policy>, &'w Policy), Problem> {
    let found = world.policy_of(name).map(|(id, policy)| (id, &**policy));
    found.ok_or_else(|| Problem::not_found(format!("{} is not steered; nothing was changed.", name.without_dot())))
}
