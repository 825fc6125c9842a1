//! Zones: what is served besides the steered names. The list, adding one, and taking one out; records, text,
//! settings, delegation and import are beside it.

mod delegation;
mod import;
mod parent;
mod record;
mod records;
mod settings;
mod text_tab;
mod typed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;

use super::Page;
use super::clash::{Kept, keep};
use super::export::{Format, both};
use super::filters;
use super::form::{Faults, Form};
use super::frame::{Frame, Place};
use super::text::text;
use super::visit::{Visit, see};
use crate::control::draft::Draft;
use crate::control::token::Role;
use crate::model::{Edit, FieldError, Id, Kind, Model, Name, Zone};
use crate::web::api::zones::new_id;
use crate::web::extract::Query;
use crate::web::{MAX_DOCUMENT, Problem};

use parent::Delegation;
pub use parent::Delegations;

/// RFC 2606 section 2.
const STAND_IN: &str = "stand-in.invalid.";
/// Rows of one page.
const ROWS: usize = 50;
/// What stands beside a zone file in its form, in bytes.
const MAX_BESIDE: usize = 64 << 10;
/// Steered names of a zone that a page lists.
const MAX_STEERED: usize = 50;

pub(super) fn pages() -> Vec<Page> {
    use Role::{Editor, Viewer};
    let mut pages = vec![
        Page::new("/zones", Viewer, get(list)),
        Page::new("/zones/new", Editor, get(new).post(add)),
        Page::new("/zones/import", Editor, get(import::show).post(import::preview))
            .body_limit(MAX_DOCUMENT + MAX_BESIDE),
        Page::new("/zones/import/keep", Editor, post(import::keep)),
        Page::new("/zones/{zone}", Viewer, get(records::show)),
        Page::new("/zones/{zone}/records.csv", Viewer, get(records::csv)),
        Page::new("/zones/{zone}/records.json", Viewer, get(records::json)),
        Page::new("/zones/{zone}/record", Editor, get(record::show).post(record::keep)),
        Page::new("/zones/{zone}/record/delete", Editor, post(record::delete)),
        Page::new("/zones/{zone}/text", Viewer, get(text_tab::show).post(text_tab::keep)),
        Page::new("/zones/{zone}/settings", Viewer, get(settings::show)),
        Page::new("/zones/{zone}/settings/save", Editor, post(settings::keep)),
        Page::new("/zones/{zone}/delete", Editor, get(settings::ask).post(settings::delete)),
        Page::new("/zones/{zone}/delegation", Viewer, get(delegation::show)),
        Page::new("/zones/{zone}/export", Viewer, get(delegation::export)),
    ];
    pages.extend(both!("/zones", list_table));
    pages.extend(both!("/zones/import/changes", import::changes, Editor));
    pages.extend(both!("/zones/{zone}/name-servers", delegation::servers));
    pages
}

/// A zone as its owner is about to publish it.
pub struct Shown {
    pub model: Arc<Model>,
    pub draft: Arc<Draft>,
    pub id: Id<Zone>,
    pub zone: Arc<Zone>,
}

impl Shown {
    /// By id or by name.
    pub async fn find(visit: &Visit, text: &str) -> Result<Shown, Problem> {
        let (model, draft) = drafted(visit).await?;
        let id = crate::web::api::zones::find(&model, text);
        let found = id.and_then(|id| Some((id.clone(), model.zones.get(&id)?.clone())));
        let (id, zone) = found.ok_or_else(|| {
            let names: Vec<String> = model.zones.keys().take(5).map(Id::to_string).collect();
            let known = if names.is_empty() { "no zone yet".into() } else { names.join(", ") };
            Problem::not_found(format!("There is no zone {text}. There is {known}."))
        })?;
        Ok(Shown { model, draft, id, zone })
    }

    /// Without the final dot.
    pub fn apex(&self) -> String {
        self.zone.fqdn.without_dot()
    }

    /// The head and tabs of every page about the zone.
    pub async fn frame(&self, visit: &Visit) -> Frame {
        visit.frame(Place::Zones, super::text::plain(self.apex())).await.under(text("Zones"), "/zones")
    }

    /// `live` says which serial the world sees; a zone that is only drafted has none yet.
    pub fn tabs(&self, live: &Model, tab: Tab) -> Tabs {
        let changed = self.draft.edits.iter().filter(|edit| concerns(edit.kind, &edit.id, self.id.as_str())).count();
        Tabs { id: self.id.to_string(), apex: self.apex(), serial: serial(live, &self.id), tab, changed }
    }
}

fn concerns(kind: Kind, id: &str, zone: &str) -> bool {
    match kind {
        Kind::Zones => id == zone,
        Kind::Records => id.split('/').next() == Some(zone),
        _ => false,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Records,
    Text,
    Settings,
    Delegation,
}

/// What stands at the top of every page about a zone.
pub struct Tabs {
    pub id: String,
    pub apex: String,
    pub serial: Option<u32>,
    pub tab: Tab,
    /// Edits in the draft.
    pub changed: usize,
}

impl Tabs {
    /// Address, word, whether it is this one.
    pub fn links(&self) -> Vec<(String, &'static str, bool)> {
        let link = |end: &str, word, tab| (format!("/zones/{}{end}", self.id), word, tab == self.tab);
        vec![
            link("", "Records", Tab::Records),
            link("/text", "Text", Tab::Text),
            link("/settings", "Settings", Tab::Settings),
            link("/delegation", "Delegation and export", Tab::Delegation),
        ]
    }
}

/// What secondaries and resolvers see today.
fn serial(live: &Model, id: &Id<Zone>) -> Option<u32> {
    live.zones.get(id).map(|zone| zone.serial)
}

/// The drafted model; where the draft no longer fits what is live, the live one.
pub async fn drafted(visit: &Visit) -> Result<(Arc<Model>, Arc<Draft>), Problem> {
    let draft = visit.draft().await;
    let model = visit.web.control.drafted(&visit.user().id).unwrap_or_else(|_| visit.model());
    Ok((model, draft))
}

/// How many record sets each zone has live, counted once a revision.
fn counts(model: &Arc<Model>) -> Arc<BTreeMap<Id<Zone>, usize>> {
    type Counted = (Weak<Model>, Arc<BTreeMap<Id<Zone>, usize>>);
    static LAST: Mutex<Option<Counted>> = Mutex::new(None);
    let mut last = LAST.lock();
    if let Some((known, counts)) = &*last
        && known.ptr_eq(&Arc::downgrade(model))
    {
        return counts.clone();
    }
    let mut counts: BTreeMap<Id<Zone>, usize> = BTreeMap::new();
    let mut run: Option<(&Id<Zone>, usize)> = None;
    for key in model.records.keys() {
        match &mut run {
            Some((zone, count)) if **zone == key.zone => *count += 1,
            _ => {
                counts.extend(run.take().map(|(zone, count)| (zone.clone(), count)));
                run = Some((&key.zone, 1));
            }
        }
    }
    counts.extend(run.map(|(zone, count)| (zone.clone(), count)));
    let counts = Arc::new(counts);
    *last = Some((Arc::downgrade(model), counts.clone()));
    counts
}

/// How many record sets a zone has with the draft.
pub fn count(live: &Arc<Model>, draft: &Draft, id: &Id<Zone>) -> usize {
    let counted = counts(live).get(id).copied().unwrap_or(0);
    let of_zone =
        draft.edits.iter().filter(|edit| edit.kind == Kind::Records && concerns(edit.kind, &edit.id, id.as_str()));
    of_zone.fold(counted, |count, edit| match (&edit.before, &edit.value) {
        (None, Some(_)) => count + 1,
        (Some(_), None) => count.saturating_sub(1),
        _ => count,
    })
}

#[derive(Template)]
#[template(path = "ui/zones.html")]
struct List {
    frame: Frame,
    q: String,
    rows: Vec<Row>,
    /// Zones in all, and those that pass the filter.
    total: usize,
    found: usize,
    /// From 0.
    page: usize,
    pages: usize,
    /// The filter as a query.
    query: String,
    changed: usize,
}

/// The filter, as the address has it.
#[derive(Debug, Clone, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    page: usize,
}

struct Row {
    id: String,
    apex: String,
    serial: Option<u32>,
    records: usize,
    steered: usize,
    servers: String,
    delegation: Delegation,
    /// When it was found out.
    asked: Option<Timestamp>,
    is_changed: bool,
}

/// The zones that pass the filter, and what was found out of their delegations; problems first.
fn search<'m>(visit: &Visit, model: &'m Model, asked: &Asked) -> Vec<Found<'m>> {
    let wanted = asked.q.trim().trim_end_matches('.').to_lowercase();
    let passes = |(id, zone): &(&Id<Zone>, &Arc<Zone>)| {
        wanted.is_empty() || id.as_str().contains(&wanted) || zone.fqdn.without_dot().to_lowercase().contains(&wanted)
    };
    let mut found: Vec<Found> = model
        .zones
        .iter()
        .filter(passes)
        .map(|(id, zone)| {
            let (delegation, asked) = visit.web.delegations.of(id, &zone.ns);
            Found { id, zone, delegation, asked }
        })
        .collect();
    found.sort_by_key(|found| found.delegation);
    found
}

/// A zone that passes the filter.
struct Found<'m> {
    id: &'m Id<Zone>,
    zone: &'m Arc<Zone>,
    delegation: Delegation,
    asked: Option<Timestamp>,
}

/// Zones with something in the draft.
fn changed(draft: &Draft) -> BTreeSet<&str> {
    let edits = draft.edits.iter().filter(|edit| matches!(edit.kind, Kind::Zones | Kind::Records));
    edits.filter_map(|edit| edit.id.split('/').next()).collect()
}

fn rows(visit: &Visit, model: &Model, draft: &Draft, found: &[Found]) -> Vec<Row> {
    let live = visit.model();
    let mut steered: BTreeMap<&Id<Zone>, usize> = BTreeMap::new();
    for attach in model.policies.values().flat_map(|policy| &policy.attach) {
        *steered.entry(&attach.zone).or_default() += 1;
    }
    let changed = changed(draft);
    let row = |found: &Found| Row {
        id: found.id.to_string(),
        apex: found.zone.fqdn.without_dot(),
        serial: serial(&live, found.id),
        records: count(&live, draft, found.id),
        steered: steered.get(found.id).copied().unwrap_or(0),
        servers: found.zone.ns.iter().map(Name::without_dot).collect::<Vec<_>>().join(", "),
        delegation: found.delegation,
        asked: found.asked,
        is_changed: changed.contains(found.id.as_str()),
    };
    found.iter().map(row).collect()
}

async fn list(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let (model, draft) = drafted(&visit).await?;
    let found = search(&visit, &model, &asked);
    let pages = found.len().div_ceil(ROWS).max(1);
    let page = asked.page.min(pages - 1);
    let on_page = &found[page * ROWS..found.len().min((page + 1) * ROWS)];
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("q", asked.q.trim()).finish();
    Ok(visit.page(&List {
        frame: visit.frame(Place::Zones, text("Zones")).await,
        rows: rows(&visit, &model, &draft, on_page),
        total: model.zones.len(),
        found: found.len(),
        page,
        pages,
        query: if asked.q.trim().is_empty() { String::new() } else { query },
        q: asked.q,
        changed: changed(&draft).iter().filter(|id| id.parse().is_ok_and(|id| model.zones.contains_key(&id))).count(),
    }))
}

/// The list, whole, under its filter.
async fn list_table(visit: Visit, Query(asked): Query<Asked>, format: Format) -> Result<Response, Problem> {
    let (model, draft) = drafted(&visit).await?;
    let rows = rows(&visit, &model, &draft, &search(&visit, &model, &asked)).into_iter().map(|row| {
        let word = row.delegation.word();
        json!([row.id, row.apex, row.serial, row.records, row.steered, row.servers, word, row.asked])
    });
    let columns =
        ["id", "zone", "serial", "record_sets", "steered_names", "name_servers", "delegation", "delegation_asked"];
    format.table("zones", &columns, rows)
}

#[derive(Template)]
#[template(path = "ui/zone_new.html")]
struct New {
    frame: Frame,
    faults: Faults,
    beside: Vec<String>,
    fqdn: String,
    ns: String,
}

async fn new_page(visit: &Visit, faults: Faults, fqdn: &str, ns: &str) -> New {
    let frame = visit.frame(Place::Zones, text("Add zone")).await.under(text("Zones"), "/zones");
    let beside = faults.beside(&["fqdn", "ns"]);
    New { frame, faults, beside, fqdn: fqdn.to_owned(), ns: ns.to_owned() }
}

async fn new(visit: Visit) -> Result<Response, Problem> {
    let page = new_page(&visit, Faults::default(), "", "").await;
    Ok(visit.page(&page))
}

async fn add(visit: Visit, form: Form) -> Result<Response, Problem> {
    let (fqdn, ns) = (form.text("fqdn").to_owned(), form.text("ns").to_owned());
    let (model, _) = drafted(&visit).await?;
    let failed = |errors: Vec<FieldError>, prefix: &str| fielded(errors, prefix, &["fqdn", "ns"]);
    let parsed = fqdn.parse::<Name>().map_err(|error| FieldError::told("fqdn", &error));
    // One that is no name of anybody's stands in for a wrong one, so that everything else is checked with it.
    let apex = parsed.clone().or_else(|_| STAND_IN.parse()).map_err(|_| Problem::not_found(STAND_IN))?;
    let id = new_id(&model, &apex);
    let value = json!({ "fqdn": apex.to_string(), "ns": words(&ns) });
    let edit = Edit { kind: Kind::Zones, id: id.to_string(), value: Some(value) };
    let kept = match parsed {
        Ok(_) => keep(&visit, vec![edit], "/zones/new").await?,
        Err(error) => {
            let others = model.check(&[edit]).err().unwrap_or_default();
            Kept::Wrong(std::iter::once(error).chain(others).collect())
        }
    };
    match kept {
        Kept::Drafted => {
            visit.say(text("{zone} is kept in your draft.").set("zone", apex.without_dot()));
            Ok(see(&format!("/zones/{id}")))
        }
        Kept::Clash(page) => Ok(page),
        Kept::Wrong(errors) => {
            let page = new_page(&visit, failed(errors, &format!("zones/{id} ")), &fqdn, &ns).await;
            Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
    }
}

/// Words between spaces, commas or line ends.
pub fn words(text: &str) -> Vec<&str> {
    text.split([' ', ',', '\n', '\r', '\t']).filter(|word| !word.is_empty()).collect()
}

/// Errors by the field of a form that holds what they are about: `ns[1]` belongs to `ns`.
pub fn fielded(errors: Vec<FieldError>, prefix: &str, fields: &[&str]) -> Faults {
    let mut faults = Faults::default();
    for error in errors {
        let at = error.at.strip_prefix(prefix).unwrap_or(&error.at).to_owned();
        let own = |field: &&&str| at.strip_prefix(**field).is_some_and(|rest| rest.is_empty() || rest.starts_with('['));
        let at = fields.iter().find(own).map_or(at.clone(), |field| (*field).to_owned());
        faults.push(FieldError { at, ..error });
    }
    faults
}
