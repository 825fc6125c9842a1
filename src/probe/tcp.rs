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
    // Reasons are single lines.
    let expect = expect.escape_debug();
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

    /// What has arrived so far.
    pub fn seen(&self) -> &[u8] {
        &self.seen
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::super::tests::{IMPATIENT, PATIENT, check_once, checker, closed_port, down, serve};
    use super::super::{Finding, Verdict};
    use super::*;
    use crate::model::Check;

    async fn ask(server: SocketAddr, send: Option<&str>, expect: Option<&str>, timeout: f64) -> Finding {
        let (send, expect) = (send.map(Into::into), expect.map(Into::into));
        let check = Check::Tcp(TcpCheck { port: server.port(), send, expect });
        check_once(&checker(), server.ip(), check, timeout).await
    }

    async fn echo(mut stream: TcpStream) {
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    }

    #[tokio::test]
    async fn a_connection_is_enough_where_nothing_is_expected() {
        let found = ask(serve(echo).await, None, None, PATIENT).await;
        assert_eq!(found.verdict, Verdict::Up);
        let latency = found.latency;
        assert!(latency.connect_ms.unwrap() <= latency.total_ms.unwrap() && latency.first_byte_ms.is_none());
    }

    #[tokio::test]
    async fn what_is_sent_comes_back_as_expected() {
        let found = ask(serve(echo).await, Some("PING\n"), Some("ING"), PATIENT).await;
        assert_eq!(found.verdict, Verdict::Up);
        assert!(found.latency.first_byte_ms.is_some());
    }

    #[tokio::test]
    async fn each_way_to_fail_has_its_words() {
        assert_eq!(ask(closed_port().await, None, None, PATIENT).await.verdict, down("connection refused"));

        let closing = serve(|stream| async { drop(stream) }).await;
        let found = ask(closing, None, Some("ready"), PATIENT).await;
        assert_eq!(found.verdict, down("connection closed without 'ready'"));

        let resetting = serve(|stream: TcpStream| async move { stream.set_zero_linger().unwrap() }).await;
        let found = ask(resetting, None, Some("ready"), PATIENT).await;
        assert_eq!(found.verdict, down("connection reset"));

        let silent = serve(|stream| async {
            std::future::pending::<()>().await;
            drop(stream)
        })
        .await;
        let found = ask(silent, None, Some("ready"), IMPATIENT).await;
        assert_eq!(found.verdict, down("no answer within 0.3 s"));

        let wrong = ask(serve(echo).await, Some("busy"), Some("ready"), IMPATIENT).await;
        assert_eq!(wrong.verdict, down("no expected text within 0.3 s"));

        let endless =
            serve(|mut stream: TcpStream| async move { while stream.write_all(&[b'a'; 4096]).await.is_ok() {} });
        let found = ask(endless.await, None, Some("ready"), PATIENT).await;
        assert_eq!(found.verdict, down("the first 64 KiB lack 'ready'"));
    }

    #[test]
    fn a_text_is_found_across_pieces_and_only_in_the_first_64_kib() {
        let mut search = Search::new("ready");
        assert_eq!(search.push(b"not rea"), Searched::NotYet);
        assert_eq!(search.push(b"d"), Searched::NotYet);
        assert_eq!(search.push(b"y"), Searched::Found);
        assert_eq!(Search::new("").push(b""), Searched::Found);
        let mut search = Search::new("ready");
        assert_eq!(search.push(&vec![b'a'; MAX_READ - 3]), Searched::NotYet);
        assert_eq!(search.push(b"ready"), Searched::Full);
    }
}
