//! From a draft to a checked model: edits in, every error at once out.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FieldError, Model};

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
}

impl Kind {
    /// In the order in which references go: what comes later may name what comes earlier.
    pub const ALL: [Kind; 7] =
        [Kind::Zones, Kind::Records, Kind::Regions, Kind::Monitors, Kind::Endpoints, Kind::Pools, Kind::Policies];

    /// The collection's word in URLs and files.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Zones => "zones",
            Kind::Records => "records",
            Kind::Regions => "regions",
            Kind::Monitors => "monitors",
            Kind::Endpoints => "endpoints",
            Kind::Pools => "pools",
            Kind::Policies => "policies",
        }
    }

    /// One of it, in sentences.
    pub fn singular(self) -> &'static str {
        match self {
            Kind::Zones => "zone",
            Kind::Records => "record set",
            Kind::Regions => "region",
            Kind::Monitors => "monitor",
            Kind::Endpoints => "endpoint",
            Kind::Pools => "pool",
            Kind::Policies => "policy",
        }
    }

    /// The name of its schema in the OpenAPI document.
    pub fn schema(self) -> &'static str {
        match self {
            Kind::Zones => "Zone",
            Kind::Records => "RecordSet",
            Kind::Regions => "Region",
            Kind::Monitors => "Monitor",
            Kind::Endpoints => "Endpoint",
            Kind::Pools => "Pool",
            Kind::Policies => "Policy",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Kind::ALL.into_iter().find(|kind| kind.word() == text).ok_or_else(|| {
            let words: Vec<&str> = Kind::ALL.into_iter().map(Kind::word).collect();
            format!("{text:?} is not a kind of entity; use one of {}", words.join(", "))
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
    pub after: Option<Value>,
}

/// A draft that passed every check.
#[derive(Debug, Clone)]
pub struct Checked {
    /// `revision` is one more than that of the model it started from.
    pub model: Model,
    pub changes: Vec<Change>,
    /// Worth a look, no reason to refuse.
    pub warnings: Vec<FieldError>,
}

impl Model {
    /// Applies `edits` together and checks the whole result. Nothing is changed on error.
    pub fn check(&self, _edits: &[Edit]) -> Result<Checked, Vec<FieldError>> {
        todo!("model helper")
    }

    /// Rebuilds the model of `revision` from what a store kept.
    pub fn load(
        _revision: u64,
        _entities: impl IntoIterator<Item = (Kind, String, Value)>,
    ) -> Result<Model, Vec<FieldError>> {
        todo!("model helper")
    }

    /// The edits that turn this model into what `document` declares: `{zones: {id: {…}}, records:
    /// [{…}], regions: {…}, …}`. What the document does not name is deleted, built-in regions aside.
    pub fn edits_to(&self, _document: &Value) -> Result<Vec<Edit>, Vec<FieldError>> {
        todo!("model helper")
    }

    /// Everything configured, in the form that `edits_to` reads.
    pub fn document(&self) -> Value {
        todo!("model helper")
    }

    /// One entity as JSON.
    pub fn entity(&self, _kind: Kind, _id: &str) -> Option<Value> {
        todo!("model helper")
    }

    /// All ids of a kind, in order.
    pub fn ids(&self, _kind: Kind) -> Vec<String> {
        todo!("model helper")
    }
}
