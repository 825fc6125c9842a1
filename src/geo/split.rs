//! How the rules of a policy split the world: one merged trie per distinct split.

use std::net::IpAddr;

use crate::model::{Id, Point, Region, Table};

use super::Base;

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

/// Address → decision, compiled and merged. Immutable.
#[derive(Debug)]
pub struct SplitMap {}

impl SplitMap {
    pub fn compile(_base: &Base, _regions: &Table<Region>, _split: &Split) -> SplitMap {
        todo!("geo helper")
    }

    /// The decision for one address (the resolver's).
    pub fn lookup(&self, _address: IpAddr) -> Hit {
        todo!("geo helper")
    }

    /// The decision for a client prefix of `source` bits (RFC 7871): that of the whole prefix, or
    /// the one that covers most of it.
    pub fn lookup_prefix(&self, _address: IpAddr, _source: u8) -> Hit {
        todo!("geo helper")
    }

    pub fn decision(&self, _index: u16) -> &Decision {
        todo!("geo helper")
    }
}
