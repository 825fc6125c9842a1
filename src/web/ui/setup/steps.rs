//! What the steps after the account share: the way through them, and how the plan is kept in the draft.

use super::plan::Plan;
use crate::control::Refusal;
use crate::model::FieldError;
use crate::web::Problem;
use crate::web::ui::filters::span;
use crate::web::ui::text::{Text, text};
use crate::web::ui::visit::Visit;

/// One step of the way, as it is shown above each.
pub struct Step {
    pub word: &'static str,
    pub path: &'static str,
    pub is_done: bool,
    pub is_now: bool,
}

/// Where each step is. The first one has happened when the others can be reached.
pub const PATHS: [&str; 5] = ["/account", "/setup/name", "/setup/servers", "/setup/steering", "/setup/check"];

/// The way with step `now`, counted from 0, as the present one.
pub fn way(now: usize) -> Vec<Step> {
    let words = ["Account", "Name", "Servers", "Who goes where", "Check and go live"];
    let steps = words.into_iter().zip(PATHS).enumerate();
    steps.map(|(at, (word, path))| Step { word, path, is_done: at < now, is_now: at == now }).collect()
}

pub async fn plan(visit: &Visit) -> Result<Plan, Problem> {
    let model = visit.web.control.drafted(&visit.user().id).await.map_err(Problem::fields)?;
    Ok(Plan::read(&*visit.draft().await, &model))
}

/// A first run that somebody left.
pub struct Left {
    pub name: String,
    /// The step that it stopped at.
    pub path: &'static str,
    /// How long ago, and what became of it.
    pub said: Text,
}

pub async fn left(visit: &Visit) -> Option<Left> {
    let plan = plan(visit).await.ok()?;
    let name = plan.name?.to_string().trim_end_matches('.').to_owned();
    let path = if plan.servers.is_empty() { PATHS[2] } else { PATHS[3] };
    let seconds = visit.now.duration_since(visit.draft().await.changed?).as_secs().max(0).unsigned_abs();
    let said = text("Left {ago} ago; what was entered is kept as your draft.").say("ago", span(seconds));
    Some(Left { name, path, said })
}

/// Keeps the plan in the draft, or says everything that is wrong with it.
pub async fn keep(visit: &Visit, before: &Plan, plan: &Plan) -> Result<(), Refused> {
    let taken = plan.taken(&visit.model());
    if !taken.is_empty() {
        return Err(Refused::Fields(taken));
    }
    match visit.web.control.edit_draft(&visit.user().id, plan.edits(before)).await {
        Ok(_) => Ok(()),
        Err(Refusal::Invalid(errors)) => Err(Refused::Fields(errors)),
        Err(refusal) => Err(Refused::Other(refusal.into())),
    }
}

/// Who has to act: whoever filled in the form, or somebody else.
pub enum Refused {
    Fields(Vec<FieldError>),
    Other(Problem),
}
