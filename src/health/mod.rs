//! What we know: from a probe's outcome to the state of endpoints and pools, events and incidents.
//! Pure: time comes in as `now_ms` (Unix milliseconds), and what happened goes out.

mod event;
mod outcome;
mod table;

pub use event::{Event, EventKind};
pub use outcome::{Latency, Outcome, Target};
pub use table::{EndpointHealth, EndpointState, Family, FamilyHealth, HealthTable, PoolHealth, PoolState};
