//! What explaining listens to while an answer is made.

use super::live::{Choices, LivePool};
use super::locate::Located;
use super::plan::{Plan, RulePlan};
use super::steer::{Choice, Pass};
use crate::geo::Decision;
use crate::model::RecordType;

/// Why a pool may or may not answer this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Kept,
    NoWeight,
    NotServing,
    Shed,
}

/// A listener; every method does nothing by default, so that answering without one costs nothing.
pub trait Tracer {
    fn steered(&mut self, _policy: u32, _located: &Located) {}
    fn ruled(&mut self, _plan: &Plan, _rule: &RulePlan, _decision: Option<&Decision>) {}
    fn pool(&mut self, _pass: Pass, _step: usize, _pool: usize, _verdict: Verdict) {}
    fn chosen(&mut self, _choice: &Choice) {}
    fn served(&mut self, _pool: &LivePool, _rtype: RecordType, _choices: &Choices, _picked: &[u8]) {}
    fn kept_for(&mut self, _ttl: u32, _pass: Pass) {}
}

/// Nobody listens.
pub struct Silent;

impl Tracer for Silent {}
