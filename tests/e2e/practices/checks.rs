//! Checks of servers at application, transport and network level.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{World, document, on_request};
use crate::server::{Server, until};

/// One endpoint on loopback for each check, all in one pool.
fn watched(checks: &[(&str, Value)]) -> Value {
    let by_id = |value: &dyn Fn(&str, &Value) -> Value| {
        Value::Object(checks.iter().map(|(id, check)| ((*id).to_owned(), value(id, check))).collect())
    };
    document(json!({
        "monitors": by_id(&|_, check| on_request(check.clone())),
        "endpoints": by_id(&|id, _| json!({ "ipv4": "127.0.0.1", "monitors": [{ "monitor": id }] })),
        "pools": { "all": super::pool(&checks.iter().map(|(id, _)| *id).collect::<Vec<_>>()) },
    }))
}

/// What each check found at first: its state, and its words.
async fn found(world: &World, endpoint: &str) -> (String, String) {
    let check = world.first_check(endpoint).await;
    (check["state"].as_str().unwrap().to_owned(), check["finding"].as_str().unwrap().to_owned())
}

async fn assert_found(world: &World, endpoint: &str, state: &str, words: &str) {
    let (known, finding) = found(world, endpoint).await;
    assert_eq!(known, state, "{endpoint}: {finding}");
    assert!(finding.contains(words), "{endpoint}: {finding}");
}

async fn listen<F>(on_connection: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(on_connection(stream));
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_check_asks_for_a_status_and_for_text_in_the_body() {
    let router = Router::new()
        .route("/health", get(|| async { "all is ready" }))
        .route("/starting", get(|| async { "not yet" }))
        .route("/sick", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, "ready") }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let check = |path: &str| json!({ "type": "http", "port": port, "path": path, "expect_body": "ready" });
    let tolerant = json!({ "type": "http", "port": port, "path": "/sick", "expect_status": "503" });
    let world = World::new(watched(&[
        ("fine", check("/health")),
        ("starting", check("/starting")),
        ("sick", check("/sick")),
        ("missing", check("/elsewhere")),
        ("tolerant", tolerant),
    ]))
    .await;
    assert_found(&world, "fine", "up", "answered in").await;
    assert_found(&world, "starting", "down", "ready").await;
    assert_found(&world, "sick", "down", "HTTP 503").await;
    assert_found(&world, "missing", "down", "HTTP 404").await;
    assert_found(&world, "tolerant", "up", "answered in").await;
    let latency = &world.checks("fine").await[0]["latency"];
    assert!(latency["first_byte_ms"].as_f64().unwrap() >= latency["connect_ms"].as_f64().unwrap(), "{latency}");
}

/// An https server with a certificate for `name` by `issuer`, which says OK to everything.
async fn https(issuer: &CertifiedIssuer<'_, KeyPair>, name: &str) -> u16 {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    listen(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn trust(dir: &Path, issuer: &CertifiedIssuer<'_, KeyPair>) -> std::path::PathBuf {
    let file = dir.join("authorities.pem");
    std::fs::write(&file, issuer.pem()).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn an_https_check_verifies_name_and_authority_and_tells_when_the_certificate_ends() {
    let (known, stranger) = (authority("Known"), authority("Stranger"));
    let (good, forged) = (https(&known, "www.example.test").await, https(&stranger, "www.example.test").await);
    let dir = TempDir::new().unwrap();
    let server = Server::start_trusting(&dir.path().join("data"), &trust(dir.path(), &known));
    let world = World { server, _dir: dir };
    let check = |port: u16, host: &str| json!({ "type": "https", "port": port, "host": host });
    let lenient = json!({ "type": "https", "port": forged, "host": "www.example.test", "verify_tls": false });
    let all = watched(&[
        ("good", check(good, "www.example.test")),
        ("other-name", check(good, "mail.example.test")),
        ("forged", check(forged, "www.example.test")),
        ("lenient", lenient),
    ]);
    world.put(all).await;
    assert_found(&world, "good", "up", "answered in").await;
    assert_found(&world, "other-name", "down", "mail.example.test").await;
    assert_found(&world, "forged", "down", "certificate").await;
    assert_found(&world, "lenient", "up", "answered in").await;
    let check = &world.checks("good").await[0];
    assert!(check["certificate_ends"].as_str().unwrap().ends_with('Z'), "{check}");
    assert!(check["latency"]["tls_ms"].as_f64().unwrap() > 0.0, "{check}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tcp_check_connects_sends_and_waits_for_an_answer() {
    let port = listen(|stream| async move {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let _ = stream.read_line(&mut line).await;
        let reply = if line.trim() == "PING" { "+PONG\r\n" } else { "-ERR\r\n" };
        let _ = stream.write_all(reply.as_bytes()).await;
    })
    .await;
    let closed = listen(|_| async {}).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let ask = |port: u16, send: &str| json!({ "type": "tcp", "port": port, "send": send, "expect": "+PONG\r\n" });
    let world = World::new(watched(&[
        // As lines of protocols end.
        ("pongs", ask(port, "PING\r\n")),
        ("errs", ask(port, "HELLO\r\n")),
        ("hangs-up", ask(closed, "PING\r\n")),
        ("nobody", json!({ "type": "tcp", "port": nobody })),
        ("open", json!({ "type": "tcp", "port": port })),
    ]))
    .await;
    assert_found(&world, "pongs", "up", "answered in").await;
    assert_found(&world, "errs", "down", "+PONG").await;
    assert_found(&world, "hangs-up", "down", "").await;
    assert_found(&world, "nobody", "down", "refused").await;
    assert_found(&world, "open", "up", "answered in").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_icmp_check_pings_or_says_once_why_it_cannot() {
    let world =
        World::new(watched(&[("first", json!({ "type": "icmp" })), ("second", json!({ "type": "icmp" }))])).await;
    let check = until("an echo reply, or the reason for none", async || {
        let check = world.checks("first").await[0].clone();
        (check["state"] == "up" || check["trouble"].is_string()).then_some(check)
    })
    .await;
    if check["state"] == "up" {
        return;
    }
    // This machine does not let us ping: the operator learns the remedy, and nothing is called down.
    assert_eq!(check["state"], "unknown");
    assert!(check["trouble"].as_str().unwrap().contains("CAP_NET_RAW"), "{check}");
    until("the other check", async || world.checks("second").await[0]["trouble"].is_string().then_some(())).await;
    let events =
        until("an event", async || Some(world.events("kind=system").await).filter(|all| !all.is_empty())).await;
    assert_eq!(events.len(), 1, "two checks with one trouble are one event: {events:?}");
    assert_eq!((&events[0]["from"], &events[0]["to"]), (&json!("runs"), &json!("unable")));
    assert!(events[0]["cause"].as_str().unwrap().contains("CAP_NET_RAW"), "{events:?}");
    let health = world.server.get("/api/v1/health").await;
    assert_eq!(health["pools"]["all"]["state"], "ok");
    let reason = health["endpoints"]["first"]["families"]["ipv4"]["reason"].as_str().unwrap();
    assert!(reason.contains("cannot run here"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dns_check_asks_a_name_server_for_what_it_should_say() {
    let target = World::new(document(json!({ "records": [
        { "zone": "example", "name": "www", "type": "A", "values": ["192.0.2.1"] },
    ] })))
    .await;
    let port = target.server.dns.port();
    let ask = |name: &str, expect: Value| json!({ "type": "dns", "port": port, "qname": name, "expect": expect });
    let world = World::new(watched(&[
        ("says-it", ask("www.example.test.", json!("192.0.2.1"))),
        ("says-other", ask("www.example.test.", json!("192.0.2.2"))),
        ("has-none", ask("nothing.example.test.", Value::Null)),
        ("refuses", ask("www.elsewhere.test.", Value::Null)),
    ]))
    .await;
    assert_found(&world, "says-it", "up", "answered in").await;
    assert_found(&world, "says-other", "down", "192.0.2.2").await;
    assert_found(&world, "has-none", "down", "NXDOMAIN").await;
    assert_found(&world, "refuses", "down", "REFUSED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_can_be_checked_without_waiting_for_the_interval() {
    let port = listen(|_| async {}).await;
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    let mut all = watched(&[("web", json!({ "type": "tcp", "port": address.port() }))]);
    all["endpoints"]["alone"] = json!({ "ipv4": "192.0.2.1" });
    let world = World::new(all).await;
    let first = world.first_check("web").await;
    assert!(first["next_ms"].as_u64().unwrap() > first["last_ms"].as_u64().unwrap() + 3_000_000, "{first}");
    let second = world.check("web").await;
    assert_eq!(second["successes"], 2);
    let (status, body) = world.server.api("POST", "/api/v1/endpoints/alone/check", None).await;
    assert_eq!(status, 409, "{body}");
    assert!(body["detail"].as_str().unwrap().contains("monitor"), "{body}");
    let (status, _) = world.server.api("POST", "/api/v1/endpoints/nobody/check", None).await;
    assert_eq!(status, 404);
}
