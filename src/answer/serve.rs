//! What a policy says to a client: place, rule, pool, servers, TTL and scope, in this order.

use smallvec::SmallVec;

use super::choose::Chance;
use super::live::{Choices, LivePool};
use super::locate::{By, Located, locate};
use super::plan::Plan;
use super::steer::{Choice, Pass, Pools, choose_pool, earliest_return_ms};
use super::trace::{Kept, Tracer};
use super::ttl::live_ttl;
use super::{Answer, Client, Credit, Entropy, Owner, Set};
use crate::geo::Decision;
use crate::health::PoolState;
use crate::model::{RecordType, Sticky};

/// The world of one question.
pub struct Moment<'s, 'c> {
    pub pools: Pools<'s>,
    pub client: &'c Client,
    pub now_ms: u64,
}

/// Answers by policy. `Some(ttl)` asks for a negative answer that may be kept that long.
pub fn serve<'s>(
    plan: &'s Plan,
    number: u32,
    rtype: RecordType,
    moment: &Moment<'s, '_>,
    entropy: &mut Entropy,
    answer: &mut Answer<'s>,
    tracer: &mut impl Tracer,
) -> Option<u32> {
    let policy = &plan.policy;
    let located = locate(moment.client, policy.locate, plan.private);
    tracer.steered(number, &located);
    let (rule, decision, leaf) = find_rule(plan, &located);
    tracer.ruled(rule, decision);
    let rule = plan.rules.get(rule);
    let audience = rule.map_or(plan.everyone, |rule| rule.audience);
    answer.credit = Some(Credit { audience, pool: None, releases_hold: false });
    let Some(rule) = rule else { return Some(policy.failure_ttl) };

    let mut chance = match policy.sticky {
        Sticky::None => Chance::Random(entropy),
        Sticky::Client => Chance::Client(located.network().0),
    };
    let choice = choose_pool(plan, rule, decision, moment.pools, &mut chance, tracer);
    tracer.chosen(&choice);
    let (pool_number, pool, audience, step, pass) = match choice {
        Choice::Pool { number, pool, audience, step, pass } => (number, pool, audience, step, pass),
        Choice::NoAnswer => return Some(policy.failure_ttl),
        Choice::Refuse => {
            *answer = Answer { credit: answer.credit, ..Answer::refused(None) };
            return None;
        }
    };
    let releases_hold = pass == Pass::Held && pool.state == PoolState::Held;
    answer.credit = Some(Credit { audience, pool: Some(pool_number), releases_hold });

    let choices = pool.choices(rtype);
    let from = pool.picked_from(choices, pass);
    let picked = pick_servers(pool, from, usize::from(pool.answers.unwrap_or(policy.answers)), &mut chance);
    tracer.served(from, &picked);
    let (ttl, why) = match pass {
        Pass::Anyway => (policy.failure_ttl, Kept::Failing),
        _ => {
            let returns_ms = step.and_then(|step| earliest_return_ms(rule, step, moment.pools));
            let change_ms = returns_ms.into_iter().chain(earliest_change_ms(pool, choices, &picked)).min();
            (live_ttl(policy.ttl, change_ms, moment.now_ms, entropy), change_ms.map_or(Kept::AsSet, Kept::UntilChange))
        }
    };
    tracer.kept(ttl, why);
    if picked.is_empty() {
        return Some(ttl);
    }
    let data = picked.iter().map(|&at| pool.servers[usize::from(at)].data.as_wire()).collect();
    answer.answer.push(Set { owner: Owner::Question, rtype, ttl, kept: 0, data });
    answer.scope = scope(plan, &located, leaf);
    None
}

/// The client's rule, as the split map numbers rules, and the length of the prefix that shares it.
fn find_rule<'p>(plan: &'p Plan, located: &Located) -> (usize, Option<&'p Decision>, u8) {
    let Some(map) = &plan.map else { return (0, None, 0) };
    let hit = match located.by {
        By::Subnet { source } => map.lookup_prefix(located.address, source),
        By::Resolver | By::PrivateSubnet { .. } => map.lookup(located.address),
    };
    let decision = map.decision(hit.decision);
    (usize::from(decision.rule), Some(decision), hit.scope)
}

/// The prefix length within which the answer is the same for all clients.
fn scope(plan: &Plan, located: &Located, leaf: u8) -> u8 {
    match located.by {
        _ if !plan.depends_on_client() => 0,
        By::Subnet { .. } if plan.policy.sticky == Sticky::Client => leaf.max(located.network().1),
        By::Subnet { .. } => leaf,
        // Said of the resolver, so it must not reach clients of other networks by the resolver's cache.
        By::PrivateSubnet { source } => source,
        By::Resolver => 0,
    }
}

/// Up to `count` servers by weight, none twice, in the order in which they were drawn.
fn pick_servers(pool: &LivePool, from: &[u8], count: usize, chance: &mut Chance) -> SmallVec<[u8; 16]> {
    let mut picked: SmallVec<[u8; 16]> = SmallVec::new();
    if let [only] = from {
        picked.push(*only);
        return picked;
    }
    while picked.len() < count {
        let choices = from.iter().map(|at| {
            let server = &pool.servers[usize::from(*at)];
            (if picked.contains(at) { 0 } else { u32::from(server.weight) }, server.key)
        });
        let Some(at) = chance.pick(choices) else { break };
        picked.push(from[at]);
    }
    picked
}

/// When the chosen pool, a server of the answer, or one that would be preferred to it could change.
fn earliest_change_ms(pool: &LivePool, choices: &Choices, picked: &[u8]) -> Option<u64> {
    let servers = picked.iter().filter_map(|&at| pool.servers[usize::from(at)].earliest_change_ms);
    servers.chain(choices.earliest_recovery_ms).chain(pool.earliest_change_ms).min()
}

#[cfg(test)]
mod tests;
