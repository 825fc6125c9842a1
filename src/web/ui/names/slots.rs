//! The sentence of a rule with its regions and pools as they are shown: each a link that opens the rule, or plain.

use super::super::filters::icon_html;
use super::super::sentence::{Slots, region_name};
use super::super::state::PoolStates;
use super::super::text::{Text, escaped, plain, text};
use crate::model::{Id, Model, Pool, Region, Rule};

/// Slots that open the rule as a form.
pub struct Links<'p> {
    pub model: &'p Model,
    pub states: &'p PoolStates,
    pub href: String,
    /// The rule as it was, where the draft changes it.
    pub was: Option<&'p Rule>,
    pub rule: &'p Rule,
}

impl Links<'_> {
    fn slot(&self, is_new: bool, before: &str, inner: Text) -> Text {
        let class = if is_new { "slot new" } else { "slot" };
        let open = format!("<a class=\"{class}\" href=\"{}\">{before}", escaped(&self.href));
        let close = format!("{}</a>", icon_html("chevron-down"));
        text("{open}{inner}{close}").html("open", open).say("inner", inner).html("close", close)
    }
}

impl Slots for Links<'_> {
    fn region(&self, region: &Id<Region>) -> Text {
        let is_new = self.was.is_some_and(|was| !was.regions.contains(region) && !was.except_regions.contains(region));
        self.slot(is_new, &icon_html("map"), region_name(self.model, region))
    }

    fn pool(&self, pool: &Id<Pool>) -> Text {
        let colour = self.states.get(pool).map_or(1, |shown| shown.colour);
        let is_new = self.was.is_some_and(|was| moved(was, self.rule, pool));
        self.slot(is_new, &format!("<span class=\"key k{colour}\"></span>"), plain(pool))
    }

    fn manner(&self, words: Text) -> Text {
        // Within the words there may be a link already, which cannot hold another.
        words
    }
}

/// The pool was not in the rule, or, where all of them were, stood elsewhere.
fn moved(was: &Rule, rule: &Rule, pool: &Id<Pool>) -> bool {
    let old: Vec<&Id<Pool>> = was.steps.iter().flat_map(|step| &step.pools).map(|used| &used.pool).collect();
    let new: Vec<&Id<Pool>> = rule.steps.iter().flat_map(|step| &step.pools).map(|used| &used.pool).collect();
    let place = |of: &[&Id<Pool>]| of.iter().position(|known| *known == pool);
    match new.iter().all(|known| old.contains(known)) {
        true => place(&old) != place(&new),
        false => !old.contains(&pool),
    }
}

/// Names with their colour, where nothing can be edited.
pub struct Keys<'p> {
    pub model: &'p Model,
    pub states: &'p PoolStates,
}

impl Slots for Keys<'_> {
    fn region(&self, region: &Id<Region>) -> Text {
        text("<b>{word}</b>").say("word", region_name(self.model, region))
    }

    fn pool(&self, pool: &Id<Pool>) -> Text {
        let colour = self.states.get(pool).map_or(1, |shown| shown.colour);
        text("<span class=\"nb\">{key} <b>{word}</b></span>")
            .html("key", format!("<span class=\"key k{colour}\"></span>"))
            .set("word", pool)
    }

    fn manner(&self, words: Text) -> Text {
        words
    }
}
