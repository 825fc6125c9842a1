//! Runs kept tests on a snapshot: the very code that answers is asked what each test asks, in the health
//! that the test assumes. Publishes nothing and refuses nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Client, Entropy, Question, RuleVerdict, Snapshot, SteeringTrace, Subnet, Trace, explain};
use crate::health::HealthTable;
use crate::model::{Id, Pool, Sticky, Test, Via};

/// Stands for any resolver, where a test is about a client subnet (RFC 5737).
const ANY_RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 53));

/// How a test came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Verdict {
    /// The test's id.
    pub test: String,
    pub passed: bool,
    /// What must come, e.g. `pool us-west`.
    pub expected: String,
    /// What would be answered, e.g. `pool eu-west 90 %, eu-canary 10 %`.
    pub got: String,
    /// The whole story as one sentence.
    pub because: String,
}

/// Runs `tests`, in their order. Switches and probes count for nothing: every pool is as configured, and healthy
/// but where a test says that it is down.
pub fn rehearse<'t>(snapshot: &Snapshot, tests: impl IntoIterator<Item = &'t Arc<Test>>) -> Vec<Verdict> {
    let mut tests = tests.into_iter().peekable();
    if tests.peek().is_none() {
        return Vec::new();
    }
    let healthy = snapshot.with_health(&HealthTable::default());
    let mut ailing: BTreeMap<&[Id<Pool>], Snapshot> = BTreeMap::new();
    let mut run = |test: &'t Arc<Test>| {
        let stage = match test.down.as_slice() {
            [] => &healthy,
            down => ailing.entry(down).or_insert_with(|| healthy.with_down(down)),
        };
        verdict(stage, test)
    };
    tests.map(&mut run).collect()
}

/// An address counts as the subnet that resolvers commonly send: /24 or /56 (RFC 7871 section 11.1).
pub fn subnet_of(client: IpNet) -> Subnet {
    let source = match (client.prefix_len() == client.max_prefix_len(), client) {
        (false, client) => client.prefix_len(),
        (true, IpNet::V4(_)) => 24,
        (true, IpNet::V6(_)) => 56,
    };
    let network = IpNet::new(client.addr(), source).map_or(client, |network| network.trunc());
    Subnet { address: network.addr(), source }
}

fn verdict(stage: &Snapshot, test: &Test) -> Verdict {
    let client = match test.via {
        Via::Subnet => Client { resolver: ANY_RESOLVER, subnet: Some(subnet_of(test.client.0)) },
        Via::Resolver => Client { resolver: test.client.0.addr(), subnet: None },
    };
    let question = Question { name: test.qname.as_wire(), rtype: test.rtype };
    let trace = explain(stage, &question, &client, 0, &mut Entropy::new(0));
    let pools = trace.steering.as_ref().map(|steering| pools(stage, steering)).unwrap_or_default();
    let mut values: Vec<&str> = (trace.answer.iter())
        .filter(|record| record.rtype == trace.rtype)
        .map(|record| record.value.as_str())
        .collect();
    values.sort_unstable();
    let passed = if test.expect_nothing {
        trace.answer.is_empty() && trace.rcode == "NOERROR"
    } else if !test.expect.is_empty() {
        !pools.is_empty()
            && !trace.answer.is_empty()
            && pools.iter().all(|(pool, _)| test.expect.iter().any(|expected| expected.as_str() == pool))
    } else {
        values == test.expect_answers.iter().map(String::as_str).collect::<Vec<_>>()
    };
    let (expected, got) = (test.expectation(), got(test, &trace, &pools, &values));
    let (client, asked) = (test.client, test.question());
    let because = match passed {
        true => format!("{client} asking {asked} gets {got}, as it must."),
        false => format!("{client} asking {asked} must get {expected}, and would get {got}{}.", why(&trace)),
    };
    Verdict { test: test.meta.id.clone(), passed, expected, got, because }
}

/// The pools that can answer, with the share of each. Where a client keeps its pool, and in a last resort, it is
/// one.
fn pools(stage: &Snapshot, steering: &SteeringTrace) -> Vec<(String, f64)> {
    let policy = steering.policy.parse().ok().and_then(|id| stage.model().policies.get(&id));
    let sticky = policy.is_some_and(|policy| policy.sticky == Sticky::Client);
    let odds = steering.steps.iter().flat_map(|step| &step.pools);
    let mut pools: Vec<(String, f64)> = Vec::new();
    for (pool, odds) in odds.filter_map(|pool| Some((&pool.pool, pool.odds.filter(|odds| *odds > 0.0)?))) {
        match pools.iter_mut().find(|(known, _)| known == pool) {
            Some((_, share)) => *share += odds,
            None => pools.push((pool.clone(), odds)),
        }
    }
    if sticky || pools.is_empty() {
        return steering.choice.pool.iter().map(|pool| (pool.clone(), 1.0)).collect();
    }
    pools
}

fn got(test: &Test, trace: &Trace, pools: &[(String, f64)], values: &[&str]) -> String {
    match trace.rcode.as_str() {
        "NXDOMAIN" => return "no such name".into(),
        "REFUSED" => return "a refusal".into(),
        "NOERROR" => {}
        other => return other.to_owned(),
    }
    if trace.answer.is_empty() {
        return "no record".into();
    }
    match pools {
        [(pool, _)] if !test.expect.is_empty() => format!("pool {pool}"),
        [_, ..] if !test.expect.is_empty() => {
            let shares = pools.iter().map(|(pool, share)| format!("{pool} {:.0} %", share * 100.0));
            format!("pool {}", shares.collect::<Vec<_>>().join(", "))
        }
        _ if values.is_empty() => {
            trace.answer.iter().map(|record| record.value.as_str()).collect::<Vec<_>>().join(", ")
        }
        _ => values.join(", "),
    }
}

/// Which rule decided.
fn why(trace: &Trace) -> String {
    let Some(steering) = &trace.steering else { return String::new() };
    let matched = steering.rules.iter().enumerate().find(|(_, rule)| rule.verdict == RuleVerdict::Matches);
    matched.map_or(String::new(), |(number, rule)| {
        format!(", by rule {} “{}” of policy {}", number + 1, rule.name, steering.policy)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::health::PoolState;

    use super::super::fixture::{World, rule};
    use super::*;

    fn world() -> World {
        let mut world = World::default();
        world.zone("example.test.").pools(&["main", "canary", "backup", "far"]);
        world.region("near", &["cidr:203.0.113.0/24"]);
        let near = rule(&["near"], &["weighted main=90 canary=10!", "weighted backup=1"], "no_answer");
        world.policy("web", "www.example.test.", vec![near, rule(&[], &["weighted far=1"], "no_answer")]);
        world
    }

    fn test(fields: serde_json::Value) -> Arc<Test> {
        let mut value = json!({
            "id": "t", "qname": "www.example.test.", "type": "A", "client": "203.0.113.77", "via": "subnet", "down": [],
        });
        value.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        for (name, default) in [("expect", json!([])), ("expect_answers", json!([])), ("expect_nothing", json!(false))]
        {
            value.as_object_mut().unwrap().entry(name).or_insert(default);
        }
        Arc::new(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_test_passes_when_every_pool_that_can_answer_is_expected() {
        let snapshot = world().snapshot();
        for (fields, passed, got) in [
            (json!({"expect": ["main", "canary"]}), true, "pool main 90 %, canary 10 %"),
            (json!({"expect": ["main"]}), false, "pool main 90 %, canary 10 %"),
            (json!({"expect": ["backup"], "down": ["main"]}), true, "pool backup"),
            (json!({"expect": ["far"], "client": "198.51.100.0/25"}), true, "pool far"),
            (json!({"expect": ["main", "canary"], "via": "resolver"}), true, "pool main 90 %, canary 10 %"),
            (json!({"expect": ["far"], "via": "resolver", "client": "192.0.2.1"}), true, "pool far"),
            (json!({"expect": ["main"], "down": ["main", "backup"]}), false, "no record"),
            (json!({"expect_nothing": true, "down": ["main", "backup"]}), true, "no record"),
            (json!({"expect_nothing": true, "qname": "gone.example.test."}), false, "no such name"),
            (json!({"expect_answers": ["192.0.2.4"], "client": "198.51.100.7"}), true, "192.0.2.4"),
            (json!({"expect_answers": ["192.0.2.9"], "client": "198.51.100.7"}), false, "192.0.2.4"),
        ] {
            let verdict = rehearse(&snapshot, [&test(fields.clone())]).remove(0);
            assert_eq!((verdict.passed, verdict.got.as_str()), (passed, got), "{fields} {verdict:?}");
        }
    }

    #[test]
    fn a_test_does_not_depend_on_what_probes_found() {
        let mut world = world();
        world.pool_is("far", PoolState::Down);
        let verdicts = rehearse(&world.snapshot(), [&test(json!({"expect": ["far"], "client": "198.51.100.7"}))]);
        assert!(verdicts[0].passed, "{verdicts:?}");
    }

    #[test]
    fn a_failing_test_says_which_rule_decided() {
        let verdict = rehearse(&world().snapshot(), [&test(json!({"expect": ["far"]}))]).remove(0);
        assert_eq!(
            verdict.because,
            "203.0.113.77 asking www.example.test A must get pool far, and would get pool main 90 %, canary 10 %, \
             by rule 1 “near” of policy web."
        );
    }
}
