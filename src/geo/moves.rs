//! What another database would change: the clients that would be elsewhere, and whether it knows where addresses
//! are that everybody knows.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::Ipv4Addr;

use super::Base;
use super::ranges::intersect;
use crate::model::Country;

/// Universities, research networks and old providers: never moved, and in every whole database.
const LANDMARKS: [(Ipv4Addr, &[u8; 2]); 20] = [
    (Ipv4Addr::new(18, 9, 22, 69), b"US"),
    (Ipv4Addr::new(128, 9, 0, 107), b"US"),
    (Ipv4Addr::new(128, 100, 100, 128), b"CA"),
    (Ipv4Addr::new(132, 248, 10, 2), b"MX"),
    (Ipv4Addr::new(200, 160, 2, 3), b"BR"),
    (Ipv4Addr::new(129, 67, 1, 1), b"GB"),
    (Ipv4Addr::new(194, 2, 0, 20), b"FR"),
    (Ipv4Addr::new(141, 76, 2, 1), b"DE"),
    (Ipv4Addr::new(192, 87, 106, 106), b"NL"),
    (Ipv4Addr::new(130, 237, 72, 200), b"SE"),
    (Ipv4Addr::new(129, 132, 1, 1), b"CH"),
    (Ipv4Addr::new(80, 58, 61, 250), b"ES"),
    (Ipv4Addr::new(194, 204, 152, 34), b"PL"),
    (Ipv4Addr::new(196, 25, 1, 1), b"ZA"),
    (Ipv4Addr::new(14, 139, 1, 1), b"IN"),
    (Ipv4Addr::new(202, 112, 0, 35), b"CN"),
    (Ipv4Addr::new(168, 126, 63, 1), b"KR"),
    (Ipv4Addr::new(130, 54, 1, 1), b"JP"),
    (Ipv4Addr::new(168, 95, 1, 1), b"TW"),
    (Ipv4Addr::new(203, 50, 2, 71), b"AU"),
];

/// How many well-known addresses a base places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Landmarks {
    pub all: usize,
    /// In the country where they are.
    pub in_country: usize,
    pub with_asn: usize,
    /// One that is not in its country: the address, its country, and the one that the base says.
    pub stray: Option<(Ipv4Addr, Country, Option<Country>)>,
}

/// What changes when one base takes the place of another. IPv4 addresses stand for clients of both families.
#[derive(Debug, Clone, PartialEq)]
pub struct Moves {
    /// Percent of the addresses whose country either knows.
    pub country_percent: f64,
    /// Percent of the addresses whose AS number either knows.
    pub asn_percent: f64,
    /// The largest moves between countries, each in percent of the addresses whose country either knows.
    pub largest: Vec<Move>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Move {
    pub from: Option<Country>,
    pub to: Option<Country>,
    pub percent: f64,
}

impl Base {
    pub fn landmarks(&self) -> Landmarks {
        let mut found = Landmarks { all: LANDMARKS.len(), in_country: 0, with_asn: 0, stray: None };
        for (address, country) in LANDMARKS {
            let (place, country) = (self.place(address.into()).0, Country(*country));
            found.with_asn += usize::from(place.asn.is_some());
            match place.country {
                Some(said) if said == country => found.in_country += 1,
                said => found.stray = found.stray.or(Some((address, country, said))),
            }
        }
        found
    }

    /// What changes when `after` takes this one's place; of the moves between countries the `most` largest.
    pub fn moves_to(&self, after: &Base, most: usize) -> Moves {
        let parts = intersect(self.v4(), after.v4());
        let ends = parts.iter().skip(1).map(|(start, ..)| u128::from(*start)).chain([1 << 64]);
        let (mut known, mut moved, mut asn_known, mut asn_moved) = (0u64, 0u64, 0u64, 0u64);
        let mut between: HashMap<(Option<Country>, Option<Country>), u64> = HashMap::new();
        for ((start, old, new), end) in parts.iter().zip(ends) {
            // The upper half of a key is the address.
            let size = ((end - u128::from(*start)) >> 32) as u64;
            let (old, new) = (&self.places()[*old as usize], &after.places()[*new as usize]);
            if old.country.is_some() || new.country.is_some() {
                known += size;
            }
            if old.country != new.country {
                moved += size;
                *between.entry((old.country, new.country)).or_default() += size;
            }
            if old.asn.is_some() || new.asn.is_some() {
                asn_known += size;
            }
            if old.asn != new.asn {
                asn_moved += size;
            }
        }
        let percent = |part: u64, whole: u64| if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
        let mut largest: Vec<_> = between.into_iter().collect();
        largest.sort_by_key(|(pair, size)| (Reverse(*size), *pair));
        let largest = largest.into_iter().take(most);
        Moves {
            country_percent: percent(moved, known),
            asn_percent: percent(asn_moved, asn_known),
            largest: largest.map(|((from, to), size)| Move { from, to, percent: percent(size, known) }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::mmdb_writer::{Writer, country};

    fn base(networks: &[(&str, &'static str)]) -> Base {
        let writer = Writer::new(4, 24);
        let put = |writer: Writer, (network, code): &(&str, &'static str)| writer.put(network, country(code));
        Base::from_mmdb(networks.iter().fold(writer, put).finish(), None).unwrap()
    }

    #[test]
    fn the_bundled_database_places_every_landmark() {
        let bundled = Base::from_mmdb(include_bytes!("../../geo-data/country.mmdb").to_vec(), None).unwrap();
        let found = bundled.landmarks();
        assert_eq!((found.in_country, found.stray), (found.all, None));
        assert_eq!(bundled.moves_to(&bundled, 5).country_percent, 0.0);
    }

    #[test]
    fn moves_are_weighed_by_addresses() {
        let before = base(&[("10.0.0.0/8", "DE"), ("11.0.0.0/8", "FR")]);
        let after = base(&[("10.0.0.0/8", "DE"), ("10.128.0.0/9", "FR"), ("11.64.0.0/10", "FR")]);
        let moves = before.moves_to(&after, 1);
        assert_eq!(moves.country_percent, 62.5);
        let (fr, none) = ("FR".parse().ok(), None);
        assert_eq!(moves.largest, [Move { from: fr, to: none, percent: 37.5 }]);
        assert_eq!(before.moves_to(&after, 9).largest.len(), 2);
        assert_eq!(before.landmarks().stray.map(|(.., said)| said), Some(None));
    }
}
