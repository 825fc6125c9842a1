//! The first run, step 3: addresses become servers in pools; each is placed by the geo database, and asked by
//! HTTPS, HTTP and TCP at once, so that the first check that works can be taken.

use std::net::IpAddr;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use tokio::task::JoinSet;

use super::plan::{Asked, How, MAX_SERVERS, Server, region_of, slug};
use super::steps::{PATHS, Refused, Step, keep, plan, way};
use crate::control::Control;
use crate::geo::Base;
use crate::health::{Address, Report};
use crate::model::{Edit, FieldError, Kind, Model, Name, no_servers};
use crate::web::Problem;
use crate::web::extract::Query;
use crate::web::ui::country;
use crate::web::ui::filters;
use crate::web::ui::form::{Faults, Form};
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::pools::{self, is_private};
use crate::web::ui::text::{Language, Text, count, plain, text};
use crate::web::ui::visit::{Visit, see};

/// Servers that are tried; more are taken and checked once they are live.
const MAX_TRIED: usize = 10;
/// Private addresses that are named.
const MAX_DOUBTS: usize = 5;

#[derive(Template)]
#[template(path = "ui/setup/servers.html")]
struct Page {
    frame: Frame,
    steps: Vec<Step>,
    faults: Faults,
    servers: String,
    /// `auto`, or the code of a way to ask.
    check: String,
    port: String,
    rows: Vec<Row>,
    /// What was found out that one should know before going on.
    doubts: Vec<Text>,
}

/// A server with what was found out about it.
pub struct Row {
    server: Server,
    place: Text,
    tried: Vec<Tried>,
}

/// One way to ask, and what came of it.
pub struct Tried {
    how: &'static str,
    is_taken: bool,
    found: Found,
}

#[derive(Clone, PartialEq)]
pub enum Found {
    Works(Text),
    Fails(String),
}

#[derive(serde::Deserialize)]
pub struct Trying {
    #[serde(default)]
    tried: u8,
}

pub async fn show(visit: Visit, Query(Trying { tried }): Query<Trying>) -> Result<Response, Problem> {
    let plan = plan(&visit).await?;
    let Some(name) = plan.name.clone() else { return Ok(see(PATHS[1])) };
    // Without a port of one's own each way has its usual one.
    let port = plan.check.filter(|check| check.port != check.how.usual_port()).map(|check| check.port);
    let findings = match tried {
        1 => try_all(&visit.web.control, &name, &plan.servers, port).await,
        _ => Vec::new(),
    };
    let snapshot = visit.web.control.snapshot();
    let row = |(at, server): (usize, &Server)| Row {
        server: server.clone(),
        place: place(snapshot.geo(), server.address, visit.language),
        tried: findings.get(at).map(|found| told(found, plan.check)).unwrap_or_default(),
    };
    let page = Page {
        servers: plan.servers.iter().map(line).collect::<Vec<_>>().join("\n"),
        check: plan.check.filter(|_| !plan.is_tried).map_or("auto", |check| check.how.code()).to_owned(),
        port: match plan.is_tried {
            true => port.map(|port| port.to_string()).unwrap_or_default(),
            false => plan.check.map(|check| check.port.to_string()).unwrap_or_default(),
        },
        doubts: if tried == 1 { doubts(&plan.servers, &findings, plan.check) } else { Vec::new() },
        rows: plan.servers.iter().enumerate().map(row).collect(),
        ..empty(&visit).await
    };
    Ok(visit.page(&page))
}

async fn empty(visit: &Visit) -> Page {
    let frame = visit.frame(Place::Elsewhere, text("First run")).await;
    let (servers, check, port) = (String::new(), "auto".to_owned(), String::new());
    let (rows, doubts) = (Vec::new(), Vec::new());
    Page { frame, steps: way(2), faults: Faults::default(), servers, check, port, rows, doubts }
}

fn line(server: &Server) -> String {
    format!("{} {}", server.pool, server.address)
}

pub async fn save(visit: Visit, form: Form) -> Result<Response, Problem> {
    let before = plan(&visit).await?;
    let Some(name) = before.name.clone() else { return Ok(see(PATHS[1])) };
    let snapshot = visit.web.control.snapshot();
    let (read, port) = (read(form.text("servers"), snapshot.geo()), port(form.text("port")));
    let mut faults = Faults::default();
    match (read, port) {
        (Ok(servers), Ok(port)) => {
            let mut after = before.clone();
            after.take_servers(servers, |server| guess(snapshot.geo(), server));
            let chosen = How::ALL.into_iter().find(|how| how.code() == form.text("check"));
            let findings = try_all(&visit.web.control, &name, &after.servers, port).await;
            let how = chosen.unwrap_or_else(|| best(&findings));
            after.check = Some(Asked { how, port: port.unwrap_or(how.usual_port()) });
            after.is_tried = chosen.is_none();
            let is_doubtful = !doubts(&after.servers, &findings, after.check).is_empty();
            match keep(&visit, &before, &after).await {
                Ok(()) if is_doubtful || form.has("try") => return Ok(see("/setup/servers?tried=1")),
                Ok(()) => return Ok(see(PATHS[3])),
                Err(Refused::Other(problem)) => return Err(problem),
                Err(Refused::Fields(errors)) => errors.into_iter().for_each(|error| faults.push(error)),
            }
        }
        (servers, port) => {
            servers.err().into_iter().flatten().chain(port.err()).for_each(|error| faults.push(error));
        }
    }
    let page = Page {
        faults,
        servers: form.text("servers").to_owned(),
        check: form.text("check").to_owned(),
        port: form.text("port").to_owned(),
        ..empty(&visit).await
    };
    Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

fn port(text: &str) -> Result<Option<u16>, FieldError> {
    match text {
        "" => Ok(None),
        text => text.parse().ok().filter(|port| *port > 0).map(Some).ok_or_else(|| {
            FieldError::new("port", format!("{text} is not a port"), "use a number from 1 to 65535, or leave it empty")
        }),
    }
}

/// One server a line, `label address` or an address alone; everything that is wrong at once.
fn read(text: &str, geo: &Base) -> Result<Vec<Server>, Vec<FieldError>> {
    let mut servers: Vec<Server> = Vec::new();
    let mut errors = Vec::new();
    let mut spellings: Vec<(String, String)> = Vec::new();
    let mut wrong = |at: usize, problem: String, remedy: &str| {
        errors.push(FieldError::new("servers", format!("line {}: {problem}", at + 1), remedy));
    };
    for (at, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (label, address) = match words.split_last() {
            Some((address, label)) => (label.join(" "), address.trim_end_matches(',')),
            None => continue,
        };
        let address = match pools::address(address) {
            Ok(pools::Address::Ipv4(ip)) => IpAddr::from(ip),
            Ok(pools::Address::Ipv6(ip)) => IpAddr::from(ip),
            Ok(pools::Address::Name(_)) => {
                let remedy = "write a label and an address, such as eu 192.0.2.11";
                wrong(at, format!("{address} is not an address"), remedy);
                continue;
            }
            Err(error) => {
                wrong(at, error.problem, &error.remedy);
                continue;
            }
        };
        if let Some(kind) = no_servers(address) {
            wrong(at, format!("{address} is {kind}: no server has such an address"), "use one such as 192.0.2.11");
            continue;
        }
        if let Some(known) = servers.iter().find(|server| server.address == address) {
            wrong(at, format!("{address} is already in {}", known.pool), "give each address once");
            continue;
        }
        let place = geo.place(address).0;
        let pool = match (label.as_str(), place.continent) {
            ("", Some(continent)) => region_of(continent).to_owned(),
            ("", None) => format!("pool-{}", servers.len() + 1),
            (label, _) => slug(label),
        };
        // Two labels that differ for people must not become one pool unseen.
        let spelt = label.to_lowercase();
        match spellings.iter().find(|(known, _)| *known == pool) {
            Some((_, other)) if *other != spelt => {
                wrong(
                    at,
                    format!("{label} and {other} would both become pool {pool}"),
                    "use one label, or two that differ",
                );
                continue;
            }
            Some(_) => {}
            None => spellings.push((pool.clone(), spelt)),
        }
        servers.push(Server { pool, address, country: place.country });
    }
    if servers.is_empty() && errors.is_empty() {
        errors.push(FieldError::new(
            "servers",
            "is empty",
            "give at least one address, better two in different places",
        ));
    } else if servers.len() > MAX_SERVERS {
        let problem = format!("{} servers", servers.len());
        errors.push(FieldError::new(
            "servers",
            problem,
            format!("begin with at most {MAX_SERVERS}, add the others later"),
        ));
    }
    if errors.is_empty() { Ok(servers) } else { Err(errors) }
}

/// By place; where the database does not know the address, by what the label sounds like.
fn guess(geo: &Base, server: &Server) -> Option<String> {
    let continent = geo.place(server.address).0.continent;
    let sounds = [
        ("europe", &["eu", "europe", "fra", "lon", "ams", "de", "uk"][..]),
        ("north-america", &["us", "na", "america", "usa", "iad", "nyc", "sfo"]),
        ("asia", &["ap", "asia", "apac", "sin", "kr", "jp", "tokyo", "seoul"]),
        ("south-america", &["sa", "br", "latam"]),
        ("oceania", &["au", "oceania", "syd"]),
        ("africa", &["af", "africa", "za"]),
    ];
    let words: Vec<&str> = server.pool.split('-').collect();
    let sounding = sounds.iter().find(|(_, words_of)| words.iter().any(|word| words_of.contains(word)));
    continent.map(region_of).or(sounding.map(|(region, _)| *region)).map(str::to_owned)
}

fn place(geo: &Base, address: IpAddr, language: Language) -> Text {
    match geo.place(address).0.country {
        Some(code) => plain(country::name(code, language)),
        None => text("place not known"),
    }
}

/// The first way that every server answers to, else that most do.
fn best(findings: &[Vec<(Asked, Found)>]) -> How {
    let working = |how: How| findings.iter().filter(|found| works(found, how)).count();
    // Of equals the first: `max_by_key` would take the last.
    How::ALL.into_iter().rev().max_by_key(|how| working(*how)).unwrap_or(How::Https)
}

fn works(found: &[(Asked, Found)], how: How) -> bool {
    found.iter().any(|(asked, found)| asked.how == how && matches!(found, Found::Works(_)))
}

/// What one should know before going on: servers that do not pass the check, and those that nobody can reach.
fn doubts(servers: &[Server], findings: &[Vec<(Asked, Found)>], check: Option<Asked>) -> Vec<Text> {
    let private = servers.iter().filter(|server| is_private(server.address)).map(|server| {
        text("{address} is a private address. Clients on the internet cannot reach it.").set("address", server.address)
    });
    let mut said: Vec<Text> = private.take(MAX_DOUBTS).collect();
    let failing = check.map_or(0, |check| findings.iter().filter(|found| !works(found, check.how)).count());
    if failing > 0 {
        let sentence = count(
            failing,
            "One server does not answer the health check.",
            "{n} servers do not answer the health check.",
        );
        said.push(sentence);
    }
    said
}

/// Every way for every server, side by side.
async fn try_all(control: &Control, name: &Name, servers: &[Server], port: Option<u16>) -> Vec<Vec<(Asked, Found)>> {
    let mut tries = JoinSet::new();
    for (at, server) in servers.iter().enumerate().take(MAX_TRIED) {
        for how in How::ALL {
            let asked = Asked { how, port: port.unwrap_or(how.usual_port()) };
            let (control, name, address) = (control.clone(), name.clone(), server.address);
            tries.spawn(async move { (at, asked, try_one(&control, asked, &name, address).await) });
        }
    }
    let mut findings = vec![Vec::new(); servers.len().min(MAX_TRIED)];
    while let Some(Ok((at, asked, found))) = tries.join_next().await {
        if let Some(of_server) = findings.get_mut(at) {
            of_server.push((asked, found));
        }
    }
    findings
        .iter_mut()
        .for_each(|found| found.sort_by_key(|(asked, _)| How::ALL.iter().position(|how| *how == asked.how)));
    findings
}

/// Asks one server as the check of `asked` would.
pub async fn try_one(control: &Control, asked: Asked, name: &Name, address: IpAddr) -> Found {
    let edit = Edit { kind: Kind::Monitors, id: "trial".into(), value: Some(asked.monitor(name)) };
    let monitor = Model::default().check(&[edit]);
    let monitor = monitor.map(|checked| checked.model.monitors.values().next().cloned());
    let Ok(Some(monitor)) = monitor else { return Found::Fails("cannot be asked".into()) };
    match control.try_check(Address::Ip(address), &monitor).await {
        Ok(report) => found(report),
        Err(_) => Found::Fails("too much is tried at once; try again".into()),
    }
}

fn found(report: Report) -> Found {
    let outcome = match report {
        Report::Outcome(outcome) => outcome,
        Report::Unable(reason) => return Found::Fails(reason.to_string()),
    };
    if let Err(reason) = outcome.result {
        return Found::Fails(reason);
    }
    let ms = outcome.latency.total_ms.map(|ms| format!("{ms:.0}")).unwrap_or_default();
    Found::Works(match outcome.said.status {
        Some(status) => text("{status} in {ms} ms").set("status", status).set("ms", ms),
        None => text("connected in {ms} ms").set("ms", ms),
    })
}

fn told(findings: &[(Asked, Found)], taken: Option<Asked>) -> Vec<Tried> {
    let tried = |(asked, found): &(Asked, Found)| Tried {
        how: asked.how.word(),
        is_taken: taken.is_some_and(|taken| taken.how == asked.how),
        found: found.clone(),
    };
    findings.iter().map(tried).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_is_wrong_is_said_at_once() {
        let text = "eu 192.0.2.300\nus 198.51.100.21\nus 198.51.100.21\n\nserver.example.com\neu_x 192.0.2.1\neu-x 192.0.2.2\n::";
        let errors = read(text, &Base::empty()).unwrap_err();
        let said: Vec<&str> = errors.iter().map(|error| error.problem.as_str()).collect();
        assert_eq!(
            said,
            [
                "line 1: 192.0.2.300 is not an address",
                "line 3: 198.51.100.21 is already in us",
                "line 5: server.example.com is not an address",
                "line 7: eu-x and eu_x would both become pool eu-x",
                "line 8: :: is unspecified: no server has such an address",
            ]
        );
        assert_eq!(errors[0].remedy, "The last part can be at most 255");
        assert_eq!(read(" \n", &Base::empty()).unwrap_err()[0].problem, "is empty");
    }

    #[test]
    fn what_does_not_answer_or_cannot_be_reached_is_said() {
        let server = |ip: &str| Server { pool: "eu".into(), address: ip.parse().unwrap(), country: None };
        let asked = |how| Asked { how, port: 443 };
        let findings = [
            vec![(asked(How::Https), Found::Fails("refused".into())), (asked(How::Tcp), Found::Works(plain("ok")))],
            vec![(asked(How::Https), Found::Works(plain("ok"))), (asked(How::Tcp), Found::Works(plain("ok")))],
        ];
        assert_eq!(best(&findings), How::Tcp);
        let servers = [server("192.0.2.1"), server("10.0.0.5")];
        assert_eq!(doubts(&servers, &findings, Some(asked(How::Https))).len(), 2);
        assert!(doubts(&servers[..1], &findings, Some(asked(How::Tcp))).is_empty());
    }

    #[test]
    fn servers_without_a_label_get_a_pool_of_their_own() {
        let servers = read("192.0.2.11\nEU West, 192.0.2.12\n2001:db8::1", &Base::empty()).unwrap();
        let pools: Vec<&str> = servers.iter().map(|server| server.pool.as_str()).collect();
        assert_eq!(pools, ["pool-1", "eu-west", "pool-3"]);
    }

    #[test]
    fn a_label_hints_at_the_region_where_the_address_does_not() {
        let guessed = |pool: &str| {
            guess(&Base::empty(), &Server { pool: pool.into(), address: "192.0.2.1".parse().unwrap(), country: None })
        };
        assert_eq!(guessed("eu-west").as_deref(), Some("europe"));
        assert_eq!(guessed("us").as_deref(), Some("north-america"));
        assert_eq!(guessed("main"), None);
    }
}
