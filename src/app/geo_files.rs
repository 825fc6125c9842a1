//! Geo databases on disk: read at start, and again when a file is replaced. A file that cannot be
//! used leaves the running database in place, with the reason as an event.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::control::{Control, system_event};
use crate::geo::Base;
use crate::health::EventKind;

/// The database in the binary itself: geo works from the first start, on any machine.
const BUNDLED: &[u8] = include_bytes!("../../geo-data/country.mmdb");

/// The largest file that is read, in bytes; the largest city databases have about 150 MB.
const MAX_FILE: u64 = 512 << 20;
/// How long a directory must be quiet before a changed file is read: copies take a moment.
const QUIET: Duration = Duration::from_secs(2);
/// Looked at this often even when the kernel reports nothing, as on network file systems.
const POLL: Duration = Duration::from_secs(60);

/// Which files to use; `None` is the bundled location database, and no AS numbers.
#[derive(Debug, Clone)]
pub struct GeoFiles {
    location: Option<PathBuf>,
    asn: Option<PathBuf>,
}

/// When a file was changed, and its length; `None` where there is none.
pub type Stamp = Option<(SystemTime, u64)>;

impl GeoFiles {
    pub fn of(config: &Config) -> Self {
        GeoFiles { location: config.geo_location.clone(), asn: config.geo_asn.clone() }
    }

    /// Decodes the files; the error names the file.
    pub fn load(&self) -> Result<Base, String> {
        let location = match &self.location {
            Some(path) => read(path)?,
            None => BUNDLED.to_vec(),
        };
        let asn = self.asn.as_deref().map(read).transpose()?;
        Base::from_mmdb(location, asn).map_err(|refusal| format!("{}: {}", self.names(), refusal.0))
    }

    /// As `load`; where that fails, the bundled database, with the reason to report.
    pub fn load_or_bundled(&self) -> (Base, Option<String>) {
        match self.load() {
            Ok(base) => (base, None),
            Err(reason) => match Base::from_mmdb(BUNDLED.to_vec(), None) {
                Ok(base) => (base, Some(format!("{reason}; the bundled country database is used instead"))),
                Err(refusal) => (Base::empty(), Some(format!("{reason}; {}; every client is unknown", refusal.0))),
            },
        }
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.paths().map(|path| path.display().to_string()).collect();
        if names.is_empty() { "the bundled database".into() } else { names.join(" with ") }
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        [self.location.as_deref(), self.asn.as_deref()].into_iter().flatten()
    }

    /// What tells a replaced file from the old one. Taken before a file is read, so that none is missed
    /// that is replaced meanwhile.
    pub fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path: &Path| fs::metadata(path).ok().and_then(|meta| Some((meta.modified().ok()?, meta.len())));
        self.paths().map(stamp).collect()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let named = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(named)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(named)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{} is larger than 512 MiB; use a database for countries or cities", path.display()));
    }
    Ok(bytes)
}

/// Swaps in each file newer than `known` until `stop`. Returns at once when only the bundled database is used.
pub async fn watch(files: GeoFiles, mut known: Vec<Stamp>, control: Control, stop: CancellationToken) {
    if files.paths().next().is_none() {
        return;
    }
    let (changed, mut changes) = mpsc::channel(1);
    // The watcher lives as long as this task; without one, polling alone finds the change.
    let _watcher = watcher(&files, changed);
    loop {
        let stamps = files.stamps();
        if stamps != known {
            known = stamps;
            replace(&files, &control).await;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            _ = changes.recv() => tokio::time::sleep(QUIET).await,
            () = tokio::time::sleep(POLL) => {}
        }
        while changes.try_recv().is_ok() {}
    }
}

async fn replace(files: &GeoFiles, control: &Control) {
    let loading = files.clone();
    let loaded = tokio::task::spawn_blocking(move || loading.load()).await;
    match loaded.unwrap_or_else(|_| Err(format!("{} could not be decoded", files.names()))) {
        Ok(base) => {
            let note = format!("{} was replaced on disk and is used from now on", files.names());
            let _ = control.set_geo(Arc::new(base), note).await;
        }
        Err(reason) => {
            tracing::error!("{reason}; the database before it stays in use");
            let cause = format!("{reason}; the database before it stays in use");
            control.note(system_event(EventKind::GeoDatabase, "geo database", "refused", cause)).await;
        }
    }
}

/// Watches directories, because files are replaced by renaming.
fn watcher(files: &GeoFiles, changed: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |_| {
        let _ = changed.try_send(());
    })
    .ok()?;
    for directory in files.paths().filter_map(Path::parent) {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
            tracing::warn!("{} cannot be watched: {error}; it is looked at every minute", directory.display());
        }
    }
    Some(watcher)
}
