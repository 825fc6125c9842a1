//! What somebody typed into the form of a record set: read with everything that is wrong or doubtful in it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::json;

use super::super::form::{Faults, Form};
use super::super::names::{is_relative, outside, path, zone_of};
use super::super::pools::{Address, address, is_private};
use super::super::values::underscored;
use super::Shown;
use crate::model::{Edit, FieldError, Kind, Name, RecordKey, RecordType, check_host_name};

/// What is kept only by somebody who means it: said beside a field, with the button that says so.
pub struct Doubt {
    pub field: &'static str,
    pub keep: &'static str,
    pub word: &'static str,
    /// The name's own page, where that is the way out.
    pub open: Option<String>,
}

/// The field of those buttons.
pub const KEEP: &str = "keep";
const UNDERSCORE: &str = "underscore";
const PRIVATE: &str = "private";
const STANDBY: &str = "standby";
const BELOW: &str = "below";
/// Stands for a name that is wrong, so that everything else is checked all the same.
const STAND_IN: &str = "stand-in-for-a-name";

/// What stands in the form.
#[derive(Clone, Default)]
pub struct Typed {
    /// `name/TYPE` of the set that is changed; empty for a new one.
    pub old: String,
    pub name: String,
    pub rtype: String,
    pub ttl: String,
    pub values: String,
    pub note: String,
    pub enabled: bool,
    pub keeps: BTreeSet<String>,
}

impl Typed {
    pub fn of_form(form: &Form) -> Typed {
        Typed {
            old: form.text("old").to_owned(),
            name: form.text("name").to_owned(),
            rtype: form.text("type").to_ascii_uppercase(),
            ttl: form.text("ttl").to_owned(),
            values: form.text("values").to_owned(),
            note: form.text("note").to_owned(),
            enabled: form.has("enabled"),
            keeps: form.all(KEEP).map(str::to_owned).collect(),
        }
    }

    pub fn of_set(shown: &Shown, key: &RecordKey) -> Option<Typed> {
        let set = shown.model.records.get(key)?;
        let name = key.name.relative_to(&shown.zone.fqdn);
        let values: Vec<String> = set.values.iter().map(|value| value.present(key.rtype)).collect();
        Some(Typed {
            old: format!("{name}/{}", key.rtype),
            rtype: key.rtype.to_string(),
            ttl: set.ttl.map(|ttl| ttl.to_string()).unwrap_or_default(),
            values: values.join("\n"),
            note: set.meta.note.clone(),
            enabled: set.enabled,
            keeps: BTreeSet::new(),
            name,
        })
    }

    /// Both `www` and the whole name mean one of the zone.
    fn name(&self, shown: &Shown) -> Result<Name, Wrong> {
        let apex = &shown.zone.fqdn;
        let text = self.name.as_str();
        if text.is_empty() {
            let remedy = "give one such as www, or @ for the zone itself";
            return Err(Wrong::Field(FieldError::new("name", "the name is empty", remedy)));
        }
        let whole = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let within = whole == shown.apex() || whole.ends_with(&format!(".{}", shown.apex()));
        let name = if within { text.parse() } else { Name::parse(text, Some(apex)) };
        let name: Name = name.map_err(|error| Wrong::Field(FieldError::told("name", &error)))?;
        match name.is_under(apex) {
            true => Ok(name),
            false => Err(Wrong::Outside(name)),
        }
    }

    fn rtype(&self) -> Result<RecordType, FieldError> {
        self.rtype.parse().map_err(|error: String| FieldError::told("type", &error))
    }

    pub fn key(&self, shown: &Shown) -> Option<RecordKey> {
        Some(RecordKey { zone: shown.id.clone(), name: self.name(shown).ok()?, rtype: self.rtype().ok()? })
    }

    /// True for `shop.example.org`, which hardly is meant as a name below this zone.
    fn looks_foreign(&self, shown: &Shown) -> bool {
        let whole = self.name.to_ascii_lowercase();
        let is_whole = whole == shown.apex() || whole.ends_with(&format!(".{}", shown.apex()));
        whole.contains('.') && !whole.ends_with('.') && !is_whole && !is_relative(&shown.model, &whole)
    }

    fn values(&self) -> Vec<&str> {
        self.values.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
    }
}

/// Why a name is none of the zone.
enum Wrong {
    Field(FieldError),
    Outside(Name),
}

impl Wrong {
    fn tell(self, shown: &Shown, faults: &mut Faults) {
        match self {
            Wrong::Field(error) => faults.push(error),
            Wrong::Outside(name) => match zone_of(&shown.model, &name) {
                Some(other) => {
                    faults.say("name", format!("{} belongs to zone {other}. Add it there.", name.without_dot()))
                }
                None => faults.say("name", outside(&name, &shown.model)),
            },
        }
    }
}

/// Names that are no hosts, such as those of SRV, may be any.
fn is_of_host(rtype: RecordType) -> bool {
    [RecordType::A, RecordType::AAAA, RecordType::MX].contains(&rtype)
}

/// Host names have no underscore.
fn has_odd_underscore(key: &RecordKey) -> bool {
    is_of_host(key.rtype) && key.name.labels().any(|label| label.contains(&b'_'))
}

/// Whether rules answer for it.
pub fn is_steered(shown: &Shown, key: &RecordKey) -> bool {
    let mut attached = shown.model.policies.values().flat_map(|policy| &policy.attach);
    attached.any(|attach| attach.name == key.name && attach.types.contains(&key.rtype))
}

/// What a form says, with everything that is wrong or doubtful in it. A doubt is a fault too, until it is meant.
pub struct Read {
    pub key: Option<RecordKey>,
    /// Of the set; with a stand-in where the name or the type is wrong.
    pub id: String,
    pub edits: Vec<Edit>,
    pub faults: Faults,
    pub doubts: Vec<Doubt>,
}

pub fn read(shown: &Shown, typed: &Typed) -> Read {
    let (mut faults, mut doubts) = (Faults::default(), Vec::new());
    let name = typed.name(shown).map_err(|wrong| wrong.tell(shown, &mut faults)).ok();
    let rtype = typed.rtype().map_err(|error| faults.push(error)).ok();
    let key = name.clone().zip(rtype).map(|(name, rtype)| RecordKey { zone: shown.id.clone(), name, rtype });
    let relative = name.as_ref().map_or(STAND_IN.to_owned(), |name| name.relative_to(&shown.zone.fqdn));
    let place = format!("{relative}/{}", rtype.unwrap_or(RecordType::TXT));
    let id = format!("{}/{place}", shown.id);
    let is_new = typed.old != place;
    let mut doubt = |faults: &mut Faults, is_so: bool, field, keep: &'static str, word, said: String| {
        if is_so && !typed.keeps.contains(keep) {
            faults.say(field, said);
            let open = name.as_ref().filter(|_| keep == STANDBY).map(path);
            doubts.push(Doubt { field, keep, word, open });
        }
    };
    let whole = Name::parse(&typed.name, Some(&Name::root())).ok().filter(|_| name.is_some());
    if let Some(whole) = whole.filter(|_| is_new && typed.looks_foreign(shown)) {
        doubt(&mut faults, true, "name", BELOW, "Keep it below this zone", outside(&whole, &shown.model));
    }
    if let Some(key) = &key {
        let host = if is_new && is_of_host(key.rtype) { check_host_name(&typed.name) } else { Ok(()) };
        if let (false, Err(error)) = (typed.name == "@", host) {
            faults.push(FieldError::told("name", &error));
        }
        if is_new && shown.model.records.contains_key(key) {
            faults
                .say("name", format!("{} {} is there already. Change that record set instead.", typed.name, key.rtype));
        }
        let said = underscored(&typed.name);
        doubt(&mut faults, is_new && has_odd_underscore(key), "name", UNDERSCORE, "Keep anyway", said);
        let said = format!("{} is steered already. A name is either plain or steered.", typed.name);
        doubt(&mut faults, is_new && is_steered(shown, key), "name", STANDBY, "Keep it to stand by", said);
        if let Some(address) = private_address(shown, typed, key.rtype) {
            let said = format!("{address} is a private address. Clients on the internet cannot reach it.");
            doubt(&mut faults, true, "values", PRIVATE, "Keep anyway", said);
        }
        for said in typed.values().into_iter().filter_map(|value| no_address(value, key.rtype)) {
            faults.say("values", said);
        }
    }
    let edits = edits(shown, typed, rtype, &id, is_new, &mut faults);
    Read { key, id, edits, faults, doubts }
}

/// The first address that only the inside reaches and that did not stand there before.
fn private_address(shown: &Shown, typed: &Typed, rtype: RecordType) -> Option<IpAddr> {
    let old = shown.model.record_key(&format!("{}/{}", shown.id, typed.old));
    let known = old.and_then(|key| shown.model.records.get(&key)).map(|set| &set.values);
    let known: Vec<String> = known.into_iter().flatten().map(|value| value.present(rtype)).collect();
    if !matches!(rtype, RecordType::A | RecordType::AAAA) {
        return None;
    }
    let mut parsed = typed.values().into_iter().filter_map(|value| value.parse::<IpAddr>().ok());
    parsed.find(|address| is_private(*address) && !known.contains(&address.to_string()))
}

/// What an A or AAAA set cannot hold, in words that say which part of it is wrong.
fn no_address(value: &str, rtype: RecordType) -> Option<String> {
    let sentence = |error: FieldError| format!("{}. {}.", error.problem, error.remedy);
    match (rtype, address(value)) {
        (RecordType::A, Ok(Address::Ipv4(_))) | (RecordType::AAAA, Ok(Address::Ipv6(_))) => None,
        (RecordType::A, Ok(Address::Ipv6(ip))) => {
            Some(format!("{ip} is an IPv6 address. Put it into an AAAA record set."))
        }
        (RecordType::AAAA, Ok(Address::Ipv4(ip))) => {
            Some(format!("{ip} is an IPv4 address. Put it into an A record set."))
        }
        (RecordType::A | RecordType::AAAA, Ok(Address::Name(_))) => {
            Some(format!("{value} is not an address. Put it into a CNAME record set."))
        }
        (RecordType::A | RecordType::AAAA, Err(error)) => Some(sentence(error)),
        _ => None,
    }
}

/// A set under another name or type is a new one in the place of the old one. Values of an unknown type are left
/// out, since nothing can be said of them.
fn edits(
    shown: &Shown,
    typed: &Typed,
    rtype: Option<RecordType>,
    id: &str,
    is_new: bool,
    faults: &mut Faults,
) -> Vec<Edit> {
    let old = (!typed.old.is_empty()).then(|| format!("{}/{}", shown.id, typed.old));
    let mut value = old.as_ref().and_then(|id| shown.model.entity(Kind::Records, id)).unwrap_or_else(|| json!({}));
    if let Some(fields) = value.as_object_mut() {
        ["zone", "name", "type", "id", "rev"].iter().for_each(|field| drop(fields.remove(*field)));
    }
    value["ttl"] = match (typed.ttl.as_str(), typed.ttl.parse::<u64>()) {
        ("", _) => json!(null),
        (_, Ok(seconds)) => json!(seconds),
        (ttl, Err(_)) => {
            let problem = format!("{ttl:?} is not a whole number");
            faults.push(FieldError::new("ttl", problem, "give seconds, or leave it empty"));
            json!(null)
        }
    };
    value["values"] = match (rtype, typed.values()) {
        (None, values) if !values.is_empty() => json!(["\"\""]),
        (_, values) => json!(values),
    };
    value["note"] = json!(typed.note);
    value["enabled"] = json!(typed.enabled);
    let mut edits = vec![Edit { kind: Kind::Records, id: id.to_owned(), value: Some(value) }];
    if let Some(old) = old.filter(|_| is_new) {
        edits.push(Edit { kind: Kind::Records, id: old, value: None });
    }
    edits
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::control::draft::Draft;
    use crate::model::Model;

    fn shown() -> Shown {
        let rules = json!([{ "name": "Everyone else", "steps": [{ "pools": [{ "pool": "eu" }] }] }]);
        let servers = ["a.other.test.", "b.other.test."];
        let document = json!({
            "zones": { "z": { "fqdn": "example.com.", "ns": servers }, "o": { "fqdn": "example.net.", "ns": servers } },
            "records": [{ "zone": "z", "name": "old", "type": "A", "values": ["10.0.0.1"] }],
            "endpoints": { "e": { "ipv4": "192.0.2.1" } },
            "pools": { "eu": { "members": [{ "endpoint": "e" }] } },
            "policies": { "www": { "attach": [{ "zone": "z", "name": "www.example.com.", "types": ["A"] }], "rules": rules } },
        });
        let empty = Model::empty();
        let model = Arc::new(empty.check(&empty.edits_to(&document).unwrap()).unwrap().model);
        let id = "z".parse().unwrap();
        let zone = model.zones.get(&id).unwrap().clone();
        Shown { model, draft: Arc::new(Draft::default()), id, zone }
    }

    /// What stands beside the fields, and the ways out.
    fn told(fields: &[(&str, &str)]) -> (Vec<String>, Vec<&'static str>) {
        let form = Form(fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect());
        let read = read(&shown(), &Typed::of_form(&form));
        let faults = ["name", "type", "ttl", "values"].iter().flat_map(|field| read.faults.of(field)).collect();
        (faults, read.doubts.iter().map(|doubt| doubt.keep).collect())
    }

    #[test]
    fn everything_wrong_or_doubtful_is_told_at_once_in_the_words_of_the_field() {
        let underscore = "app_1 has an underscore. Host names may use letters, digits and hyphens.";
        let private = "10.0.0.5 is a private address. Clients on the internet cannot reach it.";
        let outside = "shop.example.org is not under a zone of this server. Zones here: example.net, example.com.";
        for (name, rtype, ttl, values, faults, ways) in [
            (
                "app_1",
                "A",
                "abc",
                "10.0.0.5\n192.0.2.300",
                vec![
                    underscore,
                    "\"abc\" is not a whole number. Give seconds, or leave it empty.",
                    private,
                    "192.0.2.300 is not an address. The last part can be at most 255.",
                ],
                vec!["underscore", "private"],
            ),
            ("shop.example.org.", "A", "", "192.0.2.1", vec![outside], vec![]),
            ("shop.example.org", "A", "", "192.0.2.1", vec![outside], vec!["below"]),
            (
                "www.example.net.",
                "A",
                "",
                "192.0.2.1",
                vec!["www.example.net belongs to zone o. Add it there."],
                vec![],
            ),
            (
                "www",
                "A",
                "",
                "2001:db8::1",
                vec![
                    "www is steered already. A name is either plain or steered.",
                    "2001:db8::1 is an IPv6 address. Put it into an AAAA record set.",
                ],
                vec!["standby"],
            ),
            ("www:80", "A", "", "192.0.2.1", vec!["www:80 has a port. Write only the name: www."], vec![]),
            ("old", "A", "", "192.0.2.1", vec!["old A is there already. Change that record set instead."], vec![]),
            ("_sip._tcp", "SRV", "", "0 0 5060 sip", vec![], vec![]),
            ("new", "A", "60", "192.0.2.7", vec![], vec![]),
        ] {
            let fields = [("name", name), ("type", rtype), ("ttl", ttl), ("values", values)];
            assert_eq!(told(&fields), (faults.into_iter().map(str::to_owned).collect(), ways), "{fields:?}");
        }
    }

    #[test]
    fn what_was_meant_once_is_not_asked_again() {
        let fields = [("name", "app_1"), ("type", "A"), ("values", "10.0.0.5")];
        let kept = [("keep", "underscore"), ("keep", "private")];
        assert_eq!(told(&[&fields[..], &kept[..]].concat()), (vec![], vec![]));
        assert_eq!(told(&[("old", "old/A"), ("name", "old"), ("type", "A"), ("values", "10.0.0.1")]), (vec![], vec![]));
    }
}
