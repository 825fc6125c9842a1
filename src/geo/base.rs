//! One or two geo databases, decoded once into sorted ranges.

use std::net::IpAddr;

use crate::model::Place;

/// What was found in a database file.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct DatabaseInfo {
    pub kind: String,
    /// Unix seconds.
    pub built: u64,
    pub sha256: String,
    pub networks: u64,
    /// Percent of sampled records that hold the field.
    pub country_percent: f64,
    pub subdivision_percent: f64,
    pub point_percent: f64,
    pub asn_percent: f64,
}

/// Why a file was not taken: what is wrong and what would be right.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal(pub String);

/// Ranges of addresses with the same database record. Immutable.
#[derive(Debug, Default)]
pub struct Base {}

impl Base {
    /// Decodes the location database and, where there is one, an ASN database over it.
    pub fn from_mmdb(_location: Vec<u8>, _asn: Option<Vec<u8>>) -> Result<Base, Refusal> {
        todo!("geo helper")
    }

    /// Without any database: every client is unknown.
    pub fn empty() -> Base {
        Base::default()
    }

    pub fn databases(&self) -> &[DatabaseInfo] {
        todo!("geo helper")
    }

    /// The place of an address, and the length of the database network it was found in.
    pub fn place(&self, _address: IpAddr) -> (&Place, u8) {
        todo!("geo helper")
    }
}
