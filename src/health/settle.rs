//! Endpoints: judges every address anew where something changed, and follows dependencies until
//! nothing moves any more; then pools move on what is settled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::stored::Key;
use super::tell;
use super::verdict::{Ballot, Verdict, Why, weigh};
use super::{Address, EndpointHealth, EndpointState, Event, Family, FamilyHealth, Health, Target};
use crate::model::{Endpoint, Id, Model, Monitor, MonitorUse, Pool, Role, Serve};

/// A mean round trip is published anew when it is off by more than this share and more than this time.
/// Smaller wobble decides no `fastest` (its tolerance is wider), but would republish the table with
/// nearly every outcome.
const ROUND_TRIP_WOBBLE: f64 = 0.1;
const ROUND_TRIP_WOBBLE_MS: f64 = 1.0;

/// What settling changed.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The state before, of every address whose state changed; `None` where there was none.
    before: BTreeMap<(Id<Endpoint>, Family), Option<EndpointState>>,
    /// Endpoints that changed in anything.
    touched: BTreeSet<Id<Endpoint>>,
}

impl Settled {
    /// Leaves out the changes of `endpoint` itself, which were told already.
    pub fn without(mut self, endpoint: &Id<Endpoint>) -> Self {
        self.before.retain(|(id, _), _| id != endpoint);
        self
    }
}

/// The addresses of an endpoint.
pub(super) fn addresses(endpoint: &Endpoint) -> impl Iterator<Item = (Family, Address)> {
    [Family::Ipv4, Family::Ipv6, Family::Name]
        .into_iter()
        .filter_map(|family| Address::of(endpoint, family).map(|address| (family, address)))
}

impl Health {
    /// Gives every target its stream: the one it had, unless its address changed, or a new one.
    pub(super) fn adopt_streams(&mut self, old: &Model) {
        let mut before = std::mem::take(&mut self.streams);
        for watch in self.targets() {
            let was = old.endpoints.get(&watch.target.endpoint);
            let moved = was.is_some_and(|was| Address::of(was, watch.target.family).as_ref() != Some(&watch.address));
            let stream = if moved { None } else { before.remove(&watch.target) };
            self.streams.insert(watch.target, stream.unwrap_or_default());
        }
        self.unsaved.extend(before.into_keys().map(Key::Target));
    }

    /// Judges `queue` and all that depends on it.
    pub(super) fn settle(&mut self, mut queue: Vec<Id<Endpoint>>) -> Settled {
        let mut settled = Settled::default();
        let model = self.model.clone();
        while let Some(id) = queue.pop() {
            let Some(endpoint) = model.endpoints.get(&id) else { continue };
            for (family, _) in addresses(endpoint) {
                let known = self.table.endpoints.get(&id).and_then(|endpoint| endpoint.families.get(&family));
                let next = self.examine(&id, endpoint, family, known);
                if known == Some(&next) {
                    continue;
                }
                let was = known.map(|known| known.state);
                if was != Some(next.state) {
                    settled.before.entry((id.clone(), family)).or_insert(was);
                }
                let leads = |known: &FamilyHealth| (known.state, known.earliest_change_ms);
                if known.map(leads) != Some(leads(&next)) {
                    queue.extend(self.index.dependents.get(&id).into_iter().flatten().cloned());
                }
                settled.touched.insert(id.clone());
                self.generation += 1;
                let entry = self.table.endpoints.entry(id.clone()).or_default();
                let EndpointHealth { families } = Arc::make_mut(entry);
                families.insert(family, next);
            }
        }
        settled
    }

    /// Tells the changes of endpoints, moves the pools they touch and `pools`, and tells those.
    pub(super) fn finish(
        &mut self,
        settled: Settled,
        mut pools: BTreeSet<Id<Pool>>,
        now_ms: u64,
        events: &mut Vec<Event>,
    ) {
        let model = self.model.clone();
        let mut causes: BTreeMap<Id<Endpoint>, usize> = BTreeMap::new();
        for ((id, family), before) in settled.before {
            let event = before.and_then(|before| self.endpoint_event(&id, family, before, now_ms));
            if let Some(event) = event {
                causes.insert(id, events.len());
                events.push(event);
            }
        }
        for id in &settled.touched {
            pools.extend(self.index.pools_of(id).iter().cloned());
        }
        for id in &pools {
            let Some(pool) = model.pools.get(id) else { continue };
            if let Some(change) = self.step_pool(id, pool, now_ms) {
                let at = pool.members.iter().find_map(|member| causes.get(&member.endpoint));
                let trigger = at.and_then(|&at| events.get(at));
                let event = self.pool_event(id, pool, &change, trigger, now_ms);
                events.push(event);
            }
        }
        // What began an outage belongs to it as well.
        for (id, &at) in &causes {
            let incident = self.incident_of(id);
            if let Some(event) = events.get_mut(at) {
                event.incident = event.incident.or(incident);
            }
        }
    }

    /// The oldest open incident of the pools that an endpoint is in.
    pub(super) fn incident_of(&self, id: &Id<Endpoint>) -> Option<u64> {
        let records = self.index.pools_of(id).iter().filter_map(|pool| self.records.get(pool));
        records.filter_map(|record| record.kept.incident).min()
    }

    /// All that is known about one address, in the form that is published.
    fn examine(
        &self,
        id: &Id<Endpoint>,
        endpoint: &Endpoint,
        family: Family,
        known: Option<&FamilyHealth>,
    ) -> FamilyHealth {
        let verdict = self.judge(id, endpoint, family);
        let ballots = self.ballots(endpoint, id, family);
        let reason = match verdict.why {
            Why::Check(at) => ballots.get(at).map_or_else(String::new, |(_, ballot)| tell::reason(ballot)),
            ref why => tell::words(why),
        };
        let published = known.and_then(|known| known.round_trip_ms);
        FamilyHealth {
            state: verdict.state,
            forced: self.forced.get(&(id.clone(), family)).copied(),
            earliest_change_ms: verdict.earliest_change_ms,
            round_trip_ms: steady(published, mean(ballots.iter().filter_map(|(_, b)| b.stream.round_trip_ms))),
            reason,
            stale: ballots.iter().any(|(_, ballot)| ballot.role != Role::Watch && ballot.stream.stale),
        }
    }

    pub(super) fn judge(&self, id: &Id<Endpoint>, endpoint: &Endpoint, family: Family) -> Verdict {
        self.judge_as(id, endpoint, family, self.forced.get(&(id.clone(), family)).copied())
    }

    /// What each address of an endpoint would be if nobody held it.
    pub fn unheld(&self, id: &Id<Endpoint>) -> BTreeMap<Family, EndpointState> {
        let Some(endpoint) = self.model.endpoints.get(id) else { return BTreeMap::new() };
        addresses(endpoint).map(|(family, _)| (family, self.judge_as(id, endpoint, family, None).state)).collect()
    }

    fn judge_as(
        &self,
        id: &Id<Endpoint>,
        endpoint: &Endpoint,
        family: Family,
        forced: Option<EndpointState>,
    ) -> Verdict {
        if let Some((state, why)) = ruled(endpoint, forced, |needed| self.is_down(needed)) {
            let earliest_change_ms = if let Why::DependsOn(down) = &why { self.turn_ms(down) } else { None };
            return Verdict { state, why, earliest_change_ms };
        }
        let ballots: Vec<Ballot> = self.ballots(endpoint, id, family).into_iter().map(|(_, ballot)| ballot).collect();
        let own = weigh(&ballots);
        if own.state == EndpointState::Down {
            return own;
        }
        let needed_ms = endpoint.depends_on.iter().filter_map(|needed| self.turn_ms(needed));
        Verdict { earliest_change_ms: needed_ms.chain(own.earliest_change_ms).min(), ..own }
    }

    /// When an endpoint could become usable, or be so no more, at the earliest: the first address that
    /// returns makes it usable, the last one that fails ends it.
    fn turn_ms(&self, id: &Id<Endpoint>) -> Option<u64> {
        let families = &self.table.endpoints.get(id)?.families;
        let change_ms = |family: &FamilyHealth| family.earliest_change_ms;
        if self.is_down(id) {
            return families.values().filter_map(change_ms).min();
        }
        let usable = families.values().filter(|family| family.state != EndpointState::Down);
        usable.map(change_ms).collect::<Option<Vec<u64>>>()?.into_iter().max()
    }

    /// Whether no address of an endpoint is usable.
    pub(super) fn is_down(&self, id: &Id<Endpoint>) -> bool {
        self.table.is_down(id)
    }

    pub(super) fn ballots<'h>(
        &'h self,
        endpoint: &Endpoint,
        id: &Id<Endpoint>,
        family: Family,
    ) -> Vec<(Target, Ballot<'h>)> {
        let ballot = |used: &MonitorUse| {
            let target = Target { monitor: used.monitor.clone(), endpoint: id.clone(), family };
            let stream = self.streams.get(&target)?;
            let monitor: &Monitor = self.model.monitors.get(&used.monitor)?;
            Some((target, Ballot { role: used.role, monitor, stream }))
        };
        self.index.watching(id, endpoint).iter().filter_map(ballot).collect()
    }
}

/// Who wins over the checks: a forced state, then `serve`, then what the endpoint depends on.
pub(super) fn ruled(
    endpoint: &Endpoint,
    forced: Option<EndpointState>,
    is_down: impl Fn(&Id<Endpoint>) -> bool,
) -> Option<(EndpointState, Why)> {
    if let Some(forced) = forced {
        return Some((forced, Why::Forced));
    }
    match endpoint.serve {
        Serve::Always => return Some((EndpointState::Up, Why::AlwaysServed)),
        Serve::Never => return Some((EndpointState::Down, Why::NeverServed)),
        Serve::Auto => {}
    }
    let down = endpoint.depends_on.iter().find(|needed| is_down(needed))?;
    Some((EndpointState::Down, Why::DependsOn(down.clone())))
}

pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / f64::from(count))
}

/// The published value while the measured one is near it, else the measured one.
fn steady(published: Option<f64>, measured: Option<f64>) -> Option<f64> {
    match (published, measured) {
        (Some(old), Some(new)) if (new - old).abs() <= (old * ROUND_TRIP_WOBBLE).max(ROUND_TRIP_WOBBLE_MS) => Some(old),
        (old, new) => new.or(old),
    }
}
