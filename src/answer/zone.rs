//! One zone as it is looked up: every name that exists, with what is served at it. Compiled once for
//! each change of the zone and shared by snapshots until the next.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::names::{HashIndex, Suffixes};
use crate::model::{Name, RecordSet, RecordType, Zone};

/// The most names whose addresses go with one record set into the additional section.
const MAX_TARGETS: usize = 16;

/// A zone's names. Empty non-terminals are names with nothing at them.
#[derive(Debug)]
pub struct ZoneTable {
    source: ZoneSource,
    index: HashIndex,
    nodes: Vec<Node>,
    entries: Vec<Entry>,
    /// Nodes that record sets point to, for the additional section.
    targets: Vec<u32>,
    /// Names, and values each after its length in two bytes.
    bytes: Vec<u8>,
    apex_labels: usize,
    deepest_labels: usize,
}

/// What a table was compiled from, beside record sets; the same sources make equal tables.
#[derive(Debug)]
pub struct ZoneSource {
    /// Its serial moves with every change of its record sets, so that it stands for them, too.
    pub zone: Arc<Zone>,
    /// Names that enabled policies answer, sorted.
    pub steered: Vec<Steered>,
}

/// A name and type that a policy answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Steered {
    pub name: Name,
    pub rtype: RecordType,
    pub policy: u32,
}

/// One name that exists.
#[derive(Debug)]
pub struct Node {
    name: Range<usize>,
    entries: Range<usize>,
    /// The `*` below this name.
    wildcard: Option<u32>,
    /// The delegation that this name is at or below.
    cut: Option<u32>,
}

/// What is served at a name for one type.
#[derive(Debug)]
pub struct Entry {
    pub rtype: RecordType,
    pub content: Content,
    targets: Range<usize>,
}

#[derive(Debug)]
pub enum Content {
    /// `count` values from `at` on in the table's bytes.
    Fixed {
        ttl: u32,
        at: usize,
        count: usize,
    },
    Steered {
        policy: u32,
    },
}

/// Where a question landed in a zone (RFC 1034 section 4.3.2, RFC 4592 section 3.3).
#[derive(Debug, Clone, Copy)]
pub enum Found<'s> {
    /// The name itself exists, or a wildcard stands for it.
    Name(&'s Node),
    /// At or below a delegation. `at` is true when the question is the delegation's own name.
    Cut {
        node: &'s Node,
        at: bool,
    },
    /// Below a DNAME, where nothing else is (RFC 6672 section 2.4).
    Renamed {
        node: &'s Node,
    },
    Nothing,
}

impl ZoneSource {
    pub fn same(&self, other: &ZoneSource) -> bool {
        Arc::ptr_eq(&self.zone, &other.zone) && self.steered == other.steered
    }
}

impl ZoneTable {
    /// `records` are all of the zone, disabled ones included.
    pub fn compile<'r>(source: ZoneSource, records: impl Iterator<Item = &'r RecordSet>, seed: u64) -> ZoneTable {
        Builder::new(seed, &source.zone.fqdn).build(source, records)
    }

    pub fn source(&self) -> &ZoneSource {
        &self.source
    }

    /// Names that exist, empty non-terminals included.
    pub fn names(&self) -> usize {
        self.nodes.len()
    }

    pub fn apex(&self) -> &[u8] {
        self.source.zone.fqdn.as_wire()
    }

    /// Finds a name that lies in the zone.
    pub fn find(&self, name: &Suffixes) -> Found<'_> {
        let labels = name.labels();
        if let Some(node) = self.node(name, labels) {
            return match node.cut {
                None => Found::Name(node),
                Some(cut) => {
                    let cut = &self.nodes[cut as usize];
                    Found::Cut { node: cut, at: std::ptr::eq(cut, node) }
                }
            };
        }
        // The closest encloser; the apex at the latest.
        let mut above = labels.saturating_sub(1).min(self.deepest_labels);
        let encloser = loop {
            match self.node(name, above) {
                Some(node) => break node,
                None if above <= self.apex_labels => return Found::Nothing,
                None => above -= 1,
            }
        };
        match (encloser.cut, encloser.wildcard) {
            (Some(cut), _) => Found::Cut { node: &self.nodes[cut as usize], at: false },
            _ if self.entry(encloser, RecordType::DNAME).is_some() => Found::Renamed { node: encloser },
            (None, Some(wildcard)) => Found::Name(&self.nodes[wildcard as usize]),
            (None, None) => Found::Nothing,
        }
    }

    fn node(&self, name: &Suffixes, labels: usize) -> Option<&Node> {
        if labels > self.deepest_labels {
            return None;
        }
        let (_, wire) = name.suffix(labels);
        let number = self.index.find(name.hash(labels), |n| self.name(&self.nodes[n as usize]) == wire)?;
        self.nodes.get(number as usize)
    }

    pub fn name(&self, node: &Node) -> &[u8] {
        &self.bytes[node.name.clone()]
    }

    /// What is served at a name, by type.
    pub fn entries(&self, node: &Node) -> &[Entry] {
        &self.entries[node.entries.clone()]
    }

    pub fn entry(&self, node: &Node, rtype: RecordType) -> Option<&Entry> {
        self.entries(node).iter().find(|entry| entry.rtype == rtype)
    }

    /// The names that a record set points to and that have fixed addresses here.
    pub fn targets(&self, entry: &Entry) -> impl Iterator<Item = &Node> {
        self.targets[entry.targets.clone()].iter().map(|&node| &self.nodes[node as usize])
    }

    /// The apex, which every zone has.
    pub fn apex_node(&self) -> &Node {
        &self.nodes[0]
    }

    pub fn values(&self, at: usize, count: usize) -> impl Iterator<Item = &[u8]> {
        let mut at = at;
        (0..count).map(move |_| {
            let length = usize::from(u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]));
            let value = &self.bytes[at + 2..at + 2 + length];
            at += 2 + length;
            value
        })
    }
}

/// Collects names first, parents before children, then lays out what is at them.
struct Builder {
    seed: u64,
    index: HashIndex,
    nodes: Vec<Node>,
    parents: Vec<u32>,
    bytes: Vec<u8>,
    apex_labels: usize,
    deepest_labels: usize,
    found: Vec<(u32, Entry)>,
}

impl Builder {
    fn new(seed: u64, apex: &Name) -> Self {
        let mut builder = Builder {
            seed,
            index: HashIndex::default(),
            nodes: Vec::new(),
            parents: Vec::new(),
            bytes: Vec::new(),
            apex_labels: apex.labels().count(),
            deepest_labels: 0,
            found: Vec::new(),
        };
        builder.node(apex);
        builder
    }

    fn build<'r>(mut self, source: ZoneSource, records: impl Iterator<Item = &'r RecordSet>) -> ZoneTable {
        let apex = &source.zone.fqdn;
        self.add_apex(&source.zone);
        let mut steered: HashMap<&Name, Vec<RecordType>> = HashMap::new();
        for one in source.steered.iter().filter(|one| one.name.is_under(apex)) {
            let content = Content::Steered { policy: one.policy };
            self.add(&one.name, one.rtype, content);
            steered.entry(&one.name).or_default().push(one.rtype);
        }
        for set in records.filter(|set| set.enabled && set.name.is_under(apex)) {
            let made_by_the_zone = set.name == *apex && [RecordType::SOA, RecordType::NS].contains(&set.rtype);
            if made_by_the_zone || stands_by(set.rtype, steered.get(&set.name)) {
                continue;
            }
            let ttl = set.ttl.unwrap_or(source.zone.default_ttl);
            self.add_fixed(&set.name, set.rtype, ttl, set.values.iter().map(|value| value.as_wire()));
        }
        self.found.sort_by_key(|(node, entry)| (*node, entry.rtype));
        let mut entries = Vec::with_capacity(self.found.len());
        for (node, entry) in std::mem::take(&mut self.found) {
            let range = &mut self.nodes[node as usize].entries;
            if range.start == range.end {
                range.start = entries.len();
            }
            entries.push(entry);
            range.end = entries.len();
        }
        self.mark_cuts(&entries);
        let mut table = ZoneTable {
            source,
            index: self.index,
            nodes: self.nodes,
            entries,
            targets: Vec::new(),
            bytes: self.bytes,
            apex_labels: self.apex_labels,
            deepest_labels: self.deepest_labels,
        };
        table.link_targets(self.seed);
        table
    }

    /// The number of a name, added with all its ancestors up to the apex where it is new.
    fn node(&mut self, name: &Name) -> u32 {
        let wire = name.as_wire();
        let suffixes = Suffixes::of(wire, self.seed).expect("a Name is a valid wire-form name");
        let mut base = None;
        let mut parent = 0;
        for labels in self.apex_labels..=suffixes.labels() {
            let (start, suffix) = suffixes.suffix(labels);
            let hash = suffixes.hash(labels);
            let known = self.index.find(hash, |n| self.bytes[self.nodes[n as usize].name.clone()] == *suffix);
            parent = known.unwrap_or_else(|| {
                let base = *base.get_or_insert_with(|| {
                    self.bytes.extend_from_slice(wire);
                    self.bytes.len() - wire.len()
                });
                let number = self.nodes.len() as u32;
                let name = base + start..base + wire.len();
                self.nodes.push(Node { name, entries: 0..0, wildcard: None, cut: None });
                self.parents.push(parent);
                self.index.insert(hash, number);
                if suffix.starts_with(b"\x01*") && number > 0 {
                    self.nodes[parent as usize].wildcard = Some(number);
                }
                number
            });
        }
        self.deepest_labels = self.deepest_labels.max(suffixes.labels());
        parent
    }

    fn add(&mut self, name: &Name, rtype: RecordType, content: Content) {
        let node = self.node(name);
        self.found.push((node, Entry { rtype, content, targets: 0..0 }));
    }

    fn add_fixed<'v>(
        &mut self,
        name: &Name,
        rtype: RecordType,
        ttl: u32,
        values: impl ExactSizeIterator<Item = &'v [u8]>,
    ) {
        if values.len() == 0 {
            return;
        }
        let node = self.node(name);
        let (at, mut count) = (self.bytes.len(), 0);
        for value in values {
            // Longer data cannot be said on the wire, and the model does not take it.
            let Ok(length) = u16::try_from(value.len()) else { continue };
            self.bytes.extend_from_slice(&length.to_be_bytes());
            self.bytes.extend_from_slice(value);
            count += 1;
        }
        let content = Content::Fixed { ttl, at, count };
        self.found.push((node, Entry { rtype, content, targets: 0..0 }));
    }

    /// SOA and NS come from the zone itself.
    fn add_apex(&mut self, zone: &Zone) {
        let soa = &zone.soa;
        let mut data = soa.mname.as_wire().to_vec();
        data.extend_from_slice(soa.rname.as_wire());
        for number in [zone.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] {
            data.extend_from_slice(&number.to_be_bytes());
        }
        self.add_fixed(&zone.fqdn, RecordType::SOA, zone.default_ttl, [&data[..]].into_iter());
        self.add_fixed(&zone.fqdn, RecordType::NS, zone.default_ttl, zone.ns.iter().map(Name::as_wire));
    }

    /// NS records below the apex delegate what is at and below them. Those of a wildcard do not:
    /// RFC 4592 section 4.2 leaves them without meaning.
    fn mark_cuts(&mut self, entries: &[Entry]) {
        for number in 1..self.nodes.len() {
            let above = self.nodes[self.parents[number] as usize].cut;
            let node = &self.nodes[number];
            let delegates = entries[node.entries.clone()].iter().any(|entry| entry.rtype == RecordType::NS)
                && !self.bytes[node.name.clone()].starts_with(b"\x01*");
            self.nodes[number].cut = above.or(delegates.then_some(number as u32));
        }
    }
}

impl ZoneTable {
    /// Finds the names with fixed addresses that NS, MX, SRV, SVCB and HTTPS records point to. Glue below a
    /// delegation goes with that delegation's NS only.
    fn link_targets(&mut self, seed: u64) {
        let mut targets = Vec::new();
        let mut ranges = vec![0..0; self.entries.len()];
        for node in &self.nodes {
            for number in node.entries.clone() {
                let start = targets.len();
                self.push_targets(node, &self.entries[number], seed, &mut targets);
                targets.truncate(start + MAX_TARGETS);
                ranges[number] = start..targets.len();
            }
        }
        for (entry, range) in self.entries.iter_mut().zip(ranges) {
            entry.targets = range;
        }
        self.targets = targets;
    }

    fn push_targets(&self, node: &Node, entry: &Entry, seed: u64, targets: &mut Vec<u32>) {
        let Content::Fixed { at, count, .. } = entry.content else { return };
        let Some(skip) = target_offset(entry.rtype) else { return };
        let start = targets.len();
        for value in self.values(at, count) {
            let Some(name) = first_name(value.get(skip..).unwrap_or_default()) else { continue };
            // The owner itself (RFC 9460 section 2.5); elsewhere the root means "nowhere" (RFC 7505).
            let itself = name == b"\0" && [RecordType::SVCB, RecordType::HTTPS].contains(&entry.rtype);
            let name = if itself { self.name(node) } else { name };
            let target = self.target(name, seed, entry.rtype);
            if let Some(target) = target.filter(|target| !targets[start..].contains(target)) {
                targets.push(target);
            }
        }
    }

    fn target(&self, name: &[u8], seed: u64, rtype: RecordType) -> Option<u32> {
        let lower = name.to_ascii_lowercase();
        let suffixes = Suffixes::of(&lower, seed)?;
        let hash = suffixes.hash(suffixes.labels());
        let number = self.index.find(hash, |n| self.name(&self.nodes[n as usize]) == lower)?;
        let node = &self.nodes[number as usize];
        let addresses = self.entries(node).iter().any(Entry::is_fixed_address);
        (addresses && (node.cut.is_none() || rtype == RecordType::NS)).then_some(number)
    }
}

impl Entry {
    pub fn is_fixed_address(&self) -> bool {
        [RecordType::A, RecordType::AAAA].contains(&self.rtype) && matches!(self.content, Content::Fixed { .. })
    }
}

/// True for a fixed set that waits while a policy answers its name: the same type, a CNAME beside steered
/// addresses, and everything beside a steered CNAME (RFC 1034 section 3.6.2: a CNAME is alone).
fn stands_by(rtype: RecordType, steered: Option<&Vec<RecordType>>) -> bool {
    steered
        .is_some_and(|types| rtype == RecordType::CNAME || types.contains(&rtype) || types.contains(&RecordType::CNAME))
}

/// Where the name of another host begins in the data of a type.
fn target_offset(rtype: RecordType) -> Option<usize> {
    match rtype {
        RecordType::NS => Some(0),
        RecordType::MX | RecordType::SVCB | RecordType::HTTPS => Some(2),
        RecordType::SRV => Some(6),
        _ => None,
    }
}

/// The name that some data begins with.
fn first_name(data: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        let length = usize::from(*data.get(at)?);
        at += 1 + length;
        if length == 0 {
            return data.get(..at);
        }
    }
}
