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
    stop("/account", &["/account"]),
    stop("/account/password", &["/account/password"]),
    stop("/account/totp", &["/account/totp"]),
    stop("/api", &["/api"]),
    stop("/audit", &["/audit"]),
    stop("/draft", &["/draft"]),
    stop("/explain", &["/explain", "/explain?client=81.2.69.160&name=geo.demo.northing.test&type=A"]),
    stop("/history", &["/history"]),
    stop("/history/report", &["/history/report"]),
    stop("/keys", &["/keys"]),
    stop("/monitors", &["/monitors"]),
    stop("/monitors/new", &["/monitors/new"]),
    stop("/monitors/{monitor}", &["/monitors/demo-web"]),
    stop("/names", &["/names"]),
    stop("/names/new", &["/names/new"]),
    stop("/names/tests", &["/names/tests"]),
    stop("/names/{name}", &["/names/geo.demo.northing.test"]),
    stop("/names/{name}/delete", &["/names/geo.demo.northing.test/delete"]),
    stop("/pools", &["/pools"]),
    stop("/pools/new", &["/pools/new"]),
    stop("/pools/{pool}", &["/pools/demo-eu"]),
    stop("/pools/{pool}/approve", &["/pools/demo-primary/approve"]),
    stop("/pools/{pool}/drain", &["/pools/demo-eu/drain"]),
    stop("/pools/{pool}/endpoints/new", &["/pools/demo-eu/endpoints/new"]),
    stop("/pools/{pool}/endpoints/{endpoint}", &["/pools/demo-eu/endpoints/demo-eu-1"]),
    stop(
        "/pools/{pool}/endpoints/{endpoint}/force",
        &["/pools/demo-eu/endpoints/demo-eu-1/force?state=down", "/pools/demo-eu/endpoints/demo-eu-1/force?state=up"],
    ),
    stop("/pools/{pool}/health-check", &["/pools/demo-eu/health-check"]),
    stop("/pools/{pool}/history", &["/pools/demo-eu/history"]),
    stop("/pools/{pool}/off", &["/pools/demo-eu/off"]),
    stop("/pools/{pool}/on", &["/pools/demo-eu/on"]),
    stop("/pools/{pool}/settings", &["/pools/demo-eu/settings"]),
    stop("/pools/{pool}/used-by", &["/pools/demo-eu/used-by"]),
    stop("/regions", &["/regions"]),
    stop("/regions/new", &["/regions/new"]),
    stop("/regions/{id}", &["/regions/europe"]),
    stop("/search", &["/search", "/search?q=demo"]),
    stop("/settings", &["/settings"]),
    stop("/settings/about", &["/settings/about"]),
    stop("/settings/appearance", &["/settings/appearance"]),
    stop("/settings/backup", &["/settings/backup"]),
    stop("/settings/general", &["/settings/general"]),
    stop("/settings/geo-data", &["/settings/geo-data"]),
    stop("/settings/tokens", &["/settings/tokens"]),
    stop("/settings/users", &["/settings/users"]),
    stop("/settings/users/{id}", &["/settings/users/demo"]),
    stop("/setup/name", &["/setup/name"]),
    stop("/setup/servers", &["/setup/servers"]),
    stop("/setup/steering", &["/setup/steering"]),
    stop("/setup/check", &["/setup/check"]),
    stop("/versions", &["/versions"]),
    stop("/versions/{number}", &["/versions/1"]),
    stop("/versions/{number}/restore", &["/versions/1/restore"]),
    stop("/zones", &["/zones"]),
    stop("/zones/import", &["/zones/import"]),
    stop("/zones/new", &["/zones/new"]),
    stop("/zones/{zone}", &["/zones/demo"]),
    stop("/zones/{zone}/delegation", &["/zones/demo/delegation"]),
    stop("/zones/{zone}/delete", &["/zones/demo/delete"]),
    stop("/zones/{zone}/record", &["/zones/demo/record"]),
    stop("/zones/{zone}/settings", &["/zones/demo/settings"]),
    stop("/zones/{zone}/text", &["/zones/demo/text"]),
];

/// Pages that are not looked at: streams, what is saved or plain text instead of a page, what needs an entity of
/// its own or a pool that is down, and forms that only come with errors.
pub const UNSEEN: &[&str] = &[
    "/api/try",
    "/live",
    "/explain/keep",
    "/history/{key}",
    "/names/{name}/rule",
    "/pools/switch",
    "/pools/{pool}/endpoints/{endpoint}/edit",
    "/pools/{pool}/hold",
    "/regions/{id}/delete",
    "/regions/{id}/edit",
    "/settings/about/{licence}",
    "/settings/geo-data/{kind}/back",
    "/zones/{zone}/export",
];

/// What is said when a page cannot be what was asked for.
pub const TROUBLES: &[&str] = &["/no-such-page", "/static/no-such-file", "/pools/no-such-pool", "/logout"];
