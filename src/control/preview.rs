//! What a change would do, before it is made: the difference in sentences, and who would get other
//! answers. Reads what it is given and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::{Client, Entropy, Question, Snapshot, Subnet, explain};
use crate::geo::Sample;
use crate::health::HealthTable;
use crate::model::{Attach, Change, Edit, FieldError, Model, Policy, RecordType, builtin, sentences};

/// Addresses that stand for each country.
const SAMPLES: usize = 3;
/// Policies that are compared; the sentences cover the rest.
const MAX_POLICIES: usize = 50;
/// Countries that are listed by name in one line of text.
const MAX_LISTED: usize = 12;

/// What publishing would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Preview {
    /// The revision that it was compared with.
    pub revision: u64,
    /// Empty when nothing would change.
    pub sentences: Vec<String>,
    pub warnings: Vec<FieldError>,
    /// Who would get other answers, with everything as up as it is now.
    pub moves: Vec<Move>,
    /// Policies that were not compared because there are too many.
    pub policies_not_compared: usize,
}

/// Clients of a name that would be answered otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Move {
    pub name: String,
    pub policy: String,
    /// Pools with their shares, e.g. `eu-main 90 %, eu-canary 10 %`.
    pub from: String,
    pub to: String,
    /// ISO 3166-1 codes; `unknown` for clients that the geo database does not know.
    pub countries: Vec<String>,
    /// Part of all known IPv4 addresses, 0 to 1.
    pub share: f64,
}

/// Checks `edits` against the snapshot's model and compares the answers.
pub fn preview(
    snapshot: &Snapshot,
    health: &HealthTable,
    edits: &[Edit],
    now_ms: u64,
) -> Result<Preview, Vec<FieldError>> {
    let before = snapshot.model();
    let checked = before.check(edits)?;
    let sentences = sentences(before, &checked.model, &checked.changes);
    let after = Arc::new(checked.model);
    let touched = touched_policies(before, &after, &checked.changes);
    let policies_not_compared = touched.len().saturating_sub(MAX_POLICIES);
    let mut moves = Vec::new();
    if !touched.is_empty() {
        let changed = Snapshot::compile(&after, snapshot.geo(), health, Some(snapshot));
        let samples = snapshot.geo().samples(SAMPLES);
        for attach in touched.iter().take(MAX_POLICIES) {
            moves.extend(compare(snapshot, &changed, attach, &samples, now_ms));
        }
    }
    Ok(Preview { revision: before.revision, sentences, warnings: checked.warnings, moves, policies_not_compared })
}

/// Checks a document by itself, as if nothing were configured yet.
pub fn check_alone(document: &Value) -> Result<Preview, Vec<FieldError>> {
    let empty = Model::empty();
    let checked = empty.check(&empty.edits_to(document)?)?;
    let sentences = sentences(&empty, &checked.model, &checked.changes);
    let warnings = checked.warnings;
    Ok(Preview { revision: 0, sentences, warnings, moves: Vec::new(), policies_not_compared: 0 })
}

/// The first name of each policy that exists before and after, and that a change can touch.
fn touched_policies(before: &Model, after: &Model, changes: &[Change]) -> Vec<Attach> {
    let changed: BTreeSet<&str> = changes.iter().map(|change| change.id.as_str()).collect();
    let mut attached = Vec::new();
    for (id, policy) in &after.policies {
        let Some(was) = before.policies.get(id) else { continue };
        if Arc::ptr_eq(policy, was) && !names_any(policy, after, &changed) {
            continue;
        }
        attached.extend(policy.attach.iter().find(|attach| was.attach.contains(attach)).cloned());
    }
    attached
}

/// True when the policy refers to anything that changed: a region, a pool, or an endpoint in a pool.
fn names_any(policy: &Policy, model: &Model, changed: &BTreeSet<&str>) -> bool {
    policy.rules.iter().any(|rule| {
        let regions = rule.regions.iter().chain(&rule.except_regions);
        regions.clone().any(|region| changed.contains(region.as_str()))
            || rule.steps.iter().flat_map(|step| &step.pools).any(|used| {
                let members = model.pools.get(&used.pool).map_or(&[][..], |pool| &pool.members);
                changed.contains(used.pool.as_str())
                    || members.iter().any(|member| changed.contains(member.endpoint.as_str()))
            })
    })
}

fn compare(before: &Snapshot, after: &Snapshot, attach: &Attach, samples: &[Sample], now_ms: u64) -> Vec<Move> {
    let rtype = attach.types.first().copied().unwrap_or(RecordType::A);
    let mut groups: BTreeMap<(String, String), (BTreeSet<String>, f64)> = BTreeMap::new();
    let mut policy = String::new();
    for sample in samples {
        for address in &sample.addresses {
            let (from, _) = shares(before, attach, rtype, (*address).into(), now_ms);
            let (to, by) = shares(after, attach, rtype, (*address).into(), now_ms);
            if from != to {
                policy = by;
                let (countries, share) = groups.entry((from, to)).or_default();
                countries.insert(sample.country.map_or("unknown".to_owned(), |country| country.to_string()));
                *share += sample.share / sample.addresses.len() as f64;
            }
        }
    }
    let into_move = |((from, to), (countries, share)): ((String, String), (BTreeSet<String>, f64))| Move {
        name: attach.name.to_string(),
        policy: policy.clone(),
        from,
        to,
        countries: countries.into_iter().collect(),
        share,
    };
    let mut moves: Vec<Move> = groups.into_iter().map(into_move).collect();
    moves.sort_by(|a, b| b.share.total_cmp(&a.share));
    moves
}

/// What a client in `address`'s /24 gets, as pools with shares, and which policy says so.
fn shares(snapshot: &Snapshot, attach: &Attach, rtype: RecordType, address: IpAddr, now_ms: u64) -> (String, String) {
    let question = Question { name: attach.name.as_wire(), rtype };
    let client = Client { resolver: address, subnet: Some(Subnet { address, source: 24 }) };
    let trace = explain(snapshot, &question, &client, now_ms, &mut Entropy::new(0));
    let Some(steering) = trace.steering else { return ("fixed records".into(), String::new()) };
    let pools: Vec<String> = steering
        .steps
        .iter()
        .flat_map(|step| &step.pools)
        .filter_map(|pool| pool.odds.filter(|odds| *odds > 0.0).map(|odds| (pool, odds)))
        .map(|(pool, odds)| format!("{} {} %", pool.pool, (odds * 1000.0).round() / 10.0))
        .collect();
    let text = if pools.is_empty() { steering.choice.reason } else { pools.join(", ") };
    (text, steering.policy)
}

impl fmt::Display for Preview {
    /// The plan, as the command line shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sentences.is_empty() {
            return writeln!(f, "Nothing would change: revision {} says the same.", self.revision);
        }
        for sentence in &self.sentences {
            writeln!(f, "  {sentence}")?;
        }
        for Move { name, from, to, countries, share, .. } in &self.moves {
            let percent = share * 100.0;
            writeln!(f, "  {name} {from} → {to}: {} ({percent:.1} % of known addresses)", listed(countries))?;
        }
        if self.policies_not_compared > 0 {
            writeln!(f, "  The answers of {} more policies were not compared.", self.policies_not_compared)?;
        }
        for warning in &self.warnings {
            writeln!(f, "  warning: {warning}")?;
        }
        Ok(())
    }
}

/// Countries by name, the first few.
fn listed(codes: &[String]) -> String {
    let name = |code: &String| {
        let info = code.parse().ok().and_then(builtin::country);
        info.map_or(code.clone(), |info| info.name.clone())
    };
    let mut text = codes.iter().take(MAX_LISTED).map(name).collect::<Vec<_>>().join(", ");
    if codes.len() > MAX_LISTED {
        text.push_str(&format!(" and {} more", codes.len() - MAX_LISTED));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::Base;
    use crate::model::Kind;
    use serde_json::json;

    /// Two pools; Europe gets `eu`, everyone else `us`.
    fn snapshot() -> Snapshot {
        let step = |pool: &str| json!({ "pools": [{ "pool": pool }] });
        let document = json!({
            "zones": { "z": { "fqdn": "z.test.", "ns": ["a.other.test.", "b.other.test."] } },
            "endpoints": { "one": { "ipv4": "192.0.2.1" }, "two": { "ipv4": "192.0.2.2" } },
            "pools": {
                "eu": { "country": "DE", "members": [{ "endpoint": "one" }] },
                "us": { "country": "US", "members": [{ "endpoint": "two" }] },
            },
            "policies": { "app": {
                "attach": [{ "zone": "z", "name": "app.z.test.", "types": ["A"] }],
                "rules": [
                    { "name": "Europe", "regions": ["europe"], "steps": [step("eu")] },
                    { "name": "Everyone else", "steps": [step("us")] },
                ],
            } },
        });
        let empty = Model::empty();
        let model = empty.check(&empty.edits_to(&document).unwrap()).unwrap().model;
        let geo = Base::from_mmdb(include_bytes!("../../geo-data/country.mmdb").to_vec(), None).unwrap();
        Snapshot::compile(&Arc::new(model), &Arc::new(geo), &HealthTable::default(), None)
    }

    #[test]
    fn a_rule_for_one_country_moves_that_country_only() {
        let snapshot = snapshot();
        let mut document = snapshot.model().document();
        let rule = json!({ "name": "Poland", "regions": ["poland"], "steps": [{ "pools": [{ "pool": "us" }] }] });
        document["regions"]["poland"] = json!({ "include": ["country:PL"] });
        document["policies"]["app"]["rules"].as_array_mut().unwrap().insert(0, rule);
        let edits = snapshot.model().edits_to(&document).unwrap();
        let preview = preview(&snapshot, &HealthTable::default(), &edits, 0).unwrap();
        assert_eq!(preview.moves.len(), 1, "{preview:?}");
        let Move { name, from, to, countries, share, .. } = &preview.moves[0];
        assert_eq!((name.as_str(), from.as_str(), to.as_str()), ("app.z.test.", "eu 100 %", "us 100 %"));
        assert_eq!(countries, &["PL"]);
        assert!(*share > 0.0 && *share < 0.05, "{share}");
        let text = preview.to_string();
        assert!(text.contains("eu 100 % → us 100 %: Poland ("), "{text}");
    }

    #[test]
    fn the_same_document_changes_nothing() {
        let snapshot = snapshot();
        let edits = snapshot.model().edits_to(&snapshot.model().document()).unwrap();
        let preview = preview(&snapshot, &HealthTable::default(), &edits, 0).unwrap();
        assert_eq!((preview.sentences.len(), preview.moves.len()), (0, 0));
        assert!(preview.to_string().contains("Nothing would change"));
    }

    #[test]
    fn a_wrong_draft_has_no_preview_but_every_error() {
        let edit = |id: &str| Edit { kind: Kind::Pools, id: id.into(), value: Some(json!({ "members": [] })) };
        let errors = preview(&snapshot(), &HealthTable::default(), &[edit("a"), edit("b")], 0).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
    }
}
