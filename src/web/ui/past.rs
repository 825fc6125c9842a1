//! Searching what was kept, page by page: the filters that versions and audit share, and how far one request
//! goes back.

use std::collections::HashMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::model::FieldError;

/// Rows of a page.
pub const PAGE: usize = 50;
/// Entries that one page looks through; then it says so, and a link goes on.
pub const MAX_SEARCHED: usize = 20_000;
/// Entries that one export looks through.
pub const MAX_EXPORTED: usize = 100_000;
/// Entries read at once, so that nothing else waits long for the disk.
pub const STEP: usize = 1_000;

/// The query of a list's page, as it was asked.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    fields: HashMap<String, String>,
    pub before: Option<u64>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Asked {
    pub fn of(fields: HashMap<String, String>) -> Asked {
        let day = |name: &str| fields.get(name).and_then(|text| text.parse::<Date>().ok());
        let at = |day: Date| day.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
        let from = day("from").and_then(at);
        let to = day("to").and_then(|day| at(day.checked_add(1.day()).ok()?));
        let before = fields.get("before").and_then(|text| text.parse().ok());
        Asked { before, from, to, fields }
    }

    /// What is wrong with the period, which then leaves nothing out.
    pub fn errors(&self) -> Vec<FieldError> {
        let wrong = |field: &str, remedy: &str| {
            FieldError::new(field, format!("{:?} is not possible here", self.text(field)), remedy)
        };
        let is_unread = |(field, at): &(&str, Option<Timestamp>)| at.is_none() && !self.text(field).is_empty();
        let unread = [("from", self.from), ("to", self.to)].into_iter().filter(is_unread);
        let swapped = self.from.zip(self.to).filter(|(from, to)| from >= to);
        let swapped = swapped.map(|_| wrong("from", "use a day before the last one, and none in the future"));
        unread.map(|(field, _)| wrong(field, "use a date such as 2026-11-21")).chain(swapped).collect()
    }

    /// From the newest on, whichever page was looked at.
    pub fn whole(fields: HashMap<String, String>) -> Asked {
        Asked { before: None, ..Asked::of(fields) }
    }

    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |text| text.trim())
    }

    /// True when nothing was asked for or `value` holds it, however it is written.
    pub fn admits(&self, name: &str, value: &str) -> bool {
        let wanted = self.text(name);
        wanted.is_empty() || value.to_lowercase().contains(&wanted.to_lowercase())
    }

    pub fn admits_time(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to)
    }

    /// True when nothing older can be wanted. A clock that was set back by more than a day hides some.
    pub fn is_too_old(&self, at: Timestamp) -> bool {
        self.from.is_some_and(|from| at.checked_add(24.hours()).is_ok_and(|at| at < from))
    }

    pub fn is_filtered(&self, names: &[&str]) -> bool {
        names.iter().any(|name| !self.text(name).is_empty())
    }

    /// The same question on another path, `before` a number.
    pub fn query(&self, names: &[&str], before: Option<u64>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for name in names.iter().filter(|name| !self.text(name).is_empty()) {
            query.append_pair(name, self.text(name));
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        query.finish()
    }
}

/// Where a search stopped.
#[derive(Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Nothing older is left.
    AtEnd,
    /// There may be more before this number.
    Before(u64),
}

/// Collects up to `want` of what `read` gives, newest first, and looks through `most` at most.
pub async fn search<T, E, F: Future<Output = Result<Vec<T>, E>>>(
    asked: &Asked,
    want: usize,
    most: usize,
    number_and_time: impl Fn(&T) -> (u64, Timestamp),
    admits: impl Fn(&T) -> bool,
    read: impl Fn(Option<u64>, usize) -> F,
) -> Result<(Vec<T>, Stopped), E> {
    let (mut found, mut before, mut searched) = (Vec::new(), asked.before, 0);
    loop {
        let page = read(before, STEP).await?;
        let is_last = page.len() < STEP;
        for entry in page {
            let (number, at) = number_and_time(&entry);
            if asked.is_too_old(at) {
                return Ok((found, Stopped::AtEnd));
            }
            if found.len() == want || searched == most {
                return Ok((found, Stopped::Before(before.unwrap_or(number + 1))));
            }
            before = Some(number);
            searched += 1;
            if asked.admits_time(at) && admits(&entry) {
                found.push(entry);
            }
        }
        if is_last {
            return Ok((found, Stopped::AtEnd));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &[(&str, &str)]) -> Asked {
        Asked::of(query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// Numbers down from 2500; each a day older than the one after it.
    async fn found(asked: &Asked, want: usize, most: usize, even: bool) -> (Vec<u64>, Stopped) {
        let newest: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let time = |number: &u64| (*number, newest - (24 * (2500 - *number as i64)).hours());
        let read = |before: Option<u64>, limit: usize| async move {
            let first = before.unwrap_or(2501);
            Ok::<_, ()>((1..first).rev().take(limit).collect::<Vec<u64>>())
        };
        search(asked, want, most, time, |number| !even || number % 2 == 0, read).await.unwrap()
    }

    #[tokio::test]
    async fn pages_follow_each_other_without_a_gap() {
        let (mut all, mut query) = (Vec::new(), Vec::new());
        loop {
            let pairs: Vec<(&str, String)> = query.clone();
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let (page, stopped) = found(&asked(&pairs), 300, 700, true).await;
            all.extend(page);
            match stopped {
                Stopped::AtEnd => break,
                Stopped::Before(number) => query = vec![("before", number.to_string())],
            }
        }
        assert_eq!(all, (1..=2500).rev().filter(|number| number % 2 == 0).collect::<Vec<u64>>());
    }

    #[test]
    fn a_period_that_cannot_be_is_told_beside_its_field() {
        for (from, to, wrong) in [
            ("2026-11-17", "2026-11-17", &[][..]),
            ("", "2026-11-17", &[]),
            ("abc", "2026-11-31", &["from", "to"]),
            ("2026-11-18", "2026-11-17", &["from"]),
        ] {
            let errors = asked(&[("from", from), ("to", to)]).errors();
            assert_eq!(errors.iter().map(|error| error.at.as_str()).collect::<Vec<_>>(), wrong, "{from} {to}");
        }
    }

    #[tokio::test]
    async fn a_period_is_whole_days() {
        let asked = asked(&[("from", "2026-11-17"), ("to", "2026-11-18")]);
        assert_eq!(found(&asked, 50, 5000, false).await, (vec![2498, 2497], Stopped::AtEnd));
    }
}
