//! The states of pools through a period, from the changes in it. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::story::subject_id;
use super::{EndpointState, Event, EventKind, HealthTable, PoolState};
use crate::model::{Endpoint, Id, Model, Pool};

/// A pool at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Up,
    Degraded {
        up: usize,
        of: usize,
    },
    Down,
    Held,
    Drained,
    Off,
    /// Nothing was heard of it yet, or nobody watched.
    NoData,
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

type Addresses = BTreeMap<String, EndpointState>;

/// A time of which nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Gap {
    /// How much of it lies from `from` until `to`.
    pub fn inside(&self, from: Timestamp, to: Timestamp) -> SignedDuration {
        self.to.min(to).duration_since(self.from.max(from)).max(SignedDuration::ZERO)
    }
}

/// Of the time from `from` to `to`: what was before `known_from`, and while northing did not run. `events` may go on
/// after it, the oldest come first.
pub fn gaps<'e>(
    events: impl IntoIterator<Item = &'e Arc<Event>>,
    known_from: Timestamp,
    from: Timestamp,
    to: Timestamp,
) -> Vec<Gap> {
    let starts = events.into_iter().filter_map(|event| Some((event.ran_until?, event.at)));
    let mut gaps: Vec<Gap> = Vec::new();
    for (begins, ends) in std::iter::once((from, known_from)).chain(starts) {
        let known = gaps.last().map_or(from, |gap| gap.to);
        let gap = Gap { from: begins.clamp(known, to.max(known)), to: ends.min(to) };
        match gaps.last_mut() {
            _ if gap.from >= gap.to => {}
            Some(last) if last.to == gap.from => last.to = gap.to,
            _ => gaps.push(gap),
        }
    }
    gaps
}

/// The spans of every pool that is wanted, from `from` to `to`, one after another. `events` are those of the period,
/// the oldest first, and `after` those that followed it. Where there is none about a thing in the period, it was all
/// the time as the next one found it; without any at all, as it is now. Of `gaps` nothing is known.
pub fn lanes(
    events: &[Arc<Event>],
    after: &[Arc<Event>],
    model: &Model,
    health: &HealthTable,
    gaps: &[Gap],
    (from, to): (Timestamp, Timestamp),
    wanted: impl Fn(&Id<Pool>) -> bool,
) -> BTreeMap<Id<Pool>, Vec<Span>> {
    let (of_subject, later) = (by_subject(events), by_subject(after));
    model
        .pools
        .iter()
        .filter(|(id, _)| wanted(id))
        .map(|(id, pool)| {
            let own = about(&of_subject, "pools", id.as_str());
            let next = own.first().or(about(&later, "pools", id.as_str()).first()).copied();
            let mut then = PoolThen { state: state_then(next, health, id, to), members: BTreeMap::new() };
            let mut moves = own.to_vec();
            for member in pool.members.iter().filter(|member| member.enabled && member.weight > 0) {
                let id = member.endpoint.as_str();
                let (changes, later) = (about(&of_subject, "endpoints", id), about(&later, "endpoints", id));
                let all = changes.iter().chain(later).copied();
                then.members.insert(id.to_owned(), addresses_then(all, health, &member.endpoint));
                moves.extend(changes);
            }
            moves.sort_by_key(|event| event.at);
            (id.clone(), without(&spans(then, &moves, from, to), gaps))
        })
        .collect()
}

/// The events about each pool and endpoint, by kind and id.
type BySubject<'e> = HashMap<(&'e str, &'e str), Vec<&'e Event>>;

fn about<'e>(of_subject: &'e BySubject<'e>, kind: &'e str, id: &'e str) -> &'e [&'e Event] {
    of_subject.get(&(kind, id)).map_or(&[], Vec::as_slice)
}

fn by_subject(events: &[Arc<Event>]) -> BySubject<'_> {
    let mut of_subject = BySubject::new();
    for event in events {
        let own = matches!(event.kind, EventKind::Endpoint | EventKind::Pool | EventKind::Switch);
        for kind in ["pools", "endpoints"] {
            if let Some(id) = subject_id(event, kind).filter(|_| own && !event.subject.contains(" check ")) {
                of_subject.entry((kind, id)).or_default().push(event);
            }
        }
    }
    of_subject
}

/// `next` is the first event about it since the period began.
fn state_then(next: Option<&Event>, health: &HealthTable, id: &Id<Pool>, to: Timestamp) -> PoolState {
    if let Some(next) = next {
        return pool_state(&next.from);
    }
    let to_ms = u64::try_from(to.as_millisecond()).unwrap_or(0);
    health.pools.get(id).filter(|known| known.since_ms < to_ms).map_or(PoolState::Ok, |known| known.state)
}

fn addresses_then<'e>(
    changes: impl DoubleEndedIterator<Item = &'e Event>,
    health: &HealthTable,
    id: &Id<Endpoint>,
) -> Addresses {
    let known = health.endpoints.get(id).into_iter().flat_map(|endpoint| &endpoint.families);
    let now = known.map(|(family, known)| (format!("endpoints/{id} {family}"), known.state));
    let mut addresses: Addresses = now.collect();
    for event in changes.rev() {
        addresses.insert(event.subject.clone(), heard(&event.from));
    }
    addresses
}

fn spans(mut then: PoolThen, moves: &[&Event], from: Timestamp, to: Timestamp) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut since = from;
    for event in moves {
        let at = event.at.clamp(from, to);
        add(&mut spans, then.lane(), since, at);
        since = at;
        then.hear(event);
    }
    add(&mut spans, then.lane(), since, to);
    spans
}

fn add(spans: &mut Vec<Span>, lane: Lane, from: Timestamp, to: Timestamp) {
    match spans.last_mut() {
        _ if from >= to => {}
        Some(last) if last.lane == lane => last.to = to,
        _ => spans.push(Span { lane, from, to }),
    }
}

/// The same, but for the times of which nothing is known.
fn without(spans: &[Span], gaps: &[Gap]) -> Vec<Span> {
    let mut left: Vec<Span> = Vec::new();
    for span in spans {
        let mut at = span.from;
        for gap in gaps.iter().filter(|gap| gap.from < span.to && gap.to > span.from) {
            let (begins, ends) = (gap.from.max(at), gap.to.min(span.to));
            add(&mut left, span.lane, at, begins);
            add(&mut left, Lane::NoData, begins, ends);
            at = ends;
        }
        add(&mut left, span.lane, at, span.to);
    }
    left
}

impl PoolThen {
    fn hear(&mut self, event: &Event) {
        if event.subject.starts_with("pools/") {
            self.state = pool_state(&event.to);
        } else if let Some(addresses) = subject_id(event, "endpoints").and_then(|id| self.members.get_mut(id)) {
            addresses.insert(event.subject.clone(), heard(&event.to));
        }
    }

    fn lane(&self) -> Lane {
        let all_are =
            |addresses: &Addresses, state| !addresses.is_empty() && addresses.values().all(|own| *own == state);
        let are = |state| self.members.values().filter(|addresses| all_are(addresses, state)).count();
        let (of, gone) = (self.members.len(), are(EndpointState::Down));
        match self.state {
            PoolState::Off => Lane::Off,
            PoolState::Drain => Lane::Drained,
            PoolState::Down => Lane::Down,
            PoolState::Held => Lane::Held,
            PoolState::Ok if of > 0 && are(EndpointState::Unknown) == of => Lane::NoData,
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

fn heard(word: &str) -> EndpointState {
    match word {
        "down" | "forced down" => EndpointState::Down,
        "unknown" => EndpointState::Unknown,
        _ => EndpointState::Up,
    }
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
        let lanes =
            lanes(&events.map(Arc::new), &[], &model(), &HealthTable::default(), &[], (at(0), at(60)), |_| true);
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
    fn what_changed_only_after_the_period_was_as_that_change_found_it() {
        use EventKind::{Endpoint, Pool, Switch};
        let half = Lane::Degraded { up: 1, of: 2 };
        for (after, eu) in [
            (vec![], Lane::Up),
            (vec![event(Pool, 90, "pools/eu", "down", "ok")], Lane::Down),
            (vec![event(Pool, 90, "pools/eu", "held", "ok"), event(Pool, 95, "pools/eu", "ok", "down")], Lane::Held),
            (vec![event(Switch, 90, "pools/eu", "drain", "ok")], Lane::Drained),
            (vec![event(Endpoint, 90, "endpoints/a ipv4", "down", "up")], half),
            (vec![event(Pool, 90, "pools/eu", "ok", "down")], Lane::Up),
        ] {
            // By now it has been up since long after the period.
            let mut health = HealthTable::default();
            let up = super::super::PoolHealth { since_ms: 2_000_000_000_000, ..Default::default() };
            health.pools.insert("eu".parse().unwrap(), std::sync::Arc::new(up));
            let after: Vec<Arc<Event>> = after.into_iter().map(Arc::new).collect();
            let lanes = lanes(&[], &after, &model(), &health, &[], (at(0), at(60)), |_| true);
            let span = Span { lane: eu, from: at(0), to: at(60) };
            assert_eq!(lanes[&"eu".parse().unwrap()], [span], "{after:?}");
        }
    }

    #[test]
    fn a_pool_without_events_was_as_it_is() {
        let mut health = HealthTable::default();
        let down = super::super::PoolHealth { state: PoolState::Down, ..Default::default() };
        health.pools.insert("eu".parse().unwrap(), std::sync::Arc::new(down));
        let lanes = lanes(&[], &[], &model(), &health, &[], (at(0), at(60)), |_| true);
        let eu = Span { lane: Lane::Down, from: at(0), to: at(60) };
        assert_eq!(lanes[&"eu".parse().unwrap()], [eu]);
    }

    #[test]
    fn nothing_is_drawn_of_a_time_that_nobody_watched() {
        let start = |minute, ran_until| Event {
            ran_until,
            ..event(EventKind::System, minute, "northing", "stopped", "started")
        };
        let gap = |from, to| Gap { from: at(from), to: at(to) };
        for (events, after, known_from, expected) in [
            (vec![], vec![], 0, vec![]),
            (vec![start(40, None)], vec![], 40, vec![gap(0, 40)]),
            (vec![start(20, Some(at(10))), start(40, Some(at(30)))], vec![], -90, vec![gap(10, 20), gap(30, 40)]),
            (vec![start(20, Some(at(-10)))], vec![], -90, vec![gap(0, 20)]),
            (vec![start(20, Some(at(5)))], vec![], 10, vec![gap(0, 20)]),
            (vec![], vec![start(90, Some(at(50)))], -90, vec![gap(50, 60)]),
            (vec![], vec![start(90, Some(at(70)))], -90, vec![]),
            (vec![], vec![start(90, None)], 90, vec![gap(0, 60)]),
        ] {
            let arcs = |events: Vec<Event>| events.into_iter().map(Arc::new).collect::<Vec<_>>();
            let found = gaps(arcs(events).iter().chain(&arcs(after)), at(known_from), at(0), at(60));
            assert_eq!(found, expected);
        }
        let events = [event(EventKind::Pool, 20, "pools/eu", "ok", "down")].map(Arc::new);
        let gaps = [gap(0, 10), gap(30, 40)];
        let lanes = lanes(&events, &[], &model(), &HealthTable::default(), &gaps, (at(0), at(60)), |_| true);
        let told: Vec<Lane> = lanes[&"eu".parse().unwrap()].iter().map(|span| span.lane).collect();
        assert_eq!(told, [Lane::NoData, Lane::Up, Lane::Down, Lane::NoData, Lane::Down]);
    }

    #[test]
    fn a_pool_is_without_data_until_something_is_heard_of_it() {
        let events = [
            event(EventKind::Endpoint, 20, "endpoints/a ipv4", "unknown", "up"),
            event(EventKind::Endpoint, 30, "endpoints/b ipv4", "unknown", "up"),
        ];
        let lanes =
            lanes(&events.map(Arc::new), &[], &model(), &HealthTable::default(), &[], (at(0), at(60)), |_| true);
        let told: Vec<Lane> = lanes[&"eu".parse().unwrap()].iter().map(|span| span.lane).collect();
        assert_eq!(told, [Lane::NoData, Lane::Up]);
    }
}
