//! Health as it would be: right after a change, with endpoints as it sets them and pools that it takes down or switches;
//! and with nothing against any pool but how it is configured.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Shortfall;
use crate::health::{HealthTable, PoolState, Standing};
use crate::model::{Admin, Id, Member, Model, Pool};

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

/// The table with everything up that is configured to serve; `None` where these pools are so, whole. What was measured
/// stays: it decides who is the fastest.
pub fn all_up_unless_so(model: &Model, health: &HealthTable, pools: &BTreeSet<&Id<Pool>>) -> Option<HealthTable> {
    // Mostly nothing is wrong at all, and nothing has to be worked out.
    if is_up(model, health, &HealthTable::default(), pools) {
        return None;
    }
    let (mut well, _) = after(&Model::empty(), model, &HealthTable::default());
    for (id, known) in &health.pools {
        if known.round_trip_ms.is_some() || known.load.is_some() {
            let pool = Arc::make_mut(well.pools.entry(id.clone()).or_default());
            (pool.round_trip_ms, pool.load) = (known.round_trip_ms, known.load);
        }
    }
    (!is_up(model, health, &well, pools)).then_some(well)
}

fn is_up(model: &Model, health: &HealthTable, well: &HealthTable, pools: &BTreeSet<&Id<Pool>>) -> bool {
    pools.iter().filter_map(|id| Some((*id, model.pools.get(*id)?))).all(|(id, pool)| {
        let planned = well.pools.get(id).map_or(PoolState::Ok, |known| known.state);
        let is_down = |member: &Member| health.is_down(&member.endpoint) && !well.is_down(&member.endpoint);
        health.pools.get(id).is_none_or(|known| known.state == planned && known.ramp_percent == 100)
            && !pool.members.iter().any(is_down)
    })
}
