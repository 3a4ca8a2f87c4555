//! Workloads that are not where one could rely on it.

use std::collections::BTreeMap;

use crate::controller::Controller;
use crate::dataplane::Dataplane;
use crate::identity::Identified;
use crate::network::{Interface, Place};

impl<D: Dataplane> Controller<D> {
    /// What of it keeps the agent from being ready.
    pub(super) fn doubts(&self) -> Vec<String> {
        let placed = self.roster.workloads.iter().filter_map(|of| Some((of, self.place_of(of)?)));
        let placed: Vec<(&Identified, &Place)> = placed.collect();
        let enforced = placed.iter().filter(|(of, _)| self.enforces(Some(of)));
        let mut doubts: Vec<String> = enforced.flat_map(|(of, place)| of_one(of, place)).collect();
        let mut shared: BTreeMap<&Interface, Vec<&Identified>> = BTreeMap::new();
        for (of, place) in &placed {
            for interface in &place.shared {
                shared.entry(interface).or_default().push(of);
            }
        }
        // One of them may have it alone, as it had before.
        for (of, place) in &placed {
            for (interface, with) in &mut shared {
                if place.interfaces.contains(*interface) {
                    with.push(of);
                }
            }
        }
        let enforced = shared.into_iter().filter(|(_, with)| with.iter().any(|of| self.enforces(Some(of))));
        doubts.extend(enforced.map(|(interface, with)| {
            let with: Vec<String> = with.into_iter().map(Identified::full_name).collect();
            format!(
                "{} are in one network namespace, and whose a packet at the interface {} is cannot be told: \
                 give each a network namespace of its own, or make one workload of them",
                with.join(" and "),
                interface.name
            )
        }));
        doubts
    }
}

fn of_one(of: &Identified, place: &Place) -> Vec<String> {
    let who = of.full_name();
    let unseen = place.unseen.as_ref().map(|why| {
        format!(
            "not all interfaces of {who} may be known ({why}), and it is judged at its sockets, too: look what its processes do, \
             and whether the agent may look at them"
        )
    });
    let crowded = place.has_more_addresses.then(|| {
        format!(
            "{who} has more addresses than {}, and what it sends from the others is denied: name its own with address=",
            place.addresses.len()
        )
    });
    unseen.into_iter().chain(crowded).collect()
}
