//! The sentence of a rule with its regions and pools as they are shown: a region links to the rule as a form, a pool
//! is chosen in its place; or both are plain.

use askama::Template;

use super::super::filters::{self, Markup, icon_html};
use super::super::frame::Frame;
use super::super::sentence::{Slots, Spot, region_name};
use super::super::state::PoolStates;
use super::super::text::{Text, escaped, text};
use super::super::visit::Visit;
use super::steering::Choices;
use crate::model::{Id, Model, Pool, Region, Rule};

/// Slots that change the rule.
pub struct Links<'p> {
    pub model: &'p Model,
    pub states: &'p PoolStates,
    /// Opens the rule as a form.
    pub href: String,
    /// The rule as it was, where the draft changes it.
    pub was: Option<&'p Rule>,
    pub rule: &'p Rule,
    /// From 1.
    pub number: usize,
    pub chips: &'p Chips<'p>,
}

/// What the chips of a page share.
pub struct Chips<'p> {
    pub visit: &'p Visit,
    pub frame: &'p Frame,
    /// Of the name's page.
    pub path: &'p str,
    pub pools: &'p Choices,
}

/// A pool of a sentence that can be changed where it stands.
#[derive(Template)]
#[template(path = "ui/_chip.html")]
struct Chip<'p> {
    frame: &'p Frame,
    pools: &'p Choices,
    path: &'p str,
    /// Of the rule, from 1.
    number: usize,
    /// As `RuleForm::put` reads it.
    spot: &'p str,
    /// What stands there; none in the chip that adds one.
    pool: String,
    colour: usize,
    is_new: bool,
}

impl Links<'_> {
    fn slot(&self, is_new: bool, before: &str, inner: Text) -> Text {
        let class = if is_new { "slot new" } else { "slot" };
        let open = format!("<a class=\"{class}\" href=\"{}\">{before}", escaped(&self.href));
        let close = format!("{}</a>", icon_html("chevron-down"));
        beside_marks(text("{open}{inner}{close}").html("open", open).say("inner", inner).html("close", close))
    }

    fn chip(&self, spot: &str, pool: String, colour: usize, is_new: bool) -> String {
        let Chips { visit, frame, path, pools } = *self.chips;
        let chip = Chip { frame, pools, path, number: self.number, spot, pool, colour, is_new };
        visit.render(&chip).unwrap_or_default()
    }

    /// Adds a pool that takes over, after the sentence.
    pub fn more(&self) -> Markup {
        Markup(self.chip("then", String::new(), 0, false))
    }
}

impl Slots for Links<'_> {
    fn region(&self, region: &Id<Region>) -> Text {
        let is_new = self.was.is_some_and(|was| !was.regions.contains(region) && !was.except_regions.contains(region));
        self.slot(is_new, &icon_html("map"), region_name(self.model, region))
    }

    fn pool(&self, pool: &Id<Pool>, spot: Spot) -> Text {
        let colour = self.states.get(pool).map_or(1, |shown| shown.colour);
        let is_new = self.was.is_some_and(|was| moved(was, self.rule, pool));
        let spot = match spot {
            Spot::Step(step, at) => format!("{step}.{at}"),
            Spot::LastResort => "last".to_owned(),
        };
        beside_marks(text("{chip}").html("chip", self.chip(&spot, pool.to_string(), colour, is_new)))
    }

    fn manner(&self, words: Text) -> Text {
        // Within the words there may be a link already, which cannot hold another.
        words
    }
}

/// Keeps the comma or full stop after a slot on its line. A line may always end beside a box, but not at a word joiner;
/// between the two the span has no end of a line.
fn beside_marks(slot: Text) -> Text {
    text("<span class=\"nb\">{slot}&#8288;</span>").say("slot", slot)
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

    fn pool(&self, pool: &Id<Pool>, _: Spot) -> Text {
        let colour = self.states.get(pool).map_or(1, |shown| shown.colour);
        text("<span class=\"nb\">{key} <b>{word}</b></span>")
            .html("key", format!("<span class=\"key k{colour}\"></span>"))
            .set("word", pool)
    }

    fn manner(&self, words: Text) -> Text {
        words
    }
}
