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

/// What is added up of one country.
#[derive(Default)]
struct Sum {
    addresses: u64,
    /// Size and first address of its largest ranges, the largest first.
    largest: Vec<(u64, u64)>,
}

impl Base {
    /// One address of each country in the database; looked for once.
    pub fn one_of_each(&self) -> &[Sample] {
        self.one_of_each.get_or_init(|| self.samples(1))
    }

    /// One sample for each country in the database, with at most `most` addresses each.
    pub fn samples(&self, most: usize) -> Vec<Sample> {
        let mut countries: BTreeMap<Option<Country>, Sum> = BTreeMap::new();
        let mut ranges = self.v4().iter().peekable();
        while let Some((start, class)) = ranges.next() {
            // Keys hold the address in the upper half; the last range ends with the last address.
            let first = start >> 32;
            let size = ranges.peek().map_or(1 << 32, |(next, _)| next >> 32) - first;
            let sum = countries.entry(self.places()[class as usize].country).or_default();
            sum.addresses += size;
            let at = sum.largest.partition_point(|(other, _)| *other >= size);
            if at < most {
                sum.largest.insert(at, (size, first));
                sum.largest.truncate(most);
            }
        }
        let known: u64 = countries.iter().filter(|(country, _)| country.is_some()).map(|(_, sum)| sum.addresses).sum();
        let share = |country: Option<Country>, sum: &Sum| match country {
            Some(_) => sum.addresses as f64 / known as f64,
            None => 0.0,
        };
        countries
            .into_iter()
            .map(|(country, sum)| Sample {
                country,
                share: share(country, &sum),
                addresses: sum.largest.iter().map(|(_, first)| Ipv4Addr::from_bits(*first as u32)).collect(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_the_shipped_database_stand_in_their_countries() {
        let base = Base::from_mmdb(include_bytes!("../../geo-data/country.mmdb").to_vec(), None).unwrap();
        let samples = base.samples(3);
        assert!(samples.len() > 200);
        for Sample { country, addresses, .. } in &samples {
            assert!((1..=3).contains(&addresses.len()));
            assert!(addresses.iter().all(|address| base.place((*address).into()).0.country == *country));
        }
        let total: f64 = samples.iter().map(|sample| sample.share).sum();
        assert!((total - 1.0).abs() < 1e-9);
    }
}
