//! When each probe runs: one task, one ordered queue of due times, a bounded number at a time.
//! It reports what checks find and knows nothing of how a check is done or what it means.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{mpsc, watch};
use tokio::task::{self, AbortHandle, JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Checker, Finding, Key, Probe, Verdict, merge};
use crate::health::{Outcome, Target};
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
    troubles: Troubles,
    task: JoinHandle<()>,
}

/// Which targets have checks that cannot run here, and why.
type Troubles = Arc<Mutex<BTreeMap<Target, Arc<str>>>>;

impl Scheduler {
    /// Starts without any probe; `seed` makes the jitter. When `outcomes` is full, probes wait for room.
    pub fn start(checker: Checker, outcomes: mpsc::Sender<(Target, Outcome)>, seed: u64) -> Self {
        let checker = Arc::new(checker);
        let check = move |probe: Arc<Probe>| {
            let checker = checker.clone();
            async move { checker.check(&probe.address, &probe.monitor).await }
        };
        Self::start_with(check, outcomes, seed)
    }

    fn start_with<C, F>(check: C, outcomes: mpsc::Sender<(Target, Outcome)>, seed: u64) -> Self
    where
        C: Fn(Arc<Probe>) -> F + Send + Sync + 'static,
        F: Future<Output = Finding> + Send + 'static,
    {
        let (wanted, wanted_in) = watch::channel(Vec::new());
        let (requests, requests_in) = mpsc::channel(MAX_REQUESTS);
        let troubles = Troubles::default();
        let schedule = Schedule {
            check: Arc::new(check),
            outcomes,
            random: StdRng::seed_from_u64(seed),
            troubles: troubles.clone(),
            next_id: 0,
            ids: HashMap::new(),
            slots: HashMap::new(),
            queue: BTreeSet::new(),
            running: JoinSet::new(),
            tasks: HashMap::new(),
        };
        let task = tokio::spawn(schedule.run(wanted_in, requests_in));
        Scheduler { wanted, requests, troubles, task }
    }

    /// Replaces what is probed. Probes that stay keep their schedule, new ones start soon, and those
    /// that are gone end at once.
    pub fn watch(&self, wanted: Vec<Probe>) {
        self.wanted.send_replace(wanted);
    }

    /// Checks every address of an endpoint now; a check that is running already counts as that.
    pub async fn check_now(&self, endpoint: &Id<Endpoint>) {
        // The scheduler can only be gone while the process ends, when no check is wanted any more.
        let _ = self.requests.send(endpoint.clone()).await;
    }

    /// The targets whose checks cannot run here and so report nothing, each with reason and remedy.
    pub fn troubles(&self) -> BTreeMap<Target, Arc<str>> {
        self.troubles.lock().clone()
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
    outcomes: mpsc::Sender<(Target, Outcome)>,
    random: StdRng,
    troubles: Troubles,
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

    fn replace(&mut self, merged: Vec<(Key, Probe)>) {
        let mut old = std::mem::take(&mut self.ids);
        let new_ones = merged.iter().filter(|(key, _)| !old.contains_key(key)).count();
        let spread = START_SPACING.saturating_mul(u32::try_from(new_ones).unwrap_or(u32::MAX));
        for (key, probe) in merged {
            let id = old.remove(&key).unwrap_or_else(|| self.add(&probe, spread));
            if let Some(slot) = self.slots.get_mut(&id)
                && slot.probe.targets != probe.targets
            {
                self.troubles.lock().retain(|target, _| !slot.probe.targets.contains(target));
                slot.probe = Arc::new(probe);
            }
            self.ids.insert(key, id);
        }
        for id in old.into_values() {
            self.remove(id);
        }
    }

    /// A new probe, due at a random moment within `spread`, but never later than its interval.
    fn add(&mut self, probe: &Probe, spread: Duration) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let within = spread.min(interval(probe));
        let due = Instant::now() + within.mul_f64(self.random.random::<f64>());
        self.queue.insert((due, id));
        self.slots.insert(id, Slot { probe: Arc::new(probe.clone()), due, running: None, last_was_up: false });
        id
    }

    fn remove(&mut self, id: u64) {
        let Some(slot) = self.slots.remove(&id) else { return };
        self.queue.remove(&(slot.due, id));
        if let Some(running) = slot.running {
            running.abort();
        }
        let mut troubles = self.troubles.lock();
        for target in &slot.probe.targets {
            troubles.remove(target);
        }
    }

    /// Makes the waiting probes of an endpoint due now.
    fn advance(&mut self, endpoint: &Id<Endpoint>) {
        let now = Instant::now();
        for (&id, slot) in &mut self.slots {
            let concerned = slot.probe.targets.iter().any(|target| target.endpoint == *endpoint);
            if concerned && slot.running.is_none() {
                self.queue.remove(&(slot.due, id));
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
            let run = run(self.check.clone(), slot.probe.clone(), confirm, slot.due, self.outcomes.clone());
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
                (error.id(), Some(Verdict::Unable("the check itself broke down; please report it with the log".into())))
            }
            Err(error) => (error.id(), None),
        };
        let Some(id) = self.tasks.remove(&task) else { return };
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.running = None;
        slot.due = slot.due.max(Instant::now());
        self.queue.insert((slot.due, id));
        match verdict {
            Some(Verdict::Unable(reason)) => note_trouble(&self.troubles, &slot.probe.targets, &reason),
            Some(reported) => {
                slot.last_was_up = reported == Verdict::Up;
                let mut troubles = self.troubles.lock();
                slot.probe.targets.iter().for_each(|target| drop(troubles.remove(target)));
            }
            None => {}
        }
    }
}

/// Checks once, confirms a failure where asked to, and reports to every target.
async fn run<C, F>(
    check: Arc<C>,
    probe: Arc<Probe>,
    confirm: u8,
    next: Instant,
    outcomes: mpsc::Sender<(Target, Outcome)>,
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
    let result = match &finding.verdict {
        Verdict::Up => Ok(()),
        Verdict::Down(reason) => Err(reason.clone()),
        Verdict::Unable(_) => return finding.verdict,
    };
    let at_ms = unix_ms();
    let outcome = Outcome {
        at_ms,
        result,
        latency: finding.latency,
        certificate_ends: finding.certificate_ends,
        next_probe_ms: at_ms + next.saturating_duration_since(Instant::now()).as_millis() as u64,
    };
    for target in &probe.targets {
        if outcomes.send((target.clone(), outcome.clone())).await.is_err() {
            break;
        }
    }
    finding.verdict
}

/// One line in the log for each reason, however many targets share it.
fn note_trouble(troubles: &Troubles, targets: &[Target], reason: &str) {
    let mut troubles = troubles.lock();
    let known = troubles.values().find(|known| known.as_ref() == reason).cloned();
    let reason = known.unwrap_or_else(|| {
        let target = targets.first().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(%target, reason, "a check cannot run here and reports nothing until this is remedied");
        reason.into()
    });
    for target in targets {
        troubles.insert(target.clone(), reason.clone());
    }
}

fn interval(probe: &Probe) -> Duration {
    Duration::from_secs(u64::from(probe.monitor.interval.max(1)))
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests;
