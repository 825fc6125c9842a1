//! TCP: pipelined queries behind two bytes of length, answered in order, many to a write (RFC 7766, RFC 9210).
//! An idle connection owns no buffer. Every wait has an end: for the next query, for the rest of a query, and
//! for a client that does not read.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::connections::{Connections, Place};
use super::edge::{Desk, Edge};
use super::respond::{Engine, Transport};

/// How much one connection may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections in all. One more closes the one that was idle longest.
    pub connections: usize,
    /// Connections of one client network (IPv4 /24, IPv6 /48), likewise.
    pub per_client: usize,
    /// Without a query.
    pub idle: Duration,
    /// Without a query, when connections get scarce.
    pub idle_when_crowded: Duration,
    /// From the first byte of a query to its last.
    pub query: Duration,
    /// For the client to take what it asked for.
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 10_000,
            per_client: 100,
            idle: Duration::from_secs(10),
            idle_when_crowded: Duration::from_secs(2),
            query: Duration::from_secs(5),
            write: Duration::from_secs(10),
        }
    }
}

/// The pause after an accept that failed, most often for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// What is read at once, into a buffer that all connections of a thread share.
const READ: usize = 16 * 1024;
/// Replies are sent when this much has come together: little enough to keep for a client that is slow to read.
const WRITE: usize = 64 * 1024;
/// Reads after which other connections have their turn.
const MAX_READS: usize = 16;
/// How long connections have to take their last replies when the server stops.
const DRAIN: Duration = Duration::from_secs(5);
/// How long a desk without queries may keep an old snapshot, which can hold a lot of memory.
const REFRESH: Duration = Duration::from_secs(1);
/// Desks that connections share, so that threads seldom meet at one.
const DESKS: usize = 8;

/// Serves the connections of all listeners.
pub struct Server<E> {
    desks: [Mutex<Desk<E>>; DESKS],
    connections: Connections,
    limits: Limits,
    stop: CancellationToken,
}

impl<E: Engine> Server<E> {
    pub fn new(edge: &Arc<Edge<E>>, limits: Limits, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Server {
            desks: std::array::from_fn(|_| Mutex::new(Desk::new(edge, "tcp"))),
            connections: Connections::new(limits.connections, limits.per_client),
            limits,
            stop,
        })
    }

    /// Serves one listener until the server is told to stop; then answers what was received, and returns when all
    /// of the listener's connections are closed.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let tracker = TaskTracker::new();
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = sleep(REFRESH) => {
                    self.refresh_desks();
                    continue;
                }
                () = self.stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    self.admit(stream, peer, &tracker);
                }
                Err(error) => {
                    if !failing {
                        warn!(%error, "accepting TCP connections fails; closing idle ones and trying again");
                    }
                    failing = true;
                    self.connections.evict_idlest();
                    sleep(PAUSE).await;
                }
            }
        }
        // Whoever was connected by the kernel already has been promised an answer.
        while let Ok(Ok((stream, peer))) = timeout(Duration::ZERO, listener.accept()).await {
            self.admit(stream, peer, &tracker);
        }
        drop(listener);
        tracker.close();
        if timeout(DRAIN, tracker.wait()).await.is_err() {
            warn!("some TCP clients did not take their last replies in {} s; closing them", DRAIN.as_secs());
        }
    }

    /// Desks that nobody comes to let go of old snapshots, too; one in use does so itself.
    fn refresh_desks(&self) {
        self.desks.iter().filter_map(Mutex::try_lock).for_each(|mut desk| desk.refresh());
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, tracker: &TaskTracker) {
        let place = self.connections.admit(peer.ip());
        let connection = Connection { server: self.clone(), stream, client: peer.ip(), place, partial: Vec::new() };
        tracker.spawn(connection.run());
    }

    fn idle(&self) -> Duration {
        if self.connections.is_crowded() { self.limits.idle_when_crowded } else { self.limits.idle }
    }
}

struct Connection<E> {
    server: Arc<Server<E>>,
    stream: TcpStream,
    client: IpAddr,
    place: Place,
    /// The beginning of a query whose rest has not come.
    partial: Vec<u8>,
}

/// Why reading paused.
enum Pause {
    /// All that came is read.
    Drained,
    /// There are replies enough to send; more may be there to read.
    Full,
    /// The client has said all, or the connection is broken.
    Over,
}

impl<E: Engine> Connection<E> {
    async fn run(mut self) {
        let _ = self.stream.set_nodelay(true);
        let mut begun = Instant::now();
        loop {
            let deadline = begun + if self.partial.is_empty() { self.server.idle() } else { self.server.limits.query };
            let stopped = tokio::select! {
                ready = self.stream.readable() => match ready {
                    Ok(()) => false,
                    Err(_) => return,
                },
                () = self.server.stop.cancelled() => true,
                () = self.place.evicted() => return,
                () = sleep_until(deadline) => return,
            };
            match self.answer(&mut begun).await {
                Some(Pause::Over) => break,
                None => {
                    // The kernel must not keep for minutes what nobody takes.
                    let _ = self.stream.set_zero_linger();
                    return;
                }
                Some(_) if stopped => break,
                Some(_) => {}
            }
        }
        // The end of our half says that no reply was lost.
        let _ = timeout(PAUSE, self.stream.shutdown()).await;
    }

    /// Reads, answers and writes until all that came is answered; `None` when the client does not take it.
    async fn answer(&mut self, begun: &mut Instant) -> Option<Pause> {
        loop {
            let mut replies = Vec::new();
            let waited_for = !self.partial.is_empty();
            let pause = self.read(&mut replies);
            if !replies.is_empty() {
                self.place.touch();
                *begun = Instant::now();
                self.write(&replies).await?;
            } else if !waited_for && !self.partial.is_empty() {
                *begun = Instant::now();
            }
            if !matches!(pause, Pause::Full) {
                return Some(pause);
            }
            yield_now().await;
        }
    }

    async fn write(&self, replies: &[u8]) -> Option<()> {
        let deadline = Instant::now() + self.server.limits.write;
        let mut rest = replies;
        while !rest.is_empty() {
            match self.stream.try_write(rest) {
                Ok(0) => return None,
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::select! {
                    ready = self.stream.writable() => ready.ok()?,
                    () = self.place.evicted() => return None,
                    () = sleep_until(deadline) => return None,
                },
                Err(_) => return None,
            }
        }
        Some(())
    }

    /// Reads what is there and answers it, without waiting.
    fn read(&mut self, replies: &mut Vec<u8>) -> Pause {
        thread_local! {
            static BUFFER: RefCell<Box<[u8; READ]>> = RefCell::new(Box::new([0; READ]));
        }
        BUFFER.with_borrow_mut(|buffer| {
            for _ in 0..MAX_READS {
                match self.stream.try_read(&mut buffer[..]) {
                    Ok(0) => return Pause::Over,
                    Ok(length) => self.take(&buffer[..length], replies),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Pause::Drained,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return Pause::Over,
                }
                if replies.len() >= WRITE {
                    break;
                }
            }
            Pause::Full
        })
    }

    /// Answers all whole queries among the bytes, and keeps the rest.
    fn take(&mut self, bytes: &[u8], replies: &mut Vec<u8>) {
        let mut desk = self.server.desks[self.place.number() as usize % DESKS].lock();
        desk.refresh();
        let transport = Transport::Tcp { idle: self.server.idle() };
        let mut reply = Vec::new();
        let mut rest = bytes;
        while let Some(query) = next_query(&mut self.partial, &mut rest) {
            desk.respond(&query, self.client, transport, &mut reply);
            if !reply.is_empty() {
                replies.extend_from_slice(&(reply.len() as u16).to_be_bytes());
                replies.extend_from_slice(&reply);
            }
        }
    }
}

/// The next whole query, without its length, from what was kept and what is left to read; else keeps all of it.
fn next_query<'b>(partial: &mut Vec<u8>, rest: &mut &'b [u8]) -> Option<Cow<'b, [u8]>> {
    if partial.is_empty()
        && let Some((length, after)) = rest.split_first_chunk()
        && let Some((query, next)) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))
    {
        *rest = next;
        return Some(Cow::Borrowed(query));
    }
    while !rest.is_empty() {
        let wanted = length_with_prefix(partial);
        let (part, next) = rest.split_at(rest.len().min(wanted - partial.len()));
        partial.extend_from_slice(part);
        *rest = next;
        if partial.len() >= 2 && partial.len() == length_with_prefix(partial) {
            let mut query = std::mem::take(partial);
            query.drain(..2);
            return Some(Cow::Owned(query));
        }
    }
    None
}

/// What has to come together: the length first, then as much as it says.
fn length_with_prefix(partial: &[u8]) -> usize {
    2 + partial.first_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;
    use tokio::io::AsyncReadExt;

    use super::super::fake::{Ask, World};
    use super::super::respond::Settings;
    use super::super::{Secret, Sockets};
    use super::*;

    fn framed(packet: &[u8]) -> Vec<u8> {
        [&(packet.len() as u16).to_be_bytes(), packet].concat()
    }

    async fn read_reply(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
        let mut reply = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut reply).await?;
        Ok(reply)
    }

    struct Running {
        address: SocketAddr,
        stop: CancellationToken,
        server: tokio::task::JoinHandle<()>,
    }

    async fn start(limits: Limits) -> Running {
        let world = Arc::new(ArcSwap::from_pointee(World::new()));
        let (edge, _) = Edge::new(world, Settings::new("node", Secret::new([1; 16])));
        let sockets = Sockets::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let stop = CancellationToken::new();
        let listener = TcpListener::from_std(sockets.tcp).unwrap();
        let server = tokio::spawn(Server::new(&edge, limits, stop.clone()).serve(listener));
        Running { address: sockets.address, stop, server }
    }

    #[test]
    fn queries_come_whole_out_of_any_pieces() {
        let queries: [&[u8]; 4] = [b"one", b"", b"three", &[7; 300]];
        let stream: Vec<u8> = queries.iter().flat_map(|query| framed(query)).collect();
        for size in 1..=stream.len() {
            let (mut partial, mut seen) = (Vec::new(), Vec::new());
            for mut piece in stream.chunks(size) {
                while let Some(query) = next_query(&mut partial, &mut piece) {
                    seen.push(query.into_owned());
                }
            }
            assert_eq!(seen, queries, "pieces of {size}");
            assert!(partial.is_empty());
        }
    }

    #[tokio::test]
    async fn pipelined_queries_of_one_write_are_all_answered_in_order() {
        let running = start(Limits::default()).await;
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let queries: Vec<u8> =
            (0..200u8).flat_map(|id| framed(&Ask::of("many.test", 1).header(0, id).bytes())).collect();
        stream.write_all(&queries).await.unwrap();
        for id in 0..200u8 {
            let reply = read_reply(&mut stream).await.unwrap();
            assert_eq!((reply[0], reply[7]), (id, 100));
        }
    }

    #[tokio::test]
    async fn a_stopping_server_answers_what_it_received() {
        let running = start(Limits::default()).await;
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let queries: Vec<u8> =
            (0..200u8).flat_map(|id| framed(&Ask::of("www.test", 1).header(0, id).bytes())).collect();
        stream.write_all(&queries).await.unwrap();
        running.stop.cancel();
        for id in 0..200u8 {
            assert_eq!(read_reply(&mut stream).await.unwrap()[0], id);
        }
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        running.server.await.unwrap();
        assert!(TcpStream::connect(running.address).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn idle_and_slow_clients_are_closed_in_time() {
        let running = start(Limits::default()).await;
        let query = framed(&Ask::of("www.test", 1).bytes());
        let mut idle = TcpStream::connect(running.address).await.unwrap();
        idle.write_all(&query).await.unwrap();
        read_reply(&mut idle).await.unwrap();
        let begun = Instant::now();
        assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(begun.elapsed().as_secs(), 10);

        let mut slow = TcpStream::connect(running.address).await.unwrap();
        slow.write_all(&query[..3]).await.unwrap();
        let begun = Instant::now();
        assert_eq!(slow.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(begun.elapsed().as_secs(), 5);
    }

    #[tokio::test]
    async fn a_newcomer_takes_the_place_of_the_idlest() {
        let running = start(Limits { per_client: 2, ..Limits::default() }).await;
        let query = framed(&Ask::of("www.test", 1).bytes());
        let mut streams = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(running.address).await.unwrap();
            stream.write_all(&query).await.unwrap();
            read_reply(&mut stream).await.unwrap();
            streams.push(stream);
        }
        assert_eq!(streams[0].read(&mut [0; 1]).await.unwrap(), 0);
        for stream in &mut streams[1..] {
            stream.write_all(&query).await.unwrap();
            read_reply(stream).await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_idle_connection_is_small() {
        let world = Arc::new(ArcSwap::from_pointee(World::new()));
        let (edge, _) = Edge::new(world, Settings::new("node", Secret::new([1; 16])));
        let server = Server::new(&edge, Limits::default(), CancellationToken::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let place = server.connections.admit(address.ip());
        let connection = Connection { server, stream, client: address.ip(), place, partial: Vec::new() };
        assert!(size_of_val(&connection.run()) < 1024);
    }
}
