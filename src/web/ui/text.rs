//! What pages say, in every language. English stands in templates and code; other languages are tables from
//! it (`templates/ko/`), whole sentences with named slots. Decides nothing about what is said.
//!
//! In templates: `{{ "Drain pool"|t }}`, `{{ "{up} of {all} up"|set("up", up)|set("all", all)|t }}`. In code:
//! `text("{pool} is down").set("pool", id)`. A text may hold markup of ours (`<b>{pool}</b>`); what fills
//! its slots is escaped.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::OnceLock;

use rust_embed::Embed;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    #[default]
    English,
    Korean,
}

impl Language {
    pub const ALL: [Language; 2] = [Language::English, Language::Korean];

    /// As in `lang` (BCP 47).
    pub fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Korean => "ko",
        }
    }

    /// Its name in itself.
    pub fn name(self) -> &'static str {
        match self {
            Language::English => "English",
            Language::Korean => "한국어",
        }
    }

    pub fn of_code(code: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.code() == code)
    }

    /// The first of an Accept-Language header that there is.
    pub fn preferred(header: &str) -> Language {
        let tags = header.split(',').map(|part| part.split([';', '-']).next().unwrap_or_default().trim());
        tags.filter_map(Language::of_code).next().unwrap_or_default()
    }
}

/// A sentence in no language yet: English with `{slots}`, and what fills them.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    english: &'static str,
    slots: Vec<(&'static str, Slot)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Slot {
    /// Escaped where it is shown.
    Plain(String),
    Text(Text),
    /// Markup that our own templates made.
    Html(String),
    /// English of a section of `told`, escaped where it is shown.
    Fact(&'static str, String),
    /// Markup in the order of the languages.
    Each([String; Language::ALL.len()]),
}

/// A text of ours. What a user or a server wrote never comes in here but by `set`.
pub fn text(english: &'static str) -> Text {
    Text { english, slots: Vec::new() }
}

/// A name or another word that is the same in every language.
pub fn plain(word: impl Display) -> Text {
    text("{word}").set("word", word)
}

/// What the machine says in English, by a section of `told`.
pub fn fact(section: &'static str, english: impl Into<String>) -> Text {
    text("{fact}").fact("fact", section, english)
}

/// The form for `n`, which fills the slot `n`.
pub fn count(n: usize, one: &'static str, many: &'static str) -> Text {
    text(if n == 1 { one } else { many }).set("n", n)
}

impl Text {
    pub fn set(mut self, slot: &'static str, value: impl Display) -> Text {
        self.slots.push((slot, Slot::Plain(value.to_string())));
        self
    }

    /// Fills a slot with another text, in the same language.
    pub fn say(mut self, slot: &'static str, text: Text) -> Text {
        self.slots.push((slot, Slot::Text(text)));
        self
    }

    /// Fills a slot with what the machine says in English, of a section of `told`.
    pub fn fact(mut self, slot: &'static str, section: &'static str, english: impl Into<String>) -> Text {
        self.slots.push((slot, Slot::Fact(section, english.into())));
        self
    }

    /// Fills a slot with names that differ by language, such as those of countries.
    pub fn each(self, slot: &'static str, named: impl Fn(Language) -> String) -> Text {
        self.each_html(slot, |language| escaped(&named(language)).into_owned())
    }

    /// Fills a slot with markup of ours that differs by language, such as that of moments.
    pub fn each_html(mut self, slot: &'static str, markup: impl Fn(Language) -> String) -> Text {
        self.slots.push((slot, Slot::Each(Language::ALL.map(markup))));
        self
    }

    /// Fills a slot with markup that a template of ours made.
    pub fn html(mut self, slot: &'static str, markup: impl Into<String>) -> Text {
        self.slots.push((slot, Slot::Html(markup.into())));
        self
    }

    /// As HTML.
    pub fn to_html(&self, language: Language) -> String {
        let pattern = translated(self.english, language);
        if self.slots.is_empty() {
            return pattern.to_owned();
        }
        let mut out = String::with_capacity(pattern.len() + 32);
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            match self.slots.iter().find(|(slot, _)| *slot == name) {
                Some((_, Slot::Plain(value))) => out.push_str(&escaped(value)),
                Some((_, Slot::Text(text))) => out.push_str(&text.to_html(language)),
                Some((_, Slot::Html(markup))) => out.push_str(markup),
                Some((_, Slot::Each(words))) => out.push_str(&words[language as usize]),
                Some((_, Slot::Fact(section, english))) => {
                    out.push_str(&escaped(&super::told::fact(section, english, language)));
                }
                None => {
                    out.push('{');
                    out.push_str(name);
                    out.push('}');
                }
            }
            rest = after;
        }
        out + rest
    }
}

/// What `t` and `set` take. Only texts of ours: a `String` may hold anybody's markup.
pub trait Say {
    fn text(&self) -> Text;
}

impl Say for &'static str {
    fn text(&self) -> Text {
        text(self)
    }
}

impl Say for Text {
    fn text(&self) -> Text {
        self.clone()
    }
}

impl<T: Say + ?Sized> Say for &T {
    fn text(&self) -> Text {
        (**self).text()
    }
}

/// Escapes what stands in HTML text or in a quoted attribute.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Tables from English, one file for each part of the pages.
#[derive(Embed)]
#[folder = "templates/ko/"]
struct Korean;

/// The tables of what is not said by us word by word, see `told`.
pub const ERRORS: &str = "errors.toml";
pub const FACTS: &str = "facts.toml";

/// English itself where a language has no words for it.
fn translated(english: &'static str, language: Language) -> &'static str {
    match language {
        Language::English => english,
        Language::Korean => korean().get(english).map_or(english, String::as_str),
    }
}

fn korean() -> &'static HashMap<String, String> {
    static KOREAN: OnceLock<HashMap<String, String>> = OnceLock::new();
    KOREAN.get_or_init(|| {
        let files = Korean::iter().filter(|file| file != ERRORS && file != FACTS);
        files.flat_map(|file| table(&file)).collect()
    })
}

/// One file of the tables.
pub fn table(file: &str) -> HashMap<String, String> {
    read(file)
}

/// A file of several tables.
pub fn sections(file: &str) -> HashMap<String, HashMap<String, String>> {
    read(file)
}

fn read<T: serde::de::DeserializeOwned>(file: &str) -> T {
    let file = Korean::get(file).map(|file| file.data).unwrap_or_default();
    toml::from_str(&String::from_utf8_lossy(&file)).expect("a test reads every table")
}

/// Begun as a sentence is. `IPv4` stays as it is.
pub fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fills_a_slot_is_escaped_and_the_text_is_not() {
        let said = text("<b>{pool}</b> is {state}").set("pool", "<i>\"eu\"").say("state", text("Down"));
        assert_eq!(said.to_html(Language::English), "<b>&lt;i&gt;&quot;eu&quot;</b> is Down");
    }

    #[test]
    fn one_and_many_have_their_own_forms() {
        let said = |n| count(n, "{n} name", "{n} names").to_html(Language::English);
        assert_eq!([said(0), said(1), said(2)], ["0 names", "1 name", "2 names"]);
    }

    #[test]
    fn the_first_language_that_there_is_is_taken() {
        assert_eq!(Language::preferred("fr-FR, ko;q=0.9, en;q=0.8"), Language::Korean);
        assert_eq!(Language::preferred(""), Language::English);
    }
}
