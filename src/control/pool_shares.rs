//! Which share of the clients each pool gets now, beside the share that it is planned to get: what lists of pools say.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::Control;
use super::effect::{classes, clients, weight};
use crate::answer::{Snapshot, outlook, outlook_split};
use crate::model::{Id, LastResort, Policy, Pool};

/// How long the shares of pools are kept while no health changes: what moves them then is which names are asked for, and
/// that is counted since the start.
const SHARES_KEPT: Duration = Duration::from_secs(10);

/// Which share of the clients of its names each pool gets now, and which it would get if nothing were down. A pool that
/// no name uses is not among them.
pub type PoolShares = BTreeMap<Id<Pool>, (f64, f64)>;

/// `answers` is how many queries each policy had: busy names weigh more.
fn pool_shares(snapshot: &Snapshot, answers: &BTreeMap<Id<Policy>, u64>) -> PoolShares {
    let model = snapshot.model();
    let (well, clients) = (snapshot.with_well(&model.pools.keys().collect()), clients(snapshot));
    let total: f64 = clients.iter().map(|(_, share)| share).sum();
    // Policies with the same split tell the same clients apart.
    let mut known: HashMap<Option<usize>, Vec<(IpAddr, f64)>> = HashMap::new();
    // Now, planned, and what both are parts of.
    let mut sums: HashMap<&Id<Pool>, (f64, f64, f64)> = HashMap::new();
    for (id, policy) in model.policies.iter().filter(|(_, policy)| policy.enabled) {
        let weight = weight(answers, id);
        used_pools(policy).into_iter().for_each(|pool| sums.entry(pool).or_default().2 += weight);
        let split = outlook_split(snapshot, id);
        for (address, share) in known.entry(split).or_insert_with(|| classes(snapshot, id, &clients)) {
            let part = weight * *share / total;
            let mut add = |snapshot, to: fn(&mut (f64, f64, f64)) -> &mut f64| {
                for (pool, odds) in outlook(snapshot, id, *address).map_or(Vec::new(), |outlook| outlook.pools) {
                    sums.get_mut(&pool).into_iter().for_each(|sum| *to(sum) += odds * part);
                }
            };
            add(snapshot, |sum| &mut sum.0);
            add(&well, |sum| &mut sum.1);
        }
    }
    sums.into_iter().map(|(pool, (now, planned, all))| (pool.clone(), (now / all, planned / all))).collect()
}

/// Every pool that a policy may answer with, once.
fn used_pools(policy: &Policy) -> BTreeSet<&Id<Pool>> {
    let mut pools = BTreeSet::new();
    for rule in policy.rules.iter().filter(|rule| rule.enabled) {
        pools.extend(rule.steps.iter().flat_map(|step| &step.pools).map(|used| &used.pool));
        pools.extend(if let LastResort::Pool(last) = &rule.last_resort { Some(last) } else { None });
    }
    pools
}

/// The shares that were worked out last.
#[derive(Default)]
pub struct KeptShares(Arc<tokio::sync::Mutex<Option<Kept>>>);

struct Kept {
    of: Weak<Snapshot>,
    at: Instant,
    shares: Arc<PoolShares>,
}

impl Control {
    /// Worked out once for everybody who asks: with 100,000 names that takes long. Who asks meanwhile waits for it;
    /// who no longer does stops nothing.
    pub async fn pool_shares(&self) -> Arc<PoolShares> {
        let mut last = self.shared().pool_shares.0.clone().lock_owned().await;
        let snapshot = self.snapshot();
        let of = Arc::downgrade(&snapshot);
        if let Some(last) = last.as_ref().filter(|last| last.of.ptr_eq(&of) && last.at.elapsed() < SHARES_KEPT) {
            return last.shares.clone();
        }
        let shared = self.shared().clone();
        let work = move || {
            let answers = shared.traffic.lock().policies.clone();
            let shares = Arc::new(pool_shares(&snapshot, &answers));
            *last = Some(Kept { of, at: Instant::now(), shares: shares.clone() });
            shares
        };
        // Without them, pages show no shares; the log says what went wrong.
        tokio::task::spawn_blocking(work).await.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::switched;
    use crate::control::fixture::{document, snapshot, step};
    use crate::control::{Author, Publication, Tests, running};
    use crate::health::{HealthTable, PoolState};
    use crate::model::{Edit, Kind};
    use serde_json::{Value, json};

    #[test]
    fn the_planned_share_is_that_without_any_failure() {
        let mut document = document();
        let policy = |name: &str, steps: &[&str]| {
            let attach = json!([{ "zone": "z", "name": format!("{name}.z.test."), "types": ["A"] }]);
            let steps: Vec<_> = steps.iter().map(|pool| step(pool)).collect();
            json!({ "attach": attach, "rules": [{ "name": "Everyone else", "steps": steps }] })
        };
        document["policies"] = json!({ "app": policy("app", &["eu", "us"]), "www": policy("www", &["us"]) });
        let snapshot = snapshot(&document, &HealthTable::default());
        let [eu, us]: [Id<Pool>; 2] = ["eu", "us"].map(|id| id.parse().unwrap());
        let down = snapshot.with_health(&switched(&HealthTable::default(), &eu, PoolState::Down));
        // One name is asked for three times as often as the other.
        let answers = BTreeMap::from([("app".parse().unwrap(), 2)]);
        let of = |snapshot: &Snapshot, pool: &Id<Pool>| {
            let percent = |share: f64| (share * 100.0).round() as i32;
            pool_shares(snapshot, &answers).get(pool).map(|(now, planned)| (percent(*now), percent(*planned)))
        };
        assert_eq!((of(&snapshot, &eu), of(&snapshot, &us)), (Some((100, 100)), Some((25, 25))));
        assert_eq!((of(&down, &eu), of(&down, &us)), (Some((0, 100)), Some((100, 25))));
        assert_eq!(of(&snapshot, &"gone".parse().unwrap()), None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn shares_are_worked_out_once_for_everybody_until_the_world_changes() {
        let dir = tempfile::TempDir::new().unwrap();
        let control = running::start(dir.path());
        let (one, other) = tokio::join!(control.pool_shares(), control.pool_shares());
        assert!(Arc::ptr_eq(&one, &other));
        assert!(Arc::ptr_eq(&one, &control.pool_shares().await));
        let edit = |(kind, id, value): (Kind, &str, Value)| Edit { kind, id: id.into(), value: Some(value) };
        let pool = json!({ "members": [{ "endpoint": "one" }] });
        let edits = [(Kind::Endpoints, "one", json!({ "ipv4": "192.0.2.1" })), (Kind::Pools, "eu", pool)].map(edit);
        let (author, message) = (Author::new("ann"), String::new());
        let publication = Publication { edits: edits.into(), message, author, expect: vec![], tests: Tests::MustPass };
        control.publish(publication).await.unwrap();
        assert!(!Arc::ptr_eq(&one, &control.pool_shares().await));
    }
}
