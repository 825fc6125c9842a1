//! The table of record types: the fields of each, in order, and how one field is read and printed.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use domain::base::iana::SecurityAlgorithm;
use domain::utils::{base16, base64};

use super::super::lexer::{Word, brief, write_quoted};
use super::super::{Name, RecordType};
use super::{MAX_RDATA, loc, svcb};

/// The fields of one record type.
pub(super) struct Shape {
    fields: &'static [(Field, &'static str)],
    /// A right value.
    pub example: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    U8,
    U16,
    U32,
    /// Seconds: a number, or units as in `1h30m`.
    Period,
    /// A DNSSEC algorithm, by number or mnemonic.
    Algorithm,
    Ipv4,
    Ipv6,
    Name,
    /// One character string.
    Text,
    /// One or more character strings.
    Texts,
    /// A property tag (RFC 8659 section 4.1).
    Tag,
    /// Text without a length, to the end.
    Long,
    /// To the end, in any grouping.
    Hex,
    Base64,
    Loc,
    SvcParams,
}

use Field::{Algorithm, Base64, Hex, Ipv4, Ipv6, Loc, Long, Period, SvcParams, Tag, Text, Texts, U8, U16, U32};

const fn shape(fields: &'static [(Field, &'static str)], example: &'static str) -> Shape {
    Shape { fields, example }
}

const HOST: (Field, &str) = (Field::Name, "host name");
const PREFERENCE: (Field, &str) = (U16, "preference");

static A: Shape = shape(&[(Ipv4, "address")], "192.0.2.10");
static AAAA: Shape = shape(&[(Ipv6, "address")], "2001:db8::10");
static NAME: Shape = shape(&[HOST], "www.example.com.");
static SOA: Shape = shape(
    &[
        (Field::Name, "primary server"),
        (Field::Name, "contact"),
        (U32, "serial"),
        (Period, "refresh"),
        (Period, "retry"),
        (Period, "expire"),
        (Period, "minimum"),
    ],
    "ns1.example.com. hostmaster.example.com. 1 3600 600 1209600 60",
);
static MX: Shape = shape(&[PREFERENCE, HOST], "10 mail.example.com.");
static HINFO: Shape = shape(&[(Text, "machine"), (Text, "system")], "\"ARM64\" \"Linux\"");
static TXT: Shape = shape(&[(Texts, "text")], "\"v=spf1 mx -all\"");
static RP: Shape = shape(&[(Field::Name, "mailbox"), (Field::Name, "text name")], "admin.example.com. .");
static LOC: Shape = shape(&[(Loc, "location")], "52 22 23 N 4 53 32 E -2m");
static SRV: Shape = shape(&[(U16, "priority"), (U16, "weight"), (U16, "port"), HOST], "10 60 5060 sip.example.com.");
static NAPTR: Shape = shape(
    &[(U16, "order"), PREFERENCE, (Text, "flags"), (Text, "services"), (Text, "pattern"), (Field::Name, "replacement")],
    "100 10 \"s\" \"SIP+D2U\" \"\" _sip._udp.example.com.",
);
static CERT: Shape = shape(
    &[(U16, "certificate type"), (U16, "key tag"), (Algorithm, "algorithm"), (Base64, "certificate")],
    "1 0 0 MIIB",
);
static DS: Shape = shape(
    &[(U16, "key tag"), (Algorithm, "algorithm"), (U8, "digest type"), (Hex, "digest")],
    "60485 13 2 d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a",
);
static SSHFP: Shape = shape(
    &[(U8, "algorithm"), (U8, "fingerprint type"), (Hex, "fingerprint")],
    "4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789",
);
static DNSKEY: Shape = shape(
    &[(U16, "flags"), (U8, "protocol"), (Algorithm, "algorithm"), (Base64, "key")],
    "257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==",
);
static TLSA: Shape = shape(
    &[(U8, "usage"), (U8, "selector"), (U8, "matching type"), (Hex, "data")],
    "3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971",
);
static OPENPGPKEY: Shape = shape(&[(Base64, "key")], "mQCNAzIG");
static SVCB: Shape =
    shape(&[(U16, "priority"), HOST, (SvcParams, "parameters")], "1 . alpn=\"h2,h3\" ipv4hint=192.0.2.10");
static URI: Shape =
    shape(&[(U16, "priority"), (U16, "weight"), (Long, "target")], "10 1 \"https://www.example.com/path\"");
static CAA: Shape = shape(&[(U8, "flags"), (Tag, "tag"), (Long, "value")], "0 issue \"letsencrypt.org\"");

/// The shape of `rtype`; `None` where only RFC 3597's form can say it.
pub(super) fn of(rtype: RecordType) -> Option<&'static Shape> {
    Some(match rtype.0 {
        1 => &A,
        2 | 5 | 12 | 39 => &NAME,
        6 => &SOA,
        13 => &HINFO,
        15 | 18 | 21 | 36 => &MX,
        16 | 99 => &TXT,
        17 => &RP,
        28 => &AAAA,
        29 => &LOC,
        33 => &SRV,
        35 => &NAPTR,
        37 => &CERT,
        43 | 59 => &DS,
        44 => &SSHFP,
        48 | 60 => &DNSKEY,
        52 | 53 => &TLSA,
        61 => &OPENPGPKEY,
        64 | 65 => &SVCB,
        256 => &URI,
        257 => &CAA,
        _ => return None,
    })
}

impl Shape {
    pub fn parse(&self, rtype: RecordType, words: &[Word], origin: Option<&Name>) -> Result<Box<[u8]>, String> {
        let mut wire = Vec::with_capacity(32);
        let mut rest = words;
        for (field, name) in self.fields {
            field.parse(name, &mut rest, origin, &mut wire).map_err(|error| {
                // A field's own remedy is best; else an example of the whole value.
                if error.contains("; ") { error } else { format!("{error}; write {rtype} data as in {}", self.example) }
            })?;
        }
        if let Some(word) = rest.first() {
            let more = brief(word.raw);
            return Err(format!("{more:?} is one field too many; write {rtype} data as in {}", self.example));
        }
        if wire.len() > MAX_RDATA {
            return Err(format!("the data is {} bytes long; at most {MAX_RDATA} are possible", wire.len()));
        }
        Ok(wire.into())
    }

    /// `None` when `wire` is not of this shape.
    pub fn present(&self, wire: &[u8]) -> Option<String> {
        let mut text = String::with_capacity(wire.len() * 2);
        let mut rest = wire;
        for (i, (field, _)) in self.fields.iter().enumerate() {
            let before = text.len();
            if i > 0 {
                text.push(' ');
            }
            field.present(&mut rest, &mut text)?;
            if i > 0 && text.len() == before + 1 {
                text.truncate(before);
            }
        }
        rest.is_empty().then_some(text)
    }
}

impl Field {
    fn parse(self, name: &str, rest: &mut &[Word], origin: Option<&Name>, wire: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Field::SvcParams => return svcb::parse(std::mem::take(rest), wire),
            Field::Loc => return loc::parse(std::mem::take(rest), wire),
            _ => {}
        }
        let (word, after) = rest.split_first().ok_or_else(|| format!("the {name} is missing"))?;
        let all = std::mem::replace(rest, after);
        let raw = word.raw;
        match self {
            Field::U8 => wire.push(number(name, raw, u32::from(u8::MAX))? as u8),
            Field::U16 => wire.extend((number(name, raw, u32::from(u16::MAX))? as u16).to_be_bytes()),
            Field::U32 => wire.extend(number(name, raw, u32::MAX)?.to_be_bytes()),
            Field::Period => wire.extend(seconds(raw)?.to_be_bytes()),
            Field::Algorithm => wire.push(match SecurityAlgorithm::from_mnemonic(raw.as_bytes()) {
                Some(algorithm) => algorithm.to_int(),
                None => number(name, raw, u32::from(u8::MAX))? as u8,
            }),
            Field::Ipv4 => wire.extend(
                raw.parse::<Ipv4Addr>()
                    .map_err(|_| format!("{:?} is not an IPv4 address; use one such as 192.0.2.10", brief(raw)))?
                    .octets(),
            ),
            Field::Ipv6 => wire.extend(
                raw.parse::<Ipv6Addr>()
                    .map_err(|_| format!("{:?} is not an IPv6 address; use one such as 2001:db8::10", brief(raw)))?
                    .octets(),
            ),
            Field::Name => wire.extend(Name::parse(raw, origin)?.as_wire()),
            Field::Text => push_text(word, wire)?,
            Field::Texts => {
                *rest = &[];
                for word in all {
                    push_text(word, wire)?;
                }
            }
            Field::Tag => {
                if raw.is_empty() || raw.len() > 255 || !raw.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return Err(format!("{:?} is not a tag; use one such as issue, issuewild or iodef", brief(raw)));
                }
                wire.push(raw.len() as u8);
                wire.extend(raw.as_bytes());
            }
            Field::Long => wire.extend(word.bytes()?),
            Field::Hex => {
                *rest = &[];
                wire.extend(decode_hex(all).ok_or_else(|| format!("the {name} is not hex"))?);
            }
            Field::Base64 => {
                *rest = &[];
                let joined: String = all.iter().map(|word| word.raw).collect();
                let bytes: Vec<u8> = base64::decode(&joined).map_err(|_| format!("the {name} is not base64"))?;
                wire.extend(bytes);
            }
            Field::Loc | Field::SvcParams => {}
        }
        Ok(())
    }

    fn present(self, rest: &mut &[u8], text: &mut String) -> Option<()> {
        match self {
            Field::U8 | Field::Algorithm => write!(text, "{}", take::<1>(rest)?[0]),
            Field::U16 => write!(text, "{}", u16::from_be_bytes(take(rest)?)),
            Field::U32 | Field::Period => write!(text, "{}", u32::from_be_bytes(take(rest)?)),
            Field::Ipv4 => write!(text, "{}", Ipv4Addr::from(take::<4>(rest)?)),
            Field::Ipv6 => write!(text, "{}", Ipv6Addr::from(take::<16>(rest)?)),
            Field::Name => write!(text, "{}", take_name(rest)?),
            Field::Text => {
                write_quoted(take_text(rest)?, text);
                Ok(())
            }
            Field::Texts => {
                write_quoted(take_text(rest)?, text);
                while !rest.is_empty() {
                    text.push(' ');
                    write_quoted(take_text(rest)?, text);
                }
                Ok(())
            }
            Field::Tag => {
                let tag = take_text(rest)?;
                let plain = !tag.is_empty() && tag.iter().all(u8::is_ascii_alphanumeric);
                text.push_str(std::str::from_utf8(tag).ok().filter(|_| plain)?);
                Ok(())
            }
            Field::Long => {
                write_quoted(std::mem::take(rest), text);
                Ok(())
            }
            Field::Hex => {
                let bytes = (!rest.is_empty()).then(|| std::mem::take(rest))?;
                text.push_str(&base16::encode_string(bytes).to_ascii_lowercase());
                Ok(())
            }
            Field::Base64 => {
                let bytes = (!rest.is_empty()).then(|| std::mem::take(rest))?;
                text.push_str(&base64::encode_string(bytes));
                Ok(())
            }
            Field::Loc => return loc::present(&take::<16>(rest)?, text),
            Field::SvcParams => return svcb::present(std::mem::take(rest), text),
        }
        .ok()
    }
}

/// A whole number up to `max`, in decimal.
pub(super) fn number(name: &str, raw: &str, max: u32) -> Result<u32, String> {
    let digits = !raw.is_empty() && raw.bytes().all(|byte| byte.is_ascii_digit());
    match raw.parse::<u64>() {
        Ok(number) if digits && number <= u64::from(max) => Ok(number as u32),
        _ if digits => Err(format!("the {name} {} is too large; use 0 to {max}", brief(raw))),
        _ => Err(format!("{:?} stands where the {name}, a number, belongs", brief(raw))),
    }
}

/// A time span: seconds, or units as in `1h30m` (s, m, h, d, w).
pub(in super::super) fn seconds(raw: &str) -> Result<u32, String> {
    let wrong = || format!("{:?} is not a time span; use seconds, or units as in 1h30m", brief(raw));
    let mut total = 0_u64;
    let mut digits: Option<u64> = None;
    for byte in raw.bytes() {
        if byte.is_ascii_digit() {
            let digit = u64::from(byte - b'0');
            digits = Some(digits.unwrap_or(0).saturating_mul(10).saturating_add(digit));
            continue;
        }
        let unit = match byte.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return Err(wrong()),
        };
        total = total.saturating_add(digits.take().ok_or_else(wrong)?.saturating_mul(unit));
    }
    match digits {
        Some(seconds) => total = total.saturating_add(seconds),
        None if raw.is_empty() => return Err(wrong()),
        None => {}
    }
    u32::try_from(total).map_err(|_| format!("{:?} is too long a time; use less than 136 years", brief(raw)))
}

fn push_text(word: &Word, wire: &mut Vec<u8>) -> Result<(), String> {
    let bytes = word.bytes()?;
    let length = u8::try_from(bytes.len()).map_err(|_| {
        format!("a string is {} bytes long; split it into quoted strings of at most 255: \"…\" \"…\"", bytes.len())
    })?;
    wire.push(length);
    wire.extend(bytes);
    Ok(())
}

/// The bytes of hex words in any grouping; `None` when there are none or they are not hex.
pub(super) fn decode_hex(words: &[Word]) -> Option<Vec<u8>> {
    let joined: String = words.iter().map(|word| word.raw).collect();
    base16::decode_vec(&joined).ok()
}

pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*bytes)
}

fn take_text<'w>(rest: &mut &'w [u8]) -> Option<&'w [u8]> {
    let length = usize::from(take::<1>(rest)?[0]);
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(text)
}

fn take_name(rest: &mut &[u8]) -> Option<Name> {
    let mut end = 0;
    loop {
        let length = usize::from(*rest.get(end)?);
        end += 1 + length;
        if length == 0 {
            break;
        }
    }
    let (wire, after) = rest.split_at_checked(end)?;
    *rest = after;
    Name::from_wire(wire)
}
