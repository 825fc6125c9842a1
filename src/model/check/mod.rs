//! From a draft to a checked model: edits in, every error at once out. This file reads and applies;
//! what must hold between entities is checked by the files beside it.

mod apply;
mod colours;
mod cover;
mod deletion;
mod document;
mod hosts;
mod index;
mod links;
mod names;
mod policies;
mod serial;
mod tested;
mod zones;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FieldError, Model, RecordKey, builtin};
use apply::Draft;

pub(in crate::model) use serial::is_newer;

/// The kinds of entity, by the word of their collection in URLs and files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Zones,
    Records,
    Regions,
    Monitors,
    Endpoints,
    Pools,
    Policies,
    Tests,
}

impl Kind {
    /// In the order in which entities can be created one after the other.
    pub const ALL: [Kind; 8] = [
        Kind::Zones,
        Kind::Records,
        Kind::Regions,
        Kind::Monitors,
        Kind::Endpoints,
        Kind::Pools,
        Kind::Policies,
        Kind::Tests,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Zones => "zones",
            Kind::Records => "records",
            Kind::Regions => "regions",
            Kind::Monitors => "monitors",
            Kind::Endpoints => "endpoints",
            Kind::Pools => "pools",
            Kind::Policies => "policies",
            Kind::Tests => "tests",
        }
    }

    /// One of the kind, as a sentence names it.
    pub fn singular(self) -> &'static str {
        match self {
            Kind::Zones => "zone",
            Kind::Records => "record set",
            Kind::Regions => "region",
            Kind::Monitors => "monitor",
            Kind::Endpoints => "endpoint",
            Kind::Pools => "pool",
            Kind::Policies => "policy",
            Kind::Tests => "test",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            format!("{text:?} is not a kind of entity; use one of {}", Kind::ALL.map(Kind::as_str).join(", "))
        })
    }
}

/// One wanted change: the whole entity as typed, or its deletion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Edit {
    pub kind: Kind,
    /// For records `zone/name/TYPE`, the name relative to the zone.
    pub id: String,
    /// `None` deletes.
    pub value: Option<Value>,
}

/// One change that a check found to make a difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Change {
    pub kind: Kind,
    pub id: String,
    pub before: Option<Value>,
    /// A zone of which only the serial moved keeps its `rev`, so that nobody's edit of it conflicts.
    pub after: Option<Value>,
}

/// A draft that passed every check.
#[derive(Debug, Clone)]
pub struct Checked {
    /// `revision` is one more than that of the model it started from.
    pub model: Model,
    pub changes: Vec<Change>,
    /// Worth a look, no reason to refuse. Only about what the edits touch.
    pub warnings: Vec<FieldError>,
}

/// What the edits made different.
#[derive(Debug, Default)]
struct Touched {
    /// All but records.
    entities: BTreeSet<(Kind, Arc<str>)>,
    records: BTreeSet<RecordKey>,
}

impl Touched {
    fn has(&self, kind: Kind, id: &str) -> bool {
        // A look-up by `&str` inside a tuple is not possible without a copy of the id.
        self.entities.contains(&(kind, id.into()))
    }
}

impl Model {
    /// Applies `edits` together and checks everything that they can have touched. Nothing is changed
    /// on error.
    pub fn check(&self, edits: &[Edit]) -> Result<Checked, Vec<FieldError>> {
        let mut draft = Draft::new(self, self.revision + 1);
        draft.apply(edits);
        colours::choose(&mut draft.model);
        links::check(&mut draft);
        hosts::check(&mut draft);
        zones::check(&mut draft);
        names::check(&mut draft);
        let affected = links::affected_policies(&draft);
        policies::check(&mut draft, &affected);
        tested::check(&mut draft);
        serial::advance(&mut draft, &affected);
        if !draft.errors.is_empty() {
            return Err(draft.errors);
        }
        let changes = draft.changes();
        Ok(Checked { model: draft.model, changes, warnings: draft.warnings })
    }

    /// Rebuilds the model of `revision` from the JSON texts that a store kept. What was checked when it was published
    /// is not checked against newer rules: those apply to the next edit.
    pub fn load(
        revision: u64,
        entities: impl IntoIterator<Item = (Kind, String, Arc<str>)>,
    ) -> Result<Model, Vec<FieldError>> {
        let empty = Model::default();
        let mut draft = Draft::new(&empty, revision);
        draft.load(entities);
        colours::choose(&mut draft.model);
        if draft.errors.is_empty() { Ok(draft.model) } else { Err(draft.errors) }
    }

    /// A model of nothing but what is built in.
    pub fn empty() -> Model {
        Model { regions: builtin::regions(), ..Model::default() }
    }
}

#[cfg(test)]
mod tests;
