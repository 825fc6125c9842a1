//! What an operational switch would do, before it is made: whose answers move, and who would be left without
//! one. Reads what it is given and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::answer::{PlanState, Snapshot, outlook, outlook_class, policy_state, switched};
use crate::health::{EndpointState, Family, HealthTable, PoolState};
use crate::model::{Endpoint, Id, LastResort, Model, Policy, Pool, Recovery, Rule};

/// Policies whose shares are worked out; the rest are counted.
const MAX_POLICIES: usize = 200;
/// Shares below this are nothing to anybody.
pub const NOTHING: f64 = 0.0005;

/// What would happen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Effect {
    /// Names whose answers can move.
    pub names: usize,
    /// Those of them that have an answer for at least some of the clients.
    pub moving: usize,
    /// Pools with their share of the clients of those names, now and after; the largest first.
    pub pools: Vec<(Id<Pool>, f64, f64)>,
    /// Share of clients without an answer, now and after.
    pub unanswered: (f64, f64),
    /// Rules whose clients would be left without an answer and have one now.
    pub stranded: Vec<Stranded>,
    /// The longest that a resolver keeps an answer of those names, in seconds.
    pub ttl: u32,
    pub not_compared: usize,
}

impl Effect {
    /// Some clients get no answer, now or then.
    pub fn has_unanswered(&self) -> bool {
        self.unanswered.0.max(self.unanswered.1) > NOTHING
    }
}

/// A rule that would have nobody to answer with.
#[derive(Debug, Clone, PartialEq)]
pub struct Stranded {
    /// A name of the policy.
    pub name: String,
    /// From 1.
    pub rule: usize,
    /// The rule for everyone else.
    pub is_last: bool,
    /// Its pools.
    pub pools: Vec<String>,
    /// It must not leave them: a residency lock keeps it there.
    pub is_locked: bool,
}

/// `states` are the switches, `answers` how many queries each policy had: busy names weigh more.
pub fn effect(
    snapshot: &Snapshot,
    health: &HealthTable,
    states: &[(Id<Pool>, PoolState)],
    answers: &BTreeMap<Id<Policy>, u64>,
) -> Effect {
    let after = states.iter().fold(health.clone(), |health, (pool, state)| switched(&health, pool, *state));
    effect_of(snapshot, &after, &states.iter().map(|(pool, _)| pool).collect(), answers)
}

/// As `effect`, with the health that there would be; `named` are the pools that it touches.
pub fn effect_of(
    snapshot: &Snapshot,
    after: &HealthTable,
    named: &BTreeSet<&Id<Pool>>,
    answers: &BTreeMap<Id<Policy>, u64>,
) -> Effect {
    let after = snapshot.with_health(after);
    let model = snapshot.model();
    let touched = users(model, named);
    let mut effect = Effect {
        names: touched.iter().map(|(_, policy)| policy.attach.len()).sum(),
        ttl: touched.iter().map(|(_, policy)| policy.ttl).max().unwrap_or_default(),
        not_compared: touched.len().saturating_sub(MAX_POLICIES),
        ..Effect::default()
    };
    for (_, policy) in &touched {
        let (now, then) = (without_answer(snapshot, policy), without_answer(&after, policy));
        let mut using = policy.rules.iter().enumerate().filter(|(_, rule)| rule.enabled && uses(rule, named));
        if using.any(|(at, _)| !then.contains(&at)) {
            effect.moving += policy.attach.len();
        }
        effect.stranded.extend(then.difference(&now).filter_map(|rule| stranded(policy, *rule)));
    }
    let compared = &touched[..touched.len().min(MAX_POLICIES)];
    share_out(&mut effect, snapshot, &after, compared, &clients(snapshot), answers);
    effect
}

/// A name that nobody has asked for yet counts as one query.
pub(super) fn weight(answers: &BTreeMap<Id<Policy>, u64>, id: &Id<Policy>) -> f64 {
    answers.get(id).copied().unwrap_or_default() as f64 + 1.0
}

/// The enabled policies that can answer with one of these pools.
fn users<'m>(model: &'m Model, pools: &BTreeSet<&Id<Pool>>) -> Vec<(&'m Id<Policy>, &'m Policy)> {
    let is_user = |policy: &Policy| policy.rules.iter().any(|rule| rule.enabled && uses(rule, pools));
    let used = model.policies.iter().filter(|(_, policy)| policy.enabled && is_user(policy));
    used.map(|(id, policy)| (id, &**policy)).collect()
}

fn uses(rule: &Rule, pools: &BTreeSet<&Id<Pool>>) -> bool {
    let resort = matches!(&rule.last_resort, LastResort::Pool(pool) if pools.contains(pool));
    resort || rule.steps.iter().flat_map(|step| &step.pools).any(|used| pools.contains(&used.pool))
}

/// The health that there is once the addresses of an endpoint have these states, because a person holds it or lets it
/// go, and the pools that this touches.
pub fn held<'m>(
    model: &'m Model,
    health: &HealthTable,
    id: &Id<Endpoint>,
    states: &BTreeMap<Family, EndpointState>,
) -> (HealthTable, BTreeSet<&'m Id<Pool>>) {
    let mut after = health.foresee_states(model, id, states);
    let moves = |id: &Id<Endpoint>| match (health.endpoints.get(id), after.endpoints.get(id)) {
        (Some(was), Some(is)) => !Arc::ptr_eq(was, is),
        (was, is) => was.is_some() != is.is_some(),
    };
    let touched: BTreeMap<&Id<Pool>, &Arc<Pool>> =
        model.pools.iter().filter(|(_, pool)| pool.members.iter().any(|member| moves(&member.endpoint))).collect();
    for (id, pool) in &touched {
        let was = health.pools.get(*id).map_or(PoolState::Ok, |known| known.state);
        let state = match (was, after.standing(pool).is_short()) {
            (PoolState::Ok | PoolState::Held, true) => PoolState::Down,
            (PoolState::Down, false) if pool.recovery == Recovery::Auto => PoolState::Ok,
            (PoolState::Down, false) => PoolState::Held,
            _ => continue,
        };
        after = switched(&after, id, state);
    }
    (after, touched.into_keys().collect())
}

/// One client of every country, with its share of the known addresses.
pub(super) fn clients(snapshot: &Snapshot) -> Vec<(IpAddr, f64)> {
    let samples = snapshot.geo().one_of_each();
    samples.iter().filter_map(|sample| Some(((*sample.addresses.first()?).into(), sample.share))).collect()
}

fn share_out(
    effect: &mut Effect,
    before: &Snapshot,
    after: &Snapshot,
    policies: &[(&Id<Policy>, &Policy)],
    clients: &[(IpAddr, f64)],
    answers: &BTreeMap<Id<Policy>, u64>,
) {
    let clients_total: f64 = clients.iter().map(|(_, share)| share).sum();
    let total: f64 = policies.iter().map(|(id, _)| weight(answers, id)).sum::<f64>() * clients_total;
    if total <= 0.0 {
        return;
    }
    let mut pools: BTreeMap<Id<Pool>, (f64, f64)> = BTreeMap::new();
    for (id, _) in policies {
        for (address, share) in &classes(before, id, clients) {
            let part = weight(answers, id) * share / total;
            if let Some(found) = outlook(before, id, *address) {
                found.pools.into_iter().for_each(|(pool, odds)| pools.entry(pool).or_default().0 += odds * part);
                effect.unanswered.0 += found.unanswered * part;
            }
            if let Some(found) = outlook(after, id, *address) {
                found.pools.into_iter().for_each(|(pool, odds)| pools.entry(pool).or_default().1 += odds * part);
                effect.unanswered.1 += found.unanswered * part;
            }
        }
    }
    effect.pools = pools.into_iter().map(|(pool, (now, then))| (pool, now, then)).collect();
    effect.pools.sort_by(|a, b| b.1.max(b.2).total_cmp(&a.1.max(a.2)));
}

/// One client of each kind that a policy tells apart, with the share of all that are like it.
pub(super) fn classes(snapshot: &Snapshot, policy: &Id<Policy>, clients: &[(IpAddr, f64)]) -> Vec<(IpAddr, f64)> {
    let mut classes: BTreeMap<Option<u64>, (IpAddr, f64)> = BTreeMap::new();
    for (address, share) in clients {
        let class = outlook_class(snapshot, policy, *address);
        classes.entry(class).or_insert((*address, 0.0)).1 += share;
    }
    classes.into_values().collect()
}

/// The rules of a policy whose clients get no answer, from 0.
fn without_answer(snapshot: &Snapshot, policy: &Policy) -> BTreeSet<usize> {
    let state = policy_state(snapshot, policy);
    state.rules.iter().filter(|rule| rule.state == PlanState::NoAnswer).map(|rule| rule.rule).collect()
}

fn stranded(policy: &Policy, rule: usize) -> Option<Stranded> {
    let configured = policy.rules.get(rule)?;
    let name = policy.attach.first()?.name.to_string();
    let mut pools: Vec<String> =
        configured.steps.iter().flat_map(|step| &step.pools).map(|used| used.pool.to_string()).collect();
    pools.dedup();
    let name = name.trim_end_matches('.').to_owned();
    let is_locked = configured.residency_lock.is_some();
    Some(Stranded { name, rule: rule + 1, is_last: rule + 1 == policy.rules.len(), pools, is_locked })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::{document, snapshot, step};
    use crate::health::{Health, Latency, Outcome, Said, Switch, Target};
    use serde_json::json;

    /// One name that can fail over, and one that cannot.
    fn world() -> std::sync::Arc<Snapshot> {
        let mut document = document();
        document["policies"] = json!({
            "app": { "ttl": 40, "attach": [{ "zone": "z", "name": "app.z.test.", "types": ["A"] }],
                "rules": [{ "name": "Everyone else", "steps": [step("eu"), step("us")] }] },
            "only": { "ttl": 20, "attach": [{ "zone": "z", "name": "only.z.test.", "types": ["A"] }],
                "rules": [{ "name": "Everyone else", "last_resort": "no_answer", "steps": [step("eu")] }] },
        });
        snapshot(&document, &HealthTable::default())
    }

    #[test]
    fn a_drain_moves_shares_and_names_whom_it_strands() {
        let (eu, us): (Id<Pool>, Id<Pool>) = ("eu".parse().unwrap(), "us".parse().unwrap());
        // The name that can fail over is asked three times as often.
        let answers = BTreeMap::from([("app".parse().unwrap(), 2)]);
        let effect = effect(&world(), &HealthTable::default(), &[(eu.clone(), PoolState::Drain)], &answers);
        // The name that nothing else answers for gets no other pool.
        assert_eq!((effect.names, effect.moving, effect.ttl, effect.not_compared), (2, 1, 40, 0));
        // Nor does it when there was no answer for it before.
        let down = world().with_health(&switched(&HealthTable::default(), &eu, PoolState::Down));
        let again = super::effect(&down, &HealthTable::default(), &[(eu.clone(), PoolState::Drain)], &answers);
        assert_eq!((again.names, again.moving, again.stranded.len()), (2, 1, 0));
        let rounded: Vec<(Id<Pool>, i32, i32)> = effect
            .pools
            .iter()
            .map(|(id, now, then)| (id.clone(), (now * 100.0).round() as i32, (then * 100.0).round() as i32))
            .collect();
        assert_eq!(rounded, [(eu, 100, 0), (us, 0, 75)]);
        assert!((effect.unanswered.1 - 0.25).abs() < 0.001, "{:?}", effect.unanswered);
        assert_eq!(effect.stranded.len(), 1);
        assert_eq!((effect.stranded[0].name.as_str(), effect.stranded[0].is_last), ("only.z.test", true));
    }

    #[test]
    fn holding_the_only_endpoint_down_takes_its_pool_out() {
        let snapshot = world();
        let model = snapshot.model();
        let eu: Id<Pool> = "eu".parse().unwrap();
        let endpoint = model.pools[&eu].members[0].endpoint.clone();
        let (health, _) = Health::new(model, &[], 0);
        let as_held = |health: &HealthTable, state| {
            let (after, touched) = held(model, health, &endpoint, &[(Family::Ipv4, state)].into());
            assert_eq!(touched, BTreeSet::from([&eu]));
            after
        };
        let down = as_held(health.table(), EndpointState::Down);
        assert_eq!(down.pools[&eu].state, PoolState::Down);
        let effect = effect_of(&snapshot, &down, &BTreeSet::from([&eu]), &BTreeMap::new());
        assert_eq!((effect.moving, effect.stranded.len()), (1, 1));
        // A pool that waits after an outage waits after this one too.
        assert_eq!(as_held(&down, EndpointState::Up).pools[&eu].state, PoolState::Held);
    }

    #[test]
    fn an_endpoint_that_is_let_go_is_what_all_its_checks_say_together() {
        let mut document = document();
        document["monitors"] = json!({ "a": { "type": "tcp", "port": 80 }, "b": { "type": "tcp", "port": 81 } });
        let votes = json!([
            { "monitor": "a", "role": "vote" }, { "monitor": "b", "role": "vote" }, { "monitor": "c", "role": "vote" }
        ]);
        document["monitors"]["c"] = json!({ "type": "tcp", "port": 82 });
        document["endpoints"]["one"] = json!({ "ipv4": "192.0.2.1", "monitors": votes });
        document["endpoints"]["two"] = json!({ "ipv4": "192.0.2.2", "serve": "never" });
        document["endpoints"]["three"] = json!({ "ipv4": "192.0.2.3", "depends_on": ["two"] });
        let snapshot = snapshot(&document, &HealthTable::default());
        let model = snapshot.model();
        let (mut health, _) = Health::new(model, &[], 0);
        let target = |monitor: &str| Target {
            monitor: monitor.parse().unwrap(),
            endpoint: "one".parse().unwrap(),
            family: Family::Ipv4,
        };
        for (monitor, result) in [("a", Err("refused".to_owned())), ("b", Ok(())), ("c", Ok(()))] {
            for second in 1..10 {
                let (at_ms, result) = (1000 * second, result.clone());
                let (latency, said) = (Latency::default(), Said::default());
                let next_probe_ms = at_ms + 1000;
                let outcome = Outcome { at_ms, result, latency, certificate_ends: None, next_probe_ms, said };
                health.observe(&target(monitor), &outcome);
            }
        }
        let checks = health.checks(&"one".parse().unwrap());
        assert!(checks.iter().any(|check| check.state == EndpointState::Down), "{checks:?}");
        for (id, state) in [("one", EndpointState::Up), ("two", EndpointState::Down), ("three", EndpointState::Down)] {
            let id: Id<Endpoint> = id.parse().unwrap();
            let force = |state| Switch::Force { endpoint: id.clone(), family: None, state };
            let other = if state == EndpointState::Up { EndpointState::Down } else { EndpointState::Up };
            health.act(&force(Some(other)), "ann", "test", 20_000).unwrap();
            assert_eq!(health.table().is_down(&id), other == EndpointState::Down);
            let foreseen = held(model, health.table(), &id, &health.unheld(&id)).0;
            assert_eq!(foreseen.is_down(&id), state == EndpointState::Down, "{id}");
            health.act(&force(None), "ann", "test", 21_000).unwrap();
            assert_eq!(health.table().is_down(&id), foreseen.is_down(&id), "{id}");
        }
    }
}
