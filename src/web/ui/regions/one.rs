//! One region: whom it holds, who uses it, what it shares with others.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use axum::routing::get;

use super::asked::{Rates, chart};
use super::drawing::RegionMap;
use super::facts::{Shared, Use, shared, token_word, uses};
use super::nested::{Namers, nested_of};
use super::{MOST_NESTED, Sight, known, land};
use crate::control::series::Span;
use crate::control::token::Role;
use crate::model::{Model, Policy, Token, builtin};
use crate::web::Problem;
use crate::web::extract::{Path, Query};
use crate::web::ui::Page;
use crate::web::ui::chart::Chart;
use crate::web::ui::country;
use crate::web::ui::dock::Dock;
use crate::web::ui::filters;
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::sentence::{region_name, region_title};
use crate::web::ui::text::{Text, plain, text};
use crate::web::ui::visit::Visit;

/// Tokens of one kind that are listed; the rest is counted.
const MOST_TOKENS: usize = 300;

pub(super) fn pages() -> Vec<Page> {
    vec![Page::new("/regions/{id}", Role::Viewer, get(show))]
}

#[derive(Template)]
#[template(path = "ui/regions/one.html")]
struct One {
    frame: Frame,
    id: String,
    name: String,
    note: String,
    built_in: bool,
    changed: &'static str,
    drafted: bool,
    share: f64,
    countries: usize,
    /// Their names, where the region does not say them itself.
    country_names: Vec<String>,
    include: Vec<Tokens>,
    except: Vec<Tokens>,
    /// It holds AS numbers, and no database that is loaded knows any.
    asns_match_nobody: bool,
    uses: Vec<(String, String, String, &'static str)>,
    /// Regions that name it, with their titles.
    regions: Vec<(String, Text)>,
    names: usize,
    rate: f64,
    rate_with: Option<Text>,
    spans: Vec<(&'static str, &'static str, bool)>,
    chart: Option<Chart>,
    shared: Vec<Shared>,
    /// Networks that it shares with other regions, and whose rule decides.
    nested: Vec<Vec<Text>>,
    map: RegionMap,
    dock: Dock,
}

/// Tokens of one kind, in words.
struct Tokens {
    head: &'static str,
    words: Vec<String>,
    more: usize,
    /// Networks and numbers.
    is_code: bool,
    /// Parts of countries, whose names are not translated.
    is_english: bool,
}

#[derive(Debug, Default, serde::Deserialize)]
struct Asked {
    #[serde(default)]
    span: String,
}

async fn show(visit: Visit, Path(id): Path<String>, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let sight = Sight::of(&visit).await;
    let (id, region) = known(&sight, &id)?;
    let coverage = sight.coverage();
    let uses = uses(&sight.model).remove(&id).unwrap_or_default();
    let mut names: Vec<String> =
        coverage.countries(&id).into_iter().map(|code| country::name(code, visit.language)).collect();
    names.sort();
    let name = region_title(&id, region, visit.language);
    let head = plain(&name);
    let says_all = region.include.iter().all(|token| matches!(token, Token::Country(_))) && region.except.is_empty();
    let (span, slug) = match asked.span.as_str() {
        "hour" => (Span::Hour, "hour"),
        "week" => (Span::Week, "week"),
        _ => (Span::Day, "day"),
    };
    let spans = [("hour", "Last hour"), ("day", "Last day"), ("week", "Last week")];
    let rates = Rates::of(&visit);
    let namers = Namers::of(&sight.model);
    let page = One {
        rate: rates.rate(&id),
        rate_with: rates.with(&sight.model, &id),
        spans: spans.map(|(value, word)| (value, word, value == slug)).into(),
        chart: chart(&visit, &sight.model, &id, span),
        frame: visit.frame(Place::Regions, head).await.under(text("Regions"), "/regions"),
        name,
        note: region.meta.note.clone(),
        built_in: builtin::is_built_in(&id),
        changed: sight.changed(&id),
        drafted: !sight.changed(&id).is_empty(),
        share: coverage.share(&id),
        countries: names.len(),
        country_names: if says_all { Vec::new() } else { names },
        include: groups(&region.include, visit.language),
        except: groups(&region.except, visit.language),
        asns_match_nobody: region.include.iter().any(|token| matches!(token, Token::Asn(_)))
            && visit.web.control.snapshot().geo().databases().iter().all(|database| database.asn_percent == 0.0),
        uses: uses.rules.iter().map(|(policy, rule, how)| used(&sight.model, policy.as_str(), rule, *how)).collect(),
        regions: uses.regions.iter().map(|other| (other.to_string(), region_name(&sight.model, other))).collect(),
        names: uses.names,
        shared: shared(coverage, &sight.model, &id, sight.model.regions.keys()),
        nested: nested_of(&sight.model, &id).iter().take(MOST_NESTED).map(|one| namers.sentences(one)).collect(),
        map: RegionMap::new(vec![land(&sight, &id, region)]),
        dock: Dock::of(&visit, &visit.draft().await),
        id: id.to_string(),
    };
    Ok(visit.page(&page))
}

/// The policy with its first name, the rule, and how it names the region.
fn used(model: &Model, policy: &str, rule: &str, how: Use) -> (String, String, String, &'static str) {
    let known = policy.parse().ok().and_then(|id: crate::model::Id<Policy>| model.policies.get(&id));
    let name = known.and_then(|policy| policy.attach.first()).map(|attach| attach.name.to_string());
    let name = name.unwrap_or_default().trim_end_matches('.').to_owned();
    (policy.to_owned(), name, rule.to_owned(), how.word())
}

fn groups(tokens: &[Token], language: crate::web::ui::text::Language) -> Vec<Tokens> {
    let mut groups: BTreeMap<usize, Tokens> = BTreeMap::new();
    for token in tokens {
        let (order, head, is_code) = match token {
            Token::Continent(_) => (0, "Continents", false),
            Token::Country(_) => (1, "Countries", false),
            Token::Subdivision(_) => (2, "Parts of countries", false),
            Token::Region(_) => (3, "Regions", true),
            Token::Cidr(_) => (4, "Networks", true),
            Token::Asn(_) => (5, "AS numbers", true),
            Token::Unknown => (6, "Clients of unknown place", false),
        };
        let group = groups.entry(order).or_insert_with(|| Tokens {
            head,
            words: Vec::new(),
            more: 0,
            is_code,
            is_english: matches!(token, Token::Subdivision(_)),
        });
        if *token == Token::Unknown {
            continue;
        }
        match group.words.len() < MOST_TOKENS {
            true => group.words.push(token_word(token, language)),
            false => group.more += 1,
        }
    }
    groups.into_values().collect()
}
