//! UDP: a thread for each socket, which receives, answers and sends a batch at a time.

use std::io;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::edge::{Desk, Edge};
use super::mmsg::{BATCH, Batch};
use super::respond::{Engine, Transport};

/// The pause after a receive that failed, so that a lasting fault does not take a whole core.
const PAUSE: Duration = Duration::from_millis(50);

/// One of so many batches is timed: reading the clock twice takes as long as a fiftieth of the system calls
/// of a batch, so timing each 16th cannot be noticed.
const TIMED: u32 = 16;

/// Starts the thread of one socket. It ends within the socket's receive timeout after `stop`.
pub fn spawn<E: Engine>(edge: &Arc<Edge<E>>, socket: UdpSocket, stop: CancellationToken) -> io::Result<JoinHandle<()>> {
    let desk = Desk::new(edge, "udp");
    thread::Builder::new().name("dns-udp".into()).spawn(move || serve(desk, &socket, &stop))
}

fn serve<E: Engine>(mut desk: Desk<E>, socket: &UdpSocket, stop: &CancellationToken) {
    let mut batch = Batch::default();
    let mut replies: [Vec<u8>; BATCH] = std::array::from_fn(|_| Vec::with_capacity(super::reply::MAX_UDP));
    let mut failing = false;
    let mut batches = 0_u32;
    while !stop.is_cancelled() {
        let received = batch.receive(socket);
        desk.refresh();
        match received {
            Ok(count) => {
                failing = false;
                batches = batches.wrapping_add(1);
                let begun = batches.is_multiple_of(TIMED).then(Instant::now);
                // A fault of ours costs its batch, never the thread.
                let answered =
                    catch_unwind(AssertUnwindSafe(|| answer(&mut desk, &batch, count, socket, &mut replies)));
                if let Some(begun) = begun {
                    desk.counters.time(begun.elapsed(), count);
                }
                if answered.is_err() {
                    desk.counters.faults.fetch_add(1, Relaxed);
                    error!("a batch of queries was lost to a fault in the server; report the message above");
                }
            }
            Err(error) if is_no_packet(&error) => {}
            Err(error) => {
                if !failing {
                    warn!(%error, address = ?socket.local_addr().ok(), "receiving over UDP fails; trying again");
                }
                failing = true;
                thread::sleep(PAUSE);
            }
        }
    }
}

fn answer<E: Engine>(
    desk: &mut Desk<E>,
    batch: &Batch,
    count: usize,
    socket: &UdpSocket,
    replies: &mut [Vec<u8>; BATCH],
) {
    for (at, reply) in replies.iter_mut().enumerate().take(count) {
        reply.clear();
        // Nobody receives at port 0: such a sender is forged.
        if let Some(peer) = batch.peer(at).filter(|peer| peer.port() != 0) {
            desk.respond(batch.packet(at), peer.ip(), Transport::Udp, reply);
        }
    }
    let ready = replies.iter().enumerate().take(count).filter(|(_, reply)| !reply.is_empty());
    let (failed, _) = batch.send(socket, ready.map(|(at, reply)| (at, reply.as_slice())));
    desk.counters.unsent.fetch_add(failed as u64, Relaxed);
}

/// Time-outs and signals, and the ICMP errors that Linux reports on the next receive.
fn is_no_packet(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use arc_swap::ArcSwap;

    use super::super::bind::Sockets;
    use super::super::fake::{Ask, World};
    use super::super::respond::Settings;
    use super::super::{Release, Secret};
    use super::*;

    struct Running {
        address: SocketAddr,
        edge: Arc<Edge<World>>,
        world: Arc<ArcSwap<World>>,
        released: tokio::sync::mpsc::Receiver<Release<World>>,
        stop: CancellationToken,
        threads: Vec<JoinHandle<()>>,
    }

    fn start(address: &str) -> Running {
        let world = Arc::new(ArcSwap::from_pointee(World::new()));
        let (edge, released) = Edge::new(world.clone(), Settings::new("node", Secret::new([1; 16])));
        let sockets = Sockets::bind(address.parse().unwrap(), 2).unwrap();
        let stop = CancellationToken::new();
        let threads = sockets.udp.into_iter().map(|socket| spawn(&edge, socket, stop.clone()).unwrap()).collect();
        Running { address: sockets.address, edge, world, released, stop, threads }
    }

    fn client() -> UdpSocket {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    fn exchange(socket: &UdpSocket, packet: &[u8], to: SocketAddr) -> (Vec<u8>, SocketAddr) {
        socket.send_to(packet, to).unwrap();
        let mut buffer = [0; 2048];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        (buffer[..length].to_vec(), from)
    }

    #[test]
    fn queries_are_answered_from_the_address_that_was_asked() {
        let running = start("0.0.0.0:0");
        let socket = client();
        let target = SocketAddr::new("127.0.0.77".parse().unwrap(), running.address.port());
        let (reply, from) = exchange(&socket, &Ask::of("www.test", 1).bytes(), target);
        assert_eq!((reply[3] & 15, reply[7], from), (0, 2, target));
        let (reply, _) = exchange(&socket, &Ask::of("test", 252).bytes(), target);
        assert_eq!(reply[3] & 15, 5, "AXFR goes through the general path");
    }

    #[test]
    fn every_query_of_a_burst_is_answered() {
        let running = start("127.0.0.1:0");
        let socket = client();
        for id in 0..200u8 {
            socket.send_to(&Ask::of("www.test", 1).header(0, id).bytes(), running.address).unwrap();
        }
        let mut seen = [false; 200];
        for _ in 0..200 {
            let mut buffer = [0; 512];
            socket.recv(&mut buffer).unwrap();
            seen[usize::from(buffer[0])] = true;
        }
        assert!(seen.iter().all(|&seen| seen));
    }

    #[test]
    fn a_stopped_thread_ends_and_its_counters_stay() {
        let mut running = start("127.0.0.1:0");
        let socket = client();
        exchange(&socket, &Ask::of("held.test", 1).bytes(), running.address);
        running.world.store(Arc::new(World::new()));
        exchange(&socket, &Ask::of("www.test", 1).bytes(), running.address);
        running.stop.cancel();
        running.threads.into_iter().for_each(|thread| thread.join().unwrap());
        let counters = running.edge.counters();
        let replies: u64 = counters.iter().flat_map(|each| each.replies().map(|(_, _, n)| n).collect::<Vec<_>>()).sum();
        assert_eq!((counters.len(), replies), (2, 2));
        let mut answers = 0;
        for each in &counters {
            each.take_credits(|credits| answers += credits.take().map(|(_, count)| count).sum::<u64>());
        }
        assert_eq!(answers, 2, "credits of both snapshots");
        let release = running.released.try_recv().unwrap();
        assert_eq!((release.credit.pool, release.credit.releases_hold), (Some(1), true));
        assert!(running.released.try_recv().is_err());
    }
}
