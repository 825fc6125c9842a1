//! The client subnet option (RFC 7871), checked in every respect before anybody uses it, and echoed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::answer::Subnet;

/// The option's code.
pub const CODE: u16 = 8;

const FAMILY_NONE: u16 = 0;
const FAMILY_IPV4: u16 = 1;
const FAMILY_IPV6: u16 = 2;

/// A well-formed client subnet, as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ecs<'p> {
    data: &'p [u8],
    subnet: Subnet,
}

impl<'p> Ecs<'p> {
    /// `None` for all that RFC 7871 sections 6 and 7.1.2 forbid in a query: an unknown family, a source longer
    /// than the family's addresses, a scope, more or fewer address bytes than the source needs, and bits set
    /// beyond the source. Family 0 is what some clients send with source 0, "do not use my address".
    pub fn read(data: &'p [u8]) -> Option<Self> {
        let (fixed, sent) = data.split_first_chunk::<4>()?;
        let (family, source, scope) = (u16::from_be_bytes([fixed[0], fixed[1]]), fixed[2], fixed[3]);
        if scope != 0 || sent.len() != usize::from(source.div_ceil(8)) {
            return None;
        }
        if let (Some(last), used @ 1..) = (sent.last(), source % 8)
            && last << used != 0
        {
            return None;
        }
        let mut bytes = [0; 16];
        bytes.get_mut(..sent.len())?.copy_from_slice(sent);
        let address = match (family, source) {
            (FAMILY_NONE, 0) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            (FAMILY_IPV4, 0..=32) => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
            (FAMILY_IPV6, 0..=128) => IpAddr::V6(Ipv6Addr::from(bytes)),
            _ => return None,
        };
        Some(Ecs { data, subnet: Subnet { address, source } })
    }

    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// Bytes that the option takes in a reply, its code and length included.
    pub fn length(&self) -> usize {
        4 + self.data.len()
    }

    /// Echoes family, source and address exactly. Source 0 asked not to be placed by its address, so that the
    /// scope is 0 whatever was answered (section 7.2.1).
    pub fn write(&self, scope: u8, out: &mut Vec<u8>) {
        let longest = if self.subnet.address.is_ipv4() { 32 } else { 128 };
        let scope = if self.subnet.source == 0 { 0 } else { scope.min(longest) };
        out.extend_from_slice(&CODE.to_be_bytes());
        out.extend_from_slice(&(self.data.len() as u16).to_be_bytes());
        out.extend_from_slice(&self.data[..3]);
        out.push(scope);
        out.extend_from_slice(&self.data[4..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_malformed_kind_is_rejected() {
        let kinds: &[(&str, &[u8])] = &[
            ("empty", &[]),
            ("no source", &[0, 1]),
            ("no scope", &[0, 1, 24]),
            ("family 0 with a source", &[0, 0, 24, 0, 192, 0, 2]),
            ("unknown family", &[0, 3, 24, 0, 192, 0, 2]),
            ("unknown family, source 0", &[0, 3, 0, 0]),
            ("IPv4 source over 32", &[0, 1, 33, 0, 192, 0, 2, 1, 0]),
            ("IPv6 source over 128", &[0, 2, 129, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0]),
            ("source 255", &[0, 2, 255, 0]),
            ("scope set", &[0, 1, 24, 24, 192, 0, 2]),
            ("too few address bytes", &[0, 1, 24, 0, 192, 0]),
            ("too many address bytes", &[0, 1, 24, 0, 192, 0, 2, 0]),
            ("address with source 0", &[0, 1, 0, 0, 192]),
            ("bits beyond the source", &[0, 1, 23, 0, 192, 0, 3]),
            ("bits beyond an IPv6 source", &[0, 2, 33, 0, 0x20, 1, 0xd, 0xb8, 0x40]),
        ];
        for (kind, data) in kinds {
            assert_eq!(Ecs::read(data), None, "{kind}");
        }
    }

    #[test]
    fn a_subnet_is_echoed_with_the_scope_and_nothing_else_changed() {
        let cases: &[(&[u8], &str, u8, u8)] = &[
            (&[0, 1, 24, 0, 192, 0, 2], "192.0.2.0", 20, 20),
            (&[0, 1, 0, 0], "0.0.0.0", 20, 0),
            (&[0, 0, 0, 0], "0.0.0.0", 20, 0),
            (&[0, 1, 1, 0, 0x80], "128.0.0.0", 99, 32),
            (&[0, 2, 33, 0, 0x20, 1, 0xd, 0xb8, 0x80], "2001:db8:8000::", 48, 48),
        ];
        for &(data, address, scope, returned) in cases {
            let ecs = Ecs::read(data).unwrap();
            assert_eq!(ecs.subnet(), Subnet { address: address.parse().unwrap(), source: data[2] });
            let mut out = Vec::new();
            ecs.write(scope, &mut out);
            assert_eq!(out.len(), ecs.length());
            let mut expected = vec![0, 8, 0, data.len() as u8];
            expected.extend_from_slice(data);
            expected[7] = returned;
            assert_eq!(out, expected);
        }
    }
}
