//! The drill: two real HTTP backends behind the real binary. One is killed, the answers move, events
//! tell why; it comes back, is held, is approved, and answers again.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::backend::Backend;
use crate::server::{Server, until};

/// One steered name, `fo.example.test.`, with a primary that waits for approval and a standby.
fn document(primary: &Backend, standby: &Backend) -> Value {
    let endpoint = |backend: &Backend, monitor: &str| json!({ "ipv4": backend.address.ip(), "monitors": [{ "monitor": monitor }] });
    let monitor = |backend: &Backend| {
        json!({ "type": "http", "port": backend.address.port(), "path": "/health",
                "interval": 1, "timeout": 0.5, "fail_after": 2, "recover_after": 2, "confirm": 0 })
    };
    json!({
        "zones": { "example": { "fqdn": "example.test.", "ns": ["ns1.example.test.", "ns2.example.test."] } },
        "records": [
            { "zone": "example", "name": "ns1", "type": "A", "values": ["127.0.0.1"] },
            { "zone": "example", "name": "ns2", "type": "A", "values": ["127.0.0.1"] },
        ],
        "monitors": { "first": monitor(primary), "second": monitor(standby) },
        "endpoints": { "first": endpoint(primary, "first"), "second": endpoint(standby, "second") },
        "pools": {
            "primary": { "members": [{ "endpoint": "first" }], "recovery": "manual" },
            "standby": { "members": [{ "endpoint": "second" }], "recovery": "auto" },
        },
        "policies": { "fo": {
            "attach": [{ "zone": "example", "name": "fo.example.test.", "types": ["A"] }],
            "rules": [{ "name": "Everyone else", "steps": [
                { "pools": [{ "pool": "primary" }] }, { "pools": [{ "pool": "standby" }] },
            ] }],
        } },
    })
}

async fn answers(server: &Server, address: &str) {
    let wanted = [address.to_owned()];
    until(&format!("the answer {address}"), async || (server.dig(&["fo.example.test"]) == wanted).then_some(())).await;
}

async fn pool_is(server: &Server, pool: &str, state: &str) {
    until(&format!("pool {pool} {state}"), async || {
        (server.get("/api/v1/health").await["pools"][pool]["state"] == state).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_backend_leaves_the_answers_and_comes_back_when_approved() {
    let mut primary = Backend::start("127.1.1.1:0".parse().unwrap()).await;
    let mut standby = Backend::start("127.1.1.2:0".parse().unwrap()).await;
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    let (status, published) = server.api("PUT", "/api/v1/document", Some(document(&primary, &standby))).await;
    assert_eq!(status, 200, "{published}");
    answers(&server, "127.1.1.1").await;
    until("first checks", async || {
        let health = server.get("/api/v1/health").await;
        (health["endpoints"]["first"]["families"]["ipv4"]["state"] == "up").then_some(())
    })
    .await;

    primary.kill().await;
    answers(&server, "127.1.1.2").await;
    let events = until("an event that tells why", async || {
        let events = server.get("/api/v1/events?subject=pools/primary").await;
        events["items"].as_array().unwrap().iter().find(|event| event["to"] == "down").cloned()
    })
    .await;
    assert!(events["cause"].as_str().unwrap().contains("refused"), "{events}");
    assert_eq!(events["names"], json!(["fo.example.test."]));
    let incident = events["incident"].as_u64().expect("an outage is an incident");

    primary.revive().await;
    pool_is(&server, "primary", "held").await;
    answers(&server, "127.1.1.2").await;
    server.post("/api/v1/pools/primary/approve", json!({ "reason": "checked by hand" })).await;
    answers(&server, "127.1.1.1").await;
    let events = server.get(&format!("/api/v1/events?incident={incident}")).await;
    let states: Vec<&str> =
        events["items"].as_array().unwrap().iter().rev().filter_map(|event| event["to"].as_str()).collect();
    assert!(states.contains(&"down") && states.contains(&"held") && states.contains(&"ok"), "{states:?}");

    // The standby dies while the primary is held: the primary answers at once, the hold is released.
    primary.kill().await;
    answers(&server, "127.1.1.2").await;
    primary.revive().await;
    pool_is(&server, "primary", "held").await;
    standby.kill().await;
    answers(&server, "127.1.1.1").await;
    pool_is(&server, "primary", "ok").await;
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn last_states_are_used_after_a_restart_and_nothing_waits_for_probes() {
    let mut primary = Backend::start("127.1.2.1:0".parse().unwrap()).await;
    let standby = Backend::start("127.1.2.2:0".parse().unwrap()).await;
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    server.api("PUT", "/api/v1/document", Some(document(&primary, &standby))).await;
    answers(&server, "127.1.2.1").await;
    primary.kill().await;
    answers(&server, "127.1.2.2").await;
    pool_is(&server, "primary", "down").await;
    assert!(server.stop());
    // Nothing is probed between the start and the first answer, and yet it is the right one.
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.dig(&["fo.example.test"]), ["127.1.2.2"]);
    primary.revive().await;
    pool_is(&server, "primary", "held").await;
    assert!(server.stop());
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.dig(&["fo.example.test"]), ["127.1.2.2"], "a hold survives the restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn switches_act_at_once_and_are_recorded_with_their_reason() {
    let primary = Backend::start("127.1.3.1:0".parse().unwrap()).await;
    let standby = Backend::start("127.1.3.2:0".parse().unwrap()).await;
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    server.api("PUT", "/api/v1/document", Some(document(&primary, &standby))).await;
    answers(&server, "127.1.3.1").await;
    server.post("/api/v1/pools/primary/drain", json!({ "reason": "kernel update" })).await;
    assert_eq!(server.dig(&["fo.example.test"]), ["127.1.3.2"]);
    server.post("/api/v1/pools/standby/off", json!({})).await;
    assert_eq!(server.dig(&["fo.example.test"]).len(), 0, "drained and off pools never answer");
    server.post("/api/v1/pools/primary/on", json!({})).await;
    assert_eq!(server.dig(&["fo.example.test"]), ["127.1.3.1"]);
    server.post("/api/v1/pools/standby/on", json!({})).await;
    server.post("/api/v1/endpoints/first/force", json!({ "state": "down", "reason": "rehearsal" })).await;
    assert_eq!(server.dig(&["fo.example.test"]), ["127.1.3.2"]);
    server.post("/api/v1/endpoints/first/force", json!({ "state": null })).await;
    let audit = until("the audit entries", async || {
        let audit = server.get("/api/v1/audit").await;
        (audit["items"].as_array().unwrap().len() >= 8).then_some(audit)
    })
    .await;
    let drained = audit["items"].as_array().unwrap().iter().find(|entry| entry["action"] == "drain").unwrap();
    assert_eq!(drained["reason"], "kernel update");
    assert_eq!(drained["subject"], "pools/primary");
    let report = server.get("/api/v1/audit/verify").await;
    assert_eq!(report["broken"], Value::Null, "{report}");
}
