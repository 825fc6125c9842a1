//! Fixed records: a table for every rule of looking a name up.

use super::super::fixture::{World, ask, ask_from, client, line, name, rule};
use super::super::{Credit, Entropy, Question, Rcode, answer};
use super::*;
use crate::model::Rdata;
use std::sync::Arc;

const SOA: &str = "example.test. 60 SOA ns1.example.test. hostmaster.example.test. 7 3600 600 1209600 60";

fn world() -> World {
    let mut world = World::default();
    world.zone("example.test.").records(
        "example.test.",
        "@ MX 10 mail
         @ TXT apex
         ns1 A 192.0.2.1
         ns1 AAAA 2001:db8::1
         mail A 192.0.2.2
         www A 192.0.2.3
         www A 192.0.2.4
         alias CNAME www
         ALIAS2 CNAME Alias
         outside CNAME elsewhere.test.
         nowhere CNAME missing
         notype CNAME text
         text TXT hello
         loop CNAME pool
         pool CNAME loop
         self CNAME self
         a.b.c A 192.0.2.5
         *.wild A 192.0.2.6
         *.wild TXT star
         explicit.wild TXT only
         x.ent.wild TXT deep
         *.aliases CNAME www
         sub.*.half A 192.0.2.7
         child NS ns.child
         child NS ns.elsewhere.test.
         child DS 12345 13 2 aa00000000000000000000000000000000000000000000000000000000000000
         ns.child A 192.0.2.53
         www.child A 192.0.2.54
         mx2 MX 10 mail
         mx2 MX 20 www.child
         nullmx MX 0 .
         _sip._tcp SRV 0 5 5060 www
         svc HTTPS 1 . alpn=h2
         svc A 192.0.2.8
         into CNAME www.child",
    );
    world
}

fn assert_table(world: &World, table: &[(&str, RecordType, &str)]) {
    let snapshot = world.snapshot();
    for (owner, rtype, expected) in table {
        let answer = ask(&snapshot, owner, *rtype);
        assert_eq!(line(&answer), expected.replace("SOA!", SOA), "{owner} {rtype}");
        assert_eq!((answer.scope, answer.credit), (0, None), "{owner} {rtype}");
    }
}

#[test]
fn exact_names_give_their_records_and_the_apex_speaks_for_the_zone() {
    assert_table(
        &world(),
        &[
            ("www.example.test.", RecordType::A, "NOERROR aa | ? 300 A 192.0.2.3 & 192.0.2.4"),
            ("www.example.test.", RecordType::AAAA, "NOERROR aa | | SOA!"),
            ("example.test.", RecordType::TXT, "NOERROR aa | ? 300 TXT \"apex\""),
            (
                "example.test.",
                RecordType::SOA,
                "NOERROR aa | ? 300 SOA ns1.example.test. hostmaster.example.test. 7 3600 600 1209600 60",
            ),
            (
                "example.test.",
                RecordType::NS,
                "NOERROR aa | ? 300 NS ns1.example.test. & ns2.example.test. | | \
                 ns1.example.test. 300 A 192.0.2.1, ns1.example.test. 300 AAAA 2001:db8::1",
            ),
            ("example.test.", RecordType::DS, "NOERROR aa | | SOA!"),
            ("b.c.example.test.", RecordType::A, "NOERROR aa | | SOA!"),
            ("b.c.example.test.", RecordType::ANY, "NOERROR aa | | SOA!"),
            ("z.b.c.example.test.", RecordType::A, "NXDOMAIN aa | | SOA!"),
            ("missing.example.test.", RecordType::A, "NXDOMAIN aa | | SOA!"),
            ("a.a.a.a.a.a.a.a.example.test.", RecordType::A, "NXDOMAIN aa | | SOA!"),
            ("www.example.test.", RecordType::ANY, "NOERROR aa | ? 3600 HINFO \"RFC8482\" \"\""),
        ],
    );
}

#[test]
fn wildcards_stand_for_what_is_not_there_and_for_nothing_else() {
    assert_table(
        &world(),
        &[
            ("any.wild.example.test.", RecordType::A, "NOERROR aa | ? 300 A 192.0.2.6"),
            ("a.b.wild.example.test.", RecordType::A, "NOERROR aa | ? 300 A 192.0.2.6"),
            ("*.wild.example.test.", RecordType::A, "NOERROR aa | ? 300 A 192.0.2.6"),
            ("a.*.wild.example.test.", RecordType::A, "NXDOMAIN aa | | SOA!"),
            ("any.wild.example.test.", RecordType::AAAA, "NOERROR aa | | SOA!"),
            ("any.wild.example.test.", RecordType::ANY, "NOERROR aa | ? 3600 HINFO \"RFC8482\" \"\""),
            ("wild.example.test.", RecordType::A, "NOERROR aa | | SOA!"),
            ("explicit.wild.example.test.", RecordType::A, "NOERROR aa | | SOA!"),
            ("below.explicit.wild.example.test.", RecordType::A, "NXDOMAIN aa | | SOA!"),
            ("ent.wild.example.test.", RecordType::A, "NOERROR aa | | SOA!"),
            ("y.ent.wild.example.test.", RecordType::A, "NXDOMAIN aa | | SOA!"),
            ("any.half.example.test.", RecordType::A, "NOERROR aa | | SOA!"),
            (
                "any.aliases.example.test.",
                RecordType::A,
                "NOERROR aa | ? 300 CNAME www.example.test., www.example.test. 300 A 192.0.2.3 & 192.0.2.4",
            ),
        ],
    );
}

#[test]
fn delegations_refer_with_glue_and_hide_what_is_below() {
    let referral = "NOERROR - | | child.example.test. 300 NS ns.child.example.test. & ns.elsewhere.test. | \
                    ns.child.example.test. 300 A 192.0.2.53";
    assert_table(
        &world(),
        &[
            ("child.example.test.", RecordType::A, referral),
            ("child.example.test.", RecordType::NS, referral),
            ("child.example.test.", RecordType::ANY, referral),
            ("www.child.example.test.", RecordType::A, referral),
            ("ns.child.example.test.", RecordType::A, referral),
            ("a.b.c.child.example.test.", RecordType::DS, referral),
            (
                "child.example.test.",
                RecordType::DS,
                "NOERROR aa | ? 300 DS 12345 13 2 aa00000000000000000000000000000000000000000000000000000000000000",
            ),
            (
                "into.example.test.",
                RecordType::A,
                "NOERROR aa | ? 300 CNAME www.child.example.test. | child.example.test. 300 NS \
                 ns.child.example.test. & ns.elsewhere.test. | ns.child.example.test. 300 A 192.0.2.53",
            ),
        ],
    );
}

#[test]
fn aliases_are_followed_through_our_zones_and_loops_end() {
    let www = "www.example.test. 300 A 192.0.2.3 & 192.0.2.4";
    assert_table(
        &world(),
        &[
            ("alias.example.test.", RecordType::CNAME, "NOERROR aa | ? 300 CNAME www.example.test."),
            ("alias.example.test.", RecordType::A, &format!("NOERROR aa | ? 300 CNAME www.example.test., {www}")),
            (
                "alias2.example.test.",
                RecordType::A,
                &format!(
                    "NOERROR aa | ? 300 CNAME alias.example.test., alias.example.test. 300 CNAME www.example.test., {www}"
                ),
            ),
            ("outside.example.test.", RecordType::A, "NOERROR aa | ? 300 CNAME elsewhere.test."),
            ("nowhere.example.test.", RecordType::A, "NXDOMAIN aa | ? 300 CNAME missing.example.test. | SOA!"),
            ("notype.example.test.", RecordType::A, "NOERROR aa | ? 300 CNAME text.example.test. | SOA!"),
            ("self.example.test.", RecordType::A, "NOERROR aa | ? 300 CNAME self.example.test."),
            (
                "loop.example.test.",
                RecordType::A,
                "NOERROR aa | ? 300 CNAME pool.example.test., pool.example.test. 300 CNAME loop.example.test.",
            ),
        ],
    );
}

#[test]
fn a_chain_ends_after_eight_aliases() {
    let mut world = World::default();
    world.zone("example.test.");
    for n in 0..20 {
        world.records("example.test.", &format!("c{n} CNAME c{}", n + 1));
    }
    assert_eq!(ask(&world.snapshot(), "c0.example.test.", RecordType::A).answer.len(), 8);
}

#[test]
fn hosts_that_records_point_to_come_along() {
    assert_table(
        &world(),
        &[
            (
                "example.test.",
                RecordType::MX,
                "NOERROR aa | ? 300 MX 10 mail.example.test. | | mail.example.test. 300 A 192.0.2.2",
            ),
            (
                "mx2.example.test.",
                RecordType::MX,
                "NOERROR aa | ? 300 MX 10 mail.example.test. & 20 www.child.example.test. | | \
                 mail.example.test. 300 A 192.0.2.2",
            ),
            ("nullmx.example.test.", RecordType::MX, "NOERROR aa | ? 300 MX 0 ."),
            (
                "_sip._tcp.example.test.",
                RecordType::SRV,
                "NOERROR aa | ? 300 SRV 0 5 5060 www.example.test. | | \
                 www.example.test. 300 A 192.0.2.3 & 192.0.2.4",
            ),
            (
                "svc.example.test.",
                RecordType::HTTPS,
                "NOERROR aa | ? 300 HTTPS 1 . alpn=\"h2\" | | svc.example.test. 300 A 192.0.2.8",
            ),
        ],
    );
}

#[test]
fn names_and_types_that_are_not_ours_are_refused() {
    let world = world();
    let snapshot = world.snapshot();
    for (owner, rtype, error) in [
        ("other.test.", RecordType::A, Some(20)),
        ("test.", RecordType::SOA, Some(20)),
        (".", RecordType::NS, Some(20)),
        ("wwwexample.test.", RecordType::A, Some(20)),
        ("example.test.", RecordType(252), None),
        ("example.test.", RecordType::OPT, None),
    ] {
        let answer = ask(&snapshot, owner, rtype);
        assert_eq!((line(&answer).as_str(), answer.extended_error), ("REFUSED -", error), "{owner} {rtype}");
    }
    for wire in [&b""[..], b"\x03abc", b"\x41", b"\xc0\x0c\x00"] {
        let question = Question { name: wire, rtype: RecordType::A };
        let answer = answer(&snapshot, &question, &client(None), 0, &mut Entropy::new(0));
        assert_eq!(answer.rcode, Rcode::Refused);
    }
}

#[test]
fn the_deepest_zone_answers_but_for_the_delegation_above_it() {
    let mut world = World::default();
    world.zone("test.").zone("b.test.");
    world.records("test.", "b NS ns.b\nb DS 1 13 2 aa00000000000000000000000000000000000000000000000000000000000000");
    world.records("test.", "x.b TXT hidden");
    world.records("b.test.", "www A 192.0.2.1\nc CNAME d.test.");
    world.records("test.", "d A 192.0.2.9");
    let snapshot = world.snapshot();
    let rows = [
        ("www.b.test.", RecordType::A, "NOERROR aa | ? 300 A 192.0.2.1"),
        ("b.test.", RecordType::NS, "NOERROR aa | ? 300 NS ns1.b.test. & ns2.b.test."),
        ("c.b.test.", RecordType::A, "NOERROR aa | ? 300 CNAME d.test., d.test. 300 A 192.0.2.9"),
        (
            "b.test.",
            RecordType::DS,
            "NOERROR aa | ? 300 DS 1 13 2 aa00000000000000000000000000000000000000000000000000000000000000",
        ),
    ];
    for (owner, rtype, expected) in rows {
        assert_eq!(line(&ask(&snapshot, owner, rtype)), expected);
    }
    assert!(line(&ask(&snapshot, "x.b.test.", RecordType::TXT)).starts_with("NXDOMAIN aa | | b.test. 60 SOA"));
    let mut root = World::default();
    root.zone(".").records(".", "com NS ns.com.");
    let snapshot = root.snapshot();
    assert!(line(&ask(&snapshot, ".", RecordType::SOA)).starts_with("NOERROR aa | ? 300 SOA"));
    assert_eq!(line(&ask(&snapshot, "a.com.", RecordType::A)), "NOERROR - | | com. 300 NS ns.com.");
    assert!(line(&ask(&snapshot, "org.", RecordType::A)).starts_with("NXDOMAIN aa"));
}

#[test]
fn a_disabled_record_set_does_not_exist() {
    let mut world = world();
    for (key, set) in &mut world.model.records {
        if key.name == name("www.example.test.") {
            Arc::make_mut(set).enabled = false;
        }
    }
    let snapshot = world.snapshot();
    assert_eq!(ask(&snapshot, "www.example.test.", RecordType::A).rcode, Rcode::NxDomain);
    assert_eq!(ask(&snapshot, "alias.example.test.", RecordType::A).rcode, Rcode::NxDomain);
}

#[test]
fn records_under_a_steered_name_stand_by_and_other_types_are_served() {
    let mut world = world();
    world.pools(&["eu"]).records("example.test.", "www TXT beside\nmoved CNAME www");
    world.policy("web", "www.example.test.", vec![rule(&[], &["weighted eu=100"], "serve_anyway")]);
    world.policy("moved", "moved.example.test.", vec![rule(&[], &["weighted eu=100"], "serve_anyway")]);
    let rows = [
        ("www.example.test.", RecordType::A, "NOERROR aa | ? 30 A 192.0.2.1"),
        ("www.example.test.", RecordType::AAAA, "NOERROR aa | ? 30 AAAA 2001:db8::1"),
        ("www.example.test.", RecordType::TXT, "NOERROR aa | ? 300 TXT \"beside\""),
        ("www.example.test.", RecordType::ANY, "NOERROR aa | ? 3600 HINFO \"RFC8482\" \"\""),
        ("moved.example.test.", RecordType::A, "NOERROR aa | ? 30 A 192.0.2.1"),
        // A steered target is left for the resolver to ask.
        ("alias.example.test.", RecordType::A, "NOERROR aa | ? 300 CNAME www.example.test."),
    ];
    let snapshot = world.snapshot();
    for (owner, rtype, expected) in rows {
        assert_eq!(line(&ask(&snapshot, owner, rtype)), expected, "{owner} {rtype}");
    }
    assert!(line(&ask(&snapshot, "www.example.test.", RecordType::MX)).contains("SOA"));
    let srv = ask(&snapshot, "_sip._tcp.example.test.", RecordType::SRV);
    assert!(srv.additional.is_empty());

    world.edit_policy("web").enabled = false;
    world.edit_policy("moved").enabled = false;
    let snapshot = world.snapshot();
    let standby = ask(&snapshot, "www.example.test.", RecordType::A);
    assert_eq!(line(&standby), "NOERROR aa | ? 300 A 192.0.2.3 & 192.0.2.4");
    assert_eq!(standby.credit, None);
    assert_eq!(ask(&snapshot, "moved.example.test.", RecordType::A).answer.len(), 2);
}

#[test]
fn a_steered_wildcard_answers_for_names_that_are_not_there() {
    let mut world = world();
    world.pools(&["eu"]);
    world.policy("web", "*.app.example.test.", vec![rule(&[], &["weighted eu=100"], "serve_anyway")]);
    let snapshot = world.snapshot();
    let answer = ask(&snapshot, "customer.app.example.test.", RecordType::A);
    assert_eq!(line(&answer), "NOERROR aa | ? 30 A 192.0.2.1");
    let audience = snapshot.audiences().iter().position(|audience| audience.pool.is_some()).unwrap() as u32;
    assert_eq!(answer.credit, Some(Credit { audience, pool: Some(0), releases_hold: false }));
    assert_eq!(line(&ask(&snapshot, "app.example.test.", RecordType::A)), format!("NOERROR aa | | {SOA}"));
}

#[test]
fn a_steered_alias_is_answered_alone_for_every_type() {
    let mut world = world();
    world.endpoint("cdn", &["cdn.example.net."]).pool("cdn", &["cdn"]);
    world.policy("web", "cdn.example.test.", vec![rule(&[], &["weighted cdn=100"], "serve_anyway")]).attach[0].types =
        vec![RecordType::CNAME];
    let snapshot = world.snapshot();
    for rtype in [RecordType::A, RecordType::AAAA, RecordType::CNAME, RecordType::TXT] {
        let answer = ask(&snapshot, "cdn.example.test.", rtype);
        assert_eq!(line(&answer), "NOERROR aa | ? 30 CNAME cdn.example.net.");
    }
}

#[test]
fn a_change_of_one_zone_compiles_no_other() {
    let mut world = world();
    world.zone("other.test.").records("other.test.", "www A 192.0.2.1");
    let before = world.snapshot();
    world.records("other.test.", "new A 192.0.2.2");
    let after = Snapshot::compile(&Arc::new(world.model.clone()), before.geo(), &world.health, Some(&before));
    let table = |snapshot: &Snapshot, owner: &str| {
        let owner = name(owner);
        let suffixes = Suffixes::of(owner.as_wire(), snapshot.zones().seed()).unwrap();
        std::ptr::from_ref(snapshot.zones().find(&suffixes, RecordType::A).unwrap())
    };
    assert_eq!(table(&before, "example.test."), table(&after, "example.test."));
    assert_ne!(table(&before, "other.test."), table(&after, "other.test."));
    assert_eq!(line(&ask(&after, "new.other.test.", RecordType::A)), "NOERROR aa | ? 300 A 192.0.2.2");
    assert_eq!(after.names(), before.names() + 1);
}

#[test]
fn a_target_in_capitals_is_found() {
    let mut world = world();
    let target = Rdata::from_wire(b"\x03WwW\x07EXAMPLE\x04test\x00");
    world.record("example.test.", name("shout.example.test."), RecordType::CNAME, target);
    let answer_count = ask(&world.snapshot(), "shout.example.test.", RecordType::A).answer.len();
    assert_eq!(answer_count, 2);
    let snapshot = world.snapshot();
    let again = ask_from(&snapshot, "shout.example.test.", RecordType::A, &client(None), &mut Entropy::new(2));
    assert!(line(&again).ends_with("300 A 192.0.2.3 & 192.0.2.4"));
}
