//! Which clients a region surely holds, and which rules can therefore never be reached. Decided from
//! tokens alone: where two tokens do not say it themselves, neither covers the other.

use std::collections::BTreeSet;

use super::super::{Continent, Country, Id, Model, Policy, Region, Rule, Subdivision, Token, builtin};

/// Deeper nesting is refused elsewhere; a draft that has it must not exhaust the stack here.
const MAX_DEPTH: usize = 8;

/// What the rules before it leave of a rule.
pub(super) enum Reach {
    All,
    /// Regions or tokens that earlier rules answer, of which `0` names some.
    Some(Vec<String>),
    /// Earlier rules answer all of it; they have these indexes.
    None(Vec<usize>),
}

/// How much of rule `at` can be reached past the enabled rules before it.
pub(super) fn reach(model: &Model, policy: &Policy, at: usize) -> Reach {
    let Some(rule) = policy.rules.get(at) else { return Reach::All };
    let earlier: Vec<(usize, &Rule)> = policy.rules[..at].iter().enumerate().filter(|(_, rule)| rule.enabled).collect();
    // An earlier rule's exceptions do not matter where this rule makes them, too.
    let plain = |other: &Rule| other.except_regions.iter().all(|id| rule.except_regions.contains(id));
    let earlier: Vec<(usize, &Rule)> = earlier.into_iter().filter(|(_, other)| plain(other)).collect();
    let mut taken = Tokens::default();
    for (_, other) in &earlier {
        other.regions.iter().for_each(|id| taken.add_sure(model, id, MAX_DEPTH));
    }
    let (mut covered, mut open) = (Vec::new(), false);
    let mut by = BTreeSet::new();
    for id in &rule.regions {
        let same: Vec<usize> =
            earlier.iter().filter(|(_, other)| other.regions.contains(id)).map(|(i, _)| *i).collect();
        if let Some(first) = same.first() {
            covered.push(format!("region {id}"));
            by.insert(*first);
            continue;
        }
        let mut tokens = Vec::new();
        possible(model, id, MAX_DEPTH, &mut tokens);
        for token in &tokens {
            if taken.cover(token) {
                covered.push(token.to_string());
            } else {
                open = true;
            }
        }
        if !tokens.is_empty() && tokens.iter().all(|token| taken.cover(token)) {
            by.extend(earlier.iter().map(|(i, _)| *i));
        }
        open |= tokens.is_empty();
    }
    match (covered.is_empty(), open) {
        (true, _) => Reach::All,
        (false, true) => Reach::Some(covered),
        (false, false) => Reach::None(by.into_iter().collect()),
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
                Token::Cidr(network) => self.0.iter().any(|other| match other {
                    Token::Cidr(wider) => wider.contains(network),
                    _ => false,
                }),
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
