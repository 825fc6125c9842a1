//! Differences of plain fields, read off the entities' JSON, so that no field can be forgotten.

use serde_json::{Map, Value};

use super::super::field::brief;

/// Fields that the server keeps.
const SERVER_FIELDS: [&str; 3] = ["id", "rev", "serial"];

/// e.g. `ttl goes from 30 to 60`, `tags gains "web"`, `soa.minimum goes from 60 to 30`.
pub(super) fn phrases(old: &Value, new: &Value, covered: &[&str]) -> Vec<String> {
    let mut phrases = Vec::new();
    compare("", old, new, covered, &mut phrases);
    phrases
}

fn compare(prefix: &str, old: &Value, new: &Value, covered: &[&str], phrases: &mut Vec<String>) {
    let empty = Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (was, is) = (old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null));
        let skipped = covered.contains(&name.as_str()) || (prefix.is_empty() && SERVER_FIELDS.contains(&name.as_str()));
        if was == is || skipped {
            continue;
        }
        let path = format!("{prefix}{name}");
        match (was, is) {
            (Value::Object(_), Value::Object(_)) => compare(&format!("{path}."), was, is, &[], phrases),
            (Value::Array(was), Value::Array(is)) => phrases.push(list(&path, was, is)),
            (was, Value::Null) => phrases.push(format!("{path} is no longer set; it was {}", value(was))),
            (Value::Null, is) => phrases.push(format!("{path} is now {}", value(is))),
            (was, is) => phrases.push(format!("{path} goes from {} to {}", value(was), value(is))),
        }
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().all(|c| c.is_alphanumeric() || "-_.:/".contains(c)) => text.clone(),
        // A header of a health check: its value is often a credential, and sentences are read by everybody.
        Value::Object(fields) if fields.contains_key("value") => {
            fields.get("name").map_or_else(String::new, self::value)
        }
        Value::Array(items) if items.is_empty() => "nothing".to_owned(),
        Value::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join(", "),
        other => brief(other),
    }
}

fn list(path: &str, was: &[Value], is: &[Value]) -> String {
    let only =
        |a: &[Value], b: &[Value]| -> Vec<String> { a.iter().filter(|item| !b.contains(item)).map(value).collect() };
    let (lost, gained) = (only(was, is), only(is, was));
    match (lost.is_empty(), gained.is_empty()) {
        (true, true) => format!("{path} are in another order"),
        (true, false) => format!("{path} gains {}", super::list(&gained)),
        (false, true) => format!("{path} loses {}", super::list(&lost)),
        (false, false) if lost == gained => format!("{path} changes the value of {}", super::list(&gained)),
        (false, false) => format!("{path} loses {} and gains {}", super::list(&lost), super::list(&gained)),
    }
}
