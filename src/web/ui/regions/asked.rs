//! How much the clients of regions ask. A query counts for the regions that the rule names which admitted its client;
//! a rule that names several counts for them together, as nobody knows in which of them the client was.

use std::collections::{BTreeMap, BTreeSet};

use super::super::chart::{Chart, Line, Shape};
use super::super::text::{Text, plain, text};
use super::super::visit::Visit;
use crate::control::series::{Regions, Span};
use crate::model::{Id, Model, Region};

/// Lines of the chart of one region.
const MAX_LINES: usize = 6;
/// Regions that are named; of more it says how many.
const MAX_NAMED: usize = 4;

/// Queries per second in the last minute, by the regions of rules.
pub struct Rates(BTreeMap<Regions, f64>);

impl Rates {
    pub fn of(visit: &Visit) -> Rates {
        Rates(visit.web.control.shared().traffic.lock().region_rates())
    }

    fn own<'r>(&'r self, id: &'r Id<Region>) -> impl Iterator<Item = (&'r Regions, f64)> {
        self.0.iter().filter(|(regions, _)| regions.contains(id)).map(|(regions, rate)| (regions, *rate))
    }

    /// Of all rules that name the region.
    pub fn rate(&self, id: &Id<Region>) -> f64 {
        self.own(id).map(|(_, rate)| rate).sum()
    }

    /// The other regions that those rules name.
    pub fn with(&self, model: &Model, id: &Id<Region>) -> Option<Text> {
        let others: BTreeSet<&Id<Region>> = self.own(id).flat_map(|(regions, _)| regions).collect();
        let others: Regions = others.into_iter().filter(|other| *other != id).cloned().collect();
        (!others.is_empty()).then(|| text("together with {regions}").say("regions", regions_word(model, &others)))
    }

    /// Of rules that name no region.
    pub fn everyone_else(&self) -> f64 {
        self.0.get(&Vec::new()).copied().unwrap_or_default()
    }
}

/// The regions of a rule by their names.
pub fn regions_word(model: &Model, regions: &[Id<Region>]) -> Text {
    let name = |id: &Id<Region>| {
        let name = model.regions.get(id).map(|region| region.meta.name.clone()).unwrap_or_default();
        if name.is_empty() { id.to_string() } else { name }
    };
    let named = regions.iter().take(MAX_NAMED).map(name).collect::<Vec<_>>().join(", ");
    match regions.len().saturating_sub(MAX_NAMED) {
        _ if regions.is_empty() => text("Everyone else"),
        0 => plain(named),
        more => text("{names} and {n} more").set("names", named).set("n", more),
    }
}

/// What the clients of one region asked over time; `None` without any.
pub fn chart(visit: &Visit, model: &Model, id: &Id<Region>, span: Span) -> Option<Chart> {
    let mut curves = visit.web.control.shared().traffic.lock().series.regions(span);
    curves.retain(|(regions, _)| regions.contains(id));
    let any = curves.first()?.1.clone();
    let lines = curves.into_iter().take(MAX_LINES).zip(1..);
    let line = |((regions, curve), colour): ((Regions, crate::control::series::Curve), usize)| {
        Line::new(regions_word(model, &regions), colour, curve.points)
    };
    let title = text("Queries of steered names per second from {region}")
        .say("region", regions_word(model, std::slice::from_ref(id)));
    let chart = Chart::over(&any, "asked", title, text("per second"), Shape::Stacked);
    Some(Chart { lines: lines.map(line).collect(), ..chart })
}

#[cfg(test)]
mod tests {
    use super::super::super::text::Language;
    use super::*;

    fn regions(ids: &[&str]) -> Regions {
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }

    #[test]
    fn a_rule_with_several_regions_counts_for_each_and_says_so() {
        let own = [(&["eu-x"][..], 4.0), (&["eu-x", "uk"], 2.0), (&["us"], 8.0), (&[], 1.0)];
        let rates = Rates(own.map(|(ids, rate)| (regions(ids), rate)).into());
        let model = Model::empty();
        for (id, rate, with) in [
            ("eu-x", 6.0, Some("together with uk")),
            ("uk", 2.0, Some("together with eu-x")),
            ("us", 8.0, None),
            ("asia", 0.0, None),
        ] {
            let id = id.parse().unwrap();
            let said = rates.with(&model, &id).map(|text| text.to_html(Language::English));
            assert_eq!((rates.rate(&id), said.as_deref()), (rate, with), "{id}");
        }
        assert_eq!(rates.everyone_else(), 1.0);
    }

    #[test]
    fn regions_are_named_and_no_region_is_everyone_else() {
        let said = |ids: &[&str]| regions_word(&Model::empty(), &regions(ids)).to_html(Language::English);
        assert_eq!(said(&[]), "Everyone else");
        assert_eq!(said(&["x", "y"]), "x, y");
        assert_eq!(said(&["a", "b", "c", "d", "e", "f"]), "a, b, c, d and 2 more");
    }
}
