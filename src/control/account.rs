//! Accounts: who signs in with a browser, with which password and second factor. Only hashes are kept of what
//! somebody knows. Decides; reads no clock and no disk, and draws no chance.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Secret, Token as Code, Totp};

use super::Refusal;
use super::token::{Role, secret_hash};
use crate::model::FieldError;

/// Accounts that there may be; each sign-in and request looks only at one.
pub const MAX_ACCOUNTS: usize = 1000;
/// The longest login name and the longest name, in characters.
pub const MAX_NAME: usize = 64;
/// As NIST SP 800-63B asks of a password that stands alone, rounded up; the upper end bounds the hashing.
pub const PASSWORD_LENGTH: std::ops::RangeInclusive<usize> = 12..=256;
/// Bytes of chance in a password's salt.
pub const SALT_BYTES: usize = 16;
/// Bytes of a second factor's secret, as RFC 4226 section 4 recommends.
pub const TOTP_BYTES: usize = 20;
/// Seconds that a code of an authenticator app stands for (RFC 6238 section 5.2).
const STEP_SECONDS: u64 = 30;
/// Networks that an account is remembered to have signed in from: an office, a home, a phone, a few journeys.
const MAX_NETWORKS: usize = 8;
/// What one household, office or hotel has, whose address changes within it.
const NETWORK_PREFIX: (u8, u8) = (24, 56);
/// Codes that open once each, for the day on which the phone is lost.
pub const RECOVERY_CODES: usize = 10;

/// The longest of the passwords that everybody tries first. Shorter ones are refused for their length.
const MOST_COMMON: [&str; 24] = [
    "123456789012",
    "1234567890123",
    "12345678901234",
    "123456789012345",
    "1234567890123456",
    "000000000000",
    "111111111111",
    "123123123123",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "abcdefghijkl",
    "administrator",
    "changemechangeme",
    "correcthorsebatterystaple",
    "iloveyouiloveyou",
    "letmeinletmein",
    "northingnorthing",
    "passwordpassword",
    "password1234",
    "password12345",
    "password123456",
    "qwertyqwerty",
    "qwertyuiop12",
    "qwertyuiopasdfghjkl",
];

/// Somebody who may sign in, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The login name, `[a-z0-9._@-]{1,64}`; stands as the actor in events and audit.
    pub id: String,
    /// What they are called.
    pub name: String,
    pub role: Role,
    /// Argon2id, as a PHC string.
    pub password: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<SecondFactor>,
    pub created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sign_in: Option<Timestamp>,
    /// Where its owner has signed in from, the latest first: strangers cannot lock these out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
    #[serde(default)]
    pub disabled: bool,
    /// The password was made by somebody else; nothing but changing it is possible.
    #[serde(default)]
    pub must_change: bool,
    /// Grows with whatever ends the account's sessions: another password, role or second factor.
    #[serde(default)]
    pub epoch: u64,
}

/// An authenticator app, and the codes for when it is lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// Base 32.
    pub secret: String,
    /// The last time step whose code was taken: none is taken twice (RFC 6238 section 5.2).
    pub last_step: u64,
    /// SHA-256 of the codes that are left. Codes of 80 random bits need no slow hash.
    pub recovery: Vec<String>,
}

/// An account as it is listed: nothing in it opens anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = User)]
pub struct Listed {
    pub id: String,
    pub name: String,
    pub role: Role,
    /// Signs in with an authenticator app too.
    pub two_factor: bool,
    pub recovery_codes_left: usize,
    #[schema(value_type = String)]
    pub created: Timestamp,
    #[schema(value_type = Option<String>)]
    pub last_sign_in: Option<Timestamp>,
    pub disabled: bool,
    pub must_change: bool,
}

/// Everybody, by login name.
pub type Accounts = BTreeMap<String, Arc<Account>>;

impl Account {
    pub fn new(id: &str, name: &str, role: Role, password: String, created: Timestamp) -> Account {
        let name = if name.is_empty() { id } else { name };
        Account {
            id: id.into(),
            name: name.into(),
            role,
            password,
            second: None,
            created,
            last_sign_in: None,
            networks: Vec::new(),
            disabled: false,
            must_change: false,
            // Who comes after a deleted account of the same name inherits none of its sessions.
            epoch: u64::try_from(created.as_millisecond()).unwrap_or_default(),
        }
    }

    pub fn listed(&self) -> Listed {
        Listed {
            id: self.id.clone(),
            name: self.name.clone(),
            role: self.role,
            two_factor: self.second.is_some(),
            recovery_codes_left: self.second.as_ref().map_or(0, |second| second.recovery.len()),
            created: self.created,
            last_sign_in: self.last_sign_in,
            disabled: self.disabled,
            must_change: self.must_change,
        }
    }

    /// The network of `address`, where the owner has signed in from it before.
    pub fn known_network(&self, address: IpAddr) -> Option<IpNet> {
        network(address).filter(|network| self.networks.contains(network))
    }

    pub fn remember_network(&mut self, address: IpAddr) {
        let Some(network) = network(address) else { return };
        self.networks.retain(|known| *known != network);
        self.networks.insert(0, network);
        self.networks.truncate(MAX_NETWORKS);
    }

    /// Uses up a code of the second factor, where there is one.
    pub fn take_code(&mut self, code: &str, now: Timestamp) -> Result<(), Refusal> {
        let Some(second) = &self.second else { return Ok(()) };
        let wrong = || FieldError::new("code", "this code is wrong, or was used already", "each opens once");
        self.second = Some(second.take(code, now).ok_or_else(|| Refusal::Invalid(vec![wrong()]))?);
        Ok(())
    }

    fn is_admin(&self) -> bool {
        self.role == Role::Admin && !self.disabled
    }
}

impl SecondFactor {
    /// A second factor that has proved itself with a code of `step`, and its recovery codes.
    pub fn new(secret: &str, step: u64, codes: &[String]) -> SecondFactor {
        let recovery = codes.iter().map(|code| secret_hash(&plain_code(code))).collect();
        SecondFactor { secret: secret.into(), last_step: step, recovery }
    }

    /// Takes a code of the app or a recovery code, which then is used up. `None` is a wrong one.
    pub fn take(&self, code: &str, now: Timestamp) -> Option<SecondFactor> {
        if let Some(step) = totp_step(&self.secret, code, now).filter(|step| *step > self.last_step) {
            return Some(SecondFactor { last_step: step, ..self.clone() });
        }
        let hash = secret_hash(&plain_code(code));
        let at = self.recovery.iter().position(|known| *known == hash)?;
        let mut left = self.clone();
        left.recovery.remove(at);
        Some(left)
    }
}

/// The newest time step round `now` of which `code` is the code.
pub fn totp_step(secret: &str, code: &str, now: Timestamp) -> Option<u64> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let totp = totp(secret, "")?;
    let step = now.as_second().unsigned_abs() / STEP_SECONDS;
    // One step of a clock that goes wrong, either way.
    (step.saturating_sub(1)..=step + 1).rev().find(|step| code_text(&totp.generate(step * STEP_SECONDS)) == digits)
}

/// What an authenticator app reads from the QR code.
pub fn totp_url(secret: &str, account: &str, node: &str) -> Option<String> {
    let totp = totp(secret, account)?;
    let host: String = node.chars().filter(|c| *c != ':').collect();
    let issuer = Builder::new()
        .with_secret(totp.secret().as_bytes().to_vec().into_boxed_slice())
        .with_account_name(account)
        .with_issuer(Some(format!("Northing {host}").trim()))
        .build();
    issuer.ok()?.to_url().ok()
}

pub fn totp_secret(bytes: [u8; TOTP_BYTES]) -> String {
    Secret::new(Box::new(bytes)).to_base32()
}

fn totp(secret: &str, account: &str) -> Option<Totp> {
    let secret = Secret::try_from_base32(secret).ok()?;
    Builder::new().with_secret(secret).with_account_name(account).build().ok()
}

fn code_text(code: &Code) -> String {
    code.to_string()
}

/// As people type codes: with spaces, dashes or capitals, or without.
pub fn plain_code(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// Letters that nobody takes for another one.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// A code for people from random bytes, a letter each: `BCDF-GHJK-…`.
pub fn code(bytes: &[u8; 16]) -> String {
    let mut out = String::with_capacity(bytes.len() + 3);
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 && at % 4 == 0 {
            out.push('-');
        }
        out.push(char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    }
    out
}

/// What somebody who has signed in from `address` may come from again. A proxy on this machine stands for everybody.
fn network(address: IpAddr) -> Option<IpNet> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V4(address) => Ipv4Net::new(address, NETWORK_PREFIX.0).ok().map(|network| network.trunc().into()),
        IpAddr::V6(address) => Ipv6Net::new(address, NETWORK_PREFIX.1).ok().map(|network| network.trunc().into()),
    }
}

/// The PHC string of a password: Argon2id with 19 MiB and two passes, the least that OWASP recommends, so that
/// a small machine bears several sign-ins at once.
pub fn hash_password(password: &str, salt: &[u8; SALT_BYTES]) -> String {
    let hash: PasswordHash =
        argon2().hash_password_with_salt(password.as_bytes(), salt).expect("the salt and the parameters are sound");
    hash.to_string()
}

/// True when `password` is the one that `hash` was made of. Takes as long as hashing.
pub fn password_matches(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("these parameters are in range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// What is wrong with a login name.
pub fn check_id(id: &str) -> Result<(), FieldError> {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._@-".contains(&byte);
    let is_dots = id.bytes().all(|byte| byte == b'.');
    match id.len() {
        1..=MAX_NAME if id.bytes().all(sound) && !is_dots => Ok(()),
        _ => {
            let problem = format!("{id:?} is no login name");
            Err(FieldError::new("id", problem, "use 1 to 64 of a-z, 0-9, '.', '_', '@' and '-', not dots alone"))
        }
    }
}

/// What is wrong with what somebody is called.
pub fn check_name(name: &str) -> Result<(), FieldError> {
    match name.chars().count() {
        0..=MAX_NAME if !name.contains(char::is_control) => Ok(()),
        _ => Err(FieldError::new("name", "is too long or holds control characters", "use at most 64 characters")),
    }
}

/// What is wrong with a password. How it is composed is the owner's business.
pub fn check_password(id: &str, password: &str) -> Result<(), FieldError> {
    let length = password.chars().count();
    let wrong = |problem: &str, remedy: &str| Err(FieldError::new("password", problem, remedy));
    if length < *PASSWORD_LENGTH.start() {
        return wrong("is too short", "use at least 12 characters; a few words in a row are good");
    }
    if length > *PASSWORD_LENGTH.end() {
        return wrong("is too long", "use at most 256 characters");
    }
    let plain = password.to_lowercase();
    let is_one_letter = plain.chars().all(|c| plain.starts_with(c));
    if is_one_letter || MOST_COMMON.contains(&plain.as_str()) {
        return wrong("is one of the first that anybody would try", "choose another");
    }
    if !id.is_empty() && (plain == id || plain.replace(id, "").chars().count() < 4) {
        return wrong("is the login name", "choose another");
    }
    Ok(())
}

/// Refuses a change after which nobody could administer. `after` is `None` where the account is deleted.
pub fn keeps_an_admin(accounts: &Accounts, id: &str, after: Option<&Account>) -> Result<(), Refusal> {
    let was_admin = accounts.get(id).is_some_and(|account| account.is_admin());
    let is_admin = after.is_some_and(Account::is_admin);
    let others = accounts.values().any(|account| account.id != id && account.is_admin());
    if was_admin && !is_admin && !others {
        let detail = format!("{id} is the last admin who can sign in; make somebody else an admin first");
        return Err(Refusal::Conflict(detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn account(id: &str, role: Role) -> Account {
        Account::new(id, "", role, String::new(), at(0))
    }

    #[test]
    fn a_password_opens_with_itself_alone() {
        let hash = hash_password("sail past the reef", &[7; SALT_BYTES]);
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(password_matches(&hash, "sail past the reef"));
        assert!(!password_matches(&hash, "sail past the reeF"));
        assert!(!password_matches("", "sail past the reef"));
    }

    #[test]
    fn passwords_are_judged_by_length_and_by_what_is_guessed_first() {
        for (password, problem) in [
            ("elevenchars", "short"),
            ("", "short"),
            ("PasswordPassword", "first"),
            ("zzzzzzzzzzzzzz", "first"),
            ("alice.example", "login name"),
            ("alice.example1", "login name"),
            (&*"ab".repeat(129), "long"),
        ] {
            let error = check_password("alice.example", password).unwrap_err();
            assert!(error.problem.contains(problem), "{password}: {error}");
        }
        for password in ["sail past the reef", "        a        b", "twelve chars"] {
            check_password("alice", password).unwrap();
        }
    }

    #[test]
    fn login_names_are_plain() {
        for id in ["a", "first.last@example.com", "x_1-2"] {
            check_id(id).unwrap();
        }
        // A browser takes the last two out of the address of the user's page.
        for id in ["", "Alice", "a b", "a/b", &*"a".repeat(65), "ü", ".", ".."] {
            assert!(check_id(id).is_err(), "{id}");
        }
    }

    #[test]
    fn a_code_of_the_app_opens_once_and_a_little_early_or_late() {
        // RFC 6238 appendix B, with six digits.
        let secret = totp_secret(*b"12345678901234567890");
        let second = SecondFactor::new(&secret, 0, &[]);
        for (second_of_time, opens) in [(59, true), (89, true), (0, true), (29, true), (119, false)] {
            assert_eq!(second.take("287 082", at(second_of_time)).is_some(), opens, "at {second_of_time}");
        }
        let after = second.take("287082", at(59)).unwrap();
        assert_eq!(after.last_step, 1);
        assert!(after.take("287082", at(59)).is_none(), "no code opens twice");
        assert!(second.take("", at(59)).is_none());
        assert!(second.take("287083", at(59)).is_none());
    }

    #[test]
    fn a_recovery_code_opens_once() {
        let codes = [code(&[0; 16]), code(&[1; 16])];
        let second = SecondFactor::new(&totp_secret([1; 20]), 0, &codes);
        let after = second.take(&codes[1].to_lowercase().replace('-', " "), at(59)).unwrap();
        assert_eq!(after.recovery.len(), 1);
        assert!(after.take(&codes[1], at(59)).is_none());
        assert!(after.take(&codes[0], at(59)).is_some());
    }

    #[test]
    fn the_networks_of_the_latest_sign_ins_are_known() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut ann = account("ann", Role::Editor);
        ann.remember_network(at("198.51.100.7"));
        ann.remember_network(at("2001:db8:1:22ff::1"));
        for (address, known) in [
            ("198.51.100.250", Some("198.51.100.0/24")),
            ("::ffff:198.51.100.1", Some("198.51.100.0/24")),
            ("198.51.101.7", None),
            ("2001:db8:1:2200::9", Some("2001:db8:1:2200::/56")),
            ("2001:db8:1:2300::9", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(
                ann.known_network(at(address)).map(|network| network.to_string()).as_deref(),
                known,
                "{address}"
            );
        }
        ann.remember_network(at("127.0.0.1"));
        for journey in 0..7 {
            ann.remember_network(at(&format!("203.0.{journey}.1")));
            ann.remember_network(at("198.51.100.9"));
        }
        assert_eq!(ann.networks.len(), MAX_NETWORKS);
        assert!(ann.known_network(at("198.51.100.7")).is_some(), "what is used stays");
        assert!(ann.known_network(at("2001:db8:1:2200::9")).is_none(), "what is not goes");
    }

    #[test]
    fn the_app_is_told_who_and_where() {
        let url = totp_url(&totp_secret([1; 20]), "alice", "dns-1").unwrap();
        assert!(url.starts_with("otpauth://totp/Northing%20dns-1:alice?secret="), "{url}");
    }

    #[test]
    fn the_last_admin_stays_one() {
        let list = |accounts: &[Account]| -> Accounts {
            accounts.iter().map(|account| (account.id.clone(), Arc::new(account.clone()))).collect()
        };
        let (ann, bob) = (account("ann", Role::Admin), account("bob", Role::Editor));
        let off = |account: &Account| Account { disabled: true, ..account.clone() };
        let demoted = Account { role: Role::Editor, ..ann.clone() };
        let alone = list(&[ann.clone(), bob.clone(), off(&account("eve", Role::Admin))]);
        for after in [None, Some(&demoted), Some(&off(&ann))] {
            assert!(keeps_an_admin(&alone, "ann", after).is_err());
        }
        let renamed = Account { name: "Anna".into(), ..ann.clone() };
        keeps_an_admin(&alone, "ann", Some(&renamed)).unwrap();
        keeps_an_admin(&alone, "bob", None).unwrap();
        let two = list(&[ann.clone(), account("cy", Role::Admin)]);
        keeps_an_admin(&two, "ann", None).unwrap();
        keeps_an_admin(&Accounts::new(), "ann", Some(&ann)).unwrap();
    }
}
