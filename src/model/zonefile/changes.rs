//! A zone as text that people edit, and what a text changes in a zone. Only differences become edits, and what the
//! text cannot say (notes, record sets that are switched off, steered names) stays as it is.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

use super::super::check::is_newer;
use super::super::{Edit, FieldError, Id, Kind, Model, Name, RecordKey, RecordType, Zone};
use super::Imported;
use super::export::lines;

/// What a text would change.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    pub edits: Vec<Edit>,
    pub added: usize,
    pub changed: usize,
    pub removed: usize,
    /// The default TTL, where it changes.
    pub default_ttl: Option<DefaultTtl>,
    /// What the text says and the zone will not.
    pub left_out: Vec<FieldError>,
}

/// Another TTL of the record sets that have none of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultTtl {
    pub before: u32,
    pub after: u32,
    /// How many they are.
    pub sets: usize,
}

/// The fixed records of a zone as a master file, in canonical order, for somebody to edit.
pub fn text(model: &Model, id: &Id<Zone>) -> Option<String> {
    let zone = model.zones.get(id)?;
    let Zone { fqdn, soa, default_ttl, ns, serial, .. } = &**zone;
    let mut text = format!("$ORIGIN {fqdn}\n$TTL {default_ttl}\n");
    let times = format!("{} {} {} {}", soa.refresh, soa.retry, soa.expire, soa.minimum);
    writeln!(text, "@ IN SOA {} {} {serial} {times}", soa.mname, soa.rname).expect("a String takes all");
    for server in ns {
        writeln!(text, "@ IN NS {server}").expect("a String takes all");
    }
    for (key, set) in model.records_of(id) {
        let prefix = if set.enabled { "" } else { "; switched off, stays: " };
        text.push_str(&lines(zone, prefix, &key.name, set.ttl, key.rtype, &set.values));
    }
    Some(text)
}

/// Record sets that stand by under steered names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standby {
    /// The text of a zone has them, for somebody to edit.
    Edited,
    /// A zone file has in their place what steered names answer, or nothing.
    Kept,
}

impl Imported {
    /// The edits that make the zone what the text says.
    pub fn changes(self, model: &Model, standby: Standby) -> Changes {
        let default_ttl = self.default_ttl(model);
        let mut changes = Changes { left_out: self.left_out, default_ttl, ..Changes::default() };
        let steered = steered(model, &self.zone);
        let is_steered = |key: &RecordKey| steered.contains(&(&key.name, key.rtype));
        let zone_id = self.zone.to_string();
        if let Some(value) = zone_change(model.entity(Kind::Zones, &zone_id), &self.fields) {
            changes.edits.push(Edit { kind: Kind::Zones, id: zone_id, value: Some(value) });
        }
        let mut named = BTreeSet::new();
        for (Edit { id, value, .. }, line) in self.sets.into_iter().zip(self.lines) {
            let key = model.record_key(&id);
            let known = key.as_ref().and_then(|key| model.records.get(key));
            let stays = known.is_none() || standby == Standby::Kept;
            if stays && key.as_ref().is_some_and(is_steered) {
                let problem = format!("{id} is steered and is left out");
                changes.left_out.push(FieldError::new(
                    format!("line {line}"),
                    problem,
                    "change its rules on the page of the name",
                ));
                continue;
            }
            let value = value.unwrap_or_default();
            if let Some(known) = known {
                named.insert(known.key());
                let values: Vec<Value> = known.values.iter().map(|value| value.present(known.rtype).into()).collect();
                if known.enabled && json!(known.ttl) == value["ttl"] && value["values"].as_array() == Some(&values) {
                    continue;
                }
                changes.changed += 1;
                let mut whole = model.entity(Kind::Records, &id).unwrap_or_default();
                (whole["ttl"], whole["values"], whole["enabled"]) =
                    (value["ttl"].clone(), value["values"].clone(), true.into());
                changes.edits.push(Edit { kind: Kind::Records, id, value: Some(whole) });
            } else {
                changes.added += 1;
                changes.edits.push(Edit { kind: Kind::Records, id, value: Some(value) });
            }
        }
        let stays = |key: &RecordKey| standby == Standby::Kept && is_steered(key);
        let gone = model.records_of(&self.zone).filter(|(key, set)| set.enabled && !named.contains(key) && !stays(key));
        for id in gone.filter_map(|(key, _)| model.record_id(key)) {
            changes.removed += 1;
            changes.edits.push(Edit { kind: Kind::Records, id, value: None });
        }
        changes
    }

    fn default_ttl(&self, model: &Model) -> Option<DefaultTtl> {
        let before = model.zones.get(&self.zone)?.default_ttl;
        let after = self.fields["default_ttl"].as_u64().and_then(|ttl| u32::try_from(ttl).ok())?;
        let inherits = |edit: &&Edit| edit.value.as_ref().is_some_and(|value| value["ttl"].is_null());
        let sets = self.sets.iter().filter(inherits).count();
        (after != before).then_some(DefaultTtl { before, after, sets })
    }
}

/// What answers by rules in a zone.
fn steered<'m>(model: &'m Model, zone: &Id<Zone>) -> BTreeSet<(&'m Name, RecordType)> {
    let enabled = model.policies.values().filter(|policy| policy.enabled);
    let attached = enabled.flat_map(|policy| &policy.attach).filter(|attach| attach.zone == *zone);
    attached.flat_map(|attach| attach.types.iter().map(|rtype| (&attach.name, *rtype))).collect()
}

/// The zone with what the text says; `None` when that is what it says already. The serial moves by itself, and may be
/// raised, as when a zone moves here from another server.
fn zone_change(known: Option<Value>, said: &Value) -> Option<Value> {
    let Some(known) = known else { return Some(said.clone()) };
    let mut value = known.clone();
    let serial = |value: &Value| value["serial"].as_u64().and_then(|serial| u32::try_from(serial).ok());
    let is_older = match (serial(said), serial(&known)) {
        (Some(said), Some(known)) => !is_newer(said, known),
        _ => false,
    };
    for (name, field) in said.as_object()?.iter().filter(|(name, _)| !is_older || *name != "serial") {
        value[name] = field.clone();
    }
    (value != known).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::super::import;
    use super::*;

    fn model() -> Model {
        let rules = json!([{ "name": "Everyone else", "steps": [{ "pools": [{ "pool": "eu" }] }] }]);
        let set = |name: &str, rtype: &str, values: Value| json!({ "zone": "z", "name": name, "type": rtype, "values": values });
        let mut noted = set("mail", "A", json!(["192.0.2.2"]));
        noted["note"] = "the old one".into();
        let mut off = set("off", "A", json!(["192.0.2.3"]));
        off["enabled"] = false.into();
        let document = json!({
            "zones": { "z": { "fqdn": "z.test.", "ns": ["ns1.other.test.", "ns2.other.test."] } },
            "records": [set("www", "A", json!(["192.0.2.1"])), noted, off, set("@", "TXT", json!(["\"a;b\" \"c\""]))],
            "endpoints": { "one": { "ipv4": "192.0.2.9" } },
            "pools": { "eu": { "members": [{ "endpoint": "one" }] } },
            "policies": { "app": { "attach": [{ "zone": "z", "name": "app.z.test.", "types": ["A"] }], "rules": rules } },
        });
        let empty = Model::empty();
        empty.check(&empty.edits_to(&document).unwrap()).unwrap().model
    }

    fn changes(model: &Model, text: &str) -> Changes {
        let apex = "z.test.".parse().unwrap();
        import(text, &"z".parse().unwrap(), Some(&apex)).unwrap().changes(model, Standby::Edited)
    }

    #[test]
    fn an_unedited_text_changes_nothing() {
        let model = model();
        let text = text(&model, &"z".parse().unwrap()).unwrap();
        assert!(text.contains("; switched off, stays: off IN A 192.0.2.3\n"), "{text}");
        assert_eq!(changes(&model, &text), Changes::default());
    }

    #[test]
    fn each_edited_line_is_one_edit_and_the_rest_stays() {
        let model = model();
        let text = text(&model, &"z".parse().unwrap()).unwrap();
        for (from, to, edits, counts) in [
            ("mail IN A 192.0.2.2", "mail 60 IN A 192.0.2.2", vec!["z/mail/A"], (0, 1, 0)),
            ("www IN A 192.0.2.1\n", "", vec!["z/www/A"], (0, 0, 1)),
            ("www IN A 192.0.2.1\n", "www IN A 192.0.2.1\nwww IN AAAA 2001:db8::1\n", vec!["z/www/AAAA"], (1, 0, 0)),
            ("ns2.other.test.\n", "ns3.other.test.\n", vec!["z"], (0, 0, 0)),
            ("; switched off, stays: off", "off", vec!["z/off/A"], (0, 1, 0)),
            ("$TTL 300", "$TTL 600", vec!["z"], (0, 0, 0)),
        ] {
            assert!(text.contains(from), "{from}");
            let changes = changes(&model, &text.replace(from, to));
            let ids: Vec<&str> = changes.edits.iter().map(|edit| edit.id.as_str()).collect();
            assert_eq!((ids, (changes.added, changes.changed, changes.removed)), (edits, counts), "{from} → {to}");
            let after = model.check(&changes.edits).unwrap().model;
            let mail = after.record_key("z/mail/A").and_then(|key| after.records.get(&key).cloned());
            assert_eq!(mail.unwrap().meta.note, "the old one");
        }
    }

    #[test]
    fn another_default_ttl_is_told_with_those_that_inherit_it() {
        let model = model();
        let text = text(&model, &"z".parse().unwrap()).unwrap();
        let text = text.replace("$TTL 300", "$TTL 600").replace("mail IN", "mail 60 IN");
        let told = DefaultTtl { before: 300, after: 600, sets: 2 };
        assert_eq!(changes(&model, &text).default_ttl, Some(told));
    }

    #[test]
    fn a_steered_name_of_an_export_is_left_out() {
        let model = model();
        let text = text(&model, &"z".parse().unwrap()).unwrap() + "app 30 IN A 192.0.2.9\n";
        let changes = changes(&model, &text);
        assert_eq!((changes.edits.len(), changes.left_out.len()), (0, 1));
    }

    #[test]
    fn a_file_leaves_what_stands_by_under_a_steered_name() {
        let by = json!({ "zone": "z", "name": "app", "type": "A", "values": ["192.0.2.7"] });
        let standby = Edit { kind: Kind::Records, id: "z/app/A".into(), value: Some(by) };
        let model = model().check(&[standby]).unwrap().model;
        let whole = text(&model, &"z".parse().unwrap()).unwrap();
        let without = whole.replace("app IN A 192.0.2.7\n", "");
        assert_ne!(whole, without);
        let apex = "z.test.".parse().unwrap();
        for (text, left_out) in [(without.clone(), 0), (without + "app 30 IN A 192.0.2.9\n", 1)] {
            let imported = import(&text, &"z".parse().unwrap(), Some(&apex)).unwrap();
            let of_file = imported.clone().changes(&model, Standby::Kept);
            assert_eq!((of_file.edits.len(), of_file.left_out.len()), (0, left_out), "{text}");
            assert_eq!(imported.changes(&model, Standby::Edited).edits.len(), 1, "{text}");
        }
    }
}
