//! The first run, step 1: whoever reads the terminal or the log has a one-time code, and makes the first admin
//! with it. The steps after it are pages like others, behind a sign-in; `NEXT` is the first of them.

mod check;
mod name;
mod plan;
mod samples;
mod servers;
mod steering;
mod steps;

use std::net::SocketAddr;

use askama::Template;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use super::Page;
use super::filters;
use super::form::{self, Faults, Form};
use super::login;
use super::login::own;
use super::session::Browser;
use super::text::Language;
use super::visit::{language, over_tls, render, see, theme};
use crate::control::account::{check_id, check_name, check_password, code, plain_code};
use crate::control::accounts::new_account;
use crate::control::lockout::Attempt;
use crate::control::token::{Role, secret_hash};
use crate::control::{Author, Refusal, now};
use crate::model::FieldError;
use crate::web::{Problem, Web};

pub(super) use steps::{Left, left};

/// Where the browser goes on once the first admin has signed in.
const NEXT: &str = "/setup/name";
/// How long a code is good.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(15);

/// The one-time code that opens the setup.
#[derive(Debug, Default)]
pub struct Setup {
    /// Where people reach this server.
    url: String,
    issued: Mutex<Option<Issued>>,
}

#[derive(Debug)]
struct Issued {
    hash: String,
    until: Timestamp,
}

/// Why a code did not open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Denied {
    Wrong,
    /// Too old, or none was made.
    Over,
}

impl Setup {
    pub fn new(url: impl Into<String>) -> Setup {
        Setup { url: url.into(), issued: Mutex::default() }
    }

    /// Makes a code; one made before opens nothing any more.
    pub fn issue(&self, now: Timestamp) -> String {
        let text = code(&rand::random());
        *self.issued.lock() = Some(Issued { hash: secret_hash(&plain_code(&text)), until: now + GOOD_FOR });
        text
    }

    /// What the terminal says of a code.
    pub fn line(&self, code: &str) -> String {
        format!("Open {}/setup and enter the code {code}", self.url)
    }

    /// A right code stays good until somebody has used it up with `close`. A wrong one changes nothing: a code has
    /// 69 random bits, and were it replaced after some tries, a stranger could keep the owner out.
    pub fn try_code(&self, code: &str, now: Timestamp) -> Result<(), Denied> {
        let issued = self.issued.lock();
        let Some(issued) = issued.as_ref().filter(|issued| now < issued.until) else { return Err(Denied::Over) };
        let hash = secret_hash(&plain_code(code));
        let is_right: bool = hash.as_bytes().ct_eq(issued.hash.as_bytes()).into();
        if is_right { Ok(()) } else { Err(Denied::Wrong) }
    }

    pub fn close(&self) {
        *self.issued.lock() = None;
    }
}

#[derive(Template)]
#[template(path = "ui/setup.html")]
struct AccountPage {
    language: Language,
    theme: &'static str,
    form: Form,
    faults: Faults,
    /// Where a backup would be brought back.
    data_dir: String,
}

/// The steps after the account.
pub(super) fn pages() -> Vec<Page> {
    vec![
        Page::new(steps::PATHS[1], Role::Editor, get(name::show).post(name::save)),
        Page::new(steps::PATHS[2], Role::Editor, get(servers::show).post(servers::save)),
        Page::new(steps::PATHS[3], Role::Editor, get(steering::show).post(steering::save)),
        Page::new(steps::PATHS[4], Role::Editor, get(check::show).post(check::go_live)),
    ]
}

pub(super) fn routes() -> Router<Web> {
    Router::new().route("/setup", get(show).post(create))
}

async fn show(State(web): State<Web>, headers: HeaderMap) -> Result<Response, Problem> {
    if !web.control.accounts().is_empty() {
        return Ok(see(NEXT));
    }
    page(&web, &headers, StatusCode::OK, Form::default(), Faults::default())
}

fn page(web: &Web, headers: &HeaderMap, status: StatusCode, form: Form, faults: Faults) -> Result<Response, Problem> {
    let (language, theme) = (language(headers), theme(headers));
    let data_dir = web.boot.data_dir.display().to_string();
    let html = render(&AccountPage { language, theme, form, faults, data_dir }, language, now())?;
    Ok((status, Html(html)).into_response())
}

async fn create(
    State(web): State<Web>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    own(&headers)?;
    if !web.control.accounts().is_empty() {
        return Ok(see(NEXT));
    }
    let browser = Browser::of(&headers, Some(peer.ip()), over_tls(&request));
    let form = form::of_stranger(request).await?;
    let attempt = Attempt::at_long_secret(peer.ip());
    if let Err(wait) = web.entrance.begin(&attempt, now()) {
        let error = FieldError::new("code", wait.to_html(Language::English), "");
        return page(&web, &headers, StatusCode::TOO_MANY_REQUESTS, form, Faults::new(vec![error], ""));
    }
    let id = form.text("id").to_lowercase();
    if let Err(denied) = web.setup.try_code(form.text("code"), now()) {
        let remedy = match denied {
            Denied::Wrong => "look at the terminal or the log again, and type every letter",
            Denied::Over => {
                // At most one in the time that a code is good: nobody fills the log with them.
                let line = web.setup.line(&web.setup.issue(now()));
                tracing::warn!("{line}");
                "a new one stands in the log now; or run northing setup-code on the server"
            }
        };
        // How the other fields are written is told with it; whether anything is known of them is not.
        let error = FieldError::new("code", "this is not the code, or it is no longer good", remedy);
        let others = [check_id(&id), check_name(form.text("name")), check_password(&id, form.raw("password"))];
        let errors = std::iter::once(error).chain(others.into_iter().filter_map(Result::err)).collect();
        return page(&web, &headers, StatusCode::UNPROCESSABLE_ENTITY, form, Faults::new(errors, ""));
    }
    let made = match new_account(&id, form.text("name"), Role::Admin, form.raw("password"), now()).await {
        Ok(account) => {
            let author = Author { address: Some(peer.ip()), ..Author::new(&account.id) };
            web.control.create_first_admin(account, author).await
        }
        Err(errors) => Err(Refusal::Invalid(errors)),
    };
    match made {
        Ok(account) => {
            web.setup.close();
            web.entrance.succeed(&attempt);
            Ok(login::enter(&web, &account, browser, NEXT))
        }
        Err(Refusal::Invalid(errors)) => {
            page(&web, &headers, StatusCode::UNPROCESSABLE_ENTITY, form, Faults::new(errors, ""))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_opens_for_a_while_whatever_else_is_tried() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let setup = Setup::new("http://127.0.0.1:8053");
        assert_eq!(setup.try_code("", at(0)), Err(Denied::Over));
        let first = setup.issue(at(0));
        assert_eq!(setup.try_code(&first.to_lowercase().replace('-', " "), at(899)), Ok(()));
        assert_eq!(setup.try_code(&first, at(900)), Err(Denied::Over));
        let second = setup.issue(at(900));
        assert_eq!(setup.try_code(&first, at(901)), Err(Denied::Wrong));
        for _ in 0..100 {
            assert_eq!(setup.try_code("BCDF", at(901)), Err(Denied::Wrong));
        }
        assert_eq!(setup.try_code(&second, at(901)), Ok(()));
        setup.close();
        assert_eq!(setup.try_code(&second, at(901)), Err(Denied::Over));
    }
}
