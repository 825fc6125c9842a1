//! The newest events in memory, so that pages which tell of a whole period wait for no disk. Filled from the store
//! when a page first asks, and by every event that is stored from then on. Decides nothing.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::{Control, Refusal};
use crate::health::Event;
use crate::store::{EventFilter, Fault, MAX_PAGE, Store};

/// Events that are kept here, and the most that one page is made from: about 10 MB without their names.
pub const MAX_EVENTS: usize = 20_000;
/// Names in those events, which are most of them where pools serve many: about 30 MB.
const MAX_NAMES: usize = 500_000;
/// Pages of the store that are read for what followed a period.
const PAGES_AFTER: usize = 5;

/// Events of which it is known where the store has them: about 30 MB. With more, it is found out anew.
const MAX_OLDER: usize = 1_000_000;

/// Changed on the store's thread only, so that nothing comes twice and nothing is missed.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Filled>);

/// Without gaps, the oldest first.
#[derive(Debug, Default)]
struct Filled {
    events: VecDeque<Arc<Event>>,
    /// The sequences of the events about each thing, the oldest first: pages look for them every second.
    about: HashMap<String, VecDeque<u64>>,
    names: usize,
    state: State,
    /// Of what is older.
    older: Older,
}

/// Where the store has the news that memory does not: found out page by page, as far back as anybody asked, and once.
#[derive(Debug, Default)]
struct Older {
    /// The sequences of the events about each thing, the oldest first.
    about: HashMap<String, VecDeque<u64>>,
    count: usize,
    /// All from here on are known; nobody asked yet where there is none.
    from: Option<u64>,
    /// The store has nothing before.
    is_whole: bool,
}

impl Older {
    /// Of an event that memory forgets.
    fn push_newer(&mut self, event: &Event) {
        if self.from.is_none() {
            return;
        }
        if self.count >= MAX_OLDER {
            *self = Older::default();
        } else if is_news(event) {
            for thing in things(event) {
                self.about.entry(thing.to_owned()).or_default().push_back(event.sequence);
                self.count += 1;
            }
        }
    }

    fn push_older(&mut self, page: &[Event]) {
        for event in page.iter().filter(|event| is_news(event)) {
            for thing in things(event) {
                self.about.entry(thing.to_owned()).or_default().push_front(event.sequence);
                self.count += 1;
            }
        }
        self.from = page.last().map(|oldest| oldest.sequence).or(self.from);
        self.is_whole = page.len() < MAX_PAGE || self.count >= MAX_OLDER;
    }

    /// The newest of these things, the newest first.
    fn newest_about(&self, things: &BTreeSet<String>, limit: usize) -> Vec<u64> {
        let about = things.iter().filter_map(|thing| self.about.get(thing));
        let mut found: Vec<u64> = about.flat_map(|sequences| sequences.iter().rev().take(limit)).copied().collect();
        found.sort_by_key(|sequence| std::cmp::Reverse(*sequence));
        found.dedup();
        found.truncate(limit);
        found
    }
}

impl Filled {
    fn is_full(&self) -> bool {
        self.events.len() >= MAX_EVENTS || self.names >= MAX_NAMES
    }

    fn push_newer(&mut self, event: Event) {
        self.names += weight(&event);
        for thing in things(&event) {
            self.about.entry(thing.to_owned()).or_default().push_back(event.sequence);
        }
        self.events.push_back(Arc::new(event));
    }

    fn push_older(&mut self, event: Event) {
        self.names += weight(&event);
        for thing in things(&event) {
            self.about.entry(thing.to_owned()).or_default().push_front(event.sequence);
        }
        self.events.push_front(Arc::new(event));
    }

    /// Forgets the oldest where there is too much.
    fn trim(&mut self) {
        while self.events.len() > MAX_EVENTS || self.names > MAX_NAMES {
            let Some(oldest) = self.events.pop_front() else { return };
            self.names -= weight(&oldest);
            self.older.push_newer(&oldest);
            for thing in things(&oldest) {
                let Some(about) = self.about.get_mut(thing) else { continue };
                about.pop_front();
                if about.is_empty() {
                    self.about.remove(thing);
                }
            }
            self.state = State::Ready { has_all: false };
        }
    }

    /// The newest about any of these things, the newest first.
    fn newest_about(
        &self,
        things: &BTreeSet<String>,
        wanted: impl Fn(&Event) -> bool,
        limit: usize,
    ) -> Vec<Arc<Event>> {
        let of = |sequence: &u64| self.events.get(self.events.partition_point(|event| event.sequence < *sequence));
        let about = things.iter().filter_map(|thing| self.about.get(thing));
        let each =
            about.flat_map(|sequences| sequences.iter().rev().filter_map(of).filter(|event| wanted(event)).take(limit));
        let mut found: Vec<Arc<Event>> = each.cloned().collect();
        found.sort_by_key(|event| std::cmp::Reverse(event.sequence));
        found.dedup_by_key(|event| event.sequence);
        found.truncate(limit);
        found
    }
}

/// What an event is about: `endpoints/web-1` for `endpoints/web-1 ipv4`, and what a publication changed.
fn things(event: &Event) -> impl Iterator<Item = &str> {
    let own = event.subject.split(' ').next().unwrap_or_default();
    std::iter::once(own).chain(event.changed.keys().map(String::as_str))
}

/// The first verdict after a start is no news.
pub fn is_news(event: &Event) -> bool {
    event.from != "unknown"
}

/// The names that an event brings with it.
fn weight(event: &Event) -> usize {
    event.names.len() + event.last_resort.len() + event.unserved.len() + event.changed.len()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Nobody asked yet.
    #[default]
    Empty,
    /// Older ones may follow.
    Filling,
    /// As many as are kept, or all that the store has.
    Ready { has_all: bool },
}

/// The events of a period and of the time after it, the oldest first.
#[derive(Debug, Default)]
pub struct Period {
    pub events: Vec<Arc<Event>>,
    /// Empty for a period that lasts until now.
    pub after: Vec<Arc<Event>>,
    /// Only the newest of the period are there.
    pub cut: bool,
    /// The oldest event that is still there, where the period begins before it; else when the period begins.
    pub known_from: Timestamp,
}

impl Recent {
    /// Called on the store's thread for what was stored.
    pub fn push(&self, events: Vec<Event>) {
        let mut filled = self.0.lock();
        if filled.state == State::Empty {
            return;
        }
        events.into_iter().for_each(|event| filled.push_newer(event));
        filled.trim();
    }

    /// When the newest event happened.
    pub fn newest(&self) -> Option<Timestamp> {
        self.0.lock().events.back().map(|event| event.at)
    }

    fn is_ready(&self) -> bool {
        matches!(self.0.lock().state, State::Ready { .. })
    }

    /// Reads the next older page; true when there is nothing left to read. On the store's thread, and only one page,
    /// so that what has to be written meanwhile does not wait.
    fn fill(&self, store: &Store) -> Result<bool, Fault> {
        if self.is_ready() {
            return Ok(true);
        }
        let before = self.0.lock().events.front().map(|event| event.sequence);
        let page = store.events(&EventFilter::default(), before, MAX_PAGE)?;
        let mut filled = self.0.lock();
        let is_last = page.len() < MAX_PAGE;
        page.into_iter().for_each(|event| filled.push_older(event));
        let is_done = is_last || filled.is_full();
        filled.state = if is_done { State::Ready { has_all: is_last } } else { State::Filling };
        filled.trim();
        Ok(is_done)
    }

    /// Finds out where the next older page of the store's events is. On the store's thread, and only one page.
    fn look_further_back(&self, store: &Store) -> Result<(), Fault> {
        let before = {
            let filled = self.0.lock();
            filled.older.from.or(filled.events.front().map(|event| event.sequence))
        };
        let page = store.events(&EventFilter::default(), before, MAX_PAGE)?;
        let mut filled = self.0.lock();
        // Nothing is older than nothing, and yet it was asked.
        filled.older.from = filled.older.from.or(before).or(Some(0));
        filled.older.push_older(&page);
        Ok(())
    }

    /// `None` for a time that is over and of which more could be read than is known here.
    fn period(&self, from: Timestamp, to: Option<Timestamp>) -> Option<Period> {
        let filled = self.0.lock();
        let oldest = filled.events.front().map_or(Timestamp::MAX, |event| event.at);
        let cut = filled.state != State::Ready { has_all: true } && oldest > from;
        if cut && to.is_some() {
            return None;
        }
        let to = to.unwrap_or(Timestamp::MAX);
        let since = filled.events.iter().filter(|event| event.at >= from);
        let (events, after) = since.cloned().partition(|event| event.at < to);
        Some(Period { events, after, cut, known_from: from.max(oldest) })
    }
}

impl Control {
    /// The newest events that are wanted, the newest first. What is older than all that is kept in memory is not
    /// looked at.
    pub async fn newest(&self, wanted: impl Fn(&Event) -> bool, limit: usize) -> Result<Vec<Arc<Event>>, Refusal> {
        self.fill_recent().await?;
        let filled = self.shared.recent.0.lock();
        Ok(filled.events.iter().rev().filter(|event| wanted(event)).take(limit).cloned().collect())
    }

    /// The newest events about these things, such as `endpoints/web-1`, the newest first. What is older than all that is
    /// kept in memory is not looked at.
    pub async fn newest_about(
        &self,
        things: &BTreeSet<String>,
        wanted: impl Fn(&Event) -> bool,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, Refusal> {
        self.fill_recent().await?;
        Ok(self.shared.recent.0.lock().newest_about(things, wanted, limit))
    }

    /// What there is to tell of these things, the newest first. What memory lacks is read from the store, of which the
    /// first who asks for something rare waits until it is known where everything is: not for pages that are drawn
    /// every second.
    pub async fn history_of(&self, things: &BTreeSet<String>, limit: usize) -> Result<Vec<Arc<Event>>, Refusal> {
        self.fill_recent().await?;
        loop {
            let (mut found, stored) = {
                let filled = self.shared.recent.0.lock();
                let found = filled.newest_about(things, is_news, limit);
                let stored = filled.older.newest_about(things, limit - found.len());
                let has_all = filled.state == State::Ready { has_all: true } || filled.older.is_whole;
                let enough = has_all || found.len() + stored.len() >= limit;
                (found, enough.then_some(stored))
            };
            let shared = self.shared.clone();
            let Some(stored) = stored else {
                self.keeper.run(move |kept| shared.recent.look_further_back(&kept.store)).await?;
                continue;
            };
            if !stored.is_empty() {
                let events = self.keeper.run(move |kept| kept.store.events_numbered(&stored)).await?;
                found.extend(events.into_iter().map(Arc::new));
            }
            return Ok(found);
        }
    }

    async fn fill_recent(&self) -> Result<(), Refusal> {
        while !self.shared.recent.is_ready() {
            let shared = self.shared.clone();
            if self.keeper.run(move |kept| shared.recent.fill(&kept.store)).await? {
                break;
            }
        }
        Ok(())
    }

    /// What happened from `from` until before `to`, or until now.
    pub async fn period(&self, from: Timestamp, to: Option<Timestamp>) -> Result<Period, Refusal> {
        self.fill_recent().await?;
        match self.shared.recent.period(from, to) {
            Some(period) => Ok(period),
            None => self.stored_period(from, to).await,
        }
    }

    /// The newest stored events that a filter admits, the oldest of them first, as many as are kept in memory; and
    /// whether there are more. Page by page, so that what has to be written meanwhile does not wait.
    pub async fn stored(&self, filter: EventFilter) -> Result<(Vec<Arc<Event>>, bool), Refusal> {
        let (mut events, mut names, mut before) = (Vec::new(), 0, None);
        let mut cut = false;
        while !cut {
            let page = self.events(filter.clone(), before, MAX_PAGE).await?;
            before = page.last().map(|event| event.sequence);
            let was_last = page.len() < MAX_PAGE;
            for event in page {
                names += weight(&event);
                cut = events.len() >= MAX_EVENTS || names > MAX_NAMES;
                if cut {
                    break;
                }
                events.push(Arc::new(event));
            }
            if was_last {
                break;
            }
        }
        events.reverse();
        Ok((events, cut))
    }

    /// Of a time that is long over.
    async fn stored_period(&self, from: Timestamp, to: Option<Timestamp>) -> Result<Period, Refusal> {
        let filter = EventFilter { from: Some(from), to, ..EventFilter::default() };
        let (events, cut) = self.stored(filter.clone()).await?;
        let mut period = Period { events, cut, ..Period::default() };
        let before = EventFilter { to: Some(from), ..EventFilter::default() };
        let has_older = !period.cut && !self.events(before, None, 1).await?.is_empty();
        if to.is_some() {
            period.after = self.stored_after(filter).await?;
        }
        let oldest = period.events.first().or(period.after.first()).map_or(Timestamp::MAX, |event| event.at);
        period.known_from = if has_older { from } else { from.max(oldest) };
        Ok(period)
    }

    /// What followed the end of a period.
    async fn stored_after(&self, period: EventFilter) -> Result<Vec<Arc<Event>>, Refusal> {
        // Sequences have no gaps, so that what followed lies in as many as there are in a page.
        let later = EventFilter { from: period.to, ..EventFilter::default() };
        let earlier = EventFilter { from: None, ..period };
        let last = self.events(earlier, None, 1).await?.pop();
        let mut at = last.map_or(0, |event| event.sequence);
        let mut after = Vec::new();
        for _ in 0..PAGES_AFTER {
            let page = self.events(later.clone(), Some(at + MAX_PAGE as u64 + 1), MAX_PAGE).await?;
            if page.is_empty() {
                break;
            }
            at += MAX_PAGE as u64;
            after.extend(page.into_iter().rev().map(Arc::new));
        }
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::EventKind;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Numbered by their second.
    fn events(seconds: std::ops::Range<i64>) -> Vec<Event> {
        let event = |second: i64| Event {
            sequence: second.unsigned_abs(),
            ..Event::at(at(second), EventKind::System, "start".into())
        };
        seconds.map(event).collect()
    }

    /// As many as are kept.
    const MOST: i64 = MAX_EVENTS as i64;

    fn filled(seconds: std::ops::Range<i64>, state: State) -> Recent {
        let mut filled = Filled { state, ..Filled::default() };
        events(seconds).into_iter().for_each(|event| filled.push_newer(event));
        Recent(Mutex::new(filled))
    }

    /// First and last of the period and of what followed, and whether it is cut.
    fn told(period: &Period) -> (Vec<u64>, Vec<u64>, bool) {
        let ends = |events: &[Arc<Event>]| {
            let ends = [events.first(), events.last()];
            ends.into_iter().flatten().map(|event| event.sequence).collect::<Vec<_>>()
        };
        (ends(&period.events), ends(&period.after), period.cut)
    }

    #[test]
    fn a_period_is_told_from_memory_where_that_reaches() {
        let (all, part) = (State::Ready { has_all: true }, State::Ready { has_all: false });
        for (state, from, to, expected) in [
            (all, 0, None, Some((vec![100, 199], vec![], false))),
            (all, 150, None, Some((vec![150, 199], vec![], false))),
            (all, 0, Some(120), Some((vec![100, 119], vec![120, 199], false))),
            (part, 0, None, Some((vec![100, 199], vec![], true))),
            (part, 0, Some(120), None),
            (part, 110, Some(120), Some((vec![110, 119], vec![120, 199], false))),
            (all, 300, None, Some((vec![], vec![], false))),
        ] {
            let found = filled(100..200, state).period(at(from), to.map(at));
            assert_eq!(found.as_ref().map(told), expected, "{state:?} {from} {to:?}");
        }
    }

    #[test]
    fn the_newest_are_kept_once_somebody_asked() {
        let recent = Recent::default();
        recent.push(events(0..10));
        assert_eq!(recent.newest(), None, "the store has them");
        let recent = filled(0..MOST, State::Ready { has_all: true });
        recent.push(events(MOST..MOST + 5));
        let period = recent.period(at(0), None).unwrap();
        assert_eq!((period.events.len(), period.cut, recent.newest()), (MAX_EVENTS, true, Some(at(MOST + 4))));
    }

    #[test]
    fn the_newest_about_a_thing_are_found_without_a_look_at_all() {
        let event = |second: i64, subject: &str, from: &str| Event {
            sequence: second.unsigned_abs(),
            from: from.into(),
            ..Event::at(at(second), EventKind::Endpoint, subject.into())
        };
        let mut filled = Filled::default();
        for older in [event(4, "endpoints/a ipv6", "up"), event(3, "endpoints/b ipv4", "up")] {
            filled.push_older(older);
        }
        for newer in [event(5, "endpoints/a ipv4", "unknown"), event(6, "endpoints/ab ipv4", "up")] {
            filled.push_newer(newer);
        }
        let things = |words: &[&str]| words.iter().map(|word| format!("endpoints/{word}")).collect::<BTreeSet<_>>();
        let found = |words: &[&str], limit| {
            let found = filled.newest_about(&things(words), is_news, limit);
            found.iter().map(|event| event.sequence).collect::<Vec<_>>()
        };
        assert_eq!(found(&["a", "b"], 9), [4, 3]);
        assert_eq!(found(&["a", "b", "ab", "c"], 2), [6, 4]);
        // What is forgotten is found no more.
        (7..7 + MOST).for_each(|second| filled.push_newer(event(second, "endpoints/c ipv4", "up")));
        filled.trim();
        let found = filled.newest_about(&things(&["a", "b", "ab"]), is_news, 9);
        assert!(found.is_empty() && filled.about.len() == 1, "{found:?}");
    }

    #[test]
    fn a_publication_is_about_each_thing_that_it_changed_and_comes_once() {
        let changed = ["pools/p", "endpoints/a"].map(|thing| (thing.to_owned(), "Changed.".to_owned()));
        let published = Event::at(at(1), EventKind::Publish, "configuration".into());
        let mut filled = Filled::default();
        filled.push_newer(Event { sequence: 1, changed: changed.into(), ..published });
        let found = |things: &[&str]| {
            let things = things.iter().map(ToString::to_string).collect();
            filled.newest_about(&things, is_news, 9).len()
        };
        let counts = [found(&["pools/p", "endpoints/a"]), found(&["endpoints/a"]), found(&["endpoints/b"])];
        assert_eq!(counts, [1, 1, 0]);
        (2..2 + MOST).for_each(|second| filled.push_newer(events(second..second + 1).remove(0)));
        filled.trim();
        assert!(!filled.about.contains_key("pools/p"));
    }

    #[test]
    fn events_of_many_names_are_fewer() {
        let recent = filled(0..10, State::Ready { has_all: true });
        let names = vec!["www.example.com.".to_owned(); MAX_NAMES / 4];
        recent.push(events(10..16).into_iter().map(|event| Event { names: names.clone(), ..event }).collect());
        let period = recent.period(at(12), None).unwrap();
        assert_eq!(told(&period), (vec![12, 15], vec![], false));
        let period = recent.period(at(0), None).unwrap();
        assert_eq!(told(&period), (vec![12, 15], vec![], true), "until now, a page is made from what is here");
        assert!(recent.period(at(0), Some(at(13))).is_none(), "the store knows more of what is over");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_read_from_the_store_has_no_more_names_than_memory_holds() {
        let dir = tempfile::TempDir::new().unwrap();
        let control = crate::control::running::start(dir.path());
        let names = vec!["a.b.".to_owned(); MAX_NAMES / 4];
        for event in events(1..6) {
            control.note(Event { names: names.clone(), ..event }).await;
        }
        // The writer has seen them all once it answers.
        control.checks("one".parse().unwrap()).await.unwrap();
        let (events, cut) = control.stored(EventFilter::default()).await.unwrap();
        assert_eq!((events.len(), events[0].at, cut), (4, at(2), true));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_quiet_thing_keeps_its_history_when_memory_forgets_it() {
        let dir = tempfile::TempDir::new().unwrap();
        let control = crate::control::running::start(dir.path());
        let quiet = Event::at(at(1), EventKind::Pool, "pools/quiet".into());
        control.note(Event { from: "ok".into(), to: "down".into(), ..quiet }).await;
        let names = vec!["a.b.".to_owned(); MAX_NAMES / 4];
        for event in events(2..8) {
            control.note(Event { names: names.clone(), ..event }).await;
        }
        // The writer has seen them all once it answers.
        control.checks("one".parse().unwrap()).await.unwrap();
        let things = BTreeSet::from(["pools/quiet".to_owned()]);
        assert!(control.newest_about(&things, is_news, 9).await.unwrap().is_empty());
        let times = |found: Vec<Arc<Event>>| found.iter().map(|event| event.at).collect::<Vec<_>>();
        assert_eq!(times(control.history_of(&things, 9).await.unwrap()), [at(1)]);
        assert!(control.shared.recent.0.lock().older.is_whole, "it is known from now on where all is");
        // Also of what memory forgets later.
        let later = Event::at(at(8), EventKind::Pool, "pools/quiet".into());
        control.note(Event { from: "down".into(), to: "ok".into(), ..later }).await;
        for event in events(9..15) {
            control.note(Event { names: names.clone(), ..event }).await;
        }
        control.checks("one".parse().unwrap()).await.unwrap();
        // And the store's thread, once it has read something.
        control.stored(EventFilter::default()).await.unwrap();
        assert!(control.newest_about(&things, is_news, 9).await.unwrap().is_empty());
        assert_eq!(times(control.history_of(&things, 9).await.unwrap()), [at(8), at(1)]);
        assert_eq!(times(control.history_of(&things, 1).await.unwrap()), [at(8)]);
    }
}
