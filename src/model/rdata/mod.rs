//! Record data between its zone-file text and its wire form. Each type is one line in a table of
//! fields (`shape`), read in both directions, so that every type is checked, printed and explained
//! alike. What the table lacks is written in the form for unknown types (RFC 3597).

mod loc;
pub(super) use shape::seconds;
mod shape;
mod svcb;

use super::lexer::{Lexeme, Lexer, Word};
use super::{Name, RecordType};
use shape::Shape;

/// The longest data of one record: its length is 16 bits on the wire.
const MAX_RDATA: usize = 65_535;
/// The most words of one value: more than the longest data could need.
const MAX_WORDS: usize = 70_000;

/// Uncompressed wire-form data of one record, names in it lower-cased.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rdata(Box<[u8]>);

impl Rdata {
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// Takes data that is known to be right, such as data that this type gave out.
    pub fn from_wire(wire: &[u8]) -> Self {
        Rdata(wire.into())
    }

    /// Takes data from elsewhere: checked against its type, names lower-cased.
    pub fn from_foreign_wire(rtype: RecordType, wire: &[u8]) -> Result<Self, String> {
        let wrong = || format!("the data is not that of a {rtype} record; check its bytes");
        if wire.len() > MAX_RDATA {
            return Err(wrong());
        }
        let Some(shape) = shape::of(rtype) else { return Ok(Self::from_wire(wire)) };
        let text = shape.present(wire).ok_or_else(wrong)?;
        // Reading what was printed also lower-cases names and sorts what has an order.
        Self::parse(rtype, &text, None)
    }

    /// Reads presentation form; relative names are below `origin`.
    pub fn parse(rtype: RecordType, text: &str, origin: Option<&Name>) -> Result<Self, String> {
        let mut words = Vec::new();
        let mut lexer = Lexer::new(text);
        while let Some(lexeme) = lexer.next() {
            match lexeme.map_err(|(_, error)| error)? {
                Lexeme::Word(word) if words.len() < MAX_WORDS => words.push(word),
                Lexeme::Word(_) => return Err(format!("the value has over {MAX_WORDS} words; shorten it")),
                Lexeme::Comment => return Err("\";\" begins a comment; put text that holds one in quotes".into()),
                Lexeme::Indent | Lexeme::End => {}
            }
        }
        Self::from_words(rtype, &words, origin)
    }

    /// As `parse`, of text that is cut into words already.
    pub(super) fn from_words(rtype: RecordType, words: &[Word], origin: Option<&Name>) -> Result<Self, String> {
        if let Some((Word { raw: r"\#", quoted: false, .. }, rest)) = words.split_first() {
            return Self::from_foreign_wire(rtype, &unknown_form(rest)?);
        }
        match shape::of(rtype) {
            Some(shape) => shape.parse(rtype, words, origin).map(Rdata),
            None => Err(format!(
                "{rtype} data is not known by its fields; write its bytes in hex, as in \\# 4 0a000001 (RFC 3597)"
            )),
        }
    }

    /// Presentation form, on one line of printable ASCII, with absolute names.
    pub fn present(&self, rtype: RecordType) -> String {
        shape::of(rtype).and_then(|shape| shape.present(&self.0)).unwrap_or_else(|| {
            let hex = domain::utils::base16::encode_string(&self.0).to_ascii_lowercase();
            format!("\\# {} {hex}", self.0.len()).trim_end().to_owned()
        })
    }

    /// The name that data of `rtype` points to, in wire form; `None` for types that point nowhere.
    pub(super) fn target(&self, rtype: RecordType) -> Option<Name> {
        let skip = match rtype {
            RecordType::NS | RecordType::CNAME | RecordType::DNAME | RecordType::PTR => 0,
            RecordType::MX => 2,
            RecordType::SRV => 6,
            _ => return None,
        };
        Name::from_wire(self.0.get(skip..)?)
    }
}

/// The bytes after `\#`: their number, then hex in any grouping.
fn unknown_form(words: &[Word]) -> Result<Vec<u8>, String> {
    let example = "write it as in \\# 4 0a000001 (RFC 3597)";
    let (length, hex) = words.split_first().ok_or_else(|| format!("\\# lacks the number of bytes; {example}"))?;
    let length: u16 =
        length.raw.parse().map_err(|_| format!("{:?} is not a number of bytes; {example}", length.raw))?;
    let bytes = shape::decode_hex(hex).ok_or_else(|| format!("the bytes are not hex; {example}"))?;
    if bytes.len() != usize::from(length) {
        return Err(format!("{} bytes follow \\# {length}; give as many as announced", bytes.len()));
    }
    Ok(bytes)
}

/// An example of a right value, for forms and error texts; that of RFC 3597 for types not in the table.
pub fn example(rtype: RecordType) -> &'static str {
    shape::of(rtype).map_or(r"\# 4 0a000001", |shape: &Shape| shape.example)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Types of the table, by number.
    const TYPES: [u16; 31] = [
        1, 2, 5, 6, 12, 13, 15, 16, 17, 18, 21, 28, 29, 33, 35, 36, 37, 39, 43, 44, 48, 52, 53, 59, 60, 61, 64, 65, 99,
        256, 257,
    ];

    fn origin() -> Name {
        "example.test.".parse().unwrap()
    }

    fn parse(rtype: &str, text: &str) -> Result<Rdata, String> {
        Rdata::parse(rtype.parse().unwrap(), text, Some(&origin()))
    }

    #[test]
    fn every_type_prints_in_its_canonical_form() {
        for (rtype, text, printed) in [
            ("A", "192.0.2.1", "192.0.2.1"),
            ("AAAA", "2001:DB8:0::1", "2001:db8::1"),
            ("CNAME", "WWW", "www.example.test."),
            ("CNAME", "@", "example.test."),
            ("MX", "10 mail", "10 mail.example.test."),
            ("MX", "(10\n mail.Other.test.\t)", "10 mail.other.test."),
            ("TXT", r#"a "b c" "\"\\\010;é""#, r#""a" "b c" "\"\\\010;\195\169""#),
            ("TXT", r#""""#, r#""""#),
            (
                "SOA",
                "ns1 hostmaster 7 1h 10m 2w 1h30m",
                "ns1.example.test. hostmaster.example.test. 7 3600 600 1209600 5400",
            ),
            ("SRV", "0 5 443 sip", "0 5 443 sip.example.test."),
            ("CAA", "0 issue letsencrypt.org", r#"0 issue "letsencrypt.org""#),
            ("CAA", r#"128 issuewild ";""#, r#"128 issuewild ";""#),
            ("URI", r#"10 1 "ftp://ftp1.example.com/public""#, r#"10 1 "ftp://ftp1.example.com/public""#),
            ("NAPTR", r#"100 10 u E2U+sip "!^.*$!sip:x@y!" ."#, r#"100 10 "u" "E2U+sip" "!^.*$!sip:x@y!" ."#),
            ("DS", "60485 ECDSAP256SHA256 2 D4B7 d520", "60485 13 2 d4b7d520"),
            ("SSHFP", "4 2 00ff", "4 2 00ff"),
            ("TLSA", "3 1 1 AB cd", "3 1 1 abcd"),
            ("DNSKEY", "257 3 13 mdsw sQ==", "257 3 13 mdswsQ=="),
            ("HINFO", "ARM64 Linux", r#""ARM64" "Linux""#),
            ("LOC", "52 22 23 N 4 53 32 E -2m", "52 22 23.000 N 4 53 32.000 E -2.00m 1.00m 10000.00m 10.00m"),
            ("LOC", "42 N 71 6.5 W 0 30m 20m 5m", ""),
            ("LOC", "0 0 0.001 S 180 W 100.5 0.05", "0 0 0.001 S 180 0 0.000 W 100.50m 0.05m 10000.00m 10.00m"),
            (
                "HTTPS",
                "1 . port=8443 alpn=h2,h3 ipv4hint=192.0.2.1,192.0.2.2",
                r#"1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.1,192.0.2.2"#,
            ),
            ("HTTPS", "0 other", "0 other.example.test."),
            (
                "SVCB",
                r#"1 x mandatory=port,alpn alpn="f\\\\oo\\,bar,h2" port=1 key667="hello\210" ohttp"#,
                r#"1 x.example.test. mandatory=alpn,port alpn="f\\\\oo\\,bar,h2" port=1 ohttp key667="hello\210""#,
            ),
            ("A", r"\# 4 0A000001", "10.0.0.1"),
            ("CNAME", r"\# 3 014100", "a."),
            ("TYPE65280", r"\# 4 0a 00 00 01", r"\# 4 0a000001"),
            ("TYPE65280", r"\# 0", r"\# 0"),
        ] {
            if printed.is_empty() {
                assert!(parse(rtype, text).is_err(), "{rtype} {text}");
                continue;
            }
            let rdata = parse(rtype, text).unwrap_or_else(|error| panic!("{rtype} {text}: {error}"));
            assert_eq!(rdata.present(rtype.parse().unwrap()), printed);
            assert_eq!(parse(rtype, printed).unwrap(), rdata, "{rtype} {printed}");
        }
    }

    #[test]
    fn a_wrong_value_says_what_would_be_right() {
        for (rtype, text, error) in [
            ("A", "300.1.1.1", "\"300.1.1.1\" is not an IPv4 address; use one such as 192.0.2.10"),
            ("AAAA", "192.0.2.1", "\"192.0.2.1\" is not an IPv6 address; use one such as 2001:db8::10"),
            ("A", "", "the address is missing; write A data as in 192.0.2.10"),
            ("A", "192.0.2.1 192.0.2.2", "\"192.0.2.2\" is one field too many; write A data as in 192.0.2.10"),
            (
                "MX",
                "mail",
                "\"mail\" stands where the preference, a number, belongs; write MX data as in 10 mail.example.com.",
            ),
            ("MX", "70000 mail", "the preference 70000 is too large; use 0 to 65535"),
            ("MX", "10", "the host name is missing; write MX data as in 10 mail.example.com."),
            ("CNAME", "a..b", "\"a..b\" has an empty label; write one dot between labels"),
            ("TXT", "v=DMARC1; p=none", "\";\" begins a comment; put text that holds one in quotes"),
            ("TXT", "\"open", "a quote is not closed on its line; add \", and write a line feed as \\010"),
            ("TXT", "\"a\nb\"", "a quote is not closed on its line; add \", and write a line feed as \\010"),
            (
                "TXT",
                &"x".repeat(256),
                "a string is 256 bytes long; split it into quoted strings of at most 255: \"…\" \"…\"",
            ),
            ("CAA", "0 issue! x", "\"issue!\" is not a tag; use one such as issue, issuewild or iodef"),
            (
                "DS",
                "1 13 2 xyz",
                "the digest is not hex; write DS data as in 60485 13 2 d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a",
            ),
            ("LOC", "95 N 4 E 0m", "\"95\" is not part of a latitude; write LOC data as in 52 22 23 N 4 53 32 E -2m"),
            ("HTTPS", "1 . alpn=h2 alpn=h3", "alpn is given twice; keep one"),
            ("HTTPS", "1 . mandatory=port", "mandatory names port, which is not given; add port, or do not name it"),
            ("HTTPS", "1 . no-default-alpn", "no-default-alpn stands without alpn; add alpn=\"h2\" or the like"),
            ("HTTPS", "1 . ipv4hint=::1", "\"::1\" is not an address hint; use one such as 192.0.2.10"),
            (
                "HTTPS",
                "1 . prot=80",
                "\"prot\" is not a service parameter; use mandatory, alpn, no-default-alpn, port, ipv4hint, ech, ipv6hint, dohpath, ohttp or keyNNNNN",
            ),
            ("A", r"\# 3 0a0000", "the data is not that of a A record; check its bytes"),
            ("TYPE65280", r"\# 4 0a", "1 bytes follow \\# 4; give as many as announced"),
            (
                "TYPE65280",
                "x",
                "TYPE65280 data is not known by its fields; write its bytes in hex, as in \\# 4 0a000001 (RFC 3597)",
            ),
        ] {
            assert_eq!(parse(rtype, text).unwrap_err(), error, "{rtype} {text}");
        }
    }

    #[test]
    fn every_example_is_right_and_another_implementation_agrees() {
        use domain::zonefile::inplace::{Entry, Zonefile};
        for number in TYPES {
            let rtype = RecordType(number);
            let ours = Rdata::parse(rtype, example(rtype), None).unwrap_or_else(|error| panic!("{rtype}: {error}"));
            // Types that the other one lacks are compared nowhere.
            if [17, 18, 21, 29, 36, 37, 53, 99, 256].contains(&number) {
                continue;
            }
            let mut theirs = Zonefile::from(format!("x.test. 1 IN {rtype} {}\n", example(rtype)).as_str());
            let Ok(Some(Entry::Record(record))) = theirs.next_entry() else { panic!("{rtype}") };
            let mut wire = Vec::new();
            domain::base::rdata::ComposeRecordData::compose_rdata(record.data(), &mut wire).unwrap();
            assert_eq!(ours.as_wire(), wire, "{rtype}");
        }
    }

    fn printed_is_safe_and_reads_back(rtype: RecordType, rdata: &Rdata) -> Result<(), TestCaseError> {
        let text = rdata.present(rtype);
        prop_assert!(text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)), "{}", text);
        let again = Rdata::parse(rtype, &text, None);
        prop_assert_eq!(again.as_ref(), Ok(rdata), "{} {}", rtype, text);
        Ok(())
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(index in 0..TYPES.len(), wire in prop::collection::vec(any::<u8>(), 0..80)) {
            let rtype = RecordType(TYPES[index]);
            if let Ok(rdata) = Rdata::from_foreign_wire(rtype, &wire) {
                printed_is_safe_and_reads_back(rtype, &rdata)?;
            }
        }

        #[test]
        fn a_changed_right_value_reads_back_or_is_refused(
            index in 0..TYPES.len(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
        ) {
            let rtype = RecordType(TYPES[index]);
            let mut wire = Rdata::parse(rtype, example(rtype), None).unwrap().as_wire().to_vec();
            for (at, byte) in changes {
                let at = at.index(wire.len());
                wire[at] = byte;
            }
            // Unchecked data, too, prints on one harmless line.
            prop_assert!(Rdata::from_wire(&wire).present(rtype).bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
            if let Ok(rdata) = Rdata::from_foreign_wire(rtype, &wire) {
                printed_is_safe_and_reads_back(rtype, &rdata)?;
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(index in 0..TYPES.len(), text in "[ -~\n\té]{0,60}|[0-9. NSEWm-]{0,40}") {
            let rtype = RecordType(TYPES[index]);
            if let Ok(rdata) = Rdata::parse(rtype, &text, Some(&origin())) {
                printed_is_safe_and_reads_back(rtype, &rdata)?;
            }
        }
    }
}
