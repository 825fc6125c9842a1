//! What holds whatever happens.

use proptest::prelude::*;

use super::*;

/// The state by definition: looks back from the newest outcome for a row that is long enough.
fn by_definition(outcomes: &[bool], fail_after: usize, recover_after: usize) -> EndpointState {
    let Some(&first) = outcomes.first() else { return Unknown };
    for end in (1..=outcomes.len()).rev() {
        let row = |passed: bool| outcomes[..end].iter().rev().take_while(|&&o| o == passed).count();
        if row(true) >= recover_after {
            return Up;
        }
        if row(false) >= fail_after {
            return Down;
        }
    }
    if first { Up } else { Down }
}

proptest! {
    #[test]
    fn no_state_without_its_evidence(
        outcomes in prop::collection::vec(any::<bool>(), 0..60),
        fail_after in 1u8..=5,
        recover_after in 1u8..=5,
    ) {
        let mut model = active_passive(Recovery::Auto);
        edit(&mut model.monitors, "web", |web| (web.fail_after, web.recover_after) = (fail_after, recover_after));
        let mut world = World::new(model);
        for end in 0..=outcomes.len() {
            if end > 0 {
                world.see("web-1", if outcomes[end - 1] { Ok(()) } else { Err("HTTP 503") });
            }
            let expected = by_definition(&outcomes[..end], fail_after.into(), recover_after.into());
            prop_assert_eq!(world.address("web-1").state, expected);
            let pool = if expected == Down { PoolState::Down } else { PoolState::Ok };
            prop_assert_eq!(world.states().0, pool);
        }
    }

    /// A server that hangs from some moment on is Down within the bound that the monitor states,
    /// and never before `fail_after` checks failed.
    #[test]
    fn detection_is_bounded(
        interval in 1u32..=60,
        timeout_share in 0.1f64..=1.0,
        confirm in 0u8..=3,
        fail_after in 1u8..=10,
        hangs_after_ms in 0u64..=60_000,
    ) {
        let mut model = active_passive(Recovery::Auto);
        edit(&mut model.monitors, "web", |web| {
            (web.interval, web.timeout) = (interval, (f64::from(interval) * timeout_share).max(0.2));
            (web.confirm, web.fail_after) = (confirm, fail_after);
        });
        let monitor = model.monitors[&id::<Monitor>("web")].clone();
        let mut world = World::up(model);
        let timeout_ms = (monitor.timeout * 1000.0) as u64;
        let hangs_ms = world.now_ms + hangs_after_ms;
        let (mut start_ms, mut failed) = (world.now_ms, 0);
        loop {
            let hangs = start_ms >= hangs_ms;
            let took_ms = if hangs { timeout_ms + u64::from(confirm) * (1000 + timeout_ms) } else { 12 };
            let result = if hangs { Err("no answer".to_owned()) } else { Ok(()) };
            let at_ms = start_ms + took_ms;
            // A check that takes longer than the interval delays the next one.
            start_ms = (start_ms + u64::from(interval) * 1000).max(at_ms);
            let outcome = Outcome {
                at_ms, result, latency: Latency::default(), certificate_ends: None, next_probe_ms: start_ms,
                said: Said::default(),
            };
            world.health.observe(&web("web-1"), &outcome);
            failed += u8::from(hangs);
            if world.address("web-1").state == Down {
                prop_assert_eq!(failed, fail_after);
                let late_ms = (at_ms - hangs_ms) as f64;
                let delays = (took_ms.saturating_sub(u64::from(interval) * 1000) * u64::from(fail_after)) as f64;
                prop_assert!(late_ms <= monitor.worst_detection_seconds() * 1000.0 + delays + 1.0);
                break;
            }
            prop_assert!(failed < fail_after);
            if hangs {
                let earliest_ms = world.address("web-1").earliest_change_ms;
                let lacking = u64::from(fail_after - failed - 1) * u64::from(interval) * 1000;
                prop_assert_eq!(earliest_ms, Some(start_ms + lacking), "an answer expires before the flip");
            }
        }
    }

    /// Whatever happens, the table and the events tell the same story, and a restart forgets none of it.
    #[test]
    fn events_tell_every_change_of_the_table(
        steps in prop::collection::vec((0u8..8, any::<bool>(), 0u64..90), 1..80),
    ) {
        let recovery = [Recovery::Auto, Recovery::After(60), Recovery::Manual][steps.len() % 3];
        let mut world = World::up(active_passive(recovery));
        let mut known = BTreeMap::from([("pools/primary", "ok".to_owned()), ("pools/standby", "ok".to_owned())]);
        for (step, flag, seconds) in steps {
            world.now_ms += seconds * 1000;
            let name = if flag { "web-1" } else { "web-2" };
            let pool = if flag { "primary" } else { "standby" };
            let mut events = world.health.tick(world.now_ms);
            events.extend(match step {
                0 | 1 => world.fail(name, 3),
                2 | 3 => world.pass(name, 2),
                4 => world.switch(pool, if seconds % 2 == 0 { Admin::Drain } else { Admin::On }),
                5 => world.approve(pool).unwrap_or_default(),
                6 => world.health.release(&id(pool), world.now_ms),
                _ => world.force(name, [None, Some(Up), Some(Down)][seconds as usize % 3]),
            });
            for event in &events {
                if let Some(state) = known.get_mut(event.subject.as_str()) {
                    prop_assert_eq!(&*state, &event.from);
                    prop_assert_ne!(&event.from, &event.to);
                    *state = event.to.clone();
                }
                if ["down", "held"].contains(&event.to.as_str()) && event.kind == EventKind::Pool {
                    prop_assert!(event.incident.is_some());
                }
                prop_assert!(!event.cause.is_empty());
            }
            for (subject, state) in &known {
                let pool = &world.health.table().pools[&id(&subject["pools/".len()..])];
                prop_assert_eq!(&pool.state.to_string(), state);
            }
            let again = World::restarted(world.model.clone(), &world.health.stored(), world.now_ms);
            prop_assert_eq!(again.states(), world.states());
        }
    }
}

/// Four servers, a check every 10 s, an outage of one of them every few minutes.
#[test]
fn a_day_of_failovers_opens_and_closes_every_incident() {
    let mut model = active_passive(Recovery::After(60));
    model.endpoints.insert(id("web-3"), Arc::new(endpoint("web-3", 3)));
    edit(&mut model.pools, "primary", |primary| *primary = pool("primary", &["web-1", "web-3"], Recovery::After(60)));
    let mut world = World::up(model);
    let mut open: BTreeMap<u64, String> = BTreeMap::new();
    let (mut events, mut closed) = (0, 0);
    for round in 0..8640u64 {
        world.now_ms = START_MS + round * 10_000;
        let mut told = world.health.tick(world.now_ms);
        for (n, name) in ["web-1", "web-2", "web-3"].iter().enumerate() {
            // Servers n fails for n + 3 rounds of every 40 + n.
            let n = n as u64;
            let result = if round % (40 + n) < n + 3 { Err("HTTP 503".to_owned()) } else { Ok(()) };
            told.extend(world.outcome(&web(name), result));
        }
        events += told.len();
        for event in told.iter().filter(|event| event.kind == EventKind::Pool) {
            let incident = event.incident.unwrap();
            if event.to == "ok" {
                assert_eq!(open.remove(&incident).as_ref(), Some(&event.subject));
                closed += 1;
            } else {
                assert_eq!(open.entry(incident).or_insert(event.subject.clone()), &event.subject);
            }
        }
    }
    assert!(open.len() <= 2 && closed > 200, "{closed} closed, {} open, {events} events", open.len());
}
