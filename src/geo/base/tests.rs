//! Every vendor's schema, every way of being damaged, and the database that ships.

use super::super::mmdb_writer::{Data, Double, List, Map, Number, Text, Writer, country};
use super::*;

pub const SHIPPED: &[u8] = include_bytes!("../../../geo-data/country.mmdb");

fn base(writer: Writer) -> Base {
    Base::from_mmdb(writer.finish(), None).unwrap()
}

/// A place in words: country, continent, subdivisions, city, whole degrees, AS number.
fn words(place: &Place) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(place.country.map(|country| country.to_string()));
    words.extend(place.continent.map(|continent| format!("in {continent}")));
    words.extend(place.subdivisions.iter().map(|subdivision| subdivision.to_string()));
    words.extend(place.city.clone());
    words.extend(place.point.map(|point| format!("{:.0}/{:.0}", point.lat, point.lon)));
    words.extend(place.asn.map(|asn| format!("AS{asn}")));
    words.join(" ")
}

fn at(base: &Base, address: &str) -> (String, u8) {
    let (place, length) = base.place(address.parse().unwrap());
    (words(place), length)
}

#[test]
fn the_schema_of_every_vendor_is_read_by_its_paths() {
    let map = |key, inner: Vec<(&'static str, Data)>| (key, Map(inner));
    let names = |name| map("names", vec![("de", Text("?")), ("en", Text(name))]);
    type Fields = Vec<(&'static str, Data)>;
    let cases: Vec<(&str, Fields, &str)> = vec![
        (
            "MaxMind Country",
            vec![map("continent", vec![("code", Text("AS"))]), map("country", vec![("iso_code", Text("KR"))])],
            "KR in AS 37/128",
        ),
        ("MaxMind, registered only", vec![map("registered_country", vec![("iso_code", Text("DE"))])], "DE in EU 51/10"),
        (
            "MaxMind Enterprise",
            vec![
                map("city", vec![names("Boxford")]),
                map("continent", vec![("code", Text("EU"))]),
                map("country", vec![("iso_code", Text("GB"))]),
                map("location", vec![("latitude", Double(51.75)), ("longitude", Double(-1.25))]),
                (
                    "subdivisions",
                    List(vec![
                        Map(vec![("iso_code", Text("ENG")), names("England")]),
                        Map(vec![("iso_code", Text("WBK")), names("West Berkshire")]),
                    ]),
                ),
                map("traits", vec![("autonomous_system_number", Number(20712))]),
            ],
            "GB in EU GB-ENG GB-WBK Boxford 52/-1 AS20712",
        ),
        (
            "DB-IP City, names only",
            vec![
                map("city", vec![names("Los Angeles")]),
                map("country", vec![("iso_code", Text("US"))]),
                map("location", vec![("latitude", Double(34.05)), ("longitude", Double(-118.24))]),
                ("subdivisions", List(vec![Map(vec![names("California")])])),
            ],
            "US in NA US-CA Los Angeles 34/-118",
        ),
        (
            "IPinfo Lite",
            vec![
                ("asn", Text("AS15169")),
                ("continent", Text("North America")),
                ("continent_code", Text("NA")),
                ("country", Text("United States")),
                ("country_code", Text("US")),
            ],
            "US in NA 39/-94 AS15169",
        ),
        (
            "IPinfo country_asn",
            vec![("asn", Text("AS4766")), ("continent", Text("AS")), ("country", Text("KR"))],
            "KR in AS 37/128 AS4766",
        ),
        ("ip-location-db country", vec![("country_code", Text("JP"))], "JP in AS 36/137"),
        (
            "ip-location-db city",
            vec![
                ("city", Text("Toronto")),
                ("country_code", Text("CA")),
                ("latitude", Double(43.7)),
                ("longitude", Double(-79.4)),
                ("state1", Text("Ontario")),
                ("state2", Text("Somewhere else")),
            ],
            "CA in NA CA-ON Toronto 44/-79",
        ),
        ("MaxMind ASN", vec![("autonomous_system_number", Number(4_200_000_001))], "AS4200000001"),
    ];
    for (vendor, record, expected) in cases {
        let base = base(Writer::new(6, 28).put("192.0.2.0/24", Map(record)));
        let (seen, length) = at(&base, "192.0.2.1");
        assert_eq!((seen.as_str(), length), (expected, 24), "{vendor}");
    }
}

#[test]
fn codes_that_are_no_country_are_unknown() {
    let mut writer = Writer::new(4, 24).put("128.0.0.0/1", country("DE"));
    for (third, code) in [(0, "EU"), (1, "AP"), (2, "XX"), (3, "ZZ"), (4, "T1"), (5, "A1"), (6, "A2"), (7, "eu")] {
        writer = writer.put(&format!("10.{third}.0.0/16"), country(code));
    }
    let refusal = Base::from_mmdb(writer.finish(), None).unwrap_err();
    assert!(refusal.0.contains("11.1 %"), "{}", refusal.0);

    let mut writer = Writer::new(4, 24).put("10.0.0.0/16", country("EU"));
    for second in 1..10 {
        writer = writer.put(&format!("10.{second}.0.0/16"), country("DE"));
    }
    let base = base(writer);
    assert!(base.place("10.0.0.1".parse().unwrap()).0.is_unknown());
    assert_eq!(base.databases()[0].country_percent, 90.0);
}

#[test]
fn nested_networks_holes_and_single_addresses_are_kept() {
    for (version, bits) in [(4, 24), (4, 28), (4, 32), (6, 24), (6, 28), (6, 32)] {
        let base = base(
            Writer::new(version, bits)
                .put("10.0.0.0/8", country("DE"))
                .put("10.1.0.0/16", country("FR"))
                .put("10.1.2.3/32", country("JP"))
                .put("10.1.2.4/31", country("DE")),
        );
        for (address, country, length) in [
            ("10.0.0.1", "DE", 16),
            ("10.1.0.1", "FR", 23),
            ("10.1.2.2", "FR", 32),
            ("10.1.2.3", "JP", 32),
            ("10.1.2.5", "DE", 31),
            ("10.1.2.6", "FR", 31),
            ("11.0.0.0", "", 8),
            ("9.255.255.255", "", 7),
            ("255.255.255.255", "", 1),
        ] {
            let (place, found) = base.place(address.parse().unwrap());
            let seen = place.country.map(|country| country.to_string()).unwrap_or_default();
            assert_eq!((seen.as_str(), found), (country, length), "{address} in version {version}, {bits} bits");
        }
    }
}

#[test]
fn ipv6_clients_are_found_to_the_64() {
    let base = base(
        Writer::new(6, 28)
            .put("192.0.2.0/24", country("DE"))
            .put("2001:db8::/32", country("FR"))
            .put("2001:db8:0:1::/64", country("JP"))
            .put("2001:db8:0:2::/127", country("KR"))
            .put("2001:db8:0:2::8/125", country("US"))
            .put("2001:dba:0:4::4/127", country("US"))
            .alias("::ffff:0:0/96")
            .alias("2002::/16"),
    );
    for (address, country, length) in [
        ("2001:db8:0:1::1", "JP", 64),
        ("2001:db8:0:2:ffff::1", "KR", 64),
        ("2001:db8:0:3::", "FR", 64),
        ("2001:dba:0:4::", "US", 64),
        ("2001:dba:0:5::", "", 64),
        ("2001:db8:1::", "FR", 48),
        ("::ffff:192.0.2.1", "DE", 120),
        ("64:ff9b::192.0.2.1", "DE", 120),
        ("2002:c000:201::1", "DE", 40),
        ("2001:0:4136:e378:8000:63bf:3fff:fdfe", "DE", 120),
        ("::192.0.2.1", "", 3),
    ] {
        let (place, found) = base.place(address.parse().unwrap());
        let seen = place.country.map(|country| country.to_string()).unwrap_or_default();
        assert_eq!((seen.as_str(), found), (country, length), "{address}");
    }
}

#[test]
fn a_record_above_the_ipv4_tree_holds_for_all_of_it() {
    let base = base(Writer::new(6, 24).put("::/1", country("DE")));
    assert_eq!(at(&base, "192.0.2.1"), ("DE in EU 51/10".into(), 0));
}

#[test]
fn an_asn_database_lies_over_the_location() {
    let location = Writer::new(6, 24).put("10.0.0.0/8", country("DE")).put("2001:db8::/32", country("FR"));
    let asn = |number| Map(vec![("autonomous_system_number", Number(number))]);
    let numbers = Writer::new(6, 28).put("10.0.0.0/9", asn(3320)).put("12.0.0.0/8", asn(7018)).finish();
    let base = Base::from_mmdb(location.finish(), Some(numbers)).unwrap();
    for (address, expected, length) in [
        ("10.0.0.1", "DE in EU 51/10 AS3320", 9),
        ("10.128.0.1", "DE in EU 51/10", 9),
        ("12.0.0.1", "AS7018", 8),
        ("2001:db8::1", "FR in EU 47/3", 32),
    ] {
        assert_eq!(at(&base, address), (expected.into(), length), "{address}");
    }
    assert_eq!(base.databases().len(), 2);
    assert_eq!(base.databases()[1].asn_percent, 100.0);
}

#[test]
fn files_that_cannot_serve_are_refused_with_the_reason() {
    let good = || Writer::new(6, 24).put("10.0.0.0/8", country("DE"));
    let fields = Map(vec![("proxy_type", Text("VPN")), ("isp", Text("Example"))]);
    let mut cut_off = good().finish();
    cut_off.drain(20..60);
    for (what, bytes, reason) in [
        ("text", b"ip,country\n".to_vec(), "not a readable MMDB"),
        ("nothing", Vec::new(), "not a readable MMDB"),
        ("version 3", good().of_major_version(3).finish(), "version 2"),
        ("unknown schema", Writer::new(6, 24).put("10.0.0.0/8", fields).finish(), "fields found: isp, proxy_type"),
        ("no networks", Writer::new(6, 24).finish(), "fields found: none"),
        ("a hole in the tree", cut_off, "; "),
    ] {
        let refusal = Base::from_mmdb(bytes, None).unwrap_err().0;
        assert!(refusal.contains(reason), "{what}: {refusal}");
    }
    let refusal = Base::from_mmdb(good().finish(), Some(good().finish())).unwrap_err().0;
    assert!(refusal.contains("known AS number (fields found: country)"), "{refusal}");
}

/// As free databases come; the specification wants one.
#[test]
fn a_database_without_a_description_is_taken_unless_it_is_damaged() {
    let whole = Writer::new(6, 24).put("10.0.0.0/8", country("DE")).finish();
    let described = b"\xe1\x42en\x46A test";
    let from = whole.windows(described.len()).position(|bytes| bytes == described).unwrap();
    let without = [&whole[..from], &[0xe0], &whole[from + described.len()..]].concat();
    let base = Base::from_mmdb(without.clone(), None).unwrap();
    assert!(at(&base, "10.0.0.1").0.starts_with("DE in EU"));
    let mut damaged = without;
    damaged.drain(20..60);
    assert!(Base::from_mmdb(damaged, None).is_err());
}

#[test]
fn a_tree_that_never_ends_is_refused() {
    // Both children of each of 100 nodes are the next node: 2^100 paths in 600 bytes.
    let mut bytes = Writer::new(6, 24).put("10.0.0.0/8", country("DE")).finish();
    let nodes = 96 + 8;
    for node in 0..nodes - 1 {
        let next = (node as u32 + 1).to_be_bytes();
        bytes[node * 6..][..6].copy_from_slice(&[&next[1..], &next[1..]].concat());
    }
    assert!(Base::from_mmdb(bytes, None).is_err());
}

#[test]
fn the_shipped_database_is_taken() {
    let base = Base::from_mmdb(SHIPPED.to_vec(), None).unwrap();
    let [info] = base.databases() else { panic!("one database") };
    assert_eq!(info.sha256.len(), 64);
    assert!(info.networks > 500_000 && info.country_percent > 90.0 && info.asn_percent == 0.0, "{info:?}");
    assert_eq!(at(&base, "8.8.8.8").0, "US in NA 39/-94");
    assert_eq!(at(&base, "2001:4860:4860::8888").0, "US in NA 39/-94");
    assert!(base.place("10.0.0.1".parse().unwrap()).0.is_unknown());
}

/// A small generator with a fixed seed (splitmix64), so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ bits >> 31) % limit as u64) as usize
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let mut writer = Writer::new(6, 28).alias("2002::/16");
    let codes = ["DE", "FR", "JP", "KR", "US", "BR", "ZA", "AU"];
    for (second, code) in (0..).zip(codes.iter().cycle().take(40)) {
        writer = writer.put(&format!("10.{second}.0.0/16"), country(code));
    }
    let whole = writer.finish();
    let mut dice = Dice(7);
    let mut refused = 0;
    for _ in 0..600 {
        let mut bytes = whole.clone();
        if dice.below(4) == 0 {
            bytes.truncate(dice.below(whole.len()));
        }
        for _ in 0..dice.below(4) + 1 {
            if !bytes.is_empty() {
                let at = dice.below(bytes.len());
                bytes[at] ^= 1 << dice.below(8);
            }
        }
        match Base::from_mmdb(bytes, None) {
            Ok(base) => drop(base.place("10.1.2.3".parse().unwrap())),
            Err(Refusal(reason)) => {
                assert!(reason.contains("; "), "{reason}");
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "only {refused} of the damaged files were refused");
}

#[test]
fn two_hundred_truths_hold() {
    // Drawn from the shipped file with a fixed seed by MaxMind's own reader: networks, and gaps between them.
    let base = Base::from_mmdb(SHIPPED.to_vec(), None).unwrap();
    let truths = include_str!("../../../tests/data/geo-truths.csv").lines().skip(1);
    let mut checked = 0;
    for truth in truths {
        let (prefix, country) = truth.split_once(',').unwrap();
        let network: ipnet::IpNet = prefix.parse().unwrap();
        for address in [network.network(), network.broadcast()] {
            let found = base.place(address).0.country.map(|country| country.to_string());
            assert_eq!(found.unwrap_or_default(), country, "{address} in {prefix}");
        }
        checked += 1;
    }
    assert_eq!(checked, 200);
}

#[test]
fn damage_to_the_shipped_file_is_survived() {
    let mut dice = Dice(11);
    // Records and metadata are at the end; the rest is the tree.
    let data = SHIPPED.len() - 8_000;
    for round in 0..12 {
        let mut bytes = SHIPPED.to_vec();
        let from = if round % 2 == 0 { 0 } else { data };
        for _ in 0..40 {
            let at = from + dice.below(bytes.len() - from);
            bytes[at] ^= 1 << dice.below(8);
        }
        if round % 4 == 0 {
            bytes.truncate(bytes.len() - dice.below(2_000));
        }
        if let Ok(base) = Base::from_mmdb(bytes, None) {
            base.place("8.8.8.8".parse().unwrap());
        }
    }
}
