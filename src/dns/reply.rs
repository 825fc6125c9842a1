//! Writes replies: header, question as it was asked, records, EDNS. Bytes only; what is said comes from the
//! engine, and nothing is written past the transport's limit.

use super::cookie::{self, Cookie};
use super::ecs::Ecs;
use super::query::{Code, HEADER, Query};
use crate::answer::{Answer, Owner, Set};
use crate::model::{MAX_NAME, RecordType};

/// The UDP payload that we announce and never exceed: it passes every IPv6 path unfragmented (DNS flag day 2020).
pub const MAX_UDP: usize = 1232;
/// Without EDNS (RFC 1035 section 4.2.1), and the least that EDNS may mean (RFC 6891 section 6.2.3).
pub const MIN_UDP: usize = 512;
/// The two-byte length of a stream's messages.
pub const MAX_STREAM: usize = 65_535;
/// The longest node name that NSID returns: with every other option and the longest question, EDNS still fits
/// into 512 bytes.
pub const MAX_NSID: usize = 128;

/// A pointer to the question's name, at offset 12.
const POINTER_TO_QUESTION: [u8; 2] = [0xc0, HEADER as u8];
/// Offsets from here on are out of a pointer's reach (RFC 1035 section 4.1.4).
const POINTER_REACH: usize = 0x4000;
/// Bytes of OPT without options.
const OPT: usize = 11;
const OPTION_NSID: u16 = 3;
const OPTION_KEEPALIVE: u16 = 11;
const OPTION_EXTENDED_ERROR: u16 = 15;

/// The OPT record of a reply.
#[derive(Debug, Clone, Default)]
pub struct ReplyEdns<'r> {
    pub dnssec_ok: bool,
    pub nsid: Option<&'r [u8]>,
    /// The client's subnet, and the scope for which the answer holds.
    pub subnet: Option<(Ecs<'r>, u8)>,
    pub extended_error: Option<u16>,
    pub cookie: Option<Cookie>,
    /// In units of 100 ms (RFC 7828 section 3.1).
    pub keepalive: Option<u16>,
}

/// What became of an answer on its way into a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    Whole,
    Truncated,
}

/// Writes a reply without records into the emptied `out`.
pub fn refuse(query: &Query, code: Code, edns: Option<&ReplyEdns>, out: &mut Vec<u8>) {
    start(query, code, out);
    if let Some(edns) = edns {
        edns.write(code, out);
    }
}

/// Writes an answer into the emptied `out`, at most `limit` bytes. Records go in whole sets only. Extra addresses
/// are left out silently; when more than those does not fit, the reply is empty but for the TC bit, so that
/// nobody caches a part (RFC 2181 section 9).
pub fn write(query: &Query, answer: &Answer, edns: Option<&ReplyEdns>, limit: usize, out: &mut Vec<u8>) -> Fit {
    let code = Code(answer.rcode as u16);
    start(query, code, out);
    let records = out.len();
    let limit = limit.saturating_sub(edns.map_or(0, ReplyEdns::length));
    let fit = write_sections(query.name(), answer, limit, out);
    if answer.authoritative {
        out[2] |= 0x04;
    }
    if fit == Fit::Truncated {
        out.truncate(records);
        out[6..HEADER].fill(0);
        out[2] |= 0x02;
    }
    if let Some(edns) = edns {
        edns.write(code, out);
    }
    fit
}

fn start(query: &Query, code: Code, out: &mut Vec<u8>) {
    out.clear();
    let flags = 0x80 | query.opcode << 3 | u8::from(query.recursion_desired);
    let more = u8::from(query.checking_disabled) << 4 | (code.0 & 0x0f) as u8;
    let questions = u8::from(!query.question.is_empty());
    out.extend_from_slice(&[query.id[0], query.id[1], flags, more, 0, questions, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(query.question);
}

fn write_sections(question: &[u8], answer: &Answer, limit: usize, out: &mut Vec<u8>) -> Fit {
    for set in &answer.answer {
        if !write_set(question, set, limit, COUNT_ANSWER, out) {
            return Fit::Truncated;
        }
    }
    for set in &answer.authority {
        if !write_set(question, set, limit, COUNT_AUTHORITY, out) {
            // Beside an answer, the authority section is an extra; by itself it is the answer.
            return if answer.answer.is_empty() { Fit::Truncated } else { Fit::Whole };
        }
    }
    for set in &answer.additional {
        if !write_set(question, set, limit, COUNT_ADDITIONAL, out) && is_needed_glue(set, answer) {
            return Fit::Truncated;
        }
    }
    Fit::Whole
}

/// A delegation cannot be followed without the addresses of name servers that lie below it (RFC 9471 section 3.1).
pub(super) fn is_needed_glue(set: &Set, answer: &Answer) -> bool {
    let (Owner::Name(server), true) = (&set.owner, answer.answer.is_empty() && !answer.authoritative) else {
        return false;
    };
    answer.authority.iter().filter(|set| set.rtype == RecordType::NS).any(|cut| match cut.owner {
        Owner::Name(cut) => common_suffix(server, cut).is_some_and(|(_, at)| at == 0),
        Owner::Question => true,
    })
}

const COUNT_ANSWER: usize = 6;
const COUNT_AUTHORITY: usize = 8;
const COUNT_ADDITIONAL: usize = 10;

/// Writes all of a set, or nothing of it and returns false.
fn write_set(question: &[u8], set: &Set, limit: usize, counter: usize, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let mut pointer = match set.owner {
        Owner::Question => Some(POINTER_TO_QUESTION),
        Owner::Name(name) if name == question => Some(POINTER_TO_QUESTION),
        Owner::Name(_) => None,
    };
    let kept = set.kept(question);
    for data in &set.data {
        let Ok(length) = u16::try_from(kept.len() + data.len()) else {
            out.truncate(start);
            return false;
        };
        let at = out.len();
        if let (None, Owner::Name(name)) = (pointer, set.owner) {
            write_name(question, name, out);
            if at < POINTER_REACH {
                pointer = Some((0xc000 | at as u16).to_be_bytes());
            }
        } else if let Some(pointer) = pointer {
            out.extend_from_slice(&pointer);
        }
        let [t0, t1] = set.rtype.0.to_be_bytes();
        let [s0, s1, s2, s3] = set.ttl.to_be_bytes();
        let [l0, l1] = length.to_be_bytes();
        out.extend_from_slice(&[t0, t1, 0, 1, s0, s1, s2, s3, l0, l1]);
        out.extend_from_slice(kept);
        out.extend_from_slice(data);
        if out.len() > limit {
            out.truncate(start);
            return false;
        }
    }
    let written = u16::from_be_bytes([out[counter], out[counter + 1]]) + set.data.len() as u16;
    out[counter..counter + 2].copy_from_slice(&written.to_be_bytes());
    true
}

/// Writes an owner name, its part in common with the question as a pointer.
fn write_name(question: &[u8], name: &[u8], out: &mut Vec<u8>) {
    match common_suffix(name, question) {
        Some((own, shared)) => {
            out.extend_from_slice(&name[..own]);
            out.extend_from_slice(&(0xc000 | (HEADER + shared) as u16).to_be_bytes());
        }
        None => out.extend_from_slice(name),
    }
}

/// Where the longest common run of last labels begins in each name; `None` when only the root is common.
fn common_suffix(name: &[u8], other: &[u8]) -> Option<(usize, usize)> {
    debug_assert!(name.len() <= MAX_NAME && other.len() <= MAX_NAME);
    let (mut at, mut beside) = (0, 0);
    loop {
        let (rest, against) = (name.get(at..)?, other.get(beside..)?);
        if *rest.first()? == 0 || *against.first()? == 0 {
            return None;
        }
        if rest.len() == against.len() && rest.eq_ignore_ascii_case(against) {
            return Some((at, beside));
        }
        let step = |left: &[u8]| 1 + usize::from(left[0]);
        let (longer, shorter) = (rest.len() >= against.len(), rest.len() <= against.len());
        if longer {
            at += step(rest);
        }
        if shorter {
            beside += step(against);
        }
    }
}

impl ReplyEdns<'_> {
    /// Bytes that the record takes.
    pub fn length(&self) -> usize {
        OPT + self.nsid.map_or(0, |name| 4 + name.len())
            + self.subnet.as_ref().map_or(0, |(subnet, _)| subnet.length())
            + self.extended_error.map_or(0, |_| 6)
            + self.cookie.map_or(0, |cookie| 4 + cookie.len())
            + self.keepalive.map_or(0, |_| 6)
    }

    /// Calls `each` with the code and data of every option.
    pub fn each_option(&self, mut each: impl FnMut(u16, &[u8])) {
        let mut options = Vec::new();
        self.write_options(&mut options);
        let mut rest = options.as_slice();
        while let Some((fixed, after)) = rest.split_first_chunk::<4>() {
            let length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
            let (data, next) = after.split_at(length);
            each(u16::from_be_bytes([fixed[0], fixed[1]]), data);
            rest = next;
        }
    }

    /// Appends the record, and counts it in the header.
    fn write(&self, code: Code, out: &mut Vec<u8>) {
        let [p0, p1] = (MAX_UDP as u16).to_be_bytes();
        let [l0, l1] = ((self.length() - OPT) as u16).to_be_bytes();
        let flags = u8::from(self.dnssec_ok) << 7;
        out.extend_from_slice(&[0, 0, 41, p0, p1, (code.0 >> 4) as u8, 0, flags, 0, l0, l1]);
        self.write_options(out);
        let records = u16::from_be_bytes([out[COUNT_ADDITIONAL], out[COUNT_ADDITIONAL + 1]]) + 1;
        out[COUNT_ADDITIONAL..COUNT_ADDITIONAL + 2].copy_from_slice(&records.to_be_bytes());
    }

    /// Appends the options.
    fn write_options(&self, out: &mut Vec<u8>) {
        if let Some(name) = self.nsid {
            write_option(OPTION_NSID, name, out);
        }
        if let Some((subnet, scope)) = &self.subnet {
            subnet.write(*scope, out);
        }
        if let Some(cookie) = &self.cookie {
            write_option(cookie::CODE, cookie, out);
        }
        if let Some(timeout) = self.keepalive {
            write_option(OPTION_KEEPALIVE, &timeout.to_be_bytes(), out);
        }
        if let Some(error) = self.extended_error {
            write_option(OPTION_EXTENDED_ERROR, &error.to_be_bytes(), out);
        }
    }
}

fn write_option(code: u16, data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
}
