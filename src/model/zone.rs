//! Zones and their fixed record sets.

use std::fmt;
use std::str::FromStr;

use domain::base::iana::Rtype;
use serde::{Deserialize, Serialize};

use super::field::Fields;
use super::place::serde_as_text;
use super::rdata::Rdata;
use super::{Id, Meta, Name};

/// The largest TTL, in seconds (RFC 2181 section 8 allows 2^31 − 1; a week is what anybody means).
pub const MAX_TTL: u32 = 604_800;
/// The most values of one record set.
pub const MAX_VALUES: usize = 400;
/// The most name servers of one zone.
const MAX_NS: usize = 16;

/// A zone that we answer for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Zone {
    #[serde(flatten)]
    pub meta: Meta,
    /// The apex.
    #[schema(value_type = String, example = "example.test.")]
    pub fqdn: Name,
    pub soa: Soa,
    /// TTL in seconds of record sets that set none.
    pub default_ttl: u32,
    /// The zone's name servers, served as its NS records.
    #[schema(value_type = Vec<String>)]
    pub ns: Vec<Name>,
    /// Set by the server: moves with every published change of what the zone says (RFC 1982).
    #[serde(default)]
    pub serial: u32,
}

/// The SOA record but for its serial; intervals in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Soa {
    #[schema(value_type = String)]
    pub mname: Name,
    #[schema(value_type = String)]
    pub rname: Name,
    pub refresh: u32,
    pub retry: u32,
    pub expire: u32,
    /// How long resolvers may keep "no such name" (RFC 2308 section 5).
    pub minimum: u32,
}

/// A record type by its number; prints as its mnemonic, unknown ones as TYPEnnn (RFC 3597).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

impl RecordType {
    pub const A: Self = Self(1);
    pub const NS: Self = Self(2);
    pub const CNAME: Self = Self(5);
    pub const SOA: Self = Self(6);
    pub const PTR: Self = Self(12);
    pub const HINFO: Self = Self(13);
    pub const MX: Self = Self(15);
    pub const TXT: Self = Self(16);
    pub const AAAA: Self = Self(28);
    pub const LOC: Self = Self(29);
    pub const SRV: Self = Self(33);
    pub const NAPTR: Self = Self(35);
    pub const DNAME: Self = Self(39);
    pub const OPT: Self = Self(41);
    pub const DS: Self = Self(43);
    pub const SSHFP: Self = Self(44);
    pub const RRSIG: Self = Self(46);
    pub const NSEC: Self = Self(47);
    pub const DNSKEY: Self = Self(48);
    pub const TLSA: Self = Self(52);
    pub const SVCB: Self = Self(64);
    pub const HTTPS: Self = Self(65);
    pub const ANY: Self = Self(255);
    pub const URI: Self = Self(256);
    pub const CAA: Self = Self(257);
}

impl FromStr for RecordType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.to_ascii_uppercase()
            .parse::<Rtype>()
            .map(|rtype| RecordType(rtype.to_int()))
            .map_err(|_| format!("{text:?} is not a record type; use one such as A, TXT or TYPE65280"))
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&Rtype::from_int(self.0).to_string())
    }
}

serde_as_text!(RecordType);

/// What makes a record set one of a kind; `Model::record_id` writes it as `zone/name/TYPE`, the name
/// relative to the zone's apex. `Ord` is export order within a zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    pub zone: Id<Zone>,
    /// Absolute owner name.
    pub name: Name,
    pub rtype: RecordType,
}

/// Records of one name and type, served as they stand.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordSet {
    pub meta: Meta,
    pub zone: Id<Zone>,
    pub name: Name,
    pub rtype: RecordType,
    /// Seconds; `None` is the zone's default.
    pub ttl: Option<u32>,
    /// 1 to 400 values of type `rtype`, sorted by wire form, none twice.
    pub values: Vec<Rdata>,
    pub enabled: bool,
}

/// A record set as it is stored and as the API shows it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = RecordSet)]
pub struct RecordSetShown {
    #[serde(flatten)]
    pub meta: Meta,
    /// The zone's id.
    pub zone: String,
    /// The owner name: absolute, or relative to the zone where it is given.
    pub name: String,
    /// A mnemonic, or TYPEnnn (RFC 3597).
    #[serde(rename = "type")]
    pub rtype: String,
    /// Seconds; null is the zone's default.
    pub ttl: Option<u32>,
    /// In presentation form, 1 to 400.
    pub values: Vec<String>,
    pub enabled: bool,
}

impl<'de> Deserialize<'de> for RecordSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// As stored: values in presentation form.
        #[derive(Deserialize)]
        struct Stored {
            #[serde(flatten)]
            meta: Meta,
            zone: Id<Zone>,
            name: Name,
            #[serde(rename = "type")]
            rtype: RecordType,
            ttl: Option<u32>,
            values: Vec<String>,
            enabled: bool,
        }
        let Stored { meta, zone, name, rtype, ttl, values, enabled } = Stored::deserialize(deserializer)?;
        let values: Result<Vec<Rdata>, String> = values.iter().map(|text| Rdata::parse(rtype, text, None)).collect();
        let values = values.map_err(serde::de::Error::custom)?;
        Ok(RecordSet { meta, zone, name, rtype, ttl, values, enabled })
    }
}

impl Serialize for RecordSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let RecordSet { meta, zone, name, rtype, ttl, values, enabled } = self;
        let values = values.iter().map(|value| value.present(*rtype)).collect();
        let (zone, name) = (zone.to_string(), name.to_string());
        let shown = RecordSetShown {
            meta: meta.clone(),
            zone,
            name,
            rtype: rtype.to_string(),
            ttl: *ttl,
            values,
            enabled: *enabled,
        };
        shown.serialize(serializer)
    }
}

impl RecordSet {
    pub fn key(&self) -> RecordKey {
        RecordKey { zone: self.zone.clone(), name: self.name.clone(), rtype: self.rtype }
    }
}

impl Zone {
    pub(super) fn read(meta: Meta, fields: &mut Fields) -> Option<Self> {
        let fqdn: Option<Name> = fields.required("fqdn", "example.com.");
        let ns: Vec<Name> = fields.list("ns", MAX_NS);
        let primary = ns.first().cloned().or_else(|| fqdn.as_ref().map(|apex| below("ns1", apex)));
        let contact = fqdn.as_ref().map(|apex| below("hostmaster", apex));
        let soa = if fields.has("soa") {
            fields.object("soa", |soa| Soa::read(soa, primary, contact))
        } else {
            primary.zip(contact).map(|(mname, rname)| Soa { mname, rname, ..Soa::default_times() })
        };
        let default_ttl = fields.number("default_ttl", 1..=i64::from(MAX_TTL), 300) as u32;
        let serial = fields.number("serial", 0..=i64::from(u32::MAX), 0) as u32;
        Some(Zone { meta, fqdn: fqdn?, soa: soa?, default_ttl, ns, serial })
    }
}

/// `label` below `apex`; the apex itself where that would be too long for a name.
fn below(label: &str, apex: &Name) -> Name {
    Name::parse(label, Some(apex)).unwrap_or_else(|_| apex.clone())
}

impl Soa {
    /// Times that RFC 1912 section 2.2 recommends, but for a short negative TTL: names that appear
    /// should be seen soon.
    fn default_times() -> Self {
        Soa { mname: Name::root(), rname: Name::root(), refresh: 3600, retry: 600, expire: 1_209_600, minimum: 60 }
    }

    fn read(fields: &mut Fields, mname: Option<Name>, rname: Option<Name>) -> Option<Self> {
        let defaults = Self::default_times();
        let mname = if fields.has("mname") {
            fields.parse("mname")
        } else {
            fields.parse::<Name>("mname");
            mname
        };
        let rname = if fields.has("rname") {
            fields.parse("rname")
        } else {
            fields.parse::<Name>("rname");
            rname
        };
        let mut seconds = |name, range: std::ops::RangeInclusive<i64>, default: u32| {
            fields.number(name, range, i64::from(default)) as u32
        };
        let refresh = seconds("refresh", 1..=i64::from(MAX_TTL), defaults.refresh);
        let retry = seconds("retry", 1..=i64::from(MAX_TTL), defaults.retry);
        let expire = seconds("expire", 1..=31_536_000, defaults.expire);
        let minimum = seconds("minimum", 0..=86_400, defaults.minimum);
        Some(Soa { mname: mname?, rname: rname?, refresh, retry, expire, minimum })
    }
}
