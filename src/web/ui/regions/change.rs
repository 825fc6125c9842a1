//! Making, changing and deleting a region, in the user's draft. What is wrong is told line by line, and what was
//! typed stays.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::lines::{self, Kind as Lines, LineFault, MAX_FAULTS};
use super::nested::{Namers, nested_of};
use super::{KIND, MOST_NESTED, Sight, known};
use crate::control::token::Role;
use crate::model::{Change, Edit, FieldError, Model, Region, Token, builtin, sentences};
use crate::web::Problem;
use crate::web::extract::Path;
use crate::web::ui::Page;
use crate::web::ui::clash::{Kept, keep};
use crate::web::ui::country;
use crate::web::ui::filters;
use crate::web::ui::form::{Faults, Form};
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::sentence::region_title;
use crate::web::ui::text::{Language, Text, capital, plain, text};
use crate::web::ui::visit::{Visit, see};

/// Regions that can be ticked; more are written in the list of what is held.
const MOST_REGIONS: usize = 200;

pub(super) fn pages() -> Vec<Page> {
    vec![
        Page::new("/regions/new", Role::Editor, get(new).post(create)),
        Page::new("/regions/{id}/edit", Role::Editor, get(edit).post(change)),
        Page::new("/regions/{id}/delete", Role::Editor, get(ask_delete).post(delete)),
    ]
}

/// The form as it was typed.
#[derive(Debug, Clone, Default, PartialEq)]
struct Typed {
    id: String,
    name: String,
    note: String,
    tags: Vec<String>,
    /// Codes of the boxes that are ticked.
    continents: BTreeSet<String>,
    countries: BTreeSet<String>,
    parts: BTreeSet<String>,
    regions: BTreeSet<String>,
    unknown: bool,
    /// Countries to add, in words.
    more_countries: String,
    more_parts: String,
    networks: String,
    asns: String,
    except: String,
}

impl Typed {
    fn of(region: &Region) -> Typed {
        let mut typed = Typed { id: region.meta.id.clone(), ..Typed::default() };
        (typed.name, typed.note) = (region.meta.name.clone(), region.meta.note.clone());
        typed.tags = region.meta.tags.iter().filter(|tag| *tag != builtin::TAG).cloned().collect();
        let (mut networks, mut asns, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for token in &region.include {
            match token {
                Token::Continent(code) => drop(typed.continents.insert(code.to_string())),
                Token::Country(code) => drop(typed.countries.insert(code.to_string())),
                Token::Subdivision(part) if builtin::subdivision(*part).is_some() => {
                    typed.parts.insert(part.to_string());
                }
                Token::Subdivision(part) => parts.push(part.to_string()),
                Token::Region(id) => drop(typed.regions.insert(id.to_string())),
                Token::Cidr(network) => networks.push(network.to_string()),
                Token::Asn(asn) => asns.push(asn.to_string()),
                Token::Unknown => typed.unknown = true,
            }
        }
        (typed.networks, typed.asns, typed.more_parts) = (networks.join("\n"), asns.join("\n"), parts.join("\n"));
        typed.except = region.except.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        typed
    }

    fn read(form: &Form, id: String) -> Typed {
        let typed = |field: &str| form.text(field).to_owned();
        let all = |field: &str| form.all(field).map(str::to_owned).collect::<BTreeSet<String>>();
        Typed {
            id,
            name: typed("title"),
            note: typed("note"),
            tags: form.all("tag").map(str::to_owned).collect(),
            continents: all("continent"),
            countries: all("country"),
            parts: all("part"),
            regions: all("region"),
            unknown: form.has("unknown"),
            more_countries: typed("more_countries"),
            more_parts: typed("more_parts"),
            networks: typed("networks"),
            asns: typed("asns"),
            except: typed("except"),
        }
    }

    /// A list with what stands for it in the form.
    fn list(&mut self, field: &str) -> Option<&mut String> {
        match field {
            "more_countries" => Some(&mut self.more_countries),
            "more_parts" => Some(&mut self.more_parts),
            "networks" => Some(&mut self.networks),
            "asns" => Some(&mut self.asns),
            "except" => Some(&mut self.except),
            _ => None,
        }
    }

    /// Puts in what the fault of a line offers: `field:line:instead:wrong`.
    fn correct(&mut self, wanted: &str) {
        let mut parts = wanted.splitn(3, '|');
        let (Some(field), Some(line), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return };
        let (Ok(line), Some((instead, wrong))) = (line.parse(), rest.split_once('|')) else { return };
        if let Some(list) = self.list(field) {
            *list = lines::corrected(list, line, wrong, instead);
        }
    }

    /// The region in JSON, and every line that is wrong.
    fn value(&self) -> (Value, Vec<Listed>) {
        let ticked = |kind: &str, codes: &BTreeSet<String>| {
            codes.iter().map(|code| format!("{kind}:{code}")).collect::<Vec<String>>()
        };
        let mut include = ticked("continent", &self.continents);
        include.extend(ticked("country", &self.countries));
        include.extend(ticked("subdivision", &self.parts));
        include.extend(ticked("region", &self.regions));
        let mut faults = Vec::new();
        for (field, text, kind) in [
            ("more_countries", &self.more_countries, Lines::Countries),
            ("more_parts", &self.more_parts, Lines::Subdivisions),
            ("networks", &self.networks, Lines::Networks),
            ("asns", &self.asns, Lines::Asns),
        ] {
            let (tokens, wrong) = lines::read(text, kind);
            include.extend(tokens.iter().map(ToString::to_string));
            faults.extend(wrong.into_iter().map(|fault| Listed { field, fault }));
        }
        if self.unknown {
            include.push("unknown".to_owned());
        }
        let (except, wrong) = lines::read(&self.except, Lines::Any);
        faults.extend(wrong.into_iter().map(|fault| Listed { field: "except", fault }));
        let mut seen = BTreeSet::new();
        include.retain(|token| seen.insert(token.clone()));
        let except: Vec<String> = except.iter().map(ToString::to_string).collect();
        let (name, note, tags) = (&self.name, &self.note, &self.tags);
        (json!({ "name": name, "note": note, "tags": tags, "include": include, "except": except }), faults)
    }
}

/// A line that is wrong, with its list.
struct Listed {
    field: &'static str,
    fault: LineFault,
}

impl Listed {
    /// What a button sends that puts the right line in.
    fn correction(&self) -> Option<String> {
        let LineFault { line, text, instead, .. } = &self.fault;
        Some(format!("{}|{line}|{}|{text}", self.field, instead.as_ref()?))
    }

    fn sentence(&self) -> String {
        let LineFault { problem, remedy, .. } = &self.fault;
        let end = if remedy.ends_with('?') { "" } else { "." };
        format!("{problem}. {}{end}", capital(remedy))
    }
}

#[derive(Template)]
#[template(path = "ui/regions/edit.html")]
struct Editor {
    frame: Frame,
    /// Where the form goes to, and where "Cancel" leads.
    action: String,
    back: String,
    is_new: bool,
    typed: Typed,
    continents: Vec<ContinentBox>,
    parts: Vec<(String, Vec<Tick>)>,
    regions: Vec<Tick>,
    faults: Faults,
    listed: Vec<Listed>,
    more_faults: usize,
    /// Networks that other regions have too; kept all the same by the button beside them.
    doubts: Vec<Text>,
}

/// A continent with its countries.
struct ContinentBox {
    code: String,
    name: &'static str,
    whole: bool,
    ticked: usize,
    countries: Vec<Tick>,
}

/// A box of the form.
struct Tick {
    value: String,
    word: String,
    ticked: bool,
}

impl Editor {
    fn listed_of<'e>(&'e self, field: &'e str) -> impl Iterator<Item = &'e Listed> {
        self.listed.iter().filter(move |listed| listed.field == field)
    }
}

async fn editor(visit: &Visit, typed: Typed, is_new: bool, faults: Faults, listed: Vec<Listed>) -> Editor {
    let sight = Sight::of(visit).await;
    let (action, back, head) = match is_new {
        true => ("/regions/new".to_owned(), "/regions".to_owned(), text("Add region")),
        false => {
            let page = format!("/regions/{}", typed.id);
            (format!("{page}/edit"), page, text("Edit"))
        }
    };
    let mut frame = visit.frame(Place::Regions, head).await.under(text("Regions"), "/regions");
    if !is_new {
        frame = frame.under(plain(&typed.id), back.clone());
    }
    let more_faults = listed.len().saturating_sub(MAX_FAULTS);
    Editor {
        frame,
        action,
        back,
        is_new,
        continents: continents(&typed, visit.language),
        parts: parts(&typed, visit.language),
        regions: regions(&typed, &sight.model, visit.language),
        typed,
        faults,
        listed: listed.into_iter().take(MAX_FAULTS).collect(),
        more_faults,
        doubts: Vec::new(),
    }
}

fn continents(typed: &Typed, language: Language) -> Vec<ContinentBox> {
    let of = |continent: crate::model::Continent| {
        let inside = builtin::countries().iter().filter(|info| info.continent == continent);
        let mut countries: Vec<Tick> = inside
            .map(|info| {
                let value = info.code.to_string();
                let ticked = typed.countries.contains(&value);
                Tick { value, word: country::name(info.code, language), ticked }
            })
            .collect();
        countries.sort_by(|a, b| a.word.cmp(&b.word));
        let code = continent.to_string();
        ContinentBox {
            whole: typed.continents.contains(&code),
            code,
            name: continent.name(),
            ticked: countries.iter().filter(|country| country.ticked).count(),
            countries,
        }
    };
    crate::model::Continent::ALL.into_iter().map(of).collect()
}

fn parts(typed: &Typed, language: Language) -> Vec<(String, Vec<Tick>)> {
    let mut countries: Vec<(String, Vec<Tick>)> = Vec::new();
    for info in builtin::subdivisions() {
        let country = country::name(info.code.country, language);
        let value = info.code.to_string();
        let tick = Tick { ticked: typed.parts.contains(&value), value, word: info.name.clone() };
        match countries.iter_mut().find(|(known, _)| *known == country) {
            Some((_, ticks)) => ticks.push(tick),
            None => countries.push((country, vec![tick])),
        }
    }
    countries
}

fn regions(typed: &Typed, model: &Model, language: Language) -> Vec<Tick> {
    let others = model.regions.iter().filter(|(id, _)| id.as_str() != typed.id);
    let mut ticks: Vec<Tick> = others
        .map(|(id, region)| {
            let value = id.to_string();
            let word = region_title(id, region, language);
            Tick { ticked: typed.regions.contains(&value), value, word }
        })
        .collect();
    // Ticked ones are never cut off.
    ticks.sort_by_key(|tick| !tick.ticked);
    let ticked = ticks.iter().filter(|tick| tick.ticked).count();
    ticks.truncate(MOST_REGIONS.max(ticked));
    ticks.sort_by(|a, b| a.word.cmp(&b.word));
    ticks
}

async fn new(visit: Visit, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Form::parse(query.unwrap_or_default().as_bytes())?;
    let typed = match query.text("from") {
        "" => Typed::default(),
        from => {
            let sight = Sight::of(&visit).await;
            let (id, region) = known(&sight, from)?;
            Typed { id: format!("my-{id}").chars().take(crate::model::MAX_ID).collect(), ..Typed::of(region) }
        }
    };
    let page = editor(&visit, typed, true, Faults::default(), Vec::new()).await;
    Ok(visit.page(&page))
}

async fn edit(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let sight = Sight::of(&visit).await;
    let (id, region) = known(&sight, &id)?;
    refuse_built_in(id.as_str())?;
    let page = editor(&visit, Typed::of(region), false, Faults::default(), Vec::new()).await;
    Ok(visit.page(&page))
}

fn refuse_built_in(id: &str) -> Result<(), Problem> {
    match id.parse().is_ok_and(|id| builtin::is_built_in(&id)) {
        true => {
            let detail = format!("{id} is built in and stays as it is. Copy it, and change the copy.");
            Err(Problem::new(StatusCode::CONFLICT, detail))
        }
        false => Ok(()),
    }
}

async fn create(visit: Visit, form: Form) -> Result<Response, Problem> {
    let typed = Typed::read(&form, form.text("id").to_owned());
    save(&visit, &form, typed, true).await
}

async fn change(visit: Visit, Path(id): Path<String>, form: Form) -> Result<Response, Problem> {
    let sight = Sight::of(&visit).await;
    let (id, _) = known(&sight, &id)?;
    refuse_built_in(id.as_str())?;
    save(&visit, &form, Typed::read(&form, id.to_string()), false).await
}

async fn save(visit: &Visit, form: &Form, mut typed: Typed, is_new: bool) -> Result<Response, Problem> {
    if form.has("use") {
        form.all("use").for_each(|wanted| typed.correct(wanted));
        let (_, listed) = typed.value();
        let page = editor(visit, typed, is_new, Faults::default(), listed).await;
        return Ok(visit.page(&page));
    }
    let (value, listed) = typed.value();
    let mut faults = Faults::default();
    if is_new {
        let taken = Sight::of(visit).await.model.regions.keys().any(|id| id.as_str() == typed.id);
        let problem = match typed.id.parse::<crate::model::Id<Region>>() {
            Err(error) => Some(FieldError::told("id", &error)),
            Ok(_) if taken => Some(FieldError::new("id", format!("{} exists already", typed.id), "choose another id")),
            Ok(_) => None,
        };
        problem.into_iter().for_each(|problem| faults.push(problem));
    }
    let is_empty = value["include"].as_array().is_none_or(Vec::is_empty);
    if is_empty && listed.is_empty() {
        faults.push(FieldError::new(
            "",
            "the region holds nobody",
            "choose at least one country, network or AS number",
        ));
    }
    if faults.is_empty() && listed.is_empty() {
        let edit = Edit { kind: KIND, id: typed.id.clone(), value: Some(value) };
        let doubts = overlaps(visit, &edit).await;
        if !doubts.is_empty() && !form.has("keep") {
            let page = Editor { doubts, ..editor(visit, typed, is_new, faults, listed).await };
            return Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page));
        }
        let back = if is_new { "/regions/new".to_owned() } else { format!("/regions/{}/edit", typed.id) };
        match keep(visit, vec![edit], &back).await? {
            Kept::Drafted => {
                visit.say(text("Region {region} is kept in your draft.").set("region", &typed.id));
                return Ok(see(&format!("/regions/{}", typed.id)));
            }
            Kept::Wrong(errors) => faults = Faults::new(errors, &format!("regions/{} ", typed.id)),
            Kept::Clash(page) => return Ok(page),
        }
    }
    let page = editor(visit, typed, is_new, faults, listed).await;
    Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Networks of the region as it would be that lie in one of another region, or around it, where it has not been so before.
async fn overlaps(visit: &Visit, edit: &Edit) -> Vec<Text> {
    let sight = Sight::of(visit).await;
    let Ok(id) = edit.id.parse() else { return Vec::new() };
    let Ok(checked) = tokio::task::block_in_place(|| sight.model.check(std::slice::from_ref(edit))) else {
        return Vec::new();
    };
    let known = nested_of(&sight.model, &id);
    let new = nested_of(&checked.model, &id).into_iter().filter(|nested| !known.contains(nested)).take(MOST_NESTED);
    let namers = Namers::of(&checked.model);
    new.flat_map(|nested| namers.sentences(&nested)).collect()
}

#[derive(Template)]
#[template(path = "ui/regions/delete.html")]
struct Deletion {
    frame: Frame,
    id: String,
    name: String,
    /// What changes with it.
    sentences: Vec<String>,
    /// Why it cannot be.
    errors: Vec<FieldError>,
}

async fn deletion(visit: &Visit, id: &str) -> Result<(Deletion, Vec<Edit>), Problem> {
    let sight = Sight::of(visit).await;
    let (id, region) = known(&sight, id)?;
    refuse_built_in(id.as_str())?;
    let edits = sight.model.deletion(KIND, id.as_str());
    let (said, errors) = match tokio::task::block_in_place(|| sight.model.check(&edits)) {
        Ok(checked) => {
            let changes: Vec<Change> = checked.changes;
            (sentences(&sight.model, &checked.model, &changes), Vec::new())
        }
        Err(errors) => (Vec::new(), errors),
    };
    let frame = visit.frame(Place::Regions, text("Delete")).await.under(text("Regions"), "/regions");
    let frame = frame.under(plain(&id), format!("/regions/{id}"));
    let name = region_title(&id, region, visit.language);
    Ok((Deletion { frame, id: id.to_string(), name, sentences: said, errors }, edits))
}

async fn ask_delete(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let (page, _) = deletion(&visit, &id).await?;
    Ok(visit.page(&page))
}

async fn delete(visit: Visit, Path(id): Path<String>, _: Form) -> Result<Response, Problem> {
    let (mut page, edits) = deletion(&visit, &id).await?;
    if page.errors.is_empty() {
        match keep(&visit, edits, &format!("/regions/{}", page.id)).await? {
            Kept::Drafted => {
                visit.say(text("Region {region} is deleted in your draft.").set("region", &page.id));
                return Ok(see("/regions"));
            }
            Kept::Wrong(errors) => page.errors = errors,
            Kept::Clash(page) => return Ok(page),
        }
    }
    Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(include: &[&str], except: &[&str]) -> Region {
        let parse = |tokens: &[&str]| tokens.iter().map(|token| token.parse().unwrap()).collect();
        let meta = crate::model::Meta {
            id: "own".into(),
            name: "Own".into(),
            note: String::new(),
            tags: vec!["mine".into(), builtin::TAG.into()],
            rev: 3,
        };
        Region { meta, include: parse(include), except: parse(except) }
    }

    #[test]
    fn a_region_goes_through_the_form_unchanged() {
        let include = [
            "continent:EU",
            "country:KR",
            "subdivision:US-CA",
            "subdivision:GB-ENG",
            "asn:3320",
            "cidr:203.0.113.0/24",
            "cidr:2001:db8::/32",
            "region:gcc",
            "unknown",
        ];
        let except = ["country:DE", "cidr:203.0.113.0/28", "region:anz"];
        let (value, faults) = Typed::of(&region(&include, &except)).value();
        let sorted = |value: &Value| {
            let texts = value.as_array().unwrap().iter().map(|token| token.as_str().unwrap().to_owned());
            texts.collect::<BTreeSet<String>>()
        };
        assert!(faults.is_empty());
        assert_eq!(sorted(&value["include"]), include.map(str::to_owned).into());
        assert_eq!(sorted(&value["except"]), except.map(str::to_owned).into());
        assert_eq!(value["tags"], json!(["mine"]), "a copy of a built-in region is an own one");
    }

    #[test]
    fn a_wrong_line_is_told_and_can_be_corrected_with_one_press() {
        let networks = "203.0.113.77/24 # office\nnonsense".to_owned();
        let mut typed = Typed { networks, except: "Germny".into(), ..Typed::default() };
        let (_, faults) = typed.value();
        let said: Vec<String> = faults.iter().map(Listed::sentence).collect();
        assert_eq!(said[0], "203.0.113.77/24 has bits outside the prefix. Did you mean 203.0.113.0/24?");
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(faults[1].correction(), None);
        for correction in faults.iter().filter_map(Listed::correction) {
            typed.correct(&correction);
        }
        assert_eq!(typed.networks, "203.0.113.0/24 # office\nnonsense");
        assert_eq!(typed.except, "Germany");
        typed.correct("networks|9|x|y");
        typed.correct("no such thing");
        assert_eq!(typed.value().1.len(), 1);
    }

    #[test]
    fn what_is_ticked_and_typed_is_held_once() {
        let form = Form::parse(
            b"country=DE&country=KR&more_countries=Germany%2C+France&networks=10.0.0.0%2F8&asns=AS1&unknown=on",
        )
        .unwrap();
        let (value, faults) = Typed::read(&form, "own".into()).value();
        assert!(faults.is_empty());
        assert_eq!(
            value["include"],
            json!(["country:DE", "country:KR", "country:FR", "cidr:10.0.0.0/8", "asn:1", "unknown"])
        );
    }
}
