//! List, read, create, change and delete, the same for every kind of entity. Each change is a
//! publication of its own; several together go through `publish`.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::document::DESPITE_TESTS;
use super::json::{Body, if_match};
use crate::control::token::Role;
use crate::control::{Author, Expect, Publication, Tests};
use crate::model::{Edit, FieldError, Kind};
use crate::web::access::hide;
use crate::web::extract::{Path, Query};
use crate::web::{Problem, Route, Web};

/// Entities on one page of a list.
const DEFAULT_PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

const LIST_PARAMETERS: &[(&str, &str)] = &[
    ("limit", "How many at most, 1 to 1000; 100 where not given."),
    ("after", "The id after which to go on, as `next` of the page before said."),
    ("q", "Only ids that contain this text."),
];
const CHANGE_PARAMETERS: &[(&str, &str)] = &[("message", "Why, for the history."), DESPITE_TESTS];

pub(super) fn routes() -> Vec<Route> {
    Kind::ALL.into_iter().flat_map(of_kind).collect()
}

fn of_kind(kind: Kind) -> Vec<Route> {
    let word = kind.as_str();
    let list_path = format!("/api/v1/{word}");
    let item_path = match kind {
        Kind::Records => "/api/v1/records/{zone}/{name}/{type}".to_owned(),
        _ => format!("/api/v1/{word}/{{id}}"),
    };
    let schema = schema_of(kind);
    let listed = get(
        move |State(web): State<Web>,
              Extension(role): Extension<Role>,
              Query(query): Query<HashMap<String, String>>| async move { list(&web, kind, role, &query) },
    );
    let created = post(
        move |State(web): State<Web>, Extension(author): Extension<Author>, Query(query), body: Body| async move {
            create(&web, kind, author, &query, body).await
        },
    );
    let shown = get(
        move |State(web): State<Web>, Extension(role): Extension<Role>, Path(path): Path<Vec<String>>| async move {
            read(&web, kind, role, &path)
        },
    );
    let changed = put(
        move |State(web): State<Web>,
              Extension(author),
              Path(path): Path<Vec<String>>,
              Query(query),
              headers,
              body: Body| async move { change(&web, kind, author, &path, &query, &headers, Some(body.0)).await },
    );
    let deleted = delete(
        move |State(web): State<Web>, Extension(author), Path(path): Path<Vec<String>>, Query(query), headers| async move {
            change(&web, kind, author, &path, &query, &headers, None).await
        },
    );
    let one = match kind {
        Kind::Endpoints => "an endpoint".to_owned(),
        kind => format!("a {}", kind.singular()),
    };
    let changes = |method, path: &str, word: &str, handler| {
        let summary = format!("{word} {one}");
        Route::new(method, path, Role::Editor, summary, handler).parameters(CHANGE_PARAMETERS).gives("Published")
    };
    vec![
        Route::new("get", &*list_path, Role::Viewer, format!("List {word}"), listed)
            .parameters(LIST_PARAMETERS)
            .gives("Page"),
        changes("post", &list_path, "Create", created).takes(schema).creates(),
        Route::new("get", &*item_path, Role::Viewer, format!("Read {one}"), shown).gives(schema),
        changes("put", &item_path, "Change", changed).takes(schema),
        changes("delete", &item_path, "Delete", deleted),
    ]
}

/// The name of the kind's schema in the OpenAPI document.
fn schema_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Zones => "Zone",
        Kind::Records => "RecordSet",
        Kind::Regions => "Region",
        Kind::Monitors => "Monitor",
        Kind::Endpoints => "Endpoint",
        Kind::Pools => "Pool",
        Kind::Policies => "Policy",
        Kind::Tests => "Test",
    }
}

fn list(web: &Web, kind: Kind, role: Role, query: &HashMap<String, String>) -> Result<Json<Value>, Problem> {
    let limit = match query.get("limit") {
        None => DEFAULT_PAGE,
        Some(text) => text.parse().ok().filter(|n| (1..=MAX_PAGE).contains(n)).ok_or_else(|| {
            let error = FieldError::new(
                "limit",
                format!("{text:?} is out of range"),
                format!("use a whole number from 1 to {MAX_PAGE}"),
            );
            Problem::fields(vec![error])
        })?,
    };
    let model = web.control.model();
    let wanted = |id: &String| query.get("q").is_none_or(|text| id.contains(text.as_str()));
    let mut rest = model.ids_after(kind, query.get("after").map(String::as_str)).filter(wanted);
    let page: Vec<String> = rest.by_ref().take(limit).collect();
    let next = rest.next().and_then(|_| page.last().cloned());
    let mut items: Vec<Value> = page.iter().filter_map(|id| model.entity(kind, id)).collect();
    items.iter_mut().for_each(|item| hide(role, kind, item));
    Ok(Json(json!({ "items": items, "next": next, "revision": model.revision })))
}

fn read(web: &Web, kind: Kind, role: Role, path: &[String]) -> Result<Response, Problem> {
    let id = path.join("/");
    let mut entity = web.control.model().entity(kind, &id).ok_or_else(|| missing(kind, &id))?;
    hide(role, kind, &mut entity);
    let tag = etag(&entity);
    Ok(([(header::ETAG, tag)], Json(entity)).into_response())
}

async fn create(
    web: &Web,
    kind: Kind,
    author: Author,
    query: &HashMap<String, String>,
    Body(value): Body,
) -> Result<Response, Problem> {
    let id = match kind {
        Kind::Records => record_id(web, &value),
        _ => value.get("id").and_then(Value::as_str).map(str::to_owned),
    };
    if let Some(other) = value.get("id").filter(|other| id.is_none() && !other.is_null()) {
        return Err(Problem::fields(vec![FieldError::new("id", format!("{other} is not text"), "put it in quotes")]));
    }
    let Some(id) = id else {
        let needed = match kind {
            Kind::Records => ("zone, name and type", "give all three, such as \"example-com\", \"www\" and \"A\""),
            _ => ("id", "give one of a-z, 0-9 and '-', such as \"eu-west\""),
        };
        return Err(Problem::fields(vec![FieldError::new(needed.0, "is missing", needed.1)]));
    };
    let published = web
        .control
        .publish(Publication {
            edits: vec![Edit { kind, id: id.clone(), value: Some(value) }],
            message: query.get("message").cloned().unwrap_or_default(),
            author,
            expect: vec![Expect::Absent(kind, id.clone())],
            tests: tests(query),
        })
        .await?;
    let location = HeaderValue::from_str(&format!("/api/v1/{}/{id}", kind.as_str()));
    let mut response = (StatusCode::CREATED, Json(published)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// A record set is named by its own fields: `zone/name/TYPE`, the name relative to the zone.
fn record_id(web: &Web, value: &Value) -> Option<String> {
    let text = |field| value.get(field).and_then(Value::as_str);
    let (zone, name, rtype) = (text("zone")?, text("name")?, text("type")?);
    let apex = web.control.model().zones.get(&zone.parse().ok()?).map(|zone| zone.fqdn.clone());
    let name = match apex {
        Some(apex) => crate::model::Name::parse(name, Some(&apex)).map_or(name.to_owned(), |n| n.relative_to(&apex)),
        None => name.to_owned(),
    };
    Some(format!("{zone}/{name}/{}", rtype.to_ascii_uppercase()))
}

async fn change(
    web: &Web,
    kind: Kind,
    author: Author,
    path: &[String],
    query: &HashMap<String, String>,
    headers: &HeaderMap,
    value: Option<Value>,
) -> Result<Response, Problem> {
    let id = path.join("/");
    let expect = match if_match(headers)? {
        Some(rev) => Expect::Unchanged(kind, id.clone(), rev),
        None if value.is_none() => Expect::Exists(kind, id.clone()),
        None => {
            let detail = "Send If-Match with the ETag that you read, so that nobody's change is overwritten unseen.";
            return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, detail));
        }
    };
    let publication = Publication {
        edits: vec![Edit { kind, id: id.clone(), value }],
        message: query.get("message").cloned().unwrap_or_default(),
        author,
        expect: vec![expect],
        tests: tests(query),
    };
    let published = web.control.publish(publication).await.map_err(|refusal| match Problem::from(refusal) {
        // A precondition that the client itself sent (RFC 9110 section 15.5.13).
        problem if problem.status == StatusCode::CONFLICT.as_u16() => {
            Problem::new(StatusCode::PRECONDITION_FAILED, problem.detail)
        }
        problem => problem,
    })?;
    let mut response = Json(published).into_response();
    if let Some(entity) = web.control.model().entity(kind, &id) {
        response.headers_mut().insert(header::ETAG, etag(&entity));
    }
    Ok(response)
}

fn tests(query: &HashMap<String, String>) -> Tests {
    Tests::despite(query.get("despite_tests").is_some_and(|value| value == "true"))
}

fn etag(entity: &Value) -> HeaderValue {
    let rev = entity["rev"].as_u64().unwrap_or(0);
    HeaderValue::from_str(&format!("\"{rev}\"")).expect("digits in quotes are a header value")
}

fn missing(kind: Kind, id: &str) -> Problem {
    Problem::not_found(format!("There is no {} {id}; GET /api/v1/{} lists all.", kind.singular(), kind.as_str()))
}
