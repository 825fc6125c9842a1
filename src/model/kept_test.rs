//! Kept tests: "this client, asking this, gets this", kept with the configuration and run before every
//! publication. What a test finds is told by `answer::rehearse`.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::field::{Fields, Plain};
use super::place::{parse_network, serde_as_text};
use super::{Id, Meta, Name, Pool, Rdata, RecordType};

/// The most tests: all of them are run before every publication.
pub const MAX_TESTS: usize = 1_000;
/// Pools, or values, that one test names.
const MAX_NAMED: usize = 32;

/// Exactly one of `expect`, `expect_answers` and `expect_nothing` is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Test {
    #[serde(flatten)]
    pub meta: Meta,
    /// Absolute; in a zone of ours.
    #[schema(value_type = String)]
    pub qname: Name,
    #[serde(rename = "type")]
    #[schema(value_type = String, required = false)]
    pub rtype: RecordType,
    /// An address or a network, such as 203.0.113.77 or 203.0.113.0/24.
    #[schema(value_type = String)]
    pub client: Asker,
    #[schema(required = false)]
    pub via: Via,
    /// Pools that are taken for down. Every other is taken for healthy, so that a test depends on nothing but the
    /// configuration.
    #[schema(value_type = Vec<String>, required = false)]
    pub down: Vec<Id<Pool>>,
    /// Any of these pools answers, and no other can.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub expect: Vec<Id<Pool>>,
    /// Exactly these records are answered, in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect_answers: Vec<String>,
    /// No record is answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expect_nothing: bool,
}

/// How the client is known: by the subnet that its resolver sends, or as the resolver itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    #[default]
    Subnet,
    Resolver,
}

/// Who asks in a test: one address or a whole network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker(pub IpNet);

impl Asker {
    pub fn is_address(&self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }
}

impl FromStr for Asker {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither an address nor a network; use one such as 203.0.113.77");
        match parse_network(text) {
            Ok(network) => Ok(Asker(network)),
            Err(error) if text.parse::<IpNet>().is_ok() => Err(error),
            Err(_) => Err(wrong()),
        }
    }
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_address() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

serde_as_text!(Asker);

impl Test {
    pub(super) fn read(meta: Meta, fields: &mut Fields) -> Option<Self> {
        let qname: Option<Name> = fields.required("qname", "www.example.com.");
        let rtype = match fields.has("type") {
            true => fields.parse("type"),
            false => Some(RecordType::A),
        };
        let client = fields.required("client", "203.0.113.77");
        let via = fields.word("via");
        let down: Vec<Id<Pool>> = fields.list("down", MAX_NAMED);
        let expect: Vec<Id<Pool>> = fields.list("expect", MAX_NAMED);
        let texts: Vec<Plain> = fields.list("expect_answers", MAX_NAMED);
        let mut expect_answers = Vec::with_capacity(texts.len());
        for (i, Plain(text)) in texts.iter().enumerate() {
            match rtype.map(|rtype| (rtype, Rdata::parse(rtype, text, None))) {
                Some((rtype, Ok(value))) => expect_answers.push(value.present(rtype)),
                Some((_, Err(error))) => {
                    let (problem, remedy) = error.split_once("; ").unwrap_or((&error, "correct it"));
                    fields.error(&format!("expect_answers[{i}]"), problem, remedy);
                }
                None => {}
            }
        }
        expect_answers.sort();
        expect_answers.dedup();
        let expect_nothing = fields.flag("expect_nothing", false);
        let given = [fields.has("expect"), fields.has("expect_answers"), expect_nothing];
        let remedy = "give one of expect (pools), expect_answers (records) and expect_nothing";
        match given.iter().filter(|given| **given).count() {
            0 => fields.error("expect", "is missing", remedy),
            1 => {}
            _ => fields.error("expect", "is said in several ways", remedy),
        }
        if given[0] && expect.is_empty() {
            fields.error("expect", "names no pool", "name at least one, or set expect_nothing");
        }
        for pool in expect.iter().filter(|pool| down.contains(pool)) {
            let problem = format!("{pool} is both expected and down");
            fields.error("down", problem, "a pool that is down answers only as a last resort; take it out of one");
        }
        Some(Test {
            meta,
            qname: qname?,
            rtype: rtype?,
            client: client?,
            via,
            down,
            expect,
            expect_answers,
            expect_nothing,
        })
    }

    /// What is asked for, as people say it: `www.example.com A`.
    pub fn question(&self) -> String {
        let name = self.qname.to_string();
        format!("{} {}", name.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(&name), self.rtype)
    }

    /// What must come, as people say it: `pool us-west`, `192.0.2.1`, `no record`.
    pub fn expectation(&self) -> String {
        let join = |words: Vec<String>| words.join(" or ");
        if self.expect_nothing {
            "no record".to_owned()
        } else if self.expect.is_empty() {
            self.expect_answers.join(", ")
        } else {
            format!("pool {}", join(self.expect.iter().map(ToString::to_string).collect()))
        }
    }
}
