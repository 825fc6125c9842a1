//! The end of a server: what is under way is answered, whoever comes is told, and nobody holds it up.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::accounts::{Browser, set_up};
use crate::server::{DEADLINE, Server};

/// What a stop may take with pages open.
const PROMISED: Duration = Duration::from_secs(5);
const PAGES: usize = 10;

/// A server with the pool eu, and what opens its pages.
async fn world(dir: &TempDir) -> (Server, Browser) {
    let (server, mut browser) = set_up(dir).await;
    server.post("/api/v1/endpoints", json!({ "id": "one", "ipv4": "192.0.2.1" })).await;
    let pool = json!({ "id": "eu", "members": [{ "endpoint": "one" }] });
    server.post("/api/v1/pools", pool).await;
    browser.get("/pools/eu").await;
    (server, browser)
}

/// A form of which the last byte is still to come.
async fn begin_form(server: &Server, browser: &Browser) -> TcpStream {
    let form = format!("form_token={}&to=drain&pool=eu&reason=New+kernel", browser.token());
    let (most, _) = form.split_at(form.len() - 1);
    let head = format!(
        "POST /pools/switch HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nAccept: text/html\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        server.http,
        browser.cookie(),
        form.len(),
    );
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(format!("{head}{most}").as_bytes()).await.unwrap();
    stream
}

/// All that comes until the server closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await;
    read.expect("an end").expect("no reset");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_answers_what_is_under_way_tells_whoever_comes_and_waits_for_no_open_page() {
    let dir = TempDir::new().unwrap();
    let (server, browser) = world(&dir).await;
    let mut pages = Vec::new();
    for _ in 0..PAGES {
        let mut page = browser.follow("pool:eu").await;
        assert!(page.chunk().await.unwrap().is_some(), "the page is told something at once");
        pages.push(page);
    }
    let mut form = begin_form(&server, &browser).await;
    server.ask_to_stop();
    let begin = Instant::now();
    for mut page in pages {
        let told_out = async { while page.chunk().await.expect("a clean end").is_some() {} };
        tokio::time::timeout(DEADLINE, told_out).await.expect("the stream ends with the stop");
    }

    let mut other = TcpStream::connect(server.http).await.expect("it answers while something is under way");
    other.write_all(b"GET /pools HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n").await.unwrap();
    let page = rest(other).await;
    assert!(page.starts_with("HTTP/1.1 503") && page.contains("Northing is stopping"), "{page}");
    assert!(page.contains("then try again") && page.contains("href=\"/pools\""), "{page}");

    form.write_all(b"l").await.unwrap();
    let page = rest(form).await;
    assert!(page.starts_with("HTTP/1.1 503") && page.contains("Northing is stopping"), "{page}");
    assert!(page.contains("Nothing was changed, and your draft is kept."), "{page}");
    let http = server.http;
    assert!(server.ended(), "the server ends by itself");
    assert!(begin.elapsed() < PROMISED, "the stop took {:?}", begin.elapsed());
    assert!(TcpStream::connect(http).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_whoever_sends_no_more() {
    let dir = TempDir::new().unwrap();
    let (server, browser) = world(&dir).await;
    let form = begin_form(&server, &browser).await;
    server.ask_to_stop();
    let begin = Instant::now();
    assert!(server.ended(), "the server ends by itself");
    assert!(begin.elapsed() < PROMISED, "the stop took {:?}", begin.elapsed());
    drop(form);
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.get("/api/v1/pools/eu").await["id"], "eu");
}
