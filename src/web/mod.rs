//! HTTP: the API, health and metrics, and the status page. Extracts what was sent, asks `control`,
//! and writes the result; decides nothing.

mod access;
mod api;
mod extract;
mod ops;
mod problem;
mod route;
mod ui;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::config::Config;
use crate::control::Control;
use crate::control::token::Token;
use crate::metrics::Metrics;

pub use api::{make_token, openapi};
pub use problem::Problem;
use route::Route;
pub use ui::{Delegations, Entrance, Maps, Sessions, Setup, Streams};

/// The largest body but for whole documents, in bytes.
const MAX_BODY: usize = 1 << 20;
/// The largest zone file or document: about a million records.
const MAX_DOCUMENT: usize = 64 << 20;
/// How long a request may take to arrive, and one that only reads to be answered. A publication is not cut
/// off: it happens whether or not somebody still waits for the answer.
const DEADLINE: Duration = Duration::from_secs(60);

/// What is read of a body after its request was answered, in bytes: most files that somebody takes by mistake.
const MAX_READ_ON: usize = 256 << 20;

/// Marks a request that came encrypted, so that its cookies may be bound to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverTls;

/// What every handler can reach. Cheap to clone.
#[derive(Clone)]
pub struct Web {
    pub control: Control,
    pub metrics: Arc<Metrics>,
    /// Opens everything to the command line on this machine; made anew at every start.
    pub local_token: Arc<Token>,
    /// True while DNS answers.
    pub ready: Arc<AtomicBool>,
    /// Who has signed in with a browser.
    pub sessions: Arc<Sessions>,
    /// What stands before a sign-in.
    pub entrance: Arc<Entrance>,
    /// Makes the first admin.
    pub setup: Arc<Setup>,
    /// What the process was started with; sockets as they are bound.
    pub boot: Arc<Config>,
    /// Pages that are followed live.
    pub streams: Arc<Streams>,
    /// Where clients are sent, worked out once for each change.
    pub maps: Arc<Maps>,
    /// What parents were found to say of zones.
    pub delegations: Arc<Delegations>,
}

/// The whole of HTTP as one service.
pub fn router(web: Web) -> Router {
    let mut router = Router::new();
    for route in api::routes().into_iter().chain(ops::routes()) {
        let guard = route.role.map(|needs| access::Guard::new(&web, &route, needs));
        let Route { method, path, role, handler, takes, parameters, .. } = route;
        let limit = if matches!(takes, Some("Document" | "ZoneFile")) { MAX_DOCUMENT } else { MAX_BODY };
        let handler = handler.layer::<_, Infallible>(middleware::from_fn_with_state(limit, arrive));
        let handler = handler.layer(DefaultBodyLimit::max(limit));
        let handler = match method {
            "get" => handler.layer(middleware::from_fn(in_time)),
            _ => handler,
        };
        let handler = match role {
            // Those who watch us may add what they like.
            None => handler,
            Some(_) => handler.layer(middleware::from_fn_with_state(parameters, extract::only_known)),
        };
        let handler = match guard {
            None => handler,
            Some(guard) => handler.layer(middleware::from_fn_with_state(guard, access::authorize)),
        };
        router = router.route(&path, handler);
    }
    router
        .merge(ui::routes(&web))
        .fallback(|request: Request| async move {
            Problem::not_found(match ui::wants_page(&request) {
                true => "Nothing is at this address.",
                false => "Nothing is at this address. /api/v1/openapi.json lists what the API has.",
            })
        })
        .method_not_allowed_fallback(|request: Request| async move {
            let detail = match ui::wants_page(&request) {
                true => format!("It does not take {}.", request.method()),
                false => "The path has no such method; GET /api/v1/openapi.json lists all.".into(),
            };
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        })
        .with_state(web.clone())
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            let detail =
                "A fault of ours, with its place in the log; look whether the request took effect, and report it.";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
        }))
        .layer(middleware::from_fn_with_state(web, ui::troubles))
        .layer(middleware::from_fn(read_on))
        .layer(CompressionLayer::new())
        .layer(header_layer("x-content-type-options", "nosniff"))
        .layer(header_layer("referrer-policy", "same-origin"))
        .layer(header_layer("cache-control", "no-store"))
        .layer(header_layer("content-security-policy", PAGE_POLICY))
}

/// Ends a request that only reads and takes too long.
async fn in_time(request: Request, next: Next) -> Response {
    let late = || {
        let detail = format!("The answer took longer than {} s to make; ask for less.", DEADLINE.as_secs());
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
    };
    tokio::time::timeout(DEADLINE, next.run(request)).await.unwrap_or_else(|_| late())
}

/// Reads what is left of a body that was answered before its end, as where it is too large, and only then gives the
/// answer: a browser looks for one when it has sent everything, and shows a broken connection where it cannot. Where
/// the rest is too much or comes too late, the connection ends with the answer.
async fn read_on(request: Request, next: Next) -> Response {
    // Whoever asks first whether to send has sent nothing as long as nobody reads.
    let asks_first = request.headers().contains_key(header::EXPECT);
    let until = Instant::now() + DEADLINE;
    let (parts, body) = request.into_parts();
    let rest = Rest(Arc::new(Mutex::new((body, Begun::No))));
    let mut response = next.run(Request::from_parts(parts, Body::new(rest.clone()))).await;
    if (asks_first && rest.0.lock().1 == Begun::No) || !rest.ends(until).await {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body whose rest can be read when whoever was to read it has given up.
#[derive(Clone)]
struct Rest(Arc<Mutex<(Body, Begun)>>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Begun {
    No,
    Yes,
}

impl Rest {
    /// Reads to the end; false where it does not come within the limits.
    async fn ends(mut self, until: Instant) -> bool {
        let mut left = MAX_READ_ON;
        let read = async {
            while !self.is_end_stream() {
                let Some(frame) = self.frame().await else { break };
                let Ok(frame) = frame else { return false };
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let Some(less) = left.checked_sub(bytes) else { return false };
                left = less;
            }
            true
        };
        tokio::time::timeout_at(until, read).await.unwrap_or(false)
    }
}

impl HttpBody for Rest {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let (body, begun) = &mut *self.0.lock();
        *begun = Begun::Yes;
        Pin::new(body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().0.size_hint()
    }
}

/// No inline script, no inline style, no frame; what a page shows and runs comes from here.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Takes the whole body, of at most `limit` bytes, before the handler begins.
async fn arrive(State(limit): State<usize>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let whole = Bytes::from_request(Request::from_parts(parts.clone(), body), &());
    match tokio::time::timeout(DEADLINE, whole).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("It is larger than {} MiB, the most that is taken here; send less.", limit >> 20);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).into_response()
        }
        Ok(Err(rejection)) => {
            Problem::new(rejection.status(), format!("It broke off: {}; send it again.", rejection.body_text()))
                .into_response()
        }
        Err(_) => {
            let detail = format!("The body did not arrive within {} s; send it faster.", DEADLINE.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, detail).into_response()
        }
    }
}

fn header_layer(name: &'static str, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(HeaderName::from_static(name), HeaderValue::from_static(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Id, Name, Pool};

    /// What may stand at a place in a path.
    fn is_parameter(segment: &str) -> bool {
        segment.starts_with('{')
    }

    /// True where `value` can be what a parameter of this name stands for.
    fn can_be(parameter: &str, value: &str) -> bool {
        match parameter {
            "{name}" => value.parse::<Name>().is_ok_and(|name| ui::name_path(&name) == format!("/names/{value}")),
            "{number}" | "{key}" => value.parse::<u64>().is_ok(),
            // Of one word each, which their own pages fix.
            "{kind}" | "{licence}" => false,
            _ => value.parse::<Id<Pool>>().is_ok(),
        }
    }

    #[test]
    fn no_route_hides_the_page_of_anything() {
        let api = api::routes().into_iter().map(|route| route.path);
        let paths: Vec<String> = api.chain(ui::paths().map(str::to_owned)).collect();
        let split: Vec<Vec<&str>> = paths.iter().map(|path| path.split('/').collect()).collect();
        let mut compared = 0;
        for open in &split {
            for fixed in split.iter().filter(|fixed| fixed.len() == open.len()) {
                let pairs = || open.iter().zip(fixed);
                let is_beside = pairs().all(|(a, b)| a == b || is_parameter(a) || is_parameter(b));
                for (parameter, word) in pairs().filter(|(a, b)| is_beside && is_parameter(a) && !is_parameter(b)) {
                    compared += 1;
                    assert!(!can_be(parameter, word), "{} hides the {parameter} {word:?}", fixed.join("/"));
                }
            }
        }
        assert!(compared > 10, "only {compared} pairs");
    }
}
