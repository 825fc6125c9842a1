//! Who gets it: choices by weight, by chance or the same for a client's network every time.

use super::Entropy;
use super::names::{extend, fold};

/// What a choice hangs on.
pub enum Chance<'e> {
    /// Each query anew.
    Random(&'e mut Entropy),
    /// The hash of the client's network: the same on every node, for as long as the choices stay.
    Client(u64),
}

/// Told apart, so that who sheds is no clue to who gets which pool.
const SHED_SALT: u64 = 0x5348_4544;

impl Chance<'_> {
    /// True for the given share (0 to 1) of all clients or queries.
    pub fn falls_in(&mut self, share: f64, key: u64) -> bool {
        if share <= 0.0 || share >= 1.0 {
            return share >= 1.0;
        }
        let number = match self {
            Chance::Random(entropy) => entropy.next(),
            Chance::Client(client) => mix(*client ^ SHED_SALT, key),
        };
        fraction(number) < share
    }

    /// The position of one of `(weight, key)`, each as likely as its weight says; weight 0 never. For a client
    /// it is weighted rendezvous hashing (Schindelhauer and Schomaker 2005): when a choice goes or changes its
    /// weight, only its own share moves.
    pub fn pick(&mut self, choices: impl Iterator<Item = (u32, u64)> + Clone) -> Option<usize> {
        match self {
            Chance::Random(entropy) => {
                let total: u64 = choices.clone().map(|(weight, _)| u64::from(weight)).sum();
                let mut left = entropy.below(total);
                choices.enumerate().find_map(|(at, (weight, _))| {
                    let here = left < u64::from(weight);
                    left = left.saturating_sub(u64::from(weight));
                    here.then_some(at)
                })
            }
            Chance::Client(client) => {
                let score = |weight: u32, key| -fraction(mix(*client, key)).ln() / f64::from(weight);
                let scores = choices.enumerate().filter(|(_, (weight, _))| *weight > 0);
                let scores = scores.map(|(at, (weight, key))| (at, score(weight, key)));
                scores.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at)
            }
        }
    }
}

/// The hash of an entity's id by its kind, the same on every node and in every version.
pub fn key(kind: &str, id: &str) -> u64 {
    extend(extend(0x4e6f_7274_6869_6e67, kind.as_bytes()), id.as_bytes())
}

fn mix(client: u64, key: u64) -> u64 {
    fold(fold(client ^ 0x9e37_79b9_7f4a_7c15, key ^ 0xe703_7ed1_a0b4_28db), 0xa076_1d64_78bd_642f)
}

/// Above 0 and below 1, so that its logarithm is finite and not 0.
fn fraction(number: u64) -> f64 {
    ((number >> 12) as f64 + 0.5) / (1u64 << 52) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u64 = 20_000;

    /// Chi-square of the picks; its 0.0005 quantiles for 1 to 4 degrees of freedom are in the test.
    fn chi_square(weights: &[u32], mut pick: impl FnMut(u64) -> usize) -> f64 {
        let mut counts = vec![0u64; weights.len()];
        (0..DRAWS).for_each(|draw| counts[pick(draw)] += 1);
        let total: u32 = weights.iter().sum();
        let terms = weights.iter().zip(&counts).map(|(&weight, &count)| {
            let expected = DRAWS as f64 * f64::from(weight) / f64::from(total);
            if weight == 0 {
                assert_eq!(count, 0);
                return 0.0;
            }
            (count as f64 - expected).powi(2) / expected
        });
        terms.sum()
    }

    fn keyed(weights: &[u32]) -> Vec<(u32, u64)> {
        weights.iter().enumerate().map(|(i, &weight)| (weight, key("pool", &format!("pool-{i}")))).collect()
    }

    #[test]
    fn shares_follow_weights_and_weight_zero_is_never_picked() {
        for (weights, limit) in [
            (&[50, 50][..], 12.1),
            (&[90, 10], 12.1),
            (&[1, 0, 999], 12.1),
            (&[100, 200, 300], 15.2),
            (&[0, 7, 0, 11, 13, 17, 0], 17.7),
            (&[1000, 1, 1, 10, 100], 20.0),
        ] {
            let choices = keyed(weights);
            let mut entropy = Entropy::new(1);
            let random = chi_square(weights, |_| Chance::Random(&mut entropy).pick(choices.iter().copied()).unwrap());
            assert!(random < limit, "random {weights:?}: {random}");
            let client = |n| Chance::Client(extend(9, &(n as u32).to_be_bytes())).pick(choices.iter().copied());
            let hashed = chi_square(weights, |n| client(n).unwrap());
            assert!(hashed < limit, "by client {weights:?}: {hashed}");
        }
        for mut chance in [Chance::Random(&mut Entropy::new(1)), Chance::Client(1)] {
            assert_eq!(chance.pick(keyed(&[0, 0]).into_iter()), None);
            assert_eq!(chance.pick(std::iter::empty()), None);
        }
    }

    #[test]
    fn only_the_share_of_a_choice_that_goes_moves() {
        let (all, without) = (keyed(&[30, 50, 20]), keyed(&[30, 0, 20]));
        let mut moved = 0;
        for client in 0..DRAWS {
            let mut chance = Chance::Client(extend(3, &client.to_le_bytes()));
            let before = chance.pick(all.iter().copied()).unwrap();
            let after = chance.pick(without.iter().copied()).unwrap();
            assert!(before == 1 || before == after);
            moved += u64::from(before != after);
        }
        assert!((moved as f64 / DRAWS as f64 - 0.5).abs() < 0.02);
    }

    #[test]
    fn a_share_is_met_by_chance_and_by_client_and_grows_with_its_clients() {
        let mut entropy = Entropy::new(5);
        let by_chance = (0..DRAWS).filter(|_| Chance::Random(&mut entropy).falls_in(0.25, 1)).count();
        let client = |n: u64, share| Chance::Client(extend(3, &n.to_le_bytes())).falls_in(share, 77);
        let by_client = (0..DRAWS).filter(|&n| client(n, 0.25)).count();
        for count in [by_chance, by_client] {
            assert!((count as f64 / DRAWS as f64 - 0.25).abs() < 0.015, "{count}");
        }
        assert!((0..DRAWS).all(|n| !client(n, 0.25) || client(n, 0.5)));
        assert!(client(1, 1.0) && !client(1, 0.0));
    }
}
