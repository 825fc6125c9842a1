//! Tables for spreadsheets and programs: what a page's list shows, whole, under its filters. `both` makes the two
//! addresses of a table, `Format::table` its two forms.

use std::convert::Infallible;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::web::Problem;

/// The pages of a table, ending in `.csv` and `.json`; those who may read its page may have it: everybody, or who has
/// the role.
macro_rules! both {
    ($path:literal, $handler:expr $(, $role:expr)?) => {{
        use crate::web::ui::Page;
        let role = [$($role,)? crate::control::token::Role::Viewer][0];
        let csv = Page::new(concat!($path, ".csv"), role, axum::routing::get($handler));
        [csv, Page::new(concat!($path, ".json"), role, axum::routing::get($handler))]
    }};
}
pub(super) use both;

/// The form that an address ends with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Format {
    Csv,
    Json,
}

impl<S: Sync> FromRequestParts<S> for Format {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(if parts.uri.path().ends_with(".json") { Format::Json } else { Format::Csv })
    }
}

impl Format {
    /// Each row is a list of values, one for each column. In JSON a row is an object. Rows are made here, and nobody
    /// else waits for a long table.
    pub fn table<R: IntoIterator<Item = Value>>(
        self,
        file: &str,
        columns: &[&str],
        rows: R,
    ) -> Result<Response, Problem> {
        let values = |row: Value| match row {
            Value::Array(values) => values,
            one => vec![one],
        };
        tokio::task::block_in_place(|| match self {
            Format::Csv => {
                let rows = rows.into_iter().map(|row| values(row).iter().map(plain).collect());
                csv(file, columns, rows)
            }
            Format::Json => {
                let object = |row: Value| {
                    let named = columns.iter().map(|column| (*column).to_owned()).zip(values(row));
                    Value::Object(named.collect::<Map<String, Value>>())
                };
                Ok(json(file, rows.into_iter().map(object).collect::<Vec<Value>>()))
            }
        })
    }
}

/// A value in a cell.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// Rows as CSV (RFC 4180) with a line of column names. A value that a spreadsheet would take for a formula gets
/// a leading apostrophe.
pub fn csv<R: IntoIterator<Item = Vec<String>>>(file: &str, columns: &[&str], rows: R) -> Result<Response, Problem> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed =
        |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "A fault of ours: the table could not be written.");
    writer.write_record(columns).map_err(failed)?;
    for row in rows {
        writer.write_record(row.iter().map(|value| tame(value))).map_err(failed)?;
    }
    let bytes = writer.into_inner().unwrap_or_default();
    Ok((named("text/csv; charset=utf-8", file, "csv"), bytes).into_response())
}

/// The same as JSON.
pub fn json(file: &str, rows: impl Serialize) -> Response {
    (named("application/json", file, "json"), Json(rows)).into_response()
}

fn tame(value: &str) -> String {
    match value.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') if value.parse::<f64>().is_err() => format!("'{value}"),
        _ => value.to_owned(),
    }
}

fn named(kind: &'static str, file: &str, end: &str) -> [(header::HeaderName, HeaderValue); 2] {
    let disposition = format!("attachment; filename=\"northing-{file}.{end}\"");
    let disposition = HeaderValue::from_str(&disposition).unwrap_or(HeaderValue::from_static("attachment"));
    [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CONTENT_DISPOSITION, disposition)]
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::json;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_table_says_the_same_in_both_forms() {
        let text = async |format: Format| {
            let rows = [json!(["eu-1", ["192.0.2.1", "2001:db8::1"], 0.5, null]), json!(["=1+1", [], 0, "a, b"])];
            let response = format.table("x", &["endpoint", "addresses", "share", "note"], rows).unwrap();
            let bytes = to_bytes(response.into_body(), 4096).await.unwrap();
            String::from_utf8(bytes.to_vec()).unwrap()
        };
        let csv = "endpoint,addresses,share,note\neu-1,192.0.2.1 2001:db8::1,0.5,\n'=1+1,,0,\"a, b\"\n";
        assert_eq!(text(Format::Csv).await.replace("\r\n", "\n"), csv);
        let first: Value = serde_json::from_str(&text(Format::Json).await).unwrap();
        let row = json!({ "endpoint": "eu-1", "addresses": ["192.0.2.1", "2001:db8::1"], "share": 0.5, "note": null });
        assert_eq!(first[0], row);
    }
}
