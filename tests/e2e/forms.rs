//! Whatever somebody sends to a form, the answer is a page: never a fault of ours, and nobody does what their role
//! does not allow. The forms and their fields are read from the sources, so that none is forgotten.

use std::fs;
use std::path::Path;

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::accounts::{set_up, user};

/// What takes a form: path, and true where everybody who has signed in may send it.
struct Route {
    path: String,
    is_open: bool,
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(&path).unwrap());
        }
    }
}

fn routes(sources: &[String]) -> Vec<Route> {
    let parts = sources.iter().flat_map(|source| source.split("Page::new(").skip(1));
    let route = |part: &str| {
        let path = part.trim_start().strip_prefix('"')?.split('"').next()?;
        // Up to the next page of the list, or its end.
        let line = part.split([';', ']']).next()?;
        line.contains("post(").then(|| Route { path: path.to_owned(), is_open: line.contains("Viewer,") })
    };
    parts.filter_map(route).collect()
}

/// The names that handlers ask a form for.
fn fields(sources: &[String]) -> Vec<String> {
    let asked = ["form.text(\"", "form.all(\"", "form.raw(\"", "form.has(\""];
    let parts = |source: &String| -> Vec<String> {
        let found = asked.iter().flat_map(|asked| source.split(asked).skip(1));
        found.filter_map(|part| part.split('"').next()).map(str::to_owned).collect()
    };
    let mut fields: Vec<String> = sources.iter().flat_map(parts).collect();
    fields.extend(["weight-one", "was-one", "drain", "file"].map(str::to_owned));
    fields.sort();
    fields.dedup();
    // Signs out whoever sends it.
    fields.retain(|field| field != "form_token");
    fields
}

fn with(path: &str, names: &[(&str, &str)]) -> String {
    names.iter().fold(path.to_owned(), |path, (slot, name)| path.replace(slot, name))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_form_is_sent_the_answer_is_a_page() {
    let dir = TempDir::new().unwrap();
    let (server, mut admin) = set_up(&dir).await;
    let document = json!({
        "zones": { "example": { "fqdn": "example.test.", "ns": ["ns1.other.test.", "ns2.other.test."] } },
        "regions": { "eve": { "name": "Own", "include": ["country:KR"] } },
        "monitors": { "web": { "type": "tcp", "port": 9, "interval": 600 } },
        "endpoints": { "one": { "ipv4": "192.0.2.1" }, "two": { "ipv4": "192.0.2.2" } },
        "pools": { "eu": { "members": [{ "endpoint": "one" }, { "endpoint": "two" }] } },
        "policies": { "www": {
            "attach": [{ "zone": "example", "name": "www.example.test.", "types": ["A"] }],
            "rules": [{ "name": "Everyone", "steps": [{ "pools": [{ "pool": "eu" }] }] }],
        } },
    });
    let (status, published) = server.api("PUT", "/api/v1/document", Some(document)).await;
    assert_eq!(status, 200, "{published}");
    let eve = json!({ "id": "eve", "role": "viewer", "password": "the first of two" });
    server.post("/api/v1/users", eve).await;
    let mut viewer = user(&server, "viewer").await;

    let mut texts = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/ui"), &mut texts);
    let (routes, fields) = (routes(&texts), fields(&texts));
    assert!(routes.len() > 40 && fields.len() > 60, "{} routes, {} fields", routes.len(), fields.len());
    let huge = "x".repeat(8_000);
    let digits = "9".repeat(400);
    let values = [
        "",
        " ",
        "-1",
        "1e999",
        &digits,
        "eu",
        "없는 것 \u{202e}\u{1f600}",
        "\0\x01\r\n\x1b[0m",
        "../%2e%2e/'\"<&>",
        &huge,
    ];
    let real = [
        ("{pool}", "eu"),
        ("{endpoint}", "one"),
        ("{zone}", "example"),
        ("{name}", "www.example.test"),
        ("{monitor}", "web"),
        ("{id}", "eve"),
        ("{number}", "1"),
        ("{key}", "1"),
        ("{kind}", "location"),
    ];
    let wrong: Vec<Vec<(&str, &str)>> = ["nope", "%00", "%ff", "..%2f..", "%ED%95%9C", &huge[..300]]
        .map(|id| real.iter().map(|(slot, _)| (*slot, id)).collect())
        .to_vec();

    let (mut asked, mut faults) = (0, Vec::new());
    for Route { path, is_open } in &routes {
        let (here, token) = (with(path, &real), viewer.token());
        if !is_open {
            let page = viewer.send(Method::POST, &here, &[("form_token", &token)], &[]).await;
            assert_eq!(page.status.as_u16(), 403, "a viewer at {here}: {}", page.text);
            assert!(page.text.contains("<h1"), "a viewer at {here}: {}", page.text);
        }
        let token = admin.token();
        let mut forms: Vec<(String, Vec<(&str, &str)>)> = vec![(here.clone(), vec![("form_token", &token)])];
        for value in values {
            let mut form: Vec<(&str, &str)> = vec![("form_token", &token)];
            form.extend(fields.iter().map(|field| (field.as_str(), value)));
            // Twice the same, which only some fields can be.
            form.extend(fields.iter().map(|field| (field.as_str(), "eu")));
            forms.push((here.clone(), form));
        }
        forms.extend(wrong.iter().map(|names| (with(path, names), vec![("form_token", &*token), ("id", "eu")])));
        for (path, form) in forms {
            let page = admin.send(Method::POST, &path, &form, &[]).await;
            let sent = form.get(1).map_or("nothing", |(_, value)| value).chars().take(20).collect::<String>();
            asked += 1;
            let is_page = page.status.is_redirection() || page.text.contains("<h1") || path.ends_with("/file");
            if page.status.as_u16() >= 500 || !is_page || page.location.starts_with("/login") {
                let answer: String = page.text.chars().take(300).collect();
                faults.push(format!("{path} with {sent:?}: {} {} {answer}", page.status, page.location));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(asked > 500, "only {asked} forms were sent");
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert_eq!(server.dig(&["example.test", "NS"]).len(), 2, "it answers as before");
}
