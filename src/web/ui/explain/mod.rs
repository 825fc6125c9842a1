//! Simulator: what clients get for a name, why, and what they would get in another world. Other pages show the
//! same beside what they are about (`panel`).

mod shown;

use std::net::IpAddr;

use askama::Template;
use axum::extract::RawQuery;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use self::shown::{Beside, Group, Reader, Shown, beside, coarse, in_short};
use super::Page;
use super::filters;
use super::form::{Faults, Form};
use super::frame::{Frame, Place};
use super::state::PoolStates;
use super::text::{Text, plain, text};
use super::visit::{Visit, see};
use crate::answer::Trace;
use crate::control::Refusal;
use crate::control::simulate::{Ask, At, Simulation};
use crate::control::token::Role;
use crate::geo::{Clients, cities};
use crate::model::{Edit, Kind, Model};
use crate::web::Problem;

pub(super) fn pages() -> Vec<Page> {
    vec![Page::new("/explain", Role::Viewer, get(show))]
}

/// What was asked and what came of it: the context of `_explain.html`, as `panel`.
pub struct Panel {
    /// Where the form of the panel goes to, with the fields `client` and `type`.
    pub action: String,
    pub ask: Ask,
    pub faults: Faults,
    /// Texts that would be right, with the links that ask them.
    pub instead: Vec<(String, String)>,
    /// Whom the answer is for; nothing where nobody was asked for yet.
    pub who: String,
    pub coarse: Option<Text>,
    pub shown: Option<Shown>,
    /// Where not all clients are answered alike: every group.
    pub groups: Vec<Group>,
    /// The same question on the page of the simulator.
    pub simulator: String,
    /// Examples to begin with.
    pub examples: Vec<(Text, String)>,
    simulation: Option<Simulation>,
}

/// Asks, and shows what comes of it in a panel of a page at `action`. Nothing is asked without a client.
pub async fn panel(visit: &Visit, action: &str, ask: Ask) -> Result<Panel, Problem> {
    let mut panel = Panel {
        action: action.to_owned(),
        faults: Faults::default(),
        instead: Vec::new(),
        who: String::new(),
        coarse: None,
        shown: None,
        groups: Vec::new(),
        simulator: link("/explain", &ask),
        examples: examples(visit, action, &ask),
        simulation: None,
        ask,
    };
    if panel.ask.client.trim().is_empty() && panel.ask.via.trim().is_empty() {
        return Ok(panel);
    }
    match visit.web.control.simulate(&panel.ask, &visit.author()).await {
        Ok(simulation) => panel.answer(visit, simulation).await,
        Err(Refusal::Invalid(errors)) => {
            let live = visit.web.control.snapshot();
            let client = Clients::read(&panel.ask.client, live.geo(), live.model(), visit.address);
            let instead = client.err().map(|unclear| unclear.instead).unwrap_or_default();
            panel.instead = instead
                .into_iter()
                .map(|client| (client.clone(), link(action, &Ask { client, ..panel.ask.clone() })))
                .collect();
            panel.faults = Faults::new(errors, "");
        }
        Err(refusal) => return Err(refusal.into()),
    }
    Ok(panel)
}

impl Panel {
    async fn answer(&mut self, visit: &Visit, simulation: Simulation) {
        let reader = reader(visit);
        let model = simulation.world.snapshot.model().clone();
        self.who = match &simulation.clients {
            Some(clients) => reader.who(&clients.who, &model),
            None => simulation.resolver.to_string(),
        };
        self.coarse = coarse(&reader, &simulation);
        let other = other(visit, &simulation).await;
        if let Some(group) = simulation.groups.first() {
            self.shown = Some(Shown::new(&reader, &simulation, group, &other));
        }
        if simulation.groups.len() > 1 {
            let href = |network: &str| link(&self.action, &Ask { client: network.to_owned(), ..self.ask.clone() });
            self.groups = simulation.groups.iter().map(|group| Group::new(group, href)).collect();
        }
        self.simulation = Some(simulation);
    }
}

fn reader(visit: &Visit) -> Reader {
    Reader { language: visit.language, now: visit.now, node: visit.web.metrics.node().to_owned() }
}

/// How the answer stands to the draft, or to what is live.
async fn other(visit: &Visit, simulation: &Simulation) -> Beside {
    let author = &visit.user().id;
    let at = match simulation.at {
        At::Live if visit.draft().await.is_empty() => return Beside::Nothing,
        At::Live => At::Draft,
        At::Draft | At::Version(_) => At::Live,
    };
    match visit.web.control.world(at, author).await {
        Ok(world) => beside(&simulation.groups, &simulation.again(&world.with_down(&simulation.down))),
        // A draft that stopped being right says so on its own page.
        Err(_) => Beside::Nothing,
    }
}

/// Path and query of a question. Fields that are as usual are left out.
pub fn link(path: &str, ask: &Ask) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let on_its_page = path != "/explain";
    let fields = [
        ("name", if on_its_page { "" } else { &ask.name }),
        ("type", if ask.rtype == "A" { "" } else { &ask.rtype }),
        ("client", &ask.client),
        ("via", &ask.via),
        ("at", if ask.at == "live" { "" } else { &ask.at }),
    ];
    for (field, value) in fields.into_iter().filter(|(_, value)| !value.trim().is_empty()) {
        query.append_pair(field, value.trim());
    }
    for pool in &ask.down {
        query.append_pair("down", pool);
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A question as a page's query has it.
pub fn asked(query: &Form) -> Ask {
    let text = |field: &str| query.text(field).to_owned();
    let down = query.all("down").flat_map(|text| text.split(',')).map(str::trim).filter(|id| !id.is_empty());
    let mut down: Vec<String> = down.map(str::to_owned).collect();
    down.dedup();
    Ask { name: text("name"), rtype: text("type"), client: text("client"), via: text("via"), at: text("at"), down }
}

fn examples(visit: &Visit, action: &str, ask: &Ask) -> Vec<(Text, String)> {
    let snapshot = visit.web.control.snapshot();
    let asn = snapshot.geo().places().iter().find_map(|place| place.asn).map(|asn| format!("AS{asn}"));
    let clients = [(text("Berlin"), "Berlin".to_owned()), (text("South Korea"), "KR".to_owned())];
    let asn = asn.map(|asn| (plain(&asn), asn));
    let clients = clients.into_iter().chain(asn).chain([(text("your own address"), "me".to_owned())]);
    clients.map(|(word, client)| (word, link(action, &Ask { client, ..ask.clone() }))).collect()
}

async fn show(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Form::parse(query.unwrap_or_default().as_bytes())?;
    let ask = asked(&query);
    let panel = panel(&visit, "/explain", ask).await?;
    let frame = visit.frame(Place::Simulator, text("Simulator")).await;
    Ok(visit.page(&SimulatorPage { frame, panel }))
}

#[derive(Template)]
#[template(path = "ui/explain.html")]
struct SimulatorPage {
    frame: Frame,
    panel: Panel,
}
