//! A disk that becomes full while the server runs: clients are answered, people can look, sign in and read what to
//! do, nothing typed is lost, and with room again everything goes on.

use std::fs::{self, File};
use std::io::Write;

use serde_json::json;
use tempfile::TempDir;

use crate::accounts::{Browser, PASSWORD, first_admin};
use crate::server::{Server, until};

const DISK_MEBIBYTES: u32 = 48;
const NAME: &str = "www.example.test";

/// What reads from the disk among the pages, and what does not.
const PAGES: [&str; 12] = [
    "/",
    "/names",
    "/pools",
    "/pools/eu",
    "/pools/eu/endpoints/one",
    "/history",
    "/audit",
    "/versions",
    "/versions/1",
    "/draft",
    "/zones/example",
    "/settings/backup",
];

async fn world(server: &Server) {
    let document = json!({
        "zones": { "example": { "fqdn": "example.test.", "ns": ["ns1.other.test.", "ns2.other.test."] } },
        "endpoints": { "one": { "ipv4": "192.0.2.1" }, "two": { "ipv4": "192.0.2.2" } },
        "pools": { "eu": { "members": [{ "endpoint": "one" }, { "endpoint": "two", "enabled": false }] } },
        "policies": { "www": {
            "attach": [{ "zone": "example", "name": NAME.to_owned() + ".", "types": ["A"] }],
            "rules": [{ "name": "Everyone", "steps": [{ "pools": [{ "pool": "eu" }] }] }],
        } },
    });
    let (status, published) = server.api("PUT", "/api/v1/document", Some(document)).await;
    assert_eq!(status, 200, "{published}");
}

/// Writes until nothing more fits.
fn fill(server: &Server) {
    let mut file = File::create(server.dir.join("of somebody else")).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_clients_are_answered_people_sign_in_and_a_publication_waits_as_a_draft() {
    let dir = TempDir::new().unwrap();
    let Some(server) = Server::start_on_small_disk(dir.path(), DISK_MEBIBYTES) else {
        eprintln!("SKIPPED: this machine lets nobody mount a disk of one's own (unshare -m), so no disk became full");
        return;
    };
    let mut ann = first_admin(&server).await;
    world(&server).await;
    ann.get("/pools/eu").await;
    fill(&server);

    // The draft is kept, and the publication says what is wrong and what to do.
    let page = ann.post("/pools/eu/weights", &[("weight-one", "7"), ("weight-two", "100")]).await;
    assert_eq!(page.location, "/pools/eu", "{} {}", page.status, page.text);
    let review = ann.get("/draft").await;
    assert!(review.text.contains("weight 100 to 7"), "{}", review.text);
    let page = ann.publish(&review, "Less of one").await;
    assert_eq!(page.status.as_u16(), 507, "{}", page.text);
    for words in ["MiB left and this change needs", "free some room and try again", "weight 100 to 7", "Less of one"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(ann.get("/draft").await.text.contains("weight 100 to 7"), "the draft is kept");
    for (path, fields) in [
        ("/settings/tokens", [("id", "ci"), ("role", "viewer"), ("days", "1")]),
        ("/settings/users", [("id", "ben"), ("name", "Ben"), ("role", "viewer")]),
    ] {
        let page = ann.post(path, &fields).await;
        assert_eq!(page.status.as_u16(), 507, "{path}: {}", page.text);
        assert!(page.text.contains("The disk is too full"), "{path}: {}", page.text);
    }

    for _ in 0..3 {
        for path in PAGES {
            let page = ann.get(path).await;
            assert_eq!(page.status.as_u16(), 200, "{path}: {}", page.text);
        }
        assert_eq!(server.dig(&[NAME]), ["192.0.2.1"]);
        let mut late = Browser::new(&server);
        let entered = late.sign_in("ann", PASSWORD).await;
        assert_eq!(entered.location, "/pools", "{} {}", entered.status, entered.text);
        assert_eq!(late.get("/pools/eu").await.status.as_u16(), 200);
    }
    assert_eq!(server.dig(&[NAME]), ["192.0.2.1"]);

    fs::remove_file(server.dir.join("of somebody else")).unwrap();
    until("a publication", async || {
        let review = ann.get("/draft").await;
        let page = ann.publish(&review, "Less of one").await;
        page.status.is_redirection().then_some(())
    })
    .await;
    assert_eq!(server.get("/api/v1/pools/eu").await["members"][0]["weight"], 7);
    assert!(server.stop(), "the server ends by itself");
}
