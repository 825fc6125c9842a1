//! The sheet before a switch of pools or of an endpoint acts: shares now and after, who would be left without an answer,
//! the reason, and a name to type where that is so.

use askama::Template;
use axum::http::StatusCode;

use super::super::filters;
use super::super::form::{Faults, Form, MAX_REASON, WHY};
use super::super::frame::{Frame, Place};
use super::super::state::PoolStates;
use super::super::text::{Text, count, text};
use crate::control::effect::{Effect, Stranded};
use crate::model::{FieldError, Id, Pool};

#[derive(Template)]
#[template(path = "ui/pools/sheet.html")]
pub struct Sheet {
    pub frame: Frame,
    pub question: Text,
    pub explained: &'static str,
    pub button: &'static str,
    pub action: String,
    /// Fields that the form sends along unseen.
    pub carried: Vec<(&'static str, String)>,
    /// What is switched, where that is more than one pool.
    pub pools: Vec<String>,
    /// The endpoints of the pool, where one of them is switched.
    pub endpoints: Vec<Moved>,
    /// The pools of the names, where clients move.
    pub moved: Vec<Moved>,
    pub effect: Effect,
    pub asking: Asking,
    pub back: String,
}

/// A pool or an endpoint, with its share of the answers.
pub struct Moved {
    pub pool: String,
    pub colour: usize,
    pub now: f64,
    pub after: f64,
}

/// The part of a sheet that warns and asks.
pub struct Asking {
    pub nothing_left: Option<Text>,
    pub stranded: Vec<Text>,
    /// What must be typed to do it anyway.
    pub confirm: Option<String>,
    pub typed: String,
    pub reason: String,
    pub max_reason: usize,
    pub faults: Faults,
}

impl Asking {
    /// `gone` are the pools that would give their clients away; `form` is what was typed so far.
    pub fn new(effect: &Effect, gone: &[Id<Pool>], form: &Form, faults: Faults) -> Asking {
        let (nothing_left, stranded) = consequences(effect, gone);
        Asking {
            nothing_left,
            stranded,
            confirm: effect.stranded.first().map(|stranded| stranded.name.clone()),
            typed: form.text("confirm").to_owned(),
            reason: form.text("reason").to_owned(),
            max_reason: MAX_REASON,
            faults,
        }
    }

    pub fn status(&self) -> StatusCode {
        if self.faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }
    }
}

/// What keeps a sheet from acting: no reason, or clients without an answer whose name was not typed.
pub fn faults(stranded: &[Stranded], form: &Form, reason: &str) -> Faults {
    let mut faults = Faults::default();
    if reason.is_empty() {
        faults.say("reason", WHY);
    }
    let must_type = stranded.first().map(|stranded| &stranded.name);
    if let Some(name) = must_type.filter(|name| form.text("confirm").trim_end_matches('.') != **name) {
        let remedy = format!("type {name} to do it anyway");
        faults.push(FieldError::new("confirm", "This leaves clients without an answer", remedy));
    }
    faults
}

/// The pools whose share moves, the largest first.
pub fn moved(effect: &Effect, states: &PoolStates) -> Vec<Moved> {
    let row = |(id, now, after): &(Id<Pool>, f64, f64)| Moved {
        pool: id.to_string(),
        colour: states.get(id).map_or(1, |shown| shown.colour),
        now: *now,
        after: *after,
    };
    effect.pools.iter().take(8).map(row).collect()
}

/// Who gets other pools than `gone`, and whose clients get no answer at all.
fn consequences(effect: &Effect, gone: &[Id<Pool>]) -> (Option<Text>, Vec<Text>) {
    let next = effect.pools.iter().filter(|(id, now, after)| after > now && !gone.contains(id));
    let next: Vec<&str> = next.map(|(id, ..)| id.as_str()).take(4).collect();
    let nothing_left = (effect.moving > 0 && !next.is_empty()).then(|| {
        text("No endpoint would be left. Clients of {names} would get {pools}.")
            .say("names", count(effect.moving, "1 name", "{n} names"))
            .set("pools", next.join(", "))
    });
    let stranded = effect.stranded.iter().take(5).map(|rule| {
        match (rule.is_last, rule.is_locked) {
            (true, true) => text("Everyone else at {name} would get no answer, because they must never leave {pools}."),
            (true, false) => {
                text("Everyone else at {name} would get no answer, because no other pool can answer by their rule.")
            }
            (false, true) => {
                text("No client of rule {rule} of {name} would get an answer, because it must never leave {pools}.")
            }
            (false, false) => text(
                "No client of rule {rule} of {name} would get an answer, because no other pool can answer by that rule.",
            ),
        }
        .set("rule", rule.rule)
        .set("name", &rule.name)
        .set("pools", rule.pools.join(", "))
    });
    (nothing_left, stranded.collect())
}
