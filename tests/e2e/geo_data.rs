//! Another geo database, uploaded with a browser: looked at first, used after a restart, and given back.

use std::path::Path;

use reqwest::StatusCode;
use tempfile::TempDir;

use crate::accounts::set_up;
use crate::server::{Server, command, stdout};

const PAGE: &str = "/settings/geo-data";
const KIND: &[u8] = b"database_type";

/// The bundled database under another name of the same length, so that it is another file.
fn another() -> Vec<u8> {
    let mut bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/geo-data/country.mmdb")).unwrap();
    let at = bytes.windows(KIND.len()).rposition(|window| window == KIND).expect("a database says its type");
    // The text behind the key: one byte of type and length, or two.
    let first = (at + KIND.len() + 1..).find(|at| bytes[*at].is_ascii_alphabetic()).unwrap();
    bytes[first] = b'Z';
    bytes
}

fn files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("geo")).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_geo_database_is_looked_at_used_and_given_back() {
    let dir = TempDir::new().unwrap();
    let (server, mut browser) = set_up(&dir).await;
    let before = browser.get(PAGE).await.text;
    assert!(before.contains("in the program itself"));
    let token = browser.token();

    let forged = browser.upload("/settings/geo-data/location", "another", another()).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let mut broken = another();
    broken.truncate(broken.len() / 2);
    for (file, reason) in [
        (broken, "not a readable MMDB"),
        (b"a letter".to_vec(), "not a readable MMDB"),
        (Vec::new(), "No file was chosen"),
        (vec![0; (256 << 20) + 1], "at most 256 MiB"),
    ] {
        let page = browser.upload("/settings/geo-data/location", &token, file).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{reason}");
        assert!(page.text.contains(reason), "{reason}: {}", page.text);
    }
    assert_eq!(files(dir.path()), [""; 0], "nothing is left of them");

    let page = browser.upload("/settings/geo-data/location", &token, another()).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("Use this database?") && page.text.contains("20 of 20") && page.text.contains("0 %"));
    assert!(browser.get(PAGE).await.text.contains("in the program itself"), "it is not in use yet");
    let sha256 = page.hidden("sha256").expect("what was looked at").to_owned();
    let stale = browser.post("/settings/geo-data/location/apply", &[("sha256", &sha256.replace('a', "b"))]).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    assert!(Server::try_start(dir.path(), &[]).is_err(), "a second server, which takes nothing from the first");
    let page = browser.post("/settings/geo-data/location/apply", &[("sha256", &sha256)]).await;
    assert_eq!((page.status, &*page.location), (StatusCode::SEE_OTHER, PAGE), "{}", page.text);
    assert!(browser.get(PAGE).await.text.contains("uploaded, kept as"));
    assert_eq!(files(dir.path()), ["location.mmdb"]);

    let (elsewhere, backup) = (dir.path().join("elsewhere"), dir.path().join("northing.backup"));
    let (elsewhere, backup) = (&*elsewhere, backup.to_str().unwrap());
    let made = stdout(&server.command(&["backup", backup]));
    assert!(made.contains("with the uploaded geo data: location.mmdb ("), "{made}");
    assert!(browser.get("/settings/backup").await.text.contains("The uploaded geo data goes along: "));
    let restored = command(elsewhere, &["restore", backup]);
    assert!(stdout(&restored).contains("with the uploaded geo data: location.mmdb ("), "{restored:?}");
    assert!(std::fs::read(elsewhere.join("geo/location.mmdb")).unwrap() == another(), "the same bytes");
    let text = std::fs::read_to_string(backup).unwrap();
    for (found, instead) in
        [("\"name\":\"location.mmdb\"", "\"name\":\"../../x.mmdb\""), ("\"geo\":\"location", "\"geo\":\"other")]
    {
        assert!(text.contains(found));
        std::fs::write(backup, text.replace(found, instead)).unwrap();
        let refused = command(&dir.path().join("third"), &["restore", backup]);
        assert!(!refused.status.success() && !dir.path().join("third/sled").exists(), "{refused:?}");
    }

    assert!(server.stop());
    let server = Server::start(dir.path(), &[]);
    browser.now_at(&server);
    assert!(browser.get(PAGE).await.text.contains("uploaded, kept as"), "after a restart too");
    let page = browser.get("/settings/geo-data/location/back").await;
    assert!(page.text.contains("Go back to the bundled data?"), "{}", page.text);
    let page = browser.post("/settings/geo-data/location/back", &[]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    assert!(browser.get(PAGE).await.text.contains("in the program itself"));
    assert_eq!(files(dir.path()), [""; 0]);
    let audit = server.get("/api/v1/audit").await;
    let acts = audit["items"].as_array().unwrap().iter().filter(|entry| entry["action"] == "replace geo data");
    let acts: Vec<_> = acts.collect();
    assert_eq!(acts.len(), 2, "{audit}");
    assert!(acts.iter().any(|entry| entry["after"][0]["sha256"] == *sha256 && entry["actor"] == "ann"));
    assert!(server.stop());

    let named = dir.path().join("named.mmdb");
    std::fs::write(&named, another()).unwrap();
    let server = Server::start(dir.path(), &["--geo-location", named.to_str().unwrap()]);
    browser.now_at(&server);
    assert!(browser.get(PAGE).await.text.contains("northing.toml names this file as geo_location"));
    let page = browser.upload("/settings/geo-data/location", &token, another()).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
}
