//! The first run, step 2: which name is steered, in which zone, and who serves that.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::plan::{NameServer, Plan};
use super::steps::{PATHS, Refused, Step, keep, plan, way};
use crate::model::{FieldError, Name, check_host_name, no_servers};
use crate::web::Problem;
use crate::web::ui::filters;
use crate::web::ui::form::{Faults, Form};
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::text::text;
use crate::web::ui::values::underscored;
use crate::web::ui::visit::{Visit, see};

/// Name servers of a new zone.
const MAX_NS: usize = 8;

#[derive(Template)]
#[template(path = "ui/setup/name.html")]
struct Page {
    frame: Frame,
    steps: Vec<Step>,
    faults: Faults,
    /// The name as it was typed.
    typed: String,
    /// `name` or `parent`.
    zone: &'static str,
    ns: String,
    /// Where this server seems to be reached.
    address: Option<IpAddr>,
    /// The name has an underscore, which may be meant.
    is_doubtful: bool,
}

pub async fn show(visit: Visit) -> Result<Response, Problem> {
    let plan = plan(&visit).await?;
    let line = |server: &NameServer| match server.glue {
        Some(address) => format!("{} {address}", server.name.without_dot()),
        None => server.name.without_dot(),
    };
    let is_parent = plan.zone.is_some() && plan.zone != plan.name;
    let page = Page {
        typed: plan.name.as_ref().map(Name::without_dot).unwrap_or_default(),
        zone: if is_parent { "parent" } else { "name" },
        ns: plan.ns.iter().map(line).collect::<Vec<_>>().join("\n"),
        ..empty(&visit).await
    };
    Ok(visit.page(&page))
}

async fn empty(visit: &Visit) -> Page {
    let frame = visit.frame(Place::Elsewhere, text("First run")).await;
    let (typed, ns) = (String::new(), String::new());
    Page {
        frame,
        steps: way(1),
        faults: Faults::default(),
        typed,
        zone: "name",
        ns,
        address: address(&visit.web.boot.dns),
        is_doubtful: false,
    }
}

pub async fn save(visit: Visit, form: Form) -> Result<Response, Problem> {
    let before = plan(&visit).await?;
    let mut faults = Faults::default();
    let (typed, kept) = (form.text("name"), before.name.as_ref().map(Name::without_dot));
    let is_doubtful = typed.contains('_') && form.text("keep") != "underscore" && kept.as_deref() != Some(typed);
    if is_doubtful {
        faults.say("name", underscored(typed));
    }
    let result = match read(&form, address(&visit.web.boot.dns)) {
        Ok(_) if is_doubtful => Err(Refused::Fields(Vec::new())),
        Ok((name, zone, ns)) => {
            let mut after = Plan { name: Some(name), zone: Some(zone), ns, ..before.clone() };
            // A draft from before the servers has no policy to attach.
            if after.servers.is_empty() {
                after.everyone = None;
            }
            keep(&visit, &before, &after).await
        }
        Err(errors) => Err(Refused::Fields(errors)),
    };
    match result {
        Ok(()) => return Ok(see(PATHS[2])),
        Err(Refused::Other(problem)) => return Err(problem),
        Err(Refused::Fields(errors)) => errors.into_iter().for_each(|error| faults.push(error)),
    }
    let page = Page {
        faults,
        is_doubtful,
        typed: typed.to_owned(),
        zone: if form.text("zone") == "parent" { "parent" } else { "name" },
        ns: form.text("ns").to_owned(),
        ..empty(&visit).await
    };
    Ok(visit.page_with(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

/// Name, zone and name servers, or everything that is wrong.
fn read(form: &Form, own: Option<IpAddr>) -> Result<(Name, Name, Vec<NameServer>), Vec<FieldError>> {
    let mut errors = Vec::new();
    let name = match form.text("name") {
        "" => Err("is missing; give the name that clients ask for, such as app.example.com".to_owned()),
        text => {
            check_host_name(text).and_then(|()| text.parse::<Name>()).and_then(|name| match name.labels().count() {
                0 | 1 => Err(format!("{text} is not below a domain; give a name such as app.example.com")),
                _ => Ok(name),
            })
        }
    };
    let name = name.map_err(|error| errors.push(FieldError::told("name", &error))).ok();
    let zone = name.clone().and_then(|name| match form.text("zone") {
        "parent" => name.parent(),
        _ => Some(name),
    });
    let mut ns = Vec::new();
    for (at, line) in form.text("ns").lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
        match name_server(line) {
            Ok(server) => ns.push(server),
            Err(error) => errors.push(FieldError::told("ns", &format!("line {}: {error}", at + 1))),
        }
    }
    if ns.len() > MAX_NS {
        errors.push(FieldError::new("ns", format!("{} name servers", ns.len()), format!("give at most {MAX_NS}")));
    }
    let (Some(name), Some(zone)) = (name, zone) else { return Err(errors) };
    if ns.is_empty() {
        match format!("ns1.{zone}").parse() {
            Ok(first) => ns.push(NameServer { name: first, glue: own }),
            Err(error) => errors.push(FieldError::told("ns", &error)),
        }
    }
    for server in ns.iter().filter(|server| server.name.is_under(&zone) && server.glue.is_none()) {
        let problem = format!("{} lies in the new zone and has no address", server.name);
        errors.push(FieldError::new("ns", problem, "write its address after it"));
    }
    if errors.is_empty() { Ok((name, zone, ns)) } else { Err(errors) }
}

/// `ns1.example.com 192.0.2.53`; the address may be left out where the name lies elsewhere.
fn name_server(line: &str) -> Result<NameServer, String> {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or_default();
    let name = check_host_name(name).and_then(|()| name.parse())?;
    let address = words.next().map(|word| {
        let ip: IpAddr = word.parse().map_err(|_| format!("{word} is not an address; use one such as 192.0.2.53"))?;
        match no_servers(ip) {
            None => Ok(ip),
            Some(kind) => Err(format!("{ip} is {kind}: no server has such an address; use one such as 192.0.2.53")),
        }
    });
    match words.next() {
        Some(more) => Err(format!("{more:?} is too much; give a name and its address")),
        None => Ok(NameServer { name, glue: address.transpose()? }),
    }
}

/// Where others reach this server, as far as it can tell: an address it was told to answer on, else the one that
/// packets to the internet would leave from.
pub fn address(dns: &[SocketAddr]) -> Option<IpAddr> {
    let told = dns.iter().map(SocketAddr::ip).find(|ip| !ip.is_unspecified());
    told.or_else(|| {
        // Connecting a UDP socket sends nothing; it only asks the routing table.
        let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
        socket.connect(("192.0.2.1", 53)).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(name: &str, zone: &str, ns: &str) -> Form {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Form(vec![field("name", name), field("zone", zone), field("ns", ns)])
    }

    #[test]
    fn a_name_alone_is_enough() {
        let (name, zone, ns) = read(&form("App.Example.com", "name", ""), "192.0.2.53".parse().ok()).unwrap();
        assert_eq!(zone, name);
        assert_eq!(ns[0].name.to_string(), "ns1.app.example.com.");
        let (_, zone, _) = read(&form("app.example.com", "parent", ""), "192.0.2.53".parse().ok()).unwrap();
        assert_eq!(zone.to_string(), "example.com.");
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let errors = read(
            &form("com", "name", "ns1.example.net 300.1.1.1\nns2.example.net 192.0.2.1 more\nns3.x.test ::"),
            None,
        )
        .unwrap_err();
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 4, "{said:#?}");
        assert!(said[3].contains(":: is unspecified"), "{said:#?}");
        assert!(said[1].contains("line 1: 300.1.1.1 is not an address"));
    }

    #[test]
    fn the_name_alone_is_asked_for() {
        for (typed, said) in [
            ("http://app.example.com/", "is a URL; write only the name: app.example.com"),
            ("app.example.com:443", "has a port; write only the name: app.example.com"),
            ("me@example.com", "is a mail address; write only the name: example.com"),
            ("192.0.2.1", "is an address; write a name, such as app.example.com"),
        ] {
            let errors = read(&form(typed, "name", ""), None).unwrap_err();
            assert_eq!(errors, [FieldError::told("name", &format!("{typed} {said}"))]);
        }
    }

    #[test]
    fn a_name_server_in_the_new_zone_needs_its_address() {
        let errors = read(&form("app.example.com", "name", "ns1.app.example.com"), None).unwrap_err();
        assert!(errors[0].to_string().contains("has no address"));
        assert!(read(&form("app.example.com", "name", "ns1.example.net"), None).is_ok());
    }
}
