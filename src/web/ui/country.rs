//! Names of countries in the reader's language.

use super::text::Language;
use crate::model::{Country, builtin};

/// The code itself where no country has it.
pub fn name(code: Country, language: Language) -> String {
    let name = builtin::country(code).map(|info| match language {
        Language::English => info.name.clone(),
        Language::Korean => info.name_ko.clone(),
    });
    name.unwrap_or_else(|| code.to_string())
}

/// As `name`, of a code that came as text.
pub fn named(code: &str, language: Language) -> String {
    code.parse().map_or_else(|_| code.to_owned(), |code| name(code, language))
}
