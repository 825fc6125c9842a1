//! The state of a name in one word, one shape and one colour.

use super::super::filters::{Draw, icon_html};
use super::super::text::{Language, text};
use crate::answer::PlanState;

/// The order is that of lists: what needs somebody first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameState {
    NoAnswer,
    LastResort,
    Failover,
    AsPlanned,
    /// Only in the reader's draft: nobody is answered by it yet.
    Drafted,
    /// Its policy is disabled.
    Off,
    /// Fixed records only.
    Plain,
}

impl From<PlanState> for NameState {
    fn from(state: PlanState) -> Self {
        match state {
            PlanState::NoAnswer => NameState::NoAnswer,
            PlanState::LastResort => NameState::LastResort,
            PlanState::Failover => NameState::Failover,
            PlanState::AsPlanned => NameState::AsPlanned,
        }
    }
}

impl NameState {
    pub fn word(self) -> &'static str {
        match self {
            NameState::NoAnswer => "No answer",
            NameState::LastResort => "Last resort",
            NameState::Failover => "On failover",
            NameState::AsPlanned => "As planned",
            NameState::Drafted => "Not published yet",
            NameState::Off => "Not steered",
            NameState::Plain => "Plain records",
        }
    }

    /// In URLs and exports.
    pub fn slug(self) -> &'static str {
        match self {
            NameState::NoAnswer => "no_answer",
            NameState::LastResort => "last_resort",
            NameState::Failover => "failover",
            NameState::AsPlanned => "as_planned",
            NameState::Drafted => "drafted",
            NameState::Off => "off",
            NameState::Plain => "plain",
        }
    }

    /// Whether a filter of the list lets it through.
    pub fn is_in(self, filter: &str) -> bool {
        match filter {
            "problems" => self <= NameState::Failover,
            "failover" => matches!(self, NameState::Failover | NameState::LastResort),
            "planned" => self == NameState::AsPlanned,
            "plain" => matches!(self, NameState::Plain | NameState::Off),
            _ => true,
        }
    }
}

impl Draw for NameState {
    /// Shape and word.
    fn html(&self, language: Language) -> String {
        let (class, icon) = match self {
            NameState::NoAnswer => ("bad", "octagon-x"),
            NameState::LastResort => ("bad", "triangle-alert"),
            NameState::Failover => ("warn", "triangle-alert"),
            NameState::AsPlanned => ("ok", "circle-check"),
            NameState::Drafted => ("idle", "pencil"),
            NameState::Off => ("idle", "ban"),
            NameState::Plain => ("idle", "file-text"),
        };
        let word = text(self.word()).to_html(language);
        format!("<span class=\"st {class}\">{}{word}</span>", icon_html(icon))
    }
}
