//! The tables of a draft's review, whole, as files.

use axum::response::Response;
use serde_json::json;

use crate::control::Refusal;
use crate::control::preview::{Effect, Preview};
use crate::web::Problem;
use crate::web::ui::export::Format;
use crate::web::ui::visit::Visit;

async fn preview(visit: &Visit) -> Result<Option<Preview>, Problem> {
    let draft = visit.draft().await;
    if draft.is_empty() {
        return Ok(None);
    }
    match visit.web.control.preview(draft.edits()).await {
        Ok(preview) => Ok(Some(preview)),
        Err(Refusal::Invalid(errors)) => Err(Problem::fields(errors)),
        Err(other) => Err(other.into()),
    }
}

pub async fn moves(visit: Visit, format: Format) -> Result<Response, Problem> {
    let moves = preview(&visit).await?.map(|preview| preview.moves).unwrap_or_default();
    let rows =
        moves.iter().map(|row| json!([row.name, row.policy, row.from, row.to, row.countries, row.share, row.moved]));
    format.table("draft-moves", &["name", "policy", "from", "to", "countries", "share", "moved"], rows)
}

pub async fn shares(visit: Visit, format: Format) -> Result<Response, Problem> {
    let shares = preview(&visit).await?.map(|preview| preview.shares).unwrap_or_default();
    let rows = shares.iter().flat_map(|row| {
        let of =
            |endpoint: &str, now: f64, after: f64| json!([row.name, row.more_names, row.pool, endpoint, now, after]);
        let endpoints = row.endpoints.iter().map(|one| of(&one.endpoint, one.now, one.after));
        std::iter::once(of("", row.now, row.after)).chain(endpoints).collect::<Vec<_>>()
    });
    // A row without an endpoint is of the whole pool.
    format.table("draft-shares", &["name", "more_names_like_it", "pool", "endpoint", "now", "after"], rows)
}

pub async fn outages(visit: Visit, format: Format) -> Result<Response, Problem> {
    let outages = preview(&visit).await?.map(|preview| preview.outages).unwrap_or_default();
    let takers = |effect: &Effect| -> Vec<String> {
        effect.to.iter().map(|(pool, share)| format!("{pool} {share:.4}")).collect()
    };
    let rows = outages.iter().map(|row| {
        let (now, after) = (&row.now, &row.after);
        json!([
            row.name,
            row.pool,
            takers(now),
            now.unanswered,
            now.without,
            takers(after),
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
    format.table("draft-outages", &columns, rows)
}
