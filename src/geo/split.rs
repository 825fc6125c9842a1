//! How the rules of a policy split the world: one merged trie per distinct split.

use std::collections::BTreeSet;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

use super::Base;
use super::decide::{Decider, TooMany};
use super::inside;
use super::nearest::Precision;
use super::overlay::Overlay;
use super::prefix_table::PrefixTable;
use super::segments::FIRST_RESERVED;
use crate::model::{Id, Point, Region, Table, Token};

/// The blocks of a client prefix that are weighed one by one; longer lists are sampled at as many places.
const MAX_WALK: u32 = 256;

/// The regions of a policy's enabled rules in order; the last matches everyone. Policies with equal
/// splits share one map.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Split {
    pub rules: Vec<SplitRule>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SplitRule {
    /// Any of these; empty matches everyone.
    pub regions: Vec<Id<Region>>,
    pub except_regions: Vec<Id<Region>>,
    /// The rule's steps that choose by distance.
    pub nearest: Vec<NearestStep>,
}

/// The places of a step's pools, in the step's order; a pool without a place is never nearer than one with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NearestStep {
    pub pools: Vec<(Option<Point>, i8)>,
}

/// What a split says of a client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decision {
    /// Index into `Split::rules`.
    pub rule: u16,
    /// For each nearest step of that rule, the indices of its pools from the nearest to the farthest.
    pub orders: Vec<Box<[u8]>>,
}

/// Where a look-up landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Index for `SplitMap::decision`.
    pub decision: u16,
    /// The shortest prefix length, in the family of the address as given, within which the decision
    /// cannot differ. After `lookup_prefix` it may exceed the source prefix length.
    pub scope: u8,
}

/// Equal keys compile to equal maps over the same base.
pub type SplitKey = [u8; 32];

impl Split {
    /// Covers what the named regions hold, so that an edit of a region changes the key.
    pub fn key(&self, regions: &Table<Region>) -> SplitKey {
        // The debug form of a number reads back as the same number, so different splits differ in it.
        let mut hash = Sha256::new_with_prefix(format!("{:?}", self.rules));
        let named = self.rules.iter().flat_map(|rule| rule.regions.iter().chain(&rule.except_regions));
        let mut named: BTreeSet<&Id<Region>> = named.collect();
        let mut waiting: Vec<&Id<Region>> = named.iter().copied().collect();
        while let Some(id) = waiting.pop() {
            let Some(region) = regions.get(id) else { continue };
            hash.update(format!("{id}={:?}-{:?}", region.include, region.except));
            for token in region.include.iter().chain(&region.except) {
                if let Token::Region(inner) = token
                    && named.insert(inner)
                {
                    waiting.push(inner);
                }
            }
        }
        hash.finalize().into()
    }
}

/// Address → decision, compiled and merged. Immutable.
#[derive(Debug)]
pub struct SplitMap {
    v4: PrefixTable,
    v6: PrefixTable,
    decisions: Vec<Decision>,
}

impl SplitMap {
    pub fn compile(base: &Base, regions: &Table<Region>, split: &Split) -> SplitMap {
        for precision in [Precision::Degree, Precision::Country] {
            if let Ok(map) = SplitMap::compile_with(base, regions, split, precision) {
                return map;
            }
        }
        let listed = SplitMap::compile_with(base, regions, split, Precision::Listed);
        listed.expect("without distances a rule has one decision, and rules are fewer than decision numbers")
    }

    fn compile_with(
        base: &Base,
        regions: &Table<Region>,
        split: &Split,
        precision: Precision,
    ) -> Result<SplitMap, TooMany> {
        let mut decider = Decider::new(base.places(), regions, split, precision);
        let v4 = decider.segments(base.v4(), &Overlay::v4(&decider.membership.networks))?;
        let v6 = decider.segments(base.v6(), &Overlay::v6(&decider.membership.networks))?;
        Ok(SplitMap { v4: PrefixTable::build(&v4), v6: PrefixTable::build(&v6), decisions: decider.decisions })
    }

    /// The decision for one address (the resolver's).
    pub fn lookup(&self, address: IpAddr) -> Hit {
        self.lookup_prefix(address, 128)
    }

    /// The decision for a client prefix of `source` bits (RFC 7871): that of the whole prefix, or
    /// the one that covers most of it.
    pub fn lookup_prefix(&self, address: IpAddr, source: u8) -> Hit {
        // A map with one decision does not depend on the client.
        if self.decisions.len() == 1 {
            return Hit { decision: 0, scope: 0 };
        }
        let (inside, offset) = inside::unwrap_prefix(address, source);
        let (table, key, bits) = match inside {
            IpAddr::V4(v4) => (&self.v4, u128::from(v4.to_bits()) << 96, 32),
            IpAddr::V6(v6) => (&self.v6, v6.to_bits(), 128),
        };
        let length = source.saturating_sub(offset).min(bits);
        let last_bits = u128::MAX.checked_shr(length.into()).unwrap_or(0);
        let key = key & !last_bits;
        let (found, scope) = table.find(key);
        let decision = if scope <= length { found } else { majority(table, key, key | last_bits).unwrap_or_default() };
        Hit { decision, scope: scope + offset }
    }

    pub fn decision(&self, index: u16) -> &Decision {
        &self.decisions[usize::from(index)]
    }

    /// All decisions, by index.
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// The memory of the tables.
    pub fn bytes(&self) -> usize {
        self.v4.bytes() + self.v6.bytes()
    }
}

/// The decision that covers most addresses from `first` to `last`; of equals the lower one.
fn majority(table: &PrefixTable, first: u128, last: u128) -> Option<u16> {
    let covered = walk(table, first, last).unwrap_or_else(|| sample(table, first, last));
    let most = covered.iter().map(|(_, addresses)| *addresses).max()?;
    covered.into_iter().filter(|(_, addresses)| *addresses == most).map(|(decision, _)| decision).min()
}

/// How many addresses each decision covers.
type Covered = Vec<(u16, u128)>;

fn walk(table: &PrefixTable, first: u128, last: u128) -> Option<Covered> {
    let mut covered = Covered::new();
    let mut at = first;
    for _ in 0..MAX_WALK {
        let (decision, scope) = table.find(at);
        let end = last.min(at | u128::MAX.checked_shr(scope.into()).unwrap_or(0));
        cover(&mut covered, decision, (end - at).saturating_add(1));
        if end == last {
            return Some(covered);
        }
        at = end + 1;
    }
    None
}

/// For prefixes of too many blocks: evenly spread addresses say more than the first blocks do.
fn sample(table: &PrefixTable, first: u128, last: u128) -> Covered {
    let mut covered = Covered::new();
    let stride = (last - first) / u128::from(MAX_WALK);
    for step in 0..u128::from(MAX_WALK) {
        cover(&mut covered, table.find(first + step * stride + stride / 2).0, 1);
    }
    covered
}

fn cover(covered: &mut Covered, decision: u16, addresses: u128) {
    if decision >= FIRST_RESERVED {
        return;
    }
    match covered.iter_mut().find(|(known, _)| *known == decision) {
        Some((_, sum)) => *sum = sum.saturating_add(addresses),
        None => covered.push((decision, addresses)),
    }
}

#[cfg(test)]
mod tests;
