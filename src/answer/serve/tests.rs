//! Policies from client to record: the worked examples of the model, shares, TTLs and scopes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::fixture::{NOW_MS, World, ask, ask_from, client, line, rule};
use super::super::{Rcode, Snapshot};
use super::*;
use crate::health::{EndpointState, Family};
use crate::model::{Admin, Locate, Shed};

const WWW: &str = "www.example.test.";
const CLIENTS: u32 = 20_000;

fn world(pools: &[&str]) -> World {
    let mut world = World::default();
    world.zone("example.test.").pools(pools);
    world
}

fn pool_of(snapshot: &Snapshot, answer: &Answer) -> String {
    let pool = answer.credit.unwrap().pool;
    pool.map_or_else(|| "none".into(), |pool| snapshot.pool_ids()[pool as usize].to_string())
}

/// The n-th of 20,000 client prefixes, spread over 64.0.0.0/6.
fn prefix(n: u32) -> Client {
    let address = std::net::Ipv4Addr::from_bits(0x4000_0000 + n.wrapping_mul(0x0000_3500) % 0x0400_0000);
    client(Some((&address.to_string(), 24)))
}

/// Which pool each client gets, in a world as it is now.
fn pools_of_clients(world: &World) -> Vec<String> {
    let (snapshot, mut entropy) = (world.snapshot(), Entropy::new(42));
    let ask = |n| pool_of(&snapshot, &ask_from(&snapshot, WWW, RecordType::A, &prefix(n), &mut entropy));
    (0..CLIENTS).map(ask).collect()
}

/// Share of clients by pool, in percent.
fn shares(world: &World) -> BTreeMap<String, f64> {
    let mut shares = BTreeMap::new();
    for pool in pools_of_clients(world) {
        *shares.entry(pool).or_default() += 100.0 / f64::from(CLIENTS);
    }
    shares
}

fn assert_shares(world: &World, expected: &[(&str, f64)]) {
    let shares = shares(world);
    assert_eq!(shares.len(), expected.len(), "{shares:?}");
    for (pool, percent) in expected {
        assert!((shares[*pool] - percent).abs() < 1.2, "{shares:?}, {pool} should have {percent} %");
    }
}

/// Example A of the model: EU-sovereign with failover and a canary of a tenth.
fn sovereign() -> World {
    let mut world = world(&["eu-main", "eu-canary", "eu-backup", "us-main"]);
    world.region("eea", &["cidr:64.0.0.0/6"]);
    let eea = rule(&["eea"], &["weighted eu-main=90 eu-canary=10!", "weighted eu-backup=100"], "serve_anyway");
    let others = rule(&[], &["weighted us-main=100", "weighted eu-main=100"], "serve_anyway");
    world.policy("web", WWW, vec![eea, others]).sticky = Sticky::Client;
    world
}

#[test]
fn example_a_keeps_the_eu_in_the_eu_and_never_lets_the_canary_take_over() {
    use PoolState::Down;
    assert_shares(&sovereign(), &[("eu-main", 90.0), ("eu-canary", 10.0)]);
    assert_shares(sovereign().pool_is("eu-canary", Down), &[("eu-main", 100.0)]);
    assert_shares(sovereign().pool_is("eu-main", Down), &[("eu-backup", 100.0)]);
    let mut all_down = sovereign();
    all_down.pool_is("eu-main", Down).pool_is("eu-backup", Down);
    assert_shares(&all_down, &[("eu-main", 100.0)]);
    assert_shares(all_down.pool_is("eu-canary", Down), &[("eu-main", 100.0)]);
    let snapshot = sovereign().snapshot();
    let elsewhere = ask_from(&snapshot, WWW, RecordType::A, &client(Some(("9.9.9.0", 0))), &mut Entropy::new(1));
    assert_eq!(pool_of(&snapshot, &elsewhere), "us-main");
}

#[test]
fn example_a_moves_a_tenth_when_the_canary_grows_by_a_tenth() {
    let mut world = sovereign();
    let before = pools_of_clients(&world);
    let pools = &mut world.edit_policy("web").rules[0].steps[0].pools;
    (pools[0].weight, pools[1].weight) = (80, 20);
    let after = pools_of_clients(&world);
    let moved: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
    assert!(moved.iter().all(|(a, b)| *a == "eu-main" && *b == "eu-canary"));
    let percent = 100.0 * moved.len() as f64 / f64::from(CLIENTS);
    assert!((percent - 10.0).abs() < 1.0, "{percent}");
}

#[test]
fn example_b_fails_over_waits_for_approval_and_falls_back_on_the_held_pool() {
    use PoolState::{Down, Held, Ok};
    let mut world = world(&["primary", "standby"]);
    world.policy("web", WWW, vec![rule(&[], &["weighted primary=1", "weighted standby=1"], "serve_anyway")]);
    for (primary, standby, pool, ttl, releases) in [
        (Ok, Ok, "primary", 30, false),
        (Down, Ok, "standby", 30, false),
        (Held, Ok, "standby", 30, false),
        (Held, Down, "primary", 30, true),
        (Down, Down, "primary", 10, false),
        (Down, Held, "standby", 30, true),
    ] {
        world.pool_is("primary", primary).pool_is("standby", standby);
        let snapshot = world.snapshot();
        let answer = ask(&snapshot, WWW, RecordType::A);
        let got = (pool_of(&snapshot, &answer), answer.answer[0].ttl, answer.credit.unwrap().releases_hold);
        assert_eq!(got, (pool.to_owned(), ttl, releases), "{primary:?} {standby:?}");
    }
}

#[test]
fn example_c_sheds_to_the_next_fastest_but_never_into_nothing() {
    let mut world = world(&["eu", "us", "ap"]);
    world.policy("web", WWW, vec![rule(&[], &["fastest ap=100 us=100 eu=100"], "serve_anyway")]);
    for (pool, ms) in [("eu", 20.0), ("us", 90.0), ("ap", 200.0)] {
        world.edit_pool(pool).shed = Shed { low: Some(70.0), high: Some(90.0), ..Shed::default() };
        Arc::make_mut(world.health.pools.entry(pool.parse().unwrap()).or_default()).round_trip_ms = Some(ms);
    }
    for sticky in [Sticky::None, Sticky::Client] {
        world.edit_policy("web").sticky = sticky;
        assert_shares(world.load("eu", 60.0), &[("eu", 100.0)]);
        assert_shares(world.load("eu", 75.0), &[("eu", 75.0), ("us", 25.0)]);
        assert_shares(world.load("eu", 80.0), &[("eu", 50.0), ("us", 50.0)]);
        assert_shares(world.load("eu", 95.0), &[("us", 100.0)]);
        assert_shares(world.load("us", 99.0).load("ap", 99.0).load("eu", 99.0), &[("eu", 100.0)]);
        world.load("us", 0.0).load("ap", 0.0);
    }
}

#[test]
fn pools_about_as_fast_as_the_fastest_share_and_unmeasured_ones_come_in_listed_order() {
    let mut world = world(&["a", "b", "c"]);
    world.policy("web", WWW, vec![rule(&[], &["fastest a=30 b=10 c=10"], "serve_anyway")]);
    assert_shares(&world, &[("a", 100.0)]);
    assert_shares(world.pool_is("a", PoolState::Down), &[("b", 100.0)]);
    world.pool_is("a", PoolState::Ok);
    let mut measure = |pool: &str, ms| {
        Arc::make_mut(world.health.pools.entry(pool.parse().unwrap()).or_default()).round_trip_ms = Some(ms);
        shares(&world).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(measure("c", 200.0), ["c"]);
    assert_eq!(measure("b", 190.0), ["b", "c"]);
    assert_eq!(measure("a", 20.0), ["a"]);
    assert_eq!(measure("b", 30.0), ["a", "b"]);
    assert_eq!(measure("b", 30.1), ["a"]);
    measure("b", 25.0);
    assert_shares(&world, &[("a", 75.0), ("b", 25.0)]);
}

#[test]
fn a_pool_that_ramps_up_gets_that_part_of_its_share_also_when_it_is_alone_in_its_step() {
    let mut world = world(&["primary", "standby"]);
    world.policy("web", WWW, vec![rule(&[], &["weighted primary=1", "weighted standby=1"], "serve_anyway")]);
    Arc::make_mut(world.health.pools.entry("primary".parse().unwrap()).or_default()).ramp_percent = 20;
    assert_shares(&world, &[("primary", 20.0), ("standby", 80.0)]);
    world.edit_policy("web").rules[0].steps[0].pools[0].weight = 100;
    let beside = world.edit_policy("web").rules[0].steps.pop().unwrap();
    world.edit_policy("web").rules[0].steps[0].pools.extend(beside.pools);
    world.edit_policy("web").rules[0].steps[0].pools[1].weight = 100;
    assert_shares(&world, &[("primary", 10.0), ("standby", 90.0)]);
}

#[test]
fn drained_and_switched_off_pools_are_answered_nowhere() {
    let mut world = world(&["a", "b"]);
    let rules = vec![rule(&[], &["weighted a=1", "weighted b=1"], "serve_anyway")];
    world.policy("web", WWW, rules);
    for (a, b, pool) in [
        (PoolState::Drain, PoolState::Ok, "b"),
        (PoolState::Off, PoolState::Ok, "b"),
        // The first step has nobody left, so the last resort goes on to the next.
        (PoolState::Off, PoolState::Down, "b"),
        (PoolState::Off, PoolState::Drain, "none"),
    ] {
        assert_shares(world.pool_is("a", a).pool_is("b", b), &[(pool, 100.0)]);
    }
    let snapshot = world.snapshot();
    let nothing = ask(&snapshot, WWW, RecordType::A);
    assert!(line(&nothing).starts_with("NOERROR aa | | example.test. 10 SOA"), "{}", line(&nothing));
    // Without health of its own a pool is as its switch stands.
    world.health.pools.clear();
    world.edit_pool("a").admin = Admin::Drain;
    assert_shares(&world, &[("b", 100.0)]);
}

#[test]
fn the_last_resort_says_what_it_is_set_to() {
    let mut world = world(&["a", "other"]);
    world.pool_is("a", PoolState::Down);
    for (last_resort, expected) in [
        ("serve_anyway", "NOERROR aa | ? 10 A 192.0.2.1"),
        ("pool:other", "NOERROR aa | ? 10 A 192.0.2.2"),
        (
            "no_answer",
            "NOERROR aa | | example.test. 10 SOA ns1.example.test. hostmaster.example.test. 7 3600 600 1209600 60",
        ),
        ("refuse", "REFUSED -"),
    ] {
        world.policy("web", WWW, vec![rule(&[], &["weighted a=1"], last_resort)]);
        assert_eq!(line(&ask(&world.snapshot(), WWW, RecordType::A)), expected);
    }
    world.policy("web", WWW, vec![rule(&[], &["weighted a=1"], "pool:other")]);
    world.pool_is("other", PoolState::Off);
    assert!(ask(&world.snapshot(), WWW, RecordType::A).answer.is_empty());
}

/// One pool of web-1 to web-4, which have both families.
fn servers() -> World {
    let mut world = World::default();
    world.zone("example.test.");
    for n in 1..=4 {
        world.endpoint(&format!("web-{n}"), &[&format!("192.0.2.{n}"), &format!("2001:db8::{n}")]);
    }
    world.pool("eu", &["web-1", "web-2", "web-3", "web-4"]);
    world.policy("web", WWW, vec![rule(&[], &["weighted eu=1"], "serve_anyway")]);
    world
}

/// How often each server is in 20,000 answers, by the last byte of its address.
fn servings(world: &World) -> BTreeMap<u8, u32> {
    let (snapshot, mut entropy, mut counts) = (world.snapshot(), Entropy::new(7), BTreeMap::new());
    for n in 0..CLIENTS {
        for set in ask_from(&snapshot, WWW, RecordType::A, &prefix(n), &mut entropy).answer {
            set.data.iter().for_each(|data| *counts.entry(data[3]).or_default() += 1);
        }
    }
    counts
}

#[test]
fn servers_share_by_weight_and_those_out_of_service_are_never_answered() {
    for sticky in [Sticky::None, Sticky::Client] {
        let mut world = servers();
        world.edit_policy("web").sticky = sticky;
        world.edit_pool("eu").members[0].weight = 300;
        world.edit_pool("eu").members[1].weight = 0;
        let counts = servings(&world);
        assert_eq!(counts.keys().copied().collect::<Vec<_>>(), [1, 3, 4]);
        let square = |n, share: f64| {
            let expected = f64::from(CLIENTS) * share;
            (f64::from(counts[&n]) - expected).powi(2) / expected
        };
        // Chi-square of two degrees of freedom, p = 0.0005.
        assert!(square(1, 0.6) + square(3, 0.2) + square(4, 0.2) < 15.2, "{counts:?}");

        world.edit_pool("eu").members[0].enabled = false;
        world.edit_endpoint("web-3").serve = crate::model::Serve::Never;
        assert_eq!(servings(&world).into_keys().collect::<Vec<_>>(), [4]);
        world.pool_is("eu", PoolState::Down).endpoint_is("web-4", EndpointState::Down);
        assert_eq!(servings(&world).into_keys().collect::<Vec<_>>(), [4]);
    }
}

#[test]
fn the_lowest_priority_number_with_a_living_server_answers() {
    let mut world = servers();
    for (member, priority) in world.edit_pool("eu").members.iter_mut().zip([1, 1, 2, 3]) {
        member.priority = priority;
    }
    let mut living = |down: &[&str]| {
        for n in ["web-1", "web-2", "web-3", "web-4"] {
            let state = if down.contains(&n) { EndpointState::Down } else { EndpointState::Up };
            world.endpoint_is(n, state);
        }
        servings(&world).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(living(&[]), [1, 2]);
    assert_eq!(living(&["web-1"]), [2]);
    assert_eq!(living(&["web-1", "web-2"]), [3]);
    assert_eq!(living(&["web-1", "web-2", "web-3"]), [4]);
}

#[test]
fn a_last_resort_prefers_up_to_unknown_to_down() {
    let mut world = servers();
    world.pool_is("eu", PoolState::Down);
    for n in ["web-1", "web-2", "web-3", "web-4"] {
        world.endpoint_is(n, EndpointState::Down);
    }
    assert_eq!(servings(&world).len(), 4);
    world.endpoint_is("web-2", EndpointState::Unknown);
    assert_eq!(servings(&world).into_keys().collect::<Vec<_>>(), [2]);
    world.endpoint_is("web-3", EndpointState::Up);
    assert_eq!(servings(&world).into_keys().collect::<Vec<_>>(), [3]);
}

#[test]
fn an_answer_holds_several_servers_once_each() {
    let mut world = servers();
    for (policy, pool, count) in [(1, None, 1), (3, None, 3), (16, None, 4), (1, Some(2), 2), (16, Some(1), 1)] {
        for sticky in [Sticky::None, Sticky::Client] {
            world.edit_policy("web").answers = policy;
            world.edit_policy("web").sticky = sticky;
            world.edit_pool("eu").answers = pool;
            let snapshot = world.snapshot();
            for seed in 0..50 {
                let answer = ask_from(&snapshot, WWW, RecordType::A, &prefix(seed), &mut Entropy::new(seed.into()));
                let data = &answer.answer[0].data;
                let distinct: std::collections::BTreeSet<_> = data.iter().collect();
                assert_eq!((data.len(), distinct.len()), (count, count));
            }
        }
    }
}

#[test]
fn a_sticky_client_keeps_its_server_while_others_go() {
    let mut world = servers();
    world.edit_policy("web").sticky = Sticky::Client;
    let all = world.snapshot();
    let less = all.with_health(&world.endpoint_is("web-2", EndpointState::Down).health);
    for n in 0..2000 {
        let first = |snapshot, rtype, seed| {
            let answer = ask_from(snapshot, WWW, rtype, &prefix(n), &mut Entropy::new(seed));
            *answer.answer[0].data[0].last().unwrap()
        };
        let server = first(&all, RecordType::A, 1);
        assert_eq!(server, first(&all, RecordType::A, 2));
        assert_eq!(server, first(&all, RecordType::AAAA, 3), "both families lead to one server");
        assert!(server == 2 || first(&less, RecordType::A, 4) == server);
        assert_ne!(first(&less, RecordType::A, 4), 2);
    }
}

#[test]
fn aaaa_never_leads_to_another_pool_than_a() {
    let mut world = world(&["a", "b"]);
    world.edit_endpoint("a").ipv6 = None;
    world.policy("web", WWW, vec![rule(&[], &["weighted a=1", "weighted b=1"], "serve_anyway")]);
    let snapshot = world.snapshot();
    let aaaa = ask(&snapshot, WWW, RecordType::AAAA);
    assert_eq!(pool_of(&snapshot, &aaaa), "a");
    assert!(line(&aaaa).starts_with("NOERROR aa | | example.test. 30 SOA"), "{}", line(&aaaa));
    // With one family down the pool still answers, by the other.
    let mut world = servers();
    for n in ["web-1", "web-2", "web-3", "web-4"] {
        let families = &mut Arc::make_mut(world.health.endpoints.entry(n.parse().unwrap()).or_default()).families;
        families.entry(Family::Ipv6).or_default().state = EndpointState::Down;
        families.entry(Family::Ipv4).or_default().state = EndpointState::Up;
    }
    assert!(ask(&world.snapshot(), WWW, RecordType::AAAA).answer.is_empty());
    assert_eq!(servings(&world).len(), 4);
}

#[test]
fn ttls_end_when_what_could_change_this_answer_could_change() {
    let mut world = world(&["best", "good", "other"]);
    world.policy(
        "web",
        WWW,
        vec![rule(&[], &["weighted best=1", "weighted good=1", "weighted other=1"], "serve_anyway")],
    );
    let ttl = |world: &World| ask(&world.snapshot(), WWW, RecordType::A).answer[0].ttl;
    let change = |world: &mut World, pool: &str, seconds: Option<u64>| {
        let health = Arc::make_mut(world.health.pools.entry(pool.parse().unwrap()).or_default());
        health.earliest_change_ms = seconds.map(|seconds| NOW_MS + seconds * 1000);
    };
    assert_eq!(ttl(&world), 30);
    // Failures of a pool that others come before change nothing.
    change(&mut world, "good", Some(8));
    assert_eq!(ttl(&world), 30);
    change(&mut world, "best", Some(9));
    assert_eq!(ttl(&world), 9);
    world.pool_is("best", PoolState::Down);
    assert_eq!(ttl(&world), 8);
    change(&mut world, "good", None);
    assert_eq!(ttl(&world), 9, "the better pool could return");
    change(&mut world, "best", None);
    change(&mut world, "other", Some(6));
    assert_eq!(ttl(&world), 30);
    // A server of the answer, and one that would be preferred to it.
    let mut world = servers();
    world.edit_pool("eu").members[0].priority = 2;
    world.edit_pool("eu").members.truncate(2);
    let server = |world: &mut World, id: &str, state, seconds: Option<u64>| {
        world.endpoint_is(id, state);
        for family in Arc::make_mut(world.health.endpoints.get_mut(&id.parse().unwrap()).unwrap()).families.values_mut()
        {
            family.earliest_change_ms = seconds.map(|seconds| NOW_MS + seconds * 1000);
        }
    };
    server(&mut world, "web-1", EndpointState::Up, Some(7));
    assert_eq!(ttl(&world), 30);
    server(&mut world, "web-2", EndpointState::Up, Some(9));
    assert_eq!(ttl(&world), 9);
    server(&mut world, "web-1", EndpointState::Up, None);
    server(&mut world, "web-2", EndpointState::Down, Some(6));
    assert_eq!(ttl(&world), 6);
}

#[test]
fn scopes_are_as_the_decision_needs_them() {
    let mut world = world(&["a", "b", "c"]);
    world.region("wide", &["cidr:10.0.0.0/8"]).region("narrow", &["cidr:10.1.2.0/24"]);
    let one = |region: &[&str], pool: &str| rule(region, &[&format!("weighted {pool}=1")], "serve_anyway");
    world.policy("web", WWW, vec![one(&["narrow"], "b"), one(&["wide"], "a"), one(&[], "c")]);
    let table = [
        ("10.1.2.0", 24, 24, "b"),
        ("10.1.3.0", 24, 24, "a"),
        ("10.9.0.0", 16, 13, "a"),
        ("10.200.1.0", 24, 9, "a"),
        ("172.16.1.0", 24, 1, "c"),
        // Not specific enough: most of it, and what would have been.
        ("10.1.0.0", 16, 23, "a"),
        ("10.1.2.0", 0, 0, "c"),
    ];
    for (address, source, scope, pool) in table {
        let snapshot = world.snapshot();
        let asked = client(Some((address, source)));
        let answer = ask_from(&snapshot, WWW, RecordType::A, &asked, &mut Entropy::new(1));
        assert_eq!((answer.scope, pool_of(&snapshot, &answer).as_str()), (scope, pool), "{address}/{source}");
    }
    let scope = |world: &World, address, source| {
        let snapshot = world.snapshot();
        ask_from(&snapshot, WWW, RecordType::A, &client(Some((address, source))), &mut Entropy::new(1)).scope
    };
    world.edit_policy("web").sticky = Sticky::Client;
    assert_eq!(scope(&world, "172.16.1.0", 24), 24);
    assert_eq!(scope(&world, "172.16.1.7", 32), 24);
    assert_eq!(scope(&world, "172.16.0.0", 16), 24);
    assert_eq!(scope(&world, "2a00:1::", 56), 48);
    assert_eq!(scope(&world, "172.16.1.0", 0), 0);
    world.edit_policy("web").locate = Locate::Resolver;
    assert_eq!(scope(&world, "172.16.1.0", 24), 0);
    // Negative answers hold for everyone.
    world.edit_policy("web").locate = Locate::EcsThenResolver;
    for pool in ["a", "b", "c"] {
        world.edit_endpoint(pool).ipv4 = None;
    }
    assert_eq!(scope(&world, "172.16.1.0", 24), 0);
    assert_eq!(ask(&world.snapshot(), "no.example.test.", RecordType::A).scope, 0);
}

#[test]
fn a_private_subnet_counts_as_absent_and_its_answer_stays_with_it() {
    let mut world = world(&["a", "b"]);
    world.region("resolvers", &["cidr:198.51.100.0/24"]);
    let one = |region: &[&str], pool: &str| rule(region, &[&format!("weighted {pool}=1")], "serve_anyway");
    world.policy("web", WWW, vec![one(&["resolvers"], "a"), one(&[], "b")]);
    let snapshot = world.snapshot();
    for (address, source, scope, pool) in [("192.168.7.0", 24, 24, "a"), ("8.8.8.0", 24, 1, "b")] {
        let asked = client(Some((address, source)));
        let answer = ask_from(&snapshot, WWW, RecordType::A, &asked, &mut Entropy::new(1));
        assert_eq!((answer.scope, pool_of(&snapshot, &answer).as_str()), (scope, pool), "{address}");
    }
}

#[test]
fn everyone_in_a_returned_scope_gets_the_same_answer() {
    let mut world = sovereign();
    world.region("eea", &["cidr:8.0.0.0/7", "cidr:10.4.0.0/14", "cidr:10.5.1.0/24"]);
    let (snapshot, mut entropy) = (world.snapshot(), Entropy::new(11));
    let answer_of = |bits: u32, source: u8| {
        let address = std::net::Ipv4Addr::from_bits(bits).to_string();
        let answer = ask_from(&snapshot, WWW, RecordType::A, &client(Some((&address, source))), &mut Entropy::new(1));
        (answer.answer[0].data[0].to_vec(), answer.scope)
    };
    for _ in 0..5_000 {
        let bits = 0x0800_0000 + entropy.below(0x0400_0000) as u32;
        let (data, scope) = answer_of(bits, 32);
        let other = bits ^ (entropy.next() as u32).checked_shr(scope.into()).unwrap_or(0);
        assert_eq!(answer_of(other, 32), (data, scope), "{bits:x} {other:x}/{scope}");
    }
}

#[test]
fn pools_and_maps_that_nothing_touched_are_shared() {
    let mut world = sovereign();
    let before = world.snapshot();
    let sick = before.with_health(&world.pool_is("eu-main", PoolState::Down).health);
    let same = |a: &Snapshot, b: &Snapshot, number| {
        std::ptr::eq(a.pools().get(number).unwrap(), b.pools().get(number).unwrap())
    };
    let number = |id: &str| before.pool_ids().iter().position(|known| known.as_str() == id).unwrap() as u32;
    assert!(!same(&before, &sick, number("eu-main")));
    assert!(same(&before, &sick, number("us-main")));
    // Another policy with the same regions, and one pool less.
    let rules = world.edit_policy("web").rules.clone();
    world.policy("second", "second.example.test.", rules);
    world.model.pools.remove(&"eu-canary".parse().unwrap());
    let model = std::sync::Arc::new(world.model.clone());
    let after = Snapshot::compile(&model, before.geo(), &world.health, Some(&before));
    let map = |snapshot: &Snapshot, number| {
        std::sync::Arc::as_ptr(snapshot.plans().plan(number).unwrap().map.as_ref().unwrap())
    };
    assert_eq!(map(&before, 0), map(&after, 0));
    assert_eq!(map(&after, 0), map(&after, 1));
    assert_eq!(after.policy_ids().iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["web", "second"]);
    assert_eq!(before.pool_ids(), after.pool_ids(), "numbers outlive what they stand for");
    assert!(after.pools().get(number("eu-canary")).is_none());
    let other_geo = std::sync::Arc::new(crate::geo::Base::empty());
    let moved = Snapshot::compile(&model, &other_geo, &world.health, Some(&after));
    assert_ne!(map(&after, 0), map(&moved, 0));
}

#[test]
fn nearest_follows_distance_and_goes_on_to_the_next_nearest() {
    let mut world = world(&["fra", "nyc"]);
    for (pool, lat, lon) in [("fra", 50.1, 8.7), ("nyc", 40.7, -74.0)] {
        let pool = world.edit_pool(pool);
        (pool.lat, pool.lon) = (Some(lat), Some(lon));
    }
    world.policy("web", WWW, vec![rule(&[], &["nearest nyc=100 fra=100"], "serve_anyway")]);
    // Without a database nobody has a place, so the listed order holds.
    assert_shares(&world, &[("nyc", 100.0)]);
    assert_shares(world.pool_is("nyc", PoolState::Down), &[("fra", 100.0)]);
}

#[test]
fn a_pool_without_a_usable_server_is_passed_over() {
    let mut world = world(&["a", "b"]);
    world.policy("web", WWW, vec![rule(&[], &["weighted a=1", "weighted b=1"], "refuse")]);
    world.edit_pool("a").members[0].enabled = false;
    assert_shares(&world, &[("b", 100.0)]);
    world.edit_pool("b").members[0].weight = 0;
    assert_eq!(ask(&world.snapshot(), WWW, RecordType::A).rcode, Rcode::Refused);
}

#[test]
fn an_answer_counts_for_the_regions_of_the_rule_that_admitted_its_client() {
    let mut world = world(&["a", "b"]);
    world.region("office", &["cidr:64.0.0.0/8"]).region("lab", &["cidr:65.0.0.0/8"]);
    let inside = rule(&["office", "lab"], &["weighted a=1"], "no_answer");
    let everyone = rule(&[], &["weighted b=1"], "no_answer");
    world.policy("web", WWW, vec![inside.clone(), everyone.clone()]);
    let before = world.snapshot();
    let counted = |snapshot: &Snapshot, subnet: &str| {
        let answer = ask_from(snapshot, WWW, RecordType::A, &client(Some((subnet, 24))), &mut Entropy::new(1));
        let number = answer.credit.unwrap().audience;
        let audience = &snapshot.audiences()[number as usize];
        let regions = audience.regions.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(" ");
        let pool = audience.pool.as_ref().map_or("nobody", |pool| pool.as_str());
        (number, format!("{} {regions}, {pool}", audience.policy))
    };
    let (office, lab, other) =
        (counted(&before, "64.1.2.0"), counted(&before, "65.1.2.0"), counted(&before, "66.1.2.0"));
    assert_eq!((office.1.as_str(), other.1.as_str()), ("web lab office, a", "web , b"));
    assert_eq!(office, lab, "nobody looks which of them it was");

    // Whom nothing answers counts all the same, and what a number says stays through an edit.
    world.pool_is("a", PoolState::Off);
    let alone = rule(&["lab"], &["weighted a=1"], "no_answer");
    world.edit_policy("web").rules = vec![alone, inside, everyone];
    let model = Arc::new(world.model.clone());
    let after = Snapshot::compile(&model, before.geo(), &world.health, Some(&before));
    assert_eq!(counted(&after, "66.1.2.0"), other);
    assert_eq!(counted(&after, "64.1.2.0").1, "web lab office, nobody");
    assert_eq!(counted(&after, "65.1.2.0").1, "web lab, nobody");
    assert_eq!(&after.audiences()[..before.audiences().len()], before.audiences());
}
