//! The audit log: who did what, to what, why, and from where. The list and its exports, and the check of its
//! chain. Changes nothing.

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;

use super::filters;
use super::frame::{Frame, Place};
use super::past::{Asked, MAX_EXPORTED, MAX_SEARCHED, PAGE, Stopped, search};
use super::text::{Text, count, text};
use super::visit::Visit;
use super::{Page, export};
use crate::control::Refusal;
use crate::control::token::Role;
use crate::model::AuditEntry;
use crate::web::Problem;
use crate::web::extract::Query;

/// What a page asks for, as it stands in the address.
const FILTERS: [&str; 6] = ["actor", "action", "subject", "q", "from", "to"];

pub(super) fn pages() -> Vec<Page> {
    vec![
        Page::new("/audit", Role::Admin, get(show)),
        Page::new("/audit.csv", Role::Admin, get(as_csv)),
        Page::new("/audit.json", Role::Admin, get(as_json)),
    ]
}

#[derive(Template)]
#[template(path = "ui/audit.html")]
struct Audit {
    frame: Frame,
    asked: Asked,
    entries: Vec<Row>,
    filtered: bool,
    query: String,
    /// The query of the next page, and whether it goes on searching.
    older: Option<String>,
    cut_short: bool,
    chain: Option<Chain>,
}

struct Row {
    entry: AuditEntry,
    /// What changed, for the eye: lines as they were and are.
    before: String,
    after: Vec<String>,
}

/// What the check of the chain found.
struct Chain {
    said: Text,
    is_sound: bool,
}

async fn show(visit: Visit, Query(query): Query<HashMap<String, String>>) -> Result<Response, Problem> {
    let verify = query.contains_key("verify");
    let asked = Asked::of(query);
    let (entries, stopped) = entries(&visit, &asked, PAGE, MAX_SEARCHED).await?;
    let chain = if verify { Some(chain(&visit).await?) } else { None };
    let older = match stopped {
        Stopped::Before(number) => Some(asked.query(&FILTERS, Some(number))),
        Stopped::AtEnd => None,
    };
    Ok(visit.page(&Audit {
        frame: visit.frame(Place::Audit, text("Audit")).await,
        filtered: asked.is_filtered(&FILTERS),
        query: asked.query(&FILTERS, None),
        cut_short: older.is_some() && entries.len() < PAGE,
        older,
        entries: entries.into_iter().map(row).collect(),
        asked,
        chain,
    }))
}

async fn entries(
    visit: &Visit,
    asked: &Asked,
    want: usize,
    most: usize,
) -> Result<(Vec<AuditEntry>, Stopped), Refusal> {
    let admits = |entry: &AuditEntry| {
        asked.admits("actor", &entry.actor)
            && asked.admits("action", &entry.action)
            && asked.admits("subject", &entry.subject)
            && (asked.text("q").is_empty()
                || asked.admits("q", &entry.reason)
                || asked.admits("q", &shown(&entry.after)))
    };
    let read = |before, limit| visit.web.control.audit(before, limit);
    search(asked, want, most, |entry: &AuditEntry| (entry.sequence, entry.at), admits, read).await
}

async fn chain(visit: &Visit) -> Result<Chain, Problem> {
    let report = visit.web.control.verify_audit().await?;
    if let Some((number, fault)) = report.broken {
        let said = text(
            "The chain is broken at entry {n}: {fault}. Compare with a backup and find out who could write to the disk.",
        );
        return Ok(Chain { said: said.set("n", number).fact("fault", "chain", fault), is_sound: false });
    }
    let newest = visit.web.control.audit(None, 1).await?;
    let hash = newest.first().map(|entry| entry.hash.clone()).unwrap_or_default();
    let entries = usize::try_from(report.entries).unwrap_or(usize::MAX);
    let said = count(
        entries,
        "Chain verified: {n} entry, last hash <span class=\"mono\">{hash}</span>.",
        "Chain verified: {n} entries, last hash <span class=\"mono\">{hash}</span>.",
    );
    Ok(Chain { said: said.set("hash", hash), is_sound: true })
}

fn row(entry: AuditEntry) -> Row {
    let after = match &entry.after {
        // A publication tells its changes in sentences.
        Some(Value::Array(lines)) => {
            lines.iter().map(|line| line.as_str().map_or(line.to_string(), Into::into)).collect()
        }
        Some(other) => vec![pretty(other)],
        None => Vec::new(),
    };
    let before = entry.before.as_ref().map(pretty).unwrap_or_default();
    Row { entry, before, after }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn shown(value: &Option<Value>) -> String {
    value.as_ref().map(Value::to_string).unwrap_or_default()
}

/// Everything that the filters leave, or a word that it is too much.
async fn exported(visit: &Visit, query: HashMap<String, String>) -> Result<Vec<AuditEntry>, Problem> {
    let asked = Asked::whole(query);
    let (entries, stopped) = entries(visit, &asked, MAX_EXPORTED, MAX_EXPORTED).await?;
    match stopped {
        Stopped::AtEnd => Ok(entries),
        Stopped::Before(_) => Err(too_many()),
    }
}

/// Of an export that would be cut short.
pub(super) fn too_many() -> Problem {
    let detail = format!("More than {MAX_EXPORTED} entries would have to be read; choose a shorter period.");
    Problem::new(axum::http::StatusCode::PAYLOAD_TOO_LARGE, detail)
}

async fn as_csv(visit: Visit, Query(query): Query<HashMap<String, String>>) -> Result<Response, Problem> {
    let columns = [
        "sequence",
        "at",
        "actor",
        "address",
        "action",
        "subject",
        "reason",
        "revision",
        "before",
        "after",
        "previous_hash",
        "hash",
    ];
    let rows = exported(&visit, query).await?.into_iter().map(|entry| {
        vec![
            entry.sequence.to_string(),
            entry.at.to_string(),
            entry.actor,
            entry.address.unwrap_or_default(),
            entry.action,
            entry.subject,
            entry.reason,
            entry.revision.map(|number| number.to_string()).unwrap_or_default(),
            shown(&entry.before),
            shown(&entry.after),
            entry.previous_hash,
            entry.hash,
        ]
    });
    export::csv("audit", &columns, rows)
}

async fn as_json(visit: Visit, Query(query): Query<HashMap<String, String>>) -> Result<Response, Problem> {
    Ok(export::json("audit", exported(&visit, query).await?))
}
