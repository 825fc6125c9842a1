//! The editor: every rule a sentence, one of them open as a form. All of it works without script; what was
//! typed is never lost.

use std::hash::{DefaultHasher, Hash, Hasher};

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::dock::Dock;
use super::super::explain::{self, Panel};
use super::super::filters;
use super::super::filters::icon_html;
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
use super::super::sentence::{self, Bold, Fate, Plain, Slots, region_name};
use super::super::state::{PoolStates, StateWord};
use super::super::text::{Text, escaped, plain, text};
use super::super::visit::{Visit, see};
use super::options::{AttachForm, FIELDS, OptionsForm};
use super::page::{Head, edited, head};
use super::rule_form::{PoolForm, RuleForm, StepForm};
use super::state::NameState;
use super::text_edit::TextEdit;
use super::{World, path, policy_of, tabs};
use crate::answer::{PlanState, RuleState, policy_state};
use crate::control::Refusal;
use crate::control::draft::Drafted;
use crate::control::preview::Preview;
use crate::geo::{Split, SplitRule};
use crate::model::{Edit, FieldError, Id, Kind, LastResort, Model, Name, Policy, Pool, Region, Rule, builtin};
use crate::web::Problem;

/// Pools or regions up to which a field is a list to choose from; past it, a field that suggests while one types.
const MAX_SELECT: usize = 60;
/// Names of the policy that the page lists.
pub const MAX_ATTACHED: usize = 50;
/// Moves that the effect of a draft lists.
const MAX_MOVES: usize = 8;

#[derive(Template)]
#[template(path = "ui/name_steering.html")]
pub struct Steering {
    pub frame: Frame,
    pub head: Head,
    pub rules: Vec<RuleShown>,
    /// Rules that the draft takes out.
    pub removed: Vec<Text>,
    /// The rule that is open as a form.
    pub edit: Option<RuleEdit>,
    pub text: Option<TextEdit>,
    pub options: Option<OptionsForm>,
    pub attach: AttachForm,
    pub faults: Faults,
    /// Which rules the reader has seen.
    pub seen: String,
    pub editable: bool,
    pub effect: Option<Effect>,
    pub low_ttl: bool,
    /// What is wrong with the whole, above it.
    pub said: Vec<String>,
    /// What a client would get, beside it.
    pub panel: Option<Panel>,
    pub dock: Dock,
}

/// One rule, closed.
pub struct RuleShown {
    pub number: usize,
    pub last: bool,
    pub sentence: Text,
    pub name: String,
    pub enabled: bool,
    pub share: Option<f64>,
    pub note: Option<(&'static str, Text)>,
    pub facts: Vec<Text>,
    pub tag: Option<Text>,
    pub open: bool,
    pub movable_up: bool,
    pub movable_down: bool,
    /// The first planned pool, which an operator may drain.
    pub first_pool: String,
}

/// One rule, open.
pub struct RuleEdit {
    /// Its number, or `new`.
    pub at: String,
    pub last: bool,
    pub form: RuleForm,
    pub faults: Faults,
    pub pools: Choices,
    pub regions: Choices,
}

/// What a field offers.
pub struct Choices {
    pub list: Vec<(String, Text)>,
}

impl Choices {
    pub fn is_short(&self) -> bool {
        self.list.len() <= MAX_SELECT
    }

    /// Also what was typed and is not there.
    pub fn has(&self, value: &str) -> bool {
        self.list.iter().any(|(known, _)| known == value)
    }

    pub fn pools(model: &Model) -> Choices {
        let list = model.pools.iter().map(|(id, pool)| match pool.meta.name.as_str() {
            "" => (id.to_string(), plain(id)),
            name => (id.to_string(), text("{id}, {name}").set("id", id).set("name", name)),
        });
        Choices { list: list.collect() }
    }

    /// The operator's own regions first.
    pub fn regions(model: &Model) -> Choices {
        let (own, built_in): (Vec<_>, Vec<_>) = model.regions.keys().partition(|id| !builtin::is_built_in(id));
        let list = own.into_iter().chain(built_in).map(|id| (id.to_string(), region_name(model, id)));
        Choices { list: list.collect() }
    }
}

impl RuleEdit {
    fn new(at: String, last: bool, form: RuleForm, faults: Faults, model: &Model) -> RuleEdit {
        RuleEdit { at, last, form, faults, pools: Choices::pools(model), regions: Choices::regions(model) }
    }

    /// What is wrong elsewhere than in a field of the form.
    pub fn beside(&self) -> Vec<String> {
        let known = self.form.shown();
        self.faults.beside(&known.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Steps with a row for one more pool each, and a step for more.
    pub fn steps(&self) -> Vec<StepForm> {
        let mut steps = self.form.steps.clone();
        steps.push(StepForm::default());
        steps.iter_mut().for_each(|step| step.pools.push(PoolForm::default()));
        steps
    }

    pub fn regions_and_one(&self, list: &[String]) -> Vec<String> {
        list.iter().cloned().chain([String::new()]).collect()
    }

    pub fn kept_steps(&self) -> usize {
        self.form.steps.len()
    }
}

/// What the draft does to this policy.
pub struct Effect {
    /// Part of known addresses that get another answer.
    pub moving: f64,
    pub moves: Vec<(String, String, f64)>,
    pub more_moves: usize,
    pub changes: Vec<(Option<Text>, Option<Text>)>,
    pub warnings: Vec<String>,
    pub fault: Option<String>,
    pub without_answer: f64,
    pub tests: usize,
    pub passing: usize,
}

/// Slots that open the rule as a form.
struct Links<'p> {
    model: &'p Model,
    states: &'p PoolStates,
    href: String,
    /// The rule as it was, where the draft changes it.
    was: Option<&'p Rule>,
    rule: &'p Rule,
}

impl Links<'_> {
    fn slot(&self, is_new: bool, before: &str, inner: Text) -> Text {
        let class = if is_new { "slot new" } else { "slot" };
        let open = format!("<a class=\"{class}\" href=\"{}\">{before}", escaped(&self.href));
        let close = format!("{}</a>", icon_html("chevron-down"));
        text("{open}{inner}{close}").html("open", open).say("inner", inner).html("close", close)
    }
}

impl Slots for Links<'_> {
    fn region(&self, region: &Id<Region>) -> Text {
        let is_new = self.was.is_some_and(|was| !was.regions.contains(region) && !was.except_regions.contains(region));
        self.slot(is_new, &icon_html("map"), region_name(self.model, region))
    }

    fn pool(&self, pool: &Id<Pool>) -> Text {
        let colour = self.states.get(pool).map_or(1, |shown| shown.colour);
        let is_new = self.was.is_some_and(|was| moved(was, self.rule, pool));
        self.slot(is_new, &format!("<span class=\"key k{colour}\"></span>"), plain(pool))
    }

    fn manner(&self, words: Text) -> Text {
        // Within the words there may be a link already, which cannot hold another.
        words
    }
}

/// The pool was not in the rule, or, where all of them were, stood elsewhere.
fn moved(was: &Rule, rule: &Rule, pool: &Id<Pool>) -> bool {
    let old: Vec<&Id<Pool>> = was.steps.iter().flat_map(|step| &step.pools).map(|used| &used.pool).collect();
    let new: Vec<&Id<Pool>> = rule.steps.iter().flat_map(|step| &step.pools).map(|used| &used.pool).collect();
    let place = |of: &[&Id<Pool>]| of.iter().position(|known| *known == pool);
    match new.iter().all(|known| old.contains(known)) {
        true => place(&old) != place(&new),
        false => !old.contains(&pool),
    }
}

/// Names with their colour, where nothing can be edited.
struct Keys<'p> {
    model: &'p Model,
    states: &'p PoolStates,
}

impl Slots for Keys<'_> {
    fn region(&self, region: &Id<Region>) -> Text {
        text("<b>{word}</b>").say("word", region_name(self.model, region))
    }

    fn pool(&self, pool: &Id<Pool>) -> Text {
        let colour = self.states.get(pool).map_or(1, |shown| shown.colour);
        text("<span class=\"nb\">{key} <b>{word}</b></span>")
            .html("key", format!("<span class=\"key k{colour}\"></span>"))
            .set("word", pool)
    }

    fn manner(&self, words: Text) -> Text {
        words
    }
}

/// What of the page is open, with what was typed in it.
#[derive(Default)]
pub struct Open {
    pub edit: Option<RuleEdit>,
    pub text: Option<TextEdit>,
    pub options: Option<OptionsForm>,
    pub attach: AttachForm,
    pub faults: Faults,
}

pub async fn show(visit: &Visit, world: &World, name: &Name, query: &Form) -> Result<Response, Problem> {
    let mut open = Open::default();
    let shows_live = query.text("version") == "live";
    let may_edit = visit.may(crate::control::token::Role::Editor) && !shows_live;
    if let (true, Some((id, policy))) = (may_edit, world.policy_of(name)) {
        open.edit = opened(query.text("edit"), policy, &world.drafted);
        open.options = (query.text("edit") == "options").then(|| OptionsForm::of_policy(policy));
        open.text = (query.text("edit") == "text").then(|| TextEdit::of_policy(&world.drafted, id));
    }
    page(visit, world, name, open, shows_live, StatusCode::OK).await
}

/// The rule that the URL opens.
fn opened(at: &str, policy: &Policy, model: &Model) -> Option<RuleEdit> {
    let form = match at {
        "new" => RuleForm::empty(),
        number => RuleForm::of_rule(policy.rules.get(number.parse::<usize>().ok()?.checked_sub(1)?)?),
    };
    let last = at == policy.rules.len().to_string();
    Some(RuleEdit::new(at.to_owned(), last, form, Faults::default(), model))
}

/// Renders the tab.
pub async fn page(
    visit: &Visit,
    world: &World,
    name: &Name,
    open: Open,
    shows_live: bool,
    status: StatusCode,
) -> Result<Response, Problem> {
    let head = head(visit, world, name, "steering", shows_live);
    let frame = visit.frame(Place::Names, plain(&head.name)).await.under(text("Names"), "/names");
    let model = if shows_live { &world.live } else { &world.drafted };
    let editable = frame.may_edit() && !shows_live && head.policy.is_some();
    let said = open.faults.beside(if open.options.is_some() { &FIELDS[..] } else { &[] });
    let panel = explained(visit, &head, editable || !shows_live).await?;
    let mut steering = Steering {
        frame,
        head,
        rules: Vec::new(),
        removed: Vec::new(),
        edit: open.edit,
        text: open.text,
        options: open.options,
        attach: open.attach,
        faults: open.faults,
        seen: String::new(),
        editable,
        effect: None,
        low_ttl: false,
        said,
        panel,
        dock: Dock::of(visit, &world.draft),
    };
    if let Some((id, policy)) = policy_of(model, name) {
        let live = world.live.policies.get(id).map(|live| &**live);
        steering.fill(visit, world, model, policy, live.filter(|_| !shows_live));
        steering.attach.fill(policy, name);
        steering.seen = seen(policy);
        steering.low_ttl = policy.ttl < 30;
        if steering.head.drafted && !shows_live {
            steering.effect = Some(effect(visit, world, name, id, policy, live).await);
        }
    }
    Ok(visit.page_with(status, &steering))
}

impl Steering {
    fn fill(&mut self, visit: &Visit, world: &World, model: &Model, policy: &Policy, live: Option<&Policy>) {
        let states = PoolStates::of(model, &visit.web.control.health());
        let now = policy_state(&world.snapshot, policy);
        let shares = shares(world, model, policy);
        let (fates, removed) = live.map(|live| sentence::fates(live, policy)).unwrap_or_default();
        let last = policy.rules.len().saturating_sub(1);
        for (at, rule) in policy.rules.iter().enumerate() {
            let number = at + 1;
            let open = self.edit.as_ref().is_some_and(|edit| edit.at == number.to_string());
            let sentence = if self.editable && !open {
                let href = format!("?edit={number}#r{number}");
                let was = match (fates.get(at), live) {
                    (Some(Fate::Changed(old)), Some(live)) => live.rules.get(*old),
                    _ => None,
                };
                sentence::rule(policy, at, &Links { model, states: &states, href, was, rule })
            } else {
                sentence::rule(policy, at, &Keys { model, states: &states })
            };
            let state = now.rules.iter().find(|state| state.rule == at);
            self.rules.push(RuleShown {
                number,
                last: at == last,
                sentence,
                name: rule.name.clone(),
                enabled: rule.enabled,
                share: shares.get(at).copied().flatten(),
                note: state.filter(|_| policy.enabled).and_then(|state| note(state, &states)),
                facts: facts(model, rule, at == last),
                tag: fates.get(at).and_then(|fate| tag(fate, live?, rule, model)),
                open,
                movable_up: at > 0 && at != last,
                movable_down: at + 1 < last,
                first_pool: rule
                    .steps
                    .first()
                    .and_then(|step| step.pools.first())
                    .map(|one| one.pool.to_string())
                    .unwrap_or_default(),
            });
        }
        self.removed = live
            .map(|live| removed.iter().map(|&at| sentence::rule(live, at, &Bold(&world.live))).collect())
            .unwrap_or_default();
    }
}

/// What a client would get for this name, as the panel's own fields in the URL ask.
async fn explained(visit: &Visit, head: &Head, in_draft: bool) -> Result<Option<Panel>, Problem> {
    let query = visit.here.split_once('?').map_or("", |(_, query)| query);
    let mut ask = explain::asked(&Form::parse(query.as_bytes())?);
    ask.name = head.name.clone();
    ask.at = if in_draft && head.drafted { "draft".into() } else { "live".into() };
    Ok(Some(explain::panel(visit, &head.path, ask).await?))
}

/// The part of known addresses that each rule is for; `None` for a disabled one.
fn shares(world: &World, model: &Model, policy: &Policy) -> Vec<Option<f64>> {
    let split = policy.rules.iter().filter(|rule| rule.enabled).map(|rule| SplitRule {
        regions: rule.regions.clone(),
        except_regions: rule.except_regions.clone(),
        nearest: Vec::new(),
    });
    let mut shares = world.snapshot.geo().rule_shares(&model.regions, &Split { rules: split.collect() }).into_iter();
    policy.rules.iter().map(|rule| rule.enabled.then(|| shares.next()).flatten()).collect()
}

/// What is not as planned with a rule right now.
fn note(state: &RuleState, states: &PoolStates) -> Option<(&'static str, Text)> {
    let listed = |ids: &[Id<Pool>]| {
        let names = ids.iter().map(|id| plain(id));
        names
            .reduce(|before, next| text("{before}, {next}").say("before", before).say("next", next))
            .unwrap_or_else(|| plain(""))
    };
    let now = || listed(&state.answering);
    match state.state {
        PlanState::AsPlanned => None,
        PlanState::NoAnswer => Some(("bad", text("No pool can answer: these clients get nothing"))),
        PlanState::LastResort => Some(("bad", text("No pool is up, {now} answers all the same").say("now", now()))),
        PlanState::Failover => {
            let word = match &state.missing[..] {
                [one] => states.get(one).map(|shown| shown.state),
                _ => None,
            };
            let (class, pattern) = match word {
                Some(StateWord::Down) => ("bad", "{pools} is down, {now} answers"),
                Some(StateWord::Held) => ("warn", "{pools} is held, {now} answers"),
                Some(StateWord::Drained) => ("warn", "{pools} is drained, {now} answers"),
                Some(StateWord::Off) => ("warn", "{pools} is off, {now} answers"),
                _ => ("warn", "{pools}: not all clients are back, {now} answers"),
            };
            Some((class, text(pattern).say("pools", listed(&state.missing)).say("now", now())))
        }
    }
}

/// What the sentence leaves out.
fn facts(model: &Model, rule: &Rule, last: bool) -> Vec<Text> {
    let mut facts = Vec::new();
    if last {
        facts.push(text("Catch-all, always last, cannot be removed"));
    }
    if let Some(lock) = &rule.residency_lock {
        facts
            .push(text("Answers stay in {region}, even if all pools are down").say("region", region_name(model, lock)));
    }
    if last && rule.last_resort == LastResort::ServeAnyway {
        facts.push(text("With no pool up, the first step answers all the same"));
    }
    facts
}

/// How a drafted rule differs from the live one.
fn tag(fate: &Fate, live: &Policy, after: &Rule, model: &Model) -> Option<Text> {
    match fate {
        Fate::Same => None,
        Fate::New => Some(text("New rule")),
        Fate::Moved(old) => Some(text("Moved: was rule {n}").set("n", old + 1)),
        Fate::Changed(old) if live.rules.get(*old)?.enabled != after.enabled => Some(match after.enabled {
            true => text("Changed: was turned off"),
            false => text("Changed: was turned on"),
        }),
        Fate::Changed(old) => Some(text("Changed: was {pools}").say("pools", {
            let rule = live.rules.get(*old)?;
            sentence::pools(rule, &Plain(model))
        })),
    }
}

async fn effect(
    visit: &Visit,
    world: &World,
    name: &Name,
    id: &Id<Policy>,
    policy: &Policy,
    live: Option<&Policy>,
) -> Effect {
    let (passing, tests) = tabs::passing(visit, world, name).await;
    let mut effect = Effect {
        moving: 0.0,
        moves: Vec::new(),
        more_moves: 0,
        changes: changes(world, policy, live),
        warnings: Vec::new(),
        fault: None,
        without_answer: 0.0,
        tests,
        passing,
    };
    match visit.web.control.preview(world.draft.edits()).await {
        Ok(preview) => effect.take(preview, id),
        Err(Refusal::Invalid(errors)) => {
            effect.fault = Some(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        }
        Err(_) => effect.fault = Some(String::new()),
    }
    effect
}

impl Effect {
    fn take(&mut self, preview: Preview, id: &Id<Policy>) {
        let mine: Vec<_> = preview.moves.into_iter().filter(|one| one.policy == id.as_str()).collect();
        // Names of one policy are answered alike: the first stands for all.
        let first = mine.first().map(|one| one.name.clone());
        let moves: Vec<_> = mine.into_iter().filter(|one| Some(&one.name) == first.as_ref()).collect();
        self.moving = sum(moves.iter().map(|one| one.share));
        self.without_answer = sum(moves.iter().filter(|one| !one.to.contains('%')).map(|one| one.share));
        self.more_moves = moves.len().saturating_sub(MAX_MOVES);
        self.moves = moves.into_iter().take(MAX_MOVES).map(|one| (one.from, one.to, one.share)).collect();
        let prefix = format!("policies/{id} ");
        let own = preview.warnings.iter().filter(|warning| warning.at.starts_with(&prefix));
        self.warnings = own.map(|warning| format!("{}; {}.", warning.problem, warning.remedy)).collect();
    }
}

/// From a positive zero, which the sum of nothing is not.
fn sum(shares: impl Iterator<Item = f64>) -> f64 {
    shares.fold(0.0, |sum, share| sum + share)
}

/// Sentences that go and come.
fn changes(world: &World, policy: &Policy, live: Option<&Policy>) -> Vec<(Option<Text>, Option<Text>)> {
    let after = |at: usize| sentence::rule(policy, at, &Bold(&world.drafted));
    let Some(live) = live else {
        return (0..policy.rules.len()).map(|at| (None, Some(after(at)))).collect();
    };
    let before = |at: usize| sentence::rule(live, at, &Bold(&world.live));
    let (fates, removed) = sentence::fates(live, policy);
    let changed = fates.iter().enumerate().filter_map(|(at, fate)| match fate {
        Fate::New => Some((None, Some(after(at)))),
        Fate::Changed(old) => Some((Some(before(*old)), Some(after(at)))),
        Fate::Same | Fate::Moved(_) => None,
    });
    changed.chain(removed.iter().map(|&at| (Some(before(at)), None))).collect()
}

/// Tells rules from others, so that a form that was opened before somebody changed them is noticed.
pub fn seen(policy: &Policy) -> String {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(&policy.rules).unwrap_or_default().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Keeps the rule that a form holds, or rearranges the form.
pub async fn keep_rule(visit: Visit, Path(name): Path<String>, form: Form) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let (id, policy) = edited(&world, &name)?;
    let (at, button) = (form.text("at").to_owned(), form.text("do"));
    let mut typed = RuleForm::of_form(&form);
    let last = at == policy.rules.len().to_string();
    let again = |typed: RuleForm, faults: Faults| Open {
        edit: Some(RuleEdit::new(at.clone(), last, typed, faults, &world.drafted)),
        ..Open::default()
    };
    if button != "keep" {
        typed.rearrange(button);
        return page(&visit, &world, &name, again(typed, Faults::default()), false, StatusCode::OK).await;
    }
    if form.text("seen") != seen(policy) {
        let mut faults = Faults::default();
        faults.push(FieldError::new(
            "",
            "the rules changed since this form was opened",
            "look at them below and send it again",
        ));
        return page(&visit, &world, &name, again(typed, faults), false, StatusCode::CONFLICT).await;
    }
    let mut rules = rules_of(policy);
    let index = match at.parse::<usize>() {
        Ok(number) if (1..=rules.len()).contains(&number) => number - 1,
        _ => rules.len().saturating_sub(1),
    };
    let mut value = typed.to_value();
    if last {
        value["enabled"] = true.into();
    }
    match at.as_str() {
        "new" => rules.insert(index, value),
        _ => rules[index] = value,
    }
    match keep_rules(&visit, &world, id, rules).await {
        Ok(()) => {
            let number = index + 1;
            visit.say(text("Rule {n} kept in your draft.").set("n", number));
            Ok(see(&format!("{}#r{number}", path(&name))))
        }
        Err(Refusal::Invalid(errors)) => {
            // The nearest place first: the rule itself, then the policy.
            let own = format!("policies/{id} rules[{index}]");
            let errors = errors.into_iter().map(|error| match error.at.strip_prefix(&own) {
                Some(field) => FieldError { at: field.trim_start_matches('.').to_owned(), ..error },
                None => error,
            });
            let mut faults = Faults::new(errors.collect(), &format!("policies/{id} "));
            unknown(&typed, &world.drafted, &mut faults);
            page(&visit, &world, &name, again(typed, faults), false, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(other) => Err(other.into()),
    }
}

/// Names that nothing has. The model tells them only when all else is right, and people want to know at once.
fn unknown(typed: &RuleForm, model: &Model, faults: &mut Faults) {
    let mut say = |field: String, kind: &str, id: &str, known: bool| {
        if !known && faults.of(&field).is_empty() {
            faults.push(FieldError::new(field, format!("there is no {kind} {id:?}"), "choose one that is there"));
        }
    };
    let region = |id: &str| id.parse().is_ok_and(|id| model.regions.contains_key(&id));
    for (list, ids) in [("regions", &typed.regions), ("except_regions", &typed.except_regions)] {
        ids.iter().enumerate().for_each(|(at, id)| say(format!("{list}[{at}]"), "region", id, region(id)));
    }
    for (at, step) in typed.steps.iter().enumerate() {
        for (number, one) in step.pools.iter().enumerate() {
            let known = one.pool.parse().is_ok_and(|id| model.pools.contains_key(&id));
            say(format!("steps[{at}].pools[{number}].pool"), "pool", &one.pool, known);
        }
    }
}

/// Moves, copies, removes, turns on or off: one press of a button of a rule.
pub async fn arrange(visit: Visit, Path(name): Path<String>, form: Form) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let (id, policy) = edited(&world, &name)?;
    let mut rules = rules_of(policy);
    let last = rules.len().saturating_sub(1);
    let at = form.text("rule").parse::<usize>().ok().and_then(|number| number.checked_sub(1)).filter(|at| *at <= last);
    let at = at.ok_or_else(|| Problem::not_found("There is no such rule; nothing was changed."))?;
    if form.text("seen") != seen(policy) {
        let mut open = Open::default();
        open.faults.push(FieldError::new(
            "",
            "the rules changed since the page was opened",
            "look at them and press again",
        ));
        return page(&visit, &world, &name, open, false, StatusCode::CONFLICT).await;
    }
    let mut now_at = at;
    let said = match form.text("do") {
        "up" if at > 0 && at < last => {
            rules.swap(at - 1, at);
            now_at = at - 1;
            text("Rule {n} moved up, in your draft.")
        }
        "down" if at + 1 < last => {
            rules.swap(at, at + 1);
            now_at = at + 1;
            text("Rule {n} moved down, in your draft.")
        }
        "copy" => {
            let mut copy = rules[at].clone();
            copy["enabled"] = false.into();
            if at == last {
                return Ok(see(&format!("{}?edit=new#new", path(&name))));
            }
            rules.insert(at + 1, copy);
            now_at = at + 1;
            text(
                "Rule {n} copied below itself and turned off, in your draft. Give it its own regions, then turn it on.",
            )
        }
        "remove" if at < last => {
            drop(rules.remove(at));
            text("Rule {n} removed in your draft.")
        }
        "switch" if at < last => {
            let on = rules[at]["enabled"] == true;
            rules[at]["enabled"] = (!on).into();
            if on { text("Rule {n} turned off in your draft.") } else { text("Rule {n} turned on in your draft.") }
        }
        _ => return Err(Problem::not_found("This rule cannot be changed so; nothing was changed.")),
    };
    match keep_rules(&visit, &world, id, rules).await {
        Ok(()) => {
            visit.say(said.set("n", at + 1));
            Ok(see(&format!("{}#r{}", path(&name), now_at + 1)))
        }
        Err(Refusal::Invalid(errors)) => {
            let open = Open { faults: Faults::new(errors, &format!("policies/{id} ")), ..Open::default() };
            page(&visit, &world, &name, open, false, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(other) => Err(other.into()),
    }
}

/// Takes this policy out of the draft.
pub async fn discard(visit: Visit, Path(name): Path<String>, _form: Form) -> Result<Response, Problem> {
    let world = World::of(&visit).await;
    let name = world.name(&name)?;
    let found = world.policy_of(&name).or_else(|| policy_of(&world.live, &name)).map(|(id, _)| id.clone());
    let Some(id) = found else { return Ok(see(&path(&name))) };
    let user = &visit.user().id;
    visit.web.control.discard_draft(user, Some((Kind::Policies, id.as_str()))).await?;
    // A name that became steered in the draft gave its records up for that: they come back with it.
    if policy_of(&world.live, &name).is_none() {
        let draft = visit.draft().await;
        let given_up = draft.edits.iter().filter(|edit| edit.kind == Kind::Records && edit.value.is_none());
        let at_name = |edit: &&Drafted| edit.before.as_ref().is_some_and(|record| is_at(record, &name, &world.live));
        for record in given_up.filter(at_name) {
            visit.web.control.discard_draft(user, Some((Kind::Records, &record.id))).await?;
        }
    }
    visit.say(text("Your draft of {name} is discarded.").set("name", super::shown(&name)));
    let there = policy_of(&visit.model(), &name).is_some() || super::is_plain(&visit.model(), &name);
    Ok(see(&if there { path(&name) } else { "/names".into() }))
}

/// True for a record set, as JSON, whose owner is `name`.
fn is_at(record: &Value, name: &Name, model: &Model) -> bool {
    let field = |field| record.get(field).and_then(Value::as_str);
    let zone = field("zone").and_then(|zone| model.zones.get(&zone.parse().ok()?));
    let owner = field("name").and_then(|owner| Name::parse(owner, zone.map(|zone| &zone.fqdn)).ok());
    owner.as_ref() == Some(name)
}

fn rules_of(policy: &Policy) -> Vec<Value> {
    json!(policy.rules).as_array().cloned().unwrap_or_default()
}

async fn keep_rules(visit: &Visit, world: &World, id: &Id<Policy>, rules: Vec<Value>) -> Result<(), Refusal> {
    let mut value = world.drafted.entity(Kind::Policies, id.as_str()).unwrap_or_default();
    value["rules"] = rules.into();
    keep_policy(visit, id, value).await
}

pub async fn keep_policy(visit: &Visit, id: &Id<Policy>, value: Value) -> Result<(), Refusal> {
    let edit = Edit { kind: Kind::Policies, id: id.to_string(), value: Some(value) };
    visit.web.control.edit_draft(&visit.user().id, vec![edit]).await.map(drop)
}
