//! The tables that ship with the program: countries, subdivisions and the built-in regions.
//! Parsed once, on first use. Nothing here changes at run time; what an operator adds is in the model.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use super::{Continent, Country, Id, Meta, Point, Region, Subdivision, Table, Token};

/// The tag by which lists tell the built-in regions from the operator's.
pub const TAG: &str = "built-in";

/// One row of `geo-data/countries.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct CountryInfo {
    pub code: Country,
    /// ISO 3166-1 alpha-3.
    pub alpha3: String,
    /// ISO 3166-1 numeric, the key of map outlines; 0 where ISO has given none (Kosovo).
    pub numeric: u16,
    pub name: String,
    pub name_ko: String,
    pub continent: Continent,
    /// Where the people are: "nearest" measures from here.
    pub point: Point,
    /// The middle of the area: where a map puts a dot or a label.
    pub centre: Point,
}

/// One row of `geo-data/subdivisions.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct SubdivisionInfo {
    pub code: Subdivision,
    pub name: String,
    /// Where the people are.
    pub point: Point,
}

/// Every country and territory with a code, sorted by it.
pub fn countries() -> &'static [CountryInfo] {
    &COUNTRIES
}

/// `None` for a code that ISO 3166-1 does not have, which is how pseudo codes such as `A1` are told.
pub fn country(code: Country) -> Option<&'static CountryInfo> {
    let at = COUNTRIES.binary_search_by_key(&code, |info| info.code).ok()?;
    COUNTRIES.get(at)
}

/// The states, provinces and territories of the United States, Canada and Australia, sorted by code.
pub fn subdivisions() -> &'static [SubdivisionInfo] {
    &SUBDIVISIONS
}

pub fn subdivision(code: Subdivision) -> Option<&'static SubdivisionInfo> {
    let at = SUBDIVISIONS.binary_search_by_key(&code, |info| info.code).ok()?;
    SUBDIVISIONS.get(at)
}

/// The regions that every model has; their note ends with the day whose facts they state.
pub fn regions() -> Table<Region> {
    REGIONS.clone()
}

/// A region that every model has.
pub fn region(id: &Id<Region>) -> Option<&'static Region> {
    REGIONS.get(id).map(|region| &**region)
}

pub fn is_built_in(id: &Id<Region>) -> bool {
    REGIONS.contains_key(id)
}

static COUNTRIES: LazyLock<Vec<CountryInfo>> = LazyLock::new(|| {
    let rows = rows(include_str!("../../geo-data/countries.csv")).into_iter().map(|row: CountryRow| CountryInfo {
        code: row.alpha2,
        alpha3: row.alpha3,
        numeric: row.numeric,
        name: row.name,
        name_ko: row.name_ko,
        continent: row.continent,
        point: Point { lat: row.pop_lat, lon: row.pop_lon },
        centre: Point { lat: row.geo_lat, lon: row.geo_lon },
    });
    rows.collect()
});

static SUBDIVISIONS: LazyLock<Vec<SubdivisionInfo>> = LazyLock::new(|| {
    let rows = rows(include_str!("../../geo-data/subdivisions.csv")).into_iter().map(|row: SubdivisionRow| {
        SubdivisionInfo { code: row.code, name: row.name, point: Point { lat: row.lat, lon: row.lon } }
    });
    rows.collect()
});

static REGIONS: LazyLock<Table<Region>> = LazyLock::new(|| {
    let entries: BTreeMap<String, RegionEntry> =
        toml::from_str(include_str!("../../geo-data/regions.toml")).expect("the shipped table, which tests parse");
    let regions = entries.into_iter().map(|(id, entry)| {
        let meta = Meta {
            id: id.clone(),
            name: entry.name,
            note: format!("{} As of {}.", entry.note, entry.as_of),
            tags: vec![TAG.to_owned()],
            rev: 0,
        };
        let region = Region { meta, include: entry.include, except: entry.except };
        (id.parse().expect("an id of the shipped table, which tests parse"), Arc::new(region))
    });
    regions.collect()
});

/// A row as the file has it; points are flat there, because CSV is.
#[derive(Deserialize)]
struct CountryRow {
    alpha2: Country,
    alpha3: String,
    numeric: u16,
    name: String,
    continent: Continent,
    pop_lat: f64,
    pop_lon: f64,
    geo_lat: f64,
    geo_lon: f64,
    name_ko: String,
}

#[derive(Deserialize)]
struct SubdivisionRow {
    code: Subdivision,
    name: String,
    lat: f64,
    lon: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionEntry {
    name: String,
    as_of: toml::value::Datetime,
    note: String,
    include: Vec<Token>,
    #[serde(default)]
    except: Vec<Token>,
}

fn rows<T: for<'de> Deserialize<'de>>(text: &str) -> Vec<T> {
    let rows: Result<Vec<T>, csv::Error> = csv::Reader::from_reader(text.as_bytes()).into_deserialize().collect();
    rows.expect("the shipped table, which tests parse")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The countries of a region, nested regions and continents resolved.
    fn members(id: &str) -> BTreeSet<String> {
        let region = &REGIONS[&id.parse().unwrap()];
        let resolve = |tokens: &[Token]| -> BTreeSet<String> {
            let each = tokens.iter().flat_map(|token| match token {
                Token::Country(code) => BTreeSet::from([code.to_string()]),
                Token::Continent(continent) => {
                    let inside = countries().iter().filter(|info| info.continent == *continent);
                    inside.map(|info| info.code.to_string()).collect()
                }
                Token::Region(inner) => members(inner.as_str()),
                other => panic!("{id}: {other} is neither a country, a continent nor a region"),
            });
            each.collect()
        };
        &resolve(&region.include) - &resolve(&region.except)
    }

    fn codes(text: &str) -> BTreeSet<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn union(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().flat_map(|id| members(id)).collect()
    }

    #[test]
    fn every_country_has_names_and_points_on_the_globe() {
        assert_eq!(countries().len(), 250);
        assert!(countries().windows(2).all(|pair| pair[0].code < pair[1].code), "sorted, so that look-ups find them");
        for info in countries() {
            for Point { lat, lon } in [info.point, info.centre] {
                assert!((-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon), "{}", info.code);
            }
            assert!(info.name_ko.chars().any(|c| ('가'..='힣').contains(&c)), "{}", info.code);
            assert_eq!(info.alpha3.len(), 3, "{}", info.code);
        }
        let names: BTreeSet<&str> = countries().iter().map(|info| info.name.as_str()).collect();
        let names_ko: BTreeSet<&str> = countries().iter().map(|info| info.name_ko.as_str()).collect();
        let numbers: BTreeSet<u16> = countries().iter().map(|info| info.numeric).collect();
        assert_eq!([names.len(), names_ko.len(), numbers.len()], [250; 3], "no two are called the same");
    }

    #[test]
    fn countries_are_found_by_code_and_pseudo_codes_are_none() {
        let korea = country("KR".parse().unwrap()).unwrap();
        assert_eq!((korea.name.as_str(), korea.name_ko.as_str(), korea.numeric), ("South Korea", "대한민국", 410));
        assert_eq!(country("RU".parse().unwrap()).unwrap().continent, Continent::EU);
        for code in ["EU", "AP", "XX", "ZZ"] {
            assert_eq!(country(code.parse().unwrap()), None, "{code}");
        }
    }

    #[test]
    fn subdivisions_lie_near_their_country() {
        assert_eq!(subdivisions().len(), 51 + 13 + 8);
        assert!(subdivisions().windows(2).all(|pair| pair[0].code < pair[1].code));
        for info in subdivisions() {
            let centre = country(info.code.country).unwrap().centre;
            assert!(info.point.distance_km(centre) < 6_500.0, "{}", info.code);
        }
        let ontario = subdivision("CA-ON".parse().unwrap()).unwrap();
        assert!(ontario.point.distance_km(Point { lat: 43.65, lon: -79.38 }) < 100.0, "Ontarians live near Toronto");
        assert_eq!(subdivision("CA-CA".parse().unwrap()), None);
    }

    #[test]
    fn built_in_regions_name_only_known_countries_and_regions() {
        for (id, region) in regions() {
            assert_eq!(region.meta.id, id.as_str());
            assert_eq!(region.meta.tags, [TAG]);
            assert!(!region.meta.name.is_empty() && region.meta.name.chars().count() <= 80, "{id}");
            assert!(region.meta.note.chars().count() <= 1000 && region.meta.note.contains("As of "), "{id}");
            for token in region.include.iter().chain(&region.except) {
                if let Token::Country(code) = token {
                    assert!(country(*code).is_some(), "{id} names {token}");
                }
            }
            assert!(!members(id.as_str()).is_empty());
        }
        assert!(is_built_in(&"eu".parse().unwrap()));
        assert!(!is_built_in(&"my-eu".parse().unwrap()));
    }

    #[test]
    fn treaty_regions_have_the_members_of_the_treaty() {
        let union_states = codes("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK");
        let own_codes = codes("AX GF GP MF MQ RE YT");
        assert_eq!(union_states.len(), 27);
        assert_eq!(members("eu"), &union_states | &own_codes);
        assert_eq!(&members("eea") - &members("eu"), codes("IS LI NO"));
        assert_eq!(&members("gdpr") - &members("eea"), codes("GB"));
        assert_eq!(&union_states - &members("schengen"), codes("CY IE"));
        assert_eq!(&members("schengen") - &union_states, codes("AX CH IS LI NO"));
        assert_eq!(&members("efta") - &members("eea"), codes("CH"));
        for (id, count) in [("cis", 9), ("gcc", 6), ("asean", 11), ("south-asia", 8), ("central-america", 7)] {
            assert_eq!(members(id).len(), count, "{id}");
        }
    }

    #[test]
    fn regions_that_share_a_continent_out_leave_no_gap_and_no_overlap() {
        assert_eq!(union(&["noram", "latam"]), union(&["north-america", "south-america"]));
        assert!(members("noram").is_disjoint(&members("latam")));
        assert!(members("africa").is_subset(&union(&["mena", "ssa"])));
        assert!(members("mena").is_disjoint(&members("ssa")));
        assert!(members("apac").is_disjoint(&members("mena")));
    }
}
