//! What we say. One pure engine answers every transport and every tool; see [`answer`] and [`explain`].
//! No clock, no chance, no I/O: the moment and the entropy come in with the question.
//!
//! [`Snapshot`] is compiled ahead: names (`names`, `zone`), policies (`plan`) and pools in their present
//! health (`live`). A question goes through `respond` (zone, name, fixed records); a steered one through
//! `serve`, which asks `locate` who the client is, a split map for the rule, `steer` for the pool, `choose`
//! for the draw and `ttl` for how long it holds. `explain` listens by `trace`, adds `odds`, and `words` says it.

mod choose;
mod explain;
#[cfg(test)]
mod fixture;
mod live;
mod locate;
mod names;
mod odds;
#[cfg(test)]
mod oracle;
mod plan;
mod plan_state;
mod rehearse;
mod respond;
mod serve;
mod shares;
mod simulate;
mod snapshot;
mod steer;
mod trace;
mod ttl;
mod words;
mod zone;

use std::net::IpAddr;

use smallvec::SmallVec;

pub use explain::{
    ChoiceTrace, ClientSource, ClientTrace, PoolTrace, RecordTrace, RuleReason, RuleTrace, RuleVerdict, ServerTrace,
    SteeringTrace, StepTrace, Trace, explain,
};
pub use locate::is_private;
pub use plan::Audience;
pub use plan_state::{PlanState, PolicyState, RuleState, policy_state, worst_state, worst_states};
pub use rehearse::{Verdict, rehearse, subnet_of};
pub use respond::answer;
pub use shares::{Outlook, Share, outlook, outlook_class, outlook_split, shares, switched};
pub use simulate::{ANY_RESOLVER, Explained, pools, simulate, suppose_down};
pub use snapshot::Snapshot;
pub use steer::Pass;
pub use trace::Standing;

use crate::model::RecordType;

/// A question, its name in lower-cased uncompressed wire form, class IN.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    pub name: &'q [u8],
    pub rtype: RecordType,
}

/// Who asks: the address the query came from, and the client subnet it carries (RFC 7871).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub resolver: IpAddr,
    /// Present only when the query carries the option; `source` may be 0.
    pub subnet: Option<Subnet>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    pub address: IpAddr,
    /// SOURCE PREFIX-LENGTH, at most the family's length.
    pub source: u8,
}

/// Response codes that the engine gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Rcode {
    NoError = 0,
    ServFail = 2,
    NxDomain = 3,
    Refused = 5,
    /// A DNAME makes the name too long (RFC 6672 section 2.2).
    YxDomain = 6,
}

/// Whose records they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'s> {
    /// The question's name, as it was asked.
    Question,
    /// Wire form.
    Name(&'s [u8]),
}

/// Records of one owner and type, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set<'s> {
    pub owner: Owner<'s>,
    pub rtype: RecordType,
    pub ttl: u32,
    /// How many bytes of the question's name stand before the data: what a DNAME keeps of it (RFC 6672 section 2.2).
    pub kept: u8,
    /// Uncompressed wire-form data of each record.
    pub data: SmallVec<[&'s [u8]; 4]>,
}

impl Set<'_> {
    /// The bytes that stand before each data.
    pub fn kept<'q>(&self, question: &'q [u8]) -> &'q [u8] {
        question.get(..usize::from(self.kept)).unwrap_or_default()
    }
}

pub type Section<'s> = SmallVec<[Set<'s>; 2]>;

/// Everything that a response says, but for its transport (id, flags, EDNS, truncation).
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<'s> {
    pub rcode: Rcode,
    /// AA: false in referrals and refusals.
    pub authoritative: bool,
    pub answer: Section<'s>,
    pub authority: Section<'s>,
    pub additional: Section<'s>,
    /// SCOPE PREFIX-LENGTH to return when the query carried a client subnet.
    pub scope: u8,
    /// Extended DNS error (RFC 8914), e.g. 20 Not Authoritative.
    pub extended_error: Option<u16>,
    /// Whom which pool answered, for the counters.
    pub credit: Option<Credit>,
}

/// Indices into the snapshot's audiences and pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// The one thing that is counted.
    pub audience: u32,
    /// `None` when the policy had nothing to say.
    pub pool: Option<u32>,
    /// The pool was held and nothing else was left: its hold is over now.
    pub releases_hold: bool,
}

/// Pseudo-random numbers from a given seed (wyrand); not for secrets.
#[derive(Debug, Clone)]
pub struct Entropy(u64);

impl Entropy {
    pub fn new(seed: u64) -> Self {
        Entropy(seed)
    }

    #[expect(clippy::should_implement_trait, reason = "an iterator would wrap in Some what never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0xa076_1d64_78bd_642f);
        let wide = u128::from(self.0) * u128::from(self.0 ^ 0xe703_7ed1_a0b4_28db);
        (wide >> 64) as u64 ^ wide as u64
    }

    /// Uniform below `bound` (Lemire 2019, without the rejection: the bias is below 2^-32 for our
    /// bounds); 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}
