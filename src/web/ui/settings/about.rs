//! Settings, About: which version runs, and whose work is in it under which licence.

use askama::Template;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::control::token::Role;
use crate::web::Problem;
use crate::web::extract::Path;
use crate::web::ui::Page;
use crate::web::ui::filters;
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::text::text;
use crate::web::ui::visit::Visit;

/// Texts that the binary carries beside those in `static/licences`.
const TEXTS: [(&str, &str); 2] = [
    ("northing", include_str!("../../../../LICENSE")),
    ("geo-data", include_str!("../../../../geo-data/LICENSE-CC-BY-SA-4.0.txt")),
];

pub(super) fn pages() -> Vec<Page> {
    vec![
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
    part("Northing", "", "MIT OR Apache-2.0", "/settings/about/northing"),
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
}

async fn show(visit: Visit) -> Response {
    let frame = visit.frame(Place::Settings, text("About")).await.under(text("Settings"), "/settings");
    let built = if cfg!(debug_assertions) { "debug" } else { "release" };
    visit.page(&About { frame, version: env!("CARGO_PKG_VERSION"), built, build: build(), parts: &PARTS })
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
