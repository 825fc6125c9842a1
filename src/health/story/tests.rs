//! Outages and pool states as their events tell them.

use super::*;
use EventKind::{Endpoint as E, Note, Pool as P, Publish, Switch as S};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// Second, kind, subject, from, to, incident.
type Row = (i64, EventKind, &'static str, &'static str, &'static str, Option<u64>);

fn events(rows: &[Row]) -> Vec<Event> {
    let event = |(at_row, (second, kind, subject, from, to, incident)): (usize, &Row)| Event {
        sequence: at_row as u64 + 1,
        from: (*from).into(),
        to: (*to).into(),
        cause: format!("check web of 192.0.2.1: HTTP 503 ({subject})"),
        actor: if matches!(kind, S | Note) { "ana" } else { "health" }.into(),
        incident: *incident,
        ..Event::at(at(*second), *kind, (*subject).into())
    };
    rows.iter().enumerate().map(event).collect()
}

/// `key plot subject from-to (steps)`.
fn told(rows: &[Row], health: &HealthTable) -> Vec<String> {
    let since = |time: Timestamp| time.duration_since(at(0)).as_secs();
    let one = |story: Story| {
        let end = match (story.is_open, story.ends) {
            (true, _) => "open".to_owned(),
            (_, Some(end)) => since(end).to_string(),
            _ => "?".to_owned(),
        };
        let plot = serde_json::to_value(story.plot).unwrap();
        let (key, subject, start) = (story.key, story.subject, since(story.starts));
        format!("{key} {} {subject} {start}-{end} ({})", plot.as_str().unwrap(), story.steps.len())
    };
    stories(&events(rows), &Model::default(), health).into_iter().map(one).collect()
}

#[test]
fn events_of_one_outage_are_one_story() {
    let rows: &[Row] = &[
        (0, E, "endpoints/a ipv4", "up", "down", Some(7)),
        (0, P, "pools/eu", "ok", "down", Some(7)),
        (30, Note, "history/7", "", "", None),
        (60, E, "endpoints/a ipv4", "down", "up", Some(7)),
        (60, P, "pools/eu", "down", "held", Some(7)),
        (90, S, "pools/eu", "held", "ok", Some(7)),
        (91, Publish, "configuration", "", "", None),
    ];
    let none = HealthTable::default();
    assert_eq!(told(rows, &none), ["e7 notice configuration 91-91 (1)", "7 outage eu 0-90 (6)"]);
}

#[test]
fn an_endpoint_that_its_pool_does_without_is_a_story_of_its_own() {
    let rows: &[Row] = &[
        (0, E, "endpoints/a ipv4", "up", "down", None),
        (1, E, "endpoints/a ipv6", "up", "down", None),
        (5, E, "endpoints/b ipv4", "up", "down", Some(3)),
        (5, P, "pools/eu", "ok", "down", Some(3)),
        (9, E, "endpoints/a ipv4", "down", "up", Some(3)),
        (9, P, "pools/eu", "down", "ok", Some(3)),
        (20, E, "endpoints/a ipv6", "down", "up", None),
        (30, E, "endpoints/b ipv4", "down", "up", None),
    ];
    let told = told(rows, &HealthTable::default());
    assert_eq!(told, ["3 outage eu 5-9 (5)", "e1 endpoint a 0-20 (4)"]);
}

#[test]
fn a_switch_lasts_until_the_pool_is_on_again() {
    let rows: &[Row] = &[
        (0, S, "pools/eu", "ok", "drain", None),
        (5, S, "pools/eu", "drain", "off", None),
        (9, S, "pools/eu", "off", "ok", None),
        (20, S, "endpoints/a ipv4", "up", "forced down", None),
        (30, S, "endpoints/a ipv4", "forced down", "up", None),
        (40, S, "pools/us", "ok", "drain", None),
    ];
    let none = HealthTable::default();
    assert_eq!(told(rows, &none), ["e6 switch us 40-? (1)", "e4 switch a 20-30 (2)", "e1 switch eu 0-9 (3)"]);
}

#[test]
fn what_health_still_has_is_open_and_first() {
    let mut health = HealthTable::default();
    let down = super::super::PoolHealth { state: PoolState::Down, incident: Some(1), ..Default::default() };
    health.pools.insert("eu".parse().unwrap(), std::sync::Arc::new(down));
    let rows: &[Row] = &[
        (0, P, "pools/eu", "ok", "down", Some(1)),
        (10, P, "pools/us", "ok", "down", Some(2)),
        (20, P, "pools/us", "down", "ok", Some(2)),
    ];
    assert_eq!(told(rows, &health), ["1 outage eu 0-open (1)", "2 outage us 10-20 (2)"]);
}

#[test]
fn the_reaction_counts_from_the_first_failed_check() {
    let outage = |number: u64, seconds: i64| {
        let rows: &[Row] = &[(0, P, "pools/eu", "ok", "down", None)];
        let mut event = events(rows).remove(0);
        event.incident = Some(number);
        event.first_failed = Some(at(-seconds));
        event.ttl = Some(30);
        event
    };
    let events = [outage(1, 21), outage(2, 4), outage(3, 60), outage(4, 23)];
    let stories = stories(&events, &Model::default(), &HealthTable::default());
    assert_eq!(median_reaction_ms(&stories), Some(22_000));
    assert_eq!(median_reaction_ms(&[]), None);
    assert_eq!(stories[0].caches_end, Some(at(30)));
}

#[test]
fn reasons_are_told_by_their_words() {
    for (cause, reason) in [
        ("check web of 192.0.2.1: HTTP 503, expected 200, 3 times in a row", Reason::Http),
        ("check web of 192.0.2.1: connection refused", Reason::Refused),
        ("check web of 192.0.2.1: no HTTP answer within 1 s", Reason::TimedOut),
        ("check web of 192.0.2.1: answered in 900 ms, more than 500", Reason::TimedOut),
        ("check web of 192.0.2.1: certificate expired 3 days ago", Reason::Tls),
        ("check ns of 192.0.2.1: SERVFAIL for example.com. A", Reason::Dns),
        ("depends on db-1, which is down", Reason::Dependency),
        ("destination unreachable", Reason::Unreachable),
        ("forced by an operator", Reason::Other),
    ] {
        assert_eq!(Reason::of(cause, true), reason, "{cause}");
    }
}

#[test]
fn a_key_reads_back() {
    for key in [Key::Incident(12), Key::Event(345)] {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    assert!("x".parse::<Key>().is_err());
}
