//! Signing in and out.

use std::net::{IpAddr, SocketAddr};

use askama::Template;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{AppendHeaders, Html, IntoResponse, Response};
use axum::routing::{get, post};

use super::filters;
use super::form::{self, TOKEN_FIELD};
use super::session::{Browser, Found};
use super::text::{Language, Text, text};
use super::visit::{here, is_own, language, render, see, theme};
use crate::control::account::Account;
use crate::control::accounts::{password_matches, signed_in};
use crate::control::{Author, now};
use crate::web::extract::Query;
use crate::web::{Problem, Web};

#[derive(Template)]
#[template(path = "ui/login.html")]
struct Login {
    language: Language,
    theme: &'static str,
    user: String,
    next: String,
    note: Option<Text>,
    fault: Option<Text>,
}

#[derive(serde::Deserialize)]
struct Asked {
    #[serde(default)]
    next: String,
    /// `ended` where there was a session.
    #[serde(default)]
    was: String,
}

/// Why somebody is asked to sign in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Why {
    New,
    Ended,
}

pub(super) fn routes() -> Router<Web> {
    Router::new().route("/login", get(show).post(sign_in)).route("/logout", post(sign_out))
}

/// Answers a request of somebody who has not signed in: the sign-in page, which leads back here.
pub(super) async fn ask(web: &Web, request: Request, why: Why) -> Response {
    if web.control.accounts().is_empty() {
        return see("/setup");
    }
    let there = if request.method() == Method::GET { here(&request) } else { "/".into() };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", &there);
    if why == Why::Ended {
        query.append_pair("was", "ended");
    }
    see(&format!("/login?{}", query.finish()))
}

async fn show(
    State(web): State<Web>,
    Query(Asked { next, was }): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if web.control.accounts().is_empty() {
        return Ok(see("/setup"));
    }
    if let Found::Session(..) = web.sessions.find(&headers, |id| web.control.account(id), now()) {
        return Ok(see(local(&next)));
    }
    let note = (was == "ended").then(|| text("You were signed out. Sign in to go on where you were."));
    page(&headers, StatusCode::OK, Login { note, ..Login::new(&headers, next) })
}

impl Login {
    fn new(headers: &HeaderMap, next: String) -> Login {
        let (language, theme) = (language(headers), theme(headers));
        Login { language, theme, user: String::new(), next, note: None, fault: None }
    }
}

fn page(headers: &HeaderMap, status: StatusCode, template: Login) -> Result<Response, Problem> {
    let html = render(&template, language(headers), now())?;
    Ok((status, Html(html)).into_response())
}

async fn sign_in(
    State(web): State<Web>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    if !is_own(&Method::POST, &headers) {
        let problem = Problem::new(StatusCode::FORBIDDEN, "Another site's page sent this; sign in on Northing's own.");
        return Err(problem);
    }
    let form = form::of_stranger(request).await?;
    let (user, next) = (form.text("user").to_lowercase(), form.text("next").to_owned());
    let known = web.control.account(&user);
    // Not trimmed: a password may begin with a space.
    let password = form.raw("password");
    let matches = password_matches(known.as_deref(), password).await;
    let Some(account) = known.filter(|account| matches && !account.disabled) else {
        let fault = text("This name and this password do not belong together.");
        let again = Login { user, fault: Some(fault), ..Login::new(&headers, next) };
        return page(&headers, StatusCode::UNAUTHORIZED, again);
    };
    let account = signed_in(&web.control, &account.id, author(&account, peer.ip()), None).await?;
    Ok(enter(&web, &account, Browser::of(&headers, Some(peer.ip())), &next))
}

fn author(account: &Account, address: IpAddr) -> Author {
    Author { actor: account.id.clone(), address: Some(address) }
}

/// Opens a session and leads to where the browser wanted to go.
pub(super) fn enter(web: &Web, account: &Account, browser: Browser, next: &str) -> Response {
    let cookie = web.sessions.open(account, browser, now());
    ([(header::SET_COOKIE, cookie)], see(local(next))).into_response()
}

/// `next` where it is a path of ours, else the overview. `//host` and `/\host` are other sites to browsers.
pub fn local(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\n', '\r', '\t']);
    if is_path { next } else { "/" }
}

async fn sign_out(State(web): State<Web>, request: Request) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    if let Found::Session(session, _) = web.sessions.find(&headers, |id| web.control.account(id), now()) {
        let form = form::of_stranger(request).await?;
        if !is_own(&Method::POST, &headers) || !form::matches(&session, form.text(TOKEN_FIELD)) {
            return Err(form::stale());
        }
    }
    let cookies = web.sessions.close(&headers).map(|cookie| (header::SET_COOKIE, cookie));
    Ok((AppendHeaders(cookies), see("/login")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_another_site() {
        for next in ["/", "/pools/eu?tab=1", "/explain?name=a//b"] {
            assert_eq!(local(next), next);
        }
        for next in ["", "//evil.test", "/\\evil.test", "https://evil.test", "javascript:1", "/\t/evil.test"] {
            assert_eq!(local(next), "/");
        }
    }
}
