//! Restarts and revisions: what is kept and what is forgotten.

use super::*;

fn restart(world: World) -> World {
    let stored = world.health.stored();
    World::restarted(world.model, &stored, world.now_ms + 3_600_000)
}

#[test]
fn a_restart_goes_on_with_the_last_known_states() {
    let mut world = World::up(active_passive(Recovery::Manual));
    world.fail("web-1", 3);
    let mut world = restart(world);
    assert_eq!(world.states(), (PoolState::Down, PoolState::Ok));
    let address = world.address("web-1");
    assert!(address.stale);
    assert_eq!(address.reason, "check web: down before the restart, no outcome since");
    // A stale state follows the usual thresholds.
    assert_eq!(world.pass("web-1", 1), []);
    assert!(!world.address("web-1").stale);
    assert_eq!(told(&world.pass("web-1", 1))[1], "pools/primary: down → held #1");
    let since_ms = world.pool("primary").since_ms;

    let mut world = restart(world);
    assert_eq!((world.states().0, world.pool("primary").since_ms), (PoolState::Held, since_ms));
    assert_eq!(told(&world.approve("primary").unwrap()), ["pools/primary: held → ok #1"]);
    let mut world = restart(world);
    assert_eq!(world.fail("web-2", 2), []);
    assert!(world.fail("web-2", 1).iter().all(|event| event.incident == Some(2)), "numbers go on");
}

#[test]
fn a_check_that_only_watches_makes_nothing_stale() {
    let mut model = active_passive(Recovery::Auto);
    model.monitors.insert(id("page"), Arc::new(monitor("page")));
    edit(&mut model.pools, "primary", |pool| {
        pool.monitors.push(MonitorUse { monitor: id("page"), role: Role::Watch });
    });
    let mut world = restart(World::up(model));
    assert!(world.address("web-1").stale);
    world.pass("web-1", 1);
    assert!(!world.address("web-1").stale);
}

#[test]
fn a_restart_keeps_forced_states_and_switches() {
    let mut world = World::up(active_passive(Recovery::Auto));
    world.force("web-1", Some(Down));
    world.switch("standby", Admin::Drain);
    let mut world = restart(world);
    assert_eq!(world.address("web-1").forced, Some(Down));
    assert_eq!(world.states(), (PoolState::Down, PoolState::Drain));
    assert_eq!(world.pool("standby").reason, "drained by ana: kernel update");
    assert_eq!(told(&world.force("web-1", None))[1], "pools/primary: down → ok #1");
}

#[test]
fn a_hold_by_time_begins_anew_after_a_restart() {
    let mut world = World::up(active_passive(Recovery::After(60)));
    world.fail("web-1", 3);
    world.pass("web-1", 2);
    let mut world = restart(world);
    assert_eq!(world.pool("primary").reason, "stable for 0 of 60 s");
    assert_eq!(world.health.tick(world.now_ms + 59_999), []);
    assert_eq!(told(&world.health.tick(world.now_ms + 60_000)), ["pools/primary: held → ok #1"]);
}

#[test]
fn what_is_unsaved_amounts_to_what_is_stored() {
    let mut world = World::new(active_passive(Recovery::Manual));
    let mut disk: BTreeMap<String, Value> = world.health.stored().into_iter().collect();
    let mut save = |world: &mut World, least: usize| {
        let unsaved = world.health.take_unsaved();
        assert!(unsaved.len() >= least);
        for (key, value) in unsaved {
            match value {
                Some(value) => disk.insert(key, value),
                None => disk.remove(&key),
            };
        }
        assert_eq!(disk, world.health.stored().into_iter().collect());
    };
    world.pass("web-1", 1);
    save(&mut world, 1);
    world.pass("web-1", 5);
    save(&mut world, 0);
    world.fail("web-1", 3);
    world.pass("web-1", 2);
    save(&mut world, 3);
    world.approve("primary").unwrap();
    world.force("web-2", Some(Down));
    world.switch("standby", Admin::Off);
    save(&mut world, 3);
    world.model.endpoints.remove(&id("web-2"));
    world.model.pools.remove(&id("standby"));
    world.model.policies.clear();
    world.publish();
    save(&mut world, 3);
    assert_eq!(world.health.stored().len(), 3, "the number of incidents, a target and a pool");
}

#[test]
fn stored_values_that_cannot_be_read_are_left_out() {
    let stored: Vec<(String, Value)> = [
        ("incidents", serde_json::json!("many")),
        ("targets/web/web-1/ipv4", serde_json::json!({"state": "sideways"})),
        ("targets/web/web-1", serde_json::json!({"state": "down"})),
        ("targets/web/gone/ipv4", serde_json::json!({"state": "down"})),
        ("pools/primary", serde_json::json!(7)),
        ("forced/web-1/ipv9", serde_json::json!("down")),
        ("nonsense", Value::Null),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let world = World::restarted(active_passive(Recovery::Auto), &stored, START_MS);
    assert_eq!((world.states(), world.address("web-1").state), ((PoolState::Ok, PoolState::Ok), Unknown));
}

#[test]
fn a_revision_keeps_what_is_still_configured() {
    let mut world = World::up(active_passive(Recovery::Manual));
    world.fail("web-1", 3);
    edit(&mut world.model.monitors, "web", |web| web.interval = 20);
    world.model.endpoints.insert(id("web-3"), Arc::new(endpoint("web-3", 3)));
    world.model.pools.insert(id("third"), Arc::new(pool("third", &["web-3"], Recovery::Auto)));
    assert_eq!(world.publish(), []);
    assert_eq!(world.states(), (PoolState::Down, PoolState::Ok));
    assert_eq!((world.address("web-1").state, world.address("web-3").state), (Down, Unknown));

    // Another address is another server: what was known about the old one says nothing.
    edit(&mut world.model.endpoints, "web-1", |web| web.ipv4 = Some([192, 0, 2, 77].into()));
    assert_eq!(told(&world.publish()), ["endpoints/web-1 ipv4: down → unknown #1", "pools/primary: down → held #1"]);

    world.model.endpoints.remove(&id("web-3"));
    world.model.pools.remove(&id("third"));
    world.publish();
    assert!(!world.health.table().endpoints.contains_key(&id::<Endpoint>("web-3")));
    assert!(!world.health.table().pools.contains_key(&id::<Pool>("third")));
    assert_eq!(world.outcome(&web("web-3"), Err("late".into())), [], "a late outcome is ignored");
}

#[test]
fn targets_are_endpoint_by_family_by_monitor() {
    let mut model = active_passive(Recovery::Auto);
    model.monitors.insert(id("page"), Arc::new(monitor("page")));
    edit(&mut model.endpoints, "web-1", |web| web.ipv6 = Some("2001:db8::1".parse().unwrap()));
    let own = MonitorUse { monitor: id("page"), role: Role::Vote };
    edit(&mut model.endpoints, "web-2", |web| web.monitors = vec![own.clone()]);
    edit(&mut model.pools, "standby", |pool| {
        *pool = super::pool("standby", &["web-1", "web-2"], Recovery::Auto);
        pool.monitors =
            vec![MonitorUse { role: Role::Watch, ..own }, MonitorUse { monitor: id("web"), role: Role::Watch }];
    });
    let world = World::new(model);
    let targets: Vec<String> =
        world.health.targets().iter().map(|watch| format!("{} {}", watch.target, watch.address)).collect();
    assert_eq!(
        targets,
        [
            "page/web-1/ipv4 192.0.2.1",
            "web/web-1/ipv4 192.0.2.1",
            "page/web-1/ipv6 2001:db8::1",
            "web/web-1/ipv6 2001:db8::1",
            "page/web-2/ipv4 192.0.2.2",
        ]
    );
    let roles: Vec<Role> = world.health.checks(&id("web-1")).iter().map(|check| check.role).collect();
    assert_eq!(roles, [Role::Watch, Role::Required, Role::Watch, Role::Required], "the strictest role counts");
}
