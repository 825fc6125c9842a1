//! The time that checks of a pool took, over two hours: one line for each endpoint, and a table for those who
//! want the numbers.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;

use super::super::filters::figure_text;
use super::super::state::COLOURS;
use super::super::visit::Visit;
use super::Scene;
use crate::control::outcomes::MINUTES;
use crate::model::{Endpoint, Id};

/// Lines that can be told apart; the files have every endpoint.
const LINES: usize = COLOURS;
/// The height of the drawing's inside.
const HEIGHT: f64 = 100.0;

pub struct Chart {
    pub lines: Vec<Line>,
    /// The largest time of the axis, and its half.
    pub top: String,
    pub middle: String,
    pub from: Timestamp,
    pub half: Timestamp,
    pub to: Timestamp,
    /// Minutes of the axis: two hours, or since the first check.
    pub span: u64,
    /// Every ten minutes: the time and a mean for each line.
    pub table: Vec<(Timestamp, Vec<String>)>,
    /// Lines that are not drawn.
    pub more: usize,
}

pub struct Line {
    pub endpoint: String,
    /// 1 to 5.
    pub colour: usize,
    pub dash: &'static str,
    /// One for each stretch without a gap.
    pub points: Vec<String>,
    pub mean: String,
}

impl Chart {
    pub fn of(visit: &Visit, scene: &Scene) -> Chart {
        draw(&series(visit, scene), visit.now.as_second().unsigned_abs() / 60)
    }

    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| line.points.is_empty())
    }
}

/// Of each endpoint the mean time of each minute that is known, by minutes since 1970.
pub fn series(visit: &Visit, scene: &Scene) -> Vec<(String, BTreeMap<u64, f64>)> {
    let ids: Vec<&Id<Endpoint>> = scene.pool.members.iter().map(|member| &member.endpoint).collect();
    visit.web.control.shared().outcomes.read(|all| {
        let of = |id: &&Id<Endpoint>| {
            let mut minutes: BTreeMap<u64, (f64, u32)> = BTreeMap::new();
            for minute in all.get(*id).into_iter().flatten().flat_map(|(_, _, ring)| ring.minutes()) {
                if let Some(ms) = minute.mean_ms() {
                    let entry = minutes.entry(u64::from(minute.minute)).or_default();
                    *entry = (entry.0 + ms, entry.1 + 1);
                }
            }
            minutes.into_iter().map(|(minute, (sum, count))| (minute, sum / f64::from(count))).collect()
        };
        ids.iter().map(|id| (id.to_string(), of(id))).collect::<Vec<(String, BTreeMap<u64, f64>)>>()
    })
}

fn draw(series: &[(String, BTreeMap<u64, f64>)], now_minute: u64) -> Chart {
    let whole = now_minute.saturating_sub(MINUTES);
    let drawn = &series[..series.len().min(LINES)];
    // The axis begins with the first check, where that is later: by whole tens, as the table goes.
    let known = drawn.iter().filter_map(|(_, minutes)| minutes.range(whole..).next().map(|(minute, _)| *minute)).min();
    let span = known.map_or(MINUTES, |known| (now_minute - known).div_ceil(10).max(1) * 10).min(MINUTES);
    let first = now_minute.saturating_sub(span);
    let largest = drawn.iter().flat_map(|(_, minutes)| minutes.range(first..).map(|(_, ms)| *ms)).fold(0.0, f64::max);
    let top = round_up(largest);
    let clock = |minute: u64| Timestamp::from_second((minute * 60) as i64).unwrap_or_default();
    let dashes = ["", "dash", "dot"];
    let lines = drawn.iter().enumerate().map(|(at, (endpoint, minutes))| {
        let recent: Vec<(u64, f64)> = minutes.range(first..).map(|(minute, ms)| (*minute, *ms)).collect();
        let mean = recent.iter().map(|(_, ms)| ms).sum::<f64>() / recent.len().max(1) as f64;
        Line {
            endpoint: endpoint.clone(),
            colour: at % COLOURS + 1,
            dash: dashes[at % dashes.len()],
            points: stretches(&recent, first, top),
            mean: if recent.is_empty() { "–".into() } else { figure_text(mean) },
        }
    });
    let tens = (0..span / 10).map(|ten| {
        let from = first + ten * 10;
        let cell = |minutes: &BTreeMap<u64, f64>| {
            let times: Vec<f64> = minutes.range(from..from + 10).map(|(_, ms)| *ms).collect();
            if times.is_empty() { "–".into() } else { figure_text(times.iter().sum::<f64>() / times.len() as f64) }
        };
        (clock(from), drawn.iter().map(|(_, minutes)| cell(minutes)).collect())
    });
    Chart {
        lines: lines.collect(),
        top: figure_text(top),
        middle: figure_text(top / 2.0),
        from: clock(first),
        half: clock(first + span / 2),
        to: clock(now_minute),
        span,
        table: tens.collect(),
        more: series.len() - drawn.len(),
    }
}

/// Points of each stretch of minutes that follow one another; a lone minute is a short dash.
fn stretches(recent: &[(u64, f64)], first: u64, top: f64) -> Vec<String> {
    let mut stretches: Vec<String> = Vec::new();
    let mut before = None;
    for (minute, ms) in recent {
        let (x, y) = (minute - first, HEIGHT * (1.0 - ms / top));
        match (stretches.last_mut(), before) {
            (Some(stretch), Some(before)) if before + 1 == *minute => {
                let _ = write!(stretch, " {x},{y:.1}");
            }
            _ => stretches.push(format!("{x},{y:.1} {:.1},{y:.1}", x as f64 + 0.6)),
        }
        before = Some(*minute);
    }
    stretches
}

/// The next of 1, 2, 5, 10, 20, 50 and so on.
fn round_up(largest: f64) -> f64 {
    let mut top = 1.0;
    for step in [2.0, 2.5, 2.0].iter().cycle().take(18) {
        if top >= largest {
            break;
        }
        top *= step;
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_ends_a_line_and_the_axis_is_round() {
        let series = [("a".to_owned(), BTreeMap::from([(900, 1.0), (1000, 10.0), (1001, 20.0), (1005, 40.0)]))];
        let chart = draw(&series, 1010);
        assert_eq!(chart.lines[0].points.len(), 3);
        assert_eq!(chart.lines[0].points[1], "100,80.0 100.6,80.0 101,60.0");
        assert_eq!((chart.top.as_str(), chart.middle.as_str()), ("50", "25"));
        assert_eq!(chart.table[10].1, ["23"]);
        assert!(!chart.is_empty());
        let young = draw(&[("a".to_owned(), BTreeMap::from([(997, 10.0), (1001, 20.0)]))], 1010);
        assert_eq!((young.span, young.table.len(), young.lines[0].points[0].as_str()), (20, 2, "7,50.0 7.6,50.0"));
        assert_eq!([0.4, 3.0, 12.0, 21.0, 180.0].map(round_up), [1.0, 5.0, 20.0, 50.0, 200.0]);
    }
}
