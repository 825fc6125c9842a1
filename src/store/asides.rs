//! What is worth keeping over a restart and no part of the configuration, its history or its backups: plain
//! files, replaced whole.

use std::fs;

use serde_json::Value;

use super::{Fault, Store, files};

/// The largest file read back.
const MAX_BYTES: u64 = 16 << 20;

/// A file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// Who has signed in with a browser: hashes of secrets, and when.
    Sessions,
    /// When tokens were used last, and from where.
    TokenUses,
    /// When the last backup was finished, and by whom it was made.
    LastBackup,
}

impl Aside {
    fn file(self) -> &'static str {
        match self {
            Aside::Sessions => "sessions.json",
            Aside::TokenUses => "token-uses.json",
            Aside::LastBackup => "last-backup.json",
        }
    }
}

impl Store {
    pub fn put_aside(&self, aside: Aside, value: &Value) -> Result<(), Fault> {
        files::write_private(&self.dir.join(aside.file()), value.to_string().as_bytes())
    }

    /// As it was kept; `Null` where there is none, or none that can be read.
    pub fn aside(&self, aside: Aside) -> Value {
        let path = self.dir.join(aside.file());
        let small = path.metadata().is_ok_and(|file| file.len() <= MAX_BYTES);
        let text = small.then(|| fs::read(&path).ok()).flatten();
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }
}
