//! The states of pools through a period, from the changes in it. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::story::subject_id;
use super::{EndpointState, Event, EventKind, HealthTable, PoolState};
use crate::model::{Id, Model, Pool};

/// A pool at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Up,
    Degraded { up: usize, of: usize },
    Down,
    Held,
    Drained,
    Off,
}

/// How long a pool was so.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub lane: Lane,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// What is known of everything when the period begins, moved on event by event.
#[derive(Debug, Clone)]
struct PoolThen {
    state: PoolState,
    /// Members that count, and how many addresses of each are down, of how many.
    members: BTreeMap<String, Addresses>,
}

type Addresses = BTreeMap<String, bool>;

/// Every pool's spans from `from` to `to`, without gaps. `events` are those of the period, the oldest first; where
/// there is none about a thing, it was all the time as it is now.
pub fn lanes(
    events: &[Event],
    model: &Model,
    health: &HealthTable,
    from: Timestamp,
    to: Timestamp,
) -> BTreeMap<Id<Pool>, Vec<Span>> {
    let mut of_subject: BTreeMap<(&str, &str), Vec<&Event>> = BTreeMap::new();
    for event in events {
        let own = matches!(event.kind, EventKind::Endpoint | EventKind::Pool | EventKind::Switch);
        for kind in ["pools", "endpoints"] {
            if let Some(id) = subject_id(event, kind).filter(|_| own && !event.subject.contains(" check ")) {
                of_subject.entry((kind, id)).or_default().push(event);
            }
        }
    }
    let of = |kind: &'static str, id: &str| -> Vec<&Event> {
        let known = of_subject.get(&(kind, id));
        known.cloned().unwrap_or_default()
    };
    model
        .pools
        .iter()
        .map(|(id, pool)| {
            let own = of("pools", id.as_str());
            let mut then = PoolThen { state: state_then(&own, health, id, to), members: BTreeMap::new() };
            let mut moves = own;
            for member in pool.members.iter().filter(|member| member.enabled && member.weight > 0) {
                let changes = of("endpoints", member.endpoint.as_str());
                then.members.insert(member.endpoint.to_string(), addresses_then(&changes, health, &member.endpoint));
                moves.extend(changes);
            }
            moves.sort_by_key(|event| event.at);
            (id.clone(), spans(then, &moves, from, to))
        })
        .collect()
}

fn state_then(own: &[&Event], health: &HealthTable, id: &Id<Pool>, to: Timestamp) -> PoolState {
    if let Some(first) = own.first() {
        return pool_state(&first.from);
    }
    let to_ms = u64::try_from(to.as_millisecond()).unwrap_or(0);
    health.pools.get(id).filter(|known| known.since_ms < to_ms).map_or(PoolState::Ok, |known| known.state)
}

fn addresses_then(changes: &[&Event], health: &HealthTable, id: &Id<crate::model::Endpoint>) -> Addresses {
    let known = health.endpoints.get(id).into_iter().flat_map(|endpoint| &endpoint.families);
    let now = known.map(|(family, known)| (format!("endpoints/{id} {family}"), known.state == EndpointState::Down));
    let mut addresses: Addresses = now.collect();
    for event in changes.iter().rev() {
        addresses.insert(event.subject.clone(), is_down(&event.from));
    }
    addresses
}

fn spans(mut then: PoolThen, moves: &[&Event], from: Timestamp, to: Timestamp) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut since = from;
    let mut push = |lane: Lane, from: Timestamp, to: Timestamp| match spans.last_mut() {
        _ if from >= to => {}
        Some(last) if last.lane == lane => last.to = to,
        _ => spans.push(Span { lane, from, to }),
    };
    for event in moves {
        let at = event.at.clamp(from, to);
        push(then.lane(), since, at);
        since = at;
        then.hear(event);
    }
    push(then.lane(), since, to);
    spans
}

impl PoolThen {
    fn hear(&mut self, event: &Event) {
        if event.subject.starts_with("pools/") {
            self.state = pool_state(&event.to);
        } else if let Some(addresses) = subject_id(event, "endpoints").and_then(|id| self.members.get_mut(id)) {
            addresses.insert(event.subject.clone(), is_down(&event.to));
        }
    }

    fn lane(&self) -> Lane {
        let is_gone = |addresses: &&Addresses| !addresses.is_empty() && addresses.values().all(|down| *down);
        let (of, gone) = (self.members.len(), self.members.values().filter(is_gone).count());
        match self.state {
            PoolState::Off => Lane::Off,
            PoolState::Drain => Lane::Drained,
            PoolState::Down => Lane::Down,
            PoolState::Held => Lane::Held,
            PoolState::Ok if gone > 0 => Lane::Degraded { up: of - gone, of },
            PoolState::Ok => Lane::Up,
        }
    }
}

fn pool_state(word: &str) -> PoolState {
    match word {
        "down" => PoolState::Down,
        "held" => PoolState::Held,
        "drain" => PoolState::Drain,
        "off" => PoolState::Off,
        _ => PoolState::Ok,
    }
}

fn is_down(word: &str) -> bool {
    matches!(word, "down" | "forced down")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn event(kind: EventKind, minute: i64, subject: &str, from: &str, to: &str) -> Event {
        Event { from: from.into(), to: to.into(), ..Event::at(at(minute), kind, subject.into()) }
    }

    fn model() -> Model {
        let document = serde_json::json!({
            "endpoints": { "a": { "ipv4": "192.0.2.1" }, "b": { "ipv4": "192.0.2.2" }, "c": { "ipv4": "192.0.2.3" } },
            "pools": { "eu": { "members": [{ "endpoint": "a" }, { "endpoint": "b" }] },
                       "us": { "members": [{ "endpoint": "c" }] } },
        });
        let empty = Model::empty();
        empty.check(&empty.edits_to(&document).unwrap()).unwrap().model
    }

    #[test]
    fn lanes_follow_pools_and_their_endpoints() {
        use EventKind::{Endpoint, Pool, Switch};
        let events = [
            event(Endpoint, 10, "endpoints/a ipv4", "up", "down"),
            event(Endpoint, 20, "endpoints/b ipv4", "up", "down"),
            event(Pool, 20, "pools/eu", "ok", "down"),
            event(Endpoint, 30, "endpoints/a ipv4", "down", "up"),
            event(Pool, 30, "pools/eu", "down", "held"),
            event(Switch, 35, "pools/eu", "held", "ok"),
            event(Endpoint, 40, "endpoints/b ipv4", "down", "up"),
            event(Switch, 50, "pools/us", "drain", "ok"),
        ];
        let lanes = lanes(&events, &model(), &HealthTable::default(), at(0), at(60));
        let told = |id: &str| -> Vec<(Lane, i64)> {
            let minutes = |span: &Span| span.to.duration_since(span.from).as_mins();
            lanes[&id.parse().unwrap()].iter().map(|span| (span.lane, minutes(span))).collect()
        };
        let half = Lane::Degraded { up: 1, of: 2 };
        let eu = [(Lane::Up, 10), (half, 10), (Lane::Down, 10), (Lane::Held, 5), (half, 5), (Lane::Up, 20)];
        assert_eq!(told("eu"), eu);
        assert_eq!(told("us"), [(Lane::Drained, 50), (Lane::Up, 10)]);
    }

    #[test]
    fn a_pool_without_events_was_as_it_is() {
        let mut health = HealthTable::default();
        let down = super::super::PoolHealth { state: PoolState::Down, ..Default::default() };
        health.pools.insert("eu".parse().unwrap(), std::sync::Arc::new(down));
        let lanes = lanes(&[], &model(), &health, at(0), at(60));
        let eu = Span { lane: Lane::Down, from: at(0), to: at(60) };
        assert_eq!(lanes[&"eu".parse().unwrap()], [eu]);
    }
}
