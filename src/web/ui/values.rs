//! What stands in the fields of a form: from an entity, or as it was typed; and back into an entity's JSON.
//! What is typed wrong goes on as text, so that the model's own check says what would be right.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::form::Form;

/// Fields by name; those of a part as `shed.percent`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values(BTreeMap<String, String>);

impl Values {
    pub fn of_json(value: &Value) -> Values {
        let mut values = Values::default();
        values.take("", value);
        values
    }

    pub fn typed(form: &Form) -> Values {
        let mut values = Values::default();
        for (name, value) in &form.0 {
            values.0.entry(name.clone()).or_insert_with(|| value.clone());
        }
        values
    }

    fn take(&mut self, at: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let name = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                    self.take(&name, value);
                }
            }
            Value::String(text) => self.set(at, text),
            Value::Number(number) => self.set(at, number),
            Value::Bool(flag) => self.set(at, if *flag { "true" } else { "" }),
            Value::Null | Value::Array(_) => {}
        }
    }

    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.0.insert(name.to_owned(), value.to_string());
    }

    /// Empty where there is nothing.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == value
    }
}

/// A number field; nothing where it is empty.
pub fn number(text: &str) -> Value {
    let whole = text.parse::<i64>().map(Value::from);
    let any = whole.or_else(|_| text.parse::<f64>().map(Value::from));
    if text.is_empty() { Value::Null } else { any.unwrap_or_else(|_| text.into()) }
}

/// A number field that may not be empty: the model says so, instead of taking its default unseen.
pub fn needed(text: &str) -> Value {
    if text.is_empty() { "".into() } else { number(text) }
}

/// A text field; nothing where it is empty.
pub fn words(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

/// Puts a field where its name says; nothing takes it out.
pub fn put(value: &mut Value, name: &str, field: Value) {
    if let Some((part, name)) = name.split_once('.') {
        if !value[part].is_object() {
            value[part] = json!({});
        }
        return put(&mut value[part], name, field);
    }
    let Some(fields) = value.as_object_mut() else { return };
    match field {
        Value::Null => drop(fields.remove(name)),
        field => drop(fields.insert(name.to_owned(), field)),
    }
}

/// What makes one look twice at a host name as it was typed, beside a button that keeps it.
pub fn underscored(name: &str) -> String {
    let label = name.split('.').find(|label| label.contains('_')).unwrap_or(name);
    format!("{label} has an underscore. Host names may use letters, digits and hyphens.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_goes_through_its_form_unchanged() {
        let entity = json!({ "ramp": 60, "lat": 52.5, "name": "Berlin", "shed": { "percent": 5, "stale_after": 60 } });
        let values = Values::of_json(&entity);
        let mut back = json!({});
        for name in ["ramp", "lat", "shed.percent", "shed.stale_after", "answers"] {
            put(&mut back, name, number(values.get(name)));
        }
        put(&mut back, "name", words(values.get("name")));
        assert_eq!(back, entity);
    }

    #[test]
    fn what_is_no_number_is_left_to_the_model() {
        assert_eq!(
            [number(""), number("7"), number("1.5"), number("ten")],
            [Value::Null, json!(7), json!(1.5), json!("ten")]
        );
        let mut value = json!({ "answers": 2 });
        put(&mut value, "answers", number(""));
        assert_eq!(value, json!({}));
    }
}
