//! Everything that is wrong with a form, at once. The model looks at references only where every field could be read,
//! and people want to know both: fields that are wrong are told, then taken out of a copy, and the rest is looked at
//! again. Nothing is kept here.

use serde_json::Value;

use super::form::Faults;
use crate::model::{Edit, FieldError, Kind, Model};

/// Looks at one form: each finds what the one before it hid.
const MAX_LOOKS: usize = 4;

/// What is wrong with these edits, told by their places.
pub fn errors(model: &Model, edits: &[Edit]) -> Vec<FieldError> {
    let mut edits = edits.to_vec();
    let mut found: Vec<FieldError> = Vec::new();
    for _ in 0..MAX_LOOKS {
        let Err(errors) = model.check(&edits) else { break };
        // What a field that was taken out leaves behind stands at the same place.
        let new: Vec<FieldError> =
            errors.into_iter().filter(|error| !found.iter().any(|known| known.at == error.at)).collect();
        let taken = new.iter().filter(|error| take_out(&mut edits, &error.at)).count();
        found.extend(new);
        if taken == 0 {
            break;
        }
    }
    found
}

/// `own`, and what the model says of the fields that it says nothing of.
pub fn merged(own: Faults, model: Faults) -> Faults {
    let mut all = own.clone();
    for error in model.into_errors().into_iter().filter(|error| own.of(&error.at).is_empty()) {
        all.push(error);
    }
    all
}

/// An id that nothing has, for the rest of a form whose id is wrong.
pub fn stand_in(model: &Model, kind: Kind) -> String {
    let mut ids = (1..).map(|n| format!("unnamed-{n}"));
    ids.find(|id| model.entity(kind, id).is_none()).unwrap_or_default()
}

/// Takes the field at `pools/eu members[2].weight` out of its edit; false where nothing stands there.
fn take_out(edits: &mut [Edit], at: &str) -> bool {
    let Some((thing, field)) = at.split_once(' ') else { return false };
    let edit = edits.iter_mut().find(|edit| thing.strip_prefix(edit.kind.as_str()) == Some(&*format!("/{}", edit.id)));
    let Some(value) = edit.and_then(|edit| edit.value.as_mut()) else { return false };
    // Two of a pair go together, since one alone is wrong as well.
    let fields = match field {
        "lat" | "lon" => vec!["lat", "lon"],
        "shed.low" | "shed.high" => vec!["shed.low", "shed.high"],
        field => vec![field],
    };
    fields.into_iter().filter(|field| remove(value, field)).count() > 0
}

/// An item of a list takes the list with it, so that the others keep their numbers.
fn remove(value: &mut Value, path: &str) -> bool {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let (name, index) = match step.split_once('[') {
        Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
        None => (step, None),
    };
    let Some(fields) = value.as_object_mut() else { return false };
    match (rest, index) {
        (None, _) => fields.remove(name).is_some(),
        (Some(rest), None) => fields.get_mut(name).is_some_and(|part| remove(part, rest)),
        (Some(rest), Some(index)) => {
            fields.get_mut(name).and_then(|list| list.get_mut(index)).is_some_and(|item| remove(item, rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_wrong_field_hides_is_told_with_it() {
        let endpoint = json!({ "ipv4": "192.0.2.1", "country": "ZZ", "depends_on": ["nix"] });
        let pool = json!({ "members": [{ "endpoint": "e", "weight": 2000, "priority": 99 }, { "endpoint": "gone" }],
                           "lon": 500, "lat": 1, "monitors": [{ "monitor": "none" }] });
        let edit = |kind, id: &str, value| Edit { kind, id: id.into(), value: Some(value) };
        let found = errors(&Model::empty(), &[edit(Kind::Endpoints, "e", endpoint), edit(Kind::Pools, "p", pool)]);
        let mut at: Vec<&str> = found.iter().map(|error| error.at.as_str()).collect();
        at.sort_unstable();
        assert_eq!(
            at,
            [
                "endpoints/e country",
                "endpoints/e depends_on[0]",
                "pools/p lon",
                "pools/p members[0].priority",
                "pools/p members[0].weight",
                "pools/p members[1].endpoint",
                "pools/p monitors[0].monitor",
            ]
        );
    }

    #[test]
    fn a_field_of_our_own_words_is_told_once() {
        let mut own = Faults::default();
        own.say("weight", "Ours.");
        let model = Faults::new(vec![FieldError::new("weight", "a", "b"), FieldError::new("country", "c", "d")], "");
        let all = merged(own, model);
        assert_eq!((all.of("weight"), all.of("country")), (vec!["Ours.".into()], vec!["C. D.".into()]));
    }
}
