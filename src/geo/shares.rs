//! How much of the world each rule of a split is for, by IPv4 addresses. For people who look at rules.

use super::Base;
use super::decide::Decider;
use super::membership::Client;
use super::nearest::Precision;
use super::split::Split;
use crate::model::{Region, Table};

impl Base {
    /// The part of all located IPv4 addresses, 0 to 1, that each rule is for. Addresses in networks that a region
    /// names count where their place belongs: such networks are small beside countries.
    pub fn rule_shares(&self, regions: &Table<Region>, split: &Split) -> Vec<f64> {
        let decider = Decider::new(self.places(), regions, split, Precision::Listed);
        let mut sums = vec![0u64; split.rules.len()];
        let located = self.places().iter().zip(&self.census().counts);
        for (place, count) in located.filter(|(place, _)| !place.is_unknown()) {
            if let Some(sum) = sums.get_mut(decider.rule(&Client { place, networks: &[] })) {
                *sum += count.addresses;
            }
        }
        let total: u64 = sums.iter().sum();
        sums.iter().map(|sum| if total == 0 { 0.0 } else { *sum as f64 / total as f64 }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::SplitRule;
    use crate::model::builtin;

    #[test]
    fn shares_follow_the_rules_and_their_order() {
        let base = Base::from_mmdb(include_bytes!("../../geo-data/country.mmdb").to_vec(), None).unwrap();
        let rule = |ids: &[&str]| SplitRule {
            regions: ids.iter().map(|id| id.parse().unwrap()).collect(),
            ..SplitRule::default()
        };
        let split = Split { rules: vec![rule(&["europe"]), rule(&["europe", "asia"]), rule(&[])] };
        let shares = base.rule_shares(&builtin::regions(), &split);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(shares.iter().all(|share| (0.1..0.7).contains(share)), "{shares:?}");
        assert_eq!(Base::empty().rule_shares(&builtin::regions(), &split), [0.0; 3]);
    }
}
