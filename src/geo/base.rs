//! One or two geo databases, decoded once into sorted ranges.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::OnceLock;

use super::census::Census;
use super::cities::{City, cities};
use super::inside;
use super::mmdb::{self, Contents, NO_RECORD};
use super::ranges::{Ranges, intersect};
use super::sample::Sample;
use super::who::Clients;
use crate::model::{Continent, Country, Model, Place, Subdivision};

/// The least share of networks that must have a country, or in an ASN database an AS number.
const USABLE_PERCENT: f64 = 80.0;

/// What was found in a database file.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct DatabaseInfo {
    /// What the file calls itself, such as `GeoLite2-Country`.
    pub kind: String,
    /// Unix seconds.
    pub built: u64,
    pub sha256: String,
    pub networks: u64,
    /// Percent of the networks with a record that hold the field.
    pub country_percent: f64,
    pub subdivision_percent: f64,
    pub point_percent: f64,
    pub asn_percent: f64,
}

/// Why a file was not taken: what is wrong and what would be right.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal(pub String);

/// Ranges of addresses with the same place. Immutable.
#[derive(Debug)]
pub struct Base {
    databases: Vec<DatabaseInfo>,
    v4: Ranges,
    v6: Ranges,
    /// By the class of a range; the first is the unknown place.
    places: Vec<Place>,
    census: OnceLock<Census>,
    cities: OnceLock<Vec<Clients>>,
    pub(super) one_of_each: OnceLock<Vec<Sample>>,
}

impl Default for Base {
    fn default() -> Self {
        Base {
            databases: Vec::new(),
            v4: Ranges::of(NO_RECORD),
            v6: Ranges::of(NO_RECORD),
            places: vec![Place::default()],
            census: OnceLock::new(),
            cities: OnceLock::new(),
            one_of_each: OnceLock::new(),
        }
    }
}

impl Base {
    /// Decodes the location database and, where there is one, an ASN database over it.
    pub fn from_mmdb(location: Vec<u8>, asn: Option<Vec<u8>>) -> Result<Base, Refusal> {
        let location = mmdb::read(location)?;
        refuse_unusable(&location, location.info.country_percent.max(location.info.asn_percent), "country")?;
        let asn = asn.map(mmdb::read).transpose()?;
        let Some(asn) = asn else {
            let mut classes = Classes::new(&location, None);
            let records = 0..location.places.len() as u32;
            let of_record: Vec<u32> = records.map(|record| classes.of(record, NO_RECORD)).collect();
            let class = |ranges: &Ranges| {
                Ranges::collect(ranges.iter().map(|(start, record)| (start, of_record[record as usize])))
            };
            let (v4, v6) = (class(&location.v4), class(&location.v6));
            let (places, databases) = (classes.places, vec![location.info]);
            return Ok(Base { v4, v6, places, databases, ..Base::default() });
        };
        refuse_unusable(&asn, asn.info.asn_percent, "AS number")?;
        let mut classes = Classes::new(&location, Some(&asn));
        let mut class = |a: &Ranges, b: &Ranges| {
            let both = intersect(a, b).into_iter();
            Ranges::collect(both.map(|(start, location, asn)| (start, classes.of(location, asn))))
        };
        let (v4, v6) = (class(&location.v4, &asn.v4), class(&location.v6, &asn.v6));
        let (places, databases) = (classes.places, vec![location.info, asn.info]);
        Ok(Base { v4, v6, places, databases, ..Base::default() })
    }

    /// Without any database: every client is unknown.
    pub fn empty() -> Base {
        Base::default()
    }

    /// The location database, then the ASN database.
    pub fn databases(&self) -> &[DatabaseInfo] {
        &self.databases
    }

    /// The place of an address, and the length of the largest network around it with that place, in
    /// the family of the address as given.
    pub fn place(&self, address: IpAddr) -> (&Place, u8) {
        let (address, offset) = inside::unwrap(address);
        let (class, length) = match address {
            IpAddr::V4(v4) => self.v4.find(u64::from(v4.to_bits()) << 32),
            IpAddr::V6(v6) => self.v6.find((v6.to_bits() >> 64) as u64),
        };
        (&self.places[class as usize], length + offset)
    }

    /// How many addresses each place has.
    pub fn census(&self) -> &Census {
        self.census.get_or_init(|| Census::of(self))
    }

    /// The clients of each of `cities()`, in their order.
    pub fn cities(&self) -> &[Clients] {
        let read =
            |city: &City| Clients::read(city.name, self, &Model::default(), None).unwrap_or_else(|_| Clients::nobody());
        self.cities.get_or_init(|| cities().iter().map(read).collect())
    }

    pub(super) fn v4(&self) -> &Ranges {
        &self.v4
    }

    pub(super) fn v6(&self) -> &Ranges {
        &self.v6
    }

    /// The distinct places, by class; the first is the unknown one.
    pub fn places(&self) -> &[Place] {
        &self.places
    }
}

fn refuse_unusable(contents: &Contents, percent: f64, wanted: &str) -> Result<(), Refusal> {
    if percent >= USABLE_PERCENT {
        return Ok(());
    }
    let Contents { info, fields, .. } = contents;
    Err(Refusal(format!(
        "only {percent:.1} % of the networks in this {:?} have a known {wanted} (fields found: {fields}); \
         use a database whose records have one, such as GeoLite2, DB-IP or IPinfo",
        info.kind
    )))
}

/// Two places are one class when all their parts are equal, to the bit.
type Identity = (Option<Country>, Option<Continent>, Vec<Subdivision>, Option<String>, Option<[u64; 2]>, Option<u32>);

/// Numbers the distinct places of one or two databases.
struct Classes<'a> {
    location: &'a Contents,
    asn: Option<&'a Contents>,
    of_records: HashMap<(u32, u32), u32>,
    of_places: HashMap<Identity, u32>,
    places: Vec<Place>,
    last: Option<((u32, u32), u32)>,
}

impl<'a> Classes<'a> {
    fn new(location: &'a Contents, asn: Option<&'a Contents>) -> Self {
        let mut classes = Classes {
            location,
            asn,
            of_records: HashMap::new(),
            of_places: HashMap::new(),
            places: Vec::new(),
            last: None,
        };
        classes.of(NO_RECORD, NO_RECORD);
        classes
    }

    fn of(&mut self, location: u32, asn: u32) -> u32 {
        let records = (location, asn);
        if let Some((_, class)) = self.last.filter(|(last, _)| *last == records) {
            return class;
        }
        let class = match self.of_records.get(&records) {
            Some(class) => *class,
            None => self.number(records),
        };
        self.last = Some((records, class));
        class
    }

    fn number(&mut self, records: (u32, u32)) -> u32 {
        let part = |contents: &Contents, class: u32| contents.places.get(class as usize).cloned().unwrap_or_default();
        let mut place = part(self.location, records.0);
        if let Some(asn) = self.asn {
            place.asn = part(asn, records.1).asn.or(place.asn);
        }
        let Place { country, continent, subdivisions, city, point, asn } = place.clone();
        let point = point.map(|point| [point.lat.to_bits(), point.lon.to_bits()]);
        let next = self.places.len() as u32;
        let identity = (country, continent, subdivisions, city, point, asn);
        let class = *self.of_places.entry(identity).or_insert(next);
        if class == next {
            self.places.push(place);
        }
        self.of_records.insert(records, class);
        class
    }
}

#[cfg(test)]
pub mod tests;
