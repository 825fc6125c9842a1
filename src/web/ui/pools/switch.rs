//! Switches of pools that act at once: first a sheet that says what would happen, then the act, then the pool's
//! page with the way back.

use axum::http::StatusCode;
use axum::response::Response;

use super::super::form::{Faults, Form};
use super::super::frame::Place;
use super::super::state::PoolStates;
use super::super::text::{Text, count, plain, text};
use super::super::visit::{Visit, see};
use super::Scene;
use super::sheet::{self, Asking, Sheet, moved};
use crate::control::effect::{Effect, effect};
use crate::health::{PoolState, Switch};
use crate::model::{Admin, Id, Pool};
use crate::web::Problem;
use crate::web::extract::Path;

/// Pools that one sheet switches.
const MAX_POOLS: usize = 50;
/// The reason of a switch that undoes the last one.
const TAKEN_BACK: &str = "taken back";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    Drain,
    Off,
    On,
    Approve,
    /// Of a pool that is down: it stays out when its checks pass.
    Hold,
}

impl To {
    fn of(word: &str) -> Option<To> {
        [To::Drain, To::Off, To::On, To::Approve, To::Hold].into_iter().find(|to| to.word() == word)
    }

    pub fn word(self) -> &'static str {
        match self {
            To::Drain => "drain",
            To::Off => "off",
            To::On => "on",
            To::Approve => "approve",
            To::Hold => "hold",
        }
    }

    fn state(self) -> PoolState {
        match self {
            To::Drain | To::Hold => PoolState::Drain,
            To::Off => PoolState::Off,
            To::On | To::Approve => PoolState::Ok,
        }
    }

    fn switch(self, pool: Id<Pool>) -> Switch {
        match self {
            To::Drain | To::Hold => Switch::Pool { pool, admin: Admin::Drain },
            To::Off => Switch::Pool { pool, admin: Admin::Off },
            To::On => Switch::Pool { pool, admin: Admin::On },
            To::Approve => Switch::ApproveFailback { pool },
        }
    }

    /// Whether a pool is so already, so that the switch would change nothing.
    fn is_done(self, visit: &Visit, pool: &Id<Pool>) -> bool {
        let state = visit.web.control.health().pools.get(pool).map_or(PoolState::Ok, |known| known.state);
        match self {
            To::Drain | To::Hold => state == PoolState::Drain,
            To::Off => state == PoolState::Off,
            To::On => !matches!(state, PoolState::Drain | PoolState::Off),
            // One that is not held is refused.
            To::Approve => false,
        }
    }

    fn already(self, pools: &[Id<Pool>]) -> Text {
        let (one, several) = match self {
            To::Drain | To::Hold => (
                "{pool} is drained already: nothing changes.",
                "{n} pools are drained already: nothing changes for them.",
            ),
            To::Off => {
                ("{pool} is off already: nothing changes.", "{n} pools are off already: nothing changes for them.")
            }
            To::On | To::Approve => {
                ("{pool} is on already: nothing changes.", "{n} pools are on already: nothing changes for them.")
            }
        };
        of(pools, one, several)
    }

    fn done(self, pools: &[Id<Pool>]) -> Text {
        let (one, several) = match self {
            To::Drain => ("{pool} gets no new clients from now on.", "{n} pools get no new clients from now on."),
            To::Off => ("{pool} is off from now on.", "{n} pools are off from now on."),
            To::On => ("{pool} is back on.", "{n} pools are back on."),
            To::Approve => ("{pool} gets its clients back.", "{n} pools get their clients back."),
            To::Hold => (
                "{pool} stays out until somebody puts it back on.",
                "{n} pools stay out until somebody puts them back on.",
            ),
        };
        of(pools, one, several)
    }

    fn question(self) -> Text {
        text(match self {
            To::Drain => "Drain {pools}?",
            To::Off => "Turn {pools} off?",
            To::On => "Put {pools} back on?",
            To::Approve => "Approve the failback of {pools}?",
            To::Hold => "Hold the failback of {pools}?",
        })
    }

    fn button(self) -> &'static str {
        match self {
            To::Drain => "Drain",
            To::Off => "Turn off",
            To::On => "Put back on",
            To::Approve => "Approve failback",
            To::Hold => "Hold failback",
        }
    }

    fn explained(self) -> &'static str {
        match self {
            To::Drain => "New answers stop at once, checks go on. Clients that have an old answer stay until it ends.",
            To::Off => "The pool counts as if it were not there, also for a last resort.",
            To::On => "The pool gets its share of answers again as soon as its health lets it.",
            To::Approve => "The pool gets its clients back, at once or as fast as its ramp allows.",
            To::Hold => {
                "The pool is drained: when its checks pass it gets no clients until somebody puts it back on. Nothing changes for clients now."
            }
        }
    }
}

pub async fn drain(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    one(&visit, To::Drain, &id).await
}

pub async fn off(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    one(&visit, To::Off, &id).await
}

pub async fn on(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    one(&visit, To::On, &id).await
}

pub async fn hold(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let health = visit.web.control.health();
    let known = id.parse::<Id<Pool>>().ok().and_then(|id| health.pools.get(&id));
    // One that answers would lose its clients at once.
    if known.is_some_and(|known| known.state != PoolState::Down) {
        return Ok(see(&format!("/pools/{id}/drain")));
    }
    one(&visit, To::Hold, &id).await
}

pub async fn approve(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    one(&visit, To::Approve, &id).await
}

async fn one(visit: &Visit, to: To, id: &str) -> Result<Response, Problem> {
    let scene = Scene::of(visit, id).await?;
    page(visit, to, vec![scene.id], &Form::default(), Faults::default()).await
}

/// For several pools: `?to=drain&pool=a&pool=b`.
pub async fn sheet(visit: Visit) -> Result<Response, Problem> {
    let query = visit.here.split_once('?').map_or("", |(_, query)| query);
    let form = Form::parse(query.as_bytes())?;
    if !form.has("to") {
        return Ok(see("/pools"));
    }
    let (to, pools) = read(&visit, &form)?;
    if pools.is_empty() {
        visit.say(text("Choose at least one pool first."));
        return Ok(see("/pools"));
    }
    page(&visit, to, pools, &Form::default(), Faults::default()).await
}

pub async fn act(visit: Visit, form: Form) -> Result<Response, Problem> {
    let (to, pools) = read(&visit, &form)?;
    let [first, ..] = &pools[..] else { return Ok(see("/pools")) };
    let is_undo = form.has("undo");
    let effect = work_out(&visit, to, &pools).await?;
    let reason = if is_undo { TAKEN_BACK.to_owned() } else { form.reason() };
    let stranded = if is_undo { &[][..] } else { &effect.stranded };
    let faults = sheet::faults(stranded, &form, &reason);
    if !faults.is_empty() {
        return page(&visit, to, pools, &form, faults).await;
    }
    let before = visit.web.control.health().pools.get(first).map_or(PoolState::Ok, |known| known.state);
    let (done, to_do): (Vec<_>, Vec<_>) = pools.iter().cloned().partition(|pool| to.is_done(&visit, pool));
    if to_do.is_empty() {
        visit.say(to.already(&done));
        return Ok(see(&if done.len() > 1 { "/pools".to_owned() } else { format!("/pools/{first}") }));
    }
    for pool in &to_do {
        visit.web.control.act(to.switch(pool.clone()), visit.author(), reason.clone()).await?;
    }
    visit.say(to.done(&to_do));
    if pools.len() > 1 {
        return Ok(see("/pools"));
    }
    let undo = match (is_undo, to, before) {
        (true, ..) | (_, To::Approve, _) => None,
        (_, _, PoolState::Drain) => Some("drain"),
        (_, _, PoolState::Off) => Some("off"),
        _ => Some("on"),
    };
    let query = undo.filter(|word| *word != to.word()).map_or(String::new(), |word| format!("?undo={word}"));
    Ok(see(&format!("/pools/{first}{query}")))
}

/// The switch and the pools of a form or a query; pools that are not there are left out.
fn read(visit: &Visit, form: &Form) -> Result<(To, Vec<Id<Pool>>), Problem> {
    let to = To::of(form.text("to"));
    let to = to.ok_or_else(|| Problem::not_found("There is no such switch; use drain, off, on, approve or hold."))?;
    let model = visit.model();
    let pools = form.all("pool").filter_map(|id| id.parse::<Id<Pool>>().ok());
    let mut pools: Vec<Id<Pool>> = pools.filter(|id| model.pools.contains_key(id)).take(MAX_POOLS).collect();
    pools.sort();
    pools.dedup();
    Ok((to, pools))
}

async fn work_out(visit: &Visit, to: To, pools: &[Id<Pool>]) -> Result<Effect, Problem> {
    let (snapshot, health) = (visit.web.control.snapshot(), visit.web.control.health());
    let answers = visit.web.control.shared().traffic.lock().policies.clone();
    let states: Vec<(Id<Pool>, PoolState)> = pools.iter().map(|pool| (pool.clone(), to.state())).collect();
    let work = move || effect(&snapshot, &health, &states, &answers);
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "A fault of ours: the effect could not be worked out.")
    })
}

/// Of one pool by its id, of several by their number.
fn of(pools: &[Id<Pool>], one: &'static str, several: &'static str) -> Text {
    match pools {
        [pool] => text(one).set("pool", pool),
        _ => text(several).set("n", pools.len()),
    }
}

fn list(pools: &[Id<Pool>]) -> Text {
    match pools {
        [one] => plain(one),
        _ => count(pools.len(), "1 pool", "{n} pools"),
    }
}

async fn page(visit: &Visit, to: To, pools: Vec<Id<Pool>>, form: &Form, faults: Faults) -> Result<Response, Problem> {
    let effect = work_out(visit, to, &pools).await?;
    let question = to.question().say("pools", list(&pools));
    let mut frame = visit.frame(Place::Pools, question.clone()).await.under(text("Pools"), "/pools");
    let back = match &pools[..] {
        [one] => format!("/pools/{one}"),
        _ => "/pools".into(),
    };
    if let [one] = &pools[..] {
        frame = frame.under(plain(one), &*back);
    }
    let states = PoolStates::of(&visit.model(), &visit.web.control.health());
    let moved = moved(&effect, &states);
    let takes_away = matches!(to, To::Drain | To::Off);
    let mut asking = Asking::new(&effect, &pools, form, faults);
    asking.nothing_left = asking.nothing_left.filter(|_| takes_away);
    let done: Vec<Id<Pool>> = pools.iter().filter(|pool| to.is_done(visit, pool)).cloned().collect();
    if !done.is_empty() {
        asking.nothing_left = Some(to.already(&done));
    }
    let status = asking.status();
    let pools: Vec<String> = pools.iter().map(ToString::to_string).collect();
    let carried = std::iter::once(("to", to.word().to_owned())).chain(pools.iter().map(|pool| ("pool", pool.clone())));
    let carried = carried.collect();
    let sheet = Sheet {
        frame,
        question,
        explained: to.explained(),
        button: to.button(),
        action: "/pools/switch".into(),
        carried,
        pools,
        endpoints: Vec::new(),
        moved,
        effect,
        asking,
        back,
    };
    Ok(visit.page_with(status, &sheet))
}
