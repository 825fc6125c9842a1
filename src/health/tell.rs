//! What happened, as events whose causes are in words: which check, of which address, what it found,
//! how often in a row.

use super::event::moment;
use super::fallout::Fallout;
use super::pools::PoolChange;
use super::stream::Stream;
use super::verdict::{Ballot, Why};
use super::{Address, EndpointState, Event, EventKind, Family, Health, Outcome, PoolState, Target};
use crate::model::{Endpoint, Id, Pool, Recovery, Role};

impl Health {
    /// An event about one address.
    pub(super) fn address_event(&self, kind: EventKind, id: &Id<Endpoint>, family: Family, now_ms: u64) -> Event {
        let names = self.index.names(&self.model, self.index.pools_of(id));
        let subject = format!("endpoints/{id} {family}");
        Event { names, incident: self.incident_of(id), ..Event::new(kind, subject, now_ms) }
    }

    pub(super) fn certificate_event(&self, target: &Target, now_ms: u64) -> Event {
        let event = self.address_event(EventKind::Certificate, &target.endpoint, target.family, now_ms);
        let certificate = self.streams.get(target).and_then(|stream| stream.kept.certificate.as_ref());
        let ends = certificate.map_or(event.at, |certificate| certificate.ends);
        let left_seconds = ends.as_second() - event.at.as_second();
        let to = match left_seconds / 86_400 {
            _ if left_seconds <= 0 => "expired".to_owned(),
            0 => "ends within a day".to_owned(),
            1 => "ends in 1 day".to_owned(),
            days => format!("ends in {days} days"),
        };
        let cause = format!("{}: the certificate ends at {ends}", self.check_of(target));
        Event { from: "valid".into(), to, cause, ..event }
    }

    /// A monitor that only watches reports its own changes.
    pub(super) fn watch_event(&self, target: &Target, before: EndpointState, now_ms: u64) -> Option<Event> {
        let stream = self.streams.get(target)?;
        let used = self.index.monitors_of(&target.endpoint).iter().find(|used| used.monitor == target.monitor)?;
        if used.role != Role::Watch || stream.state() == before {
            return None;
        }
        let event = self.address_event(EventKind::Endpoint, &target.endpoint, target.family, now_ms);
        let subject = format!("{} check {}", event.subject, target.monitor);
        let cause = format!("{} (only watched)", self.evidence(target, stream));
        let (from, to) = (before.to_string(), stream.state().to_string());
        Some(Event { subject, from, to, cause, names: Vec::new(), ..event })
    }

    /// How the state of one address changed since `before`; `None` when it did not.
    pub(super) fn endpoint_event(
        &self,
        id: &Id<Endpoint>,
        family: Family,
        before: EndpointState,
        now_ms: u64,
    ) -> Option<Event> {
        let endpoint = self.model.endpoints.get(id)?;
        let verdict = self.judge(id, endpoint, family);
        let mut first_failed = None;
        let cause = match verdict.why {
            Why::Check(at) => {
                let ballots = self.ballots(endpoint, id, family);
                let (target, ballot) = ballots.get(at)?;
                first_failed = ballot.stream.failing_since_ms.and_then(moment);
                let votes: Vec<&Stream> =
                    ballots.iter().filter(|(_, b)| b.role == Role::Vote).map(|(_, b)| b.stream).collect();
                let up = votes.iter().filter(|stream| stream.state() == EndpointState::Up).count();
                let count = match ballot.role {
                    Role::Vote => format!("; {up} of {} votes up", votes.len()),
                    _ => String::new(),
                };
                format!("{}{count}", self.evidence(target, ballot.stream))
            }
            ref why => words(why),
        };
        let event = self.address_event(EventKind::Endpoint, id, family, now_ms);
        let (from, to) = (before.to_string(), verdict.state.to_string());
        (before != verdict.state).then_some(Event { from, to, cause, first_failed, ..event })
    }

    /// `check web of 192.0.2.10: HTTP 503, 3 times in a row`.
    fn evidence(&self, target: &Target, stream: &Stream) -> String {
        let streak = match stream.failures.max(stream.successes) {
            0 | 1 => String::new(),
            times => format!(", {times} times in a row"),
        };
        format!("{}: {}{streak}", self.check_of(target), stream.finding())
    }

    pub(super) fn check_of(&self, target: &Target) -> String {
        let endpoint = self.model.endpoints.get(&target.endpoint);
        match endpoint.and_then(|endpoint| Address::of(endpoint, target.family)) {
            Some(address) => format!("check {} of {address}", target.monitor),
            None => format!("check {}", target.monitor),
        }
    }

    /// `trigger` is the endpoint's event that made the change, if one did.
    pub(super) fn pool_event(
        &self,
        id: &Id<Pool>,
        pool: &Pool,
        change: &PoolChange,
        trigger: Option<&Event>,
        now_ms: u64,
    ) -> Event {
        let count = self.census(pool).words();
        let waited = match (change.from, change.to, pool.recovery) {
            (PoolState::Held, PoolState::Ok, Recovery::After(seconds)) => format!(", stable for {seconds} s"),
            (_, PoolState::Held, Recovery::After(seconds)) => format!("; waits for {seconds} s without a break"),
            (_, PoolState::Held, _) => "; waits for approval".into(),
            _ => String::new(),
        };
        let first_failed = trigger.filter(|_| change.to == PoolState::Down).and_then(|event| event.first_failed);
        let trigger = trigger.map(|event| format!(": {}", event.cause)).unwrap_or_default();
        let cause = match change.to {
            PoolState::Off | PoolState::Drain => {
                format!("version {} sets admin to {}", self.model.revision, change.to)
            }
            _ => format!("{count}{waited}{trigger}"),
        };
        Event { first_failed, ..self.change_event(EventKind::Pool, id, change, cause, now_ms) }
    }

    pub(super) fn change_event(
        &self,
        kind: EventKind,
        id: &Id<Pool>,
        change: &PoolChange,
        cause: String,
        now_ms: u64,
    ) -> Event {
        let Fallout { instead, last_resort, unserved, ttl } = self.fallout(id);
        Event {
            from: change.from.to_string(),
            to: change.to.to_string(),
            cause,
            names: self.index.names(&self.model, [id]),
            instead,
            last_resort,
            unserved,
            ttl,
            incident: change.incident,
            ..Event::new(kind, format!("pools/{id}"), now_ms)
        }
    }
}

/// The reason that the table shows. It stays the same while nothing changes, unlike the finding of a
/// check that passes.
pub(super) fn reason(ballot: &Ballot) -> String {
    let (stream, monitor) = (ballot.stream, ballot.monitor);
    let (check, finding) = (&monitor.meta.id, stream.finding());
    if let Some(trouble) = &stream.trouble {
        return format!("check {check} cannot run here: {trouble}");
    }
    match (stream.state(), &stream.last) {
        (_, None) => format!("check {check}: {finding}"),
        (EndpointState::Up, Some(Outcome { result: Err(_), .. })) => {
            format!("check {check}: {finding} ({} of {} to be down)", stream.failures, monitor.fail_after)
        }
        (EndpointState::Up, _) => format!("check {check} passes"),
        (_, Some(Outcome { result: Ok(()), .. })) => {
            format!("check {check} passes again ({} of {} to be up)", stream.successes, monitor.recover_after)
        }
        _ => format!("check {check}: {finding}"),
    }
}

/// Why, where no check says it.
pub(super) fn words(why: &Why) -> String {
    match why {
        Why::Forced => "forced by an operator".into(),
        Why::AlwaysServed => "always served".into(),
        Why::NeverServed => "never served".into(),
        Why::NotMonitored | Why::Check(_) => "not monitored".into(),
        Why::DependsOn(needed) => format!("depends on {needed}, which is down"),
    }
}
