//! What a conflict shows: who was faster and what they made of it, beside what the draft says.

use serde_json::Value;

use crate::control::draft::{Conflict, Draft, Drafted};
use crate::model::{Change, Edit, Line, Model, Revision, lines};
use crate::web::Problem;
use crate::web::ui::clash::changed;
use crate::web::ui::text::Text;
use crate::web::ui::visit::Visit;

/// Revisions that are searched for who deleted a thing.
const MAX_SEARCHED: usize = 20;
/// Conflicts that are shown at once; the others come as these are settled.
const MAX_SHOWN: usize = 20;

/// One thing that both changed.
pub struct Shown {
    pub kind: &'static str,
    pub id: String,
    pub head: Text,
    /// Who, when and in which version.
    pub by: Option<Revision>,
    pub theirs: Vec<Line>,
    pub mine: Vec<Line>,
    pub may_merge: bool,
}

pub async fn shown(visit: &Visit, draft: &Draft) -> Result<Vec<Shown>, Problem> {
    let model = visit.model();
    let conflicts = draft.conflicts(&model);
    if conflicts.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for Conflict { mine, theirs, merged } in conflicts.into_iter().take(MAX_SHOWN) {
        let by = faster(visit, &mine, theirs.as_ref()).await?;
        let with = |value: &Option<Value>| {
            let edit = Edit { kind: mine.kind, id: mine.id.clone(), value: value.clone() };
            model.check(&[edit]).map(|checked| checked.model).unwrap_or_else(|_| Model::clone(&model))
        };
        let (was, wanted) = (with(&mine.before), with(&mine.value));
        let change = |after: &Option<Value>| Change {
            kind: mine.kind,
            id: mine.id.clone(),
            before: mine.before.clone(),
            after: after.clone(),
        };
        found.push(Shown {
            kind: mine.kind.as_str(),
            head: changed(by.as_ref(), theirs.is_none(), (mine.kind, &mine.id), visit.now),
            by,
            theirs: lines(&was, &model, &change(&theirs)),
            mine: lines(&was, &wanted, &change(&mine.value)),
            may_merge: merged.is_some(),
            id: mine.id.clone(),
        });
    }
    Ok(found)
}

/// Who changed it last: what there is says in which version; what is gone is searched for.
async fn faster(visit: &Visit, mine: &Drafted, theirs: Option<&Value>) -> Result<Option<Revision>, Problem> {
    let control = &visit.web.control;
    if let Some(number) = theirs.and_then(|value| value.get("rev")?.as_u64()) {
        return Ok(control.revision(number).await?);
    }
    let touches = |change: &Change| change.kind == mine.kind && change.id == mine.id;
    for number in (1..=visit.model().revision).rev().take(MAX_SEARCHED) {
        let found = control.revision(number).await?;
        if let Some(found) = found.filter(|revision| revision.changes.iter().any(touches)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
