//! What there is to say of regions: what they hold, who uses them, what they share. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::answer::Snapshot;
use crate::geo::Coverage;
use crate::model::{Id, LastResort, Model, Policy, Region, Rule, Token, builtin};
use crate::web::ui::country;
use crate::web::ui::filters::{figure_text, percent_text};
use crate::web::ui::sentence::region_name;
use crate::web::ui::text::{Language, Text, count, text};
use crate::web::ui::told;

/// The regions of a model as they cover the world.
pub enum Cover {
    /// Those that are live, counted once.
    Live(Arc<Snapshot>),
    /// Those of somebody's draft.
    Drafted(Box<Coverage>),
}

impl Cover {
    pub fn of(live: Arc<Snapshot>, model: &Model) -> Cover {
        match live.model().has_regions_of(model) {
            true => Cover::Live(live),
            false => {
                let coverage = tokio::task::block_in_place(|| Coverage::of(live.geo(), &model.regions));
                Cover::Drafted(Box::new(coverage))
            }
        }
    }

    pub fn coverage(&self) -> &Coverage {
        match self {
            Cover::Live(snapshot) => tokio::task::block_in_place(|| snapshot.coverage()),
            Cover::Drafted(coverage) => coverage,
        }
    }
}

/// Who names a region.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Uses {
    /// Policy and rule, with how the rule uses it.
    pub rules: Vec<(Id<Policy>, String, Use)>,
    /// Names of those policies.
    pub names: usize,
    /// Regions that hold or leave out this one.
    pub regions: BTreeSet<Id<Region>>,
}

/// How a rule names a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Clients,
    Except,
    /// Pools of the rule must stand in it.
    Lock,
}

impl Use {
    pub fn word(self) -> &'static str {
        match self {
            Use::Clients => "Clients in it",
            Use::Except => "Clients outside of it",
            Use::Lock => "Pools must stand in it",
        }
    }
}

/// Who uses which region. One pass over everything.
pub fn uses(model: &Model) -> BTreeMap<Id<Region>, Uses> {
    let mut uses: BTreeMap<Id<Region>, Uses> = BTreeMap::new();
    for (id, policy) in &model.policies {
        let mut named = BTreeSet::new();
        for rule in &policy.rules {
            for (region, how) in of_rule(rule) {
                let known = uses.entry(region.clone()).or_default();
                known.rules.push((id.clone(), rule.name.clone(), how));
                named.insert(region);
            }
        }
        for region in named {
            uses.entry(region.clone()).or_default().names += policy.attach.len();
        }
    }
    for (id, region) in &model.regions {
        for token in region.include.iter().chain(&region.except) {
            if let Token::Region(inner) = token {
                uses.entry(inner.clone()).or_default().regions.insert(id.clone());
            }
        }
    }
    uses
}

fn of_rule(rule: &Rule) -> impl Iterator<Item = (&Id<Region>, Use)> {
    let clients = rule.regions.iter().map(|id| (id, Use::Clients));
    let except = rule.except_regions.iter().map(|id| (id, Use::Except));
    clients.chain(except).chain(rule.residency_lock.iter().map(|id| (id, Use::Lock)))
}

/// The share of known addresses that each policy leaves to its last rule, the largest first. Policies without any
/// region leave all, on purpose.
pub fn left(model: &Model, coverage: &Coverage) -> Vec<Left> {
    let mut left: Vec<Left> = model
        .policies
        .iter()
        .filter_map(|(id, policy)| {
            let (last, rules) = policy.rules.split_last()?;
            let rules: Vec<&Rule> = rules.iter().filter(|rule| rule.enabled).collect();
            if rules.is_empty() || !policy.enabled {
                return None;
            }
            let share = coverage.left(rules.iter().map(|rule| (&*rule.regions, &*rule.except_regions)));
            let first = last.steps.first().and_then(|step| step.pools.first());
            let pool = first.map(|used| used.pool.to_string()).or(match &last.last_resort {
                LastResort::Pool(pool) => Some(pool.to_string()),
                _ => None,
            });
            let name = policy.attach.first().map(|attach| attach.name.to_string()).unwrap_or_default();
            let name = name.trim_end_matches('.').to_owned();
            Some(Left {
                policy: id.to_string(),
                name,
                names: policy.attach.len(),
                share,
                pool: pool.unwrap_or_default(),
            })
        })
        .collect();
    left.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.policy.cmp(&b.policy)));
    left
}

/// What one policy leaves to everyone else.
pub struct Left {
    pub policy: String,
    /// Its first name.
    pub name: String,
    pub names: usize,
    pub share: f64,
    /// Where they go first.
    pub pool: String,
}

/// How a region stands to another.
pub struct Shared {
    pub other: String,
    pub said: Text,
    /// For the order of lists.
    pub share: f64,
}

/// What a region has in common with each of `others`, the largest part first.
pub fn shared<'r>(
    coverage: &Coverage,
    model: &Model,
    id: &Id<Region>,
    others: impl IntoIterator<Item = &'r Id<Region>>,
) -> Vec<Shared> {
    let mut shared: Vec<Shared> = others
        .into_iter()
        .filter(|other| *other != id)
        .filter_map(|other| {
            let overlap = coverage.overlap(id, other)?;
            let said = match (coverage.is_within(id, other), coverage.is_within(other, id)) {
                (true, true) => text("same clients as {region}"),
                (true, false) => text("inside {region}"),
                (false, true) => text("around {region}"),
                (false, false) if overlap.share >= 0.0005 => {
                    text("{region}, {share} of known addresses").set("share", percent_text(overlap.share))
                }
                (false, false) if overlap.addresses > 0 => {
                    let addresses = figure_text(overlap.addresses as f64);
                    let one = overlap.addresses == 1;
                    text(if one { "{region}, 1 address" } else { "{region}, {n} addresses" }).set("n", addresses)
                }
                (false, false) => text("{region}, in IPv6"),
            };
            Some(Shared {
                other: other.to_string(),
                said: said.say("region", region_name(model, other)),
                share: overlap.share,
            })
        })
        .collect();
    shared.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.other.cmp(&b.other)));
    shared
}

/// What the tokens of a region are, in figures: `27 countries, 2 networks`.
pub fn summary(tokens: &[Token]) -> Vec<Text> {
    let of = |is: fn(&Token) -> bool| tokens.iter().filter(|token| is(token)).count();
    let each = [
        (of(|token| matches!(token, Token::Continent(_))), "{n} continent", "{n} continents"),
        (of(|token| matches!(token, Token::Country(_))), "{n} country", "{n} countries"),
        (of(|token| matches!(token, Token::Subdivision(_))), "{n} part of a country", "{n} parts of countries"),
        (of(|token| matches!(token, Token::Cidr(_))), "{n} network", "{n} networks"),
        (of(|token| matches!(token, Token::Asn(_))), "{n} AS number", "{n} AS numbers"),
        (of(|token| matches!(token, Token::Region(_))), "{n} region", "{n} regions"),
    ];
    let mut said: Vec<Text> =
        each.into_iter().filter(|(n, ..)| *n > 0).map(|(n, one, many)| count(n, one, many)).collect();
    if tokens.contains(&Token::Unknown) {
        said.push(text("clients of unknown place"));
    }
    said
}

/// A token in words, for people.
pub fn token_word(token: &Token, language: Language) -> String {
    match token {
        Token::Continent(continent) => told::fact("continent", continent.name(), language),
        Token::Country(code) => country::name(*code, language),
        Token::Subdivision(part) => {
            builtin::subdivision(*part).map_or_else(|| part.to_string(), |info| format!("{} ({part})", info.name))
        }
        Token::Asn(asn) => format!("AS{asn}"),
        Token::Cidr(network) => network.to_string(),
        Token::Region(id) => id.to_string(),
        Token::Unknown => told::fact("continent", "unknown", language),
    }
}
