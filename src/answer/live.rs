//! Pools as they are now: who in them can be answered, and how much of their traffic moves on. Made anew
//! from the model and the health table on each change of either.

use std::sync::Arc;

use crate::health::{EndpointHealth, EndpointState, Family, HealthTable, PoolHealth, PoolState};
use crate::model::{Admin, Endpoint, Id, Member, Model, Name, Pool, RecordType, Serve, Shed};

use super::choose::key;
use super::steer::Pass;

/// What kind of records a policy says. A pool is ok by kind, never by family, so that AAAA sends no client to
/// another pool than A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Addresses,
    Names,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LivePool {
    pub id: Id<Pool>,
    /// For choices by client.
    pub key: u64,
    pub state: PoolState,
    pub reason: String,
    /// The share of clients, 0 to 1, that go on to the next pools: by load, by setting, or while the pool ramps up.
    pub sheds: f64,
    pub load: Option<f64>,
    pub ramp_percent: u8,
    pub round_trip_ms: Option<f64>,
    pub earliest_change_ms: Option<u64>,
    pub answers: Option<u8>,
    pub servers: Vec<Server>,
    ipv4: Choices,
    ipv6: Choices,
    names: Choices,
    made_of: Source,
}

/// What a pool was made of, in the order of its members: the same parts make the same pool.
#[derive(Debug, Clone, PartialEq)]
struct Source {
    pool: Arc<Pool>,
    health: Option<Arc<PoolHealth>>,
    members: Vec<Part>,
}

/// A member's endpoint with what is known of it.
type Part = (Option<Arc<Endpoint>>, Option<Arc<EndpointHealth>>);

/// One address or name of a member.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    pub endpoint: Id<Endpoint>,
    pub family: Family,
    pub data: Data,
    pub key: u64,
    pub weight: u16,
    pub priority: u8,
    /// Enabled, with a weight, and not set to serve never.
    pub in_service: bool,
    pub state: EndpointState,
    pub reason: String,
    pub earliest_change_ms: Option<u64>,
}

/// Record data in wire form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Ipv4([u8; 4]),
    Ipv6([u8; 16]),
    Name(Name),
}

/// Which servers of a pool are answered, as positions in `LivePool::servers`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choices {
    /// Usable, of the lowest priority number that has any.
    pub usable: Vec<u8>,
    /// For a last resort: in service, the best state that there is.
    pub anyway: Vec<u8>,
    /// When one that would be preferred could come back, at the earliest.
    pub earliest_recovery_ms: Option<u64>,
}

impl LivePool {
    pub fn new(pool: &Arc<Pool>, id: &Id<Pool>, model: &Model, table: &HealthTable) -> LivePool {
        let unknown = PoolHealth::default();
        let known = table.pools.get(id);
        let health = known.map_or(&unknown, |known| &**known);
        let state = match (known, pool.admin) {
            (Some(health), _) => health.state,
            (None, Admin::On) => PoolState::Ok,
            (None, Admin::Drain) => PoolState::Drain,
            (None, Admin::Off) => PoolState::Off,
        };
        let mut servers = Vec::with_capacity(pool.members.len());
        for member in &pool.members {
            let endpoint = model.endpoints.get(&member.endpoint);
            servers.extend(endpoint.into_iter().flat_map(|endpoint| {
                data(endpoint).map(|(family, data)| {
                    Server::new(
                        member,
                        endpoint,
                        family,
                        data,
                        table.endpoints.get(&member.endpoint).map(|known| &**known),
                    )
                })
            }));
        }
        LivePool {
            id: id.clone(),
            key: key("pool", id.as_str()),
            state,
            reason: health.reason.clone(),
            sheds: share_that_moves_on(&pool.shed, health.load, health.ramp_percent),
            load: health.load,
            ramp_percent: health.ramp_percent,
            round_trip_ms: health.round_trip_ms.filter(|ms| ms.is_finite()),
            earliest_change_ms: health.earliest_change_ms,
            answers: pool.answers,
            ipv4: Choices::of(&servers, Family::Ipv4),
            ipv6: Choices::of(&servers, Family::Ipv6),
            names: Choices::of(&servers, Family::Name),
            servers,
            made_of: Source {
                pool: pool.clone(),
                health: known.cloned(),
                members: parts(pool, model, table).map(|(e, health)| (e.cloned(), health.cloned())).collect(),
            },
        }
    }

    /// The same pool as if it were down.
    pub fn taken_down(&self) -> LivePool {
        let health = PoolHealth { state: PoolState::Down, reason: "taken for down".into(), ..PoolHealth::default() };
        let (state, reason) = (health.state, health.reason.clone());
        // What it is made of says so as well, so that nothing takes it for current.
        let made_of = Source { health: Some(Arc::new(health)), ..self.made_of.clone() };
        LivePool { state, reason, earliest_change_ms: None, made_of, ..self.clone() }
    }

    /// True when `new` would make the same again. Looks at identities only, so that ten thousand servers cost
    /// little on each change of one.
    pub fn is_current(&self, pool: &Arc<Pool>, model: &Model, table: &HealthTable) -> bool {
        let Source { pool: of, health, members } = &self.made_of;
        Arc::ptr_eq(of, pool)
            && same(health.as_ref(), table.pools.get(&self.id))
            && (members.iter().zip(parts(pool, model, table)))
                .all(|((e, health), now)| same(e.as_ref(), now.0) && same(health.as_ref(), now.1))
    }

    /// Who is answered for a record type.
    pub fn choices(&self, rtype: RecordType) -> &Choices {
        match rtype {
            RecordType::A => &self.ipv4,
            RecordType::AAAA => &self.ipv6,
            _ => &self.names,
        }
    }

    /// Of these choices, those that are answered when the pool is come to in this round.
    pub fn picked_from<'c>(&self, choices: &'c Choices, pass: Pass) -> &'c [u8] {
        match pass {
            Pass::Anyway if self.state != PoolState::Ok || choices.usable.is_empty() => &choices.anyway,
            _ => &choices.usable,
        }
    }

    /// True when somebody can be answered.
    pub fn is_usable(&self, kind: Kind) -> bool {
        match kind {
            Kind::Addresses => !self.ipv4.usable.is_empty() || !self.ipv6.usable.is_empty(),
            Kind::Names => !self.names.usable.is_empty(),
        }
    }

    /// True when somebody can be answered with health ignored.
    pub fn is_in_service(&self, kind: Kind) -> bool {
        match kind {
            Kind::Addresses => !self.ipv4.anyway.is_empty() || !self.ipv6.anyway.is_empty(),
            Kind::Names => !self.names.anyway.is_empty(),
        }
    }
}

impl Server {
    fn new(
        member: &Member,
        endpoint: &Endpoint,
        family: Family,
        data: Data,
        health: Option<&EndpointHealth>,
    ) -> Server {
        let health = health.and_then(|health| health.families.get(&family));
        let state = match health {
            Some(health) => health.forced.unwrap_or(health.state),
            None => EndpointState::Up,
        };
        Server {
            endpoint: member.endpoint.clone(),
            family,
            data,
            key: key("endpoint", member.endpoint.as_str()),
            weight: member.weight,
            priority: member.priority,
            in_service: member.enabled && member.weight > 0 && endpoint.serve != Serve::Never,
            state,
            reason: health.map(|health| health.reason.clone()).unwrap_or_default(),
            earliest_change_ms: health.and_then(|health| health.earliest_change_ms),
        }
    }
}

/// The members' endpoints with what is known of them.
fn parts<'m>(
    pool: &'m Pool,
    model: &'m Model,
    table: &'m HealthTable,
) -> impl Iterator<Item = (Option<&'m Arc<Endpoint>>, Option<&'m Arc<EndpointHealth>>)> {
    let ids = pool.members.iter().map(|member| &member.endpoint);
    ids.map(|id| (model.endpoints.get(id), table.endpoints.get(id)))
}

fn same<T>(a: Option<&Arc<T>>, b: Option<&Arc<T>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// Everything an endpoint can be answered as.
fn data(endpoint: &Endpoint) -> impl Iterator<Item = (Family, Data)> {
    let ipv4 = endpoint.ipv4.map(|address| (Family::Ipv4, Data::Ipv4(address.octets())));
    let ipv6 = endpoint.ipv6.map(|address| (Family::Ipv6, Data::Ipv6(address.octets())));
    let name = endpoint.cname.clone().map(|name| (Family::Name, Data::Name(name)));
    ipv4.into_iter().chain(ipv6).chain(name)
}

impl Data {
    pub fn as_wire(&self) -> &[u8] {
        match self {
            Data::Ipv4(octets) => octets,
            Data::Ipv6(octets) => octets,
            Data::Name(name) => name.as_wire(),
        }
    }
}

impl Choices {
    fn of(servers: &[Server], family: Family) -> Choices {
        let of_family = || servers.iter().enumerate().filter(|(_, s)| s.family == family && s.in_service);
        let positions = |wanted: &dyn Fn(&Server) -> bool| {
            let lowest = of_family().filter(|(_, s)| wanted(s)).map(|(_, s)| s.priority).min();
            let chosen = of_family().filter(|(_, s)| wanted(s) && Some(s.priority) == lowest);
            // A pool has at most 64 members of at most three families.
            chosen.filter_map(|(at, _)| u8::try_from(at).ok()).collect::<Vec<u8>>()
        };
        let usable = positions(&|server| server.state != EndpointState::Down);
        let anyway = [EndpointState::Up, EndpointState::Unknown, EndpointState::Down]
            .into_iter()
            .map(|state| positions(&|server| server.state == state))
            .find(|found| !found.is_empty());
        let priority = usable.first().map_or(u8::MAX, |&at| servers[usize::from(at)].priority);
        let preferred = of_family().filter(|(_, s)| s.state == EndpointState::Down && s.priority <= priority);
        Choices {
            usable,
            anyway: anyway.unwrap_or_default(),
            earliest_recovery_ms: preferred.filter_map(|(_, server)| server.earliest_change_ms).min(),
        }
    }
}

/// Shedding and ramping are one thing: a share of the clients sees the pool as if it were not there. So a ramp
/// works for every way to choose, and also for a pool that is alone in its step.
fn share_that_moves_on(shed: &Shed, load: Option<f64>, ramp_percent: u8) -> f64 {
    let by_load = match (load, shed.low, shed.high) {
        (Some(load), Some(low), Some(high)) if load.is_finite() && low < high => {
            ((load - low) / (high - low)).clamp(0.0, 1.0)
        }
        _ => 0.0,
    };
    let shed = (f64::from(shed.percent) / 100.0 + by_load).min(1.0);
    1.0 - (1.0 - shed) * f64::from(ramp_percent.min(100)) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shedding_grows_from_low_to_high_and_ramping_is_shedding_that_ends() {
        let by_load = Shed { low: Some(70.0), high: Some(90.0), ..Shed::default() };
        let always = Shed { percent: 20, ..by_load };
        for (shed, load, ramp, share) in [
            (by_load, None, 100, 0.0),
            (by_load, Some(70.0), 100, 0.0),
            (by_load, Some(75.0), 100, 0.25),
            (by_load, Some(80.0), 100, 0.5),
            (by_load, Some(95.0), 100, 1.0),
            (by_load, Some(f64::NAN), 100, 0.0),
            (always, None, 100, 0.2),
            (always, Some(75.0), 100, 0.45),
            (always, Some(90.0), 100, 1.0),
            (Shed::default(), Some(100.0), 100, 0.0),
            (Shed::default(), None, 1, 0.99),
            (by_load, Some(80.0), 50, 0.75),
        ] {
            let got = share_that_moves_on(&shed, load, ramp);
            assert!((got - share).abs() < 1e-9, "{shed:?} {load:?} {ramp}: {got}");
        }
    }
}
