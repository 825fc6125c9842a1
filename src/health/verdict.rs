//! From the monitors of one address to its state: roles decide what each verdict weighs.
//! Required: all must be Up. Vote: more than half must be Up. Watch: only reports.

use super::EndpointState;
use super::stream::Stream;
use crate::model::{Endpoint, Id, Monitor, Role};

/// One monitor's say about an address.
pub(super) struct Ballot<'h> {
    pub role: Role,
    pub monitor: &'h Monitor,
    pub stream: &'h Stream,
}

/// What decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    Forced,
    AlwaysServed,
    NeverServed,
    NotMonitored,
    /// An endpoint that this one cannot do without is down.
    DependsOn(Id<Endpoint>),
    /// The checks; the index of the ballot that tells the most.
    Check(usize),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub state: EndpointState,
    pub why: Why,
    pub earliest_change_ms: Option<u64>,
}

impl Verdict {
    /// A state that no outcome can change.
    pub fn fixed(state: EndpointState, why: Why) -> Self {
        Verdict { state, why, earliest_change_ms: None }
    }
}

/// Weighs the ballots of one address. Votes: fewer than half Up decide Down only when those without a
/// verdict could not turn it.
pub(super) fn weigh(ballots: &[Ballot]) -> Verdict {
    let counting = || ballots.iter().filter(|ballot| ballot.role != Role::Watch);
    if counting().next().is_none() {
        return Verdict::fixed(EndpointState::Up, Why::NotMonitored);
    }
    let of = |role: Role, state: EndpointState| {
        ballots.iter().filter(move |ballot| ballot.role == role && ballot.stream.state() == state)
    };
    let votes = ballots.iter().filter(|ballot| ballot.role == Role::Vote).count();
    let votes_up = of(Role::Vote, EndpointState::Up).count();
    let votes_open = of(Role::Vote, EndpointState::Unknown).count();
    let required_down = of(Role::Required, EndpointState::Down).next().is_some();
    let required_open = of(Role::Required, EndpointState::Unknown).next().is_some();
    let majority = votes / 2 + 1;
    let state = if required_down || (votes > 0 && votes_up + votes_open < majority) {
        EndpointState::Down
    } else if required_open || (votes > 0 && votes_up < majority) {
        EndpointState::Unknown
    } else {
        EndpointState::Up
    };
    let earliest_change_ms = match state {
        EndpointState::Unknown => None,
        EndpointState::Up => {
            let required = of(Role::Required, EndpointState::Up).filter_map(Ballot::earliest_ms).min();
            // So many votes have to be lost for the majority to be gone.
            let lost = (votes > 0).then(|| nth_earliest(of(Role::Vote, EndpointState::Up), votes_up - votes / 2));
            required.into_iter().chain(lost.flatten()).min()
        }
        EndpointState::Down => {
            // All that deny have to return, each at its own earliest.
            let required_count = of(Role::Required, EndpointState::Down).count();
            let required = nth_earliest(of(Role::Required, EndpointState::Down), required_count);
            let lacking = majority.saturating_sub(votes_up).min(votes);
            let gained = nth_earliest(of(Role::Vote, EndpointState::Down), lacking);
            match (required_count, lacking) {
                (0, _) => gained,
                (_, 0) => required,
                _ => required.zip(gained).map(|(a, b)| a.max(b)),
            }
        }
    };
    Verdict { state, why: Why::Check(telling(ballots, state)), earliest_change_ms }
}

impl Ballot<'_> {
    fn earliest_ms(&self) -> Option<u64> {
        self.stream.earliest_change_ms(self.monitor)
    }
}

/// When the `n`th of these ballots could change, at the earliest; `None` when fewer are on their way.
fn nth_earliest<'b>(ballots: impl Iterator<Item = &'b Ballot<'b>>, n: usize) -> Option<u64> {
    let mut all: Vec<u64> = ballots.filter_map(Ballot::earliest_ms).collect();
    all.sort_unstable();
    all.get(n.checked_sub(1)?).copied()
}

/// The ballot that explains `state` best: a required one of that state before a vote; among equals
/// one that is about to change its mind, then the one that spoke last.
fn telling(ballots: &[Ballot], state: EndpointState) -> usize {
    let rank = |ballot: &Ballot| {
        let spoke_ms = ballot.stream.last.as_ref().map(|outcome| outcome.at_ms);
        let agrees = ballot.stream.state() == state;
        let failing = state == EndpointState::Up && ballot.stream.failures > 0;
        (ballot.role != Role::Watch, agrees, ballot.role == Role::Required, failing, spoke_ms)
    };
    ballots.iter().enumerate().max_by_key(|(_, ballot)| rank(ballot)).map_or(0, |(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::EndpointState::{Down, Unknown, Up};
    use super::Role::{Required, Vote, Watch};
    use super::*;
    use crate::health::scenario::monitor;
    use crate::health::stream::Kept;
    use crate::health::{Latency, Outcome, Said};

    fn state_of(says: &[(Role, EndpointState)]) -> EndpointState {
        let monitor = monitor("web");
        let streams: Vec<Stream> =
            says.iter().map(|&(_, state)| Stream::restored(Kept { state, certificate: None })).collect();
        let ballots: Vec<Ballot> =
            says.iter().zip(&streams).map(|(&(role, _), stream)| Ballot { role, monitor: &monitor, stream }).collect();
        weigh(&ballots).state
    }

    #[test]
    fn roles_decide_what_a_verdict_weighs() {
        let table: &[(&[(Role, EndpointState)], EndpointState)] = &[
            (&[], Up),
            (&[(Watch, Down)], Up),
            (&[(Required, Up)], Up),
            (&[(Required, Down)], Down),
            (&[(Required, Unknown)], Unknown),
            (&[(Required, Up), (Required, Down)], Down),
            (&[(Required, Up), (Required, Unknown)], Unknown),
            (&[(Required, Down), (Required, Unknown)], Down),
            (&[(Required, Up), (Watch, Down)], Up),
            (&[(Vote, Up), (Vote, Up), (Vote, Down)], Up),
            (&[(Vote, Up), (Vote, Down), (Vote, Down)], Down),
            (&[(Vote, Up), (Vote, Down)], Down),
            (&[(Vote, Up), (Vote, Unknown)], Unknown),
            (&[(Vote, Unknown), (Vote, Down), (Vote, Down)], Down),
            (&[(Vote, Unknown), (Vote, Unknown), (Vote, Down)], Unknown),
            (&[(Required, Down), (Vote, Up), (Vote, Up)], Down),
            (&[(Required, Up), (Vote, Down), (Vote, Down)], Down),
            (&[(Required, Up), (Vote, Up)], Up),
        ];
        for (says, expected) in table {
            assert_eq!(state_of(says), *expected, "{says:?}");
        }
    }

    /// Watched every 10 s, the next check due at 10 s; so many outcomes in a row speak for a change.
    fn stream(state: EndpointState, streak: u32) -> Stream {
        let (failures, successes) = if state == Up { (streak, 0) } else { (0, streak) };
        let last = Outcome {
            at_ms: 0,
            result: Ok(()),
            latency: Latency::default(),
            certificate_ends: None,
            next_probe_ms: 10_000,
            said: Said::default(),
        };
        Stream { failures, successes, last: Some(last), ..Stream::restored(Kept { state, certificate: None }) }
    }

    #[test]
    fn the_earliest_change_is_that_of_the_monitors_that_decide() {
        let monitor = Monitor { recover_after: 3, ..monitor("web") };
        type Says<'s> = &'s [(Role, EndpointState, u32)];
        let table: &[(Says, Option<u64>)] = &[
            (&[(Required, Up, 0)], None),
            (&[(Required, Up, 1)], Some(20)),
            (&[(Required, Up, 2)], Some(10)),
            (&[(Required, Up, 2), (Required, Up, 1)], Some(10)),
            (&[(Required, Up, 0), (Watch, Up, 2)], None),
            (&[(Required, Down, 0)], None),
            (&[(Required, Down, 1)], Some(20)),
            (&[(Required, Down, 1), (Required, Down, 2)], Some(20)),
            (&[(Required, Down, 0), (Required, Down, 2)], None),
            (&[(Required, Down, 2), (Required, Up, 2)], Some(10)),
            (&[(Vote, Up, 2), (Vote, Up, 0), (Vote, Up, 0)], None),
            (&[(Vote, Up, 2), (Vote, Up, 1), (Vote, Up, 0)], Some(20)),
            (&[(Vote, Up, 2), (Vote, Up, 0), (Vote, Down, 0)], Some(10)),
            (&[(Vote, Down, 2), (Vote, Down, 0), (Vote, Down, 0)], None),
            (&[(Vote, Down, 2), (Vote, Down, 1), (Vote, Down, 0)], Some(20)),
            (&[(Vote, Down, 2), (Vote, Up, 0), (Vote, Down, 0)], Some(10)),
            (&[(Required, Down, 2), (Vote, Down, 1)], Some(20)),
            (&[(Required, Down, 2), (Vote, Down, 0)], None),
            (&[(Required, Up, 0), (Vote, Down, 1)], Some(20)),
        ];
        for (says, seconds) in table {
            let streams: Vec<Stream> = says.iter().map(|&(_, state, streak)| stream(state, streak)).collect();
            let ballots = says.iter().zip(&streams);
            let ballots: Vec<Ballot> =
                ballots.map(|(&(role, ..), stream)| Ballot { role, monitor: &monitor, stream }).collect();
            assert_eq!(weigh(&ballots).earliest_change_ms, seconds.map(|s| s * 1000), "{says:?}");
        }
    }
}
