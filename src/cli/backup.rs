//! `backup` and `restore`: everything in one file.

use std::path::Path;

use super::client::Client;
use super::{Failure, Target, print};
use crate::store::GeoFile;

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
    print(&format!("{}: {size} bytes{}.", file.display(), geo_told(&crate::store::geo_in_backup(&reply.body))))?;
    Ok(())
}

/// Which uploaded geo databases are in it, and how large they are.
fn geo_told(files: &[GeoFile]) -> String {
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let one = |file: &GeoFile| format!("{} ({:.1} MiB)", file.name, mebibytes(file.bytes));
    match files {
        [] => String::new(),
        files => format!(", with the uploaded geo data: {}", files.iter().map(one).collect::<Vec<_>>().join(", ")),
    }
}

pub fn restore(file: &Path, data_dir: &Path) -> Result<(), Failure> {
    if !file.is_file() {
        let line = format!("{} is not a file; name one that northing backup wrote", file.display());
        return Err(Failure::wrong(vec![line]));
    }
    let geo = crate::store::restore(file, data_dir).map_err(|fault| Failure::new(fault.to_string()))?;
    let told = geo_told(&geo);
    print(&format!("{} is filled{told}; start northing with --data-dir {0}.", data_dir.display()))?;
    Ok(())
}
