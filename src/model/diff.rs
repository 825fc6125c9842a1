//! What changed, in sentences that an operator can check.

use super::{Change, Model};

/// One sentence per difference, most important first.
pub fn sentences(_before: &Model, _after: &Model, _changes: &[Change]) -> Vec<String> {
    Vec::new()
}
