//! Explain: what clients would get, and why. The same code that answers.

use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use crate::answer::{Explained, Trace};
use crate::control::simulate::Ask;
use crate::control::token::Role;
use crate::control::{Author, Refusal};
use crate::model::FieldError;
use crate::web::extract::Query;
use crate::web::{Problem, Route, Web};

pub(super) fn routes() -> Vec<Route> {
    let summary = "What clients get for a name, with every step and its reason";
    let parameters = &[
        ("name", "The name asked for."),
        (
            "client",
            "Who asks: an address or network, as a resolver would send it with EDNS client subnet; AS3320, Germany, \
             Berlin, or me.",
        ),
        ("resolver", "The resolver's address; unknown to geo where not given."),
        ("type", "The record type; A where not given."),
        ("at", "The world that is asked: live, draft (your own), or the number of a revision; live where not given."),
        ("down", "Pools that are assumed to be down, with commas between them."),
    ];
    let route = Route::new("get", "/api/v1/explain", Role::Viewer, summary, get(explain));
    vec![route.parameters(parameters).requires(&["name"]).gives("Explanation")]
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    name: String,
    #[serde(default)]
    client: String,
    #[serde(default)]
    resolver: String,
    #[serde(default, rename = "type")]
    rtype: String,
    #[serde(default)]
    at: String,
    #[serde(default)]
    down: String,
}

/// What most of the clients get, and what the others get where it differs.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Explanation {
    #[serde(flatten)]
    trace: Trace,
    /// Clients that are answered otherwise, with their share of all; there are none for one network.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Explained>,
}

async fn explain(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Query(Asked { name, client, resolver, rtype, at, down }): Query<Asked>,
) -> Result<Json<Explanation>, Problem> {
    let down = down.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect();
    let ask = Ask { name, rtype, client, via: resolver, at, down };
    let simulation = web.control.simulate(&ask, &author).await.map_err(renamed)?;
    let mut groups = simulation.groups.into_iter();
    let Some(Explained { trace, .. }) = groups.next() else {
        return Err(Problem::not_found("There is nobody to ask for; give a client."));
    };
    Ok(Json(Explanation { trace, others: groups.collect() }))
}

/// The resolver has its full name here.
fn renamed(refusal: Refusal) -> Problem {
    let name = |error: FieldError| match error.at.as_str() {
        "via" => FieldError { at: "resolver".into(), ..error },
        _ => error,
    };
    match refusal {
        Refusal::Invalid(errors) => Problem::fields(errors.into_iter().map(name).collect()),
        refusal => refusal.into(),
    }
}
