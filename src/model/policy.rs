//! Policies: who gets which pool. Rules (first match wins) hold steps (tried in order: this is
//! failover), steps hold pools. Depth is fixed; nothing recurses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::field::Fields;
use super::place::serde_as_text;
use super::pool::MAX_WEIGHT;
use super::region::Region;
use super::zone::{MAX_TTL, RecordType, Zone};
use super::{Id, Meta, Name, Pool};

pub const MAX_RULES: usize = 200;
pub const MAX_STEPS: usize = 8;
pub const MAX_STEP_POOLS: usize = 32;
/// The most addresses of one answer: sixteen AAAA records still fit into 1232 bytes.
pub const MAX_ANSWERS: u8 = 16;
/// The most names of one policy.
const MAX_ATTACH: usize = 100_000;
/// Regions named by one rule.
const MAX_RULE_REGIONS: usize = 100;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Policy {
    #[serde(flatten)]
    pub meta: Meta,
    /// Disabled: the fixed records under its names are served, if there are any.
    pub enabled: bool,
    pub attach: Vec<Attach>,
    /// Seconds that resolvers may keep a healthy answer.
    pub ttl: u32,
    /// Seconds in last resort.
    pub failure_ttl: u32,
    /// How many endpoints one answer holds.
    pub answers: u8,
    pub locate: Locate,
    pub sticky: Sticky,
    /// The last one is "everyone else": it names no region.
    pub rules: Vec<Rule>,
}

/// A name that a policy answers. Types are A and AAAA, or CNAME.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Attach {
    #[schema(value_type = String)]
    pub zone: Id<Zone>,
    /// Absolute.
    #[schema(value_type = String)]
    pub name: Name,
    /// A and AAAA where not given.
    #[schema(value_type = Vec<String>)]
    pub types: Vec<RecordType>,
}

/// Whose place counts: the client subnet that the resolver sends, else the resolver's own; or always
/// the resolver's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Locate {
    #[default]
    EcsThenResolver,
    Resolver,
}

/// Whether a client network (IPv4 /24, IPv6 /48) keeps its pool and endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sticky {
    #[default]
    None,
    Client,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rule {
    pub name: String,
    pub enabled: bool,
    /// The client is in any of these; empty only in the last rule.
    #[schema(value_type = Vec<String>)]
    pub regions: Vec<Id<Region>>,
    /// And in none of these.
    #[schema(value_type = Vec<String>)]
    pub except_regions: Vec<Id<Region>>,
    pub steps: Vec<Step>,
    #[schema(value_type = String, example = "serve_anyway")]
    pub last_resort: LastResort,
    /// Every pool of the rule must stand in a country of this region.
    #[schema(value_type = Option<String>)]
    pub residency_lock: Option<Id<Region>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Step {
    pub pools: Vec<StepPool>,
    pub choose: Choose,
    pub tolerance: Tolerance,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StepPool {
    #[schema(value_type = String)]
    pub pool: Id<Pool>,
    /// 0 to 1000; 0 is never answered.
    pub weight: u16,
    /// Takes its share only beside a healthy pool that is no canary; never takes over.
    pub canary: bool,
    /// −99 to 99: nearest divides or stretches the distance by it.
    pub bias: i8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Choose {
    #[default]
    Weighted,
    Nearest,
    /// By measured round trip; in listed order until there are measurements.
    Fastest,
}

/// Pools this close to the fastest share by weight: within `percent` or `ms` of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tolerance {
    pub percent: u8,
    pub ms: u16,
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance { percent: 10, ms: 10 }
    }
}

/// What to say when no step has a pool that is ok: `serve_anyway` (the first step, health ignored,
/// off and drain still left out), `pool:ID`, `no_answer` (NODATA) or `refuse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LastResort {
    #[default]
    ServeAnyway,
    Pool(Id<Pool>),
    NoAnswer,
    Refuse,
}

impl FromStr for LastResort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "serve_anyway" => Ok(LastResort::ServeAnyway),
            "no_answer" => Ok(LastResort::NoAnswer),
            "refuse" => Ok(LastResort::Refuse),
            _ => match text.strip_prefix("pool:") {
                Some(id) => Ok(LastResort::Pool(id.parse()?)),
                None => Err(format!("{text:?} is no last resort; use serve_anyway, pool:ID, no_answer or refuse")),
            },
        }
    }
}

impl fmt::Display for LastResort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LastResort::ServeAnyway => f.write_str("serve_anyway"),
            LastResort::Pool(id) => write!(f, "pool:{id}"),
            LastResort::NoAnswer => f.write_str("no_answer"),
            LastResort::Refuse => f.write_str("refuse"),
        }
    }
}

serde_as_text!(LastResort);

impl Policy {
    pub(super) fn read(meta: Meta, fields: &mut Fields) -> Option<Self> {
        let enabled = fields.flag("enabled", true);
        let attach = fields.objects("attach", 0..=MAX_ATTACH, |fields| {
            let zone = fields.required("zone", "example-com");
            let name = fields.required("name", "www.example.com.");
            let mut types: Vec<RecordType> = fields.list("types", 2);
            types.sort();
            types.dedup();
            if types.is_empty() {
                types = vec![RecordType::A, RecordType::AAAA];
            }
            let addresses = types.iter().all(|t| [RecordType::A, RecordType::AAAA].contains(t));
            if !addresses && types != [RecordType::CNAME] {
                fields.error("types", "can only be A and AAAA, or CNAME", "name one of the two kinds");
            }
            Some(Attach { zone: zone?, name: name?, types })
        });
        let ttl = fields.number("ttl", 0..=86_400, 30) as u32;
        let failure_ttl = fields.number("failure_ttl", 0..=300, 10) as u32;
        let answers = fields.number("answers", 1..=i64::from(MAX_ANSWERS), 1) as u8;
        let locate = fields.word("locate");
        let sticky = fields.word("sticky");
        let rules = fields.objects("rules", 1..=MAX_RULES, Rule::read);
        debug_assert!(ttl <= MAX_TTL);
        Some(Policy { meta, enabled, attach, ttl, failure_ttl, answers, locate, sticky, rules })
    }
}

impl Rule {
    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.text("name", 80).unwrap_or_default();
        let enabled = fields.flag("enabled", true);
        let regions = fields.list("regions", MAX_RULE_REGIONS);
        let except_regions = fields.list("except_regions", MAX_RULE_REGIONS);
        let steps = fields.objects("steps", 1..=MAX_STEPS, Step::read);
        let last_resort = fields.parse("last_resort").unwrap_or_default();
        let residency_lock = fields.parse("residency_lock");
        Some(Rule { name, enabled, regions, except_regions, steps, last_resort, residency_lock })
    }
}

impl Step {
    fn read(fields: &mut Fields) -> Option<Self> {
        let pools = fields.objects("pools", 1..=MAX_STEP_POOLS, |fields| {
            let pool = fields.required("pool", "eu-west");
            let weight = fields.number("weight", 0..=i64::from(MAX_WEIGHT), 100) as u16;
            let canary = fields.flag("canary", false);
            let bias = fields.number("bias", -99..=99, 0) as i8;
            Some(StepPool { pool: pool?, weight, canary, bias })
        });
        let choose = fields.word("choose");
        let tolerance = fields.object("tolerance", |fields| {
            let percent = fields.number("percent", 0..=100, 10) as u8;
            let ms = fields.number("ms", 0..=1000, 10) as u16;
            Some(Tolerance { percent, ms })
        });
        Some(Step { pools, choose, tolerance: tolerance.unwrap_or_default() })
    }
}
