//! One MMDB file: checked as a whole, then read into ranges of equal records.
//!
//! The tree is walked here and not by the library's iterator, because files that share equal
//! sub-trees (as the bundled one does) hold more networks than its verifier expects, and because a
//! hostile tree can hold 2^96 of them: every walk here ends.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use maxminddb::Reader;
use sha2::{Digest, Sha256};

use super::ranges::Ranges;
use super::record::{self, Seen, Value};
use super::{DatabaseInfo, Refusal};
use crate::model::Place;

/// The largest file taken; the largest commercial city databases are about half of this.
const MAX_FILE_BYTES: usize = 512 << 20;
/// The most tree nodes visited in a file; four times those of the largest known database.
const MAX_STEPS: usize = 1 << 26;
/// The most visits for each node of a file. Sharing equal sub-trees leads to three; a tree without end to any number.
const MAX_STEPS_PER_NODE: usize = 64;
/// The most ranges of one family: 100 MB, twice those of large city databases. A compiled map has room for two files of it.
const MAX_RANGES: usize = 1 << 23;
/// The longest database type shown.
const MAX_KIND: usize = 80;
/// Class 0 of [`Contents::places`]: no record.
pub const NO_RECORD: u32 = 0;

/// What a file says of every address.
pub struct Contents {
    pub info: DatabaseInfo,
    pub v4: Ranges,
    pub v6: Ranges,
    /// By class; the first is empty.
    pub places: Vec<Place>,
    /// The names of the fields that records have, when the schema turns out to be unknown.
    pub fields: String,
}

pub fn read(bytes: Vec<u8>) -> Result<Contents, Refusal> {
    if bytes.len() > MAX_FILE_BYTES {
        let megabytes = bytes.len() >> 20;
        return Err(Refusal(format!("the file has {megabytes} MB; use a database of at most 512 MB")));
    }
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let reader = Reader::from_source(bytes.as_slice()).map_err(|error| {
        Refusal(format!("the file is not a readable MMDB ({error}); use a complete MaxMind DB file of version 2"))
    })?;
    let mut tree = Tree::new(&bytes, &reader);
    let (v4, v6) = tree.walk_both()?;
    // The verifier takes at most three networks per node, so a file with more is one that shares sub-trees. And it stops
    // where there is no description, which free databases leave out. Every record that an address can reach is decoded
    // below all the same.
    if tree.leaves <= tree.node_count.saturating_mul(3) && !reader.metadata().description.is_empty() {
        reader
            .verify()
            .map_err(|error| Refusal(format!("the database is damaged ({error}); download or copy it again")))?;
    }
    let Decoded { places, classes, seen } = decode(&reader, &tree)?;
    let of = |pointers: &Ranges| {
        let class = |pointer| classes.get(&pointer).copied().unwrap_or(NO_RECORD);
        Ranges::collect(pointers.iter().map(|(start, pointer)| (start, class(pointer))))
    };
    let metadata = reader.metadata();
    let info = DatabaseInfo {
        kind: metadata.database_type.chars().take(MAX_KIND).collect(),
        built: metadata.build_epoch,
        sha256,
        networks: tree.networks as u64,
        country_percent: seen.percent(seen.country),
        subdivision_percent: seen.percent(seen.subdivision),
        point_percent: seen.percent(seen.point),
        asn_percent: seen.percent(seen.asn),
    };
    Ok(Contents { info, fields: seen.fields(), v4: of(&v4), v6: of(&v6), places })
}

/// Each of a million networks looks its pointer up, so the hash is one multiplication.
type ByPointer<T> = HashMap<u32, T, BuildHasherDefault<PointerHash>>;

#[derive(Default)]
struct PointerHash(u64);

impl Hasher for PointerHash {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, pointer: u32) {
        self.0 = (self.0 ^ u64::from(pointer)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A data pointer of the tree, how many networks hold it, and an address in one of them.
struct Pointer {
    networks: u64,
    sample: IpAddr,
}

struct Tree<'a> {
    bytes: &'a [u8],
    node_count: usize,
    record_bits: u16,
    ip_version: u16,
    steps: usize,
    leaves: usize,
    networks: usize,
    pointers: ByPointer<Pointer>,
}

/// Where a walk is: a node or leaf, the bits above it, and their number.
type Position = (usize, u128, u8);

impl<'a> Tree<'a> {
    fn new(bytes: &'a [u8], reader: &Reader<&[u8]>) -> Self {
        let metadata = reader.metadata();
        Tree {
            bytes,
            node_count: metadata.node_count as usize,
            record_bits: metadata.record_size,
            ip_version: metadata.ip_version,
            steps: 0,
            leaves: 0,
            networks: 0,
            pointers: ByPointer::default(),
        }
    }

    /// The ranges of both families, with data pointers as classes.
    fn walk_both(&mut self) -> Result<(Ranges, Ranges), Refusal> {
        if self.ip_version == 4 {
            return Ok((self.walk(0, 32, None)?, Ranges::of(NO_RECORD)));
        }
        // Databases of both families keep IPv4 at ::/96.
        let mut v4_root = 0;
        for _ in 0..96 {
            if v4_root >= self.node_count {
                break;
            }
            v4_root = self.child(v4_root, 0)?;
        }
        let v4 = self.walk(v4_root, 32, None)?;
        let v6 = self.walk(0, 128, Some(v4_root).filter(|root| *root < self.node_count))?;
        Ok((v4, v6))
    }

    /// A /64 is one client site: the first record in it speaks for all of it.
    /// `hole` is the IPv4 tree, which files also reach through the transition prefixes; those
    /// addresses are never looked up as IPv6.
    fn walk(&mut self, root: usize, bits: u8, hole: Option<usize>) -> Result<Ranges, Refusal> {
        let most_steps = MAX_STEPS.min(self.node_count.saturating_mul(MAX_STEPS_PER_NODE));
        let mut parts: Vec<(u64, u32)> = Vec::new();
        let mut stack: Vec<Position> = vec![(root, 0, 0)];
        while let Some((mut node, prefix, depth)) = stack.pop() {
            self.steps += 1;
            if self.steps > most_steps || parts.len() > MAX_RANGES {
                return Err(Refusal(
                    "the database holds too many networks; use one of the sizes that vendors sell".into(),
                ));
            }
            if hole == Some(node) {
                node = self.node_count;
            }
            if node < self.node_count {
                if depth == bits {
                    return Err(damaged());
                }
                stack.push((self.child(node, 1)?, prefix | 1 << (127 - depth), depth + 1));
                stack.push((self.child(node, 0)?, prefix, depth + 1));
                continue;
            }
            self.leaves += 1;
            let class = self.leaf(node, prefix, bits);
            let start = (prefix >> 64) as u64;
            match parts.last_mut() {
                Some((last, spoken)) if *last == start => {
                    if *spoken == NO_RECORD {
                        *spoken = class;
                    }
                }
                Some((_, last)) if *last == class && depth <= 64 => {}
                _ => parts.push((start, class)),
            }
        }
        Ok(Ranges::collect(parts.into_iter()))
    }

    fn leaf(&mut self, node: usize, prefix: u128, bits: u8) -> u32 {
        if node == self.node_count {
            return NO_RECORD;
        }
        self.networks += 1;
        // Both record sizes and node counts are at most 32 bits wide, so a pointer is too; 0 is the root, never data.
        let pointer = node as u32;
        let sample = || match bits {
            32 => IpAddr::V4(Ipv4Addr::from_bits((prefix >> 96) as u32)),
            _ => IpAddr::V6(Ipv6Addr::from_bits(prefix)),
        };
        self.pointers.entry(pointer).or_insert_with(|| Pointer { networks: 0, sample: sample() }).networks += 1;
        pointer
    }

    fn child(&self, node: usize, side: usize) -> Result<usize, Refusal> {
        let size = usize::from(self.record_bits) / 4;
        let bytes = self.bytes.get(node * size..(node + 1) * size).ok_or_else(damaged)?;
        let join = |parts: &[u8]| parts.iter().fold(0, |joined, byte| joined << 8 | usize::from(*byte));
        Ok(match (self.record_bits, side) {
            // Two records of 28 bits share the middle byte, high halves first left then right.
            (28, 0) => join(&bytes[..3]) | usize::from(bytes[3] >> 4) << 24,
            (28, _) => join(&bytes[4..]) | usize::from(bytes[3] & 0xf) << 24,
            (_, 0) => join(&bytes[..size / 2]),
            (_, _) => join(&bytes[size / 2..]),
        })
    }
}

fn damaged() -> Refusal {
    Refusal("the search tree of the database is damaged; download or copy it again".into())
}

struct Decoded {
    places: Vec<Place>,
    /// From the pointers of the tree to places.
    classes: ByPointer<u32>,
    seen: Seen,
}

/// Reads each distinct record once.
fn decode(reader: &Reader<&[u8]>, tree: &Tree) -> Result<Decoded, Refusal> {
    let mut decoded = Decoded {
        places: vec![Place::default()],
        classes: ByPointer::from_iter([(NO_RECORD, NO_RECORD)]),
        seen: Seen::default(),
    };
    for (pointer, held) in &tree.pointers {
        let unreadable = |error| Refusal(format!("a record of the database is damaged ({error}); download it again"));
        let found = reader.lookup(held.sample).map_err(unreadable)?;
        let value: Value = found.decode().map_err(unreadable)?.unwrap_or_default();
        let place = record::place(&value);
        decoded.seen.count(&place, &value, held.networks);
        decoded.classes.insert(*pointer, decoded.places.len() as u32);
        decoded.places.push(record::complete(place));
    }
    Ok(decoded)
}
