//! Paths, queries and bodies as handlers get them; what is wrong in them becomes a `Problem` that names
//! it, never axum's plain text. Knows nothing of what the values mean.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{self, FromRequest, FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::Problem;
use crate::model::FieldError;

/// The parts of a path that `{…}` stands for.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|extract::Path(path)| Path(path)).map_err(|rejection| {
            let text = rejection.body_text().replace('`', "\"");
            let detail = match text.strip_prefix("Invalid URL: Cannot parse ") {
                Some(rest) if rest.contains("to a \"u") => {
                    format!(
                        "The path holds {}, where a whole number belongs.",
                        rest.split(" to a ").next().unwrap_or_default()
                    )
                }
                _ => format!("{text}; write what is not ASCII as %XX of its UTF-8 bytes."),
            };
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })
    }
}

/// What follows `?`, each value checked by its type.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = extract::Query::<T>::try_from_uri(&parts.uri);
        query.map(|extract::Query(query)| Query(query)).map_err(|rejection| {
            let text = rejection.body_text();
            let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            let (at, reason) = text.split_once(": ").unwrap_or(("query", text));
            let value = pairs(parts.uri.query()).into_iter().find(|(name, _)| name == at).unwrap_or_default().1;
            Problem::fields(vec![wrong_value(at, &value, reason)])
        })
    }
}

/// Serde's reason in the form of every other error.
fn wrong_value(at: &str, value: &str, reason: &str) -> FieldError {
    let remedy = match reason.split_once("expected ") {
        // Only times are read by a grammar of their own.
        _ if reason.contains("failed to parse") || reason.contains("but got") => {
            "use a time such as 2026-11-22T06:00:00Z".to_owned()
        }
        Some((_, words)) => format!("use {}", words.replace('`', "")),
        None if reason.contains("`true` or `false`") => "use true or false".to_owned(),
        None if reason.contains("duplicate field") => "give it once".to_owned(),
        None => "use a whole number, 0 or above".to_owned(),
    };
    FieldError::new(at, format!("{value:?} does not belong here"), remedy)
}

fn pairs(query: Option<&str>) -> Vec<(String, String)> {
    let uri = format!("/?{}", query.unwrap_or_default()).parse().unwrap_or_default();
    extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).map(|query| query.0).unwrap_or_default()
}

/// Refuses parameters that the route does not have: whoever mistypes `plan` must not publish.
pub async fn only_known(
    State(known): State<&'static [(&'static str, &'static str)]>,
    request: Request,
    next: Next,
) -> Response {
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let remedy = match names.join(", ") {
        known if known.is_empty() => "this path has none".to_owned(),
        known => format!("known are: {known}"),
    };
    let mut seen: Vec<String> = Vec::new();
    let mut errors = Vec::new();
    for (name, _) in pairs(request.uri().query()) {
        if !names.contains(&name.as_str()) {
            errors.push(FieldError::new(name, "is not a parameter of this path", remedy.clone()));
        } else if seen.contains(&name) {
            errors.push(FieldError::new(name, "stands twice in the query", "give it once"));
        } else {
            seen.push(name);
        }
    }
    if errors.is_empty() { next.run(request).await } else { Problem::fields(errors).into_response() }
}

/// The whole body, or why not.
pub async fn whole_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection: BytesRejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = "The body is too large; send at most 1 MiB, or 64 MiB for a document or a zone file.";
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        }
        status => Problem::new(status, format!("The body broke off: {}; send it again.", rejection.body_text())),
    })
}

/// A body that is text.
pub struct Text(pub String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        String::from_utf8(whole_body(request, state).await?.to_vec()).map(Text).map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "The body is not UTF-8 text; a zone file escapes bytes as \\DDD.")
        })
    }
}
