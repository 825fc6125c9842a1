//! Settings, Geo data: which databases place clients, how old they are, and where they come from.

use askama::Template;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;

use crate::control::token::Role;
use crate::web::ui::Page;
use crate::web::ui::filters;
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::text::{Text, text};
use crate::web::ui::visit::Visit;

pub(super) fn pages() -> Vec<Page> {
    vec![Page::new("/settings/geo-data", Role::Admin, get(show))]
}

#[derive(Template)]
#[template(path = "ui/settings_geo_data.html")]
struct GeoData {
    frame: Frame,
    databases: Vec<Database>,
}

struct Database {
    kind: String,
    built: Timestamp,
    networks: u64,
    country_percent: String,
    point_percent: String,
    file: Option<String>,
    licence: Text,
}

async fn show(visit: Visit) -> Response {
    let config = visit.web.boot.clone();
    let snapshot = visit.web.control.snapshot();
    // The location database comes first, that of AS numbers second.
    let files = [config.geo_location.as_ref(), config.geo_asn.as_ref()];
    let databases = snapshot.geo().databases().iter().zip(files).map(|(info, file)| Database {
        kind: info.kind.clone(),
        built: i64::try_from(info.built).ok().and_then(|at| Timestamp::from_second(at).ok()).unwrap_or_default(),
        networks: info.networks,
        country_percent: format!("{:.0}", info.country_percent),
        point_percent: format!("{:.0}", info.point_percent),
        file: file.map(|path| path.display().to_string()),
        licence: match file {
            None => text("IPFire Location, CC BY-SA 4.0"),
            Some(_) => text("as its vendor says"),
        },
    });
    let databases = databases.collect();
    let frame = visit.frame(Place::Settings, text("Geo data")).await.under(text("Settings"), "/settings");
    visit.page(&GeoData { frame, databases })
}
