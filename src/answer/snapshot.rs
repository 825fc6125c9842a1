//! Everything that answers are made from, compiled ahead. Immutable: a change makes the next snapshot,
//! which shares with this one whatever the change did not touch.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::names::{HashIndex, Suffixes};
use super::zone::{Steered, ZoneSource, ZoneTable};
use crate::geo;
use crate::health::HealthTable;
use crate::model::{Id, Model, RecordSet, RecordType, Zone};

/// What we say, at one moment.
#[derive(Debug)]
pub struct Snapshot {
    model: Arc<Model>,
    geo: Arc<geo::Base>,
    zones: Arc<Zones>,
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
        _health: &HealthTable,
        previous: Option<&Snapshot>,
    ) -> Snapshot {
        let zones = Zones::compile(model, BTreeMap::new(), previous.map(|snapshot| &*snapshot.zones));
        Snapshot { model: model.clone(), geo: geo.clone(), zones: Arc::new(zones) }
    }

    /// The same world in other health.
    pub fn with_health(&self, _health: &HealthTable) -> Snapshot {
        Snapshot { model: self.model.clone(), geo: self.geo.clone(), zones: self.zones.clone() }
    }

    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    pub fn geo(&self) -> &Arc<geo::Base> {
        &self.geo
    }

    /// Names that exist in all zones, empty non-terminals included.
    pub fn names(&self) -> usize {
        self.zones.tables.iter().map(|table| table.names()).sum()
    }

    pub(super) fn zones(&self) -> &Zones {
        &self.zones
    }
}

impl Zones {
    /// `steered` holds the names that enabled policies answer, by zone.
    fn compile(model: &Model, mut steered: BTreeMap<Id<Zone>, Vec<Steered>>, previous: Option<&Zones>) -> Zones {
        let seed = previous.map_or_else(|| RandomState::new().hash_one(0), |zones| zones.seed);
        let mut records: BTreeMap<&Id<Zone>, Vec<Arc<RecordSet>>> = BTreeMap::new();
        for set in model.records.values() {
            // Sets come in order of their zone, so that this looks up once for each zone.
            match records.last_entry() {
                Some(mut last) if **last.key() == set.zone => last.get_mut().push(set.clone()),
                _ => records.entry(&set.zone).or_default().push(set.clone()),
            }
        }
        let mut zones = Zones { seed, index: HashIndex::default(), tables: Vec::new(), deepest_labels: 0 };
        for (id, zone) in &model.zones {
            let mut steered = steered.remove(id).unwrap_or_default();
            steered.sort();
            let source = ZoneSource { zone: zone.clone(), records: records.remove(id).unwrap_or_default(), steered };
            let apex = zone.fqdn.as_wire();
            let Some(suffixes) = Suffixes::of(apex, seed) else { continue };
            let known = previous.and_then(|previous| previous.exact(&suffixes, suffixes.labels()));
            let table = match known.filter(|known| known.source().same(&source)) {
                Some(known) => known.clone(),
                None => Arc::new(ZoneTable::compile(source, seed)),
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
