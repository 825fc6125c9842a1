//! Settings, Geo data: which databases place clients, how old they are, where they come from, and how another one
//! is put in their place: uploaded, looked at, applied.

use askama::Template;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use axum::routing::{get, post};
use jiff::Timestamp;

use crate::control::Refusal;
use crate::control::geo_files::{Database, GeoFiles, Source};
use crate::control::geo_upload::{MAX_UPLOAD, Report, Unready};
use crate::control::token::Role;
use crate::geo::DatabaseInfo;
use crate::model::Country;
use crate::web::Problem;
use crate::web::extract::Path;
use crate::web::ui::Page;
use crate::web::ui::country;
use crate::web::ui::filters;
use crate::web::ui::form::{Form, receive};
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::text::{Text, capital, text};
use crate::web::ui::visit::{Visit, see};

const PATH: &str = "/settings/geo-data";
/// The largest body that is read to its end, so that a browser gets to see why the file was refused.
const MAX_READ: usize = 1 << 30;

pub(super) fn pages() -> Vec<Page> {
    vec![
        Page::new(PATH, Role::Admin, get(show)),
        Page::new("/settings/geo-data/{kind}", Role::Admin, post(upload)).streaming(MAX_READ),
        Page::new("/settings/geo-data/{kind}/apply", Role::Admin, post(apply)),
        Page::new("/settings/geo-data/{kind}/back", Role::Admin, get(ask_back).post(take_back)),
    ]
}

#[derive(Template)]
#[template(path = "ui/settings_geo_data.html")]
struct GeoData {
    frame: Frame,
    databases: Vec<Part>,
}

/// One of the two databases, in use or not.
struct Part {
    kind: &'static str,
    title: Text,
    held: Option<Held>,
    source: Source,
    field: &'static str,
    /// Why the file that was sent is not used.
    refused: Vec<String>,
}

/// What a database says of itself.
struct Held {
    name: String,
    vendor: &'static str,
    built: Timestamp,
    networks: u64,
    country_percent: String,
    point_percent: String,
    asn_percent: String,
    sha256: String,
    licence: Text,
}

impl Held {
    fn of(info: &DatabaseInfo, is_bundled: bool) -> Held {
        let percent = |share: f64| format!("{share:.0}");
        let licence = if is_bundled { "IPFire Location, CC BY-SA 4.0" } else { "as its vendor says" };
        Held {
            name: info.kind.clone(),
            vendor: vendor(&info.kind),
            built: built(info),
            networks: info.networks,
            country_percent: percent(info.country_percent),
            point_percent: percent(info.point_percent),
            asn_percent: percent(info.asn_percent),
            sha256: info.sha256.clone(),
            licence: text(licence),
        }
    }
}

fn built(info: &DatabaseInfo) -> Timestamp {
    i64::try_from(info.built).ok().and_then(|at| Timestamp::from_second(at).ok()).unwrap_or_default()
}

/// Who makes the databases that call themselves so; empty where it is not known.
fn vendor(kind: &str) -> &'static str {
    let kind = kind.to_lowercase();
    let known = [
        ("geolite", "MaxMind"),
        ("geoip", "MaxMind"),
        ("dbip", "DB-IP"),
        ("ipinfo", "IPinfo"),
        ("ip2loc", "IP2Location"),
    ];
    known.into_iter().find(|(word, _)| kind.contains(word)).map_or("", |(_, vendor)| vendor)
}

async fn show(visit: Visit) -> Response {
    page(&visit, None).await
}

/// `refused` is the database for which a file was sent, and what is wrong with it.
async fn page(visit: &Visit, refused: Option<(Database, String)>) -> Response {
    let (files, snapshot) = (GeoFiles::of(&visit.web.boot), visit.web.control.snapshot());
    let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let part = |database: Database| {
        let source = files.source(database);
        let info = snapshot.geo().databases().get(database as usize);
        let mine = refused.iter().filter(|(of, _)| *of == database);
        Part {
            kind: database.word(),
            title: title(database),
            held: info.map(|info| Held::of(info, source == Source::Bundled)),
            source,
            field: database.field(),
            refused: mine.map(|(_, reason)| reason.clone()).collect(),
        }
    };
    let databases = Database::ALL.map(part).into();
    let frame = visit.frame(Place::Settings, text("Geo data")).await.under(text("Settings"), "/settings");
    visit.page_with(status, &GeoData { frame, databases })
}

fn title(database: Database) -> Text {
    text(match database {
        Database::Location => "Countries and cities",
        Database::Asn => "AS numbers",
    })
}

fn database(kind: &str) -> Result<Database, Problem> {
    let known = Database::ALL.into_iter().find(|database| database.word() == kind);
    known.ok_or_else(|| Problem::not_found("There are two geo databases: location and asn."))
}

/// Uploads wait while the boot file names a file: it would win again at the next start.
fn open(visit: &Visit, kind: &str) -> Result<(GeoFiles, Database), Problem> {
    let (files, database) = (GeoFiles::of(&visit.web.boot), database(kind)?);
    match files.source(database) {
        Source::Named(path) => {
            let (field, path) = (database.field(), path.display());
            let detail = format!(
                "northing.toml names {path} as {field}, and that wins. Replace the file there, and it is taken within \
                 a minute; or take the line out, restart, and upload here."
            );
            Err(Problem::new(StatusCode::CONFLICT, detail))
        }
        _ => Ok((files, database)),
    }
}

async fn upload(visit: Visit, Path(kind): Path<String>, request: Request) -> Result<Response, Problem> {
    let (files, database) = open(&visit, &kind)?;
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let incoming = files.incoming(database, length.unwrap_or(MAX_UPLOAD));
    let (incoming, file) = incoming.map_err(|unready| match unready {
        Unready::Full(detail) => Problem::new(StatusCode::INSUFFICIENT_STORAGE, detail),
        Unready::Fault(fault) => Refusal::from(fault).into(),
    })?;
    let bytes = receive(request, &mut tokio::fs::File::from_std(file), MAX_UPLOAD).await?;
    let refused = match bytes {
        0 => Some("No file was chosen. Choose one that ends with .mmdb.".to_owned()),
        bytes if bytes > MAX_UPLOAD => {
            let (has, most) = (bytes.div_ceil(1 << 20), MAX_UPLOAD >> 20);
            Some(format!("The file has {has} MiB. Use one of at most {most} MiB, or name it in northing.toml."))
        }
        _ => None,
    };
    if let Some(reason) = refused {
        return Ok(page(&visit, Some((database, reason))).await);
    }
    match files.examine(database, incoming, visit.web.control.snapshot().geo().clone()).await {
        Ok(report) => {
            let is_same =
                report.info.as_ref().is_some_and(|info| in_use(&visit, database) == Some(info.sha256.clone()));
            Ok(looked_at(&visit, database, report, if is_same { Offer::Nothing } else { Offer::Apply }).await)
        }
        Err(reason) => {
            Ok(page(&visit, Some((database, format!("This file cannot be used. {}.", capital(&reason))))).await)
        }
    }
}

fn in_use(visit: &Visit, database: Database) -> Option<String> {
    visit.web.control.snapshot().geo().databases().get(database as usize).map(|info| info.sha256.clone())
}

/// What can be done after a look.
#[derive(Clone, Copy, PartialEq)]
enum Offer {
    Apply,
    Back,
    /// The file is in use already.
    Nothing,
}

#[derive(Template)]
#[template(path = "ui/settings_geo_check.html")]
struct Check {
    frame: Frame,
    kind: &'static str,
    title: Text,
    offer: Offer,
    held: Option<Held>,
    is_older: bool,
    is_location: bool,
    landmarks: Text,
    moved: String,
    /// From, to, and percent.
    largest: Vec<(String, String, String)>,
}

async fn looked_at(visit: &Visit, database: Database, report: Report, offer: Offer) -> Response {
    let Report { info, landmarks, moves } = report;
    let snapshot = visit.web.control.snapshot();
    let now = snapshot.geo().databases().get(database as usize);
    let is_location = database == Database::Location;
    let (found, percent) = match database {
        Database::Location => (landmarks.in_country, moves.country_percent),
        Database::Asn => (landmarks.with_asn, moves.asn_percent),
    };
    let unknown = || text("unknown").to_html(visit.language);
    let name = |code: Option<Country>| code.map_or_else(unknown, |code| country::name(code, visit.language));
    let largest = moves.largest.iter().map(|one| (name(one.from), name(one.to), percent_text(one.percent)));
    let frame = visit.frame(Place::Settings, title(database)).await.under(text("Geo data"), PATH);
    visit.page(&Check {
        frame,
        kind: database.word(),
        title: title(database),
        offer,
        is_older: info.as_ref().zip(now).is_some_and(|(new, now)| new.built < now.built),
        held: info.map(|info| Held::of(&info, offer == Offer::Back)),
        is_location,
        landmarks: text("{n} of {all}").set("n", found).set("all", landmarks.all),
        moved: percent_text(percent),
        largest: largest.collect(),
    })
}

/// Small shares are what matters here: a thousandth is a million addresses.
fn percent_text(percent: f64) -> String {
    match percent {
        0.0 => "0 %".into(),
        percent if percent < 0.01 => "< 0.01 %".into(),
        percent => format!("{percent:.2} %"),
    }
}

async fn apply(visit: Visit, Path(kind): Path<String>, form: Form) -> Result<Response, Problem> {
    let (files, database) = open(&visit, &kind)?;
    match files.put(&visit.web.control, database, form.text("sha256"), visit.author()).await {
        Ok(()) => {}
        // The page with the field for the next upload says it.
        Err(Refusal::Conflict(detail)) => {
            let mut page = page(&visit, Some((database, detail))).await;
            *page.status_mut() = StatusCode::CONFLICT;
            return Ok(page);
        }
        Err(refusal) => return Err(refusal.into()),
    }
    visit.say(text("The uploaded database is in use."));
    Ok(see(PATH))
}

async fn ask_back(visit: Visit, Path(kind): Path<String>) -> Result<Response, Problem> {
    let (files, database) = open(&visit, &kind)?;
    if files.source(database) == Source::Bundled {
        return Ok(see(PATH));
    }
    let report = files.examine_bundled(database, visit.web.control.snapshot().geo().clone()).await;
    let report = report.map_err(|reason| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{reason}.")))?;
    Ok(looked_at(&visit, database, report, Offer::Back).await)
}

async fn take_back(visit: Visit, Path(kind): Path<String>, _: Form) -> Result<Response, Problem> {
    let (files, database) = open(&visit, &kind)?;
    files.take_back(&visit.web.control, database, visit.author()).await?;
    visit.say(text(match database {
        Database::Location => "The bundled database is in use again.",
        Database::Asn => "No database of AS numbers is in use.",
    }));
    Ok(see(PATH))
}
