//! The icmp check: a few echo requests, of which enough have to be answered.
//! Needs a permission of the host; without it the check is unable, never a failure.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, SurgeError};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::checker::{Failure, Trace};
use crate::model::IcmpCheck;

/// Between two echo requests of one check, where the time-out leaves room: a short burst of loss
/// should not take all of them.
const SPACING: Duration = Duration::from_millis(100);
/// Bytes of an echo request, as ping(8) sends them.
const PAYLOAD: [u8; 56] = [0; 56];

/// The sockets for echo requests, one a family, opened by the first check that needs one. A socket
/// that could not be opened is tried again by the next check, so a permission counts once granted.
#[derive(Default)]
pub(super) struct Echo {
    v4: Mutex<Option<Client>>,
    v6: Mutex<Option<Client>>,
    /// Replies are told apart by address and sequence number, so requests never share a number.
    sequence: AtomicU16,
}

impl Echo {
    pub async fn check(
        &self,
        check: &IcmpCheck,
        ip: IpAddr,
        timeout_seconds: f64,
        trace: &mut Trace,
    ) -> Result<(), Failure> {
        trace.waits_for = "echo reply";
        let client = self.client(ip)?;
        let timeout = Duration::try_from_secs_f64(timeout_seconds).unwrap_or(SPACING);
        let count = u32::from(check.count.max(1));
        let spacing = SPACING.min(timeout / (2 * count));
        let may_lose = may_lose(count, check.max_loss);
        let mut requests = JoinSet::new();
        for n in 0..count {
            let (client, sequence) = (client.clone(), self.sequence.fetch_add(1, Ordering::Relaxed));
            // Ends a little before the whole check does, so that the losses can be told.
            let (wait, patience) = (spacing * n, (timeout - spacing * n).mul_f64(0.98));
            requests.spawn(async move {
                sleep(wait).await;
                request(&client, ip, sequence, patience).await
            });
        }
        let (mut round_trips_ms, mut refused) = (Vec::new(), None);
        while let Some(reply) = requests.join_next().await {
            match reply {
                Ok(Ok(round_trip)) => round_trips_ms.push(round_trip.as_secs_f64() * 1000.0),
                Ok(Err(Failure::Unable(reason))) => return Err(Failure::Unable(reason)),
                Ok(Err(Failure::Down(reason))) => refused = Some(reason),
                Err(error) => return Err(Failure::Unable(format!("an echo request broke down: {error}"))),
            }
            if round_trips_ms.len() as u32 >= count - may_lose {
                // The spacing is ours, so the mean round trip stands for the whole check.
                let mean = round_trips_ms.iter().sum::<f64>() / round_trips_ms.len() as f64;
                trace.latency.first_byte_ms = Some(mean);
                trace.latency.total_ms = Some(mean);
                return Ok(());
            }
        }
        let lost = count - round_trips_ms.len() as u32;
        let refused = refused.map(|reason| format!(" ({reason})")).unwrap_or_default();
        Err(Failure::Down(format!(
            "{lost} of {count} echo requests lost{refused}, at most {} % may be",
            check.max_loss
        )))
    }

    fn client(&self, ip: IpAddr) -> Result<Client, Failure> {
        let (place, kind) = if ip.is_ipv4() { (&self.v4, ICMP::V4) } else { (&self.v6, ICMP::V6) };
        let mut client = place.lock();
        if let Some(client) = client.as_ref() {
            return Ok(client.clone());
        }
        let opened =
            Client::new(&Config::builder().kind(kind).build()).map_err(|error| match error.raw_os_error() {
                Some(libc::EACCES | libc::EPERM) => Failure::Unable(
                    "icmp needs CAP_NET_RAW or this group in net.ipv4.ping_group_range; grant one, or use a tcp check"
                        .into(),
                ),
                _ => Failure::Unable(format!("this machine cannot open an icmp socket ({error}); use a tcp check")),
            })?;
        Ok(client.insert(opened).clone())
    }
}

/// How many of `count` may be lost, in whole requests.
fn may_lose(count: u32, max_loss_percent: u8) -> u32 {
    count * u32::from(max_loss_percent.min(100)) / 100
}

async fn request(client: &Client, ip: IpAddr, sequence: u16, patience: Duration) -> Result<Duration, Failure> {
    let mut pinger = client.pinger(ip, PingIdentifier(rand::random())).await;
    pinger.timeout(patience);
    let (packet, round_trip) = pinger.ping(PingSequence(sequence), &PAYLOAD).await.map_err(|error| match error {
        SurgeError::IOError(error) => Failure::from(error),
        SurgeError::Timeout { .. } => Failure::Down("no reply".into()),
        other => Failure::Unable(format!("an echo request broke down: {other}")),
    })?;
    // A router's "unreachable" also answers the request; echo reply is 0 in ICMP (RFC 792) and 129
    // in ICMPv6 (RFC 4443 section 4.2).
    let answered = match packet {
        IcmpPacket::V4(packet) => packet.get_icmp_type().0 == 0,
        IcmpPacket::V6(packet) => packet.get_icmpv6_type().0 == 129,
    };
    if answered { Ok(round_trip) } else { Err(Failure::Down("destination unreachable".into())) }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::super::tests::{PATIENT, check_once, checker};
    use super::*;
    use crate::model::Check;

    #[test]
    fn the_share_of_losses_is_in_whole_requests() {
        for (count, max_loss, expected) in [(3, 50, 1), (3, 0, 0), (3, 99, 2), (10, 50, 5), (1, 50, 0), (10, 9, 0)] {
            assert_eq!(may_lose(count, max_loss), expected, "{max_loss} % of {count}");
        }
    }

    #[tokio::test]
    async fn loopback_answers_or_the_missing_permission_is_told() {
        let checker = checker();
        for ip in ["127.0.0.1", "127.0.0.2"] {
            let check = Check::Icmp(IcmpCheck { count: 3, max_loss: 0 });
            let found = check_once(&checker, ip.parse().unwrap(), check, PATIENT).await;
            match found.verdict {
                Verdict::Up => assert!(found.latency.total_ms.unwrap() < 1000.0),
                Verdict::Unable(reason) => assert!(reason.starts_with("icmp needs CAP_NET_RAW"), "{reason}"),
                Verdict::Down(reason) => panic!("loopback does not answer: {reason}"),
            }
        }
    }
}
