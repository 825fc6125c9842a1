//! Keeping what the simulator shows as a test of the configuration, in the user's draft.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Ask, asked, link};
use crate::answer::{Question, pools, simulate};
use crate::control::Refusal;
use crate::control::simulate::Simulation;
use crate::health::HealthTable;
use crate::model::{Edit, Kind, MAX_ID, Model, beside_pages};
use crate::web::Problem;
use crate::web::ui::form::{Faults, Form};
use crate::web::ui::text::text;
use crate::web::ui::visit::{Visit, see};

/// The form, filled with what is suggested or what was typed.
pub struct Keep {
    pub id: String,
    pub name: String,
    /// `pools`, `answers` or `nothing`.
    pub expect: String,
    pub pools: Vec<String>,
    pub answers: Vec<String>,
    pub client: String,
    /// `subnet` or `resolver`.
    pub via: &'static str,
    pub faults: Faults,
}

impl Keep {
    /// Suggests a test of the largest group, in the health that tests assume: all is up but what is assumed down.
    /// `who` is what the clients are called.
    pub fn of(simulation: &Simulation, who: &str, drafted: &Model) -> Option<Keep> {
        let group = simulation.groups.first()?;
        let healthy = simulation.world.snapshot.with_health(&HealthTable::default());
        let stage = healthy.with_down(&simulation.down);
        let question = Question { name: simulation.name.as_wire(), rtype: simulation.rtype };
        let networks: Vec<_> = group.networks.first().map(|network| (*network, 1.0)).into_iter().collect();
        let tested = simulate(&stage, &question, &networks, simulation.resolver, 0, 0);
        let trace = &tested.first()?.trace;
        let pools: Vec<String> = pools(trace).into_iter().map(|(pool, _)| pool.to_owned()).collect();
        let of_type = trace.answer.iter().filter(|record| record.rtype == trace.rtype);
        let answers: Vec<String> = of_type.map(|record| record.value.clone()).collect();
        let expect = match (pools.is_empty(), answers.is_empty()) {
            (_, true) => "nothing",
            (false, _) => "pools",
            (true, false) => "answers",
        };
        let (client, via) = match group.networks.first() {
            Some(network) => (network.to_string(), "subnet"),
            None => (simulation.resolver.to_string(), "resolver"),
        };
        let label = simulation.name.to_string();
        let label = label.split('.').next().unwrap_or_default();
        let taken = |id: &str| drafted.tests.keys().any(|known| known.as_str() == id);
        Some(Keep {
            id: free_id(&format!("{label}-{who}"), taken),
            name: String::new(),
            expect: expect.to_owned(),
            pools,
            answers,
            client,
            via,
            faults: Faults::default(),
        })
    }

    /// As it was typed, with what is wrong with it.
    pub fn typed(self, form: &Form, faults: Faults) -> Keep {
        let typed = |field: &str| form.text(field).to_owned();
        Keep { id: typed("id"), name: typed("title"), expect: typed("expect"), faults, ..self }
    }
}

/// `text` as an id that nothing has yet.
fn free_id(text: &str, taken: impl Fn(&str) -> bool) -> String {
    let slug = slug(text);
    let numbered = (2..).map(|n| format!("{}-{n}", slug.get(..MAX_ID - 5).unwrap_or(&slug)));
    std::iter::once(slug.clone()).chain(numbered).find(|id| !taken(id)).unwrap_or(slug)
}

/// Letters, digits and dashes of a text, as ids have them.
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => slug.push(c),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug.truncate(MAX_ID);
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "test".to_owned() } else { beside_pages(slug.to_owned()) }
}

pub async fn keep(visit: Visit, form: Form) -> Result<Response, Problem> {
    let ask = asked(&form);
    let id = form.text("id").to_owned();
    let value = value(&form, &ask);
    let edit = Edit { kind: Kind::Tests, id: id.clone(), value: Some(value) };
    let drafted = visit.web.control.drafted(&visit.user().id).unwrap_or_else(|_| visit.model());
    let refused = match drafted.tests.keys().any(|known| known.as_str() == id) {
        true => Err(Refusal::Invalid(vec![crate::model::FieldError::new(
            "id",
            format!("a test {id} exists already"),
            "choose another id",
        )])),
        false => visit.web.control.edit_draft(&visit.user().id, vec![edit]).await,
    };
    match refused {
        Ok(_) => {
            visit.say(text("The test {id} is in your draft. It runs before every publication.").set("id", &id));
            Ok(see(&link("/explain", &ask)))
        }
        Err(Refusal::Invalid(errors)) => {
            let faults = Faults::new(errors, &format!("tests/{id} "));
            super::answered(&visit, &form, Some((&form, faults)), StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(refusal) => Err(refusal.into()),
    }
}

fn value(form: &Form, ask: &Ask) -> Value {
    let rtype = if ask.rtype.is_empty() { "A" } else { &ask.rtype };
    let mut value = json!({
        "qname": absolute(&ask.name), "type": rtype, "client": form.text("test_client"), "via": form.text("test_via"),
        "down": ask.down, "name": form.text("title"),
    });
    let all = |field: &str| form.all(field).filter(|text| !text.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    match form.text("expect") {
        "nothing" => value["expect_nothing"] = json!(true),
        "answers" => value["expect_answers"] = json!(all("answer")),
        _ => value["expect"] = json!(all("pool")),
    }
    value
}

fn absolute(name: &str) -> String {
    if name.ends_with('.') { name.to_owned() } else { format!("{name}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_an_id() {
        for (text, id) in [
            ("www-South Korea", "www-south-korea"),
            ("*.cdn-203.0.113.0/24", "cdn-203-0-113-0-24"),
            ("대한민국", "test"),
            ("--a--", "a"),
        ] {
            assert_eq!(slug(text), id);
            assert!(id.parse::<crate::model::Id<crate::model::Test>>().is_ok());
        }
        assert!(slug(&"ab-".repeat(40)).len() <= MAX_ID);
    }

    #[test]
    fn an_id_that_is_taken_is_numbered() {
        assert_eq!(free_id("www", |id| id == "www" || id == "www-2"), "www-3");
        assert_eq!(free_id("www", |_| false), "www");
        assert!(free_id(&"a".repeat(80), |id| !id.ends_with("-2")).len() <= MAX_ID);
    }
}
