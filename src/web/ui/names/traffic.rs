//! How often a name is asked for: over time, by the pools that answered or by where the clients were; as a chart and
//! as a file. Draws what was counted.

use askama::Template;
use axum::response::Response;
use serde_json::json;

use super::super::chart::{Chart, Line, Mark, Shape};
use super::super::export::Format;
use super::super::filters;
use super::super::form::Form;
use super::super::frame::{Frame, Place};
use super::super::regions::regions_word;
use super::super::state::{COLOURS, PoolStates};
use super::super::text::{Text, plain, text};
use super::super::visit::Visit;
use super::page::Head;
use super::{World, policy_of, tabs};
use crate::control::series::{Curve, Span};
use crate::health::{Event, EventKind};
use crate::model::{Id, Name, Policy};
use crate::web::Problem;
use crate::web::extract::Path;

/// The part of all answers from which on those that no part holds are shown: counts are rounded to less.
const MIN_REST: f64 = 0.02;

#[derive(Template)]
#[template(path = "ui/name_traffic.html")]
struct Traffic {
    frame: Frame,
    head: Head,
    chart: Option<Chart>,
    asked: Asked,
}

/// What the address asks for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    span: Span,
    span_word: &'static str,
    by: By,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Pool,
    Region,
}

impl By {
    fn word(self) -> &'static str {
        if self == By::Region { "region" } else { "pool" }
    }
}

impl Asked {
    fn of(visit: &Visit) -> Result<Asked, Problem> {
        let query = Form::parse(visit.here.split_once('?').map_or("", |(_, query)| query).as_bytes())?;
        let (span, span_word) = match query.text("span") {
            "hour" => (Span::Hour, "hour"),
            "week" => (Span::Week, "week"),
            _ => (Span::Day, "day"),
        };
        Ok(Asked { span, span_word, by: if query.text("by") == "region" { By::Region } else { By::Pool } })
    }

    /// Query, word, and whether it is this one.
    fn spans(&self) -> [(String, &'static str, bool); 3] {
        [("hour", "Last hour"), ("day", "Last day"), ("week", "Last week")]
            .map(|(span, word)| (format!("span={span}&by={}", self.by.word()), word, span == self.span_word))
    }

    fn bys(&self) -> [(String, &'static str, bool); 2] {
        [(By::Pool, "By pool"), (By::Region, "By region")]
            .map(|(by, word)| (format!("span={}&by={}", self.span_word, by.word()), word, by == self.by))
    }

    fn query(&self) -> String {
        format!("?span={}&by={}", self.span_word, self.by.word())
    }
}

/// Some of the answers of a name.
struct Part {
    /// For programs.
    key: String,
    name: Text,
    colour: usize,
    curve: Curve,
}

pub async fn show(visit: &Visit, world: &World, name: &Name) -> Result<Response, Problem> {
    let (frame, head) = tabs::framed(visit, world, name, "traffic").await;
    let asked = Asked::of(visit)?;
    let chart = match policy_of(&world.live, name) {
        Some((id, policy)) => chart(visit, world, id, policy, asked, &head.name).await?,
        None => None,
    };
    Ok(visit.page(&Traffic { frame, head, chart, asked }))
}

/// What is shown, as a table: `span` is `hour`, `day` or `week`, `by` is `pool` or `region`.
pub async fn table(visit: Visit, Path(name): Path<String>, format: Format) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let asked = Asked::of(&visit)?;
    let parts = policy_of(&world.live, &name).map(|(id, _)| parts(&visit, &world, id, asked));
    let parts = parts.unwrap_or_default();
    let rows = parts.iter().flat_map(|part| part.curve.each().map(|(at, rate)| json!([at, part.key, rate])));
    format.table(&format!("traffic-{}", name.without_dot()), &["from", asked.by.word(), "answers_per_second"], rows)
}

/// The parts, the most first; then what was counted before there were parts, or beyond as many as are kept.
fn parts(visit: &Visit, world: &World, id: &Id<Policy>, asked: Asked) -> Vec<Part> {
    let states = PoolStates::of(&world.live, &visit.web.control.health());
    let traffic = visit.web.control.shared().traffic.lock();
    let mut rest = traffic.series.policy(id, asked.span);
    let all = rest.sum();
    let mut parts: Vec<Part> = match asked.by {
        By::Pool => {
            let pools = traffic.series.policy_pools(id, asked.span).into_iter();
            let part = |(pool, curve)| match pool {
                Some(pool) => {
                    let colour = states.get(&pool).map_or(1, |shown| shown.colour);
                    Part { key: pool.to_string(), name: plain(&pool), colour, curve }
                }
                None => Part { key: "no answer".into(), name: text("No answer"), colour: 0, curve },
            };
            pools.map(part).collect()
        }
        By::Region => {
            let regions = traffic.series.policy_regions(id, asked.span).into_iter().enumerate();
            let part = |(at, (regions, curve)): (usize, (Vec<_>, Curve))| Part {
                key: match regions.iter().map(Id::as_str).collect::<Vec<_>>().join("+") {
                    none if none.is_empty() => "everyone else".into(),
                    regions => regions,
                },
                name: regions_word(&world.live, &regions),
                colour: at % COLOURS + 1,
                curve,
            };
            regions.map(part).collect()
        }
    };
    for part in &parts {
        rest.points.iter_mut().zip(&part.curve.points).for_each(|(rest, point)| *rest = (*rest - point).max(0.0));
    }
    if parts.is_empty() || rest.sum() > all * MIN_REST {
        parts.push(Part { key: "not told apart".into(), name: text("Not told apart"), colour: 0, curve: rest });
    }
    parts
}

async fn chart(
    visit: &Visit,
    world: &World,
    id: &Id<Policy>,
    policy: &Policy,
    asked: Asked,
    name: &str,
) -> Result<Option<Chart>, Problem> {
    let began = |event: &Event| event.kind == EventKind::Pool && matches!(&*event.to, "down" | "ok");
    let began = visit.web.control.newest_about(&tabs::pools(policy), began, tabs::MAX_EVENTS).await?;
    let marks = began.iter().filter_map(|event| {
        let pool = event.subject.strip_prefix("pools/")?;
        let word = if event.to == "down" { "{pool} down" } else { "{pool} up" };
        Some(Mark { at_ms: u64::try_from(event.at.as_millisecond()).ok()?, text: text(word).set("pool", pool) })
    });
    let (title, others) = match asked.by {
        By::Pool => (text("Answers per second for {name}, by pool"), text("Other pools")),
        By::Region => (text("Answers per second for {name}, by region of the client"), text("Other regions")),
    };
    let parts = parts(visit, world, id, asked);
    let Some(any) = parts.first().map(|part| part.curve.clone()) else { return Ok(None) };
    let parts = parts.into_iter().map(|part| (part.name, part.colour, part.curve)).collect();
    let chart = Chart::over(&any, "volume", title.set("name", name), text("per second"), Shape::Stacked);
    Ok(Some(Chart { lines: Line::busiest(parts, others), marks: marks.collect(), ..chart }))
}
