//! Sockets for one address: as many UDP sockets as there are threads, and one TCP listener, on the same port.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::mmsg;

/// Connections that wait to be accepted. The kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 4096;
/// The receive buffer that each UDP socket asks for: half a second of a flood while a thread is descheduled.
/// The kernel cuts it to net.core.rmem_max.
const RECEIVE_BUFFER: usize = 4 << 20;
/// How long a UDP thread waits before it looks whether it is to stop.
pub const RECEIVE_TIMEOUT: Duration = Duration::from_millis(250);
/// Port 0 takes whatever UDP gets; TCP may have that port in use.
const PORT_TRIES: usize = 32;

/// All sockets of one address.
#[derive(Debug)]
pub struct Sockets {
    /// With the port that was found for port 0.
    pub address: SocketAddr,
    pub udp: Vec<UdpSocket>,
    pub tcp: TcpListener,
}

impl Sockets {
    /// Binds `threads` UDP sockets and a TCP listener; port 0 finds one that is free for both.
    pub fn bind(address: SocketAddr, threads: usize) -> io::Result<Self> {
        let mut last = None;
        for _ in 0..if address.port() == 0 { PORT_TRIES } else { 1 } {
            match Self::bind_once(address, threads) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
                done => return done,
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
    }

    fn bind_once(mut address: SocketAddr, threads: usize) -> io::Result<Self> {
        let first = udp(address)?;
        address.set_port(first.local_addr()?.port());
        // Only TCP tells whether another server has the port: UDP sockets share it.
        let tcp = tcp(address)?;
        let mut sockets = vec![first];
        for _ in 1..threads {
            sockets.push(udp(address)?);
        }
        Ok(Sockets { address, udp: sockets, tcp })
    }
}

fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(true)?;
    // A smaller buffer than wanted serves as well.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.set_read_timeout(Some(RECEIVE_TIMEOUT))?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    mmsg::prepare(&socket)?;
    Ok(socket)
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_0_finds_one_port_for_all_sockets() {
        let sockets = Sockets::bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert_ne!(sockets.address.port(), 0);
        assert_eq!(sockets.tcp.local_addr().unwrap(), sockets.address);
        assert_eq!(sockets.udp.len(), 3);
        assert!(sockets.udp.iter().all(|socket| socket.local_addr().unwrap() == sockets.address));
    }

    #[test]
    fn a_port_in_use_is_an_error() {
        let first = Sockets::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        assert_eq!(Sockets::bind(first.address, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
