//! What we know: from a probe's outcome to the state of endpoints and pools, events and incidents.
//! Pure: time comes in as `now_ms` (Unix milliseconds), and what happened goes out.
//!
//! ```text
//! outcome ─▶ stream (thresholds) ─▶ vote (quorum) ─▶ verdict (roles) ─▶ endpoint ─▶ pool ─▶ events
//!            one per target                          one per address    settle      pools
//! ```

mod checks;
mod event;
mod fallout;
mod foresee;
mod index;
pub mod lanes;
mod outcome;
mod pools;
mod recovery;
mod settle;
mod stored;
pub mod story;
mod stream;
mod switch;
mod table;
mod tell;
mod trouble;
mod verdict;
mod vote;

#[cfg(test)]
mod scenario;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::model::{Endpoint, Id, Model, Pool};
use index::Index;
use pools::PoolRecord;
use stored::Key;
use stream::Stream;

pub use checks::CheckHealth;
pub use event::{Event, EventKind, Moved};
pub use outcome::{Address, Latency, Outcome, Report, Said, Target, Watch};
pub use recovery::needed;
pub use stream::judged;
pub use switch::Switch;
pub use table::{EndpointHealth, EndpointState, Family, FamilyHealth, HealthTable, PoolHealth, PoolState, Standing};
pub use vote::{Quorum, Tally, Vote, tally};

/// The health of everything that is configured, and how it moves. Has one owner; what others see is
/// its `table`.
#[derive(Debug, Default)]
pub struct Health {
    model: Arc<Model>,
    index: Index,
    streams: BTreeMap<Target, Stream>,
    /// States that operators forced.
    forced: BTreeMap<(Id<Endpoint>, Family), EndpointState>,
    records: BTreeMap<Id<Pool>, PoolRecord>,
    table: HealthTable,
    generation: u64,
    /// The number of the last incident.
    incidents: u64,
    /// When a pool has to be looked at again though no outcome came.
    wakes: BTreeSet<(u64, Id<Pool>)>,
    unsaved: BTreeSet<Key>,
    /// The latest time that was heard of.
    latest_ms: u64,
}

/// Times further back than this are no late outcomes: the clock was set back. Longer than the longest
/// time-out of a check that makes sense, shorter than a hold that anybody would notice.
const MAX_DISORDER_MS: u64 = 60_000;

impl Health {
    /// Starts from what `stored` returned before a restart: last known states, marked stale until their
    /// first outcome. What cannot be read or is no longer configured is left out.
    pub fn new(model: &Arc<Model>, stored: &[(String, Value)], now_ms: u64) -> (Self, Vec<Event>) {
        let mut health = Health::default();
        for (key, value) in stored {
            health.restore(key, value, now_ms);
        }
        let events = health.adopt(model, now_ms);
        (health, events)
    }

    /// Takes over a new revision. What is still configured keeps its state, an endpoint whose address
    /// changed starts anew, and what is gone is forgotten. A published `admin` ends a pool's switch.
    pub fn reconfigure(&mut self, model: &Arc<Model>, now_ms: u64) -> Vec<Event> {
        if self.model.steers_like(model) {
            self.model = model.clone();
            return Vec::new();
        }
        self.adopt(model, now_ms)
    }

    fn adopt(&mut self, model: &Arc<Model>, now_ms: u64) -> Vec<Event> {
        let old = std::mem::replace(&mut self.model, model.clone());
        self.index = Index::build(model);
        self.adopt_streams(&old);
        self.forget();
        let settled = self.settle(model.endpoints.keys().cloned().collect());
        let mut events = Vec::new();
        self.end_overruled_switches(now_ms, &mut events);
        self.finish(settled, model.pools.keys().cloned().collect(), now_ms, &mut events);
        events
    }

    /// All that must be probed: every address of every endpoint whose health decides, by each of its
    /// monitors.
    pub fn targets(&self) -> Vec<Watch> {
        let mut watches = Vec::new();
        for (id, endpoint) in &self.model.endpoints {
            for (family, address) in settle::addresses(endpoint) {
                for used in self.index.watching(id, endpoint) {
                    let Some(monitor) = self.model.monitors.get(&used.monitor) else { continue };
                    watches.push(Watch {
                        target: Target { monitor: used.monitor.clone(), endpoint: id.clone(), family },
                        address: address.clone(),
                        monitor: monitor.clone(),
                    });
                }
            }
        }
        watches
    }

    /// Takes what a probe reports, at `now_ms`.
    pub fn hear(&mut self, target: &Target, report: &Report, now_ms: u64) -> Vec<Event> {
        match report {
            Report::Outcome(outcome) => self.observe(target, outcome),
            Report::Unable(reason) => self.note_trouble(target, reason, now_ms),
        }
    }

    /// Counts one outcome. One of a target that is no longer watched is ignored.
    pub fn observe(&mut self, target: &Target, outcome: &Outcome) -> Vec<Event> {
        self.follow_clock(outcome.at_ms);
        let mut events = Vec::new();
        let model = self.model.clone();
        let (Some(stream), Some(monitor)) = (self.streams.get_mut(target), model.monitors.get(&target.monitor)) else {
            return events;
        };
        let trouble = stream.trouble.take();
        let before = stream.kept.clone();
        let warned = stream.watch_certificate(outcome, monitor);
        stream.observe(outcome, monitor);
        if stream.kept != before {
            self.unsaved.insert(Key::Target(target.clone()));
        }
        events.extend(warned.map(|_| self.certificate_event(target, outcome.at_ms)));
        events.extend(self.watch_event(target, before.state, outcome.at_ms));
        events.extend(trouble.and_then(|reason| self.end_of_trouble(target, &reason, outcome.at_ms)));
        let settled = self.settle(vec![target.endpoint.clone()]);
        self.finish(settled, BTreeSet::new(), outcome.at_ms, &mut events);
        events
    }

    /// The engine had to answer from a held pool, for want of any other: the hold ends.
    pub fn release(&mut self, pool: &Id<Pool>, now_ms: u64) -> Vec<Event> {
        self.end_hold(pool, now_ms).into_iter().collect()
    }

    /// Moves what only time moves: holds that end, ramps, load values that get stale.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Event> {
        self.follow_clock(now_ms);
        let mut due = BTreeSet::new();
        while let Some((at_ms, _)) = self.wakes.first()
            && *at_ms <= now_ms
            && let Some((_, pool)) = self.wakes.pop_first()
        {
            due.insert(pool);
        }
        let mut events = Vec::new();
        self.finish(settle::Settled::default(), due, now_ms, &mut events);
        events
    }

    /// When `tick` has something to do.
    pub fn next_tick_ms(&self) -> Option<u64> {
        self.wakes.first().map(|(at_ms, _)| *at_ms)
    }

    pub fn table(&self) -> &HealthTable {
        &self.table
    }

    /// Grows whenever the table changes.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// A clock that is set back would stretch every hold and ramp by as much: they go on from now.
    fn follow_clock(&mut self, now_ms: u64) {
        if now_ms.saturating_add(MAX_DISORDER_MS) >= self.latest_ms {
            self.latest_ms = self.latest_ms.max(now_ms);
            return;
        }
        self.latest_ms = now_ms;
        self.records.values_mut().for_each(|record| record.begin_by(now_ms));
        self.wakes = std::mem::take(&mut self.wakes).into_iter().map(|(at_ms, id)| (at_ms.min(now_ms), id)).collect();
    }
}
