//! The way of one publication: checked, compiled, tested, stored. All of it beside the writer, which meanwhile goes on
//! with health: a million records take seconds, and no failover waits for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::answer::Snapshot;
use crate::health::HealthTable;
use crate::model::{Change, Checked, FieldError, Kind, Model, Revision, sentences};

use super::keeper::lost;
use super::rehearsal::Rehearsal;
use super::{Keeper, Publication, Refusal, Tests, now};

/// What a publication starts from. Only publications change the model, and one goes at a time, so that it
/// is checked against the newest.
pub(super) struct Passage {
    pub before: Arc<Snapshot>,
    pub health: HealthTable,
    pub keeper: Keeper,
    /// The SHA-256 that the revision is linked to.
    pub last_sha256: String,
}

/// How it came out.
pub(super) enum Passed {
    /// The edits change nothing.
    Nothing(Vec<FieldError>),
    Stored(Box<Stored>),
}

/// Durable, and ready to be shown.
pub(super) struct Stored {
    pub snapshot: Snapshot,
    pub warnings: Vec<FieldError>,
    /// Without its changes, of which there can be a million.
    pub revision: Revision,
    /// The pools and endpoints among them, such as `pools/eu-west`, each with what changed about it.
    pub changed: BTreeMap<String, String>,
}

/// Pools and endpoints of which the event of a publication tells; with more, the version has them.
const MAX_TOLD: usize = 100;

impl Passage {
    pub async fn publish(self, publication: Publication) -> Result<Passed, Refusal> {
        let Publication { edits, message, author, tests, .. } = publication;
        let (before, health, last_sha256) = (self.before, self.health, self.last_sha256);
        let made = beside(move || {
            let Checked { model, changes, mut warnings } = before.model().check(&edits).map_err(Refusal::Invalid)?;
            if changes.is_empty() {
                return Ok(Err(warnings));
            }
            let sentences = sentences(before.model(), &model, &changes);
            let changed = told(before.model(), &model, &changes);
            let sha256 = chained_sha256(&last_sha256, &changes);
            let snapshot = Snapshot::compile(&Arc::new(model), before.geo(), &health, Some(&before));
            let rehearsal = Rehearsal::of(&before, &snapshot, &changes);
            if tests == Tests::MustPass && !rehearsal.failing.is_empty() {
                return Err(Refusal::Invalid(rehearsal.errors()));
            }
            warnings.extend(rehearsal.warnings());
            let failed: Vec<String> = rehearsal.failing.into_iter().map(|verdict| verdict.test).collect();
            Ok::<_, Refusal>(Ok((snapshot, changes, warnings, sentences, changed, sha256, failed)))
        });
        let (snapshot, changes, warnings, sentences, changed, sha256, failed) = match made.await?? {
            Ok(made) => made,
            Err(warnings) => return Ok(Passed::Nothing(warnings)),
        };
        let message = match failed.as_slice() {
            [] => message,
            failed => format!("{message} (despite failing tests: {})", failed.join(", ")).trim_start().to_owned(),
        };
        let number = snapshot.model().revision;
        let mut draft = author.act("publish", format!("revision {number}"));
        draft.reason = message.clone();
        draft.revision = Some(number);
        draft.after = serde_json::to_value(&sentences).ok();
        let (at, author) = (now(), author.actor);
        let revision = Revision { number, at, author, message, sentences, sha256, changes: Vec::new() };
        let stored = Revision { changes, ..revision.clone() };
        self.keeper.run(move |kept| kept.commit(&stored, draft)).await?;
        Ok(Passed::Stored(Box::new(Stored { snapshot, warnings, revision, changed })))
    }
}

/// What a change says of each pool and endpoint that somebody may look at.
fn told(before: &Model, after: &Model, changes: &[Change]) -> BTreeMap<String, String> {
    let watched = changes.iter().filter(|change| matches!(change.kind, Kind::Pools | Kind::Endpoints));
    let tell = |change: &Change| {
        let said = sentences(before, after, std::slice::from_ref(change));
        (format!("{}/{}", change.kind, change.id), said.join(" "))
    };
    watched.take(MAX_TOLD).map(tell).collect()
}

/// Runs what takes time on a thread of its own.
async fn beside<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, Refusal> {
    let result = tokio::task::spawn_blocking(work).await;
    result.map_err(|_| lost("the change met a fault in the server").into())
}

/// A revision's hash covers the hash before it and its own changes, so that it stands for the whole
/// history and costs only what changed.
fn chained_sha256(previous: &str, changes: &[Change]) -> String {
    let changes = serde_json::to_vec(changes).unwrap_or_default();
    let digest = Sha256::new().chain_update(previous).chain_update(changes).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
