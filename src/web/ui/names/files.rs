//! What the tabs of a name show, as files. Decides nothing.

use axum::response::Response;
use serde_json::json;

use super::super::export::Format;
use super::super::visit::Visit;
use super::{World, policy_of, tabs};
use crate::web::Problem;
use crate::web::extract::Path;

pub async fn records(visit: Visit, Path(name): Path<String>, format: Format) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let rows = tabs::record_rows(&world, &name);
    let rows = rows.into_iter().map(|(rtype, ttl, values, stands_by)| json!([rtype, ttl, values, !stands_by]));
    format.table(&format!("records-{}", name.without_dot()), &["type", "ttl", "values", "served"], rows)
}

pub async fn history(visit: Visit, Path(name): Path<String>, format: Format) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let events = match policy_of(&world.live, &name) {
        Some((_, policy)) => tabs::events(&visit, policy).await?,
        None => Vec::new(),
    };
    let rows = events
        .iter()
        .map(|event| json!([event.at, event.subject, event.from, event.to, event.cause, event.actor, event.incident]));
    let columns = ["at", "subject", "from", "to", "cause", "actor", "incident"];
    format.table(&format!("history-{}", name.without_dot()), &columns, rows)
}
