//! Signing in, with a second step where the account has one, and out.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{AppendHeaders, Html, IntoResponse, Response};
use axum::routing::{get, post};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::filters;
use super::form::{self, Form, TOKEN_FIELD};
use super::kept::{self, Kept};
use super::session::{Browser, Found, hash, random_text};
use super::text::{Language, Text, text};
use super::visit::{here, is_own, language, over_tls, render, see, theme};
use crate::control::account::{Account, check_id};
use crate::control::accounts::{Entry, password_matches, signed_in};
use crate::control::lockout::{Attempt, Gate};
use crate::control::{Author, now};
use crate::web::extract::Query;
use crate::web::{Problem, Web};

/// How long somebody may look for their phone.
const SECOND_STEP: SignedDuration = SignedDuration::from_mins(5);
/// Sign-ins that wait for their second step; the oldest goes.
const MAX_WAITING: usize = 1_000;
/// Where a password that somebody else made is changed.
pub const CHANGE_PASSWORD: &str = "/account/password";

/// What stands before the sign-in: how often one may try, and who is between the two steps.
#[derive(Debug, Default)]
pub struct Entrance {
    gate: Mutex<Gate>,
    waiting: Mutex<HashMap<[u8; 32], Waiting>>,
}

/// Somebody whose password was right.
#[derive(Debug, Clone)]
struct Waiting {
    account: String,
    /// The account's: a password that was changed meanwhile is asked for again.
    epoch: u64,
    until: Timestamp,
}

impl Entrance {
    /// Counts a try, or says what the browser is told instead.
    pub fn begin(&self, attempt: &Attempt, now: Timestamp) -> Result<(), Text> {
        self.gate.lock().begin(attempt, now).map_err(|until| {
            // The next full second, so that nobody comes too early.
            let until = (until + SignedDuration::from_millis(999)).strftime("%H:%M:%S").to_string();
            text("Too many tries. Try again from {time} UTC on.").set("time", until)
        })
    }

    pub fn succeed(&self, attempt: &Attempt) {
        self.gate.lock().succeed(attempt);
    }

    fn wait(&self, account: &Account, now: Timestamp) -> String {
        let secret = random_text(32);
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, one| now < one.until);
        if waiting.len() >= MAX_WAITING {
            let oldest = waiting.iter().min_by_key(|(_, one)| one.until).map(|(key, _)| *key);
            oldest.map(|key| waiting.remove(&key));
        }
        let one = Waiting { account: account.id.clone(), epoch: account.epoch, until: now + SECOND_STEP };
        waiting.insert(hash(&secret), one);
        secret
    }

    fn waiting(&self, secret: &str, now: Timestamp) -> Option<Waiting> {
        self.waiting.lock().get(&hash(secret)).filter(|one| now < one.until).cloned()
    }

    fn done(&self, secret: &str) {
        self.waiting.lock().remove(&hash(secret));
    }
}

#[derive(Template)]
#[template(path = "ui/login.html")]
struct Login {
    language: Language,
    theme: &'static str,
    user: String,
    next: String,
    note: Option<Text>,
    fault: Option<Text>,
    kept: Kept,
}

#[derive(Template)]
#[template(path = "ui/login_code.html")]
struct SecondStep {
    language: Language,
    theme: &'static str,
    step: String,
    next: String,
    fault: Option<Text>,
    kept: Kept,
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
    Router::new()
        .route("/login", get(show).post(sign_in))
        .route("/login/code", post(second_step))
        .route("/logout", post(sign_out))
}

/// Answers a request of somebody who has not signed in: the sign-in page, which leads back here. A form that
/// was sent goes along.
pub(super) async fn ask(web: &Web, request: Request, why: Why) -> Response {
    if web.control.accounts().is_empty() {
        return see("/setup");
    }
    let headers = request.headers().clone();
    if request.method() != Method::GET {
        let kept = Kept::of_request(request).await;
        let note = match kept.is_empty() {
            false => text(
                "You were signed out before this arrived. Nothing was changed; sign in, and you can send it again.",
            ),
            true => text(
                "You were signed out before this arrived. Nothing was changed. Forms that take files and very long ones are \
                 not kept: sign in, and send it once more.",
            ),
        };
        let login = Login { note: Some(note), kept, ..Login::new(&headers, sending_page(&headers)) };
        return page(&headers, StatusCode::UNAUTHORIZED, &login).unwrap_or_else(IntoResponse::into_response);
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", &here(&request));
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
    page(&headers, StatusCode::OK, &Login { note, ..Login::new(&headers, next) })
}

impl Login {
    fn new(headers: &HeaderMap, next: String) -> Login {
        let (language, theme) = (language(headers), theme(headers));
        Login { language, theme, user: String::new(), next, note: None, fault: None, kept: Kept::default() }
    }
}

fn page(headers: &HeaderMap, status: StatusCode, template: &impl Template) -> Result<Response, Problem> {
    let html = render(template, language(headers), now())?;
    Ok((status, Html(html)).into_response())
}

async fn sign_in(
    State(web): State<Web>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    own(&request)?;
    let browser = Browser::of(&headers, Some(peer.ip()), over_tls(&request));
    let form = form::of_stranger(request).await?;
    let (user, next, kept) = (form.text("user").to_lowercase(), form.text("next").to_owned(), Kept::of_form(&form));
    let again = |status, fault: Text| {
        let login =
            Login { user: user.clone(), fault: Some(fault), kept: kept.clone(), ..Login::new(&headers, next.clone()) };
        page(&headers, status, &login)
    };
    let known = web.control.account(&user);
    // Names that nobody can have are counted as one: they fill no memory, and are no other purpose's key.
    let counted = if check_id(&user).is_ok() { user.as_str() } else { "" };
    let attempt = match &known {
        Some(account) => Attempt::of(account, Some(peer.ip())),
        None => Attempt::at(counted, Some(peer.ip())),
    };
    if let Err(wait) = web.entrance.begin(&attempt, now()) {
        return again(StatusCode::TOO_MANY_REQUESTS, wait);
    }
    // Not trimmed: a password may begin with a space.
    let matches = password_matches(known.as_deref(), form.raw("password")).await;
    let Some(account) = known.clone().filter(|account| matches && !account.disabled) else {
        if known.is_some() {
            refused(&web, &user, peer.ip(), &attempt);
        }
        return again(StatusCode::UNAUTHORIZED, text("This name and this password do not belong together."));
    };
    if account.second.is_some() {
        let step = web.entrance.wait(&account, now());
        let (language, theme) = (language(&headers), theme(&headers));
        return page(&headers, StatusCode::OK, &SecondStep { language, theme, step, next, fault: None, kept });
    }
    match finish(&web, &headers, browser, &account, String::new(), &next, kept.clone()).await? {
        Finished::Entered(response) => Ok(response),
        Finished::WrongCode | Finished::Changed => again(StatusCode::UNAUTHORIZED, changed_meanwhile()),
    }
}

async fn second_step(
    State(web): State<Web>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    own(&request)?;
    let browser = Browser::of(&headers, Some(peer.ip()), over_tls(&request));
    let form = form::of_stranger(request).await?;
    let (step, next, kept) = (form.text("step").to_owned(), form.text("next").to_owned(), Kept::of_form(&form));
    let again = |status, fault: Text| {
        let (language, theme) = (language(&headers), theme(&headers));
        let (step, next, kept) = (step.clone(), next.clone(), kept.clone());
        page(&headers, status, &SecondStep { language, theme, step, next, fault: Some(fault), kept })
    };
    let known = web.entrance.waiting(&step, now()).and_then(|one| Some((web.control.account(&one.account)?, one)));
    let begin_again = |fault: Text| {
        let login = Login { fault: Some(fault), kept: kept.clone(), ..Login::new(&headers, next.clone()) };
        page(&headers, StatusCode::UNAUTHORIZED, &login)
    };
    let Some((account, _)) = known.filter(|(account, one)| account.epoch == one.epoch && !account.disabled) else {
        return begin_again(text("The second step took too long. Begin again."));
    };
    let attempt = Attempt::of(&account, Some(peer.ip()));
    if let Err(wait) = web.entrance.begin(&attempt, now()) {
        return again(StatusCode::TOO_MANY_REQUESTS, wait);
    }
    let code = form.text("code").to_owned();
    match finish(&web, &headers, browser, &account, code, &next, kept.clone()).await? {
        Finished::Entered(response) => {
            web.entrance.done(&step);
            Ok(response)
        }
        Finished::Changed => {
            web.entrance.done(&step);
            begin_again(changed_meanwhile())
        }
        Finished::WrongCode => {
            refused(&web, &account.id, peer.ip(), &attempt);
            again(StatusCode::UNAUTHORIZED, text("This code is wrong, or was used already. Each opens once."))
        }
    }
}

fn changed_meanwhile() -> Text {
    text("The account was changed while you signed in. Begin again.")
}

enum Finished {
    Entered(Response),
    WrongCode,
    /// What was proved may not be true any more.
    Changed,
}

/// Writes the sign-in of `proved`, whose password was right, down and opens the session.
async fn finish(
    web: &Web,
    headers: &HeaderMap,
    browser: Browser,
    proved: &Account,
    code: String,
    next: &str,
    kept: Kept,
) -> Result<Finished, Problem> {
    let author = Author { address: browser.address, ..Author::new(&proved.id) };
    let account = match signed_in(&web.control, proved, author, code).await? {
        Entry::In(account) => account,
        Entry::WrongCode => return Ok(Finished::WrongCode),
        Entry::Changed => return Ok(Finished::Changed),
    };
    web.entrance.succeed(&Attempt::of(proved, browser.address));
    // What the browser still has of an earlier sign-in ends with this one.
    web.sessions.close(headers, now());
    if kept.is_empty() {
        return Ok(Finished::Entered(enter(web, &account, browser, next)));
    }
    let (cookie, session) = web.sessions.open(&account, browser, now());
    let mut response = if account.must_change {
        session.keep(kept, local(next).to_owned());
        see(CHANGE_PASSWORD)
    } else {
        kept::page(headers, session.form_token.clone(), kept, local(next))?
    };
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(Finished::Entered(response))
}

/// Opens a session and leads to where the browser wanted to go.
pub(super) fn enter(web: &Web, account: &Arc<Account>, browser: Browser, next: &str) -> Response {
    let (cookie, _) = web.sessions.open(account, browser, now());
    let next = if account.must_change { CHANGE_PASSWORD } else { local(next) };
    ([(header::SET_COOKIE, cookie)], see(next)).into_response()
}

/// Writes down that an account is locked now.
fn refused(web: &Web, id: &str, address: IpAddr, attempt: &Attempt) {
    if let Some(until) = web.entrance.gate.lock().locked_until(attempt, now()) {
        tracing::warn!("{address} tried to sign in as {id} too often; it and its like wait until {until:.0}");
        let author = Author { address: Some(address), ..Author::new("nobody") };
        let mut draft = author.act("lock user", format!("users/{id}"));
        draft.reason = format!("too many wrong tries; locked until {until:.0}");
        let control = web.control.clone();
        tokio::spawn(async move { control.record(draft).await });
    }
}

pub(super) fn own(request: &Request) -> Result<(), Problem> {
    let detail = "Another site's page sent this; nothing was done. Open Northing itself and sign in there.";
    if is_own(request) { Ok(()) } else { Err(Problem::new(StatusCode::FORBIDDEN, detail)) }
}

/// `next` where it is a path of ours, else the overview. `//host` and `/\host` are other sites to browsers.
pub fn local(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    let is_header = next.bytes().all(|byte| byte.is_ascii_graphic()) && HeaderValue::from_str(next).is_ok();
    if is_path && is_header { next } else { "/" }
}

/// The page that sent a form, to come back to; the overview where the browser does not say.
pub fn sending_page(headers: &HeaderMap) -> String {
    let from = headers.get(header::REFERER).and_then(|from| from.to_str().ok());
    let path = from.and_then(|from| Some(from.split_once("://")?.1.split_once('/')?.1));
    local(&format!("/{}", path.unwrap_or_default())).to_owned()
}

async fn sign_out(State(web): State<Web>, request: Request) -> Result<Response, Problem> {
    own(&request)?;
    let headers = request.headers().clone();
    if let Found::Session(session, _) = web.sessions.find(&headers, |id| web.control.account(id), now()) {
        let form: Form = form::of_stranger(request).await?;
        if !form::matches(&session, form.text(TOKEN_FIELD)) {
            return Err(form::stale());
        }
    }
    let cookies = web.sessions.close(&headers, now()).map(|cookie| (header::SET_COOKIE, cookie));
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
        for next in ["", "//evil.test", "/\\evil.test", "https://evil.test", "javascript:1", "/\t/evil.test", "/a b"] {
            assert_eq!(local(next), "/");
        }
    }
}
