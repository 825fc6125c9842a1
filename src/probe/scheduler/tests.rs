//! The schedule on a paused clock, with injected checks: hours pass in milliseconds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::time::advance;

use super::super::tests::{down, probe, target, tcp_monitor};
use super::*;
use crate::health::{Latency, Said};
use crate::model::Monitor;

const SECOND: Duration = Duration::from_secs(1);

fn finding(verdict: Verdict) -> Finding {
    Finding { verdict, latency: Latency::default(), certificate_ends: None, said: Said::default() }
}

/// When each endpoint's checks started.
type Starts = Arc<Mutex<BTreeMap<String, Vec<Instant>>>>;

fn note(starts: &Starts, probe: &Probe) {
    let endpoint = probe.targets[0].endpoint.to_string();
    starts.lock().entry(endpoint).or_default().push(Instant::now());
}

type Outcomes = mpsc::Receiver<(Target, Report)>;

/// A scheduler whose n-th check of any probe takes `duration(probe, n)` and finds `verdict(n)`.
fn start_checks(
    starts: &Starts,
    check: impl Fn(&Probe, usize) -> (Duration, Verdict) + Send + Sync + 'static,
) -> (Scheduler, Outcomes) {
    let (sender, outcomes) = mpsc::channel(1_000_000);
    let (starts, check) = (starts.clone(), Arc::new(check));
    let check = move |probe: Arc<Probe>| {
        let (starts, check) = (starts.clone(), check.clone());
        async move {
            note(&starts, &probe);
            let count = starts.lock()[probe.targets[0].endpoint.as_str()].len();
            let (duration, verdict) = check(&probe, count);
            sleep(duration).await;
            finding(verdict)
        }
    };
    (Scheduler::start_with(check, sender, 7), outcomes)
}

fn many(count: u32) -> Vec<Probe> {
    (0..count).map(|n| probe(&format!("web-{n}"), n, tcp_monitor("web"))).collect()
}

fn gaps(starts: &[Instant]) -> Vec<Duration> {
    starts.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn outcome(report: Report) -> Outcome {
    match report {
        Report::Outcome(outcome) => outcome,
        Report::Unable(reason) => panic!("unable: {reason}"),
    }
}

fn received(outcomes: &mut Outcomes) -> Vec<(Target, Result<(), String>)> {
    let outcomes = std::iter::from_fn(|| outcomes.try_recv().ok()).map(|(target, report)| (target, outcome(report)));
    outcomes.map(|(target, outcome)| (target, outcome.result)).collect()
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_probes_start_evenly_and_never_later_than_their_interval() {
    let starts = Starts::default();
    let (scheduler, _outcomes) = start_checks(&starts, |_, _| (Duration::from_millis(20), Verdict::Up));
    let began = Instant::now();
    scheduler.watch(many(10_000));
    sleep(40 * SECOND).await;
    let starts = starts.lock();
    assert_eq!(starts.len(), 10_000);
    let mut buckets = [0_usize; 400];
    for started in starts.values() {
        assert!(started[0] - began <= 10 * SECOND);
        for gap in gaps(started) {
            let bounds = Duration::from_millis(9_490)..=Duration::from_millis(10_010);
            assert!(bounds.contains(&gap), "{gap:?} between two checks");
        }
        for at in started {
            buckets[((*at - began).as_millis() / 100).min(399) as usize] += 1;
        }
    }
    let mean = buckets.iter().sum::<usize>() / buckets.len();
    let peak = buckets.iter().copied().max().unwrap();
    assert!(mean > 90 && peak <= 5 * mean, "peak {peak}, mean {mean} in 100 ms");
}

#[tokio::test(start_paused = true)]
async fn two_thousand_hanging_targets_do_not_delay_the_others() {
    let starts = Starts::default();
    let hangs = |probe: &Probe| probe.targets[0].endpoint.as_str().ends_with(['3', '7']);
    let (scheduler, mut outcomes) = start_checks(&starts, move |probe, _| {
        if hangs(probe) { (3 * SECOND, down("no answer within 3 s")) } else { (SECOND / 50, Verdict::Up) }
    });
    let probes = many(10_000);
    assert_eq!(probes.iter().filter(|probe| hangs(probe)).count(), 2_000);
    scheduler.watch(probes);
    sleep(45 * SECOND).await;
    let starts = starts.lock();
    let healthy = starts.iter().filter(|(endpoint, _)| !endpoint.ends_with(['3', '7']));
    let gaps: Vec<Duration> = healthy.flat_map(|(_, started)| gaps(started)).collect();
    let on_time = gaps.iter().filter(|&&gap| gap <= Duration::from_millis(10_010)).count();
    assert!(gaps.len() >= 8_000 * 3);
    assert!(on_time * 100 >= gaps.len() * 99, "{on_time} of {} on time", gaps.len());
    let failed = received(&mut outcomes).into_iter().filter(|(_, result)| result.is_err()).count();
    assert!(failed >= 2_000 * 3, "each hanging target has failed three times: {failed}");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_limit_run_at_once() {
    let running = Arc::new(AtomicUsize::new(0));
    let peak = Arc::new(AtomicUsize::new(0));
    let (sender, _outcomes) = mpsc::channel(1_000_000);
    let (counted, highest) = (running.clone(), peak.clone());
    let check = move |_| {
        let (counted, highest) = (counted.clone(), highest.clone());
        async move {
            highest.fetch_max(counted.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            sleep(10 * SECOND).await;
            counted.fetch_sub(1, Ordering::Relaxed);
            finding(down("no answer within 10 s"))
        }
    };
    let scheduler = Scheduler::start_with(check, sender, 7);
    scheduler.watch(many(10_000));
    sleep(20 * SECOND).await;
    assert_eq!(peak.load(Ordering::Relaxed), MAX_RUNNING);
    scheduler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_check_is_never_doubled_and_goes_on_at_once() {
    let starts = Starts::default();
    let (scheduler, _outcomes) = start_checks(&starts, |_, _| (25 * SECOND, Verdict::Up));
    scheduler.watch(many(1));
    sleep(200 * SECOND).await;
    let starts = starts.lock();
    assert_eq!(starts["web-0"].len(), 8);
    for gap in gaps(&starts["web-0"]) {
        assert!(gap >= 25 * SECOND && gap < 25 * SECOND + SECOND / 10, "{gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_success_is_confirmed_before_it_is_reported() {
    let starts = Starts::default();
    // Up, one blip, then an outage of three checks.
    let (scheduler, mut outcomes) = start_checks(&starts, |_, count| match count {
        1 | 3 => (Duration::ZERO, Verdict::Up),
        2 => (Duration::ZERO, down("blip")),
        4..=6 => (Duration::ZERO, down(format!("failure {count}"))),
        _ => (Duration::ZERO, Verdict::Up),
    });
    scheduler.watch(many(1));
    sleep(45 * SECOND).await;
    let results: Vec<Result<(), String>> = received(&mut outcomes).into_iter().map(|(_, result)| result).collect();
    assert_eq!(results, [Ok(()), Ok(()), Err("failure 5".into()), Err("failure 6".into()), Ok(())]);
    let gaps = gaps(&starts.lock()["web-0"]);
    let confirmed: Vec<usize> = (0..gaps.len()).filter(|&n| gaps[n] < 2 * SECOND).collect();
    assert_eq!(confirmed, [1, 3], "{gaps:?}");
    assert!(gaps[1] >= CONFIRM_PAUSE);
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_ever_counts_without_confirmation() {
    let starts = Starts::default();
    let (scheduler, mut outcomes) = start_checks(&starts, |_, _| (Duration::ZERO, down("connection refused")));
    scheduler.watch(many(1));
    let (at, report) = outcomes.recv().await.unwrap();
    assert_eq!((at, outcome(report).result), (target("web-0", "web"), Err("connection refused".into())));
    assert_eq!(starts.lock()["web-0"].len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_goes_to_every_target_and_tells_when_the_next_is_due() {
    let starts = Starts::default();
    let (scheduler, mut outcomes) = start_checks(&starts, |_, _| (SECOND, Verdict::Up));
    scheduler.watch(vec![probe("web-1", 1, tcp_monitor("web")), probe("web-2", 1, tcp_monitor("web"))]);
    for endpoint in ["web-1", "web-2"] {
        let (at, report) = outcomes.recv().await.unwrap();
        assert_eq!(at, target(endpoint, "web"));
        let outcome = outcome(report);
        let ahead_ms = outcome.next_probe_ms - outcome.at_ms;
        assert!((8_490..=9_010).contains(&ahead_ms), "the next is due in {ahead_ms} ms");
    }
    assert_eq!(starts.lock().len(), 1, "one check served both");
}

#[tokio::test(start_paused = true)]
async fn a_change_keeps_the_schedule_of_what_stays_and_ends_what_goes() {
    struct Ended(Arc<AtomicUsize>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (starts, ended) = (Starts::default(), Arc::new(AtomicUsize::new(0)));
    let (sender, mut outcomes) = mpsc::channel(100);
    let (noted, counted) = (starts.clone(), ended.clone());
    let check = move |probe: Arc<Probe>| {
        let (noted, ended) = (noted.clone(), Ended(counted.clone()));
        async move {
            note(&noted, &probe);
            let hangs = probe.targets[0].endpoint.as_str() == "goes";
            sleep(if hangs { 1_000 * SECOND } else { Duration::ZERO }).await;
            drop(ended);
            finding(Verdict::Up)
        }
    };
    let scheduler = Scheduler::start_with(check, sender, 7);
    scheduler.watch(vec![probe("stays", 1, tcp_monitor("web")), probe("goes", 2, tcp_monitor("web"))]);
    sleep(5 * SECOND).await;
    assert_eq!((starts.lock().len(), ended.load(Ordering::Relaxed)), (2, 1));

    let patient = Monitor { fail_after: 9, ..tcp_monitor("web") };
    scheduler.watch(vec![probe("stays", 1, patient), probe("comes", 3, tcp_monitor("web"))]);
    sleep(SECOND).await;
    assert_eq!(ended.load(Ordering::Relaxed), 3, "the hanging check has ended, and the new one ran");
    let counts: Vec<usize> = starts.lock().values().map(Vec::len).collect();
    assert_eq!(counts, [1, 1, 1], "only the new one started");
    sleep(5 * SECOND).await;
    let gaps = gaps(&starts.lock()["stays"]);
    assert_eq!(gaps.len(), 1);
    assert!(gaps[0] >= 9 * SECOND, "not started anew by the change: {gaps:?}");

    received(&mut outcomes);
    scheduler.watch(vec![probe("stays", 1, tcp_monitor("renamed")), probe("comes", 3, tcp_monitor("web"))]);
    sleep(SECOND).await;
    let known = received(&mut outcomes);
    assert_eq!(known, [(target("stays", "renamed"), Ok(()))], "a target without an outcome gets one soon");

    scheduler.watch(Vec::new());
    sleep(100 * SECOND).await;
    assert_eq!(starts.lock().values().map(Vec::len).sum::<usize>(), 5, "nothing is probed any more");
}

#[tokio::test(start_paused = true)]
async fn check_now_moves_the_probe_and_its_next_slot_forward() {
    let starts = Starts::default();
    let (scheduler, mut outcomes) = start_checks(&starts, |_, _| (Duration::ZERO, Verdict::Up));
    scheduler.watch(many(2));
    sleep(5 * SECOND).await;
    assert_eq!(received(&mut outcomes).len(), 2);
    let asked = Instant::now();
    scheduler.check_now(&"web-1".parse().unwrap()).await;
    let (at, _) = outcomes.recv().await.unwrap();
    assert_eq!((at, Instant::now()), (target("web-1", "web"), asked));
    sleep(20 * SECOND).await;
    let starts = starts.lock();
    assert_eq!((starts["web-0"].len(), starts["web-1"].len()), (3, 4));
    assert!(starts["web-1"][2] - asked >= 9 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_cannot_run_says_so_and_is_never_a_failure() {
    let starts = Starts::default();
    let (scheduler, mut reports) = start_checks(&starts, |_, count| match count {
        2 => (Duration::ZERO, Verdict::Unable("icmp needs CAP_NET_RAW".into())),
        _ => (Duration::ZERO, Verdict::Up),
    });
    scheduler.watch(vec![probe("web-1", 1, tcp_monitor("web")), probe("web-2", 1, tcp_monitor("web"))]);
    let mut words = Vec::new();
    for _ in 0..6 {
        let (at, report) = reports.recv().await.unwrap();
        let word = match report {
            Report::Outcome(outcome) => format!("{:?}", outcome.result),
            Report::Unable(reason) => reason.to_string(),
        };
        words.push(format!("{}: {word}", at.endpoint));
    }
    let round = |word: &str| [format!("web-1: {word}"), format!("web-2: {word}")];
    assert_eq!(words, [round("Ok(())"), round("icmp needs CAP_NET_RAW"), round("Ok(())")].concat());
    assert_eq!(starts.lock()["web-1"].len(), 3, "what cannot run is not confirmed");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_check_ends_neither_its_probe_nor_the_others() {
    let starts = Starts::default();
    let (scheduler, mut reports) = start_checks(&starts, |probe, count| {
        assert!(probe.targets[0].endpoint.as_str() != "web-0" || count > 1, "a bug in a check");
        (Duration::ZERO, Verdict::Up)
    });
    scheduler.watch(many(2));
    sleep(5 * SECOND).await;
    let first: BTreeMap<Target, Report> = std::iter::from_fn(|| reports.try_recv().ok()).collect();
    assert!(matches!(&first[&target("web-0", "web")], Report::Unable(reason) if reason.contains("broke down")));
    assert!(matches!(&first[&target("web-1", "web")], Report::Outcome(_)));
    sleep(10 * SECOND).await;
    assert_eq!(received(&mut reports).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_channel_holds_probes_back_and_loses_nothing() {
    let (sender, mut outcomes) = mpsc::channel(1);
    let scheduler = Scheduler::start_with(|_| async { finding(Verdict::Up) }, sender, 7);
    scheduler.watch(many(10));
    sleep(100 * SECOND).await;
    scheduler.check_now(&"web-0".parse().unwrap()).await;
    let mut seen = BTreeSet::new();
    for _ in 0..10 {
        seen.insert(outcomes.recv().await.unwrap().0.to_string());
    }
    assert_eq!(seen.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn after_a_long_standstill_probes_do_not_all_start_together() {
    let starts = Starts::default();
    let (scheduler, _outcomes) = start_checks(&starts, |_, _| (Duration::ZERO, Verdict::Up));
    scheduler.watch(many(1_000));
    sleep(15 * SECOND).await;
    starts.lock().clear();
    advance(300 * SECOND).await;
    let woke = Instant::now();
    sleep(10 * SECOND).await;
    let starts = starts.lock();
    let first_second = starts.values().filter(|started| started[0] - woke < SECOND).count();
    assert_eq!(starts.len(), 1_000);
    assert!((50..200).contains(&first_second), "{first_second} of 1,000 in the first of ten seconds");
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_running_checks() {
    let starts = Starts::default();
    let (scheduler, mut outcomes) = start_checks(&starts, |_, _| (1_000 * SECOND, Verdict::Up));
    scheduler.watch(many(3));
    sleep(SECOND).await;
    assert_eq!(starts.lock().len(), 3);
    let before = Instant::now();
    scheduler.stop().await;
    assert_eq!(Instant::now(), before);
    assert!(outcomes.recv().await.is_none(), "no sender is left");
}
