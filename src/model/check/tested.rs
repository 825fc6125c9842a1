//! Kept tests: each asks for a name that is answered here. What it finds is told elsewhere.

use std::collections::BTreeSet;

use super::super::{Id, MAX_TESTS, Test};
use super::Kind;
use super::apply::Draft;
use super::zones::enclosing;

pub(super) fn check(draft: &mut Draft) {
    let kinds: BTreeSet<Kind> = draft.touched.entities.iter().map(|(kind, _)| *kind).collect();
    if !kinds.contains(&Kind::Tests) && !kinds.contains(&Kind::Zones) {
        return;
    }
    if draft.model.tests.len() > MAX_TESTS {
        let problem = format!("are {}", draft.model.tests.len());
        draft.error("tests", problem, format!("keep at most {MAX_TESTS}: all are run before every publication"));
    }
    let zones_went = draft.before.zones.keys().any(|id| !draft.model.zones.contains_key(id));
    let tests: Vec<(Id<Test>, std::sync::Arc<Test>)> = draft
        .model
        .tests
        .iter()
        .filter(|(id, _)| zones_went || draft.touched.has(Kind::Tests, id.as_str()))
        .map(|(id, test)| (id.clone(), test.clone()))
        .collect();
    for (id, test) in tests {
        if enclosing(draft, &test.qname, None).is_some() {
            continue;
        }
        let problem = format!("{} lies in no zone", test.qname);
        let remedy = match draft.touched.has(Kind::Tests, id.as_str()) {
            true => "name one of a zone here",
            false => "keep its zone, or delete the test in the same change",
        };
        draft.error(format!("tests/{id} qname"), problem, remedy);
    }
}
