//! One question over UDP to somebody's DNS server. What it means is the caller's.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Of an answer over UDP (DNS Flag Day 2020); a referral fits.
pub const MAX_DATAGRAM: u16 = 1232;

/// Sends `query`, and gives what `read` makes of the first datagram that it takes for the answer.
pub async fn ask<T>(server: SocketAddr, query: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    let here: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let exchange = async {
        let socket = UdpSocket::bind(here).await.ok()?;
        socket.connect(server).await.ok()?;
        socket.send(query).await.ok()?;
        let mut buffer = vec![0; usize::from(MAX_DATAGRAM)];
        loop {
            let length = socket.recv(&mut buffer).await.ok()?;
            if let Some(answer) = read(buffer.get(..length)?) {
                return Some(answer);
            }
        }
    };
    timeout(PATIENCE, exchange).await.ok()?
}
