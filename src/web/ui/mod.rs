//! The pages of the admin UI, rendered here and working without script. One file or folder for each page: its struct is
//! its template's context, its handler extracts, asks `control`, and returns the page. Every form posts and
//! is answered with a redirect; what is wrong comes back in the form, with what was typed.

mod account;
mod api_page;
mod assets;
mod audit;
mod beat;
mod cause;
mod change;
mod chart;
mod clash;
mod country;
mod dock;
mod draft;
mod every;
mod explain;
mod export;
mod filters;
mod form;
mod frame;
mod history;
mod kept;
mod live;
mod login;
mod map;
mod monitors;
mod names;
mod overview;
mod past;
mod pools;
mod regions;
mod search;
mod sentence;
mod session;
mod settings;
mod setup;
mod state;
mod text;
mod told;
mod trouble;
mod values;
mod versions;
mod visit;
mod zones;

use std::convert::Infallible;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{self, MethodRouter};

use super::{MAX_BODY, Web, arrive};
use crate::control::token::Role;

pub(super) use form::matches;
pub use live::Streams;
pub use login::Entrance;
pub use map::Maps;
pub use session::Sessions;
pub(super) use session::{Found, User};
pub use setup::Setup;
pub(super) use trouble::{troubles, wants_page};
use visit::AskedBy;
pub(super) use visit::is_own;
pub use zones::Delegations;

/// A page: its path, the role it takes, and its handlers.
pub(super) struct Page {
    path: &'static str,
    role: Role,
    handler: MethodRouter<Web>,
    body_limit: usize,
    arrives: Arrives,
    asked_by: AskedBy,
}

/// How a body comes to the handler.
#[derive(Clone, Copy, PartialEq)]
enum Arrives {
    Whole,
    /// As it comes; the handler sees to it that it ends.
    Streaming,
}

impl Page {
    /// `role` is for every method of the handler.
    pub fn new(path: &'static str, role: Role, handler: MethodRouter<Web>) -> Page {
        Page { path, role, handler, body_limit: MAX_BODY, arrives: Arrives::Whole, asked_by: AskedBy::Person }
    }

    /// For what open pages ask for by themselves.
    pub fn asked_by_pages(self) -> Page {
        Page { asked_by: AskedBy::Page, ..self }
    }

    /// For uploads, in bytes.
    pub fn body_limit(self, body_limit: usize) -> Page {
        Page { body_limit, ..self }
    }

    /// For uploads that are too large to be held in memory.
    pub fn streaming(self, body_limit: usize) -> Page {
        Page { body_limit, arrives: Arrives::Streaming, ..self }
    }
}

fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    pages.extend(live::pages());
    pages.extend(history::pages());
    pages.extend(zones::pages());
    pages.extend(overview::pages());
    pages.extend(search::pages());
    pages.extend(draft::pages());
    pages.extend(versions::pages());
    pages.extend(audit::pages());
    pages.extend(pools::pages());
    pages.extend(monitors::pages());
    pages.extend(explain::pages());
    pages.extend(regions::pages());
    pages.extend(account::pages());
    pages.extend(settings::pages());
    pages.extend(names::pages());
    pages.extend(api_page::pages());
    pages.extend(setup::pages());
    pages
}

#[cfg(test)]
pub(super) fn name_path(name: &crate::model::Name) -> String {
    names::path(name)
}

/// The paths of all pages, for the test that none of them stands in the way of another.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    pages().into_iter().map(|page| page.path)
}

/// Every page, each behind its guard, and what pages need before anybody has signed in.
pub(super) fn routes(web: &Web) -> Router<Web> {
    let open = login::routes()
        .merge(setup::routes())
        .layer(middleware::from_fn_with_state(MAX_BODY, arrive))
        .layer(DefaultBodyLimit::max(MAX_BODY));
    let mut router = Router::new().route("/static/{*path}", routing::get(assets::file)).merge(open);
    for Page { path, role, handler, body_limit, arrives, asked_by } in pages() {
        let needs = visit::Needs { web: web.clone(), role, asked_by };
        let handler = match arrives {
            Arrives::Whole => handler.layer::<_, Infallible>(middleware::from_fn_with_state(body_limit, arrive)),
            Arrives::Streaming => handler,
        };
        let handler =
            handler.layer(DefaultBodyLimit::max(body_limit)).layer(middleware::from_fn_with_state(needs, visit::guard));
        router = router.route(path, handler);
    }
    router
}
