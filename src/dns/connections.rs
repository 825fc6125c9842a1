//! Who is connected, in order of the last query: when there are too many, in all or from one network, the one
//! that was idle longest has to go. A newcomer is never refused, so that holding connections open keeps nobody
//! else out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The connections of one listener.
#[derive(Debug, Clone)]
pub struct Connections {
    table: Arc<Mutex<Table>>,
    most: usize,
    most_per_network: usize,
}

#[derive(Debug, Default)]
struct Table {
    /// Counts admissions and queries; the smaller a connection's number, the longer it is idle.
    clock: u64,
    by_age: BTreeMap<u64, Entry>,
    by_network: HashMap<Network, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Entry {
    network: Network,
    evicted: Arc<Notify>,
}

/// An IPv4 /24 or IPv6 /48.
type Network = [u8; 6];

/// A connection's place among the others; gives it up when dropped.
#[derive(Debug)]
pub struct Place {
    connections: Connections,
    age: u64,
    number: u64,
    evicted: Arc<Notify>,
}

impl Connections {
    pub fn new(most: usize, most_per_network: usize) -> Self {
        Connections { table: Arc::default(), most: most.max(1), most_per_network: most_per_network.max(1) }
    }

    /// Takes a newcomer in; evicts whoever was idle longest where that makes too many.
    pub fn admit(&self, client: IpAddr) -> Place {
        let network = network(client);
        let evicted = Arc::new(Notify::new());
        let mut table = self.table.lock();
        if table.by_network.get(&network).is_some_and(|ages| ages.len() >= self.most_per_network) {
            let idlest = table.by_network.get(&network).and_then(BTreeSet::first).copied();
            table.evict(idlest);
        } else if table.by_age.len() >= self.most {
            let idlest = table.idlest();
            table.evict(idlest);
        }
        let age = table.insert(Entry { network, evicted: evicted.clone() });
        Place { connections: self.clone(), age, number: age, evicted }
    }

    /// Makes room when the system has none.
    pub fn evict_idlest(&self) {
        let mut table = self.table.lock();
        let idlest = table.idlest();
        table.evict(idlest);
    }

    /// More than three quarters of the places are taken.
    pub fn is_crowded(&self) -> bool {
        self.table.lock().by_age.len() > self.most - self.most / 4
    }
}

impl Table {
    fn insert(&mut self, entry: Entry) -> u64 {
        self.clock += 1;
        self.by_network.entry(entry.network).or_default().insert(self.clock);
        self.by_age.insert(self.clock, entry);
        self.clock
    }

    fn remove(&mut self, age: u64) -> Option<Entry> {
        let entry = self.by_age.remove(&age)?;
        if let Some(ages) = self.by_network.get_mut(&entry.network) {
            ages.remove(&age);
            if ages.is_empty() {
                self.by_network.remove(&entry.network);
            }
        }
        Some(entry)
    }

    fn idlest(&self) -> Option<u64> {
        self.by_age.keys().next().copied()
    }

    fn evict(&mut self, age: Option<u64>) {
        if let Some(entry) = age.and_then(|age| self.remove(age)) {
            entry.evicted.notify_one();
        }
    }
}

impl Place {
    /// A query came: the connection is the youngest now.
    pub fn touch(&mut self) {
        let mut table = self.connections.table.lock();
        if let Some(entry) = table.remove(self.age) {
            self.age = table.insert(entry);
        }
    }

    /// Returns when the connection has to go.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// A number of its own.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.table.lock().remove(self.age);
    }
}

fn network(client: IpAddr) -> Network {
    match client.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            // Multicast is nobody's address, so that the two families cannot meet.
            [0xff, 0xff, 0, a, b, c]
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, ..] = address.octets();
            [a, b, c, d, e, f]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_evicted(place: &Place) -> bool {
        let mut waiting = std::pin::pin!(place.evicted());
        waiting.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_idlest_of_all_makes_room() {
        let connections = Connections::new(2, 9);
        let mut first = connections.admit(address("192.0.2.1"));
        let second = connections.admit(address("198.51.100.1"));
        first.touch();
        let third = connections.admit(address("203.0.113.1"));
        assert!(!is_evicted(&first) && is_evicted(&second) && !is_evicted(&third));
    }

    #[test]
    fn a_network_pays_for_its_own_newcomers() {
        let connections = Connections::new(9, 2);
        let other = connections.admit(address("198.51.100.1"));
        let first = connections.admit(address("2001:db8:1::1"));
        let second = connections.admit(address("2001:db8:1:2::1"));
        let third = connections.admit(address("2001:db8:1:3::1"));
        assert!(is_evicted(&first) && !is_evicted(&other) && !is_evicted(&second) && !is_evicted(&third));
    }

    #[test]
    fn whoever_left_takes_no_place() {
        let connections = Connections::new(2, 2);
        for _ in 0..9 {
            drop(connections.admit(address("192.0.2.1")));
        }
        assert!(connections.table.lock().by_network.is_empty() && !connections.is_crowded());
        let first = connections.admit(address("192.0.2.1"));
        let _second = connections.admit(address("192.0.2.2"));
        assert!(!is_evicted(&first));
    }
}
