//! `user` and `setup-code`: who signs in with a browser.

use std::io::Read;

use axum::http::Method;
use serde_json::{Value, json};

use super::client::{Client, escape};
use super::{Failure, Target, UserCommand, print};

/// The longest standard input that is read for a password, in bytes.
const MAX_INPUT: u64 = 4096;

pub async fn run(command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::List { target } => list(&target).await,
        UserCommand::Create { id, name, role, password_stdin, target } => {
            let mut body = json!({ "id": id, "name": name, "role": role });
            if password_stdin {
                body["password"] = json!(password_from_stdin()?);
            }
            let made = call(&target, Method::POST, "/api/v1/users", body).await?;
            print(&format!("{id} can sign in, and has to choose another password then."))?;
            print_password(&made)
        }
        UserCommand::Password { id, password_stdin, target } => {
            let body = if password_stdin { json!({ "password": password_from_stdin()? }) } else { json!({}) };
            let made = call(&target, Method::POST, &path(&id, "/password"), body).await?;
            print(&format!("{id} has another password, and has to change it at the next sign-in."))?;
            print_password(&made)
        }
        UserCommand::Role { id, role, target } => {
            call(&target, Method::PUT, &path(&id, ""), json!({ "role": role })).await?;
            print(&format!("{id} is {role} now."))
        }
        UserCommand::Disable { id, target } => {
            call(&target, Method::PUT, &path(&id, ""), json!({ "disabled": true })).await?;
            print(&format!("{id} cannot sign in any more."))
        }
        UserCommand::Enable { id, target } => {
            call(&target, Method::PUT, &path(&id, ""), json!({ "disabled": false })).await?;
            print(&format!("{id} can sign in again."))
        }
        UserCommand::Delete { id, target } => {
            call(&target, Method::DELETE, &path(&id, ""), json!({})).await?;
            print(&format!("{id} is deleted."))
        }
        UserCommand::ResetTotp { id, target } => {
            call(&target, Method::POST, &path(&id, "/reset-totp"), json!({})).await?;
            print(&format!("{id} signs in with the password alone now."))
        }
    }
}

/// A running server keeps the code in its memory; without one there is nothing to set up.
pub async fn setup_code(target: &Target) -> Result<(), Failure> {
    let client = Client::connect(target).await?;
    if matches!(client, Client::Offline(_)) {
        client.close().await;
        return Err(Failure::new("no server runs on this data directory; start northing, which prints a code"));
    }
    let made: Value = client.send(Method::POST, "/api/v1/setup-code", &json!({})).await?.json()?;
    print(made["line"].as_str().unwrap_or_default())
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = Client::connect(target).await?;
    let list: Value = client.get("/api/v1/users").await?.json()?;
    client.close().await;
    let users = list["items"].as_array().cloned().unwrap_or_default();
    if users.is_empty() {
        print("There are no users; northing user create makes one.")?;
    }
    for user in users {
        let text = |field: &str| user[field].as_str().unwrap_or("never").to_owned();
        let mut notes = vec![format!("last sign-in {}", text("last_sign_in"))];
        notes.extend(user["two_factor"].as_bool().filter(|on| *on).map(|_| "second factor".to_owned()));
        notes.extend(user["disabled"].as_bool().filter(|on| *on).map(|_| "disabled".to_owned()));
        print(&format!("{:<24} {:<9} {}", text("id"), text("role"), notes.join(", ")))?;
    }
    Ok(())
}

async fn call(target: &Target, method: Method, path: &str, body: Value) -> Result<Value, Failure> {
    let client = Client::connect(target).await?;
    let reply = client.send(method, path, &body).await;
    client.close().await;
    reply?.json()
}

fn path(id: &str, act: &str) -> String {
    format!("/api/v1/users/{}{act}", escape(id))
}

fn print_password(made: &Value) -> Result<(), Failure> {
    made["password"].as_str().map_or(Ok(()), |password| print(&format!("Password, shown this once: {password}")))
}

/// The first line of standard input, without its end.
fn password_from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text);
    read.map_err(|error| Failure::new(format!("standard input cannot be read: {error}")))?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => Err(Failure::wrong(vec!["standard input holds no password; write it as one line".to_owned()])),
    }
}
