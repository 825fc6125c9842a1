//! Reads bodies and preconditions; what is malformed gets a `Problem`, never axum's plain text.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use crate::model::field::Fields;
use crate::model::{FieldError, read_json};
use crate::web::Problem;
use crate::web::extract::whole_body;

/// A JSON body of any shape; fields are read by `read` or by the model.
pub struct Body(pub Value);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = whole_body(request, state).await?;
        if bytes.is_empty() {
            return Ok(Body(Value::Object(serde_json::Map::new())));
        }
        read_json(&bytes)
            .map(Body)
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("The body is not JSON: {error}.")))
    }
}

impl Body {
    /// Reads the fields of the body; every error at once.
    pub fn read<T>(&self, read: impl FnOnce(&mut Fields) -> Option<T>) -> Result<T, Problem> {
        let mut errors: Vec<FieldError> = Vec::new();
        let mut result = None;
        if let Some(mut fields) = Fields::of("", &self.0, &mut errors) {
            result = read(&mut fields);
            fields.finish();
        }
        match result {
            Some(result) if errors.is_empty() => Ok(result),
            _ => Err(Problem::fields(errors)),
        }
    }
}

/// The revision in `If-Match: "7"`, where the header is present.
pub fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let number = text.trim().trim_start_matches("W/").trim_matches('"').parse();
    number.map(Some).map_err(|_| {
        let detail = format!("If-Match {text:?} is not an ETag of ours; send back the one you read, such as \"7\".");
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })
}
