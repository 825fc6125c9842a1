//! Prometheus metrics, made at each scrape from what the threads count for themselves. Cardinality is
//! bounded by what is configured and by `MAX_ENTITIES`; names and clients are never labels.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::answer::Snapshot;
use crate::control::{Control, now};
use crate::dns::{Counters, Edge};
use crate::health::{EndpointState, Family, PoolState};
use crate::model::{Id, Kind, Region};

/// The most pools, endpoints and policies that get lines of their own.
const MAX_ENTITIES: usize = 10_000;

/// Makes the text of a scrape.
pub struct Metrics {
    /// `None` where no DNS is served.
    edge: Option<Arc<Edge<Snapshot>>>,
    node: String,
}

/// Families on their way into the encoder. Label names and values are few and bounded.
struct Page<'e>(DescriptorEncoder<'e>);

type Labels<'l> = Vec<(&'static str, &'l str)>;

impl Page<'_> {
    fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

/// One scrape, as the registry collects it.
struct Scrape {
    edge: Option<Arc<Edge<Snapshot>>>,
    node: String,
    control: Control,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = Page(encoder);
        let labels = vec![("version", env!("CARGO_PKG_VERSION")), ("node", self.node.as_str())];
        page.gauges("northing_build", "What runs here.", [(labels, 1.0)])?;
        let uptime = now().duration_since(self.control.shared().started).as_secs_f64();
        page.gauges("northing_uptime_seconds", "Seconds since the start.", [(vec![], uptime)])?;
        if let Some(edge) = &self.edge {
            dns(&mut page, edge)?;
        }
        traffic(&mut page, &self.control)?;
        world(&mut page, &self.control)?;
        health(&mut page, &self.control)
    }
}

impl Metrics {
    pub fn new(edge: Option<Arc<Edge<Snapshot>>>, node: &str) -> Self {
        Metrics { edge, node: node.into() }
    }

    /// The name of this node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// One scrape, in the text format of OpenMetrics 1.0.
    pub fn render(&self, control: &Control) -> String {
        let mut registry = Registry::default();
        let scrape = Scrape { edge: self.edge.clone(), node: self.node.clone(), control: control.clone() };
        registry.register_collector(Box::new(scrape));
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &registry).expect("a String takes whatever is written");
        text
    }
}

fn dns(page: &mut Page, edge: &Edge<Snapshot>) -> fmt::Result {
    let threads = edge.counters();
    let mut replies = BTreeMap::new();
    for counters in &threads {
        for (rtype, code, count) in counters.replies().filter(|(_, _, count)| *count > 0) {
            let rtype = rtype.map_or("other".to_owned(), |rtype| rtype.to_string());
            let code = code.map_or("other".to_owned(), |code| code.to_string());
            *replies.entry((counters.transport, rtype, code)).or_insert(0) += count;
        }
    }
    let samples = replies.iter().map(|((transport, rtype, code), count)| {
        (vec![("transport", *transport), ("type", rtype.as_str()), ("code", code.as_str())], *count)
    });
    page.counters("northing_dns_replies", "Replies by transport, query type and response code.", samples)?;
    let sum = |count: fn(&Counters<Snapshot>) -> &AtomicU64| -> u64 {
        threads.iter().map(|counters| count(counters).load(Relaxed)).sum()
    };
    let sums = [
        ("northing_dns_truncated", "Replies cut to the size that the client takes.", sum(|c| &c.truncated)),
        ("northing_dns_client_subnets", "Queries that carried a client subnet.", sum(|c| &c.subnets)),
        ("northing_dns_silent", "Packets without a reply, by their own fault.", sum(|c| &c.silent)),
        ("northing_dns_general_path", "Packets that the fast path does not speak.", sum(|c| &c.general)),
        ("northing_dns_rate_dropped", "Queries over their network's rate, not answered.", sum(|c| &c.dropped)),
        ("northing_dns_rate_slipped", "Queries over their network's rate, told to use TCP.", sum(|c| &c.slipped)),
        ("northing_dns_unsent", "Replies that the kernel did not take.", sum(|c| &c.unsent)),
        ("northing_dns_faults", "Batches or connections given up by a fault here.", sum(|c| &c.faults)),
    ];
    for (name, help, value) in sums {
        page.counters(name, help, [(vec![], value)])?;
    }
    Ok(())
}

fn traffic(page: &mut Page, control: &Control) -> fmt::Result {
    let traffic = control.shared().traffic.lock();
    let policies =
        traffic.policies.iter().take(MAX_ENTITIES).map(|(id, count)| (vec![("policy", id.as_str())], *count));
    page.counters("northing_policy_answers", "Answers that each policy gave.", policies)?;
    let pools = traffic.pools.iter().take(MAX_ENTITIES).map(|(id, count)| (vec![("pool", id.as_str())], *count));
    page.counters("northing_pool_answers", "Answers that came from each pool.", pools)?;
    let regions: Vec<(String, u64)> =
        traffic.regions.iter().take(MAX_ENTITIES).map(|(regions, count)| (regions_label(regions), *count)).collect();
    let regions = regions.iter().map(|(label, count)| (vec![("regions", label.as_str())], *count));
    page.counters("northing_region_queries", REGION_QUERIES, regions)
}

/// A rule that names several regions counts for them together, so that the sum is that of the queries.
const REGION_QUERIES: &str = "Queries of steered names by the regions that the rule names which admitted the client, with + between several; everyone_else where it names none. One line for each such set of the rules, at most 10,000.";

/// An underscore is in no region's id.
fn regions_label(regions: &[Id<Region>]) -> String {
    if regions.is_empty() {
        return "everyone_else".into();
    }
    regions.iter().map(Id::as_str).collect::<Vec<_>>().join("+")
}

fn world(page: &mut Page, control: &Control) -> fmt::Result {
    let snapshot = control.snapshot();
    let model = snapshot.model();
    page.gauges("northing_revision", "The newest published revision.", [(vec![], model.revision as f64)])?;
    let kinds = Kind::ALL.map(|kind| (vec![("kind", kind.as_str())], model.count(kind) as f64));
    page.gauges("northing_entities", "Configured entities by kind.", kinds)?;
    let ages = snapshot.geo().databases().iter().map(|database| {
        let age = now().as_second().saturating_sub_unsigned(database.built);
        (vec![("database", database.kind.as_str())], age as f64)
    });
    page.gauges("northing_geo_database_age_seconds", "How old the geo databases are.", ages)?;
    let lost = control.shared().events_lost.load(Relaxed);
    page.counters("northing_events_lost", "Events that could not be recorded.", [(vec![], lost)])
}

fn health(page: &mut Page, control: &Control) -> fmt::Result {
    let health = control.health();
    let pools = health.pools.iter().take(MAX_ENTITIES).map(|(id, pool)| {
        let state = match pool.state {
            PoolState::Off => "off",
            PoolState::Drain => "drain",
            PoolState::Down => "down",
            PoolState::Held => "held",
            PoolState::Ok => "ok",
        };
        (vec![("pool", id.as_str()), ("state", state)], 1.0)
    });
    page.gauges("northing_pool_state", "1 for the state that the pool is in.", pools)?;
    let endpoints = health.endpoints.iter().take(MAX_ENTITIES).flat_map(|(id, endpoint)| {
        endpoint.families.iter().map(move |(family, known)| {
            let value = match known.state {
                EndpointState::Up => 1.0,
                EndpointState::Unknown => 0.5,
                EndpointState::Down => 0.0,
            };
            (vec![("endpoint", id.as_str()), ("family", word(*family))], value)
        })
    });
    page.gauges("northing_endpoint_up", "1 up, 0 down, 0.5 not known yet.", endpoints)
}

fn word(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
        Family::Name => "name",
    }
}
