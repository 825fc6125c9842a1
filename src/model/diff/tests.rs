//! Sentences as an operator reads them.

use serde_json::{Value, json};

use super::super::Edit;
use super::*;

fn edit(kind: Kind, id: &str, value: Value) -> Edit {
    Edit { kind, id: id.into(), value: (!value.is_null()).then_some(value) }
}

fn pool(members: Value) -> Edit {
    edit(Kind::Pools, "eu-west", json!({"members": members}))
}

fn www(rules: Value) -> Edit {
    edit(Kind::Policies, "www", json!({"attach": [{"zone": "example", "name": "www.example.test."}], "rules": rules}))
}

fn step(pool: &str) -> Value {
    json!({"pools": [{"pool": pool}]})
}

fn example() -> Model {
    let backup = json!({"members": [{"endpoint": "web-1"}]});
    let edits = [
        edit(Kind::Zones, "example", json!({"fqdn": "example.test", "ns": ["ns1.other.test.", "ns2.other.test."]})),
        edit(Kind::Records, "example/a/A", json!({"values": ["192.0.2.1"]})),
        edit(Kind::Records, "example/b/A", json!({"values": ["192.0.2.1", "192.0.2.2"]})),
        edit(Kind::Endpoints, "web-1", json!({"ipv4": "192.0.2.10"})),
        edit(Kind::Endpoints, "web-2", json!({"ipv4": "192.0.2.11"})),
        pool(json!([{"endpoint": "web-1"}, {"endpoint": "web-2", "weight": 50}])),
        edit(Kind::Pools, "eu-backup", backup),
        www(json!([{"name": "EU", "regions": ["eu"], "steps": [step("eu-west")]}, {"steps": [step("eu-west")]}])),
    ];
    Model::empty().check(&edits).unwrap_or_else(|errors| panic!("{errors:?}")).model
}

fn said(edits: &[Edit]) -> Vec<String> {
    let before = example();
    let checked = before.check(edits).unwrap_or_else(|errors| panic!("{errors:?}"));
    sentences(&before, &checked.model, &checked.changes)
}

#[test]
fn each_change_is_one_sentence_in_the_operators_words() {
    let everyone = json!({"steps": [step("eu-west")]});
    let zone = json!({"fqdn": "new.test", "ns": ["ns1.other.test.", "ns2.other.test."]});
    let table: Vec<(Vec<Edit>, &[&str])> = vec![
        (
            vec![pool(json!([{"endpoint": "web-1"}, {"endpoint": "web-2", "weight": 20}]))],
            &["Pool eu-west: weight of web-2 goes from 50 to 20 (from 33% to 17% of eu-west)."],
        ),
        (
            vec![pool(json!([{"endpoint": "web-1", "priority": 2}]))],
            &["Pool eu-west: priority of web-1 goes from 1 to 2.", "Pool eu-west: web-2 leaves."],
        ),
        (
            vec![edit(Kind::Records, "example/a/A", json!({"values": ["192.0.2.2"]}))],
            &["a.example.test A: 192.0.2.1 is replaced by 192.0.2.2."],
        ),
        (
            vec![edit(Kind::Records, "example/b/A", json!({"values": ["192.0.2.1"], "ttl": 60, "enabled": false}))],
            &[
                "b.example.test A: loses 192.0.2.2.",
                "b.example.test A: the TTL goes from the zone's default to 60 s.",
                "b.example.test A: is switched off.",
            ],
        ),
        (vec![edit(Kind::Records, "example/a/A", Value::Null)], &["a.example.test A is deleted; it was 192.0.2.1."]),
        (
            vec![www(
                json!([{"name": "EU", "regions": ["eu"], "steps": [step("eu-west"), step("eu-backup")]}, everyone]),
            )],
            &["Policy www: rule EU now tries eu-backup after eu-west."],
        ),
        (
            vec![www(json!([{"name": "EU", "regions": ["eu"], "steps": [step("eu-backup")]}, everyone]))],
            &[
                "Policy www: rule EU was: Clients in eu → eu-west; then serve anyway; is now: Clients in eu → eu-backup; then serve anyway.",
            ],
        ),
        (vec![www(json!([everyone]))], &["Policy www: no longer: Clients in eu → eu-west; then serve anyway."]),
        (vec![edit(Kind::Policies, "www", Value::Null)], &["Policy www is deleted; it steered www.example.test."]),
        (
            vec![
                edit(Kind::Zones, "new-test", zone),
                edit(Kind::Records, "new-test/a/A", json!({"values": ["192.0.2.1"]})),
            ],
            &["Zone new.test is new, with 1 record set."],
        ),
        (
            vec![edit(Kind::Endpoints, "web-2", json!({"ipv4": "192.0.2.12", "serve": "always", "tags": ["new"]}))],
            &[
                "Endpoint web-2: ipv4 goes from 192.0.2.11 to 192.0.2.12.",
                "Endpoint web-2: serve goes from auto to always.",
                "Endpoint web-2: tags is now new.",
            ],
        ),
        (
            vec![
                edit(Kind::Monitors, "m", json!({"type": "icmp"})),
                edit(Kind::Endpoints, "x", json!({"ipv4": "192.0.2.1", "ipv6": "2001:db8::1"})),
            ],
            &["Endpoint x is new: 192.0.2.1, 2001:db8::1.", "Monitor m is new."],
        ),
    ];
    for (edits, wanted) in table {
        assert_eq!(said(&edits), wanted, "{edits:?}");
    }
}

#[test]
fn the_values_of_headers_are_in_no_sentence() {
    let monitor = |headers: Value| edit(Kind::Monitors, "web", json!({"type": "https", "headers": headers}));
    let header = |value: &str| json!({"name": "Authorization", "value": value});
    let with = |model: &Model, headers: Value| {
        let checked = model.check(&[monitor(headers)]).unwrap_or_else(|errors| panic!("{errors:?}"));
        (sentences(model, &checked.model, &checked.changes), checked.model)
    };
    let (_, before) = with(&example(), json!([]));
    let (said, one) = with(&before, json!([header("secret-1")]));
    assert_eq!(said, ["Monitor web: headers gains Authorization."]);
    let (said, _) = with(&one, json!([header("secret-2")]));
    assert_eq!(said, ["Monitor web: headers changes the value of Authorization."]);
    let (said, _) = with(&one, json!([]));
    assert_eq!(said, ["Monitor web: headers loses Authorization."]);
    let edit = edit(Kind::Monitors, "web", json!({"type": "icmp"}));
    let checked = one.check(&[edit]).unwrap();
    let said = sentences(&one, &checked.model, &checked.changes).join(" ");
    assert!(said.contains("headers is no longer set; it was Authorization"), "{said}");
}

#[test]
fn bulk_changes_are_counted_not_listed() {
    let records = (0..1000).map(|i| edit(Kind::Records, &format!("example/h{i}/A"), json!({"values": ["192.0.2.1"]})));
    let said = said(&records.collect::<Vec<_>>());
    assert_eq!(said.len(), 21);
    assert_eq!(said[20], "And 980 more changes.");
}
