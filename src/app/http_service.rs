//! The sockets of HTTP: connections with limits in number and time, TLS on the one that is for browsers
//! elsewhere, and an end that lets what is under way finish.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::web::OverTls;

/// Connections at one time, over all sockets. A browser holds up to six; beyond this, new ones wait.
const MAX_CONNECTIONS: usize = 2048;
/// How long a client may take for a TLS handshake, and for the head of each request.
const HEAD_WITHIN: Duration = Duration::from_secs(15);
/// A connection over HTTP/2 whose client does not answer a ping for this long is gone.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Requests of one HTTP/2 connection at the same time.
const MAX_STREAMS: u32 = 100;
/// How long what is under way may take after a stop.
const ENDED_WITHIN: Duration = Duration::from_secs(3);
/// What an accept that failed, as for want of file descriptors, is followed by.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What answers on the sockets, and how it ends.
#[derive(Clone)]
pub struct HttpService {
    router: Router,
    connections: Arc<Semaphore>,
    stop: CancellationToken,
    /// Connections from before the stop.
    under_way: TaskTracker,
    /// The sockets, and those who come while the others end: they are told of the stop.
    others: TaskTracker,
    closed: CancellationToken,
}

impl HttpService {
    pub fn new(router: Router, stop: CancellationToken) -> HttpService {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (under_way, others, closed) = (TaskTracker::new(), TaskTracker::new(), CancellationToken::new());
        HttpService { router, connections, stop, under_way, others, closed }
    }

    /// Answers on `listener` until what is under way at the stop has ended; over TLS where `tls` is given.
    pub fn serve(&self, listener: TcpListener, tls: Option<TlsAcceptor>) {
        let service = self.clone();
        self.others.spawn(async move {
            while let Some((stream, client, permit)) = service.accept(&listener).await {
                let (tasks, stop) = match service.stop.is_cancelled() {
                    true => (&service.others, &service.closed),
                    false => (&service.under_way, &service.stop),
                };
                let one = HttpService { stop: stop.clone(), ..service.clone() };
                tasks.spawn(one.connection(stream, client, tls.clone(), permit));
            }
        });
    }

    /// Waits, after the stop, for what is under way, and ends every connection. Lets go of the router, which holds the
    /// store open.
    pub async fn ended(self) {
        self.under_way.close();
        let _ = tokio::time::timeout(ENDED_WITHIN, self.under_way.wait()).await;
        self.closed.cancel();
        self.others.close();
        tokio::join!(self.under_way.wait(), self.others.wait());
    }

    async fn accept(&self, listener: &TcpListener) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        loop {
            let permit = tokio::select! {
                () = self.closed.cancelled() => return None,
                permit = self.connections.clone().acquire_owned() => permit.ok()?,
            };
            let accepted = tokio::select! {
                () = self.closed.cancelled() => return None,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, client)) => return Some((stream, client, permit)),
                Err(error) => {
                    tracing::debug!("an HTTP connection could not be taken: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(
        self,
        stream: TcpStream,
        client: SocketAddr,
        tls: Option<TlsAcceptor>,
        _permit: OwnedSemaphorePermit,
    ) {
        // Small answers should not wait for more.
        let _ = stream.set_nodelay(true);
        let closed = self.closed.clone();
        tokio::select! {
            () = closed.cancelled() => {}
            () = self.answers(stream, client, tls) => {}
        }
    }

    async fn answers(self, stream: TcpStream, client: SocketAddr, tls: Option<TlsAcceptor>) {
        let Some(tls) = tls else {
            return self.http1(stream, client, None).await;
        };
        let accepted = tokio::select! {
            () = self.stop.cancelled() => return,
            accepted = tokio::time::timeout(HEAD_WITHIN, tls.accept(stream)) => accepted,
        };
        let Ok(Ok(stream)) = accepted else { return };
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => self.http2(stream, client).await,
            _ => self.http1(stream, client, Some(OverTls)).await,
        }
    }

    async fn http1(self, stream: impl AsyncRead + AsyncWrite + Unpin, client: SocketAddr, tls: Option<OverTls>) {
        let service = service_fn(|request| answer(self.router.clone(), request, client, tls));
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            _ = connection.as_mut() => {}
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }

    async fn http2(self, stream: impl AsyncRead + AsyncWrite + Unpin, client: SocketAddr) {
        let (router, begun) = (self.router.clone(), Arc::new(AtomicBool::new(false)));
        let asked = begun.clone();
        let service = service_fn(move |request| {
            asked.store(true, Ordering::Relaxed);
            answer(router.clone(), request, client, Some(OverTls))
        });
        // hyper waits without end for the first request, pings or not.
        let silent = async {
            tokio::time::sleep(HEAD_WITHIN).await;
            if begun.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(PING_EVERY).max_concurrent_streams(MAX_STREAMS);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            _ = connection.as_mut() => {}
            () = silent => {}
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}

/// Hands a request to the router, with what it must know of the connection.
async fn answer(
    router: Router,
    mut request: Request<Incoming>,
    client: SocketAddr,
    tls: Option<OverTls>,
) -> Result<Response<Body>, Infallible> {
    // A socket for both families shows IPv4 clients as IPv6.
    let client = SocketAddr::new(client.ip().to_canonical(), client.port());
    request.extensions_mut().insert(ConnectInfo(client));
    if let Some(over) = tls {
        request.extensions_mut().insert(over);
    }
    let request = request.map(|body| Body::new(body.map_err(io::Error::other)));
    router.oneshot(request).await
}
