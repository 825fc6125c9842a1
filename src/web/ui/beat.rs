//! Check bars: the last checks of an endpoint, or the last hour of a pool. Height carries the result beside
//! colour, and a sentence says it. One path for each kind of result, so that a page of fifty stays small.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::control::outcomes::{Outcomes, Ring, Rings};
use crate::health::Family;
use crate::model::{Endpoint, Id, Model, Monitor, Pool, Role};

use super::text::{Language, Text, text};

/// Marks of one bar.
pub const MARKS: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Passed,
    /// Passed but slow; of a pool, some checks failed.
    Worse,
    Failed,
    Nothing,
}

/// A bar, the newest mark last.
#[derive(Debug, Clone, PartialEq)]
pub struct Beat {
    pub marks: Vec<Mark>,
    /// The bar in words.
    pub label: Text,
}

impl Beat {
    fn count(&self, mark: Mark) -> usize {
        self.marks.iter().filter(|known| **known == mark).count()
    }

    /// As an SVG of 6 units for each mark.
    pub fn to_html(&self, language: Language) -> String {
        let label = self.label.to_html(language).replace("<b>", "").replace("</b>", "");
        let width = 6 * self.marks.len();
        let mut svg = format!(
            "<svg class=\"beat\" viewBox=\"0 0 {width} 22\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{label}\">"
        );
        let kinds = [
            (Mark::Passed, 'o', 7, 8),
            (Mark::Worse, 'w', 4, 14),
            (Mark::Failed, 'f', 0, 22),
            (Mark::Nothing, 'n', 10, 2),
        ];
        for (mark, class, top, height) in kinds {
            if self.count(mark) == 0 {
                continue;
            }
            let _ = write!(svg, "<path class=\"{class}\" d=\"");
            for (at, _) in self.marks.iter().enumerate().filter(|(_, known)| **known == mark) {
                let _ = write!(svg, "M{} {top}h4v{height}h-4z", 1 + 6 * at);
            }
            svg.push_str("\"/>");
        }
        svg + "</svg>"
    }
}

/// The last checks of an endpoint, by every monitor that decides.
pub fn of_endpoint(outcomes: &Outcomes, model: &Model, pool: &Pool, id: &Id<Endpoint>) -> Beat {
    let mut checks = outcomes.of(id, |rings| last_checks(model, pool, id, rings));
    // Newest first, as each ring is; a stable sort keeps it so.
    checks.sort_by_key(|(at_ms, _)| std::cmp::Reverse(*at_ms));
    checks.truncate(MARKS);
    let mut marks: Vec<Mark> = checks.into_iter().map(|(_, mark)| mark).collect();
    marks.resize(MARKS, Mark::Nothing);
    marks.reverse();
    let mut beat = Beat { marks, label: text("") };
    let (slow, failed, nothing) = (beat.count(Mark::Worse), beat.count(Mark::Failed), beat.count(Mark::Nothing));
    let seen = MARKS - nothing;
    beat.label = match (slow, failed) {
        _ if seen == 0 => text("{what}: not checked yet"),
        (0, _) => text("{what}: {passed} of {seen} checks passed"),
        _ => text("{what}: {passed} of {seen} checks passed, {slow} of them slowly"),
    }
    .set("what", id)
    .set("passed", seen - failed)
    .set("seen", seen)
    .set("slow", slow);
    beat
}

fn last_checks(
    model: &Model,
    pool: &Pool,
    id: &Id<Endpoint>,
    rings: &[(Id<Monitor>, Family, Ring)],
) -> Vec<(u64, Mark)> {
    let mut checks = Vec::new();
    for (monitor, _, ring) in rings.iter().filter(|(monitor, ..)| decides(model, pool, id, monitor)) {
        let limit = model.monitors.get(monitor).map_or(f64::INFINITY, |monitor| slow_ms(monitor));
        checks.extend(ring.marks().take(MARKS).map(|(at_ms, passed, took)| match (passed, took) {
            (false, _) => (at_ms, Mark::Failed),
            (true, Some(ms)) if ms > limit => (at_ms, Mark::Worse),
            (true, _) => (at_ms, Mark::Passed),
        }));
    }
    checks
}

/// A check that passes is slow when it takes more than half of the time that it may take, in milliseconds.
pub fn slow_ms(monitor: &Monitor) -> f64 {
    let most = monitor.max_latency_ms.map_or(f64::INFINITY, f64::from);
    most.min(monitor.timeout * 1000.0) / 2.0
}

/// True unless the monitor only reports.
pub fn decides(model: &Model, pool: &Pool, endpoint: &Id<Endpoint>, monitor: &Id<Monitor>) -> bool {
    let own = model.endpoints.get(endpoint).map_or(&[][..], |endpoint| &endpoint.monitors);
    let uses = if own.is_empty() { &pool.monitors } else { own };
    uses.iter().find(|used| used.monitor == *monitor).is_none_or(|used| used.role != Role::Watch)
}

/// The last hour of pools by the minute: failing when nobody in it passed a check, worse when somebody failed
/// one. One lock for all.
pub fn of_pools<'m>(
    outcomes: &Outcomes,
    model: &Model,
    pools: impl IntoIterator<Item = (&'m Id<Pool>, &'m Pool)>,
    now_ms: u64,
) -> Vec<Beat> {
    let bar = |all: &BTreeMap<Id<Endpoint>, Rings>, id: &Id<Pool>, pool: &Pool| {
        let mut hour = [Hour::default(); MARKS];
        let newest = now_ms / 60_000;
        for member in pool.members.iter().filter(|member| member.enabled && member.weight > 0) {
            let rings = all.get(&member.endpoint).map_or(&[][..], Vec::as_slice);
            for (_, _, ring) in rings.iter().filter(|known| decides(model, pool, &member.endpoint, &known.0)) {
                for minute in ring.minutes() {
                    let age = newest.saturating_sub(u64::from(minute.minute)) as usize;
                    if let Some(at) = (MARKS - 1).checked_sub(age) {
                        hour[at].passed |= minute.passed > 0;
                        hour[at].failed |= minute.failed > 0;
                    }
                }
            }
        }
        pool_beat(id, &hour)
    };
    outcomes.read(|all| pools.into_iter().map(|(id, pool)| bar(all, id, pool)).collect())
}

/// What was seen in one minute.
#[derive(Debug, Clone, Copy, Default)]
struct Hour {
    passed: bool,
    failed: bool,
}

fn pool_beat(id: &Id<Pool>, hour: &[Hour]) -> Beat {
    let mark = |minute: &Hour| match (minute.passed, minute.failed) {
        (false, false) => Mark::Nothing,
        (true, false) => Mark::Passed,
        (true, true) => Mark::Worse,
        (false, true) => Mark::Failed,
    };
    let mut beat = Beat { marks: hour.iter().map(mark).collect(), label: text("") };
    let label = match (beat.count(Mark::Nothing), beat.count(Mark::Worse) + beat.count(Mark::Failed)) {
        (MARKS, _) => text("{pool}, last 60 minutes: no checks"),
        (_, 0) => text("{pool}, last 60 minutes: every check passed"),
        _ => text("{pool}, last 60 minutes: {worse} with some failures, {failed} with nothing but failures"),
    };
    let (worse, failed) = (beat.count(Mark::Worse), beat.count(Mark::Failed));
    beat.label = label.set("pool", id).set("worse", worse).set("failed", failed);
    beat
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Latency, Outcome, Said, Target};
    use crate::model::{Edit, Kind};
    use serde_json::json;

    fn model() -> Model {
        let edits = [
            (Kind::Monitors, "web", json!({ "type": "http", "timeout": 1 })),
            (Kind::Monitors, "note", json!({ "type": "http" })),
            (Kind::Endpoints, "e", json!({ "ipv4": "192.0.2.1" })),
            (
                Kind::Pools,
                "p",
                json!({ "members": [{ "endpoint": "e" }],
                        "monitors": [{ "monitor": "web" }, { "monitor": "note", "role": "watch" }] }),
            ),
        ];
        let edits = edits.map(|(kind, id, value)| Edit { kind, id: id.into(), value: Some(value) });
        Model::empty().check(&edits).unwrap().model
    }

    fn push(outcomes: &Outcomes, monitor: &str, at_ms: u64, took_ms: f64, passed: bool) {
        let target = Target { monitor: monitor.parse().unwrap(), endpoint: "e".parse().unwrap(), family: Family::Ipv4 };
        let latency = Latency { total_ms: Some(took_ms), ..Latency::default() };
        let outcome =
            Outcome { at_ms, result: Ok(()), latency, certificate_ends: None, next_probe_ms: 0, said: Said::default() };
        outcomes.push(&target, &outcome, &if passed { Ok(()) } else { Err("no".into()) });
    }

    fn pool(model: &Model) -> (&Id<Pool>, &Pool) {
        let (id, pool) = model.pools.iter().next().unwrap();
        (id, pool)
    }

    #[test]
    fn the_last_checks_are_drawn_newest_right_and_said() {
        let (model, outcomes) = (model(), Outcomes::default());
        let beat = || of_endpoint(&outcomes, &model, pool(&model).1, &"e".parse().unwrap());
        assert_eq!(beat().label.to_html(Language::English), "e: not checked yet");
        push(&outcomes, "web", 1000, 12.0, true);
        push(&outcomes, "web", 2000, 600.0, true);
        push(&outcomes, "web", 3000, 12.0, false);
        push(&outcomes, "note", 4000, 12.0, false);
        let beat = beat();
        assert_eq!(beat.marks[57..], [Mark::Passed, Mark::Worse, Mark::Failed]);
        assert_eq!(beat.label.to_html(Language::English), "e: 2 of 3 checks passed, 1 of them slowly");
        let svg = beat.to_html(Language::English);
        assert!(svg.contains("<path class=\"f\" d=\"M355 0h4v22h-4z\"/>"), "{svg}");
        assert!(svg.contains("viewBox=\"0 0 360 22\""));
    }

    #[test]
    fn an_hour_of_a_pool_shows_its_worst_minutes() {
        let (model, outcomes) = (model(), Outcomes::default());
        let minute = 60_000;
        for (at, passed) in [(0, true), (1, true), (1, false), (2, false)] {
            push(&outcomes, "web", at * minute + 1, 1.0, passed);
        }
        let beats = of_pools(&outcomes, &model, [pool(&model)], 3 * minute);
        assert_eq!(beats[0].marks[56..], [Mark::Passed, Mark::Worse, Mark::Failed, Mark::Nothing]);
        let said = beats[0].label.to_html(Language::English);
        assert_eq!(said, "p, last 60 minutes: 1 with some failures, 1 with nothing but failures");
    }
}
