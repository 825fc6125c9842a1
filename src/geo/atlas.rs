//! The static tables in `geo-data/`: countries and subdivisions with their names and points.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::model::{Continent, Country, Point, Subdivision};

/// One country or territory of ISO 3166-1, or Kosovo as `XK`.
#[derive(Debug, Clone, PartialEq)]
pub struct CountryFacts {
    pub code: Country,
    pub name: String,
    pub name_ko: String,
    pub continent: Continent,
    /// Where its people live: the population-weighted mean of its cities, or else the middle of the land.
    pub point: Point,
}

/// One subdivision of ISO 3166-2; only the countries whose steering needs it are listed.
#[derive(Debug, Clone, PartialEq)]
pub struct SubdivisionFacts {
    pub code: Subdivision,
    pub name: String,
    pub point: Point,
}

/// All countries, by code.
pub fn countries() -> &'static [CountryFacts] {
    &COUNTRIES
}

/// `None` for codes that are no country, such as `EU`, `AP`, `XX` or `ZZ`.
pub fn country(code: Country) -> Option<&'static CountryFacts> {
    let at = COUNTRIES.binary_search_by_key(&code, |facts| facts.code).ok()?;
    COUNTRIES.get(at)
}

/// All subdivisions that ship, by code.
pub fn subdivisions() -> &'static [SubdivisionFacts] {
    &SUBDIVISIONS
}

pub fn subdivision(code: Subdivision) -> Option<&'static SubdivisionFacts> {
    let at = SUBDIVISIONS.binary_search_by_key(&code, |facts| facts.code).ok()?;
    SUBDIVISIONS.get(at)
}

/// The subdivision of a country by its English name, for databases that give names only.
pub fn subdivision_named(country: Country, name: &str) -> Option<&'static SubdivisionFacts> {
    let at = *SUBDIVISION_NAMES.get(&(country, name.to_lowercase()))?;
    SUBDIVISIONS.get(at)
}

static COUNTRIES: LazyLock<Vec<CountryFacts>> = LazyLock::new(|| {
    let mut all = rows(include_str!("../../geo-data/countries.csv"), |row| {
        Some(CountryFacts {
            code: row.text("alpha2").parse().ok()?,
            name: row.text("name").to_owned(),
            name_ko: row.text("name_ko").to_owned(),
            continent: row.text("continent").parse().ok()?,
            point: row.point("pop_lat", "pop_lon").or_else(|| row.point("geo_lat", "geo_lon"))?,
        })
    });
    all.sort_by_key(|facts| facts.code);
    all
});

static SUBDIVISIONS: LazyLock<Vec<SubdivisionFacts>> = LazyLock::new(|| {
    let mut all = rows(include_str!("../../geo-data/subdivisions.csv"), |row| {
        Some(SubdivisionFacts {
            code: row.text("code").parse().ok()?,
            name: row.text("name").to_owned(),
            point: row.point("lat", "lon")?,
        })
    });
    all.sort_by_key(|facts| facts.code);
    all
});

static SUBDIVISION_NAMES: LazyLock<HashMap<(Country, String), usize>> = LazyLock::new(|| {
    let named = SUBDIVISIONS.iter().enumerate();
    named.map(|(at, facts)| ((facts.code.country, facts.name.to_lowercase()), at)).collect()
});

struct Row<'a> {
    headers: &'a csv::StringRecord,
    fields: csv::StringRecord,
}

impl Row<'_> {
    fn text(&self, header: &str) -> &str {
        let column = self.headers.iter().position(|name| name == header);
        column.and_then(|column| self.fields.get(column)).unwrap_or_default()
    }

    fn point(&self, lat: &str, lon: &str) -> Option<Point> {
        Some(Point { lat: self.text(lat).parse().ok()?, lon: self.text(lon).parse().ok()? })
    }
}

/// Reads by header name, so that a table may gain columns. A test holds every row to be readable.
fn rows<T>(text: &str, read: impl Fn(Row) -> Option<T>) -> Vec<T> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().cloned().unwrap_or_default();
    reader.records().filter_map(|fields| read(Row { headers: &headers, fields: fields.ok()? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_that_ships_is_read() {
        let lines = |text: &str| text.lines().filter(|line| !line.is_empty()).count() - 1;
        assert_eq!(countries().len(), lines(include_str!("../../geo-data/countries.csv")));
        assert_eq!(subdivisions().len(), lines(include_str!("../../geo-data/subdivisions.csv")));
    }

    #[test]
    fn codes_that_are_no_country_are_not_found() {
        for code in ["EU", "AP", "XX", "ZZ", "AC", "UK"] {
            assert_eq!(country(code.parse().unwrap()), None, "{code}");
        }
        assert_eq!(country("KR".parse().unwrap()).unwrap().continent, Continent::AS);
    }

    #[test]
    fn subdivisions_are_found_by_name_in_their_country_only() {
        let canada: Country = "CA".parse().unwrap();
        assert_eq!(subdivision_named(canada, "ontario").unwrap().code.to_string(), "CA-ON");
        assert_eq!(subdivision_named(canada, "California"), None);
    }
}
