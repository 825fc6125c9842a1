//! What the change of a pool means for the names that list it: who answers instead, for whom that is the last resort,
//! and who is left without an answer.

use std::collections::BTreeSet;

use super::index::MAX_EVENT_NAMES;
use super::{Health, PoolState};
use crate::model::{Id, LastResort, Member, Policy, Pool, Rule, Serve, StepPool};

/// The most pools that an event names as those that answer instead.
const MAX_INSTEAD: usize = 10;

/// As the event has it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fallout {
    pub instead: Vec<String>,
    pub last_resort: Vec<String>,
    pub unserved: Vec<String>,
    pub ttl: Option<u32>,
}

/// Who answers the clients of a rule.
enum Left<'r> {
    /// Pools that work and take over from one; none where one before it answers anyway.
    Working(Vec<&'r Id<Pool>>),
    /// Pools of the last resort, which need not be up.
    LastResort(Vec<&'r Id<Pool>>),
    Nobody,
}

impl Health {
    /// As the table shows everything now. A pool that answers needs nobody instead.
    pub(super) fn fallout(&self, id: &Id<Pool>) -> Fallout {
        let policies = self.index.policies_of(id).iter().filter_map(|policy| self.model.policies.get(policy));
        let ttl = policies.clone().map(|policy| policy.ttl).max();
        if self.state_of(id) == PoolState::Ok {
            return Fallout { ttl, ..Fallout::default() };
        }
        let (mut instead, mut last_resort, mut unserved) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for policy in policies {
            for rule in policy.rules.iter().filter(|rule| rule.enabled && lists(rule, id)) {
                match self.left(rule, id) {
                    Left::Working(pools) => instead.extend(pools),
                    Left::LastResort(pools) => {
                        instead.extend(pools.into_iter().filter(|pool| *pool != id));
                        last_resort.extend(names(policy));
                    }
                    Left::Nobody => unserved.extend(names(policy)),
                }
            }
        }
        Fallout {
            instead: instead.into_iter().take(MAX_INSTEAD).map(Id::to_string).collect(),
            last_resort: last_resort.into_iter().take(MAX_EVENT_NAMES).collect(),
            unserved: unserved.into_iter().take(MAX_EVENT_NAMES).collect(),
            ttl,
        }
    }

    /// Who answers in a rule while `id` does not work.
    fn left<'r>(&self, rule: &'r Rule, id: &Id<Pool>) -> Left<'r> {
        for wanted in [PoolState::Ok, PoolState::Held] {
            let works = |listed: &StepPool| listed.weight > 0 && self.state_of(&listed.pool) == wanted;
            let step = rule.steps.iter().position(|step| step.pools.iter().any(|pool| works(pool) && !pool.canary));
            if let Some(step) = step {
                let listed = rule.steps.iter().position(|step| step.pools.iter().any(|pool| pool.pool == *id));
                let moved = wanted == PoolState::Held || listed.is_some_and(|listed| listed <= step);
                let pools = rule.steps[step].pools.iter().filter(|pool| works(pool) && pool.pool != *id && moved);
                return Left::Working(pools.map(|pool| &pool.pool).collect());
            }
        }
        let anyway = |listed: &&StepPool| listed.weight > 0 && !listed.canary && self.serves_anyway(&listed.pool);
        let pools: Vec<&Id<Pool>> = match &rule.last_resort {
            LastResort::ServeAnyway => {
                let step = rule.steps.iter().find(|step| step.pools.iter().any(|listed| anyway(&listed)));
                step.iter().flat_map(|step| &step.pools).filter(anyway).map(|listed| &listed.pool).collect()
            }
            LastResort::Pool(last) => Some(last).filter(|last| self.serves_anyway(last)).into_iter().collect(),
            LastResort::NoAnswer | LastResort::Refuse => Vec::new(),
        };
        if pools.is_empty() { Left::Nobody } else { Left::LastResort(pools) }
    }

    /// Whether a pool answers with its health ignored.
    fn serves_anyway(&self, id: &Id<Pool>) -> bool {
        let serves = |member: &Member| {
            let endpoint = self.model.endpoints.get(&member.endpoint);
            member.enabled && member.weight > 0 && endpoint.is_some_and(|endpoint| endpoint.serve != Serve::Never)
        };
        !matches!(self.state_of(id), PoolState::Off | PoolState::Drain)
            && self.model.pools.get(id).is_some_and(|pool| pool.members.iter().any(serves))
    }

    fn state_of(&self, id: &Id<Pool>) -> PoolState {
        self.table.pools.get(id).map_or(PoolState::Ok, |known| known.state)
    }
}

fn lists(rule: &Rule, id: &Id<Pool>) -> bool {
    rule.steps.iter().any(|step| step.pools.iter().any(|pool| pool.pool == *id))
}

fn names(policy: &Policy) -> impl Iterator<Item = String> {
    policy.attach.iter().take(MAX_EVENT_NAMES).map(|attach| attach.name.to_string())
}
