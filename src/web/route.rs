//! One route: the router, its guard and the OpenAPI document are all made from the same lines.

use axum::http::StatusCode;
use axum::routing::MethodRouter;

use crate::control::token::Role;

use super::Web;

/// A method of a path, who may call it, and what goes in and out.
pub(super) struct Route {
    pub method: &'static str,
    pub path: String,
    /// `None` is open to everybody.
    pub role: Option<Role>,
    pub summary: String,
    /// Query parameters with their descriptions.
    pub parameters: &'static [(&'static str, &'static str)],
    /// Those of them that must be given.
    pub required: &'static [&'static str],
    /// Of what went well.
    pub status: StatusCode,
    /// Names of schemas in the OpenAPI document.
    pub takes: Option<&'static str>,
    pub gives: &'static str,
    pub handler: MethodRouter<Web>,
}

impl Route {
    /// A route whose handler was made by axum's function of the same `method`.
    pub fn new(
        method: &'static str,
        path: impl Into<String>,
        role: impl Into<Option<Role>>,
        summary: impl Into<String>,
        handler: MethodRouter<Web>,
    ) -> Self {
        let (path, role, summary) = (path.into(), role.into(), summary.into());
        let (status, parameters, required) = (StatusCode::OK, &[], &[]);
        Route { method, path, role, summary, parameters, required, status, takes: None, gives: "Done", handler }
    }

    pub fn parameters(self, parameters: &'static [(&'static str, &'static str)]) -> Self {
        Route { parameters, ..self }
    }

    /// Query parameters that must be given.
    pub fn requires(self, required: &'static [&'static str]) -> Self {
        Route { required, ..self }
    }

    /// Answers with 201.
    pub fn creates(self) -> Self {
        Route { status: StatusCode::CREATED, ..self }
    }

    pub fn takes(self, schema: &'static str) -> Self {
        Route { takes: Some(schema), ..self }
    }

    pub fn gives(self, schema: &'static str) -> Self {
        Route { gives: schema, ..self }
    }
}
