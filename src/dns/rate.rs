//! Response rate limiting: UDP senders can be forged, so that a network gets only so many replies a second, and
//! the rest dropped or truncated by turns. Whoever was meant asks again over TCP or with a cookie, which nobody
//! can forge and nothing limits. Counts only; what is said instead is not decided here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use siphasher::sip::SipHasher24;

/// UDP replies a second for each IPv4 /24 or IPv6 /56: more than resolvers need, little for an attack.
pub const DEFAULT_RATE: u32 = 1000;
/// The fastest rate that can be counted.
pub const MAX_RATE: u32 = 1_000_000;
/// Networks counted at a time, 8 bytes each. Two in one slot: the later passes uncounted while the other is busy.
const SLOTS: usize = 1 << 16;
/// How far a network may be ahead of its rate.
const BURST_US: u64 = 1_000_000;
/// A slot holds the time in its low bits, eight years of it, and above them a part of the network's hash.
const TIME_BITS: u32 = 48;
const TIME: u64 = (1 << TIME_BITS) - 1;

/// Counts by virtual scheduling: a slot is the time at which all that was said would have been said at the rate.
pub struct Limiter {
    slots: Box<[AtomicU64]>,
    key: [u8; 16],
    /// Microseconds between two replies at the rate; 0 counts nothing.
    interval_us: u64,
}

impl Limiter {
    /// `rate` replies a second, 0 for no limit. The `key` keeps forgers from choosing networks of one slot.
    pub fn new(rate: u32, key: [u8; 16]) -> Self {
        let slots = if rate == 0 { 0 } else { SLOTS };
        Limiter {
            slots: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            key,
            interval_us: 1_000_000_u64.checked_div(u64::from(rate.min(MAX_RATE))).unwrap_or(0),
        }
    }

    /// Counts a query; true when its network has had its share. Networks of one's own are never limited: nobody
    /// outside can be hit through them.
    pub fn is_over(&self, client: IpAddr, now_ms: u64) -> bool {
        if self.interval_us == 0 || is_own(client) {
            return false;
        }
        let hash = SipHasher24::new_with_key(&self.key).hash(&network(client));
        let (slot, tag) = (&self.slots[hash as usize % SLOTS], hash & !TIME);
        let now_us = now_ms.wrapping_mul(1000) & TIME;
        let held = slot.load(Relaxed);
        let ahead_us = match (held & TIME).saturating_sub(now_us) {
            // The clock was set back.
            ahead_us if ahead_us > BURST_US + self.interval_us => 0,
            ahead_us => ahead_us,
        };
        if held & !TIME != tag && ahead_us > 0 {
            return false;
        }
        if ahead_us > BURST_US {
            return true;
        }
        // A count that another thread overtakes is lost, which is a little in favour of the network.
        let next = tag | ((now_us + ahead_us + self.interval_us) & TIME);
        let _ = slot.compare_exchange(held, next, Relaxed, Relaxed);
        false
    }
}

/// The /24 or /56, and the family.
fn network(client: IpAddr) -> [u8; 8] {
    match client {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            [4, a, b, c, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, ..] = address.octets();
            [6, a, b, c, d, e, f, g]
        }
    }
}

/// Loopback, private, shared, link-local and benchmarking addresses.
fn is_own(client: IpAddr) -> bool {
    match client {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            let shared = a == 100 && b & 0xc0 == 64;
            let benchmarking = a == 198 && b & 0xfe == 18;
            Ipv4Addr::is_loopback(&address) || address.is_private() || address.is_link_local() || shared || benchmarking
        }
        IpAddr::V6(address) => {
            Ipv6Addr::is_loopback(&address) || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn passed(limiter: &Limiter, client: &str, from_ms: u64, count: u64, over_ms: u64) -> u64 {
        let client = client.parse().unwrap();
        (0..count).map(|n| u64::from(!limiter.is_over(client, NOW_MS + from_ms + n * over_ms / count))).sum()
    }

    #[test]
    fn a_network_gets_its_rate_and_a_burst() {
        let limiter = Limiter::new(100, [7; 16]);
        let first = passed(&limiter, "192.0.2.1", 0, 10_000, 10_000);
        assert!((1_090..=1_110).contains(&first), "{first} of ten seconds and a burst");
        assert!(passed(&limiter, "192.0.2.200", 10_000, 50, 1) <= 1, "the same /24");
        assert_eq!(passed(&limiter, "192.0.3.1", 10_000, 50, 1), 50, "another /24");
        assert_eq!(passed(&limiter, "192.0.2.1", 12_000, 50, 1), 50, "after a pause");
    }

    #[test]
    fn a_clock_that_is_set_back_limits_nobody() {
        let limiter = Limiter::new(10, [7; 16]);
        passed(&limiter, "192.0.2.1", 3_600_000, 1_000, 1);
        assert_eq!(passed(&limiter, "192.0.2.1", 0, 5, 1), 5);
        let more = passed(&limiter, "192.0.2.1", 1, 1_000, 1);
        assert!((5..=7).contains(&more), "{more}: the rest of a burst of ten");
    }

    #[test]
    fn ipv6_is_counted_by_56_bits() {
        let limiter = Limiter::new(1, [7; 16]);
        passed(&limiter, "2001:db8:0:100::1", 0, 5, 1);
        assert_eq!(passed(&limiter, "2001:db8:0:1ff::2", 5, 1, 1), 0);
        assert_eq!(passed(&limiter, "2001:db8:0:200::1", 5, 1, 1), 1);
    }

    #[test]
    fn own_networks_and_a_rate_of_0_are_never_limited() {
        let limiter = Limiter::new(1, [7; 16]);
        for client in
            ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "198.18.0.1", "::1", "fd00::1"]
        {
            assert_eq!(passed(&limiter, client, 0, 100, 1), 100, "{client}");
        }
        assert_eq!(passed(&Limiter::new(0, [7; 16]), "192.0.2.1", 0, 10_000, 1), 10_000);
    }

    #[test]
    fn what_stands_in_a_slot_belongs_to_one_network() {
        let limiter = Limiter::new(10, [7; 16]);
        let each = (0..20_000u32).map(|n| IpAddr::from(Ipv4Addr::from(0x0b00_0000 + (n << 8))));
        assert!(each.map(|client| limiter.is_over(client, NOW_MS)).all(|over| !over));
    }
}
