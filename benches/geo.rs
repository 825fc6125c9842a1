//! How fast a client is placed with the shipped database: decode, compile, and look-ups with exact scopes.
//! `cargo bench --bench geo`

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use northing::geo::{Base, NearestStep, Split, SplitMap, SplitRule};
use northing::model::{Meta, Point, Region, Table};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

const SHIPPED: &[u8] = include_bytes!("../geo-data/country.mmdb");
/// More than the caches hold of the tables, fewer than take long to draw.
const CLIENTS: usize = 1 << 18;
const ROUNDS: usize = 9;

fn main() {
    let base = measure("decode the shipped database", || Base::from_mmdb(SHIPPED.to_vec(), None).expect("it ships"));
    let regions = regions();
    let (v4, v6) = clients();
    for (name, split) in [("seven regions", by_regions()), ("nearest of 8 sites", by_distance())] {
        let map = measure(&format!("{name}: compile"), || SplitMap::compile(&base, &regions, &split));
        println!("{name}: {} decisions, {:.1} MB", map.decisions().len(), map.bytes() as f64 / 1e6);
        look_up(&format!("{name}: IPv4 look-up"), &map, &v4);
        look_up(&format!("{name}: IPv6 look-up"), &map, &v6);
    }
}

/// The median of some runs; the machine has other things to do.
fn measure<T>(name: &str, mut work: impl FnMut() -> T) -> T {
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..ROUNDS - 1 {
        let start = Instant::now();
        black_box(work());
        times.push(start.elapsed());
    }
    times.sort();
    println!("{name}: {:.1} ms (fastest {:.1})", millis(times[ROUNDS / 2]), millis(times[0]));
    work()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn look_up(name: &str, map: &SplitMap, clients: &[IpAddr]) {
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for client in clients {
            black_box(map.lookup(black_box(*client)));
        }
        times.push(start.elapsed());
    }
    times.sort();
    let nanoseconds = |time: Duration| time.as_secs_f64() * 1e9 / clients.len() as f64;
    println!("{name}: {:.1} ns (fastest {:.1})", nanoseconds(times[ROUNDS / 2]), nanoseconds(times[0]));
}

/// Random addresses that the database knows: IPv4 by address, IPv6 by network, as addresses there are too many.
fn clients() -> (Vec<IpAddr>, Vec<IpAddr>) {
    let reader = maxminddb::Reader::from_source(SHIPPED).expect("it ships");
    let mut random = StdRng::seed_from_u64(1);
    let mut v4 = Vec::new();
    while v4.len() < CLIENTS {
        let address = IpAddr::from(random.random::<u32>().to_be_bytes());
        if reader.lookup(address).is_ok_and(|found| found.has_data()) {
            v4.push(address);
        }
    }
    let networks: Vec<(u128, u8)> = reader
        .networks(Default::default())
        .expect("it ships")
        .filter_map(|found| found.ok()?.network().ok())
        .filter_map(|network| match network.network() {
            IpAddr::V6(v6) => Some((v6.to_bits(), network.prefix())),
            IpAddr::V4(_) => None,
        })
        .collect();
    let v6 = (0..CLIENTS).map(|_| {
        let (first, length) = *networks.choose(&mut random).expect("there are networks");
        IpAddr::from((first | random.random::<u128>().checked_shr(length.into()).unwrap_or(0)).to_be_bytes())
    });
    (v4, v6.collect())
}

fn regions() -> Table<Region> {
    let region = |(id, include): (&str, &str)| {
        let meta = Meta { id: id.into(), name: String::new(), note: String::new(), tags: Vec::new(), rev: 0 };
        let include = include.split(' ').map(|token| token.parse().expect("a token")).collect();
        (id.parse().expect("an id"), Arc::new(Region { meta, include, except: Vec::new() }))
    };
    [
        ("office", "cidr:198.51.100.0/24 cidr:2001:db8:7::/48"),
        ("korea-japan", "country:KR country:JP"),
        ("dach", "country:DE country:AT country:CH"),
        ("europe", "continent:EU continent:AF"),
        ("america", "continent:NA continent:SA"),
        ("asia", "continent:AS continent:OC"),
    ]
    .into_iter()
    .map(region)
    .collect()
}

fn by_regions() -> Split {
    let rules = ["office", "korea-japan", "dach", "europe", "america", "asia", ""]
        .map(|id| SplitRule { regions: id.parse().into_iter().collect(), ..SplitRule::default() });
    Split { rules: rules.into() }
}

fn by_distance() -> Split {
    let sites = [
        (38.9, -77.4),
        (37.4, -121.9),
        (-23.4, -46.5),
        (50.0, 8.6),
        (-26.1, 28.2),
        (19.1, 72.9),
        (1.4, 103.9),
        (35.8, 140.4),
    ];
    let pools = sites.map(|(lat, lon)| (Some(Point { lat, lon }), 0)).into();
    Split { rules: vec![SplitRule { nearest: vec![NearestStep { pools }], ..SplitRule::default() }] }
}
