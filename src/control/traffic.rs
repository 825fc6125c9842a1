//! How many answers each policy and pool gave: totals for the metrics, and the last five minutes for
//! the share of queries that an outage touches. Reads no clock.

use std::collections::{BTreeMap, VecDeque};

use crate::model::{Id, Model, Policy, Pool};

/// The window of shares.
const WINDOW_MS: u64 = 5 * 60 * 1000;

/// Counts since the start, and since five minutes ago.
#[derive(Debug, Default)]
pub struct Traffic {
    pub policies: BTreeMap<Id<Policy>, u64>,
    pub pools: BTreeMap<Id<Pool>, u64>,
    recent: VecDeque<Slice>,
}

/// What was counted between two looks.
#[derive(Debug, Default)]
pub struct Slice {
    pub at_ms: u64,
    /// Replies of every kind.
    pub replies: u64,
    pub policies: BTreeMap<Id<Policy>, u64>,
    pub pools: BTreeMap<Id<Pool>, u64>,
}

impl Traffic {
    /// Adds a slice; what is older than the window no longer counts as recent.
    pub fn add(&mut self, slice: Slice) {
        for (policy, count) in &slice.policies {
            *self.policies.entry(policy.clone()).or_default() += count;
        }
        for (pool, count) in &slice.pools {
            *self.pools.entry(pool.clone()).or_default() += count;
        }
        let oldest = slice.at_ms.saturating_sub(WINDOW_MS);
        self.recent.push_back(slice);
        while self.recent.front().is_some_and(|slice| slice.at_ms < oldest) {
            self.recent.pop_front();
        }
    }

    /// The part of recent replies that went to the policies of these names; `None` without traffic.
    pub fn share(&self, model: &Model, names: &[String]) -> Option<f64> {
        let total: u64 = self.recent.iter().map(|slice| slice.replies).sum();
        if total == 0 || names.is_empty() {
            return None;
        }
        let touched = |policy: &Policy| policy.attach.iter().any(|attach| names.contains(&attach.name.to_string()));
        let policies = model.policies.iter().filter(|(_, policy)| touched(policy)).map(|(id, _)| id);
        let hits: u64 =
            policies.map(|id| self.recent.iter().filter_map(|slice| slice.policies.get(id)).sum::<u64>()).sum();
        Some(hits as f64 / total as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Edit, Kind};
    use serde_json::json;

    fn slice(at_ms: u64, replies: u64, policy: u64) -> Slice {
        let policies = BTreeMap::from([("app".parse().unwrap(), policy)]);
        Slice { at_ms, replies, policies, pools: BTreeMap::new() }
    }

    #[test]
    fn the_share_covers_five_minutes_and_totals_cover_everything() {
        let edits = [
            (Kind::Zones, "z", json!({ "fqdn": "z.test.", "ns": ["a.test.", "b.test."] })),
            (Kind::Endpoints, "e", json!({ "ipv4": "192.0.2.1" })),
            (Kind::Pools, "p", json!({ "members": [{ "endpoint": "e" }] })),
            (
                Kind::Policies,
                "app",
                json!({ "attach": [{ "zone": "z", "name": "app.z.test." }],
                        "rules": [{ "name": "Everyone else", "steps": [{ "pools": [{ "pool": "p" }] }] }] }),
            ),
        ];
        let edits = edits.map(|(kind, id, value)| Edit { kind, id: id.into(), value: Some(value) });
        let model = Model::empty().check(&edits).unwrap().model;
        let names = ["app.z.test.".to_owned()];
        let mut traffic = Traffic::default();
        assert_eq!(traffic.share(&model, &names), None);
        traffic.add(slice(0, 100, 100));
        traffic.add(slice(301_000, 100, 20));
        traffic.add(slice(302_000, 100, 30));
        assert_eq!(traffic.share(&model, &names), Some(0.25));
        assert_eq!(traffic.policies.values().sum::<u64>(), 150);
    }
}
