//! The systems and practices that this product replaces, each said in its model and tried on the real
//! binary. Here is how a small world is written down; the practices are in the modules below.

mod checks;
mod failover;
mod geo;
mod places;
mod shares;
mod wire;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{DEADLINE, Server, until};

/// The steered name of most worlds.
const NAME: &str = "app.example.test";

/// Clients whose place every country database agrees on.
const GERMAN: &str = "193.99.144.0/24";
const BRAZILIAN: &str = "200.147.3.0/24";
const JAPANESE: &str = "133.11.0.0/24";
const AMERICAN: &str = "8.8.8.0/24";

/// The zone, its name servers, and what `parts` adds by kind.
fn document(parts: Value) -> Value {
    let server = |name: &str| json!({ "zone": "example", "name": name, "type": "A", "values": ["127.0.0.1"] });
    let mut document = json!({
        "zones": { "example": { "fqdn": "example.test.", "ns": ["ns1.example.test.", "ns2.example.test."] } },
        "records": [server("ns1"), server("ns2")],
    });
    for (kind, entities) in parts.as_object().expect("parts by kind") {
        match (kind.as_str(), document["records"].as_array_mut()) {
            ("records", Some(records)) => records.extend(entities.as_array().expect("a list").iter().cloned()),
            _ => document[kind] = entities.clone(),
        }
    }
    document
}

/// Endpoints by id and address.
fn endpoints(all: &[(&str, &str)]) -> Value {
    let entries = all.iter().map(|(id, address)| ((*id).to_owned(), json!({ "ipv4": address })));
    Value::Object(entries.collect())
}

/// A pool that serves again as soon as it can.
fn pool(members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({ "endpoint": id })).collect();
    json!({ "members": members, "recovery": "auto" })
}

fn pool_in(country: &str, members: &[&str]) -> Value {
    let mut pool = pool(members);
    pool["country"] = json!(country);
    pool
}

fn step(pools: &[&str]) -> Value {
    json!({ "pools": pools.iter().map(|id| json!({ "pool": id })).collect::<Vec<_>>() })
}

/// A policy at `NAME` with these rules.
fn policy(rules: &[Value]) -> Value {
    json!({ "attach": [{ "zone": "example", "name": format!("{NAME}."), "types": ["A"] }], "rules": rules })
}

/// A policy whose only rule tries `steps` in order.
fn in_order(steps: &[Value]) -> Value {
    policy(&[json!({ "name": "Everyone else", "steps": steps })])
}

/// `value` with more fields, or with other ones.
fn with(mut value: Value, fields: Value) -> Value {
    for (name, field) in fields.as_object().expect("fields") {
        value[name] = field.clone();
    }
    value
}

/// A check that runs when it is asked for: the hour between its own runs never passes.
fn on_request(check: Value) -> Value {
    with(check, json!({ "interval": 3600, "timeout": 20, "confirm": 0 }))
}

struct World {
    server: Server,
    _dir: TempDir,
}

impl World {
    /// A new server with this configuration.
    async fn new(document: Value) -> World {
        let dir = TempDir::new().unwrap();
        let server = Server::start(dir.path(), &[]);
        let world = World { server, _dir: dir };
        world.put(document).await;
        world
    }

    /// Replaces the configuration; returns the warnings.
    async fn put(&self, document: Value) -> Value {
        let (status, published) = self.server.api("PUT", "/api/v1/document", Some(document)).await;
        assert_eq!(status, 200, "{published}");
        published["warnings"].clone()
    }

    /// What anybody gets for `NAME`.
    fn answer(&self) -> Vec<String> {
        self.server.dig(&[NAME])
    }

    /// What a client network gets for `NAME`.
    fn answer_for(&self, network: &str) -> Vec<String> {
        self.server.dig(&[&format!("+subnet={network}"), NAME])
    }

    /// Waits until anybody gets this for `NAME`.
    async fn answers(&self, wanted: &[&str]) {
        until(&format!("the answer {wanted:?}"), async || (self.answer() == wanted).then_some(())).await;
    }

    /// The checks of an endpoint, as the API shows them.
    async fn checks(&self, endpoint: &str) -> Value {
        self.server.get(&format!("/api/v1/endpoints/{endpoint}/health")).await["checks"].clone()
    }

    /// Waits until the only check of an endpoint has had an outcome.
    async fn first_check(&self, endpoint: &str) -> Value {
        until(&format!("the first check of {endpoint}"), async || {
            let check = self.checks(endpoint).await[0].clone();
            (!check["last_ms"].is_null()).then_some(check)
        })
        .await
    }

    /// Runs the only check of an endpoint once more and returns what is known then.
    async fn check(&self, endpoint: &str) -> Value {
        let before = self.first_check(endpoint).await["last_ms"].clone();
        let mut looks = 0;
        until(&format!("another check of {endpoint}"), async || {
            // Asked again now and then: a request counts for nothing while a check is ending.
            if looks % 100 == 0 {
                self.server.post(&format!("/api/v1/endpoints/{endpoint}/check"), json!({})).await;
            }
            looks += 1;
            let check = self.checks(endpoint).await[0].clone();
            (check["last_ms"] != before).then_some(check)
        })
        .await
    }

    /// Lets an endpoint be up or down whatever its checks say.
    async fn force(&self, endpoint: &str, state: &str) {
        self.server.post(&format!("/api/v1/endpoints/{endpoint}/force"), json!({ "state": state })).await;
    }

    async fn events(&self, query: &str) -> Vec<Value> {
        self.server.get(&format!("/api/v1/events?{query}")).await["items"].as_array().unwrap().clone()
    }

    /// Why a change is refused: the place of each error, and its words.
    async fn refused(&self, document: Value) -> Vec<(String, String)> {
        let (status, body) = self.server.api("PUT", "/api/v1/document", Some(document)).await;
        assert_eq!(status, 422, "{body}");
        let text = |error: &Value, field: &str| error[field].as_str().unwrap().to_owned();
        let errors = body["errors"].as_array().unwrap().iter();
        errors.map(|error| (text(error, "at"), text(error, "problem"))).collect()
    }

    /// How often each address is answered first for `NAME` in so many queries over UDP.
    fn count_answers(&self, queries: u32) -> BTreeMap<Ipv4Addr, u32> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.server.dns).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let labels = NAME.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
        let mut query = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(labels.chain([0, 0, 1, 0, 1]));
        let mut counts = BTreeMap::new();
        for id in 0..queries {
            query[..2].copy_from_slice(&(id as u16).to_be_bytes());
            socket.send(&query).unwrap();
            let mut reply = [0; 512];
            let length = socket.recv(&mut reply).unwrap();
            assert_eq!(reply[..2], query[..2], "replies come one by one");
            let address: [u8; 4] = reply[length - 4..length].try_into().unwrap();
            *counts.entry(Ipv4Addr::from(address)).or_default() += 1;
        }
        counts
    }
}
