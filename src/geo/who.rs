//! Whom somebody means who types an address, a network, an AS number, a country, a city or a region: the
//! networks that stand for those clients, or what is unclear about the text.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Base;
use super::census::{SENT_V4, SENT_V6};
use super::cities::cities;
use super::inside;
use super::membership::{self, Membership};
use crate::model::field::distance;
use crate::model::{Country, Id, Model, Place, Region, Subdivision, Token, builtin};

/// Networks of places that stand for one country or region, the largest first.
const MOST_PLACES: usize = 48;
/// Networks of operators inside of it that are asked too.
const MOST_OPERATOR_NETWORKS: usize = 48;
/// The longest text that is looked at.
const MAX_TEXT: usize = 200;

/// Whom a text means.
#[derive(Debug, Clone, PartialEq)]
pub enum Who {
    /// One network; an address counts as the network that resolvers commonly send of it.
    Network(IpNet),
    Asn(u32),
    Country(Country),
    Subdivision(Subdivision),
    /// As the database writes it, with its country.
    City(String, Option<Country>),
    Region(Id<Region>),
}

/// Why the answer is for more clients than were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coarse {
    /// The database has no cities, or not this one.
    NoCity,
    /// The database has no subdivisions, or not this one.
    NoSubdivision,
}

/// Clients, and the networks that stand for them.
#[derive(Debug, Clone, PartialEq)]
pub struct Clients {
    pub who: Who,
    pub coarse: Option<Coarse>,
    /// Each with its share of them, 0 to 1.
    pub networks: Vec<(IpNet, f64)>,
}

/// What is wrong with a text, what would be right, and texts that would be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Unclear {
    pub problem: String,
    pub remedy: String,
    pub instead: Vec<String>,
}

impl Unclear {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Unclear {
        Unclear { problem: problem.into(), remedy: remedy.into(), instead: Vec::new() }
    }

    /// `text` would be right.
    fn rather(problem: impl Into<String>, text: impl Into<String>) -> Unclear {
        let text = text.into();
        Unclear { problem: problem.into(), remedy: format!("did you mean {text}?"), instead: vec![text] }
    }
}

impl Clients {
    /// `me` is the address of whoever asks.
    pub fn read(text: &str, base: &Base, model: &Model, me: Option<IpAddr>) -> Result<Clients, Unclear> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Unclear::new("is empty", "give an address, a network, an AS number, a country or a city"));
        }
        if text.len() > MAX_TEXT {
            return Err(Unclear::new("is too long for a client", "give an address, a network, a country or a city"));
        }
        if is_me(text) {
            let address = me.ok_or_else(|| Unclear::new("your own address is not known here", "type it"))?;
            return Ok(Clients::network(sent(address.to_canonical())));
        }
        if let Some(network) = network(text)? {
            return Ok(Clients::network(network));
        }
        let wanted = wanted(text, base, model)?;
        let mut empty = None;
        for (who, coarse) in wanted {
            let networks = networks(&who, base, model);
            if networks.is_empty() {
                empty.get_or_insert_with(|| nobody(&who, base));
            } else {
                return Ok(Clients { who, coarse, networks });
            }
        }
        Err(empty.unwrap_or_default())
    }

    /// Of a place that the database does not know at all.
    pub(super) fn nobody() -> Clients {
        Clients { who: Who::City(String::new(), None), coarse: Some(Coarse::NoCity), networks: Vec::new() }
    }

    fn network(network: IpNet) -> Clients {
        Clients { who: Who::Network(network), coarse: None, networks: vec![(network, 1.0)] }
    }
}

/// True where a text means whoever asks.
pub fn is_me(text: &str) -> bool {
    ["me", "나"].contains(&text.trim().to_lowercase().as_str())
}

/// The network that resolvers commonly send of an address.
fn sent(address: IpAddr) -> IpNet {
    let length = if address.is_ipv4() { SENT_V4 } else { SENT_V6 };
    IpNet::new(address, length).unwrap_or_else(|_| address.into()).trunc()
}

/// IPv4-mapped networks as what they are (RFC 4291 section 2.5.5.2).
fn canonical(network: IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V6(v6) => v6.network().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    mapped.and_then(|(address, length)| IpNet::new(address.into(), length).ok()).unwrap_or(network)
}

/// `None` for what is neither an address nor a network, nor meant to be.
fn network(text: &str) -> Result<Option<IpNet>, Unclear> {
    let bare = text.strip_prefix("cidr:").unwrap_or(text);
    let bare = bare.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(bare);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(Some(sent(address.to_canonical())));
    }
    if let Ok(network) = bare.parse::<IpNet>() {
        if network != network.trunc() {
            let problem = format!("{network} has bits outside the prefix");
            return Err(Unclear::rather(problem, canonical(network.trunc()).to_string()));
        }
        return Ok(Some(canonical(network)));
    }
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let (address, rest) = bare.split_at(bare.find(['/', ':']).unwrap_or(bare.len()));
    if numeric(address) && address.contains('.') {
        return Err(wrong_ipv4(bare, address, rest));
    }
    if let Some((address, length)) = bare.split_once('/') {
        let problem = format!("{bare:?} is not a network");
        return Err(match address.parse::<IpAddr>() {
            Ok(known) => Unclear::rather(format!("{problem}: {length:?} is no prefix length"), sent(known).to_string()),
            Err(_) => Unclear::new(problem, "use one such as 203.0.113.0/24 or 2001:db8::/32"),
        });
    }
    let hexadecimal = bare.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.');
    if bare.matches(':').count() >= 2 && hexadecimal {
        let remedy = "IPv6 has eight groups of up to four digits, and :: once for zeros, such as 2001:db8::1";
        return Err(Unclear::new(format!("{bare:?} is not an IPv6 address"), remedy));
    }
    Ok(None)
}

/// Something with the digits and dots of an address. `rest` begins with `/` or `:`, or is empty.
fn wrong_ipv4(text: &str, address: &str, rest: &str) -> Unclear {
    let problem = format!("{text} is not an address");
    if let Ok(known) = address.parse::<IpAddr>() {
        return match rest.strip_prefix(':') {
            Some(_) => Unclear::rather(format!("{problem} alone: it has a port"), known.to_string()),
            None => Unclear::rather(
                format!("{text} is not a network: a prefix length of IPv4 is 0 to 32"),
                sent(known).to_string(),
            ),
        };
    }
    let parts: Vec<&str> = address.split('.').collect();
    if let Some(large) = parts.iter().position(|part| part.parse::<u32>().is_ok_and(|part| part > 255)) {
        let which = ["first", "second", "third", "last"].get(large).copied().unwrap_or("last");
        return Unclear::new(problem, format!("the {which} part can be at most 255"));
    }
    if let Some(zero) = parts.iter().find(|part| part.len() > 1 && part.starts_with('0')) {
        let plain: Vec<&str> = parts.iter().map(|part| part.trim_start_matches('0')).collect();
        let plain: Vec<&str> = plain.into_iter().map(|part| if part.is_empty() { "0" } else { part }).collect();
        return Unclear::rather(format!("{problem}: {zero} begins with a zero"), plain.join("."));
    }
    let whole = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>();
    if (1..4).contains(&whole.len()) {
        let length = whole.len() * 8;
        let filled = [&whole[..], &["0"; 4][whole.len()..]].concat().join(".");
        return Unclear::rather(
            format!("{problem}: it has {} parts of four", whole.len()),
            format!("{filled}/{length}"),
        );
    }
    Unclear::new(problem, "an IPv4 address has four parts, such as 203.0.113.7")
}

/// What can be meant, in the order in which it is tried.
type Wanted = Vec<(Who, Option<Coarse>)>;

fn wanted(text: &str, base: &Base, model: &Model) -> Result<Wanted, Unclear> {
    if let Some(asn) = asn(text)? {
        return Ok(vec![(Who::Asn(asn), None)]);
    }
    let (kind, name) = text.split_once(':').unwrap_or(("", text));
    let (any, folded) = (kind.is_empty(), fold(name));
    let region = || region(name, &folded, model).map(Who::Region);
    let found = match kind {
        "country" => country(&folded).map(Who::Country),
        "region" | "continent" => region(),
        "subdivision" => subdivision(&folded).map(Who::Subdivision),
        "" => country(&folded).map(Who::Country).or_else(region),
        _ => None,
    };
    if let Some(who) = found {
        let coarse = match who {
            Who::Subdivision(part) => Some((Who::Country(part.country), Some(Coarse::NoSubdivision))),
            _ => None,
        };
        return Ok([(who, None)].into_iter().chain(coarse).collect());
    }
    if any {
        let mut wanted = city(&folded, base);
        if let Some(part) = subdivision(&folded) {
            wanted.push((Who::Subdivision(part), None));
            wanted.push((Who::Country(part.country), Some(Coarse::NoSubdivision)));
        }
        if !wanted.is_empty() {
            return Ok(wanted);
        }
    }
    Err(unknown(text, &folded, model))
}

/// `AS3320`, `as 3320`, `asn:3320`.
fn asn(text: &str) -> Result<Option<u32>, Unclear> {
    let lower = text.to_lowercase();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits(&lower) {
        return Err(Unclear::rather(format!("{text} alone is neither an address nor a place"), format!("AS{text}")));
    }
    let rest = lower
        .strip_prefix("asn")
        .or_else(|| lower.strip_prefix("as"))
        .map(|rest| rest.trim_start_matches([':', ' ']).trim_start_matches("as"));
    match rest {
        Some(number) if digits(number) => number
            .parse()
            .map(Some)
            .map_err(|_| Unclear::new(format!("{text} is not an AS number"), "AS numbers end at 4294967295")),
        _ => Ok(None),
    }
}

/// Other words for countries, folded.
const COUNTRY_WORDS: &[(&str, &[u8; 2])] = &[
    ("usa", b"US"),
    ("america", b"US"),
    ("united states of america", b"US"),
    ("uk", b"GB"),
    ("great britain", b"GB"),
    ("britain", b"GB"),
    ("england", b"GB"),
    ("scotland", b"GB"),
    ("wales", b"GB"),
    ("korea", b"KR"),
    ("republic of korea", b"KR"),
    ("한국", b"KR"),
    ("남한", b"KR"),
    ("holland", b"NL"),
    ("turkey", b"TR"),
    ("터키", b"TR"),
    ("czech republic", b"CZ"),
    ("russian federation", b"RU"),
    ("viet nam", b"VN"),
    ("uae", b"AE"),
    ("burma", b"MM"),
    ("ivory coast", b"CI"),
    ("macau", b"MO"),
    ("cape verde", b"CV"),
    ("swaziland", b"SZ"),
    ("macedonia", b"MK"),
    ("east timor", b"TL"),
    ("democratic republic of congo", b"CD"),
];

/// By code of two or three letters, or by name in English or Korean.
fn country(folded: &str) -> Option<Country> {
    let word = COUNTRY_WORDS.iter().find(|(word, _)| *word == folded).map(|(_, code)| Country(**code));
    word.or_else(|| {
        let is = |info: &&builtin::CountryInfo| {
            info.code.to_string().eq_ignore_ascii_case(folded)
                || info.alpha3.eq_ignore_ascii_case(folded)
                || fold(&info.name) == folded
                || fold(&info.name_ko) == folded
        };
        builtin::countries().iter().find(is).map(|info| info.code)
    })
}

/// By code such as `US-CA`, or by name.
fn subdivision(folded: &str) -> Option<Subdivision> {
    let is = |info: &&builtin::SubdivisionInfo| fold(&info.code.to_string()) == folded || fold(&info.name) == folded;
    let listed = builtin::subdivisions().iter().find(is).map(|info| info.code);
    listed.or_else(|| folded.to_uppercase().replacen(' ', "-", 1).parse().ok())
}

/// By id or name; a continent by its letters too.
fn region(name: &str, folded: &str, model: &Model) -> Option<Id<Region>> {
    if let Some(id) = name.trim().to_lowercase().parse().ok().filter(|id| model.regions.contains_key(id)) {
        return Some(id);
    }
    let is = |region: &Region| {
        fold(&region.meta.name) == folded
            || matches!(&*region.include, [Token::Continent(letters)] if letters.to_string().to_lowercase() == folded)
    };
    model.regions.iter().find(|(_, region)| is(region)).map(|(id, _)| id.clone())
}

/// `Berlin`, `Paris, FR`. What the database knows first, then its country where the city is well known.
fn city(folded: &str, base: &Base) -> Wanted {
    let (name, within) = match folded.split_once(',') {
        Some((name, within)) => (name.trim(), country(within.trim())),
        None => (folded, None),
    };
    let known = cities().iter().find(|city| fold(city.name) == name || fold(city.name_ko) == name);
    let name = known.map_or_else(|| name.to_owned(), |city| fold(city.name));
    let within = within.or(known.map(|city| city.country));
    let matches = |place: &&Place| {
        (within.is_none() || place.country == within) && place.city.as_ref().is_some_and(|city| fold(city) == name)
    };
    let census = base.census();
    let largest = base.places().iter().zip(&census.counts).filter(|(place, _)| matches(place));
    let largest = largest.max_by_key(|(_, count)| count.addresses).map(|(place, _)| place);
    let mut wanted = Wanted::new();
    if let Some(place) = largest {
        wanted.push((Who::City(place.city.clone().unwrap_or_default(), place.country), None));
    }
    if let Some(known) = known {
        wanted.extend(known.subdivision().map(|part| (Who::Subdivision(part), Some(Coarse::NoCity))));
        wanted.push((Who::Country(known.country), Some(Coarse::NoCity)));
    }
    wanted
}

/// What is like `folded`, the likest first.
fn unknown(text: &str, folded: &str, model: &Model) -> Unclear {
    if text.contains('.') && !text.contains(' ') {
        let remedy = "a client is an address, a network, a country or a city";
        return Unclear::new(format!("{text:?} looks like a name, not like a client"), remedy);
    }
    let countries = builtin::countries().iter().flat_map(|info| [&*info.name, &*info.name_ko]);
    let places = cities().iter().flat_map(|city| [city.name, city.name_ko]);
    let parts = builtin::subdivisions().iter().map(|info| &*info.name);
    let regions = model.regions.values().map(|region| &*region.meta.name).filter(|name| !name.is_empty());
    let all: BTreeSet<&str> = countries.chain(places).chain(parts).chain(regions).collect();
    let near = |name: &str| {
        let name = fold(name);
        let steps = distance(folded, &name);
        let begins = folded.chars().count() >= 3 && name.starts_with(folded);
        // One slip in short words, one in three letters of longer ones.
        let allowed = (folded.chars().count() / 3).max(1);
        (begins || steps <= allowed).then_some(if begins { 1 } else { steps })
    };
    let mut like: Vec<(usize, &str)> = all.into_iter().filter_map(|name| Some((near(name)?, name))).collect();
    like.sort_unstable();
    let instead: Vec<String> = like.into_iter().take(3).map(|(_, name)| name.to_owned()).collect();
    let remedy = match &*instead {
        [] => "use an address, a network, AS and a number, a country, a city, a region, or me".to_owned(),
        [one] => format!("did you mean {one}?"),
        [first, .., last] => format!("did you mean {first} or {last}?"),
    };
    Unclear { problem: format!("{text:?} is no client that is known here"), remedy, instead }
}

fn nobody(who: &Who, base: &Base) -> Unclear {
    let name = |country: &Country| builtin::country(*country).map_or(country.to_string(), |info| info.name.clone());
    let (what, databases) = match who {
        Who::Asn(_) if base.databases().iter().all(|database| database.asn_percent == 0.0) => {
            let remedy = "load one that has, or give an address or a country";
            return Unclear::new("the geo database has no AS numbers", remedy);
        }
        Who::Asn(asn) => (format!("AS{asn}"), "of"),
        Who::Country(country) => (name(country), "in"),
        Who::Subdivision(part) => (part.to_string(), "in"),
        Who::City(city, _) => (city.clone(), "in"),
        Who::Region(region) => (format!("region {region}"), "in"),
        Who::Network(network) => (network.to_string(), "in"),
    };
    Unclear::new(format!("the geo database has no network {databases} {what}"), "give an address of theirs")
}

/// The networks that stand for them, with their shares.
fn networks(who: &Who, base: &Base, model: &Model) -> Vec<(IpNet, f64)> {
    let mut membership = Membership::default();
    let region = match who {
        Who::Region(id) => membership.add_all(&model.regions, std::slice::from_ref(id)),
        _ => Vec::new(),
    };
    let around = |address: IpAddr| {
        let (address, _) = inside::unwrap(address);
        let networks = membership.networks.iter().zip(0u32..);
        networks.filter(|(network, _)| network.contains(&address)).map(|(_, at)| at).collect::<Vec<u32>>()
    };
    let holds = |place: &Place, networks: &[u32]| match who {
        Who::Network(_) => false,
        Who::Asn(asn) => place.asn == Some(*asn),
        Who::Country(country) => place.country == Some(*country),
        Who::Subdivision(part) => place.subdivisions.contains(part),
        Who::City(city, country) => place.city.as_ref() == Some(city) && place.country == *country,
        Who::Region(_) => membership.any_matches(&region, &membership::Client { place, networks }),
    };
    let counts = base.census().counts.iter();
    let of_places = base.places().iter().zip(counts).filter_map(|(place, count)| Some((place, count.network?, count)));
    let of_places = of_places.filter(|(place, network, _)| holds(place, &around(network.network())));
    let mut found: Vec<(IpNet, u64)> = of_places.map(|(_, network, count)| (network, count.addresses.max(1))).collect();
    found.sort_by_key(|(_, addresses)| std::cmp::Reverse(*addresses));
    found.truncate(MOST_PLACES);
    let inner = operator_networks(model).into_iter();
    let inner = inner.filter(|network| {
        let address = network.network();
        holds(base.place(address).0, &around(address))
    });
    found.extend(inner.take(MOST_OPERATOR_NETWORKS).map(|network| (network, addresses(&network))));
    let all: u64 = found.iter().map(|(_, addresses)| addresses).sum();
    found.into_iter().map(|(network, addresses)| (network, addresses as f64 / all as f64)).collect()
}

/// Those that regions name, the largest first: inside of them another rule may hold than around them.
fn operator_networks(model: &Model) -> BTreeSet<IpNet> {
    let tokens = model.regions.values().flat_map(|region| region.include.iter().chain(&region.except));
    tokens.filter_map(|token| if let Token::Cidr(network) = token { Some(*network) } else { None }).collect()
}

fn addresses(network: &IpNet) -> u64 {
    match network {
        IpNet::V4(v4) => 1 << (32 - v4.prefix_len()),
        IpNet::V6(_) => 1,
    }
}

/// A name as people may write it: case, accents, dashes and points do not matter.
fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for c in name.trim().to_lowercase().chars() {
        match c {
            'à'..='å' | 'ā' => folded.push('a'),
            'ç' => folded.push('c'),
            'è'..='ë' => folded.push('e'),
            'ì'..='ï' | 'ı' => folded.push('i'),
            'ñ' => folded.push('n'),
            'ò'..='ö' | 'ø' => folded.push('o'),
            'ù'..='ü' => folded.push('u'),
            // A combining mark, as some keyboards send accents.
            '\u{300}'..='\u{36f}' | '.' | '\'' | '’' => {}
            '-' | '_' => folded.push(' '),
            c => folded.push(c),
        }
    }
    let words: Vec<&str> = folded.split_whitespace().filter(|word| *word != "the").collect();
    words.join(" ")
}

#[cfg(test)]
mod tests;
