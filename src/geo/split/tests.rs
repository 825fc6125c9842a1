//! Tables of known answers, and properties that every map must have.

use std::sync::Arc;

use ipnet::IpNet;
use proptest::prelude::*;

use super::super::mmdb_writer::{Double, Map, Text, Writer, country};
use super::*;
use crate::model::Meta;

fn meta(id: &str) -> Meta {
    Meta { id: id.into(), name: String::new(), note: String::new(), tags: Vec::new(), rev: 0 }
}

/// Regions as `id: include tokens | except tokens`.
fn regions(texts: &[(&str, &str, &str)]) -> Table<Region> {
    let tokens = |text: &str| text.split_whitespace().map(|token| token.parse().unwrap()).collect();
    let region = |id: &str, include: &str, except: &str| {
        Arc::new(Region { meta: meta(id), include: tokens(include), except: tokens(except) })
    };
    texts.iter().map(|(id, include, except)| (id.parse().unwrap(), region(id, include, except))).collect()
}

/// One rule for each list of regions.
fn split(rules: &[&[&str]]) -> Split {
    let rule = |ids: &&[&str]| SplitRule {
        regions: ids.iter().map(|id| id.parse().unwrap()).collect(),
        ..SplitRule::default()
    };
    Split { rules: rules.iter().map(rule).collect() }
}

/// The rule and the scope for a prefix such as `10.1.2.0/24`.
fn ask(map: &SplitMap, prefix: &str) -> (u16, u8) {
    let (address, source) = prefix.split_once('/').unwrap();
    let hit = map.lookup_prefix(address.parse().unwrap(), source.parse().unwrap());
    (map.decision(hit.decision).rule, hit.scope)
}

#[test]
fn scopes_are_as_short_as_the_decision_allows() {
    let regions = regions(&[("a", "cidr:10.0.0.0/8", ""), ("b", "cidr:10.1.2.0/24", "")]);
    let map = SplitMap::compile(&Base::empty(), &regions, &split(&[&["b"], &["a"], &[]]));
    for (prefix, expected) in [
        ("10.1.2.0/24", (0, 24)),
        ("10.1.3.0/24", (1, 24)),
        ("10.9.0.0/16", (1, 13)),
        ("10.200.1.0/24", (1, 9)),
        ("172.16.1.0/24", (2, 1)),
    ] {
        assert_eq!(ask(&map, prefix), expected, "{prefix}");
    }
}

#[test]
fn the_example_of_rfc_7871_yields_its_five_prefixes() {
    let regions = regions(&[("a", "cidr:1.2.0.0/20", ""), ("b", "cidr:1.2.3.0/24", "")]);
    let map = SplitMap::compile(&Base::empty(), &regions, &split(&[&["b"], &["a"], &[]]));
    for (prefix, expected) in [
        ("1.2.0.0/24", (1, 23)),
        ("1.2.1.0/24", (1, 23)),
        ("1.2.2.0/24", (1, 24)),
        ("1.2.3.0/24", (0, 24)),
        ("1.2.4.0/24", (1, 22)),
        ("1.2.7.0/24", (1, 22)),
        ("1.2.8.0/24", (1, 21)),
        ("1.2.15.0/24", (1, 21)),
    ] {
        assert_eq!(ask(&map, prefix), expected, "{prefix}");
    }
    assert_eq!(ask(&map, "1.2.0.0/20"), (1, 23), "the decision of most, and a scope that tells them apart");
}

/// Ranges of addresses with countries, from the file writer that also tests the reader.
fn world(networks: &[(String, &'static str)]) -> Base {
    let start = Writer::new(6, 24).put("192.0.2.0/24", country("DE"));
    let file = networks.iter().fold(start, |file, (network, code)| file.put(network, country(code)));
    Base::from_mmdb(file.finish(), None).unwrap()
}

/// The rule by the words of the contract, with nothing compiled.
fn naive_rule(base: &Base, regions: &Table<Region>, split: &Split, address: IpAddr) -> u16 {
    let any = |ids: &[Id<Region>]| ids.iter().any(|id| naive_region(base, regions, &regions[id], address));
    let holds = |rule: &SplitRule| (rule.regions.is_empty() || any(&rule.regions)) && !any(&rule.except_regions);
    split.rules.iter().position(holds).unwrap() as u16
}

fn naive_region(base: &Base, regions: &Table<Region>, region: &Region, address: IpAddr) -> bool {
    let place = base.place(address).0;
    let matches = |token: &Token| match token {
        Token::Continent(continent) => place.continent == Some(*continent),
        Token::Country(country) => place.country == Some(*country),
        Token::Subdivision(subdivision) => place.subdivisions.contains(subdivision),
        Token::Asn(asn) => place.asn == Some(*asn),
        Token::Cidr(network) => network.contains(&inside::unwrap(address).0),
        Token::Region(id) => naive_region(base, regions, &regions[id], address),
        Token::Unknown => place.is_unknown(),
    };
    region.include.iter().any(matches) && !region.except.iter().any(matches)
}

/// Addresses as numbers of 128 bits: IPv4 ones on top, as in the tables.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

fn address(bits: u128, width: u8) -> IpAddr {
    if width == 32 { IpAddr::from(((bits >> 96) as u32).to_be_bytes()) } else { IpAddr::from(bits.to_be_bytes()) }
}

fn below(length: u8) -> u128 {
    u128::MAX.checked_shr(length.into()).unwrap_or(0)
}

/// Every address of a family at which the answer may change: the first of a network and the first after it.
fn boundaries(networks: &[IpNet], width: u8) -> Vec<u128> {
    let mut all = vec![0];
    for network in networks {
        let (first, network_width) = bits(network.network());
        if network_width == width {
            all.push(first);
            all.extend((first | below(network.prefix_len())).checked_add(1));
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// The known parts of a block and their rules; parts that stand for IPv4 addresses have none.
fn parts(boundaries: &[u128], first: u128, last: u128, rule: impl Fn(u128) -> Option<u16>) -> Vec<(u128, Option<u16>)> {
    let inner = boundaries.iter().copied().filter(|at| *at > first && *at <= last);
    let starts: Vec<u128> = [first].into_iter().chain(inner).collect();
    let ends = starts[1..].iter().copied().chain([last.wrapping_add(1)]);
    starts.iter().zip(ends).map(|(start, end)| (end.wrapping_sub(*start), rule(*start))).collect()
}

const CODES: [&str; 5] = ["DE", "FR", "JP", "US", "BR"];

/// Networks close together, so that they nest and touch.
fn network() -> impl Strategy<Value = String> {
    let v4 = (0..4u32, any::<u16>(), 6..=32u8).prop_map(|(a, b, length)| {
        let bits = (10 + a / 2) << 24 | u32::from(b) << (a % 2 * 8);
        IpNet::new(IpAddr::from(bits.to_be_bytes()), length).unwrap().trunc().to_string()
    });
    let v6 = (0..4u8, any::<u16>(), 18..=128u8).prop_map(|(a, b, length)| {
        let bits = 0x2001_0db8 << 96 | u128::from(b) << [90, 60, 40, 0][usize::from(a)];
        IpNet::new(IpAddr::from(bits.to_be_bytes()), length).unwrap().trunc().to_string()
    });
    prop_oneof![v4, v6]
}

fn token(region: usize) -> impl Strategy<Value = String> {
    let code = || prop::sample::select(&CODES[..]);
    prop_oneof![
        4 => network().prop_map(|network| format!("cidr:{network}")),
        2 => code().prop_map(|code| format!("country:{code}")),
        1 => prop::sample::select(&["continent:EU", "continent:AS", "continent:NA", "unknown"][..]).prop_map(String::from),
        1 => (0..=region).prop_map(move |inner| match inner {
            0 => "cidr:0.0.0.0/0".to_owned(),
            // Only earlier regions are named, so that no chain is a cycle or deeper than allowed.
            inner => format!("region:r{}", inner - 1),
        }),
    ]
}

fn token_lists() -> impl Strategy<Value = Vec<(String, String)>> {
    let list = |region, most| prop::collection::vec(token(region), 0..=most).prop_map(|tokens| tokens.join(" "));
    (0..4usize).map(|region| (list(region, 4), list(region, 1))).collect::<Vec<_>>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_map_decides_as_the_rules_say_within_the_largest_possible_blocks(
        places in prop::collection::vec((network(), prop::sample::select(&CODES[..])), 1..8),
        lists in token_lists(),
        order in Just([0usize, 1, 2, 3]).prop_shuffle(),
        except in 0..4usize,
        free in prop::collection::vec((any::<u128>(), any::<u8>()), 16),
    ) {
        let base = world(&places);
        let texts: Vec<(String, String, String)> =
            (0..).zip(&lists).map(|(at, (include, except))| (format!("r{at}"), include.clone(), except.clone())).collect();
        let regions = regions(&texts.iter().map(|(id, i, e)| (&**id, &**i, &**e)).collect::<Vec<_>>());
        let ids = order.map(|at| format!("r{at}"));
        let mut split = split(&[&[&ids[0]], &[&ids[1], &ids[2]], &[&ids[3]], &[]]);
        split.rules[1].except_regions.push(format!("r{except}").parse().unwrap());
        let map = SplitMap::compile(&base, &regions, &split);

        let mut networks: Vec<IpNet> = places.iter().map(|(network, _)| network.parse().unwrap()).collect();
        // A database is read to the /64; operators may cut deeper.
        let wide = networks.iter().filter_map(|network| IpNet::new(network.addr(), network.prefix_len().min(64)).ok());
        networks.extend(wide.map(|network| network.trunc()).collect::<Vec<_>>());
        networks.push("192.0.2.0/24".parse().unwrap());
        let tokens = regions.values().flat_map(|region| region.include.iter().chain(&region.except));
        networks.extend(tokens.filter_map(|token| if let Token::Cidr(network) = token { Some(*network) } else { None }));
        networks.extend(inside::blocks().map(|(first, length)| IpNet::new(address(first, 128), length).unwrap()));

        for width in [32, 128] {
            let boundaries = boundaries(&networks, width);
            let rule = |at: u128| {
                let address = address(at, width);
                let embedded = width == 128 && inside::unwrap(address).1 > 0;
                // They take part in scopes only where any client can differ from another.
                (!embedded || map.decisions().len() == 1).then(|| naive_rule(&base, &regions, &split, address))
            };
            let near = boundaries.iter().flat_map(|at| [*at, at.wrapping_sub(1)]);
            let clients: Vec<u128> = near.chain(free.iter().map(|(bits, _)| *bits)).filter(|at| rule(*at).is_some()).collect();
            let mut blocks: Vec<(u128, u128)> = Vec::new();
            for (index, client) in clients.into_iter().enumerate() {
                let client = if width == 32 { client >> 96 << 96 } else { client };
                let hit = map.lookup(address(client, width));
                let expected = rule(client);
                prop_assert_eq!(Some(map.decision(hit.decision).rule), expected, "{}", address(client, width));
                let (first, last) = (client & !below(hit.scope), client | below(hit.scope));
                prop_assert!(parts(&boundaries, first, last, rule).iter().all(|(_, rule)| *rule == expected));
                if hit.scope > 0 {
                    let (first, last) = (client & !below(hit.scope - 1), client | below(hit.scope - 1));
                    prop_assert!(parts(&boundaries, first, last, rule).iter().any(|(_, rule)| *rule != expected));
                }
                blocks.push((first, last));

                let source = free[index % free.len()].1 % width + 1;
                let prefix = map.lookup_prefix(address(client, width), source);
                let (first, last) = (client & !below(source), client | below(source));
                let parts = parts(&boundaries, first, last, rule);
                let chosen = map.decision(prefix.decision).rule;
                if prefix.scope <= source {
                    prop_assert!(parts.iter().all(|(_, rule)| *rule == Some(chosen)));
                } else {
                    if rule(first).is_some() {
                        prop_assert_eq!(prefix.scope, map.lookup(address(first, width)).scope);
                    }
                    if width == 32 && source >= 24 {
                        let covers = |wanted: u16| parts.iter().filter(|(_, rule)| *rule == Some(wanted)).map(|(size, _)| *size).sum();
                        let most: u128 = (0..4).map(covers).max().unwrap();
                        prop_assert_eq!(covers(chosen), most);
                    }
                }
            }
            for (a, b) in blocks.iter().zip(blocks.iter().skip(1)) {
                prop_assert!(a == b || a.1 < b.0 || b.1 < a.0, "{a:x?} and {b:x?} overlap");
            }
        }
    }
}

#[test]
fn transition_addresses_have_the_scope_of_the_address_inside() {
    let regions = regions(&[
        ("a", "cidr:10.0.0.0/8 cidr:2002::/16 cidr:2001:db8::/32", ""),
        ("b", "cidr:::ffff:10.1.0.0/112", ""),
    ]);
    let map = SplitMap::compile(&Base::empty(), &regions, &split(&[&["b"], &["a"], &[]]));
    for (prefix, expected) in [
        ("10.1.2.0/24", (0, 16)),
        ("::ffff:10.1.2.0/120", (0, 112)),
        ("64:ff9b::10.1.2.0/120", (0, 112)),
        ("2002:a01:200::/40", (0, 32)),
        ("2001:0:4136:e378:8000:63bf:f5fe:fdff/128", (0, 112)),
        ("::ffff:172.16.0.0/108", (2, 97)),
        ("2002:ac10::/28", (2, 17)),
        // Neighbours never reach over a block of transition addresses.
        ("64:ff9b:1::/48", (2, 48)),
        ("2003::/16", (2, 16)),
        ("2001:1::/32", (2, 32)),
        ("2001:db8::/32", (1, 32)),
        // A prefix around such a block is decided by the rest of it.
        ("2001::/16", (2, 32)),
    ] {
        assert_eq!(ask(&map, prefix), expected, "{prefix}");
    }
}

#[test]
fn operators_may_cut_deeper_than_a_64() {
    let regions = regions(&[("host", "cidr:2001:db8::7/128", ""), ("site", "cidr:2001:db8::/48", "")]);
    let map = SplitMap::compile(&Base::empty(), &regions, &split(&[&["host"], &["site"], &[]]));
    for (prefix, expected) in [
        ("2001:db8::7/128", (0, 128)),
        ("2001:db8::6/128", (1, 128)),
        ("2001:db8:0:0:8000::/128", (1, 65)),
        ("2001:db8:0:1::/64", (1, 64)),
        ("2001:db8:1::/64", (2, 48)),
        ("2001:db8::/56", (1, 126)),
    ] {
        assert_eq!(ask(&map, prefix), expected, "{prefix}");
    }
}

#[test]
fn a_short_prefix_gets_the_decision_of_most_of_its_addresses() {
    let regions = regions(&[("a", "cidr:10.0.0.0/9 cidr:10.128.0.0/10", ""), ("b", "cidr:10.192.0.0/10", "")]);
    let map = SplitMap::compile(&Base::empty(), &regions, &split(&[&["b"], &["a"], &[]]));
    assert_eq!(ask(&map, "10.0.0.0/8"), (1, 9));
    assert_eq!(ask(&map, "10.128.0.0/9"), (1, 10), "of equals the decision with the lower number");

    // 4,096 blocks in turns, and then one large block: the samples see all of the prefix.
    let turns: Vec<String> = (0..4096).map(|turn| format!("cidr:10.{}.{}.0/24", turn / 128, turn % 128 * 2)).collect();
    let regions = self::regions(&[("turns", &turns.join(" "), "")]);
    let map = SplitMap::compile(&Base::empty(), &regions, &split(&[&["turns"], &[]]));
    assert_eq!(ask(&map, "10.0.0.0/8"), (1, 24));
}

#[test]
fn a_map_that_does_not_depend_on_the_client_has_scope_zero() {
    for rules in [&[&[] as &[&str]][..], &[]] {
        let map = SplitMap::compile(&Base::empty(), &Table::new(), &split(rules));
        for prefix in ["10.0.0.0/8", "2001:db8::/32", "::ffff:10.0.0.0/104"] {
            assert_eq!(ask(&map, prefix), (0, 0));
        }
    }
}

#[test]
fn regions_that_name_each_other_or_nobody_end() {
    let regions = regions(&[("a", "region:b country:DE", ""), ("b", "region:a region:missing", "region:b")]);
    let base = world(&[("10.0.0.0/8".into(), "DE")]);
    let map = SplitMap::compile(&base, &regions, &split(&[&["missing"], &["a"], &[]]));
    assert_eq!(ask(&map, "10.0.0.0/8").0, 1);
    assert_eq!(ask(&map, "11.0.0.0/8").0, 2);
}

type Site = (Option<(f64, f64)>, i8);

fn near(pools: &[Site]) -> Split {
    let pools = pools.iter().map(|(at, bias)| (at.map(|(lat, lon)| Point { lat, lon }), *bias)).collect();
    Split { rules: vec![SplitRule { nearest: vec![NearestStep { pools }], ..SplitRule::default() }] }
}

#[test]
fn pools_are_ordered_by_biased_distance_from_the_client() {
    let base = world(&[("10.0.0.0/8".into(), "FR"), ("20.0.0.0/8".into(), "JP")]);
    let (frankfurt, tokyo, virginia) = (Some((50.1, 8.7)), Some((35.7, 139.7)), Some((38.9, -77.4)));
    let cases: [(&[Site], [&[u8]; 3]); 4] = [
        (&[(tokyo, 0), (frankfurt, 0), (virginia, 0)], [&[1, 2, 0], &[0, 1, 2], &[0, 1, 2]]),
        (&[(None, 0), (tokyo, 0), (None, 99), (frankfurt, 0)], [&[3, 1, 0, 2], &[1, 3, 0, 2], &[0, 1, 2, 3]]),
        (&[(tokyo, 95), (frankfurt, 0)], [&[0, 1], &[0, 1], &[0, 1]]),
        (&[(tokyo, 0), (frankfurt, -99)], [&[0, 1], &[0, 1], &[0, 1]]),
    ];
    for (pools, orders) in cases {
        let map = SplitMap::compile(&base, &Table::new(), &near(pools));
        for (client, order) in ["10.0.0.1", "20.0.0.1", "30.0.0.1"].into_iter().zip(orders) {
            let decision = map.decision(map.lookup(client.parse().unwrap()).decision);
            assert_eq!(*decision.orders[0], *order, "{client} {pools:?}");
        }
    }
}

#[test]
fn the_points_of_a_city_database_become_few_decisions() {
    // 400 places in a square of 4 by 4 degrees between two pools.
    let file = (0..400u16).fold(Writer::new(4, 24), |file, at| {
        let location = vec![
            ("latitude", Double(50.0 + f64::from(at / 20) / 5.0)),
            ("longitude", Double(f64::from(at % 20) / 5.0)),
        ];
        let record = Map(vec![("country_code", Text("FR")), ("location", Map(location))]);
        file.put(&format!("10.{}.{}.0/24", at / 256, at % 256), record)
    });
    let base = Base::from_mmdb(file.finish(), None).unwrap();
    let pools = [(50.0, 0.0), (50.0, 4.0), (54.0, 0.0), (54.0, 4.0)].map(|at| (Some(at), 0));
    let map = SplitMap::compile(&base, &Table::new(), &near(&pools));
    assert!((4..=25).contains(&map.decisions().len()), "{}", map.decisions().len());
    let nearest = |address: &str| map.decision(map.lookup(address.parse().unwrap()).decision).orders[0][0];
    assert_eq!((nearest("10.0.0.1"), nearest("10.0.19.1"), nearest("10.1.143.1")), (0, 1, 3));
}

#[test]
fn keys_are_equal_when_maps_are() {
    let table = |b: &str| regions(&[("a", "region:b", ""), ("b", b, "")]);
    let by = |ids: &[&str]| split(&[ids, &[]]);
    let key = by(&["a"]).key(&table("country:DE"));
    assert_eq!(key, by(&["a"]).key(&table("country:DE")));
    assert_ne!(key, by(&["a"]).key(&table("country:FR")), "a region within changed");
    assert_ne!(key, by(&["a", "b"]).key(&table("country:DE")));
    assert_ne!(key, split(&[&["a"]]).key(&table("country:DE")));
    let none = Table::new();
    assert_ne!(near(&[(None, 0)]).key(&none), near(&[(None, 1)]).key(&none));
    assert_ne!(near(&[(Some((0.0, 1.0)), 0)]).key(&none), near(&[(Some((0.0, 2.0)), 0)]).key(&none));
}

#[test]
fn clients_within_one_scope_of_the_shipped_database_get_one_decision() {
    let base = Base::from_mmdb(include_bytes!("../../../geo-data/country.mmdb").to_vec(), None).unwrap();
    let regions = regions(&[
        ("office", "cidr:198.51.100.0/24 cidr:2001:db8:7::/48", ""),
        ("dach", "country:DE country:AT country:CH", ""),
        ("europe", "continent:EU continent:AF", "country:RU"),
        ("america", "continent:NA continent:SA", ""),
        ("asia", "continent:AS continent:OC", ""),
    ]);
    let split = split(&[&["office"], &["dach"], &["europe"], &["america"], &["asia"], &[]]);
    let map = SplitMap::compile(&base, &regions, &split);
    let mut bits = 1u128;
    let mut random = || {
        bits = bits.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(0x5851_f42d_4c95_7f2d);
        bits ^ bits >> 64
    };
    for round in 0..10_000 {
        let width = if round % 2 == 0 { 32 } else { 128 };
        // Most of the IPv6 clients are where networks are.
        let client =
            if width == 128 && round % 8 != 1 { 0x2 << 124 | random() >> 4 & !(0x1c << 120) } else { random() };
        let client = if width == 32 { client >> 96 << 96 } else { client };
        let hit = map.lookup(address(client, width));
        assert!(hit.scope > 0);
        let other = client & !below(hit.scope) | random() & below(hit.scope);
        assert_eq!(map.lookup(address(other, width)), hit, "{} and {}", address(client, width), address(other, width));
        assert_eq!(map.decision(hit.decision).rule, naive_rule(&base, &regions, &split, address(client, width)));
        // The largest block: the other half of its parent holds another decision.
        let sibling = client & !below(hit.scope) ^ 1 << (128 - hit.scope);
        let beside = map.lookup(address(sibling, width));
        assert!(beside.scope > hit.scope || beside.decision != hit.decision);
    }
}
