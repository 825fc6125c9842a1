//! Chromium under the control of its driver, both ended with the test, whatever happens. Knows nothing of pages.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;
use thirtyfour::{Capabilities, WebDriver};

/// A browser with a profile of its own. The fields end in this order: browser, driver, profile.
pub struct Driver {
    pub web: WebDriver,
    _process: Process,
    _profile: TempDir,
}

impl Driver {
    pub async fn start() -> Driver {
        let child = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts; tests/run installs it");
        let mut process = Process(child);
        let port = port(process.0.stdout.take().expect("piped"));
        let profile = TempDir::new().expect("a directory for the profile");
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            // Containers give /dev/shm too little.
            "--disable-dev-shm-usage".into(),
            "--hide-scrollbars".into(),
            "--no-first-run".into(),
            "--window-size=1440,900".into(),
            "--lang=en-GB".into(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let mut wanted = Capabilities::new();
        wanted.set("browserName", json!("chrome")).expect("plain JSON");
        wanted.set("goog:loggingPrefs", json!({ "browser": "ALL" })).expect("plain JSON");
        wanted.set("goog:chromeOptions", json!({ "args": arguments })).expect("plain JSON");
        let web = WebDriver::new(format!("http://127.0.0.1:{port}"), wanted).await.expect("a browser");
        Driver { web, _process: process, _profile: profile }
    }
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The port that the driver says it chose.
fn port(output: impl Read + Send + 'static) -> u16 {
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let said = |line: String| line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok();
    let port = lines.find_map(said).expect("chromedriver says its port");
    // Read on, so that the driver never blocks on a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    port
}
