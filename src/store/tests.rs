//! The store as a whole: round trips, refusals, and what a damaged directory comes back as.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::health::EventKind;
use crate::model::{AuditDraft, Change, seal};

/// Publishes revisions that a test can predict from their number.
struct Publisher {
    store: Store,
    audit: Option<AuditEntry>,
    revision: u64,
    model: BTreeMap<String, Value>,
}

impl Publisher {
    fn open(dir: &Path) -> (Publisher, Reopened) {
        let Opened { store, loaded, repairs } = Store::open(dir).unwrap();
        let model =
            loaded.entities.iter().map(|(kind, id, text)| (layout::entity_key(*kind, id), value(text))).collect();
        let publisher = Publisher { store, audit: loaded.last_audit.clone(), revision: loaded.revision, model };
        (publisher, Reopened { loaded, repairs })
    }

    fn next(&self, changes: Vec<Change>) -> (Revision, AuditEntry) {
        let number = self.revision + 1;
        let draft = AuditDraft {
            actor: "ada".into(),
            action: "publish".into(),
            after: Some(json!({"weight": 0.1})),
            revision: Some(number),
            ..AuditDraft::default()
        };
        let revision = Revision {
            number,
            at: Timestamp::UNIX_EPOCH,
            author: "ada".into(),
            message: format!("revision {number}"),
            sentences: vec!["Something changed.".into()],
            changes,
            sha256: String::new(),
        };
        (revision, seal(self.audit.as_ref(), draft))
    }

    fn publish(&mut self, changes: Vec<Change>) -> Result<(), Fault> {
        let (mut revision, audit) = self.next(changes);
        let mut model = self.model.clone();
        for change in &revision.changes {
            let key = layout::entity_key(change.kind, &change.id);
            match &change.after {
                Some(value) => model.insert(key, value.clone()),
                None => model.remove(&key),
            };
        }
        revision.sha256 = hash(&model);
        self.store.commit(&revision, &audit)?;
        (self.revision, self.audit, self.model) = (revision.number, Some(audit), model);
        Ok(())
    }

    /// Small changes, now and then a deletion or an entity of several chunks.
    fn publish_some(&mut self, revisions: u64) {
        for _ in 0..revisions {
            let number = self.revision + 1;
            let id = format!("p{}", number % 7);
            let length = if number.is_multiple_of(5) { 100_000 } else { 10 };
            let after =
                (!number.is_multiple_of(6)).then(|| json!({"id": id, "rev": number, "note": "x".repeat(length)}));
            self.publish(vec![Change { kind: Kind::Pools, id, before: None, after }]).unwrap();
        }
    }

    fn act(&mut self, action: &str) -> AuditEntry {
        seal(self.audit.as_ref(), AuditDraft { action: action.into(), ..AuditDraft::default() })
    }

    fn put_secret(&mut self, key: &str, secret: Value) {
        let entry = self.act("create token");
        self.store.put_secrets(&[(key.into(), secret)], &entry).unwrap();
        self.audit = Some(entry);
    }
}

/// What `Store::open` said, the store aside.
struct Reopened {
    loaded: Loaded,
    repairs: Vec<String>,
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn hash(model: &BTreeMap<String, Value>) -> String {
    crate::model::sha256(&serde_json::to_vec(model).unwrap())
}

/// The model loaded is exactly that of the revision it claims to be.
fn assert_right(loaded: &Loaded, store: &Store) {
    let model = loaded.entities.iter().map(|(kind, id, text)| (layout::entity_key(*kind, id), value(text))).collect();
    if loaded.revision > 0 {
        assert_eq!(
            store.revision(loaded.revision).unwrap().unwrap().sha256,
            hash(&model),
            "revision {}",
            loaded.revision
        );
    } else {
        assert_eq!(loaded.entities, []);
    }
}

fn event(subject: &str, second: i64) -> Event {
    Event {
        from: "up".into(),
        to: "down".into(),
        cause: "a test".into(),
        actor: "health".into(),
        query_share: Some(0.3),
        incident: Some(second as u64 % 2),
        ..Event::at(Timestamp::from_second(second).unwrap(), EventKind::Pool, subject.into())
    }
}

/// A directory with everything in it: revisions, a secret, events, states.
fn used() -> TempDir {
    let dir = tempdir().unwrap();
    let (mut publisher, _) = Publisher::open(dir.path());
    publisher.publish_some(12);
    publisher.put_secret("token/1", json!("hash"));
    publisher.publish_some(3);
    publisher.store.append_events(&mut [event("pools/eu", 1), event("pools/us", 2)]).unwrap();
    publisher.store.save_health(&[("endpoints/web-1".into(), Some(json!("up")))]).unwrap();
    dir
}

#[test]
fn everything_comes_back_after_a_restart() {
    let dir = used();
    let (publisher, opened) = Publisher::open(dir.path());
    assert_eq!(opened.repairs, Vec::<String>::new());
    assert_eq!(opened.loaded.revision, 15);
    assert_eq!(opened.loaded.last_event, 2);
    assert_eq!(opened.loaded.last_audit.as_ref().unwrap().sequence, 16);
    assert_eq!(opened.loaded.secrets, [("token/1".to_owned(), json!("hash"))]);
    assert_eq!(opened.loaded.health, [("endpoints/web-1".to_owned(), json!("up"))]);
    assert_right(&opened.loaded, &publisher.store);
    let report = publisher.store.verify_audit(&mut |_| {}).unwrap();
    assert_eq!(report, AuditReport { entries: 16, first: Some(1), last: Some(16), broken: None });
}

#[test]
fn pages_are_newest_first_and_bounded() {
    let dir = used();
    let (publisher, _) = Publisher::open(dir.path());
    let store = &publisher.store;
    let numbers = |revisions: Vec<Revision>| revisions.iter().map(|revision| revision.number).collect::<Vec<_>>();
    assert_eq!(numbers(store.revision_heads(None, 2).unwrap()), [15, 14]);
    assert_eq!(numbers(store.revision_heads(Some(3), 5).unwrap()), [2, 1]);
    assert_eq!(numbers(store.revision_heads(None, 0).unwrap()), Vec::<u64>::new());
    assert_eq!(store.revision(10).unwrap().unwrap().changes[0].id, "p3");
    assert_eq!(store.revision(99).unwrap(), None);
    let that_changed =
        |thing| store.that_changed(thing, &[15, 10, 3, 2, 99]).unwrap().into_iter().collect::<Vec<u64>>();
    assert_eq!(that_changed("pools/p3"), [3, 10]);
    assert_eq!(that_changed("policies/p3"), Vec::<u64>::new());
    assert_eq!(that_changed("pools/p"), Vec::<u64>::new());
    assert_eq!(store.audit(Some(2), 9).unwrap().len(), 1);
    let subjects = |filter: EventFilter| {
        store.events(&filter, None, 9).unwrap().into_iter().map(|event| event.subject).collect::<Vec<_>>()
    };
    let any = EventFilter::default();
    assert_eq!(subjects(any.clone()), ["pools/us", "pools/eu"]);
    assert_eq!(subjects(EventFilter { subject: Some("pools/e".into()), ..any.clone() }), ["pools/eu"]);
    assert_eq!(subjects(EventFilter { incident: Some(0), ..any.clone() }), ["pools/us"]);
    assert_eq!(subjects(EventFilter { from: Timestamp::from_second(2).ok(), ..any.clone() }), ["pools/us"]);
    assert_eq!(subjects(EventFilter { to: Timestamp::from_second(2).ok(), ..any.clone() }), ["pools/eu"]);
    assert_eq!(subjects(EventFilter { kind: Some(EventKind::Switch), ..any }), Vec::<String>::new());
}

#[test]
fn a_revision_that_does_not_follow_is_refused() {
    let dir = tempdir().unwrap();
    let (mut publisher, _) = Publisher::open(dir.path());
    publisher.publish_some(1);
    publisher.revision = 5;
    let fault = publisher.publish(Vec::new()).unwrap_err().to_string();
    assert!(fault.contains("revision 6 does not follow revision 1"), "{fault}");
}

#[test]
fn only_the_owner_can_read_the_directory() {
    let dir = used();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for directory in ["", "sled", "sled/blobs", "exports"] {
        assert_eq!(mode(dir.path().join(directory)), 0o700, "{directory}");
    }
    for file in ["journal", "secrets.json", "lock", "exports/15.json", "sled/db", "sled/conf"] {
        assert_eq!(mode(dir.path().join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let dir = used();
    let opened = Store::open(dir.path()).unwrap();
    let fault = Store::open(dir.path()).err().unwrap().to_string();
    assert!(fault.contains(&format!("in use by process {}", std::process::id())), "{fault}");
    drop(opened);
    Store::open(dir.path()).unwrap();
}

#[test]
fn a_newer_format_is_refused() {
    let dir = used();
    fs::write(dir.path().join("format"), "2\n").unwrap();
    let fault = Store::open(dir.path()).err().unwrap().to_string();
    assert!(fault.contains("has format \"2\", this version knows 1"), "{fault}");
}

#[test]
fn secrets_are_in_no_export_and_in_no_backup_without_them() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("backup");
    let data = dir.path().join("data");
    let (mut publisher, _) = Publisher::open(&data);
    publisher.put_secret("token/1", json!("d0-not-leak"));
    publisher.publish_some(1);
    publisher.store.begin_backup(&file, Secrets::LeaveOut).unwrap().finish().unwrap();
    assert!(!fs::read_to_string(&file).unwrap().contains("d0-not-leak"));
    publisher.store.begin_backup(&file, Secrets::Include).unwrap().finish().unwrap();
    assert!(fs::read_to_string(&file).unwrap().contains("d0-not-leak"));
    drop(publisher);
    assert!(!fs::read_to_string(data.join("exports/1.json")).unwrap().contains("d0-not-leak"));
}

#[test]
fn a_removed_secret_stays_removed() {
    let dir = tempdir().unwrap();
    let (mut publisher, _) = Publisher::open(dir.path());
    publisher.put_secret("token/1", json!(1));
    publisher.put_secret("token/2", json!(2));
    let entry = publisher.act("revoke token");
    publisher.store.remove_secret("token/1", &entry).unwrap();
    drop(publisher);
    assert_eq!(Store::open(dir.path()).unwrap().loaded.secrets, [("token/2".to_owned(), json!(2))]);
}

#[test]
fn events_beyond_the_limit_push_out_the_oldest() {
    let dir = tempdir().unwrap();
    let engine = Engine::open(dir.path()).unwrap();
    for number in 1..=12 {
        let mut batch = Batch::default();
        put_numbered(&mut batch, Tree::Events, number, &number);
        forget(&engine, &mut batch, Tree::Events, number, 5).unwrap();
        engine.apply(&batch).unwrap();
    }
    let first = engine.edge(Tree::Events, engine::Order::Ascending).unwrap().unwrap();
    assert_eq!(layout::key_number(&first), Some(8));
}

#[test]
fn an_edited_audit_entry_is_found() {
    let dir = used();
    let (publisher, _) = Publisher::open(dir.path());
    let mut entry = publisher.store.audit(Some(8), 1).unwrap().remove(0);
    entry.actor = "somebody else".into();
    let mut batch = Batch::default();
    put_numbered(&mut batch, Tree::Audit, entry.sequence, &entry);
    publisher.store.engine().unwrap().apply(&batch).unwrap();
    let report = publisher.store.verify_audit(&mut |_| {}).unwrap();
    assert_eq!(report.broken.unwrap().0, 7);
}

#[test]
fn a_removed_audit_entry_is_found() {
    for removed in [7, 16] {
        let dir = used();
        let (publisher, _) = Publisher::open(dir.path());
        let mut batch = Batch::default();
        batch.remove(Tree::Audit, &number_key(removed), Some(b""));
        publisher.store.engine().unwrap().apply(&batch).unwrap();
        assert!(publisher.store.verify_audit(&mut |_| {}).unwrap().broken.is_some(), "{removed}");
    }
}

#[test]
fn a_restored_backup_is_equal_and_only_goes_into_an_empty_directory() {
    let dir = used();
    let elsewhere = tempdir().unwrap();
    let (file, data) = (elsewhere.path().join("backup"), elsewhere.path().join("data"));
    let (publisher, before) = Publisher::open(dir.path());
    publisher.store.begin_backup(&file, Secrets::Include).unwrap().finish().unwrap();
    restore(&file, &data).unwrap();
    let (restored, after) = Publisher::open(&data);
    assert_eq!(after.repairs, Vec::<String>::new());
    assert_eq!(after.loaded, before.loaded);
    assert_eq!(restored.store.audit(None, 99).unwrap(), publisher.store.audit(None, 99).unwrap());
    let all = EventFilter::default();
    assert_eq!(restored.store.events(&all, None, 99).unwrap(), publisher.store.events(&all, None, 99).unwrap());
    assert_eq!(restored.store.revision(10).unwrap(), publisher.store.revision(10).unwrap());
    drop(restored);
    let fault = restore(&file, &data).unwrap_err().to_string();
    assert!(fault.contains("not empty"), "{fault}");
}

#[test]
fn a_damaged_backup_is_refused_and_leaves_nothing() {
    let dir = used();
    let elsewhere = tempdir().unwrap();
    let (file, data) = (elsewhere.path().join("backup"), elsewhere.path().join("data"));
    let (publisher, _) = Publisher::open(dir.path());
    publisher.store.begin_backup(&file, Secrets::Include).unwrap().finish().unwrap();
    let whole = fs::read(&file).unwrap();
    let mut random = StdRng::seed_from_u64(1);
    for round in 0..40 {
        let mut bytes = whole.clone();
        let place = random.random_range(0..bytes.len());
        if round % 2 == 0 {
            bytes.truncate(place)
        } else {
            bytes[place] ^= 1 << random.random_range(0..8)
        }
        fs::write(&file, bytes).unwrap();
        restore(&file, &data).unwrap_err();
        assert!(!data.exists(), "{round}");
    }
}

#[test]
fn a_revision_of_many_changes_comes_back() {
    let dir = tempdir().unwrap();
    let (mut publisher, _) = Publisher::open(dir.path());
    let record = |number| Change {
        kind: Kind::Records,
        id: format!("example-test/host{number}/A"),
        before: None,
        after: Some(json!({"ttl": 300, "values": [format!("192.0.2.{}", number % 256)]})),
    };
    publisher.publish((0..5_000).map(record).collect()).unwrap();
    drop(publisher);
    let (publisher, opened) = Publisher::open(dir.path());
    assert_eq!(opened.loaded.entities.len(), 5_000);
    assert_right(&opened.loaded, &publisher.store);
    assert_eq!(publisher.store.revision(1).unwrap().unwrap().changes.len(), 5_000);
}

#[test]
fn sled_writes_no_file_without_fsync() {
    let dir = tempdir().unwrap();
    let (mut publisher, _) = Publisher::open(dir.path());
    publisher.publish_some(40);
    drop(publisher);
    assert_eq!(fs::read_dir(dir.path().join("sled/blobs")).unwrap().count(), 0);
}

#[test]
fn a_torn_snapshot_of_sled_is_removed_at_open() {
    for content in ["", "half a snapshot"] {
        let dir = used();
        let torn = dir.path().join("sled/snap.FFFFFFFFFFFFFFFF.generating");
        fs::write(&torn, content).unwrap();
        let (publisher, opened) = Publisher::open(dir.path());
        assert_eq!((opened.loaded.revision, opened.repairs), (15, Vec::new()));
        assert!(!torn.exists());
        assert_right(&opened.loaded, &publisher.store);
    }
}

#[test]
fn a_lost_database_is_built_again_without_loss_of_configuration() {
    let dir = used();
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let (mut publisher, opened) = Publisher::open(dir.path());
    assert_eq!(opened.loaded.revision, 15);
    assert_eq!(opened.loaded.secrets, [("token/1".to_owned(), json!("hash"))]);
    assert_eq!(opened.loaded.last_audit.as_ref().unwrap().sequence, 16);
    assert!(opened.repairs[0].contains("a new one was built"), "{:?}", opened.repairs);
    assert_right(&opened.loaded, &publisher.store);
    publisher.publish_some(2);
    assert_eq!(publisher.store.verify_audit(&mut |_| {}).unwrap().broken, None);
    drop(publisher);
    let (_, opened) = Publisher::open(dir.path());
    assert_eq!((opened.loaded.revision, opened.repairs), (17, Vec::new()));
}

/// Where the beginning of its log is no log, sled begins a new one over it.
#[test]
fn what_a_database_that_began_anew_lost_is_told() {
    let damage = |dir: &Path| {
        for file in fs::read_dir(dir.join("sled")).unwrap().flatten() {
            if file.file_name().to_string_lossy().starts_with("snap.") {
                fs::remove_file(file.path()).unwrap();
            }
        }
        let database = dir.join("sled/db");
        let length = fs::metadata(&database).unwrap().len() as usize;
        fs::write(database, vec![0xa5; length]).unwrap();
    };
    let dir = used();
    damage(dir.path());
    let (publisher, opened) = Publisher::open(dir.path());
    assert_eq!(opened.loaded.revision, 15);
    assert_eq!(opened.loaded.last_audit.as_ref().unwrap().sequence, 16);
    let events = publisher.store.events(&EventFilter::default(), None, 10).unwrap();
    assert!(opened.repairs[0].contains("Events before this start are lost"), "{:?}", opened.repairs);
    assert_eq!(events, []);
    assert!(opened.repairs[0].contains("the whole history and audit log"), "{:?}", opened.repairs);
    assert_eq!(publisher.store.verify_audit(&mut |_| {}).unwrap().broken, None);
    drop(publisher);

    // With a journal that does not reach back to the beginning.
    let dir = used();
    fs::remove_file(dir.path().join("journal")).unwrap();
    drop(Publisher::open(dir.path()));
    damage(dir.path());
    let (publisher, opened) = Publisher::open(dir.path());
    assert_eq!(opened.loaded.revision, 15);
    assert!(opened.repairs[0].contains("history and the audit log before it are lost"), "{:?}", opened.repairs);
    drop(publisher);

    // And without exports: nothing is no answer.
    let dir = used();
    fs::remove_file(dir.path().join("journal")).unwrap();
    drop(Publisher::open(dir.path()));
    damage(dir.path());
    fs::remove_dir_all(dir.path().join("exports")).unwrap();
    let fault = Store::open(dir.path()).err().unwrap().to_string();
    assert!(fault.contains("holds nothing") && fault.contains("no export is whole"), "{fault}");
}

#[test]
fn a_database_from_the_past_is_brought_up_to_date() {
    let dir = tempdir().unwrap();
    let (mut publisher, _) = Publisher::open(dir.path());
    publisher.publish_some(3);
    drop(publisher);
    let old = dir.path().join("old");
    fs::rename(dir.path().join("sled"), &old).unwrap();
    copy(&old, &dir.path().join("sled"));
    let (mut publisher, _) = Publisher::open(dir.path());
    publisher.publish_some(4);
    drop(publisher);
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    fs::rename(&old, dir.path().join("sled")).unwrap();
    let (publisher, opened) = Publisher::open(dir.path());
    assert_eq!(opened.loaded.revision, 7);
    assert!(opened.repairs[0].contains("lacked the last 4 changes"), "{:?}", opened.repairs);
    assert_right(&opened.loaded, &publisher.store);
}

#[test]
fn a_refused_change_that_got_through_is_taken_back() {
    let dir = used();
    let (mut publisher, _) = Publisher::open(dir.path());
    let model = publisher.model.clone();
    // As after an error of the disk between the database's write and its sync.
    let (revision, audit) = publisher.next(Vec::new());
    let store = &mut publisher.store;
    let engine = store.engine().unwrap();
    let old = engine.get(Tree::Model, b"pools/p1").unwrap().unwrap();
    let mut head = Head { transaction: 17, revision: 16, audit: 17, ..store.head.clone() };
    head.model.remove(b"pools/p1", &old);
    let mut batch = Batch::default();
    batch.remove(Tree::Model, b"pools/p1", Some(&old));
    put_numbered(&mut batch, Tree::Revisions, revision.number, &revision);
    put_numbered(&mut batch, Tree::Audit, audit.sequence, &audit);
    batch.put(Tree::Meta, HEAD, &written(&head), None);
    let before = before(engine, &batch).unwrap();
    engine.apply(&batch).unwrap();
    store.refused = before;
    store.engine = None;
    publisher.publish_some(1);
    drop(publisher);
    let (publisher, opened) = Publisher::open(dir.path());
    assert_eq!((opened.loaded.revision, opened.repairs), (16, Vec::new()));
    assert!(publisher.model.contains_key("pools/p1") && model.contains_key("pools/p1"));
    assert_right(&opened.loaded, &publisher.store);
}

/// Sixty seeded damages of every kind of file. What opens is right, and is the newest state or says what is
/// lost; what does not open names a place.
#[test]
fn no_damage_yields_wrong_data_or_a_panic() {
    let whole = used();
    let mut random = StdRng::seed_from_u64(20_260_101);
    let (mut clean, mut repaired, mut refused) = (0, 0, 0);
    for round in 0..60 {
        let dir = tempdir().unwrap();
        let data = dir.path().join("data");
        copy(whole.path(), &data);
        let what: Vec<String> = (0..random.random_range(1..=2)).map(|_| damage(&data, &mut random)).collect();
        match Store::open(&data) {
            Ok(opened) => {
                assert_right(&opened.loaded, &opened.store);
                let complete = opened.loaded.revision == 15 && opened.loaded.secrets.len() == 1;
                assert!(complete || !opened.repairs.is_empty(), "round {round}: {what:?}");
                if opened.repairs.is_empty() { clean += 1 } else { repaired += 1 }
            }
            Err(fault) => {
                assert!(fault.to_string().contains(data.to_str().unwrap()), "round {round}: {what:?}: {fault}");
                refused += 1;
            }
        }
    }
    println!("{clean} without harm, {repaired} repaired, {refused} refused");
    assert!(repaired > 10 && refused < 10);
}

/// Flips bits of, cuts, empties or removes one file.
fn damage(dir: &Path, random: &mut StdRng) -> String {
    let mut files = Vec::new();
    collect(dir, &mut files);
    files.sort();
    // Every other damage is to the database itself.
    let wanted = |file: &&PathBuf| random.random_bool(0.5) || file.starts_with(dir.join("sled"));
    let chosen: Vec<&PathBuf> = files.iter().filter(wanted).collect();
    let file = chosen[random.random_range(0..chosen.len())];
    let mut bytes = fs::read(file).unwrap();
    let kind = random.random_range(0..5);
    match kind {
        0 => fs::remove_file(file).unwrap(),
        1 => bytes.truncate(random.random_range(0..=bytes.len())),
        2 => bytes.clear(),
        _ => {
            for _ in 0..random.random_range(1..20) {
                let length = bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(random.random_range(0..length)) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
        }
    }
    if kind > 0 {
        fs::write(file, bytes).unwrap();
    }
    format!("damage {kind} of {}", file.display())
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(|_| ()).unwrap() }
    }
}
