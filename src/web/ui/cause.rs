//! Why something happened, as pages say it: what the machine put into words in the reader's language, what
//! somebody wrote as they wrote it.

use super::text::{Text, fact, plain};
use crate::health::story::Story;
use crate::health::{Event, EventKind};

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
