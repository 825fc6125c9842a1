//! Which pool answers: the client's rule, its steps in order, and what to do when no step can. The same code
//! answers questions and explains answers; a `Tracer` listens.

use smallvec::SmallVec;

use super::choose::Chance;
use super::live::{Kind, LivePool};
use super::plan::{Plan, PoolUse, Resort, RulePlan, StepPlan};
use super::trace::{Standing, Tracer};
use crate::geo::Decision;
use crate::health::PoolState;
use crate::model::{Choose, Tolerance};

/// Rounds through the steps, each less strict than the one before. Nobody is shed into nothing, and a pool that
/// waits for its return is used before any last resort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// Pools that are ok and do not shed this client.
    Normal,
    /// Shedding ignored.
    Full,
    /// Held pools as well.
    Held,
    /// Health ignored.
    Anyway,
}

/// What a rule comes to.
#[derive(Debug, Clone, Copy)]
pub enum Choice<'s> {
    Pool {
        number: u32,
        pool: &'s LivePool,
        /// As what its answer is counted.
        audience: u32,
        /// The step that it was found in; `None` for a last resort's own pool.
        step: Option<usize>,
        pass: Pass,
    },
    NoAnswer,
    Refuse,
}

/// Live pools by number.
#[derive(Clone, Copy)]
pub struct Pools<'s>(pub &'s [Option<std::sync::Arc<LivePool>>]);

impl<'s> Pools<'s> {
    pub fn get(self, number: u32) -> Option<&'s LivePool> {
        self.0.get(number as usize)?.as_deref()
    }
}

/// Positions of pools in a step.
pub type Kept = SmallVec<[u8; 32]>;

pub fn choose_pool<'s>(
    plan: &Plan,
    rule: &RulePlan,
    decision: Option<&Decision>,
    pools: Pools<'s>,
    chance: &mut Chance,
    tracer: &mut impl Tracer,
) -> Choice<'s> {
    let mut passes = [Pass::Normal, Pass::Full, Pass::Held].into_iter();
    let found = passes.find_map(|pass| first_step(plan.kind, rule, decision, pools, pass, chance, tracer));
    let found = found.or_else(|| match rule.last_resort {
        Resort::ServeAnyway => first_step(plan.kind, rule, decision, pools, Pass::Anyway, chance, tracer),
        Resort::Pool(PoolUse { pool: number, audience, .. }) => {
            let pool = pools.get(number).filter(|pool| may_serve(pool, plan.kind, Pass::Anyway))?;
            Some(Choice::Pool { number, pool, audience, step: None, pass: Pass::Anyway })
        }
        Resort::NoAnswer => None,
        Resort::Refuse => Some(Choice::Refuse),
    });
    found.unwrap_or(Choice::NoAnswer)
}

/// The first step with a pool for this client.
fn first_step<'s>(
    kind: Kind,
    rule: &RulePlan,
    decision: Option<&Decision>,
    pools: Pools<'s>,
    pass: Pass,
    chance: &mut Chance,
    tracer: &mut impl Tracer,
) -> Option<Choice<'s>> {
    for (number, step) in rule.steps.iter().enumerate() {
        let kept = keep(kind, step, number, pools, pass, chance, tracer);
        if !has_anchor(step, &kept) {
            continue;
        }
        let candidates = candidates(step, kept, decision, pools);
        let picked = match candidates.len() {
            1 => Some(0),
            _ => chance.pick(candidates.iter().map(|&at| {
                let PoolUse { pool, weight, .. } = step.pools[usize::from(at)];
                (u32::from(weight), pools.get(pool).map_or(0, |pool| pool.key))
            })),
        };
        let chosen = picked.and_then(|picked| candidates.get(picked)).map(|&at| &step.pools[usize::from(at)]);
        if let Some((one, pool)) = chosen.and_then(|one| Some((one, pools.get(one.pool)?))) {
            let PoolUse { pool: of_pool, audience, .. } = *one;
            return Some(Choice::Pool { number: of_pool, pool, audience, step: Some(number), pass });
        }
    }
    None
}

/// True with a pool that is no canary: a canary never takes over.
pub fn has_anchor(step: &StepPlan, kept: &[u8]) -> bool {
    kept.iter().any(|&at| !step.pools[usize::from(at)].canary)
}

/// The pools of a step that may answer this client.
fn keep(
    kind: Kind,
    step: &StepPlan,
    number: usize,
    pools: Pools,
    pass: Pass,
    chance: &mut Chance,
    tracer: &mut impl Tracer,
) -> Kept {
    let mut kept = Kept::new();
    for (at, one) in step.pools.iter().enumerate() {
        let Some(pool) = pools.get(one.pool) else { continue };
        let mut standing = stand(kind, one, pool, pass);
        if standing == Standing::Kept && pass == Pass::Normal && chance.falls_in(pool.sheds, pool.key) {
            standing = Standing::Shed;
        }
        if standing == Standing::Kept {
            kept.push(at as u8);
        }
        tracer.stands(pass, number, at, standing);
    }
    kept
}

/// Whether a pool may answer in a pass, but for shedding.
pub fn stand(kind: Kind, one: &PoolUse, pool: &LivePool, pass: Pass) -> Standing {
    if one.weight == 0 {
        Standing::NoWeight
    } else if !may_serve(pool, kind, pass) {
        Standing::NotServing
    } else if one.canary && pass == Pass::Anyway {
        // Nothing healthy is beside it.
        Standing::CanaryAlone
    } else {
        Standing::Kept
    }
}

/// True when the state of a pool lets it answer in this pass, and somebody in it can be answered.
pub fn may_serve(pool: &LivePool, kind: Kind, pass: Pass) -> bool {
    let state = match pass {
        Pass::Normal | Pass::Full => pool.state == PoolState::Ok,
        Pass::Held => matches!(pool.state, PoolState::Ok | PoolState::Held),
        Pass::Anyway => !matches!(pool.state, PoolState::Off | PoolState::Drain),
    };
    state && if pass == Pass::Anyway { pool.is_in_service(kind) } else { pool.is_usable(kind) }
}

/// Those of the kept pools that share the step's traffic by weight.
pub fn candidates(step: &StepPlan, kept: Kept, decision: Option<&Decision>, pools: Pools) -> Kept {
    match step.choose {
        Choose::Weighted => kept,
        Choose::Nearest => {
            let order = decision.zip(step.order).and_then(|(decision, order)| decision.orders.get(order));
            let nearest = order.and_then(|order| order.iter().find(|at| kept.contains(at)));
            nearest.or(kept.first()).copied().into_iter().collect()
        }
        Choose::Fastest => fastest(step, &kept, pools),
    }
}

/// The pools that are about as fast as the fastest; until there are measurements, the first as listed.
fn fastest(step: &StepPlan, kept: &[u8], pools: Pools) -> Kept {
    let round_trip = |at: u8| pools.get(step.pools[usize::from(at)].pool).and_then(|pool| pool.round_trip_ms);
    let Some(best) = kept.iter().filter_map(|&at| round_trip(at)).min_by(f64::total_cmp) else {
        return kept.first().copied().into_iter().collect();
    };
    let Tolerance { percent, ms } = step.tolerance;
    let limit = (best * (1.0 + f64::from(percent) / 100.0)).max(best + f64::from(ms));
    kept.iter().copied().filter(|&at| round_trip(at).is_some_and(|ms| ms <= limit)).collect()
}

/// When a pool before the chosen one, or beside it, could come back at the earliest.
pub fn earliest_return_ms(rule: &RulePlan, step: usize, pools: Pools) -> Option<u64> {
    let steps = rule.steps.iter().take(step + 1);
    let uses = steps.flat_map(|step| &step.pools).filter(|one| one.weight > 0);
    let away = uses.filter_map(|one| pools.get(one.pool)).filter(|pool| pool.state != PoolState::Ok);
    away.filter_map(|pool| pool.earliest_change_ms).min()
}
