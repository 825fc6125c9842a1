//! "Why not this pool?", answered for one pool of somebody's choice.

use super::shown::{Reader, because, since};
use crate::answer::{RuleVerdict, Standing, Trace, pools};
use crate::control::simulate::Simulation;
use crate::model::{Id, Policy, Pool};
use crate::web::ui::filters::percent_text;
use crate::web::ui::text::{Text, plain, text};

/// Sentences, the most important first.
pub fn why_not(reader: &Reader, simulation: &Simulation, trace: &Trace, pool: &Id<Pool>) -> Vec<Text> {
    let (model, health) = (simulation.world.snapshot.model(), &simulation.world.health);
    let is_assumed = simulation.down.contains(pool);
    let Some(known) = model.pools.get(pool) else {
        return vec![text("There is no pool {pool} in this version.").set("pool", pool)];
    };
    let Some(steering) = &trace.steering else {
        return vec![text("No policy decides on this name and type, so no pool is asked.")];
    };
    if let Some((_, odds)) = pools(trace).into_iter().find(|(used, _)| *used == pool.as_str()) {
        let share = percent_text(f64::from(odds) / 1000.0);
        return vec![
            text("{pool} does answer these clients, with a share of {share}.").set("pool", pool).set("share", share),
        ];
    }
    let in_rule =
        steering.steps.iter().enumerate().find_map(|(at, step)| {
            step.pools.iter().find(|used| used.pool == pool.as_str()).map(|used| (at + 1, used))
        });
    let mut said = Vec::new();
    if let Some((step, used)) = in_rule {
        said.push(match used.standing {
            Standing::NotReached => {
                text("{pool} stands in step {n}, and a step before it has a pool that can answer.").set("n", step)
            }
            Standing::NoWeight => text("{pool} has weight 0 in step {n}, so it never answers.").set("n", step),
            Standing::CanaryAlone => text("{pool} is a canary: it answers only beside a healthy pool of its step."),
            Standing::Shed => text("{pool} leaves a part of its clients to the next pools, and these are among them."),
            Standing::NotServing if is_assumed => text("{pool} is assumed to be down."),
            Standing::NotServing => {
                text("{pool} cannot answer now: {reason}.").fact("reason", "decision", &used.reason)
            }
            Standing::Kept => text("{pool} may answer, but others of its step come first for these clients."),
        });
        said.extend(since(reader, health, pool.as_str()).filter(|_| used.standing == Standing::NotServing));
    } else {
        let policy = steering.policy.parse().ok().and_then(|id: Id<Policy>| model.policies.get(&id));
        let rules = policy.iter().flat_map(|policy| policy.rules.iter().zip(&steering.rules).enumerate());
        let uses =
            rules.filter(|(_, (rule, _))| rule.steps.iter().flat_map(|step| &step.pools).any(|one| one.pool == *pool));
        let matched = steering.rules.iter().position(|rule| rule.verdict == RuleVerdict::Matches);
        said.extend(uses.map(|(at, (rule, trace))| {
            let is_last = at + 1 == steering.rules.len();
            let sentence = match (trace.verdict, is_last) {
                (RuleVerdict::Disabled, _) => text("Rule {n} “{rule}” uses {pool}, but it is switched off."),
                (RuleVerdict::NotReached, true) => {
                    text("The catch-all “{rule}” uses {pool}, but rule {m} “{before}” matches these clients before it.")
                }
                (RuleVerdict::NotReached, false) => {
                    text("Rule {n} “{rule}” uses {pool}, but rule {m} “{before}” matches these clients before it.")
                }
                (RuleVerdict::PassedOver | RuleVerdict::Matches, _) => {
                    text("Rule {n} “{rule}” uses {pool}, but does not match. {reason}")
                }
            };
            let before = matched.and_then(|at| Some((at + 1, &steering.rules.get(at)?.name)));
            let sentence = match before {
                Some((number, name)) => sentence.set("m", number).set("before", name),
                None => sentence,
            };
            let reason = because(model, &trace.because).unwrap_or_else(|| plain(""));
            sentence.set("n", at + 1).set("rule", &rule.name).say("reason", reason)
        }));
        if said.is_empty() {
            said.push(text("No rule of policy {policy} uses {pool}.").set("policy", &steering.policy));
        }
    }
    let said = said.into_iter().map(|sentence| sentence.set("pool", pool)).collect::<Vec<_>>();
    let state = health.pools.get(pool).filter(|known| !known.reason.is_empty() && !is_assumed);
    let state = state.filter(|_| in_rule.is_none_or(|(_, used)| used.standing != Standing::NotServing));
    let state = state.map(|known| text("{pool}: {reason}.").set("pool", pool).fact("reason", "cause", &known.reason));
    let empty = known.members.is_empty().then(|| text("{pool} has no endpoint.").set("pool", pool));
    said.into_iter().chain(state).chain(empty).collect()
}
