//! What a change would do, before it is made: the difference in sentences, and who would get other
//! answers. Reads what it is given and changes nothing.

mod compare;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::Snapshot;
use crate::health::HealthTable;
use crate::model::{Checked, Edit, FieldError, Kind, Line, Model, builtin, is_part_of_a_zone, lines, sentences};

use super::rehearsal::Rehearsal;

/// Changes that are listed one by one; the rest are counted.
const MAX_CHANGES: usize = 200;
/// Countries that are listed by name in one line of text.
const MAX_LISTED: usize = 12;

/// What publishing would do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Preview {
    /// The revision that it was compared with.
    pub revision: u64,
    /// Empty when nothing would change.
    pub sentences: Vec<String>,
    pub warnings: Vec<FieldError>,
    /// Who would get other answers, with everything as up as it is now.
    pub moves: Vec<Move>,
    /// Names whose answers the change can touch, the first few; `names_affected` counts all.
    pub names: Vec<String>,
    pub names_affected: usize,
    /// How long resolvers may keep what they were answered before, in seconds.
    pub keep_seconds: u32,
    /// Part of the clients of the affected names that would be sent to another pool, 0 to 1.
    pub moved: f64,
    /// Part of them that gets no answer now, and would get none.
    pub unanswered_now: f64,
    pub unanswered: f64,
    pub shares: Vec<PoolShare>,
    /// The same with each pool down that the affected names use.
    pub outages: Vec<Outage>,
    /// Rules by which clients would be left without an answer that have one now.
    pub losses: Vec<Loss>,
    pub tests: Rehearsal,
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
    /// ISO 3166-1 codes; `unknown` for clients that the geo database does not know; networks that a rule names.
    pub countries: Vec<String>,
    /// Part of all known IPv4 addresses, 0 to 1.
    pub share: f64,
}

/// How much of a name's answers a pool gives, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PoolShare {
    pub name: String,
    /// Further names with the same answers.
    pub more_names: usize,
    pub pool: String,
    pub now: f64,
    pub after: f64,
}

/// What would happen if a pool went down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Outage {
    pub pool: String,
    /// As it is live, and with the change.
    pub now: Effect,
    pub after: Effect,
}

/// What becomes of a pool's clients, as parts of all clients of the affected names, 0 to 1.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Effect {
    pub clients: f64,
    /// Who takes them over, the largest part first.
    pub to: Vec<(String, f64)>,
    pub unanswered: f64,
    /// Where those are who get no answer, as in `Move`.
    pub without: Vec<String>,
}

/// A rule whose clients would lose their answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Loss {
    pub name: String,
    /// From 1; not set where nothing would steer the name any more.
    pub rule: Option<usize>,
    /// Part of all clients of the name, 0 to 1.
    pub share: f64,
    pub countries: Vec<String>,
}

/// What would change, thing by thing, beside its preview.
#[derive(Debug, Clone, PartialEq)]
pub struct Reviewed {
    pub preview: Preview,
    pub changes: Vec<(Kind, String, Vec<Line>)>,
    /// Changes that are too many to be listed.
    pub more_changes: usize,
}

/// Checks `edits` against the snapshot's model and compares the answers.
pub fn preview(snapshot: &Snapshot, health: &HealthTable, edits: &[Edit]) -> Result<Preview, Vec<FieldError>> {
    Ok(review(snapshot, health, edits)?.preview)
}

/// As `preview`, and says it thing by thing.
pub fn review(snapshot: &Snapshot, health: &HealthTable, edits: &[Edit]) -> Result<Reviewed, Vec<FieldError>> {
    let before = snapshot.model();
    let Checked { model, changes, warnings } = before.check(edits)?;
    let sentences = sentences(before, &model, &changes);
    let listed = changes.iter().filter(|change| !is_part_of_a_zone(before, &model, change)).take(MAX_CHANGES);
    let listed: Vec<(Kind, String, Vec<Line>)> =
        listed.map(|change| (change.kind, change.id.clone(), lines(before, &model, change))).collect();
    let more_changes = if listed.len() < MAX_CHANGES { 0 } else { changes.len() - listed.len() };
    let mut preview = Preview { revision: before.revision, sentences, warnings, ..Preview::default() };
    if !changes.is_empty() {
        let changed = Snapshot::compile(&Arc::new(model), snapshot.geo(), health, Some(snapshot));
        compare::compare(snapshot, &changed, &changes, &mut preview);
        preview.tests = Rehearsal::of(snapshot, &changed, &changes);
    }
    Ok(Reviewed { preview, changes: listed, more_changes })
}

/// Checks a document by itself, as if nothing were configured yet.
pub fn check_alone(document: &Value) -> Result<Preview, Vec<FieldError>> {
    let empty = Model::empty();
    let checked = empty.check(&empty.edits_to(document)?)?;
    let sentences = sentences(&empty, &checked.model, &checked.changes);
    Ok(Preview { sentences, warnings: checked.warnings, ..Preview::default() })
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
        for Loss { name, rule, share, .. } in &self.losses {
            let rule = rule.map_or(String::new(), |rule| format!(" by rule {rule}"));
            writeln!(f, "  warning: {:.1} % of the clients of {name} would get no answer{rule}", share * 100.0)?;
        }
        for warning in &self.warnings {
            writeln!(f, "  warning: {warning}")?;
        }
        for verdict in &self.tests.failing {
            writeln!(f, "  test {} fails: {}", verdict.test, verdict.because)?;
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
        let geo = Base::from_mmdb(include_bytes!("../../../geo-data/country.mmdb").to_vec(), None).unwrap();
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
        let preview = preview(&snapshot, &HealthTable::default(), &edits).unwrap();
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
        let preview = preview(&snapshot, &HealthTable::default(), &edits).unwrap();
        assert_eq!((preview.sentences.len(), preview.moves.len()), (0, 0));
        assert!(preview.to_string().contains("Nothing would change"));
    }

    #[test]
    fn a_wrong_draft_has_no_preview_but_every_error() {
        let edit = |id: &str| Edit { kind: Kind::Pools, id: id.into(), value: Some(json!({ "members": [] })) };
        let errors = preview(&snapshot(), &HealthTable::default(), &[edit("a"), edit("b")]).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
    }
}
