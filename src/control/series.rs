//! How many queries there were: for each minute of the last day and for each ten minutes of the last week, in
//! all, of each pool and policy, of the clients in each region, and of each policy by region and pool. Reads no clock
//! and no file; the newest, unfinished span is never shown.
//!
//! A count is kept in 16 bits with 11 significant ones, so an entity that was asked for costs 4.9 kB: a
//! thousand pools and two thousand policies are 15 MB, in memory and on the disk. Where clients are and who answers
//! them comes beside that, in rings of its own, so that it takes no room from the rest.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use jiff::Timestamp;

use crate::answer::Audience;
use crate::model::{Id, Policy, Pool, Region};

const MINUTE_MS: u64 = 60_000;
const DAY_MINUTES: usize = 24 * 60;
/// A week, and one more to compare with.
const WEEK_TENS: usize = 7 * 24 * 6 + 2;
/// What is counted for itself; more is only in the totals.
const MAX_COLUMNS: usize = 8192;
/// Of the parts of policies, three or four of each: 20 MB. What has none is in the whole of its policy.
const MAX_PARTS: usize = 4096;
/// Begins the file; another version begins anew.
const MAGIC: &[u8] = b"northing series 2\n";
/// Midnight of the year 2500: no clock that counted is beyond it, and no sum of times overflows before it.
const END_OF_TIME_MS: u64 = 16_725_225_600_000;

/// The regions that a rule names, in order; those of everyone else are none.
pub type Regions = Vec<Id<Region>>;

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    All,
    /// Queries with a client subnet.
    Subnet,
    Pool(Id<Pool>),
    Policy(Id<Policy>),
    Regions(Regions),
    Part(Arc<Audience>),
}

/// A length of time that charts show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    Hour,
    Day,
    Week,
}

impl Span {
    pub const ALL: [Span; 3] = [Span::Hour, Span::Day, Span::Week];

    /// Points of a curve, and how many cells one is.
    fn points(self) -> (usize, usize) {
        match self {
            Span::Hour => (60, 1),
            Span::Day => (96, 15),
            Span::Week => (168, 6),
        }
    }
}

/// Rates over a span, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Where the first point begins.
    pub start_ms: u64,
    pub step_ms: u64,
    /// Queries per second of each step.
    pub points: Vec<f64>,
    /// When counting began, where that is within the span: the curve is no longer than that.
    pub began_ms: Option<u64>,
}

impl Curve {
    pub fn end_ms(&self) -> u64 {
        self.start_ms + self.step_ms * self.points.len() as u64
    }

    /// When each step begins, and its rate.
    pub fn each(&self) -> impl Iterator<Item = (Timestamp, f64)> {
        let at = |step: usize| i64::try_from(self.start_ms + self.step_ms * step as u64).unwrap_or_default();
        let at = move |step| Timestamp::from_millisecond(at(step)).unwrap_or_default();
        self.points.iter().enumerate().map(move |(step, rate)| (at(step), *rate))
    }

    pub fn sum(&self) -> f64 {
        self.points.iter().sum()
    }
}

/// What a look at the counters brings.
#[derive(Debug, Default)]
pub struct Counted<'c> {
    pub all: u64,
    pub subnet: u64,
    pub pools: Option<&'c BTreeMap<Id<Pool>, u64>>,
    pub policies: Option<&'c BTreeMap<Id<Policy>, u64>>,
    pub regions: Option<&'c BTreeMap<Regions, u64>>,
    pub audiences: Option<&'c BTreeMap<Arc<Audience>, u64>>,
}

#[derive(Debug)]
pub struct Series {
    minutes: Ring,
    tens: Ring,
    part_minutes: Ring,
    part_tens: Ring,
}

impl Default for Series {
    fn default() -> Series {
        let minutes = |most| Ring::new(MINUTE_MS, DAY_MINUTES, most);
        let tens = |most| Ring::new(10 * MINUTE_MS, WEEK_TENS, most);
        Series {
            minutes: minutes(MAX_COLUMNS),
            tens: tens(MAX_COLUMNS),
            part_minutes: minutes(MAX_PARTS),
            part_tens: tens(MAX_PARTS),
        }
    }
}

/// Steps of a curve, in cells: those that are round numbers of minutes and of tens of them.
const ROUND: [usize; 7] = [1, 2, 3, 6, 10, 15, 30];
/// Points of the shortest curve.
const MIN_POINTS: usize = 2;

/// What a span comes to.
#[derive(Clone, Copy)]
struct Extent {
    /// The minutes, or the tens of them.
    by_minutes: bool,
    points: usize,
    /// Of each point.
    cells: usize,
    began_ms: Option<u64>,
}

impl Series {
    pub fn add(&mut self, at_ms: u64, counted: &Counted) {
        for ring in [&mut self.minutes, &mut self.tens] {
            ring.advance(at_ms);
            ring.count(Key::All, counted.all);
            ring.count(Key::Subnet, counted.subnet);
            for (regions, count) in counted.regions.into_iter().flatten() {
                ring.count(Key::Regions(regions.clone()), *count);
            }
            for (pool, count) in counted.pools.into_iter().flatten() {
                ring.count(Key::Pool(pool.clone()), *count);
            }
            for (policy, count) in counted.policies.into_iter().flatten() {
                ring.count(Key::Policy(policy.clone()), *count);
            }
        }
        for ring in [&mut self.part_minutes, &mut self.part_tens] {
            ring.advance(at_ms);
            for (audience, count) in counted.audiences.into_iter().flatten() {
                ring.count(Key::Part(audience.clone()), *count);
            }
        }
    }

    pub fn total(&self, span: Span) -> Curve {
        self.curve(&Key::All, span)
    }

    pub fn pool(&self, pool: &Id<Pool>, span: Span) -> Curve {
        self.curve(&Key::Pool(pool.clone()), span)
    }

    pub fn policy(&self, policy: &Id<Policy>, span: Span) -> Curve {
        self.curve(&Key::Policy(policy.clone()), span)
    }

    /// Every pool that was answered within `span`, the busiest first.
    pub fn pools(&self, span: Span) -> Vec<(Id<Pool>, Curve)> {
        self.busiest(span, |key| if let Key::Pool(pool) = key { Some(pool) } else { None })
    }

    /// The clients of steered names within `span` by the regions of the rule that admitted them, the most first.
    pub fn regions(&self, span: Span) -> Vec<(Regions, Curve)> {
        self.busiest(span, |key| if let Key::Regions(regions) = key { Some(regions) } else { None })
    }

    /// The answers of a policy by the pools that gave them, the most first; `None` stands for no answer.
    pub fn policy_pools(&self, policy: &Id<Policy>, span: Span) -> Vec<(Option<Id<Pool>>, Curve)> {
        self.parts(policy, span, |audience| audience.pool.clone())
    }

    /// The answers of a policy by the regions of the rule that admitted the client, the most first.
    pub fn policy_regions(&self, policy: &Id<Policy>, span: Span) -> Vec<(Regions, Curve)> {
        self.parts(policy, span, |audience| audience.regions.clone())
    }

    fn parts<T: Ord>(&self, policy: &Id<Policy>, span: Span, by: impl Fn(&Audience) -> T) -> Vec<(T, Curve)> {
        let extent = self.extent(span);
        let ring = if extent.by_minutes { &self.part_minutes } else { &self.part_tens };
        let mut sums: BTreeMap<T, Curve> = BTreeMap::new();
        for (key, column) in &ring.columns {
            let Key::Part(audience) = key else { continue };
            if audience.policy != *policy {
                continue;
            }
            let curve = ring.curve(Some(column), extent);
            match sums.entry(by(audience)) {
                Entry::Vacant(free) => drop(free.insert(curve)),
                Entry::Occupied(mut sum) => {
                    let points = sum.get_mut().points.iter_mut().zip(curve.points);
                    points.for_each(|(sum, point)| *sum += point);
                }
            }
        }
        busiest_first(sums)
    }

    fn busiest<T: Clone + Ord>(&self, span: Span, wanted: impl Fn(&Key) -> Option<&T>) -> Vec<(T, Curve)> {
        let extent = self.extent(span);
        let ring = self.ring(extent);
        let columns = ring.columns.iter();
        busiest_first(
            columns.filter_map(|(key, column)| Some((wanted(key)?.clone(), ring.curve(Some(column), extent)))),
        )
    }

    /// Queries per second in the last ten minutes that are over, and in the same ten minutes a week before.
    pub fn week_on_week(&self) -> Option<(f64, f64)> {
        let week = 7 * 24 * 6;
        let (now, then) = (self.tens.closed(&Key::All, 0)?, self.tens.closed(&Key::All, week)?);
        // Nothing was counted a week ago, or northing did not run.
        (then > 0).then(|| (now as f64 / 600.0, then as f64 / 600.0))
    }

    /// The share of the last hour's queries that carried a client subnet.
    pub fn subnet_share(&self) -> Option<f64> {
        let sum = |key| self.curve(key, Span::Hour).sum();
        let all = sum(&Key::All);
        (all > 0.0).then(|| (sum(&Key::Subnet) / all).min(1.0))
    }

    /// All of the span, or where counting began within it, what there is since, in finer steps.
    fn extent(&self, span: Span) -> Extent {
        // What is younger than half a day is told by its minutes.
        let by_minutes = span != Span::Week || self.tens.counted() < 12 * 6;
        let ring = if by_minutes { &self.minutes } else { &self.tens };
        let (points, cells) = span.points();
        let whole = Extent { by_minutes: span != Span::Week, points, cells, began_ms: None };
        let counted = ring.counted();
        let all_ms = self.whole_ms(whole);
        if counted == 0 || counted as u64 * ring.step_ms * 10 > all_ms * 9 {
            return whole;
        }
        let cells = ROUND.into_iter().find(|cells| counted.div_ceil(*cells) <= points).unwrap_or(cells);
        let points = counted.div_ceil(cells).max(MIN_POINTS);
        Extent { by_minutes, points, cells, began_ms: Some((ring.head - counted as u64) * ring.step_ms) }
    }

    fn whole_ms(&self, extent: Extent) -> u64 {
        self.ring(extent).step_ms * (extent.points * extent.cells) as u64
    }

    fn ring(&self, extent: Extent) -> &Ring {
        if extent.by_minutes { &self.minutes } else { &self.tens }
    }

    fn curve(&self, key: &Key, span: Span) -> Curve {
        let extent = self.extent(span);
        let ring = self.ring(extent);
        ring.curve(ring.columns.get(key).map(|column| &**column), extent)
    }

    /// As a file holds it.
    pub fn to_bytes(&mut self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for ring in [&mut self.minutes, &mut self.tens, &mut self.part_minutes, &mut self.part_tens] {
            ring.write(&mut out);
        }
        out
    }

    /// `None` where `bytes` are not of this version, or damaged. The first file of this version had no parts.
    pub fn from_bytes(bytes: &[u8]) -> Option<Series> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut series = Series::default();
        for ring in [&mut series.minutes, &mut series.tens] {
            rest = ring.read(rest)?;
        }
        if !rest.is_empty() {
            for ring in [&mut series.part_minutes, &mut series.part_tens] {
                rest = ring.read(rest)?;
            }
        }
        rest.is_empty().then_some(series)
    }
}

fn busiest_first<T: Ord>(curves: impl IntoIterator<Item = (T, Curve)>) -> Vec<(T, Curve)> {
    let mut curves: Vec<(T, Curve)> = curves.into_iter().filter(|(_, curve)| curve.sum() > 0.0).collect();
    curves.sort_by(|(a, of_a), (b, of_b)| of_b.sum().total_cmp(&of_a.sum()).then_with(|| a.cmp(b)));
    curves
}

/// Cells of one length, the newest overwriting the oldest.
#[derive(Debug)]
struct Ring {
    step_ms: u64,
    cells: usize,
    /// The most columns.
    most: usize,
    /// The number of the cell that is being filled, counted from 1970; 0 before anything was counted.
    head: u64,
    open: BTreeMap<Key, u64>,
    columns: BTreeMap<Key, Box<[u16]>>,
}

impl Ring {
    fn new(step_ms: u64, cells: usize, most: usize) -> Ring {
        Ring { step_ms, cells, most, head: 0, open: BTreeMap::new(), columns: BTreeMap::new() }
    }

    /// Closes every cell before the one that `at_ms` is in. A clock that was set back goes on in the open cell.
    fn advance(&mut self, at_ms: u64) {
        let head = at_ms / self.step_ms;
        if self.head == 0 {
            self.head = head;
        }
        // A clock that was far ahead: what was counted then belongs to no time that is shown.
        if self.head > head.saturating_add(self.cells as u64) {
            *self = Ring { head, ..Ring::new(self.step_ms, self.cells, self.most) };
        }
        if head <= self.head {
            return;
        }
        self.close();
        // The cells of time that nobody counted.
        let skipped = (head - self.head - 1).min(self.cells as u64);
        for back in 1..=skipped {
            let at = ((head - back) % self.cells as u64) as usize;
            self.columns.values_mut().for_each(|column| column[at] = 0);
        }
        self.head = head;
        self.columns.retain(|_, column| column.iter().any(|cell| *cell > 0));
    }

    fn close(&mut self) {
        let at = self.at();
        self.columns.values_mut().for_each(|column| column[at] = 0);
        for (key, count) in std::mem::take(&mut self.open) {
            self.fill(key, at, count);
        }
    }

    /// A column beyond the limit is not begun.
    fn fill(&mut self, key: Key, at: usize, count: u64) {
        if self.columns.len() < self.most || self.columns.contains_key(&key) {
            self.columns.entry(key).or_insert_with(|| vec![0; self.cells].into())[at] = packed(count);
        }
    }

    /// The place of the open cell.
    fn at(&self) -> usize {
        (self.head % self.cells as u64) as usize
    }

    fn count(&mut self, key: Key, count: u64) {
        let known = |ring: &Ring| ring.columns.contains_key(&key) || ring.open.contains_key(&key);
        if count > 0 && (self.columns.len().max(self.open.len()) < self.most || known(self)) {
            let open = self.open.entry(key).or_default();
            *open = open.saturating_add(count);
        }
    }

    fn curve(&self, column: Option<&[u16]>, extent: Extent) -> Curve {
        let Extent { points, cells, began_ms, .. } = extent;
        let step_ms = self.step_ms * cells as u64;
        let seconds = step_ms as f64 / 1e3;
        let point = |at: usize| {
            let back = (points - 1 - at) * cells;
            let cells = |column: &[u16]| (back..back + cells).map(|back| self.cell(column, back) as f64).sum::<f64>();
            column.map_or(0.0, cells) / seconds
        };
        let start_ms = (self.head * self.step_ms).saturating_sub(step_ms * points as u64);
        Curve { start_ms, step_ms, points: (0..points).map(point).collect(), began_ms }
    }

    /// How many closed cells there are since the oldest in which anything at all was counted.
    fn counted(&self) -> usize {
        let Some(column) = self.columns.get(&Key::All) else { return 0 };
        // The place of the oldest cell is that of the open one, which a file may have brought.
        (0..self.cells - 1).rev().find(|back| self.cell(column, *back) > 0).map_or(0, |back| back + 1)
    }

    /// The cell that was closed `back` cells before the newest closed one.
    fn cell(&self, column: &[u16], back: usize) -> u64 {
        let back = back as u64 + 1;
        if back > self.cells as u64 || back > self.head {
            return 0;
        }
        unpacked(column[((self.head - back) % self.cells as u64) as usize])
    }

    fn closed(&self, key: &Key, back: usize) -> Option<u64> {
        Some(self.cell(self.columns.get(key)?, back))
    }

    /// The open cell is written as far as it is filled, and goes on to be filled after a restart.
    fn write(&mut self, out: &mut Vec<u8>) {
        let at = self.at();
        for (key, count) in self.open.clone() {
            self.fill(key, at, count);
        }
        out.extend(self.head.to_le_bytes());
        out.extend((self.columns.len() as u32).to_le_bytes());
        for (key, column) in &self.columns {
            let name = key.name();
            out.extend((name.len() as u32).to_le_bytes());
            out.extend(name.as_bytes());
            column.iter().for_each(|cell| out.extend(cell.to_le_bytes()));
        }
    }

    fn read<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let (head, rest) = bytes.split_first_chunk()?;
        let (count, mut rest) = rest.split_first_chunk()?;
        self.head = u64::from_le_bytes(*head);
        let count = u32::from_le_bytes(*count) as usize;
        if count > self.most || self.head > END_OF_TIME_MS / self.step_ms {
            return None;
        }
        for _ in 0..count {
            let (length, after) = rest.split_first_chunk()?;
            let (name, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            let (cells, after) = after.split_at_checked(self.cells * 2)?;
            let key = Key::of_name(std::str::from_utf8(name).ok()?)?;
            let column: Box<[u16]> = cells.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            self.count(key.clone(), unpacked(column[self.at()]));
            self.columns.insert(key, column);
            rest = after;
        }
        Some(rest)
    }
}

impl Key {
    /// No id has a plus sign or a slash in it.
    fn name(&self) -> String {
        match self {
            Key::All => "all".into(),
            Key::Subnet => "subnet".into(),
            Key::Pool(id) => format!("pools/{id}"),
            Key::Policy(id) => format!("policies/{id}"),
            Key::Regions(ids) => {
                format!("regions/{}", joined(ids))
            }
            Key::Part(part) => {
                let pool = part.pool.as_ref().map_or("", Id::as_str);
                format!("parts/{}/{pool}/{}", part.policy, joined(&part.regions))
            }
        }
    }

    fn of_name(name: &str) -> Option<Key> {
        match name.split_once('/') {
            Some(("pools", id)) => id.parse().ok().map(Key::Pool),
            Some(("policies", id)) => id.parse().ok().map(Key::Policy),
            Some(("regions", ids)) => parted(ids).map(Key::Regions),
            Some(("parts", part)) => {
                let (policy, part) = part.split_once('/')?;
                let (pool, ids) = part.split_once('/')?;
                let pool = if pool.is_empty() { None } else { Some(pool.parse().ok()?) };
                let audience = Audience { policy: policy.parse().ok()?, regions: parted(ids)?, pool };
                Some(Key::Part(Arc::new(audience)))
            }
            _ if name == "all" => Some(Key::All),
            _ => (name == "subnet").then_some(Key::Subnet),
        }
    }
}

fn joined(regions: &[Id<Region>]) -> String {
    regions.iter().map(Id::as_str).collect::<Vec<_>>().join("+")
}

fn parted(ids: &str) -> Option<Regions> {
    if ids.is_empty() { Some(Vec::new()) } else { ids.split('+').map(|id| id.parse().ok()).collect() }
}

/// Numbers below this are kept exactly.
const EXACT: u64 = 2048;
/// Steps of one power of two above it.
const STEPS: u64 = 1024;

/// Rounds down to 11 significant bits.
fn packed(count: u64) -> u16 {
    if count < EXACT {
        return count as u16;
    }
    let shift = u64::from(count.ilog2()) - 10;
    let code = EXACT + (shift - 1) * STEPS + (count >> shift) - STEPS;
    u16::try_from(code).unwrap_or(u16::MAX)
}

fn unpacked(code: u16) -> u64 {
    let code = u64::from(code);
    if code < EXACT {
        return code;
    }
    let (shift, step) = ((code - EXACT) / STEPS + 1, (code - EXACT) % STEPS);
    // Shifts end at 62 (the largest code), and the number below 2^11: what would overflow is cut off.
    (STEPS + step).saturating_mul(1 << shift)
}

#[cfg(test)]
mod tests;
