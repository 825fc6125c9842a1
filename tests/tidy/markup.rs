//! What the strict content policy would block does not stand in a page, and the scripts stay small.

use std::fs;

use crate::{files, root};

/// Bytes of all scripts together: over a slow line, a page is used before they are there, and then changes.
const MAX_SCRIPTS: u64 = 60_000;

const FORBIDDEN: [&str; 6] = ["style=", "<style", "hx-on", "javascript:", "|safe", "js:"];

#[test]
fn pages_have_no_inline_style_or_script() {
    for path in files(&root("templates"), "html") {
        let page = fs::read_to_string(&path).unwrap();
        for word in FORBIDDEN {
            assert!(!page.contains(word), "{} has {word}", path.display());
        }
        for (at, _) in page.match_indices("<script") {
            let tag = page[at..].split('>').next().unwrap_or_default();
            assert!(tag.contains(" src="), "{} has a script of its own: {tag}", path.display());
        }
        let handler = handlers(&page).next();
        assert!(handler.is_none(), "{} has the handler {handler:?}", path.display());
    }
}

/// A browser's own bubbles say one thing at a time, in its own words, and hide ours; its number fields forget what
/// they do not understand.
#[test]
fn what_is_wrong_with_a_form_is_said_by_us() {
    for path in files(&root("templates"), "html") {
        let page = fs::read_to_string(&path).unwrap();
        for (at, _) in page.match_indices("method=\"post\"") {
            assert!(page[at..].starts_with("method=\"post\" novalidate"), "{} has a form without", path.display());
        }
        assert!(!page.contains("type=\"number\""), "{} has a number field; use inputmode", path.display());
    }
}

#[test]
fn scripts_stay_small() {
    let all: u64 = files(&root("static"), "js").iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!((1..=MAX_SCRIPTS).contains(&all), "the scripts have {all} bytes, of at most {MAX_SCRIPTS}");
}

/// Attributes such as ` onclick=`.
fn handlers(page: &str) -> impl Iterator<Item = &str> {
    page.split_ascii_whitespace().filter_map(|word| word.split_once('=').map(|(name, _)| name)).filter(|name| {
        name.strip_prefix("on").is_some_and(|event| !event.is_empty() && event.bytes().all(|b| b.is_ascii_lowercase()))
    })
}
