//! Settings, About: which version runs, and whose work is in it under which licence.

use askama::Template;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::control::token::Role;
use crate::web::Problem;
use crate::web::extract::Path;
use crate::web::ui::export::{Format, both};
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::text::text;
use crate::web::ui::visit::Visit;
use crate::web::ui::{Page, filters};

/// Texts that the binary carries beside those in `static/licences`.
const TEXTS: [(&str, &str); 2] = [
    ("northing", include_str!("../../../../LICENSE")),
    ("geo-data", include_str!("../../../../geo-data/LICENSE-CC-BY-SA-4.0.txt")),
];

/// `NAME VERSION LICENCE` of each crate in the binary, as `packaging/third-party list` writes them.
const CRATES: &str = include_str!("../../../../packaging/crates.txt");

pub(super) fn pages() -> Vec<Page> {
    let mut pages = vec![
        Page::new("/settings/about", Role::Viewer, get(show)),
        Page::new("/settings/about/{licence}", Role::Viewer, get(licence)),
    ];
    pages.extend(both!("/settings/about", libraries));
    pages
}

/// What is in the program, by whom, under which licence, and where its text is.
struct Part {
    what: &'static str,
    source: &'static str,
    licence: &'static str,
    text: &'static str,
}

const fn part(what: &'static str, source: &'static str, licence: &'static str, text: &'static str) -> Part {
    Part { what, source, licence, text }
}

const PARTS: [Part; 7] = [
    part("Northing", "The Northing authors", "MIT OR Apache-2.0", "/settings/about/northing"),
    part("Country database", "IPFire Location", "CC BY-SA 4.0", "/settings/about/geo-data"),
    part("Points of countries", "GeoNames", "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
    part("Map", "Natural Earth, world-atlas", "ISC", "/static/licences/world-atlas-ISC.txt"),
    part("Inter", "The Inter Project Authors", "OFL 1.1", "/static/licences/inter-OFL.txt"),
    part("JetBrains Mono", "The JetBrains Mono Project Authors", "OFL 1.1", "/static/licences/jetbrains-mono-OFL.txt"),
    part("Icons", "Lucide", "ISC", "/static/licences/lucide-ISC.txt"),
];

#[derive(Template)]
#[template(path = "ui/settings_about.html")]
struct About {
    frame: Frame,
    version: &'static str,
    built: &'static str,
    /// What somebody who reports a fault says with it.
    build: String,
    parts: &'static [Part],
    crates: Vec<Crate>,
}

/// A library that is compiled in.
struct Crate {
    name: &'static str,
    version: &'static str,
    licence: &'static str,
}

fn crates() -> Vec<Crate> {
    let read = |line: &'static str| {
        let mut words = line.splitn(3, ' ');
        Some(Crate { name: words.next()?, version: words.next()?, licence: words.next()? })
    };
    CRATES.lines().filter_map(read).collect()
}

async fn show(visit: Visit) -> Response {
    let frame = visit.frame(Place::Settings, text("About")).await.under(text("Settings"), "/settings");
    let built = if cfg!(debug_assertions) { "debug" } else { "release" };
    let crates = crates();
    visit.page(&About { frame, version: env!("CARGO_PKG_VERSION"), built, build: build(), parts: &PARTS, crates })
}

async fn libraries(_: Visit, format: Format) -> Result<Response, Problem> {
    let rows = crates().into_iter().map(|one| json!([one.name, one.version, one.licence]));
    format.table("libraries", &["name", "version", "licence"], rows)
}

/// The commit where the build was told it, as `packaging/build` does, and the machine that it is for. No time of
/// day is in it, so that the same source makes the same bytes.
fn build() -> String {
    let machine = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    option_env!("NORTHING_COMMIT").map_or_else(|| machine.clone(), |commit| format!("{commit} {machine}"))
}

async fn licence(Path(licence): Path<String>) -> Result<Response, Problem> {
    let found = TEXTS.iter().find(|(name, _)| *name == licence);
    let (_, text) = found.ok_or_else(|| Problem::not_found(format!("There is no licence text {licence}.")))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], *text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_library_has_its_version_and_licence() {
        let crates = crates();
        assert_eq!(crates.len(), CRATES.lines().count());
        assert!(crates.iter().any(|one| one.name == "tokio" && one.licence == "MIT"));
    }
}
