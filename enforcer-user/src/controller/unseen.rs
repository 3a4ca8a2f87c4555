//! Connections that reach a workload without having passed the node's side of its interface. What they are told by, a workload can
//! forge: they are told to the operator, and nothing is decided by them.

use std::collections::BTreeSet;

use enforcer_common::key::CgroupId;

use crate::controller::Controller;
use crate::dataplane::Dataplane;

/// How many ticks pass between two looks.
const LOOK_AGAIN: u32 = 3;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    workloads: BTreeSet<CgroupId>,
    ticks: u32,
}

impl Unseen {
    /// Whether this workload has such connections.
    pub(super) fn has(&self, workload: CgroupId) -> bool {
        self.workloads.contains(&workload)
    }
}

impl<D: Dataplane> Controller<D> {
    /// Looks when it is time, at each interface once; whether there is anything to publish.
    pub(super) fn look_for_unseen(&mut self) -> bool {
        self.unseen.ticks += 1;
        if self.unseen.ticks < LOOK_AGAIN {
            return false;
        }
        let found: BTreeSet<CgroupId> =
            self.covered.iter().copied().filter(|it| self.has_unseen(*it)).collect();
        let last = std::mem::replace(&mut self.unseen, Unseen { workloads: found, ticks: 0 }).workloads;
        for identified in &self.roster.workloads {
            let Some(cgroup) = &identified.cgroup else { continue };
            let workload = identified.full_name();
            match (last.contains(&cgroup.id), self.unseen.has(cgroup.id)) {
                (false, true) => tracing::warn!(
                    workload,
                    "connections reach a workload without passing the node's side of its interface; see its notes in enforcer status"
                ),
                (true, false) => tracing::info!(
                    workload,
                    "for a minute no connection has reached the workload without passing the node's side of its interface"
                ),
                _ => {}
            }
        }
        last != self.unseen.workloads
    }

    fn has_unseen(&self, workload: CgroupId) -> bool {
        let place = self.network.workloads.get(&workload);
        let mut inside = place.into_iter().flat_map(|place| &place.inside);
        inside.any(|index| {
            let found = self.dataplane.has_unseen(workload, *index);
            found.unwrap_or_else(|error| {
                tracing::debug!(error = format!("{error:#}"), "cannot look for connections that nobody saw");
                false
            })
        })
    }
}
