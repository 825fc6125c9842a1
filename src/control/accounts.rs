//! Accounts and tokens as they are kept: each change is durable, with its audit entry, before anybody sees it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore};

use super::account::{self, Account, Accounts, MAX_ACCOUNTS, SALT_BYTES};
use super::token::{Role, Token, Use};
use super::{Author, Control, Refusal, now, to_its_end};
use crate::model::{AuditDraft, FieldError};
use crate::store::Aside;

/// Keys among the store's secrets.
const TOKEN_KEY: &str = "token/";
const ACCOUNT_KEY: &str = "account/";
/// How often the last uses of tokens are written.
const WRITE_USES: SignedDuration = SignedDuration::from_mins(1);
/// Passwords hashed at once: each takes 19 MiB and a core for some 20 ms.
const MAX_HASHING: usize = 2;

/// Who may come in.
pub struct Admitted {
    pub tokens: ArcSwap<Vec<Token>>,
    pub accounts: ArcSwap<Accounts>,
    uses: parking_lot::Mutex<Uses>,
    /// Held from reading to storing, so that no change is lost to another.
    changing: Mutex<()>,
}

impl Admitted {
    /// As the store kept them.
    pub(super) fn load(secrets: &[(String, Value)]) -> Admitted {
        let of = |prefix: &'static str| secrets.iter().filter(move |(key, _)| key.starts_with(prefix));
        let tokens = of(TOKEN_KEY).filter_map(|(_, value)| serde_json::from_value(value.clone()).ok()).collect();
        let accounts = of(ACCOUNT_KEY).filter_map(|(_, value)| serde_json::from_value::<Account>(value.clone()).ok());
        let accounts = accounts.map(|account| (account.id.clone(), Arc::new(account))).collect();
        Admitted {
            tokens: ArcSwap::from_pointee(tokens),
            accounts: ArcSwap::from_pointee(accounts),
            uses: parking_lot::Mutex::default(),
            changing: Mutex::default(),
        }
    }
}

/// When each token was used last.
#[derive(Debug, Default)]
struct Uses {
    last: BTreeMap<String, Use>,
    written: Timestamp,
}

impl Admitted {
    /// As they were kept.
    pub fn remember_uses(&self, kept: Value) {
        self.uses.lock().last = serde_json::from_value(kept).unwrap_or_default();
    }
}

impl Control {
    pub fn tokens(&self) -> Arc<Vec<Token>> {
        self.shared().admitted.tokens.load_full()
    }

    pub fn accounts(&self) -> Arc<Accounts> {
        self.shared().admitted.accounts.load_full()
    }

    pub fn account(&self, id: &str) -> Option<Arc<Account>> {
        self.shared().admitted.accounts.load().get(id).cloned()
    }

    /// When tokens were used last, by id.
    pub fn token_uses(&self) -> BTreeMap<String, Use> {
        self.shared().admitted.uses.lock().last.clone()
    }

    /// Notes the use of a token.
    pub fn token_used(&self, id: &str, address: Option<IpAddr>, at: Timestamp) {
        let admitted = &self.shared().admitted;
        let tokens = admitted.tokens.load();
        if !tokens.iter().any(|token| token.id == id) {
            return;
        }
        let mut uses = admitted.uses.lock();
        uses.last.insert(id.to_owned(), Use { at, address });
        if at.duration_since(uses.written) >= WRITE_USES {
            uses.written = at;
            uses.last.retain(|id, _| tokens.iter().any(|token| token.id == *id));
            self.keep(Aside::TokenUses, serde_json::to_value(&uses.last).unwrap_or_default());
        }
    }

    /// Keeps what is no configuration over a restart. Waits for nothing.
    pub fn keep(&self, aside: Aside, value: Value) {
        self.keeper.post(move |kept| kept.store.put_aside(aside, &value));
    }

    /// Makes, replaces or deletes a token.
    pub async fn set_token(&self, id: String, token: Option<Token>, author: Author) -> Result<(), Refusal> {
        let control = self.clone();
        to_its_end(async move {
            let admitted = &control.shared().admitted;
            let _changing = admitted.changing.lock().await;
            let mut tokens: Vec<Token> =
                admitted.tokens.load().iter().filter(|known| known.id != id).cloned().collect();
            let action = if token.is_some() { "create token" } else { "delete token" };
            let mut draft = author.act(action, format!("tokens/{id}"));
            draft.after = token.as_ref().and_then(|token| serde_json::to_value(token.listed()).ok());
            let key = format!("{TOKEN_KEY}{id}");
            let value = token.as_ref().and_then(|token| serde_json::to_value(token).ok());
            tokens.extend(token);
            control.keeper.run(move |kept| kept.set_secret(&key, value, draft)).await?;
            admitted.tokens.store(Arc::new(tokens));
            Ok(())
        })
        .await
    }

    /// Makes an account; one with this login name must not be there. The password has been judged.
    pub async fn create_account(&self, account: Account, author: Author) -> Result<Arc<Account>, Refusal> {
        let id = account.id.clone();
        self.change_account(&id, "create user", author, Keeping::Durable, move |known, accounts| match known {
            Some(_) => Err(Refusal::Conflict(format!("There is a user {} already; choose another name.", account.id))),
            None if accounts.len() >= MAX_ACCOUNTS => {
                Err(Refusal::Conflict(format!("There are {MAX_ACCOUNTS} users; delete some first.")))
            }
            None => Ok(Some(account)),
        })
        .await?
        .ok_or_else(|| Refusal::Fault("the user was not made".into()))
    }

    /// The first account, made by whoever knows the setup code. Fails once there is one.
    pub async fn create_first_admin(&self, account: Account, author: Author) -> Result<Arc<Account>, Refusal> {
        let id = account.id.clone();
        self.change_account(&id, "create first admin", author, Keeping::Durable, move |_, accounts| {
            match accounts.is_empty() {
                true => Ok(Some(Account { role: Role::Admin, ..account })),
                false => Err(Refusal::Conflict("Northing has been set up already; sign in.".into())),
            }
        })
        .await?
        .ok_or_else(|| Refusal::Fault("the user was not made".into()))
    }

    /// Changes an account that is there.
    pub async fn edit_account(
        &self,
        id: &str,
        action: &'static str,
        author: Author,
        edit: impl FnOnce(&mut Account) -> Result<(), Refusal> + Send + 'static,
    ) -> Result<Arc<Account>, Refusal> {
        self.edit_kept(id, action, author, Keeping::Durable, edit).await
    }

    async fn edit_kept(
        &self,
        id: &str,
        action: &'static str,
        author: Author,
        keeping: Keeping,
        edit: impl FnOnce(&mut Account) -> Result<(), Refusal> + Send + 'static,
    ) -> Result<Arc<Account>, Refusal> {
        let missing = unknown(id);
        self.change_account(id, action, author, keeping, move |known, _| match known {
            None => Err(missing),
            Some(known) => {
                let mut account = known.clone();
                edit(&mut account)?;
                let opens_anew = account.password != known.password
                    || account.role != known.role
                    || account.disabled != known.disabled
                    || account.second.as_ref().map(|second| &second.secret)
                        != known.second.as_ref().map(|second| &second.secret);
                account.epoch += u64::from(opens_anew);
                Ok(Some(account))
            }
        })
        .await?
        .ok_or_else(|| unknown(id))
    }

    /// As `edit_account`, for whoever has just proved to be the owner of `proved`. Refused where something has
    /// ended the account's sessions since: what was proved then may not be true any more.
    pub async fn edit_proved(
        &self,
        proved: &Account,
        action: &'static str,
        author: Author,
        edit: impl FnOnce(&mut Account) -> Result<(), Refusal> + Send + 'static,
    ) -> Result<Arc<Account>, Refusal> {
        self.edit_account(&proved.id, action, author, if_still_proved(proved, edit)).await
    }

    /// Deletes an account with its draft.
    pub async fn delete_account(&self, id: &str, author: Author) -> Result<(), Refusal> {
        let missing = unknown(id);
        let delete = move |known: Option<&Account>, _: &Accounts| known.map(|_| None).ok_or(missing);
        self.change_account(id, "delete user", author, Keeping::Durable, delete).await?;
        self.discard_draft(id, None).await.map(drop)
    }

    async fn change_account(
        &self,
        id: &str,
        action: &'static str,
        author: Author,
        keeping: Keeping,
        change: impl FnOnce(Option<&Account>, &Accounts) -> Result<Option<Account>, Refusal> + Send + 'static,
    ) -> Result<Option<Arc<Account>>, Refusal> {
        let (control, id) = (self.clone(), id.to_owned());
        to_its_end(async move {
            let admitted = &control.shared().admitted;
            let _changing = admitted.changing.lock().await;
            let accounts = admitted.accounts.load_full();
            let before = accounts.get(&id);
            let after = change(before.map(|account| &**account), &accounts)?;
            account::keeps_an_admin(&accounts, &id, after.as_ref())?;
            let mut draft = author.act(action, format!("users/{id}"));
            draft.before = before.and_then(|account| serde_json::to_value(account.listed()).ok());
            draft.after = after.as_ref().and_then(|account| serde_json::to_value(account.listed()).ok());
            let key = format!("{ACCOUNT_KEY}{id}");
            let value = after.as_ref().and_then(|account| serde_json::to_value(account).ok());
            match (control.keeper.run(move |kept| kept.set_secret(&key, value, draft)).await, keeping) {
                (Ok(()), _) => {}
                (Err(fault), Keeping::IfPossible) => tracing::error!("not in the audit log: {action} of {id}: {fault}"),
                (Err(fault), Keeping::Durable) => return Err(fault.into()),
            }
            let mut accounts = Accounts::clone(&accounts);
            let after = after.map(Arc::new);
            match &after {
                Some(account) => accounts.insert(id, account.clone()),
                None => accounts.remove(&id),
            };
            admitted.accounts.store(Arc::new(accounts));
            Ok(after)
        })
        .await
    }
}

/// Whether a change that the disk refuses is made all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    Durable,
    /// In memory, with a line in the log: a full disk is when somebody has to come in.
    IfPossible,
}

/// `edit`, or a refusal where the account is not as it was when `proved` was.
fn if_still_proved<E>(proved: &Account, edit: E) -> impl FnOnce(&mut Account) -> Result<(), Refusal> + use<E>
where
    E: FnOnce(&mut Account) -> Result<(), Refusal>,
{
    let epoch = proved.epoch;
    move |account| match account.epoch == epoch && !account.disabled {
        true => edit(account),
        false => Err(Refusal::Conflict(format!(
            "The account {} was changed meanwhile, so nothing was done; sign in again and look.",
            account.id
        ))),
    }
}

fn unknown(id: &str) -> Refusal {
    Refusal::NotFound(format!("There is no user {id}; the list of users has all."))
}

/// A new account whose password has been judged and hashed; every fault at once.
pub async fn new_account(
    id: &str,
    name: &str,
    role: Role,
    password: &str,
    created: Timestamp,
) -> Result<Account, Vec<FieldError>> {
    let checks = [account::check_id(id), account::check_name(name), account::check_password(id, password)];
    let errors: Vec<FieldError> = checks.into_iter().filter_map(Result::err).collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Account::new(id, name, role, hash_password(password).await, created))
}

/// As `account::hash_password`, with a salt of its own, a few at a time.
pub async fn hash_password(password: &str) -> String {
    let password = password.to_owned();
    hashing(move || account::hash_password(&password, &rand::random::<[u8; SALT_BYTES]>())).await.unwrap_or_default()
}

/// True when the password is the account's. Takes as long where there is no such account.
pub async fn password_matches(known: Option<&Account>, password: &str) -> bool {
    /// Of no password that anybody could send.
    static NOBODY: LazyLock<String> = LazyLock::new(|| account::hash_password("", &[0; SALT_BYTES]));
    let (hash, password) = (known.map(|account| account.password.clone()), password.to_owned());
    let is_known = hash.is_some();
    let work = move || account::password_matches(hash.as_ref().unwrap_or(&NOBODY), &password);
    hashing(work).await.unwrap_or(false) && is_known
}

/// A password that nobody has chosen, of 69 random bits, to be read out and typed.
pub fn make_password() -> String {
    account::code(&rand::random()).to_lowercase()
}

async fn hashing<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    static TURNS: Semaphore = Semaphore::const_new(MAX_HASHING);
    let _turn = TURNS.acquire().await.ok()?;
    tokio::task::spawn_blocking(work).await.ok()
}

/// How a sign-in ended.
pub enum Entry {
    In(Arc<Account>),
    WrongCode,
    /// The account was changed, or is gone, since the password was proved.
    Changed,
}

/// A sign-in, kept with the account. The password of `proved` was right; `code` is of the second factor where
/// there is one.
pub async fn signed_in(control: &Control, proved: &Account, author: Author, code: String) -> Result<Entry, Refusal> {
    let address = author.address;
    // Judged where the account is changed, so that no code opens twice.
    let enter = if_still_proved(proved, move |account| {
        account.take_code(&code, now())?;
        if let Some(address) = address {
            account.remember_network(address);
        }
        account.last_sign_in = Some(now());
        Ok(())
    });
    let entered = control.edit_kept(&proved.id, "sign in", author, Keeping::IfPossible, enter);
    match entered.await {
        Ok(account) => Ok(Entry::In(account)),
        Err(Refusal::Invalid(_)) => Ok(Entry::WrongCode),
        Err(Refusal::Conflict(_) | Refusal::NotFound(_)) => Ok(Entry::Changed),
        Err(refusal) => Err(refusal),
    }
}

impl Control {
    /// Says in the audit log what nobody asked for, such as that an account was locked.
    pub async fn record(&self, draft: AuditDraft) -> Result<(), Refusal> {
        Ok(self.keeper.run(move |kept| kept.audit(draft)).await?)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::control::running;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_sign_in_that_was_proved_before_a_change_of_the_account_opens_nothing() {
        let dir = TempDir::new().unwrap();
        let control = running::start(&dir.path().join("store"));
        let author = || Author { address: Some([198, 51, 100, 7].into()), ..Author::new("ann") };
        let ann = Account::new("ann", "", Role::Editor, "the first".into(), now());
        control.create_account(Account { id: "eve".into(), role: Role::Admin, ..ann.clone() }, author()).await.unwrap();
        control.create_account(ann, author()).await.unwrap();
        let second = || account::SecondFactor::new(&account::totp_secret([1; 20]), 0, &[]);
        type Step = Box<dyn FnOnce(&mut Account) + Send>;
        let steps: [Step; 6] = [
            Box::new(|account| account.password = "the second".into()),
            Box::new(|account| account.role = Role::Viewer),
            Box::new(move |account| account.second = Some(second())),
            Box::new(|account| account.second = None),
            Box::new(|account| account.disabled = true),
            Box::new(|account| account.disabled = false),
        ];
        for step in steps {
            let proved = control.account("ann").unwrap();
            let edit = move |account: &mut Account| {
                step(account);
                Ok(())
            };
            control.edit_account("ann", "change user", author(), edit).await.unwrap();
            let entry = signed_in(&control, &proved, author(), String::new()).await.unwrap();
            assert!(matches!(entry, Entry::Changed));
            let late = |account: &mut Account| {
                account.password = "a late one".into();
                Ok(())
            };
            let refused = control.edit_proved(&proved, "change password", author(), late).await;
            assert!(matches!(refused, Err(Refusal::Conflict(_))));
        }
        let proved = control.account("ann").unwrap();
        assert_eq!((&*proved.password, proved.last_sign_in), ("the second", None));
        let entry = signed_in(&control, &proved, author(), String::new()).await.unwrap();
        assert!(matches!(entry, Entry::In(account) if account.networks == ["198.51.100.0/24".parse().unwrap()]));
        control.delete_account("ann", author()).await.unwrap();
        let entry = signed_in(&control, &proved, author(), String::new()).await.unwrap();
        assert!(matches!(entry, Entry::Changed), "gone");
    }
}
