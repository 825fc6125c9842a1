//! Tokens: made, listed and deleted by admins. A secret is shown once.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Extension, Json};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::json::Body;
use crate::control::token::{Role, SECRET_BYTES, Scope, Token, secret_hash, secret_text};
use crate::control::{Author, now};
use crate::model::place::parse_network;
use crate::model::{Id, Kind, Zone};
use crate::web::extract::Path;
use crate::web::{Problem, Route, Web};

/// The most tokens, which bounds what each request compares with.
const MAX_TOKENS: usize = 1000;
/// How long a token lasts where nothing else is said, in days.
pub const DEFAULT_DAYS: i64 = 90;

pub(super) fn routes() -> Vec<Route> {
    let made = "Create a token; its secret is shown this once";
    vec![
        Route::new("get", "/api/v1/tokens", Role::Admin, "List tokens", get(list)).gives("Tokens"),
        Route::new("post", "/api/v1/tokens", Role::Admin, made, post(create))
            .takes("NewToken")
            .gives("CreatedToken")
            .creates(),
        Route::new("delete", "/api/v1/tokens/{id}", Role::Admin, "Delete a token", delete(remove)),
    ]
}

/// A network in a token's list.
struct Network(IpNet);

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_network(text).map(Network)
    }
}

async fn list(State(web): State<Web>) -> Json<Value> {
    let uses = web.control.token_uses();
    let shown = |token: &Token| {
        let mut shown = serde_json::to_value(token.listed()).unwrap_or_default();
        if let Some(last) = uses.get(&token.id) {
            shown["last_used"] = json!(last.at);
            shown["last_address"] = json!(last.address);
        }
        shown
    };
    let tokens: Vec<Value> = web.control.tokens().iter().map(shown).collect();
    Json(json!({ "items": tokens }))
}

/// What a new token is to be.
pub struct Wanted {
    pub id: Id<Token>,
    pub role: Role,
    pub allow_from: Vec<IpNet>,
    /// 0 never expires.
    pub days: i64,
    pub scope: Scope,
}

impl Wanted {
    pub fn read(body: &Body) -> Result<Wanted, Problem> {
        body.read(|fields| {
            let id: Option<Id<Token>> = fields.required("id", "ci-pipeline");
            let role: Role = fields.word("role");
            let allow_from: Vec<Network> = fields.list("allow_from", 100);
            let days = fields.number("expires_days", 0..=3650, DEFAULT_DAYS);
            let kinds: Vec<Kind> = fields.list("kinds", Kind::ALL.len());
            let zones: Vec<Id<Zone>> = fields.list("zones", 100);
            let scope = Scope { kinds, zones: zones.iter().map(ToString::to_string).collect() };
            let allow_from = allow_from.into_iter().map(|network| network.0).collect();
            Some(Wanted { id: id?, role, allow_from, days, scope })
        })
    }
}

async fn create(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (token, secret) = store(&web, Wanted::read(&body)?, author).await?;
    Ok((StatusCode::CREATED, Json(json!({ "token": token.listed(), "secret": secret }))))
}

/// Makes a token that is not there yet; returns it with its secret.
pub async fn store(web: &Web, wanted: Wanted, author: Author) -> Result<(Token, String), Problem> {
    let Wanted { id, role, allow_from, days, scope } = wanted;
    let tokens = web.control.tokens();
    if tokens.iter().any(|token| token.id == id.as_str()) {
        let detail = format!("There is a token {id} already; delete it first, or choose another id.");
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    if tokens.len() >= MAX_TOKENS {
        return Err(Problem::new(StatusCode::CONFLICT, format!("There are {MAX_TOKENS} tokens; delete some first.")));
    }
    let (token, secret) = make(id.as_str(), role, allow_from, days, scope);
    web.control.set_token(id.to_string(), Some(token.clone()), author).await?;
    Ok((token, secret))
}

/// A new token and its secret. `days` 0 never expires.
pub fn make(id: &str, role: Role, allow_from: Vec<IpNet>, days: i64, scope: Scope) -> (Token, String) {
    let bytes: [u8; SECRET_BYTES] = rand::random();
    let secret = secret_text(&bytes);
    let created: Timestamp = now();
    let expires =
        (days > 0).then(|| created.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX));
    (Token { id: id.into(), role, allow_from, created, expires, scope, hash: secret_hash(&secret) }, secret)
}

async fn remove(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    if !web.control.tokens().iter().any(|token| token.id == id) {
        return Err(Problem::not_found(format!("There is no token {id}; GET /api/v1/tokens lists all.")));
    }
    web.control.set_token(id, None, author).await?;
    Ok(Json(json!({ "done": true })))
}
