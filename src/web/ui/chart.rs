//! Charts over time as SVG with real text: stacked areas or lines, marks for what happened, a legend, and the
//! same numbers as a table. Lengths are percent or in a drawing of their own that stretches, so that text
//! keeps its size. Draws what it is given and decides nothing.

use std::fmt::Write;

use jiff::Timestamp;

use super::filters::{Draw, day_form, figure_text, minute_html, time_html};
use super::state::COLOURS;
use super::text::{Language, Text, escaped, text};
use crate::control::series::Curve;

/// Pixels above the area, of the area, and of the whole drawing.
const TOP: f64 = 16.0;
const AREA: f64 = 150.0;
const HEIGHT: f64 = 188.0;
/// Marks with words; more would cover each other.
const MAX_WORDS: usize = 3;
/// Rows of the table; longer spans are thinned out.
const MAX_ROWS: usize = 24;
/// Lines of the busiest; the rest is one.
const MAX_LINES: usize = 8;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// One thing over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// As in the legend.
    pub name: Text,
    /// 1 to 6, as beside the name elsewhere; 0 for what has none of its own.
    pub colour: usize,
    /// `None` where nothing is known.
    pub points: Vec<Option<f64>>,
}

impl Line {
    pub fn new(name: Text, colour: usize, points: Vec<f64>) -> Line {
        Line { name, colour, points: points.into_iter().map(Some).collect() }
    }

    /// The first of the curves, with their names and colours, as lines of their own, and the rest as one.
    pub fn busiest(mut curves: Vec<(Text, usize, Curve)>, others: Text) -> Vec<Line> {
        let rest = curves.split_off(curves.len().min(MAX_LINES));
        let own = curves.into_iter();
        let mut lines: Vec<Line> = own.map(|(name, colour, curve)| Line::new(name, colour, curve.points)).collect();
        if let Some((_, _, first)) = rest.first() {
            let mut points = vec![0.0; first.points.len()];
            for (_, _, curve) in &rest {
                points.iter_mut().zip(&curve.points).for_each(|(sum, point)| *sum += point);
            }
            lines.push(Line::new(others, 0, points));
        }
        lines
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    pub at_ms: u64,
    pub text: Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// On top of each other, the first at the bottom.
    Stacked,
    Lines,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Unique in the page.
    pub id: &'static str,
    /// Says in a sentence what is to be seen.
    pub title: Text,
    /// `per second`, `ms`.
    pub unit: Text,
    pub shape: Shape,
    pub start_ms: u64,
    pub step_ms: u64,
    /// Why it begins there, where that is later than its title says.
    pub began_ms: Option<u64>,
    pub lines: Vec<Line>,
    pub marks: Vec<Mark>,
}

impl Draw for Chart {
    fn html(&self, language: Language) -> String {
        let mut out = self.drawing(language);
        self.legend(&mut out, language);
        if let Some(at) = self.began_ms.and_then(timestamp) {
            let said = text("Counting began {time}, and the chart with it.").html("time", minute_html(at));
            let _ = write!(out, "<p class=\"hint\">{}</p>", said.to_html(language));
        }
        self.table(&mut out, language);
        out
    }
}

impl Chart {
    /// Over the time of a curve, without lines and marks yet.
    pub fn over(curve: &Curve, id: &'static str, title: Text, unit: Text, shape: Shape) -> Chart {
        let Curve { start_ms, step_ms, began_ms, .. } = *curve;
        Chart { id, title, unit, shape, start_ms, step_ms, began_ms, lines: Vec::new(), marks: Vec::new() }
    }

    fn drawing(&self, language: Language) -> String {
        let Chart { id, title, .. } = self;
        let (top, step) = scale(self.highest());
        let mut out = format!(
            "<svg width=\"100%\" height=\"{HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t\"><title id=\"{id}-t\">{}</title>",
            title.to_html(language)
        );
        let lines = (top / step).round() as usize;
        let y = |value: f64| TOP + AREA * (1.0 - value / top);
        for at in 0..=lines {
            let y = y(step * at as f64);
            let _ = write!(out, "<line class=\"gridl\" x1=\"0\" x2=\"100%\" y1=\"{y:.0}\" y2=\"{y:.0}\"/>");
        }
        self.curves(&mut out, top);
        for at in 1..=lines {
            let value = step * at as f64;
            let unit = if at == lines { format!(" {}", self.unit.to_html(language)) } else { String::new() };
            let y = (y(value) - 4.0).max(10.0);
            // A step below a tenth needs its second digit, or neighbours would read alike.
            let figure = if step < 0.1 { format!("{value:.2}") } else { figure_text(value) };
            let _ = write!(out, "<text class=\"axis halo\" x=\"0\" y=\"{y:.0}\">{figure}{unit}</text>");
        }
        self.times(&mut out, language);
        self.marks(&mut out, language);
        out + "</svg>"
    }

    /// In a drawing of its own whose units are steps and percent of the height.
    fn curves(&self, out: &mut String, top: f64) {
        let width = self.steps().saturating_sub(1).max(1);
        let _ = write!(
            out,
            "<svg class=\"vol\" x=\"0\" y=\"{TOP}\" width=\"100%\" height=\"{AREA}\" viewBox=\"0 0 {width} 100\" preserveAspectRatio=\"none\">"
        );
        let y = |value: f64| 100.0 * (1.0 - value / top);
        let mut base = vec![0.0; self.steps()];
        for (line, dash) in self.lines.iter().zip(self.dashes()) {
            let colour = line.colour;
            if self.shape == Shape::Lines {
                for part in known_parts(&line.points) {
                    let points: Vec<(usize, f64)> = part.into_iter().map(|(at, value)| (at, y(value))).collect();
                    let _ = write!(out, "<polyline class=\"line l{colour}{dash}\" points=\"{}\"/>", pairs(&points));
                }
                continue;
            }
            let over: Vec<f64> =
                base.iter().zip(&line.points).map(|(base, value)| base + value.unwrap_or(0.0)).collect();
            let upper: Vec<(usize, f64)> = over.iter().map(|value| y(*value)).enumerate().collect();
            let lower: Vec<(usize, f64)> = base.iter().map(|value| y(*value)).enumerate().collect();
            let back: Vec<(usize, f64)> = lower.into_iter().rev().collect();
            let (upper, back) = (pairs(&upper), pairs(&back));
            let _ = write!(
                out,
                "<path class=\"f a{colour}\" d=\"M{upper} {back}z\"/><polyline class=\"line l{colour}{dash}\" points=\"{upper}\"/>"
            );
            base = over;
        }
        out.push_str("</svg>");
    }

    /// Lines that share a colour differ in their dashes.
    fn dashes(&self) -> Vec<&'static str> {
        let mut seen = [0; COLOURS + 1];
        let dash = |line: &Line| {
            let used = &mut seen[line.colour.min(COLOURS)];
            *used += 1;
            match *used {
                1 => "",
                2 => " dash",
                _ => " dot",
            }
        };
        self.lines.iter().map(dash).collect()
    }

    fn times(&self, out: &mut String, language: Language) {
        let span_ms = self.span_ms();
        let (every_ms, form) = match span_ms {
            0..=600_000 => (60_000, "%H:%M"),
            600_001..=2_400_000 => (5 * 60_000, "%H:%M"),
            2_400_001..=7_200_000 => (15 * 60_000, "%H:%M"),
            7_200_001..=28_800_000 => (60 * 60_000, "%H:%M"),
            28_800_001..=DAY_MS => (4 * 60 * 60_000, "%H:%M"),
            _ => (DAY_MS, day_form(language)),
        };
        let day_percent = 100.0 * DAY_MS as f64 / span_ms.max(1) as f64;
        let mut at_ms = self.start_ms.div_ceil(every_ms) * every_ms;
        while at_ms < self.start_ms + span_ms {
            let percent = self.percent(at_ms);
            let anchor = match percent {
                p if p < 4.0 => "start",
                p if p > 96.0 => "end",
                _ => "middle",
            };
            let (at, word) = (moment(at_ms, "%FT%TZ"), moment(at_ms, form));
            // Where the script moves a day to the reader's midnight.
            let day = if every_ms == DAY_MS { format!(" data-day=\"{day_percent:.1}\"") } else { String::new() };
            let _ = write!(
                out,
                "<text class=\"axis\" x=\"{percent:.1}%\" y=\"182\" text-anchor=\"{anchor}\" data-at=\"{at}\"{day}>{word}</text>"
            );
            at_ms += every_ms;
        }
    }

    fn marks(&self, out: &mut String, language: Language) {
        let shown = |mark: &&Mark| (self.start_ms..self.start_ms + self.span_ms()).contains(&mark.at_ms);
        let marks: Vec<&Mark> = self.marks.iter().filter(shown).collect();
        let mut last = f64::INFINITY;
        let mut words = 0;
        // The newest first: they get the words.
        for mark in marks.into_iter().rev() {
            let (percent, said) = (self.percent(mark.at_ms), mark.text.to_html(language));
            let (at, time) = (moment(mark.at_ms, "%FT%TZ"), moment(mark.at_ms, "%H:%M"));
            let _ = write!(
                out,
                "<line class=\"mark\" x1=\"{percent:.1}%\" x2=\"{percent:.1}%\" y1=\"4\" y2=\"166\"><title>{time} UTC {said}</title></line>"
            );
            if words < MAX_WORDS && (last - percent > 30.0 || words == 0) {
                let (x, anchor) = if percent > 40.0 { (percent - 0.8, "end") } else { (percent + 0.8, "start") };
                let _ = write!(
                    out,
                    "<text class=\"axis strong halo\" x=\"{x:.1}%\" y=\"12\" text-anchor=\"{anchor}\"><tspan data-at=\"{at}\">{time}</tspan> {said}</text>"
                );
                (last, words) = (percent, words + 1);
            }
        }
    }

    fn legend(&self, out: &mut String, language: Language) {
        if self.lines.len() < 2 {
            return;
        }
        out.push_str("<ul class=\"legend\">");
        for (line, dash) in self.lines.iter().zip(self.dashes()) {
            let (colour, name) = (line.colour, line.name.to_html(language));
            let _ = write!(out, "<li><span class=\"key k{colour}{dash}\"></span>{name}</li>");
        }
        out.push_str("</ul>");
    }

    fn table(&self, out: &mut String, language: Language) {
        let say = |english| text(english).to_html(language);
        let _ = write!(
            out,
            "<details class=\"astable\" id=\"{}-d\"><summary>{}</summary><div class=\"scroll\"><table><caption class=\"sr\">{}</caption><thead><tr><th>{}</th>",
            self.id,
            say("Show as table"),
            self.title.to_html(language),
            say("Time")
        );
        for line in &self.lines {
            let _ = write!(out, "<th class=\"num\">{}</th>", line.name.to_html(language));
        }
        out.push_str("</tr></thead><tbody>");
        let every = self.steps().div_ceil(MAX_ROWS).max(1);
        let form = format!("{} %H:%M", day_form(language));
        for at in (0..self.steps()).step_by(every) {
            let from = timestamp(self.start_ms + at as u64 * self.step_ms).map(|at| time_html(at, &form));
            let _ = write!(out, "<tr><td>{}</td>", from.unwrap_or_default());
            for line in &self.lines {
                let known: Vec<f64> = line.points.iter().skip(at).take(every).flatten().copied().collect();
                let mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
                let _ = write!(out, "<td class=\"num\">{}</td>", mean.map_or("–".into(), figure_text));
            }
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table></div></details>");
    }

    fn steps(&self) -> usize {
        self.lines.iter().map(|line| line.points.len()).max().unwrap_or(0)
    }

    fn span_ms(&self) -> u64 {
        self.step_ms * self.steps() as u64
    }

    fn percent(&self, at_ms: u64) -> f64 {
        100.0 * at_ms.saturating_sub(self.start_ms) as f64 / self.span_ms().max(1) as f64
    }

    fn highest(&self) -> f64 {
        let value = |line: &Line, at: usize| line.points.get(at).copied().flatten().unwrap_or(0.0);
        let values = (0..self.steps()).map(|at| match self.shape {
            Shape::Stacked => self.lines.iter().map(|line| value(line, at)).sum::<f64>(),
            Shape::Lines => self.lines.iter().map(|line| value(line, at)).fold(0.0, f64::max),
        });
        values.fold(0.0, f64::max)
    }
}

/// The top of the axis and the step between its lines: 1, 2 or 5 of a power of ten, two to five lines.
fn scale(highest: f64) -> (f64, f64) {
    let highest = if highest.is_finite() && highest > 0.0 { highest } else { 1.0 };
    let power = 10_f64.powf((highest / 2.0).log10().floor());
    let step =
        [5.0, 2.0, 1.0].into_iter().map(|factor| factor * power).find(|step| highest / step >= 2.0).unwrap_or(power);
    // A little more than the highest, which need not reach a line.
    (((highest * 1.02) / step).ceil() * step, step)
}

/// Runs of points without a gap.
fn known_parts(points: &[Option<f64>]) -> Vec<Vec<(usize, f64)>> {
    let mut parts = vec![Vec::new()];
    for (at, point) in points.iter().enumerate() {
        match (point, parts.last_mut()) {
            (Some(value), Some(part)) => part.push((at, *value)),
            (None, Some(part)) if !part.is_empty() => parts.push(Vec::new()),
            _ => {}
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn pairs(points: &[(usize, f64)]) -> String {
    let mut out = String::with_capacity(points.len() * 8);
    for (x, y) in points {
        let space = if out.is_empty() { "" } else { " " };
        let _ = write!(out, "{space}{x} {y:.1}");
    }
    out
}

fn moment(at_ms: u64, form: &str) -> String {
    timestamp(at_ms).map_or(String::new(), |at| escaped(&at.strftime(form).to_string()).into_owned())
}

fn timestamp(at_ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(at_ms).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::text::plain;
    use super::*;

    fn chart(shape: Shape, lines: Vec<Vec<Option<f64>>>) -> Chart {
        let lines = lines.into_iter().map(|points| Line { name: plain("<eu>"), colour: 1, points }).collect();
        Chart {
            id: "c",
            title: text("Queries"),
            unit: text("per second"),
            shape,
            start_ms: 1_700_000_100_000,
            step_ms: 60_000,
            began_ms: None,
            lines,
            marks: Vec::new(),
        }
    }

    #[test]
    fn what_has_no_line_of_its_own_is_summed_up() {
        let curve = |height: f64| Curve { start_ms: 0, step_ms: 1, points: vec![height, 1.0], began_ms: None };
        let curves = (0..10).map(|n| (plain(n), 1, curve(f64::from(n)))).collect();
        let lines = Line::busiest(curves, text("Other pools"));
        let last = &lines[MAX_LINES];
        assert_eq!((lines.len(), last.name.to_html(Language::English)), (MAX_LINES + 1, "Other pools".into()));
        assert_eq!((last.colour, &last.points), (0, &vec![Some(17.0), Some(2.0)]));
        assert!(Line::busiest(Vec::new(), text("Other pools")).is_empty());
    }

    #[test]
    fn a_young_chart_says_since_when_there_is_anything() {
        let curve = Curve {
            start_ms: 1_700_000_040_000,
            step_ms: 60_000,
            points: vec![1.0; 8],
            began_ms: Some(1_700_000_040_000),
        };
        let chart = Chart::over(&curve, "c", text("Queries"), text("per second"), Shape::Stacked);
        let html =
            Chart { lines: Line::busiest(vec![(plain("eu"), 1, curve)], plain("")), ..chart }.html(Language::English);
        assert!(
            html.contains("Counting began <time ") && html.contains(">2023-11-14 22:14</time>, and the chart with it.")
        );
        assert_eq!(html.matches("class=\"axis\"").count(), 8, "a time for every minute: {html}");
    }

    #[test]
    fn areas_stand_on_each_other() {
        let one = vec![Some(0.0), Some(5.0)];
        let html = chart(Shape::Stacked, vec![one.clone(), one]).html(Language::English);
        assert!(html.contains("d=\"M0 100.0 1 66.7 1 100.0 0 100.0z\""), "{html}");
        assert!(html.contains("d=\"M0 100.0 1 33.3 1 66.7 0 100.0z\""), "{html}");
        assert!(html.contains("line l1 dash"), "a colour that is used twice is dashed");
        assert!(!html.contains("<eu>") && html.contains("&lt;eu&gt;"));
    }

    #[test]
    fn a_line_breaks_where_nothing_is_known() {
        let html = chart(Shape::Lines, vec![vec![Some(1.0), None, Some(2.0), Some(2.0)]]).html(Language::English);
        assert_eq!(html.matches("<polyline").count(), 2);
        assert!(html.contains("points=\"2 "), "{html}");
        assert!(html.contains("<td class=\"num\">–</td>"));
    }

    #[test]
    fn axes_end_at_round_numbers_above_the_highest() {
        let cases =
            [(0.0, 1.5, 0.5), (0.3, 0.4, 0.1), (7.0, 8.0, 2.0), (18_400.0, 20_000.0, 5_000.0), (100.0, 150.0, 50.0)];
        for (highest, top, step) in cases {
            let (found_top, found_step) = scale(highest);
            assert!(
                (found_top - top).abs() < 1e-9 && (found_step - step).abs() < 1e-9,
                "{highest}: {found_top} {found_step}"
            );
        }
    }

    #[test]
    fn a_mark_outside_of_the_span_is_not_drawn() {
        let mark = |at_ms| Mark { at_ms, text: text("down") };
        let mut chart = chart(Shape::Lines, vec![vec![Some(1.0); 60]]);
        chart.marks = vec![mark(1), mark(1_700_001_000_000), mark(1_800_000_000_000)];
        let html = chart.html(Language::English);
        assert_eq!(
            (html.matches("class=\"mark\"").count(), html.matches(">22:30</tspan> down</text>").count()),
            (1, 1),
            "{html}"
        );
    }
}
