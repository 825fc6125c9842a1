//! What a change would do, before it is made: the difference in sentences, and who would get other
//! answers. Reads what it is given and changes nothing.

mod compare;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::Snapshot;
use crate::health::{HealthTable, PoolState, Standing};
use crate::model::{
    Admin, Checked, Edit, FieldError, Id, Kind, Line, Model, Pool, builtin, is_part_of_a_zone, lines, sentences,
};

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
    /// Pools that the change itself would take down.
    pub shortfalls: Vec<Shortfall>,
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

/// A pool that serves now, and would have fewer healthy endpoints than it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Shortfall {
    pub pool: String,
    /// Endpoints that would count: enabled, with weight, and up.
    pub healthy: usize,
    pub total: usize,
    pub needed: usize,
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
        preview.shortfalls = shortfalls(before, &model, health);
        let health = switched(before, &model, health, &preview.shortfalls);
        let changed = Snapshot::compile(&Arc::new(model), snapshot.geo(), &health, Some(snapshot));
        compare::compare(snapshot, &changed, &changes, &mut preview);
        preview.tests = Rehearsal::of(snapshot, &changed, &changes);
    }
    Ok(Reviewed { preview, changes: listed, more_changes })
}

/// Pools that have fewer healthy endpoints than they need only with the change.
fn shortfalls(before: &Model, after: &Model, health: &HealthTable) -> Vec<Shortfall> {
    let is_short = |pool: &Pool| Some(health.standing(pool)).filter(|standing| standing.healthy < standing.needed);
    let serves = |id: &Id<Pool>| health.pools.get(id).is_none_or(|known| known.state == PoolState::Ok);
    let changed = after.pools.iter().filter(|(id, pool)| {
        pool.admin == Admin::On && serves(id) && before.pools.get(*id).is_none_or(|was| !Arc::ptr_eq(was, pool))
    });
    let shortfall = |(id, pool): (&Id<Pool>, &Arc<Pool>)| {
        let Standing { healthy, total, needed } = is_short(pool)?;
        let was_short = before.pools.get(id).is_some_and(|was| is_short(was).is_some());
        (!was_short).then(|| Shortfall { pool: id.to_string(), healthy, total, needed })
    };
    changed.filter_map(shortfall).collect()
}

/// Health as it would be with another configuration: a pool that the change drains is drained, and one that falls
/// short is down.
fn switched(before: &Model, after: &Model, health: &HealthTable, shortfalls: &[Shortfall]) -> HealthTable {
    let mut switched = health.clone();
    for id in shortfalls.iter().filter_map(|shortfall| shortfall.pool.parse().ok()) {
        Arc::make_mut(switched.pools.entry(id).or_default()).state = PoolState::Down;
    }
    for (id, pool) in &after.pools {
        let was = before.pools.get(id).map_or(Admin::On, |pool| pool.admin);
        let Some(known) = switched.pools.get_mut(id).filter(|_| was != pool.admin) else { continue };
        Arc::make_mut(known).state = match pool.admin {
            Admin::On => PoolState::Ok,
            Admin::Drain => PoolState::Drain,
            Admin::Off => PoolState::Off,
        };
    }
    switched
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
        for Shortfall { pool, healthy, total, needed } in &self.shortfalls {
            writeln!(f, "  warning: pool {pool} would go down: {healthy} of {total} endpoints up, {needed} needed")?;
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
    use crate::control::fixture;
    use crate::model::Kind;
    use serde_json::json;

    fn snapshot() -> Arc<Snapshot> {
        fixture::snapshot(&fixture::document(), &HealthTable::default())
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
    fn a_pool_that_the_change_leaves_too_few_endpoints_is_told_and_counts_as_down() {
        let snapshot = snapshot();
        let with = |field: &str, value: Value| {
            let mut document = snapshot.model().document();
            document["pools"]["eu"][field] = value;
            let edits = snapshot.model().edits_to(&document).unwrap();
            preview(&snapshot, &HealthTable::default(), &edits).unwrap()
        };
        for (change, is_told) in [
            (with("members", json!([{ "endpoint": "one", "weight": 0 }])), true),
            (with("members", json!([{ "endpoint": "one", "enabled": false }])), true),
            (with("members", json!([{ "endpoint": "one", "weight": 7 }])), false),
            (with("members", json!([{ "endpoint": "one" }, { "endpoint": "two", "weight": 0 }])), false),
        ] {
            assert_eq!(change.shortfalls.len(), usize::from(is_told), "{change:?}");
            assert_eq!(change.moves.iter().any(|one| one.to == "us 100 %"), is_told, "{change:?}");
        }
        let drained = with("members", json!([{ "endpoint": "one", "weight": 0 }]));
        assert!(drained.to_string().contains("pool eu would go down: 0 of 0 endpoints up, 1 needed"), "{drained}");
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
