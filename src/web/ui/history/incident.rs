//! One event of the history with all its steps, and notes on it.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use jiff::SignedDuration;

use super::super::filters;
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
use super::super::live::Fragment;
use super::super::text::{Text, text};
use super::super::visit::{Visit, see};
use super::filter::Filters;
use super::row::{Members, Row};
use super::{Drawing, drawn, leave_out_stops, moves, spans_of_pools, told};
use crate::control::token::Role;
use crate::health::story::{self, Key, Plot, Story, subject_id};
use crate::health::{Event, EventKind};
use crate::model::FieldError;
use crate::store::EventFilter;
use crate::web::Problem;
use crate::web::extract::Path;

/// How long before an outage the first member of its pool may have gone down to be told with it.
const BEFORE: SignedDuration = SignedDuration::from_hours(1);
/// The longest note, in characters.
const MAX_NOTE: usize = 1000;

#[derive(Template)]
#[template(path = "ui/history_incident.html")]
struct Incident {
    frame: Frame,
    key: String,
    /// Rendered by their own templates.
    parts: [Text; 3],
    may_operate: bool,
    faults: Faults,
    note: String,
}

/// What it is, and what can be done about it.
#[derive(Template)]
#[template(path = "ui/history_incident_head.html")]
struct Head<'r> {
    row: &'r Row,
    may_operate: bool,
}

/// What happened.
#[derive(Template)]
#[template(path = "ui/history_incident_told.html")]
struct Told<'r> {
    row: &'r Row,
    may_operate: bool,
    /// It is open already.
    is_page: bool,
}

pub async fn show(visit: Visit, Path(key): Path<String>) -> Result<Response, Problem> {
    let story = find(&visit, &key).await?;
    page(&visit, &story, Faults::default(), String::new()).await.map(|page| visit.page(&page))
}

async fn page(visit: &Visit, story: &Story, faults: Faults, note: String) -> Result<Incident, Problem> {
    let row = Row::of(story, visit, &Members::of(&visit.model()));
    let frame = visit.frame(Place::History, row.title.clone()).await.under(text("History"), "/history");
    let frame = if story.is_open { frame.live(format!("incident:{}", story.key)) } else { frame };
    let parts = parts(visit, story, &row).await?.map(|(_, html)| text("{part}").html("part", html));
    Ok(Incident { frame, key: row.key, parts, may_operate: visit.may(Role::Operator), faults, note })
}

/// What moves while it goes on, each with its id.
async fn parts(visit: &Visit, story: &Story, row: &Row) -> Result<[(&'static str, String); 3], Problem> {
    let may_operate = visit.may(Role::Operator);
    let lanes = around(visit, story).await?;
    Ok([
        ("incident-head", visit.render(&Head { row, may_operate })?),
        ("incident-told", visit.render(&Told { row, may_operate, is_page: true })?),
        ("history-lanes", visit.render(&lanes)?),
    ])
}

/// The pools that it is about, and those that answered instead, at that time.
async fn around(visit: &Visit, story: &Story) -> Result<Drawing, Problem> {
    let model = visit.model();
    let filters = Filters::around(story.starts, story.ends.unwrap_or(visit.now), visit.now);
    let of_endpoint = Members::of(&model).pools(&story.subject);
    let is_about = |id: &str| {
        story.plot != Plot::Notice
            && (id == story.subject
                || story.instead.iter().any(|pool| pool == id)
                || of_endpoint.iter().any(|pool| pool == id))
    };
    let mut pools = spans_of_pools(visit, &told(visit, &filters).await?, &filters);
    pools.retain(|(id, _)| is_about(id.as_str()));
    Ok(Drawing { title: text("The pools at that time"), ..drawn(visit, pools, &filters) })
}

/// The parts of the page of an event that goes on; they move until it is over, and once more then.
pub async fn live(visit: &Visit, key: &str) -> Vec<Fragment> {
    if !moves(visit) {
        return Vec::new();
    }
    let Ok(story) = find(visit, key).await else { return Vec::new() };
    let row = Row::of(&story, visit, &Members::of(&visit.model()));
    let Ok(parts) = parts(visit, &story, &row).await else { return Vec::new() };
    parts.into_iter().map(|(id, html)| Fragment::new(id, html)).collect()
}

pub async fn note(visit: Visit, Path(key): Path<String>, form: Form) -> Result<Response, Problem> {
    let story = find(&visit, &key).await?;
    let note = form.text("note");
    let length = note.chars().count();
    if note.is_empty() || length > MAX_NOTE {
        let fault = match length {
            0 => FieldError::new("note", "the note is empty", "write what others should know"),
            _ => {
                FieldError::new("note", format!("the note has {length} characters"), format!("use at most {MAX_NOTE}"))
            }
        };
        let mut faults = Faults::default();
        faults.push(fault);
        let page = page(&visit, &story, faults, note.to_owned()).await?;
        return Ok(visit.page_with(axum::http::StatusCode::UNPROCESSABLE_ENTITY, &page));
    }
    let incident = match story.key {
        Key::Incident(number) => Some(number),
        Key::Event(_) => None,
    };
    let event = Event {
        cause: note.to_owned(),
        actor: visit.user().id.clone(),
        incident,
        ..Event::at(visit.now, EventKind::Note, format!("history/{}", story.key))
    };
    visit.web.control.note(event).await;
    visit.say(text("The note stands in the history now."));
    Ok(see(&format!("/history/{}", story.key)))
}

/// The story of a key, put together from its own events only.
pub async fn find(visit: &Visit, key: &str) -> Result<Story, Problem> {
    let missing =
        || Problem::not_found(format!("There is no event {key} in the history. Old ones make room for new ones."));
    let key: Key = key.parse().map_err(|_| missing())?;
    let events = match key {
        Key::Incident(number) => {
            let filter = EventFilter { incident: Some(number), ..EventFilter::default() };
            with_members(visit, visit.web.control.stored(filter).await?.0).await?
        }
        Key::Event(sequence) => since(visit, sequence).await?.ok_or_else(missing)?,
    };
    let mut stories = story::stories(&events, &[], &visit.model(), &visit.web.control.health());
    stories.retain(|story| story.key == key);
    leave_out_stops(visit, &mut stories, None).await?;
    stories.pop().ok_or_else(missing)
}

/// The events of an outage, and those of members of its pool that were down shortly before it.
async fn with_members(visit: &Visit, events: Vec<Arc<Event>>) -> Result<Vec<Arc<Event>>, Problem> {
    let Some(first) = events.first().cloned() else { return Ok(events) };
    let model = visit.model();
    let pools = events.iter().filter_map(|event| model.pools.get(&subject_id(event, "pools")?.parse().ok()?));
    let members: BTreeSet<&str> = pools.flat_map(|pool| &pool.members).map(|member| member.endpoint.as_str()).collect();
    let from = first.at.checked_sub(BEFORE).unwrap_or(first.at);
    let to = first.at.checked_add(SignedDuration::from_secs(1)).ok();
    let mut all = visit.web.control.period(from, to).await?.events;
    let is_member = |event: &Event| subject_id(event, "endpoints").is_some_and(|id| members.contains(id));
    all.retain(|event| event.sequence < first.sequence && is_member(event));
    all.extend(events);
    Ok(all)
}

/// An event, what happened to its subject since, and the notes on it.
async fn since(visit: &Visit, sequence: u64) -> Result<Option<Vec<Arc<Event>>>, Problem> {
    let control = &visit.web.control;
    let first = control.events(EventFilter::default(), Some(sequence.saturating_add(1)), 1).await?;
    let Some(first) = first.into_iter().next().filter(|event| event.sequence == sequence) else { return Ok(None) };
    let subject = first.subject.split(' ').next().unwrap_or_default().to_owned();
    let mut events = Vec::new();
    if subject.contains('/') {
        for subject in [subject.clone(), format!("history/{}", Key::Event(sequence))] {
            let filter = EventFilter { subject: Some(subject), from: Some(first.at), ..EventFilter::default() };
            events.extend(control.stored(filter).await?.0);
        }
    } else {
        events.push(Arc::new(first));
    }
    // What begins like the subject may be about another one.
    let same = |event: &Arc<Event>| event.subject.split(' ').next() == Some(&subject) || event.kind == EventKind::Note;
    events.retain(|event| event.sequence >= sequence && same(event));
    events.sort_by_key(|event| event.sequence);
    Ok(Some(events))
}
