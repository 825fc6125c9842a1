//! What replies look like on the wire, packet by packet.

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::Message;

use super::fake::{Ask, NOW_MS, NSID, World};
use super::*;
use crate::answer::Entropy;

const CLIENT: &str = "198.51.100.100";
const TCP: Transport = Transport::Tcp { idle: Duration::from_secs(10) };

fn settings() -> Settings {
    Settings::new(NSID, Secret::new([7; 16]))
}

fn outcome(packet: &[u8], transport: Transport) -> (Outcome, Vec<u8>) {
    let mut out = Vec::new();
    let arrival = Arrival { client: CLIENT.parse::<IpAddr>().unwrap(), transport, now_ms: NOW_MS };
    let outcome = respond(packet, &arrival, &settings(), &World::new(), &mut Entropy::new(1), &mut out);
    (outcome, out)
}

fn reply(ask: &Ask) -> Vec<u8> {
    let (outcome, out) = outcome(&ask.bytes(), Transport::Udp);
    assert!(matches!(outcome, Outcome::Reply(_)), "{outcome:?}");
    out
}

/// The response code with its EDNS part, from the bytes.
fn code(bytes: &[u8]) -> u16 {
    u16::from(Message::from_vec(bytes).unwrap().metadata.response_code)
}

fn option(bytes: &[u8], code: u16) -> Option<Vec<u8>> {
    let message = Message::from_vec(bytes).unwrap();
    let edns = message.edns?;
    let option = edns.options().get(code.into())?;
    Some(Vec::<u8>::try_from(option).unwrap())
}

#[test]
fn an_answer_has_exactly_these_bytes() {
    let ask = Ask::of("wWw.TeSt", 1).header(2, 1).edns(1232, &[(8, &[0, 1, 24, 0, 192, 0, 2])]);
    let expected = [
        &[0xab, 0xcd, 0x85, 0x00, 0, 1, 0, 2, 0, 0, 0, 1][..],
        b"\x03wWw\x04TeSt\x00\x00\x01\x00\x01",
        &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 0],
        &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 1],
        &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 20, 192, 0, 2],
    ]
    .concat();
    assert_eq!(reply(&ask), expected);
}

#[test]
fn responses_and_stubs_of_headers_get_no_reply() {
    for packet in [&[][..], &[0xab, 0xcd, 0, 0, 0, 1, 0, 0, 0, 0, 0], &Ask::of("www.test", 1).header(2, 0x80).bytes()] {
        assert_eq!(outcome(packet, Transport::Udp), (Outcome::Silence, Vec::new()));
    }
}

#[test]
fn what_is_wrong_is_answered_with_its_code_and_no_records() {
    let www = || Ask::of("www.test", 1);
    let opt: &[u8; 8] = &[0, 41, 4, 208, 0, 0, 0, 0];
    let cases: Vec<(&str, Ask, u16)> = vec![
        ("class CH", Ask::of("version.bind", 16).class(3), 5),
        ("class ANY", www().class(255), 5),
        ("class HS", www().class(4), 5),
        ("class NONE", www().class(254), 5),
        ("class 0", www().class(0), 5),
        ("type OPT", Ask::of("www.test", 41), 1),
        ("type TSIG", Ask::of("www.test", 250), 1),
        ("type NXNAME", Ask::of("www.test", 128), 1),
        ("type MAILB", Ask::of("www.test", 253), 4),
        ("no question", Ask { question: Vec::new(), ..www() }.header(5, 0), 1),
        ("two questions", www().header(5, 2), 1),
        ("question missing", Ask { question: Vec::new(), ..www() }, 1),
        ("pointer in the question", Ask { question: vec![0xc0, 12, 0, 1, 0, 1], ..www() }, 1),
        ("pointer forward", Ask { question: vec![0xc0, 18, 0, 1, 0, 1, 0], ..www() }, 1),
        ("pointer into the header", Ask { question: vec![0xc0, 4, 0, 1, 0, 1], ..www() }, 1),
        ("pointers in a circle", Ask { question: vec![1, b'a', 0xc0, 12, 0, 1, 0, 1], ..www() }, 1),
        ("pointer to itself in a record", www().record(&[0xc0, 26], opt, &[]), 1),
        ("pointer forward in a record", www().record(&[0xc0, 40], opt, &[]), 1),
        ("label type 01", Ask { question: vec![0x41, 0, 0, 1, 0, 1], ..www() }, 1),
        ("label type 10", Ask { question: vec![0x81, 0, 0, 1, 0, 1], ..www() }, 1),
        ("name of 257 bytes", Ask { question: [vec![1; 256], vec![0, 0, 1, 0, 1]].concat(), ..www() }, 1),
        ("record missing", www().header(11, 1), 1),
        ("OPT below a name", www().record(b"\x01x\x00", opt, &[]), 1),
        ("two OPT", www().edns(1232, &[]).edns(1232, &[]), 1),
        ("option over the end", www().record(&[0], opt, &[0, 9, 0, 1]), 1),
        ("half an option", www().record(&[0], opt, &[0, 9, 0]), 1),
        ("cookie of 7", www().edns(1232, &[(10, &[1; 7])]), 1),
        ("cookie of 15", www().edns(1232, &[(10, &[1; 15])]), 1),
        ("cookie of 41", www().edns(1232, &[(10, &[1; 41])]), 1),
        ("subnet with a scope", www().edns(1232, &[(8, &[0, 1, 24, 24, 192, 0, 2])]), 1),
        ("two subnets", www().edns(1232, &[(8, &[0, 1, 0, 0]), (8, &[0, 1, 0, 0])]), 1),
        ("EDNS version 1", www().record(&[0], &[0, 41, 4, 208, 0, 1, 0, 0], &[]), 16),
        ("EDNS version 255", www().record(&[0], &[0, 41, 4, 208, 0, 255, 0, 0], &[9]), 16),
        ("IQUERY", www().header(2, 1 << 3), 4),
        ("STATUS", www().header(2, 2 << 3), 4),
        ("opcode 15", www().header(2, 15 << 3), 4),
        ("UPDATE of no zone", www().header(2, 5 << 3).header(5, 0).header(11, 0), 1),
        ("NOTIFY of two zones", www().header(2, 4 << 3).header(5, 2), 1),
        ("UPDATE cut short", www().header(2, 5 << 3).header(9, 1), 1),
        ("not our zone", Ask::of("www.example", 1), 5),
    ];
    for (what, ask, expected) in cases {
        let bytes = reply(&ask);
        assert_eq!(code(&bytes), expected, "{what}");
        assert_eq!(bytes[..2], [0xab, 0xcd], "{what}: id");
        assert_eq!(bytes[2] & 0x87, 0x80, "{what}: QR, no AA, no TC, no RD");
        assert_eq!(bytes[2] >> 3 & 15, ask.header[2] >> 3 & 15, "{what}: opcode");
        assert_eq!(bytes[6..10], [0; 4], "{what}: no records");
    }
}

#[test]
fn a_malformed_option_is_refused_with_question_and_opt() {
    let ask = Ask::of("www.test", 1).edns(1232, &[(8, &[0, 9, 24, 0, 192, 0, 2])]);
    let message = Message::from_vec(&reply(&ask)).unwrap();
    assert_eq!(message.queries.len(), 1);
    assert_eq!(message.edns.unwrap().max_payload(), 1232);
}

#[test]
fn an_unknown_version_is_told_the_version_that_we_speak() {
    let options: &[u8] = &[0, 100, 0, 2, 9, 9, 0, 3, 0, 0];
    for flags in [[0, 0], [0x80, 0], [0x7f, 0xff]] {
        let ask = Ask::of("www.test", 1).record(&[0], &[0, 41, 16, 0, 0, 1, flags[0], flags[1]], options);
        let bytes = reply(&ask);
        let opt = [0, 0, 41, 4, 208, 1, 0, flags[0] & 0x80, 0, 0, 0];
        assert!(bytes.ends_with(&opt), "BADVERS, version 0, DO as it was, no options: {bytes:x?}");
        assert_eq!((bytes[3] & 15, bytes[7]), (0, 0));
    }
}

#[test]
fn every_opcode_but_three_is_not_implemented() {
    for opcode in (0..16u8).filter(|opcode| ![0, 4, 5].contains(opcode)) {
        for ask in [Ask::of("www.test", 1), Ask::of("www.test", 1).edns(1232, &[])] {
            let bytes = reply(&ask.clone().header(2, opcode << 3));
            assert_eq!((code(&bytes), bytes[2] >> 3 & 15, bytes[5]), (4, opcode, 0), "opcode {opcode}");
            assert_eq!(bytes[11], ask.header[11], "EDNS only for those who speak it");
        }
    }
}

#[test]
fn a_query_cut_anywhere_is_malformed_and_keeps_its_question_when_that_was_whole() {
    let options: &[(u16, &[u8])] = &[(3, &[]), (8, &[0, 1, 24, 0, 192, 0, 2]), (10, &[1; 8])];
    let ask = Ask::of("www.test", 1).edns(1232, options);
    let packet = ask.bytes();
    for length in 0..packet.len() {
        let (outcome, bytes) = outcome(&packet[..length], Transport::Udp);
        if length < 12 {
            assert_eq!((outcome, bytes.len()), (Outcome::Silence, 0));
            continue;
        }
        let questions = u8::from(length >= 12 + ask.question.len());
        assert_eq!((&bytes[..2], code(&bytes), bytes[5]), (&packet[..2], 1, questions), "{length} bytes");
    }
}

#[test]
fn subnets_come_back_as_they_were_sent() {
    let cases: &[(&[u8], u8)] = &[
        (&[0, 1, 24, 0, 192, 0, 2], 20),
        (&[0, 1, 32, 0, 192, 0, 2, 77], 20),
        (&[0, 2, 56, 0, 0x20, 1, 13, 184, 0, 0, 1], 20),
        (&[0, 2, 128, 0, 0x20, 1, 13, 184, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 20),
        (&[0, 1, 0, 0], 0),
        (&[0, 2, 0, 0], 0),
        (&[0, 0, 0, 0], 0),
    ];
    for (data, scope) in cases {
        for (name, code, scope) in [("www.test", 0, *scope), ("nothing.test", 3, 0)] {
            let bytes = reply(&Ask::of(name, 1).edns(1232, &[(8, data)]));
            let mut expected = [&[0, 8, 0, data.len() as u8], *data].concat();
            expected[7] = scope;
            // Compared by its bytes, because hickory knows no family 0.
            assert_eq!(bytes[3] & 15, code, "{name} {data:?}");
            assert!(bytes.ends_with(&expected), "{name} {data:?}: {bytes:x?}");
        }
    }
}

#[test]
fn every_malformed_subnet_is_refused_with_question_and_opt() {
    let kinds: &[&[u8]] = &[
        &[],
        &[0],
        &[0, 1, 24],
        &[0, 0, 24, 0, 192, 0, 2],
        &[0, 0, 0, 0, 1],
        &[0, 3, 24, 0, 192, 0, 2],
        &[0, 1, 33, 0, 192, 0, 2, 1, 128],
        &[0, 2, 129, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 128],
        &[0, 1, 24, 8, 192, 0, 2],
        &[0, 1, 24, 0, 192, 0],
        &[0, 1, 24, 0, 192, 0, 2, 0],
        &[0, 1, 0, 0, 192],
        &[0, 1, 20, 0, 192, 0, 8],
        &[0, 2, 33, 0, 0x20, 1, 0xd, 0xb8, 0x40],
    ];
    for data in kinds {
        let message = Message::from_vec(&reply(&Ask::of("www.test", 1).edns(1232, &[(8, data)]))).unwrap();
        assert_eq!(u16::from(message.metadata.response_code), 1, "{data:?}");
        assert_eq!((message.queries.len(), message.edns.map(|edns| edns.max_payload())), (1, Some(1232)), "{data:?}");
    }
}

#[test]
fn what_need_not_be_understood_is_answered_all_the_same() {
    let www = || Ask::of("www.test", 1);
    let trailing = Ask { rest: vec![1, 2, 3], ..www() };
    let cases: Vec<(&str, Ask)> = vec![
        ("trailing bytes", trailing),
        ("TC", www().header(2, 0x02)),
        ("AA", www().header(2, 0x04)),
        ("AD and Z and rcode", www().header(3, 0x6f)),
        ("unknown option", www().edns(1232, &[(100, &[1, 2, 3])])),
        ("EDNS flags", www().record(&[0], &[0, 41, 4, 208, 0, 0, 0x7f, 0xff], &[])),
        ("EDNS rcode", www().record(&[0], &[0, 41, 4, 208, 9, 0, 0, 0], &[])),
        ("other record beside", www().record(&[0xc0, 12], &[0, 1, 0, 1, 0, 0, 0, 0], &[1, 2, 3, 4])),
        ("payload 0", www().edns(0, &[])),
        ("EDNS padding, of which plain transports have none", www().edns(1232, &[(12, &[0; 40])])),
    ];
    for (what, ask) in cases {
        let bytes = reply(&ask);
        assert_eq!((code(&bytes), bytes[7]), (0, 2), "{what}");
        assert_eq!((bytes[2], bytes[3]), (0x84, 0), "{what}: flags");
        let flags = Message::from_vec(&bytes).unwrap().edns.map(|edns| u16::from(*edns.flags()));
        assert!(matches!(flags, None | Some(0)), "{what}: EDNS flags");
        assert!([100, 12].iter().all(|&code| option(&bytes, code).is_none()), "{what}: options");
    }
}

#[test]
fn flags_that_the_client_may_expect_back_are_copied() {
    let ask = Ask::of("www.test", 1).header(2, 0x01).header(3, 0x30).record(&[0], &[0, 41, 4, 208, 0, 0, 0x80, 0], &[]);
    let bytes = reply(&ask);
    assert_eq!(bytes[2..4], [0x85, 0x10], "RD and CD, not AD");
    assert!(Message::from_vec(&bytes).unwrap().edns.unwrap().flags().dnssec_ok);
}

#[test]
fn options_are_answered_only_when_they_were_asked() {
    let plain = reply(&Ask::of("www.test", 1).edns(1232, &[]));
    for code in [3, 8, 10, 11, 15] {
        assert_eq!(option(&plain, code), None);
    }
    assert!(Message::from_vec(&reply(&Ask::of("www.test", 1))).unwrap().edns.is_none());
    let all: &[(u16, &[u8])] = &[(3, &[]), (10, &[5; 8]), (11, &[])];
    let udp = reply(&Ask::of("www.example", 1).edns(1232, all));
    assert_eq!(option(&udp, 3).unwrap(), NSID.as_bytes());
    assert_eq!(option(&udp, 15).unwrap(), [0, 20]);
    let cookie = option(&udp, 10).unwrap();
    assert!(Secret::new([7; 16]).recognises(&cookie, CLIENT.parse().unwrap(), NOW_MS));
    assert_eq!(option(&udp, 11), None, "no keepalive over UDP");
    let (_, tcp) = outcome(&Ask::of("www.test", 1).edns(1232, all).bytes(), TCP);
    assert_eq!(option(&tcp, 11).unwrap(), [0, 100]);
}

#[test]
fn a_cookie_alone_is_answered_with_a_fresh_one() {
    let ask = Ask { question: Vec::new(), ..Ask::of("", 1) }.header(5, 0).edns(1232, &[(10, &[5; 8])]);
    let bytes = reply(&ask);
    assert_eq!((code(&bytes), option(&bytes, 10).unwrap().len()), (0, 24));
}

#[test]
fn records_that_do_not_fit_leave_an_empty_truncated_reply() {
    for (payload, limit) in [(None, 512), (Some(100), 512), (Some(512), 512), (Some(1232), 1232), (Some(65_535), 1232)]
    {
        let ask = Ask::of("many.test", 1);
        let bytes = reply(&payload.map_or(ask.clone(), |payload| ask.edns(payload, &[])));
        assert_eq!((bytes[2], bytes[7]), (0x86, 0), "{payload:?}");
        assert_eq!(bytes[11], u8::from(payload.is_some()), "OPT is kept");
        let asked =
            reply(&payload.map_or(Ask::of("extra.test", 1), |payload| Ask::of("extra.test", 1).edns(payload, &[])));
        let message = Message::from_vec(&asked).unwrap();
        assert!(!message.metadata.truncation && asked.len() <= limit);
        assert_eq!(message.answers.len(), 25);
        let extras = if limit == 1232 { 40 } else { 0 };
        assert_eq!(message.additionals.len(), extras, "extras are dropped whole");
    }
    let (_, tcp) = outcome(&Ask::of("many.test", 1).bytes(), TCP);
    assert_eq!(Message::from_vec(&tcp).unwrap().answers.len(), 100);
}

#[test]
fn a_referral_says_whether_needed_glue_is_missing() {
    let few = Message::from_vec(&reply(&Ask::of("few.cut.test", 1))).unwrap();
    assert!(!few.metadata.truncation && !few.metadata.authoritative);
    assert_eq!((few.authorities.len(), few.additionals.len()), (2, 2));
    let glue = Message::from_vec(&reply(&Ask::of("glue.cut.test", 1))).unwrap();
    assert!(glue.metadata.truncation && glue.additionals.is_empty());
    let sibling = Message::from_vec(&reply(&Ask::of("sibling.cut.test", 1))).unwrap();
    assert!(!sibling.metadata.truncation);
    assert_eq!(sibling.additionals.len(), 1);
}

#[test]
fn owners_share_their_suffix_with_the_question() {
    let bytes = reply(&Ask::of("few.cut.test", 1));
    let message = Message::from_vec(&bytes).unwrap();
    assert_eq!(message.authorities[0].name.to_ascii(), "cut.test.");
    assert_eq!(message.additionals[1].name.to_ascii(), "ns.sibling.test.");
    assert!(bytes.windows(2).any(|pair| pair == [0xc0, 16]), "cut.test. points into the question");
    let mut expected = b"\x02ns\x07sibling".to_vec();
    expected.extend_from_slice(&[0xc0, 20]);
    assert!(bytes.windows(expected.len()).any(|part| part == expected));
}

#[test]
fn what_the_hot_path_does_not_speak_is_left_to_the_general_path() {
    let www = || Ask::of("www.test", 1);
    let cases: Vec<(&str, Ask)> = vec![
        ("AXFR", Ask::of("test", 252)),
        ("IXFR", Ask::of("test", 251)),
        ("NOTIFY", www().header(2, 4 << 3)),
        ("UPDATE", www().header(2, 5 << 3)),
        (
            "answer in a query",
            www().record(&[0xc0, 12], &[0, 1, 0, 1, 0, 0, 0, 0], &[1, 2, 3, 4]).header(7, 1).header(11, 0),
        ),
        (
            "authority in a query",
            www().record(&[0xc0, 12], &[0, 1, 0, 1, 0, 0, 0, 0], &[1, 2, 3, 4]).header(9, 1).header(11, 0),
        ),
        ("TSIG", www().record(b"\x03key\x00", &[0, 250, 0, 255, 0, 0, 0, 0], &[])),
    ];
    for (what, ask) in cases {
        assert_eq!(outcome(&ask.bytes(), Transport::Udp), (Outcome::General, Vec::new()), "{what}");
    }
}

#[test]
fn the_longest_question_with_every_option_stays_below_512_bytes() {
    let label = "x".repeat(63);
    let name = format!("{label}.{label}.{label}.{}", "y".repeat(61));
    let every: &[(u16, &[u8])] =
        &[(3, &[]), (8, &[0, 2, 128, 0, 0x20, 1, 13, 184, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]), (10, &[1; 8])];
    let ask = Ask::of(&name, 1).edns(512, every);
    let mut out = Vec::new();
    let settings = Settings::new(&"n".repeat(300), Secret::new([7; 16]));
    let arrival = Arrival { client: CLIENT.parse().unwrap(), transport: Transport::Udp, now_ms: NOW_MS };
    respond(&ask.bytes(), &arrival, &settings, &World::new(), &mut Entropy::new(1), &mut out);
    assert!(out.len() <= 512, "{}", out.len());
    assert_eq!(code(&out), 5);
    assert_eq!(option(&out, 8).unwrap().len(), 20);
}
