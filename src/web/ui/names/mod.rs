//! Names: what is answered for each, and the editor of who gets which pool. Edits go into the reader's draft.

mod effect;
mod files;
mod kept_tests;
mod list;
mod new;
mod options;
mod page;
mod places;
mod remove;
mod rule_form;
mod rules;
mod slots;
mod state;
mod steering;
mod tabs;
mod text_edit;
mod traffic;

use std::sync::Arc;

use axum::routing::{get, post};

use super::Page;
use super::export::both;
use super::live::Fragment;
use super::visit::Visit;
use crate::answer::Snapshot;
use crate::control::draft::Draft;
use crate::control::token::Role;
use crate::model::{Id, Kind, Model, Name, Policy, RecordType};
use crate::web::Problem;

pub use new::is_relative;
pub use options::{outside, zone_of};

pub(super) fn pages() -> Vec<Page> {
    let mut pages = vec![
        Page::new("/names", Role::Viewer, get(list::show)),
        Page::new("/names.csv", Role::Viewer, get(list::csv)),
        Page::new("/names.json", Role::Viewer, get(list::json)),
        Page::new("/names/ttl", Role::Editor, post(list::set_ttl)),
        Page::new("/names/tests", Role::Viewer, get(kept_tests::show)),
        Page::new("/names/tests.csv", Role::Viewer, get(kept_tests::csv)),
        Page::new("/names/tests.json", Role::Viewer, get(kept_tests::json)),
        Page::new("/names/tests/delete", Role::Editor, post(kept_tests::delete)),
        Page::new("/names/new", Role::Editor, get(new::show).post(new::add)),
        Page::new("/names/{name}", Role::Viewer, get(page::show)),
        Page::new("/names/{name}/rule", Role::Editor, post(rules::keep_rule)),
        Page::new("/names/{name}/rules", Role::Editor, post(rules::arrange)),
        Page::new("/names/{name}/options", Role::Editor, post(options::keep)),
        Page::new("/names/{name}/attach", Role::Editor, post(options::attach)),
        Page::new("/names/{name}/text", Role::Editor, post(text_edit::keep)),
        Page::new("/names/{name}/tests", Role::Editor, post(tabs::keep_test)),
        Page::new("/names/{name}/discard", Role::Editor, post(rules::discard)),
        Page::new("/names/{name}/delete", Role::Editor, get(remove::ask).post(remove::delete)),
    ];
    pages.extend(both!("/names/{name}/records", files::records));
    pages.extend(both!("/names/{name}/traffic", traffic::table));
    pages.extend(both!("/names/{name}/history", files::history));
    pages
}

pub(super) async fn live_name(visit: &Visit, asked: &str) -> Vec<Fragment> {
    page::live(visit, asked).await
}

pub(super) async fn live(visit: &Visit, policies: &str) -> Vec<Fragment> {
    list::live(visit, policies).await
}

/// What is live, and what the reader is about to make of it.
struct World {
    live: Arc<Model>,
    draft: Arc<Draft>,
    /// The model with the draft; the live one where the draft no longer fits it.
    drafted: Arc<Model>,
    snapshot: Arc<Snapshot>,
}

impl World {
    async fn of(visit: &Visit) -> World {
        let snapshot = visit.web.control.snapshot();
        let (live, draft) = (snapshot.model().clone(), visit.draft().await);
        let drafted = visit.web.control.drafted(&visit.user().id).unwrap_or_else(|_| live.clone());
        World { live, draft, drafted, snapshot }
    }

    /// The policy that answers a name, in the draft.
    fn policy_of(&self, name: &Name) -> Option<(&Id<Policy>, &Arc<Policy>)> {
        policy_of(&self.drafted, name)
    }

    fn touches(&self, policy: &Id<Policy>) -> bool {
        self.draft.of(Kind::Policies, policy.as_str()).is_some()
    }

    /// The name in a path.
    fn name(&self, text: &str) -> Result<Name, Problem> {
        let name = Name::parse(text, Some(&Name::root())).map_err(|error| Problem::not_found(format!("{error}.")))?;
        if self.policy_of(&name).is_some() || policy_of(&self.live, &name).is_some() || is_plain(&self.drafted, &name) {
            return Ok(name);
        }
        let asked = name.without_dot();
        Err(Problem::not_found(match nearest(&self.drafted, &name) {
            Some(near) => format!("No name {asked}. Did you mean {}?", near.without_dot()),
            None => format!("No name {asked}."),
        }))
    }
}

/// An enabled policy before a disabled one: two may hold the same name while one is off.
fn policy_of<'m>(model: &'m Model, name: &Name) -> Option<(&'m Id<Policy>, &'m Arc<Policy>)> {
    let holds = |policy: &&(&Id<Policy>, &Arc<Policy>)| policy.1.attach.iter().any(|attach| attach.name == *name);
    let mut holders = model.policies.iter().filter(|policy| holds(&policy)).peekable();
    let first = holders.peek().copied();
    holders.find(|(_, policy)| policy.enabled).or(first)
}

fn is_plain(model: &Model, name: &Name) -> bool {
    model.records.keys().any(|key| key.name == *name)
}

/// The most names that are looked at for one that was meant.
const MAX_NEAR: usize = 5_000;

/// The name that was meant: the same first label in another zone, or the same zone and a similar label.
fn nearest(model: &Model, name: &Name) -> Option<Name> {
    let wanted = name.without_dot();
    let names = model.policies.values().flat_map(|policy| &policy.attach).map(|attach| &attach.name);
    let close = |other: &&Name| crate::model::field::distance(&wanted, &other.without_dot());
    let best = names.take(MAX_NEAR).min_by_key(close)?;
    (close(&best) <= 3).then(|| best.clone())
}

/// The page of a name.
pub(super) fn path(name: &Name) -> String {
    let text = name.without_dot();
    // A name that looks like a page of ours, such as `new` or `tests.csv`, keeps its dot.
    let is_name = text.contains('.') && !text.ends_with(".csv") && !text.ends_with(".json");
    let text = if is_name { text } else { format!("{}.", text.trim_end_matches('.')) };
    format!("/names/{}", encoded(&text))
}

/// For a part of a path or a query.
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// `A and AAAA`.
fn types_word(types: &[RecordType]) -> String {
    types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
