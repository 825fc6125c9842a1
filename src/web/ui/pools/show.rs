//! The endpoints of a pool: how each is, how its checks went, and who gets answers from it, now and after the
//! change that is drafted.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::super::beat::{self, Beat};
use super::super::filters::{self, Markup, percent_text};
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
use super::super::live::Fragment;
use super::super::state::{StateWord, endpoint_state, family_state, family_word};
use super::super::text::{Text, plain, text};
use super::super::visit::Visit;
use super::Scene;
use super::caches::Caches;
use super::chart::Chart;
use super::head::{self, Head, Tab};
use super::tabs::{self, Said};
use super::weights;
use crate::answer::{Share, shares};
use crate::control::outcomes::Seen;
use crate::health::Address;
use crate::model::{Endpoint, Id, Member, Model, Pool, Serve};
use crate::web::Problem;
use crate::web::extract::{Path, Query};

/// Changes of the pool that its page shows.
const MAX_CHANGES: usize = 4;

#[derive(Debug, Default, Deserialize)]
pub struct Asked {
    /// What the last switch was before, so that it can be taken back.
    #[serde(default)]
    undo: String,
}

/// One endpoint of the pool.
pub struct Row {
    pub id: String,
    pub addresses: Vec<String>,
    pub state: StateWord,
    /// State of each family, where there are several.
    pub families: Vec<(&'static str, StateWord)>,
    pub note: Option<Text>,
    pub beat: Beat,
    pub results: Vec<Checked>,
    /// As it was typed, or as it is drafted.
    pub weight: String,
    /// The live weight, where the draft has another.
    pub was: Option<u16>,
    pub now: f64,
    pub after: f64,
    pub is_new: bool,
    pub is_removed: bool,
}

/// The newest outcome of one check.
pub struct Checked {
    pub passed: bool,
    pub who: String,
    pub text: String,
}

#[derive(Template)]
#[template(path = "ui/pools/show.html")]
struct Show {
    frame: Frame,
    head: Head,
    share: Text,
    part: Part,
    /// Rendered by the same templates as the stream's fragments.
    part_html: Markup,
    caches_html: Markup,
    /// What is wrong elsewhere than in the weights.
    beside: Vec<String>,
    dock: Option<Text>,
    /// The draft leaves nobody to answer.
    emptied: bool,
    check: Vec<Text>,
    decides: Vec<Text>,
    chart: Chart,
    changes: Vec<tabs::Change>,
}

/// The part that moves.
#[derive(Template)]
#[template(path = "ui/pools/endpoints.html")]
struct Part {
    pool: String,
    rows: Vec<Row>,
    faults: Faults,
    may_edit: bool,
    any_change: bool,
    every: Option<u32>,
}

#[derive(Template)]
#[template(path = "ui/pools/caches.html")]
struct CachesPart<'c> {
    pool: &'c str,
    form_token: &'c str,
    caches: Option<&'c Caches>,
}

pub async fn show(visit: Visit, Path(id): Path<String>, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    // While somebody types, the script asks for the page as it would be with these weights.
    let query = Form::parse(visit.here.split_once('?').map_or("", |(_, query)| query).as_bytes())?;
    let is_typed = query.0.iter().any(|(field, _)| field.starts_with("weight-"));
    let typed = if is_typed { weights::typed(&scene.pool, &query) } else { BTreeMap::new() };
    page(&visit, &scene, Faults::default(), &typed, undo(&asked.undo)).await
}

fn undo(word: &str) -> Option<&'static str> {
    ["on", "drain", "off"].into_iter().find(|known| *known == word)
}

/// The page, or the page again with what was typed and what is wrong with it.
pub async fn page(
    visit: &Visit,
    scene: &Scene,
    faults: Faults,
    typed: &BTreeMap<String, String>,
    undo: Option<&'static str>,
) -> Result<Response, Problem> {
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let frame = visit.frame(Place::Pools, plain(&scene.id)).await.under(text("Pools"), "/pools");
    let frame = frame.live(format!("pool:{}/{}", scene.id, undo.unwrap_or_default()));
    let head = Head::of(visit, scene, Tab::Endpoints, undo);
    let part = part(visit, scene, faults.clone(), typed);
    let Said { check, decides } = tabs::said(visit, scene);
    let caches = CachesPart { pool: &head.id, form_token: &frame.form_token, caches: head.caches.as_ref() };
    let fields: Vec<String> = part.rows.iter().map(|row| format!("weight-{}", row.id)).collect();
    let show = Show {
        share: share_words(visit, scene).await,
        part_html: Markup(visit.render(&part)?),
        caches_html: Markup(visit.render(&caches)?),
        beside: faults.beside(&fields.iter().map(String::as_str).collect::<Vec<_>>()),
        dock: dock(scene, &part.rows),
        emptied: part.rows.iter().all(|row| row.after == 0.0) && part.rows.iter().any(|row| row.now > 0.0),
        chart: Chart::of(visit, scene),
        changes: tabs::changes(visit, scene, MAX_CHANGES).await?,
        frame,
        head,
        part,
        check,
        decides,
    };
    Ok(visit.page_with(status, &show))
}

/// How much of the clients of its names the pool gets, beside how much it would get if nothing were down.
async fn share_words(visit: &Visit, scene: &Scene) -> Text {
    match visit.web.control.pool_shares().await.get(&scene.id) {
        None => text(""),
        Some(&(now, planned)) => text("Share of the clients of its names: {now} now, {planned} planned.")
            .set("now", percent_text(now))
            .set("planned", percent_text(planned)),
    }
}

/// `about` is the pool, and after a slash what its last switch was before.
pub async fn live(visit: &Visit, about: &str) -> Vec<Fragment> {
    let (id, before) = about.split_once('/').unwrap_or((about, ""));
    let Ok(scene) = Scene::of(visit, id).await else { return Vec::new() };
    let head = Head::of(visit, &scene, Tab::Endpoints, undo(before));
    let mut fragments = head_fragments(visit, &head);
    if let Ok(changes) = tabs::changes(visit, &scene, MAX_CHANGES).await {
        let changes = visit.render(&ChangesPart { head: &head, changes: &changes });
        fragments.extend(changes.map(|html| Fragment::new("pool-changes", html)));
    }
    let share = share_words(visit, &scene).await.to_html(visit.language);
    fragments.push(Fragment::new("pool-share", format!("<span id=\"pool-share\">{share}</span>")));
    let part = part(visit, &scene, Faults::default(), &BTreeMap::new());
    for row in &part.rows {
        let html = visit.render(&RowShare { row, any_change: part.any_change });
        fragments.extend(html.map(|html| Fragment::new(format!("share-{}", row.id), html)));
        let html = visit.render(&RowBeat { row });
        fragments.extend(html.map(|html| Fragment::new(format!("beat-{}", row.id), html)));
        let html = visit.render(&RowState { row });
        fragments.extend(html.map(|html| Fragment::new(format!("state-{}", row.id), html)));
    }
    let caches = CachesPart { pool: &head.id, form_token: &visit.session.form_token, caches: head.caches.as_ref() };
    fragments.extend(visit.render(&caches).map(|html| Fragment::new("caches", html)));
    fragments
}

/// What stands above every tab.
pub fn head_fragments(visit: &Visit, head: &Head) -> Vec<Fragment> {
    let sentence = format!("<span id=\"pool-state\">{}</span>", head.sentence.to_html(visit.language));
    let parts = [
        ("pool-state", Ok(sentence)),
        ("pool-banner", visit.render(&BannerPart { head })),
        ("pool-switches", visit.render(&SwitchesPart { head })),
    ];
    parts.into_iter().filter_map(|(id, html)| Some(Fragment::new(id, html.ok()?))).collect()
}

#[derive(Template)]
#[template(path = "ui/pools/banner.html")]
struct BannerPart<'h> {
    head: &'h Head,
}

/// Only those who operate have it on their page.
#[derive(Template)]
#[template(path = "ui/pools/switches.html")]
struct SwitchesPart<'h> {
    head: &'h Head,
}

#[derive(Template)]
#[template(path = "ui/pools/changes.html")]
struct ChangesPart<'c> {
    head: &'c Head,
    changes: &'c [tabs::Change],
}

#[derive(Template)]
#[template(path = "ui/pools/row_beat.html")]
struct RowBeat<'r> {
    row: &'r Row,
}

#[derive(Template)]
#[template(path = "ui/pools/row_share.html")]
struct RowShare<'r> {
    row: &'r Row,
    any_change: bool,
}

#[derive(Template)]
#[template(path = "ui/pools/row_state.html")]
struct RowState<'r> {
    row: &'r Row,
}

fn part(visit: &Visit, scene: &Scene, faults: Faults, typed: &BTreeMap<String, String>) -> Part {
    let rows = rows(visit, scene, typed);
    let own = scene.pool.members.iter().filter_map(|member| scene.drafted.endpoints.get(&member.endpoint));
    let uses = own.flat_map(|endpoint| &endpoint.monitors).chain(&scene.pool.monitors);
    let monitors = uses.filter_map(|used| scene.drafted.monitors.get(&used.monitor));
    Part {
        pool: scene.id.to_string(),
        may_edit: visit.may(crate::control::token::Role::Editor),
        any_change: rows.iter().any(|row| row.was.is_some() || row.is_new || row.is_removed || row.now != row.after),
        every: monitors.map(|monitor| monitor.interval).min(),
        rows,
        faults,
    }
}

pub fn rows(visit: &Visit, scene: &Scene, typed: &BTreeMap<String, String>) -> Vec<Row> {
    let live = scene.live_pool();
    let pass = head::pass(&visit.web.control.snapshot(), &scene.health, scene);
    let now = live.map(|pool| shares(&scene.live, &scene.health, &scene.id, pool, pass)).unwrap_or_default();
    let after = match scene.drafted.pools.get(&scene.id) {
        Some(pool) => {
            let pool = Arc::new(weights::with_typed(pool, typed));
            shares(&scene.drafted, &scene.health, &scene.id, &pool, pass)
        }
        None => Vec::new(),
    };
    let of_live = |id: &Id<Endpoint>| live.and_then(|pool| pool.members.iter().find(|member| member.endpoint == *id));
    let gone = live
        .into_iter()
        .flat_map(|pool| &pool.members)
        .filter(|member| !scene.pool.members.iter().any(|known| known.endpoint == member.endpoint));
    let row = |member: &Member, is_removed: bool| {
        let before = of_live(&member.endpoint);
        let model = if is_removed { &scene.live } else { &scene.drafted };
        let mut row = row(visit, scene, model, member);
        row.was = before.map(|known| known.weight).filter(|weight| *weight != member.weight);
        row.is_new = before.is_none();
        let is_checked = is_checked(&scene.drafted, &scene.pool, &member.endpoint);
        if row.is_new && row.state == StateWord::Up && !scene.live.endpoints.contains_key(&member.endpoint) {
            (row.state, row.note) = match is_checked {
                true => (StateWord::NoData, Some(text("first check once this is applied"))),
                false => (StateWord::Unchecked, Some(text("counts as up, always"))),
            };
        } else if !is_checked && row.state == StateWord::Up && row.note.is_none() {
            row.note = Some(text("not checked"));
        }
        row.is_removed = is_removed;
        row.now = share_of(&now, &member.endpoint);
        row.after = share_of(&after, &member.endpoint);
        if let Some(weight) = typed.get(member.endpoint.as_str()) {
            row.weight = weight.clone();
        }
        if row.was.is_some() && member.weight == 0 {
            row.state = StateWord::Drained;
            row.note = Some(text("with your draft"));
        }
        row
    };
    scene.pool.members.iter().map(|member| row(member, false)).chain(gone.map(|member| row(member, true))).collect()
}

/// True where something decides whether it is up.
fn is_checked(model: &Model, pool: &Pool, id: &Id<Endpoint>) -> bool {
    let own = model.endpoints.get(id).map(|endpoint| (endpoint.serve == Serve::Auto, endpoint.monitors.is_empty()));
    own.is_some_and(|(is_auto, has_none)| is_auto && !(has_none && pool.monitors.is_empty()))
}

/// The share of its first family that has one; families of an endpoint are mostly alike.
pub fn share_of(shares: &[Share], endpoint: &Id<Endpoint>) -> f64 {
    shares.iter().filter(|share| share.endpoint == *endpoint).map(|share| share.share).fold(0.0, f64::max)
}

fn row(visit: &Visit, scene: &Scene, model: &Model, member: &Member) -> Row {
    let id = &member.endpoint;
    let outcomes = &visit.web.control.shared().outcomes;
    let known = scene.health.endpoints.get(id);
    let mut state = endpoint_state(&scene.live, &scene.health, id);
    let mut note = None;
    let forced = known.and_then(|known| known.families.values().find_map(|family| family.forced));
    if forced.is_some() {
        note = Some(text("held by hand"));
    } else if state == StateWord::Down {
        note = super::down_since(visit, scene, id);
    }
    if !member.enabled {
        (state, note) = (StateWord::Off, Some(text("left out of this pool")));
    } else if member.weight == 0 && state == StateWord::Up {
        state = StateWord::Drained;
    }
    let families = known.map(|known| &known.families).filter(|families| families.len() > 1);
    let families = families.into_iter().flatten().map(|(family, health)| (family_word(*family), family_state(health)));
    Row {
        id: id.to_string(),
        addresses: model.endpoints.get(id).map(|endpoint| addresses(endpoint)).unwrap_or_default(),
        state,
        families: families.collect(),
        note,
        beat: beat::of_endpoint(outcomes, model, &scene.pool, id),
        results: results(visit, id),
        weight: member.weight.to_string(),
        was: None,
        now: 0.0,
        after: 0.0,
        is_new: false,
        is_removed: false,
    }
}

pub fn addresses(endpoint: &Endpoint) -> Vec<String> {
    use crate::health::Family::{Ipv4, Ipv6, Name};
    [Ipv4, Ipv6, Name].into_iter().filter_map(|family| Address::of(endpoint, family)).map(|a| a.to_string()).collect()
}

/// The newest outcome of every check from this node.
fn results(visit: &Visit, id: &Id<Endpoint>) -> Vec<Checked> {
    let node = visit.web.metrics.node();
    let found = visit.web.control.shared().outcomes.of(id, |rings| {
        let newest =
            rings.iter().filter_map(|(monitor, family, ring)| Some((monitor.clone(), *family, ring.newest().next()?)));
        newest.collect::<Vec<_>>()
    });
    let several = found.len() > 1;
    let checked = |(monitor, family, seen): (Id<_>, crate::health::Family, Seen)| Checked {
        passed: seen.passed,
        who: if several { format!("{} {monitor}", family_word(family)) } else { node.to_owned() },
        text: result_text(&seen),
    };
    found.into_iter().map(checked).collect()
}

/// `12 ms`, or the short reason.
pub fn result_text(seen: &Seen) -> String {
    match (seen.passed, seen.latency.total_ms) {
        (true, Some(ms)) if ms < 10.0 => format!("{ms:.1} ms"),
        (true, Some(ms)) => format!("{ms:.0} ms"),
        (true, None) => String::new(),
        (false, _) => seen.reason.chars().take(48).collect(),
    }
}

/// What the draft does to this pool, in sentences.
fn dock(scene: &Scene, rows: &[Row]) -> Option<Text> {
    let live = scene.live_pool()?;
    let drafted = scene.drafted.pools.get(&scene.id);
    let endpoints_differ = || {
        rows.iter().any(|row| {
            let id = row.id.parse::<Id<Endpoint>>();
            id.is_ok_and(|id| scene.live.endpoints.get(&id) != scene.drafted.endpoints.get(&id))
        })
    };
    if drafted == Some(live) && !endpoints_differ() {
        return None;
    }
    let ttl = super::policies(&scene.live, super::uses(&scene.live).get(&scene.id).map_or(&[][..], Vec::as_slice))
        .iter()
        .map(|(_, policy)| policy.ttl)
        .max()
        .unwrap_or_default();
    let mut moves = String::new();
    for row in rows.iter().filter(|row| (row.now - row.after).abs() > 0.0005).take(8) {
        moves.push_str(&format!(" {} {} → {}.", row.id, percent_text(row.now), percent_text(row.after)));
    }
    let changed = rows.iter().find_map(|row| row.was.map(|was| (row, was)));
    let text = match changed {
        Some((row, was)) if row.weight == "0" => {
            text("<strong>Drain {endpoint} (weight {was} to 0).</strong> New answers stop at once; caches keep {endpoint} for up to {ttl} s, the TTL.{moves}")
                .set("endpoint", &row.id)
                .set("was", was)
        }
        Some((row, was)) => text("<strong>Weight of {endpoint} from {was} to {weight}.</strong> Caches keep the old answers for up to {ttl} s, the TTL.{moves}")
            .set("endpoint", &row.id)
            .set("was", was)
            .set("weight", &row.weight),
        None => text("<strong>This pool is changed in your draft.</strong>{moves}"),
    };
    Some(text.set("ttl", ttl).set("moves", moves))
}
