//! What people switch, and load that is fed in.

use super::*;

#[test]
fn a_switch_acts_at_once_and_lies_on_top_of_health() {
    let mut world = World::up(active_passive(Recovery::Auto));
    let events = world.switch("primary", Admin::Drain);
    assert_eq!(told(&events), ["pools/primary: ok → drain"]);
    assert_eq!(world.pool("primary").reason, "drained by ana: kernel update");
    assert_eq!(world.switch("primary", Admin::Drain), [], "it is drained already");
    // Health goes on below, and is no outage while nobody is sent there.
    assert_eq!(told(&world.fail("web-1", 3)), ["endpoints/web-1 ipv4: up → down"]);
    assert_eq!(told(&world.switch("primary", Admin::Off)), ["pools/primary: drain → off"]);
    assert_eq!(told(&world.switch("primary", Admin::On)), ["pools/primary: off → down #1"]);
    assert_eq!(told(&world.pass("web-1", 2))[1], "pools/primary: down → ok #1");
}

#[test]
fn an_incident_stays_open_while_its_pool_is_drained() {
    let mut world = World::up(active_passive(Recovery::Auto));
    world.fail("web-1", 3);
    assert_eq!(told(&world.switch("primary", Admin::Drain)), ["pools/primary: down → drain #1"]);
    assert_eq!(told(&world.pass("web-1", 2)), ["endpoints/web-1 ipv4: down → up #1"]);
    assert_eq!(told(&world.switch("primary", Admin::On)), ["pools/primary: drain → ok #1"]);
}

#[test]
fn publishing_another_admin_ends_the_switch() {
    let mut world = World::up(active_passive(Recovery::Auto));
    world.switch("primary", Admin::Off);
    edit(&mut world.model.pools, "primary", |pool| pool.ramp = 0);
    assert_eq!(world.publish(), [], "a revision that leaves admin alone leaves the switch alone");
    assert_eq!(world.pool("primary").state, PoolState::Off);
    edit(&mut world.model.pools, "primary", |pool| pool.admin = Admin::Drain);
    let events = world.publish();
    assert_eq!(told(&events), ["pools/primary: off → drain"]);
    assert_eq!(events[0].cause, "version 3 sets admin to drain, which ends the switch by ana");
    assert_eq!(world.pool("primary").reason, "drained in the configuration");
    edit(&mut world.model.pools, "primary", |pool| pool.admin = Admin::On);
    assert_eq!(told(&world.publish()), ["pools/primary: drain → ok"]);
}

#[test]
fn a_switch_that_was_overruled_before_a_restart_ends_with_it() {
    let mut world = World::up(active_passive(Recovery::Auto));
    world.switch("primary", Admin::Drain);
    let stored = world.health.stored();
    edit(&mut world.model.pools, "primary", |pool| pool.admin = Admin::Off);
    let (health, events) = Health::new(&Arc::new(world.model), &stored, world.now_ms);
    assert_eq!(told(&events), ["pools/primary: drain → off"]);
    assert_eq!(health.table().pools[&id("primary")].reason, "switched off in the configuration");
}

#[test]
fn load_counts_until_it_is_stale() {
    let mut world = World::up(active_passive(Recovery::Auto));
    let now_ms = world.now_ms;
    assert_eq!(world.act(Switch::Load { pool: id("primary"), percent: 75.0 }), Ok(Vec::new()));
    assert_eq!(world.pool("primary").load, Some(75.0));
    assert_eq!(world.health.next_tick_ms(), Some(now_ms + 60_000));
    world.health.tick(now_ms + 59_999);
    assert_eq!(world.pool("primary").load, Some(75.0));
    world.health.tick(now_ms + 60_000);
    assert_eq!(world.pool("primary").load, None);
    for percent in [f64::NAN, f64::INFINITY, -1.0, 1000.1] {
        assert!(world.act(Switch::Load { pool: id("primary"), percent }).unwrap_err().contains("; give percent"));
    }
}
