//! Address → decision and exact scope in a few memory reads.
//!
//! The first 16 bits of a key index the first level. A slot is a leaf (the whole block has one
//! decision), a run (a block with at most [`MAX_RUN`] segments, searched in order), or a table of
//! slots for the next few bits, as many as the block has segments. A merged binary trie has the same
//! leaves; here they are never stored one by one: the depth of the leaf around a key is one bit more
//! than it shares with the last key before its segment or with the first key after it.

use super::ranges::block_length;
use super::segments::{Segments, WITHIN_64};

/// The most segments of one run: a cache line of entries.
const MAX_RUN: usize = 8;
const FIRST_BITS: u32 = 16;

// A slot: `00 scope:7 decision:16`, `01 count-1:3 offset:27` or `10 bits-1:4 offset:26`, the tag on top.
// Every table has a multiple of four slots, so its offset is kept in fours. The most segments, those of a
// file made for it, need two run entries and eleven slots each; the largest database taken leaves room for that.
const RUN: u32 = 1;
const TABLE: u32 = 2;
const RUN_OFFSET_BITS: u32 = 27;
const TABLE_OFFSET_BITS: u32 = 26;

#[derive(Debug)]
pub struct PrefixTable {
    slots: Vec<u32>,
    /// The 48 bits below the first level, then the decision.
    runs: Vec<u64>,
    tails: Vec<(u128, u16)>,
}

impl PrefixTable {
    pub fn build(segments: &Segments) -> PrefixTable {
        let mut table = PrefixTable { slots: Vec::new(), runs: Vec::new(), tails: segments.tails.clone() };
        let all = 0..segments.starts.len();
        table.fill(segments, 0, 64, FIRST_BITS, all);
        table.slots.shrink_to_fit();
        table.runs.shrink_to_fit();
        table
    }

    /// The decision for an IPv6 address, or an IPv4 address in the top 32 bits, and its scope.
    #[inline]
    pub fn find(&self, key: u128) -> (u16, u8) {
        let found = self.find_top((key >> 64) as u64);
        if found.0 == WITHIN_64 { self.find_tail(key) } else { found }
    }

    #[inline]
    fn find_top(&self, key: u64) -> (u16, u8) {
        let mut below = 64 - FIRST_BITS;
        let mut slot = self.slots[(key >> below) as usize];
        while slot >> 30 == TABLE {
            let bits = (slot >> TABLE_OFFSET_BITS & 15) + 1;
            below -= bits;
            let index = (key >> below) as usize & ((1 << bits) - 1);
            slot = self.slots[(slot & ((1 << TABLE_OFFSET_BITS) - 1)) as usize * 4 + index];
        }
        if slot >> 30 != RUN {
            return (slot as u16, (slot >> 16) as u8);
        }
        let count = (slot >> RUN_OFFSET_BITS & 7) as usize + 1;
        let offset = (slot & ((1 << RUN_OFFSET_BITS) - 1)) as usize;
        let run = &self.runs[offset..offset + count];
        let last_at_key = key << 16 | 0xffff;
        let next = run.iter().map(|entry| usize::from(*entry <= last_at_key)).sum::<usize>();
        let entry = run[next - 1];
        // The run's key is shorter than the key by its first level, which all of the run share.
        let key = key << FIRST_BITS >> FIRST_BITS;
        let before = (next > 1).then(|| (entry >> 16) - 1);
        (entry as u16, block_length(key, before, run.get(next).map(|entry| entry >> 16)))
    }

    #[cold]
    fn find_tail(&self, key: u128) -> (u16, u8) {
        let next = self.tails.partition_point(|(start, _)| *start <= key);
        let same_64 = |at: usize| self.tails.get(at).filter(|(start, _)| start >> 64 == key >> 64);
        let (start, decision) = next.checked_sub(1).and_then(same_64).copied().unwrap_or_default();
        let after = same_64(next).map(|(start, _)| *start as u64);
        (decision, 64 + block_length(key as u64, (start as u64).checked_sub(1), after))
    }

    /// Adds the slots for the next `bits` of a block, which starts at `from`, has `below` bits in all,
    /// and lies in the segments `within`.
    fn fill(&mut self, segments: &Segments, from: u64, below: u32, bits: u32, within: std::ops::Range<usize>) -> usize {
        let offset = self.slots.len();
        self.slots.resize(offset + (1 << bits), 0);
        let below = below - bits;
        let mut first = within.start;
        for index in 0..1u64 << bits {
            let start = from + (index << below);
            let last = start + ((1 << below) - 1);
            while first + 1 < within.end && segments.starts[first + 1] <= start {
                first += 1;
            }
            let mut end = first + 1;
            while end < within.end && segments.starts[end] <= last {
                end += 1;
            }
            self.slots[offset + index as usize] = self.slot(segments, start, below, first..end);
        }
        offset
    }

    fn slot(&mut self, segments: &Segments, start: u64, below: u32, within: std::ops::Range<usize>) -> u32 {
        let count = within.len();
        if count == 1 {
            let before = segments.starts[within.start].checked_sub(1);
            let scope = block_length(start, before, segments.starts.get(within.end).copied());
            return u32::from(scope) << 16 | u32::from(segments.decisions[within.start]);
        }
        if count <= MAX_RUN {
            let offset = self.runs.len();
            for at in within {
                let key = segments.starts[at].max(start);
                self.runs.push(key << 16 | u64::from(segments.decisions[at]));
            }
            return RUN << 30 | (count as u32 - 1) << RUN_OFFSET_BITS | offset as u32;
        }
        // About four segments to a slot: the fewest bytes, and still one or two steps to a run.
        let bits = (count.ilog2() - 1).min(16);
        let offset = self.fill(segments, start, below, bits, within);
        TABLE << 30 | (bits - 1) << TABLE_OFFSET_BITS | (offset / 4) as u32
    }

    pub fn bytes(&self) -> usize {
        self.slots.len() * 4 + self.runs.len() * 8 + self.tails.len() * 32
    }
}
