//! Recorded flows against a registry: which of them it would deny. The verdict is the kernel's own function over the compiled
//! registry; who asks is in the flow itself.

pub(crate) mod judge;
mod recording;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use enforcer_common::verdict::Action;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::flow::{FlowDestination, FlowWorkload};
use crate::name::Host;
use crate::policy::Settings;
use crate::policy::explain::addresses;
use crate::problem::Problem;
use crate::registry::Registry;
use crate::registry::model::Service;
use crate::vip::sequential::{V4, V6};
use judge::{Asked, Judge, protocol};
use recording::{Recorded, Seen};

pub use recording::{MOST_FLOWS, Recording, TooMany};

/// What became of the flows. The field names are stable.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Simulation {
    /// How many there are.
    pub flows: u64,
    /// How many would be denied.
    pub denied: u64,
    /// How many nobody can judge.
    pub not_judged: u64,
    /// Each different one: what is denied first, then what is not judged, then by workload and destination.
    pub outcomes: Vec<Outcome>,
}

/// What became of the flows of one workload to one destination. The field names are stable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Who asked; `None` for a process without identity.
    pub workload: Option<FlowWorkload>,
    /// `tcp`, `udp`, ...
    pub protocol: String,
    /// Where to, as it was recorded.
    pub destination: FlowDestination,
    /// The address that was judged: another one when the host has another auto-allocated VIP in this registry.
    pub ip: IpAddr,
    /// `allow`, `deny`, `translate` or `not_judged`.
    pub verdict: String,
    /// Why; empty when not judged.
    pub reason: String,
    /// The reason in plain words.
    pub message: String,
    /// What else a person should know.
    pub warnings: Vec<String>,
    /// The verdict of the recording.
    pub recorded_verdict: String,
    /// Its reason.
    pub recorded_reason: String,
    /// How many flows.
    pub count: u64,
    /// The time of the first.
    pub first: Timestamp,
    /// The time of the last.
    pub last: Timestamp,
}

/// The verdict of a flow that nobody can judge.
pub const NOT_JUDGED: &str = "not_judged";

/// Judges `recording` by `registry`. An error only when the registry cannot be compiled.
pub fn simulate(
    registry: &Arc<Registry>,
    settings: &Settings,
    recording: &Recording,
) -> Result<Simulation, Vec<Problem>> {
    let judge = Judge::new(registry, settings, &recording.workloads)?;
    let hosts = auto_hosts(registry, recording);
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(recording.seen.len());
    for (recorded, seen) in &recording.seen {
        outcomes.push(outcome(&judge, &hosts, recording, recorded, *seen));
    }
    let count = |verdict: &str| {
        outcomes.iter().filter(|outcome| outcome.verdict == verdict).map(|outcome| outcome.count).sum()
    };
    let mut simulation = Simulation {
        flows: recording.flows,
        denied: count(Action::Deny.as_str()),
        not_judged: count(NOT_JUDGED),
        outcomes: Vec::new(),
    };
    simulation.outcomes = merged(outcomes);
    Ok(simulation)
}

/// Sorted, and one for all that look the same: whether a socket was connected decides, and is not shown where it makes no
/// difference.
fn merged(mut outcomes: Vec<Outcome>) -> Vec<Outcome> {
    outcomes.sort_by(|a, b| a.place().cmp(&b.place()));
    outcomes.dedup_by(|next, kept| {
        let same = next.place() == kept.place();
        if same {
            kept.count += next.count;
            kept.first = kept.first.min(next.first);
            kept.last = kept.last.max(next.last);
        }
        same
    });
    outcomes
}

impl Outcome {
    /// Its place among the others; two with one place are one.
    fn place(&self) -> impl Ord + '_ {
        let rank = match self.verdict.as_str() {
            "deny" => 0,
            NOT_JUDGED => 1,
            _ => 2,
        };
        let recorded = (&self.recorded_verdict, &self.recorded_reason);
        (rank, &self.workload, &self.destination, &self.protocol, (&self.verdict, &self.reason), recorded)
    }
}

fn outcome(judge: &Judge, hosts: &Hosts, recording: &Recording, recorded: &Recorded, seen: Seen) -> Outcome {
    let mut outcome = Outcome {
        workload: recorded.workload.map(|index| recording.workloads[index].clone()),
        protocol: recorded.protocol.to_string(),
        destination: FlowDestination {
            host: recorded.host.as_deref().map(str::to_owned),
            ip: recorded.ip,
            port: recorded.port,
        },
        ip: recorded.ip,
        verdict: NOT_JUDGED.to_owned(),
        reason: String::new(),
        message: String::new(),
        warnings: Vec::new(),
        recorded_verdict: recorded.verdict.to_string(),
        recorded_reason: recorded.reason.to_string(),
        count: seen.count,
        first: seen.first,
        last: seen.last,
    };
    let Some(workload) = recorded.workload else {
        "the process had no identity: what it may do is not the registry's to say, but --unknown-workload's"
            .clone_into(&mut outcome.message);
        return outcome;
    };
    let Some(protocol) = protocol(&recorded.protocol) else {
        outcome.message = format!("no protocol is called {:?}", recorded.protocol);
        return outcome;
    };
    let (ip, port) = (hosts.address(judge, workload, recorded), recorded.port);
    let asked = Asked { protocol, ip, port, same_family: recorded.unconnected_v6 };
    let verdict = judge.verdict(workload, &asked);
    outcome.ip = ip;
    verdict.action.as_str().clone_into(&mut outcome.verdict);
    verdict.reason.as_str().clone_into(&mut outcome.reason);
    outcome.message = judge.message(workload, protocol, &verdict);
    if verdict.action == Action::Deny {
        let hidden = judge.compiler().hidden_at(judge.workload(workload), ip, asked.slot());
        outcome.warnings = hidden.into_iter().map(|hidden| hidden.told).collect();
    }
    outcome
}

/// The services of hosts that were dialled at an auto-allocated VIP. Such an address belongs to one registry and may be
/// another host's in the next; the workload will ask for the name again.
struct Hosts(HashMap<Host, Vec<Arc<Service>>>);

fn auto_hosts(registry: &Registry, recording: &Recording) -> Hosts {
    let dialled = recording.seen.keys().filter(|recorded| is_auto_allocated(recorded.ip));
    let wanted: HashSet<Host> =
        dialled.filter_map(|recorded| recorded.host.as_deref()).map(Host::new).collect();
    let mut hosts: HashMap<Host, Vec<Arc<Service>>> = HashMap::new();
    for service in registry.services.iter().filter(|service| wanted.contains(service.host())) {
        hosts.entry(service.host().clone()).or_default().push(Arc::clone(service));
    }
    Hosts(hosts)
}

impl Hosts {
    /// The address that `workload` would get for the name behind `recorded`; the recorded one when there is no name.
    fn address(&self, judge: &Judge, workload: usize, recorded: &Recorded) -> IpAddr {
        let name = recorded.host.as_deref().filter(|_| is_auto_allocated(recorded.ip));
        let services = name.and_then(|host| self.0.get(&Host::new(host)));
        let (compiler, spec) = (judge.compiler(), judge.workload(workload));
        let visible = services
            .into_iter()
            .flatten()
            .filter(|service| compiler.is_exported(&service.key, &spec.namespace));
        let mut all = visible.flat_map(|service| addresses(service, &compiler.settings().cluster_id));
        let same_family: Vec<IpAddr> =
            all.by_ref().filter(|ip| ip.is_ipv4() == recorded.ip.is_ipv4()).collect();
        if same_family.contains(&recorded.ip) {
            return recorded.ip;
        }
        same_family.first().copied().unwrap_or(recorded.ip)
    }
}

/// Whether Istio gives addresses like `ip` to services.
pub(crate) fn is_auto_allocated(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => V4.contains(&ip),
        IpAddr::V6(ip) => V6.contains(&ip),
    }
}

#[cfg(test)]
mod tests;
