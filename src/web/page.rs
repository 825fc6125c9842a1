//! The front page: says that Northing answers and where everything is. Shows nothing of the
//! configuration, because nobody has signed in.

use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::Embed;

use super::extract::Path;
use super::{Problem, Web};

/// Styles and fonts, inside the binary.
#[derive(Embed)]
#[folder = "static/"]
struct Static;

#[derive(Template, WebTemplate)]
#[template(path = "front.html")]
struct Front {
    version: &'static str,
    answering: bool,
}

pub(super) fn routes() -> Router<Web> {
    Router::new().route("/", get(front)).route("/static/{*path}", get(file))
}

async fn front(State(web): State<Web>) -> Front {
    let answering = web.ready.load(std::sync::atomic::Ordering::Relaxed);
    Front { version: env!("CARGO_PKG_VERSION"), answering }
}

async fn file(Path(path): Path<String>) -> Result<Response, Problem> {
    let file = Static::get(&path).ok_or_else(|| Problem::not_found(format!("There is no file {path}.")))?;
    let kind = match path.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("woff2") => "font/woff2",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=3600")];
    Ok((headers, file.data).into_response())
}
