//! Zones: apexes are unique and fixed, name servers exist and can be found.

use std::collections::{BTreeSet, HashMap};

use super::super::{Id, Name, Policy, RecordKey, RecordType, Zone};
use super::Kind;
use super::apply::Draft;

pub(super) fn check(draft: &mut Draft) {
    let touched: Vec<Id<Zone>> = (draft.touched.entities.iter())
        .filter(|(kind, _)| *kind == Kind::Zones)
        .filter_map(|(_, id)| id.parse().ok())
        .collect();
    if !touched.is_empty() {
        let mut apexes: HashMap<Name, Vec<Id<Zone>>> = HashMap::new();
        for (id, zone) in &draft.model.zones {
            apexes.entry(zone.fqdn.clone()).or_default().push(id.clone());
        }
        for id in &touched {
            check_one(draft, id, &apexes);
        }
    }
    name_servers(draft, &touched);
}

fn check_one(draft: &mut Draft, id: &Id<Zone>, apexes: &HashMap<Name, Vec<Id<Zone>>>) {
    let Some(zone) = draft.model.zones.get(id).cloned() else { return };
    let at = format!("zones/{id}");
    if let Some(before) = draft.before.zones.get(id)
        && before.fqdn != zone.fqdn
    {
        let problem = format!("changes from {} to {}", before.fqdn, zone.fqdn);
        draft.error(format!("{at} fqdn"), problem, "create a zone for the new name; this one keeps its own");
    }
    if let Some(other) = apexes.get(&zone.fqdn).into_iter().flatten().find(|other| *other != id) {
        draft.error(format!("{at} fqdn"), format!("{} is zone {other} already", zone.fqdn), "edit that zone");
    } else if !draft.before.zones.contains_key(id) {
        hidden_by(draft, id, &zone.fqdn);
    }
    match zone.ns.len() {
        0 => draft.error(format!("{at} ns"), "is empty", "name the zone's servers, such as ns1.example.com."),
        1 => draft.warn(format!("{at} ns"), "names one server", "name a second one, so that one may fail"),
        _ => {}
    }
    if zone.ns.iter().collect::<BTreeSet<_>>().len() < zone.ns.len() {
        draft.error(format!("{at} ns"), "names a server twice", "keep each once");
    }
}

/// A new zone takes over what a zone above it said about names in it.
fn hidden_by(draft: &mut Draft, id: &Id<Zone>, apex: &Name) {
    let steers = |policy: &Policy| policy.attach.iter().any(|a| a.zone != *id && a.name.is_under(apex));
    let older = |policy: &&Id<Policy>| !draft.touched.has(Kind::Policies, policy.as_str());
    let steered = draft.model.policies.iter().filter(|(_, policy)| steers(policy)).map(|(id, _)| id).find(older);
    if let Some(policy) = steered.cloned() {
        let problem = format!("takes names that policy {policy} steers in another zone");
        draft.error(format!("zones/{id} fqdn"), problem, format!("attach them to zone {id} in the same change"));
    }
    let Some((above, _)) = enclosing(draft, apex, Some(id)) else { return };
    let first = RecordKey { zone: above.clone(), name: apex.clone(), rtype: RecordType(0) };
    let hidden = (draft.model.records.range(first..))
        .take_while(|(key, _)| key.zone == above && key.name.is_under(apex))
        .filter(|(key, _)| !belongs_to_cut(key, apex))
        .count();
    if hidden > 0 {
        let problem = format!("hides {hidden} record sets of zone {above}");
        draft.warn(format!("zones/{id} fqdn"), problem, "move them into this zone");
    }
}

/// The zone of ours that `name` lies in: the one with the most labels, `but` left out.
pub(super) fn enclosing(draft: &Draft, name: &Name, but: Option<&Id<Zone>>) -> Option<(Id<Zone>, Name)> {
    let mut apex = Some(name.clone());
    while let Some(candidate) = apex {
        let zone = draft.apexes().get(&candidate).filter(|id| Some(*id) != but);
        if let Some(id) = zone {
            return Some((id.clone(), candidate));
        }
        apex = candidate.parent();
    }
    None
}

/// What a parent zone says at and below a delegation: the NS and DS records, and glue addresses.
pub(super) fn belongs_to_cut(key: &RecordKey, cut: &Name) -> bool {
    let delegation = key.name == *cut && [RecordType::NS, RecordType::DS].contains(&key.rtype);
    delegation || [RecordType::A, RecordType::AAAA].contains(&key.rtype)
}

/// Name servers inside the zone have addresses there and are no aliases.
fn name_servers(draft: &mut Draft, touched: &[Id<Zone>]) {
    let address = |rtype| [RecordType::A, RecordType::AAAA, RecordType::CNAME].contains(&rtype);
    let mut zones: BTreeSet<Id<Zone>> = touched.iter().cloned().collect();
    zones.extend(draft.touched.records.iter().filter(|key| address(key.rtype)).map(|key| key.zone.clone()));
    zones.extend(draft.touched_attachments().into_iter().map(|(zone, _)| zone));
    for id in zones {
        let Some(zone) = draft.model.zones.get(&id).cloned() else { continue };
        for (i, server) in zone.ns.iter().enumerate().filter(|(_, server)| server.is_under(&zone.fqdn)) {
            let has = |rtype| draft.has_set(&id, server, rtype);
            let at = format!("zones/{id} ns[{i}]");
            if has(RecordType::CNAME) {
                let problem = format!("{server} is an alias (CNAME)");
                draft.error(at, problem, "name servers need addresses of their own (RFC 2181 section 10.3)");
            } else if !has(RecordType::A) && !has(RecordType::AAAA) {
                let problem = format!("{server} has no address");
                draft.warn(at, problem, format!("add an A or AAAA record set for it to zone {id}"));
            }
        }
    }
}
