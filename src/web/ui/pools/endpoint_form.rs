//! The form of an endpoint: its addresses, its part in the pool, and what watches it. A wrong address is said
//! at once; a check that fails is said before it is saved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::clash::{self, Kept};
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
use super::super::text::{Text, plain, text};
use super::super::values::{Values, needed, put, words};
use super::super::visit::{Visit, see};
use super::super::{every, filters};
use super::settings::{MonitorChoice, monitor_choices, monitors_of};
use super::{Scene, weights};
use crate::health::{self, Report};
use crate::model::{Check, Edit, Endpoint, FieldError, Id, Kind, Model, Monitor, MonitorUse, Name, Pool, RecordType};
use crate::web::Problem;
use crate::web::extract::Path;

/// Checks that are tried before saving.
const MAX_TRIALS: usize = 4;
/// In the order of the page, those of `FOLDED` last.
const FIELDS: [&str; 7] = ["id", "address", "weight", "serve", "priority", "country", "depends_on"];
/// Those that are folded away while nothing is wrong with them.
const FOLDED: [&str; 3] = ["priority", "country", "depends_on"];
/// An address for the rest of a form whose address is wrong.
const STAND_IN: &str = "192.0.2.1";

/// One address as it was typed.
#[derive(Debug, Clone, PartialEq)]
pub enum Address {
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    /// A host name that resolvers look up themselves.
    Name(String),
}

/// Reads one address, or says what would be one.
pub fn address(text: &str) -> Result<Address, FieldError> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => return Ok(Address::Ipv4(ip)),
        Ok(IpAddr::V6(ip)) => return Ok(Address::Ipv6(ip)),
        Err(_) => {}
    }
    let wrong = |remedy: &str| FieldError::new("address", format!("{text} is not an address"), remedy);
    let parts: Vec<&str> = text.split('.').collect();
    if parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())) {
        let too_large = parts.iter().position(|part| part.parse::<u32>().is_ok_and(|n| n > 255) || part.len() > 9);
        return Err(wrong(match (parts.len(), too_large) {
            (4, Some(0)) => "The first part can be at most 255",
            (4, Some(1)) => "The second part can be at most 255",
            (4, Some(2)) => "The third part can be at most 255",
            (4, Some(_)) => "The last part can be at most 255",
            (4, None) => "Write its parts without leading zeros",
            _ => "It has four parts, such as 192.0.2.10",
        }));
    }
    if text.contains(':') {
        return Err(wrong("Write an IPv6 address such as 2001:db8::10, without a port"));
    }
    match text.parse::<Name>() {
        Ok(name) if name.labels().count() > 1 => Ok(Address::Name(name.to_string())),
        _ => Err(wrong("Use one such as 192.0.2.10 or 2001:db8::10, or a host name such as cdn.example.net")),
    }
}

/// True for what clients on the internet cannot reach.
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.segments()[0] & 0xfe00 == 0xfc00,
    }
}

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

/// What makes an endpoint doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Private,
    Unchecked,
    Failing,
}

impl Why {
    fn word(self) -> &'static str {
        match self {
            Why::Private => "private",
            Why::Unchecked => "unchecked",
            Why::Failing => "failing",
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Doubts {
    said: Vec<(Why, Text)>,
    /// The checks of its neighbours, for one that has none.
    neighbours: String,
}

impl Doubts {
    fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// All of them, for the button that keeps the endpoint in spite of them.
    fn words(&self) -> String {
        let mut words: Vec<&str> = self.said.iter().map(|(why, _)| why.word()).collect();
        words.dedup();
        words.join(" ")
    }

    fn only_fails(&self) -> bool {
        self.said.iter().all(|(why, _)| *why == Why::Failing)
    }
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

/// The checks that the most endpoints of the pool have of their own, beside `id`.
fn neighbours<'s>(scene: &'s Scene, id: &str) -> &'s [MonitorUse] {
    let others = scene.pool.members.iter().filter(|member| member.endpoint.as_str() != id);
    let own = others.filter_map(|member| Some(&*scene.drafted.endpoints.get(&member.endpoint)?.monitors));
    let mut counted: Vec<(&[MonitorUse], usize)> = Vec::new();
    for uses in own.filter(|uses| !uses.is_empty()) {
        match counted.iter_mut().find(|(known, _)| *known == uses) {
            Some((_, times)) => *times += 1,
            None => counted.push((uses, 1)),
        }
    }
    // Of equals the first: `max_by_key` would take the last.
    counted.into_iter().rev().max_by_key(|(_, times)| *times).map_or(&[], |(uses, _)| uses)
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

/// Everything that makes one look twice, but what the visitor wants all the same.
async fn doubts(visit: &Visit, scene: &Scene, read: &Read, serve: &str, kept: &[String]) -> Doubts {
    let mut said: Vec<(Why, Text)> = Vec::new();
    for ip in read.ips.iter().filter(|ip| is_private(**ip)) {
        let sentence = text("{address} is a private address. Clients on the internet cannot reach it.");
        said.push((Why::Private, sentence.set("address", ip)));
    }
    let others = neighbours(scene, &read.id);
    let names: Vec<&str> = others.iter().map(|used| used.monitor.as_str()).collect();
    if read.is_new_address && serve == "auto" && read.uses.is_empty() && scene.pool.monitors.is_empty() {
        let sentence = text("{endpoint} has no health check: it counts as up, always.");
        said.push((Why::Unchecked, sentence.set("endpoint", &read.id)));
    }
    if read.is_new_address && !kept.iter().any(|word| word == Why::Failing.word()) {
        let failing = tried(visit, &scene.drafted, &scene.pool, read).await;
        said.extend(failing.into_iter().map(|sentence| (Why::Failing, sentence)));
    }
    said.retain(|(why, _)| !kept.iter().any(|word| word == why.word()));
    let is_unchecked = said.iter().any(|(why, _)| *why == Why::Unchecked);
    Doubts { said, neighbours: if is_unchecked { names.join(", ") } else { String::new() } }
}

/// Errors of the model, beside the fields of this form.
fn of_model(errors: Vec<FieldError>, id: &str, scene: &Scene) -> Faults {
    let errors = Faults::new(errors, &format!("endpoints/{id} "));
    errors.renamed(|at| member_field(at, scene.id.as_str()))
}

/// The edits with an id and an address that are right, to find out what is wrong beside them.
fn stand_in(scene: &Scene, read: &Read) -> (String, Vec<Edit>) {
    let is_right = read.id.parse::<Id<Endpoint>>().is_ok();
    let id = if is_right { read.id.clone() } else { every::stand_in(&scene.drafted, Kind::Endpoints) };
    let mut edits = read.edits.clone();
    for edit in &mut edits {
        let Some(value) = &mut edit.value else { continue };
        if edit.kind == Kind::Endpoints {
            edit.id.clone_from(&id);
            if read.addresses.is_empty() {
                put(value, "ipv4", STAND_IN.into());
            }
        }
        let members = value.get_mut("members").and_then(Value::as_array_mut);
        for member in members.into_iter().flatten().filter(|member| member["endpoint"] == read.id.as_str()) {
            member["endpoint"] = id.as_str().into();
        }
    }
    (id, edits)
}

/// `pools/eu members[2].weight` is this form's `weight`; an address of any kind is its `address`.
fn member_field(at: &str, pool: &str) -> Option<String> {
    if ["ipv4", "ipv6", "cname"].contains(&at) {
        return Some("address".into());
    }
    if at.starts_with("depends_on[") {
        return Some("depends_on".into());
    }
    let rest = at.strip_prefix("pools/")?.strip_prefix(pool)?.trim_start().strip_prefix("members[")?;
    rest.split_once("].").map(|(_, field)| field.to_owned())
}

struct Read {
    id: String,
    ips: Vec<IpAddr>,
    addresses: Vec<health::Address>,
    edits: Vec<Edit>,
    uses: Vec<MonitorUse>,
    /// Checks are tried only where something is to be found out.
    is_new_address: bool,
}

fn read(scene: &Scene, known: Option<&Id<Endpoint>>, form: &Form, uses: Vec<MonitorUse>, faults: &mut Faults) -> Read {
    let id = known.map_or(form.text("id").to_owned(), ToString::to_string);
    let mut value =
        known.and_then(|id| scene.drafted.entity(Kind::Endpoints, id.as_str())).unwrap_or_else(|| json!({}));
    let before = value.clone();
    let typed: Vec<&str> = form.text("address").split([',', ' ']).filter(|part| !part.is_empty()).collect();
    let existing = id.parse::<Id<Endpoint>>().ok().filter(|id| scene.drafted.endpoints.contains_key(id));
    if known.is_none() {
        check_id(scene, &id, existing.is_some(), typed.is_empty(), faults);
    }
    let joins = known.is_none() && existing.is_some() && typed.is_empty();
    if typed.is_empty() && !joins {
        faults.push(FieldError::new("address", "an address is missing", "give one such as 192.0.2.10 or 2001:db8::10"));
    }
    if let Err(error) = weights::weight(form.text("weight"), "weight") {
        faults.push(error);
    }
    let mut read = Read { ips: Vec::new(), addresses: Vec::new(), edits: Vec::new(), uses, is_new_address: false, id };
    ["ipv4", "ipv6", "cname"].into_iter().for_each(|field| put(&mut value, field, Value::Null));
    for part in typed {
        let (field, text, address) = match address(part) {
            Ok(Address::Ipv4(ip)) => ("ipv4", ip.to_string(), health::Address::Ip(ip.into())),
            Ok(Address::Ipv6(ip)) => ("ipv6", ip.to_string(), health::Address::Ip(ip.into())),
            Ok(Address::Name(name)) => match name.parse() {
                Ok(parsed) => ("cname", name, health::Address::Name(parsed)),
                Err(_) => continue,
            },
            Err(error) => {
                faults.push(error);
                continue;
            }
        };
        if value.get(field).is_some() {
            faults.push(FieldError::new(
                "address",
                format!("{part} is a second {field} address"),
                "Give one of each family",
            ));
        }
        if let Some(other) = duplicate(scene, &read.id, &address) {
            faults.push(FieldError::new("address", format!("{part} is already {other} in this pool"), ""));
        }
        put(&mut value, field, text.into());
        if let health::Address::Ip(ip) = &address {
            read.ips.push(*ip);
        }
        read.addresses.push(address);
    }
    if let Some(fault) = family_fault(scene, &read) {
        faults.push(fault);
    }
    put(&mut value, "serve", words(form.text("serve")));
    put(&mut value, "country", words(form.text("country")));
    put(&mut value, "monitors", json!(read.uses));
    let depends: Vec<&str> = form.text("depends_on").split([',', ' ']).filter(|part| !part.is_empty()).collect();
    put(&mut value, "depends_on", json!(depends));
    let same = ["ipv4", "ipv6", "cname", "monitors"].into_iter().all(|field| before.get(field) == value.get(field));
    read.is_new_address = !same && !joins;
    if !joins {
        read.edits.push(Edit { kind: Kind::Endpoints, id: read.id.clone(), value: Some(value) });
    }
    read.edits.push(Edit {
        kind: Kind::Pools,
        id: scene.id.to_string(),
        value: Some(with_member(scene, &read.id, form)),
    });
    read
}

fn check_id(scene: &Scene, id: &str, exists: bool, is_bare: bool, faults: &mut Faults) {
    if let Err(error) = id.parse::<Id<Endpoint>>() {
        faults.push(FieldError::told("id", &error));
    } else if id == "new" {
        faults.push(FieldError::new("id", "new is a page's own address", "choose another label"));
    } else if scene.pool.members.iter().any(|member| member.endpoint.as_str() == id) {
        faults.push(FieldError::new("id", format!("{id} is in this pool already"), "choose another label"));
    } else if exists && !is_bare {
        let remedy = "leave the address empty to use it here as well, or choose another label";
        faults.push(FieldError::new("id", format!("there is an endpoint {id} already"), remedy));
    }
}

/// The pool with this endpoint as a member.
fn with_member(scene: &Scene, id: &str, form: &Form) -> Value {
    let mut pool = scene.value();
    let mut fields = json!({ "endpoint": id, "enabled": form.has("enabled") });
    put(&mut fields, "weight", needed(form.text("weight")));
    put(&mut fields, "priority", needed(form.text("priority")));
    if let Some(members) = pool.get_mut("members").and_then(Value::as_array_mut) {
        match members.iter_mut().find(|member| member.get("endpoint").and_then(Value::as_str) == Some(id)) {
            Some(member) => *member = fields,
            None => members.push(fields),
        }
    }
    pool
}

fn duplicate(scene: &Scene, id: &str, address: &health::Address) -> Option<String> {
    use health::Family::{Ipv4, Ipv6, Name};
    let others = scene.pool.members.iter().map(|member| &member.endpoint).filter(|other| other.as_str() != id);
    let has = |other: &&Id<Endpoint>| {
        let endpoint = scene.drafted.endpoints.get(*other);
        endpoint.is_some_and(|endpoint| {
            [Ipv4, Ipv6, Name].into_iter().any(|family| health::Address::of(endpoint, family).as_ref() == Some(address))
        })
    };
    others.into_iter().find(has).map(ToString::to_string)
}

/// An IPv6 address in a pool that no name is asked AAAA of would never be answered.
fn family_fault(scene: &Scene, read: &Read) -> Option<FieldError> {
    let only_v6 =
        !read.addresses.is_empty() && read.ips.iter().all(IpAddr::is_ipv6) && read.ips.len() == read.addresses.len();
    let only_v4 =
        !read.addresses.is_empty() && read.ips.iter().all(IpAddr::is_ipv4) && read.ips.len() == read.addresses.len();
    let uses = super::uses(&scene.drafted);
    let types: Vec<RecordType> = super::policies(&scene.drafted, uses.get(&scene.id).map_or(&[][..], Vec::as_slice))
        .iter()
        .flat_map(|(_, policy)| policy.attach.iter().flat_map(|attach| attach.types.clone()))
        .collect();
    let only = |rtype: RecordType| !types.is_empty() && types.iter().all(|known| *known == rtype);
    let id = &read.id;
    if only_v6 && only(RecordType::A) {
        let problem = format!("{id} is IPv6 but this pool answers A queries only");
        return Some(FieldError::new("address", problem, "Add it to an AAAA pool or turn on AAAA here"));
    }
    if only_v4 && only(RecordType::AAAA) {
        let problem = format!("{id} is IPv4 but this pool answers AAAA queries only");
        return Some(FieldError::new("address", problem, "Add it to an A pool or turn on A here"));
    }
    None
}

/// Tries what will watch the endpoint, and tells what failed.
async fn tried(visit: &Visit, model: &Model, pool: &Pool, read: &Read) -> Vec<Text> {
    let uses = if read.uses.is_empty() { &pool.monitors } else { &read.uses };
    let monitors = uses.iter().filter_map(|used| model.monitors.get(&used.monitor));
    let pairs =
        monitors.flat_map(|monitor| read.addresses.iter().map(move |address| (address.clone(), monitor.clone())));
    let trials = pairs.take(MAX_TRIALS).map(|(address, monitor)| {
        let control = visit.web.control.clone();
        tokio::spawn(async move { (control.try_check(address, &monitor).await, monitor) })
    });
    let mut doubts = Vec::new();
    for trial in trials.collect::<Vec<_>>() {
        // What could not be tried says nothing about the endpoint.
        if let Ok((Ok(Report::Outcome(outcome)), monitor)) = trial.await
            && let Err(reason) = outcome.result
        {
            doubts.push(doubt(&reason, &monitor));
        }
    }
    doubts
}

fn doubt(reason: &str, monitor: &Monitor) -> Text {
    let port = match &monitor.check {
        Check::Http(check) | Check::Https(check) => Some(check.port),
        Check::Tcp(check) => Some(check.port),
        Check::Dns(check) => Some(check.port),
        Check::Icmp(_) => None,
    };
    let is_connection = ["connection refused", "no connection"].iter().any(|known| reason.starts_with(known));
    match port {
        Some(port) if is_connection => {
            text("Tried just now from this node: {reason} on port {port}. Is the port right?").set("port", port)
        }
        Some(port) => {
            text("Tried just now from this node on port {port}: {reason}. Is the check right?").set("port", port)
        }
        None => text("Tried just now from this node: {reason}. Is the address right?"),
    }
    .fact("reason", "finding", reason)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_address_is_told_as_people_write_it() {
        let said = |text: &str| {
            let error = address(text).unwrap_err();
            format!("{}. {}.", error.problem, error.remedy)
        };
        let last = "192.0.2.300 is not an address. The last part can be at most 255.";
        assert_eq!(said("192.0.2.300"), last);
        assert_eq!(said("999.0.2.3"), "999.0.2.3 is not an address. The first part can be at most 255.");
        assert_eq!(said("192.0.2"), "192.0.2 is not an address. It has four parts, such as 192.0.2.10.");
        assert!(said("2001:db8::zz").starts_with("2001:db8::zz is not an address. Write an IPv6 address"));
        assert!(said("web").starts_with("web is not an address. Use one such as"));
        assert_eq!(address("2001:db8::10"), Ok(Address::Ipv6("2001:db8::10".parse().unwrap())));
        assert_eq!(address("cdn.example.net"), Ok(Address::Name("cdn.example.net.".into())));
    }

    #[test]
    fn private_addresses_are_told_from_those_that_the_internet_reaches() {
        let private = ["10.0.0.5", "192.168.1.1", "172.16.0.1", "127.0.0.1", "100.64.0.1", "fd00::1", "::1"];
        assert!(private.iter().all(|ip| is_private(ip.parse().unwrap())));
        let public = ["192.0.2.1", "100.128.0.1", "172.32.0.1", "2001:db8::1"];
        assert!(!public.iter().any(|ip| is_private(ip.parse().unwrap())));
    }

    #[test]
    fn errors_of_the_pool_stand_beside_the_fields_of_this_form() {
        assert_eq!(member_field("pools/eu members[2].weight", "eu").as_deref(), Some("weight"));
        assert_eq!(member_field("ipv6", "eu").as_deref(), Some("address"));
        assert_eq!(member_field("pools/us members[2].weight", "eu"), None);
    }
}
