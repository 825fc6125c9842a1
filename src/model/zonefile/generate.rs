//! `$GENERATE` as BIND's zone files have it: one line that stands for many records. Only text is made here; what it
//! says is read as that of any other line.

use std::ops::RangeInclusive;

use super::super::lexer::{Word, brief};

/// Records that all `$GENERATE` lines of a file may make together: the addresses of four networks of 65,536.
pub(super) const MAX_GENERATED: usize = 1 << 18;
/// The most digits of a number: no name holds more characters.
const MAX_WIDTH: usize = 255;
const EXAMPLE: &str = "${0,3,d}";

/// The numbers that a line counts through.
pub(super) struct Range {
    numbers: RangeInclusive<u32>,
    step: u32,
}

impl Range {
    /// `1-9`, or `0-254/2`.
    pub fn parse(text: &str) -> Result<Range, String> {
        let read = || {
            let (numbers, step) = text.split_once('/').unwrap_or((text, "1"));
            let (first, last) = numbers.split_once('-')?;
            let (first, last, step) = (digits(first)?, digits(last)?, digits(step)?);
            (first <= last && step > 0).then_some(Range { numbers: first..=last, step })
        };
        read().ok_or_else(|| format!("{:?} is not a range; write it as in 1-9 or 0-254/2", brief(text)))
    }

    pub fn count(&self) -> usize {
        ((self.numbers.end() - self.numbers.start()) / self.step) as usize + 1
    }

    pub fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        self.numbers.clone().step_by(self.step as usize)
    }
}

/// A number without a sign, which BIND keeps in 31 bits.
fn digits(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_plain && *number <= i32::MAX as u32)
}

/// Text with places for the number.
pub(super) struct Template(Vec<Piece>);

enum Piece {
    Text(String),
    Number { offset: i64, width: usize, base: Base },
}

#[derive(Clone, Copy)]
enum Base {
    Decimal,
    Octal,
    Hex,
    UpperHex,
    /// The hexadecimal digits from the last to the first, each a label, as names of ip6.arpa have them.
    Nibbles,
    UpperNibbles,
}

impl Template {
    /// `$` is the number, `${offset,width,base}` the number written so; `\$` and `$$` are a dollar sign.
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['$', '\\']) {
            plain.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix('\\') {
                // Escapes stay, since they are read with the name or the data.
                let escaped = after.chars().next();
                plain.push('\\');
                plain.extend(escaped);
                rest = &after[escaped.map_or(0, char::len_utf8)..];
            } else if let Some(after) = rest.strip_prefix("$$") {
                plain.push('$');
                rest = after;
            } else {
                let (number, after) = number(&rest[1..])?;
                pieces.extend([Piece::Text(std::mem::take(&mut plain)), number]);
                rest = after;
            }
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Template(pieces))
    }

    /// The words of the data. A single quoted word is data in quotes, as in `MX "10 mail$"`.
    pub fn of_words(words: &[Word]) -> Result<Template, String> {
        if let [Word { raw, quoted: true, .. }] = words {
            return Template::parse(&raw.replace("\\\"", "\""));
        }
        let word = |word: &Word| if word.quoted { format!("\"{}\"", word.raw) } else { word.raw.to_owned() };
        Template::parse(&words.iter().map(word).collect::<Vec<_>>().join(" "))
    }

    pub fn with(&self, number: u32) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Number { offset, width, base } => {
                    let sum = u64::try_from(i64::from(number) + offset);
                    let sum = sum.map_err(|_| "the number would be below 0; use a larger offset".to_owned())?;
                    text.push_str(&base.write(sum, *width));
                }
            }
        }
        Ok(text)
    }
}

/// What follows a `$`: its modifiers, where it has some, and the rest of the text.
fn number(text: &str) -> Result<(Piece, &str), String> {
    let Some(braced) = text.strip_prefix('{') else {
        return Ok((Piece::Number { offset: 0, width: 0, base: Base::Decimal }, text));
    };
    let (inside, rest) = braced.split_once('}').unwrap_or((braced, ""));
    let read = || {
        let mut words = inside.split(',');
        let offset = words.next()?.parse::<i32>().ok()?;
        let width = words.next().map_or(Some(0), |word| word.parse().ok()).filter(|width| *width <= MAX_WIDTH)?;
        let base = match words.next() {
            None | Some("d") => Base::Decimal,
            Some("o") => Base::Octal,
            Some("x") => Base::Hex,
            Some("X") => Base::UpperHex,
            Some("n") => Base::Nibbles,
            Some("N") => Base::UpperNibbles,
            Some(_) => return None,
        };
        let is_whole = words.next().is_none() && inside.len() < braced.len();
        is_whole.then_some(Piece::Number { offset: offset.into(), width, base })
    };
    let number = read().ok_or_else(|| {
        let typed = format!("${text}");
        let remedy = format!("give offset, width and one of d, o, x, X, n, N, as in {EXAMPLE}");
        format!("{:?} is not understood; {remedy}", brief(&typed))
    })?;
    Ok((number, rest))
}

impl Base {
    fn write(self, number: u64, width: usize) -> String {
        match self {
            Base::Decimal => format!("{number:0width$}"),
            Base::Octal => format!("{number:0width$o}"),
            Base::Hex => format!("{number:0width$x}"),
            Base::UpperHex => format!("{number:0width$X}"),
            Base::Nibbles => nibbles(&format!("{number:x}"), width),
            Base::UpperNibbles => nibbles(&format!("{number:X}"), width),
        }
    }
}

/// `a1` in a width of 5 is `1.a.0`: the width counts the dots.
fn nibbles(hex: &str, width: usize) -> String {
    let mut text = String::new();
    let mut digits = hex.chars().rev();
    let mut digit = digits.next();
    while digit.is_some() || text.len() < width {
        text.push(digit.unwrap_or('0'));
        digit = digits.next();
        if digit.is_some() || text.len() < width {
            text.push('.');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::{Id, Name, Zone};
    use super::super::import;

    /// What a line makes in zone example.test: each record set with its values.
    fn made(line: &str) -> Result<Vec<String>, String> {
        let (zone, apex): (Id<Zone>, Name) = ("z".parse().unwrap(), "example.test.".parse().unwrap());
        let text = format!("$TTL 300\n{line}\n");
        let imported = import(&text, &zone, Some(&apex)).map_err(|errors| errors[0].to_string())?;
        let set = |edit: &crate::model::Edit| {
            let value = edit.value.clone().unwrap();
            let values = value["values"].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned());
            let ttl = value["ttl"].as_u64().map(|ttl| format!(" {ttl}")).unwrap_or_default();
            format!("{}{ttl} {}", &edit.id[2..], values.collect::<Vec<_>>().join(" "))
        };
        Ok(imported.sets.iter().map(set).collect())
    }

    #[test]
    fn a_generate_line_makes_what_bind_makes_of_it() {
        for (line, records) in [
            ("$GENERATE 1-2 host$ A 192.0.2.$", &["host1/A 192.0.2.1", "host2/A 192.0.2.2"][..]),
            (
                "$GENERATE 0-4/2 $ 60 IN PTR host-$",
                &["0/PTR 60 host-0.example.test.", "2/PTR 60 host-2.example.test.", "4/PTR 60 host-4.example.test."],
            ),
            (
                "$generate 9-10 a${-9,3,d} IN 60 CNAME b${90,0,x}",
                &["a000/CNAME 60 b63.example.test.", "a001/CNAME 60 b64.example.test."],
            ),
            ("$GENERATE 8-8 ${0,3,o} A 192.0.2.1", &["010/A 192.0.2.1"]),
            ("$GENERATE 171-171 x${0,4,x} AAAA 2001:db8::${0,4,X}", &["x00ab/AAAA 2001:db8::ab"]),
            ("$GENERATE 161-161 ${0,5,n} TXT ${0,0,N}", &["1.a.0/TXT \"1.A\""]),
            ("$GENERATE 1-1 a\\$$ TXT \\$$", &["a\\$1/TXT \"$1\""]),
            ("$GENERATE 1-1 a$$ TXT \"\\\"cost $$$\\\"\"", &["a\\$/TXT \"cost $1\""]),
            ("$GENERATE 1-1 m MX \"10 mail$\"", &["m/MX 10 mail1.example.test."]),
            ("$GENERATE 1-1 m MX 10 mail$.other.test.", &["m/MX 10 mail1.other.test."]),
            ("$GENERATE 1-3 www A 192.0.2.$", &["www/A 192.0.2.1 192.0.2.2 192.0.2.3"]),
        ] {
            assert_eq!(made(line).unwrap(), records, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_generate_line_is_told_with_its_line() {
        for (line, error) in [
            (
                "$GENERATE 1-9",
                "$GENERATE takes a range, an owner, a type and data; write it as in $GENERATE 1-9 host$ A 192.0.2.$",
            ),
            (
                "$GENERATE 1-9 a$ A",
                "$GENERATE takes a range, an owner, a type and data; write it as in $GENERATE 1-9 host$ A 192.0.2.$",
            ),
            ("$GENERATE 9-1 a$ A 192.0.2.$", "\"9-1\" is not a range; write it as in 1-9 or 0-254/2"),
            ("$GENERATE 1-9/0 a$ A 192.0.2.$", "\"1-9/0\" is not a range; write it as in 1-9 or 0-254/2"),
            ("$GENERATE 1-+9 a$ A 192.0.2.$", "\"1-+9\" is not a range; write it as in 1-9 or 0-254/2"),
            (
                "$GENERATE 0-2000000000 a$ A 192.0.2.1",
                "$GENERATE would make 2000000001 records; use at most 262144 in a file",
            ),
            (
                "$GENERATE 255-300 a$ A 192.0.2.$",
                "for 256: \"192.0.2.256\" is not an IPv4 address; use one such as 192.0.2.10",
            ),
            ("$GENERATE 1-2 a${-2} A 192.0.2.$", "for 1: the number would be below 0; use a larger offset"),
            (
                "$GENERATE 1-2 a${0,1,q} A 192.0.2.$",
                "\"${0,1,q}\" is not understood; give offset, width and one of d, o, x, X, n, N, as in ${0,3,d}",
            ),
            (
                "$GENERATE 1-2 a${0,1 A 192.0.2.$",
                "\"${0,1\" is not understood; give offset, width and one of d, o, x, X, n, N, as in ${0,3,d}",
            ),
            ("$GENERATE 1-2 a$ 192.0.2.$ x", "\"192.0.2.$\" is not a time span; use seconds, or units as in 1h30m"),
        ] {
            assert_eq!(made(line).unwrap_err(), format!("line 2: {error}"), "{line}");
        }
    }
}
