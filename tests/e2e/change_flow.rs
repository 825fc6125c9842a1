//! The way of a change: kept tests before it, the history after it.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::accounts::set_up;
use crate::server::Server;

fn rule(pool: &str) -> Value {
    json!({ "name": "Everyone", "steps": [{ "pools": [{ "pool": pool }] }], "last_resort": "no_answer" })
}

fn policy(pool: &str) -> Value {
    json!({ "attach": [{ "zone": "example", "name": "www.example.test.", "types": ["A"] }], "rules": [rule(pool)] })
}

/// One name, answered by `eu`; a test holds it there.
async fn world(dir: &TempDir) -> Server {
    let server = Server::start(dir.path(), &[]);
    let zone = json!({ "fqdn": "example.test.", "ns": ["ns1.other.test.", "ns2.other.test."] });
    let test = json!({ "qname": "www.example.test.", "client": "203.0.113.77", "expect": ["eu"] });
    let edits = json!({ "edits": [
        { "kind": "zones", "id": "example", "value": zone },
        { "kind": "endpoints", "id": "one", "value": { "ipv4": "192.0.2.1" } },
        { "kind": "endpoints", "id": "two", "value": { "ipv4": "192.0.2.2" } },
        { "kind": "pools", "id": "eu", "value": { "members": [{ "endpoint": "one" }] } },
        { "kind": "pools", "id": "us", "value": { "members": [{ "endpoint": "two" }] } },
        { "kind": "policies", "id": "www", "value": policy("eu") },
        { "kind": "tests", "id": "office", "value": test },
    ] });
    let (status, body) = server.api("POST", "/api/v1/publish", Some(edits)).await;
    assert_eq!(status, 200, "{body}");
    server
}

fn to_us(despite_tests: bool) -> Option<Value> {
    let edit = json!({ "kind": "policies", "id": "www", "value": policy("us") });
    Some(json!({ "edits": [edit], "message": "Move to us", "despite_tests": despite_tests }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_test_stops_a_publication_unless_somebody_insists_and_the_history_says_so() {
    let dir = TempDir::new().unwrap();
    let server = world(&dir).await;
    let (status, preview) = server.api("POST", "/api/v1/preview", to_us(false)).await;
    assert_eq!(status, 200, "{preview}");
    assert_eq!(preview["tests"]["failing"][0]["got"], "pool us", "{preview}");
    assert_eq!(preview["moves"][0]["from"], "eu 100 %", "{preview}");
    assert!((preview["moved"].as_f64().unwrap() - 1.0).abs() < 1e-6, "{preview}");

    let (status, body) = server.api("POST", "/api/v1/publish", to_us(false)).await;
    assert_eq!(status, 422, "{body}");
    assert_eq!(body["errors"][0]["at"], "tests/office", "{body}");
    assert!(body["errors"][0]["problem"].as_str().unwrap().contains("must get pool eu, and would get pool us"));
    assert_eq!(server.dig(&["www.example.test"]), ["192.0.2.1"]);
    assert_eq!(
        server.get("/api/v1/document").await["policies"]["www"]["rules"][0]["steps"][0]["pools"][0]["pool"],
        "eu"
    );

    let (status, body) = server.api("POST", "/api/v1/publish", to_us(true)).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(server.dig(&["www.example.test"]), ["192.0.2.2"]);
    let revision = server.get("/api/v1/revisions/2").await;
    assert_eq!(revision["message"], "Move to us (despite failing tests: office)");
    let audit = server.get("/api/v1/audit").await;
    assert_eq!(audit["items"][0]["reason"], "Move to us (despite failing tests: office)");

    // What failed already stops nobody else's change; it is told.
    let note = json!({ "kind": "endpoints", "id": "one", "value": { "ipv4": "192.0.2.1", "note": "rack 4" } });
    let (status, body) = server.api("POST", "/api/v1/publish", Some(json!({ "edits": [note] }))).await;
    assert_eq!(status, 200, "{body}");
    assert!(body["warnings"].to_string().contains("failed before this change"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_a_test_names_stays_and_tests_survive_a_restart() {
    let dir = TempDir::new().unwrap();
    let server = world(&dir).await;
    let (status, body) = server.api("DELETE", "/api/v1/pools/eu?despite_tests=true", None).await;
    assert_eq!(status, 422, "{body}");
    assert!(body.to_string().contains("tests/office expect[0]"), "{body}");
    drop(server);
    let server = Server::start(dir.path(), &[]);
    let listed = server.get("/api/v1/tests").await;
    assert_eq!(listed["items"][0]["client"], "203.0.113.77", "{listed}");
    let (status, _) = server.api("DELETE", "/api/v1/tests/office", None).await;
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_import_without_a_reason_keeps_the_file_and_publishes_it_with_one() {
    // More than a draft holds.
    const RECORDS: usize = 20_001;
    let dir = TempDir::new().unwrap();
    let (server, mut browser) = set_up(&dir).await;
    let records = (0..RECORDS).map(|n| format!("h{n} A 192.0.2.1\n"));
    let file = std::iter::once("$ORIGIN large.test.\n@ NS a.other.test.\n@ NS b.other.test.\n".to_owned());
    let file: String = file.chain(records).collect();
    let token = browser.token();
    let page = browser.upload("/zones/import", &token, file.into_bytes()).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let (_, number) = page.text.split_once("name=\"number\" value=\"").expect("a preview");
    let number = number.split('"').next().unwrap();
    let keep = |reason: &str| [("number", number.to_owned()), ("zone", "large.test".into()), ("reason", reason.into())];

    let fields = keep(" ");
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
    let page = browser.post("/zones/import/keep", &fields).await;
    assert_eq!(page.status, 422);
    for kept in ["Say why", "h20000 A 192.0.2.1", "value=\"large.test\"", "Publish now"] {
        assert!(page.text.contains(kept), "{kept} is lost");
    }
    let fields = keep(&format!("Move the zone here {}", "and on ".repeat(100)));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
    let page = browser.post("/zones/import/keep", &fields).await;
    assert_eq!(page.status, 303, "{}", page.text);
    assert_eq!(server.dig(&["h20000.large.test"]), ["192.0.2.1"]);
    let message = server.get("/api/v1/revisions/1").await["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("Move the zone here and on") && message.len() <= 500, "{message}");
}
