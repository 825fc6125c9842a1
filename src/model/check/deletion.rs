//! Deleting what is still referenced: the edits that detach it everywhere first, for somebody to look
//! at before they are published.

use std::sync::Arc;

use serde::Serialize;

use super::super::{
    Endpoint, Id, LastResort, Model, MonitorUse, Name, Policy, Pool, RecordKey, Region, Table, Test, Token,
};
use super::{Edit, Kind};

impl Model {
    /// The edits that delete an entity and every reference to it. A residency lock is never lifted, and
    /// a rule never loses its last step: such edits do not pass the check, and somebody has to decide.
    pub fn deletion(&self, kind: Kind, id: &str) -> Vec<Edit> {
        let mut edits = match kind {
            Kind::Records | Kind::Policies | Kind::Tests => Vec::new(),
            Kind::Zones => self.without_zone(id),
            Kind::Regions => self.without_region(id),
            Kind::Pools => {
                let mut edits = changed(Kind::Policies, &self.policies, |policy| remove_pool(policy, id));
                edits.extend(self.tests_without_pool(id));
                edits
            }
            Kind::Monitors => [
                changed(Kind::Endpoints, &self.endpoints, |endpoint: &mut Endpoint| {
                    drop_use(&mut endpoint.monitors, id)
                }),
                changed(Kind::Pools, &self.pools, |pool: &mut Pool| drop_use(&mut pool.monitors, id)),
            ]
            .concat(),
            Kind::Endpoints => [
                changed(Kind::Endpoints, &self.endpoints, |endpoint: &mut Endpoint| {
                    endpoint.depends_on.retain(|other| other.as_str() != id);
                }),
                changed(Kind::Pools, &self.pools, |pool: &mut Pool| {
                    pool.members.retain(|member| member.endpoint.as_str() != id);
                }),
            ]
            .concat(),
        };
        edits.retain(|edit| (edit.kind, edit.id.as_str()) != (kind, id));
        edits.push(Edit { kind, id: id.to_owned(), value: None });
        edits
    }

    fn without_zone(&self, id: &str) -> Vec<Edit> {
        let mut edits = changed(Kind::Policies, &self.policies, |policy: &mut Policy| {
            policy.attach.retain(|attach| attach.zone.as_str() != id);
        });
        let keys = self.records.keys().filter(|key: &&RecordKey| key.zone.as_str() == id);
        let ids = keys.filter_map(|key| self.record_id(key));
        edits.extend(ids.map(|id| Edit { kind: Kind::Records, id, value: None }));
        let others: Vec<&Name> =
            self.zones.iter().filter(|(other, _)| other.as_str() != id).map(|(_, zone)| &zone.fqdn).collect();
        let homeless = |test: &Test| !others.iter().any(|apex| test.qname.is_under(apex));
        let tests = self.tests.iter().filter(|(_, test)| homeless(test));
        edits.extend(tests.map(|(id, _)| Edit { kind: Kind::Tests, id: id.to_string(), value: None }));
        edits
    }

    /// A test that expected nothing but the pool goes with it.
    fn tests_without_pool(&self, id: &str) -> Vec<Edit> {
        let only = |test: &Test| !test.expect.is_empty() && test.expect.iter().all(|pool| pool.as_str() == id);
        let mut edits = changed(Kind::Tests, &self.tests, |test: &mut Test| {
            test.down.retain(|pool| pool.as_str() != id);
            test.expect.retain(|pool| pool.as_str() != id);
        });
        for edit in &mut edits {
            if edit.id.parse().ok().and_then(|id| self.tests.get(&id)).is_some_and(|test| only(test)) {
                edit.value = None;
            }
        }
        edits
    }

    fn without_region(&self, id: &str) -> Vec<Edit> {
        let keep = |token: &Token| !matches!(token, Token::Region(other) if other.as_str() == id);
        let regions = changed(Kind::Regions, &self.regions, |region: &mut Region| {
            region.include.retain(keep);
            region.except.retain(keep);
        });
        let policies = changed(Kind::Policies, &self.policies, |policy: &mut Policy| {
            for rule in &mut policy.rules {
                rule.regions.retain(|other| other.as_str() != id);
                rule.except_regions.retain(|other| other.as_str() != id);
            }
        });
        [regions, policies].concat()
    }
}

fn remove_pool(policy: &mut Policy, id: &str) {
    for rule in &mut policy.rules {
        for step in &mut rule.steps {
            step.pools.retain(|pool| pool.pool.as_str() != id);
        }
        rule.steps.retain(|step| !step.pools.is_empty());
        if matches!(&rule.last_resort, LastResort::Pool(pool) if pool.as_str() == id) {
            rule.last_resort = LastResort::default();
        }
    }
}

fn drop_use(monitors: &mut Vec<MonitorUse>, id: &str) {
    monitors.retain(|monitor| monitor.monitor.as_str() != id);
}

/// An edit for each entity that `change` makes different.
fn changed<T: Clone + PartialEq + Serialize>(kind: Kind, table: &Table<T>, change: impl Fn(&mut T)) -> Vec<Edit> {
    let edit = |(id, entity): (&Id<T>, &Arc<T>)| {
        let mut copy = T::clone(entity);
        change(&mut copy);
        let value = (copy != **entity).then(|| serde_json::to_value(&copy))?;
        Some(Edit { kind, id: id.to_string(), value: Some(value.expect("entities have text keys")) })
    };
    table.iter().filter_map(edit).collect()
}
