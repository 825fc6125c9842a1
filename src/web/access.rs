//! Who may do what: every route but the public ones needs a bearer token, or a browser's session, with at least
//! its role. A session obeys the rules against forged requests here too.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::control::token::{Role, authenticate};
use crate::control::{Author, now};
use crate::model::Kind;

use super::problem::Problem;
use super::ui::{Found, User, is_own, matches};
use super::{Route, Web};

/// With every request of a session that changes something: the token that the pages' forms carry.
pub(super) const FORM_HEADER: &str = "x-form-token";

/// Takes from an entity what this role may not read: the values of the headers that health checks send, which are
/// often credentials, are for those who may change them. Pages, exports and the API show what is left.
pub(super) fn hide(role: Role, kind: Kind, entity: &mut Value) {
    if role >= Role::Editor || kind != Kind::Monitors {
        return;
    }
    let headers = entity.get_mut("headers").and_then(Value::as_array_mut);
    for header in headers.into_iter().flatten().filter_map(Value::as_object_mut) {
        header.remove("value");
    }
}

/// What `authorize` needs to know about the route it guards.
#[derive(Clone)]
pub(super) struct Guard {
    pub web: Web,
    pub needs: Role,
    /// The part of the model that the route is about, where it is about one.
    pub part: Option<String>,
}

impl Guard {
    pub fn new(web: &Web, route: &Route, needs: Role) -> Guard {
        let part = route.path.strip_prefix("/api/v1/").and_then(|path| path.split('/').next());
        Guard { web: web.clone(), needs, part: part.map(str::to_owned) }
    }
}

/// Lets a request pass with its `Author` and `Role` attached, or answers 401 or 403 with the reason.
pub(super) async fn authorize(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let found = match bearer(&request) {
        Some(secret) => by_token(&guard, &request, secret, address),
        None => by_session(&guard, &request, address),
    };
    match found {
        Ok((author, role)) => {
            request.extensions_mut().insert(author);
            request.extensions_mut().insert(role);
            next.run(request).await
        }
        Err(problem) => {
            let unauthorized = problem.status == StatusCode::UNAUTHORIZED.as_u16();
            let mut response = problem.into_response();
            if unauthorized {
                let challenge = HeaderValue::from_static("Bearer realm=\"northing\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            response
        }
    }
}

fn bearer(request: &Request) -> Option<&str> {
    request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

fn by_token(
    guard: &Guard,
    request: &Request,
    secret: &str,
    address: Option<IpAddr>,
) -> Result<(Author, Role), Problem> {
    let tokens = guard.web.control.tokens();
    let all = tokens.iter().chain(std::iter::once(&*guard.web.local_token));
    let token =
        authenticate(all, secret, address, now()).map_err(|reason| Problem::new(StatusCode::UNAUTHORIZED, reason))?;
    guard.web.control.token_used(&token.id, address, now());
    if token.role < guard.needs {
        let detail = format!("The token {} has the role {}; this needs {} or more.", token.id, token.role, guard.needs);
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    let part = guard.part.as_deref().unwrap_or_default();
    token
        .scope
        .admits_path(request.method().is_safe(), part, request.uri().path())
        .map_err(|reason| Problem::new(StatusCode::FORBIDDEN, format!("The token {} {reason}.", token.id)))?;
    Ok((Author { actor: token.id.clone(), address, scope: token.scope.clone() }, token.role))
}

fn by_session(guard: &Guard, request: &Request, address: Option<IpAddr>) -> Result<(Author, Role), Problem> {
    let (web, headers) = (&guard.web, request.headers());
    let Found::Session(session, user) = web.sessions.find(headers, |id| web.control.account(id), now()) else {
        let detail = "This needs a token; send it as \"Authorization: Bearer nth_…\".";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
    };
    let sent = headers.get(FORM_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_safe = request.method().is_safe();
    // Some GETs do something, such as a backup: no other site's link may start one.
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    let is_foreign = matches!(site, Some("cross-site" | "same-site"));
    if is_foreign || !is_own(request) || !(is_safe || matches(&session, sent)) {
        let detail =
            "The session's form token has to come along in the header X-Form-Token; or send a token of the API.";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    let User { id, role, must_change, .. } = user;
    if must_change {
        let detail = format!("{id} has to set another password first; open Northing in a browser.");
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    if role < guard.needs {
        let detail = format!("{id} has the role {role}; this needs {} or more.", guard.needs);
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok((Author { address, ..Author::new(&id) }, role))
}
