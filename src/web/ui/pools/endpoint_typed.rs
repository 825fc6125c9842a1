//! What was typed in the form of an endpoint: read into the edits that keep it, with what is wrong beside its fields.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::super::every;
use super::super::form::{Faults, Form};
use super::super::values::{needed, put, words};
use super::address::{Address, address};
use super::{Scene, weights};
use crate::health;
use crate::model::{Edit, Endpoint, FieldError, Id, Kind, MonitorUse, RecordType};

/// An address for the rest of a form whose address is wrong.
const STAND_IN: &str = "192.0.2.1";

/// Errors of the model, beside the fields of this form.
pub fn of_model(errors: Vec<FieldError>, id: &str, scene: &Scene) -> Faults {
    let errors = Faults::new(errors, &format!("endpoints/{id} "));
    errors.renamed(|at| member_field(at, scene.id.as_str()))
}

/// The edits with an id and an address that are right, to find out what is wrong beside them.
pub fn stand_in(scene: &Scene, read: &Read) -> (String, Vec<Edit>) {
    let is_right = read.id.parse::<Id<Endpoint>>().is_ok();
    let id = if is_right { read.id.clone() } else { every::stand_in(&scene.drafted, Kind::Endpoints) };
    let mut edits = read.edits.clone();
    for edit in &mut edits {
        let Some(value) = &mut edit.value else { continue };
        if edit.kind == Kind::Endpoints {
            edit.id.clone_from(&id);
            if read.addresses.is_empty() {
                put(value, "ipv4", STAND_IN.into());
            }
        }
        let members = value.get_mut("members").and_then(Value::as_array_mut);
        for member in members.into_iter().flatten().filter(|member| member["endpoint"] == read.id.as_str()) {
            member["endpoint"] = id.as_str().into();
        }
    }
    (id, edits)
}

/// `pools/eu members[2].weight` is this form's `weight`; an address of any kind is its `address`.
fn member_field(at: &str, pool: &str) -> Option<String> {
    if ["ipv4", "ipv6", "cname"].contains(&at) {
        return Some("address".into());
    }
    if at.starts_with("depends_on[") {
        return Some("depends_on".into());
    }
    let rest = at.strip_prefix("pools/")?.strip_prefix(pool)?.trim_start().strip_prefix("members[")?;
    rest.split_once("].").map(|(_, field)| field.to_owned())
}

/// What was typed, as far as it is right.
pub struct Read {
    pub id: String,
    pub ips: Vec<IpAddr>,
    pub addresses: Vec<health::Address>,
    pub edits: Vec<Edit>,
    pub uses: Vec<MonitorUse>,
    /// Checks are tried only where something is to be found out.
    pub is_new_address: bool,
}

pub fn read(
    scene: &Scene,
    known: Option<&Id<Endpoint>>,
    form: &Form,
    uses: Vec<MonitorUse>,
    faults: &mut Faults,
) -> Read {
    let id = known.map_or(form.text("id").to_owned(), ToString::to_string);
    let mut value =
        known.and_then(|id| scene.drafted.entity(Kind::Endpoints, id.as_str())).unwrap_or_else(|| json!({}));
    let before = value.clone();
    let typed: Vec<&str> = form.text("address").split([',', ' ']).filter(|part| !part.is_empty()).collect();
    let existing = id.parse::<Id<Endpoint>>().ok().filter(|id| scene.drafted.endpoints.contains_key(id));
    if known.is_none() {
        check_id(scene, &id, existing.is_some(), typed.is_empty(), faults);
    }
    let joins = known.is_none() && existing.is_some() && typed.is_empty();
    if typed.is_empty() && !joins {
        faults.push(FieldError::new("address", "an address is missing", "give one such as 192.0.2.10 or 2001:db8::10"));
    }
    if let Err(error) = weights::weight(form.text("weight"), "weight") {
        faults.push(error);
    }
    let mut read = Read { ips: Vec::new(), addresses: Vec::new(), edits: Vec::new(), uses, is_new_address: false, id };
    ["ipv4", "ipv6", "cname"].into_iter().for_each(|field| put(&mut value, field, Value::Null));
    for part in typed {
        let (field, text, address) = match address(part) {
            Ok(Address::Ipv4(ip)) => ("ipv4", ip.to_string(), health::Address::Ip(ip.into())),
            Ok(Address::Ipv6(ip)) => ("ipv6", ip.to_string(), health::Address::Ip(ip.into())),
            Ok(Address::Name(name)) => match name.parse() {
                Ok(parsed) => ("cname", name, health::Address::Name(parsed)),
                Err(_) => continue,
            },
            Err(error) => {
                faults.push(error);
                continue;
            }
        };
        if value.get(field).is_some() {
            faults.push(FieldError::new(
                "address",
                format!("{part} is a second {field} address"),
                "Give one of each family",
            ));
        }
        if let Some(other) = duplicate(scene, &read.id, &address) {
            faults.push(FieldError::new("address", format!("{part} is already {other} in this pool"), ""));
        }
        put(&mut value, field, text.into());
        if let health::Address::Ip(ip) = &address {
            read.ips.push(*ip);
        }
        read.addresses.push(address);
    }
    if let Some(fault) = family_fault(scene, &read) {
        faults.push(fault);
    }
    put(&mut value, "serve", words(form.text("serve")));
    put(&mut value, "country", words(form.text("country")));
    put(&mut value, "monitors", json!(read.uses));
    let depends: Vec<&str> = form.text("depends_on").split([',', ' ']).filter(|part| !part.is_empty()).collect();
    put(&mut value, "depends_on", json!(depends));
    let same = ["ipv4", "ipv6", "cname", "monitors"].into_iter().all(|field| before.get(field) == value.get(field));
    read.is_new_address = !same && !joins;
    if !joins {
        read.edits.push(Edit { kind: Kind::Endpoints, id: read.id.clone(), value: Some(value) });
    }
    read.edits.push(Edit {
        kind: Kind::Pools,
        id: scene.id.to_string(),
        value: Some(with_member(scene, &read.id, form)),
    });
    read
}

fn check_id(scene: &Scene, id: &str, exists: bool, is_bare: bool, faults: &mut Faults) {
    if let Err(error) = id.parse::<Id<Endpoint>>() {
        faults.push(FieldError::told("id", &error));
    } else if scene.pool.members.iter().any(|member| member.endpoint.as_str() == id) {
        faults.push(FieldError::new("id", format!("{id} is in this pool already"), "choose another label"));
    } else if exists && !is_bare {
        let remedy = "leave the address empty to use it here as well, or choose another label";
        faults.push(FieldError::new("id", format!("there is an endpoint {id} already"), remedy));
    }
}

/// The pool with this endpoint as a member.
fn with_member(scene: &Scene, id: &str, form: &Form) -> Value {
    let mut pool = scene.value();
    let mut fields = json!({ "endpoint": id, "enabled": form.has("enabled") });
    put(&mut fields, "weight", needed(form.text("weight")));
    put(&mut fields, "priority", needed(form.text("priority")));
    if let Some(members) = pool.get_mut("members").and_then(Value::as_array_mut) {
        match members.iter_mut().find(|member| member.get("endpoint").and_then(Value::as_str) == Some(id)) {
            Some(member) => *member = fields,
            None => members.push(fields),
        }
    }
    pool
}

fn duplicate(scene: &Scene, id: &str, address: &health::Address) -> Option<String> {
    use health::Family::{Ipv4, Ipv6, Name};
    let others = scene.pool.members.iter().map(|member| &member.endpoint).filter(|other| other.as_str() != id);
    let has = |other: &&Id<Endpoint>| {
        let endpoint = scene.drafted.endpoints.get(*other);
        endpoint.is_some_and(|endpoint| {
            [Ipv4, Ipv6, Name].into_iter().any(|family| health::Address::of(endpoint, family).as_ref() == Some(address))
        })
    };
    others.into_iter().find(has).map(ToString::to_string)
}

/// An IPv6 address in a pool that no name is asked AAAA of would never be answered.
fn family_fault(scene: &Scene, read: &Read) -> Option<FieldError> {
    let only_v6 =
        !read.addresses.is_empty() && read.ips.iter().all(IpAddr::is_ipv6) && read.ips.len() == read.addresses.len();
    let only_v4 =
        !read.addresses.is_empty() && read.ips.iter().all(IpAddr::is_ipv4) && read.ips.len() == read.addresses.len();
    let uses = super::uses(&scene.drafted);
    let types: Vec<RecordType> = super::policies(&scene.drafted, uses.get(&scene.id).map_or(&[][..], Vec::as_slice))
        .iter()
        .flat_map(|(_, policy)| policy.attach.iter().flat_map(|attach| attach.types.clone()))
        .collect();
    let only = |rtype: RecordType| !types.is_empty() && types.iter().all(|known| *known == rtype);
    let id = &read.id;
    if only_v6 && only(RecordType::A) {
        let problem = format!("{id} is IPv6 but this pool answers A queries only");
        return Some(FieldError::new("address", problem, "Add it to an AAAA pool or turn on AAAA here"));
    }
    if only_v4 && only(RecordType::AAAA) {
        let problem = format!("{id} is IPv4 but this pool answers AAAA queries only");
        return Some(FieldError::new("address", problem, "Add it to an A pool or turn on A here"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_pool_stand_beside_the_fields_of_this_form() {
        assert_eq!(member_field("pools/eu members[2].weight", "eu").as_deref(), Some("weight"));
        assert_eq!(member_field("ipv6", "eu").as_deref(), Some("address"));
        assert_eq!(member_field("pools/us members[2].weight", "eu"), None);
    }
}
