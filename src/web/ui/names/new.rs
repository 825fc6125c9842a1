//! Adding a name: it starts with the sentence for everyone.

use std::collections::BTreeSet;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::super::clash::{Kept, keep};
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
use super::super::text::text;
use super::super::values::underscored;
use super::super::visit::{Visit, see};
use super::super::{every, filters};
use super::options::{TYPES, outside, zone_of};
use super::rule_form::number;
use super::steering::Choices;
use super::{World, path};
use crate::model::{
    Edit, FieldError, Kind, MAX_ANSWERS, MAX_ID, Model, Name, RecordKey, RecordSet, RecordType, beside_pages,
    check_host_name,
};
use crate::web::Problem;

/// The TTL that suits most names, in seconds.
const USUAL_TTL: &str = "60";
/// Pools that the form asks for: the first, and those after it.
const POOLS: usize = 3;
/// The field that keeps what the form warned of.
const KEEP: &str = "keep";

#[derive(Template)]
#[template(path = "ui/name_new.html")]
struct New {
    frame: Frame,
    zones: Vec<(String, String)>,
    pools: Choices,
    types_offered: [(&'static str, &'static str); 4],
    zone: String,
    name: String,
    types: String,
    chosen: Vec<String>,
    ttl: String,
    faults: Faults,
    beside: Vec<String>,
    /// The button that repeats the form and means it: its value and its word.
    way_out: Option<(&'static str, &'static str)>,
}

/// What was typed.
struct Typed {
    zone: String,
    name: String,
    types: String,
    pools: Vec<String>,
    ttl: String,
    keeps: BTreeSet<String>,
}

impl Typed {
    fn of_form(form: &Form) -> Typed {
        Typed {
            zone: form.text("zone").into(),
            name: form.text("name").into(),
            types: form.text("types").into(),
            pools: form.all("pool").filter(|pool| !pool.is_empty()).map(str::to_owned).collect(),
            ttl: form.text("ttl").into(),
            keeps: form.all(KEEP).map(str::to_owned).collect(),
        }
    }

    fn keeps(&self, what: &str) -> bool {
        self.keeps.contains(what)
    }
}

pub async fn show(visit: Visit) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let query = visit.here.split_once('?').map_or("", |(_, query)| query);
    let query = Form::parse(query.as_bytes())?;
    let typed = Typed {
        ttl: USUAL_TTL.into(),
        types: "A,AAAA".into(),
        zone: query.text("zone").into(),
        name: query.text("name").into(),
        pools: query.all("pool").map(str::to_owned).collect(),
        keeps: BTreeSet::new(),
    };
    let page = form_page(&visit, &world, typed, Faults::default(), None).await;
    Ok(visit.page(&page))
}

async fn form_page(
    visit: &Visit,
    world: &World,
    typed: Typed,
    faults: Faults,
    way_out: Option<(&'static str, &'static str)>,
) -> New {
    let frame = visit.frame(Place::Names, text("Add name")).await.under(text("Names"), "/names");
    let mut chosen = typed.pools;
    let rows = (chosen.len() + 1).max(POOLS);
    chosen.resize(rows, String::new());
    New {
        frame,
        zones: world.drafted.zones.iter().map(|(id, zone)| (id.to_string(), zone.fqdn.without_dot())).collect(),
        pools: Choices::pools(&world.drafted),
        types_offered: TYPES,
        beside: faults.beside(&["zone", "name", "types", "pool", "ttl"]),
        zone: typed.zone,
        name: typed.name,
        types: typed.types,
        chosen,
        ttl: typed.ttl,
        faults,
        way_out,
    }
}

pub async fn add(visit: Visit, form: Form) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let typed = Typed::of_form(&form);
    let mut faults = Faults::default();
    let mut way_out = None;
    let name = read_name(&world.drafted, &typed, &mut faults, &mut way_out);
    if typed.pools.is_empty() && !typed.keeps("turn") {
        faults.push(FieldError::new("pool", "no pool is chosen", "choose one that answers for everyone"));
    }
    if typed.ttl.is_empty() {
        faults.push(FieldError::new("ttl", "the TTL is empty", "60 s suits most names"));
    }
    let ttl_is_told = typed.ttl.is_empty();
    // Where the name is wrong, everything else is told with it, at a name that nothing has.
    let (is_named, name) = (name.is_some(), name.or_else(|| unnamed(&world.drafted, &typed)));
    let Some((name, edits)) = name.and_then(|name| Some((name.clone(), edits(&world.drafted, &typed, &name)?))) else {
        let page = form_page(&visit, &world, typed, faults, way_out).await;
        return Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page));
    };
    let made = edits.1.iter().find(|edit| edit.kind == Kind::Pools).map(|pool| pool.id.clone());
    let kept = if faults.is_empty() {
        keep(&visit, edits.1, "/names/new").await?
    } else {
        // Every other error is told together with these.
        let draft = world.draft.edits().into_iter().chain(edits.1).collect::<Vec<_>>();
        Kept::Wrong(every::errors(&world.live, &draft))
    };
    match kept {
        Kept::Clash(page) => return Ok(page),
        Kept::Drafted => {
            visit
                .say(text("{name} kept in your draft. Say below who gets which pool.").set("name", name.without_dot()));
            if let Some(pool) = made {
                let words = text(
                    "Nothing checks the servers of its pool {pool} yet: they count as up, always. Give it a health check.",
                );
                visit.say(words.set("pool", pool));
            }
            return Ok(see(&path(&name)));
        }
        Kept::Wrong(errors) => {
            let prefix = format!("policies/{} ", edits.0);
            let mut at_pool = false;
            for error in errors {
                let field = error.at.strip_prefix(&prefix).unwrap_or(&error.at).to_owned();
                let field = match field.as_str() {
                    at if at.contains("pools") || at.contains("steps") => {
                        // With no pool chosen the model says it as well.
                        if std::mem::replace(&mut at_pool, true) || typed.pools.is_empty() {
                            continue;
                        }
                        "pool".to_owned()
                    }
                    at if at.starts_with("attach") && at.ends_with("types") => "types".to_owned(),
                    at if at.starts_with("attach") => "name".to_owned(),
                    _ => field,
                };
                if (field == "name" && !is_named) || (field == "ttl" && ttl_is_told) {
                    continue;
                }
                faults.push(FieldError { at: field, ..error });
            }
        }
    }
    let page = form_page(&visit, &world, typed, faults, way_out).await;
    Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// The name below the chosen zone, or as it stands where it says its zone itself.
fn read_name(
    model: &Model,
    typed: &Typed,
    faults: &mut Faults,
    way_out: &mut Option<(&'static str, &'static str)>,
) -> Option<Name> {
    if typed.name.is_empty() {
        faults.push(FieldError::new("name", "the name is empty", "give one such as www, or @ for the zone itself"));
        return None;
    }
    if let (false, Err(error)) = (typed.name == "@", check_host_name(&typed.name)) {
        faults.push(FieldError::told("name", &error));
        return None;
    }
    let zone = typed.zone.parse().ok().and_then(|id| model.zones.get(&id));
    // A name that says its zone itself is taken as it stands, with a final dot or without.
    let whole = Name::parse(&typed.name, Some(&Name::root())).ok().filter(|name| zone_of(model, name).is_some());
    let foreign = typed.name.ends_with('.') || typed.name.trim_end_matches('.').contains('.');
    let name = match (whole, zone) {
        (Some(name), _) => name,
        (None, Some(zone)) if !foreign || is_relative(model, &typed.name) => {
            match Name::parse(&typed.name, Some(&zone.fqdn)) {
                Ok(name) => name,
                Err(error) => {
                    faults.push(FieldError::told("name", &error));
                    return None;
                }
            }
        }
        _ => {
            match Name::parse(&typed.name, Some(&Name::root())) {
                Ok(name) => faults.say("name", outside(&name, model)),
                Err(error) => faults.push(FieldError::told("name", &error)),
            }
            return None;
        }
    };
    if typed.name.contains('_') && !typed.keeps("underscore") {
        faults.say("name", underscored(&typed.name));
        *way_out = Some(("underscore", "Keep anyway"));
    }
    if let Some((rtype, set)) = plain_set(model, typed, &name)
        && !typed.keeps("turn")
    {
        let first = set.values.first().map(|value| value.present(rtype)).unwrap_or_default();
        let has = format!("{} already has a plain {rtype} record {first}.", typed.name);
        faults.say("name", format!("{has} A name is either plain or steered."));
        *way_out = Some(("turn", "Turn it into a pool"));
    }
    Some(name)
}

/// A name that nothing has, in the zone that is chosen.
fn unnamed(model: &Model, typed: &Typed) -> Option<Name> {
    let zone = typed.zone.parse().ok().and_then(|id| model.zones.get(&id)).or(model.zones.values().next())?;
    Name::parse(&every::stand_in(model, Kind::Policies), Some(&zone.fqdn)).ok()
}

/// A name of several labels is below the chosen zone unless its end looks like another's: `a.b` but not `shop.example.org`.
pub fn is_relative(model: &Model, typed: &str) -> bool {
    let end = typed.trim_end_matches('.').rsplit('.').next().unwrap_or_default().to_lowercase();
    let ends = model.zones.values().filter_map(|zone| zone.fqdn.labels().next_back().map(<[u8]>::to_vec));
    let known = ends.into_iter().any(|label| label == end.as_bytes());
    !typed.ends_with('.') && !known && !TOP_LEVELS.contains(&end.as_str())
}

/// Ends of names that nobody means as a label below a zone.
const TOP_LEVELS: [&str; 14] =
    ["com", "org", "net", "info", "io", "dev", "app", "biz", "edu", "gov", "kr", "de", "uk", "test"];

/// The plain addresses, or the alias, that stand at the name for the types that are to be steered.
fn plain_set<'m>(model: &'m Model, typed: &Typed, name: &Name) -> Option<(RecordType, &'m RecordSet)> {
    let zone = zone_of(model, name)?;
    let types = typed.types.split(',').filter_map(|word| word.parse::<RecordType>().ok());
    types.chain([RecordType::CNAME]).find_map(|rtype| {
        let set = model.records.get(&RecordKey { zone: zone.clone(), name: name.clone(), rtype })?;
        set.enabled.then_some((rtype, &**set))
    })
}

/// The policy's id, and everything that makes the name.
fn edits(model: &Model, typed: &Typed, name: &Name) -> Option<(String, Vec<Edit>)> {
    let zone = zone_of(model, name)?;
    let id = free_id(&slug(name), |id| id.parse().is_ok_and(|id| model.policies.contains_key(&id)));
    let mut edits = Vec::new();
    let mut pools = typed.pools.clone();
    if typed.keeps("turn") {
        let (pool, made) = pool_of_records(model, typed, name)?;
        pools.insert(0, pool);
        edits.extend(made);
    }
    let step = |pool: &String| json!({ "pools": [{ "pool": pool }] });
    let types: Vec<&str> = typed.types.split(',').collect();
    let value = json!({
        "attach": [{ "zone": zone, "name": name, "types": types }],
        "ttl": number(&typed.ttl).unwrap_or_else(|| "".into()),
        "rules": [{ "name": "Everyone else", "steps": pools.iter().map(step).collect::<Vec<_>>() }],
    });
    edits.push(Edit { kind: Kind::Policies, id: id.clone(), value: Some(value) });
    Some((id, edits))
}

/// A pool of the addresses that the plain records hold, instead of them.
fn pool_of_records(model: &Model, typed: &Typed, name: &Name) -> Option<(String, Vec<Edit>)> {
    let zone = zone_of(model, name)?;
    let base = slug(name);
    let mut made = Vec::new();
    let (mut members, mut answers) = (Vec::new(), 1);
    let mut taken: BTreeSet<String> = model.endpoints.keys().map(ToString::to_string).collect();
    for rtype in [RecordType::A, RecordType::AAAA, RecordType::CNAME] {
        let wanted = typed.types.split(',').any(|word| word.parse() == Ok(rtype));
        let key = RecordKey { zone: zone.clone(), name: name.clone(), rtype };
        let Some(set) = model.records.get(&key).filter(|_| wanted || rtype == RecordType::CNAME) else { continue };
        made.push(Edit { kind: Kind::Records, id: model.record_id(&key)?, value: None });
        let field = match rtype {
            RecordType::A => "ipv4",
            RecordType::AAAA => "ipv6",
            _ => "cname",
        };
        answers = answers.max(set.values.len());
        for value in &set.values {
            let id = free_id(&format!("{base}-1"), |id| taken.contains(id));
            taken.insert(id.clone());
            members.push(json!({ "endpoint": id }));
            let value = json!({ field: value.present(rtype) });
            made.push(Edit { kind: Kind::Endpoints, id, value: Some(value) });
        }
    }
    // As many at once as clients got so far.
    let value = json!({ "members": members, "answers": answers.min(MAX_ANSWERS.into()) });
    let pool = free_id(&base, |id| id.parse().is_ok_and(|id| model.pools.contains_key(&id)));
    made.push(Edit { kind: Kind::Pools, id: pool.clone(), value: Some(value) });
    Some((pool, made))
}

/// An id that reads like the name.
fn slug(name: &Name) -> String {
    let text: String = name.without_dot().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let text = text.trim_matches('-').chars().take(MAX_ID - 4).collect::<String>();
    if text.is_empty() { "name".into() } else { beside_pages(text) }
}

/// `base`, or with a number the first that is free.
fn free_id(base: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(base) {
        return base.to_owned();
    }
    let stem = base.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
    let numbered = (2..).map(|n| format!("{stem}-{n}"));
    numbered.into_iter().find(|id| !taken(id)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let document = json!({
            "zones": { "z": { "fqdn": "example.com.", "ns": ["a.other.test.", "b.other.test."] } },
            "records": [{ "zone": "z", "name": "www", "type": "A", "values": ["192.0.2.9"] }],
            "endpoints": { "e": { "ipv4": "192.0.2.1" } },
            "pools": { "eu": { "members": [{ "endpoint": "e" }] } },
        });
        let empty = Model::empty();
        empty.check(&empty.edits_to(&document).unwrap()).unwrap().model
    }

    fn typed(name: &str, keeps: &[&str]) -> Typed {
        Typed {
            zone: "z".into(),
            name: name.into(),
            types: "A,AAAA".into(),
            pools: vec!["eu".into()],
            ttl: "60".into(),
            keeps: keeps.iter().map(|keep| (*keep).to_owned()).collect(),
        }
    }

    #[test]
    fn names_are_told_what_is_wrong_in_one_sentence() {
        let model = model();
        for (name, keeps, expected) in [
            ("app", &[][..], Ok("app.example.com.")),
            ("@", &[], Ok("example.com.")),
            ("a.b", &[], Ok("a.b.example.com.")),
            ("app.example.com", &[], Ok("app.example.com.")),
            ("app.example.com.", &[], Ok("app.example.com.")),
            (
                "shop.example.org",
                &[],
                Err("shop.example.org is not under a zone of this server. Zones here: example.com."),
            ),
            ("app_1", &[], Err("app_1 has an underscore. Host names may use letters, digits and hyphens.")),
            ("app_1", &["underscore"], Ok("app_1.example.com.")),
            ("www", &[], Err("www already has a plain A record 192.0.2.9. A name is either plain or steered.")),
            ("www", &["turn"], Ok("www.example.com.")),
            ("a b", &[], Err("\"a b\" has a space in it. Write the name without, such as app.example.com.")),
            ("www:80", &[], Err("www:80 has a port. Write only the name: www.")),
            ("ü@x", &[], Err("ü@x is a mail address. Write only the name: x.")),
            ("192.0.2.1", &[], Err("192.0.2.1 is an address. Write a name, such as app.example.com.")),
            ("", &[], Err("The name is empty. Give one such as www, or @ for the zone itself.")),
        ] {
            let (mut faults, mut way_out) = (Faults::default(), None);
            let read = read_name(&model, &typed(name, keeps), &mut faults, &mut way_out);
            match expected {
                Ok(name) => {
                    assert_eq!(read.unwrap().to_string(), name);
                    assert!(faults.is_empty());
                }
                Err(said) => assert_eq!(faults.of("name"), [said], "{name}"),
            }
        }
    }

    #[test]
    fn plain_records_become_a_pool_that_the_model_takes() {
        let model = model();
        let mut typed = typed("www", &["turn"]);
        typed.pools.clear();
        let (id, edits) = edits(&model, &typed, &"www.example.com.".parse().unwrap()).unwrap();
        let after = model.check(&edits).unwrap().model;
        assert_eq!(id, "www-example-com");
        assert!(after.records.is_empty());
        let pool = &after.pools[&"www-example-com".parse().unwrap()];
        assert_eq!((pool.members.len(), pool.answers), (1, Some(1)));
    }

    #[test]
    fn ids_are_free_and_short_enough() {
        let taken = ["a", "a-2", "b-1"];
        let free = |base: &str| free_id(base, |id| taken.contains(&id));
        assert_eq!([free("a"), free("b-1"), free("c")], ["a-3", "b-2", "c"]);
        let long: Name = format!("{}.{}.example.com.", "x".repeat(63), "y".repeat(63)).parse().unwrap();
        assert!(slug(&long).len() < MAX_ID);
        assert_eq!(slug(&"*.example.com.".parse().unwrap()), "example-com");
    }
}
