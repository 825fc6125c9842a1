//! Pages that say what happened and what to do next, when a page cannot be what was asked for.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::filters;
use super::frame::{Frame, Place};
use super::text::{Language, Text, plain, text};
use super::visit::{Visit, render};
use crate::control::now;
use crate::web::{Problem, Web};

#[derive(Template)]
#[template(path = "ui/trouble.html")]
struct Trouble {
    frame: Frame,
    head: Text,
    problem: Problem,
}

#[derive(Template)]
#[template(path = "ui/outside_trouble.html")]
struct OutsideTrouble {
    language: Language,
    theme: &'static str,
    head: Text,
    problem: Problem,
}

/// For somebody who has signed in.
pub async fn page(visit: &Visit, problem: Problem) -> Response {
    let head = head(&problem);
    let frame = visit.frame(Place::Elsewhere, head.clone()).await;
    visit.page_with(status(&problem), &Trouble { frame, head, problem })
}

/// For somebody who has not.
pub fn outside_page(_: &Web, language: Language, theme: &'static str, problem: Problem) -> Response {
    let (head, status) = (head(&problem), status(&problem));
    match render(&OutsideTrouble { language, theme, head, problem }, language, now()) {
        Ok(html) => (status, Html(html)).into_response(),
        Err(problem) => problem.into_response(),
    }
}

fn head(problem: &Problem) -> Text {
    match problem.status {
        401 => text("Sign in first"),
        403 => text("You may not do this"),
        404 => text("There is no such page"),
        409 => text("Somebody was faster"),
        413 => text("That was too much at once"),
        422 => text("Something is not right yet"),
        503 => text("Not now"),
        500.. => text("Something failed here"),
        _ => plain(&problem.title),
    }
}

fn status(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
