//! The record of any vendor → place. Fields are found by their path; the type that a file claims is not asked.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::atlas;
use crate::model::{Continent, Country, Place, Point, Subdivision};

/// The keys on the paths below; what other keys hold is skipped, such as names in eight languages.
const KEYS: [&str; 22] = [
    "asn",
    "autonomous_system_number",
    "city",
    "code",
    "continent",
    "continent_code",
    "country",
    "country_code",
    "en",
    "iso_code",
    "latitude",
    "lat",
    "location",
    "longitude",
    "lng",
    "lon",
    "names",
    "registered_country",
    "state1",
    "state2",
    "subdivisions",
    "traits",
];
/// `subdivisions[0].names.en` is the deepest path.
const MAX_DEPTH: u8 = 5;
/// Great Britain has the most levels, two.
const MAX_SUBDIVISIONS: usize = 4;
/// Field names listed when a schema is unknown.
const MAX_FIELDS: usize = 24;
/// The longest city name kept, in bytes; the longest real one has 85.
const MAX_CITY: usize = 120;

/// What a record holds, as far as a path leads there.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Value<'a> {
    #[default]
    Skipped,
    Text(&'a str),
    Number(f64),
    List(Vec<Value<'a>>),
    Map(Vec<(&'a str, Value<'a>)>),
}

impl<'a> Value<'a> {
    fn at(&self, path: &[&str]) -> Option<&Value<'a>> {
        path.iter().try_fold(self, |value, key| match value {
            Value::Map(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        })
    }

    fn text(&self, path: &[&str]) -> Option<&'a str> {
        match self.at(path)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn number(&self, path: &[&str]) -> Option<f64> {
        match self.at(path)? {
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// What the record says, nothing added.
pub fn place(record: &Value) -> Place {
    let country = country(record);
    Place {
        country,
        continent: continent(record),
        subdivisions: country.map(|country| subdivisions(record, country)).unwrap_or_default(),
        city: city(record),
        point: point(record),
        asn: asn(record),
    }
}

/// The continent and the point from the static tables, where the record has none.
pub fn complete(mut place: Place) -> Place {
    let facts = place.country.and_then(atlas::country);
    place.continent = place.continent.or(facts.map(|facts| facts.continent));
    let subdivision = place.subdivisions.first().and_then(|code| atlas::subdivision(*code));
    place.point = place.point.or(subdivision.map(|facts| facts.point)).or(facts.map(|facts| facts.point));
    place
}

/// The first path that leads to a country. `EU`, `AP`, `ZZ`, `A1` and their like are none.
fn country(record: &Value) -> Option<Country> {
    let paths: [&[&str]; 4] =
        [&["country", "iso_code"], &["country_code"], &["country"], &["registered_country", "iso_code"]];
    let codes = paths.into_iter().filter_map(|path| record.text(path)?.parse().ok());
    codes.into_iter().find(|code| atlas::country(*code).is_some())
}

fn continent(record: &Value) -> Option<Continent> {
    let paths: [&[&str]; 3] = [&["continent", "code"], &["continent_code"], &["continent"]];
    paths.into_iter().find_map(|path| record.text(path)?.parse().ok())
}

fn subdivisions(record: &Value, country: Country) -> Vec<Subdivision> {
    let named = |name: &str| atlas::subdivision_named(country, name).map(|facts| facts.code);
    let mut found: Vec<Subdivision> = Vec::new();
    if let Some(Value::List(items)) = record.at(&["subdivisions"]) {
        let read = |item: &Value| match item.text(&["iso_code"]) {
            Some(code) => format!("{country}-{code}").parse().ok(),
            None => named(item.text(&["names", "en"])?),
        };
        found.extend(items.iter().filter_map(read).take(MAX_SUBDIVISIONS));
    }
    if found.is_empty() {
        found.extend(["state1", "state2"].into_iter().filter_map(|key| named(record.text(&[key])?)));
    }
    found
}

fn city(record: &Value) -> Option<String> {
    let name = record.text(&["city", "names", "en"]).or_else(|| record.text(&["city"]))?;
    (!name.is_empty() && name.len() <= MAX_CITY).then(|| name.to_owned())
}

fn point(record: &Value) -> Option<Point> {
    let pair = |lat: &[&str], lon: &[&str]| Some(Point { lat: record.number(lat)?, lon: record.number(lon)? });
    let point = pair(&["location", "latitude"], &["location", "longitude"])
        .or_else(|| pair(&["latitude"], &["longitude"]))
        .or_else(|| pair(&["lat"], &["lng"]))
        .or_else(|| pair(&["lat"], &["lon"]))?;
    (point.lat.abs() <= 90.0 && point.lon.abs() <= 180.0).then_some(point)
}

/// A number, or text such as `AS15169`. Zero stands for none.
fn asn(record: &Value) -> Option<u32> {
    let paths: [&[&str]; 3] = [&["autonomous_system_number"], &["asn"], &["traits", "autonomous_system_number"]];
    paths.into_iter().find_map(|path| match record.at(path)? {
        Value::Number(number) if *number >= 1.0 && *number <= f64::from(u32::MAX) => Some(*number as u32),
        Value::Text(text) => text.strip_prefix("AS").unwrap_or(text).parse().ok().filter(|asn| *asn != 0),
        _ => None,
    })
}

/// How many networks hold what.
#[derive(Debug, Default)]
pub struct Seen {
    networks: u64,
    pub country: u64,
    pub subdivision: u64,
    pub point: u64,
    pub asn: u64,
    fields: BTreeSet<String>,
}

impl Seen {
    pub fn count(&mut self, place: &Place, record: &Value, networks: u64) {
        self.networks += networks;
        for (holds, counter) in [
            (place.country.is_some(), &mut self.country),
            (!place.subdivisions.is_empty(), &mut self.subdivision),
            (place.point.is_some(), &mut self.point),
            (place.asn.is_some(), &mut self.asn),
        ] {
            *counter += if holds { networks } else { 0 };
        }
        if let Value::Map(fields) = record {
            for (name, _) in fields {
                if self.fields.len() < MAX_FIELDS && !self.fields.contains(*name) {
                    self.fields.insert(name.chars().take(MAX_CITY).collect());
                }
            }
        }
    }

    pub fn percent(&self, networks: u64) -> f64 {
        if self.networks == 0 { 0.0 } else { 100.0 * networks as f64 / self.networks as f64 }
    }

    pub fn fields(&self) -> String {
        let names: Vec<&str> = self.fields.iter().map(String::as_str).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }
}

impl<'de> serde::Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Reading { depth: 0 }.deserialize(deserializer)
    }
}

/// Reads a value at some depth; below the deepest path everything is skipped.
#[derive(Clone, Copy)]
struct Reading {
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for Reading {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        if self.depth > MAX_DEPTH {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Value::Skipped);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value of an MMDB record")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(text))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }

    fn visit_f32<E>(self, number: f32) -> Result<Value<'de>, E> {
        Ok(Value::Number(f64::from(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Value<'de>, E> {
        Ok(Value::Skipped)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Skipped)
    }

    fn visit_borrowed_bytes<E>(self, _: &'de [u8]) -> Result<Value<'de>, E> {
        Ok(Value::Skipped)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Reading { depth: self.depth + 1 })? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = entries.next_key::<&'de str>()? {
            let value = if KEYS.contains(&key) {
                entries.next_value_seed(Reading { depth: self.depth + 1 })?
            } else {
                entries.next_value::<IgnoredAny>().map(|_| Value::Skipped)?
            };
            fields.push((key, value));
        }
        Ok(Value::Map(fields))
    }
}
