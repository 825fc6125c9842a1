//! Pages that say what happened and what to do next, when a page cannot be what was asked for.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use super::filters;
use super::frame::{Frame, Place};
use super::session::Found;
use super::text::{Language, Text, plain, text};
use super::visit::{Visit, here, language, render, theme};
use crate::control::now;
use crate::web::{Problem, Web};

#[derive(Template)]
#[template(path = "ui/trouble.html")]
struct Trouble {
    frame: Frame,
    said: Said,
    problem: Problem,
}

#[derive(Template)]
#[template(path = "ui/outside_trouble.html")]
struct OutsideTrouble {
    language: Language,
    theme: &'static str,
    said: Said,
    problem: Problem,
}

/// What stands round the problem's own words.
struct Said {
    head: Text,
    /// What is kept, and what to do.
    advice: Option<Text>,
    /// The same page once more, where that may help.
    again: Option<String>,
}

/// Turns every problem into a page where a browser asked for one; programs get it as it is. Who comes while the
/// server stops gets no other page any more.
pub async fn troubles(State(web): State<Web>, request: Request, next: Next) -> Response {
    if !wants_page(&request) {
        return next.run(request).await;
    }
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let mut looking = Request::new(());
    *looking.uri_mut() = request.uri().clone();
    *looking.headers_mut() = headers.clone();
    *looking.extensions_mut() = request.extensions().clone();
    let looking = looking.map(|()| axum::body::Body::empty());
    let response = match web.streams.are_ending() {
        true => Problem::stopping().into_response(),
        false => next.run(request).await,
    };
    let Some(problem) = response.extensions().get::<Problem>().cloned() else { return response };
    let again = (method == Method::GET && problem.status >= 500).then(|| here(&looking));
    // What failed since then failed because of it.
    let said = match web.streams.are_ending() && problem.status >= 500 {
        true => stopping(again),
        false => said(&method, &problem, again),
    };
    let mut page = match web.sessions.look(&headers, |id| web.control.account(id), now()) {
        Found::Session(session, user) => inside(&Visit::new(web, session, user, &looking), said, problem).await,
        _ => outside(&headers, said, problem),
    };
    for cookie in response.headers().get_all(header::SET_COOKIE) {
        page.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    page
}

/// A browser that goes somewhere, and not the API.
pub fn wants_page(request: &Request) -> bool {
    let mut kinds = request.headers().get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    !request.uri().path().starts_with("/api/") && kinds.any(|kinds| kinds.contains("text/html"))
}

async fn inside(visit: &Visit, said: Said, problem: Problem) -> Response {
    let frame = visit.frame(Place::Elsewhere, said.head.clone()).await;
    visit.page_with(problem.code(), &Trouble { frame, said, problem })
}

fn outside(headers: &HeaderMap, said: Said, problem: Problem) -> Response {
    let (language, theme, status) = (language(headers), theme(headers), problem.code());
    match render(&OutsideTrouble { language, theme, said, problem }, language, now()) {
        Ok(html) => (status, Html(html)).into_response(),
        Err(problem) => problem.into_response(),
    }
}

fn said(method: &Method, problem: &Problem, again: Option<String>) -> Said {
    let find = || Some(text("Look whether the address is right, or find the thing by its name."));
    let (head, advice) = match problem.status {
        400 | 422 if *method == Method::GET => (text("This address is not right"), find()),
        400 | 408 => (
            text("What was sent did not arrive as it should"),
            Some(text("Nothing was changed. Go back and send it again.")),
        ),
        401 => (text("Sign in first"), None),
        403 => (text("You may not do this"), None),
        404 => (text("There is no such page"), find()),
        405 => {
            (text("This address cannot be opened like that"), Some(text("Go back and use the buttons of the page.")))
        }
        409 => {
            (text("Somebody was faster"), Some(text("Your draft is kept. Go back, reload the page, and look at both.")))
        }
        413 => (text("That was too much at once"), Some(text("Nothing was changed. Go back and send less at once."))),
        422 => (
            text("Something is not right yet"),
            Some(text("Nothing was changed. Go back; what you typed is still there.")),
        ),
        503 => {
            (text("Not now"), Some(text("DNS goes on answering. What was published is kept, and so is your draft.")))
        }
        507 => (
            text("The disk is too full"),
            Some(text("Nothing was changed, and DNS goes on answering. Make room, then send it again.")),
        ),
        500.. => (
            text("Something failed here"),
            Some(text(
                "DNS goes on answering with what was published before, and your draft is kept as it was. What you \
                 sent just now was not stored: when the cause is gone, send it again.",
            )),
        ),
        _ => (plain(&problem.title), None),
    };
    Said { head, advice, again }
}

fn stopping(again: Option<String>) -> Said {
    let advice = text(
        "Nothing was changed, and your draft is kept. This machine answers DNS queries again when Northing runs: wait a \
         moment, then try again.",
    );
    Said { head: text("Northing is stopping"), advice: Some(advice), again }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_browser_outside_of_the_api_gets_a_page() {
        let asked = |path: &str, accept: &str| {
            wants_page(&Request::get(path).header("accept", accept).body(axum::body::Body::empty()).unwrap())
        };
        let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
        assert!(asked("/nothing", browser));
        assert!(!asked("/api/v1/nothing", browser));
        assert!(!asked("/nothing", "*/*"));
        assert!(!asked("/nothing", "application/json"));
    }
}
