//! The DNS edge: packets in, packets out. What is said is decided in `answer`; here it is only read, written,
//! carried and counted.

mod cookie;
mod ecs;
#[cfg(test)]
mod fake;
mod general;
mod query;
mod reply;
mod respond;
#[cfg(test)]
mod tests;

pub use cookie::Secret;
pub use query::Code;
pub use respond::{Arrival, Engine, Outcome, Said, Settings, Transport, respond};
