//! Asks the API: of a running server over HTTP, or in this process on the data directory itself.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::ServiceExt;

use crate::app::Offline;
use crate::web::Problem;

use super::{Failure, Target};

/// Written into the data directory by a running server, readable by its owner only.
pub const LOCAL_FILE: &str = "local.json";
/// The largest response read into memory: a backup with two geo databases of the largest size that is taken.
const MAX_RESPONSE: usize = 1 << 30;
/// How long a server may take: a million records on a slow disk take minutes.
const DEADLINE: Duration = Duration::from_secs(900);

/// How commands on the same machine reach the server that runs on a data directory.
#[derive(Debug, Serialize, Deserialize)]
pub struct Local {
    pub url: String,
    pub token: String,
}

/// How often long work shows that it goes on.
const TICK: Duration = Duration::from_secs(1);

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
            let sound = url.parse::<Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
            let mut wrong = Vec::new();
            if !sound {
                wrong.push(format!("--server {url:?} is not a URL; give one such as http://192.0.2.1:8053"));
            }
            if token.is_empty() {
                wrong.push("--server needs a token; give it with --token, or in NORTHING_TOKEN".to_owned());
            } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                wrong.push("the token holds a space or a line feed; give it as nth_… alone".to_owned());
            }
            if !wrong.is_empty() {
                return Err(Failure::wrong(wrong));
            }
            return running(Local { url: url.trim_end_matches('/').into(), token });
        }
        let dirs = target.data_dir.clone().map_or_else(usual_dirs, |dir| vec![dir]);
        for local in dirs.iter().filter_map(|dir| read_local(dir)) {
            let client = running(local)?;
            if client.call(Method::GET, "/healthz", None).await.is_ok() {
                return Ok(client);
            }
        }
        let Some(dir) = dirs.iter().find(|dir| dir.exists()) else {
            let names: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
            let problem = format!("there is no {}", names.join(" and no "));
            let line = format!("{problem}; name a data directory with --data-dir, or a server with --server");
            return Err(Failure::wrong(vec![line]));
        };
        Ok(Client::Offline(Box::new(Offline::open(dir)?)))
    }

    /// Sends `body` to `path`; a refusal becomes a `Failure` with every field error on a line.
    pub async fn call(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Reply, Failure> {
        let answer = async {
            match self {
                Client::Running { http, local } => over_http(http, local, method, path, body).await,
                Client::Offline(offline) => in_process(offline, method, path, body).await,
            }
        };
        let (status, body) = with_progress(answer).await?;
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

/// Where a server is likely to keep its data: as the package does, or as the demo does here. A demo that
/// was tried here once must not take what is meant for the machine's own server.
fn usual_dirs() -> Vec<PathBuf> {
    vec![crate::config::Config::default().data_dir, "northing-demo".into()]
}

fn read_local(dir: &Path) -> Option<Local> {
    serde_json::from_slice(&std::fs::read(dir.join(LOCAL_FILE)).ok()?).ok()
}

fn running(local: Local) -> Result<Client, Failure> {
    let http = reqwest::Client::builder().no_proxy().timeout(DEADLINE).tls_backend_preconfigured(trust()).build();
    let http = http.map_err(|error| Failure::new(format!("no HTTP client could be made: {error}")))?;
    Ok(Client::Running { http, local })
}

/// This machine's certificate authorities. Where it has none only https fails: the server here speaks http.
fn trust() -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

async fn over_http(
    http: &reqwest::Client,
    local: &Local,
    method: Method,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<(StatusCode, Vec<u8>), Failure> {
    let unreachable = |error: reqwest::Error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let reason = cause.to_string();
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

/// Waits for `work`; somebody who looks on sees every second that it goes on.
async fn with_progress<T>(work: impl Future<Output = T>) -> T {
    let begin = Instant::now();
    let mut err = std::io::stderr();
    let mut shown = false;
    tokio::pin!(work);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            () = tokio::time::sleep(TICK) => {}
        }
        if err.is_terminal() {
            shown = true;
            let _ = write!(err, "\rworking, {} s ", begin.elapsed().as_secs());
        }
    };
    if shown {
        let _ = write!(err, "\r                    \r");
    }
    result
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
