//! Filters of the templates: words, icons, times and figures in one form on every page. The language and
//! the time come with the render call (`Visit::page`).

use std::fmt::Display;

use askama::filters::Safe;
use askama::{Result, Values, get_value};
use jiff::{SignedDuration, Timestamp};

use super::state::StateWord;
use super::text::{Language, Say, Text};

/// In the reader's language.
#[askama::filter_fn]
pub fn t<S: Say>(text: S, values: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(text.text().to_html(language(values))))
}

/// Fills a slot of a text.
#[askama::filter_fn]
pub fn set<S: Say, D: Display>(text: S, _: &dyn Values, slot: &'static str, value: D) -> Result<Text> {
    Ok(text.text().set(slot, value))
}

/// Fills a slot of a text with another text.
#[askama::filter_fn]
pub fn say<S: Say, O: Say>(text: S, _: &dyn Values, slot: &'static str, other: O) -> Result<Text> {
    Ok(text.text().say(slot, other.text()))
}

/// Fills a slot of a text with what the machine says in English, by a section of `told`.
#[askama::filter_fn]
pub fn tell<S: Say, D: Display>(
    text: S,
    _: &dyn Values,
    slot: &'static str,
    section: &'static str,
    english: D,
) -> Result<Text> {
    Ok(text.text().fact(slot, section, english.to_string()))
}

/// An error in the reader's language.
#[askama::filter_fn]
pub fn told<D: Display>(error: D, values: &dyn Values) -> Result<String> {
    Ok(super::told::told(&error.to_string(), language(values)))
}

/// What the machine says in English, by a section of `told`, in the reader's language.
#[askama::filter_fn]
pub fn fact<D: Display>(english: D, values: &dyn Values, section: &str) -> Result<String> {
    Ok(super::told::fact(section, &english.to_string(), language(values)))
}

/// What another template of ours rendered.
pub struct Markup(pub String);

impl std::fmt::Display for Markup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Markup {}

/// One of the icons in `static/icons.svg`; what it means stands beside it in words.
#[askama::filter_fn]
pub fn icon<D: Display>(name: D, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(icon_html(&name.to_string())))
}

pub fn icon_html(name: &str) -> String {
    let class = if name == "octagon-x" { "i oct" } else { "i" };
    let sprite = super::assets::url("icons.svg");
    format!("<svg class=\"{class}\" aria-hidden=\"true\"><use href=\"{sprite}#{name}\"/></svg>")
}

/// Shape and word of a state.
#[askama::filter_fn]
pub fn badge(state: &StateWord, values: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(state.badge(language(values))))
}

/// The address of a file in `static/`, which changes with its content.
#[askama::filter_fn]
pub fn asset<D: Display>(path: D, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(super::assets::url(&path.to_string())))
}

/// What draws itself: charts, bars and the map.
pub trait Draw {
    /// Markup of ours; every word of somebody else's is escaped.
    fn html(&self, language: Language) -> String;
}

impl<D: Draw> Draw for &D {
    fn html(&self, language: Language) -> String {
        (**self).html(language)
    }
}

impl Draw for super::beat::Beat {
    fn html(&self, language: Language) -> String {
        self.to_html(language)
    }
}

/// A drawing.
#[askama::filter_fn]
pub fn draw<D: Draw>(drawing: &D, values: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(drawing.html(language(values))))
}

/// A moment, short: the time of day in the last 24 hours, else the date with it, and the year where it is another. UTC;
/// the page's script shows local time to those who want it.
#[askama::filter_fn]
pub fn time(at: &Timestamp, values: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(short_time(*at, values)))
}

/// Fills a slot of a text with a moment, as `time` shows it.
#[askama::filter_fn]
pub fn at<S: Say>(text: S, values: &dyn Values, slot: &'static str, at: &Timestamp) -> Result<Text> {
    Ok(text.text().html(slot, short_time(*at, values)))
}

fn short_time(at: Timestamp, values: &dyn Values) -> String {
    time_html(at, &short_form(at, now(values), language(values)))
}

/// Of a page that was begun a moment ago, some of what it tells came since.
const JUST_NOW: SignedDuration = SignedDuration::from_secs(60);

fn short_form(at: Timestamp, now: Timestamp, language: Language) -> String {
    let age = now.duration_since(at);
    let year = |at: Timestamp| at.strftime("%Y").to_string();
    match language {
        _ if age < SignedDuration::from_hours(24) && age > -JUST_NOW => "%H:%M".to_owned(),
        Language::English if year(at) != year(now) => "%-d %b %Y %H:%M".to_owned(),
        Language::Korean if year(at) != year(now) => "%Y-%m-%d %H:%M".to_owned(),
        language => format!("{} %H:%M", day_form(language)),
    }
}

/// How a day of this year is written, for `strftime`: `21 Nov`, and in figures where months are no words.
pub fn day_form(language: Language) -> &'static str {
    match language {
        Language::English => "%-d %b",
        Language::Korean => "%m-%d",
    }
}

/// A moment to the second, with its date.
#[askama::filter_fn]
pub fn moment(at: &Timestamp, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(time_html(*at, "%Y-%m-%d %H:%M:%S")))
}

/// The time of day to the second, as in a row of steps.
#[askama::filter_fn]
pub fn clock(at: &Timestamp, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(time_html(*at, "%H:%M:%S")))
}

/// A moment to the minute, with its date, for a slot of a text.
pub fn minute_html(at: Timestamp) -> String {
    time_html(at, "%Y-%m-%d %H:%M")
}

/// A moment of a form for `strftime`. Pages say in one place which zone their times are in, and the script puts all
/// of them into another.
pub fn time_html(at: Timestamp, form: &str) -> String {
    format!("<time datetime=\"{at:.0}\" title=\"{at:.0}\">{}</time>", at.strftime(form))
}

/// How long ago, in words: `2 h 25 min`.
#[askama::filter_fn]
pub fn since(at: &Timestamp, values: &dyn Values) -> Result<Safe<String>> {
    let seconds = now(values).duration_since(*at).as_secs().max(0).unsigned_abs();
    Ok(Safe(span(seconds).to_html(language(values))))
}

/// A length of time in its two largest units.
pub fn span(seconds: u64) -> Text {
    use super::text::text;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => text("{s} s").set("s", seconds),
        60..3600 => text("{min} min").set("min", minutes),
        3600..86_400 => text("{h} h {min} min").set("h", hours).set("min", minutes % 60),
        _ => text("{d} d {h} h").set("d", days).set("h", hours % 24),
    }
}

/// A share from 0 to 1 as percent: `0%`, `0.4%`, `31%`.
#[askama::filter_fn]
pub fn percent(share: &f64, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(percent_text(*share)))
}

pub fn percent_text(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 9.95 && (percent - percent.round()).abs() > 0.05 {
        format!("{percent:.1}%")
    } else {
        format!("{percent:.0}%")
    }
}

/// A figure with few digits: `18.4k`, `2.1M`, `317`.
#[askama::filter_fn]
pub fn figure(number: &f64, _: &dyn Values) -> Result<Safe<String>> {
    Ok(Safe(figure_text(*number)))
}

pub fn figure_text(number: f64) -> String {
    // The sum of nothing is minus zero.
    let number = number + 0.0;
    match number.abs() {
        n if n >= 999_500.0 => format!("{:.1}M", number / 1e6),
        n if n >= 999.5 => format!("{:.1}k", number / 1e3),
        n if n >= 10.0 || n.fract() == 0.0 => format!("{number:.0}"),
        n if n >= 0.1 => format!("{number:.1}"),
        n if n < 0.005 => "0".to_owned(),
        _ => format!("{number:.2}"),
    }
}

fn language(values: &dyn Values) -> Language {
    get_value::<Language>(values, "language").copied().unwrap_or_default()
}

fn now(values: &dyn Values) -> Timestamp {
    get_value::<Timestamp>(values, "now").copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_says_its_day_unless_it_was_just_now_and_its_year_unless_it_is_this_one() {
        let now = "2026-11-19T12:00:00Z".parse().unwrap();
        for (at, english, korean) in [
            ("2026-11-19T11:59:00Z", "11:59", "11:59"),
            ("2026-11-18T12:01:00Z", "12:01", "12:01"),
            ("2026-11-18T12:00:00Z", "18 Nov 12:00", "11-18 12:00"),
            ("2026-11-19T12:00:30Z", "12:00", "12:00"),
            ("2026-11-19T14:25:00Z", "19 Nov 14:25", "11-19 14:25"),
            ("2026-12-01T02:25:00Z", "1 Dec 02:25", "12-01 02:25"),
            ("2036-11-19T02:17:00Z", "19 Nov 2036 02:17", "2036-11-19 02:17"),
            ("2025-12-31T23:00:00Z", "31 Dec 2025 23:00", "2025-12-31 23:00"),
        ] {
            let at: Timestamp = at.parse().unwrap();
            let said = |language| at.strftime(&short_form(at, now, language)).to_string();
            assert_eq!([said(Language::English), said(Language::Korean)], [english, korean], "{at}");
        }
    }

    #[test]
    fn figures_have_few_digits() {
        let said = [-0.0, 0.001, 0.04, 0.4, 9.94, 317.4, 999.6, 18_400.0, 2_100_000.0].map(figure_text);
        assert_eq!(said, ["0", "0", "0.04", "0.4", "9.9", "317", "1.0k", "18.4k", "2.1M"]);
    }

    #[test]
    fn small_shares_are_not_rounded_away() {
        assert_eq!([0.0, 0.004, 0.05, 0.31, 1.0].map(percent_text), ["0%", "0.4%", "5%", "31%", "100%"]);
    }
}
