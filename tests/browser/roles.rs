//! Each role sees what it may do, and gets a page that says so where it may not.

use tempfile::TempDir;

use crate::browser::{Browser, Scripts};
use crate::world;

/// What stands on the page of a pool.
const SWITCH: &str = "Drain pool";
const EDIT: &str = "Add endpoint";
const NO: &str = "You may not do this";

struct Person {
    role: &'static str,
    offered: &'static [&'static str],
    /// Pages with words that stand on them.
    sees: &'static [(&'static str, &'static str)],
    refused: &'static [&'static str],
}

const PEOPLE: &[Person] = &[
    Person {
        role: "viewer",
        offered: &[],
        sees: &[("/pools/eu", "Endpoints"), ("/names/www.example.test", "www.example.test")],
        refused: &["/pools/eu/drain", "/pools/eu/endpoints/new", "/draft", "/settings/users"],
    },
    Person {
        role: "operator",
        offered: &[SWITCH],
        sees: &[("/pools/eu/drain", "Drain eu?")],
        refused: &["/pools/eu/endpoints/new", "/draft", "/settings/users"],
    },
    Person {
        role: "editor",
        offered: &[SWITCH, EDIT],
        sees: &[
            ("/pools/eu/drain", "Drain eu?"),
            ("/pools/eu/endpoints/new", "Endpoint"),
            ("/draft", "Review changes"),
        ],
        refused: &["/settings/users", "/settings/backup"],
    },
    Person {
        role: "admin",
        offered: &[SWITCH, EDIT],
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
        for words in [SWITCH, EDIT] {
            assert_eq!(browser.offers(words).await, person.offered.contains(&words), "{words} for {}", person.role);
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
