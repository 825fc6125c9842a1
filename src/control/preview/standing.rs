//! Health as it would be right after a change: endpoints as it sets them, and pools that it takes down or switches.

use std::sync::Arc;

use super::Shortfall;
use crate::health::{HealthTable, PoolState, Standing};
use crate::model::{Admin, Model};

/// The table with the change, and the pools that serve now and are down by nothing but the change.
pub fn after(before: &Model, after: &Model, health: &HealthTable) -> (HealthTable, Vec<Shortfall>) {
    let mut then = health.foresee(before, after);
    let mut shortfalls = Vec::new();
    for (id, pool) in &after.pools {
        let was = before.pools.get(id);
        let standing = then.standing(pool);
        let state = match pool.admin {
            Admin::Drain => PoolState::Drain,
            Admin::Off => PoolState::Off,
            Admin::On if standing.is_short() => PoolState::Down,
            Admin::On => PoolState::Ok,
        };
        if pool.admin == was.map_or(Admin::On, |was| was.admin) {
            // Not switched: it stays what it is, but for what the change takes down.
            let serves = health.pools.get(id).is_none_or(|known| known.state == PoolState::Ok);
            let was_short = was.is_some_and(|was| health.standing(was).is_short());
            if state != PoolState::Down || !serves || was_short {
                continue;
            }
            // A new pool takes nothing from anybody.
            if was.is_some() {
                let Standing { healthy, total, needed } = standing;
                shortfalls.push(Shortfall { pool: id.to_string(), healthy, total, needed });
            }
        }
        Arc::make_mut(then.pools.entry(id.clone()).or_default()).state = state;
    }
    (then, shortfalls)
}
