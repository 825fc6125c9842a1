//! The http and https checks: one request on a connection of its own, to the endpoint's address
//! whatever name it carries. Nothing is decompressed, and every read has an end.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::checker::{Failure, Trace, connect};
use super::tcp::{Search, Searched};
use super::tls::{Accept, Trust};
use crate::health::Address;
use crate::model::{HttpCheck, Method};

/// How many redirects are followed where the monitor asks for it.
const MAX_REDIRECTS: usize = 3;
/// The largest head of an answer, in bytes, and its most headers.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEAD_FIELDS: usize = 100;
/// How much of a body is kept of a check that failed, and how long it is waited for: a failure that is
/// certain is not held up to be described.
const MAX_EXCERPT: usize = 1024;
const EXCERPT_WAIT: Duration = Duration::from_millis(200);
const OUR_NAME: &str = concat!("northing/", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// Where a request goes, apart from the address, which never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    scheme: Scheme,
    /// A name or an address, without brackets.
    host: String,
    port: u16,
    path: String,
}

pub(super) async fn check(
    scheme: Scheme,
    check: &HttpCheck,
    ip: IpAddr,
    address: &Address,
    trust: &Trust,
    trace: &mut Trace,
) -> Result<(), Failure> {
    let host = check.host.clone().unwrap_or_else(|| match address {
        Address::Ip(ip) => ip.to_string(),
        Address::Name(name) => name.to_string().trim_end_matches('.').to_owned(),
    });
    let mut place = Place { scheme, host, port: check.port, path: check.path.clone() };
    for _ in 0..=MAX_REDIRECTS {
        let (answer, _connection) = request(&place, check, ip, trust, trace).await?;
        let status = answer.status().as_u16();
        trace.said.status = Some(status);
        let expected = (check.expect_status.first..=check.expect_status.last).contains(&status);
        if check.follow && !expected && answer.status().is_redirection() {
            place = place.redirected(answer.headers(), ip)?;
            continue;
        }
        if !expected {
            trace.said.excerpt = beginning(answer.into_body(), trace.deadline).await;
            return Err(Failure::Down(format!("HTTP {status}, expected {}", check.expect_status)));
        }
        return match &check.expect_body {
            Some(expect) => find_in_body(answer.into_body(), expect, trace).await,
            None => Ok(()),
        };
    }
    Err(Failure::Down(format!("more than {MAX_REDIRECTS} redirects")))
}

impl Place {
    fn default_port(&self) -> u16 {
        match self.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    /// The Host header: brackets around IPv6, and a port that is not the scheme's (RFC 9110
    /// section 7.2). A host that was typed with its port stays as it is.
    fn authority(&self) -> String {
        let host = match self.host.parse::<Ipv6Addr>() {
            Ok(v6) => format!("[{v6}]"),
            Err(_) if self.host.contains(':') => return self.host.clone(),
            Err(_) => self.host.clone(),
        };
        if self.port == self.default_port() { host } else { format!("{host}:{}", self.port) }
    }

    /// Where a redirect leads. The address stays: a name is only sent to it, and another address is
    /// never followed, so that no server can point checks at something else.
    fn redirected(&self, headers: &HeaderMap, ip: IpAddr) -> Result<Place, Failure> {
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let shown: String = location.chars().take(100).collect();
        let elsewhere = |why: &str| Failure::Down(format!("redirects to '{shown}', {why}"));
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let target = Url::parse(&format!("{scheme}://{}{}", self.authority(), self.path))
            .and_then(|here| here.join(location))
            .map_err(|_| elsewhere("which is no address"))?;
        let scheme = match target.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(elsewhere("which is not HTTP")),
        };
        let host = target.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.parse::<IpAddr>().is_ok_and(|other| other != ip) {
            return Err(elsewhere("which is another server"));
        }
        let query = target.query().map(|query| format!("?{query}")).unwrap_or_default();
        let port = target.port_or_known_default().unwrap_or(self.port);
        Ok(Place { scheme, host, port, path: format!("{}{query}", target.path()) })
    }
}

/// Closes the connection when the check is over, however it ends.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn request(
    place: &Place,
    check: &HttpCheck,
    ip: IpAddr,
    trust: &Trust,
    trace: &mut Trace,
) -> Result<(Response<Incoming>, Connection), Failure> {
    let request = write_request(place, check)?;
    let stream = connect(SocketAddr::new(ip, place.port), trace).await?;
    match place.scheme {
        Scheme::Http => exchange(stream, request, trace).await,
        Scheme::Https => {
            let accept = if check.verify_tls { Accept::Trusted } else { Accept::Any };
            let stream = trust.handshake(stream, &place.host, accept, trace).await?;
            exchange(stream, request, trace).await
        }
    }
}

fn write_request(place: &Place, check: &HttpCheck) -> Result<Request<Empty<Bytes>>, Failure> {
    let wrong = |what: &str| Failure::Unable(format!("{what} cannot be sent; correct the monitor"));
    let method = match check.method {
        Method::Get => hyper::Method::GET,
        Method::Head => hyper::Method::HEAD,
    };
    let mut request = Request::builder()
        .method(method)
        .uri(place.path.as_str())
        .body(Empty::new())
        .map_err(|_| wrong(&format!("the path '{}'", place.path)))?;
    let headers = request.headers_mut();
    let host = HeaderValue::try_from(place.authority()).map_err(|_| wrong(&format!("the host '{}'", place.host)))?;
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, HeaderValue::from_static(OUR_NAME));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    for header in &check.headers {
        let name = HeaderName::try_from(&header.name).map_err(|_| wrong(&format!("the header '{}'", header.name)))?;
        let value = HeaderValue::try_from(&header.value).map_err(|_| wrong(&format!("the header '{name}'")))?;
        headers.insert(name, value);
    }
    Ok(request)
}

async fn exchange<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    trace: &mut Trace,
) -> Result<(Response<Incoming>, Connection), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEAD_FIELDS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    // What goes wrong with the connection also reaches the request, which reports it.
    let connection = Connection(tokio::spawn(async move { drop(connection.await) }));
    let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
    trace.latency.first_byte_ms = trace.elapsed_ms();
    Ok((answer, connection))
}

async fn find_in_body(mut body: Incoming, expect: &str, trace: &mut Trace) -> Result<(), Failure> {
    let mut search = Search::new(expect);
    trace.waits_for = "end of the body";
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        match frame.data_ref().map(|bytes| search.push(bytes)) {
            Some(Searched::Found) => return Ok(()),
            Some(Searched::Full) => {
                trace.said.excerpt = excerpt(search.seen());
                return Err(Failure::Down(format!("the first 64 KiB of the body lack '{expect}'")));
            }
            Some(Searched::NotYet) | None => {}
        }
    }
    trace.said.excerpt = excerpt(search.seen());
    Err(Failure::Down(format!("body lacks '{expect}'")))
}

/// The beginning of a body, as far as it comes at once.
async fn beginning(mut body: Incoming, deadline: Instant) -> Option<Arc<str>> {
    let deadline = deadline.min(Instant::now() + EXCERPT_WAIT);
    let mut seen = Vec::new();
    while seen.len() < MAX_EXCERPT
        && let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await
    {
        if let Some(bytes) = frame.data_ref() {
            seen.extend_from_slice(&bytes[..bytes.len().min(MAX_EXCERPT - seen.len())]);
        }
    }
    excerpt(&seen)
}

/// As text; what is none is shown as such.
fn excerpt(bytes: &[u8]) -> Option<Arc<str>> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_EXCERPT)]);
    let plain: String = text.trim().chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    (!plain.is_empty()).then(|| plain.into())
}

/// Names an error of HTTP by the connection's error below it, where there is one.
fn broken(error: &hyper::Error) -> Failure {
    let below = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    match below {
        Some(io) => {
            Failure::from(io.raw_os_error().map_or_else(|| io.kind().into(), std::io::Error::from_raw_os_error))
        }
        None if error.is_incomplete_message() => Failure::Down("connection closed without an answer".into()),
        None => Failure::Down(format!("no HTTP answer: {error}")),
    }
}

#[cfg(test)]
mod tests;
