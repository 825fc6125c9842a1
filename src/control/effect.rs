//! What an operational switch would do, before it is made: whose answers move, and who would be left without
//! one. Reads what it is given and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::answer::{PlanState, Snapshot, outlook, outlook_class, policy_state, switched};
use crate::health::{EndpointState, HealthTable, PoolState, needed};
use crate::model::{Endpoint, Id, LastResort, Model, Policy, Pool, Recovery, Rule};

/// Policies whose shares are worked out; the rest are counted.
const MAX_POLICIES: usize = 200;

/// What would happen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Effect {
    /// Names whose answers can move.
    pub names: usize,
    /// Those of them that have another pool for at least some of the clients.
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

/// A rule that would have nobody to answer with.
#[derive(Debug, Clone, PartialEq)]
pub struct Stranded {
    /// A name of the policy.
    pub name: String,
    /// From 1.
    pub rule: usize,
    /// The rule for everyone else.
    pub is_last: bool,
    /// The pools that it must stay within.
    pub pools: Vec<String>,
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
        let stranded = stranded(snapshot, &after, policy);
        let using = policy.rules.iter().enumerate().filter(|(_, rule)| rule.enabled && uses(rule, named));
        if using.map(|(at, _)| at + 1).any(|rule| !stranded.iter().any(|stranded| stranded.rule == rule)) {
            effect.moving += policy.attach.len();
        }
        effect.stranded.extend(stranded);
    }
    let compared = &touched[..touched.len().min(MAX_POLICIES)];
    share_out(&mut effect, snapshot, &after, compared, &clients(snapshot), answers);
    effect
}

/// Which share of the clients of its names a pool gets now, and which it would get if nothing were down; `None` for
/// a pool that no name uses.
pub fn planned(snapshot: &Snapshot, pool: &Id<Pool>, answers: &BTreeMap<Id<Policy>, u64>) -> Option<(f64, f64)> {
    let mut touched = users(snapshot.model(), &BTreeSet::from([pool]));
    touched.truncate(MAX_POLICIES);
    if touched.is_empty() {
        return None;
    }
    let mut pools: BTreeSet<&Id<Pool>> = BTreeSet::new();
    for rule in touched.iter().flat_map(|(_, policy)| &policy.rules) {
        pools.extend(rule.steps.iter().flat_map(|step| &step.pools).map(|used| &used.pool));
        if let LastResort::Pool(last) = &rule.last_resort {
            pools.insert(last);
        }
    }
    let well = snapshot.with_well(&pools);
    let mut effect = Effect::default();
    share_out(&mut effect, snapshot, &well, &touched, &clients(snapshot), answers);
    let own = effect.pools.iter().find(|(id, ..)| id == pool);
    Some(own.map_or((0.0, 0.0), |(_, now, planned)| (*now, *planned)))
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

/// The health that there is once a person holds an endpoint in `state`, or lets it go while its checks say so.
pub fn held(model: &Model, health: &HealthTable, id: &Id<Endpoint>, state: EndpointState) -> HealthTable {
    let mut health = health.clone();
    if let Some(known) = health.endpoints.get_mut(id) {
        // What somebody forced before has ended by then.
        let families = Arc::make_mut(known).families.values_mut();
        families.for_each(|family| (family.state, family.forced) = (state, None));
    }
    let is_up = |id: &Id<Endpoint>| {
        let families = health.endpoints.get(id).map(|known| &known.families).filter(|families| !families.is_empty());
        families.is_none_or(|families| families.values().any(|family| family.state != EndpointState::Down))
    };
    let mut states = Vec::new();
    for (pool_id, pool) in
        model.pools.iter().filter(|(_, pool)| pool.members.iter().any(|member| member.endpoint == *id))
    {
        let counted: Vec<bool> = pool
            .members
            .iter()
            .filter(|member| member.enabled && member.weight > 0)
            .map(|member| is_up(&member.endpoint))
            .collect();
        let is_healthy = counted.iter().filter(|up| **up).count() >= needed(pool.healthy_when, counted.len());
        let was = health.pools.get(pool_id).map_or(PoolState::Ok, |known| known.state);
        match (was, is_healthy) {
            (PoolState::Ok | PoolState::Held, false) => states.push((pool_id, PoolState::Down)),
            (PoolState::Down, true) if pool.recovery == Recovery::Auto => states.push((pool_id, PoolState::Ok)),
            (PoolState::Down, true) => states.push((pool_id, PoolState::Held)),
            _ => {}
        }
    }
    states.into_iter().fold(health.clone(), |health, (pool, state)| switched(&health, pool, state))
}

/// One client of every country, with its share of the known addresses.
fn clients(snapshot: &Snapshot) -> Vec<(IpAddr, f64)> {
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
    // A name that nobody has asked for yet counts as one query.
    let weight = |id: &Id<Policy>| answers.get(id).copied().unwrap_or_default() as f64 + 1.0;
    let clients_total: f64 = clients.iter().map(|(_, share)| share).sum();
    let total: f64 = policies.iter().map(|(id, _)| weight(id)).sum::<f64>() * clients_total;
    if total <= 0.0 {
        return;
    }
    let mut pools: BTreeMap<Id<Pool>, (f64, f64)> = BTreeMap::new();
    for (id, _) in policies {
        for (address, share) in &classes(before, id, clients) {
            let part = weight(id) * share / total;
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
fn classes(snapshot: &Snapshot, policy: &Id<Policy>, clients: &[(IpAddr, f64)]) -> Vec<(IpAddr, f64)> {
    let mut classes: BTreeMap<Option<u64>, (IpAddr, f64)> = BTreeMap::new();
    for (address, share) in clients {
        let class = outlook_class(snapshot, policy, *address);
        classes.entry(class).or_insert((*address, 0.0)).1 += share;
    }
    classes.into_values().collect()
}

fn stranded(before: &Snapshot, after: &Snapshot, policy: &Policy) -> Vec<Stranded> {
    let is_stranded = |snapshot: &Snapshot| -> BTreeSet<usize> {
        let state = policy_state(snapshot, policy);
        state.rules.iter().filter(|rule| rule.state == PlanState::NoAnswer).map(|rule| rule.rule).collect()
    };
    let then = is_stranded(after);
    let now = is_stranded(before);
    let named = |rule: &usize| {
        let configured = policy.rules.get(*rule)?;
        let name = policy.attach.first()?.name.to_string();
        let mut pools: Vec<String> =
            configured.steps.iter().flat_map(|step| &step.pools).map(|used| used.pool.to_string()).collect();
        pools.dedup();
        let name = name.trim_end_matches('.').to_owned();
        Some(Stranded { name, rule: rule + 1, is_last: rule + 1 == policy.rules.len(), pools })
    };
    then.difference(&now).filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::{document, snapshot, step};
    use crate::health::{Family, FamilyHealth};
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
    fn the_planned_share_is_that_without_any_failure() {
        let snapshot = world();
        let [eu, us]: [Id<Pool>; 2] = ["eu", "us"].map(|id| id.parse().unwrap());
        let down = snapshot.with_health(&switched(&HealthTable::default(), &eu, PoolState::Down));
        let answers = BTreeMap::from([("app".parse().unwrap(), 2)]);
        let of = |snapshot: &Snapshot, pool: &Id<Pool>| {
            let percent = |share: f64| (share * 100.0).round() as i32;
            planned(snapshot, pool, &answers).map(|(now, planned)| (percent(now), percent(planned)))
        };
        assert_eq!((of(&snapshot, &eu), of(&snapshot, &us)), (Some((100, 100)), Some((0, 0))));
        assert_eq!((of(&down, &eu), of(&down, &us)), (Some((0, 100)), Some((100, 0))));
        assert_eq!(of(&snapshot, &"gone".parse().unwrap()), None);
    }

    #[test]
    fn a_drain_moves_shares_and_names_whom_it_strands() {
        let (eu, us): (Id<Pool>, Id<Pool>) = ("eu".parse().unwrap(), "us".parse().unwrap());
        // The name that can fail over is asked three times as often.
        let answers = BTreeMap::from([("app".parse().unwrap(), 2)]);
        let effect = effect(&world(), &HealthTable::default(), &[(eu.clone(), PoolState::Drain)], &answers);
        // The name that nothing else answers for gets no other pool.
        assert_eq!((effect.names, effect.moving, effect.ttl, effect.not_compared), (2, 1, 40, 0));
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
        let mut health = HealthTable::default();
        let known = crate::health::EndpointHealth { families: [(Family::Ipv4, FamilyHealth::default())].into() };
        health.endpoints.insert(endpoint.clone(), Arc::new(known));
        let down = held(model, &health, &endpoint, EndpointState::Down);
        assert_eq!(down.pools[&eu].state, PoolState::Down);
        let effect = effect_of(&snapshot, &down, &BTreeSet::from([&eu]), &BTreeMap::new());
        assert_eq!((effect.moving, effect.stranded.len()), (1, 1));
        // A pool that waits after an outage waits after this one too.
        assert_eq!(held(model, &down, &endpoint, EndpointState::Up).pools[&eu].state, PoolState::Held);
    }
}
