//! Settings, Appearance: theme and language of this browser. Kept in cookies; no account is changed.

use askama::Template;
use axum::response::Response;
use axum::routing::get;

use crate::control::token::Role;
use crate::web::ui::Page;
use crate::web::ui::filters;
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::text::{Language, text};
use crate::web::ui::visit::Visit;

pub(super) fn pages() -> Vec<Page> {
    vec![Page::new("/settings/appearance", Role::Viewer, get(show))]
}

#[derive(Template)]
#[template(path = "ui/settings_appearance.html")]
struct Appearance {
    frame: Frame,
    languages: [Language; 2],
}

async fn show(visit: Visit) -> Response {
    let frame = visit.frame(Place::Settings, text("Appearance")).await.under(text("Settings"), "/settings");
    visit.page(&Appearance { frame, languages: Language::ALL })
}
