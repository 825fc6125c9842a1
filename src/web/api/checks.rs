//! The checks of one endpoint: what each found, and checking at once.

use axum::Json;
use axum::extract::State;
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::{Value, json};

use crate::control::Refusal;
use crate::control::token::Role;
use crate::health::{CheckHealth, EndpointHealth};
use crate::model::{Endpoint, Id};
use crate::web::extract::Path;
use crate::web::{Problem, Route, Web};

pub(super) fn routes() -> Vec<Route> {
    let found = "What every check of an endpoint found last, and why some cannot run here";
    let now = "Check an endpoint now, without waiting for the interval";
    vec![
        Route::new("get", "/api/v1/endpoints/{id}/health", Role::Viewer, found, get(health)).gives("EndpointChecks"),
        Route::new("post", "/api/v1/endpoints/{id}/check", Role::Operator, now, post(check_now)),
    ]
}

/// All that is known of one endpoint.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct EndpointChecks {
    #[serde(flatten)]
    pub health: EndpointHealth,
    /// One for each monitor and family.
    pub checks: Vec<CheckHealth>,
}

async fn health(State(web): State<Web>, Path(id): Path<String>) -> Result<Json<EndpointChecks>, Problem> {
    let id = known(&web, &id)?;
    let checks = web.control.checks(id.clone()).await?;
    let health = web.control.health().endpoints.get(&id).cloned().unwrap_or_default();
    Ok(Json(EndpointChecks { health: health.as_ref().clone(), checks }))
}

async fn check_now(State(web): State<Web>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let id = known(&web, &id)?;
    if web.control.checks(id.clone()).await?.is_empty() {
        let detail = format!("Nothing watches endpoints/{id}; give it or its pool a monitor.");
        return Err(Refusal::Conflict(detail).into());
    }
    web.control.check_now(id)?;
    Ok(Json(json!({ "done": true })))
}

fn known(web: &Web, id: &str) -> Result<Id<Endpoint>, Problem> {
    let missing = || Problem::not_found(format!("There is no endpoints/{id}."));
    let id: Id<Endpoint> = id.parse().map_err(|_| missing())?;
    if web.control.model().endpoints.contains_key(&id) { Ok(id) } else { Err(missing()) }
}
