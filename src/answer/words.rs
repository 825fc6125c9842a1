//! The sentences of an explanation.

use super::Client;
use super::explain::{ClientSource, PoolTrace, RuleReason, RuleVerdict, SteeringTrace, Trace};
use super::live::{Data, Kind, LivePool, Server};
use super::locate::{By, Located};
use super::trace::{Kept, Standing};
use crate::health::{EndpointState, PoolState};
use crate::model::{Id, Name, Region};
use std::net::{Ipv4Addr, Ipv6Addr};

pub fn sentences(trace: &Trace) -> Vec<String> {
    let Some(zone) = &trace.zone else {
        return vec![format!("No zone here holds {}, so the answer is {}.", trace.name, trace.rcode)];
    };
    let Some(steering) = &trace.steering else {
        return vec![format!("Zone {zone} answers for {}: {}", trace.name, fixed(trace))];
    };
    let mut said = vec![format!(
        "Zone {zone} answers for {}, and policy {} decides on {} there.",
        trace.name, steering.policy, trace.rtype
    )];
    said.push(client(steering));
    for (number, rule) in steering.rules.iter().enumerate() {
        let verdict = match rule.verdict {
            RuleVerdict::NotReached => continue,
            RuleVerdict::Matches => "matches",
            RuleVerdict::PassedOver | RuleVerdict::Disabled => "is passed over",
        };
        said.push(format!("Rule {} “{}” {verdict}: {}.", number + 1, rule.name, rule.reason));
    }
    for (number, step) in steering.steps.iter().enumerate() {
        let pools: Vec<String> = step.pools.iter().map(pool).collect();
        let choose = format!("{:?}", step.choose).to_lowercase();
        said.push(format!("Step {}, {choose}: {}.", number + 1, pools.join(", ")));
    }
    said.push(choice(steering));
    if trace.answer.is_empty() && trace.rcode == "NOERROR" {
        said.push(format!("There is no {} to answer, so the answer is empty.", trace.rtype));
    }
    if let (Some(ttl), Some(reason)) = (steering.ttl, &steering.ttl_reason) {
        said.push(format!("The TTL is {ttl} s: {reason}."));
    }
    if steering.client.source == ClientSource::Ecs {
        let address = steering.client.address.split('/').next().unwrap_or_default();
        said.push(match network(address, trace.scope) {
            Some(network) if trace.scope > 0 => format!("The answer holds for {network}."),
            _ => "The answer holds for everyone.".to_owned(),
        });
    }
    said
}

fn fixed(trace: &Trace) -> String {
    match (trace.rcode.as_str(), trace.answer.first()) {
        ("NXDOMAIN", _) => "There is no such name.".to_owned(),
        ("NOERROR", _) if !trace.authoritative => "The name is delegated to other servers.".to_owned(),
        ("NOERROR", None) => format!("The name has no {} records.", trace.rtype),
        ("NOERROR", Some(_)) => "Its records are fixed: everyone gets the same.".to_owned(),
        (rcode, _) => format!("The type {} is not answered: {rcode}.", trace.rtype),
    }
}

fn client(steering: &SteeringTrace) -> String {
    let client = &steering.client;
    let mut parts: Vec<String> = client.country.iter().chain(&client.continent).cloned().collect();
    parts.extend(client.subdivisions.iter().chain(&client.city).cloned());
    parts.extend(client.asn.map(|asn| format!("AS{asn}")));
    let place = if parts.is_empty() { "place unknown".to_owned() } else { parts.join(", ") };
    format!("The client is placed by {}: {place}.", client.source_reason)
}

fn pool(pool: &PoolTrace) -> String {
    let may = match pool.standing {
        Standing::Kept => "may answer",
        Standing::NotReached => "was not asked",
        Standing::NoWeight | Standing::NotServing | Standing::CanaryAlone | Standing::Shed => "does not answer",
    };
    let canary = if pool.canary { ", canary" } else { "" };
    let odds = match (pool.standing, pool.odds) {
        (Standing::Kept | Standing::NotReached, Some(odds)) => format!("; odds {} %", (odds * 1000.0).round() / 10.0),
        _ => String::new(),
    };
    format!("{} {may} ({}{canary}{odds})", pool.pool, pool.reason)
}

fn choice(steering: &SteeringTrace) -> String {
    let choice = &steering.choice;
    match (&choice.pool, choice.step) {
        (Some(pool), Some(step)) => format!("Pool {pool} answers, in step {step}: {}.", choice.reason),
        (Some(pool), None) => format!("Pool {pool} answers: {}.", choice.reason),
        (None, _) => format!("No pool answers: {}.", choice.reason),
    }
}

pub fn source_reason(located: &Located, client: &Client) -> String {
    match (located.by, client.subnet) {
        (By::Subnet { source }, _) => format!("its subnet {}/{source}", located.address),
        (By::PrivateSubnet { .. }, _) => {
            format!("the resolver {}, as the client subnet is private", located.address)
        }
        (By::Resolver, None) => format!("the resolver {}, as the query has no client subnet", located.address),
        (By::Resolver, Some(subnet)) if subnet.source == 0 => {
            format!("the resolver {}, as the query asks not to use the client subnet", located.address)
        }
        (By::Resolver, Some(_)) => format!("the resolver {}, as the policy wants", located.address),
    }
}

pub fn rule_reason(because: &RuleReason) -> String {
    let all = |regions: &[Id<Region>]| regions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match because {
        RuleReason::Disabled => "it is switched off".to_owned(),
        RuleReason::NotReached => "a rule before it matches".to_owned(),
        RuleReason::Everyone => "it takes everyone".to_owned(),
        RuleReason::In(region) => format!("the client is in {region}"),
        RuleReason::MostlyIn(regions) => format!("most of the client's prefix is in {}", all(regions)),
        RuleReason::InNone(regions) => format!("the client is in none of {}", all(regions)),
        RuleReason::InExcepted(region) => format!("the client is in {region}, which it leaves out"),
        RuleReason::PartlyIn(region) => format!("only a smaller part of the client's prefix is in {region}"),
    }
}

pub fn pool_reason(pool: &LivePool, kind: Kind, standing: Standing) -> String {
    let state = match pool.state {
        PoolState::Off => "off",
        PoolState::Drain => "draining",
        PoolState::Down => "down",
        PoolState::Held => "held until its return is due or approved",
        PoolState::Ok => "ok",
    };
    let state = if pool.reason.is_empty() { state.to_owned() } else { format!("{state}: {}", pool.reason) };
    match standing {
        Standing::NoWeight => "weight 0".to_owned(),
        Standing::CanaryAlone => "a canary answers only beside a healthy pool".to_owned(),
        Standing::Shed => format!("leaves {} % to the next pools, this client among them", percent(pool.sheds)),
        Standing::NotServing if pool.state == PoolState::Ok && !pool.is_usable(kind) => {
            format!("{state}, but none of its servers can be answered")
        }
        Standing::Kept | Standing::NotServing | Standing::NotReached => state,
    }
}

fn percent(share: f64) -> f64 {
    (share * 1000.0).round() / 10.0
}

pub fn server_reason(server: &Server) -> String {
    let state = match server.state {
        _ if !server.in_service => "out of service: disabled, weight 0, or set to serve never",
        EndpointState::Up => "up",
        EndpointState::Unknown => "not checked yet",
        EndpointState::Down => "down",
    };
    if server.reason.is_empty() { state.to_owned() } else { format!("{state}: {}", server.reason) }
}

pub fn ttl_reason(why: Kept, policy_ttl: u32, now_ms: u64) -> String {
    match why {
        Kept::Failing => "what the policy sets for failures, as this is the last resort".to_owned(),
        Kept::UntilChange(at_ms) if at_ms < now_ms.saturating_add(u64::from(policy_ttl) * 1000) => {
            format!("health could change the answer in {} s", at_ms.saturating_sub(now_ms).div_ceil(1000))
        }
        Kept::UntilChange(_) | Kept::AsSet => "what the policy sets".to_owned(),
    }
}

pub fn address(data: &Data) -> String {
    match data {
        Data::Ipv4(octets) => Ipv4Addr::from(*octets).to_string(),
        Data::Ipv6(octets) => Ipv6Addr::from(*octets).to_string(),
        Data::Name(name) => name.to_string(),
    }
}

/// A wire-form name as people write it.
pub fn name(wire: &[u8]) -> String {
    Name::from_wire(wire).map_or_else(|| "what is not a name".to_owned(), |name| name.to_string())
}

fn network(address: &str, length: u8) -> Option<String> {
    let network = ipnet::IpNet::new(address.parse().ok()?, length).ok()?;
    Some(network.trunc().to_string())
}
