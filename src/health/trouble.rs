//! Checks that cannot run on this machine: they decide nothing, so the operator has to know of them.
//! Many targets can share one reason; it is told when it begins and when the last of them runs again.

use std::sync::Arc;

use super::{Event, EventKind, Health, Target};

impl Health {
    /// A check could not run. The endpoint's state stays; what is shown of it says why nothing comes.
    pub(super) fn note_trouble(&mut self, target: &Target, reason: &Arc<str>, now_ms: u64) -> Vec<Event> {
        let known = self.shared_trouble(reason);
        let is_new = known.is_none();
        let Some(stream) = self.streams.get_mut(target) else { return Vec::new() };
        if stream.trouble.as_ref() == Some(reason) {
            return Vec::new();
        }
        let ended = stream.trouble.replace(known.unwrap_or_else(|| reason.clone()));
        let mut events: Vec<Event> =
            ended.and_then(|reason| self.end_of_trouble(target, &reason, now_ms)).into_iter().collect();
        if is_new {
            let cause = format!("{} cannot run here and decides nothing: {reason}", self.check_of(target));
            events.push(trouble_event(target, ["runs", "unable"], cause, now_ms));
        }
        let settled = self.settle(vec![target.endpoint.clone()]);
        self.finish(settled, Default::default(), now_ms, &mut events);
        events
    }

    /// `None` while another target still has the same trouble.
    pub(super) fn end_of_trouble(&self, target: &Target, reason: &Arc<str>, now_ms: u64) -> Option<Event> {
        if self.shared_trouble(reason).is_some() {
            return None;
        }
        let cause = format!("{} runs again; before: {reason}", self.check_of(target));
        Some(trouble_event(target, ["unable", "runs"], cause, now_ms))
    }

    fn shared_trouble(&self, reason: &Arc<str>) -> Option<Arc<str>> {
        self.streams.values().find_map(|stream| stream.trouble.clone().filter(|known| known == reason))
    }
}

fn trouble_event(target: &Target, [from, to]: [&str; 2], cause: String, now_ms: u64) -> Event {
    let subject = format!("monitors/{}", target.monitor);
    Event { from: from.into(), to: to.into(), cause, ..Event::new(EventKind::System, subject, now_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::scenario::{World, active_passive, told, web};
    use crate::health::{EndpointState, Family, Report};
    use crate::model::Recovery;

    fn unable(world: &mut World, endpoint: &str, reason: &str) -> Vec<Event> {
        let report = Report::Unable(reason.into());
        world.health.hear(&web(endpoint), &report, world.now_ms)
    }

    #[test]
    fn a_trouble_is_told_once_for_all_its_targets_and_once_more_when_it_ends() {
        let mut world = World::up(active_passive(Recovery::Auto));
        let reason = "icmp needs CAP_NET_RAW; grant it";
        let events = unable(&mut world, "web-1", reason);
        assert_eq!(told(&events), ["monitors/web: runs → unable"]);
        assert_eq!(events[0].kind, EventKind::System);
        assert!(events[0].cause.ends_with(reason), "{}", events[0].cause);
        assert_eq!(unable(&mut world, "web-1", reason), []);
        assert_eq!(unable(&mut world, "web-2", reason), []);
        assert_eq!(told(&world.pass("web-1", 1)), [""; 0]);
        assert_eq!(told(&world.pass("web-2", 1)), ["monitors/web: unable → runs"]);
        let again = unable(&mut world, "web-2", reason);
        assert_eq!(told(&again), ["monitors/web: runs → unable"]);
    }

    #[test]
    fn a_trouble_changes_no_state_and_shows_in_the_reason() {
        let mut world = World::up(active_passive(Recovery::Auto));
        unable(&mut world, "web-1", "no sockets; raise the limit");
        let address = world.address("web-1");
        assert_eq!(address.state, EndpointState::Up);
        assert_eq!(address.reason, "check web cannot run here: no sockets; raise the limit");
        let checks = world.health.checks(&"web-1".parse().unwrap());
        assert_eq!(checks[0].family, Family::Ipv4);
        assert_eq!(checks[0].trouble.as_deref(), Some("no sockets; raise the limit"));
        world.pass("web-1", 1);
        assert_eq!(world.address("web-1").reason, "check web passes");
        assert_eq!(world.health.checks(&"web-1".parse().unwrap())[0].trouble, None);
    }
}
