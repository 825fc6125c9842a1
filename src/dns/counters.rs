//! What was asked and said, counted where it happens: each thread owns its counters, and metrics sums them.
//! A counter is never read on the way of an answer.

use std::array;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::query::Code;
use super::respond::{Engine, Said};
use crate::answer::Credit;
use crate::model::RecordType;

/// The types that are counted one by one; all others share the last place.
pub const TYPES: [RecordType; 15] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::NS,
    RecordType::SOA,
    RecordType::MX,
    RecordType::TXT,
    RecordType::SRV,
    RecordType::PTR,
    RecordType::HTTPS,
    RecordType::SVCB,
    RecordType::CAA,
    RecordType::DS,
    RecordType::DNSKEY,
    RecordType::ANY,
];

/// The codes that are counted one by one; all others share the last place.
pub const CODES: [Code; 8] = [
    Code::NOERROR,
    Code::FORMERR,
    Code::SERVFAIL,
    Code::NXDOMAIN,
    Code::NOTIMP,
    Code::REFUSED,
    Code::NOTAUTH,
    Code::BADVERS,
];

/// A time of answers falls into one of four steps of each power of two, from a microsecond to a second.
const TIMES: usize = 4 * 20;
/// Below this all times are alike, in nanoseconds as a power of two.
const TIMES_FROM: u32 = 10;

/// Revisions whose credits wait to be read. When nobody reads, the oldest are forgotten.
const MAX_UNREAD: usize = 16;

/// The counters of one thread, or of all stream connections.
#[derive(Debug)]
pub struct Counters<E> {
    /// `udp` or `tcp`.
    pub transport: &'static str,
    replies: [[AtomicU64; CODES.len() + 1]; TYPES.len() + 1],
    pub truncated: AtomicU64,
    /// Queries that carried a client subnet.
    pub subnets: AtomicU64,
    /// Packets that got no reply, by their own fault.
    pub silent: AtomicU64,
    /// Packets that the general path answered.
    pub general: AtomicU64,
    /// Queries over their network's rate that got no reply.
    pub dropped: AtomicU64,
    /// Queries over their network's rate that got an empty truncated reply.
    pub slipped: AtomicU64,
    /// Replies that the kernel did not take.
    pub unsent: AtomicU64,
    /// Batches or connections given up because of a fault of ours.
    pub faults: AtomicU64,
    /// How long a sample of answers took, from the receipt of their batch to its last reply.
    times: [AtomicU64; TIMES],
    credits: Mutex<VecDeque<Arc<Credits<E>>>>,
}

/// What the answers of one snapshot credited, and of those after it whose indices mean the same.
#[derive(Debug)]
pub struct Credits<E> {
    /// The newest in which the indices mean the same.
    pub newest: ArcSwap<E>,
    audiences: Box<[AtomicU64]>,
}

impl<E: Engine> Counters<E> {
    pub fn new(transport: &'static str) -> Self {
        Counters {
            transport,
            replies: array::from_fn(|_| array::from_fn(|_| AtomicU64::new(0))),
            truncated: AtomicU64::new(0),
            subnets: AtomicU64::new(0),
            silent: AtomicU64::new(0),
            general: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            slipped: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            times: array::from_fn(|_| AtomicU64::new(0)),
            credits: Mutex::default(),
        }
    }

    /// Counts one reply. Only the thread that owns the counters may call this.
    pub fn count(&self, said: &Said) {
        let rtype = TYPES.iter().position(|&known| known == said.rtype).unwrap_or(TYPES.len());
        let code = CODES.iter().position(|&known| known == said.code).unwrap_or(CODES.len());
        bump(&self.replies[rtype][code]);
        if said.truncated {
            bump(&self.truncated);
        }
        if said.subnet {
            bump(&self.subnets);
        }
    }

    /// Replies by type and code; `None` stands for all others.
    pub fn replies(&self) -> impl Iterator<Item = (Option<RecordType>, Option<Code>, u64)> {
        self.replies.iter().enumerate().flat_map(|(rtype, row)| {
            row.iter()
                .enumerate()
                .map(move |(code, count)| (TYPES.get(rtype).copied(), CODES.get(code).copied(), count.load(Relaxed)))
        })
    }

    /// Counts `answers` that took `time`. Only the thread that owns the counters may call this.
    pub fn time(&self, time: Duration, answers: usize) {
        let cell = &self.times[time_step(time)];
        cell.store(cell.load(Relaxed) + answers as u64, Relaxed);
    }

    /// Timed answers by the longest time of their step, ascending.
    pub fn times(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.times.iter().enumerate().map(|(step, count)| (time_bound(step), count.load(Relaxed)))
    }

    /// Begins to credit another snapshot's audiences.
    pub fn credit_to(&self, snapshot: &Arc<E>) -> Arc<Credits<E>> {
        let credits = Arc::new(Credits {
            newest: ArcSwap::new(snapshot.clone()),
            audiences: (0..snapshot.audiences()).map(|_| AtomicU64::new(0)).collect(),
        });
        let mut unread = self.credits.lock();
        if unread.len() >= MAX_UNREAD {
            unread.pop_front();
        }
        unread.push_back(credits.clone());
        credits
    }

    /// Takes what was credited since the last call; whatever no thread adds to any more is dropped.
    pub fn take_credits(&self, mut each: impl FnMut(&Credits<E>)) {
        let mut unread = self.credits.lock();
        for credits in unread.iter() {
            each(credits);
        }
        unread.retain(|credits| Arc::strong_count(credits) > 1);
    }
}

fn time_step(time: Duration) -> usize {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1 << TIMES_FROM);
    let power = nanos.ilog2();
    let quarter = (nanos >> (power - 2)) & 3;
    ((power - TIMES_FROM) as usize * 4 + quarter as usize).min(TIMES - 1)
}

/// Where step `step` ends.
fn time_bound(step: usize) -> Duration {
    Duration::from_nanos((5 + step as u64 % 4) << (TIMES_FROM as usize + step / 4 - 2))
}

/// Adds one where there is no other writer, which spares a locked instruction for each reply.
fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

impl<E> Credits<E> {
    /// Counts one answer; an index beyond the snapshot is ignored.
    pub fn count(&self, credit: &Credit) {
        if let Some(cell) = self.audiences.get(credit.audience as usize) {
            cell.fetch_add(1, Relaxed);
        }
    }

    /// Answers of each audience since the last call, by its index.
    pub fn take(&self) -> impl Iterator<Item = (usize, u64)> {
        let taken = self.audiences.iter().map(|cell| cell.swap(0, Relaxed));
        taken.enumerate().filter(|&(_, count)| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::World;
    use super::*;

    #[test]
    fn replies_are_counted_by_type_and_code() {
        let counters = Counters::<World>::new("udp");
        let said = |rtype, code| Said { rtype, code, truncated: true, subnet: false, credit: None };
        counters.count(&said(RecordType::A, Code::NOERROR));
        counters.count(&said(RecordType::A, Code::NOERROR));
        counters.count(&said(RecordType(65_280), Code(23)));
        let counted: Vec<_> = counters.replies().filter(|&(_, _, count)| count > 0).collect();
        assert_eq!(counted, [(Some(RecordType::A), Some(Code::NOERROR), 2), (None, None, 1)]);
        assert_eq!((counters.truncated.load(Relaxed), counters.subnets.load(Relaxed)), (3, 0));
    }

    #[test]
    fn credits_are_taken_once_and_outlive_their_snapshot_until_then() {
        let counters = Counters::new("udp");
        let credits = counters.credit_to(&Arc::new(World::new()));
        credits.count(&Credit { audience: 0, pool: Some(1), releases_hold: false });
        credits.count(&Credit { audience: 9, pool: Some(9), releases_hold: false });
        drop(credits);
        let mut taken: Vec<Vec<_>> = Vec::new();
        counters.take_credits(|credits| taken.push(credits.take().collect()));
        assert_eq!(taken, [vec![(0, 1)]]);
        counters.take_credits(|_| panic!("dropped"));
    }

    #[test]
    fn times_fall_into_steps_of_a_quarter_at_most() {
        for nanos in [0, 1_500, 20_000, 333_333, 70_000_000] {
            let time = Duration::from_nanos(nanos);
            let bound = time_bound(time_step(time));
            assert!(bound >= time && (nanos < 1_024 || bound.as_nanos() * 4 <= time.as_nanos() * 5 + 4), "{nanos}");
        }
        assert_eq!(time_step(Duration::from_secs(100)), TIMES - 1);
    }

    #[test]
    fn unread_credits_are_bounded() {
        let counters = Counters::new("udp");
        let world = Arc::new(World::new());
        for _ in 0..100 {
            counters.credit_to(&world);
        }
        assert_eq!(Arc::strong_count(&world), 1 + MAX_UNREAD);
    }
}
