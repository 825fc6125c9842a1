//! Overview: is anything wrong, and are clients served?

use askama::Template;
use axum::response::Response;
use axum::routing::get;

use super::Page;
use super::filters;
use super::frame::{Frame, Place};
use super::live::Fragment;
use super::state::{PoolShown, PoolStates};
use super::text::text;
use super::visit::Visit;
use crate::control::token::Role;
use crate::web::Problem;

pub(super) fn pages() -> Vec<Page> {
    vec![Page::new("/", Role::Viewer, get(show))]
}

#[derive(Template)]
#[template(path = "ui/overview.html")]
struct Overview {
    frame: Frame,
    pools: Vec<(String, PoolShown)>,
}

pub(super) async fn live(_: &Visit, _: &str) -> Vec<Fragment> {
    Vec::new()
}

async fn show(visit: Visit) -> Result<Response, Problem> {
    let frame = visit.frame(Place::Overview, text("Overview")).await;
    let states = PoolStates::of(&visit.model(), &visit.web.control.health());
    let pools = states.iter().map(|(id, shown)| (id.to_string(), shown.clone())).collect();
    Ok(visit.page(&Overview { frame, pools }))
}
