//! One vantage, one address, one monitor: when a row of outcomes becomes a verdict.
//! ```text
//! Unknown  first outcome → Up | Down
//! Up       fail_after failures in a row → Down
//! Down     recover_after successes in a row → Up
//! ```
//! One success breaks a row of failures, and the other way round.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::vote::{Quorum, Vote, tally};
use super::{EndpointState, Latency};
use crate::model::{Check, Monitor};

/// Weight of the newest measurement in the mean round trip.
const ROUND_TRIP_ALPHA: f64 = 0.3;
/// The longest reason that is kept, in characters: one line of a page.
const MAX_REASON: usize = 200;
/// Certificates are warned about once more this many days before they end.
const LAST_WARNING_DAYS: i64 = 3;
const DAY_SECONDS: i64 = 86_400;

/// What is known about one target.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Stream {
    pub kept: Kept,
    /// The state is from before a restart.
    pub stale: bool,
    /// Counted outcomes in a row; one of the two is 0.
    pub failures: u32,
    pub successes: u32,
    /// When the first of these failures ended.
    pub failing_since_ms: Option<u64>,
    pub last: Option<Outcome>,
    pub round_trip_ms: Option<f64>,
    /// Why the check cannot run on this machine, since its last outcome.
    pub trouble: Option<Arc<str>>,
}

/// What survives a restart.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    pub state: EndpointState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Certificate {
    pub ends: Timestamp,
    pub warned: Warned,
}

/// How much was said about a certificate's end; every level is an event, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Warned {
    #[default]
    Not,
    Soon,
    LastDays,
    Expired,
}

impl Stream {
    pub fn restored(kept: Kept) -> Self {
        Stream { stale: kept.state != EndpointState::Unknown, kept, ..Stream::default() }
    }

    pub fn state(&self) -> EndpointState {
        self.kept.state
    }

    /// Counts one outcome.
    pub fn observe(&mut self, outcome: &Outcome, monitor: &Monitor) {
        let result = judged(outcome, monitor);
        self.stale = false;
        let certain = if result.is_ok() {
            self.successes = self.successes.saturating_add(1);
            self.failures = 0;
            self.failing_since_ms = None;
            self.kept.state == EndpointState::Unknown || self.successes >= u32::from(monitor.recover_after)
        } else {
            self.failures = self.failures.saturating_add(1);
            self.successes = 0;
            self.failing_since_ms.get_or_insert(outcome.at_ms);
            self.kept.state == EndpointState::Unknown || self.failures >= u32::from(monitor.fail_after)
        };
        if let (Ok(()), Some(ms)) = (&result, round_trip(&outcome.latency)) {
            let mean = self.round_trip_ms.map_or(ms, |mean| mean + ROUND_TRIP_ALPHA * (ms - mean));
            self.round_trip_ms = Some(mean);
        }
        let verdict = match &result {
            _ if !certain => self.kept.state,
            Ok(()) => EndpointState::Up,
            Err(_) => EndpointState::Down,
        };
        // This machine is the only vantage: its verdict is the one vote.
        let vote = Vote { state: verdict, at_ms: outcome.at_ms };
        let fresh_ms = u64::from(monitor.interval) * 3000 + (monitor.timeout * 1000.0) as u64;
        let fresh_from_ms = outcome.at_ms.saturating_sub(fresh_ms);
        self.kept.state = tally(&[vote], Quorum::Majority, 1, fresh_from_ms, self.kept.state).state;
        self.last = Some(Outcome { result, ..outcome.clone() });
    }

    /// Unix milliseconds at which the state could change at the earliest; `None` while nothing
    /// speaks for a change.
    pub fn earliest_change_ms(&self, monitor: &Monitor) -> Option<u64> {
        let (seen, needed) = match self.kept.state {
            EndpointState::Up => (self.failures, monitor.fail_after),
            EndpointState::Down => (self.successes, monitor.recover_after),
            EndpointState::Unknown => return None,
        };
        let next_ms = self.last.as_ref()?.next_probe_ms;
        let after_next = u64::from(u32::from(needed).saturating_sub(seen).saturating_sub(1));
        (seen > 0).then_some(next_ms + after_next * u64::from(monitor.interval) * 1000)
    }

    /// The last outcome in words: `HTTP 503`, `answered in 12 ms`.
    pub fn finding(&self) -> String {
        match &self.last {
            None if self.stale => format!("{} before the restart, no outcome since", self.kept.state),
            None => "no outcome yet".into(),
            Some(Outcome { result: Err(reason), .. }) => reason.clone(),
            Some(Outcome { latency: Latency { total_ms: Some(ms), .. }, .. }) => format!("answered in {ms:.0} ms"),
            Some(_) => "answered".into(),
        }
    }

    /// Follows the certificate that the server shows; returns a warning that was not given yet.
    pub fn watch_certificate(&mut self, outcome: &Outcome, monitor: &Monitor) -> Option<Warned> {
        let ends = outcome.certificate_ends?;
        let warn_days = match &monitor.check {
            Check::Https(check) => i64::from(check.cert_warn_days),
            _ => 0,
        };
        let left_seconds = ends.as_second() - (outcome.at_ms / 1000) as i64;
        let level = match left_seconds {
            left if left <= 0 => Warned::Expired,
            left if left <= LAST_WARNING_DAYS.min(warn_days) * DAY_SECONDS => Warned::LastDays,
            left if left <= warn_days * DAY_SECONDS => Warned::Soon,
            _ => Warned::Not,
        };
        let before = self.kept.certificate.as_ref().filter(|known| known.ends == ends);
        let warned = before.map_or(Warned::Not, |known| known.warned);
        self.kept.certificate = Some(Certificate { ends, warned: warned.max(level) });
        (level > warned).then_some(level)
    }
}

/// What an outcome counts as: a success slower than `max_latency_ms` is a failure.
pub fn judged(outcome: &Outcome, monitor: &Monitor) -> Result<(), String> {
    match (&outcome.result, outcome.latency.total_ms, monitor.max_latency_ms) {
        (Ok(()), Some(took), Some(most)) if took > f64::from(most) => {
            Err(format!("answered in {took:.0} ms, more than {most}"))
        }
        (Ok(()), ..) => Ok(()),
        (Err(reason), ..) => Err(reason.chars().take(MAX_REASON).collect()),
    }
}

/// A TCP handshake is one round trip, whatever the server then does; else the whole exchange.
fn round_trip(latency: &Latency) -> Option<f64> {
    latency.connect_ms.or(latency.total_ms).filter(|ms| ms.is_finite() && *ms >= 0.0)
}
