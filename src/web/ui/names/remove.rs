//! Deleting a name: first what it would do, then into the draft.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::clash::{Kept, keep};
use super::super::filters;
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
use super::super::text::{plain, text};
use super::super::visit::{Visit, see};
use super::page::{Head, head};
use super::{World, path, policy_of, types_word};
use crate::model::{Edit, Id, Kind, Name, Policy, RecordKey};
use crate::web::Problem;
use crate::web::extract::Path;

#[derive(Template)]
#[template(path = "ui/name_delete.html")]
struct Delete {
    frame: Frame,
    head: Head,
    /// The policy goes with its last name.
    policy_goes: bool,
    /// Types of fixed records at the name, which answer from then on, or go as well.
    fixed: String,
    /// For how long resolvers keep what is answered now.
    kept: Option<u32>,
    faults: Faults,
}

pub async fn ask(visit: Visit, Path(name): Path<String>) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let page = confirmation(&visit, &world, &name, Faults::default()).await;
    Ok(visit.page(&page))
}

async fn confirmation(visit: &Visit, world: &World, name: &Name, faults: Faults) -> Delete {
    let head = head(visit, world, name, "steering", false);
    let title = text("Delete {name}").set("name", &head.name);
    let frame = visit.frame(Place::Names, title).await.under(text("Names"), "/names");
    let frame = frame.under(plain(&head.name), head.path.clone());
    let fixed = records(world, name).map(|key| key.rtype).collect::<Vec<_>>();
    let policy_goes = world.policy_of(name).is_some_and(|(_, policy)| is_only(policy, name));
    let kept = policy_of(&world.live, name).map(|(_, policy)| policy.ttl);
    Delete { frame, head, policy_goes, fixed: types_word(&fixed), kept, faults }
}

fn records<'w>(world: &'w World, name: &'w Name) -> impl Iterator<Item = &'w RecordKey> {
    world.drafted.records.keys().filter(move |key| key.name == *name)
}

fn is_only(policy: &Policy, name: &Name) -> bool {
    policy.attach.iter().all(|attach| attach.name == *name)
}

/// What takes the name away: its steering, or where there is none its fixed records.
fn edits(world: &World, name: &Name) -> Vec<Edit> {
    let Some((id, policy)) = world.policy_of(name) else {
        let ids = records(world, name).filter_map(|key| world.drafted.record_id(key));
        return ids.map(|id| Edit { kind: Kind::Records, id, value: None }).collect();
    };
    vec![Edit { kind: Kind::Policies, id: id.to_string(), value: without(world, id, policy, name) }]
}

fn without(world: &World, id: &Id<Policy>, policy: &Policy, name: &Name) -> Option<serde_json::Value> {
    if is_only(policy, name) {
        return None;
    }
    let mut value = world.drafted.entity(Kind::Policies, id.as_str())?;
    let wanted = name.to_string();
    value["attach"].as_array_mut()?.retain(|attach| attach["name"] != wanted);
    Some(value)
}

pub async fn delete(visit: Visit, Path(name): Path<String>, _form: Form) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    match keep(&visit, edits(&world, &name), &format!("{}/delete", path(&name))).await? {
        Kept::Clash(page) => Ok(page),
        Kept::Drafted => {
            visit.say(
                text("{name} deleted in your draft. Clients notice when you publish it.")
                    .set("name", name.without_dot()),
            );
            let left = super::policy_of(&visit.model(), &name).is_some();
            Ok(see(&if left { format!("{}?version=live", path(&name)) } else { "/names".into() }))
        }
        Kept::Wrong(errors) => {
            let page = confirmation(&visit, &world, &name, Faults::new(errors, "")).await;
            Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
    }
}
