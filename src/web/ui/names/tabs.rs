//! The tabs of a name beside its steering and traffic: its fixed records, its tests, and what happened to its pools.
//! They tell; only tests are edited here.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::cause;
use super::super::clash::{Kept, keep};
use super::super::dock::Dock;
use super::super::filters;
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
use super::super::text::{Text, plain, text};
use super::super::visit::{Visit, see};
use super::page::{Head, head};
use super::steering::Choices;
use super::{World, path};
use crate::answer::{Verdict, rehearse};
use crate::control::simulate::At;
use crate::health::{Event, EventKind};
use crate::model::{Edit, FieldError, Id, Kind, MAX_ID, Name, Policy, Test};
use crate::web::Problem;
use crate::web::extract::Path;

/// Events that the history lists, and those of each pool that it is made of.
pub const MAX_EVENTS: usize = 50;

pub async fn framed(visit: &Visit, world: &World, name: &Name, tab: &'static str) -> (Frame, Head) {
    let head = head(visit, world, name, tab, false);
    let frame = visit.frame(Place::Names, plain(&head.name)).await.under(text("Names"), "/names");
    (frame, head)
}

#[derive(Template)]
#[template(path = "ui/name_records.html")]
struct Records {
    frame: Frame,
    head: Head,
    /// Type, TTL, values, and whether the policy answers instead of it.
    rows: Vec<(String, u32, Vec<String>, bool)>,
    zone: String,
}

pub async fn records(visit: &Visit, world: &World, name: &Name) -> Result<Response, Problem> {
    let (frame, head) = framed(visit, world, name, "records").await;
    let rows = record_rows(world, name);
    let zone = super::options::zone_of(&world.drafted, name).map(|zone| zone.to_string()).unwrap_or_default();
    Ok(visit.page(&Records { frame, head, rows, zone }))
}

/// Type, TTL, values, and whether something else answers.
pub fn record_rows(world: &World, name: &Name) -> Vec<(String, u32, Vec<String>, bool)> {
    let steered = world.policy_of(name).filter(|(_, policy)| policy.enabled).map(|(_, policy)| policy);
    let steered: BTreeSet<_> = steered
        .iter()
        .flat_map(|policy| &policy.attach)
        .filter(|attach| attach.name == *name)
        .flat_map(|attach| attach.types.clone())
        .collect();
    let sets = world.drafted.records.iter().filter(|(key, _)| key.name == *name);
    let rows = sets.map(|(key, set)| {
        let default_ttl = world.drafted.zones.get(&key.zone).map_or(0, |zone| zone.default_ttl);
        let values = set.values.iter().map(|value| value.present(key.rtype)).collect();
        (key.rtype.to_string(), set.ttl.unwrap_or(default_ttl), values, steered.contains(&key.rtype) || !set.enabled)
    });
    rows.collect()
}

#[derive(Template)]
#[template(path = "ui/name_tests.html")]
struct Tests {
    frame: Frame,
    head: Head,
    rows: Vec<TestShown>,
    form: TestForm,
    pools: Choices,
    types: Vec<String>,
    faults: Faults,
    beside: Vec<String>,
    dock: Dock,
}

/// A kept test and how it comes out.
struct TestShown {
    id: String,
    name: String,
    question: String,
    client: String,
    down: String,
    passed: bool,
    expected: String,
    because: String,
}

/// A test as typed.
#[derive(Default)]
struct TestForm {
    /// Of the test that is edited; empty for another one.
    id: String,
    title: String,
    rtype: String,
    client: String,
    via: String,
    expect: Vec<String>,
    down: Vec<String>,
    nothing: bool,
}

impl TestForm {
    fn of_test(test: &Test) -> TestForm {
        TestForm {
            id: test.meta.id.clone(),
            title: test.meta.name.clone(),
            rtype: test.rtype.to_string(),
            client: test.client.to_string(),
            via: super::rule_form::word(&test.via),
            expect: test.expect.iter().map(ToString::to_string).collect(),
            down: test.down.iter().map(ToString::to_string).collect(),
            nothing: test.expect_nothing,
        }
    }

    fn of_form(form: &Form) -> TestForm {
        let filled = |name: &str| form.all(name).filter(|value| !value.is_empty()).map(str::to_owned).collect();
        TestForm {
            id: form.text("id").into(),
            title: form.text("title").into(),
            rtype: form.text("type").into(),
            client: form.text("client").into(),
            via: form.text("via").into(),
            expect: filled("expect"),
            down: filled("down"),
            nothing: form.has("nothing"),
        }
    }

    fn put(&self, value: &mut Map<String, Value>, name: &Name) {
        value.insert("name".into(), self.title.as_str().into());
        value.insert("qname".into(), json!(name));
        value.insert("type".into(), self.rtype.as_str().into());
        value.insert("client".into(), self.client.as_str().into());
        value.insert("via".into(), self.via.as_str().into());
        value.insert("down".into(), json!(self.down));
        if self.nothing {
            value.insert("expect_nothing".into(), true.into());
            value.remove("expect_answers");
        } else {
            value.remove("expect_nothing");
        }
        if !self.expect.is_empty() {
            value.insert("expect".into(), json!(self.expect));
            value.remove("expect_answers");
        } else {
            value.remove("expect");
        }
    }

    fn expect_and_one(&self) -> Vec<String> {
        self.expect.iter().cloned().chain([String::new()]).collect()
    }

    fn down_and_one(&self) -> Vec<String> {
        self.down.iter().cloned().chain([String::new()]).collect()
    }
}

/// The tests of a name, or of all where it is `None`, with their verdicts in the draft.
pub async fn verdicts(visit: &Visit, world: &World, name: Option<&Name>) -> Vec<(Id<Test>, Verdict)> {
    let wanted = |test: &Test| name.is_none_or(|name| test.qname == *name);
    let mine: Vec<_> = world.drafted.tests.iter().filter(|(_, test)| wanted(test)).collect();
    if mine.is_empty() {
        return Vec::new();
    }
    let snapshot = match visit.web.control.world(At::Draft, &visit.user().id).await {
        Ok(world) => world.snapshot,
        Err(_) => world.snapshot.clone(),
    };
    let found = rehearse(&snapshot, mine.iter().map(|(_, test)| *test));
    mine.into_iter().map(|(id, _)| id.clone()).zip(found).collect()
}

pub async fn tests(visit: &Visit, world: &World, name: &Name) -> Result<Response, Problem> {
    let query = visit.here.split_once('?').map_or("", |(_, query)| query);
    let query = Form::parse(query.as_bytes())?;
    let edited = query.text("test").parse().ok().and_then(|id| world.drafted.tests.get(&id));
    let form = edited.map(|test| TestForm::of_test(test)).unwrap_or_default();
    tests_page(visit, world, name, form, Faults::default(), StatusCode::OK).await
}

async fn tests_page(
    visit: &Visit,
    world: &World,
    name: &Name,
    mut form: TestForm,
    faults: Faults,
    status: StatusCode,
) -> Result<Response, Problem> {
    let (frame, head) = framed(visit, world, name, "tests").await;
    let row = |(id, verdict): (Id<Test>, Verdict)| {
        let test = world.drafted.tests.get(&id)?;
        Some(TestShown {
            id: id.to_string(),
            name: test.meta.name.clone(),
            question: test.rtype.to_string(),
            client: test.client.to_string(),
            down: test.down.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            passed: verdict.passed,
            expected: verdict.expected,
            because: verdict.because,
        })
    };
    let mut rows: Vec<TestShown> = verdicts(visit, world, Some(name)).await.into_iter().filter_map(row).collect();
    rows.sort_by_key(|row| row.passed);
    let types = types_with(&head.types, &mut form.rtype);
    let beside = faults.beside(&["name", "type", "client", "expect", "down", "expect_nothing"]);
    let (pools, dock) = (Choices::pools(&world.drafted), Dock::of(visit, &world.draft));
    Ok(visit.page_with(status, &Tests { frame, head, rows, form, pools, types, faults, beside, dock }))
}

/// The types of a name, to choose from: with that of the test, which may ask for another, or the first where it has none.
fn types_with(types: &str, chosen: &mut String) -> Vec<String> {
    let mut types: Vec<String> = types.split(", ").filter(|word| !word.is_empty()).map(str::to_owned).collect();
    if chosen.is_empty() {
        *chosen = types.first().cloned().unwrap_or_else(|| "A".into());
    }
    if !types.contains(chosen) {
        types.push(chosen.clone());
    }
    types
}

/// Keeps a test, or deletes it, in the draft.
pub async fn keep_test(visit: Visit, Path(name): Path<String>, form: Form) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let typed = TestForm::of_form(&form);
    let known = world.drafted.entity(Kind::Tests, &typed.id);
    let there = format!("{}?tab=tests", path(&name));
    let (id, value) = match (form.text("do"), known) {
        ("delete", Some(_)) => (typed.id.clone(), None),
        ("delete", None) => return Ok(see(&there)),
        (_, known) => {
            let id = if known.is_some() { typed.id.clone() } else { free_test_id(&world, &name) };
            let mut value = known.and_then(|value| value.as_object().cloned()).unwrap_or_default();
            typed.put(&mut value, &name);
            (id, Some(Value::from(value)))
        }
    };
    let deletes = value.is_none();
    let edit = Edit { kind: Kind::Tests, id: id.clone(), value };
    let back = match deletes {
        true => there.clone(),
        false => format!("{there}&test={id}#keep"),
    };
    match keep(&visit, vec![edit], &back).await? {
        Kept::Clash(page) => Ok(page),
        Kept::Drafted => {
            visit.say(text(if deletes { "Test deleted in your draft." } else { "Test kept in your draft." }));
            Ok(see(&there))
        }
        Kept::Wrong(errors) => {
            let in_words = |error: FieldError| match error.at.ends_with(" expect") && error.problem == "is missing" {
                true => {
                    let remedy = "choose the pools that must answer, or tick that there must be no answer";
                    FieldError::new(error.at, "nothing is expected", remedy)
                }
                false => error,
            };
            let errors = errors.into_iter().map(in_words).collect();
            let faults = Faults::new(errors, &format!("tests/{id} "));
            tests_page(&visit, &world, &name, typed, faults, StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}

fn free_test_id(world: &World, name: &Name) -> String {
    let label: String = name.without_dot().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let label: String = label.trim_matches('-').chars().take(MAX_ID - 6).collect();
    let label = if label.is_empty() { "test".into() } else { label };
    let numbered = (1..).map(|n| format!("{label}-{n}"));
    let free = |id: &String| id.parse().is_ok_and(|id| !world.drafted.tests.contains_key(&id));
    numbered.into_iter().find(free).unwrap_or_default()
}

/// Of the tests of a name, those that pass, and all.
pub async fn passing(visit: &Visit, world: &World, name: &Name) -> (usize, usize) {
    let verdicts = verdicts(visit, world, Some(name)).await;
    (verdicts.iter().filter(|(_, verdict)| verdict.passed).count(), verdicts.len())
}

#[derive(Template)]
#[template(path = "ui/name_history.html")]
struct History {
    frame: Frame,
    head: Head,
    events: Vec<EventShown>,
}

struct EventShown {
    at: Timestamp,
    icon: &'static str,
    class: &'static str,
    subject: String,
    path: String,
    change: Option<Text>,
    cause: Text,
    actor: String,
    incident: Option<u64>,
}

pub async fn history(visit: &Visit, world: &World, name: &Name) -> Result<Response, Problem> {
    let (frame, head) = framed(visit, world, name, "history").await;
    let found = super::policy_of(&world.live, name).map(|(_, policy)| policy.clone());
    let events = match &found {
        Some(policy) => events(visit, policy).await?,
        None => Vec::new(),
    };
    let events = events.iter().map(|event| event_shown(event)).collect();
    Ok(visit.page(&History { frame, head, events }))
}

/// What happened to the pools of a policy, the newest first.
pub async fn events(visit: &Visit, policy: &Policy) -> Result<Vec<Arc<Event>>, Problem> {
    Ok(visit.web.control.history_of(&pools(policy), MAX_EVENTS).await?)
}

/// The pools of a policy as events name them.
pub fn pools(policy: &Policy) -> BTreeSet<String> {
    let pools = policy.rules.iter().flat_map(|rule| &rule.steps).flat_map(|step| &step.pools);
    pools.map(|one| format!("pools/{}", one.pool)).collect()
}

fn event_shown(event: &Event) -> EventShown {
    let (icon, class) = match (event.kind, event.to.as_str()) {
        (EventKind::Switch, _) => ("hand", "muted"),
        (_, "down") => ("octagon-x", "badc"),
        (_, "held") => ("hand", "warnc"),
        (_, "ok") => ("circle-check", "okc"),
        _ => ("circle-arrow-down", "muted"),
    };
    let subject = event.subject.strip_prefix("pools/").unwrap_or(&event.subject).to_owned();
    let said = !event.from.is_empty() || !event.to.is_empty();
    EventShown {
        at: event.at,
        icon,
        class,
        path: format!("/pools/{subject}"),
        subject,
        change: said.then(|| text("{from} → {to}").fact("from", "state", &event.from).fact("to", "state", &event.to)),
        cause: cause::of_event(event),
        actor: event.actor.clone(),
        incident: event.incident,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_of_another_type_keeps_its_type() {
        for (types, chosen, expected) in [
            ("A, AAAA", "MX", (vec!["A", "AAAA", "MX"], "MX")),
            ("A, AAAA", "AAAA", (vec!["A", "AAAA"], "AAAA")),
            ("AAAA", "", (vec!["AAAA"], "AAAA")),
            ("", "", (vec!["A"], "A")),
        ] {
            let mut chosen = chosen.to_owned();
            assert_eq!(
                (types_with(types, &mut chosen), chosen.as_str()),
                (expected.0.iter().map(|word| (*word).to_owned()).collect(), expected.1)
            );
        }
    }
}
