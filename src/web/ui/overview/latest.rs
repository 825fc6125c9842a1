//! The latest events, each a sentence with its cause and the page that tells more.

use jiff::Timestamp;

use super::super::cause;
use super::super::text::{Text, text};
use crate::health::{Event, EventKind};
use crate::model::Model;

/// Events on the page.
pub const SHOWN: usize = 5;

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
            (None, EventKind::Publish, _) => "/audit".to_owned(),
            (None, _, Some(id)) if model.pools.keys().any(|known| known.as_str() == id) => format!("/pools/{id}"),
            _ => "/history".to_owned(),
        };
        let mut cause = event.cause.clone();
        // The cause of a check begins with a word of ours, not with a name.
        if let Some(rest) = cause.strip_prefix("check ") {
            cause = format!("Check {rest}");
        }
        if !cause.is_empty() && !cause.ends_with(['.', '?', '!']) {
            cause.push('.');
        }
        let cause = cause::of(event.kind, &cause);
        Latest { at: event.at, icon, class, title: title(event), href, cause, names: event.names.len() }
    }
}

fn pool(event: &Event) -> Option<&str> {
    event.subject.strip_prefix("pools/")
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

/// What happened, in one sentence.
pub fn title(event: &Event) -> Text {
    let subject = pool(event).or(event.subject.strip_prefix("endpoints/")).unwrap_or(&event.subject);
    let words = match (event.kind, event.to.as_str()) {
        (EventKind::Pool | EventKind::Endpoint, "down") => text("{subject} went down"),
        (EventKind::Pool | EventKind::Endpoint, "ok" | "up") if event.from == "unknown" => text("{subject} is up"),
        (EventKind::Pool | EventKind::Endpoint, "ok" | "up") => text("{subject} is up again"),
        (EventKind::Pool, "held") => text("{subject} is up again and waits"),
        (EventKind::Pool, "drain") => text("{subject} is drained"),
        (EventKind::Pool, "off") => text("{subject} is off"),
        (EventKind::Switch, "drain") => text("{actor} drained {subject}"),
        (EventKind::Switch, "off" | "never") => text("{actor} took {subject} out"),
        (EventKind::Switch, "on") => text("{actor} put {subject} back on"),
        (EventKind::Switch, _) => text("{actor} switched {subject}: {to}"),
        (EventKind::Certificate, _) => text("Certificate of {subject}: {to}"),
        (EventKind::GeoDatabase, _) => text("The geo database changed"),
        (EventKind::Publish, _) => text("{actor} published {to}"),
        _ => text("{subject}: {to}").fact("subject", "subject", subject),
    };
    words.set("subject", subject).set("actor", &event.actor).fact("to", "state", &event.to)
}
