//! What a conflict shows: who was faster and what they made of it, beside what the draft says.

use serde_json::Value;

use crate::control::draft::{Conflict, Draft, Drafted};
use crate::model::{Change, Kind, Model, Revision};
use crate::web::Problem;
use crate::web::ui::change::{Row, side_by_side};
use crate::web::ui::clash::changed;
use crate::web::ui::names;
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
    /// What each of the two made of it, field by field.
    pub rows: Vec<Row>,
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
        let all = [mine.before.as_ref(), theirs.as_ref(), mine.value.as_ref()];
        found.push(Shown {
            kind: mine.kind.as_str(),
            head: changed(by.as_ref(), theirs.is_none(), (mine.kind, &mine.id), visit.now),
            by,
            rows: side_by_side(&model, mine.kind, all),
            may_merge: merged.is_some(),
            id: mine.id.clone(),
        });
    }
    Ok(found)
}

/// On the page of a thing that the visitor has drafted: who published another one meanwhile.
pub async fn notice(visit: &Visit, draft: &Draft) -> Option<Text> {
    let (model, path) = (visit.model(), visit.here.split('?').next().unwrap_or_default());
    let shown: Vec<Drafted> = draft.edits.iter().filter(|drafted| is_on(&model, drafted, path)).cloned().collect();
    let shown = Draft { edits: shown, ..Draft::default() };
    let Conflict { mine, theirs, .. } = shown.conflicts(&model).into_iter().next()?;
    let by = faster(visit, &mine, theirs.as_ref()).await.ok()?;
    Some(changed(by.as_ref(), theirs.is_none(), (mine.kind, &mine.id), visit.now))
}

/// True when `path` is a page of the thing.
fn is_on(model: &Model, drafted: &Drafted, path: &str) -> bool {
    let id = &drafted.id;
    let under = |page: &str| path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match drafted.kind {
        Kind::Pools | Kind::Regions | Kind::Monitors | Kind::Zones => under(&format!("/{}/{id}", drafted.kind)),
        Kind::Endpoints => path.split_once("/endpoints/").is_some_and(|(_, rest)| rest.split('/').next() == Some(id)),
        Kind::Policies => {
            let policy = id.parse().ok().and_then(|id| model.policies.get(&id));
            policy.is_some_and(|policy| policy.attach.iter().any(|attach| under(&names::path(&attach.name))))
        }
        Kind::Records | Kind::Tests => false,
    }
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
