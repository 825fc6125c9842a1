//! How a rule's traffic is shared now: exact odds of every pool, not sampled. For a sticky policy these are
//! shares of all its clients.

use super::live::Kind;
use super::plan::{Resort, RulePlan, StepPlan};
use super::steer::{Kept, Pass, Pools, candidates, has_anchor, stand};
use super::trace::Standing;
use crate::geo::Decision;

/// The most pools of one step that shed a part of their traffic, as each way in which they can is gone through.
const MAX_SHEDDING: usize = 12;

/// Odds from 0 to 1 of each pool of each step. They fall short of 1 where the last resort is none of these.
pub type Odds = Vec<Vec<f64>>;

/// `None` where more pools shed than can be gone through.
pub fn odds(kind: Kind, rule: &RulePlan, decision: Option<&Decision>, pools: Pools) -> Option<Odds> {
    let mut odds: Odds = rule.steps.iter().map(|step| vec![0.0; step.pools.len()]).collect();
    let mut left = 1.0;
    for (step, odds) in rule.steps.iter().zip(&mut odds) {
        left = share(kind, step, decision, pools, left, odds)?;
    }
    for pass in [Pass::Full, Pass::Held, Pass::Anyway] {
        if pass == Pass::Anyway && rule.last_resort != Resort::ServeAnyway {
            break;
        }
        for (step, odds) in rule.steps.iter().zip(&mut odds) {
            let kept = standing(kind, step, pools, pass);
            if left > 0.0 && has_anchor(step, &kept) {
                spread(step, &candidates(step, kept, decision, pools), left, odds);
                left = 0.0;
            }
        }
    }
    Some(odds)
}

/// Shares `left` out in one step. What no pool of it keeps moves on to the next.
fn share(
    kind: Kind,
    step: &StepPlan,
    decision: Option<&Decision>,
    pools: Pools,
    left: f64,
    odds: &mut [f64],
) -> Option<f64> {
    let may = standing(kind, step, pools, Pass::Normal);
    let sheds = |at: u8| pools.get(step.pools[usize::from(at)].pool).map_or(0.0, |pool| pool.sheds);
    let partly: Vec<u8> = may.iter().copied().filter(|&at| sheds(at) > 0.0 && sheds(at) < 1.0).collect();
    if partly.len() > MAX_SHEDDING {
        return None;
    }
    let mut moves_on = 0.0;
    for case in 0..1u32 << partly.len() {
        let stays = |at: u8| match partly.iter().position(|known| *known == at) {
            Some(bit) => case >> bit & 1 == 1,
            None => sheds(at) < 1.0,
        };
        let chance: f64 = partly.iter().map(|&at| if stays(at) { 1.0 - sheds(at) } else { sheds(at) }).product();
        let kept: Kept = may.iter().copied().filter(|&at| stays(at)).collect();
        if has_anchor(step, &kept) {
            spread(step, &candidates(step, kept, decision, pools), left * chance, odds);
        } else {
            moves_on += left * chance;
        }
    }
    Some(moves_on)
}

fn standing(kind: Kind, step: &StepPlan, pools: Pools, pass: Pass) -> Kept {
    let uses = step.pools.iter().enumerate();
    let kept =
        uses.filter(|(_, one)| pools.get(one.pool).is_some_and(|pool| stand(kind, one, pool, pass) == Standing::Kept));
    kept.map(|(at, _)| at as u8).collect()
}

fn spread(step: &StepPlan, among: &[u8], share: f64, odds: &mut [f64]) {
    let weight = |at: u8| f64::from(step.pools[usize::from(at)].weight);
    let total: f64 = among.iter().map(|&at| weight(at)).sum();
    for &at in among {
        odds[usize::from(at)] += share * weight(at) / total;
    }
}
