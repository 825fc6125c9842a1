//! Which clients a region surely holds, and which rules can therefore never be reached. Decided from
//! tokens alone: where two tokens do not say it themselves, neither covers the other.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::super::{Continent, Country, Id, Model, Policy, Region, Rule, Subdivision, Token, builtin};

/// Deeper nesting is refused elsewhere; a draft that has it must not exhaust the stack here.
const MAX_DEPTH: usize = 8;

/// What the rules before it leave of a rule.
pub(super) enum Reach {
    All,
    /// Earlier rules answer all of these regions of it.
    Some(Vec<Id<Region>>),
    /// Rules with these indexes answer all of it.
    None(Vec<usize>),
}

/// How much of rule `at` can be reached past the enabled rules before it.
pub(super) fn reach(model: &Model, policy: &Policy, at: usize) -> Reach {
    let Some(rule) = policy.rules.get(at) else { return Reach::All };
    let earlier: Vec<(usize, &Rule)> = policy.rules[..at].iter().enumerate().filter(|(_, rule)| rule.enabled).collect();
    // An earlier rule's exceptions do not matter where this rule makes them, too.
    let plain = |other: &Rule| other.except_regions.iter().all(|id| rule.except_regions.contains(id));
    let earlier: Vec<(usize, &Rule)> = earlier.into_iter().filter(|(_, other)| plain(other)).collect();
    let taken: Vec<(usize, Tokens)> = earlier.iter().map(|(i, other)| (*i, Tokens::sure(model, other))).collect();
    // A rule for Germany before one for Europe is how exceptions are said; only regions that are taken as
    // a whole are a mistake.
    let (mut covered, mut by) = (Vec::new(), BTreeSet::new());
    for id in &rule.regions {
        if let Some((first, _)) = earlier.iter().find(|(_, other)| other.regions.contains(id)) {
            covered.push(id.clone());
            by.insert(*first);
            continue;
        }
        let mut tokens = Vec::new();
        possible(model, id, MAX_DEPTH, &mut tokens);
        let takers = tokens.iter().map(|token| taken.iter().find(|(_, set)| set.cover(token)).map(|(i, _)| *i));
        let takers: Option<BTreeSet<usize>> = takers.collect();
        if let Some(takers) = takers.filter(|takers| !takers.is_empty()) {
            covered.push(id.clone());
            by.extend(takers);
        }
    }
    match covered.len() {
        0 => Reach::All,
        all if all == rule.regions.len() => Reach::None(by.into_iter().collect()),
        _ => Reach::Some(covered),
    }
}

/// Every token through which a client can be in the region: its exceptions are not taken off.
fn possible(model: &Model, id: &Id<Region>, depth: usize, tokens: &mut Vec<Token>) {
    let Some(region) = model.regions.get(id).filter(|_| depth > 0) else { return };
    for token in &region.include {
        match token {
            Token::Region(id) => possible(model, id, depth - 1, tokens),
            other => tokens.push(other.clone()),
        }
    }
}

/// Tokens whose every client is in a set.
#[derive(Default)]
struct Tokens(BTreeSet<Token>);

impl Tokens {
    /// What the regions of `rule` surely hold.
    fn sure(model: &Model, rule: &Rule) -> Self {
        let mut tokens = Self::default();
        rule.regions.iter().for_each(|id| tokens.add_sure(model, id, MAX_DEPTH));
        tokens
    }

    /// Adds what the region surely holds: nothing where it makes exceptions.
    fn add_sure(&mut self, model: &Model, id: &Id<Region>, depth: usize) {
        let Some(region) = model.regions.get(id).filter(|region| depth > 0 && region.except.is_empty()) else { return };
        for token in &region.include {
            match token {
                Token::Region(id) => self.add_sure(model, id, depth - 1),
                other => {
                    self.0.insert(other.clone());
                }
            }
        }
    }

    fn cover(&self, token: &Token) -> bool {
        let has = |token: Token| self.0.contains(&token);
        let in_country = |country: Country| {
            has(Token::Country(country))
                || continent_of(country).is_some_and(|continent| has(Token::Continent(continent)))
        };
        has(token.clone())
            || match token {
                Token::Country(country) => in_country(*country),
                Token::Subdivision(Subdivision { country, .. }) => in_country(*country),
                Token::Cidr(network) => {
                    std::iter::successors(network.supernet(), IpNet::supernet).any(|wider| has(Token::Cidr(wider)))
                }
                _ => false,
            }
    }
}

fn continent_of(country: Country) -> Option<Continent> {
    builtin::country(country).map(|info| info.continent)
}

/// True when all of a country is surely inside the region.
pub(super) fn holds_country(model: &Model, id: &Id<Region>, country: Country) -> bool {
    holds(model, id, country, MAX_DEPTH)
}

fn holds(model: &Model, id: &Id<Region>, country: Country, depth: usize) -> bool {
    let Some(region) = model.regions.get(id).filter(|_| depth > 0) else { return false };
    let within = |token: &Token| match token {
        Token::Country(other) => *other == country,
        Token::Continent(continent) => continent_of(country) == Some(*continent),
        Token::Region(id) => holds(model, id, country, depth - 1),
        _ => false,
    };
    // An exception for a part of the country already means that not all of it is inside.
    let partly = |token: &Token| matches!(token, Token::Subdivision(part) if part.country == country);
    region.include.iter().any(within) && !region.except.iter().any(|token| within(token) || partly(token))
}
