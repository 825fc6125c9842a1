//! Pools over time: failover, holds, approval, ramps, incidents.

use super::*;

#[test]
fn active_passive_with_manual_failback_goes_step_by_step() {
    let mut world = World::up(active_passive(Recovery::Manual));
    assert_eq!(world.states(), (PoolState::Ok, PoolState::Ok));

    assert_eq!(told(&world.fail("web-1", 2)), [""; 0]);
    let events = world.fail("web-1", 1);
    assert_eq!(told(&events), ["endpoints/web-1 ipv4: up → down #1", "pools/primary: ok → down #1"]);
    assert_eq!(events[0].cause, "check web of 192.0.2.1: HTTP 503, 3 times in a row");
    assert_eq!(
        events[1].cause,
        "0 of 1 endpoints healthy, 1 needed: check web of 192.0.2.1: HTTP 503, 3 times in a row"
    );
    assert!(events.iter().all(|event| event.names == ["www.example.com."] && event.actor == "health"));
    assert_eq!(world.states(), (PoolState::Down, PoolState::Ok));
    let first_ms = i64::try_from(world.now_ms - 20_000).unwrap();
    assert!(events.iter().all(|event| event.first_failed.unwrap().as_millisecond() == first_ms));
    assert_eq!((events[1].instead.as_slice(), events[1].ttl), (["standby".to_owned()].as_slice(), Some(30)));
    assert_eq!(world.pool("primary").incident, Some(1));

    let events = world.pass("web-1", 2);
    assert_eq!(told(&events), ["endpoints/web-1 ipv4: down → up #1", "pools/primary: down → held #1"]);
    assert_eq!(world.pool("primary").reason, "recovered, waits for approval");
    assert_eq!(world.pool("primary").earliest_change_ms, None);
    assert_eq!(told(&world.pass("web-1", 1000)), [""; 0], "time alone never approves");

    let events = world.approve("primary").unwrap();
    assert_eq!(told(&events), ["pools/primary: held → ok #1"]);
    assert_eq!((events[0].actor.as_str(), events[0].cause.as_str()), ("ana", "kernel update"));
    assert_eq!(events[0].kind, EventKind::Switch);

    // The next outage is another incident. Standby dies while primary is held: the engine has to use it.
    world.fail("web-1", 3);
    world.pass("web-1", 2);
    let events = world.fail("web-2", 3);
    assert_eq!(told(&events), ["endpoints/web-2 ipv4: up → down #3", "pools/standby: ok → down #3"]);
    assert_eq!((events[1].instead.as_slice(), events[1].unserved.len()), (["primary".to_owned()].as_slice(), 0));
    let events = world.health.release(&id("primary"), world.now_ms);
    assert_eq!(told(&events), ["pools/primary: held → ok #2"]);
    assert_eq!(world.health.release(&id("primary"), world.now_ms), [], "a release is told once");
    assert_eq!(world.states(), (PoolState::Ok, PoolState::Down));

    // Both down: nothing is held, so there is nothing to release.
    let events = world.fail("web-1", 3);
    assert_eq!(
        (events[1].instead.len(), events[1].last_resort.as_slice(), events[1].unserved.len()),
        (0, ["www.example.com.".to_owned()].as_slice(), 0)
    );
    assert!(events[1].answers_stay(), "primary answers on, as the last resort");
    assert_eq!(world.states(), (PoolState::Down, PoolState::Down));
    assert_eq!(world.health.release(&id("primary"), world.now_ms), []);
}

#[test]
fn only_a_held_pool_can_be_approved() {
    let mut world = World::up(active_passive(Recovery::Manual));
    let error = world.approve("primary").unwrap_err();
    assert_eq!(error, "pool primary is ok, not held; only a held pool waits for approval");
    assert_eq!(world.approve("nowhere").unwrap_err(), "there is no pool nowhere; check its id");
}

#[test]
fn a_hold_ends_by_itself_and_a_break_begins_it_anew() {
    let mut world = World::up(active_passive(Recovery::After(60)));
    world.fail("web-1", 3);
    world.pass("web-1", 2);
    let held_ms = world.now_ms;
    assert_eq!(world.pool("primary").earliest_change_ms, Some(held_ms + 60_000));
    world.pass("web-1", 1);
    world.now_ms += 2500;
    world.health.tick(world.now_ms);
    assert_eq!(world.pool("primary").reason, "stable for 12 of 60 s");

    assert_eq!(told(&world.fail("web-1", 3))[1], "pools/primary: held → down #1");
    world.pass("web-1", 2);
    let held_ms = world.now_ms;
    assert_eq!(world.health.tick(held_ms + 59_999), []);
    let events = world.health.tick(held_ms + 60_000);
    assert_eq!(told(&events), ["pools/primary: held → ok #1"]);
    assert_eq!(events[0].cause, "1 of 1 endpoints healthy, 1 needed, stable for 60 s");
    assert_eq!(world.health.next_tick_ms(), None, "all clean: nothing to wake for");
}

#[test]
fn a_clock_that_is_set_back_does_not_stretch_a_hold() {
    let mut world = World::up(active_passive(Recovery::After(60)));
    world.fail("web-1", 3);
    world.pass("web-1", 2);
    world.act(Switch::Load { pool: id("standby"), percent: 50.0 }).unwrap();
    world.now_ms -= 7_200_000;
    let back_ms = world.now_ms + 10_000;
    assert_eq!(world.pass("web-2", 1), []);
    assert_eq!(world.pool("primary").reason, "stable for 0 of 60 s");
    while world.health.next_tick_ms().is_some_and(|at_ms| at_ms <= back_ms + 60_000) {
        world.health.tick(world.health.next_tick_ms().unwrap());
    }
    assert_eq!(world.states(), (PoolState::Ok, PoolState::Ok));
    assert_eq!(world.pool("standby").load, None);
}

#[test]
fn a_recovered_pool_grows_over_its_ramp() {
    let mut model = active_passive(Recovery::Auto);
    edit(&mut model.pools, "primary", |pool| pool.ramp = 100);
    let mut world = World::up(model);
    assert_eq!(world.pool("primary").ramp_percent, 100, "a pool that was never down has no ramp");
    world.fail("web-1", 3);
    world.pass("web-1", 2);
    let from_ms = world.now_ms;
    assert_eq!(world.pool("primary").ramp_percent, 1);
    let mut last_ms = from_ms;
    while let Some(at_ms) = world.health.next_tick_ms() {
        assert!(at_ms >= last_ms + 1000, "at most a step a second");
        last_ms = at_ms;
        world.health.tick(at_ms);
        let expected = 1 + (at_ms - from_ms) * 99 / 100_000;
        assert_eq!(u64::from(world.pool("primary").ramp_percent), expected.min(100));
    }
    assert_eq!((world.pool("primary").ramp_percent, last_ms), (100, from_ms + 100_000));
}

#[test]
fn members_without_weight_or_disabled_do_not_count() {
    let mut model = active_passive(Recovery::Auto);
    edit(&mut model.pools, "primary", |pool| {
        *pool = super::pool("primary", &["web-1", "web-2"], Recovery::Auto);
        pool.healthy_when = HealthyWhen::Percent(100);
    });
    let mut world = World::up(model);
    world.fail("web-2", 3);
    assert_eq!(world.pool("primary").state, PoolState::Down);
    edit(&mut world.model.pools, "primary", |pool| pool.members[1].weight = 0);
    world.publish();
    assert_eq!(world.pool("primary").state, PoolState::Ok);
    edit(&mut world.model.pools, "primary", |pool| {
        pool.members[1].weight = 100;
        pool.members[1].enabled = false;
    });
    world.publish();
    assert_eq!(world.pool("primary").state, PoolState::Ok);
    assert_eq!(world.pool("primary").reason, "1 of 1 endpoints healthy, 1 needed");
}

#[test]
fn unknown_members_are_usable() {
    let mut world = World::new(active_passive(Recovery::Auto));
    assert_eq!((world.address("web-1").state, world.states().0), (Unknown, PoolState::Ok));
    let events = world.fail("web-1", 1);
    assert_eq!(told(&events), ["endpoints/web-1 ipv4: unknown → down #1", "pools/primary: ok → down #1"]);
    assert_eq!(told(&world.pass("web-2", 1)), ["endpoints/web-2 ipv4: unknown → up"]);
}

#[test]
fn incidents_are_numbered_and_their_events_carry_the_number() {
    let mut world = World::up(active_passive(Recovery::After(60)));
    assert!(world.fail("web-1", 3).iter().all(|event| event.incident == Some(1)));
    assert!(world.fail("web-2", 3).iter().all(|event| event.incident == Some(2)));
    assert_eq!(told(&world.pass("web-2", 2))[1], "pools/standby: down → ok #2");
    world.pass("web-1", 2);
    assert!(world.fail("web-1", 3).iter().all(|event| event.incident == Some(1)), "still the same outage");
    world.pass("web-1", 2);
    assert_eq!(told(&world.pass("web-1", 6)), ["pools/primary: held → ok #1"]);
    assert!(world.fail("web-2", 3).iter().all(|event| event.incident == Some(3)));
}

#[test]
fn an_event_lists_each_name_once_and_at_most_100() {
    let mut model = active_passive(Recovery::Auto);
    model.policies.insert(id("again"), Arc::new(policy("again", "www.example.com.", &["primary"])));
    let mut off = policy("off", "off.example.com.", &["primary"]);
    off.enabled = false;
    model.policies.insert(id("off"), Arc::new(off));
    let mut last = policy("last", "last.example.com.", &["standby"]);
    last.rules[0].last_resort = LastResort::Pool(id("primary"));
    model.policies.insert(id("last"), Arc::new(last));
    let mut world = World::up(model);
    assert_eq!(world.fail("web-1", 3)[1].names, ["www.example.com.", "last.example.com."]);
    edit(&mut world.model.policies, "www", |www| {
        www.attach = (0..500).map(|n| policy("x", &format!("n{n}.example.com."), &[]).attach.remove(0)).collect();
    });
    world.publish();
    assert_eq!(world.pass("web-1", 2)[1].names.len(), 100);
}
