//! Pools: counts healthy members, moves the pool on, opens and closes incidents.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::recovery::{Serving, hold_ends_ms, needed, ramp};
use super::settle::mean;
use super::stored::Key;
use super::{EndpointState, Health, PoolHealth, PoolState};
use crate::model::{Admin, Id, Member, Pool, Recovery};

/// What is known about one pool beyond what the table shows.
#[derive(Debug, Default)]
pub(super) struct PoolRecord {
    pub kept: KeptPool,
    /// The last value from the load feed, in percent, and when it came.
    pub load: Option<(f64, u64)>,
    /// When it stands in `Health::wakes`.
    wake_ms: Option<u64>,
}

/// What survives a restart.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct KeptPool {
    pub serving: Serving,
    pub since_ms: u64,
    pub switch: Option<Override>,
    /// When the share began to grow.
    pub ramp_from_ms: Option<u64>,
    pub incident: Option<u64>,
}

/// An operator's switch, on top of the configured `admin`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Override {
    pub admin: Admin,
    /// The configured value that it overrides; another published value ends the switch.
    pub over: Admin,
    pub by: String,
    pub reason: String,
}

/// A change of a pool's state.
#[derive(Debug)]
pub(super) struct PoolChange {
    pub from: PoolState,
    pub to: PoolState,
    /// The one it belongs to, also when this change closed it.
    pub incident: Option<u64>,
}

/// A pool's members that count: enabled and with weight.
pub(super) struct Census {
    healthy: usize,
    total: usize,
    needed: usize,
    /// When each could change at the earliest; of healthy and of other members.
    healthy_change_ms: Vec<u64>,
    other_change_ms: Vec<u64>,
    round_trip_ms: Option<f64>,
}

impl Census {
    pub fn words(&self) -> String {
        format!("{} of {} endpoints healthy, {} needed", self.healthy, self.total, self.needed)
    }
}

impl PoolRecord {
    /// Nobody watched while we were away: the time without a break starts anew.
    pub fn restored(mut kept: KeptPool, now_ms: u64) -> Self {
        if let Serving::Held { since_ms } = &mut kept.serving {
            *since_ms = now_ms;
        }
        let mut record = PoolRecord { kept, ..PoolRecord::default() };
        record.begin_by(now_ms);
        record
    }

    /// Nothing began later than now, whatever the clock said when it did.
    pub fn begin_by(&mut self, now_ms: u64) {
        if let Serving::Held { since_ms } = &mut self.kept.serving {
            *since_ms = now_ms.min(*since_ms);
        }
        self.kept.since_ms = self.kept.since_ms.min(now_ms);
        self.kept.ramp_from_ms = self.kept.ramp_from_ms.map(|from_ms| from_ms.min(now_ms));
        self.load = self.load.map(|(percent, at_ms)| (percent, at_ms.min(now_ms)));
        self.wake_ms = self.wake_ms.map(|at_ms| at_ms.min(now_ms));
    }

    pub fn admin(&self, pool: &Pool) -> Admin {
        self.kept.switch.as_ref().map_or(pool.admin, |switch| switch.admin)
    }
}

impl Health {
    /// Moves a pool on and publishes it; returns the change of its state.
    pub(super) fn step_pool(&mut self, id: &Id<Pool>, pool: &Pool, now_ms: u64) -> Option<PoolChange> {
        let census = self.census(pool);
        let record = self.records.entry(id.clone()).or_default();
        let (admin, before) = (record.admin(pool), record.kept.clone());
        let from = self.table.pools.get(id).map_or(before.serving.under(admin), |known| known.state);
        let kept = &mut record.kept;
        kept.serving = before.serving.step(census.healthy >= census.needed, pool.recovery, now_ms);
        if kept.serving != Serving::Ok {
            kept.ramp_from_ms = None;
        } else if before.serving != Serving::Ok && pool.ramp > 0 {
            kept.ramp_from_ms = Some(now_ms);
        }
        let to = kept.serving.under(admin);
        if from != to {
            kept.since_ms = now_ms;
        }
        let incident = match to {
            PoolState::Ok => kept.incident.take(),
            PoolState::Down | PoolState::Held if kept.incident.is_none() => {
                self.incidents += 1;
                self.unsaved.insert(Key::Incidents);
                kept.incident = Some(self.incidents);
                kept.incident
            }
            _ => kept.incident,
        };
        let (health, wake_ms) = record.publish(pool, &census, now_ms);
        if record.kept != before {
            self.unsaved.insert(Key::Pool(id.clone()));
        }
        if let Some(at_ms) = std::mem::replace(&mut record.wake_ms, wake_ms) {
            self.wakes.remove(&(at_ms, id.clone()));
        }
        self.wakes.extend(wake_ms.map(|at_ms| (at_ms, id.clone())));
        if self.table.pools.get(id).is_none_or(|known| **known != health) {
            self.generation += 1;
            self.table.pools.insert(id.clone(), Arc::new(health));
        }
        (from != to).then_some(PoolChange { from, to, incident })
    }

    pub(super) fn census(&self, pool: &Pool) -> Census {
        let counts = |member: &&Member| member.enabled && member.weight > 0;
        let (mut healthy, mut total) = (0, 0);
        let (mut healthy_change_ms, mut other_change_ms, mut round_trips) = (Vec::new(), Vec::new(), Vec::new());
        for member in pool.members.iter().filter(counts) {
            total += 1;
            let is_healthy = !self.is_down(&member.endpoint);
            healthy += usize::from(is_healthy);
            let families = self.table.endpoints.get(&member.endpoint).map(|endpoint| &endpoint.families);
            let families = || families.iter().flat_map(|families| families.values());
            let change_ms = families().filter_map(|family| family.earliest_change_ms).min();
            if is_healthy { &mut healthy_change_ms } else { &mut other_change_ms }.extend(change_ms);
            let usable = families().filter(|family| family.state != EndpointState::Down);
            round_trips.extend(usable.filter_map(|family| family.round_trip_ms));
        }
        other_change_ms.sort_unstable();
        Census {
            healthy,
            total,
            needed: needed(pool.healthy_when, total),
            healthy_change_ms,
            other_change_ms,
            round_trip_ms: mean(round_trips.into_iter()),
        }
    }
}

impl PoolRecord {
    /// The pool as the table shows it, and when to look at it again.
    fn publish(&mut self, pool: &Pool, census: &Census, now_ms: u64) -> (PoolHealth, Option<u64>) {
        let admin = self.admin(pool);
        let stale_ms = |at_ms: u64| at_ms.saturating_add(u64::from(pool.shed.stale_after) * 1000);
        self.load = self.load.filter(|(_, at_ms)| now_ms < stale_ms(*at_ms));
        let load_wake_ms = self.load.map(|(_, at_ms)| stale_ms(at_ms));
        let (ramp_percent, ramp_wait_ms) = match self.kept.ramp_from_ms {
            Some(from_ms) => ramp(pool.ramp, now_ms.saturating_sub(from_ms)),
            None => (100, None),
        };
        self.kept.ramp_from_ms = self.kept.ramp_from_ms.filter(|_| ramp_wait_ms.is_some());
        // The reason of a held pool counts seconds.
        let hold_wake_ms = match (self.kept.serving, pool.recovery) {
            (Serving::Held { since_ms }, Recovery::After(_)) => {
                Some(now_ms + 1000 - now_ms.saturating_sub(since_ms) % 1000)
            }
            _ => None,
        };
        let wake_ms = [load_wake_ms, ramp_wait_ms.map(|wait_ms| now_ms + wait_ms), hold_wake_ms];
        let health = PoolHealth {
            state: self.kept.serving.under(admin),
            ramp_percent,
            load: self.load.map(|(percent, _)| percent),
            round_trip_ms: census.round_trip_ms,
            earliest_change_ms: self.earliest_change_ms(pool, census),
            since_ms: self.kept.since_ms,
            reason: self.reason(pool, census, now_ms),
            incident: self.kept.incident,
        };
        (health, wake_ms.into_iter().flatten().min())
    }

    fn reason(&self, pool: &Pool, census: &Census, now_ms: u64) -> String {
        let word = match self.admin(pool) {
            Admin::Off => "switched off",
            Admin::Drain => "drained",
            Admin::On => {
                return match (self.kept.serving, pool.recovery) {
                    (Serving::Held { since_ms }, Recovery::After(seconds)) => {
                        format!("stable for {} of {seconds} s", now_ms.saturating_sub(since_ms) / 1000)
                    }
                    (Serving::Held { .. }, _) => "recovered, waits for approval".into(),
                    _ => census.words(),
                };
            }
        };
        match &self.kept.switch {
            Some(Override { by, reason, .. }) => format!("{word} by {by}: {reason}"),
            None => format!("{word} in the configuration"),
        }
    }

    /// When the pool, or what it answers, could change at the earliest.
    fn earliest_change_ms(&self, pool: &Pool, census: &Census) -> Option<u64> {
        match (self.kept.serving.under(self.admin(pool)), self.kept.serving, pool.recovery) {
            (PoolState::Ok, ..) => census.healthy_change_ms.iter().chain(&census.other_change_ms).min().copied(),
            (PoolState::Held, Serving::Held { since_ms }, Recovery::After(seconds)) => {
                Some(hold_ends_ms(since_ms, seconds))
            }
            (PoolState::Down, _, recovery) => {
                // As many as are missing have to return, and then the hold begins.
                let missing = census.needed.checked_sub(census.healthy + 1)?;
                let healthy_ms = census.other_change_ms.get(missing).copied()?;
                match recovery {
                    Recovery::Auto => Some(healthy_ms),
                    Recovery::After(seconds) => Some(hold_ends_ms(healthy_ms, seconds)),
                    Recovery::Manual => None,
                }
            }
            _ => None,
        }
    }
}
