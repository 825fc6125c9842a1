//! Settings, About: which version runs, and whose work is in it under which licence.

use askama::Template;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::control::token::Role;
use crate::web::Problem;
use crate::web::extract::Path;
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::text::text;
use crate::web::ui::visit::Visit;
use crate::web::ui::{Page, export, filters};

/// Texts that the binary carries beside those in `static/licences`.
const TEXTS: [(&str, &str); 2] = [
    ("northing", include_str!("../../../../LICENSE")),
    ("geo-data", include_str!("../../../../geo-data/LICENSE-CC-BY-SA-4.0.txt")),
];

/// `NAME VERSION LICENCE` of each crate in the binary, as `packaging/third-party list` writes them.
const CRATES: &str = include_str!("../../../../packaging/crates.txt");

pub(super) fn pages() -> Vec<Page> {
    vec![
        Page::new("/settings/about.csv", Role::Viewer, get(as_csv)),
        Page::new("/settings/about.json", Role::Viewer, get(as_json)),
        Page::new("/settings/about", Role::Viewer, get(show)),
        Page::new("/settings/about/{licence}", Role::Viewer, get(licence)),
    ]
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
    parts: &'static [Part],
    crates: Vec<Crate>,
}

/// A library that is compiled in.
#[derive(serde::Serialize)]
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
    visit.page(&About { frame, version: env!("CARGO_PKG_VERSION"), built, parts: &PARTS, crates: crates() })
}

async fn as_csv(_: Visit) -> Result<Response, Problem> {
    let rows = crates().into_iter().map(|one| [one.name, one.version, one.licence].map(str::to_owned).to_vec());
    export::csv("libraries", &["name", "version", "licence"], rows)
}

async fn as_json(_: Visit) -> Response {
    export::json("libraries", crates())
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
