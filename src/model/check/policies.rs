//! Policies: what they are attached to, rules that can be reached, pools that can answer, and the
//! promises of residency locks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::{
    Choose, Country, Endpoint, Id, LastResort, Name, Policy, Pool, RecordType, Role, Rule, Step, Token, builtin,
};
use super::Kind;
use super::apply::Draft;
use super::cover::{self, Reach};
use super::names;
use super::zones::enclosing;

/// Below this many seconds many resolvers keep an answer longer anyway, and queries multiply.
const LOW_TTL: u32 = 30;
/// A TTL this many times the detection time makes the TTL, not the monitor, decide how long a failure lasts.
const TTL_TO_DETECTION: f64 = 4.0;
/// Seconds that suit most names. However fast a monitor is, up to here a TTL is not called long.
const USUAL_TTL: f64 = 60.0;

pub(super) fn check(draft: &mut Draft, affected: &BTreeSet<Id<Policy>>) {
    countries(draft);
    pools(draft);
    for id in affected {
        let Some(policy) = draft.model.policies.get(id).cloned() else { continue };
        if draft.touched.has(Kind::Policies, id.as_str()) {
            attachments(draft, id, &policy);
        }
        let at = format!("policies/{id}");
        ttl(draft, &at, &policy);
        for (i, rule) in policy.rules.iter().enumerate() {
            let place = format!("{at} rules[{i}]");
            let last = i + 1 == policy.rules.len();
            scope(draft, &place, rule, last);
            if !last && rule.enabled {
                reachable(draft, &place, &policy, i);
            }
            steps(draft, &place, rule);
            kinds(draft, &place, &policy, rule);
            residency(draft, &place, rule);
        }
    }
}

/// Country codes that no database knows never match, and are typing errors.
fn countries(draft: &mut Draft) {
    let mut named: Vec<(String, Country)> = Vec::new();
    for (kind, id) in &draft.touched.entities {
        let at = format!("{kind}/{id}");
        match kind {
            Kind::Regions => {
                let region = id.parse().ok().and_then(|id| draft.model.regions.get(&id));
                for (list, tokens) in region.iter().flat_map(|r| [("include", &r.include), ("except", &r.except)]) {
                    for (i, token) in tokens.iter().enumerate() {
                        let country = match token {
                            Token::Country(country) => *country,
                            Token::Subdivision(part) => part.country,
                            _ => continue,
                        };
                        named.push((format!("{at} {list}[{i}]"), country));
                    }
                }
            }
            Kind::Endpoints => {
                let endpoint = id.parse().ok().and_then(|id| draft.model.endpoints.get(&id));
                named.extend(endpoint.and_then(|e| e.country).map(|country| (format!("{at} country"), country)));
            }
            Kind::Pools => {
                let pool = id.parse().ok().and_then(|id| draft.model.pools.get(&id));
                named.extend(pool.and_then(|p| p.country).map(|country| (format!("{at} country"), country)));
            }
            _ => {}
        }
    }
    for (at, country) in named.into_iter().filter(|(_, country)| builtin::country(*country).is_none()) {
        draft.error(at, format!("{country} is not a country"), "use an ISO 3166-1 code such as DE or US");
    }
}

/// Pools hold each endpoint once, endpoints of one kind, and one that can be answered.
fn pools(draft: &mut Draft) {
    let mut ids: BTreeSet<Id<Pool>> = BTreeSet::new();
    for (kind, id) in &draft.touched.entities {
        match kind {
            Kind::Pools => ids.extend(id.parse()),
            Kind::Endpoints => {
                let with = |pool: &Pool| pool.members.iter().any(|member| member.endpoint.as_str() == &**id);
                ids.extend(draft.model.pools.iter().filter(|(_, pool)| with(pool)).map(|(id, _)| id.clone()));
            }
            _ => {}
        }
    }
    for id in ids {
        let Some(pool) = draft.model.pools.get(&id).cloned() else { continue };
        let at = format!("pools/{id} members");
        let mut seen = BTreeSet::new();
        for (i, member) in pool.members.iter().enumerate().filter(|(_, member)| !seen.insert(&member.endpoint)) {
            let problem = format!("{} is a member already", member.endpoint);
            draft.error(format!("{at}[{i}].endpoint"), problem, "list it once, with the weight it should have");
        }
        let kinds: BTreeSet<bool> = members(draft, &pool).map(|(_, endpoint)| endpoint.cname.is_some()).collect();
        if kinds.len() > 1 {
            draft.error(&at, "mixes endpoints with addresses and with a cname", "make two pools of them");
        }
        if pool.members.iter().all(|member| member.weight == 0 || !member.enabled) {
            draft.warn(&at, "has no member with a weight", "give one a weight above 0, or the pool never answers");
        }
    }
}

fn members<'d>(draft: &'d Draft, pool: &'d Pool) -> impl Iterator<Item = (usize, &'d Arc<Endpoint>)> {
    let endpoints = pool.members.iter().map(|member| draft.model.endpoints.get(&member.endpoint));
    endpoints.enumerate().filter_map(|(i, endpoint)| Some((i, endpoint?)))
}

fn attachments(draft: &mut Draft, id: &Id<Policy>, policy: &Policy) {
    let mut own: BTreeMap<(&Name, RecordType), usize> = BTreeMap::new();
    for (i, attach) in policy.attach.iter().enumerate() {
        let at = format!("policies/{id} attach[{i}]");
        let Some(zone) = draft.model.zones.get(&attach.zone).cloned() else { continue };
        let inside = enclosing(draft, &attach.name, None);
        if !attach.name.is_under(&zone.fqdn) {
            let problem = format!("{} is outside zone {}", attach.name, zone.fqdn);
            draft.error(format!("{at}.name"), problem, "name its own zone, or a name in this one");
        } else if let Some((deeper, apex)) = inside.filter(|(_, apex)| *apex != zone.fqdn) {
            let problem = format!("{} lies in zone {deeper} ({apex})", attach.name);
            draft.error(format!("{at}.zone"), problem, format!("use zone {deeper}"));
        } else if let Some(cut) = names::delegation(draft, &attach.zone, &attach.name) {
            // Its servers answer it, and what may be the address of one of them (glue) must stay a plain record.
            let problem = format!("{} is hidden by the delegation of {cut}", attach.name);
            let (at, remedy) = (format!("{at}.name"), "remove the delegation, or steer the name at its servers");
            match policy.enabled {
                true => draft.error(at, problem, remedy),
                false => draft.warn(at, problem, remedy),
            }
        }
        if attach.types.contains(&RecordType::CNAME) && attach.name == zone.fqdn {
            let remedy = "steer A and AAAA there, with address endpoints";
            draft.error(format!("{at}.types"), "the apex cannot be a CNAME (RFC 1034 section 3.6.2)", remedy);
        }
        if attach.types.contains(&RecordType::CNAME) != steers_aliases(policy) {
            let remedy = "split the policy in two: one of addresses, one of aliases";
            draft.error(format!("{at}.types"), "mixes CNAME with address types in one policy", remedy);
        }
        for rtype in &attach.types {
            if let Some(first) = own.insert((&attach.name, *rtype), i) {
                let problem = format!("{} {rtype} is attached twice, also by attach[{first}]", attach.name);
                draft.error(&at, problem, "keep one");
            }
        }
        let other = (draft.steered(&attach.name).iter())
            .filter(|(other, types)| other != id && policy.enabled && types.iter().any(|t| clash(*t, &attach.types)))
            .map(|(other, _)| other.clone())
            .next();
        if let Some(other) = other {
            let problem = format!("{} is steered by policy {other} already", attach.name);
            draft.error(&at, problem, "detach it there, or disable one of the two");
        }
    }
}

/// Two policies cannot both answer a type at one name, and a CNAME leaves no room for any other.
fn clash(rtype: RecordType, types: &[RecordType]) -> bool {
    types.contains(&rtype) || rtype == RecordType::CNAME || types.contains(&RecordType::CNAME)
}

fn steers_aliases(policy: &Policy) -> bool {
    policy.attach.first().is_some_and(|attach| attach.types.contains(&RecordType::CNAME))
}

fn ttl(draft: &mut Draft, at: &str, policy: &Policy) {
    if policy.ttl < LOW_TTL {
        let problem = format!("{} s is short", policy.ttl);
        let remedy =
            format!("below {LOW_TTL} s resolvers ask much more often and may limit you; 60 s suits most names");
        draft.warn(format!("{at} ttl"), problem, remedy);
    }
    let pools = policy.rules.iter().flat_map(|rule| &rule.steps).flat_map(|step| &step.pools);
    let pools: BTreeSet<&Id<Pool>> = pools.map(|pool| &pool.pool).collect();
    let mut worst = None;
    for pool in pools.into_iter().filter_map(|id| draft.model.pools.get(id)) {
        for (_, endpoint) in members(draft, pool) {
            let uses = if endpoint.monitors.is_empty() { &pool.monitors } else { &endpoint.monitors };
            for monitor in uses.iter().filter(|monitor| monitor.role != Role::Watch) {
                let seconds = draft.model.monitors.get(&monitor.monitor).map(|m| m.worst_detection_seconds());
                worst = worst.into_iter().chain(seconds).reduce(f64::max);
            }
        }
    }
    let longest = |worst: f64| (TTL_TO_DETECTION * worst).max(USUAL_TTL);
    if let Some(worst) = worst.filter(|worst| f64::from(policy.ttl) > longest(*worst)) {
        let problem = format!("{} s is long beside the {worst:.1} s in which a failure is seen", policy.ttl);
        let remedy = format!("use at most {:.0} s, so that clients follow a failover soon", longest(worst));
        draft.warn(format!("{at} ttl"), problem, remedy);
    }
}

/// The last rule is everyone else; every other rule says for whom it is.
fn scope(draft: &mut Draft, at: &str, rule: &Rule, last: bool) {
    if !last {
        if rule.regions.is_empty() {
            let remedy = "name at least one; only the last rule is for everyone else";
            draft.error(format!("{at}.regions"), "is empty", remedy);
        }
        return;
    }
    if !rule.regions.is_empty() || !rule.except_regions.is_empty() {
        let remedy =
            "end with a rule without regions: \"everyone else\" cannot be deleted, or clients would get nothing";
        draft.error(format!("{at}.regions"), "the last rule names regions", remedy);
    }
    if !rule.enabled {
        let remedy = "enable it: \"everyone else\" always answers; disable the policy to stop steering";
        draft.error(format!("{at}.enabled"), "the last rule is disabled", remedy);
    }
}

fn reachable(draft: &mut Draft, at: &str, policy: &Policy, index: usize) {
    match cover::reach(&draft.model, policy, index) {
        Reach::All => {}
        Reach::None(by) => {
            let rules: Vec<String> = by.iter().map(|i| format!("rules[{i}]")).collect();
            let problem = format!("is never reached: {} answer all of its clients", rules.join(", "));
            draft.error(at, problem, "move it above them, or delete it");
        }
        Reach::Some(covered) => {
            let regions: Vec<&str> = covered.iter().map(Id::as_str).collect();
            let remedy = "move this rule above them if it should answer these clients";
            draft.warn(at, format!("earlier rules answer all of {}", regions.join(", ")), remedy);
        }
    }
}

fn steps(draft: &mut Draft, at: &str, rule: &Rule) {
    let mut tried: BTreeSet<&Id<Pool>> = BTreeSet::new();
    for (j, step) in rule.steps.iter().enumerate() {
        let at = format!("{at}.steps[{j}]");
        if !step.pools.is_empty() && step.pools.iter().all(|pool| pool.canary) {
            let remedy = "add a pool that is none: a canary never takes over";
            draft.error(format!("{at}.pools"), "has only canaries", remedy);
        }
        if !step.pools.is_empty() && step.pools.iter().all(|pool| pool.weight == 0) {
            draft.warn(format!("{at}.pools"), "has no pool with a weight", "give one a weight above 0");
        }
        let mut seen = BTreeSet::new();
        for (k, pool) in step.pools.iter().enumerate().filter(|(_, pool)| !seen.insert(&pool.pool)) {
            let problem = format!("{} is in this step already", pool.pool);
            draft.error(format!("{at}.pools[{k}].pool"), problem, "list it once, with the weight it should have");
        }
        let anchors = step.pools.iter().filter(|pool| !pool.canary).map(|pool| &pool.pool);
        if anchors.clone().next().is_some() && anchors.clone().all(|pool| tried.contains(pool)) {
            draft.warn(&at, "is never reached: earlier steps tried all of its pools", "remove it, or add another pool");
        }
        tried.extend(anchors);
        placed(draft, &at, step);
    }
}

/// Nearest needs to know where a pool is.
fn placed(draft: &mut Draft, at: &str, step: &Step) {
    if step.choose != Choose::Nearest {
        return;
    }
    for (k, pool) in step.pools.iter().enumerate() {
        let lost = |pool: &Arc<Pool>| pool.point().is_none() && pool.country.is_none();
        if draft.model.pools.get(&pool.pool).is_some_and(lost) {
            let problem = format!("pool {} has no place, and nearest goes by distance", pool.pool);
            draft.warn(format!("{at}.pools[{k}].pool"), problem, "give the pool lat and lon, or a country");
        }
    }
}

/// Every pool of the rule, with its place; that of the last resort included.
fn rule_pools(rule: &Rule) -> Vec<(String, Id<Pool>)> {
    let mut pools = Vec::new();
    for (j, step) in rule.steps.iter().enumerate() {
        for (k, pool) in step.pools.iter().enumerate() {
            pools.push((format!("steps[{j}].pools[{k}].pool"), pool.pool.clone()));
        }
    }
    if let LastResort::Pool(id) = &rule.last_resort {
        pools.push(("last_resort".to_owned(), id.clone()));
    }
    pools
}

/// Pools answer the types that the policy is attached for.
fn kinds(draft: &mut Draft, at: &str, policy: &Policy, rule: &Rule) {
    if policy.attach.is_empty() {
        return;
    }
    let aliases = steers_aliases(policy);
    let mut families = BTreeSet::new();
    for (place, id) in rule_pools(rule) {
        let Some(pool) = draft.model.pools.get(&id).cloned() else { continue };
        let mut other_kind = None;
        for (i, endpoint) in members(draft, &pool) {
            families.extend(endpoint.ipv4.map(|_| RecordType::A));
            families.extend(endpoint.ipv6.map(|_| RecordType::AAAA));
            if endpoint.cname.is_some() != aliases {
                other_kind.get_or_insert(pool.members[i].endpoint.clone());
            }
        }
        if let Some(endpoint) = other_kind {
            let (has, needs) = if aliases { ("addresses", "cname endpoints") } else { ("a cname", "addresses") };
            let problem = format!("pool {id} has endpoint {endpoint} with {has}");
            draft.error(format!("{at}.{place}"), problem, format!("this policy needs pools of {needs} only"));
        }
    }
    let wanted: BTreeSet<RecordType> = policy.attach.iter().flat_map(|attach| attach.types.iter().copied()).collect();
    for rtype in wanted.into_iter().filter(|rtype| !aliases && !families.contains(rtype)) {
        let family = if rtype == RecordType::A { "IPv4" } else { "IPv6" };
        let problem = format!("no pool of it has an {family} address");
        let remedy = format!("add one, or do not steer {rtype}: {rtype} queries get an empty answer here");
        draft.warn(at, problem, remedy);
    }
}

/// A residency lock: every pool that the rule can answer from stands inside its region.
fn residency(draft: &mut Draft, at: &str, rule: &Rule) {
    let Some(lock) = rule.residency_lock.as_ref().filter(|lock| draft.model.regions.contains_key(lock)) else { return };
    for (place, id) in rule_pools(rule) {
        let Some(pool) = draft.model.pools.get(&id).cloned() else { continue };
        let mut unknown = None;
        let mut outside = None;
        for (i, endpoint) in members(draft, &pool) {
            let name = &pool.members[i].endpoint;
            match endpoint.country.or(pool.country) {
                None => unknown = unknown.or(Some(name.clone())),
                Some(country) if !cover::holds_country(&draft.model, lock, country) => {
                    outside = outside.or(Some((name.clone(), country)));
                }
                Some(_) => {}
            }
        }
        let at = format!("{at}.{place}");
        if let Some((endpoint, country)) = outside {
            let problem = format!("endpoint {endpoint} of pool {id} is in {country}, outside {lock}");
            draft.error(&at, problem, "take the pool out of this rule, or let it leave the region");
        }
        if let Some(endpoint) = unknown {
            let problem = format!("endpoint {endpoint} of pool {id} has no country, and the rule is locked to {lock}");
            draft.error(&at, problem, format!("set country of pools/{id}"));
        }
    }
}
