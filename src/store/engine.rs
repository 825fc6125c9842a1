//! sled, kept at arm's length: the only file that names it. Errors and panics of sled come out as text;
//! waiting for it has an end. What the bytes mean is `layout`'s business.

use std::fs::{self, File};
use std::io;
use std::ops::{Bound, ControlFlow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional, TransactionalTree};

use super::files;
use super::layout::{self, Batch, Tree};

/// Enough for the hot part of 100,000 records; answers never come from here.
const CACHE_BYTES: u64 = 32 << 20;
/// How long events may stay volatile.
const FLUSH_EVERY_MS: u64 = 250;
/// sled waits without end for a thread of its own that died; closing takes milliseconds otherwise.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);
/// How long a database that this process has just closed may still hold its file: threads of sled end late.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);
const CLOSED_CHECKED_EVERY: Duration = Duration::from_millis(10);
/// What sled writes while it starts. A kill then leaves it torn, and sled would take it for its newest
/// snapshot and refuse the database for good; the older snapshot is still there.
const TORN_SNAPSHOT: (&str, &str) = ("snap.", ".generating");
/// The files that sled can make anew from its log: its parameters and its snapshots.
const REBUILT_BY_SLED: [&str; 2] = ["conf", "snap."];

pub struct Engine {
    /// `None` only while it is dropped.
    sled: Option<sled::Db>,
    /// By `Tree as usize`.
    trees: Vec<sled::Tree>,
    /// The file that sled writes: its own flush does not reach the disk's cache, `sync_data` does.
    log: File,
}

/// Why the database did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The disk, or the right to use it: nothing is wrong with what is stored.
    Disk(String),
    /// What is stored is not what was written.
    Damage(String),
}

impl Trouble {
    pub fn text(&self) -> &str {
        let (Trouble::Disk(text) | Trouble::Damage(text)) = self;
        text
    }

    fn within(self, tree: Tree) -> Trouble {
        match self {
            Trouble::Disk(text) => Trouble::Disk(text),
            Trouble::Damage(text) => Trouble::Damage(format!("{}: {text}", tree.name())),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        // sled copies errors and loses their codes on the way; the kind is left.
        let known = error.raw_os_error().is_none() && error.kind() != io::ErrorKind::Other;
        let text = if known { error.kind().to_string() } else { error.to_string() };
        // A missing or short file is damage; what else the system refuses is not the file's fault.
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                Trouble::Damage(text)
            }
            _ => Trouble::Disk(text),
        }
    }
}

impl From<sled::Error> for Trouble {
    fn from(error: sled::Error) -> Trouble {
        match error {
            sled::Error::Io(error) => error.into(),
            sled::Error::Corruption { .. } => Trouble::Damage("its files are damaged".into()),
            other => Trouble::Damage(other.to_string()),
        }
    }
}

impl From<String> for Trouble {
    fn from(text: String) -> Trouble {
        Trouble::Damage(text)
    }
}

/// Which way a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

/// From where to where a walk goes.
pub type Keys = (Bound<Vec<u8>>, Bound<Vec<u8>>);
/// Takes the key and the payload of a value.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], Vec<u8>) -> Result<ControlFlow<()>, Trouble>;

impl Engine {
    /// Opens or creates the database in `dir`. May take as long as the log is to read, and for ever on a
    /// damaged one: call it through `within`.
    pub fn open(dir: &Path) -> Result<Engine, Trouble> {
        files::private_directory(dir).map_err(|fault| Trouble::Disk(fault.to_string()))?;
        remove_torn_snapshots(dir)?;
        caught(|| {
            let sled = open_when_free(dir)?;
            let open = |tree: Tree| sled.open_tree(tree.name());
            let trees = Tree::ALL.into_iter().map(open).collect::<Result<_, _>>()?;
            let log = File::open(dir.join("db"))?;
            files::close_to_others(dir)?;
            Ok(Engine { sled: Some(sled), trees, log })
        })
    }

    /// Applies `batch` whole or not at all; in memory only, until `sync`. After an error nothing is known
    /// about the database until it was opened again.
    pub fn apply(&self, batch: &Batch) -> Result<(), Trouble> {
        let write = |trees: &Vec<TransactionalTree>| {
            for write in &batch.0 {
                let tree = &trees[write.tree as usize];
                match &write.value {
                    Some(value) => tree.insert(write.key.as_slice(), value.as_slice())?,
                    None => tree.remove(write.key.as_slice())?,
                };
            }
            Ok::<(), ConflictableTransactionError<()>>(())
        };
        caught(|| match self.trees.as_slice().transaction(write) {
            Ok(()) => Ok(()),
            Err(TransactionError::Storage(error)) => Err(error.into()),
            Err(TransactionError::Abort(())) => Err(Trouble::Damage("the transaction was aborted".into())),
        })
    }

    /// Brings everything applied so far onto the disk, through its write cache.
    pub fn sync(&self) -> Result<(), Trouble> {
        caught(|| {
            let Some(sled) = &self.sled else { return Err(Trouble::Disk("the database is closed".into())) };
            sled.flush()?;
            Ok(self.log.sync_data()?)
        })
    }

    /// The payload under `key`.
    pub fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        caught(|| match self.chunk(tree, key, 0)? {
            Some(first) => layout::payload(key, &first, |number| self.chunk(tree, key, number)).map(Some),
            None => Ok(None),
        })
        .map_err(|trouble| trouble.within(tree))
    }

    /// The bytes stored under a stored key.
    pub fn stored(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        caught(|| Ok(self.trees[tree as usize].get(key)?.map(|value| value.to_vec())))
    }

    /// Shows `visit` the values with keys in `range`, until it breaks.
    pub fn walk(&self, tree: Tree, range: Keys, order: Order, visit: Visit) -> Result<(), Trouble> {
        caught(|| {
            let mut entries = self.trees[tree as usize].range(range);
            loop {
                let entry = if order == Order::Ascending { entries.next() } else { entries.next_back() };
                let Some(entry) = entry else { return Ok(()) };
                let (stored, first) = entry?;
                let (key, chunk) =
                    layout::split_key(&stored).ok_or_else(|| "a key has a form that nobody wrote".to_owned())?;
                if chunk != 0 {
                    continue;
                }
                let payload = layout::payload(key, &first, |number| self.chunk(tree, key, number))?;
                if visit(key, payload)?.is_break() {
                    return Ok(());
                }
            }
        })
        .map_err(|trouble| trouble.within(tree))
    }

    /// The first or last key of a tree.
    pub fn edge(&self, tree: Tree, order: Order) -> Result<Option<Vec<u8>>, Trouble> {
        caught(|| {
            let tree = &self.trees[tree as usize];
            let entry = if order == Order::Ascending { tree.first() } else { tree.last() }?;
            Ok(entry.and_then(|(stored, _)| Some(layout::split_key(&stored)?.0.to_vec())))
        })
    }

    fn chunk(&self, tree: Tree, key: &[u8], number: usize) -> Result<Option<Vec<u8>>, Trouble> {
        let value = self.trees[tree as usize].get(layout::stored_key(key, number))?;
        Ok(value.map(|value| value.to_vec()))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let sled = self.sled.take();
        let trees = std::mem::take(&mut self.trees);
        // Should sled hang, it is left behind: the data is synced, and a start that hangs helps nobody.
        let _ = within(CLOSE_WITHIN, move || drop((trees, sled)));
    }
}

/// Puts away what sled can make anew, for a second attempt at a database that it refuses.
pub fn set_rebuildable_aside(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if REBUILT_BY_SLED.iter().any(|prefix| name.starts_with(prefix)) {
            fs::rename(entry.path(), dir.join(format!("bad-{name}")))?;
        }
    }
    Ok(())
}

/// Runs `work` on a thread of its own and waits at most `limit`; `None` if it took longer or panicked.
pub fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    let run = move || {
        if let Ok(result) = catch_unwind(AssertUnwindSafe(work)) {
            // Nobody waits any more after the limit.
            let _ = sender.send(result);
        }
    };
    thread::Builder::new().name("store".into()).spawn(run).ok()?;
    receiver.recv_timeout(limit).ok()
}

/// Opens sled, waiting for a database of this process that is still being closed: its threads may hold the
/// file, and with it sled's lock, for a moment after it was dropped. No other process can hold it, because
/// the directory's own lock is ours.
fn open_when_free(dir: &Path) -> sled::Result<sled::Db> {
    let config = sled::Config::new()
        .path(dir)
        .mode(sled::Mode::HighThroughput)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(Some(FLUSH_EVERY_MS))
        .use_compression(false);
    let begun = Instant::now();
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if held(&error) && begun.elapsed() < CLOSED_WITHIN => {
                thread::sleep(CLOSED_CHECKED_EVERY);
            }
            opened => return opened,
        }
    }
}

/// Sled says in words only that its lock is taken.
fn held(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

fn remove_torn_snapshots(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(TORN_SNAPSHOT.0) && name.ends_with(TORN_SNAPSHOT.1) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// sled panics where it finds its files in a state that it did not expect.
fn caught<T>(work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(Trouble::Damage(format!("the database library gave up: {text}")))
    })
}
