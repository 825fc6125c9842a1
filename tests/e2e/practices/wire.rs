//! What resolvers and operators see on the wire, by their own tools.

use std::process::Command;

use serde_json::json;

use super::{NAME, World, document, endpoints, in_order, policy, pool, step, with};

async fn simple() -> World {
    World::new(document(json!({
        "records": [{ "zone": "example", "name": "www", "type": "A", "values": ["192.0.2.10"] }],
        "endpoints": endpoints(&[("a", "192.0.2.1")]),
        "pools": { "one": pool(&["a"]) },
        "policies": { "app": in_order(&[step(&["one"])]) },
    })))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ttl_below_thirty_seconds_is_warned_about_and_kept() {
    let world = simple().await;
    let mut hasty = world.server.get("/api/v1/document").await;
    hasty["policies"]["app"]["ttl"] = json!(20);
    let warnings = world.put(hasty).await;
    let warning = warnings.as_array().unwrap().iter().find(|warning| warning["at"] == "policies/app ttl");
    assert!(warning.is_some_and(|warning| warning["remedy"].as_str().unwrap().contains("30")), "{warnings}");
    assert!(world.server.dig_output(&[NAME]).contains("app.example.test.\t20\tIN\tA"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cname_endpoint_is_answered_as_a_cname_to_every_type() {
    let mut aliases = policy(&[json!({ "name": "Everyone else", "steps": [step(&["cdn"]), step(&["other"])] })]);
    aliases["attach"][0]["types"] = json!(["CNAME"]);
    let world = World::new(document(json!({
        "endpoints": { "cdn": { "cname": "example.cdn.test." }, "other": { "cname": "www.example.test." } },
        "pools": { "cdn": pool(&["cdn"]), "other": pool(&["other"]) },
        "policies": { "app": aliases },
    })))
    .await;
    for rtype in ["CNAME", "A", "AAAA"] {
        assert_eq!(world.server.dig(&[NAME, rtype]), ["example.cdn.test."], "{rtype}");
    }
    world.force("cdn", "down").await;
    assert_eq!(world.server.dig(&[NAME, "A"]), ["www.example.test."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fixed_records_under_a_steered_name_are_served_while_the_policy_is_disabled() {
    let world = World::new(document(json!({
        "records": [{ "zone": "example", "name": "app", "type": "A", "values": ["192.0.2.99"] }],
        "endpoints": endpoints(&[("a", "192.0.2.1")]),
        "pools": { "one": pool(&["a"]) },
        "policies": { "app": in_order(&[step(&["one"])]) },
    })))
    .await;
    assert_eq!(world.answer(), ["192.0.2.1"]);
    let all = world.server.get("/api/v1/document").await;
    let mut disabled = all.clone();
    disabled["policies"]["app"]["enabled"] = json!(false);
    world.put(disabled).await;
    assert_eq!(world.answer(), ["192.0.2.99"]);
    world.put(all).await;
    assert_eq!(world.answer(), ["192.0.2.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_gets_hinfo_and_an_unknown_name_gets_nxdomain_with_the_soa() {
    let world = simple().await;
    // RFC 8482 section 4.2.
    for name in [NAME, "www.example.test"] {
        assert_eq!(world.server.dig(&["+notcp", name, "ANY"]), ["\"RFC8482\" \"\""], "{name}");
    }
    let missing = world.server.dig_output(&["nothing.example.test"]);
    assert!(missing.contains("status: NXDOMAIN") && missing.contains("flags: qr aa"), "{missing}");
    let soa = missing.lines().find(|line| line.contains("\tSOA\t")).expect("an SOA for the negative cache");
    assert!(soa.starts_with("example.test.\t\t60\t") || soa.split_whitespace().nth(1) == Some("60"), "{soa}");
    let empty = world.server.dig_output(&["www.example.test", "AAAA"]);
    assert!(empty.contains("status: NOERROR") && empty.contains("ANSWER: 0") && empty.contains("\tSOA\t"), "{empty}");
    let foreign = world.server.dig_output(&["www.elsewhere.test"]);
    assert!(foreign.contains("status: REFUSED"), "{foreign}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_names_itself_in_nsid() {
    let dir = tempfile::TempDir::new().unwrap();
    let server = crate::server::Server::start(dir.path(), &["--node", "fra1"]);
    let world = World { server, _dir: dir };
    world.put(document(with(json!({}), json!({})))).await;
    let reply = world.server.dig_output(&["+nsid", "example.test", "SOA"]);
    assert!(reply.contains("NSID") && reply.contains("(\"fra1\")"), "{reply}");
    let without = world.server.dig_output(&["example.test", "SOA"]);
    assert!(!without.contains("NSID"), "{without}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_and_kdig_get_the_same_over_udp_and_tcp() {
    let world = simple().await;
    let kdig = |arguments: &[&str]| {
        let output = Command::new("kdig")
            .args([format!("@{}", world.server.dns.ip()), "-p".into(), world.server.dns.port().to_string()])
            .args(["+short", "+norec"])
            .args(arguments)
            .output()
            .expect("kdig runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for question in [[NAME, "A"], ["www.example.test", "A"], ["example.test", "NS"], ["example.test", "SOA"]] {
        let udp = world.server.dig(&question);
        assert!(!udp.is_empty(), "{question:?}");
        assert_eq!(world.server.dig(&[&["+tcp"], &question[..]].concat()), udp, "{question:?} over TCP");
        assert_eq!(kdig(&question), udp, "{question:?} by kdig");
        assert_eq!(kdig(&[&["+tcp"], &question[..]].concat()), udp, "{question:?} by kdig over TCP");
    }
}
