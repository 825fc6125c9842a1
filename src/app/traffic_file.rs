//! The series of queries on the disk, so that charts go on after a restart. Nothing depends on the file: one
//! that is missing, damaged or of another version only means empty charts.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::control::series::Series;
use crate::store;

/// In the data directory.
const FILE: &str = "traffic";
/// How often it is written, and so how much a crash loses.
pub const WRITE_EVERY: Duration = Duration::from_secs(5 * 60);
/// The largest that is read; a full series of a large configuration is 40 MB.
const MAX_BYTES: u64 = 64 << 20;

/// Takes over what an earlier run counted, and tells when that was written last.
pub async fn load(data_dir: PathBuf, control: &Control) -> Option<Timestamp> {
    let read = tokio::task::spawn_blocking(move || {
        let path = data_dir.join(FILE);
        let metadata = std::fs::metadata(&path).ok()?;
        let written = metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
        let series = (metadata.len() <= MAX_BYTES).then(|| std::fs::read(&path).ok()).flatten();
        Some((series.and_then(|bytes| Series::from_bytes(&bytes)), written))
    });
    let (series, written) = read.await.ok()??;
    if let Some(series) = series {
        control.shared().traffic.lock().series = series;
    }
    written
}

/// Writes until `stop`, and once more then.
pub async fn keep(data_dir: PathBuf, control: Control, stop: CancellationToken) {
    let mut failing = false;
    loop {
        let stopped = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(WRITE_EVERY) => false,
        };
        let bytes = control.shared().traffic.lock().series.to_bytes();
        let path = data_dir.join(FILE);
        let written = tokio::task::spawn_blocking(move || store::write_private(&path, &bytes)).await;
        match written {
            Ok(Err(fault)) if !failing => {
                tracing::warn!("{fault}; charts will have a gap after the next restart");
                failing = true;
            }
            Ok(Ok(())) => failing = false,
            _ => {}
        }
        if stopped {
            return;
        }
    }
}
