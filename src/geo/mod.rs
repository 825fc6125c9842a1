//! Where a client is: geo databases of any vendor → place; regions → rule; address → decision and scope.
//!
//! [`Base`] is what the databases say, [`Split`] is how the rules of a policy divide the world, and
//! [`SplitMap`] is the one compiled into the other: a table that a query asks for a decision and the
//! exact prefix length in which that decision cannot differ. Pure: bytes come in, nothing is read here.

pub mod atlas;
mod base;
mod census;
mod cities;
mod coverage;
mod decide;
pub(crate) mod inside;
pub(crate) mod membership;
mod mmdb;
#[cfg(test)]
pub(crate) mod mmdb_writer;
mod moves;
mod nearest;
mod overlay;
mod prefix_table;
mod ranges;
mod record;
mod sample;
mod segments;
mod shares;
mod split;
mod who;

pub use base::{Base, DatabaseInfo, Refusal};
pub use census::{Census, Count, SENT_V4, SENT_V6};
pub use cities::{City, cities};
pub use coverage::{Coverage, Overlap};
pub use moves::{Landmarks, Move, Moves};
pub use sample::Sample;
pub use split::{Decision, Hit, NearestStep, Split, SplitKey, SplitMap, SplitRule};
pub use who::{Clients, Coarse, Unclear, Who, is_me};
