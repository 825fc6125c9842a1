//! Tables for spreadsheets and programs: what a page's list shows, whole, under its filters.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::web::Problem;

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
