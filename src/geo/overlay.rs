//! Operator networks of one family, cut into disjoint ranges with all the networks around each.

use ipnet::IpNet;

use super::inside;

/// The chain of addresses that stand for IPv4 addresses.
pub const EMBEDDED_CHAIN: u32 = u32::MAX;

pub struct Overlay {
    /// Ascending starts, each with the chain that holds from there.
    pub boundaries: Vec<(u128, u32)>,
    /// Networks from the longest to the shortest; chain 0 is empty.
    pub chains: Vec<Vec<u32>>,
}

/// First address, length, and index of a network.
type Block = (u128, u8, u32);

impl Overlay {
    /// The IPv4 ones, each by its index.
    pub fn v4(networks: &[IpNet]) -> Overlay {
        let blocks = (0..).zip(networks).filter_map(|(index, network)| match network {
            IpNet::V4(v4) => Some((u128::from(v4.network().to_bits()) << 96, v4.prefix_len(), index)),
            IpNet::V6(_) => None,
        });
        Overlay::of(blocks.collect())
    }

    /// The IPv6 ones, and the blocks of transition addresses, in which no operator network counts.
    pub fn v6(networks: &[IpNet]) -> Overlay {
        let blocks = (0..).zip(networks).filter_map(|(index, network)| match network {
            IpNet::V6(v6) => Some((v6.network().to_bits(), v6.prefix_len(), index)),
            IpNet::V4(_) => None,
        });
        let embedded = inside::blocks().map(|(first, length)| (first, length, EMBEDDED_CHAIN));
        Overlay::of(blocks.chain(embedded).collect())
    }

    fn of(mut blocks: Vec<Block>) -> Overlay {
        // Outer blocks come before what is in them, and a transition block before its equal.
        blocks.sort_unstable_by_key(|(first, length, index)| (*first, *length, *index != EMBEDDED_CHAIN));
        let mut overlay = Overlay { boundaries: Vec::new(), chains: vec![Vec::new()] };
        let mut around: Vec<(u128, u32)> = Vec::new();
        for (first, length, index) in blocks {
            while let Some((last, _)) = around.pop_if(|(last, _)| *last < first) {
                overlay.close(last, &around);
            }
            let outer = around.last().map_or(0, |(_, chain)| *chain);
            let chain = overlay.extend(outer, index);
            around.push((first | u128::MAX.checked_shr(length.into()).unwrap_or(0), chain));
            overlay.boundary(first, chain);
        }
        while let Some((last, _)) = around.pop() {
            overlay.close(last, &around);
        }
        overlay
    }

    fn extend(&mut self, outer: u32, index: u32) -> u32 {
        if outer == EMBEDDED_CHAIN || index == EMBEDDED_CHAIN {
            return EMBEDDED_CHAIN;
        }
        let mut chain = vec![index];
        chain.extend_from_slice(&self.chains[outer as usize]);
        self.chains.push(chain);
        self.chains.len() as u32 - 1
    }

    fn close(&mut self, last: u128, around: &[(u128, u32)]) {
        if let Some(next) = last.checked_add(1) {
            self.boundary(next, around.last().map_or(0, |(_, chain)| *chain));
        }
    }

    fn boundary(&mut self, start: u128, chain: u32) {
        self.boundaries.pop_if(|(known, _)| *known == start);
        self.boundaries.push((start, chain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn every_range_knows_all_networks_around_it() {
        let overlay = Overlay::v4(&nets(&["10.0.0.0/8", "10.1.0.0/16", "::/0", "10.1.0.0/24", "11.0.0.0/8"]));
        let seen: Vec<(u128, &[u32])> =
            overlay.boundaries.iter().map(|(start, chain)| (start >> 96, &*overlay.chains[*chain as usize])).collect();
        let expected: [(u128, &[u32]); 6] = [
            (0x0a00_0000, &[0]),
            (0x0a01_0000, &[3, 1, 0]),
            (0x0a01_0100, &[1, 0]),
            (0x0a02_0000, &[0]),
            (0x0b00_0000, &[4]),
            (0x0c00_0000, &[]),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn the_whole_family_and_its_last_address_are_networks_too() {
        let overlay = Overlay::v4(&nets(&["0.0.0.0/0", "255.255.255.255/32"]));
        let chains: Vec<&[u32]> =
            overlay.boundaries.iter().map(|(_, chain)| &*overlay.chains[*chain as usize]).collect();
        assert_eq!(chains[..2], [&[0][..], &[1, 0][..]]);
    }

    #[test]
    fn no_operator_network_counts_among_transition_addresses() {
        let overlay = Overlay::v6(&nets(&["2002::/16", "2002:a00::/24", "2000::/3"]));
        let at = |address: &str| {
            let bits = address.parse::<std::net::Ipv6Addr>().unwrap().to_bits();
            overlay.boundaries.iter().rev().find(|(start, _)| *start <= bits).unwrap().1
        };
        assert_eq!(at("2002:a00::1"), EMBEDDED_CHAIN);
        assert_eq!(overlay.chains[at("2003::1") as usize], [2]);
    }
}
