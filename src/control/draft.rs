//! Drafts: what somebody is about to publish, kept from page to page and over restarts. Each author has one.
//! A draft is checked whole at every edit, so that it can be published unless somebody else was faster.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::model::{Checked, Edit, FieldError, Kind, Model};

use super::{Control, Refusal, now};

/// Edits that one draft may hold; an import of more is published at once.
pub const MAX_EDITS: usize = 20_000;

/// What one author has changed and not yet published.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Draft {
    pub author: String,
    /// In the order in which each thing was first touched.
    pub edits: Vec<Drafted>,
    pub changed: Option<Timestamp>,
}

/// One thing as the draft wants it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drafted {
    pub kind: Kind,
    pub id: String,
    /// `None` deletes it.
    pub value: Option<Value>,
    /// The thing as it was when it was first touched, `None` when it was not there: what a conflict is seen by.
    pub before: Option<Value>,
}

impl Draft {
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    pub fn edits(&self) -> Vec<Edit> {
        let edit =
            |Drafted { kind, id, value, .. }: &Drafted| Edit { kind: *kind, id: id.clone(), value: value.clone() };
        self.edits.iter().map(edit).collect()
    }

    pub fn of(&self, kind: Kind, id: &str) -> Option<&Drafted> {
        self.edits.iter().find(|drafted| drafted.kind == kind && drafted.id == id)
    }

    /// Takes edits in. One that leads back to what is live leaves the draft.
    fn take(&mut self, model: &Model, edits: Vec<Edit>) {
        for Edit { kind, id, value } in edits {
            let live = model.entity(kind, &id);
            let known = self.edits.iter().position(|drafted| drafted.kind == kind && drafted.id == id);
            if same(live.as_ref(), value.as_ref()) {
                known.map(|at| self.edits.remove(at));
            } else if let Some(at) = known {
                self.edits[at].value = value;
            } else {
                self.edits.push(Drafted { kind, id, value, before: live });
            }
        }
    }

    /// The things that somebody else published meanwhile: each with what it is now.
    pub fn conflicts(&self, model: &Model) -> Vec<(&Drafted, Option<Value>)> {
        let changed = self.edits.iter().map(|drafted| (drafted, model.entity(drafted.kind, &drafted.id)));
        changed.filter(|(drafted, live)| !same(live.as_ref(), drafted.before.as_ref())).collect()
    }
}

/// Equal but for what the server itself writes.
fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    let plain = |value: &Value| {
        let mut value = value.clone();
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|name, value| !matches!(name.as_str(), "id" | "rev" | "serial") && !value.is_null());
        }
        value
    };
    a.map(plain) == b.map(plain)
}

/// The drafts of everybody.
#[derive(Debug, Default)]
pub struct Drafts(Mutex<BTreeMap<String, Arc<Draft>>>);

impl Drafts {
    /// As the store kept them.
    pub fn load(kept: Vec<Value>) -> Drafts {
        let drafts = kept.into_iter().filter_map(|value| serde_json::from_value::<Draft>(value).ok());
        Drafts(Mutex::new(drafts.map(|draft| (draft.author.clone(), Arc::new(draft))).collect()))
    }
}

impl Control {
    pub async fn draft(&self, author: &str) -> Arc<Draft> {
        self.shared().drafts.0.lock().await.get(author).cloned().unwrap_or_default()
    }

    /// Adds edits to the author's draft: all of them, durably, or none with every error.
    pub async fn edit_draft(&self, author: &str, edits: Vec<Edit>) -> Result<Arc<Draft>, Refusal> {
        let model = self.model();
        self.change_draft(author, move |draft| {
            draft.take(&model, edits);
            if draft.edits.len() > MAX_EDITS {
                let problem = format!("a draft of {} changes", draft.edits.len());
                return Err(vec![FieldError::new("", problem, format!("publish at most {MAX_EDITS} at once"))]);
            }
            tokio::task::block_in_place(|| model.check(&draft.edits())).map(drop)
        })
        .await
    }

    /// Takes one thing, or everything, out of the draft.
    pub async fn discard_draft(&self, author: &str, what: Option<(Kind, &str)>) -> Result<Arc<Draft>, Refusal> {
        self.change_draft(author, |draft| {
            draft.edits.retain(|drafted| what.is_some_and(|what| what != (drafted.kind, &*drafted.id)));
            Ok(())
        })
        .await
    }

    /// The model as it would be with the draft.
    pub async fn drafted(&self, author: &str) -> Result<Arc<Model>, Vec<FieldError>> {
        let (draft, model) = (self.draft(author).await, self.model());
        if draft.is_empty() {
            return Ok(model);
        }
        let checked: Checked = tokio::task::block_in_place(|| model.check(&draft.edits()))?;
        Ok(Arc::new(checked.model))
    }

    async fn change_draft(
        &self,
        author: &str,
        change: impl FnOnce(&mut Draft) -> Result<(), Vec<FieldError>>,
    ) -> Result<Arc<Draft>, Refusal> {
        let mut drafts = self.shared().drafts.0.lock().await;
        let mut draft = drafts.get(author).map(|draft| Draft::clone(draft)).unwrap_or_default();
        change(&mut draft).map_err(Refusal::Invalid)?;
        draft.author = author.into();
        draft.changed = Some(now());
        let kept = (!draft.is_empty()).then(|| serde_json::to_value(&draft).unwrap_or_default());
        let owner = author.to_owned();
        self.keeper.run(move |keeper| keeper.store.put_draft(&owner, kept.as_ref())).await?;
        let draft = Arc::new(draft);
        match draft.is_empty() {
            true => drafts.remove(author),
            false => drafts.insert(author.into(), draft.clone()),
        };
        Ok(draft)
    }
}
