//! Reads a master file into edits, which then pass every check like any other. Nothing is changed here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::lexer::{Lexeme, Lexer, Word, brief};
use super::super::rdata::seconds;
use super::super::{Edit, FieldError, Id, Kind, MAX_TTL, MAX_VALUES, Name, Rdata, RecordType, Zone};
use super::generate::{MAX_GENERATED, Range, Template};

/// More than the largest zone that this model is made for.
const MAX_BYTES: usize = 64 << 20;
const MAX_LINES: usize = 2_000_000;
/// The most words of one record: more than its data can need.
const MAX_WORDS: usize = 70_000;
/// Nobody reads more at once.
const MAX_ERRORS: usize = 1000;

/// A zone as its file says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    pub zone: Id<Zone>,
    /// The zone's fields: apex, SOA, name servers, default TTL.
    pub(super) fields: Value,
    pub(super) sets: Vec<Edit>,
    /// Where each set begins in the text.
    pub(super) lines: Vec<u32>,
    /// What the file says and the zone will not, by line.
    pub left_out: Vec<FieldError>,
}

impl Imported {
    pub fn record_sets(&self) -> usize {
        self.sets.len()
    }

    /// The line on which each record set begins, by its id.
    pub fn lines(&self) -> BTreeMap<&str, u32> {
        self.sets.iter().map(|edit| edit.id.as_str()).zip(self.lines.iter().copied()).collect()
    }
}

/// Reads the file of zone `zone`. `apex` is its name where it is known; else the SOA record says it.
pub fn import(text: &str, zone: &Id<Zone>, apex: Option<&Name>) -> Result<Imported, Vec<FieldError>> {
    match import_sound(text, zone, apex) {
        (Some(imported), errors) if errors.is_empty() => Ok(imported),
        (_, errors) => Err(errors),
    }
}

/// As `import`; beside the errors it gives what the lines without any say, so that those can be checked as well.
pub fn import_sound(text: &str, zone: &Id<Zone>, apex: Option<&Name>) -> (Option<Imported>, Vec<FieldError>) {
    let too_large = |problem: String, remedy| (None, vec![FieldError::new("file", problem, remedy)]);
    if text.len() > MAX_BYTES {
        return too_large(format!("has {} bytes", text.len()), format!("split the zone; at most {MAX_BYTES} are read"));
    }
    let lines = text.bytes().filter(|byte| *byte == b'\n').count();
    if lines > MAX_LINES {
        return too_large(format!("has {lines} lines"), format!("split the zone; at most {MAX_LINES} are read"));
    }
    let mut reader = Reader { origin: apex.cloned(), ..Reader::default() };
    reader.read(text);
    reader.finish(zone, apex)
}

/// One record as read.
struct Line {
    line: u32,
    owner: Name,
    rtype: RecordType,
    ttl: Option<u32>,
    data: Rdata,
}

#[derive(Default)]
struct Reader {
    origin: Option<Name>,
    owner: Option<Name>,
    /// The first `$TTL`: the zone's default.
    default_ttl: Option<u32>,
    /// The `$TTL` in force.
    current_ttl: Option<u32>,
    /// RFC 1035: a record without a TTL has that of the one before, where no `$TTL` says another.
    last_ttl: Option<u32>,
    /// Records of all `$GENERATE` lines so far.
    generated: usize,
    lines: Vec<Line>,
    errors: Vec<FieldError>,
    left_out: Vec<FieldError>,
}

impl Reader {
    fn error(&mut self, line: u32, error: &str) {
        self.errors.push(FieldError::told(format!("line {line}"), error));
    }

    fn read(&mut self, text: &str) {
        let mut lexer = Lexer::new(text);
        let mut words: Vec<Word> = Vec::new();
        let (mut indented, mut broken) = (false, false);
        loop {
            let lexeme = lexer.next();
            let last = lexeme.is_none();
            match lexeme {
                Some(Ok(Lexeme::Word(word))) if words.len() < MAX_WORDS => words.push(word),
                Some(Ok(Lexeme::Word(word))) => {
                    self.error(word.line, "the record has too many words; split it");
                    lexer.skip_line();
                    broken = true;
                }
                Some(Ok(Lexeme::Indent)) => indented = true,
                Some(Ok(Lexeme::Comment)) => {}
                Some(Err((line, error))) => {
                    self.error(line, &error);
                    lexer.skip_line();
                    broken = true;
                }
                Some(Ok(Lexeme::End)) | None => {
                    if let Some(first) = words.first().filter(|_| !broken)
                        && let Err(error) = self.entry(&words, indented)
                    {
                        self.error(first.line, &error);
                    }
                    words.clear();
                    (indented, broken) = (false, false);
                }
            }
            if self.errors.len() > MAX_ERRORS {
                self.error(lexer.line(), "too many errors; correct those above, then read the file again");
                return;
            }
            if last {
                return;
            }
        }
    }

    fn entry(&mut self, words: &[Word], indented: bool) -> Result<(), String> {
        let Some((first, rest)) = words.split_first() else { return Ok(()) };
        if !indented && !first.quoted && first.raw.starts_with('$') {
            return match first.raw.eq_ignore_ascii_case("$GENERATE") {
                true => self.generate(first.line, rest),
                false => self.directive(first.raw, rest),
            };
        }
        let rest = if indented { words } else { rest };
        if !indented {
            // A wrong owner must not hand its records to the owner before.
            self.owner = None;
            self.owner = Some(Name::parse(first.raw, self.origin.as_ref())?);
        }
        let owner = self.owner.clone().ok_or("no owner stands here or above; begin the line with a name")?;
        let (ttl, rtype, data) = header(rest)?;
        let ttl = self.ttl(ttl);
        let data = self.data(rtype, data)?;
        self.lines.push(Line { line: words[0].line, owner, rtype, ttl, data });
        Ok(())
    }

    /// The TTL of a record on whose line `said` stands.
    fn ttl(&mut self, said: Option<u32>) -> Option<u32> {
        match said {
            Some(_) => self.last_ttl = said,
            // The zone's default needs not be said at each set.
            None if self.current_ttl.is_some() => {
                return self.current_ttl.filter(|ttl| Some(*ttl) != self.default_ttl);
            }
            None => return self.last_ttl,
        }
        said
    }

    /// What signing makes anew is left out, so its data is not read: signers write types that are known here only as bytes.
    fn data(&self, rtype: RecordType, words: &[Word]) -> Result<Rdata, String> {
        match is_signing(rtype) {
            true => Ok(Rdata::from_wire(&[])),
            false => Rdata::from_words(rtype, words, self.origin.as_ref()),
        }
    }

    /// The records for which a `$GENERATE` line stands.
    fn generate(&mut self, line: u32, arguments: &[Word]) -> Result<(), String> {
        const USAGE: &str = "$GENERATE takes a range, an owner, a type and data; write it as in \
                             $GENERATE 1-9 host$ A 192.0.2.$";
        let [range, owner, rest @ ..] = arguments else { return Err(USAGE.into()) };
        let (range, owner) = (Range::parse(range.raw)?, Template::parse(owner.raw)?);
        let (ttl, rtype, data) = header(rest)?;
        if data.is_empty() {
            return Err(USAGE.into());
        }
        let (ttl, data) = (self.ttl(ttl), Template::of_words(data)?);
        self.generated = self.generated.saturating_add(range.count());
        if self.generated > MAX_GENERATED {
            let count = range.count();
            return Err(format!("$GENERATE would make {count} records; use at most {MAX_GENERATED} in a file"));
        }
        for number in range.numbers() {
            let record = || {
                let owner = Name::parse(&owner.with(number)?, self.origin.as_ref())?;
                let text = data.with(number)?;
                Ok(Line { line, owner, rtype, ttl, data: self.data(rtype, &words_of(&text)?)? })
            };
            let record = record().map_err(|error: String| format!("for {number}: {error}"))?;
            self.lines.push(record);
        }
        Ok(())
    }

    fn directive(&mut self, name: &str, arguments: &[Word]) -> Result<(), String> {
        let one = |example: &str| match arguments {
            [word] => Ok(word.raw),
            _ => Err(format!("{name} takes one argument; write it as in {name} {example}")),
        };
        match name.to_ascii_uppercase().as_str() {
            "$ORIGIN" => self.origin = Some(Name::parse(one("example.com.")?, self.origin.as_ref())?),
            "$TTL" => {
                let ttl = checked_ttl(one("300")?)?;
                self.default_ttl.get_or_insert(ttl);
                self.current_ttl = Some(ttl);
            }
            "$INCLUDE" => {
                return Err("$INCLUDE is refused, because it would read files of this server; put the records into \
                            this file"
                    .into());
            }
            _ => return Err(format!("{:?} is not a directive; use $ORIGIN, $TTL or $GENERATE", brief(name))),
        }
        Ok(())
    }

    /// Sorts what was read into the zone's own fields and its record sets.
    fn finish(mut self, zone: &Id<Zone>, apex: Option<&Name>) -> (Option<Imported>, Vec<FieldError>) {
        let lines = std::mem::take(&mut self.lines);
        let soa = lines.iter().find(|line| line.rtype == RecordType::SOA);
        let Some(apex) = apex.or(soa.map(|soa| &soa.owner)).cloned() else {
            self.errors.push(FieldError::new(
                "file",
                "has no SOA record, so that the zone's name is not known",
                "add the SOA record, or name the zone",
            ));
            return (None, self.errors);
        };
        let mut fields = json!({"fqdn": apex});
        if let Some(ttl) = self.default_ttl {
            fields["default_ttl"] = ttl.into();
        }
        let mut sets: BTreeMap<(Name, RecordType), Set> = BTreeMap::new();
        let mut servers: Vec<String> = Vec::new();
        let mut soa_line = None;
        let mut signing: BTreeMap<RecordType, (u32, usize)> = BTreeMap::new();
        for line in lines {
            let at = line.line;
            if !line.owner.is_under(&apex) {
                self.error(at, &format!("{} is outside zone {apex}; remove it, or correct $ORIGIN", line.owner));
            } else if line.rtype == RecordType::SOA && line.owner != apex {
                self.error(at, &format!("SOA of {} stands in zone {apex}; import one zone at a time", line.owner));
            } else if line.rtype == RecordType::SOA {
                match soa_line.replace(at) {
                    Some(first) => self.error(at, &format!("a second SOA record; line {first} has one, keep one")),
                    None => soa_fields(&line.data.present(RecordType::SOA), &mut fields),
                }
            } else if line.rtype == RecordType::NS && line.owner == apex {
                let server = line.data.present(RecordType::NS);
                if !servers.contains(&server) {
                    servers.push(server);
                }
            } else if is_signing(line.rtype) {
                signing.entry(line.rtype).or_insert((at, 0)).1 += 1;
            } else {
                self.add(line, &mut sets);
            }
        }
        for (rtype, (at, count)) in signing {
            let records = if count == 1 { "record" } else { "records" };
            let problem = format!("{rtype} is left out, with {count} {records} in all");
            let remedy = "DNSSEC data is made anew by the server that signs the zone";
            self.left_out.push(FieldError::new(format!("line {at}"), problem, remedy));
        }
        if !servers.is_empty() {
            fields["ns"] = servers.into();
        }
        let lines = sets.values().map(|set| set.line).collect();
        let sets = sets.into_iter().map(|((name, rtype), set)| {
            let id = format!("{zone}/{}/{rtype}", name.relative_to(&apex));
            let values: Vec<String> = set.values.iter().map(|value| value.present(rtype)).collect();
            Edit { kind: Kind::Records, id, value: Some(json!({"ttl": set.ttl, "values": values})) }
        });
        let imported = Imported { zone: zone.clone(), fields, sets: sets.collect(), lines, left_out: self.left_out };
        (Some(imported), self.errors)
    }

    fn add(&mut self, line: Line, sets: &mut BTreeMap<(Name, RecordType), Set>) {
        let key = (line.owner, line.rtype);
        let set = sets.entry(key).or_insert_with(|| Set { line: line.line, ttl: line.ttl, values: BTreeSet::new() });
        if set.ttl != line.ttl {
            // RFC 2181 section 5.2: one set has one TTL; a resolver takes the smallest.
            let default = self.default_ttl;
            let effective = |ttl: Option<u32>| ttl.or(default).unwrap_or(u32::MAX);
            if effective(line.ttl) < effective(set.ttl) {
                set.ttl = line.ttl;
            }
            let kept = set.ttl.or(default).map_or("the zone's default".to_owned(), |ttl| format!("{ttl} s"));
            if self.left_out.len() < MAX_ERRORS {
                self.left_out.push(FieldError::new(
                    format!("line {}", line.line),
                    "has another TTL than the records beside it",
                    format!("one set has one TTL: {kept} is taken (RFC 2181 section 5.2)"),
                ));
            }
        }
        set.values.insert(line.data);
        if set.values.len() == MAX_VALUES + 1 {
            self.error(line.line, &format!("the set has more than {MAX_VALUES} values; use fewer"));
        }
    }
}

/// The words of one line that was made.
fn words_of(text: &str) -> Result<Vec<Word<'_>>, String> {
    let mut lexer = Lexer::new(text);
    let mut words = Vec::new();
    while let Some(lexeme) = lexer.next() {
        if let Lexeme::Word(word) = lexeme.map_err(|(_, error)| error)? {
            words.push(word);
        }
    }
    Ok(words)
}

struct Set {
    line: u32,
    ttl: Option<u32>,
    values: BTreeSet<Rdata>,
}

/// TTL and class in either order, then the type; what remains is the data.
fn header<'w, 't>(words: &'w [Word<'t>]) -> Result<(Option<u32>, RecordType, &'w [Word<'t>]), String> {
    let (mut ttl, mut class) = (None, false);
    let mut rest = words;
    loop {
        let missing = "the type is missing; write a record as in www 300 IN A 192.0.2.10";
        let (word, after) = rest.split_first().ok_or(missing)?;
        rest = after;
        let upper = word.raw.to_ascii_uppercase();
        match upper.as_str() {
            "IN" | "CLASS1" if !class => class = true,
            "CH" | "HS" | "CS" if !class => return Err(format!("class {upper} is not served; use IN")),
            _ if ttl.is_none() && word.raw.starts_with(|c: char| c.is_ascii_digit()) => {
                ttl = Some(checked_ttl(word.raw)?);
            }
            _ => return Ok((ttl, upper.parse().map_err(|_| wrong_type(word.raw))?, rest)),
        }
    }
}

fn wrong_type(raw: &str) -> String {
    format!("{:?} stands where the type belongs; write a record as in www 300 IN A 192.0.2.10", brief(raw))
}

fn checked_ttl(raw: &str) -> Result<u32, String> {
    let ttl = seconds(raw)?;
    if ttl > MAX_TTL {
        return Err(format!("a TTL of {ttl} s is too long; use at most {MAX_TTL}, a week"));
    }
    Ok(ttl)
}

/// Types that signing makes anew: SIG, RRSIG, NSEC, DNSKEY, NSEC3, NSEC3PARAM, CDS, CDNSKEY and ZONEMD, which is a
/// digest of them all.
fn is_signing(rtype: RecordType) -> bool {
    matches!(rtype.0, 24 | 46 | 47 | 48 | 50 | 51 | 59 | 60 | 63)
}

/// The fields of a printed SOA record, which has exactly seven.
fn soa_fields(printed: &str, fields: &mut Value) {
    let mut words = printed.split(' ');
    let mut soa = json!({"mname": words.next(), "rname": words.next()});
    let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
    fields["serial"] = number().into();
    for name in ["refresh", "retry", "expire", "minimum"] {
        soa[name] = number().into();
    }
    fields["soa"] = soa;
}
