//! The thread that owns the store. Edits wait for it; traffic, probes and health never do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::model::{AuditDraft, AuditEntry, Revision, seal};
use crate::store::{Fault, Store};

/// Jobs that may wait for the disk. Past this, events are dropped and counted, and edits are refused.
const MAX_JOBS: usize = 4096;

type Job = Box<dyn FnOnce(&mut Kept) + Send>;

/// The store, and the end of the audit chain that the next entry is linked to.
pub struct Kept {
    pub store: Store,
    pub last_audit: Option<AuditEntry>,
}

impl Kept {
    /// Seals and stores an act that is no revision.
    pub fn audit(&mut self, draft: AuditDraft) -> Result<(), Fault> {
        let entry = seal(self.last_audit.as_ref(), draft);
        self.store.append_audit(&entry)?;
        self.last_audit = Some(entry);
        Ok(())
    }

    /// Stores a revision together with its audit entry.
    pub fn commit(&mut self, revision: &Revision, draft: AuditDraft) -> Result<(), Fault> {
        let entry = seal(self.last_audit.as_ref(), draft);
        self.store.commit(revision, &entry)?;
        self.last_audit = Some(entry);
        Ok(())
    }

    /// Stores or removes a secret together with its audit entry.
    pub fn set_secret(&mut self, key: &str, value: Option<Value>, draft: AuditDraft) -> Result<(), Fault> {
        let entry = seal(self.last_audit.as_ref(), draft);
        match value {
            Some(value) => self.store.put_secrets(&[(key.to_owned(), value)], &entry)?,
            None => self.store.remove_secret(key, &entry)?,
        }
        self.last_audit = Some(entry);
        Ok(())
    }
}

/// A handle to the store's thread.
#[derive(Clone)]
pub struct Keeper {
    jobs: mpsc::Sender<Job>,
}

impl Keeper {
    /// Starts the thread; it ends when the last handle is gone and every job is done.
    pub fn start(store: Store, last_audit: Option<AuditEntry>) -> std::io::Result<(Keeper, JoinHandle<()>)> {
        let (jobs, mut queue) = mpsc::channel::<Job>(MAX_JOBS);
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || {
            let mut kept = Kept { store, last_audit };
            while let Some(job) = queue.blocking_recv() {
                if catch_unwind(AssertUnwindSafe(|| job(&mut kept))).is_err() {
                    tracing::error!("a store job panicked; its change is not stored, the store goes on");
                }
            }
        })?;
        Ok((Keeper { jobs }, thread))
    }

    /// Runs `work` on the store's thread and waits for its result.
    pub async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Kept) -> Result<R, Fault> + Send + 'static,
    ) -> Result<R, Fault> {
        let (reply, result) = oneshot::channel();
        let job: Job = Box::new(move |kept| {
            let _ = reply.send(work(kept));
        });
        self.jobs.send(job).await.map_err(|_| lost("the store is closed"))?;
        result.await.map_err(|_| lost("the store could not finish this"))?
    }

    /// Hands over `work` without waiting; false when too much waits already.
    pub fn post(&self, work: impl FnOnce(&mut Kept) -> Result<(), Fault> + Send + 'static) -> bool {
        let job: Job = Box::new(move |kept| {
            if let Err(fault) = work(kept) {
                tracing::error!("{fault}");
            }
        });
        self.jobs.try_send(job).is_ok()
    }
}

/// What waits for a job that will never be answered.
pub(super) fn lost(problem: &str) -> Fault {
    Fault::new(std::path::Path::new("store"), problem, "see the log, then try again or restart northing")
}
