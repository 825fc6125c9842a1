//! Users: those who sign in with a browser, administered by admins. A password that is made here is shown once.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::json::Body;
use crate::control::account::{Account, Listed, MAX_NAME, check_name, check_password};
use crate::control::accounts::{hash_password, make_password, new_account};
use crate::control::token::Role;
use crate::control::{Author, Control, Refusal, now};
use crate::web::extract::Path;
use crate::web::{Problem, Route, Web};

/// The longest password that is read; `check_password` says what is too long.
const MAX_SENT: usize = 1024;

pub(super) fn routes() -> Vec<Route> {
    let route = |method, path: &str, summary: &str, handler| Route::new(method, path, Role::Admin, summary, handler);
    let made = "Create a user; a password that is not given is made, and shown this once";
    let password = "Set a password, or make one and show it this once; the user has to change it";
    let code = "Print a new one-time code for the setup page; works while there is no user";
    vec![
        route("get", "/api/v1/users", "List users", get(list)).gives("Users"),
        route("post", "/api/v1/users", made, post(create)).takes("NewUser").gives("CreatedUser").creates(),
        route("put", "/api/v1/users/{id}", "Change what is given of a user", put(change))
            .takes("UserChange")
            .gives("User"),
        route("delete", "/api/v1/users/{id}", "Delete a user", axum::routing::delete(remove)),
        route("post", "/api/v1/users/{id}/password", password, post(set_password))
            .takes("NewPassword")
            .gives("CreatedUser"),
        route("post", "/api/v1/users/{id}/reset-totp", "Take the second factor off a user", post(reset_totp))
            .gives("User"),
        route("post", "/api/v1/setup-code", code, post(setup_code)).gives("SetupCode"),
    ]
}

async fn list(State(web): State<Web>) -> Json<Value> {
    let users: Vec<Listed> = web.control.accounts().values().map(|account| account.listed()).collect();
    Json(json!({ "items": users }))
}

async fn create(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (id, name, role, password) = body.read(|fields| {
        let id = fields.text("id", MAX_NAME).unwrap_or_default();
        let name = fields.text("name", MAX_NAME).unwrap_or_default();
        let role: Role = fields.word("role");
        Some((id, name, role, fields.verbatim("password", MAX_SENT)))
    })?;
    let (account, made) = invite(&web.control, &id, &name, role, password, author).await?;
    Ok((StatusCode::CREATED, Json(json!({ "user": account.listed(), "password": made }))))
}

/// Makes a user, and a password where none is given, which is returned.
pub async fn invite(
    control: &Control,
    id: &str,
    name: &str,
    role: Role,
    password: Option<String>,
    author: Author,
) -> Result<(Account, Option<String>), Refusal> {
    let made = password.is_none().then(make_password);
    let password = password.or_else(|| made.clone()).unwrap_or_default();
    let account = new_account(id, name, role, &password, now()).await.map_err(Refusal::Invalid)?;
    // Whoever chose it for somebody else knows it too.
    let account = Account { must_change: true, ..account };
    let account = control.create_account(account, author).await?;
    Ok((Account::clone(&account), made))
}

async fn change(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Listed>, Problem> {
    let (name, role, disabled) = body.read(|fields| {
        let name = fields.text("name", MAX_NAME);
        let role: Option<Role> = fields.word_if("role");
        let disabled = fields.has("disabled");
        let flag = fields.flag("disabled", false);
        Some((name, role, disabled.then_some(flag)))
    })?;
    let edit = move |account: &mut Account| {
        if let Some(name) = name {
            check_name(&name).map_err(|error| Refusal::Invalid(vec![error]))?;
            account.name = name;
        }
        account.role = role.unwrap_or(account.role);
        account.disabled = disabled.unwrap_or(account.disabled);
        Ok(())
    };
    Ok(Json(web.control.edit_account(&id, "change user", author, edit).await?.listed()))
}

async fn remove(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    web.control.delete_account(&id, author).await?;
    Ok(Json(json!({ "done": true })))
}

async fn set_password(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let password = body.read(|fields| Some(fields.verbatim("password", MAX_SENT)))?;
    let (account, made) = renew_password(&web.control, &id, password, author).await?;
    Ok(Json(json!({ "user": account.listed(), "password": made })))
}

/// Sets another password for somebody else, and makes one where none is given, which is returned.
pub async fn renew_password(
    control: &Control,
    id: &str,
    password: Option<String>,
    author: Author,
) -> Result<(Account, Option<String>), Refusal> {
    let made = password.is_none().then(make_password);
    let password = password.or_else(|| made.clone()).unwrap_or_default();
    check_password(id, &password).map_err(|error| Refusal::Invalid(vec![error]))?;
    let hash = hash_password(&password).await;
    let edit = move |account: &mut Account| {
        account.password = hash;
        account.must_change = true;
        Ok(())
    };
    let account = control.edit_account(id, "set password", author, edit).await?;
    Ok((Account::clone(&account), made))
}

async fn reset_totp(
    State(web): State<Web>,
    Extension(author): Extension<Author>,
    Path(id): Path<String>,
) -> Result<Json<Listed>, Problem> {
    let edit = |account: &mut Account| {
        account.second = None;
        Ok(())
    };
    Ok(Json(web.control.edit_account(&id, "reset second factor", author, edit).await?.listed()))
}

async fn setup_code(State(web): State<Web>, Extension(author): Extension<Author>) -> Result<Json<Value>, Problem> {
    if !web.control.accounts().is_empty() {
        let detail = "Northing has been set up already; northing user password NAME makes a new password.";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    web.control.record(author.act("make setup code", "setup")).await?;
    let code = web.setup.issue(now());
    Ok(Json(json!({ "code": code, "line": web.setup.line(&code) })))
}
