//! All sockets of all addresses at work, from start to the last reply.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bind::Sockets;
use super::edge::Edge;
use super::respond::Engine;
use super::tcp::{Limits, Server};
use super::udp;

/// Threads and tasks that answer.
#[derive(Debug)]
pub struct Listeners {
    addresses: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
    tasks: JoinSet<()>,
}

impl Listeners {
    /// Begins to answer on all sockets until `stop`. Needs a tokio runtime for TCP.
    pub fn start<E: Engine>(
        edge: &Arc<Edge<E>>,
        sockets: Vec<Sockets>,
        limits: Limits,
        stop: &CancellationToken,
    ) -> io::Result<Self> {
        let server = Server::new(edge, limits, stop.clone());
        let mut listeners = Listeners { addresses: Vec::new(), threads: Vec::new(), tasks: JoinSet::new() };
        for of_address in sockets {
            listeners.addresses.push(of_address.address);
            listeners.tasks.spawn(server.clone().serve(TcpListener::from_std(of_address.tcp)?));
            for socket in of_address.udp {
                listeners.threads.push(udp::spawn(edge, socket, stop.clone())?);
            }
        }
        Ok(listeners)
    }

    /// The addresses with the ports that were found for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits for the end after `stop`: UDP within a quarter of a second, TCP when what was received is answered.
    pub async fn stopped(mut self) {
        while self.tasks.join_next().await.is_some() {}
        // The threads look for the end as often as the tasks above take at most; joining does not hold a runtime up.
        let joined =
            tokio::task::spawn_blocking(move || self.threads.into_iter().for_each(|thread| drop(thread.join())));
        let _ = joined.await;
    }
}

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpStream, UdpSocket};

    use super::super::fake::{Ask, World};
    use super::super::respond::Settings;
    use super::super::{Secret, Sockets};
    use super::*;

    #[tokio::test]
    async fn every_address_answers_over_udp_and_tcp_until_it_is_stopped() {
        let world = Arc::new(ArcSwap::from_pointee(World::new()));
        let (edge, _) = Edge::new(world, Settings::new("node", Secret::new([1; 16])));
        let bind = |address: &str| Sockets::bind(address.parse().unwrap(), 2).unwrap();
        let stop = CancellationToken::new();
        let sockets = vec![bind("127.0.0.1:0"), bind("[::1]:0")];
        let listeners = Listeners::start(&edge, sockets, Limits::default(), &stop).unwrap();
        let query = Ask::of("www.test", 1).bytes();
        for &address in listeners.addresses() {
            let udp = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).await.unwrap();
            udp.send_to(&query, address).await.unwrap();
            let mut datagram = [0; 512];
            let length = udp.recv(&mut datagram).await.unwrap();
            let mut tcp = TcpStream::connect(address).await.unwrap();
            tcp.write_all(&[&(query.len() as u16).to_be_bytes(), &query[..]].concat()).await.unwrap();
            let mut reply = vec![0; usize::from(tcp.read_u16().await.unwrap())];
            tcp.read_exact(&mut reply).await.unwrap();
            assert_eq!(reply, datagram[..length]);
        }
        stop.cancel();
        let addresses = listeners.addresses().to_vec();
        listeners.stopped().await;
        for address in addresses {
            Sockets::bind(address, 1).unwrap();
        }
    }
}
