//! The demo is what the README promises.

use tempfile::TempDir;

use crate::server::{Server, stdout};

#[test]
fn the_demo_steers_by_region_weight_order_and_residency() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    let zone = "demo.northing.test";
    let one_of = |name: &str, subnet: &str, wanted: &[&str]| {
        let found = server.dig(&[&format!("+subnet={subnet}"), &format!("{name}.{zone}")]);
        assert_eq!(found.len(), 1, "{name} for {subnet}: {found:?}");
        assert!(wanted.contains(&found[0].as_str()), "{name} for {subnet}: {found:?}");
    };
    let europe = ["127.0.10.1", "127.0.10.2"];
    one_of("geo", "81.2.69.0/24", &europe);
    one_of("geo", "8.8.8.0/24", &["127.0.20.1"]);
    one_of("geo", "133.11.0.0/24", &["127.0.30.1"]);
    one_of("eu-only", "8.8.8.0/24", &europe);
    one_of("failover", "8.8.8.0/24", &["127.0.40.1"]);
    assert_eq!(server.dig(&[&format!("www.{zone}")]), ["192.0.2.10"]);
    assert_eq!(server.dig(&["+tcp", &format!("www.{zone}"), "AAAA"]), ["2001:db8::10"]);
    assert_eq!(server.dig(&[&format!("_demo.{zone}"), "TXT"]).len(), 4);
    assert!(server.stop());
}

#[test]
fn the_demo_prints_five_lines_to_try_and_the_first_token_once() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    assert_eq!(server.greeting.lines().filter(|line| line.starts_with("  ")).count(), 5, "{}", server.greeting);
    assert_eq!(server.greeting.matches("nth_").count(), 1);
    assert!(server.stop());
    let again = Server::start(dir.path(), &["--demo"]);
    assert!(!again.greeting.contains("nth_"), "{}", again.greeting);
}

#[test]
fn explain_says_where_the_client_is_and_why_it_gets_its_pool() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    let output = server.command(&["explain", "geo.demo.northing.test", "81.2.69.160"]);
    let text = stdout(&output);
    for part in ["GB", "Europe, Africa, Middle East", "demo-eu", "TTL", "scope"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    let output = server.command(&["explain", "geo.demo.northing.test", "81.2.69.160", "--json"]);
    let trace: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(trace.is_object());
    let without = ["explain", "geo.demo.northing.test", "81.2.69.160", "--at", "1", "--down", "demo-eu"];
    let text = stdout(&server.command(&without));
    assert!(text.contains("demo-eu") && text.contains("down"), "{text}");
    for (arguments, word) in [(["--at", "900"], "900"), (["--down", "nobody"], "nobody")] {
        let output = server.command(&[&["explain", "geo.demo.northing.test", "81.2.69.160"][..], &arguments].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(word), "{arguments:?}: {text}");
    }
}

#[test]
fn scopes_are_returned_only_to_those_who_sent_a_subnet() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    let with = server.dig_output(&["+subnet=81.2.69.0/24", "geo.demo.northing.test"]);
    let line = with.lines().find(|line| line.contains("CLIENT-SUBNET")).expect("a scope");
    let scope: u8 = line.rsplit('/').next().unwrap().trim().parse().unwrap();
    assert!((1..=24).contains(&scope), "{line}");
    let without = server.dig_output(&["+nosubnet", "geo.demo.northing.test"]);
    assert!(!without.contains("CLIENT-SUBNET"), "{without}");
    let fixed = server.dig_output(&["+subnet=81.2.69.0/24", "www.demo.northing.test"]);
    assert!(fixed.contains("CLIENT-SUBNET: 81.2.69.0/24/0"), "{fixed}");
}

#[test]
fn weights_show_in_the_answers() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.dns).unwrap();
    socket.set_read_timeout(Some(crate::server::DEADLINE)).unwrap();
    let name = b"\x08weighted\x04demo\x08northing\x04test\0";
    let query = [&[7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], name, &[0, 1, 0, 1]].concat();
    let (total, mut canary) = (5_000_u32, 0_u32);
    for _ in 0..total {
        socket.send(&query).unwrap();
        let mut reply = [0; 512];
        let length = socket.recv(&mut reply).unwrap();
        canary += u32::from(reply[..length].ends_with(&[127, 0, 50, 2]));
    }
    // Five standard deviations of a binomial distribution round 10 %.
    let (mean, deviation) = (500.0, (5_000.0_f64 * 0.1 * 0.9).sqrt());
    assert!((f64::from(canary) - mean).abs() < 5.0 * deviation, "{canary} of {total}");
}
