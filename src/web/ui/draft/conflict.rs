//! What a conflict shows: who was faster and what they made of it, beside what the draft says.

use crate::control::draft::{Conflict, Draft};
use crate::model::{Change, Edit, Line, Model, Revision, lines};
use crate::web::Problem;
use crate::web::ui::text::{Text, text};
use crate::web::ui::visit::Visit;

/// Revisions that are searched for who changed a thing.
const MAX_SEARCHED: usize = 100;

/// One thing that both changed.
pub struct Shown {
    pub kind: &'static str,
    pub word: &'static str,
    pub id: String,
    /// Who, when and in which version.
    pub by: Option<Revision>,
    pub theirs: Vec<Line>,
    pub mine: Vec<Line>,
    pub may_merge: bool,
}

impl Shown {
    pub fn head(&self) -> Text {
        match &self.by {
            Some(by) => text("{who} changed {kind} {id} in version {n}.").set("who", &by.author).set("n", by.number),
            None => text("{kind} {id} was changed meanwhile."),
        }
        .set("kind", self.word)
        .set("id", &self.id)
    }
}

pub async fn shown(visit: &Visit, draft: &Draft) -> Result<Vec<Shown>, Problem> {
    let model = visit.model();
    let conflicts = draft.conflicts(&model);
    if conflicts.is_empty() {
        return Ok(Vec::new());
    }
    let mut revisions = visit.web.control.revisions(None, MAX_SEARCHED).await?;
    let found = conflicts.into_iter().map(|conflict| {
        let Conflict { mine, theirs, merged } = conflict;
        let touches = |change: &Change| change.kind == mine.kind && change.id == mine.id;
        let by = revisions.iter_mut().find(|revision| revision.changes.iter().any(touches)).map(|revision| Revision {
            // Only who and when are shown.
            changes: Vec::new(),
            ..revision.clone()
        });
        let with = |value: &Option<serde_json::Value>| {
            let edit = Edit { kind: mine.kind, id: mine.id.clone(), value: value.clone() };
            model.check(&[edit]).map(|checked| checked.model).unwrap_or_else(|_| Model::clone(&model))
        };
        let (was, wanted) = (with(&mine.before), with(&mine.value));
        let change = |after: &Option<serde_json::Value>| Change {
            kind: mine.kind,
            id: mine.id.clone(),
            before: mine.before.clone(),
            after: after.clone(),
        };
        Shown {
            kind: mine.kind.as_str(),
            word: mine.kind.singular(),
            by,
            theirs: lines(&was, &model, &change(&theirs)),
            mine: lines(&was, &wanted, &change(&mine.value)),
            may_merge: merged.is_some(),
            id: mine.id.clone(),
        }
    });
    Ok(found.collect())
}
