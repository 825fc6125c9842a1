//! The only writer of model, health and snapshot. Everything that changes the world passes through
//! this one task in one order: outcomes of probes, publications, switches, timers, a new geo file.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::answer::Snapshot;
use crate::geo::Base;
use crate::health::{Event, EventKind, Health, Report, Switch, Target, Watch, judged};
use crate::model::{Admin, FieldError, Id, Model, Pool, Revision};
use crate::store::Loaded;

use super::accounts::Admitted;
use super::draft::Drafts;
use super::keeper::{Kept, lost};
use super::outcomes::Outcomes;
use super::passage::{Passage, Passed, Stored};
use super::pool_shares::KeptShares;
use super::recent::Recent;
use super::retired;
use super::traffic::Attached;
use super::{
    Act, CheckRequest, Command, Control, Expect, Keeper, LIVE_EVENTS, MAX_CHECK_REQUESTS, MAX_COMMANDS, Publication,
    Published, Refusal, Reply, Shared, now,
};

/// Reports taken into one snapshot swap. A burst larger than this becomes several swaps, so that
/// the first of it is not held up by the last.
const MAX_BURST: usize = 10_000;

/// Publications that wait while one is being stored.
const MAX_QUEUE: usize = 256;

/// Where the world comes in from, as `app` connects it.
pub struct Inputs {
    pub reports: mpsc::Receiver<(Target, Report)>,
    /// Pools that answered although held: nothing better was left.
    pub used_held: mpsc::Receiver<Id<Pool>>,
}

/// What probes are asked for.
pub struct Wanted {
    /// All that must be probed.
    pub watched: watch::Receiver<Arc<Vec<Watch>>>,
    /// What somebody wants checked now.
    pub at_once: mpsc::Receiver<CheckRequest>,
}

/// The state of the one writer.
pub struct Writer {
    shared: Arc<Shared>,
    keeper: Keeper,
    commands: mpsc::Receiver<Command>,
    inputs: Inputs,
    watched: watch::Sender<Arc<Vec<Watch>>>,
    model: Arc<Model>,
    geo: Arc<Base>,
    health: Health,
    /// The health generation that the published snapshot shows.
    shown: u64,
    /// The SHA-256 that the next revision is linked to.
    last_sha256: String,
    /// Made anew with the first event of another model.
    attached: Attached,
    storing: Option<Storing>,
    retired: mpsc::Sender<Arc<Snapshot>>,
    waiting: VecDeque<(Publication, Reply<Published>)>,
}

/// The publication that is on its way; others wait for it.
struct Storing {
    done: oneshot::Receiver<Result<Passed, Refusal>>,
    reply: Reply<Published>,
}

impl Writer {
    /// Takes what the store held and answers at once with it: last states, no probe awaited.
    pub fn new(
        loaded: Loaded,
        newest: Option<Revision>,
        keeper: Keeper,
        geo: Arc<Base>,
        inputs: Inputs,
    ) -> Result<(Writer, Control, Wanted), Vec<FieldError>> {
        let started = now();
        let last_sha256 = newest.as_ref().map(|newest| newest.sha256.clone()).unwrap_or_default();
        let now_ms = unix_ms();
        let model = Arc::new(Model::load(loaded.revision, loaded.entities)?);
        let (health, at_start) = Health::new(&model, &loaded.health, now_ms);
        let snapshot = Snapshot::compile(&model, &geo, health.table(), None);
        let shared = Arc::new(Shared {
            last_backup: Mutex::default(),
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            health: ArcSwap::from_pointee(health.table().clone()),
            admitted: Admitted::load(&loaded.secrets),
            traffic: Mutex::default(),
            outcomes: Outcomes::default(),
            drafts: Drafts::load(loaded.drafts),
            live: broadcast::Sender::new(LIVE_EVENTS),
            recent: Recent::default(),
            newest: Mutex::new(newest),
            pool_shares: KeptShares::default(),
            events_lost: AtomicU64::new(0),
            started,
        });
        let (command_sender, commands) = mpsc::channel(MAX_COMMANDS);
        let (watched, watched_receiver) = watch::channel(Arc::new(health.targets()));
        let (check_requests, at_once) = mpsc::channel(MAX_CHECK_REQUESTS);
        let wanted = Wanted { watched: watched_receiver, at_once };
        let control =
            Control { shared: shared.clone(), commands: command_sender, check_requests, keeper: keeper.clone() };
        let mut writer = Writer {
            shared,
            keeper,
            commands,
            inputs,
            watched,
            model,
            geo,
            shown: health.generation(),
            health,
            last_sha256,
            attached: Attached::default(),
            storing: None,
            retired: retired::start(),
            waiting: VecDeque::new(),
        };
        writer.happened(at_start);
        Ok((writer, control, wanted))
    }

    /// Runs until `stop`. A publication that is being stored is finished first.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let tick = self.health.next_tick_ms().map(|at| Duration::from_millis(at.saturating_sub(unix_ms())));
            tokio::select! {
                () = stop.cancelled() => break,
                Some(first) = self.inputs.reports.recv() => self.hear(first),
                Some(pool) = self.inputs.used_held.recv() => {
                    let events = self.health.release(&pool, unix_ms());
                    self.happened(events);
                }
                result = stored(&mut self.storing) => self.finish(result),
                Some(command) = self.commands.recv() => self.command(command),
                () = tokio::time::sleep(tick.unwrap_or(Duration::MAX)), if tick.is_some() => {
                    let events = self.health.tick(unix_ms());
                    self.happened(events);
                }
            }
        }
        // Whoever waits still is told that northing is stopping.
        self.waiting.clear();
        if self.storing.is_some() {
            let result = stored(&mut self.storing).await;
            self.finish(result);
        }
        self.save_health();
    }

    /// One report and all that came with it, then at most one swap.
    fn hear(&mut self, first: (Target, Report)) {
        let now_ms = unix_ms();
        self.keep(&first.0, &first.1);
        let mut events = self.health.hear(&first.0, &first.1, now_ms);
        for _ in 1..MAX_BURST {
            let Ok((target, report)) = self.inputs.reports.try_recv() else { break };
            self.keep(&target, &report);
            events.extend(self.health.hear(&target, &report, now_ms));
        }
        self.happened(events);
    }

    /// Keeps an outcome for people to read.
    fn keep(&self, target: &Target, report: &Report) {
        let Report::Outcome(outcome) = report else { return };
        let Some(monitor) = self.model.monitors.get(&target.monitor) else { return };
        self.shared.outcomes.push(target, outcome, &judged(outcome, monitor));
    }

    /// Shows the new health, then tells: first the answer, then the record of it.
    fn happened(&mut self, mut events: Vec<Event>) {
        if self.health.generation() != self.shown {
            let current = self.shared.snapshot.load_full();
            self.swap(current.with_health(self.health.table()));
        }
        if events.is_empty() {
            return;
        }
        self.tell_shares(&mut events);
        for event in &events {
            let Event { kind, subject, from, to, cause, .. } = event;
            // The first verdict after a start is no news.
            if from == "unknown" {
                tracing::debug!("{subject}: {from} → {to}: {cause}");
            } else if *kind == EventKind::System && to != "started" {
                tracing::warn!("{subject}: {from} → {to}: {cause}");
            } else {
                tracing::info!("{subject}: {from} → {to}: {cause}");
            }
            let _ = self.shared.live.send(Arc::new(event.clone()));
        }
        self.save_health();
        let count = events.len() as u64;
        let shared = self.shared.clone();
        let append = move |kept: &mut Kept| {
            kept.store.append_events(&mut events)?;
            shared.recent.push(events);
            Ok(())
        };
        if !self.keeper.post(append) {
            self.shared.events_lost.fetch_add(count, Ordering::Relaxed);
            tracing::error!("{count} events could not be recorded: the disk is too slow; answers go on");
        }
    }

    /// Says of each event what part of the queries it touches.
    fn tell_shares(&mut self, events: &mut [Event]) {
        if events.iter().all(|event| event.names.is_empty()) {
            return;
        }
        if !self.attached.is_of(&self.model) {
            self.attached = Attached::of(&self.model);
        }
        // Looked up before the lock, which pages wait for.
        let policies: Vec<_> = events.iter().map(|event| self.attached.policies(&event.names)).collect();
        let traffic = self.shared.traffic.lock();
        let mut shares = traffic.shares();
        for (event, policies) in events.iter_mut().zip(&policies) {
            event.query_share = shares.of(policies).filter(|_| !event.names.is_empty());
            let pool = event.subject.strip_prefix("pools/").and_then(|id| id.parse().ok());
            event.moved = pool.filter(|_| event.from == "ok").and_then(|pool| traffic.moved(&pool));
        }
    }

    fn save_health(&mut self) {
        let states = self.health.take_unsaved();
        if states.is_empty() {
            return;
        }
        if !self.keeper.post(move |kept| kept.store.save_health(&states)) {
            tracing::error!("the last health states could not be recorded: the disk is too slow; answers go on");
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Publish(publication, reply) => {
                if self.waiting.len() >= MAX_QUEUE {
                    let _ = reply.send(Err(Refusal::Busy));
                } else {
                    self.waiting.push_back((publication, reply));
                    self.publish_next();
                }
            }
            Command::Act(act, reply) => {
                let _ = reply.send(self.act(act));
            }
            Command::Geo { base, note, reply } => {
                self.set_geo(base, note);
                let _ = reply.send(Ok(()));
            }
            Command::Note(event) => self.happened(vec![event]),
            Command::Checks(endpoint, reply) => {
                let _ = reply.send(Ok(self.health.checks(&endpoint)));
            }
            Command::Unheld(endpoint, reply) => {
                let _ = reply.send(Ok(self.health.unheld(&endpoint)));
            }
        }
    }

    fn act(&mut self, Act { switch, author, reason }: Act) -> Result<Vec<Event>, Refusal> {
        let result = self.health.act(&switch, &author.actor, &reason, unix_ms());
        let events = result.map_err(|text| Refusal::Invalid(vec![FieldError::told(subject(&switch), &text)]))?;
        self.happened(events.clone());
        // A load feed is a measurement, no administrative act; it would flood the audit log. What was so already was done
        // by nobody.
        if !matches!(switch, Switch::Load { .. }) && !events.is_empty() {
            let mut draft = author.act(action(&switch), subject(&switch));
            draft.reason = reason;
            if !self.keeper.post(move |kept| kept.audit(draft)) {
                tracing::error!("an act of {} is missing in the audit log: the disk is too slow", author.actor);
            }
        }
        Ok(events)
    }

    fn set_geo(&mut self, base: Arc<Base>, note: String) {
        self.geo = base;
        self.recompile();
        self.happened(vec![system_event(EventKind::GeoDatabase, "geo database", "replaced", note)]);
    }

    /// Compiles what changed and swaps; runs on this task's thread, which the runtime then replaces.
    fn recompile(&mut self) {
        let current = self.shared.snapshot.load_full();
        let compile = || Snapshot::compile(&self.model, &self.geo, self.health.table(), Some(&current));
        let snapshot = tokio::task::block_in_place(compile);
        self.swap(snapshot);
    }

    fn swap(&mut self, snapshot: Snapshot) {
        let old = self.shared.snapshot.swap(Arc::new(snapshot));
        let _ = self.retired.try_send(old);
        self.shared.health.store(Arc::new(self.health.table().clone()));
        self.shown = self.health.generation();
    }

    /// Sets the next publication on its way, unless one is.
    fn publish_next(&mut self) {
        while self.storing.is_none() {
            let Some((publication, reply)) = self.waiting.pop_front() else { return };
            if let Some(refusal) = publication.expect.iter().find_map(|expect| unmet(&self.model, expect)) {
                let _ = reply.send(Err(refusal));
                continue;
            }
            let passage = Passage {
                before: self.shared.snapshot.load_full(),
                health: self.health.table().clone(),
                keeper: self.keeper.clone(),
                last_sha256: self.last_sha256.clone(),
            };
            let (sender, done) = oneshot::channel();
            tokio::spawn(async move {
                // The writer waits for it even while it stops.
                let _ = sender.send(passage.publish(publication).await);
            });
            self.storing = Some(Storing { done, reply });
        }
    }

    /// The disk has spoken: show the new model, or leave everything as it was.
    fn finish(&mut self, result: Result<Passed, Refusal>) {
        let Some(Storing { reply, .. }) = self.storing.take() else { return };
        let _ = reply.send(result.map(|passed| match passed {
            Passed::Nothing(warnings) => Published { revision: self.model.revision, sentences: Vec::new(), warnings },
            Passed::Stored(stored) => self.show(*stored),
        }));
        self.publish_next();
    }

    fn show(&mut self, Stored { snapshot, warnings, revision, changed }: Stored) -> Published {
        let is_steered_anew = !self.model.steers_like(snapshot.model());
        self.model = snapshot.model().clone();
        self.last_sha256 = revision.sha256.clone();
        *self.shared.newest.lock() = Some(revision.clone());
        let mut events = self.health.reconfigure(&self.model, unix_ms());
        // Health, and even the geo database, went on while this was checked and stored.
        if Arc::ptr_eq(snapshot.geo(), &self.geo) {
            self.swap(snapshot.with_health(self.health.table()));
        } else {
            self.recompile();
        }
        self.shared.drafts.forget_checked();
        if is_steered_anew {
            let targets = self.health.targets();
            let watched: BTreeSet<&Target> = targets.iter().map(|watch| &watch.target).collect();
            self.shared.outcomes.retain(|target| watched.contains(target));
            self.watched.send_replace(Arc::new(targets));
        }
        let Revision { number, author, message, sentences, .. } = revision;
        let cause = if message.is_empty() { sentences.join(" ") } else { message };
        events.push(Event {
            from: format!("revision {}", number - 1),
            actor: author,
            changed,
            ..system_event(EventKind::Publish, "configuration", &format!("revision {number}"), cause)
        });
        self.happened(events);
        Published { revision: number, sentences, warnings }
    }
}

/// What a switch is about, as a path.
pub fn subject(switch: &Switch) -> String {
    match switch {
        Switch::Pool { pool, .. } | Switch::ApproveFailback { pool } | Switch::Load { pool, .. } => {
            format!("pools/{pool}")
        }
        Switch::Force { endpoint, .. } => format!("endpoints/{endpoint}"),
    }
}

/// The word that the audit log has for it.
fn action(switch: &Switch) -> &'static str {
    match switch {
        Switch::Pool { admin: Admin::On, .. } => "on",
        Switch::Pool { admin: Admin::Drain, .. } => "drain",
        Switch::Pool { admin: Admin::Off, .. } => "off",
        Switch::ApproveFailback { .. } => "approve failback",
        Switch::Force { state: None, .. } => "stop forcing",
        Switch::Force { .. } => "force",
        Switch::Load { .. } => "load",
    }
}

/// Waits for the publication that is being stored; for ever when there is none.
async fn stored(storing: &mut Option<Storing>) -> Result<Passed, Refusal> {
    match storing {
        None => std::future::pending().await,
        Some(storing) => match (&mut storing.done).await {
            Ok(result) => result,
            Err(_) => Err(lost("the store could not finish this").into()),
        },
    }
}

fn unmet(model: &Model, expect: &Expect) -> Option<Refusal> {
    let rev = |kind, id: &str| model.entity(kind, id).map(|entity| entity["rev"].as_u64().unwrap_or(0));
    match expect {
        Expect::Revision(number) if model.revision != *number => Some(Refusal::Conflict(format!(
            "revision {} was published meanwhile; look at what changed since {number}, then try again",
            model.revision
        ))),
        Expect::Revision(_) => None,
        Expect::Exists(kind, id) => rev(*kind, id).is_none().then(|| missing(*kind, id)),
        Expect::Absent(kind, id) => rev(*kind, id).map(|_| {
            Refusal::Conflict(format!("{}/{id} exists already; change it, or choose another id", kind.as_str()))
        }),
        Expect::Unchanged(kind, id, wanted) => match rev(*kind, id) {
            None => Some(missing(*kind, id)),
            Some(found) if found != *wanted => Some(Refusal::Conflict(format!(
                "{}/{id} was changed by revision {found} meanwhile; read it again, then repeat the change",
                kind.as_str()
            ))),
            Some(_) => None,
        },
    }
}

fn missing(kind: crate::model::Kind, id: &str) -> Refusal {
    Refusal::NotFound(format!("There is no {} {id}; GET /api/v1/{} lists all.", kind.singular(), kind.as_str()))
}

/// An event of the system itself.
pub fn system_event(kind: EventKind, subject: &str, to: &str, cause: String) -> Event {
    Event { to: to.into(), cause, actor: "northing".into(), ..Event::at(now(), kind, subject.into()) }
}

/// Unix milliseconds by the wall clock.
pub fn unix_ms() -> u64 {
    now().as_millisecond().unsigned_abs()
}
