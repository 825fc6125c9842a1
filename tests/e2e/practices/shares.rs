//! Shares of traffic: canaries, capacity, draining, clients that stay.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::json;

use super::{World, document, endpoints, in_order, on_request, pool, step, with};

#[tokio::test(flavor = "multi_thread")]
async fn shares_follow_the_weights_and_weight_zero_is_never_answered() {
    let weighted = |id: &str, weight: u16| json!({ "pool": id, "weight": weight });
    let world = World::new(document(json!({
        "endpoints": endpoints(&[("a", "192.0.2.1"), ("b", "192.0.2.2"), ("c", "192.0.2.3")]),
        "pools": { "stable": pool(&["a"]), "canary": pool(&["b"]), "drained": pool(&["c"]) },
        "policies": { "app": in_order(&[json!({ "pools": [
            weighted("stable", 90), weighted("canary", 10), weighted("drained", 0),
        ] })]) },
    })))
    .await;
    let counts = world.count_answers(6_000);
    assert_eq!(counts.values().sum::<u32>(), 6_000);
    let of = |last: u8| f64::from(counts.get(&Ipv4Addr::new(192, 0, 2, last)).copied().unwrap_or(0));
    assert_eq!(of(3), 0.0, "weight 0: {counts:?}");
    let chi_square = (of(1) - 5_400.0).powi(2) / 5_400.0 + (of(2) - 600.0).powi(2) / 600.0;
    // One degree of freedom: larger by chance once in ten million runs.
    assert!(chi_square < 28.4, "{chi_square}: {counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_or_a_pool_drains_without_being_removed() {
    let backend = crate::backend::Backend::start("127.2.4.1:0".parse().unwrap()).await;
    let check = json!({ "type": "http", "port": backend.address.port(), "path": "/health" });
    let all = document(json!({
        "monitors": { "web": on_request(check) },
        "endpoints": with(endpoints(&[("b", "192.0.2.2"), ("c", "192.0.2.3")]),
            json!({ "a": { "ipv4": "127.2.4.1", "monitors": [{ "monitor": "web" }] } })),
        "pools": { "main": pool(&["a", "b"]), "spare": pool(&["c"]) },
        "policies": { "app": in_order(&[step(&["main"]), step(&["spare"])]) },
    }));
    let world = World::new(all.clone()).await;
    let addresses = || world.count_answers(200).into_keys().map(|ip| ip.to_string()).collect::<Vec<_>>();
    assert_eq!(addresses(), ["127.2.4.1", "192.0.2.2"]);
    let mut drained = all;
    drained["pools"]["main"]["members"][1]["weight"] = json!(0);
    world.put(drained).await;
    assert_eq!(addresses(), ["127.2.4.1"], "weight 0 drains an endpoint");
    world.server.post("/api/v1/pools/main/drain", json!({ "reason": "kernel update" })).await;
    assert_eq!(addresses(), ["192.0.2.3"], "a drained pool gets no new clients");
    let members = world.server.get("/api/v1/pools/main").await["members"].as_array().unwrap().len();
    assert_eq!(members, 2, "nothing was removed");
    assert_eq!(world.check("a").await["state"], "up", "checks of a drained pool go on");
    world.server.post("/api/v1/pools/main/on", json!({})).await;
    assert_eq!(addresses(), ["127.2.4.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sticky_client_network_keeps_its_server_and_networks_spread() {
    let world = World::new(document(json!({
        "endpoints": endpoints(&[("a", "192.0.2.1"), ("b", "192.0.2.2")]),
        "pools": { "one": pool(&["a"]), "two": pool(&["b"]) },
        "policies": { "app": with(in_order(&[step(&["one", "two"])]), json!({ "sticky": "client" })) },
    })))
    .await;
    let mut seen = BTreeSet::new();
    for network in 0..24 {
        let network = format!("8.8.{network}.0/24");
        let first = world.answer_for(&network);
        for _ in 0..3 {
            assert_eq!(world.answer_for(&network), first, "{network}");
        }
        seen.insert(first);
    }
    assert_eq!(seen.len(), 2, "24 networks all went to {seen:?}");
    // Its pool fails and returns.
    let network = "8.8.8.0/24";
    let before = world.answer_for(network);
    let (dead, alive) = if before == ["192.0.2.1"] { ("a", "192.0.2.2") } else { ("b", "192.0.2.1") };
    world.force(dead, "down").await;
    assert_eq!(world.answer_for(network), [alive]);
    world.force(dead, "up").await;
    assert_eq!(world.answer_for(network), before, "and back");
}
