//! The whole model, and single entities, as JSON.

use std::collections::BTreeSet;
use std::ops::Bound;

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::{FieldError, Id, Model, Name, RecordKey, RecordType, Zone, builtin};
use super::apply::Entity;
use super::{Edit, Kind};
use crate::model::{Endpoint, Monitor, Policy, Pool, Region, Test};

impl Model {
    /// The edits that turn this model into what `document` declares: `{zones: {id: {…}}, records:
    /// [{…}], regions: {…}, …}`. What the document does not name is deleted, built-in regions aside.
    pub fn edits_to(&self, document: &Value) -> Result<Vec<Edit>, Vec<FieldError>> {
        let known = Kind::ALL.map(Kind::as_str).join(", ");
        let Some(sections) = document.as_object() else {
            return Err(vec![FieldError::new("document", "is not an object", format!("give the sections {known}"))]);
        };
        if sections.is_empty() {
            // An empty file is a slip far more often than the wish to delete everything.
            let remedy = "name at least one section; zones = {} alone deletes everything";
            return Err(vec![FieldError::new("document", "declares nothing", remedy)]);
        }
        let mut errors = Vec::new();
        for name in sections.keys().filter(|name| !Kind::ALL.iter().any(|kind| kind.as_str() == *name)) {
            errors.push(FieldError::new("document", format!("has no section {name:?}"), format!("known are: {known}")));
        }
        let mut edits = Vec::new();
        for kind in Kind::ALL {
            let section = sections.get(kind.as_str()).filter(|section| !section.is_null());
            let wanted = match (kind, section) {
                (_, None) => Vec::new(),
                (Kind::Records, Some(Value::Array(sets))) => self.record_edits(document, sets, &mut errors),
                (Kind::Records, Some(_)) => {
                    let remedy = "list the record sets in [ ]";
                    errors.push(FieldError::new("document records", "is not a list", remedy));
                    continue;
                }
                (_, Some(Value::Object(entities))) => entities
                    .iter()
                    .map(|(id, value)| Edit { kind, id: id.clone(), value: Some(value.clone()) })
                    .collect(),
                (_, Some(_)) => {
                    let remedy = "give the entities by their ids";
                    errors.push(FieldError::new(format!("document {kind}"), "is not an object", remedy));
                    continue;
                }
            };
            let named: BTreeSet<&str> = wanted.iter().map(|edit| edit.id.as_str()).collect();
            let built_in = |id: &str| kind == Kind::Regions && id.parse().is_ok_and(|id| builtin::is_built_in(&id));
            let gone = self.ids(kind).into_iter().filter(|id| !named.contains(id.as_str()) && !built_in(id));
            edits.extend(gone.map(|id| Edit { kind, id, value: None }).collect::<Vec<_>>());
            edits.extend(wanted);
        }
        if errors.is_empty() { Ok(edits) } else { Err(errors) }
    }

    /// Record sets carry their id in three fields; the name may be relative or absolute.
    fn record_edits(&self, document: &Value, sets: &[Value], errors: &mut Vec<FieldError>) -> Vec<Edit> {
        let apex = |zone: &str| -> Option<Name> {
            match document.get("zones").and_then(|zones| zones.get(zone)).and_then(|zone| zone.get("fqdn")) {
                Some(fqdn) => fqdn.as_str()?.parse().ok(),
                None => Some(self.zones.get(&zone.parse::<Id<Zone>>().ok()?)?.fqdn.clone()),
            }
        };
        let mut edits = Vec::new();
        for (i, set) in sets.iter().enumerate() {
            let text = |name: &str| set.get(name).and_then(Value::as_str);
            let (Some(zone), Some(name), Some(rtype)) = (text("zone"), text("name"), text("type")) else {
                errors.push(FieldError::new(
                    format!("document records[{i}]"),
                    "lacks zone, name or type",
                    "give all three, such as zone example-com, name www, type A",
                ));
                continue;
            };
            // What cannot be understood here is left as it is, and reported when the edit is read.
            let canonical = || {
                let apex = apex(zone)?;
                let name = Name::parse(name, Some(&apex)).ok()?.relative_to(&apex);
                Some(format!("{zone}/{name}/{}", rtype.parse::<RecordType>().ok()?))
            };
            let id = canonical().unwrap_or_else(|| format!("{zone}/{name}/{rtype}"));
            edits.push(Edit { kind: Kind::Records, id, value: Some(set.clone()) });
        }
        edits
    }

    /// Everything configured, in the form that `edits_to` reads.
    pub fn document(&self) -> Value {
        let mut sections = Map::new();
        for kind in Kind::ALL {
            let section = match kind {
                Kind::Zones => section::<Zone>(self),
                Kind::Records => Value::Array(self.records.values().map(|set| json(&**set)).collect()),
                Kind::Regions => section::<Region>(self),
                Kind::Monitors => section::<Monitor>(self),
                Kind::Endpoints => section::<Endpoint>(self),
                Kind::Pools => section::<Pool>(self),
                Kind::Policies => section::<Policy>(self),
                Kind::Tests => section::<Test>(self),
            };
            sections.insert(kind.to_string(), section);
        }
        Value::Object(sections)
    }

    /// One entity as JSON.
    pub fn entity(&self, kind: Kind, id: &str) -> Option<Value> {
        match kind {
            Kind::Zones => entity::<Zone>(self, id),
            Kind::Records => Some(json(&**self.records.get(&self.record_key(id)?)?)),
            Kind::Regions => entity::<Region>(self, id),
            Kind::Monitors => entity::<Monitor>(self, id),
            Kind::Endpoints => entity::<Endpoint>(self, id),
            Kind::Pools => entity::<Pool>(self, id),
            Kind::Policies => entity::<Policy>(self, id),
            Kind::Tests => entity::<Test>(self, id),
        }
    }

    /// All ids of a kind, in order.
    pub fn ids(&self, kind: Kind) -> Vec<String> {
        self.ids_after(kind, None).collect()
    }

    /// The ids of a kind that come after the given one, in order; none where that one is no id. Costs what
    /// is taken of it.
    pub fn ids_after<'m>(&'m self, kind: Kind, after: Option<&str>) -> Box<dyn Iterator<Item = String> + 'm> {
        fn of<'m, T: Entity + 'static>(model: &'m Model, after: Option<&str>) -> Box<dyn Iterator<Item = String> + 'm> {
            let from = match after.map(str::parse::<Id<T>>) {
                None => Bound::Unbounded,
                Some(Ok(id)) => Bound::Excluded(id),
                Some(Err(_)) => return Box::new(std::iter::empty()),
            };
            Box::new(T::table(model).range((from, Bound::Unbounded)).map(|(id, _)| id.to_string()))
        }
        match kind {
            Kind::Zones => of::<Zone>(self, after),
            Kind::Records => {
                let from = match after.map(|id| self.record_key(id)) {
                    None => Bound::Unbounded,
                    Some(Some(key)) => Bound::Excluded(key),
                    Some(None) => return Box::new(std::iter::empty()),
                };
                Box::new(self.records.range((from, Bound::Unbounded)).filter_map(|(key, _)| self.record_id(key)))
            }
            Kind::Regions => of::<Region>(self, after),
            Kind::Monitors => of::<Monitor>(self, after),
            Kind::Endpoints => of::<Endpoint>(self, after),
            Kind::Pools => of::<Pool>(self, after),
            Kind::Policies => of::<Policy>(self, after),
            Kind::Tests => of::<Test>(self, after),
        }
    }

    /// The key that `zone/name/TYPE` means; `None` when there is no such zone or the text is wrong.
    pub fn record_key(&self, id: &str) -> Option<RecordKey> {
        let (zone, rest) = id.split_once('/')?;
        let (name, rtype) = rest.rsplit_once('/')?;
        let zone: Id<Zone> = zone.parse().ok()?;
        let name = Name::parse(name, Some(&self.zones.get(&zone)?.fqdn)).ok()?;
        Some(RecordKey { zone, name, rtype: rtype.parse().ok()? })
    }

    /// `zone/name/TYPE`, the name relative to the zone; `None` when there is no such zone.
    pub fn record_id(&self, key: &RecordKey) -> Option<String> {
        let apex = &self.zones.get(&key.zone)?.fqdn;
        Some(format!("{}/{}/{}", key.zone, key.name.relative_to(apex), key.rtype))
    }
}

fn json(entity: &impl Serialize) -> Value {
    serde_json::to_value(entity).expect("entities have text keys and finite numbers")
}

fn entity<T: Entity>(model: &Model, id: &str) -> Option<Value> {
    Some(json(&**T::table(model).get(&id.parse().ok()?)?))
}

fn section<T: Entity>(model: &Model) -> Value {
    let built_in = |id: &str| T::KIND == Kind::Regions && id.parse().is_ok_and(|id| builtin::is_built_in(&id));
    let entities = T::table(model).iter().filter(|(id, _)| !built_in(id.as_str()));
    Value::Object(entities.map(|(id, entity)| (id.to_string(), json(&**entity))).collect())
}
