//! Who may do what: every route but the public ones needs a bearer token with at least its role.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::control::token::{Role, authenticate};
use crate::control::{Author, now};

use super::Web;
use super::problem::Problem;

/// What `authorize` needs to know about the route it guards.
#[derive(Clone)]
pub(super) struct Guard {
    pub web: Web,
    pub needs: Role,
}

/// Lets a request pass with its `Author` attached, or answers 401 or 403 with the reason.
pub(super) async fn authorize(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    match identify(&guard, &request) {
        Ok(author) => {
            request.extensions_mut().insert(author);
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

fn identify(guard: &Guard, request: &Request) -> Result<Author, Problem> {
    let address: Option<IpAddr> = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let secret = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| {
            Problem::new(StatusCode::UNAUTHORIZED, "This needs a token; send it as \"Authorization: Bearer nth_…\".")
        })?;
    let tokens = guard.web.control.tokens();
    let all = tokens.iter().chain(std::iter::once(&*guard.web.local_token));
    let token = authenticate(all, secret.trim(), address, now())
        .map_err(|reason| Problem::new(StatusCode::UNAUTHORIZED, reason))?;
    if token.role < guard.needs {
        let detail = format!("The token {} is a {}; this needs {} or more.", token.id, token.role, guard.needs);
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(Author { actor: token.id.clone(), address })
}
