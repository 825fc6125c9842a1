//! Puts stories together from events, one after the other. Knows nothing of what is so now.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Key, Plot, Story, endpoint_id, is_down, is_out, pool_id, subject_id};
use crate::health::{Event, EventKind};
use crate::model::{Id, Model, Pool};

/// Endpoints that are up this soon after their pool came back with it.
const TOGETHER: SignedDuration = SignedDuration::from_secs(60);

/// Puts stories together from events, the oldest first.
pub(super) struct Teller<'m> {
    model: &'m Model,
    stories: BTreeMap<Key, Story>,
    /// Endpoints with addresses that are down, and the story that their end belongs to.
    endpoints: BTreeMap<String, (Vec<String>, Key)>,
    /// Pools that somebody took out.
    switched: BTreeMap<String, Key>,
    /// Endpoints that stayed down when the outage of their pool ended, that outage, and when it did.
    left: BTreeMap<Key, (Key, Timestamp)>,
}

impl<'m> Teller<'m> {
    pub fn new(model: &'m Model) -> Self {
        let (stories, endpoints, switched, left) = Default::default();
        Teller { model, stories, endpoints, switched, left }
    }

    pub fn stories(self) -> Vec<Story> {
        self.stories.into_values().collect()
    }

    pub fn hear(&mut self, event: &Arc<Event>) {
        if event.kind == EventKind::Note {
            return self.note(event);
        }
        let incident = event.incident.map(Key::Incident);
        if let Some(pool) = pool_id(event) {
            match incident {
                Some(key) => self.outage(key, pool, event),
                None => self.switch(pool, event),
            }
            self.out(pool, event);
        } else if let Some(endpoint) = endpoint_id(event) {
            self.endpoint(endpoint, incident, event);
        } else if let Some(story) = incident.and_then(|key| self.stories.get_mut(&key)) {
            story.add(event);
        } else {
            let key = Key::Event(event.sequence);
            let mut story = Story::new(key, Plot::Notice, event.subject.clone(), event);
            story.ends = Some(event.at);
            story.add(event);
            self.stories.insert(key, story);
        }
    }

    /// What people wrote names the story in its subject.
    fn note(&mut self, event: &Arc<Event>) {
        let key = subject_id(event, "history").and_then(|key| key.parse().ok());
        if let Some(story) = key.and_then(|key: Key| self.stories.get_mut(&key)) {
            story.add(event);
        }
    }

    fn outage(&mut self, key: Key, pool: &str, event: &Arc<Event>) {
        let begins = matches!(event.to.as_str(), "down" | "held") && !matches!(event.from.as_str(), "down" | "held");
        let taken = if begins { self.take_endpoints(key, pool) } else { Vec::new() };
        let known = self.stories.get(&key).is_some_and(|story| story.plot == Plot::Outage && !story.subject.is_empty());
        let story = self.stories.entry(key).or_insert_with(|| {
            let mut story = Story::new(key, Plot::Outage, pool.to_owned(), event);
            story.began_earlier = !begins;
            story
        });
        if !known {
            // Its endpoint was heard before.
            story.subject = pool.to_owned();
            story.to = event.to.clone();
            story.began_earlier = !begins;
        }
        if begins {
            story.take_endpoints(taken);
        }
        if begins && story.reaction_ms.is_none() {
            story.cause = event.cause.clone();
            story.begin(event);
        }
        story.add(event);
        story.count_down(&event.to, event.at);
        if event.to == "ok" {
            story.ends = Some(event.at);
            self.leave_endpoints(key, pool, event.at);
        }
    }

    /// What was told of the members of a pool that are down already when it goes down as well: part of its outage from
    /// then on, so that one failure is one story.
    fn take_endpoints(&mut self, outage: Key, pool: &str) -> Vec<Arc<Event>> {
        let mut taken = Vec::new();
        for member in self.members(pool) {
            let Some((_, key)) = self.endpoints.get_mut(member).filter(|(_, key)| *key != outage) else { continue };
            match self.stories.get(key).map(|story| story.plot) {
                Some(Plot::Endpoint) => {
                    taken.extend(self.stories.remove(key).into_iter().flat_map(|story| story.steps));
                    *key = outage;
                }
                // Another pool has it too.
                Some(Plot::Outage) => {
                    let steps = self.stories.get(key).into_iter().flat_map(|story| &story.steps);
                    let own = steps.filter(|event| endpoint_id(event) == Some(member));
                    taken.extend(own.cloned());
                }
                _ => {}
            }
        }
        taken.sort_by_key(|event| event.sequence);
        taken
    }

    /// Members that are still down when their pool answers again: each is a story of its own, which began when it fell.
    fn leave_endpoints(&mut self, outage: Key, pool: &str, at: Timestamp) {
        for member in self.members(pool) {
            let Some((down, key)) = self.endpoints.get_mut(member).filter(|(_, key)| *key == outage) else { continue };
            let told = self.stories.get(&outage).into_iter().flat_map(|story| &story.steps);
            let mut falls: Vec<Arc<Event>> = Vec::new();
            for event in told.filter(|event| down.contains(&event.subject)) {
                match is_down(&event.to) {
                    true => falls.push(event.clone()),
                    false => falls.retain(|fall| fall.subject != event.subject),
                }
            }
            let Some(first) = falls.first() else { continue };
            *key = Key::Event(first.sequence);
            let mut story = Story::new(*key, Plot::Endpoint, member.to_owned(), first);
            falls.iter().for_each(|event| story.add(event));
            self.stories.insert(*key, story);
            self.left.insert(*key, (outage, at));
        }
    }

    /// One that was back soon after its pool was part of the outage all along.
    fn rejoin(&mut self, key: Key, at: Timestamp) {
        let Some((outage, since)) = self.left.remove(&key) else { return };
        if at.duration_since(since) <= TOGETHER
            && let Some(story) = self.stories.remove(&key)
            && let Some(outage) = self.stories.get_mut(&outage)
        {
            let told = outage.steps.last().map_or(0, |event| event.sequence);
            story.steps.iter().filter(|event| event.sequence > told).for_each(|event| outage.add(event));
        }
    }

    fn members(&self, pool: &str) -> impl Iterator<Item = &'m str> + use<'m> {
        let pool = pool.parse().ok().and_then(|id: Id<Pool>| self.model.pools.get(&id));
        pool.into_iter().flat_map(|pool| &pool.members).map(|member| member.endpoint.as_str())
    }

    /// A pool that somebody, or a revision, takes out or puts back.
    fn switch(&mut self, pool: &str, event: &Arc<Event>) {
        if let Some(story) = self.switched.get(pool).and_then(|key| self.stories.get_mut(key)) {
            return story.add(event);
        }
        let key = Key::Event(event.sequence);
        let mut story = Story::new(key, Plot::Switch, pool.to_owned(), event);
        story.is_automatic = false;
        if is_out(&event.to) {
            self.switched.insert(pool.to_owned(), key);
            story.begin(event);
        } else {
            story.began_earlier = is_out(&event.from);
            story.ends = Some(event.at);
        }
        story.add(event);
        self.stories.insert(key, story);
    }

    /// Ends the story of a pool that was taken out.
    fn out(&mut self, pool: &str, event: &Event) {
        if is_out(&event.to) {
            return;
        }
        if let Some(story) = self.switched.remove(pool).and_then(|key| self.stories.get_mut(&key)) {
            story.ends = Some(event.at);
        }
    }

    fn endpoint(&mut self, id: &str, incident: Option<Key>, event: &Arc<Event>) {
        if matches!(event.from.as_str(), "unknown") && !is_down(&event.to) {
            // The first verdict after a start is no news.
            return;
        }
        if is_down(&event.to) {
            let plot = if event.kind == EventKind::Switch { Plot::Switch } else { Plot::Endpoint };
            let new = (Vec::new(), incident.unwrap_or(Key::Event(event.sequence)));
            let (down, key) = self.endpoints.entry(id.to_owned()).or_insert(new);
            down.push(event.subject.clone());
            let key = incident.unwrap_or(*key);
            let story = self.stories.entry(key).or_insert_with(|| match incident {
                Some(_) => Story::new(key, Plot::Outage, String::new(), event),
                None => Story::new(key, plot, id.to_owned(), event),
            });
            if incident.is_none() && story.steps.is_empty() {
                story.begin(event);
            }
            return story.add(event);
        }
        let Some((down, key)) = self.endpoints.get_mut(id) else {
            if let Some(story) = incident.and_then(|key| self.stories.get_mut(&key)) {
                story.add(event);
            }
            return;
        };
        down.retain(|subject| *subject != event.subject);
        let (key, is_over) = (*key, down.is_empty());
        if is_over {
            self.endpoints.remove(id);
        }
        if let Some(story) = self.stories.get_mut(&key) {
            story.add(event);
            if is_over && matches!(story.plot, Plot::Endpoint | Plot::Switch) {
                story.ends = Some(event.at);
                self.rejoin(key, event.at);
            }
        }
        if let Some(story) = incident.filter(|other| *other != key).and_then(|key| self.stories.get_mut(&key)) {
            story.add(event);
        }
    }
}
