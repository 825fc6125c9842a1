//! Sessions: who a browser's cookie stands for, and until when. Only the hash of a cookie's secret is kept.
//! Decides with the time it is given.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::http::{HeaderMap, HeaderValue, header};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::control::Control;
use crate::control::account::Account;
use crate::control::token::Role;
use crate::store::Aside;

use super::kept::Kept;
use super::text::Text;
use crate::web::OverTls;

/// The cookie of a session that was opened without TLS.
const PLAIN_COOKIE: &str = "northing";
/// Over TLS the name begins with `__Host-`, which binds the cookie to this host.
const SECURE_COOKIE: &str = "__Host-northing";
/// A session that nobody uses ends: somebody who may change things has left the desk.
const IDLE: SignedDuration = SignedDuration::from_mins(60);
/// Those who only read may keep a page open on a wall.
const IDLE_VIEWER: SignedDuration = SignedDuration::from_hours(12);
/// However busy, a working day later one signs in again.
const LONGEST: SignedDuration = SignedDuration::from_hours(12);
/// How old a secret becomes before the browser gets another one for the same session.
const ROTATE: SignedDuration = SignedDuration::from_mins(30);
/// How long a replaced secret is still good for what the browser has already sent.
const REPLACED: SignedDuration = SignedDuration::from_mins(1);
/// How often the last uses are written.
const WRITE_USES: SignedDuration = SignedDuration::from_mins(1);
/// Sessions of one account; the oldest ends.
const MAX_OF_ACCOUNT: usize = 20;
/// Secrets in all; the one that was used longest ago goes.
const MAX_SECRETS: usize = 5_000;
/// Of what a browser says it is, in characters.
const MAX_BROWSER: usize = 200;

/// Who has signed in.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// What they sign in with; stands as the actor in events and audit.
    pub id: String,
    /// What they are called.
    pub name: String,
    pub role: Role,
    /// Nothing is possible before another password is set.
    pub must_change: bool,
}

impl User {
    pub fn of(account: &Account) -> User {
        let Account { id, name, role, must_change, .. } = account;
        User { id: id.clone(), name: name.clone(), role: *role, must_change: *must_change }
    }
}

/// One sign-in.
#[derive(Debug, Serialize, Deserialize)]
pub struct Session {
    /// Names it in the list of its owner's sessions; opens nothing.
    pub id: String,
    pub account: String,
    /// The account's, when it signed in.
    epoch: u64,
    /// Comes back with every form of this session.
    pub form_token: String,
    pub opened: Timestamp,
    pub address: Option<IpAddr>,
    /// What the browser says it is.
    pub browser: String,
    /// The browser came by TLS.
    is_secure: bool,
    /// In Unix seconds.
    used: AtomicI64,
    /// Said once, on the next page.
    #[serde(skip)]
    notices: Mutex<VecDeque<Notice>>,
    /// A form that came too late, and the page that sent it: until the password that somebody else made is changed.
    #[serde(skip)]
    kept: Mutex<Option<(Kept, String)>>,
}

/// What happened, said at the top of the next page.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub text: Text,
}

/// Where a session was opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Browser {
    pub address: Option<IpAddr>,
    pub name: String,
    pub is_secure: bool,
}

impl Browser {
    /// `over` says that the connection itself is encrypted. Behind a proxy that ends TLS, the browser says so in
    /// `Origin`; whoever invents that harms only its own cookie. What a proxy claims in other headers is not asked.
    pub fn of(headers: &HeaderMap, address: Option<IpAddr>, over: Option<OverTls>) -> Browser {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        let name = text(header::USER_AGENT).chars().take(MAX_BROWSER).collect();
        Browser { address, name, is_secure: over.is_some() || text(header::ORIGIN).starts_with("https://") }
    }
}

impl Session {
    pub fn say(&self, notice: Notice) {
        let mut notices = self.notices.lock();
        notices.push_back(notice);
        // Nobody reads more than a few lines.
        while notices.len() > 3 {
            notices.pop_front();
        }
    }

    pub fn take_notices(&self) -> Vec<Notice> {
        self.notices.lock().drain(..).collect()
    }

    pub fn keep(&self, form: Kept, back: String) {
        *self.kept.lock() = Some((form, back));
    }

    pub fn take_kept(&self) -> Option<(Kept, String)> {
        self.kept.lock().take()
    }

    pub fn used(&self) -> Timestamp {
        Timestamp::from_second(self.used.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// True while it opens anything: its account is as it was, and neither limit has passed.
    fn stands(&self, account: &Account, now: Timestamp) -> bool {
        let idle = if account.role == Role::Viewer { IDLE_VIEWER } else { IDLE };
        account.epoch == self.epoch
            && !account.disabled
            && now.duration_since(self.used()) < idle
            && now.duration_since(self.opened) < LONGEST
    }
}

/// What a cookie turned out to be.
pub enum Found {
    Session(Arc<Session>, User),
    /// There was a session, and it has ended.
    Ended,
    Nothing,
}

#[derive(Debug, Serialize, Deserialize)]
struct Secret {
    session: Arc<Session>,
    made: Timestamp,
    /// Replaced by another one.
    until: Option<Timestamp>,
}

/// Every session, by the hash of its secret.
#[derive(Default)]
pub struct Sessions {
    secrets: Mutex<Secrets>,
    /// Keeps them over a restart.
    control: Option<Control>,
}

#[derive(Default)]
struct Secrets {
    by_hash: HashMap<[u8; 32], Secret>,
    written: Timestamp,
}

impl Sessions {
    /// As they were kept.
    pub fn load(kept: Value, control: Control) -> Sessions {
        let kept: Vec<(String, Secret)> = serde_json::from_value(kept).unwrap_or_default();
        let secrets = kept.into_iter().take(MAX_SECRETS).filter_map(|(hash, secret)| Some((bytes(&hash)?, secret)));
        let mut by_hash: HashMap<[u8; 32], Secret> = secrets.collect();
        // Both secrets of a session that is being given a new one stand for the same session.
        let sessions: HashMap<String, Arc<Session>> =
            by_hash.values().map(|secret| (secret.session.id.clone(), secret.session.clone())).collect();
        for secret in by_hash.values_mut() {
            secret.session = sessions.get(&secret.session.id).unwrap_or(&secret.session).clone();
        }
        Sessions { secrets: Mutex::new(Secrets { by_hash, written: Timestamp::default() }), control: Some(control) }
    }

    /// A new session, and the header that gives the browser its cookie.
    pub fn open(&self, account: &Account, browser: Browser, now: Timestamp) -> (HeaderValue, Arc<Session>) {
        let session = Arc::new(Session {
            id: random_text(8),
            account: account.id.clone(),
            epoch: account.epoch,
            form_token: random_text(32),
            opened: now,
            address: browser.address,
            browser: browser.name,
            is_secure: browser.is_secure,
            used: AtomicI64::new(now.as_second()),
            notices: Mutex::default(),
            kept: Mutex::default(),
        });
        let mut secrets = self.secrets.lock();
        make_room(&mut secrets.by_hash, &account.id);
        let header = insert(&mut secrets.by_hash, session.clone(), now);
        self.keep(&mut secrets, now);
        (header, session)
    }

    /// The session of a request, and whose it is by now. The request counts as a use of it.
    pub fn find(&self, headers: &HeaderMap, account: impl Fn(&str) -> Option<Arc<Account>>, now: Timestamp) -> Found {
        let found = self.look(headers, account, now);
        if let Found::Session(session, _) = &found {
            session.used.fetch_max(now.as_second(), Ordering::Relaxed);
            let mut secrets = self.secrets.lock();
            if now.duration_since(secrets.written) >= WRITE_USES {
                self.keep(&mut secrets, now);
            }
        }
        found
    }

    /// As `find`, for what a page asks for by itself: nobody need be at the desk for that.
    pub fn look(&self, headers: &HeaderMap, account: impl Fn(&str) -> Option<Arc<Account>>, now: Timestamp) -> Found {
        let Some(hash) = sent(headers) else { return Found::Nothing };
        let mut secrets = self.secrets.lock();
        let Some(secret) = secrets.by_hash.get(&hash) else { return Found::Ended };
        let session = secret.session.clone();
        let Some(account) = secret.opens(account, now) else {
            secrets.by_hash.remove(&hash);
            self.keep(&mut secrets, now);
            return Found::Ended;
        };
        Found::Session(session, User::of(&account))
    }

    /// True while `session` has not ended. Looking is no use of it.
    pub fn is_open(&self, session: &Session, account: Option<Arc<Account>>, now: Timestamp) -> bool {
        let is_known = self.secrets.lock().by_hash.values().any(|secret| secret.session.id == session.id);
        is_known && account.is_some_and(|account| session.stands(&account, now))
    }

    /// Another secret for the session of a request whose secret has become old.
    pub fn rotate(&self, headers: &HeaderMap, now: Timestamp) -> Option<HeaderValue> {
        let mut secrets = self.secrets.lock();
        let secret = secrets.by_hash.get_mut(&sent(headers)?)?;
        if secret.until.is_some() || now.duration_since(secret.made) < ROTATE {
            return None;
        }
        secret.until = Some(now + REPLACED);
        let session = secret.session.clone();
        secrets.by_hash.retain(|_, secret| secret.until.is_none_or(|end| now < end));
        let header = insert(&mut secrets.by_hash, session, now);
        self.keep(&mut secrets, now);
        Some(header)
    }

    /// Ends the session of a request; returns the headers that take the cookies back.
    pub fn close(&self, headers: &HeaderMap, now: Timestamp) -> [HeaderValue; 2] {
        let mut secrets = self.secrets.lock();
        if let Some(secret) = sent(headers).and_then(|hash| secrets.by_hash.remove(&hash)) {
            secrets.by_hash.retain(|_, other| other.session.id != secret.session.id);
            self.keep(&mut secrets, now);
        }
        [(PLAIN_COOKIE, false), (SECURE_COOKIE, true)].map(|(name, is_secure)| set_cookie(name, "", is_secure))
    }

    /// Ends one session of an account, or all of them but one.
    pub fn end(&self, account: &str, which: Which, now: Timestamp) {
        let mut secrets = self.secrets.lock();
        secrets.by_hash.retain(|_, secret| {
            let session = &secret.session;
            let goes = match which {
                Which::One(id) => session.id == id,
                Which::AllBut(id) => session.id != id,
            };
            session.account != account || !goes
        });
        self.keep(&mut secrets, now);
    }

    /// The sessions of an account that stand, the newest first.
    pub fn of(&self, account: &Arc<Account>, now: Timestamp) -> Vec<Arc<Session>> {
        let secrets = self.secrets.lock();
        let own = secrets.by_hash.values().filter(|secret| secret.session.account == account.id);
        let standing = own.filter(|secret| secret.until.is_none() && secret.session.stands(account, now));
        let mut own: Vec<Arc<Session>> = standing.map(|secret| secret.session.clone()).collect();
        own.sort_by_key(|session| std::cmp::Reverse(session.opened));
        own
    }

    /// Under the lock, so that an older state is never written over a newer one.
    fn keep(&self, secrets: &mut Secrets, now: Timestamp) {
        let Some(control) = &self.control else { return };
        secrets.written = now;
        let all: Vec<(String, &Secret)> = secrets.by_hash.iter().map(|(hash, secret)| (hex(hash), secret)).collect();
        control.keep(Aside::Sessions, serde_json::to_value(all).unwrap_or_default());
    }
}

impl Secret {
    fn opens(&self, account: impl Fn(&str) -> Option<Arc<Account>>, now: Timestamp) -> Option<Arc<Account>> {
        let stands = |account: &Arc<Account>| self.session.stands(account, now);
        account(&self.session.account).filter(|account| self.until.is_none_or(|end| now < end) && stands(account))
    }
}

/// Which sessions of an account, by id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Which<'i> {
    One(&'i str),
    AllBut(&'i str),
}

fn insert(secrets: &mut HashMap<[u8; 32], Secret>, session: Arc<Session>, now: Timestamp) -> HeaderValue {
    let secret = random_text(32);
    let name = if session.is_secure { SECURE_COOKIE } else { PLAIN_COOKIE };
    let header = set_cookie(name, &secret, session.is_secure);
    secrets.insert(hash(&secret), Secret { session, made: now, until: None });
    header
}

/// Ends the oldest sessions where there are as many as there may be.
fn make_room(secrets: &mut HashMap<[u8; 32], Secret>, account: &str) {
    let oldest = |secrets: &HashMap<[u8; 32], Secret>, own: bool| {
        let wanted = secrets.iter().filter(|(_, secret)| !own || secret.session.account == account);
        wanted.min_by_key(|(_, secret)| (secret.session.used(), secret.made)).map(|(hash, _)| *hash)
    };
    while secrets.values().filter(|secret| secret.session.account == account).count() >= MAX_OF_ACCOUNT {
        oldest(secrets, true).map(|hash| secrets.remove(&hash));
    }
    while secrets.len() >= MAX_SECRETS {
        oldest(secrets, false).map(|hash| secrets.remove(&hash));
    }
}

/// The hash of the secret that the browser sent.
fn sent(headers: &HeaderMap) -> Option<[u8; 32]> {
    cookie(headers, SECURE_COOKIE).or_else(|| cookie(headers, PLAIN_COOKIE)).map(hash)
}

/// An empty value takes the cookie back.
fn set_cookie(name: &str, value: &str, is_secure: bool) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let age = if value.is_empty() { "; Max-Age=0" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
    HeaderValue::from_str(&text).expect("hex digits are a header value")
}

/// The value of a cookie that the browser sent.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Random bytes in hex.
pub fn random_text(bytes: usize) -> String {
    (0..bytes).map(|_| format!("{:02x}", rand::random::<u8>())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<[u8; 32]> {
    let byte = |at: usize| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::account::Accounts;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn account(role: Role) -> Account {
        Account::new("ann", "Ann", role, String::new(), at(0))
    }

    fn headers(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        headers
    }

    /// What the browser sends back of a `Set-Cookie`.
    fn sends(header: &HeaderValue) -> HeaderMap {
        headers(header.to_str().unwrap().split(';').next().unwrap())
    }

    fn lets_in(sessions: &Sessions, headers: &HeaderMap, account: &Account, now: Timestamp) -> bool {
        let all = Accounts::from([(account.id.clone(), Arc::new(account.clone()))]);
        matches!(sessions.find(headers, |id| all.get(id).cloned(), now), Found::Session(..))
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        for (line, found) in [
            ("northing=a", Some("a")),
            ("x=1; northing=a; y=2", Some("a")),
            ("northing2=b;northing=a", Some("a")),
            ("xnorthing=b", None),
            ("northing", None),
            ("", None),
        ] {
            assert_eq!(cookie(&headers(line), "northing"), found, "{line}");
        }
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_after_a_day_of_work() {
        let editor = account(Role::Editor);
        let sessions = Sessions::default();
        let (cookie, _) = sessions.open(&editor, Browser::default(), at(0));
        let sent = sends(&cookie);
        assert!(lets_in(&sessions, &sent, &editor, at(59)));
        assert!(lets_in(&sessions, &sent, &editor, at(118)));
        assert!(!lets_in(&sessions, &sent, &editor, at(178)), "an hour without a request");
        let (cookie, _) = sessions.open(&editor, Browser::default(), at(0));
        let sent = sends(&cookie);
        for hour in 0..24 {
            assert_eq!(lets_in(&sessions, &sent, &editor, at(hour * 30)), hour * 30 < 12 * 60);
        }
        let viewer = account(Role::Viewer);
        let (cookie, _) = sessions.open(&viewer, Browser::default(), at(0));
        assert!(lets_in(&sessions, &sends(&cookie), &viewer, at(11 * 60)));
    }

    #[test]
    fn a_page_that_stays_open_does_not_keep_its_session() {
        let ann = account(Role::Editor);
        let all = Accounts::from([(ann.id.clone(), Arc::new(ann.clone()))]);
        let sessions = Sessions::default();
        let (cookie, session) = sessions.open(&ann, Browser::default(), at(0));
        let sent = sends(&cookie);
        for minute in 0..60 {
            let found = sessions.look(&sent, |id| all.get(id).cloned(), at(minute));
            assert!(matches!(found, Found::Session(..)), "{minute}");
        }
        assert_eq!(session.used(), at(0));
        assert!(matches!(sessions.look(&sent, |id| all.get(id).cloned(), at(60)), Found::Ended));
    }

    #[test]
    fn a_changed_or_disabled_account_has_no_sessions() {
        let ann = account(Role::Editor);
        for changed in [Account { epoch: 1, ..ann.clone() }, Account { disabled: true, ..ann.clone() }] {
            let sessions = Sessions::default();
            let (cookie, _) = sessions.open(&ann, Browser::default(), at(0));
            assert!(lets_in(&sessions, &sends(&cookie), &ann, at(0)));
            assert!(!lets_in(&sessions, &sends(&cookie), &changed, at(0)));
        }
        let sessions = Sessions::default();
        let (cookie, _) = sessions.open(&ann, Browser::default(), at(0));
        assert!(matches!(sessions.find(&sends(&cookie), |_| None, at(0)), Found::Ended));
    }

    #[test]
    fn a_secret_is_replaced_and_the_old_one_is_good_for_a_moment() {
        let ann = account(Role::Editor);
        let sessions = Sessions::default();
        let (cookie, session) = sessions.open(&ann, Browser::default(), at(0));
        let old = sends(&cookie);
        assert!(sessions.rotate(&old, at(29)).is_none());
        let new = sends(&sessions.rotate(&old, at(30)).unwrap());
        assert!(sessions.rotate(&old, at(30)).is_none(), "only once");
        assert!(lets_in(&sessions, &old, &ann, at(30)) && lets_in(&sessions, &new, &ann, at(30)));
        assert_eq!(sessions.of(&Arc::new(ann.clone()), at(30)).len(), 1);
        assert!(!lets_in(&sessions, &old, &ann, at(31)) && lets_in(&sessions, &new, &ann, at(31)));
        sessions.end("ann", Which::One(&session.id), at(31));
        assert!(!lets_in(&sessions, &new, &ann, at(31)));
    }

    #[test]
    fn one_account_has_few_sessions() {
        let ann = account(Role::Editor);
        let sessions = Sessions::default();
        let cookies: Vec<HeaderMap> =
            (0..=20).map(|at_| sends(&sessions.open(&ann, Browser::default(), at(at_)).0)).collect();
        assert!(!lets_in(&sessions, &cookies[0], &ann, at(21)));
        assert!(lets_in(&sessions, &cookies[1], &ann, at(21)));
        sessions.end("ann", Which::AllBut(""), at(21));
        assert!(!lets_in(&sessions, &cookies[20], &ann, at(21)));
    }

    #[test]
    fn the_cookie_of_a_browser_that_came_by_tls_is_bound_to_this_host() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static("https://dns.example"));
        headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
        let sessions = Sessions::default();
        let (cookie, _) = sessions.open(&account(Role::Viewer), Browser::of(&headers, None, None), at(0));
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.starts_with("__Host-northing=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"));
        headers.insert(header::ORIGIN, HeaderValue::from_static("http://dns.example"));
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert!(!Browser::of(&headers, None, None).is_secure);
        assert!(Browser::of(&headers, None, Some(OverTls)).is_secure, "whatever the browser says");
    }

    #[test]
    fn sessions_read_back_what_they_wrote() {
        let ann = account(Role::Editor);
        let sessions = Sessions::default();
        let (cookie, _) = sessions.open(&ann, Browser::default(), at(0));
        let secrets = sessions.secrets.lock();
        let all: Vec<(String, &Secret)> = secrets.by_hash.iter().map(|(hash, secret)| (hex(hash), secret)).collect();
        let text = serde_json::to_string(&all).unwrap();
        let secret = cookie.to_str().unwrap().split(['=', ';']).nth(1).unwrap();
        assert!(!text.contains(secret), "only its hash is written");
        let back: Vec<(String, Secret)> = serde_json::from_str(&text).unwrap();
        assert_eq!(bytes(&back[0].0), Some(hash(secret)));
        assert_eq!(back[0].1.session.account, "ann");
    }
}
