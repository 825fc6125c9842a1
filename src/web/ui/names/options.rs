//! What a policy says beside its rules: TTLs, number of answers, whose place counts, and its names.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::clash::Kept;
use super::super::form::{Faults, Form};
use super::super::text::text;
use super::super::visit::{Visit, see};
use super::page::edited;
use super::rule_form::{number, word};
use super::rules::keep_policy;
use super::steering::{MAX_ATTACHED, Open, page};
use super::{World, path, types_word};
use crate::model::{FieldError, Id, Kind, Model, Name, Policy, RecordType, Zone};
use crate::web::Problem;
use crate::web::extract::Path;

/// What the policy's form holds, as typed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OptionsForm {
    pub name: String,
    pub note: String,
    pub enabled: bool,
    pub ttl: String,
    pub failure_ttl: String,
    pub answers: String,
    pub locate: String,
    pub sticky: String,
}

/// Fields that errors stand beside.
pub const FIELDS: [&str; 8] = ["name", "note", "enabled", "ttl", "failure_ttl", "answers", "locate", "sticky"];

impl OptionsForm {
    pub fn of_policy(policy: &Policy) -> OptionsForm {
        OptionsForm {
            name: policy.meta.name.clone(),
            note: policy.meta.note.clone(),
            enabled: policy.enabled,
            ttl: policy.ttl.to_string(),
            failure_ttl: policy.failure_ttl.to_string(),
            answers: policy.answers.to_string(),
            locate: word(&policy.locate),
            sticky: word(&policy.sticky),
        }
    }

    fn of_form(form: &Form) -> OptionsForm {
        let field = |name: &str| form.text(name).to_owned();
        OptionsForm {
            name: field("name"),
            note: field("note"),
            enabled: form.has("enabled"),
            ttl: field("ttl"),
            failure_ttl: field("failure_ttl"),
            answers: field("answers"),
            locate: field("locate"),
            sticky: field("sticky"),
        }
    }

    /// Writes what was typed into the policy.
    fn put(&self, value: &mut Value) {
        value["name"] = self.name.as_str().into();
        value["note"] = self.note.replace('\r', "").into();
        value["enabled"] = self.enabled.into();
        for (name, typed) in [("ttl", &self.ttl), ("failure_ttl", &self.failure_ttl), ("answers", &self.answers)] {
            // An empty one is for the model to refuse: nobody is given a default that they did not see.
            value[name] = number(typed).unwrap_or_else(|| "".into());
        }
        value["locate"] = self.locate.as_str().into();
        value["sticky"] = self.sticky.as_str().into();
    }
}

pub async fn keep(visit: Visit, Path(name): Path<String>, form: Form) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let (id, _) = edited(&world, &name)?;
    let typed = OptionsForm::of_form(&form);
    let mut value = world.drafted.entity(Kind::Policies, id.as_str()).unwrap_or_default();
    typed.put(&mut value);
    let back = format!("{}?edit=options#options", path(&name));
    match keep_policy(&visit, id, value, &back).await? {
        Kept::Clash(page) => Ok(page),
        Kept::Drafted => {
            visit.say(text("Options of {name} kept in your draft.").set("name", name.without_dot()));
            Ok(see(&path(&name)))
        }
        Kept::Wrong(errors) => {
            let faults = Faults::new(errors, &format!("policies/{id} "));
            let open = Open { options: Some(typed), faults, ..Open::default() };
            page(&visit, &world, &name, open, false, StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}

/// The names of the policy, and one more to be typed.
#[derive(Default)]
pub struct AttachForm {
    /// Name, its page, its types, and whether it is the page's own.
    pub list: Vec<(String, String, String, bool)>,
    pub more: usize,
    pub name: String,
    pub types: String,
    pub faults: Faults,
    pub aliases: bool,
}

/// Types that a name can be steered for.
pub const TYPES: [(&str, &str); 4] =
    [("A,AAAA", "A and AAAA"), ("A", "A only"), ("AAAA", "AAAA only"), ("CNAME", "CNAME")];

impl AttachForm {
    pub fn fill(&mut self, policy: &Policy, own: &Name) {
        let rows = policy.attach.iter().take(MAX_ATTACHED);
        self.list = rows
            .map(|attach| {
                (attach.name.without_dot(), path(&attach.name), types_word(&attach.types), attach.name == *own)
            })
            .collect();
        self.more = policy.attach.len().saturating_sub(MAX_ATTACHED);
        self.aliases = policy.attach.iter().any(|attach| attach.types.contains(&RecordType::CNAME));
        if self.types.is_empty() {
            self.types = if self.aliases { "CNAME".into() } else { "A,AAAA".into() };
        }
    }

    pub fn types_offered(&self) -> [(&'static str, &'static str); 4] {
        TYPES
    }
}

/// Adds a name to the policy, or takes one off.
pub async fn attach(visit: Visit, Path(own): Path<String>, form: Form) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let own = world.name(&own)?;
    let (id, _) = edited(&world, &own)?;
    let typed =
        AttachForm { name: form.text("attach").into(), types: form.text("types").into(), ..AttachForm::default() };
    let mut value = world.drafted.entity(Kind::Policies, id.as_str()).unwrap_or_default();
    let mut list = value["attach"].as_array().cloned().unwrap_or_default();
    let again = |typed: AttachForm, faults: Faults| Open { attach: AttachForm { faults, ..typed }, ..Open::default() };
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    if form.text("do") == "remove" {
        let Ok(gone) = Name::parse(&typed.name, Some(&Name::root())) else { return Ok(see(&path(&own))) };
        list.retain(|attach| attach["name"] != gone.to_string());
    } else {
        let name = match name_in_zones(&world.drafted, &typed.name) {
            Ok(found) => found,
            Err(faults) => return page(&visit, &world, &own, again(typed, faults), false, unprocessable).await,
        };
        list.push(json!({ "zone": name.0, "name": name.1, "types": typed.types.split(',').collect::<Vec<_>>() }));
    }
    value["attach"] = list.into();
    let removed = form.text("do") == "remove";
    match keep_policy(&visit, id, value, &path(&own)).await? {
        Kept::Clash(page) => Ok(page),
        Kept::Drafted => {
            let said = if removed { "{name} removed in your draft." } else { "{name} added in your draft." };
            visit.say(text(said).set("name", typed.name));
            Ok(see(&format!("{}#attached", path(&own))))
        }
        Kept::Wrong(errors) => {
            let error = errors.into_iter().next().unwrap_or_else(|| FieldError::new("", "it cannot be done", ""));
            let mut faults = Faults::default();
            faults.push(FieldError { at: "attach".into(), ..error });
            page(&visit, &world, &own, again(typed, faults), false, unprocessable).await
        }
    }
}

/// The zone that a name lies in, the deepest; with a final dot or without.
pub fn name_in_zones(model: &Model, typed: &str) -> Result<(Id<Zone>, Name), Faults> {
    let told = |error: FieldError| {
        let mut faults = Faults::default();
        faults.push(error);
        faults
    };
    if typed.is_empty() {
        return Err(told(FieldError::new("attach", "the name is empty", "give one, such as www.example.com")));
    }
    let name = Name::parse(typed, Some(&Name::root())).map_err(|error| told(FieldError::told("attach", &error)))?;
    match zone_of(model, &name) {
        Some(zone) => Ok((zone, name)),
        None => {
            let mut faults = Faults::default();
            faults.say("attach", outside(&name, model));
            Err(faults)
        }
    }
}

pub fn zone_of(model: &Model, name: &Name) -> Option<Id<Zone>> {
    let inside = model.zones.iter().filter(|(_, zone)| name.is_under(&zone.fqdn));
    inside.max_by_key(|(_, zone)| zone.fqdn.as_wire().len()).map(|(id, _)| id.clone())
}

/// Zones that an error lists.
const MAX_ZONES: usize = 5;

/// The name lies in none of our zones.
pub fn outside(name: &Name, model: &Model) -> String {
    let zones: Vec<String> = model.zones.values().take(MAX_ZONES).map(|zone| zone.fqdn.without_dot()).collect();
    let more = if model.zones.len() > MAX_ZONES { ", …" } else { "" };
    let here = if zones.is_empty() {
        "There are no zones here yet".to_owned()
    } else {
        format!("Zones here: {}{more}", zones.join(", "))
    };
    format!("{} is not under a zone of this server. {here}.", name.without_dot())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_zone_has_the_name_and_others_are_told() {
        let zone = |fqdn: &str| json!({ "fqdn": fqdn, "ns": ["a.other.test.", "b.other.test."] });
        let document = json!({ "zones": { "top": zone("example.com."), "deep": zone("eu.example.com.") } });
        let empty = Model::empty();
        let model = empty.check(&empty.edits_to(&document).unwrap()).unwrap().model;
        let zone = |name: &str| name_in_zones(&model, name).map(|(zone, _)| zone.to_string());
        assert_eq!(zone("www.example.com").unwrap(), "top");
        assert_eq!(zone("www.eu.example.com.").unwrap(), "deep");
        assert_eq!(
            zone("shop.example.org").unwrap_err().of("attach"),
            ["shop.example.org is not under a zone of this server. Zones here: eu.example.com, example.com."]
        );
    }

    #[test]
    fn options_come_back_from_their_form_as_they_were() {
        let policy: Policy = serde_json::from_value(json!({
            "id": "p", "name": "Shop", "note": "two\nlines", "enabled": true, "attach": [], "ttl": 60,
            "failure_ttl": 5, "answers": 2, "locate": "resolver", "sticky": "client", "rules": [],
        }))
        .unwrap();
        let form = OptionsForm::of_policy(&policy);
        let mut value = json!(policy);
        OptionsForm { note: form.note.replace('\n', "\r\n"), ..form }.put(&mut value);
        assert_eq!(serde_json::from_value::<Policy>(value).unwrap(), policy);
    }
}
