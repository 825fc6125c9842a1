//! From an empty install to a steered name.

use std::net::SocketAddr;

use tempfile::TempDir;

use crate::backend::Backend;
use crate::browser::{Browser, Scripts};
use crate::server::{Server, setup_code, until};

/// What the journey may take.
const MOST_CLICKS: usize = 12;

#[tokio::test]
async fn an_empty_install_becomes_a_steered_name_in_a_few_clicks() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    let eu = Backend::start(SocketAddr::from(([127, 0, 61, 1], 0))).await;
    let _us = Backend::start(SocketAddr::from(([127, 0, 62, 1], eu.address.port()))).await;
    let mut browser = Browser::open(&server, Scripts::On).await;
    browser.goto("/").await;
    browser.wait_for_path("/setup").await;
    browser.fill("Setup code", setup_code(&server.greeting)).await;
    browser.fill("Login name", "admin").await;
    browser.fill("Password", "a few words in a row").await;
    browser.click("Create the admin account").await;

    browser.wait_for("Which name is to be steered?").await;
    browser.fill("Name", "app.example.com").await;
    browser.click("Continue").await;

    browser.wait_for("Which servers can answer?").await;
    browser.fill("Addresses", "eu 127.0.61.1\nus 127.0.62.1").await;
    browser.fill("Port", &eu.address.port().to_string()).await;
    browser.click("Try these servers").await;
    browser.wait_for("this check is used").await;
    // Loopback addresses are none for the internet.
    browser.wait_for("127.0.61.1 is a private address. Clients on the internet cannot reach it.").await;
    browser.click("Continue anyway").await;

    browser.wait_for("Clients in Europe get eu, then us").await;
    browser.wait_for("Germany, if eu were down").await;
    browser.click("Continue").await;

    browser.wait_for("app.example.com is not ready yet").await;
    browser.wait_for("Resolvers cannot reach the name servers").await;
    browser.wait_for("All 2 servers pass their health check").await;
    browser.wait_for("Every client gets an answer").await;
    // Whoever leaves and comes back finds everything as it was.
    browser.goto("/setup/servers").await;
    assert!(browser.value("Addresses").await.contains("us 127.0.62.1"));
    browser.goto("/").await;
    browser.wait_for("app.example.com is not set up yet").await;
    assert!(browser.offers("Go on").await);
    browser.goto("/setup/check").await;
    browser.click("Go live").await;
    browser.wait_for("app.example.com is answered from now on.").await;
    let clicks = browser.take_clicks();
    assert!(clicks <= MOST_CLICKS, "{clicks} clicks");

    let asked = |subnet: &str| server.dig(&[&format!("+subnet={subnet}"), "app.example.com"]);
    assert_eq!(asked("81.2.69.0/24"), ["127.0.61.1"]);
    assert_eq!(asked("8.8.8.0/24"), ["127.0.62.1"]);
    assert_eq!(server.dig(&["app.example.com", "NS"]), ["ns1.app.example.com."]);
    let revisions = server.get("/api/v1/revisions").await;
    assert!(revisions.to_string().contains("Set up app.example.com"), "{revisions}");
    until("an empty draft", async || (!browser.text().await.contains("changes")).then_some(())).await;
    browser.finish().await;
}

#[tokio::test]
async fn mistakes_in_the_wizard_are_said_beside_what_was_typed() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    let mut browser = Browser::open(&server, Scripts::Off).await;
    browser.expect("status of 422");
    browser.goto("/setup").await;
    browser.fill("Setup code", "BCDF-BCDF").await;
    browser.fill("Login name", "admin").await;
    browser.fill("Password", "a few words in a row").await;
    browser.click("Create the admin account").await;
    browser.wait_for("is not the code").await;
    assert_eq!(browser.value("Login name").await, "admin");
    browser.fill("Setup code", setup_code(&server.greeting)).await;
    browser.fill("Password", "a few words in a row").await;
    browser.click("Create the admin account").await;
    browser.fill("Name", "com").await;
    browser.click("Continue").await;
    browser.wait_for("is not below a domain").await;
    assert_eq!(browser.value("Name").await, "com");
    browser.fill("Name", "www.example.com").await;
    browser.click("Continue").await;
    browser.fill("Addresses", "eu 192.0.2.300\nus 192.0.2.1\nus 192.0.2.1").await;
    browser.click("Continue").await;
    browser.wait_for("Line 1: 192.0.2.300 is not an address").await;
    browser.wait_for("Line 3: 192.0.2.1 is already in us").await;
    assert!(browser.value("Addresses").await.starts_with("eu 192.0.2.300"));
    browser.finish().await;
}
