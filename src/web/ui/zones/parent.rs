//! What the parent zone says of a zone today, asked of one of the parent's own servers when somebody wants to know; and
//! what it said last. No page asks by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name as WireName, RecordType};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::super::dns_question::{self, MAX_DATAGRAM, PATIENCE};
use super::super::text::{Text, text};
use crate::model::{Id, Model, Name, Zone};

/// Servers of the parent that are tried.
const MAX_TRIED: usize = 3;
/// Zones above that are looked for, and servers of one that are taken in.
const MAX_ABOVE: usize = 10;
const MAX_SERVERS: usize = 50;
/// Where the system says which resolvers it asks, and as much of it as is read.
const RESOLVERS: &str = "/etc/resolv.conf";
const MAX_CONF: usize = 64 << 10;

/// What was found out, as the page shows it.
pub struct Verdict {
    pub state: Delegation,
    pub said: Text,
    pub below: Vec<Text>,
}

/// Whether the parent leads to the servers of a zone. The order is that of lists: what needs somebody first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delegation {
    Missing,
    Other,
    Unknown,
    NotAsked,
    Right,
}

impl Delegation {
    pub fn word(self) -> &'static str {
        match self {
            Delegation::Missing => "Not delegated",
            Delegation::Other => "Other servers",
            Delegation::Unknown => "Not known",
            Delegation::NotAsked => "Not asked yet",
            Delegation::Right => "Delegated",
        }
    }

    pub fn icon(self) -> &'static str {
        match self {
            Delegation::Missing => "octagon-x",
            Delegation::Other | Delegation::Unknown => "triangle-alert",
            Delegation::NotAsked => "circle-dashed",
            Delegation::Right => "circle-check",
        }
    }

    /// Of the class `st` in app.css.
    pub fn class(self) -> &'static str {
        match self {
            Delegation::Missing => "bad",
            Delegation::Other | Delegation::Unknown => "warn",
            Delegation::NotAsked => "idle",
            Delegation::Right => "ok",
        }
    }
}

/// What was found out last, since the start, by zone.
#[derive(Default)]
pub struct Delegations(Mutex<BTreeMap<Id<Zone>, Newest>>);

struct Newest {
    at: Timestamp,
    state: Delegation,
    /// What it was compared with.
    own: Vec<Name>,
}

impl Delegations {
    /// Zones that are gone from `model` are forgotten.
    pub fn keep(&self, model: &Model, id: &Id<Zone>, own: &[Name], state: Delegation, at: Timestamp) {
        let mut kept = self.0.lock();
        kept.retain(|id, _| model.zones.contains_key(id));
        kept.insert(id.clone(), Newest { at, state, own: own.to_vec() });
    }

    /// The newest finding and its time; none of a zone whose servers are others since.
    pub fn of(&self, id: &Id<Zone>, own: &[Name]) -> (Delegation, Option<Timestamp>) {
        match self.0.lock().get(id).filter(|newest| newest.own == own) {
            Some(newest) => (newest.state, Some(newest.at)),
            None => (Delegation::NotAsked, None),
        }
    }
}

/// Asks, and compares with the zone's own servers.
pub async fn check(zone: &Name, own: &[Name]) -> Verdict {
    let unknown = |why: Text| Verdict {
        state: Delegation::Unknown,
        said: text("It is not known what the parent zone says."),
        below: vec![why],
    };
    let Some((parent, servers)) = parent_of(zone).await else {
        return unknown(text("The resolver of this machine does not answer; see {file}.").set("file", RESOLVERS));
    };
    for server in servers.iter().take(MAX_TRIED) {
        let addresses = timeout(PATIENCE, tokio::net::lookup_host((server.without_dot(), 53))).await;
        let Some(address) = addresses.ok().and_then(Result::ok).and_then(|mut found| found.next()) else { continue };
        if let Some(answer) = ask(address, zone, Recursion::No).await
            && let Some(named) = delegation(&answer, zone)
        {
            return judge(zone, &parent, own, &named, &server.without_dot());
        }
    }
    unknown(text("No server of the zone {parent} answers this machine.").set("parent", parent.without_dot()))
}

/// The nearest zone above that exists, with its servers, as a resolver says it.
async fn parent_of(zone: &Name) -> Option<(Name, Vec<Name>)> {
    let conf = tokio::fs::read(RESOLVERS).await.ok()?;
    let conf = String::from_utf8_lossy(conf.get(..MAX_CONF).unwrap_or(&conf)).into_owned();
    let resolver = resolvers(&conf).next()?;
    let mut above = zone.parent();
    for _ in 0..MAX_ABOVE {
        let parent = above?;
        let answer = ask(SocketAddr::new(resolver, 53), &parent, Recursion::Wanted).await?;
        let servers = servers_in(&answer, &parent);
        if !servers.is_empty() {
            return Some((parent, servers));
        }
        above = parent.parent();
    }
    None
}

fn resolvers(conf: &str) -> impl Iterator<Item = IpAddr> {
    conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok())
}

#[derive(Clone, Copy, PartialEq)]
enum Recursion {
    Wanted,
    No,
}

/// One question for NS records, and one answer.
async fn ask(server: SocketAddr, name: &Name, recursion: Recursion) -> Option<Message> {
    let mut query = Message::query();
    query.metadata.id = rand::random();
    query.metadata.recursion_desired = recursion == Recursion::Wanted;
    query.add_query(Query::query(WireName::from_ascii(name.to_string()).ok()?, RecordType::NS));
    let mut edns = Edns::new();
    edns.set_max_payload(MAX_DATAGRAM);
    query.set_edns(edns);
    let wire = query.to_vec().ok()?;
    let fits = |answer: &Message| {
        answer.metadata.id == query.metadata.id
            && answer.metadata.message_type == MessageType::Response
            && answer.queries == query.queries
    };
    dns_question::ask(server, &wire, |reply| Message::from_vec(reply).ok().filter(fits)).await
}

/// The servers that an answer or a referral names for `zone`.
fn servers_in(answer: &Message, zone: &Name) -> Vec<Name> {
    let records = answer.answers.iter().chain(&answer.authorities);
    let own = records.filter(|record| {
        record.record_type() == RecordType::NS
            && record.name.to_string().parse::<Name>().is_ok_and(|name| name == *zone)
    });
    own.filter_map(|record| record.data.to_string().parse().ok()).take(MAX_SERVERS).collect()
}

/// What the parent's server says: nobody, some, or nothing that helps.
fn delegation(answer: &Message, zone: &Name) -> Option<Vec<Name>> {
    match answer.metadata.response_code {
        ResponseCode::NoError => Some(servers_in(answer, zone)),
        ResponseCode::NXDomain => Some(Vec::new()),
        _ => None,
    }
}

fn judge(zone: &Name, parent: &Name, own: &[Name], named: &[Name], asked: &str) -> Verdict {
    let (own, named): (BTreeSet<&Name>, BTreeSet<&Name>) = (own.iter().collect(), named.iter().collect());
    let list = |names: &[&Name]| names.iter().map(|name| name.without_dot()).collect::<Vec<_>>().join(", ");
    let missing: Vec<&Name> = own.difference(&named).copied().collect();
    let foreign: Vec<&Name> = named.difference(&own).copied().collect();
    let mut below = Vec::new();
    if !missing.is_empty() {
        below.push(text("Only here: {names}").set("names", list(&missing)));
    }
    if !foreign.is_empty() {
        below.push(text("Only there: {names}").set("names", list(&foreign)));
    }
    let (state, said) = if named.is_empty() {
        below.clear();
        (Delegation::Missing, text("The zone {parent} does not know {zone}. Nobody asks this server for it."))
    } else if below.is_empty() {
        (Delegation::Right, text("The zone {parent} names the same servers for {zone} as stand here."))
    } else {
        (Delegation::Other, text("The zone {parent} names other servers for {zone} than stand here."))
    };
    below.push(text("Asked just now: {server}").set("server", asked));
    Verdict { state, said: said.set("parent", parent.without_dot()).set("zone", zone.without_dot()), below }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::NS;
    use hickory_proto::rr::{RData, Record};
    use tokio::net::UdpSocket;

    use super::super::super::text::Language;
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn ns(owner: &str, server: &str) -> Record {
        let name = |text: &str| WireName::from_ascii(text).unwrap();
        Record::from_rdata(name(owner), 60, RData::NS(NS(name(server))))
    }

    #[test]
    fn what_the_parent_names_is_compared_with_what_stands_here() {
        let own = [name("ns1.z.test."), name("ns2.z.test.")];
        for (named, state, below) in [
            (vec!["ns2.z.test.", "ns1.z.test."], Delegation::Right, vec!["Asked just now: a.test"]),
            (vec!["ns1.z.test."], Delegation::Other, vec!["Only here: ns2.z.test", "Asked just now: a.test"]),
            (
                vec!["ns1.z.test.", "ns2.z.test.", "old.test."],
                Delegation::Other,
                vec!["Only there: old.test", "Asked just now: a.test"],
            ),
            (vec![], Delegation::Missing, vec!["Asked just now: a.test"]),
        ] {
            let named: Vec<Name> = named.into_iter().map(name).collect();
            let verdict = judge(&name("z.test."), &name("test."), &own, &named, "a.test");
            let said: Vec<String> = verdict.below.iter().map(|text| text.to_html(Language::English)).collect();
            assert_eq!((verdict.state, said), (state, below.into_iter().map(str::to_owned).collect()));
        }
    }

    #[test]
    fn a_finding_is_shown_until_the_servers_change() {
        use crate::model::{Edit, Kind};
        let value = serde_json::json!({ "fqdn": "z.test.", "ns": ["a.test.", "b.test."] });
        let edit = Edit { kind: Kind::Zones, id: "z".into(), value: Some(value) };
        let model = Model::empty().check(&[edit]).unwrap().model;
        let (id, gone) = ("z".parse().unwrap(), "gone".parse().unwrap());
        let (own, others) = ([name("a.test."), name("b.test.")], [name("a.test.")]);
        let (kept, at) = (Delegations::default(), Timestamp::UNIX_EPOCH);
        kept.keep(&Model::empty(), &gone, &own, Delegation::Right, at);
        kept.keep(&model, &id, &own, Delegation::Missing, at);
        assert_eq!(kept.of(&id, &own), (Delegation::Missing, Some(at)));
        assert_eq!(kept.of(&id, &others), (Delegation::NotAsked, None));
        assert_eq!(kept.of(&gone, &own), (Delegation::NotAsked, None));
    }

    #[test]
    fn a_referral_and_an_unknown_name_are_told_apart() {
        let mut referral = Message::query();
        referral.authorities.push(ns("z.test.", "NS1.z.test."));
        referral.authorities.push(ns("test.", "a.test."));
        assert_eq!(delegation(&referral, &name("z.test.")), Some(vec![name("ns1.z.test.")]));
        let mut unknown = Message::query();
        unknown.metadata.response_code = ResponseCode::NXDomain;
        unknown.authorities.push(ns("test.", "a.test."));
        assert_eq!(delegation(&unknown, &name("z.test.")), Some(Vec::new()));
        unknown.metadata.response_code = ResponseCode::Refused;
        assert_eq!(delegation(&unknown, &name("z.test.")), None);
    }

    #[tokio::test]
    async fn an_answer_to_another_question_is_passed_over() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let answering = tokio::spawn(async move {
            let mut buffer = [0; 512];
            let (length, client) = server.recv_from(&mut buffer).await.unwrap();
            let mut answer = Message::from_vec(&buffer[..length]).unwrap();
            answer.metadata.message_type = MessageType::Response;
            answer.answers.push(ns("z.test.", "ns1.z.test."));
            let right = answer.to_vec().unwrap();
            answer.metadata.id ^= 1;
            for wire in [answer.to_vec().unwrap(), right] {
                server.send_to(&wire, client).await.unwrap();
            }
        });
        let answer = ask(address, &name("z.test."), Recursion::No).await.unwrap();
        answering.await.unwrap();
        assert_eq!(servers_in(&answer, &name("z.test.")), [name("ns1.z.test.")]);
    }

    #[test]
    fn resolvers_are_read_as_the_system_has_them() {
        let conf = "# x\nsearch a.test\nnameserver 127.0.0.53\n nameserver ::1 \nnameserver nonsense\n";
        assert_eq!(resolvers(conf).map(|ip| ip.to_string()).collect::<Vec<_>>(), ["127.0.0.53", "::1"]);
    }
}
