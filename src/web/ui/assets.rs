//! Files that pages need, inside the binary. Their addresses carry a hash of their content, so that browsers
//! keep them for good and see a new version at once.

use std::collections::HashMap;
use std::sync::OnceLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;

use crate::web::Problem;
use crate::web::extract::Path;

#[derive(Embed)]
#[folder = "static/"]
struct Static;

/// `/static/app.css?v=0123456789abcdef`.
pub fn url(path: &str) -> String {
    static VERSIONS: OnceLock<HashMap<String, String>> = OnceLock::new();
    let versions = VERSIONS.get_or_init(|| {
        let hash = |file: rust_embed::EmbeddedFile| {
            file.metadata.sha256_hash()[..8].iter().map(|b| format!("{b:02x}")).collect()
        };
        Static::iter().filter_map(|path| Some((path.to_string(), hash(Static::get(&path)?)))).collect()
    });
    match versions.get(path) {
        Some(version) => format!("/static/{path}?v={version}"),
        None => format!("/static/{path}"),
    }
}

pub async fn file(Path(path): Path<String>) -> Result<Response, Problem> {
    let file = Static::get(&path).ok_or_else(|| Problem::not_found(format!("There is no file {path}.")))?;
    let kind = match path.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("woff2") => "font/woff2",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Ok((headers, file.data).into_response())
}
