//! The six figures under the sentence. What was not measured has no figure.

use super::super::filters::{figure_text, percent_text};
use super::super::state::{StateWord, endpoint_state};
use super::super::text::{Text, plain, text};
use super::head::{Head, listed};
use crate::answer::{PlanState, Snapshot, policy_state};
use crate::control::Control;

pub struct Figure {
    pub label: &'static str,
    pub value: String,
    pub unit: Text,
    pub below: Text,
    /// `Up` has no shape beside it.
    pub state: StateWord,
}

impl Figure {
    fn new(label: &'static str, value: impl Into<String>, unit: Text, below: Text) -> Figure {
        Figure { label, value: value.into(), unit, below, state: StateWord::Up }
    }

    pub fn class(&self) -> &'static str {
        match self.state {
            StateWord::Down => "badc",
            StateWord::Degraded => "warnc",
            _ => "",
        }
    }
}

/// Where there is nothing to say yet.
const NONE: &str = "–";

pub fn figures(control: &Control, snapshot: &Snapshot, head: &Head) -> Vec<Figure> {
    let (rate, answer_time, weeks, subnets) = {
        let traffic = control.shared().traffic.lock();
        let series = &traffic.series;
        (traffic.rate(), traffic.answer_time(), series.week_on_week(), series.subnet_share())
    };
    let below = weeks.map_or(text("over the last minute"), |(now, then)| week_on_week(now, then));
    let queries = Figure::new("Queries", figure_text(rate), text("per second"), below);
    let time = match answer_time {
        Some(time) => {
            let value = format!("{:.2}", time.as_secs_f64() * 1e3);
            Figure::new("Answer time, p99", value, text("ms"), text("in this server, over UDP"))
        }
        None => Figure::new("Answer time, p99", NONE, text(""), text("too few queries to say")),
    };
    let subnet = match subnets {
        Some(share) => {
            let value = percent_text(share).trim_end_matches('%').to_owned();
            Figure::new("By client subnet", value, text("%"), text("rest by resolver"))
        }
        None => Figure::new("By client subnet", NONE, text(""), text("no queries in the last hour")),
    };
    let mut figures = vec![queries, time, names(head), endpoints(control, snapshot), subnet, geo(snapshot, head)];
    figures.extend(residency(snapshot));
    figures
}

/// The rules whose clients must never leave a region. That no pool of theirs stands outside is checked with every
/// change; what can happen is that none of their pools is left. `None` where there is no such rule.
fn residency(snapshot: &Snapshot) -> Option<Figure> {
    let (mut all, mut dead) = (0, Vec::new());
    for policy in snapshot.model().policies.values().filter(|policy| policy.enabled) {
        let locked = |number: usize| policy.rules.get(number).is_some_and(|rule| rule.residency_lock.is_some());
        if !policy.rules.iter().any(|rule| rule.enabled && rule.residency_lock.is_some()) {
            continue;
        }
        for rule in policy_state(snapshot, policy).rules.iter().filter(|rule| locked(rule.rule)) {
            all += 1;
            if rule.state <= PlanState::LastResort {
                dead.extend(policy.attach.first().map(|attach| attach.name.without_dot()));
            }
        }
    }
    dead.dedup();
    let (below, state) = match dead.as_slice() {
        [] => (text("each with a living pool inside its region"), StateWord::Up),
        dead => (text("no living pool left for {names}").say("names", listed(dead)), StateWord::Down),
    };
    let unit = text("of {all}").set("all", all);
    let kept = Figure::new("Residency rules kept", all.to_string(), unit, below);
    (all > 0).then_some(Figure { state, ..kept })
}

fn week_on_week(now: f64, then: f64) -> Text {
    let percent = ((now / then - 1.0) * 100.0).round();
    match percent {
        0.0 => text("as a week ago"),
        p if p > 0.0 => text("{n}% above a week ago").set("n", p),
        p => text("{n}% below a week ago").set("n", -p),
    }
}

fn names(head: &Head) -> Figure {
    let planned = head.names.saturating_sub(head.astray.len());
    let (below, state) = match (head.astray.as_slice(), head.is_bad) {
        ([], _) => (text("all of them"), StateWord::Up),
        (astray, true) => (text("except {names}").say("names", listed(astray)), StateWord::Down),
        (astray, false) => (text("except {names}").say("names", listed(astray)), StateWord::Degraded),
    };
    let unit = text("of {all}").set("all", head.names);
    Figure { state, ..Figure::new("Names as planned", planned.to_string(), unit, below) }
}

fn endpoints(control: &Control, snapshot: &Snapshot) -> Figure {
    let (model, health) = (snapshot.model(), control.health());
    let states = model.endpoints.keys().map(|id| (id, endpoint_state(model, &health, id)));
    let (mut all, mut down, mut no_data) = (0, Vec::new(), Vec::new());
    for (id, state) in states.filter(|(_, state)| *state != StateWord::Off) {
        all += 1;
        match state {
            StateWord::Down => down.push(id.to_string()),
            StateWord::NoData => no_data.push(id.to_string()),
            _ => {}
        }
    }
    let up = all - down.len() - no_data.len();
    let (below, state) = match (down.as_slice(), no_data.as_slice()) {
        ([], []) => (text("all of them"), StateWord::Up),
        ([], no_data) => (text("no data: {names}").say("names", listed(no_data)), StateWord::NoData),
        (down, []) => (text("down: {names}").say("names", listed(down)), StateWord::Down),
        (down, no_data) => (
            text("down: {names}, no data: {others}").say("names", listed(down)).say("others", listed(no_data)),
            StateWord::Down,
        ),
    };
    Figure { state, ..Figure::new("Endpoints up", up.to_string(), text("of {all}").set("all", all), below) }
}

fn geo(snapshot: &Snapshot, head: &Head) -> Figure {
    match (head.geo_days, snapshot.geo().databases().first()) {
        (Some(days), Some(database)) => {
            let unit = if days == 1 { text("day old") } else { text("days old") };
            Figure::new("Geo data", days.to_string(), unit, plain(&database.kind))
        }
        _ => {
            let below = text("no database; clients have no place");
            Figure { state: StateWord::Degraded, ..Figure::new("Geo data", NONE, text(""), below) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::super::text::Language;
    use super::*;
    use crate::answer::switched;
    use crate::geo::Base;
    use crate::health::{HealthTable, PoolState};
    use crate::model::Model;

    /// Rules of the zone's two names: `app` is locked to Europe, `www` is not.
    fn locked(down: &[&str]) -> Option<(String, StateWord, String)> {
        let rule = |pool: &str, lock: Option<&str>| {
            let steps = [json!({ "pools": [{ "pool": pool }] })];
            json!([{ "name": "Everyone else", "steps": steps, "last_resort": "no_answer", "residency_lock": lock }])
        };
        let policy = |name: &str, rules| json!({ "attach": [{ "zone": "z", "name": name }], "rules": rules });
        let document = json!({
            "zones": { "z": { "fqdn": "z.test.", "ns": ["a.other.test.", "b.other.test."] } },
            "endpoints": { "one": { "ipv4": "192.0.2.1" }, "two": { "ipv4": "192.0.2.2" } },
            "pools": { "de": { "country": "DE", "members": [{ "endpoint": "one" }] },
                       "us": { "country": "US", "members": [{ "endpoint": "two" }] } },
            "policies": { "app": policy("app.z.test.", rule("de", Some("europe"))),
                          "www": policy("www.z.test.", rule("us", None)) },
        });
        let empty = Model::empty();
        let model = Arc::new(empty.check(&empty.edits_to(&document).unwrap()).unwrap().model);
        let health = down
            .iter()
            .fold(HealthTable::default(), |health, pool| switched(&health, &pool.parse().unwrap(), PoolState::Down));
        let snapshot = Snapshot::compile(&model, &Arc::new(Base::empty()), &health, None);
        let figure = residency(&snapshot)?;
        let words = |text: &Text| text.to_html(Language::English);
        Some((format!("{} {}", figure.value, words(&figure.unit)), figure.state, words(&figure.below)))
    }

    #[test]
    fn residency_rules_are_counted_and_those_without_a_living_pool_are_named() {
        let kept = "each with a living pool inside its region".to_owned();
        assert_eq!(locked(&[]), Some(("1 of 1".into(), StateWord::Up, kept.clone())));
        assert_eq!(locked(&["us"]), Some(("1 of 1".into(), StateWord::Up, kept)), "no rule of that pool is locked");
        let dead = "no living pool left for app.z.test".to_owned();
        assert_eq!(locked(&["de"]), Some(("1 of 1".into(), StateWord::Down, dead)));
        let snapshot =
            Snapshot::compile(&Arc::new(Model::empty()), &Arc::new(Base::empty()), &HealthTable::default(), None);
        assert!(residency(&snapshot).is_none());
    }

    #[test]
    fn a_week_ago_is_compared_in_whole_percent() {
        let said = |now, then| week_on_week(now, then).to_html(Language::English);
        assert_eq!(
            [said(106.0, 100.0), said(50.0, 100.0), said(100.2, 100.0)],
            ["6% above a week ago", "50% below a week ago", "as a week ago"]
        );
    }
}
