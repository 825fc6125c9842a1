//! Queries over time by who answers them, or by where the clients are. Draws what was counted.

use axum::response::Response;
use serde_json::json;

use super::super::chart::{Chart, Line, Mark, Shape};
use super::super::export::Format;
use super::super::filters::figure_text;
use super::super::regions::regions_word;
use super::super::state::{COLOURS, PoolStates};
use super::super::text::{Text, plain, text};
use super::super::visit::Visit;
use crate::control::series::{Curve, Span};
use crate::model::{Id, Model};
use crate::web::Problem;

/// What the chart shows, every pool or region for itself.
pub fn table(visit: &Visit, span: Span, by: &'static str, format: Format) -> Result<Response, Problem> {
    let series = &visit.web.control.shared().traffic.lock().series;
    let curves: Vec<(String, Curve)> = match by {
        "region" => {
            let regions = series.regions(span).into_iter();
            regions.map(|(ids, curve)| (ids.iter().map(Id::as_str).collect::<Vec<_>>().join("+"), curve)).collect()
        }
        _ => series.pools(span).into_iter().map(|(pool, curve)| (pool.to_string(), curve)).collect(),
    };
    format.table(
        "queries",
        &["from", by, "queries_per_second"],
        curves.iter().flat_map(|(key, curve)| curve.each().map(move |(at, rate)| json!([at, key, rate]))),
    )
}

/// Queries by pool; `None` without any.
pub fn by_pool(visit: &Visit, states: &PoolStates, span: Span, marks: Vec<Mark>) -> Option<Chart> {
    let (curves, now) = {
        let traffic = visit.web.control.shared().traffic.lock();
        (traffic.series.pools(span), traffic.rate())
    };
    let own = |(pool, curve)| (plain(&pool), states.get(&pool).map_or(1, |shown| shown.colour), curve);
    let title = match span {
        Span::Hour => text("Queries per second by pool, last hour. Now {n} in all."),
        Span::Day => text("Queries per second by pool, last 24 hours. Now {n} in all."),
        Span::Week => text("Queries per second by pool, last 7 days. Now {n} in all."),
    };
    stacked(title.set("n", figure_text(now)), curves.into_iter().map(own).collect(), text("Other pools"), marks)
}

/// Queries of steered names by the regions of the rule that admitted the client; `None` without any.
pub fn by_region(visit: &Visit, model: &Model, span: Span, marks: Vec<Mark>) -> Option<Chart> {
    let (curves, now) = {
        let traffic = visit.web.control.shared().traffic.lock();
        (traffic.series.regions(span), traffic.region_rates().values().sum::<f64>())
    };
    let own =
        |(at, (regions, curve)): (usize, (Vec<_>, Curve))| (regions_word(model, &regions), at % COLOURS + 1, curve);
    let title = match span {
        Span::Hour => text("Queries of steered names per second by region of the client, last hour. Now {n} in all."),
        Span::Day => {
            text("Queries of steered names per second by region of the client, last 24 hours. Now {n} in all.")
        }
        Span::Week => text("Queries of steered names per second by region of the client, last 7 days. Now {n} in all."),
    };
    let curves = curves.into_iter().enumerate().map(own).collect();
    stacked(title.set("n", figure_text(now)), curves, text("Other regions"), marks)
}

fn stacked(title: Text, curves: Vec<(Text, usize, Curve)>, others: Text, marks: Vec<Mark>) -> Option<Chart> {
    let any = curves.first()?.2.clone();
    let chart = Chart::over(&any, "vol", title, text("per second"), Shape::Stacked);
    Some(Chart { lines: Line::busiest(curves, others), marks, ..chart })
}
