//! What the parent zone has to say, to copy; and the zone as a file.

use std::collections::HashMap;

use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::export::Format;
use super::super::filters;
use super::super::frame::{Frame, Place};
use super::super::pools::is_private;
use super::super::visit::Visit;
use super::parent::{self, Verdict};
use super::{Shown, Tab, Tabs, count};
use crate::model::zonefile::{self, Rules};
use crate::model::{Name, RecordKey, RecordType};
use crate::web::Problem;
use crate::web::api::zones::everyone_else;
use crate::web::extract::{Path, Query};

/// Record sets up to which the page itself makes the export to show its hash.
const MAX_HASHED: usize = 5_000;

#[derive(Template)]
#[template(path = "ui/zone_delegation.html")]
struct Page {
    frame: Frame,
    tabs: Tabs,
    /// NS lines, then glue.
    lines: String,
    servers: Vec<Server>,
    few: bool,
    /// Of the two files; `None` where they are too large to make for a page.
    hashes: Option<(String, String)>,
    drafted: bool,
    /// What the parent says, once somebody has asked.
    verdict: Option<Verdict>,
}

struct Server {
    name: String,
    /// Below the zone, so that the parent needs its addresses.
    needs_glue: bool,
    addresses: Vec<String>,
    /// The first of them that only the inside reaches.
    private: Option<String>,
}

pub async fn show(
    visit: Visit,
    Path(zone): Path<String>,
    Query(asked): Query<HashMap<String, String>>,
) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let verdict = match asked.contains_key("check") {
        true => {
            let verdict = parent::check(&shown.zone.fqdn, &shown.zone.ns).await;
            visit.web.delegations.keep(&shown.model, &shown.id, &shown.zone.ns, verdict.state, visit.now);
            Some(verdict)
        }
        false => None,
    };
    let servers: Vec<Server> = shown.zone.ns.iter().map(|server| look(&shown, server)).collect();
    let mut lines = String::new();
    for server in &servers {
        lines.push_str(&format!("{}. IN NS {}.\n", shown.apex(), server.name));
    }
    for server in servers.iter().filter(|server| server.needs_glue) {
        for address in &server.addresses {
            let rtype = if address.contains(':') { "AAAA" } else { "A" };
            lines.push_str(&format!("{}. IN {rtype} {address}\n", server.name));
        }
    }
    let tabs = shown.tabs(&visit.model(), Tab::Delegation);
    let live = visit.model();
    let small = count(&live, &Default::default(), &shown.id) <= MAX_HASHED && live.zones.contains_key(&shown.id);
    let hashes = match small {
        true => Some((hash(&file(&visit, &shown, "bind")?), hash(&file(&visit, &shown, "json")?))),
        false => None,
    };
    let page = Page {
        frame: shown.frame(&visit).await,
        few: servers.len() < 2,
        drafted: tabs.changed > 0,
        tabs,
        lines,
        servers,
        hashes,
        verdict,
    };
    Ok(visit.page(&page))
}

pub async fn servers(visit: Visit, Path(zone): Path<String>, format: Format) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let rows = shown.zone.ns.iter().map(|server| look(&shown, server));
    let rows = rows.map(|server| json!([server.name, server.addresses, server.needs_glue]));
    format.table(&format!("name-servers-{}", shown.id), &["name_server", "addresses", "needs_glue"], rows)
}

fn look(shown: &Shown, server: &Name) -> Server {
    let zone = shown.model.zones.iter().filter(|(_, zone)| server.is_under(&zone.fqdn));
    let zone = zone.max_by_key(|(_, zone)| zone.fqdn.labels().count()).map(|(id, _)| id.clone());
    let sets = [RecordType::A, RecordType::AAAA].into_iter().filter_map(|rtype| {
        let key = RecordKey { zone: zone.clone()?, name: server.clone(), rtype };
        shown.model.records.get(&key).filter(|set| set.enabled)
    });
    let addresses: Vec<String> = sets.flat_map(|set| set.values.iter().map(|value| value.present(set.rtype))).collect();
    let private = addresses.iter().find(|address| address.parse().is_ok_and(is_private)).cloned();
    Server { name: server.without_dot(), needs_glue: server.is_under(&shown.zone.fqdn), addresses, private }
}

/// The live zone as bytes.
fn file(visit: &Visit, shown: &Shown, format: &str) -> Result<Vec<u8>, Problem> {
    let missing = || Problem::not_found(format!("Zone {} is not live yet; publish your draft first.", shown.apex()));
    let snapshot = visit.web.control.snapshot();
    let model = snapshot.model();
    match format {
        "json" => {
            let value = zonefile::export_json(model, &shown.id).ok_or_else(missing)?;
            Ok(serde_json::to_vec_pretty(&value).unwrap_or_default())
        }
        _ => {
            let text =
                zonefile::export(model, &shown.id, Rules::Told, |name, rtype| everyone_else(&snapshot, name, rtype));
            text.map(String::into_bytes).ok_or_else(missing)
        }
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub async fn export(
    visit: Visit,
    Path(zone): Path<String>,
    Query(asked): Query<HashMap<String, String>>,
) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let (format, kind, end) = match asked.get("format").map(String::as_str) {
        Some("json") => ("json", "application/json", "json"),
        _ => ("bind", "text/dns; charset=utf-8", "zone"),
    };
    // A zone of a million records takes seconds, which this thread owes to other requests.
    let bytes = tokio::task::block_in_place(|| file(&visit, &shown, format))?;
    let name = format!("attachment; filename=\"{}.{end}\"", shown.id);
    let name = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, bytes).into_response())
}
