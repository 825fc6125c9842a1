//! What a probe reports: which stream of outcomes it belongs to, and how the check went.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::Family;
use crate::model::{Endpoint, Id, Monitor, Name};

/// One thing that is watched: an address of an endpoint, by a monitor. Its outcomes form a stream
/// with its own thresholds. The same check of the same address may serve several targets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    pub monitor: Id<Monitor>,
    pub endpoint: Id<Endpoint>,
    pub family: Family,
}

/// What a probe has to say about a target.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    Outcome(Outcome),
    /// The check cannot run on this machine, for a reason that says the remedy. It tells nothing about
    /// the endpoint, whose state stays what it is.
    Unable(Arc<str>),
}

/// One finished check. A failure was already confirmed by its re-probes: it counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// When it ended, in Unix milliseconds.
    pub at_ms: u64,
    /// On failure the reason in words, without the check or the address: `HTTP 503`.
    pub result: Result<(), String>,
    pub latency: Latency,
    /// The end of the certificate that the server showed, where the check saw one.
    pub certificate_ends: Option<Timestamp>,
    /// When the next check of this target is due, in Unix milliseconds.
    pub next_probe_ms: u64,
    pub said: Said,
}

/// What the server itself said, for people to read; decides nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Said {
    /// Of HTTP.
    pub status: Option<u16>,
    /// The beginning of the body, where the check failed.
    pub excerpt: Option<Arc<str>>,
}

/// Milliseconds from the start of a check to each of its milestones; `None` where it did not get
/// there, or where the check has no such milestone.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Latency {
    pub connect_ms: Option<f64>,
    pub tls_ms: Option<f64>,
    pub first_byte_ms: Option<f64>,
    pub total_ms: Option<f64>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.monitor, self.endpoint, self.family)
    }
}

/// Where a check goes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    Ip(IpAddr),
    /// Looked up at every check.
    Name(Name),
}

impl Address {
    /// The address of `endpoint` in `family`.
    pub fn of(endpoint: &Endpoint, family: Family) -> Option<Self> {
        match family {
            Family::Ipv4 => endpoint.ipv4.map(|address| Address::Ip(address.into())),
            Family::Ipv6 => endpoint.ipv6.map(|address| Address::Ip(address.into())),
            Family::Name => endpoint.cname.clone().map(Address::Name),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Name(name) => name.fmt(f),
        }
    }
}

/// One thing to probe.
#[derive(Debug, Clone)]
pub struct Watch {
    pub target: Target,
    pub address: Address,
    pub monitor: Arc<Monitor>,
}
