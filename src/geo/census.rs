//! How many addresses each place has, and which of its networks stands for it. Counted once for a base, on
//! first use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::Base;
use super::ranges::Ranges;

/// What resolvers commonly send of a client's address (RFC 7871 section 11.1).
pub const SENT_V4: u8 = 24;
pub const SENT_V6: u8 = 56;

/// One place of a base.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Count {
    /// IPv4 addresses; they stand for clients of both families.
    pub addresses: u64,
    /// A network that stands for the place: the first of its largest range. IPv6 where it has no IPv4.
    pub network: Option<IpNet>,
}

/// Every place of a base.
#[derive(Debug, Clone, PartialEq)]
pub struct Census {
    /// By class, as `Base::places`.
    pub counts: Vec<Count>,
    /// IPv4 addresses of places that are known.
    pub known: u64,
}

/// Size and start of the largest range of a class; nothing yet where the size is 0.
type Largest = (u64, u64);

impl Census {
    pub(super) fn of(base: &Base) -> Census {
        let mut counts = vec![Count::default(); base.places().len()];
        let mut v4: Vec<Largest> = vec![(0, 0); counts.len()];
        let mut v6 = v4.clone();
        for (start, size, class) in sizes(base.v4(), 32) {
            counts[class as usize].addresses += size;
            keep_larger(&mut v4[class as usize], (size, start));
        }
        for (start, size, class) in sizes(base.v6(), 0) {
            keep_larger(&mut v6[class as usize], (size, start));
        }
        for (count, (v4, v6)) in counts.iter_mut().zip(v4.into_iter().zip(v6)) {
            count.network = network(v4, v6);
        }
        let places = base.places().iter().zip(&counts);
        let known = places.filter(|(place, _)| !place.is_unknown()).map(|(_, count)| count.addresses).sum();
        Census { counts, known }
    }
}

fn keep_larger(best: &mut Largest, (size, start): Largest) {
    if size > best.0 {
        *best = (size, start);
    }
}

/// Start, size and class of every range, in units of 2^`shift` keys. The last range ends with the last key.
fn sizes(ranges: &Ranges, shift: u32) -> impl Iterator<Item = (u64, u64, u32)> {
    let ends = ranges.iter().skip(1).map(|(start, _)| u128::from(start)).chain([1 << 64]);
    ranges.iter().zip(ends).map(move |((start, class), end)| {
        let size = (end - u128::from(start)) >> shift;
        (start >> shift, u64::try_from(size).unwrap_or(u64::MAX), class)
    })
}

fn network((v4_size, v4): Largest, (v6_size, v6): Largest) -> Option<IpNet> {
    if v4_size > 0 {
        let start = v4 as u32;
        return block(Ipv4Addr::from_bits(start).into(), start.trailing_zeros(), v4_size, 32, SENT_V4);
    }
    let first = Ipv6Addr::from_bits(u128::from(v6) << 64);
    (v6_size > 0).then(|| block(first.into(), v6.trailing_zeros(), v6_size, 64, SENT_V6))?
}

/// The largest block at the start of a range, but no larger than what resolvers send.
fn block(first: IpAddr, zeros: u32, size: u64, bits: u32, sent: u8) -> Option<IpNet> {
    let width = zeros.min(size.ilog2()).min(bits);
    IpNet::new(first, ((bits - width) as u8).max(sent)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_of_a_place_lies_in_it_and_all_addresses_are_counted() {
        let base = Base::from_mmdb(include_bytes!("../../geo-data/country.mmdb").to_vec(), None).unwrap();
        let census = base.census();
        assert_eq!(census.counts.iter().map(|count| count.addresses).sum::<u64>(), 1 << 32);
        for (place, count) in base.places().iter().zip(&census.counts) {
            let network = count.network.expect("a class has a range");
            for address in [network.network(), network.broadcast()] {
                assert_eq!(base.place(address).0, place, "{network}");
            }
            assert!(network.prefix_len() >= if count.addresses > 0 { SENT_V4 } else { SENT_V6 });
        }
        assert!(census.known > 3 << 30);
    }

    #[test]
    fn one_place_for_everybody_is_counted_whole() {
        let census = Base::empty().census().clone();
        assert_eq!(census.counts, [Count { addresses: 1 << 32, network: "0.0.0.0/24".parse().ok() }]);
        assert_eq!(census.known, 0);
    }
}
