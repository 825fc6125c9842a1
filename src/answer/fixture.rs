//! Small worlds for tests: zones from text, pools and policies from a line each.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Answer, Client, Entropy, Question, Set, Snapshot, Subnet, answer};
use crate::geo;
use crate::health::{EndpointState, Family, HealthTable, PoolState};
use crate::model::{
    Admin, Attach, Choose, Endpoint, HealthyWhen, LastResort, Locate, Member, Meta, Model, Name, Policy, Pool, Rdata,
    RecordSet, RecordType, Recovery, Region, Rule, Serve, Shed, Soa, Step, StepPool, Sticky, Tolerance, Zone,
};

pub const NOW_MS: u64 = 1_800_000_000_000;

#[derive(Default)]
pub struct World {
    pub model: Model,
    pub health: HealthTable,
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn meta(id: &str) -> Meta {
    Meta { id: id.into(), name: String::new(), note: String::new(), tags: Vec::new(), rev: 1 }
}

/// A zone's id is its apex with dashes.
pub fn zone_id(apex: &str) -> String {
    if apex == "." { "root".into() } else { apex.trim_end_matches('.').replace('.', "-") }
}

impl World {
    /// TTL 300, negative TTL 60, served by ns1 and ns2 below the apex.
    pub fn zone(&mut self, apex: &str) -> &mut Self {
        let fqdn = name(apex);
        let server = |label: &str| Name::parse(label, Some(&fqdn)).unwrap();
        let soa = Soa {
            mname: server("ns1"),
            rname: server("hostmaster"),
            refresh: 3600,
            retry: 600,
            expire: 1_209_600,
            minimum: 60,
        };
        let id = zone_id(apex);
        let ns = vec![server("ns1"), server("ns2")];
        let zone = Zone { meta: meta(&id), fqdn, soa, default_ttl: 300, ns, serial: 7 };
        self.model.zones.insert(id.parse().unwrap(), Arc::new(zone));
        self
    }

    /// Records of a zone, one `name type value` a line; relative names are below the apex.
    pub fn records(&mut self, apex: &str, lines: &str) -> &mut Self {
        let origin = name(apex);
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let [owner, rtype, value] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let owner = Name::parse(owner, Some(&origin)).unwrap();
            let rtype: RecordType = rtype.parse().unwrap();
            self.record(apex, owner, rtype, Rdata::parse(rtype, value, Some(&origin)).unwrap());
        }
        self
    }

    pub fn record(&mut self, apex: &str, name: Name, rtype: RecordType, value: Rdata) {
        let set = RecordSet {
            meta: meta(""),
            zone: zone_id(apex).parse().unwrap(),
            name,
            rtype,
            ttl: None,
            values: vec![value],
            enabled: true,
        };
        // In a real model the serial moves with the record set, which makes another zone of it.
        let zone = self.model.zones.get_mut(&set.zone).unwrap();
        *zone = Arc::new(Zone::clone(zone));
        let known = self.model.records.entry(set.key());
        known.and_modify(|known| Arc::make_mut(known).values.extend(set.values.clone())).or_insert(Arc::new(set));
    }

    pub fn region(&mut self, id: &str, tokens: &[&str]) -> &mut Self {
        let include = tokens.iter().map(|token| token.parse().unwrap()).collect();
        self.model
            .regions
            .insert(id.parse().unwrap(), Arc::new(Region { meta: meta(id), include, except: Vec::new() }));
        self
    }

    pub fn endpoint(&mut self, id: &str, addresses: &[&str]) -> &mut Self {
        let mut endpoint = Endpoint {
            meta: meta(id),
            ipv4: None,
            ipv6: None,
            cname: None,
            serve: Serve::Auto,
            country: None,
            monitors: Vec::new(),
            depends_on: Vec::new(),
        };
        for text in addresses {
            match text.parse() {
                Ok(IpAddr::V4(address)) => endpoint.ipv4 = Some(address),
                Ok(IpAddr::V6(address)) => endpoint.ipv6 = Some(address),
                Err(_) => endpoint.cname = Some(name(text)),
            }
        }
        self.model.endpoints.insert(id.parse().unwrap(), Arc::new(endpoint));
        self
    }

    /// A pool of endpoints that exist, each of weight 100 and priority 1.
    pub fn pool(&mut self, id: &str, endpoints: &[&str]) -> &mut Self {
        let members = endpoints.iter().map(|endpoint| Member {
            endpoint: endpoint.parse().unwrap(),
            weight: 100,
            priority: 1,
            enabled: true,
        });
        let pool = Pool {
            meta: meta(id),
            admin: Admin::On,
            country: None,
            lat: None,
            lon: None,
            members: members.collect(),
            healthy_when: HealthyWhen::AtLeast(1),
            recovery: Recovery::Auto,
            ramp: 0,
            monitors: Vec::new(),
            shed: Shed::default(),
            answers: None,
            colour: 1,
        };
        self.model.pools.insert(id.parse().unwrap(), Arc::new(pool));
        self
    }

    /// Pools of one endpoint each, of the pool's name, with 192.0.2.n and 2001:db8::n.
    pub fn pools(&mut self, ids: &[&str]) -> &mut Self {
        for (n, id) in ids.iter().enumerate() {
            self.endpoint(id, &[&format!("192.0.2.{}", n + 1), &format!("2001:db8::{}", n + 1)]).pool(id, &[id]);
        }
        self
    }

    /// A policy for A and AAAA of one name in the first zone; see `rule`.
    pub fn policy(&mut self, id: &str, owner: &str, rules: Vec<Rule>) -> &mut Policy {
        let zone = self.model.zones.keys().next().unwrap().clone();
        let attach = Attach { zone, name: name(owner), types: vec![RecordType::A, RecordType::AAAA] };
        let policy = Policy {
            meta: meta(id),
            enabled: true,
            attach: vec![attach],
            ttl: 30,
            failure_ttl: 10,
            answers: 1,
            locate: Locate::EcsThenResolver,
            sticky: Sticky::None,
            rules,
        };
        self.model.policies.insert(id.parse().unwrap(), Arc::new(policy));
        Arc::make_mut(self.model.policies.get_mut(&id.parse().unwrap()).unwrap())
    }

    pub fn edit_policy(&mut self, id: &str) -> &mut Policy {
        Arc::make_mut(self.model.policies.get_mut(&id.parse().unwrap()).unwrap())
    }

    pub fn edit_pool(&mut self, id: &str) -> &mut Pool {
        Arc::make_mut(self.model.pools.get_mut(&id.parse().unwrap()).unwrap())
    }

    pub fn edit_endpoint(&mut self, id: &str) -> &mut Endpoint {
        Arc::make_mut(self.model.endpoints.get_mut(&id.parse().unwrap()).unwrap())
    }

    pub fn pool_is(&mut self, id: &str, state: PoolState) -> &mut Self {
        Arc::make_mut(self.health.pools.entry(id.parse().unwrap()).or_default()).state = state;
        self
    }

    pub fn load(&mut self, id: &str, load: f64) -> &mut Self {
        Arc::make_mut(self.health.pools.entry(id.parse().unwrap()).or_default()).load = Some(load);
        self
    }

    /// Both families of an endpoint.
    pub fn endpoint_is(&mut self, id: &str, state: EndpointState) -> &mut Self {
        let families = &mut Arc::make_mut(self.health.endpoints.entry(id.parse().unwrap()).or_default()).families;
        for family in [Family::Ipv4, Family::Ipv6, Family::Name] {
            families.entry(family).or_default().state = state;
        }
        self
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot::compile(&Arc::new(self.model.clone()), &Arc::new(geo::Base::empty()), &self.health, None)
    }
}

/// `rule(regions, steps, last resort)`; a step is `choose pool=weight pool=weight! …`, `!` for a canary.
pub fn rule(regions: &[&str], steps: &[&str], last_resort: &str) -> Rule {
    Rule {
        name: regions.first().map_or("everyone else", |id| id).to_owned(),
        enabled: true,
        regions: regions.iter().map(|id| id.parse().unwrap()).collect(),
        except_regions: Vec::new(),
        steps: steps.iter().map(|text| step(text)).collect(),
        last_resort: last_resort.parse::<LastResort>().unwrap(),
        residency_lock: None,
    }
}

fn step(text: &str) -> Step {
    let mut words = text.split(' ');
    let choose = match words.next().unwrap() {
        "weighted" => Choose::Weighted,
        "nearest" => Choose::Nearest,
        "fastest" => Choose::Fastest,
        other => panic!("{other}"),
    };
    let pools = words.map(|word| {
        let (pool, weight) = word.trim_end_matches('!').split_once('=').unwrap();
        StepPool { pool: pool.parse().unwrap(), weight: weight.parse().unwrap(), canary: word.ends_with('!'), bias: 0 }
    });
    Step { pools: pools.collect(), choose, tolerance: Tolerance::default() }
}

pub fn client(subnet: Option<(&str, u8)>) -> Client {
    let subnet = subnet.map(|(address, source)| Subnet { address: address.parse().unwrap(), source });
    Client { resolver: "198.51.100.53".parse().unwrap(), subnet }
}

pub fn ask<'s>(snapshot: &'s Snapshot, owner: &str, rtype: RecordType) -> Answer<'s> {
    ask_from(snapshot, owner, rtype, &client(None), &mut Entropy::new(1))
}

pub fn ask_from<'s>(
    snapshot: &'s Snapshot,
    owner: &str,
    rtype: RecordType,
    client: &Client,
    entropy: &mut Entropy,
) -> Answer<'s> {
    let owner = name(owner);
    answer(snapshot, &Question { name: owner.as_wire(), rtype }, client, NOW_MS, entropy)
}

/// An answer in one line: `NOERROR aa | www.example.test. 300 A 192.0.2.1 | authority | additional`.
pub fn line(answer: &Answer) -> String {
    let rcode = format!("{:?}", answer.rcode).to_uppercase();
    let flags = if answer.authoritative { "aa" } else { "-" };
    let section = |sets: &[Set]| sets.iter().map(set_line).collect::<Vec<_>>().join(", ");
    let mut line = format!("{rcode} {flags}");
    for sets in [&answer.answer, &answer.authority, &answer.additional] {
        line = format!("{line} | {}", section(sets)).trim_end().to_owned();
    }
    line.trim_end_matches([' ', '|']).to_owned()
}

fn set_line(set: &Set) -> String {
    let owner = match set.owner {
        super::Owner::Question => "?".to_owned(),
        super::Owner::Name(wire) => Name::from_wire(wire).unwrap().to_string(),
    };
    let values: Vec<String> = set.data.iter().map(|data| Rdata::from_wire(data).present(set.rtype)).collect();
    format!("{owner} {} {} {}", set.ttl, set.rtype, values.join(" & "))
}
