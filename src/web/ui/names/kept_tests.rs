//! All kept tests with how they come out in the reader's draft, those that fail first.

use askama::Template;
use axum::response::Response;
use serde_json::json;

use super::super::clash::{Kept, keep};
use super::super::dock::Dock;
use super::super::export;
use super::super::filters;
use super::super::form::Form;
use super::super::frame::{Frame, Place};
use super::super::text::{Text, count, text};
use super::super::visit::{Visit, see};
use super::tabs::verdicts;
use super::{World, path};
use crate::model::{Edit, Kind};
use crate::web::Problem;

/// Tests on one page.
const PAGE: usize = 50;
const PATH: &str = "/names/tests";

/// Which tests are shown, as the URL says it.
#[derive(Debug, Clone, Default)]
struct Filters {
    q: String,
    result: String,
    page: usize,
}

impl Filters {
    fn of(visit: &Visit) -> Filters {
        let query = visit.here.split_once('?').map_or("", |(_, query)| query);
        let form = Form::parse(query.as_bytes()).unwrap_or_default();
        let page = form.text("page").parse().unwrap_or(1).max(1);
        Filters { q: form.text("q").to_lowercase(), result: form.text("result").into(), page }
    }

    fn is_empty(&self) -> bool {
        self.q.is_empty() && self.result.is_empty()
    }

    fn query(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("q", &self.q), ("result", &self.result)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if page > 1 {
            query.append_pair("page", &page.to_string());
        }
        query.finish()
    }

    fn admits(&self, row: &Row) -> bool {
        let holds = |text: &String| text.to_lowercase().contains(&self.q);
        let result = match self.result.as_str() {
            "fails" => !row.passed,
            "passes" => row.passed,
            _ => true,
        };
        result && [&row.id, &row.title, &row.name, &row.client, &row.expected].into_iter().any(holds)
    }
}

struct Row {
    id: String,
    title: String,
    name: String,
    /// Where it is edited; empty where its name is no longer answered.
    tab: String,
    rtype: String,
    client: String,
    down: String,
    passed: bool,
    expected: String,
    because: String,
    changed: bool,
}

async fn rows(visit: &Visit, world: &World, filters: &Filters) -> Vec<Row> {
    let found = verdicts(visit, world, None).await;
    let row = |(id, verdict): (crate::model::Id<crate::model::Test>, crate::answer::Verdict)| {
        let test = world.drafted.tests.get(&id)?;
        Some(Row {
            title: test.meta.name.clone(),
            name: test.qname.without_dot(),
            tab: path(&test.qname),
            rtype: test.rtype.to_string(),
            client: test.client.to_string(),
            down: test.down.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            passed: verdict.passed,
            expected: verdict.expected,
            because: verdict.because,
            changed: world.draft.of(Kind::Tests, id.as_str()).is_some(),
            id: id.to_string(),
        })
    };
    let mut rows: Vec<Row> = found.into_iter().filter_map(row).filter(|row| filters.admits(row)).collect();
    rows.sort_by(|a, b| (a.passed, &a.name, &a.id).cmp(&(b.passed, &b.name, &b.id)));
    rows
}

#[derive(Template)]
#[template(path = "ui/names_tests.html")]
struct List {
    frame: Frame,
    summary: Text,
    filters: Filters,
    results: [(&'static str, &'static str); 3],
    all: usize,
    total: usize,
    rows: Vec<Row>,
    export: String,
    earlier: Option<String>,
    later: Option<String>,
    pages: usize,
    dock: Dock,
}

pub async fn show(visit: Visit) -> Result<Response, Problem> {
    let (world, mut filters) = (World::of(&visit).await, Filters::of(&visit));
    let all = world.drafted.tests.len();
    let mut rows = rows(&visit, &world, &filters).await;
    let (total, failing) = (rows.len(), rows.iter().filter(|row| !row.passed).count());
    let pages = total.div_ceil(PAGE).max(1);
    filters.page = filters.page.min(pages);
    rows = rows.into_iter().skip((filters.page - 1) * PAGE).take(PAGE).collect();
    for row in &mut rows {
        if world.name(&row.name).is_err() {
            row.tab.clear();
        }
    }
    let summary = match failing {
        0 => text("They run before every publication, and here with your draft."),
        n => count(n, "{n} test fails. It would stop a publication.", "{n} tests fail. They would stop a publication."),
    };
    let (earlier, later) = (filters.page.checked_sub(1).filter(|page| *page > 0), filters.page + 1);
    let list = List {
        frame: visit.frame(Place::Names, text("Kept tests")).await.under(text("Names"), "/names"),
        summary,
        results: [("", "All results"), ("fails", "Fails"), ("passes", "Passes")],
        all,
        total,
        rows,
        export: filters.query(1),
        earlier: earlier.map(|page| filters.query(page)),
        later: (later <= pages).then(|| filters.query(later)),
        pages,
        dock: Dock::of(&visit, &world.draft),
        filters,
    };
    Ok(visit.page(&list))
}

pub async fn csv(visit: Visit) -> Result<Response, Problem> {
    let rows = rows(&visit, &World::of(&visit).await, &Filters::of(&visit)).await;
    let columns = ["id", "title", "name", "type", "client", "down", "passes", "expected", "because"];
    let row = |row: Row| {
        let passes = row.passed.to_string();
        vec![row.id, row.title, row.name, row.rtype, row.client, row.down, passes, row.expected, row.because]
    };
    export::csv("tests", &columns, rows.into_iter().map(row))
}

pub async fn json(visit: Visit) -> Result<Response, Problem> {
    let rows = rows(&visit, &World::of(&visit).await, &Filters::of(&visit)).await;
    let row = |row: Row| {
        json!({
            "id": row.id, "title": row.title, "name": row.name, "type": row.rtype, "client": row.client,
            "down": row.down, "passes": row.passed, "expected": row.expected, "because": row.because,
        })
    };
    Ok(export::json("tests", rows.into_iter().map(row).collect::<Vec<_>>()))
}

/// In the draft; `back` are the filters of the page.
pub async fn delete(visit: Visit, form: Form) -> Result<Response, Problem> {
    let id = form.text("id").to_owned();
    let edit = Edit { kind: Kind::Tests, id: id.clone(), value: None };
    let back = Form::parse(form.text("back").as_bytes())?;
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&back.0).finish();
    let back = format!("{PATH}?{query}");
    match keep(&visit, vec![edit], &back).await? {
        Kept::Drafted => {
            visit.say(text("Test deleted in your draft."));
            Ok(see(&back))
        }
        Kept::Wrong(errors) => Err(Problem::fields(errors)),
        Kept::Clash(page) => Ok(page),
    }
}
