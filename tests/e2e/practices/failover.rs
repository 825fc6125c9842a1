//! Who answers when something fails, and when it comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{World, document, endpoints, in_order, on_request, pool, step, with};
use crate::backend::Backend;
use crate::server::{Server, until};

fn http(backend: &Backend) -> Value {
    json!({ "type": "http", "port": backend.address.port(), "path": "/health" })
}

fn endpoint(backend: &Backend, monitor: &str) -> Value {
    json!({ "ipv4": backend.address.ip(), "monitors": [{ "monitor": monitor }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_address_leaves_the_round_robin_and_comes_back() {
    let mut one = Backend::start("127.2.1.1:0".parse().unwrap()).await;
    let two = Backend::start("127.2.1.2:0".parse().unwrap()).await;
    let quick = json!({ "interval": 1, "timeout": 1, "confirm": 0, "fail_after": 2, "recover_after": 2 });
    let world = World::new(document(json!({
        "monitors": { "one": with(http(&one), quick.clone()), "two": with(http(&two), quick) },
        "endpoints": { "one": endpoint(&one, "one"), "two": endpoint(&two, "two") },
        "pools": { "both": pool(&["one", "two"]) },
        "policies": { "app": with(in_order(&[step(&["both"])]), json!({ "answers": 2 })) },
    })))
    .await;
    world.answers(&["127.2.1.1", "127.2.1.2"]).await;
    world.first_check("one").await;
    one.kill().await;
    world.answers(&["127.2.1.2"]).await;
    one.revive().await;
    world.answers(&["127.2.1.1", "127.2.1.2"]).await;
}

/// A server whose n-th answer has the n-th of these statuses, and the last one from then on.
async fn scripted(statuses: &'static [u16]) -> u16 {
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = move || {
        let at = asked.fetch_add(1, Ordering::Relaxed).min(statuses.len() - 1);
        async move { StatusCode::from_u16(statuses[at]).unwrap() }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/health", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

/// A primary at 127.0.0.1 that `monitor` watches, and a standby that nothing watches.
fn primary_and_standby(monitor: Value, recovery: &str) -> Value {
    document(json!({
        "monitors": { "web": monitor },
        "endpoints": {
            "first": { "ipv4": "127.0.0.1", "monitors": [{ "monitor": "web" }] },
            "second": { "ipv4": "192.0.2.2" },
        },
        "pools": { "primary": with(pool(&["first"]), json!({ "recovery": recovery })), "standby": pool(&["second"]) },
        "policies": { "app": in_order(&[step(&["primary"]), step(&["standby"])]) },
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_failures_in_a_row_switch_and_only_successes_in_a_row_switch_back() {
    let port = scripted(&[200, 503, 503, 200, 503, 503, 503, 200, 503, 200, 200]).await;
    let monitor = on_request(json!({ "type": "http", "port": port, "path": "/health" }));
    let world = World::new(primary_and_standby(monitor, "auto")).await;
    world.first_check("first").await;
    // Down after 3 in a row, up after 2.
    for (asked, expected) in ["up", "up", "up", "up", "up", "down", "down", "down", "down", "up"].iter().enumerate() {
        let check = world.check("first").await;
        assert_eq!(check["state"], *expected, "after check {}: {check}", asked + 2);
        let wanted = if *expected == "up" { "127.0.0.1" } else { "192.0.2.2" };
        assert_eq!(world.answer(), [wanted], "after check {}", asked + 2);
    }
    let events = until("both changes", async || {
        Some(world.events("subject=endpoints/first").await).filter(|all| all.len() >= 3)
    })
    .await;
    let told: Vec<&str> = events.iter().rev().map(|event| event["to"].as_str().unwrap()).collect();
    assert_eq!(told, ["up", "down", "up"]);
    assert!(events[1]["cause"].as_str().unwrap().contains("3 times in a row"), "{}", events[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovered_pool_serves_again_after_its_seconds() {
    let port = scripted(&[503, 200]).await;
    let monitor = on_request(json!({ "type": "http", "port": port, "path": "/health", "recover_after": 1 }));
    let world = World::new(primary_and_standby(monitor, "after 2")).await;
    world.first_check("first").await;
    world.answers(&["192.0.2.2"]).await;
    world.check("first").await;
    world.answers(&["127.0.0.1"]).await;
    let pool = until("the end of the hold", async || {
        Some(world.events("subject=pools/primary").await).filter(|events| events[0]["to"] == "ok")
    })
    .await;
    let at = |event: &Value| event["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!((&pool[0]["from"], &pool[1]["to"]), (&json!("held"), &json!("held")));
    let held = at(&pool[0]).duration_since(at(&pool[1]));
    assert!(held.as_millis() >= 2_000, "held for {held:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovered_pool_waits_until_somebody_approves() {
    let port = scripted(&[503, 200]).await;
    let monitor = on_request(json!({ "type": "http", "port": port, "path": "/health", "recover_after": 1 }));
    let world = World::new(primary_and_standby(monitor, "manual")).await;
    world.first_check("first").await;
    world.answers(&["192.0.2.2"]).await;
    let check = world.check("first").await;
    assert_eq!(check["state"], "up");
    assert_eq!(world.server.get("/api/v1/health").await["pools"]["primary"]["state"], "held");
    assert_eq!(world.answer(), ["192.0.2.2"]);
    world.server.post("/api/v1/pools/primary/approve", json!({ "reason": "looked at the database" })).await;
    assert_eq!(world.answer(), ["127.0.0.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn active_passive_and_active_active_combine() {
    let world = World::new(document(json!({
        "endpoints": endpoints(&[("a", "192.0.2.1"), ("b", "192.0.2.2"), ("c", "192.0.2.3")]),
        "pools": { "east": pool(&["a"]), "west": pool(&["b"]), "backup": pool(&["c"]) },
        "policies": { "app": in_order(&[step(&["east", "west"]), step(&["backup"])]) },
    })))
    .await;
    let addresses = || world.count_answers(200).into_keys().map(|ip| ip.to_string()).collect::<Vec<_>>();
    assert_eq!(addresses(), ["192.0.2.1", "192.0.2.2"], "both active ones share");
    world.force("a", "down").await;
    assert_eq!(addresses(), ["192.0.2.2"], "the other active one carries all");
    world.force("b", "down").await;
    assert_eq!(addresses(), ["192.0.2.3"], "then the passive one");
    world.force("a", "up").await;
    assert_eq!(addresses(), ["192.0.2.1"]);
}

/// Route 53: a PRIMARY record with an HTTP health check of /health, failure threshold 3, and a
/// SECONDARY record without one.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_53_failover_can_be_said() {
    let mut primary = Backend::start("127.2.2.1:0".parse().unwrap()).await;
    let check = with(http(&primary), json!({ "fail_after": 3, "recover_after": 3 }));
    let world = World::new(document(json!({
        "monitors": { "health-check": on_request(check) },
        "endpoints": {
            "primary": endpoint(&primary, "health-check"),
            "secondary": { "ipv4": "192.0.2.2" },
        },
        "pools": { "primary": pool(&["primary"]), "secondary": pool(&["secondary"]) },
        "policies": { "app": with(in_order(&[step(&["primary"]), step(&["secondary"])]), json!({ "ttl": 60 })) },
    })))
    .await;
    world.first_check("primary").await;
    primary.kill().await;
    for _ in 0..3 {
        assert_eq!(world.answer(), ["127.2.2.1"]);
        world.check("primary").await;
    }
    assert_eq!(world.answer(), ["192.0.2.2"]);
    primary.revive().await;
    for _ in 0..3 {
        assert_eq!(world.answer(), ["192.0.2.2"]);
        world.check("primary").await;
    }
    assert_eq!(world.answer(), ["127.2.2.1"]);
}

/// Cloudflare: a load balancer with two default pools, steering off, a fallback pool, and TTL 30.
#[tokio::test(flavor = "multi_thread")]
async fn a_cloudflare_load_balancer_can_be_said() {
    let mut rule = json!({ "name": "Everyone else", "steps": [step(&["one"]), step(&["two"])] });
    rule["last_resort"] = json!("pool:fallback");
    let world = World::new(document(json!({
        "endpoints": endpoints(&[("a", "192.0.2.1"), ("b", "192.0.2.2"), ("c", "192.0.2.3")]),
        "pools": { "one": pool(&["a"]), "two": pool(&["b"]), "fallback": pool(&["c"]) },
        "policies": { "app": with(super::policy(&[rule]), json!({ "ttl": 30 })) },
    })))
    .await;
    let line = |output: String| output.lines().find(|line| line.starts_with("app")).unwrap().to_owned();
    let first = line(world.server.dig_output(&[super::NAME]));
    assert_eq!(first.split_whitespace().collect::<Vec<_>>(), ["app.example.test.", "30", "IN", "A", "192.0.2.1"]);
    world.force("a", "down").await;
    assert_eq!(world.answer(), ["192.0.2.2"]);
    world.force("b", "down").await;
    assert_eq!(world.answer(), ["192.0.2.3"]);
    world.force("c", "down").await;
    assert_eq!(world.answer(), ["192.0.2.3"], "a fallback pool answers whatever its health is");
}

#[tokio::test(flavor = "multi_thread")]
async fn name_servers_are_watched_by_dns_checks_and_fail_over() {
    let served = document(json!({ "records": [
        { "zone": "example", "name": "alive", "type": "TXT", "values": ["\"yes\""] },
    ] }));
    let dirs = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let start = |dir: &TempDir, address: &str| Server::start_at(dir.path(), address);
    let (primary, secondary) = (start(&dirs[0], "127.2.3.1"), start(&dirs[1], "127.2.3.2"));
    for server in [&primary, &secondary] {
        let (status, body) = server.api("PUT", "/api/v1/document", Some(served.clone())).await;
        assert_eq!(status, 200, "{body}");
    }
    let watch = |server: &Server| {
        on_request(json!({ "type": "dns", "port": server.dns.port(), "qname": "alive.example.test.", "qtype": "TXT",
                           "expect": "\"yes\"", "fail_after": 2 }))
    };
    let endpoint =
        |server: &Server, monitor: &str| json!({ "ipv4": server.dns.ip(), "monitors": [{ "monitor": monitor }] });
    let world = World::new(document(json!({
        "monitors": { "first": watch(&primary), "second": watch(&secondary) },
        "endpoints": { "first": endpoint(&primary, "first"), "second": endpoint(&secondary, "second") },
        "pools": { "primary": pool(&["first"]), "secondary": pool(&["second"]) },
        "policies": { "app": in_order(&[step(&["primary"]), step(&["secondary"])]) },
    })))
    .await;
    for server in ["first", "second"] {
        assert_eq!(world.first_check(server).await["state"], "up");
    }
    assert_eq!(world.answer(), ["127.2.3.1"]);
    primary.kill();
    world.check("first").await;
    assert_eq!(world.answer(), ["127.2.3.1"], "one lost answer is no outage");
    world.check("first").await;
    assert_eq!(world.answer(), ["127.2.3.2"]);
}
