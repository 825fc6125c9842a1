//! All pools: what needs somebody first, how the last hour went, and who gets answers from each.

use askama::Template;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::super::beat::{self, Beat};
use super::super::export;
use super::super::filters;
use super::super::frame::{Frame, Place};
use super::super::live::{Fragment, moving};
use super::super::state::{PoolShown, PoolStates, StateWord};
use super::super::text::Language;
use super::super::text::text;
use super::super::visit::Visit;
use super::{models, names, place, policies, uses};
use crate::control::outcomes::Outcomes;
use crate::model::{Id, Model, Pool};
use crate::web::Problem;
use crate::web::extract::Query;

/// Rows of one page.
const ROWS: usize = 50;

/// The filters, as the address has them.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    page: usize,
}

impl Asked {
    /// The filters as a query, without the page.
    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("q", &self.q), ("state", &self.state)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

/// A pool that passes the filters.
struct Found<'m> {
    id: &'m Id<Pool>,
    pool: &'m Pool,
    shown: &'m PoolShown,
}

struct Row {
    id: String,
    place: String,
    shown: PoolShown,
    beat: Beat,
    names: usize,
    /// Of the clients of its names, now and if nothing were down; `None` where no name uses it.
    share: Option<(f64, f64)>,
    median_ms: Option<f64>,
    changed: bool,
}

/// The states to choose from, all of them so that none moves under a reader's hand, and how many pools are so.
struct Filter {
    words: Vec<(&'static str, usize)>,
    chosen: String,
}

impl Filter {
    fn of(states: &PoolStates, chosen: String) -> Filter {
        let count = |word| states.iter().filter(|(_, shown)| shown.state == word).count();
        Filter { words: StateWord::ALL.iter().map(|word| (word.word(), count(*word))).collect(), chosen }
    }
}

#[derive(Template)]
#[template(path = "ui/pools/list_filter.html")]
struct FilterPart<'f> {
    filter: &'f Filter,
}

#[derive(Template)]
#[template(path = "ui/pools/list.html")]
struct List {
    frame: Frame,
    q: String,
    filter: Filter,
    rows: Vec<Row>,
    total: usize,
    found: usize,
    /// From 0.
    page: usize,
    pages: usize,
    query: String,
    /// Pools of the draft that are not live.
    added: Vec<String>,
}

moving! {
    row: Row;
    StateCell "ui/pools/list_state.html" "pool-state-",
    BeatCell "ui/pools/list_beat.html" "pool-beat-",
    ShareCell "ui/pools/list_share.html" "pool-share-",
    ProbeCell "ui/pools/list_probe.html" "pool-probe-"
}

/// `ids` are the pools of the page as it was made, with plus signs between them: whatever becomes of their order,
/// what the reader has before the eyes moves.
pub async fn live(visit: &Visit, ids: &str) -> Vec<Fragment> {
    let live = visit.model();
    let states = PoolStates::of(&live, &visit.web.control.health());
    let ids = ids.split('+').filter_map(|id| id.parse::<Id<Pool>>().ok()).take(ROWS);
    let known = ids.filter_map(|id| {
        let (id, pool) = live.pools.get_key_value(&id)?;
        Some(Found { id, pool, shown: states.get(id)? })
    });
    let known: Vec<Found> = known.collect();
    let rows = rows(visit, &live, &live, &known).await;
    let filter = visit.render(&FilterPart { filter: &Filter::of(&states, String::new()) });
    let filter = filter.ok().map(|html| Fragment::new("state", html));
    rows.iter().flat_map(|row| fragments(visit, row, row.id.as_str())).chain(filter).collect()
}

pub async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let frame = visit.frame(Place::Pools, text("Pools")).await;
    let (live, drafted) = models(&visit).await;
    let health = visit.web.control.health();
    let states = PoolStates::of(&live, &health);
    let found = search(&live, &states, &asked);
    let pages = found.len().div_ceil(ROWS).max(1);
    let page = asked.page.min(pages - 1);
    let on_page = &found[page * ROWS..found.len().min((page + 1) * ROWS)];
    let rows = rows(&visit, &live, &drafted, on_page).await;
    let ids: Vec<&str> = on_page.iter().map(|found| found.id.as_str()).collect();
    let frame = frame.live(format!("pools:{}", ids.join("+")));
    let added = drafted.pools.keys().filter(|id| !live.pools.contains_key(*id)).map(ToString::to_string).collect();
    Ok(visit.page(&List {
        frame,
        query: asked.query(),
        q: asked.q,
        filter: Filter::of(&states, asked.state),
        rows,
        total: live.pools.len(),
        found: found.len(),
        page,
        pages,
        added,
    }))
}

/// What passes the filters, what needs somebody first.
fn search<'m>(model: &'m Model, states: &'m PoolStates, asked: &Asked) -> Vec<Found<'m>> {
    let wanted = asked.q.trim().to_lowercase();
    let matches = |id: &Id<Pool>, pool: &Pool| {
        wanted.is_empty()
            || id.as_str().contains(&wanted)
            || Language::ALL.iter().any(|language| place(pool, *language).to_lowercase().contains(&wanted))
            || pool.members.iter().any(|member| member.endpoint.as_str().contains(&wanted))
    };
    let pools = states.iter().filter_map(|(id, shown)| Some(Found { id, pool: model.pools.get(id)?, shown }));
    let mut found: Vec<Found> = pools
        .filter(|found| asked.state.is_empty() || found.shown.state.word() == asked.state)
        .filter(|found| matches(found.id, found.pool))
        .collect();
    found.sort_by_key(|found| found.shown.state);
    found
}

async fn rows(visit: &Visit, live: &Model, drafted: &Model, found: &[Found<'_>]) -> Vec<Row> {
    let shared = visit.web.control.shared();
    let now_ms = visit.now.as_millisecond().unsigned_abs();
    let beats = beat::of_pools(&shared.outcomes, live, found.iter().map(|found| (found.id, found.pool)), now_ms);
    let uses = uses(live);
    let shares = visit.web.control.pool_shares().await;
    let row = |(found, beat): (&Found, Beat)| Row {
        id: found.id.to_string(),
        place: place(found.pool, visit.language),
        shown: found.shown.clone(),
        beat,
        names: uses.get(found.id).map_or(0, |uses| names(&policies(live, uses))),
        share: shares.get(found.id).copied(),
        median_ms: median_ms(&shared.outcomes, found.pool),
        changed: drafted.pools.get(found.id).is_none_or(|pool| **pool != *found.pool),
    };
    found.iter().zip(beats).map(row).collect()
}

/// The middle time of the last checks that passed.
fn median_ms(outcomes: &Outcomes, pool: &Pool) -> Option<f64> {
    let mut times: Vec<f64> = outcomes.read(|all| {
        let rings = pool.members.iter().filter_map(|member| all.get(&member.endpoint)).flatten();
        let marks = rings.flat_map(|(_, _, ring)| ring.marks().take(beat::MARKS));
        marks.filter(|(_, passed, _)| *passed).filter_map(|(_, _, ms)| ms).collect()
    });
    let middle = times.len() / 2;
    (!times.is_empty()).then(|| *times.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// One pool, for spreadsheets and programs.
#[derive(Serialize)]
struct Exported {
    pool: String,
    place: String,
    state: &'static str,
    up: usize,
    of: usize,
    names: usize,
    /// Of the answers that pools gave in the last minute.
    share: Option<f64>,
    /// Of the clients of its names.
    share_now: Option<f64>,
    share_planned: Option<f64>,
    probe_ms: Option<f64>,
    reason: String,
}

async fn exported(visit: &Visit, asked: &Asked) -> Vec<Exported> {
    let live = visit.model();
    let states = PoolStates::of(&live, &visit.web.control.health());
    let found = search(&live, &states, asked);
    let rows = rows(visit, &live, &live, &found).await;
    let answered: Vec<Option<f64>> = {
        let traffic = visit.web.control.shared().traffic.lock();
        let total: f64 = live.pools.keys().map(|id| traffic.pool_rate(id)).sum();
        found.iter().map(|found| (total > 0.0).then(|| traffic.pool_rate(found.id) / total)).collect()
    };
    // What programs read is the same in every language.
    let place =
        |id: &str| found.iter().find(|found| found.id.as_str() == id).map(|found| place(found.pool, Language::English));
    let export = |(row, share): (Row, Option<f64>)| Exported {
        place: place(&row.id).unwrap_or_default(),
        pool: row.id,
        state: row.shown.state.word(),
        up: row.shown.up,
        of: row.shown.of,
        names: row.names,
        share,
        share_now: row.share.map(|(now, _)| now),
        share_planned: row.share.map(|(_, planned)| planned),
        probe_ms: row.median_ms,
        reason: row.shown.reason,
    };
    rows.into_iter().zip(answered).map(export).collect()
}

pub async fn json(visit: Visit, Query(asked): Query<Asked>) -> Response {
    export::json("pools", exported(&visit, &asked).await)
}

pub async fn csv(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let columns =
        ["pool", "place", "state", "up", "of", "names", "share", "share_now", "share_planned", "probe_ms", "reason"];
    let number = |number: Option<f64>| number.map_or(String::new(), |number| format!("{number:.4}"));
    let rows = exported(&visit, &asked).await.into_iter().map(|row| {
        vec![
            row.pool,
            row.place,
            row.state.to_owned(),
            row.up.to_string(),
            row.of.to_string(),
            row.names.to_string(),
            number(row.share),
            number(row.share_now),
            number(row.share_planned),
            number(row.probe_ms),
            row.reason,
        ]
    });
    export::csv("pools", &columns, rows)
}
