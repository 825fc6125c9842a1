//! What every check of an endpoint found last, for people to read.

use jiff::Timestamp;
use serde::Serialize;

use super::settle::addresses;
use super::{EndpointState, Family, Health, Latency};
use crate::model::{Endpoint, Id, Monitor, Role};

/// What one monitor knows about one address.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CheckHealth {
    #[schema(value_type = String)]
    pub monitor: Id<Monitor>,
    pub family: Family,
    pub role: Role,
    pub state: EndpointState,
    /// Outcomes in a row; one of the two is 0.
    pub failures: u32,
    pub successes: u32,
    /// `answered in 12 ms`, `HTTP 503`.
    pub finding: String,
    /// Why the check cannot run on this machine and so reports nothing, and what to do.
    pub trouble: Option<String>,
    /// Unix milliseconds of the last outcome and of the next check.
    pub last_ms: Option<u64>,
    pub next_ms: Option<u64>,
    pub latency: Latency,
    #[schema(value_type = Option<String>)]
    pub certificate_ends: Option<Timestamp>,
}

impl Health {
    /// Every check of an endpoint, family by family.
    pub fn checks(&self, endpoint: &Id<Endpoint>) -> Vec<CheckHealth> {
        let Some(configured) = self.model.endpoints.get(endpoint) else { return Vec::new() };
        let families = addresses(configured).map(|(family, _)| family);
        let all = families.flat_map(|family| self.ballots(configured, endpoint, family));
        all.map(|(target, ballot)| {
            let stream = ballot.stream;
            let last = stream.last.as_ref();
            CheckHealth {
                monitor: target.monitor,
                family: target.family,
                role: ballot.role,
                state: stream.state(),
                failures: stream.failures,
                successes: stream.successes,
                finding: stream.finding(),
                trouble: stream.trouble.as_deref().map(str::to_owned),
                last_ms: last.map(|outcome| outcome.at_ms),
                next_ms: last.map(|outcome| outcome.next_probe_ms),
                latency: last.map_or_else(Latency::default, |outcome| outcome.latency),
                certificate_ends: stream.kept.certificate.as_ref().map(|certificate| certificate.ends),
            }
        })
        .collect()
    }
}
