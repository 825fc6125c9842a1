//! Each role sees what it may do, and gets a page that says so where it may not.

use tempfile::TempDir;

use crate::browser::{Browser, Scripts};
use crate::world;

/// What stands on the page of a pool for those who may switch, and for those who may edit.
const SWITCHES: &[&str] = &["Drain pool", "Turn off", "Check now"];
const EDITS: &[&str] = &["Add endpoint", "Keep in draft"];
const NO: &str = "You may not do this";

struct Person {
    role: &'static str,
    offered: &'static [&'static [&'static str]],
    /// Pages with words that stand on them.
    sees: &'static [(&'static str, &'static str)],
    refused: &'static [&'static str],
}

const PEOPLE: &[Person] = &[
    Person {
        role: "viewer",
        offered: &[],
        sees: &[("/pools/eu", "Endpoints"), ("/names/www.example.test", "www.example.test")],
        refused: &["/pools/eu/drain", "/pools/eu/endpoints/new", "/draft", "/audit", "/settings/users"],
    },
    Person {
        role: "operator",
        offered: &[SWITCHES],
        sees: &[("/pools/eu/drain", "Drain eu?"), ("/audit", "Who did what")],
        refused: &["/pools/eu/endpoints/new", "/draft", "/settings/users"],
    },
    Person {
        role: "editor",
        offered: &[SWITCHES, EDITS],
        sees: &[
            ("/pools/eu/drain", "Drain eu?"),
            ("/pools/eu/endpoints/new", "Endpoint"),
            ("/draft", "Review changes"),
        ],
        refused: &["/settings/users", "/settings/backup"],
    },
    Person {
        role: "admin",
        offered: &[SWITCHES, EDITS],
        sees: &[("/draft", "Review changes"), ("/settings/users", "viewer"), ("/settings/backup", "Backup")],
        refused: &[],
    },
];

#[tokio::test]
async fn each_role_sees_and_may_do_what_it_should() {
    let dir = TempDir::new().unwrap();
    let server = world::start(&dir).await;
    for person in PEOPLE {
        let mut browser = Browser::open(&server, Scripts::On).await;
        browser.sign_in_first(&server, person.role, person.role).await;
        browser.goto("/pools/eu").await;
        browser.wait_for("Share of answers").await;
        for group in [SWITCHES, EDITS] {
            let may = person.offered.contains(&group);
            for words in group {
                assert_eq!(browser.offers(words).await, may, "{words} for {}", person.role);
            }
        }
        if person.offered.contains(&SWITCHES) {
            browser.click("Drain pool").await;
            browser.fill("Reason (goes to the audit log)", "New kernel").await;
            browser.click("Drain").await;
            browser.wait_for("eu gets no new clients from now on.").await;
            browser.click("Undo").await;
            browser.wait_for("eu is back on.").await;
        }
        for (path, words) in person.sees {
            browser.goto(path).await;
            browser.wait_for(words).await;
            assert!(!browser.reads(NO).await, "{path} for {}", person.role);
        }
        browser.expect("status of 403");
        for path in person.refused {
            browser.goto(path).await;
            browser.wait_for(NO).await;
        }
        browser.finish().await;
    }
}
