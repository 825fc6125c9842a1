//! `token`: who may use the API.

use axum::http::Method;
use serde_json::{Value, json};

use super::client::{Client, escape};
use super::{Failure, TokenCommand, print};

pub async fn run(command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create { id, role, expires_days, allow_from, kind, zone, target } => {
            let client = Client::connect(&target).await?;
            let body = json!({
                "id": id, "role": role, "expires_days": expires_days, "allow_from": allow_from, "kinds": kind, "zones": zone,
            });
            let created: Value = client.send(Method::POST, "/api/v1/tokens", &body).await?.json()?;
            client.close().await;
            print(created["secret"].as_str().unwrap_or_default())?;
        }
        TokenCommand::List { target } => {
            let client = Client::connect(&target).await?;
            let list: Value = client.get("/api/v1/tokens").await?.json()?;
            client.close().await;
            if list["items"].as_array().is_none_or(Vec::is_empty) {
                print("There are no tokens; northing token create makes one.")?;
            }
            for token in list["items"].as_array().into_iter().flatten() {
                let text = |field: &str| token[field].as_str().unwrap_or("never").to_owned();
                print(&format!("{:<24} {:<9} expires {}", text("id"), text("role"), text("expires")))?;
            }
        }
        TokenCommand::Delete { id, target } => {
            let client = Client::connect(&target).await?;
            client.call(Method::DELETE, &format!("/api/v1/tokens/{}", escape(&id)), None).await?;
            client.close().await;
            print(&format!("Token {id} is deleted."))?;
        }
    }
    Ok(())
}
