//! Keeps the layers of `src/lib.rs`: who may name whom, and which modules stay pure.

mod markup;
mod texts;

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that decide, with the only layers of ours that each may name.
const PURE: [(&str, &[&str]); 4] = [
    ("model", &["model"]),
    ("geo", &["geo", "model"]),
    ("health", &["health", "model"]),
    ("answer", &["answer", "geo", "health", "model"]),
];

/// Folders that touch the world. None of them names another, or control, or the people's side.
const EDGES: [(&str, &[&str]); 3] = [
    ("dns", &["dns", "answer", "geo", "health", "model"]),
    ("probe", &["probe", "health", "model"]),
    ("store", &["store", "health", "model"]),
];

/// What a pure module must not do: read a clock, draw chance, wait, log, or touch a file or socket.
const IMPURE: [&str; 14] = [
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "rand::",
    "tokio::",
    "async fn",
    ".await",
    "tracing::",
    "println!",
    "std::fs",
    "std::net::UdpSocket",
    "std::net::Tcp",
    "std::thread",
    "static mut",
];

/// Crates that are known in one folder only.
const HOMES: [(&str, &str); 5] = [
    ("sled::", "store"),
    ("hickory_server", "dns"),
    ("surge_ping", "probe"),
    ("maxminddb", "geo"),
    ("askama::", "web"),
];

#[test]
fn pure_modules_name_only_pure_modules() {
    for (folder, allowed) in PURE {
        assert_names_only(folder, allowed);
    }
}

#[test]
fn edges_do_not_name_each_other() {
    for (folder, allowed) in EDGES {
        assert_names_only(folder, allowed);
    }
}

#[test]
fn pure_modules_touch_neither_clock_nor_chance_nor_world() {
    for (folder, _) in PURE {
        for (file, line, text) in code_lines(folder) {
            for word in IMPURE {
                assert!(!text.contains(word), "{}:{line} has {word}, which a pure module must not", file.display());
            }
        }
    }
}

#[test]
fn only_control_publishes_snapshots() {
    let publishes = |text: &str| text.contains("snapshot.swap(") || text.contains("snapshot.store(");
    for folder in ["answer", "dns", "geo", "health", "model", "probe", "store", "web", "cli", "app"] {
        for (file, line, text) in code_lines(folder) {
            assert!(!publishes(&text), "{}:{line} publishes a snapshot", file.display());
        }
    }
    // Else the words above are not how it is done any more.
    assert!(code_lines("control").iter().any(|(_, _, text)| publishes(text)));
}

#[test]
fn each_crate_of_the_outside_lives_in_one_folder() {
    for (word, home) in HOMES {
        for folder in ["answer", "app", "cli", "control", "dns", "geo", "health", "model", "probe", "store", "web"] {
            if folder == home {
                continue;
            }
            for (file, line, text) in code_lines(folder) {
                assert!(!text.contains(word), "{}:{line} names {word}, whose home is src/{home}", file.display());
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for file in rust_files(&source("")) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//!"), "{} does not open with //!", file.display());
    }
}

#[test]
fn the_page_about_names_every_crate_in_the_binary() {
    let list = std::process::Command::new(root("packaging/third-party")).arg("list").output().unwrap();
    assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
    let kept = fs::read_to_string(root("packaging/crates.txt")).unwrap();
    let remedy = "packaging/crates.txt is old; write it anew: packaging/third-party list >packaging/crates.txt";
    assert!(kept == String::from_utf8_lossy(&list.stdout), "{remedy}");
}

fn assert_names_only(folder: &str, allowed: &[&str]) {
    for (file, line, text) in code_lines(folder) {
        for (at, _) in text.match_indices("crate::") {
            let module: String = text[at + 7..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let known = module.is_empty() || allowed.contains(&module.as_str());
            assert!(known, "{}:{line} names {module}, which src/{folder} must not", file.display());
        }
    }
}

/// The lines of a folder's code: no comments, and no tests, which may do anything.
fn code_lines(folder: &str) -> Vec<(PathBuf, usize, String)> {
    let mut lines = Vec::new();
    for file in rust_files(&source(folder)) {
        let text = fs::read_to_string(&file).unwrap();
        if is_test_file(&file) {
            continue;
        }
        for (number, line) in without_tests(&text).lines().enumerate() {
            if !line.trim_start().starts_with("//") {
                lines.push((file.clone(), number + 1, line.to_owned()));
            }
        }
    }
    assert!(!lines.is_empty(), "src/{folder} has no code");
    lines
}

/// Code up to the tests that stand at its end. Only a module with a body ends it: one in a file of its own is
/// named among the others, above the code.
fn without_tests(code: &str) -> &str {
    let of_tests =
        |at: usize| code[at..].lines().nth(1).is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'));
    code.match_indices("#[cfg(test)]\n").map(|(at, _)| at).find(|at| of_tests(*at)).map_or(code, |at| &code[..at])
}

/// Files that only tests include: modules that are named under `#[cfg(test)]`, and what lies in their folders.
fn is_test_file(file: &Path) -> bool {
    const TESTS: [&str; 9] =
        ["tests", "scenario", "oracle", "fixture", "fake", "agreement", "mutation", "mmdb_writer", "running"];
    file.iter().filter_map(|part| Path::new(part).file_stem()?.to_str()).any(|part| TESTS.contains(&part))
}

fn source(folder: &str) -> PathBuf {
    root("src").join(folder)
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    files(directory, "rs")
}

/// In one order everywhere.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files_of = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_of.extend(files(&path, extension));
        } else if path.extension().is_some_and(|known| known == extension) {
            files_of.push(path);
        }
    }
    files_of.sort();
    files_of
}
