//! The command that asks the server itself what the simulator asked: where dig reaches it from where the browser
//! is. Pure.

use std::net::{IpAddr, SocketAddr};

use crate::answer::{ClientSource, Explained};
use crate::control::simulate::{At, Simulation};

/// The port that dig asks by itself.
const DNS_PORT: u16 = 53;

/// A socket on which the server answers, as somebody reaches it.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    host: String,
    port: u16,
}

impl Server {
    /// Of the sockets that are listened on. A socket of all addresses is reached where the browser reached the
    /// pages, which was at `host`.
    pub fn reached(sockets: &[SocketAddr], host: Option<&str>) -> Option<Server> {
        let browsed: Option<IpAddr> = host.and_then(|host| host.parse().ok());
        let same = || sockets.iter().find(|socket| Some(socket.ip()) == browsed);
        let public = || sockets.iter().find(|socket| !socket.ip().is_loopback() && !socket.ip().is_unspecified());
        let named = |socket: &SocketAddr| Server { host: socket.ip().to_string(), port: socket.port() };
        if let Some(socket) = same().or_else(public) {
            return Some(named(socket));
        }
        let is_everywhere = |socket: &&SocketAddr| {
            socket.ip().is_unspecified() && browsed.is_none_or(|browsed| browsed.is_ipv4() == socket.is_ipv4())
        };
        let everywhere = sockets.iter().find(is_everywhere);
        match (host.filter(|host| is_plain(host)), everywhere) {
            (Some(host), Some(socket)) => Some(Server { host: host.to_owned(), port: socket.port() }),
            _ => sockets.iter().find(|socket| socket.ip().is_loopback()).map(named),
        }
    }
}

/// What a shell takes as one word: it comes from the browser's request.
fn is_plain(host: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-');
    !host.is_empty() && !host.starts_with('-') && host.chars().all(plain)
}

/// Asks the same for a group of clients; nothing where dig cannot: it asks the live server as it is, and stands for a
/// client only by the client's subnet.
pub fn dig(server: &Server, simulation: &Simulation, group: &Explained) -> Option<String> {
    let steering = group.trace.steering.as_ref();
    let by_resolver = steering.is_some_and(|steering| steering.client.source == ClientSource::Resolver);
    if asks_otherwise(simulation) || by_resolver {
        return None;
    }
    let network = group.networks.first().filter(|_| steering.is_some());
    let (name, rtype) = (group.trace.name.trim_end_matches('.'), simulation.rtype.to_string());
    Some(command(server, if name.is_empty() { "." } else { name }, &rtype, network.map(ToString::to_string)))
}

/// True for what only the simulator can ask.
pub fn asks_otherwise(simulation: &Simulation) -> bool {
    simulation.at != At::Live || !simulation.down.is_empty()
}

fn command(server: &Server, name: &str, rtype: &str, subnet: Option<String>) -> String {
    let port = if server.port == DNS_PORT { String::new() } else { format!(" -p {}", server.port) };
    let subnet = subnet.map_or(String::new(), |subnet| format!(" +subnet={subnet}"));
    format!("dig @{}{port} {name} {rtype}{subnet}", server.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dig_goes_where_the_server_is_reached() {
        for (sockets, host, command_begins) in [
            (&["192.0.2.1:53"][..], Some("admin.example.com"), Some("dig @192.0.2.1 www")),
            (&["127.0.0.1:5353"], Some("127.0.0.1"), Some("dig @127.0.0.1 -p 5353 www")),
            (&["0.0.0.0:53", "[::]:53"], Some("ns1.example.com"), Some("dig @ns1.example.com www")),
            (&["0.0.0.0:5353"], Some("192.0.2.7"), Some("dig @192.0.2.7 -p 5353 www")),
            (&["0.0.0.0:53", "[::]:5353"], Some("2001:db8::1"), Some("dig @2001:db8::1 -p 5353 www")),
            (&["127.0.0.1:53", "192.0.2.1:53"], Some("admin.example.com"), Some("dig @192.0.2.1 www")),
            (&["192.0.2.1:53", "192.0.2.2:5353"], Some("192.0.2.2"), Some("dig @192.0.2.2 -p 5353 www")),
            (&["127.0.0.1:53", "0.0.0.0:5300"], None, Some("dig @127.0.0.1 www")),
            (&["0.0.0.0:53"], Some("a;rm"), None),
            (&["0.0.0.0:53"], Some("-x"), None),
            (&["0.0.0.0:53"], None, None),
            (&[], Some("192.0.2.1"), None),
        ] {
            let sockets: Vec<SocketAddr> = sockets.iter().map(|socket| socket.parse().unwrap()).collect();
            let command = Server::reached(&sockets, host).map(|server| command(&server, "www", "A", None));
            let begins = command_begins.map(|begins| format!("{begins} A"));
            assert_eq!(command, begins, "{sockets:?} {host:?}");
        }
    }
}
