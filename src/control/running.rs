//! A control that runs on a store of its own, for tests of what is kept.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Control, Inputs, Keeper, Writer};
use crate::geo::Base;
use crate::store::{Opened, Store};

/// Ends with the runtime of the test.
pub fn start(dir: &Path) -> Control {
    let Opened { store, loaded, .. } = Store::open(dir).unwrap();
    let (keeper, _) = Keeper::start(store, loaded.last_audit.clone()).unwrap();
    let inputs = Inputs { reports: mpsc::channel(1).1, used_held: mpsc::channel(1).1 };
    let (writer, control, _) = Writer::new(loaded, None, keeper, Arc::new(Base::empty()), inputs).unwrap();
    tokio::spawn(writer.run(CancellationToken::new()));
    control
}
