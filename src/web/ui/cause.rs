//! Why something happened, as pages say it: what the machine put into words in the reader's language, what
//! somebody wrote as they wrote it; and what it happened to.

use super::text::{Text, capital, fact, plain, text};
use crate::health::story::Story;
use crate::health::{Event, EventKind};
use crate::model::{Endpoint, Id, Model};

pub fn of_event(event: &Event) -> Text {
    of(event.kind, &event.cause)
}

pub fn of_story(story: &Story) -> Text {
    let event = story.steps.iter().find(|event| event.cause == story.cause);
    of(event.map_or(EventKind::Pool, |event| event.kind), &story.cause)
}

pub fn of(kind: EventKind, cause: &str) -> Text {
    match kind {
        EventKind::Note => plain(cause),
        EventKind::Switch => fact("switched", cause),
        EventKind::Publish => fact("changes", cause),
        EventKind::Endpoint | EventKind::Pool | EventKind::Certificate | EventKind::GeoDatabase | EventKind::System => {
            fact("cause", cause)
        }
    }
}

/// The reason of a switch: in quotation marks what somebody wrote, and without them what we say where nobody did.
pub fn reason(cause: &str) -> Text {
    let is_ours = matches!(cause, "" | "no reason given" | "taken back") || cause.contains(" sets admin to ");
    match is_ours {
        true => text("({reason})").say("reason", of(EventKind::Switch, cause)),
        false => text("“{reason}”").say("reason", plain(cause)),
    }
}

/// The same as a sentence of its own.
pub fn sentence(kind: EventKind, cause: &str) -> Text {
    let is_ours = matches!(kind, EventKind::Endpoint | EventKind::Pool | EventKind::Certificate);
    let mut said = if is_ours { capital(cause) } else { cause.to_owned() };
    if !said.is_empty() && !said.ends_with(['.', '?', '!']) {
        said.push('.');
    }
    of(kind, &said)
}

/// What an event is about: `eu-1` of `endpoints/eu-1 ipv4`, with the family only where the endpoint has more than one.
pub fn subject(model: &Model, subject: &str) -> String {
    let Some((kind, rest)) = subject.split_once('/') else { return subject.to_owned() };
    let (id, more) = rest.split_once(' ').unwrap_or((rest, ""));
    let endpoint = id.parse().ok().and_then(|id: Id<Endpoint>| model.endpoints.get(&id));
    let is_alone = endpoint.is_some_and(|known| {
        [known.ipv4.is_some(), known.ipv6.is_some(), known.cname.is_some()].into_iter().filter(|has| *has).count() < 2
    });
    if kind != "endpoints" || !is_alone {
        return rest.to_owned();
    }
    match more.split_once(' ') {
        Some((_, check)) => format!("{id} {check}"),
        None => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_somebody_wrote_stands_in_quotation_marks() {
        use super::super::text::Language::English;
        let said = |cause| reason(cause).to_html(English);
        assert_eq!(said("kernel update"), "“kernel update”");
        assert_eq!(said("no reason given"), "(no reason given)");
        assert_eq!(said("taken back"), "(taken back)");
        assert_eq!(said("version 3 sets admin to drain"), "(version 3 sets admin to drain)");
    }

    #[test]
    fn the_family_is_named_only_where_there_are_two() {
        let document = serde_json::json!({ "endpoints": {
            "a": { "ipv4": "192.0.2.1" }, "b": { "ipv4": "192.0.2.2", "ipv6": "2001:db8::2" } } });
        let empty = Model::empty();
        let model = empty.check(&empty.edits_to(&document).unwrap()).unwrap().model;
        for (given, said) in [
            ("endpoints/a ipv4", "a"),
            ("endpoints/a ipv4 check web", "a check web"),
            ("endpoints/b ipv6", "b ipv6"),
            ("endpoints/gone ipv4", "gone ipv4"),
            ("pools/a", "a"),
            ("configuration", "configuration"),
        ] {
            assert_eq!(subject(&model, given), said);
        }
    }
}
