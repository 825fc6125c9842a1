//! What is not said by us word by word, in the reader's language: errors, causes, changes and decisions are put into
//! English where they arise, for the API, the log and the command line as well, and many were stored long ago. Pages
//! know them again by patterns: errors by `templates/ko/errors.toml`, facts by the sections of `templates/ko/facts.toml`.
//! What no pattern fits stays English as a whole, never half of it.
//!
//! A slot takes the words that stand in its place: `{name}` any, `{name:number}` figures, `{name:section}` what a
//! section of the facts can say, and `{name:section?}` that or any.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::OnceLock;

use super::text::{ERRORS, FACTS, Language, sections, table};

/// Longer ones hold what somebody sent, and are shown as they are.
const MAX_TOLD: usize = 4_000;
/// Places tried for the slots of one text, whatever somebody made of it.
const MAX_TRIALS: u32 = 20_000;
/// Sections in sections, as rules in changes.
const MAX_DEPTH: u32 = 40;

/// The section of errors; the others stand in the file of facts.
const ERROR: &str = "error";
/// Not a section but figures.
const NUMBER: &str = "number";

/// English with slots, cut at its slots, and what to say instead.
struct Pattern {
    /// In small letters at the beginning, since a sentence may begin with it.
    pieces: Vec<String>,
    slots: Vec<Slot>,
    says: String,
}

struct Slot {
    name: String,
    takes: Takes,
}

enum Takes {
    Any,
    /// Of errors: what stands before a colon is a place, and no part of a word.
    Word,
    Number,
    Section(String),
    SectionOrAny(String),
}

/// What is still to be tried.
struct Effort {
    trials: Cell<u32>,
}

/// One or more sentences about a fault, as `problem; remedy` or with full stops.
pub fn told(english: &str, language: Language) -> String {
    if language == Language::English || english.len() > MAX_TOLD {
        return with_versions(english);
    }
    let effort = Effort::new();
    let said: Option<Vec<String>> = sentences(english).into_iter().map(|sentence| effort.error(sentence)).collect();
    said.filter(|said| !said.is_empty()).map_or_else(|| english.to_owned(), |said| said.join(" "))
}

/// A fact, by a section of the facts, or an error. A full stop stays where there is one.
pub fn fact(section: &str, english: &str, language: Language) -> String {
    if section == ERROR {
        return told(english, language);
    }
    if language == Language::English || english.len() > MAX_TOLD {
        // What somebody wrote stays as they wrote it.
        let may_be_theirs = matches!(section, "message" | "changes" | "switched");
        let is_ours = section == "switched" && english.contains(" sets admin to ");
        return if may_be_theirs && !is_ours { english.to_owned() } else { with_versions(english) };
    }
    let (plain, end) = english.strip_suffix('.').map_or((english, ""), |plain| (plain, "."));
    let effort = Effort::new();
    let said = effort.say(section, plain, 0).map(|said| said + end);
    let said = said.or_else(|| effort.say(section, english, 0));
    said.unwrap_or_else(|| english.to_owned())
}

/// What the API calls a revision is a version to people.
fn with_versions(english: &str) -> String {
    let mut parts = english.split("revision ");
    let mut said = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        said += if part.starts_with(|c: char| c.is_ascii_digit()) { "version " } else { "revision " };
        said += part;
    }
    said
}

fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut rest = text.trim();
    // Names of hosts end with a dot as well: what goes on in small letters is the same sentence.
    let stop = |rest: &str| {
        let ends = |at: &usize| !rest[at + 2..].trim_start().starts_with(char::is_lowercase);
        rest.match_indices(". ").map(|(at, _)| at).find(ends)
    };
    while let Some(end) = [rest.find("; "), rest.find("? "), stop(rest)].into_iter().flatten().min() {
        let is_question = rest[end..].starts_with('?');
        sentences.push(&rest[..end + usize::from(is_question)]);
        rest = rest[end + 2..].trim_start();
    }
    sentences.push(rest.strip_suffix('.').unwrap_or(rest));
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

impl Effort {
    fn new() -> Effort {
        Effort { trials: Cell::new(MAX_TRIALS) }
    }

    /// False when it was enough.
    fn once_more(&self) -> bool {
        let left = self.trials.get();
        self.trials.set(left.saturating_sub(1));
        left > 0
    }

    /// With the place before it, where one stands there: `pools/eu: is missing`.
    fn error(&self, english: &str) -> Option<String> {
        // `is empty` may stand beside its field as `This is empty`.
        let bare = || self.say(ERROR, begun_small(english).strip_prefix("this ")?, 0);
        let whole = self.say(ERROR, english, 0).or_else(bare);
        let said = whole.or_else(|| {
            let (place, problem) = english.split_once(": ")?;
            let place = self.say(ERROR, place, 0).unwrap_or_else(|| place.to_owned());
            Some(format!("{place}: {}", self.say(ERROR, problem, 0)?))
        })?;
        Some(if said.ends_with(['.', '?']) { said } else { said + "." })
    }

    fn say(&self, section: &str, english: &str, depth: u32) -> Option<String> {
        let patterns = patterns().get(section).filter(|_| depth < MAX_DEPTH)?;
        patterns.iter().find_map(|pattern| self.fit(pattern, english, depth))
    }

    fn fit(&self, pattern: &Pattern, english: &str, depth: u32) -> Option<String> {
        let first = pattern.pieces.first()?;
        let rest = match first.is_empty() {
            true => english,
            false if begun_small(english).starts_with(first.as_str()) => english.get(first.len()..)?,
            false => return None,
        };
        let mut words = Vec::with_capacity(pattern.slots.len());
        self.fill(pattern, rest, depth, &mut words).then(|| pattern.filled(&words))
    }

    /// The words of the next slots, so that nothing of `rest` is left.
    fn fill(&self, pattern: &Pattern, rest: &str, depth: u32, words: &mut Vec<String>) -> bool {
        let at = words.len();
        let (Some(slot), Some(piece)) = (pattern.slots.get(at), pattern.pieces.get(at + 1)) else {
            return rest.is_empty();
        };
        let is_last = at + 1 == pattern.slots.len();
        let ends: Vec<usize> = match is_last {
            true => rest.strip_suffix(piece.as_str()).map(str::len).into_iter().collect(),
            false => rest.match_indices(piece.as_str()).map(|(end, _)| end).collect(),
        };
        for end in ends {
            if !self.once_more() {
                return false;
            }
            let Some(said) = self.word(slot, &rest[..end], depth) else { continue };
            words.push(said);
            if self.fill(pattern, &rest[end + piece.len()..], depth, words) {
                return true;
            }
            words.truncate(at);
        }
        false
    }

    fn word(&self, slot: &Slot, word: &str, depth: u32) -> Option<String> {
        let said = match &slot.takes {
            _ if word.is_empty() => return None,
            Takes::Any => word.to_owned(),
            Takes::Word => Some(word).filter(|word| !word.contains(": "))?.to_owned(),
            Takes::Number => {
                let is_figure = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',');
                Some(word).filter(|word| word.chars().all(is_figure))?.to_owned()
            }
            Takes::Section(section) => self.say(section, word, depth + 1)?,
            Takes::SectionOrAny(section) => self.say(section, word, depth + 1).unwrap_or_else(|| word.to_owned()),
        };
        Some(said)
    }
}

impl Pattern {
    fn new(section: &str, english: &str, says: String) -> Pattern {
        let (mut pieces, mut slots) = (Vec::new(), Vec::new());
        let mut rest = english;
        while let Some((before, (slot, after))) =
            rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?)))
        {
            pieces.push(before.to_owned());
            slots.push(Slot::new(section, slot));
            rest = after;
        }
        pieces.push(rest.to_owned());
        pieces[0] = begun_small(&pieces[0]).into_owned();
        Pattern { pieces, slots, says }
    }

    fn filled(&self, words: &[String]) -> String {
        let (mut said, mut rest) = (String::new(), self.says.as_str());
        while let Some((before, (slot, after))) =
            rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?)))
        {
            said.push_str(before);
            let word = self.slots.iter().position(|known| known.name == slot).and_then(|at| words.get(at));
            said.push_str(word.map_or("", String::as_str));
            rest = after;
        }
        said + rest
    }

    /// Letters of its own, and then slots that do not take just anything: the more, the surer it is meant.
    fn sureness(&self) -> (usize, usize) {
        let picky = self.slots.iter().filter(|slot| matches!(slot.takes, Takes::Number | Takes::Section(_)));
        (self.pieces.iter().map(String::len).sum(), picky.count())
    }
}

impl Slot {
    fn new(section: &str, slot: &str) -> Slot {
        let (name, takes) = match slot.split_once(':') {
            Some((name, NUMBER)) => (name, Takes::Number),
            Some((name, of)) => match of.strip_suffix('?') {
                Some(of) => (name, Takes::SectionOrAny(of.to_owned())),
                None => (name, Takes::Section(of.to_owned())),
            },
            None if section == ERROR => (slot, Takes::Word),
            None => (slot, Takes::Any),
        };
        Slot { name: name.to_owned(), takes }
    }
}

fn begun_small(text: &str) -> Cow<'_, str> {
    match text.chars().next() {
        Some(first) if first.is_uppercase() => Cow::Owned(first.to_lowercase().chain(text.chars().skip(1)).collect()),
        _ => Cow::Borrowed(text),
    }
}

/// By section, the surest first.
fn patterns() -> &'static HashMap<String, Vec<Pattern>> {
    static READ: OnceLock<HashMap<String, Vec<Pattern>>> = OnceLock::new();
    READ.get_or_init(|| {
        let facts = sections(FACTS).into_iter();
        let all = facts.chain(std::iter::once((ERROR.to_owned(), table(ERRORS))));
        all.map(|(section, table)| {
            let new = |(english, says): (String, String)| (english.clone(), Pattern::new(&section, &english, says));
            let mut patterns: Vec<(String, Pattern)> = table.into_iter().map(new).collect();
            patterns.sort_by(|(a, first), (b, second)| (second.sureness(), a).cmp(&(first.sureness(), b)));
            let patterns = patterns.into_iter().map(|(_, pattern)| pattern).collect();
            (section, patterns)
        })
        .collect()
    })
}

#[cfg(test)]
mod tests;
