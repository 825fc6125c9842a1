//! Settings, Backup: one file with everything, when the last one was made, and how it is brought back.

use askama::Template;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;

use crate::control::geo_files::{Database, GeoFiles, Source};
use crate::control::now;
use crate::control::token::Role;
use crate::store::Secrets;
use crate::web::Problem;
use crate::web::ui::Page;
use crate::web::ui::filters;
use crate::web::ui::form::Form;
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::text::{Text, count, text};
use crate::web::ui::visit::Visit;

/// Days after which a backup is old.
const OLD_DAYS: usize = 7;

pub(super) fn pages() -> Vec<Page> {
    vec![
        Page::new("/settings/backup", Role::Admin, get(show)),
        Page::new("/settings/backup/file", Role::Admin, post(make)),
    ]
}

#[derive(Template)]
#[template(path = "ui/settings_backup.html")]
struct Backup {
    frame: Frame,
    last: Option<(Timestamp, String)>,
    data_dir: String,
    /// The uploaded geo databases that go along, in MiB.
    geo: Option<String>,
}

async fn show(visit: Visit) -> Result<Response, Problem> {
    let last = visit.web.control.last_backup().await?;
    let frame = visit.frame(Place::Settings, text("Backup")).await.under(text("Settings"), "/settings");
    let data_dir = visit.web.boot.data_dir.display().to_string();
    Ok(visit.page(&Backup { frame, last, data_dir, geo: uploaded(&GeoFiles::of(&visit.web.boot)) }))
}

/// How large the uploaded databases are that are in use.
fn uploaded(files: &GeoFiles) -> Option<String> {
    let size = |database: Database| match files.source(database) {
        Source::Uploaded(path) => std::fs::metadata(path).map_or(0, |meta| meta.len()),
        Source::Named(_) | Source::Bundled => 0,
    };
    let bytes: u64 = Database::ALL.into_iter().map(size).sum();
    (bytes > 0).then(|| format!("{:.1}", bytes as f64 / f64::from(1 << 20)))
}

/// What an admin ought to hear of the backups, where something is amiss: none, or none for long.
pub async fn reminder(visit: &Visit) -> Option<Text> {
    if !visit.may(Role::Admin) || visit.model().revision == 0 {
        return None;
    }
    match visit.web.control.last_backup().await.ok()? {
        None => Some(text("No backup was made yet.")),
        Some((at, _)) => {
            let days = visit.now.duration_since(at).as_hours() / 24;
            let days = usize::try_from(days).ok().filter(|days| *days >= OLD_DAYS)?;
            Some(count(days, "The last backup is {n} day old.", "The last backup is {n} days old."))
        }
    }
}

/// The file itself, as an answer to a form: it is written down in the audit log, so it is more than a look.
async fn make(visit: Visit, form: Form) -> Result<Response, Problem> {
    let secrets = if form.has("secrets") { Secrets::Include } else { Secrets::LeaveOut };
    let body = crate::web::ops::backup_body(&visit.web, secrets, visit.author()).await?;
    let name = format!("attachment; filename=\"northing-{}.backup\"", now().strftime("%Y-%m-%d"));
    let name = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"));
    Ok((StatusCode::OK, [(header::CONTENT_DISPOSITION, name)], Body::from_stream(body)).into_response())
}
