//! Regions: which clients are where, for whom a region matters, and what no region holds.

mod asked;
mod change;
mod drawing;
mod facts;
pub(super) mod lines;
mod nested;
mod one;

use askama::Template;
use axum::extract::RawQuery;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use serde_json::json;

use self::asked::Rates;
use self::drawing::{Land, RegionMap};
use self::facts::{Cover, Left, Shared, left, shared, summary, uses};
use self::nested::{Namers, nested};
use super::Page;
use super::dock::Dock;
use super::filters;
use super::form::Form;
use super::frame::{Frame, Place};
use super::sentence::region_title;
use super::text::{Language, Text, text};
use super::visit::Visit;
use crate::control::token::Role;
use crate::geo::Coverage;
use crate::model::{Id, Kind, Model, Region, Token, builtin};
use crate::web::Problem;
use crate::web::ui::export::{self, Format, both};

/// Rows of one page of the list.
const PAGE: usize = 50;
/// Overlaps that a row names.
const MOST_SHARED: usize = 3;
/// Networks in several regions that are listed.
const MOST_NESTED: usize = 20;
/// Policies that are listed with what they leave to everyone else.
const MOST_LEFT: usize = 10;

pub(super) use asked::regions_word;

pub(super) fn pages() -> Vec<Page> {
    let mut pages = vec![
        Page::new("/regions", Role::Viewer, get(show)),
        Page::new("/regions.csv", Role::Viewer, get(csv)),
        Page::new("/regions.json", Role::Viewer, get(json)),
    ];
    pages.extend(both!("/regions/uncovered", uncovered));
    pages.extend(both!("/regions/networks", networks));
    pages.extend(one::pages());
    pages.extend(change::pages());
    pages
}

#[derive(Template)]
#[template(path = "ui/regions/list.html")]
struct List {
    frame: Frame,
    query: String,
    use_filter: String,
    own: Vec<Row>,
    built_in: Vec<Row>,
    /// Own regions in all, and under the filter.
    all: usize,
    found: usize,
    pages: Pages,
    /// Queries per second of clients in no region of the rules.
    everyone_else: f64,
    left: Vec<Left>,
    left_more: usize,
    /// Networks of one region in those of another, and whose rule decides.
    nested: Vec<Vec<Text>>,
    nested_more: usize,
    has_geo: bool,
    map: RegionMap,
    dock: Dock,
}

/// Which page of a list this is, and how to reach the others.
struct Pages {
    number: usize,
    of: usize,
    before: Option<String>,
    after: Option<String>,
}

struct Row {
    id: String,
    name: String,
    holds: Vec<Text>,
    leaves_out: Vec<Text>,
    share: f64,
    width: String,
    names: usize,
    rate: f64,
    /// Regions that the rules behind the rate name as well.
    rate_with: Option<Text>,
    shared: Vec<Shared>,
    shared_more: usize,
    /// `New`, `Changed`; empty where it is as live.
    changed: &'static str,
}

/// What is looked at: the drafted model, and how it covers the world.
struct Sight {
    live: std::sync::Arc<Model>,
    model: std::sync::Arc<Model>,
    cover: Cover,
    language: Language,
}

impl Sight {
    async fn of(visit: &Visit) -> Sight {
        let live = visit.model();
        let model = visit.web.control.drafted(&visit.user().id).unwrap_or_else(|_| live.clone());
        let cover = Cover::of(visit.web.control.snapshot(), &model);
        Sight { live, model, cover, language: visit.language }
    }

    fn coverage(&self) -> &Coverage {
        self.cover.coverage()
    }

    fn changed(&self, id: &Id<Region>) -> &'static str {
        match (self.live.regions.get(id), self.model.regions.get(id)) {
            (None, Some(_)) => "New",
            (Some(live), Some(drafted)) if live != drafted => "Changed",
            _ => "",
        }
    }
}

/// True when `query` is in a region's words, or names a country that it holds.
fn matches(sight: &Sight, id: &Id<Region>, region: &Region, query: &str) -> bool {
    let query = query.to_lowercase();
    if query.is_empty() {
        return true;
    }
    let of_token = |token: &Token| token.to_string().to_lowercase().contains(&query);
    let holds = || {
        let named = builtin::countries().iter().find(|info| {
            info.name.to_lowercase() == query || info.name_ko == query || info.code.to_string().to_lowercase() == query
        });
        named.is_some_and(|info| sight.coverage().countries(id).contains(&info.code))
    };
    id.as_str().contains(&query)
        || region.meta.name.to_lowercase().contains(&query)
        || region_title(id, region, sight.language).to_lowercase().contains(&query)
        || region.meta.note.to_lowercase().contains(&query)
        || region.include.iter().chain(&region.except).any(of_token)
        || holds()
}

async fn show(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Form::parse(query.unwrap_or_default().as_bytes())?;
    let sight = Sight::of(&visit).await;
    let (words, use_filter) = (query.text("q"), query.text("use"));
    let (own, built_in) = found(&sight, words, use_filter);
    let rows = own.len();
    let of = rows.div_ceil(PAGE).max(1);
    let number = query.text("page").parse().unwrap_or(1).clamp(1, of);
    let to = |page: usize| {
        let mut link = form_urlencoded::Serializer::new(String::new());
        for (field, value) in [("q", words), ("use", use_filter)].iter().filter(|(_, value)| !value.is_empty()) {
            link.append_pair(field, value);
        }
        format!("/regions?{}", link.append_pair("page", &page.to_string()).finish())
    };
    let rates = Rates::of(&visit);
    let row = rows_of(&sight, &rates);
    let mut all_left = left(&sight.model, sight.coverage());
    let left_more = all_left.len().saturating_sub(MOST_LEFT);
    all_left.truncate(MOST_LEFT);
    let (all_nested, namers) = (nested(&sight.model), Namers::of(&sight.model));
    let page = List {
        nested: all_nested.iter().take(MOST_NESTED).map(|one| namers.sentences(one)).collect(),
        nested_more: all_nested.len().saturating_sub(MOST_NESTED),
        map: map(&sight),
        dock: Dock::of(&visit, &visit.draft().await),
        frame: visit.frame(Place::Regions, text("Regions")).await,
        own: own.iter().skip((number - 1) * PAGE).take(PAGE).map(&row).collect(),
        built_in: built_in.iter().map(row).collect(),
        all: sight.model.regions.keys().filter(|id| !builtin::is_built_in(id)).count(),
        found: rows,
        pages: Pages {
            number,
            of,
            before: (number > 1).then(|| to(number - 1)),
            after: (number < of).then(|| to(number + 1)),
        },
        everyone_else: rates.everyone_else(),
        left: all_left,
        left_more,
        has_geo: !visit.web.control.snapshot().geo().databases().is_empty(),
        query: words.to_owned(),
        use_filter: use_filter.to_owned(),
    };
    Ok(visit.page(&page))
}

/// Names whose rules leave clients to everyone else, all of them.
async fn uncovered(visit: Visit, format: Format) -> Result<Response, Problem> {
    let sight = Sight::of(&visit).await;
    let rows = left(&sight.model, sight.coverage());
    let rows = rows.iter().map(|left| json!([left.policy, left.name, left.names, left.share, left.pool]));
    format.table("uncovered", &["policy", "first_name", "names", "share_of_known_addresses", "first_pool"], rows)
}

/// Networks of one region in those of another, with the rule that decides for each name that uses both.
async fn networks(visit: Visit, format: Format) -> Result<Response, Problem> {
    let model = Sight::of(&visit).await.model;
    let namers = Namers::of(&model);
    let rows = nested(&model).into_iter().map(|one| {
        let decided: Vec<String> =
            namers.decided(&one).into_iter().map(|decided| format!("{}: {}", decided.name, decided.rule)).collect();
        json!([one.network, one.region, one.around, one.other, decided])
    });
    format.table("networks-in-regions", &["network", "region", "lies_in", "of_region", "rule_that_decides"], rows)
}

/// The own regions, and built-in ones that rules name.
fn map(sight: &Sight) -> RegionMap {
    let uses = uses(&sight.model);
    let shown = sight
        .model
        .regions
        .iter()
        .filter(|(id, _)| !builtin::is_built_in(id) || uses.get(*id).is_some_and(|uses| !uses.rules.is_empty()));
    RegionMap::new(shown.map(|(id, region)| land(sight, id, region)).collect())
}

fn land(sight: &Sight, id: &Id<Region>, region: &Region) -> Land {
    let name = region_title(id, region, sight.language);
    Land { name, share: sight.coverage().share(id), countries: sight.coverage().countries(id) }
}

type Ids = Vec<Id<Region>>;

/// Own regions and built-in ones under the filter. Those that hold no known client come first, as nothing can come
/// of them.
fn found(sight: &Sight, words: &str, use_filter: &str) -> (Ids, Ids) {
    let uses = uses(&sight.model);
    let used = |id: &Id<Region>| uses.get(id).is_some_and(|uses| !uses.rules.is_empty() || !uses.regions.is_empty());
    let shown = sight.model.regions.iter().filter(|(id, region)| {
        let fits = match use_filter {
            "used" => used(id),
            "unused" => !used(id),
            _ => true,
        };
        fits && matches(sight, id, region, words)
    });
    let (built_in, mut own): (Ids, Ids) = shown.map(|(id, _)| id.clone()).partition(builtin::is_built_in);
    own.sort_by_key(|id| !is_empty(sight, id));
    (own, built_in)
}

/// True for a region of places that no known client is in.
fn is_empty(sight: &Sight, id: &Id<Region>) -> bool {
    sight.coverage().overlap(id, id).is_none()
}

/// Makes rows; what all of them need is made once.
fn rows_of<'s>(sight: &'s Sight, rates: &'s Rates) -> impl Fn(&Id<Region>) -> Row + 's {
    let uses = uses(&sight.model);
    let is_own = |id: &&Id<Region>| !builtin::is_built_in(id);
    let others: Ids = sight
        .model
        .regions
        .keys()
        .filter(|id| is_own(id) || uses.get(*id).is_some_and(|uses| !uses.rules.is_empty()))
        .cloned()
        .collect();
    move |id| {
        let region = sight.model.regions.get(id);
        let tokens = |of: fn(&Region) -> &[Token]| region.map_or(Vec::new(), |region| summary(of(region)));
        let share = sight.coverage().share(id);
        let mut shared = match builtin::is_built_in(id) {
            true => Vec::new(),
            false => shared(sight.coverage(), &sight.model, id, &others),
        };
        let shared_more = shared.len().saturating_sub(MOST_SHARED);
        shared.truncate(MOST_SHARED);
        Row {
            id: id.to_string(),
            name: region.map(|region| region_title(id, region, sight.language)).unwrap_or_default(),
            holds: tokens(|region| &region.include),
            leaves_out: tokens(|region| &region.except),
            share,
            width: format!("{:.1}%", share * 100.0),
            names: uses.get(id).map_or(0, |uses| uses.names),
            rate: rates.rate(id),
            rate_with: rates.with(&sight.model, id),
            shared,
            shared_more,
            changed: sight.changed(id),
        }
    }
}

/// A region as programs get it.
#[derive(Serialize)]
struct Exported {
    id: String,
    name: String,
    built_in: bool,
    include: Vec<Token>,
    except: Vec<Token>,
    share_of_known_addresses: f64,
    names: usize,
    /// Of clients that rules naming this region admitted, in the last minute.
    queries_per_second: f64,
}

async fn exported(visit: &Visit, query: Option<String>) -> Result<Vec<Exported>, Problem> {
    let query = Form::parse(query.unwrap_or_default().as_bytes())?;
    let sight = Sight::of(visit).await;
    let uses = uses(&sight.model);
    let (own, built_in) = found(&sight, query.text("q"), query.text("use"));
    let rates = Rates::of(visit);
    let row = |id: &Id<Region>| {
        let region = sight.model.regions.get(id)?;
        Some(Exported {
            id: id.to_string(),
            name: region.meta.name.clone(),
            built_in: builtin::is_built_in(id),
            include: region.include.clone(),
            except: region.except.clone(),
            share_of_known_addresses: sight.coverage().share(id),
            names: uses.get(id).map_or(0, |uses| uses.names),
            queries_per_second: rates.rate(id),
        })
    };
    Ok(own.iter().chain(&built_in).filter_map(row).collect())
}

async fn csv(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let rows = exported(&visit, query).await?;
    let columns =
        ["id", "name", "built_in", "include", "except", "share_of_known_addresses", "names", "queries_per_second"];
    let list = |tokens: &[Token]| tokens.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let rows = rows.into_iter().map(|row| {
        let share = format!("{:.6}", row.share_of_known_addresses);
        let (include, except) = (list(&row.include), list(&row.except));
        let rate = format!("{:.3}", row.queries_per_second);
        vec![row.id, row.name, row.built_in.to_string(), include, except, share, row.names.to_string(), rate]
    });
    export::csv("regions", &columns, rows)
}

async fn json(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    Ok(export::json("regions", exported(&visit, query).await?))
}

/// A region of the drafted model, or a page that names one like it.
fn known<'s>(sight: &'s Sight, text: &str) -> Result<(Id<Region>, &'s std::sync::Arc<Region>), Problem> {
    let id: Option<Id<Region>> = text.parse().ok();
    if let Some((id, region)) = id.and_then(|id| sight.model.regions.get_key_value(&id)) {
        return Ok((id.clone(), region));
    }
    let near = sight.model.regions.keys().map(|id| (crate::model::field::distance(text, id.as_str()), id)).min();
    Err(Problem::not_found(match near {
        Some((steps, near)) if steps <= 3 => format!("No region named {text}. Did you mean {near}?"),
        _ => format!("No region named {text}. The list of regions has all."),
    }))
}

/// The kind that edits of this page are of.
const KIND: Kind = Kind::Regions;
