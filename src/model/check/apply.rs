//! Reads edits into a draft of the next model, one entity at a time.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::super::field::{FieldError, Fields, Plain};
use super::super::rdata::{self, Rdata};
use super::super::{
    Endpoint, Id, MAX_TTL, MAX_VALUES, Meta, Model, Monitor, Name, Policy, Pool, RecordKey, RecordSet, RecordType,
    Region, Table, Test, Zone, builtin,
};
use super::index::Index;
use super::{Change, Edit, Kind, Touched, colours, serial};

const MAX_TITLE: usize = 80;
const MAX_NOTE: usize = 1000;
const MAX_TAGS: usize = 20;
const MAX_TAG: usize = 40;

/// The next model while it is put together.
pub(super) struct Draft<'m> {
    pub before: &'m Model,
    pub model: Model,
    pub touched: Touched,
    /// Entities that could not be read; nobody is told that they do not exist.
    pub broken: BTreeSet<(Kind, String)>,
    pub errors: Vec<FieldError>,
    pub warnings: Vec<FieldError>,
    /// Built by the first check after the last edit.
    pub index: OnceCell<Index>,
}

/// An entity that is kept in a table by its id: all but record sets.
pub(super) trait Entity: Clone + PartialEq + Serialize {
    const KIND: Kind;
    fn read(meta: Meta, fields: &mut Fields) -> Option<Self>;
    fn meta_mut(&mut self) -> &mut Meta;
    fn table(model: &Model) -> &Table<Self>;
    fn table_mut(model: &mut Model) -> &mut Table<Self>;
    /// Takes over from the entity's last state, or from nothing, what no editor decides.
    fn inherit(&mut self, _old: Option<&Self>) {}
}

macro_rules! entities {
    ($($type:ident, $kind:ident, $table:ident $(, $inherit:expr)?;)+) => {$(
        impl Entity for $type {
            const KIND: Kind = Kind::$kind;
            fn read(meta: Meta, fields: &mut Fields) -> Option<Self> {
                $type::read(meta, fields)
            }
            fn meta_mut(&mut self) -> &mut Meta {
                &mut self.meta
            }
            fn table(model: &Model) -> &Table<Self> {
                &model.$table
            }
            fn table_mut(model: &mut Model) -> &mut Table<Self> {
                &mut model.$table
            }
            $(fn inherit(&mut self, old: Option<&Self>) {
                $inherit(self, old);
            })?
        }
    )+};
}

entities! {
    Zone, Zones, zones, serial::inherit;
    Region, Regions, regions;
    Monitor, Monitors, monitors;
    Endpoint, Endpoints, endpoints;
    Pool, Pools, pools, colours::inherit;
    Policy, Policies, policies;
    Test, Tests, tests;
}

impl<'m> Draft<'m> {
    pub fn new(before: &'m Model, revision: u64) -> Self {
        let mut model = before.clone();
        model.revision = revision;
        if model.regions.is_empty() {
            model.regions = builtin::regions();
        }
        Draft {
            before,
            model,
            touched: Touched::default(),
            broken: BTreeSet::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            index: OnceCell::new(),
        }
    }

    pub fn error(&mut self, at: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) {
        self.errors.push(FieldError::new(at, problem, remedy));
    }

    pub fn warn(&mut self, at: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) {
        self.warnings.push(FieldError::new(at, problem, remedy));
    }

    /// Applies all edits. Zones come first, because record sets are named relative to theirs.
    pub fn apply(&mut self, edits: &[Edit]) {
        let mut seen = BTreeSet::new();
        let mut sorted: Vec<&Edit> = edits.iter().collect();
        // Stable, so that errors come in the order of the edits within a kind.
        sorted.sort_by_key(|edit| edit.kind);
        for edit in sorted {
            if !seen.insert((edit.kind, &edit.id)) {
                self.error(format!("{}/{}", edit.kind, edit.id), "is edited twice at once", "send one edit of it");
                continue;
            }
            let errors = self.errors.len();
            let value = edit.value.as_ref();
            match edit.kind {
                Kind::Zones => self.edit::<Zone>(&edit.id, value),
                Kind::Records => self.edit_record(&edit.id, value),
                Kind::Regions => self.edit_region(&edit.id, value),
                Kind::Monitors => self.edit::<Monitor>(&edit.id, value),
                Kind::Endpoints => self.edit::<Endpoint>(&edit.id, value),
                Kind::Pools => self.edit::<Pool>(&edit.id, value),
                Kind::Policies => self.edit::<Policy>(&edit.id, value),
                Kind::Tests => self.edit::<Test>(&edit.id, value),
            }
            if self.errors.len() > errors {
                self.broken.insert((edit.kind, edit.id.clone()));
            }
        }
    }

    fn edit_region(&mut self, id: &str, value: Option<&Value>) {
        let built_in = id.parse().is_ok_and(|id| builtin::is_built_in(&id));
        if !built_in {
            return self.edit::<Region>(id, value);
        }
        // A document that was read from here may hold it unchanged.
        let same = value.is_some() && value == self.before.entity(Kind::Regions, id).as_ref();
        if !same {
            self.error(format!("regions/{id}"), format!("{id} is built in"), "copy it under another id");
        }
    }

    fn edit<T: Entity>(&mut self, text: &str, value: Option<&Value>) {
        let at = format!("{}/{text}", T::KIND);
        let id: Id<T> = match text.parse() {
            Ok(id) => id,
            Err(error) => return self.split_error(at, &error),
        };
        match value {
            None => {
                if T::table_mut(&mut self.model).remove(&id).is_none() {
                    return self.error(at, "does not exist", "look up its id in the list; there is nothing to delete");
                }
            }
            Some(value) => {
                let Some(mut entity) = self.read::<T>(&at, text, value) else { return };
                let old = T::table(self.before).get(&id);
                entity.inherit(old.map(|old| &**old));
                if let Some(old) = old {
                    entity.meta_mut().rev = old.as_ref().clone().meta_mut().rev;
                    if entity == **old {
                        return;
                    }
                }
                entity.meta_mut().rev = self.model.revision;
                T::table_mut(&mut self.model).insert(id, Arc::new(entity));
            }
        }
        self.touched.entities.insert((T::KIND, text.into()));
    }

    /// `None` when anything in it is wrong; the errors say what.
    fn read<T: Entity>(&mut self, at: &str, id: &str, value: &Value) -> Option<T> {
        let errors = self.errors.len();
        let mut fields = Fields::of(format!("{at} "), value, &mut self.errors)?;
        let meta = Meta::read(id.to_owned(), &mut fields);
        let entity = T::read(meta, &mut fields);
        fields.finish();
        entity.filter(|_| self.errors.len() == errors)
    }

    fn edit_record(&mut self, text: &str, value: Option<&Value>) {
        let at = format!("records/{text}");
        let key = match self.record_key(text) {
            Ok(Some(key)) => key,
            Ok(None) => return,
            Err(error) => return self.split_error(at, &error),
        };
        match value {
            None => {
                if self.model.records.remove(&key).is_none() {
                    return self.error(at, "does not exist", "look up its id in the list; there is nothing to delete");
                }
            }
            Some(value) => {
                let Some(mut set) = self.read_record(&at, &key, value) else { return };
                if let Some(old) = self.before.records.get(&key) {
                    set.meta.rev = old.meta.rev;
                    if set == **old {
                        return;
                    }
                }
                set.meta.rev = self.model.revision;
                self.model.records.insert(key.clone(), Arc::new(set));
            }
        }
        self.touched.records.insert(key);
    }

    /// Reads `zone/name/TYPE`; `Ok(None)` when its zone could not be read, which is reported there.
    fn record_key(&self, text: &str) -> Result<Option<RecordKey>, String> {
        let wrong = || format!("{text:?} is not the id of a record set; write zone/name/TYPE as in example-com/www/A");
        // The name may hold a slash (RFC 2317), the zone's id and the type cannot.
        let (zone, rest) = text.split_once('/').ok_or_else(wrong)?;
        let (name, rtype) = rest.rsplit_once('/').ok_or_else(wrong)?;
        let (id, rtype): (Id<Zone>, RecordType) = (zone.parse()?, rtype.parse()?);
        if self.broken.contains(&(Kind::Zones, zone.to_owned())) && !self.model.zones.contains_key(&id) {
            return Ok(None);
        }
        // The records of a zone that goes have to be deletable with it.
        let found = self.model.zones.get(&id).or_else(|| self.before.zones.get(&id));
        let zone = found.ok_or_else(|| format!("zone {zone:?} does not exist; create it first"))?;
        Ok(Some(RecordKey { name: Name::parse(name, Some(&zone.fqdn))?, zone: id, rtype }))
    }

    fn read_record(&mut self, at: &str, key: &RecordKey, value: &Value) -> Option<RecordSet> {
        let errors = self.errors.len();
        let zones = if self.model.zones.contains_key(&key.zone) { &self.model.zones } else { &self.before.zones };
        let apex = zones.get(&key.zone)?.fqdn.clone();
        let mut fields = Fields::of(format!("{at} "), value, &mut self.errors)?;
        let id = format!("{}/{}/{}", key.zone, key.name.relative_to(&apex), key.rtype);
        let meta = Meta::read_unnamed(id, &mut fields);
        let set = RecordSet::read(meta, key, &apex, &mut fields);
        fields.finish();
        (self.errors.len() == errors).then_some(set)
    }

    /// An error text of the form "problem; remedy".
    pub fn split_error(&mut self, at: String, error: &str) {
        let (problem, remedy) = error.split_once("; ").unwrap_or((error, "correct it"));
        self.error(at, problem, remedy);
    }

    /// Takes entities as a store kept them, `rev` included. One value at a time is read from its text: all
    /// at once would need ten times the memory of the model.
    pub fn load(&mut self, entities: impl IntoIterator<Item = (Kind, String, Arc<str>)>) {
        let mut sorted: Vec<(Kind, String, Arc<str>)> = entities.into_iter().collect();
        sorted.sort_by_key(|(kind, ..)| *kind);
        for (kind, id, text) in sorted {
            let at = format!("{kind}/{id}");
            let value: Value = match serde_json::from_str(&text) {
                Ok(value) => value,
                Err(error) => {
                    self.error(at, format!("is not JSON: {error}"), "restore a backup");
                    continue;
                }
            };
            match kind {
                Kind::Zones => self.load_one::<Zone>(&at, &id, &value),
                Kind::Regions => self.load_one::<Region>(&at, &id, &value),
                Kind::Monitors => self.load_one::<Monitor>(&at, &id, &value),
                Kind::Endpoints => self.load_one::<Endpoint>(&at, &id, &value),
                Kind::Pools => self.load_one::<Pool>(&at, &id, &value),
                Kind::Policies => self.load_one::<Policy>(&at, &id, &value),
                Kind::Tests => self.load_one::<Test>(&at, &id, &value),
                Kind::Records => match self.record_key(&id) {
                    Err(error) => self.split_error(at, &error),
                    Ok(None) => {}
                    Ok(Some(key)) => {
                        if let Some(mut set) = self.read_record(&at, &key, &value) {
                            set.meta.rev = stored_rev(&value);
                            self.model.records.insert(key, Arc::new(set));
                        }
                    }
                },
            }
        }
    }

    fn load_one<T: Entity>(&mut self, at: &str, text: &str, value: &Value) {
        let id: Id<T> = match text.parse() {
            Ok(id) => id,
            Err(error) => return self.split_error(at.to_owned(), &error),
        };
        match self.read::<T>(at, text, value) {
            Some(mut entity) => {
                entity.meta_mut().rev = stored_rev(value);
                T::table_mut(&mut self.model).insert(id, Arc::new(entity));
            }
            None => {
                self.broken.insert((T::KIND, text.to_owned()));
            }
        }
    }

    /// What is different, in order of kind and id.
    pub fn changes(&self) -> Vec<Change> {
        let mut changes: BTreeMap<(Kind, String), Change> = BTreeMap::new();
        let records = self.touched.records.iter().map(|key| {
            // A record set that was deleted with its zone is named by that zone's apex still.
            let id = self.model.record_id(key).or_else(|| self.before.record_id(key));
            (Kind::Records, id.expect("a record set is only read below a zone"))
        });
        let others = self.touched.entities.iter().map(|(kind, id)| (*kind, id.to_string()));
        for (kind, id) in others.chain(records) {
            let (before, after) = (self.before.entity(kind, &id), self.model.entity(kind, &id));
            changes.insert((kind, id.clone()), Change { kind, id, before, after });
        }
        changes.into_values().collect()
    }
}

fn stored_rev(value: &Value) -> u64 {
    value.get("rev").and_then(Value::as_u64).unwrap_or_default()
}

/// A label that people sort entities by.
struct Tag(String);

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() || text.chars().count() > MAX_TAG || text.chars().any(char::is_control) {
            return Err(format!("{text:?} is not a tag; use 1 to {MAX_TAG} characters"));
        }
        Ok(Tag(text.to_owned()))
    }
}

impl Meta {
    fn read(id: String, fields: &mut Fields) -> Self {
        let name = fields.text("name", MAX_TITLE).unwrap_or_default();
        if name.contains('\n') {
            fields.error("name", "is longer than one line", "put the rest into the note");
        }
        Meta { name, ..Meta::read_unnamed(id, fields) }
    }

    /// As `read`, of a record set, whose `name` is its owner.
    fn read_unnamed(id: String, fields: &mut Fields) -> Self {
        let note = fields.text("note", MAX_NOTE).unwrap_or_default();
        let mut tags: Vec<String> = fields.list("tags", MAX_TAGS).into_iter().map(|tag: Tag| tag.0).collect();
        tags.sort();
        tags.dedup();
        Meta { id, name: String::new(), note, tags, rev: 0 }
    }
}

impl RecordSet {
    /// Reads the fields beside what the id says: `zone`, `name` and `type` may be given, but must agree.
    fn read(meta: Meta, key: &RecordKey, apex: &Name, fields: &mut Fields) -> Self {
        let zone: Option<Id<Zone>> = fields.parse("zone");
        if zone.is_some_and(|zone| zone != key.zone) {
            fields.error("zone", "differs from the id", format!("leave it out, or write {}", key.zone));
        }
        if let Some(Plain(text)) = fields.parse("name")
            && Name::parse(&text, Some(apex)).as_ref() != Ok(&key.name)
        {
            fields.error(
                "name",
                format!("{text:?} differs from the id"),
                format!("leave it out, or write {}", key.name),
            );
        }
        let rtype: Option<RecordType> = fields.parse("type");
        if rtype.is_some_and(|rtype| rtype != key.rtype) {
            fields.error("type", "differs from the id", format!("leave it out, or write {}", key.rtype));
        }
        let ttl = fields.number_if("ttl", 0..=i64::from(MAX_TTL)).map(|ttl| ttl as u32);
        let enabled = fields.flag("enabled", true);
        let texts: Vec<Plain> = fields.list("values", MAX_VALUES);
        if texts.is_empty() {
            fields.error("values", "is empty", format!("give at least one, such as {}", rdata::example(key.rtype)));
        }
        let mut values = Vec::with_capacity(texts.len());
        for (i, Plain(text)) in texts.iter().enumerate() {
            match Rdata::parse(key.rtype, text, Some(apex)) {
                Ok(value) => values.push(value),
                Err(error) => {
                    let (problem, remedy) = error.split_once("; ").unwrap_or((&error, "correct it"));
                    fields.error(&format!("values[{i}]"), problem, remedy);
                }
            }
        }
        values.sort();
        values.dedup();
        let (zone, name, rtype) = (key.zone.clone(), key.name.clone(), key.rtype);
        RecordSet { meta, zone, name, rtype, ttl, values, enabled }
    }
}
