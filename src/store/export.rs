//! The newest models as plain files, `exports/<revision>.json`, and the secrets beside them: what the store
//! is built from again when the database is lost. A thread of its own follows the changes and writes;
//! while it is busy they gather, so that a large model never keeps a publication waiting.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::layout::FORMAT;
use super::{Fault, files};
use crate::model::{self, AuditEntry, Revision};

/// Exports kept in any case of room.
const KEPT: usize = 20;
/// Beyond `KEPT`, the newest export of each day stays this many days.
const DAYS: u64 = 30;
/// Room for all exports; beyond it the oldest go, but never the newest two.
const ROOM_BYTES: u64 = 1 << 30;
const KEPT_AT_LEAST: usize = 2;
/// Changes that may wait for the thread. A disk that slow holds the publisher back rather than fill memory.
const WAITING: usize = 256;
/// How long after a failure the same export is tried again.
const RETRY: Duration = Duration::from_secs(15);
/// After an export the thread rests for several times as long as it took: changes in a row to a large model
/// then cost a part of one processor and of the disk, not all of them. The journal has what is not exported.
const REST_FACTOR: u32 = 4;
const MAX_REST: Duration = Duration::from_secs(10);
const DAY: u64 = 86_400;

/// Entities by `kind/id`, each as JSON text.
pub type Entities = BTreeMap<String, Arc<str>>;
pub type Secrets = BTreeMap<String, Value>;

/// One transaction, for the thread to follow.
pub struct Step {
    pub transaction: u64,
    pub audit: Option<AuditEntry>,
    /// The revision without its changes.
    pub revision: Option<Revision>,
    pub entities: Vec<(String, Option<Arc<str>>)>,
    pub secrets: Option<Secrets>,
}

/// What the thread knows, and writes.
#[derive(Default)]
pub struct World {
    pub transaction: u64,
    pub audit: Option<AuditEntry>,
    pub revision: Option<Revision>,
    pub entities: Entities,
    pub secrets: Secrets,
}

pub struct Exporter {
    steps: Option<SyncSender<Step>>,
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Everything up to this transaction is in the files.
    through: u64,
    failure: Option<Fault>,
}

impl Exporter {
    /// Writes `world` at once where its files are missing or older.
    pub fn start(dir: &Path, world: World) -> Result<Exporter, Fault> {
        let exports = directory(dir);
        files::private_directory(&exports)?;
        for dir in [dir, &exports] {
            files::remove_unfinished(dir).map_err(|error| Fault::disk(dir, "tidy up this directory", error))?;
        }
        let (sender, receiver) = sync_channel(WAITING);
        let progress = Arc::new(Progress::default());
        let progress_seen = progress.clone();
        let follower =
            Follower { dir: dir.to_owned(), world, progress: progress_seen, secrets_changed: true, exported: None };
        let spawned = thread::Builder::new().name("store export".into()).spawn(move || follower.run(receiver));
        let thread = spawned.map_err(|error| Fault::disk(&exports, "start a thread", error))?;
        Ok(Exporter { steps: Some(sender), progress, thread: Some(thread) })
    }

    pub fn follow(&self, step: Step) {
        // The thread ends only after this sender is gone, or with a panic; then the journal grows up to its
        // limit, and says so.
        if let Some(steps) = &self.steps {
            let _ = steps.send(step);
        }
    }

    /// Everything up to this transaction is in the files.
    pub fn through(&self) -> u64 {
        self.progress.state.lock().through
    }

    /// Waits until `transaction` is in the files, at most `limit`; the reason if it is not.
    pub fn wait(&self, transaction: u64, limit: Duration) -> Result<(), Option<Fault>> {
        let mut state = self.progress.state.lock();
        let deadline = std::time::Instant::now() + limit;
        while state.through < transaction {
            if self.progress.changed.wait_until(&mut state, deadline).timed_out() {
                return Err(state.failure.clone());
            }
        }
        Ok(())
    }
}

impl Drop for Exporter {
    /// Lets the thread write what it still has.
    fn drop(&mut self) {
        self.steps = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told by the panic itself.
            let _ = thread.join();
        }
    }
}

struct Follower {
    dir: PathBuf,
    world: World,
    progress: Arc<Progress>,
    secrets_changed: bool,
    /// The revision whose export is known to be whole.
    exported: Option<u64>,
}

impl Follower {
    fn run(mut self, steps: Receiver<Step>) {
        let newest = self.world.revision.as_ref().map(|revision| revision.number);
        self.exported = newest.filter(|&number| is_whole(&self.dir, number));
        loop {
            let began = Instant::now();
            let written = self.write();
            let rest_until = Instant::now() + (began.elapsed() * REST_FACTOR).min(MAX_REST);
            let step = if written {
                steps.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                steps.recv_timeout(RETRY)
            };
            match step {
                Ok(step) => self.take(step),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Ok(step) = steps.recv_timeout(rest_until.saturating_duration_since(Instant::now())) {
                self.take(step);
            }
        }
    }

    fn take(&mut self, step: Step) {
        let world = &mut self.world;
        world.transaction = step.transaction;
        world.audit = step.audit.or(world.audit.take());
        world.revision = step.revision.or(world.revision.take());
        for (key, text) in step.entities {
            match text {
                Some(text) => world.entities.insert(key, text),
                None => world.entities.remove(&key),
            };
        }
        if let Some(secrets) = step.secrets {
            world.secrets = secrets;
            self.secrets_changed = true;
        }
    }

    fn write(&mut self) -> bool {
        let result = self.write_secrets().and_then(|()| self.write_model());
        let mut state = self.progress.state.lock();
        match result {
            Ok(()) => {
                state.through = self.world.transaction;
                state.failure = None;
            }
            Err(fault) => {
                tracing::warn!(%fault, "the configuration is stored, its export is not; it is tried again");
                state.failure = Some(fault);
            }
        }
        self.progress.changed.notify_all();
        state.failure.is_none()
    }

    fn write_secrets(&mut self) -> Result<(), Fault> {
        if self.secrets_changed {
            write_secrets(&self.dir, &self.world.secrets)?;
            self.secrets_changed = false;
        }
        Ok(())
    }

    fn write_model(&mut self) -> Result<(), Fault> {
        let Some(revision) = &self.world.revision else { return Ok(()) };
        if self.exported == Some(revision.number) {
            return Ok(());
        }
        files::replace(&path(&self.dir, revision.number), |out| write_model(out, &self.world, revision))?;
        self.exported = Some(revision.number);
        prune(&self.dir);
        Ok(())
    }
}

/// An export as read.
#[derive(Deserialize)]
pub struct Export {
    pub transaction: u64,
    /// Without its changes.
    pub revision: Revision,
    pub audit: Option<AuditEntry>,
    /// Kind → id → entity.
    pub model: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Serialize, Deserialize)]
struct SecretsFile {
    format: u8,
    secrets: Secrets,
    sha256: String,
}

/// The revisions that have an export, newest first.
pub fn revisions(dir: &Path) -> Vec<u64> {
    let entries = fs::read_dir(directory(dir)).into_iter().flatten().flatten();
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok();
    let mut revisions: Vec<u64> = entries.filter_map(number).collect();
    revisions.sort_unstable_by(|a, b| b.cmp(a));
    revisions
}

/// The export of `revision`, if it is whole.
pub fn read(dir: &Path, revision: u64) -> Result<Export, String> {
    let bytes = fs::read(path(dir, revision)).map_err(|error| error.to_string())?;
    let end = bytes.len().checked_sub(SEAL.len() + 64 + SEAL_END.len()).ok_or("the file is cut")?;
    let (body, seal) = bytes.split_at(end);
    let expected = [SEAL, model::sha256(body).as_bytes(), SEAL_END].concat();
    if seal != expected {
        return Err("the content does not fit its sha256".into());
    }
    let format: Format = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if format.format != FORMAT {
        return Err(format!("it has format {}, this version knows {FORMAT}", format.format));
    }
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// Whether the export of `revision` is there and fits its hash; cheaper than to read it.
fn is_whole(dir: &Path, revision: u64) -> bool {
    let hash = || -> io::Result<bool> {
        let mut file = fs::File::open(path(dir, revision))?;
        let seal_length = (SEAL.len() + 64 + SEAL_END.len()) as u64;
        let Some(body_length) = file.metadata()?.len().checked_sub(seal_length) else { return Ok(false) };
        let mut body = Sealed { out: &mut io::sink(), hasher: Sha256::new() };
        io::copy(&mut (&mut file).take(body_length), &mut body)?;
        let hasher = body.hasher;
        let mut seal = Vec::new();
        file.read_to_end(&mut seal)?;
        Ok(seal == sealed(hasher))
    };
    hash().unwrap_or(false)
}

/// The secrets as last written; none where there is no file.
pub fn read_secrets(dir: &Path) -> Result<Secrets, String> {
    let bytes = match fs::read(secrets_path(dir)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Secrets::new()),
        Err(error) => return Err(error.to_string()),
    };
    let file: SecretsFile = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if file.format != FORMAT || file.sha256 != secrets_hash(&file.secrets) {
        return Err("the content does not fit its sha256".into());
    }
    Ok(file.secrets)
}

#[derive(Deserialize)]
struct Format {
    format: u8,
}

/// What ends an export: the hash of everything before.
const SEAL: &[u8] = b",\n\"sha256\":\"";
const SEAL_END: &[u8] = b"\"}\n";

fn directory(dir: &Path) -> PathBuf {
    dir.join("exports")
}

pub fn path(dir: &Path, revision: u64) -> PathBuf {
    directory(dir).join(format!("{revision}.json"))
}

pub fn secrets_path(dir: &Path) -> PathBuf {
    dir.join("secrets.json")
}

fn secrets_hash(secrets: &Secrets) -> String {
    let value = Value::Object(secrets.iter().map(|(key, value)| (key.clone(), value.clone())).collect());
    model::sha256(model::canonical(&value).as_bytes())
}

fn write_secrets(dir: &Path, secrets: &Secrets) -> Result<(), Fault> {
    let file = SecretsFile { format: FORMAT, secrets: secrets.clone(), sha256: secrets_hash(secrets) };
    files::replace(&secrets_path(dir), |out| Ok(serde_json::to_writer(out, &file)?))
}

/// One entity a line, in order: two exports can be compared with `diff`.
fn write_model(out: &mut dyn Write, world: &World, revision: &Revision) -> io::Result<()> {
    let mut out = BufWriter::new(Sealed { out, hasher: Sha256::new() });
    write!(out, "{{\"format\":{FORMAT},\"transaction\":{},\n\"revision\":", world.transaction)?;
    serde_json::to_writer(&mut out, revision)?;
    write!(out, ",\n\"audit\":")?;
    serde_json::to_writer(&mut out, &world.audit)?;
    write!(out, ",\n\"model\":{{")?;
    let mut kind = "";
    for (key, text) in &world.entities {
        let (word, id) = key.split_once('/').unwrap_or((key, ""));
        if word != kind {
            write!(out, "{}\n\"{word}\":{{\n", if kind.is_empty() { "" } else { "}," })?;
        } else {
            writeln!(out, ",")?;
        }
        kind = word;
        serde_json::to_writer(&mut out, id)?;
        write!(out, ":{text}")?;
    }
    write!(out, "{}", if kind.is_empty() { "}" } else { "}}" })?;
    out.flush()?;
    let Sealed { out, hasher } = out.get_mut();
    out.write_all(&sealed(hasher.clone()))
}

/// The end of an export whose beginning `hasher` has seen.
fn sealed(hasher: Sha256) -> Vec<u8> {
    let hash = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    [SEAL, hash.as_bytes(), SEAL_END].concat()
}

/// Hashes what passes.
struct Sealed<'a> {
    out: &'a mut dyn Write,
    hasher: Sha256,
}

impl Write for Sealed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.out.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Removes exports that nobody will miss. An export that cannot be removed is met again next time.
fn prune(dir: &Path) {
    let day = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / DAY);
    let today = day(SystemTime::now());
    let mut days = HashSet::new();
    let mut bytes = 0;
    for (place, revision) in revisions(dir).into_iter().enumerate() {
        let path = path(dir, revision);
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let written = metadata.modified().map_or(0, day);
        let newest_of_day = days.insert(written);
        bytes += metadata.len();
        let wanted = place < KEPT || newest_of_day && written + DAYS > today;
        if place >= KEPT_AT_LEAST && !(wanted && bytes <= ROOM_BYTES) {
            let _ = fs::remove_file(&path);
            bytes -= metadata.len();
        }
    }
}
