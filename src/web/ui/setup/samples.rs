//! The first run: what a few clients would get, asked of the draft by the code that answers.

use super::plan::Plan;
use crate::answer::RuleVerdict;
use crate::control::simulate::Ask;
use crate::model::builtin;
use crate::web::ui::text::{Text, plain, text};
use crate::web::ui::visit::Visit;

/// Countries that stand for the regions, the first of each where there are clients of it.
const COUNTRIES: [(&str, &str); 6] = [
    ("europe", "DE"),
    ("north-america", "US"),
    ("asia", "JP"),
    ("south-america", "BR"),
    ("oceania", "AU"),
    ("africa", "ZA"),
];
/// Clients that are shown, beside the one of the drill.
const SHOWN: usize = 3;

/// One client and its answer.
pub struct Sample {
    pub who: Text,
    /// The network that stands for it; empty where the database has none.
    pub network: String,
    pub because: Text,
    pub answer: String,
}

/// Clients of the regions that the plan names before those of others, and the first once more with its pool down.
pub async fn samples(visit: &Visit, plan: &Plan) -> Vec<Sample> {
    let is_named = |region: &str| plan.pools.iter().any(|(_, named)| named.as_deref() == Some(region));
    let mut countries: Vec<(&str, &str)> = COUNTRIES.to_vec();
    countries.sort_by_key(|(region, _)| !is_named(region));
    let mut samples = Vec::new();
    for (_, code) in countries.iter().take(SHOWN) {
        samples.extend(sample(visit, plan, code, None).await);
    }
    let down = plan.pools.iter().find(|(_, region)| region.is_some()).or(plan.pools.first());
    let code = countries.iter().find(|(region, _)| down.and_then(|(_, named)| named.as_deref()) == Some(region));
    if let Some((pool, _)) = down.filter(|_| plan.pools.len() > 1) {
        let (_, code) = code.unwrap_or(&countries[0]);
        samples.extend(sample(visit, plan, code, Some(pool)).await);
    }
    samples
}

async fn sample(visit: &Visit, plan: &Plan, code: &str, down: Option<&str>) -> Option<Sample> {
    let is_ipv4 = plan.servers.iter().any(|server| server.address.is_ipv4());
    let ask = Ask {
        name: plan.name.as_ref()?.to_string(),
        rtype: if is_ipv4 { "A" } else { "AAAA" }.into(),
        client: format!("country:{code}"),
        at: "draft".into(),
        down: down.into_iter().map(str::to_owned).collect(),
        ..Ask::default()
    };
    let simulation = visit.web.control.simulate(&ask, &visit.author()).await.ok()?;
    let group = simulation.groups.first()?;
    let country = builtin::country(code.parse().ok()?)?;
    let name = plain(if visit.language.code() == "ko" { &country.name_ko } else { &country.name });
    let who = match down {
        Some(pool) => text("{country}, if {pool} were down").say("country", name).set("pool", pool),
        None => name,
    };
    let steering = group.trace.steering.as_ref()?;
    let rule = steering.rules.iter().find(|rule| rule.verdict == RuleVerdict::Matches);
    let rule = rule.map(|rule| rule.name.as_str()).unwrap_or_default();
    let because = match (&steering.choice.pool, down) {
        (Some(pool), Some(down)) => {
            text("Rule {rule}: {down} is passed over, {pool} answers").set("down", down).set("pool", pool)
        }
        (Some(pool), None) => text("Rule {rule}: {pool} answers").set("pool", pool),
        (None, _) => text("Rule {rule}: nobody answers"),
    };
    let answer = group.trace.answer.iter().map(|record| record.value.as_str()).collect::<Vec<_>>().join(", ");
    let network = group.networks.first().map(ToString::to_string).unwrap_or_default();
    Some(Sample { who, network, because: because.set("rule", rule), answer })
}
