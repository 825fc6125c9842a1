//! When a form is stale, and what both sides come to together.

use serde_json::json;

use super::*;

fn edit(id: &str, value: Value) -> Edit {
    Edit { kind: Kind::Pools, id: id.into(), value: (!value.is_null()).then_some(value) }
}

fn pool(weights: [u64; 2]) -> Value {
    let [one, two] = weights;
    json!({ "members": [{ "endpoint": "one", "weight": one }, { "endpoint": "two", "weight": two }] })
}

/// Publishes edits one after the other; the newest first, as they are read.
fn published(mut model: Model, edits: &[Edit]) -> (Model, Vec<Revision>) {
    let mut revisions = Vec::new();
    for edit in edits {
        let checked = model.check(std::slice::from_ref(edit)).unwrap();
        model = checked.model;
        revisions.insert(
            0,
            Revision {
                number: model.revision,
                at: Timestamp::UNIX_EPOCH,
                author: "ops".into(),
                message: String::new(),
                sentences: Vec::new(),
                changes: checked.changes,
                sha256: String::new(),
            },
        );
    }
    (model, revisions)
}

fn world() -> Model {
    let endpoint = |id: &str, ip: &str| Edit { kind: Kind::Endpoints, ..edit(id, json!({ "ipv4": ip })) };
    let edits = [endpoint("one", "192.0.2.1"), endpoint("two", "192.0.2.2"), edit("eu", pool([100, 100]))];
    Model::empty().check(&edits).unwrap().model
}

fn found(mine: &Edit, theirs: &[Edit], draft: &Draft) -> Vec<Meanwhile> {
    let before = world();
    let seen = Seen { revision: before.revision, draft: None };
    let (model, revisions) = published(before, theirs);
    compared(seen, std::slice::from_ref(mine), &model, (draft, &model), &revisions)
}

#[test]
fn a_form_is_stale_only_where_its_own_thing_is_other_than_it_saw() {
    let nothing = Draft::default();
    let mine = edit("eu", pool([5, 100]));
    for (theirs, is_stale) in [
        (vec![], false),
        (vec![edit("us", pool([1, 1]))], false),
        (vec![edit("eu", pool([5, 100]))], false),
        (vec![edit("eu", pool([7, 100])), edit("eu", pool([100, 100]))], false),
        (vec![edit("eu", pool([100, 9]))], true),
        (vec![edit("eu", pool([100, 9])), edit("us", pool([1, 1]))], true),
        (vec![edit("eu", Value::Null)], true),
    ] {
        let found = found(&mine, &theirs, &nothing);
        assert_eq!(!found.is_empty(), is_stale, "{theirs:?}: {found:?}");
        assert!(
            found.iter().all(|one| matches!(&one.since, Since::Live { number: 2, by: Some(by) } if by.author == "ops"))
        );
    }
}

#[test]
fn what_both_changed_is_merged_where_it_is_not_the_same() {
    let both = |mine: [u64; 2], theirs: [u64; 2]| {
        let found = found(&edit("eu", pool(mine)), &[edit("eu", pool(theirs))], &Draft::default());
        let weights = |both: &Value| [0, 1].map(|at: usize| both["members"][at]["weight"].as_u64().unwrap());
        found[0].both.as_ref().map(|both| both.as_ref().map(weights))
    };
    assert_eq!(both([5, 100], [100, 9]), Some(Some([5, 9])));
    assert_eq!(both([100, 100], [100, 9]), Some(Some([100, 9])), "nothing was typed");
    assert_eq!(both([5, 100], [6, 100]), None);
}

#[test]
fn a_thing_that_was_drafted_in_another_window_is_told_and_one_drafted_before_is_not() {
    let touched = |at: i64| Some(Timestamp::from_second(at).unwrap());
    let drafted = |at: i64| Draft {
        edits: vec![crate::control::draft::Drafted {
            kind: Kind::Pools,
            id: "eu".into(),
            value: Some(pool([8, 100])),
            before: None,
            touched: touched(at),
        }],
        changed: touched(at),
        ..Draft::default()
    };
    let model = world();
    let mine = [edit("eu", pool([5, 100]))];
    for (seen_at, drafted_at, is_stale) in [(0, 10, true), (5, 10, true), (10, 10, false), (12, 10, false)] {
        let seen = Seen { revision: model.revision, draft: touched(seen_at).filter(|_| seen_at > 0) };
        let found = compared(seen, &mine, &model, (&drafted(drafted_at), &model), &[]);
        assert_eq!(!found.is_empty(), is_stale, "{seen_at} {drafted_at}");
    }
    // Where somebody published what is drafted already, the review of the draft tells.
    let (model, revisions) = published(world(), &[edit("eu", pool([100, 9]))]);
    let seen = Seen { revision: 1, draft: touched(10) };
    assert_eq!(compared(seen, &mine, &model, (&drafted(10), &model), &revisions), []);
}

#[test]
fn somebody_who_was_faster_is_noticed_although_the_history_is_too_long_to_be_read() {
    let (model, revisions) = published(world(), &[edit("eu", pool([100, 9])), edit("us", pool([1, 1]))]);
    let seen = Seen { revision: 1, draft: None };
    let found = compared(seen, &[edit("eu", pool([5, 100]))], &model, (&Draft::default(), &model), &revisions[..1]);
    assert_eq!(found[0].since, Since::Live { number: 2, by: None });
    assert_eq!((&found[0].was, &found[0].both), (&None, &None));
}

#[test]
fn the_world_of_a_page_comes_back_from_its_form() {
    let draft = Some(Timestamp::from_nanosecond(1_795_289_000_123_456_789).unwrap());
    for seen in [Seen { revision: 219, draft }, Seen { revision: 0, draft: None }] {
        assert_eq!(Seen::parse(&seen.to_string()), Some(seen));
    }
    for wrong in ["", "x", "1 x", "-1"] {
        assert_eq!(Seen::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_form_that_is_shown_again_still_says_what_its_visitor_saw_first() {
    let form = |fields: &[(&str, &str)]| Form(fields.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect());
    let revision = |fields: &[(&str, &str)]| Seen::carried(&form(fields)).map(|seen| seen.revision);
    assert_eq!(revision(&[("seen", "5")]), Some(5));
    assert_eq!(revision(&[("seen", "5"), ("looked", "7"), ("how", "mine")]), Some(7));
    assert_eq!(revision(&[("seen", "5"), ("looked", "7"), ("how", "both")]), Some(5));
    assert_eq!(revision(&[("weight", "5")]), None);
}
