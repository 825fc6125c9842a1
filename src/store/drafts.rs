//! Drafts of changes, one plain file for each author: they survive a restart, and are no part of the
//! configuration, its history or its backups.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Fault, Store, files};

const DIRECTORY: &str = "drafts";
/// The largest draft read back: twice the largest body of a request.
const MAX_BYTES: u64 = 128 << 20;

impl Store {
    /// Keeps the draft of `author` durably, or removes it.
    pub fn put_draft(&self, author: &str, draft: Option<&Value>) -> Result<(), Fault> {
        let directory = self.dir.join(DIRECTORY);
        files::private_directory(&directory)?;
        let path = directory.join(file_name(author));
        match draft {
            Some(draft) => files::write_private(&path, draft.to_string().as_bytes()),
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(Fault::disk(&path, "remove this file", error))
                }
                _ => Ok(()),
            },
        }
    }
}

/// Every draft that is kept in a data directory. One that cannot be read is left where it is and not returned.
pub fn kept(dir: &Path) -> Vec<Value> {
    let Ok(entries) = fs::read_dir(dir.join(DIRECTORY)) else { return Vec::new() };
    entries.filter_map(|entry| read(entry.ok()?.path())).collect()
}

fn read(path: PathBuf) -> Option<Value> {
    let small = path.metadata().ok()?.len() <= MAX_BYTES && path.extension().is_some_and(|end| end == "json");
    let text = small.then(|| fs::read(&path).ok())??;
    serde_json::from_slice(&text).ok()
}

/// Authors may have any name; their files have plain ones.
fn file_name(author: &str) -> String {
    let digest = Sha256::digest(author.as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>() + ".json"
}
