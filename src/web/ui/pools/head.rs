//! What stands above every tab of a pool: its state in a sentence, what is wrong and why, and the switches.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::state::{PoolShown, PoolStates, StateWord, endpoint_state};
use super::super::text::{Text, count, text};
use super::super::visit::Visit;
use super::caches::{Caches, caches};
use super::{Scene, hold, names, place, policies, uses};
use crate::answer::{Pass, PlanState, Snapshot, policy_state};
use crate::control::draft::Draft;
use crate::control::token::Role;
use crate::health::{EndpointState, HealthTable, PoolState};
use crate::model::{Endpoint, Id, Kind, LastResort, Model, Policy, Pool, Recovery, Rule};

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
                _ if ends_hold(&visit.web.control.snapshot(), &scene.id) => {
                    text("It answers all the same: nothing else of the rule is up; the next query ends the hold.")
                }
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

/// In which round names come to the pool: where it is down and nothing else of a rule is up, as to the last resort.
pub fn pass(snapshot: &Snapshot, health: &HealthTable, scene: &Scene) -> Pass {
    let is_down = health.pools.get(&scene.id).is_some_and(|known| known.state == PoolState::Down);
    let uses = uses(&scene.live);
    let users = uses.get(&scene.id).map_or(&[][..], Vec::as_slice);
    match is_down && Meanwhile::of(snapshot, &policies(&scene.live, users), &scene.id).anyway > 0 {
        true => Pass::Anyway,
        false => Pass::Normal,
    }
}

/// Whether a held pool answers some clients all the same, since nothing else is up for them.
pub fn ends_hold(snapshot: &Snapshot, pool: &Id<Pool>) -> bool {
    let uses_it = |policy: &&Arc<Policy>| policy.rules.iter().any(|rule| place_in(rule, pool).is_some());
    let policies = snapshot.model().policies.values().filter(|policy| policy.enabled).filter(uses_it);
    let mut rules = policies.take(MAX_POLICIES).flat_map(|policy| policy_state(snapshot, policy).rules);
    rules.any(|rule| rule.ends_hold && rule.answering.contains(pool))
}

/// What the clients of a pool that is out get, over all names that use it.
#[derive(Debug, Default, PartialEq)]
pub struct Meanwhile {
    instead: BTreeSet<Id<Pool>>,
    /// Names with clients that get others, that get this pool all the same, and that get no answer.
    moved: usize,
    pub anyway: usize,
    unanswered: usize,
    /// Pools of steps before it that are not up either and answer all the same, and names with clients that get them.
    before: BTreeSet<Id<Pool>>,
    kept: usize,
}

impl Meanwhile {
    fn of(snapshot: &Snapshot, policies: &[(&Id<Policy>, &Arc<Policy>)], pool: &Id<Pool>) -> Meanwhile {
        let mut found = Meanwhile::default();
        for (_, policy) in policies.iter().take(MAX_POLICIES) {
            let (mut moves, mut stays, mut is_lost, mut is_kept) = (false, false, false, false);
            for rule in policy_state(snapshot, policy).rules {
                let Some(own) = policy.rules.get(rule.rule).and_then(|rule| place_in(rule, pool)) else { continue };
                if rule.state == PlanState::NoAnswer {
                    is_lost = true;
                } else if rule.answering.contains(pool) {
                    stays = true;
                } else if rule.step.is_none_or(|step| own <= step) {
                    // Else a step before it answers, as it did.
                    moves = true;
                    found.instead.extend(rule.answering);
                } else if rule.ends_hold || rule.state == PlanState::LastResort {
                    is_kept = true;
                    found.before.extend(rule.answering);
                }
            }
            let names = policy.attach.len();
            found.moved += names * usize::from(moves);
            found.anyway += names * usize::from(stays);
            found.unanswered += names * usize::from(is_lost);
            found.kept += names * usize::from(is_kept);
        }
        found
    }

    /// Nobody's answer is another because the pool is out.
    pub fn is_nothing(&self) -> bool {
        self.moved + self.unanswered == 0
    }

    fn said(&self, pool: &Id<Pool>) -> Vec<Text> {
        let names = |n| count(n, "1 name", "{n} names");
        let mut said = Vec::new();
        let listed =
            |pools: &BTreeSet<Id<Pool>>| pools.iter().take(MAX_NAMED).map(Id::as_str).collect::<Vec<_>>().join(", ");
        if self.moved > 0 {
            let words = text("Clients of {names} get {pools} meanwhile.");
            said.push(words.say("names", names(self.moved)).set("pools", listed(&self.instead)));
        }
        if self.anyway > 0 {
            let words = text("Clients of {names} get {pool} all the same: nothing else of their rule is up.");
            said.push(words.say("names", names(self.anyway)).set("pool", pool));
        }
        if self.kept > 0 {
            let words = text("Clients of {names} get {pools} all the same: nothing of their rule is up.");
            said.push(words.say("names", names(self.kept)).set("pools", listed(&self.before)));
        }
        match self.unanswered {
            _ if self.is_nothing() && self.anyway + self.kept == 0 => {
                said.push(text("No client needs it now: others come first."))
            }
            0 => said.push(text("No client is without an answer.")),
            n => said.push(text("Some clients of {names} get no answer.").say("names", names(n))),
        }
        said
    }
}

/// The step that a pool stands in; a last resort comes after them.
fn place_in(rule: &Rule, pool: &Id<Pool>) -> Option<usize> {
    let step = rule.steps.iter().position(|step| step.pools.iter().any(|used| used.pool == *pool));
    step.or_else(|| (rule.last_resort == LastResort::Pool(pool.clone())).then_some(rule.steps.len()))
}

pub fn meanwhile(visit: &Visit, scene: &Scene) -> Meanwhile {
    let uses = uses(&scene.live);
    let users = uses.get(&scene.id).map_or(&[][..], Vec::as_slice);
    Meanwhile::of(&visit.web.control.snapshot(), &policies(&scene.live, users), &scene.id)
}

fn takes_over(visit: &Visit, scene: &Scene, names: usize) -> Vec<Text> {
    match names {
        0 => vec![text("No name uses this pool.")],
        _ => meanwhile(visit, scene).said(&scene.id),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::switched;
    use crate::control::fixture::{document, snapshot, step};
    use crate::web::ui::text::Language;
    use serde_json::json;

    #[test]
    fn what_clients_get_meanwhile_is_told_of_every_rule() {
        let attach = |name: &str| json!([{ "zone": "z", "name": format!("{name}.z.test."), "types": ["A"] }]);
        let policy = |name: &str, pools: &[&str], last: &str| {
            let steps: Vec<_> = pools.iter().map(|pool| step(pool)).collect();
            json!({ "attach": attach(name), "rules": [{ "name": "All", "steps": steps, "last_resort": last }] })
        };
        let mut document = document();
        document["policies"] = json!({
            "both": policy("both", &["eu", "us"], "serve_anyway"),
            "only": policy("only", &["eu"], "serve_anyway"),
            "strict": policy("strict", &["eu"], "no_answer"),
            "other": policy("other", &["us", "eu"], "serve_anyway"),
        });
        let well = snapshot(&document, &HealthTable::default());
        let eu: Id<Pool> = "eu".parse().unwrap();
        let us: Id<Pool> = "us".parse().unwrap();
        let said = |policies: &[&str], states: &[(&Id<Pool>, PoolState)]| {
            let health =
                states.iter().fold(HealthTable::default(), |health, (pool, state)| switched(&health, pool, *state));
            let model = well.model();
            let ids: Vec<Id<Policy>> = policies.iter().map(|id| id.parse().unwrap()).collect();
            let policies: Vec<_> = ids.iter().map(|id| (id, &model.policies[id])).collect();
            let found = Meanwhile::of(&well.with_health(&health), &policies, &eu);
            let said: Vec<String> = found.said(&eu).iter().map(|text| text.to_html(Language::English)).collect();
            said.join(" ")
        };
        let (down, drain) = (PoolState::Down, PoolState::Drain);
        let all_the_same = "Clients of 1 name get eu all the same: nothing else of their rule is up.";
        let before =
            "Clients of 1 name get us all the same: nothing of their rule is up. No client is without an answer.";
        for (policies, states, expected) in [
            (&["both"][..], &[(&eu, down)][..], "Clients of 1 name get us meanwhile. No client is without an answer."),
            (&["both"], &[(&eu, down), (&us, drain)], &format!("{all_the_same} No client is without an answer.")),
            (&["both"], &[(&eu, drain), (&us, drain)], "Some clients of 1 name get no answer."),
            (&["other"], &[(&eu, down)], "No client needs it now: others come first."),
            (&["other"], &[(&eu, down), (&us, PoolState::Held)], before),
            (&["other"], &[(&eu, down), (&us, down)], before),
            (&["strict"], &[(&eu, down)], "Some clients of 1 name get no answer."),
            (
                &["both", "only", "strict"],
                &[(&eu, down)],
                &format!("Clients of 1 name get us meanwhile. {all_the_same} Some clients of 1 name get no answer."),
            ),
        ] {
            assert_eq!(said(policies, states), expected, "{policies:?} {states:?}");
        }
    }
}
