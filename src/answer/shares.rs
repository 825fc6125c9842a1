//! How answers are shared now, by the code that makes them: inside a pool by its servers, and of a policy
//! by its pools.

use std::net::IpAddr;
use std::sync::Arc;

use super::live::LivePool;
use super::odds::odds;
use super::plan::Resort;
use super::snapshot::Snapshot;
use super::steer::{Pass, may_serve};
use crate::health::{Family, HealthTable, PoolState};
use crate::model::{Endpoint, Id, Model, Policy, Pool, RecordType};

/// One address of a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    pub endpoint: Id<Endpoint>,
    pub family: Family,
    /// Odds from 0 to 1 to be the first record of an answer of its family from this pool.
    pub share: f64,
}

/// Who is answered of a pool when it is come to in a round, in the order of its members.
pub fn shares(model: &Model, health: &HealthTable, id: &Id<Pool>, pool: &Arc<Pool>, pass: Pass) -> Vec<Share> {
    let live = LivePool::new(pool, id, model, health);
    let mut shares = Vec::with_capacity(live.servers.len());
    for (server, at) in live.servers.iter().zip(0u8..) {
        let rtype = match server.family {
            Family::Ipv4 => RecordType::A,
            Family::Ipv6 => RecordType::AAAA,
            Family::Name => RecordType::CNAME,
        };
        let from = live.picked_from(live.choices(rtype), pass);
        let total: u32 =
            from.iter().filter_map(|&at| live.servers.get(usize::from(at))).map(|s| u32::from(s.weight)).sum();
        let share = if from.contains(&at) { f64::from(server.weight) / f64::from(total.max(1)) } else { 0.0 };
        shares.push(Share { endpoint: server.endpoint.clone(), family: server.family, share });
    }
    shares
}

/// What a policy says to one client.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// Index into the policy's rules.
    pub rule: usize,
    /// Pools with their odds from 0 to 1, those that answer.
    pub pools: Vec<(Id<Pool>, f64)>,
    /// Odds that there is no answer.
    pub unanswered: f64,
}

/// The odds of a policy for a client at `address`; `None` where it is not enabled, or more pools shed than
/// can be gone through.
pub fn outlook(snapshot: &Snapshot, policy: &Id<Policy>, address: IpAddr) -> Option<Outlook> {
    let number = snapshot.policy_number(policy)?;
    let plan = snapshot.plans().plan(number)?;
    let decision = plan.map.as_ref().map(|map| map.decision(map.lookup(address).decision));
    let rule = plan.rules.get(decision.map_or(0, |decision| usize::from(decision.rule)))?;
    let pools = snapshot.pools();
    let odds = odds(plan.kind, rule, decision, pools)?;
    let mut found: Vec<(Id<Pool>, f64)> = Vec::new();
    let mut add = |number: u32, odds: f64| {
        let Some(pool) = pools.get(number).filter(|_| odds > 0.0) else { return };
        match found.iter_mut().find(|(known, _)| *known == pool.id) {
            Some((_, known)) => *known += odds,
            None => found.push((pool.id.clone(), odds)),
        }
    };
    for (step, odds) in rule.steps.iter().zip(&odds) {
        step.pools.iter().zip(odds).for_each(|(one, odds)| add(one.pool, *odds));
    }
    let mut left = 1.0 - odds.iter().flatten().sum::<f64>();
    if let Resort::Pool(one) = rule.last_resort
        && left > 1e-9
        && pools.get(one.pool).is_some_and(|pool| may_serve(pool, plan.kind, Pass::Anyway))
    {
        add(one.pool, left);
        left = 0.0;
    }
    Some(Outlook { rule: rule.number, pools: found, unanswered: left.max(0.0) })
}

/// Clients for whom this is the same have the same outlook by one policy; cheap beside the outlook itself.
pub fn outlook_class(snapshot: &Snapshot, policy: &Id<Policy>, address: IpAddr) -> Option<u64> {
    let plan = snapshot.plans().plan(snapshot.policy_number(policy)?)?;
    plan.map.as_ref().map(|map| u64::from(map.lookup(address).decision))
}

/// Policies for which this is the same tell the same clients apart, within one snapshot.
pub fn outlook_split(snapshot: &Snapshot, policy: &Id<Policy>) -> Option<usize> {
    let plan = snapshot.plans().plan(snapshot.policy_number(policy)?)?;
    plan.map.as_ref().map(|map| Arc::as_ptr(map).addr())
}

/// The same health but for one pool that a person switched.
pub fn switched(health: &HealthTable, pool: &Id<Pool>, state: PoolState) -> HealthTable {
    let mut health = health.clone();
    let entry = health.pools.entry(pool.clone()).or_default();
    let known = Arc::make_mut(entry);
    known.state = state;
    known.ramp_percent = 100;
    health
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{World, rule};
    use super::*;
    use crate::health::EndpointState;

    #[test]
    fn shares_follow_weights_of_those_that_can_be_answered() {
        let mut world = World::default();
        world.zone("example.test.").pools(&["main"]);
        world.endpoint("second", &["192.0.2.77"]).endpoint("third", &["192.0.2.78"]);
        world.pool("main", &["main", "second", "third"]);
        for (member, weight) in world.edit_pool("main").members.iter_mut().zip([40, 30, 30]) {
            member.weight = weight;
        }
        let of = |world: &World, pass: Pass| {
            let id: Id<Pool> = "main".parse().unwrap();
            let shares = shares(&world.model, &world.health, &id, &world.model.pools[&id], pass);
            let v4 = shares.into_iter().filter(|share| share.family == Family::Ipv4);
            v4.map(|share| (share.share * 100.0).round()).collect::<Vec<_>>()
        };
        assert_eq!(of(&world, Pass::Normal), [40.0, 30.0, 30.0]);
        world.edit_pool("main").members[1].weight = 0;
        assert_eq!(of(&world, Pass::Normal), [57.0, 0.0, 43.0]);
        world.endpoint_is("third", EndpointState::Down);
        assert_eq!(of(&world, Pass::Normal), [100.0, 0.0, 0.0]);
        world.endpoint_is("main", EndpointState::Down).pool_is("main", PoolState::Down);
        assert_eq!(of(&world, Pass::Normal), [0.0, 0.0, 0.0]);
        assert_eq!(of(&world, Pass::Anyway), [57.0, 0.0, 43.0], "the last resort ignores health");
    }

    #[test]
    fn an_outlook_says_who_takes_over_and_who_is_left_without_an_answer() {
        let mut world = World::default();
        world.zone("example.test.").pools(&["main", "backup"]);
        let rules = vec![rule(&[], &["weighted main=1", "weighted backup=1"], "no_answer")];
        world.policy("web", "www.example.test.", rules);
        let (policy, main, backup): (Id<Policy>, Id<Pool>, Id<Pool>) =
            ("web".parse().unwrap(), "main".parse().unwrap(), "backup".parse().unwrap());
        let snapshot = world.snapshot();
        let to = |health: &HealthTable| {
            let found = outlook(&snapshot.with_health(health), &policy, "192.0.2.9".parse().unwrap()).unwrap();
            (found.pools, found.unanswered)
        };
        assert_eq!(to(&world.health), (vec![(main.clone(), 1.0)], 0.0));
        let drained = switched(&world.health, &main, PoolState::Drain);
        assert_eq!(to(&drained), (vec![(backup.clone(), 1.0)], 0.0));
        assert_eq!(to(&switched(&drained, &backup, PoolState::Off)), (Vec::new(), 1.0));
    }
}
