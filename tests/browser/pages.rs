//! Every page with an address of the demo where it can be seen. `every_page_is_on_the_tour` keeps the list whole.

/// A path as the router knows it, with addresses where the tour looks at it.
pub struct Stop {
    pub path: &'static str,
    pub seen_at: &'static [&'static str],
}

const fn stop(path: &'static str, seen_at: &'static [&'static str]) -> Stop {
    Stop { path, seen_at }
}

pub const PAGES: &[Stop] = &[
    stop("/", &["/"]),
    stop("/setup/name", &["/setup/name"]),
    stop("/setup/servers", &["/setup/servers"]),
    stop("/setup/steering", &["/setup/steering"]),
    stop("/setup/check", &["/setup/check"]),
    stop("/explain", &["/explain", "/explain?client=81.2.69.160&name=geo.demo.northing.test&type=A"]),
];

/// Pages that are not looked at: what only takes forms, streams, and what is saved instead of shown.
pub const UNSEEN: &[&str] = &["/live"];

/// What is said when a page cannot be what was asked for.
pub const TROUBLES: &[&str] = &["/no-such-page", "/static/no-such-file", "/pools/no-such-pool"];
