//! What well-known places get for a name: beside an answer, and as a table for programs.

use std::collections::BTreeMap;

use axum::extract::RawQuery;
use axum::response::Response;
use serde::Serialize;

use super::shown::{Reader, addresses, in_short};
use super::{Ask, asked, link, reader};
use crate::answer::{ANY_RESOLVER, Question, RuleVerdict, simulate};
use crate::control::simulate::{At, World};
use crate::control::unix_ms;
use crate::geo::{Coarse, cities};
use crate::model::{Name, RecordType};
use crate::web::Problem;
use crate::web::ui::export;
use crate::web::ui::form::Form;
use crate::web::ui::text::Language;
use crate::web::ui::visit::Visit;

/// Addresses that are named of one group; the rest is counted.
const MOST_ADDRESSES: usize = 4;

/// What one place gets.
#[derive(Serialize)]
pub struct Place {
    city: String,
    country: String,
    /// What stands for it, where the geo data is coarser.
    stands_for: String,
    rule: String,
    /// A pool, pools with their shares, or a response code.
    answer: String,
    /// Of the pool that answers.
    addresses: Vec<String>,
    ttl: Option<u32>,
    #[serde(skip)]
    href: String,
}

/// Places that get the same.
pub struct PlaceGroup {
    pub answer: String,
    pub addresses: Vec<String>,
    pub more_addresses: usize,
    pub ttl: Option<u32>,
    pub rule: String,
    /// Name, what stands for it, and the link that explains it.
    pub places: Vec<(String, String, String)>,
}

/// Those together that get the same, the largest group first; nothing where the name is not steered.
pub fn groups(places: Vec<Place>) -> Vec<PlaceGroup> {
    let mut groups: BTreeMap<(String, String), PlaceGroup> = BTreeMap::new();
    for place in places {
        let group = groups.entry((place.answer.clone(), place.rule.clone())).or_insert_with(|| PlaceGroup {
            answer: place.answer,
            more_addresses: place.addresses.len().saturating_sub(MOST_ADDRESSES),
            addresses: place.addresses.into_iter().take(MOST_ADDRESSES).collect(),
            ttl: place.ttl,
            rule: place.rule,
            places: Vec::new(),
        });
        group.places.push((place.city, place.stands_for, place.href));
    }
    let mut groups: Vec<PlaceGroup> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.places.len()));
    groups
}

pub fn places(reader: &Reader, world: &World, ask: &Ask) -> Vec<Place> {
    let rtype = if ask.rtype.is_empty() { "A" } else { &ask.rtype };
    let (Ok(name), Ok(rtype)) = (ask.name.trim().parse::<Name>(), rtype.to_uppercase().parse::<RecordType>()) else {
        return Vec::new();
    };
    let question = Question { name: name.as_wire(), rtype };
    let mut places = Vec::new();
    for (city, clients) in cities().iter().zip(world.snapshot.geo().cities()) {
        let Some(largest) = clients.networks.first() else { continue };
        let asked = simulate(&world.snapshot, &question, &[*largest], ANY_RESOLVER, unix_ms(), 0);
        let Some(trace) = asked.into_iter().map(|group| group.trace).next() else { continue };
        let Some(steering) = &trace.steering else { return Vec::new() };
        let rule = steering.rules.iter().find(|rule| rule.verdict == RuleVerdict::Matches);
        places.push(Place {
            city: match reader.language {
                Language::English => city.name,
                Language::Korean => city.name_ko,
            }
            .to_owned(),
            country: city.country.to_string(),
            stands_for: match clients.coarse {
                Some(Coarse::NoCity) => reader.who(&clients.who, world.snapshot.model()),
                _ => String::new(),
            },
            rule: rule.map(|rule| rule.name.clone()).unwrap_or_default(),
            answer: in_short(&trace),
            addresses: addresses(&trace),
            ttl: steering.ttl,
            href: link("/explain", &Ask { client: city.name.to_owned(), ..ask.clone() }),
        });
    }
    places
}

pub async fn json(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    Ok(export::json("explain", exported(&visit, query).await?))
}

pub async fn csv(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let columns = ["city", "country", "stands_for", "rule", "answer", "addresses", "ttl"];
    let rows = exported(&visit, query).await?.into_iter().map(|place| {
        let ttl = place.ttl.map_or(String::new(), |ttl| ttl.to_string());
        vec![place.city, place.country, place.stands_for, place.rule, place.answer, place.addresses.join(" "), ttl]
    });
    export::csv("explain", &columns, rows)
}

/// What programs read is the same in every language.
async fn exported(visit: &Visit, query: Option<String>) -> Result<Vec<Place>, Problem> {
    let ask = asked(&Form::parse(query.unwrap_or_default().as_bytes())?);
    let at = ask.at.parse::<At>().map_err(Problem::not_found)?;
    let world = visit.web.control.world(at, &visit.user().id).await?;
    let down: Vec<_> = ask.down.iter().filter_map(|id| id.parse().ok()).collect();
    let reader = Reader { language: Language::English, ..reader(visit, &ask) };
    Ok(places(&reader, &world.with_down(&down), &ask))
}
