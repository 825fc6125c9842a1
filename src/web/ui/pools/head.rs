//! What stands above every tab of a pool: its state in a sentence, what is wrong and why, the switches, and how
//! long caches keep what was answered before.

use super::super::filters::span;
use super::super::state::{PoolShown, PoolStates, StateWord, endpoint_state};
use super::super::text::{Text, count, text};
use super::super::visit::Visit;
use super::{Scene, names, place, policies, uses};
use crate::control::draft::Draft;
use crate::health::{EndpointState, PoolState};
use crate::model::{Id, Kind, Model, Pool, Recovery};

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
    pub then: Text,
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
        let state = shown.as_ref().map_or(text("New"), |shown| text(shown.state.word()));
        let (up, of) = shown.as_ref().map_or((0, scene.pool.members.len()), |shown| (shown.up, shown.of));
        let badge = shown.as_ref().map_or(String::new(), |shown| shown.state.badge(visit.language));
        let sentence = match (shown.is_some(), place.is_empty()) {
            (false, _) => text("New in your draft: nobody is answered from it yet."),
            (true, true) => text("{state}, {up} of {of} endpoints up."),
            (true, false) => text("{state}, {up} of {of} endpoints up. {place}."),
        };
        let sentence = match badge.is_empty() {
            true => sentence.say("state", state),
            false => sentence.html("state", badge),
        };
        let is = |state: StateWord| shown.as_ref().is_some_and(|shown| shown.state == state);
        Head {
            id: id.to_string(),
            tab,
            sentence: sentence.set("up", up).set("of", of).set("place", place),
            names_word: count(names, "1 name", "{n} names"),
            banner: shown.as_ref().and_then(|shown| banner(scene, shown, names)),
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

fn banner(scene: &Scene, shown: &PoolShown, names: usize) -> Option<Banner> {
    let path = scene.path();
    let takes_over = match names {
        0 => text("No name uses this pool."),
        _ => text("Clients of {names} get the next pool of their rule.")
            .say("names", count(names, "1 name", "{n} names")),
    };
    let plain_banner = |bad, what: &'static str, then| Banner {
        bad,
        what: text(what).set("pool", &scene.id),
        then,
        link: Some((text("See what happened"), format!("{path}/history"))),
    };
    match shown.state {
        StateWord::Up | StateWord::Unchecked => None,
        StateWord::Drained => Some(plain_banner(false, "{pool} is drained: it gets no new clients.", takes_over)),
        StateWord::Off => Some(plain_banner(false, "{pool} is off: it is answered to nobody.", takes_over)),
        StateWord::Held => {
            let waits = match scene.pool.recovery {
                Recovery::Manual => text("It waits for somebody to approve its return."),
                _ => text("It waits until it was up for long enough."),
            };
            Some(plain_banner(false, "{pool} has recovered and is held.", waits))
        }
        StateWord::NoData => {
            Some(plain_banner(false, "Nothing is known of {pool} yet.", text("Its endpoints are answered meanwhile.")))
        }
        StateWord::Down | StateWord::Degraded => {
            let bad = shown.state == StateWord::Down;
            let then = match (bad, shown.up) {
                (true, _) => takes_over,
                (false, up) => text("Its share went to the others: {up} of {of} endpoints answer.")
                    .set("up", up)
                    .set("of", shown.of),
            };
            let (endpoint, reason) = first_down(&scene.live, scene)?;
            let link = Some((text("See the failed check"), format!("{path}/endpoints/{endpoint}")));
            let what = match reason.is_empty() {
                true => text("{endpoint} is down."),
                false => text("{endpoint} is down: {reason}."),
            };
            Some(Banner { bad, what: what.set("endpoint", &endpoint).fact("reason", "cause", reason), then, link })
        }
    }
}

/// The first member that is down, and why.
fn first_down(model: &Model, scene: &Scene) -> Option<(String, String)> {
    let members = &model.pools.get(&scene.id)?.members;
    let is_down = |id: &&Id<_>| endpoint_state(model, &scene.health, id) == StateWord::Down;
    let id = members.iter().map(|member| &member.endpoint).find(is_down)?;
    let known = scene.health.endpoints.get(id)?;
    let reason = known.families.values().find(|family| family.state == EndpointState::Down)?.reason.clone();
    Some((id.to_string(), reason.trim_end_matches('.').to_owned()))
}

/// After a change of the pool's state, answers from before are kept for as long as the longest TTL.
fn caches(visit: &Visit, scene: &Scene, ttl: u32, undo: Option<&'static str>) -> Option<Caches> {
    let known = scene.health.pools.get(&scene.id)?;
    let until_ms = known.since_ms + u64::from(ttl) * 1000;
    let now_ms = visit.now.as_millisecond().unsigned_abs();
    let left = until_ms.checked_sub(now_ms).filter(|_| known.since_ms > 0)?.div_ceil(1000);
    let until = jiff::Timestamp::from_millisecond(i64::try_from(until_ms).ok()?).ok()?;
    let sentence = match known.state {
        PoolState::Drain | PoolState::Off | PoolState::Down => {
            text("Caches keep {pool} in the old answers until {time} ({left} left).")
        }
        _ => text("Caches keep the old answer until {time} ({left} left)."),
    };
    let sentence = sentence.set("pool", &scene.id).set("time", until.strftime("%H:%M:%S")).say("left", span(left));
    Some(Caches { sentence, undo })
}
