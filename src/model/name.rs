//! Domain names in lower-cased wire form, the form that queries are looked up by.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name in wire form, in bytes (RFC 1035 section 2.3.4).
pub const MAX_NAME: usize = 255;
/// The longest label, in bytes (RFC 1035 section 2.3.4).
pub const MAX_LABEL: usize = 63;

/// The most labels that fit into 255 bytes with the root's: each takes two at least.
const MAX_LABELS: usize = MAX_NAME / 2;

/// An absolute domain name: uncompressed wire form with the root's zero byte, ASCII lower-cased.
/// Cheap to clone. Ordered canonically (RFC 4034 section 6.1), so that a sorted list is a zone in export order.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Arc<[u8]>);

impl Name {
    /// The root, `.`.
    pub fn root() -> Self {
        Name(Arc::new([0]))
    }

    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// Takes an uncompressed wire-form name; `None` when it is not exactly one name.
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        let mut at = 0;
        loop {
            let length = usize::from(*wire.get(at)?);
            if length > MAX_LABEL {
                return None;
            }
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
        (at == wire.len() && at <= MAX_NAME).then(|| Name(wire.to_ascii_lowercase().into()))
    }

    /// Reads presentation form below `origin`: relative without a final dot, `@` for the origin itself.
    /// Escapes are `\.` and `\DDD`; letters outside ASCII are converted by IDNA.
    pub fn parse(text: &str, origin: Option<&Name>) -> Result<Self, String> {
        let relative_to = |what: &str| origin.ok_or_else(|| format!("{what:?} is relative; end it with a dot"));
        if text.is_empty() {
            return Err("the name is empty; give one, or @ for the zone itself".into());
        }
        if text == "@" {
            return relative_to(text).cloned();
        }
        if text == "." {
            return Ok(Self::root());
        }
        let ascii;
        let source = if text.is_ascii() {
            text
        } else {
            ascii = idna::domain_to_ascii(text)
                .map_err(|_| format!("{text:?} is not an internationalised name; check its letters"))?;
            &ascii
        };
        let mut wire = Vec::with_capacity(source.len() + 2);
        let mut label = Vec::new();
        let mut bytes = source.bytes();
        let mut absolute = false;
        while let Some(byte) = bytes.next() {
            absolute = false;
            match byte {
                b'.' => {
                    push_label(&mut wire, &mut label, text)?;
                    absolute = true;
                }
                b'\\' => label.push(
                    unescape(&mut bytes)
                        .ok_or_else(|| format!("{text:?} has a broken escape; use \\DDD, such as \\046 for a dot"))?,
                ),
                other => label.push(other),
            }
        }
        if !absolute {
            push_label(&mut wire, &mut label, text)?;
            wire.extend_from_slice(&relative_to(text)?.0);
        } else {
            wire.push(0);
        }
        if wire.len() > MAX_NAME {
            return Err(format!("{text:?} is {} bytes long on the wire; at most {MAX_NAME} are possible", wire.len()));
        }
        wire.make_ascii_lowercase();
        Ok(Name(wire.into()))
    }

    /// Labels from the left, without the root.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        // On the stack: every look-up in a map of names compares by labels.
        let mut starts = [0_u8; MAX_LABELS];
        let (mut count, mut at) = (0, 0);
        while self.0[at] != 0 {
            starts[count] = at as u8;
            count += 1;
            at += 1 + usize::from(self.0[at]);
        }
        starts.into_iter().take(count).map(|start| {
            let (length, rest) = self.0[usize::from(start)..].split_first().expect("a label has a length");
            &rest[..usize::from(*length)]
        })
    }

    /// The number of labels, without the root's.
    fn count(&self) -> usize {
        let (mut count, mut at) = (0, 0);
        while self.0[at] != 0 {
            count += 1;
            at += 1 + usize::from(self.0[at]);
        }
        count
    }

    /// The wire form without its first `labels` labels, of which there are as many.
    fn after(&self, labels: usize) -> &[u8] {
        (0..labels).fold(&self.0[..], |wire, _| &wire[1 + usize::from(wire[0])..])
    }

    /// True when `self` is `other` or below it.
    pub fn is_under(&self, other: &Name) -> bool {
        let Some(skip) = self.0.len().checked_sub(other.0.len()) else { return false };
        if self.0[skip..] != other.0[..] {
            return false;
        }
        let mut at = 0;
        while at < skip {
            at += 1 + usize::from(self.0[at]);
        }
        at == skip
    }

    /// The name without its first label; `None` for the root.
    pub fn parent(&self) -> Option<Name> {
        let first = usize::from(self.0[0]);
        (first > 0).then(|| Name(self.0[1 + first..].into()))
    }

    /// As people write it.
    pub fn without_dot(&self) -> String {
        without_dot(&self.to_string()).to_owned()
    }

    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }

    /// As `Display`, but relative to `origin` where it is below it: `www`, or `@` for the origin itself.
    pub fn relative_to(&self, origin: &Name) -> String {
        if self == origin {
            return "@".into();
        }
        let full = self.to_string();
        if !self.is_under(origin) || *origin == Name::root() {
            return full;
        }
        let suffix = origin.to_string();
        full[..full.len() - suffix.len() - 1].to_owned()
    }
}

/// The first label of a wire-form name that has one.
fn label(wire: &[u8]) -> &[u8] {
    &wire[1..1 + usize::from(wire[0])]
}

fn push_label(wire: &mut Vec<u8>, label: &mut Vec<u8>, text: &str) -> Result<(), String> {
    if label.is_empty() {
        return Err(format!("{text:?} has an empty label; write one dot between labels"));
    }
    if label.len() > MAX_LABEL {
        return Err(format!("{text:?} has a label of {} bytes; at most {MAX_LABEL} are possible", label.len()));
    }
    wire.push(label.len() as u8);
    wire.append(label);
    Ok(())
}

fn unescape(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit)?;
        value = value * 10 + u32::from(digit - b'0');
    }
    u8::try_from(value).ok()
}

/// The text of a name as people write it: without the dot at its end, which only the root keeps.
pub fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(name)
}

impl FromStr for Name {
    type Err = String;

    /// An absolute name; the final dot may be left out.
    fn from_str(text: &str) -> Result<Self, String> {
        Name::parse(text, Some(&Name::root()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() == 1 {
            return f.write_str(".");
        }
        let is_plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'*');
        for label in self.labels() {
            // Nearly every label, and there may be 100,000 names to write.
            if let Ok(plain) = std::str::from_utf8(label)
                && label.iter().all(is_plain)
            {
                f.write_str(plain)?;
                f.write_str(".")?;
                continue;
            }
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => write!(f, "\\{}", byte as char)?,
                    0x21..=0x7e => write!(f, "{}", byte as char)?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        // Labels count from the right: the last difference met on a walk to the right decides. No list of labels
        // is made, because sorting a million names comes here a hundred million times.
        let (ours, theirs) = (self.count(), other.count());
        let shared = ours.min(theirs);
        let (mut a, mut b) = (self.after(ours - shared), other.after(theirs - shared));
        let mut order = Ordering::Equal;
        for _ in 0..shared {
            let (ours, theirs) = (label(a), label(b));
            order = ours.cmp(theirs).then(order);
            (a, b) = (&a[1 + ours.len()..], &b[1 + theirs.len()..]);
        }
        order.then(ours.cmp(&theirs))
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_prints_what_it_was_read_from() {
        for text in [".", "a.", "www.example.test.", r"a\.b.c.", r"\000\255x.test.", "_sip._tcp.x.test."] {
            assert_eq!(name(text).to_string(), text);
        }
        assert_eq!(name("WWW.Example.TEST").to_string(), "www.example.test.");
        assert_eq!(name("bücher.example.").to_string(), "xn--bcher-kva.example.");
    }

    #[test]
    fn wrong_names_say_what_would_be_right() {
        for text in ["", "a..b.", &format!("{}.", "x".repeat(64)), &"abcdefghi.".repeat(26), r"a\25.", r"a\999."] {
            assert!(text.parse::<Name>().unwrap_err().contains("; "), "{text}");
        }
    }

    #[test]
    fn names_sort_as_rfc_4034_section_6_1_says() {
        let sorted = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "z.a.example.",
            r"\001.z.example.",
            "*.z.example.",
            r"\200.z.example.",
        ];
        let names: Vec<Name> = sorted.iter().map(|t| name(t)).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn under_compares_whole_labels() {
        assert!(name("a.b.test.").is_under(&name("b.test.")));
        assert!(!name("ab.test.").is_under(&name("b.test.")));
        assert!(name("b.test.").is_under(&Name::root()));
        assert_eq!(name("a.b.test.").relative_to(&name("test.")), "a.b");
        assert_eq!(name("test.").relative_to(&name("test.")), "@");
    }
}
