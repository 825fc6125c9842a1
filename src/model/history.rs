//! Revisions and the audit log: what was published and what was done, by whom, and why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Change;

/// One publication. Immutable; undone only by a later one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Revision {
    /// 1, 2, 3 … without a gap.
    pub number: u64,
    #[schema(value_type = String)]
    pub at: Timestamp,
    pub author: String,
    pub message: String,
    /// The difference in words.
    pub sentences: Vec<String>,
    pub changes: Vec<Change>,
    /// SHA-256, in hex, of the canonical JSON of the whole model after this revision.
    pub sha256: String,
}

/// One administrative act. `hash` covers every other field and the previous entry's hash, so that no
/// entry can be changed or dropped unseen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditEntry {
    pub sequence: u64,
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// A user, a token's name, or `command line`.
    pub actor: String,
    /// The address the request came from, where there is one.
    pub address: Option<String>,
    /// e.g. `publish`, `drain`, `approve failback`, `create token`.
    pub action: String,
    /// What it was done to, e.g. `pools/eu-west`.
    pub subject: String,
    pub before: Option<serde_json::Value>,
    pub after: Option<serde_json::Value>,
    pub reason: String,
    pub revision: Option<u64>,
    /// Hex; 64 zeros before the first entry.
    pub previous_hash: String,
    pub hash: String,
}
