//! Drafts: what somebody is about to publish, kept from page to page and over restarts. Each author has one.
//! A draft is checked whole at every edit, so that it can be published unless somebody else was faster. What
//! then is in the way is told here; `merge` says what fits together.

mod merge;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{Change, Checked, Edit, FieldError, Kind, Model};

use super::{Author, Control, Expect, Publication, Published, Refusal, Tests, now, to_its_end};
pub use merge::merged;

/// Edits that one draft may hold; an import of more is published at once.
pub const MAX_EDITS: usize = 20_000;
/// The largest draft as JSON, the largest body of a request; well below what is read back at a start.
const MAX_BYTES: usize = 64 << 20;

/// What one author has changed and not yet published.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Draft {
    pub author: String,
    /// In the order in which each thing was first touched.
    pub edits: Vec<Drafted>,
    pub changed: Option<Timestamp>,
    /// Why the last change is only in memory: the disk refused it. Nothing that was typed is lost while the
    /// server runs.
    #[serde(skip)]
    pub unsaved: Option<String>,
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
    /// When the author edited it last, as `Draft::changed`: what an older form of theirs is told by.
    #[serde(default)]
    pub touched: Option<Timestamp>,
}

/// A thing of the draft that somebody else published meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    pub mine: Drafted,
    /// What it is now; `None` when it was deleted.
    pub theirs: Option<Value>,
    /// Both together, where they touch different fields.
    pub merged: Option<Value>,
}

/// How a conflict is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    Theirs,
    Mine,
    Merged,
}

impl Drafted {
    pub fn edit(&self) -> Edit {
        Edit { kind: self.kind, id: self.id.clone(), value: self.value.clone() }
    }
}

impl Draft {
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    pub fn edits(&self) -> Vec<Edit> {
        self.edits.iter().map(Drafted::edit).collect()
    }

    pub fn of(&self, kind: Kind, id: &str) -> Option<&Drafted> {
        self.edits.iter().find(|drafted| drafted.kind == kind && drafted.id == id)
    }

    /// Takes edits in, made at `at`. One that leads back to what is live leaves the draft.
    fn take(&mut self, model: &Model, edits: Vec<Edit>, at: Timestamp) {
        let mut known: BTreeMap<(Kind, String), usize> = BTreeMap::new();
        for (at, drafted) in self.edits.iter().enumerate() {
            known.insert((drafted.kind, drafted.id.clone()), at);
        }
        for Edit { kind, id, value } in edits {
            match known.get(&(kind, id.clone())).and_then(|at| self.edits.get_mut(*at)) {
                Some(drafted) => (drafted.value, drafted.touched) = (value, Some(at)),
                None => {
                    known.insert((kind, id.clone()), self.edits.len());
                    let before = model.entity(kind, &id);
                    self.edits.push(Drafted { kind, id, value, before, touched: Some(at) });
                }
            }
        }
        self.edits.retain(|drafted| !is_live(model, drafted));
    }

    /// Writes every field out as the checked draft has it, so that a default that was left out is no difference.
    fn write_out(&mut self, live: &Model, checked: &Model) {
        for drafted in self.edits.iter_mut().filter(|drafted| drafted.value.is_some()) {
            drafted.value = checked.entity(drafted.kind, &drafted.id).or(drafted.value.take());
        }
        self.edits.retain(|drafted| !is_live(live, drafted));
    }

    /// The things that somebody else published meanwhile, unless both want the same.
    pub fn conflicts(&self, model: &Model) -> Vec<Conflict> {
        let conflict = |mine: &Drafted| {
            let theirs = model.entity(mine.kind, &mine.id);
            if same(theirs.as_ref(), mine.before.as_ref()) || same(theirs.as_ref(), mine.value.as_ref()) {
                return None;
            }
            let merged = match (&mine.before, &mine.value, &theirs) {
                (Some(before), Some(value), Some(theirs)) => merged(before, value, theirs),
                _ => None,
            };
            Some(Conflict { mine: mine.clone(), theirs, merged })
        };
        self.edits.iter().filter_map(conflict).collect()
    }

    fn settle(&mut self, model: &Model, kind: Kind, id: &str, how: Settle, at: Timestamp) {
        let merged = self.conflicts(model).into_iter().find(|c| c.mine.kind == kind && c.mine.id == id);
        let Some(conflict) = merged else { return };
        if how == Settle::Theirs {
            return self.edits.retain(|drafted| drafted.kind != kind || drafted.id != id);
        }
        if let Some(drafted) = self.edits.iter_mut().find(|drafted| drafted.kind == kind && drafted.id == id) {
            (drafted.before, drafted.touched) = (conflict.theirs, Some(at));
            if let (Settle::Merged, Some(merged)) = (how, conflict.merged) {
                drafted.value = Some(merged);
            }
        }
        self.edits.retain(|drafted| !is_live(model, drafted));
    }
}

fn is_live(model: &Model, drafted: &Drafted) -> bool {
    same(model.entity(drafted.kind, &drafted.id).as_ref(), drafted.value.as_ref())
}

/// Equal but for what the server itself writes.
pub fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    let plain = |value: &Value| {
        let mut value = value.clone();
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|name, value| !matches!(name.as_str(), "id" | "rev" | "serial") && !value.is_null());
        }
        value
    };
    a.map(plain) == b.map(plain)
}

/// What a draft makes of the live model.
#[derive(Debug)]
pub struct CheckedDraft {
    pub model: Arc<Model>,
    pub changes: Vec<Change>,
    pub warnings: Vec<FieldError>,
}

/// How a draft was checked last.
#[derive(Debug, Clone)]
struct Remembered {
    draft: Arc<Draft>,
    live: Arc<Model>,
    outcome: Arc<Result<CheckedDraft, Vec<FieldError>>>,
}

/// The drafts of everybody. Reading one never waits for a disk.
#[derive(Debug, Default)]
pub struct Drafts {
    kept: RwLock<BTreeMap<String, Arc<Draft>>>,
    /// One for each author with a draft.
    checked: Mutex<BTreeMap<String, Remembered>>,
    /// Held while a draft is changed and written.
    changing: tokio::sync::Mutex<()>,
}

impl Drafts {
    /// Once another model is live, how drafts fit the one before it helps nobody.
    pub(super) fn forget_checked(&self) {
        let gone = std::mem::take(&mut *self.checked.lock());
        // Whole models, which take a while to free; the writer has no time for that.
        tokio::task::spawn_blocking(move || drop(gone));
    }

    /// As the store kept them. What is no draft, or too large to be one, is told and left out.
    pub fn load(kept: Vec<Value>) -> Drafts {
        let read = |value: Value| match serde_json::from_value::<Draft>(value) {
            Ok(draft) if draft.edits.len() <= MAX_EDITS && !draft.author.is_empty() => Some(draft),
            Ok(draft) => {
                tracing::warn!("a draft of {} changes by {:?} is left out", draft.edits.len(), draft.author);
                None
            }
            Err(error) => {
                tracing::warn!("a file in drafts/ is no draft and is left out: {error}");
                None
            }
        };
        let drafts = kept.into_iter().filter_map(read).map(|draft| (draft.author.clone(), Arc::new(draft)));
        Drafts { kept: RwLock::new(drafts.collect()), ..Drafts::default() }
    }
}

impl Control {
    pub fn draft(&self, author: &str) -> Arc<Draft> {
        self.shared().drafts.kept.read().get(author).cloned().unwrap_or_default()
    }

    /// Adds edits to the author's draft: all of them, or none with every error. Errors that the draft had before,
    /// because somebody else published meanwhile, are left to the review.
    pub async fn edit_draft(&self, author: &str, edits: Vec<Edit>) -> Result<Arc<Draft>, Refusal> {
        self.change_draft(author, move |draft, model, at| {
            let before = draft.edits();
            draft.take(model, edits, at);
            let errors = match model.check(&draft.edits()) {
                Ok(checked) => {
                    draft.write_out(model, &checked.model);
                    return Ok(());
                }
                Err(errors) => errors,
            };
            let known = model.check(&before).err().unwrap_or_default();
            let new: Vec<FieldError> = errors.into_iter().filter(|error| !known.contains(error)).collect();
            if new.is_empty() { Ok(()) } else { Err(new) }
        })
        .await
    }

    /// Takes one thing, or everything, out of the draft.
    pub async fn discard_draft(&self, author: &str, what: Option<(Kind, &str)>) -> Result<Arc<Draft>, Refusal> {
        let what = what.map(|(kind, id)| (kind, id.to_owned()));
        self.change_draft(author, move |draft, _, _| {
            draft.edits.retain(|one| what.as_ref().is_some_and(|(kind, id)| (*kind, id) != (one.kind, &one.id)));
            Ok(())
        })
        .await
    }

    /// Settles one conflict; what the draft then says is checked when it is published.
    pub async fn settle_draft(&self, author: &str, kind: Kind, id: &str, how: Settle) -> Result<Arc<Draft>, Refusal> {
        let id = id.to_owned();
        self.change_draft(author, move |draft, model, at| {
            draft.settle(model, kind, &id, how, at);
            Ok(())
        })
        .await
    }

    /// Publishes `reviewed`, the draft that its author has looked at beside version `revision`, and takes it out of
    /// what they draft. Nothing is overwritten unseen: where anything was published since, it is a conflict, and the
    /// draft stays. What was drafted since stays as well.
    pub async fn publish_draft(
        &self,
        author: Author,
        reviewed: &Draft,
        revision: u64,
        message: String,
        tests: Tests,
    ) -> Result<Published, Refusal> {
        let model = self.model();
        if let Some(first) = reviewed.conflicts(&model).first() {
            let (kind, id) = (first.mine.kind.singular(), &first.mine.id);
            return Err(Refusal::Conflict(format!("{kind} {id} was changed by somebody else meanwhile")));
        }
        let owner = author.actor.clone();
        let edits = reviewed.edits.iter().filter(|drafted| !is_live(&model, drafted)).map(Drafted::edit).collect();
        let expect = vec![Expect::Revision(revision)];
        let (control, reviewed) = (self.clone(), reviewed.edits.clone());
        to_its_end(async move {
            let published = control.publish(Publication { edits, message, author, expect, tests }).await?;
            let leave = move |now: &mut Draft, _: &Model, _| {
                now.edits.retain(|drafted| !reviewed.iter().any(|published| same_edit(published, drafted)));
                Ok(())
            };
            control.change_draft(&owner, leave).await?;
            Ok(published)
        })
        .await
    }

    /// The model as it would be with the draft.
    pub fn drafted(&self, author: &str) -> Result<Arc<Model>, Vec<FieldError>> {
        let draft = self.draft(author);
        match draft.is_empty() {
            true => Ok(self.model()),
            false => {
                self.checked_draft(&draft).as_ref().as_ref().map(|checked| checked.model.clone()).map_err(Vec::clone)
            }
        }
    }

    /// The draft checked against what is live. Remembered until either changes, since every page asks.
    pub fn checked_draft(&self, draft: &Arc<Draft>) -> Arc<Result<CheckedDraft, Vec<FieldError>>> {
        let (live, drafts) = (self.model(), &self.shared().drafts);
        let remembered = drafts.checked.lock().get(&draft.author).cloned();
        if let Some(known) = remembered.filter(|it| Arc::ptr_eq(&it.draft, draft) && Arc::ptr_eq(&it.live, &live)) {
            return known.outcome;
        }
        let checked = tokio::task::block_in_place(|| live.check(&draft.edits()));
        let outcome = Arc::new(checked.map(|Checked { model, changes, warnings }| CheckedDraft {
            model: Arc::new(model),
            changes,
            warnings,
        }));
        let mut checked = drafts.checked.lock();
        // Not what is gone by now: it would be kept until its author drafts again.
        let is_kept = drafts.kept.read().get(&draft.author).is_some_and(|kept| Arc::ptr_eq(kept, draft));
        if is_kept && Arc::ptr_eq(&live, &self.model()) {
            let remembered = Remembered { draft: draft.clone(), live, outcome: outcome.clone() };
            checked.insert(draft.author.clone(), remembered);
        }
        drop(checked);
        outcome
    }

    async fn change_draft(
        &self,
        author: &str,
        change: impl FnOnce(&mut Draft, &Model, Timestamp) -> Result<(), Vec<FieldError>> + Send + 'static,
    ) -> Result<Arc<Draft>, Refusal> {
        let (control, author) = (self.clone(), author.to_owned());
        to_its_end(async move {
            let drafts = &control.shared().drafts;
            let _changing = drafts.changing.lock().await;
            let mut draft = Draft::clone(&*control.draft(&author));
            let model = control.model();
            // Later than any change before it, whatever the clock does: forms tell drafts apart by it.
            let next = draft.changed.map(|last| last + SignedDuration::from_micros(1));
            let at = next.map_or_else(now, |next| next.max(now()));
            let kept = tokio::task::block_in_place(|| {
                change(&mut draft, &model, at)?;
                draft.author = author.clone();
                draft.changed = Some(at);
                within_limits(&draft)
            });
            let kept = kept.map_err(Refusal::Invalid)?;
            let owner = author.clone();
            let stored = control.keeper.run(move |keeper| keeper.store.put_draft(&owner, kept.as_ref())).await;
            draft.unsaved = stored.err().map(|fault| fault.to_string());
            if let Some(fault) = &draft.unsaved {
                tracing::error!("the draft of {author:?} is kept in memory only: {fault}");
            }
            let draft = Arc::new(draft);
            match draft.is_empty() {
                true => drafts.kept.write().remove(&author),
                false => drafts.kept.write().insert(author.clone(), draft.clone()),
            };
            drafts.checked.lock().remove(&author);
            Ok(draft)
        })
        .await
    }
}

fn same_edit(a: &Drafted, b: &Drafted) -> bool {
    (a.kind, &a.id, &a.value) == (b.kind, &b.id, &b.value)
}

/// The draft as it is kept, `None` for an empty one; an error where it is too much.
fn within_limits(draft: &Draft) -> Result<Option<Value>, Vec<FieldError>> {
    if draft.is_empty() {
        return Ok(None);
    }
    if draft.edits.len() > MAX_EDITS {
        let problem = format!("a draft of {} changes", draft.edits.len());
        return Err(vec![FieldError::new("", problem, format!("publish at most {MAX_EDITS} at once"))]);
    }
    let kept = serde_json::to_value(draft).unwrap_or_default();
    let size = kept.to_string().len();
    if size > MAX_BYTES {
        let problem = format!("a draft of {} MiB", size >> 20);
        let remedy = format!("publish what you have first; a draft holds {} MiB", MAX_BYTES >> 20);
        return Err(vec![FieldError::new("", problem, remedy)]);
    }
    Ok(Some(kept))
}

#[cfg(test)]
mod tests;
