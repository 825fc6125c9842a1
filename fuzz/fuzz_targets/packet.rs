//! Any packet, over UDP and TCP: `cargo +nightly fuzz run packet`. Nothing may panic, no response may be answered,
//! and no reply may be longer than its transport allows.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use northing::answer::{Entropy, Snapshot};
use northing::dns::{Arrival, Outcome, Secret, Settings, Transport, general, respond};
use northing::geo::Base;
use northing::health::HealthTable;
use northing::model::Model;

const MODEL: &str = r#"
[zones.example]
fqdn = "example.test."
ns = ["ns1.example.test."]

[[records]]
zone = "example"
name = "ns1"
type = "A"
values = ["192.0.2.53"]

[[records]]
zone = "example"
name = "*.wild"
type = "CNAME"
values = ["www.example.test."]

[regions.office]
include = ["cidr:203.0.113.0/24"]

[endpoints.one]
ipv4 = "192.0.2.10"
ipv6 = "2001:db8::10"

[pools.one]
members = [{ endpoint = "one" }]

[policies.web]
attach = [{ zone = "example", name = "www.example.test." }]

[[policies.web.rules]]
regions = ["office"]
steps = [{ pools = [{ pool = "one" }] }]

[[policies.web.rules]]
steps = [{ pools = [{ pool = "one" }] }]
"#;

static WORLD: LazyLock<(Arc<Snapshot>, Arc<Settings>)> = LazyLock::new(|| {
    let document: serde_json::Value = toml::from_str(MODEL).expect("the model above");
    let empty = Model::empty();
    let checked = empty.edits_to(&document).and_then(|edits| empty.check(&edits)).expect("the model above");
    let health = HealthTable::default();
    let snapshot = Snapshot::compile(&Arc::new(checked.model), &Arc::new(Base::empty()), &health, None);
    (Arc::new(snapshot), Arc::new(Settings::new("fuzz", Secret::new([1; 16]))))
});

fuzz_target!(|packet: &[u8]| {
    let (snapshot, settings) = &*WORLD;
    let tcp = Transport::Tcp { idle: Duration::from_secs(10) };
    for (transport, limit) in [(Transport::Udp, 1232), (tcp, 65_535)] {
        let arrival = Arrival { client: [203, 0, 113, 7].into(), transport, now_ms: 1_700_000_000_000 };
        let (mut entropy, mut out) = (Entropy::new(1), Vec::new());
        let mut outcome = respond(packet, &arrival, settings, &**snapshot, &mut entropy, &mut out);
        if outcome == Outcome::General {
            outcome = general::respond(packet, &arrival, settings, snapshot, &mut entropy, &mut out);
        }
        let silent = packet.len() < 12 || packet[2] & 0x80 != 0;
        assert_eq!(silent, outcome == Outcome::Silence);
        assert_eq!(silent, out.is_empty());
        assert!(out.len() <= limit);
        assert!(silent || (out[..2] == packet[..2] && out[2] & 0x80 != 0));
    }
});
