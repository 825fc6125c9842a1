//! The colour that a pool has on every chart and map. It is part of the pool, so that it stays while others come and
//! go, for all readers and after a restart.

use std::sync::Arc;

use super::super::Model;
use super::super::pool::{COLOURS, Pool};

/// One that says nothing about its colour keeps what it has.
pub(super) fn inherit(pool: &mut Pool, old: Option<&Pool>) {
    if pool.colour == 0 {
        pool.colour = old.map_or(0, |old| old.colour);
    }
}

/// Gives each pool without a colour the one that fewest others have.
pub(super) fn choose(model: &mut Model) {
    let mut used = [0usize; COLOURS as usize];
    for pool in model.pools.values() {
        if let Some(count) = usize::from(pool.colour).checked_sub(1).and_then(|at| used.get_mut(at)) {
            *count += 1;
        }
    }
    for pool in model.pools.values_mut().filter(|pool| pool.colour == 0) {
        let Some((count, colour)) = used.iter_mut().zip(1..).min_by_key(|(count, _)| **count) else { return };
        *count += 1;
        Arc::make_mut(pool).colour = colour;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Edit, Kind};
    use super::*;

    fn pool(id: &str, colour: Value) -> Edit {
        let value = json!({ "members": [{ "endpoint": "e" }], "colour": colour });
        Edit { kind: Kind::Pools, id: id.into(), value: Some(value) }
    }

    fn gone(id: &str) -> Edit {
        Edit { kind: Kind::Pools, id: id.into(), value: None }
    }

    #[test]
    fn a_pool_keeps_its_colour_as_others_come_and_go() {
        let new = |id| pool(id, Value::Null);
        let endpoint = Edit { kind: Kind::Endpoints, id: "e".into(), value: Some(json!({ "ipv4": "192.0.2.1" })) };
        let mut model = Model::empty().check(&[endpoint]).unwrap().model;
        for (edits, expected) in [
            (vec![new("m"), new("d"), new("x")], "d1 m2 x3"),
            // Before, between and after those that there are.
            (vec![new("a"), new("f"), new("z")], "a4 d1 f5 m2 x3 z6"),
            // What is free is taken first; past the last colour they begin again.
            (vec![gone("d"), gone("m")], "a4 f5 x3 z6"),
            (vec![new("b"), new("c"), new("e")], "a4 b1 c2 e1 f5 x3 z6"),
            // Who edits a pool need not know its colour, and may choose it.
            (vec![new("z"), pool("f", json!(3))], "a4 b1 c2 e1 f3 x3 z6"),
        ] {
            model = model.check(&edits).unwrap().model;
            let stored = model
                .pools
                .iter()
                .map(|(id, pool)| (Kind::Pools, id.to_string(), serde_json::to_string(&**pool).unwrap().into()));
            let endpoints = [(Kind::Endpoints, "e".to_owned(), r#"{"ipv4":"192.0.2.1"}"#.into())];
            let restarted = Model::load(model.revision, stored.chain(endpoints)).unwrap();
            for model in [&model, &restarted] {
                let said: Vec<String> = model.pools.iter().map(|(id, pool)| format!("{id}{}", pool.colour)).collect();
                assert_eq!(said.join(" "), expected);
            }
        }
    }

    #[test]
    fn pools_that_were_stored_without_a_colour_are_given_one() {
        let stored = ["b", "a"].map(|id| (Kind::Pools, id.to_owned(), r#"{"members":[{"endpoint":"e"}]}"#.into()));
        let model = Model::load(1, stored).unwrap();
        assert_eq!(model.pools.values().map(|pool| pool.colour).collect::<Vec<_>>(), [1, 2]);
    }
}
