//! Commands in, snapshots and events out. One task is the only writer of model, health and snapshot
//! (`writer`); browser, API, command line and files all come through the handle here, so that they
//! obey the same checks.
//!
//! Edits are durable before they are visible; health is visible before it is durable.

pub mod account;
pub mod accounts;
pub mod draft;
pub mod effect;
#[cfg(test)]
pub mod fixture;
pub mod geo_files;
pub mod geo_upload;
mod keeper;
pub mod lockout;
pub mod outcomes;
mod passage;
pub mod pool_shares;
pub mod preview;
pub mod recent;
pub mod rehearsal;
mod retired;
#[cfg(test)]
pub mod running;
pub mod series;
pub mod simulate;
pub mod token;
pub mod traffic;
mod writer;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::answer::Snapshot;
use crate::geo::Base;
use crate::health::{Address, CheckHealth, EndpointState, Event, Family, HealthTable, Report, Switch};
use crate::model::{AuditDraft, AuditEntry, Change, Edit, Endpoint, FieldError, Id, Kind, Model, Monitor, Revision};
use crate::store::{Aside, AuditReport, EventFilter, Fault, Secrets};

use keeper::Kept;

pub use keeper::Keeper;
pub use writer::{Inputs, Wanted, Writer, subject, system_event, unix_ms};

use traffic::Traffic;

/// Commands that may wait for the writer; past this the caller is told to try again.
const MAX_COMMANDS: usize = 1024;
/// Requests to check an endpoint now that may wait; probes take them at once.
const MAX_CHECK_REQUESTS: usize = 64;
/// How long one trial may take: somebody waits for the page.
pub const TRIAL_SECONDS: f64 = 4.0;
/// Events that a slow live reader may fall behind.
const LIVE_EVENTS: usize = 1024;

/// How long whoever did something waits for its record.
const RECORDED_WITHIN: Duration = Duration::from_secs(2);

/// How long a publication can be taken back by one button; later, somebody should look at the difference first.
pub const UNDO: SignedDuration = SignedDuration::from_secs(30);

/// Who does something, for the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct Author {
    /// A login name, a token's id, `command-line` or `start`.
    pub actor: String,
    pub address: Option<IpAddr>,
    /// What they may change.
    pub scope: token::Scope,
}

/// What a caller asks to be published.
#[derive(Debug, Clone)]
pub struct Publication {
    pub edits: Vec<Edit>,
    pub message: String,
    pub author: Author,
    /// What must still be true, else it is a conflict.
    pub expect: Vec<Expect>,
    pub tests: Tests,
}

/// Whether kept tests that fail stop a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tests {
    #[default]
    MustPass,
    /// Somebody saw them fail and wants it anyway; the history says so.
    MayFail,
}

impl Tests {
    /// As a request says it, `despite_tests`.
    pub fn despite(wanted: bool) -> Tests {
        if wanted { Tests::MayFail } else { Tests::MustPass }
    }
}

/// A precondition: an edit of something that somebody else changed meanwhile is refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Expect {
    /// The newest revision has this number.
    Revision(u64),
    /// The entity exists and was last changed by this revision.
    Unchanged(Kind, String, u64),
    Absent(Kind, String),
    Exists(Kind, String),
}

/// What was published.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Published {
    /// The newest revision; unchanged when the edits changed nothing.
    pub revision: u64,
    pub sentences: Vec<String>,
    pub warnings: Vec<FieldError>,
}

/// Why control did not do it, named by who has to act.
#[derive(Debug)]
pub enum Refusal {
    /// The caller: these fields.
    Invalid(Vec<FieldError>),
    /// The caller: somebody was faster, or the thing exists already.
    Conflict(String),
    NotFound(String),
    /// The operator: disk or store.
    Fault(String),
    /// The operator: the disk has no room left.
    Full(String),
    /// Too much waits.
    Busy,
    /// The server ends; another try belongs to the next start.
    Stopping,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault.is_full() {
            true => Refusal::Full(fault.to_string()),
            false => Refusal::Fault(fault.to_string()),
        }
    }
}

/// What everybody may read without asking the writer.
pub struct Shared {
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub health: ArcSwap<HealthTable>,
    pub admitted: accounts::Admitted,
    pub traffic: Mutex<Traffic>,
    /// What checks found lately.
    pub outcomes: outcomes::Outcomes,
    pub drafts: draft::Drafts,
    /// Every event as it happens, before it is stored.
    pub live: broadcast::Sender<Arc<Event>>,
    /// The newest of those that are stored.
    pub recent: recent::Recent,
    /// The newest publication, without its changes; none once it was undone.
    pub newest: Mutex<Option<Revision>>,
    /// When the last backup was finished and by whom, once that was looked up.
    pub last_backup: Mutex<Option<Option<(Timestamp, String)>>>,
    pub pool_shares: pool_shares::KeptShares,
    /// Events that could not be handed to the store.
    pub events_lost: AtomicU64,
    pub started: Timestamp,
}

/// What somebody wants to be checked at once.
#[derive(Debug)]
pub enum CheckRequest {
    /// Everything that watches an endpoint.
    Now(Id<Endpoint>),
    /// An address that may not be configured yet; tells nobody but who asked.
    Trial { address: Address, monitor: Arc<Monitor>, found: oneshot::Sender<Report> },
}

/// The handle; cheap to clone.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    check_requests: mpsc::Sender<CheckRequest>,
    keeper: Keeper,
}

/// What only the writer may do.
enum Command {
    Publish(Publication, Reply<Published>),
    Act(Act, Reply<Vec<Event>>),
    Geo { base: Arc<Base>, note: String, reply: Reply<()> },
    Note(Event),
    Checks(Id<Endpoint>, Reply<Vec<CheckHealth>>),
    Unheld(Id<Endpoint>, Reply<BTreeMap<Family, EndpointState>>),
}

type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// An operational switch with its author; acts at once and is an event, not a revision.
struct Act {
    switch: Switch,
    author: Author,
    reason: String,
}

impl Control {
    /// The world as it answers now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    pub fn model(&self) -> Arc<Model> {
        self.shared.snapshot.load().model().clone()
    }

    pub fn health(&self) -> Arc<HealthTable> {
        self.shared.health.load_full()
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Checks and publishes together, or changes nothing.
    pub async fn publish(&self, publication: Publication) -> Result<Published, Refusal> {
        let outside = publication.author.outside(&publication.edits);
        if !outside.is_empty() {
            return Err(Refusal::Invalid(outside));
        }
        let published = self.ask(|reply| Command::Publish(publication, reply)).await?;
        self.recorded().await;
        Ok(published)
    }

    /// What publishing would do. Reads only.
    pub async fn preview(&self, edits: Vec<Edit>) -> Result<preview::Preview, Refusal> {
        let snapshot = self.snapshot();
        let health = self.health();
        let work = move || preview::preview(&snapshot, &health, &edits);
        let result = tokio::task::spawn_blocking(work).await;
        result
            .map_err(|_| Refusal::Fault("the preview could not be made; see the log".into()))?
            .map_err(Refusal::Invalid)
    }

    /// As `preview`, thing by thing.
    pub async fn review(&self, edits: Vec<Edit>) -> Result<preview::Reviewed, Refusal> {
        let (snapshot, health) = (self.snapshot(), self.health());
        let result = tokio::task::spawn_blocking(move || preview::review(&snapshot, &health, &edits)).await;
        result
            .map_err(|_| Refusal::Fault("the preview could not be made; see the log".into()))?
            .map_err(Refusal::Invalid)
    }

    /// Drain, on, off, approve, force, load. In force before its record is stored, and returns with the record: the next
    /// page of whoever did it tells of it.
    pub async fn act(&self, switch: Switch, author: Author, reason: String) -> Result<Vec<Event>, Refusal> {
        // Nobody reads of a measurement.
        let is_told = !matches!(switch, Switch::Load { .. });
        let events = self.ask(|reply| Command::Act(Act { switch, author, reason }, reply)).await?;
        if is_told {
            self.recorded().await;
        }
        Ok(events)
    }

    /// Waits for what the disk was given before, but not for a disk that hangs: what was done is in force.
    async fn recorded(&self) {
        let _ = tokio::time::timeout(RECORDED_WITHIN, self.keeper.run(|_| Ok(()))).await;
    }

    /// What every check of an endpoint found last, and why some cannot run here.
    pub async fn checks(&self, endpoint: Id<Endpoint>) -> Result<Vec<CheckHealth>, Refusal> {
        self.ask(|reply| Command::Checks(endpoint, reply)).await
    }

    /// What each address of an endpoint would be if nobody held it.
    pub async fn unheld(&self, endpoint: Id<Endpoint>) -> Result<BTreeMap<Family, EndpointState>, Refusal> {
        self.ask(|reply| Command::Unheld(endpoint, reply)).await
    }

    /// Makes every check of an endpoint due now; what they find comes the way of every outcome.
    pub fn check_now(&self, endpoint: Id<Endpoint>) -> Result<(), Refusal> {
        self.request_check(CheckRequest::Now(endpoint))
    }

    /// Asks an address once, whether or not it is configured, within `TRIAL_SECONDS`. Counts for nothing.
    pub async fn try_check(&self, address: Address, monitor: &Monitor) -> Result<Report, Refusal> {
        let monitor = Arc::new(Monitor { timeout: monitor.timeout.min(TRIAL_SECONDS), ..monitor.clone() });
        let (found, report) = oneshot::channel();
        self.request_check(CheckRequest::Trial { address, monitor, found })?;
        // A look-up of a name can take longer than the check.
        let waited = tokio::time::timeout(Duration::from_secs_f64(TRIAL_SECONDS + 1.0), report).await;
        waited.map_err(|_| Refusal::Busy)?.map_err(|_| Refusal::Busy)
    }

    fn request_check(&self, request: CheckRequest) -> Result<(), Refusal> {
        self.check_requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::Busy,
            TrySendError::Closed(_) => {
                Refusal::Conflict("nothing is probed here; start the server with northing serve".into())
            }
        })
    }

    /// Publishes the model as it was after revision `number`.
    pub async fn restore(
        &self,
        number: u64,
        message: String,
        author: Author,
        tests: Tests,
    ) -> Result<Published, Refusal> {
        let head = self.model().revision;
        let edits = self.edits_back_to(number, head).await?;
        self.publish(Publication { edits, message, author, expect: vec![Expect::Revision(head)], tests }).await
    }

    /// Takes the newest revision back, for a short while after it was published. Kept tests do not stop it: what
    /// it leads to was live a moment ago.
    pub async fn undo(&self, number: u64, author: Author) -> Result<Published, Refusal> {
        let head = self.model().revision;
        if number != head || number == 0 {
            let why = format!("version {head} was published after it, so version {number} is not undone");
            return Err(Refusal::Conflict(why));
        }
        match self.revision(number).await?.map(|revision| revision.at) {
            Some(at) if now().duration_since(at) <= UNDO => {
                // From what was looked at: a publication since then is a conflict, and stays.
                let edits = self.edits_back_to(number - 1, number).await?;
                let (message, expect) = (format!("Undo version {number}"), vec![Expect::Revision(number)]);
                let tests = Tests::MayFail;
                let published = self.publish(Publication { edits, message, author, expect, tests }).await?;
                // What took something back offers itself to nobody.
                self.shared.newest.lock().take_if(|newest| newest.number == published.revision);
                Ok(published)
            }
            _ => Err(Refusal::Conflict(format!("version {number} is older than {} seconds", UNDO.as_secs()))),
        }
    }

    /// The revision that `author` may still take back, and for how long: theirs, the newest, and young.
    pub fn undoable(&self, author: &str, at: Timestamp) -> Option<(u64, SignedDuration)> {
        let newest = self.shared.newest.lock();
        let mine =
            newest.as_ref().filter(|newest| newest.author == author && newest.number == self.model().revision)?;
        let left = UNDO - at.duration_since(mine.at);
        (left > SignedDuration::ZERO).then_some((mine.number, left.min(UNDO)))
    }

    /// The model as it was after revision `number`.
    pub async fn model_at(&self, number: u64) -> Result<Arc<Model>, Refusal> {
        let model = self.model();
        if number == model.revision {
            return Ok(model);
        }
        let edits = self.edits_back_to(number, model.revision).await?;
        let checked = tokio::task::block_in_place(|| model.check(&edits)).map_err(Refusal::Invalid)?;
        Ok(Arc::new(Model { revision: number, ..checked.model }))
    }

    /// What leads from revision `head` back to `number`.
    pub async fn edits_back_to(&self, number: u64, head: u64) -> Result<Vec<Edit>, Refusal> {
        if number > head {
            return Err(Refusal::NotFound(format!("there is no version {number}; the newest is {head}")));
        }
        let mut edits: Vec<Edit> = Vec::new();
        let mut seen = BTreeSet::new();
        for later in number + 1..=head {
            let Some(revision) = self.revision(later).await? else {
                let oldest =
                    format!("revision {later} is no longer kept, so {number} cannot be restored; use a backup");
                return Err(Refusal::NotFound(oldest));
            };
            // The first later change of a thing knows what it was at `number`.
            for Change { kind, id, before, .. } in revision.changes {
                if seen.insert((kind, id.clone())) {
                    edits.push(Edit { kind, id, value: before });
                }
            }
        }
        Ok(edits)
    }

    /// Swaps in another geo database; `note` says which and why. Clients are placed by it on return.
    pub async fn set_geo(&self, base: Arc<Base>, note: String) -> Result<(), Refusal> {
        let (reply, done) = oneshot::channel();
        self.commands.send(Command::Geo { base, note, reply }).await.map_err(|_| Refusal::Stopping)?;
        done.await.map_err(|_| Refusal::Stopping)??;
        self.recorded().await;
        Ok(())
    }

    /// Records something that happened outside of health, e.g. a refused geo file.
    pub async fn note(&self, event: Event) {
        let _ = self.commands.send(Command::Note(event)).await;
    }

    pub async fn revision(&self, number: u64) -> Result<Option<Revision>, Refusal> {
        Ok(self.keeper.run(move |kept| kept.store.revision(number)).await?)
    }

    /// Revisions without their changes, the newest first.
    pub async fn revision_heads(&self, before: Option<u64>, limit: usize) -> Result<Vec<Revision>, Refusal> {
        Ok(self.keeper.run(move |kept| kept.store.revision_heads(before, limit)).await?)
    }

    /// Those of these revisions that changed a thing, which is written `pools/eu-west`.
    pub async fn that_changed(&self, thing: String, numbers: Vec<u64>) -> Result<BTreeSet<u64>, Refusal> {
        Ok(self.keeper.run(move |kept| kept.store.that_changed(&thing, &numbers)).await?)
    }

    pub async fn events(&self, filter: EventFilter, before: Option<u64>, limit: usize) -> Result<Vec<Event>, Refusal> {
        Ok(self.keeper.run(move |kept| kept.store.events(&filter, before, limit)).await?)
    }

    pub async fn audit(&self, before: Option<u64>, limit: usize) -> Result<Vec<AuditEntry>, Refusal> {
        Ok(self.keeper.run(move |kept| kept.store.audit(before, limit)).await?)
    }

    pub async fn verify_audit(&self) -> Result<AuditReport, Refusal> {
        Ok(self.keeper.run(|kept| kept.store.verify_audit(&mut |_| {})).await?)
    }

    /// Writes one file that `northing restore` takes on an empty machine.
    pub async fn backup(&self, file: std::path::PathBuf, secrets: Secrets, author: Author) -> Result<(), Refusal> {
        let held = match secrets {
            Secrets::Include => "included",
            Secrets::LeaveOut => "left out",
        };
        let draft = AuditDraft { after: Some(json!({ "secrets": held })), ..author.act("backup", "server") };
        // Somebody took everything along: that is written down before, whatever becomes of it.
        let begin = move |kept: &mut Kept| kept.audit(draft).and_then(|()| kept.store.begin_backup(&file, secrets));
        let begun = self.keeper.run(begin).await?;
        // The geo databases are large, and publications would wait for them.
        let finished = tokio::task::spawn_blocking(move || begun.finish()).await;
        finished.map_err(|_| Refusal::Fault("the backup could not be made; see the log".into()))??;
        let made = (now(), author.actor);
        *self.shared.last_backup.lock() = Some(Some(made.clone()));
        self.keeper.post(move |kept| kept.store.put_aside(Aside::LastBackup, &json!(made)));
        Ok(())
    }

    /// When the last backup was finished, and by whom it was made.
    pub async fn last_backup(&self) -> Result<Option<(Timestamp, String)>, Refusal> {
        let known = self.shared.last_backup.lock().clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let kept = self.keeper.run(|kept| Ok(kept.store.aside(Aside::LastBackup))).await?;
        let found = serde_json::from_value(kept).ok();
        // One that was made meanwhile is newer.
        Ok(self.shared.last_backup.lock().get_or_insert(found).clone())
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Refusal> {
        let (reply, result) = oneshot::channel();
        self.commands.try_send(command(reply)).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::Busy,
            TrySendError::Closed(_) => Refusal::Stopping,
        })?;
        result.await.map_err(|_| Refusal::Stopping)?
    }
}

/// On a task of its own: a browser that hangs up must not leave on the disk what is not in use, or the other way round.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    let lost = |_| Refusal::Fault("what was begun could not be finished; see the log".into());
    tokio::spawn(work).await.map_err(lost)?
}

impl Author {
    pub fn new(actor: &str) -> Self {
        Author { actor: actor.into(), address: None, scope: token::Scope::default() }
    }

    /// What is wrong with edits of what they may not change.
    pub fn outside(&self, edits: &[Edit]) -> Vec<FieldError> {
        let outside = |Edit { kind, id, .. }: &Edit| {
            let reason = self.scope.admits(*kind, id).err()?;
            let (problem, remedy) = reason.split_once("; ").unwrap_or((&reason, ""));
            Some(FieldError::new(format!("{}/{id}", kind.as_str()), format!("the token {problem}"), remedy))
        };
        edits.iter().filter_map(outside).collect()
    }

    /// An audit entry of this author, to be completed.
    pub fn act(&self, action: &str, subject: impl Into<String>) -> AuditDraft {
        AuditDraft {
            at: now(),
            actor: self.actor.clone(),
            address: self.address.map(|address| address.to_string()),
            action: action.into(),
            subject: subject.into(),
            before: None,
            after: None,
            reason: String::new(),
            revision: None,
        }
    }
}

/// The one place where control reads the clock.
pub fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn publish(control: &Control, author: &str, address: &str) -> u64 {
        let value = Some(json!({ "ipv4": address }));
        let edits = vec![Edit { kind: Kind::Endpoints, id: "one".into(), value }];
        let (author, expect) = (Author::new(author), Vec::new());
        let publication = Publication { edits, message: "Why".into(), author, expect, tests: Tests::MustPass };
        control.publish(publication).await.unwrap().revision
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_publication_is_undone_by_its_author_while_it_is_the_newest_and_young() {
        let dir = tempfile::TempDir::new().unwrap();
        let control = running::start(dir.path());
        let undoable = |author: &str| control.undoable(author, now()).map(|(number, _)| number);
        assert_eq!(publish(&control, "ann", "192.0.2.1").await, 1);
        assert_eq!((undoable("ann"), undoable("ben")), (Some(1), None), "it is its author's");
        let later = now() + UNDO;
        assert_eq!(control.undoable("ann", later), None, "later, somebody looks at the difference first");
        assert_eq!(publish(&control, "ben", "192.0.2.2").await, 2);
        assert_eq!((undoable("ann"), undoable("ben")), (None, Some(2)), "somebody else published since");
        assert!(matches!(control.undo(1, Author::new("ann")).await, Err(Refusal::Conflict(_))));
        control.undo(2, Author::new("ben")).await.unwrap();
        assert_eq!(undoable("ben"), None, "what took something back is not offered to be taken back");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_somebody_did_is_in_the_history_when_they_are_told_of_it() {
        let dir = tempfile::TempDir::new().unwrap();
        let control = running::start(dir.path());
        publish(&control, "ann", "192.0.2.1").await;
        assert!(!control.newest(|_| true, 1).await.unwrap().is_empty(), "memory is filled, or it would read the store");
        let (release, held) = std::sync::mpsc::channel::<()>();
        assert!(control.keeper.post(move |_| {
            let _ = held.recv();
            Ok(())
        }));
        let switch = Switch::Force { endpoint: "one".parse().unwrap(), family: None, state: Some(EndpointState::Down) };
        let mut act = std::pin::pin!(control.act(switch, Author::new("ann"), "New kernel".into()));
        let is_told = async |act: &mut std::pin::Pin<&mut _>| {
            tokio::select! { biased; _ = act => true, () = std::future::ready(()) => false }
        };
        assert!(!is_told(&mut act).await);
        // The writer is through with it: this answer comes after that one.
        control.checks("one".parse().unwrap()).await.unwrap();
        assert_eq!(control.health().endpoints.len(), 1, "in force");
        assert!(!is_told(&mut act).await, "the disk is busy");
        release.send(()).unwrap();
        act.await.unwrap();
        let newest = control.newest(|_| true, 1).await.unwrap().remove(0);
        assert_eq!((newest.actor.as_str(), newest.cause.as_str()), ("ann", "New kernel"));
        assert_eq!(control.audit(None, 1).await.unwrap().remove(0).reason, "New kernel");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_a_finished_backup_is_the_last_one() {
        let dir = tempfile::TempDir::new().unwrap();
        let data = dir.path().join("data");
        let control = running::start(&data);
        let backup = async |file: &str, author: &str| {
            control.backup(dir.path().join(file), Secrets::LeaveOut, Author::new(author)).await
        };
        assert!(backup("no/such/directory", "ann").await.is_err());
        assert_eq!(control.last_backup().await.unwrap(), None, "though it is in the audit log");
        backup("file", "ben").await.unwrap();
        let made = control.last_backup().await.unwrap();
        assert_eq!(made.as_ref().map(|(_, by)| by.as_str()), Some("ben"));
        let entry = control.audit(None, 1).await.unwrap().remove(0);
        assert_eq!((entry.subject.as_str(), entry.after), ("server", Some(json!({ "secrets": "left out" }))));
        *control.shared().last_backup.lock() = None;
        assert_eq!(control.last_backup().await.unwrap(), made, "a restart remembers it");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_undo_takes_nothing_back_that_is_published_meanwhile() {
        let dir = tempfile::TempDir::new().unwrap();
        let control = running::start(dir.path());
        publish(&control, "ann", "192.0.2.1").await;
        let mut undo = std::pin::pin!(control.undo(1, Author::new("ann")));
        // It has seen that version 1 is the newest, and waits for the store.
        tokio::select! { biased; _ = &mut undo => unreachable!("it asks the store"), () = std::future::ready(()) => {} }
        publish(&control, "ben", "192.0.2.2").await;
        assert!(matches!(undo.await, Err(Refusal::Conflict(_))));
        assert_eq!(control.model().endpoints.values().next().unwrap().ipv4, Some("192.0.2.2".parse().unwrap()));
    }
}
