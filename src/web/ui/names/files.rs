//! What the tabs of a name show, as files. Decides nothing.

use axum::response::Response;
use jiff::Timestamp;
use serde_json::json;

use super::super::export::Format;
use super::super::form::Form;
use super::super::visit::Visit;
use super::{World, policy_of, shown, tabs};
use crate::web::Problem;
use crate::web::extract::Path;

pub async fn records(visit: Visit, Path(name): Path<String>, format: Format) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let rows = tabs::record_rows(&world, &name);
    let rows = rows.into_iter().map(|(rtype, ttl, values, stands_by)| json!([rtype, ttl, values, !stands_by]));
    format.table(&format!("records-{}", shown(&name)), &["type", "ttl", "values", "served"], rows)
}

/// `span` is `hour`, `day` or `week`, as on the page.
pub async fn traffic(visit: Visit, Path(name): Path<String>, format: Format) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let query = Form::parse(visit.here.split_once('?').map_or("", |(_, query)| query).as_bytes())?;
    let span = tabs::span(&query).0;
    let curve =
        policy_of(&world.live, &name).map(|(id, _)| visit.web.control.shared().traffic.lock().series.policy(id, span));
    let points = curve.into_iter().flat_map(|curve| {
        let at = move |step: usize| curve.start_ms + curve.step_ms * step as u64;
        curve.points.into_iter().enumerate().map(move |(step, rate)| (at(step), rate))
    });
    let rows = points.map(|(at_ms, rate)| {
        let at = i64::try_from(at_ms).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        json!([at.unwrap_or_default(), rate])
    });
    format.table(&format!("traffic-{}", shown(&name)), &["from", "answers_per_second"], rows)
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
    format.table(&format!("history-{}", shown(&name)), &columns, rows)
}
