//! A geo database that is replaced on disk while the server runs.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{World, document, endpoints, policy, pool, step};
use crate::server::{Server, until};

#[allow(dead_code, reason = "the writer has more kinds of data than one test needs")]
#[path = "../../../src/geo/mmdb_writer.rs"]
mod mmdb_writer;

/// A database in which 203.0.113.0/24 lies in `country`.
fn database(country: &'static str) -> Vec<u8> {
    mmdb_writer::Writer::new(6, 24).put("203.0.113.0/24", mmdb_writer::country(country)).finish()
}

/// As every updater does it: a new file, renamed over the old one.
fn replace(file: &Path, bytes: &[u8]) {
    let new = file.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, file).unwrap();
}

async fn told(world: &World, to: &str) -> Value {
    until(&format!("a geo database {to}"), async || {
        world.events("kind=geo_database").await.into_iter().find(|event| event["to"] == to)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_geo_database_is_used_and_a_broken_one_is_refused() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("country.mmdb");
    std::fs::write(&file, database("DE")).unwrap();
    let server = Server::start(&dir.path().join("data"), &["--geo-location", file.to_str().unwrap()]);
    let world = World { server, _dir: dir };
    world
        .put(document(json!({
            "regions": { "germany": { "include": ["country:DE"] }, "japan": { "include": ["country:JP"] } },
            "endpoints": endpoints(&[("de", "192.0.2.1"), ("jp", "192.0.2.2"), ("rest", "192.0.2.3")]),
            "pools": { "de": pool(&["de"]), "jp": pool(&["jp"]), "rest": pool(&["rest"]) },
            "policies": { "app": policy(&[
                json!({ "name": "Germany", "regions": ["germany"], "steps": [step(&["de"])] }),
                json!({ "name": "Japan", "regions": ["japan"], "steps": [step(&["jp"])] }),
                json!({ "name": "Everyone else", "steps": [step(&["rest"])] }),
            ]) },
        })))
        .await;
    let client = "203.0.113.0/24";
    assert_eq!(world.answer_for(client), ["192.0.2.1"]);

    let good = database("JP");
    replace(&file, &good[..good.len() / 2]);
    let refused = told(&world, "refused").await;
    assert!(refused["cause"].as_str().unwrap().contains("stays in use"), "{refused}");
    assert!(refused["cause"].as_str().unwrap().contains("country.mmdb"), "{refused}");
    assert_eq!(world.answer_for(client), ["192.0.2.1"], "the old one is kept");

    replace(&file, &good);
    told(&world, "replaced").await;
    assert_eq!(world.answer_for(client), ["192.0.2.2"]);
}
