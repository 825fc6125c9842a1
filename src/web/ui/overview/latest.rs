//! The latest events, each a sentence with its cause and the page that tells more.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::cause;
use super::super::text::{Text, text};
use crate::health::{Event, EventKind};
use crate::model::Model;

/// Events on the page.
pub const SHOWN: usize = 5;
/// Events that are read for them.
pub const READ: usize = 40;

pub struct Latest {
    pub at: Timestamp,
    pub icon: &'static str,
    pub class: &'static str,
    pub title: Text,
    pub href: String,
    pub cause: Text,
    pub names: usize,
}

impl Latest {
    pub fn of(event: &Event, model: &Model) -> Latest {
        let (icon, class) = look(event);
        let href = match (event.incident, event.kind, pool(event)) {
            (Some(incident), _, _) => format!("/history/{incident}"),
            (None, EventKind::Publish, _) => match version(event) {
                Some(number) => format!("/versions/{number}"),
                None => "/versions".to_owned(),
            },
            (None, _, Some(id)) if model.pools.keys().any(|known| known.as_str() == id) => format!("/pools/{id}"),
            _ => "/history".to_owned(),
        };
        let cause = cause::sentence(event.kind, &event.cause);
        Latest { at: event.at, icon, class, title: title(event, model), href, cause, names: event.names.len() }
    }
}

fn pool(event: &Event) -> Option<&str> {
    event.subject.strip_prefix("pools/")
}

/// What a publication made: the number is the last of the words for it.
pub fn version(event: &Event) -> Option<u64> {
    event.to.rsplit(' ').next()?.parse().ok()
}

fn look(event: &Event) -> (&'static str, &'static str) {
    match (event.kind, event.to.as_str()) {
        (EventKind::Pool, "down") => ("octagon-x", ""),
        (EventKind::Endpoint, "down") => ("triangle-alert", "warnc"),
        (EventKind::Pool | EventKind::Endpoint, "ok" | "up") => ("circle-check", "okc"),
        (EventKind::Pool, "held") => ("hand", "warnc"),
        (EventKind::Certificate, _) => ("triangle-alert", "warnc"),
        (EventKind::Publish, _) => ("scroll-text", ""),
        (EventKind::Switch, _) => ("circle-arrow-down", ""),
        (EventKind::GeoDatabase, _) => ("map", ""),
        _ => ("info", ""),
    }
}

/// What people want to know of `events`: an endpoint that took its pool with it is told with the pool.
pub fn told(events: Vec<Arc<Event>>) -> Vec<Arc<Event>> {
    let of_pools = events.iter().filter(|event| event.kind == EventKind::Pool);
    let pools: HashSet<(u64, Timestamp)> = of_pools.filter_map(|event| Some((event.incident?, event.at))).collect();
    let is_told = |event: &Event| {
        event.kind == EventKind::Endpoint && event.incident.is_some_and(|number| pools.contains(&(number, event.at)))
    };
    events.into_iter().filter(|event| !is_told(event)).collect()
}

/// What happened, in one sentence.
pub fn title(event: &Event, model: &Model) -> Text {
    let subject = cause::subject(model, &event.subject);
    let words = match (event.kind, event.to.as_str()) {
        (EventKind::Pool | EventKind::Endpoint, "down") => text("{subject} went down"),
        (EventKind::Pool | EventKind::Endpoint, "ok" | "up") if event.from == "unknown" => text("{subject} is up"),
        (EventKind::Pool | EventKind::Endpoint, "ok" | "up") => text("{subject} is up again"),
        (EventKind::Pool, "held") => text("{subject} is up again and waits"),
        (EventKind::Pool, "drain") => text("{subject} is drained"),
        (EventKind::Pool, "off") => text("{subject} is off"),
        (EventKind::Switch, "drain") => text("{actor} drained {subject}"),
        (EventKind::Switch, "off" | "never") => text("{actor} switched {subject} off"),
        (EventKind::Switch, "ok") if event.from == "held" => text("{actor} approved the return of {subject}"),
        (EventKind::Switch, "ok" | "on") => text("{actor} put {subject} back on"),
        (EventKind::Switch, "forced down") => text("{actor} holds {subject} down"),
        (EventKind::Switch, "forced up") => text("{actor} holds {subject} up"),
        (EventKind::Switch, _) if event.from.starts_with("forced") => text("{actor} lets {subject} follow its checks"),
        (EventKind::Switch, _) => text("{actor} switched {subject}: {to}"),
        (EventKind::Certificate, _) => text("Certificate of {subject}: {to}"),
        (EventKind::GeoDatabase, _) => text("The geo database changed"),
        (EventKind::Publish, to) => {
            let number = version(event).map_or(to.to_owned(), |number| number.to_string());
            text("{actor} published version {n}").set("n", number)
        }
        (EventKind::System, "started") => text("Northing started"),
        _ => text("{subject}: {to}").fact("subject", "subject", &subject),
    };
    words.set("subject", &subject).set("actor", &event.actor).fact("to", "state", &event.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_leads_to_what_it_made_which_everybody_may_read() {
        let event = Event {
            to: "revision 12".into(),
            actor: "ann".into(),
            ..Event::at(Timestamp::UNIX_EPOCH, EventKind::Publish, "configuration".into())
        };
        let shown = Latest::of(&event, &Model::empty());
        assert_eq!(shown.href, "/versions/12");
        let title = shown.title.to_html(crate::web::ui::text::Language::English);
        assert_eq!(title, "ann published version 12");
    }

    #[test]
    fn an_endpoint_that_took_its_pool_with_it_is_told_once() {
        let event = |second: i64, kind, subject: &str, incident| {
            let at = Timestamp::from_second(second).unwrap();
            Arc::new(Event { incident, ..Event::at(at, kind, subject.into()) })
        };
        let events = vec![
            event(9, EventKind::Pool, "pools/eu", Some(3)),
            event(9, EventKind::Endpoint, "endpoints/b ipv4", Some(3)),
            event(5, EventKind::Endpoint, "endpoints/a ipv4", Some(3)),
            event(9, EventKind::Endpoint, "endpoints/c ipv4", None),
        ];
        let told: Vec<String> = told(events).iter().map(|event| event.subject.clone()).collect();
        assert_eq!(told, ["pools/eu", "endpoints/a ipv4", "endpoints/c ipv4"]);
    }
}
