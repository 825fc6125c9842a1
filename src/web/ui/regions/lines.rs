//! Lists as people paste them, one thing a line: networks, AS numbers, tokens of a region. Every line that is
//! wrong is told at once, with what would be right. Pure.

use ipnet::IpNet;

use crate::model::builtin;
use crate::model::field::distance;
use crate::model::{Country, Subdivision, Token};

/// Lines that are looked at; a region holds fewer tokens.
pub const MAX_LINES: usize = 5_000;
/// Faults that are told; the rest is counted.
pub const MAX_FAULTS: usize = 50;

/// A line that is not understood.
#[derive(Debug, Clone, PartialEq)]
pub struct LineFault {
    /// From 1.
    pub line: usize,
    pub text: String,
    pub problem: String,
    pub remedy: String,
    /// What could stand there instead.
    pub instead: Option<String>,
}

/// What one line can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Networks,
    Asns,
    Countries,
    Subdivisions,
    /// Any of them, and `region:ID`.
    Any,
}

type Wrong = (String, String, Option<String>);

/// Tokens in the order of their lines, each once. Commas, semicolons and spaces part them too; what follows `#` is a
/// remark.
pub fn read(text: &str, kind: Kind) -> (Vec<Token>, Vec<LineFault>) {
    let (mut tokens, mut faults): (Vec<Token>, Vec<LineFault>) = (Vec::new(), Vec::new());
    for (line, text) in text.lines().enumerate().take(MAX_LINES) {
        for text in words(text, kind) {
            match token(text, kind) {
                Ok(token) => tokens.push(token),
                Err((problem, remedy, instead)) => {
                    faults.push(LineFault { line: line + 1, text: text.to_owned(), problem, remedy, instead });
                }
            }
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    tokens.retain(|token| seen.insert(token.clone()));
    (tokens, faults)
}

/// The text with `instead` where a line says `wrong`.
pub fn corrected(text: &str, line: usize, wrong: &str, instead: &str) -> String {
    let lines = text.lines().enumerate().map(|(at, text)| match at + 1 == line {
        true => text.replacen(wrong, instead, 1),
        false => text.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn words(line: &str, kind: Kind) -> Vec<&str> {
    let line = line.split('#').next().unwrap_or_default();
    // Names of countries hold spaces.
    let parts = |c: char| matches!(c, ',' | ';') || (c.is_whitespace() && matches!(kind, Kind::Networks));
    line.split(parts).map(|word| word.trim().trim_matches('"')).filter(|word| !word.is_empty()).collect()
}

fn token(text: &str, kind: Kind) -> Result<Token, Wrong> {
    match kind {
        Kind::Networks => network(text),
        Kind::Asns => asn(text),
        Kind::Countries => country(text),
        Kind::Subdivisions => subdivision(text),
        Kind::Any => any(text),
    }
}

fn any(text: &str) -> Result<Token, Wrong> {
    if let Ok(token) = text.parse::<Token>() {
        return Ok(token);
    }
    let lower = text.to_lowercase();
    let is_address = text.contains('/') || text.matches('.').count() >= 2 || text.matches(':').count() >= 2;
    match lower.split_once(':') {
        Some(("cidr", network_text)) => return network(network_text),
        Some(("region" | "continent", _)) => {
            let error = text.parse::<Token>().err().unwrap_or_default();
            return Err(split(&error));
        }
        _ if is_address => return network(text),
        _ => {}
    }
    let number = lower.strip_prefix("as").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()));
    if number {
        return asn(text);
    }
    country(text).or_else(|wrong| subdivision(text).map_err(|_| wrong))
}

/// Of an error in the form "problem; remedy".
fn split(error: &str) -> Wrong {
    let (problem, remedy) = error.split_once("; ").unwrap_or((error, "correct it"));
    (problem.to_owned(), remedy.to_owned(), None)
}

fn network(text: &str) -> Result<Token, Wrong> {
    let text = text.strip_prefix("cidr:").unwrap_or(text);
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Ok(Token::Cidr(address.into()));
    }
    match text.parse::<IpNet>() {
        Ok(network) if network.addr() == network.network() => Ok(Token::Cidr(network)),
        Ok(network) => {
            let right = network.trunc().to_string();
            let problem = format!("{text} has bits outside the prefix");
            Err((problem, format!("did you mean {right}?"), Some(right)))
        }
        Err(_) => Err(wrong_network(text)),
    }
}

fn wrong_network(text: &str) -> Wrong {
    let problem = format!("{text:?} is not a network");
    let remedy = "use one such as 203.0.113.0/24 or 2001:db8::/32".to_owned();
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    if let Ok(address) = address.parse::<std::net::IpAddr>() {
        let most = if address.is_ipv4() { 32 } else { 128 };
        return (format!("{problem}: {length:?} is no prefix length"), format!("use 0 to {most}"), None);
    }
    let parts: Vec<&str> = address.split('.').collect();
    if let Some(part) = parts.iter().find(|part| part.parse::<u32>().is_ok_and(|part| part > 255)) {
        return (format!("{problem}: {part} is above 255"), remedy, None);
    }
    let short = parts.len() < 4 && parts.iter().all(|part| part.parse::<u8>().is_ok());
    let filled = [&parts[..], &["0"; 4][parts.len().min(4)..]].concat().join(".");
    let length = if length.is_empty() { (parts.len() * 8).to_string() } else { length.to_owned() };
    let right = format!("{filled}/{length}");
    match right.parse::<IpNet>() {
        Ok(network) if short => {
            let right = network.trunc().to_string();
            (problem, format!("did you mean {right}?"), Some(right))
        }
        _ => (problem, remedy, None),
    }
}

fn asn(text: &str) -> Result<Token, Wrong> {
    let lower = text.to_lowercase();
    let digits =
        lower.strip_prefix("asn:").or(lower.strip_prefix("asn")).or(lower.strip_prefix("as")).unwrap_or(&lower);
    let digits = digits.trim().trim_start_matches("as");
    digits.parse().map(Token::Asn).map_err(|_| {
        (format!("{text:?} is not an AS number"), "use a number such as 3320, at most 4294967295".to_owned(), None)
    })
}

fn country(text: &str) -> Result<Token, Wrong> {
    let text = text.trim();
    let bare = text.strip_prefix("country:").unwrap_or(text);
    let is = |info: &&builtin::CountryInfo| {
        info.code.to_string().eq_ignore_ascii_case(bare)
            || info.alpha3.eq_ignore_ascii_case(bare)
            || info.name.to_lowercase() == bare.to_lowercase()
            || info.name_ko == bare
    };
    if let Some(info) = builtin::countries().iter().find(is) {
        return Ok(Token::Country(info.code));
    }
    let near =
        builtin::countries().iter().map(|info| (distance(&info.name.to_lowercase(), &bare.to_lowercase()), info));
    let near = near.min_by_key(|(steps, _)| *steps).filter(|(steps, _)| *steps <= (bare.chars().count() / 3).max(1));
    let problem = format!("{text:?} is no country");
    Err(match near {
        Some((_, info)) => (problem, format!("did you mean {}?", info.name), Some(info.name.clone())),
        None => (problem, "use its name or its code of two letters, such as DE".to_owned(), None),
    })
}

fn subdivision(text: &str) -> Result<Token, Wrong> {
    let bare = text.strip_prefix("subdivision:").unwrap_or(text).trim();
    let named = builtin::subdivisions().iter().find(|info| info.name.to_lowercase() == bare.to_lowercase());
    if let Some(info) = named {
        return Ok(Token::Subdivision(info.code));
    }
    match bare.to_uppercase().parse::<Subdivision>() {
        Ok(part) if builtin::country(part.country).is_some() => Ok(Token::Subdivision(part)),
        Ok(Subdivision { country: Country(letters), .. }) => {
            let code = String::from_utf8_lossy(&letters).into_owned();
            Err((format!("{text:?} begins with {code}, which is no country"), "use a code such as US-CA".into(), None))
        }
        Err(_) => {
            let problem = format!("{text:?} is no part of a country that is known here");
            Err((problem, "use an ISO 3166-2 code such as US-CA".to_owned(), None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, kind: Kind) -> String {
        let (tokens, faults) = read(text, kind);
        let tokens: Vec<String> = tokens.iter().map(ToString::to_string).collect();
        let fault = |fault: &LineFault| format!("{}: {}; {}", fault.line, fault.problem, fault.remedy);
        [tokens, faults.iter().map(fault).collect()].concat().join(" | ")
    }

    #[test]
    fn networks_are_read_as_they_are_pasted() {
        for (text, said_of_it) in [
            ("203.0.113.0/24", "cidr:203.0.113.0/24"),
            ("203.0.113.7", "cidr:203.0.113.7/32"),
            ("2001:db8::/32", "cidr:2001:db8::/32"),
            ("2001:db8::1", "cidr:2001:db8::1/128"),
            ("cidr:10.0.0.0/8", "cidr:10.0.0.0/8"),
            ("10.0.0.0/8, 11.0.0.0/8; 12.0.0.0/8", "cidr:10.0.0.0/8 | cidr:11.0.0.0/8 | cidr:12.0.0.0/8"),
            ("10.0.0.0/8 # the office\n\n# nothing\n 10.0.0.0/8 \r\n", "cidr:10.0.0.0/8"),
            ("\"10.0.0.0/8\",", "cidr:10.0.0.0/8"),
            ("0.0.0.0/0", "cidr:0.0.0.0/0"),
            ("", ""),
            ("203.0.113.77/24", "1: 203.0.113.77/24 has bits outside the prefix; did you mean 203.0.113.0/24?"),
            ("2001:db8::1/32", "1: 2001:db8::1/32 has bits outside the prefix; did you mean 2001:db8::/32?"),
            ("10.0.0.0/33", "1: \"10.0.0.0/33\" is not a network: \"33\" is no prefix length; use 0 to 32"),
            ("2001:db8::/129", "1: \"2001:db8::/129\" is not a network: \"129\" is no prefix length; use 0 to 128"),
            (
                "192.0.2.300/32",
                "1: \"192.0.2.300/32\" is not a network: 300 is above 255; use one such as 203.0.113.0/24 or 2001:db8::/32",
            ),
            ("10/8", "1: \"10/8\" is not a network; did you mean 10.0.0.0/8?"),
            ("192.168", "1: \"192.168\" is not a network; did you mean 192.168.0.0/16?"),
            ("office", "1: \"office\" is not a network; use one such as 203.0.113.0/24 or 2001:db8::/32"),
        ] {
            assert_eq!(said(text, Kind::Networks), said_of_it, "{text:?}");
        }
    }

    #[test]
    fn every_wrong_line_is_told_at_once_with_its_number() {
        let (tokens, faults) = read("10.0.0.0/8\nx\n10.1.0.0/8\n11.0.0.0/8\n/", Kind::Networks);
        assert_eq!(tokens.len(), 2);
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [2, 3, 5]);
        assert_eq!(faults[1].instead.as_deref(), Some("10.0.0.0/8"));
    }

    #[test]
    fn other_lists_are_read_in_words_and_codes() {
        for (text, kind, said_of_it) in [
            ("3320\nAS3320\nas 64500, asn:1", Kind::Asns, "asn:3320 | asn:64500 | asn:1"),
            ("x", Kind::Asns, "1: \"x\" is not an AS number; use a number such as 3320, at most 4294967295"),
            ("Germany, KR\n대한민국\nSouth Africa", Kind::Countries, "country:DE | country:KR | country:ZA"),
            ("Germny", Kind::Countries, "1: \"Germny\" is no country; did you mean Germany?"),
            ("California\nca-on", Kind::Subdivisions, "subdivision:US-CA | subdivision:CA-ON"),
            ("ZZ-1", Kind::Subdivisions, "1: \"ZZ-1\" begins with ZZ, which is no country; use a code such as US-CA"),
            (
                "DE\n10.0.0.0/8\nAS1\nregion:eu\ncontinent:AF\nunknown\nUS-CA",
                Kind::Any,
                "country:DE | cidr:10.0.0.0/8 | asn:1 | region:eu | continent:AF | unknown | subdivision:US-CA",
            ),
            ("10.1.0.0/8", Kind::Any, "1: 10.1.0.0/8 has bits outside the prefix; did you mean 10.0.0.0/8?"),
            ("2001:db8::1/32", Kind::Any, "1: 2001:db8::1/32 has bits outside the prefix; did you mean 2001:db8::/32?"),
            ("region:A B", Kind::Any, "1: \"A B\" is not an id; use 1 to 63 of a-z, 0-9 and '-'"),
        ] {
            assert_eq!(said(text, kind), said_of_it, "{text:?}");
        }
    }

    #[test]
    fn a_line_is_corrected_where_it_stands() {
        let text = "10.0.0.0/8\n10.1.0.0/8 # lab\n10.1.0.0/8";
        assert_eq!(corrected(text, 2, "10.1.0.0/8", "10.0.0.0/8"), "10.0.0.0/8\n10.0.0.0/8 # lab\n10.1.0.0/8");
    }
}
