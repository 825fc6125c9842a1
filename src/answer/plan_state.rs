//! Whether clients are answered as planned right now. The plan of a rule is its first step; this says which
//! step answers at the moment, with which pools, and whose clients are left without an answer. For people and
//! pages: no client, no chance, nothing drawn. Decides nothing about answers itself.

use std::ops::Deref;
use std::sync::Arc;

use smallvec::SmallVec;

use super::live::Kind;
use super::plan::{Plan, PoolUse, Resort, RulePlan};
use super::snapshot::Snapshot;
use super::steer::{Pass, Pools, stand};
use super::trace::Standing;
use crate::model::{Id, LastResort, Policy, Pool, RecordType, Rule, Step, Table};

/// How far from its plan a rule or a policy is. The order is that of lists: what needs somebody first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanState {
    /// Some clients get no answer.
    NoAnswer,
    /// No pool of the steps is ok: some clients get the last resort.
    LastResort,
    /// Some clients get another pool than planned.
    Failover,
    AsPlanned,
}

/// A rule now.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleState {
    /// Index into the policy's rules.
    pub rule: usize,
    pub state: PlanState,
    /// The pools of the first step that do not answer now, or that have not taken back all their clients yet.
    pub missing: Vec<Id<Pool>>,
    /// The pools that share the clients now. Empty without an answer.
    pub answering: Vec<Id<Pool>>,
    /// The step that they stand in, from 0; `None` for a last resort's own pool and without an answer.
    pub step: Option<usize>,
    /// They are held, and answer since nothing else is up: the next query ends the hold.
    pub ends_hold: bool,
}

/// A policy now.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyState {
    /// The worst of its rules.
    pub state: PlanState,
    /// Of its enabled rules, in their order.
    pub rules: Vec<RuleState>,
}

/// Positions of pools in a step.
type At = SmallVec<[usize; 8]>;

/// A policy, live or drafted, with the pools as they are in the snapshot. A pool that the snapshot does not know
/// is new in a draft, and taken to be ok.
pub fn policy_state(snapshot: &Snapshot, policy: &Policy) -> PolicyState {
    let enabled = policy.rules.iter().enumerate().filter(|(_, rule)| rule.enabled);
    let rules: Vec<RuleState> = enabled.map(|(number, rule)| rule_state(snapshot, policy, number, rule)).collect();
    let state = rules.iter().map(|rule| rule.state).min().unwrap_or(PlanState::NoAnswer);
    PolicyState { state, rules }
}

/// Only how far a policy is from its plan.
pub fn worst_state(snapshot: &Snapshot, policy: &Policy) -> PlanState {
    let rules = policy.rules.iter().filter(|rule| rule.enabled);
    rules.map(|rule| Now::of(snapshot, kind(policy), rule).found().0).min().unwrap_or(PlanState::NoAnswer)
}

/// The same of every policy, in the order of the table: for lists of 100,000. What is live is read as it was compiled,
/// since to find a pool by its id takes longer than all the rest.
pub fn worst_states<'p>(
    snapshot: &'p Snapshot,
    policies: &'p Table<Policy>,
) -> impl Iterator<Item = (&'p Id<Policy>, &'p Arc<Policy>, PlanState)> {
    let mut plans = snapshot.plans().in_order().peekable();
    policies.iter().map(move |(id, policy)| {
        let is_this = |plan: &Plan| Arc::ptr_eq(&plan.policy, policy);
        while plans.next_if(|(known, plan)| !is_this(plan) && *known < id).is_some() {}
        let state = match plans.next_if(|(_, plan)| is_this(plan)) {
            Some((_, plan)) => planned_state(snapshot, plan),
            None => worst_state(snapshot, policy),
        };
        (id, policy, state)
    })
}

fn planned_state(snapshot: &Snapshot, plan: &Plan) -> PlanState {
    let (pools, kind) = (snapshot.pools(), plan.kind);
    let state = |rule: &RulePlan| Now { pools, kind, steps: &rule.steps[..], last_resort: rule.last_resort }.found().0;
    plan.rules.iter().map(state).min().unwrap_or(PlanState::NoAnswer)
}

fn rule_state(snapshot: &Snapshot, policy: &Policy, number: usize, rule: &Rule) -> RuleState {
    let now = Now::of(snapshot, kind(policy), rule);
    let (state, found) = now.found();
    let named = |step: &Step, at: &[usize]| at.iter().map(|&at| step.pools[at].pool.clone()).collect();
    let ends_hold = match &found {
        Found::Step(step, kept) if state == PlanState::Failover => {
            let step = &now.steps[*step];
            kept.iter().all(|&at| step[at].canary || !now.may(&step[at], Pass::Normal))
        }
        _ => false,
    };
    let (answering, step) = match (found, &rule.last_resort) {
        (Found::Step(step, kept), _) => (named(&rule.steps[step], &kept), Some(step)),
        (Found::Pool, LastResort::Pool(id)) => (vec![id.clone()], None),
        (Found::Pool | Found::Nothing, _) => (Vec::new(), None),
    };
    let missing = rule.steps.first().map(|step| named(step, &now.missing())).unwrap_or_default();
    RuleState { rule: number, state, missing, answering, step, ends_hold }
}

/// What answers the clients of a rule.
enum Found {
    Step(usize, At),
    /// The one of the last resort.
    Pool,
    Nothing,
}

/// A number that no pool has.
const UNKNOWN: u32 = u32::MAX;

/// A rule and the pools as they are, by the numbers that the snapshot gave them.
struct Now<'s, Steps> {
    pools: Pools<'s>,
    kind: Kind,
    steps: Steps,
    last_resort: Resort,
}

impl<'s> Now<'s, Vec<Vec<PoolUse>>> {
    fn of(snapshot: &'s Snapshot, kind: Kind, rule: &Rule) -> Self {
        let known = |id: &Id<Pool>, weight, canary| {
            let pool = snapshot.plans().pool_ids.number(id).unwrap_or(UNKNOWN);
            PoolUse { pool, audience: 0, weight, canary }
        };
        let uses = |step: &Step| step.pools.iter().map(|one| known(&one.pool, one.weight, one.canary)).collect();
        let last_resort = match &rule.last_resort {
            LastResort::ServeAnyway => Resort::ServeAnyway,
            LastResort::Pool(id) => Resort::Pool(known(id, 1, false)),
            LastResort::NoAnswer => Resort::NoAnswer,
            LastResort::Refuse => Resort::Refuse,
        };
        Now { pools: snapshot.pools(), kind, steps: rule.steps.iter().map(uses).collect(), last_resort }
    }
}

impl<Steps, S> Now<'_, Steps>
where
    Steps: Deref<Target = [S]>,
    S: AsRef<[PoolUse]>,
{
    /// The same rounds as for a question, but for shedding.
    fn found(&self) -> (PlanState, Found) {
        let first = |pass: Pass| {
            self.steps.iter().enumerate().find_map(|(number, step)| {
                let kept = self.kept(step.as_ref(), pass);
                kept.iter().any(|&at| !step.as_ref()[at].canary).then_some((number, kept))
            })
        };
        let found = [Pass::Normal, Pass::Held].into_iter().find_map(first);
        if let Some((step, kept)) = found {
            let planned = step == 0 && self.missing().is_empty();
            return (if planned { PlanState::AsPlanned } else { PlanState::Failover }, Found::Step(step, kept));
        }
        let resort = match &self.last_resort {
            Resort::ServeAnyway => first(Pass::Anyway).map(|(step, kept)| Found::Step(step, kept)),
            Resort::Pool(one) => self.may(one, Pass::Anyway).then_some(Found::Pool),
            Resort::NoAnswer | Resort::Refuse => None,
        };
        match resort {
            Some(found) => (PlanState::LastResort, found),
            None => (PlanState::NoAnswer, Found::Nothing),
        }
    }

    /// Whether a pool may answer in a pass.
    fn may(&self, one: &PoolUse, pass: Pass) -> bool {
        match self.pools.get(one.pool) {
            Some(pool) => stand(self.kind, one, pool, pass) == Standing::Kept,
            None => one.weight > 0,
        }
    }

    /// The pools of a step that may.
    fn kept(&self, step: &[PoolUse], pass: Pass) -> At {
        (0..step.len()).filter(|&at| self.may(&step[at], pass)).collect()
    }

    /// The pools of the planned step that have a share in it and do not have all of it now.
    fn missing(&self) -> At {
        let Some(step) = self.steps.first().map(AsRef::as_ref) else { return At::new() };
        let away = |one: &PoolUse| {
            let ramping = || self.pools.get(one.pool).is_some_and(|pool| pool.ramp_percent < 100);
            one.weight > 0 && (!self.may(one, Pass::Normal) || ramping())
        };
        (0..step.len()).filter(|&at| away(&step[at])).collect()
    }
}

fn kind(policy: &Policy) -> Kind {
    let named = policy.attach.iter().any(|attach| attach.types.contains(&RecordType::CNAME));
    if named { Kind::Names } else { Kind::Addresses }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{World, rule};
    use super::*;
    use crate::health::{EndpointState, PoolState};

    /// One name with one rule over pools a, b and c.
    fn world(steps: &[&str], last_resort: &str) -> World {
        let mut world = World::default();
        world.zone("example.test.").pools(&["a", "b", "c"]);
        world.policy("app", "app.example.test.", vec![rule(&[], steps, last_resort)]);
        world
    }

    /// `state missing → answering @step`.
    fn said(world: &World) -> String {
        let snapshot = world.snapshot();
        let policy = &world.model.policies[&"app".parse().unwrap()];
        let whole = policy_state(&snapshot, policy);
        assert_eq!(whole.state, worst_state(&snapshot, policy));
        let (_, _, among_all) = worst_states(&snapshot, &world.model.policies).next().unwrap();
        assert_eq!(whole.state, among_all);
        let RuleState { state, missing, answering, step, ends_hold, .. } = &whole.rules[0];
        let list = |ids: &[Id<Pool>]| ids.iter().map(Id::as_str).collect::<Vec<_>>().join("+");
        let step = step.map_or("-".to_owned(), |step| step.to_string());
        let end = if *ends_hold { ", ends hold" } else { "" };
        format!("{state:?} {} > {} @{step}{end}", list(missing), list(answering))
    }

    #[test]
    fn each_state_of_pools_has_its_distance_from_the_plan() {
        use PoolState::{Down, Drain, Held, Off};
        let failover = &["weighted a=1", "weighted b=1"][..];
        let split = &["weighted a=90 b=10", "weighted c=1"][..];
        let canary = &["weighted a=90 b=10!", "weighted c=1"][..];
        let zero = &["weighted a=100 b=0"][..];
        for (steps, last, states, expected) in [
            (failover, "serve_anyway", &[][..], "AsPlanned  > a @0"),
            (failover, "serve_anyway", &[("b", Down)], "AsPlanned  > a @0"),
            (failover, "serve_anyway", &[("a", Down)], "Failover a > b @1"),
            (failover, "serve_anyway", &[("a", Drain)], "Failover a > b @1"),
            (failover, "serve_anyway", &[("a", Held)], "Failover a > b @1"),
            (failover, "serve_anyway", &[("a", Held), ("b", Down)], "Failover a > a @0, ends hold"),
            (failover, "serve_anyway", &[("a", Down), ("b", Down)], "LastResort a > a @0"),
            (failover, "serve_anyway", &[("a", Off), ("b", Down)], "LastResort a > b @1"),
            (failover, "serve_anyway", &[("a", Off), ("b", Drain)], "NoAnswer a >  @-"),
            (failover, "pool:c", &[("a", Down), ("b", Down)], "LastResort a > c @-"),
            (failover, "pool:c", &[("a", Down), ("b", Down), ("c", Off)], "NoAnswer a >  @-"),
            (failover, "no_answer", &[("a", Down), ("b", Down)], "NoAnswer a >  @-"),
            (failover, "refuse", &[("a", Down), ("b", Down)], "NoAnswer a >  @-"),
            (split, "serve_anyway", &[], "AsPlanned  > a+b @0"),
            (split, "serve_anyway", &[("b", Down)], "Failover b > a @0"),
            (canary, "serve_anyway", &[("a", Down)], "Failover a > c @1"),
            (zero, "serve_anyway", &[("b", Down)], "AsPlanned  > a @0"),
        ] {
            let mut world = world(steps, last);
            states.iter().for_each(|(pool, state)| _ = world.pool_is(pool, *state));
            assert_eq!(said(&world), expected, "{steps:?} {last} {states:?}");
        }
    }

    #[test]
    fn a_pool_that_still_ramps_up_is_missed() {
        let mut world = world(&["weighted a=1", "weighted b=1"], "serve_anyway");
        world.pool_is("a", PoolState::Ok);
        let health = world.health.pools.get_mut(&"a".parse().unwrap()).unwrap();
        std::sync::Arc::make_mut(health).ramp_percent = 40;
        assert_eq!(said(&world), "Failover a > a @0");
    }

    #[test]
    fn a_pool_without_a_usable_server_does_not_answer() {
        let mut world = world(&["weighted a=1", "weighted b=1"], "serve_anyway");
        world.endpoint_is("a", EndpointState::Down);
        assert_eq!(said(&world), "Failover a > b @1");
    }

    #[test]
    fn the_worst_rule_counts_and_disabled_rules_do_not() {
        let mut world = world(&["weighted a=1"], "serve_anyway");
        world.region("eu", &["continent:EU"]).pool_is("b", PoolState::Off);
        let policy = world.edit_policy("app");
        policy.rules.insert(0, rule(&["eu"], &["weighted b=1"], "no_answer"));
        assert!(said(&world).starts_with("NoAnswer b"));
        world.edit_policy("app").rules[0].enabled = false;
        let snapshot = world.snapshot();
        let state = policy_state(&snapshot, &world.model.policies[&"app".parse().unwrap()]);
        assert_eq!((state.state, state.rules[0].rule), (PlanState::AsPlanned, 1));
    }
}
