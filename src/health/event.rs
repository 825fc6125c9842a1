//! Events: every change of what names answer, with its cause. Events of one outage form an incident.

use std::collections::BTreeMap;

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
    /// What somebody wrote down about an event, in `cause`.
    Note,
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
    /// Of a pool that stops answering: what it answered just before, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
    /// Incidents count from 1; events outside of any outage have none.
    pub incident: Option<u64>,
    /// When the first of the failed checks in a row ended that led to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub first_failed: Option<Timestamp>,
    /// Pools that answer instead from now on, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instead: Vec<String>,
    /// Names of which some clients get the last resort from now on, at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_resort: Vec<String>,
    /// Names of which some clients get no answer from now on, at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unserved: Vec<String>,
    /// Of a publication: the pools and endpoints that it changed, such as `pools/eu-west`, at most 100, each with what
    /// changed about it in a sentence.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<String, String>,
    /// Of a start: until when northing ran before it, as far as is known. Nobody watched in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ran_until: Option<Timestamp>,
    /// Seconds for which caches may keep the answers from before: the longest TTL of the names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
}

/// The queries that another pool has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Moved {
    /// Of all queries of the last five minutes, 0 to 1.
    pub share: f64,
    pub per_second: f64,
}

impl Event {
    /// A pool is down, and its clients get it all the same: there is nobody else.
    pub fn answers_stay(&self) -> bool {
        self.kind == EventKind::Pool
            && !self.last_resort.is_empty()
            && self.instead.is_empty()
            && self.unserved.is_empty()
    }

    /// An event by health itself, to be completed.
    pub(super) fn new(kind: EventKind, subject: String, now_ms: u64) -> Self {
        Event::at(moment(now_ms).unwrap_or(Timestamp::MAX), kind, subject)
    }

    /// An event of which only time, kind and subject are known yet.
    pub fn at(at: Timestamp, kind: EventKind, subject: String) -> Self {
        Event {
            sequence: 0,
            at,
            kind,
            subject,
            from: String::new(),
            to: String::new(),
            cause: String::new(),
            actor: "health".into(),
            names: Vec::new(),
            query_share: None,
            moved: None,
            incident: None,
            first_failed: None,
            instead: Vec::new(),
            last_resort: Vec::new(),
            unserved: Vec::new(),
            changed: BTreeMap::new(),
            ran_until: None,
            ttl: None,
        }
    }
}

/// From Unix milliseconds.
pub(super) fn moment(ms: u64) -> Option<Timestamp> {
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok())
}
