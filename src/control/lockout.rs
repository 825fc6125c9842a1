//! How often somebody may try to sign in: a delay that doubles for each account, and a rate for each address.
//! A network from which the owner has signed in before has a delay of its own, so that strangers, who may guess
//! for ever, do not lock the owner out. Decides with the time it is given.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use super::account::Account;

/// Wrong tries at one account before it waits.
const FREE_TRIES: u32 = 5;
/// The first wait; each further wrong try doubles it.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(30);
/// The longest wait: guessing gains nothing, and the owner is not shut out for a day.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(15);
/// An account's wrong tries are forgotten after a while without any.
const FORGET: SignedDuration = SignedDuration::from_hours(12);
/// Wrong tries from one address at once, whatever the account.
const ADDRESS_TRIES: u32 = 20;
/// An address wins one try back in this time.
const ADDRESS_REFILL: SignedDuration = SignedDuration::from_secs(30);
/// Names, and addresses, that are remembered. Past this, the one not heard of for longest goes, of those that do not
/// wait while there are any: a flood of names frees nobody.
const MAX_REMEMBERED: usize = 10_000;

/// What is tried, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The account or another secret that is guessed; `None` where its length alone protects it.
    guessed: Option<Guessed>,
    address: Option<IpAddr>,
}

/// A secret, with the network of its owner where the attempt came from one.
type Guessed = (String, Option<IpNet>);

impl Attempt {
    /// To sign in as `account`.
    pub fn of(account: &Account, address: Option<IpAddr>) -> Attempt {
        let network = address.and_then(|address| account.known_network(address));
        Attempt { guessed: Some((account.id.clone(), network)), address }
    }

    /// At what is called `name`, whether or not there is such a thing.
    pub fn at(name: impl Into<String>, address: Option<IpAddr>) -> Attempt {
        Attempt { guessed: Some((name.into(), None)), address }
    }

    /// At a secret that nobody guesses: only the address is counted, and nobody can shut the owner out.
    pub fn at_long_secret(address: IpAddr) -> Attempt {
        Attempt { guessed: None, address: Some(address) }
    }
}

/// Who has tried how often. Names that nobody has are counted alike, so that they cannot be told apart.
#[derive(Debug, Default)]
pub struct Gate {
    guessed: HashMap<Guessed, Tally>,
    addresses: HashMap<IpAddr, Tally>,
}

#[derive(Debug, Clone, Copy)]
struct Tally {
    tries: u32,
    last: Timestamp,
}

impl Gate {
    /// Counts a try as wrong before it is known to be, so that many at once gain nothing. Refused with the
    /// moment from which one may try again.
    pub fn begin(&mut self, attempt: &Attempt, now: Timestamp) -> Result<(), Timestamp> {
        let network = attempt.address.and_then(network);
        let address_waits = network.and_then(|network| self.addresses.get(&network)?.address_waits(now));
        let waits = [self.locked_until(attempt, now), address_waits];
        if let Some(until) = waits.into_iter().flatten().max() {
            return Err(until);
        }
        if let Some(guessed) = &attempt.guessed {
            let tries = self.guessed.get(guessed).filter(|tally| now.duration_since(tally.last) < FORGET);
            let tries = tries.map_or(0, |tally| tally.tries);
            let tally = Tally { tries: tries.saturating_add(1), last: now };
            remember(&mut self.guessed, guessed.clone(), tally, |tally| tally.locked_until(now).is_some());
        }
        if let Some(network) = network {
            let tries = self.addresses.get(&network).map_or(0, |tally| tally.left_of_address(now));
            let tally = Tally { tries: tries + 1, last: now };
            remember(&mut self.addresses, network, tally, |tally| tally.address_waits(now).is_some());
        }
        Ok(())
    }

    /// The try was right after all.
    pub fn succeed(&mut self, attempt: &Attempt) {
        if let Some(guessed) = &attempt.guessed {
            self.guessed.remove(guessed);
        }
        if let Some(tally) = attempt.address.and_then(network).and_then(|network| self.addresses.get_mut(&network)) {
            tally.tries = tally.tries.saturating_sub(1);
        }
    }

    /// Until when nobody gets in who comes from where this attempt came from.
    pub fn locked_until(&self, attempt: &Attempt, now: Timestamp) -> Option<Timestamp> {
        self.guessed.get(attempt.guessed.as_ref()?)?.locked_until(now)
    }
}

impl Tally {
    /// Of an account.
    fn locked_until(&self, now: Timestamp) -> Option<Timestamp> {
        let doubled = self.tries.checked_sub(FREE_TRIES)?.min(16);
        let wait = FIRST_WAIT.checked_mul(1 << doubled).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        Some(self.last + wait).filter(|until| now < *until)
    }

    /// Of an address.
    fn address_waits(&self, now: Timestamp) -> Option<Timestamp> {
        (self.left_of_address(now) >= ADDRESS_TRIES).then(|| self.last + ADDRESS_REFILL)
    }

    /// The tries that an address has not won back.
    fn left_of_address(&self, now: Timestamp) -> u32 {
        let won = now.duration_since(self.last).as_secs().max(0) / ADDRESS_REFILL.as_secs();
        self.tries.saturating_sub(u32::try_from(won).unwrap_or(u32::MAX))
    }
}

/// What counts as one address: an IPv6 network of 64 bits, which one customer has. This machine itself counts
/// as none: a proxy here stands for everybody.
fn network(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V6(address) => Some(IpAddr::V6((u128::from(address) >> 64 << 64).into())),
        address => Some(address),
    }
}

fn remember<K: Hash + Eq + Clone>(table: &mut HashMap<K, Tally>, key: K, tally: Tally, waits: impl Fn(&Tally) -> bool) {
    if table.len() >= MAX_REMEMBERED && !table.contains_key(&key) {
        let gone = table.iter().min_by_key(|(_, tally)| (waits(tally), tally.last)).map(|(key, _)| key.clone());
        gone.map(|key| table.remove(&key));
    }
    table.insert(key, tally);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::token::Role;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn from(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_account_waits_twice_as_long_with_each_wrong_try() {
        let mut gate = Gate::default();
        for second in 0..5 {
            gate.begin(&Attempt::at("ann", None), at(second)).unwrap();
        }
        assert_eq!(gate.begin(&Attempt::at("ann", None), at(5)), Err(at(34)));
        assert_eq!(gate.begin(&Attempt::at("ann", None), at(33)), Err(at(34)));
        gate.begin(&Attempt::at("bob", None), at(5)).unwrap();
        let mut now = 34;
        for wait in [60, 120, 240, 480, 900, 900] {
            gate.begin(&Attempt::at("ann", None), at(now)).unwrap();
            assert_eq!(gate.begin(&Attempt::at("ann", None), at(now)), Err(at(now + wait)));
            now += wait;
        }
        gate.begin(&Attempt::at("ann", None), at(now)).unwrap();
        gate.succeed(&Attempt::at("ann", None));
        gate.begin(&Attempt::at("ann", None), at(now)).unwrap();
    }

    #[test]
    fn strangers_lock_strangers_out_and_not_the_owner() {
        let mut ann = Account::new("ann", "", Role::Editor, String::new(), at(0));
        ann.remember_network("198.51.100.7".parse().unwrap());
        let (owner, stranger) = (Attempt::of(&ann, from("198.51.100.9")), Attempt::of(&ann, from("203.0.113.1")));
        let mut gate = Gate::default();
        // One wrong try whenever it is possible, for a day.
        let mut now = at(0);
        while now < at(86_400) {
            match gate.begin(&stranger, now) {
                Ok(()) => now += SignedDuration::from_secs(1),
                Err(until) => now = until,
            }
            assert_eq!(gate.locked_until(&owner, now), None);
        }
        assert!(gate.locked_until(&stranger, now).is_none() && gate.begin(&stranger, now).is_ok());
        gate.begin(&owner, now).unwrap();
        gate.succeed(&owner);
        assert!(gate.begin(&stranger, now).is_err(), "the owner's sign-in gives strangers no more tries");
        for _ in 0..5 {
            gate.begin(&owner, now).unwrap();
        }
        assert!(gate.begin(&owner, now).is_err(), "who guesses next door is limited too");
    }

    #[test]
    fn at_a_long_secret_only_the_address_is_limited() {
        let mut gate = Gate::default();
        let attempt = |text: &str| Attempt::at_long_secret(text.parse().unwrap());
        for _ in 0..20 {
            gate.begin(&attempt("192.0.2.1"), at(0)).unwrap();
        }
        assert!(gate.begin(&attempt("192.0.2.1"), at(0)).is_err());
        gate.begin(&attempt("192.0.2.2"), at(0)).unwrap();
    }

    #[test]
    fn wrong_tries_are_forgotten_after_half_a_day() {
        let mut gate = Gate::default();
        for _ in 0..5 {
            gate.begin(&Attempt::at("ann", None), at(0)).unwrap();
        }
        let later = 12 * 3600;
        for _ in 0..5 {
            gate.begin(&Attempt::at("ann", None), at(later)).unwrap();
        }
        assert!(gate.begin(&Attempt::at("ann", None), at(later)).is_err());
    }

    #[test]
    fn an_address_has_twenty_tries_and_wins_one_back_every_half_minute() {
        let mut gate = Gate::default();
        for name in 0..20 {
            gate.begin(&Attempt::at(name.to_string(), from("2001:db8::1")), at(0)).unwrap();
        }
        assert_eq!(
            gate.begin(&Attempt::at("x", from("2001:db8::ffff:1")), at(0)),
            Err(at(30)),
            "the same network of 64 bits"
        );
        gate.begin(&Attempt::at("x", from("2001:db8:0:1::1")), at(0)).unwrap();
        gate.begin(&Attempt::at("x", from("192.0.2.1")), at(0)).unwrap();
        gate.begin(&Attempt::at("y", from("2001:db8::1")), at(30)).unwrap();
        assert!(gate.begin(&Attempt::at("z", from("2001:db8::1")), at(30)).is_err());
        gate.succeed(&Attempt::at("y", from("2001:db8::1")));
        gate.begin(&Attempt::at("z", from("2001:db8::1")), at(30)).unwrap();
    }

    #[test]
    fn this_machine_has_no_rate_of_its_own() {
        let mut gate = Gate::default();
        for name in 0..100 {
            gate.begin(&Attempt::at(name.to_string(), from("::ffff:127.0.0.1")), at(0)).unwrap();
        }
    }

    #[test]
    fn a_flood_of_names_neither_frees_who_waits_nor_hides_who_is_guessed() {
        let mut gate = Gate::default();
        let mut flood = 0..;
        let mut fill = |gate: &mut Gate, names: usize, tries: usize, now: Timestamp| {
            for name in flood.by_ref().take(names) {
                (0..tries).for_each(|_| gate.begin(&Attempt::at(format!("n{name}"), None), now).unwrap());
            }
        };
        let (ann, bob) = (Attempt::at("ann", None), Attempt::at("bob", None));
        (0..5).for_each(|_| gate.begin(&ann, at(0)).unwrap());
        fill(&mut gate, MAX_REMEMBERED, 2, at(1));
        for second in 2..7 {
            gate.begin(&bob, at(second)).unwrap();
            fill(&mut gate, 3, 1, at(second));
        }
        assert!(gate.locked_until(&bob, at(7)).is_some(), "names of two tries each do not push it out");
        assert!(gate.locked_until(&ann, at(7)).is_some(), "the oldest of all, and it waits");
        assert_eq!(gate.guessed.len(), MAX_REMEMBERED);
    }

    #[test]
    fn the_tables_do_not_grow_for_ever() {
        let mut gate = Gate::default();
        for name in 0..MAX_REMEMBERED + 10 {
            gate.begin(&Attempt::at(name.to_string(), None), at(name as i64)).unwrap();
        }
        assert_eq!(gate.guessed.len(), MAX_REMEMBERED);
        assert!(!gate.guessed.contains_key(&("0".to_owned(), None)));
    }
}
