//! Wrong input from every side: the answer names the place, what is wrong and what would be right, and
//! nothing changes. A caller's mistake ends a command with status 2, a fault with 1; nothing panics.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::server::{BINARY, Server, command, stderr, stdout};

const DOCUMENT: &str = r#"{"zones": {"example": {"fqdn": "example.test.", "ns": ["a.other.test.", "b.other.test."]}}}"#;

/// Runs the binary with `input` on standard input.
fn run_with(input: &[u8], arguments: &[&str]) -> Output {
    let file = TempDir::new().unwrap();
    let path = file.path().join("input");
    fs::write(&path, input).unwrap();
    Command::new(BINARY).args(arguments).stdin(File::open(path).unwrap()).output().unwrap()
}

#[test]
fn commands_that_are_wrong_say_what_would_be_right() {
    let nowhere = "http://127.0.0.1:1";
    for (arguments, status, words) in [
        (
            vec!["explain", "a", "b", "--data-dir", "/nowhere"],
            2,
            vec!["there is no /nowhere", "--data-dir", "--server"],
        ),
        (vec!["explain", "a", "b", "--server", "nonsense"], 2, vec!["\"nonsense\" is not a URL", "needs a token"]),
        (vec!["explain", "a", "b", "--server", "ftp://x", "--token", "t"], 2, vec!["\"ftp://x\" is not a URL"]),
        (vec!["explain", "a", "b", "--server", nowhere, "--token", "t\nu"], 2, vec!["holds a space or a line feed"]),
        (vec!["explain", "a", "b", "--server", nowhere, "--token", "secret"], 1, vec!["does not answer: ", "refused"]),
        (vec!["serve", "--node", ""], 2, vec!["use 1 to 63 characters"]),
        (vec!["serve", "--log", "bananas"], 2, vec!["\"bananas\" is no level"]),
        (vec!["serve", "--config", "/"], 2, vec!["/ cannot be read: Is a directory"]),
        (vec!["restore", "/nowhere", "--data-dir", "/nowhere"], 2, vec!["/nowhere is not a file"]),
        (vec!["check", "/"], 2, vec!["/ cannot be read: Is a directory"]),
        (vec!["check", "/dev/null"], 2, vec!["declares nothing", "zones = {}"]),
    ] {
        let output = run_with(b"", &arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
        assert!(words.iter().all(|word| text.contains(word)), "{arguments:?}: {text}");
        assert!(!text.contains("panicked") && !text.contains("secret"), "{arguments:?}: {text}");
    }
}

#[test]
fn documents_that_are_wrong_are_told_by_place() {
    let deep = "[".repeat(100_000);
    let long = format!("[zones.a]\nfqdn = \"{}\"\n", "x".repeat(1_000_000));
    for (text, words) in [
        ("", vec!["declares nothing"]),
        ("{}", vec!["declares nothing"]),
        ("[1", vec!["line 1"]),
        ("a = 1\na = 2\n", vec!["line 2: duplicate key"]),
        ("zone = 1", vec!["has no section \"zone\"", "zones"]),
        ("zones = 7\nrecords = 5\n", vec!["document zones: is not an object", "document records: is not a list"]),
        ("zones = {\0}", vec!["line 1"]),
        (r#"{"zones": {"a": {}, "a": {}}}"#, vec!["the key \"a\" stands twice"]),
        (r#"{"pools": {"p": {"members": [{"endpoint": "nope"}]}}}"#, vec!["pools/p", "\"nope\"", "does not exist"]),
        (r#"{"monitors": {"m": {"type": "ping", "interval": 0}}}"#, vec!["monitors/m type", "monitors/m interval"]),
        (r#"{"endpoints": {"e": {"ipv4": "192.0.2.1", "serve": 7}}}"#, vec!["serve: 7 is not text"]),
        ("dns = [\"53\"]\nnode = 7\n", vec!["dns[0]", "node: 7 is not text"]),
        (&deep, vec!["line 1"]),
        (&long, vec!["zones/a fqdn", "…"]),
    ] {
        let output = run_with(text.as_bytes(), &["check", "-"]);
        let shown = stderr(&output);
        let case: String = text.chars().take(60).collect();
        assert_eq!(output.status.code(), Some(2), "{case}: {shown}");
        assert!(words.iter().all(|word| shown.contains(word)), "{case}: {shown}");
        assert!(shown.len() < 3000 && !shown.contains("panicked"), "{case}: {shown}");
    }
    assert_eq!(run_with(DOCUMENT.as_bytes(), &["check", "-"]).status.code(), Some(0));
    assert_eq!(run_with(b"zones = \"\xff\"", &["check", "-"]).status.code(), Some(2));
}

#[test]
fn an_empty_document_deletes_nothing() {
    let (dir, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = files.path().join("document.json");
    fs::write(&file, DOCUMENT).unwrap();
    assert!(command(dir.path(), &["apply", file.to_str().unwrap()]).status.success());
    let refused = command(dir.path(), &["apply", "/dev/null"]);
    assert_eq!(refused.status.code(), Some(2), "{}", stdout(&refused));
    assert!(stdout(&command(dir.path(), &["export", "example"])).contains("example.test."));
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("thesis.txt"), "mine").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let refused = command(dir.path(), &["explain", "www.example.test", "192.0.2.1"]);
    let text = stderr(&refused);
    assert!(!refused.status.success() && text.contains("thesis.txt") && text.contains("empty directory"), "{text}");
    let error = Server::try_start(dir.path(), &[]).err().expect("refused");
    assert!(error.contains("thesis.txt"), "{error}");
    assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was put there");
}

#[test]
fn an_output_that_is_closed_or_full_ends_no_server_and_is_no_panic() {
    let (full, dir) = (|| File::options().write(true).open("/dev/full").unwrap(), TempDir::new().unwrap());
    for arguments in [["completions", "bash"], ["completions", "fish"]] {
        let output = Command::new(BINARY).args(arguments).stdout(full()).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains("standard output cannot be written"), "{}", stderr(&output));
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(BINARY).args(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{arguments:?}");
    }
    let mut server = Command::new(BINARY)
        .args(["serve", "--dns", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log", "info", "--data-dir"])
        .arg(dir.path())
        .stdout(full())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = std::io::BufReader::new(server.stderr.take().unwrap());
    let told = std::io::BufRead::lines(log).map_while(Result::ok).any(|line| line.contains("standard output cannot"));
    assert!(told, "the log says that nobody hears the greeting");
    let stopped = Command::new("kill").arg(server.id().to_string()).status().unwrap();
    assert!(stopped.success() && server.wait().unwrap().success(), "it served until it was told to stop");
}

#[test]
fn backups_replace_files_only_and_restores_name_what_is_no_backup() {
    let (dir, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let place = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    for wrong in ["/dev/full", "/", files.path().to_str().unwrap()] {
        let refused = command(dir.path(), &["backup", wrong]);
        assert_eq!(refused.status.code(), Some(2), "{wrong}: {}", stderr(&refused));
        assert!(stderr(&refused).contains("is not a file"), "{}", stderr(&refused));
    }
    let whole = command(dir.path(), &["backup", "-"]).stdout;
    fs::write(place("whole"), &whole).unwrap();
    let text = String::from_utf8(whole).unwrap();
    let half: String = text.chars().take(text.len() / 2).collect();
    for (name, bytes, word) in [
        ("empty", String::new().into_bytes(), "the file is empty"),
        ("binary", b"\xff\xfe\n\x00\n".to_vec(), "not a backup of northing"),
        ("half", half.into_bytes(), "the file is cut"),
        ("changed", text.replace("\"revision\":0", "\"revision\":1").into_bytes(), "does not fit its sha256"),
        ("newer", text.replace("\"northing_backup\":1", "\"northing_backup\":9").into_bytes(), "format 9"),
    ] {
        fs::write(place(name), bytes).unwrap();
        let target = files.path().join("target");
        let refused = command(&target, &["restore", &place(name)]);
        assert!(!refused.status.success() && stderr(&refused).contains(word), "{name}: {}", stderr(&refused));
        assert!(!target.join("sled").exists(), "{name}: nothing is left that opens");
    }
    let restored = command(Path::new(&place("new")), &["restore", &place("whole")]);
    assert!(restored.status.success(), "{}", stderr(&restored));
}

#[test]
fn zone_files_that_are_wrong_are_told_by_line() {
    let (dir, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = files.path().join("x.zone");
    let many = (0..50_000).map(|n| format!("a{n} A 1.2.3\n")).collect::<String>();
    let long = format!("{} A 192.0.2.1\n", "x".repeat(65_536));
    for (text, words) in [
        ("$INCLUDE /etc/passwd\n", vec!["line 2", "$INCLUDE"]),
        ("$GENERATE 250-300 a$ A 192.0.2.$\n", vec!["line 2", "192.0.2.256"]),
        ("a A (192.0.2.1\nb A 192.0.2.2\n", vec!["line 2", "never closed"]),
        ("a A 192.0.2.1)\n", vec!["line 2", "closes nothing"]),
        ("a TXT \"x\nb A 1.2.3\n", vec!["line 2", "quote", "line 3"]),
        ("a CH A 192.0.2.1\n", vec!["class CH"]),
        ("a.other. A 192.0.2.1\n", vec!["outside zone x.test."]),
        ("a CNAME b\na A 192.0.2.1\n", vec!["stands beside A"]),
        ("a\tA\t1.2.3\r\nb 99999999999 A 192.0.2.1\r\n", vec!["line 2", "line 3"]),
        ("\0\x01 FOO 1\n", vec!["line 2", "FOO"]),
        (many.as_str(), vec!["line 2", "line 3"]),
        (long.as_str(), vec!["line 2"]),
    ] {
        fs::write(&file, format!("@ 300 NS ns1.other.test.\n{text}")).unwrap();
        let refused = command(dir.path(), &["import", file.to_str().unwrap(), "--zone", "x.test"]);
        let shown = stderr(&refused);
        let case: String = text.chars().take(40).collect();
        assert_eq!(refused.status.code(), Some(2), "{case}: {shown}");
        assert!(words.iter().all(|word| shown.contains(word)), "{case}: {shown}");
        assert!(shown.len() < 200_000 && !shown.contains("panicked"), "{case}");
    }
    assert!(stdout(&command(dir.path(), &["audit", "list"])).lines().all(|line| !line.contains("publish")));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_of_the_api_is_a_problem_that_names_the_place() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    let zone = json!({"id": "example", "fqdn": "example.test.", "ns": ["a.other.test.", "b.other.test."]});
    server.post("/api/v1/zones", zone.clone()).await;
    for (method, path, status, word) in [
        ("GET", "/api/v1/events?limit=x", 422, "\"x\""),
        ("GET", "/api/v1/events?kind=nonsense", 422, "endpoint, pool"),
        ("GET", "/api/v1/audit?before=-1", 422, "\"-1\""),
        ("GET", "/api/v1/zones?limit=x", 422, "whole number"),
        ("GET", "/api/v1/zones?limt=1", 422, "known are: limit, after, q"),
        ("GET", "/api/v1/zones?q=a&q=b", 422, "stands twice"),
        ("GET", "/api/v1/revisions/x", 400, "whole number"),
        ("GET", "/api/v1/revisions/99999999999999999999999", 400, "whole number"),
        ("GET", "/api/v1/zones/%ff", 400, "UTF-8"),
        ("GET", "/api/v1/zones/..%2f..", 404, "There is no zone "),
        ("GET", "/static/..%2fCargo.toml", 404, "There is no file"),
        ("GET", "/static/%ff", 400, "UTF-8"),
        ("PUT", "/api/v1/document?expect_revision=abc", 422, "\"abc\""),
        ("PUT", "/api/v1/document", 422, "declares nothing"),
        ("POST", "/api/v1/import?zone=x.test&plan=yes", 422, "use true or false"),
        ("POST", "/api/v1/import?zone=x.test&dry_run=true", 422, "dry_run"),
        ("GET", "/api/v1/backup?secrets=1", 422, "use true or false"),
        ("GET", "/api/v1/explain?name=a..b&client=x&type=zz&resolver=q", 422, "4 things are wrong"),
        ("OPTIONS", "/api/v1/zones", 405, "openapi.json"),
        ("GET", "/nowhere", 404, "openapi.json"),
    ] {
        let (got, body) = server.api(method, path, None).await;
        assert_eq!(got, status, "{method} {path}: {body}");
        assert_eq!(body["status"], status, "{method} {path} is a Problem: {body}");
        assert!(body.to_string().replace("\\\"", "\"").contains(word), "{method} {path}: {body}");
    }
    for (path, body, status, word) in [
        ("/api/v1/pools", json!({"id": 5}), 422, "5 is not text"),
        ("/api/v1/pools", json!({"id": "../x"}), 422, "is not an id"),
        ("/api/v1/pools/nope/drain", json!({}), 404, "pools/nope"),
        ("/api/v1/endpoints/x/force", json!({"state": "sideways", "family": 7}), 422, "7 is not text"),
        ("/api/v1/publish", json!([]), 422, "is not an object"),
        ("/api/v1/tokens", json!({"id": "x", "role": "king", "expires_days": -5}), 422, "2 things are wrong"),
    ] {
        let (got, answer) = server.api("POST", path, Some(body)).await;
        assert_eq!((got, &answer["status"]), (status, &json!(status)), "POST {path}: {answer}");
        assert!(answer.to_string().contains(word), "POST {path}: {answer}");
    }
    // The answer comes before the body is read; a client that still sends may only see the connection end.
    let oversized = server.try_post("/api/v1/publish", json!("x".repeat(2 << 20))).await;
    assert!(matches!(oversized, Some(413) | None), "{oversized:?}");
    let (status, body) = server.api_as("nth_wrong", "GET", "/api/v1/zones", None, &[]).await;
    assert!(status == 401 && !body.to_string().contains("nth_wrong"), "{body}");
    assert_eq!(server.get("/readyz").await["revision"], 1, "nothing was changed");
}

/// Two names that make the same id must not become one zone.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_never_takes_the_zone_of_another_name() {
    let (dir, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = Server::start(dir.path(), &[]);
    let file = files.path().join("a.zone");
    fs::write(&file, "@ 300 SOA ns1 host 1 2 3 4 5\n@ NS a.other.test.\n@ NS b.other.test.\nwww A 192.0.2.1\n")
        .unwrap();
    for name in ["a.b.test", "a-b.test"] {
        let imported = server.command(&["import", file.to_str().unwrap(), "--zone", name]);
        assert!(imported.status.success(), "{}", stderr(&imported));
        assert_eq!(server.dig(&[&format!("www.{name}")]), ["192.0.2.1"]);
    }
    assert_eq!(server.dig(&["www.a.b.test"]), ["192.0.2.1"]);
    let again = server.command(&["import", file.to_str().unwrap(), "--zone", "a-b-test-2", "--plan"]);
    assert!(stdout(&again).contains("Nothing would change"), "an id names its zone: {}", stdout(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_at_once_all_get_an_answer() {
    let dir = TempDir::new().unwrap();
    let server = std::sync::Arc::new(Server::start(dir.path(), &[]));
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let server = server.clone();
        requests.spawn(async move { server.api("GET", &format!("/api/v1/zones/z{number}"), None).await.0 });
    }
    assert!(requests.join_all().await.iter().all(|status| *status == 404));
}
