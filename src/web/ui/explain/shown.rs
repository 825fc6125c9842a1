//! An explanation as people see it: what it says, in the order of the questions that somebody has. Takes a
//! trace apart; decides nothing.

use std::net::IpAddr;

use jiff::Timestamp;

use super::dig::{self, Server, dig};
use crate::answer::{
    ANY_RESOLVER, ClientSource, Explained, Pass, PoolTrace, RuleReason, RuleTrace, RuleVerdict, ServerTrace, Standing,
    SteeringTrace, Trace, is_private, pools,
};
use crate::control::simulate::{At, Simulation, World};
use crate::geo::{Coarse, Who};
use crate::health::{Family, HealthTable, PoolState};
use crate::model::{Country, Id, Model, Pool, builtin};
use crate::web::ui::country;
use crate::web::ui::filters::{percent_text, span};
use crate::web::ui::sentence::{self, Plain, region_name, region_title};
use crate::web::ui::text::{Language, Text, capital, count, fact, plain, text};

/// Records of an answer that are shown large; the rest is counted.
const MOST_RECORDS: usize = 4;
/// Networks that are named of one group of clients.
const MOST_NETWORKS: usize = 3;
/// Zones that are named to somebody who asked for a name in none of them.
const MOST_ZONES: usize = 8;

/// One explanation.
pub struct Shown {
    /// Which world answers: `Live answer`, `Answer if demo-ap were down`.
    pub head: Text,
    /// How that stands to the draft, or to what is live: true where it differs.
    pub beside: Option<(bool, Text)>,
    pub records: Vec<String>,
    pub more_records: usize,
    /// Who answers, for how long, and for whom it may be kept.
    pub below: Vec<Text>,
    pub steps: Vec<Step>,
    pub odds: Vec<Bar>,
    pub facts: Vec<(Text, Text)>,
    pub dig: Option<String>,
    /// Why there is no `dig`.
    pub no_dig: Option<Text>,
}

/// One line of the trace.
pub struct Step {
    pub icon: &'static str,
    /// A class of the icon's colour.
    pub colour: &'static str,
    pub strong: bool,
    pub head: Text,
    pub below: Vec<Text>,
}

/// One server with its odds.
pub struct Bar {
    pub label: String,
    /// Of 100.
    pub width: String,
    pub percent: String,
    /// Drawn now.
    pub drawn: bool,
}

/// A group of clients that is answered alike, as a row.
pub struct Group {
    pub share: f64,
    pub networks: Vec<String>,
    pub more_networks: usize,
    pub rule: String,
    pub answer: String,
    /// To see the whole of it.
    pub href: String,
}

/// What a language's reader needs to know about where clients are.
pub struct Reader {
    pub language: Language,
    pub now: Timestamp,
    /// Their own address, where they asked for that.
    pub own: Option<IpAddr>,
    /// Whom dig is to ask.
    pub server: Option<Server>,
}

impl Reader {
    pub fn country(&self, code: Country) -> String {
        country::name(code, self.language)
    }

    /// Whom was asked for.
    pub fn who(&self, who: &Who, model: &Model) -> String {
        match who {
            Who::Network(network) => network.to_string(),
            Who::Asn(asn) => format!("AS{asn}"),
            Who::Country(country) => self.country(*country),
            Who::Subdivision(part) => {
                builtin::subdivision(*part).map_or_else(|| part.to_string(), |info| info.name.clone())
            }
            Who::City(city, country) => {
                country.map_or_else(|| city.clone(), |country| format!("{city}, {}", self.country(country)))
            }
            Who::Region(id) => {
                let known = model.regions.get(id);
                known.map_or_else(|| id.to_string(), |region| region_title(id, region, self.language))
            }
        }
    }
}

/// The sentence under a client that is answered by more than was asked for.
pub fn coarse(reader: &Reader, simulation: &Simulation) -> Option<Text> {
    let clients = simulation.clients.as_ref()?;
    let who = reader.who(&clients.who, simulation.world.snapshot.model());
    Some(match clients.coarse? {
        Coarse::NoCity => text("The geo database does not know this city. {who} stands for it.").set("who", who),
        Coarse::NoSubdivision => {
            text("The geo database does not know this part of a country. {who} stands for it.").set("who", who)
        }
    })
}

impl Shown {
    pub fn new(reader: &Reader, simulation: &Simulation, group: &Explained, beside: Option<(bool, Text)>) -> Shown {
        let trace = &group.trace;
        let otherwise = dig::asks_otherwise(simulation);
        let mut shown = Shown {
            head: head(simulation.at, &simulation.down),
            beside,
            records: records(trace),
            more_records: trace.answer.len().saturating_sub(MOST_RECORDS),
            below: below(simulation, trace),
            steps: Vec::new(),
            odds: Vec::new(),
            facts: facts(trace),
            dig: reader.server.as_ref().and_then(|server| dig(server, simulation, group)),
            no_dig: otherwise.then(|| text("There is no dig command for this: dig asks the live server as it is.")),
        };
        match &trace.steering {
            Some(steering) => shown.steer(reader, simulation, trace, steering),
            None => shown.steps.push(fixed(simulation.world.snapshot.model(), trace)),
        }
        shown
    }

    fn steer(&mut self, reader: &Reader, simulation: &Simulation, trace: &Trace, steering: &SteeringTrace) {
        let model = simulation.world.snapshot.model();
        self.steps.push(place(reader, simulation, steering));
        self.steps.extend(steering.rules.iter().enumerate().filter_map(|(at, rule)| {
            let last = at + 1 == steering.rules.len();
            rule_step(model, at + 1, rule, last)
        }));
        let of_step = steering.steps.iter().flat_map(|step| &step.pools);
        // In its last resort a rule asks pools that it passed over before.
        let is_last_resort = steering.choice.pass == Some(Pass::Anyway);
        let passes = |pool: &&PoolTrace| is_passed(pool) || (is_last_resort && pool.standing == Standing::Kept);
        self.steps.extend(of_step.filter(passes).map(|pool| passed(reader, simulation, pool)));
        self.steps.push(used(steering, trace));
        let family = family(&trace.rtype);
        let servers: Vec<&ServerTrace> =
            steering.servers.iter().filter(|server| family.is_none_or(|family| server.family == family)).collect();
        self.steps.extend(servers.iter().filter(|server| server.odds == 0.0).map(|server| left_out(server)));
        if let (Some(ttl), Some(why)) = (steering.ttl, &steering.ttl_reason) {
            self.steps.push(Step {
                icon: "clock",
                colour: "muted",
                strong: false,
                head: text("Resolvers may keep it for {ttl} s").set("ttl", ttl),
                below: vec![reason(why)],
            });
        }
        let pools = pools(trace);
        if pools.len() > 1 {
            self.odds.extend(pools.iter().map(|(pool, odds)| Bar {
                drawn: steering.choice.pool.as_deref() == Some(*pool),
                ..bar(pool, f64::from(*odds) / 1000.0)
            }));
        }
        let drawn = servers.iter().filter(|server| server.odds > 0.0);
        if servers.len() > 1 || self.odds.is_empty() {
            self.odds.extend(drawn.map(|server| Bar { drawn: server.answered, ..bar(&server.endpoint, server.odds) }));
        }
    }
}

fn bar(label: &str, share: f64) -> Bar {
    let width = format!("{:.1}%", share * 100.0);
    Bar { label: label.to_owned(), width, percent: percent_text(share), drawn: false }
}

fn head(at: At, down: &[Id<Pool>]) -> Text {
    let said = match (at, down.is_empty()) {
        (At::Live, true) => text("Live answer"),
        (At::Live, false) => text("Answer if {pools} were down"),
        (At::Draft, true) => text("Answer in your draft"),
        (At::Draft, false) => text("Answer in your draft if {pools} were down"),
        (At::Version(_), true) => text("Answer of version {n} in the health of now"),
        (At::Version(_), false) => text("Answer of version {n} if {pools} were down"),
    };
    let pools: Vec<&str> = down.iter().map(Id::as_str).collect();
    let said = said.set("pools", pools.join(", "));
    if let At::Version(number) = at { said.set("n", number) } else { said }
}

/// How answers stand to those of another world: true where they differ for some clients.
pub fn beside(at: At, groups: &[Explained], others: &[Explained]) -> (bool, Text) {
    let of = |groups: &[Explained], told: fn(&Trace) -> String| -> Vec<String> {
        groups.iter().map(|group| told(&group.trace)).collect()
    };
    // The same pools may answer with other servers, other odds or for another time.
    let is_pool = of(groups, in_short) != of(others, in_short);
    let told = if is_pool { in_short } else { servers };
    let (mine, other) = (of(groups, told), of(others, told));
    let said = match (at == At::Draft, mine == other, mine.first() == other.first()) {
        (true, true, _) => text("The same in the draft"),
        (false, true, _) => text("Live: the same"),
        (true, _, true) => text("Some of these clients get something else in the draft"),
        (false, _, true) => text("Some of these clients get something else live"),
        (true, ..) => text("In the draft: {answer}"),
        (false, ..) => text("Live: {answer}"),
    };
    let answer = others.first().map(|group| if is_pool { with_addresses(&group.trace) } else { servers(&group.trace) });
    (mine != other, said.set("answer", answer.unwrap_or_default()))
}

/// Each server with its odds, and the TTL: `web-1 9%, web-2 91%, 30 s`.
fn servers(trace: &Trace) -> String {
    let Some(steering) = &trace.steering else { return in_short(trace) };
    let family = family(&trace.rtype);
    let asked = |server: &&ServerTrace| server.odds > 0.0 && family.is_none_or(|family| server.family == family);
    let each = |server: &ServerTrace| format!("{} {}", server.endpoint, percent_text(server.odds));
    let ttl = steering.ttl.map(|ttl| format!("{ttl} s"));
    let told: Vec<String> = steering.servers.iter().filter(asked).map(each).chain(ttl).collect();
    told.join(", ")
}

/// As `in_short`, and the addresses of a pool that answers alone.
fn with_addresses(trace: &Trace) -> String {
    let (short, addresses) = (in_short(trace), records(trace));
    if pools(trace).len() == 1 { format!("{} ({short})", addresses.join(", ")) } else { short }
}

/// What can be answered of the pool that answers alone.
pub fn addresses(trace: &Trace) -> Vec<String> {
    let family = family(&trace.rtype);
    let servers = trace.steering.iter().filter(|_| pools(trace).len() == 1).flat_map(|steering| &steering.servers);
    let servers = servers.filter(|server| server.odds > 0.0 && family.is_none_or(|family| server.family == family));
    servers.map(|server| server.address.clone()).collect()
}

fn records(trace: &Trace) -> Vec<String> {
    if trace.answer.is_empty() {
        return vec![trace.rcode.clone()];
    }
    let other = |record: &&crate::answer::RecordTrace| match record.rtype == trace.rtype {
        true => record.value.clone(),
        false => format!("{} {}", record.rtype, record.value),
    };
    trace.answer.iter().take(MOST_RECORDS).map(|record| other(&record)).collect()
}

fn below(simulation: &Simulation, trace: &Trace) -> Vec<Text> {
    let mut below = Vec::new();
    let answered: Vec<&str> = trace
        .steering
        .iter()
        .flat_map(|steering| &steering.servers)
        .filter(|server| server.answered)
        .map(|server| &*server.endpoint)
        .collect();
    let pool = trace.steering.as_ref().and_then(|steering| steering.choice.pool.as_deref());
    if let (Some(pool), false) = (pool, answered.is_empty()) {
        below.push(text("{servers} in {pool}").set("servers", answered.join(", ")).set("pool", pool));
    }
    if trace.answer.is_empty() && trace.rcode == "NOERROR" {
        below.push(text("There is no {type} to answer").set("type", &trace.rtype));
    }
    if let Some(record) = trace.answer.first() {
        below.push(text("TTL {ttl} s").set("ttl", record.ttl));
    }
    if simulation.clients.is_some() && is_by_subnet(trace) {
        below.push(scope(trace));
    }
    below
}

/// True where a client subnet decides.
fn is_by_subnet(trace: &Trace) -> bool {
    trace.steering.as_ref().is_some_and(|steering| steering.client.source == ClientSource::Ecs)
}

/// For whom the answer holds.
fn scope(trace: &Trace) -> Text {
    let address = trace.steering.as_ref().and_then(|steering| steering.client.address.split('/').next());
    let network = address.and_then(|address| ipnet::IpNet::new(address.parse::<IpAddr>().ok()?, trace.scope).ok());
    match network {
        Some(network) if trace.scope > 0 => text("cacheable for {network}").set("network", network.trunc()),
        _ => text("cacheable for everyone"),
    }
}

fn facts(trace: &Trace) -> Vec<(Text, Text)> {
    let mut facts = vec![
        (text("Response code"), plain(&trace.rcode)),
        (text("Zone"), trace.zone.as_ref().map_or_else(|| text("none of ours"), plain)),
    ];
    if let Some(steering) = &trace.steering {
        facts.push((text("Policy"), plain(&steering.policy)));
    }
    let flags = match trace.authoritative {
        true => text("AA, not signed by DNSSEC"),
        false => text("not authoritative"),
    };
    facts.push((text("Flags"), flags));
    if trace.steering.is_none() || is_by_subnet(trace) {
        facts.push((text("Scope of the client subnet"), plain(format!("/{}", trace.scope))));
    }
    facts.extend(trace.extended_error.map(|code| (text("Extended error (RFC 8914)"), plain(code))));
    facts
}

fn fixed(model: &Model, trace: &Trace) -> Step {
    let below = match &trace.zone {
        Some(_) => trace.sentences.iter().map(|said| fact("decision", said)).collect(),
        None => vec![zones_here(model)],
    };
    let head = match (&trace.zone, trace.rcode.as_str()) {
        (None, _) => text("No zone here holds this name"),
        (_, "NXDOMAIN") => text("There is no such name"),
        _ if trace.answer.is_empty() => text("The name has no such records"),
        _ => text("Its records are fixed: everyone gets the same"),
    };
    Step { icon: "file-text", colour: "", strong: true, head, below }
}

/// The zones that could have been meant.
fn zones_here(model: &Model) -> Text {
    let zones: Vec<String> = model.zones.values().map(|zone| zone.fqdn.to_string()).collect();
    let named: Vec<&str> = zones.iter().take(MOST_ZONES).map(|apex| apex.trim_end_matches('.')).collect();
    let said = match (named.is_empty(), zones.len().saturating_sub(MOST_ZONES)) {
        (true, _) => text("There is no zone here."),
        (false, 0) => text("Zones here: {zones}."),
        (false, more) => text("Zones here: {zones} and {n} more.").set("n", more),
    };
    said.set("zones", named.join(", "))
}

fn place(reader: &Reader, simulation: &Simulation, steering: &SteeringTrace) -> Step {
    let client = &steering.client;
    let country =
        client.country.as_ref().map(|code| code.parse().map_or_else(|_| code.clone(), |code| reader.country(code)));
    let parts: Vec<String> = client.city.clone().into_iter().chain(country).collect();
    let place = match (parts.is_empty(), &client.continent) {
        (false, _) => plain(parts.join(", ")),
        (true, Some(continent)) => fact("continent", continent),
        (true, None) => text("Place unknown"),
    };
    let mut below = vec![placed_by(reader, simulation, steering)];
    below.extend(client.asn.map(|asn| plain(format!("AS{asn}."))));
    below.push(geo_file(&simulation.world));
    Step { icon: "map-pin", colour: "", strong: true, head: place, below }
}

/// By what address clients were placed.
fn placed_by(reader: &Reader, simulation: &Simulation, steering: &SteeringTrace) -> Text {
    let client = &steering.client;
    if client.source == ClientSource::Ecs {
        return text("From client subnet {network} sent by the resolver.").set("network", &client.address);
    }
    let asked = simulation.clients.as_ref().and_then(|clients| clients.networks.first());
    let Some((network, _)) = asked.filter(|_| simulation.resolver == ANY_RESOLVER) else {
        return text("From {resolver}.").fact("resolver", "placed", &client.source_reason);
    };
    // No resolver was named, so that the place of one is nobody's.
    match (reader.own, is_private(network.network(), network.prefix_len())) {
        (Some(own), true) => text("Your address {address} is private: you get what a resolver of unknown place gets.")
            .set("address", own),
        (None, true) => {
            text("{network} is private: it gets what a resolver of unknown place gets.").set("network", network)
        }
        _ if network.prefix_len() == 0 => {
            text("{network} names no network: this is what a resolver of unknown place gets.").set("network", network)
        }
        _ => text("The policy goes by the resolver: this is what one of unknown place gets."),
    }
}

/// Which database says so, and how old it is.
fn geo_file(world: &World) -> Text {
    let built = world.snapshot.geo().databases().first().and_then(|database| {
        Some((database.kind.clone(), Timestamp::from_second(i64::try_from(database.built).ok()?).ok()?))
    });
    match built {
        Some((kind, at)) => {
            text("Geo database {kind} of {date}.").set("kind", kind).set("date", at.strftime("%Y-%m-%d"))
        }
        None => text("There is no geo database."),
    }
}

fn rule_step(model: &Model, number: usize, rule: &RuleTrace, last: bool) -> Option<Step> {
    let (icon, colour, strong, head) = match rule.verdict {
        RuleVerdict::NotReached => return None,
        RuleVerdict::Disabled => ("ban", "muted", false, text("Rule {n} is switched off: {name}")),
        RuleVerdict::PassedOver => ("x", "muted", false, text("Rule {n} does not match: {name}")),
        RuleVerdict::Matches if last => ("check", "okc", true, text("The catch-all matches: {name}")),
        RuleVerdict::Matches => ("check", "okc", true, text("Rule {n} matches: {name}")),
    };
    let below = if rule.verdict == RuleVerdict::Disabled { None } else { because(model, &rule.because) };
    let head = head.set("n", number).set("name", &rule.name);
    Some(Step { icon, colour, strong, head, below: below.into_iter().collect() })
}

/// Why a rule matches or does not; nothing where it was not asked.
pub fn because(model: &Model, reason: &RuleReason) -> Option<Text> {
    let all = |regions: &[_]| sentence::regions(regions, &Plain(model));
    Some(match reason {
        RuleReason::Disabled | RuleReason::NotReached => return None,
        RuleReason::Everyone => text("It takes everyone."),
        RuleReason::In(region) => text("The client is in {region}.").say("region", region_name(model, region)),
        RuleReason::MostlyIn(regions) => {
            text("Most of the client's prefix is in {regions}.").say("regions", all(regions))
        }
        RuleReason::InNone(regions) => text("The client is in none of: {regions}.").say("regions", all(regions)),
        RuleReason::InExcepted(region) => {
            text("The client is in {region}, which the rule leaves out.").say("region", region_name(model, region))
        }
        RuleReason::PartlyIn(region) => {
            text("Only a smaller part of the client's prefix is in {region}.").say("region", region_name(model, region))
        }
    })
}

/// A reason of the engine.
fn reason(reason: &str) -> Text {
    let end = if reason.ends_with(['.', '?', '!']) { "" } else { "." };
    fact("decision", format!("{}{end}", capital(reason)))
}

fn is_passed(pool: &PoolTrace) -> bool {
    matches!(pool.standing, Standing::NoWeight | Standing::NotServing | Standing::CanaryAlone | Standing::Shed)
}

fn passed(reader: &Reader, simulation: &Simulation, pool: &PoolTrace) -> Step {
    let (icon, colour) = match pool.state {
        PoolState::Down => ("octagon-x", ""),
        PoolState::Held => ("hand", "warnc"),
        PoolState::Off => ("ban", "muted"),
        PoolState::Drain => ("circle-arrow-down", "muted"),
        PoolState::Ok => ("x", "muted"),
    };
    let head = text("{pool} is passed over").set("pool", &pool.pool);
    if simulation.down.iter().any(|down| down.as_str() == pool.pool) {
        return Step { icon, colour, strong: false, head, below: vec![text("It is assumed to be down.")] };
    }
    let mut below = vec![reason(&pool.reason)];
    below.extend(since(reader, &simulation.world.health, &pool.pool));
    Step { icon, colour, strong: false, head, below }
}

/// How long a pool has been what it is.
pub fn since(reader: &Reader, health: &HealthTable, pool: &str) -> Option<Text> {
    let known = health.pools.get(&pool.parse().ok()?)?;
    let at = Timestamp::from_millisecond(i64::try_from(known.since_ms).ok()?).ok().filter(|_| known.since_ms > 0)?;
    let seconds = reader.now.duration_since(at).as_secs().max(0).unsigned_abs();
    Some(text("For {time}.").say("time", span(seconds)))
}

fn used(steering: &SteeringTrace, trace: &Trace) -> Step {
    let why = reason(&steering.choice.reason);
    let Some(pool) = &steering.choice.pool else {
        let (icon, head) = ("octagon-x", text("No pool can answer"));
        return Step { icon, colour: "", strong: true, head, below: vec![why] };
    };
    let family = family(&trace.rtype);
    let of = steering.servers.iter().filter(|server| family.is_none_or(|family| server.family == family));
    let (of, up) = (of.clone().count(), of.filter(|server| server.odds > 0.0).count());
    let mut below = vec![why];
    below.push(match up {
        0 | 1 => {
            count(of, "{up} of {n} endpoint can be answered.", "{up} of {n} endpoints can be answered.").set("up", up)
        }
        _ => text("{up} of {n} endpoints can be answered. One is drawn by weight.").set("up", up).set("n", of),
    });
    Step { icon: "check", colour: "okc", strong: true, head: text("{pool} is used").set("pool", pool), below }
}

fn left_out(server: &ServerTrace) -> Step {
    let head = text("Endpoint {endpoint} is left out").set("endpoint", &server.endpoint);
    let why = match &*server.reason {
        "up" => text("Others of the pool come first."),
        other => reason(other),
    };
    Step { icon: "x", colour: "muted", strong: false, head, below: vec![why] }
}

fn family(rtype: &str) -> Option<Family> {
    match rtype {
        "A" => Some(Family::Ipv4),
        "AAAA" => Some(Family::Ipv6),
        _ => None,
    }
}

/// What is answered, in one line: pools with odds, or the records.
pub fn in_short(trace: &Trace) -> String {
    let pools = pools(trace);
    match &*pools {
        [] => match trace.answer.first() {
            Some(record) => record.value.clone(),
            None => trace.rcode.clone(),
        },
        [(pool, _)] => (*pool).to_owned(),
        _ => {
            let each = |(pool, odds): &(&str, u16)| format!("{pool} {}", percent_text(f64::from(*odds) / 1000.0));
            pools.iter().map(each).collect::<Vec<_>>().join(", ")
        }
    }
}

impl Group {
    /// `href` leads to the explanation for one network.
    pub fn new(group: &Explained, href: impl Fn(&str) -> String) -> Group {
        let rules = group.trace.steering.iter().flat_map(|steering| &steering.rules);
        let rule = rules.filter(|rule| rule.verdict == RuleVerdict::Matches).map(|rule| rule.name.clone()).next();
        let networks: Vec<String> = group.networks.iter().take(MOST_NETWORKS).map(ToString::to_string).collect();
        Group {
            share: group.share,
            more_networks: group.networks.len().saturating_sub(MOST_NETWORKS),
            rule: rule.unwrap_or_default(),
            answer: in_short(&group.trace),
            href: networks.first().map_or(String::new(), |network| href(network)),
            networks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_names_the_world_that_answers() {
        let down = ["eu", "us"].map(|id| id.parse().unwrap());
        for (at, down, said) in [
            (At::Live, &down[..0], "Live answer"),
            (At::Live, &down[..1], "Answer if eu were down"),
            (At::Draft, &down[..0], "Answer in your draft"),
            (At::Draft, &down[..], "Answer in your draft if eu, us were down"),
            (At::Version(3), &down[..0], "Answer of version 3 in the health of now"),
            (At::Version(3), &down[..1], "Answer of version 3 if eu were down"),
        ] {
            assert_eq!(head(at, down).to_html(Language::English), said);
        }
    }
}
