//! Look-ups over a whole draft, built once when the first check needs them.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use super::super::{Id, Model, Name, Policy, RecordKey, RecordType, Zone};
use super::Kind;
use super::apply::Draft;

/// A policy and the types that it answers at a name.
type Steered = (Id<Policy>, Vec<RecordType>);

pub(super) struct Index {
    apexes: HashMap<Name, Id<Zone>>,
    /// Names that enabled policies answer.
    steered: HashMap<Name, Vec<Steered>>,
    /// The same names in their order, in which those below a name follow it.
    sorted: OnceCell<Vec<Name>>,
}

impl Index {
    fn of(model: &Model) -> Self {
        let apexes = model.zones.iter().map(|(id, zone)| (zone.fqdn.clone(), id.clone())).collect();
        let mut steered: HashMap<Name, Vec<Steered>> = HashMap::new();
        for (id, policy) in model.policies.iter().filter(|(_, policy)| policy.enabled) {
            for attach in &policy.attach {
                steered.entry(attach.name.clone()).or_default().push((id.clone(), attach.types.clone()));
            }
        }
        Index { apexes, steered, sorted: OnceCell::new() }
    }
}

impl Draft<'_> {
    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(&self.model))
    }

    /// Zones by apex.
    pub fn apexes(&self) -> &HashMap<Name, Id<Zone>> {
        &self.index().apexes
    }

    /// Every enabled policy that answers `name`, with the types it answers there.
    pub fn steered(&self, name: &Name) -> &[Steered] {
        self.index().steered.get(name).map_or(&[], Vec::as_slice)
    }

    /// The names at and below `name` that enabled policies answer.
    pub fn steered_below<'d>(&'d self, name: &'d Name) -> impl Iterator<Item = &'d Name> {
        let index = self.index();
        let sorted = index.sorted.get_or_init(|| {
            let mut names: Vec<Name> = index.steered.keys().cloned().collect();
            names.sort();
            names
        });
        sorted[sorted.partition_point(|other| other < name)..].iter().take_while(|other| other.is_under(name))
    }

    /// True when there is an answer of that type at the name, fixed or steered.
    pub fn has_set(&self, zone: &Id<Zone>, name: &Name, rtype: RecordType) -> bool {
        let key = RecordKey { zone: zone.clone(), name: name.clone(), rtype };
        self.model.records.get(&key).is_some_and(|set| set.enabled)
            || self.steered(name).iter().any(|(_, types)| types.contains(&rtype))
    }

    /// Names that touched policies answer.
    pub fn touched_attachments(&self) -> BTreeSet<(Id<Zone>, Name)> {
        let touched = self.touched.entities.iter().filter(|(kind, _)| *kind == Kind::Policies);
        let policies = touched.filter_map(|(_, id)| self.model.policies.get(&id.parse().ok()?));
        policies.flat_map(|policy| &policy.attach).map(|attach| (attach.zone.clone(), attach.name.clone())).collect()
    }
}
