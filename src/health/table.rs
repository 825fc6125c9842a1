//! The health of everything at one moment, as the answer engine reads it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::recovery::needed;
use crate::model::{Endpoint, Id, Member, Pool};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    Ipv4,
    Ipv6,
    /// An endpoint with a cname; probes look the name up.
    Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// Watched, no verdict yet: usable, like Up, but chosen after Up in a last resort.
    #[default]
    Unknown,
    /// Also an endpoint that nothing watches.
    Up,
    Down,
}

/// One address of an endpoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FamilyHealth {
    /// After `serve`, a forced state, dependencies and monitor roles.
    pub state: EndpointState,
    /// Set by an operator.
    pub forced: Option<EndpointState>,
    /// Unix milliseconds at which the state could change at the earliest; `None` when all is clean.
    pub earliest_change_ms: Option<u64>,
    /// Exponentially weighted mean of the probe round trip, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// In words, why it is what it is: `HTTP 503`, `connection refused`.
    pub reason: String,
    /// The last known state from before a restart, no outcome since.
    pub stale: bool,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EndpointHealth {
    pub families: BTreeMap<Family, FamilyHealth>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolState {
    Off,
    Drain,
    /// Fewer healthy members than `healthy_when`.
    Down,
    /// Recovered, waits for its time or for approval.
    Held,
    /// Serves; degraded and unmonitored pools included.
    #[default]
    Ok,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PoolHealth {
    pub state: PoolState,
    /// Percent of its share while `ramp` lets it grow; 100 otherwise.
    pub ramp_percent: u8,
    /// The last load from the feed, in percent, unless stale.
    pub load: Option<f64>,
    /// Mean round trip of its usable endpoints, for `fastest`.
    pub round_trip_ms: Option<f64>,
    /// When the pool's state could change at the earliest, as for endpoints.
    pub earliest_change_ms: Option<u64>,
    /// Unix milliseconds of the last change of `state`; 0 when it never changed.
    pub since_ms: u64,
    pub reason: String,
    /// The outage that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<u64>,
}

impl Default for PoolHealth {
    fn default() -> Self {
        PoolHealth {
            state: PoolState::Ok,
            ramp_percent: 100,
            load: None,
            round_trip_ms: None,
            earliest_change_ms: None,
            since_ms: 0,
            reason: String::new(),
            incident: None,
        }
    }
}

/// An entity that is missing here has its default: usable, nothing known against it. What did not change
/// is shared from table to table, so that a copy of ten thousand costs little, and `Arc::ptr_eq` tells
/// what changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HealthTable {
    #[schema(value_type = std::collections::BTreeMap<String, EndpointHealth>)]
    pub endpoints: BTreeMap<Id<Endpoint>, Arc<EndpointHealth>>,
    #[schema(value_type = std::collections::BTreeMap<String, PoolHealth>)]
    pub pools: BTreeMap<Id<Pool>, Arc<PoolHealth>>,
}

/// How many of a pool's members that count, enabled and with weight, are healthy, and how many it needs to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub healthy: usize,
    pub total: usize,
    pub needed: usize,
}

impl Standing {
    /// Too few are healthy for the pool to serve.
    pub fn is_short(self) -> bool {
        self.healthy < self.needed
    }
}

impl HealthTable {
    /// Whether no address of an endpoint is usable.
    pub fn is_down(&self, id: &Id<Endpoint>) -> bool {
        self.endpoints.get(id).is_some_and(|endpoint| {
            endpoint.families.values().all(|family| family.state == EndpointState::Down)
                && !endpoint.families.is_empty()
        })
    }

    /// A pool that may not be configured yet, by what is known of its members.
    pub fn standing(&self, pool: &Pool) -> Standing {
        let counts = |member: &&Member| member.enabled && member.weight > 0;
        let members = || pool.members.iter().filter(counts);
        let (healthy, total) = (members().filter(|member| !self.is_down(&member.endpoint)).count(), members().count());
        Standing { healthy, total, needed: needed(pool.healthy_when, total) }
    }
}

/// The word of each state, as in JSON.
macro_rules! words {
    ($($type:ident { $($variant:ident => $word:literal),+ })+) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $($type::$variant => $word),+ })
            }
        }
    )+};
}

words! {
    Family { Ipv4 => "ipv4", Ipv6 => "ipv6", Name => "name" }
    EndpointState { Unknown => "unknown", Up => "up", Down => "down" }
    PoolState { Off => "off", Drain => "drain", Down => "down", Held => "held", Ok => "ok" }
}
