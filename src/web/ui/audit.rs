//! The audit log: who did what, to what, why, and from where. The list and its exports, and the check of its
//! chain. Changes nothing.

use std::collections::{BTreeSet, HashMap};

use askama::Template;
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;

use super::filters;
use super::form::Faults;
use super::frame::{Frame, Place};
use super::past::{Asked, MAX_EXPORTED, MAX_SEARCHED, PAGE, STEP, Stopped, search};
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
/// Sentences of a publication that stand in its row; its version has all.
const MAX_SENTENCES: usize = 3;
/// What every sign-in changes; the entry itself tells it.
const UNTOLD: [&str; 1] = ["last_sign_in"];
/// What the entry itself says of a new thing, and what says nothing of one.
const UNTOLD_OF_NEW: [&str; 2] = ["id", "created"];
const NOTHING: [&str; 3] = ["", "no", "0"];

pub(super) fn pages() -> Vec<Page> {
    vec![
        Page::new("/audit", Role::Operator, get(show)),
        Page::new("/audit.csv", Role::Operator, get(as_csv)),
        Page::new("/audit.json", Role::Operator, get(as_json)),
    ]
}

#[derive(Template)]
#[template(path = "ui/audit.html")]
struct Audit {
    frame: Frame,
    asked: Asked,
    entries: Vec<Row>,
    /// What was done lately, to choose from.
    actions: BTreeSet<String>,
    filtered: bool,
    query: String,
    /// The query of the next page, and whether it goes on searching.
    older: Option<String>,
    cut_short: bool,
    faults: Faults,
    chain: Option<Chain>,
}

struct Row {
    entry: AuditEntry,
    /// Fields of the thing that differ.
    fields: Vec<Field>,
    /// What a publication says of itself, and how much more of that there is.
    sentences: Vec<String>,
    more: usize,
    /// The whole thing as it was and is, for those who need every field.
    before: String,
    after: String,
}

/// A field that somebody changed; `was` is missing where the thing is new.
#[derive(Debug, PartialEq)]
struct Field {
    name: String,
    was: Option<String>,
    is: String,
}

/// What the check of the chain found.
struct Chain {
    said: Text,
    is_sound: bool,
}

async fn show(visit: Visit, Query(query): Query<HashMap<String, String>>) -> Result<Response, Problem> {
    let verify = query.contains_key("verify");
    let asked = Asked::of(query);
    let faults = Faults::new(asked.errors(), "");
    let (entries, stopped) = match faults.is_empty() {
        true => entries(&visit, &asked, PAGE, MAX_SEARCHED).await?,
        false => (Vec::new(), Stopped::AtEnd),
    };
    let chain = if verify { Some(chain(&visit).await?) } else { None };
    let older = match stopped {
        Stopped::Before(number) => Some(asked.query(&FILTERS, Some(number))),
        Stopped::AtEnd => None,
    };
    let lately = visit.web.control.audit(None, STEP).await?;
    let chosen = Some(asked.text("action").to_owned()).filter(|action| !action.is_empty());
    let actions = lately.into_iter().map(|entry| entry.action).chain(chosen).collect();
    let page = Audit {
        actions,
        frame: visit.frame(Place::Audit, text("Audit")).await,
        filtered: asked.is_filtered(&FILTERS),
        query: asked.query(&FILTERS, None),
        cut_short: older.is_some() && entries.len() < PAGE,
        older,
        entries: entries.into_iter().map(row).collect(),
        asked,
        chain,
        faults,
    };
    Ok(visit.page_with(page.faults.status(), &page))
}

async fn entries(
    visit: &Visit,
    asked: &Asked,
    want: usize,
    most: usize,
) -> Result<(Vec<AuditEntry>, Stopped), Refusal> {
    let admits = |entry: &AuditEntry| {
        asked.admits("actor", &entry.actor)
            && (asked.text("action").is_empty() || asked.text("action") == entry.action)
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
    // A publication tells its changes in sentences.
    if let Some(Value::Array(lines)) = &entry.after {
        let said = lines.iter().map(|line| line.as_str().map_or(line.to_string(), Into::into));
        let (sentences, more) = (said.take(MAX_SENTENCES).collect(), lines.len().saturating_sub(MAX_SENTENCES));
        return Row { entry, fields: Vec::new(), sentences, more, before: String::new(), after: String::new() };
    }
    let fields = match &entry.after {
        Some(after) => changed(entry.before.as_ref(), after),
        None => Vec::new(),
    };
    // A sign-in changes nothing that anybody would look at.
    let is_told = entry.before.is_none() || entry.after.is_none() || !fields.is_empty();
    let whole = |value: &Option<Value>| value.as_ref().filter(|_| is_told).map(pretty).unwrap_or_default();
    let (before, after) = (whole(&entry.before), whole(&entry.after));
    Row { entry, fields, sentences: Vec::new(), more: 0, before, after }
}

/// The fields of a thing that differ; of a new one, those that say something.
fn changed(before: Option<&Value>, after: &Value) -> Vec<Field> {
    let (Some(before), Some(after)) = (before.map_or(Some(None), |it| it.as_object().map(Some)), after.as_object())
    else {
        return Vec::new();
    };
    let names: BTreeSet<&String> = after.keys().chain(before.into_iter().flat_map(|fields| fields.keys())).collect();
    let told = names.into_iter().filter(|name| !UNTOLD.contains(&name.as_str()));
    let field = |name: &String| {
        let (was, is) = (before.map(|fields| worded(fields.get(name))), worded(after.get(name)));
        let is_new = || !UNTOLD_OF_NEW.contains(&name.as_str()) && !NOTHING.contains(&is.as_str());
        let says = was.as_ref().map_or_else(is_new, |was| *was != is);
        says.then(|| Field { name: name.clone(), was, is })
    };
    told.filter_map(field).collect()
}

/// A value as one word or a few; empty for nothing.
fn worded(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(word)) => word.clone(),
        Some(Value::Bool(is)) => if *is { "yes" } else { "no" }.to_owned(),
        Some(Value::Array(all)) => all.iter().map(|one| worded(Some(one))).collect::<Vec<_>>().join(", "),
        Some(Value::Object(fields)) => {
            let said = fields.iter().map(|(name, value)| (name, worded(Some(value))));
            let said = said.filter(|(_, value)| !value.is_empty());
            said.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join("; ")
        }
        Some(other) => other.to_string(),
    }
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
    let wrong = asked.errors();
    if !wrong.is_empty() {
        return Err(Problem::fields(wrong));
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_told_by_the_fields_that_differ() {
        let before = json!({ "id": "ann", "role": "viewer", "disabled": false, "last_sign_in": null, "zones": ["a"] });
        let after =
            json!({ "id": "ann", "role": "editor", "disabled": false, "last_sign_in": "now", "zones": ["a", "b"] });
        let field = |name: &str, was: Option<&str>, is: &str| Field {
            name: name.into(),
            was: was.map(Into::into),
            is: is.into(),
        };
        let told = [field("role", Some("viewer"), "editor"), field("zones", Some("a"), "a, b")];
        assert_eq!(changed(Some(&before), &after), told);
        assert_eq!(changed(Some(&after), &after), []);
        let new = json!({ "id": "ci", "role": "viewer", "disabled": false, "expires": null, "scope": { "kinds": ["pools"], "zones": [] } });
        assert_eq!(changed(None, &new), [field("role", None, "viewer"), field("scope", None, "kinds pools")]);
        assert_eq!(changed(None, &json!("a word")), []);
    }
}
