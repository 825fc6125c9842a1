//! When each probe runs: one task, one ordered queue of due times, a bounded number at a time.
//! It reports what checks find and knows nothing of how a check is done or what it means.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{mpsc, watch};
use tokio::task::{self, AbortHandle, JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Checker, Finding, Key, Probe, Verdict, merge};
use crate::health::{Outcome, Report, Target};
use crate::model::{Endpoint, Id};

/// The most probes at once, which also bounds sockets. When 10,000 targets begin to hang together
/// their first round overlaps (time-out, pause, re-probe: 7 s of every 10); 8,192 keeps up with it
/// to within a few seconds and stays far below the 65,536 files of the service unit.
const MAX_RUNNING: usize = 8_192;
/// New probes start at least this far apart on average, until their interval is full: three
/// endpoints are known at once, and ten thousand begin as evenly as they will go on.
const START_SPACING: Duration = Duration::from_millis(10);
/// Each cycle is shorter than the interval by up to this share, so that probes do not move in
/// step. Never longer: the detection time that is shown to the admin holds.
const JITTER: f64 = 0.05;
/// Between a failure and its re-probe.
const CONFIRM_PAUSE: Duration = Duration::from_secs(1);
/// Requests to check an endpoint now that may wait for the scheduler, which takes them at once.
const MAX_REQUESTS: usize = 64;

/// A handle on the running scheduler; probing ends when it is dropped.
pub struct Scheduler {
    wanted: watch::Sender<Vec<Probe>>,
    requests: mpsc::Sender<Id<Endpoint>>,
    task: JoinHandle<()>,
}

impl Scheduler {
    /// Starts without any probe; `seed` makes the jitter. When `reports` is full, probes wait for room.
    pub fn start(checker: Arc<Checker>, reports: mpsc::Sender<(Target, Report)>, seed: u64) -> Self {
        let check = move |probe: Arc<Probe>| {
            let checker = checker.clone();
            async move { checker.check(&probe.address, &probe.monitor).await }
        };
        Self::start_with(check, reports, seed)
    }

    fn start_with<C, F>(check: C, reports: mpsc::Sender<(Target, Report)>, seed: u64) -> Self
    where
        C: Fn(Arc<Probe>) -> F + Send + Sync + 'static,
        F: Future<Output = Finding> + Send + 'static,
    {
        let (wanted, wanted_in) = watch::channel(Vec::new());
        let (requests, requests_in) = mpsc::channel(MAX_REQUESTS);
        let schedule = Schedule {
            check: Arc::new(check),
            reports,
            random: StdRng::seed_from_u64(seed),
            next_id: 0,
            ids: HashMap::new(),
            slots: HashMap::new(),
            queue: BTreeSet::new(),
            running: JoinSet::new(),
            tasks: HashMap::new(),
        };
        let task = tokio::spawn(schedule.run(wanted_in, requests_in));
        Scheduler { wanted, requests, task }
    }

    /// Replaces what is probed. Probes that stay keep their schedule, new ones and new targets get an
    /// outcome soon, and those that are gone end at once.
    pub fn watch(&self, wanted: Vec<Probe>) {
        self.wanted.send_replace(wanted);
    }

    /// Checks every address of an endpoint now; a check that is running already counts as that.
    pub async fn check_now(&self, endpoint: &Id<Endpoint>) {
        // The scheduler can only be gone while the process ends, when no check is wanted any more.
        let _ = self.requests.send(endpoint.clone()).await;
    }

    /// Ends all probes and returns when they have ended.
    pub async fn stop(self) {
        drop((self.wanted, self.requests));
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the probe scheduler had ended before it was stopped");
        }
    }
}

/// The scheduler's own state. A probe is either in `queue` or running, never both, so that it
/// cannot run twice at once.
struct Schedule<C> {
    check: Arc<C>,
    reports: mpsc::Sender<(Target, Report)>,
    random: StdRng,
    next_id: u64,
    ids: HashMap<Key, u64>,
    slots: HashMap<u64, Slot>,
    queue: BTreeSet<(Instant, u64)>,
    running: JoinSet<Verdict>,
    tasks: HashMap<task::Id, u64>,
}

struct Slot {
    probe: Arc<Probe>,
    /// When it runs next; for a running probe the slot after this one.
    due: Instant,
    running: Option<AbortHandle>,
    /// Whether the last report was a success, after which a failure has to be confirmed.
    last_was_up: bool,
}

impl<C, F> Schedule<C>
where
    C: Fn(Arc<Probe>) -> F + Send + Sync + 'static,
    F: Future<Output = Finding> + Send + 'static,
{
    async fn run(mut self, mut wanted: watch::Receiver<Vec<Probe>>, mut requests: mpsc::Receiver<Id<Endpoint>>) {
        loop {
            self.start_due();
            let wake = self.queue.first().map(|&(due, _)| due).filter(|_| self.running.len() < MAX_RUNNING);
            tokio::select! {
                changed = wanted.changed() => match changed {
                    Ok(()) => {
                        let merged = merge(&wanted.borrow_and_update());
                        self.replace(merged);
                    }
                    Err(_) => break,
                },
                Some(endpoint) = requests.recv() => self.advance(&endpoint),
                Some(ended) = self.running.join_next_with_id() => self.finish(ended),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
        self.running.shutdown().await;
    }

    /// Probes that nobody asked for until now, or that got a target without any outcome, become due
    /// at random moments soon; the others keep their schedule.
    fn replace(&mut self, merged: Vec<(Key, Probe)>) {
        let mut old = std::mem::take(&mut self.ids);
        let new_ones = merged.iter().filter(|(key, probe)| self.brings_targets(old.get(key), probe)).count();
        let spread = START_SPACING.saturating_mul(u32::try_from(new_ones).unwrap_or(u32::MAX));
        let now = Instant::now();
        for (key, probe) in merged {
            let soon = now + spread.min(interval(&probe)).mul_f64(self.random.random::<f64>());
            let id = match old.remove(&key) {
                Some(id) => {
                    self.retarget(id, probe, soon);
                    id
                }
                None => self.add(probe, soon),
            };
            self.ids.insert(key, id);
        }
        for id in old.into_values() {
            self.remove(id);
        }
    }

    fn brings_targets(&self, known: Option<&u64>, probe: &Probe) -> bool {
        let slot = known.and_then(|id| self.slots.get(id));
        slot.is_none_or(|slot| probe.targets.iter().any(|target| !slot.probe.targets.contains(target)))
    }

    fn add(&mut self, probe: Probe, due: Instant) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.queue.insert((due, id));
        self.slots.insert(id, Slot { probe: Arc::new(probe), due, running: None, last_was_up: false });
        id
    }

    fn retarget(&mut self, id: u64, probe: Probe, soon: Instant) {
        let hurries = self.brings_targets(Some(&id), &probe);
        let Some(slot) = self.slots.get_mut(&id) else { return };
        if slot.probe.targets == probe.targets {
            return;
        }
        slot.probe = Arc::new(probe);
        if hurries && self.queue.remove(&(slot.due, id)) {
            slot.due = slot.due.min(soon);
            self.queue.insert((slot.due, id));
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(slot) = self.slots.remove(&id) else { return };
        self.queue.remove(&(slot.due, id));
        if let Some(running) = slot.running {
            running.abort();
        }
    }

    /// Makes the waiting probes of an endpoint due now.
    fn advance(&mut self, endpoint: &Id<Endpoint>) {
        let now = Instant::now();
        for (&id, slot) in &mut self.slots {
            let concerned = slot.probe.targets.iter().any(|target| target.endpoint == *endpoint);
            if concerned && self.queue.remove(&(slot.due, id)) {
                slot.due = now;
                self.queue.insert((now, id));
            }
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        while self.running.len() < MAX_RUNNING
            && let Some(&(due, id)) = self.queue.first()
            && due <= now
        {
            self.queue.pop_first();
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            let interval = interval(&slot.probe);
            if now - due > interval {
                // The process was stopped or starved for whole rounds: everything is due together,
                // and starting it together would keep it together for hours.
                slot.due = now + interval.mul_f64(self.random.random::<f64>());
                self.queue.insert((slot.due, id));
                continue;
            }
            slot.due = due + interval.mul_f64(1.0 - JITTER * self.random.random::<f64>());
            let confirm = if slot.last_was_up { slot.probe.monitor.confirm } else { 0 };
            let run = run(self.check.clone(), slot.probe.clone(), confirm, slot.due, self.reports.clone());
            let handle = self.running.spawn(run);
            self.tasks.insert(handle.id(), id);
            slot.running = Some(handle);
        }
    }

    fn finish(&mut self, ended: Result<(task::Id, Verdict), JoinError>) {
        let (task, verdict) = match ended {
            Ok((task, verdict)) => (task, Some(verdict)),
            Err(error) if error.is_panic() => {
                tracing::error!(%error, "a check panicked, which is a bug in Northing; its target has no outcome");
                (error.id(), None)
            }
            // Its probe is gone.
            Err(error) => {
                self.tasks.remove(&error.id());
                return;
            }
        };
        let Some(id) = self.tasks.remove(&task) else { return };
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.running = None;
        slot.due = slot.due.max(Instant::now());
        self.queue.insert((slot.due, id));
        match verdict {
            Some(Verdict::Unable(_)) => {}
            Some(reported) => slot.last_was_up = reported == Verdict::Up,
            None => {
                let broken = Report::Unable("the check itself broke down; please report it with the log".into());
                for target in &slot.probe.targets {
                    // When there is no room now, the next panic says it again.
                    let _ = self.reports.try_send((target.clone(), broken.clone()));
                }
            }
        }
    }
}

/// Checks once, confirms a failure where asked to, and reports to every target.
async fn run<C, F>(
    check: Arc<C>,
    probe: Arc<Probe>,
    confirm: u8,
    next: Instant,
    reports: mpsc::Sender<(Target, Report)>,
) -> Verdict
where
    C: Fn(Arc<Probe>) -> F,
    F: Future<Output = Finding>,
{
    let mut finding = check(probe.clone()).await;
    for _ in 0..confirm {
        if !matches!(finding.verdict, Verdict::Down(_)) {
            break;
        }
        sleep(CONFIRM_PAUSE).await;
        finding = check(probe.clone()).await;
    }
    let report = report_of(&finding, next);
    for target in &probe.targets {
        if reports.send((target.clone(), report.clone())).await.is_err() {
            break;
        }
    }
    finding.verdict
}

/// What is reported of a finding; the next check is due at `next`.
pub(super) fn report_of(finding: &Finding, next: Instant) -> Report {
    let result = match &finding.verdict {
        Verdict::Up => Ok(()),
        Verdict::Down(reason) => Err(reason.clone()),
        Verdict::Unable(reason) => return Report::Unable(reason.as_str().into()),
    };
    let at_ms = unix_ms();
    Report::Outcome(Outcome {
        at_ms,
        result,
        latency: finding.latency,
        certificate_ends: finding.certificate_ends,
        said: finding.said.clone(),
        next_probe_ms: at_ms + next.saturating_duration_since(Instant::now()).as_millis() as u64,
    })
}

fn interval(probe: &Probe) -> Duration {
    Duration::from_secs(u64::from(probe.monitor.interval.max(1)))
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests;
