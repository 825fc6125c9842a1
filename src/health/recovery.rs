//! One pool: when it may serve again after it was down, and how fast its share grows.
//! ```text
//! Ok    not healthy → Down
//! Down  healthy → Ok (auto) | Held (after, manual)
//! Held  not healthy → Down; its time is over, or somebody approves → Ok
//! ```
//! The operator's switch lies on top of this and does not stop it.

use serde::{Deserialize, Serialize};

use super::PoolState;
use crate::model::{Admin, HealthyWhen, Recovery};

/// What health alone says of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Serving {
    #[default]
    Ok,
    Down,
    Held {
        since_ms: u64,
    },
}

impl Serving {
    /// Moves on, given whether the pool is healthy now.
    pub fn step(self, healthy: bool, recovery: Recovery, now_ms: u64) -> Self {
        match (self, healthy) {
            (_, false) => Serving::Down,
            (Serving::Ok, true) => Serving::Ok,
            (Serving::Down, true) => Serving::Held { since_ms: now_ms }.step(true, recovery, now_ms),
            (Serving::Held { since_ms }, true) => match recovery {
                Recovery::Auto => Serving::Ok,
                Recovery::After(seconds) if now_ms >= hold_ends_ms(since_ms, seconds) => Serving::Ok,
                _ => self,
            },
        }
    }

    /// The state that everybody sees, with the operator's switch on top.
    pub fn under(self, admin: Admin) -> PoolState {
        match (admin, self) {
            (Admin::Off, _) => PoolState::Off,
            (Admin::Drain, _) => PoolState::Drain,
            (Admin::On, Serving::Ok) => PoolState::Ok,
            (Admin::On, Serving::Down) => PoolState::Down,
            (Admin::On, Serving::Held { .. }) => PoolState::Held,
        }
    }
}

pub(super) fn hold_ends_ms(since_ms: u64, seconds: u32) -> u64 {
    since_ms.saturating_add(u64::from(seconds) * 1000)
}

/// How many of `total` members have to be usable. A pool without members that count is never healthy.
pub fn needed(healthy_when: HealthyWhen, total: usize) -> usize {
    match healthy_when {
        HealthyWhen::AtLeast(n) => usize::from(n).max(1),
        HealthyWhen::Percent(percent) => (total * usize::from(percent)).div_ceil(100).max(1),
    }
}

/// Percent of its share that a pool gets `elapsed_ms` after it recovered, and the milliseconds until
/// the next step of at least one second; `None` when it is done.
pub(super) fn ramp(ramp_seconds: u32, elapsed_ms: u64) -> (u8, Option<u64>) {
    let whole_ms = u64::from(ramp_seconds) * 1000;
    if elapsed_ms >= whole_ms {
        return (100, None);
    }
    let percent = 1 + elapsed_ms * 99 / whole_ms;
    let next_percent_ms = (percent * whole_ms).div_ceil(99);
    let wait_ms = (next_percent_ms - elapsed_ms).max(1000).min(whole_ms - elapsed_ms);
    (percent as u8, Some(wait_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_decides_when_a_pool_serves_again() {
        let held = |since_ms| Serving::Held { since_ms };
        let table = [
            (Serving::Ok, true, Recovery::Manual, 5000, Serving::Ok),
            (Serving::Ok, false, Recovery::Auto, 5000, Serving::Down),
            (Serving::Down, false, Recovery::Auto, 5000, Serving::Down),
            (Serving::Down, true, Recovery::Auto, 5000, Serving::Ok),
            (Serving::Down, true, Recovery::After(60), 5000, held(5000)),
            (Serving::Down, true, Recovery::After(0), 5000, Serving::Ok),
            (Serving::Down, true, Recovery::Manual, 5000, held(5000)),
            (held(5000), true, Recovery::After(60), 64_999, held(5000)),
            (held(5000), true, Recovery::After(60), 65_000, Serving::Ok),
            (held(5000), false, Recovery::After(60), 65_000, Serving::Down),
            (held(5000), true, Recovery::Manual, 900_000_000, held(5000)),
            (held(5000), false, Recovery::Manual, 6000, Serving::Down),
            (held(5000), true, Recovery::Auto, 6000, Serving::Ok),
        ];
        for (before, healthy, recovery, now_ms, after) in table {
            assert_eq!(before.step(healthy, recovery, now_ms), after, "{before:?} {healthy} {recovery}");
        }
    }

    #[test]
    fn the_switch_lies_on_top_of_health() {
        let all = [Serving::Ok, Serving::Down, Serving::Held { since_ms: 1 }];
        assert!(all.iter().all(|serving| serving.under(Admin::Off) == PoolState::Off));
        assert!(all.iter().all(|serving| serving.under(Admin::Drain) == PoolState::Drain));
        assert_eq!(all.map(|serving| serving.under(Admin::On)), [PoolState::Ok, PoolState::Down, PoolState::Held]);
    }

    #[test]
    fn healthy_when_rounds_up_and_asks_for_at_least_one() {
        let table = [
            (HealthyWhen::AtLeast(2), 5, 2),
            (HealthyWhen::Percent(50), 3, 2),
            (HealthyWhen::Percent(50), 4, 2),
            (HealthyWhen::Percent(100), 7, 7),
            (HealthyWhen::Percent(1), 3, 1),
            (HealthyWhen::Percent(50), 0, 1),
        ];
        for (healthy_when, total, expected) in table {
            assert_eq!(needed(healthy_when, total), expected, "{healthy_when} of {total}");
        }
    }

    #[test]
    fn a_ramp_grows_from_1_to_100_with_at_most_a_step_a_second() {
        for seconds in [1, 7, 60, 600, 86_400] {
            let (mut elapsed_ms, mut last, mut steps) = (0, 0, 0);
            loop {
                let (percent, wait_ms) = ramp(seconds, elapsed_ms);
                assert!(percent > last, "{seconds} s: {last} % then {percent} % at {elapsed_ms} ms");
                last = percent;
                let Some(wait_ms) = wait_ms else { break };
                assert!(wait_ms >= 1000 || elapsed_ms + wait_ms == u64::from(seconds) * 1000);
                elapsed_ms += wait_ms;
                steps += 1;
            }
            assert_eq!((last, elapsed_ms), (100, u64::from(seconds) * 1000));
            assert!(steps <= seconds.min(100), "{seconds} s took {steps} steps");
        }
        assert_eq!(ramp(60, 0).0, 1);
        assert_eq!(ramp(60, 30_000).0, 50);
        assert_eq!(ramp(0, 0), (100, None));
    }
}
