//! Taking a zone file in: what it would change is shown first, with every line that is wrong. Small changes go into
//! the draft, large ones are published at once with a reason.

use std::collections::VecDeque;
use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::json;

use super::super::clash::{Kept, keep as keep_edits};
use super::super::export::Format;
use super::super::filters;
use super::super::form::{Form, MAX_REASON, Upload, WHY};
use super::super::frame::{Frame, Place};
use super::super::text::{Text, text};
use super::super::visit::{Visit, see};
use super::drafted;
use crate::control::draft::MAX_EDITS;
use crate::control::{Expect, Publication, Refusal, Tests};
use crate::model::zonefile::{self, Changes, DefaultTtl, Standby};
use crate::model::{Edit, FieldError, Id, Kind, Model, Name, Zone};
use crate::web::Problem;
use crate::web::api::zones::{find, new_id, origin};
use crate::web::extract::Query;

/// Differences and errors that are listed.
const MAX_LISTED: usize = 50;
/// Previews that wait for somebody to go on, of everybody together; the oldest goes.
const MAX_WAITING: usize = 4;
/// Of a line that is wrong, in characters.
const MAX_QUOTED: usize = 120;
/// A file up to this size stands in the page's box afterwards, where it can be mended, in bytes.
const MAX_BOXED: usize = 1 << 20;

/// A file between its preview and its import.
struct Waiting {
    number: u64,
    user: String,
    apex: Name,
    text: Arc<str>,
}

/// Only in memory: after a restart the file is chosen again.
static WAITING: Mutex<(u64, VecDeque<Waiting>)> = Mutex::new((0, VecDeque::new()));

#[derive(Template)]
#[template(path = "ui/zone_import.html")]
struct Page {
    frame: Frame,
    zone: String,
    pasted: String,
    reason: String,
    max_reason: usize,
    /// Set where no reason was given.
    unexplained: Option<&'static str>,
    errors: Vec<Quoted>,
    more_errors: usize,
    preview: Option<Preview>,
}

/// What is wrong, with the line that it is about where there is one.
#[derive(Debug, PartialEq)]
pub struct Quoted {
    pub error: FieldError,
    pub line: String,
}

impl Quoted {
    pub fn all(errors: Vec<FieldError>, text: &str) -> Vec<Quoted> {
        let number = |error: &FieldError| error.at.strip_prefix("line ")?.parse::<usize>().ok()?.checked_sub(1);
        let lines: Vec<&str> =
            if errors.iter().any(|error| number(error).is_some()) { text.lines().collect() } else { Vec::new() };
        let quote = |error: FieldError| {
            let line = number(&error).and_then(|at| lines.get(at)).map(|line| line.trim()).unwrap_or_default();
            Quoted { line: line.chars().take(MAX_QUOTED).collect(), error }
        };
        errors.into_iter().map(quote).collect()
    }
}

/// What a text would change in a zone, or everything that is wrong with it, by line: with the text itself, and with
/// what its sound lines say beside what is there.
pub fn read(
    model: &Model,
    id: &Id<Zone>,
    apex: &Name,
    text: &str,
    standby: Standby,
) -> Result<Changes, Vec<FieldError>> {
    let (imported, mut errors) = zonefile::import_sound(text, id, Some(apex));
    let Some(imported) = imported else { return Err(errors) };
    let changes = imported.changes(model, standby);
    let wrong = model.check(&changes.edits).err().unwrap_or_default();
    if !wrong.is_empty() {
        let imported = zonefile::import_sound(text, id, Some(apex)).0;
        let lines = imported.as_ref().map(|imported| imported.lines()).unwrap_or_default();
        let line = |at: &str| lines.get(at.strip_prefix("records/")?.split(' ').next()?).copied();
        errors.extend(wrong.into_iter().map(|error| match line(&error.at) {
            Some(line) => FieldError { at: format!("line {line}"), ..error },
            None => error,
        }));
    }
    errors.sort_by_key(|error| error.at.strip_prefix("line ").and_then(|line| line.parse::<usize>().ok()));
    if errors.is_empty() { Ok(changes) } else { Err(errors) }
}

struct Preview {
    number: u64,
    apex: String,
    is_new: bool,
    added: usize,
    changed: usize,
    removed: usize,
    differences: Vec<Difference>,
    more: usize,
    left_out: Vec<FieldError>,
    more_left_out: usize,
    /// More than a draft holds: published at once.
    at_once: bool,
    /// It says what is there already.
    nothing: bool,
    default_ttl: Option<DefaultTtl>,
}

struct Difference {
    name: String,
    before: String,
    after: String,
}

/// `typed` is the file, or what was pasted.
async fn page(visit: &Visit, zone: &str, typed: &str, errors: Vec<FieldError>, preview: Option<Preview>) -> Page {
    let frame = visit.frame(Place::Zones, text("Import a zone file")).await.under(text("Zones"), "/zones");
    Page {
        frame,
        zone: zone.to_owned(),
        more_errors: errors.len().saturating_sub(MAX_LISTED),
        errors: Quoted::all(errors.into_iter().take(MAX_LISTED).collect(), typed),
        pasted: if typed.len() <= MAX_BOXED { typed.to_owned() } else { String::new() },
        reason: String::new(),
        max_reason: MAX_REASON,
        unexplained: None,
        preview,
    }
}

#[derive(serde::Deserialize)]
pub struct Asked {
    #[serde(default)]
    zone: String,
}

pub async fn show(visit: Visit, Query(Asked { zone }): Query<Asked>) -> Result<Response, Problem> {
    let page = page(&visit, &zone, "", Vec::new(), None).await;
    Ok(visit.page(&page))
}

pub async fn preview(visit: Visit, upload: Upload) -> Result<Response, Problem> {
    let zone = upload.form.text("zone").to_owned();
    let pasted = upload.form.raw("text").replace("\r\n", "\n");
    let refuse = async |content: &str, errors: Vec<FieldError>| {
        let page = page(&visit, &zone, content, errors, None).await;
        Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
    };
    let content: Arc<str> = match upload.file("file") {
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => {
                let remedy = "a zone file is text; write other bytes as \\DDD";
                return refuse(&pasted, vec![FieldError::new("file", "is not UTF-8 text", remedy)]).await;
            }
        },
        None if pasted.trim().is_empty() => {
            let nothing = FieldError::new("file", "nothing was chosen or pasted", "choose a zone file");
            return refuse("", vec![nothing]).await;
        }
        None => pasted.as_str().into(),
    };
    let (model, _) = drafted(&visit).await?;
    let apex = match apex(&model, &zone, &content) {
        Ok(apex) => apex,
        Err(error) => return refuse(&content, vec![error]).await,
    };
    let id = find(&model, &apex.to_string()).unwrap_or_else(|| new_id(&model, &apex));
    // A million records take seconds, which this thread owes to other requests.
    let changes = match tokio::task::block_in_place(|| read(&model, &id, &apex, &content, Standby::Kept)) {
        Ok(changes) => changes,
        Err(errors) => return refuse(&content, errors).await,
    };
    let number = wait(&visit, apex.clone(), content.clone());
    let shown = shown(&model, &id, &apex, changes, number);
    let page = page(&visit, &zone, &content, Vec::new(), Some(shown)).await;
    Ok(visit.page(&page))
}

/// The zone and the text of a preview that waits for this visitor.
fn waiting(visit: &Visit, number: u64) -> Option<(Name, Arc<str>)> {
    let waiting = WAITING.lock();
    let mine = waiting.1.iter().find(|waiting| waiting.number == number && waiting.user == visit.user().id);
    mine.map(|waiting| (waiting.apex.clone(), waiting.text.clone()))
}

fn gone() -> FieldError {
    FieldError::new("file", "the preview is no longer kept", "choose the file once more")
}

#[derive(serde::Deserialize)]
pub struct Previewed {
    number: u64,
}

/// Every difference of a preview, as a table.
pub async fn changes(visit: Visit, Query(of): Query<Previewed>, format: Format) -> Result<Response, Problem> {
    let (apex, content) = waiting(&visit, of.number).ok_or_else(|| Problem::fields(vec![gone()]))?;
    let (model, _) = drafted(&visit).await?;
    let id = find(&model, &apex.to_string()).unwrap_or_else(|| new_id(&model, &apex));
    let read = || zonefile::import(&content, &id, Some(&apex)).map(|imported| imported.changes(&model, Standby::Kept));
    let edits = tokio::task::block_in_place(read).map_err(Problem::fields)?.edits;
    let own = own_differences(&model, &edits);
    let own = own.into_iter().map(|row| json!([row.name, null, row.before, null, row.after]));
    let sets = edits.iter().filter(|edit| edit.kind == Kind::Records).map(|edit| {
        let [before, after] =
            [model.entity(Kind::Records, &edit.id), edit.value.clone()].map(Option::unwrap_or_default);
        json!([record_set(&id, edit), before["ttl"], before["values"], after["ttl"], after["values"]])
    });
    let columns = ["record_set", "ttl_before", "values_before", "ttl_after", "values_after"];
    format.table(&format!("import-{}", apex.without_dot()), &columns, own.chain(sets))
}

/// `www A`.
fn record_set(zone: &Id<Zone>, edit: &Edit) -> String {
    edit.id.strip_prefix(&format!("{zone}/")).unwrap_or(&edit.id).replace('/', " ")
}

/// The zone's name: as given, else as the file says.
fn apex(model: &Model, zone: &str, content: &str) -> Result<Name, FieldError> {
    let named = if zone.is_empty() { origin(content).unwrap_or_default() } else { zone };
    if let Some(zone) = find(model, named).and_then(|id| model.zones.get(&id).cloned()) {
        return Ok(zone.fqdn.clone());
    }
    if named.is_empty() {
        let remedy = "give it above, or begin the file with one such as $ORIGIN example.com.";
        return Err(FieldError::new("zone", "the file does not say the zone's name", remedy));
    }
    named.parse().map_err(|error: String| FieldError::told("zone", &error))
}

fn wait(visit: &Visit, apex: Name, text: Arc<str>) -> u64 {
    let mut waiting = WAITING.lock();
    waiting.0 += 1;
    let number = waiting.0;
    waiting.1.push_back(Waiting { number, user: visit.user().id.clone(), apex, text });
    while waiting.1.len() > MAX_WAITING {
        waiting.1.pop_front();
    }
    number
}

fn shown(model: &Model, id: &Id<Zone>, apex: &Name, changes: Changes, number: u64) -> Preview {
    let Changes { edits, added, changed, removed, left_out, default_ttl } = changes;
    let is_new = !model.zones.contains_key(id);
    let sets = edits.iter().filter(|edit| edit.kind == Kind::Records);
    let difference = |edit: &Edit| Difference {
        name: record_set(id, edit),
        before: said(model.entity(Kind::Records, &edit.id).as_ref()),
        after: said(edit.value.as_ref()),
    };
    Preview {
        number,
        apex: apex.without_dot(),
        is_new,
        added,
        changed,
        removed,
        differences: own_differences(model, &edits)
            .into_iter()
            .chain(sets.clone().take(MAX_LISTED).map(difference))
            .collect(),
        more: sets.count().saturating_sub(MAX_LISTED),
        more_left_out: left_out.len().saturating_sub(MAX_LISTED),
        left_out: left_out.into_iter().take(MAX_LISTED).collect(),
        at_once: edits.len() > MAX_EDITS,
        nothing: edits.is_empty(),
        default_ttl,
    }
}

/// What went into the draft.
pub fn kept(changes: &Changes) -> Text {
    let Changes { added, changed, removed, default_ttl, .. } = changes;
    let counts = text("Kept in your draft: {added} added, {changed} changed, {removed} removed.");
    let counts = counts.set("added", added).set("changed", changed).set("removed", removed);
    let Some(DefaultTtl { before, after, sets }) = default_ttl else { return counts };
    let inherit = match sets {
        1 => text("{counts} The default TTL is {after} s instead of {before} s; 1 record set inherits it."),
        _ => text("{counts} The default TTL is {after} s instead of {before} s; {sets} record sets inherit it."),
    };
    inherit.say("counts", counts).set("before", before).set("after", after).set("sets", sets)
}

/// What changes in the zone's own fields, as a zone file writes them.
fn own_differences(model: &Model, edits: &[Edit]) -> Vec<Difference> {
    let Some(edit) = edits.iter().find(|edit| edit.kind == Kind::Zones) else { return Vec::new() };
    let (before, after) =
        (model.entity(Kind::Zones, &edit.id).unwrap_or_default(), edit.value.clone().unwrap_or_default());
    let rows: [(&str, &[&str]); 3] = [
        (
            "@ SOA",
            &["/soa/mname", "/soa/rname", "/serial", "/soa/refresh", "/soa/retry", "/soa/expire", "/soa/minimum"],
        ),
        ("@ NS", &["/ns"]),
        ("$TTL", &["/default_ttl"]),
    ];
    let word = |value: &serde_json::Value| match value {
        serde_json::Value::String(word) => word.clone(),
        serde_json::Value::Array(all) => {
            all.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    let said = |value: &serde_json::Value, fields: &[&str]| {
        fields.iter().filter_map(|field| value.pointer(field)).map(word).collect::<Vec<_>>().join(" ")
    };
    let row = |(name, fields): (&str, &[&str])| {
        let (before, after) = (said(&before, fields), said(&after, fields));
        (!after.is_empty() && before != after).then(|| Difference { name: name.to_owned(), before, after })
    };
    rows.into_iter().filter_map(row).collect()
}

/// A record set in short: its values, and its TTL where it has one.
fn said(value: Option<&serde_json::Value>) -> String {
    const SHOWN: usize = 3;
    const WIDTH: usize = 80;
    let Some(value) = value else { return String::new() };
    let values: Vec<&str> =
        value["values"].as_array().into_iter().flatten().filter_map(|value| value.as_str()).collect();
    let short = |text: &&str| match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => (*text).to_owned(),
    };
    let mut said: Vec<String> = values.iter().take(SHOWN).map(short).collect();
    if values.len() > SHOWN {
        said.push(format!("+{}", values.len() - SHOWN));
    }
    let ttl = value["ttl"].as_u64().map(|ttl| format!(" ({ttl} s)")).unwrap_or_default();
    format!("{}{ttl}", said.join(", "))
}

pub async fn keep(visit: Visit, form: Form) -> Result<Response, Problem> {
    let number: u64 = form.text("number").parse().unwrap_or(0);
    let Some((apex, content)) = waiting(&visit, number) else {
        let page = page(&visit, form.text("zone"), "", vec![gone()], None).await;
        return Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page));
    };
    // Against what is there by now.
    let (model, _) = drafted(&visit).await?;
    let id = find(&model, &apex.to_string()).unwrap_or_else(|| new_id(&model, &apex));
    // It was checked for its preview, and is checked once more where it is kept.
    let read = |model: &Model| {
        let read = tokio::task::block_in_place(|| zonefile::import(&content, &id, Some(&apex)));
        read.map(|imported| imported.changes(model, Standby::Kept))
    };
    let reason = form.reason();
    let again = async |preview: Option<Preview>, errors: Vec<FieldError>| {
        let unexplained = errors.is_empty().then_some(WHY);
        let page = page(&visit, form.text("zone"), &content, errors, preview).await;
        let page = Page { reason: reason.clone(), unexplained, ..page };
        Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
    };
    let changes = match read(&model) {
        Ok(changes) => changes,
        Err(errors) => return again(None, errors).await,
    };
    if changes.edits.len() > MAX_EDITS {
        let preview = shown(&model, &id, &apex, changes, number);
        if reason.is_empty() {
            return again(Some(preview), Vec::new()).await;
        }
        // What else waits in the draft is not published with it.
        let live = visit.model();
        let edits = read(&live).map_err(Problem::fields)?.edits;
        let publication = Publication {
            edits,
            message: reason.clone(),
            author: visit.author(),
            expect: vec![Expect::Revision(live.revision)],
            tests: Tests::MustPass,
        };
        return match visit.web.control.publish(publication).await {
            Ok(published) => {
                done(number);
                visit.say(text("Published as version {n}.").set("n", published.revision));
                Ok(see(&format!("/zones/{id}")))
            }
            Err(Refusal::Invalid(errors)) => again(Some(preview), errors).await,
            Err(refusal) => Err(refusal.into()),
        };
    }
    let said = kept(&changes);
    match keep_edits(&visit, changes.edits, &format!("/zones/import?zone={id}")).await? {
        Kept::Clash(page) => Ok(page),
        Kept::Drafted => {
            done(number);
            visit.say(said);
            Ok(see(&format!("/zones/{id}")))
        }
        Kept::Wrong(errors) => again(None, errors).await,
    }
}

fn done(number: u64) {
    WAITING.lock().1.retain(|waiting| waiting.number != number);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let document = json!({
            "zones": { "z": { "fqdn": "z.test.", "default_ttl": 300, "ns": ["a.other.test.", "b.other.test."] } },
            "records": [{ "zone": "z", "name": "www", "type": "A", "values": ["192.0.2.1"] }],
        });
        let empty = Model::empty();
        empty.check(&empty.edits_to(&document).unwrap()).unwrap().model
    }

    fn read_text(text: &str) -> Result<Changes, Vec<FieldError>> {
        read(&model(), &"z".parse().unwrap(), &"z.test.".parse().unwrap(), text, Standby::Kept)
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_with_its_line() {
        let text = "www A 192.0.2.300\nftp A 192.0.2.2\nftp CNAME www\nmx MX ten mail\n";
        let errors = Quoted::all(read_text(text).unwrap_err(), text);
        let told: Vec<(&str, &str)> =
            errors.iter().map(|quoted| (quoted.error.at.as_str(), quoted.line.as_str())).collect();
        let wrong = [("line 1", "www A 192.0.2.300"), ("line 3", "ftp CNAME www"), ("line 4", "mx MX ten mail")];
        assert_eq!(told, wrong, "{errors:?}");
    }

    #[test]
    fn what_changes_in_the_zone_itself_stands_in_the_preview() {
        let changes = read_text("$TTL 600\n@ NS c.other.test.\nwww A 192.0.2.1\n").unwrap();
        let rows = own_differences(&model(), &changes.edits);
        let rows: Vec<_> =
            rows.iter().map(|row| (row.name.as_str(), row.before.as_str(), row.after.as_str())).collect();
        assert_eq!(rows, [("@ NS", "a.other.test., b.other.test.", "c.other.test."), ("$TTL", "300", "600")]);
    }
}
