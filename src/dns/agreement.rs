//! Proves that both paths say the same: the hot codec's bytes and hickory's, read back by hickory, are one
//! message. Also what the general path alone answers.

use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::tsig::{TSIG, TsigAlgorithm, TsigError, make_tsig_record};
use hickory_proto::rr::{Name, Record};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use super::fake::{Ask, NOW_MS, NSID, World};
use super::*;
use crate::answer::Entropy;

const TCP: Transport = Transport::Tcp { idle: Duration::from_secs(10) };

struct Both {
    settings: Arc<Settings>,
    world: Arc<World>,
}

impl Both {
    fn new() -> Self {
        Both { settings: Arc::new(Settings::new(NSID, Secret::new([7; 16]))), world: Arc::new(World::new()) }
    }

    fn arrival(transport: Transport) -> Arrival {
        Arrival { client: "198.51.100.100".parse().unwrap(), transport, now_ms: NOW_MS }
    }

    fn hot(&self, packet: &[u8], transport: Transport) -> (Outcome, Vec<u8>) {
        let mut out = Vec::new();
        let arrival = Self::arrival(transport);
        (respond(packet, &arrival, &self.settings, &*self.world, &mut Entropy::new(1), &mut out), out)
    }

    fn general(&self, packet: &[u8], transport: Transport) -> (Outcome, Vec<u8>) {
        let mut out = Vec::new();
        let arrival = Self::arrival(transport);
        (general::respond(packet, &arrival, &self.settings, &self.world, &mut Entropy::new(1), &mut out), out)
    }
}

/// A message in an order of its own within each section.
fn sorted(bytes: &[u8]) -> Message {
    let mut message = Message::from_vec(bytes).unwrap();
    let key = |record: &Record| {
        let mut bytes = Vec::new();
        record.emit(&mut BinEncoder::new(&mut bytes)).unwrap();
        bytes.make_ascii_lowercase();
        bytes
    };
    message.answers.sort_by_cached_key(key);
    message.authorities.sort_by_cached_key(key);
    message.additionals.sort_by_cached_key(key);
    message
}

fn random_question(entropy: &mut Entropy) -> Ask {
    let names = ["www", "many", "extra", "few.cut", "glue.cut", "sibling.cut", "nothing", "", "a.b.c"];
    let name = match entropy.below(3) {
        0 => format!("{}.TEST", names[entropy.below(names.len() as u64) as usize]),
        1 => format!("{:x}.{:x}.a.Random.Test", entropy.next(), entropy.below(9)),
        _ => format!("{:x}.random.test", entropy.next()),
    };
    let rtype = [1, 2, 5, 6, 15, 16, 28, 33, 65, 65_280, 65_281][entropy.below(11) as usize];
    let ask = Ask::of(&name, rtype).header(2, entropy.below(2) as u8).header(3, (entropy.below(2) as u8) << 4);
    let subnet: [&[u8]; 3] = [&[0, 1, 24, 0, 192, 0, 2], &[0, 2, 56, 0, 0x20, 1, 13, 184, 0, 0, 1], &[0, 1, 0, 0]];
    let mut options: Vec<(u16, &[u8])> = Vec::new();
    if entropy.below(2) == 0 {
        options.push((8, subnet[entropy.below(3) as usize]));
    }
    if entropy.below(3) == 0 {
        options.push((3, &[]));
    }
    if entropy.below(3) == 0 {
        options.push((10, &[9; 8]));
    }
    if entropy.below(4) == 0 {
        options.push((11, &[]));
    }
    if entropy.below(4) == 0 { ask } else { ask.edns(entropy.below(5000) as u16, &options) }
}

#[test]
fn both_paths_say_the_same_where_everything_fits() {
    let both = Both::new();
    let mut entropy = Entropy::new(2026);
    for _ in 0..5_000 {
        let packet = random_question(&mut entropy).bytes();
        let ((hot_outcome, hot), (general_outcome, general)) = (both.hot(&packet, TCP), both.general(&packet, TCP));
        assert_eq!(hot_outcome, general_outcome);
        assert_eq!(sorted(&hot), sorted(&general), "{packet:x?}");
    }
}

#[test]
fn both_paths_keep_to_the_limit_and_truncate_the_same_questions() {
    let both = Both::new();
    let mut entropy = Entropy::new(7);
    let mut truncated = 0;
    for _ in 0..5_000 {
        let ask = random_question(&mut entropy);
        let packet = ask.bytes();
        let (hot, general) = (both.hot(&packet, Transport::Udp).1, both.general(&packet, Transport::Udp).1);
        let limit = if ask.rest.is_empty() { 512 } else { 1232 };
        assert!(hot.len() <= limit && general.len() <= limit);
        let (hot, general) = (sorted(&hot), sorted(&general));
        assert_eq!(hot.edns, general.edns, "OPT is always kept");
        assert_eq!(hot.metadata.response_code, general.metadata.response_code);
        // The general path compresses a little better or worse, so that some sets fit on one side only.
        if hot.metadata.truncation && general.metadata.truncation {
            assert!(hot.answers.is_empty() && hot.authorities.is_empty() && hot.additionals.is_empty());
            assert!(general.answers.is_empty() && general.authorities.is_empty() && general.additionals.is_empty());
            truncated += 1;
        } else if !hot.metadata.truncation && !general.metadata.truncation {
            assert_eq!(hot.answers, general.answers);
        }
    }
    assert!(truncated > 100, "{truncated}");
}

#[test]
fn transfers_updates_and_notifies_are_refused() {
    let both = Both::new();
    let soa = [&b"\x04test\x00"[..], &[0, 6, 0, 1, 0, 0, 0, 0, 0, 22], &[0, 0], &[0; 20]].concat();
    let ixfr = Ask { rest: soa, ..Ask::of("test", 251) }.header(9, 1).edns(1232, &[]);
    // An address of three bytes: its shape is right, its meaning is hickory's to reject.
    let bad_update = Ask::of("test", 6).record(&[0xc0, 12], &[0, 1, 0, 1, 0, 0, 0, 0], &[1, 2, 3]).header(2, 5 << 3);
    let cases = [
        ("AXFR", Ask::of("test", 252).edns(1232, &[]), ResponseCode::Refused, Some(18u16)),
        ("IXFR", ixfr, ResponseCode::Refused, Some(18)),
        ("NOTIFY", Ask::of("test", 6).header(2, 4 << 3), ResponseCode::NotImp, None),
        ("UPDATE", Ask::of("test", 6).header(2, 5 << 3), ResponseCode::NotImp, None),
        ("UPDATE of bad data", bad_update, ResponseCode::FormErr, None),
    ];
    for (what, ask, code, error) in cases {
        for transport in [Transport::Udp, TCP] {
            let packet = ask.bytes();
            assert_eq!(both.hot(&packet, transport).0, Outcome::General, "{what}");
            let (_, bytes) = both.general(&packet, transport);
            let message = Message::from_vec(&bytes).unwrap();
            assert_eq!(message.metadata.response_code, code, "{what}");
            assert_eq!((message.metadata.id, bytes[2] >> 3 & 15), (0xabcd, packet[2] >> 3), "{what}");
            let extended = message
                .edns
                .and_then(|edns| edns.options().get(15.into()).map(|option| Vec::<u8>::try_from(option).unwrap()));
            assert_eq!(extended, error.map(|code| code.to_be_bytes().to_vec()), "{what}");
        }
    }
}

#[test]
fn a_question_with_records_beside_it_is_answered() {
    let both = Both::new();
    let record = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4][..], &[192, 0, 2, 9]].concat();
    let packet = Ask { rest: record, ..Ask::of("www.test", 1) }.header(7, 1).bytes();
    assert_eq!(both.hot(&packet, Transport::Udp).0, Outcome::General);
    let (outcome, bytes) = both.general(&packet, Transport::Udp);
    assert_eq!(Message::from_vec(&bytes).unwrap().answers.len(), 2);
    assert!(matches!(outcome, Outcome::Reply(Said { credit: Some(_), .. })));
}

#[test]
fn an_unknown_key_is_named_in_an_unsigned_refusal() {
    let both = Both::new();
    let tsig = TSIG::new(TsigAlgorithm::HmacSha256, NOW_MS / 1000, 300, vec![5; 32], 0xabcd, None, Vec::new());
    let record = make_tsig_record(Name::from_ascii("some.key.").unwrap(), tsig);
    let mut signature = Vec::new();
    record.emit(&mut BinEncoder::new(&mut signature)).unwrap();
    for opcode in [0, 4, 5] {
        let packet =
            Ask { rest: signature.clone(), ..Ask::of("www.test", 6) }.header(11, 1).header(2, opcode << 3).bytes();
        assert_eq!(both.hot(&packet, Transport::Udp).0, Outcome::General);
        let message = Message::from_vec(&both.general(&packet, Transport::Udp).1).unwrap();
        assert_eq!(message.metadata.response_code, ResponseCode::NotAuth);
        let said = message.signature.unwrap();
        assert_eq!(said.name.to_ascii(), "some.key.");
        assert_eq!((said.data.error, said.data.mac.len()), (Some(TsigError::BadKey), 0));
    }
}
