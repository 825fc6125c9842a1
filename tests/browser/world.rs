//! A small world that nothing checks, so that nothing moves but by hand: one name, answered by the pool `eu`
//! and without it by `us`.

use serde_json::json;
use tempfile::TempDir;

use crate::server::{Server, until};

pub const NAME: &str = "www.example.test";
pub const ONE: &str = "192.0.2.1";
pub const TWO: &str = "192.0.2.2";
pub const US: &str = "192.0.2.3";

pub async fn start(dir: &TempDir) -> Server {
    let server = Server::start(dir.path(), &[]);
    let document = json!({
        "zones": { "example": { "fqdn": "example.test.", "ns": ["ns1.other.test.", "ns2.other.test."] } },
        "endpoints": { "one": { "ipv4": ONE }, "two": { "ipv4": TWO }, "three": { "ipv4": US } },
        "pools": {
            "eu": { "members": [{ "endpoint": "one" }, { "endpoint": "two" }] },
            "us": { "members": [{ "endpoint": "three" }] },
        },
        "policies": { "www": {
            "attach": [{ "zone": "example", "name": "www.example.test.", "types": ["A"] }],
            "rules": [{ "name": "Everyone", "steps": [{ "pools": [{ "pool": "eu" }] }, { "pools": [{ "pool": "us" }] }] }],
        } },
    });
    let (status, published) = server.api("PUT", "/api/v1/document", Some(document)).await;
    assert_eq!(status, 200, "{published}");
    server
}

/// Until `dig` gets one of `wanted`, and nothing else in as many answers as chance would need to show it.
pub async fn answers(server: &Server, name: &str, wanted: &[&str]) {
    let ask = || server.dig(&["+subnet=81.2.69.0/24", name]);
    let right = || {
        let found = ask();
        found.len() == 1 && wanted.contains(&found[0].as_str())
    };
    until(&format!("an answer of {wanted:?} for {name}"), async || (0..8).all(|_| right()).then_some(())).await;
}
