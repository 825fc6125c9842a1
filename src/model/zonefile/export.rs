//! Writes a zone as a master file in canonical order: the same bytes for the same revision and the same
//! answers of its policies.

use std::collections::BTreeMap;
use std::fmt::Write;

use domain::utils::base16;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::{Id, Kind, Model, Name, Policy, Rdata, RecordKey, RecordType, Zone, sentence};

/// What "everyone else" gets for a steered name and type at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Now {
    pub ttl: u32,
    pub values: Vec<Rdata>,
}

/// Whether the comments of an export tell the rules of steered names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    Told,
    /// The reader may not see policies.
    Hidden,
}

/// The zone as a master file; `None` when there is no such zone. Steered names are explained in
/// comments and stand with the records that `steered` gives for them.
pub fn export(
    model: &Model,
    id: &Id<Zone>,
    rules: Rules,
    steered: impl Fn(&Name, RecordType) -> Now,
) -> Option<String> {
    let zone = model.zones.get(id)?;
    let mut names: BTreeMap<(Name, RecordType), String> = BTreeMap::new();
    let first = RecordKey { zone: id.clone(), name: Name::root(), rtype: RecordType(0) };
    for (key, set) in model.records.range(first..).take_while(|(key, _)| key.zone == *id) {
        let prefix = if set.enabled { "" } else { "; switched off: " };
        let lines = lines(zone, prefix, &key.name, set.ttl, key.rtype, &set.values);
        names.insert((key.name.clone(), key.rtype), lines);
    }
    for (policy_id, policy) in model.policies.iter().filter(|(_, policy)| policy.enabled) {
        for attach in policy.attach.iter().filter(|attach| attach.zone == *id) {
            for rtype in &attach.types {
                let mut block = match rules {
                    Rules::Told => explain(policy_id, policy, &attach.name, *rtype),
                    Rules::Hidden => String::new(),
                };
                let now = steered(&attach.name, *rtype);
                block.push_str(&lines(zone, "", &attach.name, Some(now.ttl), *rtype, &now.values));
                let standby =
                    model.records.get(&RecordKey { zone: id.clone(), name: attach.name.clone(), rtype: *rtype });
                if let Some(set) = standby {
                    block.push_str(&lines(zone, "; standby: ", &attach.name, set.ttl, *rtype, &set.values));
                }
                names.insert((attach.name.clone(), *rtype), block);
            }
        }
    }
    let mut content = format!("$ORIGIN {}\n$TTL {}\n", zone.fqdn, zone.default_ttl);
    let soa = &zone.soa;
    let Zone { serial, ns, .. } = &**zone;
    let times = format!("{} {} {} {}", soa.refresh, soa.retry, soa.expire, soa.minimum);
    writeln!(content, "@ IN SOA {} {} {serial} {times}", soa.mname, soa.rname).expect("a String takes all");
    for server in ns {
        writeln!(content, "@ IN NS {server}").expect("a String takes all");
    }
    names.values().for_each(|block| content.push_str(block));
    let hash = base16::encode_string(&Sha256::digest(content.as_bytes())).to_ascii_lowercase();
    let header = format!(
        "; Zone {}, serial {serial}, version {}.\n; SHA-256 of everything below the empty line: {hash}\n\n",
        zone.fqdn, model.revision
    );
    Some(header + content.as_str())
}

/// The zone, its record sets and the policies of its names as JSON, in the form of the model's document.
pub fn export_json(model: &Model, id: &Id<Zone>) -> Option<Value> {
    let zone = model.entity(Kind::Zones, id.as_str())?;
    let first = RecordKey { zone: id.clone(), name: Name::root(), rtype: RecordType(0) };
    let keys = model.records.range(first..).map(|(key, _)| key).take_while(|key| key.zone == *id);
    let records: Vec<Value> = keys.filter_map(|key| model.entity(Kind::Records, &model.record_id(key)?)).collect();
    let attached = model.policies.iter().filter(|(_, policy)| policy.attach.iter().any(|attach| attach.zone == *id));
    let policies: Map<String, Value> =
        attached.filter_map(|(id, _)| Some((id.to_string(), model.entity(Kind::Policies, id.as_str())?))).collect();
    let zones = json!({ id.as_str(): zone });
    Some(json!({"revision": model.revision, "zones": zones, "records": records, "policies": policies}))
}

pub(super) fn lines(
    zone: &Zone,
    prefix: &str,
    name: &Name,
    ttl: Option<u32>,
    rtype: RecordType,
    values: &[Rdata],
) -> String {
    let owner = name.relative_to(&zone.fqdn);
    let ttl = ttl.map(|ttl| format!(" {ttl}")).unwrap_or_default();
    let mut lines = String::new();
    for value in values {
        let data = value.present(rtype);
        writeln!(lines, "{prefix}{owner}{ttl} IN {rtype} {data}").expect("a String takes all");
    }
    lines
}

/// Comment lines; what people typed cannot leave them.
fn explain(id: &Id<Policy>, policy: &Policy, name: &Name, rtype: RecordType) -> String {
    let mut lines = vec![format!("{name} {rtype} is steered by policy {id}:")];
    lines.extend(sentence::policy(policy).into_iter().map(|sentence| format!("  {sentence}")));
    lines.push("What everyone else gets at the moment:".to_owned());
    lines.iter().map(|line| format!("; {}\n", line.replace(char::is_control, " "))).collect()
}
