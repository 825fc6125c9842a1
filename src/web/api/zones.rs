//! Zones as files: export for audit, import with a preview.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;

use super::document::{DESPITE_TESTS, within};
use crate::answer::{Client, Entropy, Question, Snapshot, answer};
use crate::control::token::Role;
use crate::control::{Author, Expect, Publication, Tests, unix_ms};
use crate::model::zonefile::{self, Changes, Now, Rules, Standby};
use crate::model::{FieldError, Id, Kind, MAX_ID, Model, Name, Rdata, RecordType, Zone};
use crate::web::extract::{Path, Query, Text};
use crate::web::{Problem, Route, Web};

/// The client that an export stands for: a documentation address (RFC 5737), which no geo database
/// places, so that the rule for everyone else answers.
const EVERYONE_ELSE: [u8; 4] = [192, 0, 2, 1];

pub(super) fn routes() -> Vec<Route> {
    let exported = "A zone as a zone file or as JSON, the same bytes for the same revision and health";
    let imported = "Take a zone file in: its zone becomes what the file says; steered names stay";
    vec![
        Route::new("get", "/api/v1/export/{zone}", Role::Viewer, exported, get(export))
            .parameters(&[("format", "bind (a zone file) or json; bind where not given.")])
            .gives("ZoneFile"),
        Route::new("post", "/api/v1/import", Role::Editor, imported, post(import))
            .parameters(&[
                ("zone", "The zone's name, where the file has no $ORIGIN."),
                ("plan", "true: only say what would change."),
                ("message", "Why, for the history."),
                DESPITE_TESTS,
            ])
            .takes("ZoneFile")
            .gives("Published"),
    ]
}

async fn export(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Path(zone): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Problem> {
    let snapshot = web.control.snapshot();
    let model = snapshot.model();
    let id = find(model, &zone).ok_or_else(|| Problem::not_found(format!("There is no zone {zone}.")))?;
    let missing = || Problem::not_found(format!("There is no zone {zone}."));
    let admits = |kind: Kind| author.scope.admits(kind, id.as_str());
    admits(Kind::Records)
        .map_err(|reason| Problem::new(StatusCode::FORBIDDEN, format!("The token {} {reason}.", author.actor)))?;
    match query.get("format").map_or("bind", String::as_str) {
        "bind" => {
            let rules = if admits(Kind::Policies).is_ok() { Rules::Told } else { Rules::Hidden };
            let text = zonefile::export(model, &id, rules, |name, rtype| everyone_else(&snapshot, name, rtype));
            let text = text.ok_or_else(missing)?;
            Ok(([(header::CONTENT_TYPE, "text/dns; charset=utf-8")], text).into_response())
        }
        "json" => {
            let mut zone = zonefile::export_json(model, &id).ok_or_else(missing)?;
            for kind in [Kind::Zones, Kind::Policies].into_iter().filter(|kind| admits(*kind).is_err()) {
                zone[kind.as_str()] = json!({});
            }
            Ok(Json(zone).into_response())
        }
        other => {
            let error = FieldError::new("format", format!("{other:?} is not a format"), "use bind or json");
            Err(Problem::fields(vec![error]))
        }
    }
}

/// What everyone else gets for a steered name right now.
pub(in crate::web) fn everyone_else(snapshot: &Snapshot, name: &Name, rtype: RecordType) -> Now {
    let question = Question { name: name.as_wire(), rtype };
    let client = Client { resolver: EVERYONE_ELSE.into(), subnet: None };
    // A fixed seed: the same revision in the same health exports the same bytes.
    let answer = answer(snapshot, &question, &client, unix_ms(), &mut Entropy::new(0));
    let sets = answer.answer.iter().filter(|set| set.rtype == rtype);
    let mut values: Vec<Rdata> = sets.clone().flat_map(|set| &set.data).map(|data| Rdata::from_wire(data)).collect();
    values.sort();
    let policy = snapshot.model().policies.values().find(|policy| policy.attach.iter().any(|a| a.name == *name));
    Now { ttl: policy.map_or(0, |policy| policy.ttl), values }
}

/// By id, else by name.
pub(in crate::web) fn find(model: &Model, text: &str) -> Option<Id<Zone>> {
    let by_id = text.parse().ok().filter(|id| model.zones.contains_key(id));
    by_id.or_else(|| {
        let name: Name = text.parse().ok()?;
        model.zones.iter().find(|(_, zone)| zone.fqdn == name).map(|(id, _)| id.clone())
    })
}

#[derive(Deserialize)]
struct Importing {
    zone: Option<String>,
    #[serde(default)]
    plan: bool,
    message: Option<String>,
    #[serde(default)]
    despite_tests: bool,
}

async fn import(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Query(query): Query<Importing>,
    Text(text): Text,
) -> Result<Response, Problem> {
    let text = text.as_str();
    let model = web.control.model();
    let named = query.zone.as_deref().or_else(|| origin(text));
    let Some(named) = named else {
        let remedy = "begin the file with one such as $ORIGIN example.com. or name the zone";
        return Err(Problem::fields(vec![FieldError::new("line 1", "the file has no $ORIGIN", remedy)]));
    };
    let known = find(&model, named);
    let apex: Name = match known.as_ref().and_then(|id| model.zones.get(id)) {
        Some(zone) => zone.fqdn.clone(),
        None => named.parse().map_err(|text: String| Problem::fields(vec![FieldError::told("zone", &text)]))?,
    };
    let id = known.unwrap_or_else(|| new_id(&model, &apex));
    // A million records take seconds, which this thread owes to other requests.
    let read = || zonefile::import(text, &id, Some(&apex)).map(|imported| imported.changes(&model, Standby::Kept));
    let Changes { edits, mut left_out, .. } = tokio::task::block_in_place(read).map_err(Problem::fields)?;
    if query.plan {
        within(&author, &edits)?;
        let mut preview = web.control.preview(edits).await?;
        preview.warnings.splice(..0, left_out);
        return Ok(Json(preview).into_response());
    }
    let message = query.message.filter(|text| !text.is_empty());
    let message = message.unwrap_or_else(|| format!("Import {apex}"));
    let expect = vec![Expect::Revision(model.revision)];
    let tests = Tests::despite(query.despite_tests);
    let mut published = web.control.publish(Publication { edits, message, author, expect, tests }).await?;
    left_out.append(&mut published.warnings);
    published.warnings = left_out;
    Ok(Json(published).into_response())
}

pub(in crate::web) fn origin(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("$ORIGIN ")))?;
    line.split_whitespace().nth(1)
}

/// An id for a zone that is new: its name with dashes, and a number where another zone has that id.
pub(in crate::web) fn new_id(model: &Model, apex: &Name) -> Id<Zone> {
    let slug: String = apex
        .to_string()
        .trim_end_matches('.')
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let slug = if slug.is_empty() { "root".to_owned() } else { slug };
    let numbered = (2..).map(|number| format!("-{number}"));
    let mut ids = std::iter::once(String::new()).chain(numbered).map(|end| -> Id<Zone> {
        let start = slug.get(..MAX_ID.saturating_sub(end.len())).unwrap_or(&slug);
        format!("{start}{end}").parse().expect("letters, digits and dashes, short enough")
    });
    ids.find(|id| !model.zones.contains_key(id)).expect("there are more numbers than zones")
}
