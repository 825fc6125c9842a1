//! Files that people have, files that are wrong, and the way there and back.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::{Edit, FieldError, Id, Kind, Model, Name, Rdata, RecordType, Zone};

fn id() -> Id<Zone> {
    "example".parse().unwrap()
}

fn nothing_steered(_: &Name, _: RecordType) -> Now {
    Now { ttl: 30, values: Vec::new() }
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// The model that a file makes out of nothing.
fn read(text: &str) -> Model {
    let imported = import(text, &id(), None).unwrap_or_else(|errors| panic!("{:#?}", texts(&errors)));
    let checked = Model::empty().check(&imported.changes(&Model::empty(), Standby::Kept).edits);
    checked.unwrap_or_else(|errors| panic!("{:#?}", texts(&errors))).model
}

const FILE: &str = r#"
$ORIGIN example.test. ; the zone
$TTL 1h
@       IN SOA ns1 hostmaster (
                2026010100 ; serial
                3600 600   ; refresh, retry
                2w 60 )
        IN NS  ns1
           NS  ns2.other.test.
ns1     A   192.0.2.53
www 60  IN A 192.0.2.2
    IN 60 A 192.0.2.1
    60 A    192.0.2.1
text    TXT "a;b" "c \" d" \e
*.wild  CNAME www
$ORIGIN sub.example.test.
host    AAAA 2001:db8::1
        TYPE65280 \# 2 ( 0a
                        0b )
@       MX 10 host
child   NS ns.child
ns.child A 192.0.2.99
"#;

#[test]
fn a_file_is_read_as_rfc_1035_section_5_says_and_written_in_canonical_order() {
    let written = export(&read(FILE), &id(), Rules::Told, nothing_steered).unwrap();
    let (header, content) = written.split_once("\n\n").unwrap();
    assert_eq!(
        content,
        r#"$ORIGIN example.test.
$TTL 3600
@ IN SOA ns1.example.test. hostmaster.example.test. 2026010100 3600 600 1209600 60
@ IN NS ns1.example.test.
@ IN NS ns2.other.test.
ns1 IN A 192.0.2.53
sub IN MX 10 host.sub.example.test.
child.sub IN NS ns.child.sub.example.test.
ns.child.sub IN A 192.0.2.99
host.sub IN AAAA 2001:db8::1
host.sub IN TYPE65280 \# 2 0a0b
text IN TXT "a;b" "c \" d" "e"
*.wild IN CNAME www.example.test.
www 60 IN A 192.0.2.1
www 60 IN A 192.0.2.2
"#
    );
    assert!(header.starts_with("; Zone example.test., serial 2026010100, version 1.\n; SHA-256 of"), "{header}");
    assert_eq!(export(&read(&written), &id(), Rules::Told, nothing_steered).unwrap(), written);
}

#[test]
fn every_wrong_line_is_told_at_once() {
    let text = "$TTL 300\n@ SOA ns1 x 1 1 1 1 1\nwww A 192.0.2.300\n\"open\nwww (\nA 192.0.2.1\n";
    let apex: Name = "example.test.".parse().unwrap();
    let errors = import(text, &id(), Some(&apex)).unwrap_err();
    assert_eq!(
        texts(&errors),
        [
            "line 3: \"192.0.2.300\" is not an IPv4 address; use one such as 192.0.2.10",
            "line 4: a quote is not closed on its line; add \", and write a line feed as \\010",
            "line 5: \"(\" is never closed; add \")\"",
        ]
    );
    for (line, error) in [
        (" A 192.0.2.1", "no owner stands here or above; begin the line with a name"),
        (
            "$INCLUDE /etc/passwd",
            "$INCLUDE is refused, because it would read files of this server; put the records into this file",
        ),
        ("$ORIGIN", "$ORIGIN takes one argument; write it as in $ORIGIN example.com."),
        ("$TTL soon", "\"soon\" is not a time span; use seconds, or units as in 1h30m"),
        ("$X 1", "\"$X\" is not a directive; use $ORIGIN, $TTL or $GENERATE"),
        ("www", "the type is missing; write a record as in www 300 IN A 192.0.2.10"),
        ("www CH TXT x", "class CH is not served; use IN"),
        (
            "www IN ADDRESS 192.0.2.1",
            "\"ADDRESS\" stands where the type belongs; write a record as in www 300 IN A 192.0.2.10",
        ),
        ("www 9999999 A 192.0.2.1", "a TTL of 9999999 s is too long; use at most 604800, a week"),
        ("www.other.test. A 192.0.2.1", "www.other.test. is outside zone example.test.; remove it, or correct $ORIGIN"),
        ("sub SOA ns1 x 1 1 1 1 1", "SOA of sub.example.test. stands in zone example.test.; import one zone at a time"),
        ("a..b A 192.0.2.1", "\"a..b\" has an empty label; write one dot between labels"),
    ] {
        let errors = import(line, &id(), Some(&apex)).unwrap_err();
        assert_eq!(texts(&errors), [format!("line 1: {error}")], "{line}");
    }
    let twice = "@ SOA ns1 x 1 1 1 1 1\n@ SOA ns1 x 2 1 1 1 1";
    assert_eq!(
        texts(&import(twice, &id(), Some(&apex)).unwrap_err()),
        ["line 2: a second SOA record; line 1 has one, keep one"]
    );
    let unnamed = import("a. A 192.0.2.1", &id(), None).unwrap_err();
    assert_eq!(
        texts(&unnamed),
        ["file: has no SOA record, so that the zone's name is not known; add the SOA record, or name the zone"]
    );
}

#[test]
fn signatures_and_second_ttls_are_left_out_and_told() {
    let apex: Name = "example.test.".parse().unwrap();
    let text = "@ NSEC3PARAM 1 0 0 -\nwww 60 A 192.0.2.1\nwww 30 A 192.0.2.2\n";
    let imported = import(text, &id(), Some(&apex)).unwrap();
    assert_eq!(
        texts(&imported.left_out),
        [
            "line 3: has another TTL than the records beside it; one set has one TTL: 30 s is taken (RFC 2181 section 5.2)",
            "line 1: NSEC3PARAM is left out, with 1 record in all; DNSSEC data is made anew by the server that signs the zone",
        ]
    );
    assert_eq!(imported.record_sets(), 1);
}

/// As `ldns-signzone` writes a zone, and as `dnssec-signzone` does, with parentheses and with owners left out.
#[test]
fn a_signed_zone_is_read_without_its_signatures() {
    let apex: Name = "signed.test.".parse().unwrap();
    let imported = import(include_str!("../../../tests/data/signed.zone"), &id(), Some(&apex)).unwrap();
    let sets: Vec<&str> = imported.sets.iter().map(|edit| edit.id.as_str()).collect();
    assert_eq!(
        sets,
        ["example/child/NS", "example/child/DS", "example/ns.child/A", "example/ns1/A", "example/www/A"],
        "{:?}",
        texts(&imported.left_out)
    );
    let told: Vec<&str> = imported.left_out.iter().map(|told| told.problem.as_str()).collect();
    assert_eq!(
        told,
        [
            "RRSIG is left out, with 11 records in all",
            "DNSKEY is left out, with 1 record in all",
            "NSEC3 is left out, with 4 records in all",
            "NSEC3PARAM is left out, with 1 record in all",
        ]
    );
    let text = r"
; dnssec_signzone version 9.18.28
signed.test.            3600    IN SOA  ns1.signed.test. host.signed.test. (
                                        2026010101 ; serial
                                        3600 600 1209600 60 )
                        3600    RRSIG   SOA 13 2 3600 (
                                        20261220062528 20261122062528 40300 signed.test.
                                        jTdxKvNyiNRqCboExNuvUcd/YCvKFtgh6DIFAdEW8okj
                                        xHsTiOeLsfjvpa5jYHYXxSnCpQE89nRvV30TnFDWDw== )
                        3600    NS      ns1.signed.test.
                        60      NSEC    www.signed.test. NS SOA RRSIG NSEC DNSKEY CDS CDNSKEY
                        0       CDS     40300 13 2 (
                                        49FD46E6C4B45C55D4AC69CBD3CD34AC1AFE51DE51DE51DE51DE51DE51DE51DE )
                        0       CDNSKEY 257 3 13 (
                                        wjIBIykmyrqkddio8zUM ) ; KSK; alg = ECDSAP256SHA256 ; key id = 40300
www.signed.test.        3600    IN A    192.0.2.1
                        3600    RRSIG   A 13 3 3600 20261220062528 20261122062528 40300 signed.test. AAAA
";
    let imported = import(text, &id(), Some(&apex)).unwrap();
    let sets: Vec<&str> = imported.sets.iter().map(|edit| edit.id.as_str()).collect();
    assert_eq!((sets, imported.left_out.len()), (vec!["example/www/A"], 4));
    let wrong = "www 9999999 RRSIG A\nwww.other. RRSIG A\na..b RRSIG A\n";
    assert_eq!(import(wrong, &id(), Some(&apex)).unwrap_err().len(), 3, "all but the data is read");
}

#[test]
fn an_import_replaces_what_the_zone_held() {
    let model = read(FILE);
    let file =
        "$TTL 1h\n@ SOA ns1 hostmaster 2026010109 3600 600 2w 60\n@ NS ns1\n@ NS ns2.other.test.\nns1 A 192.0.2.53\n";
    let apex = model.zones[&id()].fqdn.clone();
    let edits = import(file, &id(), Some(&apex)).unwrap().changes(&model, Standby::Kept).edits;
    let checked = model.check(&edits).unwrap();
    assert_eq!(checked.model.records.len(), 1);
    assert_eq!(checked.model.zones[&id()].serial, 2_026_010_109);
}

#[test]
fn a_steered_name_is_explained_and_nothing_typed_leaves_its_comment() {
    let edit = |kind, id: &str, value| Edit { kind, id: id.into(), value: Some(value) };
    let edits = [
        edit(Kind::Endpoints, "web", json!({"ipv4": "192.0.2.10"})),
        edit(Kind::Pools, "web", json!({"members": [{"endpoint": "web"}]})),
        edit(Kind::Records, "example/geo/A", json!({"values": ["192.0.2.77"]})),
        edit(
            Kind::Policies,
            "geo",
            json!({
                "attach": [{"zone": "example", "name": "geo.example.test.", "types": ["A"]}],
                "rules": [{"name": "x\nevil A 192.0.2.66", "steps": [{"pools": [{"pool": "web"}]}]}],
            }),
        ),
    ];
    let model = read(FILE).check(&edits).unwrap().model;
    let address = Rdata::parse(RecordType::A, "192.0.2.10", None).unwrap();
    let written = export(&model, &id(), Rules::Told, |_, _| Now { ttl: 30, values: vec![address.clone()] }).unwrap();
    let block = "; geo.example.test. A is steered by policy geo:\n\
                 ;   Everyone else → web; then serve anyway.\n\
                 ; What everyone else gets at the moment:\n\
                 geo 30 IN A 192.0.2.10\n\
                 ; standby: geo IN A 192.0.2.77\n";
    assert!(written.contains(block), "{written}");
    assert!(!written.contains("\nevil"));
    let hidden = export(&model, &id(), Rules::Hidden, |_, _| Now { ttl: 30, values: vec![address.clone()] }).unwrap();
    assert!(hidden.contains("geo 30 IN A 192.0.2.10\n") && !hidden.contains("Everyone else"), "{hidden}");
    let json = export_json(&model, &id()).unwrap();
    assert_eq!(json["policies"]["geo"]["attach"][0]["name"], "geo.example.test.");
    assert_eq!(json["records"].as_array().unwrap().len(), model.records.len());
}

proptest! {
    /// Injection included: the texts hold line feeds, quotes, parentheses and semicolons.
    #[test]
    fn what_is_exported_imports_again(
        texts in prop::collection::btree_map("[a-z]{1,5}(\\.[a-z\\$@;()\"]{1,4})?", (prop::collection::vec(any::<u8>(), 0..50), prop::option::of(0..1000_u32)), 1..8),
    ) {
        let mut edits = Vec::new();
        for (name, (bytes, ttl)) in &texts {
            let value = Rdata::from_wire(&[&[bytes.len() as u8], bytes.as_slice()].concat()).present(RecordType::TXT);
            let value = Some(json!({"values": [value], "ttl": ttl}));
            edits.push(Edit { kind: Kind::Records, id: format!("example/{name}/TXT"), value });
        }
        let model = read(FILE).check(&edits).unwrap_or_else(|errors| panic!("{errors:?}")).model;
        let again = read(&export(&model, &id(), Rules::Told, nothing_steered).unwrap());
        prop_assert_eq!(again.records.len(), model.records.len());
        for (key, set) in &model.records {
            let other = &again.records[key];
            prop_assert_eq!((&other.values, other.ttl), (&set.values, set.ttl));
        }
        let (zone, other) = (&model.zones[&id()], &again.zones[&id()]);
        prop_assert_eq!((&zone.soa, &zone.ns, zone.serial, zone.default_ttl), (&other.soa, &other.ns, other.serial, other.default_ttl));
    }

    #[test]
    fn no_file_makes_the_import_panic(text in "[ -~\n\t\r\"();$@é]{0,200}") {
        let apex: Name = "example.test.".parse().unwrap();
        let _ = import(&text, &id(), Some(&apex)).map(|imported| Model::empty().check(&imported.changes(&Model::empty(), Standby::Kept).edits).is_ok());
    }
}
