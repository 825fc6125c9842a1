//! What stands round every page: menu, search, draft, live state, account.

use askama::Template;

use super::clash::Seen;
use super::filters;
use super::live::Fragment;
use super::session::{Notice, User};
use super::state::{PoolStates, StateWord};
use super::text::{Language, Text, text};
use super::visit::Visit;
use crate::control::draft::Draft;
use crate::control::token::Role;

/// The entry of the menu that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Overview,
    Names,
    Pools,
    Regions,
    Simulator,
    History,
    Zones,
    Audit,
    Settings,
    Api,
    /// None of them.
    Elsewhere,
}

/// A link of the menu.
pub struct Entry {
    pub place: Place,
    pub path: &'static str,
    pub icon: &'static str,
    pub word: &'static str,
    /// Who may open it; nobody else is shown it.
    pub role: Role,
}

const fn entry(place: Place, path: &'static str, icon: &'static str, word: &'static str) -> Entry {
    Entry { place, path, icon, word, role: Role::Viewer }
}

const fn entry_for(role: Role, entry: Entry) -> Entry {
    Entry { role, ..entry }
}

/// The menu's parts with their headings. Pages come in here when they work.
pub const MENU: &[(&str, &[Entry])] = &[
    ("", &[entry(Place::Overview, "/", "gauge", "Overview")]),
    (
        "Steering",
        &[
            entry(Place::Names, "/names", "signpost", "Names"),
            entry(Place::Pools, "/pools", "layers", "Pools"),
            entry(Place::Regions, "/regions", "map", "Regions"),
            entry(Place::Simulator, "/explain", "radar", "Simulator"),
        ],
    ),
    ("Operations", &[entry(Place::History, "/history", "history", "History")]),
    (
        "System",
        &[
            entry(Place::Zones, "/zones", "file-text", "Zones and export"),
            entry_for(Role::Operator, entry(Place::Audit, "/audit", "scroll-text", "Audit")),
            entry(Place::Settings, "/settings", "settings", "Settings"),
            entry(Place::Api, "/api", "terminal", "API"),
        ],
    ),
];

/// What moves in the frame of every page that is followed.
pub(super) fn live(visit: &Visit) -> Vec<Fragment> {
    let down = pools_down(visit);
    let part = visit.render(&PoolsDown { down }).map(|html| Fragment::new("pools-down", html));
    part.into_iter().collect()
}

#[derive(Template)]
#[template(path = "ui/pools_down.html")]
struct PoolsDown {
    down: usize,
}

fn pools_down(visit: &Visit) -> usize {
    let states = PoolStates::of(&visit.model(), &visit.web.control.health());
    states.iter().filter(|(_, shown)| shown.state == StateWord::Down).count()
}

fn undo(visit: &Visit) -> Option<(u64, i64)> {
    let (number, left) = visit.web.control.undoable(&visit.user().id, visit.now).filter(|_| visit.may(Role::Editor))?;
    // Before the first, which is that of the set-up or of the demo, there is nothing to go back to.
    if number <= 1 {
        return None;
    }
    Some((number, left.as_secs().max(1)))
}

/// The context that every page's template has as `frame`.
pub struct Frame {
    pub title: Text,
    pub place: Place,
    /// Name and path of the pages above this one.
    pub crumbs: Vec<(Text, String)>,
    pub language: Language,
    pub theme: &'static str,
    pub user: User,
    pub form_token: String,
    /// What the page's forms are drawn from; `clash` tells by it who was faster.
    pub seen: Seen,
    /// Changes that wait to be published.
    pub drafted: usize,
    /// In the menu, beside Pools.
    pub pools_down: usize,
    pub node: String,
    pub revision: u64,
    pub notices: Vec<Notice>,
    /// A publication of the user's that can still be taken back, and for how many seconds.
    pub undo: Option<(u64, i64)>,
    /// Who published meanwhile what this page is about and the user has drafted.
    pub clash: Option<Text>,
    /// What the page's live stream is about, such as `pool:eu-west`; empty for none.
    pub live: String,
    /// Path and query of the page.
    pub here: String,
}

impl Frame {
    pub fn new(visit: &Visit, draft: &Draft, place: Place, title: Text) -> Frame {
        let model = visit.model();
        Frame {
            title,
            place,
            crumbs: Vec::new(),
            language: visit.language,
            theme: visit.theme,
            user: visit.user().clone(),
            form_token: visit.session.form_token.clone(),
            seen: visit.seen(),
            drafted: draft.edits.len(),
            pools_down: pools_down(visit),
            node: visit.web.metrics.node().to_owned(),
            revision: model.revision,
            notices: visit.take_notices(),
            undo: undo(visit),
            clash: None,
            live: String::new(),
            here: visit.here.clone(),
        }
    }

    /// One's own publication is live, and can be taken back: on every page until then.
    pub fn published(&self) -> Option<Text> {
        self.undo.map(|(number, _)| text("Version {n} is live.").set("n", number))
    }

    pub fn under(mut self, word: Text, path: impl Into<String>) -> Frame {
        self.crumbs.push((word, path.into()));
        self
    }

    pub fn live(mut self, topics: impl Into<String>) -> Frame {
        self.live = topics.into();
        self
    }

    /// What the user may open; nothing while another password has to be chosen first.
    pub fn menu(&self) -> Vec<(&'static str, Vec<&'static Entry>)> {
        let opens = |entry: &&Entry| !self.user.must_change && self.user.role >= entry.role;
        let parts = MENU.iter().map(|(heading, entries)| (*heading, entries.iter().filter(opens).collect::<Vec<_>>()));
        parts.filter(|(_, entries)| !entries.is_empty()).collect()
    }

    /// How every state is shown while nothing is heard from the server.
    pub fn no_data(&self) -> &'static StateWord {
        &StateWord::NoData
    }

    pub fn may_edit(&self) -> bool {
        self.user.role >= Role::Editor
    }

    pub fn may_operate(&self) -> bool {
        self.user.role >= Role::Operator
    }

    pub fn is_admin(&self) -> bool {
        self.user.role >= Role::Admin
    }
}
