//! `export` and `import`: zones as files.

use axum::http::Method;
use serde_json::Value;

use crate::control::Published;
use crate::control::preview::Preview;

use super::client::{Client, escape};
use super::{Export, ExportFormat, Failure, Import, config_file, print};

pub async fn export(export: &Export) -> Result<(), Failure> {
    let client = Client::connect(&export.target).await?;
    let format = match export.format {
        ExportFormat::Bind => "bind",
        ExportFormat::Json => "json",
    };
    let text = client.get(&format!("/api/v1/export/{}?format={format}", escape(&export.zone))).await?.text();
    client.close().await;
    match &export.output {
        None => print(&text)?,
        Some(file) => std::fs::write(file, text)
            .map_err(|error| Failure::new(format!("{} cannot be written: {error}", file.display())))?,
    }
    Ok(())
}

pub async fn import(import: &Import) -> Result<(), Failure> {
    let text = config_file::read_text(&import.file)?;
    let client = Client::connect(&import.target).await?;
    let zone = import.zone.as_deref().map_or(String::new(), |zone| format!("&zone={}", escape(zone)));
    let path = format!("/api/v1/import?plan=true{zone}");
    let preview: Preview = client.call(Method::POST, &path, Some(text.clone().into_bytes())).await?.json()?;
    print(&preview.to_string())?;
    if !import.plan && !preview.sentences.is_empty() {
        let path = format!("/api/v1/import?message={}{zone}", escape(&import.message));
        let reply = client.call(Method::POST, &path, Some(text.into_bytes())).await?;
        let published: Published = serde_json::from_value(reply.json::<Value>()?)
            .map_err(|error| Failure::new(format!("the server's answer was not understood: {error}")))?;
        print(&format!("Published as revision {}.", published.revision))?;
    }
    client.close().await;
    Ok(())
}
