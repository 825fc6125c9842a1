//! What clients are sent to and what they ask for: servers that there can be, and names of hosts. A zone file may hold
//! any name that DNS carries; what is steered, and a new zone, is a host's.

use std::net::IpAddr;

use super::super::host::{check_host_name, no_servers};
use super::super::{Name, Policy, Table};
use super::Kind;
use super::apply::Draft;

pub(super) fn check(draft: &mut Draft) {
    for (kind, id) in draft.touched.entities.clone() {
        match kind {
            Kind::Endpoints => addresses(draft, &id),
            Kind::Policies => steered(draft, &id),
            Kind::Zones => apex(draft, &id),
            _ => {}
        }
    }
}

fn addresses(draft: &mut Draft, id: &str) {
    let Some(endpoint) = id.parse().ok().and_then(|id| draft.model.endpoints.get(&id)).cloned() else { return };
    let v4 = endpoint.ipv4.map(|ip| ("ipv4", IpAddr::from(ip), "192.0.2.10"));
    let v6 = endpoint.ipv6.map(|ip| ("ipv6", IpAddr::from(ip), "2001:db8::10"));
    for (field, ip, example) in v4.into_iter().chain(v6) {
        if let Some(kind) = no_servers(ip) {
            let problem = format!("{ip} is {kind}: no server has such an address");
            draft.error(format!("endpoints/{id} {field}"), problem, format!("use one such as {example}"));
        }
    }
}

/// Names that it did not answer before.
fn steered(draft: &mut Draft, id: &str) {
    let of = |policies: &Table<Policy>| id.parse().ok().and_then(|id| policies.get(&id).cloned());
    let Some(policy) = of(&draft.model.policies) else { return };
    let before = of(&draft.before.policies);
    for (at, attach) in policy.attach.iter().enumerate() {
        let is_old = before.iter().flat_map(|policy| &policy.attach).any(|old| old.name == attach.name);
        let Some(zone) = draft.model.zones.get(&attach.zone).filter(|_| !is_old) else { continue };
        // The labels of the zone's own name were taken when it was made.
        if let Err(error) = check_host_name(&text(&attach.name, &zone.fqdn)) {
            draft.split_error(format!("policies/{id} attach[{at}].name"), &error);
        }
    }
}

fn apex(draft: &mut Draft, id: &str) {
    let Ok(key) = id.parse() else { return };
    let is_new = !draft.before.zones.contains_key(&key);
    let Some(zone) = draft.model.zones.get(&key).filter(|_| is_new) else { return };
    if let Err(error) = check_host_name(&text(&zone.fqdn, &Name::root())) {
        draft.split_error(format!("zones/{id} fqdn"), &error);
    }
}

/// The labels in front of `apex`, without the escapes of zone files.
fn text(name: &Name, apex: &Name) -> String {
    let own = name.labels().count().saturating_sub(apex.labels().count());
    name.labels().take(own).map(String::from_utf8_lossy).collect::<Vec<_>>().join(".")
}
