//! Queries over time by who answers them, or by where the clients are. Draws what was counted.

use super::super::chart::{Chart, Line, Mark, Shape};
use super::super::filters::figure_text;
use super::super::regions::regions_word;
use super::super::state::{COLOURS, PoolStates};
use super::super::text::{Text, plain, text};
use super::super::visit::Visit;
use crate::control::series::{Curve, Span};
use crate::model::Model;

/// Pools or regions with a line of their own.
const MAX_LINES: usize = 8;

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
    let lines = lines(curves.into_iter().map(own).collect(), text("Other pools"));
    stacked(title.set("n", figure_text(now)), lines, marks)
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
    let lines = lines(curves.into_iter().enumerate().map(own).collect(), text("Other regions"));
    stacked(title.set("n", figure_text(now)), lines, marks)
}

/// The first of the curves as lines of their own, the rest as one. Beside the lines, any of the curves.
fn lines(mut curves: Vec<(Text, usize, Curve)>, others: Text) -> Option<(Vec<Line>, Curve)> {
    let first = curves.first()?.2.clone();
    let rest = curves.split_off(curves.len().min(MAX_LINES));
    let own = curves.into_iter();
    let mut lines: Vec<Line> = own.map(|(name, colour, curve)| Line::new(name, colour, curve.points)).collect();
    if !rest.is_empty() {
        let mut points = vec![0.0; first.points.len()];
        for (_, _, curve) in &rest {
            points.iter_mut().zip(&curve.points).for_each(|(sum, point)| *sum += point);
        }
        lines.push(Line::new(others, 0, points));
    }
    Some((lines, first))
}

fn stacked(title: Text, lines: Option<(Vec<Line>, Curve)>, marks: Vec<Mark>) -> Option<Chart> {
    let (lines, any) = lines?;
    Some(Chart {
        id: "vol",
        title,
        unit: text("per second"),
        shape: Shape::Stacked,
        start_ms: any.start_ms,
        step_ms: any.step_ms,
        lines,
        marks,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::text::Language;
    use super::*;

    #[test]
    fn what_has_no_line_of_its_own_is_summed_up() {
        let curve = |height: f64| Curve { start_ms: 0, step_ms: 1, points: vec![height, 1.0] };
        let curves = (0..10).map(|n| (plain(n), 1, curve(f64::from(n)))).collect();
        let (lines, any) = lines(curves, text("Other pools")).unwrap();
        assert_eq!((lines.len(), any.points), (MAX_LINES + 1, vec![0.0, 1.0]));
        let last = &lines[MAX_LINES];
        assert_eq!(last.name.to_html(Language::English), "Other pools");
        assert_eq!((last.colour, &last.points), (0, &vec![Some(17.0), Some(2.0)]));
        assert!(super::lines(Vec::new(), text("Other pools")).is_none());
    }
}
