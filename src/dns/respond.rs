//! From a packet to a reply: the hot path that every transport shares. Never allocates beyond `out`, never
//! panics, touches nothing but its arguments.

use std::net::IpAddr;
use std::time::Duration;

use super::cookie::Secret;
use super::query::{Code, Edns, Query, Verdict};
use super::rate::DEFAULT_RATE;
use super::reply::{self, Fit, MAX_NSID, MAX_STREAM, MAX_UDP, MIN_UDP, ReplyEdns};
use crate::answer::{self, Answer, Client, Credit, Entropy, Question, Snapshot};
use crate::model::RecordType;

/// What answers questions: a snapshot, or a test's own world.
pub trait Engine: Send + Sync + 'static {
    fn answer<'s>(&'s self, question: &Question, client: &Client, now_ms: u64, entropy: &mut Entropy) -> Answer<'s>;

    /// How many audiences there are for an answer to credit.
    fn audiences(&self) -> usize;

    /// Whether a credit means the same in both.
    fn same_indices(&self, other: &Self) -> bool;
}

impl Engine for Snapshot {
    fn answer<'s>(&'s self, question: &Question, client: &Client, now_ms: u64, entropy: &mut Entropy) -> Answer<'s> {
        answer::answer(self, question, client, now_ms, entropy)
    }

    fn audiences(&self) -> usize {
        Snapshot::audiences(self).len()
    }

    fn same_indices(&self, other: &Self) -> bool {
        // Numbers are given once and never again, so that more of them is all that can differ.
        Engine::audiences(self) == Engine::audiences(other)
    }
}

/// What the operator sets for all transports.
#[derive(Debug, Clone)]
pub struct Settings {
    nsid: Box<[u8]>,
    secret: Secret,
    /// UDP replies a second for each client network; 0 for no limit.
    pub rate: u32,
}

impl Settings {
    /// The node's name, cut after `MAX_NSID` bytes, is told to whoever asks for it (RFC 5001).
    pub fn new(node: &str, secret: Secret) -> Self {
        let name = node.as_bytes();
        Settings { nsid: name[..name.len().min(MAX_NSID)].into(), secret, rate: DEFAULT_RATE }
    }
}

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    /// With the time that an idle connection is kept open.
    Tcp {
        idle: Duration,
    },
}

/// From where, how and when a query came.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub client: IpAddr,
    pub transport: Transport,
    /// Unix milliseconds.
    pub now_ms: u64,
}

/// What is to be done after a packet was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// `out` holds the reply.
    Reply(Said),
    /// No reply at all.
    Silence,
    /// The general path must answer.
    General,
}

/// What a reply said, for the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    pub rtype: RecordType,
    pub code: Code,
    pub truncated: bool,
    /// The query carried a client subnet.
    pub subnet: bool,
    pub credit: Option<Credit>,
}

/// Answers one packet into the emptied `out`.
pub fn respond<E: Engine>(
    packet: &[u8],
    arrival: &Arrival,
    settings: &Settings,
    engine: &E,
    entropy: &mut Entropy,
    out: &mut Vec<u8>,
) -> Outcome {
    out.clear();
    let Some(query) = Query::read(packet) else { return Outcome::Silence };
    match query.verdict {
        Verdict::General => Outcome::General,
        Verdict::Refuse(code) => {
            let edns = query.edns.as_ref().map(|edns| prepare(edns, arrival, settings));
            reply::refuse(&query, code, edns.as_ref(), out);
            Outcome::Reply(said(&query, code, Fit::Whole, None))
        }
        Verdict::Ask => {
            let client = query.as_client(arrival.client);
            let answer = engine.answer(&query.as_question(), &client, arrival.now_ms, entropy);
            let edns = query.edns.as_ref().map(|edns| {
                let mut reply = prepare(edns, arrival, settings);
                reply.subnet = edns.subnet.map(|subnet| (subnet, answer.scope));
                reply.extended_error = answer.extended_error;
                reply
            });
            let fit = reply::write(&query, &answer, edns.as_ref(), limit(&query, arrival.transport), out);
            Outcome::Reply(said(&query, Code(answer.rcode as u16), fit, answer.credit))
        }
    }
}

/// True when the query returns a fresh cookie of ours: its sender is not forged.
pub(super) fn is_proven(query: &Query, arrival: &Arrival, settings: &Settings) -> bool {
    let cookie = query.edns.as_ref().and_then(|edns| edns.cookie);
    cookie.is_some_and(|cookie| settings.secret.recognises(cookie, arrival.client, arrival.now_ms))
}

/// Writes an empty truncated reply: ask again over TCP, or with the cookie that comes along.
pub(super) fn slip(query: &Query, arrival: &Arrival, settings: &Settings, out: &mut Vec<u8>) {
    let edns = query.edns.as_ref().map(|edns| prepare(edns, arrival, settings));
    reply::refuse(query, Code::NOERROR, edns.as_ref(), out);
    out[2] |= 0x02;
}

/// The most bytes that a reply to the query may have.
pub(super) fn limit(query: &Query, transport: Transport) -> usize {
    match (transport, &query.edns) {
        (Transport::Tcp { .. }, _) => MAX_STREAM,
        (Transport::Udp, Some(edns)) => usize::from(edns.payload).clamp(MIN_UDP, MAX_UDP),
        (Transport::Udp, None) => MIN_UDP,
    }
}

/// What our OPT says whatever the answer is.
pub(super) fn prepare<'r>(edns: &Edns<'r>, arrival: &Arrival, settings: &'r Settings) -> ReplyEdns<'r> {
    ReplyEdns {
        dnssec_ok: edns.dnssec_ok,
        nsid: edns.nsid.then_some(&*settings.nsid),
        subnet: None,
        extended_error: None,
        cookie: edns.cookie.and_then(|sent| settings.secret.bake(sent, arrival.client, arrival.now_ms)),
        keepalive: match arrival.transport {
            Transport::Tcp { idle } if edns.keepalive => Some((idle.as_millis() / 100).min(0xffff) as u16),
            _ => None,
        },
    }
}

pub(super) fn said(query: &Query, code: Code, fit: Fit, credit: Option<Credit>) -> Said {
    Said { rtype: query.rtype, code, truncated: fit == Fit::Truncated, subnet: query.subnet().is_some(), credit }
}
