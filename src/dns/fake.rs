//! A small world and packets to ask it with, for the tests of this folder.

use crate::answer::{Answer, Client, Credit, Entropy, Owner, Question, Rcode, Section, Set};
use crate::model::{Name, RecordType};

use super::respond::Engine;

pub const NSID: &str = "node-1";
pub const NOW_MS: u64 = 1_700_000_000_000;

/// Answers a few fixed names below `test.`, and, below `random.test.`, whatever the name's bytes spell.
pub struct World {
    data: Vec<Vec<u8>>,
    names: Vec<Name>,
    apex: Name,
    cut: Name,
    glue_owner: Name,
    sibling_owner: Name,
    glue: Vec<Vec<u8>>,
    server: Name,
    sibling: Name,
    soa: Vec<u8>,
}

impl World {
    pub fn new() -> Self {
        let name = |text: &str| text.parse::<Name>().unwrap();
        let mut soa = name("ns.test.").as_wire().to_vec();
        soa.extend_from_slice(name("host.test.").as_wire());
        soa.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5]);
        World {
            data: (0..100u8).map(|n| vec![192, 0, 2, n]).collect(),
            names: ["other.example.", "test.", "a.random.test.", "b.a.random.test.", "x.test.", "random.test."]
                .map(name)
                .to_vec(),
            apex: name("test."),
            cut: name("cut.test."),
            glue_owner: name("ns.cut.test."),
            sibling_owner: name("ns.sibling.test."),
            glue: (0..100u8).map(|n| vec![198, 51, 100, n]).collect(),
            server: name("ns.cut.test."),
            sibling: name("ns.sibling.test."),
            soa,
        }
    }

    fn addresses<'s>(&'s self, owner: Owner<'s>, count: usize) -> Set<'s> {
        Set {
            owner,
            rtype: RecordType::A,
            ttl: 30,
            kept: 0,
            data: self.data.iter().take(count).map(Vec::as_slice).collect(),
        }
    }

    fn referral(&self, glue: usize, siblings: usize) -> Answer<'_> {
        let mut answer = blank(Rcode::NoError);
        answer.authoritative = false;
        answer.authority.push(Set {
            owner: Owner::Name(self.cut.as_wire()),
            rtype: RecordType::NS,
            ttl: 300,
            kept: 0,
            data: [self.server.as_wire(), self.sibling.as_wire()].into_iter().collect(),
        });
        for (owner, count) in [(&self.glue_owner, glue), (&self.sibling_owner, siblings)] {
            let data = self.glue.iter().take(count).map(Vec::as_slice).collect();
            answer.additional.push(Set {
                owner: Owner::Name(owner.as_wire()),
                rtype: RecordType::A,
                ttl: 300,
                kept: 0,
                data,
            });
        }
        answer
    }

    fn denial(&self, rcode: Rcode) -> Answer<'_> {
        let mut answer = blank(rcode);
        answer.authority.push(Set {
            owner: Owner::Name(self.apex.as_wire()),
            rtype: RecordType::SOA,
            ttl: 60,
            kept: 0,
            data: std::iter::once(self.soa.as_slice()).collect(),
        });
        answer
    }

    fn random(&self, question: &Question) -> Answer<'_> {
        let seed = question
            .name
            .iter()
            .fold(u64::from(question.rtype.0), |sum, byte| sum.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte));
        let mut entropy = Entropy::new(seed);
        let mut answer = blank(if entropy.below(8) == 0 { Rcode::NxDomain } else { Rcode::NoError });
        answer.authoritative = entropy.below(4) != 0;
        answer.scope = entropy.below(140) as u8;
        answer.extended_error = (entropy.below(5) == 0).then_some(20);
        let mut section = |most: u64, longest: u64| -> Section<'_> {
            let mut sets = Section::new();
            for kind in 0..entropy.below(most) {
                let owner = match entropy.below(3) {
                    0 => Owner::Question,
                    _ => {
                        let at = entropy.below(self.names.len() as u64) as usize;
                        Owner::Name(self.names[at].as_wire())
                    }
                };
                // A type of its own for each set, so that no two sets are one.
                let rtype = RecordType(65_280 + kind as u16);
                let count = 1 + entropy.below(longest) as usize;
                let data = self.data.iter().take(count).map(Vec::as_slice).collect();
                sets.push(Set { owner, rtype, ttl: 1 + entropy.below(600) as u32, kept: 0, data });
            }
            sets
        };
        answer.answer = section(4, 30);
        answer.authority = section(3, 10);
        answer.additional = section(4, 30);
        answer
    }
}

fn blank<'s>(rcode: Rcode) -> Answer<'s> {
    Answer {
        rcode,
        authoritative: true,
        answer: Section::new(),
        authority: Section::new(),
        additional: Section::new(),
        scope: 0,
        extended_error: None,
        credit: None,
    }
}

impl Engine for World {
    fn answer<'s>(&'s self, question: &Question, client: &Client, _now_ms: u64, _entropy: &mut Entropy) -> Answer<'s> {
        let name = Name::from_wire(question.name).unwrap();
        if !name.is_under(&self.apex) {
            let mut answer = blank(Rcode::Refused);
            answer.authoritative = false;
            answer.extended_error = Some(20);
            return answer;
        }
        let text = name.relative_to(&self.apex);
        if text.ends_with("random") {
            return self.random(question);
        }
        let mut answer = blank(Rcode::NoError);
        match (text.as_str(), question.rtype) {
            ("www", RecordType::A) => {
                answer.answer.push(self.addresses(Owner::Question, 2));
                answer.scope = if client.subnet.is_some() { 20 } else { 0 };
                answer.credit = Some(Credit { audience: 0, pool: Some(1), releases_hold: false });
            }
            ("held", RecordType::A) => {
                answer.answer.push(self.addresses(Owner::Question, 1));
                answer.credit = Some(Credit { audience: 0, pool: Some(1), releases_hold: true });
            }
            ("many", RecordType::A) => answer.answer.push(self.addresses(Owner::Question, 100)),
            ("extra", RecordType::A) => {
                answer.answer.push(self.addresses(Owner::Question, 25));
                answer.additional.push(self.addresses(Owner::Name(self.server.as_wire()), 40));
            }
            ("www" | "held" | "many" | "extra", _) => return self.denial(Rcode::NoError),
            ("few.cut", _) => return self.referral(1, 1),
            ("glue.cut", _) => return self.referral(60, 0),
            ("sibling.cut", _) => return self.referral(1, 60),
            _ => return self.denial(Rcode::NxDomain),
        }
        answer
    }

    fn audiences(&self) -> usize {
        1
    }

    fn same_indices(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// A query to be put together: header and question, then whatever a test adds.
#[derive(Clone)]
pub struct Ask {
    pub header: [u8; 12],
    pub question: Vec<u8>,
    pub rest: Vec<u8>,
}

impl Ask {
    pub fn of(name: &str, rtype: u16) -> Self {
        let mut question = name.split('.').filter(|label| !label.is_empty()).fold(Vec::new(), |mut wire, label| {
            wire.push(label.len() as u8);
            wire.extend_from_slice(label.as_bytes());
            wire
        });
        question.push(0);
        question.extend_from_slice(&rtype.to_be_bytes());
        question.extend_from_slice(&[0, 1]);
        Ask { header: [0xab, 0xcd, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], question, rest: Vec::new() }
    }

    pub fn class(mut self, class: u16) -> Self {
        let at = self.question.len() - 2;
        self.question[at..].copy_from_slice(&class.to_be_bytes());
        self
    }

    pub fn header(mut self, at: usize, value: u8) -> Self {
        self.header[at] = value;
        self
    }

    /// Adds an OPT of this payload size with these options.
    pub fn edns(self, payload: u16, options: &[(u16, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (code, value) in options {
            data.extend_from_slice(&code.to_be_bytes());
            data.extend_from_slice(&(value.len() as u16).to_be_bytes());
            data.extend_from_slice(value);
        }
        let [p0, p1] = payload.to_be_bytes();
        self.record(&[0], &[0, 41, p0, p1, 0, 0, 0, 0], &data)
    }

    /// Adds a record to the additional section: owner, type to TTL, data.
    pub fn record(mut self, owner: &[u8], fixed: &[u8; 8], data: &[u8]) -> Self {
        self.header[11] += 1;
        self.rest.extend_from_slice(owner);
        self.rest.extend_from_slice(fixed);
        self.rest.extend_from_slice(&(data.len() as u16).to_be_bytes());
        self.rest.extend_from_slice(data);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        [&self.header[..], &self.question, &self.rest].concat()
    }
}
