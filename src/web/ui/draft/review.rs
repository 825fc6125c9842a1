//! What a review shows of a change, the same for a draft and for a version that is about to be restored.
//! Works out nothing: `control::preview` did.

use crate::control::preview::{Effect, Loss, Move, Outage, PoolShare, Preview, Reviewed};
use crate::model::{FieldError, Kind, Line, Sign};
use crate::web::ui::country;
use crate::web::ui::filters::{percent_text, span};
use crate::web::ui::text::{Text, count, fact, plain, text};

/// Places that are listed by name in one cell.
const MAX_PLACES: usize = 8;
/// Rows of a table before the rest is counted.
const MAX_ROWS: usize = 30;

pub struct Review {
    pub things: Vec<Thing>,
    pub more_things: usize,
    pub preview: Preview,
    pub warnings: Vec<FieldError>,
}

/// One thing that changes.
pub struct Thing {
    pub kind: &'static str,
    pub word: Text,
    pub id: String,
    pub lines: Vec<Line>,
}

impl Review {
    pub fn of(Reviewed { preview, changes, more_changes }: Reviewed) -> Review {
        let thing = |(kind, id, lines): (Kind, String, Vec<Line>)| Thing {
            kind: kind.as_str(),
            word: kind_word(kind),
            id,
            lines,
        };
        let warnings = preview.warnings.clone();
        // A zone of which only the serial moves is no change that anybody made.
        let said = changes.into_iter().filter(|(_, _, lines)| !lines.is_empty());
        Review { things: said.map(thing).collect(), more_things: more_changes, preview, warnings }
    }

    pub fn moves(&self) -> &[Move] {
        &self.preview.moves[..self.preview.moves.len().min(MAX_ROWS)]
    }

    pub fn shares(&self) -> &[PoolShare] {
        &self.preview.shares[..self.preview.shares.len().min(MAX_ROWS)]
    }

    pub fn outages(&self) -> &[Outage] {
        &self.preview.outages
    }

    pub fn steers(&self) -> bool {
        !self.preview.shares.is_empty()
    }

    /// The name that has to be typed before clients are left without an answer.
    pub fn guard(&self) -> Option<&str> {
        self.preview.losses.first().map(|loss| loss.name.trim_end_matches('.'))
    }

    pub fn losses(&self) -> Vec<Text> {
        let say = |loss: &Loss| {
            let name = loss.name.trim_end_matches('.');
            let said = match loss.rule {
                Some(rule) => text("{share} of the clients of {name} would get no answer by rule {rule}: {places}.")
                    .set("rule", rule),
                None => text("{share} of the clients of {name} would get no answer: nothing would steer it."),
            };
            said.set("share", percent_text(loss.share)).set("name", name).say("places", places(&loss.countries))
        };
        self.preview.losses.iter().take(MAX_ROWS).map(say).collect()
    }

    /// What is wrong with the typed confirmation, if one is needed.
    pub fn unconfirmed(&self, typed: &str) -> Option<Text> {
        let name = self.guard()?;
        let is_it = typed.trim().trim_end_matches('.').eq_ignore_ascii_case(name);
        (!is_it).then(|| text("Type {name} to leave these clients without an answer.").set("name", name))
    }

    pub fn tests(&self) -> Option<Text> {
        let tests = &self.preview.tests;
        (tests.total > 0)
            .then(|| text("{passed} of {total} pass").set("passed", tests.passed()).set("total", tests.total))
    }

    pub fn names(&self) -> String {
        let more = self.preview.names_affected.saturating_sub(self.preview.names.len());
        let names: Vec<&str> = self.preview.names.iter().map(|name| name.trim_end_matches('.')).collect();
        if more > 0 { format!("{}, +{more}", names.join(", ")) } else { names.join(", ") }
    }

    pub fn keep(&self) -> Text {
        span(self.preview.keep_seconds.into())
    }
}

/// What a kind of thing is called.
pub fn kind_word(kind: Kind) -> Text {
    fact("kind", kind.singular())
}

/// Countries by name, the first few.
pub fn places(codes: &[String]) -> Text {
    let named = |language| {
        let shown: Vec<String> = codes.iter().take(MAX_PLACES).map(|code| country::named(code, language)).collect();
        match codes.len().saturating_sub(MAX_PLACES) {
            0 => shown.join(", "),
            more => format!("{}, +{more}", shown.join(", ")),
        }
    };
    text("{places}").each("places", named)
}

/// One side of a row of the table of outages.
pub fn effect(effect: &Effect) -> Text {
    if effect.clients <= 0.0 {
        return text("not used");
    }
    let to: Vec<String> =
        effect.to.iter().take(4).map(|(pool, share)| format!("{pool} {}", percent_text(*share))).collect();
    match to.is_empty() {
        true => text("nobody takes over"),
        false => plain(to.join(", ")),
    }
}

/// The part without an answer, and where they are.
pub fn without(effect: &Effect) -> Text {
    match effect.unanswered > 0.0 || !effect.without.is_empty() {
        true => text("{share}: {places}")
            .set("share", percent_text(effect.unanswered))
            .say("places", places(&effect.without)),
        false => text("nobody"),
    }
}

pub fn class(sign: &Sign) -> &'static str {
    match sign {
        Sign::Gone => "del",
        Sign::New => "add",
        Sign::Changed => "mod",
    }
}

/// What a comparison's line is, for those who do not see its colour.
pub fn spoken(sign: &Sign) -> &'static str {
    match sign {
        Sign::Gone => "Before:",
        Sign::New => "After:",
        Sign::Changed => "Changed:",
    }
}

pub fn more(n: &usize) -> Text {
    count(*n, "And {n} more change.", "And {n} more changes.")
}
