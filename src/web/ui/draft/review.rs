//! What a review shows of a change, the same for a draft and for a version that is about to be restored.
//! Works out nothing: `control::preview` did.

use crate::control::preview::{Answers, Effect, EndpointShare, Loss, NameEffect, Outage, Preview, Reviewed};
use crate::model::{Change, FieldError, Kind, Model, Sign};
use crate::web::ui::change::{self, Said};
use crate::web::ui::country;
use crate::web::ui::filters::{percent_text, span};
use crate::web::ui::text::{Text, count, fact, plain, text};
use crate::web::ui::told;

/// Places that are listed by name in one cell.
const MAX_PLACES: usize = 8;
/// Rows of a table before the rest is counted.
const MAX_ROWS: usize = 30;
/// Names in one figure.
const MAX_FIGURES: usize = 3;
/// Shares up to this are shown as none.
const SHOWN: f64 = 0.0005;

pub struct Review {
    pub things: Vec<Thing>,
    pub more_things: usize,
    pub preview: Preview,
    /// Where each is, in words.
    pub warnings: Vec<(Text, FieldError)>,
}

/// What happens to answers, and on what ground that is said.
pub struct SideShown<'r> {
    /// For the ids of the page.
    pub key: &'static str,
    pub base: Text,
    pub answers: &'r Answers,
}

impl SideShown<'_> {
    /// How much of each name's answers moves.
    pub fn moved(&self) -> Text {
        by_name(&self.answers.by_name, |one| one.moved)
    }

    pub fn unanswered(&self) -> Text {
        by_name(&self.answers.by_name, |one| one.unanswered)
    }
}

/// The first rows of a table.
pub fn first<T>(rows: &[T]) -> &[T] {
    &rows[..rows.len().min(MAX_ROWS)]
}

/// One thing that changes.
pub struct Thing {
    pub kind: &'static str,
    pub word: Text,
    pub id: String,
    pub name: Text,
    pub lines: Vec<Said>,
}

impl Review {
    pub fn of(Reviewed { preview, warnings, changes, more_changes, before, after }: Reviewed) -> Review {
        let things = things(&before, &after, &changes);
        let warnings = warnings.into_iter().map(|warning| (change::place(&after, &warning.at), warning));
        Review { things, more_things: more_changes, preview, warnings: warnings.collect() }
    }

    /// What happens to answers as everything is now, and with every pool up where one is not.
    pub fn sides(&self) -> Vec<SideShown<'_>> {
        let Preview { as_now, all_up, .. } = &self.preview;
        match all_up {
            None => {
                vec![SideShown { key: "now", base: text("As everything is now: no pool is down"), answers: as_now }]
            }
            Some(all_up) => vec![
                SideShown { key: "now", base: text("As everything is now"), answers: as_now },
                SideShown { key: "up", base: text("With every pool up"), answers: all_up },
            ],
        }
    }

    pub fn outages(&self) -> &[Outage] {
        first(&self.preview.outages)
    }

    /// Endpoints that are answered now and would not be, while their pool is.
    pub fn emptied(&self) -> Vec<(Text, Text)> {
        let mut said: Vec<(Text, Text)> = Vec::new();
        // Of a pool that is down now the other side tells.
        let all = self.sides().into_iter().flat_map(|side| &side.answers.shares);
        for share in all.filter(|share| share.after > SHOWN) {
            for gone in share.endpoints.iter().filter(|one| one.now > SHOWN && one.after <= SHOWN) {
                let what = text("{endpoint} of {pool} would get no more clients.");
                let what = what.set("endpoint", &gone.endpoint).set("pool", &share.pool);
                let left = share.endpoints.iter().filter(|one| one.after > SHOWN).take(MAX_PLACES);
                let left = left.map(|one| format!("{} {}", one.endpoint, percent_text(one.after / share.after)));
                let others = text("Of the answers of {pool} it gets {share} without the change. Then: {endpoints}.");
                let others = others.set("pool", &share.pool).set("share", percent_text(gone.now / share.now));
                let others = others.set("endpoints", left.collect::<Vec<_>>().join(", "));
                // Every name that the pool answers has it.
                if !said.iter().any(|(known, _)| *known == what) {
                    said.push((what, others));
                }
            }
        }
        said
    }

    pub fn steers(&self) -> bool {
        !self.preview.as_now.shares.is_empty()
    }

    /// The name that has to be typed before clients are left without an answer.
    pub fn guard(&self) -> Option<&str> {
        let loss = self.sides().into_iter().find_map(|side| side.answers.losses.first())?;
        Some(loss.name.trim_end_matches('.'))
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
        let Preview { as_now, all_up, .. } = &self.preview;
        // What is lost now as well is said once.
        let known =
            |loss: &&Loss| as_now.losses.iter().any(|known| (&known.name, known.rule) == (&loss.name, loss.rule));
        let later = all_up.iter().flat_map(|side| &side.losses).filter(|loss| !known(loss));
        let later = later.map(|loss| text("Once every pool is up: {loss}").say("loss", say(loss)));
        as_now.losses.iter().map(say).chain(later).take(MAX_ROWS).collect()
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

/// Each thing that changes. A zone of which only the serial moves is no change that anybody made.
pub fn things(before: &Model, after: &Model, changes: &[Change]) -> Vec<Thing> {
    let thing = |change: &Change| {
        let lines = change::said(before, after, change);
        let (word, name) = change::title(before, after, change.kind, &change.id);
        (!lines.is_empty()).then(|| Thing { kind: change.kind.as_str(), word, id: change.id.clone(), name, lines })
    };
    changes.iter().filter_map(thing).collect()
}

/// One figure where all names have the same, else that of each name.
fn by_name(names: &[NameEffect], part: impl Fn(&NameEffect) -> f64) -> Text {
    let shares: Vec<String> = names.iter().map(|one| percent_text(part(one))).collect();
    if shares.iter().all(|share| Some(share) == shares.first()) {
        return plain(shares.first().map_or("0%", String::as_str));
    }
    let mut sorted: Vec<&NameEffect> = names.iter().collect();
    sorted.sort_by(|a, b| part(b).total_cmp(&part(a)));
    let figure = |one: &&NameEffect| {
        let said = text("{share} of {name}").set("share", percent_text(part(one)));
        said.say("name", name_and_more(&one.name, one.more_names))
    };
    let shown = sorted.iter().take(MAX_FIGURES).map(figure);
    let shown = shown.reduce(|before, next| text("{before}, {next}").say("before", before).say("next", next));
    let shown = shown.unwrap_or_else(|| plain("0%"));
    match sorted.len().saturating_sub(MAX_FIGURES) {
        0 => shown,
        more => text("{shown} and {n} more").say("shown", shown).set("n", more),
    }
}

/// A name, and how many others are answered like it.
pub fn name_and_more(name: &str, more: usize) -> Text {
    let name = name.trim_end_matches('.');
    if more == 0 { plain(name) } else { text("{name} and {n} more").set("name", name).set("n", more) }
}

/// What clients get, as `control::preview` puts it.
pub fn answer(said: &str) -> Text {
    text("{said}").each("said", |language| told::fact("shares", said, language).replace(" %", "%"))
}

/// An endpoint among the shares; with both addresses where it gets another.
pub fn endpoint(share: &EndpointShare) -> Text {
    match &share.address {
        Some((was, is)) => {
            text("{endpoint}: {was} becomes {is}").set("endpoint", &share.endpoint).set("was", was).set("is", is)
        }
        None => plain(&share.endpoint),
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

/// One side of a row of the table of outages: who takes over when `down` goes down.
pub fn effect(down: &str, effect: &Effect) -> Text {
    if effect.clients <= 0.0 {
        return text("not used");
    }
    let said = |(pool, share): &(String, f64)| {
        match pool == down {
            true => text("{pool} itself, though down: its last resort, {share}"),
            false => text("{pool} {share}"),
        }
        .set("pool", pool)
        .set("share", percent_text(*share))
    };
    let to = effect.to.iter().take(4).map(said);
    let to = to.reduce(|before, next| text("{before}, {next}").say("before", before).say("next", next));
    to.unwrap_or_else(|| text("nobody takes over"))
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

pub fn class(sign: Sign) -> &'static str {
    match sign {
        Sign::Gone => "del",
        Sign::New => "add",
        Sign::Changed => "mod",
    }
}

/// What a comparison's line is, for those who do not see its colour.
pub fn spoken(sign: Sign) -> &'static str {
    match sign {
        Sign::Gone => "Before:",
        Sign::New => "After:",
        Sign::Changed => "Changed:",
    }
}

pub fn more(n: &usize) -> Text {
    count(*n, "And {n} more change.", "And {n} more changes.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture;
    use crate::control::preview;
    use crate::health::HealthTable;
    use crate::web::ui::text::Language;
    use serde_json::json;

    #[test]
    fn an_endpoint_that_a_change_empties_is_told_with_who_takes_over() {
        let mut document = fixture::document();
        document["endpoints"]["three"] = json!({ "ipv4": "192.0.2.3" });
        document["pools"]["eu"]["members"] =
            json!([{ "endpoint": "one", "weight": 30 }, { "endpoint": "three", "weight": 70 }]);
        let snapshot = fixture::snapshot(&document, &HealthTable::default());
        let mut wanted = snapshot.model().document();
        wanted["pools"]["eu"]["members"][0]["weight"] = json!(0);
        let edits = snapshot.model().edits_to(&wanted).unwrap();
        let review = Review::of(preview::review(&snapshot, &HealthTable::default(), &edits).unwrap());
        let said: Vec<[String; 2]> = review
            .emptied()
            .iter()
            .map(|(what, others)| [what.to_html(Language::English), others.to_html(Language::English)])
            .collect();
        let wanted = [
            "one of eu would get no more clients.",
            "Of the answers of eu it gets 30% without the change. Then: three 100%.",
        ];
        assert_eq!(said, [wanted.map(String::from)]);
        assert_eq!(
            answer(&review.preview.as_now.moves[0].to).to_html(Language::English),
            "eu 100% (one 0%; three 100%)"
        );
        assert_eq!(answer(&review.preview.as_now.moves[0].to).to_html(Language::Korean), "eu 100%(one 0%; three 100%)");
    }

    #[test]
    fn a_figure_is_one_where_all_names_agree_else_that_of_each() {
        let one = |name: &str, moved: f64| NameEffect { name: name.into(), moved, ..NameEffect::default() };
        let said = |names: &[NameEffect]| by_name(names, |one| one.moved).to_html(Language::English);
        assert_eq!(said(&[]), "0%");
        assert_eq!(said(&[one("a.test.", 0.26)]), "26%");
        assert_eq!(said(&[one("a.test.", 0.0), one("b.test.", 0.26)]), "26% of b.test, 0% of a.test");
    }
}
