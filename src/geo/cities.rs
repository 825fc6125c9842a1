//! Places that everybody knows, to ask what clients there get. A database of countries answers for their
//! country, one of cities for themselves.

use crate::model::{Country, Subdivision};

/// A large city.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct City {
    pub name: &'static str,
    pub name_ko: &'static str,
    pub country: Country,
    /// ISO 3166-2, without the country, where steering by it is common.
    pub part: Option<&'static str>,
}

impl City {
    pub fn subdivision(&self) -> Option<Subdivision> {
        format!("{}-{}", self.country, self.part?).parse().ok()
    }
}

const fn city(name: &'static str, name_ko: &'static str, country: &[u8; 2], part: Option<&'static str>) -> City {
    City { name, name_ko, country: Country(*country), part }
}

/// From north-east to south-west.
pub fn cities() -> &'static [City] {
    &CITIES
}

const CITIES: [City; 20] = [
    city("Seoul", "서울", b"KR", None),
    city("Tokyo", "도쿄", b"JP", None),
    city("Hong Kong", "홍콩", b"HK", None),
    city("Singapore", "싱가포르", b"SG", None),
    city("Mumbai", "뭄바이", b"IN", None),
    city("Sydney", "시드니", b"AU", Some("NSW")),
    city("Dubai", "두바이", b"AE", None),
    city("Istanbul", "이스탄불", b"TR", None),
    city("Nairobi", "나이로비", b"KE", None),
    city("Johannesburg", "요하네스버그", b"ZA", None),
    city("Warsaw", "바르샤바", b"PL", None),
    city("Berlin", "베를린", b"DE", None),
    city("Paris", "파리", b"FR", None),
    city("London", "런던", b"GB", None),
    city("Madrid", "마드리드", b"ES", None),
    city("New York", "뉴욕", b"US", Some("NY")),
    city("Los Angeles", "로스앤젤레스", b"US", Some("CA")),
    city("Toronto", "토론토", b"CA", Some("ON")),
    city("Mexico City", "멕시코시티", b"MX", None),
    city("São Paulo", "상파울루", b"BR", None),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builtin;

    #[test]
    fn every_city_is_in_a_country_that_there_is() {
        for city in cities() {
            assert!(builtin::country(city.country).is_some(), "{}", city.name);
            assert_eq!(city.subdivision().is_some(), city.part.is_some(), "{}", city.name);
            assert!(city.subdivision().is_none_or(|part| builtin::subdivision(part).is_some()), "{}", city.name);
        }
    }
}
