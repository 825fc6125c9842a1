//! Northing: GeoDNS and global server load balancing in one binary. This page is the map.
//!
//! # Layers
//!
//! ```text
//! start      main ── cli ── app (wires everything; decides nothing)
//! people     web   cli ─────────────┐                 templates/ static/
//!                                   ▼
//! truth                          control              one task, the only writer of model, health and snapshot
//!                                   │ commit / append
//! edges      dns   probe   store    │                 I/O, no decisions; no edge names another edge
//!              └─────┴───────┘      │
//! pure       answer ──▶ health ──▶ model              decisions: no I/O, no clock, no chance, no async, no logging
//!              └──────▶ geo ─────▶ model
//! ```
//!
//! | Module | What it holds |
//! |---|---|
//! | [`model`] | what the admin configured: zones, records, regions, endpoints, pools, monitors, policies; a draft becomes a checked model with every error at once; the difference in sentences; zone files in and out |
//! | [`geo`] | where a client is: databases of any vendor become places; regions and networks over them become one merged table per distinct split, with exact scopes |
//! | [`health`] | what we know: outcomes of probes become states of endpoints and pools, events and incidents |
//! | [`answer`] | what we say: the compiled snapshot, the look-up, steering, and the same code with a listener for Explain |
//! | [`dns`] | packets: the fast path, UDP threads, TCP, and hickory for whatever is rare |
//! | [`probe`] | checks on time, one file per kind |
//! | [`store`] | the only place that says sled: transactions, journal, exports, start ladder, backup |
//! | [`control`] | commands in, snapshots and events out; drafts and their review; accounts and tokens; what is measured for people: outcomes of checks, query rates; which geo files are used |
//! | [`web`] | the API with its OpenAPI document; in `ui/` the pages, one file or folder each; their words are English there and in `templates/`, Korean in `templates/ko/` |
//! | [`app`] | wiring, the sockets of HTTP, the demo |
//! | [`cli`] | commands: clients of the API, over HTTP or in this process |
//! | [`config`], [`metrics`] | the boot file; Prometheus |
//!
//! Pure modules take `now_ms` and [`answer::Entropy`] as arguments, so that every decision replays in a test and
//! Explain, previews and exports use the very code that answers. `tests/tidy/` keeps the layers.
//!
//! # Four journeys
//!
//! **Query → answer.** A UDP thread receives a batch ([`dns`]), reads each query where it lies, asks
//! [`answer::answer`] on the thread's snapshot, and writes the reply into a reused buffer. No lock, no await, no
//! allocation. TCP and the general path ask the same function.
//!
//! **Probe → health → swap → event.** [`probe::Scheduler`] reports a [`health::Outcome`]; [`control::Writer`] gives it
//! to [`health::Health`]; if anything changed, [`answer::Snapshot::with_health`] makes the next snapshot and it is
//! swapped in; only then the event is stored. A burst is one swap, and a slow disk delays nothing before it.
//!
//! **Edit.** A form adds edits to its author's draft ([`control::draft`]), whose review says who would get other
//! answers; an API call or a file brings edits at once. [`model::Model::check`] makes a checked model or says
//! everything that is wrong; the snapshot is compiled, as far as something changed, and asked the kept tests
//! ([`answer::rehearse`]); [`store::Store::commit`] makes it durable; then it is swapped in and the caller hears of it.
//!
//! **Export.** [`model::zonefile::export`] writes a zone in canonical order, steered names as comments with what everyone
//! else gets now: the same bytes for the same revision and health.
//!
//! # Where to begin
//!
//! [`model::Policy`] is the heart of the model, [`answer::answer`] of the answers, [`health::Health`] of failover. The
//! scenario files in `tests/scenarios/` show whole worlds in a few lines.

pub mod answer;
pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod dns;
pub mod geo;
pub mod health;
pub mod metrics;
pub mod model;
pub mod probe;
pub mod store;
pub mod web;
