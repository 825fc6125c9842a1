//! Bodies beyond the limit: whoever sends one reads what the limit is, even when the sending takes on.

use std::fs::File;
use std::process::Command;

use tempfile::TempDir;

use crate::accounts::set_up;

/// What `curl` made of an upload.
struct Sent {
    status: String,
    bytes: u64,
    page: String,
}

fn curl(arguments: &[&str]) -> Sent {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "60",
            "--write-out",
            "\n%{http_code} %{size_upload}",
        ])
        .args(arguments)
        .output()
        .expect("curl runs");
    assert!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (page, end) = text.rsplit_once('\n').unwrap();
    let (status, bytes) = end.split_once(' ').unwrap();
    Sent { status: status.into(), bytes: bytes.parse().unwrap(), page: page.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_too_much_reads_what_the_limit_is() {
    let (dir, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (server, browser) = set_up(&dir).await;
    let sized = |name: &str, mebibytes: u64| {
        let path = files.path().join(name);
        File::create(&path).unwrap().set_len(mebibytes << 20).unwrap();
        path.display().to_string()
    };
    let (small, large) = (sized("small", 3), sized("large", 80));
    let url = |path: &str| format!("http://{}{path}", server.http);
    let cookie = format!("Cookie: {}", browser.cookie());
    let browser_like = ["--header", &cookie, "--header", "Accept: text/html", "--header", "Expect:"];

    // A browser sends everything, and only then reads.
    for (path, form, limit) in [
        ("/zones/import", ["--form".to_owned(), format!("file=@{large}")], "larger than 64 MiB"),
        ("/account", ["--data-binary".to_owned(), format!("@{small}")], "larger than 1 MiB"),
        ("/login", ["--data-binary".to_owned(), format!("@{small}")], "larger than 1 MiB"),
    ] {
        let sent = curl(&[&browser_like[..], &[&form[0], &form[1], &url(path)]].concat());
        assert_eq!(sent.status, "413", "{path}: {}", sent.page);
        assert!(sent.page.contains(limit) && sent.page.contains("Nothing was changed."), "{path}: {}", sent.page);
        assert!(sent.bytes >= 3 << 20, "{path}: all was sent");
    }
    // What goes wrong before the body is read is told as well.
    let form = format!("file=@{large}");
    let sent = curl(&["--header", "Accept: text/html", "--header", "Expect:", "--form", &form, &url("/zones/import")]);
    assert!(sent.status == "401" && sent.page.contains("Sign in"), "{} {}", sent.status, sent.page);
    let sent = curl(&[&browser_like[..], &["--form", &form, &url("/nowhere")]].concat());
    assert!(sent.status == "404" && sent.page.contains("Nothing is at this address."), "{} {}", sent.status, sent.page);

    // A program that asks first is refused before it sends.
    let bearer = format!("Authorization: Bearer {}", server.token);
    for (path, status) in [("/api/v1/zones", "413"), ("/api/v1/nowhere", "404")] {
        let body = format!("@{large}");
        let arguments = ["--header", &bearer, "--expect100-timeout", "60", "--data-binary", &body, &url(path)];
        let sent = curl(&arguments);
        assert_eq!(sent.status, status, "{path}: {}", sent.page);
    }
    assert!(server.stop(), "the server ends by itself");
}
