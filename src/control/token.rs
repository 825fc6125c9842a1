//! API tokens: who may do what. Only a token's hash is kept. Decides; reads no clock and no disk.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

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
    /// SHA-256 of the secret, in hex. A secret of 256 random bits needs no slow hash.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
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
    fn each_role_may_do_what_the_one_before_may() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Editor && Role::Editor < Role::Admin);
    }
}
