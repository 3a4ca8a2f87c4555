//! Interfaces that several workloads have: by a packet of theirs nobody can tell whose it is.

use std::collections::{BTreeMap, BTreeSet};

use enforcer_common::key::CgroupId;

use super::{Interface, Place};

/// Who has the interfaces that more than one workload has.
pub(super) fn contested(workloads: &BTreeMap<CgroupId, Place>) -> BTreeMap<Interface, BTreeSet<CgroupId>> {
    let mut claims: BTreeMap<Interface, BTreeSet<CgroupId>> = BTreeMap::new();
    for (cgroup, place) in workloads {
        for interface in place.interfaces.iter().chain(&place.shared) {
            claims.entry(interface.clone()).or_default().insert(*cgroup);
        }
    }
    claims.retain(|_, claimants| claimants.len() > 1);
    claims
}

/// Takes them away from all that have them, but for one that has them alone: it was that one's alone in `last` (who joins it or is
/// joined by it later takes nothing from it, least of all its programs), or it is seen only where only that one is.
pub(super) fn settle(workloads: &mut BTreeMap<CgroupId, Place>, last: &BTreeMap<CgroupId, Place>) {
    for (interface, claimants) in contested(workloads) {
        let had = |cgroup: &CgroupId| last.get(cgroup).is_some_and(|place| place.has(interface.index));
        let sees = |cgroup: &CgroupId| workloads.get(cgroup).is_some_and(|place| place.sees(interface.index));
        let seen_by: BTreeSet<CgroupId> = claimants.iter().copied().filter(sees).collect();
        let had: Vec<CgroupId> = claimants.iter().copied().filter(had).collect();
        let owner = match &had[..] {
            [owner] => Some(*owner),
            [] if seen_by.len() == 1 => seen_by.first().copied(),
            _ => None,
        };
        for cgroup in claimants {
            let Some(place) = workloads.get_mut(&cgroup) else { continue };
            place.interfaces.remove(&interface);
            place.shared.remove(&interface);
            if owner == Some(cgroup) {
                place.interfaces.insert(interface.clone());
            } else if owner.is_none() || seen_by.contains(&cgroup) {
                place.shared.insert(interface.clone());
            }
            place.add_up_addresses();
        }
    }
}
