//! What went wrong with the disk or the files on it, said to the operator: where, what, and what to do next.

use std::fmt;
use std::path::{Path, PathBuf};

/// Implements `Error`; prints as `place: problem; remedy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    place: PathBuf,
    problem: String,
    remedy: String,
}

impl Fault {
    pub fn new(place: &Path, problem: impl fmt::Display, remedy: impl Into<String>) -> Fault {
        Fault { place: place.to_owned(), problem: problem.to_string(), remedy: remedy.into() }
    }

    /// The disk refused an operation on `place`.
    pub fn disk(place: &Path, doing: &str, error: impl fmt::Display) -> Fault {
        let remedy = "check that the disk has room, is writable and belongs to this user, then try again";
        Fault::new(place, format!("cannot {doing}: {error}"), remedy)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place.display(), self.problem, self.remedy)
    }
}

impl std::error::Error for Fault {}
