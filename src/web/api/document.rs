//! Everything at once: the whole configuration as one document, and publications of many edits.

use axum::extract::State;
use axum::routing::{get, post, put};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;

use super::json::Body;
use crate::control::preview::Preview;
use crate::control::token::Role;
use crate::control::{Author, Expect, Publication, Published, Tests};
use crate::model::field::Fields;
use crate::model::{Edit, Kind};
use crate::web::access::hide;
use crate::web::extract::Query;
use crate::web::{Problem, Route, Web};

/// A parameter of every change.
pub(super) const DESPITE_TESTS: (&str, &str) =
    ("despite_tests", "true publishes although kept tests fail; the history says so.");
/// The longest message of a revision, in characters.
const MAX_MESSAGE: usize = 1000;

pub(super) fn routes() -> Vec<Route> {
    let replaced = "Make the configuration be what the document says, all or nothing; what it does not name is deleted";
    let compared = "Say what putting the document would change, and who would get other answers";
    vec![
        Route::new("get", "/api/v1/document", Role::Viewer, "Read the whole configuration", get(document))
            .gives("Document"),
        Route::new("put", "/api/v1/document", Role::Editor, replaced, put(replace))
            .parameters(&[
                ("message", "Why, for the history."),
                ("expect_revision", "Refuse unless this is the newest."),
                DESPITE_TESTS,
            ])
            .takes("Document")
            .gives("Published"),
        Route::new("post", "/api/v1/document/preview", Role::Viewer, compared, post(preview_document))
            .takes("Document")
            .gives("Preview"),
        Route::new("post", "/api/v1/preview", Role::Viewer, "Say what the edits would change", post(preview))
            .takes("Draft")
            .gives("Preview"),
        Route::new("post", "/api/v1/publish", Role::Editor, "Publish several edits together", post(publish))
            .takes("Draft")
            .gives("Published"),
    ]
}

async fn document(State(web): State<Web>, Extension(role): Extension<Role>) -> Json<Value> {
    tokio::task::block_in_place(|| {
        let mut document = web.control.model().document();
        let monitors = document.get_mut(Kind::Monitors.as_str()).and_then(Value::as_object_mut);
        monitors.into_iter().flatten().for_each(|(_, monitor)| hide(role, Kind::Monitors, monitor));
        Json(document)
    })
}

#[derive(Deserialize)]
struct Publishing {
    #[serde(default)]
    message: String,
    expect_revision: Option<u64>,
    #[serde(default)]
    despite_tests: bool,
}

async fn replace(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Query(query): Query<Publishing>,
    Body(document): Body,
) -> Result<Json<Published>, Problem> {
    let model = web.control.model();
    let edits = tokio::task::block_in_place(|| model.edits_to(&document)).map_err(Problem::fields)?;
    drop(document);
    // Without a wish of the caller, at least nobody may slip in between the comparison and the change.
    let expect = vec![Expect::Revision(query.expect_revision.unwrap_or(model.revision))];
    let (message, tests) = (query.message, Tests::despite(query.despite_tests));
    Ok(Json(web.control.publish(Publication { edits, message, author, expect, tests }).await?))
}

async fn preview_document(State(web): State<Web>, Body(document): Body) -> Result<Json<Preview>, Problem> {
    let model = web.control.model();
    let edits = tokio::task::block_in_place(|| model.edits_to(&document)).map_err(Problem::fields)?;
    Ok(Json(web.control.preview(edits).await?))
}

async fn preview(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    body: Body,
) -> Result<Json<Preview>, Problem> {
    let draft = body.read(Draft::read)?;
    within(&author, &draft.edits)?;
    Ok(Json(web.control.preview(draft.edits).await?))
}

/// Whether the edits are within what the author may change: then they may see what these would do.
pub(super) fn within(author: &Author, edits: &[Edit]) -> Result<(), Problem> {
    let outside = author.outside(edits);
    if outside.is_empty() { Ok(()) } else { Err(Problem::fields(outside)) }
}

async fn publish(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    body: Body,
) -> Result<Json<Published>, Problem> {
    let Draft { edits, message, expect_revision, despite_tests } = body.read(Draft::read)?;
    let expect = expect_revision.map(Expect::Revision).into_iter().collect();
    let tests = Tests::despite(despite_tests);
    Ok(Json(web.control.publish(Publication { edits, message, author, expect, tests }).await?))
}

/// Edits that belong together.
#[derive(Debug, utoipa::ToSchema)]
#[schema(as = Draft)]
pub struct Draft {
    pub edits: Vec<Edit>,
    pub message: String,
    /// Refuse unless this is the newest revision.
    pub expect_revision: Option<u64>,
    /// Publish although kept tests fail; the history says so.
    pub despite_tests: bool,
}

/// The most edits of one draft; a whole document holds more.
const MAX_EDITS: usize = 100_000;

impl Draft {
    fn read(fields: &mut Fields) -> Option<Draft> {
        let edits = fields.objects("edits", 1..=MAX_EDITS, |fields| {
            let kind: Option<Kind> = fields.required("kind", "pools");
            let id = fields.text("id", 400);
            if id.is_none() && !fields.has("id") {
                fields.error("id", "is missing", "name the entity");
            }
            let value = fields.value("value");
            Some(Edit { kind: kind?, id: id?, value })
        });
        let message = fields.text("message", MAX_MESSAGE).unwrap_or_default();
        let expect_revision = fields.number_if("expect_revision", 0..=i64::MAX).map(i64::unsigned_abs);
        let despite_tests = fields.flag("despite_tests", false);
        Some(Draft { edits, message, expect_revision, despite_tests })
    }
}
