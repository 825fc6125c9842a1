//! What happened: events, revisions, the audit log; and going back to an earlier revision.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::json::Body;
use crate::control::token::Role;
use crate::control::{Author, Published, Tests};
use crate::health::{EventKind, HealthTable};
use crate::model::{FieldError, Revision};
use crate::store::{AuditReport, EventFilter};
use crate::web::access::hide;
use crate::web::extract::{Path, Query};
use crate::web::{Problem, Route, Web};

/// Rows on one page.
const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 1000;

const PAGE_PARAMETERS: &[(&str, &str)] = &[
    ("limit", "How many at most, 1 to 1000; 50 where not given."),
    ("before", "Only what is older than this number."),
];

pub(super) fn routes() -> Vec<Route> {
    let read =
        |path: &str, role, summary: &str, gives, handler| Route::new("get", path, role, summary, handler).gives(gives);
    let known = "What is known of every endpoint and pool";
    let restored = "Publish the configuration as it was after this revision";
    vec![
        read("/api/v1/health", Role::Viewer, known, "HealthTable", get(health)),
        read("/api/v1/events", Role::Viewer, "Events, the newest first", "Events", get(events))
            .parameters(EVENT_PARAMETERS),
        read("/api/v1/revisions", Role::Viewer, "Revisions, the newest first", "Revisions", get(revisions))
            .parameters(PAGE_PARAMETERS),
        read("/api/v1/revisions/{number}", Role::Viewer, "One revision with its changes", "Revision", get(revision)),
        Route::new("post", "/api/v1/revisions/{number}/restore", Role::Editor, restored, post(restore))
            .takes("Reason")
            .gives("Published"),
        read("/api/v1/audit", Role::Operator, "The audit log, the newest first", "Audit", get(audit))
            .parameters(PAGE_PARAMETERS),
        read(
            "/api/v1/audit/verify",
            Role::Operator,
            "Recompute the audit log's hash chain",
            "AuditReport",
            get(verify_audit),
        ),
    ]
}

const EVENT_PARAMETERS: &[(&str, &str)] = &[
    ("limit", "How many at most, 1 to 1000; 50 where not given."),
    ("before", "Only what is older than this number."),
    ("subject", "Only subjects that begin with this, such as pools/eu-west."),
    ("kind", "endpoint, pool, switch, certificate, geo_database, publish, note or system."),
    ("incident", "Only events of this incident."),
    ("from", "Not before this time, such as 2026-11-21T08:00:00Z."),
    ("to", "Before this time."),
];

async fn health(State(web): State<Web>) -> Json<HealthTable> {
    Json(web.control.health().as_ref().clone())
}

#[derive(Deserialize)]
struct Page {
    limit: Option<usize>,
    before: Option<u64>,
}

impl Page {
    fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(DEFAULT_PAGE);
        if (1..=MAX_PAGE).contains(&limit) {
            return Ok(limit);
        }
        let error = FieldError::new("limit", format!("{limit} is out of range"), format!("use 1 to {MAX_PAGE}"));
        Err(Problem::fields(vec![error]))
    }
}

#[derive(Deserialize)]
struct EventQuery {
    limit: Option<usize>,
    before: Option<u64>,
    subject: Option<String>,
    kind: Option<EventKind>,
    incident: Option<u64>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

async fn events(State(web): State<Web>, Query(query): Query<EventQuery>) -> Result<Json<Value>, Problem> {
    let page = Page { limit: query.limit, before: query.before };
    let EventQuery { subject, kind, incident, from, to, .. } = query;
    let filter = EventFilter { subject, kind, incident, from, to };
    let events = web.control.events(filter, page.before, page.limit()?).await?;
    Ok(Json(json!({ "items": events })))
}

async fn revisions(State(web): State<Web>, Query(page): Query<Page>) -> Result<Json<Value>, Problem> {
    // The list tells what changed in words; the values are in each revision.
    let revisions = web.control.revision_heads(page.before, page.limit()?).await?;
    Ok(Json(json!({ "items": revisions })))
}

async fn revision(
    State(web): State<Web>,
    Extension(role): Extension<Role>,
    Path(number): Path<u64>,
) -> Result<Json<Revision>, Problem> {
    let missing = || Problem::not_found(format!("There is no revision {number}."));
    let mut revision = web.control.revision(number).await?.ok_or_else(missing)?;
    for change in &mut revision.changes {
        let values = [&mut change.before, &mut change.after];
        values.into_iter().flatten().for_each(|value| hide(role, change.kind, value));
    }
    Ok(Json(revision))
}

async fn restore(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Path(number): Path<u64>,
    body: Body,
) -> Result<Json<Published>, Problem> {
    let (reason, tests) = body.read(|fields| {
        let tests = Tests::despite(fields.flag("despite_tests", false));
        Some((fields.text("reason", 1000).unwrap_or_default(), tests))
    })?;
    let message = if reason.is_empty() { format!("Restore revision {number}") } else { reason };
    Ok(Json(web.control.restore(number, message, author, tests).await?))
}

async fn audit(State(web): State<Web>, Query(page): Query<Page>) -> Result<Json<Value>, Problem> {
    let entries = web.control.audit(page.before, page.limit()?).await?;
    Ok(Json(json!({ "items": entries })))
}

async fn verify_audit(State(web): State<Web>) -> Result<Json<AuditReport>, Problem> {
    Ok(Json(web.control.verify_audit().await?))
}
