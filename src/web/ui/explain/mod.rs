//! Simulator: what clients get for a name, why, and what they would get in another world. Other pages show the
//! same beside what they are about (`panel`).

mod dig;
mod keep;
mod places;
mod shown;
mod why_not;

use std::collections::BTreeSet;
use std::net::IpAddr;

use askama::Template;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};

use self::dig::Server;
use self::keep::Keep;
use self::places::PlaceGroup;
use self::shown::{Group, Reader, Shown, beside, coarse};
use super::Page;
use super::filters;
use super::form::{Faults, Form};
use super::frame::{Frame, Place};
use super::state::{PoolStates, StateWord};
use super::text::{Text, count, plain, text};
use super::visit::Visit;
use crate::control::Refusal;
use crate::control::simulate::{Ask, At, Simulation, World};
use crate::control::token::Role;
use crate::geo::{Clients, is_me};
use crate::health::HealthTable;
use crate::model::field::distance;
use crate::model::{Id, Model, Name, Pool, without_dot};
use crate::web::Problem;

/// Names that are offered while somebody types; a browser filters them.
const MOST_NAMES: usize = 200;
/// Versions that are offered; any other can be typed into the address.
const MOST_VERSIONS: usize = 8;
/// Pools that can be assumed down with a tick.
const MOST_POOLS: usize = 40;
/// Record types that are offered.
const TYPES: [&str; 10] = ["A", "AAAA", "CNAME", "MX", "TXT", "NS", "SOA", "SRV", "CAA", "HTTPS"];

pub(super) fn pages() -> Vec<Page> {
    vec![
        Page::new("/explain", Role::Viewer, get(show)),
        Page::new("/explain.csv", Role::Viewer, get(places::csv)),
        Page::new("/explain.json", Role::Viewer, get(places::json)),
        Page::new("/explain/keep", Role::Editor, post(keep::keep)),
    ]
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
    /// The same, which others can open and which asks the same version later; nobody else has one's draft.
    pub share: Option<String>,
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
        share: None,
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
        let reader = reader(visit, &self.ask);
        let model = simulation.world.snapshot.model().clone();
        self.who = match (&simulation.clients, reader.own) {
            (Some(_), Some(own)) => own.to_string(),
            (Some(clients), None) => reader.who(&clients.who, &model),
            (None, _) => simulation.resolver.to_string(),
        };
        self.coarse = coarse(&reader, &simulation);
        self.share = pinned(&self.ask, simulation.at, model.revision, reader.own);
        let beside = match other(visit, &simulation).await {
            Some((at, world)) => Some(beside(at, &simulation.groups, &simulation.again(&world))),
            None => None,
        };
        if let Some(group) = simulation.groups.first() {
            self.shown = Some(Shown::new(&reader, &simulation, group, beside));
        }
        if simulation.groups.len() > 1 {
            let href = |network: &str| link(&self.action, &Ask { client: network.to_owned(), ..self.ask.clone() });
            self.groups = simulation.groups.iter().map(|group| Group::new(group, href)).collect();
        }
        self.simulation = Some(simulation);
    }
}

fn reader(visit: &Visit, ask: &Ask) -> Reader {
    Reader {
        language: visit.language,
        now: visit.now,
        own: visit.address.filter(|_| is_me(&ask.client)).map(|address| address.to_canonical()),
        server: Server::reached(&visit.web.boot.dns, visit.host()),
    }
}

/// The world to compare with: the draft beside what is live, else what is live.
async fn other(visit: &Visit, simulation: &Simulation) -> Option<(At, World)> {
    let at = match simulation.at {
        At::Live if simulation.down.is_empty() && visit.draft().await.is_empty() => return None,
        At::Live if simulation.down.is_empty() => At::Draft,
        At::Live | At::Draft | At::Version(_) => At::Live,
    };
    // A draft that stopped being right says so on its own page.
    let world = visit.web.control.world(at, &visit.user().id).await.ok()?;
    Some((at, world))
}

/// `live` as the version that it is now, `me` as the address that it is here.
fn pinned(ask: &Ask, at: At, live: u64, own: Option<IpAddr>) -> Option<String> {
    let at = match at {
        At::Live => At::Version(live),
        At::Version(_) => at,
        At::Draft => return None,
    };
    let client = own.map_or_else(|| ask.client.clone(), |own| own.to_string());
    Some(link("/explain", &Ask { at: at.to_string(), client, ..ask.clone() }))
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
    let asked = |field: &str| query.text(field).to_owned();
    let down = query.all("down").flat_map(|text| text.split(',')).map(str::trim).filter(|id| !id.is_empty());
    let mut down: Vec<String> = down.map(str::to_owned).collect();
    down.dedup();
    Ask { name: asked("name"), rtype: asked("type"), client: asked("client"), via: asked("via"), at: asked("at"), down }
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
    answered(&visit, &query, None, StatusCode::OK).await
}

#[derive(Template)]
#[template(path = "ui/explain.html")]
struct SimulatorPage {
    frame: Frame,
    panel: Panel,
    rtypes: &'static [&'static str],
    names: Vec<String>,
    versions: Vec<Version>,
    pools: Vec<PoolTick>,
    /// The pool that was asked for in "why not", and the answer.
    why: String,
    why_not: Vec<Text>,
    nearby: Vec<(String, String)>,
    places: Vec<PlaceGroup>,
    /// The query of what programs get of `places`.
    tables: String,
    keep: Option<Keep>,
    empty: Vec<(String, String, String)>,
}

/// A world that can be asked.
struct Version {
    value: String,
    word: Text,
    chosen: bool,
}

/// A pool with its tick: assumed down.
struct PoolTick {
    id: String,
    /// What it really is.
    state: StateWord,
    down: bool,
}

/// The page for a question. `kept` is a form that could not be kept, with its faults.
async fn answered(
    visit: &Visit,
    query: &Form,
    kept: Option<(&Form, Faults)>,
    status: StatusCode,
) -> Result<Response, Problem> {
    let mut ask = asked(query);
    let live = visit.model();
    let names = steered(&live);
    if ask.name.trim().is_empty() && !query.has("name") {
        ask.name = names.first().cloned().unwrap_or_default();
    }
    let panel = panel(visit, "/explain", ask).await?;
    let (ask, author) = (&panel.ask, &visit.user().id);
    let world = match &panel.simulation {
        Some(simulation) => Ok(simulation.world.clone()),
        None => match ask.at.parse() {
            Ok(at) => visit.web.control.world(at, author).await,
            Err(_) => visit.web.control.world(At::Live, author).await,
        },
    };
    let world = match world {
        Ok(world) => world,
        Err(_) => visit.web.control.world(At::Live, author).await?,
    };
    let reader = reader(visit, ask);
    let drafted = visit.web.control.drafted(author).unwrap_or_else(|_| live.clone());
    let keep = panel.simulation.as_ref().filter(|_| visit.may(Role::Editor));
    let keep = keep.and_then(|simulation| Keep::of(simulation, &panel.who, &drafted));
    let keep = keep.map(|keep| match kept {
        Some((form, faults)) => keep.typed(form, faults),
        None => keep,
    });
    let why = query.text("why").to_owned();
    let why_not = match (&panel.simulation, why.parse::<Id<Pool>>()) {
        (Some(simulation), Ok(pool)) => {
            simulation.groups.first().map(|group| why_not::why_not(&reader, simulation, &group.trace, &pool))
        }
        _ => None,
    };
    let page = SimulatorPage {
        frame: visit.frame(Place::Simulator, text("Simulator")).await,
        rtypes: &TYPES,
        versions: versions(visit, ask).await?,
        pools: ticks(world.snapshot.model(), &visit.web.control.health(), ask),
        why_not: why_not.unwrap_or_default(),
        why,
        nearby: nearby(&names, &panel),
        tables: link("/explain", ask).trim_start_matches("/explain").to_owned(),
        places: places::groups(places::places(&reader, &world, ask)),
        keep,
        empty: beginnings(&names),
        names: names.into_iter().take(MOST_NAMES).collect(),
        panel,
    };
    Ok(visit.page_with(status, &page))
}

/// Names that policies answer, without their last point.
fn steered(model: &Model) -> Vec<String> {
    let attached = model.policies.values().filter(|policy| policy.enabled).flat_map(|policy| &policy.attach);
    let names: BTreeSet<&Name> = attached.map(|attach| &attach.name).collect();
    names.into_iter().map(|name| name.without_dot()).collect()
}

async fn versions(visit: &Visit, ask: &Ask) -> Result<Vec<Version>, Problem> {
    let at = ask.at.parse::<At>().unwrap_or_default();
    let version = |at: At, word: Text, chosen: At| Version { value: at.to_string(), word, chosen: at == chosen };
    let head = visit.model().revision;
    let drafted = visit.draft().await.edits.len();
    let mut all = vec![version(At::Live, text("Live, version {n}").set("n", head), at)];
    if drafted > 0 || at == At::Draft {
        all.push(version(At::Draft, count(drafted, "Draft, {n} change", "Draft, {n} changes"), at));
    }
    let kept = visit.web.control.revision_heads(None, MOST_VERSIONS).await?;
    let mut numbers: Vec<u64> = kept.iter().map(|revision| revision.number).filter(|number| *number != head).collect();
    if let At::Version(number) = at
        && !numbers.contains(&number)
    {
        numbers.push(number);
    }
    all.extend(
        numbers.into_iter().map(|number| version(At::Version(number), text("Version {n}").set("n", number), at)),
    );
    Ok(all)
}

/// The pools of the name's policy; all, where no policy answers it.
fn ticks(model: &Model, health: &HealthTable, ask: &Ask) -> Vec<PoolTick> {
    let name = ask.name.trim().to_lowercase();
    let is_asked = |attached: &Name| attached.without_dot() == without_dot(&name);
    let policy = model.policies.values().find(|policy| policy.attach.iter().any(|attach| is_asked(&attach.name)));
    let used: Option<BTreeSet<&str>> = policy.map(|policy| {
        let steps = policy.rules.iter().flat_map(|rule| &rule.steps);
        steps.flat_map(|step| &step.pools).map(|used| used.pool.as_str()).collect()
    });
    let states = PoolStates::of(model, health);
    let is_down = |id: &str| ask.down.iter().any(|down| down == id);
    let shown = states
        .iter()
        .filter(|(id, _)| is_down(id.as_str()) || used.as_ref().is_none_or(|used| used.contains(id.as_str())));
    let shown = shown.map(|(id, pool)| PoolTick { id: id.to_string(), state: pool.state, down: is_down(id.as_str()) });
    shown.take(MOST_POOLS).collect()
}

/// Steered names that are like one that nothing answers.
fn nearby(names: &[String], panel: &Panel) -> Vec<(String, String)> {
    let asked = panel.ask.name.trim().to_lowercase();
    let asked = without_dot(&asked);
    let nothing = panel
        .simulation
        .as_ref()
        .and_then(|simulation| simulation.groups.first())
        .is_some_and(|group| group.trace.answer.is_empty() && group.trace.steering.is_none());
    if asked.is_empty() || (!nothing && panel.faults.of("name").is_empty()) {
        return Vec::new();
    }
    let mut near: Vec<(usize, &String)> = names
        .iter()
        .filter_map(|name| {
            let begins = name.starts_with(&format!("{asked}."));
            let steps = if begins { 0 } else { distance(asked, name) };
            (steps <= 3).then_some((steps, name))
        })
        .collect();
    near.sort_unstable();
    let links = near.into_iter().take(3);
    links.map(|(_, name)| (name.clone(), link("/explain", &Ask { name: name.clone(), ..panel.ask.clone() }))).collect()
}

/// Questions to begin with: a name, a client, and the link.
fn beginnings(names: &[String]) -> Vec<(String, String, String)> {
    let clients = ["Berlin", "KR", "São Paulo", "me"];
    let asks = names.iter().zip(clients).map(|(name, client)| {
        let ask = Ask { name: name.clone(), client: client.to_owned(), ..Ask::default() };
        (name.clone(), client.to_owned(), link("/explain", &ask))
    });
    asks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_share_keeps_version_and_address() {
        let ask = |client: &str, at: &str| Ask {
            name: "www.example.com".into(),
            client: client.into(),
            at: at.into(),
            down: vec!["eu".into()],
            ..Ask::default()
        };
        let own = "2001:db8::7".parse().ok();
        for (ask, at, own, link) in [
            (ask("DE", "live"), At::Live, None, Some("/explain?name=www.example.com&client=DE&at=7&down=eu")),
            (ask("me", ""), At::Live, own, Some("/explain?name=www.example.com&client=2001%3Adb8%3A%3A7&at=7&down=eu")),
            (ask("DE", "3"), At::Version(3), None, Some("/explain?name=www.example.com&client=DE&at=3&down=eu")),
            (ask("DE", "draft"), At::Draft, None, None),
        ] {
            assert_eq!(pinned(&ask, at, 7, own).as_deref(), link);
        }
    }
}
