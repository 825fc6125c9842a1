//! Gives memory back to the system: an import of 100,000 records takes a gigabyte for a moment, and the C
//! library keeps what was freed for a next time that may never come.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(60);

/// Until `stop`. Answers need no allocation, so that none waits for it.
pub async fn give_back(stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        let _ = tokio::task::spawn_blocking(trim).await;
    }
}

#[cfg(target_env = "gnu")]
fn trim() {
    // SAFETY: it has no conditions; see malloc_trim(3).
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn trim() {}
