//! Policies in words, for people who read exports, changes and pages.

use super::{Choose, LastResort, Policy, Rule, Step};

/// One sentence per rule, in order.
pub fn policy(policy: &Policy) -> Vec<String> {
    let last = policy.rules.len().saturating_sub(1);
    policy.rules.iter().enumerate().map(|(i, rule)| self::rule(rule, i == last)).collect()
}

/// e.g. `Clients in eu, eea → eu-main 90 %, eu-canary 10 % (canary), next eu-backup; then serve anyway.`
pub fn rule(rule: &Rule, last: bool) -> String {
    let off = if rule.enabled { "" } else { "(disabled) " };
    let whom = if last { "Everyone else".to_owned() } else { format!("Clients in {}", join(&rule.regions)) };
    let except = if rule.except_regions.is_empty() {
        String::new()
    } else {
        format!(", but not in {}", join(&rule.except_regions))
    };
    let steps: Vec<String> = rule.steps.iter().map(step).collect();
    let lock = rule.residency_lock.as_ref().map(|lock| format!("; locked to {lock}")).unwrap_or_default();
    format!("{off}{whom}{except} → {}; {}{lock}.", steps.join(", next "), last_resort(&rule.last_resort))
}

/// What a step answers with, e.g. `eu-main 90 %, eu-canary 10 % (canary)` or `the nearest of eu, us`.
pub fn step(step: &Step) -> String {
    let total: u32 = step.pools.iter().map(|pool| u32::from(pool.weight)).sum();
    let shares = step.choose == Choose::Weighted && step.pools.len() > 1;
    let pools: Vec<String> = (step.pools.iter())
        .map(|pool| {
            let share = if shares { format!(" {}", percent(pool.weight.into(), total)) } else { String::new() };
            let canary = if pool.canary { " (canary)" } else { "" };
            format!("{}{share}{canary}", pool.pool)
        })
        .collect();
    let choose = match step.choose {
        Choose::Nearest if pools.len() > 1 => "the nearest of ",
        Choose::Fastest if pools.len() > 1 => "the fastest of ",
        _ => "",
    };
    format!("{choose}{}", pools.join(", "))
}

fn last_resort(last_resort: &LastResort) -> String {
    match last_resort {
        LastResort::ServeAnyway => "then serve anyway".into(),
        LastResort::Pool(id) => format!("then pool {id}"),
        LastResort::NoAnswer => "then no answer".into(),
        LastResort::Refuse => "then refuse".into(),
    }
}

/// A share with one decimal where it needs one.
fn percent(part: u32, total: u32) -> String {
    let tenths = (part * 1000 + total / 2).checked_div(total).unwrap_or(0);
    if tenths % 10 == 0 { format!("{} %", tenths / 10) } else { format!("{}.{} %", tenths / 10, tenths % 10) }
}

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_reads_as_it_is_meant() {
        let rule = |value| serde_json::from_value::<Rule>(value).unwrap();
        let pool = |pool: &str, weight: u16, canary: bool| serde_json::json!({"pool": pool, "weight": weight, "canary": canary, "bias": 0});
        let step = |pools: &[serde_json::Value], choose: &str| serde_json::json!({"pools": pools, "choose": choose, "tolerance": {"percent": 10, "ms": 10}});
        let eu = serde_json::json!({
            "name": "EU", "enabled": true, "regions": ["eu", "eea"], "except_regions": ["office"], "last_resort": "serve_anyway", "residency_lock": "eea",
            "steps": [step(&[pool("eu-main", 90, false), pool("eu-canary", 10, true)], "weighted"), step(&[pool("eu-backup", 1, false)], "weighted")],
        });
        let text = "Clients in eu, eea, but not in office → eu-main 90 %, eu-canary 10 % (canary), next eu-backup; then serve anyway; locked to eea.";
        assert_eq!(super::rule(&rule(eu), false), text);
        let rest = serde_json::json!({
            "name": "", "enabled": true, "regions": [], "except_regions": [], "last_resort": "pool:us", "residency_lock": null,
            "steps": [step(&[pool("eu", 1, false), pool("us", 2, false)], "fastest"), step(&[pool("a", 1, false), pool("b", 2, false)], "weighted")],
        });
        assert_eq!(
            super::rule(&rule(rest), true),
            "Everyone else → the fastest of eu, us, next a 33.3 %, b 66.7 %; then pool us."
        );
    }
}
