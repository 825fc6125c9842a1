//! Everything in one file, and the way back onto an empty machine.
//!
//! One JSON value a line: a header, the values by tree and key, and a seal with the hash of what precedes it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::engine::{Engine, Order, Trouble};
use super::journal::Journal;
use super::layout::{self, Batch, FORMAT, Head, Tree, key_number, number_key};
use super::start::{self, EVERYTHING, HEAD, parsed, written};
use super::{Fault, Store, files};

/// The longest line: no entity, and no revision but the largest of imports, comes near.
const MAX_LINE_BYTES: u64 = 1 << 30;
/// Values that are restored in one transaction; the directory is not used before all are in.
const BATCH_BYTES: u64 = 8 << 20;
const PROGRESS_EVERY: u64 = 1000;

/// Whether a backup carries password hashes, tokens and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Secrets {
    Include,
    LeaveOut,
}

#[derive(Serialize, Deserialize)]
struct Header {
    northing_backup: u8,
    revision: u64,
    secrets: Secrets,
}

#[derive(Serialize, Deserialize)]
struct Line {
    tree: Tree,
    /// Decimal for numbered trees.
    key: String,
    value: Value,
}

#[derive(Serialize, Deserialize)]
struct Seal {
    values: u64,
    sha256: String,
}

impl Store {
    /// Writes everything to `file`, readable by its owner only; `progress` hears how many values are done.
    pub fn backup(&self, file: &Path, secrets: Secrets, progress: &mut dyn FnMut(u64)) -> Result<(), Fault> {
        let engine = self.engine()?;
        let mut trouble = None;
        let written = files::replace(file, |out| {
            let mut out = Hashed { out, hasher: Sha256::new() };
            let mut values = 0;
            out.line(&Header { northing_backup: FORMAT, revision: self.head.revision, secrets })?;
            for tree in Tree::ALL {
                if tree == Tree::Secrets && secrets == Secrets::LeaveOut {
                    continue;
                }
                let walk = engine.walk(tree, EVERYTHING, Order::Ascending, &mut |key, payload| {
                    out.line(&Line { tree, key: key_text(tree, key)?, value: parsed(&payload)? })?;
                    values += 1;
                    if values % PROGRESS_EVERY == 0 {
                        progress(values);
                    }
                    Ok(ControlFlow::Continue(()))
                });
                if let Err(found) = walk {
                    let error = io::Error::other(found.text().to_owned());
                    trouble = matches!(found, Trouble::Damage(_)).then_some(found);
                    return Err(error);
                }
            }
            let sha256 = hex(out.hasher.clone());
            out.line(&Seal { values, sha256 })
        });
        match trouble {
            Some(trouble) => Err(self.database_fault("read the database", &trouble)),
            None => written,
        }
    }
}

/// Builds the data directory `dir`, which must be empty or absent, from a backup. Everything is checked
/// before `dir` can be used: a failed restore leaves none that opens.
pub fn restore(file: &Path, dir: &Path) -> Result<(), Fault> {
    let header = check(file)?;
    let used = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if used {
        let remedy = "restore into an empty directory, or move this one away first";
        return Err(Fault::new(dir, "the directory is not empty", remedy));
    }
    let _lock = start::lock(dir)?;
    let building = dir.join("sled.new");
    let built = build(file, &building);
    let head = built.map_err(|trouble| {
        // What was built so far is of no use; should it stay, the next start removes it.
        let _ = fs::remove_dir_all(&building);
        Fault::new(file, format!("cannot restore: {}", trouble.text()), "check the disk, or use another backup")
    })?;
    if head.revision != header.revision {
        return Err(Fault::new(file, "its header is of another revision", "use another backup"));
    }
    Journal::create(&start::journal_path(dir), head.transaction)?;
    let sled = start::sled_directory(dir);
    let rename = fs::rename(&building, &sled).and_then(|()| files::sync_directory(dir));
    rename.map_err(|error| Fault::disk(&sled, "put the database here", error))
}

/// Reads the whole file once: it must be complete and unchanged, and every line must have its form.
fn check(file: &Path) -> Result<Header, Fault> {
    let refuse = |problem: String| Fault::new(file, problem, "use another backup");
    let mut header = None;
    lines(file, |line| {
        if header.is_none() {
            let read: Header = serde_json::from_str(line).map_err(|_| "it is not a backup of northing".to_owned())?;
            if read.northing_backup != FORMAT {
                return Err(format!("it has format {}, this version knows {FORMAT}", read.northing_backup));
            }
            header = Some(read);
            return Ok(());
        }
        let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        key_bytes(line.tree, &line.key).map(|_| ()).ok_or_else(|| format!("{:?} is no key", line.key))
    })
    .map_err(refuse)?;
    header.ok_or_else(|| Fault::new(file, "the file is empty", "use another backup"))
}

fn build(file: &Path, building: &Path) -> Result<Head, Trouble> {
    {
        let engine = Engine::open(building)?;
        let mut batch = Batch::default();
        let mut header_passed = false;
        let mut trouble = Ok(());
        let read = lines(file, |text| {
            if !std::mem::replace(&mut header_passed, true) {
                return Ok(());
            }
            let line: Line = serde_json::from_str(text).map_err(|error| error.to_string())?;
            let key = key_bytes(line.tree, &line.key).ok_or("a key is not one")?;
            batch.put(line.tree, &key, &written(&line.value), None);
            if batch.bytes() > BATCH_BYTES {
                trouble = engine.apply(&std::mem::take(&mut batch));
            }
            trouble.clone().map_err(|trouble: Trouble| trouble.text().to_owned())
        });
        trouble?;
        read?;
        engine.apply(&batch)?;
        engine.sync()?;
    }
    let (engine, state) = start::open_checked(building)?;
    engine.sync()?;
    Ok(state.head)
}

/// Shows `visit` every line but the seal, and then checks the seal.
fn lines(file: &Path, mut visit: impl FnMut(&str) -> Result<(), String>) -> Result<(), String> {
    let mut reader = BufReader::new(File::open(file).map_err(|error| error.to_string())?);
    let mut hasher = Sha256::new();
    let mut line = String::new();
    let mut previous = String::new();
    let mut count = 0u64;
    loop {
        line.clear();
        let mut limited = io::Read::take(&mut reader, MAX_LINE_BYTES);
        let length = limited.read_line(&mut line).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => "it is not a backup of northing".to_owned(),
            _ => error.to_string(),
        })?;
        if length == 0 {
            break;
        }
        if !line.ends_with('\n') {
            return Err("the file is cut".into());
        }
        if !previous.is_empty() {
            visit(previous.trim_end()).map_err(|problem| format!("line {count}: {problem}"))?;
            hasher.update(previous.as_bytes());
        }
        std::mem::swap(&mut previous, &mut line);
        count += 1;
    }
    if count == 0 {
        return Err("the file is empty".into());
    }
    let seal: Seal =
        serde_json::from_str(&previous).map_err(|_| "the file is cut: its last line is missing".to_owned())?;
    if seal.sha256 != hex(hasher) || seal.values + 2 != count {
        return Err("the content does not fit its sha256".into());
    }
    Ok(())
}

fn key_text(tree: Tree, key: &[u8]) -> Result<String, Trouble> {
    let text = if tree.is_numbered() {
        key_number(key).map(|number| number.to_string())
    } else {
        String::from_utf8(key.to_vec()).ok()
    };
    text.ok_or_else(|| Trouble::Damage(format!("{}: a key is not one", tree.name())))
}

fn key_bytes(tree: Tree, text: &str) -> Option<Vec<u8>> {
    if tree == Tree::Model {
        layout::entity_of_key(text)?;
    }
    if tree == Tree::Meta && text.as_bytes() != HEAD {
        return None;
    }
    if tree.is_numbered() { Some(number_key(text.parse().ok()?).to_vec()) } else { Some(text.as_bytes().to_vec()) }
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes what passes.
struct Hashed<'a> {
    out: &'a mut dyn Write,
    hasher: Sha256,
}

impl Hashed<'_> {
    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.hasher.update(&line);
        self.out.write_all(&line)
    }
}
