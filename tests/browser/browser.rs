//! What a person does with a page, by the words that stand on it: go, click (counted), fill in, read. Every
//! wait is for something to become true, with a deadline; nothing waits by the clock.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thirtyfour::error::WebDriverResult;
use thirtyfour::{Cookie, WebElement};

use crate::driver::Driver;
use crate::server::{DEADLINE, Server};

/// The admin of the demo with the password that its greeting shows.
pub fn demo_admin(server: &Server) -> (&str, &str) {
    let line = server.greeting.lines().find_map(|line| line.split_once(" as demo with the password "));
    ("demo", line.expect("a password in the greeting").1.trim())
}

/// What an admin gives to new people.
const GIVEN: &str = "the first of two";

const FIND: &str = include_str!("find.js");

/// Whether pages may run scripts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scripts {
    On,
    Off,
}

pub struct Browser {
    pub driver: Driver,
    base: String,
    clicks: usize,
    /// Parts of messages of the console that the test provokes.
    expected: Vec<&'static str>,
}

impl Browser {
    pub async fn open(server: &Server, scripts: Scripts) -> Browser {
        let driver = Driver::start().await;
        let browser = Browser { driver, base: format!("http://{}", server.http), clicks: 0, expected: Vec::new() };
        if scripts == Scripts::Off {
            browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
        }
        browser
    }

    /// Signs in on the page that somebody without a session gets.
    pub async fn sign_in(&mut self, (user, password): (&str, &str)) {
        self.goto("/login").await;
        self.fill("Login name", user).await;
        self.fill("Password", password).await;
        self.click("Sign in").await;
        self.wait_for_path("/").await;
        self.clicks = 0;
    }

    /// Signs in as somebody whom an admin made just now: the first thing is a password of their own.
    pub async fn sign_in_first(&mut self, server: &Server, user: &str, role: &str) {
        let made = json!({ "id": user, "role": role, "password": GIVEN });
        server.post("/api/v1/users", made).await;
        self.goto("/login").await;
        self.fill("Login name", user).await;
        self.fill("Password", GIVEN).await;
        self.click("Sign in").await;
        self.wait_for_path("/account/password").await;
        self.fill("Your password", GIVEN).await;
        self.fill("New password", "the second of two").await;
        self.click("Change password").await;
        self.wait_for_path("/").await;
        self.clicks = 0;
    }

    /// The same server after a restart, on the port that it has now.
    pub fn follow(&mut self, server: &Server) {
        self.base = format!("http://{}", server.http);
    }

    pub async fn goto(&self, path: &str) {
        self.driver.web.goto(format!("{}{path}", self.base)).await.expect("the page loads");
    }

    pub async fn reload(&self) {
        self.driver.web.refresh().await.expect("the page loads");
    }

    /// Clicks the link, button or label that is called `words`, and counts it.
    pub async fn click(&mut self, words: &str) {
        self.clicks += 1;
        self.act("click", words, async |element| element.click().await).await;
    }

    /// Replaces what stands in the field that is called `label`.
    pub async fn fill(&self, label: &str, text: &str) {
        let fill = async |element: &WebElement| {
            element.clear().await?;
            element.send_keys(text).await
        };
        self.act("fill", label, fill).await;
    }

    /// What stands in the field that is called `label`.
    pub async fn value(&self, label: &str) -> String {
        let element = self.until(label, async || self.find("fill", label).await).await;
        element.value().await.expect("a value").unwrap_or_default()
    }

    /// Since signing in, or since they were last taken.
    pub fn take_clicks(&mut self) -> usize {
        std::mem::take(&mut self.clicks)
    }

    /// What can be read on the page, in one line.
    pub async fn text(&self) -> String {
        let text = self.run("return document.body.innerText").await;
        text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// True when something that is called `words` can be clicked.
    pub async fn offers(&self, words: &str) -> bool {
        self.find("click", words).await.is_some()
    }

    /// Path and query.
    pub async fn path(&self) -> String {
        let url = self.driver.web.current_url().await.expect("an address").to_string();
        url.strip_prefix(&self.base).unwrap_or(&url).to_owned()
    }

    /// True when `words` can be read on the page now.
    pub async fn reads(&self, words: &str) -> bool {
        self.text().await.contains(words)
    }

    /// Until `words` can be read on the page.
    pub async fn wait_for(&self, words: &str) {
        self.until(&format!("{words:?} on the page"), async || self.text().await.contains(words).then_some(())).await;
    }

    pub async fn wait_for_path(&self, path: &str) {
        self.until(path, async || (self.path().await == path).then_some(())).await;
    }

    /// Reloads until `words` can be read on the page.
    pub async fn reload_until(&self, words: &str) {
        let seen = async || {
            self.reload().await;
            self.text().await.contains(words).then_some(())
        };
        self.until(&format!("{words:?} on the page"), seen).await;
    }

    /// As when somebody signs out in another window.
    pub async fn forget_cookies(&self) {
        self.driver.web.delete_all_cookies().await.expect("cookies go");
    }

    pub async fn set_cookie(&self, name: &str, value: &str) {
        let mut cookie = Cookie::new(name.to_owned(), value.to_owned());
        cookie.set_path("/");
        self.driver.web.add_cookie(cookie).await.expect("a cookie");
    }

    /// Runs a script by way of the driver, which the page's policy does not bind.
    pub async fn run(&self, script: &str) -> Value {
        let result = self.driver.web.execute(script.to_owned(), Vec::new()).await;
        result.unwrap_or_else(|error| panic!("a script failed: {error}")).json().clone()
    }

    pub async fn devtools(&self, method: &str, parameters: Value) -> Value {
        self.driver.web.cdp().send_raw(method, parameters).await.expect("the browser obeys")
    }

    /// The console may say this: the test makes it happen.
    pub fn expect(&mut self, part: &'static str) {
        self.expected.push(part);
    }

    /// What the console complained of since the last look: errors of scripts, violations of the page's
    /// policy, files that did not load.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.driver.web.browser_log().await.expect("a log");
        let bad = log.into_iter().filter(|entry| matches!(entry.level.as_str(), "SEVERE" | "WARNING"));
        let messages = bad.map(|entry| entry.message);
        messages.filter(|message| !self.expected.iter().any(|part| message.contains(part))).collect()
    }

    /// The end of every test: nobody complained.
    pub async fn finish(self) {
        let complaints = self.complaints().await;
        self.driver.quit().await;
        assert!(complaints.is_empty(), "the console says: {complaints:#?}");
    }

    /// Asks again until `check` returns something; a failure says what the page reads.
    async fn until<T>(&self, what: &str, check: impl AsyncFn() -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(found) = check().await {
                return found;
            }
            if begin.elapsed() > DEADLINE {
                let (path, text) = (self.path().await, self.text().await);
                panic!("{what} did not come about within {DEADLINE:?}; {path} reads: {text}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn find(&self, how: &str, words: &str) -> Option<WebElement> {
        let found = self.driver.web.execute(FIND, vec![json!(how), json!(words)]).await.ok()?;
        found.element().ok()
    }

    /// Again and again until it works: the page may still be coming, or be just about to change.
    async fn act(&self, how: &str, words: &str, act: impl AsyncFn(&WebElement) -> WebDriverResult<()>) {
        let what = format!("{words:?} ({how}) on {}", self.path().await);
        self.until(&what, async || act(&self.find(how, words).await?).await.ok()).await;
    }
}
