//! Reads a query where it lies: header, question, EDNS. Never allocates, never fails: whatever was understood
//! before a fault stays readable, so that the refusal can echo it. What it must not do: decide an answer.

use std::fmt;
use std::net::IpAddr;

use super::ecs::Ecs;
use crate::answer::{Client, Question};
use crate::model::{MAX_LABEL, MAX_NAME, RecordType};

/// Bytes of the message header.
pub const HEADER: usize = 12;

/// Response codes of the wire; those above 15 need EDNS (RFC 6895 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u16);

impl Code {
    pub const NOERROR: Self = Self(0);
    pub const FORMERR: Self = Self(1);
    pub const SERVFAIL: Self = Self(2);
    pub const NXDOMAIN: Self = Self(3);
    pub const NOTIMP: Self = Self(4);
    pub const REFUSED: Self = Self(5);
    pub const NOTAUTH: Self = Self(9);
    pub const BADVERS: Self = Self(16);
}

impl fmt::Display for Code {
    /// The mnemonic, or the number of a code that has no constant here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Code::NOERROR => "NOERROR",
            Code::FORMERR => "FORMERR",
            Code::SERVFAIL => "SERVFAIL",
            Code::NXDOMAIN => "NXDOMAIN",
            Code::NOTIMP => "NOTIMP",
            Code::REFUSED => "REFUSED",
            Code::NOTAUTH => "NOTAUTH",
            Code::BADVERS => "BADVERS",
            Code(other) => return write!(f, "{other}"),
        })
    }
}

/// What is to be done with a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// An ordinary question of class IN.
    Ask,
    /// Answered with this code and no records.
    Refuse(Code),
    /// Needs the general path: updates, transfers, signatures, records where a question has none.
    General,
}

#[derive(Debug, Clone)]
pub struct Query<'p> {
    pub id: [u8; 2],
    pub opcode: u8,
    pub recursion_desired: bool,
    pub checking_disabled: bool,
    /// Name, type and class as they were sent, at offset 12; empty when there is no readable question.
    pub question: &'p [u8],
    pub rtype: RecordType,
    pub edns: Option<Edns<'p>>,
    pub verdict: Verdict,
    lowered: [u8; MAX_NAME],
}

/// What the OPT record of a query says (RFC 6891).
#[derive(Debug, Clone, Default)]
pub struct Edns<'p> {
    /// The requestor's UDP payload size, as sent.
    pub payload: u16,
    pub version: u8,
    pub dnssec_ok: bool,
    pub nsid: bool,
    pub keepalive: bool,
    pub subnet: Option<Ecs<'p>>,
    /// Client cookie, and the server's when there is one (RFC 7873): 8 or 16 to 40 bytes.
    pub cookie: Option<&'p [u8]>,
}

/// Stops reading with this verdict.
type Step<T> = Result<T, Verdict>;

const MALFORMED: Verdict = Verdict::Refuse(Code::FORMERR);

const OPCODE_QUERY: u8 = 0;
const OPCODE_NOTIFY: u8 = 4;
const OPCODE_UPDATE: u8 = 5;

const CLASS_IN: u16 = 1;

const TYPE_OPT: u16 = 41;
/// Says "no such name" inside NSEC only; asking for it is an error (RFC 9824 section 3.4).
const TYPE_NXNAME: u16 = 128;
const TYPE_TKEY: u16 = 249;
const TYPE_TSIG: u16 = 250;
const TYPE_IXFR: u16 = 251;
const TYPE_AXFR: u16 = 252;
const TYPE_MAILB: u16 = 253;
const TYPE_MAILA: u16 = 254;

const OPTION_NSID: u16 = 3;
const OPTION_SUBNET: u16 = 8;
const OPTION_COOKIE: u16 = 10;
const OPTION_KEEPALIVE: u16 = 11;

impl<'p> Query<'p> {
    /// `None` for what gets no reply at all: less than a header, and responses, which would start a loop.
    pub fn read(packet: &'p [u8]) -> Option<Self> {
        let header: &[u8; HEADER] = packet.first_chunk()?;
        if header[2] & 0x80 != 0 {
            return None;
        }
        let mut query = Query {
            id: [header[0], header[1]],
            opcode: header[2] >> 3 & 0x0f,
            recursion_desired: header[2] & 0x01 != 0,
            checking_disabled: header[3] & 0x10 != 0,
            question: &[],
            rtype: RecordType(0),
            edns: None,
            verdict: Verdict::General,
            lowered: [0; MAX_NAME],
        };
        query.verdict = match query.opcode {
            OPCODE_QUERY => match query.read_body(packet, header) {
                Ok(verdict) | Err(verdict) => verdict,
            },
            OPCODE_NOTIFY | OPCODE_UPDATE => {
                // Their sections have the same shape, with other names.
                match query.read_body(packet, header) {
                    Ok(fault @ Verdict::Refuse(Code::BADVERS)) => fault,
                    Ok(_) => Verdict::General,
                    Err(fault) => fault,
                }
            }
            _ => {
                // Nobody knows what a question means under an unknown opcode, so that it is not echoed; but a
                // client that speaks EDNS is told so.
                let _ = query.read_body(packet, header);
                query.question = &[];
                Verdict::Refuse(Code::NOTIMP)
            }
        };
        Some(query)
    }

    /// The question's name in lower-cased wire form.
    pub fn name(&self) -> &[u8] {
        let length = self.question.len().saturating_sub(4);
        self.lowered.get(..length).unwrap_or_default()
    }

    /// The question for the engine; meaningful when the verdict is `Ask`.
    pub fn as_question(&self) -> Question<'_> {
        Question { name: self.name(), rtype: self.rtype }
    }

    /// Who asks, for the engine.
    pub fn as_client(&self, resolver: IpAddr) -> Client {
        Client { resolver, subnet: self.subnet().map(Ecs::subnet) }
    }

    pub fn subnet(&self) -> Option<&Ecs<'p>> {
        self.edns.as_ref().and_then(|edns| edns.subnet.as_ref())
    }

    fn read_body(&mut self, packet: &'p [u8], header: &[u8; HEADER]) -> Step<Verdict> {
        let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let (questions, answers, authorities, additionals) = (count(4), count(6), count(8), count(10));
        if questions > 1 {
            return Err(MALFORMED);
        }
        let mut at = HEADER;
        let mut class = CLASS_IN;
        if questions == 1 {
            (at, class) = self.read_question(packet)?;
        }
        for _ in 0..u32::from(answers) + u32::from(authorities) {
            at = Record::read(packet, at).ok_or(MALFORMED)?.end;
        }
        let signed = self.read_additionals(packet, at, additionals)?;
        if self.edns.as_ref().is_some_and(|edns| edns.version > 0) {
            return Ok(Verdict::Refuse(Code::BADVERS));
        }
        if questions == 0 {
            // A query of nothing but a cookie asks for a fresh one (RFC 7873 section 5.4).
            let cookie_only = self.edns.as_ref().is_some_and(|edns| edns.cookie.is_some());
            return if cookie_only { Ok(Verdict::Refuse(Code::NOERROR)) } else { Err(MALFORMED) };
        }
        if signed {
            return Ok(Verdict::General);
        }
        if class != CLASS_IN {
            return Ok(Verdict::Refuse(Code::REFUSED));
        }
        Ok(match self.rtype.0 {
            TYPE_IXFR | TYPE_AXFR => Verdict::General,
            TYPE_MAILA | TYPE_MAILB => Verdict::Refuse(Code::NOTIMP),
            TYPE_OPT | TYPE_NXNAME | TYPE_TKEY | TYPE_TSIG => MALFORMED,
            _ if answers > 0 || authorities > 0 => Verdict::General,
            _ => Verdict::Ask,
        })
    }

    /// Returns where the question ends, and its class. There is nothing before the first question that a
    /// compression pointer could mean, so that a pointer is a fault.
    fn read_question(&mut self, packet: &'p [u8]) -> Step<(usize, u16)> {
        let mut at = HEADER;
        loop {
            let length = usize::from(*packet.get(at).ok_or(MALFORMED)?);
            if length > MAX_LABEL {
                return Err(MALFORMED);
            }
            at += 1 + length;
            if at - HEADER > MAX_NAME {
                return Err(MALFORMED);
            }
            if length == 0 {
                break;
            }
        }
        let fixed: &[u8; 4] = packet.get(at..).and_then(<[u8]>::first_chunk).ok_or(MALFORMED)?;
        let name = &packet[HEADER..at];
        for (lowered, byte) in self.lowered.iter_mut().zip(name) {
            *lowered = byte.to_ascii_lowercase();
        }
        self.question = &packet[HEADER..at + 4];
        self.rtype = RecordType(u16::from_be_bytes([fixed[0], fixed[1]]));
        Ok((at + 4, u16::from_be_bytes([fixed[2], fixed[3]])))
    }

    /// Reads the additional section; true when it carries a TSIG. Bytes after the last record are ignored.
    fn read_additionals(&mut self, packet: &'p [u8], mut at: usize, count: u16) -> Step<bool> {
        let mut signed = false;
        for _ in 0..count {
            let record = Record::read(packet, at).ok_or(MALFORMED)?;
            let (owner, fixed) = (at, record.fixed);
            at = record.end;
            match u16::from_be_bytes([fixed[0], fixed[1]]) {
                TYPE_OPT => {
                    if packet[owner] != 0 || self.edns.is_some() {
                        return Err(MALFORMED);
                    }
                    let edns = self.edns.insert(Edns {
                        payload: u16::from_be_bytes([fixed[2], fixed[3]]),
                        version: fixed[5],
                        dnssec_ok: fixed[6] & 0x80 != 0,
                        ..Edns::default()
                    });
                    if edns.version == 0 {
                        edns.read_options(record.data).ok_or(MALFORMED)?;
                    }
                }
                TYPE_TSIG => signed = true,
                _ => {}
            }
        }
        Ok(signed)
    }
}

impl<'p> Edns<'p> {
    /// `None` when an option is malformed; unknown ones are skipped (RFC 6891 section 6.1.2).
    fn read_options(&mut self, mut rest: &'p [u8]) -> Option<()> {
        while !rest.is_empty() {
            let (fixed, after) = rest.split_first_chunk::<4>()?;
            let length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
            let (data, next) = after.split_at_checked(length)?;
            rest = next;
            match u16::from_be_bytes([fixed[0], fixed[1]]) {
                OPTION_NSID => self.nsid = true,
                OPTION_KEEPALIVE => self.keepalive = true,
                OPTION_SUBNET => {
                    if self.subnet.is_some() {
                        return None;
                    }
                    self.subnet = Some(Ecs::read(data)?);
                }
                OPTION_COOKIE => {
                    if !matches!(data.len(), 8 | 16..=40) {
                        return None;
                    }
                    self.cookie.get_or_insert(data);
                }
                _ => {}
            }
        }
        Some(())
    }
}

/// A record of the query, from its type on.
struct Record<'p> {
    fixed: &'p [u8; 10],
    data: &'p [u8],
    end: usize,
}

impl<'p> Record<'p> {
    fn read(packet: &'p [u8], at: usize) -> Option<Self> {
        let at = skip_name(packet, at)?;
        let fixed: &[u8; 10] = packet.get(at..)?.first_chunk()?;
        let end = at + 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        Some(Record { fixed, data: packet.get(at + 10..end)?, end })
    }
}

/// Where the name that begins at `at` ends in the packet; a pointer must point backwards.
fn skip_name(packet: &[u8], mut at: usize) -> Option<usize> {
    let start = at;
    loop {
        let length = *packet.get(at)?;
        match length {
            0 => return Some(at + 1),
            1..=63 => at += 1 + usize::from(length),
            0xc0.. => {
                let target = usize::from(u16::from_be_bytes([length & 0x3f, *packet.get(at + 1)?]));
                return (HEADER..start).contains(&target).then_some(at + 2);
            }
            _ => return None,
        }
        if at - start >= MAX_NAME {
            return None;
        }
    }
}
