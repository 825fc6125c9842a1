//! Answering on the hot path allocates nothing: proved by an allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use northing::answer::{Entropy, Snapshot};
use northing::dns::{Arrival, Outcome, Secret, Settings, Transport, respond};
use northing::geo::Base;
use northing::health::HealthTable;
use northing::model::Model;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MODEL: &str = r#"
[zones.example]
fqdn = "example.test."
ns = ["ns1.other.test."]

[[records]]
zone = "example"
name = "fixed"
type = "A"
values = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]

[regions.office]
include = ["cidr:203.0.113.0/24"]

[endpoints.one]
ipv4 = "192.0.2.10"

[endpoints.two]
ipv4 = "192.0.2.20"

[pools.both]
members = [{ endpoint = "one" }, { endpoint = "two" }]

[policies.web]
attach = [{ zone = "example", name = "www.example.test." }]
answers = 2

[[policies.web.rules]]
regions = ["office"]
steps = [{ pools = [{ pool = "both" }] }]

[[policies.web.rules]]
steps = [{ pools = [{ pool = "both" }] }]
"#;

/// A query for a name below example.test with a client subnet, NSID and a cookie.
fn query(label: &str, rtype: u8) -> Vec<u8> {
    let mut packet = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, label.len() as u8];
    packet.extend_from_slice(label.as_bytes());
    packet.extend_from_slice(b"\x07example\x04test\x00");
    packet.extend_from_slice(&[0, rtype, 0, 1]);
    packet.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 27]);
    packet.extend_from_slice(&[0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113]);
    packet.extend_from_slice(&[0, 3, 0, 0, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    packet
}

#[test]
fn an_answer_allocates_nothing() {
    let document: serde_json::Value = toml::from_str(MODEL).unwrap();
    let empty = Model::empty();
    let model = empty.edits_to(&document).and_then(|edits| empty.check(&edits)).unwrap().model;
    let snapshot = Snapshot::compile(&Arc::new(model), &Arc::new(Base::empty()), &HealthTable::default(), None);
    let settings = Settings::new("node", Secret::new([1; 16]));
    let arrival = Arrival { client: "198.51.100.53".parse().unwrap(), transport: Transport::Udp, now_ms: 1 };
    let mut entropy = Entropy::new(1);
    let mut out = Vec::with_capacity(1232);
    for (label, rtype, answers) in [("fixed", 1, 4), ("www", 1, 2), ("www", 28, 0), ("nothing", 1, 0)] {
        let packet = query(label, rtype);
        for _ in 0..100 {
            let before = ALLOCATIONS.get();
            let outcome = respond(&packet, &arrival, &settings, &snapshot, &mut entropy, &mut out);
            let allocated = ALLOCATIONS.get() - before;
            assert!(matches!(outcome, Outcome::Reply(_)));
            assert_eq!((out[7], allocated), (answers, 0), "{label} {rtype}");
        }
    }
}
