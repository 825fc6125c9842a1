//! What survives a restart, as keys and JSON values: last states, forced states, switches, holds and
//! incidents. Streaks, measurements and load begin anew.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use super::pools::PoolRecord;
use super::stream::Stream;
use super::{Family, Health, Target};
use crate::model::{Endpoint, Id, Pool};

/// One stored value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Incidents,
    Target(Target),
    Forced(Id<Endpoint>, Family),
    Pool(Id<Pool>),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Incidents => f.write_str("incidents"),
            Key::Target(target) => write!(f, "targets/{target}"),
            Key::Forced(endpoint, family) => write!(f, "forced/{endpoint}/{family}"),
            Key::Pool(pool) => write!(f, "pools/{pool}"),
        }
    }
}

impl Key {
    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            ["incidents"] => Some(Key::Incidents),
            ["targets", monitor, endpoint, family] => Some(Key::Target(Target {
                monitor: monitor.parse().ok()?,
                endpoint: endpoint.parse().ok()?,
                family: parse_family(family)?,
            })),
            ["forced", endpoint, family] => Some(Key::Forced(endpoint.parse().ok()?, parse_family(family)?)),
            ["pools", pool] => Some(Key::Pool(pool.parse().ok()?)),
            _ => None,
        }
    }
}

fn parse_family(word: &str) -> Option<Family> {
    serde_json::from_value(word.into()).ok()
}

impl Health {
    /// Everything to keep over a restart.
    pub fn stored(&self) -> Vec<(String, Value)> {
        let targets = self.streams.keys().cloned().map(Key::Target);
        let forced = self.forced.keys().map(|(endpoint, family)| Key::Forced(endpoint.clone(), *family));
        let pools = self.records.keys().cloned().map(Key::Pool);
        let keys = std::iter::once(Key::Incidents).chain(targets).chain(forced).chain(pools);
        keys.filter_map(|key| Some((key.to_string(), self.value(&key)?))).collect()
    }

    /// What changed since the last call; `None` is to be deleted.
    pub fn take_unsaved(&mut self) -> Vec<(String, Option<Value>)> {
        let keys = std::mem::take(&mut self.unsaved);
        keys.into_iter().map(|key| (key.to_string(), self.value(&key))).collect()
    }

    fn value(&self, key: &Key) -> Option<Value> {
        match key {
            Key::Incidents => Some(json!(self.incidents)),
            Key::Target(target) => serde_json::to_value(&self.streams.get(target)?.kept).ok(),
            Key::Forced(endpoint, family) => self.forced.get(&(endpoint.clone(), *family)).map(|state| json!(state)),
            Key::Pool(pool) => serde_json::to_value(&self.records.get(pool)?.kept).ok(),
        }
    }

    /// Takes one stored value over; what cannot be read counts as never known.
    pub(super) fn restore(&mut self, key: &str, value: &Value, now_ms: u64) {
        match Key::parse(key) {
            Some(Key::Incidents) => self.incidents = value.as_u64().unwrap_or(0),
            Some(Key::Target(target)) => {
                if let Ok(kept) = serde_json::from_value(value.clone()) {
                    self.streams.insert(target, Stream::restored(kept));
                }
            }
            Some(Key::Forced(endpoint, family)) => {
                if let Ok(state) = serde_json::from_value(value.clone()) {
                    self.forced.insert((endpoint, family), state);
                }
            }
            Some(Key::Pool(pool)) => {
                if let Ok(kept) = serde_json::from_value(value.clone()) {
                    self.records.insert(pool, PoolRecord::restored(kept, now_ms));
                }
            }
            None => {}
        }
    }

    /// Drops all that is no longer configured.
    pub(super) fn forget(&mut self) {
        let model = self.model.clone();
        let has = |endpoint: &Id<Endpoint>, family: Family| {
            model.endpoints.get(endpoint).is_some_and(|known| super::Address::of(known, family).is_some())
        };
        let unsaved = &mut self.unsaved;
        self.forced.retain(|(endpoint, family), _| {
            let keep = has(endpoint, *family);
            if !keep {
                unsaved.insert(Key::Forced(endpoint.clone(), *family));
            }
            keep
        });
        self.records.retain(|pool, _| {
            let keep = model.pools.contains_key(pool);
            if !keep {
                unsaved.insert(Key::Pool(pool.clone()));
            }
            keep
        });
        self.wakes.retain(|(_, pool)| model.pools.contains_key(pool));
        let (endpoints, pools) = (self.table.endpoints.len(), self.table.pools.len());
        self.table.pools.retain(|pool, _| model.pools.contains_key(pool));
        self.table.endpoints.retain(|endpoint, _| model.endpoints.contains_key(endpoint));
        for (endpoint, health) in &mut self.table.endpoints {
            if health.families.keys().any(|family| !has(endpoint, *family)) {
                Arc::make_mut(health).families.retain(|family, _| has(endpoint, *family));
            }
        }
        if (endpoints, pools) != (self.table.endpoints.len(), self.table.pools.len()) {
            self.generation += 1;
        }
    }
}
