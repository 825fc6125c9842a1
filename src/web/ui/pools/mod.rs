//! Pools and their endpoints: what they are, how their checks go, and the switches on them. Each page is in a
//! file of its own; here is what several of them need.

mod address;
mod caches;
mod chart;
mod endpoint;
mod endpoint_doubts;
mod endpoint_form;
mod endpoint_typed;
mod files;
mod head;
mod hold;
mod list;
mod settings;
mod sheet;
mod show;
mod switch;
mod tabs;
mod weights;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::routing::{get, post};
use serde_json::Value;

use super::Page;
use super::country;
use super::export::both;
use super::filters::span;
use super::live::Fragment;
use super::text::{Language, Text};
use super::visit::Visit;
use crate::control::draft::Draft;
use crate::control::token::Role;
use crate::health::{EndpointState, Event, EventKind, FamilyHealth, HealthTable, PoolState};
use crate::model::field::nearest;
use crate::model::{Endpoint, Id, Kind, LastResort, Model, Policy, Pool};
use crate::web::Problem;

pub use address::{Address, address, is_private};
pub use head::ends_hold;
pub use tabs::check_sentence;

pub(super) fn pages() -> Vec<Page> {
    use Role::{Editor, Operator, Viewer};
    let mut pages = vec![
        Page::new("/pools", Viewer, get(list::show)),
        Page::new("/pools.csv", Viewer, get(list::csv)),
        Page::new("/pools.json", Viewer, get(list::json)),
        Page::new("/pools/new", Editor, get(settings::new).post(settings::create)),
        Page::new("/pools/switch", Operator, get(switch::sheet).post(switch::act)),
        Page::new("/pools/{pool}", Viewer, get(show::show)),
        Page::new("/pools/{pool}/weights", Editor, post(weights::save)),
        Page::new("/pools/{pool}/discard", Editor, post(weights::discard)),
        Page::new("/pools/{pool}/check", Operator, post(endpoint::check_pool)),
        Page::new("/pools/{pool}/health-check", Viewer, get(tabs::health_check)),
        Page::new("/pools/{pool}/used-by", Viewer, get(tabs::used_by)),
        Page::new("/pools/{pool}/history", Viewer, get(tabs::history)),
        Page::new("/pools/{pool}/settings", Viewer, get(settings::show)),
        Page::new("/pools/{pool}/settings/save", Editor, post(settings::save)),
        Page::new("/pools/{pool}/delete", Editor, post(settings::delete)),
        Page::new("/pools/{pool}/drain", Operator, get(switch::drain)),
        Page::new("/pools/{pool}/off", Operator, get(switch::off)),
        Page::new("/pools/{pool}/on", Operator, get(switch::on)),
        Page::new("/pools/{pool}/hold", Operator, get(switch::hold)),
        Page::new("/pools/{pool}/approve", Operator, get(switch::approve)),
        Page::new("/pools/{pool}/endpoints/new", Editor, get(endpoint_form::new).post(endpoint_form::create)),
        Page::new("/pools/{pool}/endpoints/{endpoint}", Viewer, get(endpoint::show)),
        Page::new(
            "/pools/{pool}/endpoints/{endpoint}/edit",
            Editor,
            get(endpoint_form::edit).post(endpoint_form::save),
        ),
        Page::new("/pools/{pool}/endpoints/{endpoint}/remove", Editor, post(endpoint_form::remove)),
        Page::new("/pools/{pool}/endpoints/{endpoint}/check", Operator, post(endpoint::check)),
        Page::new("/pools/{pool}/endpoints/{endpoint}/force", Operator, get(hold::sheet).post(hold::act)),
    ];
    pages.extend(both!("/pools/{pool}/endpoints", files::endpoints));
    pages.extend(both!("/pools/{pool}/probe-times", files::probe_times));
    pages.extend(both!("/pools/{pool}/used-by", files::used_by));
    pages.extend(both!("/pools/{pool}/history", files::history));
    pages.extend(both!("/pools/{pool}/endpoints/{endpoint}/checks", files::checks));
    pages.extend(both!("/pools/{pool}/endpoints/{endpoint}/findings", files::findings));
    pages
}

pub(super) async fn live(visit: &Visit, id: &str) -> Vec<Fragment> {
    show::live(visit, id).await
}

pub(super) async fn live_list(visit: &Visit, ids: &str) -> Vec<Fragment> {
    list::live(visit, ids).await
}

pub(super) async fn live_used(visit: &Visit, id: &str) -> Vec<Fragment> {
    tabs::live_used(visit, id).await
}

pub(super) async fn live_endpoint(visit: &Visit, path: &str) -> Vec<Fragment> {
    endpoint::live(visit, path).await
}

/// A pool as its visitor sees it: live, and with what is drafted.
pub struct Scene {
    pub id: Id<Pool>,
    /// As it is drafted, or live where it is about to be deleted.
    pub pool: Arc<Pool>,
    pub live: Arc<Model>,
    pub drafted: Arc<Model>,
    pub health: Arc<HealthTable>,
    pub draft: Arc<Draft>,
    /// What happened last to the pool and to each endpoint that is not as it should be, by subject: `endpoints/eu-1`.
    pub last: BTreeMap<String, Arc<Event>>,
    /// What may have changed the pool's answers, the newest first.
    happened: Vec<Arc<Event>>,
}

impl Scene {
    pub async fn of(visit: &Visit, id: &str) -> Result<Scene, Problem> {
        let (live, drafted) = models(visit).await;
        let known = id.parse::<Id<Pool>>().ok();
        let pool = known.as_ref().and_then(|id| drafted.pools.get(id).or_else(|| live.pools.get(id)).cloned());
        let (Some(id), Some(pool)) = (known, pool) else {
            return Err(missing("pool", id, drafted.pools.keys().map(Id::as_str)));
        };
        let (health, draft) = (visit.web.control.health(), visit.draft().await);
        let mut scene = Scene { id, pool, live, drafted, health, draft, last: BTreeMap::new(), happened: Vec::new() };
        scene.last = last(visit, &scene).await?;
        scene.happened = caches::happened(visit, &scene).await?;
        Ok(scene)
    }

    /// As it is answered now; `None` for one that is only drafted.
    pub fn live_pool(&self) -> Option<&Arc<Pool>> {
        self.live.pools.get(&self.id)
    }

    pub fn path(&self) -> String {
        format!("/pools/{}", self.id)
    }

    /// The pool as JSON, to be changed and drafted.
    pub fn value(&self) -> Value {
        let model = if self.drafted.pools.contains_key(&self.id) { &self.drafted } else { &self.live };
        model.entity(Kind::Pools, self.id.as_str()).unwrap_or_default()
    }
}

/// How long an endpoint has been down, where its last change is known.
fn down_since(visit: &Visit, scene: &Scene, id: &Id<Endpoint>) -> Option<Text> {
    let event = scene.last.get(&format!("endpoints/{id}")).filter(|event| event.to.ends_with("down"))?;
    Some(span(visit.now.duration_since(event.at).as_secs().max(0).unsigned_abs()))
}

/// Only what is not as it should be is looked for: what is up has no story to tell.
async fn last(visit: &Visit, scene: &Scene) -> Result<BTreeMap<String, Arc<Event>>, Problem> {
    let is_amiss = |family: &FamilyHealth| family.forced.is_some() || family.state == EndpointState::Down;
    let members = scene.pool.members.iter().map(|member| &member.endpoint);
    let amiss =
        members.filter(|id| scene.health.endpoints.get(*id).is_some_and(|known| known.families.values().any(is_amiss)));
    let mut wanted: BTreeSet<String> = amiss.map(|id| format!("endpoints/{id}")).collect();
    if scene.health.pools.get(&scene.id).is_some_and(|known| known.state != PoolState::Ok) {
        wanted.insert(format!("pools/{}", scene.id));
    }
    let is_change = |event: &Event| matches!(event.kind, EventKind::Endpoint | EventKind::Pool | EventKind::Switch);
    let mut last = BTreeMap::new();
    for subject in wanted {
        let newest = visit.web.control.newest_about(&BTreeSet::from([subject.clone()]), is_change, 1).await?.pop();
        last.extend(newest.map(|event| (subject, event)));
    }
    Ok(last)
}

/// What is live, and what it is with the visitor's draft. A draft that no longer fits shows as nothing; its
/// own page says why.
pub async fn models(visit: &Visit) -> (Arc<Model>, Arc<Model>) {
    let live = visit.model();
    let drafted = visit.web.control.drafted(&visit.user().id);
    let drafted = drafted.unwrap_or_else(|_| live.clone());
    (live, drafted)
}

/// `No pool named eu-wset. Did you mean eu-west?`
pub fn missing<'c>(kind: &str, id: &str, known: impl Iterator<Item = &'c str>) -> Problem {
    let id: String = id.chars().take(100).collect();
    match nearest(&id, known) {
        Some(near) => Problem::not_found(format!("No {kind} named {id}. Did you mean {near}?")),
        None => Problem::not_found(format!("No {kind} named {id}.")),
    }
}

/// Where a policy uses a pool.
pub struct Use<'m> {
    pub policy: &'m Id<Policy>,
    /// Index into the policy's rules.
    pub rule: usize,
    /// From 0; `None` for the last resort.
    pub step: Option<usize>,
}

/// Who uses which pool, in one pass.
pub fn uses(model: &Model) -> BTreeMap<&Id<Pool>, Vec<Use<'_>>> {
    let mut uses: BTreeMap<&Id<Pool>, Vec<Use>> = BTreeMap::new();
    for (policy, configured) in model.policies.iter().filter(|(_, policy)| policy.enabled) {
        for (rule, configured) in configured.rules.iter().enumerate().filter(|(_, rule)| rule.enabled) {
            for (step, one) in configured.steps.iter().enumerate() {
                for used in &one.pools {
                    uses.entry(&used.pool).or_default().push(Use { policy, rule, step: Some(step) });
                }
            }
            if let LastResort::Pool(pool) = &configured.last_resort {
                uses.entry(pool).or_default().push(Use { policy, rule, step: None });
            }
        }
    }
    uses
}

/// The policies of these uses, each once.
pub fn policies<'m>(model: &'m Model, uses: &[Use<'m>]) -> Vec<(&'m Id<Policy>, &'m Arc<Policy>)> {
    let mut found: Vec<(&Id<Policy>, &Arc<Policy>)> = Vec::new();
    for used in uses {
        if found.last().is_none_or(|(known, _)| *known != used.policy) {
            found.extend(model.policies.get(used.policy).map(|policy| (used.policy, policy)));
        }
    }
    found
}

/// How many names they answer.
pub fn names(policies: &[(&Id<Policy>, &Arc<Policy>)]) -> usize {
    policies.iter().map(|(_, policy)| policy.attach.len()).sum()
}

/// Where a pool stands, in words.
pub fn place(pool: &Pool, language: Language) -> String {
    let country = pool.country.map(|code| country::name(code, language));
    match (&pool.meta.name, country) {
        (name, Some(country)) if name.is_empty() => country,
        (name, Some(country)) => format!("{name}, {country}"),
        (name, None) => name.clone(),
    }
}
