//! How many queries there were: for each minute of the last day and for each ten minutes of the last week, in
//! all, of each pool and policy, and of the clients in each region. Reads no clock and no file; the newest, unfinished span is never shown.
//!
//! A count is kept in 16 bits with 11 significant ones, so an entity that was asked for costs 4.9 kB: a
//! thousand pools and two thousand policies are 15 MB, in memory and on the disk.

use std::collections::BTreeMap;

use crate::model::{Id, Policy, Pool, Region};

const MINUTE_MS: u64 = 60_000;
const DAY_MINUTES: usize = 24 * 60;
/// A week, and one more to compare with.
const WEEK_TENS: usize = 7 * 24 * 6 + 2;
/// What is counted for itself; more is only in the totals.
const MAX_COLUMNS: usize = 8192;
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
}

impl Curve {
    pub fn end_ms(&self) -> u64 {
        self.start_ms + self.step_ms * self.points.len() as u64
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
}

#[derive(Debug)]
pub struct Series {
    minutes: Ring,
    tens: Ring,
}

impl Default for Series {
    fn default() -> Series {
        Series { minutes: Ring::new(MINUTE_MS, DAY_MINUTES), tens: Ring::new(10 * MINUTE_MS, WEEK_TENS) }
    }
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

    fn busiest<T: Clone + Ord>(&self, span: Span, wanted: impl Fn(&Key) -> Option<&T>) -> Vec<(T, Curve)> {
        let known = self.ring(span).columns.keys();
        let curves = known.filter_map(|key| Some((wanted(key)?.clone(), self.curve(key, span))));
        let mut curves: Vec<(T, Curve)> = curves.filter(|(_, curve)| curve.sum() > 0.0).collect();
        curves.sort_by(|(a, of_a), (b, of_b)| of_b.sum().total_cmp(&of_a.sum()).then_with(|| a.cmp(b)));
        curves
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

    fn ring(&self, span: Span) -> &Ring {
        if span == Span::Week { &self.tens } else { &self.minutes }
    }

    fn curve(&self, key: &Key, span: Span) -> Curve {
        let (ring, (count, cells)) = (self.ring(span), span.points());
        let step_ms = ring.step_ms * cells as u64;
        let seconds = step_ms as f64 / 1e3;
        let column = ring.columns.get(key);
        let point = |at: usize| {
            let back = (count - 1 - at) * cells;
            let cells = |column: &[u16]| (back..back + cells).map(|back| ring.cell(column, back) as f64).sum::<f64>();
            column.map_or(0.0, |column| cells(column)) / seconds
        };
        let end_ms = ring.head * ring.step_ms;
        let start_ms = end_ms.saturating_sub(step_ms * count as u64);
        Curve { start_ms, step_ms, points: (0..count).map(point).collect() }
    }

    /// As a file holds it.
    pub fn to_bytes(&mut self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for ring in [&mut self.minutes, &mut self.tens] {
            ring.write(&mut out);
        }
        out
    }

    /// `None` where `bytes` are not of this version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Series> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut series = Series::default();
        for ring in [&mut series.minutes, &mut series.tens] {
            rest = ring.read(rest)?;
        }
        rest.is_empty().then_some(series)
    }
}

/// Cells of one length, the newest overwriting the oldest.
#[derive(Debug)]
struct Ring {
    step_ms: u64,
    cells: usize,
    /// The number of the cell that is being filled, counted from 1970; 0 before anything was counted.
    head: u64,
    open: BTreeMap<Key, u64>,
    columns: BTreeMap<Key, Box<[u16]>>,
}

impl Ring {
    fn new(step_ms: u64, cells: usize) -> Ring {
        Ring { step_ms, cells, head: 0, open: BTreeMap::new(), columns: BTreeMap::new() }
    }

    /// Closes every cell before the one that `at_ms` is in. A clock that was set back goes on in the open cell.
    fn advance(&mut self, at_ms: u64) {
        let head = at_ms / self.step_ms;
        if self.head == 0 {
            self.head = head;
        }
        // A clock that was far ahead: what was counted then belongs to no time that is shown.
        if self.head > head.saturating_add(self.cells as u64) {
            *self = Ring { head, ..Ring::new(self.step_ms, self.cells) };
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
        if self.columns.len() < MAX_COLUMNS || self.columns.contains_key(&key) {
            self.columns.entry(key).or_insert_with(|| vec![0; self.cells].into())[at] = packed(count);
        }
    }

    /// The place of the open cell.
    fn at(&self) -> usize {
        (self.head % self.cells as u64) as usize
    }

    fn count(&mut self, key: Key, count: u64) {
        let known = |ring: &Ring| ring.columns.contains_key(&key) || ring.open.contains_key(&key);
        if count > 0 && (self.columns.len().max(self.open.len()) < MAX_COLUMNS || known(self)) {
            let open = self.open.entry(key).or_default();
            *open = open.saturating_add(count);
        }
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
        if count > MAX_COLUMNS || self.head > END_OF_TIME_MS / self.step_ms {
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
    /// No id has a plus sign in it.
    fn name(&self) -> String {
        match self {
            Key::All => "all".into(),
            Key::Subnet => "subnet".into(),
            Key::Pool(id) => format!("pools/{id}"),
            Key::Policy(id) => format!("policies/{id}"),
            Key::Regions(ids) => {
                format!("regions/{}", ids.iter().map(Id::as_str).collect::<Vec<_>>().join("+"))
            }
        }
    }

    fn of_name(name: &str) -> Option<Key> {
        match name.split_once('/') {
            Some(("pools", id)) => id.parse().ok().map(Key::Pool),
            Some(("policies", id)) => id.parse().ok().map(Key::Policy),
            Some(("regions", "")) => Some(Key::Regions(Vec::new())),
            Some(("regions", ids)) => {
                ids.split('+').map(|id| id.parse().ok()).collect::<Option<Regions>>().map(Key::Regions)
            }
            _ if name == "all" => Some(Key::All),
            _ => (name == "subnet").then_some(Key::Subnet),
        }
    }
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START_MS: u64 = 1_700_000_000_000 / 600_000 * 600_000;

    fn pool(id: &str) -> Id<Pool> {
        id.parse().unwrap()
    }

    /// Adds `all` queries, half of them to `eu`, every five seconds of `minutes`.
    fn run(series: &mut Series, from_ms: u64, minutes: u64, all: u64) -> u64 {
        for look in 0..minutes * 12 {
            let pools = BTreeMap::from([(pool("eu"), all / 2)]);
            let both = ["eu", "uk"].map(|id| id.parse().unwrap()).to_vec();
            let regions = BTreeMap::from([(both, all / 2), (Vec::new(), all / 4)]);
            let counted =
                Counted { all, subnet: all / 4, pools: Some(&pools), policies: None, regions: Some(&regions) };
            series.add(from_ms + look * 5_000, &counted);
        }
        from_ms + minutes * MINUTE_MS
    }

    #[test]
    fn closed_minutes_are_rates_and_the_open_one_is_not_shown() {
        let mut series = Series::default();
        let end = run(&mut series, START_MS, 3, 50);
        series.add(end, &Counted { all: 9_999, ..Counted::default() });
        let curve = series.total(Span::Hour);
        assert_eq!((curve.points.len(), &curve.points[56..]), (60, &[0.0, 10.0, 10.0, 10.0][..]));
        assert_eq!(curve.end_ms(), end);
        assert_eq!(series.pool(&pool("eu"), Span::Hour).points[59], 5.0);
        assert_eq!(series.pools(Span::Hour)[0].0, pool("eu"));
        assert_eq!(series.subnet_share().map(|share| (share * 100.0).round()), Some(24.0));
    }

    #[test]
    fn time_without_a_look_counts_as_nothing() {
        let mut series = Series::default();
        let end = run(&mut series, START_MS, 2, 50);
        run(&mut series, end + 2 * MINUTE_MS, 2, 50);
        assert_eq!(series.total(Span::Hour).points[55..], [10.0, 10.0, 0.0, 0.0, 10.0]);
    }

    #[test]
    fn what_is_older_than_its_ring_is_gone_and_idle_columns_with_it() {
        let mut series = Series::default();
        let end = run(&mut series, START_MS, 2, 50);
        series.add(end + 25 * 60 * MINUTE_MS, &Counted::default());
        assert!(series.minutes.columns.is_empty());
        assert!(series.total(Span::Week).sum() > 0.0);
        series.add(end + 9 * 24 * 60 * MINUTE_MS, &Counted::default());
        assert!(series.tens.columns.is_empty());
    }

    #[test]
    fn this_time_a_week_ago_is_known_after_a_week() {
        let mut series = Series::default();
        let end = run(&mut series, START_MS, 10, 50);
        assert_eq!(series.week_on_week(), None);
        let next = START_MS + 7 * 24 * 60 * MINUTE_MS;
        assert!(next > end);
        let end = run(&mut series, next, 10, 100);
        series.add(end, &Counted::default());
        assert_eq!(series.week_on_week(), Some((20.0, 10.0)));
    }

    #[test]
    fn a_file_brings_everything_back_and_a_damaged_one_nothing() {
        let mut series = Series::default();
        run(&mut series, START_MS, 35, 8);
        let bytes = series.to_bytes();
        let read = Series::from_bytes(&bytes).unwrap();
        assert_eq!(read.pools(Span::Day), series.pools(Span::Day));
        let regions = read.regions(Span::Day);
        assert_eq!(regions, series.regions(Span::Day));
        assert_eq!(regions.iter().map(|(ids, _)| ids.len()).collect::<Vec<_>>(), [2, 0]);
        assert_eq!((&read.minutes.open, &read.tens.open), (&series.minutes.open, &series.tens.open));
        for length in [0, 5, MAGIC.len() + 3, bytes.len() - 1] {
            assert!(Series::from_bytes(&bytes[..length]).is_none(), "{length}");
        }
    }

    /// Every look of a chart at a series.
    fn look(series: &Series) {
        for span in Span::ALL {
            assert!(series.total(span).end_ms() >= series.total(span).start_ms);
            series.pools(span);
            series.regions(span);
        }
        series.week_on_week();
        series.subnet_share();
    }

    #[test]
    fn a_damaged_head_or_cell_neither_overflows_nor_takes_memory() {
        let mut series = Series::default();
        run(&mut series, START_MS, 35, 8);
        let whole = series.to_bytes();
        let at = MAGIC.len();
        for head in [u64::MAX, u64::MAX / MINUTE_MS, u64::MAX / MINUTE_MS + 1, END_OF_TIME_MS / MINUTE_MS + 1] {
            let mut bytes = whole.clone();
            bytes[at..at + 8].copy_from_slice(&head.to_le_bytes());
            assert!(Series::from_bytes(&bytes).is_none(), "{head}");
        }
        for (from, to, is_read) in
            [(at + 8, at + 12, false), (at + 12, at + 16, false), (bytes_of_cells(at), at + 600, true)]
        {
            let mut bytes = whole.clone();
            bytes[from..to].fill(0xff);
            let mut read = Series::from_bytes(&bytes);
            assert_eq!(read.is_some(), is_read, "{from}");
            if let Some(series) = &mut read {
                look(series);
                run(series, START_MS + 35 * MINUTE_MS, 2, u64::MAX / 100);
                look(series);
            }
        }
    }

    /// Where the cells of the first column, that of all queries, begin.
    fn bytes_of_cells(at: usize) -> usize {
        at + 8 + 4 + 4 + "all".len()
    }

    #[test]
    fn columns_beyond_the_limit_are_left_out_and_the_file_can_be_read() {
        let mut series = Series::default();
        for batch in 0..2 {
            let pools = (0..MAX_COLUMNS * 3 / 4).map(|n| (pool(&format!("p{batch}-{n}")), 1)).collect();
            let counted = Counted { all: 1, pools: Some(&pools), ..Counted::default() };
            series.add(START_MS + batch * MINUTE_MS, &counted);
        }
        series.add(START_MS + 2 * MINUTE_MS, &Counted::default());
        assert_eq!(series.minutes.columns.len(), MAX_COLUMNS);
        assert!(Series::from_bytes(&series.to_bytes()).is_some());
    }

    proptest! {
        #[test]
        fn counts_keep_eleven_bits(count in 0..1_u64 << 52) {
            let kept = unpacked(packed(count));
            prop_assert!(kept <= count && (count - kept) as f64 <= count as f64 / 1024.0);
        }

        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut file = MAGIC.to_vec();
            file.extend(bytes);
            Series::from_bytes(&file).iter().for_each(look);
        }
    }
}
