//! Forms that were open while the thing they edit was changed elsewhere. Every page's forms carry along which world
//! they were drawn from; every edit that a form makes goes through `keep`, which compares, and asks where somebody was
//! faster. Nothing that was typed is lost, and nobody's work is overwritten unseen. What is drafted already, and
//! then published by somebody else, is left to the review of the draft.

use std::collections::HashMap;
use std::fmt;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::Value;

use super::draft::review;
use super::filters;
use super::filters::span;
use super::form::{Form, TOKEN_FIELD};
use super::frame::{Frame, Place};
use super::text::{Text, text};
use super::visit::Visit;
use crate::control::draft::{Draft, merged, same};
use crate::control::{Control, Refusal};
use crate::model::{Change, Edit, FieldError, Kind, Line, Model, Revision, lines};
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
    theirs: Vec<Line>,
    mine: Vec<Line>,
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
        let change = |before: Option<Value>, after: Option<Value>| Change {
            kind: edit.kind,
            id: edit.id.clone(),
            before,
            after,
        };
        let theirs = one.was.as_ref().map(|was| {
            let before = Edit { value: was.clone(), ..edit.clone() };
            let before = live.check(&[before]).map(|checked| checked.model);
            lines(before.as_ref().unwrap_or(&live), &live, &change(was.clone(), one.is.clone()))
        });
        let mine = wanted
            .as_ref()
            .ok()
            .map(|wanted| lines(&drafted, &wanted.model, &change(one.is.clone(), edit.value.clone())));
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
    let ago = |at: Timestamp| span(now.duration_since(at).as_secs().max(0).unsigned_abs());
    let said = match (&one.since, &one.is) {
        (Since::Live { by: Some(by), number }, is) => {
            let said = match is {
                Some(_) => text("{who} changed {kind} {id} {ago} ago (version {n})."),
                None => text("{who} deleted {kind} {id} {ago} ago (version {n})."),
            };
            said.set("who", &by.author).say("ago", ago(by.at)).set("n", number)
        }
        (Since::Live { by: None, .. }, _) => text("{kind} {id} was changed meanwhile."),
        (Since::Draft(at), _) => {
            text("Your draft of {kind} {id} changed {ago} ago, in another window.").say("ago", ago(*at))
        }
    };
    said.set("kind", edit.kind.singular()).set("id", &edit.id)
}

impl Page {
    /// As people read it: name and the beginning of the value.
    fn typed(&self) -> Vec<(&str, String)> {
        let filled = self.fields.iter().filter(|(_, value)| !value.trim().is_empty());
        filled.map(|(name, value)| (name.as_str(), value.chars().take(MAX_TYPED).collect())).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn edit(id: &str, value: Value) -> Edit {
        Edit { kind: Kind::Pools, id: id.into(), value: (!value.is_null()).then_some(value) }
    }

    fn pool(weights: [u64; 2]) -> Value {
        let [one, two] = weights;
        json!({ "members": [{ "endpoint": "one", "weight": one }, { "endpoint": "two", "weight": two }] })
    }

    /// Publishes edits one after the other; the newest first, as they are read.
    fn published(mut model: Model, edits: &[Edit]) -> (Model, Vec<Revision>) {
        let mut revisions = Vec::new();
        for edit in edits {
            let checked = model.check(std::slice::from_ref(edit)).unwrap();
            model = checked.model;
            revisions.insert(
                0,
                Revision {
                    number: model.revision,
                    at: Timestamp::UNIX_EPOCH,
                    author: "ops".into(),
                    message: String::new(),
                    sentences: Vec::new(),
                    changes: checked.changes,
                    sha256: String::new(),
                },
            );
        }
        (model, revisions)
    }

    fn world() -> Model {
        let endpoint = |id: &str, ip: &str| Edit { kind: Kind::Endpoints, ..edit(id, json!({ "ipv4": ip })) };
        let edits = [endpoint("one", "192.0.2.1"), endpoint("two", "192.0.2.2"), edit("eu", pool([100, 100]))];
        Model::empty().check(&edits).unwrap().model
    }

    fn found(mine: &Edit, theirs: &[Edit], draft: &Draft) -> Vec<Meanwhile> {
        let before = world();
        let seen = Seen { revision: before.revision, draft: None };
        let (model, revisions) = published(before, theirs);
        compared(seen, std::slice::from_ref(mine), &model, (draft, &model), &revisions)
    }

    #[test]
    fn a_form_is_stale_only_where_its_own_thing_is_other_than_it_saw() {
        let nothing = Draft::default();
        let mine = edit("eu", pool([5, 100]));
        for (theirs, is_stale) in [
            (vec![], false),
            (vec![edit("us", pool([1, 1]))], false),
            (vec![edit("eu", pool([5, 100]))], false),
            (vec![edit("eu", pool([7, 100])), edit("eu", pool([100, 100]))], false),
            (vec![edit("eu", pool([100, 9]))], true),
            (vec![edit("eu", pool([100, 9])), edit("us", pool([1, 1]))], true),
            (vec![edit("eu", Value::Null)], true),
        ] {
            let found = found(&mine, &theirs, &nothing);
            assert_eq!(!found.is_empty(), is_stale, "{theirs:?}: {found:?}");
            assert!(
                found
                    .iter()
                    .all(|one| matches!(&one.since, Since::Live { number: 2, by: Some(by) } if by.author == "ops"))
            );
        }
    }

    #[test]
    fn what_both_changed_is_merged_where_it_is_not_the_same() {
        let both = |mine: [u64; 2], theirs: [u64; 2]| {
            let found = found(&edit("eu", pool(mine)), &[edit("eu", pool(theirs))], &Draft::default());
            let weights = |both: &Value| [0, 1].map(|at: usize| both["members"][at]["weight"].as_u64().unwrap());
            found[0].both.as_ref().map(|both| both.as_ref().map(weights))
        };
        assert_eq!(both([5, 100], [100, 9]), Some(Some([5, 9])));
        assert_eq!(both([100, 100], [100, 9]), Some(Some([100, 9])), "nothing was typed");
        assert_eq!(both([5, 100], [6, 100]), None);
    }

    #[test]
    fn a_thing_that_was_drafted_in_another_window_is_told_and_one_drafted_before_is_not() {
        let touched = |at: i64| Some(Timestamp::from_second(at).unwrap());
        let drafted = |at: i64| Draft {
            edits: vec![crate::control::draft::Drafted {
                kind: Kind::Pools,
                id: "eu".into(),
                value: Some(pool([8, 100])),
                before: None,
                touched: touched(at),
            }],
            changed: touched(at),
            ..Draft::default()
        };
        let model = world();
        let mine = [edit("eu", pool([5, 100]))];
        for (seen_at, drafted_at, is_stale) in [(0, 10, true), (5, 10, true), (10, 10, false), (12, 10, false)] {
            let seen = Seen { revision: model.revision, draft: touched(seen_at).filter(|_| seen_at > 0) };
            let found = compared(seen, &mine, &model, (&drafted(drafted_at), &model), &[]);
            assert_eq!(!found.is_empty(), is_stale, "{seen_at} {drafted_at}");
        }
        // Where somebody published what is drafted already, the review of the draft tells.
        let (model, revisions) = published(world(), &[edit("eu", pool([100, 9]))]);
        let seen = Seen { revision: 1, draft: touched(10) };
        assert_eq!(compared(seen, &mine, &model, (&drafted(10), &model), &revisions), []);
    }

    #[test]
    fn somebody_who_was_faster_is_noticed_although_the_history_is_too_long_to_be_read() {
        let (model, revisions) = published(world(), &[edit("eu", pool([100, 9])), edit("us", pool([1, 1]))]);
        let seen = Seen { revision: 1, draft: None };
        let found = compared(seen, &[edit("eu", pool([5, 100]))], &model, (&Draft::default(), &model), &revisions[..1]);
        assert_eq!(found[0].since, Since::Live { number: 2, by: None });
        assert_eq!((&found[0].was, &found[0].both), (&None, &None));
    }

    #[test]
    fn the_world_of_a_page_comes_back_from_its_form() {
        let draft = Some(Timestamp::from_nanosecond(1_795_289_000_123_456_789).unwrap());
        for seen in [Seen { revision: 219, draft }, Seen { revision: 0, draft: None }] {
            assert_eq!(Seen::parse(&seen.to_string()), Some(seen));
        }
        for wrong in ["", "x", "1 x", "-1"] {
            assert_eq!(Seen::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_form_that_is_shown_again_still_says_what_its_visitor_saw_first() {
        let form = |fields: &[(&str, &str)]| Form(fields.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect());
        let revision = |fields: &[(&str, &str)]| Seen::carried(&form(fields)).map(|seen| seen.revision);
        assert_eq!(revision(&[("seen", "5")]), Some(5));
        assert_eq!(revision(&[("seen", "5"), ("looked", "7"), ("how", "mine")]), Some(7));
        assert_eq!(revision(&[("seen", "5"), ("looked", "7"), ("how", "both")]), Some(5));
        assert_eq!(revision(&[("weight", "5")]), None);
    }
}
