//! What a check accepts, what it refuses and in which words.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn edit(kind: Kind, id: &str, value: Value) -> Edit {
    Edit { kind, id: id.into(), value: (!value.is_null()).then_some(value) }
}

fn example() -> Model {
    let pool = |endpoint: &str, country: &str| json!({"country": country, "members": [{"endpoint": endpoint}], "monitors": [{"monitor": "web"}]});
    let step = |pool: &str| json!({"pools": [{"pool": pool}]});
    let edits = [
        edit(Kind::Monitors, "web", json!({"type": "tcp", "port": 443})),
        edit(Kind::Regions, "german", json!({"include": ["country:DE", "country:AT"]})),
        edit(Kind::Regions, "office", json!({"include": ["cidr:10.1.0.0/16"]})),
        edit(Kind::Endpoints, "de-1", json!({"ipv4": "192.0.2.10", "ipv6": "2001:db8::10"})),
        edit(Kind::Endpoints, "us-1", json!({"ipv4": "192.0.2.20"})),
        edit(Kind::Endpoints, "cdn", json!({"cname": "x.cdn.test."})),
        edit(Kind::Pools, "de", pool("de-1", "DE")),
        edit(Kind::Pools, "us", pool("us-1", "US")),
        edit(Kind::Pools, "cdn", json!({"members": [{"endpoint": "cdn"}]})),
        edit(
            Kind::Policies,
            "shop",
            json!({
                "attach": [{"zone": "example", "name": "shop.example.test."}],
                "rules": [
                    {"regions": ["eu"], "steps": [step("de")], "residency_lock": "eu"},
                    {"steps": [step("us"), step("de")]},
                ],
            }),
        ),
        edit(Kind::Zones, "example", json!({"fqdn": "example.test", "ns": ["ns1.example.test.", "ns2.other.test."]})),
        edit(Kind::Records, "example/ns1/A", json!({"values": ["192.0.2.53"]})),
        edit(Kind::Records, "example/www/A", json!({"values": ["192.0.2.2", "192.0.2.1", "192.0.2.1"], "ttl": 60})),
    ];
    Model::empty().check(&edits).unwrap_or_else(|errors| panic!("{errors:?}")).model
}

fn refused(model: &Model, edits: &[Edit]) -> Vec<String> {
    let errors = model.check(edits).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn what_was_checked_loads_from_its_own_document() {
    let model = example();
    let entities = Kind::ALL
        .into_iter()
        .flat_map(|kind| model.ids(kind).into_iter().map(move |id| (kind, id)).collect::<Vec<_>>());
    let stored = entities.map(|(kind, id)| (kind, id.clone(), model.entity(kind, &id).unwrap().to_string().into()));
    let loaded = Model::load(model.revision, stored).unwrap();
    assert_eq!(loaded.document(), model.document());
    assert_eq!(loaded.revision, 1);
    let edits = model.edits_to(&model.document()).unwrap();
    assert_eq!(model.check(&edits).unwrap().changes, []);
    assert_eq!(model.records.values().next_back().unwrap().values.len(), 2);
}

#[test]
fn every_error_of_every_edit_is_told_at_once() {
    let errors = refused(
        &example(),
        &[
            edit(Kind::Zones, "Bad Id", json!({})),
            edit(Kind::Records, "example/www/A", json!({"values": ["192.0.2.1", "nonsense"], "ttl": -1})),
            edit(Kind::Records, "example/www/A", json!({"values": ["192.0.2.1"]})),
            edit(Kind::Records, "other/www/A", json!({"values": ["192.0.2.1"]})),
            edit(Kind::Records, "example/gone/A", Value::Null),
            edit(
                Kind::Records,
                "example/x/TXT",
                json!({"values": [], "name": "y", "note": "x".repeat(1001), "tags": [""]}),
            ),
            edit(Kind::Regions, "eu", json!({"include": ["country:DE"]})),
        ],
    );
    assert_eq!(
        errors,
        [
            "zones/Bad Id: \"Bad Id\" is not an id; use 1 to 63 of a-z, 0-9 and '-'",
            "records/example/www/A ttl: -1 is out of range; use a whole number from 0 to 604800",
            "records/example/www/A values[1]: \"nonsense\" is not an IPv4 address; use one such as 192.0.2.10",
            "records/example/www/A: is edited twice at once; send one edit of it",
            "records/other/www/A: zone \"other\" does not exist; create it first",
            "records/example/gone/A: does not exist; look up its id in the list; there is nothing to delete",
            "records/example/x/TXT note: 1001 characters are too many; use at most 1000",
            "records/example/x/TXT tags[0]: \"\" is not a tag; use 1 to 40 characters",
            "records/example/x/TXT name: \"y\" differs from the id; leave it out, or write x.example.test.",
            "records/example/x/TXT values: is empty; give at least one, such as \"v=spf1 mx -all\"",
            "regions/eu: eu is built in; copy it under another id",
        ]
    );
}

/// The policy of `example`, with some fields different.
fn shop(changes: Value) -> Edit {
    let mut value = example().entity(Kind::Policies, "shop").unwrap();
    for (name, field) in changes.as_object().unwrap() {
        value[name] = field.clone();
    }
    edit(Kind::Policies, "shop", value)
}

fn rules(rules: Value) -> Edit {
    shop(json!({"rules": rules}))
}

fn step(pool: &str) -> Value {
    json!({"pools": [{"pool": pool}]})
}

fn record(id: &str, value: &str) -> Edit {
    edit(Kind::Records, id, json!({"values": [value]}))
}

fn zone(id: &str, fqdn: &str) -> Edit {
    edit(Kind::Zones, id, json!({"fqdn": fqdn, "ns": ["ns1.other.test.", "ns2.other.test."]}))
}

fn delete(kind: Kind, id: &str) -> Edit {
    edit(kind, id, Value::Null)
}

#[test]
fn what_must_not_be_is_refused_with_a_remedy() {
    let everyone = json!({"steps": [step("us")]});
    let example = example();
    let table: Vec<(Vec<Edit>, &[&str])> = vec![
        // References.
        (
            vec![delete(Kind::Pools, "de")],
            &[
                "pools/de: is still used by policies/shop rules[0].steps[0].pools[0].pool, policies/shop rules[1].steps[1].pools[0].pool; detach it there first, or delete both in one change",
            ],
        ),
        (
            vec![delete(Kind::Zones, "example")],
            &[
                "zones/example: is still used by policies/shop attach[0].zone, records/example/ns1/A, records/example/www/A; detach it there first, or delete both in one change",
            ],
        ),
        (
            vec![rules(json!([{"steps": [step("gone")]}]))],
            &[
                "policies/shop rules[0].steps[0].pools[0].pool: pool \"gone\" does not exist; create it first, or in the same change",
            ],
        ),
        (
            vec![
                edit(Kind::Regions, "a", json!({"include": ["region:b"]})),
                edit(Kind::Regions, "b", json!({"include": ["region:a"]})),
            ],
            &[
                "regions/a include: goes in a circle: a → b → a; nest at most 4 deep, without a cycle",
                "regions/b include: goes in a circle: b → a → b; nest at most 4 deep, without a cycle",
            ],
        ),
        (
            vec![edit(Kind::Endpoints, "us-1", json!({"ipv4": "192.0.2.20", "depends_on": ["us-1"]}))],
            &["endpoints/us-1 depends_on: goes in a circle: us-1 → us-1; take one of them out of the circle"],
        ),
        (
            vec![edit(Kind::Regions, "x", json!({"include": ["country:XX"]}))],
            &["regions/x include[0]: XX is not a country; use an ISO 3166-1 code such as DE or US"],
        ),
        // Zones.
        (
            vec![zone("again", "example.test")],
            &["zones/again fqdn: example.test. is zone example already; edit that zone"],
        ),
        (
            vec![edit(Kind::Zones, "new-test", json!({"fqdn": "new.test"}))],
            &["zones/new-test ns: is empty; name the zone's servers, such as ns1.example.com."],
        ),
        (
            vec![zone("example", "other.test")],
            &[
                "zones/example fqdn: changes from example.test. to other.test.; create a zone for the new name; this one keeps its own",
            ],
        ),
        // Names.
        (
            vec![record("example/www.other.test./A", "192.0.2.1")],
            &[
                "records/example/www.other.test./A: www.other.test. is outside zone example.test.; put it into its own zone",
            ],
        ),
        (
            vec![record("example/www/CNAME", "other")],
            &["records/example/www/CNAME: stands beside A of the same name; keep the CNAME alone, or remove it"],
        ),
        (
            vec![record("example/@/CNAME", "other")],
            &[
                "records/example/@/CNAME: the apex has SOA and NS, and a CNAME stands alone; use A and AAAA, or steer the apex by a policy with address endpoints",
            ],
        ),
        (
            vec![record("example/@/NS", "ns1")],
            &["records/example/@/NS: the zone's own NS set is made from its field ns; edit ns of zones/example"],
        ),
        (
            vec![record("example/x/SOA", ". . 1 1 1 1 1")],
            &["records/example/x/SOA: SOA is made from the zone's fields; edit soa of zones/example"],
        ),
        (
            vec![record("example/x/ANY", "\\# 0")],
            &["records/example/x/ANY: ANY is not a type of data; use a type such as A or TXT"],
        ),
        (
            vec![record("example/x/RRSIG", "\\# 0")],
            &["records/example/x/RRSIG: RRSIG is made by signing the zone; leave it out"],
        ),
        (
            vec![edit(Kind::Records, "example/x/CNAME", json!({"values": ["a", "b"]}))],
            &[
                "records/example/x/CNAME values: has 2 values; an alias points to one name; to share traffic, use a policy",
            ],
        ),
        (
            vec![record("example/x/CNAME", "www"), record("example/mail/MX", "10 x")],
            &[
                "records/example/mail/MX values: x.example.test. is an alias (CNAME); point MX to a name with addresses (RFC 2181 section 10.3)",
            ],
        ),
        (
            vec![record("example/x/CNAME", "y"), record("example/y/CNAME", "x")],
            &[
                "records/example/x/CNAME: goes in a circle: x.example.test. → y.example.test. → x.example.test.; point one of them to a name with addresses",
                "records/example/y/CNAME: goes in a circle: y.example.test. → x.example.test. → y.example.test.; point one of them to a name with addresses",
            ],
        ),
        (
            vec![record("example/d/DNAME", "other.test."), record("example/a.d/A", "192.0.2.1")],
            &[
                "records/example/a.d/A: lies below the DNAME at d.example.test.; remove the DNAME, or move this name (RFC 6672 section 2.4)",
            ],
        ),
        (
            vec![record("example/@/DNAME", "other.test.")],
            &["records/example/@/DNAME: 2 record sets lie below this DNAME; remove them first (RFC 6672 section 2.4)"],
        ),
        (
            vec![record("example/x/DS", "1 13 2 00")],
            &["records/example/x/DS: stands where nothing is delegated; add the NS set of the delegation beside it"],
        ),
        (
            vec![delete(Kind::Records, "example/ns1/A"), record("example/ns1/CNAME", "www")],
            &[
                "zones/example ns[0]: ns1.example.test. is an alias (CNAME); name servers need addresses of their own (RFC 2181 section 10.3)",
            ],
        ),
        (
            vec![record("example/shop/CNAME", "www")],
            &[
                "policies/shop attach: answers A, AAAA at shop.example.test., where fixed CNAME stands; a CNAME stands alone: remove the fixed record set, or steer another name",
            ],
        ),
        // Attachments.
        (
            vec![shop(json!({"attach": [{"zone": "example", "name": "www.other.test."}]}))],
            &[
                "policies/shop attach[0].name: www.other.test. is outside zone example.test.; name its own zone, or a name in this one",
            ],
        ),
        (
            vec![shop(
                json!({"attach": [{"zone": "example", "name": "a.example.test."}, {"zone": "example", "name": "a.example.test.", "types": ["A"]}]}),
            )],
            &["policies/shop attach[1]: a.example.test. A is attached twice, also by attach[0]; keep one"],
        ),
        (
            vec![edit(
                Kind::Policies,
                "two",
                json!({"attach": [{"zone": "example", "name": "shop.example.test.", "types": ["A"]}], "rules": [everyone]}),
            )],
            &[
                "policies/two attach[0]: shop.example.test. is steered by policy shop already; detach it there, or disable one of the two",
            ],
        ),
        (
            vec![edit(
                Kind::Policies,
                "two",
                json!({"attach": [{"zone": "example", "name": "example.test.", "types": ["CNAME"]}], "rules": [{"steps": [step("cdn")]}]}),
            )],
            &[
                "policies/two attach[0].types: the apex cannot be a CNAME (RFC 1034 section 3.6.2); steer A and AAAA there, with address endpoints",
            ],
        ),
        (
            vec![edit(
                Kind::Policies,
                "two",
                json!({"attach": [{"zone": "example", "name": "cdn.example.test.", "types": ["CNAME"]}], "rules": [everyone]}),
            )],
            &[
                "policies/two rules[0].steps[0].pools[0].pool: pool us has endpoint us-1 with addresses; this policy needs pools of cname endpoints only",
            ],
        ),
        (
            vec![rules(json!([{"steps": [step("cdn")]}]))],
            &[
                "policies/shop rules[0].steps[0].pools[0].pool: pool cdn has endpoint cdn with a cname; this policy needs pools of addresses only",
            ],
        ),
        // Rules.
        (
            vec![rules(json!([{"regions": ["eu"], "steps": [step("de")]}]))],
            &[
                "policies/shop rules[0].regions: the last rule names regions; end with a rule without regions: \"everyone else\" cannot be deleted, or clients would get nothing",
            ],
        ),
        (
            vec![edit(Kind::Records, "example/shop/NS", json!({"values": ["ns1.x.test.", "ns2.x.test."]}))],
            &[
                "records/example/shop/NS: hides 1 steered names at and below shop.example.test.; stop steering them first, or delegate another name",
            ],
        ),
        (
            vec![rules(json!([everyone, everyone]))],
            &["policies/shop rules[0].regions: is empty; name at least one; only the last rule is for everyone else"],
        ),
        (
            vec![rules(json!([{"enabled": false, "steps": [step("us")]}]))],
            &[
                "policies/shop rules[0].enabled: the last rule is disabled; enable it: \"everyone else\" always answers; disable the policy to stop steering",
            ],
        ),
        (
            vec![rules(json!([{"steps": [{"pools": [{"pool": "us", "canary": true}]}]}]))],
            &[
                "policies/shop rules[0].steps[0].pools: has only canaries; add a pool that is none: a canary never takes over",
            ],
        ),
        (
            vec![rules(json!([{"steps": [{"pools": [{"pool": "us"}, {"pool": "us"}]}]}]))],
            &[
                "policies/shop rules[0].steps[0].pools[1].pool: us is in this step already; list it once, with the weight it should have",
            ],
        ),
        (
            vec![rules(
                json!([{"regions": ["eu"], "steps": [step("de")]}, {"regions": ["german"], "steps": [step("de")]}, everyone]),
            )],
            &[
                "policies/shop rules[1]: is never reached: rules[0] answer all of its clients; move it above them, or delete it",
            ],
        ),
        (
            vec![rules(
                json!([{"regions": ["office"], "steps": [step("de")]}, {"regions": ["office"], "steps": [step("us")]}, everyone]),
            )],
            &[
                "policies/shop rules[1]: is never reached: rules[0] answer all of its clients; move it above them, or delete it",
            ],
        ),
        (
            vec![rules(
                json!([{"regions": ["eu"], "steps": [step("de")], "last_resort": "pool:us", "residency_lock": "eu"}, everyone]),
            )],
            &[
                "policies/shop rules[0].last_resort: endpoint us-1 of pool us is in US, outside eu; take the pool out of this rule, or let it leave the region",
            ],
        ),
        (
            vec![
                edit(Kind::Regions, "wide", json!({"include": ["cidr:10.0.0.0/8", "country:US"]})),
                edit(Kind::Regions, "in", json!({"include": ["region:office", "subdivision:US-CA"]})),
                rules(
                    json!([{"regions": ["wide"], "steps": [step("de")]}, {"regions": ["in"], "steps": [step("us")]}, everyone]),
                ),
            ],
            &[
                "policies/shop rules[1]: is never reached: rules[0] answer all of its clients; move it above them, or delete it",
            ],
        ),
        // An exception leaves something: neither is refused.
        (
            vec![rules(
                json!([{"regions": ["eu"], "except_regions": ["office"], "steps": [step("de")]}, {"regions": ["german"], "steps": [step("us")]}, everyone]),
            )],
            &[],
        ),
        (
            vec![
                edit(Kind::Regions, "most", json!({"include": ["continent:EU"], "except": ["country:AT"]})),
                rules(
                    json!([{"regions": ["most"], "steps": [step("de")]}, {"regions": ["german"], "steps": [step("us")]}, everyone]),
                ),
            ],
            &[],
        ),
        (
            vec![
                edit(Kind::Regions, "most", json!({"include": ["continent:EU"], "except": ["country:DE"]})),
                rules(json!([{"regions": ["eu"], "steps": [step("de")], "residency_lock": "most"}, everyone])),
            ],
            &[
                "policies/shop rules[0].steps[0].pools[0].pool: endpoint de-1 of pool de is in DE, outside most; take the pool out of this rule, or let it leave the region",
            ],
        ),
        // A lock holds against edits of what it locks, too.
        (
            vec![edit(Kind::Pools, "de", json!({"members": [{"endpoint": "de-1"}]}))],
            &[
                "policies/shop rules[0].steps[0].pools[0].pool: endpoint de-1 of pool de has no country, and the rule is locked to eu; set country of pools/de",
            ],
        ),
        (
            vec![edit(
                Kind::Pools,
                "de",
                json!({"country": "DE", "members": [{"endpoint": "de-1"}, {"endpoint": "cdn"}]}),
            )],
            &[
                "pools/de members: mixes endpoints with addresses and with a cname; make two pools of them",
                "policies/shop rules[0].steps[0].pools[0].pool: pool de has endpoint cdn with a cname; this policy needs pools of addresses only",
                "policies/shop rules[1].steps[1].pools[0].pool: pool de has endpoint cdn with a cname; this policy needs pools of addresses only",
            ],
        ),
    ];
    for (edits, errors) in table {
        assert_eq!(refused(&example, &edits), errors, "{edits:?}");
    }
}

#[test]
fn what_deserves_a_look_is_warned_of() {
    let everyone = json!({"steps": [step("de")]});
    let example = example();
    let table: Vec<(Vec<Edit>, &[&str])> = vec![
        (
            vec![edit(Kind::Zones, "one", json!({"fqdn": "one.test", "ns": ["ns1.one.test"]}))],
            &[
                "zones/one ns: names one server; name a second one, so that one may fail",
                "zones/one ns[0]: ns1.one.test. has no address; add an A or AAAA record set for it to zone one",
            ],
        ),
        (
            vec![delete(Kind::Records, "example/ns1/A")],
            &[
                "zones/example ns[0]: ns1.example.test. has no address; add an A or AAAA record set for it to zone example",
            ],
        ),
        (
            vec![
                edit(Kind::Records, "example/www/NS", json!({"values": ["ns1.x.test.", "ns2.x.test."]})),
                record("example/a.www/TXT", "x"),
            ],
            &[
                "records/example/www/NS: hides 1 record sets at and below www.example.test.; move them to its servers",
                "records/example/a.www/TXT: is hidden by the delegation of www.example.test.; move it to the servers of that zone",
            ],
        ),
        (
            vec![zone("deep", "www.example.test"), record("example/www/TXT", "x")],
            &[
                "zones/deep fqdn: hides 1 record sets of zone example; move them into this zone",
                "records/example/www/TXT: zone deep (www.example.test.) answers for this name; move it into zone deep",
            ],
        ),
        (
            vec![rules(
                json!([{"regions": ["german"], "steps": [step("de")]}, {"regions": ["eu"], "steps": [step("de")]}, everyone]),
            )],
            &[],
        ),
        (
            vec![rules(
                json!([{"regions": ["eu"], "steps": [step("de")]}, {"regions": ["eu", "asia"], "steps": [step("de")]}, everyone]),
            )],
            &[
                "policies/shop rules[1]: earlier rules answer all of eu; move this rule above them if it should answer these clients",
            ],
        ),
        (
            vec![rules(json!([{"steps": [step("de"), step("de")]}]))],
            &[
                "policies/shop rules[0].steps[1]: is never reached: earlier steps tried all of its pools; remove it, or add another pool",
            ],
        ),
        (
            vec![rules(json!([{"steps": [step("us")]}]))],
            &[
                "policies/shop rules[0]: no pool of it has an IPv6 address; add one, or do not steer AAAA: AAAA queries get an empty answer here",
            ],
        ),
        (
            vec![shop(json!({"ttl": 5}))],
            &[
                "policies/shop ttl: 5 s is short; below 30 s resolvers ask much more often and may limit you; 60 s suits most names",
            ],
        ),
        (
            vec![
                edit(Kind::Monitors, "web", json!({"type": "tcp", "port": 443, "interval": 1, "timeout": 0.5})),
                shop(json!({"ttl": 60})),
            ],
            &[],
        ),
        (
            vec![shop(json!({"ttl": 600}))],
            &[
                "policies/shop ttl: 600 s is long beside the 37.0 s in which a failure is seen; use at most 148 s, so that clients follow a failover soon",
            ],
        ),
        (
            vec![rules(json!([{"steps": [{"pools": [{"pool": "de", "weight": 0}]}]}]))],
            &["policies/shop rules[0].steps[0].pools: has no pool with a weight; give one a weight above 0"],
        ),
    ];
    for (edits, warnings) in table {
        let checked = example.check(&edits).unwrap_or_else(|errors| panic!("{edits:?} {errors:?}"));
        let texts: Vec<String> = checked.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(texts, warnings, "{edits:?}");
    }
}

#[test]
fn a_name_that_others_need_as_a_host_cannot_become_an_alias() {
    let model = example().check(&[record("example/@/MX", "10 www")]).unwrap().model;
    let errors = refused(&model, &[delete(Kind::Records, "example/www/A"), record("example/www/CNAME", "x.test.")]);
    assert_eq!(
        errors,
        [
            "records/example/www/CNAME: MX of example.test. points to this name; give it addresses instead: MX, NS and SRV need a host (RFC 2181 section 10.3)"
        ]
    );
}

#[test]
fn only_what_differs_changes_and_serials_follow() {
    let model = example();
    let same = edit(Kind::Pools, "us", model.entity(Kind::Pools, "us").unwrap());
    let checked = model.check(&[same]).unwrap();
    assert_eq!(checked.changes, []);
    let ids = |edits: &[Edit]| -> Vec<String> {
        let checked = model.check(edits).unwrap();
        assert_eq!(checked.model.revision, 2);
        checked.changes.iter().map(|change| format!("{}/{}", change.kind, change.id)).collect()
    };
    // A pool moves the serial of the zone in which it is answered.
    let pool = json!({"country": "US", "members": [{"endpoint": "us-1", "weight": 5}]});
    assert_eq!(ids(&[edit(Kind::Pools, "us", pool)]), ["zones/example", "pools/us"]);
    assert_eq!(ids(&[record("example/www/A", "192.0.2.9")]), ["zones/example", "records/example/www/A"]);
    assert_eq!(ids(&[edit(Kind::Endpoints, "x", json!({"ipv4": "192.0.2.1"}))]), ["endpoints/x"]);
    let all_gone = model.edits_to(&json!({"zones": {}})).unwrap();
    assert_eq!(model.check(&all_gone).unwrap().model.document(), Model::empty().document());
    let checked = model.check(&[record("example/www/A", "192.0.2.9")]).unwrap();
    let zone = checked.model.zones.values().next().unwrap();
    assert_eq!((zone.serial, zone.meta.rev), (2, 1));
    assert_eq!(checked.model.records.values().filter(|set| set.meta.rev == 2).count(), 1);
}

/// Not a proof, but a wall: re-reading every record set on each edit would be far beyond it.
#[test]
fn one_edit_among_many_record_sets_is_checked_at_once() {
    let hosts = (0..10_000).map(|i| record(&format!("example/h{i}/A"), "192.0.2.1"));
    let model = example().check(&hosts.collect::<Vec<_>>()).unwrap().model;
    let edits = [record("example/h77/A", "192.0.2.2")];
    let start = std::time::Instant::now();
    let checked = model.check(&edits).unwrap();
    let elapsed = start.elapsed();
    println!("one edit among {} record sets: {elapsed:?}", checked.model.records.len());
    assert_eq!(checked.changes.len(), 2);
    assert!(elapsed.as_millis() < 1000, "{elapsed:?}");
}

#[test]
fn deleting_with_references_detaches_first() {
    let model = example();
    let step_of = |model: &Model| {
        let policy = model.policies.values().next().unwrap();
        policy.rules.iter().map(|rule| rule.steps.len()).collect::<Vec<_>>()
    };
    let edits = model.deletion(Kind::Pools, "us");
    let checked = model.check(&edits).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(step_of(&checked.model), [1, 1]);
    // What would leave nobody to answer is still refused.
    let errors = refused(&model, &model.deletion(Kind::Pools, "de"));
    assert_eq!(errors, ["policies/shop rules[0].steps: has 0 items; give 1 to 8"]);
    let errors = refused(&model, &model.deletion(Kind::Regions, "german"));
    assert_eq!(errors, [""; 0]);
    let checked = model.check(&model.deletion(Kind::Zones, "example")).unwrap();
    assert!(checked.model.records.is_empty() && checked.model.policies.values().all(|policy| policy.attach.is_empty()));
    let checked = model.check(&model.deletion(Kind::Monitors, "web")).unwrap();
    assert!(checked.model.pools.values().all(|pool| pool.monitors.is_empty()));
}

/// Edits that fit together in some orders and clash in others.
fn vocabulary() -> Vec<Edit> {
    let rule = |regions: Value, pool: &str| json!({"regions": regions, "steps": [step(pool)]});
    let policy = |name: &str, types: Value, rules: Value| json!({"attach": [{"zone": "example", "name": name, "types": types}], "rules": rules});
    let pool = |endpoint: &str, country: Value| json!({"country": country, "members": [{"endpoint": endpoint}]});
    let region = |tokens: &[&str]| json!({ "include": tokens });
    let mut edits = vec![
        zone("deep", "www.example.test"),
        zone("other", "other.test"),
        edit(Kind::Endpoints, "us-1", json!({"cname": "x.cdn.test."})),
        edit(Kind::Endpoints, "us-1", json!({"ipv4": "192.0.2.20", "depends_on": ["de-1"]})),
        edit(Kind::Endpoints, "de-1", json!({"ipv4": "192.0.2.10", "depends_on": ["us-1"]})),
        edit(Kind::Endpoints, "de-1", json!({"ipv4": "192.0.2.10", "country": "US"})),
        edit(Kind::Pools, "de", pool("us-1", json!("US"))),
        edit(Kind::Pools, "de", pool("de-1", Value::Null)),
        edit(Kind::Regions, "german", region(&["region:office", "continent:EU"])),
        edit(Kind::Regions, "office", region(&["region:german"])),
        edit(Kind::Regions, "office", region(&["country:DE"])),
        edit(Kind::Policies, "two", policy("www.example.test.", json!(["A"]), json!([rule(json!([]), "us")]))),
        edit(Kind::Policies, "two", policy("x.example.test.", json!(["CNAME"]), json!([rule(json!([]), "cdn")]))),
        edit(Kind::Policies, "two", policy("shop.example.test.", json!(["AAAA"]), json!([rule(json!([]), "us")]))),
        shop(json!({"enabled": false})),
        rules(json!([rule(json!(["german"]), "de"), rule(json!(["office"]), "us"), rule(json!([]), "us")])),
    ];
    let names = ["@", "www", "a.www", "x", "ns1", "shop"];
    for name in names {
        for (rtype, value) in [
            ("A", "192.0.2.1"),
            ("CNAME", "x"),
            ("NS", "ns.other.test."),
            ("DS", "1 13 2 00"),
            ("MX", "1 x"),
            ("DNAME", "d.test."),
        ] {
            edits.push(record(&format!("example/{name}/{rtype}"), value));
            edits.push(delete(Kind::Records, &format!("example/{name}/{rtype}")));
        }
    }
    for (kind, id) in
        [(Kind::Zones, "deep"), (Kind::Policies, "two"), (Kind::Policies, "shop"), (Kind::Regions, "office")]
    {
        edits.push(delete(kind, id));
    }
    edits
}

proptest! {
    /// Checks look only at what an edit can touch. Were that too little, a model that was accepted step
    /// by step would be refused as a whole.
    #[test]
    fn what_passes_step_by_step_passes_as_a_whole(steps in prop::collection::vec(any::<prop::sample::Index>(), 1..40)) {
        let vocabulary = vocabulary();
        let mut model = example();
        for at in steps {
            if let Ok(checked) = model.check(std::slice::from_ref(at.get(&vocabulary))) {
                model = checked.model;
            }
        }
        let edits = Model::empty().edits_to(&model.document()).unwrap();
        let whole = Model::empty().check(&edits);
        prop_assert!(whole.is_ok(), "{:#?}", whole.err());
    }
}

fn kept_test(fields: Value) -> Edit {
    let mut value = json!({"qname": "shop.example.test", "client": "203.0.113.77"});
    value.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    edit(Kind::Tests, "office", value)
}

#[test]
fn a_kept_test_says_everything_that_is_wrong_with_it() {
    for (fields, wanted) in [
        (
            json!({}),
            "tests/office expect: is missing; give one of expect (pools), expect_answers (records) and expect_nothing",
        ),
        (
            json!({"expect": ["de"], "expect_nothing": true}),
            "tests/office expect: is said in several ways; give one of expect (pools), expect_answers (records) and expect_nothing",
        ),
        (json!({"expect": []}), "tests/office expect: names no pool; name at least one, or set expect_nothing"),
        (
            json!({"expect": ["nowhere"]}),
            "tests/office expect[0]: pool \"nowhere\" does not exist; create it first, or in the same change",
        ),
        (
            json!({"expect": ["de"], "down": ["de"]}),
            "tests/office down: de is both expected and down; a pool that is down answers only as a last resort; take it out of one",
        ),
        (
            json!({"expect": ["de"], "client": "here"}),
            "tests/office client: \"here\" is neither an address nor a network; use one such as 203.0.113.77",
        ),
        (
            json!({"expect": ["de"], "client": "203.0.113.77/24"}),
            "tests/office client: 203.0.113.77/24 has bits set below its length; use 203.0.113.0/24",
        ),
        (
            json!({"expect": ["de"], "qname": "shop.example.org"}),
            "tests/office qname: shop.example.org. lies in no zone; name one of a zone here",
        ),
        (
            json!({"expect_answers": ["x"]}),
            "tests/office expect_answers[0]: \"x\" is not an IPv4 address; use one such as 192.0.2.10",
        ),
    ] {
        assert_eq!(refused(&example(), &[kept_test(fields.clone())]), [wanted], "{fields}");
    }
}

#[test]
fn what_a_kept_test_names_stays_until_the_test_goes() {
    let model = example().check(&[kept_test(json!({"expect": ["cdn"]}))]).unwrap().model;
    let wanted =
        "pools/cdn: is still used by tests/office expect[0]; detach it there first, or delete both in one change";
    assert_eq!(refused(&model, &[delete(Kind::Pools, "cdn")]), [wanted]);
    let edits = model.deletion(Kind::Pools, "cdn");
    assert!(model.check(&edits).unwrap().model.tests.is_empty(), "{edits:?}");
    let edits = model.deletion(Kind::Zones, "example");
    assert!(model.check(&edits).unwrap_or_else(|errors| panic!("{errors:?}")).model.tests.is_empty());
    let edits: Vec<Edit> = edits.into_iter().filter(|edit| edit.kind != Kind::Tests).collect();
    let wanted =
        "tests/office qname: shop.example.test. lies in no zone; keep its zone, or delete the test in the same change";
    assert_eq!(refused(&model, &edits), [wanted]);
}

#[test]
fn near_ids_are_looked_for_a_hundred_times_at_most() {
    let mut edits = vec![edit(Kind::Endpoints, "web-1000", json!({ "ipv4": "192.0.2.1" }))];
    let pool = |id: String, endpoint: &str| edit(Kind::Pools, &id, json!({ "members": [{ "endpoint": endpoint }] }));
    // One that many mean counts once.
    edits.extend((0..200).map(|n| pool(format!("a{n}"), "web-100")));
    edits.extend((1..100).map(|n| pool(format!("b{n}"), &format!("web-10{n:02}"))));
    edits.extend((10..100).map(|n| pool(format!("c{n}"), &format!("web-1{}0{}", n / 10, n % 10))));
    let errors = Model::empty().check(&edits).unwrap_err();
    let guessed = errors.iter().filter(|error| error.remedy == "did you mean web-1000?").count();
    assert_eq!((errors.len(), guessed), (200 + 99 + 90, 200 + links::MAX_GUESSED - 1));
}

#[test]
fn no_server_has_an_unspecified_multicast_or_reserved_address() {
    let model = example();
    for (field, ip, kind, instead) in [
        ("ipv4", "0.0.0.0", "unspecified", "192.0.2.10"),
        ("ipv4", "224.0.0.1", "multicast", "192.0.2.10"),
        ("ipv4", "255.255.255.255", "broadcast", "192.0.2.10"),
        ("ipv6", "::", "unspecified", "2001:db8::10"),
        ("ipv6", "ff02::1", "multicast", "2001:db8::10"),
    ] {
        assert_eq!(
            refused(&model, &[edit(Kind::Endpoints, "e", json!({ field: ip }))]),
            [format!("endpoints/e {field}: {ip} is {kind}: no server has such an address; use one such as {instead}")]
        );
    }
}

#[test]
fn what_is_steered_and_a_new_zone_are_host_names() {
    let model = example();
    let attached = |name: &str| shop(json!({"attach": [{"zone": "example", "name": name}]}));
    for name in ["a b", "www:80", "www/path", r"me\@mail", "-1"] {
        let errors = refused(&model, &[attached(&format!("{name}.example.test."))]);
        assert!(errors[0].starts_with("policies/shop attach[0].name: "), "{errors:?}");
        let errors = refused(&model, &[zone("other", &format!("{name}.test."))]);
        assert!(errors[0].starts_with("zones/other fqdn: "), "{errors:?}");
    }
    assert!(refused(&model, &[zone("other", "192.0.2.1.")])[0].contains("192.0.2.1 is an address; write a name"));
    for name in ["*", "*.app", "app_1", "bücher", "xn--bcher-kva"] {
        assert_eq!(refused(&model, &[attached(&format!("{name}.example.test."))]), [""; 0], "{name}");
    }
    for fqdn in ["0/25.2.0.192.in-addr.arpa.", "_msdcs.example.org.", "bücher.example."] {
        assert_eq!(refused(&model, &[zone("other", fqdn)]), [""; 0], "{fqdn}");
    }
    assert_eq!(refused(&model, &[record("example/a\\032b/A", "192.0.2.1")]), [""; 0], "a zone file holds any label");
}
