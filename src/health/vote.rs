//! Quorum: what several vantages together say about one address. Silence never flips a state.

use super::EndpointState;

/// What one vantage said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    pub state: EndpointState,
    pub at_ms: u64,
}

/// How many down votes make Down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quorum {
    /// More than half; a tie keeps the last state.
    #[default]
    Majority,
    Any,
    All,
    AtLeast(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub state: EndpointState,
    pub down: usize,
    /// Vantages with a verdict that is still fresh.
    pub voters: usize,
    /// Too few voters: `state` is the last one, kept.
    pub quorum_lost: bool,
}

/// Counts the votes cast at `fresh_from_ms` or later.
pub fn tally(votes: &[Vote], quorum: Quorum, min_reporting: usize, fresh_from_ms: u64, last: EndpointState) -> Tally {
    let fresh = votes.iter().filter(|vote| vote.at_ms >= fresh_from_ms && vote.state != EndpointState::Unknown);
    let (mut voters, mut down) = (0, 0);
    for vote in fresh {
        voters += 1;
        down += usize::from(vote.state == EndpointState::Down);
    }
    // With fewer voters than `AtLeast` asks for, nobody could say Down, and their silence would say Up.
    let least = match quorum {
        Quorum::AtLeast(n) => usize::from(n).max(min_reporting),
        _ => min_reporting,
    };
    if voters < least.max(1) {
        return Tally { state: last, down, voters, quorum_lost: true };
    }
    let is_down = match quorum {
        Quorum::Majority if down * 2 == voters => return Tally { state: last, down, voters, quorum_lost: false },
        Quorum::Majority => down * 2 > voters,
        Quorum::Any => down > 0,
        Quorum::All => down == voters,
        Quorum::AtLeast(n) => down >= usize::from(n),
    };
    let state = if is_down { EndpointState::Down } else { EndpointState::Up };
    Tally { state, down, voters, quorum_lost: false }
}

#[cfg(test)]
mod tests {
    use super::EndpointState::{Down, Unknown, Up};
    use super::*;

    fn said(states: &[EndpointState]) -> Vec<Vote> {
        states.iter().map(|&state| Vote { state, at_ms: 1000 }).collect()
    }

    #[test]
    fn each_quorum_counts_as_it_says() {
        let table = [
            (&[Up, Up, Down][..], Quorum::Majority, Up),
            (&[Up, Down, Down], Quorum::Majority, Down),
            (&[Up, Down, Down], Quorum::All, Up),
            (&[Down, Down, Down], Quorum::All, Down),
            (&[Up, Up, Down], Quorum::Any, Down),
            (&[Up, Up, Up], Quorum::Any, Up),
            (&[Up, Down, Down], Quorum::AtLeast(2), Down),
            (&[Up, Up, Down], Quorum::AtLeast(2), Up),
            (&[Unknown, Unknown, Down], Quorum::Majority, Down),
            (&[Down], Quorum::Majority, Down),
        ];
        for (votes, quorum, expected) in table {
            for last in [Unknown, Up, Down] {
                let tally = tally(&said(votes), quorum, 1, 0, last);
                assert_eq!((tally.state, tally.quorum_lost), (expected, false), "{votes:?} {quorum:?}");
            }
        }
    }

    #[test]
    fn a_tie_keeps_the_last_state() {
        for last in [Unknown, Up, Down] {
            assert_eq!(tally(&said(&[Up, Down]), Quorum::Majority, 1, 0, last).state, last);
        }
    }

    #[test]
    fn silence_never_flips() {
        let quorums = [Quorum::Majority, Quorum::Any, Quorum::All, Quorum::AtLeast(2)];
        for quorum in quorums {
            for last in [Unknown, Up, Down] {
                for votes in [said(&[]), said(&[Unknown, Unknown]), said(&[Down]), said(&[Up])] {
                    let tally = tally(&votes, quorum, 2, 0, last);
                    assert_eq!((tally.state, tally.quorum_lost), (last, true), "{quorum:?} {votes:?}");
                }
            }
        }
        // One of two down votes goes silent: the other alone cannot say Up.
        let votes = [Vote { state: Down, at_ms: 900 }, Vote { state: Down, at_ms: 100 }];
        assert_eq!(tally(&votes, Quorum::AtLeast(2), 1, 500, Down).state, Down);
    }

    #[test]
    fn old_votes_do_not_count() {
        let votes = [Vote { state: Down, at_ms: 499 }, Vote { state: Up, at_ms: 500 }];
        let tally = tally(&votes, Quorum::Any, 1, 500, Up);
        assert_eq!((tally.state, tally.voters, tally.down), (Up, 1, 0));
    }
}
