//! Geo databases on disk: a file that the boot file names, else one that was uploaded, else the bundled one. Read
//! at start, and again when a named file is replaced. A file that cannot be used leaves the running database in
//! place, with the reason as an event.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Control, system_event};
use crate::config::Config;
use crate::geo::Base;
use crate::health::EventKind;
use crate::store::GEO_DIRECTORY;

/// The database in the binary itself: geo works from the first start, on any machine.
const BUNDLED: &[u8] = include_bytes!("../../geo-data/country.mmdb");

/// The largest file that is read, in bytes; the largest city databases have about 150 MB.
const MAX_FILE: u64 = 512 << 20;
/// How long a directory must be quiet before a changed file is read: copies take a moment.
const QUIET: Duration = Duration::from_secs(2);
/// Looked at this often even when the kernel reports nothing, as on network file systems.
const POLL: Duration = Duration::from_secs(60);

/// Held from when a file is read until it is in use: a large one takes seconds and a gigabyte to decode, and of two that
/// are put in use at once the older must not win.
pub(super) static DECODING: Mutex<()> = Mutex::const_new(());

/// Which files to use.
#[derive(Debug, Clone)]
pub struct GeoFiles {
    /// Of uploaded files.
    pub(super) dir: PathBuf,
    location: Option<PathBuf>,
    asn: Option<PathBuf>,
}

/// The two kinds of databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// Countries or cities; the first of `Base::databases`.
    Location,
    /// AS numbers.
    Asn,
}

impl Database {
    pub const ALL: [Database; 2] = [Database::Location, Database::Asn];

    pub fn word(self) -> &'static str {
        match self {
            Database::Location => "location",
            Database::Asn => "asn",
        }
    }

    /// What names its file in the boot file.
    pub fn field(self) -> &'static str {
        match self {
            Database::Location => "geo_location",
            Database::Asn => "geo_asn",
        }
    }
}

/// Where a database comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Named in the boot file, which wins.
    Named(PathBuf),
    Uploaded(PathBuf),
    /// In the program; of AS numbers there is none.
    Bundled,
}

/// When a file was changed, and its length; `None` where there is none.
pub type Stamp = Option<(SystemTime, u64)>;

impl GeoFiles {
    pub fn of(config: &Config) -> Self {
        let (location, asn) = (config.geo_location.clone(), config.geo_asn.clone());
        GeoFiles { dir: config.data_dir.join(GEO_DIRECTORY), location, asn }
    }

    /// Where the database of a kind comes from.
    pub fn source(&self, database: Database) -> Source {
        let named = match database {
            Database::Location => &self.location,
            Database::Asn => &self.asn,
        };
        let uploaded = self.uploaded(database);
        match named {
            Some(path) => Source::Named(path.clone()),
            None if uploaded.exists() => Source::Uploaded(uploaded),
            None => Source::Bundled,
        }
    }

    /// Where an uploaded database of a kind is kept.
    pub(super) fn uploaded(&self, database: Database) -> PathBuf {
        self.dir.join(format!("{}.mmdb", database.word()))
    }

    /// Decodes the files; the error names the file.
    pub fn load(&self) -> Result<Base, String> {
        let [location, asn] = Database::ALL.map(|database| self.source(database));
        load(&location, &asn)
    }

    /// As `load`, with another file in the place of one; without a file, as it would be without an upload.
    pub fn load_with(&self, database: Database, file: Option<&Path>) -> Result<Base, String> {
        let other = file.map_or(Source::Bundled, |path| Source::Uploaded(path.to_owned()));
        match database {
            Database::Location => load(&other, &self.source(Database::Asn)),
            Database::Asn => load(&self.source(Database::Location), &other),
        }
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

    /// Those of the boot file; only they are replaced by others.
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

/// Swaps in each file newer than `known` until `stop`. Returns at once when the boot file names none.
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
    let named: Vec<String> = files.paths().map(|path| path.display().to_string()).collect();
    let named = named.join(" with ");
    let _one = DECODING.lock().await;
    let loaded = tokio::task::spawn_blocking(move || loading.load()).await;
    match loaded.unwrap_or_else(|_| Err(format!("{named} could not be decoded"))) {
        Ok(base) => {
            let note = format!("{named} was replaced on disk and is used from now on");
            let _ = control.set_geo(Arc::new(base), note).await;
        }
        Err(reason) => {
            tracing::error!("{reason}; the database before it stays in use");
            let cause = format!("{reason}; the database before it stays in use");
            control.note(system_event(EventKind::GeoDatabase, "geo database", "refused", cause)).await;
        }
    }
}

fn load(location: &Source, asn: &Source) -> Result<Base, String> {
    let content = |source: &Source| source.path().map(read).transpose();
    let (base, asn_file) = (content(location)?.unwrap_or_else(|| BUNDLED.to_vec()), content(asn)?);
    Base::from_mmdb(base, asn_file).map_err(|refusal| format!("{}: {}", names(&[location, asn]), refusal.0))
}

fn names(sources: &[&Source]) -> String {
    let names: Vec<String> =
        sources.iter().filter_map(|source| source.path()).map(|path| path.display().to_string()).collect();
    if names.is_empty() { "the bundled database".into() } else { names.join(" with ") }
}

impl Source {
    fn path(&self) -> Option<&Path> {
        match self {
            Source::Named(path) | Source::Uploaded(path) => Some(path),
            Source::Bundled => None,
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
