//! `audit`: who did what, and whether the record is whole.

use serde_json::Value;

use crate::store::AuditReport;

use super::client::Client;
use super::{Audit, Failure, print};

pub async fn run(command: Audit) -> Result<(), Failure> {
    match command {
        Audit::Verify { target } => {
            let client = Client::connect(&target).await?;
            let report: AuditReport = client.get("/api/v1/audit/verify").await?.json()?;
            client.close().await;
            match report.broken {
                None => print(&format!("The audit log is whole; entries checked: {}.", report.entries))?,
                Some((sequence, problem)) => {
                    return Err(Failure::new(format!("entry {sequence} is broken: {problem}")))?;
                }
            }
        }
        Audit::List { limit, target } => {
            let client = Client::connect(&target).await?;
            let list: Value = client.get(&format!("/api/v1/audit?limit={limit}")).await?.json()?;
            client.close().await;
            for entry in list["items"].as_array().into_iter().flatten() {
                let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
                let line = [text("at"), text("actor"), text("action"), text("subject"), text("reason")].join("  ");
                print(line.trim_end())?;
            }
        }
    }
    Ok(())
}
