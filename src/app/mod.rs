//! Wires everything: store, control, DNS, probes and HTTP, in the order in which they need each other.
//! Decides nothing.

mod certificate;
mod core;
pub mod demo;
mod dns_service;
mod http_service;
mod memory;
mod traffic_file;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use crate::cli::{Failure, LOCAL_FILE, Local};
use crate::config::Config;
use crate::control::accounts::{make_password, new_account};
use crate::control::geo_files::{self, GeoFiles};
use crate::control::token::{Role, Scope, Token};
use crate::control::{Author, CheckRequest, Control, Publication, Tests, Wanted, now, system_event};
use crate::health::{Event, EventKind, Report, Target, Watch};
use crate::metrics::Metrics;
use crate::model::FieldError;
use crate::probe::{Checker, Probe, Scheduler};
use crate::store::{self, EventFilter};
use crate::web::{self, Sessions, Setup, Streams, Web};

use certificate::Certificate;
use core::Core;
use dns_service::DnsService;
use http_service::HttpService;

/// How long the store may take to close.
const STORE_GRACE: Duration = Duration::from_secs(5);
/// Trials of addresses at once.
const MAX_TRIALS: usize = 32;
/// The id of the token that is made at the first start.
const FIRST_TOKEN: &str = "first";

/// What `serve` does beside serving.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    Plain,
    Demo,
}

impl Start {
    pub fn new(demo: bool) -> Self {
        if demo { Start::Demo } else { Start::Plain }
    }
}

/// Runs until SIGTERM or SIGINT.
pub fn serve(config: Config, start: Start) -> Result<(), Failure> {
    log_to_stderr(&config.log)?;
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("northing").build();
    let runtime = runtime.map_err(|error| Failure::new(format!("threads could not be started: {error}")))?;
    runtime.block_on(run(config, start))
}

async fn run(config: Config, start: Start) -> Result<(), Failure> {
    let begins = now();
    let geo_files = GeoFiles::of(&config);
    // Before the files are read: one that is replaced meanwhile is read again.
    let geo_stamps = geo_files.stamps();
    let (loading, dir) = (geo_files.clone(), config.data_dir.clone());
    let geo = tokio::task::spawn_blocking(move || loading.load_or_bundled());
    let opened = tokio::task::spawn_blocking(move || core::open(&dir)).await;
    let opened = opened.map_err(|_| Failure::new("the data directory could not be opened"))??;
    // Only now: what another northing receives here is not ours.
    geo_files.remove_unfinished();
    let (geo, geo_trouble) = geo.await.map_err(|_| Failure::new("the geo database could not be decoded"))?;
    let stop = CancellationToken::new();
    let (core, wanted) = Core::start(opened, geo, stop.clone())?;
    let control = core.control.clone();

    let ran_until = traffic_file::load(config.data_dir.clone(), &control).await;

    // Sockets before anything else can fail or take time: an occupied port is said at once.
    let dns = DnsService::start(&config, &control, core.used_held.clone())?;
    let http = TcpListener::bind(config.http).await;
    let http = http.map_err(|error| Failure::new(format!("{} cannot be listened on: {error}", config.http)))?;
    let http_address = http.local_addr().map_err(|error| Failure::new(error.to_string()))?;

    let https = match config.https {
        Some(address) => Some(listen_tls(&config, address).await?),
        None => None,
    };

    let (local, local_token) = local_access(http_address);
    write_local(&config.data_dir, &local)?;
    let setup = Arc::new(Setup::new(&local.url));
    let ready = Arc::new(AtomicBool::new(true));
    let metrics = Arc::new(Metrics::new(Some(dns.edge.clone()), &config.node));
    let web = Web {
        control: control.clone(),
        metrics,
        local_token: Arc::new(local_token),
        ready: ready.clone(),
        sessions: Arc::new(Sessions::load(core.sessions.clone(), control.clone())),
        entrance: Arc::default(),
        setup: setup.clone(),
        boot: Arc::new(Config { dns: dns.addresses().to_vec(), http: http_address, ..config.clone() }),
        streams: Arc::new(Streams::new(stop.clone())),
        maps: Arc::default(),
        delegations: Arc::default(),
    };
    let http_service = HttpService::new(web::router(web), stop.clone());
    http_service.serve(http, None);
    if let Some((listener, certificate)) = https {
        http_service.serve(listener, Some(certificate.acceptor()?));
        tokio::spawn(certificate.watch(stop.clone()));
    }
    let prober = tokio::spawn(probes(wanted, core.reports.clone(), stop.clone()));
    let traffic = tokio::spawn(traffic_file::keep(config.data_dir.clone(), control.clone(), stop.clone()));
    let memory = tokio::spawn(memory::give_back(stop.clone()));
    let geo_watch = tokio::spawn(geo_files::watch(geo_files, geo_stamps, control.clone(), stop.clone()));

    for sentence in core.repairs.iter().chain(&geo_trouble) {
        control.note(system_event(EventKind::System, "start", "repaired", sentence.clone())).await;
    }
    control.note(started(&control, begins, ran_until).await).await;
    let dns_address = dns.addresses()[0];
    let asked_to_stop = asked_to_stop();
    if core.is_new {
        first_token(&control).await?;
    }
    if start == Start::Demo {
        start_demo(&control, dns_address, &config.data_dir).await?;
        demo_account(&control, &local.url).await?;
    }
    if control.accounts().is_empty() {
        say(&setup.line(&setup.issue(now())));
    }
    say(&format!("ready dns={dns_address} http={http_address}"));
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    asked_to_stop.await;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("stopping");
    ready.store(false, Ordering::Relaxed);
    dns.stop().await;
    stop.cancel();
    http_service.ended().await;
    let _ = tokio::join!(prober, geo_watch, traffic, memory);
    let _ = std::fs::remove_file(config.data_dir.join(LOCAL_FILE));
    drop(control);
    // Somebody's open request may still hold on to the store; what was acknowledged is on the disk.
    let _ = tokio::time::timeout(STORE_GRACE, core.close()).await;
    Ok(())
}

/// The start in the history, so that it tells of which time nobody knows anything.
async fn started(control: &Control, begins: Timestamp, file_written: Option<Timestamp>) -> Event {
    // The command line on the idle directory leaves events as well, later than any of the run.
    let until = file_written.map_or(begins, |written| begins.min(written + traffic_file::WRITE_EVERY));
    let before = EventFilter { to: Some(until), ..EventFilter::default() };
    let newest = control.events(before, None, 1).await.ok().and_then(|mut events| events.pop());
    let ran_until = file_written.max(newest.map(|event| event.at)).map(|at| at.min(begins));
    let version = env!("CARGO_PKG_VERSION");
    let cause = match ran_until {
        Some(at) => format!("Version {version} runs; the run before it lasted until {}", at.strftime("%F %T UTC")),
        None => format!("Version {version} runs"),
    };
    let event = system_event(EventKind::System, "northing", "started", cause);
    Event { from: "stopped".into(), ran_until, ..event }
}

/// A data directory without a running server, for the command line: no DNS, no probes, the same API.
pub struct Offline {
    pub router: Router,
    /// Opens the router.
    pub secret: String,
    core: Core,
    stop: CancellationToken,
}

impl Offline {
    pub fn open(dir: &Path) -> Result<Offline, Failure> {
        let config = Config { data_dir: dir.to_owned(), ..Config::default() };
        let (geo, _) = GeoFiles::of(&config).load_or_bundled();
        let stop = CancellationToken::new();
        let (core, _) = Core::start(core::open(dir)?, geo, stop.clone())?;
        core.repairs.iter().for_each(|sentence| eprintln!("northing: {sentence}"));
        let (local, token) = local_access(SocketAddr::from(([127, 0, 0, 1], 0)));
        let web = Web {
            control: core.control.clone(),
            metrics: Arc::new(Metrics::new(None, "offline")),
            local_token: Arc::new(token),
            ready: Arc::new(AtomicBool::new(false)),
            sessions: Arc::default(),
            entrance: Arc::default(),
            setup: Arc::default(),
            boot: Arc::new(config),
            streams: Arc::new(Streams::new(stop.clone())),
            maps: Arc::default(),
            delegations: Arc::default(),
        };
        Ok(Offline { router: web::router(web), secret: local.token, core, stop })
    }

    /// Waits until everything is stored.
    pub async fn close(self) {
        let Offline { router, core, stop, .. } = self;
        drop(router);
        stop.cancel();
        core.close().await;
    }
}

/// The socket for browsers elsewhere, with its certificate.
async fn listen_tls(config: &Config, address: SocketAddr) -> Result<(TcpListener, Arc<Certificate>), Failure> {
    let files = config.tls_certificate.clone().zip(config.tls_key.clone());
    let files = files.map(|(certificate, key)| certificate::Files { certificate, key });
    let is_own = files.is_none();
    let certificate = Certificate::open(files, &config.data_dir, &config.node, address.ip())?;
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| Failure::new(format!("{address} cannot be listened on: {error}")))?;
    let bound = listener.local_addr().map_err(|error| Failure::new(error.to_string()))?;
    let made = if is_own { "a certificate of its own making" } else { "your certificate" };
    tracing::info!("https://{bound}/ answers with {made}, SHA-256 {}", certificate.fingerprint());
    Ok((listener, certificate))
}

/// Hands the wanted set to the scheduler whenever it changes, and requests to check now.
async fn probes(wanted: Wanted, reports: mpsc::Sender<(Target, Report)>, stop: CancellationToken) {
    let Wanted { mut watched, mut at_once } = wanted;
    let checker = Arc::new(Checker::new());
    let scheduler = Scheduler::start(checker.clone(), reports, rand::random());
    let mut trials = JoinSet::new();
    watched.mark_changed();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            changed = watched.changed() => match changed {
                Ok(()) => scheduler.watch(watched.borrow_and_update().iter().map(probe_of).collect()),
                Err(_) => break,
            },
            Some(request) = at_once.recv() => match request {
                CheckRequest::Now(endpoint) => scheduler.check_now(&endpoint).await,
                // Dropped where too many run: who asked is told that we are busy.
                CheckRequest::Trial { address, monitor, found } if trials.len() < MAX_TRIALS => {
                    let checker = checker.clone();
                    trials.spawn(async move {
                        let _ = found.send(checker.report(&address, &monitor).await);
                    });
                }
                CheckRequest::Trial { .. } => {}
            },
            Some(_) = trials.join_next() => {}
        }
    }
    scheduler.stop().await;
}

fn probe_of(Watch { target, address, monitor }: &Watch) -> Probe {
    Probe { targets: vec![target.clone()], address: address.clone(), monitor: monitor.clone() }
}

/// Access for the command line on this machine, new at each start and known to the directory's owner.
fn local_access(http: SocketAddr) -> (Local, Token) {
    let (token, secret) = web::make_token("command-line", Role::Admin, Vec::new(), 0, Scope::default());
    // A wildcard address is no destination.
    let ip = match http.ip() {
        ip if ip.is_unspecified() && ip.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
        ip if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (Local { url: format!("http://{}", SocketAddr::new(ip, http.port())), token: secret }, token)
}

fn write_local(dir: &Path, local: &Local) -> Result<(), Failure> {
    let text = serde_json::to_vec(local).map_err(|error| Failure::new(error.to_string()))?;
    store::write_private(&dir.join(LOCAL_FILE), &text).map_err(|fault| Failure::new(fault.to_string()))
}

/// Prints the secret once; only its hash is kept. What a service prints is kept in a log, which many may
/// read: there the operator makes a token, as the data directory's owner can without one.
async fn first_token(control: &Control) -> Result<(), Failure> {
    if std::env::var_os("NOTIFY_SOCKET").is_some() {
        println!("There is no API token yet; make one with: sudo northing token create NAME --role admin");
        return Ok(());
    }
    let (token, secret) = web::make_token(FIRST_TOKEN, Role::Admin, Vec::new(), 0, Scope::default());
    let made = control.set_token(FIRST_TOKEN.into(), Some(token), Author::new("start")).await;
    made.map_err(|refusal| Failure::new(format!("the first token could not be stored: {refusal:?}")))?;
    say(&format!("The first API token, shown this once: {secret}"));
    Ok(())
}

async fn start_demo(control: &Control, dns: SocketAddr, data_dir: &Path) -> Result<(), Failure> {
    let model = control.model();
    if model.revision > 0 && !model.zones.values().any(|zone| zone.fqdn.to_string() == demo::ZONE) {
        let line =
            format!("{} holds a configuration of its own; start the demo on another directory", data_dir.display());
        return Err(Failure::wrong(vec![line]));
    }
    let port = demo::start_backends().await;
    let port = port.map_err(|error| Failure::new(format!("the demo backends cannot listen on 127.0.x.x: {error}")))?;
    // Somebody's own changes to the demo stay; only the backends' port may be another today.
    let mut document = if model.revision == 0 { demo::document(port) } else { model.document() };
    if let Some(monitor) = document.pointer_mut("/monitors/demo-web/port") {
        *monitor = port.into();
    }
    let edits = model.edits_to(&document).map_err(|errors| unsound(&errors))?;
    let publication = Publication {
        edits,
        message: "Set the demo up".into(),
        author: Author::new("demo"),
        expect: Vec::new(),
        // Somebody's own changes to the demo stay, whatever their tests say.
        tests: Tests::MayFail,
    };
    let published = control.publish(publication).await;
    published.map_err(|refusal| Failure::new(format!("the demo could not be set up: {refusal:?}")))?;
    say(&format!("The demo zone {} is served. Five lines to try:\n", demo::ZONE));
    for (comment, line) in demo::five_lines(dns, port, &data_dir.display().to_string()) {
        say(&format!("  {line:<76} # {comment}"));
    }
    say("");
    Ok(())
}

/// The demo is signed in to at once; its password is shown this once.
async fn demo_account(control: &Control, url: &str) -> Result<(), Failure> {
    if !control.accounts().is_empty() {
        say(&format!("Sign in at {url}/ as before; northing user password demo makes a new password."));
        return Ok(());
    }
    let password = make_password();
    let account = new_account(demo::ACCOUNT, "Demo", Role::Admin, &password, now()).await;
    let account = account.map_err(|errors| unsound(&errors))?;
    let made = control.create_first_admin(account, Author::new("demo")).await;
    made.map_err(|refusal| Failure::new(format!("the demo account could not be made: {refusal:?}")))?;
    say(&format!("Sign in at {url}/ as {} with the password {password}", demo::ACCOUNT));
    Ok(())
}

/// Says `line` on standard output. Nobody reading, or a full disk below it, is no reason to stop serving.
fn say(line: &str) {
    if let Err(failure) = crate::cli::print(&format!("{line}\n")) {
        tracing::warn!(
            "{}; a token that was to stand there can be made with northing token create",
            failure.lines.join(" ")
        );
    }
}

/// Listens for SIGTERM and SIGINT from the call on, not from the first poll: whoever reads `ready` may stop us.
fn asked_to_stop() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else { return std::future::pending().await };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

fn log_to_stderr(filter: &str) -> Result<(), Failure> {
    // A lone word that is no level would be taken for the name of a module, and hide the whole log.
    let hides = |part: &str| !part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err() && !part.contains("::");
    if let Some(word) = filter.split(',').map(str::trim).find(|part| !part.is_empty() && hides(part)) {
        let line = format!(
            "log {word:?} is no level; use off, error, warn, info, debug or trace, or info,northing::probe=debug"
        );
        return Err(Failure::wrong(vec![line]));
    }
    let filter = tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| {
        Failure::wrong(vec![format!("log {filter:?}: {error}; use info, or info,northing::probe=debug")])
    })?;
    // A reader of the log that goes away must not take a thread along.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .log_internal_errors(false)
        .try_init();
    Ok(())
}

/// Ten thousand TCP clients need as many descriptors; the soft limit is often 1024.
fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls only read or write the struct on this stack frame.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max.min(1 << 20);
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

fn unsound(errors: &[FieldError]) -> Failure {
    Failure::wrong(errors.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::running;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_run_lasted_until_what_it_wrote_last_itself() {
        let dir = tempfile::TempDir::new().unwrap();
        let control = running::start(dir.path());
        let at = |minute: i64| Timestamp::from_second(60 * minute).unwrap();
        // A failover of the run, and a publication by the command line hours after it.
        for (minute, kind) in [(101, EventKind::Pool), (500, EventKind::Publish)] {
            control.note(Event::at(at(minute), kind, "pools/eu".into())).await;
        }
        // The writer has seen both once it answers.
        control.checks("one".parse().unwrap()).await.unwrap();
        for (written, expected) in [(Some(100), 101), (Some(102), 102), (Some(80), 80), (None, 500)] {
            let event = started(&control, at(1000), written.map(at)).await;
            assert_eq!(event.ran_until, Some(at(expected)), "{written:?}");
        }
    }
}
