//! Revisions and the audit log: what was published and what was done, by whom, and why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

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
    /// SHA-256, in hex, over the previous revision's (empty for the first) and the JSON of this one's changes, so
    /// that the newest stands for the whole history.
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
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub reason: String,
    pub revision: Option<u64>,
    /// Hex; 64 zeros before the first entry.
    pub previous_hash: String,
    pub hash: String,
}

/// What is to be recorded; `seal` gives it its place in the chain.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AuditDraft {
    pub at: Timestamp,
    pub actor: String,
    pub address: Option<String>,
    pub action: String,
    pub subject: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub reason: String,
    pub revision: Option<u64>,
}

/// The entry that follows `previous`, the newest there is.
pub fn seal(previous: Option<&AuditEntry>, draft: AuditDraft) -> AuditEntry {
    let mut entry = AuditEntry {
        sequence: previous.map_or(1, |entry| entry.sequence + 1),
        at: draft.at,
        actor: draft.actor,
        address: draft.address,
        action: draft.action,
        subject: draft.subject,
        before: draft.before,
        after: draft.after,
        reason: draft.reason,
        revision: draft.revision,
        previous_hash: previous.map_or_else(|| "0".repeat(64), |entry| entry.hash.clone()),
        hash: String::new(),
    };
    entry.hash = entry.computed_hash();
    entry
}

impl AuditEntry {
    /// What `hash` has to be: SHA-256, in hex, of the canonical JSON of every other field.
    pub fn computed_hash(&self) -> String {
        let mut fields = serde_json::to_value(self).expect("an audit entry has only string keys");
        if let Value::Object(fields) = &mut fields {
            fields.remove("hash");
        }
        sha256(canonical(&fields).as_bytes())
    }

    /// What is wrong with this entry as the successor of `previous`, if anything is.
    pub fn fault_after(&self, previous: &AuditEntry) -> Option<String> {
        if self.sequence != previous.sequence + 1 {
            return Some(format!("entry {} follows entry {}: entries are missing", self.sequence, previous.sequence));
        }
        if self.previous_hash != previous.hash {
            return Some(format!("entry {} was not written after this entry {}", self.sequence, previous.sequence));
        }
        self.fault()
    }

    /// What is wrong with this entry in itself, if anything is.
    pub fn fault(&self) -> Option<String> {
        (self.hash != self.computed_hash())
            .then(|| format!("entry {} was changed after it was written: its hash does not fit", self.sequence))
    }
}

/// JSON without blanks and with the keys of every object in order: one text for one value.
pub fn canonical(value: &Value) -> String {
    sorted(value).to_string()
}

/// Whatever order serde_json keeps: a dependency can switch its feature `preserve_order` on for everybody.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_unstable();
            Value::Object(names.into_iter().map(|name| (name.clone(), sorted(&fields[name]))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chain() -> Vec<AuditEntry> {
        let mut entries: Vec<AuditEntry> = Vec::new();
        for number in 0..4 {
            let draft = AuditDraft {
                actor: "ada".into(),
                action: "publish".into(),
                after: Some(json!({"weight": 0.1 + f64::from(number), "a": "é"})),
                revision: Some(7),
                ..AuditDraft::default()
            };
            entries.push(seal(entries.last(), draft));
        }
        entries
    }

    #[test]
    fn a_sealed_chain_has_no_fault() {
        let entries = chain();
        assert_eq!(entries[0].sequence, 1);
        assert_eq!(entries[0].previous_hash, "0".repeat(64));
        assert_eq!(entries[0].fault(), None);
        for pair in entries.windows(2) {
            assert_eq!(pair[1].fault_after(&pair[0]), None);
        }
    }

    #[test]
    fn a_chain_that_went_through_json_has_no_fault() {
        for entry in chain() {
            let text = serde_json::to_string(&entry).unwrap();
            let read: AuditEntry = serde_json::from_str(&text).unwrap();
            assert_eq!(read.fault(), None);
        }
    }

    #[test]
    fn every_edited_field_is_found() {
        let entries = chain();
        let whole = serde_json::to_value(&entries[1]).unwrap();
        for field in whole.as_object().unwrap().keys() {
            let mut edited = whole.clone();
            edited[field] = match field.as_str() {
                "sequence" | "revision" => json!(99),
                "at" => json!("2001-01-01T00:00:00Z"),
                _ => json!("edited"),
            };
            let edited: AuditEntry = serde_json::from_value(edited).unwrap();
            assert!(edited.fault_after(&entries[0]).is_some(), "{field}");
        }
    }

    #[test]
    fn a_dropped_entry_is_found() {
        let entries = chain();
        assert!(entries[2].fault_after(&entries[0]).is_some());
    }

    #[test]
    fn canonical_json_is_sorted() {
        let value: Value = serde_json::from_str(r#"{"b": 1, "a": {"d": 2, "c": [1.5, null]}}"#).unwrap();
        assert_eq!(canonical(&value), r#"{"a":{"c":[1.5,null],"d":2},"b":1}"#);
    }
}
