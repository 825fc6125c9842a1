//! Tables of known answers, and properties that every map must have.

use std::sync::Arc;

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
