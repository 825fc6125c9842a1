//! One record set: adding, changing, deleting. Every type has its example and its errors.

use std::collections::HashMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::clash::{Kept, keep as keep_edits};
use super::super::filters;
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
use super::super::text::{Text, text};
use super::super::visit::{Visit, see};
use super::records::TYPES;
use super::typed::{Doubt, Read, Typed, is_steered, read};
use super::{Shown, Tab, Tabs, fielded};
use crate::model::{Edit, Kind, RecordType, rdata};
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

async fn page(visit: &Visit, shown: &Shown, typed: Typed, faults: Faults, doubts: Vec<Doubt>) -> Page {
    let key = typed.key(shown).filter(|_| !typed.old.is_empty());
    let steered = key.as_ref().filter(|key| is_steered(shown, key)).map(|key| key.name.without_dot());
    let addresses = [RecordType::A, RecordType::AAAA];
    let steer = key.filter(|key| steered.is_none() && addresses.contains(&key.rtype));
    Page {
        frame: frame(visit, shown, title(&typed)).await,
        tabs: shown.tabs(&visit.model(), Tab::Records),
        types: TYPES.iter().map(|word| (*word, word.parse().map(rdata::example).unwrap_or_default())).collect(),
        beside: faults.beside(&FIELDS),
        faults,
        steered,
        steer: steer.map(|key| key.name.without_dot()),
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
                    visit.say(said.set("name", key.name.without_dot()).set("type", key.rtype));
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
