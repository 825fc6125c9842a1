//! What explaining listens to while an answer is made.

use super::locate::Located;
use super::steer::{Choice, Pass};
use crate::geo::Decision;

/// Whether a pool may answer this client, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It may.
    Kept,
    /// Its weight in the step is 0.
    NoWeight,
    /// By its state, or as no server of it is usable.
    NotServing,
    /// A canary answers only beside a healthy pool.
    CanaryAlone,
    /// This client is of the share that moves on to the next pools.
    Shed,
    /// A step before it answered.
    NotReached,
}

/// Why an answer may be kept as long as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// What the policy says.
    AsSet,
    /// Until health could change the answer, at this moment in Unix milliseconds.
    UntilChange(u64),
    /// In last resort.
    Failing,
}

/// A listener; every method does nothing by default, so that answering without one costs nothing.
pub trait Tracer {
    fn steered(&mut self, _policy: u32, _located: &Located) {}
    fn ruled(&mut self, _rule: usize, _decision: Option<&Decision>) {}
    fn stands(&mut self, _pass: Pass, _step: usize, _pool: usize, _standing: Standing) {}
    fn chosen(&mut self, _choice: &Choice) {}
    /// Positions in the pool's servers: those to choose from, and those that were.
    fn served(&mut self, _from: &[u8], _picked: &[u8]) {}
    fn kept(&mut self, _ttl: u32, _why: Kept) {}
}

/// Nobody listens.
pub struct Silent;

impl Tracer for Silent {}
