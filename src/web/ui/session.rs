//! Sessions: who a browser's cookie stands for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::control::token::Role;

use super::text::Text;

/// Over TLS the name begins with `__Host-`, which binds the cookie to this host.
pub const COOKIE: &str = "northing";

/// Who has signed in.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// What they sign in with; stands as the actor in events and audit.
    pub id: String,
    /// What they are called.
    pub name: String,
    pub role: Role,
}

/// One sign-in.
#[derive(Debug)]
pub struct Session {
    pub user: User,
    /// Comes back with every form of this session.
    pub form_token: String,
    /// Said once, on the next page.
    notices: Mutex<VecDeque<Notice>>,
}

/// What happened, said at the top of the next page.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub text: Text,
    /// The revision that can be taken back for a while (`UNDO_SECONDS`).
    pub undo: Option<u64>,
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
}

/// Every session, by the hash of its secret.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<[u8; 32], Arc<Session>>>);

impl Sessions {
    /// A new session; returns the cookie's value.
    pub fn open(&self, user: User) -> String {
        let secret = random_text();
        let session = Session { user, form_token: random_text(), notices: Mutex::default() };
        self.0.lock().insert(hash(&secret), Arc::new(session));
        secret
    }

    pub fn find(&self, headers: &HeaderMap) -> Option<Arc<Session>> {
        self.0.lock().get(&hash(cookie(headers, COOKIE)?)).cloned()
    }

    pub fn close(&self, headers: &HeaderMap) {
        if let Some(secret) = cookie(headers, COOKIE) {
            self.0.lock().remove(&hash(secret));
        }
    }
}

/// The value of a cookie that the browser sent.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// 256 random bits in hex.
fn random_text() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
