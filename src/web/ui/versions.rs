//! Versions: what was published, by whom and why; what each changed; and going back to one, after a look at
//! who would get other answers.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::audit::too_many;
use super::draft::review::Thing;
use super::draft::{Assent, Review, files, review};
use super::export::{Format, both};
use super::filters;
use super::form::{Faults, Form};
use super::frame::{Frame, Place};
use super::past::{Asked, MAX_EXPORTED, MAX_SEARCHED, PAGE, Stopped, search};
use super::text::{Text, fact, text};
use super::visit::{Visit, see};
use super::{Page, export};
use crate::control::token::Role;
use crate::control::{Expect, Publication, Refusal, Tests};
use crate::model::{Change, Edit, FieldError, Kind, Model, Revision};
use crate::web::Problem;
use crate::web::access::hide;
use crate::web::extract::{Path, Query};

const FILTERS: [&str; 5] = ["author", "q", "on", "from", "to"];
/// Changes of one version that are shown in full.
const MAX_SHOWN: usize = 50;
/// Versions back to which the difference to what is live is worked out at once.
const MAX_BACK: u64 = 1_000;

pub(super) fn pages() -> Vec<Page> {
    let mut pages = vec![
        Page::new("/versions", Role::Viewer, get(list)),
        Page::new("/versions.csv", Role::Viewer, get(as_csv)),
        Page::new("/versions.json", Role::Viewer, get(as_json)),
        Page::new("/versions/{number}", Role::Viewer, get(show)),
        Page::new("/versions/{number}/restore", Role::Editor, get(ask).post(restore)),
    ];
    pages.extend(both!("/versions/{number}/changes", changes));
    pages.extend(both!("/versions/{number}/restore/moves", files::restoring_moves, Role::Editor));
    pages.extend(both!("/versions/{number}/restore/shares", files::restoring_shares, Role::Editor));
    pages.extend(both!("/versions/{number}/restore/outages", files::restoring_outages, Role::Editor));
    pages
}

#[derive(Template)]
#[template(path = "ui/versions.html")]
struct Versions {
    frame: Frame,
    asked: Asked,
    versions: Vec<Revision>,
    filtered: bool,
    query: String,
    older: Option<String>,
    cut_short: bool,
    faults: Faults,
}

async fn list(visit: Visit, Query(query): Query<HashMap<String, String>>) -> Result<Response, Problem> {
    let asked = Asked::of(query);
    let faults = Faults::new(asked.errors(), "");
    let (versions, stopped) = match faults.is_empty() {
        true => versions(&visit, &asked, PAGE, MAX_SEARCHED).await?,
        false => (Vec::new(), Stopped::AtEnd),
    };
    let older = match stopped {
        Stopped::Before(number) => Some(asked.query(&FILTERS, Some(number))),
        Stopped::AtEnd => None,
    };
    let page = Versions {
        frame: visit.frame(Place::Audit, text("Versions")).await,
        filtered: asked.is_filtered(&FILTERS),
        query: asked.query(&FILTERS, None),
        cut_short: older.is_some() && versions.len() < PAGE,
        older,
        versions,
        asked,
        faults,
    };
    Ok(visit.page_with(page.faults.status(), &page))
}

async fn versions(visit: &Visit, asked: &Asked, want: usize, most: usize) -> Result<(Vec<Revision>, Stopped), Refusal> {
    let admits = |(revision, is_on): &(Revision, bool)| {
        *is_on
            && asked.admits("author", &revision.author)
            && (asked.admits("q", &revision.message) || revision.sentences.iter().any(|said| asked.admits("q", said)))
    };
    let control = &visit.web.control;
    // Heads come without what they changed, which is looked up where a thing is asked for.
    let read = async |before, limit| -> Result<Vec<(Revision, bool)>, Refusal> {
        let heads = control.revision_heads(before, limit).await?;
        let thing = asked.text("on").to_owned();
        if thing.is_empty() {
            return Ok(heads.into_iter().map(|head| (head, true)).collect());
        }
        let on = control.that_changed(thing, heads.iter().map(|head| head.number).collect()).await?;
        let with_it = |head: Revision| {
            let is_on = on.contains(&head.number);
            (head, is_on)
        };
        Ok(heads.into_iter().map(with_it).collect())
    };
    let number_and_time = |(head, _): &(Revision, bool)| (head.number, head.at);
    let (found, stopped) = search(asked, want, most, number_and_time, admits, read).await?;
    Ok((found.into_iter().map(|(head, _)| head).collect(), stopped))
}

async fn exported(visit: &Visit, query: HashMap<String, String>) -> Result<Vec<Revision>, Problem> {
    let asked = Asked::whole(query);
    let wrong = asked.errors();
    if !wrong.is_empty() {
        return Err(Problem::fields(wrong));
    }
    let (versions, stopped) = versions(visit, &asked, MAX_EXPORTED, MAX_EXPORTED).await?;
    if stopped == Stopped::AtEnd { Ok(versions) } else { Err(too_many()) }
}

async fn as_csv(visit: Visit, Query(query): Query<HashMap<String, String>>) -> Result<Response, Problem> {
    let rows = exported(&visit, query).await?.into_iter().map(|revision| {
        let Revision { number, at, author, message, sentences, sha256, .. } = revision;
        vec![number.to_string(), at.to_string(), author, message, sentences.join("\n"), sha256]
    });
    export::csv("versions", &["version", "at", "author", "reason", "changes", "sha256"], rows)
}

async fn as_json(visit: Visit, Query(query): Query<HashMap<String, String>>) -> Result<Response, Problem> {
    Ok(export::json("versions", exported(&visit, query).await?))
}

#[derive(Template)]
#[template(path = "ui/version.html")]
struct Version {
    frame: Frame,
    version: Revision,
    /// Kind and id of what it changed, with the values as they were and as they became.
    changes: Vec<(String, String, String)>,
    more: usize,
    is_live: bool,
    /// From this version to what is live.
    since: Vec<Thing>,
    more_since: usize,
    /// What it changed, thing by thing; empty where the model before it cannot be made any more, and the sentences
    /// that were kept tell it.
    things: Vec<Thing>,
    /// Why that cannot be said.
    unknown: Option<Text>,
    newest: u64,
}

async fn show(visit: Visit, Path(number): Path<u64>) -> Result<Response, Problem> {
    let mut version = find(&visit, number).await?;
    let model = visit.model();
    // A zone whose serial went up for another thing's change is no change of its own.
    version.changes.retain(|change| !is_serial_alone(change));
    let more = version.changes.len().saturating_sub(MAX_SHOWN);
    let listed: Vec<Change> = version.changes.drain(..).take(MAX_SHOWN).collect();
    let changes = listed.iter().map(|change| {
        let [before, after] = readable(&visit, change).map(|value| {
            value.map(|value| serde_json::to_string_pretty(&value).unwrap_or_default()).unwrap_or_default()
        });
        (format!("{}/{}", change.kind, change.id), before, after)
    });
    let changes = changes.collect();
    // One that is stored and about to be shown counts as live.
    let is_live = number >= model.revision;
    let (mut since, mut more_since, mut unknown) = (Vec::new(), 0, None);
    let mut at_number = is_live.then(|| model.clone());
    if !is_live && model.revision - number > MAX_BACK {
        unknown = Some(text("More than a thousand versions lie between; the review of restoring it works it out."));
    } else if !is_live {
        match visit.web.control.edits_back_to(number, model.revision).await {
            Ok(edits) => match tokio::task::block_in_place(|| model.check(&edits)) {
                Ok(checked) => {
                    let shown = &checked.changes[..checked.changes.len().min(MAX_SHOWN)];
                    since = review::things(&model, &checked.model, shown);
                    more_since = checked.changes.len().saturating_sub(MAX_SHOWN);
                    at_number = Some(Arc::new(checked.model));
                }
                Err(errors) => unknown = errors.first().map(|error| fact("error", error.to_string())),
            },
            Err(refusal) => unknown = Some(fact("error", Problem::from(refusal).detail)),
        }
    }
    let title = text("Version {n}").set("n", number);
    let frame = visit.frame(Place::Audit, title).await.under(text("Versions"), "/versions");
    let things = at_number.map(|after| things(&after, &listed)).unwrap_or_default();
    let newest = model.revision;
    Ok(visit.page(&Version { frame, version, changes, more, is_live, since, more_since, things, unknown, newest }))
}

/// What led to `after`, as a review tells it.
fn things(after: &Model, changes: &[Change]) -> Vec<Thing> {
    let back = |change: &Change| Edit { kind: change.kind, id: change.id.clone(), value: change.before.clone() };
    let back: Vec<Edit> = changes.iter().map(back).collect();
    let before = tokio::task::block_in_place(|| after.check(&back));
    before.map(|before| review::things(&before.model, after, changes)).unwrap_or_default()
}

/// Every change of a version, as it was and as it became.
async fn changes(visit: Visit, Path(number): Path<u64>, format: Format) -> Result<Response, Problem> {
    let version = find(&visit, number).await?;
    let rows = version.changes.iter().map(|change| {
        let [before, after] = readable(&visit, change).map(|value| match format {
            Format::Csv => json!(value.as_ref().map(Value::to_string)),
            Format::Json => json!(value),
        });
        json!([change.kind, change.id, before, after])
    });
    format.table(&format!("version-{number}"), &["kind", "id", "before", "after"], rows)
}

/// What the visitor may read of what was, and of what became of it.
fn readable(visit: &Visit, change: &Change) -> [Option<Value>; 2] {
    [&change.before, &change.after].map(|value| {
        let mut value = value.clone()?;
        hide(visit.user().role, change.kind, &mut value);
        Some(value)
    })
}

fn is_serial_alone(change: &Change) -> bool {
    let without = |value: &Option<Value>| {
        let mut value = value.clone()?;
        let fields = value.as_object_mut()?;
        ["serial", "rev"].iter().for_each(|field| drop(fields.remove(*field)));
        Some(value)
    };
    let (before, after) = (without(&change.before), without(&change.after));
    change.kind == Kind::Zones && before.is_some() && before == after
}

async fn find(visit: &Visit, number: u64) -> Result<Revision, Problem> {
    let newest = visit.model().revision;
    let missing = || Problem::not_found(format!("No version {number} is kept. The newest is {newest}."));
    visit.web.control.revision(number).await?.ok_or_else(missing)
}

#[derive(Template)]
#[template(path = "ui/version_restore.html")]
struct Restore {
    frame: Frame,
    number: u64,
    /// What it was compared with; publishing is refused when somebody was faster.
    newest: u64,
    review: Option<Review>,
    errors: Vec<FieldError>,
    fault: Option<Text>,
    assent: Assent,
}

impl Restore {
    async fn of(visit: &Visit, number: u64) -> Result<(Restore, Vec<Edit>), Problem> {
        let newest = visit.model().revision;
        let edits = visit.web.control.edits_back_to(number, newest).await?;
        let title = text("Restore version {n}").set("n", number);
        let frame = visit.frame(Place::Audit, title).await.under(text("Versions"), "/versions");
        let (review, errors) = match visit.web.control.review(edits.clone()).await {
            Ok(found) => (Some(Review::of(found)), Vec::new()),
            Err(Refusal::Invalid(errors)) => (None, errors),
            Err(other) => return Err(other.into()),
        };
        let (fault, assent) = (None, Assent::default());
        Ok((Restore { frame, number, newest, review, errors, fault, assent }, edits))
    }

    fn changes_nothing(&self) -> bool {
        self.review.as_ref().is_some_and(|review| review.things.is_empty())
    }
}

async fn ask(visit: Visit, Path(number): Path<u64>) -> Result<Response, Problem> {
    Ok(visit.page(&Restore::of(&visit, number).await?.0))
}

async fn restore(visit: Visit, Path(number): Path<u64>, form: Form) -> Result<Response, Problem> {
    let (mut page, edits) = Restore::of(&visit, number).await?;
    page.assent = Assent::of_form(&form, page.review.as_ref());
    if form.text("newest") != page.newest.to_string() {
        page.fault =
            Some(text("Version {n} was published meanwhile. Look again at what would change.").set("n", page.newest));
        return Ok(visit.page_with(StatusCode::CONFLICT, &page));
    }
    if !page.assent.is_given() {
        return Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page));
    }
    let message = format!("Restore version {number}: {}", page.assent.reason);
    let publication = Publication {
        edits,
        message,
        author: visit.author(),
        expect: vec![Expect::Revision(page.newest)],
        tests: Tests::despite(page.assent.despite_tests),
    };
    match visit.web.control.publish(publication).await {
        Ok(published) => {
            let said = text("Version {n} is live: it says what version {old} said.");
            visit.say(said.set("n", published.revision).set("old", number));
            Ok(see("/versions"))
        }
        Err(Refusal::Invalid(errors)) => {
            page.errors = errors;
            Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Err(other) => Err(other.into()),
    }
}
