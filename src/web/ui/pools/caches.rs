//! How long caches keep what was answered before: counted from the last moment at which the pool's answers changed,
//! by what was done to it and to its endpoints. What changed nothing for clients starts nothing anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::filters::{self, span};
use super::super::text::{Text, text};
use super::super::visit::Visit;
use super::{Scene, head, tabs};
use crate::control::recent::is_news;
use crate::health::{Event, EventKind, PoolState};
use crate::web::Problem;

/// Events that are looked through: few things happen within a TTL.
const LOOKED_AT: usize = 50;

/// The answers from before the last change are still in caches.
pub struct Caches {
    pub sentence: Text,
    /// What the last switch was before; takes it back.
    pub undo: Option<&'static str>,
}

/// What happened last to the pool and to its endpoints, the newest first, of what can change answers.
pub async fn happened(visit: &Visit, scene: &Scene) -> Result<Vec<Arc<Event>>, Problem> {
    let subjects: BTreeSet<String> = tabs::subjects(scene);
    Ok(visit.web.control.newest_about(&subjects, |event| is_news(event) && may_change(event), LOOKED_AT).await?)
}

/// What a monitor says that is only watched changes nothing.
fn may_change(event: &Event) -> bool {
    matches!(event.kind, EventKind::Endpoint | EventKind::Pool | EventKind::Switch)
        && !event.subject.contains(" check ")
}

/// For as long as the longest TTL.
pub fn caches(visit: &Visit, scene: &Scene, ttl: u32, undo: Option<&'static str>) -> Option<Caches> {
    let known = scene.health.pools.get(&scene.id)?;
    let left = |since_ms: u64| {
        let until_ms = since_ms + u64::from(ttl) * 1000;
        let left = until_ms.checked_sub(visit.now.as_millisecond().unsigned_abs())?.div_ceil(1000);
        Some((Timestamp::from_millisecond(i64::try_from(until_ms).ok()?).ok()?, left))
    };
    let changed = changed_ms(&scene.happened, &format!("pools/{}", scene.id), &known.state.to_string());
    let Some((until, left)) = changed.and_then(left) else {
        // The way back of a switch that changed nothing stands as long as that of any other.
        let sentence = text("Nothing changed for clients: no cache keeps another answer.");
        return undo.filter(|_| left(known.since_ms).is_some()).map(|undo| Caches { sentence, undo: Some(undo) });
    };
    let stays = (known.state == PoolState::Down).then(|| head::meanwhile(visit, scene));
    if undo.is_none() && stays.as_ref().is_some_and(|found| found.anyway > 0 && found.is_nothing()) {
        return None;
    }
    let sentence = match known.state {
        // As the last resort it is in the new answers as well.
        PoolState::Down if stays.is_some_and(|found| found.anyway > 0) => {
            text("Caches keep the old answer until {time} ({left} left).")
        }
        PoolState::Drain | PoolState::Off | PoolState::Down => {
            text("Caches keep {pool} in the old answers until {time} ({left} left).")
        }
        _ => text("Caches keep the old answer until {time} ({left} left)."),
    };
    let sentence =
        sentence.set("pool", &scene.id).html("time", filters::time_html(until, "%H:%M:%S")).say("left", span(left));
    Some(Caches { sentence, undo })
}

/// When the answers of a pool changed last, in Unix milliseconds. `events` come the newest first; `state` is the pool's
/// now.
fn changed_ms(events: &[Arc<Event>], pool: &str, state: &str) -> Option<u64> {
    let is_out = |state: &str| matches!(state, "down" | "held" | "drain" | "off");
    let mut state = state;
    for (at, event) in events.iter().enumerate() {
        let changed = if event.subject == pool {
            state = &event.from;
            match (is_out(&event.from), is_out(&event.to)) {
                // One that is down may have been answered all the same.
                (true, true) if event.from == "down" && matches!(event.to.as_str(), "drain" | "off") => {
                    let fell = events[at + 1..].iter().find(|before| before.subject == pool && before.to == "down");
                    fell.is_some_and(|fell| !fell.last_resort.is_empty())
                }
                (from, to) => from != to,
            }
        } else {
            let is_down = |state: &str| matches!(state, "down" | "forced down");
            !is_out(state) && is_down(&event.from) != is_down(&event.to)
        };
        if changed {
            return Some(event.at.as_millisecond().max(0).unsigned_abs());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_answers_starts_the_count() {
        const POOL: &str = "pools/eu";
        const A: &str = "endpoints/a ipv4";
        // Subject, from, to; the newest last, a second each from 1 on.
        for (happened, expected) in [
            (&[][..], None),
            (&[(POOL, "ok", "drain")], Some(1)),
            (&[(POOL, "ok", "drain"), (POOL, "drain", "off")], Some(1)),
            (&[(POOL, "ok", "drain"), (A, "up", "down"), (POOL, "drain", "ok")], Some(3)),
            (&[(POOL, "ok", "drain"), (A, "up", "down")], Some(1)),
            (&[(POOL, "ok", "down"), (POOL, "down", "held")], Some(1)),
            (&[(POOL, "ok", "down"), (POOL, "down", "drain")], Some(1)),
            (&[(POOL, "ok", "down!"), (POOL, "down", "drain")], Some(2)),
            (&[(A, "up", "forced down")], Some(1)),
            (&[(A, "up", "forced down"), (A, "forced down", "up")], Some(2)),
            (&[(A, "up", "forced down"), (A, "forced down", "down")], Some(1)),
            (&[(A, "up", "forced up")], None),
        ] {
            let event = |(at, (subject, from, to)): (usize, &(&str, &str, &str))| {
                let at = Timestamp::from_millisecond(at as i64 + 1).unwrap();
                let last_resort = if to.ends_with('!') { vec!["www.".to_owned()] } else { Vec::new() };
                let (from, to) = ((*from).into(), to.trim_end_matches('!').into());
                Arc::new(Event { from, to, last_resort, ..Event::at(at, EventKind::Switch, (*subject).into()) })
            };
            let mut events: Vec<_> = happened.iter().enumerate().map(event).collect();
            events.reverse();
            let now = events.iter().find(|event| event.subject == POOL).map_or("ok", |event| event.to.as_str());
            assert_eq!(changed_ms(&events, POOL, now), expected, "{happened:?}");
        }
    }
}
