//! Denials added up since the agent started, one line per destination: what a registry would need so that they end.

use std::collections::BTreeMap;

use enforcer_core::flow::{Denied, DeniedList, Flow, FlowDestination, FlowRule, FlowWorkload};
use jiff::Timestamp;

/// Destinations that are kept. At some 500 bytes each (a workload with labels, a destination, a reason) 10 MB.
pub(super) const DESTINATIONS: usize = 20_000;

/// Workload, protocol, destination and reason.
type Key = (Option<FlowWorkload>, String, FlowDestination, String);

/// How often.
#[derive(Debug)]
struct Times {
    rule: Option<FlowRule>,
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

/// All of them. What comes first stays: what is denied all the time is there early, and a scan of many ports must not drive it
/// out.
#[derive(Debug, Default)]
pub(super) struct Tally {
    known: BTreeMap<Key, Times>,
    did_not_fit: u64,
}

impl Tally {
    /// Adds a denial.
    pub(super) fn add(&mut self, flow: &Flow) {
        let key: Key =
            (flow.workload.clone(), flow.protocol.clone(), flow.destination.clone(), flow.reason.clone());
        if let Some(times) = self.known.get_mut(&key) {
            times.count += 1;
            times.last = times.last.max(flow.time);
            times.rule.clone_from(&flow.rule);
        } else if self.known.len() < DESTINATIONS {
            let (first, last) = (flow.time, flow.time);
            self.known.insert(key, Times { rule: flow.rule.clone(), count: 1, first, last });
        } else {
            self.did_not_fit += 1;
        }
    }

    pub(super) fn list(&self) -> DeniedList {
        let denied = self.known.iter().map(|((workload, protocol, destination, reason), times)| Denied {
            workload: workload.clone(),
            protocol: protocol.clone(),
            destination: destination.clone(),
            reason: reason.clone(),
            rule: times.rule.clone(),
            count: times.count,
            first: times.first,
            last: times.last,
        });
        DeniedList { denied: denied.collect(), did_not_fit: self.did_not_fit }
    }
}
