//! What a conflict shows: who was faster and what they made of it, beside what the draft says.

use serde_json::Value;

use super::review::kind_word;
use crate::control::draft::{Conflict, Draft, Drafted};
use crate::model::{Change, Edit, Line, Model, Revision, lines};
use crate::web::Problem;
use crate::web::ui::text::{Text, text};
use crate::web::ui::visit::Visit;

/// Revisions that are searched for who deleted a thing.
const MAX_SEARCHED: usize = 20;
/// Conflicts that are shown at once; the others come as these are settled.
const MAX_SHOWN: usize = 20;

/// One thing that both changed.
pub struct Shown {
    pub kind: &'static str,
    pub word: Text,
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
        .say("kind", self.word.clone())
        .set("id", &self.id)
    }
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
            word: kind_word(mine.kind),
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
