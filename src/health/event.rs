//! Events: every change of what names answer, with its cause. Events of one outage form an incident.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Endpoint,
    Pool,
    /// Drain, on, off, approve, force: a person did it.
    Switch,
    Certificate,
    GeoDatabase,
    Publish,
    /// Start, stop, a repaired store, a check that cannot run here.
    System,
}

/// `sequence` is given by the store when the event is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    pub sequence: u64,
    #[schema(value_type = String)]
    pub at: Timestamp,
    pub kind: EventKind,
    /// e.g. `pools/eu-west`, `endpoints/web-1 ipv4`.
    pub subject: String,
    pub from: String,
    pub to: String,
    /// In words: `check web of 192.0.2.10: HTTP 503, 3 times in a row`.
    pub cause: String,
    /// `health`, or the person.
    pub actor: String,
    /// Names whose answers this touches, at most 100.
    pub names: Vec<String>,
    /// Share of the last five minutes' queries that went to those names, 0 to 1, where known.
    pub query_share: Option<f64>,
    /// Incidents count from 1; events outside of any outage have none.
    pub incident: Option<u64>,
}

impl Event {
    /// An event by health itself, to be completed.
    pub(super) fn new(kind: EventKind, subject: String, now_ms: u64) -> Self {
        let at = i64::try_from(now_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Event {
            sequence: 0,
            at: at.unwrap_or(Timestamp::MAX),
            kind,
            subject,
            from: String::new(),
            to: String::new(),
            cause: String::new(),
            actor: "health".into(),
            names: Vec::new(),
            query_share: None,
            incident: None,
        }
    }
}
