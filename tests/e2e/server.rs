//! A running Northing in a directory of its own, on ports that the kernel chose.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take before a test fails. Generous: the machine may be busy.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub const BINARY: &str = env!("CARGO_BIN_EXE_northing");

/// The one-time code for the first admin, of the line that names it.
pub fn setup_code(text: &str) -> &str {
    let (_, code) = text.split_once("/setup and enter the code ").expect("a setup code");
    code.split_whitespace().next().expect("a code")
}

/// An address that was free for UDP and TCP a moment ago.
pub fn free_address() -> SocketAddr {
    loop {
        let stream = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = stream.local_addr().expect("an address");
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

pub struct Server {
    child: Child,
    pub dns: SocketAddr,
    pub http: SocketAddr,
    /// What was printed before `ready`.
    pub greeting: String,
    /// A token that may do everything.
    pub token: String,
    pub dir: PathBuf,
    http_client: reqwest::Client,
}

impl Server {
    /// Starts on `dir`, waits for the ready line.
    pub fn start(dir: &Path, more: &[&str]) -> Server {
        Server::try_start(dir, more).expect("the server prints its ready line")
    }

    /// As `start`; the error is what stood on standard error.
    pub fn try_start(dir: &Path, more: &[&str]) -> Result<Server, String> {
        let mut command = Command::new(BINARY);
        command.arg("serve").args(["--dns", "127.0.0.1:0"]).args(more);
        Server::run(command, dir)
    }

    /// On `address` instead of the usual one, so that servers can be told apart.
    pub fn start_at(dir: &Path, address: &str) -> Server {
        let mut command = Command::new(BINARY);
        command.arg("serve").args(["--dns", &format!("{address}:0")]);
        Server::run(command, dir).expect("the server prints its ready line")
    }

    /// Trusts the certificate authorities in `file` instead of the machine's.
    pub fn start_trusting(dir: &Path, file: &Path) -> Server {
        let mut command = Command::new(BINARY);
        command.arg("serve").args(["--dns", "127.0.0.1:0"]).env("SSL_CERT_FILE", file).env_remove("SSL_CERT_DIR");
        Server::run(command, dir).expect("the server prints its ready line")
    }

    fn run(mut command: Command, dir: &Path) -> Result<Server, String> {
        let mut child = command
            .args(["--http", "127.0.0.1:0", "--log", "warn", "--data-dir"])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut greeting = String::new();
        for line in lines.by_ref() {
            let line = line.expect("standard output is text");
            if let Some(rest) = line.strip_prefix("ready dns=") {
                let (dns, http) = rest.split_once(" http=").expect("both addresses");
                let (dns, http) = (dns.parse().expect("an address"), http.parse().expect("an address"));
                drain(child.stderr.take().expect("piped"));
                let local: Value = serde_json::from_slice(&std::fs::read(dir.join("local.json")).expect("local.json"))
                    .expect("local.json is JSON");
                let token = local["token"].as_str().expect("a token").to_owned();
                let _ = rustls::crypto::ring::default_provider().install_default();
                let http_client = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().expect("a client");
                return Ok(Server { child, dns, http, greeting, token, dir: dir.to_owned(), http_client });
            }
            greeting.push_str(&line);
            greeting.push('\n');
        }
        let mut errors = String::new();
        let _ = child.stderr.take().expect("piped").read_to_string(&mut errors);
        let _ = child.wait();
        Err(errors)
    }

    /// SIGTERM; true when it ended by itself with status 0.
    pub fn stop(mut self) -> bool {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let begin = Instant::now();
        while begin.elapsed() < DEADLINE {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// SIGKILL.
    pub fn kill(self) {
        self.kill_now();
    }

    /// SIGKILL while others still talk to it.
    pub fn kill_now(&self) {
        let _ = Command::new("kill").args(["-9", &self.child.id().to_string()]).status();
    }

    /// What `dig +short` prints, sorted.
    pub fn dig(&self, arguments: &[&str]) -> Vec<String> {
        let output = self.dig_output(&[&["+short"], arguments].concat());
        let mut lines: Vec<String> = output.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Everything that `dig` prints.
    pub fn dig_output(&self, arguments: &[&str]) -> String {
        let output = Command::new("dig")
            .args([format!("@{}", self.dns.ip()), "-p".into(), self.dns.port().to_string()])
            .args(["+tries=3", "+time=2", "+norecurse"])
            .args(arguments)
            .output()
            .expect("dig runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// One API call with the local token; status and body.
    pub async fn api(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.api_as(&self.token, method, path, body, &[]).await
    }

    pub async fn api_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let mut request = self.http_client.request(method, format!("http://{}{path}", self.http));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.expect("an HTTP answer");
        let status = response.status().as_u16();
        let bytes = response.bytes().await.expect("a body");
        let value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        (status, value)
    }

    /// `GET path`, which must succeed.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.api("GET", path, None).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// `POST path`, which must succeed.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.api("POST", path, Some(body)).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {answer}");
        answer
    }

    /// The status of a `POST`; `None` when the server died meanwhile.
    pub async fn try_post(&self, path: &str, body: Value) -> Option<u16> {
        let request = self.http_client.post(format!("http://{}{path}", self.http)).bearer_auth(&self.token);
        let response = request.body(body.to_string()).send().await.ok()?;
        let status = response.status().as_u16();
        response.bytes().await.ok()?;
        Some(status)
    }

    /// The command line against this server's data directory.
    pub fn command(&self, arguments: &[&str]) -> Output {
        command(&self.dir, arguments)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command line against a data directory.
pub fn command(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("--data-dir").arg(dir);
    command.output().expect("the binary runs")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asks again until `check` returns something; fails with `what` at the deadline.
pub async fn until<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(begin.elapsed() < DEADLINE, "{what} did not come about within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reads on, so that the server never blocks on a full pipe; what it says helps when a test fails.
fn drain(stderr: impl Read + Send + 'static) {
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            println!("server: {line}");
        }
    });
}
