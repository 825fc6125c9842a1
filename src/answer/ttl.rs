//! How long an answer may be kept: until it could first change, by what health knows.

use super::Entropy;

/// Shorter TTLs than this would only cost queries: the next check of a monitor is hardly ever sooner.
const SHORTEST: u32 = 5;

/// The TTL in seconds of an answer that could change at `earliest_change_ms`. A shortened one loses up to a
/// tenth by chance, so that caches do not all ask again at once.
pub fn live_ttl(policy_ttl: u32, earliest_change_ms: Option<u64>, now_ms: u64, entropy: &mut Entropy) -> u32 {
    let Some(change_ms) = earliest_change_ms else { return policy_ttl };
    // Rounded up: who asks just before the change would keep the old answer for another round.
    let seconds = change_ms.saturating_sub(now_ms).div_ceil(1000);
    if seconds >= u64::from(policy_ttl) {
        return policy_ttl;
    }
    let shortest = SHORTEST.clamp(1, policy_ttl.max(1));
    let seconds = u32::try_from(seconds).unwrap_or(policy_ttl).max(shortest);
    let jitter = entropy.below(u64::from(seconds / 10) + 1) as u32;
    (seconds - jitter).max(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_lives_until_it_could_change() {
        let now_ms = 1_000_000;
        for (policy_ttl, in_ms, least, most) in [
            (30, None, 30, 30),
            (30, Some(60_000), 30, 30),
            (30, Some(30_000), 30, 30),
            (30, Some(20_000), 18, 20),
            (30, Some(19_001), 18, 20),
            (30, Some(6_000), 6, 6),
            (30, Some(1_000), 5, 5),
            (30, Some(0), 5, 5),
            (300, Some(100_000), 90, 100),
            (3, Some(1_000), 3, 3),
            (1, Some(0), 1, 1),
            (0, Some(0), 0, 0),
            (0, Some(5_000), 0, 0),
        ] {
            for seed in 0..200 {
                let ttl = live_ttl(policy_ttl, in_ms.map(|ms| now_ms + ms), now_ms, &mut Entropy::new(seed));
                assert!((least..=most).contains(&ttl), "{policy_ttl} s, change in {in_ms:?} ms: {ttl}");
            }
        }
    }

    #[test]
    fn shortened_ttls_are_spread_over_their_last_tenth() {
        let seen: std::collections::BTreeSet<u32> =
            (0..200).map(|seed| live_ttl(300, Some(100_000), 0, &mut Entropy::new(seed))).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), (90..=100).collect::<Vec<_>>());
    }

    #[test]
    fn a_change_that_is_overdue_leaves_the_shortest_ttl() {
        assert_eq!(live_ttl(30, Some(5), 1_000_000, &mut Entropy::new(0)), 5);
    }
}
