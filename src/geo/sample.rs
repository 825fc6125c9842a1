//! A few addresses that stand for each country, to see what a change does to whom.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::Base;
use crate::model::Country;

/// The largest networks of one country.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// `None` for addresses that the database does not know.
    pub country: Option<Country>,
    /// The first addresses of its largest ranges, the largest first.
    pub addresses: Vec<Ipv4Addr>,
    /// Its part of all known IPv4 addresses, 0 to 1; 0 for the unknown.
    pub share: f64,
}

impl Base {
    /// One sample for each country in the database, with at most `most` addresses each.
    pub fn samples(&self, most: usize) -> Vec<Sample> {
        let mut countries: BTreeMap<Option<Country>, (u64, Vec<(u64, u64)>)> = BTreeMap::new();
        let mut ranges = self.v4().iter().peekable();
        while let Some((start, class)) = ranges.next() {
            // Keys hold the address in the upper half; the last range ends with the last address.
            let first = start >> 32;
            let end = ranges.peek().map_or(1 << 32, |(next, _)| next >> 32);
            let country = self.places()[class as usize].country;
            let (total, largest) = countries.entry(country).or_default();
            *total += end - first;
            let at = largest.partition_point(|(size, _)| *size >= end - first);
            if at < most {
                largest.insert(at, (end - first, first));
                largest.truncate(most);
            }
        }
        let known: u64 = countries.iter().filter(|(country, _)| country.is_some()).map(|(_, (total, _))| total).sum();
        let sample = |(country, (total, largest)): (Option<Country>, (u64, Vec<(u64, u64)>))| Sample {
            country,
            addresses: largest.iter().map(|(_, first)| Ipv4Addr::from_bits(*first as u32)).collect(),
            share: if country.is_some() { total as f64 / known as f64 } else { 0.0 },
        };
        countries.into_iter().map(sample).collect()
    }
}
