//! What two changes of one thing come to together. Pure; only where they touch different fields.

use serde_json::{Map, Value};

/// What names an item of a list, so that two changes of one list can be of different items.
const KEYS: [&str; 3] = ["endpoint", "pool", "monitor"];

/// `mine` and `theirs`, both made from `before`; `None` where both changed the same.
pub fn merged(before: &Value, mine: &Value, theirs: &Value) -> Option<Value> {
    if mine == theirs || mine == before {
        return Some(theirs.clone());
    }
    if theirs == before {
        return Some(mine.clone());
    }
    match (before, mine, theirs) {
        (Value::Object(before), Value::Object(mine), Value::Object(theirs)) => fields(before, mine, theirs),
        (Value::Array(before), Value::Array(mine), Value::Array(theirs)) => items(before, mine, theirs),
        _ => None,
    }
}

fn fields(before: &Map<String, Value>, mine: &Map<String, Value>, theirs: &Map<String, Value>) -> Option<Value> {
    let mut out = Map::new();
    let names = theirs.keys().chain(mine.keys().filter(|name| !theirs.contains_key(*name)));
    for name in names {
        // An absent field is one that was left at its default, which is what null stands for.
        let of = |from: &Map<String, Value>| from.get(name).cloned().unwrap_or_default();
        let value = match name.as_str() {
            "id" | "rev" | "serial" => of(theirs),
            _ => merged(&of(before), &of(mine), &of(theirs))?,
        };
        if !value.is_null() {
            out.insert(name.clone(), value);
        }
    }
    Some(Value::Object(out))
}

/// Lists of members are merged member by member, in their order, then what I added; other lists as a whole.
fn items(before: &[Value], mine: &[Value], theirs: &[Value]) -> Option<Value> {
    let key = KEYS.into_iter().find(|key| [before, mine, theirs].iter().all(|list| is_keyed(list, key)))?;
    let of = |list: &[Value], name: &Value| -> Value {
        list.iter().find(|item| item.get(key) == Some(name)).cloned().unwrap_or_default()
    };
    let mut out = Vec::new();
    let name_of = |item: &Value| item.get(key).cloned().unwrap_or_default();
    let names = theirs.iter().map(name_of).chain(mine.iter().map(name_of));
    let mut seen: Vec<Value> = Vec::new();
    for name in names {
        if seen.contains(&name) {
            continue;
        }
        let value = merged(&of(before, &name), &of(mine, &name), &of(theirs, &name))?;
        if !value.is_null() {
            out.push(value);
        }
        seen.push(name);
    }
    Some(Value::Array(out))
}

/// True when every item is an object with the key, and no two have the same.
fn is_keyed(list: &[Value], key: &str) -> bool {
    let names: Vec<&Value> = list.iter().filter_map(|item| item.get(key)).collect();
    names.len() == list.len() && (1..names.len()).all(|at| !names[..at].contains(&names[at]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_of_different_fields_and_members_fit_together() {
        let member = |endpoint: &str, weight: u64| json!({ "endpoint": endpoint, "weight": weight });
        let before = json!({ "rev": 1, "note": "", "members": [member("a", 1), member("b", 1)], "tags": ["x"] });
        for (mine, theirs, wanted) in [
            (
                json!({ "rev": 1, "note": "mine", "members": [member("a", 5), member("b", 1)], "tags": ["x"] }),
                json!({ "rev": 2, "note": "", "members": [member("a", 1), member("b", 7)], "tags": ["y"] }),
                Some(json!({ "rev": 2, "note": "mine", "members": [member("a", 5), member("b", 7)], "tags": ["y"] })),
            ),
            (
                json!({ "rev": 1, "note": "", "members": [member("a", 1), member("b", 1), member("c", 3)], "tags": ["x"] }),
                json!({ "rev": 2, "note": "", "members": [member("b", 1)], "tags": ["x"] }),
                Some(json!({ "rev": 2, "note": "", "members": [member("b", 1), member("c", 3)], "tags": ["x"] })),
            ),
            (
                json!({ "rev": 1, "note": "mine", "members": [], "tags": ["x"] }),
                json!({ "rev": 2, "note": "theirs", "members": [], "tags": ["x"] }),
                None,
            ),
            (
                json!({ "rev": 1, "note": "", "members": [member("a", 5), member("b", 1)], "tags": ["x"] }),
                json!({ "rev": 2, "note": "", "members": [member("a", 6), member("b", 1)], "tags": ["x"] }),
                None,
            ),
            (
                // They removed what I changed.
                json!({ "rev": 1, "note": "", "members": [member("a", 5), member("b", 1)], "tags": ["x"] }),
                json!({ "rev": 2, "note": "", "members": [member("b", 1)], "tags": ["x"] }),
                None,
            ),
        ] {
            assert_eq!(merged(&before, &mine, &theirs), wanted, "{mine} {theirs}");
        }
    }
}
