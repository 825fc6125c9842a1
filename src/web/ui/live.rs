//! Live updates: one stream of server-sent events for each visible page. A page names its topics
//! (`frame.live("pool:eu-west")`); what belongs to a topic comes as ready HTML of elements with ids, and the
//! page's script puts it in their place. Decides only when something is sent.
//!
//! How a page joins: give the parts that move an id, render each from a template of its own, offer
//! `pub(super) async fn live(visit: &Visit, argument: &str) -> Vec<Fragment>` that renders the same templates,
//! and add its line to `TOPICS`. Every fragment is the whole element, its id included.
//!
//! What is sent: unnamed events are a JSON list of `[id, html]`; `said` is a sentence for screen readers,
//! JSON too; `beat` says that the connection lives.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use super::state::StateWord;
use super::text::text;
use super::visit::Visit;
use super::{Page, frame, history, names, overview, pools};
use crate::control::now;
use crate::control::token::Role;
use crate::health::{Event, EventKind};
use crate::web::Problem;
use crate::web::extract::Query;

/// Streams at once; each renders its page's parts every second.
const MAX_STREAMS: usize = 64;
/// Topics of one page.
const MAX_TOPICS: usize = 8;
/// How often a page is looked at, and the shortest time between two updates of one element.
const TICK: Duration = Duration::from_secs(1);
/// How soon after another a burst of events is looked at.
const EVENT_PAUSE: Duration = Duration::from_millis(200);
/// Ticks between two signs of life.
const BEAT_TICKS: u32 = 5;
/// What may wait for a slow browser, in bytes, and for how long.
const WAITING_BYTES: usize = 256 << 10;
const WAITING_TIME: Duration = Duration::from_secs(10);

/// An element of a page as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Fragment {
    /// The id that the element has.
    pub id: String,
    /// The whole element.
    pub html: String,
}

impl Fragment {
    pub fn new(id: impl Into<String>, html: impl Into<String>) -> Fragment {
        Fragment { id: id.into(), html: html.into() }
    }
}

/// The parts of a page that move, each a template that the page includes, and `fragments`, which renders them all. The
/// key comes after each id: that of a row, or nothing where the page has one of each.
macro_rules! moving {
    ($field:ident: $what:ty; $($part:ident $path:literal $id:literal),+) => {
        $(
            #[derive(askama::Template)]
            #[template(path = $path)]
            struct $part<'m> {
                $field: &'m $what,
            }
        )+

        fn fragments(visit: &Visit, $field: &$what, key: &str) -> Vec<Fragment> {
            let parts = [$(($id, visit.render(&$part { $field }))),+];
            parts.into_iter().filter_map(|(id, html)| Some(Fragment::new(format!("{id}{key}"), html.ok()?))).collect()
        }
    };
}
pub(crate) use moving;

type Render = for<'v> fn(&'v Visit, &'v str) -> Pin<Box<dyn Future<Output = Vec<Fragment>> + Send + 'v>>;

/// What can be followed. What stands after the colon of `pool:eu-west` is the function's second argument.
const TOPICS: &[(&str, Render)] = &[
    ("endpoint", |visit, path| Box::pin(pools::live_endpoint(visit, path))),
    ("frame", |visit, _| Box::pin(async { frame::live(visit) })),
    ("history", |visit, query| Box::pin(history::live(visit, query))),
    ("incident", |visit, key| Box::pin(history::live_incident(visit, key))),
    ("name", |visit, asked| Box::pin(names::live_name(visit, asked))),
    ("names", |visit, policies| Box::pin(names::live(visit, policies))),
    ("overview", |visit, query| Box::pin(overview::live(visit, query))),
    ("pool", |visit, id| Box::pin(pools::live(visit, id))),
    ("pools", |visit, ids| Box::pin(pools::live_list(visit, ids))),
    ("used", |visit, id| Box::pin(pools::live_used(visit, id))),
];

pub(super) fn pages() -> Vec<Page> {
    vec![Page::new("/live", Role::Viewer, get(stream)).asked_by_pages()]
}

/// The streams that are open, and the end of all of them.
#[derive(Debug)]
pub struct Streams {
    free: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Streams {
    /// Every stream ends with `stop`.
    pub fn new(stop: CancellationToken) -> Streams {
        Streams { free: Arc::new(Semaphore::new(MAX_STREAMS)), stop }
    }

    /// True when the server stops.
    pub fn are_ending(&self) -> bool {
        self.stop.is_cancelled()
    }
}

#[derive(serde::Deserialize)]
struct Asked {
    #[serde(default)]
    on: String,
}

async fn stream(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let topics = topics(&asked.on)?;
    let permit = visit.web.streams.free.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{MAX_STREAMS} pages are followed at once already; close some, or reload by hand.");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
    })?;
    let (near, far) = duplex(WAITING_BYTES);
    tokio::spawn(follow(Follower { visit, topics, sent: Sent::default(), out: near, _permit: permit }));
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))];
    Ok((kind, Body::from_stream(ReaderStream::new(far))).into_response())
}

/// What a page follows, each with its renderer. The frame's own parts are always among it.
fn topics(on: &str) -> Result<Vec<(Render, String)>, Problem> {
    let asked = std::iter::once("frame").chain(on.split(',').filter(|topic| !topic.is_empty()));
    let topics = asked.take(MAX_TOPICS).map(|topic| {
        let (name, argument) = topic.split_once(':').unwrap_or((topic, ""));
        let known = TOPICS.iter().find(|(known, _)| *known == name);
        let (_, render) = known.ok_or_else(|| Problem::not_found(format!("There is no topic {name}.")))?;
        Ok((*render, argument.to_owned()))
    });
    topics.collect()
}

/// One browser's page.
struct Follower {
    visit: Visit,
    topics: Vec<(Render, String)>,
    sent: Sent,
    out: DuplexStream,
    _permit: OwnedSemaphorePermit,
}

/// Runs until the browser goes, the session ends, or the server stops.
async fn follow(mut follower: Follower) {
    let (stop, control) = (follower.visit.web.streams.stop.clone(), follower.visit.web.control.clone());
    let mut events = control.shared().live.subscribe();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0_u32;
    loop {
        let happened = tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => { ticks += 1; Vec::new() }
            event = events.recv() => match event {
                Ok(event) => burst(event, &mut events).await,
                Err(RecvError::Lagged(_)) => Vec::new(),
                Err(RecvError::Closed) => return,
            },
        };
        let Visit { web, session, .. } = &follower.visit;
        if !web.sessions.is_open(session, web.control.account(&session.account), now()) {
            return;
        }
        if follower.update(&happened).await.is_none() {
            return;
        }
        if ticks >= BEAT_TICKS {
            ticks = 0;
            if follower.send("beat", &now().to_string()).await.is_none() {
                return;
            }
        }
    }
}

/// An event and those that come with it.
async fn burst(first: Arc<Event>, events: &mut broadcast::Receiver<Arc<Event>>) -> Vec<Arc<Event>> {
    tokio::time::sleep(EVENT_PAUSE).await;
    let mut all = vec![first];
    while let Ok(event) = events.try_recv() {
        all.push(event);
    }
    all
}

impl Follower {
    /// Sends what changed. `None` when nobody reads any more.
    async fn update(&mut self, happened: &[Arc<Event>]) -> Option<()> {
        self.visit.now = now();
        let mut changed = Vec::new();
        for (render, argument) in &self.topics {
            let fragments = render(&self.visit, argument).await;
            changed.extend(self.sent.changed(fragments, Instant::now()));
        }
        if !changed.is_empty() {
            let list: Vec<(String, String)> = changed.into_iter().map(|part| (part.id, part.html)).collect();
            self.send("", &list).await?;
        }
        for event in happened {
            if let Some(said) = said(event) {
                self.send("said", &said.to_html(self.visit.language)).await?;
            }
        }
        Some(())
    }

    /// `None` when nobody reads any more, or the server stops: a browser that reads nothing must not hold it up.
    async fn send(&mut self, event: &str, data: &impl Serialize) -> Option<()> {
        // JSON has no line breaks of its own, so that one line is the whole of it.
        let data = serde_json::to_string(data).ok()?;
        let name = if event.is_empty() { String::new() } else { format!("event: {event}\n") };
        let message = format!("{name}data: {data}\n\n");
        write(&mut self.out, message.as_bytes(), &self.visit.web.streams.stop).await
    }
}

async fn write(out: &mut DuplexStream, bytes: &[u8], stop: &CancellationToken) -> Option<()> {
    tokio::select! {
        () = stop.cancelled() => None,
        written = timeout(WAITING_TIME, out.write_all(bytes)) => written.ok()?.ok(),
    }
}

/// What to say about a change of state; ticks and notes are not said.
fn said(event: &Event) -> Option<super::text::Text> {
    let pool = event.subject.strip_prefix("pools/").filter(|_| event.kind == EventKind::Pool)?;
    let state = match event.to.as_str() {
        "down" => StateWord::Down,
        "held" => StateWord::Held,
        "drain" => StateWord::Drained,
        "off" => StateWord::Off,
        "ok" => StateWord::Up,
        _ => return None,
    };
    Some(text("Pool {pool}: {state}").set("pool", pool).say("state", text(state.word())))
}

/// What a browser has, by element.
#[derive(Debug, Default)]
struct Sent(HashMap<String, (String, Instant)>);

impl Sent {
    /// Those that differ from what was sent last. An element that was sent less than a tick ago waits for the
    /// next look.
    fn changed(&mut self, fragments: Vec<Fragment>, now: Instant) -> Vec<Fragment> {
        let due = |(html, at): &(String, Instant), fragment: &Fragment| {
            *html != fragment.html && now.duration_since(*at) >= TICK.mul_f64(0.9)
        };
        let changed: Vec<Fragment> = fragments
            .into_iter()
            .filter(|fragment| self.0.get(&fragment.id).is_none_or(|known| due(known, fragment)))
            .collect();
        for Fragment { id, html } in &changed {
            self.0.insert(id.clone(), (html.clone(), now));
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(fragments: Vec<Fragment>) -> Vec<String> {
        fragments.into_iter().map(|fragment| fragment.id).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_changed_is_sent_and_at_most_once_a_second() {
        let mut sent = Sent::default();
        let parts = |a: &str, b: &str| vec![Fragment::new("a", a), Fragment::new("b", b)];
        assert_eq!(ids(sent.changed(parts("1", "1"), Instant::now())), ["a", "b"]);
        assert!(sent.changed(parts("2", "1"), Instant::now()).is_empty(), "too soon");
        tokio::time::advance(TICK).await;
        assert_eq!(ids(sent.changed(parts("2", "1"), Instant::now())), ["a"]);
        tokio::time::advance(TICK).await;
        assert!(sent.changed(parts("2", "1"), Instant::now()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_browser_that_reads_nothing_does_not_hold_up_a_stop() {
        let (mut out, _unread) = duplex(8);
        let stop = CancellationToken::new();
        let begin = Instant::now();
        assert_eq!(write(&mut out, b"12345678", &stop).await, Some(()));
        assert_eq!(write(&mut out, b"9", &stop).await, None);
        assert!(begin.elapsed() >= WAITING_TIME);
        let (begin, stopping) = (Instant::now(), stop.clone());
        tokio::join!(async { assert_eq!(write(&mut out, b"9", &stop).await, None) }, async { stopping.cancel() });
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }

    #[test]
    fn only_known_topics_can_be_followed() {
        assert_eq!(topics("overview,frame").unwrap().len(), 3);
        assert_eq!(topics("secrets").err().map(|problem| problem.status), Some(404));
    }

    #[test]
    fn a_change_of_a_pool_is_said_and_a_note_is_not() {
        let event = |kind, subject: &str, to: &str| Event {
            subject: subject.into(),
            to: to.into(),
            ..crate::control::system_event(kind, "", "", String::new())
        };
        let heard = |event| said(&event).map(|text| text.to_html(super::super::text::Language::English));
        assert_eq!(heard(event(EventKind::Pool, "pools/eu", "down")), Some("Pool eu: Down".into()));
        assert_eq!(heard(event(EventKind::System, "start", "repaired")), None);
    }
}
