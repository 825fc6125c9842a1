//! The API, for people: every path with who may call it, what goes in and what comes out. Made from the OpenAPI
//! document alone, so that it cannot say anything else.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::RawQuery;
use axum::http::uri::Authority;
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;

use super::Page;
use super::filters;
use super::form::Form;
use super::frame::{Frame, Place};
use super::text::text;
use super::visit::{Visit, see};
use crate::control::token::Role;
use crate::web::Problem;
use crate::web::api::openapi;

/// Values of an enumeration that a type names.
const MOST_VALUES: usize = 12;
/// How deep a type is told: lists of lists of lists.
const MAX_DEPTH: usize = 4;

pub(super) fn pages() -> Vec<Page> {
    vec![Page::new("/api", Role::Viewer, get(show)), Page::new("/api/try", Role::Viewer, get(attempt))]
}

#[derive(Template)]
#[template(path = "ui/api.html")]
struct ApiPage {
    frame: Frame,
    query: String,
    /// Where this server is, as the browser reached it.
    base: String,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
    found: usize,
}

/// Paths that belong together.
struct Group {
    name: String,
    operations: Vec<Operation>,
}

/// A method of a path.
struct Operation {
    anchor: String,
    method: String,
    path: String,
    summary: String,
    /// `None` for those that need no token.
    role: Option<String>,
    parameters: Vec<Parameter>,
    takes: Option<String>,
    gives: Vec<(String, String)>,
    curl: String,
}

impl Operation {
    fn can_be_tried(&self) -> bool {
        self.method == "GET" && !self.path.ends_with("/backup")
    }
}

struct Parameter {
    name: String,
    place: String,
    description: String,
    required: bool,
}

/// The shape of a body.
struct Schema {
    name: String,
    description: String,
    /// For what is no object.
    kind: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    kind: String,
    required: bool,
    description: String,
}

async fn show(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Form::parse(query.unwrap_or_default().as_bytes())?;
    let words = query.text("q").to_owned();
    let base = base(&visit);
    let groups = groups(openapi(), &words, &base);
    let page = ApiPage {
        frame: visit.frame(Place::Api, text("API")).await,
        found: groups.iter().map(|group| group.operations.len()).sum(),
        schemas: if words.is_empty() { schemas(openapi()) } else { Vec::new() },
        base,
        groups,
        query: words,
    };
    Ok(visit.page(&page))
}

/// As the browser says it; a name that would mean something to a shell stands for itself.
fn base(visit: &Visit) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    let host = visit.authority.as_ref().map(Authority::as_str);
    let host = host.filter(|host| host.chars().all(is_plain)).unwrap_or("HOST");
    let scheme = if visit.over_tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{host}")
}

/// Leads to a path with its parameters filled in; the browser's own sign-in opens it, for what reads only.
async fn attempt(_: Visit, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Form::parse(query.unwrap_or_default().as_bytes())?;
    let path = query.text("path");
    let known = &openapi()["paths"][path]["get"];
    if known.is_null() {
        return Err(Problem::not_found("There is no such path that can be tried here. The list of the API has all."));
    }
    Ok(see(&filled(path, &query)))
}

/// A path with its parameters, and what is left of the query behind it.
fn filled(path: &str, query: &Form) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let parts: Vec<String> = path
        .split('/')
        .map(|part| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => encode(query.text(name)),
            None => part.to_owned(),
        })
        .collect();
    let mut rest = form_urlencoded::Serializer::new(String::new());
    let in_path = |name: &str| path.contains(&format!("{{{name}}}"));
    for (name, value) in query.0.iter().filter(|(name, value)| name != "path" && !value.is_empty() && !in_path(name)) {
        rest.append_pair(name, value);
    }
    let (path, rest) = (parts.join("/"), rest.finish());
    if rest.is_empty() { path } else { format!("{path}?{rest}") }
}

fn groups(document: &Value, words: &str, base: &str) -> Vec<Group> {
    let words = words.to_lowercase();
    let mut groups: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        let name = path.trim_start_matches("/api/v1/").trim_start_matches('/');
        let name = if path.starts_with("/api/") { name.split('/').next().unwrap_or_default() } else { "server" };
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let operation = read(path, method, operation, base);
            let fits = [&operation.path, &operation.summary, &operation.method.clone()]
                .iter()
                .any(|text| text.to_lowercase().contains(&words));
            if fits {
                groups.entry(name.to_owned()).or_default().push(operation);
            }
        }
    }
    let order = |method: &str| ["GET", "POST", "PUT", "PATCH", "DELETE"].iter().position(|known| *known == method);
    let mut groups: Vec<Group> = groups.into_iter().map(|(name, operations)| Group { name, operations }).collect();
    for group in &mut groups {
        group.operations.sort_by(|a, b| (&a.path, order(&a.method)).cmp(&(&b.path, order(&b.method))));
    }
    groups
}

fn read(path: &str, method: &str, operation: &Value, base: &str) -> Operation {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let parameter = |value: &Value| Parameter {
        name: word(&value["name"]),
        place: word(&value["in"]),
        description: word(&value["description"]),
        required: value["required"] == true,
    };
    let responses = operation["responses"].as_object().into_iter().flatten();
    let gives = responses.filter_map(|(status, response)| Some((status.clone(), schema_of(response)?)));
    let method = method.to_uppercase();
    let takes = schema_of(&operation["requestBody"]);
    Operation {
        anchor: word(&operation["operationId"]),
        summary: word(&operation["summary"]),
        role: operation["x-role"].as_str().map(str::to_owned),
        parameters: operation["parameters"].as_array().into_iter().flatten().map(parameter).collect(),
        gives: gives.collect(),
        curl: curl(&format!("{base}{path}"), &method, takes.as_deref(), operation["x-role"].is_string()),
        takes,
        path: path.to_owned(),
        method,
    }
}

/// The name of the schema of a body.
fn schema_of(body: &Value) -> Option<String> {
    let (_, content) = body["content"].as_object()?.iter().next()?;
    Some(content["schema"]["$ref"].as_str()?.rsplit('/').next()?.to_owned())
}

fn curl(address: &str, method: &str, takes: Option<&str>, needs_token: bool) -> String {
    let mut line = "curl".to_owned();
    if method != "GET" {
        line.push_str(&format!(" -X {method}"));
    }
    if needs_token {
        line.push_str(" -H \"Authorization: Bearer $TOKEN\"");
    }
    match takes {
        Some("ZoneFile") => line.push_str(" --data-binary @zone.txt"),
        Some(_) => line.push_str(" -H 'Content-Type: application/json' -d @body.json"),
        None => {}
    }
    format!("{line} {address}")
}

fn schemas(document: &Value) -> Vec<Schema> {
    let all = document["components"]["schemas"].as_object();
    let read = |(name, schema): (&String, &Value)| Schema {
        name: name.clone(),
        description: schema["description"].as_str().unwrap_or_default().to_owned(),
        fields: fields(document, schema, 0),
        kind: kind(schema, 0),
    };
    all.into_iter().flatten().map(read).collect()
}

/// Fields of an object, those of its parts included.
fn fields(document: &Value, schema: &Value, depth: usize) -> Vec<Field> {
    if depth > MAX_DEPTH {
        return Vec::new();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return fields(document, &document["components"]["schemas"][name], depth + 1);
    }
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name));
    let own = schema["properties"].as_object().into_iter().flatten().map(|(name, value)| Field {
        name: name.clone(),
        kind: kind(value, 0),
        required: required(name),
        description: value["description"].as_str().unwrap_or_default().to_owned(),
    });
    let parts = schema["allOf"].as_array().into_iter().flatten();
    parts.flat_map(|part| fields(document, part, depth + 1)).chain(own).collect()
}

/// A type in words.
fn kind(schema: &Value, depth: usize) -> String {
    if depth > MAX_DEPTH {
        return "…".to_owned();
    }
    let many = |schemas: &Value, word: &str| {
        let kinds: Vec<String> =
            schemas.as_array().into_iter().flatten().map(|schema| kind(schema, depth + 1)).collect();
        kinds.join(word)
    };
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if let Some(values) = schema["enum"].as_array() {
        let mut words: Vec<String> = values.iter().take(MOST_VALUES).map(Value::to_string).collect();
        if values.len() > MOST_VALUES {
            words.push("…".to_owned());
        }
        return words.join(" or ");
    }
    for (field, word) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " with ")] {
        if schema[field].is_array() {
            return many(&schema[field], word);
        }
    }
    let named = match &schema["type"] {
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str).map(str::to_owned);
            kinds.map(|kind| if kind == "array" { list(schema, depth) } else { kind }).collect::<Vec<_>>().join(" or ")
        }
        Value::String(kind) if kind == "array" => list(schema, depth),
        Value::String(kind) if kind == "object" && schema["additionalProperties"].is_object() => {
            format!("map of {}", self::kind(&schema["additionalProperties"], depth + 1))
        }
        Value::String(kind) => kind.clone(),
        _ => "anything".to_owned(),
    };
    let bound = |field: &str, word: &str| schema[field].as_number().map(|number| format!(" {word} {number}"));
    let bounds = [bound("minimum", "from"), bound("maximum", "to"), bound("maxLength", "of at most")];
    bounds.into_iter().flatten().fold(named, |named, bound| named + bound.as_str())
}

fn list(schema: &Value, depth: usize) -> String {
    format!("list of {}", kind(&schema["items"], depth + 1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_path_is_shown_once_with_what_it_takes_and_gives() {
        let groups = groups(openapi(), "", "http://ns1");
        let shown: usize = groups.iter().map(|group| group.operations.len()).sum();
        let paths = openapi()["paths"].as_object().unwrap();
        assert_eq!(shown, paths.values().map(|methods| methods.as_object().unwrap().len()).sum::<usize>());
        let schemas = schemas(openapi());
        let known = |name: &String| schemas.iter().any(|schema| schema.name == *name);
        for operation in groups.iter().flat_map(|group| &group.operations) {
            assert!(!operation.summary.is_empty(), "{}", operation.path);
            assert!(operation.takes.iter().all(known), "{}: {:?}", operation.path, operation.takes);
            assert!(operation.gives.iter().all(|(_, name)| known(name)), "{}: {:?}", operation.path, operation.gives);
            assert!(operation.curl.ends_with(&format!("http://ns1{}", operation.path)));
        }
        assert!(
            schemas.iter().any(|schema| schema.name == "Pool" && schema.fields.iter().any(|f| f.name == "members"))
        );
    }

    #[test]
    fn a_word_finds_paths_by_what_they_say() {
        let found = |words| groups(openapi(), words, "").iter().map(|group| group.operations.len()).sum::<usize>();
        assert!(found("explain") >= 1 && found("explain") < found(""));
        assert_eq!(found("no such thing"), 0);
    }

    #[test]
    fn types_are_told_in_words() {
        for (schema, words) in [
            (json!({ "type": "string" }), "string"),
            (json!({ "type": ["string", "null"] }), "string or null"),
            (json!({ "type": "array", "items": { "$ref": "#/components/schemas/Pool" } }), "list of Pool"),
            (json!({ "type": "integer", "minimum": 0, "maximum": 9 }), "integer from 0 to 9"),
            (json!({ "enum": ["up", "down", null] }), "\"up\" or \"down\" or null"),
            (json!({ "oneOf": [{ "type": "null" }, { "$ref": "#/x/Rule" }] }), "null or Rule"),
            (json!({ "type": "object", "additionalProperties": { "type": "number" } }), "map of number"),
            (json!({}), "anything"),
        ] {
            assert_eq!(kind(&schema, 0), words, "{schema}");
        }
    }

    #[test]
    fn parameters_go_to_their_places() {
        let query = Form::parse(b"path=x&id=a%2Fb+c&after=9&empty=").unwrap();
        assert_eq!(filled("/api/v1/pools/{id}", &query), "/api/v1/pools/a%2Fb%20c?after=9");
    }
}
