//! Service parameters of SVCB and HTTPS data (RFC 9460 section 2.1 and appendix A).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use domain::utils::base64;

use super::super::lexer::{Word, brief, unescape, write_quoted};
use super::shape::{number, take};

/// Keys by number, with what their value is.
const KEYS: [(u16, &str, Form); 9] = [
    (0, "mandatory", Form::Keys),
    (1, "alpn", Form::Protocols),
    (2, "no-default-alpn", Form::Nothing),
    (3, "port", Form::Port),
    (4, "ipv4hint", Form::Ipv4),
    (5, "ech", Form::Base64),
    (6, "ipv6hint", Form::Ipv6),
    (7, "dohpath", Form::Text),
    (8, "ohttp", Form::Nothing),
];
const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Keys,
    Protocols,
    Nothing,
    Port,
    Ipv4,
    Ipv6,
    Base64,
    Text,
}

fn form(key: u16) -> Form {
    KEYS.iter().find(|known| known.0 == key).map_or(Form::Text, |known| known.2)
}

fn key_name(key: u16) -> String {
    KEYS.iter().find(|known| known.0 == key).map_or_else(|| format!("key{key}"), |known| known.1.to_owned())
}

fn key_number(name: &str) -> Result<u16, String> {
    if let Some(known) = KEYS.iter().find(|known| known.1 == name) {
        return Ok(known.0);
    }
    // 65535 is reserved as an invalid key (section 14.3.2).
    let digits = name.strip_prefix("key").filter(|digits| *digits == "0" || !digits.starts_with('0'));
    digits.and_then(|digits| digits.parse().ok()).filter(|key| *key < u16::MAX).ok_or_else(|| {
        let known: Vec<&str> = KEYS.iter().map(|known| known.1).collect();
        format!("{:?} is not a service parameter; use {} or keyNNNNN", brief(name), known.join(", "))
    })
}

pub(super) fn parse(words: &[Word], wire: &mut Vec<u8>) -> Result<(), String> {
    let mut parameters = BTreeMap::new();
    for word in words {
        let (name, value) = match word.raw.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.raw, None),
        };
        let key = key_number(name)?;
        if parameters.insert(key, encode(key, name, value)?).is_some() {
            return Err(format!("{name} is given twice; keep one"));
        }
    }
    consistent(&parameters)?;
    for (key, value) in parameters {
        let length = u16::try_from(value.len()).map_err(|_| format!("{} is too long; shorten it", key_name(key)))?;
        wire.extend(key.to_be_bytes());
        wire.extend(length.to_be_bytes());
        wire.extend(value);
    }
    Ok(())
}

/// What section 8 and section 7.1.1 ask of the parameters together.
fn consistent(parameters: &BTreeMap<u16, Vec<u8>>) -> Result<(), String> {
    for key in parameters.get(&MANDATORY).into_iter().flat_map(|value| value.chunks_exact(2)) {
        let key = u16::from_be_bytes([key[0], key[1]]);
        if key == MANDATORY {
            return Err("mandatory names itself; name only other parameters".into());
        }
        if !parameters.contains_key(&key) {
            let name = key_name(key);
            return Err(format!("mandatory names {name}, which is not given; add {name}, or do not name it"));
        }
    }
    if parameters.contains_key(&NO_DEFAULT_ALPN) && !parameters.contains_key(&ALPN) {
        return Err("no-default-alpn stands without alpn; add alpn=\"h2\" or the like".into());
    }
    Ok(())
}

fn encode(key: u16, name: &str, value: Option<&str>) -> Result<Vec<u8>, String> {
    let bytes = unescape(value.unwrap_or_default())?;
    let form = form(key);
    if form == Form::Nothing {
        return if bytes.is_empty() { Ok(bytes) } else { Err(format!("{name} takes no value; remove it")) };
    }
    let known = key < KEYS.len() as u16;
    if known && bytes.is_empty() {
        return Err(format!("{name} has no value; give one after ="));
    }
    let text = String::from_utf8_lossy(&bytes);
    match form {
        Form::Text | Form::Nothing => Ok(bytes),
        Form::Port => Ok((number("port", &text, u32::from(u16::MAX))? as u16).to_be_bytes().to_vec()),
        Form::Base64 => base64::decode(&text).map_err(|_| format!("the value of {name} is not base64; check it")),
        Form::Keys => {
            let mut keys = text.split(',').map(key_number).collect::<Result<Vec<u16>, String>>()?;
            keys.sort_unstable();
            if keys.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err("mandatory names a parameter twice; keep one".into());
            }
            Ok(keys.into_iter().flat_map(u16::to_be_bytes).collect())
        }
        Form::Ipv4 => hints(&text, |hint| hint.parse::<Ipv4Addr>().ok().map(|a| a.octets().to_vec()), "192.0.2.10"),
        Form::Ipv6 => hints(&text, |hint| hint.parse::<Ipv6Addr>().ok().map(|a| a.octets().to_vec()), "2001:db8::10"),
        Form::Protocols => protocols(&bytes),
    }
}

fn hints(text: &str, parse: impl Fn(&str) -> Option<Vec<u8>>, example: &str) -> Result<Vec<u8>, String> {
    let mut wire = Vec::new();
    for hint in text.split(',') {
        let wrong = || format!("{:?} is not an address hint; use one such as {example}", brief(hint));
        wire.extend(parse(hint).ok_or_else(wrong)?);
    }
    Ok(wire)
}

/// Protocol ids separated by commas; `\,` and `\\` are meant literally (appendix A.1).
fn protocols(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut ids = vec![Vec::new()];
    let mut escaped = false;
    for &byte in bytes {
        match byte {
            b'\\' if !escaped => {
                escaped = true;
                continue;
            }
            b',' if !escaped => ids.push(Vec::new()),
            other => ids.last_mut().expect("begins with one").push(other),
        }
        escaped = false;
    }
    let mut wire = Vec::new();
    for id in ids {
        let length = u8::try_from(id.len()).ok().filter(|length| *length > 0);
        wire.push(length.ok_or("alpn has an empty or overlong protocol; use ids such as h2,h3")?);
        wire.extend(id);
    }
    Ok(wire)
}

pub(super) fn present(mut wire: &[u8], text: &mut String) -> Option<()> {
    let mut last = None;
    while !wire.is_empty() {
        let key = u16::from_be_bytes(take(&mut wire)?);
        let length = usize::from(u16::from_be_bytes(take(&mut wire)?));
        let (value, after) = wire.split_at_checked(length)?;
        wire = after;
        if last.replace(key).is_some_and(|before| before >= key) {
            return None;
        }
        if !text.ends_with(' ') {
            text.push(' ');
        }
        text.push_str(&key_name(key));
        present_value(form(key), value, text)?;
    }
    Some(())
}

fn present_value(form: Form, mut value: &[u8], text: &mut String) -> Option<()> {
    match form {
        Form::Nothing => return value.is_empty().then_some(()),
        Form::Text if value.is_empty() => return Some(()),
        _ if value.is_empty() => return None,
        _ => text.push('='),
    }
    let mut items = Vec::new();
    match form {
        Form::Nothing => {}
        Form::Text => write_quoted(value, text),
        Form::Base64 => text.push_str(&base64::encode_string(value)),
        Form::Port => {
            write!(text, "{}", u16::from_be_bytes(take(&mut value)?)).ok()?;
            return value.is_empty().then_some(());
        }
        Form::Protocols => {
            let mut list = Vec::new();
            while let Some((length, rest)) = value.split_first() {
                let (id, rest) = rest.split_at_checked(usize::from(*length)).filter(|(id, _)| !id.is_empty())?;
                value = rest;
                if !list.is_empty() {
                    list.push(b',');
                }
                for &byte in id {
                    if byte == b',' || byte == b'\\' {
                        list.push(b'\\');
                    }
                    list.push(byte);
                }
            }
            write_quoted(&list, text);
        }
        Form::Keys | Form::Ipv4 | Form::Ipv6 => {
            while !value.is_empty() {
                items.push(match form {
                    Form::Keys => key_name(u16::from_be_bytes(take(&mut value)?)),
                    Form::Ipv4 => Ipv4Addr::from(take::<4>(&mut value)?).to_string(),
                    _ => Ipv6Addr::from(take::<16>(&mut value)?).to_string(),
                });
            }
            text.push_str(&items.join(","));
        }
    }
    Some(())
}
