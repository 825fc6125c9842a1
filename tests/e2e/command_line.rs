//! The command line, against a running server and against a data directory alone.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::server::{BINARY, Server, command, stderr, stdout};

const DOCUMENT: &str = r#"
[zones.example]
fqdn = "example.test."
ns = ["ns1.other.test.", "ns2.other.test."]

[[records]]
zone = "example"
name = "www"
type = "A"
values = ["192.0.2.1"]

[[records]]
zone = "example"
name = "txt"
type = "TXT"
values = ["\"two words\" \"and more\""]

[endpoints.web]
ipv4 = "192.0.2.10"

[pools.eu]
country = "DE"
members = [{ endpoint = "web" }]

[policies.app]
attach = [{ zone = "example", name = "app.example.test.", types = ["A"] }]

[[policies.app.rules]]
name = "Everyone else"
steps = [{ pools = [{ pool = "eu" }] }]
"#;

#[test]
fn apply_shows_its_plan_and_is_all_or_nothing() {
    let (dir, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = files.path().join("northing.toml");
    fs::write(&file, DOCUMENT).unwrap();
    let file = file.to_str().unwrap();
    let plan = command(dir.path(), &["apply", file, "--plan"]);
    assert!(plan.status.success(), "{}", stderr(&plan));
    assert!(stdout(&plan).contains("example.test"), "{}", stdout(&plan));
    let applied = command(dir.path(), &["apply", file, "-m", "first"]);
    assert!(stdout(&applied).contains("Published as revision 1."), "{}{}", stdout(&applied), stderr(&applied));
    let again = command(dir.path(), &["apply", file]);
    assert!(stdout(&again).contains("Nothing would change"), "{}", stdout(&again));

    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.dig(&["www.example.test"]), ["192.0.2.1"]);
    assert_eq!(server.dig(&["app.example.test"]), ["192.0.2.10"]);
    let broken = DOCUMENT.replace("192.0.2.1\"", "192.0.2.300\"").replace("endpoint = \"web\"", "endpoint = \"wbe\"");
    fs::write(file, broken).unwrap();
    let refused = server.command(&["apply", file]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("192.0.2.300") && stderr(&refused).contains("wbe"), "{}", stderr(&refused));
    assert_eq!(server.dig(&["www.example.test"]), ["192.0.2.1"]);
}

#[test]
fn an_exported_zone_can_be_imported_and_exports_the_same_again() {
    let (dir, other, files) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = files.path().join("northing.toml");
    fs::write(&file, DOCUMENT).unwrap();
    assert!(command(dir.path(), &["apply", file.to_str().unwrap()]).status.success());
    let exported = stdout(&command(dir.path(), &["export", "example.test", "--format", "bind"]));
    assert!(exported.contains("SHA-256") && exported.contains("\"two words\" \"and more\""), "{exported}");
    assert!(exported.contains("app"), "a steered name is told as a comment:\n{exported}");
    assert_eq!(exported, stdout(&command(dir.path(), &["export", "example.test"])), "the same bytes each time");
    let json = stdout(&command(dir.path(), &["export", "example.test", "--format", "json"]));
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");

    let zone_file = files.path().join("example.zone");
    fs::write(&zone_file, &exported).unwrap();
    let imported = command(other.path(), &["import", zone_file.to_str().unwrap()]);
    assert!(imported.status.success(), "{}{}", stdout(&imported), stderr(&imported));
    let server = Server::start(other.path(), &[]);
    assert_eq!(server.dig(&["txt.example.test", "TXT"]), ["\"two words\" \"and more\""]);
}

/// As the page of an import does.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_tells_what_it_leaves_out() {
    let (dir, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = files.path().join("northing.toml");
    fs::write(&file, DOCUMENT).unwrap();
    assert!(command(dir.path(), &["apply", file.to_str().unwrap()]).status.success());
    let zone_file = files.path().join("example.zone");
    let text = "$ORIGIN example.test.\n$TTL 300\n@ NS ns1.other.test.\n@ NS ns2.other.test.\napp 30 A 192.0.2.99\n\
                www A 192.0.2.2\nwww RRSIG A 13 3 300 20261220062528 20261122062528 1 example.test. AAAA\n";
    fs::write(&zone_file, text).unwrap();
    let server = Server::start(dir.path(), &[]);
    let plan = server.command(&["import", zone_file.to_str().unwrap(), "--plan"]);
    let shown = stdout(&plan);
    for told in ["line 5: example/app/A is steered and is left out", "line 7: RRSIG is left out, with 1 record in all"]
    {
        assert!(shown.contains(told), "{told}: {shown}{}", stderr(&plan));
    }
    let imported = server.command(&["import", zone_file.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", stderr(&imported));
    assert_eq!(server.dig(&["www.example.test"]), ["192.0.2.2"]);
    let records = server.get("/api/v1/records").await;
    assert!(!records.to_string().contains("192.0.2.99"), "{records}");
    let same = server.command(&["import", zone_file.to_str().unwrap()]);
    assert!(stdout(&same).contains("Nothing would change") && stdout(&same).contains("RRSIG"), "{}", stdout(&same));
}

#[test]
fn a_wrong_zone_file_is_refused_with_every_line() {
    let (dir, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let zone_file = files.path().join("bad.zone");
    fs::write(&zone_file, "$ORIGIN bad.test.\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 1.2.3\nx MX mail\n").unwrap();
    let refused = command(dir.path(), &["import", zone_file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2), "{}", stdout(&refused));
    let text = stderr(&refused);
    assert!(text.contains("line 4") && text.contains("line 5"), "{text}");
}

#[test]
fn a_backup_fills_an_empty_machine() {
    let (dir, other, files) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = files.path().join("northing.toml");
    fs::write(&file, DOCUMENT).unwrap();
    assert!(command(dir.path(), &["apply", file.to_str().unwrap()]).status.success());
    let server = Server::start(dir.path(), &[]);
    let backup = files.path().join("northing.backup");
    let made = server.command(&["backup", backup.to_str().unwrap()]);
    assert!(made.status.success(), "{}", stderr(&made));
    let target = other.path().join("data");
    let restored = command(&target, &["restore", backup.to_str().unwrap()]);
    assert!(restored.status.success(), "{}", stderr(&restored));
    let second = Server::start(&target, &[]);
    assert_eq!(second.dig(&["www.example.test"]), ["192.0.2.1"]);
    assert!(!command(&target, &["restore", backup.to_str().unwrap()]).status.success(), "never over existing data");
    let verified = second.command(&["audit", "verify"]);
    assert!(stdout(&verified).contains("whole"), "{}{}", stdout(&verified), stderr(&verified));
}

#[test]
fn a_data_directory_serves_one_process_at_a_time() {
    let dir = TempDir::new().unwrap();
    let _server = Server::start(dir.path(), &[]);
    let error = Server::try_start(dir.path(), &[]).err().expect("the second is refused");
    assert!(error.contains(&dir.path().display().to_string()), "{error}");
}

#[test]
fn wrong_boot_files_and_flags_say_what_would_be_right() {
    let files = TempDir::new().unwrap();
    let boot = files.path().join("northing.toml");
    fs::write(&boot, "dns = [\"53\"]\nhtpp = \"127.0.0.1:1\"\n").unwrap();
    let output = Command::new(BINARY).args(["serve", "--config"]).arg(&boot).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("dns[0]") && text.contains("did you mean http?"), "{text}");
    let output = Command::new(BINARY).args(["serve", "--dns", "localhost"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn commands_work_where_no_certificate_authority_is() {
    let dir = TempDir::new().unwrap();
    let _server = Server::start(dir.path(), &[]);
    let nowhere = dir.path().join("nowhere");
    let listed = Command::new(BINARY)
        .args(["token", "list", "--data-dir"])
        .arg(dir.path())
        .env("SSL_CERT_FILE", &nowhere)
        .env("SSL_CERT_DIR", &nowhere)
        .output()
        .unwrap();
    assert!(stdout(&listed).starts_with("first "), "{}", stderr(&listed));
}
