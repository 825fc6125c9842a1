//! How many answers each policy and pool gave: totals for the metrics, and the last five minutes for
//! rates and the share of queries that an outage touches. Reads no clock.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::series::{Counted, Series};
use crate::model::{Id, Model, Policy, Pool};

/// The window of shares.
const WINDOW_MS: u64 = 5 * 60 * 1000;

/// The window of rates.
const RATE_MS: u64 = 60 * 1000;
/// A hundredth of fewer answers is none.
const MIN_TIMED: u64 = 200;

/// Counts since the start, and since five minutes ago.
#[derive(Debug, Default)]
pub struct Traffic {
    pub policies: BTreeMap<Id<Policy>, u64>,
    pub pools: BTreeMap<Id<Pool>, u64>,
    /// The last day and week.
    pub series: Series,
    recent: VecDeque<Slice>,
}

/// What was counted between two looks.
#[derive(Debug, Default)]
pub struct Slice {
    pub at_ms: u64,
    /// Replies of every kind.
    pub replies: u64,
    /// Of them, to queries with a client subnet.
    pub subnets: u64,
    pub policies: BTreeMap<Id<Policy>, u64>,
    pub pools: BTreeMap<Id<Pool>, u64>,
    /// How many of a sample of answers took up to so long.
    pub times: Vec<(Duration, u64)>,
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
        let counted = Counted {
            all: slice.replies,
            subnet: slice.subnets,
            pools: Some(&slice.pools),
            policies: Some(&slice.policies),
        };
        self.series.add(slice.at_ms, &counted);
        let (newest, oldest) = (slice.at_ms, slice.at_ms.saturating_sub(WINDOW_MS));
        // After the clock was set back, what lies ahead of it tells nothing.
        self.recent.retain(|slice| slice.at_ms <= newest);
        self.recent.push_back(slice);
        while self.recent.front().is_some_and(|slice| slice.at_ms < oldest) {
            self.recent.pop_front();
        }
    }

    /// Queries per second over the last minute.
    pub fn rate(&self) -> f64 {
        self.rate_of(|slice| slice.replies)
    }

    /// The same of one policy: of the names that it is attached to.
    pub fn policy_rate(&self, policy: &Id<Policy>) -> f64 {
        self.rate_of(|slice| slice.policies.get(policy).copied().unwrap_or_default())
    }

    /// The same of answers that came from one pool.
    pub fn pool_rate(&self, pool: &Id<Pool>) -> f64 {
        self.rate_of(|slice| slice.pools.get(pool).copied().unwrap_or_default())
    }

    /// A slice counts from the one before it, so the first only marks the begin.
    fn rate_of(&self, count: impl Fn(&Slice) -> u64) -> f64 {
        let newest_ms = self.recent.back().map_or(0, |slice| slice.at_ms);
        let (mut begin_ms, mut sum) = (newest_ms, 0);
        for (slice, before) in self.recent.iter().rev().zip(self.recent.iter().rev().skip(1)) {
            sum += count(slice);
            begin_ms = before.at_ms;
            if begin_ms + RATE_MS <= newest_ms {
                break;
            }
        }
        sum as f64 * 1e3 / newest_ms.saturating_sub(begin_ms).max(1) as f64
    }

    /// The time within which 99 of 100 recent answers were on their way; `None` while too few were timed to say.
    pub fn answer_time(&self) -> Option<Duration> {
        let mut counts: BTreeMap<Duration, u64> = BTreeMap::new();
        for (time, count) in self.recent.iter().flat_map(|slice| &slice.times) {
            *counts.entry(*time).or_default() += count;
        }
        let total: u64 = counts.values().sum();
        let mut left = total - total / 100;
        let reaches = |(time, count): (&Duration, &u64)| {
            left = left.saturating_sub(*count);
            (left == 0).then_some(*time)
        };
        if total < MIN_TIMED { None } else { counts.iter().find_map(reaches) }
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
        Slice { at_ms, replies, policies, ..Slice::default() }
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

    #[test]
    fn rates_are_of_the_last_minute() {
        let mut traffic = Traffic::default();
        traffic.add(slice(0, 1_000, 1_000));
        assert_eq!(traffic.rate(), 0.0, "nobody knows since when");
        for look in 1..=30 {
            traffic.add(slice(look * 5_000, if look <= 18 { 5_000 } else { 50 }, 10));
        }
        assert_eq!((traffic.rate(), traffic.policy_rate(&"app".parse().unwrap())), (10.0, 2.0));
    }

    #[test]
    fn the_slowest_hundredth_is_left_out_of_the_answer_time() {
        let mut traffic = Traffic::default();
        let (fast, slow) = (Duration::from_micros(20), Duration::from_millis(3));
        let timed =
            |fast_count, slow_count| Slice { times: vec![(fast, fast_count), (slow, slow_count)], ..Slice::default() };
        traffic.add(timed(99, 1));
        assert_eq!(traffic.answer_time(), None);
        traffic.add(timed(99, 1));
        assert_eq!(traffic.answer_time(), Some(fast));
        traffic.add(timed(0, 10));
        assert_eq!(traffic.answer_time(), Some(slow));
    }
}
