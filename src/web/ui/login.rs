//! Signing in and out.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};

use super::filters;
use super::form::Form;
use super::session::{COOKIE, User};
use super::text::Language;
use super::visit::{language, render, see, theme};
use crate::control::now;
use crate::control::token::authenticate;
use crate::web::extract::Query;
use crate::web::{Problem, Web};

#[derive(Template)]
#[template(path = "ui/login.html")]
struct Login {
    language: Language,
    theme: &'static str,
    next: String,
    fault: Option<&'static str>,
}

#[derive(serde::Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

pub(super) fn routes() -> Router<Web> {
    Router::new().route("/login", get(show).post(sign_in)).route("/logout", post(sign_out))
}

async fn show(Query(Next { next }): Query<Next>, headers: HeaderMap) -> Result<Response, Problem> {
    page(&headers, next, None)
}

fn page(headers: &HeaderMap, next: String, fault: Option<&'static str>) -> Result<Response, Problem> {
    let (language, theme) = (language(headers), theme(headers));
    let html = render(&Login { language, theme, next, fault }, language, now())?;
    let status = if fault.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    Ok((status, Html(html)).into_response())
}

async fn sign_in(State(web): State<Web>, headers: HeaderMap, form: Form) -> Result<Response, Problem> {
    let tokens = web.control.shared().tokens.load();
    let all = tokens.iter().chain(std::iter::once(&*web.local_token));
    let user = match authenticate(all, form.text("token"), None, now()) {
        Ok(token) => User { id: token.id.clone(), name: token.id.clone(), role: token.role },
        Err(_) => return page(&headers, form.text("next").into(), Some("This token is not known.")),
    };
    let secret = web.sessions.open(user);
    let cookie = format!("{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax");
    let next = form.text("next");
    let next = if next.starts_with('/') && !next.starts_with("//") { next } else { "/" };
    Ok(([(header::SET_COOKIE, cookie)], see(next)).into_response())
}

async fn sign_out(State(web): State<Web>, headers: HeaderMap) -> Response {
    web.sessions.close(&headers);
    see("/login")
}
