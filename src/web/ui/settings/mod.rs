//! Settings: a tab for each part, and the switches of how pages look, which are everybody's own.

mod about;
mod appearance;
mod backup;
mod general;
mod geo_data;
mod tokens;
mod users;

pub use backup::reminder;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::Page;
use super::form::Form;
use super::login::local;
use super::text::Language;
use super::visit::{LANGUAGE_COOKIE, THEME_COOKIE, Visit, see};
use crate::control::token::Role;
use crate::model::FieldError;

/// How long a browser remembers how its pages look, in seconds: a year.
const REMEMBERED: u32 = 365 * 86_400;

/// Every role with its name, and what it may do.
pub const ROLES: [(Role, &str, &str); 4] = [
    (Role::Viewer, "Viewer", "Sees everything but secrets, settings and the header values of health checks."),
    (Role::Operator, "Operator", "Also drains pools, forces endpoints and approves failbacks."),
    (Role::Editor, "Editor", "Also changes and publishes the configuration."),
    (Role::Admin, "Admin", "Also manages users, tokens, backups and settings."),
];

pub(super) fn pages() -> Vec<Page> {
    let mut pages = vec![
        Page::new("/settings/theme", Role::Viewer, post(next_theme)),
        Page::new("/settings/language", Role::Viewer, post(choose_language)),
    ];
    pages.extend(general::pages());
    pages.extend(users::pages());
    pages.extend(tokens::pages());
    pages.extend(geo_data::pages());
    pages.extend(backup::pages());
    pages.extend(appearance::pages());
    pages.extend(about::pages());
    pages
}

/// A role as people read it.
pub fn role_word(role: &Role) -> &'static str {
    ROLES.iter().find(|(known, ..)| known == role).map_or("", |(_, word, _)| word)
}

/// The role that a form sent; the least where it says none.
pub fn role_of(form: &Form) -> Result<Role, FieldError> {
    let sent = form.text("role");
    let found = ROLES.iter().map(|(role, ..)| *role).find(|role| role.to_string() == sent);
    let missing = || FieldError::new("role", format!("{sent:?} is not a role"), "choose one of the list");
    if sent.is_empty() { Ok(Role::Viewer) } else { found.ok_or_else(missing) }
}

/// As the system has it, then light, then dark.
async fn next_theme(visit: Visit, form: Form) -> Response {
    let chosen = match form.text("theme") {
        "system" => "",
        "light" => "light",
        "dark" => "dark",
        _ => match visit.theme {
            "" => "light",
            "light" => "dark",
            _ => "",
        },
    };
    remember(THEME_COOKIE, chosen, form.text("here"))
}

async fn choose_language(_: Visit, form: Form) -> Response {
    let chosen = Language::of_code(form.text("language")).map_or("", Language::code);
    remember(LANGUAGE_COOKIE, chosen, form.text("here"))
}

/// An empty choice is forgotten, so that the browser's own counts again.
fn remember(name: &str, chosen: &str, back: &str) -> Response {
    let age = if chosen.is_empty() { 0 } else { REMEMBERED };
    let cookie = format!("{name}={chosen}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}");
    let cookie = HeaderValue::from_str(&cookie).expect("our own words are a header value");
    ([(header::SET_COOKIE, cookie)], see(local(back))).into_response()
}
