//! Overview: is anything wrong, and are clients served? First a sentence, then figures, the map, the pools, the
//! queries of the last hours, and what happened. Every part is also a fragment of the live stream.

mod figures;
mod head;
pub(super) mod latest;
mod volume;

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;

use super::Page;
use super::beat::{self, Beat};
use super::chart::{Chart, Mark};
use super::export::{Format, both};
use super::filters::{self, percent_text};
use super::frame::{Frame, Place};
use super::live::{Fragment, moving};
use super::map::{Borders, Mix, WorldMap};
use super::settings;
use super::setup;
use super::state::{PoolShown, PoolStates, StateWord};
use super::text::{Text, text};
use super::visit::Visit;
use crate::answer::PlanState;
use crate::control::geo_files::{Database, GeoFiles};
use crate::control::recent::is_news;
use crate::control::series::Span;
use crate::control::token::Role;
use crate::health::{Event, EventKind};
use crate::model::{Id, Model, Policy, Pool};
use crate::web::Problem;
use crate::web::extract::Query;

use figures::Figure;
use head::Head;
use latest::Latest;

/// Pools in the panel, those with problems first.
const MAX_POOLS: usize = 6;
/// Names that the map can be switched to here; the page of any name leads to its own.
const MAX_NAMES: usize = 100;
/// Failures that the chart is marked with.
const MAX_MARKS: usize = 40;

pub(super) fn pages() -> Vec<Page> {
    let mut pages = vec![Page::new("/", Role::Viewer, get(show))];
    pages.extend(both!("/overview/countries", countries));
    pages.extend(both!("/overview/queries", queries));
    pages
}

/// What the address asks for.
#[derive(Debug, Clone, Default, Deserialize)]
struct Asked {
    /// The policy whose clients the map shows; the busiest where it is none.
    #[serde(default)]
    name: String,
    #[serde(default)]
    span: String,
    /// What the chart tells apart: `region`, or pools.
    #[serde(default)]
    by: String,
    #[serde(default)]
    borders: String,
}

impl Asked {
    fn is_by_region(&self) -> bool {
        self.by == "region"
    }

    fn span(&self) -> Span {
        match self.span.as_str() {
            "hour" => Span::Hour,
            "week" => Span::Week,
            _ => Span::Day,
        }
    }

    fn borders(&self) -> Borders {
        if self.borders == "off" { Borders::Hidden } else { Borders::Shown }
    }

    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let fields = [("name", &self.name), ("span", &self.span), ("by", &self.by), ("borders", &self.borders)];
        for (name, value) in fields {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

/// A pool in the panel.
struct Row {
    id: Id<Pool>,
    shown: PoolShown,
    /// Its name, where it has one beside its id.
    name: String,
    beat: Option<Beat>,
    /// Of the clients of its names; `None` where no name uses it.
    share: Option<f64>,
    /// What it would be if nothing were down, where that is another.
    planned: Option<f64>,
}

/// A name that the map can show.
struct Choice {
    policy: Id<Policy>,
    name: String,
    chosen: bool,
}

/// A choice of what the chart shows.
struct Period {
    word: &'static str,
    href: String,
    chosen: bool,
}

/// All that the page shows.
struct Board {
    asked: Asked,
    may_operate: bool,
    head: Head,
    figures: Vec<Figure>,
    choices: Vec<Choice>,
    map: Option<WorldMap>,
    borders_href: String,
    pools: Vec<Row>,
    pools_in_all: usize,
    title: &'static str,
    bys: Vec<Period>,
    periods: Vec<Period>,
    chart: Option<Chart>,
    events: Vec<Latest>,
}

#[derive(Template)]
#[template(path = "ui/overview.html")]
struct Overview {
    frame: Frame,
    board: Board,
    /// Of backups, for those who make them.
    reminder: Option<Text>,
}

#[derive(Template)]
#[template(path = "ui/overview_empty.html")]
struct Empty {
    frame: Frame,
    /// A first run of the reader's that is not over.
    left: Option<setup::Left>,
}

moving! {
    board: Board;
    HeadPart "ui/overview_head.html" "ov-head",
    FiguresPart "ui/overview_figures.html" "ov-figures",
    MapPart "ui/overview_map.html" "ov-map",
    PoolsPart "ui/overview_pools.html" "ov-pools",
    VolumePart "ui/overview_volume.html" "ov-volume",
    EventsPart "ui/overview_events.html" "ov-events"
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let frame = visit.frame(Place::Overview, text("Overview")).await;
    if visit.model().policies.is_empty() {
        return Ok(visit.page(&Empty { frame, left: setup::left(&visit).await }));
    }
    let frame = frame.live(format!("overview:{}", asked.query()));
    let (board, reminder) = (board(&visit, asked).await, settings::reminder(&visit).await);
    Ok(visit.page(&Overview { frame, board, reminder }))
}

/// What the map shows of one name, country by country. `name` is its policy, as on the page.
async fn countries(visit: Visit, Query(asked): Query<Asked>, format: Format) -> Result<Response, Problem> {
    let policy: Id<Policy> = asked.name.parse().map_err(|error: String| Problem::not_found(format!("{error}.")))?;
    let lands = visit.web.maps.lands(&visit.web.control.snapshot(), &policy);
    let pools = |mix: &Mix| -> Vec<String> {
        mix.iter().map(|(pool, share)| format!("{pool} {:.3}", f64::from(*share) / 1000.0)).collect()
    };
    let rows =
        lands.each().iter().map(|land| json!([land.country, pools(&land.planned), pools(&land.now), land.share]));
    format.table(&format!("countries-{policy}"), &["country", "planned", "now", "share_of_known_addresses"], rows)
}

/// What the chart shows, whole.
async fn queries(visit: Visit, Query(asked): Query<Asked>, format: Format) -> Result<Response, Problem> {
    volume::table(&visit, asked.span(), if asked.is_by_region() { "region" } else { "pool" }, format)
}

/// For the live stream; `query` is that of the page.
pub(super) async fn live(visit: &Visit, query: &str) -> Vec<Fragment> {
    let mut asked = Asked::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "name" => asked.name = value.into_owned(),
            "span" => asked.span = value.into_owned(),
            "by" => asked.by = value.into_owned(),
            "borders" => asked.borders = value.into_owned(),
            _ => {}
        }
    }
    fragments(visit, &board(visit, asked).await, "")
}

async fn board(visit: &Visit, asked: Asked) -> Board {
    let control = &visit.web.control;
    let (snapshot, health) = (control.snapshot(), control.health());
    let model = snapshot.model().clone();
    let states = PoolStates::of(&model, &health);
    let newest = control.newest(is_news, latest::READ).await.unwrap_or_default();
    let failed = |event: &Event| event.kind == EventKind::Pool && event.to == "down";
    let failures = control.newest(failed, MAX_MARKS).await.unwrap_or_default();
    let marks = failures.iter().rev().map(|event| Mark {
        at_ms: event.at.as_millisecond().unsigned_abs(),
        text: text("{pool} down").set("pool", event.subject.trim_start_matches("pools/")),
    });
    let geo = GeoFiles::of(&visit.web.boot).source(Database::Location);
    let head = Head::of(&snapshot, &states, &geo, visit.now);
    let figures = figures::figures(control, &snapshot, &head);
    let (choices, shown) = choices(visit, &model, &head, &asked);
    let map = shown.map(|(policy, name)| {
        let lands = visit.web.maps.lands(&snapshot, &policy);
        WorldMap::new(&model, &states, name, &lands, asked.borders())
    });
    let other = if asked.borders() == Borders::Shown { "off" } else { "" };
    let borders_href = format!("/?{}", Asked { borders: other.into(), ..asked.clone() }.query());
    let periods = [("hour", "1 h", Span::Hour), ("", "24 h", Span::Day), ("week", "7 d", Span::Week)];
    let periods = periods.map(|(code, word, span)| Period {
        word,
        href: format!("/?{}", Asked { span: code.into(), ..asked.clone() }.query()),
        chosen: span == asked.span(),
    });
    let bys = [("", "By pool"), ("region", "By region")].map(|(code, word)| Period {
        word,
        href: format!("/?{}", Asked { by: code.into(), ..asked.clone() }.query()),
        chosen: (code == "region") == asked.is_by_region(),
    });
    let chart = match asked.is_by_region() {
        true => volume::by_region(visit, &model, asked.span(), marks.collect()),
        false => volume::by_pool(visit, &states, asked.span(), marks.collect()),
    };
    Board {
        may_operate: visit.may(Role::Operator),
        head,
        figures,
        choices,
        map,
        borders_href,
        pools: pools(visit, &model, &states).await,
        pools_in_all: model.pools.len(),
        title: if asked.is_by_region() { "Queries by region" } else { "Queries by pool" },
        bys: bys.into(),
        periods: periods.into(),
        chart,
        events: latest::told(newest).iter().take(latest::SHOWN).map(|event| Latest::of(event, &model)).collect(),
        asked,
    }
}

/// Names by their policies, those in trouble first and then the busiest, and the one that the map shows.
fn choices(visit: &Visit, model: &Model, head: &Head, asked: &Asked) -> (Vec<Choice>, Option<(Id<Policy>, String)>) {
    let mut rates: Vec<(f64, &Id<Policy>, &Arc<Policy>)> = {
        let traffic = visit.web.control.shared().traffic.lock();
        let used = model.policies.iter().filter(|(_, policy)| policy.enabled && !policy.attach.is_empty());
        // Rates to the tenth of a query, so that the choice does not change from look to look.
        used.map(|(id, policy)| ((traffic.policy_rate(id) * 10.0).round(), id, policy)).collect()
    };
    // Without traffic the name with the most rules says the most.
    let state = |id: &Id<Policy>| head.astray_policies.get(id).copied().unwrap_or(PlanState::AsPlanned);
    rates.sort_by(|(a, id_a, of_a), (b, id_b, of_b)| {
        let by_state = state(id_a).cmp(&state(id_b));
        by_state.then(b.total_cmp(a)).then(of_b.rules.len().cmp(&of_a.rules.len()))
    });
    let name = |policy: &Policy| policy.attach.first().map(|attach| attach.name.without_dot()).unwrap_or_default();
    let chosen = rates.iter().find(|(_, id, _)| id.as_str() == asked.name).or(rates.first());
    let shown = chosen.map(|(_, id, policy)| ((*id).clone(), name(policy)));
    let choice = |(_, id, policy): &(f64, &Id<Policy>, &Arc<Policy>)| Choice {
        policy: (*id).clone(),
        name: name(policy),
        chosen: shown.as_ref().is_some_and(|(chosen, _)| chosen == *id),
    };
    let mut choices: Vec<Choice> = rates.iter().take(MAX_NAMES).map(choice).collect();
    choices.sort_by(|a, b| a.name.cmp(&b.name));
    (choices, shown)
}

async fn pools(visit: &Visit, model: &Model, states: &PoolStates) -> Vec<Row> {
    let mut all: Vec<(&Id<Pool>, &PoolShown)> = states.iter().collect();
    all.sort_by_key(|(_, shown)| shown.state);
    all.truncate(MAX_POOLS);
    let control = &visit.web.control;
    let now_ms = visit.now.as_millisecond().unsigned_abs();
    let known = all.iter().filter_map(|(id, _)| Some((*id, &**model.pools.get(id)?)));
    let beats = beat::of_pools(&control.shared().outcomes, model, known, now_ms);
    let shares = control.pool_shares().await;
    let differs = |(now, planned): &(f64, f64)| percent_text(*now) != percent_text(*planned);
    let row = |((id, shown), beat): ((&Id<Pool>, &PoolShown), Option<Beat>)| Row {
        name: model.pools.get(id).map(|pool| pool.meta.name.clone()).unwrap_or_default(),
        share: shares.get(id).map(|(now, _)| *now),
        planned: shares.get(id).filter(|share| differs(share)).map(|(_, planned)| *planned),
        id: id.clone(),
        shown: shown.clone(),
        beat,
    };
    all.into_iter().zip(beats.into_iter().map(Some).chain(std::iter::repeat_with(|| None))).map(row).collect()
}
