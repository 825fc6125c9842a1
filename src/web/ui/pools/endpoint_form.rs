//! The form of an endpoint: its addresses, its part in the pool, and what watches it. A wrong address is said
//! at once; a check that fails is said before it is saved.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::super::clash::{self, Kept};
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
use super::super::text::{Text, plain, text};
use super::super::values::Values;
use super::super::visit::{Visit, see};
use super::super::{every, filters};
use super::Scene;
use super::endpoint_doubts::{Doubts, doubts, neighbours};
use super::endpoint_typed::{of_model, read, stand_in};
use super::settings::{MonitorChoice, monitor_choices, monitors_of};
use crate::model::{Edit, Endpoint, Id, Kind, MonitorUse, Pool};
use crate::web::Problem;
use crate::web::extract::Path;

/// In the order of the page, those of `FOLDED` last.
const FIELDS: [&str; 7] = ["id", "address", "weight", "serve", "priority", "country", "depends_on"];
/// Those that are folded away while nothing is wrong with them.
const FOLDED: [&str; 3] = ["priority", "country", "depends_on"];

#[derive(Template)]
#[template(path = "ui/pools/endpoint_form.html")]
struct Page {
    frame: Frame,
    pool: String,
    /// `None` for a new one.
    endpoint: Option<String>,
    title: Text,
    values: Values,
    monitors: Vec<MonitorChoice>,
    faults: Faults,
    beside: Vec<String>,
    summary: Vec<(&'static str, String)>,
    /// What is folded away has something to say, or something else than usual.
    unfolded: bool,
    /// Worth a look; saved all the same by the button beside them.
    doubts: Doubts,
    /// What the visitor wants in spite of a doubt that is told no more.
    kept: String,
    others: Vec<String>,
}

pub async fn new(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    let mut values = Values::default();
    for (name, value) in [("weight", "100"), ("priority", "1"), ("enabled", "true"), ("serve", "auto")] {
        values.set(name, value);
    }
    let own = if scene.pool.monitors.is_empty() { neighbours(&scene, "") } else { &[] };
    let monitors = monitor_choices(&scene.drafted, own);
    page(&visit, &scene, None, values, monitors, Faults::default(), Doubts::default()).await
}

pub async fn edit(visit: Visit, Path((id, endpoint)): Path<(String, String)>) -> Result<Response, Problem> {
    let (scene, endpoint) = of(&visit, &id, &endpoint).await?;
    let configured = &scene.drafted.endpoints[&endpoint];
    let mut values = Values::of_json(&scene.drafted.entity(Kind::Endpoints, endpoint.as_str()).unwrap_or_default());
    values.set("id", &endpoint);
    values.set("address", super::show::addresses(configured).join(", "));
    let depends: Vec<&str> = configured.depends_on.iter().map(Id::as_str).collect();
    values.set("depends_on", depends.join(", "));
    if let Some(member) = scene.pool.members.iter().find(|member| member.endpoint == endpoint) {
        values.set("weight", member.weight);
        values.set("priority", member.priority);
        values.set("enabled", if member.enabled { "true" } else { "" });
    }
    let monitors = monitor_choices(&scene.drafted, &configured.monitors);
    page(&visit, &scene, Some(endpoint), values, monitors, Faults::default(), Doubts::default()).await
}

/// The pool and one of its endpoints, as drafted.
async fn of(visit: &Visit, id: &str, endpoint: &str) -> Result<(Scene, Id<Endpoint>), Problem> {
    let scene = Scene::of(visit, id).await?;
    let known = endpoint.parse().ok().filter(|known| {
        scene.pool.members.iter().any(|member| member.endpoint == *known) && scene.drafted.endpoints.contains_key(known)
    });
    match known {
        Some(endpoint) => Ok((scene, endpoint)),
        None => Err(super::missing("endpoint", endpoint, scene.pool.members.iter().map(|m| m.endpoint.as_str()))),
    }
}

async fn page(
    visit: &Visit,
    scene: &Scene,
    endpoint: Option<Id<Endpoint>>,
    values: Values,
    monitors: Vec<MonitorChoice>,
    faults: Faults,
    doubts: Doubts,
) -> Result<Response, Problem> {
    let title = match &endpoint {
        Some(endpoint) => text("Edit {endpoint}").set("endpoint", endpoint),
        None => text("Add an endpoint"),
    };
    let frame = visit.frame(Place::Pools, title.clone()).await.under(text("Pools"), "/pools");
    let frame = frame.under(plain(&scene.id), scene.path());
    let faults = faults.sorted(&FIELDS);
    let is_usual = |name: &str| match name {
        "priority" => ["", "1"].contains(&values.get(name)),
        name => values.get(name).is_empty(),
    };
    let fine = faults.is_empty() && doubts.is_empty();
    let other = |(id, pool): (&Id<Pool>, &std::sync::Arc<Pool>)| {
        let used = endpoint.as_ref().is_some_and(|endpoint| pool.members.iter().any(|m| m.endpoint == *endpoint));
        (used && *id != scene.id).then(|| id.to_string())
    };
    let page = Page {
        pool: scene.id.to_string(),
        others: scene.drafted.pools.iter().filter_map(other).collect(),
        endpoint: endpoint.map(|endpoint| endpoint.to_string()),
        title,
        beside: faults.beside(&FIELDS),
        summary: faults.summary(&FIELDS),
        unfolded: FOLDED.iter().any(|name| !is_usual(name) || !faults.of(name).is_empty()),
        kept: visit.sent.get().map(kept).unwrap_or_default().join(" "),
        frame,
        values,
        monitors,
        faults,
        doubts,
    };
    Ok(visit.page_with(if fine { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }, &page))
}

pub async fn create(visit: Visit, Path(id): Path<String>, form: Form) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    take(&visit, scene, None, form).await
}

pub async fn save(visit: Visit, Path((id, endpoint)): Path<(String, String)>, form: Form) -> Result<Response, Problem> {
    let (scene, endpoint) = of(&visit, &id, &endpoint).await?;
    take(&visit, scene, Some(endpoint), form).await
}

/// What the visitor wants in spite of what was told.
fn kept(form: &Form) -> Vec<String> {
    form.all("keep").flat_map(|words| words.split(' ')).map(str::to_owned).collect()
}

async fn take(visit: &Visit, scene: Scene, endpoint: Option<Id<Endpoint>>, form: Form) -> Result<Response, Problem> {
    let mut faults = Faults::default();
    let uses: Vec<MonitorUse> = match form.has("neighbours") {
        true => neighbours(&scene, form.text("id")).to_vec(),
        false => serde_json::from_value(monitors_of(&form)).unwrap_or_default(),
    };
    let read = read(&scene, endpoint.as_ref(), &form, uses, &mut faults);
    let doubts = doubts(visit, &scene, &read, form.text("serve"), &kept(&form)).await;
    if faults.is_empty() && doubts.is_empty() {
        let back = match &endpoint {
            Some(endpoint) => format!("{}/endpoints/{endpoint}/edit", scene.path()),
            None => format!("{}/endpoints/new", scene.path()),
        };
        match clash::keep(visit, read.edits.clone(), &back).await? {
            Kept::Drafted => {
                visit.say(text("{endpoint} is kept in your draft.").set("endpoint", &read.id));
                return Ok(see(&scene.path()));
            }
            Kept::Wrong(errors) => faults = of_model(errors, &read.id, &scene),
            Kept::Clash(page) => return Ok(page),
        }
    }
    if !faults.is_empty() {
        let (id, edits) = stand_in(&scene, &read);
        faults = every::merged(faults, of_model(every::errors(&scene.drafted, &edits), &id, &scene));
    }
    let monitors = monitor_choices(&scene.drafted, &read.uses);
    page(visit, &scene, endpoint, Values::typed(&form), monitors, faults, doubts).await
}

/// Takes the endpoint out of the pool; where no other pool uses it, it goes altogether.
pub async fn remove(visit: Visit, Path((id, endpoint)): Path<(String, String)>, _: Form) -> Result<Response, Problem> {
    let (scene, endpoint) = of(&visit, &id, &endpoint).await?;
    let mut pool = scene.value();
    if let Some(members) = pool.get_mut("members").and_then(Value::as_array_mut) {
        members.retain(|member| member.get("endpoint").and_then(Value::as_str) != Some(endpoint.as_str()));
    }
    let mut edits = vec![Edit { kind: Kind::Pools, id: scene.id.to_string(), value: Some(pool) }];
    let others = scene.drafted.pools.iter().filter(|(id, _)| **id != scene.id);
    if !others.into_iter().any(|(_, pool)| pool.members.iter().any(|member| member.endpoint == endpoint)) {
        edits.push(Edit { kind: Kind::Endpoints, id: endpoint.to_string(), value: None });
    }
    match clash::keep(&visit, edits, &scene.path()).await? {
        Kept::Drafted => {
            visit.say(
                text("{endpoint} leaves {pool} when your draft is applied.")
                    .set("endpoint", &endpoint)
                    .set("pool", &scene.id),
            );
            Ok(see(&scene.path()))
        }
        Kept::Wrong(_) if scene.pool.members.len() == 1 => {
            let uses = super::uses(&scene.drafted);
            let names =
                super::names(&super::policies(&scene.drafted, uses.get(&scene.id).map_or(&[][..], Vec::as_slice)));
            let detail = format!(
                "No endpoint would be left in {}, which {names} names use. Add another first, or delete the pool.",
                scene.id
            );
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
        }
        Kept::Wrong(errors) => Err(Problem::fields(errors)),
        Kept::Clash(page) => Ok(page),
    }
}
