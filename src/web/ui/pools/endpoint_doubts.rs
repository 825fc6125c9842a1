//! What makes somebody look twice at an endpoint before it is kept: a private address, no health check, a check that
//! fails when it is tried. All of it may be kept in spite of that.

use super::super::text::{Text, text};
use super::super::visit::Visit;
use super::Scene;
use super::address::is_private;
use super::endpoint_typed::Read;
use crate::health::Report;
use crate::model::{Check, Model, Monitor, MonitorUse, Pool};

/// Checks that are tried before saving.
const MAX_TRIALS: usize = 4;

/// What makes an endpoint doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Private,
    Unchecked,
    Failing,
}

impl Why {
    fn word(self) -> &'static str {
        match self {
            Why::Private => "private",
            Why::Unchecked => "unchecked",
            Why::Failing => "failing",
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Doubts {
    pub said: Vec<(Why, Text)>,
    /// The checks of its neighbours, for one that has none.
    pub neighbours: String,
}

impl Doubts {
    pub fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// All of them, for the button that keeps the endpoint in spite of them.
    pub fn words(&self) -> String {
        let mut words: Vec<&str> = self.said.iter().map(|(why, _)| why.word()).collect();
        words.dedup();
        words.join(" ")
    }

    pub fn only_fails(&self) -> bool {
        self.said.iter().all(|(why, _)| *why == Why::Failing)
    }
}

/// The checks that the most endpoints of the pool have of their own, beside `id`.
pub fn neighbours<'s>(scene: &'s Scene, id: &str) -> &'s [MonitorUse] {
    let others = scene.pool.members.iter().filter(|member| member.endpoint.as_str() != id);
    let own = others.filter_map(|member| Some(&*scene.drafted.endpoints.get(&member.endpoint)?.monitors));
    let mut counted: Vec<(&[MonitorUse], usize)> = Vec::new();
    for uses in own.filter(|uses| !uses.is_empty()) {
        match counted.iter_mut().find(|(known, _)| *known == uses) {
            Some((_, times)) => *times += 1,
            None => counted.push((uses, 1)),
        }
    }
    // Of equals the first: `max_by_key` would take the last.
    counted.into_iter().rev().max_by_key(|(_, times)| *times).map_or(&[], |(uses, _)| uses)
}

/// Everything that makes one look twice, but what the visitor wants all the same.
pub async fn doubts(visit: &Visit, scene: &Scene, read: &Read, serve: &str, kept: &[String]) -> Doubts {
    let mut said: Vec<(Why, Text)> = Vec::new();
    for ip in read.ips.iter().filter(|ip| is_private(**ip)) {
        let sentence = text("{address} is a private address. Clients on the internet cannot reach it.");
        said.push((Why::Private, sentence.set("address", ip)));
    }
    let others = neighbours(scene, &read.id);
    let names: Vec<&str> = others.iter().map(|used| used.monitor.as_str()).collect();
    if read.is_new_address && serve == "auto" && read.uses.is_empty() && scene.pool.monitors.is_empty() {
        let sentence = text("{endpoint} has no health check: it counts as up, always.");
        said.push((Why::Unchecked, sentence.set("endpoint", &read.id)));
    }
    if read.is_new_address && !kept.iter().any(|word| word == Why::Failing.word()) {
        let failing = tried(visit, &scene.drafted, &scene.pool, read).await;
        said.extend(failing.into_iter().map(|sentence| (Why::Failing, sentence)));
    }
    said.retain(|(why, _)| !kept.iter().any(|word| word == why.word()));
    let is_unchecked = said.iter().any(|(why, _)| *why == Why::Unchecked);
    Doubts { said, neighbours: if is_unchecked { names.join(", ") } else { String::new() } }
}

/// Tries what will watch the endpoint, and tells what failed.
async fn tried(visit: &Visit, model: &Model, pool: &Pool, read: &Read) -> Vec<Text> {
    let uses = if read.uses.is_empty() { &pool.monitors } else { &read.uses };
    let monitors = uses.iter().filter_map(|used| model.monitors.get(&used.monitor));
    let pairs =
        monitors.flat_map(|monitor| read.addresses.iter().map(move |address| (address.clone(), monitor.clone())));
    let trials = pairs.take(MAX_TRIALS).map(|(address, monitor)| {
        let control = visit.web.control.clone();
        tokio::spawn(async move { (control.try_check(address, &monitor).await, monitor) })
    });
    let mut doubts = Vec::new();
    for trial in trials.collect::<Vec<_>>() {
        // What could not be tried says nothing about the endpoint.
        if let Ok((Ok(Report::Outcome(outcome)), monitor)) = trial.await
            && let Err(reason) = outcome.result
        {
            doubts.push(doubt(&reason, &monitor));
        }
    }
    doubts
}

fn doubt(reason: &str, monitor: &Monitor) -> Text {
    let port = match &monitor.check {
        Check::Http(check) | Check::Https(check) => Some(check.port),
        Check::Tcp(check) => Some(check.port),
        Check::Dns(check) => Some(check.port),
        Check::Icmp(_) => None,
    };
    let is_connection = ["connection refused", "no connection"].iter().any(|known| reason.starts_with(known));
    match port {
        Some(port) if is_connection => {
            text("Tried just now from this node: {reason} on port {port}. Is the port right?").set("port", port)
        }
        Some(port) => {
            text("Tried just now from this node on port {port}: {reason}. Is the check right?").set("port", port)
        }
        None => text("Tried just now from this node: {reason}. Is the address right?"),
    }
    .fact("reason", "finding", reason)
}
