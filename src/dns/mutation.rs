//! A million damaged queries: whatever comes in, what goes out is a well-formed reply of its size, or nothing.

use std::sync::Arc;
use std::time::Duration;

use super::fake::{Ask, NOW_MS, NSID, World};
use super::*;
use crate::answer::Entropy;

const PACKETS: u32 = 1_000_000;

fn corpus() -> Vec<Vec<u8>> {
    let every: &[(u16, &[u8])] =
        &[(3, &[]), (8, &[0, 1, 24, 0, 192, 0, 2]), (10, &[1; 24]), (11, &[]), (12, &[0; 8]), (65_001, &[1, 2, 3])];
    let v6: &[(u16, &[u8])] = &[(8, &[0, 2, 56, 0, 0x20, 1, 13, 184, 0, 0, 1])];
    let soa = [&b"\x04test\x00"[..], &[0, 6, 0, 1, 0, 0, 0, 0, 0, 22], &[0, 0], &[0; 20]].concat();
    let tsig =
        [&b"\x0bhmac-sha256\x00"[..], &[0, 0, 0x65, 0x53, 0xf1, 0, 1, 44, 0, 4, 9, 9, 9, 9, 0xab, 0xcd, 0, 0, 0, 0]];
    [
        Ask::of("www.test", 1),
        Ask::of("www.test", 1).edns(1232, every),
        Ask::of("www.test", 28).edns(4096, v6),
        Ask::of("many.test", 1).edns(1232, &[]),
        Ask::of("extra.test", 1).edns(512, every),
        Ask::of("glue.cut.test", 1).edns(1232, v6),
        Ask::of("a.b.random.test", 16).edns(1232, every),
        Ask::of("version.bind", 16).class(3),
        Ask::of("", 2),
        Ask { rest: soa, ..Ask::of("test", 251) }.header(9, 1).edns(1232, &[]),
        Ask::of("test", 252),
        Ask::of("test", 6).header(2, 4 << 3),
        Ask::of("test", 6).header(2, 5 << 3).record(&[0xc0, 12], &[0, 255, 0, 255, 0, 0, 0, 0], &[]),
        Ask::of("www.test", 1).record(b"\x03key\x00", &[0, 250, 0, 255, 0, 0, 0, 0], &tsig.concat()),
    ]
    .iter()
    .map(Ask::bytes)
    .collect()
}

/// One to four damages: bits, bytes, interesting numbers, cuts, copies, and mixtures of two queries.
fn damage(corpus: &[Vec<u8>], entropy: &mut Entropy, packet: &mut Vec<u8>) {
    let pick = |entropy: &mut Entropy, below: usize| entropy.below(below as u64) as usize;
    packet.clear();
    packet.extend_from_slice(&corpus[pick(entropy, corpus.len())]);
    for _ in 0..=entropy.below(4) {
        if packet.is_empty() {
            return;
        }
        let at = pick(entropy, packet.len());
        match entropy.below(8) {
            0 => packet[at] ^= 1 << entropy.below(8),
            1 => packet[at] = entropy.next() as u8,
            2 => packet[at] = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff][pick(entropy, 8)],
            3 => packet.truncate(at),
            4 => packet.insert(at, entropy.next() as u8),
            5 => drop(packet.remove(at)),
            6 => {
                let end = at + pick(entropy, packet.len() - at);
                packet.extend_from_within(at..end);
            }
            _ => {
                let other = &corpus[pick(entropy, corpus.len())];
                packet.truncate(at);
                packet.extend_from_slice(&other[at.min(other.len())..]);
            }
        }
    }
}

/// Reads a reply by counts and lengths alone, to its last byte.
fn is_well_formed(reply: &[u8]) -> bool {
    let count = |at: usize| usize::from(u16::from_be_bytes([reply[at], reply[at + 1]]));
    let skip_name = |mut at: usize| loop {
        match *reply.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            high @ 0xc0.. => {
                let target = usize::from(u16::from_be_bytes([high & 0x3f, *reply.get(at + 1)?]));
                return (target >= 12 && target < at).then_some(at + 2);
            }
            _ => return None,
        }
    };
    let whole = || {
        let mut at = 12;
        for _ in 0..count(4) {
            at = skip_name(at)? + 4;
        }
        for _ in 0..count(6) + count(8) + count(10) {
            let fixed = skip_name(at)?;
            at = fixed + 10 + usize::from(u16::from_be_bytes([*reply.get(fixed + 8)?, *reply.get(fixed + 9)?]));
        }
        Some(at)
    };
    count(4) <= 1 && whole() == Some(reply.len())
}

#[test]
fn damaged_queries_get_well_formed_replies_or_none() {
    let settings = Arc::new(Settings::new(NSID, Secret::new([7; 16])));
    let world = Arc::new(World::new());
    let corpus = corpus();
    let mut entropy = Entropy::new(0x5eed);
    let (mut packet, mut out) = (Vec::new(), Vec::new());
    let (mut answered, mut general) = (0, 0);
    for round in 0..PACKETS {
        damage(&corpus, &mut entropy, &mut packet);
        let (transport, limit) = match round % 4 {
            0 => (Transport::Tcp { idle: Duration::from_secs(10) }, 65_535),
            _ => (Transport::Udp, 1232),
        };
        let arrival = Arrival { client: "192.0.2.7".parse().unwrap(), transport, now_ms: NOW_MS };
        let mut outcome = respond(&packet, &arrival, &settings, &*world, &mut entropy, &mut out);
        if outcome == Outcome::General {
            general += 1;
            outcome = general::respond(&packet, &arrival, &settings, &world, &mut entropy, &mut out);
        }
        if packet.len() < 12 || packet[2] & 0x80 != 0 {
            assert_eq!((outcome, out.len()), (Outcome::Silence, 0), "{packet:x?}");
            continue;
        }
        answered += 1;
        assert!(matches!(outcome, Outcome::Reply(_)), "{packet:x?}");
        assert!((12..=limit).contains(&out.len()), "{packet:x?} {out:x?}");
        assert_eq!((&out[..2], out[2] & 0xf8), (&packet[..2], 0x80 | packet[2] & 0x78), "{packet:x?} {out:x?}");
        assert!(is_well_formed(&out), "{packet:x?} {out:x?}");
    }
    assert!(answered > PACKETS / 2 && general > PACKETS / 20, "{answered} {general}");
}
