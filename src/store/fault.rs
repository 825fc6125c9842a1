//! What went wrong with the disk or the files on it, said to the operator: where, what, and what to do next.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

/// Files of a directory whose owners are looked at for what is wrong.
const MAX_LOOK: usize = 1_000;

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
        let problem = format!("cannot {doing}: {error}");
        let is_forbidden = ["ermission denied", "not permitted"].iter().any(|words| problem.contains(words));
        let remedy = match of_another(place).filter(|_| is_forbidden) {
            Some((path, owner, own)) => format!(
                "{} belongs to user {owner} and northing runs as user {own}; run it as user {owner}, or give the whole \
                 directory to user {own} with chown -R",
                path.display()
            ),
            None => "check that the disk has room, is writable and belongs to this user, then try again".into(),
        };
        Fault::new(place, problem, remedy)
    }

    /// True where there is no room left. Known by its words, the first of them ours: sled loses the codes of errors on
    /// their way.
    pub fn is_full(&self) -> bool {
        ["MiB left", "No space left", "no storage space", "uota exceeded"]
            .iter()
            .any(|words| self.problem.contains(words))
    }
}

/// What of `place` belongs to another user than this process: it or something in it, whose it is, and who we are.
fn of_another(place: &Path) -> Option<(PathBuf, u32, u32)> {
    let own = fs::metadata("/proc/self").ok()?.uid();
    let inside = fs::read_dir(place).into_iter().flatten().take(MAX_LOOK).flatten().map(|entry| entry.path());
    let owned = |path: PathBuf| Some((fs::metadata(&path).ok()?.uid(), path));
    let mut all = std::iter::once(place.to_owned()).chain(inside).filter_map(owned);
    all.find(|(owner, _)| *owner != own).map(|(owner, path)| (path, owner, own))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place.display(), self.problem, self.remedy)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_disk_without_room_is_told_from_one_that_refuses() {
        for (error, is_full) in [
            (io::Error::from_raw_os_error(libc::ENOSPC), true),
            (io::Error::from_raw_os_error(libc::EDQUOT), true),
            (io::Error::from(io::ErrorKind::StorageFull), true),
            (io::Error::from(io::ErrorKind::QuotaExceeded), true),
            (io::Error::from_raw_os_error(libc::EROFS), false),
        ] {
            assert_eq!(Fault::disk(Path::new("/x"), "write this file", &error).is_full(), is_full, "{error}");
        }
    }
}
