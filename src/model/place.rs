//! Where a client is, in the codes that geo databases and regions share.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Id, Region};

/// Gives a type its text form in JSON: `Display` out, `FromStr` in.
macro_rules! serde_as_text {
    ($($type:ty),+) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'_, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
pub(crate) use serde_as_text;

/// An ISO 3166-1 alpha-2 code in upper case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country(pub [u8; 2]);

/// The seven continents by their usual two letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Continent {
    AF,
    AN,
    AS,
    EU,
    NA,
    OC,
    SA,
}

/// The part of an ISO 3166-2 code after the dash, one to three upper-case letters or digits, zero-padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subdivision {
    pub country: Country,
    pub code: [u8; 3],
}

/// A point on the globe, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub lat: f64,
    pub lon: f64,
}

impl Point {
    /// Great-circle distance in kilometres (haversine, sphere of 6,371 km).
    pub fn distance_km(self, other: Point) -> f64 {
        let (lat1, lat2) = (self.lat.to_radians(), other.lat.to_radians());
        let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
        let a = half(other.lat - self.lat) + lat1.cos() * lat2.cos() * half(other.lon - self.lon);
        2.0 * 6371.0 * a.sqrt().min(1.0).asin()
    }
}

/// What a geo database says of an address. Every part may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    pub country: Option<Country>,
    pub continent: Option<Continent>,
    /// From the largest to the smallest, e.g. GB-ENG then GB-WBK.
    pub subdivisions: Vec<Subdivision>,
    pub city: Option<String>,
    /// From the database, or the country's population-weighted point.
    pub point: Option<Point>,
    pub asn: Option<u32>,
}

impl Place {
    /// True when the database knows nothing that steering could use.
    pub fn is_unknown(&self) -> bool {
        self.country.is_none() && self.continent.is_none() && self.asn.is_none()
    }
}

/// One typed token of a region; the bare codes collide (`NA` is a continent and Namibia).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Token {
    Continent(Continent),
    Country(Country),
    Subdivision(Subdivision),
    Asn(u32),
    Cidr(IpNet),
    Region(Id<Region>),
    /// Clients that the database does not know.
    Unknown,
}

impl FromStr for Country {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match *text.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Country([a, b])),
            _ => Err(format!("{text:?} is not a country code; use two capital letters such as DE")),
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0[0] as char, self.0[1] as char)
    }
}

impl Continent {
    pub const ALL: [Continent; 7] =
        [Continent::AF, Continent::AN, Continent::AS, Continent::EU, Continent::NA, Continent::OC, Continent::SA];

    pub fn name(self) -> &'static str {
        match self {
            Continent::AF => "Africa",
            Continent::AN => "Antarctica",
            Continent::AS => "Asia",
            Continent::EU => "Europe",
            Continent::NA => "North America",
            Continent::OC => "Oceania",
            Continent::SA => "South America",
        }
    }
}

impl FromStr for Continent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Continent::ALL
            .into_iter()
            .find(|continent| continent.to_string() == text)
            .ok_or_else(|| format!("{text:?} is not a continent; use AF, AN, AS, EU, NA, OC or SA"))
    }
}

impl fmt::Display for Continent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for Subdivision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a subdivision; use an ISO 3166-2 code such as US-CA");
        let (country, part) = text.split_once('-').ok_or_else(wrong)?;
        let country = country.parse().map_err(|_| wrong())?;
        let allowed = part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if !(1..=3).contains(&part.len()) || !allowed {
            return Err(wrong());
        }
        let mut code = [0; 3];
        code[..part.len()].copy_from_slice(part.as_bytes());
        Ok(Subdivision { country, code })
    }
}

impl fmt::Display for Subdivision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part: String = self.code.iter().take_while(|b| **b != 0).map(|b| *b as char).collect();
        write!(f, "{}-{part}", self.country)
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unknown" {
            return Ok(Token::Unknown);
        }
        let wrong = || {
            format!(
                "{text:?} is not a region token; use continent:EU, country:DE, subdivision:US-CA, asn:3320, \
                 cidr:203.0.113.0/24, region:ID or unknown"
            )
        };
        let (kind, value) = text.split_once(':').ok_or_else(wrong)?;
        Ok(match kind {
            "continent" => Token::Continent(value.parse()?),
            "country" => Token::Country(value.parse()?),
            "subdivision" => Token::Subdivision(value.parse()?),
            "asn" => {
                let digits = value.strip_prefix("AS").unwrap_or(value);
                Token::Asn(
                    digits.parse().map_err(|_| format!("{value:?} is not an AS number; use a number such as 3320"))?,
                )
            }
            "cidr" => Token::Cidr(parse_network(value)?),
            "region" => Token::Region(value.parse()?),
            _ => return Err(wrong()),
        })
    }
}

/// A network without host bits, or a single address.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let network: IpNet = match text.parse() {
        Ok(network) => network,
        Err(_) => text
            .parse::<std::net::IpAddr>()
            .map(IpNet::from)
            .map_err(|_| format!("{text:?} is not a network; use one such as 203.0.113.0/24"))?,
    };
    if network.addr() != network.network() {
        return Err(format!("{text} has bits set below its length; use {}", network.trunc()));
    }
    Ok(network)
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Continent(continent) => write!(f, "continent:{continent}"),
            Token::Country(country) => write!(f, "country:{country}"),
            Token::Subdivision(subdivision) => write!(f, "subdivision:{subdivision}"),
            Token::Asn(asn) => write!(f, "asn:{asn}"),
            Token::Cidr(network) => write!(f, "cidr:{network}"),
            Token::Region(id) => write!(f, "region:{id}"),
            Token::Unknown => f.write_str("unknown"),
        }
    }
}

serde_as_text!(Country, Continent, Subdivision, Token);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_print_what_they_were_read_from() {
        for text in [
            "continent:NA",
            "country:NA",
            "subdivision:US-CA",
            "asn:3320",
            "cidr:203.0.113.0/24",
            "region:eea",
            "unknown",
        ] {
            assert_eq!(text.parse::<Token>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn wrong_tokens_say_what_would_be_right() {
        for text in ["EU", "continent:XX", "country:de", "cidr:10.1.0.0/8", "asn:x", "region:A b", "subdivision:US"] {
            assert!(text.parse::<Token>().unwrap_err().contains("; "), "{text}");
        }
        assert!("cidr:10.1.0.0/8".parse::<Token>().unwrap_err().contains("10.0.0.0/8"));
    }

    #[test]
    fn distances_follow_the_great_circle() {
        let frankfurt = Point { lat: 50.11, lon: 8.68 };
        let new_york = Point { lat: 40.71, lon: -74.01 };
        assert!((frankfurt.distance_km(new_york) - 6_200.0).abs() < 20.0);
        assert_eq!(frankfurt.distance_km(frankfurt), 0.0);
    }
}
