//! The way of a change: drafted, reviewed, published, taken back; by one admin, by two at once, without script.

use serde_json::json;
use tempfile::TempDir;

use crate::browser::{Browser, Scripts};
use crate::world::{self, NAME, ONE, TWO, US, answers};

const REASON: &str = "Reason (goes to the audit log)";

#[tokio::test]
async fn a_draft_survives_a_restart_is_reviewed_published_and_undone() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    let mut browser = Browser::open(&server, Scripts::On).await;
    browser.sign_in_first(&server, "anna", "editor").await;
    browser.goto("/pools/eu").await;
    browser.fill("Weight of one", "0").await;
    browser.click("Keep in draft").await;
    browser.wait_for("The weights of eu are kept in your draft.").await;
    answers_both(&server).await;

    // A page that follows nothing, so that nothing complains while there is no server.
    browser.goto("/account").await;
    assert!(server.stop(), "the server ends by itself");
    let server = crate::server::Server::start(dir.path(), &[]);
    browser.follow(&server);
    browser.goto("/pools/eu").await;
    browser.wait_for("1 change").await;
    assert_eq!(browser.value("Weight of one").await, "0");

    browser.click("Review and apply").await;
    browser.wait_for("What this draft changes").await;
    browser.wait_for("Names affected").await;
    browser.wait_for("one of eu would get no more clients.").await;
    browser.wait_for("one: weight 100 to 0 (from 50% to 0% of eu).").await;
    browser.wait_for("eu 100% (one 50%; two 50%)").await;
    assert!(browser.reads("Answers that move 50%").await);
    browser.expect("status of 422");
    browser.click("Publish").await;
    browser.wait_for("Say why: whoever reads the history later will ask.").await;
    answers_both(&server).await;
    browser.fill(REASON, "Empty one").await;
    browser.click("Publish").await;
    browser.wait_for("Version 2 is live.").await;
    answers(&server, NAME, &[TWO]).await;
    // On every page, as long as it can be taken back.
    browser.goto("/history").await;
    browser.goto("/account").await;
    browser.wait_for("Version 2 is live.").await;
    browser.click("Undo").await;
    browser.wait_for("Version 2 is undone: version 3 says what was live before.").await;
    answers_both(&server).await;
    assert!(!browser.offers("Undo").await, "what took something back is not taken back");
    browser.goto("/versions").await;
    browser.wait_for("Empty one").await;
    browser.goto("/versions/2").await;
    browser.wait_for("one: weight 100 to 0 (from 50% to 0% of eu).").await;
    browser.finish().await;
}

#[tokio::test]
async fn a_pool_is_chosen_in_the_sentence_of_its_rule() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    let mut browser = Browser::open(&server, Scripts::On).await;
    browser.sign_in_first(&server, "anna", "editor").await;
    browser.goto("/names/www.example.test").await;
    for (chip, pool) in
        [("Rule 1: change us", ""), ("Rule 1: change eu", "us"), ("Rule 1: add a pool that takes over", "eu")]
    {
        browser.click(chip).await;
        browser.run(&format!("document.querySelector('.chip-menu[open] select').value = '{pool}'")).await;
        browser.click("Keep in draft").await;
        browser.wait_for("Rule 1 kept in your draft.").await;
    }
    browser.wait_for("Changed: was eu, then us").await;
    browser.goto("/draft").await;
    browser.fill(REASON, "Send everyone elsewhere").await;
    browser.click("Publish").await;
    browser.wait_for("Version 2 is live.").await;
    answers(&server, NAME, &[US]).await;

    // Who was shown another rule changes nothing.
    browser.goto("/names/www.example.test").await;
    browser.click("Rule 1: change us").await;
    browser.run("document.querySelector('.chip-menu[open] [name=from]').value = 'eu'").await;
    browser.click("Keep in draft").await;
    browser.wait_for("Rule 1 is no longer as you saw it.").await;

    let mut viewer = Browser::open(&server, Scripts::On).await;
    viewer.sign_in_first(&server, "vera", "viewer").await;
    viewer.goto("/names/www.example.test").await;
    viewer.wait_for("Everyone gets us, then eu.").await;
    assert!(!viewer.offers("Rule 1: change us").await);
    viewer.finish().await;
    browser.finish().await;
}

#[tokio::test]
async fn a_rule_is_for_a_country_and_a_network_as_they_are_typed() {
    const PLACES: &str = "Or countries, networks and AS numbers";
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    let mut browser = Browser::open(&server, Scripts::On).await;
    browser.sign_in_first(&server, "anna", "editor").await;
    browser.expect("status of 422");
    browser.goto("/names/www.example.test?edit=new").await;
    browser.fill(PLACES, "Atlantis, 81.2.69.5/24").await;
    browser.run("document.querySelector('[name=\"steps[0].pools[0].pool\"]').value = 'us'").await;
    browser.click("Keep in draft").await;
    browser.wait_for("\"Atlantis\" is no country.").await;
    browser.wait_for("81.2.69.5/24 has bits outside the prefix. Did you mean 81.2.69.0/24?").await;
    assert!(!browser.reads("Is empty").await && !browser.reads("No region is chosen").await);
    assert_eq!(browser.value(PLACES).await, "Atlantis, 81.2.69.5/24");
    browser.fill(PLACES, "South Korea, 81.2.69.0/24").await;
    browser.click("Keep in draft").await;
    browser.wait_for("Rule 1 kept in your draft.").await;
    browser.wait_for("Clients in South Korea").await;
    browser.goto("/draft").await;
    browser.fill(REASON, "Koreans and one network").await;
    browser.click("Publish").await;
    browser.wait_for("Version 2 is live.").await;
    answers(&server, NAME, &[US]).await;
    browser.finish().await;
}

#[tokio::test]
async fn whoever_was_slower_keeps_the_draft_sees_both_and_settles_it() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    let mut anna = Browser::open(&server, Scripts::On).await;
    anna.sign_in_first(&server, "anna", "admin").await;
    let mut ben = Browser::open(&server, Scripts::On).await;
    ben.sign_in_first(&server, "ben", "admin").await;

    anna.goto("/pools/eu").await;
    anna.fill("Weight of one", "0").await;
    anna.click("Keep in draft").await;
    anna.wait_for("kept in your draft").await;
    anna.click("Review and apply").await;
    anna.wait_for("What this draft changes").await;

    ben.goto("/pools/eu").await;
    assert_ne!(ben.value("Weight of one").await, "0", "a draft is its author's");
    ben.fill("Weight of two", "0").await;
    ben.click("Keep in draft").await;
    ben.click("Review and apply").await;
    ben.fill(REASON, "Empty two").await;
    ben.click("Publish").await;
    ben.wait_for("Version 2 is live.").await;
    answers(&server, NAME, &[ONE]).await;

    anna.expect("status of 409");
    anna.fill(REASON, "Empty one").await;
    anna.click("Publish").await;
    anna.wait_for("Somebody was faster. Your changes are kept as a draft.").await;
    anna.wait_for("ben changed pool eu").await;
    anna.wait_for("(version 2).").await;
    let page = anna.text().await;
    let table = page.split_once("Field Was Theirs Yours").expect("a table of the fields").1;
    let table = table.split_once("Take theirs").expect("a way to settle it").0;
    assert!(table.contains("one: Weight 100 100 0") && table.contains("two: Weight 100 0 100"), "{table}");
    assert!(!anna.offers("Publish").await, "what is not settled is not published");
    answers(&server, NAME, &[ONE]).await;
    anna.goto("/pools/eu").await;
    anna.wait_for("ben changed pool eu").await;
    anna.click("Compare").await;

    anna.click("Keep mine").await;
    anna.wait_for("What this draft changes").await;
    assert!(!anna.reads("Field Was Theirs Yours").await);
    anna.fill(REASON, "Empty one after all").await;
    anna.click("Publish").await;
    anna.wait_for("Version 3 is live.").await;
    answers(&server, NAME, &[TWO]).await;
    anna.finish().await;
    ben.finish().await;
}

#[tokio::test]
async fn without_script_a_pool_is_drained_and_a_weight_is_published() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    let mut browser = Browser::open(&server, Scripts::Off).await;
    browser.sign_in_first(&server, "anna", "editor").await;
    browser.click("eu").await;
    browser.click("Drain pool").await;
    browser.wait_for("Drain eu?").await;
    browser.wait_for("After").await;
    browser.expect("status of 422");
    browser.click("Drain").await;
    browser.wait_for("Say why: whoever reads the history later will ask.").await;
    browser.fill(REASON, "New kernel").await;
    browser.click("Drain").await;
    browser.wait_for("eu gets no new clients from now on.").await;
    answers(&server, NAME, &[US]).await;
    browser.click("Undo").await;
    browser.wait_for("eu is back on.").await;

    browser.fill("Weight of two", "0").await;
    browser.click("Keep in draft").await;
    browser.wait_for("The weights of eu are kept in your draft.").await;
    browser.click("Review and apply").await;
    browser.fill(REASON, "Empty two").await;
    browser.click("Publish").await;
    browser.wait_for("Version 2 is live.").await;
    answers(&server, NAME, &[ONE]).await;
    browser.finish().await;
}

#[tokio::test]
async fn a_form_that_somebody_was_faster_than_asks_and_both_can_be_kept() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    let mut anna = Browser::open(&server, Scripts::On).await;
    anna.sign_in_first(&server, "anna", "editor").await;
    anna.goto("/pools/eu").await;
    publish_weight_of_two(&server, 7).await;

    anna.expect("status of 409");
    anna.fill("Weight of one", "5").await;
    anna.click("Keep in draft").await;
    anna.wait_for("Somebody was faster").await;
    anna.wait_for("changed pool eu").await;
    let page = anna.text().await;
    let theirs = page.split_once("What they made of it").expect("what was published").1;
    let (theirs, mine) = theirs.split_once("What your form would change now").expect("what was typed");
    assert!(theirs.contains("two: weight 100 to 7"), "{theirs}");
    assert!(mine.contains("one: weight 100 to 5") && mine.contains("two: weight 7 to 100"), "{mine}");
    anna.click("Merge both").await;
    anna.wait_for("The weights of eu are kept in your draft.").await;
    assert_eq!((anna.value("Weight of one").await, anna.value("Weight of two").await), ("5".into(), "7".into()));

    // Where both changed the same field there is nothing to merge.
    anna.goto("/pools/us/settings").await;
    let us = json!({ "name": "moved", "members": [{ "endpoint": "three" }] });
    let edit = json!({ "kind": "pools", "id": "us", "value": us });
    server.post("/api/v1/publish", json!({ "edits": [edit] })).await;
    anna.fill("Place", "stays").await;
    anna.click("Keep in draft").await;
    anna.wait_for("changed pool us").await;
    assert!(!anna.offers("Merge both").await && anna.offers("Keep mine").await);
    anna.click("Take what is there now").await;
    anna.wait_for_path("/pools/us/settings").await;
    assert_eq!(anna.value("Place").await, "moved");
    anna.finish().await;
}

#[tokio::test]
async fn what_was_not_reviewed_is_not_published() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    let mut anna = Browser::open(&server, Scripts::On).await;
    anna.sign_in_first(&server, "anna", "editor").await;
    anna.goto("/pools/us").await;
    anna.fill("Weight of three", "50").await;
    anna.click("Keep in draft").await;
    anna.click("Review and apply").await;
    anna.wait_for("What this draft changes").await;

    publish_weight_of_two(&server, 7).await;
    anna.expect("status of 409");
    anna.fill(REASON, "Less of three").await;
    anna.click("Publish").await;
    anna.wait_for("Version 2 was published meanwhile. Look again at what would change.").await;
    assert_eq!(anna.value(REASON).await, "Less of three");

    // The same person in another window drafts more.
    let mut other = Browser::open(&server, Scripts::On).await;
    other.sign_in(("anna", "the second of two")).await;
    other.goto("/pools/eu").await;
    other.fill("Weight of one", "0").await;
    other.click("Keep in draft").await;
    other.wait_for("kept in your draft").await;
    anna.click("Publish").await;
    anna.wait_for("Your draft changed after you opened this review.").await;
    anna.wait_for("pool eu").await;
    answers_both(&server).await;
    anna.click("Publish").await;
    anna.wait_for("Version 3 is live.").await;
    answers(&server, NAME, &[TWO]).await;
    anna.finish().await;
    other.finish().await;
}

#[tokio::test]
async fn shares_follow_the_weights_that_are_typed_with_script_and_without() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    let mut anna = Browser::open(&server, Scripts::On).await;
    anna.sign_in_first(&server, "anna", "editor").await;
    anna.goto("/pools/eu").await;
    assert!(!anna.reads("75%").await);
    anna.fill("Weight of one", "300").await;
    anna.wait_for("75%").await;
    anna.click("Keep in draft").await;
    anna.wait_for("kept in your draft").await;
    anna.finish().await;

    let mut ben = Browser::open(&server, Scripts::Off).await;
    ben.sign_in_first(&server, "ben", "editor").await;
    ben.goto("/pools/eu").await;
    ben.fill("Weight of one", "300").await;
    ben.click("Show shares").await;
    ben.wait_for("75%").await;
    assert_eq!(ben.value("Weight of one").await, "300");
    assert!(!ben.reads("kept in your draft").await);
    ben.finish().await;
}

#[tokio::test]
async fn what_is_said_about_a_form_is_not_lost_to_a_script_that_asks_meanwhile() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    let mut browser = Browser::open(&server, Scripts::On).await;
    browser.sign_in_first(&server, "anna", "editor").await;
    browser.goto("/pools/eu").await;
    // The form is sent, and its page is not there yet when the page that is still open asks for new shares.
    let send = "const form = document.querySelector('form[data-preview]'), data = new FormData(form);
        data.set('weight-one', '200');
        return fetch(form.action, { method: 'POST', body: new URLSearchParams(data), redirect: 'manual' })
            .then(answer => answer.type)";
    assert_eq!(browser.run(send).await, json!("opaqueredirect"));
    browser.fill("Weight of one", "300").await;
    browser.wait_for("75%").await;
    browser.run("document.querySelector('form[data-preview]').dataset.unguarded = ''").await;
    browser.goto("/pools/eu").await;
    browser.wait_for("The weights of eu are kept in your draft.").await;
    browser.reload().await;
    assert!(!browser.reads("The weights of eu are kept in your draft.").await, "it is said once");
    browser.finish().await;
}

/// By somebody else.
async fn publish_weight_of_two(server: &crate::server::Server, weight: u16) {
    let members = json!([{ "endpoint": "one" }, { "endpoint": "two", "weight": weight }]);
    let edit = json!({ "kind": "pools", "id": "eu", "value": { "members": members } });
    server.post("/api/v1/publish", json!({ "edits": [edit] })).await;
}

async fn answers_both(server: &crate::server::Server) {
    for address in [ONE, TWO] {
        crate::server::until(address, async || server.dig(&[NAME]).contains(&address.to_owned()).then_some(())).await;
    }
}
