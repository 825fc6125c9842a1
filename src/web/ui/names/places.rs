//! Countries, networks and AS numbers that somebody types where a rule asks for regions. Each is the region that
//! already holds it and nothing else, or becomes one in the same draft. Pure.

use serde_json::json;

use super::super::regions::lines::{Kind as Lines, read};
use crate::model::{Edit, FieldError, Id, Kind, MAX_ID, Model, Region, Token, builtin};

/// The field that holds them.
pub const FIELD: &str = "places";
/// Regions that one rule makes; more belong into one region of their own.
const MAX_PLACES: usize = 20;

/// The regions for what was typed, and those of them that are to be made.
#[derive(Debug, Default, PartialEq)]
pub struct Places {
    pub regions: Vec<String>,
    pub edits: Vec<Edit>,
}

impl Places {
    /// Every part that is no place is told.
    pub fn of(typed: &str, model: &Model) -> Result<Places, Vec<FieldError>> {
        let (tokens, faults) = read(typed, Lines::Any);
        let told = |fault: super::super::regions::lines::LineFault| FieldError::new(FIELD, fault.problem, fault.remedy);
        let mut wrong: Vec<FieldError> = faults.into_iter().map(told).collect();
        if tokens.len() > MAX_PLACES {
            let remedy = format!("type at most {MAX_PLACES}, or make one region of them under Regions");
            wrong.push(FieldError::new(FIELD, format!("names {} places", tokens.len()), remedy));
        }
        let mut places = Places::default();
        for token in &tokens {
            match token {
                Token::Region(id) if !model.regions.contains_key(id) => {
                    let problem = format!("there is no region {:?}", id.as_str());
                    wrong.push(FieldError::new(FIELD, problem, "choose one that is there"));
                }
                Token::Region(id) => places.add(id.to_string(), None),
                token => match model.regions.iter().find(|(_, region)| is_only(region, token)) {
                    Some((id, _)) => places.add(id.to_string(), None),
                    None => {
                        let id = new_id(token, model);
                        let value = json!({ "name": name(token), "include": [token] });
                        let edit = Edit { kind: Kind::Regions, id: id.clone(), value: Some(value) };
                        places.add(id, Some(edit));
                    }
                },
            }
        }
        if wrong.is_empty() { Ok(places) } else { Err(wrong) }
    }

    fn add(&mut self, id: String, edit: Option<Edit>) {
        self.regions.push(id);
        self.edits.extend(edit);
    }
}

fn is_only(region: &Region, token: &Token) -> bool {
    region.include == std::slice::from_ref(token) && region.except.is_empty()
}

/// As people read it in the sentence of the rule.
fn name(token: &Token) -> String {
    match token {
        Token::Country(code) => builtin::country(*code).map_or_else(|| code.to_string(), |info| info.name.clone()),
        Token::Subdivision(code) => {
            let known = builtin::subdivisions().iter().find(|info| info.code == *code);
            known.map_or_else(|| code.to_string(), |info| info.name.clone())
        }
        Token::Asn(number) => format!("AS{number}"),
        Token::Cidr(network) => network.to_string(),
        Token::Continent(_) | Token::Region(_) | Token::Unknown => token.to_string(),
    }
}

/// `country-kr`, `cidr-203-0-113-0-24`; with a number behind it where something else is called so.
fn new_id(token: &Token, model: &Model) -> String {
    let plain: String =
        token.to_string().to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let plain = plain.trim_end_matches('-').to_owned();
    let numbered = (2..).map(|n| format!("{plain}-{n}"));
    let is_free = |id: &String| {
        debug_assert!(id.len() <= MAX_ID, "the longest network has 43 characters");
        id.parse::<Id<Region>>().is_ok_and(|id| !model.regions.contains_key(&id))
    };
    std::iter::once(plain.clone()).chain(numbered).find(is_free).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::{document, snapshot};
    use crate::health::HealthTable;

    fn model() -> std::sync::Arc<Model> {
        let mut document = document();
        document["regions"] = json!({
            "korea": { "name": "Korea", "include": ["country:KR"] },
            "seoul": { "include": ["country:JP", "asn:4766"] },
            "asn-1": { "include": ["asn:2"] },
        });
        snapshot(&document, &HealthTable::default()).model().clone()
    }

    #[test]
    fn a_place_is_the_region_that_is_only_it_or_a_new_one() {
        let model = model();
        let of = |typed: &str| {
            let places = Places::of(typed, &model).unwrap();
            let new = places.edits.iter().map(|edit| format!("{} {}", edit.id, edit.value.as_ref().unwrap()));
            (places.regions.join(" "), new.collect::<Vec<_>>().join(" "))
        };
        let nothing = String::new();
        assert_eq!(of(""), (nothing.clone(), nothing.clone()));
        assert_eq!(of("KR, region:seoul, South Korea"), ("korea seoul".into(), nothing.clone()));
        assert_eq!(of("JP").1, r#"country-jp {"name":"Japan","include":["country:JP"]}"#);
        assert_eq!(of("AS1").0, "asn-1-2", "asn-1 is something else");
        assert_eq!(of("203.0.113.0/24, US-CA").0, "cidr-203-0-113-0-24 subdivision-us-ca");
        assert_eq!(of("2001:db8::/32").0, "cidr-2001-db8---32");
        assert!(model.check(&Places::of("JP, AS1, 203.0.113.0/24, ::/0", &model).unwrap().edits).is_ok());
    }

    #[test]
    fn everything_that_is_no_place_is_told() {
        let wrong = Places::of("Atlantis, 203.0.113.77/24, region:nowhere, KR", &model()).unwrap_err();
        let told: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "places: \"Atlantis\" is no country; use its name or its code of two letters, such as DE",
                "places: 203.0.113.77/24 has bits outside the prefix; did you mean 203.0.113.0/24?",
                "places: there is no region \"nowhere\"; choose one that is there",
            ]
        );
    }
}
