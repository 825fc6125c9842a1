//! Users: who may sign in, with which role. A password that is made here is shown once.

use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};

use super::{ROLES, role_of};
use crate::control::Refusal;
use crate::control::account::{Account, check_id, check_name};
use crate::control::token::Role;
use crate::web::Problem;
use crate::web::api::users::{invite, renew_password};
use crate::web::extract::{Path, Query};
use crate::web::ui::form::{Faults, Form};
use crate::web::ui::frame::{Frame, Place};
use crate::web::ui::text::{Text, plain, text};
use crate::web::ui::visit::{Visit, see};
use crate::web::ui::{Page, export, filters};

/// Rows on one page of a list.
const ROWS: usize = 50;
/// What every change answers first.
const LIST: &str = "/settings/users";

pub(super) fn pages() -> Vec<Page> {
    let act = |path: &'static str, act| {
        Page::new(path, Role::Admin, post(move |visit: Visit, Path(id): Path<String>, _: Form| change(visit, id, act)))
    };
    vec![
        Page::new(LIST, Role::Admin, get(list).post(create)),
        Page::new("/settings/users.csv", Role::Admin, get(as_csv)),
        Page::new("/settings/users.json", Role::Admin, get(as_json)),
        Page::new("/settings/users/{id}", Role::Admin, get(show).post(save)),
        act("/settings/users/{id}/disable", Act::Disable),
        act("/settings/users/{id}/enable", Act::Enable),
        act("/settings/users/{id}/reset-totp", Act::ResetTotp),
        act("/settings/users/{id}/sign-out", Act::SignOut),
        Page::new("/settings/users/{id}/password", Role::Admin, post(password)),
        Page::new("/settings/users/{id}/delete", Role::Admin, post(delete)),
    ]
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Disable,
    Enable,
    ResetTotp,
    SignOut,
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
struct Filter {
    q: String,
    page: usize,
}

#[derive(Template)]
#[template(path = "ui/settings_users.html")]
struct List {
    frame: Frame,
    users: Vec<Arc<Account>>,
    filter: Filter,
    found: usize,
    form: Form,
    faults: Faults,
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
}

#[derive(Template)]
#[template(path = "ui/settings_user.html")]
struct One {
    frame: Frame,
    user: Arc<Account>,
    form: Form,
    faults: Faults,
}

/// A secret that nobody sees again.
#[derive(Template)]
#[template(path = "ui/settings_secret.html")]
pub(super) struct Shown {
    pub frame: Frame,
    pub head: Text,
    pub note: Text,
    pub secret: String,
    pub back: &'static str,
}

fn wanted(visit: &Visit, filter: &Filter) -> Vec<Arc<Account>> {
    let q = filter.q.trim().to_lowercase();
    let is_wanted =
        |account: &&Arc<Account>| q.is_empty() || account.id.contains(&q) || account.name.to_lowercase().contains(&q);
    visit.web.control.accounts().values().filter(is_wanted).cloned().collect()
}

async fn list(visit: Visit, Query(filter): Query<Filter>) -> Response {
    list_page(&visit, StatusCode::OK, filter, Form::default(), Faults::default()).await
}

async fn list_page(visit: &Visit, status: StatusCode, filter: Filter, form: Form, faults: Faults) -> Response {
    let frame = visit.frame(Place::Settings, text("Users")).await.under(text("Settings"), "/settings");
    let all = wanted(visit, &filter);
    let found = all.len();
    let users = all.into_iter().skip(filter.page.saturating_mul(ROWS)).take(ROWS).collect();
    visit.page_with(status, &List { frame, users, filter, found, form, faults })
}

async fn as_csv(visit: Visit, Query(filter): Query<Filter>) -> Result<Response, Problem> {
    let time = |at: jiff::Timestamp| format!("{at:.0}");
    let rows = wanted(&visit, &filter).into_iter().map(|user| {
        let state = if user.disabled { "disabled" } else { "on" };
        let second = if user.second.is_some() { "yes" } else { "no" };
        let last = user.last_sign_in.map(time).unwrap_or_default();
        let texts = [&user.id, &user.name, &user.role.to_string(), state, second, &time(user.created), &last];
        texts.map(str::to_owned).to_vec()
    });
    let columns = ["login name", "name", "role", "state", "second factor", "created", "last sign-in"];
    export::csv("users", &columns, rows)
}

async fn as_json(visit: Visit, Query(filter): Query<Filter>) -> Response {
    let listed: Vec<_> = wanted(&visit, &filter).iter().map(|user| user.listed()).collect();
    export::json("users", listed)
}

async fn create(visit: Visit, form: Form) -> Result<Response, Problem> {
    let (id, name) = (form.text("id").to_lowercase(), form.text("name"));
    let made = match role_of(&form) {
        Ok(role) => invite(&visit.web.control, &id, name, role, None, visit.author()).await,
        // Every other error is told together with this one.
        Err(error) => {
            let others = [check_id(&id), check_name(name)].into_iter().filter_map(Result::err);
            Err(Refusal::Invalid(others.chain([error]).collect()))
        }
    };
    match made {
        Ok((account, password)) => {
            let note = text("Give it to them. They have to choose another one when they sign in.");
            let head = text("Password of {user}").set("user", &account.id);
            shown(&visit, head, note, password.unwrap_or_default(), LIST).await
        }
        Err(refusal) => {
            let faults = Faults::new(in_form(refusal)?, "");
            Ok(list_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, Filter::default(), form, faults).await)
        }
    }
}

/// What a form says of itself; anything else is a page of its own.
fn in_form(refusal: Refusal) -> Result<Vec<crate::model::FieldError>, Problem> {
    match refusal {
        Refusal::Invalid(errors) => Ok(errors),
        Refusal::Conflict(detail) => Ok(vec![crate::model::FieldError::new("", detail, "")]),
        other => Err(other.into()),
    }
}

pub(super) async fn shown(
    visit: &Visit,
    head: Text,
    note: Text,
    secret: String,
    back: &'static str,
) -> Result<Response, Problem> {
    let frame = visit.frame(Place::Settings, head.clone()).await.under(text("Settings"), "/settings");
    Ok(visit.page(&Shown { frame, head, note, secret, back }))
}

async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    one_page(&visit, StatusCode::OK, &id, Form::default(), Faults::default()).await
}

async fn one_page(
    visit: &Visit,
    status: StatusCode,
    id: &str,
    form: Form,
    faults: Faults,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found(format!("There is no user {id}. The list of users has all."));
    let user = visit.web.control.account(id).ok_or_else(missing)?;
    let frame = visit.frame(Place::Settings, plain(id)).await;
    let frame = frame.under(text("Settings"), "/settings").under(text("Users"), LIST);
    let form = match form.has("role") {
        true => form,
        false => Form(vec![("name".into(), user.name.clone()), ("role".into(), user.role.to_string())]),
    };
    Ok(visit.page_with(status, &One { frame, user, form, faults }))
}

async fn save(visit: Visit, Path(id): Path<String>, form: Form) -> Result<Response, Problem> {
    let (name, role) = (form.text("name").to_owned(), role_of(&form));
    let edit = move |account: &mut Account| {
        let errors: Vec<_> = [check_name(&name), role.clone().map(drop)].into_iter().filter_map(Result::err).collect();
        let (Ok(role), true) = (role, errors.is_empty()) else { return Err(Refusal::Invalid(errors)) };
        account.name = if name.is_empty() { account.id.clone() } else { name };
        account.role = role;
        Ok(())
    };
    match visit.web.control.edit_account(&id, "change user", visit.author(), edit).await {
        Ok(account) => {
            visit.say(text("{user} is changed.").set("user", &account.id));
            Ok(see(LIST))
        }
        Err(refusal) => {
            let faults = Faults::new(in_form(refusal)?, "");
            one_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, &id, form, faults).await
        }
    }
}

async fn change(visit: Visit, id: String, act: Act) -> Result<Response, Problem> {
    let (action, said) = match act {
        Act::Disable => ("disable user", text("{user} cannot sign in any more.")),
        Act::Enable => ("enable user", text("{user} can sign in again.")),
        Act::ResetTotp => ("reset second factor", text("{user} signs in with the password alone now.")),
        Act::SignOut => ("sign user out", text("{user} is signed out everywhere.")),
    };
    let edit = move |account: &mut Account| {
        match act {
            Act::Disable => account.disabled = true,
            Act::Enable => account.disabled = false,
            Act::ResetTotp => account.second = None,
            Act::SignOut => account.epoch += 1,
        }
        Ok(())
    };
    match visit.web.control.edit_account(&id, action, visit.author(), edit).await {
        Ok(_) => {
            visit.say(said.set("user", &id));
            Ok(see(LIST))
        }
        Err(refusal) => {
            let faults = Faults::new(in_form(refusal)?, "");
            one_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, &id, Form::default(), faults).await
        }
    }
}

async fn password(visit: Visit, Path(id): Path<String>, _: Form) -> Result<Response, Problem> {
    let (account, made) = renew_password(&visit.web.control, &id, None, visit.author()).await?;
    let note =
        text("Give it to them. Their sessions have ended, and they have to choose another one when they sign in.");
    let head = text("New password of {user}").set("user", &account.id);
    shown(&visit, head, note, made.unwrap_or_default(), LIST).await
}

async fn delete(visit: Visit, Path(id): Path<String>, _: Form) -> Result<Response, Problem> {
    match visit.web.control.delete_account(&id, visit.author()).await {
        Ok(()) => {
            visit.say(text("{user} is deleted.").set("user", &id));
            Ok(see(LIST))
        }
        Err(refusal) => {
            let faults = Faults::new(in_form(refusal)?, "");
            one_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, &id, Form::default(), faults).await
        }
    }
}
