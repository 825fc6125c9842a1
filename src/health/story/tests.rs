//! Outages and pool states as their events tell them.

use super::*;
use EventKind::{Endpoint as E, Note, Pool as P, Publish, Switch as S};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// Second, kind, subject, from, to, incident.
type Row = (i64, EventKind, &'static str, &'static str, &'static str, Option<u64>);

fn events(rows: &[Row]) -> Vec<Arc<Event>> {
    let event = |(at_row, (second, kind, subject, from, to, incident)): (usize, &Row)| Event {
        sequence: at_row as u64 + 1,
        from: (*from).into(),
        to: (*to).into(),
        cause: format!("check web of 192.0.2.1: HTTP 503 ({subject})"),
        actor: if matches!(kind, S | Note) { "ana" } else { "health" }.into(),
        incident: *incident,
        ..Event::at(at(*second), *kind, (*subject).into())
    };
    rows.iter().enumerate().map(event).map(Arc::new).collect()
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
    stories(&events(rows), &[], &members(), health).into_iter().map(one).collect()
}

/// The pool `eu` has a and b, `us` has b.
fn members() -> Model {
    let (empty, endpoint) = (Model::empty(), |n: u8| serde_json::json!({ "ipv4": format!("192.0.2.{n}") }));
    let document = serde_json::json!({
        "endpoints": { "a": endpoint(1), "b": endpoint(2) },
        "pools": {
            "eu": { "members": [{ "endpoint": "a" }, { "endpoint": "b" }] },
            "us": { "members": [{ "endpoint": "b" }] },
        },
    });
    empty.check(&empty.edits_to(&document).unwrap()).unwrap().model
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
fn endpoints_that_are_back_soon_after_their_pool_are_part_of_its_outage() {
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
    assert_eq!(told, ["3 outage eu 5-9 (8)"]);
}

#[test]
fn an_endpoint_that_its_pool_does_without_is_a_story_of_its_own() {
    let rows: &[Row] = &[
        (0, E, "endpoints/a ipv4", "up", "down", None),
        (1, E, "endpoints/a ipv6", "up", "down", None),
        (9, E, "endpoints/a ipv4", "down", "up", None),
        (20, E, "endpoints/a ipv6", "down", "up", None),
    ];
    assert_eq!(told(rows, &HealthTable::default()), ["e1 endpoint a 0-20 (4)"]);
    let rows: &[Row] = &[
        (0, E, "endpoints/a ipv4", "up", "down", None),
        (5, E, "endpoints/b ipv4", "up", "down", Some(3)),
        (5, P, "pools/eu", "ok", "down", Some(3)),
        (9, E, "endpoints/b ipv4", "down", "up", Some(3)),
        (9, P, "pools/eu", "down", "ok", Some(3)),
        (200, E, "endpoints/a ipv4", "down", "up", None),
    ];
    assert_eq!(told(rows, &HealthTable::default()), ["3 outage eu 5-9 (5)", "e1 endpoint a 0-200 (2)"]);
    assert_eq!(told(&rows[..5], &HealthTable::default()), ["3 outage eu 5-9 (5)", "e1 endpoint a 0-? (1)"]);
}

#[test]
fn an_endpoint_that_stays_down_after_its_pool_came_back_fell_when_it_fell() {
    let rows: &[Row] = &[
        (0, E, "endpoints/a ipv4", "up", "down", None),
        (2, E, "endpoints/a ipv4", "down", "up", None),
        (10, E, "endpoints/b ipv4", "up", "down", Some(3)),
        (11, E, "endpoints/a ipv4", "up", "down", Some(3)),
        (11, P, "pools/eu", "ok", "down", Some(3)),
        (20, E, "endpoints/a ipv4", "down", "up", Some(3)),
        (25, E, "endpoints/a ipv4", "up", "down", Some(3)),
        (29, E, "endpoints/b ipv4", "down", "up", Some(3)),
        (29, P, "pools/eu", "down", "ok", Some(3)),
    ];
    let stories = stories(&events(rows), &[], &members(), &HealthTable::default());
    let a = stories.iter().find(|story| story.plot == Plot::Endpoint && story.subject == "a" && story.ends.is_none());
    let a = a.expect("it is down still");
    assert_eq!((a.starts, a.began_earlier, a.steps.len()), (at(25), false, 1));
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

/// Pool `eu` of endpoints a and b, `us` of b and c.
fn model() -> Model {
    let member = |id: &str| serde_json::json!({ "endpoint": id });
    let document = serde_json::json!({
        "endpoints": { "a": { "ipv4": "192.0.2.1" }, "b": { "ipv4": "192.0.2.2" }, "c": { "ipv4": "192.0.2.3" } },
        "pools": { "eu": { "members": [member("a"), member("b")] }, "us": { "members": [member("b"), member("c")] } },
    });
    let empty = Model::empty();
    empty.check(&empty.edits_to(&document).unwrap()).unwrap().model
}

fn in_outage(pool: &str, number: u64) -> HealthTable {
    let mut health = HealthTable::default();
    let since_ms = at(-3_600).as_millisecond().unsigned_abs();
    let down = super::super::PoolHealth {
        state: PoolState::Down,
        incident: Some(number),
        since_ms,
        reason: "0 of 2 up".into(),
        ..Default::default()
    };
    health.pools.insert(pool.parse().unwrap(), std::sync::Arc::new(down));
    health
}

#[test]
fn an_outage_that_began_earlier_is_told_of_its_pool() {
    let endpoint_of = |id: &'static str| -> Vec<Arc<Event>> { events(&[(0, E, id, "up", "down", Some(7))]) };
    let later = |pool: &'static str, to: &'static str| events(&[(90, P, pool, "down", to, Some(7))]);
    let none = HealthTable::default;
    for (health, endpoint, after, plot, subject, is_open, ends) in [
        (in_outage("us", 7), "endpoints/b ipv4", vec![], Plot::Outage, "us", true, None),
        (in_outage("us", 8), "endpoints/b ipv4", vec![], Plot::Endpoint, "b", false, None),
        (none(), "endpoints/c ipv4", vec![], Plot::Outage, "us", false, None),
        (none(), "endpoints/b ipv4", later("pools/eu", "ok"), Plot::Outage, "eu", false, Some(at(90))),
        (none(), "endpoints/b ipv4", later("pools/eu", "held"), Plot::Outage, "eu", false, None),
        (none(), "endpoints/gone ipv4", vec![], Plot::Endpoint, "gone", false, None),
    ] {
        let told = stories(&endpoint_of(endpoint), &after, &model(), &health);
        let story = &told[0];
        let found = (story.plot, story.subject.as_str(), story.is_open, story.ends, story.began_earlier);
        assert_eq!((told.len(), found), (1, (plot, subject, is_open, ends, true)), "{endpoint} {after:?}");
    }
}

#[test]
fn an_outage_ends_when_its_end_is_known_from_later() {
    let rows: &[Row] = &[(0, P, "pools/eu", "ok", "down", Some(7))];
    let after = events(&[(90, P, "pools/eu", "down", "ok", Some(7))]);
    let story = stories(&events(rows), &after, &model(), &HealthTable::default()).remove(0);
    assert_eq!((story.ends, story.began_earlier), (Some(at(90)), false));
}

#[test]
fn an_outage_without_any_event_in_the_period_is_open_all_the_same() {
    let health = in_outage("us", 7);
    let mut told = stories(&events(&[(0, P, "pools/us", "ok", "down", Some(7))]), &[], &model(), &health);
    add_standing(&mut told, &health);
    assert_eq!(told.len(), 1, "it is told already");
    let mut told = stories(&events(&[(5, Publish, "configuration", "", "", None)]), &[], &model(), &health);
    add_standing(&mut told, &health);
    let story = &told[0];
    assert_eq!((told.len(), story.key, story.subject.as_str()), (2, Key::Incident(7), "us"));
    assert_eq!((story.is_open, story.began_earlier, story.starts), (true, false, at(-3_600)));
}

#[test]
fn the_reaction_counts_from_the_first_failed_check() {
    let outage = |number: u64, seconds: i64| {
        let rows: &[Row] = &[(0, P, "pools/eu", "ok", "down", None)];
        let mut event = Arc::unwrap_or_clone(events(rows).remove(0));
        event.incident = Some(number);
        event.first_failed = Some(at(-seconds));
        event.ttl = Some(30);
        event
    };
    let events = [outage(1, 21), outage(2, 4), outage(3, 60), outage(4, 23)].map(Arc::new);
    let stories = stories(&events, &[], &Model::default(), &HealthTable::default());
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

#[test]
fn a_pool_is_down_until_it_is_held_and_the_outage_lasts_until_it_answers() {
    let rows: &[Row] = &[
        (0, P, "pools/eu", "ok", "down", Some(7)),
        (20, P, "pools/eu", "down", "held", Some(7)),
        (50, P, "pools/eu", "held", "down", Some(7)),
        (55, P, "pools/eu", "down", "held", Some(7)),
        (90, S, "pools/eu", "held", "ok", Some(7)),
    ];
    for (steps, down, whole) in [(5, 25, Some(90)), (4, 25, None), (3, 20, None), (2, 20, None)] {
        let story = stories(&events(&rows[..steps]), &[], &Model::default(), &HealthTable::default()).remove(0);
        assert_eq!((story.down_seconds(at(100)), story.seconds(at(100))), (down, whole), "{steps} steps");
    }
    let health = in_outage("eu", 7);
    let open = stories(&events(&rows[..3]), &[], &Model::default(), &health).remove(0);
    assert_eq!((open.is_open, open.down_seconds(at(100)), open.seconds(at(100))), (true, 70, Some(100)));
}

#[test]
fn no_time_in_which_northing_did_not_run_counts_as_down() {
    let rows: &[Row] = &[
        (0, P, "pools/eu", "ok", "down", Some(7)),
        (60, EventKind::System, "northing", "stopped", "started", None),
        (100, P, "pools/eu", "down", "held", Some(7)),
        (200, EventKind::System, "northing", "stopped", "started", None),
        (210, P, "pools/eu", "held", "ok", Some(7)),
    ];
    let mut events = events(rows);
    for (row, ran_until) in [(1, 20), (3, 150)] {
        Arc::make_mut(&mut events[row]).ran_until = Some(at(ran_until));
    }
    let counted = |events: &[Arc<Event>], health: &HealthTable, now: i64| {
        let mut stories = stories(events, &[], &Model::default(), health);
        leave_out_stops(&mut stories, events, at(0), at(now));
        let story = stories.into_iter().find(|story| story.plot == Plot::Outage).unwrap();
        (story.seconds(at(now)), story.down_seconds(at(now)), story.stopped_seconds(at(now)))
    };
    assert_eq!(counted(&events, &HealthTable::default(), 300), (Some(210), 60, Some(90)));
    let open = in_outage("eu", 7);
    assert_eq!(counted(&events[..2], &open, 90), (Some(90), 50, Some(40)), "while it goes on");
    assert_eq!(counted(&events[..1], &open, 90), (Some(90), 90, Some(0)));
}

#[test]
fn endpoints_that_were_down_before_their_pool_are_part_of_its_outage() {
    let none = HealthTable::default();
    let rows: &[Row] = &[
        (0, E, "endpoints/b ipv4", "up", "down", None),
        (1, E, "endpoints/a ipv4", "up", "down", Some(7)),
        (1, P, "pools/eu", "ok", "down", Some(7)),
        (60, E, "endpoints/b ipv4", "down", "up", Some(7)),
        (60, P, "pools/eu", "down", "ok", Some(7)),
        (61, E, "endpoints/a ipv4", "down", "up", None),
    ];
    assert_eq!(told(rows, &none), ["7 outage eu 1-60 (6)"]);
    // With two pools each is told whole.
    let rows: &[Row] = &[
        (0, E, "endpoints/b ipv4", "up", "down", Some(7)),
        (0, P, "pools/us", "ok", "down", Some(7)),
        (5, E, "endpoints/a ipv4", "up", "down", Some(8)),
        (5, P, "pools/eu", "ok", "down", Some(8)),
    ];
    assert_eq!(told(rows, &none), ["8 outage eu 5-? (3)", "7 outage us 0-? (2)"]);
    // One that was back in time is a story of its own.
    let rows: &[Row] = &[
        (0, E, "endpoints/b ipv4", "up", "down", None),
        (3, E, "endpoints/b ipv4", "down", "up", None),
        (5, E, "endpoints/a ipv4", "up", "down", Some(8)),
        (5, P, "pools/eu", "ok", "down", Some(8)),
    ];
    assert_eq!(told(rows, &none), ["8 outage eu 5-? (2)", "e1 endpoint b 0-3 (2)"]);
}

#[test]
fn an_outage_in_which_clients_keep_their_pool_has_no_time_to_new_answers() {
    let outage = |last_resort: &[&str], instead: &[&str]| {
        let own = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let event = Event {
            sequence: 1,
            from: "ok".into(),
            to: "down".into(),
            incident: Some(7),
            first_failed: Some(at(0)),
            last_resort: own(last_resort),
            instead: own(instead),
            ttl: Some(30),
            ..Event::at(at(2), P, "pools/eu".into())
        };
        let story = stories(&[Arc::new(event)], &[], &Model::default(), &HealthTable::default()).remove(0);
        (story.reaction_ms, story.caches_end, story.last_resort.len(), story.unserved.len())
    };
    assert_eq!(outage(&["www."], &[]), (None, None, 1, 0));
    assert_eq!(outage(&["www."], &["us"]), (Some(2000), Some(at(32)), 1, 0));
    assert_eq!(outage(&[], &["us"]), (Some(2000), Some(at(32)), 0, 0));
}
