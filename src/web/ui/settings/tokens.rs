//! Tokens of the API: what each may do, when it was used last, and new ones, whose secret is shown once.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};

use super::users::shown;
use super::{ROLES, role_of};
use crate::control::token::{Role, Scope, Token, Use};
use crate::model::place::parse_network;
use crate::model::{FieldError, Kind};
use crate::web::Problem;
use crate::web::api::tokens::{DEFAULT_DAYS, Wanted, store};
use crate::web::extract::{Path, Query};
use crate::web::ui::form::{Faults, Form};
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::text::text;
use crate::web::ui::visit::{Visit, see};
use crate::web::ui::{Page, export, filters};

const LIST: &str = "/settings/tokens";
/// Rows on one page of the list.
const ROWS: usize = 50;
/// The longest a token may last, in days.
const MAX_DAYS: i64 = 3650;

pub(super) fn pages() -> Vec<Page> {
    vec![
        Page::new(LIST, Role::Admin, get(list).post(create)),
        Page::new("/settings/tokens.csv", Role::Admin, get(as_csv)),
        Page::new("/settings/tokens.json", Role::Admin, get(as_json)),
        Page::new("/settings/tokens/{id}/delete", Role::Admin, post(delete)),
    ]
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
struct Filter {
    q: String,
    page: usize,
}

#[derive(Debug, Clone, serde::Serialize)]
struct Row {
    #[serde(flatten)]
    token: Token,
    last: Option<Use>,
    is_over: bool,
}

#[derive(Template)]
#[template(path = "ui/settings_tokens.html")]
struct List {
    frame: Frame,
    rows: Vec<Row>,
    filter: Filter,
    found: usize,
    form: Form,
    faults: Faults,
    kinds: [Kind; Kind::ALL.len()],
    zones: Vec<String>,
}

impl List {
    fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).append_pair("q", &self.filter.q).finish()
    }

    fn page(&self, page: usize) -> String {
        format!("{LIST}?{}&page={page}", self.query())
    }

    fn has_more(&self) -> bool {
        self.filter.page.saturating_add(1).saturating_mul(ROWS) < self.found
    }

    fn chosen(&self, field: &str, value: &str) -> bool {
        self.form.all(field).any(|sent| sent == value)
    }
}

fn wanted(visit: &Visit, filter: &Filter) -> Vec<Row> {
    let uses = visit.web.control.token_uses();
    let tokens = visit.web.control.tokens();
    let named = tokens.iter().filter(|token| token.id.contains(filter.q.trim()));
    let mut rows: Vec<Row> = named
        .map(|token| Row {
            last: uses.get(&token.id).copied(),
            is_over: token.expires.is_some_and(|end| end <= visit.now),
            token: token.listed(),
        })
        .collect();
    rows.sort_by(|a, b| b.is_over.cmp(&a.is_over).then_with(|| a.token.id.cmp(&b.token.id)));
    rows
}

async fn list(visit: Visit, Query(filter): Query<Filter>) -> Response {
    let days = Form(vec![("days".into(), DEFAULT_DAYS.to_string())]);
    page(&visit, StatusCode::OK, filter, days, Faults::default()).await
}

async fn page(visit: &Visit, status: StatusCode, filter: Filter, form: Form, faults: Faults) -> Response {
    let frame = visit.frame(Place::Settings, text("Tokens")).await.under(text("Settings"), "/settings");
    let all = wanted(visit, &filter);
    let found = all.len();
    let rows = all.into_iter().skip(filter.page.saturating_mul(ROWS)).take(ROWS).collect();
    let zones = visit.model().zones.keys().map(ToString::to_string).collect();
    visit.page_with(status, &List { frame, rows, filter, found, form, faults, kinds: Kind::ALL, zones })
}

async fn as_csv(visit: Visit, Query(filter): Query<Filter>) -> Result<Response, Problem> {
    let time = |at: jiff::Timestamp| format!("{at:.0}");
    let rows = wanted(&visit, &filter).into_iter().map(|Row { token, last, .. }| {
        let networks: Vec<String> = token.allow_from.iter().map(ToString::to_string).collect();
        vec![
            token.id,
            token.role.to_string(),
            token.scope.said(),
            networks.join(" "),
            token.expires.map(time).unwrap_or_default(),
            last.map(|last| time(last.at)).unwrap_or_default(),
            last.and_then(|last| last.address).map(|address| address.to_string()).unwrap_or_default(),
        ]
    });
    export::csv("tokens", &["token", "role", "scope", "allowed from", "expires", "last used", "last address"], rows)
}

async fn as_json(visit: Visit, Query(filter): Query<Filter>) -> Response {
    export::json("tokens", wanted(&visit, &filter))
}

async fn create(visit: Visit, form: Form) -> Result<Response, Problem> {
    let tokens = visit.web.control.tokens();
    let wanted = match read(&form, |id| tokens.iter().any(|token| token.id == id)) {
        Ok(wanted) => wanted,
        Err(errors) => {
            let faults = Faults::new(errors, "");
            return Ok(page(&visit, StatusCode::UNPROCESSABLE_ENTITY, Filter::default(), form, faults).await);
        }
    };
    match store(&visit.web, wanted, visit.author()).await {
        Ok((token, secret)) => {
            let head = text("Token {token}").set("token", &token.id);
            shown(&visit, head, text("Copy it now. Only its hash is kept, so nobody can show it again."), secret, LIST)
                .await
        }
        Err(problem) if problem.status == StatusCode::CONFLICT.as_u16() => {
            let faults = Faults::new(vec![FieldError::new("id", problem.detail, "")], "");
            Ok(page(&visit, StatusCode::UNPROCESSABLE_ENTITY, Filter::default(), form, faults).await)
        }
        Err(problem) => Err(problem),
    }
}

/// What the form asks for, or everything that is wrong with it.
fn read(form: &Form, is_taken: impl Fn(&str) -> bool) -> Result<Wanted, Vec<FieldError>> {
    let mut errors = Vec::new();
    let id = form.text("id").parse().map_err(|problem: String| errors.push(FieldError::told("id", &problem))).ok();
    if is_taken(form.text("id")) {
        let problem = format!("there is a token {} already", form.text("id"));
        errors.push(FieldError::new("id", problem, "delete it first, or choose another name"));
    }
    let role = role_of(form).map_err(|error| errors.push(error)).ok();
    let mut allow_from = Vec::new();
    for word in form.text("allow_from").split([' ', ',', '\n', '\r']).filter(|word| !word.is_empty()) {
        match parse_network(word) {
            Ok(network) => allow_from.push(network),
            Err(problem) => errors.push(FieldError::told("allow_from", &problem)),
        }
    }
    let days = form.text("days").parse().ok().filter(|days| (0..=MAX_DAYS).contains(days));
    if days.is_none() {
        let remedy = format!("use a whole number from 0 to {MAX_DAYS}");
        errors.push(FieldError::new("days", "this is no number of days", remedy));
    }
    // One that is not known must not widen the token: no kinds are all of them.
    let mut kinds: Vec<Kind> = Vec::new();
    for word in form.all("kinds") {
        match word.parse() {
            Ok(kind) => kinds.push(kind),
            Err(error) => errors.push(FieldError::told("kinds", &error)),
        }
    }
    let scope = Scope { kinds, zones: form.all("zones").map(str::to_owned).collect() };
    match (id, role, days) {
        (Some(id), Some(role), Some(days)) if errors.is_empty() => Ok(Wanted { id, role, allow_from, days, scope }),
        _ => Err(errors),
    }
}

async fn delete(visit: Visit, Path(id): Path<String>, _: Form) -> Result<Response, Problem> {
    if !visit.web.control.tokens().iter().any(|token| token.id == id) {
        return Err(Problem::not_found(format!("There is no token {id}. The list of tokens has all.")));
    }
    visit.web.control.set_token(id.clone(), None, visit.author()).await?;
    visit.say(text("The token {token} opens nothing any more.").set("token", &id));
    Ok(see(LIST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_with_a_token_is_told_at_once() {
        let form = |fields: &[(&str, &str)]| Form(fields.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect());
        let wrong = form(&[("id", "CI!"), ("role", "king"), ("days", "x"), ("allow_from", "10.0.0.0/40 nowhere")]);
        let told = |form: &Form| read(form, |id| id == "ci").map(drop).unwrap_err();
        let fields: Vec<String> = told(&wrong).into_iter().map(|error| error.at).collect();
        assert_eq!(fields, ["id", "role", "allow_from", "allow_from", "days"]);
        assert_eq!(told(&form(&[("id", "ci"), ("days", "0")]))[0].problem, "there is a token ci already");
        let fine = [("id", "cd"), ("role", "editor"), ("days", "0")];
        assert!(read(&form(&fine), |_| false).is_ok());
        let forged = form(&[&fine[..], &[("kinds", "poolz")]].concat());
        assert_eq!(told(&forged)[0].problem, "\"poolz\" is not a kind of entity");
    }
}
