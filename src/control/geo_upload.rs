//! A geo database that somebody uploads: received beside the one in use, examined, and put in its place once they
//! have seen what would change. Whatever is wrong with it, nothing changes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::geo_files::{DECODING, Database, GeoFiles, Source};
use super::{Author, Control, Refusal, to_its_end};
use crate::geo::{Base, DatabaseInfo, Landmarks, Moves};
use crate::store::{self, UNFINISHED};

/// The largest file taken, in bytes; the largest city databases have about 150 MB.
pub const MAX_UPLOAD: u64 = 256 << 20;
/// What an upload leaves of the disk to everything else, in bytes.
const DISK_RESERVE: u64 = 64 << 20;
/// The least share of well-known addresses that a database must place where they are.
const LEAST_LANDMARKS: f64 = 0.75;
/// The least share of networks with a country.
const LEAST_COUNTRIES_PERCENT: f64 = 80.0;
/// Moves between countries that are told apart.
const MOVES_SHOWN: usize = 10;

/// What would be if another database were used.
#[derive(Debug)]
pub struct Report {
    /// `None` where there would be no database of the kind.
    pub info: Option<DatabaseInfo>,
    pub landmarks: Landmarks,
    pub moves: Moves,
}

/// Why no upload can be received.
#[derive(Debug)]
pub enum Unready {
    /// Says how much is missing.
    Full(String),
    Fault(store::Fault),
}

/// A file that is being received; removed unless `examine` takes it.
pub struct Incoming {
    path: PathBuf,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // It is gone by now where it was taken; what a crash leaves goes at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

impl GeoFiles {
    /// Removes what uploads left that nobody finished.
    pub fn remove_unfinished(&self) {
        if self.dir.is_dir()
            && let Err(error) = store::remove_unfinished(&self.dir)
        {
            tracing::warn!("{} cannot be cleared of unfinished uploads: {error}", self.dir.display());
        }
    }

    /// Opens a file to receive an upload of `expected` bytes in.
    pub fn incoming(&self, database: Database, expected: u64) -> Result<(Incoming, File), Unready> {
        store::private_directory(&self.dir).map_err(Unready::Fault)?;
        let needed = expected.min(MAX_UPLOAD) + DISK_RESERVE;
        if let Some(free) = store::free_bytes(&self.dir).filter(|free| *free < needed) {
            return Err(Unready::Full(format!(
                "the disk has {} MiB left and {} are needed; make room on that of {}",
                free >> 20,
                needed >> 20,
                self.dir.display()
            )));
        }
        let path = self.dir.join(format!("{}-{:016x}{UNFINISHED}", database.word(), rand::random::<u64>()));
        let file = store::private_file(&path)
            .map_err(|error| Unready::Fault(store::Fault::disk(&path, "write this file", error)))?;
        Ok((Incoming { path }, file))
    }

    /// Looks whether a received file can be used, and what would change. It waits for `put` from then on.
    pub async fn examine(&self, database: Database, incoming: Incoming, now: Arc<Base>) -> Result<Report, String> {
        let one = DECODING.lock().await;
        let files = self.clone();
        let examined = tokio::task::spawn_blocking(move || {
            // As long as it is decoded, though nobody may wait for it any more.
            let _one = one;
            let report = files.report(database, Some(&incoming.path), &now)?;
            let waiting = files.waiting(database);
            fs::rename(&incoming.path, &waiting)
                .map_err(|error| format!("{} cannot be written: {error}", waiting.display()))?;
            Ok(report)
        });
        examined.await.unwrap_or_else(|_| Err("the file could not be decoded; use another one".into()))
    }

    /// What would change without the uploaded file.
    pub async fn examine_bundled(&self, database: Database, now: Arc<Base>) -> Result<Report, String> {
        let one = DECODING.lock().await;
        let files = self.clone();
        let examined = tokio::task::spawn_blocking(move || {
            let _one = one;
            files.report(database, None, &now)
        });
        examined.await.unwrap_or_else(|_| Err("the bundled database could not be decoded".into()))
    }

    fn report(&self, database: Database, file: Option<&Path>, now: &Base) -> Result<Report, String> {
        let base = self.load_with(database, file).map_err(|reason| match file {
            // Its name on this disk says nothing to whoever sent it.
            Some(file) => reason.replacen(&format!("{}: ", file.display()), "", 1),
            None => reason,
        })?;
        let landmarks = base.landmarks();
        let info = base.databases().get(database as usize).cloned();
        if let Some(info) = info.as_ref().filter(|_| file.is_some()) {
            sound(database, info, &landmarks)?;
        }
        Ok(Report { info, landmarks, moves: now.moves_to(&base, MOVES_SHOWN) })
    }

    /// Puts the examined file in use, durably. `sha256` says which: another may have been uploaded since.
    pub async fn put(
        &self,
        control: &Control,
        database: Database,
        sha256: &str,
        author: Author,
    ) -> Result<(), Refusal> {
        let (files, control, wanted) = (self.clone(), control.clone(), sha256.to_owned());
        to_its_end(async move {
            let _one = DECODING.lock().await;
            let looking = files.clone();
            let loaded = tokio::task::spawn_blocking(move || {
                let waiting = looking.waiting(database);
                if !waiting.exists() {
                    let detail = "The uploaded file was applied or is no longer kept; upload it again.";
                    return Err(Refusal::Conflict(detail.into()));
                }
                looking.load_with(database, Some(&waiting)).map_err(Refusal::Fault)
            });
            let lost = |_| Refusal::Fault("the geo database could not be decoded; see the log".into());
            let base = loaded.await.map_err(lost)??;
            if base.databases().get(database as usize).is_none_or(|info| info.sha256 != wanted) {
                let detail = "Somebody uploaded another file since you looked at yours; upload it again.";
                return Err(Refusal::Conflict(detail.into()));
            }
            let (from, to) = (files.waiting(database), files.uploaded(database));
            files.swap(&control, database, base, author, move || fs::rename(&from, &to)).await
        })
        .await
    }

    /// Goes back to what is used without an upload.
    pub async fn take_back(&self, control: &Control, database: Database, author: Author) -> Result<(), Refusal> {
        let (files, control) = (self.clone(), control.clone());
        to_its_end(async move {
            let _one = DECODING.lock().await;
            let Source::Uploaded(path) = files.source(database) else {
                let detail = "No uploaded database is in use; somebody else may have gone back.";
                return Err(Refusal::Conflict(detail.into()));
            };
            let looking = files.clone();
            let loaded = tokio::task::spawn_blocking(move || looking.load_with(database, None));
            let loaded = loaded.await.unwrap_or_else(|_| Err("the bundled database could not be decoded".into()));
            let base = loaded.map_err(Refusal::Fault)?;
            files.swap(&control, database, base, author, move || fs::remove_file(&path)).await
        })
        .await
    }

    /// Written down, then on the disk, then in use.
    async fn swap(
        &self,
        control: &Control,
        database: Database,
        base: Base,
        author: Author,
        place: impl FnOnce() -> std::io::Result<()>,
    ) -> Result<(), Refusal> {
        let after = brief(&base);
        let mut draft = author.act("replace geo data", format!("geo/{}", database.word()));
        (draft.before, draft.after) = (Some(brief(control.snapshot().geo())), Some(after));
        control.record(draft).await?;
        place()
            .and_then(|()| store::sync_directory(&self.dir))
            .map_err(|error| store::Fault::disk(&self.dir, "change this directory", error))?;
        let names: Vec<&str> = base.databases().iter().map(|info| info.kind.as_str()).collect();
        let note = format!("{} put {} in use", author.actor, names.join(" with "));
        control.set_geo(Arc::new(base), note).await
    }

    fn waiting(&self, database: Database) -> PathBuf {
        self.dir.join(format!("{}-examined{UNFINISHED}", database.word()))
    }
}

/// For the audit log.
fn brief(base: &Base) -> Value {
    let one = |info: &DatabaseInfo| json!({ "kind": info.kind, "built": info.built, "sha256": info.sha256 });
    base.databases().iter().map(one).collect()
}

/// A part of the world, or somebody's own networks, would place nobody else.
fn sound(database: Database, info: &DatabaseInfo, landmarks: &Landmarks) -> Result<(), String> {
    let least = (LEAST_LANDMARKS * landmarks.all as f64).ceil() as usize;
    match database {
        Database::Location if info.country_percent < LEAST_COUNTRIES_PERCENT => Err(format!(
            "only {:.0} % of the networks in this {:?} have a country; use a database of countries or cities",
            info.country_percent, info.kind
        )),
        Database::Location if landmarks.in_country < least => {
            let stray = landmarks.stray.map(|(address, country, said)| {
                let said = said.map_or("nowhere".to_owned(), |said| format!("in {said}"));
                format!(" ({address} is in {country}, and the file has it {said})")
            });
            Err(format!(
                "it has only {} of {} well-known addresses in their country{}; use a complete database of the whole world",
                landmarks.in_country,
                landmarks.all,
                stray.unwrap_or_default()
            ))
        }
        Database::Asn if landmarks.with_asn < least => Err(format!(
            "it has an AS number for only {} of {} well-known addresses; use a complete database of the whole world",
            landmarks.with_asn, landmarks.all
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::config::Config;
    use crate::control::running;
    use crate::geo::mmdb_writer::{Map, Number, Writer};
    use crate::health::EventKind;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_is_put_in_use_though_nobody_waits_for_the_answer() {
        let dir = TempDir::new().unwrap();
        let control = running::start(&dir.path().join("store"));
        let files = files(&dir);
        fs::write(files.waiting(Database::Location), include_bytes!("../../geo-data/country.mmdb")).unwrap();
        let sha256 = files.load().unwrap().databases()[0].sha256.clone();
        let mut events = control.shared().live.subscribe();
        let put = files.put(&control, Database::Location, &sha256, Author::new("ann"));
        // The browser hangs up as soon as the work has begun.
        tokio::select! { biased; _ = put => unreachable!("it takes longer"), () = std::future::ready(()) => {} }
        while !events.recv().await.is_ok_and(|event| event.kind == EventKind::GeoDatabase) {}
        assert_eq!(files.source(Database::Location), Source::Uploaded(files.uploaded(Database::Location)));
        assert_eq!(control.snapshot().geo().databases()[0].sha256, sha256);
    }

    fn files(dir: &TempDir) -> GeoFiles {
        let files = GeoFiles::of(&Config { data_dir: dir.path().into(), ..Config::default() });
        store::private_directory(&files.dir).unwrap();
        files
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_examination_that_nobody_waits_for_still_is_the_only_one() {
        let dir = TempDir::new().unwrap();
        let files = files(&dir);
        // A file that is read for as long as somebody writes it.
        let path = files.dir.join("slow");
        let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: `name` is a C string.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let (incoming, now) = (Incoming { path: path.clone() }, Arc::new(Base::empty()));
        let examining = tokio::spawn(async move { files.examine(Database::Location, incoming, now).await });
        let opened = tokio::task::spawn_blocking(move || fs::OpenOptions::new().write(true).open(path));
        let writer = opened.await.unwrap().unwrap();
        // It is being read; now the browser hangs up.
        examining.abort();
        assert!(examining.await.unwrap_err().is_cancelled());
        assert!(DECODING.try_lock().is_err());
        drop(writer);
        drop(DECODING.lock().await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_that_is_not_put_in_use_is_told_why() {
        let dir = TempDir::new().unwrap();
        let control = running::start(&dir.path().join("store"));
        let files = files(&dir);
        let put = async |database, sha256: &str| match files
            .put(&control, database, sha256, Author::new("ann"))
            .await
            .unwrap_err()
        {
            Refusal::Conflict(why) | Refusal::Fault(why) => why,
            other => panic!("{other:?}"),
        };
        assert!(put(Database::Location, "x").await.contains("no longer kept"));
        fs::write(files.waiting(Database::Location), b"cut").unwrap();
        let why = put(Database::Location, "x").await;
        assert!(why.contains("location-examined"), "{why}");
        // The hash of the database of the other kind is that of no uploaded file.
        let asn = Map(vec![("autonomous_system_number", Number(7018))]);
        fs::write(files.waiting(Database::Asn), Writer::new(6, 28).put("12.0.0.0/8", asn).finish()).unwrap();
        let sha256 = files.load().unwrap().databases()[0].sha256.clone();
        let why = put(Database::Asn, &sha256).await;
        assert!(why.contains("another file"), "{why}");
    }
}
