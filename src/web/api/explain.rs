//! Explain: what a client would get, and why. The same code that answers.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use ipnet::IpNet;
use serde::Deserialize;

use crate::answer::{Client, Entropy, Question, Subnet, Trace, explain as explain_answer};
use crate::control::token::Role;
use crate::control::unix_ms;
use crate::model::{FieldError, Name, RecordType};
use crate::web::extract::Query;
use crate::web::{Problem, Route, Web};

/// The resolver where only a client is given: a documentation address (RFC 5737) that no geo
/// database places, so that the client's own place decides.
const ANY_RESOLVER: &str = "192.0.2.53";

pub(super) fn routes() -> Vec<Route> {
    let summary = "What a client gets for a name, with every step and its reason";
    let parameters = &[
        ("name", "The name asked for."),
        ("client", "The client's address or network, as a resolver would send it with EDNS client subnet."),
        ("resolver", "The resolver's address; unknown to geo where not given."),
        ("type", "The record type; A where not given."),
    ];
    let route = Route::new("get", "/api/v1/explain", Role::Viewer, summary, get(explain));
    vec![route.parameters(parameters).gives("Trace")]
}

#[derive(Deserialize)]
struct Asked {
    name: Option<String>,
    client: Option<String>,
    resolver: Option<String>,
    #[serde(rename = "type")]
    rtype: Option<String>,
}

async fn explain(State(web): State<Web>, Query(asked): Query<Asked>) -> Result<Json<Trace>, Problem> {
    let (name, rtype, client) = read(&asked).map_err(Problem::fields)?;
    let snapshot = web.control.snapshot();
    let question = Question { name: name.as_wire(), rtype };
    let mut entropy = Entropy::new(rand::random());
    Ok(Json(explain_answer(&snapshot, &question, &client, unix_ms(), &mut entropy)))
}

fn read(asked: &Asked) -> Result<(Name, RecordType, Client), Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut wrong = |at: &str, text: String| {
        errors.push(FieldError::told(at, &text));
    };
    let name = match asked.name.as_deref().map(str::parse::<Name>) {
        Some(Ok(name)) => Some(name),
        Some(Err(text)) => {
            wrong("name", text);
            None
        }
        None => {
            wrong("name", "is missing; give the name to ask for".into());
            None
        }
    };
    let rtype = match asked.rtype.as_deref().unwrap_or("A").parse() {
        Ok(rtype) => rtype,
        Err(text) => {
            wrong("type", text);
            RecordType::A
        }
    };
    let subnet = asked.client.as_deref().and_then(|text| {
        let subnet = parse_client(text);
        if subnet.is_none() {
            wrong("client", format!("{text:?} is neither an address nor a network; use one such as 203.0.113.7"));
        }
        subnet
    });
    let resolver = match asked.resolver.as_deref().unwrap_or(ANY_RESOLVER).parse::<IpAddr>() {
        Ok(resolver) => resolver,
        Err(_) => {
            wrong("resolver", "is not an address; use one such as 198.51.100.53".into());
            IpAddr::from([0, 0, 0, 0])
        }
    };
    match name {
        Some(name) if errors.is_empty() => Ok((name, rtype, Client { resolver, subnet })),
        _ => Err(errors),
    }
}

/// An address counts as the subnet that resolvers commonly send: /24 or /56 (RFC 7871 section 11.1).
fn parse_client(text: &str) -> Option<Subnet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let source = if address.is_ipv4() { 24 } else { 56 };
        let network = IpNet::new(address, source).ok()?.trunc();
        return Some(Subnet { address: network.addr(), source });
    }
    let network: IpNet = text.parse().ok()?;
    Some(Subnet { address: network.trunc().addr(), source: network.prefix_len() })
}
