//! Operational switches: they act at once, are events with a reason, and need no publication.

use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::json::Body;
use crate::control::token::Role;
use crate::control::{Author, subject};
use crate::health::{EndpointState, Family, Switch};
use crate::model::field::Fields;
use crate::model::{Admin, Id};
use crate::web::extract::Path;
use crate::web::{Problem, Route, Web};

/// The longest reason, in characters.
const MAX_REASON: usize = 500;

pub(super) fn routes() -> Vec<Route> {
    let route = |path: &str, summary: &str, takes, handler| {
        Route::new("post", path, Role::Operator, summary, handler).takes(takes).gives("Acted")
    };
    let drain = post(|s, e, p, b| admin(s, e, p, b, Admin::Drain));
    let off = post(|s, e, p, b| admin(s, e, p, b, Admin::Off));
    let on = post(|s, e, p, b| admin(s, e, p, b, Admin::On));
    let forced = "Hold an endpoint up or down whatever its checks say, or stop that";
    vec![
        route("/api/v1/pools/{id}/drain", "Send no new clients to a pool", "Reason", drain),
        route("/api/v1/pools/{id}/off", "Take a pool out", "Reason", off),
        route("/api/v1/pools/{id}/on", "Put a pool back in", "Reason", on),
        route("/api/v1/pools/{id}/approve", "Let a held pool serve again", "Reason", post(approve)),
        route("/api/v1/pools/{id}/load", "Report a pool's load in percent, for shedding", "Load", post(load)),
        route("/api/v1/endpoints/{id}/force", forced, "Force", post(force)),
    ]
}

async fn admin(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Path(id): Path<String>,
    body: Body,
    admin: Admin,
) -> Result<Json<Value>, Problem> {
    let reason = body.read(|fields| Some(reason(fields)))?;
    let pool = id.parse().map_err(Problem::not_found)?;
    act(&web, Switch::Pool { pool, admin }, author, reason).await
}

async fn approve(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let reason = body.read(|fields| Some(reason(fields)))?;
    let pool = id.parse().map_err(Problem::not_found)?;
    act(&web, Switch::ApproveFailback { pool }, author, reason).await
}

async fn load(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let percent = body.read(|fields| {
        let percent = fields.decimal_if("percent", 0.0..=1000.0);
        if !fields.has("percent") {
            fields.error("percent", "is missing", "give the load, such as 75");
        }
        percent
    })?;
    let pool = id.parse().map_err(Problem::not_found)?;
    act(&web, Switch::Load { pool, percent }, author, String::new()).await
}

async fn force(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let (family, state, reason) = body.read(|fields| {
        let family: Option<Family> = fields.word_if("family");
        let state: Option<EndpointState> = fields.word_if("state");
        if state == Some(EndpointState::Unknown) {
            fields.error("state", "cannot be forced to unknown", "use up, down, or null to let the checks decide");
        }
        Some((family, state, reason(fields)))
    })?;
    let endpoint: Id<crate::model::Endpoint> = id.parse().map_err(Problem::not_found)?;
    act(&web, Switch::Force { endpoint, family, state }, author, reason).await
}

fn reason(fields: &mut Fields) -> String {
    fields.text("reason", MAX_REASON).unwrap_or_default()
}

async fn act(web: &Web, switch: Switch, author: Author, reason: String) -> Result<Json<Value>, Problem> {
    let model = web.control.model();
    let known = match &switch {
        Switch::Pool { pool, .. } | Switch::ApproveFailback { pool } | Switch::Load { pool, .. } => {
            model.pools.contains_key(pool)
        }
        Switch::Force { endpoint, .. } => model.endpoints.contains_key(endpoint),
    };
    if !known {
        return Err(Problem::not_found(format!(
            "There is no {}; GET /api/v1/pools and /api/v1/endpoints list all.",
            subject(&switch)
        )));
    }
    let events = web.control.act(switch, author, reason).await?;
    Ok(Json(json!({ "events": events })))
}
