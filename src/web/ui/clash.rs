//! Forms that were open while the thing they edit was changed elsewhere. Every page's forms carry along which world
//! they were drawn from; an edit of something that is there already goes through `keep`, which compares, and asks where
//! somebody was faster. Nothing that was typed is lost, and nobody's work is overwritten unseen. What is drafted already, and
//! then published by somebody else, is left to the review of the draft.

use std::collections::HashMap;
use std::fmt;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::Value;

use super::change::{self, Said};
use super::draft::review;
use super::filters;
use super::filters::span;
use super::form::{Form, TOKEN_FIELD};
use super::frame::{Frame, Place};
use super::text::{Text, text};
use super::visit::Visit;
use crate::control::draft::{Draft, merged, same};
use crate::control::{Control, Refusal};
use crate::model::{Change, Edit, FieldError, Kind, Model, Revision};
use crate::web::Problem;

/// The world that the page was drawn from.
const SEEN: &str = "seen";
/// The world in which the visitor has looked at what others made of it, and what they decided then.
const LOOKED: &str = "looked";
const HOW: &str = "how";
/// Revisions that are searched for who was faster; a form that is older learns only that somebody was.
const MAX_SEARCHED: u64 = 200;
/// Things that are shown; the rest is counted.
const MAX_SHOWN: usize = 20;
/// Of a value, when it is shown as it was typed, in characters.
const MAX_TYPED: usize = 200;

/// Tells the world of one page from that of another: what is live, and what the visitor has drafted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    pub revision: u64,
    /// `Draft::changed`.
    pub draft: Option<Timestamp>,
}

impl Seen {
    pub fn of(control: &Control, author: &str) -> Seen {
        Seen { revision: control.model().revision, draft: control.draft(author).changed }
    }

    /// What the page of a form was drawn from.
    pub fn of_form(form: &Form) -> Option<Seen> {
        Seen::parse(form.text(SEEN))
    }

    /// What the page is drawn from that shows a form again: the first one, unless its visitor has looked since.
    pub fn carried(form: &Form) -> Option<Seen> {
        let looked = Seen::parse(form.text(LOOKED)).filter(|_| form.text(HOW) == "mine");
        looked.or_else(|| Seen::of_form(form))
    }

    fn parse(text: &str) -> Option<Seen> {
        let (revision, draft) = text.split_once(' ').unwrap_or((text, ""));
        let draft = if draft.is_empty() { None } else { Some(draft.parse().ok()?) };
        Some(Seen { revision: revision.parse().ok()?, draft })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.draft {
            Some(draft) => write!(f, "{} {draft}", self.revision),
            None => write!(f, "{}", self.revision),
        }
    }
}

/// What became of the edits of a form.
pub enum Kept {
    Drafted,
    /// Nothing is drafted: these fields.
    Wrong(Vec<FieldError>),
    /// Nothing is drafted: somebody was faster, and this page asks what to do.
    Clash(Response),
}

/// Keeps the edits of the form that was sent in the draft. `back` is the page of the form.
pub async fn keep(visit: &Visit, mut edits: Vec<Edit>, back: &str) -> Result<Kept, Problem> {
    if let Some((form, seen)) = visit.sent.get().and_then(|form| Some((form, Seen::of_form(form)?))) {
        let found = meanwhile(visit, seen, &edits).await?;
        let looked = Seen::parse(form.text(LOOKED)).unwrap_or(seen);
        if found.iter().any(|one| one.is_newer(looked)) {
            return page(visit, form, seen, &edits, found, back).await.map(Kept::Clash);
        }
        if form.text(HOW) == "both" {
            for Meanwhile { at, both, .. } in found {
                if let (Some(edit), Some(both)) = (edits.get_mut(at), both) {
                    edit.value = both;
                }
            }
        }
    }
    match visit.web.control.edit_draft(&visit.user().id, edits).await {
        Ok(_) => Ok(Kept::Drafted),
        Err(Refusal::Invalid(errors)) => Ok(Kept::Wrong(errors)),
        Err(refusal) => Err(refusal.into()),
    }
}

/// A thing that a form edits and that is other than the form saw it.
#[derive(Debug, Clone, PartialEq)]
struct Meanwhile {
    /// Which of the edits.
    at: usize,
    since: Since,
    /// As the form saw it, where that is known.
    was: Option<Option<Value>>,
    is: Option<Value>,
    /// Both together, where they touch different fields; within, `None` deletes it.
    both: Option<Option<Value>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Since {
    /// Somebody published it; without its changes, and not set where too much was published since.
    Live { number: u64, by: Option<Revision> },
    /// The visitor drafted it in another window.
    Draft(Timestamp),
}

impl Meanwhile {
    fn is_newer(&self, looked: Seen) -> bool {
        match &self.since {
            Since::Live { number, .. } => *number > looked.revision,
            Since::Draft(touched) => Some(*touched) > looked.draft,
        }
    }
}

async fn meanwhile(visit: &Visit, seen: Seen, edits: &[Edit]) -> Result<Vec<Meanwhile>, Problem> {
    let (model, draft) = (visit.model(), visit.draft().await);
    let mut revisions = Vec::new();
    for number in (seen.revision + 1..=model.revision).rev().take(MAX_SEARCHED as usize) {
        revisions.extend(visit.web.control.revision(number).await?);
    }
    let drafted = super::pools::models(visit).await.1;
    Ok(tokio::task::block_in_place(|| compared(seen, edits, &model, (&draft, &drafted), &revisions)))
}

/// `revisions` are those since `seen`, the newest first.
fn compared(
    seen: Seen,
    edits: &[Edit],
    model: &Model,
    (draft, with_draft): (&Draft, &Model),
    revisions: &[Revision],
) -> Vec<Meanwhile> {
    if model.revision == seen.revision && draft.changed <= seen.draft {
        return Vec::new();
    }
    // With every field written out, so that a default that a form leaves out is no difference.
    let wanted = with_draft.check(edits).map(|checked| checked.model);
    let written = |edit: &Edit| {
        let written = wanted.as_ref().ok().and_then(|wanted| wanted.entity(edit.kind, &edit.id));
        edit.value.as_ref().map(|typed| written.unwrap_or_else(|| typed.clone()))
    };
    let drafted: HashMap<(Kind, &str), _> = draft.edits.iter().map(|one| ((one.kind, &*one.id), one)).collect();
    let mut published: HashMap<(Kind, &str), (&Revision, &Change)> = HashMap::new();
    let mut newest: HashMap<(Kind, &str), &Revision> = HashMap::new();
    for revision in revisions {
        for change in &revision.changes {
            newest.entry((change.kind, &change.id)).or_insert(revision);
            published.insert((change.kind, &change.id), (revision, change));
        }
    }
    let knows_all = revisions.len() as u64 == model.revision.saturating_sub(seen.revision);
    let mut found = Vec::new();
    for (at, edit) in edits.iter().enumerate() {
        let key = (edit.kind, &*edit.id);
        if let Some(mine) = drafted.get(&key) {
            let touched = mine.touched.filter(|touched| Some(*touched) > seen.draft);
            if let Some(touched) = touched.filter(|_| !same(mine.value.as_ref(), written(edit).as_ref())) {
                let is = mine.value.clone();
                found.push(Meanwhile { at, since: Since::Draft(touched), was: None, is, both: None });
            }
            continue;
        }
        if model.revision == seen.revision {
            continue;
        }
        let is = model.entity(edit.kind, &edit.id);
        let rev = is.as_ref().and_then(|is| is.get("rev")?.as_u64()).unwrap_or_default();
        let by = newest.get(&key).copied();
        let Some(number) = by.map(|by| by.number).or_else(|| Some(rev).filter(|rev| *rev > seen.revision)) else {
            continue;
        };
        let was = published.get(&key).filter(|_| knows_all).map(|(_, change)| change.before.clone());
        let mine = written(edit);
        let is_as_seen = was.as_ref().is_some_and(|was| same(was.as_ref(), is.as_ref()));
        if is_as_seen || same(is.as_ref(), mine.as_ref()) {
            continue;
        }
        let both = match (&was, &mine, &is) {
            // The form only says what it was drawn with.
            (Some(was), mine, is) if same(was.as_ref(), mine.as_ref()) => Some(is.clone()),
            (Some(Some(was)), Some(mine), Some(is)) => merged(was, mine, is).map(Some),
            _ => None,
        };
        let by = by.map(|by| Revision { changes: Vec::new(), ..by.clone() });
        found.push(Meanwhile { at, since: Since::Live { number, by }, was, is, both });
    }
    found
}

#[derive(Template)]
#[template(path = "ui/clash.html")]
struct Page {
    frame: Frame,
    clashes: Vec<Shown>,
    more: usize,
    may_merge: bool,
    /// Where the form goes, and what was typed in it.
    action: String,
    fields: Vec<(String, String)>,
    seen: Seen,
    looked: Seen,
    back: String,
}

/// One thing that both changed.
struct Shown {
    head: Text,
    by: Option<Revision>,
    theirs: Vec<Said>,
    mine: Vec<Said>,
}

async fn page(
    visit: &Visit,
    form: &Form,
    seen: Seen,
    edits: &[Edit],
    found: Vec<Meanwhile>,
    back: &str,
) -> Result<Response, Problem> {
    let (live, drafted) = super::pools::models(visit).await;
    let is_drafted = found.iter().all(|one| matches!(one.since, Since::Draft(_)));
    let title = if is_drafted { text("You changed this in another window") } else { text("Somebody was faster") };
    let wanted = tokio::task::block_in_place(|| drafted.check(edits));
    let shown = |one: &Meanwhile| {
        let edit = edits.get(one.at)?;
        let changed = |before: Option<Value>, after: Option<Value>| Change {
            kind: edit.kind,
            id: edit.id.clone(),
            before,
            after,
        };
        let theirs = one.was.as_ref().map(|was| {
            let before = Edit { value: was.clone(), ..edit.clone() };
            let before = live.check(&[before]).map(|checked| checked.model);
            change::said(before.as_ref().unwrap_or(&live), &live, &changed(was.clone(), one.is.clone()))
        });
        let mine = wanted
            .as_ref()
            .ok()
            .map(|wanted| change::said(&drafted, &wanted.model, &changed(one.is.clone(), edit.value.clone())));
        let by = match &one.since {
            Since::Live { by, .. } => by.clone(),
            Since::Draft(_) => None,
        };
        Some(Shown {
            head: head(one, edit, visit.now),
            by,
            theirs: theirs.unwrap_or_default(),
            mine: mine.unwrap_or_default(),
        })
    };
    let hidden = [TOKEN_FIELD, SEEN, LOOKED, HOW];
    let page = Page {
        frame: visit.frame(Place::Elsewhere, title).await,
        clashes: found.iter().take(MAX_SHOWN).filter_map(shown).collect(),
        more: found.len().saturating_sub(MAX_SHOWN),
        may_merge: found.iter().all(|one| one.both.is_some()),
        action: visit.here.clone(),
        fields: form.0.iter().filter(|(name, _)| !hidden.contains(&&**name)).cloned().collect(),
        seen,
        looked: visit.found,
        back: back.to_owned(),
    };
    Ok(visit.page_with(StatusCode::CONFLICT, &page))
}

fn head(one: &Meanwhile, edit: &Edit, now: Timestamp) -> Text {
    match &one.since {
        Since::Live { by, .. } => changed(by.as_ref(), one.is.is_none(), (edit.kind, &edit.id), now),
        Since::Draft(at) => text("Your draft of {kind} {id} changed {ago} ago, in another window.")
            .say("ago", ago(*at, now))
            .fact("kind", "kind", edit.kind.singular())
            .set("id", &edit.id),
    }
}

/// Who was faster with a thing, when, and in which version.
pub fn changed(by: Option<&Revision>, is_gone: bool, (kind, id): (Kind, &str), now: Timestamp) -> Text {
    let said = match (by, is_gone) {
        (Some(_), false) => text("{who} changed {kind} {id} {ago} ago (version {n})."),
        (Some(_), true) => text("{who} deleted {kind} {id} {ago} ago (version {n})."),
        (None, _) => text("{kind} {id} was changed meanwhile."),
    };
    let said = match by {
        Some(by) => said.set("who", &by.author).say("ago", ago(by.at, now)).set("n", by.number),
        None => said,
    };
    said.fact("kind", "kind", kind.singular()).set("id", id)
}

fn ago(at: Timestamp, now: Timestamp) -> Text {
    span(now.duration_since(at).as_secs().max(0).unsigned_abs())
}

impl Page {
    /// As people read it: name and the beginning of the value.
    fn typed(&self) -> Vec<(&str, String)> {
        let filled = self.fields.iter().filter(|(_, value)| !value.trim().is_empty());
        filled.map(|(name, value)| (name.as_str(), value.chars().take(MAX_TYPED).collect())).collect()
    }
}

#[cfg(test)]
mod tests;
