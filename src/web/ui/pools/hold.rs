//! Holding one endpoint up or down by hand: first a sheet that says what would happen, then the act. Also what is
//! said of an endpoint that is held: who did it, when and why, and how long caches keep what was answered before.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;

use super::super::form::{Faults, Form};
use super::super::frame::Place;
use super::super::state::PoolStates;
use super::super::text::{Text, plain, text};
use super::super::visit::{Visit, see};
use super::super::{cause, filters};
use super::sheet::{self, Asking, Moved, Sheet, moved};
use super::{Scene, endpoint, head};
use crate::answer::shares;
use crate::control::effect::{Effect, NOTHING, effect_of, held};
use crate::health::{EndpointState, HealthTable, Switch};
use crate::model::{Endpoint, FieldError, Id};
use crate::web::Problem;
use crate::web::extract::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Up,
    Down,
    /// As its checks say.
    Checks,
}

impl To {
    fn of(word: &str) -> Option<To> {
        [To::Up, To::Down, To::Checks].into_iter().find(|to| to.word() == word)
    }

    fn word(self) -> &'static str {
        match self {
            To::Up => "up",
            To::Down => "down",
            To::Checks => "",
        }
    }

    fn state(self) -> Option<EndpointState> {
        match self {
            To::Up => Some(EndpointState::Up),
            To::Down => Some(EndpointState::Down),
            To::Checks => None,
        }
    }

    fn question(self) -> Text {
        text(match self {
            To::Up => "Hold {endpoint} up?",
            To::Down => "Hold {endpoint} down?",
            To::Checks => "Let {endpoint} follow its checks again?",
        })
    }

    fn explained(self) -> &'static str {
        match self {
            To::Up => "It is answered from now on, whatever its checks find, until somebody ends this.",
            To::Down => "It gets no new clients from now on, whatever its checks find, until somebody ends this.",
            To::Checks => "What its checks found last decides again, at once.",
        }
    }

    fn button(self) -> &'static str {
        match self {
            To::Up => "Hold up",
            To::Down => "Hold down",
            To::Checks => "Follow its checks again",
        }
    }
}

pub async fn sheet(visit: Visit, Path((id, endpoint)): Path<(String, String)>) -> Result<Response, Problem> {
    let query = visit.here.split_once('?').map_or("", |(_, query)| query);
    let form = Form::parse(query.as_bytes())?;
    let (scene, endpoint) = endpoint::of(&visit, &id, &endpoint).await?;
    let to = asked(&form)?;
    let outcome = work_out(&visit, &scene, &endpoint, to).await?;
    page(&visit, &scene, &endpoint, to, outcome, &Form::default(), Faults::default()).await
}

pub async fn act(visit: Visit, Path((id, endpoint)): Path<(String, String)>, form: Form) -> Result<Response, Problem> {
    let (scene, endpoint) = endpoint::of(&visit, &id, &endpoint).await?;
    let to = asked(&form)?;
    let outcome = work_out(&visit, &scene, &endpoint, to).await?;
    let reason = form.reason();
    let faults = sheet::faults(&outcome.1.stranded, &form, &reason);
    if !faults.is_empty() {
        return page(&visit, &scene, &endpoint, to, outcome, &form, faults).await;
    }
    let switch = Switch::Force { endpoint: endpoint.clone(), family: None, state: to.state() };
    visit.web.control.act(switch, visit.author(), reason).await?;
    let said = match to {
        To::Up => text("{endpoint} is held up, whatever its checks say."),
        To::Down => text("{endpoint} is held down, whatever its checks say."),
        To::Checks => text("{endpoint} follows its checks again."),
    };
    visit.say(said.set("endpoint", &endpoint));
    Ok(see(&scene.path()))
}

fn asked(form: &Form) -> Result<To, Problem> {
    let word = form.text("state");
    To::of(word).ok_or_else(|| {
        let fault = FieldError::new("state", format!("{word} is no state"), "use up or down, or nothing");
        Problem { errors: vec![fault], ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was changed.") }
    })
}

/// Health as it would be, and what that does to the answers.
async fn work_out(visit: &Visit, scene: &Scene, id: &Id<Endpoint>, to: To) -> Result<(HealthTable, Effect), Problem> {
    let control = &visit.web.control;
    let mut states = control.unheld(id.clone()).await?;
    states.values_mut().for_each(|state| *state = to.state().unwrap_or(*state));
    let (snapshot, health) = (control.snapshot(), control.health());
    let answers = control.shared().traffic.lock().policies.clone();
    let (live, id) = (scene.live.clone(), id.clone());
    let work = move || {
        let (after, pools) = held(&live, &health, &id, &states);
        let effect = effect_of(&snapshot, &after, &pools, &answers);
        (after, effect)
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "A fault of ours: the effect could not be worked out.")
    })
}

async fn page(
    visit: &Visit,
    scene: &Scene,
    id: &Id<Endpoint>,
    to: To,
    (after, effect): (HealthTable, Effect),
    form: &Form,
    faults: Faults,
) -> Result<Response, Problem> {
    let question = to.question().set("endpoint", id);
    let frame = visit.frame(Place::Pools, question.clone()).await.under(text("Pools"), "/pools");
    let back = format!("{}/endpoints/{id}", scene.path());
    let frame = frame.under(plain(&scene.id), scene.path()).under(plain(id), &*back);
    let states = PoolStates::of(&scene.live, &scene.health);
    let snapshot = visit.web.control.snapshot();
    let of = |health: &HealthTable| {
        let pass = head::pass(&snapshot.with_health(health), health, scene);
        let live = scene.live_pool();
        live.map(|pool| shares(&scene.live, health, &scene.id, pool, pass)).unwrap_or_default()
    };
    let (now, then) = (of(&scene.health), of(&after));
    let members = scene.live_pool().map(|pool| pool.members.clone()).unwrap_or_default();
    let row = |(at, member): (usize, &crate::model::Member)| Moved {
        pool: member.endpoint.to_string(),
        colour: at % super::super::state::COLOURS + 1,
        now: super::show::share_of(&now, &member.endpoint),
        after: super::show::share_of(&then, &member.endpoint),
    };
    let explained = match to == To::Down && super::show::share_of(&then, id) > NOTHING {
        true => "Nothing else of its pool is up: as the last resort it is answered all the same.",
        false => to.explained(),
    };
    let endpoints: Vec<Moved> = members.iter().enumerate().map(row).collect();
    let pools = effect.pools.iter().any(|(_, now, after)| (now - after).abs() > NOTHING);
    let mut asking = Asking::new(&effect, std::slice::from_ref(&scene.id), form, faults);
    let is_emptied = to == To::Down && !endpoints.iter().any(|one| one.after > NOTHING);
    asking.nothing_left = asking.nothing_left.filter(|_| is_emptied);
    let page = Sheet {
        frame,
        question,
        explained,
        button: to.button(),
        action: format!("{back}/force"),
        carried: vec![("state", to.word().to_owned())],
        pools: Vec::new(),
        endpoints,
        moved: if pools { moved(&effect, &states) } else { Vec::new() },
        effect,
        asking,
        back,
    };
    Ok(visit.page_with(page.asking.status(), &page))
}

/// An endpoint that somebody holds, and the way back.
pub struct Held {
    pub what: Text,
    pub way_back: String,
    pub is_down: bool,
}

pub fn of_endpoint(visit: &Visit, scene: &Scene, id: &Id<Endpoint>) -> Option<Held> {
    let families = &scene.health.endpoints.get(id)?.families;
    let state = families.values().find_map(|family| family.forced)?;
    let is_down = state == EndpointState::Down;
    let event = scene.last.get(&format!("endpoints/{id}")).filter(|event| event.to.starts_with("forced"));
    let what = match (event, is_down) {
        (Some(_), true) => text("{endpoint} is held down by {who} since {time} ({span}): {reason}."),
        (Some(_), false) => text("{endpoint} is held up by {who} since {time} ({span}): {reason}."),
        (None, true) => text("{endpoint} is held down by hand."),
        (None, false) => text("{endpoint} is held up by hand."),
    };
    let what = match event {
        Some(event) => what
            .set("who", &event.actor)
            .html("time", filters::minute_html(event.at))
            .say("span", filters::span(visit.now.duration_since(event.at).as_secs().max(0).unsigned_abs()))
            .say("reason", cause::of(event.kind, event.cause.trim_end_matches('.'))),
        None => what,
    };
    Some(Held {
        what: what.set("endpoint", id),
        way_back: format!("{}/endpoints/{id}/force?state=", scene.path()),
        is_down,
    })
}

/// Every one of the pool's.
pub fn all(visit: &Visit, scene: &Scene) -> Vec<Held> {
    let members: Arc<_> = scene.live_pool().unwrap_or(&scene.pool).clone();
    members.members.iter().filter_map(|member| of_endpoint(visit, scene, &member.endpoint)).collect()
}
