//! SIGKILL at random moments, the start included, under concurrent edits: nothing acknowledged is lost,
//! it always starts, and it always answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tempfile::TempDir;

use crate::server::Server;

/// Kills after which everything is checked.
const KILLS: usize = 100;
/// Editors that publish at the same time, each its own record set.
const EDITORS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_by_a_hundred_kills() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    let zone = json!({ "id": "k", "fqdn": "k.test.", "ns": ["ns1.other.test.", "ns2.other.test."] });
    server.post("/api/v1/zones", zone).await;
    server.kill();

    let seed = 20_261_121;
    let mut random = StdRng::seed_from_u64(seed);
    let acknowledged: Arc<[AtomicU64; EDITORS]> = Arc::default();
    let mut kills_at_start = 0;
    for kill in 0..KILLS {
        // Every fourth is killed before it can have finished starting.
        if kill % 4 == 3 {
            kill_while_starting(dir.path(), Duration::from_micros(random.random_range(0..60_000)));
            kills_at_start += 1;
            continue;
        }
        let server = Arc::new(Server::start(dir.path(), &[]));
        for editor in 0..EDITORS {
            let last = acknowledged[editor].load(Ordering::SeqCst);
            let found = server.dig(&[&format!("e{editor}.k.test"), "TXT"]);
            let found: u64 = found.first().map_or(0, |text| text.trim_matches('"').parse().unwrap());
            assert!(
                found >= last,
                "editor {editor}: {last} was acknowledged, {found} is served (seed {seed}, kill {kill})"
            );
            // What was stored but not acknowledged before the kill counts from now on.
            acknowledged[editor].store(found, Ordering::SeqCst);
        }
        let life = Duration::from_micros(random.random_range(0..150_000));
        let end = Instant::now() + life;
        let editors: Vec<_> =
            (0..EDITORS).map(|editor| tokio::spawn(edit(server.clone(), editor, acknowledged.clone(), end))).collect();
        tokio::time::sleep_until(end.into()).await;
        server.kill_now();
        for editor in editors {
            editor.await.unwrap();
        }
    }
    assert_eq!(kills_at_start, KILLS / 4);
    let server = Server::start(dir.path(), &[]);
    let report = server.get("/api/v1/audit/verify").await;
    assert_eq!(report["broken"], serde_json::Value::Null, "{report}");
    let total: u64 = acknowledged.iter().map(|count| count.load(Ordering::SeqCst)).sum();
    assert!(total > 100, "only {total} edits were acknowledged: the test did not test");
}

/// Publishes 1, 2, 3 … in its own record set until the server dies.
async fn edit(server: Arc<Server>, editor: usize, acknowledged: Arc<[AtomicU64; EDITORS]>, end: Instant) {
    while Instant::now() < end {
        let next = acknowledged[editor].load(Ordering::SeqCst) + 1;
        let value =
            json!({ "zone": "k", "name": format!("e{editor}"), "type": "TXT", "values": [format!("\"{next}\"")] });
        let edits = json!({ "edits": [{ "kind": "records", "id": format!("k/e{editor}/TXT"), "value": value }] });
        match server.try_post("/api/v1/publish", edits).await {
            Some(200) => acknowledged[editor].store(next, Ordering::SeqCst),
            _ => return,
        }
    }
}

fn kill_while_starting(dir: &std::path::Path, after: Duration) {
    let mut child = std::process::Command::new(crate::server::BINARY)
        .args(["serve", "--dns", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"])
        .arg(dir)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    let _ = child.kill();
    let _ = child.wait();
}
