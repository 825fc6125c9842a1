//! The record sets of a zone, page by page. Costs what is shown, not what is there; a filter looks at each name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Bound;

use askama::Template;
use axum::response::Response;

use super::super::export;
use super::super::filters;
use super::super::frame::{Frame, Place};
use super::super::visit::Visit;
use super::{MAX_STEERED, Shown, Tab, Tabs, count};
use crate::model::{Kind, Name, RecordKey, RecordSet, RecordType};
use crate::web::Problem;
use crate::web::extract::{Path, Query};

const PAGE_ROWS: usize = 50;
/// Values of a set that a row shows.
const MAX_VALUES_SHOWN: usize = 4;
/// Rows of one export; the zone file has them all.
const MAX_EXPORT: usize = 1_000_000;

#[derive(Template)]
#[template(path = "ui/zone.html")]
struct Records {
    frame: Frame,
    tabs: Tabs,
    rows: Vec<Row>,
    steered: Vec<Steered>,
    more_steered: usize,
    counted: usize,
    q: String,
    rtype: String,
    types: Vec<&'static str>,
    /// The query of the next page, and whether this is the first.
    next: Option<String>,
    is_first: bool,
    query: String,
    wrong_type: bool,
}

struct Row {
    name: String,
    fqdn: String,
    rtype: String,
    ttl: Option<u32>,
    values: Vec<String>,
    more: usize,
    enabled: bool,
    note: String,
    is_changed: bool,
    /// Only in the draft.
    is_new: bool,
    is_steered: bool,
    query: String,
}

struct Steered {
    name: String,
    fqdn: String,
    types: String,
}

/// Types that the filter and the form offer.
pub const TYPES: [&str; 16] = [
    "A", "AAAA", "CNAME", "MX", "TXT", "NS", "SRV", "CAA", "HTTPS", "SVCB", "PTR", "TLSA", "SSHFP", "NAPTR", "DS",
    "DNAME",
];

/// What the list is narrowed to.
struct Filter {
    q: String,
    rtype: Option<RecordType>,
    wrong_type: bool,
    address: Option<Vec<u8>>,
}

impl Filter {
    fn read(asked: &HashMap<String, String>) -> Filter {
        let get = |name: &str| asked.get(name).map(|text| text.trim()).unwrap_or_default();
        let q = get("q").to_ascii_lowercase();
        let rtype = (!get("type").is_empty()).then(|| get("type").parse());
        let address = q.parse().ok().map(|address: IpAddr| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        });
        let wrong_type = matches!(rtype, Some(Err(_)));
        Filter { q, rtype: rtype.and_then(Result::ok), wrong_type, address }
    }

    fn admits(&self, key: &RecordKey, set: &RecordSet, apex: &Name, buffer: &mut String) -> bool {
        use std::fmt::Write;
        if self.wrong_type || self.rtype.is_some_and(|rtype| rtype != key.rtype) {
            return false;
        }
        if let Some(address) = &self.address
            && [RecordType::A, RecordType::AAAA].contains(&key.rtype)
            && set.values.iter().any(|value| value.as_wire() == address.as_slice())
        {
            return true;
        }
        match self.q.as_str() {
            "" => true,
            "@" => key.name == *apex,
            q => {
                buffer.clear();
                write!(buffer, "{}", key.name).expect("a String takes all");
                buffer.contains(q)
            }
        }
    }

    fn query(&self, after: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let rtype = self.rtype.map(|rtype| rtype.to_string()).unwrap_or_default();
        for (name, value) in [("q", self.q.as_str()), ("type", &rtype), ("after", after.unwrap_or_default())] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

fn matching<'s>(
    shown: &'s Shown,
    filter: &'s Filter,
    after: Option<RecordKey>,
) -> impl Iterator<Item = (&'s RecordKey, &'s RecordSet)> {
    let first = RecordKey { zone: shown.id.clone(), name: Name::root(), rtype: RecordType(0) };
    let from = after.map_or(Bound::Included(first), Bound::Excluded);
    let mut buffer = String::new();
    shown
        .model
        .records
        .range((from, Bound::Unbounded))
        .take_while(|(key, _)| key.zone == shown.id)
        .filter(move |(key, set)| filter.admits(key, set, &shown.zone.fqdn, &mut buffer))
        .map(|(key, set)| (key, &**set))
}

pub async fn show(
    visit: Visit,
    Path(zone): Path<String>,
    Query(asked): Query<HashMap<String, String>>,
) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let filter = Filter::read(&asked);
    let start = asked.get("after").and_then(|id| shown.model.record_key(&format!("{}/{id}", shown.id)));
    let is_first = start.is_none();
    let steered = steered(&shown);
    let is_steered = |key: &RecordKey| {
        shown
            .model
            .policies
            .values()
            .flat_map(|policy| &policy.attach)
            .any(|attach| attach.zone == key.zone && attach.name == key.name && attach.types.contains(&key.rtype))
    };
    let mut found = matching(&shown, &filter, start);
    let page: Vec<_> = found.by_ref().take(PAGE_ROWS).collect();
    let more = found.next().is_some();
    let place = |key: &RecordKey| format!("{}/{}", key.name.relative_to(&shown.zone.fqdn), key.rtype);
    let next = page.last().filter(|_| more).map(|(key, _)| filter.query(Some(&place(key))));
    let rows = page.iter().map(|(key, set)| row(&shown, key, set, is_steered(key))).collect();
    let page = Records {
        frame: shown.frame(&visit).await,
        tabs: shown.tabs(&visit.model(), Tab::Records),
        rows,
        more_steered: steered.len().saturating_sub(MAX_STEERED),
        steered: steered.into_iter().take(MAX_STEERED).collect(),
        counted: count(&visit.model(), &shown.draft, &shown.id),
        q: filter.q.clone(),
        rtype: asked.get("type").cloned().unwrap_or_default(),
        types: TYPES.to_vec(),
        next,
        is_first,
        query: filter.query(None),
        wrong_type: filter.wrong_type,
    };
    Ok(visit.page(&page))
}

fn row(shown: &Shown, key: &RecordKey, set: &RecordSet, is_steered: bool) -> Row {
    let name = key.name.relative_to(&shown.zone.fqdn);
    let rtype = key.rtype.to_string();
    let id = format!("{}/{name}/{rtype}", shown.id);
    let pairs = [("name", name.as_str()), ("type", &rtype)];
    let drafted = shown.draft.of(Kind::Records, &id);
    Row {
        fqdn: key.name.without_dot(),
        ttl: set.ttl,
        values: set.values.iter().take(MAX_VALUES_SHOWN).map(|value| value.present(key.rtype)).collect(),
        more: set.values.len().saturating_sub(MAX_VALUES_SHOWN),
        enabled: set.enabled,
        note: set.meta.note.clone(),
        is_changed: drafted.is_some(),
        is_new: drafted.is_some_and(|drafted| drafted.before.is_none()),
        is_steered,
        query: form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish(),
        name,
        rtype,
    }
}

fn steered(shown: &Shown) -> Vec<Steered> {
    let attached = shown.model.policies.values().flat_map(|policy| &policy.attach);
    let mut steered: Vec<Steered> = attached
        .filter(|attach| attach.zone == shown.id)
        .map(|attach| Steered {
            name: attach.name.relative_to(&shown.zone.fqdn),
            fqdn: attach.name.without_dot(),
            types: attach.types.iter().map(RecordType::to_string).collect::<Vec<_>>().join(", "),
        })
        .collect();
    steered.sort_by(|a, b| a.fqdn.cmp(&b.fqdn));
    steered
}

pub async fn csv(
    visit: Visit,
    Path(zone): Path<String>,
    Query(asked): Query<HashMap<String, String>>,
) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let filter = Filter::read(&asked);
    let rows = matching(&shown, &filter, None).take(MAX_EXPORT).map(|(key, set)| {
        let values: Vec<String> = set.values.iter().map(|value| value.present(key.rtype)).collect();
        vec![
            key.name.without_dot(),
            key.rtype.to_string(),
            set.ttl.unwrap_or(shown.zone.default_ttl).to_string(),
            values.join(" | "),
            set.enabled.to_string(),
            set.meta.note.clone(),
        ]
    });
    export::csv(&format!("records-{}", shown.id), &["name", "type", "ttl", "values", "enabled", "note"], rows)
}

pub async fn json(
    visit: Visit,
    Path(zone): Path<String>,
    Query(asked): Query<HashMap<String, String>>,
) -> Result<Response, Problem> {
    let shown = Shown::find(&visit, &zone).await?;
    let filter = Filter::read(&asked);
    let sets: Vec<&RecordSet> = matching(&shown, &filter, None).take(MAX_EXPORT).map(|(_, set)| set).collect();
    Ok(export::json(&format!("records-{}", shown.id), sets))
}
