//! Policies as they are evaluated: pools by number, regions as split maps. Health does not change them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::live::Kind;
use super::locate::{PrivateNetworks, is_private};
use super::zone::Steered;
use crate::geo::{self, NearestStep, Split, SplitKey, SplitMap, SplitRule};
use crate::model::{
    Choose, Id, LastResort, Model, Point, Policy, Pool, RecordType, Region, Rule, Sticky, Table, Token, Tolerance, Zone,
};

/// All policies and pools, by numbers that never change their meaning while the process lives, so that
/// counters kept by number stay true from snapshot to snapshot.
#[derive(Debug)]
pub struct Plans {
    pub policy_ids: Numbers<Id<Policy>>,
    pub pool_ids: Numbers<Id<Pool>>,
    /// Shared, since every edit takes them over.
    pub audiences: Numbers<Arc<Audience>>,
    /// By number; `None` for a policy that is gone or disabled.
    plans: Vec<Option<Plan>>,
    maps: BTreeMap<SplitKey, Arc<SplitMap>>,
}

/// Numbers for ids, given once and never again to another.
#[derive(Debug, Clone)]
pub struct Numbers<K> {
    ids: Vec<K>,
    numbers: BTreeMap<K, u32>,
}

/// As what an answer is counted: for the clients of a policy that its rules for these regions admit, from this pool. No
/// region stands for everyone else. Rules alike in both are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Audience {
    pub policy: Id<Policy>,
    pub regions: Vec<Id<Region>>,
    /// `None` where the policy had nothing to say.
    pub pool: Option<Id<Pool>>,
}

/// Whether the maps of the previous plans may be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maps {
    Keep,
    /// The geo databases are others now.
    Rebuild,
}

#[derive(Debug)]
pub struct Plan {
    pub policy: Arc<Policy>,
    pub kind: Kind,
    /// `None` where every client gets the same rule and nothing is chosen by distance.
    pub map: Option<Arc<SplitMap>>,
    pub private: PrivateNetworks,
    /// The enabled rules, as a split map numbers them.
    pub rules: Vec<RulePlan>,
    /// The audience that no rule admits, and so no pool answers.
    pub everyone: u32,
}

#[derive(Debug)]
pub struct RulePlan {
    /// Index into the policy's rules.
    pub number: usize,
    /// Those whom no pool answers.
    pub audience: u32,
    pub steps: Vec<StepPlan>,
    pub last_resort: Resort,
}

#[derive(Debug)]
pub struct StepPlan {
    pub choose: Choose,
    pub tolerance: Tolerance,
    /// Index into a decision's orders, for a step that chooses the nearest.
    pub order: Option<usize>,
    pub pools: Vec<PoolUse>,
}

impl AsRef<[PoolUse]> for StepPlan {
    fn as_ref(&self) -> &[PoolUse] {
        &self.pools
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    pub pool: u32,
    /// Those whom it answers here.
    pub audience: u32,
    pub weight: u16,
    pub canary: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resort {
    ServeAnyway,
    Pool(PoolUse),
    NoAnswer,
    Refuse,
}

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Numbers { ids: Vec::new(), numbers: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Numbers<K> {
    fn add(&mut self, id: &K) -> u32 {
        *self.numbers.entry(id.clone()).or_insert_with(|| {
            self.ids.push(id.clone());
            self.ids.len() as u32 - 1
        })
    }

    pub fn ids(&self) -> &[K] {
        &self.ids
    }

    pub fn number(&self, id: &K) -> Option<u32> {
        self.numbers.get(id).copied()
    }
}

impl Plans {
    pub fn compile(model: &Model, geo: &geo::Base, previous: Option<&Plans>, maps: Maps) -> Plans {
        let mut plans = Plans {
            policy_ids: previous.map_or_else(Numbers::default, |plans| plans.policy_ids.clone()),
            pool_ids: previous.map_or_else(Numbers::default, |plans| plans.pool_ids.clone()),
            audiences: previous.map_or_else(Numbers::default, |plans| plans.audiences.clone()),
            plans: Vec::new(),
            maps: BTreeMap::new(),
        };
        let previous = previous.filter(|_| maps == Maps::Keep);
        model.pools.keys().for_each(|id| _ = plans.pool_ids.add(id));
        model.policies.keys().for_each(|id| _ = plans.policy_ids.add(id));
        plans.plans.resize_with(plans.policy_ids.ids.len(), || None);
        for (id, policy) in model.policies.iter().filter(|(_, policy)| policy.enabled) {
            let split = split(policy, &model.pools);
            let map = (!is_trivial(&split)).then(|| plans.share_map(split, model, geo, previous));
            let private = private_networks(policy, &model.regions);
            let rules = plans.rules(id, policy);
            let everyone = plans.audience(id, &[], None);
            let named = policy.attach.iter().any(|attach| attach.types.contains(&RecordType::CNAME));
            let kind = if named { Kind::Names } else { Kind::Addresses };
            let number = plans.policy_ids.add(id) as usize;
            plans.plans[number] = Some(Plan { policy: policy.clone(), kind, map, private, rules, everyone });
        }
        plans
    }

    pub fn plan(&self, number: u32) -> Option<&Plan> {
        self.plans.get(number as usize)?.as_ref()
    }

    /// Those of enabled policies, in the order of their ids.
    pub fn in_order(&self) -> impl Iterator<Item = (&Id<Policy>, &Plan)> {
        self.policy_ids.numbers.iter().filter_map(|(id, number)| Some((id, self.plan(*number)?)))
    }

    /// The names that enabled policies answer.
    pub fn steered(&self) -> BTreeMap<Id<Zone>, Vec<Steered>> {
        let mut steered: BTreeMap<Id<Zone>, Vec<Steered>> = BTreeMap::new();
        for (number, plan) in self.plans.iter().enumerate() {
            for attach in plan.iter().flat_map(|plan| &plan.policy.attach) {
                let names = steered.entry(attach.zone.clone()).or_default();
                names.extend(attach.types.iter().map(|&rtype| Steered {
                    name: attach.name.clone(),
                    rtype,
                    policy: number as u32,
                }));
            }
        }
        steered.values_mut().for_each(|names| names.sort());
        steered
    }

    /// Policies with equal splits share one map, also with those before.
    fn share_map(&mut self, split: Split, model: &Model, geo: &geo::Base, previous: Option<&Plans>) -> Arc<SplitMap> {
        let key = split.key(&model.regions);
        let known = || previous.and_then(|previous| previous.maps.get(&key).cloned());
        let compile = || Arc::new(SplitMap::compile(geo, &model.regions, &split));
        self.maps.entry(key).or_insert_with(|| known().unwrap_or_else(compile)).clone()
    }

    fn rules(&mut self, id: &Id<Policy>, policy: &Policy) -> Vec<RulePlan> {
        let enabled = policy.rules.iter().enumerate().filter(|(_, rule)| rule.enabled);
        enabled.map(|(number, rule)| self.rule(id, number, rule)).collect()
    }

    fn rule(&mut self, id: &Id<Policy>, number: usize, rule: &Rule) -> RulePlan {
        let mut regions = rule.regions.clone();
        regions.sort();
        regions.dedup();
        let audience = self.audience(id, &regions, None);
        let mut pool_use = |pool: &Id<Pool>, weight, canary| PoolUse {
            pool: self.pool_ids.add(pool),
            audience: self.audience(id, &regions, Some(pool)),
            weight,
            canary,
        };
        let mut orders = 0..;
        let mut steps = Vec::with_capacity(rule.steps.len());
        for step in &rule.steps {
            steps.push(StepPlan {
                choose: step.choose,
                tolerance: step.tolerance,
                order: if step.choose == Choose::Nearest { orders.next() } else { None },
                pools: step.pools.iter().map(|one| pool_use(&one.pool, one.weight, one.canary)).collect(),
            });
        }
        let last_resort = match &rule.last_resort {
            LastResort::ServeAnyway => Resort::ServeAnyway,
            LastResort::Pool(id) => Resort::Pool(pool_use(id, 1, false)),
            LastResort::NoAnswer => Resort::NoAnswer,
            LastResort::Refuse => Resort::Refuse,
        };
        RulePlan { number, audience, steps, last_resort }
    }

    fn audience(&mut self, policy: &Id<Policy>, regions: &[Id<Region>], pool: Option<&Id<Pool>>) -> u32 {
        let audience = Audience { policy: policy.clone(), regions: regions.to_vec(), pool: pool.cloned() };
        self.audiences.add(&Arc::new(audience))
    }
}

impl Plan {
    /// True when two clients can get different answers at the same moment for what they are.
    pub fn depends_on_client(&self) -> bool {
        self.map.is_some() || self.policy.sticky == Sticky::Client
    }
}

/// How the enabled rules of a policy split the world.
fn split(policy: &Policy, pools: &Table<Pool>) -> Split {
    let nearest = |rule: &Rule| {
        let steps = rule.steps.iter().filter(|step| step.choose == Choose::Nearest);
        let place = |id: &Id<Pool>| point(pools.get(id)?);
        steps
            .map(|step| NearestStep { pools: step.pools.iter().map(|one| (place(&one.pool), one.bias)).collect() })
            .collect()
    };
    let rules = policy.rules.iter().filter(|rule| rule.enabled).map(|rule| SplitRule {
        regions: rule.regions.clone(),
        except_regions: rule.except_regions.clone(),
        nearest: nearest(rule),
    });
    Split { rules: rules.collect() }
}

/// Where a pool stands, or where the people of its country do.
fn point(pool: &Pool) -> Option<Point> {
    pool.point().or_else(|| geo::atlas::country(pool.country?).map(|facts| facts.point))
}

fn is_trivial(split: &Split) -> bool {
    let everyone = |rule: &SplitRule| rule.regions.is_empty() && rule.except_regions.is_empty();
    match split.rules.first() {
        Some(first) => everyone(first) && first.nearest.is_empty(),
        None => true,
    }
}

/// The regions that a policy names, and those that these name.
fn regions_of<'m>(policy: &'m Policy, regions: &'m Table<Region>) -> impl Iterator<Item = &'m Region> {
    let mut seen = BTreeSet::new();
    let rules = policy.rules.iter().filter(|rule| rule.enabled);
    let mut left: Vec<&Id<Region>> = rules.flat_map(|rule| rule.regions.iter().chain(&rule.except_regions)).collect();
    while let Some(id) = left.pop() {
        if let Some(region) = regions.get(id).filter(|_| seen.insert(id)) {
            left.extend(region.include.iter().chain(&region.except).filter_map(|token| match token {
                Token::Region(id) => Some(id),
                _ => None,
            }));
        }
    }
    seen.into_iter().filter_map(|id| regions.get(id).map(|region| &**region))
}

/// Client subnets of private networks count only where the operator has named such networks.
fn private_networks(policy: &Policy, regions: &Table<Region>) -> PrivateNetworks {
    let named = regions_of(policy, regions).any(|region| {
        region
            .include
            .iter()
            .chain(&region.except)
            .any(|token| matches!(token, Token::Cidr(net) if is_private(net.addr(), net.prefix_len())))
    });
    if named { PrivateNetworks::Named } else { PrivateNetworks::Absent }
}
