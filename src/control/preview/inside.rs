//! How the answers of each pool are shared out among its endpoints, before a change and after it, where the two differ.
//! By the code that answers. A last resort that ignores health is left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::answer::{Pass, shares};
use crate::health::{Family, HealthTable};
use crate::model::{Endpoint, Id, Model, Pool, RecordType};

use super::EndpointShare;

/// Endpoints that are named in one line of text; the rest are counted.
const MAX_NAMED: usize = 5;
/// Differences below this are rounding.
const NOTHING: f64 = 1e-9;

/// Which of the two worlds.
#[derive(Clone, Copy, PartialEq)]
pub enum Side {
    Before,
    After,
}

/// Pools whose endpoints are answered otherwise than before, however much the pool itself is.
#[derive(Default)]
pub struct Inside(BTreeMap<Id<Pool>, Vec<Server>>);

/// One endpoint in one family: its address and its part of the pool's answers, in both worlds.
struct Server {
    endpoint: Id<Endpoint>,
    family: Family,
    was: Option<(String, f64)>,
    is: Option<(String, f64)>,
}

impl Server {
    fn part(&self, side: Side) -> f64 {
        let found = if side == Side::Before { &self.was } else { &self.is };
        found.as_ref().map_or(0.0, |(_, part)| *part)
    }

    fn address(&self, side: Side) -> Option<&str> {
        let found = if side == Side::Before { &self.was } else { &self.is };
        found.as_ref().map(|(address, _)| address.as_str())
    }

    fn has_moved(&self) -> bool {
        self.address(Side::Before).zip(self.address(Side::After)).is_some_and(|(was, is)| was != is)
    }

    /// The part whose clients get the same address as before.
    fn kept(&self) -> f64 {
        if self.has_moved() { 0.0 } else { self.part(Side::Before).min(self.part(Side::After)) }
    }
}

impl Inside {
    pub fn of(before: (&Model, &HealthTable), after: (&Model, &HealthTable)) -> Inside {
        let mut found = BTreeMap::new();
        for (id, is) in &after.0.pools {
            let Some(was) = before.0.pools.get(id) else { continue };
            if same((before, was), (after, is)) {
                continue;
            }
            let servers = servers(id, (before, was), (after, is));
            let differs = |server: &Server| {
                server.has_moved() || (server.part(Side::Before) - server.part(Side::After)).abs() > NOTHING
            };
            if servers.iter().any(differs) {
                found.insert(id.clone(), servers);
            }
        }
        Inside(found)
    }

    fn servers(&self, pool: &Id<Pool>, types: &[RecordType]) -> impl Iterator<Item = &Server> {
        let of_types = |server: &&Server| types.contains(&rtype(server.family));
        self.0.get(pool).into_iter().flatten().filter(of_types)
    }

    /// The part of a pool's own answers that is of another address than before: of the family that changes most.
    pub fn moved(&self, pool: &Id<Pool>, types: &[RecordType]) -> f64 {
        let of = |family: Family| {
            let servers: Vec<&Server> = self.servers(pool, types).filter(|server| server.family == family).collect();
            let total = |side| servers.iter().map(|server| server.part(side)).sum::<f64>();
            // A family of which nobody is answered has no answers that could move.
            let has_both = total(Side::Before) > NOTHING && total(Side::After) > NOTHING;
            if has_both { 1.0 - servers.iter().map(|server| server.kept()).sum::<f64>() } else { 0.0 }
        };
        [Family::Ipv4, Family::Ipv6, Family::Name].into_iter().map(of).fold(0.0, f64::max)
    }

    /// What each endpoint gives of a name's answers when its pool gives `now` and then `after` of them.
    pub fn rows(&self, pool: &Id<Pool>, types: &[RecordType], (now, after): (f64, f64)) -> Vec<EndpointShare> {
        let mut rows: Vec<EndpointShare> = Vec::new();
        for server in self.servers(pool, types) {
            let (is_now, is_then) = (now * server.part(Side::Before), after * server.part(Side::After));
            let moves = || Some((server.address(Side::Before)?.to_owned(), server.address(Side::After)?.to_owned()));
            let moves = if server.has_moved() { moves() } else { None };
            // The families of one endpoint are one row.
            match rows.iter_mut().find(|row| row.endpoint == server.endpoint.as_str()) {
                Some(row) => {
                    (row.now, row.after) = (row.now.max(is_now), row.after.max(is_then));
                    row.address = row.address.take().or(moves);
                }
                None => rows.push(EndpointShare {
                    endpoint: server.endpoint.to_string(),
                    address: moves,
                    now: is_now,
                    after: is_then,
                }),
            }
        }
        rows
    }

    /// e.g. `eu-1 10 %; eu-2 at 192.0.2.7 90 %`; `None` for a pool that is the same inside.
    pub fn said(&self, pool: &Id<Pool>, types: &[RecordType], side: Side) -> Option<String> {
        let first = self.servers(pool, types).next()?.family;
        let of_side = |server: &&Server| server.family == first && server.address(side).is_some();
        let servers: Vec<&Server> = self.servers(pool, types).filter(of_side).collect();
        let mut said: Vec<String> = Vec::new();
        for server in servers.iter().take(MAX_NAMED) {
            let part = (server.part(side) * 1000.0).round() / 10.0;
            match server.address(side).filter(|_| server.has_moved()) {
                Some(address) => said.push(format!("{} at {address} {part} %", server.endpoint)),
                None => said.push(format!("{} {part} %", server.endpoint)),
            }
        }
        if servers.len() > MAX_NAMED {
            said.push(format!("{} more", servers.len() - MAX_NAMED));
        }
        Some(said.join("; "))
    }
}

type World<'w> = ((&'w Model, &'w HealthTable), &'w Arc<Pool>);

/// True when nothing of a pool that decides who is answered is other than before.
fn same((before, was): World, (after, is): World) -> bool {
    fn unchanged<T>(was: Option<&Arc<T>>, is: Option<&Arc<T>>) -> bool {
        was.map(Arc::as_ptr) == is.map(Arc::as_ptr)
    }
    let is_same = |id: &Id<Endpoint>| {
        unchanged(before.0.endpoints.get(id), after.0.endpoints.get(id))
            && unchanged(before.1.endpoints.get(id), after.1.endpoints.get(id))
    };
    Arc::ptr_eq(was, is) && is.members.iter().all(|member| is_same(&member.endpoint))
}

fn servers(id: &Id<Pool>, before: World, after: World) -> Vec<Server> {
    let mut servers: Vec<Server> = Vec::new();
    for (side, ((model, health), pool)) in [(Side::Before, before), (Side::After, after)] {
        for share in shares(model, health, id, pool, Pass::Normal) {
            let Some(address) = model.endpoints.get(&share.endpoint).and_then(|one| address(one, share.family)) else {
                continue;
            };
            let known = servers.iter_mut().find(|one| one.endpoint == share.endpoint && one.family == share.family);
            let found = Some((address, share.share));
            match (known, side) {
                (Some(known), Side::Before) => known.was = found,
                (Some(known), Side::After) => known.is = found,
                (None, _) => {
                    let (was, is) = if side == Side::Before { (found, None) } else { (None, found) };
                    servers.push(Server { endpoint: share.endpoint, family: share.family, was, is });
                }
            }
        }
    }
    servers
}

fn address(endpoint: &Endpoint, family: Family) -> Option<String> {
    match family {
        Family::Ipv4 => endpoint.ipv4.map(|address| address.to_string()),
        Family::Ipv6 => endpoint.ipv6.map(|address| address.to_string()),
        Family::Name => endpoint.cname.as_ref().map(ToString::to_string),
    }
}

fn rtype(family: Family) -> RecordType {
    match family {
        Family::Ipv4 => RecordType::A,
        Family::Ipv6 => RecordType::AAAA,
        Family::Name => RecordType::CNAME,
    }
}
