//! Reads what somebody typed (JSON body, TOML file, form) field by field, and reports everything
//! that is wrong at once: the place, what is wrong, what would be right. Nothing is decided here.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One thing that the admin has to change before a draft can become a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Where, e.g. `pools/eu-west members[2].weight`.
    pub at: String,
    /// What is wrong, with the value that was given.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

impl FieldError {
    /// From a text that reads `problem; remedy`, as parsers give it.
    pub fn told(at: impl Into<String>, text: &str) -> Self {
        let (problem, remedy) = text.split_once("; ").unwrap_or((text, "correct it"));
        FieldError::new(at, problem, remedy)
    }

    pub fn new(at: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        FieldError { at: short(at.into()), problem: short(problem.into()), remedy: short(remedy.into()) }
    }
}

/// The longest part of an error, in bytes: it may repeat what was sent, which may be megabytes.
const MAX_PART: usize = 600;

fn short(mut text: String) -> String {
    if text.len() > MAX_PART {
        let end = (0..=MAX_PART).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

impl Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.at.is_empty() {
            write!(f, "{}: ", self.at)?;
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

/// The fields of one object. Every reading method marks the field as known; `finish` reports the rest.
/// After an error the default is returned, so that reading goes on and finds the next error.
pub struct Fields<'a> {
    at: String,
    map: &'a Map<String, Value>,
    known: BTreeSet<&'static str>,
    errors: &'a mut Vec<FieldError>,
}

/// Fields that the server sets; accepted from a client that sends back what it read, and ignored.
const SERVER_FIELDS: [&str; 4] = ["id", "rev", "created", "updated"];

impl<'a> Fields<'a> {
    /// Reads `value` as an object; records an error and returns `None` when it is none.
    pub fn of(at: impl Into<String>, value: &'a Value, errors: &'a mut Vec<FieldError>) -> Option<Self> {
        let at = at.into();
        match value {
            Value::Object(map) => Some(Fields { at, map, known: BTreeSet::new(), errors }),
            other => {
                errors.push(FieldError::new(
                    at,
                    format!("{} is not an object", brief(other)),
                    "give its fields by name",
                ));
                None
            }
        }
    }

    /// The place of field `name`, as errors print it.
    pub fn place(&self, name: &str) -> String {
        if self.at.ends_with(' ') || self.at.is_empty() {
            format!("{}{name}", self.at)
        } else {
            format!("{}.{name}", self.at)
        }
    }

    pub fn error(&mut self, name: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        let at = self.place(name);
        self.errors.push(FieldError::new(at, problem, remedy));
    }

    /// The raw value; absent and null are the same.
    fn raw(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.insert(name);
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    /// A text of at most `max` characters without control characters.
    pub fn text(&mut self, name: &'static str, max: usize) -> Option<String> {
        let text = self.verbatim(name, max)?;
        if text.chars().any(|c| c.is_control() && c != '\n') {
            self.error(name, "contains a control character", "use plain text");
            return None;
        }
        Some(text)
    }

    /// A text of at most `max` characters that goes over the wire as it is: a protocol's line ends with
    /// a carriage return.
    pub fn verbatim(&mut self, name: &'static str, max: usize) -> Option<String> {
        let value = self.raw(name)?;
        let Some(text) = value.as_str() else {
            self.error(name, format!("{} is not text", brief(value)), "put it in quotes");
            return None;
        };
        if text.chars().count() > max {
            self.error(name, format!("{} characters are too many", text.chars().count()), format!("use at most {max}"));
            return None;
        }
        Some(text.to_owned())
    }

    /// A whole number in `range`.
    pub fn number(&mut self, name: &'static str, range: RangeInclusive<i64>, default: i64) -> i64 {
        self.number_if(name, range).unwrap_or(default)
    }

    pub fn number_if(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.raw(name)?;
        match value.as_i64() {
            Some(n) if range.contains(&n) => Some(n),
            _ => {
                let remedy = format!("use a whole number from {} to {}", range.start(), range.end());
                let problem = match value {
                    Value::String(text) if text.is_empty() => "is empty".to_owned(),
                    Value::String(_) => format!("{} is not a whole number", brief(value)),
                    _ => format!("{} is out of range", brief(value)),
                };
                self.error(name, problem, remedy);
                None
            }
        }
    }

    /// A number with a fraction in `range`.
    pub fn decimal_if(&mut self, name: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let value = self.raw(name)?;
        match value.as_f64() {
            Some(n) if range.contains(&n) => Some(n),
            _ => {
                let remedy = format!("use a number from {} to {}", range.start(), range.end());
                self.error(name, format!("{} is out of range", brief(value)), remedy);
                None
            }
        }
    }

    pub fn flag(&mut self, name: &'static str, default: bool) -> bool {
        match self.raw(name) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.error(name, format!("{} is neither true nor false", brief(other)), "use true or false");
                default
            }
        }
    }

    /// Anything with a text form; its own error says what would be right, after a `;`.
    pub fn parse<T: FromStr<Err = String>>(&mut self, name: &'static str) -> Option<T> {
        let value = self.raw(name)?;
        let at = self.place(name);
        parse_value(&at, value, self.errors)
    }

    /// As `parse`, and an error when the field is absent.
    pub fn required<T: FromStr<Err = String>>(&mut self, name: &'static str, example: &str) -> Option<T> {
        if !self.has(name) {
            self.known.insert(name);
            self.error(name, "is missing", format!("give one, for example {example}"));
            return None;
        }
        self.parse(name)
    }

    /// A word of an enum that serde knows by name.
    pub fn word<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> T {
        self.word_if(name).unwrap_or_default()
    }

    /// As `word`, `None` when absent.
    pub fn word_if<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        let value = self.raw(name)?;
        if !value.is_string() {
            self.error(name, format!("{} is not text", brief(value)), "put it in quotes");
            return None;
        }
        match serde_json::from_value(value.clone()) {
            Ok(word) => Some(word),
            Err(error) => {
                let words = error.to_string();
                let words = words.split_once("expected ").map_or("", |(_, rest)| rest);
                let words = words.replace("one of ", "").replace('`', "");
                self.error(name, format!("{} is not one of its words", brief(value)), format!("use one of: {words}"));
                None
            }
        }
    }

    /// A value of any shape, as it stands.
    pub fn value(&mut self, name: &'static str) -> Option<Value> {
        self.raw(name).cloned()
    }

    /// A list of things with a text form, at most `max`.
    pub fn list<T: FromStr<Err = String>>(&mut self, name: &'static str, max: usize) -> Vec<T> {
        let Some(items) = self.items(name, 0..=max) else { return Vec::new() };
        let at = self.place(name);
        let mut list = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            list.extend(parse_value(&format!("{at}[{i}]"), item, self.errors));
        }
        list
    }

    /// A list of objects, each read by `read`.
    pub fn objects<T>(
        &mut self,
        name: &'static str,
        count: RangeInclusive<usize>,
        mut read: impl FnMut(&mut Fields) -> Option<T>,
    ) -> Vec<T> {
        let at = self.place(name);
        let Some(items) = self.items(name, count) else { return Vec::new() };
        let mut list = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            if let Some(mut fields) = Fields::of(format!("{at}[{i}]"), item, self.errors) {
                list.extend(read(&mut fields));
                fields.finish();
            }
        }
        list
    }

    /// One nested object, `None` when absent.
    pub fn object<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Fields) -> Option<T>) -> Option<T> {
        let value = self.raw(name)?;
        let at = self.place(name);
        let mut fields = Fields::of(at, value, self.errors)?;
        let result = read(&mut fields);
        fields.finish();
        result
    }

    fn items(&mut self, name: &'static str, count: RangeInclusive<usize>) -> Option<&'a [Value]> {
        let items: &[Value] = match self.raw(name) {
            None => &[],
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.error(name, format!("{} is not a list", brief(other)), "put its items in [ ]");
                return None;
            }
        };
        if !count.contains(&items.len()) {
            let remedy = format!("give {} to {}", count.start(), count.end());
            self.error(name, format!("has {} items", items.len()), remedy);
            return None;
        }
        Some(items)
    }

    /// Reports fields that nothing asked for, with the nearest known name.
    pub fn finish(self) {
        let Fields { at, map, known, errors } = self;
        for name in map.keys().filter(|name| !known.contains(name.as_str()) && !SERVER_FIELDS.contains(&name.as_str()))
        {
            let nearest = known.iter().min_by_key(|candidate| distance(name, candidate));
            let remedy = match nearest {
                Some(nearest) if distance(name, nearest) <= 3 => format!("did you mean {nearest}?"),
                _ => format!("known are: {}", known.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            errors.push(FieldError::new(at.trim_end(), format!("has no field {name:?}"), remedy));
        }
    }
}

/// Text as it was typed.
pub struct Plain(pub String);

impl FromStr for Plain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Plain(text.to_owned()))
    }
}

fn parse_value<T: FromStr<Err = String>>(at: &str, value: &Value, errors: &mut Vec<FieldError>) -> Option<T> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => {
            errors.push(FieldError::new(at, format!("{} is not text", brief(other)), "put it in quotes"));
            return None;
        }
    };
    match text.parse() {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            let error: String = error;
            errors.push(FieldError::told(at, &error));
            None
        }
    }
}

/// A value as an error message shows it: short, on one line.
pub fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { format!("{}…", text.chars().take(57).collect::<String>()) }
}

/// Words further apart have nothing to do with each other.
const MAX_DISTANCE: usize = 3;

/// The candidate that somebody may have meant by `word`, where one is close.
pub fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    // The distance is at least the difference in length.
    let length = word.chars().count();
    let alike = candidates.filter(|candidate| candidate.chars().count().abs_diff(length) <= MAX_DISTANCE);
    let close = alike.map(|candidate| (distance(word, candidate), candidate));
    let close = close.filter(|(distance, _)| *distance <= MAX_DISTANCE);
    close.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// Edit distance (Levenshtein 1966), for "did you mean".
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_repeats_no_more_than_a_few_lines_of_what_was_sent() {
        let error = FieldError::new("é".repeat(5000), "é".repeat(5000), "use less");
        assert!(error.to_string().len() < 2 * MAX_PART + 40);
        assert_eq!(FieldError::new("", "is empty", "fill it").to_string(), "is empty; fill it");
    }

    #[test]
    fn every_error_is_reported_at_once_with_its_place_and_remedy() {
        let value = json!({"weight": 5000, "wieght": 3, "list": ["a", 7], "flag": "yes"});
        let mut errors = Vec::new();
        let mut fields = Fields::of("pools/eu ", &value, &mut errors).unwrap();
        assert_eq!(fields.number("weight", 0..=1000, 100), 100);
        assert!(!fields.flag("flag", false));
        let list: Vec<crate::model::Id<()>> = fields.list("list", 5);
        assert_eq!(list.len(), 2);
        fields.finish();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "pools/eu weight: 5000 is out of range; use a whole number from 0 to 1000",
                "pools/eu flag: \"yes\" is neither true nor false; use true or false",
                "pools/eu: has no field \"wieght\"; did you mean weight?",
            ]
        );
    }
}
