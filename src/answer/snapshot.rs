//! Everything that answers are made from, compiled ahead. Immutable: a change makes the next snapshot,
//! which shares with this one whatever the change did not touch.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use super::live::LivePool;
use super::names::{HashIndex, Suffixes};
use super::plan::{Audience, Maps, Plans};
use super::steer::Pools;
use super::zone::{Steered, ZoneSource, ZoneTable};
use crate::geo;
use crate::health::HealthTable;
use crate::model::{Id, Model, Policy, Pool, RecordType, Zone};

/// What we say, at one moment.
#[derive(Debug)]
pub struct Snapshot {
    model: Arc<Model>,
    geo: Arc<geo::Base>,
    zones: Arc<Zones>,
    plans: Arc<Plans>,
    /// By number; `None` for a pool that is gone.
    pools: Vec<Option<Arc<LivePool>>>,
    /// Counted when somebody looks, and kept while regions and geo database stay.
    coverage: Arc<OnceLock<geo::Coverage>>,
}

/// All zones, found by the deepest apex.
#[derive(Debug)]
pub(super) struct Zones {
    /// Drawn once per process, so that nobody can choose names that collide.
    seed: u64,
    index: HashIndex,
    tables: Vec<Arc<ZoneTable>>,
    deepest_labels: usize,
}

impl Snapshot {
    /// Compiles what changed since `previous`; all of it where there is none.
    pub fn compile(
        model: &Arc<Model>,
        geo: &Arc<geo::Base>,
        health: &HealthTable,
        previous: Option<&Snapshot>,
    ) -> Snapshot {
        let before = previous.map(|snapshot| &*snapshot.plans);
        let same_geo = previous.is_some_and(|snapshot| Arc::ptr_eq(&snapshot.geo, geo));
        let plans = Plans::compile(model, geo, before, if same_geo { Maps::Keep } else { Maps::Rebuild });
        let zones = Zones::compile(model, plans.steered(), previous.map(|snapshot| &*snapshot.zones));
        let pools = live_pools(model, plans.pool_ids.ids(), health, previous.map_or(&[], |snapshot| &snapshot.pools));
        let alike = previous.filter(|before| same_geo && before.model.has_regions_of(model));
        let coverage = alike.map(|before| before.coverage.clone()).unwrap_or_default();
        let (model, geo) = (model.clone(), geo.clone());
        Snapshot { model, geo, zones: Arc::new(zones), plans: Arc::new(plans), pools, coverage }
    }

    /// The same world in other health. Zones, policies and maps are shared, and so is every pool that stayed as it was.
    pub fn with_health(&self, health: &HealthTable) -> Snapshot {
        self.with_pools(live_pools(&self.model, self.plans.pool_ids.ids(), health, &self.pools))
    }

    /// The same world with nothing known against these pools and their servers.
    pub fn with_well(&self, well: &BTreeSet<&Id<Pool>>) -> Snapshot {
        let nothing = HealthTable::default();
        let mut pools = self.pools.clone();
        for known in pools.iter_mut().flatten() {
            let Some(pool) = self.model.pools.get(&known.id).filter(|_| well.contains(&known.id)) else { continue };
            *known = Arc::new(LivePool::new(pool, &known.id, &self.model, &nothing));
        }
        self.with_pools(pools)
    }

    /// The same world with these pools down, whatever their servers are.
    pub fn with_down(&self, down: &[Id<Pool>]) -> Snapshot {
        let mut pools = self.pools.clone();
        for pool in pools.iter_mut().flatten().filter(|pool| down.contains(&pool.id)) {
            *pool = Arc::new(pool.taken_down());
        }
        self.with_pools(pools)
    }

    fn with_pools(&self, pools: Vec<Option<Arc<LivePool>>>) -> Snapshot {
        Snapshot {
            model: self.model.clone(),
            geo: self.geo.clone(),
            zones: self.zones.clone(),
            plans: self.plans.clone(),
            pools,
            coverage: self.coverage.clone(),
        }
    }

    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    pub fn geo(&self) -> &Arc<geo::Base> {
        &self.geo
    }

    /// How the regions share the known addresses out.
    pub fn coverage(&self) -> &geo::Coverage {
        self.coverage.get_or_init(|| geo::Coverage::of(&self.geo, &self.model.regions))
    }

    /// Names that exist in all zones, empty non-terminals included.
    pub fn names(&self) -> usize {
        self.zones.tables.iter().map(|table| table.names()).sum()
    }

    /// Audiences by the number that a `Credit` names. A number keeps its meaning from snapshot to snapshot, also
    /// after its policy is gone.
    pub fn audiences(&self) -> &[Arc<Audience>] {
        self.plans.audiences.ids()
    }

    /// Policies by number, as `audiences`.
    pub fn policy_ids(&self) -> &[Id<Policy>] {
        self.plans.policy_ids.ids()
    }

    /// Pools by number, as `audiences`.
    pub fn pool_ids(&self) -> &[Id<Pool>] {
        self.plans.pool_ids.ids()
    }

    pub(super) fn policy_number(&self, id: &Id<Policy>) -> Option<u32> {
        self.plans.policy_ids.number(id)
    }

    pub(super) fn plans(&self) -> &Plans {
        &self.plans
    }

    pub(super) fn pools(&self) -> Pools<'_> {
        Pools(&self.pools)
    }

    pub(super) fn zones(&self) -> &Zones {
        &self.zones
    }
}

fn live_pools(
    model: &Model,
    ids: &[Id<Pool>],
    health: &HealthTable,
    previous: &[Option<Arc<LivePool>>],
) -> Vec<Option<Arc<LivePool>>> {
    let live = ids.iter().enumerate().map(|(number, id)| {
        let pool = model.pools.get(id)?;
        let before = previous.get(number).and_then(Option::as_ref);
        let current = before.filter(|before| before.is_current(pool, model, health));
        Some(current.cloned().unwrap_or_else(|| Arc::new(LivePool::new(pool, id, model, health))))
    });
    live.collect()
}

impl Zones {
    /// `steered` holds the names that enabled policies answer, by zone.
    fn compile(model: &Model, mut steered: BTreeMap<Id<Zone>, Vec<Steered>>, previous: Option<&Zones>) -> Zones {
        let seed = previous.map_or_else(|| RandomState::new().hash_one(0), |zones| zones.seed);
        let mut zones = Zones { seed, index: HashIndex::default(), tables: Vec::new(), deepest_labels: 0 };
        for (id, zone) in &model.zones {
            let steered = steered.remove(id).unwrap_or_default();
            let source = ZoneSource { zone: zone.clone(), steered };
            let apex = zone.fqdn.as_wire();
            let Some(suffixes) = Suffixes::of(apex, seed) else { continue };
            let known = previous.and_then(|previous| previous.exact(&suffixes, suffixes.labels()));
            let table = match known.filter(|known| known.source().same(&source)) {
                Some(known) => known.clone(),
                None => {
                    let records = model.records_of(id).map(|(_, set)| &**set);
                    Arc::new(ZoneTable::compile(source, records, seed))
                }
            };
            zones.index.insert(suffixes.hash(suffixes.labels()), zones.tables.len() as u32);
            zones.tables.push(table);
            zones.deepest_labels = zones.deepest_labels.max(suffixes.labels());
        }
        zones
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The zone that answers for a name: the deepest, but a DS record at an apex belongs to the zone
    /// above where we serve that too (RFC 4035 section 3.1.4.1).
    pub fn find(&self, name: &Suffixes, rtype: RecordType) -> Option<&ZoneTable> {
        let labels = name.labels();
        let at_or_above = |from: usize| (0..=from.min(self.deepest_labels)).rev().find_map(|n| self.exact(name, n));
        let above = (rtype == RecordType::DS && labels > 0 && self.exact(name, labels).is_some())
            .then(|| at_or_above(labels - 1))
            .flatten();
        above.or_else(|| at_or_above(labels)).map(|table| &**table)
    }

    fn exact(&self, name: &Suffixes, labels: usize) -> Option<&Arc<ZoneTable>> {
        let (_, wire) = name.suffix(labels);
        let number = self.index.find(name.hash(labels), |n| self.tables[n as usize].apex() == wire)?;
        self.tables.get(number as usize)
    }
}
