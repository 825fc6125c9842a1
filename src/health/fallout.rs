//! What the change of a pool means for the names that list it: who answers instead, and who is left without.

use std::collections::BTreeSet;

use super::index::MAX_EVENT_NAMES;
use super::{Health, PoolState};
use crate::model::{Id, LastResort, Policy, Pool, Rule, StepPool};

/// The most pools that an event names as those that answer instead.
const MAX_INSTEAD: usize = 10;

/// As the event has it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fallout {
    pub instead: Vec<String>,
    pub unserved: Vec<String>,
    pub ttl: Option<u32>,
}

impl Health {
    /// As the table shows everything now. A pool that answers needs nobody instead.
    pub(super) fn fallout(&self, id: &Id<Pool>) -> Fallout {
        let policies = self.index.policies_of(id).iter().filter_map(|policy| self.model.policies.get(policy));
        let ttl = policies.clone().map(|policy| policy.ttl).max();
        if self.state_of(id) == PoolState::Ok {
            return Fallout { ttl, ..Fallout::default() };
        }
        let (mut instead, mut unserved) = (BTreeSet::new(), BTreeSet::new());
        for policy in policies {
            for rule in policy.rules.iter().filter(|rule| rule.enabled && lists(rule, id)) {
                match self.instead_of(rule, id) {
                    Some(pools) => instead.extend(pools.into_iter().cloned()),
                    None => unserved.extend(names(policy)),
                }
            }
        }
        Fallout {
            instead: instead.iter().take(MAX_INSTEAD).map(Id::to_string).collect(),
            unserved: unserved.into_iter().take(MAX_EVENT_NAMES).collect(),
            ttl,
        }
    }

    /// The pools that take over from `id` in a rule, none where one before it answers anyway; `None` when no
    /// working pool is left.
    fn instead_of<'r>(&self, rule: &'r Rule, id: &Id<Pool>) -> Option<Vec<&'r Id<Pool>>> {
        for wanted in [PoolState::Ok, PoolState::Held] {
            let works = |listed: &StepPool| listed.weight > 0 && self.state_of(&listed.pool) == wanted;
            let step = rule.steps.iter().position(|step| step.pools.iter().any(|pool| works(pool) && !pool.canary));
            if let Some(step) = step {
                let listed = rule.steps.iter().position(|step| step.pools.iter().any(|pool| pool.pool == *id));
                let moved = wanted == PoolState::Held || listed.is_some_and(|listed| listed <= step);
                let pools = rule.steps[step].pools.iter().filter(|pool| works(pool) && pool.pool != *id && moved);
                return Some(pools.map(|pool| &pool.pool).collect());
            }
        }
        match &rule.last_resort {
            LastResort::Pool(last) if self.state_of(last) == PoolState::Ok => Some(vec![last]),
            _ => None,
        }
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
