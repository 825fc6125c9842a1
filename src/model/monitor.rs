//! Monitors: what is asked of an endpoint, how often, and how many answers decide.

use serde::{Deserialize, Serialize};

use super::field::Fields;
use super::rdata::Rdata;
use super::zone::RecordType;
use super::{Meta, Name};

/// The most extra headers of an HTTP check.
pub const MAX_HEADERS: usize = 8;
/// The longest text to send or to expect, in characters.
const MAX_TEXT: usize = 1000;

/// A health check. The same check of the same address runs once, however many pools name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Monitor {
    #[serde(flatten)]
    pub meta: Meta,
    #[serde(flatten)]
    pub check: Check,
    /// Seconds between checks.
    pub interval: u32,
    /// Seconds until a check without an answer has failed; at most `interval`.
    pub timeout: f64,
    /// Immediate re-probes, one second apart, before a failure counts.
    pub confirm: u8,
    /// Counted failures in a row until Down.
    pub fail_after: u8,
    /// Successes in a row until Up.
    pub recover_after: u8,
    /// Slower than this is a failure.
    pub max_latency_ms: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Check {
    Http(HttpCheck),
    Https(HttpCheck),
    Tcp(TcpCheck),
    Icmp(IcmpCheck),
    Dns(DnsCheck),
}

/// A request to the endpoint's address; up is an expected status and, if set, text in the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HttpCheck {
    pub port: u16,
    pub method: Method,
    pub path: String,
    /// Host header and TLS server name; the address itself where it is not set.
    pub host: Option<String>,
    pub headers: Vec<Header>,
    /// The first and the last status that is up.
    #[schema(value_type = String, example = "200-299")]
    pub expect_status: StatusRange,
    /// Text that the first 64 KiB of the body must contain.
    pub expect_body: Option<String>,
    /// Follow redirects, at most 3, on the same address.
    pub follow: bool,
    pub verify_tls: bool,
    /// Warn this many days before the certificate ends.
    pub cert_warn_days: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Get,
    Head,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Header {
    pub name: String,
    /// Often a credential: only editors and admins are given it.
    pub value: String,
}

/// `200-299`, or one status such as `204`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    pub first: u16,
    pub last: u16,
}

/// Connects; then sends `send` and waits for `expect`, where set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TcpCheck {
    pub port: u16,
    pub send: Option<String>,
    pub expect: Option<String>,
}

/// `count` echo requests; up when at most `max_loss` percent are lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IcmpCheck {
    pub count: u8,
    pub max_loss: u8,
}

/// A query over UDP; up is NOERROR with at least one record, or with `expect` among the records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DnsCheck {
    pub port: u16,
    #[schema(value_type = String)]
    pub qname: Name,
    #[schema(value_type = String)]
    pub qtype: RecordType,
    /// In presentation form.
    pub expect: Option<String>,
}

impl std::str::FromStr for StatusRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a status; use one such as 200, or a range such as 200-299");
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let status = |part: &str| part.trim().parse().ok().filter(|n| (100..=599).contains(n)).ok_or_else(wrong);
        let range = StatusRange { first: status(first)?, last: status(last)? };
        if range.first <= range.last { Ok(range) } else { Err(wrong()) }
    }
}

impl std::fmt::Display for StatusRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

super::place::serde_as_text!(StatusRange);

impl Monitor {
    pub(super) fn read(meta: Meta, fields: &mut Fields) -> Option<Self> {
        let check = Check::read(fields);
        let interval = fields.number("interval", 1..=3600, 10) as u32;
        let timeout = fields.decimal_if("timeout", 0.2..=3600.0).unwrap_or(f64::from(interval).min(3.0));
        if timeout > f64::from(interval) {
            fields.error(
                "timeout",
                format!("{timeout} s is longer than the interval of {interval} s"),
                "shorten it, or lengthen the interval",
            );
        }
        let confirm = fields.number("confirm", 0..=3, 1) as u8;
        let fail_after = fields.number("fail_after", 1..=10, 3) as u8;
        let recover_after = fields.number("recover_after", 1..=10, 2) as u8;
        let max_latency_ms = fields.number_if("max_latency_ms", 1..=60_000).map(|n| n as u32);
        Some(Monitor { meta, check: check?, interval, timeout, confirm, fail_after, recover_after, max_latency_ms })
    }

    /// Worst seconds from the first failed check to Down: the checks in between, each re-probe and
    /// each time-out taken in full.
    pub fn worst_detection_seconds(&self) -> f64 {
        let reprobes = f64::from(self.confirm) * (1.0 + self.timeout);
        f64::from(self.interval) * f64::from(self.fail_after) + self.timeout + reprobes
    }
}

impl Check {
    /// The word of field `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Check::Http(_) => "http",
            Check::Https(_) => "https",
            Check::Tcp(_) => "tcp",
            Check::Icmp(_) => "icmp",
            Check::Dns(_) => "dns",
        }
    }

    fn read(fields: &mut Fields) -> Option<Self> {
        let kind = fields.text("type", 16);
        match kind.as_deref() {
            Some("http") => Some(Check::Http(HttpCheck::read(fields, 80)?)),
            Some("https") => Some(Check::Https(HttpCheck::read(fields, 443)?)),
            Some("tcp") => {
                if !fields.has("port") {
                    fields.error("port", "is missing", "give the port to connect to, such as 443");
                }
                let port = fields.number("port", 1..=65_535, 0) as u16;
                Some(Check::Tcp(TcpCheck {
                    port,
                    send: fields.verbatim("send", MAX_TEXT),
                    expect: fields.verbatim("expect", MAX_TEXT),
                }))
            }
            Some("icmp") => {
                let count = fields.number("count", 1..=10, 3) as u8;
                let max_loss = fields.number("max_loss", 0..=99, 50) as u8;
                Some(Check::Icmp(IcmpCheck { count, max_loss }))
            }
            Some("dns") => DnsCheck::read(fields).map(Check::Dns),
            Some(other) => {
                fields.error("type", format!("{other:?} is not a kind of check"), "use http, https, tcp, icmp or dns");
                None
            }
            None => {
                if !fields.has("type") {
                    fields.error("type", "is missing", "use http, https, tcp, icmp or dns");
                }
                None
            }
        }
    }
}

impl HttpCheck {
    fn read(fields: &mut Fields, default_port: i64) -> Option<Self> {
        let port = fields.number("port", 1..=65_535, default_port) as u16;
        let method = fields.word("method");
        let path = fields.text("path", MAX_TEXT).unwrap_or_else(|| "/".into());
        if !path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic()) {
            fields.error(
                "path",
                format!("{path:?} is not a path"),
                "start it with / and escape what is not plain ASCII",
            );
        }
        let host = fields.text("host", 255);
        let headers = fields.objects("headers", 0..=MAX_HEADERS, |fields| {
            let (name, value) = (fields.text("name", 100), fields.text("value", MAX_TEXT));
            // Whoever may not read the values does not send them back as none.
            if !fields.has("value") {
                fields.error("value", "is missing", "give one, for example text/html");
            }
            let (name, value) = (name?, value?);
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                fields.error("name", format!("{name:?} is not a header name"), "use letters, digits and '-'");
            }
            if !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
                fields.error("value", "has characters that no header may have", "use plain ASCII");
            }
            Some(Header { name, value })
        });
        let expect_status = fields.parse("expect_status").unwrap_or(StatusRange { first: 200, last: 299 });
        let expect_body = fields.text("expect_body", MAX_TEXT);
        let follow = fields.flag("follow", false);
        let verify_tls = fields.flag("verify_tls", true);
        let cert_warn_days = fields.number("cert_warn_days", 0..=365, 14) as u16;
        Some(HttpCheck {
            port,
            method,
            path,
            host,
            headers,
            expect_status,
            expect_body,
            follow,
            verify_tls,
            cert_warn_days,
        })
    }
}

impl DnsCheck {
    fn read(fields: &mut Fields) -> Option<Self> {
        let port = fields.number("port", 1..=65_535, 53) as u16;
        let qname = fields.required("qname", "example.com.");
        let qtype = fields.parse("qtype").unwrap_or(RecordType::A);
        let expect = fields.text("expect", MAX_TEXT);
        if let Some(Err(error)) = expect.as_deref().map(|text| Rdata::parse(qtype, text, None)) {
            fields.error("expect", error, format!("write it as in a zone file, for type {qtype}"));
        }
        Some(DnsCheck { port, qname: qname?, qtype, expect })
    }
}
