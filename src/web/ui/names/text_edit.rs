//! A policy as text (TOML): shown whole, checked whole, with the line of everything that is wrong. What was typed
//! stays as it was.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use super::super::clash::Kept;
use super::super::form::{Faults, Form};
use super::super::text::text;
use super::super::visit::{Visit, see};
use super::page::edited;
use super::rules::keep_policy;
use super::steering::{Open, page};
use super::{World, path};
use crate::model::{FieldError, Id, Kind, Model, Policy};
use crate::web::Problem;
use crate::web::extract::Path;

/// The text with what is wrong in it.
pub struct TextEdit {
    pub typed: String,
    pub faults: Vec<TextFault>,
    pub rows: usize,
}

/// One thing that is wrong.
#[derive(Debug, PartialEq)]
pub struct TextFault {
    /// From 1; 0 where no line has it.
    pub line: usize,
    pub field: String,
    pub said: String,
}

impl TextEdit {
    pub fn of_policy(model: &Model, id: &Id<Policy>) -> TextEdit {
        let value = model.entity(Kind::Policies, id.as_str()).unwrap_or_default();
        TextEdit::new(to_toml(&value), Vec::new())
    }

    fn new(typed: String, faults: Vec<TextFault>) -> TextEdit {
        let rows = typed.lines().count().clamp(12, 60) + 2;
        TextEdit { typed, faults, rows }
    }
}

/// Without what the server sets, and without what is absent.
fn to_toml(value: &Value) -> String {
    let mut value = stripped(value);
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !matches!(name.as_str(), "id" | "rev"));
    }
    toml::to_string_pretty(&value).unwrap_or_default()
}

/// TOML has no null.
fn stripped(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), stripped(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(stripped).collect()),
        other => other.clone(),
    }
}

fn of_toml(typed: &str) -> Result<Value, TextFault> {
    let table: toml::Table = toml::from_str(typed).map_err(|error| {
        let at = error.span().map_or(0, |span| line_of(typed, span.start));
        TextFault { line: at, field: String::new(), said: error.message().to_owned() }
    })?;
    serde_json::to_value(table).map_err(|error| TextFault { line: 0, field: String::new(), said: error.to_string() })
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// Where a field stands in the text. `path` is as errors say it: `rules[1].steps[0].choose`.
fn line(typed: &str, path: &str) -> usize {
    let Ok(root) = toml::de::DeTable::parse(typed) else { return 0 };
    let mut line = 0;
    let mut table = root.get_ref();
    for part in path.split('.') {
        let (name, mut indexes) = part.split_once('[').map_or((part, ""), |(name, rest)| (name, rest));
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == name) else { return line };
        line = line_of(typed, key.span().start);
        let mut value = value;
        while let Some((index, rest)) = indexes.split_once(']') {
            let items = value.get_ref().as_array();
            let item = index.parse::<usize>().ok().and_then(|index| items.and_then(|items| items.get(index)));
            let Some(item) = item else { return line };
            value = item;
            line = line_of(typed, value.span().start);
            indexes = rest.trim_start_matches('[');
        }
        match value.get_ref().as_table() {
            Some(inner) => table = inner,
            None => return line,
        }
    }
    line
}

pub async fn keep(visit: Visit, Path(name): Path<String>, form: Form) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let (id, _) = edited(&world, &name)?;
    let typed = form.0.iter().find(|(field, _)| field == "text").map(|(_, text)| text.replace("\r\n", "\n"));
    let typed = typed.unwrap_or_default();
    let faults = match of_toml(&typed) {
        Err(fault) => vec![fault],
        Ok(value) => match keep_policy(&visit, id, value, &format!("{}?edit=text#text", path(&name))).await? {
            Kept::Clash(page) => return Ok(page),
            Kept::Drafted => {
                visit.say(text("Text of {name} kept in your draft.").set("name", name.without_dot()));
                return Ok(see(&after(&visit, &name).await));
            }
            Kept::Wrong(errors) => errors.into_iter().map(|error| placed(&typed, id, error)).collect(),
        },
    };
    let open = Open { text: Some(TextEdit::new(typed, faults)), ..Open::default() };
    page(&visit, &world, &name, open, false, StatusCode::UNPROCESSABLE_ENTITY).await
}

/// The text may have taken the name out of the policy.
async fn after(visit: &Visit, name: &crate::model::Name) -> String {
    let world = World::of(visit).await;
    if world.name(&name.without_dot()).is_ok() { path(name) } else { "/names".into() }
}

fn placed(typed: &str, id: &Id<Policy>, error: FieldError) -> TextFault {
    let field = error.at.strip_prefix(&format!("policies/{id}")).map(|field| field.trim().to_owned());
    let at = field.as_ref().map_or(0, |field| line(typed, field));
    let mut faults = Faults::default();
    faults.push(FieldError { at: String::new(), ..error.clone() });
    let said = faults.of("").into_iter().next().unwrap_or_default();
    TextFault { line: at, field: field.unwrap_or(error.at), said }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_policy_comes_back_from_its_text_as_it_was() {
        let value = json!({
            "id": "p", "rev": 7, "name": "Shop", "enabled": true, "ttl": 60, "answers": 1,
            "attach": [{ "zone": "z", "name": "www.z.test.", "types": ["A"] }],
            "rules": [
                { "name": "é \"quoted\"", "regions": ["eu"], "residency_lock": null,
                  "steps": [{ "pools": [{ "pool": "a", "weight": 90 }], "tolerance": { "percent": 10, "ms": 10 } }] },
                { "name": "rest", "regions": [], "steps": [] },
            ],
        });
        let mut expected = stripped(&value);
        expected.as_object_mut().unwrap().retain(|name, _| name != "id" && name != "rev");
        assert_eq!(of_toml(&to_toml(&value)).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        let typed = "ttl = 60\n\n[[rules]]\nname = \"a\"\n\n[[rules.steps]]\nchoose = \"fast\"\n[[rules.steps.pools]]\npool = \"x\"\n";
        for (field, expected) in [
            ("ttl", 1),
            ("rules[0]", 3),
            ("rules[0].name", 4),
            ("rules[0].steps[0].choose", 7),
            ("rules[0].steps[0].pools[0].pool", 9),
            ("rules[0].steps[0].pools[0].weight", 8),
            ("rules[7]", 3),
            ("attach", 0),
        ] {
            assert_eq!(line(typed, field), expected, "{field}");
        }
        assert_eq!(of_toml("ttl = 60\nrules = [").unwrap_err().line, 2);
        assert_eq!(of_toml("a = 1\nb = 2\na = 3\n").unwrap_err().line, 3);
    }
}
