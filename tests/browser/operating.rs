//! What an operator does when something happens: take a pool out, find out why, move clients and bring them
//! back. Each in as few clicks as the promise says.

use serde_json::json;
use tempfile::TempDir;

use crate::browser::{Browser, Scripts, demo_admin};
use crate::server::{Server, until};
use crate::world::{self, NAME, ONE, TWO, answers};

const REASON: &str = "Reason (goes to the audit log)";
const GEO: &str = "geo.demo.northing.test";
const FAILOVER: &str = "failover.demo.northing.test";
const EUROPE: [&str; 2] = ["127.0.10.1", "127.0.10.2"];

async fn demo(dir: &TempDir) -> (Server, Browser) {
    let server = Server::start(dir.path(), &["--demo"]);
    let mut browser = Browser::open(&server, Scripts::On).await;
    browser.sign_in(demo_admin(&server)).await;
    browser.reload_until("Up").await;
    (server, browser)
}

#[tokio::test]
async fn a_pool_is_drained_in_three_clicks_with_its_shares_seen_before() {
    let dir = TempDir::new().unwrap();
    let (server, mut browser) = demo(&dir).await;
    answers(&server, GEO, &EUROPE).await;
    browser.click("demo-eu").await;
    browser.click("Drain pool").await;
    browser.wait_for("Drain demo-eu?").await;
    browser.wait_for("No endpoint would be left.").await;
    let sheet = browser.text().await;
    let shares = sheet.split_once("Share of answers").expect("shares on the sheet").1;
    let eu = shares.split_once("demo-eu Now ").expect("demo-eu among the shares").1;
    assert!(!eu.starts_with("0%") && eu.split_once("After ").is_some_and(|(_, after)| after.starts_with("0%")), "{eu}");
    answers(&server, GEO, &EUROPE).await;
    browser.fill(REASON, "New kernel").await;
    browser.click("Drain").await;
    browser.wait_for("demo-eu gets no new clients from now on.").await;
    let clicks = browser.take_clicks();
    assert!(clicks <= 3, "{clicks} clicks");
    answers(&server, GEO, &["127.0.20.1"]).await;
    browser.goto("/audit").await;
    browser.wait_for("New kernel").await;
    browser.finish().await;
}

#[tokio::test]
async fn why_an_endpoint_is_down_is_two_clicks_away() {
    let dir = TempDir::new().unwrap();
    let (server, mut browser) = demo(&dir).await;
    let stop = server.greeting.split_once("curl -X POST ").expect("how to stop a server").1;
    let stop = stop.split_whitespace().next().unwrap();
    assert!(reqwest::Client::new().post(stop).send().await.unwrap().status().is_success());
    browser.goto("/").await;
    browser.wait_for("failover.demo.northing.test is on failover").await;
    browser.click("demo-primary").await;
    browser.click("demo-primary").await;
    browser.wait_for("Last checks").await;
    browser.wait_for("503").await;
    browser.wait_for("Failed").await;
    let clicks = browser.take_clicks();
    assert!(clicks <= 2, "{clicks} clicks");
    browser.finish().await;
}

#[tokio::test]
async fn what_a_client_would_get_is_two_clicks_away() {
    let dir = TempDir::new().unwrap();
    let (_server, mut browser) = demo(&dir).await;
    browser.click("Explain an answer").await;
    browser.fill("Name", GEO).await;
    browser.fill("Client", "8.8.8.8").await;
    browser.click("Explain").await;
    browser.wait_for("Answer for 8.8.8.0/24").await;
    browser.wait_for("127.0.20.1").await;
    browser.wait_for("Everyone else").await;
    browser.wait_for("United States").await;
    let clicks = browser.take_clicks();
    assert!(clicks <= 2, "{clicks} clicks");
    browser.finish().await;
}

#[tokio::test]
async fn a_failover_by_hand_and_back_takes_eight_clicks_at_most() {
    let dir = TempDir::new().unwrap();
    let (server, mut browser) = demo(&dir).await;
    answers(&server, FAILOVER, &["127.0.40.1"]).await;
    browser.click("demo-primary").await;
    browser.click("Drain pool").await;
    browser.fill(REASON, "Disk swap").await;
    browser.click("Drain").await;
    browser.wait_for("demo-primary gets no new clients from now on.").await;
    answers(&server, FAILOVER, &["127.0.40.2"]).await;
    browser.click("Put back on").await;
    browser.wait_for("Put demo-primary back on?").await;
    browser.fill(REASON, "The disk is new").await;
    browser.click("Put back on").await;
    browser.wait_for("demo-primary is back on.").await;
    answers(&server, FAILOVER, &["127.0.40.1"]).await;
    let clicks = browser.take_clicks();
    assert!(clicks <= 8, "{clicks} clicks");
    browser.finish().await;
}

#[tokio::test]
async fn an_endpoint_is_held_down_from_its_page_and_comes_back() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    for scripts in [Scripts::On, Scripts::Off] {
        let mut browser = Browser::open(&server, scripts).await;
        browser.sign_in_first(&server, if scripts == Scripts::On { "anna" } else { "ben" }, "operator").await;
        browser.goto("/pools/eu/endpoints/one").await;
        browser.click("Hold down").await;
        browser.wait_for("Hold one down?").await;
        browser.wait_for("one Now 50% After 0%").await;
        browser.wait_for("two Now 50% After 100%").await;
        browser.expect("status of 422");
        browser.click("Hold down").await;
        browser.wait_for("Say why: whoever reads the history later will ask.").await;
        browser.wait_for("one Now 50% After 0%").await;
        assert_eq!(browser.path().await, "/pools/eu/endpoints/one/force");
        answers(&server, NAME, &[ONE, TWO]).await;

        browser.fill(REASON, "New kernel").await;
        browser.click("Hold down").await;
        browser.wait_for("one is held down, whatever its checks say.").await;
        answers(&server, NAME, &[TWO]).await;
        let before = seconds_left(&browser).await;
        until("less time for caches", async || {
            if scripts == Scripts::Off {
                browser.reload().await;
            }
            (seconds_left(&browser).await < before).then_some(())
        })
        .await;

        browser.goto("/pools/eu/endpoints/one").await;
        browser.wait_for("New kernel").await;
        browser.wait_for("old answer").await;
        browser.click("Follow its checks again").await;
        browser.wait_for("Let one follow its checks again?").await;
        browser.wait_for("one Now 0% After 50%").await;
        browser.fill(REASON, "The kernel is new").await;
        browser.click("Follow its checks again").await;
        browser.wait_for("one follows its checks again.").await;
        until("both again", async || server.dig(&[NAME]).contains(&ONE.to_owned()).then_some(())).await;
        browser.finish().await;
    }
}

/// What the page says of how long caches keep the old answer.
async fn seconds_left(browser: &Browser) -> u32 {
    let page = browser.text().await;
    let (_, rest) = page.split_once("Caches keep the old answer until ").unwrap_or_else(|| panic!("{page}"));
    let left = rest.split_once('(').unwrap().1.split_once(" s left)").unwrap_or_else(|| panic!("{rest}")).0;
    left.parse().unwrap_or_else(|_| panic!("{rest}"))
}

#[tokio::test]
async fn a_name_fails_over_from_its_page_and_an_empty_reason_keeps_what_was_typed() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    let mut browser = Browser::open(&server, Scripts::On).await;
    browser.sign_in_first(&server, "anna", "operator").await;
    browser.goto("/names/www.example.test").await;
    browser.click("Fail over").await;
    browser.wait_for_path("/pools/eu/drain").await;
    browser.wait_for("Drain eu?").await;
    browser.wait_for("Clients of 1 name would get us.").await;
    browser.fill(REASON, "Moving house").await;
    browser.click("Drain").await;
    browser.wait_for("eu gets no new clients from now on.").await;
    answers(&server, NAME, &[world::US]).await;

    // Of a name with several rules the menu says whom each moves.
    let rules = json!([
        { "name": "Europe", "regions": ["europe"], "steps": [{ "pools": [{ "pool": "us" }] }] },
        { "name": "Everyone else", "steps": [{ "pools": [{ "pool": "eu" }] }] },
    ]);
    let attach = json!([{ "zone": "example", "name": "www.example.test.", "types": ["A"] }]);
    let edit = json!({ "kind": "policies", "id": "www", "value": { "attach": attach, "rules": rules } });
    server.post("/api/v1/publish", json!({ "edits": [edit] })).await;
    browser.goto("/names/www.example.test").await;
    browser.click("Fail over").await;
    browser.click("us for Europe").await;
    browser.wait_for_path("/pools/us/drain").await;
    browser.wait_for("No client of rule 1 of www.example.test would get an answer").await;
    let confirm = "Type www.example.test to do it anyway";
    browser.expect("status of 422");
    browser.fill(REASON, "Kept as it was").await;
    browser.click("Drain").await;
    browser.wait_for("This leaves clients without an answer").await;
    assert_eq!(browser.value(REASON).await, "Kept as it was");
    browser.fill(confirm, "www.example.test").await;
    browser.fill(REASON, "").await;
    browser.click("Drain").await;
    browser.wait_for("Say why: whoever reads the history later will ask.").await;
    assert_eq!(browser.value(confirm).await, "www.example.test");
    browser.finish().await;
}

#[tokio::test]
async fn an_endpoint_whose_check_fails_is_warned_of_and_kept_all_the_same() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    // A port that was free a moment ago, on an address of its own: nobody answers there.
    let port = std::net::TcpListener::bind("127.0.77.1:0").unwrap().local_addr().unwrap().port();
    let edits = json!({ "edits": [
        { "kind": "monitors", "id": "web", "value": { "type": "tcp", "port": port, "timeout": 0.5 } },
        { "kind": "pools", "id": "us", "value": { "monitors": [{ "monitor": "web" }], "members": [{ "endpoint": "three" }] } },
    ] });
    server.post("/api/v1/publish", edits).await;
    let mut browser = Browser::open(&server, Scripts::On).await;
    browser.sign_in_first(&server, "anna", "editor").await;
    browser.goto("/pools/us").await;
    browser.click("Add endpoint").await;
    browser.expect("status of 422");
    browser.fill("Label", "four").await;
    browser.fill("Address", "127.0.77.1").await;
    browser.fill("Weight", "30").await;
    browser.click("Keep in draft").await;
    browser.wait_for("127.0.77.1 is a private address. Clients on the internet cannot reach it.").await;
    browser.wait_for("Tried just now from this node:").await;
    browser.wait_for(&format!("refused on port {port}. Is the port right?")).await;
    assert_eq!((browser.value("Label").await, browser.value("Weight").await), ("four".into(), "30".into()));
    assert!(!browser.reads("kept in your draft").await);
    browser.click("Keep anyway").await;
    browser.wait_for("four is kept in your draft.").await;
    browser.wait_for("127.0.77.1").await;

    // Nobody has this address (RFC 5737).
    browser.click("Add endpoint").await;
    browser.fill("Label", "five").await;
    browser.fill("Address", "192.0.2.77").await;
    browser.click("Keep in draft").await;
    browser.wait_for("Tried just now from this node").await;
    browser.click("Save anyway").await;
    browser.wait_for("five is kept in your draft.").await;
    browser.finish().await;
}

#[tokio::test]
async fn times_are_in_the_zone_that_the_page_names() {
    const SHOWN: &str = "return [document.querySelector('main time').textContent, \
                         document.querySelector('main time').dateTime];";
    let dir = TempDir::new().unwrap();
    let (_server, browser) = demo(&dir).await;
    browser.devtools("Emulation.setTimezoneOverride", json!({ "timezoneId": "Asia/Kolkata" })).await;
    browser.goto("/audit").await;
    browser.wait_for("Times are in UTC.").await;
    let shown = browser.run(SHOWN).await;
    let (utc, at) = (shown[0].as_str().unwrap(), shown[1].as_str().unwrap());
    assert_eq!(utc.replace(' ', "T") + "Z", at);
    browser.goto("/settings/appearance").await;
    browser.run("document.querySelector('[data-local]').click();").await;
    browser.goto("/audit").await;
    browser.wait_for("Times are in Asia/").await;
    let shown = browser.run(SHOWN).await;
    let at: jiff::Timestamp = shown[1].as_str().unwrap().parse().unwrap();
    let local = at.checked_add(jiff::SignedDuration::from_mins(330)).unwrap();
    assert_eq!(shown[0].as_str().unwrap(), local.strftime("%Y-%m-%d %H:%M:%S").to_string());
    // The axis of a chart says the same as its page.
    browser.goto("/history").await;
    browser.wait_for("Times are in Asia/").await;
    let axis = "const tick = document.querySelector('main svg [data-at]'); return [tick.textContent, tick.dataset.at];";
    let shown = browser.run(axis).await;
    let at: jiff::Timestamp = shown[1].as_str().unwrap().parse().unwrap();
    let local = at.checked_add(jiff::SignedDuration::from_mins(330)).unwrap();
    assert_eq!(shown[0].as_str().unwrap(), local.strftime("%H:%M").to_string());
    // A page has names of its own, and reports stay as they are.
    browser.goto("/names").await;
    assert_eq!(browser.run("return document.querySelector('.zone').textContent.includes('Asia/');").await, true);
    browser.goto("/history/report").await;
    browser.wait_for("Times are in UTC.").await;
    browser.finish().await;
}
