//! What operators switch at once, without a revision: pools on, drained or off, failback approved,
//! states forced, load fed in.

use std::collections::BTreeSet;

use super::pools::{Override, PoolChange};
use super::recovery::Serving;
use super::settle::addresses;
use super::stored::Key;
use super::{EndpointState, Event, EventKind, Family, Health, PoolState};
use crate::model::{Admin, Endpoint, Id, Pool};

/// The highest load that a feed may report, in percent: as far as `shed` can be set.
const MAX_LOAD: f64 = 1000.0;

#[derive(Debug, Clone, PartialEq)]
pub enum Switch {
    Pool {
        pool: Id<Pool>,
        admin: Admin,
    },
    ApproveFailback {
        pool: Id<Pool>,
    },
    /// `family` `None` means all; `state` `None` gives the endpoint back to its checks.
    Force {
        endpoint: Id<Endpoint>,
        family: Option<Family>,
        state: Option<EndpointState>,
    },
    /// A value from the load feed; no event.
    Load {
        pool: Id<Pool>,
        percent: f64,
    },
}

impl Health {
    /// Acts at once. A switch that stands already is no event. Errors read "problem; remedy".
    pub fn act(&mut self, switch: &Switch, actor: &str, reason: &str, now_ms: u64) -> Result<Vec<Event>, String> {
        let reason = if reason.is_empty() { "no reason given" } else { reason };
        match switch {
            Switch::Pool { pool, admin } => self.switch_pool(pool, *admin, actor, reason, now_ms),
            Switch::ApproveFailback { pool } => self.approve(pool, actor, reason, now_ms),
            Switch::Force { endpoint, family, state } => self.force(endpoint, *family, *state, (actor, reason), now_ms),
            Switch::Load { pool, percent } => self.feed_load(pool, *percent, now_ms),
        }
    }

    /// Ends the hold of a pool that the engine had to use. No event when it is not held.
    pub(super) fn end_hold(&mut self, id: &Id<Pool>, now_ms: u64) -> Option<Event> {
        if self.table.pools.get(id)?.state != PoolState::Held {
            return None;
        }
        let pool = self.model.pools.get(id)?.clone();
        // Nothing else is left to take the rest of its share, so there is no ramp.
        self.records.get_mut(id)?.kept.serving = Serving::Ok;
        self.unsaved.insert(Key::Pool(id.clone()));
        let change = self.step_pool(id, &pool, now_ms)?;
        let cause = "no other pool was left to answer: used before its time, the hold is released".into();
        Some(self.change_event(EventKind::Pool, id, &change, cause, now_ms))
    }

    /// A revision that changes `admin` is newer than the switch on top of it.
    pub(super) fn end_overruled_switches(&mut self, now_ms: u64, events: &mut Vec<Event>) {
        let model = self.model.clone();
        for (id, pool) in &model.pools {
            let Some(record) = self.records.get_mut(id) else { continue };
            let Some(switch) = record.kept.switch.take_if(|switch| switch.over != pool.admin) else { continue };
            self.unsaved.insert(Key::Pool(id.clone()));
            let (from, incident) = (record.kept.serving.under(switch.admin), record.kept.incident);
            let incident = self.step_pool(id, pool, now_ms).map_or(incident, |change| change.incident);
            let to = self.table.pools.get(id).map_or(from, |known| known.state);
            let change = PoolChange { from, to, incident };
            let admin = word(pool.admin);
            let cause =
                format!("version {} sets admin to {admin}, which ends the switch by {}", model.revision, switch.by);
            events.push(self.change_event(EventKind::Switch, id, &change, cause, now_ms));
        }
    }

    fn switch_pool(
        &mut self,
        id: &Id<Pool>,
        admin: Admin,
        actor: &str,
        reason: &str,
        now_ms: u64,
    ) -> Result<Vec<Event>, String> {
        let pool = self.model.pools.get(id).ok_or_else(|| no_pool(id))?.clone();
        let record = self.records.entry(id.clone()).or_default();
        if record.admin(&pool) == admin {
            return Ok(Vec::new());
        }
        let switch = Override { admin, over: pool.admin, by: actor.into(), reason: reason.into() };
        record.kept.switch = (admin != pool.admin).then_some(switch);
        self.unsaved.insert(Key::Pool(id.clone()));
        let change = self.step_pool(id, &pool, now_ms);
        Ok(change.map(|change| self.by_person(id, &change, actor, reason, now_ms)).into_iter().collect())
    }

    fn approve(&mut self, id: &Id<Pool>, actor: &str, reason: &str, now_ms: u64) -> Result<Vec<Event>, String> {
        let pool = self.model.pools.get(id).ok_or_else(|| no_pool(id))?.clone();
        let state = self.table.pools.get(id).map_or(PoolState::Ok, |known| known.state);
        if state != PoolState::Held {
            return Err(format!("pool {id} is {state}, not held; only a held pool waits for approval"));
        }
        let record = self.records.entry(id.clone()).or_default();
        record.kept.serving = Serving::Ok;
        record.kept.ramp_from_ms = (pool.ramp > 0).then_some(now_ms);
        self.unsaved.insert(Key::Pool(id.clone()));
        let change = self.step_pool(id, &pool, now_ms);
        Ok(change.map(|change| self.by_person(id, &change, actor, reason, now_ms)).into_iter().collect())
    }

    fn force(
        &mut self,
        id: &Id<Endpoint>,
        family: Option<Family>,
        state: Option<EndpointState>,
        (actor, reason): (&str, &str),
        now_ms: u64,
    ) -> Result<Vec<Event>, String> {
        let endpoint =
            self.model.endpoints.get(id).ok_or_else(|| format!("there is no endpoint {id}; check its id"))?;
        let families: Vec<Family> =
            addresses(endpoint).map(|(known, _)| known).filter(|known| family.is_none_or(|f| f == *known)).collect();
        if let (true, Some(family)) = (families.is_empty(), family) {
            return Err(format!("endpoint {id} has no {family} address; name a family that it has, or none for all"));
        }
        if state == Some(EndpointState::Unknown) {
            return Err("unknown cannot be forced; use up or down, or nothing to end a forced state".into());
        }
        let shown = |health: &Health, family: Family| {
            let known = health.table.endpoints.get(id).and_then(|endpoint| endpoint.families.get(&family));
            match known.map(|known| (known.forced, known.state)) {
                Some((Some(forced), _)) => format!("forced {forced}"),
                Some((None, state)) => state.to_string(),
                None => EndpointState::Unknown.to_string(),
            }
        };
        let before: Vec<String> = families.iter().map(|&family| shown(self, family)).collect();
        for &family in &families {
            let key = (id.clone(), family);
            match state {
                Some(state) => self.forced.insert(key, state),
                None => self.forced.remove(&key),
            };
            self.unsaved.insert(Key::Forced(id.clone(), family));
        }
        let settled = self.settle(vec![id.clone()]).without(id);
        let mut events = Vec::new();
        for (&family, from) in families.iter().zip(before) {
            let to = shown(self, family);
            if from != to {
                let event = self.address_event(EventKind::Switch, id, family, now_ms);
                events.push(Event { from, to, cause: reason.into(), actor: actor.into(), ..event });
            }
        }
        let switched = events.len();
        let trigger = state.map_or_else(|| "given back to its checks".into(), |state| format!("forced {state}"));
        self.finish(settled, BTreeSet::new(), now_ms, &mut events);
        for event in &mut events[..switched] {
            // What began an outage belongs to it as well.
            event.incident = event.incident.or_else(|| self.incident_of(id));
        }
        for event in &mut events[switched..] {
            if event.kind == EventKind::Pool {
                event.cause = format!("{}: {id} {trigger} by {actor}", event.cause);
            }
        }
        Ok(events)
    }

    fn feed_load(&mut self, id: &Id<Pool>, percent: f64, now_ms: u64) -> Result<Vec<Event>, String> {
        if !self.model.pools.contains_key(id) {
            return Err(no_pool(id));
        }
        if !(0.0..=MAX_LOAD).contains(&percent) {
            return Err(format!("a load of {percent} is out of range; give percent from 0 to {MAX_LOAD}"));
        }
        self.records.entry(id.clone()).or_default().load = Some((percent, now_ms));
        let mut events = Vec::new();
        self.finish(Default::default(), BTreeSet::from([id.clone()]), now_ms, &mut events);
        Ok(events)
    }

    fn by_person(&self, id: &Id<Pool>, change: &PoolChange, actor: &str, reason: &str, now_ms: u64) -> Event {
        Event { actor: actor.into(), ..self.change_event(EventKind::Switch, id, change, reason.into(), now_ms) }
    }
}

fn no_pool(id: &Id<Pool>) -> String {
    format!("there is no pool {id}; check its id")
}

fn word(admin: Admin) -> &'static str {
    match admin {
        Admin::On => "on",
        Admin::Drain => "drain",
        Admin::Off => "off",
    }
}
