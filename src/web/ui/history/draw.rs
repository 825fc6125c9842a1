//! Pools through time as bars: thin is up, half is degraded, full is down, an outline is on purpose.

use jiff::Timestamp;

use super::super::filters::day_form;
use super::super::state::StateWord;
use super::super::text::{Language, Text, text};
use super::filter::Filters;
use super::row;
use crate::health::lanes::{Lane, Span};

/// The narrowest bar, in percent of the width: shorter outages must be seen as well.
const NARROWEST: f64 = 0.35;
/// The class of a time without data: a dotted line, no bar.
pub const NO_DATA: &str = "none";
/// Bars of one lane; the shortest are left to the table.
const MAX_BARS: usize = 60;
/// Bars of one lane that have words beside them.
const MAX_WORDS: usize = 3;
/// Where the words of a bar need room, in percent of the width.
const WORD_WIDTH: f64 = 14.0;

/// One pool.
pub struct LaneRow {
    pub pool: String,
    /// At the end.
    pub state: StateWord,
    pub bars: Vec<Bar>,
    pub words: Vec<Word>,
    /// What was other than up, for those who cannot see it and for the table.
    pub spans: Vec<SpanShown>,
    pub label: String,
}

pub struct Bar {
    pub class: &'static str,
    pub x: String,
    pub width: String,
    pub end: String,
    pub y: u8,
    pub height: u8,
}

pub struct Word {
    pub x: String,
    pub at_end: bool,
    pub strong: bool,
    pub text: Text,
}

pub struct SpanShown {
    pub from: Timestamp,
    pub to: Timestamp,
    pub is_open: bool,
    pub state: Text,
    pub length: Text,
}

/// Pools with problems first: by what they are now, then by how long they were not up.
pub fn rank(spans: &[Span]) -> (StateWord, i64) {
    let last = spans.last().map_or(StateWord::Up, |span| state(span.lane));
    let seconds = |span: &Span| span.to.duration_since(span.from).as_secs();
    let is_out = |span: &&Span| !matches!(span.lane, Lane::Up | Lane::NoData);
    let out: i64 = spans.iter().filter(is_out).map(seconds).sum();
    (last, -out)
}

fn state(lane: Lane) -> StateWord {
    match lane {
        Lane::Up => StateWord::Up,
        Lane::Degraded { .. } => StateWord::Degraded,
        Lane::Down => StateWord::Down,
        Lane::Held => StateWord::Held,
        Lane::Drained => StateWord::Drained,
        Lane::Off => StateWord::Off,
        Lane::NoData => StateWord::NoData,
    }
}

fn said(lane: Lane) -> Text {
    match lane {
        Lane::Degraded { up, of } => text("{up} of {of} up").set("up", up).set("of", of),
        lane => text(state(lane).word()),
    }
}

pub fn lane(pool: &str, spans: &[Span], filters: &Filters, language: Language) -> LaneRow {
    let whole = filters.to.duration_since(filters.from).as_secs_f64().max(1.0);
    let percent = |at: Timestamp| at.duration_since(filters.from).as_secs_f64() / whole * 100.0;
    let open = |span: &Span| filters.is_now && span.to == filters.to;
    let mut out: Vec<&Span> = spans.iter().filter(|span| span.lane != Lane::Up).collect();
    let length = |span: &Span| row::length(span.to.duration_since(span.from).as_secs().max(0).unsigned_abs());
    let shown = |span: &&Span| SpanShown {
        from: span.from,
        to: span.to,
        is_open: open(span),
        state: said(span.lane),
        length: length(span),
    };
    let listed: Vec<SpanShown> = out.iter().map(shown).collect();
    if out.len() > MAX_BARS {
        out.sort_by_key(|span| span.from.duration_since(span.to));
        out.truncate(MAX_BARS);
        out.sort_by_key(|span| span.from);
    }
    let bars: Vec<Bar> = out.iter().map(|span| bar(span.lane, percent(span.from), percent(span.to))).collect();
    let word = |(span, x, at_end): (&Span, f64, bool)| Word {
        x: format!("{x:.2}%"),
        at_end,
        strong: open(span),
        text: text("{state}, {length}").say("state", said(span.lane)).say("length", length(span)),
    };
    let words = worded(&out, percent).into_iter().map(word).collect();
    let last = spans.last().map_or(StateWord::Up, |span| state(span.lane));
    let label = label(pool, &listed, language);
    LaneRow { pool: pool.to_owned(), state: last, bars, words, spans: listed, label }
}

/// The spans that words stand beside, where these begin, or end where they stand before their bars. Bars that touch are
/// one: the words are of the worst of them, of these the longest, and stand beside the last or before the first.
fn worded<'s>(out: &[&'s Span], percent: impl Fn(Timestamp) -> f64) -> Vec<(&'s Span, f64, bool)> {
    let rank = |span: &Span| (state(span.lane), span.from.duration_since(span.to));
    // From, to, and the span that is named.
    let mut runs: Vec<(f64, f64, &Span)> = Vec::new();
    for &span in out.iter().filter(|span| span.lane != Lane::NoData) {
        let from = percent(span.from);
        let to = percent(span.to).max(from + NARROWEST);
        match runs.last_mut().filter(|run| from - run.1 < NARROWEST) {
            Some(run) => *run = (run.0, run.1.max(to), if rank(span) < rank(run.2) { span } else { run.2 }),
            None => runs.push((from, to, span)),
        }
    }
    let mut worst_first: Vec<usize> = (0..runs.len()).collect();
    worst_first.sort_by_key(|&at| rank(runs[at].2));
    // Nothing is written over a bar or over other words.
    let mut taken: Vec<(f64, f64)> = runs.iter().map(|(from, to, _)| (*from, *to)).collect();
    let mut words = Vec::new();
    for at in worst_first {
        let (from, to, span) = runs[at];
        let at_end = to > 100.0 - WORD_WIDTH;
        let (begin, end) =
            if at_end { (from - 0.6 - WORD_WIDTH, from - 0.6) } else { (to + 0.4, to + 0.4 + WORD_WIDTH) };
        let is_free = taken.iter().all(|(from, to)| end <= *from || begin >= *to);
        if words.len() < MAX_WORDS && begin >= 0.0 && is_free {
            taken.push((begin, end));
            words.push((span, if at_end { end } else { begin }, at_end));
        }
    }
    words
}

fn bar(lane: Lane, from: f64, to: f64) -> Bar {
    let (class, y, height) = match lane {
        Lane::Down => ("down", 17, 24),
        Lane::Degraded { .. } | Lane::Up => ("deg", 22, 14),
        Lane::Held => ("drill", 20, 18),
        Lane::Drained | Lane::Off => ("maint", 20, 18),
        Lane::NoData => (NO_DATA, 22, 14),
    };
    let width = (to - from).max(NARROWEST);
    let x = from.min(100.0 - width);
    let end = format!("{:.2}%", x + width);
    Bar { class, x: format!("{x:.2}%"), width: format!("{width:.2}%"), end, y, height }
}

fn label(pool: &str, spans: &[SpanShown], language: Language) -> String {
    const READ: usize = 5;
    let form = format!("{} %H:%M", day_form(language));
    let clock = |at: Timestamp| at.strftime(&form).to_string();
    let one = |span: &SpanShown| {
        let range = if span.is_open { text("{state} since {from}") } else { text("{state} {from} to {to}") };
        range.say("state", span.state.clone()).set("from", clock(span.from)).set("to", clock(span.to)).to_html(language)
    };
    let mut parts: Vec<String> = spans.iter().take(READ).map(one).collect();
    if spans.len() > READ {
        parts.push(text("and {n} more").set("n", spans.len() - READ).to_html(language));
    }
    if parts.is_empty() {
        parts.push(text("up all the time").to_html(language));
    }
    // One attribute for all readers: the table below has the times in their zone.
    format!("{pool} (UTC): {}", parts.join(", "))
}

/// A time below the lanes.
pub struct Tick {
    pub x: String,
    pub at: Timestamp,
    pub word: String,
    /// The width of a day in percent, where the tick is the beginning of one.
    pub day: Option<f64>,
}

pub fn axis(filters: &Filters, language: Language) -> Vec<Tick> {
    const MINUTES: [i64; 6] = [1, 2, 5, 10, 20, 30];
    const HOURS: [i64; 12] = [1, 2, 4, 6, 12, 24, 48, 96, 168, 336, 720, 2160];
    let whole = filters.to.duration_since(filters.from).as_secs_f64().max(1.0);
    let minutes = MINUTES.into_iter().chain(HOURS.map(|hours| hours * 60));
    let step = 60 * { minutes }.find(|minutes| whole / (*minutes as f64 * 60.0) <= 7.0).unwrap_or(8760 * 60);
    let day = (step >= 24 * 3600).then(|| 24.0 * 3600.0 / whole * 100.0);
    let form = if day.is_some() { day_form(language) } else { "%H:%M" };
    let first = filters.from.as_second().div_euclid(step) * step + step;
    let marks = (0..10).map(|n| first + n * step);
    let place = |second: i64| (second - filters.from.as_second()) as f64 / whole * 100.0;
    marks
        .filter(|second| (3.0..94.0).contains(&place(*second)))
        .filter_map(|second| {
            let at = Timestamp::from_second(second).ok()?;
            Some(Tick { x: format!("{:.1}%", place(second)), at, word: at.strftime(form).to_string(), day })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_of_the_worst_of_bars_that_touch_and_never_over_a_bar() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let part = Lane::Degraded { up: 1, of: 2 };
        let span = |lane, from, to| Span { lane, from: at(from), to: at(to) };
        for (spans, expected) in [
            (vec![span(part, 500, 500), span(Lane::Down, 500, 680)], vec![("down", 68.4)]),
            (vec![span(Lane::Down, 100, 300), span(part, 300, 301)], vec![("down", 30.75)]),
            (vec![span(part, 900, 901), span(Lane::Down, 901, 1000)], vec![("down", 89.4)]),
            (vec![span(part, 100, 110), span(Lane::Down, 200, 210)], vec![("down", 21.4)]),
            (vec![span(part, 100, 110), span(Lane::Down, 400, 410)], vec![("down", 41.4), ("deg", 11.4)]),
            (vec![span(Lane::NoData, 100, 400)], vec![]),
        ] {
            let out: Vec<&Span> = spans.iter().collect();
            let found = worded(&out, |time| time.as_second() as f64 / 10.0);
            let found: Vec<(&str, f64)> = found
                .iter()
                .map(|(span, x, _)| (bar(span.lane, 0.0, 0.0).class, (x * 100.0).round() / 100.0))
                .collect();
            assert_eq!(found, expected, "{spans:?}");
        }
    }
}
