//! The sentence at the top: the worst there is. The next one always says whether clients get answers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::super::filters::{figure_text, span};
use super::super::state::{PoolStates, StateWord};
use super::super::text::{Text, count, plain, text};
use crate::answer::{PlanState, Snapshot, policy_state, worst_states};
use crate::control::geo_files::Source;
use crate::model::{Id, Name, Policy, Pool};

/// Geo data older than this is said at the top, in days: files of one's own are meant to be renewed every month, the
/// database in the program comes with a new version of it.
const OLD_GEO_DAYS: u64 = 45;
const OLD_BUNDLED_GEO_DAYS: u64 = 365;
/// Pools and names that are named; the lists have the others.
const NAMED: usize = 2;
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
        said.extend(causes(snapshot, astray, states, now));
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
        let href = down.or(degraded).map(|(pool, _)| format!("/pools/{pool}"));
        let is_bad = !unanswered.is_empty();
        let astray_policies = astray.iter().map(|(id, state)| ((*id).clone(), *state)).collect();
        let Found { names, unanswered, last_resort, failover, .. } = found;
        let astray = [unanswered, last_resort, failover].concat();
        Head { sentence, said, names, astray, astray_policies, is_bad, geo_days, href }
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

/// Which pools are missed, since when, and who answers for them: a pool is named once, the worst first.
fn causes(
    snapshot: &Snapshot,
    astray: &BTreeMap<&Id<Policy>, PlanState>,
    states: &PoolStates,
    now: Timestamp,
) -> Vec<Text> {
    let mut worst_first: Vec<(PlanState, &Id<Policy>)> = astray.iter().map(|(id, state)| (*state, *id)).collect();
    worst_first.sort();
    let mut named: BTreeSet<Id<Pool>> = BTreeSet::new();
    let mut said = Vec::new();
    for policy in worst_first.iter().take(MAX_EXPLAINED).filter_map(|(_, id)| snapshot.model().policies.get(*id)) {
        let state = policy_state(snapshot, policy);
        let Some(rule) = state.rules.iter().min_by_key(|rule| rule.state) else { continue };
        let fresh: Vec<&Id<Pool>> = rule.missing.iter().filter(|pool| !named.contains(*pool)).collect();
        if fresh.is_empty() {
            continue;
        }
        if named.len() >= NAMED {
            said.push(text("More pools are missed; the list of names tells of each."));
            break;
        }
        said.extend(fresh.iter().take(NAMED).filter_map(|pool| missing(states, pool, now)));
        named.extend(fresh.into_iter().cloned());
        if !rule.answering.is_empty() {
            let pools = rule.answering.iter().take(NAMED).map(|pool| format!("<b>{pool}</b>"));
            // Ids are letters, digits and dashes: nothing in them to escape.
            let pools = pools.collect::<Vec<_>>().join(", ");
            let words = match rule.state {
                PlanState::LastResort => text("No pool of it is up, so clients get {pools} all the same."),
                _ => text("Its clients are answered from {pools}."),
            };
            said.push(words.html("pools", pools));
        }
    }
    said
}

fn missing(states: &PoolStates, pool: &Id<Pool>, now: Timestamp) -> Option<Text> {
    let shown = states.get(pool)?;
    let seconds = (now.as_millisecond().unsigned_abs().saturating_sub(shown.since_ms)) / 1000;
    let words = match shown.state {
        StateWord::Down if shown.since_ms > 0 && seconds >= 10 => text("<b>{pool}</b> has been down for {time}."),
        StateWord::Down => text("<b>{pool}</b> is down."),
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
        let step = |pool: &str| json!({ "pools": [{ "pool": pool }] });
        let policy = |name: &str, steps: Vec<serde_json::Value>| {
            json!({ "attach": [{ "zone": "z", "name": name }],
                    "rules": [{ "name": "Everyone else", "steps": steps, "last_resort": "no_answer" }] })
        };
        let document = json!({
            "zones": { "z": { "fqdn": "z.test.", "ns": ["a.other.test.", "b.other.test."] } },
            "endpoints": { "one": { "ipv4": "192.0.2.1" }, "two": { "ipv4": "192.0.2.2" } },
            "pools": { "a": { "members": [{ "endpoint": "one" }] }, "b": { "members": [{ "endpoint": "two" }] } },
            "policies": { "app": policy("app.z.test.", vec![step("a"), step("b")]), "www": policy("www.z.test.", vec![step("b")]) },
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
        let head = Head::of(
            &snapshot,
            &PoolStates::of(&model, &health),
            &Source::Bundled,
            Timestamp::from_second(1_000).unwrap(),
        );
        let words = |text: &Text| text.to_html(Language::English);
        (words(&head.sentence), head.said.iter().map(words).collect())
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
