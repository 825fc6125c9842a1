//! The sentence at the top: the worst there is. The next one always says whether clients get answers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::super::filters::{figure_text, span};
use super::super::state::{PoolStates, StateWord};
use super::super::text::{Text, count, plain, text};
use crate::answer::{PlanState, RuleState, Snapshot, policy_state, worst_states};
use crate::control::geo_files::Source;
use crate::model::{Id, Name, Policy, Pool};

/// Geo data older than this is said at the top, in days: files of one's own are meant to be renewed every month, the
/// database in the program comes with a new version of it.
const OLD_GEO_DAYS: u64 = 45;
const OLD_BUNDLED_GEO_DAYS: u64 = 365;
/// Names that are named; the list has the others.
const NAMED: usize = 2;
/// Pools that are missed.
const NAMED_MISSED: usize = 3;
/// Pools that answer instead of one.
const NAMED_INSTEAD: usize = 4;
/// Policies whose causes are looked for; most failures are of few pools.
const MAX_EXPLAINED: usize = 100;

/// How the world is.
pub struct Head {
    pub sentence: Text,
    /// What follows it, sentence by sentence.
    pub said: Vec<Text>,
    /// Steered names, and those that are not answered as planned.
    pub names: usize,
    pub astray: Vec<String>,
    /// The policies of those.
    pub astray_policies: BTreeMap<Id<Policy>, PlanState>,
    pub is_bad: bool,
    /// Days since the geo database was made; `None` without one.
    pub geo_days: Option<u64>,
    /// Where the story is told.
    pub href: Option<String>,
    /// The one pool that waits to take its clients back.
    pub held: Option<Id<Pool>>,
}

/// After how many days a database is old.
fn old_days(geo: &Source) -> u64 {
    match geo {
        Source::Named(_) | Source::Uploaded(_) => OLD_GEO_DAYS,
        Source::Bundled => OLD_BUNDLED_GEO_DAYS,
    }
}

/// What the sentence is made from.
#[derive(Default)]
struct Found<'m> {
    /// Policies that do not answer as planned.
    astray: BTreeMap<&'m Id<Policy>, PlanState>,
    names: usize,
    unanswered: Vec<String>,
    last_resort: Vec<String>,
    failover: Vec<String>,
}

impl Found<'_> {
    fn astray_names(&self) -> usize {
        self.unanswered.len() + self.last_resort.len() + self.failover.len()
    }
}

impl Head {
    pub fn of(snapshot: &Snapshot, states: &PoolStates, geo: &Source, now: Timestamp) -> Head {
        let found = look(snapshot);
        let geo_days = snapshot.geo().databases().first().map(|database| {
            let seconds = now.as_second().unsigned_abs().saturating_sub(database.built);
            seconds / 86_400
        });
        let old_days = old_days(geo);
        let geo_is_old = geo_days.is_some_and(|days| days > old_days);
        let Found { names, unanswered, last_resort, failover, astray } = &found;
        let is_well = astray.is_empty();
        let n_of = |list: &[String], one: &'static str, many: &'static str| match list {
            [name] => text(one).set("name", name),
            list => text(many).set("n", list.len()).set("all", names),
        };
        let degraded = states.iter().find(|(_, shown)| shown.state == StateWord::Degraded);
        let down = states.iter().find(|(_, shown)| shown.state == StateWord::Down);
        let sentence = match (down, degraded) {
            _ if !unanswered.is_empty() => {
                n_of(unanswered, "{name} has no answer", "{n} of {all} names have no answer")
            }
            _ if !last_resort.is_empty() => n_of(
                last_resort,
                "{name} is answered by its last resort",
                "{n} of {all} names are answered by their last resort",
            ),
            _ if !failover.is_empty() => n_of(failover, "{name} is on failover", "{n} of {all} names are on failover"),
            (Some((pool, _)), _) => text("{pool} is down, and no name needs it now").set("pool", pool),
            (None, Some((pool, shown))) => text("{pool} runs with {up} of {of} endpoints")
                .set("pool", pool)
                .set("up", shown.answering())
                .set("of", shown.of),
            _ if geo_days.is_none() => text("Nothing is known about where clients are"),
            _ if geo_is_old => text("Geo data is {n} days old").set("n", geo_days.unwrap_or_default()),
            _ => count(*names, "The one name answers as planned", "All {n} names answer as planned"),
        };
        let mut said = Vec::new();
        said.extend(causes(snapshot, &found, states, now));
        said.push(match unanswered.len() {
            0 => text("Every name has an answer."),
            _ => text("Clients of {names} get no answer now.").say("names", listed(unanswered)),
        });
        if geo_is_old && is_well {
            said.push(text("Networks that moved since then are placed where they were."));
        }
        if let Some((pool, shown)) = degraded.filter(|_| !is_well || down.is_some()) {
            let words = text("<b>{pool}</b> runs with {up} of {of} endpoints.");
            said.push(words.set("pool", pool).set("up", shown.answering()).set("of", shown.of));
        }
        let is_told = |state: StateWord| matches!(state, StateWord::Down | StateWord::Degraded | StateWord::Held);
        let mut told = states.iter().filter(|(_, shown)| is_told(shown.state)).map(|(pool, _)| pool);
        let href = told.next().map(|pool| match told.next() {
            None => format!("/pools/{pool}"),
            Some(_) => "/history".to_owned(),
        });
        let mut held = states.iter().filter(|(_, shown)| shown.state == StateWord::Held).map(|(pool, _)| pool.clone());
        let held = held.next().filter(|_| held.next().is_none());
        let is_bad = !unanswered.is_empty();
        let astray_policies = astray.iter().map(|(id, state)| ((*id).clone(), *state)).collect();
        let Found { names, unanswered, last_resort, failover, .. } = found;
        let astray = [unanswered, last_resort, failover].concat();
        Head { sentence, said, names, astray, astray_policies, is_bad, geo_days, href, held }
    }
}

fn look(snapshot: &Snapshot) -> Found<'_> {
    let mut found = Found::default();
    let states = worst_states(snapshot, &snapshot.model().policies);
    for (id, policy, state) in states.filter(|(_, policy, _)| policy.enabled) {
        let mut names: Vec<&Name> = policy.attach.iter().map(|attach| &attach.name).collect();
        names.dedup();
        found.names += names.len();
        let astray = match state {
            PlanState::NoAnswer => &mut found.unanswered,
            PlanState::LastResort => &mut found.last_resort,
            PlanState::Failover => &mut found.failover,
            PlanState::AsPlanned => continue,
        };
        astray.extend(names.into_iter().map(Name::without_dot));
        found.astray.insert(id, state);
    }
    found
}

/// Clients of a pool that does not answer as planned.
#[derive(Default)]
struct Missed<'r> {
    /// Who answers them.
    instead: BTreeSet<&'r Id<Pool>>,
    /// Some get the last resort, or nothing.
    is_partly: bool,
    /// Some get it although it is held: nothing else is up.
    ends_hold: bool,
}

/// Which pools are missed, since when, and who answers for them over all names: a pool is named once, the worst first.
fn causes(snapshot: &Snapshot, found: &Found, states: &PoolStates, now: Timestamp) -> Vec<Text> {
    let mut worst_first: Vec<(PlanState, &Id<Policy>)> = found.astray.iter().map(|(id, state)| (*state, *id)).collect();
    worst_first.sort();
    let explained = worst_first.iter().take(MAX_EXPLAINED);
    let policies = explained.filter_map(|(_, id)| snapshot.model().policies.get(*id));
    let rules: Vec<RuleState> = policies.flat_map(|policy| policy_state(snapshot, policy).rules).collect();
    let mut order: Vec<&Id<Pool>> = Vec::new();
    let mut missed: BTreeMap<&Id<Pool>, Missed> = BTreeMap::new();
    let mut anyway: BTreeSet<&Id<Pool>> = BTreeSet::new();
    for rule in rules.iter().filter(|rule| rule.state != PlanState::AsPlanned) {
        if rule.state == PlanState::LastResort {
            anyway.extend(&rule.answering);
        }
        for pool in &rule.missing {
            let known = missed.entry(pool).or_insert_with(|| {
                order.push(pool);
                Missed::default()
            });
            match rule.state {
                PlanState::Failover if rule.ends_hold && rule.answering.contains(pool) => {
                    (known.is_partly, known.ends_hold) = (true, true);
                }
                PlanState::Failover => known.instead.extend(rule.answering.iter().filter(|id| *id != pool)),
                _ => known.is_partly = true,
            }
        }
    }
    let is_all = worst_first.len() <= MAX_EXPLAINED;
    let mut said = Vec::new();
    for pool in order.iter().take(NAMED_MISSED) {
        let Some(Missed { instead, is_partly, ends_hold }) = missed.get(pool) else { continue };
        said.extend(missing(states, pool, *ends_hold, now));
        if instead.is_empty() {
            continue;
        }
        let words = match is_partly {
            true => text("Clients of it that can fail over are answered from {pools}."),
            false => text("Its clients are answered from {pools}."),
        };
        said.push(words.say("pools", pools(instead, is_all)));
    }
    if order.len() > NAMED_MISSED {
        said.push(text("More pools are missed; the list of names tells of each."));
    }
    if !anyway.is_empty() {
        let words =
            text("Some clients of {names} get {pools} all the same, as the last resort: nothing of their rule is up.");
        said.push(words.say("names", listed(&found.last_resort)).say("pools", pools(&anyway, is_all)));
    }
    if !found.failover.is_empty() && found.failover.len() < found.astray_names() {
        said.push(count(found.failover.len(), "1 more name is on failover.", "{n} more names are on failover."));
    }
    said
}

/// The first few pools; more where not all were looked for.
fn pools(ids: &BTreeSet<&Id<Pool>>, is_all: bool) -> Text {
    let shown: Vec<String> = ids.iter().take(NAMED_INSTEAD).map(|pool| format!("<b>{pool}</b>")).collect();
    let words = match is_all && ids.len() <= NAMED_INSTEAD {
        true => text("{pools}"),
        false => text("{pools} and others"),
    };
    // Ids are letters, digits and dashes: nothing in them to escape.
    words.html("pools", shown.join(", "))
}

fn missing(states: &PoolStates, pool: &Id<Pool>, ends_hold: bool, now: Timestamp) -> Option<Text> {
    let shown = states.get(pool)?;
    let seconds = (now.as_millisecond().unsigned_abs().saturating_sub(shown.since_ms)) / 1000;
    let words = match shown.state {
        StateWord::Down if shown.since_ms > 0 && seconds >= 10 => text("<b>{pool}</b> has been down for {time}."),
        StateWord::Down => text("<b>{pool}</b> is down."),
        StateWord::Held if ends_hold => text(
            "<b>{pool}</b> is held, and answers all the same: nothing else of the rule is up; the next query ends the hold.",
        ),
        StateWord::Held => text("<b>{pool}</b> is up again and waits to take its clients back."),
        StateWord::Drained => text("<b>{pool}</b> is drained."),
        StateWord::Off => text("<b>{pool}</b> is off."),
        _ => text("<b>{pool}</b> takes its clients back step by step."),
    };
    // To the minute, so that the sentence changes no more often than it has to.
    let seconds = if seconds >= 60 { seconds } else { seconds / 10 * 10 };
    Some(words.set("pool", pool).say("time", span(seconds)))
}

/// The first few names.
pub fn listed(names: &[String]) -> Text {
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => plain(shown),
        more => text("{names} and {n} more").set("names", shown).set("n", figure_text(more as f64)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::super::text::Language;
    use super::*;
    use crate::geo::Base;
    use crate::health::{HealthTable, PoolHealth, PoolState};
    use crate::model::Model;

    /// `app` gets a, then b; `www` gets b.
    fn said(states: &[(&str, PoolState)]) -> (String, Vec<String>) {
        let head = head(&[("app", &["a", "b"], "no_answer"), ("www", &["b"], "no_answer")], states);
        let words = |text: &Text| text.to_html(Language::English);
        (words(&head.sentence), head.said.iter().map(words).collect())
    }

    /// Names with the pools of their steps and their last resort.
    fn head(names: &[(&str, &[&str], &str)], states: &[(&str, PoolState)]) -> Head {
        let step = |pool: &str| json!({ "pools": [{ "pool": pool }] });
        let policy = |(name, pools, last): &(&str, &[&str], &str)| {
            let steps: Vec<_> = pools.iter().map(|pool| step(pool)).collect();
            let rule = json!({ "name": "Everyone else", "steps": steps, "last_resort": last });
            let value = json!({ "attach": [{ "zone": "z", "name": format!("{name}.z.test.") }], "rules": [rule] });
            ((*name).to_owned(), value)
        };
        let policies: serde_json::Map<String, serde_json::Value> = names.iter().map(policy).collect();
        let document = json!({
            "zones": { "z": { "fqdn": "z.test.", "ns": ["a.other.test.", "b.other.test."] } },
            "endpoints": { "one": { "ipv4": "192.0.2.1" }, "two": { "ipv4": "192.0.2.2" } },
            "pools": {
                "a": { "members": [{ "endpoint": "one" }] },
                "b": { "members": [{ "endpoint": "two" }] },
                "c": { "members": [{ "endpoint": "two" }] },
            },
            "policies": policies,
        });
        let empty = Model::empty();
        let model = Arc::new(empty.check(&empty.edits_to(&document).unwrap()).unwrap().model);
        let pools: BTreeMap<_, _> = states
            .iter()
            .map(|(id, state)| {
                let health = PoolHealth { state: *state, since_ms: 940_000, ..PoolHealth::default() };
                (id.parse().unwrap(), Arc::new(health))
            })
            .collect();
        let health = HealthTable { pools, ..HealthTable::default() };
        let snapshot = Snapshot::compile(&model, &Arc::new(Base::empty()), &health, None);
        let states = PoolStates::of(&model, &health);
        Head::of(&snapshot, &states, &Source::Bundled, Timestamp::from_second(1_000).unwrap())
    }

    #[test]
    fn a_pool_of_several_names_is_answered_from_all_that_take_over() {
        let names: [(&str, &[&str], &str); 3] =
            [("app", &["a", "b"], "no_answer"), ("geo", &["a", "c"], "no_answer"), ("only", &["a"], "serve_anyway")];
        let words = |head: &Head| head.said.iter().map(|text| text.to_html(Language::English)).collect::<Vec<_>>();
        let down = "<b>a</b> has been down for 1 min.";
        let every = "Every name has an answer.";
        let two = head(&names[..2], &[("a", PoolState::Down)]);
        assert_eq!(words(&two), [down, "Its clients are answered from <b>b</b>, <b>c</b>.", every]);
        let three = head(&names, &[("a", PoolState::Down)]);
        assert_eq!(three.sentence.to_html(Language::English), "only.z.test is answered by its last resort");
        assert_eq!(
            words(&three),
            [
                down,
                "Clients of it that can fail over are answered from <b>b</b>, <b>c</b>.",
                "Some clients of only.z.test get <b>a</b> all the same, as the last resort: nothing of their rule is up.",
                "2 more names are on failover.",
                every
            ]
        );
    }

    #[test]
    fn a_pool_that_is_held_and_answers_all_the_same_is_said_to() {
        let names: [(&str, &[&str], &str); 1] = [("app", &["a", "b"], "no_answer")];
        let head = head(&names, &[("a", PoolState::Held), ("b", PoolState::Down)]);
        let words: Vec<_> = head.said.iter().map(|text| text.to_html(Language::English)).collect();
        let all_the_same =
            "<b>a</b> is held, and answers all the same: nothing else of the rule is up; the next query ends the hold.";
        assert_eq!(words, [all_the_same, "Every name has an answer."]);
    }

    #[test]
    fn the_button_leads_to_the_one_pool_or_to_the_history_of_several() {
        use PoolState::{Down, Held};
        let names: [(&str, &[&str], &str); 1] = [("app", &["a", "b", "c"], "serve_anyway")];
        for (states, href, held) in [
            (&[][..], None, None),
            (&[("a", Down)], Some("/pools/a"), None),
            (&[("a", Held)], Some("/pools/a"), Some("a")),
            (&[("a", Down), ("b", Down)], Some("/history"), None),
            (&[("a", Down), ("b", Held)], Some("/history"), Some("b")),
            (&[("a", Held), ("b", Held)], Some("/history"), None),
        ] {
            let head = head(&names, states);
            assert_eq!((head.href.as_deref(), head.held.as_ref().map(Id::as_str)), (href, held), "{states:?}");
        }
    }

    #[test]
    fn only_the_database_in_the_program_may_be_as_old_as_it() {
        let own = [Source::Named("geo.mmdb".into()), Source::Uploaded("geo/location.mmdb".into())];
        assert_eq!(own.map(|source| old_days(&source)), [OLD_GEO_DAYS; 2]);
        assert_eq!(old_days(&Source::Bundled), OLD_BUNDLED_GEO_DAYS);
    }

    #[test]
    fn the_worst_is_said_first_and_then_whether_clients_are_answered() {
        use PoolState::Down;
        let every = "Every name has an answer.".to_owned();
        assert_eq!(said(&[]), ("Nothing is known about where clients are".into(), vec![every.clone()]));
        let (head, rest) = said(&[("a", Down)]);
        assert_eq!(head, "app.z.test is on failover");
        let cause = ["<b>a</b> has been down for 1 min.", "Its clients are answered from <b>b</b>.", &every];
        assert_eq!(rest, cause);
        let (head, rest) = said(&[("b", Down)]);
        assert_eq!(
            (head.as_str(), rest.last().unwrap().as_str()),
            ("www.z.test has no answer", "Clients of www.z.test get no answer now.")
        );
        let (_, rest) = said(&[("a", Down), ("b", PoolState::Drain)]);
        let drained = "<b>b</b> is drained.".to_owned();
        assert!(rest.contains(&cause[0].to_owned()) && rest.contains(&drained), "each cause is told: {rest:?}");
        let (head, rest) = said(&[("a", Down), ("b", Down)]);
        assert_eq!(head, "2 of 2 names have no answer");
        assert_eq!(rest.last().unwrap(), "Clients of app.z.test, www.z.test get no answer now.");
    }
}
