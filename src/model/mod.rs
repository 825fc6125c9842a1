//! What the admin configured: entities, how a draft becomes a checked model, and what changed.
//! Pure: no clock, no chance, no I/O.

pub mod builtin;
mod check;
mod diff;
pub mod field;
mod history;
mod host;
mod id;
mod json;
mod kept_test;
mod lexer;
mod monitor;
mod name;
pub mod place;
mod policy;
mod pool;
pub mod rdata;
mod region;
pub mod sentence;
mod zone;
pub mod zonefile;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use check::{Change, Checked, Edit, Kind};
pub use diff::{Line, Sign, by_importance, field_phrases, is_part_of_a_zone, lines, sentences};
pub use field::{FieldError, distance};
pub use history::{AuditDraft, AuditEntry, Revision, canonical, seal, sha256};
pub use host::{check_host_name, no_servers};
pub use id::{Id, MAX_ID, beside_pages};
pub use json::read_json;
pub use kept_test::{Asker, MAX_TESTS, Test, Via};
pub use monitor::{Check, DnsCheck, Header, HttpCheck, IcmpCheck, Method, Monitor, StatusRange, TcpCheck};
pub use name::{MAX_LABEL, MAX_NAME, Name, without_dot};
pub use place::{Continent, Country, Place, Point, Subdivision, Token};
pub use policy::{Attach, Choose, LastResort, Locate, MAX_ANSWERS, Policy, Rule, Step, StepPool, Sticky, Tolerance};
pub use pool::{
    Admin, COLOURS, Endpoint, HealthyWhen, MAX_MEMBERS, MAX_WEIGHT, Member, MonitorUse, Pool, Recovery, Role, Serve,
    Shed,
};
pub use rdata::Rdata;
pub use region::{MAX_NESTING, Region};
pub use zone::{MAX_TTL, MAX_VALUES, RecordKey, RecordSet, RecordSetShown, RecordType, Soa, Zone};

/// What every entity has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Meta {
    /// `[a-z0-9-]{1,63}`, fixed at creation. Record sets have their key `zone/name/TYPE` here.
    pub id: String,
    /// At most 80 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// At most 1000 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// At most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The revision that last changed the entity; its ETag.
    #[serde(default)]
    pub rev: u64,
}

pub type Table<T> = BTreeMap<Id<T>, Arc<T>>;

/// Everything configured, checked as a whole: no reference dangles, no rule is shadowed.
/// Cheap to clone; a change shares what it does not touch, so `Arc::ptr_eq` tells what changed.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The number of the last published revision; 0 is the empty model.
    pub revision: u64,
    pub zones: Table<Zone>,
    pub records: BTreeMap<RecordKey, Arc<RecordSet>>,
    /// The built-in, read-only regions included.
    pub regions: Table<Region>,
    pub endpoints: Table<Endpoint>,
    pub pools: Table<Pool>,
    pub monitors: Table<Monitor>,
    pub policies: Table<Policy>,
    /// Run before every publication.
    pub tests: Table<Test>,
}

impl Model {
    /// True when the two differ in nothing but zones, record sets and tests. Compares identities, so that it costs
    /// little however much there is.
    pub fn steers_like(&self, other: &Model) -> bool {
        self.has_regions_of(other)
            && same(&self.endpoints, &other.endpoints)
            && same(&self.pools, &other.pools)
            && same(&self.monitors, &other.monitors)
            && same(&self.policies, &other.policies)
    }

    /// True when the regions are the same.
    pub fn has_regions_of(&self, other: &Model) -> bool {
        same(&self.regions, &other.regions)
    }

    /// The record sets of a zone, in export order.
    pub fn records_of<'m>(&'m self, zone: &'m Id<Zone>) -> impl Iterator<Item = (&'m RecordKey, &'m Arc<RecordSet>)> {
        let first = RecordKey { zone: zone.clone(), name: Name::root(), rtype: RecordType(0) };
        self.records.range(first..).take_while(move |(key, _)| key.zone == *zone)
    }

    /// How many entities of a kind there are, the built-in ones included.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Zones => self.zones.len(),
            Kind::Records => self.records.len(),
            Kind::Regions => self.regions.len(),
            Kind::Monitors => self.monitors.len(),
            Kind::Endpoints => self.endpoints.len(),
            Kind::Pools => self.pools.len(),
            Kind::Policies => self.policies.len(),
            Kind::Tests => self.tests.len(),
        }
    }
}

fn same<T>(a: &Table<T>, b: &Table<T>) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && Arc::ptr_eq(a.1, b.1))
}
