//! When an answer could change at the earliest, and what is published.

use super::*;

#[test]
fn the_ttl_countdown_follows_the_streak() {
    let mut world = World::up(active_passive(Recovery::After(60)));
    // The next probe is due 10 s after each outcome; as many as are lacking have to fail.
    let seconds = |world: &World, at: Option<u64>| at.map(|at| (at - world.now_ms) / 1000);
    let mut table = Vec::new();
    for passes in [true, false, false, false, false, true, true, true] {
        world.see("web-1", if passes { Ok(()) } else { Err("HTTP 503") });
        let (address, pool) = (world.address("web-1"), world.pool("primary"));
        table.push((
            address.state,
            seconds(&world, address.earliest_change_ms),
            pool.state,
            seconds(&world, pool.earliest_change_ms),
        ));
    }
    let expected = [
        (Up, None, PoolState::Ok, None),
        (Up, Some(20), PoolState::Ok, Some(20)),
        (Up, Some(10), PoolState::Ok, Some(10)),
        (Down, None, PoolState::Down, None),
        (Down, None, PoolState::Down, None),
        (Down, Some(10), PoolState::Down, Some(70)),
        (Up, None, PoolState::Held, Some(60)),
        (Up, None, PoolState::Held, Some(50)),
    ];
    assert_eq!(table, expected);
    assert_eq!(world.address("web-1").reason, "check web passes");
}

#[test]
fn a_pool_waits_for_as_many_members_as_are_missing() {
    let mut model = active_passive(Recovery::Auto);
    edit(&mut model.pools, "primary", |pool| {
        *pool = super::pool("primary", &["web-1", "web-2"], Recovery::Auto);
        pool.healthy_when = HealthyWhen::AtLeast(2);
    });
    let mut world = World::up(model);
    world.fail("web-1", 3);
    world.fail("web-2", 3);
    world.pass("web-1", 1);
    assert_eq!(world.pool("primary").earliest_change_ms, None, "web-2 is not on its way back");
    world.pass("web-2", 1);
    assert_eq!(world.pool("primary").earliest_change_ms, Some(world.now_ms + 10_000));
}

#[test]
fn a_steady_round_trip_is_not_published_anew() {
    let mut world = World::up(active_passive(Recovery::Auto));
    assert_eq!(world.address("web-1").round_trip_ms, Some(12.0));
    assert_eq!(world.pool("primary").round_trip_ms, Some(12.0));
    let generation = world.health.generation();
    world.pass("web-1", 100);
    assert_eq!(world.health.generation(), generation, "a clean outcome changes nothing");
    let measure = |world: &mut World, ms: f64| {
        let latency = Latency { connect_ms: Some(ms), total_ms: Some(300.0), ..Latency::default() };
        let at_ms = world.now_ms;
        let outcome = Outcome {
            at_ms,
            result: Ok(()),
            latency,
            certificate_ends: None,
            next_probe_ms: at_ms,
            said: Said::default(),
        };
        world.health.observe(&web("web-1"), &outcome);
    };
    measure(&mut world, 14.0);
    measure(&mut world, 10.6);
    assert_eq!(world.health.generation(), generation, "small wobble is not published");
    measure(&mut world, 112.0);
    assert_eq!(world.address("web-1").round_trip_ms, Some(42.0), "0.7 · 12 + 0.3 · 112");
    assert_eq!(world.pool("primary").round_trip_ms, Some(42.0));
    assert!(world.health.generation() > generation);
}

#[test]
fn the_countdown_of_a_dependency_counts_for_what_depends_on_it() {
    let mut model = active_passive(Recovery::Auto);
    edit(&mut model.endpoints, "web-1", |web| web.depends_on = vec![id("web-2")]);
    let mut world = World::up(model);
    world.fail("web-2", 1);
    let fails_ms = world.now_ms + 20_000;
    assert_eq!(world.address("web-1").earliest_change_ms, Some(fails_ms));
    assert_eq!(world.pool("primary").earliest_change_ms, Some(fails_ms));
    world.pass("web-2", 1);
    assert_eq!(world.address("web-1").earliest_change_ms, None);
    world.fail("web-2", 3);
    world.pass("web-2", 1);
    assert_eq!(world.pool("primary").earliest_change_ms, Some(world.now_ms + 10_000), "on its way back");
}
