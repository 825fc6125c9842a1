//! The editor: every rule a sentence, one of them open as a form. All of it works without script; what was
//! typed is never lost.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::dock::Dock;
use super::super::explain::{self, Panel};
use super::super::filters::{self, Markup};
use super::super::form::{Faults, Form};
use super::super::frame::{Frame, Place};
use super::super::live::{Fragment, moving};
use super::super::sentence::{self, Bold, Fate, Plain, region_name};
use super::super::state::{PoolStates, StateWord};
use super::super::text::{Text, plain, text};
use super::super::visit::Visit;
use super::effect::{Effect, effect};
use super::options::{AttachForm, FIELDS, OptionsForm};
use super::page::{Follows, Head, head, topic};
use super::rule_form::{PoolForm, RuleForm, StepForm};
use super::slots::{Chips, Keys, Links};
use super::state::NameState;
use super::text_edit::TextEdit;
use super::{World, policy_of};
use crate::answer::{PlanState, RuleState, policy_state};
use crate::geo::{Split, SplitRule};
use crate::model::{Id, LastResort, Model, Name, Policy, Pool, Rule, builtin};
use crate::web::Problem;

/// Pools or regions up to which a field is a list to choose from; past it, a field that suggests while one types.
const MAX_SELECT: usize = 60;
/// Names of the policy that the page lists.
pub const MAX_ATTACHED: usize = 50;

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
    pub editable: bool,
    /// What the chips of the sentences offer.
    pub pools: Choices,
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
    /// Adds a pool to the end of the sentence.
    pub more: Option<Markup>,
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

moving!(rule: RuleShown; Said "ui/name_rule_said.html" "said-", Meta "ui/name_rule_meta.html" "meta-");

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
    pub fn new(at: String, last: bool, form: RuleForm, faults: Faults, model: &Model) -> RuleEdit {
        RuleEdit { at, last, form, faults, pools: Choices::pools(model), regions: Choices::regions(model) }
    }

    fn typed(at: String, policy: &Policy, typed: &Form, model: &Model) -> RuleEdit {
        let last = at == policy.rules.len().to_string();
        RuleEdit::new(at, last, RuleForm::of_form(typed), Faults::default(), model)
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

    /// True for the step that takes over, where there are others and nobody has filled it in.
    pub fn is_one_more(&self, at: &usize) -> bool {
        *at > 0 && *at == self.kept_steps()
    }

    pub fn kept_steps(&self) -> usize {
        self.form.steps.len()
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

impl Open {
    /// Something is being filled in.
    fn is_form(&self) -> bool {
        self.edit.is_some() || self.text.is_some() || self.options.is_some()
    }
}

pub async fn show(visit: &Visit, world: &World, name: &Name, query: &Form) -> Result<Response, Problem> {
    let mut open = Open::default();
    let shows_live = query.text("version") == "live";
    let may_edit = visit.may(crate::control::token::Role::Editor) && !shows_live;
    if let (true, Some((id, policy))) = (may_edit, world.policy_of(name)) {
        open.edit = match query.has("last_resort") {
            // While somebody types, the script asks for the page as it would be with this rule.
            true => Some(RuleEdit::typed(query.text("at").to_owned(), policy, query, &world.drafted)),
            false => opened(query.text("edit"), policy, &world.drafted),
        };
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
    let mut steering = with_rules(visit, world, name, open, shows_live).await;
    steering.panel = explained(visit, &steering.head, steering.editable || !shows_live).await?;
    if let Some((id, policy)) = policy_of(if shows_live { &world.live } else { &world.drafted }, name)
        && steering.head.drafted
        && !shows_live
    {
        let live = world.live.policies.get(id).map(|live| &**live);
        steering.effect = Some(effect(visit, world, name, id, policy, live).await);
    }
    Ok(visit.page_with(status, &steering))
}

/// The rules as they are now. One that is open as a form is left to whoever fills it in.
pub async fn live(visit: &Visit, world: &World, name: &Name, shows_live: bool) -> Vec<Fragment> {
    let steering = with_rules(visit, world, name, Open::default(), shows_live).await;
    steering.rules.iter().flat_map(|rule| fragments(visit, rule, &rule.number.to_string())).collect()
}

/// The page without what a client would get and what the draft would do.
async fn with_rules(visit: &Visit, world: &World, name: &Name, open: Open, shows_live: bool) -> Steering {
    let head = head(visit, world, name, "steering", shows_live);
    let frame = visit.frame(Place::Names, plain(&head.name)).await.under(text("Names"), "/names");
    let follows = match (open.is_form(), shows_live) {
        (true, _) => Follows::Head,
        (false, true) => Follows::Live,
        (false, false) => Follows::Draft,
    };
    let frame = frame.live(topic(&head.name, follows));
    let model = if shows_live { &world.live } else { &world.drafted };
    let editable = frame.may_edit() && !shows_live && head.policy.is_some();
    let said = open.faults.beside(if open.options.is_some() { &FIELDS[..] } else { &[] });
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
        editable,
        pools: Choices::pools(model),
        effect: None,
        low_ttl: false,
        said,
        panel: None,
        dock: Dock::of(visit, &world.draft),
    };
    if let Some((id, policy)) = policy_of(model, name) {
        let live = world.live.policies.get(id).map(|live| &**live);
        steering.fill(visit, world, model, policy, live.filter(|_| !shows_live));
        steering.attach.fill(policy, name);
        steering.low_ttl = policy.ttl < 30;
    }
    steering
}

impl Steering {
    fn fill(&mut self, visit: &Visit, world: &World, model: &Model, policy: &Policy, live: Option<&Policy>) {
        let states = PoolStates::of(model, &visit.web.control.health());
        let now = policy_state(&world.snapshot, policy);
        let shares = shares(world, model, policy);
        let (fates, removed) = live.map(|live| sentence::fates(live, policy)).unwrap_or_default();
        let last = policy.rules.len().saturating_sub(1);
        let chips = Chips { visit, frame: &self.frame, path: &self.head.path, pools: &self.pools };
        for (at, rule) in policy.rules.iter().enumerate() {
            let number = at + 1;
            let open = self.edit.as_ref().is_some_and(|edit| edit.at == number.to_string());
            let (sentence, more) = if self.editable && !open {
                let href = format!("?edit={number}#r{number}");
                let was = match (fates.get(at), live) {
                    (Some(Fate::Changed(old)), Some(live)) => live.rules.get(*old),
                    _ => None,
                };
                let links = Links { model, states: &states, href, was, rule, number, chips: &chips };
                (sentence::rule(policy, at, &links), Some(links.more()))
            } else {
                (sentence::rule(policy, at, &Keys { model, states: &states }), None)
            };
            let state = now.rules.iter().find(|state| state.rule == at);
            self.rules.push(RuleShown {
                number,
                last: at == last,
                sentence,
                more,
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
        let names = ids.iter().map(plain);
        names
            .reduce(|before, next| text("{before}, {next}").say("before", before).say("next", next))
            .unwrap_or_else(|| plain(""))
    };
    let now = || listed(&state.answering);
    match state.state {
        PlanState::AsPlanned => None,
        PlanState::NoAnswer => Some(("bad", text("No pool can answer: these clients get nothing"))),
        PlanState::LastResort => Some(("bad", text("No pool is up, {now} answers all the same").say("now", now()))),
        PlanState::Failover if state.ends_hold => {
            let words =
                "{now} is held, and answers all the same: nothing else of the rule is up; the next query ends the hold";
            Some(("warn", text(words).say("now", now())))
        }
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
