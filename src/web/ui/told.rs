//! What is wrong, in the reader's language. Errors are made in English where the fault is found, for the API and
//! the command line as well; pages know them again by the patterns of `templates/ko/errors.toml`. What no pattern
//! fits stays English as a whole, never half of it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::text::{Language, PATTERNS, table};

/// Longer ones hold what somebody sent, and are shown as they are.
const MAX_TOLD: usize = 2_000;

/// English with slots, cut at its slots, and what to say instead.
struct Pattern {
    /// In small letters at the beginning, since a sentence may begin with it.
    pieces: Vec<String>,
    slots: Vec<String>,
    says: String,
}

/// One or more sentences about a fault, as `problem; remedy` or with full stops.
pub fn told(english: &str, language: Language) -> String {
    if language == Language::English || english.len() > MAX_TOLD {
        return english.to_owned();
    }
    let said: Option<Vec<String>> = sentences(english).into_iter().map(sentence).collect();
    said.filter(|said| !said.is_empty()).map_or_else(|| english.to_owned(), |said| said.join(" "))
}

fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut rest = text.trim();
    while let Some(end) = [". ", "; ", "? "].iter().filter_map(|end| rest.find(end)).min() {
        let is_question = rest[end..].starts_with('?');
        sentences.push(&rest[..end + usize::from(is_question)]);
        rest = rest[end + 2..].trim_start();
    }
    sentences.push(rest.strip_suffix('.').unwrap_or(rest));
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

/// With the place before it, where one stands there: `pools/eu: is missing`.
fn sentence(english: &str) -> Option<String> {
    // `is empty` may stand beside its field as `This is empty`.
    let bare = english.strip_prefix("This ").unwrap_or(english);
    let whole = [english, bare].iter().find_map(|said| patterns().iter().find_map(|pattern| pattern.say(said)));
    let said = whole.or_else(|| {
        let (place, problem) = english.split_once(": ")?;
        let said = |text| patterns().iter().find_map(|pattern| pattern.say(text));
        Some(format!("{}: {}", said(place).unwrap_or_else(|| place.to_owned()), said(problem)?))
    })?;
    Some(if said.ends_with(['.', '?']) { said } else { said + "." })
}

impl Pattern {
    fn new(english: &str, says: String) -> Pattern {
        let (mut pieces, mut slots) = (Vec::new(), Vec::new());
        let mut rest = english;
        while let Some((before, (slot, after))) =
            rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?)))
        {
            pieces.push(before.to_owned());
            slots.push(slot.to_owned());
            rest = after;
        }
        pieces.push(rest.to_owned());
        pieces[0] = begun_small(&pieces[0]);
        Pattern { pieces, slots, says }
    }

    fn say(&self, english: &str) -> Option<String> {
        let first = self.pieces.first()?;
        let mut rest = match first.is_empty() {
            true => english,
            false if begun_small(english).starts_with(first.as_str()) => english.get(first.len()..)?,
            false => return None,
        };
        let mut said = self.says.clone();
        for (number, slot) in self.slots.iter().enumerate() {
            let piece = self.pieces.get(number + 1)?;
            let is_last = number + 1 == self.slots.len();
            let end = match is_last {
                true => rest.len().checked_sub(piece.len()).filter(|_| rest.ends_with(piece.as_str()))?,
                false => rest.find(piece.as_str())?,
            };
            // What stands before a colon is a place, and no part of a word.
            let word = rest.get(..end).filter(|word| !word.is_empty() && !word.contains(": "))?;
            said = said.replace(&format!("{{{slot}}}"), word);
            rest = rest.get(end + piece.len()..)?;
        }
        rest.is_empty().then_some(said)
    }

    /// Letters of its own: the more, the surer it is meant.
    fn sureness(&self) -> usize {
        self.pieces.iter().map(String::len).sum()
    }
}

fn begun_small(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
}

/// The surest first.
fn patterns() -> &'static [Pattern] {
    static READ: OnceLock<Vec<Pattern>> = OnceLock::new();
    READ.get_or_init(|| {
        let table: BTreeMap<String, String> = table(PATTERNS).into_iter().collect();
        let mut patterns: Vec<Pattern> =
            table.into_iter().map(|(english, says)| Pattern::new(&english, says)).collect();
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.sureness()));
        patterns
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_known_again_with_the_words_in_it() {
        for (english, korean) in [
            (
                "eu 1 is not an address. It has four parts, such as 192.0.2.10.",
                "주소가 아닙니다: eu 1. 192.0.2.10처럼 네 부분으로 씁니다.",
            ),
            (
                "Is too short. Use at least 12 characters; a few words in a row are good.",
                "너무 짧습니다. 12자 이상으로 하십시오. 단어 몇 개를 이어 쓰면 좋습니다.",
            ),
            (
                "line 3: 1 is already in eu; give each address once",
                "3번째 줄: eu 풀에 이미 있습니다: 1. 주소는 한 번씩만 쓰십시오.",
            ),
            ("This is missing.", "값이 없습니다."),
            ("pools/eu weight: Is missing.", "pools/eu weight: 값이 없습니다."),
            (
                "No pool named eu-wset. Did you mean eu-west?",
                "풀이 없습니다: eu-wset. 혹시 eu-west, 이것을 뜻하셨습니까?",
            ),
        ] {
            assert_eq!(told(english, Language::Korean), korean);
            assert_eq!(told(english, Language::English), english);
        }
    }

    #[test]
    fn half_a_translation_is_none() {
        for english in ["", "Is empty. A remedy of tomorrow.", "{a} {b}", "한 is", "?", "."] {
            assert_eq!(told(english, Language::Korean), english);
        }
    }
}
