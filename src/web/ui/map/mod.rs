//! Where the clients of one name are sent: a map of countries by planned pool, hatched where they get another
//! one now, and the same as a list, which is the source of truth. The engine that answers is asked with one
//! address of each country; nothing here decides.

pub mod world;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::filters::{Draw, percent_text};
use super::state::{PoolShown, PoolStates, StateWord};
use super::text::{Language, Text, escaped, plain, text};
use crate::answer::{Snapshot, outlook};
use crate::geo::{Base, Sample, atlas};
use crate::health::{HealthTable, PoolHealth, PoolState};
use crate::model::{Admin, Country, Id, Model, Point, Policy, Pool};

use world::{HEIGHT, Shape, WIDTH};

/// Maps that are kept ready, each of one name.
const KEPT: usize = 16;
/// Pins with words; more cover each other.
const MAX_LABELS: usize = 12;
/// Pools that are named of a split.
const MAX_NAMED: usize = 3;
/// How wide a letter of a label is, and how high a label, in map units.
const LETTER: f64 = 10.2;
const LABEL: f64 = 20.0;
/// The radius of a small country.
const DOT: f64 = 2.2;

/// Pools that answer, the one with the largest share first, with their shares in thousandths; none without an answer.
pub type Mix = Vec<(Id<Pool>, u32)>;

/// Where the clients of one policy are sent.
#[derive(Debug, PartialEq)]
pub struct Lands(Vec<Land>);

/// Clients of one country.
#[derive(Debug, Clone, PartialEq)]
pub struct Land {
    /// `None` for clients that the geo database does not know.
    pub country: Option<Country>,
    /// When everything is well.
    pub planned: Mix,
    pub now: Mix,
    /// Of all known IPv4 addresses, 0 to 1.
    pub share: f64,
}

/// What is kept from page to page.
#[derive(Default)]
pub struct Maps(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    samples: Option<(Weak<Base>, Arc<Vec<Sample>>)>,
    lands: VecDeque<(Weak<Snapshot>, Id<Policy>, Arc<Lands>)>,
}

impl Maps {
    pub fn lands(&self, snapshot: &Arc<Snapshot>, policy: &Id<Policy>) -> Arc<Lands> {
        let this = Arc::downgrade(snapshot);
        let known = |(of, id, _): &&(Weak<Snapshot>, Id<Policy>, Arc<Lands>)| of.ptr_eq(&this) && id == policy;
        if let Some((_, _, lands)) = self.0.lock().lands.iter().find(known) {
            return lands.clone();
        }
        let lands = Arc::new(Lands::of(snapshot, policy, &self.samples(snapshot.geo())));
        let mut kept = self.0.lock();
        kept.lands.retain(|(of, _, _)| of.ptr_eq(&this));
        if kept.lands.len() >= KEPT {
            kept.lands.pop_front();
        }
        kept.lands.push_back((this, policy.clone(), lands.clone()));
        lands
    }

    /// An address of each country, found once for each geo database.
    fn samples(&self, geo: &Arc<Base>) -> Arc<Vec<Sample>> {
        let this = Arc::downgrade(geo);
        if let Some((of, samples)) = &self.0.lock().samples
            && of.ptr_eq(&this)
        {
            return samples.clone();
        }
        let samples = Arc::new(geo.samples(1));
        self.0.lock().samples = Some((this, samples.clone()));
        samples
    }
}

impl Lands {
    fn of(snapshot: &Snapshot, policy: &Id<Policy>, samples: &[Sample]) -> Lands {
        let well = snapshot.with_health(&as_configured(snapshot.model()));
        let mix = |snapshot: &Snapshot, sample: &Sample| -> Mix {
            let outlook = sample.addresses.first().and_then(|address| outlook(snapshot, policy, (*address).into()));
            let pools = outlook.into_iter().flat_map(|outlook| outlook.pools);
            // Between 0 and 1000: the share of a pool is a part of 1.
            let mut mix: Mix = pools.map(|(pool, share)| (pool, (share * 1000.0).round() as u32)).collect();
            mix.sort_by(|(one, a), (other, b)| b.cmp(a).then_with(|| one.cmp(other)));
            mix
        };
        let land = |sample: &Sample| Land {
            country: sample.country,
            planned: mix(&well, sample),
            now: mix(snapshot, sample),
            share: sample.share,
        };
        Lands(samples.iter().map(land).collect())
    }

    pub fn each(&self) -> &[Land] {
        &self.0
    }

    /// Countries that share their pools, the largest part of clients first.
    fn groups(&self) -> Vec<Group> {
        let mut groups: BTreeMap<(&Mix, &Mix), Group> = BTreeMap::new();
        for Land { country, planned, now, share } in &self.0 {
            let empty = || Group { planned: planned.clone(), now: now.clone(), ..Group::default() };
            let group = groups.entry((planned, now)).or_insert_with(empty);
            group.share += share;
            group.countries.extend(country);
            group.unknown |= country.is_none();
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by(|a, b| b.share.total_cmp(&a.share));
        groups
    }
}

/// Everything healthy, and switched as the configuration has it.
fn as_configured(model: &Model) -> HealthTable {
    let switched = model.pools.iter().filter_map(|(id, pool)| {
        let state = match pool.admin {
            Admin::Off => PoolState::Off,
            Admin::Drain => PoolState::Drain,
            Admin::On => return None,
        };
        Some((id.clone(), Arc::new(PoolHealth { state, ..PoolHealth::default() })))
    });
    HealthTable { pools: switched.collect(), ..HealthTable::default() }
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Group {
    planned: Mix,
    now: Mix,
    countries: Vec<Country>,
    /// Clients that the database does not know are among it.
    unknown: bool,
    share: f64,
}

impl Group {
    fn is_planned(&self) -> bool {
        self.planned == self.now
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Borders {
    Shown,
    Hidden,
}

/// The map of one name, ready to be drawn.
pub struct WorldMap {
    name: String,
    borders: Borders,
    groups: Vec<Group>,
    pins: Vec<Pin>,
    /// Of the planned pools: the colour that each has on every page, and the shade that tells those of one colour apart.
    colours: BTreeMap<Id<Pool>, (usize, &'static str)>,
}

struct Pin {
    pool: Id<Pool>,
    shown: PoolShown,
    at: (f64, f64),
    /// Of the clients of the map, now.
    share: f64,
}

impl WorldMap {
    /// `name` is what the policy answers.
    pub fn new(model: &Model, states: &PoolStates, name: String, lands: &Lands, borders: Borders) -> WorldMap {
        let groups = lands.groups();
        let mut shares: BTreeMap<&Id<Pool>, f64> = BTreeMap::new();
        for group in &groups {
            group.planned.iter().for_each(|(pool, _)| *shares.entry(pool).or_default() += 0.0);
            let part = |share: &u32| group.share * f64::from(*share) / 1000.0;
            group.now.iter().for_each(|(pool, share)| *shares.entry(pool).or_default() += part(share));
        }
        let mut pins: Vec<Pin> = Vec::new();
        for (id, share) in shares {
            let (Some(pool), Some(shown)) = (model.pools.get(id), states.get(id)) else { continue };
            let Some(point) = point(model, pool) else { continue };
            let (x, mut y) = world::project(point);
            // Pools of one city stand below each other.
            while pins.iter().any(|pin| (pin.at.0 - x).abs() < 20.0 && (pin.at.1 - y).abs() < 20.0) && y < HEIGHT - 30.0
            {
                y += 22.0;
            }
            pins.push(Pin { pool: id.clone(), shown: shown.clone(), at: (x, y.clamp(12.0, HEIGHT - 12.0)), share });
        }
        let mut planned: Vec<&Id<Pool>> = groups.iter().filter_map(|group| Some(&group.planned.first()?.0)).collect();
        planned.sort();
        planned.dedup();
        let mut colours: BTreeMap<Id<Pool>, (usize, &str)> = BTreeMap::new();
        for pool in planned {
            let colour = states.get(pool).map_or(1, |shown| shown.colour);
            let shade = if colours.values().any(|(used, _)| *used == colour) { " dash" } else { "" };
            colours.insert(pool.clone(), (colour, shade));
        }
        WorldMap { name, borders, groups, pins, colours }
    }

    /// Of the pool with the largest share.
    fn colour(&self, mix: &Mix) -> (usize, &'static str) {
        mix.first().and_then(|(pool, _)| self.colours.get(pool)).copied().unwrap_or((0, ""))
    }

    fn drawing(&self, language: Language) -> String {
        let title = text("Where clients of {name} are sent right now").set("name", &self.name).to_html(language);
        let mut out = format!(
            "<svg class=\"map{}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"mt md\"><title id=\"mt\">{title}</title><desc id=\"md\">",
            if self.borders == Borders::Hidden { " noborders" } else { "" }
        );
        let said: Vec<String> = self.groups.iter().map(|group| self.group_text(group, language)).collect();
        let _ = write!(out, "{}</desc><defs>", said.join("; "));
        for colour in 0..=super::state::COLOURS {
            let _ = write!(
                out,
                "<pattern id=\"fo{colour}\" width=\"9\" height=\"9\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><line class=\"hatch h{colour}\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"9\"/></pattern>"
            );
        }
        out.push_str("</defs>");
        self.countries(&mut out);
        self.routes(&mut out);
        self.pins.iter().for_each(|pin| pin_html(pin, &mut out));
        self.labels(&mut out, language);
        out + "</svg>"
    }

    fn countries(&self, out: &mut String) {
        let group_of: BTreeMap<Country, usize> = self
            .groups
            .iter()
            .enumerate()
            .flat_map(|(at, group)| group.countries.iter().map(move |code| (*code, at)))
            .collect();
        let mut paths = vec![String::new(); self.groups.len() + 1];
        for (code, shape) in world::shapes() {
            let at = code.and_then(|code| group_of.get(&code).copied()).unwrap_or(self.groups.len());
            match shape {
                Shape::Outline(path) => paths[at].push_str(path),
                Shape::Dot(x, y) => {
                    let width = 2.0 * DOT;
                    let _ = write!(
                        paths[at],
                        "M{:.1} {y}a{DOT} {DOT} 0 1 1 {width} 0a{DOT} {DOT} 0 1 1-{width} 0z",
                        x - DOT
                    );
                }
            }
        }
        for (at, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
            let group = self.groups.get(at);
            let (colour, shade) = group.map_or((0, ""), |group| self.colour(&group.planned));
            let _ = write!(out, "<path id=\"land{at}\" class=\"m{colour}{shade}\" d=\"{path}\"/>");
            if group.is_some_and(|group| !group.is_planned()) {
                let _ = write!(out, "<use href=\"#land{at}\" class=\"over\" fill=\"url(#fo{colour})\"/>");
            }
        }
    }

    /// From a pool that does not answer its clients to the one that does.
    fn routes(&self, out: &mut String) {
        let at = |mix: &Mix| {
            let (pool, _) = mix.first()?;
            self.pins.iter().find(|pin| pin.pool == *pool).map(|pin| pin.at)
        };
        let moved =
            |group: &&Group| group.planned.first().map(|(pool, _)| pool) != group.now.first().map(|(pool, _)| pool);
        for group in self.groups.iter().filter(moved) {
            let (Some((x1, y1)), Some((x2, y2))) = (at(&group.planned), at(&group.now)) else { continue };
            let (x, y) = ((x1 + x2) / 2.0, (y1.min(y2) - (x1 - x2).abs() / 6.0).max(4.0));
            let _ = write!(out, "<path class=\"route\" d=\"M{x1:.1} {y1:.1}Q{x:.1} {y:.1} {x2:.1} {y2:.1}\"/>");
        }
    }

    fn labels(&self, out: &mut String, language: Language) {
        let mut taken: Vec<[f64; 4]> =
            self.pins.iter().map(|pin| [pin.at.0 - 10.0, pin.at.1 - 10.0, pin.at.0 + 10.0, pin.at.1 + 10.0]).collect();
        for pin in self.pins.iter().take(MAX_LABELS) {
            let share = percent_text(pin.share);
            let below = match pin.shown.state {
                StateWord::Up => share,
                state => format!("{share}, {}", text(state.word()).to_html(language).to_lowercase()),
            };
            let width = LETTER * pin.pool.as_str().chars().count().max(below.chars().count()) as f64;
            let (x, y) = pin.at;
            let places = [
                (x + 14.0, y - 2.0, "start", x + 14.0),
                (x - 14.0, y - 2.0, "end", x - 14.0 - width),
                (x, y + 26.0, "middle", x - width / 2.0),
                (x, y - 34.0, "middle", x - width / 2.0),
            ];
            let frame = |left: f64, y: f64| [left, y - LABEL, left + width, y + LABEL + 4.0];
            let free = |place: &&(f64, f64, &str, f64)| {
                let [left, top, right, bottom] = frame(place.3, place.1);
                left >= 0.0
                    && right <= WIDTH
                    && top >= 0.0
                    && bottom <= HEIGHT
                    && taken.iter().all(|[l, t, r, b]| right < *l || left > *r || bottom < *t || top > *b)
            };
            // Without a free place the list below the map says it.
            let Some(&(x, y, anchor, left)) = places.iter().find(free) else { continue };
            taken.push(frame(left, y));
            let (name, next) = (escaped(pin.pool.as_str()).into_owned(), y + LABEL);
            let _ = write!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{name}</text><text class=\"s\" x=\"{x:.1}\" y=\"{next:.1}\" text-anchor=\"{anchor}\">{below}</text>"
            );
        }
    }

    /// `us-east: 43 countries`, or `ap-northeast, now us-west: 12 countries`.
    fn group_text(&self, group: &Group, language: Language) -> String {
        let who = match (group.countries.len(), group.unknown) {
            (0, true) => text("clients of unknown place"),
            (1, false) => plain(country_name(group.countries[0], language)),
            (1, true) => text("1 country, and clients of unknown place"),
            (n, false) => text("{n} countries").set("n", n),
            (n, true) => text("{n} countries, and clients of unknown place").set("n", n),
        };
        let said = match (group.is_planned(), group.now.is_empty()) {
            (true, _) => text("{pool}: {who}"),
            (false, false) => text("{pool}, now {now}: {who}"),
            (false, true) => text("{pool}, now without an answer: {who}"),
        };
        said.say("pool", mix_text(&group.planned)).say("now", mix_text(&group.now)).say("who", who).to_html(language)
    }

    fn legend(&self, out: &mut String, language: Language) {
        out.push_str("<ul class=\"legend\">");
        for group in &self.groups {
            let (colour, shade) = self.colour(&group.planned);
            let over = if group.is_planned() { "" } else { " over" };
            let said = self.group_text(group, language);
            let _ = write!(out, "<li><span class=\"key k{colour}{shade}{over}\"></span><span>{said}</span></li>");
        }
        out.push_str("</ul>");
    }

    fn list(&self, out: &mut String, language: Language) {
        let say = |english| text(english).to_html(language);
        let _ = write!(
            out,
            "<details class=\"astable\" id=\"map-d\"><summary>{}</summary><div class=\"scroll\"><table><caption class=\"sr\">{}</caption><thead><tr><th>{}</th><th>{}</th><th>{}</th><th class=\"num\">{}</th></tr></thead><tbody>",
            say("Show as table"),
            say("Countries by pool"),
            say("Planned"),
            say("Now"),
            say("Countries"),
            say("Addresses")
        );
        for group in &self.groups {
            let link = |id: &Id<Pool>| format!("<a class=\"name\" href=\"/pools/{id}\">{id}</a>");
            let pools = |mix: &Mix| match mix.as_slice() {
                [] => say("no pool"),
                [(id, _)] => link(id),
                mix => {
                    let part = |(id, share): &(Id<Pool>, u32)| {
                        format!("{} {}", link(id), percent_text(f64::from(*share) / 1000.0))
                    };
                    mix.iter().map(part).collect::<Vec<_>>().join(", ")
                }
            };
            let mut names: Vec<String> = group.countries.iter().map(|code| country_name(*code, language)).collect();
            names.sort();
            if group.unknown {
                names.push(say("unknown place"));
            }
            let _ = write!(
                out,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"num\">{}</td></tr>",
                pools(&group.planned),
                pools(&group.now),
                escaped(&names.join(", ")),
                percent_text(group.share)
            );
        }
        let note = say("Borders as in Natural Earth, no position taken. One network stands for each country.");
        let _ = write!(out, "</tbody></table></div></details><p class=\"hint\">{note}</p>");
    }
}

impl Draw for WorldMap {
    fn html(&self, language: Language) -> String {
        let mut out = self.drawing(language);
        self.legend(&mut out, language);
        self.list(&mut out, language);
        out
    }
}

/// `demo-stable`, or `demo-stable 90%, demo-canary 10%`.
fn mix_text(mix: &Mix) -> Text {
    match mix.as_slice() {
        [] => text("no pool"),
        [(pool, _)] => plain(pool),
        mix => {
            let part = |(pool, share): &(Id<Pool>, u32)| format!("{pool} {}", percent_text(f64::from(*share) / 1000.0));
            let shown = mix.iter().take(MAX_NAMED).map(part).collect::<Vec<_>>().join(", ");
            match mix.len().saturating_sub(MAX_NAMED) {
                0 => plain(shown),
                more => text("{names} and {n} more").set("names", shown).set("n", more),
            }
        }
    }
}

/// Where a pool is: as set by hand, else in its country, else in that of its first server.
fn point(model: &Model, pool: &Pool) -> Option<Point> {
    let of_member = || pool.members.iter().find_map(|member| model.endpoints.get(&member.endpoint)?.country);
    let of_country = || pool.country.or_else(of_member).and_then(atlas::country).map(|facts| facts.point);
    pool.point().or_else(of_country)
}

fn country_name(code: Country, language: Language) -> String {
    let name = atlas::country(code).map(|facts| match language {
        Language::Korean => facts.name_ko.clone(),
        Language::English => facts.name.clone(),
    });
    name.unwrap_or_else(|| code.to_string())
}

/// Shape and colour of the pool's state.
fn pin_html(pin: &Pin, out: &mut String) {
    let (x, y) = pin.at;
    let inner = match pin.shown.state {
        StateWord::Down => {
            "<path class=\"pin pin-bad\" d=\"M-4.2-10h8.4l5.8 5.8v8.4l-5.8 5.8h-8.4l-5.8-5.8v-8.4z\"/><path class=\"glyph g-bad\" d=\"m-3.5-3.5 7 7m0-7-7 7\"/>"
        }
        StateWord::Degraded | StateWord::Held => {
            "<path class=\"pin pin-warn\" d=\"M0-11 11 8H-11z\" stroke-linejoin=\"round\"/><path class=\"glyph g-warn\" d=\"M0-4v5M0 4v.1\"/>"
        }
        StateWord::Up => "<circle class=\"pin pin-ok\" r=\"9\"/><path class=\"glyph g-ok\" d=\"m-4 0 3 3 5-6\"/>",
        _ => "<circle class=\"pin pin-idle\" r=\"9\"/><path class=\"glyph g-idle\" d=\"m-4 0h8\"/>",
    };
    let _ = write!(out, "<g transform=\"translate({x:.1} {y:.1})\">{inner}</g>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture;
    use crate::health::HealthTable;

    fn down(pool: &str) -> HealthTable {
        let state = PoolHealth { state: PoolState::Down, ..PoolHealth::default() };
        HealthTable { pools: BTreeMap::from([(pool.parse().unwrap(), Arc::new(state))]), ..HealthTable::default() }
    }

    #[test]
    fn a_country_is_planned_by_rule_and_hatched_on_failover() {
        let health = down("eu");
        let snapshot = fixture::snapshot(&fixture::document(), &health);
        let maps = Maps::default();
        let lands = maps.lands(&snapshot, &"app".parse().unwrap());
        let of = |code: &str| lands.0.iter().find(|land| land.country == code.parse().ok()).unwrap();
        let pools = |code: &str| (of(code).planned[0].0.to_string(), of(code).now[0].0.to_string());
        assert_eq!(pools("FR"), ("eu".into(), "us".into()));
        assert_eq!(pools("JP"), ("us".into(), "us".into()));
        assert!(Arc::ptr_eq(&lands, &maps.lands(&snapshot, &"app".parse().unwrap())), "asked once for a snapshot");

        let states = PoolStates::of(snapshot.model(), &health);
        let map = WorldMap::new(snapshot.model(), &states, "app.z.test".into(), &lands, Borders::Shown);
        let html = map.html(Language::English);
        assert!(html.contains("eu, now us: ") && html.contains("fill=\"url(#fo1)\""));
        assert!(html.contains(">0%, down</text>") && html.contains("class=\"route\""));
        assert_eq!(html.matches("class=\"pin pin-").count(), 2);
    }

    #[test]
    fn a_pool_has_the_colour_of_every_other_page_and_a_shade_where_another_has_it_too() {
        let mut document = fixture::document();
        for id in ["a", "b", "c", "d", "e", "f", "g"] {
            document["pools"][id] = document["pools"]["us"].clone();
        }
        let snapshot = fixture::snapshot(&document, &HealthTable::default());
        let states = PoolStates::of(snapshot.model(), &HealthTable::default());
        let land = |country: &str, pool: &str| {
            let mix: Mix = vec![(pool.parse().unwrap(), 1000)];
            Land { country: country.parse().ok(), planned: mix.clone(), now: mix, share: 0.5 }
        };
        // Places 1 and 7 of the model, and 2.
        let pools = states.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>();
        let lands = Lands(vec![land("FR", &pools[0]), land("JP", &pools[6]), land("BR", &pools[1])]);
        let map = WorldMap::new(snapshot.model(), &states, "app.z.test".into(), &lands, Borders::Shown);
        let shown = |pool: &str| map.colours[&pool.parse::<Id<Pool>>().unwrap()];
        assert_eq!([&pools[0], &pools[1], &pools[6]].map(|pool| shown(pool)), [(1, ""), (2, ""), (1, " dash")]);
        assert!(map.html(Language::English).contains("class=\"m1 dash\""));
    }
}
