//! Deleting what is still referenced: the edits that detach it everywhere first, for somebody to look
//! at before they are published.

use std::sync::Arc;

use serde::Serialize;

use super::super::{Endpoint, Id, LastResort, Model, MonitorUse, Policy, Pool, RecordKey, Region, Table, Token};
use super::{Edit, Kind};

impl Model {
    /// The edits that delete an entity and every reference to it. A residency lock is never lifted, and
    /// a rule never loses its last step: such edits do not pass the check, and somebody has to decide.
    pub fn deletion(&self, kind: Kind, id: &str) -> Vec<Edit> {
        let mut edits = match kind {
            Kind::Records | Kind::Policies => Vec::new(),
            Kind::Zones => self.without_zone(id),
            Kind::Regions => self.without_region(id),
            Kind::Pools => changed(Kind::Policies, &self.policies, |policy| remove_pool(policy, id)),
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
