//! For machines that watch us: liveness, readiness, metrics; and backups for those who may.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::Author;
use crate::control::token::Role;
use crate::store::Secrets;

use super::extract::Query;
use super::{Problem, Route, Web};

pub(super) fn routes() -> Vec<Route> {
    let alive = get(|| async { Json(json!({ "alive": true })) });
    vec![
        Route::new("get", "/healthz", None, "The process runs", alive).gives("Ready"),
        Route::new("get", "/readyz", None, "DNS answers; 503 while it does not", get(ready)).gives("Ready"),
        Route::new("get", "/metrics", None, "Prometheus metrics", get(metrics)).gives("Metrics"),
        Route::new("get", "/api/v1/backup", Role::Admin, "One file for `northing restore`", get(backup))
            .parameters(&[("secrets", "true to take token hashes along.")])
            .gives("Backup"),
    ]
}

async fn ready(State(web): State<Web>) -> (StatusCode, Json<Value>) {
    let ready = web.ready.load(Ordering::Relaxed);
    let snapshot = web.control.snapshot();
    let body = json!({
        "ready": ready,
        "revision": snapshot.model().revision,
        "zones": snapshot.model().zones.len(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}

async fn metrics(State(web): State<Web>) -> Response {
    let text = web.metrics.render(&web.control);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

#[derive(Deserialize)]
struct BackingUp {
    #[serde(default)]
    secrets: bool,
}

async fn backup(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Query(query): Query<BackingUp>,
) -> Result<Response, Problem> {
    let secrets = if query.secrets { Secrets::Include } else { Secrets::LeaveOut };
    let stream = backup_body(&web, secrets, author).await?;
    let name = "attachment; filename=\"northing.backup\"";
    Ok(([(header::CONTENT_DISPOSITION, name)], Body::from_stream(stream)).into_response())
}

/// Makes a backup and leaves nothing of it on this machine.
pub(super) async fn backup_body(
    web: &Web,
    secrets: Secrets,
    author: Author,
) -> Result<tokio_util::io::ReaderStream<tokio::fs::File>, Problem> {
    let fault = |error: std::io::Error| {
        let detail = format!("The backup could not be read from the temporary directory: {error}.");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    };
    let file = std::env::temp_dir().join(format!("northing-backup-{:016x}", rand::random::<u64>()));
    let result = web.control.backup(file.clone(), secrets, author).await;
    let opened = tokio::fs::File::open(&file).await;
    // The open file stays readable; nothing is left behind, whatever happens to the client.
    let _ = tokio::fs::remove_file(&file).await;
    result?;
    Ok(tokio_util::io::ReaderStream::new(opened.map_err(fault)?))
}
