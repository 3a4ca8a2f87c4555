//! Recorded flows, each different one once: what a file of any length takes in memory is what differs in it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::flow::{Denied, Flow, FlowDestination, FlowWorkload};

/// How many different flows are kept: some 300 MB.
pub const MOST_FLOWS: usize = 1_000_000;

/// The hook whose sockets cannot have their datagrams sent to the other address family.
const UNCONNECTED_V6: &str = "sendmsg6";

/// There are more different flows than can be judged together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("more than {MOST_FLOWS} different flows; split the file")]
pub struct TooMany;

/// Flows, counted.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// How many flows.
    pub(super) flows: u64,
    pub(super) workloads: Vec<FlowWorkload>,
    indices: BTreeMap<FlowWorkload, usize>,
    texts: BTreeSet<Arc<str>>,
    pub(super) seen: BTreeMap<Recorded, Seen>,
}

/// What tells one recorded flow from another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Recorded {
    pub(super) workload: Option<usize>,
    pub(super) protocol: Arc<str>,
    pub(super) host: Option<Arc<str>>,
    pub(super) ip: IpAddr,
    pub(super) port: u16,
    pub(super) unconnected_v6: bool,
    pub(super) verdict: Arc<str>,
    pub(super) reason: Arc<str>,
}

/// How often, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    pub(super) count: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

impl Recording {
    /// Takes one in.
    pub fn add(&mut self, flow: &Flow) -> Result<(), TooMany> {
        let recorded = Recorded {
            workload: flow.workload.as_ref().map(|workload| self.workload(workload)),
            protocol: self.text(&flow.protocol),
            host: flow.destination.host.as_deref().map(|host| self.text(host)),
            // As the kernel sees it: a mapped address is the IPv4 address.
            ip: flow.destination.ip.to_canonical(),
            port: flow.destination.port,
            unconnected_v6: flow.hook == UNCONNECTED_V6,
            verdict: self.text(&flow.verdict),
            reason: self.text(&flow.reason),
        };
        let is_full = self.seen.len() >= MOST_FLOWS;
        match self.seen.get_mut(&recorded) {
            Some(known) => {
                known.count += 1;
                known.first = known.first.min(flow.time);
                known.last = known.last.max(flow.time);
            }
            None if is_full => return Err(TooMany),
            None => {
                self.seen.insert(recorded, Seen { count: 1, first: flow.time, last: flow.time });
            }
        }
        self.flows += 1;
        Ok(())
    }

    /// How many flows it has.
    pub fn flows(&self) -> u64 {
        self.flows
    }

    /// Every destination as if it had been denied: which of them a registry denies is for [`crate::suggest::suggest`] to find
    /// out, since the flows may be of a time when nothing was enforced.
    pub fn destinations(&self) -> Vec<Denied> {
        let denied = |(recorded, seen): (&Recorded, &Seen)| Denied {
            workload: recorded.workload.map(|index| self.workloads[index].clone()),
            protocol: recorded.protocol.to_string(),
            destination: FlowDestination {
                host: recorded.host.as_deref().map(str::to_owned),
                ip: recorded.ip,
                port: recorded.port,
            },
            reason: recorded.reason.to_string(),
            rule: None,
            count: seen.count,
            first: seen.first,
            last: seen.last,
        };
        self.seen.iter().map(denied).collect()
    }

    fn workload(&mut self, workload: &FlowWorkload) -> usize {
        if let Some(index) = self.indices.get(workload) {
            return *index;
        }
        let index = self.workloads.len();
        self.workloads.push(workload.clone());
        self.indices.insert(workload.clone(), index);
        index
    }

    /// One copy of each text.
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let text: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&text));
        text
    }
}
