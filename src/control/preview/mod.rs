//! What a change would do, before it is made: the difference in sentences, and who would get other
//! answers. Reads what it is given and changes nothing.

mod compare;
mod inside;
mod standing;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::Snapshot;
use crate::health::HealthTable;
use crate::model::{Change, Checked, Edit, FieldError, Model, builtin, is_part_of_a_zone, sentences};

use super::rehearsal::Rehearsal;
use compare::Comparison;
use inside::{Inside, Side};

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
    /// With everything as up as it is now.
    #[serde(flatten)]
    pub as_now: Answers,
    /// With every pool up, where one of those names is not now.
    pub all_up: Option<Answers>,
    /// Names whose answers the change can touch, the first few; `names_affected` counts all.
    pub names: Vec<String>,
    pub names_affected: usize,
    /// How long resolvers may keep what they were answered before, in seconds.
    pub keep_seconds: u32,
    /// What would happen to each of these names if a pool that it uses went down while every other is up.
    pub outages: Vec<Outage>,
    /// Pools that the change itself would take down.
    pub shortfalls: Vec<Shortfall>,
    pub tests: Rehearsal,
    /// Policies that were not compared because there are too many.
    pub policies_not_compared: usize,
}

/// What publishing would do to answers, in one state of the pools.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Answers {
    /// Who would get other answers.
    pub moves: Vec<Move>,
    /// Part of the answers of the affected names that would be of another pool or another address, 0 to 1.
    pub moved: f64,
    /// Part of them that gets no answer without the change, and with it.
    pub unanswered_now: f64,
    pub unanswered: f64,
    /// The same name by name, those first of which most moves.
    pub by_name: Vec<NameEffect>,
    pub shares: Vec<PoolShare>,
    /// Rules by which clients would be left without an answer that have one without the change.
    pub losses: Vec<Loss>,
}

/// Clients of a name that would be answered otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Move {
    pub name: String,
    pub policy: String,
    /// Pools with their shares, e.g. `eu-main 90 %, eu-canary 10 %`; where their endpoints are answered otherwise than
    /// before, with these, e.g. `eu-main 100 % (one 10 %; two 90 %)`.
    pub from: String,
    pub to: String,
    /// ISO 3166-1 codes; `unknown` for clients that the geo database does not know; networks that a rule names.
    pub countries: Vec<String>,
    /// Part of all known IPv4 addresses, 0 to 1.
    pub share: f64,
    /// Part of the name's answers that these clients would get otherwise, 0 to 1.
    #[serde(default)]
    pub moved: f64,
}

/// What becomes of the answers of one name, as parts of all its clients, 0 to 1.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NameEffect {
    pub name: String,
    /// Further names with the same answers.
    pub more_names: usize,
    /// Those that would be of another pool or another address.
    pub moved: f64,
    pub unanswered_now: f64,
    pub unanswered: f64,
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
    /// Of a pool whose endpoints would be answered otherwise than now.
    #[serde(default)]
    pub endpoints: Vec<EndpointShare>,
}

/// How much of a name's answers one endpoint of a pool gives, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EndpointShare {
    pub endpoint: String,
    /// Its address now and after, where it gets another.
    pub address: Option<(String, String)>,
    pub now: f64,
    pub after: f64,
}

/// What would happen to a name if a pool went down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Outage {
    #[serde(default)]
    pub name: String,
    /// Further names with the same answers.
    #[serde(default)]
    pub more_names: usize,
    pub pool: String,
    /// As it is live, and with the change.
    pub now: Effect,
    pub after: Effect,
}

/// What becomes of a pool's clients, as parts of all clients of the name, 0 to 1.
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
#[derive(Debug, Clone)]
pub struct Reviewed {
    pub preview: Preview,
    /// Those of the preview that the change is about, or that are new by it.
    pub warnings: Vec<FieldError>,
    pub changes: Vec<Change>,
    /// Changes that are too many to be listed.
    pub more_changes: usize,
    pub before: Arc<Model>,
    pub after: Arc<Model>,
}

/// Checks `edits` against the snapshot's model and compares the answers.
pub fn preview(snapshot: &Snapshot, health: &HealthTable, edits: &[Edit]) -> Result<Preview, Vec<FieldError>> {
    let Checked { model, changes, warnings } = snapshot.model().check(edits)?;
    Ok(compared(snapshot, health, &Arc::new(model), &changes, warnings))
}

/// As `preview`, and says it thing by thing.
pub fn review(snapshot: &Snapshot, health: &HealthTable, edits: &[Edit]) -> Result<Reviewed, Vec<FieldError>> {
    let before = snapshot.model();
    let Checked { model, changes, warnings } = before.check(edits)?;
    let listed = changes.iter().filter(|change| !is_part_of_a_zone(before, &model, change)).take(MAX_CHANGES);
    let listed: Vec<Change> = listed.cloned().collect();
    let more_changes = if listed.len() < MAX_CHANGES { 0 } else { changes.len() - listed.len() };
    let own = of_the_change(&model, &changes, &warnings);
    let after = Arc::new(model);
    let preview = compared(snapshot, health, &after, &changes, warnings);
    Ok(Reviewed { preview, warnings: own, changes: listed, more_changes, before: before.clone(), after })
}

fn compared(
    snapshot: &Snapshot,
    health: &HealthTable,
    model: &Arc<Model>,
    changes: &[Change],
    warnings: Vec<FieldError>,
) -> Preview {
    let before = snapshot.model();
    let sentences = sentences(before, model, changes);
    let mut preview = Preview { revision: before.revision, sentences, warnings, ..Preview::default() };
    if !changes.is_empty() {
        let then;
        (then, preview.shortfalls) = standing::after(before, model, health);
        let inside = Inside::of((before, health), (model, &then));
        let changed = Snapshot::compile(model, snapshot.geo(), &then, Some(snapshot));
        if let Some(comparison) = Comparison::of(snapshot, &changed, changes, &mut preview) {
            preview.as_now = comparison.answers(snapshot, &changed, &inside);
            let mut used = comparison.pools(before, Side::Before);
            used.extend(comparison.pools(model, Side::After));
            preview.outages = match standing::all_up_unless_so(before, health, &used) {
                None => comparison.outages(snapshot, &changed, changes),
                Some(well) => {
                    let (well_then, _) = standing::after(before, model, &well);
                    let inside = Inside::of((before, &well), (model, &well_then));
                    let (up, changed_up) = (snapshot.with_health(&well), changed.with_health(&well_then));
                    preview.all_up = Some(comparison.answers(&up, &changed_up, &inside));
                    comparison.outages(&up, &changed_up, changes)
                }
            };
        }
        preview.tests = Rehearsal::of(snapshot, &changed, changes);
    }
    preview
}

/// Warnings of what the change itself is about, and those that there were not before it: what somebody has lived with
/// hides what is new.
fn of_the_change(after: &Model, changes: &[Change], warnings: &[FieldError]) -> Vec<FieldError> {
    let is_of = |warning: &FieldError, change: &Change| {
        let place = warning.at.split_once(' ').map_or(warning.at.as_str(), |(place, _)| place);
        place.split_once('/') == Some((change.kind.as_str(), &change.id))
    };
    let (own, other): (Vec<&FieldError>, Vec<&FieldError>) =
        warnings.iter().partition(|warning| changes.iter().any(|change| is_of(warning, change)));
    let mut own: Vec<FieldError> = own.into_iter().cloned().collect();
    if !other.is_empty() {
        // The way back is warned of what there is now.
        let back = |change: &Change| Edit { kind: change.kind, id: change.id.clone(), value: change.before.clone() };
        let known = after.check(&changes.iter().map(back).collect::<Vec<_>>()).map(|checked| checked.warnings);
        let known = known.unwrap_or_default();
        own.extend(other.into_iter().filter(|warning| !known.contains(warning)).cloned());
    }
    own
}

/// Checks a document by itself, as if nothing were configured yet.
pub fn check_alone(document: &Value) -> Result<Preview, Vec<FieldError>> {
    let empty = Model::empty();
    let checked = empty.check(&empty.edits_to(document)?)?;
    let sentences = sentences(&empty, &checked.model, &checked.changes);
    Ok(Preview { sentences, warnings: checked.warnings, ..Preview::default() })
}

impl Answers {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Move { name, from, to, countries, share, .. } in &self.moves {
            let percent = share * 100.0;
            writeln!(f, "  {name} {from} → {to}: {} ({percent:.1} % of known addresses)", listed(countries))?;
        }
        for Loss { name, rule, share, .. } in &self.losses {
            let rule = rule.map_or(String::new(), |rule| format!(" by rule {rule}"));
            writeln!(f, "  warning: {:.1} % of the clients of {name} would get no answer{rule}", share * 100.0)?;
        }
        Ok(())
    }
}

impl Preview {
    fn write_warnings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.warnings.iter().try_for_each(|warning| writeln!(f, "  warning: {warning}"))
    }
}

impl fmt::Display for Preview {
    /// The plan, as the command line shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sentences.is_empty() {
            writeln!(f, "Nothing would change: revision {} says the same.", self.revision)?;
            return self.write_warnings(f);
        }
        for sentence in &self.sentences {
            writeln!(f, "  {sentence}")?;
        }
        self.as_now.write(f)?;
        if let Some(all_up) = &self.all_up {
            writeln!(
                f,
                "With every pool up:{}",
                if all_up.moves.is_empty() { " nobody gets other answers." } else { "" }
            )?;
            all_up.write(f)?;
        }
        if self.policies_not_compared > 0 {
            writeln!(f, "  The answers of {} more policies were not compared.", self.policies_not_compared)?;
        }
        for Shortfall { pool, healthy, total, needed } in &self.shortfalls {
            writeln!(f, "  warning: pool {pool} would go down: {healthy} of {total} endpoints up, {needed} needed")?;
        }
        self.write_warnings(f)?;
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
    use crate::answer::switched;
    use crate::control::fixture;
    use crate::health::{Health, PoolState};
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
        assert_eq!(preview.as_now.moves.len(), 1, "{preview:?}");
        let Move { name, from, to, countries, share, .. } = &preview.as_now.moves[0];
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
            assert_eq!(change.as_now.moves.iter().any(|one| one.to == "us 100 %"), is_told, "{change:?}");
        }
        let drained = with("members", json!([{ "endpoint": "one", "weight": 0 }]));
        assert!(drained.to_string().contains("pool eu would go down: 0 of 0 endpoints up, 1 needed"), "{drained}");
    }

    #[test]
    fn an_endpoint_that_the_change_takes_away_counts_against_its_pools() {
        let mut document = fixture::document();
        document["pools"]["eu"]["members"] = json!([{ "endpoint": "one" }, { "endpoint": "three" }]);
        document["pools"]["eu"]["healthy_when"] = json!("at_least 2");
        document["endpoints"]["three"] = json!({ "ipv4": "192.0.2.3" });
        document["endpoints"]["base"] = json!({ "ipv4": "192.0.2.9", "serve": "never" });
        let snapshot = fixture::snapshot(&document, &HealthTable::default());
        // As it is known of a running server.
        let (live, _) = Health::new(snapshot.model(), &[], 0);
        for (path, value, is_told) in [
            ("/endpoints/three/serve", json!("never"), true),
            ("/endpoints/three/depends_on", json!(["base"]), true),
            ("/endpoints/three/serve", json!("always"), false),
            ("/endpoints/three/ipv4", json!("192.0.2.33"), false),
            ("/pools/empty", json!({ "members": [{ "endpoint": "three", "weight": 0 }] }), false),
        ] {
            let mut document = snapshot.model().document();
            let (parent, field) = path.rsplit_once('/').unwrap();
            document.pointer_mut(parent).unwrap()[field] = value;
            let edits = snapshot.model().edits_to(&document).unwrap();
            let preview = preview(&snapshot, live.table(), &edits).unwrap();
            let told: Vec<&str> = preview.shortfalls.iter().map(|one| one.pool.as_str()).collect();
            assert_eq!(told, if is_told { vec!["eu"] } else { vec![] }, "{path} {preview:?}");
            assert_eq!(preview.as_now.moves.iter().any(|one| one.to == "us 100 %"), is_told, "{path} {preview:?}");
        }
    }

    /// The pool `eu` with two endpoints, which share its answers 10 to 90.
    fn shared() -> Arc<Snapshot> {
        let mut document = fixture::document();
        document["pools"]["eu"]["members"] =
            json!([{ "endpoint": "one", "weight": 10 }, { "endpoint": "three", "weight": 90 }]);
        document["endpoints"]["three"] = json!({ "ipv4": "192.0.2.3" });
        document["policies"]["app"]["rules"] = json!([{ "name": "All", "steps": [fixture::step("eu")] }]);
        fixture::snapshot(&document, &HealthTable::default())
    }

    fn changed(snapshot: &Snapshot, change: impl FnOnce(&mut Value)) -> Reviewed {
        let mut document = snapshot.model().document();
        change(&mut document);
        let edits = snapshot.model().edits_to(&document).unwrap();
        review(snapshot, &HealthTable::default(), &edits).unwrap()
    }

    #[test]
    fn another_weight_moves_answers_between_the_endpoints_of_a_pool() {
        let weights = |one: u16, three: u16| {
            changed(&shared(), |document| {
                document["pools"]["eu"]["members"] =
                    json!([{ "endpoint": "one", "weight": one }, { "endpoint": "three", "weight": three }]);
            })
            .preview
        };
        for (one, three, moved, shares) in [(100, 100, 40, [50, 50]), (10, 0, 90, [100, 0]), (20, 180, 0, [10, 90])] {
            let preview = weights(one, three);
            let percent = |share: f64| (share * 100.0).round() as i32;
            assert_eq!(percent(preview.as_now.moved), moved, "{preview:?}");
            assert_eq!(
                (preview.as_now.shares.len(), percent(preview.as_now.shares[0].after)),
                (1, 100),
                "the pool keeps its share"
            );
            let found: Vec<(i32, i32)> =
                preview.as_now.shares[0].endpoints.iter().map(|one| (percent(one.now), percent(one.after))).collect();
            match moved {
                0 => assert!(found.is_empty() && preview.as_now.moves.is_empty(), "{preview:?}"),
                _ => {
                    assert_eq!(found, [(10, shares[0]), (90, shares[1])]);
                    let Move { from, to, moved: part, .. } = &preview.as_now.moves[0];
                    assert_eq!(from, "eu 100 % (one 10 %; three 90 %)");
                    assert_eq!(to, &format!("eu 100 % (one {} %; three {} %)", shares[0], shares[1]));
                    assert_eq!(percent(*part), moved, "the table and the figure have one base");
                }
            }
            assert_eq!(percent(preview.as_now.by_name[0].moved), moved);
        }
    }

    #[test]
    fn a_change_of_a_pool_that_is_down_is_compared_with_every_pool_up_as_well() {
        let rules = |steps: &[&str]| json!([{ "name": "All", "steps": steps.iter().map(|id| fixture::step(id)).collect::<Vec<_>>() }]);
        let [eu, us] = ["eu", "us"].map(|id| id.parse().unwrap());
        let well = HealthTable::default();
        let of = |steps: &[&str], health: &HealthTable| {
            let mut document = shared().model().document();
            document["policies"]["app"]["rules"] = rules(steps);
            let snapshot = fixture::snapshot(&document, health);
            let mut wanted = snapshot.model().document();
            wanted["pools"]["eu"]["members"][0]["weight"] = json!(90);
            let edits = snapshot.model().edits_to(&wanted).unwrap();
            preview(&snapshot, health, &edits).unwrap()
        };
        let up = of(&["eu", "us"], &well);
        assert!((up.as_now.moved - 0.4).abs() < 1e-6 && up.all_up.is_none(), "{up:?}");
        for state in [PoolState::Down, PoolState::Held, PoolState::Drain] {
            let down = of(&["eu", "us"], &switched(&well, &eu, state));
            assert_eq!((down.as_now.moved, down.as_now.shares.len()), (0.0, 1), "{down:?}");
            assert_eq!(down.all_up.as_ref(), Some(&up.as_now), "{state}");
            assert_eq!(down.outages, up.outages, "what goes down is the same, whatever is down now");
            assert!(down.outages.iter().any(|one| one.pool == "eu" && one.now.clients > 0.9), "{down:?}");
            assert!(down.to_string().contains("With every pool up:\n  app.z.test. eu 100 % (one 10 %"), "{down}");
        }
        // What is down and has nothing to do with the change is no matter.
        assert_eq!(of(&["eu"], &switched(&well, &us, PoolState::Down)).all_up, None);
    }

    #[test]
    fn endpoints_are_counted_on_each_side_of_a_change_by_themselves() {
        let others = |document: &mut Value, ids: &[&str]| {
            for (id, n) in ids.iter().zip(10..) {
                document["endpoints"][id] = json!({ "ipv4": format!("192.0.2.{n}") });
            }
            document["pools"]["eu"]["members"] = ids.iter().map(|id| json!({ "endpoint": id })).collect();
        };
        let replaced = changed(&shared(), |document| others(document, &["a", "b", "c", "d"])).preview;
        let Move { from, to, .. } = &replaced.as_now.moves[0];
        assert_eq!(from, "eu 100 % (one 10 %; three 90 %)");
        assert_eq!(to, "eu 100 % (a 25 %; b 25 %; c 25 %; d 25 %)");
        let many = changed(&shared(), |document| others(document, &["a", "b", "c", "d", "e", "f"])).preview;
        assert!(many.as_now.moves[0].to.ends_with("; 1 more)"), "{}", many.as_now.moves[0].to);
    }

    #[test]
    fn another_address_of_an_endpoint_moves_its_share() {
        let preview =
            changed(&shared(), |document| document["endpoints"]["three"]["ipv4"] = json!("192.0.2.33")).preview;
        assert!((preview.as_now.moved - 0.9).abs() < 1e-6, "{preview:?}");
        let three = &preview.as_now.shares[0].endpoints[1];
        assert_eq!(three.address, Some(("192.0.2.3".into(), "192.0.2.33".into())));
        assert_eq!(preview.as_now.moves[0].to, "eu 100 % (one 10 %; three at 192.0.2.33 90 %)");
    }

    #[test]
    fn an_endpoint_goes_from_its_pool_with_what_it_depends_on() {
        let mut document = shared().model().document();
        document["endpoints"]["base"] = json!({ "ipv4": "192.0.2.9" });
        document["endpoints"]["three"]["depends_on"] = json!(["base"]);
        let snapshot = fixture::snapshot(&document, &HealthTable::default());
        let preview = changed(&snapshot, |document| document["endpoints"]["base"]["serve"] = json!("never")).preview;
        assert!((preview.as_now.moved - 0.9).abs() < 1e-6, "{preview:?}");
        assert_eq!(preview.as_now.moves[0].to, "eu 100 % (one 100 %; three 0 %)");
    }

    #[test]
    fn every_share_is_of_one_name_not_of_the_average_of_several() {
        let snapshot = {
            let mut document = snapshot().model().document();
            document["policies"]["other"] = json!({
                "attach": [{ "zone": "z", "name": "other.z.test.", "types": ["A"] }],
                "rules": [{ "name": "All", "steps": [fixture::step("eu"), fixture::step("us")] }],
            });
            fixture::snapshot(&document, &HealthTable::default())
        };
        let preview = changed(&snapshot, |document| document["pools"]["eu"]["admin"] = json!("drain")).preview;
        let of = |name: &str| preview.as_now.by_name.iter().find(|one| one.name == name).unwrap().moved;
        let table =
            |name: &str| preview.as_now.moves.iter().filter(|one| one.name == name).map(|one| one.moved).sum::<f64>();
        assert!((of("other.z.test.") - 1.0).abs() < 1e-6 && of("app.z.test.") < 0.6, "{preview:?}");
        for name in ["other.z.test.", "app.z.test."] {
            assert!((of(name) - table(name)).abs() < 1e-6, "{preview:?}");
        }
        let outage = |name: &str| preview.outages.iter().find(|one| one.pool == "eu" && one.name == name).unwrap();
        assert!((outage("other.z.test.").now.clients - 1.0).abs() < 1e-6, "{preview:?}");
        assert!(outage("app.z.test.").now.clients < 0.6);
    }

    #[test]
    fn a_review_warns_of_what_the_change_is_about_and_of_what_is_new_by_it() {
        let mut document = fixture::document();
        document["policies"]["app"]["ttl"] = json!(5);
        let snapshot = fixture::snapshot(&document, &HealthTable::default());
        let places = |reviewed: &Reviewed| reviewed.warnings.iter().map(|one| one.at.clone()).collect::<Vec<_>>();
        let other = changed(&snapshot, |document| document["pools"]["us"]["note"] = json!("rack 4"));
        assert!(other.preview.warnings.iter().any(|one| one.at == "policies/app ttl"), "{:?}", other.preview.warnings);
        assert_eq!(places(&other), Vec::<String>::new(), "it was so before, and nobody touched it");
        let own = changed(&snapshot, |document| document["policies"]["app"]["ttl"] = json!(6));
        assert_eq!(places(&own), ["policies/app ttl"]);
        let emptied = changed(&snapshot, |document| document["pools"]["us"]["members"][0]["weight"] = json!(0));
        assert_eq!(places(&emptied), ["pools/us members"]);
    }

    #[test]
    fn the_same_document_changes_nothing() {
        let snapshot = snapshot();
        let edits = snapshot.model().edits_to(&snapshot.model().document()).unwrap();
        let preview = preview(&snapshot, &HealthTable::default(), &edits).unwrap();
        assert_eq!((preview.sentences.len(), preview.as_now.moves.len()), (0, 0));
        assert!(preview.to_string().contains("Nothing would change"));
    }

    #[test]
    fn a_wrong_draft_has_no_preview_but_every_error() {
        let edit = |id: &str| Edit { kind: Kind::Pools, id: id.into(), value: Some(json!({ "members": [] })) };
        let errors = preview(&snapshot(), &HealthTable::default(), &[edit("a"), edit("b")]).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
    }
}
