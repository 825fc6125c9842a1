//! History for spreadsheets and programs: events told whole, raw events, lanes, and names with how long they were
//! touched.

use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::super::export;
use super::super::visit::Visit;
use super::filter::Filters;
use super::row::seen_by;
use super::{Asked, report, spans_of_pools, told};
use crate::health::Event;
use crate::health::lanes::Lane;
use crate::health::story::{Plot, Story};
use crate::web::Problem;
use crate::web::extract::Query;

const COLUMNS: [&str; 20] = [
    "event",
    "plot",
    "kind",
    "subject",
    "open",
    "starts",
    "ends",
    "seconds",
    "seconds_down",
    "seconds_without_data",
    "cause",
    "reason",
    "seen_by",
    "started_by",
    "names",
    "first_failed_check_to_new_answers_ms",
    "share_of_queries",
    "answered_instead_by",
    "names_on_last_resort",
    "names_without_an_answer",
];

pub async fn csv(visit: Visit, Query(asked): Asked) -> Result<Response, Problem> {
    let filters = Filters::read(&asked, visit.now)?;
    let told = told(&visit, &filters).await?;
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let rows = told.stories.iter().filter(|story| filters.admits(story)).map(|story| {
        let plot = word(serde_json::json!(story.plot));
        let reason = word(serde_json::json!(story.reason()));
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
            if story.plot == Plot::Outage { story.down_seconds(visit.now).to_string() } else { String::new() },
            text(story.stopped_seconds(visit.now).map(|seconds| seconds.to_string())),
            story.cause.clone(),
            reason,
            seen_by(story, &visit).unwrap_or_default().to_owned(),
            story.actor.clone(),
            story.names().join(" "),
            text(story.reaction_ms.map(|ms| ms.to_string())),
            text(story.share.map(|share| share.to_string())),
            story.instead.join(" "),
            story.last_resort.join(" "),
            story.unserved.join(" "),
        ]
    });
    export::csv("history", &COLUMNS, rows)
}

pub async fn json(visit: Visit, Query(asked): Asked) -> Result<Response, Problem> {
    let filters = Filters::read(&asked, visit.now)?;
    let told = told(&visit, &filters).await?;
    let one = |story: &Story| {
        serde_json::json!({
            "event": story.key.to_string(), "plot": story.plot, "subject": story.subject,
            "kind": if story.is_automatic { "automatic" } else { "manual" }, "open": story.is_open,
            "starts": story.starts, "ends": story.ends, "seconds": story.seconds(visit.now),
            "seconds_down": (story.plot == Plot::Outage).then(|| story.down_seconds(visit.now)),
            "seconds_without_data": story.stopped_seconds(visit.now), "cause": story.cause, "reason": story.reason(),
            "seen_by": seen_by(story, &visit), "started_by": story.actor, "names": story.names(),
            "first_failed_check_to_new_answers_ms": story.reaction_ms, "share_of_queries": story.share,
            "answered_instead_by": story.instead, "names_on_last_resort": story.last_resort, "names_without_an_answer": story.unserved,
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

pub async fn events_csv(visit: Visit, Query(asked): Asked) -> Result<Response, Problem> {
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

pub async fn events_json(visit: Visit, Query(asked): Asked) -> Result<Response, Problem> {
    let filters = Filters::read(&asked, visit.now)?;
    let events = visit.web.control.period(filters.from, filters.until()).await?.events;
    let newest_first: Vec<&Event> = events.iter().rev().map(|event| &**event).collect();
    Ok(export::json("events", newest_first))
}

/// How long a pool was so.
#[derive(Serialize)]
struct LaneSpan {
    pool: String,
    state: &'static str,
    /// Of a pool that is degraded.
    up: Option<usize>,
    of: Option<usize>,
    from: Timestamp,
    to: Timestamp,
    seconds: i64,
}

async fn lane_spans(visit: &Visit, asked: Asked) -> Result<Vec<LaneSpan>, Problem> {
    let filters = Filters::read(&asked.0, visit.now)?;
    let told = told(visit, &filters).await?;
    let pools = spans_of_pools(visit, &told, &filters).into_iter();
    let spans = pools.flat_map(|(pool, spans)| {
        spans.into_iter().map(move |span| {
            let (state, counts) = match span.lane {
                Lane::Up => ("up", None),
                Lane::Degraded { up, of } => ("degraded", Some((up, of))),
                Lane::Down => ("down", None),
                Lane::Held => ("held", None),
                Lane::Drained => ("drained", None),
                Lane::Off => ("off", None),
                Lane::NoData => ("no_data", None),
            };
            LaneSpan {
                pool: pool.to_string(),
                state,
                up: counts.map(|(up, _)| up),
                of: counts.map(|(_, of)| of),
                from: span.from,
                to: span.to,
                seconds: span.to.duration_since(span.from).as_secs(),
            }
        })
    });
    Ok(spans.collect())
}

pub async fn lanes_csv(visit: Visit, asked: Asked) -> Result<Response, Problem> {
    let number = |number: Option<usize>| number.map_or(String::new(), |number| number.to_string());
    let rows = lane_spans(&visit, asked).await?.into_iter().map(|span| {
        let (from, to) = (span.from.to_string(), span.to.to_string());
        vec![span.pool, span.state.to_owned(), number(span.up), number(span.of), from, to, span.seconds.to_string()]
    });
    export::csv("lanes", &["pool", "state", "up", "of", "from", "to", "seconds"], rows)
}

pub async fn lanes_json(visit: Visit, asked: Asked) -> Result<Response, Problem> {
    Ok(export::json("lanes", lane_spans(&visit, asked).await?))
}

/// The names of a report, and for how many seconds their answers were touched.
#[derive(Serialize)]
struct Touched {
    name: String,
    seconds: u64,
}

async fn touched(visit: &Visit, asked: Asked) -> Result<Vec<Touched>, Problem> {
    let stories = report::stories(visit, &asked.0).await?;
    let names = report::names(&stories, visit).into_iter();
    Ok(names.map(|(name, seconds)| Touched { name, seconds }).collect())
}

pub async fn names_csv(visit: Visit, asked: Asked) -> Result<Response, Problem> {
    let rows = touched(&visit, asked).await?.into_iter().map(|row| vec![row.name, row.seconds.to_string()]);
    export::csv("names-touched", &["name", "seconds"], rows)
}

pub async fn names_json(visit: Visit, asked: Asked) -> Result<Response, Problem> {
    Ok(export::json("names-touched", touched(&visit, asked).await?))
}
