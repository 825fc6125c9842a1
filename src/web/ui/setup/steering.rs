//! The first run, step 4: which clients get which pool. A ready sentence for each region; what three clients get
//! stands below it.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::plan::Plan;
use super::samples::{Sample, samples};
use super::steps::{PATHS, Refused, Step, keep, plan, way};
use crate::model::builtin;
use crate::web::Problem;
use crate::web::ui::filters;
use crate::web::ui::form::{Faults, Form};
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::text::{Text, plain, text};
use crate::web::ui::visit::{Visit, see};

#[derive(Template)]
#[template(path = "ui/setup/steering.html")]
struct Page {
    frame: Frame,
    steps: Vec<Step>,
    faults: Faults,
    pools: Vec<PoolLine>,
    regions: Vec<(String, &'static str)>,
    everyone: String,
    sentences: Vec<Text>,
    samples: Vec<Sample>,
}

struct PoolLine {
    id: String,
    /// The region's id; empty for none.
    region: String,
    /// Who takes over.
    next: String,
}

pub async fn show(visit: Visit) -> Result<Response, Problem> {
    let plan = plan(&visit).await?;
    if plan.servers.is_empty() {
        return Ok(see(PATHS[2]));
    }
    let page = page(&visit, &plan, Faults::default()).await;
    Ok(visit.page(&page))
}

async fn page(visit: &Visit, plan: &Plan, faults: Faults) -> Page {
    let line = |(id, region): &(String, Option<String>)| PoolLine {
        id: id.clone(),
        region: region.clone().unwrap_or_default(),
        next: plan.order(id).skip(1).collect::<Vec<_>>().join(", "),
    };
    let named = builtin::regions();
    let named = named.keys().filter_map(|id| Some((id.to_string(), builtin::region(id)?.meta.name.as_str())));
    let mut regions: Vec<(String, &'static str)> = named.collect();
    regions.sort_by_key(|(_, name)| *name);
    Page {
        frame: visit.frame(Place::Elsewhere, text("First run")).await,
        steps: way(3),
        faults,
        pools: plan.pools.iter().map(line).collect(),
        regions,
        everyone: plan.everyone.clone().unwrap_or_default(),
        sentences: sentences(plan),
        samples: samples(visit, plan).await,
    }
}

/// The rules as people say them.
pub fn sentences(plan: &Plan) -> Vec<Text> {
    let then = |said: Text, pool: &str| {
        let others: Vec<&str> = plan.order(pool).skip(1).collect();
        said.set("pool", pool).set("next", others.join(", "))
    };
    let alone = plan.pools.len() < 2;
    let name = |region: &str| {
        let known = region.parse().ok().and_then(|id| builtin::region(&id));
        known.map_or_else(|| plain(region), |known| text(&known.meta.name))
    };
    let regional = plan.pools.iter().filter_map(|(pool, region)| Some((pool, name(region.as_ref()?))));
    let mut said: Vec<Text> = regional
        .map(|(pool, region)| {
            let pattern = match alone {
                true => text("Clients in {region} get <b>{pool}</b>."),
                false => text("Clients in {region} get <b>{pool}</b>, then {next}."),
            };
            then(pattern, pool).say("region", region)
        })
        .collect();
    let pattern = match alone {
        true => text("Everyone else gets <b>{pool}</b>."),
        false => text("Everyone else gets <b>{pool}</b>, then {next}."),
    };
    said.extend(plan.everyone.as_ref().map(|pool| then(pattern, pool)));
    said
}

pub async fn save(visit: Visit, form: Form) -> Result<Response, Problem> {
    let before = plan(&visit).await?;
    let mut after = before.clone();
    for (pool, region) in &mut after.pools {
        let chosen = form.text(&format!("region-{pool}"));
        *region = (!chosen.is_empty()).then(|| chosen.to_owned());
    }
    let everyone = form.text("everyone");
    if after.pools.iter().any(|(pool, _)| pool == everyone) {
        after.everyone = Some(everyone.to_owned());
    }
    match keep(&visit, &before, &after).await {
        Ok(()) if form.has("stay") => Ok(see(PATHS[3])),
        Ok(()) => Ok(see(PATHS[4])),
        Err(Refused::Other(problem)) => Err(problem),
        Err(Refused::Fields(errors)) => {
            let page = page(&visit, &after, Faults::new(errors, "")).await;
            Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
    }
}
