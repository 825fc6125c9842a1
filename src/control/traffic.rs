//! How many answers each policy and pool gave: totals for the metrics, and the last five minutes for
//! rates and the share of queries that an outage touches. Reads no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::series::{Counted, Regions, Series};
use crate::answer::Audience;
use crate::health::Moved;
use crate::model::{Id, Model, Name, Policy, Pool};

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
    /// Of steered names, by the regions of the rule that admitted the client.
    pub regions: BTreeMap<Regions, u64>,
    /// The last day and week.
    pub series: Series,
    recent: VecDeque<Recent>,
}

/// What was counted between two looks, by whom it was for.
#[derive(Debug)]
struct Recent {
    slice: Slice,
    policies: BTreeMap<Id<Policy>, u64>,
    /// By the regions of the rule that admitted the client.
    regions: BTreeMap<Regions, u64>,
    pools: BTreeMap<Id<Pool>, u64>,
}

/// What was counted between two looks.
#[derive(Debug, Default)]
pub struct Slice {
    pub at_ms: u64,
    /// Replies of every kind.
    pub replies: u64,
    /// Of them, to queries with a client subnet.
    pub subnets: u64,
    /// Of steered names.
    pub audiences: BTreeMap<Arc<Audience>, u64>,
    /// How many of a sample of answers took up to so long.
    pub times: Vec<(Duration, u64)>,
}

impl Traffic {
    /// Adds a slice; what is older than the window no longer counts as recent.
    pub fn add(&mut self, mut slice: Slice) {
        let audiences = std::mem::take(&mut slice.audiences);
        let recent = Recent::of(slice, &audiences);
        for (policy, count) in &recent.policies {
            *self.policies.entry(policy.clone()).or_default() += count;
        }
        for (pool, count) in &recent.pools {
            *self.pools.entry(pool.clone()).or_default() += count;
        }
        for (regions, count) in &recent.regions {
            *self.regions.entry(regions.clone()).or_default() += count;
        }
        let at_ms = recent.slice.at_ms;
        let counted = Counted {
            all: recent.slice.replies,
            subnet: recent.slice.subnets,
            pools: Some(&recent.pools),
            policies: Some(&recent.policies),
            regions: Some(&recent.regions),
            audiences: Some(&audiences),
        };
        self.series.add(at_ms, &counted);
        // After the clock was set back, what lies ahead of it tells nothing.
        self.recent.retain(|recent| recent.slice.at_ms <= at_ms);
        self.recent.push_back(recent);
        while self.recent.front().is_some_and(|recent| recent.slice.at_ms < at_ms.saturating_sub(WINDOW_MS)) {
            self.recent.pop_front();
        }
    }

    /// Queries per second over the last minute.
    pub fn rate(&self) -> f64 {
        self.rate_of(|recent| recent.slice.replies)
    }

    /// The same of one policy: of the names that it is attached to.
    pub fn policy_rate(&self, policy: &Id<Policy>) -> f64 {
        self.rate_of(|recent| recent.policies.get(policy).copied().unwrap_or_default())
    }

    /// The same of answers that came from one pool.
    pub fn pool_rate(&self, pool: &Id<Pool>) -> f64 {
        self.rate_of(|recent| recent.pools.get(pool).copied().unwrap_or_default())
    }

    /// The same of steered names, by the regions of the rule that admitted the client.
    pub fn region_rates(&self) -> BTreeMap<Regions, f64> {
        let known: BTreeSet<&Regions> = self.recent.iter().flat_map(|recent| recent.regions.keys()).collect();
        let rate = |regions| self.rate_of(|recent| recent.regions.get(regions).copied().unwrap_or_default());
        known.into_iter().map(|regions| (regions.clone(), rate(regions))).filter(|(_, rate)| *rate > 0.0).collect()
    }

    /// A slice counts from the one before it, so the first only marks the begin.
    fn rate_of(&self, count: impl Fn(&Recent) -> u64) -> f64 {
        let newest_ms = self.recent.back().map_or(0, |recent| recent.slice.at_ms);
        let (mut begin_ms, mut sum) = (newest_ms, 0);
        for (recent, before) in self.recent.iter().rev().zip(self.recent.iter().rev().skip(1)) {
            sum += count(recent);
            begin_ms = before.slice.at_ms;
            if begin_ms + RATE_MS <= newest_ms {
                break;
            }
        }
        sum as f64 * 1e3 / newest_ms.saturating_sub(begin_ms).max(1) as f64
    }

    /// The time within which 99 of 100 recent answers were on their way; `None` while too few were timed to say.
    pub fn answer_time(&self) -> Option<Duration> {
        let mut counts: BTreeMap<Duration, u64> = BTreeMap::new();
        for (time, count) in self.recent.iter().flat_map(|recent| &recent.slice.times) {
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

    /// Who got what part of the recent replies: made once for all events of a burst.
    pub fn shares<'t>(&'t self, model: &'t Model) -> Shares<'t> {
        let mut of_name: HashMap<&Name, Vec<&Id<Policy>>> = HashMap::new();
        for (id, policy) in &model.policies {
            for attach in &policy.attach {
                of_name.entry(&attach.name).or_default().push(id);
            }
        }
        let total = self.recent.iter().map(|recent| recent.slice.replies).sum();
        Shares { traffic: self, of_name, total, known: HashMap::new() }
    }

    /// What a pool answers, as a part of all and in figures; `None` without traffic.
    pub fn moved(&self, pool: &Id<Pool>) -> Option<Moved> {
        let total: u64 = self.recent.iter().map(|recent| recent.slice.replies).sum();
        let own: u64 = self.recent.iter().filter_map(|recent| recent.pools.get(pool)).sum();
        (total > 0).then(|| Moved { share: own as f64 / total as f64, per_second: self.pool_rate(pool) })
    }

    fn recent_of(&self, policy: &Id<Policy>) -> u64 {
        self.recent.iter().filter_map(|recent| recent.policies.get(policy)).sum()
    }
}

impl Recent {
    fn of(slice: Slice, audiences: &BTreeMap<Arc<Audience>, u64>) -> Recent {
        let (policies, regions, pools) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut recent = Recent { slice, policies, regions, pools };
        for (audience, count) in audiences {
            *recent.policies.entry(audience.policy.clone()).or_default() += count;
            *recent.regions.entry(audience.regions.clone()).or_default() += count;
            if let Some(pool) = &audience.pool {
                *recent.pools.entry(pool.clone()).or_default() += count;
            }
        }
        recent
    }
}

/// The policies of each name, and what was counted of those that were asked for.
pub struct Shares<'t> {
    traffic: &'t Traffic,
    of_name: HashMap<&'t Name, Vec<&'t Id<Policy>>>,
    total: u64,
    known: HashMap<&'t Id<Policy>, u64>,
}

impl Shares<'_> {
    /// The part of recent replies that went to the policies of these names; `None` without traffic.
    pub fn of(&mut self, names: &[String]) -> Option<f64> {
        if self.total == 0 || names.is_empty() {
            return None;
        }
        let names = names.iter().filter_map(|name| name.parse::<Name>().ok());
        let policies: BTreeSet<&Id<Policy>> =
            names.filter_map(|name| self.of_name.get(&name)).flatten().copied().collect();
        let mut hits = 0;
        for policy in policies {
            hits += *self.known.entry(policy).or_insert_with(|| self.traffic.recent_of(policy));
        }
        Some(hits as f64 / self.total as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Edit, Kind};
    use serde_json::json;

    fn audience(regions: &[&str], pool: Option<&str>) -> Arc<Audience> {
        let regions = regions.iter().map(|id| id.parse().unwrap()).collect();
        Arc::new(Audience { policy: "app".parse().unwrap(), regions, pool: pool.map(|id| id.parse().unwrap()) })
    }

    fn slice(at_ms: u64, replies: u64, answers: u64) -> Slice {
        let audiences = BTreeMap::from([(audience(&[], None), answers)]);
        Slice { at_ms, replies, audiences, ..Slice::default() }
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
        assert_eq!(traffic.shares(&model).of(&names), None);
        traffic.add(slice(0, 100, 100));
        traffic.add(slice(301_000, 100, 20));
        traffic.add(slice(302_000, 100, 30));
        let mut shares = traffic.shares(&model);
        assert_eq!(shares.of(&names), Some(0.25));
        let twice = ["app.z.test.".to_owned(), "app.z.test.".to_owned(), "gone.z.test.".to_owned()];
        assert_eq!(shares.of(&twice), Some(0.25), "a policy counts once, and an unknown name not at all");
        assert_eq!(shares.of(&[]), None);
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
    fn rates_by_region_keep_the_regions_of_a_rule_together() {
        let regions = |ids: &[&str]| -> Regions { ids.iter().map(|id| id.parse().unwrap()).collect() };
        let mut traffic = Traffic::default();
        for look in 0..=12 {
            let audiences = BTreeMap::from([
                (audience(&["eu", "uk"], Some("a")), 15),
                (audience(&["eu", "uk"], None), 5),
                (audience(&[], Some("a")), if look < 12 { 0 } else { 60 }),
            ]);
            traffic.add(Slice { at_ms: look * 5_000, replies: 100, audiences, ..Slice::default() });
        }
        let rates = BTreeMap::from([(regions(&["eu", "uk"]), 4.0), (regions(&[]), 1.0)]);
        assert_eq!(traffic.region_rates(), rates);
        assert_eq!(
            (traffic.pool_rate(&"a".parse().unwrap()), traffic.policy_rate(&"app".parse().unwrap())),
            (4.0, 5.0)
        );
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
