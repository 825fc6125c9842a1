//! The API as a script would use it, right and wrong.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;

fn zone() -> Value {
    json!({ "id": "example", "fqdn": "example.test.", "ns": ["ns1.other.test.", "ns2.other.test."] })
}

#[tokio::test(flavor = "multi_thread")]
async fn entities_are_created_read_changed_with_an_etag_and_deleted() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    let (status, body) = server.api("POST", "/api/v1/zones", Some(zone())).await;
    assert_eq!(status, 201, "{body}");
    let record = json!({ "zone": "example", "name": "www", "type": "A", "values": ["192.0.2.1"] });
    let (status, body) = server.api("POST", "/api/v1/records", Some(record.clone())).await;
    assert_eq!(status, 201, "{body}");
    assert_eq!(server.dig(&["www.example.test"]), ["192.0.2.1"]);

    let path = "/api/v1/records/example/www/A";
    let read = server.get(path).await;
    assert_eq!(read["values"], json!(["192.0.2.1"]));
    let mut changed = read.clone();
    changed["values"] = json!(["192.0.2.2"]);
    let (status, _) = server.api("PUT", path, Some(changed.clone())).await;
    assert_eq!(status, 428, "a change needs If-Match");
    let tag = format!("\"{}\"", read["rev"]);
    let (status, body) = server.api_as(&server.token, "PUT", path, Some(changed.clone()), &[("if-match", &tag)]).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(server.dig(&["www.example.test"]), ["192.0.2.2"]);
    let (status, body) = server.api_as(&server.token, "PUT", path, Some(changed), &[("if-match", &tag)]).await;
    assert_eq!(status, 412, "somebody was faster: {body}");

    let (status, body) = server.api("DELETE", "/api/v1/zones/example", None).await;
    assert_eq!(status, 422, "a zone with records: {body}");
    assert!(body["errors"].to_string().contains("records/example/www/A"), "{body}");
    let (status, _) = server.api("DELETE", path, None).await;
    assert_eq!(status, 200);
    assert_eq!(server.dig(&["www.example.test"]).len(), 0);
    let (status, _) = server.api("DELETE", path, None).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_of_a_draft_is_reported_and_nothing_is_changed() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    let edits = json!({ "edits": [
        { "kind": "zones", "id": "example", "value": zone() },
        { "kind": "endpoints", "id": "web", "value": { "ipv4": "300.1.1.1" } },
        { "kind": "pools", "id": "eu", "value": { "members": [{ "endpoint": "nobody", "weight": 5000 }] } },
        { "kind": "monitors", "id": "check", "value": { "type": "htpp" } },
    ] });
    let (status, body) = server.api("POST", "/api/v1/publish", Some(edits)).await;
    assert_eq!(status, 422);
    let errors = body["errors"].as_array().unwrap();
    for place in ["endpoints/web ipv4", "pools/eu members[0].weight", "monitors/check type"] {
        assert!(errors.iter().any(|error| error["at"] == place), "{place} is not in {body}");
    }
    assert!(errors.iter().all(|error| !error["remedy"].as_str().unwrap().is_empty()));
    assert_eq!(server.get("/api/v1/zones").await["items"], json!([]));
    let (status, body) = server.api("POST", "/api/v1/zones", Some(Value::String("{".into()))).await;
    assert_eq!(status, 422, "{body}");
    let (status, body) = server.api("GET", "/api/v1/nonsense", None).await;
    assert_eq!(status, 404);
    assert!(body["detail"].as_str().unwrap().contains("openapi.json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_may_do_what_they_should_and_no_more() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    let mut secrets = Vec::new();
    for role in ["viewer", "operator", "editor", "admin"] {
        let made = server.post("/api/v1/tokens", json!({ "id": role, "role": role })).await;
        secrets.push(made["secret"].as_str().unwrap().to_owned());
    }
    let openapi = server.get("/api/v1/openapi.json").await;
    let rank = |role: &str| ["viewer", "operator", "editor", "admin"].iter().position(|known| *known == role);
    let mut guarded = 0;
    for (path, item) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(description) = operation["description"].as_str() else { continue };
            let needed = description.split_whitespace().find_map(rank).expect("a role");
            guarded += 1;
            let path = path.replace("{zone}", "none").replace("{name}", "none").replace("{type}", "A");
            let path = path.replace("{id}", "none").replace("{number}", "999");
            let (status, _) = server.api_as("", method.to_uppercase().as_str(), &path, None, &[]).await;
            assert_eq!(status, 401, "{method} {path} without a token");
            for (role, secret) in secrets.iter().enumerate() {
                let (status, _) = server.api_as(secret, method.to_uppercase().as_str(), &path, None, &[]).await;
                assert_eq!(status == 403, role < needed, "{method} {path} as role {role}: {status}");
            }
        }
    }
    assert!(guarded > 50, "only {guarded} guarded operations");
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_tell_what_changed_and_can_be_restored() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    server.post("/api/v1/zones?message=start", zone()).await;
    let record = |value: &str| json!({ "zone": "example", "name": "www", "type": "A", "values": [value] });
    let edit = |value: &str| json!({ "edits": [{ "kind": "records", "id": "example/www/A", "value": record(value) }], "message": value });
    server.post("/api/v1/publish", edit("192.0.2.1")).await;
    let before = soa_serial(&server);
    server.post("/api/v1/publish", edit("192.0.2.2")).await;
    assert_eq!(server.dig(&["www.example.test"]), ["192.0.2.2"]);
    let preview = server.post("/api/v1/preview", edit("192.0.2.9")).await;
    assert!(preview["sentences"][0].as_str().unwrap().contains("192.0.2.9"), "{preview}");
    assert_eq!(server.dig(&["www.example.test"]), ["192.0.2.2"], "a preview changes nothing");

    server.post("/api/v1/revisions/2/restore", json!({ "reason": "it was better" })).await;
    assert_eq!(server.dig(&["www.example.test"]), ["192.0.2.1"]);
    assert!(soa_serial(&server) > before, "a serial never goes back");
    let revisions = server.get("/api/v1/revisions").await;
    let messages: Vec<&str> =
        revisions["items"].as_array().unwrap().iter().filter_map(|item| item["message"].as_str()).collect();
    assert_eq!(messages, ["it was better", "192.0.2.2", "192.0.2.1", "start"]);
    let stale = json!({ "edits": edit("192.0.2.7")["edits"], "expect_revision": 1 });
    let (status, body) = server.api("POST", "/api/v1/publish", Some(stale)).await;
    assert_eq!(status, 409, "{body}");
}

fn soa_serial(server: &Server) -> u64 {
    let soa = server.dig(&["example.test", "SOA"]);
    soa[0].split_whitespace().nth(2).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_health_and_readiness_are_open_and_bounded() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    server.dig(&["www.demo.northing.test"]);
    let (status, metrics) = server.api_as("", "GET", "/metrics", None, &[]).await;
    assert_eq!(status, 200);
    let text = metrics.as_str().unwrap();
    assert!(text.contains("northing_dns_replies_total"), "{text}");
    assert!(text.ends_with("# EOF\n"));
    let (status, ready) = server.api_as("", "GET", "/readyz", None, &[]).await;
    assert_eq!((status, &ready["ready"]), (200, &json!(true)));
    let (status, _) = server.api_as("", "GET", "/healthz", None, &[]).await;
    assert_eq!(status, 200);
}
