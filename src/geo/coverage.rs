//! How regions share the known addresses out: how much each holds, where two overlap, what no rule's region
//! holds. Counts IPv4 addresses, which stand for clients of both families.

use std::collections::{BTreeMap, BTreeSet};

use super::Base;
use super::membership::{Client, Membership};
use super::overlay::{EMBEDDED_CHAIN, Overlay};
use super::ranges::Ranges;
use crate::model::{Country, Id, Region, Table};

/// The world cut into cells that no region divides.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    cells: Vec<Cell>,
    known: u64,
    /// The cells of each region, a bit for each.
    regions: BTreeMap<Id<Region>, Bits>,
}

#[derive(Debug, Clone, PartialEq)]
struct Cell {
    country: Option<Country>,
    /// IPv4 addresses; 0 for a cell of IPv6 alone.
    addresses: u64,
    is_known: bool,
}

type Bits = Vec<u64>;

/// What two regions have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overlap {
    /// IPv4 addresses; 0 where they share IPv6 alone.
    pub addresses: u64,
    /// Of all known addresses, 0 to 1.
    pub share: f64,
}

/// The addresses of each place under the same operator networks: class and chain of networks.
type Sizes = BTreeMap<(u32, Vec<u32>), u64>;

impl Coverage {
    pub fn of(base: &Base, table: &Table<Region>) -> Coverage {
        let ids: Vec<Id<Region>> = table.keys().cloned().collect();
        let mut membership = Membership::default();
        let indices = membership.add_all(table, &ids);
        let counts = base.census().counts.iter().zip(0u32..);
        let mut sizes: Sizes = counts.map(|(count, class)| ((class, Vec::new()), count.addresses)).collect();
        divide(&mut sizes, base.v4(), &Overlay::v4(&membership.networks), |keys| (keys >> 32) as u64);
        // Addresses are counted by IPv4; of IPv6 it only matters that there are some.
        divide(&mut sizes, base.v6(), &Overlay::v6(&membership.networks), |_| 0);
        let mut regions: Vec<Bits> = vec![vec![0; sizes.len().div_ceil(64)]; ids.len()];
        let mut cells = Vec::with_capacity(sizes.len());
        for (at, ((class, networks), addresses)) in sizes.into_iter().enumerate() {
            let Some(place) = base.places().get(class as usize) else { continue };
            let client = Client { place, networks: &networks };
            for (bits, index) in regions.iter_mut().zip(&indices) {
                if membership.any_matches(&[*index], &client) {
                    bits[at / 64] |= 1 << (at % 64);
                }
            }
            cells.push(Cell { country: place.country, addresses, is_known: !place.is_unknown() });
        }
        Coverage { cells, known: base.census().known, regions: ids.into_iter().zip(regions).collect() }
    }

    /// Of all known addresses, 0 to 1.
    pub fn share(&self, region: &Id<Region>) -> f64 {
        self.regions.get(region).map_or(0.0, |bits| self.share_of(bits))
    }

    /// `None` where they have nothing in common.
    pub fn overlap(&self, a: &Id<Region>, b: &Id<Region>) -> Option<Overlap> {
        let (a, b) = (self.regions.get(a)?, self.regions.get(b)?);
        let both: Bits = a.iter().zip(b).map(|(a, b)| a & b).collect();
        let any = both.iter().any(|bits| *bits != 0);
        let addresses = self.cells_of(&both).map(|cell| cell.addresses).sum();
        any.then(|| Overlap { addresses, share: self.share_of(&both) })
    }

    /// True when every client of `inner` is in `outer` too.
    pub fn is_within(&self, inner: &Id<Region>, outer: &Id<Region>) -> bool {
        let both = self.regions.get(inner).zip(self.regions.get(outer));
        both.is_some_and(|(inner, outer)| inner.iter().zip(outer).all(|(inner, outer)| inner & !outer == 0))
    }

    /// The countries that a region holds at least a part of.
    pub fn countries(&self, region: &Id<Region>) -> BTreeSet<Country> {
        let bits = self.regions.get(region).map_or(&[][..], |bits| bits);
        self.cells_of(bits).filter_map(|cell| cell.country).collect()
    }

    /// What is left of the known addresses when each of these took its own: any of the first regions, and none of
    /// the second.
    pub fn left<'r>(&self, rules: impl IntoIterator<Item = (&'r [Id<Region>], &'r [Id<Region>])>) -> f64 {
        let mut taken: Bits = vec![0; self.cells.len().div_ceil(64)];
        let any = |ids: &[Id<Region>], at: usize| {
            ids.iter().filter_map(|id| self.regions.get(id)?.get(at)).fold(0, |all, bits| all | bits)
        };
        for (regions, except) in rules {
            for (at, taken) in taken.iter_mut().enumerate() {
                *taken |= any(regions, at) & !any(except, at);
            }
        }
        let left: Bits = taken.iter().map(|bits| !bits).collect();
        self.share_of(&left)
    }

    fn share_of(&self, bits: &[u64]) -> f64 {
        let known = self.cells_of(bits).filter(|cell| cell.is_known).map(|cell| cell.addresses).sum::<u64>();
        if self.known == 0 { 0.0 } else { known as f64 / self.known as f64 }
    }

    fn cells_of<'c>(&'c self, bits: &'c [u64]) -> impl Iterator<Item = &'c Cell> {
        let held = |at: usize| bits.get(at / 64).is_some_and(|bits| bits >> (at % 64) & 1 == 1);
        self.cells.iter().enumerate().filter(move |(at, _)| held(*at)).map(|(_, cell)| cell)
    }
}

/// Takes what lies in operator networks out of its place, as cells of their own. `size` counts the addresses of so
/// many keys of the base.
fn divide(sizes: &mut Sizes, ranges: &Ranges, overlay: &Overlay, size: impl Fn(u128) -> u64) {
    let ends = overlay.boundaries.iter().skip(1).map(|(start, _)| start >> 64).chain([1 << 64]);
    for ((start, chain), end) in overlay.boundaries.iter().zip(ends) {
        if *chain == 0 || *chain == EMBEDDED_CHAIN {
            continue;
        }
        let networks = &overlay.chains[*chain as usize];
        let first = start >> 64;
        let mut pieces = ranges.from(first as u64).peekable();
        while let Some((start, class)) = pieces.next_if(|(start, _)| u128::from(*start) < end.max(first + 1)) {
            let next = pieces.peek().map_or(1 << 64, |(next, _)| u128::from(*next));
            let inside = size(next.min(end).saturating_sub(u128::from(start).max(first)));
            *sizes.entry((class, networks.clone())).or_default() += inside;
            if let Some(around) = sizes.get_mut(&(class, Vec::new())) {
                *around = around.saturating_sub(inside);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::mmdb_writer::{Writer, country};
    use super::*;
    use crate::model::Model;

    /// Germany has three quarters of what is known, France one.
    fn base() -> Base {
        let writer = Writer::new(6, 24)
            .put("192.0.2.0/24", country("DE"))
            .put("198.51.100.0/25", country("DE"))
            .put("198.51.100.128/25", country("FR"))
            .put("2001:db8::/32", country("FR"));
        Base::from_mmdb(writer.finish(), None).unwrap()
    }

    fn coverage(regions: serde_json::Value) -> Coverage {
        let empty = Model::empty();
        let edits = empty.edits_to(&json!({ "regions": regions })).unwrap();
        Coverage::of(&base(), &empty.check(&edits).unwrap().model.regions)
    }

    fn id(text: &str) -> Id<Region> {
        text.parse().unwrap()
    }

    #[test]
    fn a_region_holds_its_places_and_networks_without_what_it_excepts() {
        let of = |include: &[&str], except: &[&str]| {
            let coverage = coverage(json!({ "own": { "include": include, "except": except } }));
            (coverage.share(&id("own")) * 512.0).round()
        };
        for (include, except, addresses) in [
            (&["country:DE"][..], &[][..], 384.0),
            (&["country:FR"], &[], 128.0),
            (&["continent:EU"], &[], 512.0),
            (&["continent:EU"], &["country:DE"], 128.0),
            (&["continent:EU"], &["cidr:192.0.2.0/26"], 448.0),
            (&["cidr:192.0.2.0/26"], &[], 64.0),
            (&["cidr:192.0.2.0/26", "cidr:192.0.2.0/25"], &[], 128.0),
            (&["country:FR", "cidr:192.0.2.128/25"], &["cidr:192.0.2.255/32"], 255.0),
            (&["cidr:198.51.100.0/24"], &["country:FR"], 128.0),
            (&["region:dach"], &[], 384.0),
            (&["asn:64500"], &[], 0.0),
            (&["cidr:10.0.0.0/8"], &[], 0.0),
            (&["cidr:0.0.0.0/0"], &[], 512.0),
        ] {
            assert_eq!(of(include, except), addresses, "{include:?} without {except:?}");
        }
    }

    #[test]
    fn overlaps_are_counted_in_addresses() {
        let coverage = coverage(json!({
            "office": { "include": ["cidr:192.0.2.0/28"] },
            "germany": { "include": ["country:DE"] },
            "france": { "include": ["country:FR"] },
            "lab": { "include": ["cidr:10.0.0.0/24"] },
            "labs": { "include": ["cidr:10.0.0.0/8"] },
            "six": { "include": ["cidr:2001:db8:1::/48"] },
        }));
        for (a, b, addresses) in [
            ("office", "germany", Some(16)),
            ("germany", "europe", Some(384)),
            ("germany", "france", None),
            ("office", "france", None),
            ("lab", "labs", Some(256)),
            ("lab", "germany", None),
            ("six", "france", Some(0)),
            ("six", "germany", None),
        ] {
            let overlap = coverage.overlap(&id(a), &id(b));
            assert_eq!(overlap.map(|overlap| overlap.addresses), addresses, "{a} and {b}");
            assert_eq!(overlap, coverage.overlap(&id(b), &id(a)), "{a} and {b}");
        }
        assert!(
            coverage.is_within(&id("office"), &id("germany")) && !coverage.is_within(&id("germany"), &id("office"))
        );
        assert_eq!(coverage.overlap(&id("lab"), &id("labs")).unwrap().share, 0.0, "nobody knows where they are");
        assert_eq!(coverage.countries(&id("six")), BTreeSet::from(["FR".parse().unwrap()]));
    }

    #[test]
    fn what_no_rule_takes_is_left_to_everyone_else() {
        let coverage = coverage(json!({ "office": { "include": ["cidr:192.0.2.0/25"] } }));
        let (office, dach, europe, asia) = ([id("office")], [id("dach")], [id("europe")], [id("asia")]);
        let left = |rules: &[(&[Id<Region>], &[Id<Region>])]| (coverage.left(rules.iter().copied()) * 512.0).round();
        for (rules, addresses) in [
            (&[][..], 512.0),
            (&[(&dach[..], &[][..])][..], 128.0),
            (&[(&dach[..], &office[..])], 256.0),
            (&[(&dach[..], &office[..]), (&office[..], &[][..])], 128.0),
            (&[(&europe[..], &[][..])], 0.0),
            (&[(&asia[..], &[][..])], 512.0),
        ] {
            assert_eq!(left(rules), addresses, "{rules:?}");
        }
    }
}
