//! What somebody had typed when their session ended: it goes with them through the sign-in, and is offered to be
//! sent again. So is what another tab of theirs sends that was opened before that sign-in. Nothing secret is kept, and
//! nothing is sent without a click.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use askama::Template;

use super::filters;
use super::form::{self, Form, TOKEN_FIELD};
use super::login::{local, sending_page};
use super::session::Session;
use super::text::{Language, Text, text};
use super::visit::{here, language, render, theme};
use crate::control::now;
use crate::web::{DEADLINE, Problem};

/// The most that is carried along, in bytes; a document is larger, and is still in its file.
const MAX_KEPT: usize = 256 << 10;
/// Of a value, when it is shown, in characters.
const MAX_SHOWN: usize = 200;
const PATH_FIELD: &str = "kept";
const FIELD_PREFIX: &str = "kept-";
/// Parts of the names of fields that are not kept.
const SECRET: [&str; 4] = ["password", "secret", "code", "token"];

/// A form that was sent too late.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// Where it was sent; empty where there is none.
    pub path: String,
    pub fields: Vec<(String, String)>,
}

impl Kept {
    /// From the request itself; nothing where it holds files or is too much.
    pub async fn of_request(request: Request) -> Kept {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_form = kind.starts_with("application/x-www-form-urlencoded");
        if !is_form {
            return Kept::default();
        }
        let path = here(&request);
        let body = tokio::time::timeout(DEADLINE, to_bytes(request.into_body(), MAX_KEPT)).await;
        let form = body.ok().and_then(Result::ok).and_then(|body| Form::parse(&body).ok());
        let kept =
            |form: Form| Kept { path, fields: form.0.into_iter().filter(|(name, _)| !is_secret(name)).collect() };
        form.map(kept).unwrap_or_default()
    }

    /// From the sign-in form, which carries it.
    pub fn of_form(form: &Form) -> Kept {
        let field = |(name, value): &(String, String)| {
            name.strip_prefix(FIELD_PREFIX).filter(|name| !is_secret(name)).map(|name| (name.to_owned(), value.clone()))
        };
        let path = form.text(PATH_FIELD);
        let path = if path.is_empty() { String::new() } else { local(path).to_owned() };
        Kept { path, fields: form.0.iter().filter_map(field).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.path.is_empty()
    }

    /// As hidden fields of the sign-in form.
    pub fn carried(&self) -> Vec<(String, String)> {
        if self.is_empty() {
            return Vec::new();
        }
        let fields = self.fields.iter().map(|(name, value)| (format!("{FIELD_PREFIX}{name}"), value.clone()));
        std::iter::once((PATH_FIELD.to_owned(), self.path.clone())).chain(fields).collect()
    }

    /// As people read it: name and the beginning of the value.
    fn shown(&self) -> Vec<(String, String)> {
        let seen = self.fields.iter().filter(|(_, value)| !value.trim().is_empty());
        seen.map(|(name, value)| (name.clone(), value.chars().take(MAX_SHOWN).collect())).collect()
    }
}

#[derive(Template)]
#[template(path = "ui/kept.html")]
struct SendAgain {
    language: Language,
    theme: &'static str,
    why: Text,
    form_token: String,
    kept: Kept,
    /// Where it was typed.
    back: String,
}

/// The page after the sign-in: here is what you had typed.
pub fn page(headers: &HeaderMap, form_token: String, kept: Kept, back: &str) -> Result<Response, Problem> {
    let why = text(
        "You are signed in again. What you sent when your session had ended was not carried out. Here it is, without \
         passwords.",
    );
    send_again(headers, StatusCode::OK, SendAgain::new(headers, why, form_token, kept, back.to_owned()))
}

/// The answer to a form of a page that was opened before the session. Only where the browser says that the page
/// was ours: nobody else's words are offered to be sent.
pub fn of_old_page(headers: &HeaderMap, session: &Session, path: String, form: Form) -> Result<Response, Problem> {
    let is_ours = headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin");
    let size: usize = form.0.iter().map(|(name, value)| name.len() + value.len()).sum();
    if !is_ours || size > MAX_KEPT {
        return Err(form::stale());
    }
    let why = text(
        "The page was opened before you signed in last, so what it sent was not carried out. Here it is, without \
         passwords.",
    );
    let kept = Kept { path, fields: form.0.into_iter().filter(|(name, _)| !is_secret(name)).collect() };
    let (form_token, back) = (session.form_token.clone(), sending_page(headers));
    send_again(headers, StatusCode::FORBIDDEN, SendAgain::new(headers, why, form_token, kept, back))
}

impl SendAgain {
    fn new(headers: &HeaderMap, why: Text, form_token: String, kept: Kept, back: String) -> SendAgain {
        SendAgain { language: language(headers), theme: theme(headers), why, form_token, kept, back }
    }
}

fn send_again(headers: &HeaderMap, status: StatusCode, page: SendAgain) -> Result<Response, Problem> {
    let html = render(&page, language(headers), now())?;
    Ok((status, Html(html)).into_response())
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == TOKEN_FIELD || SECRET.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Form {
        Form(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_was_typed_goes_through_the_sign_in_without_its_secrets() {
        let fields = [("weight", " 5"), ("weight", "6"), ("note", "a&b")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        let kept = Kept { path: "/pools/eu?tab=2".into(), fields: fields.to_vec() };
        let mut sent = Form(kept.carried());
        sent.0.extend(form(&[("user", "ann"), ("password", "x"), ("kept-password", "y"), ("kept-form_token", "z")]).0);
        assert_eq!(Kept::of_form(&sent), kept);
        assert!(Kept::of_form(&form(&[("user", "ann")])).is_empty());
    }

    #[test]
    fn nothing_is_sent_to_another_site() {
        assert_eq!(Kept::of_form(&form(&[("kept", "//evil.test/x")])).path, "/");
    }
}
