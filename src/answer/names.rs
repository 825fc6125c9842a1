//! Finds owner names by hash. The hash of a name is built from the root down, one label at a time, so
//! that one pass over a question gives the hashes of all its ancestors. Nothing here knows zones.

use smallvec::SmallVec;

use crate::model::{MAX_LABEL, MAX_NAME};

/// Labels that most questions have at most; longer names spill to the heap.
const USUAL_LABELS: usize = 16;

/// A wire-form name with the hash of each of its suffixes.
pub struct Suffixes<'n> {
    name: &'n [u8],
    /// From the whole name to the root: where the suffix starts, and its hash.
    list: SmallVec<[(u8, u64); USUAL_LABELS]>,
}

impl<'n> Suffixes<'n> {
    /// `None` when `name` is not one uncompressed name.
    pub fn of(name: &'n [u8], seed: u64) -> Option<Self> {
        let mut list = SmallVec::new();
        let mut at = 0;
        loop {
            let length = usize::from(*name.get(at)?);
            if length > MAX_LABEL || at >= MAX_NAME {
                return None;
            }
            list.push((at as u8, seed));
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
        if at != name.len() {
            return None;
        }
        let (mut hash, mut end) = (seed, at - 1);
        // The root keeps the seed itself.
        for (start, suffix_hash) in list.iter_mut().rev().skip(1) {
            let from = usize::from(*start);
            hash = extend(hash, &name[from..end]);
            (*suffix_hash, end) = (hash, from);
        }
        Some(Suffixes { name, list })
    }

    /// Bytes of the whole name.
    pub fn len(&self) -> usize {
        self.name.len()
    }

    /// The number of labels, the root not counted.
    pub fn labels(&self) -> usize {
        self.list.len() - 1
    }

    /// The last `labels` labels as a name, and where they start; the whole name where it has no more.
    pub fn suffix(&self, labels: usize) -> (usize, &'n [u8]) {
        let start = usize::from(self.list[self.labels().saturating_sub(labels)].0);
        (start, &self.name[start..])
    }

    pub fn hash(&self, labels: usize) -> u64 {
        self.list[self.labels().saturating_sub(labels)].1
    }
}

/// Adds bytes to a hash: a multiplication of 64 by 64 bits for each eight (as wyhash does).
pub fn extend(hash: u64, bytes: &[u8]) -> u64 {
    let mut hash = hash ^ (bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = fold(hash ^ u64::from_le_bytes(*word), 0xa076_1d64_78bd_642f);
    }
    let rest = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    fold(hash ^ rest, 0xe703_7ed1_a0b4_28db)
}

/// Both halves of the product, so that every bit of the input reaches every bit of the result.
pub fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide >> 64) as u64 ^ wide as u64
}

/// Hash → number, open addressing, at most half full.
#[derive(Debug, Default)]
pub struct HashIndex {
    /// The hash, and the number plus one; 0 is an empty slot.
    slots: Vec<(u64, u32)>,
    used: usize,
}

impl HashIndex {
    /// The number under `hash` that `is_it` recognises.
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        loop {
            let &(found, number) = self.slots.get(at)?;
            if number == 0 {
                return None;
            }
            if found == hash && is_it(number - 1) {
                return Some(number - 1);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a number that is not there yet.
    pub fn insert(&mut self, hash: u64, number: u32) {
        if (self.used + 1) * 2 > self.slots.len() {
            let larger = (self.slots.len() * 2).max(8);
            let old = std::mem::replace(&mut self.slots, vec![(0, 0); larger]);
            for (hash, number) in old.into_iter().filter(|slot| slot.1 != 0) {
                self.place(hash, number);
            }
        }
        self.place(hash, number + 1);
        self.used += 1;
    }

    fn place(&mut self, hash: u64, number: u32) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at].1 != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = (hash, number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;

    #[test]
    fn a_suffix_hashes_like_the_name_that_it_is() {
        let name: Name = "a.bcdefghijklmnopq.example.test.".parse().unwrap();
        let all = Suffixes::of(name.as_wire(), 7).unwrap();
        assert_eq!(all.labels(), 4);
        let mut ancestor = Some(name.clone());
        for labels in (0..=4).rev() {
            let one = ancestor.unwrap();
            let own = Suffixes::of(one.as_wire(), 7).unwrap();
            assert_eq!(all.suffix(labels).1, one.as_wire());
            assert_eq!(all.hash(labels), own.hash(own.labels()));
            ancestor = one.parent();
        }
        assert_ne!(all.hash(4), Suffixes::of(name.as_wire(), 8).unwrap().hash(4));
    }

    #[test]
    fn what_is_no_name_has_no_suffixes() {
        for wire in [&b""[..], b"\x01", b"\x01a", b"\x01a\x00\x00", b"\x40", b"\xc0\x0c"] {
            assert!(Suffixes::of(wire, 0).is_none(), "{wire:?}");
        }
        assert_eq!(Suffixes::of(b"\0", 0).unwrap().labels(), 0);
    }

    #[test]
    fn numbers_are_found_also_where_hashes_collide() {
        let mut index = HashIndex::default();
        assert_eq!(index.find(5, |_| true), None);
        for number in 0..1000 {
            index.insert(u64::from(number % 10), number);
        }
        for number in 0..1000 {
            assert_eq!(index.find(u64::from(number % 10), |n| n == number), Some(number));
        }
        assert_eq!(index.find(11, |_| true), None);
    }
}
