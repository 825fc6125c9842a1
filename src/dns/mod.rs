//! The DNS edge: packets in, packets out. What is said is decided in `answer`; here it is only read, written,
//! carried and counted.
//!
//! `query` reads, `reply` writes, `respond` is the hot path between them, `general` the other one through
//! hickory. `rate` says which network asks too much. `edge` is what the transports share; `udp` and `tcp` carry packets over the sockets of `bind`, and
//! `listeners` starts and stops them.

#[cfg(test)]
mod agreement;
mod bind;
mod connections;
mod cookie;
mod counters;
mod ecs;
mod edge;
#[cfg(test)]
mod fake;
pub mod general;
mod listeners;
mod mmsg;
#[cfg(test)]
mod mutation;
mod query;
mod rate;
mod reply;
mod respond;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

pub use bind::Sockets;
pub use cookie::Secret;
pub use counters::{Counters, Credits};
pub use edge::{Edge, Release};
pub use listeners::Listeners;
pub use query::Code;
pub use rate::{DEFAULT_RATE, MAX_RATE};
pub use respond::{Arrival, Engine, Outcome, Said, Settings, Transport, respond};
pub use tcp::Limits;
