//! References: each leads somewhere, nothing that is referenced goes away, chains end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Arguments;

use super::super::field::{distance, nearest};
use super::super::{
    Endpoint, Id, LastResort, MAX_NESTING, Model, MonitorUse, Policy, Pool, Region, Table, Test, Token, Zone,
};
use super::Kind;
use super::apply::{Draft, Entity};

/// References to one deleted entity that its error names; the rest are counted.
const MAX_NAMED: usize = 5;
/// Missing things for which a near one is looked for, which is to look at every id: more are the fault of a program.
pub(super) const MAX_GUESSED: usize = 100;

/// Told the place inside the entity, and what is named there.
type Told<'t> = dyn FnMut(Arguments, Kind, &str) + 't;

pub(super) fn check(draft: &mut Draft) {
    let mut missing: Vec<(String, Kind, String)> = Vec::new();
    let mut deleted: BTreeMap<(Kind, String), Vec<String>> = BTreeMap::new();
    let gone = |kind, id: &str| !exists(&draft.model, kind, id);
    let any_gone = draft.touched.entities.iter().any(|(kind, id)| gone(*kind, id));
    // What could not be read stands in the draft as it was before, and says nothing about the edit.
    let readable = |kind, id: &str| draft.broken.is_empty() || !draft.broken.contains(&(kind, id.to_owned()));
    let wanted = |kind, id: &str| (any_gone || draft.touched.has(kind, id)) && readable(kind, id);
    each_reference(&draft.model, wanted, &mut |at, kind, id| {
        if gone(kind, id) && exists(draft.before, kind, id) {
            deleted.entry((kind, id.to_owned())).or_default().push(at.to_string());
        } else if gone(kind, id) && !draft.broken.contains(&(kind, id.to_owned())) {
            missing.push((at.to_string(), kind, id.to_owned()));
        }
    });
    for key in draft.model.records.keys().filter(|key| any_gone && !draft.model.zones.contains_key(&key.zone)) {
        let at = draft.before.record_id(key).unwrap_or_else(|| key.name.to_string());
        deleted.entry((Kind::Zones, key.zone.to_string())).or_default().push(format!("records/{at}"));
    }
    let mut guessed: BTreeMap<(Kind, &str), Option<String>> = BTreeMap::new();
    for (_, kind, id) in &missing {
        if guessed.len() < MAX_GUESSED {
            let guess = || near(&draft.model, *kind, id).map(str::to_owned);
            guessed.entry((*kind, id)).or_insert_with(guess);
        }
    }
    for (at, kind, id) in &missing {
        let remedy = match guessed.get(&(*kind, id.as_str())) {
            Some(Some(near)) => format!("did you mean {near}?"),
            _ => "create it first, or in the same change".to_owned(),
        };
        let kind = kind.singular();
        draft.error(at, format!("{kind} {id:?} does not exist"), remedy);
    }
    for ((kind, id), users) in deleted {
        let named = users[..users.len().min(MAX_NAMED)].join(", ");
        let more = match users.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let problem = format!("is still used by {named}{more}");
        draft.error(format!("{kind}/{id}"), problem, "detach it there first, or delete both in one change");
    }
    nesting(draft);
    dependencies(draft);
}

fn exists(model: &Model, kind: Kind, id: &str) -> bool {
    fn of<T: Entity>(model: &Model, id: &str) -> bool {
        id.parse().is_ok_and(|id| T::table(model).contains_key(&id))
    }
    match kind {
        Kind::Zones => of::<Zone>(model, id),
        Kind::Records => model.record_key(id).is_some_and(|key| model.records.contains_key(&key)),
        Kind::Regions => of::<Region>(model, id),
        Kind::Monitors => of::<super::super::Monitor>(model, id),
        Kind::Endpoints => of::<Endpoint>(model, id),
        Kind::Pools => of::<Pool>(model, id),
        Kind::Policies => of::<Policy>(model, id),
        Kind::Tests => of::<Test>(model, id),
    }
}

/// What somebody may have meant.
fn near<'m>(model: &'m Model, kind: Kind, id: &str) -> Option<&'m str> {
    fn ids<'m, T: Entity + 'm>(model: &'m Model) -> impl Iterator<Item = &'m str> {
        T::table(model).keys().map(Id::as_str)
    }
    let found = match kind {
        Kind::Zones => nearest(id, ids::<Zone>(model)),
        Kind::Regions => nearest(id, ids::<Region>(model)),
        Kind::Monitors => nearest(id, ids::<super::super::Monitor>(model)),
        Kind::Endpoints => nearest(id, ids::<Endpoint>(model)),
        Kind::Pools => nearest(id, ids::<Pool>(model)),
        Kind::Policies => nearest(id, ids::<Policy>(model)),
        Kind::Tests => nearest(id, ids::<Test>(model)),
        Kind::Records => None,
    };
    // Of short ids any is near to any.
    found.filter(|near| distance(id, near) <= (id.len() / 3).max(1))
}

/// Tells every reference of the wanted entities, with its full place.
fn each_reference(model: &Model, wanted: impl Fn(Kind, &str) -> bool, told: &mut Told) {
    fn all<T>(
        table: &Table<T>,
        kind: Kind,
        wanted: &impl Fn(Kind, &str) -> bool,
        references: fn(&T, &mut Told),
        told: &mut Told,
    ) {
        for (id, entity) in table.iter().filter(|(id, _)| wanted(kind, id.as_str())) {
            references(entity, &mut |at, to, target| told(format_args!("{kind}/{id} {at}"), to, target));
        }
    }
    all(&model.regions, Kind::Regions, &wanted, of_region, told);
    all(&model.endpoints, Kind::Endpoints, &wanted, of_endpoint, told);
    all(&model.pools, Kind::Pools, &wanted, of_pool, told);
    all(&model.policies, Kind::Policies, &wanted, of_policy, told);
    all(&model.tests, Kind::Tests, &wanted, of_test, told);
}

fn of_region(region: &Region, told: &mut Told) {
    for (list, tokens) in [("include", &region.include), ("except", &region.except)] {
        for (i, token) in tokens.iter().enumerate() {
            if let Token::Region(id) = token {
                told(format_args!("{list}[{i}]"), Kind::Regions, id.as_str());
            }
        }
    }
}

fn of_monitors(monitors: &[MonitorUse], told: &mut Told) {
    for (i, monitor) in monitors.iter().enumerate() {
        told(format_args!("monitors[{i}].monitor"), Kind::Monitors, monitor.monitor.as_str());
    }
}

fn of_endpoint(endpoint: &Endpoint, told: &mut Told) {
    of_monitors(&endpoint.monitors, told);
    for (i, id) in endpoint.depends_on.iter().enumerate() {
        told(format_args!("depends_on[{i}]"), Kind::Endpoints, id.as_str());
    }
}

fn of_pool(pool: &Pool, told: &mut Told) {
    of_monitors(&pool.monitors, told);
    for (i, member) in pool.members.iter().enumerate() {
        told(format_args!("members[{i}].endpoint"), Kind::Endpoints, member.endpoint.as_str());
    }
}

fn of_policy(policy: &Policy, told: &mut Told) {
    for (i, attach) in policy.attach.iter().enumerate() {
        told(format_args!("attach[{i}].zone"), Kind::Zones, attach.zone.as_str());
    }
    for (i, rule) in policy.rules.iter().enumerate() {
        for (list, regions) in [("regions", &rule.regions), ("except_regions", &rule.except_regions)] {
            for (j, id) in regions.iter().enumerate() {
                told(format_args!("rules[{i}].{list}[{j}]"), Kind::Regions, id.as_str());
            }
        }
        for (j, step) in rule.steps.iter().enumerate() {
            for (k, pool) in step.pools.iter().enumerate() {
                told(format_args!("rules[{i}].steps[{j}].pools[{k}].pool"), Kind::Pools, pool.pool.as_str());
            }
        }
        if let LastResort::Pool(id) = &rule.last_resort {
            told(format_args!("rules[{i}].last_resort"), Kind::Pools, id.as_str());
        }
        if let Some(id) = &rule.residency_lock {
            told(format_args!("rules[{i}].residency_lock"), Kind::Regions, id.as_str());
        }
    }
}

fn of_test(test: &Test, told: &mut Told) {
    for (list, pools) in [("down", &test.down), ("expect", &test.expect)] {
        for (i, id) in pools.iter().enumerate() {
            told(format_args!("{list}[{i}]"), Kind::Pools, id.as_str());
        }
    }
}

/// Policies whose answers the touched entities can change: monitors only change when they change.
pub(super) fn affected_policies(draft: &Draft) -> BTreeSet<Id<Policy>> {
    let touched = |kind| move |(of, _): &&(Kind, _)| *of == kind;
    let mut affected: BTreeSet<(Kind, String)> = BTreeSet::new();
    for kind in [Kind::Regions, Kind::Endpoints, Kind::Pools, Kind::Policies] {
        let ids = draft.touched.entities.iter().filter(touched(kind));
        affected.extend(ids.map(|(kind, id)| (*kind, id.to_string())));
    }
    // Regions name regions at most MAX_NESTING deep; then pools name endpoints, policies name all.
    for _ in 0..MAX_NESTING + 2 {
        let mut found = Vec::new();
        let policies_only = !affected.iter().any(|(kind, _)| *kind != Kind::Policies);
        if policies_only {
            break;
        }
        each_user(&draft.model, &affected, &mut found);
        let before = affected.len();
        affected.extend(found);
        if affected.len() == before {
            break;
        }
    }
    affected.into_iter().filter(|(kind, _)| *kind == Kind::Policies).filter_map(|(_, id)| id.parse().ok()).collect()
}

/// Regions, pools and policies that name one of `named`.
fn each_user(model: &Model, named: &BTreeSet<(Kind, String)>, found: &mut Vec<(Kind, String)>) {
    let ids = |wanted| named.iter().filter(move |(kind, _)| *kind == wanted).map(|(_, id)| id.as_str());
    let names: BTreeMap<Kind, BTreeSet<&str>> =
        [Kind::Regions, Kind::Endpoints, Kind::Pools].map(|kind| (kind, ids(kind).collect())).into();
    let hit = |references: &dyn Fn(&mut Told)| {
        let mut hit = false;
        references(&mut |_, kind, id| hit |= names.get(&kind).is_some_and(|ids| ids.contains(id)));
        hit
    };
    let users = model.regions.iter().filter(|(_, region)| hit(&|told| of_region(region, told)));
    found.extend(users.map(|(id, _)| (Kind::Regions, id.to_string())));
    let users = model.pools.iter().filter(|(_, pool)| hit(&|told| of_pool(pool, told)));
    found.extend(users.map(|(id, _)| (Kind::Pools, id.to_string())));
    let users = model.policies.iter().filter(|(_, policy)| hit(&|told| of_policy(policy, told)));
    found.extend(users.map(|(id, _)| (Kind::Policies, id.to_string())));
}

/// Chains of `region:` tokens end, and soon.
fn nesting(draft: &mut Draft) {
    if !draft.touched.entities.iter().any(|(kind, _)| *kind == Kind::Regions) {
        return;
    }
    let below = |id: &Id<Region>| -> Vec<Id<Region>> {
        let region = draft.model.regions.get(id);
        let tokens = region.into_iter().flat_map(|region| region.include.iter().chain(&region.except));
        tokens.filter_map(|token| if let Token::Region(id) = token { Some(id.clone()) } else { None }).collect()
    };
    let mut faults = Vec::new();
    let mut depths = BTreeMap::new();
    for id in draft.model.regions.keys() {
        match depth(id, &below, &mut Vec::new(), &mut depths) {
            Err(chain) if chain.first() == Some(id) => faults.push((id.clone(), cycle(&chain))),
            Ok(depth) if depth > MAX_NESTING => faults.push((id.clone(), format!("is nested {depth} deep"))),
            _ => {}
        }
    }
    for (id, problem) in faults {
        let remedy = format!("nest at most {MAX_NESTING} deep, without a cycle");
        draft.error(format!("regions/{id} include"), problem, remedy);
    }
}

/// Endpoints never depend on themselves.
fn dependencies(draft: &mut Draft) {
    let touched: Vec<Id<Endpoint>> = (draft.touched.entities.iter())
        .filter(|(kind, _)| *kind == Kind::Endpoints)
        .filter_map(|(_, id)| id.parse().ok())
        .collect();
    let below = |id: &Id<Endpoint>| -> Vec<Id<Endpoint>> {
        draft.model.endpoints.get(id).map(|endpoint| endpoint.depends_on.clone()).unwrap_or_default()
    };
    let mut faults = Vec::new();
    let mut depths = BTreeMap::new();
    for id in &touched {
        if let Err(chain) = depth(id, &below, &mut Vec::new(), &mut depths)
            && chain.first() == Some(id)
        {
            faults.push((id.clone(), cycle(&chain)));
        }
    }
    for (id, problem) in faults {
        draft.error(format!("endpoints/{id} depends_on"), problem, "take one of them out of the circle");
    }
}

fn cycle<T>(chain: &[Id<T>]) -> String {
    let names: Vec<&str> = chain.iter().map(Id::as_str).collect();
    format!("goes in a circle: {}", names.join(" → "))
}

/// How many levels are below `id`; the chain of a circle where there is one. No deeper than the number of
/// entities, as each is on a chain once; answers are kept in `known`.
fn depth<T>(
    id: &Id<T>,
    below: &impl Fn(&Id<T>) -> Vec<Id<T>>,
    chain: &mut Vec<Id<T>>,
    known: &mut BTreeMap<Id<T>, usize>,
) -> Result<usize, Vec<Id<T>>> {
    if let Some(depth) = known.get(id) {
        return Ok(*depth);
    }
    if let Some(at) = chain.iter().position(|above| above == id) {
        let circle = chain[at..].iter().chain([id]).cloned();
        return Err(circle.collect());
    }
    chain.push(id.clone());
    let mut deepest = 0;
    for next in below(id) {
        deepest = deepest.max(depth(&next, below, chain, known)? + 1);
    }
    chain.pop();
    known.insert(id.clone(), deepest);
    Ok(deepest)
}
