//! What ships with the product: regions and the table of countries.

use super::{Continent, Country, Id, Region, Table};

pub struct CountryInfo {
    pub continent: Continent,
}

pub fn regions() -> Table<Region> {
    let mut table = Table::new();
    for continent in Continent::ALL {
        let id: Id<Region> = continent.to_string().to_ascii_lowercase().parse().expect("two letters are a slug");
        let region: Region = serde_json::from_value(
            serde_json::json!({"id": id, "name": continent.name(), "include": [format!("continent:{continent}")]}),
        )
        .expect("written here");
        table.insert(id, std::sync::Arc::new(region));
    }
    table
}

pub fn is_built_in(id: &Id<Region>) -> bool {
    regions().contains_key(id)
}

pub fn country(country: Country) -> Option<&'static CountryInfo> {
    static EU: CountryInfo = CountryInfo { continent: Continent::EU };
    static NA: CountryInfo = CountryInfo { continent: Continent::NA };
    match &country.0 {
        b"DE" | b"FR" | b"NL" | b"CH" => Some(&EU),
        b"US" | b"CA" => Some(&NA),
        _ => None,
    }
}
