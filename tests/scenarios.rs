//! The battery of scenarios: given a model and health, ask this, expect that. Every question goes over every path
//! that answers, and all must say what the file says.
//!
//! A file in `scenarios/` is a row of sections. Lines that begin with `#` are comments.
//! ```text
//! --- model                      the document that `northing apply` reads, as TOML
//! --- geo                        from here on with the country database that ships
//! --- health                     from here on: lines `pool ID STATE`, `endpoint ID STATE`; the rest is healthy
//! --- ask NAME TYPE [from ADDRESS] [subnet PREFIX] [payload BYTES] [over udp|tcp]
//! CODE [aa] [tc] [scope BITS] [error EXTENDED]
//! answer|authority|additional OWNER TTL TYPE DATA
//! ```

use std::collections::VecDeque;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use northing::answer::{Entropy, Snapshot};
use northing::dns::{Arrival, Outcome, Secret, Settings, Transport, general, respond};
use northing::geo::Base;
use northing::health::{EndpointState, Family, HealthTable};
use northing::model::{Model, Rdata};

const NOW_MS: u64 = 1_700_000_000_000;
const FROM: &str = "198.51.100.53";
const ID: u16 = 0x5ce0;

static COUNTRIES: LazyLock<Arc<Base>> = LazyLock::new(|| {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("geo-data/country.mmdb");
    Arc::new(Base::from_mmdb(fs::read(file).unwrap(), None).unwrap())
});

#[test]
fn every_path_says_what_the_scenarios_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut asked, mut wrong) = (0, Vec::new());
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        asked += Scenario::default().run(&name, &text, &mut wrong);
    }
    assert!(asked > 0 && wrong.is_empty(), "{} of {asked} questions:\n{}", wrong.len(), wrong.join("\n"));
}

/// What the sections read so far make.
#[derive(Default)]
struct Scenario {
    model: Arc<Model>,
    geo: Arc<Base>,
    health: HealthTable,
}

impl Scenario {
    /// Returns how many questions were asked.
    fn run(mut self, file: &str, text: &str, wrong: &mut Vec<String>) -> usize {
        let mut asked = 0;
        for section in text.split("\n--- ").skip(usize::from(!text.starts_with("--- "))) {
            let (head, body) = section.trim_start_matches("--- ").split_once('\n').unwrap_or((section, ""));
            let place = format!("{file}: {head}");
            let mut words: VecDeque<&str> = head.split_whitespace().collect();
            match words.pop_front() {
                Some("model") => self.model = read_model(&place, body),
                Some("geo") => self.geo = COUNTRIES.clone(),
                Some("health") => self.health = read_health(&place, body),
                Some("ask") => {
                    asked += 1;
                    let expected = sorted(body.lines().filter(|line| !line.is_empty() && !line.starts_with('#')));
                    self.ask(&place, &Ask::read(&place, words), &expected, wrong);
                }
                other => panic!("{place}: unknown section {other:?}"),
            }
        }
        asked
    }

    fn ask(&self, place: &str, ask: &Ask, expected: &[String], wrong: &mut Vec<String>) {
        let snapshot = Arc::new(Snapshot::compile(&self.model, &self.geo, &self.health, None));
        let settings = Arc::new(Settings::new("scenario", Secret::new([0; 16])));
        let packet = ask.packet();
        let tcp = Transport::Tcp { idle: Duration::from_secs(10) };
        for (over, transport) in [("udp", Transport::Udp), ("tcp", tcp)] {
            if ask.over.as_ref().is_some_and(|only| only != over) {
                continue;
            }
            let arrival = Arrival { client: ask.from, transport, now_ms: NOW_MS };
            let (mut hot, mut slow, mut entropy) = (Vec::new(), Vec::new(), Entropy::new(1));
            let outcome = respond(&packet, &arrival, &settings, &*snapshot, &mut entropy, &mut hot);
            general::respond(&packet, &arrival, &settings, &snapshot, &mut Entropy::new(1), &mut slow);
            let hot = (outcome != Outcome::General).then_some(hot);
            for (path, reply) in [("hot", hot.as_ref()), ("general", Some(&slow))] {
                let Some(reply) = reply else { continue };
                let said = describe(reply);
                if said != expected {
                    let lines = |lines: &[String]| lines.iter().map(|line| format!("\n    {line}")).collect::<String>();
                    wrong.push(format!(
                        "{place} ({path} over {over})\n  said{}\n  instead of{}",
                        lines(&said),
                        lines(expected)
                    ));
                }
                let question = &packet[12..12 + ask.name.len() + 4];
                assert_eq!(&reply[12..12 + question.len()], question, "{place}: the question is echoed as it was");
            }
        }
    }
}

fn read_model(place: &str, text: &str) -> Arc<Model> {
    let document: serde_json::Value = toml::from_str(text).unwrap_or_else(|error| panic!("{place}: {error}"));
    let empty = Model::empty();
    let checked = empty.edits_to(&document).and_then(|edits| empty.check(&edits));
    Arc::new(checked.unwrap_or_else(|errors| panic!("{place}: {errors:#?}")).model)
}

fn read_health(place: &str, text: &str) -> HealthTable {
    let mut table = HealthTable::default();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let state = |word: &str| serde_json::Value::String(word.to_owned());
        match words[..] {
            ["pool", id, word] => {
                Arc::make_mut(table.pools.entry(id.parse().unwrap()).or_default()).state =
                    serde_json::from_value(state(word)).unwrap();
            }
            ["endpoint", id, word] => {
                let verdict: EndpointState = serde_json::from_value(state(word)).unwrap();
                let families = &mut Arc::make_mut(table.endpoints.entry(id.parse().unwrap()).or_default()).families;
                for family in [Family::Ipv4, Family::Ipv6, Family::Name] {
                    families.entry(family).or_default().state = verdict;
                }
            }
            _ => panic!("{place}: {line:?} is no state"),
        }
    }
    table
}

struct Ask {
    /// Wire form, as it was written.
    name: Vec<u8>,
    rtype: RecordType,
    from: IpAddr,
    subnet: Option<(IpAddr, u8)>,
    payload: Option<u16>,
    over: Option<String>,
}

impl Ask {
    fn read(place: &str, mut words: VecDeque<&str>) -> Self {
        let mut word = || words.pop_front();
        let name = Name::from_ascii(word().unwrap()).unwrap_or_else(|error| panic!("{place}: {error}"));
        let mut wire = Vec::new();
        name.emit(&mut BinEncoder::new(&mut wire)).unwrap();
        let number =
            word().unwrap().parse::<northing::model::RecordType>().unwrap_or_else(|error| panic!("{place}: {error}"));
        let rtype = RecordType::from(number.0);
        let mut ask =
            Ask { name: wire, rtype, from: FROM.parse().unwrap(), subnet: None, payload: Some(1232), over: None };
        while let Some(key) = word() {
            let value = word().unwrap_or_else(|| panic!("{place}: {key} needs a value"));
            match key {
                "from" => ask.from = value.parse().unwrap(),
                "subnet" => {
                    let (address, source) = value.split_once('/').unwrap();
                    ask.subnet = Some((address.parse().unwrap(), source.parse().unwrap()));
                }
                "payload" => ask.payload = value.parse().ok().filter(|&bytes| bytes > 0),
                "over" => ask.over = Some(value.to_owned()),
                _ => panic!("{place}: unknown word {key:?}"),
            }
        }
        ask
    }

    fn packet(&self) -> Vec<u8> {
        let mut message = Message::new(ID, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::root(), self.rtype));
        if let Some(payload) = self.payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            if let Some((address, source)) = self.subnet {
                let bytes = match address {
                    IpAddr::V4(address) => address.octets().to_vec(),
                    IpAddr::V6(address) => address.octets().to_vec(),
                };
                let family = if address.is_ipv4() { 1 } else { 2 };
                let mut data = vec![0, family, source, 0];
                data.extend_from_slice(&bytes[..usize::from(source.div_ceil(8))]);
                edns.options_mut().insert(EdnsOption::Unknown(8, data));
            }
            message.set_edns(edns);
        }
        let mut packet = message.to_vec().unwrap();
        packet.splice(12..13, self.name.iter().copied());
        packet
    }
}

/// A reply in the words of an expectation, its records in alphabetical order.
fn describe(reply: &[u8]) -> Vec<String> {
    let message = Message::from_vec(reply).unwrap();
    assert_eq!(message.metadata.id, ID);
    let option = |code: u16| {
        let edns = message.edns.as_ref()?;
        Vec::<u8>::try_from(edns.options().get(code.into())?).ok()
    };
    let code = match u16::from(message.metadata.response_code) {
        0 => "NOERROR".to_owned(),
        1 => "FORMERR".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        other => format!("RCODE{other}"),
    };
    let mut head = vec![code];
    head.extend(message.metadata.authoritative.then(|| "aa".to_owned()));
    head.extend(message.metadata.truncation.then(|| "tc".to_owned()));
    head.extend(option(8).map(|data| format!("scope {}", data[3])));
    head.extend(option(15).map(|data| format!("error {}", u16::from_be_bytes([data[0], data[1]]))));
    let sections =
        [("answer", &message.answers), ("authority", &message.authorities), ("additional", &message.additionals)];
    let records = sections
        .iter()
        .flat_map(|(section, records)| records.iter().map(move |each| format!("{section} {}", line(each))));
    sorted(std::iter::once(head.join(" ")).chain(records))
}

fn line(record: &Record) -> String {
    let mut data = Vec::new();
    let mut encoder = BinEncoder::new(&mut data);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    record.data.emit(&mut encoder).unwrap();
    let rtype = northing::model::RecordType(record.record_type().into());
    let text = Rdata::from_wire(&data).present(rtype);
    format!("{} {} {rtype} {text}", record.name.to_ascii().to_lowercase(), record.ttl)
}

fn sorted(lines: impl Iterator<Item = impl Into<String>>) -> Vec<String> {
    let mut lines: Vec<String> = lines.map(|line| line.into().trim_end().to_owned()).collect();
    if let Some((_, records)) = lines.split_first_mut() {
        records.sort();
    }
    lines
}
