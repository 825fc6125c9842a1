//! Who is touched by a change: built once a revision, so that an outcome costs only what it touches.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Endpoint, Id, LastResort, Model, Monitor, MonitorUse, Policy, Pool, Role, Serve};

/// The most names that an event lists.
pub(super) const MAX_EVENT_NAMES: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Index {
    /// The pools that an endpoint is a member of.
    pools: BTreeMap<Id<Endpoint>, Vec<Id<Pool>>>,
    /// The endpoints that cannot do without an endpoint.
    pub dependents: BTreeMap<Id<Endpoint>, Vec<Id<Endpoint>>>,
    /// What watches an endpoint: its own monitors, else those of all its pools.
    monitors: BTreeMap<Id<Endpoint>, Vec<MonitorUse>>,
    /// The enabled policies that list a pool.
    policies: BTreeMap<Id<Pool>, Vec<Id<Policy>>>,
}

impl Index {
    pub fn build(model: &Model) -> Self {
        let mut index = Index::default();
        for (id, pool) in &model.pools {
            for member in &pool.members {
                let pools = index.pools.entry(member.endpoint.clone()).or_default();
                if pools.last() != Some(id) {
                    pools.push(id.clone());
                }
            }
        }
        for (id, endpoint) in &model.endpoints {
            for needed in &endpoint.depends_on {
                index.dependents.entry(needed.clone()).or_default().push(id.clone());
            }
            let uses = if endpoint.monitors.is_empty() {
                strictest(index.pools_of(id).iter().filter_map(|pool| model.pools.get(pool)).flat_map(|p| &p.monitors))
            } else {
                strictest(&endpoint.monitors)
            };
            index.monitors.insert(id.clone(), uses);
        }
        for (id, policy) in model.policies.iter().filter(|(_, policy)| policy.enabled) {
            for pool in listed_pools(policy) {
                let policies = index.policies.entry(pool.clone()).or_default();
                if policies.last() != Some(id) {
                    policies.push(id.clone());
                }
            }
        }
        index
    }

    pub fn pools_of(&self, endpoint: &Id<Endpoint>) -> &[Id<Pool>] {
        self.pools.get(endpoint).map_or(&[], Vec::as_slice)
    }

    pub fn monitors_of(&self, endpoint: &Id<Endpoint>) -> &[MonitorUse] {
        self.monitors.get(endpoint).map_or(&[], Vec::as_slice)
    }

    /// What is probed of an endpoint: nothing where its health does not decide.
    pub fn watching(&self, id: &Id<Endpoint>, endpoint: &Endpoint) -> &[MonitorUse] {
        if endpoint.serve == Serve::Auto { self.monitors_of(id) } else { &[] }
    }

    /// The policies that list a pool.
    pub fn policies_of(&self, pool: &Id<Pool>) -> &[Id<Policy>] {
        self.policies.get(pool).map_or(&[], Vec::as_slice)
    }

    /// The names that these pools can answer, the first hundred.
    pub fn names<'p>(&self, model: &Model, pools: impl IntoIterator<Item = &'p Id<Pool>>) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let mut seen = BTreeSet::new();
        let policies = pools.into_iter().filter_map(|pool| self.policies.get(pool)).flatten();
        for policy in policies.filter(|policy| seen.insert((*policy).clone())) {
            let Some(policy) = model.policies.get(policy) else { continue };
            for attach in &policy.attach {
                if names.len() == MAX_EVENT_NAMES {
                    return names;
                }
                let name = attach.name.to_string();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }
}

/// Each monitor once, in its strictest role.
fn strictest<'u>(uses: impl IntoIterator<Item = &'u MonitorUse>) -> Vec<MonitorUse> {
    let mut roles: BTreeMap<&Id<Monitor>, Role> = BTreeMap::new();
    let strictness = |role: Role| match role {
        Role::Required => 2,
        Role::Vote => 1,
        Role::Watch => 0,
    };
    for MonitorUse { monitor, role } in uses {
        let known = roles.entry(monitor).or_insert(*role);
        if strictness(*role) > strictness(*known) {
            *known = *role;
        }
    }
    roles.into_iter().map(|(monitor, role)| MonitorUse { monitor: monitor.clone(), role }).collect()
}

fn listed_pools(policy: &Policy) -> impl Iterator<Item = &Id<Pool>> {
    policy.rules.iter().filter(|rule| rule.enabled).flat_map(|rule| {
        let last_resort = match &rule.last_resort {
            LastResort::Pool(pool) => Some(pool),
            _ => None,
        };
        rule.steps.iter().flat_map(|step| &step.pools).map(|listed| &listed.pool).chain(last_resort)
    })
}
