//! Accounts as a browser meets them: the first admin, signing in, what each role may see, and what forged or
//! late requests get.

use reqwest::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;

use crate::server::{DEADLINE, Server, setup_code, stdout, until};

/// A browser without script: it keeps cookies and knows the last form's token.
pub struct Browser {
    http: reqwest::Client,
    base: String,
    cookie: String,
    token: String,
}

pub struct Page {
    pub status: StatusCode,
    /// Where a redirect leads.
    pub location: String,
    pub text: String,
}

impl Page {
    /// The value of a hidden field.
    pub fn hidden(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.text.split_once(&format!("name=\"{name}\" value=\""))?;
        rest.split('"').next()
    }
}

impl Browser {
    pub fn new(server: &Server) -> Browser {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        let base = format!("http://{}", server.http);
        Browser { http: http.unwrap(), base, cookie: String::new(), token: String::new() }
    }

    async fn signed_in(server: &Server, user: &str, password: &str) -> Browser {
        let mut browser = Browser::new(server);
        let page = browser.sign_in(user, password).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        browser.get("/account").await;
        browser
    }

    pub async fn sign_in(&mut self, user: &str, password: &str) -> Page {
        self.send(Method::POST, "/login", &[("user", user), ("password", password), ("next", "/pools")], &[]).await
    }

    pub async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, &[], &[]).await
    }

    /// With the token of the page that was seen last.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.token.clone();
        self.send(Method::POST, path, &[&[("form_token", &*token)], fields].concat(), &[]).await
    }

    /// Publishes the draft that `review` shows.
    pub async fn publish(&mut self, review: &Page, reason: &str) -> Page {
        let seen = review.hidden("seen").expect("a review");
        self.post("/draft/publish", &[("seen", seen), ("back", "/draft"), ("reason", reason)]).await
    }

    /// A file behind the token of the page that was seen last.
    pub async fn upload(&mut self, path: &str, token: &str, file: Vec<u8>) -> Page {
        const BOUNDARY: &str = "the-end-of-a-part";
        let part = |disposition: &str| format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
        let mut body = format!("{}{token}\r\n", part("name=\"form_token\"")).into_bytes();
        body.extend(part("name=\"file\"; filename=\"some.mmdb\"").into_bytes());
        body.extend(file);
        body.extend(format!("\r\n--{BOUNDARY}--\r\n").into_bytes());
        let request = self.http.post(format!("{}{path}", self.base)).header("cookie", &self.cookie);
        let request = request.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}")).body(body);
        let response = request.send().await.unwrap();
        let status = response.status();
        let location = response.headers().get("location").map_or("", |value| value.to_str().unwrap()).to_owned();
        Page { status, location, text: response.text().await.unwrap() }
    }

    /// The stream of a page that follows `on`.
    pub async fn follow(&self, on: &str) -> reqwest::Response {
        let on = form_urlencoded::Serializer::new(String::new()).append_pair("on", on).finish();
        let request = self.http.get(format!("{}/live?{on}", self.base)).header("cookie", &self.cookie);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response
    }

    /// What a page that follows `on` is told until `part` was among it, as id and HTML.
    pub async fn first_update(&self, on: &str, part: &str) -> Vec<(String, String)> {
        let mut response = self.follow(on).await;
        let (mut waiting, mut told) = (Vec::new(), Vec::new());
        let end = tokio::time::Instant::now() + DEADLINE;
        loop {
            let Ok(bytes) = tokio::time::timeout_at(end, response.chunk()).await else {
                panic!("{part} was never told of, but {told:?}");
            };
            let Some(bytes) = bytes.unwrap() else { break };
            waiting.extend(bytes);
            while let Some(end) = waiting.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = waiting.drain(..end + 2).collect();
                if let Some(parts) = event.strip_prefix(b"data: ") {
                    told.extend(serde_json::from_slice::<Vec<(String, String)>>(parts).unwrap());
                }
            }
            if told.iter().any(|(id, _)| id == part) {
                break;
            }
        }
        told
    }

    /// The same browser before a server that was started again.
    pub fn now_at(&mut self, server: &Server) {
        self.base = format!("http://{}", server.http);
    }

    pub fn token(&self) -> String {
        self.token.clone()
    }

    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    pub async fn send(&mut self, method: Method, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Page {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        request = request.header("cookie", &self.cookie).header("accept", "text/html");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if method == Method::POST {
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let location = response.headers().get("location").map_or("", |value| value.to_str().unwrap()).to_owned();
        for cookie in response.headers().get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            if pair.starts_with("northing=") {
                self.cookie = pair.to_owned();
            }
        }
        let text = response.text().await.unwrap();
        let page = Page { status, location, text };
        if let Some(token) = page.hidden("form_token") {
            self.token = token.to_owned();
        }
        page
    }
}

pub const PASSWORD: &str = "sail past the reef";

/// A server with the admin ann.
pub async fn set_up(dir: &TempDir) -> (Server, Browser) {
    let server = Server::start(dir.path(), &[]);
    let browser = first_admin(&server).await;
    (server, browser)
}

/// The admin ann of a server that has no users yet.
pub async fn first_admin(server: &Server) -> Browser {
    let code = setup_code(&server.greeting);
    let mut browser = Browser::new(server);
    let fields = [("code", code), ("id", "ann"), ("name", "Ann"), ("password", PASSWORD)];
    let page = browser.send(Method::POST, "/setup", &fields, &[]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    browser.get("/account").await;
    browser
}

/// A user with a password that need not be changed.
pub async fn user(server: &Server, role: &str) -> Browser {
    let made = json!({ "id": role, "role": role, "password": "the first of two" });
    let (status, body) = server.api("POST", "/api/v1/users", Some(made)).await;
    assert_eq!(status, 201, "{body}");
    let mut browser = Browser::new(server);
    let page = browser.sign_in(role, "the first of two").await;
    assert_eq!(page.location, "/account/password", "{}", page.text);
    assert_eq!(browser.get("/").await.location, "/account/password", "nothing else is possible");
    browser.get("/account/password").await;
    let page = browser.post("/account/password", &[("password", "the first of two"), ("new_password", PASSWORD)]).await;
    assert_eq!(page.location, "/", "{}", page.text);
    browser.get("/account").await;
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setup_code_makes_the_first_admin_once() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    let first = setup_code(&server.greeting);
    let mut browser = Browser::new(&server);
    for path in ["/", "/pools?x=1", "/login", "/settings/users"] {
        assert_eq!(browser.get(path).await.location, "/setup", "{path}");
    }
    let said = stdout(&server.command(&["setup-code"]));
    let second = setup_code(&said);
    for _ in 0..30 {
        let page = browser.send(Method::POST, "/setup", &[("code", "BCDF-GHJK")], &[]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "guessing keeps nobody out: {}", page.text);
    }
    let with =
        |code: &str, password: &str| [("code", code.to_owned()), ("id", "ann".into()), ("password", password.into())];
    for (code, password, said) in [(first, PASSWORD, "not the code"), (second, "short", "too short")] {
        let fields = with(code, password);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
        let page = browser.send(Method::POST, "/setup", &fields, &[]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.text.contains(said), "{}", page.text);
    }
    let fields = [("code", second), ("id", "ann"), ("password", PASSWORD)];
    let foreign = [("sec-fetch-site", "cross-site")];
    assert_eq!(browser.send(Method::POST, "/setup", &fields, &foreign).await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.send(Method::POST, "/setup", &fields, &[]).await.status, StatusCode::SEE_OTHER);
    assert!(browser.get("/account").await.text.contains("ann"));
    let fields = [("code", second), ("id", "eve"), ("password", PASSWORD)];
    let again = browser.send(Method::POST, "/setup", &fields, &[]);
    assert_eq!(again.await.status, StatusCode::SEE_OTHER);
    assert_eq!(server.get("/api/v1/users").await["items"].as_array().unwrap().len(), 1);
    assert!(!server.command(&["setup-code"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_asks_for_its_role() {
    let dir = TempDir::new().unwrap();
    let (server, mut admin) = set_up(&dir).await;
    let mut browsers = Vec::new();
    for role in ["viewer", "operator", "editor"] {
        browsers.push(user(&server, role).await);
    }
    for path in
        ["/settings/users", "/settings/users/ann", "/settings/users.csv", "/settings/tokens", "/settings/tokens.json"]
    {
        assert_eq!(admin.get(path).await.status, StatusCode::OK, "{path}");
        for browser in &mut browsers {
            let page = browser.get(path).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}");
            assert!(page.text.contains("<h1") && !page.text.contains("argon2"), "a page says so");
        }
    }
    for path in ["/", "/pools", "/account", "/account/password", "/account/totp", "/history", "/explain"] {
        for browser in &mut browsers {
            assert_eq!(browser.get(path).await.status, StatusCode::OK, "{path}");
        }
        assert!(Browser::new(&server).get(path).await.location.starts_with("/login?next=%2F"), "{path}");
    }
    let listed = server.get("/api/v1/users").await.to_string();
    assert!(!listed.contains("argon2") && !listed.contains("secret"), "{listed}");
    let audit = server.get("/api/v1/audit").await.to_string();
    assert!(audit.contains("create user") && audit.contains("sign in") && !audit.contains("argon2"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_requests_change_nothing() {
    let dir = TempDir::new().unwrap();
    let (server, mut ann) = set_up(&dir).await;
    let token = ann.token.clone();
    let good = [("form_token", &*token), ("name", "Anna")];
    let refused: [(&[(&str, &str)], &[(&str, &str)]); 5] = [
        (&[("name", "Eve")], &[]),
        (&[("form_token", "wrong"), ("name", "Eve")], &[]),
        (&good, &[("sec-fetch-site", "cross-site")]),
        (&good, &[("sec-fetch-site", "same-site")]),
        (&good, &[("origin", "http://evil.test")]),
    ];
    for (fields, headers) in refused {
        let page = ann.send(Method::POST, "/account", fields, headers).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{fields:?} {headers:?}");
    }
    assert!(server.get("/api/v1/users").await.to_string().contains("\"Ann\""));
    let own = [("origin", &*ann.base.clone())];
    assert_eq!(ann.send(Method::POST, "/account", &good, &own).await.status, StatusCode::SEE_OTHER);

    let with = |headers: &[(&'static str, String)]| -> Vec<(&'static str, String)> {
        [&[("cookie", ann.cookie.clone())], headers].concat()
    };
    let cases = [
        ("GET", with(&[]), 200),
        ("POST", with(&[]), 403),
        ("POST", with(&[("x-form-token", "wrong".into())]), 403),
        ("POST", with(&[("x-form-token", token.clone()), ("sec-fetch-site", "cross-site".into())]), 403),
        ("POST", with(&[("x-form-token", token.clone())]), 201),
        ("GET", vec![("cookie", "northing=00".into())], 401),
    ];
    for (method, headers, expected) in cases {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let body = (method == "POST").then(|| json!({ "id": "by-session" }));
        let (status, answer) = server.api_as("", method, "/api/v1/tokens", body, &headers).await;
        assert_eq!(status, expected, "{method} {headers:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_is_locked_out_whether_or_not_the_account_exists() {
    let dir = TempDir::new().unwrap();
    let (server, _) = set_up(&dir).await;
    for user in ["ann", "nobody"] {
        let mut guess = Browser::new(&server);
        let mut answers = Vec::new();
        for _ in 0..6 {
            answers.push(guess.sign_in(user, "not the password").await);
        }
        let statuses: Vec<u16> = answers.iter().map(|page| page.status.as_u16()).collect();
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429], "{user}");
        assert!(answers[0].text.contains("do not belong together"), "{}", answers[0].text);
        assert!(answers[5].text.contains("Try again from"), "{}", answers[5].text);
    }
    assert_eq!(Browser::new(&server).sign_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    let locked = async || server.get("/api/v1/audit").await.to_string().contains("lock user").then_some(());
    until("the lock stands in the audit log", locked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_survive_a_restart_and_end_with_a_change_of_the_account() {
    let dir = TempDir::new().unwrap();
    let (server, mut ann) = set_up(&dir).await;
    let mut second = Browser::signed_in(&server, "ann", PASSWORD).await;
    let mut editor = user(&server, "editor").await;
    assert!(server.stop());
    let server = Server::start(dir.path(), &[]);
    assert!(!server.greeting.contains("/setup"), "{}", server.greeting);
    for browser in [&mut ann, &mut second, &mut editor] {
        browser.base = format!("http://{}", server.http);
        assert_eq!(browser.get("/account").await.status, StatusCode::OK, "as before the restart");
    }

    let changed =
        ann.post("/account/password", &[("password", PASSWORD), ("new_password", "past the reef we sail")]).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER, "{}", changed.text);
    assert_eq!(ann.get("/account").await.status, StatusCode::OK, "goes on");
    assert!(second.get("/pools?tab=2").await.location.contains("was=ended"));
    let mut late = Browser::new(&server);
    assert_eq!(late.sign_in("ann", PASSWORD).await.status, StatusCode::UNAUTHORIZED);

    // What was typed into a session that has ended is not lost.
    let output = server.command(&["user", "role", "editor", "viewer"]);
    assert!(output.status.success(), "{output:?}");
    let page = editor.post("/account", &[("name", "A <new> name"), ("password", "not to be kept")]).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(page.text.contains("A &#60;new&#62; name") || page.text.contains("A &lt;new&gt; name"), "{}", page.text);
    assert!(!page.text.contains("not to be kept"), "passwords are not carried");
    let sign_in = [("user", "editor"), ("password", PASSWORD), ("kept", "/account"), ("kept-name", "A new name")];
    let page = editor.send(Method::POST, "/login", &sign_in, &[]).await;
    assert!(page.text.contains("Send it again"), "{}", page.text);
    assert_eq!(editor.post("/account", &[("name", "A new name")]).await.status, StatusCode::SEE_OTHER);

    ann.get("/account").await;
    assert_eq!(ann.post("/logout", &[]).await.status, StatusCode::SEE_OTHER);
    assert!(ann.get("/").await.location.starts_with("/login"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_admin_stays_and_the_command_line_administers_the_others() {
    let dir = TempDir::new().unwrap();
    let (server, mut ann) = set_up(&dir).await;
    for arguments in [&["user", "disable", "ann"][..], &["user", "role", "ann", "editor"], &["user", "delete", "ann"]] {
        let output = server.command(arguments);
        assert!(
            !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("last admin"),
            "{output:?}"
        );
    }
    let page = ann.post("/settings/users/ann/delete", &[]).await;
    assert!(page.text.contains("last admin"), "{}", page.text);
    let made = stdout(&server.command(&["user", "create", "bob", "--role", "operator"]));
    let password = made.rsplit(' ').next().unwrap().trim().to_owned();
    let mut bob = Browser::new(&server);
    assert_eq!(bob.sign_in("bob", &password).await.location, "/account/password");
    assert!(stdout(&server.command(&["user", "list"])).contains("bob"));
    assert!(server.command(&["user", "disable", "bob"]).status.success());
    assert!(bob.get("/account").await.location.contains("was=ended"));
    assert_eq!(bob.sign_in("bob", &password).await.status, StatusCode::UNAUTHORIZED);
    assert!(server.command(&["user", "delete", "bob"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_a_scope_changes_that_part_alone() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    for id in ["one", "two"] {
        let zone = json!({ "id": id, "fqdn": format!("{id}.test."), "ns": ["ns1.other.test.", "ns2.other.test."] });
        server.post("/api/v1/zones", zone).await;
    }
    let wanted = json!({ "id": "acme", "role": "editor", "kinds": ["records"], "zones": ["one"] });
    let made = server.post("/api/v1/tokens", wanted).await;
    let secret = made["secret"].as_str().unwrap();
    let record = |zone: &str| json!({ "zone": zone, "name": "_acme-challenge", "type": "TXT", "values": ["\"x\""] });
    let edits = |zone: &str| {
        let id = format!("{zone}/_acme-challenge/TXT");
        json!({ "edits": [{ "kind": "records", "id": id, "value": record(zone) }] })
    };
    for (method, path, body, expected) in [
        ("POST", "/api/v1/records", Some(record("one")), 201),
        ("POST", "/api/v1/records", Some(record("two")), 422),
        ("POST", "/api/v1/publish", Some(edits("two")), 422),
        ("GET", "/api/v1/records/one/_acme-challenge/TXT", None, 200),
        ("GET", "/api/v1/records", None, 200),
        ("GET", "/api/v1/export/one.test", None, 200),
        ("GET", "/api/v1/export/two.test", None, 403),
        ("POST", "/api/v1/preview", Some(edits("one")), 200),
        ("POST", "/api/v1/preview", Some(edits("two")), 422),
        ("GET", "/api/v1/zones", None, 403),
        ("GET", "/api/v1/document", None, 403),
        ("GET", "/api/v1/audit", None, 403),
    ] {
        let (status, answer) = server.api_as(secret, method, path, body, &[]).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
    }
    server.post("/api/v1/records", record("two")).await;
    let (_, listed) = server.api_as(secret, "GET", "/api/v1/records", None, &[]).await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "only the zone of its scope: {listed}");
    let (_, exported) = server.api_as(secret, "GET", "/api/v1/export/one?format=json", None, &[]).await;
    assert!(exported["zones"].as_object().is_some_and(serde_json::Map::is_empty), "{exported}");
    assert_eq!(exported["records"].as_array().map(Vec::len), Some(1), "{exported}");
    let tokens = server.get("/api/v1/tokens").await.to_string();
    assert!(tokens.contains("\"last_used\"") && tokens.contains("127.0.0.1"), "{tokens}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_goes_only_with_its_own_code() {
    let dir = TempDir::new().unwrap();
    let (server, mut ann) = set_up(&dir).await;
    let page = ann.get("/account/totp").await;
    let secret = page.hidden("secret").unwrap().to_owned();
    let key = totp_rs::Secret::try_from_base32(&secret).unwrap();
    let code = totp_rs::Builder::new().with_secret(key).with_account_name("ann").build().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let code = code.generate(now).to_string();
    let page = ann.post("/account/totp", &[("secret", &*secret), ("code", &*code), ("password", PASSWORD)]).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let (_, codes) = page.text.split_once("id=\"codes\" tabindex=\"0\">").expect("recovery codes");
    let recovery: Vec<String> = codes.split("</pre>").next().unwrap().lines().map(str::to_owned).collect();

    ann.get("/account").await;
    for path in ["/account/totp/remove", "/account/totp"] {
        for old_code in ["", "BCDF-GHJK", &*code] {
            let fields = [("password", PASSWORD), ("secret", &*secret), ("code", &*code), ("old_code", old_code)];
            let page = ann.post(path, &fields).await;
            assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {old_code}");
            assert!(page.text.contains("was used already"), "{path} {old_code}: {}", page.text);
            if path == "/account/totp" {
                break;
            }
        }
    }
    let listed = server.get("/api/v1/users").await.to_string();
    assert!(listed.contains("\"two_factor\":true") && listed.contains("\"recovery_codes_left\":10"), "{listed}");
    let page = ann.post("/account/totp/remove", &[("password", PASSWORD), ("old_code", &*recovery[3])]).await;
    assert_eq!(page.location, "/account", "{}", page.text);
    assert!(server.get("/api/v1/users").await.to_string().contains("\"two_factor\":false"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_told_on_a_page_with_what_to_do() {
    let dir = TempDir::new().unwrap();
    let (_server, mut ann) = set_up(&dir).await;
    let large = "x".repeat(2 << 20);
    let many: Vec<(&str, &str)> = vec![("a", "1"); 20_001];
    let token = ann.token.clone();
    let named = [("form_token", &*token), ("name", &*large)];
    for (method, path, form, status, words) in [
        (Method::GET, "/nowhere", &[][..], 404, "Nothing is at this address."),
        (Method::GET, "/pools/nope", &[], 404, "No pool named nope."),
        (Method::GET, "/draft/publish", &[], 405, "It does not take GET."),
        (Method::GET, "/pools/%ff", &[], 400, "This address is not right"),
        (Method::GET, "/pools?page=-1", &[], 422, "This address is not right"),
        (Method::POST, "/account", &named, 413, "larger than 1 MiB"),
        (Method::POST, "/account", &many, 413, "more than 20000 fields"),
    ] {
        let page = ann.send(method.clone(), path, form, &[]).await;
        assert_eq!(page.status.as_u16(), status, "{method} {path}: {}", page.text);
        assert!(page.text.contains(words) && page.text.contains("<nav"), "{method} {path}: {}", page.text);
    }
    assert!(ann.get("/account").await.text.contains("value=\"Ann\""), "nothing was changed");

    // Another tab, from before the last sign-in: what was typed there is offered once more.
    let typed = [("form_token", "of the session before"), ("name", "A <new> name"), ("password", "not to be kept")];
    let page = ann.send(Method::POST, "/account", &typed, &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.text.contains("Send it again") && page.text.contains("action=\"/account\""), "{}", page.text);
    assert!(page.text.contains("new&#62; name") || page.text.contains("new&gt; name"), "{}", page.text);
    assert!(!page.text.contains("not to be kept") && !page.text.contains("of the session before"));
    assert_eq!(ann.post("/account", &[("name", "A new name")]).await.status, StatusCode::SEE_OTHER);
}
