//! Endpoints: thresholds, roles, dependencies, forced states, certificates.

use super::*;

#[test]
fn a_flapping_endpoint_changes_nothing() {
    let mut world = World::up(active_passive(Recovery::Auto));
    for _ in 0..1000 {
        assert_eq!(world.fail("web-1", 2), []);
        assert_eq!(world.pass("web-1", 1), []);
    }
    // Down once, it stays down while it flaps on.
    assert_eq!(world.fail("web-1", 3).len(), 2);
    for _ in 0..1000 {
        assert_eq!(world.pass("web-1", 1), []);
        assert_eq!(world.fail("web-1", 1), []);
    }
}

#[test]
fn an_endpoint_is_down_while_one_it_depends_on_is() {
    let mut model = active_passive(Recovery::Auto);
    model.endpoints.insert(id("db"), Arc::new(Endpoint { monitors: watched(), ..endpoint("db", 9) }));
    edit(&mut model.endpoints, "web-1", |web| web.depends_on = vec![id("db")]);
    edit(&mut model.endpoints, "web-2", |web| web.depends_on = vec![id("web-1")]);
    let mut world = World::up(model);
    let events = world.fail("db", 3);
    assert_eq!(
        told(&events),
        [
            "endpoints/db ipv4: up → down",
            "endpoints/web-1 ipv4: up → down #1",
            "endpoints/web-2 ipv4: up → down #2",
            "pools/primary: ok → down #1",
            "pools/standby: ok → down #2",
        ]
    );
    assert_eq!(events[1].cause, "depends on db, which is down");
    assert_eq!(world.address("web-2").reason, "depends on web-1, which is down");
    assert_eq!(told(&world.pass("db", 2)).len(), 5);
    assert_eq!(world.states(), (PoolState::Ok, PoolState::Ok));
}

fn watched() -> Vec<MonitorUse> {
    vec![MonitorUse { monitor: id("web"), role: Role::Required }]
}

#[test]
fn serve_and_force_win_over_checks() {
    let mut model = active_passive(Recovery::Auto);
    edit(&mut model.endpoints, "web-1", |web| web.serve = Serve::Always);
    edit(&mut model.endpoints, "web-2", |web| web.serve = Serve::Never);
    let mut world = World::new(model);
    assert!(world.health.targets().is_empty(), "nothing to learn from a probe");
    let reasons = ["web-1", "web-2"].map(|name| (world.address(name).state, world.address(name).reason.clone()));
    assert_eq!(reasons, [(Up, "always served".into()), (Down, "never served".into())]);
    assert_eq!(world.states(), (PoolState::Ok, PoolState::Down));

    let events = world.force("web-1", Some(Down));
    assert_eq!(told(&events), ["endpoints/web-1 ipv4: up → forced down #2", "pools/primary: ok → down #2"]);
    assert_eq!((events[0].kind, events[0].actor.as_str()), (EventKind::Switch, "ana"));
    assert_eq!(events[1].cause, "0 of 1 endpoints healthy, 1 needed: web-1 forced down by ana");
    assert_eq!(world.force("web-1", Some(Down)), [], "it is forced already");
    assert_eq!(world.address("web-1").forced, Some(Down));
    let events = world.force("web-1", None);
    assert_eq!(told(&events), ["endpoints/web-1 ipv4: forced down → up #2", "pools/primary: down → ok #2"]);
}

#[test]
fn a_forced_endpoint_is_still_checked() {
    let mut world = World::up(active_passive(Recovery::Auto));
    world.force("web-1", Some(Up));
    assert_eq!(world.fail("web-1", 5), []);
    assert_eq!((world.address("web-1").state, world.address("web-1").earliest_change_ms), (Up, None));
    assert_eq!(told(&world.force("web-1", None))[0], "endpoints/web-1 ipv4: forced up → down #1");
}

#[test]
fn what_cannot_be_forced_is_refused_with_a_remedy() {
    let mut world = World::up(active_passive(Recovery::Auto));
    let mut force =
        |endpoint: &str, family, state| world.act(Switch::Force { endpoint: id(endpoint), family, state }).unwrap_err();
    assert_eq!(force("gone", None, Some(Up)), "there is no endpoint gone; check its id");
    assert_eq!(
        force("web-1", Some(Family::Ipv6), Some(Up)),
        "endpoint web-1 has no ipv6 address; name a family that it has, or none for all"
    );
    assert!(force("web-1", None, Some(Unknown)).starts_with("unknown cannot be forced; "));
}

#[test]
fn a_monitor_that_only_watches_reports_and_decides_nothing() {
    let mut model = active_passive(Recovery::Auto);
    model.monitors.insert(id("page"), Arc::new(monitor("page")));
    edit(&mut model.pools, "primary", |pool| {
        pool.monitors.push(MonitorUse { monitor: id("page"), role: Role::Watch });
    });
    let mut world = World::up(model);
    let page = Target { monitor: id("page"), ..web("web-1") };
    let events: Vec<Event> = (0..3).flat_map(|_| world.outcome(&page, Err("HTTP 500".into()))).collect();
    assert_eq!(told(&events), ["endpoints/web-1 ipv4 check page: up → down"]);
    assert_eq!(events[0].cause, "check page of 192.0.2.1: HTTP 500, 3 times in a row (only watched)");
    assert_eq!(world.address("web-1").state, Up);
    let checks = world.health.checks(&id("web-1"));
    let shown: Vec<_> = checks.iter().map(|c| (c.monitor.as_str(), c.state, c.finding.as_str())).collect();
    assert_eq!(shown, [("page", Down, "HTTP 500"), ("web", Up, "answered in 12 ms")]);
}

#[test]
fn a_vote_that_decides_is_told_with_its_count() {
    let mut model = active_passive(Recovery::Auto);
    let vote = |name: &str| MonitorUse { monitor: id(name), role: Role::Vote };
    for name in ["a", "b", "c"] {
        model.monitors.insert(id(name), Arc::new(monitor(name)));
    }
    edit(&mut model.pools, "primary", |pool| pool.monitors = vec![vote("a"), vote("b"), vote("c")]);
    let mut world = World::up(model);
    let mut fail = |name: &str| -> Vec<Event> {
        let target = Target { monitor: id(name), ..web("web-1") };
        (0..3).flat_map(|_| world.outcome(&target, Err("connection refused".into()))).collect()
    };
    assert_eq!(fail("a"), []);
    let events = fail("b");
    assert_eq!(events[0].cause, "check b of 192.0.2.1: connection refused, 3 times in a row; 1 of 3 votes up");
}

#[test]
fn a_slow_success_is_a_failure() {
    let mut model = active_passive(Recovery::Auto);
    edit(&mut model.monitors, "web", |web| web.max_latency_ms = Some(500));
    let mut world = World::up(model);
    let latency = Latency { total_ms: Some(812.4), ..Latency::default() };
    let outcome = Outcome {
        at_ms: START_MS,
        result: Ok(()),
        latency,
        certificate_ends: None,
        next_probe_ms: START_MS,
        said: Said::default(),
    };
    let events: Vec<Event> = (0..3).flat_map(|_| world.health.observe(&web("web-1"), &outcome)).collect();
    assert_eq!(events[0].cause, "check web of 192.0.2.1: answered in 812 ms, more than 500, 3 times in a row");
}

#[test]
fn each_address_has_its_own_state() {
    let mut model = active_passive(Recovery::Auto);
    edit(&mut model.endpoints, "web-1", |web| web.ipv6 = Some("2001:db8::1".parse().unwrap()));
    let mut world = World::up(model);
    assert_eq!(told(&world.fail("web-1", 3)), ["endpoints/web-1 ipv4: up → down"]);
    assert_eq!(world.states().0, PoolState::Ok, "the endpoint still has a usable address");
    let target = Target { family: Family::Ipv6, ..web("web-1") };
    let events: Vec<Event> = (0..3).flat_map(|_| world.outcome(&target, Err("timed out".into()))).collect();
    assert_eq!(told(&events), ["endpoints/web-1 ipv6: up → down #1", "pools/primary: ok → down #1"]);
}

#[test]
fn an_endpoint_without_monitors_is_up() {
    let mut model = active_passive(Recovery::Auto);
    edit(&mut model.pools, "primary", |pool| pool.monitors.clear());
    let world = World::new(model);
    assert_eq!((world.address("web-1").state, world.address("web-1").reason.as_str()), (Up, "not monitored"));
}

#[test]
fn a_certificate_is_warned_about_once_per_level() {
    let mut model = active_passive(Recovery::Auto);
    let check = crate::model::HttpCheck {
        port: 443,
        method: Default::default(),
        path: "/".into(),
        host: None,
        headers: Vec::new(),
        expect_status: "200".parse().unwrap(),
        expect_body: None,
        follow: false,
        verify_tls: true,
        cert_warn_days: 14,
    };
    edit(&mut model.monitors, "web", |web| web.check = Check::Https(check));
    let mut world = World::up(model);
    let ends = |days: u64| jiff::Timestamp::from_millisecond((START_MS + days * 86_400_000) as i64).unwrap();
    let on_day = |world: &mut World, day: u64, ends_on: u64| {
        let at_ms = START_MS + day * 86_400_000;
        let latency = Latency::default();
        let certificate_ends = Some(ends(ends_on));
        let outcome =
            Outcome { at_ms, result: Ok(()), latency, certificate_ends, next_probe_ms: at_ms, said: Said::default() };
        let events = world.health.observe(&web("web-1"), &outcome);
        events.iter().map(|event| format!("{:?} {}", event.kind, event.to)).collect::<Vec<_>>()
    };
    assert_eq!(on_day(&mut world, 0, 20), [""; 0]);
    assert_eq!(on_day(&mut world, 6, 20), ["Certificate ends in 14 days"]);
    assert_eq!(on_day(&mut world, 7, 20), [""; 0]);
    let stored = world.health.stored();
    let mut world = World::restarted(world.model, &stored, START_MS);
    assert_eq!(on_day(&mut world, 8, 20), [""; 0], "a restart does not warn again");
    assert_eq!(on_day(&mut world, 17, 20), ["Certificate ends in 3 days"]);
    assert_eq!(on_day(&mut world, 21, 20), ["Certificate expired"]);
    assert_eq!(on_day(&mut world, 22, 20), [""; 0]);
    assert_eq!(on_day(&mut world, 23, 100), [""; 0], "renewed");
    assert_eq!(on_day(&mut world, 90, 100), ["Certificate ends in 10 days"]);
}
