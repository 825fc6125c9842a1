//! Search: names, pools, endpoints, regions, zones, monitors, pages and actions by their words. A page that works by
//! itself; the palette of the page's script shows its results too.

use askama::Template;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::Page;
use super::filters;
use super::frame::{Frame, MENU, Place};
use super::sentence::region_title;
use super::state::{PoolStates, StateWord};
use super::text::{Language, Text, fact, plain, text};
use super::visit::Visit;
use crate::control::token::Role;
use crate::model::Model;
use crate::web::Problem;
use crate::web::extract::Query;

/// Of each kind; more words find less.
const MAX_HITS: usize = 8;
/// Of what is typed, in characters.
const MAX_QUERY: usize = 100;
/// Suggestions for what is mistyped, and how far from it they may be.
const MAX_NEAR: usize = 3;
const MAX_DISTANCE: usize = 3;

pub(super) fn pages() -> Vec<Page> {
    vec![Page::new("/search", Role::Viewer, get(show)), Page::new("/keys", Role::Viewer, get(keys))]
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    q: String,
}

/// Something to go to.
#[derive(Debug, Clone)]
struct Hit {
    title: Text,
    below: Text,
    href: String,
    icon: &'static str,
}

struct Group {
    head: &'static str,
    hits: Vec<Hit>,
}

#[derive(Template)]
#[template(path = "ui/search.html")]
struct Search {
    frame: Frame,
    q: String,
    groups: Vec<Group>,
    /// What was perhaps meant: a word, and the search for it.
    near: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "ui/keys.html")]
struct Keys {
    frame: Frame,
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let q: String = asked.q.trim().chars().take(MAX_QUERY).collect();
    let frame = visit.frame(Place::Elsewhere, text("Search")).await;
    let model = visit.model();
    let (groups, near) = if q.is_empty() {
        let states = PoolStates::of(&model, &visit.web.control.health());
        (at_first(&visit, &states), Vec::new())
    } else {
        let groups = find(&model, &q, visit.user().role, visit.language);
        let near = if groups.is_empty() { near(&model, &q) } else { Vec::new() };
        (groups, near)
    };
    let link = |word: String| {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("q", &word).finish();
        (word, format!("/search?{query}"))
    };
    let near = near.into_iter().map(link).collect();
    Ok(visit.page(&Search { frame, q, groups, near }))
}

async fn keys(visit: Visit) -> Result<Response, Problem> {
    let frame = visit.frame(Place::Elsewhere, text("Keys")).await;
    Ok(visit.page(&Keys { frame }))
}

/// Before anything is typed: what has a problem, and the pages.
fn at_first(visit: &Visit, states: &PoolStates) -> Vec<Group> {
    let troubled = states.iter().filter(|(_, shown)| matches!(shown.state, StateWord::Down | StateWord::Degraded));
    let troubled = troubled.take(MAX_HITS).map(|(id, shown)| Hit {
        title: text("{pool}: {state}").set("pool", id).say("state", text(shown.state.word())),
        below: fact("cause", &shown.reason),
        href: format!("/pools/{id}"),
        icon: shown.state.icon(),
    });
    let groups = [
        Group { head: "Problems", hits: troubled.collect() },
        Group { head: "Pages", hits: places(visit.user().role).collect() },
    ];
    groups.into_iter().filter(|group| !group.hits.is_empty()).collect()
}

fn places(role: Role) -> impl Iterator<Item = Hit> {
    let hit =
        |word: &'static str, href: &str, icon| Hit { title: text(word), below: text(""), href: href.into(), icon };
    let menu = MENU.iter().flat_map(|(_, entries)| entries.iter()).filter(move |entry| role >= entry.role);
    let menu = menu.map(move |entry| hit(entry.word, entry.path, entry.icon));
    let more = [
        (Role::Editor, "Review changes", "/draft", "pencil"),
        (Role::Viewer, "Monitors", "/monitors", "radar"),
        (Role::Viewer, "Versions", "/versions", "history"),
        (Role::Viewer, "Account", "/account", "circle-user"),
        (Role::Viewer, "Keys", "/keys", "terminal"),
        (Role::Editor, "Add a name", "/names/new", "plus"),
        (Role::Editor, "Add a pool", "/pools/new", "plus"),
    ];
    let more = more.into_iter().filter(move |(needs, ..)| role >= *needs);
    menu.chain(more.map(move |(_, word, href, icon)| hit(word, href, icon)))
}

/// All that has every word of `q`, the nearest first.
fn find(model: &Model, q: &str, role: Role, language: Language) -> Vec<Group> {
    let words: Vec<String> = q.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let mut groups = vec![
        group("Names", &words, names(model)),
        group("Pools", &words, model.pools.iter().map(|(id, pool)| entity("layers", "/pools", id, &pool.meta.name))),
        group("Endpoints", &words, endpoints(model)),
        group(
            "Regions",
            &words,
            model.regions.iter().map(|(id, region)| {
                let (said, hit) = entity("map", "/regions", id, &region_title(id, region, language));
                (format!("{said} {}", region.meta.name), hit)
            }),
        ),
        group("Zones", &words, zones(model)),
        group(
            "Monitors",
            &words,
            model.monitors.iter().map(|(id, one)| entity("radar", "/monitors", id, &one.meta.name)),
        ),
        group("Actions", &words, actions(model, role, language)),
        group("Pages", &words, places(role).map(|hit| (plain_words(&hit.title, language), hit))),
    ];
    groups.retain(|group| !group.hits.is_empty());
    groups
}

/// Ranks what `all` says under its words: what begins so stands before what only holds it.
fn group(head: &'static str, words: &[String], all: impl Iterator<Item = (String, Hit)>) -> Group {
    let mut hits: Vec<(usize, usize, Hit)> = all
        .filter_map(|(said, hit)| {
            let said = said.to_lowercase();
            let mut rank = 0;
            for word in words {
                rank += match said.find(word.as_str())? {
                    0 => 0,
                    at if !said.as_bytes()[at - 1].is_ascii_alphanumeric() => 1,
                    _ => 2,
                };
            }
            Some((rank, said.len(), hit))
        })
        .collect();
    hits.sort_by_key(|(rank, length, _)| (*rank, *length));
    Group { head, hits: hits.into_iter().take(MAX_HITS).map(|(_, _, hit)| hit).collect() }
}

/// Its words, and the way to it.
fn entity(icon: &'static str, path: &str, id: impl ToString, name: &str) -> (String, Hit) {
    let id = id.to_string();
    let hit = Hit { title: plain(&id), below: plain(name), href: format!("{path}/{id}"), icon };
    (format!("{id} {name}"), hit)
}

fn names(model: &Model) -> impl Iterator<Item = (String, Hit)> {
    let attached = model.policies.values().flat_map(|policy| policy.attach.iter().map(move |attach| (policy, attach)));
    attached.map(|(policy, attach)| {
        let name = attach.name.to_string();
        let shown = name.strip_suffix('.').unwrap_or(&name);
        entity("signpost", "/names", shown, &policy.meta.name)
    })
}

fn zones(model: &Model) -> impl Iterator<Item = (String, Hit)> {
    model.zones.iter().map(|(id, zone)| {
        let fqdn = zone.fqdn.to_string();
        let name = fqdn.strip_suffix('.').unwrap_or(&fqdn);
        let (said, hit) = entity("file-text", "/zones", id, name);
        (format!("{name} {said}"), hit)
    })
}

/// An endpoint's page stands under its pool; one without a pool has none.
fn endpoints(model: &Model) -> impl Iterator<Item = (String, Hit)> {
    let members =
        model.pools.iter().flat_map(|(pool, it)| it.members.iter().map(move |member| (pool, &member.endpoint)));
    members.map(|(pool, id)| {
        let endpoint = model.endpoints.get(id);
        let addresses = endpoint.map(|endpoint| {
            let all = [endpoint.ipv4.map(|ip| ip.to_string()), endpoint.ipv6.map(|ip| ip.to_string())];
            let name = endpoint.cname.as_ref().map(ToString::to_string);
            all.into_iter().flatten().chain(name).collect::<Vec<_>>().join(" ")
        });
        let (said, hit) = entity("server", &format!("/pools/{pool}/endpoints"), id, &addresses.unwrap_or_default());
        (said, Hit { title: text("{endpoint} in {pool}").set("endpoint", id).set("pool", pool), ..hit })
    })
}

fn actions(model: &Model, role: Role, language: Language) -> impl Iterator<Item = (String, Hit)> {
    let operates = role >= Role::Operator;
    let hit = move |title: Text, href: String, icon| {
        let said = plain_words(&title, language);
        (said, Hit { title, below: text(""), href, icon })
    };
    let pools = model.pools.keys().filter(move |_| operates).flat_map(move |id| {
        [
            hit(text("Drain {pool}").set("pool", id), format!("/pools/{id}/drain"), "circle-arrow-down"),
            hit(text("Turn {pool} off").set("pool", id), format!("/pools/{id}/off"), "ban"),
            hit(text("Put {pool} back on").set("pool", id), format!("/pools/{id}/on"), "circle-check"),
        ]
    });
    let names = model.policies.values().flat_map(|policy| &policy.attach).map(move |attach| {
        let name = attach.name.to_string();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("name", name).finish();
        hit(text("Explain an answer for {name}").set("name", name), format!("/explain?{query}"), "radar")
    });
    pools.chain(names)
}

/// A text without markup, to be searched.
fn plain_words(text: &Text, language: Language) -> String {
    text.to_html(language)
}

/// Ids that differ from `q` by few letters.
fn near(model: &Model, q: &str) -> Vec<String> {
    let q = q.to_lowercase();
    let most = MAX_DISTANCE.min(q.chars().count() / 2);
    let ids = model.pools.keys().map(ToString::to_string);
    let ids = ids.chain(model.endpoints.keys().map(ToString::to_string));
    let ids = ids.chain(model.regions.keys().map(ToString::to_string));
    let ids = ids.chain(model.zones.keys().map(ToString::to_string));
    let labels = names(model).filter_map(|(said, _)| said.split(['.', ' ']).next().map(str::to_owned));
    let mut near: Vec<(usize, String)> = ids
        .chain(labels)
        .filter(|id| id.len().abs_diff(q.len()) <= most)
        .map(|id| (crate::model::distance(&id, &q), id))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    near.sort();
    near.dedup();
    near.into_iter().take(MAX_NEAR).map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn model() -> Model {
        let rules = json!([{ "name": "Everyone else", "steps": [{ "pools": [{ "pool": "eu-west" }] }] }]);
        let document = json!({
            "zones": { "z": { "fqdn": "shop.test.", "ns": ["a.other.test.", "b.other.test."] } },
            "endpoints": { "eu-2": { "ipv4": "192.0.2.12" }, "us-1": { "ipv4": "192.0.2.21" } },
            "pools": { "eu-west": { "name": "Dublin", "members": [{ "endpoint": "eu-2" }] }, "west": { "members": [{ "endpoint": "us-1" }] } },
            "policies": { "app": { "attach": [{ "zone": "z", "name": "app.shop.test." }], "rules": rules } },
        });
        let empty = Model::empty();
        empty.check(&empty.edits_to(&document).unwrap()).unwrap().model
    }

    fn found(q: &str, role: Role) -> Vec<String> {
        let groups = find(&model(), q, role, Language::English);
        let hits = groups.into_iter().flat_map(|group| group.hits);
        hits.map(|hit| format!("{} {}", hit.title.to_html(Language::English), hit.href)).collect()
    }

    #[test]
    fn everything_is_found_by_id_name_and_address() {
        assert_eq!(found("dublin", Role::Viewer), ["eu-west /pools/eu-west"]);
        assert_eq!(found("192.0.2.12", Role::Viewer), ["eu-2 in eu-west /pools/eu-west/endpoints/eu-2"]);
        assert_eq!(found("app.shop", Role::Viewer)[0], "app.shop.test /names/app.shop.test");
        assert_eq!(found("west", Role::Viewer)[..2], ["west /pools/west", "eu-west /pools/eu-west"]);
    }

    #[test]
    fn actions_are_for_those_who_may() {
        assert_eq!(found("drain eu-west", Role::Operator), ["Drain eu-west /pools/eu-west/drain"]);
        assert!(found("drain eu-west", Role::Viewer).is_empty());
    }

    #[test]
    fn pages_are_found_by_those_who_may_open_them() {
        assert_eq!(found("audit", Role::Operator), ["Audit /audit"]);
        assert!(found("audit", Role::Viewer).is_empty());
    }

    #[test]
    fn what_is_mistyped_has_a_suggestion() {
        assert_eq!(near(&model(), "eu-wset"), ["eu-west"]);
        assert!(near(&model(), "x").is_empty());
    }
}
