//! One record set: adding, changing, deleting. Every type has its example and its errors.

use std::collections::HashMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::super::clash::{Kept, keep as keep_edits};
use super::super::filters;
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
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
    asks_underscore: bool,
}

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
    keep_underscore: bool,
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
            keep_underscore: form.has("keep_underscore"),
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
            keep_underscore: true,
            name,
        })
    }

    /// Where the name is one of the zone. Both `www` and the whole name mean it.
    fn key(&self, shown: &Shown) -> Result<RecordKey, FieldError> {
        let apex = &shown.zone.fqdn;
        let text = self.name.as_str();
        let whole = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let within = whole == shown.apex() || whole.ends_with(&format!(".{}", shown.apex()));
        let name = if within { text.parse() } else { Name::parse(text, Some(apex)) };
        let name: Name = name.map_err(|error| FieldError::told("name", &error))?;
        if !name.is_under(apex) {
            let problem = format!("{} is not under {}", without_dot(&name), shown.apex());
            return Err(FieldError::new("name", problem, "put it into its own zone"));
        }
        let rtype = self.rtype.parse().map_err(|error: String| FieldError::told("type", &error))?;
        Ok(RecordKey { zone: shown.id.clone(), name, rtype })
    }
}

/// Host names have no underscore; names that are no hosts, such as those of SRV, have.
fn has_odd_underscore(key: &RecordKey) -> bool {
    let hosts = [RecordType::A, RecordType::AAAA, RecordType::MX].contains(&key.rtype);
    hosts && key.name.labels().any(|label| label.contains(&b'_'))
}

fn page(visit_frame: Frame, shown: &Shown, typed: Typed, faults: Faults, asks_underscore: bool) -> Page {
    let key = typed.key(shown).ok();
    let attached = |key: &RecordKey| {
        let attached = shown.model.policies.values().flat_map(|policy| &policy.attach);
        attached.clone().any(|attach| attach.name == key.name && attach.types.contains(&key.rtype))
    };
    let steered = key.as_ref().filter(|key| attached(key)).map(|key| without_dot(&key.name));
    let addresses = [RecordType::A, RecordType::AAAA];
    let steer = key.filter(|key| !typed.old.is_empty() && steered.is_none() && addresses.contains(&key.rtype));
    Page {
        frame: visit_frame,
        tabs: shown.tabs(Tab::Records),
        types: TYPES.iter().map(|word| (*word, word.parse().map(rdata::example).unwrap_or_default())).collect(),
        beside: faults.beside(&FIELDS),
        faults,
        steered,
        steer: steer.map(|key| without_dot(&key.name)),
        typed,
        asks_underscore,
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
    let known = new.key(&shown).ok().and_then(|key| Typed::of_set(&shown, &key));
    let typed = known.unwrap_or(new);
    let frame = frame(&visit, &shown, title(&typed)).await;
    Ok(visit.page(&page(frame, &shown, typed, Faults::default(), false)))
}

pub async fn keep(visit: Visit, Path(zone): Path<String>, form: Form) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let typed = Typed::of_form(&form);
    let again = async |typed: Typed, faults: Faults, asks: bool| {
        let frame = frame(&visit, &shown, title(&typed)).await;
        visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page(frame, &shown, typed, faults, asks))
    };
    let key = match typed.key(&shown) {
        Ok(key) => key,
        Err(error) => {
            let mut faults = Faults::default();
            faults.push(error);
            return Ok(again(typed, faults, false).await);
        }
    };
    if has_odd_underscore(&key) && !typed.keep_underscore {
        let mut faults = Faults::default();
        let said = "has an underscore. Host names may use letters, digits and hyphens.";
        faults.say("name", format!("{} {said}", typed.name));
        return Ok(again(typed, faults, true).await);
    }
    let place = format!("{}/{}", key.name.relative_to(&shown.zone.fqdn), key.rtype);
    let id = format!("{}/{place}", shown.id);
    if typed.old != place && shown.model.records.contains_key(&key) {
        let mut faults = Faults::default();
        let problem = format!("{} {} is there already", typed.name, key.rtype);
        faults.push(FieldError::new("name", problem, "change that record set instead"));
        return Ok(again(typed, faults, false).await);
    }
    let edits = edits(&shown, &typed, &id, &place);
    let edits = match edits {
        Ok(edits) => edits,
        Err(error) => {
            let mut faults = Faults::default();
            faults.push(error);
            return Ok(again(typed, faults, false).await);
        }
    };
    let back = match typed.old.as_str() {
        "" => format!("/zones/{}/record", shown.id),
        old => record_path(&shown, old),
    };
    match keep_edits(&visit, edits, &back).await? {
        Kept::Clash(page) => Ok(page),
        Kept::Drafted => {
            let said = text("{name} {type} is kept in your draft.");
            visit.say(said.set("name", without_dot(&key.name)).set("type", key.rtype));
            Ok(see(&format!("/zones/{}", shown.id)))
        }
        Kept::Wrong(errors) => {
            let faults = fielded(errors, &format!("records/{id} "), &FIELDS);
            Ok(again(typed, faults, false).await)
        }
    }
}

/// A set under another name or type is a new one in the place of the old one.
fn edits(shown: &Shown, typed: &Typed, id: &str, place: &str) -> Result<Vec<Edit>, FieldError> {
    let old = (!typed.old.is_empty()).then(|| format!("{}/{}", shown.id, typed.old));
    let mut value = old.as_ref().and_then(|id| shown.model.entity(Kind::Records, id)).unwrap_or_else(|| json!({}));
    if let Some(fields) = value.as_object_mut() {
        ["zone", "name", "type", "id", "rev"].iter().for_each(|field| drop(fields.remove(*field)));
    }
    value["ttl"] = match typed.ttl.as_str() {
        "" => json!(null),
        ttl => {
            let seconds = ttl.parse::<u32>();
            seconds.map(|ttl| json!(ttl)).map_err(|_| {
                FieldError::new("ttl", format!("{ttl:?} is not a whole number"), "give seconds, or leave it empty")
            })?
        }
    };
    let values: Vec<&str> = typed.values.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    value["values"] = json!(values);
    value["note"] = json!(typed.note);
    value["enabled"] = json!(typed.enabled);
    let mut edits = vec![Edit { kind: Kind::Records, id: id.to_owned(), value: Some(value) }];
    if let Some(old) = old.filter(|_| typed.old != place) {
        edits.push(Edit { kind: Kind::Records, id: old, value: None });
    }
    Ok(edits)
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
