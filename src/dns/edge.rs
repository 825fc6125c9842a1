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
use super::respond::{Arrival, Engine, Outcome, Settings, Transport, respond};
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
    releases: mpsc::Sender<Release<E>>,
    counters: Mutex<Vec<Arc<Counters<E>>>>,
}

impl<E: Engine> Edge<E> {
    /// Also returns where the releases of held pools come out.
    pub fn new(snapshot: Arc<ArcSwap<E>>, settings: Settings) -> (Arc<Self>, mpsc::Receiver<Release<E>>) {
        let (releases, released) = mpsc::channel(MAX_RELEASES);
        let edge = Edge { snapshot, settings: Arc::new(settings), releases, counters: Mutex::default() };
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
            if current.same_indices(&self.credits.snapshot.load()) {
                self.credits.snapshot.store(Arc::clone(&current));
            } else {
                self.credits = self.counters.credit_to(&current);
            }
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    }

    /// Answers one packet into the emptied `out`; leaves it empty when there is no reply.
    pub fn respond(&mut self, packet: &[u8], client: IpAddr, transport: Transport, out: &mut Vec<u8>) {
        let arrival = Arrival { client: client.to_canonical(), transport, now_ms: self.now_ms };
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
}
