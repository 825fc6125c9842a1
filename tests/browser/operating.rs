//! What an operator does when something happens: take a pool out, find out why, move clients and bring them
//! back. Each in as few clicks as the promise says.

use serde_json::json;
use tempfile::TempDir;

use crate::browser::{Browser, Scripts, demo_admin};
use crate::server::Server;
use crate::world::answers;

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
    browser.fill("Reason (goes to the audit log)", "New kernel").await;
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
    browser.fill("Reason (goes to the audit log)", "Disk swap").await;
    browser.click("Drain").await;
    browser.wait_for("demo-primary gets no new clients from now on.").await;
    answers(&server, FAILOVER, &["127.0.40.2"]).await;
    browser.click("Put back on").await;
    browser.wait_for("Put demo-primary back on?").await;
    browser.fill("Reason (goes to the audit log)", "The disk is new").await;
    browser.click("Put back on").await;
    browser.wait_for("demo-primary is back on.").await;
    answers(&server, FAILOVER, &["127.0.40.1"]).await;
    let clicks = browser.take_clicks();
    assert!(clicks <= 8, "{clicks} clicks");
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
    // A page has names of its own, and reports stay as they are.
    browser.goto("/names").await;
    assert_eq!(browser.run("return document.querySelector('.zone').textContent.includes('Asia/');").await, true);
    browser.goto("/history/report").await;
    browser.wait_for("Times are in UTC.").await;
    browser.finish().await;
}
