//! Settings, General: what this server was started with, and how it is doing. What stands here is changed in the
//! boot file, so the page only says where.

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use jiff::Timestamp;
use serde_json::json;

use crate::config::Config;
use crate::control::token::Role;
use crate::web::Problem;
use crate::web::ui::Page;
use crate::web::ui::export::{Format, both};
use crate::web::ui::filters;
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::text::text;
use crate::web::ui::visit::Visit;

pub(super) fn pages() -> Vec<Page> {
    let mut pages = vec![
        Page::new("/settings", Role::Viewer, get(first_tab)),
        Page::new("/settings/general", Role::Admin, get(show)),
    ];
    pages.extend(both!("/settings/general", values, Role::Admin));
    pages
}

/// The tabs that somebody may see begin elsewhere for those who are no admin.
async fn first_tab(visit: Visit) -> Response {
    let tab = if visit.may(Role::Admin) { "/settings/general" } else { "/settings/appearance" };
    Redirect::to(tab).into_response()
}

#[derive(Template)]
#[template(path = "ui/settings_general.html")]
struct General {
    frame: Frame,
    started: Timestamp,
    version: &'static str,
    /// Key of the boot file, and value.
    boot: Vec<(&'static str, String)>,
    /// Bytes as people write them; empty where the system does not say.
    free: String,
    used: String,
}

async fn show(visit: Visit) -> Response {
    let config = visit.web.boot.clone();
    let dir = config.data_dir.clone();
    let sizes = tokio::task::spawn_blocking(move || (free_bytes(&dir), used_bytes(&dir))).await;
    let (free, used) = sizes.unwrap_or_default();
    let page = General {
        frame: visit.frame(Place::Settings, text("General")).await.under(text("Settings"), "/settings"),
        started: visit.web.control.shared().started,
        version: env!("CARGO_PKG_VERSION"),
        boot: boot(&config),
        free: free.map(bytes_text).unwrap_or_default(),
        used: used.map(bytes_text).unwrap_or_default(),
    };
    visit.page(&page)
}

async fn values(visit: Visit, format: Format) -> Result<Response, Problem> {
    let rows = boot(&visit.web.boot).into_iter().map(|(key, value)| json!([key, value]));
    format.table("boot", &["key", "value"], rows)
}

fn boot(config: &Config) -> Vec<(&'static str, String)> {
    let dns: Vec<String> = config.dns.iter().map(ToString::to_string).collect();
    let path =
        |path: &Option<std::path::PathBuf>| path.as_ref().map_or("-".to_owned(), |path| path.display().to_string());
    vec![
        ("node", config.node.clone()),
        ("data_dir", config.data_dir.display().to_string()),
        ("dns", dns.join(", ")),
        ("http", config.http.to_string()),
        ("https", config.https.map_or("-".into(), |address| address.to_string())),
        ("tls_certificate", path(&config.tls_certificate)),
        ("rate_limit", config.rate_limit.to_string()),
        ("geo_location", path(&config.geo_location)),
        ("geo_asn", path(&config.geo_asn)),
        ("log", config.log.clone()),
    ]
}

/// What is left on the disk of `dir` for this user.
fn free_bytes(dir: &std::path::Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(dir.as_os_str().as_bytes()).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: `path` ends in a zero byte and `found` is as large as the call needs; it is only read on success.
    let found = unsafe {
        if libc::statvfs(path.as_ptr(), found.as_mut_ptr()) != 0 {
            return None;
        }
        found.assume_init()
    };
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Every file below `dir`, two folders deep as the store has them.
fn used_bytes(dir: &std::path::Path) -> Option<u64> {
    fn below(dir: &std::path::Path, depth: u8) -> u64 {
        let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        let size = |entry: std::fs::DirEntry| match entry.metadata() {
            Ok(meta) if meta.is_dir() && depth > 0 => below(&entry.path(), depth - 1),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        };
        entries.map(size).sum()
    }
    Some(below(dir, 3))
}

/// In the largest unit that leaves a number above one.
pub fn bytes_text(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < units.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_said_in_a_unit_that_people_read() {
        assert_eq!(
            [0, 1023, 1024, 5 << 20, 3 << 40].map(bytes_text),
            ["0 B", "1023 B", "1.0 KiB", "5.0 MiB", "3.0 TiB"]
        );
    }
}
