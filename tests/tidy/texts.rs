//! Every text of ours has its Korean: the texts are found in the sources by reading them, as the compiler and
//! askama would, and looked up in `templates/ko/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::{files, root, rust_files, source, without_tests};

/// Calls whose words are not for a page in this form: they are put together, go to a log, or are errors of the
/// model's kind, which `templates/ko/errors.toml` has by pattern.
const NOT_PAGES: [&str; 18] = [
    "format!",
    "write!",
    "writeln!",
    "assert!",
    "matches!",
    "expect",
    "tracing::error!",
    "tracing::info!",
    "tracing::warn!",
    "FieldError::new",
    "crate::model::FieldError::new",
    "Problem::new",
    "Problem::not_found",
    "Found::Fails",
    "wrong",
    "export::csv",
    "part",
    "include_str!",
];

/// Calls that make an error for a page.
const ERRORS: [&str; 4] = ["FieldError::new", "Problem::new", "Problem::not_found", "wrong"];

/// Literals that look like texts and are data, or the same in every language.
const SAME_EVERYWHERE: [&str; 11] = [
    "English",
    "Everyone else",
    "GiB",
    "KiB",
    "Chosen in the first run by trying.",
    "Made in the first run for ",
    "MaxMind",
    "MiB",
    "São Paulo",
    "TiB",
    "ZoneFile",
];

/// Patterns of what is not said word by word, by section.
const FACTS: &str = "facts.toml";

/// Where English arises that pages show: folders and files of `src`.
const MACHINE: [&str; 6] = ["model", "health", "probe", "answer", "control", "geo/who.rs"];

/// Of those, what pages never show: command lines, logs, formats of files, and Rust's own.
const NEVER_SHOWN: [&str; 14] = [
    "model/zonefile/export.rs",
    "model/zonefile/changes.rs",
    "model/builtin.rs",
    "model/rdata/shape.rs",
    "health/story.rs",
    "health/scenario",
    "answer/fixture.rs",
    "answer/oracle.rs",
    "control/preview/mod.rs",
    "control/keeper.rs",
    "control/series.rs",
    "control/geo_upload.rs",
    "control/token.rs",
    "tests.rs",
];

/// Words in them that are for programs, logs or the API alone, or are no words of ours.
const NOT_SAID: [&str; 25] = [
    "Zone {zone} answers for {}, and policy {} decides on {} there.",
    "is passed over",
    "There is no {} to answer, so the answer is empty.",
    "The answer holds for {network}.",
    "The answer holds for everyone.",
    "place unknown",
    "The client is placed by {}: {place}.",
    "may answer",
    "was not asked",
    "; odds {} %",
    "Pool {pool} answers, in step {step}: {}.",
    "No pool answers: {}.",
    "what is not a name",
    "response code {}",
    "Temporary failure",
    "united states of america",
    "great britain",
    "republic of korea",
    "czech republic",
    "russian federation",
    "viet nam",
    "ivory coast",
    "cape verde",
    "east timor",
    "democratic republic of congo",
];

/// A string literal of a source: where it begins and ends, and what it says.
struct Literal {
    begins: usize,
    ends: usize,
    says: String,
}

#[test]
fn every_text_has_its_korean() {
    let korean = korean();
    let without: Vec<String> = texts()
        .into_iter()
        .filter(|(text, _)| has_words(text) && !korean.contains_key(text) && !is_known_fault(text, &korean))
        .map(|(text, place)| format!("{place}: {text:?}"))
        .collect();
    assert!(without.is_empty(), "these have no Korean in templates/ko/:\n{}", without.join("\n"));
}

#[test]
fn every_error_of_a_page_has_its_korean() {
    let known: BTreeSet<String> = korean().keys().map(|english| without_words_in_slots(english)).collect();
    let mut without = Vec::new();
    for path in rust_files(&source("web/ui")).into_iter().chain([source("control/account.rs")]) {
        let (place, code) = read(&path);
        let (literals, rest) = literals(without_tests(&code));
        for literal in literals {
            let is_error = calls_around(&rest, literal.begins).iter().any(|call| ERRORS.contains(&call.as_str()));
            let is_known = |sentence: &str| !has_words(sentence) || known.contains(&without_words_in_slots(sentence));
            // A place may stand before it.
            let is_unknown = |sentence: &&str| !is_known(sentence) && !sentence.split(": ").all(is_known);
            if is_error && literal.says.contains(' ') {
                let sentences = faults_of(&literal.says).filter(is_unknown);
                without.extend(sentences.map(|sentence| format!("{place}: {sentence:?}")));
            }
        }
    }
    assert!(without.is_empty(), "these have no Korean in templates/ko/errors.toml:\n{}", without.join("\n"));
}

#[test]
fn every_korean_text_has_the_slots_and_marks_of_its_english() {
    let facts = facts().into_iter().flat_map(|(section, table)| {
        table.into_iter().map(move |(english, korean)| (english, (korean, format!("{FACTS} [{section}]"))))
    });
    for (english, (korean, file)) in korean().into_iter().chain(facts) {
        for (opens, closes) in [('{', '}'), ('<', '>')] {
            // What a slot takes stands behind a colon, in the English only.
            let name = |slot: String| slot.split_once(':').map_or(slot.clone(), |(name, _)| format!("{name}{closes}"));
            let parts = |text: &str| parts(text, opens, closes).into_iter().map(name).collect::<BTreeSet<_>>();
            assert_eq!(parts(&english), parts(&korean), "{file}: {english:?} = {korean:?}");
        }
    }
}

#[test]
fn no_korean_text_is_left_over() {
    let mut said: BTreeSet<String> = all_literals().into_iter().collect();
    said.extend(built_in_regions());
    let left: Vec<String> = korean()
        .into_iter()
        .filter(|(english, (_, file))| file != "errors.toml" && !said.contains(english))
        .map(|(english, (_, file))| format!("{file}: {english:?}"))
        .collect();
    assert!(left.is_empty(), "nothing says these any more:\n{}", left.join("\n"));
}

/// What stands between the slots of every literal of the machine stands in a pattern, so that a new sentence without
/// Korean is found, however it is put together.
#[test]
fn every_word_of_the_machine_has_its_korean() {
    let errors: BTreeMap<String, String> =
        toml::from_str(&fs::read_to_string(root("templates/ko/errors.toml")).unwrap()).unwrap();
    let facts = facts().into_values().flat_map(BTreeMap::into_keys);
    let patterns: Vec<String> =
        errors.into_keys().chain(facts).map(|english| pieces(&begun_small(&english)).join("\u{1}")).collect();
    let patterns = patterns.join("\u{2}");
    let is_known = |piece: &str| {
        let piece = piece.trim_matches(|c: char| c.is_whitespace() || ".,:;()“”'".contains(c));
        let letters = piece.chars().filter(|c| c.is_ascii_alphabetic()).count();
        letters < 3 || patterns.contains(&begun_small(piece)) || patterns.contains(piece)
    };
    let mut without = Vec::new();
    for path in MACHINE.iter().flat_map(|part| match part.ends_with(".rs") {
        true => vec![source("").join(part)],
        false => rust_files(&source(part)),
    }) {
        let (place, code) = read(&path);
        if NEVER_SHOWN.iter().any(|never| place.contains(never)) {
            continue;
        }
        let (literals, rest) = literals(without_tests(&code));
        let said = literals.into_iter().filter(|literal| literal.says.trim().contains(' ') && !is_place(&literal.says));
        for literal in said.filter(|literal| !NOT_SAID.contains(&literal.says.as_str())) {
            let calls = calls_around(&rest, literal.begins);
            let is_logged = calls.iter().any(|call| call.starts_with("tracing::") || call == "expect");
            let is_whole =
                |piece: &String| is_known(piece) || faults_of(piece).flat_map(|part| part.split(": ")).all(is_known);
            if !is_logged && !pieces(&literal.says).iter().all(is_whole) {
                without.push(format!("{place}: {:?}", literal.says));
            }
        }
    }
    assert!(without.is_empty(), "these have no Korean in errors.toml or facts.toml:\n{}", without.join("\n"));
}

/// Where a fault is: `policies/{id} attach[{i}]`.
fn is_place(text: &str) -> bool {
    let kinds = ["policies", "pools", "endpoints", "regions", "tests", "zones", "records"];
    text.starts_with("document ")
        || text.contains("[{")
        || kinds.iter().any(|kind| text.strip_prefix(kind).is_some_and(|rest| rest.starts_with("/{")))
}

/// What stands between the slots and figures.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<&str> = text.split('{').collect();
    for piece in pieces.iter_mut().skip(1) {
        *piece = piece.split_once('}').map_or(piece, |(_, after)| after);
    }
    let pieces = pieces.iter().flat_map(|piece| piece.split(|c: char| c.is_ascii_digit()));
    pieces.map(str::to_owned).collect()
}

fn begun_small(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
}

/// True for an error all of whose sentences are in the table of patterns.
fn is_known_fault(text: &str, korean: &BTreeMap<String, (String, String)>) -> bool {
    faults_of(text).all(|sentence| korean.contains_key(sentence))
}

/// The sentences of an error, cut as pages cut them.
fn faults_of(text: &str) -> impl Iterator<Item = &str> {
    let sentences = text.split("; ").flat_map(|part| part.split(". "));
    sentences.flat_map(|part| part.split_inclusive("? ")).map(|part| part.trim().trim_end_matches('.'))
}

/// Without the words of slots, without numbers, and with a small letter at the beginning.
fn without_words_in_slots(text: &str) -> String {
    let mut words: Vec<&str> = text.split('{').collect();
    for word in words.iter_mut().skip(1) {
        *word = word.split_once('}').map_or(word, |(_, after)| after);
    }
    let text = words.join("");
    let is_digit = |c: char| c.is_ascii_digit();
    let text = text.split_inclusive(|c: char| !is_digit(c)).map(|part| part.trim_start_matches(is_digit));
    begun_small(&text.collect::<String>())
}

/// The words of the machine: patterns by section.
fn facts() -> BTreeMap<String, BTreeMap<String, String>> {
    toml::from_str(&fs::read_to_string(root("templates/ko").join(FACTS)).unwrap()).unwrap()
}

/// English to Korean with the file. A text stands in one file only, so that no two can differ.
fn korean() -> BTreeMap<String, (String, String)> {
    let mut all: BTreeMap<String, (String, String)> = BTreeMap::new();
    for path in files(&root("templates/ko"), "toml") {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        if file == FACTS {
            continue;
        }
        let table: BTreeMap<String, String> = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for (english, korean) in table {
            assert!(!korean.trim().is_empty(), "{file}: {english:?} has no words");
            if let Some((_, other)) = all.insert(english.clone(), (korean, file.clone())) {
                panic!("{english:?} stands in {other} and in {file}; one of them, or words.toml, is enough");
            }
        }
    }
    all
}

/// Every text with the first place that says it.
fn texts() -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let templates: Vec<(String, String)> = files(&root("templates/ui"), "html").iter().map(|path| read(path)).collect();
    let macros = text_parameters(&templates);
    for (place, template) in &templates {
        for text in texts_of_template(template, &macros) {
            texts.entry(text).or_insert_with(|| place.clone());
        }
    }
    for path in rust_files(&source("web/ui")).into_iter().filter(|path| !path.ends_with("tests.rs")) {
        let (place, code) = read(&path);
        for text in texts_of_code(without_tests(&code)) {
            texts.entry(text).or_insert_with(|| place.clone());
        }
    }
    texts.extend(built_in_regions().into_iter().map(|name| (name, "geo-data/regions.toml".to_owned())));
    texts
}

/// Everything between quotes that a text could come from.
fn all_literals() -> Vec<String> {
    let code = rust_files(&source("")).into_iter();
    let pages = files(&root("templates/ui"), "html");
    let code = code.flat_map(|path| literals(&read(&path).1).0);
    let pages = pages.into_iter().flat_map(|path| literals(&only_tags(&read(&path).1)).0);
    code.chain(pages).map(|literal| literal.says).collect()
}

fn built_in_regions() -> Vec<String> {
    let regions: toml::Table = toml::from_str(&fs::read_to_string(root("geo-data/regions.toml")).unwrap()).unwrap();
    regions.values().filter_map(|region| region.get("name")?.as_str().map(str::to_owned)).collect()
}

/// What goes through `text(…)` or `count(…)`, and what reads like a text and goes nowhere else that is known:
/// the words of menus, tables and states.
fn texts_of_code(code: &str) -> Vec<String> {
    let (literals, rest) = literals(code);
    let is_text = |literal: &Literal| {
        let calls = calls_around(&rest, literal.begins);
        let is_said =
            calls.first().is_some_and(|call| call == "text" || call == "count" || call == "super::text::text");
        let is_elsewhere = calls.iter().any(|call| NOT_PAGES.contains(&call.as_str()))
            || SAME_EVERYWHERE.contains(&literal.says.as_str());
        is_said || (!is_elsewhere && reads_like_a_text(&literal.says))
    };
    literals.into_iter().filter(is_text).map(|literal| literal.says).collect()
}

fn reads_like_a_text(text: &str) -> bool {
    let mut letters = text.chars();
    let is_sentence = letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_lowercase);
    is_sentence || parts(text, '{', '}').iter().any(|slot| slot.len() > 2) && text.contains(' ')
}

/// The calls that a place stands in, from the innermost outwards.
fn calls_around(code: &str, place: usize) -> Vec<String> {
    let bytes = code.as_bytes();
    let (mut calls, mut closed) = (Vec::new(), 0);
    for at in (0..place).rev() {
        match bytes[at] {
            b')' | b']' | b'}' => closed += 1,
            // A statement ends what is around it for us.
            b';' if closed == 0 => break,
            b'(' | b'[' | b'{' if closed > 0 => closed -= 1,
            b'(' => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '!');
                let name = code[..at].rsplit(|c| !is_name(c)).next().unwrap_or_default();
                let is_method = code[..at - name.len()].ends_with('.');
                calls.push(if is_method && name != "expect" { format!(".{name}") } else { name.to_owned() });
            }
            _ => {}
        }
    }
    calls
}

/// What a template says itself: `"…"|t`, `"…"|set(…)`, `"…"|say(…)`, and what it gives to a macro that says it.
fn texts_of_template(template: &str, macros: &BTreeMap<String, Vec<usize>>) -> Vec<String> {
    let (literals, rest) = literals(&only_tags(template));
    let is_text = |literal: &Literal| {
        let after = &rest[literal.ends..];
        let is_filtered = ["|set(", "|say(", "|tell(", "|at("].iter().any(|filter| after.starts_with(filter))
            || after.strip_prefix("|t").is_some_and(|next| !next.starts_with(|c: char| c.is_ascii_alphanumeric()));
        let call = calls_around(&rest, literal.begins).into_iter().next().unwrap_or_default();
        let name = call.rsplit("::").next().unwrap_or_default();
        let number = argument_number(&rest, literal.begins);
        is_filtered
            || (name == "say" && number == 1 && !call.starts_with('.'))
            || macros.get(name).is_some_and(|texts| texts.contains(&number))
    };
    literals.into_iter().filter(is_text).map(|literal| literal.says).collect()
}

/// How many commas of the same call stand before a place.
fn argument_number(code: &str, place: usize) -> usize {
    let (mut closed, mut commas) = (0, 0);
    for byte in code.as_bytes()[..place].iter().rev() {
        match byte {
            b')' | b']' | b'}' => closed += 1,
            b'(' | b'[' | b'{' if closed == 0 => break,
            b'(' | b'[' | b'{' => closed -= 1,
            b',' if closed == 0 => commas += 1,
            _ => {}
        }
    }
    commas
}

/// A template with blanks in place of all that stands outside of `{{ … }}` and `{% … %}`.
fn only_tags(template: &str) -> String {
    let mut tags = vec![b' '; template.len()];
    let mut at = 0;
    while let Some(begins) = template[at..].find('{').map(|next| at + next) {
        let closes = match template.as_bytes().get(begins + 1) {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            _ => {
                at = begins + 1;
                continue;
            }
        };
        let mut ends = begins + 2;
        while ends < template.len() && !template[ends..].starts_with(closes) {
            let here = &template[ends..];
            ends += match here.starts_with('"') {
                true => string(here).1,
                false => here.chars().next().map_or(1, char::len_utf8),
            };
        }
        tags[begins..ends].copy_from_slice(&template.as_bytes()[begins..ends]);
        at = ends;
    }
    String::from_utf8(tags).expect("whole tags were kept")
}

/// For each macro, which of its parameters it says.
fn text_parameters(templates: &[(String, String)]) -> BTreeMap<String, Vec<usize>> {
    let mut macros = BTreeMap::new();
    for (_, template) in templates {
        for part in template.split("macro ").skip(1).filter(|part| part.contains("endmacro")) {
            let (name, part) = part.split_once('(').unwrap();
            let (parameters, body) = part.split_once(')').unwrap();
            let said =
                |word: &str| [format!("{word}|t"), format!("{word}|set(")].iter().any(|use_| body.contains(use_));
            let texts = parameters.split(',').map(str::trim).enumerate().filter(|(_, word)| said(word));
            macros.insert(name.to_owned(), texts.map(|(number, _)| number).collect());
        }
    }
    macros
}

/// The string literals of a source, and the source with blanks in place of them and of its comments.
fn literals(source: &str) -> (Vec<Literal>, String) {
    let (mut found, mut rest) = (Vec::new(), source.to_owned().into_bytes());
    let mut at = 0;
    while at < source.len() {
        let here = &source[at..];
        let length = if here.starts_with("//") && !source[..at].ends_with(':') {
            here.find('\n').unwrap_or(here.len())
        } else if here.starts_with("{#") {
            here.find("#}").map_or(here.len(), |end| end + 2)
        } else if here.starts_with("r#\"") {
            here.find("\"#").map_or(here.len(), |end| end + 2)
        } else if here.starts_with("'\"'") || here.starts_with("'\\") || here.starts_with("'{'") || is_bracket(here) {
            2 + here[2..].find('\'').unwrap_or(0) + 1
        } else if here.starts_with('"') {
            let (says, length) = string(here);
            found.push(Literal { begins: at, ends: at + length, says });
            length
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        rest[at..at + length].fill(b' ');
        at += length;
    }
    (found, String::from_utf8(rest).expect("whole characters were blanked"))
}

/// A bracket as a character literal, which opens nothing.
fn is_bracket(code: &str) -> bool {
    let mut letters = code.chars();
    letters.next() == Some('\'')
        && letters.next().is_some_and(|c| "()[]{};,".contains(c))
        && letters.next() == Some('\'')
}

/// What a string literal says, as Rust joins it, and its length in the source.
fn string(code: &str) -> (String, usize) {
    let (mut says, mut letters) = (String::new(), code.char_indices().skip(1).peekable());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (says, at + 1),
            '\\' => match letters.next().map(|(_, escaped)| escaped) {
                Some('n') => says.push('\n'),
                Some('\n') => while letters.next_if(|(_, letter)| letter.is_whitespace()).is_some() {},
                Some(escaped) => says.push(escaped),
                None => break,
            },
            letter => says.push(letter),
        }
    }
    (says, code.len())
}

/// What stands between the two, with them.
fn parts(text: &str, opens: char, closes: char) -> Vec<String> {
    text.split(opens)
        .skip(1)
        .filter_map(|part| Some(format!("{opens}{}{closes}", part.split_once(closes)?.0)))
        .collect()
}

/// True for what has letters beside its slots and marks.
fn has_words(text: &str) -> bool {
    let mut depth = 0;
    text.chars().any(|c| {
        match c {
            '{' | '<' => depth += 1,
            '}' | '>' => depth -= 1,
            _ => {}
        }
        depth == 0 && c.is_alphabetic()
    })
}

fn read(path: &Path) -> (String, String) {
    let place = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).display().to_string();
    (place, fs::read_to_string(path).unwrap())
}
