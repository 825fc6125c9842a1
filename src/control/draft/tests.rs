//! What a draft takes in, and what it does when somebody else was faster.

use serde_json::json;

use super::*;

fn edit(kind: Kind, id: &str, value: Value) -> Edit {
    Edit { kind, id: id.into(), value: (!value.is_null()).then_some(value) }
}

fn pool(weights: [u64; 2]) -> Value {
    let [one, two] = weights;
    json!({ "members": [{ "endpoint": "one", "weight": one }, { "endpoint": "two", "weight": two }] })
}

fn after(model: &Model, edits: &[Edit]) -> Model {
    model.check(edits).unwrap_or_else(|errors| panic!("{errors:?}")).model
}

fn model() -> Model {
    after(
        &Model::empty(),
        &[
            edit(Kind::Endpoints, "one", json!({ "ipv4": "192.0.2.1" })),
            edit(Kind::Endpoints, "two", json!({ "ipv4": "192.0.2.2" })),
            edit(Kind::Pools, "eu", pool([100, 100])),
        ],
    )
}

fn drafted(model: &Model, edits: Vec<Edit>) -> Draft {
    let mut draft = Draft::default();
    draft.take(model, edits, Timestamp::UNIX_EPOCH);
    draft.write_out(model, &after(model, &draft.edits()));
    draft
}

#[test]
fn an_edit_that_leads_back_to_what_is_live_leaves_the_draft() {
    let model = model();
    let mut draft = drafted(&model, vec![edit(Kind::Pools, "eu", pool([5, 100]))]);
    draft.take(&model, vec![edit(Kind::Pools, "us", pool([1, 1]))], Timestamp::UNIX_EPOCH);
    assert_eq!(draft.edits.len(), 2);
    draft.take(&model, vec![edit(Kind::Pools, "eu", model.entity(Kind::Pools, "eu").unwrap())], Timestamp::UNIX_EPOCH);
    draft.take(&model, vec![edit(Kind::Pools, "us", Value::Null)], Timestamp::UNIX_EPOCH);
    assert!(draft.is_empty(), "{draft:?}");
}

#[test]
fn what_others_publish_is_a_conflict_only_where_both_changed_it_differently() {
    let live = model();
    let mine = |weights| edit(Kind::Pools, "eu", pool(weights));
    let draft = drafted(&live, vec![mine([5, 100])]);
    for (theirs, conflicts) in [
        (edit(Kind::Pools, "us", pool([1, 1])), 0),
        (mine([5, 100]), 0),
        (mine([7, 100]), 1),
        (edit(Kind::Pools, "eu", Value::Null), 1),
    ] {
        let now = after(&live, std::slice::from_ref(&theirs));
        assert_eq!(draft.conflicts(&now).len(), conflicts, "{theirs:?}");
    }
}

#[test]
fn a_conflict_is_settled_by_taking_theirs_keeping_mine_or_both() {
    let live = model();
    let values = |weights| after(&live, &[edit(Kind::Pools, "eu", pool(weights))]);
    let draft = drafted(&live, vec![edit(Kind::Pools, "eu", pool([5, 100]))]);
    let now = values([100, 9]);
    let weights = |draft: &Draft| {
        let value = draft.of(Kind::Pools, "eu")?.value.clone()?;
        Some([0, 1].map(|at: usize| value["members"][at]["weight"].as_u64().unwrap()))
    };
    for (how, wanted) in [(Settle::Theirs, None), (Settle::Mine, Some([5, 100])), (Settle::Merged, Some([5, 9]))] {
        let mut draft = draft.clone();
        draft.settle(&now, Kind::Pools, "eu", how, Timestamp::UNIX_EPOCH);
        assert_eq!(weights(&draft), wanted, "{how:?}");
        assert_eq!(draft.conflicts(&now), [], "{how:?}");
    }
}

#[test]
fn a_draft_holds_so_many_changes_and_no_more() {
    let one =
        |number: usize| Drafted { kind: Kind::Pools, id: number.to_string(), value: None, before: None, touched: None };
    let mut draft = Draft { edits: (0..MAX_EDITS).map(one).collect(), ..Draft::default() };
    assert!(within_limits(&draft).is_ok());
    draft.edits.push(one(MAX_EDITS));
    assert!(within_limits(&draft).unwrap_err()[0].remedy.contains("20000"));
    let large = Drafted { value: Some(Value::String("x".repeat(MAX_BYTES))), ..one(0) };
    let draft = Draft { edits: vec![large], ..Draft::default() };
    assert!(within_limits(&draft).unwrap_err()[0].problem.contains("64 MiB"));
}

#[test]
fn what_is_kept_comes_back_and_what_is_damaged_is_left_out() {
    let live = model();
    let draft = Draft { author: "ada".into(), ..drafted(&live, vec![edit(Kind::Pools, "eu", pool([5, 100]))]) };
    let kept = within_limits(&draft).unwrap().unwrap();
    let drafts = Drafts::load(vec![json!("nonsense"), json!({ "author": "", "edits": [] }), kept]);
    let loaded = drafts.kept.read();
    assert_eq!(loaded.keys().collect::<Vec<_>>(), ["ada"]);
    assert_eq!(*loaded["ada"], draft);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_changed_in_memory_as_on_disk_though_the_browser_hangs_up() {
    let dir = tempfile::TempDir::new().unwrap();
    let control = crate::control::running::start(dir.path());
    let endpoint = |id: &str| vec![edit(Kind::Endpoints, id, json!({ "ipv4": "192.0.2.1" }))];
    let editing = control.edit_draft("ada", endpoint("one"));
    tokio::select! { biased; _ = editing => unreachable!("it waits for the disk"), () = std::future::ready(()) => {} }
    let known = async {
        while control.draft("ada").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), known).await.expect("the draft is in memory as well");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_checked_is_remembered_while_draft_and_model_are_the_newest() {
    let dir = tempfile::TempDir::new().unwrap();
    let control = crate::control::running::start(dir.path());
    let endpoint = |id: &str| vec![edit(Kind::Endpoints, id, json!({ "ipv4": "192.0.2.1" }))];
    let remembered = || control.shared().drafts.checked.lock().len();
    let draft = control.edit_draft("ada", endpoint("one")).await.unwrap();
    let checked = control.checked_draft(&draft);
    assert!(Arc::ptr_eq(&checked, &control.checked_draft(&draft)) && remembered() == 1);
    let (edits, author, expect) = (endpoint("two"), Author::new("ben"), Vec::new());
    let publication = Publication { edits, message: "Why".into(), author, expect, tests: Tests::MustPass };
    control.publish(publication).await.unwrap();
    assert_eq!(remembered(), 0, "of the model before");
    control.discard_draft("ada", None).await.unwrap();
    // A page that began before it was discarded.
    assert!(control.checked_draft(&draft).is_ok());
    assert_eq!(remembered(), 0);
}
