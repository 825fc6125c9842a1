//! Whose place counts for an answer, and how much of the address may be looked at (RFC 7871).

use std::net::{IpAddr, Ipv6Addr};

use super::names::extend;
use super::{Client, Subnet};
use crate::geo::inside;
use crate::model::Locate;

/// Networks that share a sticky choice: what is routed on the Internet at the longest.
const STICKY_IPV4: u8 = 24;
const STICKY_IPV6: u8 = 48;

/// An address to steer by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    pub address: IpAddr,
    pub by: By,
}

/// Where the address came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The client subnet, of this many bits.
    Subnet { source: u8 },
    /// The resolver, as no client subnet came or the policy does not want it.
    Resolver,
    /// The resolver, as the client subnet of `source` bits is of no use outside of its own network.
    PrivateSubnet { source: u8 },
}

/// Whether a policy's regions name networks that are not global, so that their subnets mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateNetworks {
    Absent,
    Named,
}

pub fn locate(client: &Client, locate: Locate, private: PrivateNetworks) -> Located {
    let resolver = client.resolver.to_canonical();
    match client.subnet {
        Some(Subnet { address, source }) if source > 0 && locate == Locate::EcsThenResolver => {
            if private == PrivateNetworks::Absent && is_private(address, source) {
                return Located { address: resolver, by: By::PrivateSubnet { source } };
            }
            Located { address, by: By::Subnet { source } }
        }
        _ => Located { address: resolver, by: By::Resolver },
    }
}

impl Located {
    /// The hash of the client's network, and the prefix length that decides it. A shorter subnet is hashed as
    /// far as it goes, and its scope tells the resolver to be more specific.
    pub fn network(&self) -> (u64, u8) {
        let source = match self.by {
            By::Subnet { source } => source,
            By::Resolver | By::PrivateSubnet { .. } => 128,
        };
        let (inside, offset) = inside::unwrap(self.address);
        let known = source.saturating_sub(offset);
        match inside {
            IpAddr::V4(address) => {
                let bits = u128::from(address.to_bits()) & prefix_mask(32, known.min(STICKY_IPV4));
                (extend(4, &(bits as u32).to_be_bytes()), offset + STICKY_IPV4)
            }
            IpAddr::V6(address) => {
                let bits = address.to_bits() & prefix_mask(128, known.min(STICKY_IPV6));
                (extend(6, &bits.to_be_bytes()), STICKY_IPV6)
            }
        }
    }
}

/// The first `length` of `width` bits set.
fn prefix_mask(width: u32, length: u8) -> u128 {
    let below = width.saturating_sub(u32::from(length));
    let all = u128::MAX >> (128 - width);
    all & u128::MAX.checked_shl(below).unwrap_or(0)
}

/// Networks of the IANA special-purpose registries that no client on the Internet has. Documentation and
/// benchmarking networks are left out: nobody is there either, and examples should work.
const PRIVATE_IPV4: [(u32, u8); 9] = [
    (0x0000_0000, 8),
    (0x0a00_0000, 8),
    (0x6440_0000, 10),
    (0x7f00_0000, 8),
    (0xa9fe_0000, 16),
    (0xac10_0000, 12),
    (0xc0a8_0000, 16),
    (0xe000_0000, 4),
    (0xf000_0000, 4),
];
const PRIVATE_IPV6: [(Ipv6Addr, u8); 5] = [
    (Ipv6Addr::UNSPECIFIED, 128),
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

/// True when all of a prefix lies in a network that is not global.
pub fn is_private(address: IpAddr, length: u8) -> bool {
    let (inside, offset) = inside::unwrap(address);
    match inside {
        IpAddr::V4(address) => {
            let (bits, length) = (address.to_bits(), length.saturating_sub(offset));
            PRIVATE_IPV4.iter().any(|&(network, network_length)| {
                length >= network_length && bits >> (32 - network_length) == network >> (32 - network_length)
            })
        }
        IpAddr::V6(address) => PRIVATE_IPV6.iter().any(|&(network, network_length)| {
            length >= network_length && address.to_bits() & prefix_mask(128, network_length) == network.to_bits()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(resolver: &str, subnet: Option<(&str, u8)>) -> Client {
        let subnet = subnet.map(|(address, source)| Subnet { address: address.parse().unwrap(), source });
        Client { resolver: resolver.parse().unwrap(), subnet }
    }

    #[test]
    fn the_subnet_counts_where_the_policy_wants_it_and_it_means_something() {
        use By::*;
        use PrivateNetworks::*;
        for (subnet, setting, private, address, by) in [
            (None, Locate::EcsThenResolver, Absent, "198.51.100.7", Resolver),
            (Some(("8.8.8.0", 24)), Locate::EcsThenResolver, Absent, "8.8.8.0", Subnet { source: 24 }),
            (Some(("8.8.8.0", 24)), Locate::Resolver, Absent, "198.51.100.7", Resolver),
            (Some(("0.0.0.0", 0)), Locate::EcsThenResolver, Absent, "198.51.100.7", Resolver),
            (Some(("10.1.0.0", 16)), Locate::EcsThenResolver, Absent, "198.51.100.7", PrivateSubnet { source: 16 }),
            (Some(("10.1.0.0", 16)), Locate::EcsThenResolver, Named, "10.1.0.0", Subnet { source: 16 }),
            (Some(("0.0.0.0", 1)), Locate::EcsThenResolver, Absent, "0.0.0.0", Subnet { source: 1 }),
            (Some(("fd00::", 48)), Locate::EcsThenResolver, Absent, "198.51.100.7", PrivateSubnet { source: 48 }),
            (Some(("2001:db8::", 48)), Locate::EcsThenResolver, Absent, "2001:db8::", Subnet { source: 48 }),
        ] {
            let located = locate(&client("::ffff:198.51.100.7", subnet), setting, private);
            assert_eq!(located, Located { address: address.parse().unwrap(), by }, "{subnet:?} {setting:?}");
        }
    }

    #[test]
    fn private_prefixes_lie_wholly_in_networks_that_are_not_global() {
        for (address, length, private) in [
            ("10.0.0.0", 8, true),
            ("8.0.0.0", 6, false),
            ("100.64.0.0", 10, true),
            ("100.128.0.0", 10, false),
            ("192.168.1.0", 24, true),
            ("192.0.2.0", 24, false),
            ("255.255.255.255", 32, true),
            ("::ffff:192.168.1.0", 120, true),
            ("64:ff9b::808:800", 120, false),
            ("::", 1, false),
            ("::1", 128, true),
            ("fe80::1", 64, true),
            ("2a00::", 16, false),
        ] {
            assert_eq!(is_private(address.parse().unwrap(), length), private, "{address}/{length}");
        }
    }

    #[test]
    fn a_client_network_is_a_24_or_a_48_or_what_is_known_of_it() {
        let network =
            |address: &str, source| Located { address: address.parse().unwrap(), by: By::Subnet { source } }.network();
        assert_eq!(network("203.0.113.77", 32), network("203.0.113.0", 24));
        assert_ne!(network("203.0.113.0", 24).0, network("203.0.112.0", 24).0);
        assert_eq!(network("203.0.0.0", 16), network("203.0.113.0", 16));
        assert_eq!(network("2001:db8:1:ffff::", 64), network("2001:db8:1::", 48));
        assert_ne!(network("2001:db8:1::", 48).0, network("2001:db8:2::", 48).0);
        assert_eq!(network("::ffff:203.0.113.0", 120), (network("203.0.113.0", 24).0, 120));
        assert_ne!(network("64:ff9b::cb00:7100", 120).0, network("64:ff9b::cb00:7000", 120).0);
        assert_eq!(network("203.0.113.0", 24).1, 24);
        assert_eq!(network("2001:db8::", 32).1, 48);
    }
}
