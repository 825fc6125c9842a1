//! A change as pages say it: rules as the steering page has them, before and after; everything else in one sentence
//! for each thing that differs. What the API and the history say of it is `model::diff`'s.

use serde_json::Value;

use super::filters::percent_text;
use super::sentence::{self, Fate, Plain, region_name};
use super::text::{Language, Text, capital, count, fact, plain, text};
use super::told;
use crate::model::{
    Change, Id, Kind, Model, Policy, Pool, Sign, by_importance, field_phrases, is_part_of_a_zone, lines,
};

/// Names, members of a list and parts of a region that one line has room for.
const MAX_LISTED: usize = 5;

/// One line of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub sign: Sign,
    pub text: Text,
}

/// What a thing is called: the word for its kind, and its name.
pub fn title(before: &Model, after: &Model, kind: Kind, id: &str) -> (Text, Text) {
    let policy = policy(after, id).or_else(|| policy(before, id)).filter(|policy| !policy.attach.is_empty());
    match (kind, policy) {
        (Kind::Policies, Some(policy)) => (text("Name"), names(policy)),
        (Kind::Regions, _) => {
            let model = if id.parse().is_ok_and(|id| after.regions.contains_key(&id)) { after } else { before };
            (fact("kind", kind.singular()), id.parse().map_or_else(|_| plain(id), |id| region_name(model, &id)))
        }
        (Kind::Zones, _) => {
            let zone = id.parse().ok().and_then(|id| after.zones.get(&id).or_else(|| before.zones.get(&id)));
            (fact("kind", kind.singular()), plain(zone.map_or(id.to_owned(), |zone| zone.fqdn.without_dot())))
        }
        _ => (fact("kind", kind.singular()), plain(id)),
    }
}

/// The first names of a policy.
fn names(policy: &Policy) -> Text {
    let mut names: Vec<String> = policy.attach.iter().map(|attach| attach.name.without_dot()).collect();
    names.sort();
    names.dedup();
    let first = names.first().cloned().unwrap_or_default();
    match names.len().saturating_sub(1) {
        0 => plain(first),
        more => text("{name} and {n} more").set("name", first).set("n", more),
    }
}

/// Everything of one change, in lines.
pub fn said(before: &Model, after: &Model, change: &Change) -> Vec<Said> {
    match change.kind {
        Kind::Policies => of_policy(before, after, change),
        Kind::Pools => of_pool(before, after, change),
        Kind::Regions if change.before.is_none() => new_region(after, change).into_iter().collect(),
        Kind::Records => plainly(before, after, change),
        _ if change.before.is_some() && change.after.is_some() => fields(change, &[]),
        _ => plainly(before, after, change),
    }
}

/// The same for a place with room for so many sentences: what will be, after the name of the thing; and how much more
/// there is. A draft may hold thousands of changes, and every page that edits has its dock.
pub fn briefly(before: &Model, after: &Model, changes: &[Change], room: usize) -> (Vec<Text>, usize) {
    let mut shown = by_importance(changes).into_iter().filter(|change| !is_part_of_a_zone(before, after, change));
    let of = |change: &Change| {
        let (_, name) = title(before, after, change.kind, &change.id);
        let lines = said(before, after, change);
        let has_new = lines.iter().any(|line| line.sign != Sign::Gone);
        let told = lines.into_iter().filter(move |line| !has_new || line.sign != Sign::Gone);
        told.map(move |line| match (line.sign, change.kind) {
            (_, Kind::Records | Kind::Zones | Kind::Tests) => line.text,
            (Sign::Gone, _) => text("{thing}, no longer: {said}").say("thing", name.clone()).say("said", line.text),
            _ => text("{thing}: {said}").say("thing", name.clone()).say("said", line.text),
        })
        .collect::<Vec<Text>>()
    };
    let mut sentences = Vec::new();
    while sentences.len() < room
        && let Some(change) = shown.next()
    {
        sentences.extend(of(change));
    }
    let more = sentences.len().saturating_sub(room) + shown.count();
    sentences.truncate(room);
    (sentences, more)
}

fn plainly(before: &Model, after: &Model, change: &Change) -> Vec<Said> {
    let said = lines(before, after, change).into_iter();
    said.map(|line| Said { sign: line.sign, text: fact("change", line.text) }).collect()
}

/// The plain fields that differ.
fn fields(change: &Change, covered: &[&str]) -> Vec<Said> {
    let (Some(old), Some(new)) = (&change.before, &change.after) else { return Vec::new() };
    let phrases = field_phrases(old, new, covered).into_iter();
    phrases.map(|phrase| Said { sign: Sign::Changed, text: phrase_text(&phrase) }).collect()
}

fn phrase_text(phrase: &str) -> Text {
    text("{phrase}.").each("phrase", |language| match language {
        Language::English => {
            let (field, rest) = phrase.split_once(' ').unwrap_or((phrase, ""));
            format!("{} {rest}", field_word(field)).trim_end().to_owned()
        }
        other => told::fact("phrase", phrase, other),
    })
}

/// A field as it is called where people read it.
pub fn field_text(path: &str) -> Text {
    text("{field}").each("field", |language| match language {
        Language::English => field_word(path),
        other => told::fact("field", path, other),
    })
}

/// `failure_ttl` as `Failure TTL`.
fn field_word(path: &str) -> String {
    let word = |word: &str| match word {
        "ttl" | "soa" | "ns" | "tls" | "cname" | "id" => word.to_uppercase(),
        "ipv4" => "IPv4".to_owned(),
        "ipv6" => "IPv6".to_owned(),
        "asns" => "AS numbers".to_owned(),
        "fqdn" => "zone name".to_owned(),
        "lat" => "latitude".to_owned(),
        "lon" => "longitude".to_owned(),
        other => other.to_owned(),
    };
    let said = path.split(['_', '.']).map(word).collect::<Vec<_>>().join(" ");
    capital(&said)
}

fn policy<'m>(model: &'m Model, id: &str) -> Option<&'m Policy> {
    model.policies.get(&id.parse().ok()?).map(|policy| &**policy)
}

fn pool<'m>(model: &'m Model, id: &str) -> Option<&'m Pool> {
    model.pools.get(&id.parse().ok()?).map(|pool| &**pool)
}

fn of_policy(before: &Model, after: &Model, change: &Change) -> Vec<Said> {
    let line = |sign: Sign, text: Text| Said { sign, text };
    let (was, is) = (policy(before, &change.id), policy(after, &change.id));
    let whole = |sign: Sign, model: &Model, policy: &Policy| -> Vec<Said> {
        (0..policy.rules.len()).map(|at| line(sign, sentence::rule(policy, at, &Plain(model)))).collect()
    };
    let (was, is) = match (was, is) {
        (Some(was), Some(is)) => (was, is),
        (None, Some(is)) if !is.attach.is_empty() => return whole(Sign::New, after, is),
        (Some(was), None) if !was.attach.is_empty() => return whole(Sign::Gone, before, was),
        _ => return plainly(before, after, change),
    };
    let mut said = Vec::new();
    let (fates, removed) = sentence::fates(was, is);
    for at in removed {
        said.push(line(Sign::Gone, sentence::rule(was, at, &Plain(before))));
    }
    for (at, fate) in fates.iter().enumerate() {
        let now = sentence::rule(is, at, &Plain(after));
        match fate {
            Fate::New => said.push(line(Sign::New, now)),
            Fate::Changed(old) => {
                let then = sentence::rule(was, *old, &Plain(before));
                match then == now {
                    true => said.push(line(Sign::Changed, beside_words(was, *old, is, at))),
                    false => said.extend([line(Sign::Gone, then), line(Sign::New, now)]),
                }
            }
            Fate::Moved(old) => {
                let moved = text("Rule {was} becomes rule {is}: {rule}");
                said.push(line(Sign::Changed, moved.set("was", old + 1).set("is", at + 1).say("rule", now)));
            }
            Fate::Same => {}
        }
    }
    said.extend(attached(was, is).into_iter().map(|text| line(Sign::Changed, text)));
    said.extend(fields(change, &["rules", "attach"]));
    said
}

/// What differs in a rule that reads the same.
fn beside_words(was: &Policy, old: usize, is: &Policy, at: usize) -> Text {
    let (Some(then), Some(now)) = (was.rules.get(old), is.rules.get(at)) else { return plain("") };
    let said = match (then.enabled, now.enabled, then.name == now.name) {
        (true, false, _) => text("Rule {n} is switched off."),
        (false, true, _) => text("Rule {n} is switched on."),
        (_, _, false) => text("Rule {n} is now called {name}.").set("name", &now.name),
        _ => text("Rule {n} weighs or measures its pools otherwise."),
    };
    said.set("n", at + 1)
}

/// Names that come under a policy, and those that leave it.
fn attached(was: &Policy, is: &Policy) -> Vec<Text> {
    let all = |policy: &Policy| -> Vec<String> {
        let types =
            |types: &[crate::model::RecordType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join("/");
        policy.attach.iter().map(|one| format!("{} {}", one.name.without_dot(), types(&one.types))).collect()
    };
    let (was, is) = (all(was), all(is));
    let only = |a: &[String], b: &[String]| a.iter().filter(|one| !b.contains(one)).cloned().collect::<Vec<_>>();
    let (gone, come) = (only(&was, &is), only(&is, &was));
    let mut said = Vec::new();
    if !gone.is_empty() {
        said.push(text("No longer steered: {names}.").say("names", list(&gone)));
    }
    if !come.is_empty() {
        said.push(text("Steered from now on: {names}.").say("names", list(&come)));
    }
    said
}

fn list(items: &[String]) -> Text {
    let shown = items.iter().take(MAX_LISTED).cloned().collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(MAX_LISTED) {
        0 => plain(shown),
        more => text("{shown} and {n} more").set("shown", shown).set("n", more),
    }
}

fn of_pool(before: &Model, after: &Model, change: &Change) -> Vec<Said> {
    let line = |sign: Sign| move |text: Text| Said { sign, text };
    let (was, is) = match (pool(before, &change.id), pool(after, &change.id)) {
        (Some(was), Some(is)) => (was, is),
        (None, Some(is)) => {
            let said =
                count(is.members.len(), "The pool is new, with {n} endpoint.", "The pool is new, with {n} endpoints.");
            return vec![line(Sign::New)(said)];
        }
        (Some(was), None) => {
            let said = count(
                was.members.len(),
                "The pool is deleted, with {n} endpoint.",
                "The pool is deleted, with {n} endpoints.",
            );
            return vec![line(Sign::Gone)(said)];
        }
        (None, None) => return Vec::new(),
    };
    let mut said = Vec::new();
    for member in &is.members {
        let (then, now) =
            (was.members.iter().find(|one| one.endpoint == member.endpoint), percent_text(is.part_of(member)));
        let Some(then) = then else {
            let joins = text("{endpoint} joins with weight {n}, {share} of {pool}.");
            said.push(line(Sign::New)(
                joins
                    .set("endpoint", &member.endpoint)
                    .set("n", member.weight)
                    .set("share", now)
                    .set("pool", &change.id),
            ));
            continue;
        };
        let mut add = |pattern: &'static str, from: u16, to: u16| {
            let text = text(pattern).set("endpoint", &member.endpoint).set("was", from).set("is", to);
            let text = text.set("before", percent_text(was.part_of(then))).set("after", &now);
            said.push(line(Sign::Changed)(text.set("pool", &change.id)));
        };
        if then.weight != member.weight {
            let pattern = "{endpoint}: weight {was} to {is} (from {before} to {after} of {pool}).";
            add(pattern, then.weight, member.weight);
        }
        if then.priority != member.priority {
            let pattern = "{endpoint}: priority {was} to {is} (from {before} to {after} of {pool}).";
            add(pattern, then.priority.into(), member.priority.into());
        }
        match (then.enabled, member.enabled) {
            (true, false) => add("{endpoint} is switched off (from {before} to {after} of {pool}).", 0, 0),
            (false, true) => add("{endpoint} is switched on (from {before} to {after} of {pool}).", 0, 0),
            _ => {}
        }
    }
    let gone = was.members.iter().filter(|one| !is.members.iter().any(|member| member.endpoint == one.endpoint));
    for member in gone {
        let leaves = text("{endpoint} leaves; it had {share} of {pool}.").set("endpoint", &member.endpoint);
        let leaves = leaves.set("share", percent_text(was.part_of(member))).set("pool", &change.id);
        said.push(line(Sign::Gone)(leaves));
    }
    said.extend(fields(change, &["members"]));
    said
}

fn new_region(after: &Model, change: &Change) -> Option<Said> {
    let id = change.id.parse::<Id<crate::model::Region>>().ok()?;
    let region = after.regions.get(&id)?;
    let include: Vec<String> = region.include.iter().map(ToString::to_string).collect();
    let except: Vec<String> = region.except.iter().map(ToString::to_string).collect();
    let said = match except.is_empty() {
        true => text("The region is new: {parts}."),
        false => text("The region is new: {parts}, without {except}.").say("except", list(&except)),
    };
    Some(Said { sign: Sign::New, text: said.say("parts", list(&include)) })
}

/// Where a fault or a warning is, in words: the thing, and the field of it.
pub fn place(model: &Model, at: &str) -> Text {
    let (thing, field) = at.split_once(' ').unwrap_or((at, ""));
    let Some((kind, id)) = thing.split_once('/').and_then(|(kind, id)| Some((kind.parse::<Kind>().ok()?, id))) else {
        return plain(at);
    };
    let (word, name) = title(model, model, kind, id);
    let thing = text("{kind} {name}").say("kind", word).say("name", name);
    match position(field) {
        None => thing,
        Some(field) => text("{thing}, {field}").say("thing", thing).say("field", field),
    }
}

/// `rules[0].steps[1].pools[0].pool` as `rule 1, step 2`.
fn position(field: &str) -> Option<Text> {
    let number = |name: &str| -> Option<usize> {
        let rest = field.split_once(&format!("{name}["))?.1;
        Some(rest.split_once(']')?.0.parse::<usize>().ok()? + 1)
    };
    match (number("rules"), number("steps")) {
        (Some(rule), Some(step)) => Some(text("rule {rule}, step {step}").set("rule", rule).set("step", step)),
        (Some(rule), None) => Some(text("rule {rule}").set("rule", rule)),
        _ if field.is_empty() || field.starts_with("members") || field.starts_with("attach") => None,
        _ => Some(field_text(field)),
    }
}

/// A thing's fields side by side, for two that changed it at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub field: Text,
    pub was: Text,
    pub theirs: Text,
    pub mine: Text,
    pub they_changed: bool,
    pub i_changed: bool,
}

/// The fields that at least one of the two changed.
pub fn side_by_side(model: &Model, kind: Kind, all: [Option<&Value>; 3]) -> Vec<Row> {
    let [was, theirs, mine] = all.map(|value| value.map_or(Vec::new(), |value| flat(model, kind, value)));
    let mut paths: Vec<&Text> = Vec::new();
    for (path, _) in was.iter().chain(&theirs).chain(&mine) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let of = |fields: &[(Text, Text)], path: &Text| {
        fields.iter().find(|(known, _)| known == path).map_or_else(|| plain("–"), |(_, value)| value.clone())
    };
    let row = |path: &Text| {
        let (was, theirs, mine) = (of(&was, path), of(&theirs, path), of(&mine, path));
        let (they_changed, i_changed) = (theirs != was, mine != was);
        (they_changed || i_changed).then(|| Row { field: path.clone(), was, theirs, mine, they_changed, i_changed })
    };
    paths.into_iter().filter_map(row).collect()
}

/// Every field with its value in words.
fn flat(model: &Model, kind: Kind, value: &Value) -> Vec<(Text, Text)> {
    let mut found = Vec::new();
    let rules = (kind == Kind::Policies).then(|| serde_json::from_value::<Policy>(value.clone()).ok()).flatten();
    for (name, value) in value.as_object().into_iter().flatten() {
        match (name.as_str(), value, &rules) {
            ("id" | "rev" | "serial", ..) | (_, Value::Null, _) => {}
            (_, Value::String(text), _) if text.is_empty() => {}
            ("rules", _, Some(policy)) => {
                for at in 0..policy.rules.len() {
                    let rule = sentence::rule(policy, at, &Plain(model));
                    found.push((text("Rule {n}").set("n", at + 1), rule));
                }
            }
            ("members", Value::Array(members), _) => {
                for member in members {
                    let id = member.get("endpoint").and_then(Value::as_str).unwrap_or_default();
                    for (name, value) in
                        member.as_object().into_iter().flatten().filter(|(name, _)| *name != "endpoint")
                    {
                        let field = text("{endpoint}: {field}").set("endpoint", id).say("field", field_text(name));
                        found.push((field, plain(brief(value))));
                    }
                }
            }
            (_, Value::Object(fields), _) => {
                let inner = fields.iter().filter(|(_, value)| !value.is_null());
                found.extend(inner.map(|(inner, value)| (field_text(&format!("{name}.{inner}")), plain(brief(value)))));
            }
            _ => found.push((field_text(name), plain(brief(value)))),
        }
    }
    found
}

fn brief(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(brief).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name} {}", brief(value))).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Edit;
    use serde_json::json;

    fn world() -> Model {
        let step = |pool: &str| json!({ "pools": [{ "pool": pool }] });
        let document = json!({
            "zones": { "example": { "fqdn": "example.test.", "ns": ["ns1.other.test.", "ns2.other.test."] } },
            "endpoints": { "eu-1": { "ipv4": "192.0.2.1" }, "eu-2": { "ipv4": "192.0.2.2" }, "us-1": { "ipv4": "192.0.2.3" } },
            "pools": {
                "eu": { "members": [{ "endpoint": "eu-1", "weight": 30 }, { "endpoint": "eu-2", "weight": 30 }] },
                "us": { "members": [{ "endpoint": "us-1" }] },
            },
            "policies": { "www": {
                "attach": [{ "zone": "example", "name": "www.example.test.", "types": ["A"] }],
                "rules": [
                    { "name": "Asia", "regions": ["asia"], "steps": [step("us")] },
                    { "name": "Rest", "steps": [step("eu"), step("us")] },
                ],
            } },
        });
        let empty = Model::empty();
        empty.check(&empty.edits_to(&document).unwrap()).unwrap().model
    }

    fn told(before: &Model, change: impl FnOnce(&mut Value)) -> Vec<(Sign, String, String)> {
        let mut document = before.document();
        change(&mut document);
        let checked = before.check(&before.edits_to(&document).unwrap()).unwrap();
        let lines = checked.changes.iter().flat_map(|change| said(before, &checked.model, change));
        let told = |line: Said| (line.sign, line.text.to_html(Language::English), line.text.to_html(Language::Korean));
        lines.map(told).collect()
    }

    #[test]
    fn a_rule_is_told_as_the_steering_page_has_it_before_and_after() {
        let world = world();
        let said = told(&world, |document| {
            document["policies"]["www"]["rules"][0]["steps"] = json!([{ "pools": [{ "pool": "eu" }] }]);
            document["policies"]["www"]["ttl"] = json!(45);
        });
        let english: Vec<(Sign, &str)> = said.iter().map(|(sign, english, _)| (*sign, english.as_str())).collect();
        let wanted = [
            (Sign::Gone, "Clients in Asia get us."),
            (Sign::New, "Clients in Asia get eu."),
            (Sign::Changed, "TTL goes from 30 to 45."),
        ];
        assert_eq!(english, wanted);
        assert_eq!(said[1].2, "아시아 클라이언트 → eu.");
        assert_eq!(said[2].2, "TTL 30 → 45.");
        let (word, name) = title(&world, &world, Kind::Policies, "www");
        assert_eq!(
            (word.to_html(Language::English), name.to_html(Language::English)),
            ("Name".into(), "www.example.test".into())
        );
    }

    #[test]
    fn a_weight_is_told_with_the_share_that_it_gives() {
        let said = told(&world(), |document| document["pools"]["eu"]["members"][0]["weight"] = json!(10));
        assert_eq!(said[0].1, "eu-1: weight 30 to 10 (from 50% to 25% of eu).");
        assert_eq!(said[0].2, "eu-1: 가중치 30 → 10(eu 풀의 50% → 25%).");
        let said = told(&world(), |document| document["pools"]["eu"]["members"].as_array_mut().unwrap().truncate(1));
        assert_eq!((said[0].0, said[0].1.as_str()), (Sign::Gone, "eu-2 leaves; it had 50% of eu."));
    }

    #[test]
    fn a_rule_whose_words_stay_says_what_else_differs_and_no_change_is_silent() {
        for (change, wanted) in [
            (json!({ "enabled": false }), "Rule 1 is switched off."),
            (json!({ "name": "Far East" }), "Rule 1 is now called Far East."),
        ] {
            let said = told(&world(), |document| {
                let rule = document["policies"]["www"]["rules"][0].as_object_mut().unwrap();
                rule.extend(change.as_object().unwrap().clone());
            });
            assert_eq!(said[0].1, wanted);
        }
    }

    #[test]
    fn the_place_of_a_warning_is_a_thing_with_its_name() {
        let world = world();
        for (at, wanted) in [
            ("policies/www ttl", "Name www.example.test, TTL"),
            ("policies/www rules[0].steps[1].pools[0].pool", "Name www.example.test, rule 1, step 2"),
            ("pools/eu members", "pool eu"),
            ("elsewhere", "elsewhere"),
        ] {
            assert_eq!(place(&world, at).to_html(Language::English), wanted);
        }
    }

    #[test]
    fn a_conflict_shows_each_field_that_either_changed() {
        let world = world();
        let was = world.entity(Kind::Pools, "eu").unwrap();
        let with = |weight: u16, note: &str| {
            let mut value = was.clone();
            (value["members"][0]["weight"], value["note"]) = (json!(weight), json!(note));
            value
        };
        let (theirs, mine) = (with(7, ""), with(9, "mine"));
        let rows = side_by_side(&world, Kind::Pools, [Some(&was), Some(&theirs), Some(&mine)]);
        let english = |text: &Text| text.to_html(Language::English);
        let weight = rows.iter().find(|row| english(&row.field) == "eu-1: Weight").expect("a row of the weight");
        assert_eq!([&weight.was, &weight.theirs, &weight.mine].map(english), ["30", "7", "9"]);
        let note = rows.iter().find(|row| english(&row.field) == "Note").expect("a row of the note");
        assert!(note.i_changed && !note.they_changed && rows.len() == 2, "{rows:?}");
        let gone = side_by_side(&world, Kind::Policies, [world.entity(Kind::Policies, "www").as_ref(), None, None]);
        assert!(gone.iter().any(|row| english(&row.was) == "Everyone else gets eu, then us."), "{gone:?}");
    }

    #[test]
    fn the_dock_has_the_name_before_what_will_be() {
        let world = world();
        let mut value = world.entity(Kind::Pools, "eu").unwrap();
        value["members"][0]["weight"] = json!(10);
        let edit = Edit { kind: Kind::Pools, id: "eu".into(), value: Some(value) };
        let checked = world.check(&[edit]).unwrap();
        let (said, more) = briefly(&world, &checked.model, &checked.changes, 3);
        assert_eq!(more, 0);
        let said: Vec<String> = said.iter().map(|text| text.to_html(Language::English)).collect();
        assert_eq!(said, ["eu: eu-1: weight 30 to 10 (from 50% to 25% of eu)."]);
    }

    #[test]
    fn the_dock_counts_what_it_has_no_room_for() {
        let world = world();
        let address = |n: usize| json!({ "ipv4": format!("192.0.2.{n}"), "note": "new" });
        let edit = |n: usize| Edit { kind: Kind::Endpoints, id: format!("new-{n}"), value: Some(address(n)) };
        let checked = world.check(&(1..=9).map(edit).collect::<Vec<_>>()).unwrap();
        let (said, more) = briefly(&world, &checked.model, &checked.changes, 3);
        assert_eq!((said.len(), more), (3, 6));
    }
}
