//! HTTP checks against small servers on loopback, good and evil ones.

use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::super::tests::{IMPATIENT, PATIENT, check_once, checker, closed_port, down, serve};
use super::super::{Checker, Finding, Verdict};
use super::*;
use crate::model::{Check, Header, StatusRange};

fn get(server: SocketAddr) -> HttpCheck {
    HttpCheck {
        port: server.port(),
        method: Method::Get,
        path: "/health".into(),
        host: None,
        headers: Vec::new(),
        expect_status: StatusRange { first: 200, last: 299 },
        expect_body: None,
        follow: false,
        verify_tls: true,
        cert_warn_days: 14,
    }
}

async fn ask(check: HttpCheck, timeout: f64) -> Finding {
    check_once(&checker(), "127.0.0.1".parse().unwrap(), Check::Http(check), timeout).await
}

/// Reads a request's head.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// A server that answers every request with the same bytes and closes.
async fn answering(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = Arc::new(answer.into());
    serve(move |mut stream: TcpStream| {
        let answer = answer.clone();
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(&answer).await;
        }
    })
    .await
}

async fn verdict_on(answer: impl Into<Vec<u8>>, expect_body: Option<&str>) -> Verdict {
    let server = answering(answer).await;
    ask(HttpCheck { expect_body: expect_body.map(Into::into), ..get(server) }, PATIENT).await.verdict
}

#[tokio::test]
async fn an_expected_status_is_up_with_its_milestones() {
    let server = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let found = ask(get(server), PATIENT).await;
    assert_eq!(found.verdict, Verdict::Up);
    let latency = found.latency;
    assert!(latency.connect_ms.unwrap() <= latency.first_byte_ms.unwrap());
    assert!(latency.first_byte_ms.unwrap() <= latency.total_ms.unwrap());
    assert_eq!((latency.tls_ms, found.certificate_ends), (None, None));
}

#[tokio::test]
async fn status_and_body_decide() {
    let table = [
        ("HTTP/1.1 503 Busy\r\n\r\n", None, down("HTTP 503, expected 200-299")),
        ("HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n", None, down("HTTP 302, expected 200-299")),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nnot ready", Some("ready"), Verdict::Up),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end: ready", Some("ready"), Verdict::Up),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nrea\r\n2\r\ndy\r\n0\r\n\r\n",
            Some("ready"),
            Verdict::Up,
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbusy", Some("ready"), down("body lacks 'ready'")),
        ("HTTP/1.0 200 OK\r\n\r\n", None, Verdict::Up),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbusy", Some("ready"), down("connection closed")),
    ];
    for (answer, expect_body, expected) in table {
        assert_eq!(verdict_on(answer, expect_body).await, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn broken_connections_have_their_words() {
    assert_eq!(ask(get(closed_port().await), PATIENT).await.verdict, down("connection refused"));

    assert_eq!(verdict_on("", None).await, down("connection closed without an answer"));

    let resetting = serve(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        stream.set_zero_linger().unwrap();
    });
    assert_eq!(ask(get(resetting.await), PATIENT).await.verdict, down("connection reset"));

    let silent = serve(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    });
    assert_eq!(ask(get(silent.await), IMPATIENT).await.verdict, down("no answer within 0.3 s"));

    for answer in ["SSH-2.0-OpenSSH_9.2\r\n".to_owned(), format!("HTTP/1.1 200 OK\r\nbig: {}", "a".repeat(200_000))] {
        match verdict_on(answer, None).await {
            Verdict::Down(reason) => assert!(reason.starts_with("no HTTP answer: "), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(1_000));
    assert!(matches!(verdict_on(many_headers, None).await, Verdict::Down(_)));
}

#[tokio::test]
async fn an_endless_or_packed_body_is_read_no_further_than_64_kib() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\x1f\x08"] {
        let written = Arc::new(AtomicUsize::new(0));
        let counted = written.clone();
        let endless = serve(move |mut stream: TcpStream| {
            let counted = counted.clone();
            async move {
                read_head(&mut stream).await;
                stream.write_all(head.as_bytes()).await.unwrap();
                while let Ok(length) = stream.write(&[0; 4096]).await {
                    counted.fetch_add(length, Ordering::Relaxed);
                }
            }
        });
        let check = HttpCheck { expect_body: Some("ready".into()), ..get(endless.await) };
        assert_eq!(ask(check, PATIENT).await.verdict, down("the first 64 KiB of the body lack 'ready'"));
        let written = written.load(Ordering::Relaxed);
        assert!(written < 32 << 20, "only socket buffers fill beyond what is read: {written}");
    }
}

#[tokio::test]
async fn a_body_that_drips_ends_with_the_deadline() {
    let dripping = serve(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(b".").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let check = HttpCheck { expect_body: Some("ready".into()), ..get(dripping.await) };
    assert_eq!(ask(check, IMPATIENT).await.verdict, down("no end of the body within 0.3 s"));
}

#[tokio::test]
async fn a_redirect_is_followed_only_on_the_same_address() {
    let metadata = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/meta-data/\r\n\r\n";
    let found = ask(HttpCheck { follow: true, ..get(answering(metadata).await) }, PATIENT).await;
    let reason = "redirects to 'http://169.254.169.254/latest/meta-data/', which is another server";
    assert_eq!(found.verdict, down(reason));

    let to_file = "HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\n\r\n";
    let found = ask(HttpCheck { follow: true, ..get(answering(to_file).await) }, PATIENT).await;
    assert_eq!(found.verdict, down("redirects to 'file:///etc/passwd', which is not HTTP"));

    let in_a_circle = "HTTP/1.1 302 Found\r\nlocation: ?again\r\n\r\n";
    let found = ask(HttpCheck { follow: true, ..get(answering(in_a_circle).await) }, PATIENT).await;
    assert_eq!(found.verdict, down("more than 3 redirects"));

    let moved = serve(|mut stream: TcpStream| async move {
        let port = stream.local_addr().unwrap().port();
        let head = read_head(&mut stream).await;
        let answer = if head.starts_with("GET /health ") {
            // The name leads nowhere by DNS; the check stays on its address.
            format!("HTTP/1.1 301 Moved\r\nlocation: http://www.invalid:{port}/new?x=1\r\n\r\n")
        } else if head.starts_with("GET /new?x=1 ") && head.contains(&format!("host: www.invalid:{port}\r\n")) {
            "HTTP/1.1 200 OK\r\n\r\n".into()
        } else {
            "HTTP/1.1 400 Bad\r\n\r\n".into()
        };
        let _ = stream.write_all(answer.as_bytes()).await;
    });
    let found = ask(HttpCheck { follow: true, ..get(moved.await) }, PATIENT).await;
    assert_eq!(found.verdict, Verdict::Up);
}

#[tokio::test]
async fn the_request_carries_host_path_and_headers() {
    let (sender, mut heads) = tokio::sync::mpsc::channel(10);
    let server = serve(move |mut stream: TcpStream| {
        let sender = sender.clone();
        async move {
            sender.send(read_head(&mut stream).await).await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        }
    })
    .await;
    let plain = get(server);
    assert_eq!(ask(plain.clone(), PATIENT).await.verdict, Verdict::Up);
    let head = heads.recv().await.unwrap();
    assert!(head.starts_with("GET /health HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {server}\r\n")), "{head}");
    assert!(head.contains("connection: close\r\n") && !head.contains("accept-encoding"), "{head}");

    let headers = vec![Header { name: "Authorization".into(), value: "Bearer x".into() }];
    let check = HttpCheck { method: Method::Head, host: Some("www.example".into()), headers, ..plain.clone() };
    assert_eq!(ask(check, PATIENT).await.verdict, Verdict::Up);
    let head = heads.recv().await.unwrap();
    assert!(head.starts_with("HEAD /health HTTP/1.1\r\n") && head.contains("authorization: Bearer x\r\n"), "{head}");
    assert!(head.contains(&format!("host: www.example:{}\r\n", server.port())), "{head}");

    let wrong = HttpCheck { host: Some("two words\n".into()), ..plain };
    assert!(matches!(ask(wrong, PATIENT).await.verdict, Verdict::Unable(_)));
}

#[test]
fn the_host_header_has_brackets_and_only_unusual_ports() {
    let place = |scheme, host: &str, port| Place { scheme, host: host.into(), port, path: "/".into() }.authority();
    assert_eq!(place(Scheme::Http, "2001:db8::1", 80), "[2001:db8::1]");
    assert_eq!(place(Scheme::Https, "2001:db8::1", 8443), "[2001:db8::1]:8443");
    assert_eq!(place(Scheme::Https, "www.example", 443), "www.example");
    assert_eq!(place(Scheme::Http, "www.example", 443), "www.example:443");
    assert_eq!(place(Scheme::Http, "www.example:81", 8080), "www.example:81", "as it was typed");
}

/// An authority of the tests, and servers with its certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn called(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn checker(&self) -> Checker {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Checker::trusting(Trust::in_roots(roots))
    }

    /// An https server whose certificate is for `name` and ends after `seconds`.
    async fn server(&self, name: &str, seconds: i64) -> (SocketAddr, Timestamp) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let ends = Timestamp::from_second(Timestamp::now().as_second() + seconds).unwrap();
        params.not_after = std::time::SystemTime::from(ends).into();
        let leaf = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = serve(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                read_head(&mut stream).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nready").await;
                let _ = stream.shutdown().await;
            }
        });
        (server.await, ends)
    }
}

async fn ask_https(checker: &Checker, check: HttpCheck, timeout: f64) -> Finding {
    check_once(checker, "127.0.0.1".parse().unwrap(), Check::Https(check), timeout).await
}

fn https(server: SocketAddr) -> HttpCheck {
    HttpCheck { host: Some("www.example".into()), expect_body: Some("ready".into()), ..get(server) }
}

const DAY: i64 = 86_400;

#[tokio::test]
async fn a_good_certificate_is_up_and_its_end_is_kept() {
    let authority = Authority::called("Own");
    let (server, ends) = authority.server("www.example", 20 * DAY).await;
    let found = ask_https(&authority.checker(), https(server), PATIENT).await;
    assert_eq!((found.verdict, found.certificate_ends), (Verdict::Up, Some(ends)));
    let latency = found.latency;
    assert!(latency.connect_ms.unwrap() < latency.tls_ms.unwrap());
    assert!(latency.tls_ms.unwrap() <= latency.first_byte_ms.unwrap());

    let (by_address, _) = authority.server("127.0.0.1", 20 * DAY).await;
    let found = ask_https(&authority.checker(), HttpCheck { host: None, ..https(by_address) }, PATIENT).await;
    assert_eq!(found.verdict, Verdict::Up, "a certificate for the address, where no host is set");
}

#[tokio::test]
async fn a_bad_certificate_says_what_is_wrong_with_it() {
    let authority = Authority::called("Own");
    let checker = authority.checker();
    let (expired, ends) = authority.server("www.example", -3 * DAY - 60).await;
    let found = ask_https(&checker, https(expired), PATIENT).await;
    assert_eq!((found.verdict, found.certificate_ends), (down("certificate expired 3 days ago"), Some(ends)));

    let (other, _) = authority.server("other.example", DAY).await;
    let found = ask_https(&checker, https(other), PATIENT).await;
    assert_eq!(found.verdict, down("certificate is for other.example, not www.example"));

    let (foreign, _) = Authority::called("Foreign").server("www.example", DAY).await;
    let found = ask_https(&checker, https(foreign), PATIENT).await;
    assert_eq!(found.verdict, down("certificate is of an authority that this machine does not trust"));

    for server in [expired, other, foreign] {
        let found = ask_https(&checker, HttpCheck { verify_tls: false, ..https(server) }, PATIENT).await;
        assert_eq!(found.verdict, Verdict::Up, "without verification any certificate will do");
        assert!(found.certificate_ends.is_some());
    }
}

#[tokio::test]
async fn a_handshake_that_fails_says_why() {
    let checker = Authority::called("Own").checker();
    let plain = answering("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let Verdict::Down(reason) = ask_https(&checker, https(plain), IMPATIENT).await.verdict else { panic!("up") };
    assert!(reason == "no TLS handshake within 0.3 s", "a server without TLS waits for a request: {reason}");

    let shouting = serve(|mut stream: TcpStream| async move {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
        let _ = stream.read_u8().await;
    });
    let Verdict::Down(reason) = ask_https(&checker, https(shouting.await), PATIENT).await.verdict else { panic!("up") };
    assert!(reason.starts_with("TLS handshake failed: "), "{reason}");

    let closing = serve(|mut stream: TcpStream| async move { drop(stream.read_u8().await) }).await;
    let Verdict::Down(reason) = ask_https(&checker, https(closing), PATIENT).await.verdict else { panic!("up") };
    assert!(reason.starts_with("TLS handshake failed: connection "), "{reason}");

    let found = ask_https(&super::super::tests::checker(), https(plain), PATIENT).await;
    assert!(matches!(found.verdict, Verdict::Unable(_)), "a machine without authorities blames no server");
}

#[tokio::test]
async fn a_failure_shows_its_status_and_the_beginning_of_the_body() {
    let body = "x".repeat(2000);
    let server = answering(format!("HTTP/1.1 503 No\r\ncontent-length: 2000\r\n\r\n{body}")).await;
    let found = ask(get(server), PATIENT).await;
    assert_eq!(found.verdict, down("HTTP 503, expected 200-299"));
    assert_eq!(found.said.status, Some(503));
    assert_eq!(found.said.excerpt.unwrap().len(), MAX_EXCERPT);
    let up = ask(get(answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await), PATIENT).await;
    assert_eq!((up.said.status, up.said.excerpt), (Some(200), None));
}

#[tokio::test]
async fn a_body_that_never_comes_does_not_hold_a_failure_up() {
    let server = serve(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 5\r\n\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let found = ask(get(server), PATIENT).await;
    assert_eq!((found.verdict, found.said.excerpt), (down("HTTP 500, expected 200-299"), None));
}
