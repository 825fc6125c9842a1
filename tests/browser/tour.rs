//! Every page in both themes, at every width, in both languages: nothing that axe-core finds, no sideways
//! scroll, no complaint of the console, and a picture of each for those who look.

use std::path::{Path, PathBuf};
use std::{fs, iter};

use serde_json::json;
use tempfile::TempDir;

use crate::browser::{Browser, Scripts, demo_admin};
use crate::pages::{PAGES, TROUBLES, UNSEEN};
use crate::server::Server;

/// axe-core 4.14.1, under the Mozilla Public License 2.0 beside it.
const AXE: &str = include_str!("axe.min.js");
const RULES: &str = r#"
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    return axe.run(document, { runOnly: tags, resultTypes: ["violations"] }).then(found => found.violations.map(
        ({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 5).map(node => node.target.join(" ")).join(" | ")}`));
"#;

/// English that a Korean page says: four words in a row without a Korean letter, in what is read and in what is read
/// out. Code, and what is said to be English, is left out.
const ENGLISH: &str = r#"
    const left_out = "code, pre, .pre, textarea, script, style, .mono, .value, [lang]:not(html)";
    const is_word = word => /^[(“"']?[A-Za-z][A-Za-z'’]+[.,;:?)”"']*$/.test(word);
    const is_english = text => text.split(" ").filter(is_word).length >= 4 && !/[가-힣]/.test(text);
    const plain = text => text.replace(/\s+/g, " ").trim();
    const found = new Set();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode())
        if (!node.parentElement.closest(left_out)) found.add(plain(node.data));
    for (const name of ["aria-label", "title", "placeholder", "alt", "data-l"])
        for (const element of document.querySelectorAll(`[${name}]`))
            if (!element.closest(left_out)) found.add(plain(element.getAttribute(name)));
    return [...found].filter(is_english);
"#;

/// What people or vendors wrote, and what is called so everywhere.
const SAME_IN_KOREAN: [&str; 6] = [
    "The Inter Project Authors",
    "The JetBrains Mono Project Authors",
    "IPFire Location, CC BY-SA 4.0",
    "Asia and the Pacific",
    "Europe, Africa, Middle East",
    "Mozilla/5.0",
];

/// The tallest picture, in pixels.
const MAX_HEIGHT: i64 = 6_000;

#[tokio::test]
async fn every_page_is_accessible_fits_and_obeys_the_policy() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    let mut browser = Browser::open(&server, Scripts::On).await;
    browser.sign_in(demo_admin(&server)).await;
    browser.reload_until("Up").await;
    let mut faults = Vec::new();
    for address in PAGES.iter().flat_map(|page| page.seen_at) {
        browser.goto(address).await;
        look(&browser, address, &mut faults).await;
    }
    browser.expect("status of 404");
    browser.expect("status of 405");
    for address in TROUBLES {
        browser.goto(address).await;
        look(&browser, address, &mut faults).await;
    }
    browser.expect("status of 422");
    browser.goto("/pools/new").await;
    browser.click("Keep in draft").await;
    browser.wait_for("have to be put right").await;
    look(&browser, "/pools/new with errors", &mut faults).await;
    browser.goto("/history?from=2026-11-22&to=2026-11-01").await;
    look(&browser, "/history with errors", &mut faults).await;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    browser.finish().await;
}

#[tokio::test]
async fn every_page_speaks_korean() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    let mut browser = Browser::open(&server, Scripts::On).await;
    browser.sign_in(demo_admin(&server)).await;
    browser.set_cookie("language", "ko").await;
    make_something_happen(&server).await;
    browser.expect("status of 404");
    browser.expect("status of 405");
    let mut faults = Vec::new();
    for address in PAGES.iter().flat_map(|page| page.seen_at).chain(&["/versions/2"]).chain(TROUBLES) {
        browser.goto(address).await;
        if browser.run("return document.documentElement.lang").await != "ko" {
            faults.push(format!("{address} is not in Korean"));
        }
        let english = browser.run(ENGLISH).await;
        let said = english.as_array().expect("a list").iter().filter_map(|said| said.as_str());
        let ours = said.filter(|said| !SAME_IN_KOREAN.iter().any(|same| said.contains(same)));
        faults.extend(ours.map(|said| format!("{address} says in English: {said}")));
        check(&browser, &format!("{address} in Korean"), &mut faults).await;
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    browser.finish().await;
}

/// A publication of every kind of change, a switch, and a server that is down: what histories tell of.
async fn make_something_happen(server: &Server) {
    let edits = json!([
        { "kind": "records", "id": "demo/www/A", "value": { "values": ["192.0.2.11", "192.0.2.12"], "ttl": 60 } },
        { "kind": "regions", "id": "own", "value": { "name": "Own", "include": ["country:KR"] } },
    ]);
    let (status, said) = server.api("POST", "/api/v1/publish", Some(json!({ "edits": edits }))).await;
    assert_eq!(status, 200, "{said}");
    for (pool, admin) in [("demo-ap", "drain"), ("demo-us", "off")] {
        let (status, said) =
            server.api("POST", &format!("/api/v1/pools/{pool}/{admin}"), Some(json!({ "reason": "시험" }))).await;
        assert_eq!(status, 200, "{said}");
    }
    let force = json!({ "state": "down", "reason": "시험" });
    let (status, said) = server.api("POST", "/api/v1/endpoints/demo-primary/force", Some(force)).await;
    assert_eq!(status, 200, "{said}");
}

#[test]
fn every_page_is_on_the_tour() {
    let known: Vec<&str> = PAGES.iter().map(|page| page.path).chain(UNSEEN.iter().copied()).collect();
    let mut sources = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/ui"), &mut sources);
    let texts: Vec<String> = sources.iter().map(|source| fs::read_to_string(source).unwrap()).collect();
    let mut found = 0;
    for (source, text) in sources.iter().zip(&texts) {
        for part in text.split("Page::new(").skip(1) {
            let (word, _) = part.trim_start().split_once([',', ')']).expect("an argument");
            // Written out, or a constant: of the same file first.
            let constant = format!("const {word}: &str = \"");
            let path = match word.strip_prefix('"') {
                Some(literal) => literal.strip_suffix('"'),
                None => iter::once(text).chain(&texts).find_map(|text| text.split_once(&constant)?.1.split('"').next()),
            };
            let Some(path) = path else {
                let place = source.display().to_string();
                let by_table = ["export.rs", "setup.rs", "users.rs"].iter().any(|known| place.ends_with(known));
                assert!(by_table, "{word} of {place}: write the page's path out, so that this test can find it");
                continue;
            };
            found += 1;
            // What only takes forms is not looked at.
            let line =
                part.split("Page::new(").next().unwrap_or_default().split_once(")),").map_or(part, |(line, _)| line);
            if !line.contains("get(") {
                continue;
            }
            let saved = path.ends_with(".csv") || path.ends_with(".json");
            assert!(saved || known.contains(&path), "{path} of {} is not in tests/browser/pages.rs", source.display());
        }
    }
    assert!(found > 0, "no page was found in src/web/ui");
}

/// Both themes, every width, and pictures.
async fn look(browser: &Browser, address: &str, faults: &mut Vec<String>) {
    for theme in ["light", "dark"] {
        // Without motion, no colour is on its way to another while it is looked at.
        let features = json!([
            { "name": "prefers-color-scheme", "value": theme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        browser.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        check(browser, &format!("{address} ({theme})"), faults).await;
        for width in [1440, 390] {
            resize(browser, width, 900).await;
            let height = browser.run("return document.documentElement.scrollHeight").await.as_i64().unwrap_or(900);
            resize(browser, width, height.clamp(900, MAX_HEIGHT)).await;
            browser.driver.web.screenshot(&picture(address, theme, width)).await.expect("a picture");
        }
        resize(browser, 1440, 900).await;
    }
    let wide = "const page = document.documentElement; return page.scrollWidth - page.clientWidth";
    for width in [320, 390, 480, 640, 768, 900, 1024, 1280, 1440, 1920] {
        resize(browser, width, 900).await;
        let over = browser.run(wide).await.as_i64().unwrap_or_default();
        if over > 0 {
            faults.push(format!("{address} scrolls sideways by {over} px at {width} px"));
        }
    }
    resize(browser, 1440, 900).await;
}

/// What axe-core and the console say.
async fn check(browser: &Browser, what: &str, faults: &mut Vec<String>) {
    let found = browser.run(&format!("{AXE}; {RULES}")).await;
    let violations = found.as_array().expect("axe-core answers").iter().filter_map(|said| said.as_str());
    faults.extend(violations.map(|said| format!("{what}: {said}")));
    faults.extend(browser.complaints().await.into_iter().map(|said| format!("{what}: console: {said}")));
}

async fn resize(browser: &Browser, width: i64, height: i64) {
    let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
    browser.devtools("Emulation.setDeviceMetricsOverride", size).await;
}

fn picture(address: &str, theme: &str, width: i64) -> PathBuf {
    let words = address.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = match words.collect::<Vec<_>>().join("-") {
        name if name.is_empty() => "overview".to_owned(),
        name => name,
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../screenshots");
    fs::create_dir_all(&folder).expect("a folder for pictures");
    folder.join(format!("{name}-{theme}-{width}.png"))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
