//! Chromium under the control of its driver, both ended with the test, whatever happens. Knows nothing of pages.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use thirtyfour::{Capabilities, WebDriver};

/// A browser with a profile of its own.
pub struct Driver {
    pub web: WebDriver,
    process: Process,
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
        let mut process = Process(child, 0);
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
        process.1 = port;
        let web = WebDriver::new(format!("http://127.0.0.1:{port}"), wanted).await.expect("a browser");
        Driver { web, process, _profile: profile }
    }
}

impl Driver {
    /// Ends the browser, as every test that succeeds does.
    pub async fn quit(&self) {
        self.web.clone().quit().await.expect("the browser ends");
    }
}

impl Drop for Driver {
    /// For a test that failed: asks in one plain request, since its runtime is ending.
    fn drop(&mut self) {
        if self.web.clone().leak().is_ok() {
            let session = self.web.session_id();
            let _ = self.process.request(&format!("DELETE /session/{session} HTTP/1.1\r\nConnection: close\r\n\r\n"));
        }
    }
}

/// The driver with the port it listens on.
struct Process(Child, u16);

impl Process {
    fn request(&self, text: &str) -> std::io::Result<usize> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(text.as_bytes())?;
        stream.read(&mut [0; 512])
    }
}

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
