//! How long pages take and how large they are, in a world of 1,000 pools with 5 endpoints each, 2,000 names and
//! 200,000 events, and how long a published change takes to reach the wire. The real binary, over loopback:
//! `cargo bench --bench pages`.

#[path = "../tests/e2e/server.rs"]
#[allow(dead_code)]
mod server;

use std::time::{Duration, Instant};

use northing::health::{Event, EventKind};
use northing::store::Store;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use server::{Server, setup_code};

const POOLS: usize = 1_000;
const ENDPOINTS_EACH: usize = 5;
const NAMES: usize = 2_000;
const EVENTS: usize = 200_000;
const ROUNDS: usize = 31;
/// What the pages may take, in milliseconds and in compressed bytes.
const PAGE_BUDGET: (f64, usize) = (20.0, 150_000);
const PUBLISH_BUDGET_MS: f64 = 100.0;

const PAGES: &[&str] = &[
    "/",
    "/pools",
    "/pools/pool-500",
    "/names",
    "/names/name-1000.example.com",
    "/regions",
    "/explain?name=name-1000.example.com&client=81.2.69.160",
    "/history",
    "/history?period=7d",
    "/history?period=30d",
    "/history?period=30d&pool=pool-500",
    "/history?period=30d&cause=http&kind=automatic&page=20",
    "/history.csv?period=24h",
    "/history.csv?period=30d",
    "/history/events.csv?period=24h",
    "/names/name-1000.example.com?tab=history",
    "/pools/pool-500/history",
    "/zones",
    "/zones/example",
    "/audit",
    "/versions",
];

fn world() -> Value {
    let mut endpoints = serde_json::Map::new();
    let mut pools = serde_json::Map::new();
    for pool in 0..POOLS {
        let mut members = Vec::new();
        for endpoint in 0..ENDPOINTS_EACH {
            let number = pool * ENDPOINTS_EACH + endpoint;
            let id = format!("e-{pool}-{endpoint}");
            endpoints.insert(id.clone(), json!({ "ipv4": format!("10.{}.{}.1", number / 250, number % 250) }));
            members.push(json!({ "endpoint": id, "weight": 100 }));
        }
        let country = ["DE", "US", "JP", "BR", "ZA"][pool % 5];
        pools.insert(format!("pool-{pool}"), json!({ "country": country, "members": members }));
    }
    let step = |pool: usize| json!({ "pools": [{ "pool": format!("pool-{}", pool % POOLS) }] });
    let mut policies = serde_json::Map::new();
    for name in 0..NAMES {
        let rule = |title: &str, regions: Value, first| json!({ "name": title, "regions": regions, "steps": [step(first), step(first + 1)] });
        let rules = [
            rule("Europe", json!(["europe"]), name),
            rule("Asia", json!(["asia"]), name + 2),
            json!({ "name": "Everyone else", "steps": [step(name + 3), step(name + 4)] }),
        ];
        let attach = [json!({ "zone": "example", "name": format!("name-{name}.example.com."), "types": ["A"] })];
        policies.insert(format!("name-{name}"), json!({ "attach": attach, "rules": rules }));
    }
    let zones = json!({ "example": { "fqdn": "example.com.", "ns": ["ns1.example.net.", "ns2.example.net."] } });
    json!({ "zones": zones, "endpoints": endpoints, "pools": pools, "policies": policies })
}

/// Thirty days in which endpoints went down and came back, every tenth time a pool instead.
fn remember(dir: &std::path::Path) {
    let mut store = Store::open(dir).expect("the store opens").store;
    let now = jiff::Timestamp::now();
    let step = jiff::SignedDuration::from_hours(30 * 24) / EVENTS as i32;
    let names: Vec<String> = (0..20).map(|name| format!("name-{name}.example.com.")).collect();
    let event = |number: usize| {
        let (turn, is_end) = (number / 2, number % 2 == 1);
        let (is_pool, id) = (turn % 10 == 0, turn * 7 % POOLS);
        let kind = if is_pool { EventKind::Pool } else { EventKind::Endpoint };
        let (up, subject) =
            if is_pool { ("ok", format!("pools/pool-{id}")) } else { ("up", format!("endpoints/e-{id}-0 ipv4")) };
        let (from, to) = if is_end { ("down", up) } else { (up, "down") };
        Event {
            from: from.into(),
            to: to.into(),
            cause: "check web of 192.0.2.10: HTTP 503, expected 200-299, 3 times in a row".into(),
            names: names.clone(),
            query_share: Some(0.25),
            incident: is_pool.then_some(turn as u64 / 10 + 1),
            instead: if is_pool { vec!["pool-1".into()] } else { Vec::new() },
            ttl: Some(60),
            ..Event::at(now - step * (EVENTS - number) as i32, kind, subject)
        }
    };
    for from in (0..EVENTS).step_by(1_000) {
        let mut events: Vec<Event> = (from..from + 1_000).map(event).collect();
        store.append_events(&mut events).expect("stored");
    }
}

/// Prints how long a page takes and how large it is.
async fn measure(server: &Server, client: &reqwest::Client, cookie: &str, page: &str) {
    let url = format!("http://{}{page}", server.http);
    let mut times = Vec::new();
    let (mut plain, mut gzip) = (0, 0);
    for round in 0..=ROUNDS {
        let request = client.get(&url).header("cookie", cookie);
        // The time is that of a plain page; the size that of a compressed one.
        let request = if round == 0 { request.header("accept-encoding", "gzip") } else { request };
        let begin = Instant::now();
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{page}");
        let bytes = response.bytes().await.expect("a body").len();
        match round {
            0 => gzip = bytes,
            _ => {
                plain = bytes;
                times.push(begin.elapsed());
            }
        }
    }
    let time = median(times);
    let over = if time > PAGE_BUDGET.0 || gzip > PAGE_BUDGET.1 { "  over budget" } else { "" };
    println!("{page:<58} {time:>10.1} {plain:>12} {gzip:>12}{over}");
}

/// Makes the first admin with the code that the server printed; returns the session's cookie.
async fn sign_in(server: &Server, client: &reqwest::Client) -> String {
    let code = setup_code(&server.greeting);
    let body = format!("code={code}&id=bench&name=Bench&password=sail+past+the+reef");
    let request = client.post(format!("http://{}/setup", server.http)).body(body);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 303, "signed in");
    let cookie = response.headers().get("set-cookie").expect("a cookie").to_str().expect("text");
    cookie.split(';').next().expect("a pair").to_owned()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

#[tokio::main]
async fn main() {
    // `cargo test` runs every bench once as a test; this one only measures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path(), &[]);
    let (status, answer) = server.api("PUT", "/api/v1/document", Some(world())).await;
    assert_eq!(status, 200, "{answer}");

    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
    let cookie = sign_in(&server, &client).await;
    assert!(server.stop(), "stopped");
    remember(dir.path());
    let server = Server::start(dir.path(), &[]);
    println!("{POOLS} pools with {ENDPOINTS_EACH} endpoints each, {NAMES} names, {EVENTS} events, {ROUNDS} rounds");
    println!("{:<58} {:>10} {:>12} {:>12}", "page", "median ms", "bytes", "gzip bytes");
    for page in PAGES {
        measure(&server, &client, &cookie, page).await;
    }
    // Three days that are long over, of which the store is asked, not the memory.
    let day = |ago: i64| (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * ago)).strftime("%Y-%m-%d");
    measure(&server, &client, &cookie, &format!("/history?period=dates&from={}&to={}", day(20), day(18))).await;

    let mut times = Vec::new();
    for round in 0..ROUNDS {
        // Which of two addresses has all the weight.
        let weights = [(100, 0), (0, 100)][round % 2];
        let (_, mut pool) = server.api("GET", "/api/v1/pools/pool-0", None).await;
        for (member, weight) in
            pool["members"].as_array_mut().expect("members").iter_mut().zip([weights.0, weights.1, 0, 0, 0])
        {
            member["weight"] = weight.into();
        }
        let expected = if weights.0 > 0 { "10.0.0.1" } else { "10.0.1.1" };
        let edit = json!({ "edits": [{ "kind": "pools", "id": "pool-0", "value": pool }], "message": "bench" });
        let begin = Instant::now();
        let (status, answer) = server.api("POST", "/api/v1/publish", Some(edit)).await;
        assert_eq!(status, 200, "{answer}");
        while !answers(&server, expected) {}
        times.push(begin.elapsed());
    }
    let time = median(times);
    let over = if time > PUBLISH_BUDGET_MS { "  over budget" } else { "" };
    println!("one weight published and answered on the wire: median {time:.1} ms{over}");
}

/// One query on a socket of its own; true when `address` is in the answer. name-0 gets pool-0 from Europe.
fn answers(server: &Server, address: &str) -> bool {
    use std::net::UdpSocket;
    let mut query = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in ["name-0", "example", "com"] {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    // OPT with the client subnet 81.2.69.0/24, in the United Kingdom.
    query.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 81, 2, 69]);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    socket.send_to(&query, server.dns).expect("sent");
    let mut reply = [0; 1500];
    let length = socket.recv(&mut reply).expect("a reply");
    let wanted: std::net::Ipv4Addr = address.parse().expect("an address");
    reply[..length].windows(4).any(|bytes| bytes == wanted.octets())
}
