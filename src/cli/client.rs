//! Asks the API: of a running server over HTTP, or in this process on the data directory itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::ServiceExt;

use crate::app::Offline;
use crate::web::Problem;

use super::{Failure, Target};

/// Written into the data directory by a running server, readable by its owner only.
pub const LOCAL_FILE: &str = "local.json";
/// The largest response read into memory: an export of a million records.
const MAX_RESPONSE: usize = 512 << 20;
/// How long a server may take: a million records on a slow disk take minutes.
const DEADLINE: Duration = Duration::from_secs(900);

/// How commands on the same machine reach the server that runs on a data directory.
#[derive(Debug, Serialize, Deserialize)]
pub struct Local {
    pub url: String,
    pub token: String,
}

/// Somebody who answers API calls.
pub enum Client {
    Running { http: reqwest::Client, local: Local },
    Offline(Box<Offline>),
}

/// A successful response.
pub struct Reply {
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json<T: for<'de> Deserialize<'de>>(self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::new(format!("the server's answer was not understood: {error}; is it another version?"))
        })
    }
}

impl Client {
    /// A server that runs is asked; else the data directory is opened.
    pub async fn connect(target: &Target) -> Result<Client, Failure> {
        if let Some(url) = &target.server {
            let token = target.token.clone().unwrap_or_default();
            return running(Local { url: url.trim_end_matches('/').into(), token });
        }
        let dir = target.data_dir.clone().unwrap_or_else(usual_dir);
        if let Some(local) = read_local(&dir) {
            let client = running(local)?;
            if client.call(Method::GET, "/healthz", None).await.is_ok() {
                return Ok(client);
            }
        }
        if !dir.exists() {
            let line = format!(
                "{} does not exist; name a data directory with --data-dir, or a server with --server",
                dir.display()
            );
            return Err(Failure::wrong(vec![line]));
        }
        Ok(Client::Offline(Box::new(Offline::open(&dir)?)))
    }

    /// Sends `body` to `path`; a refusal becomes a `Failure` with every field error on a line.
    pub async fn call(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Reply, Failure> {
        let (status, body) = match self {
            Client::Running { http, local } => over_http(http, local, method, path, body).await?,
            Client::Offline(offline) => in_process(offline, method, path, body).await?,
        };
        if status.is_success() { Ok(Reply { body }) } else { Err(refused(status, &body)) }
    }

    pub async fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.call(Method::GET, path, None).await
    }

    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Reply, Failure> {
        self.call(method, path, Some(body.to_string().into_bytes())).await
    }

    /// Finishes what an offline writer still has to store.
    pub async fn close(self) {
        if let Client::Offline(offline) = self {
            offline.close().await;
        }
    }
}

/// Where a server is likely to keep its data: the demo's directory here, or the package's.
fn usual_dir() -> PathBuf {
    let demo = PathBuf::from("northing-demo");
    if demo.exists() { demo } else { crate::config::Config::default().data_dir }
}

fn read_local(dir: &Path) -> Option<Local> {
    serde_json::from_slice(&std::fs::read(dir.join(LOCAL_FILE)).ok()?).ok()
}

fn running(local: Local) -> Result<Client, Failure> {
    let http = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build();
    let http = http.map_err(|error| Failure::new(format!("no HTTP client could be made: {error}")))?;
    Ok(Client::Running { http, local })
}

async fn over_http(
    http: &reqwest::Client,
    local: &Local,
    method: Method,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<(StatusCode, Vec<u8>), Failure> {
    let unreachable = |error: reqwest::Error| {
        let reason = std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string);
        Failure::new(format!("{} does not answer: {reason}; is northing running there?", local.url))
    };
    let request = http.request(method, format!("{}{path}", local.url)).bearer_auth(&local.token);
    let request = match body {
        Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(body),
        None => request,
    };
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    Ok((status, response.bytes().await.map_err(unreachable)?.to_vec()))
}

async fn in_process(
    offline: &Offline,
    method: Method,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<(StatusCode, Vec<u8>), Failure> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {}", offline.secret))
        .body(Body::from(body.unwrap_or_default()))
        .map_err(|error| Failure::new(format!("the request could not be made: {error}")))?;
    let response = match offline.router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let status = response.status();
    let body = to_bytes(response.into_body(), MAX_RESPONSE).await;
    let body = body.map_err(|error| Failure::new(format!("the answer broke off: {error}")))?;
    Ok((status, body.to_vec()))
}

fn refused(status: StatusCode, body: &[u8]) -> Failure {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        return Failure::new(format!("the server answered {status}: {}", String::from_utf8_lossy(body).trim()));
    };
    let mut lines: Vec<String> = problem.errors.iter().map(ToString::to_string).collect();
    lines.push(problem.detail);
    if status.is_client_error() { Failure::wrong(lines) } else { Failure { lines, status: 1 } }
}

/// A value as a part of a URL's path or query.
pub fn escape(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|b| if keep(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}
