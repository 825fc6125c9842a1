//! The OpenAPI document, made from the table of routes and the types themselves.

use std::sync::LazyLock;

use axum::Json;
use axum::routing::get;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::web::Route;
use crate::web::problem::Problem;

/// Every type that a body can have. What the types say of themselves is their documentation.
#[derive(OpenApi)]
#[openapi(components(schemas(
    crate::model::Zone,
    crate::model::RecordSetShown,
    crate::model::Region,
    crate::model::Monitor,
    crate::model::Endpoint,
    crate::model::Pool,
    crate::model::Policy,
    crate::model::Test,
    crate::model::Revision,
    crate::model::AuditEntry,
    crate::model::Edit,
    crate::model::FieldError,
    crate::health::Event,
    crate::health::HealthTable,
    super::checks::EndpointChecks,
    crate::control::Published,
    crate::control::preview::Preview,
    crate::control::token::Token,
    crate::control::token::Scope,
    crate::control::account::Listed,
    super::explain::Explanation,
    crate::store::AuditReport,
    super::document::Draft,
    Problem,
)))]
struct Types;

/// The document, as served.
pub fn openapi() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(build);
    &DOCUMENT
}

pub(super) fn routes() -> Vec<Route> {
    let handler = get(|| async { Json(openapi()) });
    vec![Route::new("get", "/api/v1/openapi.json", None, "This document", handler).gives("Document")]
}

fn build() -> Value {
    let mut document = serde_json::to_value(Types::openapi()).unwrap_or_default();
    let mut paths = Map::new();
    for route in super::routes().into_iter().chain(crate::web::ops::routes()) {
        let item = paths.entry(route.path.clone()).or_insert_with(|| json!({}));
        item[route.method] = operation(&route);
    }
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "Northing",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Steer clients to the right, living server. Every change is checked as a whole, is stored \
                        before it is visible, and can be undone by restoring an earlier revision. Values of the headers that health checks \
                        send are often credentials: only editors and admins are given them.",
        "license": { "name": "MIT OR Apache-2.0" },
    });
    document["paths"] = Value::Object(paths);
    let schemas = &mut document["components"]["schemas"];
    for (name, schema) in small_schemas() {
        schemas[name] = schema;
    }
    document["components"]["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer" } });
    document
}

fn operation(route: &Route) -> Value {
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let content = |name: &str| json!({ media_type(name): { "schema": reference(name) } });
    let mut parameters: Vec<Value> = path_parameters(&route.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(route.parameters.iter().map(|(name, description)| {
        let required = route.required.contains(name);
        json!({
            "name": name, "in": "query", "required": required, "description": description, "schema": { "type": "string" },
        })
    }));
    if route.method == "put" || route.method == "delete" {
        let description = "The ETag that was read; the change is refused when somebody was faster.";
        parameters.push(
            json!({ "name": "If-Match", "in": "header", "description": description, "schema": { "type": "string" } }),
        );
    }
    let mut operation = json!({
        "operationId": format!("{} {}", route.method, route.path).replace(['/', '{', '}', ' ', '.'], "_"),
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            route.status.as_str(): { "description": "Done", "content": content(route.gives) },
            "default": { "description": "What is wrong and what to do", "content": content("Problem") },
        },
    });
    if let Some(role) = route.role {
        operation["x-role"] = json!(role.to_string());
        operation["security"] = json!([{ "token": [] }]);
        operation["description"] = json!(format!("Needs a token with the role {role} or more."));
    }
    if let Some(request) = route.takes {
        operation["requestBody"] = json!({ "required": true, "content": content(request) });
    }
    operation
}

fn media_type(schema: &str) -> &'static str {
    match schema {
        "ZoneFile" => "text/dns",
        "Metrics" => "application/openmetrics-text",
        "Backup" => "application/octet-stream",
        "Problem" => "application/problem+json",
        _ => "application/json",
    }
}

fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// Shapes that no type of ours stands for.
fn small_schemas() -> Vec<(&'static str, Value)> {
    let list_of = |name: &str| {
        json!({ "type": "object", "properties": {
            "items": { "type": "array", "items": { "$ref": format!("#/components/schemas/{name}") } },
        } })
    };
    let reason =
        json!({ "type": "string", "description": "Why, for the history and the audit log.", "maxLength": 500 });
    let text = json!({ "type": "string" });
    vec![
        (
            "Page",
            json!({ "type": "object", "properties": {
            "items": { "type": "array", "items": {} },
            "next": { "type": ["string", "null"], "description": "Ask for the next page with `after` set to this." },
            "revision": { "type": "integer" },
        } }),
        ),
        ("Document", json!({ "type": "object", "description": "Entities by kind and id; records as a list." })),
        ("Events", list_of("Event")),
        ("Revisions", list_of("Revision")),
        ("Audit", list_of("AuditEntry")),
        ("Tokens", list_of("Token")),
        (
            "Acted",
            json!({ "type": "object", "properties": {
            "events": { "type": "array", "items": { "$ref": "#/components/schemas/Event" } } } }),
        ),
        ("Reason", json!({ "type": "object", "properties": { "reason": reason } })),
        (
            "Load",
            json!({ "type": "object", "properties": { "percent": { "type": "number", "minimum": 0, "maximum": 1000 } } }),
        ),
        (
            "Force",
            json!({ "type": "object", "properties": {
            "state": { "enum": ["up", "down", null] },
            "family": { "enum": ["ipv4", "ipv6", "name", null] },
            "reason": reason,
        } }),
        ),
        (
            "NewToken",
            json!({ "type": "object", "required": ["id"], "properties": {
            "id": text, "role": { "enum": ["viewer", "operator", "editor", "admin"] },
            "allow_from": { "type": "array", "items": text },
            "expires_days": { "type": "integer", "default": 90, "description": "0 never expires." },
            "kinds": { "type": "array", "items": text, "description": "Kinds of things that it is for, such as records; empty is all." },
            "zones": { "type": "array", "items": text, "description": "Ids of the zones that it is for, with their records; empty is all." },
        } }),
        ),
        (
            "CreatedToken",
            json!({ "type": "object", "properties": {
            "token": { "$ref": "#/components/schemas/Token" }, "secret": text } }),
        ),
        ("Users", list_of("User")),
        (
            "NewUser",
            json!({ "type": "object", "required": ["id"], "properties": {
            "id": { "type": "string", "pattern": "^[a-z0-9._@-]{1,64}$" },
            "name": { "type": "string", "maxLength": 64 },
            "role": { "enum": ["viewer", "operator", "editor", "admin"] },
            "password": { "type": "string", "description": "12 to 256 characters; made where absent." },
        } }),
        ),
        (
            "UserChange",
            json!({ "type": "object", "properties": {
            "name": { "type": "string", "maxLength": 64 },
            "role": { "enum": ["viewer", "operator", "editor", "admin"] },
            "disabled": { "type": "boolean" },
        } }),
        ),
        ("NewPassword", json!({ "type": "object", "properties": { "password": text } })),
        (
            "CreatedUser",
            json!({ "type": "object", "properties": {
            "user": { "$ref": "#/components/schemas/User" },
            "password": { "type": ["string", "null"], "description": "Where it was made here; shown this once." },
        } }),
        ),
        ("SetupCode", json!({ "type": "object", "properties": { "code": text, "line": text } })),
        ("Done", json!({ "type": "object", "properties": { "done": { "type": "boolean" } } })),
        ("ZoneFile", json!({ "type": "string", "description": "A zone file (RFC 1035 section 5)." })),
        ("Metrics", json!({ "type": "string", "description": "OpenMetrics 1.0." })),
        ("Backup", json!({ "type": "string", "format": "binary" })),
        ("Ready", json!({ "type": "object" })),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_creates_answers_with_201() {
        let mut created: Vec<&String> = openapi()["paths"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, item)| item["post"]["responses"].get("201").is_some())
            .map(|(path, _)| path)
            .collect();
        created.sort();
        let kinds = crate::model::Kind::ALL.iter().map(|kind| format!("/api/v1/{}", kind.as_str()));
        let mut expected: Vec<String> =
            kinds.chain(["tokens", "users"].map(|made| format!("/api/v1/{made}"))).collect();
        expected.sort();
        assert_eq!(created, expected.iter().collect::<Vec<_>>());
    }
}
