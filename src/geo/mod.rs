//! Where a client is: geo databases of any vendor → place; regions → rule; address → decision and scope.

mod base;
mod split;

pub use base::{Base, DatabaseInfo, Refusal};
pub use split::{Decision, Hit, NearestStep, Split, SplitMap, SplitRule};
