//! What stands above every tab of a pool: its state in a sentence, what is wrong and why, the switches, and how
//! long caches keep what was answered before.

use std::collections::BTreeSet;

use super::super::filters::{self, span};
use super::super::state::{PoolShown, PoolStates, StateWord, endpoint_state};
use super::super::text::{Text, count, text};
use super::super::visit::Visit;
use super::{Scene, hold, names, place, policies, uses};
use crate::answer::{PlanState, policy_state};
use crate::control::draft::Draft;
use crate::control::token::Role;
use crate::health::{EndpointState, PoolState};
use crate::model::{Endpoint, Id, Kind, Model, Pool, Recovery};

/// Policies that are asked who answers meanwhile, and pools that are named.
const MAX_POLICIES: usize = 200;
const MAX_NAMED: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Endpoints,
    HealthCheck,
    UsedBy,
    History,
    Settings,
}

pub struct Head {
    pub id: String,
    pub tab: Tab,
    /// `None` for a pool that is only drafted.
    pub shown: Option<PoolShown>,
    pub sentence: Text,
    pub names_word: Text,
    /// How its endpoints share the answers.
    pub shared: Text,
    pub banner: Option<Banner>,
    pub caches: Option<Caches>,
    pub is_on: bool,
    pub is_held: bool,
    pub is_deleted: bool,
}

/// What is wrong and why.
pub struct Banner {
    pub bad: bool,
    pub what: Text,
    /// What it does to clients, sentence by sentence.
    pub then: Vec<Text>,
    /// Where more is said.
    pub link: Option<(Text, String)>,
}

/// The answers from before the last change are still in caches.
pub struct Caches {
    pub sentence: Text,
    /// What the last switch was before; takes it back.
    pub undo: Option<&'static str>,
}

impl Head {
    pub fn of(visit: &Visit, scene: &Scene, tab: Tab, undo: Option<&'static str>) -> Head {
        let Scene { id, live, health, .. } = scene;
        let states = PoolStates::of(live, health);
        let shown = states.get(id).cloned();
        let uses = uses(live);
        let users = uses.get(id).map_or(&[][..], Vec::as_slice);
        let policies = policies(live, users);
        let names = names(&policies);
        let ttl = policies.iter().map(|(_, policy)| policy.ttl).max().unwrap_or_default();
        let place = place(&scene.pool, visit.language);
        let (up, no_data, of) = shown.as_ref().map_or((0, 0, 0), |shown| (shown.up, shown.no_data, shown.of));
        let badge = shown.as_ref().map_or(String::new(), |shown| shown.state.badge(visit.language));
        let counted = match (shown.is_some(), no_data) {
            (false, _) => text("New in your draft: nobody is answered from it yet."),
            (true, 0) => text("{state}, {up} of {of} endpoints up."),
            (true, n) => text("{state}, {up} of {of} endpoints up, {n} with no data.").set("n", n),
        };
        let counted = counted.html("state", badge).set("up", up).set("of", of);
        let sentence = match shown.is_some() && !place.is_empty() {
            true => text("{counted} {place}.").say("counted", counted).set("place", place),
            false => counted,
        };
        let is = |state: StateWord| shown.as_ref().is_some_and(|shown| shown.state == state);
        Head {
            id: id.to_string(),
            tab,
            sentence,
            names_word: count(names, "1 name", "{n} names"),
            shared: match scene.pool.members.windows(2).any(|pair| pair[0].priority != pair[1].priority) {
                true => text("Shared by priority, then by weight."),
                false => text("Shared by weight."),
            },
            banner: shown.as_ref().and_then(|shown| banner(visit, scene, shown, names)),
            caches: caches(visit, scene, ttl, undo),
            is_on: !is(StateWord::Drained) && !is(StateWord::Off),
            is_held: is(StateWord::Held),
            is_deleted: is_deleted(&scene.draft, id),
            shown,
        }
    }
}

fn is_deleted(draft: &Draft, id: &Id<Pool>) -> bool {
    draft.of(Kind::Pools, id.as_str()).is_some_and(|drafted| drafted.value.is_none())
}

fn banner(visit: &Visit, scene: &Scene, shown: &PoolShown, names: usize) -> Option<Banner> {
    let path = scene.path();
    let plain_banner = |bad, what: &'static str, then| Banner {
        bad,
        what: text(what).set("pool", &scene.id),
        then,
        link: Some((text("See what happened"), format!("{path}/history"))),
    };
    let is_down = shown.state == StateWord::Down;
    let part = || {
        text("Its share went to the others: {up} of {of} endpoints answer.")
            .set("up", shown.answering())
            .set("of", shown.of)
    };
    let mut held = hold::all(visit, scene);
    held.sort_by_key(|held| !held.is_down);
    if let (Some(held), false) = (held.into_iter().next(), matches!(shown.state, StateWord::Drained | StateWord::Off)) {
        let then = match (is_down, shown.state) {
            (true, _) => takes_over(visit, scene, names),
            (false, StateWord::Degraded) => vec![part()],
            _ => Vec::new(),
        };
        let link = Some((text("Follow its checks again"), held.way_back)).filter(|_| visit.may(Role::Operator));
        return Some(Banner { bad: is_down, what: held.what, then, link });
    }
    match shown.state {
        StateWord::Up | StateWord::Unchecked => None,
        StateWord::Drained => {
            let what = "{pool} is drained: it gets no new clients.";
            Some(plain_banner(false, what, takes_over(visit, scene, names)))
        }
        StateWord::Off => {
            Some(plain_banner(false, "{pool} is off: it is answered to nobody.", takes_over(visit, scene, names)))
        }
        StateWord::Held => {
            let waits = match scene.pool.recovery {
                Recovery::Manual => text("It waits for somebody to approve its return."),
                _ => text("It waits until it was up for long enough."),
            };
            Some(plain_banner(false, "{pool} has recovered and is held.", vec![waits]))
        }
        StateWord::NoData => {
            let then = vec![text("Its endpoints are answered meanwhile.")];
            Some(plain_banner(false, "Nothing is known of {pool} yet.", then))
        }
        StateWord::Down | StateWord::Degraded => {
            let mut then = if is_down { takes_over(visit, scene, names) } else { vec![part()] };
            if is_down && scene.pool.recovery == Recovery::Manual {
                then.push(text("Once it is up again, somebody has to approve its return."));
            }
            let (endpoint, reason) = first_down(&scene.live, scene)?;
            let link = Some((text("See the failed check"), format!("{path}/endpoints/{endpoint}")));
            let since = super::down_since(visit, scene, &endpoint);
            let what = match (&since, reason.is_empty()) {
                (None, true) => text("{endpoint} is down."),
                (None, false) => text("{endpoint} is down: {reason}."),
                (Some(_), true) => text("{endpoint} has been down for {span}."),
                (Some(_), false) => text("{endpoint} has been down for {span}: {reason}."),
            };
            let what = match since {
                Some(span) => what.say("span", span),
                None => what,
            };
            Some(Banner {
                bad: is_down,
                what: what.set("endpoint", &endpoint).fact("reason", "cause", reason),
                then,
                link,
            })
        }
    }
}

/// Who answers the clients of this pool meanwhile, and whether somebody is left without an answer.
fn takes_over(visit: &Visit, scene: &Scene, names: usize) -> Vec<Text> {
    if names == 0 {
        return vec![text("No name uses this pool.")];
    }
    let (snapshot, uses) = (visit.web.control.snapshot(), uses(&scene.live));
    let users = uses.get(&scene.id).map_or(&[][..], Vec::as_slice);
    let (mut instead, mut unanswered) = (BTreeSet::new(), 0);
    for (_, policy) in policies(&scene.live, users).into_iter().take(MAX_POLICIES) {
        let state = policy_state(&snapshot, policy);
        let missed = state.rules.iter().filter(|rule| rule.missing.contains(&scene.id));
        missed.for_each(|rule| instead.extend(rule.answering.iter().filter(|id| **id != scene.id).cloned()));
        if state.state == PlanState::NoAnswer {
            unanswered += policy.attach.len();
        }
    }
    let who = match instead.is_empty() {
        true => text("Clients of {names} get the next pool of their rule."),
        false => text("Clients of {names} get {pools} meanwhile.")
            .set("pools", instead.iter().take(MAX_NAMED).map(Id::as_str).collect::<Vec<_>>().join(", ")),
    };
    let who = (!instead.is_empty() || unanswered == 0).then(|| who.say("names", count(names, "1 name", "{n} names")));
    let left = match unanswered {
        0 => text("No client is without an answer."),
        n => text("Some clients of {names} get no answer.").say("names", count(n, "1 name", "{n} names")),
    };
    who.into_iter().chain([left]).collect()
}

/// The first member that is down, and why.
fn first_down(model: &Model, scene: &Scene) -> Option<(Id<Endpoint>, String)> {
    let members = &model.pools.get(&scene.id)?.members;
    let is_down = |id: &&Id<Endpoint>| endpoint_state(model, &scene.health, id) == StateWord::Down;
    let id = members.iter().map(|member| &member.endpoint).find(is_down)?;
    let known = scene.health.endpoints.get(id)?;
    let reason = known.families.values().find(|family| family.state == EndpointState::Down)?.reason.clone();
    Some((id.clone(), reason.trim_end_matches('.').to_owned()))
}

/// After a change of the pool's state, answers from before are kept for as long as the longest TTL.
fn caches(visit: &Visit, scene: &Scene, ttl: u32, undo: Option<&'static str>) -> Option<Caches> {
    let known = scene.health.pools.get(&scene.id)?;
    let held_ms = hold::all(visit, scene).iter().map(|held| held.since_ms).max().unwrap_or_default();
    let since_ms = known.since_ms.max(held_ms);
    let until_ms = since_ms + u64::from(ttl) * 1000;
    let now_ms = visit.now.as_millisecond().unsigned_abs();
    let left = until_ms.checked_sub(now_ms).filter(|_| since_ms > 0)?.div_ceil(1000);
    let until = jiff::Timestamp::from_millisecond(i64::try_from(until_ms).ok()?).ok()?;
    let sentence = match known.state {
        PoolState::Drain | PoolState::Off | PoolState::Down => {
            text("Caches keep {pool} in the old answers until {time} ({left} left).")
        }
        _ => text("Caches keep the old answer until {time} ({left} left)."),
    };
    let sentence =
        sentence.set("pool", &scene.id).html("time", filters::time_html(until, "%H:%M:%S")).say("left", span(left));
    Some(Caches { sentence, undo })
}
