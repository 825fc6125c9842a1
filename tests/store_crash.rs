//! The store against what cannot be tested in one process: SIGKILL at any moment, and a disk that refuses
//! to write. The test binary starts itself again as the child that is killed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use northing::model::{AuditDraft, AuditEntry, Change, Kind, Revision, seal, sha256};
use northing::store::{Opened, Store};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Tells the child where to write.
const DIRECTORY: &str = "NORTHING_TEST_STORE";
const ROUNDS: usize = 104;
/// Every other kill comes this long after the start of the child: in its own start, sled's, or later.
const KILL_AFTER_START_MS: std::ops::Range<u64> = 3..400;
/// The others come this long after its first publication.
const KILL_AFTER_PUBLICATION_MS: std::ops::Range<u64> = 0..80;
/// A child that does not publish at all within this is killed all the same.
const PATIENCE: Duration = Duration::from_secs(10);

/// Publishes changes that follow from the number of the revision.
struct Publisher {
    store: Store,
    audit: Option<AuditEntry>,
    revision: u64,
    model: BTreeMap<String, Value>,
}

impl Publisher {
    fn new(opened: Opened) -> Publisher {
        let key = |kind: Kind, id: &str| format!("{}/{id}", json!(kind).as_str().unwrap());
        let entities = opened.loaded.entities.into_iter();
        let model = entities.map(|(kind, id, text)| (key(kind, &id), serde_json::from_str(&text).unwrap())).collect();
        Publisher { store: opened.store, audit: opened.loaded.last_audit, revision: opened.loaded.revision, model }
    }

    fn publish(&mut self, changes: Vec<Change>) -> Result<(), northing::store::Fault> {
        let number = self.revision + 1;
        let draft = AuditDraft { action: "publish".into(), revision: Some(number), ..AuditDraft::default() };
        let audit = seal(self.audit.as_ref(), draft);
        let mut model = self.model.clone();
        for change in &changes {
            let key = format!("{}/{}", json!(change.kind).as_str().unwrap(), change.id);
            match &change.after {
                Some(value) => model.insert(key, value.clone()),
                None => model.remove(&key),
            };
        }
        let revision = Revision {
            number,
            at: Timestamp::UNIX_EPOCH,
            author: "ada".into(),
            message: String::new(),
            sentences: vec![format!("Revision {number}.")],
            changes,
            sha256: document_hash(&model),
        };
        self.store.commit(&revision, &audit)?;
        (self.revision, self.audit, self.model) = (number, Some(audit), model);
        Ok(())
    }

    /// A pool and an endpoint change together, now and then they go or are large.
    fn publish_next(&mut self) -> Result<(), northing::store::Fault> {
        let number = self.revision + 1;
        let note = "n".repeat(if number.is_multiple_of(17) { 70_000 } else { 20 });
        let after = (!number.is_multiple_of(13)).then(|| json!({"rev": number, "note": note}));
        let change = |kind, id| Change { kind, id, before: None, after: after.clone() };
        self.publish(vec![
            change(Kind::Pools, format!("p{}", number % 20)),
            change(Kind::Endpoints, format!("e{}", number % 20)),
        ])
    }
}

fn document_hash(model: &BTreeMap<String, Value>) -> String {
    sha256(&serde_json::to_vec(model).unwrap())
}

fn child(test: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "the child of the test below"]
fn child_publishes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let mut publisher = Publisher::new(Store::open(Path::new(&dir)).unwrap());
    let mut out = std::io::stdout();
    loop {
        publisher.publish_next().unwrap();
        writeln!(out, "stored {}", publisher.revision).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_to_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut random = StdRng::seed_from_u64(7);
    let (mut newest, mut silent, mut repairs) = (0, 0, Vec::new());
    for round in 0..ROUNDS {
        let mut child = child("child_publishes_until_it_is_killed", &data);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (first_stored, publishes) = mpsc::channel();
        let reader = thread::spawn(move || {
            let numbers = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("stored ")?.parse().ok());
            // Only the first is waited for.
            let tell = |_: &u64| first_stored.send(()).unwrap_or_default();
            numbers.inspect(tell).last().unwrap_or(0u64)
        });
        let wait_ms = if round % 2 == 0 {
            random.random_range(KILL_AFTER_START_MS)
        } else {
            let _ = publishes.recv_timeout(PATIENCE);
            random.random_range(KILL_AFTER_PUBLICATION_MS)
        };
        thread::sleep(Duration::from_millis(wait_ms));
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged = reader.join().unwrap();
        silent += usize::from(acknowledged == 0);
        newest = newest.max(acknowledged);

        let opened = Store::open(&data).unwrap_or_else(|fault| panic!("round {round}: {fault}"));
        repairs.extend(opened.repairs.clone());
        let publisher = Publisher::new(opened);
        assert!(
            publisher.revision >= newest,
            "round {round}: {newest} was acknowledged, {} is left",
            publisher.revision
        );
        newest = publisher.revision;
        if newest > 0 {
            let revision = publisher.store.revision(newest).unwrap().unwrap();
            assert_eq!(revision.sha256, document_hash(&publisher.model), "round {round}");
        }
        let page = publisher.store.revision_heads(None, 1000).unwrap();
        assert!(page.iter().map(|revision| revision.number).eq((newest.saturating_sub(999).max(1)..=newest).rev()));
        let report = publisher.store.verify_audit(&mut |_| {}).unwrap();
        assert_eq!((report.entries, report.broken), (newest, None), "round {round}");
    }
    println!("{ROUNDS} kills, {silent} before the first publication, {newest} revisions, repairs: {repairs:?}");
    assert!(newest > 100);
}

/// Limits how large files may get in this process, as a full disk would: writing beyond fails.
fn limit_file_size(bytes: libc::rlim_t) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid structure; ignoring the signal leaves the error code of the write.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit), 0);
        limit.rlim_cur = bytes.min(limit.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
}

#[test]
#[ignore = "the child of the test below"]
fn child_meets_a_disk_that_refuses() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let mut publisher = Publisher::new(Store::open(Path::new(&dir)).unwrap());
    let change = |number: u64| Change {
        kind: Kind::Regions,
        id: "r".into(),
        before: None,
        after: Some(json!({"note": "n".repeat(30_000), "number": number})),
    };
    // Afterwards the history makes the database the largest file by far, the journal having been begun anew:
    // it is the database that meets the limit.
    let size = |name: &str| std::fs::metadata(Path::new(&dir).join(name)).unwrap().len();
    while size("sled/db") < 6 << 20 || size("journal") > 1 << 20 {
        publisher.publish(vec![change(0)]).unwrap();
    }
    for round in 0..3 {
        limit_file_size(size("sled/db"));
        let mut fault = None;
        // A few more after the first refusal: each is refused with a reason, none changes anything.
        for number in 0..100 {
            let before = (publisher.revision, publisher.model.clone());
            if let Err(found) = publisher.publish(vec![change(number)]) {
                assert_eq!(before, (publisher.revision, publisher.model.clone()));
                println!("round {round}: {found}");
                if fault.replace(found).is_some() {
                    break;
                }
            }
        }
        assert!(fault.is_some(), "nothing was refused");
        limit_file_size(libc::RLIM_INFINITY);
        publisher.publish(vec![change(1000 + round)]).unwrap();
        let revision = publisher.store.revision(publisher.revision).unwrap().unwrap();
        assert_eq!(revision.sha256, document_hash(&publisher.model));
    }
    println!("stored {}", publisher.revision);
}

#[test]
fn a_disk_that_refuses_is_reported_and_forgiven() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let output = child("child_meets_a_disk_that_refuses", &data).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("cannot write the database"), "{text}");
    let acknowledged = text.lines().find_map(|line| line.strip_prefix("stored ")?.parse().ok());
    let opened = Store::open(&data).unwrap();
    assert_eq!(opened.repairs, Vec::<String>::new());
    let publisher = Publisher::new(opened);
    assert_eq!(Some(publisher.revision), acknowledged, "{text}");
    let revision = publisher.store.revision(publisher.revision).unwrap().unwrap();
    assert_eq!(revision.sha256, document_hash(&publisher.model));
    assert_eq!(publisher.store.verify_audit(&mut |_| {}).unwrap().broken, None);
}

/// Not a test of right or wrong: prints how long a small publication takes. Run it with
/// `cargo test --release --test store_crash latency -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn latency_of_a_small_publication() {
    for entities in [2_000u32, 100_000] {
        let dir = tempfile::tempdir().unwrap();
        let mut publisher = Publisher::new(Store::open(dir.path()).unwrap());
        let record = |number: u32| {
            let value = json!({"id": format!("example-test/host{number}/A"), "ttl": 300, "rev": 1,
                "values": [format!("192.0.2.{}", number % 256)], "note": "n".repeat(100)});
            Change { kind: Kind::Records, id: format!("example-test/host{number}/A"), before: None, after: Some(value) }
        };
        let begun = Instant::now();
        publisher.publish((0..entities).map(record).collect()).unwrap();
        println!("{entities} entities: import {} ms", begun.elapsed().as_millis());
        publisher.model.clear();
        let mut times: Vec<u128> = Vec::new();
        for number in 0..200 {
            let begun = Instant::now();
            publisher.publish(vec![record(number)]).unwrap();
            times.push(begun.elapsed().as_micros());
            publisher.model.clear();
        }
        times.sort_unstable();
        println!("{entities} entities: commit p50 {} µs, p99 {} µs, max {} µs", times[100], times[197], times[199]);
        let begun = Instant::now();
        drop(publisher);
        println!("{entities} entities: close {} ms", begun.elapsed().as_millis());
        let begun = Instant::now();
        let opened = Store::open(dir.path()).unwrap();
        println!("{entities} entities: open {} ms, {:?}", begun.elapsed().as_millis(), opened.repairs);
    }
}
