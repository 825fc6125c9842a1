//! Zone files (RFC 1035 section 5): import with every error by line, canonical export.

mod changes;
mod export;
mod generate;
mod import;

pub use changes::{Changes, DefaultTtl, Standby, text};
pub use export::{Now, Rules, export, export_json};
pub use import::{Imported, import, import_sound};

#[cfg(test)]
mod tests;
