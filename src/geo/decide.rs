//! The decision of one place and its operator networks: the first rule that matches, and the order of its pools.

use std::collections::HashMap;

use super::membership::{Client, Membership};
use super::nearest::{self, Precision};
use super::overlay::{EMBEDDED_CHAIN, Overlay};
use super::ranges::Ranges;
use super::segments::{EMBEDDED, FIRST_RESERVED, Segments};
use super::split::{Decision, Split};
use crate::model::{Place, Region, Table};

/// A rule's regions, as indices of the membership.
struct RuleRegions {
    regions: Vec<usize>,
    except: Vec<usize>,
}

pub struct Decider<'a> {
    split: &'a Split,
    places: &'a [Place],
    precision: Precision,
    rules: Vec<RuleRegions>,
    pub membership: Membership,
    pub decisions: Vec<Decision>,
    index: HashMap<Decision, u16>,
    /// By rule and the bits of the point, where the rule has a nearest step.
    by_point: HashMap<(usize, Option<[u64; 2]>), u16>,
    /// The decisions of places that no operator network is around, by class.
    plain: Vec<Option<u16>>,
}

/// More distinct decisions than a table can number.
#[derive(Debug)]
pub struct TooMany;

impl<'a> Decider<'a> {
    pub fn new(places: &'a [Place], table: &Table<Region>, split: &'a Split, precision: Precision) -> Self {
        let mut membership = Membership::default();
        let rules = split.rules.iter().map(|rule| RuleRegions {
            regions: membership.add_all(table, &rule.regions),
            except: membership.add_all(table, &rule.except_regions),
        });
        let rules = rules.take(usize::from(FIRST_RESERVED)).collect();
        let plain = vec![None; places.len()];
        let (decisions, index, by_point) = Default::default();
        Decider { split, places, precision, rules, membership, decisions, index, by_point, plain }
    }

    /// One family: the ranges of the base, cut further by operator networks, with their decisions.
    pub fn segments(&mut self, ranges: &Ranges, overlay: &Overlay) -> Result<Segments, TooMany> {
        let mut segments = Segments::default();
        let mut mixed: HashMap<(u32, u32), u16> = HashMap::new();
        let mut decide = |class: u32, chain: u32| match chain {
            EMBEDDED_CHAIN => Ok(EMBEDDED),
            0 => self.decide_plain(class),
            _ => {
                if let Some(decision) = mixed.get(&(class, chain)) {
                    return Ok(*decision);
                }
                let decision = self.decide(class, &overlay.chains[chain as usize])?;
                mixed.insert((class, chain), decision);
                Ok(decision)
            }
        };
        let mut boundaries = overlay.boundaries.iter().copied().peekable();
        let (mut class, mut chain) = (0, 0);
        for (start, next_class) in ranges.iter() {
            let start = u128::from(start) << 64;
            while let Some((at, next_chain)) = boundaries.next_if(|(at, _)| *at < start) {
                chain = next_chain;
                segments.push(at, decide(class, chain)?);
            }
            class = next_class;
            if let Some((_, next_chain)) = boundaries.next_if(|(at, _)| *at == start) {
                chain = next_chain;
            }
            segments.push(start, decide(class, chain)?);
        }
        for (at, chain) in boundaries {
            segments.push(at, decide(class, chain)?);
        }
        Ok(segments.finish())
    }

    fn decide_plain(&mut self, class: u32) -> Result<u16, TooMany> {
        if let Some(decision) = self.plain[class as usize] {
            return Ok(decision);
        }
        let decision = self.decide(class, &[])?;
        self.plain[class as usize] = Some(decision);
        Ok(decision)
    }

    fn decide(&mut self, class: u32, networks: &[u32]) -> Result<u16, TooMany> {
        let client = Client { place: &self.places[class as usize], networks };
        let rule = self.rule(&client);
        let steps = self.split.rules.get(rule).map_or(&[][..], |rule| &rule.nearest);
        let origin = if steps.is_empty() { None } else { nearest::origin(client.place, self.precision) };
        let point = origin.map(|point| [point.lat.to_bits(), point.lon.to_bits()]);
        if let Some(known) = self.by_point.get(&(rule, point)) {
            return Ok(*known);
        }
        let orders = steps.iter().map(|step| nearest::order(step, origin)).collect();
        let decision = Decision { rule: rule as u16, orders };
        let next = self.decisions.len() as u16;
        let number = *self.index.entry(decision.clone()).or_insert(next);
        if number == next {
            if next == FIRST_RESERVED {
                return Err(TooMany);
            }
            self.decisions.push(decision);
        }
        self.by_point.insert((rule, point), number);
        Ok(number)
    }

    /// The last rule matches everyone, by the contract of a split.
    pub fn rule(&self, client: &Client) -> usize {
        let holds = |rule: &RuleRegions| {
            (rule.regions.is_empty() || self.membership.any_matches(&rule.regions, client))
                && !self.membership.any_matches(&rule.except, client)
        };
        self.rules.iter().position(holds).unwrap_or(self.rules.len().saturating_sub(1))
    }
}
