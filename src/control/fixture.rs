//! A small world for tests of what a change does to answers: two pools, one name, and the shipped geo database.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use crate::answer::Snapshot;
use crate::geo::Base;
use crate::health::HealthTable;
use crate::model::Model;

/// `app.z.test.`: Europe gets the pool `eu` and then `us`, everyone else `us`.
pub fn document() -> Value {
    json!({
        "zones": { "z": { "fqdn": "z.test.", "ns": ["a.other.test.", "b.other.test."] } },
        "endpoints": { "one": { "ipv4": "192.0.2.1" }, "two": { "ipv4": "192.0.2.2" } },
        "pools": {
            "eu": { "country": "DE", "members": [{ "endpoint": "one" }] },
            "us": { "country": "US", "members": [{ "endpoint": "two" }] },
        },
        "policies": { "app": {
            "attach": [{ "zone": "z", "name": "app.z.test.", "types": ["A"] }],
            "rules": [
                { "name": "Europe", "regions": ["europe"], "steps": [step("eu"), step("us")] },
                { "name": "Everyone else", "steps": [step("us")] },
            ],
        } },
    })
}

pub fn step(pool: &str) -> Value {
    json!({ "pools": [{ "pool": pool }] })
}

pub fn snapshot(document: &Value, health: &HealthTable) -> Arc<Snapshot> {
    let empty = Model::empty();
    let model = empty.check(&empty.edits_to(document).unwrap()).unwrap().model;
    Arc::new(Snapshot::compile(&Arc::new(model), &geo(), health, None))
}

/// Read once for all tests.
pub fn geo() -> Arc<Base> {
    static SHIPPED: LazyLock<Arc<Base>> = LazyLock::new(|| {
        Arc::new(Base::from_mmdb(include_bytes!("../../geo-data/country.mmdb").to_vec(), None).unwrap())
    });
    SHIPPED.clone()
}
