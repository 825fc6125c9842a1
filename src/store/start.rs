//! How a data directory is opened: what is tried, in which order, and what the operator is told. The ladder:
//! the database as it is; the database without the files that it can make anew; a new database from the
//! newest whole export and the journal. Damaged files are put aside, never deleted.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::engine::{self, Engine, Keys, Order, Trouble};
use super::export::{self, Export, World};
use super::journal::{Contents, Journal};
use super::layout::{self, Batch, FORMAT, Head, Tree, key_number, number_key};
use super::{Fault, files};

/// Reading the log of 100,000 records takes seconds; a damaged one can keep sled busy for ever.
const OPEN_WITHIN: Duration = Duration::from_secs(120);
/// Below this, a database that cannot be opened is put down to the full disk and left alone.
pub const ROOM_TO_OPEN_BYTES: u64 = 16 << 20;
/// Any of them tells a data directory from others.
const OURS: [&str; 7] = ["lock", "format", "journal", "sled", "sled.new", "exports", "secrets.json"];
/// How many names are read to find one that is not ours.
const MAX_LOOK: usize = 16;
/// The key of `Head`.
pub const HEAD: &[u8] = b"head";
pub const EVERYTHING: Keys = (Bound::Unbounded, Bound::Unbounded);

/// A data directory in use.
pub struct Started {
    /// Held as long as the store lives.
    pub lock: File,
    pub engine: Engine,
    pub journal: Journal,
    pub state: Stored,
    pub repairs: Vec<String>,
}

/// What a database holds that is needed in memory.
#[derive(Default)]
pub struct Stored {
    pub head: Head,
    pub world: World,
    pub health: Vec<(String, Value)>,
    pub last_event: u64,
}

pub fn sled_directory(dir: &Path) -> PathBuf {
    dir.join("sled")
}

pub fn journal_path(dir: &Path) -> PathBuf {
    dir.join("journal")
}

/// A directory that holds only other people's files is a slip: taking it would close it to its owner.
fn refuse_foreign(dir: &Path) -> Result<(), Fault> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    let names: Vec<String> =
        entries.take(MAX_LOOK).flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let known = OURS.iter().any(|name| dir.join(name).exists());
    match names.iter().find(|name| *name != "lost+found") {
        Some(other) if !known => {
            let problem = format!("it holds {other:?} and no data of northing");
            Err(Fault::new(dir, problem, "name an empty directory, a new one, or one that northing made"))
        }
        _ => Ok(()),
    }
}

/// Takes the lock of `dir`, and creates both if need be.
pub fn lock(dir: &Path) -> Result<File, Fault> {
    refuse_foreign(dir)?;
    files::private_directory(dir)?;
    let path = dir.join("lock");
    let cannot = |error: std::io::Error| Fault::disk(&path, "open the lock file", error);
    let mut file = files::private_file(&path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only to name the other process; the lock itself is what counts.
            let _ = file.read_to_string(&mut holder);
            let holder = if holder.trim().is_empty() { "another process" } else { holder.trim() };
            let problem = format!("the data directory is in use by {holder}");
            return Err(Fault::new(dir, problem, "stop it first, or give this one a directory of its own"));
        }
        Err(TryLockError::Error(error)) => return Err(cannot(error)),
    }
    let sign = |file: &mut File| -> std::io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "process {}", std::process::id())
    };
    // A full disk is no reason not to start; the lock holds without the name in it.
    let _ = sign(&mut file);
    Ok(file)
}

pub fn start(dir: &Path) -> Result<Started, Fault> {
    let lock = lock(dir)?;
    check_format(dir)?;
    let building = dir.join("sled.new");
    if building.exists() {
        fs::remove_dir_all(&building).map_err(|error| Fault::disk(&building, "remove this directory", error))?;
    }
    let mut ladder = Ladder { dir, building, repairs: Vec::new() };
    let (engine, state, journal) = ladder.climb()?;
    Ok(Started { lock, engine, journal, state, repairs: ladder.repairs })
}

/// Opens the database in `dir` and reads what is needed of it, all of it checked.
pub fn open_checked(dir: &Path) -> Result<(Engine, Stored), Trouble> {
    let path = dir.to_owned();
    let open = move || {
        let engine = Engine::open(&path)?;
        let state = read(&engine)?;
        Ok((engine, state))
    };
    let slow = || Trouble::Damage(format!("it did not open within {} s", OPEN_WITHIN.as_secs()));
    engine::within(OPEN_WITHIN, open).unwrap_or_else(|| Err(slow()))
}

/// What may be read of `payload`, stored as JSON by this version.
pub fn parsed<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Result<T, Trouble> {
    serde_json::from_slice(payload).map_err(|error| Trouble::Damage(format!("a value cannot be read: {error}")))
}

/// As stored.
pub fn written(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what is stored has only string keys")
}

/// Refuses what a newer version wrote.
fn check_format(dir: &Path) -> Result<(), Fault> {
    let path = dir.join("format");
    match fs::read_to_string(&path) {
        Ok(text) if text.trim() == FORMAT.to_string() => Ok(()),
        Ok(text) => {
            let problem = format!("this data has format {:?}, this version knows {FORMAT}", text.trim());
            Err(Fault::new(
                &path,
                problem,
                "run the version of northing that wrote it, or restore a backup of this one",
            ))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            files::replace(&path, |out| writeln!(out, "{FORMAT}"))
        }
        Err(error) => Err(Fault::new(&path, error, format!("if the file is damaged, write {FORMAT} into it"))),
    }
}

fn read(engine: &Engine) -> Result<Stored, Trouble> {
    let mut state = Stored::default();
    if let Some(payload) = engine.get(Tree::Meta, HEAD)? {
        state.head = parsed(&payload)?;
    }
    let mut digests = layout::Digests::default();
    engine.walk(Tree::Model, EVERYTHING, Order::Ascending, &mut |key, payload| {
        digests.add(key, &payload);
        state.world.entities.insert(text(key.to_vec())?, Arc::from(text(payload)?));
        Ok(ControlFlow::Continue(()))
    })?;
    if digests != state.head.model {
        return Err(Trouble::Damage("the entities are not those of the last revision".into()));
    }
    engine.walk(Tree::Secrets, EVERYTHING, Order::Ascending, &mut |key, payload| {
        state.world.secrets.insert(text(key.to_vec())?, parsed(&payload)?);
        Ok(ControlFlow::Continue(()))
    })?;
    engine.walk(Tree::Health, EVERYTHING, Order::Ascending, &mut |key, payload| {
        state.health.push((text(key.to_vec())?, parsed(&payload)?));
        Ok(ControlFlow::Continue(()))
    })?;
    let last =
        |tree| Ok::<u64, Trouble>(engine.edge(tree, Order::Descending)?.as_deref().and_then(key_number).unwrap_or(0));
    state.last_event = last(Tree::Events)?;
    for (tree, number) in [(Tree::Revisions, state.head.revision), (Tree::Audit, state.head.audit)] {
        if last(tree)? != number {
            return Err(Trouble::Damage(format!("{}: the newest is {}, not {number}", tree.name(), last(tree)?)));
        }
    }
    state.world.revision = newest(engine, Tree::Revisions, state.head.revision)?;
    state.world.audit = newest(engine, Tree::Audit, state.head.audit)?;
    state.world.transaction = state.head.transaction;
    Ok(state)
}

fn newest<T: serde::de::DeserializeOwned>(engine: &Engine, tree: Tree, number: u64) -> Result<Option<T>, Trouble> {
    engine.get(tree, &number_key(number))?.map(|payload| parsed(&payload)).transpose()
}

fn text(bytes: Vec<u8>) -> Result<String, Trouble> {
    String::from_utf8(bytes).map_err(|_| Trouble::Damage("a text is not UTF-8".into()))
}

struct Ladder<'a> {
    dir: &'a Path,
    /// Where a new database is built before it takes its place.
    building: PathBuf,
    repairs: Vec<String>,
}

/// A database that is whole in itself.
type Whole = (Engine, Stored);

/// What a rebuild finds in the database's place.
enum Old {
    /// Nothing, or what sled began anew since it could not read the beginning of its log.
    Lost,
    Unreadable,
    /// Whole but too old.
    Behind(Box<Whole>),
}

/// What stands in the database alone, and is lost with it.
const UNJOURNALED: &str = "Events before this start are lost, and so are drains and holds: make those again that are \
                           still needed.";

impl Ladder<'_> {
    fn climb(&mut self) -> Result<(Engine, Stored, Journal), Fault> {
        let path = journal_path(self.dir);
        let journal = match Contents::read(&path) {
            Err(Trouble::Disk(text)) => return Err(Fault::disk(&path, "read this file", text)),
            read => read,
        };
        let exported = export::revisions(self.dir).first().copied().unwrap_or(0);
        let sled = sled_directory(self.dir);
        let first_start = !sled.exists() && exported == 0 && matches!(journal, Ok(None));
        let journal = journal.unwrap_or_else(|trouble| {
            let (name, problem) = (aside(&path), trouble.text());
            self.repairs.push(format!("The journal cannot be used ({problem}); it was put aside as {name}."));
            None
        });
        if !first_start && !sled.exists() {
            return self.rebuild("it is missing".into(), Old::Lost, journal);
        }
        let (engine, mut state) = match self.open_database(&sled)? {
            Ok(whole) => whole,
            Err(problem) => return self.rebuild(problem, Old::Unreadable, journal),
        };
        // Where the beginning of its log is lost, sled begins anew; only what else is there tells that from a first start.
        if state.head.transaction == 0 && journal.is_none() && exported == 0 && export::secrets_path(self.dir).exists()
        {
            drop(engine);
            return self.rebuild("it holds nothing, although there are secrets".into(), Old::Lost, None);
        }
        if let Some(contents) = &journal {
            if state.head.transaction == 0 && contents.base > 0 {
                drop(engine);
                let problem = "it holds nothing, although changes were acknowledged".to_owned();
                return self.rebuild(problem, Old::Lost, journal);
            }
            if state.head.transaction < contents.base {
                let problem = "it has forgotten changes that were acknowledged".to_owned();
                return self.rebuild(problem, Old::Behind(Box::new((engine, state))), journal);
            }
            match self.replay(&engine, contents, &mut state) {
                Ok(()) => {}
                Err(Trouble::Disk(text)) => return Err(Fault::disk(&sled, "write the database", text)),
                Err(Trouble::Damage(text)) => {
                    drop(engine);
                    return self.rebuild(text, Old::Unreadable, journal);
                }
            }
        }
        if exported > state.head.revision {
            let problem = format!("it ends with revision {}, but {exported} was exported", state.head.revision);
            return self.rebuild(problem, Old::Behind(Box::new((engine, state))), journal);
        }
        let journal = self.journal_for(journal, &state)?;
        Ok((engine, state, journal))
    }

    /// The first two rungs. The outer error ends the start, the inner one says why a rebuild is needed.
    fn open_database(&mut self, sled: &Path) -> Result<Result<Whole, String>, Fault> {
        let first = match open_checked(sled) {
            Ok(whole) => return Ok(Ok(whole)),
            Err(trouble) => self.damage_only(sled, trouble)?,
        };
        engine::set_rebuildable_aside(sled).map_err(|error| Fault::disk(sled, "rename files in here", error))?;
        match open_checked(sled) {
            Ok(whole) => {
                self.repairs.push(format!(
                    "The database could not be opened ({first}). Its files conf and snap.* were made anew from its \
                     log; nothing was lost."
                ));
                Ok(Ok(whole))
            }
            Err(trouble) => {
                self.damage_only(sled, trouble)?;
                Ok(Err(first))
            }
        }
    }

    fn damage_only(&self, sled: &Path, trouble: Trouble) -> Result<String, Fault> {
        match trouble {
            Trouble::Disk(text) => Err(Fault::disk(sled, "open the database", text)),
            Trouble::Damage(text) => match files::free_bytes(self.dir) {
                Some(free) if free < ROOM_TO_OPEN_BYTES => {
                    let problem = format!("the database does not open ({text}) and the disk has {free} bytes left");
                    Err(Fault::new(sled, problem, format!("free {ROOM_TO_OPEN_BYTES} bytes and start again")))
                }
                _ => Ok(text),
            },
        }
    }

    /// Brings in what the journal has and the database does not.
    fn replay(&mut self, engine: &Engine, journal: &Contents, state: &mut Stored) -> Result<(), Trouble> {
        let (from, was_empty) = (state.head.transaction, state.head.transaction == 0 && state.last_event == 0);
        for (_, batch) in journal.records.iter().filter(|record| record.0 > from) {
            engine.apply(batch)?;
        }
        let missing = journal.last().saturating_sub(from);
        if missing > 0 {
            engine.sync()?;
            *state = read(engine)?;
        }
        // One is what a kill between the two leaves, and was not acknowledged.
        match missing {
            0 | 1 => {}
            _ if was_empty => self.repairs.push(format!(
                "The database was empty; everything that was published came from the journal, and the whole history and \
                 audit log with it. {UNJOURNALED} The audit log says which there were."
            )),
            _ => self.repairs.push(format!(
                "The database lacked the last {missing} changes; they came from the journal. Events, drains and holds \
                 from between these changes may be missing."
            )),
        }
        Ok(())
    }

    fn journal_for(&mut self, contents: Option<Contents>, state: &Stored) -> Result<Journal, Fault> {
        let path = journal_path(self.dir);
        match contents {
            Some(contents) if contents.last() == state.head.transaction => return Journal::resume(&path, &contents),
            Some(contents) => {
                let (last, head, name) = (contents.last(), state.head.transaction, aside(&path));
                self.repairs.push(format!(
                    "The journal ends at change {last}, the database has {head} and was taken; the journal was put \
                     aside as {name}."
                ));
            }
            None if state.head.transaction > 0 => {
                self.repairs.push("The journal was missing; a new one was begun.".into());
            }
            None => {}
        }
        Journal::create(&path, state.head.transaction)
    }

    /// The last rung: a new database from the newest whole export and the journal, unless none is newer than what is
    /// there.
    fn rebuild(
        &mut self,
        problem: String,
        old: Old,
        journal: Option<Contents>,
    ) -> Result<(Engine, Stored, Journal), Fault> {
        let sled = sled_directory(self.dir);
        let newest_known = export::revisions(self.dir).first().copied().unwrap_or(0);
        let export = self.newest_whole_export();
        let kept_revision = match &old {
            Old::Behind(whole) => Some(whole.1.head.revision),
            Old::Lost | Old::Unreadable => None,
        };
        let exported_revision = export.as_ref().map(|export| export.revision.number);
        let (engine, state) = match old {
            Old::Behind(whole) if exported_revision <= kept_revision => {
                self.repairs
                    .push(format!("The database is not the newest: {problem}. No export is newer, it was kept."));
                *whole
            }
            old => {
                // The start of time is an export as well, as long as the journal reaches back to it.
                if export.is_none() && journal.as_ref().is_none_or(|journal| journal.base > 0) {
                    let remedy = "put this directory aside and restore a backup with `northing restore FILE`";
                    return Err(Fault::new(
                        &sled,
                        format!("the database is damaged ({problem}) and no export is whole"),
                        remedy,
                    ));
                }
                let is_lost = matches!(old, Old::Lost);
                drop(old);
                self.build(export.as_ref(), journal.as_ref())?;
                let aside = self.take_place(&sled)?;
                let whole = open_checked(&sled)
                    .map_err(|trouble| Fault::disk(&sled, "open the new database", trouble.text()))?;
                let revision = whole.1.head.revision;
                let before = match aside {
                    Some(aside) if !is_lost => {
                        format!("Events, the history and the audit log before it are only in {aside}.")
                    }
                    _ => format!("The history and the audit log before it are lost. {UNJOURNALED}"),
                };
                self.repairs.push(format!(
                    "The database was damaged ({problem}); a new one was built from the exports and the journal and \
                     is at revision {revision}. {before}"
                ));
                whole
            }
        };
        if newest_known > state.head.revision {
            self.repairs.push(format!("Revisions {} to {newest_known} are lost.", state.head.revision + 1));
        }
        let path = journal_path(self.dir);
        if journal.is_some() {
            aside(&path);
        }
        let journal = Journal::create(&path, state.head.transaction)?;
        Ok((engine, state, journal))
    }

    fn newest_whole_export(&mut self) -> Option<Export> {
        for revision in export::revisions(self.dir) {
            match export::read(self.dir, revision) {
                Ok(export) if export.revision.number == revision => return Some(export),
                Ok(_) => {
                    self.repairs.push(format!("exports/{revision}.json holds another revision; it was put aside."))
                }
                Err(problem) => {
                    self.repairs.push(format!("exports/{revision}.json is damaged ({problem}); it was put aside."))
                }
            }
            aside(&export::path(self.dir, revision));
        }
        None
    }

    /// Builds the new database; with what the journal adds, if the result is what the journal says.
    fn build(&mut self, export: Option<&Export>, journal: Option<&Contents>) -> Result<(), Fault> {
        let secrets = export::read_secrets(self.dir).unwrap_or_else(|problem| {
            self.repairs
                .push(format!("secrets.json is damaged ({problem}): passwords, tokens and keys must be set again."));
            export::Secrets::new()
        });
        let base = batch_of(export, &secrets);
        let exported = export.map_or(0, |export| export.transaction);
        let added: Vec<&Batch> = journal
            .into_iter()
            .flat_map(|journal| &journal.records)
            .filter(|record| record.0 > exported)
            .map(|record| &record.1)
            .collect();
        let attempt = |added: &[&Batch]| -> Result<(), Trouble> {
            if self.building.exists() {
                fs::remove_dir_all(&self.building)?;
            }
            let engine = Engine::open(&self.building)?;
            engine.apply(&base)?;
            added.iter().try_for_each(|batch| engine.apply(batch))?;
            engine.sync()?;
            read(&engine).map(|_| ())
        };
        let built = match attempt(&added) {
            Err(Trouble::Damage(_)) if !added.is_empty() => {
                self.repairs.push("The journal does not continue the newest whole export and was left out.".into());
                attempt(&[])
            }
            built => built,
        };
        built.map_err(|trouble| Fault::disk(&self.building, "build a new database", trouble.text()))
    }

    /// Puts the new database in place of the old one; the name of the latter, if there was one.
    fn take_place(&self, sled: &Path) -> Result<Option<String>, Fault> {
        let name = sled.exists().then(|| aside(sled));
        let rename = fs::rename(&self.building, sled).and_then(|()| files::sync_directory(self.dir));
        rename.map_err(|error| Fault::disk(sled, "put the new database here", error))?;
        Ok(name)
    }
}

/// What a database of exactly this export holds.
fn batch_of(export: Option<&Export>, secrets: &export::Secrets) -> Batch {
    let mut batch = Batch::default();
    let mut head = Head::default();
    if let Some(export) = export {
        for (kind, entities) in &export.model {
            for (id, entity) in entities {
                let key = format!("{kind}/{id}");
                let payload = written(entity);
                head.model.add(key.as_bytes(), &payload);
                batch.put(Tree::Model, key.as_bytes(), &payload, None);
            }
        }
        put_numbered(&mut batch, Tree::Revisions, export.revision.number, &export.revision);
        put_numbered(&mut batch, Tree::Changes, export.revision.number, &export.revision.changes);
        if let Some(entry) = &export.audit {
            put_numbered(&mut batch, Tree::Audit, entry.sequence, entry);
            head.audit = entry.sequence;
        }
        head.revision = export.revision.number;
        head.transaction = export.transaction;
    }
    for (key, secret) in secrets {
        batch.put(Tree::Secrets, key.as_bytes(), &written(secret), None);
    }
    batch.put(Tree::Meta, HEAD, &written(&head), None);
    batch
}

pub fn put_numbered(batch: &mut Batch, tree: Tree, number: u64, value: &impl serde::Serialize) {
    batch.put(tree, &number_key(number), &written(value), None);
}

/// Renames `path` to a name that says it is bad and since when; the new name. Where that fails the old name
/// stays, and whatever needs the place says so.
fn aside(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%S").to_string();
    let names = std::iter::once(format!("{name}.bad-{time}")).chain((2..).map(|n| format!("{name}.bad-{time}-{n}")));
    let mut free = names.filter(|name| !path.with_file_name(name).exists());
    let bad = free.next().unwrap_or_else(|| format!("{name}.bad"));
    let _ = fs::rename(path, path.with_file_name(&bad));
    bad
}
