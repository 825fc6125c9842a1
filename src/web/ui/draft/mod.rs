//! The review of a draft: what would change and for whom, then publishing it, taking it back for a short
//! while, and what to do when somebody was faster. The only page that publishes.

pub(super) mod conflict;
pub(super) mod files;
pub(super) mod review;

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};

use super::Page;
use super::clash::Seen;
use super::export::both;
use super::filters;
use super::form::{Form, MAX_REASON, WHY};
use super::frame::{Frame, Place};
use super::login::local;
use super::text::{Text, fact, text};
use super::visit::{Visit, see};
use crate::control::draft::{Draft, Drafted, Settle};
use crate::control::token::Role;
use crate::control::{Refusal, Tests};
use crate::model::{FieldError, Kind};
use crate::web::Problem;
use crate::web::extract::Query;

use conflict::Shown;
pub(super) use review::Review;

/// Things of a draft without a review that are listed.
const MAX_DRAFTED: usize = 200;

pub(super) fn pages() -> Vec<Page> {
    let mut pages = vec![
        Page::new("/draft", Role::Editor, get(show)),
        Page::new("/draft/publish", Role::Editor, post(publish)),
        Page::new("/draft/discard", Role::Editor, post(discard)),
        Page::new("/draft/settle", Role::Editor, post(settle)),
        Page::new("/draft/undo", Role::Editor, post(undo)),
    ];
    pages.extend(both!("/draft/moves", files::moves));
    pages.extend(both!("/draft/shares", files::shares));
    pages.extend(both!("/draft/outages", files::outages));
    pages
}

#[derive(Template)]
#[template(path = "ui/draft.html")]
struct Sheet {
    frame: Frame,
    /// What is reviewed.
    draft: Arc<Draft>,
    /// Path to come back to.
    back: String,
    empty: bool,
    unsaved: Option<String>,
    review: Option<Review>,
    conflicts: Vec<Shown>,
    /// For a draft that has no review.
    drafted: Vec<Drafted>,
    /// What is wrong with the draft as a whole now, and what was wrong with publishing it.
    errors: Vec<FieldError>,
    fault: Option<Text>,
    assent: Assent,
}

/// What is typed under a review before it is published, and what is wrong with it.
#[derive(Default)]
pub(super) struct Assent {
    pub reason: String,
    /// Set where no reason was given.
    pub unexplained: Option<&'static str>,
    /// The name that is typed to leave its clients without an answer.
    pub typed: String,
    pub unconfirmed: Option<Text>,
    pub despite_tests: bool,
}

impl Assent {
    pub fn of_form(form: &Form, review: Option<&Review>) -> Assent {
        let (reason, typed) = (form.reason(), form.text("confirm").to_owned());
        Assent {
            unexplained: reason.is_empty().then_some(WHY),
            reason,
            unconfirmed: review.and_then(|review| review.unconfirmed(&typed)),
            typed,
            despite_tests: form.has("despite_tests"),
        }
    }

    pub fn is_given(&self) -> bool {
        self.unexplained.is_none() && self.unconfirmed.is_none()
    }

    pub fn max_reason(&self) -> usize {
        MAX_REASON
    }
}

async fn show(visit: Visit, Query(query): Query<HashMap<String, String>>) -> Result<Response, Problem> {
    let back = local(query.get("back").map_or("/", String::as_str)).to_owned();
    let mut sheet = Sheet::of(&visit, back).await?;
    // What was typed before something had to be settled.
    sheet.assent.reason = query.get("reason").map_or("", String::as_str).chars().take(MAX_REASON).collect();
    Ok(visit.page(&sheet))
}

impl Sheet {
    async fn of(visit: &Visit, back: String) -> Result<Sheet, Problem> {
        let draft = visit.draft().await;
        let frame = visit.frame(Place::Elsewhere, text("Review changes")).await;
        let conflicts = conflict::shown(visit, &draft).await?;
        let mut sheet = Sheet {
            // Each review is of the present, whatever form it answers.
            frame: Frame { seen: visit.found, ..frame },
            back,
            empty: draft.is_empty(),
            unsaved: draft.unsaved.clone(),
            review: None,
            conflicts,
            drafted: Vec::new(),
            errors: Vec::new(),
            fault: None,
            assent: Assent::default(),
            draft: draft.clone(),
        };
        if !draft.is_empty() {
            match visit.web.control.review(draft.edits()).await {
                Ok(found) => sheet.review = Some(Review::of(found)),
                Err(Refusal::Invalid(errors)) => {
                    sheet.errors = errors;
                    sheet.drafted = draft.edits.iter().take(MAX_DRAFTED).cloned().collect();
                }
                Err(other) => return Err(other.into()),
            }
        }
        Ok(sheet)
    }

    /// The world that the review is of.
    fn shown(&self) -> Seen {
        let revision = self.review.as_ref().map_or(self.frame.revision, |review| review.preview.revision);
        Seen { revision, draft: self.draft.changed }
    }

    /// Why this is not what the visitor has seen before.
    fn changed_since(&self, seen: Seen) -> Option<Text> {
        let shown = self.shown();
        if seen == shown {
            return None;
        }
        Some(match (self.conflicts.is_empty(), seen.draft == shown.draft) {
            (false, _) => text("Somebody was faster. Your changes are kept as a draft."),
            (true, false) => {
                text("Your draft changed after you opened this review. Nothing was published; look at all of it here.")
            }
            (true, true) => {
                text("Version {n} was published meanwhile. Look again at what would change.").set("n", shown.revision)
            }
        })
    }
}

async fn publish(visit: Visit, form: Form) -> Result<Response, Problem> {
    let back = local(form.text("back")).to_owned();
    let mut sheet = Sheet::of(&visit, back.clone()).await?;
    sheet.assent = Assent::of_form(&form, sheet.review.as_ref());
    if sheet.empty {
        visit.say(text("There is nothing to publish: your draft is empty."));
        return Ok(see(&back));
    }
    if let Some(changed) = Seen::of_form(&form).and_then(|seen| sheet.changed_since(seen)) {
        sheet.fault = Some(changed);
        return Ok(visit.page_with(StatusCode::CONFLICT, &sheet));
    }
    if !sheet.assent.is_given() {
        return Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &sheet));
    }
    let (tests, reason) = (Tests::despite(sheet.assent.despite_tests), sheet.assent.reason.clone());
    let author = visit.author();
    match visit.web.control.publish_draft(author, &sheet.draft, sheet.shown().revision, reason, tests).await {
        Ok(published) => {
            // The frame says of one's own publication that it is live; somebody else may have published the same.
            if published.sentences.is_empty() {
                visit.say(text("Version {n} is live.").set("n", published.revision));
            }
            Ok(see(&back))
        }
        Err(Refusal::Invalid(errors)) => {
            sheet.errors = errors;
            sheet.fault = Some(text("Nothing was published. Your changes are kept as a draft."));
            Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &sheet))
        }
        Err(Refusal::Conflict(_)) => {
            // Read anew: it says now who was faster.
            let assent = sheet.assent;
            let fault = Some(text("Somebody was faster. Your changes are kept as a draft."));
            let mut visit = visit;
            visit.found = Seen::of(&visit.web.control, &visit.user().id);
            let sheet = Sheet { assent, fault, ..Sheet::of(&visit, back).await? };
            Ok(visit.page_with(StatusCode::CONFLICT, &sheet))
        }
        Err(other) => {
            let problem = Problem::from(other);
            let code = problem.code();
            sheet.fault = Some(fact("error", problem.detail));
            Ok(visit.page_with(code, &sheet))
        }
    }
}

/// One thing, or everything.
async fn discard(visit: Visit, form: Form) -> Result<Response, Problem> {
    let user = visit.user().id.clone();
    let what = thing(&form)?;
    visit.web.control.discard_draft(&user, what.as_ref().map(|(kind, id)| (*kind, id.as_str()))).await?;
    match what {
        Some(_) => visit.say(text("The change is discarded.")),
        None => visit.say(text("Your changes are discarded.")),
    }
    Ok(see(local(form.text("here"))))
}

async fn settle(visit: Visit, form: Form) -> Result<Response, Problem> {
    let how = match form.text("how") {
        "theirs" => Settle::Theirs,
        "merged" => Settle::Merged,
        _ => Settle::Mine,
    };
    let Some((kind, id)) = thing(&form)? else { return Err(Problem::not_found("Nothing was named to settle.")) };
    visit.web.control.settle_draft(&visit.user().id, kind, &id, how).await?;
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("back", local(form.text("back")))
        .append_pair("reason", form.text("reason"))
        .finish();
    Ok(see(&format!("/draft?{query}")))
}

async fn undo(visit: Visit, form: Form) -> Result<Response, Problem> {
    let number: u64 = form.text("revision").parse().unwrap_or_default();
    match visit.web.control.undo(number, visit.author()).await {
        Ok(published) => {
            let said = text("Version {n} is undone: version {now} says what was live before.");
            visit.say(said.set("n", number).set("now", published.revision));
            Ok(see("/"))
        }
        Err(Refusal::Conflict(why)) => {
            visit.say(text("Not undone: {why}. Look at the difference and restore it here.").fact("why", "error", why));
            Ok(see(&format!("/versions/{}", number.saturating_sub(1))))
        }
        Err(other) => Err(other.into()),
    }
}

/// The thing that a form names; `None` where it means all.
fn thing(form: &Form) -> Result<Option<(Kind, String)>, Problem> {
    if !form.has("kind") {
        return Ok(None);
    }
    let kind =
        form.text("kind").parse().map_err(|error: String| Problem::fields(vec![FieldError::told("kind", &error)]))?;
    Ok(Some((kind, form.text("id").to_owned())))
}
