//! What kept tests say to a change: which fail by it, and which failed already. Reads only.

use serde::{Deserialize, Serialize};

use crate::answer::{Snapshot, Verdict, rehearse};
use crate::model::{Change, FieldError, Kind};

/// How the kept tests come out after a change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rehearsal {
    pub total: usize,
    /// Those that fail by this change: they passed before, got something else, or are new.
    pub failing: Vec<Verdict>,
    /// Those that failed before and get the same as before: no fault of this change, and no reason to refuse it.
    pub failed_before: Vec<Verdict>,
}

impl Rehearsal {
    pub fn of(before: &Snapshot, after: &Snapshot, changes: &[Change]) -> Rehearsal {
        let verdicts = rehearse(after, after.model().tests.values());
        let total = verdicts.len();
        let failed: Vec<Verdict> = verdicts.into_iter().filter(|verdict| !verdict.passed).collect();
        let known = failed.iter().filter_map(|verdict| {
            let edited = changes.iter().any(|change| change.kind == Kind::Tests && change.id == verdict.test);
            before.model().tests.get(&verdict.test.parse().ok()?).filter(|_| !edited)
        });
        let known = rehearse(before, known);
        let (failed_before, failing) = failed.into_iter().partition(|verdict| known.contains(verdict));
        Rehearsal { total, failing, failed_before }
    }

    pub fn passed(&self) -> usize {
        self.total - self.failing.len() - self.failed_before.len()
    }

    /// Why a publication is refused.
    pub fn errors(&self) -> Vec<FieldError> {
        let remedy = "correct the change or the test, or publish despite the tests";
        self.failing.iter().map(|verdict| failure(verdict, remedy)).collect()
    }

    pub fn warnings(&self) -> Vec<FieldError> {
        self.failed_before.iter().map(|verdict| failure(verdict, "it failed before this change, too")).collect()
    }
}

fn failure(verdict: &Verdict, remedy: &str) -> FieldError {
    let problem = format!("fails: {}", verdict.because.trim_end_matches('.'));
    FieldError::new(format!("tests/{}", verdict.test), problem, remedy)
}
