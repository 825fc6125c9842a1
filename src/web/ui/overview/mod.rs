//! Overview: is anything wrong, and are clients served? First a sentence, then figures, the map, the pools, the
//! queries of the last hours, and what happened. Every part is also a fragment of the live stream.

mod figures;
mod head;
pub(super) mod latest;

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::beat::{self, Beat};
use super::chart::{Chart, Line, Mark, Shape, distinct};
use super::filters;
use super::frame::{Frame, Place};
use super::live::Fragment;
use super::map::{Borders, WorldMap};
use super::state::{PoolShown, PoolStates, StateWord};
use super::text::{plain, text};
use super::visit::Visit;
use super::{Page, filters::figure_text};
use crate::control::series::Span;
use crate::control::token::Role;
use crate::health::EventKind;
use crate::model::{Id, Model, Policy, Pool};
use crate::store::EventFilter;
use crate::web::Problem;
use crate::web::extract::Query;

use figures::Figure;
use head::{GeoSource, Head};
use latest::Latest;

/// Pools in the panel, those with problems first.
const MAX_POOLS: usize = 6;
/// Names that the map can be switched to here; the page of any name leads to its own.
const MAX_NAMES: usize = 100;
/// Pools with a colour of their own in the chart.
const MAX_LINES: usize = 8;
/// Failures that the chart is marked with.
const MAX_MARKS: usize = 40;

pub(super) fn pages() -> Vec<Page> {
    vec![Page::new("/", Role::Viewer, get(show))]
}

/// What the address asks for.
#[derive(Debug, Clone, Default, Deserialize)]
struct Asked {
    /// The policy whose clients the map shows; the busiest where it is none.
    #[serde(default)]
    name: String,
    #[serde(default)]
    span: String,
    #[serde(default)]
    borders: String,
}

impl Asked {
    fn span(&self) -> Span {
        match self.span.as_str() {
            "hour" => Span::Hour,
            "week" => Span::Week,
            _ => Span::Day,
        }
    }

    fn borders(&self) -> Borders {
        if self.borders == "off" { Borders::Hidden } else { Borders::Shown }
    }

    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("name", &self.name), ("span", &self.span), ("borders", &self.borders)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

/// A pool in the panel.
struct Row {
    id: Id<Pool>,
    shown: PoolShown,
    /// Its name, where it has one beside its id.
    name: String,
    beat: Option<Beat>,
    /// Of the answers of the last minute; `None` without any.
    share: Option<f64>,
}

/// A name that the map can show.
struct Choice {
    policy: Id<Policy>,
    name: String,
    chosen: bool,
}

/// A period of the chart.
struct Period {
    word: &'static str,
    href: String,
    chosen: bool,
}

/// All that the page shows.
struct Board {
    asked: Asked,
    head: Head,
    figures: Vec<Figure>,
    choices: Vec<Choice>,
    map: Option<WorldMap>,
    borders_href: String,
    pools: Vec<Row>,
    pools_in_all: usize,
    periods: Vec<Period>,
    chart: Option<Chart>,
    events: Vec<Latest>,
}

#[derive(Template)]
#[template(path = "ui/overview.html")]
struct Overview {
    frame: Frame,
    board: Board,
}

#[derive(Template)]
#[template(path = "ui/overview_empty.html")]
struct Empty {
    frame: Frame,
}

/// The parts that move, each a template that the page includes.
macro_rules! parts {
    ($($part:ident $path:literal $id:literal),+) => {
        $(
            #[derive(Template)]
            #[template(path = $path)]
            struct $part<'b> {
                board: &'b Board,
            }
        )+

        fn fragments(visit: &Visit, board: &Board) -> Vec<Fragment> {
            let parts = [$(($id, visit.render(&$part { board }))),+];
            parts.into_iter().filter_map(|(id, html)| Some(Fragment::new(id, html.ok()?))).collect()
        }
    };
}

parts! {
    HeadPart "ui/overview_head.html" "ov-head",
    FiguresPart "ui/overview_figures.html" "ov-figures",
    MapPart "ui/overview_map.html" "ov-map",
    PoolsPart "ui/overview_pools.html" "ov-pools",
    VolumePart "ui/overview_volume.html" "ov-volume",
    EventsPart "ui/overview_events.html" "ov-events"
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let frame = visit.frame(Place::Overview, text("Overview")).await;
    if visit.model().policies.is_empty() {
        return Ok(visit.page(&Empty { frame }));
    }
    let frame = frame.live(format!("overview:{}", asked.query()));
    let board = board(&visit, asked).await;
    Ok(visit.page(&Overview { frame, board }))
}

/// For the live stream; `query` is that of the page.
pub(super) async fn live(visit: &Visit, query: &str) -> Vec<Fragment> {
    let mut asked = Asked::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "name" => asked.name = value.into_owned(),
            "span" => asked.span = value.into_owned(),
            "borders" => asked.borders = value.into_owned(),
            _ => {}
        }
    }
    fragments(visit, &board(visit, asked).await)
}

async fn board(visit: &Visit, asked: Asked) -> Board {
    let control = &visit.web.control;
    let (snapshot, health) = (control.snapshot(), control.health());
    let model = snapshot.model().clone();
    let states = PoolStates::of(&model, &health);
    let newest = control.events(EventFilter::default(), None, latest::SHOWN).await.unwrap_or_default();
    let failures = EventFilter { kind: Some(EventKind::Pool), ..EventFilter::default() };
    let failures = control.events(failures, None, MAX_MARKS).await.unwrap_or_default();
    let marks = failures.iter().rev().filter(|event| event.to == "down").map(|event| Mark {
        at_ms: event.at.as_millisecond().unsigned_abs(),
        text: text("{pool} down").set("pool", event.subject.trim_start_matches("pools/")),
    });
    let geo = match visit.web.boot.geo_location {
        Some(_) => GeoSource::Own,
        None => GeoSource::Bundled,
    };
    let head = Head::of(&snapshot, &states, geo, visit.now);
    let figures = figures::figures(control, &snapshot, &head);
    let (choices, shown) = choices(visit, &model, &asked);
    let map = shown.map(|(policy, name)| {
        let lands = visit.web.maps.lands(&snapshot, &policy);
        WorldMap::new(&model, &states, name, &lands, asked.borders())
    });
    let other = if asked.borders() == Borders::Shown { "off" } else { "" };
    let borders_href = format!("/?{}", Asked { borders: other.into(), ..asked.clone() }.query());
    let periods = [("hour", "1 h", Span::Hour), ("", "24 h", Span::Day), ("week", "7 d", Span::Week)];
    let periods = periods.map(|(code, word, span)| Period {
        word,
        href: format!("/?{}", Asked { span: code.into(), ..asked.clone() }.query()),
        chosen: span == asked.span(),
    });
    Board {
        head,
        figures,
        choices,
        map,
        borders_href,
        pools: pools(visit, &model, &states),
        pools_in_all: model.pools.len(),
        periods: periods.into(),
        chart: by_pool(visit, &states, asked.span(), marks.collect()),
        events: newest.iter().map(|event| Latest::of(event, &model)).collect(),
        asked,
    }
}

/// Names by their policies, the busiest first, and the one that the map shows.
fn choices(visit: &Visit, model: &Model, asked: &Asked) -> (Vec<Choice>, Option<(Id<Policy>, String)>) {
    let mut rates: Vec<(f64, &Id<Policy>, &Arc<Policy>)> = {
        let traffic = visit.web.control.shared().traffic.lock();
        let used = model.policies.iter().filter(|(_, policy)| policy.enabled && !policy.attach.is_empty());
        // Rates to the tenth of a query, so that the choice does not change from look to look.
        used.map(|(id, policy)| ((traffic.policy_rate(id) * 10.0).round(), id, policy)).collect()
    };
    // Without traffic the name with the most rules says the most.
    rates.sort_by(|(a, _, of_a), (b, _, of_b)| b.total_cmp(a).then(of_b.rules.len().cmp(&of_a.rules.len())));
    let name =
        |policy: &Policy| policy.attach.first().map(|attach| shown_name(&attach.name.to_string())).unwrap_or_default();
    let chosen = rates.iter().find(|(_, id, _)| id.as_str() == asked.name).or(rates.first());
    let shown = chosen.map(|(_, id, policy)| ((*id).clone(), name(policy)));
    let choice = |(_, id, policy): &(f64, &Id<Policy>, &Arc<Policy>)| Choice {
        policy: (*id).clone(),
        name: name(policy),
        chosen: shown.as_ref().is_some_and(|(chosen, _)| chosen == *id),
    };
    let mut choices: Vec<Choice> = rates.iter().take(MAX_NAMES).map(choice).collect();
    choices.sort_by(|a, b| a.name.cmp(&b.name));
    (choices, shown)
}

/// Without the dot at its end, as people write it.
fn shown_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_owned()
}

fn pools(visit: &Visit, model: &Model, states: &PoolStates) -> Vec<Row> {
    let mut all: Vec<(&Id<Pool>, &PoolShown)> = states.iter().collect();
    all.sort_by_key(|(_, shown)| shown.state);
    all.truncate(MAX_POOLS);
    let control = &visit.web.control;
    let now_ms = visit.now.as_millisecond().unsigned_abs();
    let known = all.iter().filter_map(|(id, _)| Some((*id, &**model.pools.get(id)?)));
    let beats = beat::of_pools(&control.shared().outcomes, model, known, now_ms);
    let traffic = control.shared().traffic.lock();
    let total: f64 = states.iter().map(|(id, _)| traffic.pool_rate(id)).sum();
    let row = |((id, shown), beat): ((&Id<Pool>, &PoolShown), Option<Beat>)| Row {
        name: model.pools.get(id).map(|pool| pool.meta.name.clone()).unwrap_or_default(),
        share: (total > 0.0).then(|| traffic.pool_rate(id) / total),
        id: id.clone(),
        shown: shown.clone(),
        beat,
    };
    all.into_iter().zip(beats.into_iter().map(Some).chain(std::iter::repeat_with(|| None))).map(row).collect()
}

/// Queries by pool over time; `None` without any.
fn by_pool(visit: &Visit, states: &PoolStates, span: Span, marks: Vec<Mark>) -> Option<Chart> {
    let (mut curves, now) = {
        let traffic = visit.web.control.shared().traffic.lock();
        (traffic.series.pools(span), traffic.rate())
    };
    let first = curves.first()?.1.clone();
    let rest = curves.split_off(curves.len().min(MAX_LINES));
    let colours = distinct(curves.iter().map(|(pool, _)| states.get(pool).map_or(1, |shown| shown.colour)));
    let lines = curves.into_iter().zip(colours);
    let mut lines: Vec<Line> =
        lines.map(|((pool, curve), colour)| Line::new(plain(pool), colour, curve.points)).collect();
    if !rest.is_empty() {
        let mut points = vec![0.0; first.points.len()];
        rest.iter().for_each(|(_, curve)| points.iter_mut().zip(&curve.points).for_each(|(sum, point)| *sum += point));
        lines.push(Line::new(text("Other pools"), 0, points));
    }
    let title = match span {
        Span::Hour => text("Queries per second by pool, last hour. Now {n} in all."),
        Span::Day => text("Queries per second by pool, last 24 hours. Now {n} in all."),
        Span::Week => text("Queries per second by pool, last 7 days. Now {n} in all."),
    };
    Some(Chart {
        id: "vol",
        title: title.set("n", figure_text(now)),
        unit: text("per second"),
        shape: Shape::Stacked,
        start_ms: first.start_ms,
        step_ms: first.step_ms,
        lines,
        marks,
    })
}
