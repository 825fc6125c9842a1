//! Coming in and going out.

use tempfile::TempDir;

use crate::browser::{Browser, Scripts, demo_admin};
use crate::server::Server;

#[tokio::test]
async fn whoever_is_not_signed_in_comes_to_the_page_they_asked_for_after_it() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    let (user, password) = demo_admin(&server);
    for scripts in [Scripts::On, Scripts::Off] {
        let mut browser = Browser::open(&server, scripts).await;
        browser.expect("status of 401");
        browser.goto("/?from=there").await;
        browser.fill("Login name", user).await;
        browser.fill("Password", "not this one").await;
        browser.click("Sign in").await;
        browser.wait_for("do not belong together").await;
        assert_eq!(browser.value("Login name").await, user);
        browser.fill("Password", password).await;
        browser.click("Sign in").await;
        browser.wait_for_path("/?from=there").await;
        browser.wait_for("demo-eu").await;
        browser.finish().await;
    }
}
