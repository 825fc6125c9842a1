//! What an operational switch would do, before it is made: whose answers move, and who would be left without
//! one. Reads what it is given and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::answer::{PlanState, Snapshot, outlook, policy_state, switched};
use crate::health::{HealthTable, PoolState};
use crate::model::{Id, LastResort, Policy, Pool};

/// Policies whose shares are worked out; the rest are counted.
const MAX_POLICIES: usize = 200;

/// What would happen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Effect {
    /// Names whose answers can move.
    pub names: usize,
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
    pub rule_name: String,
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
    let after = snapshot.with_health(&after);
    let named: BTreeSet<&Id<Pool>> = states.iter().map(|(pool, _)| pool).collect();
    let model = snapshot.model();
    let uses = |policy: &Policy| {
        policy.rules.iter().filter(|rule| rule.enabled).any(|rule| {
            let resort = matches!(&rule.last_resort, LastResort::Pool(pool) if named.contains(pool));
            resort || rule.steps.iter().flat_map(|step| &step.pools).any(|used| named.contains(&used.pool))
        })
    };
    let touched: Vec<(&Id<Policy>, &Policy)> =
        model.policies.iter().filter(|(_, policy)| policy.enabled && uses(policy)).map(|(id, p)| (id, &**p)).collect();
    let mut effect = Effect {
        names: touched.iter().map(|(_, policy)| policy.attach.len()).sum(),
        ttl: touched.iter().map(|(_, policy)| policy.ttl).max().unwrap_or_default(),
        not_compared: touched.len().saturating_sub(MAX_POLICIES),
        ..Effect::default()
    };
    effect.stranded = touched.iter().flat_map(|(_, policy)| stranded(snapshot, &after, policy)).collect();
    let clients: Vec<(IpAddr, f64)> = snapshot
        .geo()
        .samples(1)
        .iter()
        .filter_map(|sample| Some(((*sample.addresses.first()?).into(), sample.share)))
        .collect();
    let compared = &touched[..touched.len().min(MAX_POLICIES)];
    share_out(&mut effect, snapshot, &after, compared, &clients, answers);
    effect
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
        for (address, share) in clients {
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
        Some(Stranded { name, rule: rule + 1, rule_name: configured.name.clone(), pools })
    };
    then.difference(&now).filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::{document, snapshot, step};
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
        assert_eq!((effect.names, effect.ttl, effect.not_compared), (2, 40, 0));
        let rounded: Vec<(Id<Pool>, i32, i32)> = effect
            .pools
            .iter()
            .map(|(id, now, then)| (id.clone(), (now * 100.0).round() as i32, (then * 100.0).round() as i32))
            .collect();
        assert_eq!(rounded, [(eu, 100, 0), (us, 0, 75)]);
        assert!((effect.unanswered.1 - 0.25).abs() < 0.001, "{:?}", effect.unanswered);
        assert_eq!(effect.stranded.len(), 1);
        assert_eq!((effect.stranded[0].name.as_str(), effect.stranded[0].rule), ("only.z.test", 1));
    }
}
