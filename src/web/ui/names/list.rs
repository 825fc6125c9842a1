//! All answered names, those that need somebody first.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use askama::Template;
use axum::response::Response;
use serde_json::json;

use super::super::clash::{Kept, keep};
use super::super::dock::Dock;
use super::super::export;
use super::super::filters;
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
use super::super::live::{Fragment, moving};
use super::super::sentence::{self, Bold, Plain};
use super::super::state::{PoolStates, StateWord};
use super::super::text::{Language, Text, count, text};
use super::super::visit::{Visit, see};
use super::rule_form::number;
use super::state::NameState;
use super::{World, path, types_word};
use crate::answer::{worst_state, worst_states};
use crate::model::{Attach, Edit, FieldError, Id, Kind, Model, Name, Policy, Pool, RecordType, Zone};
use crate::web::Problem;

/// Names on one page.
const PAGE: usize = 50;
/// Pools that a row shows; of more it says how many.
const MAX_CHIPS: usize = 4;

/// Which names are shown, as the URL says it.
#[derive(Debug, Clone, Default)]
struct Filters {
    q: String,
    zone: String,
    state: String,
    rtype: String,
    page: usize,
}

impl Filters {
    fn of(visit: &Visit) -> Filters {
        let query = visit.here.split_once('?').map_or("", |(_, query)| query);
        let form = Form::parse(query.as_bytes()).unwrap_or_default();
        Filters {
            q: form.text("q").to_lowercase(),
            zone: form.text("zone").into(),
            state: form.text("state").into(),
            rtype: form.text("type").to_uppercase(),
            page: form.text("page").parse().unwrap_or(1).max(1),
        }
    }

    fn is_empty(&self) -> bool {
        [&self.q, &self.zone, &self.state, &self.rtype].iter().all(|text| text.is_empty())
    }

    /// The query of another page, or without one for exports.
    fn query(&self, page: Option<usize>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let fields = [("q", &self.q), ("zone", &self.zone), ("state", &self.state), ("type", &self.rtype)];
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        if let Some(page) = page.filter(|page| *page > 1) {
            query.append_pair("page", &page.to_string());
        }
        query.finish()
    }
}

/// A name before it is shown.
struct Row<'m> {
    name: &'m Name,
    zone: &'m Id<Zone>,
    types: Cow<'m, [RecordType]>,
    policy: Option<(&'m Id<Policy>, &'m Policy)>,
    state: NameState,
    ttl: u32,
}

/// Every name, in no order.
fn rows(world: &World) -> Vec<Row<'_>> {
    let model = &*world.drafted;
    let mut rows = steered_rows(world);
    let mut plain: HashMap<&Name, Row> = HashMap::new();
    for (key, set) in model.records.iter().filter(|(_, set)| set.enabled) {
        let default_ttl = || model.zones.get(&key.zone).map_or(0, |zone| zone.default_ttl);
        let row = plain.entry(&key.name).or_insert_with(|| Row {
            name: &key.name,
            zone: &key.zone,
            types: Cow::default(),
            policy: None,
            state: NameState::Plain,
            ttl: set.ttl.unwrap_or_else(default_ttl),
        });
        row.types.to_mut().push(key.rtype);
    }
    if !plain.is_empty() {
        rows.iter().for_each(|row| _ = plain.remove(row.name));
    }
    rows.extend(plain.into_values());
    rows
}

/// Every name under the filters, problems first: what exports say.
fn sorted_rows<'w>(world: &'w World, filters: &Filters) -> Vec<Row<'w>> {
    let mut rows = rows(world);
    admit(filters, &world.drafted, &mut rows);
    rows.sort_by(order);
    rows
}

/// Problems first, then by name.
fn order(a: &Row, b: &Row) -> Ordering {
    let key = |row: &Row| row.policy.map(|(id, _)| id.clone());
    (a.state, a.name).cmp(&(b.state, b.name)).then_with(|| key(a).cmp(&key(b)))
}

/// The rows of one page, in order. The others are not sorted: of 100,000 names 50 are shown.
fn on_page<'r, 'm>(rows: &'r mut [Row<'m>], page: usize) -> &'r [Row<'m>] {
    let from = ((page - 1) * PAGE).min(rows.len());
    if (1..rows.len()).contains(&from) {
        rows.select_nth_unstable_by(from, order);
    }
    let rest = &mut rows[from..];
    if rest.len() > PAGE {
        rest.select_nth_unstable_by(PAGE, order);
    }
    let shown = rest.len().min(PAGE);
    rest[..shown].sort_by(order);
    &rest[..shown]
}

fn steered_rows(world: &World) -> Vec<Row<'_>> {
    let mut rows = Vec::with_capacity(world.drafted.policies.len());
    let edits = world.draft.edits.iter().filter(|edit| edit.kind == Kind::Policies);
    let touched: BTreeSet<&str> = edits.map(|edit| edit.id.as_str()).collect();
    for (id, policy, state) in worst_states(&world.snapshot, &world.drafted.policies) {
        let state = if policy.enabled { state.into() } else { NameState::Off };
        let is_live = |name: &Name| {
            let live = world.live.policies.get(id);
            live.is_some_and(|live| live.attach.iter().any(|known| known.name == *name))
        };
        let is_touched = !touched.is_empty() && touched.contains(id.as_str());
        for attach in &policy.attach {
            let is_drafted = is_touched && !is_live(&attach.name);
            rows.push(steered_row(id, policy, attach, if is_drafted { NameState::Drafted } else { state }));
        }
    }
    rows
}

fn steered_state(world: &World, policy: &Policy) -> NameState {
    match policy.enabled {
        true => worst_state(&world.snapshot, policy).into(),
        false => NameState::Off,
    }
}

fn steered_row<'m>(id: &'m Id<Policy>, policy: &'m Policy, attach: &'m Attach, state: NameState) -> Row<'m> {
    let Attach { zone, name, types } = attach;
    Row { name, zone, types: types.into(), policy: Some((id, policy)), state, ttl: policy.ttl }
}

/// Leaves what the filters let through.
fn admit(filters: &Filters, model: &Model, rows: &mut Vec<Row>) {
    if filters.is_empty() {
        return;
    }
    let q = &*filters.q;
    // Most words are no pool, and to look into every rule takes long.
    let pool = q.parse::<Id<Pool>>().ok().filter(|id| model.pools.contains_key(id));
    let uses = |policy: &Policy, id: &Id<Pool>| {
        policy.rules.iter().flat_map(|rule| &rule.steps).flat_map(|step| &step.pools).any(|one| one.pool == *id)
    };
    let is_of_policy = |(id, policy): (&Id<Policy>, &Policy)| {
        id.as_str() == q
            || policy.meta.name.to_lowercase().contains(q)
            || pool.as_ref().is_some_and(|pool| uses(policy, pool))
    };
    rows.retain(|row| {
        row.state.is_in(&filters.state)
            && (filters.zone.is_empty() || row.zone.as_str() == filters.zone)
            && (filters.rtype.is_empty() || row.types.iter().any(|rtype| rtype.to_string() == filters.rtype))
            && (q.is_empty() || row.name.without_dot().contains(q) || row.policy.is_some_and(is_of_policy))
    });
}

/// The pools of a policy in the order in which its rules name them, each once.
fn pools(policy: &Policy) -> Vec<&Id<Pool>> {
    let mut seen = BTreeSet::new();
    let all = policy.rules.iter().flat_map(|rule| &rule.steps).flat_map(|step| &step.pools).map(|one| &one.pool);
    all.filter(|id| seen.insert(*id)).collect()
}

/// A name as the table shows it.
struct Shown {
    /// Its row on the page, from 0.
    at: usize,
    name: String,
    path: String,
    types: String,
    state: NameState,
    sentence: Option<Text>,
    chips: Vec<Chip>,
    more_chips: usize,
    rate: Option<f64>,
    ttl: u32,
    tests: usize,
    /// In the reader's draft.
    tag: Option<Text>,
}

struct Chip {
    pool: String,
    colour: usize,
    state: StateWord,
}

#[derive(Template)]
#[template(path = "ui/names.html")]
struct Names {
    frame: Frame,
    filters: Filters,
    states: Vec<(&'static str, &'static str)>,
    types: Vec<String>,
    zones: Vec<(String, String)>,
    rows: Vec<Shown>,
    total: usize,
    all: usize,
    summary: Text,
    earlier: Option<String>,
    later: Option<String>,
    pages: usize,
    export: String,
    faults: Faults,
    ttl: String,
    chosen: Vec<String>,
    dock: Dock,
}

const STATES: [(&str, &str); 5] = [
    ("", "All states"),
    ("problems", "Problems"),
    ("failover", "On failover"),
    ("planned", "As planned"),
    ("plain", "Plain"),
];

pub async fn show(visit: Visit) -> Result<Response, Problem> {
    let page = names_page(&visit, Filters::of(&visit), Faults::default(), String::new(), Vec::new()).await;
    Ok(visit.page(&page))
}

async fn names_page(visit: &Visit, filters: Filters, faults: Faults, ttl: String, chosen: Vec<String>) -> Names {
    let frame = visit.frame(Place::Names, text("Names")).await;
    let world = World::of(visit).await;
    let mut rows = rows(&world);
    let (all, summary) = (rows.len(), summary(&rows));
    admit(&filters, &world.drafted, &mut rows);
    let total = rows.len();
    let pages = total.div_ceil(PAGE).max(1);
    let page = filters.page.min(pages);
    let on_page = on_page(&mut rows, page);
    // A name that is only drafted does not move.
    let policy = |row: &Row| row.policy.filter(|_| row.state != NameState::Drafted).map(|(id, _)| id.to_string());
    let policies = on_page.iter().map(|row| policy(row).unwrap_or_default());
    let frame = frame.live(format!("names:{}", policies.collect::<Vec<_>>().join("+")));
    let rates = rates(visit, on_page.iter().filter_map(|row| row.policy).map(|(id, _)| id));
    let states = PoolStates::of(&world.drafted, &visit.web.control.health());
    let mut tests: BTreeMap<&Name, usize> = BTreeMap::new();
    world.drafted.tests.values().for_each(|test| *tests.entry(&test.qname).or_default() += 1);
    let shown = on_page.iter().enumerate().map(|(at, row)| shown_row(at, row, &world, &states, &rates, &tests));
    Names {
        rows: shown.collect(),
        total,
        all,
        summary,
        states: STATES.to_vec(),
        types: ["A", "AAAA", "CNAME", "MX", "TXT", "NS", "SRV", "CAA", "HTTPS"].map(str::to_owned).into(),
        zones: world.drafted.zones.iter().map(|(id, zone)| (id.to_string(), zone.fqdn.without_dot())).collect(),
        earlier: (page > 1).then(|| filters.query(Some(page - 1))),
        later: (page < pages).then(|| filters.query(Some(page + 1))),
        pages,
        export: filters.query(None),
        filters: Filters { page, ..filters },
        frame,
        faults,
        ttl,
        chosen,
        dock: Dock::of(visit, &world.draft),
    }
}

moving! {
    row: Shown;
    StateCell "ui/names_row_state.html" "name-state-",
    ChipsCell "ui/names_row_chips.html" "name-chips-",
    RateCell "ui/names_row_rate.html" "name-rate-"
}

/// `policies` are those of the page's rows as it was made, with plus signs between them and nothing for fixed
/// records and for names that are only drafted: whatever becomes of their order, what the reader has before the eyes moves.
pub async fn live(visit: &Visit, policies: &str) -> Vec<Fragment> {
    let world = World::of(visit).await;
    let said = summary(&steered_rows(&world)).to_html(visit.language);
    let mut all = vec![Fragment::new("names-summary", format!("<p id=\"names-summary\">{said}</p>"))];
    let known = policies.split('+').take(PAGE).enumerate().filter_map(|(at, id)| {
        let (id, policy) = world.drafted.policies.get_key_value(&id.parse().ok()?)?;
        Some((at, steered_row(id, policy, policy.attach.first()?, steered_state(&world, policy))))
    });
    let known: Vec<(usize, Row)> = known.collect();
    let rates = rates(visit, known.iter().filter_map(|(_, row)| row.policy).map(|(id, _)| id));
    let states = PoolStates::of(&world.drafted, &visit.web.control.health());
    for (at, row) in &known {
        all.extend(fragments(visit, &shown_row(*at, row, &world, &states, &rates, &BTreeMap::new()), &at.to_string()));
    }
    all
}

/// Queries per second of these policies.
fn rates<'r>(visit: &Visit, policies: impl Iterator<Item = &'r Id<Policy>>) -> BTreeMap<Id<Policy>, f64> {
    let traffic = visit.web.control.shared().traffic.lock();
    let policies: BTreeSet<&Id<Policy>> = policies.collect();
    policies.into_iter().map(|id| (id.clone(), traffic.policy_rate(id))).collect()
}

/// Whether all is as planned, worst first.
fn summary(rows: &[Row]) -> Text {
    let of = |wanted: NameState| rows.iter().filter(move |row| row.state == wanted).count();
    let steered = rows.iter().filter(|row| row.state <= NameState::AsPlanned).count();
    if let n @ 1.. = of(NameState::NoAnswer) {
        return count(n, "{n} name leaves clients without an answer.", "{n} names leave clients without an answer.");
    }
    if let n @ 1.. = of(NameState::LastResort) {
        return count(n, "{n} name answers in last resort.", "{n} names answer in last resort.");
    }
    match of(NameState::Failover) {
        0 if steered == 0 => text("No name is steered yet."),
        0 => count(steered, "{n} steered name, as planned.", "All {n} steered names answer as planned."),
        n => text("{n} of {all} steered names are on failover. Clients get answers.").set("n", n).set("all", steered),
    }
}

fn shown_row(
    at: usize,
    row: &Row,
    world: &World,
    states: &PoolStates,
    rates: &BTreeMap<Id<Policy>, f64>,
    tests: &BTreeMap<&Name, usize>,
) -> Shown {
    let used = row.policy.map(|(_, policy)| pools(policy)).unwrap_or_default();
    let chip = |id: &&Id<Pool>| {
        let shown = states.get(id);
        Chip {
            pool: id.to_string(),
            colour: shown.map_or(1, |shown| shown.colour),
            state: shown.map_or(StateWord::NoData, |shown| shown.state),
        }
    };
    let tag = row.policy.filter(|(id, _)| world.touches(id)).map(|(id, _)| match world.live.policies.get(id) {
        Some(_) => text("Changed"),
        None => text("New"),
    });
    Shown {
        at,
        name: row.name.without_dot(),
        path: path(row.name),
        types: types_word(&row.types),
        state: row.state,
        sentence: row.policy.map(|(_, policy)| sentence::rule(policy, 0, &Bold(&world.drafted))),
        chips: used.iter().take(MAX_CHIPS).map(chip).collect(),
        more_chips: used.len().saturating_sub(MAX_CHIPS),
        rate: row.policy.and_then(|(id, _)| rates.get(id).copied()),
        ttl: row.ttl,
        tests: tests.get(row.name).copied().unwrap_or_default(),
        tag,
    }
}

pub async fn csv(visit: Visit) -> Result<Response, Problem> {
    let columns = ["name", "types", "state", "policy", "rules", "pools", "queries_per_second", "ttl"];
    let world = World::of(&visit).await;
    let rows = sorted_rows(&world, &Filters::of(&visit));
    let rates = rates(&visit, rows.iter().filter_map(|row| row.policy).map(|(id, _)| id));
    let records = rows.iter().map(|row| {
        let rate = row.policy.and_then(|(id, _)| rates.get(id)).map(|rate| format!("{rate:.3}"));
        let pools = row.policy.map(|(_, policy)| pools(policy)).unwrap_or_default();
        vec![
            row.name.without_dot(),
            types_word(&row.types),
            row.state.slug().into(),
            row.policy.map(|(id, _)| id.to_string()).unwrap_or_default(),
            row.policy.map(|(_, policy)| sentences(policy, &world.drafted).join(" ")).unwrap_or_default(),
            pools.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            rate.unwrap_or_default(),
            row.ttl.to_string(),
        ]
    });
    export::csv("names", &columns, records)
}

pub async fn json(visit: Visit) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let rows = sorted_rows(&world, &Filters::of(&visit));
    let rates = rates(&visit, rows.iter().filter_map(|row| row.policy).map(|(id, _)| id));
    let records: Vec<_> = (rows.iter())
        .map(|row| {
            json!({
                "name": row.name.without_dot(), "types": row.types, "state": row.state.slug(),
                "policy": row.policy.map(|(id, _)| id), "ttl": row.ttl,
                "rules": row.policy.map(|(_, policy)| sentences(policy, &world.drafted)),
                "pools": row.policy.map(|(_, policy)| pools(policy)),
                "queries_per_second": row.policy.and_then(|(id, _)| rates.get(id)),
            })
        })
        .collect();
    Ok(export::json("names", records))
}

/// In English and without markup, for programs.
fn sentences(policy: &Policy, model: &Model) -> Vec<String> {
    (0..policy.rules.len()).map(|at| unescaped(&sentence::rule(policy, at, &Plain(model)))).collect()
}

/// A text without markup of ours as it is outside of HTML.
fn unescaped(text: &Text) -> String {
    let html = text.to_html(Language::English);
    html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

/// Sets the TTL of the chosen names, in the draft: that of a steered name's policy, or of its fixed records.
pub async fn set_ttl(visit: Visit, form: Form) -> Result<Response, Problem> {
    let chosen: Vec<String> = form.all("name").map(str::to_owned).collect();
    let typed = form.text("ttl").to_owned();
    let filters = Filters { page: form.text("page").parse().unwrap_or(1).max(1), ..query_filters(form.text("query")) };
    let mut faults = Faults::default();
    if chosen.is_empty() {
        faults.push(FieldError::new("name", "no name is chosen", "tick the names that should get this TTL"));
    }
    if typed.is_empty() {
        faults.push(FieldError::new("ttl", "the TTL is empty", "give seconds, such as 60"));
    }
    if faults.is_empty() {
        let world = World::of(&visit).await;
        let edits = ttl_edits(&world, &chosen, &typed);
        let names = chosen.len();
        let query = filters.query(Some(filters.page));
        let back = format!("/names?{query}");
        let back = back.trim_end_matches('?');
        match keep(&visit, edits, back).await? {
            Kept::Clash(page) => return Ok(page),
            Kept::Drafted => {
                visit.say(count(names, "TTL of {n} name kept in your draft.", "TTL of {n} names kept in your draft."));
                return Ok(see(back));
            }
            Kept::Wrong(errors) => {
                let mut said = BTreeSet::new();
                for error in
                    errors.into_iter().filter(|error| said.insert((error.problem.clone(), error.remedy.clone())))
                {
                    faults.push(FieldError { at: "ttl".into(), ..error });
                }
            }
        }
    }
    let page = names_page(&visit, filters, faults, typed, chosen).await;
    Ok(visit.page_with(axum::http::StatusCode::UNPROCESSABLE_ENTITY, &page))
}

fn query_filters(query: &str) -> Filters {
    let form = Form::parse(query.as_bytes()).unwrap_or_default();
    Filters {
        q: form.text("q").into(),
        zone: form.text("zone").into(),
        state: form.text("state").into(),
        rtype: form.text("type").into(),
        page: 1,
    }
}

fn ttl_edits(world: &World, chosen: &[String], typed: &str) -> Vec<Edit> {
    let model = &world.drafted;
    let names: BTreeSet<Name> = chosen.iter().filter_map(|text| Name::parse(text, Some(&Name::root())).ok()).collect();
    let mut edits = Vec::new();
    let mut steered = BTreeSet::new();
    for (id, policy) in &model.policies {
        let held: Vec<&Name> =
            policy.attach.iter().map(|attach| &attach.name).filter(|name| names.contains(name)).collect();
        if held.is_empty() {
            continue;
        }
        steered.extend(held);
        edits.extend(with_ttl(model, Kind::Policies, id.as_str(), typed));
    }
    for key in model.records.keys().filter(|key| names.contains(&key.name) && !steered.contains(&key.name)) {
        edits.extend(model.record_id(key).and_then(|id| with_ttl(model, Kind::Records, &id, typed)));
    }
    edits
}

fn with_ttl(model: &Model, kind: Kind, id: &str, typed: &str) -> Option<Edit> {
    let mut value = model.entity(kind, id)?;
    value["ttl"] = number(typed)?;
    Some(Edit { kind, id: id.to_owned(), value: Some(value) })
}
