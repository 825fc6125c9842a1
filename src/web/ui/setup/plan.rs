//! What the first run is about to configure, read from the draft and written back to it: the draft is the only
//! place where the steps keep anything, so that whoever leaves comes back to the same point. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::control::draft::Draft;
use crate::model::{Check, Continent, Country, Edit, FieldError, Kind, Model, Name, Table, beside_pages, builtin};

/// In a zone's note, before the name that the first run is about.
const NOTE: &str = "Made in the first run for ";
/// The id of the health check.
const MONITOR: &str = "first-check";
/// The note of a health check that is taken because it worked, and is looked for again with other servers.
const TRIED: &str = "Chosen in the first run by trying.";
/// The most servers of a first run.
pub const MAX_SERVERS: usize = 64;
/// The most steps of a rule.
const MAX_STEPS: usize = 8;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// The name that is steered.
    pub name: Option<Name>,
    /// The new zone: the name itself, or its parent.
    pub zone: Option<Name>,
    pub ns: Vec<NameServer>,
    pub servers: Vec<Server>,
    pub check: Option<Asked>,
    /// Nobody chose the check: it is what worked best.
    pub is_tried: bool,
    /// Each pool with the region whose clients it gets first, in the order of the servers.
    pub pools: Vec<(String, Option<String>)>,
    /// The pool of everyone else.
    pub everyone: Option<String>,
}

/// A name server of the new zone.
#[derive(Debug, Clone, PartialEq)]
pub struct NameServer {
    pub name: Name,
    /// Where the parent zone must know it, because the name lies in the new zone.
    pub glue: Option<IpAddr>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// The id of its pool.
    pub pool: String,
    pub address: IpAddr,
    pub country: Option<Country>,
}

/// What servers are asked to know that they live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub how: How,
    pub port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Https,
    Http,
    Tcp,
}

impl How {
    /// The first that works is taken.
    pub const ALL: [How; 3] = [How::Https, How::Http, How::Tcp];

    pub fn word(self) -> &'static str {
        match self {
            How::Https => "HTTPS",
            How::Http => "HTTP",
            How::Tcp => "TCP",
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            How::Https => "https",
            How::Http => "http",
            How::Tcp => "tcp",
        }
    }

    pub fn usual_port(self) -> u16 {
        if self == How::Http { 80 } else { 443 }
    }
}

impl Asked {
    /// As the API has monitors. A redirect is an answer too.
    pub fn monitor(self, name: &Name) -> Value {
        let Asked { how, port } = self;
        let host = name.to_string();
        let host = host.trim_end_matches('.');
        match how {
            How::Tcp => json!({ "name": format!("TCP {port}"), "type": "tcp", "port": port }),
            How::Http | How::Https => json!({
                "name": format!("{} /", how.word()), "type": how.code(), "port": port, "path": "/", "host": host,
                "expect_status": "200-399",
            }),
        }
    }
}

impl Plan {
    /// What the draft already says. `model` is the drafted one.
    pub fn read(draft: &Draft, model: &Model) -> Plan {
        let made = |kind| {
            let of_kind = draft.edits.iter().filter(move |drafted| drafted.kind == kind && drafted.before.is_none());
            of_kind.filter(|drafted| drafted.value.is_some()).map(|drafted| drafted.id.clone())
        };
        let zone = made(Kind::Zones).find_map(|id| of(&model.zones, &id));
        let Some(zone) = zone else { return Plan::default() };
        let name = zone.meta.note.strip_prefix(NOTE).and_then(|name| name.parse().ok());
        let ns = zone.ns.iter().map(|name| NameServer { name: name.clone(), glue: glue(model, name) });
        let pools: Vec<String> = made(Kind::Pools).collect();
        let pool_of = |endpoint: &str| {
            let holds = |id: &&String| {
                let pool = of(&model.pools, id);
                pool.is_some_and(|pool| pool.members.iter().any(|member| member.endpoint.as_str() == endpoint))
            };
            pools.iter().find(holds).cloned()
        };
        let server = |id: String| {
            let endpoint = of(&model.endpoints, &id)?;
            let address = endpoint.ipv4.map(IpAddr::from).or(endpoint.ipv6.map(IpAddr::from))?;
            Some(Server { pool: pool_of(&id)?, address, country: endpoint.country })
        };
        let policy = made(Kind::Policies).find_map(|id| of(&model.policies, &id));
        let first_pool = |rule: &crate::model::Rule| Some(rule.steps.first()?.pools.first()?.pool.to_string());
        let mut regions = BTreeMap::new();
        for rule in policy.iter().flat_map(|policy| &policy.rules) {
            if let (Some(region), Some(pool)) = (rule.regions.first(), first_pool(rule)) {
                regions.insert(pool, region.to_string());
            }
        }
        Plan {
            name: Some(name.unwrap_or_else(|| zone.fqdn.clone())),
            zone: Some(zone.fqdn.clone()),
            ns: ns.collect(),
            servers: made(Kind::Endpoints).filter_map(server).collect(),
            check: made(Kind::Monitors).find_map(|id| asked(&of(&model.monitors, &id)?.check)),
            is_tried: made(Kind::Monitors)
                .any(|id| of(&model.monitors, &id).is_some_and(|known| known.meta.note == TRIED)),
            pools: pools.iter().map(|id| (id.clone(), regions.get(id).cloned())).collect(),
            everyone: policy.and_then(|policy| first_pool(policy.rules.last()?)),
        }
    }

    /// Takes other servers: pools keep their regions where they stay, new ones get `guess` of their first server.
    pub fn take_servers(&mut self, servers: Vec<Server>, guess: impl Fn(&Server) -> Option<String>) {
        let known: BTreeMap<String, Option<String>> = std::mem::take(&mut self.pools).into_iter().collect();
        let mut used: Vec<String> = Vec::new();
        for server in &servers {
            if self.pools.iter().any(|(pool, _)| *pool == server.pool) {
                continue;
            }
            let region = known.get(&server.pool).cloned().unwrap_or_else(|| guess(server));
            let region = region.filter(|region| !used.contains(region));
            used.extend(region.clone());
            self.pools.push((server.pool.clone(), region));
        }
        let stays = |pool: &String| self.pools.iter().any(|(known, _)| known == pool);
        // Everyone else goes to the last one, so that each of two has something to do.
        self.everyone = self.everyone.take().filter(stays).or_else(|| Some(self.pools.last()?.0.clone()));
        self.servers = servers;
    }

    /// Everything as edits; those that `before` had and this has not are taken back.
    pub fn edits(&self, before: &Plan) -> Vec<Edit> {
        let new = self.entities();
        let gone = before.entities().into_iter().filter(|old| !new.iter().any(|new| new.0 == old.0 && new.1 == old.1));
        let mut edits: Vec<Edit> = gone.map(|(kind, id, _)| Edit { kind, id, value: None }).collect();
        edits.extend(new.into_iter().map(|(kind, id, value)| Edit { kind, id, value: Some(value) }));
        edits
    }

    /// What of it is there already, as errors; nothing of somebody else's is changed here.
    pub fn taken(&self, live: &Model) -> Vec<FieldError> {
        let there = self.entities().into_iter().filter(|(kind, id, _)| live.entity(*kind, id).is_some());
        there
            .map(|(kind, id, _)| {
                let field = if kind == Kind::Zones || kind == Kind::Records { "name" } else { "servers" };
                FieldError::new(field, format!("{id} is configured here already"), "use another name")
            })
            .collect()
    }

    fn entities(&self) -> Vec<(Kind, String, Value)> {
        let (Some(name), Some(zone)) = (&self.name, &self.zone) else { return Vec::new() };
        let mut entities = Vec::new();
        let id = slug(&name.to_string());
        let zone_id = slug(&zone.to_string());
        let ns: Vec<String> = self.ns.iter().map(|server| server.name.to_string()).collect();
        let note = format!("{NOTE}{name}");
        entities.push((Kind::Zones, zone_id.clone(), json!({ "fqdn": zone.to_string(), "ns": ns, "note": note })));
        for NameServer { name, glue } in &self.ns {
            if let Some(address) = glue.filter(|_| name.is_under(zone)) {
                let rtype = if address.is_ipv4() { "A" } else { "AAAA" };
                let owner = name.relative_to(zone);
                let set = json!({ "zone": zone_id, "name": owner, "type": rtype, "values": [address.to_string()] });
                entities.push((Kind::Records, format!("{zone_id}/{owner}/{rtype}"), set));
            }
        }
        if let Some(check) = self.check.filter(|_| !self.servers.is_empty()) {
            let mut monitor = check.monitor(name);
            if self.is_tried {
                monitor["note"] = TRIED.into();
            }
            entities.push((Kind::Monitors, MONITOR.into(), monitor));
        }
        let monitors = if self.check.is_some() { json!([{ "monitor": MONITOR }]) } else { json!([]) };
        let mut members: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for Server { pool, address, country } in &self.servers {
            let of_pool = members.entry(pool.as_str()).or_default();
            let endpoint = format!("{pool}-{}", of_pool.len() + 1);
            of_pool.push(json!({ "endpoint": endpoint }));
            let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
            let value = json!({ family: address.to_string(), "country": country.map(|code| code.to_string()) });
            entities.push((Kind::Endpoints, endpoint, value));
        }
        for (pool, _) in &self.pools {
            let country = self.servers.iter().find(|server| server.pool == *pool).and_then(|server| server.country);
            let members = members.get(pool.as_str()).cloned().unwrap_or_default();
            let country = country.map(|code| code.to_string());
            entities.push((
                Kind::Pools,
                pool.clone(),
                json!({ "country": country, "members": members, "monitors": monitors }),
            ));
        }
        if let Some(everyone) = &self.everyone {
            let types: Vec<&str> = [("A", true), ("AAAA", false)]
                .into_iter()
                .filter(|(_, v4)| self.servers.iter().any(|server| server.address.is_ipv4() == *v4))
                .map(|(rtype, _)| rtype)
                .collect();
            let attach = json!([{ "zone": zone_id, "name": name.to_string(), "types": types }]);
            let value = json!({ "attach": attach, "ttl": 30, "rules": self.rules(everyone) });
            entities.push((Kind::Policies, id, value));
        }
        entities
    }

    fn rules(&self, everyone: &str) -> Vec<Value> {
        let steps = |first: &str| -> Vec<Value> {
            let step = |pool: &str| json!({ "pools": [{ "pool": pool }] });
            self.order(first).take(MAX_STEPS).map(step).collect()
        };
        let regional = self.pools.iter().filter_map(|(pool, region)| Some((pool, region.as_ref()?)));
        let mut rules: Vec<Value> = regional
            .map(|(pool, region)| json!({ "name": title(region), "regions": [region], "steps": steps(pool) }))
            .collect();
        rules.push(json!({ "name": "Everyone else", "steps": steps(everyone) }));
        rules
    }

    /// `first`, then every other pool: each takes over for each.
    pub fn order<'p>(&'p self, first: &'p str) -> impl Iterator<Item = &'p str> {
        let others = self.pools.iter().map(|(pool, _)| pool.as_str()).filter(move |pool| *pool != first);
        std::iter::once(first).chain(others)
    }
}

fn of<'m, T>(table: &'m Table<T>, id: &str) -> Option<&'m Arc<T>> {
    table.get(&id.parse().ok()?)
}

fn glue(model: &Model, name: &Name) -> Option<IpAddr> {
    let set = model.records.values().find(|set| set.name == *name && matches!(set.rtype.0, 1 | 28))?;
    set.values.first()?.present(set.rtype).parse().ok()
}

fn asked(check: &Check) -> Option<Asked> {
    match check {
        Check::Https(check) => Some(Asked { how: How::Https, port: check.port }),
        Check::Http(check) => Some(Asked { how: How::Http, port: check.port }),
        Check::Tcp(check) => Some(Asked { how: How::Tcp, port: check.port }),
        Check::Icmp(_) | Check::Dns(_) => None,
    }
}

/// An id made of any text; never empty.
pub fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug: String = words.collect::<Vec<_>>().join("-").to_ascii_lowercase().chars().take(60).collect();
    if slug.is_empty() { "pool".into() } else { beside_pages(slug) }
}

/// What a built-in region is called.
fn title(region: &str) -> String {
    let known = region.parse().ok().and_then(|id| builtin::regions().get(&id).map(|known| known.meta.name.clone()));
    known.unwrap_or_else(|| region.to_owned())
}

/// The built-in region of a continent.
pub fn region_of(continent: Continent) -> &'static str {
    match continent {
        Continent::AF => "africa",
        Continent::AN => "antarctica",
        Continent::AS => "asia",
        Continent::EU => "europe",
        Continent::NA => "north-america",
        Continent::OC => "oceania",
        Continent::SA => "south-america",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::draft::Drafted;

    fn plan() -> Plan {
        let server =
            |pool: &str, address: &str| Server { pool: pool.into(), address: address.parse().unwrap(), country: None };
        let mut plan = Plan {
            name: "app.example.com.".parse().ok(),
            zone: "app.example.com.".parse().ok(),
            ns: vec![NameServer { name: "ns1.app.example.com.".parse().unwrap(), glue: "192.0.2.53".parse().ok() }],
            check: Some(Asked { how: How::Http, port: 80 }),
            is_tried: true,
            ..Plan::default()
        };
        let servers = vec![server("eu", "192.0.2.11"), server("us", "198.51.100.21"), server("eu", "192.0.2.12")];
        plan.take_servers(servers, |server| (server.pool == "eu").then(|| "europe".to_owned()));
        plan
    }

    /// The draft that the edits make, with the model it leads to.
    fn kept(plan: &Plan) -> (Draft, Model) {
        let edits = plan.edits(&Plan::default());
        let checked = Model::default().check(&edits).unwrap_or_else(|errors| panic!("{errors:#?}"));
        let drafted = |Edit { kind, id, value }| Drafted { kind, id, value, before: None, touched: None };
        (
            Draft { author: "a".into(), edits: edits.into_iter().map(drafted).collect(), ..Draft::default() },
            checked.model,
        )
    }

    #[test]
    fn what_is_written_to_a_draft_is_read_back() {
        let mut written = plan();
        let (draft, model) = kept(&written);
        let read = Plan::read(&draft, &model);
        // Servers come back by pool.
        written.servers.sort_by_key(|server| server.pool.clone());
        let mut sorted = read.clone();
        sorted.servers.sort_by_key(|server| server.pool.clone());
        assert_eq!(sorted, written);
    }

    #[test]
    fn each_pool_takes_over_for_each_and_everyone_gets_an_answer() {
        let (_, model) = kept(&plan());
        let policy = model.policies.values().next().unwrap();
        let pools = |rule: &crate::model::Rule| -> Vec<String> {
            rule.steps.iter().map(|step| step.pools[0].pool.to_string()).collect()
        };
        assert_eq!(policy.rules.iter().map(pools).collect::<Vec<_>>(), [["eu", "us"], ["us", "eu"]]);
        assert_eq!(of(&model.pools, "eu").unwrap().members.len(), 2);
    }

    #[test]
    fn another_name_takes_what_the_first_one_made_out_of_the_draft() {
        let before = plan();
        let after = Plan {
            name: "www.example.com.".parse().ok(),
            zone: "www.example.com.".parse().ok(),
            ns: Vec::new(),
            ..before.clone()
        };
        let edits = after.edits(&before);
        let removed: Vec<&str> =
            edits.iter().filter(|edit| edit.value.is_none()).map(|edit| edit.id.as_str()).collect();
        assert_eq!(removed, ["app-example-com", "app-example-com/ns1/A", "app-example-com"]);
    }

    #[test]
    fn any_text_becomes_an_id() {
        assert_eq!(["EU west", "app.example.com.", "…"].map(slug), ["eu-west", "app-example-com", "pool"]);
    }
}
