//! What may stand at one name: fixed record sets beside each other, beside what policies answer, and
//! around delegations and aliases (RFC 1034, 2181, 6672).

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Id, Name, RecordKey, RecordSet, RecordType, Zone};
use super::Kind;
use super::apply::Draft;
use super::zones::{belongs_to_cut, enclosing};

/// The most aliases in a row that are followed: twice what we and most resolvers follow.
const MAX_CHAIN: usize = 16;

pub(super) fn check(draft: &mut Draft) {
    let exposed = exposed(draft);
    let mut new_aliases = steered_aliases(draft);
    let keys: BTreeSet<RecordKey> = draft.touched.records.iter().chain(&exposed).cloned().collect();
    let mut names: BTreeSet<(Id<Zone>, Name)> = draft.touched_attachments();
    for key in keys {
        if key.rtype == RecordType::NS && !draft.has_set(&key.zone, &key.name, RecordType::NS) {
            abandoned(draft, &key);
        }
        let Some(set) = draft.model.records.get(&key).cloned() else { continue };
        let Some(zone) = draft.model.zones.get(&key.zone).cloned() else { continue };
        let at = format!("records/{}/{}/{}", key.zone, key.name.relative_to(&zone.fqdn), key.rtype);
        if !key.name.is_under(&zone.fqdn) {
            draft.error(at, format!("{} is outside zone {}", key.name, zone.fqdn), "put it into its own zone");
            continue;
        }
        names.insert((key.zone.clone(), key.name.clone()));
        if !allowed_type(draft, &at, &key, &zone) {
            continue;
        }
        one_value(draft, &at, &set);
        if set.enabled {
            below_cuts(draft, &at, &key, &zone);
            cuts(draft, &at, &key);
            targets(draft, &at, &set);
            chain(draft, &at, &set);
        }
        if set.enabled
            && set.rtype == RecordType::CNAME
            && draft.before.records.get(&key).is_none_or(|old| !old.enabled)
        {
            new_aliases.insert(set.name.clone(), at);
        }
    }
    pointed_at(draft, &new_aliases);
    for (zone, name) in names {
        company(draft, &zone, &name);
    }
}

/// Record sets that a deleted zone hid, in the zone above it.
fn exposed(draft: &Draft) -> BTreeSet<RecordKey> {
    let mut exposed = BTreeSet::new();
    for (id, zone) in draft.before.zones.iter().filter(|(id, _)| !draft.model.zones.contains_key(id)) {
        let Some((above, _)) = enclosing(draft, &zone.fqdn, Some(id)) else { continue };
        let first = RecordKey { zone: above.clone(), name: zone.fqdn.clone(), rtype: RecordType(0) };
        let keys = draft.model.records.range(first..).map(|(key, _)| key);
        exposed.extend(keys.take_while(|key| key.zone == above && key.name.is_under(&zone.fqdn)).cloned());
    }
    exposed
}

/// Names that touched policies answer with aliases, with the place that says so.
fn steered_aliases(draft: &Draft) -> BTreeMap<Name, String> {
    let touched = draft.touched.entities.iter().filter(|(kind, _)| *kind == Kind::Policies);
    let policies = touched.filter_map(|(_, id)| draft.model.policies.get(&id.parse().ok()?));
    let mut aliases = BTreeMap::new();
    for policy in policies.filter(|policy| policy.enabled) {
        let attached = policy.attach.iter().enumerate().filter(|(_, a)| a.types.contains(&RecordType::CNAME));
        aliases.extend(attached.map(|(i, a)| (a.name.clone(), format!("policies/{} attach[{i}]", policy.meta.id))));
    }
    aliases
}

/// A delegation goes, and its DS set stays behind.
fn abandoned(draft: &mut Draft, key: &RecordKey) {
    let ds = RecordKey { rtype: RecordType::DS, ..key.clone() };
    let stays = draft.model.records.get(&ds).is_some_and(|set| set.enabled);
    if stays && !draft.touched.records.contains(&ds) {
        let at = draft.model.record_id(key).unwrap_or_else(|| key.name.to_string());
        draft.error(format!("records/{at}"), "leaves the DS set beside it behind", "delete the DS set with it");
    }
}

/// Types that zones are made of by other means, and types that are no data (RFC 6895 section 3.1).
fn allowed_type(draft: &mut Draft, at: &str, key: &RecordKey, zone: &Zone) -> bool {
    let (problem, remedy) = match key.rtype.0 {
        6 => ("SOA is made from the zone's fields".to_owned(), format!("edit soa of zones/{}", key.zone)),
        2 if key.name == zone.fqdn => {
            ("the zone's own NS set is made from its field ns".to_owned(), format!("edit ns of zones/{}", key.zone))
        }
        5 if key.name == zone.fqdn => (
            "the apex has SOA and NS, and a CNAME stands alone".to_owned(),
            "use A and AAAA, or steer the apex by a policy with address endpoints".to_owned(),
        ),
        24 | 46 | 47 | 48 | 50 | 51 | 59 | 60 => {
            (format!("{} is made by signing the zone", key.rtype), "leave it out".to_owned())
        }
        0 | 41 | 128..=255 => {
            (format!("{} is not a type of data", key.rtype), "use a type such as A or TXT".to_owned())
        }
        _ => return true,
    };
    draft.error(at, problem, remedy);
    false
}

fn one_value(draft: &mut Draft, at: &str, set: &RecordSet) {
    let single = [RecordType::CNAME, RecordType::DNAME].contains(&set.rtype);
    if single && set.values.len() > 1 {
        let problem = format!("has {} values", set.values.len());
        draft.error(format!("{at} values"), problem, "an alias points to one name; to share traffic, use a policy");
    }
    if set.rtype == RecordType::NS && set.values.len() == 1 {
        draft.warn(format!("{at} values"), "names one server", "name a second one, so that one may fail");
    }
}

/// A name below a delegation, a DNAME or the apex of a deeper zone is answered there, or not at all.
fn below_cuts(draft: &mut Draft, at: &str, key: &RecordKey, zone: &Zone) {
    // Errors first: they hold even while something else hides the name.
    if key.rtype == RecordType::DS && !draft.has_set(&key.zone, &key.name, RecordType::NS) {
        draft.error(at, "stands where nothing is delegated", "add the NS set of the delegation beside it");
    }
    let mut above = key.name.parent();
    while let Some(name) = above.filter(|name| name.is_under(&zone.fqdn)) {
        if draft.has_set(&key.zone, &name, RecordType::DNAME) {
            let remedy = "remove the DNAME, or move this name (RFC 6672 section 2.4)";
            return draft.error(at, format!("lies below the DNAME at {name}"), remedy);
        }
        above = name.parent();
    }
    let deeper = enclosing(draft, &key.name, None).filter(|(_, apex)| *apex != zone.fqdn);
    if let Some((id, apex)) = deeper.filter(|(_, apex)| !belongs_to_cut(key, apex)) {
        let problem = format!("zone {id} ({apex}) answers for this name");
        return draft.warn(at, problem, format!("move it into zone {id}"));
    }
    if let Some(cut) = delegation(draft, &key.zone, &key.name).filter(|cut| !belongs_to_cut(key, cut)) {
        let remedy = "move it to the servers of that zone";
        draft.warn(at, format!("is hidden by the delegation of {cut}"), remedy);
    }
}

/// The name at or above `name` that its zone delegates to other servers.
pub(super) fn delegation(draft: &Draft, zone: &Id<Zone>, name: &Name) -> Option<Name> {
    let apex = &draft.model.zones.get(zone)?.fqdn;
    let mut above = Some(name.clone());
    while let Some(name) = above.filter(|name| name != apex) {
        if draft.has_set(zone, &name, RecordType::NS) {
            return Some(name);
        }
        above = name.parent();
    }
    None
}

/// What a new delegation or DNAME does to the names below it.
fn cuts(draft: &mut Draft, at: &str, key: &RecordKey) {
    let is_new = draft.before.records.get(key).is_none_or(|set| !set.enabled);
    if !is_new || ![RecordType::NS, RecordType::DNAME].contains(&key.rtype) {
        return;
    }
    let first = RecordKey { rtype: RecordType(0), ..key.clone() };
    let covered: Vec<&RecordKey> = (draft.model.records.range(first..))
        .map(|(other, _)| other)
        .take_while(|other| other.zone == key.zone && other.name.is_under(&key.name))
        .collect();
    if key.rtype == RecordType::NS {
        let hidden = covered.iter().filter(|other| !belongs_to_cut(other, &key.name)).count();
        // Policies that come with this change are told one by one.
        let is_ours = |name: &&Name| enclosing(draft, name, None).is_some_and(|(zone, _)| zone == key.zone);
        let is_known = |name: &&Name| {
            !draft.steered(name).iter().any(|(policy, _)| draft.touched.has(Kind::Policies, policy.as_str()))
        };
        let steered = draft.steered_below(&key.name).filter(is_ours).filter(is_known).count();
        if steered > 0 {
            let problem = format!("hides {steered} steered names at and below {}", key.name);
            draft.error(at, problem, "stop steering them first, or delegate another name");
        }
        if hidden > 0 {
            draft.warn(at, format!("hides {hidden} record sets at and below {}", key.name), "move them to its servers");
        }
        return;
    }
    // Those that come with this change are told one by one.
    let below = covered.iter().filter(|other| other.name != key.name && draft.before.records.contains_key(other));
    let count = below.count();
    if count > 0 {
        let remedy = "remove them first (RFC 6672 section 2.4)";
        draft.error(at, format!("{count} record sets lie below this DNAME"), remedy);
    }
}

/// MX, NS and SRV name hosts, not aliases (RFC 2181 section 10.3, RFC 2782).
fn targets(draft: &mut Draft, at: &str, set: &RecordSet) {
    if !needs_host(set.rtype) {
        return;
    }
    for target in set.values.iter().filter_map(|value| value.target(set.rtype)) {
        let alias =
            enclosing(draft, &target, None).is_some_and(|(id, _)| draft.has_set(&id, &target, RecordType::CNAME));
        if alias {
            let remedy = format!("point {} to a name with addresses (RFC 2181 section 10.3)", set.rtype);
            draft.error(format!("{at} values"), format!("{target} is an alias (CNAME)"), remedy);
        }
    }
}

/// Following a fixed CNAME ends, and soon.
fn chain(draft: &mut Draft, at: &str, set: &RecordSet) {
    if set.rtype != RecordType::CNAME {
        return;
    }
    let mut chain = vec![set.name.clone()];
    let mut next = set.values.first().and_then(|value| value.target(RecordType::CNAME));
    while let Some(name) = next {
        if name == set.name {
            let names: Vec<String> = chain.iter().chain([&name]).map(ToString::to_string).collect();
            let problem = format!("goes in a circle: {}", names.join(" → "));
            return draft.error(at, problem, "point one of them to a name with addresses");
        }
        if chain.len() > MAX_CHAIN {
            let problem = format!("leads over more than {MAX_CHAIN} aliases");
            return draft.warn(at, problem, "point it nearer to the end: resolvers give up on long chains");
        }
        chain.push(name.clone());
        let zone = enclosing(draft, &name, None).map(|(id, _)| id);
        let key = zone.map(|zone| RecordKey { zone, name, rtype: RecordType::CNAME });
        let alias = key.and_then(|key| draft.model.records.get(&key)).filter(|alias| alias.enabled);
        next = alias.and_then(|alias| alias.values.first()?.target(RecordType::CNAME));
    }
}

/// Names that become aliases, of which older record sets need a host. One pass, however many there are.
fn pointed_at(draft: &mut Draft, aliases: &BTreeMap<Name, String>) {
    if aliases.is_empty() {
        return;
    }
    let mut found: BTreeMap<&str, String> = BTreeMap::new();
    for (key, set) in draft.model.records.iter().filter(|(key, set)| set.enabled && needs_host(key.rtype)) {
        if draft.touched.records.contains(key) {
            continue;
        }
        for target in set.values.iter().filter_map(|value| value.target(key.rtype)) {
            if let Some(at) = aliases.get(&target) {
                found.entry(at).or_insert_with(|| format!("{} of {} points to this name", key.rtype, key.name));
            }
        }
    }
    for (at, problem) in found {
        draft.error(at, problem, "give it addresses instead: MX, NS and SRV need a host (RFC 2181 section 10.3)");
    }
}

fn needs_host(rtype: RecordType) -> bool {
    [RecordType::MX, RecordType::NS, RecordType::SRV].contains(&rtype)
}

/// A CNAME stands alone at its name, whether it is fixed or steered. Fixed sets of a steered type are
/// standby, served while the policy is disabled.
fn company(draft: &mut Draft, zone: &Id<Zone>, name: &Name) {
    let first = RecordKey { zone: zone.clone(), name: name.clone(), rtype: RecordType(0) };
    let fixed: Vec<RecordType> = (draft.model.records.range(first..))
        .take_while(|(key, _)| key.zone == *zone && key.name == *name)
        .filter(|(_, set)| set.enabled)
        .map(|(key, _)| key.rtype)
        .collect();
    let place = draft.model.zones.get(zone).map(|zone| name.relative_to(&zone.fqdn)).unwrap_or_default();
    let words = |types: &[RecordType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if fixed.contains(&RecordType::CNAME) && fixed.len() > 1 {
        let others: Vec<RecordType> = fixed.iter().copied().filter(|rtype| *rtype != RecordType::CNAME).collect();
        let problem = format!("stands beside {} of the same name", words(&others));
        draft.error(format!("records/{zone}/{place}/CNAME"), problem, "keep the CNAME alone, or remove it");
    }
    let Some((policy, steered)) = draft.steered(name).first().cloned() else { return };
    let standby = [RecordType::A, RecordType::AAAA, RecordType::CNAME];
    let clash: Vec<RecordType> = if steered.contains(&RecordType::CNAME) {
        fixed.into_iter().filter(|rtype| !standby.contains(rtype)).collect()
    } else {
        fixed.into_iter().filter(|rtype| *rtype == RecordType::CNAME).collect()
    };
    if !clash.is_empty() {
        let problem = format!("answers {} at {name}, where fixed {} stands", words(&steered), words(&clash));
        let remedy = "a CNAME stands alone: remove the fixed record set, or steer another name";
        draft.error(format!("policies/{policy} attach"), problem, remedy);
    }
}
