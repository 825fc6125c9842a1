//! What was configured and what was done, kept on disk: revisions, the audit log, events, last states and
//! secrets. Blocking, and owned by the one writer of `control`; answers never wait for it, and it decides
//! nothing about what it stores.
//!
//! A change is acknowledged when it is in the journal and in the database, both synced (`journal`,
//! `engine`). The whole model follows as a plain file (`export`). From these three a start finds its way back
//! to the last acknowledged state, or says what is lost (`start`).

mod asides;
mod backup;
mod drafts;
mod engine;
mod export;
mod fault;
mod files;
mod journal;
mod layout;
mod read;
mod start;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use asides::Aside;
pub use backup::{GEO_DIRECTORY, GeoFile, Secrets, geo_in_backup, restore};
pub use fault::Fault;
pub use files::{
    UNFINISHED, free_bytes, private_directory, private_file, remove_unfinished, sync_directory, write_private,
};
pub use read::{AuditReport, EventFilter, MAX_PAGE};

use crate::health::Event;
use crate::model::{AuditEntry, Kind, Revision};
use engine::{Engine, Trouble};
use export::{Exporter, Step};
use journal::Journal;
use layout::{Batch, Head, Tree, Write, number_key};
use start::{HEAD, Stored, put_numbered, written};

/// Events kept: months of a busy site. The oldest make room.
pub const EVENTS_KEPT: u64 = 200_000;
/// Audit entries kept: years. The chain is then checked from the oldest that is left.
pub const AUDIT_KEPT: u64 = 500_000;
/// Revisions kept that can be looked at and gone back to.
pub const REVISIONS_KEPT: u64 = 10_000;
/// The journal is begun anew beyond this, once the exports have caught up.
const JOURNAL_BYTES: u64 = 4 << 20;
/// Beyond this, a publication waits for the exports to catch up, and is refused if they do not.
const JOURNAL_LIMIT_BYTES: u64 = 256 << 20;
const EXPORT_WITHIN: Duration = Duration::from_secs(30);
/// Room left on the disk for what sled writes on its own, on top of several times the change itself.
const ROOM_BYTES: u64 = 8 << 20;
/// The journal, the database and its tidying up, and the export.
const ROOM_FACTOR: u64 = 4;

pub struct Store {
    dir: PathBuf,
    /// `None` from an error of the database until it was opened again.
    engine: Option<Engine>,
    journal: Journal,
    exporter: Exporter,
    /// As acknowledged.
    head: Head,
    secrets: export::Secrets,
    last_event: u64,
    /// How to take back a change that was refused and may still be in the database.
    refused: Batch,
    /// Held as long as the store lives.
    _lock: File,
}

pub struct Opened {
    pub store: Store,
    pub loaded: Loaded,
    /// What the start had to repair, in sentences for the operator.
    pub repairs: Vec<String>,
}

/// What the store held when it was opened.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Loaded {
    pub revision: u64,
    /// With their JSON text, shared with the exports.
    pub entities: Vec<(Kind, String, Arc<str>)>,
    pub health: Vec<(String, Value)>,
    pub secrets: Vec<(String, Value)>,
    pub last_event: u64,
    pub last_audit: Option<AuditEntry>,
    /// Of every author, as they were kept.
    pub drafts: Vec<Value>,
}

impl Store {
    /// Opens the data directory, created if need be. A damaged one is repaired from what is left of it, and
    /// `repairs` says so; a fault means that nothing was lost by the attempt.
    pub fn open(dir: &Path) -> Result<Opened, Fault> {
        let started = start::start(dir)?;
        let Stored { head, world, health, last_event } = started.state;
        let loaded = Loaded {
            revision: head.revision,
            entities: entities(&world.entities)
                .map_err(|problem| Fault::new(dir, problem, "run the version of northing that wrote this data"))?,
            health,
            secrets: world.secrets.clone().into_iter().collect(),
            last_event,
            last_audit: world.audit.clone(),
            drafts: drafts::kept(dir),
        };
        let store = Store {
            dir: dir.to_owned(),
            engine: Some(started.engine),
            journal: started.journal,
            head,
            secrets: world.secrets.clone(),
            last_event,
            refused: Batch::default(),
            exporter: Exporter::start(dir, world)?,
            _lock: started.lock,
        };
        Ok(Opened { store, loaded, repairs: started.repairs })
    }

    /// Stores a publication with its audit entry: durable when it returns, or refused and without effect.
    pub fn commit(&mut self, revision: &Revision, audit: &AuditEntry) -> Result<(), Fault> {
        if revision.number != self.head.revision + 1 {
            let problem = format!("revision {} does not follow revision {}", revision.number, self.head.revision);
            return Err(Fault::new(&self.dir, problem, "publish again"));
        }
        let mut head = self.next_head(audit)?;
        head.revision = revision.number;
        self.recover()?;
        let engine = self.engine()?;
        let mut batch = Batch::default();
        let mut entities = Vec::with_capacity(revision.changes.len());
        let mut build = || -> Result<(), Trouble> {
            for change in &revision.changes {
                let key = layout::entity_key(change.kind, &change.id);
                let old = engine.get(Tree::Model, key.as_bytes())?;
                if let Some(old) = &old {
                    head.model.remove(key.as_bytes(), old);
                }
                match &change.after {
                    Some(entity) => {
                        let text = entity.to_string();
                        head.model.add(key.as_bytes(), text.as_bytes());
                        batch.put(Tree::Model, key.as_bytes(), text.as_bytes(), old.as_deref());
                        entities.push((key, Some(Arc::from(text))));
                    }
                    None => {
                        batch.remove(Tree::Model, key.as_bytes(), old.as_deref());
                        entities.push((key, None));
                    }
                }
            }
            for tree in [Tree::Revisions, Tree::Changes] {
                forget(engine, &mut batch, tree, revision.number, REVISIONS_KEPT)?;
            }
            forget(engine, &mut batch, Tree::Audit, audit.sequence, AUDIT_KEPT)
        };
        if let Err(trouble) = build() {
            return Err(self.close("read the database", &trouble));
        }
        let without_changes = Revision { changes: Vec::new(), ..revision.clone() };
        put_numbered(&mut batch, Tree::Revisions, revision.number, &without_changes);
        put_numbered(&mut batch, Tree::Changes, revision.number, &revision.changes);
        put_numbered(&mut batch, Tree::Audit, audit.sequence, audit);
        let step = Step { entities, revision: Some(without_changes), ..self.step(audit) };
        self.transact(batch, head, step)
    }

    /// Stores an act that is no revision: durable when it returns.
    pub fn append_audit(&mut self, audit: &AuditEntry) -> Result<(), Fault> {
        self.change_secrets(&[], audit)
    }

    /// Stores secrets with the audit entry of the act: durable when it returns.
    pub fn put_secrets(&mut self, secrets: &[(String, Value)], audit: &AuditEntry) -> Result<(), Fault> {
        let changes: Vec<_> = secrets.iter().map(|(key, secret)| (key.as_str(), Some(secret))).collect();
        self.change_secrets(&changes, audit)
    }

    /// Removes a secret with the audit entry of the act: durable when it returns.
    pub fn remove_secret(&mut self, key: &str, audit: &AuditEntry) -> Result<(), Fault> {
        self.change_secrets(&[(key, None)], audit)
    }

    /// Stores events and gives them their sequences. They are on the disk within a second.
    pub fn append_events(&mut self, events: &mut [Event]) -> Result<(), Fault> {
        self.recover()?;
        let engine = self.engine()?;
        let mut batch = Batch::default();
        let mut last = self.last_event;
        for event in events.iter_mut() {
            last += 1;
            event.sequence = last;
            put_numbered(&mut batch, Tree::Events, last, event);
            if let Err(trouble) = forget(engine, &mut batch, Tree::Events, last, EVENTS_KEPT) {
                return Err(self.close("read the database", &trouble));
            }
        }
        self.apply(&batch)?;
        self.last_event = last;
        Ok(())
    }

    /// Stores last states, only those that changed; `None` removes one. They are on the disk within a second.
    pub fn save_health(&mut self, states: &[(String, Option<Value>)]) -> Result<(), Fault> {
        self.recover()?;
        let engine = self.engine()?;
        let mut batch = Batch::default();
        for (key, state) in states {
            let old = match engine.get(Tree::Health, key.as_bytes()) {
                Ok(old) => old,
                Err(trouble) => return Err(self.close("read the database", &trouble)),
            };
            match state {
                Some(state) => batch.put(Tree::Health, key.as_bytes(), &written(state), old.as_deref()),
                None => batch.remove(Tree::Health, key.as_bytes(), old.as_deref()),
            }
        }
        self.apply(&batch)
    }

    fn change_secrets(&mut self, changes: &[(&str, Option<&Value>)], audit: &AuditEntry) -> Result<(), Fault> {
        let head = self.next_head(audit)?;
        self.recover()?;
        let engine = self.engine()?;
        let mut batch = Batch::default();
        let mut secrets = self.secrets.clone();
        let mut build = || -> Result<(), Trouble> {
            for &(key, secret) in changes {
                let old = engine.get(Tree::Secrets, key.as_bytes())?;
                match secret {
                    Some(secret) => {
                        batch.put(Tree::Secrets, key.as_bytes(), &written(secret), old.as_deref());
                        secrets.insert(key.to_owned(), secret.clone());
                    }
                    None => {
                        batch.remove(Tree::Secrets, key.as_bytes(), old.as_deref());
                        secrets.remove(key);
                    }
                }
            }
            forget(engine, &mut batch, Tree::Audit, audit.sequence, AUDIT_KEPT)
        };
        if let Err(trouble) = build() {
            return Err(self.close("read the database", &trouble));
        }
        put_numbered(&mut batch, Tree::Audit, audit.sequence, audit);
        let changed = (!changes.is_empty()).then(|| secrets.clone());
        let step = Step { secrets: changed, ..self.step(audit) };
        self.transact(batch, head, step)?;
        self.secrets = secrets;
        Ok(())
    }

    /// The head after an act with this entry, which has to continue the chain.
    fn next_head(&self, audit: &AuditEntry) -> Result<Head, Fault> {
        if audit.sequence != self.head.audit + 1 {
            let problem = format!("audit entry {} does not follow entry {}", audit.sequence, self.head.audit);
            return Err(Fault::new(&self.dir, problem, "seal it with the last entry that was stored"));
        }
        Ok(Head { transaction: self.head.transaction + 1, audit: audit.sequence, ..self.head.clone() })
    }

    fn step(&self, audit: &AuditEntry) -> Step {
        let transaction = self.head.transaction + 1;
        Step { transaction, audit: Some(audit.clone()), revision: None, entities: Vec::new(), secrets: None }
    }

    /// Makes `batch` and `head` durable together, or leaves everything as it was.
    fn transact(&mut self, mut batch: Batch, head: Head, step: Step) -> Result<(), Fault> {
        batch.put(Tree::Meta, HEAD, &written(&head), None);
        self.check_room(batch.bytes())?;
        self.shorten_journal()?;
        let engine = self.engine()?;
        let before = match before(engine, &batch) {
            Ok(before) => before,
            Err(trouble) => return Err(self.close("read the database", &trouble)),
        };
        let length = self.journal.bytes();
        self.journal.append(&batch)?;
        let engine = self.engine()?;
        if let Err(trouble) = engine.apply(&batch).and_then(|()| engine.sync()) {
            // Where the journal cannot be shortened now, that is done before it is written again.
            let _ = self.journal.withdraw(length);
            self.refused = before;
            return Err(self.close("write the database", &trouble));
        }
        self.head = head;
        self.exporter.follow(step);
        Ok(())
    }

    /// Writes what need not be durable at once.
    fn apply(&mut self, batch: &Batch) -> Result<(), Fault> {
        self.check_room(batch.bytes())?;
        if let Err(trouble) = self.engine()?.apply(batch) {
            return Err(self.close("write the database", &trouble));
        }
        Ok(())
    }

    /// sled answers every call with its first error, whatever that was about: from now on the next change opens it again.
    fn close(&mut self, doing: &str, trouble: &Trouble) -> Fault {
        self.engine = None;
        self.database_fault(doing, trouble)
    }

    fn engine(&self) -> Result<&Engine, Fault> {
        let closed = || {
            let problem = "the database is closed since it could not be written";
            Fault::new(&self.dir, problem, "it is opened again with the next change; nothing acknowledged is lost")
        };
        self.engine.as_ref().ok_or_else(closed)
    }

    /// After an error sled answers every call with that error, for good: it is opened again, and what was
    /// refused is taken back where it got through all the same.
    fn recover(&mut self) -> Result<(), Fault> {
        if self.engine.is_some() {
            return Ok(());
        }
        self.journal.settle()?;
        let (engine, mut state) = start::open_checked(&start::sled_directory(&self.dir))
            .map_err(|trouble| self.database_fault("open the database again", &trouble))?;
        if state.head.transaction == self.head.transaction + 1 {
            let undo = engine.apply(&self.refused).and_then(|()| engine.sync());
            undo.map_err(|trouble| self.database_fault("take back a refused change in the database", &trouble))?;
            state.head = match engine.get(Tree::Meta, HEAD) {
                Ok(Some(head)) => start::parsed(&head).unwrap_or_default(),
                _ => Head::default(),
            };
        }
        if state.head != self.head {
            let remedy = "restart northing: the start repairs it";
            return Err(Fault::new(&self.dir, "the database is not where it was before its last error", remedy));
        }
        self.last_event = state.last_event;
        self.refused = Batch::default();
        self.engine = Some(engine);
        Ok(())
    }

    /// Refuses a change for which the disk has no room, before sled meets the end of the disk: it does not
    /// bear that well.
    fn check_room(&self, bytes: u64) -> Result<(), Fault> {
        let needed = ROOM_BYTES + bytes.saturating_mul(ROOM_FACTOR);
        match files::free_bytes(&self.dir) {
            Some(free) if free < needed => {
                let problem =
                    format!("the disk has {} MiB left and this change needs {} MiB", free >> 20, needed >> 20);
                Err(Fault::new(&self.dir, problem, "free some room and try again; nothing was changed"))
            }
            _ => Ok(()),
        }
    }

    fn shorten_journal(&mut self) -> Result<(), Fault> {
        let bytes = self.journal.bytes();
        if bytes > JOURNAL_LIMIT_BYTES {
            self.exporter.wait(self.head.transaction, EXPORT_WITHIN).map_err(|failure| {
                let slow = || Fault::new(&self.dir, "the exports do not keep up", "check the disk and try again");
                failure.unwrap_or_else(slow)
            })?;
        }
        if bytes > JOURNAL_BYTES && self.exporter.through() == self.head.transaction {
            self.journal = Journal::create(&start::journal_path(&self.dir), self.head.transaction)?;
        }
        Ok(())
    }

    fn database_fault(&self, doing: &str, trouble: &Trouble) -> Fault {
        let place = start::sled_directory(&self.dir);
        match trouble {
            Trouble::Disk(text) => Fault::disk(&place, doing, text),
            Trouble::Damage(text) => Fault::new(
                &place,
                format!("cannot {doing}: {text}"),
                "restart northing: the start repairs the database",
            ),
        }
    }
}

/// Removes from a bounded tree what `newest` pushes out.
fn forget(engine: &Engine, batch: &mut Batch, tree: Tree, newest: u64, kept: u64) -> Result<(), Trouble> {
    if let Some(oldest) = newest.checked_sub(kept) {
        let key = number_key(oldest);
        let old = engine.get(tree, &key)?;
        batch.remove(tree, &key, old.as_deref());
    }
    Ok(())
}

/// What `batch` is going to replace.
fn before(engine: &Engine, batch: &Batch) -> Result<Batch, Trouble> {
    let old = |write: &Write| {
        let value = engine.stored(write.tree, &write.key)?;
        Ok(Write { tree: write.tree, key: write.key.clone(), value })
    };
    Ok(Batch(batch.0.iter().map(old).collect::<Result<_, Trouble>>()?))
}

fn entities(stored: &export::Entities) -> Result<Vec<(Kind, String, Arc<str>)>, String> {
    let entity = |(key, text): (&String, &Arc<str>)| {
        let (kind, id) = layout::entity_of_key(key).ok_or_else(|| format!("{key} is of a kind unknown here"))?;
        Ok((kind, id.to_owned(), text.clone()))
    };
    stored.iter().map(entity).collect()
}
