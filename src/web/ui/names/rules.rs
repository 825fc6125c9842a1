//! Edits of a policy's rules: keeping the one that is open as a form, moving, copying and removing others, and taking
//! all of them back. They go into the reader's draft.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::clash::{Kept, keep};
use super::super::every;
use super::super::form::{Faults, Form};
use super::super::text::text;
use super::super::visit::{Visit, see};
use super::page::edited;
use super::places::Places;
use super::rule_form::RuleForm;
use super::steering::{Open, RuleEdit, page};
use super::{World, path, policy_of};
use crate::control::draft::Drafted;
use crate::model::{Edit, FieldError, Id, Kind, Model, Name, Policy};
use crate::web::Problem;
use crate::web::extract::Path;

/// Keeps the rule that a form holds, or that a chip changes; or rearranges the form.
pub async fn keep_rule(visit: Visit, Path(name): Path<String>, form: Form) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let (id, policy) = edited(&world, &name)?;
    let (at, button) = (form.text("at").to_owned(), form.text("do"));
    let typed = match form.has("spot") {
        true => chip(policy, &at, &form),
        false => Some(RuleForm::of_form(&form)),
    };
    let Some(mut typed) = typed else {
        visit.say(text("Rule {n} is no longer as you saw it. Nothing was changed.").set("n", &at));
        return Ok(see(&path(&name)));
    };
    let last = at == policy.rules.len().to_string();
    let again = |typed: RuleForm, faults: Faults| Open {
        edit: Some(RuleEdit::new(at.clone(), last, typed, faults, &world.drafted)),
        ..Open::default()
    };
    if button != "keep" {
        typed.rearrange(button);
        return page(&visit, &world, &name, again(typed, Faults::default()), false, StatusCode::OK).await;
    }
    let mut rules = rules_of(policy);
    let known = at.parse::<usize>().ok().filter(|number| (1..=rules.len()).contains(number));
    // A new rule stands before the last, and so does one whose place is gone: the last is for everyone else.
    let index = known.unwrap_or(rules.len()).saturating_sub(1);
    let (places, no_places) = match Places::of(&typed.places, &world.drafted) {
        Ok(places) => (places, Vec::new()),
        Err(errors) => (Places::default(), errors),
    };
    let mut value = typed.to_value();
    let more = places.regions.iter().filter(|id| !typed.regions.contains(id)).cloned();
    value["regions"] = typed.regions.iter().cloned().chain(more).collect();
    if last {
        value["enabled"] = true.into();
    }
    match (known, rules.get_mut(index)) {
        (Some(_), Some(rule)) => *rule = value,
        _ => rules.insert(index, value),
    }
    let back = format!("{}?edit={at}#r{at}", path(&name));
    let mut edited = world.drafted.entity(Kind::Policies, id.as_str()).unwrap_or_default();
    edited["rules"] = rules.into();
    let mut edits = places.edits;
    edits.push(Edit { kind: Kind::Policies, id: id.to_string(), value: Some(edited) });
    let kept = match no_places.is_empty() {
        true => keep(&visit, edits.clone(), &back).await?,
        false => Kept::Wrong(no_places),
    };
    match kept {
        Kept::Clash(page) => Ok(page),
        Kept::Drafted => {
            let number = index + 1;
            visit.say(text("Rule {n} kept in your draft.").set("n", number));
            Ok(see(&format!("{}#r{number}", path(&name))))
        }
        Kept::Wrong(errors) => {
            // The nearest place first: the rule itself, then the policy.
            let own = format!("policies/{id} rules[{index}]");
            let more = every::errors(&world.drafted, &edits);
            let known: Vec<FieldError> = errors.into_iter().filter(|error| !more.contains(error)).collect();
            let errors = known.into_iter().chain(more).map(in_words).map(|error| match error.at.strip_prefix(&own) {
                Some(field) => FieldError { at: field.trim_start_matches('.').to_owned(), ..error },
                None => error,
            });
            // Whoever typed places has said for whom the rule is, however wrong.
            let is_said = |error: &FieldError| error.at == "regions" && !typed.places.is_empty();
            let errors = errors.filter(|error| !is_said(error)).collect();
            let mut faults = Faults::new(errors, &format!("policies/{id} "));
            if !last && typed.regions.is_empty() && typed.places.is_empty() && faults.of("regions").is_empty() {
                let remedy = "choose whose clients it is for, since the last rule is for everyone else";
                faults.push(FieldError::new("regions", "no region is chosen", remedy));
            }
            unknown(&typed, &world.drafted, &mut faults);
            page(&visit, &world, &name, again(typed, faults), false, StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}

/// The rule with the one pool that a chip of its sentence changes.
fn chip(policy: &Policy, at: &str, form: &Form) -> Option<RuleForm> {
    let mut rule = RuleForm::of_rule(policy.rules.get(at.parse::<usize>().ok()?.checked_sub(1)?)?);
    rule.put(form.text("spot"), form.text("from"), form.text("pool")).then_some(rule)
}

/// A list without items, as people say it who see a form.
fn in_words(error: FieldError) -> FieldError {
    let is_empty = error.problem == "has 0 items" && (error.at.ends_with("steps") || error.at.ends_with("pools"));
    match is_empty {
        true => FieldError::new(error.at, "no pool is chosen", "choose one that answers these clients"),
        false => error,
    }
}

/// Names that nothing has. The model tells them only when all else is right, and people want to know at once.
fn unknown(typed: &RuleForm, model: &Model, faults: &mut Faults) {
    let mut say = |field: String, kind: &str, id: &str, known: bool| {
        if !known && faults.of(&field).is_empty() {
            faults.push(FieldError::new(field, format!("there is no {kind} {id:?}"), "choose one that is there"));
        }
    };
    let region = |id: &str| id.parse().is_ok_and(|id| model.regions.contains_key(&id));
    for (list, ids) in [("regions", &typed.regions), ("except_regions", &typed.except_regions)] {
        ids.iter().enumerate().for_each(|(at, id)| say(format!("{list}[{at}]"), "region", id, region(id)));
    }
    for (at, step) in typed.steps.iter().enumerate() {
        for (number, one) in step.pools.iter().enumerate() {
            let known = one.pool.parse().is_ok_and(|id| model.pools.contains_key(&id));
            say(format!("steps[{at}].pools[{number}].pool"), "pool", &one.pool, known);
        }
    }
}

/// Moves, copies, removes, turns on or off: one press of a button of a rule.
pub async fn arrange(visit: Visit, Path(name): Path<String>, form: Form) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let (id, policy) = edited(&world, &name)?;
    let mut rules = rules_of(policy);
    let last = rules.len().saturating_sub(1);
    let at = form.text("rule").parse::<usize>().ok().and_then(|number| number.checked_sub(1)).filter(|at| *at <= last);
    let at = at.ok_or_else(|| Problem::not_found("There is no such rule; nothing was changed."))?;
    let mut now_at = at;
    let said = match form.text("do") {
        "up" if at > 0 && at < last => {
            rules.swap(at - 1, at);
            now_at = at - 1;
            text("Rule {n} moved up, in your draft.")
        }
        "down" if at + 1 < last => {
            rules.swap(at, at + 1);
            now_at = at + 1;
            text("Rule {n} moved down, in your draft.")
        }
        "copy" => {
            let mut copy = rules[at].clone();
            copy["enabled"] = false.into();
            if at == last {
                return Ok(see(&format!("{}?edit=new#new", path(&name))));
            }
            rules.insert(at + 1, copy);
            now_at = at + 1;
            text(
                "Rule {n} copied below itself and turned off, in your draft. Give it its own regions, then turn it on.",
            )
        }
        "remove" if at < last => {
            drop(rules.remove(at));
            text("Rule {n} removed in your draft.")
        }
        "switch" if at < last => {
            let on = rules[at]["enabled"] == true;
            rules[at]["enabled"] = (!on).into();
            if on { text("Rule {n} turned off in your draft.") } else { text("Rule {n} turned on in your draft.") }
        }
        _ => return Err(Problem::not_found("This rule cannot be changed so; nothing was changed.")),
    };
    match keep_rules(&visit, &world, id, rules, &path(&name)).await? {
        Kept::Clash(page) => Ok(page),
        Kept::Drafted => {
            visit.say(said.set("n", at + 1));
            Ok(see(&format!("{}#r{}", path(&name), now_at + 1)))
        }
        Kept::Wrong(errors) => {
            let open = Open { faults: Faults::new(errors, &format!("policies/{id} ")), ..Open::default() };
            page(&visit, &world, &name, open, false, StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}

/// Takes this policy out of the draft.
pub async fn discard(visit: Visit, Path(name): Path<String>, _form: Form) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let found = world.policy_of(&name).or_else(|| policy_of(&world.live, &name)).map(|(id, _)| id.clone());
    let Some(id) = found else { return Ok(see(&path(&name))) };
    let user = &visit.user().id;
    visit.web.control.discard_draft(user, Some((Kind::Policies, id.as_str()))).await?;
    // A name that became steered in the draft gave its records up for that: they come back with it.
    if policy_of(&world.live, &name).is_none() {
        let draft = visit.draft().await;
        let given_up = draft.edits.iter().filter(|edit| edit.kind == Kind::Records && edit.value.is_none());
        let at_name = |edit: &&Drafted| edit.before.as_ref().is_some_and(|record| is_at(record, &name, &world.live));
        for record in given_up.filter(at_name) {
            visit.web.control.discard_draft(user, Some((Kind::Records, &record.id))).await?;
        }
    }
    visit.say(text("Your draft of {name} is discarded.").set("name", name.without_dot()));
    let there = policy_of(&visit.model(), &name).is_some() || super::is_plain(&visit.model(), &name);
    Ok(see(&if there { path(&name) } else { "/names".into() }))
}

/// True for a record set, as JSON, whose owner is `name`.
fn is_at(record: &Value, name: &Name, model: &Model) -> bool {
    let field = |field| record.get(field).and_then(Value::as_str);
    let zone = field("zone").and_then(|zone| model.zones.get(&zone.parse().ok()?));
    let owner = field("name").and_then(|owner| Name::parse(owner, zone.map(|zone| &zone.fqdn)).ok());
    owner.as_ref() == Some(name)
}

fn rules_of(policy: &Policy) -> Vec<Value> {
    json!(policy.rules).as_array().cloned().unwrap_or_default()
}

async fn keep_rules(
    visit: &Visit,
    world: &World,
    id: &Id<Policy>,
    rules: Vec<Value>,
    back: &str,
) -> Result<Kept, Problem> {
    let mut value = world.drafted.entity(Kind::Policies, id.as_str()).unwrap_or_default();
    value["rules"] = rules.into();
    keep_policy(visit, id, value, back).await
}

pub async fn keep_policy(visit: &Visit, id: &Id<Policy>, value: Value, back: &str) -> Result<Kept, Problem> {
    keep(visit, vec![Edit { kind: Kind::Policies, id: id.to_string(), value: Some(value) }], back).await
}
