//! What somebody sends when it cannot be taken: too much, or too late. They read what is wrong, and what they typed is
//! kept or said not to be.

use std::fs::File;

use serde_json::json;
use tempfile::TempDir;

use crate::browser::{Browser, Scripts};
use crate::server::Server;
use crate::world;

const FILE: &str = "Zone file, at most 64 MiB";
const SHOW: &str = "Show what would change";

/// A file of nothing that is larger than anything that is taken.
fn large_file(dir: &TempDir) -> String {
    let path = dir.path().join("large");
    File::create(&path).unwrap().set_len(80 << 20).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_on_a_page_that_says_the_limit() {
    let (dir, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = world::start(&dir).await;
    let mut browser = Browser::open(&server, Scripts::On).await;
    browser.sign_in_first(&server, "anna", "admin").await;
    browser.expect("status of 413");
    browser.goto("/zones/import").await;
    browser.fill(FILE, &large_file(&files)).await;
    browser.click(SHOW).await;
    browser.wait_for("That was too much at once").await;
    browser.wait_for("It is larger than 64 MiB, the most that is taken here; send less.").await;
    browser.wait_for("Nothing was changed.").await;

    // A form without a file, much too long.
    browser.goto("/pools/eu/settings").await;
    browser.run("document.querySelector('main input[name=note], main textarea').value = 'x'.repeat(3 << 20)").await;
    browser.click("Keep in draft").await;
    browser.wait_for("It is larger than 1 MiB, the most that is taken here; send less.").await;
    browser.finish().await;
}

#[tokio::test]
async fn what_is_sent_after_the_session_is_kept_through_the_sign_in() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    for (user, scripts) in [("anna", Scripts::On), ("ben", Scripts::Off)] {
        let mut browser = Browser::open(&server, scripts).await;
        browser.sign_in_first(&server, user, "editor").await;
        browser.expect("status of 401");
        // It ended by itself; or somebody signed out in another window, which takes the cookie.
        for (place, ends) in [("Oslo", Ends::AtTheServer), ("Bergen", Ends::InTheBrowser)] {
            browser.goto("/pools/eu/settings").await;
            browser.fill("Place", place).await;
            end(&server, &browser, user, ends).await;
            browser.click("Keep in draft").await;
            browser.wait_for("You were signed out before this arrived. Nothing was changed; sign in").await;
            sign_in(&mut browser, user).await;
            browser.wait_for("Send it again?").await;
            browser.wait_for(place).await;
            browser.click("Send it again").await;
            browser.wait_for("kept in your draft").await;
            browser.goto("/pools/eu/settings").await;
            assert_eq!(browser.value("Place").await, place);
        }

        // Whoever does not want it any more is back where it was typed.
        browser.fill("Place", "Tromsø").await;
        end(&server, &browser, user, Ends::InTheBrowser).await;
        browser.click("Keep in draft").await;
        sign_in(&mut browser, user).await;
        browser.click("Do not send it").await;
        browser.wait_for_path("/pools/eu/settings").await;
        assert_eq!(browser.value("Place").await, "Bergen");
        browser.finish().await;
    }
}

#[tokio::test]
async fn what_is_sent_after_an_admin_made_another_password_is_kept_until_that_is_changed() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    for (user, scripts) in [("anna", Scripts::On), ("ben", Scripts::Off)] {
        let mut browser = Browser::open(&server, scripts).await;
        browser.sign_in_first(&server, user, "editor").await;
        browser.expect("status of 401");
        browser.expect("status of 422");
        browser.goto("/pools/eu/settings").await;
        browser.fill("Place", "Oslo").await;
        let change = json!({ "password": "made by the admin" });
        let (status, said) = server.api("POST", &format!("/api/v1/users/{user}/password"), Some(change)).await;
        assert_eq!(status, 200, "{said}");
        browser.click("Keep in draft").await;
        browser.wait_for("You were signed out before this arrived. Nothing was changed; sign in").await;
        browser.fill("Login name", user).await;
        browser.fill("Password", "made by the admin").await;
        browser.click("Sign in").await;
        browser.wait_for("Somebody else made your password").await;
        // Not at the first try.
        for (new, then) in [("short", "too short"), ("the third of three", "Send it again?")] {
            browser.fill("Your password", "made by the admin").await;
            browser.fill("New password", new).await;
            browser.click("Change password").await;
            browser.wait_for(then).await;
        }
        browser.click("Send it again").await;
        browser.wait_for("kept in your draft").await;
        browser.goto("/pools/eu/settings").await;
        assert_eq!(browser.value("Place").await, "Oslo");
        browser.finish().await;
    }
}

#[tokio::test]
async fn what_cannot_be_kept_through_a_sign_in_is_said_and_its_form_comes_back() {
    let (dir, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = world::start(&dir).await;
    let mut browser = Browser::open(&server, Scripts::On).await;
    browser.sign_in_first(&server, "anna", "editor").await;
    browser.expect("status of 401");
    for ends in [Ends::AtTheServer, Ends::InTheBrowser] {
        browser.goto("/zones/import").await;
        browser.fill(FILE, &large_file(&files)).await;
        end(&server, &browser, "anna", ends).await;
        browser.click(SHOW).await;
        browser.wait_for("Forms that take files and very long ones are not kept").await;
        sign_in(&mut browser, "anna").await;
        browser.wait_for_path("/zones/import").await;
        browser.wait_for("Import a zone file").await;
    }
    browser.finish().await;
}

#[tokio::test]
async fn an_open_page_says_that_its_reader_was_signed_out() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    let mut browser = Browser::open(&server, Scripts::On).await;
    browser.sign_in_first(&server, "anna", "viewer").await;
    browser.expect("MIME type");
    browser.goto("/pools/eu").await;
    browser.wait_for("Live, ").await;
    end(&server, &browser, "anna", Ends::AtTheServer).await;
    browser.wait_for("You are signed out since").await;
    browser.wait_for("No data").await;
    browser.click("Sign in").await;
    sign_in(&mut browser, "anna").await;
    browser.wait_for_path("/pools/eu").await;
    browser.wait_for("Live, ").await;
    browser.finish().await;
}

#[derive(Clone, Copy)]
enum Ends {
    AtTheServer,
    InTheBrowser,
}

async fn end(server: &Server, browser: &Browser, user: &str, ends: Ends) {
    match ends {
        Ends::InTheBrowser => browser.forget_cookies().await,
        Ends::AtTheServer => {
            for disabled in [true, false] {
                let change = json!({ "disabled": disabled });
                let (status, said) = server.api("PUT", &format!("/api/v1/users/{user}"), Some(change)).await;
                assert_eq!(status, 200, "{said}");
            }
        }
    }
}

async fn sign_in(browser: &mut Browser, user: &str) {
    browser.fill("Login name", user).await;
    browser.fill("Password", "the second of two").await;
    browser.click("Sign in").await;
}
