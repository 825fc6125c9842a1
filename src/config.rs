//! The boot file: sockets, paths and the node's name. Everything else is configured while running.
//! Reads text, touches nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::dns::{DEFAULT_RATE, MAX_RATE};
use crate::model::field::{FieldError, Fields};

/// The most sockets to answer on.
const MAX_SOCKETS: usize = 64;
/// The longest path or name in the file, in characters.
const MAX_TEXT: usize = 1000;

/// What `northing serve` starts with, from the file and then the command line.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub data_dir: PathBuf,
    /// UDP and TCP.
    pub dns: Vec<SocketAddr>,
    /// API and browser, plain: for this machine or a proxy.
    pub http: SocketAddr,
    /// API and browser, over TLS.
    pub https: Option<SocketAddr>,
    /// Certificate chain in PEM form; one of our own making where not set.
    pub tls_certificate: Option<PathBuf>,
    /// Its private key in PEM form.
    pub tls_key: Option<PathBuf>,
    /// This machine's name in events and in NSID answers.
    pub node: String,
    /// UDP replies a second for each client network; 0 for no limit.
    pub rate_limit: u32,
    /// A country or city database in MMDB form; the bundled one where not set.
    pub geo_location: Option<PathBuf>,
    /// An AS number database in MMDB form.
    pub geo_asn: Option<PathBuf>,
    /// What to log, e.g. `info` or `info,northing::probe=debug`.
    pub log: String,
}

/// The names of a boot file's fields.
pub const FIELDS: [&str; 11] = [
    "data_dir",
    "dns",
    "http",
    "https",
    "tls_certificate",
    "tls_key",
    "node",
    "rate_limit",
    "geo_location",
    "geo_asn",
    "log",
];

impl Default for Config {
    fn default() -> Self {
        let socket = |text: &str| text.parse().expect("a literal socket address");
        Config {
            data_dir: "/var/lib/northing".into(),
            dns: vec![socket("0.0.0.0:53"), socket("[::]:53")],
            http: socket("127.0.0.1:8053"),
            https: None,
            tls_certificate: None,
            tls_key: None,
            node: "northing".into(),
            rate_limit: DEFAULT_RATE,
            geo_location: None,
            geo_asn: None,
            log: "info".into(),
        }
    }
}

impl Config {
    /// Reads the file's text; reports everything that is wrong with it at once.
    pub fn read(text: &str) -> Result<Config, Vec<FieldError>> {
        let table: toml::Table = text.parse().map_err(|error| vec![toml_error(text, &error)])?;
        let value = serde_json::to_value(table)
            .map_err(|error| vec![FieldError::new("file", error.to_string(), "use text, numbers and lists")])?;
        let defaults = Config::default();
        let mut errors = Vec::new();
        let Some(mut fields) = Fields::of("", &value, &mut errors) else { return Err(errors) };
        let dns: Vec<Socket> = fields.list("dns", MAX_SOCKETS);
        let config = Config {
            data_dir: fields.text("data_dir", MAX_TEXT).map_or(defaults.data_dir, PathBuf::from),
            dns: if fields.has("dns") { dns.into_iter().map(|socket| socket.0).collect() } else { defaults.dns },
            http: fields.parse::<Socket>("http").map_or(defaults.http, |socket| socket.0),
            https: fields.parse::<Socket>("https").map(|socket| socket.0),
            tls_certificate: fields.text("tls_certificate", MAX_TEXT).map(PathBuf::from),
            tls_key: fields.text("tls_key", MAX_TEXT).map(PathBuf::from),
            node: fields.text("node", 63).unwrap_or(defaults.node),
            rate_limit: fields
                .number_if("rate_limit", 0..=i64::from(MAX_RATE))
                .map_or(defaults.rate_limit, |rate| rate as u32),
            geo_location: fields.text("geo_location", MAX_TEXT).map(PathBuf::from),
            geo_asn: fields.text("geo_asn", MAX_TEXT).map(PathBuf::from),
            log: fields.text("log", MAX_TEXT).unwrap_or(defaults.log),
        };
        if config.dns.is_empty() && fields.has("dns") {
            fields.error("dns", "holds no address", "give at least one such as \"0.0.0.0:53\"");
        }
        if config.tls_certificate.is_some() != config.tls_key.is_some() {
            let (has, lacks) = match config.tls_key {
                None => ("tls_certificate", "tls_key"),
                Some(_) => ("tls_key", "tls_certificate"),
            };
            fields.error(
                has,
                format!("stands without {lacks}"),
                "give both, or neither for a certificate of our own making",
            );
        }
        fields.finish();
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }
}

/// A TOML syntax error with its line, in the form of every other error.
pub fn toml_error(text: &str, error: &toml::de::Error) -> FieldError {
    let line = error.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
    FieldError::new(format!("line {line}"), error.message().replace('\n', " "), "correct the TOML there")
}

struct Socket(SocketAddr);

impl FromStr for Socket {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Socket).map_err(|_| {
            format!("{text:?} is not an address with a port; use one such as 192.0.2.1:53 or [2001:db8::1]:53")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_empty_file_gives_the_defaults() {
        assert_eq!(Config::read("").unwrap(), Config::default());
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let errors = Config::read("dns = [\"53\", \"1.2.3.4:53\"]\nhtpp = \"127.0.0.1:80\"\nnode = 7\n").unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 3, "{texts:#?}");
        assert!(texts[0].starts_with("dns[0]: \"53\" is not an address with a port"));
        assert!(texts.iter().any(|text| text.contains("did you mean http?")));
    }

    #[test]
    fn the_list_of_fields_is_whole() {
        let errors = Config::read("no_field_is_near_to_this = 1").unwrap_err();
        let known = errors[0].remedy.strip_prefix("known are: ").unwrap();
        assert_eq!(known.split(", ").collect::<BTreeSet<_>>(), BTreeSet::from(FIELDS));
    }

    #[test]
    fn broken_toml_names_its_line() {
        let errors = Config::read("node = \"a\"\nhttp = \n").unwrap_err();
        assert_eq!(errors[0].at, "line 2");
        assert_eq!(Config::read("node = \"a\"\nnode = \"b\"\n").unwrap_err()[0].at, "line 2");
    }
}
