//! `backup` and `restore`: everything in one file.

use std::path::Path;

use super::client::Client;
use super::{Failure, Target, print};

pub async fn backup(file: &Path, secrets: bool, target: &Target) -> Result<(), Failure> {
    let client = Client::connect(target).await?;
    let reply = client.get(if secrets { "/api/v1/backup?secrets=true" } else { "/api/v1/backup" }).await?;
    client.close().await;
    let size = reply.body.len();
    crate::store::write_private(file, &reply.body).map_err(|fault| Failure::new(fault.to_string()))?;
    print(&format!("{}: {size} bytes.", file.display()));
    Ok(())
}

pub fn restore(file: &Path, data_dir: &Path) -> Result<(), Failure> {
    crate::store::restore(file, data_dir).map_err(|fault| Failure::new(fault.to_string()))?;
    print(&format!("{} is filled; start northing with --data-dir {0}.", data_dir.display()));
    Ok(())
}
