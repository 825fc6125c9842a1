//! Data directories that cannot be used: the message names the path, what is wrong with it and what would be right,
//! the status is not 0, and nothing in them is overwritten.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;
use tempfile::TempDir;

use crate::server::{BINARY, Server, stderr, until};

/// A user whom nobody is.
const SOMEBODY: u32 = 64_242;

/// One that was used.
async fn used(dir: &TempDir) {
    let server = Server::start(dir.path(), &[]);
    let zone = json!({ "id": "example", "fqdn": "example.test.", "ns": ["a.other.test.", "b.other.test."] });
    server.post("/api/v1/zones", zone).await;
    server.post("/api/v1/endpoints", json!({ "id": "one", "ipv4": "192.0.2.1" })).await;
    server.post("/api/v1/pools", json!({ "id": "main", "members": [{ "endpoint": "one" }] })).await;
    server.post("/api/v1/pools/main/drain", json!({ "reason": "Before the damage" })).await;
    assert!(server.stop());
}

fn serve(dir: &Path) -> Vec<String> {
    let dir = dir.display().to_string();
    [BINARY, "serve", "--dns", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir", &dir].map(str::to_owned).to_vec()
}

fn run(command: &[String]) -> Output {
    Command::new(&command[0]).args(&command[1..]).output().unwrap()
}

/// Every file with what is in it. The lock says only who has it.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path != dir.join("lock") {
                found.insert(path.strip_prefix(dir).unwrap().display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Refused, with a message that has all of `words`, and no panic.
fn assert_refused(output: &Output, words: &[&str]) {
    let said = stderr(output);
    assert!(output.status.code().is_some_and(|code| code != 0), "{:?}: {said}", output.status);
    assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    assert!(!said.contains("panicked") && !String::from_utf8_lossy(&output.stdout).contains("ready"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_another_user_is_named_with_its_owner() {
    let dir = TempDir::new().unwrap();
    used(&dir).await;
    let before = contents(dir.path());
    // Root may read everything, unless it gives that right up.
    if chown(dir.path(), Some(SOMEBODY), None).is_err() {
        eprintln!("SKIPPED: only root can give a directory to somebody else");
        return;
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let rights = "--bounding-set=-dac_override,-dac_read_search,-fowner";
    let command = [vec!["setpriv".to_owned(), rights.to_owned()], serve(dir.path())].concat();
    let output = run(&command);
    let path = dir.path().display().to_string();
    assert_refused(&output, &[&path, "belongs to user 64242", "runs as user 0", "chown"]);
    assert_eq!(contents(dir.path()), before);

    // One file that was put there by somebody else.
    chown(dir.path(), Some(0), None).unwrap();
    for file in ["journal", "sled/db"] {
        let path = dir.path().join(file);
        chown(&path, Some(SOMEBODY), None).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let output = run(&command);
        assert_refused(&output, &[&dir.path().display().to_string(), file, "ermission denied", "belongs to"]);
        assert_eq!(contents(dir.path()), before, "{file}");
        chown(&path, Some(0), None).unwrap();
    }
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.dig(&["example.test", "NS"]).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_made_good_where_that_is_possible_and_told_where_it_is_not() {
    let dir = TempDir::new().unwrap();
    used(&dir).await;
    let database = dir.path().join("sled/db");
    let damage = || {
        let mut bytes = fs::read(&database).unwrap();
        bytes[..64].fill(0xa5);
        fs::write(&database, bytes).unwrap();
    };
    damage();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.dig(&["example.test", "NS"]).len(), 2, "nothing published is lost");
    let events = server.get("/api/v1/events").await.to_string();
    assert!(events.contains("\"repaired\"") && events.contains("came from the journal"), "{events}");
    // What stood in the database alone is said to be lost, and is; what is said to be there is.
    assert!(events.contains("drains and holds") && !events.contains("Before the damage"), "{events}");
    let audit = server.get("/api/v1/audit").await.to_string();
    assert!(audit.contains("Before the damage"), "{audit}");
    let health = server.get("/api/v1/health").await;
    assert_ne!(health["pools"]["main"]["state"], json!("drain"), "{health}");
    assert!(server.stop());

    damage();
    fs::remove_dir_all(dir.path().join("exports")).unwrap();
    fs::remove_file(dir.path().join("journal")).unwrap();
    let secrets = fs::read(dir.path().join("secrets.json")).unwrap();
    for _ in 0..2 {
        let output = run(&serve(dir.path()));
        let place = dir.path().join("sled").display().to_string();
        let remedy = "put this directory aside and restore a backup with `northing restore FILE`";
        assert_refused(&output, &[&place, "the database is damaged", "no export is whole", remedy]);
        assert_eq!(fs::read(dir.path().join("secrets.json")).unwrap(), secrets);
        assert!(!dir.path().join("journal").exists(), "nothing new was begun");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_is_left_to_whoever_uses_it() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    // An upload that the first one is receiving.
    let geo = dir.path().join("geo");
    fs::create_dir_all(&geo).unwrap();
    fs::write(geo.join("location.mmdb.1.tmp"), "half").unwrap();
    // The plain files follow the database; the first token comes last.
    let secrets = dir.path().join("secrets.json");
    until("the first token in secrets.json", async || {
        fs::read_to_string(&secrets).ok().filter(|text| text.contains("token/first")).map(drop)
    })
    .await;
    let before = contents(dir.path());
    let output = run(&serve(dir.path()));
    let path = dir.path().display().to_string();
    assert_refused(&output, &[&path, "in use by process", "stop it first, or give this one a directory of its own"]);
    let after = contents(dir.path());
    for (name, bytes) in before.iter().filter(|(name, _)| !name.starts_with("sled/")) {
        assert_eq!(after.get(name), Some(bytes), "{name}");
    }
    assert!(server.stop());
}
