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
use sha2::{Digest, Sha256};

use crate::control::account::Account;
use crate::control::token::Role;

use super::text::Text;

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
}

/// What happened, said at the top of the next page.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub text: Text,
    /// The revision that can be taken back for a while (`UNDO_SECONDS`).
    pub undo: Option<u64>,
}

/// Where a session was opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Browser {
    pub address: Option<IpAddr>,
    pub name: String,
    pub is_secure: bool,
}

impl Browser {
    /// A browser says in `Origin` how it sees this site; whoever invents that harms only its own cookie. What a
    /// proxy claims in other headers is not asked.
    pub fn of(headers: &HeaderMap, address: Option<IpAddr>) -> Browser {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        let name = text(header::USER_AGENT).chars().take(MAX_BROWSER).collect();
        Browser { address, name, is_secure: text(header::ORIGIN).starts_with("https://") }
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
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<[u8; 32], Secret>>);

impl Sessions {
    /// A new session; returns the header that gives the browser its cookie.
    pub fn open(&self, account: &Account, browser: Browser, now: Timestamp) -> HeaderValue {
        let session = Session {
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
        };
        let mut secrets = self.0.lock();
        make_room(&mut secrets, &account.id);
        insert(&mut secrets, Arc::new(session), now)
    }

    /// The session of a request, and whose it is by now.
    pub fn find(&self, headers: &HeaderMap, account: impl Fn(&str) -> Option<Arc<Account>>, now: Timestamp) -> Found {
        let Some(hash) = sent(headers) else { return Found::Nothing };
        let mut secrets = self.0.lock();
        let Some(secret) = secrets.get(&hash) else { return Found::Ended };
        let session = secret.session.clone();
        let stands = |account: &Arc<Account>| session.stands(account, now) && secret.until.is_none_or(|end| now < end);
        match account(&session.account).filter(stands) {
            Some(account) => {
                session.used.fetch_max(now.as_second(), Ordering::Relaxed);
                Found::Session(session, User::of(&account))
            }
            None => {
                secrets.remove(&hash);
                Found::Ended
            }
        }
    }

    /// True while `session` has not ended. Looking is no use of it.
    pub fn is_open(&self, session: &Session, account: Option<Arc<Account>>, now: Timestamp) -> bool {
        let is_known = self.0.lock().values().any(|secret| secret.session.id == session.id);
        is_known && account.is_some_and(|account| session.stands(&account, now))
    }

    /// Another secret for the session of a request whose secret has become old.
    pub fn rotate(&self, headers: &HeaderMap, now: Timestamp) -> Option<HeaderValue> {
        let mut secrets = self.0.lock();
        let secret = secrets.get_mut(&sent(headers)?)?;
        if secret.until.is_some() || now.duration_since(secret.made) < ROTATE {
            return None;
        }
        secret.until = Some(now + REPLACED);
        let session = secret.session.clone();
        Some(insert(&mut secrets, session, now))
    }

    /// Ends the session of a request; returns the headers that take the cookies back.
    pub fn close(&self, headers: &HeaderMap) -> [HeaderValue; 2] {
        let mut secrets = self.0.lock();
        if let Some(secret) = sent(headers).and_then(|hash| secrets.remove(&hash)) {
            secrets.retain(|_, other| other.session.id != secret.session.id);
        }
        [(PLAIN_COOKIE, false), (SECURE_COOKIE, true)].map(|(name, is_secure)| set_cookie(name, "", is_secure))
    }

    /// Ends one session of an account, or all of them but one.
    pub fn end(&self, account: &str, which: Which) {
        self.0.lock().retain(|_, secret| {
            let session = &secret.session;
            let goes = match which {
                Which::One(id) => session.id == id,
                Which::AllBut(id) => session.id != id,
            };
            session.account != account || !goes
        });
    }

    /// The sessions of an account, the newest first.
    pub fn of(&self, account: &str) -> Vec<Arc<Session>> {
        let secrets = self.0.lock();
        let own = secrets.values().filter(|secret| secret.session.account == account && secret.until.is_none());
        let mut own: Vec<Arc<Session>> = own.map(|secret| secret.session.clone()).collect();
        own.sort_by_key(|session| std::cmp::Reverse(session.opened));
        own
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
