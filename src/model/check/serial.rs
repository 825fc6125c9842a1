//! Zone serials: they move with every published change of what the zone says, and never back
//! (RFC 1982).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::{Id, Policy, Zone};
use super::Kind;
use super::apply::Draft;

/// True when `serial` comes after `other` (RFC 1982 section 3.2).
pub(in crate::model) fn is_newer(serial: u32, other: u32) -> bool {
    (serial.wrapping_sub(other) as i32) > 0
}

/// One more, and never 0, which some secondaries take for "unknown".
fn next(serial: u32) -> u32 {
    serial.wrapping_add(1).max(1)
}

/// A serial can be raised by hand, as when a zone moves here from another server, but not lowered.
pub(super) fn inherit(zone: &mut Zone, old: Option<&Zone>) {
    match old {
        Some(old) if !is_newer(zone.serial, old.serial) => zone.serial = old.serial,
        None if zone.serial == 0 => zone.serial = 1,
        _ => {}
    }
}

/// Moves the serial of each zone that now says something else: in its own fields, in its record sets,
/// or through a policy whose answers can differ.
pub(super) fn advance(draft: &mut Draft, affected: &BTreeSet<Id<Policy>>) {
    let mut zones: BTreeSet<Id<Zone>> = draft.touched.records.iter().map(|key| key.zone.clone()).collect();
    for id in affected {
        let states = [draft.before.policies.get(id), draft.model.policies.get(id)];
        zones.extend(states.into_iter().flatten().flat_map(|policy| &policy.attach).map(|attach| attach.zone.clone()));
    }
    let touched = draft.touched.entities.iter().filter(|(kind, _)| *kind == Kind::Zones);
    zones.extend(touched.filter_map(|(_, id)| id.parse().ok()));
    for id in zones {
        let (Some(old), Some(zone)) = (draft.before.zones.get(&id), draft.model.zones.get_mut(&id)) else { continue };
        if zone.serial == old.serial {
            Arc::make_mut(zone).serial = next(old.serial);
            draft.touched.entities.insert((Kind::Zones, id.as_str().into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_only_move_forward_and_skip_zero() {
        assert_eq!(next(7), 8);
        assert_eq!(next(u32::MAX), 1);
        assert!(is_newer(1, u32::MAX));
        assert!(!is_newer(7, 7));
        assert!(!is_newer(7, 8));
    }
}
