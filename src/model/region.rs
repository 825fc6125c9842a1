//! Regions: named sets of clients, by place, network or AS number.

use serde::{Deserialize, Serialize};

use super::Meta;
use super::field::Fields;
use super::place::Token;

/// The most tokens of one region, includes and excepts each.
pub const MAX_TOKENS: usize = 2_000;
/// The deepest chain of `region:` tokens.
pub const MAX_NESTING: usize = 4;

/// A client matches when it matches any `include` and no `except`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Region {
    #[serde(flatten)]
    pub meta: Meta,
    /// `continent:EU`, `country:DE`, `subdivision:US-CA`, `asn:3320`, `cidr:203.0.113.0/24`,
    /// `region:ID` or `unknown`.
    #[schema(value_type = Vec<String>)]
    pub include: Vec<Token>,
    #[schema(value_type = Vec<String>)]
    #[serde(default)]
    pub except: Vec<Token>,
}

impl Region {
    pub(super) fn read(meta: Meta, fields: &mut Fields) -> Option<Self> {
        let include: Vec<Token> = fields.list("include", MAX_TOKENS);
        if !fields.has("include") {
            fields.error("include", "is missing", "give at least one token such as \"continent:EU\"");
        }
        let except = fields.list("except", MAX_TOKENS);
        Some(Region { meta, include, except })
    }
}
