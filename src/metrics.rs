//! Prometheus metrics, made at each scrape from counters that the threads keep for themselves.
//! Cardinality is bounded by what is configured: policies, pools, endpoints, response codes.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::control::{Control, now};
use crate::health::{EndpointState, PoolState};

/// The most endpoints and pools that get a line each; sums cover the rest.
const MAX_LABELS: usize = 10_000;
