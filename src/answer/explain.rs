//! Why an answer is what it is: the same code as `answer`, with somebody listening.

use std::net::IpAddr;

use serde::Serialize;

use super::live::LivePool;
use super::locate::{By, Located};
use super::names::Suffixes;
use super::odds::odds;
use super::plan::{Plan, RulePlan, StepPlan};
use super::respond::respond;
use super::snapshot::Snapshot;
use super::steer::{Choice, Pass};
use super::trace::{Kept, Standing, Tracer};
use super::words;
use super::{Client, Entropy, Owner, Question, Set};
use crate::geo::{Decision, inside, membership};
use crate::health::{EndpointState, Family, PoolState};
use crate::model::{Choose, Id, Rdata, Region, Rule};

/// An answer and how it came about, in fields for programs and sentences for people.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Trace {
    pub name: String,
    #[serde(rename = "type")]
    pub rtype: String,
    /// The apex of the zone that answers.
    pub zone: Option<String>,
    /// `NOERROR`, `NXDOMAIN`, `REFUSED`.
    pub rcode: String,
    pub authoritative: bool,
    pub answer: Vec<RecordTrace>,
    pub authority: Vec<RecordTrace>,
    pub additional: Vec<RecordTrace>,
    /// SCOPE PREFIX-LENGTH that a client subnet in the query would be answered with.
    pub scope: u8,
    pub extended_error: Option<u16>,
    /// Where a policy decided.
    pub steering: Option<SteeringTrace>,
    /// From question to answer, a sentence for each decision.
    pub sentences: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RecordTrace {
    pub name: String,
    #[serde(rename = "type")]
    pub rtype: String,
    pub ttl: u32,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct SteeringTrace {
    pub policy: String,
    pub client: ClientTrace,
    pub rules: Vec<RuleTrace>,
    /// Of the rule that matches.
    pub steps: Vec<StepTrace>,
    pub choice: ChoiceTrace,
    /// Everybody in the chosen pool.
    pub servers: Vec<ServerTrace>,
    pub ttl: Option<u32>,
    pub ttl_reason: Option<String>,
}

/// Where the client is taken to be.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ClientTrace {
    /// A prefix for a client subnet, an address for a resolver.
    pub address: String,
    pub source: ClientSource,
    pub source_reason: String,
    pub country: Option<String>,
    pub continent: Option<String>,
    pub subdivisions: Vec<String>,
    pub city: Option<String>,
    pub asn: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientSource {
    /// The client subnet of the query (RFC 7871).
    Ecs,
    Resolver,
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RuleTrace {
    pub name: String,
    pub verdict: RuleVerdict,
    pub reason: String,
    /// `reason`, for those who have other words for it.
    #[serde(skip)]
    pub because: RuleReason,
}

/// Why a rule matches or does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleReason {
    Disabled,
    /// A rule before it matches.
    NotReached,
    /// It takes everyone.
    Everyone,
    In(Id<Region>),
    /// Most of the client's prefix is in these.
    MostlyIn(Vec<Id<Region>>),
    InNone(Vec<Id<Region>>),
    /// In one that the rule leaves out.
    InExcepted(Id<Region>),
    /// A smaller part of the client's prefix is in it.
    PartlyIn(Id<Region>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleVerdict {
    Disabled,
    PassedOver,
    Matches,
    /// A rule before it matches.
    NotReached,
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct StepTrace {
    pub choose: Choose,
    pub pools: Vec<PoolTrace>,
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct PoolTrace {
    pub pool: String,
    pub state: PoolState,
    pub standing: Standing,
    pub reason: String,
    pub weight: u16,
    pub canary: bool,
    /// The share of the rule's clients or queries that it answers now, from 0 to 1.
    pub odds: Option<f64>,
    /// The share that it leaves to the next pools, by load, by setting or while it ramps up.
    pub sheds: f64,
    pub load: Option<f64>,
    pub round_trip_ms: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ChoiceTrace {
    pub pool: Option<String>,
    /// From 1; not set for a last resort's own pool.
    pub step: Option<usize>,
    pub pass: Option<Pass>,
    /// The answer ends the hold of the pool.
    pub releases_hold: bool,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ServerTrace {
    pub endpoint: String,
    pub family: Family,
    pub address: String,
    pub state: EndpointState,
    pub reason: String,
    pub weight: u16,
    pub priority: u8,
    /// Odds from 0 to 1 to be the first record of an answer of its family from this pool.
    pub odds: f64,
    pub answered: bool,
}

/// As `answer`, and says why.
pub fn explain(snapshot: &Snapshot, question: &Question, client: &Client, now_ms: u64, entropy: &mut Entropy) -> Trace {
    let mut heard = Heard::default();
    let answer = respond(snapshot, question, client, now_ms, entropy, &mut heard);
    let zones = snapshot.zones();
    let suffixes = Suffixes::of(question.name, zones.seed());
    let zone = suffixes.and_then(|name| zones.find(&name, question.rtype)).map(|zone| words::name(zone.apex()));
    let steering = heard.steered.as_ref().and_then(|_| steering(snapshot, &heard, client, now_ms));
    let mut trace = Trace {
        name: words::name(question.name),
        rtype: question.rtype.to_string(),
        zone,
        rcode: format!("{:?}", answer.rcode).to_uppercase(),
        authoritative: answer.authoritative,
        answer: records(&answer.answer, question),
        authority: records(&answer.authority, question),
        additional: records(&answer.additional, question),
        scope: answer.scope,
        extended_error: answer.extended_error,
        steering,
        sentences: Vec::new(),
    };
    trace.sentences = words::sentences(&trace);
    trace
}

/// What was heard while the answer was made.
#[derive(Default)]
struct Heard {
    steered: Option<(u32, Located)>,
    rule: usize,
    decision: Option<Decision>,
    standings: Vec<(usize, usize, Standing)>,
    choice: Option<ChoiceHeard>,
    from: Vec<u8>,
    picked: Vec<u8>,
    kept: Option<(u32, Kept)>,
}

enum ChoiceHeard {
    Pool { number: u32, step: Option<usize>, pass: Pass },
    NoAnswer,
    Refuse,
}

impl Tracer for Heard {
    fn steered(&mut self, policy: u32, located: &Located) {
        self.steered = Some((policy, *located));
    }

    fn ruled(&mut self, rule: usize, decision: Option<&Decision>) {
        (self.rule, self.decision) = (rule, decision.cloned());
    }

    fn stands(&mut self, _: Pass, step: usize, pool: usize, standing: Standing) {
        // A later pass knows better.
        self.standings.retain(|known| (known.0, known.1) != (step, pool));
        self.standings.push((step, pool, standing));
    }

    fn chosen(&mut self, choice: &Choice) {
        self.choice = Some(match *choice {
            Choice::Pool { number, step, pass, .. } => ChoiceHeard::Pool { number, step, pass },
            Choice::NoAnswer => ChoiceHeard::NoAnswer,
            Choice::Refuse => ChoiceHeard::Refuse,
        });
    }

    fn served(&mut self, from: &[u8], picked: &[u8]) {
        (self.from, self.picked) = (from.to_vec(), picked.to_vec());
    }

    fn kept(&mut self, ttl: u32, why: Kept) {
        self.kept = Some((ttl, why));
    }
}

fn steering(snapshot: &Snapshot, heard: &Heard, client: &Client, now_ms: u64) -> Option<SteeringTrace> {
    let (policy, located) = heard.steered?;
    let plan = snapshot.plans().plan(policy)?;
    let rule = plan.rules.get(heard.rule);
    let chosen = match heard.choice {
        Some(ChoiceHeard::Pool { number, .. }) => snapshot.pools().get(number),
        _ => None,
    };
    Some(SteeringTrace {
        policy: snapshot.policy_ids().get(policy as usize)?.to_string(),
        client: place(snapshot, &located, words::source_reason(&located, client)),
        rules: rules(snapshot, plan, rule, &located),
        steps: rule.map(|rule| steps(snapshot, plan, rule, heard)).unwrap_or_default(),
        choice: choice(heard, chosen),
        servers: chosen.map(|pool| servers(pool, heard)).unwrap_or_default(),
        ttl: heard.kept.map(|(ttl, _)| ttl),
        ttl_reason: heard.kept.map(|(_, why)| words::ttl_reason(why, plan.policy.ttl, now_ms)),
    })
}

fn place(snapshot: &Snapshot, located: &Located, source_reason: String) -> ClientTrace {
    let (place, _) = snapshot.geo().place(located.address);
    let (address, source) = match located.by {
        By::Subnet { source } => (format!("{}/{source}", located.address), ClientSource::Ecs),
        By::Resolver | By::PrivateSubnet { .. } => (located.address.to_string(), ClientSource::Resolver),
    };
    ClientTrace {
        address,
        source,
        source_reason,
        country: place.country.map(|country| country.to_string()),
        continent: place.continent.map(|continent| continent.to_string()),
        subdivisions: place.subdivisions.iter().map(ToString::to_string).collect(),
        city: place.city.clone(),
        asn: place.asn,
    }
}

fn rules(snapshot: &Snapshot, plan: &Plan, matched: Option<&RulePlan>, located: &Located) -> Vec<RuleTrace> {
    let matched = matched.map_or(usize::MAX, |rule| rule.number);
    let rules = plan.policy.rules.iter().enumerate().map(|(number, rule)| {
        let (verdict, because) = if number > matched {
            (RuleVerdict::NotReached, RuleReason::NotReached)
        } else if !rule.enabled {
            (RuleVerdict::Disabled, RuleReason::Disabled)
        } else {
            let verdict = if number == matched { RuleVerdict::Matches } else { RuleVerdict::PassedOver };
            (verdict, rule_reason(snapshot, rule, located, verdict))
        };
        RuleTrace { name: rule.name.clone(), verdict, reason: words::rule_reason(&because), because }
    });
    rules.collect()
}

fn rule_reason(snapshot: &Snapshot, rule: &Rule, located: &Located, verdict: RuleVerdict) -> RuleReason {
    let in_any = |regions: &[Id<Region>]| regions.iter().find(|id| is_in(snapshot, id, located.address)).cloned();
    match (verdict, in_any(&rule.regions), in_any(&rule.except_regions)) {
        (RuleVerdict::Matches, Some(region), _) => RuleReason::In(region),
        (RuleVerdict::Matches, None, _) if rule.regions.is_empty() => RuleReason::Everyone,
        (RuleVerdict::Matches, None, _) => RuleReason::MostlyIn(rule.regions.clone()),
        (_, _, Some(except)) => RuleReason::InExcepted(except),
        (_, None, None) => RuleReason::InNone(rule.regions.clone()),
        (_, Some(region), None) => RuleReason::PartlyIn(region),
    }
}

fn is_in(snapshot: &Snapshot, region: &Id<Region>, address: IpAddr) -> bool {
    let mut membership = membership::Membership::default();
    let regions = membership.add_all(&snapshot.model().regions, std::slice::from_ref(region));
    let (address, _) = inside::unwrap(address);
    let networks = membership.networks.iter().zip(0u32..).filter(|(network, _)| network.contains(&address));
    let networks: Vec<u32> = networks.map(|(_, at)| at).collect();
    let (place, _) = snapshot.geo().place(address);
    membership.any_matches(&regions, &membership::Client { place, networks: &networks })
}

fn steps(snapshot: &Snapshot, plan: &Plan, rule: &RulePlan, heard: &Heard) -> Vec<StepTrace> {
    let odds = odds(plan.kind, rule, heard.decision.as_ref(), snapshot.pools());
    let pool = |number: usize, step: &StepPlan, at: usize| {
        let one = step.pools.get(at)?;
        let live = snapshot.pools().get(one.pool)?;
        let known = heard.standings.iter().find(|known| (known.0, known.1) == (number, at));
        let standing = known.map_or(Standing::NotReached, |known| known.2);
        Some(PoolTrace {
            pool: live.id.to_string(),
            state: live.state,
            standing,
            reason: words::pool_reason(live, plan.kind, standing),
            weight: one.weight,
            canary: one.canary,
            odds: odds.as_ref().map(|odds| odds[number][at]),
            sheds: live.sheds,
            load: live.load,
            round_trip_ms: live.round_trip_ms,
        })
    };
    let steps = rule.steps.iter().enumerate().map(|(number, step)| StepTrace {
        choose: step.choose,
        pools: (0..step.pools.len()).filter_map(|at| pool(number, step, at)).collect(),
    });
    steps.collect()
}

fn choice(heard: &Heard, chosen: Option<&LivePool>) -> ChoiceTrace {
    let (step, pass) = match heard.choice {
        Some(ChoiceHeard::Pool { step, pass, .. }) => (step.map(|step| step + 1), Some(pass)),
        _ => (None, None),
    };
    let held = chosen.is_some_and(|pool| pool.state == PoolState::Held);
    let reason = match (&heard.choice, pass, step) {
        (Some(ChoiceHeard::Refuse), ..) => "no step has a pool that can answer, and the last resort is to refuse",
        (_, None, _) => "no step has a pool that can answer, and the last resort has none either",
        (_, Some(Pass::Normal), _) => "the first step with a pool for this client",
        (_, Some(Pass::Full), _) => "every pool sheds this client, so that shedding is ignored",
        (_, Some(Pass::Held), _) => "nothing else is left, so that a held pool is used and its hold ends",
        (_, Some(Pass::Anyway), Some(_)) => "no step has a pool that is ok, and the last resort is to serve anyway",
        (_, Some(Pass::Anyway), None) => "no step has a pool that is ok, and the last resort is this pool",
    };
    ChoiceTrace {
        pool: chosen.map(|pool| pool.id.to_string()),
        step,
        pass,
        releases_hold: held && pass == Some(Pass::Held),
        reason: reason.to_owned(),
    }
}

fn servers(pool: &LivePool, heard: &Heard) -> Vec<ServerTrace> {
    let weight = |at: &u8| f64::from(pool.servers[usize::from(*at)].weight);
    let total: f64 = heard.from.iter().map(weight).sum();
    let servers = pool.servers.iter().zip(0u8..).map(|(server, at)| ServerTrace {
        endpoint: server.endpoint.to_string(),
        family: server.family,
        address: words::address(&server.data),
        state: server.state,
        reason: words::server_reason(server),
        weight: server.weight,
        priority: server.priority,
        odds: if heard.from.contains(&at) { weight(&at) / total } else { 0.0 },
        answered: heard.picked.contains(&at),
    });
    servers.collect()
}

fn records(sets: &[Set], question: &Question) -> Vec<RecordTrace> {
    let of_set = |set: &Set| {
        let name = match set.owner {
            Owner::Question => words::name(question.name),
            Owner::Name(name) => words::name(name),
        };
        let record = |data: &&[u8]| RecordTrace {
            name: name.clone(),
            rtype: set.rtype.to_string(),
            ttl: set.ttl,
            value: Rdata::from_wire(&[set.kept(question.name), data].concat()).present(set.rtype),
        };
        set.data.iter().map(record).collect::<Vec<_>>()
    };
    sets.iter().flat_map(of_set).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixture::{NOW_MS, World, client, name, rule};
    use super::*;
    use crate::model::RecordType;

    fn world() -> World {
        let mut world = World::default();
        world.zone("example.test.").pools(&["main", "canary", "backup", "far"]);
        world.region("near", &["cidr:203.0.113.0/24"]).region("lab", &["cidr:10.0.0.0/8"]);
        let near = rule(&["near"], &["weighted main=90 canary=10!", "weighted backup=1"], "serve_anyway");
        let mut lab = rule(&["lab"], &["weighted far=1"], "refuse");
        lab.name = "the lab".into();
        world.policy("web", "www.example.test.", vec![lab, near, rule(&[], &["weighted far=1"], "refuse")]);
        world
    }

    fn explain_to(world: &World, subnet: Option<(&str, u8)>) -> Trace {
        let owner = name("www.example.test.");
        let question = Question { name: owner.as_wire(), rtype: RecordType::A };
        explain(&world.snapshot(), &question, &client(subnet), NOW_MS, &mut Entropy::new(3))
    }

    #[test]
    fn every_decision_is_said_in_a_sentence() {
        let mut world = world();
        world.pool_is("main", PoolState::Down);
        Arc::make_mut(world.health.pools.get_mut(&"main".parse().unwrap()).unwrap()).reason =
            "1 of 1 down: HTTP 503".into();
        let trace = explain_to(&world, Some(("203.0.113.0", 24)));
        assert_eq!(
            trace.sentences,
            [
                "Zone example.test. answers for www.example.test., and policy web decides on A there.",
                "The client is placed by its subnet 203.0.113.0/24: place unknown.",
                "Rule 1 “the lab” is passed over: the client is in none of lab.",
                "Rule 2 “near” matches: the client is in near.",
                "Step 1, weighted: main does not answer (down: 1 of 1 down: HTTP 503), \
                 canary may answer (ok, canary; odds 0 %).",
                "Step 2, weighted: backup may answer (ok; odds 100 %).",
                "Pool backup answers, in step 2: the first step with a pool for this client.",
                "The TTL is 30 s: what the policy sets.",
                "The answer holds for 203.0.113.0/24.",
            ]
        );
        let json = serde_json::to_value(&trace).unwrap();
        assert_eq!(json["steering"]["rules"][0]["verdict"], "passed_over");
        assert_eq!(json["steering"]["steps"][0]["pools"][0]["standing"], "not_serving");
        assert_eq!(json["steering"]["choice"]["pool"], "backup");
        assert_eq!(json["answer"][0]["value"], "192.0.2.3");
    }

    #[test]
    fn odds_are_those_that_answers_follow() {
        let mut world = world();
        let odds = |world: &World| {
            let steering = explain_to(world, Some(("203.0.113.0", 24))).steering.unwrap();
            let pools = steering.steps.iter().flat_map(|step| &step.pools);
            pools.map(|pool| (pool.odds.unwrap() * 1000.0).round() / 1000.0).collect::<Vec<_>>()
        };
        assert_eq!(odds(&world), [0.9, 0.1, 0.0]);
        world.edit_pool("main").shed.percent = 50;
        // Half of the time the canary is alone and the client moves on.
        assert_eq!(odds(&world), [0.45, 0.05, 0.5]);
        world.pool_is("backup", PoolState::Off);
        assert_eq!(odds(&world), [0.9, 0.1, 0.0]);
        world.pool_is("main", PoolState::Held);
        assert_eq!(odds(&world), [0.9, 0.1, 0.0]);
        world.pool_is("main", PoolState::Down);
        assert_eq!(odds(&world), [1.0, 0.0, 0.0]);
        world.pool_is("main", PoolState::Drain);
        assert_eq!(odds(&world), [0.0, 0.0, 0.0]);
    }

    #[test]
    fn what_is_drawn_and_why_a_server_is_not_is_told() {
        let mut world = world();
        world.endpoint("second", &["192.0.2.77"]).pool("main", &["main", "second"]);
        world.endpoint_is("second", EndpointState::Down);
        let steering = explain_to(&world, Some(("203.0.113.0", 24))).steering.unwrap();
        let servers: Vec<_> = steering.servers.iter().map(|s| (s.address.as_str(), s.odds, s.answered)).collect();
        assert_eq!(servers, [("192.0.2.1", 1.0, true), ("2001:db8::1", 0.0, false), ("192.0.2.77", 0.0, false)]);
        assert_eq!(steering.client.source, ClientSource::Ecs);
    }

    #[test]
    fn explaining_says_what_answering_says() {
        let world = world();
        let snapshot = world.snapshot();
        for (owner, rtype) in [
            ("www.example.test.", RecordType::A),
            ("www.example.test.", RecordType::TXT),
            ("example.test.", RecordType::SOA),
            ("missing.example.test.", RecordType::A),
            ("other.test.", RecordType::A),
        ] {
            let owner = name(owner);
            let question = Question { name: owner.as_wire(), rtype };
            for seed in 0..20 {
                let client = client(Some(("203.0.113.0", 24)));
                let answer = super::super::answer(&snapshot, &question, &client, NOW_MS, &mut Entropy::new(seed));
                let trace = explain(&snapshot, &question, &client, NOW_MS, &mut Entropy::new(seed));
                assert_eq!(trace.answer, records(&answer.answer, &question));
                assert_eq!(trace.rcode, format!("{:?}", answer.rcode).to_uppercase());
                assert_eq!(trace.scope, answer.scope);
                assert!(!trace.sentences.is_empty());
            }
        }
    }
}
