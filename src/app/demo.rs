//! The demo: a zone that shows every kind of steering, and small HTTP backends on loopback addresses,
//! so that probes have something real to check and something that can be stopped.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Who signs in to the demo.
pub const ACCOUNT: &str = "demo";
/// The demo's zone.
pub const ZONE: &str = "demo.northing.test.";

/// The port that the backends take where it is free.
const USUAL_PORT: u16 = 5380;

/// Each endpoint with the loopback address that its backend listens on.
const BACKENDS: [(&str, Ipv4Addr); 9] = [
    ("demo-eu-1", Ipv4Addr::new(127, 0, 10, 1)),
    ("demo-eu-2", Ipv4Addr::new(127, 0, 10, 2)),
    ("demo-eu-backup", Ipv4Addr::new(127, 0, 11, 1)),
    ("demo-us-1", Ipv4Addr::new(127, 0, 20, 1)),
    ("demo-ap-1", Ipv4Addr::new(127, 0, 30, 1)),
    ("demo-primary", Ipv4Addr::new(127, 0, 40, 1)),
    ("demo-standby", Ipv4Addr::new(127, 0, 40, 2)),
    ("demo-stable", Ipv4Addr::new(127, 0, 50, 1)),
    ("demo-canary", Ipv4Addr::new(127, 0, 50, 2)),
];

/// Binds every backend on one port, the usual one or else any that is free on all addresses, and
/// serves them; returns the port.
pub async fn start_backends() -> io::Result<u16> {
    let listeners = match bind_all(USUAL_PORT).await {
        Ok(listeners) => listeners,
        Err(_) => {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port();
            bind_all(free).await?
        }
    };
    let port = listeners[0].1.local_addr()?.port();
    for (name, listener) in listeners {
        let service = backend(name);
        tokio::spawn(async move { axum::serve(listener, service).await });
    }
    Ok(port)
}

async fn bind_all(port: u16) -> io::Result<Vec<(&'static str, TcpListener)>> {
    let mut listeners = Vec::with_capacity(BACKENDS.len());
    for (name, address) in BACKENDS {
        listeners.push((name, TcpListener::bind(SocketAddr::from((address, port))).await?));
    }
    Ok(listeners)
}

/// Says who it is; is healthy until `POST /stop`, and again after `POST /start`.
fn backend(name: &'static str) -> Router {
    let stopped = Arc::new(AtomicBool::new(false));
    let switch = move |to: bool| {
        post(move |State(stopped): State<Arc<AtomicBool>>| async move {
            stopped.store(to, Ordering::Relaxed);
            format!("{name} is {}\n", if to { "stopped" } else { "started" })
        })
    };
    let health = |State(stopped): State<Arc<AtomicBool>>| async move {
        match stopped.load(Ordering::Relaxed) {
            true => (StatusCode::SERVICE_UNAVAILABLE, "stopped\n"),
            false => (StatusCode::OK, "ok\n"),
        }
    };
    Router::new()
        .route("/", get(move || async move { format!("{name}\n") }))
        .route("/health", get(health))
        .route("/stop", switch(true))
        .route("/start", switch(false))
        .with_state(stopped)
}

/// The whole demo as a document that `apply` could have brought.
pub fn document(port: u16) -> Value {
    let endpoints: serde_json::Map<String, Value> = BACKENDS
        .iter()
        .map(|(id, address)| ((*id).to_owned(), json!({ "ipv4": address, "monitors": [{ "monitor": "demo-web" }] })))
        .collect();
    let pool = |country: &str, recovery: &str, members: &[&str]| {
        let members: Vec<Value> = members.iter().map(|id| json!({ "endpoint": id })).collect();
        json!({ "country": country, "members": members, "recovery": recovery })
    };
    let step = |pools: &[&str]| json!({ "pools": pools.iter().map(|id| json!({ "pool": id })).collect::<Vec<_>>() });
    let policy = |name: &str, rules: Value| {
        let name = format!("{name}.{ZONE}");
        json!({ "attach": [{ "zone": "demo", "name": name, "types": ["A"] }], "ttl": 30, "rules": rules })
    };
    json!({
        "zones": { "demo": { "fqdn": ZONE, "ns": [format!("ns1.{ZONE}"), format!("ns2.{ZONE}")], "default_ttl": 300 } },
        "records": [
            { "zone": "demo", "name": "ns1", "type": "A", "values": ["127.0.0.1"] },
            { "zone": "demo", "name": "ns2", "type": "A", "values": ["127.0.0.1"] },
            { "zone": "demo", "name": "www", "type": "A", "values": ["192.0.2.10"] },
            { "zone": "demo", "name": "www", "type": "AAAA", "values": ["2001:db8::10"] },
            { "zone": "demo", "name": "_demo", "type": "TXT", "values": [
                "\"ask geo.demo.northing.test with +subnet=81.2.69.0/24, then with +subnet=8.8.8.0/24: each place has its own servers\"",
                "\"ask weighted.demo.northing.test a few times: one answer in ten is the canary\"",
                format!("\"stop a server with curl -X POST http://127.0.40.1:{port}/stop, then ask failover.demo.northing.test\""),
                "\"ask eu-only.demo.northing.test from anywhere: the answer never leaves the EEA\"",
            ] },
        ],
        "monitors": { "demo-web": {
            "name": "HTTP /health", "type": "http", "port": port, "path": "/health",
            "interval": 2, "timeout": 1, "fail_after": 2, "recover_after": 2, "confirm": 0,
        } },
        "endpoints": endpoints,
        "pools": {
            "demo-eu": pool("DE", "after 5", &["demo-eu-1", "demo-eu-2"]),
            "demo-eu-backup": pool("IE", "after 5", &["demo-eu-backup"]),
            "demo-us": pool("US", "after 5", &["demo-us-1"]),
            "demo-ap": pool("SG", "after 5", &["demo-ap-1"]),
            "demo-primary": pool("DE", "manual", &["demo-primary"]),
            "demo-standby": pool("FR", "auto", &["demo-standby"]),
            "demo-stable": pool("US", "auto", &["demo-stable"]),
            "demo-canary": pool("US", "auto", &["demo-canary"]),
        },
        "policies": {
            "demo-geo": policy("geo", json!([
                { "name": "Europe, Africa, Middle East", "regions": ["europe", "africa", "mena"],
                  "steps": [step(&["demo-eu"]), step(&["demo-us"])] },
                { "name": "Asia and the Pacific", "regions": ["asia", "oceania"],
                  "steps": [step(&["demo-ap"]), step(&["demo-us"])] },
                { "name": "Everyone else", "steps": [step(&["demo-us"]), step(&["demo-eu"])] },
            ])),
            "demo-weighted": policy("weighted", json!([
                { "name": "Everyone else", "steps": [{ "pools": [
                    { "pool": "demo-stable", "weight": 90 },
                    { "pool": "demo-canary", "weight": 10, "canary": true },
                ] }] },
            ])),
            "demo-failover": policy("failover", json!([
                { "name": "Everyone else", "steps": [step(&["demo-primary"]), step(&["demo-standby"])] },
            ])),
            "demo-eu-only": policy("eu-only", json!([
                { "name": "Everyone else", "residency_lock": "eea",
                  "steps": [step(&["demo-eu"]), step(&["demo-eu-backup"])] },
            ])),
        },
    })
}

/// What to try, a comment and a command each, with the sockets and the program as they really are.
pub fn five_lines(dns: SocketAddr, port: u16, data_dir: &str) -> [(&'static str, String); 5] {
    let dig = format!("dig @{} -p {} +short", dns.ip(), dns.port());
    let northing = std::env::args().next().unwrap_or_else(|| "northing".into());
    let zone = ZONE.trim_end_matches('.');
    [
        ("a client in Britain gets a server in Europe,", format!("{dig} +subnet=81.2.69.0/24 geo.{zone}")),
        ("one in America another,", format!("{dig} +subnet=8.8.8.0/24 geo.{zone}")),
        ("and this is why", format!("{northing} explain geo.{zone} 81.2.69.160 --data-dir {data_dir}")),
        ("stop a server, and within 5 seconds", format!("curl -X POST http://127.0.40.1:{port}/stop")),
        ("another one answers", format!("{dig} failover.{zone}")),
    ]
}
