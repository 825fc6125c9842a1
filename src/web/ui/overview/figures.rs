//! The six figures under the sentence. What was not measured has no figure.

use super::super::filters::{figure_text, percent_text};
use super::super::state::{StateWord, endpoint_state};
use super::super::text::{Text, plain, text};
use super::head::{Head, listed};
use crate::answer::Snapshot;
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
    vec![queries, time, names(head), endpoints(control, snapshot), subnet, geo(snapshot, head)]
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
    let (mut up, mut all, mut down) = (0, 0, Vec::new());
    for (id, state) in states.filter(|(_, state)| *state != StateWord::Off) {
        all += 1;
        match state {
            StateWord::Down => down.push(id.to_string()),
            _ => up += 1,
        }
    }
    let (below, state) = match down.as_slice() {
        [] => (text("all of them"), StateWord::Up),
        down => (text("down: {names}").say("names", listed(down)), StateWord::Down),
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
    use super::super::super::text::Language;
    use super::*;

    #[test]
    fn a_week_ago_is_compared_in_whole_percent() {
        let said = |now, then| week_on_week(now, then).to_html(Language::English);
        assert_eq!(
            [said(106.0, 100.0), said(50.0, 100.0), said(100.2, 100.0)],
            ["6% above a week ago", "50% below a week ago", "as a week ago"]
        );
    }
}
