//! Errors as clients get them (RFC 9457): what is wrong, where, and what would be right.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::control::Refusal;
use crate::model::FieldError;

/// The body of every response with a status of 400 or above.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    pub title: String,
    pub status: u16,
    /// What is wrong and what to do.
    pub detail: String,
    /// Every field that has to change, where it is about fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    pub fn code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Problem { title, status: status.as_u16(), detail: detail.into(), errors: Vec::new() }
    }

    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.len() {
            1 => "One thing is wrong; nothing was changed.".to_owned(),
            count => format!("{count} things are wrong; nothing was changed."),
        };
        Problem { errors, ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    pub fn stopping() -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Northing is stopping; try again when it runs.")
    }

    pub fn not_found(what: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, what)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(errors) => Problem::fields(errors),
            Refusal::Conflict(detail) => Problem::new(StatusCode::CONFLICT, detail),
            Refusal::NotFound(detail) => Problem::not_found(detail),
            Refusal::Fault(detail) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail),
            Refusal::Full(detail) => Problem::new(StatusCode::INSUFFICIENT_STORAGE, detail),
            Refusal::Busy => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too much is waiting to be stored; try again in a moment.",
            ),
            Refusal::Stopping => Problem::stopping(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code();
        let problem = self.clone();
        let mut response = (status, Json(self)).into_response();
        // Where a browser asked, a page says it instead (`ui::visit::guard`).
        response.extensions_mut().insert(problem);
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}
