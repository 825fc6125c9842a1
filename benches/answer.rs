//! How long an answer takes, and a snapshot: `cargo bench --bench answer`.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use divan::Bencher;
use northing::answer::{Answer, Client, Entropy, Question, Snapshot, Subnet, answer};
use northing::geo::Base;
use northing::health::{HealthTable, PoolHealth, PoolState};
use northing::model::{Endpoint, Id, Model, Name, Policy, Pool, RecordSet, RecordType, Region, Zone};
use serde_json::{Value, json};

const NOW_MS: u64 = 1_800_000_000_000;
/// Fixed names of the large world, and clients that take turns.
const NAMES: u32 = 100_000;
const CLIENTS: usize = 4096;

fn main() {
    divan::main();
}

fn id<T>(text: &str) -> Id<T> {
    text.parse().expect("a slug")
}

fn entity<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).expect("an entity with all its fields"))
}

/// One zone with `names` fixed names, and www steered by country over three pools of two servers.
fn model(names: u32) -> Model {
    let mut model = Model::default();
    let zone = json!({
        "id": "example", "fqdn": "example.test.", "default_ttl": 300, "ns": ["ns1.example.test."], "serial": 1,
        "soa": {"mname": "ns1.example.test.", "rname": "hostmaster.example.test.", "refresh": 3600, "retry": 600,
            "expire": 1_209_600, "minimum": 60},
    });
    model.zones.insert(id("example"), entity::<Zone>(zone));
    for n in 0..names {
        let address = Ipv4Addr::from_bits(0xc000_0200 + n % 256).to_string();
        let set = json!({"id": "", "zone": "example", "name": format!("host-{n}.example.test."), "type": "A",
            "ttl": null, "values": [address], "enabled": true});
        let set = entity::<RecordSet>(set);
        model.records.insert(set.key(), set);
    }
    for (region, token) in [("eu", "continent:EU"), ("na", "continent:NA")] {
        let value = json!({"id": region, "include": [token], "except": []});
        model.regions.insert(id(region), entity::<Region>(value));
    }
    let server = |n: u8| {
        json!({"id": format!("web-{n}"), "ipv4": format!("192.0.2.{n}"), "ipv6": null, "cname": null,
            "serve": "auto", "country": null, "monitors": [], "depends_on": []})
    };
    for n in 1..=6 {
        model.endpoints.insert(id(&format!("web-{n}")), entity::<Endpoint>(server(n)));
    }
    for (pool, n) in [("eu", 1), ("na", 3), ("rest", 5)] {
        let member = |n| json!({"endpoint": format!("web-{n}"), "weight": 100, "priority": 1, "enabled": true});
        let value = json!({"id": pool, "admin": "on", "country": null, "lat": null, "lon": null,
            "members": [member(n), member(n + 1)], "healthy_when": "at_least 1", "recovery": "auto", "ramp": 0,
            "monitors": [], "answers": null,
            "shed": {"percent": 0, "low": null, "high": null, "stale_after": 60}});
        model.pools.insert(id(pool), entity::<Pool>(value));
    }
    let rule = |regions: &[&str], first: &str, second: &str| {
        let step = |pool| {
            json!({"pools": [{"pool": pool, "weight": 100, "canary": false, "bias": 0}],
            "choose": "weighted", "tolerance": {"percent": 10, "ms": 10}})
        };
        json!({"name": first, "enabled": true, "regions": regions, "except_regions": [],
            "steps": [step(first), step(second)], "last_resort": "serve_anyway", "residency_lock": null})
    };
    for (policy, sticky) in [("www", "none"), ("shop", "client")] {
        let value = json!({"id": policy, "enabled": true, "ttl": 30, "failure_ttl": 10, "answers": 1,
            "attach": [{"zone": "example", "name": format!("{policy}.example.test."), "types": ["A", "AAAA"]}],
            "locate": "ecs_then_resolver", "sticky": sticky,
            "rules": [rule(&["eu"], "eu", "na"), rule(&["na"], "na", "eu"), rule(&[], "rest", "na")]});
        model.policies.insert(id(policy), entity::<Policy>(value));
    }
    model
}

static GEO: LazyLock<Arc<Base>> = LazyLock::new(|| {
    let bytes = std::fs::read("geo-data/country.mmdb").expect("the shipped country database");
    Arc::new(Base::from_mmdb(bytes, None).expect("a good database"))
});
static LARGE: LazyLock<Snapshot> = LazyLock::new(|| compile(&Arc::new(model(NAMES)), None));

fn compile(model: &Arc<Model>, previous: Option<&Snapshot>) -> Snapshot {
    Snapshot::compile(model, &GEO, &HealthTable::default(), previous)
}

/// Asks from many clients in turn, with a /24 as their subnet.
fn ask(bencher: Bencher, names: &[Name], rtype: RecordType) {
    let mut entropy = Entropy::new(1);
    let clients: Vec<Client> = (0..CLIENTS)
        .map(|_| {
            let address = IpAddr::from(Ipv4Addr::from_bits(entropy.next() as u32 & 0xffff_ff00));
            let subnet = Some(Subnet { address, source: 24 });
            Client { resolver: IpAddr::from([198, 51, 100, 53]), subnet }
        })
        .collect();
    let snapshot = &*LARGE;
    let mut turn = 0;
    bencher.bench_local(|| {
        turn += 1;
        let question = Question { name: names[turn % names.len()].as_wire(), rtype };
        let said: Answer = answer(snapshot, &question, &clients[turn % CLIENTS], NOW_MS, &mut entropy);
        black_box(said.scope)
    });
}

fn named(text: &str) -> Name {
    text.parse().expect("a name")
}

fn hosts() -> Vec<Name> {
    (0..4096).map(|n| named(&format!("host-{}.example.test.", n * 23 % NAMES))).collect()
}

#[divan::bench(sample_size = 1000)]
fn a_name_steered_by_country(bencher: Bencher) {
    ask(bencher, &[named("www.example.test.")], RecordType::A);
}

#[divan::bench(sample_size = 1000)]
fn a_sticky_name_steered_by_country(bencher: Bencher) {
    ask(bencher, &[named("shop.example.test.")], RecordType::A);
}

#[divan::bench(sample_size = 1000)]
fn one_of_100_000_fixed_names(bencher: Bencher) {
    ask(bencher, &hosts(), RecordType::A);
}

#[divan::bench(sample_size = 1000)]
fn a_name_that_does_not_exist(bencher: Bencher) {
    ask(bencher, &[named("a.b.nowhere.example.test.")], RecordType::A);
}

#[divan::bench(sample_size = 1000)]
fn a_name_that_is_not_ours(bencher: Bencher) {
    ask(bencher, &[named("www.elsewhere.test.")], RecordType::A);
}

#[divan::bench(sample_count = 5)]
fn compile_100_000_names(bencher: Bencher) {
    let model = Arc::new(model(NAMES));
    let _ = &*GEO;
    bencher.bench(|| compile(&model, None));
}

/// One record more in a zone of 100,000 names.
#[divan::bench(sample_count = 5)]
fn compile_one_change_in_the_large_zone(bencher: Bencher) {
    let mut model = LARGE.model().as_ref().clone();
    model.records.pop_last();
    // As a check does, which moves the serial with every change of the records.
    for zone in model.zones.values_mut() {
        Arc::make_mut(zone).serial += 1;
    }
    let model = Arc::new(model);
    bencher.bench(|| compile(&model, Some(&LARGE)));
}

/// A change that touches no zone.
#[divan::bench(sample_count = 5)]
fn compile_a_change_of_a_pool(bencher: Bencher) {
    let mut model = LARGE.model().as_ref().clone();
    if let Some(pool) = model.pools.get_mut(&id("eu")) {
        Arc::make_mut(pool).ramp = 60;
    }
    let model = Arc::new(model);
    bencher.bench(|| compile(&model, Some(&LARGE)));
}

#[divan::bench]
fn a_change_of_health(bencher: Bencher) {
    let mut health = HealthTable::default();
    health.pools.insert(id("eu"), Arc::new(PoolHealth { state: PoolState::Down, ..PoolHealth::default() }));
    bencher.bench(|| LARGE.with_health(&health));
}
