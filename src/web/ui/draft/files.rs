//! The tables of a review, whole, as files: of a draft, and of a version to restore.

use axum::response::Response;
use serde_json::json;

use crate::control::Refusal;
use crate::control::preview::{Answers, Effect, Move, Preview};
use crate::model::Edit;
use crate::web::Problem;
use crate::web::extract::Path;
use crate::web::ui::export::Format;
use crate::web::ui::visit::Visit;

/// Nothing to review has empty tables.
async fn preview(visit: &Visit, edits: Vec<Edit>) -> Result<Preview, Problem> {
    if edits.is_empty() {
        return Ok(Preview::default());
    }
    match visit.web.control.preview(edits).await {
        Ok(preview) => Ok(preview),
        Err(Refusal::Invalid(errors)) => Err(Problem::fields(errors)),
        Err(other) => Err(other.into()),
    }
}

async fn of_draft(visit: &Visit) -> Result<Preview, Problem> {
    preview(visit, visit.draft().await.edits()).await
}

async fn of_restoring(visit: &Visit, number: u64) -> Result<Preview, Problem> {
    let edits = visit.web.control.edits_back_to(number, visit.model().revision).await?;
    preview(visit, edits).await
}

pub async fn moves(visit: Visit, format: Format) -> Result<Response, Problem> {
    all_moves(format, "draft-moves", &of_draft(&visit).await?)
}

pub async fn shares(visit: Visit, format: Format) -> Result<Response, Problem> {
    all_shares(format, "draft-shares", &of_draft(&visit).await?)
}

pub async fn outages(visit: Visit, format: Format) -> Result<Response, Problem> {
    all_outages(format, "draft-outages", &of_draft(&visit).await?)
}

pub async fn restoring_moves(visit: Visit, Path(number): Path<u64>, format: Format) -> Result<Response, Problem> {
    all_moves(format, &format!("restore-{number}-moves"), &of_restoring(&visit, number).await?)
}

pub async fn restoring_shares(visit: Visit, Path(number): Path<u64>, format: Format) -> Result<Response, Problem> {
    all_shares(format, &format!("restore-{number}-shares"), &of_restoring(&visit, number).await?)
}

pub async fn restoring_outages(visit: Visit, Path(number): Path<u64>, format: Format) -> Result<Response, Problem> {
    all_outages(format, &format!("restore-{number}-outages"), &of_restoring(&visit, number).await?)
}

/// The two states of the pools that are compared, as the column `pools` says.
fn sides(preview: &Preview) -> impl Iterator<Item = (&'static str, &Answers)> {
    std::iter::once(("as now", &preview.as_now)).chain(preview.all_up.as_ref().map(|answers| ("all up", answers)))
}

fn all_moves(format: Format, file: &str, preview: &Preview) -> Result<Response, Problem> {
    let rows = sides(preview).flat_map(|(pools, answers)| {
        let row = move |row: &Move| {
            json!([row.name, row.policy, row.from, row.to, row.countries, row.share, row.moved, pools])
        };
        answers.moves.iter().map(row)
    });
    format.table(file, &["name", "policy", "from", "to", "countries", "share", "moved", "pools"], rows)
}

fn all_shares(format: Format, file: &str, preview: &Preview) -> Result<Response, Problem> {
    let rows = sides(preview).flat_map(|(pools, answers)| answers.shares.iter().map(move |row| (pools, row)));
    let rows = rows.flat_map(|(pools, row)| {
        let of = |endpoint: &str, now: f64, after: f64| {
            json!([row.name, row.more_names, row.pool, endpoint, now, after, pools])
        };
        let endpoints = row.endpoints.iter().map(|one| of(&one.endpoint, one.now, one.after));
        std::iter::once(of("", row.now, row.after)).chain(endpoints).collect::<Vec<_>>()
    });
    // A row without an endpoint is of the whole pool.
    format.table(file, &["name", "more_names_like_it", "pool", "endpoint", "now", "after", "pools"], rows)
}

fn all_outages(format: Format, file: &str, preview: &Preview) -> Result<Response, Problem> {
    // A pool that takes over from itself is the last resort of its clients.
    let takers = |down: &str, effect: &Effect| -> Vec<String> {
        let said = |(pool, share): &(String, f64)| match pool == down {
            true => format!("{pool} (last resort) {share:.4}"),
            false => format!("{pool} {share:.4}"),
        };
        effect.to.iter().map(said).collect()
    };
    let rows = preview.outages.iter().map(|row| {
        let (now, after) = (&row.now, &row.after);
        json!([
            row.name,
            row.pool,
            takers(&row.pool, now),
            now.unanswered,
            now.without,
            takers(&row.pool, after),
            after.unanswered,
            after.without,
        ])
    });
    let columns = [
        "name",
        "pool_down",
        "takes_over_now",
        "unanswered_now",
        "without_now",
        "takes_over_after",
        "unanswered_after",
        "without_after",
    ];
    format.table(file, &columns, rows)
}
