//! What changed, in sentences that an operator can check before it is published.

mod fields;

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Change, Endpoint, Id, Kind, Model, Name, Policy, Pool, RecordSet, Zone, sentence, without_dot};

/// More than anybody reads; the rest is counted.
const MAX_SENTENCES: usize = 20;

/// One sentence per difference, most important first: what steers, then what is steered to, then data.
pub fn sentences(before: &Model, after: &Model, changes: &[Change]) -> Vec<String> {
    let sorted = by_importance(changes).into_iter().filter(|change| !is_part_of_a_zone(before, after, change));
    let mut sentences: Vec<String> = sorted.flat_map(|change| describe(before, after, change)).collect();
    if sentences.len() > MAX_SENTENCES + 1 {
        let more = sentences.len() - MAX_SENTENCES;
        sentences.truncate(MAX_SENTENCES);
        sentences.push(format!("And {more} more changes."));
    }
    sentences
}

/// What steers first, then what is steered to, then data; of these, what goes before what comes.
pub fn by_importance(changes: &[Change]) -> Vec<&Change> {
    let mut sorted: Vec<&Change> = changes.iter().collect();
    sorted.sort_by_key(|change| rank(change));
    sorted
}

/// The plain fields that differ, e.g. `ttl goes from 30 to 60`; without those of `covered`.
pub fn field_phrases(old: &Value, new: &Value, covered: &[&str]) -> Vec<String> {
    fields::phrases(old, new, covered)
}

/// What one change says, as a line of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub sign: Sign,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It is so now and would be no more.
    Gone,
    New,
    /// One thing into another, said in one sentence.
    Changed,
}

/// One change in lines: rules as they read before and after, the rest in sentences.
pub fn lines(before: &Model, after: &Model, change: &Change) -> Vec<Line> {
    let line = |sign: Sign| move |text: String| Line { sign, text };
    let (was, is) = match (&change.before, &change.after) {
        (None, None) => return Vec::new(),
        (None, Some(_)) => return vec![line(Sign::New)(appeared(after, change))],
        (Some(_), None) => return vec![line(Sign::Gone)(disappeared(before, change))],
        (Some(_), Some(_)) => (policy(before, &change.id), policy(after, &change.id)),
    };
    let (Some(was), Some(is), Kind::Policies) = (was, is, change.kind) else {
        return describe(before, after, change).into_iter().map(line(Sign::Changed)).collect();
    };
    let (old, new) = (sentence::policy(was), sentence::policy(is));
    let only = |a: &[String], b: &[String]| a.iter().filter(|rule| !b.contains(rule)).cloned().collect::<Vec<_>>();
    let (gone, come) = (only(&old, &new), only(&new, &old));
    let rules_said = !gone.is_empty() || !come.is_empty();
    let rule = |text: &str| rules_said && text.contains(": rule ") || text.contains(": no longer: ");
    let rest = describe(before, after, change).into_iter().filter(|text| !rule(text));
    gone.into_iter()
        .map(line(Sign::Gone))
        .chain(come.into_iter().map(line(Sign::New)))
        .chain(rest.map(line(Sign::Changed)))
        .collect()
}

/// Deletions first: they are what one wants to have seen.
fn rank(change: &Change) -> (bool, usize) {
    let order = [
        Kind::Policies,
        Kind::Pools,
        Kind::Endpoints,
        Kind::Zones,
        Kind::Records,
        Kind::Regions,
        Kind::Monitors,
        Kind::Tests,
    ];
    (change.after.is_some(), order.iter().position(|kind| *kind == change.kind).unwrap_or(order.len()))
}

/// Record sets that come or go with their zone are counted in its sentence.
pub fn is_part_of_a_zone(before: &Model, after: &Model, change: &Change) -> bool {
    let zone = change.id.split('/').next().and_then(|id| id.parse::<Id<Zone>>().ok());
    change.kind == Kind::Records
        && zone.is_some_and(|id| before.zones.contains_key(&id) != after.zones.contains_key(&id))
}

fn describe(before: &Model, after: &Model, change: &Change) -> Vec<String> {
    match (&change.before, &change.after) {
        (None, None) => Vec::new(),
        (None, Some(_)) => vec![appeared(after, change)],
        (Some(_), None) => vec![disappeared(before, change)],
        (Some(old), Some(new)) => {
            let id = &change.id;
            match change.kind {
                Kind::Records => match (record(before, id), record(after, id)) {
                    (Some(old), Some(new)) => record_changes(old, new),
                    _ => Vec::new(),
                },
                Kind::Pools => match (pool(before, id), pool(after, id)) {
                    (Some(a), Some(b)) => [pool_changes(a, b), other(change, old, new, &["members"])].concat(),
                    _ => Vec::new(),
                },
                Kind::Policies => match (policy(before, id), policy(after, id)) {
                    (Some(a), Some(b)) => {
                        [policy_changes(a, b), other(change, old, new, &["rules", "attach"])].concat()
                    }
                    _ => Vec::new(),
                },
                _ => other(change, old, new, &[]),
            }
        }
    }
}

/// The fields that no sentence of its own kind covers.
fn other(change: &Change, old: &Value, new: &Value, covered: &[&str]) -> Vec<String> {
    let subject = subject(change);
    let phrases = fields::phrases(old, new, covered);
    // A name ends with a dot of its own.
    phrases.into_iter().map(|phrase| format!("{subject}: {}.", phrase.trim_end_matches('.'))).collect()
}

fn subject(change: &Change) -> String {
    let kind = change.kind.singular();
    let (first, rest) = kind.split_at(1);
    // A zone is known by its name rather than by its id.
    let apex = change.after.as_ref().or(change.before.as_ref()).and_then(|value| value.get("fqdn")?.as_str());
    let name = apex.map_or(change.id.as_str(), without_dot);
    format!("{}{rest} {name}", first.to_uppercase())
}

fn record<'m>(model: &'m Model, id: &str) -> Option<&'m RecordSet> {
    model.records.get(&model.record_key(id)?).map(|set| &**set)
}

fn pool<'m>(model: &'m Model, id: &str) -> Option<&'m Pool> {
    model.pools.get(&id.parse().ok()?).map(|pool| &**pool)
}

fn policy<'m>(model: &'m Model, id: &str) -> Option<&'m Policy> {
    model.policies.get(&id.parse().ok()?).map(|policy| &**policy)
}

fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

fn appeared(after: &Model, change: &Change) -> String {
    let subject = subject(change);
    match change.kind {
        Kind::Zones => {
            format!("{subject} is new, with {}.", count(records_of(after, &change.id), "record set"))
        }
        Kind::Records => match record(after, &change.id) {
            Some(set) => ended(format!("{} is new: {}", name_and_type(set), list(&values(set)))),
            None => format!("{subject} is new."),
        },
        Kind::Pools => {
            let members = pool(after, &change.id).map_or(0, |pool| pool.members.len());
            format!("{subject} is new, with {}.", count(members, "member"))
        }
        Kind::Policies => {
            let names = policy(after, &change.id).map(names).unwrap_or_default();
            let steers = if names.is_empty() { "nothing yet".to_owned() } else { list(&names) };
            format!("{subject} is new and steers {steers}.")
        }
        Kind::Endpoints => {
            let endpoint = change.id.parse().ok().and_then(|id| after.endpoints.get(&id));
            let addresses = endpoint.map(|endpoint| addresses(endpoint)).unwrap_or_default();
            format!("{subject} is new: {}.", addresses.join(", ").trim_end_matches('.'))
        }
        Kind::Tests => match change.id.parse().ok().and_then(|id| after.tests.get(&id)) {
            Some(test) => {
                let (question, client, expected) = (test.question(), test.client, test.expectation());
                format!("{subject} is new: {client} asking {question} must get {expected}.")
            }
            None => format!("{subject} is new."),
        },
        Kind::Regions | Kind::Monitors => format!("{subject} is new."),
    }
}

fn disappeared(before: &Model, change: &Change) -> String {
    let subject = subject(change);
    match change.kind {
        Kind::Zones => {
            format!("{subject} is deleted, with {}.", count(records_of(before, &change.id), "record set"))
        }
        Kind::Records => match record(before, &change.id) {
            Some(set) => ended(format!("{} is deleted; it was {}", name_and_type(set), list(&values(set)))),
            None => format!("{subject} is deleted."),
        },
        Kind::Policies => {
            let names = policy(before, &change.id).map(names).unwrap_or_default();
            match names.is_empty() {
                true => format!("{subject} is deleted."),
                false => format!("{subject} is deleted; it steered {}.", list(&names)),
            }
        }
        _ => format!("{subject} is deleted."),
    }
}

fn records_of(model: &Model, zone: &str) -> usize {
    zone.parse().map_or(0, |zone| model.records_of(&zone).count())
}

fn addresses(endpoint: &Endpoint) -> Vec<String> {
    let addresses = [endpoint.ipv4.map(|a| a.to_string()), endpoint.ipv6.map(|a| a.to_string())];
    addresses.into_iter().flatten().chain(endpoint.cname.as_ref().map(Name::to_string)).collect()
}

fn names(policy: &Policy) -> Vec<String> {
    let names: BTreeSet<&Name> = policy.attach.iter().map(|attach| &attach.name).collect();
    names.into_iter().map(|name| name.without_dot()).collect()
}

fn name_and_type(set: &RecordSet) -> String {
    format!("{} {}", set.name.without_dot(), set.rtype)
}

fn values(set: &RecordSet) -> Vec<String> {
    set.values.iter().map(|value| value.present(set.rtype)).collect()
}

/// With a full stop, unless it ends with a name, which has a dot of its own.
fn ended(sentence: String) -> String {
    if sentence.ends_with('.') { sentence } else { sentence + "." }
}

/// The first few of a list; the rest is counted.
fn list(items: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = items[..items.len().min(SHOWN)].join(", ");
    if items.len() > SHOWN { format!("{shown} and {} more", items.len() - SHOWN) } else { shown }
}

fn record_changes(old: &RecordSet, new: &RecordSet) -> Vec<String> {
    let subject = name_and_type(new);
    let mut sentences = Vec::new();
    let (was, is) = (values(old), values(new));
    let lost: Vec<String> = was.iter().filter(|value| !is.contains(value)).cloned().collect();
    let gained: Vec<String> = is.iter().filter(|value| !was.contains(value)).cloned().collect();
    match (lost.as_slice(), gained.as_slice()) {
        ([], []) => {}
        ([], gained) => sentences.push(ended(format!("{subject}: gains {}", list(gained)))),
        (lost, []) => sentences.push(ended(format!("{subject}: loses {}", list(lost)))),
        ([lost], [gained]) => sentences.push(ended(format!("{subject}: {lost} is replaced by {gained}"))),
        (lost, gained) => sentences.push(ended(format!("{subject}: {} are replaced by {}", list(lost), list(gained)))),
    }
    let ttl = |ttl: Option<u32>| ttl.map_or("the zone's default".to_owned(), |ttl| format!("{ttl} s"));
    if old.ttl != new.ttl {
        sentences.push(format!("{subject}: the TTL goes from {} to {}.", ttl(old.ttl), ttl(new.ttl)));
    }
    if old.enabled != new.enabled {
        sentences.push(format!("{subject}: is switched {}.", if new.enabled { "on" } else { "off" }));
    }
    if (&old.meta.note, &old.meta.tags) != (&new.meta.note, &new.meta.tags) {
        sentences.push(format!("{subject}: its note or tags change."));
    }
    sentences
}

fn pool_changes(old: &Pool, new: &Pool) -> Vec<String> {
    let id = &new.meta.id;
    let percent = |part: f64| format!("{:.0}%", part * 100.0);
    let mut phrases = Vec::new();
    for member in &new.members {
        let name = &member.endpoint;
        let Some(was) = old.members.iter().find(|was| was.endpoint == *name) else {
            phrases.push(format!("{name} joins with weight {}", member.weight));
            continue;
        };
        if was.weight != member.weight {
            let (from, to) = (percent(old.part_of(was)), percent(new.part_of(member)));
            let weights = format!("weight of {name} goes from {} to {}", was.weight, member.weight);
            phrases.push(format!("{weights} (from {from} to {to} of {id})"));
        }
        if was.priority != member.priority {
            phrases.push(format!("priority of {name} goes from {} to {}", was.priority, member.priority));
        }
        if was.enabled != member.enabled {
            phrases.push(format!("{name} is switched {}", if member.enabled { "on" } else { "off" }));
        }
    }
    let gone = old.members.iter().filter(|was| !new.members.iter().any(|member| member.endpoint == was.endpoint));
    phrases.extend(gone.map(|was| format!("{} leaves", was.endpoint)));
    phrases.into_iter().map(|phrase| format!("Pool {id}: {phrase}.")).collect()
}

fn policy_changes(old: &Policy, new: &Policy) -> Vec<String> {
    let id = &new.meta.id;
    let mut phrases = Vec::new();
    let attached = |policy: &Policy| -> BTreeSet<String> {
        let types =
            |types: &[super::RecordType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let one = |a: &super::Attach| format!("{} {}", a.name.without_dot(), types(&a.types));
        policy.attach.iter().map(one).collect()
    };
    let (was, is) = (attached(old), attached(new));
    let difference = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
    for (word, names) in [("no longer steers", difference(&was, &is)), ("now steers", difference(&is, &was))] {
        if !names.is_empty() {
            phrases.push(format!("{word} {}", list(&names)));
        }
    }
    phrases.extend(rule_changes(old, new));
    phrases.into_iter().map(|phrase| format!("Policy {id}: {phrase}.")).collect()
}

fn rule_changes(old: &Policy, new: &Policy) -> Vec<String> {
    let words = |policy: &Policy| -> Vec<String> {
        sentence::policy(policy).into_iter().map(|rule| rule.trim_end_matches('.').to_owned()).collect()
    };
    let (was, is) = (words(old), words(new));
    if was.len() != is.len() {
        let mut phrases: Vec<String> =
            was.iter().filter(|rule| !is.contains(rule)).map(|rule| format!("no longer: {rule}")).collect();
        let added = is.iter().enumerate().filter(|(_, rule)| !was.contains(rule));
        phrases.extend(added.map(|(i, rule)| format!("rule {} is now: {rule}", i + 1)));
        return phrases;
    }
    let mut phrases = Vec::new();
    for (i, (a, b)) in old.rules.iter().zip(&new.rules).enumerate() {
        let name = if b.name.is_empty() { (i + 1).to_string() } else { b.name.replace(char::is_control, " ") };
        let (steps, more) = (a.steps.len(), b.steps.len());
        let appended = more > steps && b.steps[..steps] == a.steps[..];
        let rest = |rule: &super::Rule| super::Rule { steps: Vec::new(), name: String::new(), ..rule.clone() };
        if appended && steps > 0 && rest(a) == rest(b) {
            let added: Vec<String> = b.steps[steps..].iter().map(sentence::step).collect();
            let last = sentence::step(&a.steps[steps - 1]);
            phrases.push(format!("rule {name} now tries {} after {last}", added.join(", then ")));
        } else if was[i] != is[i] {
            phrases.push(format!("rule {name} was: {}; is now: {}", was[i], is[i]));
        } else if a != b && rest(a) == rest(b) {
            phrases.push(match a.steps == b.steps {
                true => format!("rule {name} was called {:?}", a.name),
                false => format!("rule {name} changes bias or tolerance"),
            });
        }
    }
    phrases
}

#[cfg(test)]
mod tests;
