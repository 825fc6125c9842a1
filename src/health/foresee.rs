//! The table as it would be with another model, or with other states of one endpoint: as far as the table itself says.
//! For previews. Where the checks would have to speak first the state is not known, which counts as usable.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::index::Index;
use super::settle::{addresses, ruled};
use super::{Address, EndpointHealth, EndpointState, Family, FamilyHealth, HealthTable};
use crate::model::{Endpoint, Id, Model};

impl HealthTable {
    /// Once `after` is in force in place of `before`: what is served always or never, and what depends on others. Pools
    /// stay as they are.
    pub fn foresee(&self, before: &Model, after: &Model) -> HealthTable {
        let is_changed = |(id, is): &(&Id<Endpoint>, &Arc<Endpoint>)| {
            before.endpoints.get(*id).is_none_or(|was| !Arc::ptr_eq(was, is))
        };
        let changed: Vec<_> = after.endpoints.iter().filter(is_changed).map(|(id, _)| id.clone()).collect();
        let mut then = self.clone();
        self.follow(&mut then, before, after, changed);
        then
    }

    /// Once the addresses of an endpoint have these states, whatever says so; what somebody forced before has ended.
    pub fn foresee_states(
        &self,
        model: &Model,
        id: &Id<Endpoint>,
        states: &BTreeMap<Family, EndpointState>,
    ) -> HealthTable {
        let mut then = self.clone();
        let EndpointHealth { families } = Arc::make_mut(then.endpoints.entry(id.clone()).or_default());
        for (family, state) in states {
            let known = families.entry(*family).or_default();
            (known.state, known.forced) = (*state, None);
        }
        let dependents = Index::build(model).dependents.remove(id).unwrap_or_default();
        self.follow(&mut then, model, model, dependents);
        then
    }

    /// Judges `queue`, and all that depends on it.
    fn follow(&self, then: &mut HealthTable, before: &Model, after: &Model, mut queue: Vec<Id<Endpoint>>) {
        if queue.is_empty() {
            return;
        }
        let dependents = Index::build(after).dependents;
        while let Some(id) = queue.pop() {
            let Some(endpoint) = after.endpoints.get(&id) else { continue };
            let known = then.endpoints.get(&id).cloned().unwrap_or_default();
            let family = |(family, address)| {
                let now = known.families.get(&family).cloned().unwrap_or_default();
                let was = before.endpoints.get(&id).filter(|was| Address::of(was, family) == Some(address));
                // What its checks say is in the table only where nothing else decided before.
                let checked = was.is_some_and(|was| ruled(was, now.forced, |needed| self.is_down(needed)).is_none());
                let state = match ruled(endpoint, now.forced, |needed| then.is_down(needed)) {
                    Some((state, _)) => state,
                    None if checked => now.state,
                    None => EndpointState::Unknown,
                };
                (family, FamilyHealth { state, ..now })
            };
            let families: BTreeMap<Family, FamilyHealth> = addresses(endpoint).map(family).collect();
            if families != known.families {
                then.endpoints.insert(id.clone(), Arc::new(EndpointHealth { families }));
                queue.extend(dependents.get(&id).into_iter().flatten().cloned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::health::Health;

    fn model(endpoints: &Value) -> Arc<Model> {
        let empty = Model::empty();
        let document = json!({ "endpoints": endpoints });
        Arc::new(empty.check(&empty.edits_to(&document).unwrap()).unwrap().model)
    }

    fn states(table: &HealthTable) -> Vec<String> {
        let state = |(id, known): (&Id<Endpoint>, &Arc<EndpointHealth>)| {
            known.families.values().map(|family| format!("{id} {}", family.state)).collect::<Vec<_>>()
        };
        table.endpoints.iter().flat_map(state).collect()
    }

    #[test]
    fn what_is_foreseen_is_what_comes_to_be() {
        let address = |n: u8| format!("192.0.2.{n}");
        let plain = json!({ "db": { "ipv4": address(1) }, "web": { "ipv4": address(2), "depends_on": ["db"] } });
        let with = |path: &str, value: Value| {
            let mut changed = plain.clone();
            *changed.pointer_mut(path).unwrap() = value;
            changed
        };
        let never = json!({ "ipv4": address(1), "serve": "never" });
        let always = json!({ "ipv4": address(2), "depends_on": ["db"], "serve": "always" });
        let worlds = [plain.clone(), with("/db", never.clone()), with("/web", always.clone()), {
            let mut both = with("/db", never);
            both["web"] = always;
            both["last"] = json!({ "ipv4": address(3), "depends_on": ["web", "db"] });
            both
        }];
        for before in &worlds {
            for after in &worlds {
                let (before, after) = (model(before), model(after));
                let (mut health, _) = Health::new(&before, &[], 0);
                let foreseen = health.table().foresee(&before, &after);
                health.reconfigure(&after, 0);
                // Nobody watches these: what would have to be asked first is up at once.
                let foreseen: Vec<String> =
                    states(&foreseen).iter().map(|said| said.replace("unknown", "up")).collect();
                let kept: Vec<String> = states(health.table());
                for said in &kept {
                    assert!(foreseen.contains(said), "{said}: {foreseen:?}");
                }
            }
        }
    }

    #[test]
    fn what_depends_on_an_endpoint_goes_with_it() {
        let world = model(&json!({
            "db": { "ipv4": "192.0.2.1", "ipv6": "2001:db8::1" },
            "web": { "ipv4": "192.0.2.2", "depends_on": ["db"] },
        }));
        let (health, _) = Health::new(&world, &[], 0);
        let then = |down: &[Family]| {
            let down = down.iter().map(|family| (*family, EndpointState::Down)).collect();
            health.table().foresee_states(&world, &"db".parse().unwrap(), &down)
        };
        let web = "web".parse().unwrap();
        assert!(!then(&[Family::Ipv4]).is_down(&web), "its other address is left");
        assert!(then(&[Family::Ipv4, Family::Ipv6]).is_down(&web));
    }
}
