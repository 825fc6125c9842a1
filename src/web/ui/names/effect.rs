//! What the reader's draft does to one policy: who moves, which rules go and come, what its tests say.

use super::super::draft::review::answer;
use super::super::sentence::{self, Bold, Fate};
use super::super::text::{Text, text};
use super::super::visit::Visit;
use super::{World, tabs};
use crate::control::Refusal;
use crate::control::preview::{Answers, Preview};
use crate::model::{Id, Name, Policy};

/// Moves that are listed.
const MAX_MOVES: usize = 8;

/// What the draft does to this policy.
pub struct Effect {
    /// It answers nobody before the draft is published.
    pub is_new: bool,
    /// As everything is now, and with every pool up where one is not.
    pub sides: Vec<SideShown>,
    pub changes: Vec<(Option<Text>, Option<Text>)>,
    pub warnings: Vec<String>,
    pub fault: Option<String>,
    pub tests: usize,
    pub passing: usize,
}

/// Who moves, and on what ground that is said.
pub struct SideShown {
    pub base: Text,
    /// Part of the answers that are others.
    pub moving: f64,
    pub without_answer: f64,
    pub moves: Vec<(Text, Text, f64)>,
    pub more_moves: usize,
}

impl SideShown {
    fn of(id: &Id<Policy>, base: Text, answers: Answers) -> SideShown {
        let mine: Vec<_> = answers.moves.into_iter().filter(|one| one.policy == id.as_str()).collect();
        // Names of one policy are answered alike: the first stands for all.
        let first = mine.first().map(|one| one.name.clone());
        let moves: Vec<_> = mine.into_iter().filter(|one| Some(&one.name) == first.as_ref()).collect();
        SideShown {
            base,
            moving: sum(moves.iter().map(|one| one.moved)),
            without_answer: sum(moves.iter().filter(|one| !one.to.contains('%')).map(|one| one.share)),
            more_moves: moves.len().saturating_sub(MAX_MOVES),
            moves: moves.iter().take(MAX_MOVES).map(|one| (answer(&one.from), answer(&one.to), one.moved)).collect(),
        }
    }
}

pub async fn effect(
    visit: &Visit,
    world: &World,
    name: &Name,
    id: &Id<Policy>,
    policy: &Policy,
    live: Option<&Policy>,
) -> Effect {
    let (passing, tests) = tabs::passing(visit, world, name).await;
    let mut effect = Effect {
        is_new: live.is_none(),
        sides: Vec::new(),
        changes: changes(world, policy, live),
        warnings: Vec::new(),
        fault: None,
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
        let up = preview.all_up.map(|answers| SideShown::of(id, text("With every pool up"), answers));
        let base = if up.is_some() { "As everything is now" } else { "As everything is now: no pool is down" };
        self.sides = std::iter::once(SideShown::of(id, text(base), preview.as_now)).chain(up).collect();
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
