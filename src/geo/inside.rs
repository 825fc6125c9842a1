//! The IPv4 address inside an IPv6 transition address. Such clients are placed by what is inside.

use std::net::{IpAddr, Ipv4Addr};

/// A block of IPv6 addresses that each hold an IPv4 address.
struct Form {
    prefix: u128,
    length: u8,
    /// Where the IPv4 address begins, in bits; what must be added to its scope.
    offset: u8,
    /// Teredo keeps the client's address with all bits flipped.
    flipped: u32,
}

const FORMS: [Form; 4] = [
    // IPv4-mapped, RFC 4291 2.5.5.2.
    Form { prefix: 0xffff << 32, length: 96, offset: 96, flipped: 0 },
    // NAT64 well-known prefix, RFC 6052.
    Form { prefix: 0x0064_ff9b << 96, length: 96, offset: 96, flipped: 0 },
    // 6to4, RFC 3056.
    Form { prefix: 0x2002 << 112, length: 16, offset: 16, flipped: 0 },
    // Teredo, RFC 4380 4.
    Form { prefix: 0x2001_0000 << 96, length: 32, offset: 96, flipped: u32::MAX },
];

/// The address to look up, and how many bits of the given address come before it.
pub fn unwrap(address: IpAddr) -> (IpAddr, u8) {
    unwrap_prefix(address, 128)
}

/// The same for a prefix; one that reaches beyond the transition addresses is an IPv6 prefix as others.
#[inline]
pub fn unwrap_prefix(address: IpAddr, length: u8) -> (IpAddr, u8) {
    let IpAddr::V6(v6) = address else { return (address, 0) };
    let bits = v6.to_bits();
    for form in FORMS {
        if bits & !(u128::MAX >> form.length) == form.prefix && length >= form.length {
            let inside = (bits >> (96 - form.offset)) as u32 ^ form.flipped;
            return (IpAddr::V4(Ipv4Addr::from_bits(inside)), form.offset);
        }
    }
    (address, 0)
}

/// First address and length of every such block: no IPv6 scope may cover one.
pub fn blocks() -> impl Iterator<Item = (u128, u8)> {
    FORMS.iter().map(|form| (form.prefix, form.length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transition_form_yields_the_address_inside() {
        for (given, inside, offset) in [
            ("192.0.2.1", "192.0.2.1", 0),
            ("2001:db8::1", "2001:db8::1", 0),
            ("::1", "::1", 0),
            ("::ffff:192.0.2.1", "192.0.2.1", 96),
            ("64:ff9b::192.0.2.1", "192.0.2.1", 96),
            ("64:ff9b:1::192.0.2.1", "64:ff9b:1::192.0.2.1", 0),
            ("2002:c000:201::1", "192.0.2.1", 16),
            // The example of RFC 4380: client 192.0.2.45 behind server 65.54.227.120.
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45", 96),
        ] {
            assert_eq!(unwrap(given.parse().unwrap()), (inside.parse().unwrap(), offset), "{given}");
        }
    }
}
