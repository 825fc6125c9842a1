//! Endpoints (single servers) and pools (sets of servers that can answer for each other).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::field::Fields;
use super::monitor::Monitor;
use super::place::{Country, Point, serde_as_text};
use super::{Id, Meta, Name};

/// The most endpoints of one pool, which also bounds the work of one answer.
pub const MAX_MEMBERS: usize = 64;
/// The largest weight; 0 means no traffic.
pub const MAX_WEIGHT: u16 = 1000;
/// The colours that charts and maps have.
pub const COLOURS: u8 = 6;
/// The most endpoints that one endpoint may depend on.
pub const MAX_DEPENDENCIES: usize = 8;
/// The most monitors of one endpoint or pool.
pub const MAX_MONITORS: usize = 16;

/// One server: addresses, or a name that resolvers look up themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Endpoint {
    #[serde(flatten)]
    pub meta: Meta,
    #[schema(value_type = Option<String>)]
    pub ipv4: Option<Ipv4Addr>,
    #[schema(value_type = Option<String>)]
    pub ipv6: Option<Ipv6Addr>,
    /// Instead of addresses: answered as CNAME.
    #[schema(value_type = Option<String>)]
    pub cname: Option<Name>,
    pub serve: Serve,
    /// For residency locks; the pool's country counts where this is not set.
    #[schema(value_type = Option<String>)]
    pub country: Option<Country>,
    /// Empty: the pool's monitors.
    pub monitors: Vec<MonitorUse>,
    /// Endpoints without which this one counts as down.
    #[schema(value_type = Vec<String>)]
    pub depends_on: Vec<Id<Endpoint>>,
}

/// Whether health decides if an endpoint is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Serve {
    #[default]
    Auto,
    Always,
    Never,
}

/// A monitor that watches an endpoint, and how much its verdict counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MonitorUse {
    #[schema(value_type = String)]
    pub monitor: Id<Monitor>,
    pub role: Role,
}

/// Required: must be up. Vote: a majority of these must be up. Watch: only reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    #[default]
    Required,
    Vote,
    Watch,
}

/// Servers that can answer for each other, usually one data centre.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pool {
    #[serde(flatten)]
    pub meta: Meta,
    pub admin: Admin,
    #[schema(value_type = Option<String>)]
    pub country: Option<Country>,
    /// For `nearest`; the country's population-weighted point where it is not set.
    pub lat: Option<f64>,
    pub lon: Option<f64>,
    pub members: Vec<Member>,
    #[schema(value_type = String, example = "at_least 1")]
    pub healthy_when: HealthyWhen,
    #[schema(value_type = String, example = "after 60")]
    pub recovery: Recovery,
    /// Seconds over which the share of a recovered pool grows from 1 to 100 %; 0 is at once.
    pub ramp: u32,
    pub monitors: Vec<MonitorUse>,
    pub shed: Shed,
    /// How many endpoints one answer holds; the policy's number where it is not set.
    pub answers: Option<u8>,
    /// On charts and maps: 1 blue, 2 violet, 3 pink, 4 brown, 5 grey, 6 olive. Where it is not given, a new pool gets
    /// the one that fewest others have.
    #[schema(minimum = 1, maximum = 6)]
    pub colour: u8,
}

impl Pool {
    /// The part of its answers that a member is given while every member is up, 0 to 1.
    pub fn part_of(&self, member: &Member) -> f64 {
        let serves = |one: &&Member| one.enabled && one.weight > 0;
        let Some(first) = self.members.iter().filter(serves).map(|one| one.priority).min() else { return 0.0 };
        let is_among = |one: &&Member| serves(one) && one.priority == first;
        let total: u32 = self.members.iter().filter(is_among).map(|one| u32::from(one.weight)).sum();
        if is_among(&member) { f64::from(member.weight) / f64::from(total) } else { 0.0 }
    }

    /// The place given by hand.
    pub fn point(&self) -> Option<Point> {
        self.lat.zip(self.lon).map(|(lat, lon)| Point { lat, lon })
    }
}

/// The operator's switch. Drain: no new clients, checks go on. Off: as if the pool were not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Admin {
    #[default]
    On,
    Drain,
    Off,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Member {
    #[schema(value_type = String)]
    pub endpoint: Id<Endpoint>,
    /// 0 to 1000; 0 is never answered.
    pub weight: u16,
    /// 1 to 10; the lowest number that has a usable endpoint is answered.
    pub priority: u8,
    pub enabled: bool,
}

/// When a pool counts as healthy: `at_least N` usable members, or `percent N` of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthyWhen {
    AtLeast(u8),
    Percent(u8),
}

/// When a pool that was down may serve again: `auto` (at once), `after SECONDS` up without a break,
/// or `manual` (a person approves the failback).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    Auto,
    After(u32),
    Manual,
}

/// How much of a pool's traffic moves to the next pools: `percent` always, and from 0 at load `low`
/// to all at load `high` when both are set. Load comes from a feed, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Shed {
    pub percent: u8,
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Seconds after which a load value no longer counts.
    pub stale_after: u32,
}

impl Default for Shed {
    fn default() -> Self {
        Shed { percent: 0, low: None, high: None, stale_after: 60 }
    }
}

impl FromStr for HealthyWhen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not understood; use \"at_least 1\" or \"percent 50\"");
        let (word, number) = text.split_once(' ').ok_or_else(wrong)?;
        let number: u8 = number.trim().parse().map_err(|_| wrong())?;
        match word {
            "at_least" if (1..=MAX_MEMBERS as u8).contains(&number) => Ok(HealthyWhen::AtLeast(number)),
            "percent" if (1..=100).contains(&number) => Ok(HealthyWhen::Percent(number)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for HealthyWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HealthyWhen::AtLeast(n) => write!(f, "at_least {n}"),
            HealthyWhen::Percent(n) => write!(f, "percent {n}"),
        }
    }
}

impl FromStr for Recovery {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not understood; use \"auto\", \"after 60\" (seconds, at most 86400) or \"manual\"");
        match text {
            "auto" => Ok(Recovery::Auto),
            "manual" => Ok(Recovery::Manual),
            _ => {
                let seconds = text.strip_prefix("after ").and_then(|n| n.trim().parse().ok()).ok_or_else(wrong)?;
                if seconds <= 86_400 { Ok(Recovery::After(seconds)) } else { Err(wrong()) }
            }
        }
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recovery::Auto => f.write_str("auto"),
            Recovery::After(seconds) => write!(f, "after {seconds}"),
            Recovery::Manual => f.write_str("manual"),
        }
    }
}

serde_as_text!(HealthyWhen, Recovery);

impl Endpoint {
    pub(super) fn read(meta: Meta, fields: &mut Fields) -> Option<Self> {
        let ipv4 = fields.parse::<Address<Ipv4Addr>>("ipv4").map(|a| a.0);
        let ipv6 = fields.parse::<Address<Ipv6Addr>>("ipv6").map(|a| a.0);
        let cname = fields.parse("cname");
        let addressed = fields.has("ipv4") || fields.has("ipv6");
        if addressed && fields.has("cname") {
            fields.error("cname", "stands beside an address", "give addresses or a cname, not both");
        }
        if !addressed && !fields.has("cname") {
            fields.error("ipv4", "is missing, as are ipv6 and cname", "give an address such as 192.0.2.10, or a cname");
        }
        Some(Endpoint {
            meta,
            ipv4,
            ipv6,
            cname,
            serve: fields.word("serve"),
            country: fields.parse("country"),
            monitors: read_monitors(fields),
            depends_on: fields.list("depends_on", MAX_DEPENDENCIES),
        })
    }
}

/// An address with an error text that says what would be right.
struct Address<T>(T);

impl<T: FromStr> FromStr for Address<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = if size_of::<T>() == 4 {
            "IPv4 address; use one such as 192.0.2.10"
        } else {
            "IPv6 address; use one such as 2001:db8::10"
        };
        text.parse().map(Address).map_err(|_| format!("{text:?} is not an {example}"))
    }
}

fn read_monitors(fields: &mut Fields) -> Vec<MonitorUse> {
    fields.objects("monitors", 0..=MAX_MONITORS, |fields| {
        let monitor = fields.required("monitor", "web-check");
        let role = fields.word("role");
        Some(MonitorUse { monitor: monitor?, role })
    })
}

impl Pool {
    pub(super) fn read(meta: Meta, fields: &mut Fields) -> Option<Self> {
        let admin = fields.word("admin");
        let country = fields.parse("country");
        let (lat, lon) = (fields.decimal_if("lat", -90.0..=90.0), fields.decimal_if("lon", -180.0..=180.0));
        if fields.has("lat") != fields.has("lon") {
            fields.error("lat", "and lon belong together", "give both, or none to use the country's");
        }
        let members = fields.objects("members", 1..=MAX_MEMBERS, |fields| {
            let endpoint = fields.required("endpoint", "web-1");
            let weight = fields.number("weight", 0..=i64::from(MAX_WEIGHT), 100) as u16;
            let priority = fields.number("priority", 1..=10, 1) as u8;
            let enabled = fields.flag("enabled", true);
            Some(Member { endpoint: endpoint?, weight, priority, enabled })
        });
        let healthy_when = fields.parse("healthy_when").unwrap_or(HealthyWhen::AtLeast(1));
        let recovery = fields.parse("recovery").unwrap_or(Recovery::After(60));
        let ramp = fields.number("ramp", 0..=86_400, 0) as u32;
        let monitors = read_monitors(fields);
        let shed = fields.object("shed", Shed::read).unwrap_or_default();
        let answers = fields.number_if("answers", 1..=16).map(|n| n as u8);
        let colour = fields.number("colour", 1..=i64::from(COLOURS), 0) as u8;
        Some(Pool {
            meta,
            admin,
            country,
            lat,
            lon,
            members,
            healthy_when,
            recovery,
            ramp,
            monitors,
            shed,
            answers,
            colour,
        })
    }
}

impl Shed {
    fn read(fields: &mut Fields) -> Option<Self> {
        let percent = fields.number("percent", 0..=100, 0) as u8;
        let (low, high) = (fields.decimal_if("low", 0.0..=1000.0), fields.decimal_if("high", 0.0..=1000.0));
        match (low, high) {
            (None, None) => {}
            (Some(low), Some(high)) if low < high => {}
            (Some(_), Some(_)) => {
                fields.error("high", "is not above low", "shedding starts at low and is complete at high")
            }
            _ => fields.error("low", "and high belong together", "give both, or neither"),
        }
        let stale_after = fields.number("stale_after", 1..=86_400, 60) as u32;
        Some(Shed { percent, low, high, stale_after })
    }
}
