//! Simulator: what clients get for a name, why, and what they would get in another world. Other pages show the
//! same beside what they are about (`panel`).

mod keep;
mod shown;
mod why_not;

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};

use self::keep::Keep;
use self::shown::{Beside, Group, Reader, Shown, beside, coarse, in_short};
use super::Page;
use super::filters;
use super::form::{Faults, Form};
use super::frame::{Frame, Place};
use super::state::{PoolStates, StateWord};
use super::text::{Language, Text, plain, text};
use super::visit::Visit;
use crate::answer::{ANY_RESOLVER, Question, RuleVerdict, simulate};
use crate::control::simulate::{Ask, At, Simulation, World};
use crate::control::token::Role;
use crate::control::{Refusal, unix_ms};
use crate::geo::{Clients, Coarse, cities};
use crate::model::field::distance;
use crate::model::{Id, Model, Name, Pool, RecordType};
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
    vec![Page::new("/explain", Role::Viewer, get(show)), Page::new("/explain/keep", Role::Editor, post(keep::keep))]
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
    state: StateWord,
    down: bool,
}

/// Well-known places that get the same.
struct PlaceGroup {
    answer: String,
    rule: String,
    /// Name, what stands for it, and the link that explains it.
    places: Vec<(String, String, String)>,
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
    let reader = reader(visit);
    let drafted = visit.web.control.drafted(author).await.unwrap_or_else(|_| live.clone());
    let keep = panel.simulation.as_ref().filter(|_| visit.may(Role::Editor));
    let keep = keep.and_then(|simulation| Keep::of(simulation, &panel.who, &drafted));
    let keep = keep.map(|keep| match kept {
        Some((form, faults)) => keep.typed(form, faults),
        None => keep,
    });
    let why = query.text("why").to_owned();
    let why_not = match (&panel.simulation, why.parse::<Id<Pool>>()) {
        (Some(simulation), Ok(pool)) => {
            simulation.groups.first().map(|group| why_not::why_not(&reader, &simulation.world, &group.trace, &pool))
        }
        _ => None,
    };
    let page = SimulatorPage {
        frame: visit.frame(Place::Simulator, text("Simulator")).await,
        rtypes: &TYPES,
        versions: versions(visit, ask).await?,
        pools: ticks(&world, ask),
        why_not: why_not.unwrap_or_default(),
        why,
        nearby: nearby(&names, &panel),
        places: places(&reader, &world, ask),
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
    names.into_iter().map(|name| plain_name(&name.to_string())).collect()
}

fn plain_name(name: &str) -> String {
    name.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(name).to_owned()
}

async fn versions(visit: &Visit, ask: &Ask) -> Result<Vec<Version>, Problem> {
    let at = ask.at.parse::<At>().unwrap_or_default();
    let version = |at: At, word: Text, chosen: At| Version { value: at.to_string(), word, chosen: at == chosen };
    let head = visit.model().revision;
    let drafted = visit.draft().await.edits.len();
    let mut all = vec![version(At::Live, text("Live, version {n}").set("n", head), at)];
    if drafted > 0 || at == At::Draft {
        all.push(version(At::Draft, super::text::count(drafted, "Draft, {n} change", "Draft, {n} changes"), at));
    }
    let kept = visit.web.control.revisions(None, MOST_VERSIONS).await?;
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
fn ticks(world: &World, ask: &Ask) -> Vec<PoolTick> {
    let model = world.snapshot.model();
    let name = ask.name.trim().to_lowercase();
    let is_asked = |attached: &Name| plain_name(&attached.to_string()) == plain_name(&name);
    let policy = model.policies.values().find(|policy| policy.attach.iter().any(|attach| is_asked(&attach.name)));
    let used: Option<BTreeSet<&str>> = policy.map(|policy| {
        let steps = policy.rules.iter().flat_map(|rule| &rule.steps);
        steps.flat_map(|step| &step.pools).map(|used| used.pool.as_str()).collect()
    });
    let states = PoolStates::of(model, &world.health);
    let is_down = |id: &str| ask.down.iter().any(|down| down == id);
    let shown = states
        .iter()
        .filter(|(id, _)| is_down(id.as_str()) || used.as_ref().is_none_or(|used| used.contains(id.as_str())));
    let shown = shown.map(|(id, pool)| PoolTick { id: id.to_string(), state: pool.state, down: is_down(id.as_str()) });
    shown.take(MOST_POOLS).collect()
}

/// Steered names that are like one that nothing answers.
fn nearby(names: &[String], panel: &Panel) -> Vec<(String, String)> {
    let asked = plain_name(&panel.ask.name.trim().to_lowercase());
    let nothing = panel
        .simulation
        .as_ref()
        .and_then(|simulation| simulation.groups.first())
        .is_some_and(|group| group.trace.answer.is_empty() && group.trace.steering.is_none());
    if asked.is_empty() || !(nothing || !panel.faults.of("name").is_empty()) {
        return Vec::new();
    }
    let mut near: Vec<(usize, &String)> = names
        .iter()
        .filter_map(|name| {
            let begins = name.starts_with(&format!("{asked}."));
            let steps = if begins { 0 } else { distance(&asked, name) };
            (steps <= 3).then_some((steps, name))
        })
        .collect();
    near.sort_unstable();
    let links = near.into_iter().take(3);
    links.map(|(_, name)| (name.clone(), link("/explain", &Ask { name: name.clone(), ..panel.ask.clone() }))).collect()
}

/// What well-known places get, those together that get the same.
fn places(reader: &Reader, world: &World, ask: &Ask) -> Vec<PlaceGroup> {
    let rtype = if ask.rtype.is_empty() { "A" } else { &ask.rtype };
    let (Ok(name), Ok(rtype)) = (ask.name.trim().parse::<Name>(), rtype.to_uppercase().parse::<RecordType>()) else {
        return Vec::new();
    };
    let question = Question { name: name.as_wire(), rtype };
    let base = world.snapshot.geo();
    let mut groups: BTreeMap<(String, String), PlaceGroup> = BTreeMap::new();
    for (city, clients) in cities().iter().zip(base.cities()) {
        let Some(largest) = clients.networks.first() else { continue };
        let asked = simulate(&world.snapshot, &question, &[*largest], ANY_RESOLVER, unix_ms(), 0);
        let Some(trace) = asked.first().map(|group| &group.trace) else { continue };
        let Some(steering) = &trace.steering else { return Vec::new() };
        let rule = steering.rules.iter().find(|rule| rule.verdict == RuleVerdict::Matches);
        let rule = rule.map(|rule| rule.name.clone()).unwrap_or_default();
        let answer = in_short(trace);
        let word = match reader.language {
            Language::English => city.name,
            Language::Korean => city.name_ko,
        };
        let stands = match clients.coarse {
            Some(Coarse::NoCity) => reader.who(&clients.who, world.snapshot.model()),
            _ => String::new(),
        };
        let href = link("/explain", &Ask { client: city.name.to_owned(), ..ask.clone() });
        let group = groups.entry((answer.clone(), rule.clone()));
        let group = group.or_insert_with(|| PlaceGroup { answer, rule, places: Vec::new() });
        group.places.push((word.to_owned(), stands, href));
    }
    let mut groups: Vec<PlaceGroup> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.places.len()));
    groups
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
