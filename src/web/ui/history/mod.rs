//! Failover history: what went out, when answers changed, and who got what instead. The list and its exports;
//! one incident and the report are beside it.

mod draw;
mod filter;
mod incident;
mod report;
mod row;

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use axum::routing::{get, post};

use super::Page;
use super::export;
use super::filters;
use super::frame::{Frame, Place};
use super::live::Fragment;
use super::text::{Text, count, text};
use super::visit::Visit;
use crate::control::Refusal;
use crate::control::recent::{MAX_EVENTS, Period};
use crate::control::token::Role;
use crate::health::story::{self, Story};
use crate::health::{Event, lanes};
use crate::model::{Id, Pool};
use crate::store::{EventFilter, MAX_PAGE};
use crate::web::Problem;
use crate::web::extract::Query;
use draw::LaneRow;
use filter::Filters;
use row::{Members, Row};

/// Rows on one page.
const PAGE_ROWS: usize = 50;
/// How long after an event followed pages look at it again, in seconds: it is told once it is stored.
const FRESH: i64 = 5;
/// How often they look when nothing happened, for what moves with the time.
const LOOK_EVERY: i64 = 15;
/// Pools that are drawn.
const MAX_LANES: usize = 50;

pub(super) fn pages() -> Vec<Page> {
    vec![
        Page::new("/history", Role::Viewer, get(show)),
        Page::new("/history.csv", Role::Viewer, get(csv)),
        Page::new("/history.json", Role::Viewer, get(json)),
        Page::new("/history/events.csv", Role::Viewer, get(events_csv)),
        Page::new("/history/events.json", Role::Viewer, get(events_json)),
        Page::new("/history/report", Role::Viewer, get(report::show)),
        Page::new("/history/{key}", Role::Viewer, get(incident::show)),
        Page::new("/history/{key}/note", Role::Operator, post(incident::note)),
    ]
}

type Asked = Query<HashMap<String, String>>;

#[derive(Template)]
#[template(path = "ui/history.html")]
struct History {
    frame: Frame,
    head: Text,
    filters: Filters,
    /// Both rendered by their own templates.
    drawing: Text,
    list: Text,
    /// The query of the exports.
    query: String,
}

/// Lanes of the pools.
#[derive(Template)]
#[template(path = "ui/history_lanes.html")]
struct Drawing {
    title: Text,
    lanes: Vec<LaneRow>,
    axis: Vec<(String, String)>,
    ends_now: bool,
    not_drawn: usize,
}

/// The stories of one page.
#[derive(Template)]
#[template(path = "ui/history_list.html")]
struct List {
    rows: Vec<Row>,
    counted: Text,
    may_operate: bool,
    /// Only part of the period was read.
    cut: bool,
    newer: Option<String>,
    older: Option<String>,
    empty: Empty,
}

/// Why nothing is listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Empty {
    No,
    /// There is nothing of that kind.
    Filtered,
    /// Nothing ever went out.
    Never,
}

/// What a page of history is made from.
struct Told {
    period: Period,
    stories: Vec<Story>,
}

async fn show(visit: Visit, Query(asked): Asked) -> Result<Response, Problem> {
    let filters = Filters::read(&asked, visit.now)?;
    let told = told(&visit, &filters).await?;
    let frame = visit.frame(Place::History, text("Failover history")).await;
    let frame = if filters.is_now { frame.live(format!("history:{}", filters.query(&[]))) } else { frame };
    let part = |html: String| text("{part}").html("part", html);
    let mut list = list(&visit, &told, &filters);
    if let Some(first) = list.rows.first_mut().filter(|row| row.is_open) {
        first.is_unfolded = true;
    }
    let page = History {
        frame,
        head: head(&told.stories, &filters),
        drawing: part(visit.render(&drawing(&visit, &told.period, &filters))?),
        list: part(visit.render(&list)?),
        query: filters.query(&[]),
        filters: filters.with_choices(&visit.model()),
    };
    Ok(visit.page(&page))
}

/// The parts of the page that move; `query` is that of the page. What is read for it is much, so that it is looked at
/// only while something happens, and now and then.
pub(super) async fn live(visit: &Visit, query: &str) -> Vec<Fragment> {
    let seconds = |at: jiff::Timestamp| visit.now.duration_since(at).as_secs();
    let is_fresh = visit.web.control.shared().recent.newest().is_some_and(|newest| seconds(newest) <= FRESH);
    if !is_fresh && visit.now.as_second() % LOOK_EVERY != 0 {
        return Vec::new();
    }
    let asked: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let Ok(filters) = Filters::read(&asked, visit.now) else { return Vec::new() };
    let Ok(told) = told(visit, &filters).await else { return Vec::new() };
    let said = format!("<p id=\"history-head\">{}</p>", head(&told.stories, &filters).to_html(visit.language));
    let parts = [
        ("history-head", Ok(said)),
        ("history-lanes", visit.render(&drawing(visit, &told.period, &filters))),
        ("history-list", visit.render(&list(visit, &told, &filters))),
    ];
    parts.into_iter().filter_map(|(id, html)| Some(Fragment::new(id, html.ok()?))).collect()
}

async fn told(visit: &Visit, filters: &Filters) -> Result<Told, Refusal> {
    let control = &visit.web.control;
    let period = control.period(filters.from, filters.until()).await?;
    let health = control.health();
    let mut stories = story::stories(&period.events, &period.after, &visit.model(), &health);
    if filters.is_now {
        story::add_standing(&mut stories, &health);
    }
    Ok(Told { period, stories })
}

/// The newest events that a filter admits, the oldest of them first. Page by page, so that what has to be written
/// meanwhile does not wait.
async fn read(visit: &Visit, filter: EventFilter) -> Result<Vec<Arc<Event>>, Refusal> {
    let mut events: Vec<Arc<Event>> = Vec::new();
    let mut before = None;
    while events.len() < MAX_EVENTS {
        let page = visit.web.control.events(filter.clone(), before, MAX_PAGE).await?;
        let was_last = page.len() < MAX_PAGE;
        before = page.last().map(|event| event.sequence);
        events.extend(page.into_iter().map(Arc::new));
        if was_last {
            break;
        }
    }
    events.truncate(MAX_EVENTS);
    events.reverse();
    Ok(events)
}

/// Is anything open, and were clients served?
fn head(stories: &[Story], filters: &Filters) -> Text {
    let failovers = || stories.iter().filter(|story| story.plot != story::Plot::Notice);
    let open = failovers().filter(|story| story.is_open).count();
    let open = match open {
        0 => text("Nothing is open."),
        open => count(open, "{n} event is still open.", "{n} events are still open."),
    };
    let unserved: std::collections::BTreeSet<&String> = failovers().flat_map(|story| &story.unserved).collect();
    let median = story::median_reaction_ms(failovers());
    let rest = match (median, unserved.len()) {
        (None, 0) => text("{period} no client was left without an answer."),
        (None, _) => text("{period} some clients of {names} had no working pool."),
        (Some(_), 0) => text(
            "{period} answers changed <b>{time}</b> (median) after the first failed check, and no client was left without an answer.",
        ),
        (Some(_), _) => text(
            "{period} answers changed <b>{time}</b> (median) after the first failed check, and some clients of {names} had no working pool.",
        ),
    };
    let rest = rest
        .say("period", filters.period_text())
        .say("time", row::short(median.unwrap_or(0)))
        .say("names", count(unserved.len(), "{n} name", "{n} names"));
    text("{open} {rest}").say("open", open).say("rest", rest)
}

fn drawing(visit: &Visit, period: &Period, filters: &Filters) -> Drawing {
    let (model, health) = (visit.model(), visit.web.control.health());
    let wanted = |id: &Id<Pool>| filters.pool.is_empty() || filters.pool == id.as_str();
    let all = lanes::lanes(&period.events, &period.after, &model, &health, (filters.from, filters.to), wanted);
    let mut pools: Vec<_> = all.into_iter().collect();
    pools.sort_by_key(|(_, spans)| draw::rank(spans));
    let not_drawn = pools.len().saturating_sub(MAX_LANES);
    pools.truncate(MAX_LANES);
    let lanes = pools.iter().map(|(id, spans)| draw::lane(id.as_str(), spans, filters, visit.language)).collect();
    Drawing {
        title: filters.lanes_title(),
        lanes,
        axis: draw::axis(filters, visit.language),
        ends_now: filters.is_now,
        not_drawn,
    }
}

fn list(visit: &Visit, told: &Told, filters: &Filters) -> List {
    let mut wanted = told.stories.iter().filter(|story| filters.admits(story)).peekable();
    let empty = match (wanted.peek().is_some(), told.stories.is_empty() && filters.is_plain()) {
        (true, _) => Empty::No,
        (false, true) => Empty::Never,
        (false, false) => Empty::Filtered,
    };
    let wanted: Vec<&Story> = wanted.collect();
    let start = (filters.page - 1) * PAGE_ROWS;
    let shown = wanted.iter().skip(start).take(PAGE_ROWS);
    let model = visit.model();
    let members = Members::of(&model);
    let page = |page: usize| filters.path("/history", &[("page", page.to_string())]);
    List {
        rows: shown.map(|story| Row::of(story, visit, &members)).collect(),
        counted: text("{n} in {period}").set("n", wanted.len()).say("period", filters.period_length()),
        may_operate: visit.may(Role::Operator),
        cut: told.period.cut,
        newer: (filters.page > 1).then(|| page(filters.page - 1)),
        older: (wanted.len() > start + PAGE_ROWS).then(|| page(filters.page + 1)),
        empty,
    }
}

const COLUMNS: [&str; 16] = [
    "event",
    "plot",
    "kind",
    "subject",
    "open",
    "starts",
    "ends",
    "seconds",
    "cause",
    "reason",
    "started_by",
    "names",
    "first_failed_check_to_new_answers_ms",
    "share_of_queries",
    "answered_instead_by",
    "names_without_a_working_pool",
];

async fn csv(visit: Visit, Query(asked): Asked) -> Result<Response, Problem> {
    let filters = Filters::read(&asked, visit.now)?;
    let told = told(&visit, &filters).await?;
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let rows = told.stories.iter().filter(|story| filters.admits(story)).map(|story| {
        let plot = word(serde_json::json!(story.plot));
        let reason = word(serde_json::json!(story.reason));
        let text = |value: Option<String>| value.unwrap_or_default();
        vec![
            story.key.to_string(),
            plot,
            if story.is_automatic { "automatic" } else { "manual" }.into(),
            story.subject.clone(),
            story.is_open.to_string(),
            story.starts.to_string(),
            text(story.ends.map(|ends| ends.to_string())),
            text(story.seconds(visit.now).map(|seconds| seconds.to_string())),
            story.cause.clone(),
            reason,
            story.actor.clone(),
            story.names().join(" "),
            text(story.reaction_ms.map(|ms| ms.to_string())),
            text(story.share.map(|share| share.to_string())),
            story.instead.join(" "),
            story.unserved.join(" "),
        ]
    });
    export::csv("history", &COLUMNS, rows)
}

async fn json(visit: Visit, Query(asked): Asked) -> Result<Response, Problem> {
    let filters = Filters::read(&asked, visit.now)?;
    let told = told(&visit, &filters).await?;
    let one = |story: &Story| {
        serde_json::json!({
            "event": story.key.to_string(), "plot": story.plot, "subject": story.subject,
            "kind": if story.is_automatic { "automatic" } else { "manual" }, "open": story.is_open,
            "starts": story.starts, "ends": story.ends, "seconds": story.seconds(visit.now), "cause": story.cause,
            "reason": story.reason, "started_by": story.actor, "names": story.names(),
            "first_failed_check_to_new_answers_ms": story.reaction_ms, "share_of_queries": story.share,
            "answered_instead_by": story.instead, "names_without_a_working_pool": story.unserved,
            "steps": story.steps.iter().map(|event| &**event).collect::<Vec<&Event>>(),
        })
    };
    let rows: Vec<_> = told.stories.iter().filter(|story| filters.admits(story)).map(one).collect();
    Ok(export::json("history", rows))
}

const EVENT_COLUMNS: [&str; 12] = [
    "sequence",
    "at",
    "kind",
    "subject",
    "from",
    "to",
    "cause",
    "actor",
    "names",
    "query_share",
    "incident",
    "first_failed",
];

async fn events_csv(visit: Visit, Query(asked): Asked) -> Result<Response, Problem> {
    let filters = Filters::read(&asked, visit.now)?;
    let events = visit.web.control.period(filters.from, filters.until()).await?.events;
    let kind = |event: &Event| serde_json::json!(event.kind).as_str().unwrap_or_default().to_owned();
    let rows = events.into_iter().rev().map(|event| {
        vec![
            event.sequence.to_string(),
            event.at.to_string(),
            kind(&event),
            event.subject.clone(),
            event.from.clone(),
            event.to.clone(),
            event.cause.clone(),
            event.actor.clone(),
            event.names.join(" "),
            event.query_share.map(|share| share.to_string()).unwrap_or_default(),
            event.incident.map(|number| number.to_string()).unwrap_or_default(),
            event.first_failed.map(|at| at.to_string()).unwrap_or_default(),
        ]
    });
    export::csv("events", &EVENT_COLUMNS, rows)
}

async fn events_json(visit: Visit, Query(asked): Asked) -> Result<Response, Problem> {
    let filters = Filters::read(&asked, visit.now)?;
    let events = visit.web.control.period(filters.from, filters.until()).await?.events;
    let newest_first: Vec<&Event> = events.iter().rev().map(|event| &**event).collect();
    Ok(export::json("events", newest_first))
}
