//! How things lie in the database: trees, keys, values with a schema and a checksum, and the batches that
//! change them. No I/O.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::Kind;

/// The format of everything this version writes. A newer one is refused, never guessed at.
pub const FORMAT: u8 = 1;
/// Longer values are split. sled keeps up to 20 values in a page and writes a page of more than 128 KiB to a
/// file of its own, without fsync; pages stay below that.
pub const CHUNK: usize = 4 << 10;
/// Format, checksum and length, before the first chunk of a value.
const HEADER: usize = 1 + CHECKSUM + 4;
const CHECKSUM: usize = 4;
/// A zero byte and the number of the chunk, after the key of a value.
const SUFFIX: usize = 1 + 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Tree {
    /// `kind/id` → the entity.
    Model,
    /// Number → the revision without its changes.
    Revisions,
    /// Number → the changes of the revision.
    Changes,
    /// Sequence → the entry.
    Audit,
    /// Sequence → the event.
    Events,
    /// Key → last state.
    Health,
    /// Key → secret.
    Secrets,
    /// `head` → `Head`.
    Meta,
}

impl Tree {
    pub const ALL: [Tree; 8] = [
        Tree::Model,
        Tree::Revisions,
        Tree::Changes,
        Tree::Audit,
        Tree::Events,
        Tree::Health,
        Tree::Secrets,
        Tree::Meta,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Tree::Model => "model",
            Tree::Revisions => "revisions",
            Tree::Changes => "changes",
            Tree::Audit => "audit",
            Tree::Events => "events",
            Tree::Health => "health",
            Tree::Secrets => "secrets",
            Tree::Meta => "meta",
        }
    }

    /// Whether keys are numbers, big-endian so that they sort.
    pub fn is_numbered(self) -> bool {
        matches!(self, Tree::Revisions | Tree::Changes | Tree::Audit | Tree::Events)
    }
}

/// Where the database stands; one value, changed by every transaction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Counts what had to be durable: revisions, audited acts, secrets.
    pub transaction: u64,
    pub revision: u64,
    /// The sequence of the newest audit entry.
    pub audit: u64,
    pub model: Digests,
}

/// The sum of the digests of all entities: tells a lost, stale or foreign entity without reading the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digests(u128);

impl Digests {
    pub fn add(&mut self, key: &[u8], payload: &[u8]) {
        self.0 = self.0.wrapping_add(digest(key, payload));
    }

    pub fn remove(&mut self, key: &[u8], payload: &[u8]) {
        self.0 = self.0.wrapping_sub(digest(key, payload));
    }
}

impl Serialize for Digests {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:032x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Digests {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(Digests).map_err(serde::de::Error::custom)
    }
}

/// One stored key and its new bytes; `None` removes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    pub tree: Tree,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// Writes that take effect together or not at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch(pub Vec<Write>);

impl Batch {
    /// Stores `payload` in place of `old`, the payload stored so far.
    pub fn put(&mut self, tree: Tree, key: &[u8], payload: &[u8], old: Option<&[u8]>) {
        for number in 0..chunks(payload.len()) {
            let part = &payload[number * CHUNK..payload.len().min((number + 1) * CHUNK)];
            let mut value = Vec::with_capacity(HEADER + part.len());
            if number == 0 {
                value.push(FORMAT);
                value.extend(&checksum(key, payload));
                value.extend((payload.len() as u32).to_be_bytes());
            }
            value.extend(part);
            self.0.push(Write { tree, key: stored_key(key, number), value: Some(value) });
        }
        self.remove_chunks(tree, key, chunks(payload.len()), old);
    }

    /// Removes what is stored under `key`, `old` being its payload.
    pub fn remove(&mut self, tree: Tree, key: &[u8], old: Option<&[u8]>) {
        self.remove_chunks(tree, key, 0, old);
    }

    fn remove_chunks(&mut self, tree: Tree, key: &[u8], from: usize, old: Option<&[u8]>) {
        for number in from..old.map_or(0, |old| chunks(old.len())) {
            self.0.push(Write { tree, key: stored_key(key, number), value: None });
        }
    }

    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|write| (write.key.len() + write.value.as_ref().map_or(0, Vec::len)) as u64).sum()
    }

    /// As the journal keeps it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes() as usize + self.0.len() * 9);
        for write in &self.0 {
            out.push(write.tree as u8);
            out.extend((write.key.len() as u32).to_be_bytes());
            out.extend(&write.key);
            let length = write.value.as_ref().map_or(u32::MAX, |value| value.len() as u32);
            out.extend(length.to_be_bytes());
            out.extend(write.value.iter().flatten());
        }
        out
    }

    /// `None` if the bytes were not made by `encode`.
    pub fn decode(mut bytes: &[u8]) -> Option<Batch> {
        let mut batch = Batch::default();
        while let Some((&tree, rest)) = bytes.split_first() {
            let tree = *Tree::ALL.get(usize::from(tree))?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (key, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let length = u32::from_be_bytes(*length);
            let (value, rest) = match length {
                u32::MAX => (None, rest),
                _ => rest.split_at_checked(length as usize).map(|(value, rest)| (Some(value.to_vec()), rest))?,
            };
            batch.0.push(Write { tree, key: key.to_vec(), value });
            bytes = rest;
        }
        Some(batch)
    }
}

/// What a stored key is: the key of a value and the number of the chunk.
pub fn split_key(stored: &[u8]) -> Option<(&[u8], u32)> {
    let (key, suffix) = stored.split_at_checked(stored.len().checked_sub(SUFFIX)?)?;
    let (zero, number) = suffix.split_first()?;
    (*zero == 0).then_some((key, u32::from_be_bytes(number.try_into().ok()?)))
}

pub fn stored_key(key: &[u8], chunk: usize) -> Vec<u8> {
    let mut stored = Vec::with_capacity(key.len() + SUFFIX);
    stored.extend(key);
    stored.push(0);
    stored.extend((chunk as u32).to_be_bytes());
    stored
}

/// The payload under `key`, from its first chunk and whatever `chunk` finds of the others.
pub fn payload<E: From<String>>(
    key: &[u8],
    first: &[u8],
    mut chunk: impl FnMut(usize) -> Result<Option<Vec<u8>>, E>,
) -> Result<Vec<u8>, E> {
    let name = || String::from_utf8_lossy(key).into_owned();
    let (header, part) = first.split_at_checked(HEADER).ok_or_else(|| format!("the value of {} is cut", name()))?;
    if header[0] != FORMAT {
        return Err(format!("the value of {} has format {}, this version knows {FORMAT}", name(), header[0]).into());
    }
    let length = header[1 + CHECKSUM..].iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    let mut payload = part.to_vec();
    for number in 1..chunks(length) {
        payload.extend(chunk(number)?.ok_or_else(|| format!("a part of the value of {} is missing", name()))?);
    }
    if payload.len() != length || checksum(key, &payload) != header[1..1 + CHECKSUM] {
        return Err(format!("the value of {} does not fit its checksum", name()).into());
    }
    Ok(payload)
}

/// The key of a numbered tree.
pub fn number_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// The number that `key` stands for.
pub fn key_number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

pub fn entity_key(kind: Kind, id: &str) -> String {
    let word = KINDS.iter().find(|known| known.0 == kind).map_or("", |known| known.1);
    format!("{word}/{id}")
}

pub fn entity_of_key(key: &str) -> Option<(Kind, &str)> {
    let (word, id) = key.split_once('/')?;
    kind_of_word(word).map(|kind| (kind, id))
}

pub fn kind_of_word(word: &str) -> Option<Kind> {
    KINDS.iter().find(|known| known.1 == word).map(|known| known.0)
}

const KINDS: [(Kind, &str); 8] = [
    (Kind::Zones, "zones"),
    (Kind::Records, "records"),
    (Kind::Regions, "regions"),
    (Kind::Monitors, "monitors"),
    (Kind::Endpoints, "endpoints"),
    (Kind::Pools, "pools"),
    (Kind::Policies, "policies"),
    (Kind::Tests, "tests"),
];

fn chunks(length: usize) -> usize {
    length.div_ceil(CHUNK).max(1)
}

fn checksum(key: &[u8], payload: &[u8]) -> [u8; CHECKSUM] {
    (digest(key, payload) as u32).to_be_bytes()
}

fn digest(key: &[u8], payload: &[u8]) -> u128 {
    let digest = Sha256::new().chain_update(key).chain_update([0]).chain_update(payload).finalize();
    digest.iter().take(16).fold(0, |sum, &byte| sum << 8 | u128::from(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `put` wrote, read as the engine reads it.
    fn read(batch: &Batch, key: &[u8]) -> Result<Vec<u8>, String> {
        let find = |number| {
            let stored = stored_key(key, number);
            batch.0.iter().find(|write| write.key == stored).and_then(|write| write.value.clone())
        };
        payload(key, &find(0).unwrap_or_default(), |number| Ok::<_, String>(find(number)))
    }

    #[test]
    fn values_of_every_size_come_back() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let payload = vec![7; length];
            let mut batch = Batch::default();
            batch.put(Tree::Model, b"pools/a", &payload, None);
            assert_eq!(read(&batch, b"pools/a"), Ok(payload), "{length}");
            assert!(batch.0.iter().all(|write| write.value.as_ref().unwrap().len() < 6 << 10));
        }
    }

    #[test]
    fn a_shorter_value_leaves_no_chunk_behind() {
        let mut batch = Batch::default();
        batch.put(Tree::Model, b"a", b"short", Some(&vec![1; 2 * CHUNK + 1]));
        let removed = batch.0.iter().filter(|write| write.value.is_none()).count();
        assert_eq!((batch.0.len(), removed), (3, 2));
    }

    #[test]
    fn a_value_under_the_key_of_another_is_refused() {
        let mut batch = Batch::default();
        batch.put(Tree::Model, b"pools/a", b"{}", None);
        let first = batch.0[0].value.clone().unwrap();
        assert!(payload(b"pools/b", &first, |_| Ok::<_, String>(None)).is_err());
    }

    #[test]
    fn every_kind_has_its_word() {
        for (kind, word) in KINDS {
            assert_eq!(serde_json::to_value(kind).unwrap(), word);
            assert_eq!(entity_of_key(&entity_key(kind, "x/@/A")), Some((kind, "x/@/A")));
        }
        for (number, tree) in Tree::ALL.into_iter().enumerate() {
            assert_eq!(tree as usize, number);
            assert_eq!(serde_json::to_value(tree).unwrap(), tree.name());
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_found(length in 0usize..200, place in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut batch = Batch::default();
            batch.put(Tree::Model, b"k", &vec![9; length], None);
            let value = batch.0[0].value.as_mut().unwrap();
            let place = place.index(value.len());
            value[place] ^= 1 << bit;
            prop_assert!(read(&batch, b"k").is_err());
        }

        #[test]
        fn a_batch_comes_back_from_the_journal(
            writes in prop::collection::vec((0usize..8, any::<Vec<u8>>(), any::<Option<Vec<u8>>>()), 0..20)
        ) {
            let write = |(tree, key, value)| Write { tree: Tree::ALL[tree], key, value };
            let batch = Batch(writes.into_iter().map(write).collect());
            prop_assert_eq!(Batch::decode(&batch.encode()), Some(batch));
        }

        #[test]
        fn decoding_any_bytes_does_not_panic(bytes: Vec<u8>) {
            Batch::decode(&bytes);
        }
    }
}
