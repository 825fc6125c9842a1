//! Old snapshots are freed here. To free one of 100,000 names takes tens of milliseconds, which the thread
//! that lets go of it last would otherwise lose: most often one that answers queries.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::answer::Snapshot;

/// Snapshots on their way here; past this the writer frees what it replaces itself.
const MAX_RETIRED: usize = 64;
/// How soon to look again whether a snapshot is still in use.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Starts the task; it ends with the sender.
pub(super) fn start() -> mpsc::Sender<Arc<Snapshot>> {
    let (sender, retired) = mpsc::channel(MAX_RETIRED);
    tokio::spawn(free(retired));
    sender
}

async fn free(mut retired: mpsc::Receiver<Arc<Snapshot>>) {
    let mut in_use: Vec<Arc<Snapshot>> = Vec::new();
    loop {
        tokio::select! {
            old = retired.recv() => match old {
                Some(old) => in_use.push(old),
                None => return,
            },
            () = tokio::time::sleep(LOOK_AGAIN), if !in_use.is_empty() => {}
        }
        // Nobody can take up what nobody but this list holds.
        let (unused, used): (Vec<_>, Vec<_>) = in_use.into_iter().partition(|old| Arc::strong_count(old) == 1);
        in_use = used;
        if !unused.is_empty() {
            let _ = tokio::task::spawn_blocking(move || drop(unused)).await;
        }
    }
}
