//! Which part of history is looked at: read from the address, and written back into links.

use std::collections::HashMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::super::text::{Text, text};
use crate::health::story::{Plot, Reason, Story};
use crate::model::{FieldError, Model};
use crate::web::Problem;

/// What is drawn before and after something short.
const LEAST_MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// Pools and names to choose from; more are found by search.
const MAX_CHOICES: usize = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Day,
    Week,
    Month,
    Dates,
}

impl Period {
    pub const ALL: [(Period, &'static str, &'static str); 4] = [
        (Period::Day, "24h", "24 h"),
        (Period::Week, "7d", "7 d"),
        (Period::Month, "30d", "30 d"),
        (Period::Dates, "dates", "Dates"),
    ];

    fn hours(self) -> i64 {
        match self {
            Period::Day => 24,
            Period::Week | Period::Dates => 7 * 24,
            Period::Month => 30 * 24,
        }
    }
}

/// A choice of a filter: value, word, whether it is chosen.
#[derive(Debug, Clone)]
pub struct Choice {
    pub value: String,
    pub word: Text,
    pub chosen: bool,
}

#[derive(Debug, Clone)]
pub struct Filters {
    pub period: Period,
    pub from: Timestamp,
    pub to: Timestamp,
    /// The period ends now.
    pub is_now: bool,
    /// As typed, for the fields.
    pub from_date: String,
    pub to_date: String,
    pub pool: String,
    pub name: String,
    pub cause: String,
    pub kind: String,
    pub page: usize,
    pub pools: Vec<Choice>,
    pub names: Vec<Choice>,
}

const CAUSES: [(&str, &str); 9] = [
    ("http", "HTTP answer"),
    ("timed_out", "No answer in time"),
    ("refused", "Connection refused"),
    ("tls", "TLS or certificate"),
    ("dns", "DNS answer"),
    ("unreachable", "Unreachable"),
    ("dependency", "Dependency"),
    ("person", "Somebody did it"),
    ("other", "Other"),
];

const KINDS: [(&str, &str); 6] = [
    ("", "All failovers"),
    ("automatic", "Automatic"),
    ("manual", "Manual"),
    ("open", "Still open"),
    ("notice", "Changes and system"),
    ("all", "Everything"),
];

impl Filters {
    pub fn read(asked: &HashMap<String, String>, now: Timestamp) -> Result<Filters, Problem> {
        let get = |name: &str| asked.get(name).map(|text| text.trim()).unwrap_or_default();
        let word = match get("period") {
            "" if !get("from").is_empty() || !get("to").is_empty() => "dates",
            "" => "24h",
            word => word,
        };
        let period = Period::ALL.iter().find(|(_, known, _)| *known == word).map(|(period, ..)| *period);
        let wrong = |field: &str, value: &str, remedy: &str| {
            Problem::fields(vec![FieldError::new(field, format!("{value:?} is not possible here"), remedy)])
        };
        let period = period.ok_or_else(|| wrong("period", word, "use 24h, 7d, 30d or dates"))?;
        let date = |field: &str| -> Result<Option<Date>, Problem> {
            match get(field) {
                "" => Ok(None),
                text => text.parse().map(Some).map_err(|_| wrong(field, text, "use a date such as 2026-11-21")),
            }
        };
        let midnight = |date: Date| date.to_zoned(TimeZone::UTC).map(|day| day.timestamp()).unwrap_or(now);
        let hours = |time: Timestamp, hours: i64| time.checked_add(SignedDuration::from_hours(hours)).unwrap_or(time);
        let (from, to) = match period {
            Period::Dates => (date("from")?, date("to")?),
            _ => (None, None),
        };
        let to = to.map_or(now, |day| hours(midnight(day), 24)).min(now);
        let from = from.map_or(hours(to, -period.hours()), midnight);
        if from >= to {
            return Err(wrong("from", get("from"), "use a day before the last one, and none in the future"));
        }
        Ok(Filters::of(asked, period, from, to, now))
    }

    /// What was asked for, where the period is wrong: the dates as they were typed, for the form to show again.
    pub fn as_typed(asked: &HashMap<String, String>, now: Timestamp) -> Filters {
        Filters::of(asked, Period::Dates, now, now, now)
    }

    fn of(asked: &HashMap<String, String>, period: Period, from: Timestamp, to: Timestamp, now: Timestamp) -> Filters {
        let get = |name: &str| asked.get(name).map(|text| text.trim()).unwrap_or_default();
        Filters {
            period,
            from,
            to,
            is_now: to == now,
            from_date: get("from").to_owned(),
            to_date: get("to").to_owned(),
            pool: get("pool").to_owned(),
            name: get("name").trim_end_matches('.').to_owned(),
            cause: get("cause").to_owned(),
            kind: get("kind").to_owned(),
            page: get("page").parse().unwrap_or(1).clamp(1, 10_000),
            pools: Vec::new(),
            names: Vec::new(),
        }
    }

    /// The time around something, with some of what was before it and after it.
    pub fn around(starts: Timestamp, ends: Timestamp, now: Timestamp) -> Filters {
        let margin = (ends.duration_since(starts) / 5).max(LEAST_MARGIN);
        let from = starts.checked_sub(margin).unwrap_or(starts);
        let to = ends.checked_add(margin).unwrap_or(ends).min(now);
        let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
        Filters {
            period: Period::Dates,
            from,
            to,
            is_now: to == now,
            from_date: day(from),
            to_date: day(to),
            pool: String::new(),
            name: String::new(),
            cause: String::new(),
            kind: String::new(),
            page: 1,
            pools: Vec::new(),
            names: Vec::new(),
        }
    }

    /// The same until the end of a day, where that is before the end of the period.
    pub fn until_day_of(&self, at: Timestamp) -> Option<Filters> {
        let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
        (day(at) < day(self.to)).then(|| Filters {
            period: Period::Dates,
            from_date: day(self.from),
            to_date: day(at),
            page: 1,
            ..self.clone()
        })
    }

    pub fn with_choices(mut self, model: &Model) -> Filters {
        let names: std::collections::BTreeSet<String> = model
            .policies
            .values()
            .flat_map(|policy| &policy.attach)
            .map(|attach| attach.name.to_string().trim_end_matches('.').to_owned())
            .collect();
        self.pools = choices("All pools", model.pools.keys().map(|id| id.to_string()), &self.pool);
        self.names = choices("All names", names.into_iter(), &self.name);
        self
    }

    pub fn causes(&self) -> Vec<Choice> {
        let first = ("", "Any cause");
        std::iter::once(&first).chain(&CAUSES).map(|(value, word)| choice(value, text(word), &self.cause)).collect()
    }

    pub fn kinds(&self) -> Vec<Choice> {
        KINDS.iter().map(|(value, word)| choice(value, text(word), &self.kind)).collect()
    }

    /// The links of the periods: address, word, whether it is the chosen one.
    pub fn periods(&self) -> Vec<(String, &'static str, bool)> {
        let link = |(period, value, word): &(Period, &'static str, &'static str)| {
            let path = self.path("/history", &[("period", (*value).to_owned()), ("page", String::new())]);
            (path, *word, *period == self.period)
        };
        Period::ALL.iter().map(link).collect()
    }

    pub fn is_dates(&self) -> bool {
        self.period == Period::Dates
    }

    /// Nothing but the period is chosen.
    pub fn is_plain(&self) -> bool {
        [&self.pool, &self.name, &self.cause, &self.kind].iter().all(|value| value.is_empty())
    }

    pub fn period_word(&self) -> &'static str {
        Period::ALL.iter().find(|(period, ..)| *period == self.period).map_or("24h", |(_, word, _)| word)
    }

    /// The end of a period that is over.
    pub fn until(&self) -> Option<Timestamp> {
        (!self.is_now).then_some(self.to)
    }

    /// False for pools that somebody left out.
    pub fn wants(&self, pool: &str) -> bool {
        self.pool.is_empty() || self.pool == pool
    }

    pub fn admits(&self, story: &Story) -> bool {
        let is_name = |name: &&str| name.trim_end_matches('.') == self.name;
        let about_pool = || {
            let subject = format!("pools/{}", self.pool);
            story.subject == self.pool
                || story.instead.contains(&self.pool)
                || story.steps.iter().any(|event| event.subject == subject)
        };
        let of_kind = match self.kind.as_str() {
            "" => story.plot != Plot::Notice,
            "automatic" => story.plot != Plot::Notice && story.is_automatic,
            "manual" => story.plot != Plot::Notice && !story.is_automatic,
            "open" => story.is_open,
            "notice" => story.plot == Plot::Notice,
            _ => true,
        };
        of_kind
            && (self.pool.is_empty() || about_pool())
            && (self.name.is_empty() || story.names().iter().any(is_name))
            && (self.cause.is_empty() || reason_word(story.reason()) == self.cause)
    }

    /// The query of this page with some values changed; an empty value is left out.
    pub fn query(&self, changed: &[(&str, String)]) -> String {
        let page = if self.page > 1 { self.page.to_string() } else { String::new() };
        let dates = |date: &String| if self.is_dates() { date.clone() } else { String::new() };
        let known = [
            ("period", self.period_word().to_owned()),
            ("from", dates(&self.from_date)),
            ("to", dates(&self.to_date)),
            ("pool", self.pool.clone()),
            ("name", self.name.clone()),
            ("cause", self.cause.clone()),
            ("kind", self.kind.clone()),
            ("page", page),
        ];
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in known {
            let value = changed.iter().find(|(other, _)| *other == name).map_or(value, |(_, value)| value.clone());
            if !value.is_empty() {
                query.append_pair(name, &value);
            }
        }
        query.finish()
    }

    pub fn path(&self, path: &str, changed: &[(&str, String)]) -> String {
        format!("{path}?{}", self.query(changed))
    }

    /// As a sentence begins with it.
    pub fn period_text(&self) -> Text {
        match self.period {
            Period::Day => text("In the last 24 hours"),
            Period::Week => text("In the last 7 days"),
            Period::Month => text("In the last 30 days"),
            Period::Dates => text("From {from} to {to}").set("from", self.day(self.from)).set("to", self.last_day()),
        }
    }

    pub fn period_length(&self) -> Text {
        match self.period {
            Period::Day => text("24 h"),
            Period::Week => text("7 d"),
            Period::Month => text("30 d"),
            Period::Dates => text("{from} to {to}").set("from", self.day(self.from)).set("to", self.last_day()),
        }
    }

    pub fn lanes_title(&self) -> Text {
        match self.period {
            Period::Day => text("Pools over the last 24 hours"),
            Period::Week => text("Pools over the last 7 days"),
            Period::Month => text("Pools over the last 30 days"),
            Period::Dates => {
                text("Pools from {from} to {to}").set("from", self.day(self.from)).set("to", self.last_day())
            }
        }
    }

    fn day(&self, at: Timestamp) -> String {
        at.strftime("%Y-%m-%d").to_string()
    }

    fn last_day(&self) -> String {
        self.day(self.to.checked_sub(SignedDuration::from_secs(1)).unwrap_or(self.to))
    }
}

fn reason_word(reason: Reason) -> String {
    serde_json::json!(reason).as_str().unwrap_or_default().to_owned()
}

fn choice(value: &str, word: Text, chosen: &str) -> Choice {
    Choice { value: value.to_owned(), word, chosen: value == chosen }
}

/// All of a filter's values; the chosen one stays in it even where it no longer exists.
fn choices(all: &'static str, values: impl Iterator<Item = String>, chosen: &str) -> Vec<Choice> {
    let values: Vec<String> = values.collect();
    let gone = (!chosen.is_empty() && !values.iter().take(MAX_CHOICES).any(|value| value == chosen))
        .then(|| chosen.to_owned());
    let values = values.into_iter().take(MAX_CHOICES).chain(gone);
    let word = |value: String| choice(&value, super::super::text::plain(&value), chosen);
    std::iter::once(choice("", text(all), chosen)).chain(values.map(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Filters, u16> {
        let asked = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let now = "2026-11-21T16:00:00Z".parse().unwrap();
        Filters::read(&asked, now).map_err(|problem| problem.status)
    }

    #[test]
    fn a_period_is_read_from_the_address() {
        for (asked, from, to) in [
            (&[][..], "2026-11-20T16:00:00Z", "2026-11-21T16:00:00Z"),
            (&[("period", "7d")], "2026-11-14T16:00:00Z", "2026-11-21T16:00:00Z"),
            (&[("from", "2026-11-01"), ("to", "2026-11-02")], "2026-11-01T00:00:00Z", "2026-11-03T00:00:00Z"),
            (&[("from", "2026-11-01"), ("to", "2027-01-01")], "2026-11-01T00:00:00Z", "2026-11-21T16:00:00Z"),
        ] {
            let filters = read(asked).unwrap();
            assert_eq!((filters.from.to_string().as_str(), filters.to.to_string().as_str()), (from, to));
        }
    }

    #[test]
    fn a_wrong_period_is_refused() {
        for asked in [[("period", "2h")], [("from", "yesterday")], [("from", "2027-01-01")]] {
            assert_eq!(read(&asked).err(), Some(422), "{asked:?}");
        }
    }

    #[test]
    fn links_keep_the_other_filters() {
        let filters = read(&[("period", "30d"), ("pool", "eu"), ("page", "3")]).unwrap();
        assert_eq!(filters.query(&[("page", "4".into())]), "period=30d&pool=eu&page=4");
        assert_eq!(filters.query(&[("page", String::new()), ("pool", "a&b".into())]), "period=30d&pool=a%26b");
    }
}
