//! Networks of one region that lie in a network of another, and which rule decides about their clients: the first
//! from above that holds them, however long the prefixes are. Pure.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::model::{Id, MAX_NESTING, Model, Policy, Region, Rule, Token, builtin};
use crate::web::ui::sentence::region_name;
use crate::web::ui::text::{Text, plain, text};

/// Overlaps that are found; who has more sees it in the first ones.
pub const MAX_FOUND: usize = 1_000;
/// Policies that one overlap tells of; the rest is counted.
const MAX_POLICIES: usize = 3;

/// A network that two regions hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Nested {
    pub network: IpNet,
    pub region: Id<Region>,
    /// The same, or the network around it.
    pub around: IpNet,
    pub other: Id<Region>,
}

/// How a policy that uses both regions decides about the clients of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// Its first name, and how many more it has.
    pub name: String,
    pub more: usize,
    pub rule: String,
    /// Rules above may hold some of these clients by their place.
    pub is_below_places: bool,
}

/// Every network of the operator's regions that lies in a network of another one, or is the same.
pub fn nested(model: &Model) -> Vec<Nested> {
    let own = model.regions.iter().filter(|(id, _)| !builtin::is_built_in(id));
    let mut networks: Vec<(IpNet, &Id<Region>)> = own
        .flat_map(|(id, region)| region.include.iter().filter_map(network).map(move |network| (network, id)))
        .collect();
    networks.sort_by_key(|(network, id)| (network.network(), network.prefix_len(), *id));
    let (mut found, mut open): (Vec<Nested>, Vec<(IpNet, &Id<Region>)>) = (Vec::new(), Vec::new());
    for (network, id) in networks {
        while open.pop_if(|(around, _)| !around.contains(&network)).is_some() {}
        for (around, other) in open.iter().filter(|(_, other)| *other != id) {
            if holds(model, id, &network, 0) && holds(model, other, &network, 0) {
                found.push(Nested { network, region: id.clone(), around: *around, other: (*other).clone() });
            }
            if found.len() == MAX_FOUND {
                return found;
            }
        }
        open.push((network, id));
    }
    found
}

/// Those of one region.
pub fn nested_of(model: &Model, id: &Id<Region>) -> Vec<Nested> {
    nested(model).into_iter().filter(|nested| nested.region == *id || nested.other == *id).collect()
}

fn network(token: &Token) -> Option<IpNet> {
    if let Token::Cidr(network) = token { Some(*network) } else { None }
}

/// True where a region has a whole network by its own networks and those of the regions that it names.
fn holds(model: &Model, id: &Id<Region>, network: &IpNet, depth: usize) -> bool {
    let any = |tokens: &[Token]| {
        tokens.iter().any(|token| match token {
            Token::Cidr(around) => around.contains(network),
            Token::Region(inner) => holds(model, inner, network, depth + 1),
            _ => false,
        })
    };
    let region = model.regions.get(id).filter(|_| depth <= MAX_NESTING);
    region.is_some_and(|region| any(&region.include) && !any(&region.except))
}

/// True for a region that holds clients by more than their networks.
fn has_places(model: &Model, id: &Id<Region>, depth: usize) -> bool {
    let region = model.regions.get(id).filter(|_| depth <= MAX_NESTING);
    region.is_some_and(|region| {
        region.include.iter().any(|token| match token {
            Token::Cidr(_) => false,
            Token::Region(inner) => has_places(model, inner, depth + 1),
            _ => true,
        })
    })
}

/// The policies that use both regions, themselves or by a region that names them.
pub fn decided(model: &Model, nested: &Nested) -> Vec<Decided> {
    let (region, other) = (with_holders(model, &nested.region), with_holders(model, &nested.other));
    let policies = model.policies.values().filter(|policy| policy.enabled);
    policies
        .filter(|policy| names_any(policy, &region) && names_any(policy, &other))
        .filter_map(|policy| decision(model, policy, &nested.network))
        .collect()
}

/// A region, and those that name it.
fn with_holders(model: &Model, id: &Id<Region>) -> BTreeSet<Id<Region>> {
    let mut all = BTreeSet::from([id.clone()]);
    for _ in 0..MAX_NESTING {
        let is_known = |token: &Token| matches!(token, Token::Region(inner) if all.contains(inner));
        let more = model.regions.iter().filter(|(_, region)| region.include.iter().any(is_known));
        let more: Vec<Id<Region>> = more.map(|(id, _)| id.clone()).collect();
        all.extend(more);
    }
    all
}

fn names_any(policy: &Policy, ids: &BTreeSet<Id<Region>>) -> bool {
    let mut named = policy
        .rules
        .iter()
        .filter(|rule| rule.enabled)
        .flat_map(|rule| rule.regions.iter().chain(&rule.except_regions));
    named.any(|id| ids.contains(id))
}

fn decision(model: &Model, policy: &Policy, network: &IpNet) -> Option<Decided> {
    let any = |ids: &[Id<Region>]| ids.iter().any(|id| holds(model, id, network, 0));
    let is_out = |rule: &&Rule| any(&rule.except_regions);
    let rules = || policy.rules.iter().filter(|rule| rule.enabled).filter(|rule| !is_out(rule));
    let at = rules().position(|rule| rule.regions.is_empty() || any(&rule.regions))?;
    let name = policy.attach.first()?.name.to_string();
    Some(Decided {
        name: name.trim_end_matches('.').to_owned(),
        more: policy.attach.len() - 1,
        rule: rules().nth(at)?.name.clone(),
        is_below_places: rules().take(at).flat_map(|rule| &rule.regions).any(|id| has_places(model, id, 0)),
    })
}

/// What overlaps, and then whose rule decides.
pub fn sentences(model: &Model, nested: &Nested) -> Vec<Text> {
    let what = match nested.network == nested.around {
        true => text("{network} is in {region} and in {other}."),
        false => text("{network} of {region} lies in {around} of {other}."),
    };
    let what = what
        .set("network", nested.network)
        .set("around", nested.around)
        .say("region", region_name(model, &nested.region))
        .say("other", region_name(model, &nested.other));
    let decided = decided(model, nested);
    let mut said = vec![what];
    if decided.is_empty() {
        said.push(text("No name uses both. Where one does, the upper rule decides, not the longer prefix."));
    }
    said.extend(decided.iter().take(MAX_POLICIES).map(Decided::said));
    let left = decided.len().saturating_sub(MAX_POLICIES);
    if left > 0 {
        said.push(text("{n} more policies use both.").set("n", left));
    }
    said
}

impl Decided {
    fn said(&self) -> Text {
        let name = match self.more {
            0 => plain(&self.name),
            more => text("{name} and {n} more").set("name", &self.name).set("n", more),
        };
        let said = match self.is_below_places {
            true => text(
                "For {name} the rule “{rule}” decides, as the upper one of theirs; rules above it may take some of these clients by their place.",
            ),
            false => text("For {name} the rule “{rule}” decides: from above it is the first that holds these clients."),
        };
        said.say("name", name).set("rule", &self.rule)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::web::ui::text::Language;

    /// Regions with their tokens, and the rules of one policy: name, regions, and regions that it leaves out.
    fn model(regions: &[(&str, &[&str], &[&str])], rules: &[(&str, &[&str], &[&str])]) -> Model {
        let regions: serde_json::Map<String, Value> = regions
            .iter()
            .map(|(id, include, except)| ((*id).to_owned(), json!({ "include": include, "except": except })))
            .collect();
        let answer = json!([{ "pools": [{ "pool": "a" }] }]);
        let rule = |(name, regions, except): &(&str, &[&str], &[&str])| json!({ "name": name, "regions": regions, "except_regions": except, "steps": answer });
        let mut rules: Vec<Value> = rules.iter().map(rule).collect();
        rules.push(json!({ "name": "rest", "steps": answer }));
        let document = json!({
            "zones": { "z": { "fqdn": "example.com.", "ns": ["ns1.example.net."] } },
            "endpoints": { "e": { "ipv4": "192.0.2.1" } },
            "pools": { "a": { "members": [{ "endpoint": "e" }] } },
            "regions": regions,
            "policies": { "p": { "attach": [{ "zone": "z", "name": "www", "types": ["A"] }], "rules": rules } },
        });
        let empty = Model::empty();
        empty.check(&empty.edits_to(&document).unwrap()).unwrap().model
    }

    fn told(model: &Model) -> Vec<String> {
        let english = |text: &Text| text.to_html(Language::English);
        nested(model)
            .iter()
            .map(|nested| sentences(model, nested).iter().map(english).collect::<Vec<_>>().join(" "))
            .collect()
    }

    const WIDE: (&str, &[&str], &[&str]) = ("wide", &["cidr:10.0.0.0/8"], &[]);
    const OFFICE: (&str, &[&str], &[&str]) = ("office", &["cidr:10.1.0.0/16"], &[]);
    const LIES: &str = "10.1.0.0/16 of office lies in 10.0.0.0/8 of wide.";

    #[test]
    fn a_network_inside_one_of_another_region_is_told_with_the_rule_that_decides() {
        let first = |rule: &str| {
            format!(
                "{LIES} For www.example.com the rule “{rule}” decides: from above it is the first that holds these clients."
            )
        };
        let nobody =
            format!("{LIES} No name uses both. Where one does, the upper rule decides, not the longer prefix.");
        for (rules, said) in [
            (&[("W", &["wide"][..], &[][..]), ("O", &["office"], &[])][..], first("W")),
            (&[("O", &["office"], &[]), ("W", &["wide"], &[])], first("O")),
            (&[("W", &["wide"], &["office"]), ("O", &["office"], &[])], first("O")),
            (&[("both", &["office", "wide"], &[])], first("both")),
            (&[("W", &["wide"], &["office"])], first("rest")),
            (&[("W", &["wide"], &[])], nobody.clone()),
            (&[], nobody),
            (
                &[("EU", &["europe"], &[]), ("O", &["office"], &[]), ("W", &["wide"], &[])],
                format!(
                    "{LIES} For www.example.com the rule “O” decides, as the upper one of theirs; rules above it may take some of these clients by their place."
                ),
            ),
        ] {
            assert_eq!(told(&model(&[WIDE, OFFICE], rules)), [said], "{rules:?}");
        }
    }

    #[test]
    fn only_clients_that_both_regions_hold_are_an_overlap() {
        let count = |regions: &[(&str, &[&str], &[&str])]| nested(&model(regions, &[])).len();
        for (regions, overlaps) in [
            (&[WIDE, OFFICE][..], 1),
            (&[OFFICE, ("twin", &["cidr:10.1.0.0/16"], &[])], 1),
            (&[OFFICE, ("beside", &["cidr:10.2.0.0/16"], &[])], 0),
            (&[("one", &["cidr:10.0.0.0/8", "cidr:10.1.0.0/16"], &[])], 0),
            (&[OFFICE, ("without", &["cidr:10.0.0.0/8"], &["cidr:10.1.0.0/16"])], 0),
            (&[OFFICE, ("without", &["cidr:10.0.0.0/8"], &["region:office"])], 0),
            (&[WIDE, OFFICE, ("desk", &["cidr:10.1.2.0/24"], &[])], 3),
            (&[("six", &["cidr:2001:db8::/32"], &[]), ("seven", &["cidr:2001:db8:1::/48"], &[]), WIDE], 1),
            (&[("low", &["cidr:0.0.0.0/0"], &[]), ("six", &["cidr:::/0"], &[])], 0),
        ] {
            assert_eq!(count(regions), overlaps, "{regions:?}");
        }
    }

    #[test]
    fn a_rule_names_a_region_by_another_one_too() {
        let all = ("all", &["region:office"][..], &[][..]);
        let rules: &[(&str, &[&str], &[&str])] = &[("W", &["wide"], &[]), ("A", &["all"], &[])];
        let told = told(&model(&[WIDE, OFFICE, all], rules));
        assert!(told[0].contains("the rule “W” decides"), "{told:?}");
    }
}
