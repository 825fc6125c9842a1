//! What events tell together: the outages, lost endpoints and switches of a period, step by step, and the states
//! of pools through time. Pure; reads events and what is known now.

mod teller;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::event::moment;
use super::lanes::{self, Gap};
use super::{Event, EventKind, HealthTable, Moved, PoolState};
use crate::model::{Endpoint, Id, Model, Pool};
use teller::Teller;

/// Steps of one story that are kept; the rest is counted.
pub const MAX_STEPS: usize = 200;

/// How a story is found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The number of the incident.
    Incident(u64),
    /// The sequence of the first event.
    Event(u64),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Incident(number) => write!(f, "{number}"),
            Key::Event(sequence) => write!(f, "e{sequence}"),
        }
    }
}

impl FromStr for Key {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix('e') {
            Some(sequence) => sequence.parse().map(Key::Event),
            None => text.parse().map(Key::Incident),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Plot {
    /// A pool was down.
    Outage,
    /// An endpoint was down, and its pools went on without it.
    Endpoint,
    /// Somebody drained a pool, took it out, or forced an endpoint.
    Switch,
    /// A publication, a geo database, a certificate, something of the system.
    Notice,
}

/// What kind of reason a check gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Http,
    TimedOut,
    Refused,
    Tls,
    Dns,
    Unreachable,
    Dependency,
    Person,
    Other,
}

impl Reason {
    /// From the cause in words; the words of probes are in `probe/`.
    fn of(cause: &str, is_automatic: bool) -> Reason {
        let words: [(&str, Reason); 14] = [
            ("depends on ", Reason::Dependency),
            ("certificate", Reason::Tls),
            ("TLS", Reason::Tls),
            ("refused", Reason::Refused),
            ("unreachable", Reason::Unreachable),
            ("no route", Reason::Unreachable),
            (" within ", Reason::TimedOut),
            ("timed out", Reason::TimedOut),
            ("ms, more than", Reason::TimedOut),
            ("HTTP", Reason::Http),
            ("body", Reason::Http),
            ("redirects", Reason::Http),
            ("has no address", Reason::Dns),
            (" for ", Reason::Dns),
        ];
        if !is_automatic {
            return Reason::Person;
        }
        words.iter().find(|(word, _)| cause.contains(word)).map_or(Reason::Other, |(_, reason)| *reason)
    }
}

/// Events that belong together, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    pub key: Key,
    pub plot: Plot,
    /// The pool or endpoint that it is about; else the event's subject.
    pub subject: String,
    /// False where a person began it.
    pub is_automatic: bool,
    pub is_open: bool,
    /// It began before `starts`; the events do not tell when.
    pub began_earlier: bool,
    pub starts: Timestamp,
    /// `None` while it is open, or when its end is not among the events.
    pub ends: Option<Timestamp>,
    pub cause: String,
    /// Who began it.
    pub actor: String,
    /// What the first change led to, such as `down` or `drain`.
    pub to: String,
    /// The events that tell which names it touches; most tell the same as the one before.
    named: Vec<Arc<Event>>,
    pub instead: Vec<String>,
    /// Names of which some clients got the last resort, and of which some got no answer.
    pub last_resort: Vec<String>,
    pub unserved: Vec<String>,
    pub share: Option<f64>,
    pub moved: Option<Moved>,
    pub ttl: Option<u32>,
    /// Milliseconds from the first failed check to the change of the answers.
    pub reaction_ms: Option<u64>,
    /// When the last cached answer from before was gone.
    pub caches_end: Option<Timestamp>,
    /// When the pool itself was down, without the time for which it was held afterwards.
    down: Vec<(Timestamp, Timestamp)>,
    /// Since when it is down now.
    down_since: Option<Timestamp>,
    /// When northing did not run while it went on.
    stops: Arc<[Gap]>,
    pub steps: Vec<Arc<Event>>,
    pub steps_left_out: usize,
}

impl Story {
    fn new(key: Key, plot: Plot, subject: String, event: &Event) -> Story {
        let is_automatic = event.actor == "health" || event.actor == "northing";
        Story {
            key,
            plot,
            subject,
            is_automatic,
            is_open: false,
            began_earlier: false,
            starts: event.at,
            ends: None,
            cause: event.cause.clone(),
            actor: event.actor.clone(),
            to: event.to.clone(),
            named: Vec::new(),
            instead: Vec::new(),
            last_resort: Vec::new(),
            unserved: Vec::new(),
            share: None,
            moved: None,
            ttl: None,
            reaction_ms: None,
            caches_end: None,
            down: Vec::new(),
            down_since: None,
            stops: Arc::default(),
            steps: Vec::new(),
            steps_left_out: 0,
        }
    }

    fn add(&mut self, event: &Arc<Event>) {
        if !event.names.is_empty() && self.named.last().is_none_or(|last| last.names != event.names) {
            self.named.push(event.clone());
        }
        let lists = [
            (&mut self.instead, &event.instead),
            (&mut self.last_resort, &event.last_resort),
            (&mut self.unserved, &event.unserved),
        ];
        for (mine, more) in lists {
            // What follows mostly says the same.
            if *mine == *more {
                continue;
            }
            let new: Vec<String> = more.iter().filter(|name| !mine.contains(name)).cloned().collect();
            mine.extend(new);
        }
        if let Some(share) = event.query_share {
            self.share = Some(self.share.unwrap_or(0.0).max(share));
        }
        if self.steps.len() < MAX_STEPS {
            self.steps.push(event.clone());
        } else {
            self.steps_left_out += 1;
        }
    }

    /// Steps of before it began, which belong to it.
    fn take_endpoints(&mut self, mut taken: Vec<Arc<Event>>) {
        taken.truncate(MAX_STEPS.saturating_sub(self.steps.len()));
        self.steps.splice(0..0, taken);
    }

    /// The change of answers that began it.
    fn begin(&mut self, event: &Event) {
        if event.answers_stay() {
            return;
        }
        let waited = event.first_failed.map(|first| event.at.duration_since(first).as_millis().max(0));
        self.reaction_ms = waited.and_then(|ms| u64::try_from(ms).ok());
        self.ttl = event.ttl;
        self.moved = event.moved;
        let ttl = event.ttl.map(|ttl| SignedDuration::from_secs(i64::from(ttl)));
        self.caches_end = ttl.and_then(|ttl| event.at.checked_add(ttl).ok());
    }

    /// The pool is now in a state.
    fn count_down(&mut self, state: &str, at: Timestamp) {
        match (self.down_since, state == "down") {
            (None, true) => self.down_since = Some(at),
            (Some(since), false) => {
                self.down.push((since, at));
                self.down_since = None;
            }
            _ => {}
        }
    }

    /// Whole seconds for which the pool itself was known to be down: an outage lasts until it answers again, and
    /// nothing is known of the time in which northing did not run.
    pub fn down_seconds(&self, now: Timestamp) -> u64 {
        let going_on = self.down_since.zip(self.until(now));
        let spans = self.down.iter().copied().chain(going_on);
        let known = spans.map(|(from, to)| to.duration_since(from) - self.stopped(from, to));
        whole_seconds(known.sum())
    }

    /// Whole seconds of it in which northing did not run; `None` where the end is not known.
    pub fn stopped_seconds(&self, now: Timestamp) -> Option<u64> {
        self.until(now).map(|until| whole_seconds(self.stopped(self.starts, until)))
    }

    fn stopped(&self, from: Timestamp, to: Timestamp) -> SignedDuration {
        self.stops.iter().map(|gap| gap.inside(from, to)).sum()
    }

    fn until(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_open { Some(now) } else { self.ends }
    }

    /// Worked out when it is asked for: few of many stories are.
    pub fn reason(&self) -> Reason {
        Reason::of(&self.cause, self.is_automatic)
    }

    /// The names whose answers it touched, each once.
    pub fn names(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let all = self.named.iter().flat_map(|event| &event.names).map(String::as_str);
        all.filter(|name| seen.insert(*name)).collect()
    }

    /// Whole seconds, up to `now` while it is open; `None` where the end is not known.
    pub fn seconds(&self, now: Timestamp) -> Option<u64> {
        self.until(now).map(|until| whole_seconds(until.duration_since(self.starts)))
    }
}

fn whole_seconds(time: SignedDuration) -> u64 {
    time.as_secs().max(0).unsigned_abs()
}

/// When the first outage began, and when the last one was over, if none goes on.
pub fn outages_last(stories: &[Story]) -> Option<(Timestamp, Option<Timestamp>)> {
    let outages = || stories.iter().filter(|story| story.plot == Plot::Outage);
    let ends: Option<Vec<Timestamp>> = outages().map(|story| story.ends).collect();
    Some((outages().map(|story| story.starts).min()?, ends.and_then(|ends| ends.into_iter().max())))
}

/// Lets stories leave out the times in which northing did not run. `events` are those from `from` on, the oldest
/// first.
pub fn leave_out_stops<'e>(
    stories: &mut [Story],
    events: impl IntoIterator<Item = &'e Arc<Event>>,
    from: Timestamp,
    now: Timestamp,
) {
    let stops: Arc<[Gap]> = lanes::gaps(events, from, from, now).into();
    stories.iter_mut().for_each(|story| story.stops = stops.clone());
}

/// The part of a subject after its kind: `eu-west` of `pools/eu-west`, `web-1` of `endpoints/web-1 ipv4`.
pub fn subject_id<'e>(event: &'e Event, kind: &str) -> Option<&'e str> {
    let rest = event.subject.strip_prefix(kind)?.strip_prefix('/')?;
    rest.split(' ').next()
}

/// An endpoint's own event; what a monitor says that is only watched is none.
fn endpoint_id(event: &Event) -> Option<&str> {
    let is_own = matches!(event.kind, EventKind::Endpoint | EventKind::Switch) && !event.subject.contains(" check ");
    subject_id(event, "endpoints").filter(|_| is_own)
}

fn pool_id(event: &Event) -> Option<&str> {
    subject_id(event, "pools").filter(|_| matches!(event.kind, EventKind::Pool | EventKind::Switch))
}

fn is_down(word: &str) -> bool {
    matches!(word, "down" | "forced down")
}

fn is_out(word: &str) -> bool {
    matches!(word, "drain" | "off")
}

/// The stories of `events`, which come the oldest first, as do those `after` them: those still open first, then the
/// newest first.
pub fn stories(events: &[Arc<Event>], after: &[Arc<Event>], model: &Model, health: &HealthTable) -> Vec<Story> {
    let mut teller = Teller::new(model);
    events.iter().for_each(|event| teller.hear(event));
    let outages = Outages::of(after, health);
    let mut stories = teller.stories();
    for story in &mut stories {
        outages.complete(story, model);
        story.is_open = story.ends.is_none() && is_open(story, model, health);
    }
    sort(&mut stories);
    stories
}

/// Adds the outages that go on and of which none of the events that `stories` were made from tells.
pub fn add_standing(stories: &mut Vec<Story>, health: &HealthTable) {
    let open: BTreeSet<Key> = health.pools.values().filter_map(|pool| pool.incident.map(Key::Incident)).collect();
    let told: BTreeSet<Key> = stories.iter().map(|story| story.key).filter(|key| open.contains(key)).collect();
    for (id, pool) in &health.pools {
        let Some(key) = pool.incident.map(Key::Incident).filter(|key| !told.contains(key)) else { continue };
        let since = moment(pool.since_ms).unwrap_or(Timestamp::MIN);
        let event = Event {
            to: pool.state.to_string(),
            cause: pool.reason.clone(),
            ..Event::at(since, EventKind::Pool, format!("pools/{id}"))
        };
        let story = Story::new(key, Plot::Outage, id.to_string(), &event);
        // A pool that is held was down before.
        let down_since = (pool.state == PoolState::Down).then_some(since);
        stories.push(Story { is_open: true, began_earlier: pool.state == PoolState::Held, down_since, ..story });
    }
    sort(stories);
}

fn sort(stories: &mut [Story]) {
    stories.sort_by_key(|story| (!story.is_open, Reverse(story.starts), Reverse(story.key)));
}

/// What is known of outages beside the events of a period: the pool of each, and when it was over.
struct Outages<'k> {
    pools: BTreeMap<u64, &'k str>,
    ends: BTreeMap<u64, Timestamp>,
}

impl<'k> Outages<'k> {
    fn of(after: &'k [Arc<Event>], health: &'k HealthTable) -> Outages<'k> {
        let open = health.pools.iter().filter_map(|(id, pool)| Some((pool.incident?, id.as_str())));
        let later = || after.iter().filter_map(|event| Some((event.incident?, pool_id(event)?, event)));
        let ended = later().filter(|(_, _, event)| event.to == "ok");
        Outages {
            pools: open.chain(later().map(|(number, pool, _)| (number, pool))).collect(),
            ends: ended.map(|(number, _, event)| (number, event.at)).collect(),
        }
    }

    /// An outage of which only endpoints told began before them: its pool is known from elsewhere, or there is one
    /// pool only that it can be. Else it is told as what it is for certain, an endpoint that was down.
    fn complete(&self, story: &mut Story, model: &Model) {
        let Key::Incident(number) = story.key else { return };
        if story.plot != Plot::Outage {
            return;
        }
        if story.ends.is_none() {
            story.ends = self.ends.get(&number).copied();
        }
        if !story.subject.is_empty() {
            return;
        }
        story.began_earlier = true;
        let endpoint = story.steps.iter().find_map(|event| endpoint_id(event)).unwrap_or_default().to_owned();
        let has = |pool: &Pool| pool.members.iter().any(|member| member.endpoint.as_str() == endpoint);
        let mut having = model.pools.iter().filter(|(_, pool)| has(pool)).map(|(id, _)| id.as_str());
        let only = having.next().filter(|_| having.next().is_none());
        match self.pools.get(&number).copied().or(only) {
            Some(pool) => story.subject = pool.to_owned(),
            None => (story.plot, story.subject) = (Plot::Endpoint, endpoint),
        }
    }
}

fn is_open(story: &Story, model: &Model, health: &HealthTable) -> bool {
    let pool = || Some(health.pools.get(&story.subject.parse().ok()?)?.clone());
    match (story.plot, story.key) {
        (Plot::Outage, Key::Incident(number)) => pool().is_some_and(|pool| pool.incident == Some(number)),
        (Plot::Switch, _) if is_out(&story.to) => {
            pool().is_some_and(|pool| matches!(pool.state, PoolState::Drain | PoolState::Off))
        }
        (Plot::Endpoint | Plot::Switch, _) => {
            let id = story.subject.parse::<Id<Endpoint>>().ok().filter(|id| model.endpoints.contains_key(id));
            let known = id.and_then(|id| health.endpoints.get(&id));
            known.is_some_and(|known| known.families.values().any(|family| family.state == super::EndpointState::Down))
        }
        _ => false,
    }
}

/// The middle of the times from the first failed check to new answers, in milliseconds.
pub fn median_reaction_ms<'s>(stories: impl IntoIterator<Item = &'s Story>) -> Option<u64> {
    let outages = stories.into_iter().filter(|story| story.plot == Plot::Outage);
    let mut times: Vec<u64> = outages.filter_map(|story| story.reaction_ms).collect();
    times.sort_unstable();
    let (below, above) = (times.get(times.len().checked_sub(1)? / 2)?, times.get(times.len() / 2)?);
    Some(below + (above - below) / 2)
}

#[cfg(test)]
mod tests;
