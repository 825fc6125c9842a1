//! What the machine says is known again, whole, with the words in it; and every change that the model can tell of.

use serde_json::{Value, json};

use super::*;
use crate::model::{Change, Kind, Model, Rule, lines, sentence, sentences};

#[test]
fn an_error_is_known_again_with_the_words_in_it() {
    for (english, korean) in [
        (
            "eu 1 is not an address. It has four parts, such as 192.0.2.10.",
            "주소가 아닙니다: eu 1. 192.0.2.10처럼 네 부분으로 씁니다.",
        ),
        (
            "Is too short. Use at least 12 characters; a few words in a row are good.",
            "너무 짧습니다. 12자 이상으로 하십시오. 단어 몇 개를 이어 쓰면 좋습니다.",
        ),
        (
            "line 3: 1 is already in eu; give each address once",
            "3번째 줄: eu 풀에 이미 있습니다: 1. 주소는 한 번씩만 쓰십시오.",
        ),
        ("This is missing.", "값이 없습니다."),
        ("ns1.acme.example. has no address.", "주소가 없습니다: ns1.acme.example."),
        (
            "This file cannot be used. The file is not a readable MMDB (no end); use a complete MaxMind DB file of version 2.",
            "쓸 수 없는 파일입니다. 읽을 수 있는 MMDB 파일이 아닙니다(no end). 완전한 MaxMind DB 버전 2 파일을 쓰십시오.",
        ),
        ("pools/eu weight: Is missing.", "pools/eu weight: 값이 없습니다."),
        ("No pool named eu-wset. Did you mean eu-west?", "풀이 없습니다: eu-wset. 혹시 eu-west, 이것을 뜻하셨습니까?"),
    ] {
        assert_eq!(told(english, Language::Korean), korean);
        assert_eq!(told(english, Language::English), english);
    }
}

#[test]
fn what_the_store_could_not_do_is_said_with_its_place() {
    use std::io::{Error, ErrorKind};

    use crate::store::Fault;

    let place = std::path::Path::new("/var/lib/northing/sled");
    let remedy = "디스크에 공간이 있고 쓸 수 있으며 이 사용자의 것인지 확인한 뒤 다시 시도하십시오.";
    for (doing, error, korean) in [
        (
            "write the database",
            Error::from_raw_os_error(28),
            "데이터베이스를 쓰지 못했습니다: 장치에 남은 공간이 없음(os 오류 28).",
        ),
        ("read the database", Error::from_raw_os_error(13), "데이터베이스를 읽지 못했습니다: 권한 없음(os 오류 13)."),
        ("write this file", Error::new(ErrorKind::Other, "odd"), "이 파일을 쓰지 못했습니다: odd."),
    ] {
        let fault = Fault::disk(place, doing, error).to_string();
        assert_eq!(told(&fault, Language::Korean), format!("/var/lib/northing/sled: {korean} {remedy}"));
    }
    let full = "/var/lib/northing: the disk has 3 MiB left and this change needs 16 MiB; \
                free some room and try again; nothing was changed";
    assert_eq!(
        told(full, Language::Korean),
        "/var/lib/northing: 디스크에 3MiB 남았는데 이 변경에는 16MiB가 필요합니다. \
         공간을 확보한 뒤 다시 시도하십시오. 바뀐 것은 없습니다."
    );
}

/// Errors are told sentence by sentence: a pattern of two never fits.
#[test]
fn a_pattern_of_an_error_is_one_sentence() {
    for pattern in &patterns()[ERROR] {
        let said = pattern.pieces.join("…");
        assert_eq!(super::sentences(&said), [said.as_str()]);
    }
    let low = "5 s is short; below 30 s resolvers ask much more often and may limit you; 60 s suits most names";
    assert!(told(low, Language::Korean).ends_with("대부분의 이름에는 60초가 알맞습니다."));
    let wrong = "One thing is wrong; nothing was changed.";
    assert_eq!(told(wrong, Language::Korean), "잘못된 곳이 하나 있습니다. 바뀐 것은 없습니다.");
}

#[test]
fn what_the_api_calls_a_revision_is_a_version_to_people() {
    for (section, english, said) in [
        ("error", "there is no revision 99; the newest is 7", "there is no version 99; the newest is 7"),
        ("cause", "revision 3 sets admin to drain", "version 3 sets admin to drain"),
        ("switched", "revision 3 sets admin to drain", "version 3 sets admin to drain"),
        ("switched", "back to revision 3", "back to revision 3"),
        ("message", "As in revision 3", "As in revision 3"),
        ("error", "the revision of a token", "the revision of a token"),
    ] {
        assert_eq!(fact(section, english, Language::English), said);
    }
}

#[test]
fn half_a_translation_is_none() {
    for english in ["", "Is empty. A remedy of tomorrow.", "{a} {b}", "한 is", "?", "."] {
        assert_eq!(told(english, Language::Korean), english);
        assert_eq!(fact("change", english, Language::Korean), english);
    }
    let unknown = "Pool eu: does what no version did.";
    assert_eq!(fact("change", unknown, Language::Korean), unknown);
}

#[test]
fn what_somebody_named_is_never_taken_for_a_slot() {
    let english = "Policy {id}: now steers {names}.";
    assert_eq!(fact("change", english, Language::Korean), "정책 {id}: 새로 조정하는 이름 {names}.");
}

#[test]
fn every_slot_names_a_section_that_there_is_and_two_slots_have_letters_between_them() {
    for (section, patterns) in patterns() {
        for pattern in patterns {
            for slot in &pattern.slots {
                let (Takes::Section(of) | Takes::SectionOrAny(of)) = &slot.takes else { continue };
                assert!(super::patterns().contains_key(of), "{section}: {}: no section {of}", pattern.says);
            }
            let between = pattern.pieces.iter().skip(1).rev().skip(1);
            assert!(between.clone().all(|piece| !piece.is_empty()), "{section}: {}", pattern.says);
        }
    }
}

#[test]
fn a_text_made_to_be_hard_is_left_alone_soon() {
    let hard = format!("check {}", ": , of ; rule is now: → next ".repeat(100));
    assert_eq!(fact("cause", &hard, Language::Korean), hard);
    let hard = format!("Policy a: {}", "rule a was: ; is now: ".repeat(150));
    assert_eq!(fact("change", &hard, Language::Korean), hard);
}

/// One of every kind, with every field that it can have.
fn world() -> Model {
    let check = |rest: Value| {
        let mut whole = json!({ "interval": 10, "timeout": 2, "fail_after": 3, "recover_after": 2 });
        whole.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        whole
    };
    let document = json!({
        "zones": { "example": { "fqdn": "example.test.", "ns": ["ns1.other.test.", "ns2.other.test."] } },
        "records": [{ "zone": "example", "name": "a", "type": "A", "values": ["192.0.2.1", "192.0.2.2"] }],
        "regions": { "own": { "name": "Own", "include": ["country:DE"], "except": ["cidr:192.0.2.0/24"] } },
        "monitors": {
            "web": check(json!({ "type": "https", "port": 443, "path": "/", "expect_body": "ok", "max_latency_ms": 900 })),
            "tcp": check(json!({ "type": "tcp", "port": 25, "expect": "220" })),
            "echo": check(json!({ "type": "icmp" })),
            "dns": check(json!({ "type": "dns", "qname": "example.test.", "qtype": "A" })),
        },
        "endpoints": {
            "one": { "ipv4": "192.0.2.10", "ipv6": "2001:db8::10", "country": "DE", "monitors": [{ "monitor": "web" }] },
            "two": { "ipv4": "192.0.2.11", "depends_on": ["one"] },
            "other": { "cname": "cdn.example.net." },
        },
        "pools": {
            "eu": { "members": [{ "endpoint": "one" }, { "endpoint": "two", "weight": 50 }], "country": "DE", "lat": 50.0, "lon": 8.0 },
            "us": { "members": [{ "endpoint": "two" }] },
        },
        "policies": { "www": {
            "attach": [{ "zone": "example", "name": "www.example.test.", "types": ["A"] }],
            "rules": [
                { "name": "Here", "regions": ["own"], "steps": [{ "pools": [{ "pool": "eu" }] }] },
                { "name": "Rest", "steps": [{ "pools": [{ "pool": "eu" }] }, { "pools": [{ "pool": "us" }] }] },
            ],
        } },
        "tests": { "t": { "qname": "www.example.test.", "type": "A", "client": "192.0.2.1", "expect": ["eu"] } },
    });
    changed(&Model::empty(), &document)
}

fn changed(model: &Model, document: &Value) -> Model {
    let edits = model.edits_to(document).unwrap_or_else(|errors| panic!("{errors:?}"));
    model.check(&edits).unwrap_or_else(|errors| panic!("{errors:?}")).model
}

fn assert_told(section: &str, english: &str) -> String {
    let korean = fact(section, english, Language::Korean);
    assert_ne!(korean, english, "no Korean in the section {section}");
    korean
}

/// Every field of every kind, gone, come, and with another value of every form.
#[test]
fn every_change_of_every_field_has_its_korean() {
    let model = world();
    let things = [
        (Kind::Zones, "example"),
        (Kind::Regions, "own"),
        (Kind::Monitors, "web"),
        (Kind::Monitors, "tcp"),
        (Kind::Monitors, "echo"),
        (Kind::Monitors, "dns"),
        (Kind::Endpoints, "one"),
        (Kind::Endpoints, "other"),
        (Kind::Pools, "eu"),
        (Kind::Policies, "www"),
        (Kind::Tests, "t"),
    ];
    let mut seen = 0;
    for (kind, id) in things {
        let entity = model.entity(kind, id).unwrap();
        for path in paths(&entity) {
            for value in [Value::Null, json!("old"), json!(7), json!(true), json!(["old"]), json!([])] {
                let mut before = entity.clone();
                let field = path.iter().fold(&mut before, |value, name| &mut value[name.as_str()]);
                *field = value;
                let change = Change { kind, id: id.into(), before: Some(before), after: Some(entity.clone()) };
                for line in lines(&model, &model, &change) {
                    let korean = assert_told("change", &line.text);
                    let name = path.join(".");
                    assert!(!korean.contains(&format!(": {name} ")), "no word for {name}: {korean}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 300, "{seen} sentences");
}

/// The fields of an entity, and those in its objects.
fn paths(entity: &Value) -> Vec<Vec<String>> {
    let of = |value: &Value| value.as_object().unwrap().clone();
    let mut paths = Vec::new();
    for (name, value) in of(entity) {
        match value.is_object() {
            true => paths.extend(of(&value).into_iter().map(|(below, _)| vec![name.clone(), below])),
            false => paths.push(vec![name]),
        }
    }
    paths
}

#[test]
fn what_comes_and_goes_has_its_korean() {
    let (empty, full) = (Model::empty(), world());
    let mut other = json!({
        "records": [
            { "zone": "example", "name": "a", "type": "A", "values": ["192.0.2.3"], "ttl": 60, "enabled": false, "note": "new" },
            { "zone": "example", "name": "b", "type": "TXT", "values": ["\"a: b; c. d\""] },
        ],
        "pools": {
            "eu": { "members": [{ "endpoint": "one", "weight": 10, "priority": 2 }], "admin": "drain" },
            "us": { "members": [{ "endpoint": "two" }, { "endpoint": "one", "weight": 5, "enabled": false }] },
        },
        "policies": { "www": {
            "attach": [{ "zone": "example", "name": "new.example.test.", "types": ["A"] }],
            "rules": [
                { "name": "There: now", "regions": ["own"], "steps": [{ "pools": [{ "pool": "eu" }] }, { "pools": [{ "pool": "us" }] }] },
                { "name": "Rest", "steps": [{ "choose": "nearest", "pools": [{ "pool": "eu" }, { "pool": "us" }] }], "last_resort": "refuse" },
            ],
        } },
    });
    let mut said = Vec::new();
    for (before, after) in [
        (&empty, &full),
        (
            &full,
            &changed(
                &full,
                &json!({ "zones": {}, "records": [], "regions": {}, "monitors": {}, "endpoints": {}, "pools": {}, "policies": {}, "tests": {} }),
            ),
        ),
    ] {
        let edits = before.edits_to(&after.document()).unwrap();
        let checked = before.check(&edits).unwrap();
        said.extend(sentences(before, &checked.model, &checked.changes));
    }
    for section in ["records", "pools", "policies"] {
        // What a document does not name is deleted.
        let mut one = full.document();
        one[section] = other[section].take();
        let checked = full.check(&full.edits_to(&one).unwrap()).unwrap_or_else(|errors| panic!("{errors:?}"));
        said.extend(sentences(&full, &checked.model, &checked.changes));
    }
    assert!(said.len() > 25, "{said:#?}");
    for english in &said {
        assert_told("change", english);
    }
    assert_told("changes", &said[..3].join(" "));
}

#[test]
fn every_rule_has_its_korean() {
    let step = |choose: &str, pools: &[(&str, u16, bool)]| {
        let pool = |(pool, weight, canary): &(&str, u16, bool)| json!({ "pool": pool, "weight": weight, "canary": canary, "bias": 0 });
        json!({ "choose": choose, "pools": pools.iter().map(pool).collect::<Vec<_>>(), "tolerance": { "percent": 10, "ms": 10 } })
    };
    let (one, two, three) = (("a", 1, false), ("b", 2, true), ("c", 7, false));
    let steps = [
        json!([step("weighted", &[one])]),
        json!([step("weighted", &[two])]),
        json!([step("weighted", &[one, two, three]), step("nearest", &[one, three])]),
        json!([step("fastest", &[one, three]), step("nearest", &[one]), step("weighted", &[one, two])]),
    ];
    for steps in &steps {
        for last_resort in ["serve_anyway", "pool:b", "no_answer", "refuse"] {
            for (except, lock, enabled) in [(json!([]), json!(null), true), (json!(["x", "y"]), json!("eea"), false)] {
                let rule = json!({
                    "name": "", "enabled": enabled, "regions": ["eu", "own"], "except_regions": except,
                    "last_resort": last_resort, "residency_lock": lock, "steps": steps,
                });
                let rule: Rule = serde_json::from_value(rule).unwrap();
                for last in [false, true] {
                    assert_told("rule", &sentence::rule(&rule, last));
                    assert_told("change", &sentence::rule(&rule, last));
                }
            }
        }
    }
}

#[test]
fn causes_read_as_operators_say_them() {
    for (english, korean) in [
        (
            "check web of 192.0.2.1: HTTP 503, expected 200-299, 3 times in a row",
            "체크 web(192.0.2.1): HTTP 503(기대 200-299), 3회 연속",
        ),
        (
            "check b of 2001:db8::1: connection refused, 3 times in a row; 1 of 3 votes up",
            "체크 b(2001:db8::1): 연결 거부, 3회 연속. 투표 3개 중 1개 정상",
        ),
        (
            "0 of 1 members healthy, 1 needed: check web of 192.0.2.1: no answer within 1.5 s, 3 times in a row",
            "엔드포인트 1개 중 0개 정상(1개 필요). 체크 web(192.0.2.1): 1.5초 안에 응답 없음, 3회 연속",
        ),
        (
            "0 of 1 members healthy, 1 needed: web-1 forced down by ana",
            "엔드포인트 1개 중 0개 정상(1개 필요). ana 사용자가 강제 중단 처리: web-1",
        ),
        ("1 of 1 members healthy, 1 needed, stable for 60 s", "엔드포인트 1개 중 1개 정상(1개 필요), 60초 동안 안정"),
        (
            "check page of 192.0.2.1: answered in 812 ms, more than 500, 3 times in a row (only watched)",
            "체크 page(192.0.2.1): 812ms 만에 응답(500ms 초과), 3회 연속(관찰만 함)",
        ),
        ("check web: something that only the system says", "체크 web: something that only the system says"),
    ] {
        assert_eq!(fact("cause", english, Language::Korean), korean);
    }
    let section = |section, english| fact(section, english, Language::Korean);
    assert_eq!(section("switched", "kernel update"), "kernel update");
    assert_eq!(section("decision", "Down: check web: HTTP 503."), "중단: 체크 web: HTTP 503.");
    assert_eq!(section("changes", "Undo version 7"), "버전 7 되돌리기");
}
