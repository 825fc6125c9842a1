//! API tokens: who may do what. Only a token's hash is kept. Decides; reads no clock and no disk.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::model::Kind;

/// What every token begins with, so that leaked ones can be found by scanners.
const PREFIX: &str = "nth_";
/// Bytes of chance in a token.
pub const SECRET_BYTES: usize = 32;

/// Each role may do what the one before it may. Viewer: read. Operator: drain, approve, force.
/// Editor: change and publish. Admin: tokens, backup.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    #[default]
    Viewer,
    Operator,
    Editor,
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Editor => "editor",
            Role::Admin => "admin",
        })
    }
}

/// A token as it is kept and listed; the secret itself is shown once, when it is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Token {
    /// `[a-z0-9-]{1,63}`; stands as the actor in events and audit.
    pub id: String,
    pub role: Role,
    /// Networks it may be used from; empty is everywhere.
    #[schema(value_type = Vec<String>)]
    pub allow_from: Vec<IpNet>,
    #[schema(value_type = String)]
    pub created: Timestamp,
    /// `None` never ends.
    #[schema(value_type = Option<String>)]
    pub expires: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Scope::is_everything")]
    pub scope: Scope,
    /// SHA-256 of the secret, in hex. A secret of 256 random bits needs no slow hash.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

/// Which parts of the configuration a token is for. Empty lists are no limit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Scope {
    /// Kinds of things, such as `records` and `pools`.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// Ids of zones: then only these zones and their records.
    #[serde(default)]
    pub zones: Vec<String>,
}

impl Scope {
    pub fn is_everything(&self) -> bool {
        self.kinds.is_empty() && self.zones.is_empty()
    }

    /// Whether a route of the API is within it. `part` is the path's word after `/api/v1/`. What shows or changes
    /// all parts at once, such as the history, is for tokens without a limit. Edits are checked one by one, lists hold
    /// only what is within it, and an export looks for its zone first.
    pub fn admits_path(&self, part: &str, path: &str) -> Result<(), String> {
        if self.is_everything() || matches!(part, "publish" | "preview" | "import" | "export") {
            return Ok(());
        }
        let mut words = path.trim_start_matches("/api/v1/").split('/').skip(1);
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == part);
        let Some(kind) = kind else { return Err(format!("is for {} only; take one without a scope", self.said())) };
        match words.next().filter(|word| !word.is_empty()) {
            None => self.admits_kind(kind),
            Some(id) => self.admits(kind, id),
        }
    }

    /// Whether a thing is within it.
    pub fn admits(&self, kind: Kind, id: &str) -> Result<(), String> {
        self.admits_kind(kind)?;
        let zone = id.split('/').next().unwrap_or_default();
        match self.zones.is_empty() || self.zones.iter().any(|known| known == zone) {
            true => Ok(()),
            false => Err(format!("is for {} only; take one for this zone", self.said())),
        }
    }

    fn admits_kind(&self, kind: Kind) -> Result<(), String> {
        let has_zone = matches!(kind, Kind::Zones | Kind::Records);
        match (self.kinds.is_empty() || self.kinds.contains(&kind)) && (self.zones.is_empty() || has_zone) {
            true => Ok(()),
            false => Err(format!("is for {} only; take one for {}", self.said(), kind.as_str())),
        }
    }

    /// In words: `records of example`.
    pub fn said(&self) -> String {
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.as_str()).collect();
        match (kinds.join(", "), self.zones.join(", ")) {
            (kinds, zones) if kinds.is_empty() && zones.is_empty() => "everything".to_owned(),
            (kinds, zones) if zones.is_empty() => kinds,
            (kinds, zones) if kinds.is_empty() => format!("the zones {zones}"),
            (kinds, zones) => format!("{kinds} of {zones}"),
        }
    }
}

/// When a token was used last, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Use {
    pub at: Timestamp,
    pub address: Option<IpAddr>,
}

impl Token {
    /// Without what only the store should see.
    pub fn listed(&self) -> Token {
        Token { hash: String::new(), ..self.clone() }
    }
}

/// The text of a token from its random bytes.
pub fn secret_text(bytes: &[u8; SECRET_BYTES]) -> String {
    format!("{PREFIX}{}", hex(bytes))
}

/// What is kept of a token's text.
pub fn secret_hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// The token that `secret` opens from `address` at `now`, or why none does.
pub fn authenticate<'t>(
    tokens: impl IntoIterator<Item = &'t Token>,
    secret: &str,
    address: Option<IpAddr>,
    now: Timestamp,
) -> Result<&'t Token, &'static str> {
    let hash = secret_hash(secret);
    let token = tokens
        .into_iter()
        .find(|token| bool::from(token.hash.as_bytes().ct_eq(hash.as_bytes())))
        .ok_or("the token is not known; ask an admin for a new one")?;
    if token.expires.is_some_and(|end| end <= now) {
        return Err("the token has expired; ask an admin for a new one");
    }
    let from_here = |network: &IpNet| address.is_some_and(|address| network.contains(&address));
    if !token.allow_from.is_empty() && !token.allow_from.iter().any(from_here) {
        return Err("the token may not be used from this address; use it from one of its networks");
    }
    Ok(token)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(secret: &str) -> Token {
        Token {
            id: "ci".into(),
            role: Role::Editor,
            allow_from: vec!["10.0.0.0/8".parse().unwrap()],
            created: Timestamp::UNIX_EPOCH,
            expires: Some(Timestamp::from_second(1000).unwrap()),
            scope: Scope::default(),
            hash: secret_hash(secret),
        }
    }

    #[test]
    fn a_token_opens_only_with_its_secret_place_and_time() {
        let tokens = [token("nth_right")];
        let here = Some("10.1.2.3".parse().unwrap());
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(authenticate(&tokens, "nth_right", here, at(999)).unwrap().id, "ci");
        assert!(authenticate(&tokens, "nth_wrong", here, at(999)).unwrap_err().contains("not known"));
        assert!(authenticate(&tokens, "nth_right", here, at(1000)).unwrap_err().contains("expired"));
        assert!(
            authenticate(&tokens, "nth_right", Some("11.0.0.1".parse().unwrap()), at(1))
                .unwrap_err()
                .contains("address")
        );
        assert!(authenticate(&tokens, "nth_right", None, at(1)).is_err());
    }

    #[test]
    fn a_scope_limits_paths_and_edits() {
        let scope = |kinds: &[Kind], zones: &[&str]| Scope {
            kinds: kinds.to_vec(),
            zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
        };
        let cases = [
            (scope(&[], &[]), "tokens", "/api/v1/tokens", true),
            (scope(&[Kind::Records], &[]), "tokens", "/api/v1/tokens", false),
            (scope(&[Kind::Records], &[]), "audit", "/api/v1/audit", false),
            (scope(&[Kind::Records], &[]), "records", "/api/v1/records", true),
            (scope(&[Kind::Records], &[]), "zones", "/api/v1/zones/example", false),
            (scope(&[Kind::Pools], &[]), "pools", "/api/v1/pools/eu/drain", true),
            (scope(&[], &["example"]), "records", "/api/v1/records/example/www/A", true),
            (scope(&[], &["example"]), "records", "/api/v1/records/other/www/A", false),
            (scope(&[], &["example"]), "records", "/api/v1/records", true),
            (scope(&[], &["example"]), "document", "/api/v1/document/preview", false),
            (scope(&[Kind::Records], &["example"]), "zones", "/api/v1/zones", false),
            (scope(&[Kind::Records], &["example"]), "export", "/api/v1/export/example.test", true),
            (scope(&[], &["example"]), "pools", "/api/v1/pools", false),
            (scope(&[Kind::Records], &["example"]), "zones", "/api/v1/zones/example", false),
            (scope(&[Kind::Records], &["example"]), "publish", "/api/v1/publish", true),
        ];
        for (scope, part, path, admitted) in cases {
            assert_eq!(scope.admits_path(part, path).is_ok(), admitted, "{} at {path}", scope.said());
        }
        let acme = scope(&[Kind::Records], &["example"]);
        acme.admits(Kind::Records, "example/_acme-challenge/TXT").unwrap();
        assert!(acme.admits(Kind::Records, "other/www/A").is_err());
        assert!(acme.admits(Kind::Zones, "example").is_err());
    }

    #[test]
    fn each_role_may_do_what_the_one_before_may() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Editor && Role::Editor < Role::Admin);
    }
}
