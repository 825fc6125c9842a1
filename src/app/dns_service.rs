//! DNS as it runs: sockets, threads, and what they report to control. Binding is separate from
//! serving, so that an occupied port is said before anything else starts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::available_parallelism;
use std::time::Duration;
use std::{fmt, io};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{Audience, Snapshot};
use crate::cli::Failure;
use crate::config::Config;
use crate::control::traffic::Slice;
use crate::control::{Control, unix_ms};
use crate::dns::{self, Edge, Limits, Listeners, Secret, Settings, Sockets};
use crate::model::{Id, Pool};

/// How often answers are added up for shares and metrics.
const COUNT_EVERY: Duration = Duration::from_secs(5);

pub struct DnsService {
    pub edge: Arc<Edge<Snapshot>>,
    listeners: Listeners,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl DnsService {
    /// Answers on every configured address when it returns.
    pub fn start(config: &Config, control: &Control, used_held: mpsc::Sender<Id<Pool>>) -> Result<Self, Failure> {
        let threads = available_parallelism().map_or(1, usize::from);
        let failure = |address: &dyn fmt::Display, error: io::Error| {
            Failure::new(format!("DNS cannot answer on {address}: {error}; {}", advice(&error)))
        };
        let bind = |address: &SocketAddr| Sockets::bind(*address, threads).map_err(|error| failure(address, error));
        let sockets = config.dns.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
        let mut settings = Settings::new(&config.node, Secret::new(rand::random()));
        settings.rate = config.rate_limit;
        let (edge, releases) = Edge::new(control.shared().snapshot.clone(), settings);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let listeners = Listeners::start(&edge, sockets, Limits::default(), &stop);
        let listeners = listeners.map_err(|error| failure(&"its sockets", error))?;
        tasks.spawn(count(edge.clone(), control.clone(), stop.clone()));
        tasks.spawn(report_releases(releases, used_held, stop.clone()));
        Ok(DnsService { edge, listeners, stop, tasks })
    }

    /// Where it answers, with the ports that were found for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.listeners.addresses()
    }

    /// Answers what was received, then closes.
    pub async fn stop(self) {
        self.stop.cancel();
        self.listeners.stopped().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "ports below 1024 need root or CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrInUse => {
            "stop what listens there, or choose another address with --dns; where systemd-resolved has port 53 of the \
             loopback, name the public addresses as dns in northing.toml instead of 0.0.0.0"
        }
        _ => "choose an address of this machine with --dns",
    }
}

/// Adds the threads' counts up while there are any.
async fn count(edge: Arc<Edge<Snapshot>>, control: Control, stop: CancellationToken) {
    let mut before = Totals::default();
    loop {
        let stopped = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(COUNT_EVERY) => false,
        };
        let slice = look(&edge, &mut before);
        control.shared().traffic.lock().add(slice);
        if stopped {
            return;
        }
    }
}

/// What was counted since the start.
#[derive(Default)]
struct Totals {
    replies: u64,
    subnets: u64,
    times: BTreeMap<Duration, u64>,
}

/// What was said since the look that saw `before`, which becomes what there is now.
fn look(edge: &Edge<Snapshot>, before: &mut Totals) -> Slice {
    let mut audiences: BTreeMap<Arc<Audience>, u64> = BTreeMap::new();
    let mut now = Totals::default();
    for counters in edge.counters() {
        now.replies += counters.replies().map(|(_, _, count)| count).sum::<u64>();
        now.subnets += counters.subnets.load(Relaxed);
        counters.times().for_each(|(time, count)| *now.times.entry(time).or_default() += count);
        counters.take_credits(|credits: &dns::Credits<Snapshot>| {
            let snapshot = credits.newest.load();
            for (index, count) in credits.take() {
                let audience = snapshot.audiences().get(index);
                audience.into_iter().for_each(|audience| *audiences.entry(audience.clone()).or_default() += count);
            }
        });
    }
    let since = |time: &Duration, count: u64| count - before.times.get(time).copied().unwrap_or_default().min(count);
    let times = now.times.iter().map(|(time, count)| (*time, since(time, *count)));
    let slice = Slice {
        at_ms: unix_ms(),
        replies: now.replies.saturating_sub(before.replies),
        subnets: now.subnets.saturating_sub(before.subnets),
        audiences,
        times: times.filter(|(_, count)| *count > 0).collect(),
    };
    *before = now;
    slice
}

/// Names the held pools that had to answer.
async fn report_releases(
    mut releases: mpsc::Receiver<dns::Release<Snapshot>>,
    used_held: mpsc::Sender<Id<Pool>>,
    stop: CancellationToken,
) {
    loop {
        let release = tokio::select! {
            () = stop.cancelled() => return,
            release = releases.recv() => match release {
                Some(release) => release,
                None => return,
            },
        };
        let index = release.credit.pool.map(|pool| pool as usize);
        if let Some(pool) = index.and_then(|index| release.snapshot.pool_ids().get(index)) {
            // Full: it is said again with the next answer.
            let _ = used_held.try_send(pool.clone());
        }
    }
}
