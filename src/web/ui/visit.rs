//! One request of a signed-in browser: who it is, which language and theme, and how the page is answered.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use askama::Template;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use jiff::Timestamp;

use super::clash::Seen;
use super::form::Form;
use super::frame::{Frame, Place};
use super::login::{CHANGE_PASSWORD, Why};
use super::session::{Found, Notice, Session, User, cookie};
use super::text::{Language, Text};
use crate::control::draft::Draft;
use crate::control::token::Role;
use crate::control::{Author, now};
use crate::model::Model;
use crate::web::{OverTls, Problem, Web};

pub const LANGUAGE_COOKIE: &str = "language";
pub const THEME_COOKIE: &str = "theme";

/// app.js sends this with what it asks for to take parts of.
const BY_SCRIPT: &str = "x-requested-with";

/// A request of a page. Handlers take it first; the guard has let it pass.
#[derive(Clone)]
pub struct Visit {
    pub web: Web,
    pub session: Arc<Session>,
    user: User,
    pub language: Language,
    /// `light`, `dark`, or empty to follow the system.
    pub theme: &'static str,
    pub address: Option<IpAddr>,
    pub over_tls: Option<OverTls>,
    /// Where the browser reached us.
    pub authority: Option<Authority>,
    /// Path and query, to come back to.
    pub here: String,
    /// An open page's script asked: it takes parts of the answer, and nobody reads the rest.
    pub by_script: bool,
    pub now: Timestamp,
    /// The world when the request came, before anything of it was read.
    pub found: Seen,
    /// The form that was sent; `Form` puts it here.
    pub sent: Arc<OnceLock<Form>>,
}

impl Visit {
    pub fn new(web: Web, session: Arc<Session>, user: User, request: &Request) -> Visit {
        let (address, over_tls) = (address(request), over_tls(request));
        let (language, theme) = (language(request.headers()), theme(request.headers()));
        let (here, authority, found) = (here(request), authority(request), Seen::of(&web.control, &user.id));
        let by_script = request.headers().contains_key(BY_SCRIPT);
        let (now, sent) = (now(), Arc::default());
        Visit { web, session, user, language, theme, address, over_tls, authority, here, by_script, now, found, sent }
    }

    pub fn user(&self) -> &User {
        &self.user
    }

    pub fn may(&self, role: Role) -> bool {
        self.user().role >= role
    }

    pub fn author(&self) -> Author {
        Author { address: self.address, ..Author::new(&self.user().id) }
    }

    /// Name or address by which the browser reached us, without the port.
    pub fn host(&self) -> Option<&str> {
        let authority = self.authority.as_ref()?;
        Some(authority.host().trim_start_matches('[').trim_end_matches(']'))
    }

    /// What is live.
    pub fn model(&self) -> Arc<Model> {
        self.web.control.model()
    }

    /// What the user is about to publish.
    pub async fn draft(&self) -> Arc<Draft> {
        self.web.control.draft(&self.user().id)
    }

    /// What the forms of a page are drawn from.
    pub fn seen(&self) -> Seen {
        self.sent.get().and_then(Seen::carried).unwrap_or(self.found)
    }

    /// The frame of a page: menu, head, foot.
    pub async fn frame(&self, place: Place, title: Text) -> Frame {
        let draft = self.draft().await;
        let clash = super::draft::conflict::notice(self, &draft).await;
        Frame { clash, ..Frame::new(self, &draft, place, title) }
    }

    /// Says something at the top of the next page.
    pub fn say(&self, text: Text) {
        self.session.say(Notice { text });
    }

    /// What was said to the top of the next page, unless this is none that anybody sees.
    pub fn take_notices(&self) -> Vec<Notice> {
        if self.by_script { Vec::new() } else { self.session.take_notices() }
    }

    /// Renders a page.
    pub fn page(&self, template: &impl Template) -> Response {
        self.page_with(StatusCode::OK, template)
    }

    /// Renders a page that is not what was asked for, such as a form with its errors.
    pub fn page_with(&self, status: StatusCode, template: &impl Template) -> Response {
        match self.render(template) {
            Ok(html) => (status, Html(html)).into_response(),
            Err(problem) => problem.into_response(),
        }
    }

    /// Renders a page or a part of one, in the reader's language.
    pub fn render(&self, template: &impl Template) -> Result<String, Problem> {
        render(template, self.language, self.now)
    }
}

/// Renders for a reader.
pub fn render(template: &impl Template, language: Language, now: Timestamp) -> Result<String, Problem> {
    let values: [(&str, &dyn Any); 2] = [("language", &language), ("now", &now)];
    template.render_with_values(&values).map_err(|error| {
        tracing::error!("a page could not be rendered: {error}; report it");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "A fault of ours: the page could not be rendered.")
    })
}

/// After a form: the browser gets `path` with GET, so that a reload sends nothing twice.
pub fn see(path: &str) -> Response {
    Redirect::to(path).into_response()
}

impl FromRequestParts<Web> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Web) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Visit>()
            .cloned()
            .ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "You are not signed in; sign in and come back."))
    }
}

/// As chosen, else as the browser prefers.
pub fn language(headers: &HeaderMap) -> Language {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let chosen = cookie(headers, LANGUAGE_COOKIE).and_then(Language::of_code);
    chosen.unwrap_or_else(|| Language::preferred(text(header::ACCEPT_LANGUAGE).unwrap_or_default()))
}

pub fn theme(headers: &HeaderMap) -> &'static str {
    match cookie(headers, THEME_COOKIE) {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "",
    }
}

/// What `guard` needs to know about the page it guards.
#[derive(Clone)]
pub struct Needs {
    pub web: Web,
    pub role: Role,
    pub asked_by: AskedBy,
}

/// Who makes the browser send a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AskedBy {
    Person,
    /// An open page does so by itself, which is no use of the session.
    Page,
}

/// Lets a signed-in request pass whose role suffices; sends others to sign in, or says which role it takes.
/// Refuses what another site's page made the browser send.
pub async fn guard(State(Needs { web, role, asked_by }): State<Needs>, mut request: Request, next: Next) -> Response {
    if !is_own(&request) {
        let detail = "Another site's page sent this; nothing was changed. Open Northing itself and do it there.";
        return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    let account = |id: &str| web.control.account(id);
    let found = match asked_by {
        AskedBy::Person => web.sessions.find(request.headers(), account, now()),
        AskedBy::Page => web.sessions.look(request.headers(), account, now()),
    };
    let (session, user) = match found {
        Found::Session(session, user) => (session, user),
        Found::Ended => return super::login::ask(&web, request, Why::Ended).await,
        Found::Nothing => return super::login::ask(&web, request, Why::New).await,
    };
    if user.must_change && !matches!(request.uri().path(), CHANGE_PASSWORD | "/settings/theme" | "/settings/language") {
        return see(CHANGE_PASSWORD);
    }
    let (is_get, headers, sessions) =
        (request.method() == Method::GET, request.headers().clone(), web.sessions.clone());
    let visit = Visit::new(web, session.clone(), user, &request);
    let visit = Visit { by_script: visit.by_script || asked_by == AskedBy::Page, ..visit };
    if !visit.may(role) {
        let detail = format!("Needs the {role} role; you are {}. Ask an admin.", visit.user().role);
        return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    request.extensions_mut().insert(session);
    request.extensions_mut().insert(visit);
    let mut response = next.run(request).await;
    // Only with an answer that carries it: a secret that nobody got would end the session.
    if let Some(cookie) = is_get.then(|| sessions.rotate(&headers, now())).flatten() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// True unless a page of another origin made the browser send it (Fetch Metadata; Origin where a browser is
/// too old for it). What only reads may come from anywhere.
pub fn is_own(request: &Request) -> bool {
    if request.method().is_safe() {
        return true;
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    match header("sec-fetch-site") {
        Some(site) => matches!(site, "same-origin" | "none"),
        None => match header("origin") {
            Some(origin) => {
                let from = origin.split_once("://").map(|(_, from)| from);
                authority(request).is_some_and(|here| from.is_some_and(|from| here == *from))
            }
            None => true,
        },
    }
}

/// Where the request came from.
pub fn address(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}

/// Set where the request came encrypted.
pub fn over_tls(request: &Request) -> Option<OverTls> {
    request.extensions().get().copied()
}

/// Name or address, and port, as the browser wrote them: HTTP/2 has them in the URI and no Host header.
pub fn authority(request: &Request) -> Option<Authority> {
    let header = || request.headers().get(header::HOST)?.to_str().ok()?.parse().ok();
    request.uri().authority().cloned().or_else(header)
}

pub fn here(request: &Request) -> String {
    request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn a_form_is_taken_from_our_own_pages_over_every_version_of_http() {
        let one = ("host", "ns1.test:8443");
        for (uri, headers, expected) in [
            ("/pools", &[one, ("origin", "https://ns1.test:8443")][..], true),
            ("/pools", &[one, ("origin", "https://NS1.test:8443")], true),
            ("/pools", &[one, ("origin", "https://ns1.test")], false),
            ("/pools", &[one, ("origin", "https://evil.test")], false),
            ("/pools", &[one, ("origin", "null")], false),
            ("/pools", &[("origin", "null")], false),
            // HTTP/2 has no Host header.
            ("https://ns1.test:8443/pools", &[("origin", "https://ns1.test:8443")], true),
            ("https://ns1.test:8443/pools", &[("origin", "https://evil.test")], false),
            ("/pools", &[one, ("origin", "https://ns1.test:8443"), ("sec-fetch-site", "cross-site")], false),
            ("/pools", &[one, ("sec-fetch-site", "same-origin")], true),
            ("/pools", &[one], true),
        ] {
            let request =
                headers.iter().fold(Request::post(uri), |request, (name, value)| request.header(*name, *value));
            assert_eq!(is_own(&request.body(Body::empty()).unwrap()), expected, "{uri} {headers:?}");
        }
    }
}
