//! The first run, step 5: everything is tried for real, then it goes live as one revision.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use askama::Template;
use axum::response::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::plan::Plan;
use super::samples::{Sample, samples};
use super::servers::{Found, try_one};
use super::steering::sentences;
use super::steps::{PATHS, Step, plan, way};
use crate::control::{Publication, Tests};
use crate::web::Problem;
use crate::web::ui::filters;
use crate::web::ui::form::Form;
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::pools::is_private;
use crate::web::ui::text::{Text, count, fact, plain, text};
use crate::web::ui::visit::{Visit, see};

/// How long each question may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Servers that are asked once more before going live.
const MAX_ASKED: usize = 10;
/// The port that resolvers ask.
const DNS_PORT: u16 = 53;

#[derive(Template)]
#[template(path = "ui/setup/check.html")]
struct Page {
    frame: Frame,
    steps: Vec<Step>,
    head: Text,
    sentences: Vec<Text>,
    checks: Vec<Line>,
    /// As a zone file has them.
    delegation: String,
    parent: String,
    samples: Vec<Sample>,
    name: String,
}

/// Something that was tried.
struct Line {
    icon: &'static str,
    colour: &'static str,
    said: Text,
    below: Vec<Text>,
}

impl Line {
    fn good(said: Text, below: Vec<Text>) -> Line {
        Line { icon: "check", colour: "okc", said, below }
    }

    fn doubtful(said: Text, below: Vec<Text>) -> Line {
        Line { icon: "triangle-alert", colour: "warnc", said, below }
    }

    fn bad(said: Text, below: Vec<Text>) -> Line {
        Line { icon: "octagon-x", colour: "badc", said, below }
    }
}

pub async fn show(visit: Visit) -> Result<Response, Problem> {
    let plan = plan(&visit).await?;
    let (Some(name), Some(zone)) = (plan.name.clone(), plan.zone.clone()) else { return Ok(see(PATHS[1])) };
    if plan.everyone.is_none() {
        return Ok(see(PATHS[2]));
    }
    let (dns, servers, internet, samples) =
        tokio::join!(own_dns(&visit), all_servers(&visit, &plan), internet(&plan), samples(&visit, &plan));
    let mut checks = vec![dns, servers, answers(&plan, &samples), internet];
    checks.push(Line {
        icon: "circle-dashed",
        colour: "",
        said: count(plan.ns.len(), "One name server is named", "{n} name servers are named"),
        below: vec![text("Most registries want two, so that DNS itself can fail over.")],
    });
    checks.extend(private_glue(&plan));
    let bare = |name: &crate::model::Name| name.to_string().trim_end_matches('.').to_owned();
    let page = Page {
        frame: visit.frame(Place::Elsewhere, text("First run")).await,
        steps: way(4),
        head: heading(&checks).set("name", bare(&name)),
        sentences: sentences(&plan),
        checks,
        delegation: delegation(&plan),
        parent: zone.parent().map(|parent| bare(&parent)).unwrap_or_default(),
        samples,
        name: bare(&name),
    };
    Ok(visit.page(&page))
}

/// By the worst finding.
fn heading(checks: &[Line]) -> Text {
    let has = |colour: &str| checks.iter().any(|line| line.colour == colour);
    match (has("badc"), has("warnc")) {
        (true, _) => text("{name} is not ready yet"),
        (false, true) => text("{name} is nearly ready to answer"),
        (false, false) => text("{name} is ready to answer"),
    }
}

/// Name servers that the parent zone would lead nowhere.
fn private_glue(plan: &Plan) -> Option<Line> {
    let private = |server: &super::plan::NameServer| {
        let address = server.glue.filter(|address| is_private(*address))?;
        let said = text("{name} has the private address {address}.");
        Some(said.set("name", server.name.to_string().trim_end_matches('.')).set("address", address))
    };
    let mut below: Vec<Text> = plan.ns.iter().filter_map(private).collect();
    if below.is_empty() {
        return None;
    }
    below.push(text("Go back to the name and give the address by which the internet reaches this machine."));
    Some(Line::bad(text("Resolvers cannot reach the name servers"), below))
}

/// What the parent zone needs: the name servers, and where those in the new zone are.
fn delegation(plan: &Plan) -> String {
    let zone = plan.zone.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut rows: Vec<(String, &str, String)> =
        plan.ns.iter().map(|server| (zone.clone(), "NS", server.name.to_string())).collect();
    for server in &plan.ns {
        if let Some(address) = server.glue {
            let rtype = if address.is_ipv4() { "A" } else { "AAAA" };
            rows.push((server.name.to_string(), rtype, address.to_string()));
        }
    }
    let width = rows.iter().map(|row| row.0.len()).max().unwrap_or_default();
    rows.iter().map(|(name, rtype, value)| format!("{name:width$}  {rtype:<4}  {value}")).collect::<Vec<_>>().join("\n")
}

/// Asks this server's own sockets.
async fn own_dns(visit: &Visit) -> Line {
    let addresses = &visit.web.boot.dns;
    let mut asked = JoinSet::new();
    for address in addresses.iter().copied() {
        asked.spawn(async move { (address, over_udp(reachable(address)).await, over_tcp(reachable(address)).await) });
    }
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    while let Some(Ok((address, udp, tcp))) = asked.join_next().await {
        match (udp, tcp) {
            (Some(time), Some(_)) => good.push((address, time)),
            (udp, _) => bad.push((address, if udp.is_none() { "UDP" } else { "TCP" })),
        }
    }
    let mut below: Vec<Text> = Vec::new();
    for (address, time) in &good {
        let time = format!("{:.1}", time.as_secs_f64() * 1000.0);
        below.push(text("{address}, answer in {ms} ms").set("address", address).set("ms", time));
    }
    for (address, transport) in &bad {
        below.push(
            text("{address} gave no answer over {transport}").set("address", address).set("transport", transport),
        );
    }
    if !bad.is_empty() {
        return Line::bad(text("This machine does not answer DNS everywhere"), below);
    }
    match good.iter().find(|(address, _)| address.port() == DNS_PORT) {
        Some(_) => Line::good(text("This machine answers DNS on port 53, UDP and TCP"), below),
        None => {
            below.push(text(
                "Resolvers ask port 53 only. Set dns in northing.toml to an address with port 53 and restart; where \
                 systemd-resolved holds that port, name the public address instead of 0.0.0.0.",
            ));
            Line::doubtful(text("This machine answers DNS, but not on port 53"), below)
        }
    }
}

/// A wildcard address is no destination.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// A question for the root's NS records (RFC 1035 section 4); any answer will do, a refusal too.
const QUESTION: [u8; 17] = [0x4e, 0x47, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

async fn over_udp(address: SocketAddr) -> Option<Duration> {
    let here: SocketAddr =
        if address.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let ask = async {
        let socket = UdpSocket::bind(here).await.ok()?;
        socket.connect(address).await.ok()?;
        let begin = Instant::now();
        socket.send(&QUESTION).await.ok()?;
        let mut reply = [0; 512];
        let length = socket.recv(&mut reply).await.ok()?;
        is_reply(reply.get(..length)?).then(|| begin.elapsed())
    };
    timeout(PATIENCE, ask).await.ok()?
}

async fn over_tcp(address: SocketAddr) -> Option<Duration> {
    let ask = async {
        let begin = Instant::now();
        let mut stream = TcpStream::connect(address).await.ok()?;
        let length = u16::try_from(QUESTION.len()).ok()?;
        stream.write_all(&[&length.to_be_bytes()[..], &QUESTION].concat()).await.ok()?;
        let mut reply = [0; 5];
        stream.read_exact(&mut reply).await.ok()?;
        is_reply(&reply[2..]).then(|| begin.elapsed())
    };
    timeout(PATIENCE, ask).await.ok()?
}

/// The id of our question and the bit of an answer.
fn is_reply(reply: &[u8]) -> bool {
    matches!(reply, [0x4e, 0x47, flags, ..] if flags & 0x80 != 0)
}

async fn all_servers(visit: &Visit, plan: &Plan) -> Line {
    let (Some(check), Some(name)) = (plan.check, plan.name.clone()) else {
        return Line::doubtful(text("The servers have no health check"), Vec::new());
    };
    let mut tries = JoinSet::new();
    for (at, server) in plan.servers.iter().cloned().enumerate().take(MAX_ASKED) {
        let (control, name) = (visit.web.control.clone(), name.clone());
        tries.spawn(async move {
            let found = try_one(&control, check, &name, server.address).await;
            (at, server, found)
        });
    }
    let mut found = Vec::new();
    while let Some(Ok(one)) = tries.join_next().await {
        found.push(one);
    }
    found.sort_by_key(|(at, ..)| *at);
    let is_bad = |found: &Found| matches!(found, Found::Fails(_));
    let failed = found.iter().filter(|(.., found)| is_bad(found)).count();
    let said = |(_, server, found): &(usize, super::plan::Server, Found)| {
        let server_said = text("{pool} {address}: {found}").set("pool", &server.pool).set("address", server.address);
        match found {
            Found::Works(words) => server_said.say("found", words.clone()),
            Found::Fails(reason) => server_said.say("found", fact("finding", reason)),
        }
    };
    let below = found.iter().map(said).collect();
    match failed {
        0 => Line::good(
            count(found.len(), "The server passes its health check", "All {n} servers pass their health check"),
            below,
        ),
        _ if failed < found.len() => Line::doubtful(
            count(failed, "One server does not pass its health check", "{n} servers do not pass their health check"),
            below,
        ),
        _ => Line::bad(text("No server passes its health check"), below),
    }
}

fn answers(plan: &Plan, samples: &[Sample]) -> Line {
    let everyone = plan.everyone.clone().unwrap_or_default();
    let below = vec![
        text("The rule for everyone else sends unknown places to {pools}")
            .set("pools", plan.order(&everyone).collect::<Vec<_>>().join(", ")),
    ];
    match samples.iter().all(|sample| !sample.answer.is_empty()) {
        true => Line::good(text("Every client gets an answer"), below),
        false => Line::doubtful(text("Some clients get no answer"), below),
    }
}

/// Looks the name up as everybody does, through this machine's resolver.
async fn internet(plan: &Plan) -> Line {
    let (Some(name), Some(zone)) = (&plan.name, &plan.zone) else { return Line::doubtful(plain(""), Vec::new()) };
    let host = name.to_string();
    let look = tokio::task::spawn_blocking(move || {
        std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), 0))
            .map(|found| found.map(|address| address.ip()).collect::<Vec<_>>())
    });
    let found = timeout(PATIENCE, look).await;
    let below = text("Add the lines shown here to the zone {parent}, at its operator or registrar.");
    let parent = zone.parent().map(|parent| parent.to_string()).unwrap_or_default();
    let below = below.set("parent", parent.trim_end_matches('.'));
    match found {
        Ok(Ok(Ok(addresses))) if plan.servers.iter().any(|server| addresses.contains(&server.address)) => {
            Line::good(text("The internet gets its answers for this name already"), Vec::new())
        }
        Ok(Ok(Ok(_))) => Line::doubtful(text("The internet gets other answers for this name so far"), vec![below]),
        _ => Line::doubtful(text("It is not known whether the internet asks this machine"), vec![below]),
    }
}

/// One revision with its reason; then the overview.
pub async fn go_live(visit: Visit, form: Form) -> Result<Response, Problem> {
    let plan = plan(&visit).await?;
    let Some(name) = plan.name.clone().filter(|_| plan.everyone.is_some()) else { return Ok(see(PATHS[1])) };
    let bare = name.to_string().trim_end_matches('.').to_owned();
    let reason = match form.text("reason") {
        "" => format!("Set up {bare}"),
        reason => reason.to_owned(),
    };
    let control = &visit.web.control;
    let edits = plan.edits(&Plan::default());
    let done: Vec<_> = edits.iter().map(|edit| (edit.kind, edit.id.clone())).collect();
    let publication =
        Publication { edits, message: reason, author: visit.author(), expect: Vec::new(), tests: Tests::MustPass };
    control.publish(publication).await?;
    for (kind, id) in &done {
        control.discard_draft(&visit.user().id, Some((*kind, id))).await?;
    }
    let said = text("{name} is answered from now on.").set("name", bare);
    visit.say(said);
    Ok(see("/"))
}
