//! What the series keep, forget, and write to their file.

use super::*;
use proptest::prelude::*;

const START_MS: u64 = 1_700_000_000_000 / 600_000 * 600_000;

fn pool(id: &str) -> Id<Pool> {
    id.parse().unwrap()
}

fn audiences(all: u64) -> BTreeMap<Arc<Audience>, u64> {
    let one = |policy: &str, regions: &[&str], pool: Option<&str>| {
        let regions = regions.iter().map(|id| id.parse().unwrap()).collect();
        let pool = pool.map(|id| id.parse().unwrap());
        Arc::new(Audience { policy: policy.parse().unwrap(), regions, pool })
    };
    BTreeMap::from([
        (one("app", &["eu", "uk"], Some("eu")), all / 4),
        (one("app", &[], Some("eu")), all / 4),
        (one("app", &[], None), all / 4),
        (one("other", &[], Some("us")), all),
    ])
}

/// Adds `all` queries, half of them to `eu`, every five seconds of `minutes`.
fn run(series: &mut Series, from_ms: u64, minutes: u64, all: u64) -> u64 {
    for look in 0..minutes * 12 {
        let pools = BTreeMap::from([(pool("eu"), all / 2)]);
        let both = ["eu", "uk"].map(|id| id.parse().unwrap()).to_vec();
        let regions = BTreeMap::from([(both, all / 2), (Vec::new(), all / 4)]);
        let policies = BTreeMap::from([("app".parse().unwrap(), all)]);
        let counted = Counted {
            all,
            subnet: all / 4,
            pools: Some(&pools),
            policies: Some(&policies),
            regions: Some(&regions),
            audiences: Some(&audiences(all)),
        };
        series.add(from_ms + look * 5_000, &counted);
    }
    from_ms + minutes * MINUTE_MS
}

#[test]
fn closed_minutes_are_rates_and_the_open_one_is_not_shown() {
    let mut series = Series::default();
    let end = run(&mut series, START_MS, 3, 50);
    series.add(end, &Counted { all: 9_999, ..Counted::default() });
    let curve = series.total(Span::Hour);
    assert_eq!(curve.points, [10.0, 10.0, 10.0]);
    assert_eq!(curve.end_ms(), end);
    assert_eq!(series.pool(&pool("eu"), Span::Hour).points[2], 5.0);
    assert_eq!(series.pools(Span::Hour)[0].0, pool("eu"));
    assert_eq!(series.subnet_share().map(|share| (share * 100.0).round()), Some(24.0));
}

#[test]
fn time_without_a_look_counts_as_nothing() {
    let mut series = Series::default();
    let end = run(&mut series, START_MS, 2, 50);
    run(&mut series, end + 2 * MINUTE_MS, 2, 50);
    assert_eq!(series.total(Span::Hour).points, [10.0, 10.0, 0.0, 0.0, 10.0]);
}

#[test]
fn a_young_curve_begins_with_the_counting_and_has_finer_steps() {
    let minute = |minutes: u64| minutes * MINUTE_MS;
    // Minutes since the begin, then points and minutes of each step for an hour, a day and a week.
    for (age, expected) in [
        (1, [(2, 1), (2, 1), (2, 1)]),
        (3, [(3, 1), (3, 1), (3, 1)]),
        (40, [(40, 1), (40, 1), (40, 1)]),
        (58, [(60, 1), (58, 1), (58, 1)]),
        (200, [(60, 1), (67, 3), (100, 2)]),
        (23 * 60, [(60, 1), (96, 15), (138, 10)]),
        (3 * 24 * 60, [(60, 1), (96, 15), (144, 30)]),
        (7 * 24 * 60, [(60, 1), (96, 15), (168, 60)]),
    ] {
        let mut series = Series::default();
        for at in 0..age {
            series.add(START_MS + minute(at), &Counted { all: 60, ..Counted::default() });
        }
        series.add(START_MS + minute(age), &Counted::default());
        let curves = Span::ALL.map(|span| series.total(span));
        let found = curves.each_ref().map(|curve| (curve.points.len(), curve.step_ms / MINUTE_MS));
        assert_eq!(found, expected, "{age}");
        let began = curves.each_ref().map(|curve| curve.began_ms);
        let whole = [age * 10 > 60 * 9, age * 10 > 1440 * 9, age * 10 > 10_080 * 9];
        assert_eq!(began, whole.map(|whole| (!whole).then_some(START_MS)), "{age}");
        assert!(curves.iter().all(|curve| curve.points.last() == Some(&1.0)), "{age}");
    }
}

#[test]
fn answers_of_a_policy_are_told_apart_by_pool_and_by_region() {
    let mut series = Series::default();
    let end = run(&mut series, START_MS, 5, 48);
    series.add(end, &Counted::default());
    let app = "app".parse().unwrap();
    let last = |curve: &Curve| curve.points.last().copied().unwrap();
    let pools = series.policy_pools(&app, Span::Hour);
    let pools: Vec<_> = pools.iter().map(|(pool, curve)| (pool.as_ref().map(Id::as_str), last(curve))).collect();
    assert_eq!(pools, [(Some("eu"), 4.8), (None, 2.4)]);
    let regions = series.policy_regions(&app, Span::Hour);
    let regions: Vec<_> = regions.iter().map(|(regions, curve)| (regions.len(), last(curve))).collect();
    assert_eq!(regions, [(0, 4.8), (2, 2.4)]);
    let bytes = series.to_bytes();
    let read = Series::from_bytes(&bytes).unwrap();
    assert_eq!(read.policy_pools(&app, Span::Week), series.policy_pools(&app, Span::Week));
}

#[test]
fn a_file_from_before_there_were_parts_is_taken_over() {
    let mut series = Series::default();
    run(&mut series, START_MS, 5, 48);
    let total = series.policy(&"app".parse().unwrap(), Span::Hour);
    let mut bytes = MAGIC.to_vec();
    series.minutes.write(&mut bytes);
    series.tens.write(&mut bytes);
    let mut read = Series::from_bytes(&bytes).unwrap();
    assert_eq!(read.policy(&"app".parse().unwrap(), Span::Hour), total);
    assert!(read.policy_pools(&"app".parse().unwrap(), Span::Hour).is_empty());
    let end = run(&mut read, START_MS + 5 * MINUTE_MS, 2, 48);
    read.add(end, &Counted::default());
    let (_, curve) = &read.policy_pools(&"app".parse().unwrap(), Span::Hour)[0];
    assert_eq!(curve.points, [0.0, 0.0, 0.0, 0.0, 0.0, 4.8, 4.8]);
}

#[test]
fn what_is_older_than_its_ring_is_gone_and_idle_columns_with_it() {
    let mut series = Series::default();
    let end = run(&mut series, START_MS, 2, 50);
    series.add(end + 25 * 60 * MINUTE_MS, &Counted::default());
    assert!(series.minutes.columns.is_empty());
    assert!(series.total(Span::Week).sum() > 0.0);
    series.add(end + 9 * 24 * 60 * MINUTE_MS, &Counted::default());
    assert!(series.tens.columns.is_empty());
}

#[test]
fn this_time_a_week_ago_is_known_after_a_week() {
    let mut series = Series::default();
    let end = run(&mut series, START_MS, 10, 50);
    assert_eq!(series.week_on_week(), None);
    let next = START_MS + 7 * 24 * 60 * MINUTE_MS;
    assert!(next > end);
    let end = run(&mut series, next, 10, 100);
    series.add(end, &Counted::default());
    assert_eq!(series.week_on_week(), Some((20.0, 10.0)));
}

#[test]
fn a_file_brings_everything_back_and_a_damaged_one_nothing() {
    let mut series = Series::default();
    run(&mut series, START_MS, 35, 8);
    let bytes = series.to_bytes();
    let read = Series::from_bytes(&bytes).unwrap();
    assert_eq!(read.pools(Span::Day), series.pools(Span::Day));
    let regions = read.regions(Span::Day);
    assert_eq!(regions, series.regions(Span::Day));
    assert_eq!(regions.iter().map(|(ids, _)| ids.len()).collect::<Vec<_>>(), [2, 0]);
    assert_eq!((&read.minutes.open, &read.tens.open), (&series.minutes.open, &series.tens.open));
    for length in [0, 5, MAGIC.len() + 3, bytes.len() - 1] {
        assert!(Series::from_bytes(&bytes[..length]).is_none(), "{length}");
    }
}

/// Every look of a chart at a series.
fn look(series: &Series) {
    for span in Span::ALL {
        assert!(series.total(span).end_ms() >= series.total(span).start_ms);
        series.pools(span);
        series.regions(span);
    }
    series.week_on_week();
    series.subnet_share();
}

#[test]
fn a_damaged_head_or_cell_neither_overflows_nor_takes_memory() {
    let mut series = Series::default();
    run(&mut series, START_MS, 35, 8);
    let whole = series.to_bytes();
    let at = MAGIC.len();
    for head in [u64::MAX, u64::MAX / MINUTE_MS, u64::MAX / MINUTE_MS + 1, END_OF_TIME_MS / MINUTE_MS + 1] {
        let mut bytes = whole.clone();
        bytes[at..at + 8].copy_from_slice(&head.to_le_bytes());
        assert!(Series::from_bytes(&bytes).is_none(), "{head}");
    }
    for (from, to, is_read) in
        [(at + 8, at + 12, false), (at + 12, at + 16, false), (bytes_of_cells(at), at + 600, true)]
    {
        let mut bytes = whole.clone();
        bytes[from..to].fill(0xff);
        let mut read = Series::from_bytes(&bytes);
        assert_eq!(read.is_some(), is_read, "{from}");
        if let Some(series) = &mut read {
            look(series);
            run(series, START_MS + 35 * MINUTE_MS, 2, u64::MAX / 100);
            look(series);
        }
    }
}

/// Where the cells of the first column, that of all queries, begin.
fn bytes_of_cells(at: usize) -> usize {
    at + 8 + 4 + 4 + "all".len()
}

#[test]
fn columns_beyond_the_limit_are_left_out_and_the_file_can_be_read() {
    let mut series = Series::default();
    for batch in 0..2 {
        let pools = (0..MAX_COLUMNS * 3 / 4).map(|n| (pool(&format!("p{batch}-{n}")), 1)).collect();
        let counted = Counted { all: 1, pools: Some(&pools), ..Counted::default() };
        series.add(START_MS + batch * MINUTE_MS, &counted);
    }
    series.add(START_MS + 2 * MINUTE_MS, &Counted::default());
    assert_eq!(series.minutes.columns.len(), MAX_COLUMNS);
    assert!(Series::from_bytes(&series.to_bytes()).is_some());
}

proptest! {
    #[test]
    fn counts_keep_eleven_bits(count in 0..1_u64 << 52) {
        let kept = unpacked(packed(count));
        prop_assert!(kept <= count && (count - kept) as f64 <= count as f64 / 1024.0);
    }

    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut file = MAGIC.to_vec();
        file.extend(bytes);
        Series::from_bytes(&file).iter().for_each(look);
    }
}
