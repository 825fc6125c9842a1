//! A report to print: one event or a period, with what was configured and who made the report.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use askama::Template;
use axum::response::Response;

use super::super::filters;
use super::super::frame::{Frame, Place};
use super::super::text::{Text, text};
use super::super::visit::Visit;
use super::filter::Filters;
use super::row::{self, Members, Row};
use super::{Asked, Told, drawing, incident, told};
use crate::health::story::{self, Plot, Story};
use crate::web::Problem;
use crate::web::extract::Query;

/// Events, and names, in one report to print; its files have all.
const MAX_ROWS: usize = 500;

#[derive(Template)]
#[template(path = "ui/history_report.html")]
struct Report {
    frame: Frame,
    about: Text,
    summary: Vec<(Text, Text)>,
    rows: Vec<Row>,
    left_out: usize,
    /// Name and how long it was touched.
    names: Vec<(String, Text)>,
    more_names: usize,
    /// The query of what programs get of them.
    query: String,
    /// The lanes of a period, rendered by their own template.
    drawing: Text,
    databases: Vec<(String, jiff::Timestamp)>,
    made: jiff::Timestamp,
    /// With every step.
    is_single: bool,
}

/// What a report is about: one event, or those of a period.
pub async fn stories(visit: &Visit, asked: &HashMap<String, String>) -> Result<Vec<Story>, Problem> {
    if let Some(key) = asked.get("event") {
        return Ok(vec![incident::find(visit, key).await?]);
    }
    let filters = Filters::read(asked, visit.now)?;
    Ok(of_filters(told(visit, &filters).await?, &filters))
}

fn of_filters(told: Told, filters: &Filters) -> Vec<Story> {
    told.stories.into_iter().filter(|story| filters.admits(story)).collect()
}

pub async fn show(visit: Visit, Query(asked): Asked) -> Result<Response, Problem> {
    let model = visit.model();
    let members = Members::of(&model);
    let row = |story: &Story| Row::of(story, &visit, &members);
    let is_single = asked.contains_key("event");
    let (about, drawing, stories) = match asked.get("event") {
        Some(key) => {
            let story = incident::find(&visit, key).await?;
            (row(&story).title, text(""), vec![story])
        }
        None => {
            let filters = Filters::read(&asked, visit.now)?;
            let told = told(&visit, &filters).await?;
            let lanes = visit.render(&drawing(&visit, &told, &filters))?;
            let format = |at: jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M").to_string();
            let about = text("{from} to {to}, UTC").set("from", format(filters.from)).set("to", format(filters.to));
            (about, text("{part}").html("part", lanes), of_filters(told, &filters))
        }
    };
    let names = names(&stories, &visit);
    let rows: Vec<Row> = stories.iter().take(MAX_ROWS).map(row).collect();
    let snapshot = visit.web.control.snapshot();
    let built = |second: u64| jiff::Timestamp::from_second(i64::try_from(second).ok()?).ok();
    let databases = snapshot.geo().databases().iter();
    let databases = databases.filter_map(|database| Some((database.kind.clone(), built(database.built)?))).collect();
    let frame = visit.frame(Place::History, text("Report")).await.under(text("History"), "/history");
    let page = Report {
        frame,
        about,
        summary: summary(&stories, &visit),
        rows,
        drawing,
        left_out: stories.len().saturating_sub(MAX_ROWS),
        more_names: names.len().saturating_sub(MAX_ROWS),
        names: names.into_iter().take(MAX_ROWS).map(|(name, seconds)| (name, row::length(seconds))).collect(),
        query: form_urlencoded::Serializer::new(String::new()).extend_pairs(&asked).finish(),
        databases,
        made: visit.now,
        is_single,
    };
    Ok(visit.page(&page))
}

fn summary(stories: &[Story], visit: &Visit) -> Vec<(Text, Text)> {
    let number = |n: usize| text("{n}").set("n", n);
    let of = |plot: Plot| stories.iter().filter(move |story| story.plot == plot);
    let down: u64 = of(Plot::Outage).map(|story| story.down_seconds(visit.now)).sum();
    let out: u64 = of(Plot::Outage).map(|story| known_seconds(story, visit)).sum();
    let stopped: u64 = of(Plot::Outage).filter_map(|story| story.stopped_seconds(visit.now)).sum();
    let unserved: BTreeSet<&String> = stories.iter().flat_map(|story| &story.unserved).collect();
    let last_resort: BTreeSet<&String> = stories.iter().flat_map(|story| &story.last_resort).collect();
    let median = story::median_reaction_ms(stories).map_or(text("no outage"), row::short);
    let mut summary = vec![
        (text("Outages of pools"), number(of(Plot::Outage).count())),
        (text("Endpoints out"), number(of(Plot::Endpoint).count())),
        (text("Switches by people"), number(of(Plot::Switch).count())),
        (text("Still open"), number(stories.iter().filter(|story| story.is_open).count())),
        (text("Pools down, in all"), row::length(down)),
        (text("Pools down or held back, in all"), row::length(out)),
        (text("First failed check to new answers (median)"), median),
        (text("Names with clients left without an answer"), number(unserved.len())),
        (text("Names with clients that got the last resort"), number(last_resort.len())),
    ];
    if stopped > 0 {
        summary.insert(6, (text("No data in outages, Northing did not run"), row::length(stopped)));
    }
    summary
}

/// The length of a story without the time in which northing did not run.
fn known_seconds(story: &Story, visit: &Visit) -> u64 {
    let whole = story.seconds(visit.now).unwrap_or(0);
    whole.saturating_sub(story.stopped_seconds(visit.now).unwrap_or(0))
}

/// For how many seconds the answers of each name were touched, the longest first.
pub fn names(stories: &[Story], visit: &Visit) -> Vec<(String, u64)> {
    let mut seconds: BTreeMap<&str, u64> = BTreeMap::new();
    for story in stories.iter().filter(|story| matches!(story.plot, Plot::Outage | Plot::Switch)) {
        for name in story.names() {
            *seconds.entry(name).or_default() += known_seconds(story, visit);
        }
    }
    let mut names: Vec<(&str, u64)> = seconds.into_iter().collect();
    names.sort_by_key(|(_, seconds)| std::cmp::Reverse(*seconds));
    names.into_iter().map(|(name, seconds)| (name.trim_end_matches('.').to_owned(), seconds)).collect()
}
