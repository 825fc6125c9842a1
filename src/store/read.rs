//! Pages of what was kept, newest first, and the check of the audit log.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::engine::{Order, Trouble};
use super::layout::{Tree, number_key};
use super::start::{EVERYTHING, parsed};
use super::{Fault, Store};
use crate::health::{Event, EventKind};
use crate::model::{AuditEntry, Change, Kind, Revision};

/// The most entries of one page.
pub const MAX_PAGE: usize = 1000;
/// How often the check of the audit log says how far it is.
const PROGRESS_EVERY: u64 = 1000;

/// Events are kept in the order in which they happened; a clock that was set back by more than this hides some
/// from a look at a period.
const MAX_CLOCK_STEP: SignedDuration = SignedDuration::from_mins(10);

/// Which events are wanted; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventFilter {
    /// What the subject begins with, e.g. `pools/eu-west`.
    pub subject: Option<String>,
    pub kind: Option<EventKind>,
    pub incident: Option<u64>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

impl EventFilter {
    fn admits(&self, event: &Event) -> bool {
        self.subject.as_ref().is_none_or(|start| event.subject.starts_with(start.as_str()))
            && self.kind.is_none_or(|kind| event.kind == kind)
            && self.incident.is_none_or(|incident| event.incident == Some(incident))
            && self.from.is_none_or(|from| event.at >= from)
            && self.to.is_none_or(|to| event.at < to)
    }
}

/// Outages that begin together are told together, the endpoints before the pools.
const MAX_TOGETHER: u64 = 100;

/// Incidents are numbered as they begin: what stands before the beginning of a much earlier one is no part of it.
fn begins_before(event: &Event, incident: u64) -> bool {
    let begins = event.kind == EventKind::Pool && event.from == "ok";
    begins && event.incident.is_some_and(|number| number.saturating_add(MAX_TOGETHER) < incident)
}

/// A revision but for its changes, which are passed over as they are read.
#[derive(Deserialize)]
struct Head {
    number: u64,
    at: Timestamp,
    author: String,
    message: String,
    sentences: Vec<String>,
    sha256: String,
}

impl From<Head> for Revision {
    fn from(Head { number, at, author, message, sentences, sha256 }: Head) -> Revision {
        Revision { number, at, author, message, sentences, sha256, changes: Vec::new() }
    }
}

/// What a change is of; the values are passed over.
#[derive(Deserialize)]
struct Touched {
    kind: Kind,
    id: String,
}

/// What a check of the audit log found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditReport {
    pub entries: u64,
    /// The oldest entry left; what it says about the one before it cannot be checked unless it is the first.
    pub first: Option<u64>,
    pub last: Option<u64>,
    /// The first entry that is not as it was written, and what is wrong with it.
    pub broken: Option<(u64, String)>,
}

impl Store {
    /// One revision with its changes.
    pub fn revision(&self, number: u64) -> Result<Option<Revision>, Fault> {
        let engine = self.engine()?;
        let read = || -> Result<Option<Revision>, Trouble> {
            let Some(payload) = engine.get(Tree::Revisions, &number_key(number))? else { return Ok(None) };
            let mut revision: Revision = parsed(&payload)?;
            if let Some(payload) = engine.get(Tree::Changes, &number_key(number))? {
                revision.changes = parsed::<Vec<Change>>(&payload)?;
            }
            Ok(Some(revision))
        };
        read().map_err(|trouble| self.database_fault("read the database", &trouble))
    }

    /// Revisions before number `before`, without their changes, of which there can be a million: `revision` has them.
    pub fn revision_heads(&self, before: Option<u64>, limit: usize) -> Result<Vec<Revision>, Fault> {
        let heads: Vec<Head> = self.page(Tree::Revisions, before, limit, |_| true, |_| false)?;
        Ok(heads.into_iter().map(Revision::from).collect())
    }

    /// Those of these revisions that changed a thing, which is written `pools/eu-west`.
    pub fn that_changed(&self, thing: &str, numbers: &[u64]) -> Result<BTreeSet<u64>, Fault> {
        let engine = self.engine()?;
        let is_it = |touched: &Touched| {
            thing.strip_prefix(touched.kind.as_str()).and_then(|rest| rest.strip_prefix('/')) == Some(&touched.id)
        };
        let has = |number: &u64| -> Result<bool, Trouble> {
            let Some(payload) = engine.get(Tree::Changes, &number_key(*number))? else { return Ok(false) };
            Ok(parsed::<Vec<Touched>>(&payload)?.iter().any(is_it))
        };
        let mut found = BTreeSet::new();
        for number in numbers {
            if has(number).map_err(|trouble| self.database_fault("read the database", &trouble))? {
                found.insert(*number);
            }
        }
        Ok(found)
    }

    pub fn audit(&self, before: Option<u64>, limit: usize) -> Result<Vec<AuditEntry>, Fault> {
        self.page(Tree::Audit, before, limit, |_| true, |_| false)
    }

    pub fn events(&self, filter: &EventFilter, before: Option<u64>, limit: usize) -> Result<Vec<Event>, Fault> {
        let end = match filter.to {
            Some(to) => Some(self.first_event_at(to)?).into_iter().chain(before).min(),
            None => before,
        };
        let oldest = filter.from.and_then(|from| from.checked_sub(MAX_CLOCK_STEP).ok());
        let too_old = |event: &Event| {
            let before_incident = filter.incident.is_some_and(|incident| begins_before(event, incident));
            oldest.is_some_and(|oldest| event.at < oldest) || before_incident
        };
        self.page(Tree::Events, end, limit, |event| filter.admits(event), too_old)
    }

    /// The events of these numbers, as far as there are any.
    pub fn events_numbered(&self, numbers: &[u64]) -> Result<Vec<Event>, Fault> {
        let engine = self.engine()?;
        let read = |number: &u64| -> Result<Option<Event>, Trouble> {
            engine.get(Tree::Events, &number_key(*number))?.map(|payload| parsed(&payload)).transpose()
        };
        let events: Result<Vec<Option<Event>>, Trouble> = numbers.iter().map(read).collect();
        let events = events.map_err(|trouble| self.database_fault("read the database", &trouble))?;
        Ok(events.into_iter().flatten().collect())
    }

    /// The number of the first event that is not older than `at`, give or take a step of the clock.
    fn first_event_at(&self, at: Timestamp) -> Result<u64, Fault> {
        let at = at.checked_add(MAX_CLOCK_STEP).unwrap_or(at);
        let (mut low, mut high) = (0, self.last_event + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut found: Option<Event> = None;
            let from = (Bound::Included(number_key(middle).to_vec()), Bound::Unbounded);
            let walk = self.engine()?.walk(Tree::Events, from, Order::Ascending, &mut |_, payload| {
                found = Some(parsed(&payload)?);
                Ok(ControlFlow::Break(()))
            });
            walk.map_err(|trouble| self.database_fault("read the database", &trouble))?;
            match found {
                Some(event) if event.at < at => low = middle.max(event.sequence) + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Checks every entry of the audit log; `progress` hears how many are done.
    pub fn verify_audit(&self, progress: &mut dyn FnMut(u64)) -> Result<AuditReport, Fault> {
        let mut report = AuditReport::default();
        let mut previous: Option<AuditEntry> = None;
        let walk = self.engine()?.walk(Tree::Audit, EVERYTHING, Order::Ascending, &mut |key, payload| {
            let entry: AuditEntry = parsed(&payload)?;
            let fault = match &previous {
                _ if number_key(entry.sequence) != key => Some(format!("entry {} is at a wrong place", entry.sequence)),
                Some(previous) => entry.fault_after(previous),
                None => entry.fault(),
            };
            report.entries += 1;
            report.first.get_or_insert(entry.sequence);
            report.last = Some(entry.sequence);
            if report.entries.is_multiple_of(PROGRESS_EVERY) {
                progress(report.entries);
            }
            if let Some(fault) = fault {
                report.broken = Some((entry.sequence, fault));
                return Ok(ControlFlow::Break(()));
            }
            previous = Some(entry);
            Ok(ControlFlow::Continue(()))
        });
        walk.map_err(|trouble| self.database_fault("read the database", &trouble))?;
        if report.broken.is_none() && report.last.unwrap_or(0) != self.head.audit {
            let next = report.last.map_or(1, |last| last + 1);
            report.broken = Some((next, format!("entries {next} to {} are missing", self.head.audit)));
        }
        Ok(report)
    }

    fn page<T: DeserializeOwned>(
        &self,
        tree: Tree,
        before: Option<u64>,
        limit: usize,
        wanted: impl Fn(&T) -> bool,
        too_old: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, Fault> {
        let limit = limit.min(MAX_PAGE);
        let mut page = Vec::new();
        if limit == 0 {
            return Ok(page);
        }
        let end = before.map_or(Bound::Unbounded, |before| Bound::Excluded(number_key(before).to_vec()));
        let walk = self.engine()?.walk(tree, (Bound::Unbounded, end), Order::Descending, &mut |_, payload| {
            let entry: T = parsed(&payload)?;
            if too_old(&entry) {
                return Ok(ControlFlow::Break(()));
            }
            if wanted(&entry) {
                page.push(entry);
            }
            Ok(if page.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        walk.map_err(|trouble| self.database_fault("read the database", &trouble))?;
        Ok(page)
    }
}
