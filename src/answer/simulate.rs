//! What groups of clients get: one explanation for all of them that are answered alike. And worlds that are
//! not: pools assumed to be down.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Serialize;

use super::explain::{Trace, explain};
use super::{Client, Entropy, Question, RuleVerdict, Snapshot, Subnet};
use crate::health::{HealthTable, PoolState};
use crate::model::{Id, Pool};

/// The resolver where only a client is given: a documentation address (RFC 5737) that no geo database places,
/// so that the client's own place decides.
pub const ANY_RESOLVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 53));

/// Clients that are answered alike.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Explained {
    /// Their share of all that were asked about, 0 to 1.
    pub share: f64,
    /// Networks that stand for them, the largest first; empty where only a resolver was given.
    #[schema(value_type = Vec<String>)]
    pub networks: Vec<IpNet>,
    /// What the first of them gets, and why.
    pub trace: Trace,
}

/// Asks for each network, the largest groups first. Without networks the resolver alone is placed.
pub fn simulate(
    snapshot: &Snapshot,
    question: &Question,
    networks: &[(IpNet, f64)],
    resolver: IpAddr,
    now_ms: u64,
    seed: u64,
) -> Vec<Explained> {
    let ask = |subnet| {
        let client = Client { resolver, subnet };
        explain(snapshot, question, &client, now_ms, &mut Entropy::new(seed))
    };
    if networks.is_empty() {
        return vec![Explained { share: 1.0, networks: Vec::new(), trace: ask(None) }];
    }
    let mut groups: Vec<Explained> = Vec::new();
    for &(network, share) in networks {
        let trace = ask(Some(Subnet { address: network.network(), source: network.prefix_len() }));
        match groups.iter_mut().find(|group| alike(&group.trace, &trace)) {
            Some(group) => {
                group.share += share;
                group.networks.push(network);
            }
            None => groups.push(Explained { share, networks: vec![network], trace }),
        }
    }
    groups.sort_by(|a, b| b.share.total_cmp(&a.share));
    groups
}

/// True when both come from the same rule, with the same odds.
fn alike(a: &Trace, b: &Trace) -> bool {
    match (&a.steering, &b.steering) {
        (Some(_), Some(_)) => rule(a) == rule(b) && pools(a) == pools(b),
        (None, None) => a.rcode == b.rcode && a.answer == b.answer,
        _ => false,
    }
}

fn rule(trace: &Trace) -> Option<usize> {
    trace.steering.as_ref()?.rules.iter().position(|rule| rule.verdict == RuleVerdict::Matches)
}

/// The pools that answer, each with its odds in thousandths; empty where none does, or nothing is steered.
pub fn pools(trace: &Trace) -> Vec<(&str, u16)> {
    let Some(steering) = &trace.steering else { return Vec::new() };
    let pools = steering.steps.iter().flat_map(|step| &step.pools);
    let odds = pools.filter_map(|pool| Some((&*pool.pool, (pool.odds? * 1000.0).round() as u16)));
    let odds: Vec<(&str, u16)> = odds.filter(|(_, odds)| *odds > 0).collect();
    match &steering.choice.pool {
        Some(pool) if odds.is_empty() => vec![(pool, 1000)],
        _ => odds,
    }
}

/// The same health, but with these pools down.
pub fn suppose_down(health: &HealthTable, down: &[Id<Pool>]) -> HealthTable {
    let mut health = health.clone();
    for id in down {
        let known = Arc::make_mut(health.pools.entry(id.clone()).or_default());
        known.state = PoolState::Down;
        (known.earliest_change_ms, known.since_ms) = (None, 0);
        known.reason = "assumed here".into();
    }
    health
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NOW_MS, World, name, rule};
    use super::*;
    use crate::model::RecordType;

    fn world() -> World {
        let mut world = World::default();
        world.zone("example.test.").pools(&["main", "spare"]).region("near", &["cidr:203.0.113.0/24"]);
        let near = rule(&["near"], &["weighted main=1", "weighted spare=1"], "serve_anyway");
        world.policy("web", "www.example.test.", vec![near, rule(&[], &["weighted spare=1"], "refuse")]);
        world
    }

    fn ask(world: &World, networks: &[(&str, f64)]) -> Vec<(f64, usize, Vec<(String, u16)>)> {
        let owner = name("www.example.test.");
        let question = Question { name: owner.as_wire(), rtype: RecordType::A };
        let networks: Vec<_> = networks.iter().map(|(text, share)| (text.parse().unwrap(), *share)).collect();
        let groups = simulate(&world.snapshot(), &question, &networks, ANY_RESOLVER, NOW_MS, 1);
        let owned = |trace: &Trace| pools(trace).into_iter().map(|(pool, odds)| (pool.to_owned(), odds)).collect();
        groups.iter().map(|group| (group.share, group.networks.len(), owned(&group.trace))).collect()
    }

    #[test]
    fn clients_that_are_answered_alike_are_one_group() {
        let networks = [("198.51.100.0/24", 0.25), ("203.0.113.0/25", 0.25), ("203.0.113.128/25", 0.5)];
        let (main, spare) = (("main".to_owned(), 1000), ("spare".to_owned(), 1000));
        assert_eq!(ask(&world(), &networks), [(0.75, 2, vec![main]), (0.25, 1, vec![spare.clone()])]);
        assert_eq!(ask(&world(), &[]), [(1.0, 0, vec![spare])]);
    }

    #[test]
    fn a_pool_that_is_assumed_down_is_passed_over() {
        let mut world = world();
        world.health = suppose_down(&world.health, &["main".parse().unwrap()]);
        assert_eq!(ask(&world, &[("203.0.113.0/24", 1.0)]), [(1.0, 1, vec![("spare".to_owned(), 1000)])]);
    }
}
