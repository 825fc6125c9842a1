//! The core of every start: a store, the writer on it, and the handle to both. A server adds sockets
//! and probes; the command line on an idle data directory adds nothing.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cli::Failure;
use crate::control::{Control, Inputs, Keeper, Wanted, Writer};
use crate::geo::Base;
use crate::health::{Report, Target};
use crate::model::{FieldError, Id, Pool};
use crate::store::{Aside, Opened, Store};

/// Reports of probes that may wait for control.
const MAX_REPORTS: usize = 65_536;
/// Held pools that DNS threads may report at once; the same pool is reported with every query.
const MAX_USED_HELD: usize = 64;

pub struct Core {
    pub control: Control,
    /// What the start had to repair, in sentences.
    pub repairs: Vec<String>,
    /// Who had signed in, as it was kept.
    pub sessions: serde_json::Value,
    /// Nothing was ever configured here.
    pub is_new: bool,
    pub reports: mpsc::Sender<(Target, Report)>,
    pub used_held: mpsc::Sender<Id<Pool>>,
    writer: tokio::task::JoinHandle<()>,
    store_thread: JoinHandle<()>,
}

impl Core {
    /// Goes on with a data directory; the writer runs until `stop`. Also returns what is to be probed.
    pub fn start(opened: Opened, geo: Base, stop: CancellationToken) -> Result<(Core, Wanted), Failure> {
        let Opened { store, loaded, repairs } = opened;
        let is_new = loaded.revision == 0 && loaded.secrets.is_empty();
        let (sessions, uses) = (store.aside(Aside::Sessions), store.aside(Aside::TokenUses));
        let newest = store.revision_heads(None, 1).map_err(failure)?.pop();
        let (keeper, store_thread) = Keeper::start(store, loaded.last_audit.clone()).map_err(thread_failure)?;
        let (reports, reports_in) = mpsc::channel(MAX_REPORTS);
        let (used_held, used_held_in) = mpsc::channel(MAX_USED_HELD);
        let inputs = Inputs { reports: reports_in, used_held: used_held_in };
        let (writer, control, wanted) =
            Writer::new(loaded, newest, keeper, Arc::new(geo), inputs).map_err(unreadable)?;
        control.shared().admitted.remember_uses(uses);
        let writer = tokio::spawn(writer.run(stop));
        Ok((Core { control, repairs, sessions, is_new, reports, used_held, writer, store_thread }, wanted))
    }

    /// Waits, after `stop`, until everything is stored. Every other handle on `control` must be gone.
    pub async fn close(self) {
        let Core { control, writer, store_thread, .. } = self;
        let _ = writer.await;
        drop(control);
        let _ = tokio::task::spawn_blocking(move || store_thread.join()).await;
    }
}

/// Opens a data directory. Takes seconds where there is a lot in it.
pub fn open(dir: &Path) -> Result<Opened, Failure> {
    Store::open(dir).map_err(failure)
}

fn failure(fault: crate::store::Fault) -> Failure {
    Failure::new(fault.to_string())
}

fn thread_failure(error: std::io::Error) -> Failure {
    Failure::new(format!("threads could not be started: {error}"))
}

fn unreadable(errors: Vec<FieldError>) -> Failure {
    let advice =
        "the stored configuration is not understood; run the version of northing that wrote it, or restore a backup";
    let lines = errors.iter().map(ToString::to_string).chain([advice.to_owned()]);
    Failure { lines: lines.collect(), status: 1 }
}
