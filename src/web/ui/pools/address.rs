//! The address of a server as somebody types it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::{FieldError, Name};

/// One address as it was typed.
#[derive(Debug, Clone, PartialEq)]
pub enum Address {
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    /// A host name that resolvers look up themselves.
    Name(String),
}

/// Reads one address, or says what would be one.
pub fn address(text: &str) -> Result<Address, FieldError> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => return Ok(Address::Ipv4(ip)),
        Ok(IpAddr::V6(ip)) => return Ok(Address::Ipv6(ip)),
        Err(_) => {}
    }
    let wrong = |remedy: &str| FieldError::new("address", format!("{text} is not an address"), remedy);
    let parts: Vec<&str> = text.split('.').collect();
    if parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())) {
        let too_large = parts.iter().position(|part| part.parse::<u32>().is_ok_and(|n| n > 255) || part.len() > 9);
        return Err(wrong(match (parts.len(), too_large) {
            (4, Some(0)) => "The first part can be at most 255",
            (4, Some(1)) => "The second part can be at most 255",
            (4, Some(2)) => "The third part can be at most 255",
            (4, Some(_)) => "The last part can be at most 255",
            (4, None) => "Write its parts without leading zeros",
            _ => "It has four parts, such as 192.0.2.10",
        }));
    }
    if text.contains(':') {
        return Err(wrong("Write an IPv6 address such as 2001:db8::10, without a port"));
    }
    match text.parse::<Name>() {
        Ok(name) if name.labels().count() > 1 => Ok(Address::Name(name.to_string())),
        _ => Err(wrong("Use one such as 192.0.2.10 or 2001:db8::10, or a host name such as cdn.example.net")),
    }
}

/// True for what clients on the internet cannot reach.
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.segments()[0] & 0xfe00 == 0xfc00,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_address_is_told_as_people_write_it() {
        let said = |text: &str| {
            let error = address(text).unwrap_err();
            format!("{}. {}.", error.problem, error.remedy)
        };
        let last = "192.0.2.300 is not an address. The last part can be at most 255.";
        assert_eq!(said("192.0.2.300"), last);
        assert_eq!(said("999.0.2.3"), "999.0.2.3 is not an address. The first part can be at most 255.");
        assert_eq!(said("192.0.2"), "192.0.2 is not an address. It has four parts, such as 192.0.2.10.");
        assert!(said("2001:db8::zz").starts_with("2001:db8::zz is not an address. Write an IPv6 address"));
        assert!(said("web").starts_with("web is not an address. Use one such as"));
        assert_eq!(address("2001:db8::10"), Ok(Address::Ipv6("2001:db8::10".parse().unwrap())));
        assert_eq!(address("cdn.example.net"), Ok(Address::Name("cdn.example.net.".into())));
    }

    #[test]
    fn private_addresses_are_told_from_those_that_the_internet_reaches() {
        let private = ["10.0.0.5", "192.168.1.1", "172.16.0.1", "127.0.0.1", "100.64.0.1", "fd00::1", "::1"];
        assert!(private.iter().all(|ip| is_private(ip.parse().unwrap())));
        let public = ["192.0.2.1", "100.128.0.1", "172.32.0.1", "2001:db8::1"];
        assert!(!public.iter().any(|ip| is_private(ip.parse().unwrap())));
    }
}
