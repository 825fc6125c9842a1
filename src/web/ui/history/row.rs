//! A story in words: its head line, its steps, and the facts beside them.

use std::collections::HashMap;

use jiff::Timestamp;

use super::super::cause;
use super::super::filters;
use super::super::pools;
use super::super::text::{Language, Text, capital, count, fact, text};
use super::super::visit::Visit;
use crate::health::story::{Plot, Story, subject_id};
use crate::health::{Event, EventKind, PoolState};
use crate::model::{Id, Model, Pool, Recovery};

/// Pools of an endpoint that are named.
const MAX_POOLS: usize = 3;
/// Names shown as chips; the rest is counted.
const MAX_NAMES: usize = 12;

/// A line of the list and what unfolds from it.
pub struct Row {
    pub key: String,
    pub is_open: bool,
    pub is_unfolded: bool,
    pub when: Text,
    /// The same with its days, which a report needs.
    pub dates: Text,
    pub icon: &'static str,
    pub colour: &'static str,
    pub title: Text,
    pub cause: Text,
    pub length: Text,
    pub kind: Text,
    pub steps: Vec<Step>,
    pub steps_left_out: usize,
    /// Without the final dot.
    pub names: Vec<String>,
    pub more_names: usize,
    pub facts: Vec<Fact>,
    /// The pool that may be given back or held back, and how it stands.
    pub failback: Option<Failback>,
    /// The pool or endpoint that has a page.
    pub link: Option<(String, String)>,
}

pub struct Step {
    /// `None` is now.
    pub at: Option<Timestamp>,
    pub text: Text,
}

pub struct Fact {
    pub word: Text,
    pub value: Text,
}

pub struct Failback {
    pub pool: String,
    pub is_held: bool,
    /// It answers all the same, since nothing else is up: the next query ends the hold.
    pub ends_hold: bool,
    /// It is down, and nobody has to approve its return.
    pub comes_by_itself: bool,
}

impl Row {
    pub fn of(story: &Story, visit: &Visit, members: &Members) -> Row {
        let now = visit.now;
        let failback = failback(story, visit);
        let is_held = failback.as_ref().is_some_and(|failback| failback.is_held);
        let (icon, colour) = if is_held { ("hand", "warnc") } else { look(story) };
        let all_names = story.names();
        let names = all_names.iter().take(MAX_NAMES).map(|name| name.trim_end_matches('.').to_owned()).collect();
        Row {
            key: story.key.to_string(),
            is_open: story.is_open,
            is_unfolded: false,
            when: when(story, now),
            dates: dates(story),
            icon,
            colour,
            title: match &failback {
                Some(failback) if failback.ends_hold => {
                    text("{pool} held, and answers all the same").set("pool", &story.subject)
                }
                Some(failback) if failback.is_held => held_title(story),
                _ => title(story, members),
            },
            cause: match is_held {
                true => text("It was down: {cause}").say("cause", cause::of_story(story)),
                false => cause::of_story(story),
            },
            length: match (story.plot, story.seconds(now)) {
                (Plot::Notice, _) => text(""),
                (_, Some(seconds)) if story.began_earlier => text("over {time}").say("time", length(seconds)),
                (_, Some(seconds)) => length(seconds),
                _ => text("ended later"),
            },
            kind: match (story.plot, story.is_automatic) {
                (Plot::Notice, _) => text("Notice"),
                (_, true) => text("Automatic"),
                _ => text("Manual"),
            },
            steps: steps(story, failback.as_ref(), visit),
            steps_left_out: story.steps_left_out,
            names,
            more_names: all_names.len().saturating_sub(MAX_NAMES),
            facts: facts(story, visit),
            failback,
            link: link(story, members),
        }
    }
}

fn link(story: &Story, members: &Members) -> Option<(String, String)> {
    let mut steps = story.steps.iter().filter(|event| event.kind != EventKind::Note);
    let first = steps.find(|event| event.subject.contains('/'));
    let is_pool = story.plot == Plot::Outage || first?.subject.starts_with("pools/");
    match story.plot {
        Plot::Notice => None,
        _ if is_pool => Some((format!("/pools/{}", story.subject), story.subject.clone())),
        _ => {
            let pool = members.pools(&story.subject).into_iter().next()?;
            Some((format!("/pools/{pool}/endpoints/{}", story.subject), story.subject.clone()))
        }
    }
}

fn look(story: &Story) -> (&'static str, &'static str) {
    match (story.plot, story.is_open) {
        (Plot::Outage, true) => ("octagon-x", ""),
        (Plot::Outage, false) => ("circle-check", "okc"),
        (Plot::Endpoint, true) => ("triangle-alert", "warnc"),
        (Plot::Endpoint, false) => ("circle-check", "okc"),
        (Plot::Switch, _) => ("wrench", ""),
        (Plot::Notice, _) => ("info", ""),
    }
}

fn title(story: &Story, members: &Members) -> Text {
    let subject = &story.subject;
    let instead = story.instead.join(", ");
    match story.plot {
        Plot::Outage if !instead.is_empty() && story.is_open => {
            text("{pool} down, {instead} answers for it").set("pool", subject).set("instead", instead)
        }
        Plot::Outage if !instead.is_empty() => {
            text("{pool} down, {instead} answered for it").set("pool", subject).set("instead", instead)
        }
        Plot::Outage => text("{pool} down").set("pool", subject),
        Plot::Switch if story.to == "drain" => text("{pool} drained").set("pool", subject),
        Plot::Switch if story.to == "off" => text("{pool} switched off").set("pool", subject),
        Plot::Switch if story.to == "forced down" => text("{endpoint} forced down").set("endpoint", subject),
        Plot::Switch => text("{what}: {state}").set("what", subject).say("state", state(&story.to)),
        Plot::Endpoint => {
            let pools = members.pools(subject);
            let title = if pools.is_empty() { text("{endpoint} down") } else { text("{endpoint} out of {pools}") };
            title.set("endpoint", subject).set("pools", pools.join(", "))
        }
        Plot::Notice => match story.steps.first().map(|event| event.kind) {
            Some(EventKind::Publish) => {
                text("Version {n} published").set("n", story.to.strip_prefix("revision ").unwrap_or(&story.to))
            }
            Some(EventKind::System) if story.to == "started" => text("Northing started"),
            Some(EventKind::GeoDatabase) => text("Geo database {state}").fact("state", "state", &story.to),
            Some(EventKind::Certificate) => {
                let endpoint = subject.trim_start_matches("endpoints/");
                text("Certificate of {endpoint}: {state}").set("endpoint", endpoint).fact("state", "state", &story.to)
            }
            _ => text("{what}: {state}").fact("what", "subject", subject).say("state", state(&story.to)),
        },
    }
}

fn held_title(story: &Story) -> Text {
    let instead = story.instead.join(", ");
    let title = if instead.is_empty() { text("{pool} held") } else { text("{pool} held, {instead} answers for it") };
    title.set("pool", &story.subject).set("instead", instead)
}

/// The pools of every endpoint.
pub struct Members<'m>(HashMap<&'m str, Vec<&'m Id<Pool>>>);

impl<'m> Members<'m> {
    pub fn of(model: &'m Model) -> Members<'m> {
        let mut pools: HashMap<&str, Vec<&Id<Pool>>> = HashMap::new();
        for (id, pool) in &model.pools {
            pool.members.iter().for_each(|member| pools.entry(member.endpoint.as_str()).or_default().push(id));
        }
        Members(pools)
    }

    /// The first pools of an endpoint.
    pub fn pools(&self, endpoint: &str) -> Vec<String> {
        self.0.get(endpoint).into_iter().flatten().take(MAX_POOLS).map(ToString::to_string).collect()
    }
}

/// The words that events have for states.
fn state(word: &str) -> Text {
    match word {
        "down" => text("Down"),
        "up" | "ok" => text("Up"),
        "held" => text("Held"),
        "drain" => text("Drained"),
        "off" => text("Off"),
        "unknown" => text("No data"),
        "forced down" => text("forced down"),
        "forced up" => text("forced up"),
        other => fact("state", other),
    }
}

fn when(story: &Story, now: Timestamp) -> Text {
    let starts = story.starts;
    let end = story.ends.filter(|_| story.plot != Plot::Notice);
    let pattern = match (story.is_open, end.is_some(), story.began_earlier) {
        (true, _, true) => "Since before {from}",
        (true, _, false) => "{from} to now",
        (false, true, true) => "From before {from} to {to}",
        (false, true, false) => "{from} to {to}",
        (false, false, true) => "From before {from}",
        (false, false, false) => "{from}",
    };
    let from = |language| match is_same_day(starts, now) {
        true => filters::time_html(starts, &text("today {time}").set("time", "%H:%M").to_html(language)),
        false => filters::time_html(starts, &dated(language)),
    };
    let to = |language| match end {
        Some(end) if is_same_day(end, starts) => filters::time_html(end, "%H:%M"),
        Some(end) => filters::time_html(end, &dated(language)),
        None => String::new(),
    };
    text(pattern).each_html("from", from).each_html("to", to)
}

/// From when to when, each with its day, in a form that sorts.
fn dates(story: &Story) -> Text {
    let end = story.ends.filter(|_| story.plot != Plot::Notice);
    let pattern = match (story.is_open, end.is_some(), story.began_earlier) {
        (true, _, false) => "{from}, not over yet",
        (true, _, true) => "Before {from}, not over yet",
        (false, true, false) => "{from} to {to}",
        (false, true, true) => "Before {from} to {to}",
        (false, false, false) => "{from}",
        (false, false, true) => "Before {from}",
    };
    let to = end.map(filters::minute_html).unwrap_or_default();
    text(pattern).html("from", filters::minute_html(story.starts)).html("to", to)
}

/// A moment: the time of today, or with its day.
pub fn moment(at: Timestamp, now: Timestamp) -> Text {
    text("{at}").each_html("at", |language| match is_same_day(at, now) {
        true => filters::time_html(at, "%H:%M"),
        false => filters::time_html(at, &dated(language)),
    })
}

fn is_same_day(a: Timestamp, b: Timestamp) -> bool {
    a.as_second().div_euclid(86_400) == b.as_second().div_euclid(86_400)
}

/// The form of a moment that is not of today.
fn dated(language: Language) -> String {
    format!("{} %H:%M", filters::day_form(language))
}

/// A length of time; seconds where it is short.
pub fn length(seconds: u64) -> Text {
    filters::span(seconds)
}

/// Milliseconds as seconds with one decimal where that says something.
pub fn short(ms: u64) -> Text {
    match ms {
        0..10_000 => text("{s} s").set("s", format!("{:.1}", ms as f64 / 1000.0).trim_end_matches(".0")),
        ms if ms < 120_000 => text("{s} s").set("s", (ms + 500) / 1000),
        ms => filters::span(ms / 1000),
    }
}

/// The vantage whose checks told of it; `None` where nobody checked, such as after a switch by hand. Only this machine
/// checks.
pub fn seen_by<'v>(story: &Story, visit: &'v Visit) -> Option<&'v str> {
    story.steps.iter().any(|event| event.first_failed.is_some()).then(|| visit.web.metrics.node())
}

fn facts(story: &Story, visit: &Visit) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |word: &'static str, value: Text| facts.push(Fact { word: text(word), value });
    if let Some(node) = seen_by(story, visit) {
        add("Seen by", text("<b>{node}</b>, the only vantage").set("node", node));
    }
    if let Some(ms) = story.reaction_ms {
        add("First failed check to new answers", text("<b>{time}</b>").say("time", short(ms)));
    }
    let (down, whole) = (story.down_seconds(visit.now), story.seconds(visit.now).unwrap_or(0));
    let stopped = story.stopped_seconds(visit.now).unwrap_or(0);
    let held = whole.saturating_sub(down + stopped);
    if story.plot == Plot::Outage && !story.began_earlier && down + 1 < whole {
        let parts = [("Down", down), ("Held after that", held), ("No data, Northing did not run", stopped)];
        // Parts of a second are no time of their own.
        for (word, seconds) in parts.into_iter().filter(|(_, seconds)| *seconds > 1) {
            add(word, text("<b>{time}</b>").say("time", length(seconds)));
        }
    }
    if let Some(moved) = story.moved {
        let value = text("<b>{share}</b>, {rate} per second").set("share", filters::percent_text(moved.share));
        add("Share of queries moved", value.set("rate", filters::figure_text(moved.per_second)));
    } else if let Some(share) = story.share {
        add("Share of queries to these names", text("<b>{share}</b>").set("share", filters::percent_text(share)));
    }
    if !story.instead.is_empty() {
        add("Answered instead by", text("<b>{pools}</b>").set("pools", story.instead.join(", ")));
    }
    if story.plot != Plot::Notice {
        let some = |names: usize| match names {
            0 => text("<b>0</b>"),
            names => text("<b>some</b>, of {names}").say("names", count(names, "{n} name", "{n} names")),
        };
        add("Clients without an answer", some(story.unserved.len()));
        if !story.last_resort.is_empty() {
            add("Clients that got the last resort", some(story.last_resort.len()));
        }
    }
    if let Some(ttl) = story.ttl {
        add("TTL of the answers before", text("<b>{ttl} s</b>").set("ttl", ttl));
    }
    facts
}

/// What an operator can decide about the return of the pool: to approve it, or to stop it from coming by itself.
fn failback(story: &Story, visit: &Visit) -> Option<Failback> {
    let id: Id<Pool> = story.subject.parse().ok().filter(|_| story.plot == Plot::Outage && story.is_open)?;
    let (model, health) = (visit.model(), visit.web.control.health());
    let is_manual = model.pools.get(&id)?.recovery == Recovery::Manual;
    let state = health.pools.get(&id)?.state;
    let comes_by_itself = state == PoolState::Down && !is_manual;
    let is_held = state == PoolState::Held;
    let ends_hold = is_held && pools::ends_hold(&visit.web.control.snapshot(), &id);
    Some(Failback { pool: id.to_string(), is_held, ends_hold, comes_by_itself })
}

fn steps(story: &Story, failback: Option<&Failback>, visit: &Visit) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(first) = story.steps.iter().find_map(|event| event.first_failed) {
        steps.push(Step { at: Some(first), text: text("First failed check") });
    }
    let model = visit.model();
    // A pool repeats what its endpoint said.
    let said = |event: &Event| {
        let endpoints = story.steps.iter().filter(|other| other.kind == EventKind::Endpoint && other.at == event.at);
        endpoints.map(|other| other.cause.as_str()).find(|cause| event.cause.ends_with(*cause) && !cause.is_empty())
    };
    steps.extend(story.steps.iter().map(|event| {
        let repeated = said(event).filter(|_| event.kind == EventKind::Pool);
        let own = repeated.and_then(|cause| event.cause.strip_suffix(cause)).unwrap_or(&event.cause);
        Step { at: Some(event.at), text: step(event, own.trim_end_matches([':', ' ']), &model) }
    }));
    if let (Some(at), Some(ttl)) = (story.caches_end.filter(|at| *at <= visit.now), story.ttl) {
        steps.push(Step { at: Some(at), text: text("Last cached answer expired (TTL {ttl} s)").set("ttl", ttl) });
    }
    steps.sort_by_key(|step| step.at);
    if story.is_open {
        steps.push(Step { at: None, text: still(story, failback, visit) });
    }
    steps
}

/// `cause` is what is left to say of the event's own.
fn step(event: &Event, cause: &str, model: &Model) -> Text {
    let quoted = || cause::of_event(event);
    let said = || cause::sentence(event.kind, cause);
    let pool = subject_id(event, "pools");
    match (event.kind, pool) {
        (EventKind::Note, _) => text("{who}: “{note}”").set("who", &event.actor).say("note", quoted()),
        (EventKind::Switch, _) => text("{who}: <b>{what} {state}.</b> {reason}")
            .set("who", &event.actor)
            .set("what", cause::subject(model, &event.subject))
            .say("state", state(&event.to))
            .say("reason", cause::reason(&event.cause)),
        (EventKind::Pool, Some(pool)) if !event.instead.is_empty() => {
            text("<b>{pool}: {state}.</b> {instead} answers now. {cause}")
                .set("pool", pool)
                .say("state", state(&event.to))
                .set("instead", event.instead.join(", "))
                .say("cause", said())
        }
        (EventKind::Pool, Some(pool)) if !event.unserved.is_empty() || event.answers_stay() => {
            let words = match event.unserved.is_empty() {
                true => text("<b>{pool}: {state}.</b> Clients get it all the same, as the last resort. {cause}"),
                false => text("<b>{pool}: {state}.</b> Some clients get no answer. {cause}"),
            };
            words.set("pool", pool).say("state", state(&event.to)).say("cause", said())
        }
        (EventKind::Endpoint, _) => text("<b>Endpoint {endpoint}: {state}.</b> {cause}")
            .set("endpoint", cause::subject(model, &event.subject))
            .say("state", state(&event.to))
            .say("cause", said()),
        (EventKind::Pool, _) => text("<b>{pool}: {state}.</b> {cause}")
            .set("pool", cause::subject(model, &event.subject))
            .say("state", state(&event.to))
            .say("cause", said()),
        _ => text("{cause}").say("cause", quoted()),
    }
}

/// What holds now, and how it ends.
fn still(story: &Story, failback: Option<&Failback>, visit: &Visit) -> Text {
    let length = length(story.seconds(visit.now).unwrap_or(0));
    let (model, health) = (visit.model(), visit.web.control.health());
    let pool: Option<Id<Pool>> = story.subject.parse().ok().filter(|_| story.plot == Plot::Outage);
    let known = pool.as_ref().and_then(|id| health.pools.get(id));
    let recovery = pool.as_ref().and_then(|id| model.pools.get(id)).map(|pool| pool.recovery);
    let pattern = match (known.map(|known| known.state), recovery) {
        (Some(PoolState::Held), _) if failback.is_some_and(|failback| failback.ends_hold) => {
            "Held, and answers all the same: nothing else of the rule is up; the next query ends the hold"
        }
        (Some(PoolState::Held), Some(Recovery::Manual)) => "Recovered. Waits for approval to answer again",
        (Some(PoolState::Held), _) => "Recovered. {reason}",
        (Some(PoolState::Drain | PoolState::Off), _) => "Taken out, {length}. Stays out until somebody puts it back on",
        (_, Some(Recovery::Auto)) => "Still down, {length}. Fails back by itself when its checks pass",
        (_, Some(Recovery::After(_))) => "Still down, {length}. Fails back by itself after {seconds} s without a break",
        (_, Some(Recovery::Manual)) => "Still down, {length}. Fails back when somebody approves it",
        _ => "Still so, {length}",
    };
    let seconds = match recovery {
        Some(Recovery::After(seconds)) => seconds,
        _ => 0,
    };
    let reason = known.map(|known| known.reason.clone()).unwrap_or_default();
    text(pattern).say("length", length).set("seconds", seconds).fact("reason", "cause", capital(&reason))
}
