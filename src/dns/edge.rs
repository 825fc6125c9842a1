//! What all transports share, and what each thread keeps of it: the snapshot of the moment, chance, counters.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::counters::{Counters, Credits};
use super::general;
use super::query::Query;
use super::rate::Limiter;
use super::respond::{Arrival, Engine, Outcome, Settings, Transport, is_proven, respond, slip};
use crate::answer::{Credit, Entropy};

/// Releases that wait to be heard. As long as the pool is held, every further answer says it again, so that a
/// full queue loses nothing.
const MAX_RELEASES: usize = 64;

/// A held pool had to answer: its hold is over.
#[derive(Debug)]
pub struct Release<E> {
    /// In which the credit's indices mean something.
    pub snapshot: Arc<E>,
    pub credit: Credit,
}

/// What all transports share.
pub struct Edge<E> {
    snapshot: Arc<ArcSwap<E>>,
    settings: Arc<Settings>,
    limiter: Limiter,
    releases: mpsc::Sender<Release<E>>,
    counters: Mutex<Vec<Arc<Counters<E>>>>,
}

impl<E: Engine> Edge<E> {
    /// Also returns where the releases of held pools come out.
    pub fn new(snapshot: Arc<ArcSwap<E>>, settings: Settings) -> (Arc<Self>, mpsc::Receiver<Release<E>>) {
        let (releases, released) = mpsc::channel(MAX_RELEASES);
        let limiter = Limiter::new(settings.rate, rand::random());
        let edge = Edge { snapshot, settings: Arc::new(settings), limiter, releases, counters: Mutex::default() };
        (Arc::new(edge), released)
    }

    /// Everybody's counters.
    pub fn counters(&self) -> Vec<Arc<Counters<E>>> {
        self.counters.lock().clone()
    }
}

/// Answers packets on one thread.
pub(super) struct Desk<E> {
    edge: Arc<Edge<E>>,
    /// Of the last refresh, so that a batch is answered from one world.
    snapshot: Arc<E>,
    pub counters: Arc<Counters<E>>,
    credits: Arc<Credits<E>>,
    entropy: Entropy,
    now_ms: u64,
}

impl<E: Engine> Desk<E> {
    /// A desk whose counters are seen by metrics under the transport's name.
    pub fn new(edge: &Arc<Edge<E>>, transport: &'static str) -> Self {
        let counters = Arc::new(Counters::new(transport));
        edge.counters.lock().push(counters.clone());
        let snapshot = edge.snapshot.load_full();
        let credits = counters.credit_to(&snapshot);
        Desk { edge: edge.clone(), snapshot, counters, credits, entropy: Entropy::new(rand::random()), now_ms: 0 }
    }

    /// Takes up the snapshot and the time of the moment; to be called before each batch, and now and then when
    /// there is none, so that an old snapshot can go.
    pub fn refresh(&mut self) {
        let current = self.edge.snapshot.load();
        if !Arc::ptr_eq(&current, &self.snapshot) {
            self.snapshot = Arc::clone(&current);
            if current.same_indices(&self.credits.newest.load()) {
                self.credits.newest.store(Arc::clone(&current));
            } else {
                self.credits = self.counters.credit_to(&current);
            }
        }
        self.now_ms = unix_ms();
    }

    /// Answers one packet into the emptied `out`; leaves it empty when there is no reply.
    pub fn respond(&mut self, packet: &[u8], client: IpAddr, transport: Transport, out: &mut Vec<u8>) {
        let arrival = Arrival { client: client.to_canonical(), transport, now_ms: self.now_ms };
        if transport == Transport::Udp && self.hold_back(packet, &arrival, out) {
            return;
        }
        let (snapshot, settings) = (&self.snapshot, &self.edge.settings);
        let mut outcome = respond(packet, &arrival, settings, &**snapshot, &mut self.entropy, out);
        if outcome == Outcome::General {
            self.counters.general.fetch_add(1, Relaxed);
            outcome = general::respond(packet, &arrival, settings, snapshot, &mut self.entropy, out);
        }
        let Outcome::Reply(said) = outcome else {
            self.counters.silent.fetch_add(1, Relaxed);
            return;
        };
        self.counters.count(&said);
        if let Some(credit) = said.credit {
            self.credits.count(&credit);
            if credit.releases_hold {
                // Full means that control has enough to hear; nobody waits for it here.
                let _ = self.edge.releases.try_send(Release { snapshot: snapshot.clone(), credit });
            }
        }
    }
    /// Deals with a query whose network asks more than its rate: half get an empty truncated reply, half none.
    fn hold_back(&mut self, packet: &[u8], arrival: &Arrival, out: &mut Vec<u8>) -> bool {
        if !self.edge.limiter.is_over(arrival.client, arrival.now_ms) {
            return false;
        }
        let Some(query) = Query::read(packet) else { return false };
        if is_proven(&query, arrival, &self.edge.settings) {
            return false;
        }
        if self.entropy.below(2) == 0 {
            slip(&query, arrival, &self.edge.settings, out);
            self.counters.slipped.fetch_add(1, Relaxed);
        } else {
            out.clear();
            self.counters.dropped.fetch_add(1, Relaxed);
        }
        true
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Secret;
    use super::super::fake::{Ask, World};
    use super::*;

    #[test]
    fn over_its_rate_a_network_gets_truncated_replies_or_none_but_tcp_and_cookies_go_on() {
        let mut settings = Settings::new("node", Secret::new([1; 16]));
        settings.rate = 1;
        let (edge, _released) = Edge::new(Arc::new(ArcSwap::from_pointee(World::new())), settings);
        let mut desk = Desk::new(&edge, "udp");
        desk.refresh();
        let client: IpAddr = "203.0.113.9".parse().unwrap();
        let ask = Ask::of("www.test", 1).edns(1232, &[(10, &[5; 8])]).bytes();
        let (mut out, mut slipped) = (Vec::new(), Vec::new());
        for _ in 0..1_000 {
            out.clear();
            desk.respond(&ask, client, Transport::Udp, &mut out);
            if out.get(2).is_some_and(|flags| flags & 2 != 0) {
                slipped = out.clone();
            }
        }
        let (count, dropped) = (desk.counters.slipped.load(Relaxed), desk.counters.dropped.load(Relaxed));
        assert!((990..1_000).contains(&(count + dropped)) && (400..600).contains(&count), "{count} {dropped}");
        assert_eq!((slipped[2..4].to_vec(), slipped[7]), (vec![0x82, 0], 0), "empty and truncated");
        assert!(slipped.len() <= ask.len() + 16, "no amplification but the server's part of the cookie");

        let cookie = &slipped[slipped.len() - 24..];
        let proven = Ask::of("www.test", 1).edns(1232, &[(10, cookie)]).bytes();
        desk.respond(&proven, client, Transport::Udp, &mut out);
        assert_eq!((out[2] & 2, out[7]), (0, 2), "a cookie of ours");
        let transport = Transport::Tcp { idle: std::time::Duration::from_secs(10) };
        desk.respond(&ask, client, transport, &mut out);
        assert_eq!((out[2] & 2, out[7]), (0, 2), "TCP");
        desk.respond(&ask, "127.0.0.1".parse().unwrap(), Transport::Udp, &mut out);
        assert_eq!((out[2] & 2, out[7]), (0, 2), "a tool of one's own");
    }
}
