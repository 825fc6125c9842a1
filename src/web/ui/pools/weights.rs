//! The weights of a pool as one form: each field checked, all errors at once, then kept in the draft.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::Response;
use serde_json::Value;

use super::super::clash::{Kept, keep};
use super::super::form::{Faults, Form};
use super::super::text::text;
use super::super::visit::{Visit, see};
use super::{Scene, show};
use crate::model::{Edit, FieldError, Kind, MAX_WEIGHT, Pool};
use crate::web::Problem;
use crate::web::extract::Path;

pub async fn save(visit: Visit, Path(id): Path<String>, form: Form) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    let (typed, mut faults) = (typed(&scene.pool, &form), Faults::default());
    let weights = read(&typed, &mut faults);
    if form.has("show") {
        return show::page(&visit, &scene, faults, &typed, None).await;
    }
    if faults.is_empty() {
        let mut value = scene.value();
        put(&mut value, &weights);
        if scene.draft.of(Kind::Pools, scene.id.as_str()).is_none() && value == scene.value() {
            visit.say(text("Nothing to keep: these are the weights that are live."));
            return Ok(see(&scene.path()));
        }
        let edit = Edit { kind: Kind::Pools, id: scene.id.to_string(), value: Some(value) };
        match keep(&visit, vec![edit], &scene.path()).await? {
            Kept::Drafted => {
                visit.say(text("The weights of {pool} are kept in your draft.").set("pool", &scene.id));
                return Ok(see(&scene.path()));
            }
            Kept::Wrong(errors) => faults = Faults::new(errors, &format!("pools/{} ", scene.id)),
            Kept::Clash(page) => return Ok(page),
        }
    }
    show::page(&visit, &scene, faults, &typed, None).await
}

pub async fn discard(visit: Visit, Path(id): Path<String>, _: Form) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    let user = visit.user().id.clone();
    visit.web.control.discard_draft(&user, Some((Kind::Pools, scene.id.as_str()))).await?;
    // Endpoints that the draft took out are no longer among the drafted members; new ones not among the live.
    let live = scene.live_pool().map_or(&[][..], |pool| &pool.members);
    let members: BTreeSet<_> = scene.pool.members.iter().chain(live).map(|member| &member.endpoint).collect();
    for endpoint in members {
        let holds = |pool: &Pool| pool.members.iter().any(|member| member.endpoint == *endpoint);
        let is_elsewhere = scene.drafted.pools.iter().any(|(id, pool)| *id != scene.id && holds(pool));
        let goes_back = scene.live.endpoints.contains_key(endpoint) || !is_elsewhere;
        if goes_back && scene.draft.of(Kind::Endpoints, endpoint.as_str()).is_some() {
            visit.web.control.discard_draft(&user, Some((Kind::Endpoints, endpoint.as_str()))).await?;
        }
    }
    visit.say(text("The change of {pool} is discarded.").set("pool", &scene.id));
    Ok(see(&if scene.live_pool().is_some() { scene.path() } else { "/pools".into() }))
}

/// What stands in the fields, with the buttons beside them pressed.
pub fn typed(pool: &Pool, form: &Form) -> BTreeMap<String, String> {
    let mut typed = BTreeMap::new();
    for member in &pool.members {
        let id = member.endpoint.to_string();
        let field = format!("weight-{id}");
        let weight = if form.has(&field) { form.text(&field).to_owned() } else { member.weight.to_string() };
        typed.insert(id, weight);
    }
    for (button, weight) in [("drain", Some("0".to_owned())), ("back", None)] {
        let id = form.text(button);
        if let Some(known) = typed.get_mut(id) {
            *known = weight.unwrap_or_else(|| form.text(&format!("was-{id}")).to_owned());
        }
    }
    typed
}

/// The pool as it would be with the weights that are right; those that are wrong stay as they were.
pub fn with_typed(pool: &Pool, typed: &BTreeMap<String, String>) -> Pool {
    let weights = read(typed, &mut Faults::default());
    let mut pool = pool.clone();
    for member in &mut pool.members {
        member.weight = weights.get(member.endpoint.as_str()).copied().unwrap_or(member.weight);
    }
    pool
}

fn read(typed: &BTreeMap<String, String>, faults: &mut Faults) -> BTreeMap<String, u16> {
    let mut weights = BTreeMap::new();
    for (id, typed) in typed {
        match weight(typed, format!("weight-{id}")) {
            Ok(weight) => drop(weights.insert(id.clone(), weight)),
            Err(error) => faults.push(error),
        }
    }
    weights
}

/// What stands in the field `at`. An empty one is no weight: nobody is given a default that they did not see.
pub fn weight(typed: &str, at: impl Into<String>) -> Result<u16, FieldError> {
    let wrong = || FieldError::new(at, "Weight is a whole number from 0 to 1000", "0 drains the endpoint");
    typed.parse().ok().filter(|weight| *weight <= MAX_WEIGHT).ok_or_else(wrong)
}

fn put(value: &mut Value, weights: &BTreeMap<String, u16>) {
    let members = value.get_mut("members").and_then(Value::as_array_mut);
    for member in members.into_iter().flatten() {
        let id = member.get("endpoint").and_then(Value::as_str).unwrap_or_default();
        if let Some(weight) = weights.get(id) {
            member["weight"] = (*weight).into();
        }
    }
}

/// The id as a pool has it.
#[cfg(test)]
fn id(text: &str) -> crate::model::Id<Pool> {
    text.parse().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use serde_json::json;

    fn model() -> Model {
        let edits = [
            (Kind::Endpoints, "a", json!({ "ipv4": "192.0.2.1" })),
            (Kind::Endpoints, "b", json!({ "ipv4": "192.0.2.2" })),
            (Kind::Pools, "p", json!({ "members": [{ "endpoint": "a", "weight": 40 }, { "endpoint": "b" }] })),
        ];
        let edits = edits.map(|(kind, id, value)| Edit { kind, id: id.into(), value: Some(value) });
        Model::empty().check(&edits).unwrap().model
    }

    fn form(fields: &[(&str, &str)]) -> Form {
        Form(fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    #[test]
    fn every_wrong_weight_is_said_beside_its_field() {
        let model = model();
        let typed = typed(&model.pools[&id("p")], &form(&[("weight-a", "1001"), ("weight-b", "")]));
        let mut faults = Faults::default();
        assert!(read(&typed, &mut faults).is_empty());
        for field in ["weight-a", "weight-b"] {
            assert_eq!(faults.of(field), ["Weight is a whole number from 0 to 1000. 0 drains the endpoint."]);
        }
    }

    #[test]
    fn shares_follow_what_is_typed_by_the_code_that_answers() {
        use crate::answer::{Pass, shares};
        use crate::health::HealthTable;
        let model = model();
        let (id, pool) = (id("p"), &model.pools[&id("p")]);
        let after = |fields: &[(&str, &str)]| {
            let pool = std::sync::Arc::new(with_typed(pool, &typed(pool, &form(fields))));
            let shares = shares(&model, &HealthTable::default(), &id, &pool, Pass::Normal);
            shares.into_iter().map(|share| (share.share * 100.0).round() as u32).collect::<Vec<_>>()
        };
        assert_eq!(after(&[]), [29, 71]);
        assert_eq!(after(&[("weight-a", "300")]), [75, 25]);
        assert_eq!(after(&[("weight-a", "300"), ("weight-b", "0")]), [100, 0]);
        assert_eq!(after(&[("weight-a", "a lot"), ("weight-b", "40")]), [50, 50], "what is wrong changes nothing");
    }

    #[test]
    fn a_drained_endpoint_gets_its_weight_back() {
        let model = model();
        let pool = &model.pools[&id("p")];
        let drained = typed(pool, &form(&[("weight-a", "40"), ("weight-b", "7"), ("drain", "a")]));
        assert_eq!(drained, BTreeMap::from([("a".into(), "0".into()), ("b".into(), "7".into())]));
        let back = typed(pool, &form(&[("weight-a", "0"), ("was-a", "40"), ("back", "a")]));
        assert_eq!(back["a"], "40");
        let mut value = model.entity(Kind::Pools, "p").unwrap();
        put(&mut value, &read(&drained, &mut Faults::default()));
        assert_eq!((&value["members"][0]["weight"], &value["members"][1]["weight"]), (&json!(0), &json!(7)));
    }
}
