//! A rule as a sentence: who gets which pool. Whole sentences with named slots, so that each language has its own
//! order of words. What fills the slots (names, links, forms) comes from the page.

use std::collections::BTreeMap;

use super::filters::percent_text;
use super::text::{Language, Text, plain, text};
use crate::model::{Choose, Id, LastResort, Model, Policy, Pool, Region, Rule, Step, builtin};

/// Regions that one sentence names; of more it says how many.
const MAX_REGIONS: usize = 4;

/// Where a pool stands in a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// The step, and the pool of it; both from 0.
    Step(usize, usize),
    LastResort,
}

/// How the parts of a sentence that can differ are shown.
pub trait Slots {
    fn region(&self, region: &Id<Region>) -> Text;
    fn pool(&self, pool: &Id<Pool>, spot: Spot) -> Text;
    /// What the rule does in words of ours, such as "never leave Europe".
    fn manner(&self, words: Text) -> Text;
}

/// Names in bold, for pages that only tell.
pub struct Bold<'m>(pub &'m Model);

impl Slots for Bold<'_> {
    fn region(&self, region: &Id<Region>) -> Text {
        text("<b>{word}</b>").say("word", region_name(self.0, region))
    }

    fn pool(&self, pool: &Id<Pool>, _: Spot) -> Text {
        text("<b>{word}</b>").set("word", pool)
    }

    fn manner(&self, words: Text) -> Text {
        words
    }
}

/// Without markup, for tags, exports and attributes.
pub struct Plain<'m>(pub &'m Model);

impl Slots for Plain<'_> {
    fn region(&self, region: &Id<Region>) -> Text {
        region_name(self.0, region)
    }

    fn pool(&self, pool: &Id<Pool>, _: Spot) -> Text {
        plain(pool)
    }

    fn manner(&self, words: Text) -> Text {
        words
    }
}

/// The region's own name, in the reader's language where it is built in.
pub fn region_name(model: &Model, id: &Id<Region>) -> Text {
    if let Some(known) = builtin::region(id) {
        return text(&known.meta.name);
    }
    match model.regions.get(id) {
        Some(region) if !region.meta.name.is_empty() => plain(&region.meta.name),
        _ => plain(id),
    }
}

/// As `region_name`, where a plain word is wanted; the id of one without a name.
pub fn region_title(id: &Id<Region>, region: &Region, language: Language) -> String {
    match builtin::region(id) {
        Some(known) => text(&known.meta.name).to_html(language),
        None if region.meta.name.is_empty() => id.to_string(),
        None => region.meta.name.clone(),
    }
}

/// The sentence of one rule of a policy; the last rule is that of everyone else.
pub fn rule(policy: &Policy, at: usize, slots: &impl Slots) -> Text {
    let Some(rule) = policy.rules.get(at) else { return plain("") };
    let last = at + 1 == policy.rules.len();
    let whom = match (last, policy.rules.len(), rule.except_regions.is_empty()) {
        (true, 1, _) => text("Everyone gets {pools}"),
        (true, ..) => text("Everyone else gets {pools}"),
        (false, _, true) => text("Clients in {where} get {pools}"),
        (false, _, false) => text("Clients in {where}, but not in {except}, get {pools}")
            .say("except", regions(&rule.except_regions, slots)),
    };
    let said = whom.say("where", regions(&rule.regions, slots)).say("pools", pools(rule, slots));
    text("{sentence}.").say("sentence", ending(rule, said, slots))
}

/// What holds when no step can answer, where it is not the usual.
fn ending(rule: &Rule, said: Text, slots: &impl Slots) -> Text {
    let said = match &rule.last_resort {
        LastResort::ServeAnyway => said,
        LastResort::Pool(pool) => text("{sentence}, and in the worst case {pool}")
            .say("sentence", said)
            .say("pool", slots.pool(pool, Spot::LastResort)),
        LastResort::NoAnswer => {
            text("{sentence}, else {manner}").say("sentence", said).say("manner", slots.manner(text("no answer")))
        }
        LastResort::Refuse => {
            text("{sentence}, else {manner}").say("sentence", said).say("manner", slots.manner(text("a refusal")))
        }
    };
    match &rule.residency_lock {
        None => said,
        Some(lock) => {
            let never = text("never leave {region}").say("region", slots.region(lock));
            text("{sentence}, and {manner}").say("sentence", said).say("manner", slots.manner(never))
        }
    }
}

/// All steps, in the order in which they are tried.
pub fn pools(rule: &Rule, slots: &impl Slots) -> Text {
    let steps = rule.steps.iter().enumerate().map(|(at, one)| step(at, one, slots));
    steps
        .reduce(|before, next| text("{before}, then {next}").say("before", before).say("next", next))
        .unwrap_or_else(|| text("no pool"))
}

/// The pools of one step with their shares.
fn step(at: usize, step: &Step, slots: &impl Slots) -> Text {
    let total: u32 = step.pools.iter().map(|one| u32::from(one.weight)).sum();
    let shared = step.choose == Choose::Weighted && step.pools.len() > 1;
    let one = |(number, one): (usize, &crate::model::StepPool)| {
        let pool = slots.pool(&one.pool, Spot::Step(at, number));
        let share = if total == 0 { 0.0 } else { f64::from(one.weight) / f64::from(total) };
        match (shared, one.canary) {
            (false, false) => pool,
            (false, true) => text("{pool} (canary)").say("pool", pool),
            (true, false) => text("{pool} {share}").say("pool", pool).set("share", percent_text(share)),
            (true, true) => text("{pool} {share} (canary)").say("pool", pool).set("share", percent_text(share)),
        }
    };
    let pools = list(step.pools.iter().enumerate().map(one));
    match step.choose {
        Choose::Nearest if step.pools.len() > 1 => {
            text("{manner} of {pools}").say("manner", slots.manner(text("the nearest"))).say("pools", pools)
        }
        Choose::Fastest if step.pools.len() > 1 => {
            text("{manner} of {pools}").say("manner", slots.manner(text("the fastest"))).say("pools", pools)
        }
        _ => pools,
    }
}

/// Regions in a row, with the number of those that are left out.
pub fn regions(ids: &[Id<Region>], slots: &impl Slots) -> Text {
    let named = list(ids.iter().take(MAX_REGIONS).map(|id| slots.region(id)));
    match ids.len().saturating_sub(MAX_REGIONS) {
        0 => named,
        more => text("{regions} and {n} more").say("regions", named).set("n", more),
    }
}

fn list(items: impl Iterator<Item = Text>) -> Text {
    let joined = items.reduce(|before, next| text("{before}, {next}").say("before", before).say("next", next));
    joined.unwrap_or_else(|| plain(""))
}

/// What a draft made of a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    Same,
    New,
    /// It was this rule of the live policy.
    Changed(usize),
    /// As it was, at another place among the others.
    Moved(usize),
}

/// What became of each live rule in a draft: the fate of every rule of `after`, and those of `before` that are gone.
/// A rule is known by what it is, else by its name, else by whom it is for; the last by being the last.
pub fn fates(before: &Policy, after: &Policy) -> (Vec<Fate>, Vec<usize>) {
    let mut known: BTreeMap<usize, usize> = BTreeMap::new();
    let mut free: Vec<usize> = (0..before.rules.len().saturating_sub(1)).collect();
    let count = after.rules.len().saturating_sub(1);
    let alike: [fn(&Rule, &Rule) -> bool; 3] = [
        |a, b| a == b,
        |a, b| !a.name.is_empty() && a.name == b.name,
        |a, b| (&a.regions, &a.except_regions) == (&b.regions, &b.except_regions),
    ];
    for same in alike {
        for at in 0..count {
            if known.contains_key(&at) {
                continue;
            }
            if let Some(found) = free.iter().position(|&old| same(&before.rules[old], &after.rules[at])) {
                known.insert(at, free.remove(found));
            }
        }
    }
    if let (Some(last), false) = (before.rules.len().checked_sub(1), after.rules.is_empty()) {
        known.insert(count, last);
    }
    // Those that keep their order among each other have not moved.
    let mut order: Vec<usize> = known.values().copied().collect();
    let in_order = longest_rising(&order);
    order.retain(|old| !in_order.contains(old));
    let fate = |at: usize| match known.get(&at) {
        None => Fate::New,
        Some(&old) if before.rules[old] != after.rules[at] => Fate::Changed(old),
        Some(&old) if order.contains(&old) => Fate::Moved(old),
        Some(_) => Fate::Same,
    };
    ((0..after.rules.len()).map(fate).collect(), free)
}

/// The longest part of a list, gaps allowed, that rises.
fn longest_rising(list: &[usize]) -> Vec<usize> {
    let mut best: Vec<Vec<usize>> = Vec::with_capacity(list.len());
    for (at, item) in list.iter().enumerate() {
        let before = best[..at].iter().filter(|run| run.last().is_some_and(|last| last < item));
        let mut run = before.max_by_key(|run| run.len()).cloned().unwrap_or_default();
        run.push(*item);
        best.push(run);
    }
    best.into_iter().max_by_key(Vec::len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::text::Language;
    use super::*;
    use serde_json::{Value, json};

    fn policy(rules: Value) -> Policy {
        let whole = |rule: &Value| {
            let mut rule = rule.clone();
            for (name, default) in [
                ("name", json!("")),
                ("enabled", json!(true)),
                ("regions", json!([])),
                ("except_regions", json!([])),
                ("last_resort", json!("serve_anyway")),
                ("residency_lock", json!(null)),
            ] {
                rule.as_object_mut().unwrap().entry(name).or_insert(default);
            }
            rule
        };
        let rules: Vec<Value> = rules.as_array().unwrap().iter().map(whole).collect();
        serde_json::from_value(json!({
            "id": "p", "enabled": true, "attach": [], "ttl": 30, "failure_ttl": 10, "answers": 1,
            "locate": "ecs_then_resolver", "sticky": "none", "rules": rules,
        }))
        .unwrap()
    }

    fn step(choose: &str, pools: &[(&str, u16, bool)]) -> Value {
        let pools: Vec<Value> = pools
            .iter()
            .map(|(pool, weight, canary)| json!({"pool": pool, "weight": weight, "canary": canary, "bias": 0}))
            .collect();
        json!({"pools": pools, "choose": choose, "tolerance": {"percent": 10, "ms": 10}})
    }

    fn said(policy: &Policy, at: usize, language: Language) -> String {
        rule(policy, at, &Plain(&Model::empty())).to_html(language)
    }

    #[test]
    fn rules_read_as_they_are_meant_in_both_languages() {
        let (a, b, c) = (("a", 90, false), ("b", 10, true), ("c", 100, false));
        let rest = || json!({ "steps": [step("weighted", &[c])] });
        for (rule, english, korean) in [
            (
                json!({"regions": ["europe"], "steps": [step("weighted", &[c]), step("weighted", &[a])]}),
                "Clients in Europe get c, then a.",
                "유럽 클라이언트 → c, 다음 a.",
            ),
            (
                json!({"regions": ["europe", "own"], "except_regions": ["africa"], "steps": [step("weighted", &[a, b])]}),
                "Clients in Europe, own, but not in Africa, get a 90%, b 10% (canary).",
                "유럽, own 클라이언트(아프리카 제외) → a 90%, b 10% (카나리).",
            ),
            (
                json!({"regions": ["europe"], "steps": [step("nearest", &[a, c])], "residency_lock": "eea"}),
                "Clients in Europe get the nearest of a, c, and never leave European Economic Area.",
                "유럽 클라이언트 → a, c 중 가장 가까운 풀, 유럽 경제 지역(EEA) 밖으로 나가지 않음.",
            ),
            (
                json!({"regions": ["europe"], "steps": [step("fastest", &[a, c])], "last_resort": "pool:b"}),
                "Clients in Europe get the fastest of a, c, and in the worst case b.",
                "유럽 클라이언트 → a, c 중 가장 빠른 풀, 최악의 경우 b.",
            ),
            (
                json!({"regions": ["europe"], "steps": [step("fastest", &[a])], "last_resort": "refuse"}),
                "Clients in Europe get a, else a refusal.",
                "유럽 클라이언트 → a, 그 외에는 거부.",
            ),
        ] {
            let policy = policy(json!([rule, rest()]));
            assert_eq!(said(&policy, 0, Language::English), english);
            assert_eq!(said(&policy, 0, Language::Korean), korean);
            assert_eq!(said(&policy, 1, Language::English), "Everyone else gets c.");
        }
        assert_eq!(said(&policy(json!([rest()])), 0, Language::Korean), "모든 클라이언트 → c.");
    }

    #[test]
    fn what_somebody_named_is_no_markup() {
        let mut model = Model::empty();
        let region = json!({"id": "own", "name": "<b>own</b>", "include": []});
        let region: Region = serde_json::from_value(region).unwrap();
        model.regions.insert("own".parse().unwrap(), std::sync::Arc::new(region));
        assert_eq!(region_name(&model, &"own".parse().unwrap()).to_html(Language::English), "&lt;b&gt;own&lt;/b&gt;");
    }

    #[test]
    fn every_rule_of_a_draft_has_its_fate() {
        let one = |name: &str, region: &str, pool: &str| json!({"name": name, "regions": [region], "steps": [step("weighted", &[(pool, 1, false)])]});
        let rest = json!({ "steps": [step("weighted", &[("z", 1, false)])] });
        let before = policy(json!([one("A", "a", "x"), one("B", "b", "x"), one("", "c", "x"), rest]));
        for (rules, expected, gone) in [
            (json!([one("A", "a", "x"), one("B", "b", "x"), one("", "c", "x"), rest]), vec![Fate::Same; 4], vec![]),
            (
                json!([one("A", "a", "y"), one("", "c", "y"), rest]),
                vec![Fate::Changed(0), Fate::Changed(2), Fate::Same],
                vec![1],
            ),
            (
                json!([one("B", "b", "x"), one("A", "a", "x"), one("", "c", "x"), one("D", "d", "x"), rest]),
                vec![Fate::Moved(1), Fate::Same, Fate::Same, Fate::New, Fate::Same],
                vec![],
            ),
            (json!([one("", "a", "q")]), vec![Fate::Changed(3)], vec![0, 1, 2]),
        ] {
            let (fates, removed) = fates(&before, &policy(rules));
            assert_eq!((fates, removed), (expected, gone));
        }
    }
}
