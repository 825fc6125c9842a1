//! The dock of an editing page: what waits to be published, and the way to its review. A page has
//! `dock: Dock` in its context and `{% include "ui/_dock.html" %}` at its end.

use std::sync::Arc;

use super::change;
use super::text::{Text, count, fact, text};
use super::visit::Visit;
use crate::control::draft::Draft;

/// Sentences that the dock has room for.
const SHOWN: usize = 3;

/// Empty where nothing is drafted.
#[derive(Debug, Default)]
pub struct Dock {
    pub head: Option<Text>,
    pub sentences: Vec<Text>,
    /// What there is no room for.
    pub more: usize,
    /// What somebody published meanwhile, or what is wrong now.
    pub trouble: Option<Text>,
    /// The disk's own words.
    pub unsaved: Option<String>,
}

impl Dock {
    pub fn of(visit: &Visit, draft: &Arc<Draft>) -> Dock {
        if draft.is_empty() {
            return Dock::default();
        }
        let model = visit.model();
        let conflicts = draft.conflicts(&model).len();
        let checked = visit.web.control.checked_draft(draft);
        let (sentences, more) = match &*checked {
            Ok(checked) => change::briefly(&model, &checked.model, &checked.changes, SHOWN),
            Err(_) => (Vec::new(), 0),
        };
        let trouble = match (&*checked, conflicts) {
            (_, 1..) => Some(text("Somebody changed the same meanwhile. Your change is kept as a draft.")),
            (Err(errors), 0) => errors.first().map(|error| fact("error", error.to_string())),
            (Ok(_), 0) => None,
        };
        Dock {
            head: Some(count(draft.edits.len(), "{n} change not published yet:", "{n} changes not published yet:")),
            sentences,
            more,
            trouble,
            unsaved: draft.unsaved.clone(),
        }
    }
}
