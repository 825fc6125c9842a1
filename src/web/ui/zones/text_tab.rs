//! A zone as text: what differs goes into the draft, errors stand by line, and nothing typed is lost.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::clash::{Kept, keep as keep_edits};
use super::super::filters;
use super::super::form::Form;
use super::super::frame::{Frame, Place};
use super::super::text::text;
use super::super::visit::{Visit, see};
use super::import::{Quoted, kept, read};
use super::{Shown, Tab, Tabs, count};
use crate::control::token::Role;
use crate::model::FieldError;
use crate::model::zonefile::{self, Standby};
use crate::web::Problem;
use crate::web::extract::Path;

/// Record sets that are edited as one text; more make a page that no browser likes.
const MAX_SETS: usize = 5_000;
/// Errors and differences that are listed.
const MAX_LISTED: usize = 50;

#[derive(Template)]
#[template(path = "ui/zone_text.html")]
struct Page {
    frame: Frame,
    tabs: Tabs,
    text: String,
    rows: usize,
    errors: Vec<Quoted>,
    more_errors: usize,
    left_out: Vec<FieldError>,
    counted: usize,
    too_large: bool,
    is_read_only: bool,
}

async fn page(visit: &Visit, shown: &Shown, text: Option<String>, errors: Vec<FieldError>) -> Page {
    let counted = count(&visit.model(), &shown.draft, &shown.id);
    let too_large = counted > MAX_SETS;
    let text = match (text, too_large) {
        (Some(text), _) => text,
        (None, true) => String::new(),
        (None, false) => zonefile::text(&shown.model, &shown.id).unwrap_or_default(),
    };
    Page {
        frame: shown.frame(visit).await,
        tabs: shown.tabs(&visit.model(), Tab::Text),
        rows: text.lines().count().clamp(12, 40),
        more_errors: errors.len().saturating_sub(MAX_LISTED),
        errors: Quoted::all(errors.into_iter().take(MAX_LISTED).collect(), &text),
        text,
        left_out: Vec::new(),
        counted,
        too_large,
        is_read_only: too_large || !visit.may(Role::Editor),
    }
}

pub async fn show(visit: Visit, Path(zone): Path<String>) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let page = page(&visit, &shown, None, Vec::new()).await;
    Ok(visit.page(&page))
}

pub async fn keep(visit: Visit, Path(zone): Path<String>, form: Form) -> Result<Response, Problem> {
    if !visit.may(Role::Editor) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "Needs the editor role. Ask an admin."));
    }
    let shown = Shown::find(&visit, &zone).await?;
    let typed = form.raw("text").replace("\r\n", "\n");
    let read = || read(&shown.model, &shown.id, &shown.zone.fqdn, &typed, Standby::Edited);
    let read = tokio::task::block_in_place(read);
    let changes = match read {
        Ok(changes) => changes,
        Err(errors) => return again(&visit, &shown, typed, errors).await,
    };
    if changes.edits.is_empty() {
        let mut page = page(&visit, &shown, Some(typed), Vec::new()).await;
        page.left_out = changes.left_out;
        visit.say(text("The text says what the zone says already."));
        page.frame = shown.frame(&visit).await;
        return Ok(visit.page(&page));
    }
    let said = kept(&changes);
    let path = format!("/zones/{}/text", shown.id);
    match keep_edits(&visit, changes.edits, &path).await? {
        Kept::Clash(page) => Ok(page),
        Kept::Drafted => {
            visit.say(said);
            Ok(see(&path))
        }
        Kept::Wrong(errors) => again(&visit, &shown, typed, errors).await,
    }
}

async fn again(visit: &Visit, shown: &Shown, typed: String, errors: Vec<FieldError>) -> Result<Response, Problem> {
    let page = page(visit, shown, Some(typed), errors).await;
    Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}
