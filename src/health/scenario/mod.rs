//! The whole machine over time: failovers step by step, restarts, revisions, and a day in a moment.

mod continuity;
mod countdown;
mod endpoints;
mod failover;
mod properties;
mod switches;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::EndpointState::{Down, Unknown, Up};
use super::*;
use crate::model::{
    Admin, Attach, Check, Choose, Endpoint, HealthyWhen, Id, LastResort, Locate, Member, Meta, Model, Monitor,
    MonitorUse, Policy, Pool, Recovery, Role, Rule, Serve, Shed, Step, StepPool, Sticky, TcpCheck, Tolerance,
};

const START_MS: u64 = 1_800_000_000_000;

fn id<T>(text: &str) -> Id<T> {
    text.parse().unwrap()
}

fn meta(id: &str) -> Meta {
    Meta { id: id.into(), name: String::new(), note: String::new(), tags: Vec::new(), rev: 1 }
}

/// Every 10 s, down after 3, up after 2.
pub fn monitor(id: &str) -> Monitor {
    Monitor {
        meta: meta(id),
        check: Check::Tcp(TcpCheck { port: 443, send: None, expect: None }),
        interval: 10,
        timeout: 3.0,
        confirm: 1,
        fail_after: 3,
        recover_after: 2,
        max_latency_ms: None,
    }
}

fn endpoint(id: &str, last_byte: u8) -> Endpoint {
    Endpoint {
        meta: meta(id),
        ipv4: Some([192, 0, 2, last_byte].into()),
        ipv6: None,
        cname: None,
        serve: Serve::Auto,
        country: None,
        monitors: Vec::new(),
        depends_on: Vec::new(),
    }
}

fn pool(name: &str, members: &[&str], recovery: Recovery) -> Pool {
    let member = |endpoint: &&str| Member { endpoint: id(endpoint), weight: 100, priority: 1, enabled: true };
    Pool {
        meta: meta(name),
        admin: Admin::On,
        country: None,
        lat: None,
        lon: None,
        members: members.iter().map(member).collect(),
        healthy_when: HealthyWhen::AtLeast(1),
        recovery,
        ramp: 0,
        monitors: vec![MonitorUse { monitor: id("web"), role: Role::Required }],
        shed: Shed::default(),
        answers: None,
        colour: 1,
    }
}

fn policy(name: &str, attach: &str, pools: &[&str]) -> Policy {
    let step = |pool: &&str| Step {
        pools: vec![StepPool { pool: id(pool), weight: 100, canary: false, bias: 0 }],
        choose: Choose::Weighted,
        tolerance: Tolerance::default(),
    };
    Policy {
        meta: meta(name),
        enabled: true,
        attach: vec![Attach { zone: id("example"), name: attach.parse().unwrap(), types: Vec::new() }],
        ttl: 30,
        failure_ttl: 10,
        answers: 1,
        locate: Locate::EcsThenResolver,
        sticky: Sticky::None,
        rules: vec![Rule {
            name: "everyone else".into(),
            enabled: true,
            regions: Vec::new(),
            except_regions: Vec::new(),
            steps: pools.iter().map(step).collect(),
            last_resort: LastResort::ServeAnyway,
            residency_lock: None,
        }],
    }
}

/// `primary` (web-1) and `standby` (web-2), each watched by `web`, answering www.
pub fn active_passive(recovery: Recovery) -> Model {
    let mut model = Model { revision: 1, ..Model::default() };
    model.monitors.insert(id("web"), Arc::new(monitor("web")));
    model.endpoints.insert(id("web-1"), Arc::new(endpoint("web-1", 1)));
    model.endpoints.insert(id("web-2"), Arc::new(endpoint("web-2", 2)));
    model.pools.insert(id("primary"), Arc::new(pool("primary", &["web-1"], recovery)));
    model.pools.insert(id("standby"), Arc::new(pool("standby", &["web-2"], Recovery::Auto)));
    model.policies.insert(id("www"), Arc::new(policy("www", "www.example.com.", &["primary", "standby"])));
    model
}

/// Changes one entity of a model.
fn edit<T: Clone>(table: &mut BTreeMap<Id<T>, Arc<T>>, name: &str, change: impl FnOnce(&mut T)) {
    change(Arc::make_mut(table.get_mut(&id(name)).unwrap()));
}

pub struct World {
    pub health: Health,
    model: Model,
    pub now_ms: u64,
}

impl World {
    fn new(model: Model) -> Self {
        Self::restarted(model, &[], START_MS)
    }

    fn restarted(model: Model, stored: &[(String, Value)], now_ms: u64) -> Self {
        let (health, _) = Health::new(&Arc::new(model.clone()), stored, now_ms);
        World { health, model, now_ms }
    }

    /// All endpoints have answered often enough.
    pub fn up(model: Model) -> Self {
        let mut world = Self::new(model);
        for watch in world.health.targets() {
            world.outcome(&watch.target, Ok(()));
        }
        world
    }

    fn publish(&mut self) -> Vec<Event> {
        self.model.revision += 1;
        self.health.reconfigure(&Arc::new(self.model.clone()), self.now_ms)
    }

    fn outcome(&mut self, target: &Target, result: Result<(), String>) -> Vec<Event> {
        let latency = Latency { connect_ms: Some(12.0), total_ms: Some(12.0), ..Latency::default() };
        let next_probe_ms = self.now_ms + 10_000;
        let outcome = Outcome {
            at_ms: self.now_ms,
            result,
            latency,
            certificate_ends: None,
            next_probe_ms,
            said: Said::default(),
        };
        self.health.observe(target, &outcome)
    }

    /// One outcome of check `web` at the IPv4 address, 10 s after the one before.
    fn see(&mut self, endpoint: &str, result: Result<(), &str>) -> Vec<Event> {
        self.now_ms += 10_000;
        let mut events = self.health.tick(self.now_ms);
        events.extend(self.outcome(&web(endpoint), result.map_err(str::to_owned)));
        events
    }

    fn fail(&mut self, endpoint: &str, times: usize) -> Vec<Event> {
        (0..times).flat_map(|_| self.see(endpoint, Err("HTTP 503"))).collect()
    }

    pub fn pass(&mut self, endpoint: &str, times: usize) -> Vec<Event> {
        (0..times).flat_map(|_| self.see(endpoint, Ok(()))).collect()
    }

    fn act(&mut self, switch: Switch) -> Result<Vec<Event>, String> {
        self.health.act(&switch, "ana", "kernel update", self.now_ms)
    }

    fn switch(&mut self, pool: &str, admin: Admin) -> Vec<Event> {
        self.act(Switch::Pool { pool: id(pool), admin }).unwrap()
    }

    fn force(&mut self, endpoint: &str, state: Option<EndpointState>) -> Vec<Event> {
        self.act(Switch::Force { endpoint: id(endpoint), family: None, state }).unwrap()
    }

    fn approve(&mut self, pool: &str) -> Result<Vec<Event>, String> {
        self.act(Switch::ApproveFailback { pool: id(pool) })
    }

    fn pool(&self, name: &str) -> &PoolHealth {
        &self.health.table().pools[&id(name)]
    }

    fn states(&self) -> (PoolState, PoolState) {
        (self.pool("primary").state, self.pool("standby").state)
    }

    pub fn address(&self, name: &str) -> &FamilyHealth {
        &self.health.table().endpoints[&id(name)].families[&Family::Ipv4]
    }
}

pub fn web(endpoint: &str) -> Target {
    Target { monitor: id("web"), endpoint: id(endpoint), family: Family::Ipv4 }
}

/// `subject: from → to #incident`.
pub fn told(events: &[Event]) -> Vec<String> {
    let incident = |event: &Event| event.incident.map(|n| format!(" #{n}")).unwrap_or_default();
    events.iter().map(|e| format!("{}: {} → {}{}", e.subject, e.from, e.to, incident(e))).collect()
}
