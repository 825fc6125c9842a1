//! Who gets other answers by a change, by the code that answers: the clients of each country, and of each network
//! that a rule names, before and after, in whatever health both worlds are, and with each pool down.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;

use ipnet::IpNet;

use crate::answer::{Client, Entropy, Outlook, Question, Snapshot, answer, outlook, outlook_class};
use crate::geo::Sample;
use crate::model::{
    Change, Endpoint, Id, Kind, LastResort, MAX_NESTING, Model, Name, Policy, Pool, RecordType, Region, Token,
};

use super::inside::{Inside, Side};
use super::{Answers, Effect, Loss, Move, NameEffect, Outage, PoolShare, Preview};

/// Addresses that stand for each country; with pools down, its largest network alone.
const SAMPLES: usize = 3;
/// Groups of names with one policy before and one after that are compared; the sentences cover the rest.
const MAX_GROUPS: usize = 50;
/// The same with pools down, where each is compared once for every pool.
const MAX_OUTAGE_GROUPS: usize = 10;
/// Pools that are taken down, those that the change is about first.
const MAX_OUTAGES: usize = 12;
/// Networks of touched rules that stand for themselves.
const MAX_NETWORKS: usize = 100;
/// Names that are listed; the rest are counted.
const MAX_NAMES: usize = 20;
/// Shares below this are rounding.
const NOTHING: f64 = 1e-9;

/// Clients that are answered alike.
struct Who {
    label: String,
    address: IpAddr,
    /// Part of all known addresses.
    share: f64,
    /// The same where one address stands for its whole country; `None` for those that are not asked then.
    alone: Option<f64>,
}

/// Names that one policy answers before, and one after.
struct Group {
    before: Option<Id<Policy>>,
    after: Option<Id<Policy>>,
    names: BTreeSet<Name>,
    rtype: RecordType,
    /// All that are answered by the policy.
    types: BTreeSet<RecordType>,
}

/// What some clients get.
#[derive(Clone, PartialEq, Default)]
struct Portion {
    pools: Vec<(Id<Pool>, f64)>,
    unanswered: f64,
    rule: Option<usize>,
    /// Fixed records answer.
    fixed: bool,
}

/// Whose answers are compared.
pub struct Comparison {
    groups: Vec<Group>,
    clients: Vec<Who>,
}

impl Comparison {
    /// Adds to `preview` which names a change affects; `None` where no policy is touched.
    pub fn of(before: &Snapshot, after: &Snapshot, changes: &[Change], preview: &mut Preview) -> Option<Comparison> {
        let mut groups = groups(before.model(), after.model(), changes);
        names(before.model(), &groups, changes, preview);
        preview.policies_not_compared = groups.len().saturating_sub(MAX_GROUPS);
        groups.truncate(MAX_GROUPS);
        let clients = if groups.is_empty() { return None } else { clients(before, after, &groups) };
        Some(Comparison { groups, clients })
    }

    /// The pools that can answer on one side of the change.
    pub fn pools<'m>(&self, model: &'m Model, side: Side) -> BTreeSet<&'m Id<Pool>> {
        let policies = self.groups.iter().filter_map(|group| model.policies.get(group.policy(side).as_ref()?));
        policies.flat_map(|policy| pools_of(policy)).collect()
    }

    /// What the change does to answers, in the health of these snapshots.
    pub fn answers(&self, before: &Snapshot, after: &Snapshot, inside: &Inside) -> Answers {
        let mut answers = Answers::default();
        let all: usize = self.groups.iter().map(|group| group.names.len()).sum();
        for group in &self.groups {
            let weight = group.names.len() as f64 / all as f64;
            group.compare(before, after, (inside, &self.clients), weight, &mut answers);
        }
        answers.by_name.sort_by(|a, b| b.moved.total_cmp(&a.moved));
        answers.moves.sort_by(|a, b| b.moved.total_cmp(&a.moved));
        answers.losses.sort_by(|a, b| b.share.total_cmp(&a.share));
        answers
    }

    /// Each pool taken down, those that the change is about first; for every name that uses it.
    pub fn outages(&self, before: &Snapshot, after: &Snapshot, changes: &[Change]) -> Vec<Outage> {
        outages(before, after, &self.groups, &self.clients, changes)
    }
}

/// The names of every policy that the changes can touch, grouped by who answers them before and after.
fn groups(before: &Model, after: &Model, changes: &[Change]) -> Vec<Group> {
    let touched = touched(before, after, changes);
    type Policies = (Option<Id<Policy>>, Option<Id<Policy>>);
    let mut names: BTreeMap<(&Name, RecordType), (Policies, BTreeSet<RecordType>)> = BTreeMap::new();
    for (model, is_after) in [(before, false), (after, true)] {
        for id in &touched {
            let Some(policy) = model.policies.get(id).filter(|policy| policy.enabled) else { continue };
            for attach in &policy.attach {
                // A and AAAA of a name go together: a pool answers both.
                let rtype = attach.types.first().copied().unwrap_or(RecordType::A);
                let (pair, types) = names.entry((&attach.name, rtype)).or_default();
                *(if is_after { &mut pair.1 } else { &mut pair.0 }) = Some(id.clone());
                types.extend(&attach.types);
            }
        }
    }
    let mut groups: BTreeMap<(Policies, RecordType, BTreeSet<RecordType>), BTreeSet<Name>> = BTreeMap::new();
    for ((name, rtype), (policies, types)) in names {
        groups.entry((policies, rtype, types)).or_default().insert(name.clone());
    }
    let group = |(((before, after), rtype, types), names)| Group { before, after, names, rtype, types };
    groups.into_iter().map(group).collect()
}

/// Policies that are other than before, or name something that is.
fn touched(before: &Model, after: &Model, changes: &[Change]) -> BTreeSet<Id<Policy>> {
    let mut changed: BTreeSet<&str> = changes
        .iter()
        .filter(|change| matches!(change.kind, Kind::Regions | Kind::Pools | Kind::Endpoints))
        .map(|change| change.id.as_str())
        .collect();
    let nests = |region: &Region, changed: &BTreeSet<&str>| {
        let tokens = region.include.iter().chain(&region.except);
        tokens.into_iter().any(|token| matches!(token, Token::Region(id) if changed.contains(id.as_str())))
    };
    if changes.iter().any(|change| change.kind == Kind::Regions) {
        for _ in 0..MAX_NESTING {
            let more = after.regions.iter().filter(|(_, region)| nests(region, &changed));
            let more: Vec<&str> = more.map(|(id, _)| id.as_str()).collect();
            changed.extend(more);
        }
    }
    let endpoints = changes.iter().any(|change| change.kind == Kind::Endpoints);
    // Chains of them end: a model has no circles.
    let mut goes_on = endpoints;
    while goes_on {
        let depends = |(id, endpoint): &(&Id<Endpoint>, &Arc<Endpoint>)| {
            !changed.contains(id.as_str()) && endpoint.depends_on.iter().any(|id| changed.contains(id.as_str()))
        };
        let more: Vec<&str> = after.endpoints.iter().filter(depends).map(|(id, _)| id.as_str()).collect();
        goes_on = !more.is_empty();
        changed.extend(more);
    }
    let pools = after
        .pools
        .iter()
        .filter(|(_, pool)| endpoints && pool.members.iter().any(|member| changed.contains(member.endpoint.as_str())));
    let pools: Vec<&str> = pools.map(|(id, _)| id.as_str()).collect();
    changed.extend(pools);
    let mut touched = BTreeSet::new();
    for (id, policy) in before.policies.iter().chain(&after.policies) {
        let same = match (before.policies.get(id), after.policies.get(id)) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        if !same || (!changed.is_empty() && refers_to(policy, &changed)) {
            touched.insert(id.clone());
        }
    }
    touched
}

fn refers_to(policy: &Policy, changed: &BTreeSet<&str>) -> bool {
    let mut pools = pools_of(policy);
    let mut regions = policy.rules.iter().flat_map(|rule| rule.regions.iter().chain(&rule.except_regions));
    regions.any(|region| changed.contains(region.as_str())) || pools.any(|pool| changed.contains(pool.as_str()))
}

fn pools_of(policy: &Policy) -> impl Iterator<Item = &Id<Pool>> {
    policy.rules.iter().flat_map(|rule| {
        let last = if let LastResort::Pool(id) = &rule.last_resort { Some(id) } else { None };
        rule.steps.iter().flat_map(|step| &step.pools).map(|used| &used.pool).chain(last)
    })
}

/// Which names are affected, and how long resolvers keep what they got of them.
fn names(before: &Model, groups: &[Group], changes: &[Change], preview: &mut Preview) {
    let mut names: BTreeSet<Name> = groups.iter().flat_map(|group| group.names.iter().cloned()).collect();
    let policies = groups.iter().filter_map(|group| before.policies.get(group.before.as_ref()?));
    let mut keep: u32 = policies.map(|policy| policy.ttl).max().unwrap_or_default();
    for change in changes.iter().filter(|change| change.kind == Kind::Records) {
        let named = |value: &serde_json::Value| value.get("name")?.as_str()?.parse::<Name>().ok();
        names.extend(change.before.as_ref().or(change.after.as_ref()).and_then(named));
        let key = change.before.as_ref().and_then(|_| before.record_key(&change.id));
        if let Some(set) = key.and_then(|key| before.records.get(&key)) {
            let default = before.zones.get(&set.zone).map_or(0, |zone| zone.default_ttl);
            keep = keep.max(set.ttl.unwrap_or(default));
        }
    }
    preview.names_affected = names.len();
    preview.names = names.iter().take(MAX_NAMES).map(ToString::to_string).collect();
    preview.keep_seconds = keep;
}

/// Every country, and every network that a rule of the groups names.
fn clients(before: &Snapshot, after: &Snapshot, groups: &[Group]) -> Vec<Who> {
    let mut networks = BTreeSet::new();
    for (snapshot, is_after) in [(before, false), (after, true)] {
        let model = snapshot.model();
        for group in groups {
            let id = if is_after { &group.after } else { &group.before };
            let Some(policy) = id.as_ref().and_then(|id| model.policies.get(id)) else { continue };
            let regions = policy.rules.iter().flat_map(|rule| rule.regions.iter().chain(&rule.except_regions));
            for region in regions.filter_map(|id| model.regions.get(id)) {
                let tokens = region.include.iter().chain(&region.except);
                networks.extend(tokens.filter_map(|token| match token {
                    Token::Cidr(network) => Some(network.trunc()),
                    _ => None,
                }));
            }
        }
    }
    let networks: Vec<IpNet> = networks.into_iter().take(MAX_NETWORKS).collect();
    share_out(&after.geo().samples(SAMPLES), &networks)
}

/// Networks stand for what of them no smaller one stands for, and countries for the rest: nobody is counted twice.
fn share_out(samples: &[Sample], networks: &[IpNet]) -> Vec<Who> {
    let mut clients: Vec<Who> = networks.iter().filter_map(|network| of_network(*network, networks)).collect();
    let rest = 1.0 - clients.iter().map(|who| who.share).sum::<f64>().min(1.0);
    let is_outside = |address: &&Ipv4Addr| !networks.iter().any(|network| network.contains(&IpAddr::from(**address)));
    // Countries whose samples all lie in those networks are theirs; the others share what is left.
    let outside = samples.iter().map(|sample| {
        let addresses: Vec<Ipv4Addr> = sample.addresses.iter().filter(is_outside).copied().collect();
        (sample, addresses)
    });
    let outside: Vec<(&Sample, Vec<Ipv4Addr>)> = outside.filter(|(_, addresses)| !addresses.is_empty()).collect();
    let all: f64 = outside.iter().map(|(sample, _)| sample.share).sum();
    for (sample, addresses) in outside {
        let label = sample.country.map_or("unknown".to_owned(), |country| country.to_string());
        let whole = if all > 0.0 { sample.share / all * rest } else { 0.0 };
        let share = whole / addresses.len() as f64;
        clients.extend(addresses.into_iter().enumerate().map(|(at, address)| Who {
            label: label.clone(),
            address: address.into(),
            share,
            alone: (at == 0).then_some(whole),
        }));
    }
    clients
}

/// `None` where smaller ones of `networks` cover it whole.
fn of_network(network: IpNet, networks: &[IpNet]) -> Option<Who> {
    let within = |inner: &&IpNet| **inner != network && network.contains(*inner);
    let inside: Vec<IpNet> = networks.iter().filter(within).copied().collect();
    let largest = |inner: &&IpNet| !inside.iter().any(|outer| outer != *inner && outer.contains(*inner));
    // Of an address space that is nearly full; of IPv6 nothing that would show.
    let part = |network: &IpNet| match network.addr() {
        IpAddr::V4(_) => 0.5f64.powi(network.prefix_len().into()),
        IpAddr::V6(_) => 0.0,
    };
    let share = part(&network) - inside.iter().filter(largest).map(part).sum::<f64>();
    let mut addresses =
        std::iter::once(Some(network.network())).chain(inside.iter().map(|inner| next(inner.broadcast())));
    let own = |address: &IpAddr| network.contains(address) && !inside.iter().any(|inner| inner.contains(address));
    let address = addresses.find_map(|address| address.filter(&own))?;
    Some(Who { label: network.to_string(), address, share, alone: Some(share) })
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

impl Group {
    fn compare(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        (inside, clients): (&Inside, &[Who]),
        weight: f64,
        answers: &mut Answers,
    ) {
        let (was, is) = (self.side(before, &self.before), self.side(after, &self.after));
        let types: Vec<RecordType> = self.types.iter().copied().collect();
        let (name, more_names) = (self.name(), self.names.len().saturating_sub(1));
        let mut whole = NameEffect { name: name.clone(), more_names, ..NameEffect::default() };
        let mut moves: BTreeMap<(String, String), (BTreeSet<String>, f64, f64)> = BTreeMap::new();
        let mut losses: BTreeMap<Option<usize>, (BTreeSet<String>, f64)> = BTreeMap::new();
        let mut pools: BTreeMap<Id<Pool>, (f64, f64)> = BTreeMap::new();
        for who in clients {
            let (from, to) = (was(who.address), is(who.address));
            from.pools.iter().for_each(|(pool, odds)| pools.entry(pool.clone()).or_default().0 += odds * who.share);
            to.pools.iter().for_each(|(pool, odds)| pools.entry(pool.clone()).or_default().1 += odds * who.share);
            let within = from.distance_inside(&to, inside, &types);
            let moved = from.distance(&to) + within;
            whole.unanswered_now += from.unanswered * who.share;
            whole.unanswered += to.unanswered * who.share;
            whole.moved += moved * who.share;
            // A name that is new takes nothing from anybody.
            let had = self.before.is_some() || from.fixed;
            if had && (from.pools != to.pools || from.fixed != to.fixed || within > NOTHING) {
                let said = (from.said(inside, &types, Side::Before), to.said(inside, &types, Side::After));
                let (who_moves, share, part) = moves.entry(said).or_default();
                who_moves.insert(who.label.clone());
                *share += who.share;
                *part += moved * who.share;
            }
            if to.unanswered > from.unanswered + NOTHING {
                let (who_loses, share) = losses.entry(to.rule).or_default();
                who_loses.insert(who.label.clone());
                *share += who.share * (to.unanswered - from.unanswered);
            }
        }
        let policy = self.after.as_ref().or(self.before.as_ref()).map(ToString::to_string).unwrap_or_default();
        answers.moves.extend(moves.into_iter().filter(|((from, to), _)| from != to).map(
            |((from, to), (countries, share, moved))| Move {
                name: name.clone(),
                policy: policy.clone(),
                from,
                to,
                countries: countries.into_iter().collect(),
                share,
                moved,
            },
        ));
        answers.losses.extend(losses.into_iter().map(|(rule, (countries, share))| Loss {
            name: name.clone(),
            rule: rule.map(|rule| rule + 1),
            share,
            countries: countries.into_iter().collect(),
        }));
        answers.shares.extend(pools.into_iter().map(|(pool, (now, after))| PoolShare {
            name: name.clone(),
            more_names,
            endpoints: inside.rows(&pool, &types, (now, after)),
            pool: pool.to_string(),
            now,
            after,
        }));
        answers.moved += whole.moved * weight;
        answers.unanswered_now += whole.unanswered_now * weight;
        answers.unanswered += whole.unanswered * weight;
        answers.by_name.push(whole);
    }

    /// One that stands for all.
    fn name(&self) -> String {
        self.names.first().map(ToString::to_string).unwrap_or_default()
    }

    /// What clients get of the names by `policy`; without one, by fixed records if there are any.
    fn side<'s>(
        &self,
        snapshot: &'s Snapshot,
        policy: &'s Option<Id<Policy>>,
    ) -> impl Fn(IpAddr) -> Rc<Portion> + use<'s> {
        let fixed = policy.is_none()
            && self.names.first().is_some_and(|name| {
                let question = Question { name: name.as_wire(), rtype: self.rtype };
                let client = Client { resolver: Ipv4Addr::UNSPECIFIED.into(), subnet: None };
                !answer(snapshot, &question, &client, 0, &mut Entropy::new(0)).answer.is_empty()
            });
        let known: RefCell<HashMap<Option<u64>, Rc<Portion>>> = RefCell::default();
        move |address| {
            let class = policy.as_ref().and_then(|policy| outlook_class(snapshot, policy, address));
            let portion = || match policy.as_ref().map(|policy| outlook(snapshot, policy, address)) {
                Some(Some(Outlook { rule, pools, unanswered })) => {
                    Portion { pools, unanswered, rule: Some(rule), fixed: false }
                }
                // Too many pools shed for exact odds; then nobody is told to move.
                Some(None) => Portion { fixed: true, ..Portion::default() },
                None => Portion { unanswered: if fixed { 0.0 } else { 1.0 }, fixed, ..Portion::default() },
            };
            known.borrow_mut().entry(class).or_insert_with(|| Rc::new(portion())).clone()
        }
    }
}

impl Portion {
    /// The part that gets something else.
    fn distance(&self, to: &Portion) -> f64 {
        let odds = |of: &Portion, id: &Id<Pool>| of.pools.iter().find(|(pool, _)| pool == id).map_or(0.0, |one| one.1);
        let lost = self.pools.iter().map(|(pool, was)| (was - odds(to, pool)).max(0.0)).sum::<f64>();
        let gained = to.pools.iter().map(|(pool, is)| (is - odds(self, pool)).max(0.0)).sum::<f64>();
        lost.max(gained)
    }

    /// The part that gets another address of the same pool.
    fn distance_inside(&self, to: &Portion, inside: &Inside, types: &[RecordType]) -> f64 {
        let is = |id: &Id<Pool>| to.pools.iter().find(|(pool, _)| pool == id).map_or(0.0, |one| one.1);
        self.pools.iter().map(|(pool, was)| was.min(is(pool)) * inside.moved(pool, types)).sum()
    }

    /// e.g. `eu-main 90 %, eu-canary 10 %`; with its endpoints where those are answered otherwise than before.
    fn said(&self, inside: &Inside, types: &[RecordType], side: Side) -> String {
        let percent = |part: f64| (part * 1000.0).round() / 10.0;
        if self.pools.is_empty() {
            return (if self.fixed { "fixed records" } else { "no answer" }).to_owned();
        }
        let pool = |(pool, odds): &(Id<Pool>, f64)| match inside.said(pool, types, side) {
            Some(servers) => format!("{pool} {} % ({servers})", percent(*odds)),
            None => format!("{pool} {} %", percent(*odds)),
        };
        let mut said: Vec<String> = self.pools.iter().map(pool).collect();
        if self.unanswered > 0.0005 {
            said.push(format!("no answer {} %", percent(self.unanswered)));
        }
        said.join(", ")
    }
}

fn outages(before: &Snapshot, after: &Snapshot, groups: &[Group], clients: &[Who], changes: &[Change]) -> Vec<Outage> {
    let groups = &groups[..groups.len().min(MAX_OUTAGE_GROUPS)];
    let mut pools: BTreeSet<(bool, Id<Pool>)> = BTreeSet::new();
    for (snapshot, side) in [(before, Side::Before), (after, Side::After)] {
        for group in groups {
            let Some(policy) = group.policy(side).as_ref().and_then(|id| snapshot.model().policies.get(id)) else {
                continue;
            };
            let changed =
                |pool: &Id<Pool>| changes.iter().any(|change| change.kind == Kind::Pools && change.id == pool.as_str());
            pools.extend(pools_of(policy).map(|pool| (!changed(pool), pool.clone())));
        }
    }
    let mut outages = Vec::new();
    for (_, pool) in pools.into_iter().take(MAX_OUTAGES) {
        let down = std::slice::from_ref(&pool);
        let (before_down, after_down) = (before.with_down(down), after.with_down(down));
        for group in groups {
            let now = group.outage((before, &before_down), &pool, clients, Side::Before);
            let after = group.outage((after, &after_down), &pool, clients, Side::After);
            if now.clients > 0.0 || after.clients > 0.0 {
                let more_names = group.names.len().saturating_sub(1);
                outages.push(Outage { name: group.name(), more_names, pool: pool.to_string(), now, after });
            }
        }
    }
    outages
}

impl Group {
    fn policy(&self, side: Side) -> &Option<Id<Policy>> {
        if side == Side::Before { &self.before } else { &self.after }
    }

    /// What becomes of the clients of a pool when it goes down.
    fn outage(&self, (up, down): (&Snapshot, &Snapshot), pool: &Id<Pool>, clients: &[Who], side: Side) -> Effect {
        let (healthy, ailing) = (self.side(up, self.policy(side)), self.side(down, self.policy(side)));
        let (mut effect, mut to, mut without) = (Effect::default(), BTreeMap::new(), BTreeSet::new());
        for (who, share) in clients.iter().filter_map(|who| Some((who, who.alone?))) {
            let was = healthy(who.address);
            let Some((_, odds)) = was.pools.iter().find(|(id, _)| id == pool) else { continue };
            let is = ailing(who.address);
            effect.clients += odds * share;
            if is.unanswered > was.unanswered + NOTHING {
                effect.unanswered += (is.unanswered - was.unanswered) * share;
                without.insert(who.label.clone());
            }
            for (other, odds) in &is.pools {
                let was = was.pools.iter().find(|(id, _)| id == other).map_or(0.0, |one| one.1);
                let more = if other == pool { *odds } else { odds - was };
                if more > NOTHING {
                    *to.entry(other.to_string()).or_insert(0.0) += more * share;
                }
            }
        }
        effect.to = to.into_iter().collect();
        effect.to.sort_by(|a, b| b.1.total_cmp(&a.1));
        effect.without = without.into_iter().collect();
        effect
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::control::fixture::{document, geo, snapshot};
    use crate::control::preview::preview;
    use crate::health::HealthTable;
    use serde_json::json;

    /// Made once: all ranges are gone through for it.
    static COUNTRIES: LazyLock<Vec<Sample>> = LazyLock::new(|| geo().samples(SAMPLES));

    fn network() -> impl Strategy<Value = IpNet> {
        let v4 =
            (any::<u32>(), 0..=32u8).prop_map(|(bits, length)| IpNet::new(Ipv4Addr::from_bits(bits).into(), length));
        let v6 =
            (any::<u128>(), 0..=64u8).prop_map(|(bits, length)| IpNet::new(Ipv6Addr::from_bits(bits).into(), length));
        prop_oneof![4 => v4, 1 => v6].prop_map(|network| network.unwrap().trunc())
    }

    proptest! {
        #[test]
        fn nobody_is_counted_twice(networks in prop::collection::btree_set(network(), 0..12)) {
            let networks: Vec<IpNet> = networks.into_iter().collect();
            let clients = share_out(&COUNTRIES, &networks);
            let (total, alone) = clients.iter().fold((0.0, 0.0), |(total, alone), who| {
                (total + who.share, alone + who.alone.unwrap_or_default())
            });
            prop_assert!(total <= 1.0 + NOTHING && alone <= 1.0 + NOTHING, "{total} {alone}");
            // Nobody is left out, unless there is no country left to stand for the rest.
            if clients.iter().any(|who| who.label == "US") {
                prop_assert!((total - 1.0).abs() < NOTHING && (alone - 1.0).abs() < NOTHING, "{total} {alone}");
            }
            prop_assert!(clients.iter().all(|who| who.share >= 0.0));
        }
    }

    #[test]
    fn a_network_stands_for_what_smaller_ones_leave_of_it() {
        let networks = ["10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/16", "0.0.0.0/1"].map(|text| text.parse().unwrap());
        let clients = share_out(&[], &networks);
        let of =
            |label: &str| clients.iter().find(|who| who.label == label).map(|who| (who.address.to_string(), who.share));
        assert_eq!(of("10.0.0.0/8"), Some(("10.129.0.0".into(), 1.0 / 512.0 - 1.0 / 65536.0)));
        assert_eq!(of("10.0.0.0/9"), Some(("10.0.0.0".into(), 1.0 / 512.0)));
        assert_eq!(of("0.0.0.0/1"), Some(("0.0.0.0".into(), 0.5 - 1.0 / 256.0)));
        let halves = ["10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9"].map(|text| text.parse().unwrap());
        assert_eq!(share_out(&[], &halves).len(), 2, "both halves leave nothing");
    }

    #[test]
    fn a_region_of_half_the_internet_moves_half_of_it_and_no_more() {
        let snapshot = snapshot(&document(), &HealthTable::default());
        let mut document = snapshot.model().document();
        document["regions"]["half"] = json!({ "include": ["cidr:0.0.0.0/1", "cidr:10.0.0.0/8"] });
        let rule = json!({ "name": "Half", "regions": ["half"], "steps": [{ "pools": [{ "pool": "eu" }] }] });
        document["policies"]["app"]["rules"].as_array_mut().unwrap().insert(0, rule);
        let edits = snapshot.model().edits_to(&document).unwrap();
        let preview = preview(&snapshot, &HealthTable::default(), &edits).unwrap();
        for (now, after) in
            [(0.0, 0.0)].into_iter().chain(preview.as_now.shares.iter().map(|share| (share.now, share.after)))
        {
            assert!(now <= 1.0 && after <= 1.0, "{preview:?}");
        }
        let sum = |of: fn(&PoolShare) -> f64| preview.as_now.shares.iter().map(of).sum::<f64>();
        assert!((sum(|share| share.now) - 1.0).abs() < 1e-6 && (sum(|share| share.after) - 1.0).abs() < 1e-6);
        assert!(preview.as_now.moved > 0.3 && preview.as_now.moved <= 1.0, "{}", preview.as_now.moved);
    }
}
