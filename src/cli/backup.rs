//! `backup` and `restore`: everything in one file.

use std::path::Path;

use super::client::Client;
use super::{Failure, Target, print};

pub async fn backup(file: &Path, secrets: bool, target: &Target) -> Result<(), Failure> {
    if file.exists() && !file.is_file() {
        let line = format!("{} is not a file; name a file to write, or - for standard output", file.display());
        return Err(Failure::wrong(vec![line]));
    }
    let client = Client::connect(target).await?;
    let reply = client.get(if secrets { "/api/v1/backup?secrets=true" } else { "/api/v1/backup" }).await?;
    client.close().await;
    let size = reply.body.len();
    if file == Path::new("-") {
        return print(&reply.text());
    }
    crate::store::write_private(file, &reply.body).map_err(|fault| Failure::new(fault.to_string()))?;
    print(&format!("{}: {size} bytes.", file.display()))?;
    Ok(())
}

pub fn restore(file: &Path, data_dir: &Path) -> Result<(), Failure> {
    if !file.is_file() {
        let line = format!("{} is not a file; name one that northing backup wrote", file.display());
        return Err(Failure::wrong(vec![line]));
    }
    crate::store::restore(file, data_dir).map_err(|fault| Failure::new(fault.to_string()))?;
    print(&format!("{} is filled; start northing with --data-dir {0}.", data_dir.display()))?;
    Ok(())
}
