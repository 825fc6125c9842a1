//! `/api/v1`: JSON for every entity, publication, switches, history and explanation. One table of
//! routes feeds the router, the guards and the OpenAPI document.

mod checks;
mod document;
mod entities;
mod explain;
mod history;
mod json;
mod openapi;
mod switches;
pub(super) mod tokens;
pub(super) mod users;
pub(in crate::web) mod zones;

pub use openapi::openapi;
pub use tokens::make as make_token;

use super::Route;

pub(super) fn routes() -> Vec<Route> {
    let mut routes = entities::routes();
    routes.extend(document::routes());
    routes.extend(switches::routes());
    routes.extend(checks::routes());
    routes.extend(history::routes());
    routes.extend(explain::routes());
    routes.extend(zones::routes());
    routes.extend(tokens::routes());
    routes.extend(users::routes());
    routes.extend(openapi::routes());
    routes
}
