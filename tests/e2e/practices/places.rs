//! Steering by where the client is, and what may not leave a region.

use serde_json::{Value, json};

use super::{AMERICAN, BRAZILIAN, GERMAN, JAPANESE, World, document, endpoints, in_order, policy, pool_in, step, with};

/// US, EU, APAC and a default; EU data stays in the EU.
fn four_places() -> Value {
    let rule =
        |name: &str, regions: &[&str], steps: &[Value]| json!({ "name": name, "regions": regions, "steps": steps });
    let europe = rule("EU", &["eu"], &[step(&["eu-main"]), step(&["eu-backup"])]);
    document(json!({
        "regions": { "united-states": { "include": ["country:US"] } },
        "endpoints": endpoints(&[
            ("us", "192.0.2.1"), ("eu-1", "192.0.2.2"), ("eu-2", "192.0.2.3"), ("ap", "192.0.2.4"), ("rest", "192.0.2.5"),
        ]),
        "pools": {
            "us": pool_in("US", &["us"]), "eu-main": pool_in("DE", &["eu-1"]), "eu-backup": pool_in("IE", &["eu-2"]),
            "apac": pool_in("SG", &["ap"]), "default": pool_in("US", &["rest"]),
        },
        "policies": { "app": policy(&[
            rule("US", &["united-states"], &[step(&["us"]), step(&["default"])]),
            with(europe, json!({ "residency_lock": "eu" })),
            rule("APAC", &["apac"], &[step(&["apac"]), step(&["us"])]),
            rule("Everyone else", &[], &[step(&["default"])]),
        ]) },
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_us_eu_apac_and_elsewhere_each_get_their_own_pool() {
    let world = World::new(four_places()).await;
    for (client, wanted) in
        [(AMERICAN, "192.0.2.1"), (GERMAN, "192.0.2.2"), (JAPANESE, "192.0.2.4"), (BRAZILIAN, "192.0.2.5")]
    {
        assert_eq!(world.answer_for(client), [wanted], "{client}");
    }
    world.force("ap", "down").await;
    assert_eq!(world.answer_for(JAPANESE), ["192.0.2.1"], "APAC fails over to the US");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_in_the_eu_stay_in_the_eu_even_when_all_of_it_is_down() {
    let world = World::new(four_places()).await;
    assert_eq!(world.answer_for(GERMAN), ["192.0.2.2"]);
    world.force("eu-1", "down").await;
    assert_eq!(world.answer_for(GERMAN), ["192.0.2.3"]);
    world.force("eu-2", "down").await;
    for _ in 0..50 {
        assert_eq!(world.answer_for(GERMAN), ["192.0.2.2"], "the EU's first step, never the US");
    }
    world.server.post("/api/v1/pools/eu-main/off", json!({})).await;
    assert_eq!(world.answer_for(GERMAN), ["192.0.2.3"], "then the EU's second step");
    world.server.post("/api/v1/pools/eu-backup/off", json!({})).await;
    assert!(world.answer_for(GERMAN).is_empty(), "without a pool in the EU there is no answer at all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_residency_lock_refuses_a_pool_outside_of_its_region() {
    let world = World::new(four_places()).await;
    let mut leaking = four_places();
    leaking["policies"]["app"]["rules"][1]["steps"].as_array_mut().unwrap().push(step(&["us"]));
    let errors = world.refused(leaking).await;
    assert!(
        errors.iter().any(|(at, problem)| at.starts_with("policies/app rules[1]") && problem.contains("us")),
        "{errors:?}"
    );
    let mut moved = four_places();
    moved["pools"]["eu-backup"]["country"] = json!("GB");
    let errors = world.refused(moved).await;
    assert!(
        errors.iter().any(|(_, problem)| problem.contains("eu-backup")),
        "moving a pool out counts too: {errors:?}"
    );
    assert_eq!(world.answer_for(GERMAN), ["192.0.2.2"], "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_for_everyone_else_cannot_be_deleted() {
    let world = World::new(four_places()).await;
    let mut without = four_places();
    without["policies"]["app"]["rules"].as_array_mut().unwrap().pop();
    let errors = world.refused(without).await;
    assert!(errors.iter().any(|(at, _)| at == "policies/app rules[2].regions"), "{errors:?}");
    let mut disabled = four_places();
    disabled["policies"]["app"]["rules"][3]["enabled"] = json!(false);
    let errors = world.refused(disabled).await;
    assert!(errors.iter().any(|(at, _)| at == "policies/app rules[3].enabled"), "{errors:?}");
    let mut none = four_places();
    none["policies"]["app"]["rules"] = json!([]);
    world.refused(none).await;
    assert_eq!(world.answer_for(BRAZILIAN), ["192.0.2.5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nearest_picks_the_nearest_pool() {
    let nearest = with(step(&["tokyo", "frankfurt", "sao-paulo"]), json!({ "choose": "nearest" }));
    let world = World::new(document(json!({
        "endpoints": endpoints(&[("t", "192.0.2.1"), ("f", "192.0.2.2"), ("s", "192.0.2.3")]),
        "pools": {
            "tokyo": pool_in("JP", &["t"]), "frankfurt": pool_in("DE", &["f"]), "sao-paulo": pool_in("BR", &["s"]),
        },
        "policies": { "app": in_order(&[nearest]) },
    })))
    .await;
    for (client, wanted) in [(JAPANESE, "192.0.2.1"), (GERMAN, "192.0.2.2"), (BRAZILIAN, "192.0.2.3")] {
        assert_eq!(world.answer_for(client), [wanted], "{client}");
    }
    world.force("t", "down").await;
    let next = world.answer_for(JAPANESE);
    assert_eq!(next, ["192.0.2.2"], "Frankfurt is nearer to Tokyo than São Paulo is");
}
