//! Failover history: what went out, when answers changed, and who got what instead. The list and its exports;
//! one incident and the report are beside it.

mod draw;
mod filter;
mod incident;
mod report;
mod row;
mod tables;

use std::collections::{BTreeSet, HashMap};

use askama::Template;
use axum::response::Response;
use axum::routing::{get, post};

use super::Page;
use super::filters;
use super::form::Faults;
use super::frame::{Frame, Place};
use super::live::Fragment;
use super::text::{Text, count, text};
use super::visit::Visit;
use crate::control::Refusal;
use crate::control::recent::Period;
use crate::control::token::Role;
use crate::health::lanes::{self, Gap, Span};
use crate::health::story::{self, Plot, Story};
use crate::model::{Id, Pool};
use crate::web::Problem;
use crate::web::extract::Query;
use draw::LaneRow;
use filter::Filters;
use row::{Members, Row};

/// Rows on one page.
const PAGE_ROWS: usize = 50;
/// How long after an event followed pages look at it again, in seconds: it is told once it is stored.
const FRESH: i64 = 5;
/// How often they look when nothing happened, for what moves with the time.
const LOOK_EVERY: i64 = 15;
/// Pools that are drawn.
const MAX_LANES: usize = 50;

pub(super) fn pages() -> Vec<Page> {
    vec![
        Page::new("/history", Role::Viewer, get(show)),
        Page::new("/history.csv", Role::Viewer, get(tables::csv)),
        Page::new("/history.json", Role::Viewer, get(tables::json)),
        Page::new("/history/events.csv", Role::Viewer, get(tables::events_csv)),
        Page::new("/history/lanes.csv", Role::Viewer, get(tables::lanes_csv)),
        Page::new("/history/lanes.json", Role::Viewer, get(tables::lanes_json)),
        Page::new("/history/names.csv", Role::Viewer, get(tables::names_csv)),
        Page::new("/history/names.json", Role::Viewer, get(tables::names_json)),
        Page::new("/history/events.json", Role::Viewer, get(tables::events_json)),
        Page::new("/history/report", Role::Viewer, get(report::show)),
        Page::new("/history/{key}", Role::Viewer, get(incident::show)),
        Page::new("/history/{key}/note", Role::Operator, post(incident::note)),
    ]
}

type Asked = Query<HashMap<String, String>>;

#[derive(Template)]
#[template(path = "ui/history.html")]
struct History {
    frame: Frame,
    head: Text,
    filters: Filters,
    /// Both rendered by their own templates.
    drawing: Text,
    list: Text,
    /// The query of the exports.
    query: String,
    faults: Faults,
}

/// Lanes of the pools.
#[derive(Template)]
#[template(path = "ui/history_lanes.html")]
struct Drawing {
    title: Text,
    lanes: Vec<LaneRow>,
    axis: Vec<draw::Tick>,
    ends_now: bool,
    not_drawn: usize,
    /// The query of what programs get of it.
    query: String,
}

/// The stories of one page.
#[derive(Template)]
#[template(path = "ui/history_list.html")]
struct List {
    rows: Vec<Row>,
    counted: Text,
    may_operate: bool,
    /// Only part of the period was read.
    cut: Option<Cut>,
    /// Each can be opened.
    is_page: bool,
    newer: Option<String>,
    older: Option<String>,
    empty: Empty,
}

/// More happened than one page is made from.
struct Cut {
    /// When the oldest event happened that was read.
    since: Text,
    read: usize,
    /// The same until the end of that day, where that is less.
    earlier: Option<String>,
}

/// Why nothing is listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Empty {
    No,
    /// There is nothing of that kind.
    Filtered,
    /// Nothing ever went out.
    Never,
}

/// What a page of history is made from.
struct Told {
    period: Period,
    /// The times in it of which nothing is known.
    gaps: Vec<Gap>,
    stories: Vec<Story>,
}

async fn show(visit: Visit, Query(asked): Asked) -> Result<Response, Problem> {
    let filters = match Filters::read(&asked, visit.now) {
        Ok(filters) => filters,
        Err(problem) => return Ok(wrong(&visit, &asked, problem).await),
    };
    let told = told(&visit, &filters).await?;
    let frame = visit.frame(Place::History, text("Failover history")).await;
    let frame = if filters.is_now { frame.live(format!("history:{}", filters.query(&[]))) } else { frame };
    let part = |html: String| text("{part}").html("part", html);
    let list = list(&visit, &told, &filters);
    let page = History {
        frame,
        head: head(&told, &filters),
        drawing: part(visit.render(&drawing(&visit, &told, &filters))?),
        list: part(visit.render(&list)?),
        query: filters.query(&[]),
        filters: filters.with_choices(&visit.model()),
        faults: Faults::default(),
    };
    Ok(visit.page(&page))
}

/// The form again, with what is wrong beside what was typed.
async fn wrong(visit: &Visit, asked: &HashMap<String, String>, problem: Problem) -> Response {
    let page = History {
        frame: visit.frame(Place::History, text("Failover history")).await,
        head: text("Put the period right to see what happened in it."),
        drawing: text(""),
        list: text(""),
        query: String::new(),
        filters: Filters::as_typed(asked, visit.now).with_choices(&visit.model()),
        faults: Faults::new(problem.errors, ""),
    };
    visit.page_with(page.faults.status(), &page)
}

/// The parts of the page that move; `query` is that of the page. What is read for it is much, so that it is looked at
/// only while something happens, and now and then.
pub(super) async fn live(visit: &Visit, query: &str) -> Vec<Fragment> {
    if !moves(visit) {
        return Vec::new();
    }
    let asked: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let Ok(filters) = Filters::read(&asked, visit.now) else { return Vec::new() };
    let Ok(told) = told(visit, &filters).await else { return Vec::new() };
    let said = format!("<p id=\"history-head\">{}</p>", head(&told, &filters).to_html(visit.language));
    let parts = [
        ("history-head", Ok(said)),
        ("history-lanes", visit.render(&drawing(visit, &told, &filters))),
        ("history-list", visit.render(&list(visit, &told, &filters))),
    ];
    parts.into_iter().filter_map(|(id, html)| Some(Fragment::new(id, html.ok()?))).collect()
}

pub(super) use incident::live as live_incident;

/// True while something happens, and now and then.
fn moves(visit: &Visit) -> bool {
    let seconds = |at: jiff::Timestamp| visit.now.duration_since(at).as_secs();
    let is_fresh = visit.web.control.shared().recent.newest().is_some_and(|newest| seconds(newest) <= FRESH);
    is_fresh || visit.now.as_second() % LOOK_EVERY == 0
}

async fn told(visit: &Visit, filters: &Filters) -> Result<Told, Refusal> {
    let control = &visit.web.control;
    let period = control.period(filters.from, filters.until()).await?;
    let health = control.health();
    let mut stories = story::stories(&period.events, &period.after, &visit.model(), &health);
    if filters.is_now {
        story::add_standing(&mut stories, &health);
    }
    let gaps = lanes::gaps(period.events.iter().chain(&period.after), period.known_from, filters.from, filters.to);
    leave_out_stops(visit, &mut stories, Some((filters.from, &period))).await?;
    Ok(Told { period, gaps, stories })
}

/// Northing may have been stopped while an outage went on. `read` is a period that was read, and when it begins; older
/// outages need more.
async fn leave_out_stops(
    visit: &Visit,
    stories: &mut [Story],
    read: Option<(jiff::Timestamp, &Period)>,
) -> Result<(), Refusal> {
    let Some((first, last)) = story::outages_last(stories) else { return Ok(()) };
    let longer;
    let period = match read.filter(|(from, _)| *from <= first) {
        Some((_, period)) => period,
        None => {
            longer = visit.web.control.period(first, last).await?;
            &longer
        }
    };
    story::leave_out_stops(stories, period.events.iter().chain(&period.after), first, visit.now);
    Ok(())
}

/// Is anything open, and were clients served, in the time of which something is known?
fn head(told: &Told, filters: &Filters) -> Text {
    let failovers = || told.stories.iter().filter(|story| story.plot != Plot::Notice);
    let open = failovers().filter(|story| story.is_open).count();
    let open = match open {
        0 => text("Nothing is open."),
        open => count(open, "{n} event is still open.", "{n} events are still open."),
    };
    let unserved: BTreeSet<&String> = failovers().flat_map(|story| &story.unserved).collect();
    let median = story::median_reaction_ms(failovers());
    let before = told.gaps.first().filter(|gap| gap.from <= filters.from);
    let rest = match (before, median, unserved.len()) {
        (Some(gap), None, 0) if gap.to >= filters.to => text("Nothing is known of this time."),
        (_, None, 0) => text("{period} no client was left without an answer."),
        (_, None, _) => text("{period} some clients of {names} had no answer."),
        (_, Some(_), 0) => text(
            "{period} answers changed <b>{time}</b> (median) after the first failed check, and no client was left without an answer.",
        ),
        (_, Some(_), _) => text(
            "{period} answers changed <b>{time}</b> (median) after the first failed check, and some clients of {names} had no answer.",
        ),
    };
    let period = before.map(|gap| text("Since {time}").say("time", row::moment(gap.to, filters.to)));
    let rest = rest
        .say("period", period.unwrap_or_else(|| filters.period_text()))
        .say("time", row::short(median.unwrap_or(0)))
        .say("names", count(unserved.len(), "{n} name", "{n} names"));
    let later = told.gaps.iter().filter(|gap| gap.from > filters.from);
    let unknown: i64 = later.map(|gap| gap.to.duration_since(gap.from).as_secs()).sum();
    match unknown {
        0 => text("{open} {rest}").say("open", open).say("rest", rest),
        unknown => text("{open} {rest} Northing did not run for {time} of it, of which nothing is known.")
            .say("open", open)
            .say("rest", rest)
            .say("time", row::length(unknown.unsigned_abs())),
    }
}

fn spans_of_pools(visit: &Visit, told: &Told, filters: &Filters) -> Vec<(Id<Pool>, Vec<Span>)> {
    let (model, health, Told { period, gaps, .. }) = (visit.model(), visit.web.control.health(), told);
    let (time, wanted) = ((filters.from, filters.to), |id: &Id<Pool>| filters.wants(id.as_str()));
    let all = lanes::lanes(&period.events, &period.after, &model, &health, gaps, time, wanted);
    let mut pools: Vec<_> = all.into_iter().collect();
    pools.sort_by_key(|(_, spans)| draw::rank(spans));
    pools
}

fn drawing(visit: &Visit, told: &Told, filters: &Filters) -> Drawing {
    drawn(visit, spans_of_pools(visit, told, filters), filters)
}

fn drawn(visit: &Visit, mut pools: Vec<(Id<Pool>, Vec<Span>)>, filters: &Filters) -> Drawing {
    let not_drawn = pools.len().saturating_sub(MAX_LANES);
    pools.truncate(MAX_LANES);
    let lanes = pools.iter().map(|(id, spans)| draw::lane(id.as_str(), spans, filters, visit.language)).collect();
    Drawing {
        title: filters.lanes_title(),
        lanes,
        axis: draw::axis(filters, visit.language),
        ends_now: filters.is_now,
        not_drawn,
        query: filters.query(&[]),
    }
}

fn cut(period: &Period, filters: &Filters) -> Option<Cut> {
    let oldest = period.events.first().filter(|_| period.cut)?.at;
    Some(Cut {
        since: row::moment(oldest, filters.to),
        read: period.events.len(),
        earlier: filters.until_day_of(oldest).map(|filters| filters.path("/history", &[])),
    })
}

fn list(visit: &Visit, told: &Told, filters: &Filters) -> List {
    let mut wanted = told.stories.iter().filter(|story| filters.admits(story)).peekable();
    let is_quiet = told.stories.iter().all(|story| story.plot == Plot::Notice);
    let empty = match (wanted.peek().is_some(), is_quiet && filters.is_plain()) {
        (true, _) => Empty::No,
        (false, true) => Empty::Never,
        (false, false) => Empty::Filtered,
    };
    let wanted: Vec<&Story> = wanted.collect();
    let start = (filters.page - 1) * PAGE_ROWS;
    let shown = wanted.iter().enumerate().skip(start).take(PAGE_ROWS);
    let model = visit.model();
    let members = Members::of(&model);
    let page = |page: usize| filters.path("/history", &[("page", page.to_string())]);
    // What goes on is what one came for; a page that is open leaves what its reader folded.
    let row = |at: usize, story: &Story| {
        let row = Row::of(story, visit, &members);
        Row { is_unfolded: at == 0 && row.is_open, ..row }
    };
    List {
        rows: shown.map(|(at, story)| row(at, story)).collect(),
        counted: text("{n} in {period}").set("n", wanted.len()).say("period", filters.period_length()),
        may_operate: visit.may(Role::Operator),
        cut: cut(&told.period, filters),
        is_page: false,
        newer: (filters.page > 1).then(|| page(filters.page - 1)),
        older: (wanted.len() > start + PAGE_ROWS).then(|| page(filters.page + 1)),
        empty,
    }
}
