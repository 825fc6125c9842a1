//! The tcp check: connects, sends, and looks for the expected text.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::checker::{Failure, Trace, connect};
use crate::model::TcpCheck;

/// How much of a server's text is looked at (the same for bodies of HTTP checks).
pub(super) const MAX_READ: usize = 64 * 1024;

pub(super) async fn check(check: &TcpCheck, ip: IpAddr, trace: &mut Trace) -> Result<(), Failure> {
    let mut stream = connect(SocketAddr::new(ip, check.port), trace).await?;
    if let Some(send) = &check.send {
        stream.write_all(send.as_bytes()).await?;
    }
    let Some(expect) = &check.expect else { return Ok(()) };
    let mut search = Search::new(expect);
    let mut chunk = vec![0; 4096];
    loop {
        let length = stream.read(&mut chunk).await?;
        trace.latency.first_byte_ms = trace.latency.first_byte_ms.or(trace.elapsed_ms());
        match search.push(&chunk[..length]) {
            Searched::Found => return Ok(()),
            Searched::Full => return Err(Failure::Down(format!("the first 64 KiB lack '{expect}'"))),
            Searched::NotYet if length == 0 => {
                return Err(Failure::Down(format!("connection closed without '{expect}'")));
            }
            Searched::NotYet => trace.waits_for = "expected text",
        }
    }
}

/// Looks for a text in what arrives piece by piece, each byte once.
pub(super) struct Search<'a> {
    wanted: &'a [u8],
    seen: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Searched {
    Found,
    NotYet,
    /// As much as is looked at, without the text.
    Full,
}

impl<'a> Search<'a> {
    pub fn new(wanted: &'a str) -> Self {
        Search { wanted: wanted.as_bytes(), seen: Vec::new() }
    }

    pub fn push(&mut self, bytes: &[u8]) -> Searched {
        let room = MAX_READ - self.seen.len();
        let from = self.seen.len().saturating_sub(self.wanted.len());
        self.seen.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let mut windows = self.seen[from..].windows(self.wanted.len().max(1));
        if self.wanted.is_empty() || windows.any(|window| window == self.wanted) {
            Searched::Found
        } else if self.seen.len() == MAX_READ {
            Searched::Full
        } else {
            Searched::NotYet
        }
    }
}
