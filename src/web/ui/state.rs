//! How the state of pools and endpoints is shown: one word, one shape, one colour, the same on every page.

use std::collections::BTreeMap;
use std::fmt;

use crate::health::{EndpointState, Family, FamilyHealth, HealthTable, PoolState};
use crate::model::{Admin, Endpoint, Id, Model, Pool, Serve};

use super::filters::icon_html;
use super::text::{Language, Text, text};

/// The states that people see. The order is that of lists: what needs somebody first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateWord {
    Down,
    Degraded,
    /// Recovered, waits for its time or for somebody.
    Held,
    /// Watched, and nothing was heard yet or for too long.
    NoData,
    /// Watched by nothing, and answered by nobody yet.
    Unchecked,
    /// No new clients, on purpose.
    Drained,
    /// Taken out, on purpose.
    Off,
    Up,
}

impl StateWord {
    /// What needs somebody first.
    pub const ALL: [StateWord; 8] = [
        StateWord::Down,
        StateWord::Degraded,
        StateWord::Held,
        StateWord::NoData,
        StateWord::Unchecked,
        StateWord::Drained,
        StateWord::Off,
        StateWord::Up,
    ];

    pub fn word(self) -> &'static str {
        match self {
            StateWord::Down => "Down",
            StateWord::Degraded => "Degraded",
            StateWord::Held => "Held",
            StateWord::NoData => "No data",
            StateWord::Unchecked => "Not checked",
            StateWord::Drained => "Drained",
            StateWord::Off => "Off",
            StateWord::Up => "Up",
        }
    }

    pub fn icon(self) -> &'static str {
        match self {
            StateWord::Down => "octagon-x",
            StateWord::Degraded => "triangle-alert",
            StateWord::Held => "hand",
            StateWord::NoData | StateWord::Unchecked => "circle-dashed",
            StateWord::Drained => "circle-arrow-down",
            StateWord::Off => "ban",
            StateWord::Up => "circle-check",
        }
    }

    /// Of the class `st` in app.css.
    pub fn class(self) -> &'static str {
        match self {
            StateWord::Down => "bad",
            StateWord::Degraded | StateWord::Held => "warn",
            StateWord::NoData | StateWord::Unchecked | StateWord::Drained | StateWord::Off => "idle",
            StateWord::Up => "ok",
        }
    }

    /// Shape and word, as in tables.
    pub fn badge(self, language: Language) -> String {
        let word = text(self.word()).to_html(language);
        format!("<span class=\"st {}\">{}{word}</span>", self.class(), icon_html(self.icon()))
    }
}

impl fmt::Display for StateWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A pool as lists show it.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolShown {
    pub state: StateWord,
    /// Members that are up, of those enabled and with weight.
    pub up: usize,
    /// Of them, those of which nothing is known yet. They are answered as if they were up.
    pub no_data: usize,
    pub of: usize,
    pub reason: String,
    /// Unix milliseconds of the last change; 0 when it never changed.
    pub since_ms: u64,
    /// From 1, on every page.
    pub colour: usize,
}

impl PoolShown {
    /// Members that clients get.
    pub fn answering(&self) -> usize {
        self.up + self.no_data
    }

    pub fn counted(&self) -> Text {
        let counted = match self.no_data {
            0 => text("{up} of {of} up"),
            n => text("{up} of {of} up, {n} with no data").set("n", n),
        };
        counted.set("up", self.up).set("of", self.of)
    }
}

/// Every pool, by id.
pub struct PoolStates(BTreeMap<Id<Pool>, PoolShown>);

impl PoolStates {
    pub fn of(model: &Model, health: &HealthTable) -> PoolStates {
        PoolStates(model.pools.iter().map(|(id, pool)| (id.clone(), pool_shown(model, health, id, pool))).collect())
    }

    pub fn get(&self, id: &Id<Pool>) -> Option<&PoolShown> {
        self.0.get(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Id<Pool>, &PoolShown)> {
        self.0.iter()
    }
}

/// Colours that charts have.
pub const COLOURS: usize = crate::model::COLOURS as usize;

fn pool_shown(model: &Model, health: &HealthTable, id: &Id<Pool>, pool: &Pool) -> PoolShown {
    let counted = pool.members.iter().filter(|member| member.enabled && member.weight > 0);
    let states: Vec<StateWord> = counted.map(|member| endpoint_state(model, health, &member.endpoint)).collect();
    let of = states.len();
    let are = |word: StateWord| states.iter().filter(|state| **state == word).count();
    let (up, no_data) = (are(StateWord::Up), are(StateWord::NoData));
    let known = health.pools.get(id);
    let state = match (known.map(|known| known.state), pool.admin) {
        (Some(PoolState::Off), _) | (None, Admin::Off) => StateWord::Off,
        (Some(PoolState::Drain), _) | (None, Admin::Drain) => StateWord::Drained,
        (Some(PoolState::Down), _) => StateWord::Down,
        (Some(PoolState::Held), _) => StateWord::Held,
        _ if of > 0 && no_data == of => StateWord::NoData,
        _ if up + no_data < of => StateWord::Degraded,
        _ => StateWord::Up,
    };
    let (reason, since_ms) = known.map_or((String::new(), 0), |known| (known.reason.clone(), known.since_ms));
    PoolShown { state, up, no_data, of, reason, since_ms, colour: usize::from(pool.colour) }
}

/// The worst of its addresses that are watched, as answers see it.
pub fn endpoint_state(model: &Model, health: &HealthTable, id: &Id<Endpoint>) -> StateWord {
    let serve = model.endpoints.get(id).map(|endpoint| endpoint.serve);
    if serve == Some(Serve::Never) {
        return StateWord::Off;
    }
    let Some(known) = health.endpoints.get(id) else { return StateWord::Up };
    known.families.values().map(family_state).min().unwrap_or(StateWord::Up)
}

/// One address of an endpoint.
pub fn family_state(health: &FamilyHealth) -> StateWord {
    match health.state {
        EndpointState::Down => StateWord::Down,
        EndpointState::Unknown => StateWord::NoData,
        EndpointState::Up => StateWord::Up,
    }
}

/// The word of an address family.
pub fn family_word(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
        Family::Name => "Name",
    }
}
