//! `apply` and `check`: a document that declares everything.

use std::io::Read;
use std::path::Path;

use axum::http::Method;
use serde_json::Value;

use crate::config::{self, Config, toml_error};
use crate::control::Published;
use crate::control::preview::Preview;
use crate::model::{FieldError, read_json};

use super::client::{Client, escape};
use super::{Apply, Failure, Target, print};

/// The largest document that a command reads, as the API's own limit.
const MAX_DOCUMENT: u64 = 64 << 20;

/// Shows the plan, then makes it so; with `--plan` it stops before.
pub async fn apply(apply: &Apply) -> Result<(), Failure> {
    let document = parse_document(&apply.file, &read_text(&apply.file)?)?;
    let client = Client::connect(&apply.target).await?;
    let preview: Preview = client.send(Method::POST, "/api/v1/document/preview", &document).await?.json()?;
    print(&preview.to_string())?;
    if !apply.plan && !preview.sentences.is_empty() {
        let (message, revision, despite) = (escape(&apply.message), preview.revision, apply.despite_tests);
        let path = format!("/api/v1/document?message={message}&expect_revision={revision}&despite_tests={despite}");
        let published: Published = client.send(Method::PUT, &path, &document).await?.json()?;
        print(&format!("Published as revision {}.", published.revision))?;
    }
    client.close().await;
    Ok(())
}

/// Says everything that is wrong with a boot file or a document.
pub async fn check(file: &Path, target: &Target) -> Result<(), Failure> {
    let text = read_text(file)?;
    if is_boot_file(&text) {
        Config::read(&text).map_err(|errors| located(file, &errors))?;
        print(&format!("{}: a sound boot file.", file.display()))?;
        return Ok(());
    }
    let document = parse_document(file, &text)?;
    let preview: Preview = if target.data_dir.is_none() && target.server.is_none() {
        crate::control::preview::check_alone(&document).map_err(|errors| located(file, &errors))?
    } else {
        let client = Client::connect(target).await?;
        let preview = client.send(Method::POST, "/api/v1/document/preview", &document).await?.json()?;
        client.close().await;
        preview
    };
    for warning in &preview.warnings {
        print(&format!("warning: {warning}"))?;
    }
    print(&format!("{}: a sound document.", file.display()))?;
    Ok(())
}

/// Reads a boot file, every error with the file's name.
pub fn read_boot(file: &Path) -> Result<Config, Failure> {
    Config::read(&read_text(file)?).map_err(|errors| located(file, &errors))
}

/// A boot file sets something that only a boot file can.
fn is_boot_file(text: &str) -> bool {
    let Ok(table) = text.parse::<toml::Table>() else { return false };
    table.keys().any(|key| config::FIELDS.contains(&key.as_str()))
}

fn parse_document(file: &Path, text: &str) -> Result<Value, Failure> {
    if text.trim_start().starts_with('{') {
        return read_json(text.as_bytes())
            .map_err(|error| Failure::wrong(vec![format!("{}: not JSON: {error}", file.display())]));
    }
    let table: toml::Table = text.parse().map_err(|error| located(file, &[toml_error(text, &error)]))?;
    serde_json::to_value(table).map_err(|error| Failure::wrong(vec![format!("{}: {error}", file.display())]))
}

pub fn read_text(file: &Path) -> Result<String, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::wrong(vec![format!("{} cannot be read: {error}", file.display())]);
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        std::fs::File::open(file).and_then(|f| f.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    }
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(Failure::wrong(vec![format!("{} is larger than 64 MiB; split it", file.display())]));
    }
    String::from_utf8(bytes).map_err(|_| Failure::wrong(vec![format!("{} is not UTF-8 text", file.display())]))
}

fn located(file: &Path, errors: &[FieldError]) -> Failure {
    Failure::wrong(errors.iter().map(|error| format!("{}: {error}", file.display())).collect())
}
