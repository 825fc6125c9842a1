//! One's own account: name, password, second factor, sessions, and how pages look. What changes how one signs in
//! asks for the password again, and ends the sessions of all other browsers.

use std::sync::Arc;

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use qrcode::{Color, EcLevel, QrCode};
use serde_json::json;

use super::export::{Format, both};
use super::form::{Faults, Form};
use super::frame::{Frame, Place};
use super::login::CHANGE_PASSWORD;
use super::session::{Browser, Notice, Session, Which};
use super::text::{Language, Text, text};
use super::visit::{Visit, see};
use super::{Page, filters, kept};
use crate::control::account::{
    Account, RECOVERY_CODES, SecondFactor, check_name, check_password, code, totp_secret, totp_step, totp_url,
};
use crate::control::accounts::{hash_password, password_matches};
use crate::control::lockout::Attempt;
use crate::control::token::Role;
use crate::control::{Refusal, now};
use crate::model::FieldError;
use crate::web::Problem;
use crate::web::extract::Path;

const ACCOUNT: &str = "/account";
/// Light squares round a QR code, as its standard asks.
const QUIET: usize = 4;

pub(super) fn pages() -> Vec<Page> {
    let mut pages = vec![
        Page::new(ACCOUNT, Role::Viewer, get(show).post(rename)),
        Page::new(CHANGE_PASSWORD, Role::Viewer, get(show_password).post(change_password)),
        Page::new("/account/totp", Role::Viewer, get(show_totp).post(set_totp)),
        Page::new("/account/totp/remove", Role::Viewer, post(remove_totp)),
        Page::new("/account/sessions/{id}/end", Role::Viewer, post(end_session)),
        Page::new("/account/sessions/end", Role::Viewer, post(end_others)),
    ];
    pages.extend(both!("/account/sessions", session_rows));
    pages
}

#[derive(Template)]
#[template(path = "ui/account.html")]
struct Show {
    frame: Frame,
    account: Arc<Account>,
    sessions: Vec<Arc<Session>>,
    own: String,
    form: Form,
    faults: Faults,
}

#[derive(Template)]
#[template(path = "ui/account_password.html")]
struct Password {
    frame: Frame,
    faults: Faults,
}

#[derive(Template)]
#[template(path = "ui/account_totp.html")]
struct SetUp {
    frame: Frame,
    /// There is one already, which is replaced.
    is_on: bool,
    secret: String,
    /// Side of the code, and the path that draws its dark squares.
    side: usize,
    path: String,
    faults: Faults,
}

impl SetUp {
    /// In groups, to be typed.
    fn spaced(&self) -> String {
        let letters: Vec<char> = self.secret.chars().collect();
        letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
    }
}

#[derive(Template)]
#[template(path = "ui/account_codes.html")]
struct Codes {
    frame: Frame,
    codes: Vec<String>,
}

fn own(visit: &Visit) -> Result<Arc<Account>, Problem> {
    visit.web.control.account(&visit.user().id).ok_or_else(|| Problem::not_found("Your account was just deleted."))
}

async fn show(visit: Visit) -> Result<Response, Problem> {
    let form = Form(vec![("name".into(), visit.user().name.clone())]);
    page(&visit, StatusCode::OK, form, Faults::default()).await
}

async fn page(visit: &Visit, status: StatusCode, form: Form, faults: Faults) -> Result<Response, Problem> {
    let account = own(visit)?;
    let sessions = visit.web.sessions.of(&account, visit.now);
    let frame = visit.frame(Place::Elsewhere, text("Account")).await;
    Ok(visit.page_with(status, &Show { frame, account, sessions, own: visit.session.id.clone(), form, faults }))
}

async fn session_rows(visit: Visit, format: Format) -> Result<Response, Problem> {
    let sessions = visit.web.sessions.of(&own(&visit)?, visit.now);
    let rows = sessions.iter().map(|session| {
        json!([session.browser, session.address, session.opened, session.used(), session.id == visit.session.id])
    });
    format.table("sessions", &["browser", "address", "signed_in", "last_used", "this_one"], rows)
}

async fn rename(visit: Visit, form: Form) -> Result<Response, Problem> {
    let name = form.text("name").to_owned();
    if let Err(error) = check_name(&name) {
        return page(&visit, StatusCode::UNPROCESSABLE_ENTITY, form, Faults::new(vec![error], "")).await;
    }
    let edit = move |account: &mut Account| {
        account.name = if name.is_empty() { account.id.clone() } else { name };
        Ok(())
    };
    visit.web.control.edit_account(&visit.user().id, "rename user", visit.author(), edit).await?;
    visit.say(text("Your name is changed."));
    Ok(see(ACCOUNT))
}

async fn show_password(visit: Visit) -> Response {
    password_page(&visit, StatusCode::OK, Faults::default()).await
}

async fn password_page(visit: &Visit, status: StatusCode, faults: Faults) -> Response {
    let frame = visit.frame(Place::Elsewhere, text("Change password")).await.under(text("Account"), ACCOUNT);
    visit.page_with(status, &Password { frame, faults })
}

async fn change_password(visit: Visit, headers: HeaderMap, form: Form) -> Result<Response, Problem> {
    let account = own(&visit)?;
    let mut errors = proof(&visit, &account, &form).await.err().map_or_else(Vec::new, |error| vec![error]);
    let new = form.raw("new_password");
    errors
        .extend(check_password(&account.id, new).err().map(|error| FieldError { at: "new_password".into(), ..error }));
    if errors.is_empty() && form.raw("password") == new {
        errors.push(FieldError::new("new_password", "this is the password that you have", "choose another"));
    }
    if !errors.is_empty() {
        return Ok(password_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, Faults::new(errors, "")).await);
    }
    let hash = hash_password(new).await;
    let edit = move |account: &mut Account| {
        account.password = hash;
        account.must_change = false;
        Ok(())
    };
    let account = visit.web.control.edit_proved(&account, "change password", visit.author(), edit).await?;
    let (cookie, session) = reopened(&visit, &headers, &account);
    session.say(Notice { text: text("Your password is changed. Other browsers are signed out.") });
    let mut response = match visit.session.take_kept() {
        Some((form, back)) => kept::page(&headers, session.form_token.clone(), form, &back)?,
        None => see(if visit.user().must_change { "/" } else { ACCOUNT }),
    };
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// The password once more, tried as seldom as at a sign-in.
async fn proof(visit: &Visit, account: &Account, form: &Form) -> Result<(), FieldError> {
    let attempt = begin(visit, account, "password")?;
    if !password_matches(Some(account), form.raw("password")).await {
        return Err(FieldError::new("password", "This is not your password", ""));
    }
    visit.web.entrance.succeed(&attempt);
    Ok(())
}

/// Counts a try at the password or the code of somebody who has signed in.
fn begin(visit: &Visit, account: &Account, field: &str) -> Result<Attempt, FieldError> {
    let attempt = Attempt::at(format!("{} when signed in, {field}", account.id), visit.address);
    let begun = visit.web.entrance.begin(&attempt, visit.now);
    begun.map_err(|wait| FieldError::new(field, wait.to_html(Language::English), ""))?;
    Ok(attempt)
}

/// Puts another second factor, or none, in the place of the one that `proved` has. Whoever has a browser that
/// somebody left, and the password, does not have that; its code, or a recovery code, is asked for too.
async fn change_second(
    visit: &Visit,
    proved: &Account,
    form: &Form,
    action: &'static str,
    second: Option<SecondFactor>,
) -> Result<Result<Arc<Account>, FieldError>, Problem> {
    let attempt = match begin(visit, proved, "old_code") {
        Ok(attempt) => attempt,
        Err(error) => return Ok(Err(error)),
    };
    let old_code = form.text("old_code").to_owned();
    let edit = move |account: &mut Account| {
        account.take_code(&old_code, now())?;
        account.second = second;
        Ok(())
    };
    match visit.web.control.edit_proved(proved, action, visit.author(), edit).await {
        Ok(account) => {
            visit.web.entrance.succeed(&attempt);
            Ok(Ok(account))
        }
        Err(Refusal::Invalid(errors)) => {
            let error = errors.into_iter().next().unwrap_or_else(|| FieldError::new("", "this was refused", ""));
            Ok(Err(FieldError { at: "old_code".into(), ..error }))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// As `reopened`, with an answer that is there already.
fn stay(visit: &Visit, headers: &HeaderMap, account: &Account, said: Option<Text>, mut response: Response) -> Response {
    let (cookie, session) = reopened(visit, headers, account);
    if let Some(text) = said {
        session.say(Notice { text });
    }
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

/// Gives this browser a session of the changed account; all others have ended.
fn reopened(visit: &Visit, headers: &HeaderMap, account: &Account) -> (HeaderValue, Arc<Session>) {
    visit.web.sessions.open(account, Browser::of(headers, visit.address, visit.over_tls), visit.now)
}

async fn show_totp(visit: Visit) -> Result<Response, Problem> {
    totp_page(&visit, StatusCode::OK, totp_secret(rand::random()), Faults::default()).await
}

async fn totp_page(visit: &Visit, status: StatusCode, secret: String, faults: Faults) -> Result<Response, Problem> {
    let is_on = own(visit)?.second.is_some();
    let frame = visit.frame(Place::Elsewhere, text("Second factor")).await.under(text("Account"), ACCOUNT);
    let url = totp_url(&secret, &visit.user().id, &frame.node).unwrap_or_default();
    let (side, path) = drawn(&url).unwrap_or_default();
    Ok(visit.page_with(status, &SetUp { frame, is_on, secret, side, path, faults }))
}

/// A QR code as one path of unit squares, and the side of the whole.
fn drawn(text: &str) -> Option<(usize, String)> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, colour)| *colour == Color::Dark);
    let squares = dark.map(|(at, _)| format!("M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET));
    Some((width + 2 * QUIET, squares.collect()))
}

async fn set_totp(visit: Visit, headers: HeaderMap, form: Form) -> Result<Response, Problem> {
    let account = own(&visit)?;
    let secret = form.text("secret").to_owned();
    let mut errors = proof(&visit, &account, &form).await.err().map_or_else(Vec::new, |error| vec![error]);
    let step = totp_step(&secret, form.text("code"), visit.now);
    if step.is_none() {
        let remedy = "look at the app again; the clocks of phone and server have to agree";
        errors.push(FieldError::new("code", "this code is wrong", remedy));
    }
    let Some(step) = step.filter(|_| errors.is_empty()) else {
        return totp_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, secret, Faults::new(errors, "")).await;
    };
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| code(&rand::random())).collect();
    let second = SecondFactor::new(&secret, step, &codes);
    let account = match change_second(&visit, &account, &form, "set up second factor", Some(second)).await? {
        Ok(account) => account,
        Err(error) => {
            let faults = Faults::new(vec![error], "");
            return totp_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, secret, faults).await;
        }
    };
    let frame = visit.frame(Place::Elsewhere, text("Recovery codes")).await.under(text("Account"), ACCOUNT);
    Ok(stay(&visit, &headers, &account, None, visit.page(&Codes { frame, codes })))
}

async fn remove_totp(visit: Visit, headers: HeaderMap, form: Form) -> Result<Response, Problem> {
    let account = own(&visit)?;
    let removed = match proof(&visit, &account, &form).await {
        Ok(()) => change_second(&visit, &account, &form, "remove second factor", None).await?,
        Err(error) => Err(error),
    };
    let account = match removed {
        Ok(account) => account,
        Err(error) => {
            let form = Form(vec![("name".into(), account.name.clone())]);
            return page(&visit, StatusCode::UNPROCESSABLE_ENTITY, form, Faults::new(vec![error], "")).await;
        }
    };
    Ok(stay(&visit, &headers, &account, Some(text("You sign in with the password alone now.")), see(ACCOUNT)))
}

async fn end_session(visit: Visit, Path(id): Path<String>, _: Form) -> Response {
    visit.web.sessions.end(&visit.user().id, Which::One(&id), visit.now);
    visit.say(text("That browser is signed out."));
    see(ACCOUNT)
}

async fn end_others(visit: Visit, _: Form) -> Response {
    visit.web.sessions.end(&visit.user().id, Which::AllBut(&visit.session.id), visit.now);
    visit.say(text("All other browsers are signed out."));
    see(ACCOUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qr_code_is_drawn_with_its_finder_and_its_quiet_zone() {
        let (side, path) = drawn("otpauth://totp/Northing:ann?secret=GEZDGNBVGY3TQOJQ").unwrap();
        assert!(path.starts_with("M4 4h1v1h-1z"), "{path}");
        let last = path.split('M').filter_map(|square| square.split(' ').next()?.parse::<usize>().ok()).max();
        assert_eq!(last, Some(side - QUIET - 1));
    }
}
