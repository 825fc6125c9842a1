//! A report to print: one event or a period, with what was configured and who made the report.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;

use super::super::filters;
use super::super::frame::{Frame, Place};
use super::super::text::{Text, text};
use super::super::visit::Visit;
use super::filter::Filters;
use super::row::{self, Members, Row};
use super::{Asked, incident, told};
use crate::health::story::{self, Plot, Story};
use crate::web::Problem;
use crate::web::extract::Query;

/// Events in one report.
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
    databases: Vec<(String, jiff::Timestamp)>,
    made: jiff::Timestamp,
    /// With every step.
    is_single: bool,
}

pub async fn show(visit: Visit, Query(asked): Asked) -> Result<Response, Problem> {
    let (about, stories, is_single) = match asked.get("event") {
        Some(key) => {
            let story = incident::find(&visit, key).await?;
            (text("Event {key}").set("key", story.key), vec![story], true)
        }
        None => {
            let filters = Filters::read(&asked, visit.now)?;
            let stories: Vec<Story> =
                told(&visit, &filters).await?.stories.into_iter().filter(|story| filters.admits(story)).collect();
            let format = |at: jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M").to_string();
            let about = text("{from} to {to}, UTC").set("from", format(filters.from)).set("to", format(filters.to));
            (about, stories, false)
        }
    };
    let snapshot = visit.web.control.snapshot();
    let built = |second: u64| jiff::Timestamp::from_second(i64::try_from(second).ok()?).ok();
    let databases = snapshot.geo().databases().iter();
    let databases = databases.filter_map(|database| Some((database.kind.clone(), built(database.built)?))).collect();
    let frame = visit.frame(Place::History, text("Report")).await.under(text("History"), "/history");
    let model = visit.model();
    let members = Members::of(&model);
    let page = Report {
        frame,
        about,
        summary: summary(&stories, &visit),
        rows: stories.iter().take(MAX_ROWS).map(|story| Row::of(story, &visit, &members)).collect(),
        left_out: stories.len().saturating_sub(MAX_ROWS),
        names: names(&stories, &visit),
        databases,
        made: visit.now,
        is_single,
    };
    Ok(visit.page(&page))
}

fn summary(stories: &[Story], visit: &Visit) -> Vec<(Text, Text)> {
    let number = |n: usize| text("{n}").set("n", n);
    let of = |plot: Plot| stories.iter().filter(move |story| story.plot == plot);
    let out: u64 = of(Plot::Outage).filter_map(|story| story.seconds(visit.now)).sum();
    let unserved: std::collections::BTreeSet<&String> = stories.iter().flat_map(|story| &story.unserved).collect();
    let median = story::median_reaction_ms(stories).map_or(text("no outage"), row::short);
    vec![
        (text("Outages of pools"), number(of(Plot::Outage).count())),
        (text("Endpoints out"), number(of(Plot::Endpoint).count())),
        (text("Switches by people"), number(of(Plot::Switch).count())),
        (text("Still open"), number(stories.iter().filter(|story| story.is_open).count())),
        (text("Pools down, in all"), row::length(out)),
        (text("First failed check to new answers (median)"), median),
        (text("Names whose clients were left without a working pool"), number(unserved.len())),
    ]
}

/// How long the answers of each name were touched, the longest first.
fn names(stories: &[Story], visit: &Visit) -> Vec<(String, Text)> {
    let mut seconds: BTreeMap<&str, u64> = BTreeMap::new();
    for story in stories.iter().filter(|story| matches!(story.plot, Plot::Outage | Plot::Switch)) {
        for name in story.names() {
            *seconds.entry(name).or_default() += story.seconds(visit.now).unwrap_or(0);
        }
    }
    let mut names: Vec<(&str, u64)> = seconds.into_iter().collect();
    names.sort_by_key(|(_, seconds)| std::cmp::Reverse(*seconds));
    names.truncate(MAX_ROWS);
    names.into_iter().map(|(name, seconds)| (name.trim_end_matches('.').to_owned(), row::length(seconds))).collect()
}
