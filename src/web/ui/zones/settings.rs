//! The zone's own fields: name servers, SOA, default TTL; and its end.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::super::clash::{Kept, keep as keep_edits};
use super::super::filters;
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
use super::super::text::text;
use super::super::visit::{Visit, see};
use super::{Shown, Tab, Tabs, count, fielded, words};
use crate::control::draft::MAX_EDITS;
use crate::model::{FieldError, Kind};
use crate::web::Problem;
use crate::web::extract::Path;

const TEXTS: [&str; 2] = ["soa.mname", "soa.rname"];
const NUMBERS: [&str; 4] = ["soa.refresh", "soa.retry", "soa.expire", "soa.minimum"];
const FIELDS: [&str; 9] =
    ["ns", "default_ttl", "note", "soa.mname", "soa.rname", "soa.refresh", "soa.retry", "soa.expire", "soa.minimum"];

#[derive(Template)]
#[template(path = "ui/zone_settings.html")]
struct Page {
    frame: Frame,
    tabs: Tabs,
    faults: Faults,
    beside: Vec<String>,
    ns: String,
    default_ttl: String,
    note: String,
    mname: String,
    rname: String,
    refresh: String,
    retry: String,
    expire: String,
    minimum: String,
}

async fn page(visit: &Visit, shown: &Shown, form: Option<&Form>, faults: Faults) -> Page {
    let zone = &shown.zone;
    let field = |name: &str, known: String| form.map_or(known, |form| form.text(name).to_owned());
    let ns: Vec<String> = zone.ns.iter().map(ToString::to_string).collect();
    Page {
        frame: shown.frame(visit).await,
        tabs: shown.tabs(&visit.model(), Tab::Settings),
        beside: faults.beside(&FIELDS),
        faults,
        ns: field("ns", ns.join("\n")),
        default_ttl: field("default_ttl", zone.default_ttl.to_string()),
        note: field("note", zone.meta.note.clone()),
        mname: field("soa.mname", zone.soa.mname.to_string()),
        rname: field("soa.rname", zone.soa.rname.to_string()),
        refresh: field("soa.refresh", zone.soa.refresh.to_string()),
        retry: field("soa.retry", zone.soa.retry.to_string()),
        expire: field("soa.expire", zone.soa.expire.to_string()),
        minimum: field("soa.minimum", zone.soa.minimum.to_string()),
    }
}

pub async fn show(visit: Visit, Path(zone): Path<String>) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let page = page(&visit, &shown, None, Faults::default()).await;
    Ok(visit.page(&page))
}

pub async fn keep(visit: Visit, Path(zone): Path<String>, form: Form) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let mut value = shown.model.entity(Kind::Zones, shown.id.as_str()).unwrap_or_else(|| json!({}));
    // A number that is none is refused by the model with the field's own words.
    let number = |name: &str| form.text(name).parse::<u64>().map_or_else(|_| json!(form.text(name)), |n| json!(n));
    value["ns"] = json!(words(form.text("ns")));
    value["default_ttl"] = number("default_ttl");
    value["note"] = json!(form.text("note"));
    for name in TEXTS {
        value["soa"][end(name)] = json!(form.text(name));
    }
    for name in NUMBERS {
        value["soa"][end(name)] = number(name);
    }
    let edit = crate::model::Edit { kind: Kind::Zones, id: shown.id.to_string(), value: Some(value) };
    let path = format!("/zones/{}/settings", shown.id);
    match keep_edits(&visit, vec![edit], &path).await? {
        Kept::Clash(page) => Ok(page),
        Kept::Drafted => {
            visit.say(text("The settings of {zone} are kept in your draft.").set("zone", shown.apex()));
            Ok(see(&path))
        }
        Kept::Wrong(errors) => {
            let faults = fielded(errors, &format!("zones/{} ", shown.id), &FIELDS);
            let page = page(&visit, &shown, Some(&form), faults).await;
            Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
    }
}

fn end(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[derive(Template)]
#[template(path = "ui/zone_delete.html")]
struct Ask {
    frame: Frame,
    id: String,
    apex: String,
    records: usize,
    /// Names that are steered today.
    steered: Vec<String>,
    more_steered: usize,
    faults: Faults,
    beside: Vec<String>,
    /// More than a draft holds.
    too_large: bool,
}

async fn asked(visit: &Visit, shown: &Shown, faults: Faults) -> Ask {
    let names = shown.model.policies.values().flat_map(|policy| &policy.attach).filter(|a| a.zone == shown.id);
    let mut steered: Vec<String> = names.map(|attach| attach.name.without_dot()).collect();
    steered.sort();
    steered.dedup();
    let more_steered = steered.len().saturating_sub(super::MAX_STEERED);
    steered.truncate(super::MAX_STEERED);
    let records = count(&visit.model(), &shown.draft, &shown.id);
    let path = format!("/zones/{}", shown.id);
    let frame = visit.frame(Place::Zones, text("Delete zone")).await.under(text("Zones"), "/zones");
    Ask {
        frame: frame.under(super::super::text::plain(shown.apex()), path),
        id: shown.id.to_string(),
        apex: shown.apex(),
        records,
        steered,
        more_steered,
        beside: faults.beside(&["confirm"]),
        faults,
        too_large: records >= MAX_EDITS,
    }
}

pub async fn ask(visit: Visit, Path(zone): Path<String>) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let page = asked(&visit, &shown, Faults::default()).await;
    Ok(visit.page(&page))
}

pub async fn delete(visit: Visit, Path(zone): Path<String>, form: Form) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let mut errors: Vec<FieldError> = Vec::new();
    if form.text("confirm").trim_end_matches('.') != shown.apex() {
        errors.push(FieldError::new("confirm", "that is not the zone's name", format!("type {}", shown.apex())));
    } else {
        let edits = shown.model.deletion(Kind::Zones, shown.id.as_str());
        match keep_edits(&visit, edits, &format!("/zones/{}/delete", shown.id)).await? {
            Kept::Clash(page) => return Ok(page),
            Kept::Drafted => {
                visit.say(
                    text("{zone} is deleted in your draft, with all that refers to it.").set("zone", shown.apex()),
                );
                return Ok(see("/zones"));
            }
            Kept::Wrong(refused) => errors = refused,
        }
    }
    let page = asked(&visit, &shown, fielded(errors, "", &["confirm"])).await;
    Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_field_of_the_form_is_one_of_the_model() {
        let soa = serde_json::to_value(crate::model::Soa {
            mname: crate::model::Name::root(),
            rname: crate::model::Name::root(),
            refresh: 1,
            retry: 1,
            expire: 1,
            minimum: 1,
        });
        let soa = soa.unwrap();
        for name in super::TEXTS.iter().chain(&super::NUMBERS) {
            assert!(soa.get(super::end(name)).is_some(), "{name}");
        }
    }
}
