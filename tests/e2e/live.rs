//! What open pages are told as it happens, and what is counted for their charts.

use std::collections::BTreeSet;

use serde_json::Value;
use tempfile::TempDir;

use crate::accounts::{Browser, set_up};
use crate::backend::Backend;
use crate::server::{Server, until};

/// Two pools, of which one is watched, for the clients of Europe and for everyone else.
async fn world(dir: &TempDir, backend: &Backend) -> (Server, Browser) {
    let (server, browser) = set_up(dir).await;
    let step = |pool: &str| serde_json::json!([{ "pools": [{ "pool": pool }] }]);
    let monitor = serde_json::json!({
        "type": "tcp", "port": backend.address.port(), "interval": 1, "timeout": 0.5, "confirm": 0,
    });
    let document = serde_json::json!({
        "zones": { "z": { "fqdn": "z.test.", "ns": ["ns1.other.test.", "ns2.other.test."] } },
        "monitors": { "tcp": monitor },
        "endpoints": { "one": { "ipv4": backend.address.ip().to_string(), "monitors": [{ "monitor": "tcp" }] },
                       "two": { "ipv4": "192.0.2.2" } },
        "pools": { "eu": { "members": [{ "endpoint": "one" }] }, "us": { "members": [{ "endpoint": "two" }] } },
        "policies": { "www": {
            "attach": [{ "zone": "z", "name": "www.z.test.", "types": ["A"] }],
            "rules": [{ "name": "Europe", "regions": ["europe", "africa"], "steps": step("eu") },
                      { "name": "Everyone else", "steps": step("us") }],
        } },
    });
    let (status, body) = server.api("PUT", "/api/v1/document", Some(document)).await;
    assert_eq!(status, 200, "{body}");
    (server, browser)
}

/// What `data-on` of a page says.
fn topics(page: &str) -> String {
    let (_, rest) = page.split_once("data-on=\"").expect("the page is followed");
    rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_that_is_told_is_a_part_of_its_page() {
    let dir = TempDir::new().unwrap();
    let backend = Backend::start("127.0.0.1:0".parse().unwrap()).await;
    let (server, mut browser) = world(&dir, &backend).await;
    for (path, parts) in [
        ("/", &["ov-head", "ov-volume"][..]),
        ("/?by=region&span=hour", &["ov-volume"]),
        ("/pools", &["state", "pool-state-eu", "pool-beat-eu", "pool-share-us", "pool-probe-us"]),
        (
            "/pools/eu",
            &["pool-state", "pool-banner", "pool-switches", "pool-changes", "pool-share", "share-one", "state-one"],
        ),
        ("/pools/eu/used-by", &["pool-state", "used-www-0-0"]),
        (
            "/pools/eu/endpoints/one",
            &["endpoint-state", "endpoint-notes", "endpoint-now", "endpoint-checks", "endpoint-history"],
        ),
        ("/names", &["names-summary", "name-state-0", "name-chips-0", "name-rate-0"]),
        ("/names/www.z.test", &["said-1", "meta-2", "name-state"]),
        ("/names/www.z.test?version=live", &["said-1", "meta-2", "name-state"]),
        ("/names/www.z.test?tab=traffic", &["name-state"]),
        ("/history?period=7d&kind=all", &["history-head", "history-lanes", "history-list"]),
    ] {
        let page = browser.get(path).await.text;
        let told = browser.first_update(&topics(&page), parts.last().unwrap()).await;
        for (id, html) in &told {
            assert!(page.contains(&format!("id=\"{id}\"")), "{id} is not on {path}");
            assert!(html.contains(&format!("id=\"{id}\"")), "{id} of {path} comes without its id: {html}");
        }
        let ids: BTreeSet<&str> = told.iter().map(|(id, _)| id.as_str()).collect();
        for part in parts {
            assert!(ids.contains(part), "{path}: {part} is not told, only {ids:?}");
        }
    }
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_counted_by_the_regions_of_their_rule() {
    let dir = TempDir::new().unwrap();
    let backend = Backend::start("127.0.0.1:0".parse().unwrap()).await;
    let (server, mut browser) = world(&dir, &backend).await;
    let rates = until("a rate for Europe", async || {
        for subnet in ["81.2.69.0/24", "81.2.69.0/24", "8.8.8.0/24"] {
            server.dig(&[&format!("+subnet={subnet}"), "www.z.test"]);
        }
        let regions: Value = serde_json::from_str(&browser.get("/regions.json").await.text).unwrap();
        let rate = |id: &str| {
            let region = regions.as_array().unwrap().iter().find(|region| region["id"] == id).unwrap();
            region["queries_per_second"].as_f64().unwrap()
        };
        let found = [rate("europe"), rate("africa"), rate("asia")];
        (found[0] > 0.0).then_some(found)
    })
    .await;
    assert_eq!((rates[0], rates[2]), (rates[1], 0.0), "Africa is named by the same rule, Asia by none");
    let page = browser.get("/regions/europe").await.text;
    assert!(page.contains("together with Africa"), "{page}");
    assert!(server.stop());
}
