//! The lookup held against a naive one: RFC 1034 section 4.3.2 with RFC 4592, by linear scans over the
//! records, on random zones full of wildcards, empty non-terminals, delegations and aliases.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::fixture::{World, ask, name};
use super::{Answer, Owner, Rcode};
use crate::model::{Name, Rdata, RecordType};

type Record = (Name, RecordType, Rdata);

/// What is compared: rcode, authority, and (owner, type, value) by section.
#[derive(Debug, PartialEq, Default)]
struct Said {
    nx: bool,
    aa: bool,
    answer: BTreeSet<(Name, u16, Vec<u8>)>,
    authority: BTreeSet<(Name, u16)>,
}

/// The parents of a name, from the nearest, down to the apex and no further.
fn ancestors(name: &Name, apex: &Name) -> Vec<Name> {
    std::iter::successors(name.parent(), Name::parent).take_while(|parent| parent.is_under(apex)).collect()
}

fn naive(records: &[Record], apex: &Name, question: &Name, rtype: RecordType) -> Said {
    let mut said = Said { aa: true, ..Said::default() };
    let mut seen = Vec::new();
    let mut wanted = question.clone();
    loop {
        if !wanted.is_under(apex) || seen.contains(&wanted) || seen.len() == 8 {
            return said;
        }
        seen.push(wanted.clone());
        let has = |owner: &Name, rtype| records.iter().any(|(name, t, _)| name == owner && *t == rtype);
        let exists = |owner: &Name| owner == apex || records.iter().any(|(name, _, _)| name.is_under(owner));
        let cuts = std::iter::once(wanted.clone()).chain(ancestors(&wanted, apex));
        let cut = cuts.filter(|n| n != apex && !n.is_wildcard() && has(n, RecordType::NS)).last();
        if let Some(cut) = cut.filter(|cut| *cut != wanted || rtype != RecordType::DS) {
            said.aa = !said.answer.is_empty();
            said.authority.insert((cut, RecordType::NS.0));
            return said;
        }
        let source = if exists(&wanted) {
            Some(wanted.clone())
        } else {
            let encloser = ancestors(&wanted, apex).into_iter().find(|n| exists(n)).unwrap();
            Some(Name::parse("*", Some(&encloser)).unwrap()).filter(|star| exists(star))
        };
        let Some(source) = source else {
            said.nx = true;
            said.authority.insert((apex.clone(), RecordType::SOA.0));
            return said;
        };
        let at = |t: RecordType| records.iter().filter(|(n, x, _)| *n == source && *x == t).collect::<Vec<_>>();
        let (mut found, mut alias) = (at(rtype), None);
        if found.is_empty() {
            found = at(RecordType::CNAME);
            alias = found.first().map(|record| Name::from_wire(record.2.as_wire()).unwrap());
        }
        said.answer.extend(found.iter().map(|(_, t, value)| (wanted.clone(), t.0, value.as_wire().to_vec())));
        if found.is_empty() {
            said.authority.insert((apex.clone(), RecordType::SOA.0));
        }
        match alias {
            Some(target) => wanted = target,
            None => return said,
        }
    }
}

fn said(answer: &Answer, question: &Name) -> Said {
    let owner = |owner: &Owner| match owner {
        Owner::Question => question.clone(),
        Owner::Name(wire) => Name::from_wire(wire).unwrap(),
    };
    let values = answer.answer.iter().flat_map(|set| {
        set.data.iter().map(|data| (owner(&set.owner), set.rtype.0, data.to_vec())).collect::<Vec<_>>()
    });
    Said {
        nx: answer.rcode == Rcode::NxDomain,
        aa: answer.authoritative,
        answer: values.collect(),
        authority: answer.authority.iter().map(|set| (owner(&set.owner), set.rtype.0)).collect(),
    }
}

/// Names of a few short labels, so that they meet often.
fn owner(depth: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Name> {
    let label = prop_oneof![Just("a"), Just("b"), Just("c"), Just("*")];
    proptest::collection::vec(label, depth).prop_map(|labels| {
        let mut text = labels.join(".");
        text.push_str(if text.is_empty() { "z.test." } else { ".z.test." });
        name(&text)
    })
}

fn record() -> impl Strategy<Value = Record> {
    let rtype = prop_oneof![
        4 => Just(RecordType::A),
        2 => Just(RecordType::TXT),
        2 => Just(RecordType::CNAME),
        1 => Just(RecordType::NS),
        1 => Just(RecordType::DS),
    ];
    (owner(1..=4), rtype, owner(0..=4)).prop_map(|(owner, rtype, target)| {
        let value = match rtype {
            RecordType::A => Rdata::from_wire(&[192, 0, 2, 1]),
            RecordType::CNAME | RecordType::NS => Rdata::from_wire(target.as_wire()),
            _ => Rdata::from_wire(b"\x01x"),
        };
        (owner, rtype, value)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_lookup_agrees_with_a_naive_one(
        mut records in proptest::collection::vec(record(), 0..14),
        questions in proptest::collection::vec(owner(0..=5), 12),
    ) {
        let apex = name("z.test.");
        // A CNAME is alone at its name, and a set has its records once.
        let aliases: Vec<Name> =
            records.iter().filter(|r| r.1 == RecordType::CNAME).map(|r| r.0.clone()).collect();
        let mut seen = BTreeSet::new();
        records.retain(|(owner, rtype, _)| {
            (!aliases.contains(owner) || *rtype == RecordType::CNAME) && seen.insert((owner.clone(), *rtype))
        });
        let mut world = World::default();
        world.zone("z.test.");
        for (owner, rtype, value) in &records {
            world.record("z.test.", owner.clone(), *rtype, value.clone());
        }
        let snapshot = world.snapshot();
        for question in questions.iter().chain(records.iter().map(|record| &record.0)) {
            for rtype in [RecordType::A, RecordType::CNAME, RecordType::DS, RecordType::AAAA] {
                let expected = naive(&records, &apex, question, rtype);
                let answer = ask(&snapshot, &question.to_string(), rtype);
                prop_assert_eq!(said(&answer, question), expected, "{} {}", question, rtype);
            }
        }
    }
}
