//! Probes: asks every watched address on time how it is, and reports each outcome on a channel.
//! An edge: it decides nothing about health, and it never turns its own trouble into an outage.

mod checker;
mod dns;
mod http;
mod icmp;
mod scheduler;
mod tcp;
mod tls;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use jiff::Timestamp;

use crate::health::{Address, Latency, Said, Target};
use crate::model::Monitor;

pub use checker::Checker;
pub use scheduler::Scheduler;

/// A check that is wanted, and every target that its outcomes are for.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    pub targets: Vec<Target>,
    pub address: Address,
    pub monitor: Arc<Monitor>,
}

/// How one check went.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub verdict: Verdict,
    pub latency: Latency,
    pub certificate_ends: Option<Timestamp>,
    pub said: Said,
}

/// `Unable` is trouble of this machine or of the configuration, in words with the remedy. It says
/// nothing about the endpoint, so it is never reported as a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Up,
    Down(String),
    Unable(String),
}

/// Everything that makes two checks the same one. Thresholds are not in it: health judges those for
/// each target by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    address: Address,
    /// The check with all of its settings, as JSON.
    check: String,
    interval: u32,
    timeout_bits: u64,
    confirm: u8,
}

impl Key {
    fn of(probe: &Probe) -> Key {
        let monitor = &probe.monitor;
        Key {
            address: probe.address.clone(),
            check: serde_json::to_string(&monitor.check).expect("a check is plain data with text keys"),
            interval: monitor.interval,
            timeout_bits: monitor.timeout.to_bits(),
            confirm: monitor.confirm,
        }
    }
}

/// The same check of the same address is one probe for all of its targets, in order of appearance.
fn merge(wanted: &[Probe]) -> Vec<(Key, Probe)> {
    let mut merged: Vec<(Key, Probe)> = Vec::new();
    let mut places: HashMap<Key, usize> = HashMap::new();
    for probe in wanted {
        match places.entry(Key::of(probe)) {
            Entry::Occupied(place) => merged[*place.get()].1.targets.extend_from_slice(&probe.targets),
            Entry::Vacant(place) => {
                merged.push((place.key().clone(), probe.clone()));
                place.insert(merged.len() - 1);
            }
        }
    }
    for (_, probe) in &mut merged {
        probe.targets.sort();
        probe.targets.dedup();
    }
    merged
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::health::Family;
    use crate::model::{Check, Meta, TcpCheck};

    /// Every 10 s, 3 s for an answer, one re-probe.
    pub(super) fn monitor(id: &str, check: Check) -> Monitor {
        let meta = Meta { id: id.into(), name: String::new(), note: String::new(), tags: Vec::new(), rev: 1 };
        let (interval, timeout) = (10, 3.0);
        Monitor { meta, check, interval, timeout, confirm: 1, fail_after: 3, recover_after: 2, max_latency_ms: None }
    }

    pub(super) fn tcp_monitor(id: &str) -> Monitor {
        monitor(id, Check::Tcp(TcpCheck { port: 80, send: None, expect: None }))
    }

    pub(super) fn target(endpoint: &str, monitor: &str) -> Target {
        Target { monitor: monitor.parse().unwrap(), endpoint: endpoint.parse().unwrap(), family: Family::Ipv4 }
    }

    /// A probe of 10.x.y.z, where x.y.z is `address`.
    pub(super) fn probe(endpoint: &str, address: u32, monitor: Monitor) -> Probe {
        Probe {
            targets: vec![target(endpoint, &monitor.meta.id)],
            address: Address::Ip(IpAddr::from((0x0a00_0000 + address).to_be_bytes())),
            monitor: Arc::new(monitor),
        }
    }

    /// A loopback server on a port of its own, which treats each connection as told.
    pub(super) async fn serve<F>(on_connection: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> SocketAddr
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(on_connection(stream));
            }
        });
        address
    }

    /// A port where nobody listens.
    pub(super) async fn closed_port() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    /// A checker that trusts nobody, which saves reading the machine's authorities.
    pub(super) fn checker() -> Checker {
        Checker::trusting(tls::Trust::in_roots(rustls::RootCertStore::empty()))
    }

    /// Checks a loopback address once, with `timeout` seconds for it.
    pub(super) async fn check_once(checker: &Checker, ip: IpAddr, check: Check, timeout: f64) -> Finding {
        let monitor = Monitor { timeout, ..monitor("web", check) };
        checker.check(&Address::Ip(ip), &monitor).await
    }

    pub(super) fn down(reason: impl Into<String>) -> Verdict {
        Verdict::Down(reason.into())
    }

    /// Long enough for any answer on loopback, and short enough to wait for where none comes.
    pub(super) const PATIENT: f64 = 20.0;
    pub(super) const IMPATIENT: f64 = 0.3;

    #[test]
    fn the_same_check_of_the_same_address_is_one_probe() {
        let wanted = [
            probe("web-1", 1, tcp_monitor("a")),
            probe("web-1-again", 1, tcp_monitor("a")),
            probe("web-1", 1, tcp_monitor("a")),
            probe("web-1", 1, Monitor { fail_after: 9, ..tcp_monitor("b") }),
            probe("web-2", 2, tcp_monitor("a")),
            probe("web-1", 1, Monitor { interval: 60, ..tcp_monitor("c") }),
        ];
        let merged = merge(&wanted);
        let targets: Vec<Vec<Target>> = merged.into_iter().map(|(_, probe)| probe.targets).collect();
        assert_eq!(
            targets,
            [
                vec![target("web-1", "a"), target("web-1-again", "a"), target("web-1", "b")],
                vec![target("web-2", "a")],
                vec![target("web-1", "c")],
            ]
        );
    }
}
