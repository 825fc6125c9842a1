//! What was acknowledged since the newest export, in one plain file: export and journal together hold every
//! acknowledged change even when the database is lost, and tell when the database forgot one.
//!
//! The file is a header (magic, the transaction before the first record) and records (length, transaction,
//! checksum, batch). A record is written and synced before the database hears of its batch.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::engine::Trouble;
use super::layout::Batch;
use super::{Fault, files};

const MAGIC: &[u8; 8] = b"NORTHJ\x00\x01";
const CHECKSUM: usize = 8;
const HEADER: usize = MAGIC.len() + 8 + CHECKSUM;
/// Before the batch of a record: its length, its transaction, the checksum of both and the batch.
const RECORD: usize = 4 + 8 + CHECKSUM;

pub struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    /// The transaction of the last record, or the one before the first.
    last: u64,
    /// A length to go back to before anything else is written: what follows was refused.
    refused_from: Option<u64>,
}

/// What a journal file says.
#[derive(Debug, PartialEq)]
pub struct Contents {
    /// Everything up to this transaction is in the database and in an export.
    pub base: u64,
    pub records: Vec<(u64, Batch)>,
    /// Bytes up to the end of the last whole record.
    length: u64,
}

impl Contents {
    /// `None` where there is no journal; an error where its header cannot be read. A torn end is what a
    /// crash leaves and is no error: its record was never acknowledged.
    pub fn read(path: &Path) -> Result<Option<Contents>, Trouble> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => return Ok(None),
                // Whole as it may be, it is not ours to put aside.
                io::ErrorKind::PermissionDenied => return Err(Trouble::Disk(error.to_string())),
                _ => return Err(Trouble::Damage(error.to_string())),
            },
        };
        let (header, mut rest) = bytes.split_at_checked(HEADER).ok_or_else(|| "the header is cut".to_owned())?;
        let (body, sum) = header.split_at(HEADER - CHECKSUM);
        let (magic, base) = body.split_at(MAGIC.len());
        if magic != MAGIC || sum != checksum(&[body]) {
            return Err(Trouble::Damage("the header is damaged".into()));
        }
        let base = number(base);
        let mut records = Vec::new();
        let mut expected = base + 1;
        while let Some((batch, after)) = record(rest, expected) {
            records.push((expected, batch));
            expected += 1;
            rest = after;
        }
        Ok(Some(Contents { base, records, length: (bytes.len() - rest.len()) as u64 }))
    }

    pub fn last(&self) -> u64 {
        self.base + self.records.len() as u64
    }
}

impl Journal {
    /// An empty journal in place of whatever is at `path`.
    pub fn create(path: &Path, base: u64) -> Result<Journal, Fault> {
        files::replace(path, |out| out.write_all(&header(base)))?;
        let file = files::private_file(path).map_err(|error| Fault::disk(path, "open this file", error))?;
        Ok(Journal { path: path.to_owned(), file, length: HEADER as u64, last: base, refused_from: None })
    }

    /// Goes on after what was read; a torn end is cut off before the first append.
    pub fn resume(path: &Path, contents: &Contents) -> Result<Journal, Fault> {
        let file = files::private_file(path).map_err(|error| Fault::disk(path, "open this file", error))?;
        let (length, last) = (contents.length, contents.last());
        Ok(Journal { path: path.to_owned(), file, length, last, refused_from: Some(length) })
    }

    pub fn bytes(&self) -> u64 {
        self.length
    }

    /// Durable when it returns.
    pub fn append(&mut self, batch: &Batch) -> Result<(), Fault> {
        self.settle()?;
        let payload = batch.encode();
        let place = [&(payload.len() as u32).to_be_bytes()[..], &(self.last + 1).to_be_bytes()].concat();
        let record = [&place[..], &checksum(&[&place, &payload]), &payload].concat();
        self.refused_from = Some(self.length);
        let write = self.file.write_all_at(&record, self.length).and_then(|()| self.file.sync_data());
        write.map_err(|error| Fault::disk(&self.path, "write the journal", error))?;
        self.refused_from = None;
        self.length += record.len() as u64;
        self.last += 1;
        Ok(())
    }

    /// Takes the last record back, `length` being that of the file before it.
    pub fn withdraw(&mut self, length: u64) -> Result<(), Fault> {
        self.length = length;
        self.last -= 1;
        self.refused_from = Some(length);
        self.settle()
    }

    /// Makes sure that nothing refused is left in the file.
    pub fn settle(&mut self) -> Result<(), Fault> {
        if let Some(length) = self.refused_from {
            let cut = self.file.set_len(length).and_then(|()| self.file.sync_data());
            cut.map_err(|error| Fault::disk(&self.path, "shorten the journal", error))?;
            self.refused_from = None;
        }
        Ok(())
    }
}

fn header(base: u64) -> Vec<u8> {
    let body = [&MAGIC[..], &base.to_be_bytes()].concat();
    [&body[..], &checksum(&[&body])].concat()
}

/// The record of transaction `expected` at the start of `bytes`, and what follows it.
fn record(bytes: &[u8], expected: u64) -> Option<(Batch, &[u8])> {
    let (head, rest) = bytes.split_at_checked(RECORD)?;
    let (place, sum) = head.split_at(RECORD - CHECKSUM);
    let (payload, rest) = rest.split_at_checked(number(&place[..4]) as usize)?;
    let whole = sum == checksum(&[place, payload]) && number(&place[4..]) == expected;
    Some((whole.then(|| Batch::decode(payload))??, rest))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

fn checksum(parts: &[&[u8]]) -> [u8; CHECKSUM] {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&hasher.finalize()[..CHECKSUM]);
    sum
}

#[cfg(test)]
mod tests {
    use super::super::layout::Tree;
    use super::*;

    fn batch(text: &str) -> Batch {
        let mut batch = Batch::default();
        batch.put(Tree::Model, text.as_bytes(), b"{}", None);
        batch
    }

    fn texts(path: &Path) -> Vec<(u64, Batch)> {
        Contents::read(path).unwrap().unwrap().records
    }

    #[test]
    fn records_come_back_in_order_and_a_torn_end_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::create(&path, 6).unwrap();
        journal.append(&batch("a")).unwrap();
        let whole = fs::read(&path).unwrap();
        journal.append(&batch("b")).unwrap();
        assert_eq!(texts(&path), [(7, batch("a")), (8, batch("b"))]);
        let all = fs::read(&path).unwrap();
        for length in whole.len()..all.len() {
            fs::write(&path, &all[..length]).unwrap();
            assert_eq!(texts(&path), [(7, batch("a"))]);
        }
    }

    #[test]
    fn a_withdrawn_record_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::create(&path, 0).unwrap();
        journal.append(&batch("a")).unwrap();
        let length = journal.bytes();
        journal.append(&batch("refused")).unwrap();
        journal.withdraw(length).unwrap();
        journal.append(&batch("b")).unwrap();
        assert_eq!(texts(&path), [(1, batch("a")), (2, batch("b"))]);
    }

    #[test]
    fn no_journal_and_a_damaged_header_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        assert_eq!(Contents::read(&path), Ok(None));
        Journal::create(&path, 3).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[9] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(Contents::read(&path).is_err());
    }
}
