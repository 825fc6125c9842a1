//! One zone, two servers: what Northing says of a fixed zone is what Knot says, question by question, over UDP and
//! TCP. Where the two may differ is written down in `normalize`; everything else is a failure.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use northing::answer::Entropy;
use tempfile::TempDir;

use crate::server::{DEADLINE, Server, free_address, stderr};

const ZONE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/differential.zone");
const APEX: &[u8] = b"\x07example\x04test\0";
const QUESTIONS: usize = 20_000;
/// Types that the zone has, types that it has not, and types that are treated apart somewhere.
const TYPES: [u16; 33] = [
    1, 2, 5, 6, 12, 13, 15, 16, 17, 18, 24, 28, 29, 33, 35, 37, 39, 43, 44, 46, 47, 48, 50, 52, 53, 61, 64, 65, 256,
    257, 731, 65_280, 65_281,
];
const SOA: u16 = 6;
const NS: u16 = 2;
const OPT: u16 = 41;
const AXFR: u16 = 252;

#[test]
fn northing_says_what_knot_says() {
    let knot = Knot::start();
    let dir = TempDir::new().unwrap();
    let northing = Server::start(dir.path(), &[]);
    let imported = northing.command(&["import", ZONE]);
    assert!(imported.status.success(), "{}", stderr(&imported));
    let (mut ours, mut theirs) = (Client::new(northing.dns), Client::new(knot.address));
    let (sets, names) = names(&mut theirs);
    let pairs: Vec<Pair> = sets.iter().cloned().collect();
    let mut entropy = Entropy::new(2026);
    let (mut wrong, mut truncated) = (Vec::new(), 0);
    for _ in 0..QUESTIONS {
        let question = Question::random(&pairs, &names, &mut entropy);
        let packet = question.packet(&mut entropy);
        let stream = entropy.below(10) == 0;
        let (said, expected) = (ours.ask(&packet, stream), theirs.ask(&packet, stream));
        let (mut one, mut other) = (Message::read(&said), Message::read(&expected));
        assert_eq!(said[..2], packet[..2]);
        assert_eq!(said[12..12 + question.name.len() + 4], packet[12..12 + question.name.len() + 4], "{question:?}");
        assert!(stream || said.len() <= question.limit(), "{question:?}: {} bytes", said.len());
        assert_eq!(one.edns, question.payload.is_some(), "{question:?}");
        if one.truncated || other.truncated {
            truncated += 1;
            assert!(!one.truncated || one.records().next().is_none(), "{question:?}: a part of a truncated answer");
            let was_truncated = one.truncated;
            let whole = ours.ask(&packet, true);
            (one, other) = (Message::read(&whole), Message::read(&theirs.ask(&packet, true)));
            // Knot compresses names in data, so that some of its replies still fit.
            assert!(!was_truncated || whole.len() > question.limit(), "{question:?}: truncated without need");
        }
        one.normalize(&question, &sets);
        other.normalize(&question, &sets);
        if one != other {
            wrong.push(format!("{question:?}\n  northing {one:?}\n  knot     {other:?}"));
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {QUESTIONS}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(truncated > 20, "{truncated}");
    assert!(northing.stop());
}

/// Knot serving the zone from a directory of its own.
struct Knot {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

impl Knot {
    /// `None` where it is not installed.
    fn start() -> Self {
        let binary = ["/usr/sbin/knotd", "/usr/bin/knotd", "/usr/local/sbin/knotd"].map(Path::new);
        let binary = binary.into_iter().find(|binary| binary.exists()).expect("knotd; tests/run installs it");
        let dir = TempDir::new().unwrap();
        let path = dir.path().display();
        let address = free_address();
        let configuration = format!(
            "server:\n  rundir: {path}\n  listen: {}@{}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
             database:\n  storage: {path}\n\
             acl:\n- id: all\n  address: 127.0.0.1\n  action: transfer\n\
             zone:\n- domain: example.test\n  storage: {path}\n  file: {ZONE}\n  acl: all\n  journal-content: none\n  \
             zonefile-sync: -1\n  semantic-checks: off\n",
            address.ip(),
            address.port(),
        );
        let file = dir.path().join("knot.conf");
        std::fs::write(&file, configuration).unwrap();
        let child = Command::new(binary).arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let knot = Knot { child: child.unwrap(), address, _dir: dir };
        let soa = Question { name: APEX.to_vec(), rtype: SOA, payload: None };
        let begun = Instant::now();
        while knot.try_ask(&soa.packet(&mut Entropy::new(1))).is_none_or(|code| code != 0) {
            assert!(begun.elapsed() < DEADLINE, "knotd does not answer");
        }
        knot
    }

    fn try_ask(&self, packet: &[u8]) -> Option<u8> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        socket.send_to(packet, self.address).ok()?;
        let mut reply = [0; 2048];
        socket.recv(&mut reply).ok()?;
        Some(reply[3] & 15)
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client {
    socket: UdpSocket,
    stream: TcpStream,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { socket, stream }
    }

    fn ask(&mut self, packet: &[u8], stream: bool) -> Vec<u8> {
        if stream {
            self.stream.write_all(&[&(packet.len() as u16).to_be_bytes(), packet].concat()).unwrap();
            return self.receive();
        }
        let mut reply = vec![0; 65_535];
        self.socket.send(packet).unwrap();
        let length = self.socket.recv(&mut reply).unwrap();
        reply.truncate(length);
        reply
    }

    /// The next message of the stream.
    fn receive(&mut self) -> Vec<u8> {
        let mut length = [0; 2];
        self.stream.read_exact(&mut length).unwrap();
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        self.stream.read_exact(&mut message).unwrap();
        message
    }
}

/// A name and a type.
type Pair = (Vec<u8>, u16);

/// A name and those above it.
fn above(name: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    std::iter::successors(Some(name), |name| name.get(1 + usize::from(name[0])..).filter(|rest| !rest.is_empty()))
        .map(<[u8]>::to_vec)
}

/// Every record set of the zone; every owner, the names above, below and beside it, and some of another zone.
fn names(knot: &mut Client) -> (BTreeSet<Pair>, Vec<Vec<u8>>) {
    let transfer = Question { name: APEX.to_vec(), rtype: AXFR, payload: None }.packet(&mut Entropy::new(1));
    let (mut sets, mut soas) = (BTreeSet::new(), 0);
    let mut message = knot.ask(&transfer, true);
    loop {
        for record in Message::read(&message).records() {
            soas += usize::from(record.rtype == SOA);
            sets.insert((record.owner.clone(), record.rtype));
        }
        if soas == 2 {
            break;
        }
        message = knot.receive();
    }
    let owners: BTreeSet<Vec<u8>> = sets.iter().map(|(owner, _)| owner.clone()).collect();
    assert!(owners.len() >= 100, "{}", owners.len());
    let mut names = owners.clone();
    for owner in &owners {
        names.extend(above(owner));
        for below in [&b"\x02nx"[..], b"\x01a\x01b", b"\x01*", b"\x04host", b"\x01a\x01*"] {
            names.insert([below, owner].concat());
        }
        if owner.len() > APEX.len() {
            let mut beside = owner.clone();
            beside[usize::from(owner[0])] ^= 1;
            names.insert(beside);
        }
    }
    names.insert(b"\x05other\x04test\0".to_vec());
    names.insert(b"\x04test\0".to_vec());
    names.insert(b"\0".to_vec());
    (sets, names.into_iter().filter(|name| name.len() <= 255).collect())
}

struct Question {
    name: Vec<u8>,
    rtype: u16,
    /// Of EDNS, if any.
    payload: Option<u16>,
}

impl Question {
    fn random(pairs: &[Pair], names: &[Vec<u8>], entropy: &mut Entropy) -> Self {
        let mut below = |length: usize| entropy.below(length as u64) as usize;
        let (name, rtype) = match below(3) {
            0 => pairs[below(pairs.len())].clone(),
            _ => (names[below(names.len())].clone(), TYPES[below(TYPES.len())]),
        };
        Question { name, rtype, payload: [None, Some(512), Some(1232), Some(1232), Some(4096)][below(5)] }
    }

    fn limit(&self) -> usize {
        usize::from(self.payload.unwrap_or(512).min(1232))
    }

    /// With some letters upper-cased, and flags that must not matter.
    fn packet(&self, entropy: &mut Entropy) -> Vec<u8> {
        let [a, b, rd, flags, cased, dnssec, ..] = entropy.next().to_be_bytes();
        let mut packet = vec![a, b, rd & 1, flags & 0x30, 0, 1, 0, 0, 0, 0, 0, u8::from(self.payload.is_some())];
        let mut name = self.name.clone();
        let mut at = 0;
        while name[at] != 0 {
            let end = at + 1 + usize::from(name[at]);
            for byte in &mut name[at + 1..end] {
                if cased & 1 != 0 && entropy.below(2) == 0 {
                    byte.make_ascii_uppercase();
                }
            }
            at = end;
        }
        packet.extend_from_slice(&name);
        packet.extend_from_slice(&self.rtype.to_be_bytes());
        packet.extend_from_slice(&[0, 1]);
        if let Some(payload) = self.payload {
            let [p0, p1] = payload.to_be_bytes();
            packet.extend_from_slice(&[0, 0, 41, p0, p1, 0, 0, dnssec & 0x80, 0, 0, 0]);
        }
        packet
    }
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} TYPE{} {:?}", printed(&self.name), self.rtype, self.payload)
    }
}

#[derive(PartialEq)]
struct Message {
    code: u8,
    authoritative: bool,
    truncated: bool,
    edns: bool,
    /// Answer, authority and additional records, sorted.
    sections: [Vec<Record>; 3],
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    owner: Vec<u8>,
    rtype: u16,
    ttl: u32,
    /// Without compression, names in lower case.
    data: Vec<u8>,
}

impl Message {
    /// Reads a whole message, to its last byte.
    fn read(bytes: &[u8]) -> Self {
        let count = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let mut at = 12;
        for _ in 0..count(4) {
            read_name(bytes, &mut at);
            at += 4;
        }
        let mut edns = false;
        let sections = [6, 8, 10].map(|counter| {
            let mut records: Vec<Record> = (0..count(counter)).map(|_| Record::read(bytes, &mut at)).collect();
            edns |= records.iter().any(|record| record.rtype == OPT);
            records.retain(|record| record.rtype != OPT);
            records.sort();
            records
        });
        assert_eq!(at, bytes.len(), "{bytes:x?}");
        let (authoritative, truncated) = (bytes[2] & 4 != 0, bytes[2] & 2 != 0);
        Message { code: bytes[3] & 15, authoritative, truncated, edns, sections }
    }

    fn records(&self) -> impl Iterator<Item = &Record> {
        self.sections.iter().flatten()
    }

    /// Takes out where the two may differ.
    fn normalize(&mut self, question: &Question, sets: &BTreeSet<Pair>) {
        // The serial counts what was published, here and there.
        for soa in self.sections.iter_mut().flatten().filter(|record| record.rtype == SOA) {
            let serial = soa.data.len() - 20;
            soa.data[serial..serial + 4].fill(0);
        }
        let [answer, _, additional] = &mut self.sections;
        // Knot adds addresses that a wildcard stands for, and takes addresses from below a cut for other data than
        // its delegation. Northing adds the owner's own where an HTTPS record means them (RFC 9460 section 4.1).
        additional.retain(|extra| {
            let is_below_cut = above(&extra.owner).any(|name| name.len() > APEX.len() && sets.contains(&(name, NS)));
            sets.contains(&(extra.owner.clone(), extra.rtype))
                && (answer.is_empty() || !is_below_cut)
                && (answer.is_empty() || extra.owner != question.name)
        });
    }
}

impl Record {
    fn read(bytes: &[u8], at: &mut usize) -> Self {
        let owner = read_name(bytes, at);
        let fixed = &bytes[*at..*at + 10];
        let rtype = u16::from_be_bytes([fixed[0], fixed[1]]);
        let ttl = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let mut from = *at + 10;
        *at = from + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let mut data = Vec::new();
        // How many bytes stand before names that may be compressed, and how many names.
        let (before, names) = match rtype {
            NS | 5 | 12 | 39 => (0, 1),
            SOA | 17 => (0, 2),
            15 | 18 | 64 | 65 => (2, 1),
            33 => (6, 1),
            _ => (0, 0),
        };
        data.extend_from_slice(&bytes[from..from + before]);
        from += before;
        for _ in 0..names {
            data.extend(read_name(bytes, &mut from));
        }
        data.extend_from_slice(&bytes[from..*at]);
        Record { owner, rtype, ttl, data }
    }
}

/// A name in lower case, without compression.
fn read_name(bytes: &[u8], at: &mut usize) -> Vec<u8> {
    let (mut name, mut from, mut jumped) = (Vec::new(), *at, false);
    loop {
        let length = usize::from(bytes[from]);
        if length >= 0xc0 {
            if !jumped {
                *at = from + 2;
            }
            let target = (length & 0x3f) << 8 | usize::from(bytes[from + 1]);
            assert!(target < from, "a pointer forward: {bytes:x?}");
            (from, jumped) = (target, true);
            continue;
        }
        let end = from + 1 + length;
        name.extend_from_slice(&bytes[from..end]);
        from = end;
        if length == 0 {
            break;
        }
    }
    if !jumped {
        *at = from;
    }
    name.make_ascii_lowercase();
    name
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "code {} aa {} tc {}", self.code, self.authoritative, self.truncated)?;
        for (section, records) in ["answer", "authority", "additional"].iter().zip(&self.sections) {
            for record in records {
                let Record { owner, rtype, ttl, data } = record;
                write!(f, "; {section} {} {ttl} TYPE{rtype} {}", printed(owner), data.escape_ascii())?;
            }
        }
        Ok(())
    }
}

fn printed(name: &[u8]) -> String {
    northing::model::Name::from_wire(name).map_or_else(|| format!("{name:x?}"), |name| name.to_string())
}
