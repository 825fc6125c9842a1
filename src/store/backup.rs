//! Everything in one file, and the way back onto an empty machine.
//!
//! One JSON value a line: a header, the values by tree and key, the uploaded geo databases in pieces, and a seal
//! with the hash of what precedes it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
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
/// Of a geo database, on one line; a whole number of groups of three, so that only the last is padded.
const PIECE_BYTES: u64 = 48 << 10;

/// Where uploaded geo databases lie in the data directory; the only files in it that nothing else can make again.
pub const GEO_DIRECTORY: &str = "geo";
/// What their names end with; others there are unfinished uploads.
const GEO_SUFFIX: &str = ".mmdb";

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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    geo: Vec<GeoFile>,
}

/// An uploaded geo database in a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeoFile {
    pub name: String,
    pub bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Stored(Stored),
    Piece(Piece),
}

/// The next bytes of a geo database.
#[derive(Serialize, Deserialize)]
struct Piece {
    geo: String,
    base64: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
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

/// A backup in which everything is but the geo databases, which anybody may read.
pub struct Begun {
    out: Hashed,
    geo: Vec<(GeoFile, File)>,
    values: u64,
}

impl Store {
    /// Begins a backup in `file`, readable by its owner only; `Begun::finish` completes it and need not hold up the store.
    pub fn begin_backup(&self, file: &Path, secrets: Secrets) -> Result<Begun, Fault> {
        let engine = self.engine()?;
        let geo = geo_files(&self.dir).map_err(|error| Fault::disk(&self.dir.join(GEO_DIRECTORY), "read", error))?;
        let mut out = Hashed { out: files::Unfinished::begin(file)?, hasher: Sha256::new() };
        let listed = geo.iter().map(|(listed, _)| listed.clone()).collect();
        let header = Header { northing_backup: FORMAT, revision: self.head.revision, secrets, geo: listed };
        out.line(&header).map_err(|error| out.out.fault(error))?;
        let mut values = 0;
        let trees = Tree::ALL.into_iter().filter(|tree| *tree != Tree::Secrets || secrets == Secrets::Include);
        for tree in trees {
            let walk = engine.walk(tree, EVERYTHING, Order::Ascending, &mut |key, payload| {
                out.line(&Stored { tree, key: key_text(tree, key)?, value: parsed(&payload)? })?;
                values += 1;
                Ok(ControlFlow::Continue(()))
            });
            walk.map_err(|trouble| match trouble {
                Trouble::Damage(_) => self.database_fault("read the database", &trouble),
                Trouble::Disk(text) => out.out.fault(io::Error::other(text)),
            })?;
        }
        Ok(Begun { out, geo, values })
    }
}

impl Begun {
    /// Writes the geo databases and the seal, and puts the file in its place.
    pub fn finish(self) -> Result<(), Fault> {
        let Begun { mut out, geo, mut values } = self;
        let write = || -> io::Result<()> {
            for (listed, file) in geo {
                values += pieces(&listed, file, |piece| out.line(piece))?;
            }
            let sha256 = hex(out.hasher.clone());
            out.line(&Seal { values, sha256 })
        };
        write().map_err(|error| out.out.fault(error))?;
        out.out.finish()
    }
}

/// The geo databases in a backup, of which `beginning` holds the first line.
pub fn geo_in_backup(beginning: &[u8]) -> Vec<GeoFile> {
    let line = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice::<Header>(line).map_or_else(|_| Vec::new(), |header| header.geo)
}

/// The uploaded geo databases of a data directory, opened: one that is replaced meanwhile stays readable.
fn geo_files(dir: &Path) -> io::Result<Vec<(GeoFile, File)>> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(dir.join(GEO_DIRECTORY)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_geo_name(&name) {
            let file = File::open(entry.path())?;
            files.push((GeoFile { name, bytes: file.metadata()?.len() }, file));
        }
    }
    files.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    Ok(files)
}

/// True for what is a file in the directory, and in no other.
fn is_geo_name(name: &str) -> bool {
    name.strip_suffix(GEO_SUFFIX).is_some_and(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
}

/// Writes a file in pieces, and says how many.
fn pieces(listed: &GeoFile, file: File, mut write: impl FnMut(&Piece) -> io::Result<()>) -> io::Result<u64> {
    let (mut file, mut left, mut count) = (BufReader::new(file), listed.bytes, 0);
    while left > 0 {
        let mut bytes = Vec::new();
        file.by_ref().take(left.min(PIECE_BYTES)).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Err(io::Error::other(format!("{} became shorter meanwhile", listed.name)));
        }
        left -= bytes.len() as u64;
        write(&Piece { geo: listed.name.clone(), base64: BASE64_STANDARD.encode(&bytes) })?;
        count += 1;
    }
    Ok(count)
}

/// Builds the data directory `dir`, which must be empty or absent, from a backup. Everything is checked
/// before `dir` can be used: a failed restore leaves none that opens. Says which geo databases were in it.
pub fn restore(file: &Path, dir: &Path) -> Result<Vec<GeoFile>, Fault> {
    let header = check(file)?;
    let used = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if used {
        let remedy = "restore into an empty directory, or move this one away first";
        return Err(Fault::new(dir, "the directory is not empty", remedy));
    }
    let _lock = start::lock(dir)?;
    let building = dir.join("sled.new");
    let geo = dir.join(GEO_DIRECTORY);
    let built = build(file, &building, &geo, &header.geo);
    let head = built.map_err(|trouble| {
        // What was built so far is of no use; should it stay, the next start removes it.
        let _ = fs::remove_dir_all(&building);
        let _ = fs::remove_dir_all(&geo);
        Fault::new(file, format!("cannot restore: {}", trouble.text()), "check the disk, or use another backup")
    })?;
    if head.revision != header.revision {
        return Err(Fault::new(file, "its header is of another revision", "use another backup"));
    }
    Journal::create(&start::journal_path(dir), head.transaction)?;
    let sled = start::sled_directory(dir);
    let rename = fs::rename(&building, &sled).and_then(|()| files::sync_directory(dir));
    rename.map_err(|error| Fault::disk(&sled, "put the database here", error))?;
    Ok(header.geo)
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
            if let Some(strange) = read.geo.iter().find(|file| !is_geo_name(&file.name)) {
                return Err(format!("{:?} is no geo database", strange.name));
            }
            header = Some(read);
            return Ok(());
        }
        match serde_json::from_str(line).map_err(|error| error.to_string())? {
            Line::Stored(stored) if key_bytes(stored.tree, &stored.key).is_none() => {
                Err(format!("{:?} is no key", stored.key))
            }
            Line::Piece(piece) if !header.iter().flat_map(|known| &known.geo).any(|file| file.name == piece.geo) => {
                Err(format!("the header does not name {:?}", piece.geo))
            }
            Line::Stored(_) | Line::Piece(_) => Ok(()),
        }
    })
    .map_err(refuse)?;
    header.ok_or_else(|| Fault::new(file, "the file is empty", "use another backup"))
}

fn build(file: &Path, building: &Path, geo: &Path, listed: &[GeoFile]) -> Result<Head, Trouble> {
    let mut databases = Databases::create(geo, listed)?;
    {
        let engine = Engine::open(building)?;
        let mut batch = Batch::default();
        let mut header_passed = false;
        let mut trouble = Ok(());
        let read = lines(file, |text| {
            if !std::mem::replace(&mut header_passed, true) {
                return Ok(());
            }
            let stored = match serde_json::from_str(text).map_err(|error| error.to_string())? {
                Line::Stored(stored) => stored,
                Line::Piece(piece) => return databases.take(&piece),
            };
            let key = key_bytes(stored.tree, &stored.key).ok_or("a key is not one")?;
            batch.put(stored.tree, &key, &written(&stored.value), None);
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
    databases.finish(geo, listed)?;
    let (engine, state) = start::open_checked(building)?;
    engine.sync()?;
    Ok(state.head)
}

/// The geo databases that are being written.
struct Databases(BTreeMap<String, File>);

impl Databases {
    fn create(geo: &Path, listed: &[GeoFile]) -> Result<Databases, String> {
        if !listed.is_empty() {
            files::private_directory(geo).map_err(|fault| fault.to_string())?;
        }
        let create = |file: &GeoFile| Ok((file.name.clone(), files::private_file(&geo.join(&file.name))?));
        let created: io::Result<_> = listed.iter().map(create).collect();
        created.map(Databases).map_err(|error| error.to_string())
    }

    fn take(&mut self, piece: &Piece) -> Result<(), String> {
        let bytes = BASE64_STANDARD.decode(&piece.base64).map_err(|error| error.to_string())?;
        let file = self.0.get_mut(&piece.geo).ok_or("a piece of no database")?;
        file.write_all(&bytes).map_err(|error| error.to_string())
    }

    fn finish(self, geo: &Path, listed: &[GeoFile]) -> Result<(), String> {
        for (name, file) in &self.0 {
            let length = file.sync_all().and_then(|()| file.metadata()).map_err(|error| error.to_string())?.len();
            if !listed.iter().any(|wanted| wanted.name == *name && wanted.bytes == length) {
                return Err(format!("{name} has {length} bytes, which is not what the header says"));
            }
        }
        if self.0.is_empty() { Ok(()) } else { files::sync_directory(geo).map_err(|error| error.to_string()) }
    }
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
struct Hashed {
    out: files::Unfinished,
    hasher: Sha256,
}

impl Hashed {
    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.hasher.update(&line);
        self.out.write_all(&line)
    }
}
