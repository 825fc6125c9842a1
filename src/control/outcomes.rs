//! What checks found lately, for people to read: the last outcomes of every target, and two hours by the
//! minute. Decides nothing, and is empty after a start. Compact: 5,000 targets take about 40 MB, and 60 where all fail.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::health::{Family, Latency, Outcome, Target};
use crate::model::{Endpoint, Id, Monitor};

/// Outcomes kept of one target: half an hour at an interval of ten seconds.
pub const KEPT: usize = 200;
/// Minutes kept of one target.
pub const MINUTES: u64 = 120;
/// Different reasons kept of one target; most endpoints fail for one or two.
const MAX_REASONS: usize = 32;
/// Different bodies kept of one target: what it says when it fails hardly changes, and each is a kilobyte.
const MAX_EXCERPTS: usize = 4;
/// The longest reason, in bytes.
const MAX_REASON: usize = 200;

/// One outcome as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub at_ms: u64,
    /// Empty when it passed.
    pub reason: Arc<str>,
    pub passed: bool,
    pub latency: Latency,
    /// Of HTTP.
    pub status: Option<u16>,
    pub excerpt: Option<Arc<str>>,
}

/// The outcomes of one minute.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Minute {
    /// Since the Unix epoch.
    pub minute: u32,
    pub passed: u16,
    pub failed: u16,
    /// Of the passed ones together.
    took_ms: f32,
}

impl Minute {
    /// The mean time of the checks that passed.
    pub fn mean_ms(&self) -> Option<f64> {
        (self.passed > 0).then(|| f64::from(self.took_ms) / f64::from(self.passed))
    }
}

/// The recent past of one target.
#[derive(Debug, Clone, Default)]
pub struct Ring {
    outcomes: VecDeque<Packed>,
    minutes: VecDeque<Minute>,
    reasons: Texts<MAX_REASONS>,
    excerpts: Texts<MAX_EXCERPTS>,
    pub next_ms: u64,
}

/// The different texts that outcomes have in common, each kept once under its number.
#[derive(Debug, Clone, Default)]
struct Texts<const MOST: usize> {
    kept: Vec<Arc<str>>,
    /// Where the next new one goes once there is no room.
    oldest: usize,
}

impl<const MOST: usize> Texts<MOST> {
    /// The number of a text; and whether another had it until now, which is forgotten.
    fn number(&mut self, text: &Arc<str>) -> (u8, bool) {
        if let Some(known) = self.kept.iter().position(|known| known == text) {
            return (known as u8, false);
        }
        if self.kept.len() < MOST {
            self.kept.push(text.clone());
            return (self.kept.len() as u8 - 1, false);
        }
        let number = self.oldest;
        self.oldest = (self.oldest + 1) % MOST;
        self.kept[number] = text.clone();
        (number as u8, true)
    }

    fn get(&self, number: u8) -> Option<&Arc<str>> {
        self.kept.get(usize::from(number))
    }
}

/// 32 bytes; times that are absent are NaN.
#[derive(Debug, Clone, Copy)]
struct Packed {
    at_ms: u64,
    connect_ms: f32,
    tls_ms: f32,
    first_byte_ms: f32,
    total_ms: f32,
    /// 0 for none.
    status: u16,
    result: Counted,
    /// The number of the body.
    excerpt: Option<u8>,
}

/// Passed, or failed for the reason with this number, or for one that is no longer known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Passed,
    Failed(u8),
    Forgotten,
}

impl Ring {
    /// Takes an outcome in; `result` is what it counts as.
    pub fn push(&mut self, outcome: &Outcome, result: &Result<(), String>) {
        let counted = match result {
            Ok(()) => Counted::Passed,
            Err(reason) => Counted::Failed(self.reason(reason)),
        };
        let excerpt = outcome.said.excerpt.as_ref().map(|excerpt| self.excerpt(excerpt));
        let Latency { connect_ms, tls_ms, first_byte_ms, total_ms } = outcome.latency;
        let packed = |ms: Option<f64>| ms.map_or(f32::NAN, |ms| ms as f32);
        push_within(
            &mut self.outcomes,
            KEPT,
            Packed {
                at_ms: outcome.at_ms,
                connect_ms: packed(connect_ms),
                tls_ms: packed(tls_ms),
                first_byte_ms: packed(first_byte_ms),
                total_ms: packed(total_ms),
                status: outcome.said.status.unwrap_or(0),
                result: counted,
                excerpt,
            },
        );
        self.count(outcome.at_ms, total_ms, result.is_ok());
        self.next_ms = outcome.next_probe_ms;
    }

    fn count(&mut self, at_ms: u64, total_ms: Option<f64>, passed: bool) {
        let minute = (at_ms / 60_000) as u32;
        if self.minutes.back().is_none_or(|last| last.minute < minute) {
            push_within(&mut self.minutes, MINUTES as usize, Minute { minute, ..Minute::default() });
        }
        // A clock that was set back counts into the newest minute.
        let Some(last) = self.minutes.back_mut() else { return };
        if passed {
            last.passed = last.passed.saturating_add(1);
            last.took_ms += total_ms.unwrap_or_default() as f32;
        } else {
            last.failed = last.failed.saturating_add(1);
        }
    }

    /// The number of a reason. Where there is no room, the oldest is forgotten.
    fn reason(&mut self, reason: &str) -> u8 {
        let end = (0..=MAX_REASON.min(reason.len())).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
        let (number, took_over) = self.reasons.number(&reason[..end].into());
        if took_over {
            let stale = self.outcomes.iter_mut().filter(|outcome| outcome.result == Counted::Failed(number));
            stale.for_each(|outcome| outcome.result = Counted::Forgotten);
        }
        number
    }

    /// The number of a body, likewise.
    fn excerpt(&mut self, excerpt: &Arc<str>) -> u8 {
        let (number, took_over) = self.excerpts.number(excerpt);
        if took_over {
            let stale = self.outcomes.iter_mut().filter(|outcome| outcome.excerpt == Some(number));
            stale.for_each(|outcome| outcome.excerpt = None);
        }
        number
    }

    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// The outcomes, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = Seen> + '_ {
        self.outcomes.iter().rev().map(|packed| self.seen(packed))
    }

    /// Time, result and length of the newest outcomes, the newest first: enough for a bar.
    pub fn marks(&self) -> impl Iterator<Item = (u64, bool, Option<f64>)> + '_ {
        let known = |ms: f32| (!ms.is_nan()).then(|| f64::from(ms));
        self.outcomes
            .iter()
            .rev()
            .map(move |packed| (packed.at_ms, packed.result == Counted::Passed, known(packed.total_ms)))
    }

    /// The minutes in which something was found, the oldest first.
    pub fn minutes(&self) -> impl Iterator<Item = &Minute> {
        self.minutes.iter()
    }

    fn seen(&self, packed: &Packed) -> Seen {
        let known = |ms: f32| (!ms.is_nan()).then(|| f64::from(ms));
        let reason = match packed.result {
            Counted::Passed => "".into(),
            Counted::Failed(number) => self.reasons.get(number).cloned().unwrap_or_else(|| "".into()),
            Counted::Forgotten => "one of many reasons, which is no longer kept".into(),
        };
        Seen {
            at_ms: packed.at_ms,
            reason,
            passed: packed.result == Counted::Passed,
            latency: Latency {
                connect_ms: known(packed.connect_ms),
                tls_ms: known(packed.tls_ms),
                first_byte_ms: known(packed.first_byte_ms),
                total_ms: known(packed.total_ms),
            },
            status: (packed.status != 0).then_some(packed.status),
            excerpt: packed.excerpt.and_then(|number| self.excerpts.get(number)).cloned(),
        }
    }

    /// The bytes that it takes, but for texts that others share.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        let texts = self.reasons.kept.iter().chain(&self.excerpts.kept);
        size_of::<Ring>()
            + self.outcomes.capacity() * size_of::<Packed>()
            + self.minutes.capacity() * size_of::<Minute>()
            + (self.reasons.kept.capacity() + self.excerpts.kept.capacity()) * size_of::<Arc<str>>()
            + texts.map(|text| text.len() + 16).sum::<usize>()
    }
}

/// Adds at the end and drops what is too much at the front. Takes room for `most` and never for more.
fn push_within<T>(queue: &mut VecDeque<T>, most: usize, item: T) {
    if queue.len() >= most {
        queue.pop_front();
    } else if queue.len() == queue.capacity() {
        queue.reserve_exact(queue.len().max(4).min(most - queue.len()));
    }
    queue.push_back(item);
}

/// The targets of one endpoint.
pub type Rings = Vec<(Id<Monitor>, Family, Ring)>;

/// Every target's, by endpoint. Locked for as long as it takes to add one outcome or to read what a page shows.
#[derive(Debug, Default)]
pub struct Outcomes(Mutex<BTreeMap<Id<Endpoint>, Rings>>);

impl Outcomes {
    /// Called by the writer for every outcome that counts.
    pub fn push(&self, target: &Target, outcome: &Outcome, result: &Result<(), String>) {
        let mut all = self.0.lock();
        let rings = all.entry(target.endpoint.clone()).or_default();
        let at = rings.iter().position(|(monitor, family, _)| (monitor, family) == (&target.monitor, &target.family));
        let at = at.unwrap_or_else(|| {
            rings.push((target.monitor.clone(), target.family, Ring::default()));
            rings.len() - 1
        });
        rings[at].2.push(outcome, result);
    }

    /// Forgets what is no longer watched.
    pub fn retain(&self, is_watched: impl Fn(&Target) -> bool) {
        let mut all = self.0.lock();
        all.retain(|endpoint, rings| {
            rings.retain(|(monitor, family, _)| {
                is_watched(&Target { monitor: monitor.clone(), endpoint: endpoint.clone(), family: *family })
            });
            !rings.is_empty()
        });
    }

    /// Reads what is known of one endpoint. `read` must be quick: outcomes wait for it.
    pub fn of<R>(&self, endpoint: &Id<Endpoint>, read: impl FnOnce(&[(Id<Monitor>, Family, Ring)]) -> R) -> R {
        read(self.0.lock().get(endpoint).map_or(&[], Vec::as_slice))
    }

    /// Reads what is known of many endpoints under one lock.
    pub fn read<R>(&self, read: impl FnOnce(&BTreeMap<Id<Endpoint>, Rings>) -> R) -> R {
        read(&self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Said;

    fn outcome(at_ms: u64, excerpt: Option<&str>) -> Outcome {
        Outcome {
            at_ms,
            result: Ok(()),
            latency: Latency { total_ms: Some(12.0), ..Latency::default() },
            certificate_ends: None,
            next_probe_ms: at_ms + 10_000,
            said: Said { status: Some(200), excerpt: excerpt.map(Into::into) },
        }
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_make_room() {
        let mut ring = Ring::default();
        for n in 0..250 {
            ring.push(&outcome(n * 10_000, None), &if n % 10 == 0 { Err("HTTP 503".into()) } else { Ok(()) });
        }
        let seen: Vec<Seen> = ring.newest().collect();
        assert_eq!((seen.len(), seen[0].at_ms, seen[199].at_ms), (KEPT, 2_490_000, 500_000));
        assert_eq!((seen[0].passed, seen[9].passed, &*seen[9].reason), (true, false, "HTTP 503"));
        assert_eq!((seen[0].status, seen[0].latency.total_ms), (Some(200), Some(12.0)));
        assert_eq!(ring.next_ms, 2_500_000);
    }

    #[test]
    fn minutes_add_up_and_cover_two_hours() {
        let mut ring = Ring::default();
        for n in 0..6 * 180 {
            ring.push(&outcome(n * 10_000, None), &if n % 6 == 0 { Err("no".into()) } else { Ok(()) });
        }
        let minutes: Vec<&Minute> = ring.minutes().collect();
        assert_eq!((minutes.len(), minutes[0].minute, minutes[119].minute), (120, 60, 179));
        assert_eq!((minutes[0].passed, minutes[0].failed, minutes[0].mean_ms()), (5, 1, Some(12.0)));
    }

    #[test]
    fn a_reason_that_was_forgotten_is_not_told_for_another() {
        let mut ring = Ring::default();
        for n in 0..MAX_REASONS as u64 + 1 {
            ring.push(&outcome(n, None), &Err(format!("answered in {n} ms")));
        }
        let reasons: Vec<String> = ring.newest().map(|seen| seen.reason.to_string()).collect();
        assert_eq!(reasons[0], "answered in 32 ms");
        assert_eq!(reasons[MAX_REASONS - 1], "answered in 1 ms");
        assert_eq!(reasons[MAX_REASONS], "one of many reasons, which is no longer kept");
    }

    #[test]
    fn every_failure_has_its_body_until_too_many_differ() {
        let mut ring = Ring::default();
        let mut push = |n: u64, body: Option<&str>| ring.push(&outcome(n, body), &Err("HTTP 503".into()));
        (0..100).for_each(|n| push(n, Some(["overloaded", "starting"][n as usize % 2])));
        push(100, None);
        let bodies: Vec<_> = ring.newest().map(|seen| seen.excerpt.unwrap_or_default().to_string()).collect();
        assert_eq!(bodies[..3], ["", "starting", "overloaded"]);
        assert_eq!((bodies.len(), bodies[99].as_str(), bodies[100].as_str()), (101, "starting", "overloaded"));
        for n in 0..MAX_EXCERPTS as u64 {
            ring.push(&outcome(200 + n, Some(&format!("at {n}"))), &Err("HTTP 503".into()));
        }
        let bodies: Vec<Option<Arc<str>>> = ring.newest().map(|seen| seen.excerpt).collect();
        assert_eq!(bodies[0], Some("at 3".into()));
        assert!(bodies[MAX_EXCERPTS..].iter().all(Option::is_none), "none is told for another");
    }

    #[test]
    fn five_thousand_failing_targets_take_less_than_sixty_five_megabytes() {
        let mut ring = Ring::default();
        let body = "x".repeat(1024);
        for n in 0..1000 {
            let body = format!("{n}{}", &body[..1020]);
            ring.push(&outcome(n * 10_000, Some(&body)), &Err("HTTP 503, expected 200-299".into()));
        }
        assert!(ring.bytes() * 5000 < 65_000_000, "{} bytes", ring.bytes());
        let mut passing = Ring::default();
        (0..1000).for_each(|n| passing.push(&outcome(n * 10_000, None), &Ok(())));
        assert!(passing.bytes() * 5000 < 45_000_000, "{} bytes", passing.bytes());
    }

    #[test]
    fn what_is_no_longer_watched_is_forgotten() {
        let outcomes = Outcomes::default();
        let target = |endpoint: &str| Target {
            monitor: "web".parse().unwrap(),
            endpoint: endpoint.parse().unwrap(),
            family: Family::Ipv4,
        };
        for endpoint in ["a", "b"] {
            outcomes.push(&target(endpoint), &outcome(1, None), &Ok(()));
        }
        outcomes.retain(|known| *known == target("b"));
        let left = |endpoint: &str| outcomes.of(&endpoint.parse().unwrap(), <[_]>::len);
        assert_eq!((left("a"), left("b")), (0, 1));
    }
}
