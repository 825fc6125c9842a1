//! From a question to an answer: which zone, which name, which records (RFC 1034 section 4.3.2).

use smallvec::SmallVec;

use super::names::Suffixes;
use super::serve::{Moment, serve};
use super::snapshot::Snapshot;
use super::trace::{Silent, Tracer};
use super::zone::{Content, Entry, Found, Node, ZoneTable};
use super::{Answer, Client, Entropy, Owner, Question, Rcode, Section, Set};
use crate::model::{MAX_NAME, MAX_TTL, RecordType};

/// The most CNAME records that one answer follows.
const MAX_CHAIN: usize = 8;
/// Extended DNS error 20 (RFC 8914 section 4.21).
const NOT_AUTHORITATIVE: u16 = 20;
/// CPU "RFC8482", no OS (RFC 8482 section 4.2).
const ANY_ANSWER: &[u8] = b"\x07RFC8482\x00";
/// A long time, as RFC 8482 section 4.4 wants it: the answer never changes.
const ANY_TTL: u32 = 3600;

/// Answers one question. Pure: all that it depends on are its arguments.
pub fn answer<'s>(
    snapshot: &'s Snapshot,
    question: &Question,
    client: &Client,
    now_ms: u64,
    entropy: &mut Entropy,
) -> Answer<'s> {
    respond(snapshot, question, client, now_ms, entropy, &mut Silent)
}

pub fn respond<'s>(
    snapshot: &'s Snapshot,
    question: &Question,
    client: &Client,
    now_ms: u64,
    entropy: &mut Entropy,
    tracer: &mut impl Tracer,
) -> Answer<'s> {
    if is_no_data_type(question.rtype) {
        return Answer::refused(None);
    }
    let zones = snapshot.zones();
    let Some(suffixes) = Suffixes::of(question.name, zones.seed()) else { return Answer::refused(None) };
    let Some(zone) = zones.find(&suffixes, question.rtype) else {
        return Answer::refused(Some(NOT_AUTHORITATIVE));
    };
    let mut answer = Answer::empty();
    match step(zone, &suffixes, question.rtype, Owner::Question, &mut answer) {
        Outcome::Done => {}
        Outcome::Follow(target) => follow(snapshot, question, target, &mut answer),
        Outcome::Steered { policy, rtype } => {
            if let Some(plan) = snapshot.plans().plan(policy) {
                let moment = Moment { pools: snapshot.pools(), client, now_ms };
                let negative_ttl = serve(plan, policy, rtype, &moment, entropy, &mut answer, tracer);
                if let Some(ttl) = negative_ttl {
                    deny(zone, ttl, &mut answer);
                }
            }
        }
    }
    answer
}

/// OPT and the types of transfers and transactions are no data that a name could have (RFC 6895 section 3.1).
fn is_no_data_type(rtype: RecordType) -> bool {
    rtype == RecordType::OPT || (249..=252).contains(&rtype.0)
}

/// What is left to do after one name.
enum Outcome<'s> {
    Done,
    /// A policy answers, with records of this type.
    Steered {
        policy: u32,
        rtype: RecordType,
    },
    /// A CNAME was said; its target comes next.
    Follow(&'s [u8]),
}

/// Looks one name up in its zone and says what is fixed there.
fn step<'s>(
    zone: &'s ZoneTable,
    name: &Suffixes,
    rtype: RecordType,
    owner: Owner<'s>,
    answer: &mut Answer<'s>,
) -> Outcome<'s> {
    let node = match zone.find(name) {
        Found::Name(node) => node,
        // The zone above a delegation is the one to know the delegation's DS (RFC 4035 section 3.1.4.1).
        Found::Cut { node, at: true } if rtype == RecordType::DS => node,
        Found::Cut { node, .. } => {
            refer(zone, node, answer);
            return Outcome::Done;
        }
        Found::Renamed { node } => {
            // Further down a chain, the resolver asks for the new name itself.
            if owner == Owner::Question {
                rename(zone, node, name, answer);
            }
            return Outcome::Done;
        }
        Found::Nothing => {
            answer.rcode = Rcode::NxDomain;
            deny(zone, MAX_TTL, answer);
            return Outcome::Done;
        }
    };
    let entries = zone.entries(node);
    // Signatures and denials of an alias stand beside it (RFC 4035 section 2.5).
    let aliased = ![RecordType::RRSIG, RecordType::NSEC].contains(&rtype);
    let cname = entries.iter().find(|entry| aliased && entry.rtype == RecordType::CNAME);
    if rtype == RecordType::ANY && !entries.is_empty() {
        let data = SmallVec::from_slice(&[ANY_ANSWER]);
        answer.answer.push(Set { owner, rtype: RecordType::HINFO, ttl: ANY_TTL, kept: 0, data });
        return Outcome::Done;
    }
    let Some(entry) = zone.entry(node, rtype).or(cname) else {
        deny(zone, MAX_TTL, answer);
        return Outcome::Done;
    };
    match entry.content {
        Content::Steered { policy } => Outcome::Steered { policy, rtype: entry.rtype },
        Content::Fixed { ttl, at, count } => {
            let data: SmallVec<[&[u8]; 4]> = zone.values(at, count).collect();
            let target = data.first().copied().unwrap_or_default();
            answer.answer.push(Set { owner, rtype: entry.rtype, ttl, kept: 0, data });
            if entry.rtype == RecordType::CNAME && rtype != RecordType::CNAME {
                return Outcome::Follow(target);
            }
            add_targets(zone, entry, answer);
            Outcome::Done
        }
    }
}

/// Follows a chain of CNAME records through our zones. A steered name is left for the resolver to ask, so that
/// the scope of what it learns stays its own.
fn follow<'s>(snapshot: &'s Snapshot, question: &Question, first: &'s [u8], answer: &mut Answer<'s>) {
    let zones = snapshot.zones();
    let mut target = first;
    for _ in 1..MAX_CHAIN {
        let mut buffer = [0; MAX_NAME];
        let Some(lower) = buffer.get_mut(..target.len()) else { return };
        lower.copy_from_slice(target);
        lower.make_ascii_lowercase();
        let said = |set: &Set| match set.owner {
            Owner::Question => question.name == &*lower,
            Owner::Name(name) => name.eq_ignore_ascii_case(lower),
        };
        if answer.answer.iter().any(said) {
            return;
        }
        let Some(suffixes) = Suffixes::of(lower, zones.seed()) else { return };
        let Some(zone) = zones.find(&suffixes, question.rtype) else { return };
        match step(zone, &suffixes, question.rtype, Owner::Name(target), answer) {
            Outcome::Follow(next) => target = next,
            Outcome::Done | Outcome::Steered { .. } => return,
        }
    }
}

/// Answers below a DNAME: the DNAME, and the CNAME that follows from it (RFC 6672 section 3.2).
fn rename<'s>(zone: &'s ZoneTable, node: &'s Node, name: &Suffixes, answer: &mut Answer<'s>) {
    push(zone, node, RecordType::DNAME, &mut answer.answer);
    let Some(mut alias) = answer.answer.last().cloned() else { return };
    let kept = name.len().saturating_sub(zone.name(node).len());
    let longest = alias.data.first().map_or(0, |target| kept + target.len());
    match u8::try_from(kept) {
        Ok(kept) if longest <= MAX_NAME => {
            alias = Set { owner: Owner::Question, rtype: RecordType::CNAME, kept, ..alias };
            answer.answer.push(alias);
        }
        _ => answer.rcode = Rcode::YxDomain,
    }
}

/// No such name, or no such type: the SOA, with the time that resolvers may keep that (RFC 2308 section 3),
/// at most `ttl`.
fn deny<'s>(zone: &'s ZoneTable, ttl: u32, answer: &mut Answer<'s>) {
    push(zone, zone.apex_node(), RecordType::SOA, &mut answer.authority);
    if let Some(soa) = answer.authority.last_mut() {
        soa.ttl = soa.ttl.min(zone.source().zone.soa.minimum).min(ttl);
    }
}

/// Sends the resolver to the servers of a delegated zone, with their addresses where we have them.
fn refer<'s>(zone: &'s ZoneTable, cut: &'s Node, answer: &mut Answer<'s>) {
    // After a CNAME of ours the flag speaks of the first owner name (RFC 1035 section 4.1.1).
    answer.authoritative = !answer.answer.is_empty();
    push(zone, cut, RecordType::NS, &mut answer.authority);
    if let Some(entry) = zone.entry(cut, RecordType::NS) {
        add_targets(zone, entry, answer);
    }
}

fn add_targets<'s>(zone: &'s ZoneTable, entry: &'s Entry, answer: &mut Answer<'s>) {
    for node in zone.targets(entry) {
        for rtype in [RecordType::A, RecordType::AAAA] {
            push(zone, node, rtype, &mut answer.additional);
        }
    }
}

/// Adds the fixed set of a type at a name, if there is one.
fn push<'s>(zone: &'s ZoneTable, node: &'s Node, rtype: RecordType, section: &mut Section<'s>) {
    if let Some(&Entry { content: Content::Fixed { ttl, at, count }, .. }) = zone.entry(node, rtype) {
        let data = zone.values(at, count).collect();
        section.push(Set { owner: Owner::Name(zone.name(node)), rtype, ttl, kept: 0, data });
    }
}

impl Answer<'_> {
    /// No error, nothing said yet.
    pub(super) fn empty() -> Self {
        Answer {
            rcode: Rcode::NoError,
            authoritative: true,
            answer: SmallVec::new(),
            authority: SmallVec::new(),
            additional: SmallVec::new(),
            scope: 0,
            extended_error: None,
            credit: None,
        }
    }

    pub(super) fn refused(extended_error: Option<u16>) -> Self {
        Answer { rcode: Rcode::Refused, authoritative: false, extended_error, ..Answer::empty() }
    }
}

#[cfg(test)]
mod tests;
