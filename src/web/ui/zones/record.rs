//! One record set: adding, changing, deleting. Every type has its example and its errors.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::super::clash::{Kept, keep as keep_edits};
use super::super::filters;
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
use super::super::names::{outside, zone_of};
use super::super::pools::{Address, address, is_private};
use super::super::text::{Text, text};
use super::super::visit::{Visit, see};
use super::records::TYPES;
use super::{Shown, Tab, Tabs, fielded, without_dot};
use crate::model::{Edit, FieldError, Kind, Name, RecordKey, RecordType, rdata};
use crate::web::Problem;
use crate::web::extract::{Path, Query};

const FIELDS: [&str; 5] = ["name", "type", "ttl", "values", "note"];

#[derive(Template)]
#[template(path = "ui/zone_record.html")]
struct Page {
    frame: Frame,
    tabs: Tabs,
    types: Vec<(&'static str, &'static str)>,
    typed: Typed,
    faults: Faults,
    beside: Vec<String>,
    /// The fixed set stands by under a steered name.
    steered: Option<String>,
    /// The name that could be steered instead.
    steer: Option<String>,
    doubts: Vec<Doubt>,
}

/// What is kept only by somebody who means it: said beside a field, with the button that says so.
struct Doubt {
    field: &'static str,
    keep: &'static str,
    word: &'static str,
}

/// The field of those buttons.
const KEEP: &str = "keep";
const UNDERSCORE: &str = "underscore";
const PRIVATE: &str = "private";
const STANDBY: &str = "standby";
/// Stands for a name that is wrong, so that everything else is checked all the same.
const STAND_IN: &str = "stand-in-for-a-name";

/// What stands in the form.
#[derive(Clone, Default)]
struct Typed {
    /// `name/TYPE` of the set that is changed; empty for a new one.
    old: String,
    name: String,
    rtype: String,
    ttl: String,
    values: String,
    note: String,
    enabled: bool,
    keeps: BTreeSet<String>,
}

impl Typed {
    fn of_form(form: &Form) -> Typed {
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

    fn of_set(shown: &Shown, key: &RecordKey) -> Option<Typed> {
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

    fn key(&self, shown: &Shown) -> Option<RecordKey> {
        Some(RecordKey { zone: shown.id.clone(), name: self.name(shown).ok()?, rtype: self.rtype().ok()? })
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
                    faults.say("name", format!("{} belongs to zone {other}. Add it there.", without_dot(&name)))
                }
                None => faults.say("name", outside(&name, &shown.model)),
            },
        }
    }
}

/// Host names have no underscore; names that are no hosts, such as those of SRV, have.
fn has_odd_underscore(key: &RecordKey) -> bool {
    let hosts = [RecordType::A, RecordType::AAAA, RecordType::MX].contains(&key.rtype);
    hosts && key.name.labels().any(|label| label.contains(&b'_'))
}

/// Whether rules answer for it.
fn is_steered(shown: &Shown, key: &RecordKey) -> bool {
    let mut attached = shown.model.policies.values().flat_map(|policy| &policy.attach);
    attached.any(|attach| attach.name == key.name && attach.types.contains(&key.rtype))
}

async fn page(visit: &Visit, shown: &Shown, typed: Typed, faults: Faults, doubts: Vec<Doubt>) -> Page {
    let key = typed.key(shown).filter(|_| !typed.old.is_empty());
    let steered = key.as_ref().filter(|key| is_steered(shown, key)).map(|key| without_dot(&key.name));
    let addresses = [RecordType::A, RecordType::AAAA];
    let steer = key.filter(|key| steered.is_none() && addresses.contains(&key.rtype));
    Page {
        frame: frame(visit, shown, title(&typed)).await,
        tabs: shown.tabs(&visit.model(), Tab::Records),
        types: TYPES.iter().map(|word| (*word, word.parse().map(rdata::example).unwrap_or_default())).collect(),
        beside: faults.beside(&FIELDS),
        faults,
        steered,
        steer: steer.map(|key| without_dot(&key.name)),
        typed,
        doubts,
    }
}

async fn frame(visit: &Visit, shown: &Shown, title: Text) -> Frame {
    let frame = visit.frame(Place::Zones, title).await.under(text("Zones"), "/zones");
    frame.under(super::super::text::plain(shown.apex()), format!("/zones/{}", shown.id))
}

fn title(typed: &Typed) -> Text {
    match typed.old.as_str() {
        "" => text("Add record set"),
        _ => text("{name} {type}").set("name", &typed.name).set("type", &typed.rtype),
    }
}

pub async fn show(
    visit: Visit,
    Path(zone): Path<String>,
    Query(asked): Query<HashMap<String, String>>,
) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let get = |name: &str| asked.get(name).cloned().unwrap_or_default();
    let rtype = if get("type").is_empty() { "A".to_owned() } else { get("type") };
    let new = Typed { name: get("name"), rtype, enabled: true, ..Typed::default() };
    let known = new.key(&shown).and_then(|key| Typed::of_set(&shown, &key));
    let page = page(&visit, &shown, known.unwrap_or(new), Faults::default(), Vec::new()).await;
    Ok(visit.page(&page))
}

pub async fn keep(visit: Visit, Path(zone): Path<String>, form: Form) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let typed = Typed::of_form(&form);
    let Read { key, id, edits, mut faults, doubts } = read(&shown, &typed);
    let kept = match (faults.is_empty(), key) {
        (true, Some(key)) => {
            let back = match typed.old.as_str() {
                "" => format!("/zones/{}/record", shown.id),
                old => record_path(&shown, old),
            };
            match keep_edits(&visit, edits, &back).await? {
                Kept::Clash(page) => return Ok(page),
                Kept::Drafted => {
                    let said = text("{name} {type} is kept in your draft.");
                    visit.say(said.set("name", without_dot(&key.name)).set("type", key.rtype));
                    return Ok(see(&format!("/zones/{}", shown.id)));
                }
                Kept::Wrong(errors) => errors,
            }
        }
        // Every other error is told together with these.
        _ => {
            let edits: Vec<Edit> = shown.draft.edits().into_iter().chain(edits).collect();
            let live = visit.model();
            tokio::task::block_in_place(|| live.check(&edits)).err().unwrap_or_default()
        }
    };
    // An address that is none was told in better words.
    let has_told = !faults.of("values").is_empty();
    let kept = kept.into_iter().filter(|error| !(has_told && error.at.contains(" values["))).collect();
    for error in fielded(kept, &format!("records/{id} "), &FIELDS).into_errors() {
        faults.push(error);
    }
    let page = page(&visit, &shown, typed, faults, doubts).await;
    Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// What a form says, with everything that is wrong or doubtful in it. A doubt is a fault too, until it is meant.
struct Read {
    key: Option<RecordKey>,
    /// Of the set; with a stand-in where the name or the type is wrong.
    id: String,
    edits: Vec<Edit>,
    faults: Faults,
    doubts: Vec<Doubt>,
}

fn read(shown: &Shown, typed: &Typed) -> Read {
    let (mut faults, mut doubts) = (Faults::default(), Vec::new());
    let name = typed.name(shown).map_err(|wrong| wrong.tell(shown, &mut faults)).ok();
    let rtype = typed.rtype().map_err(|error| faults.push(error)).ok();
    let key = name.clone().zip(rtype).map(|(name, rtype)| RecordKey { zone: shown.id.clone(), name, rtype });
    let relative = name.as_ref().map_or(STAND_IN.to_owned(), |name| name.relative_to(&shown.zone.fqdn));
    let place = format!("{relative}/{}", rtype.unwrap_or(RecordType::TXT));
    let id = format!("{}/{place}", shown.id);
    let is_new = typed.old != place;
    if let Some(key) = &key {
        if is_new && shown.model.records.contains_key(key) {
            faults
                .say("name", format!("{} {} is there already. Change that record set instead.", typed.name, key.rtype));
        }
        let mut doubt = |is_so: bool, field, keep: &'static str, word, said: String| {
            if is_so && !typed.keeps.contains(keep) {
                faults.say(field, said);
                doubts.push(Doubt { field, keep, word });
            }
        };
        let label = typed.name.split('.').find(|label| label.contains('_')).unwrap_or(&typed.name);
        let said = format!("{label} has an underscore. Host names may use letters, digits and hyphens.");
        doubt(is_new && has_odd_underscore(key), "name", UNDERSCORE, "Keep anyway", said);
        let said = format!("{} is steered already. A name is either plain or steered.", typed.name);
        doubt(is_new && is_steered(shown, key), "name", STANDBY, "Keep it to stand by", said);
        if let Some(address) = private_address(shown, typed, key.rtype) {
            let said = format!("{address} is a private address. Clients on the internet cannot reach it.");
            doubt(true, "values", PRIVATE, "Keep anyway", said);
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
    let addresses = [RecordType::A, RecordType::AAAA].contains(&rtype).then(|| typed.values()).unwrap_or_default();
    let mut parsed = addresses.into_iter().filter_map(|value| value.parse::<IpAddr>().ok());
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
    value["ttl"] = match (typed.ttl.as_str(), typed.ttl.parse::<u32>()) {
        ("", _) => json!(null),
        (_, Ok(seconds)) => json!(seconds),
        (ttl, Err(_)) => {
            let problem = format!("{ttl:?} is not a whole number");
            faults.push(FieldError::new("ttl", problem, "give seconds, or leave it empty"));
            json!(null)
        }
    };
    value["values"] = match rtype {
        Some(_) => json!(typed.values()),
        None => json!(["\"\""]),
    };
    value["note"] = json!(typed.note);
    value["enabled"] = json!(typed.enabled);
    let mut edits = vec![Edit { kind: Kind::Records, id: id.to_owned(), value: Some(value) }];
    if let Some(old) = old.filter(|_| is_new) {
        edits.push(Edit { kind: Kind::Records, id: old, value: None });
    }
    edits
}

/// The form of `name/TYPE`.
fn record_path(shown: &Shown, old: &str) -> String {
    let (name, rtype) = old.rsplit_once('/').unwrap_or((old, ""));
    let query =
        form_urlencoded::Serializer::new(String::new()).append_pair("name", name).append_pair("type", rtype).finish();
    format!("/zones/{}/record?{query}", shown.id)
}

pub async fn delete(visit: Visit, Path(zone): Path<String>, form: Form) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let id = format!("{}/{}", shown.id, form.text("old"));
    let back = record_path(&shown, form.text("old"));
    match keep_edits(&visit, vec![Edit { kind: Kind::Records, id, value: None }], &back).await? {
        Kept::Drafted => {
            visit.say(text("{what} is deleted in your draft.").set("what", form.text("old").replace('/', " ")));
            Ok(see(&format!("/zones/{}", shown.id)))
        }
        Kept::Wrong(errors) => Err(Problem::fields(errors)),
        Kept::Clash(page) => Ok(page),
    }
}
