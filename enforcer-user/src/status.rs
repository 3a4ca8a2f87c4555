//! What the agent says of itself: one snapshot, made after every change that reached the kernel. Serialised as it is by
//! `enforcer status -o json`; the field names are stable.

pub mod canary;
pub mod interfaces;
pub mod terminated;
pub mod updates;

use enforcer_common::mode::{Enforcement, Switch};
use enforcer_core::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::clock;
use canary::CanaryStatus;
use interfaces::{InterfaceStatus, UnattachedInterface};
use terminated::TerminatedStatus;

/// All of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// `enforce`, `audit` or `off`: what the kernel holds.
    pub enforcement: String,
    /// `flag`; `mode` when `enforcer mode` has made it something else, now or for later; `detach` when nothing is left.
    #[serde(default)]
    pub enforcement_from: String,
    /// The agent's `--enforcement`.
    #[serde(default)]
    pub enforcement_flag: String,
    /// Until when it is so (RFC 3339), if somebody has said so.
    #[serde(default)]
    pub enforcement_until: Option<String>,
    /// What comes then.
    #[serde(default)]
    pub enforcement_then: Option<String>,
    /// The node's policy: `REGISTRY_ONLY`, `ALLOW_ANY` or `unknown`; and where it comes from.
    pub outbound_policy: String,
    /// `flag` or `mesh`.
    pub outbound_policy_from: String,
    /// Counts every registry that reached the kernel.
    pub revision: u64,
    /// Services in it.
    pub services: usize,
    /// Where it comes from.
    pub sources: Vec<SourceStatus>,
    /// Cgroups below which programs are attached.
    pub attached: Vec<String>,
    /// Workloads of this node.
    pub workloads: Vec<WorkloadStatus>,
    /// Interfaces that have programs.
    #[serde(default)]
    pub interfaces: Vec<InterfaceStatus>,
    /// The node's own among them, by `--uplink`.
    #[serde(default)]
    pub uplinks: Vec<String>,
    /// Interfaces that should have programs and cannot.
    #[serde(default)]
    pub unattached_interfaces: Vec<UnattachedInterface>,
    /// Interfaces that a pattern of `--interface` names and that no known workload has.
    #[serde(default)]
    pub unknown_interfaces: Vec<String>,
    /// Interfaces that a pattern names and whose packets no program can read: not Ethernet.
    #[serde(default)]
    pub unreadable_interfaces: Vec<String>,
    /// How often other programs were found before ours, or ours gone, since the agent started.
    #[serde(default)]
    pub order_lost: u64,
    /// What became of the canaries.
    #[serde(default)]
    pub canary: CanaryStatus,
    /// Connections that were closed.
    #[serde(default)]
    pub terminated: TerminatedStatus,
    /// How full the maps are.
    pub maps: Vec<MapStatus>,
    /// Decisions by reason, since the maps were made; reasons never met are left out.
    pub decisions: Vec<DecisionCount>,
    /// Events that were not sent: over the rate, or the ring was full.
    pub events_suppressed: u64,
    /// The last denials, the newest first.
    pub denials: Vec<Denial>,
    /// What is wrong with the input.
    pub problems: Vec<Problem>,
    /// Whether the agent does what it was told.
    pub ready: bool,
    /// Why not.
    pub not_ready: Vec<String>,
}

impl Status {
    /// Says what is enforced with this switch at this second since boot: on the node, and of each workload.
    pub fn follow(&mut self, switch: Switch, second: u64) {
        let switch = switch.settled(second);
        let node = switch.now.as_str();
        let later = switch.later.map(|(later, _)| later.as_str());
        let as_flag = |enforcement: &str| enforcement == self.enforcement_flag;
        let from = if as_flag(node) && later.is_none_or(as_flag) { "flag" } else { "mode" };
        from.clone_into(&mut self.enforcement_from);
        node.clone_into(&mut self.enforcement);
        self.enforcement_until = switch.later.map(|(_, until)| clock::rfc3339(until));
        self.enforcement_then = later.map(str::to_owned);
        for workload in &mut self.workloads {
            let own = workload.own_enforcement.as_deref().filter(|_| switch.now != Enforcement::Off);
            workload.enforcement = own.unwrap_or(node).to_owned();
        }
    }
}

/// One source.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SourceStatus {
    /// As it was typed: `file:/etc/enforcer/registry`.
    pub source: String,
    /// Counts its changes.
    pub revision: u64,
    /// Seconds since the last one.
    pub age_seconds: u64,
    /// Objects in it.
    pub objects: usize,
    /// Files that it had and cannot read now: their last good objects stay.
    pub stale_files: Vec<String>,
}

/// One workload.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct WorkloadStatus {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its cgroup.
    pub cgroup: String,
    /// Its effective enforcement.
    pub enforcement: String,
    /// Its own, where it has one; the node's `off` ends that, too.
    #[serde(default)]
    pub own_enforcement: Option<String>,
    /// Its outbound policy.
    pub outbound_policy: String,
    /// `sidecar` or `ambient`, if a mesh proxy stands beside it.
    #[serde(default)]
    pub mesh: Option<String>,
    /// Whether its packets are judged at its interfaces; else only what its sockets do is.
    #[serde(default)]
    pub covered: bool,
    /// The node's side of its interfaces.
    #[serde(default)]
    pub interfaces: Vec<String>,
    /// Its interfaces, as it calls them, without such a side.
    #[serde(default)]
    pub uncovered: Vec<String>,
    /// Its own addresses.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// What a person should know and that is no fault.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Events of it that were not sent.
    pub events_suppressed: u64,
}

/// One map.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct MapStatus {
    /// Its name.
    pub map: String,
    /// Entries of the compiled registry.
    pub used: usize,
    /// How many there may be.
    pub limit: usize,
}

/// Decisions for one reason.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DecisionCount {
    /// The reason.
    pub reason: String,
    /// While enforcing.
    pub enforced: u64,
    /// While auditing: what would have been.
    pub audited: u64,
}

/// One denial.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Denial {
    /// Seconds ago.
    pub age_seconds: u64,
    /// `namespace/name` of the workload; the cgroup's id when unknown.
    pub workload: String,
    /// The process.
    pub pid: u32,
    /// Its name.
    pub command: String,
    /// `ip:port/protocol`
    pub destination: String,
    /// Why.
    pub reason: String,
    /// Whether it was blocked (`enforce`) or only recorded (`audit`).
    pub blocked: bool,
    /// Where it was met.
    pub hook: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_enforced_follows_the_switch_and_its_end() {
        let own = |name: &str, own: Option<&str>| WorkloadStatus {
            name: name.to_owned(),
            own_enforcement: own.map(str::to_owned),
            ..WorkloadStatus::default()
        };
        let mut status = Status {
            enforcement_flag: "enforce".to_owned(),
            workloads: vec![own("a", None), own("b", Some("audit")), own("c", Some("enforce"))],
            ..Status::default()
        };
        let until = clock::since_boot() + 1_000;
        for (switch, second, node, from, then, workloads) in [
            (Switch::to(Enforcement::Enforce), 0, "enforce", "flag", None, ["enforce", "audit", "enforce"]),
            (Switch::to(Enforcement::Audit), 0, "audit", "mode", None, ["audit", "audit", "enforce"]),
            (Switch::to(Enforcement::Off), 0, "off", "mode", None, ["off", "off", "off"]),
            (
                Switch { now: Enforcement::Off, later: Some((Enforcement::Enforce, until)) },
                until - 1,
                "off",
                "mode",
                Some("enforce"),
                ["off", "off", "off"],
            ),
            (
                Switch { now: Enforcement::Off, later: Some((Enforcement::Enforce, until)) },
                until,
                "enforce",
                "flag",
                None,
                ["enforce", "audit", "enforce"],
            ),
        ] {
            status.follow(switch, second);
            assert_eq!((status.enforcement.as_str(), status.enforcement_from.as_str()), (node, from));
            assert_eq!(status.enforcement_then.as_deref(), then);
            assert_eq!(status.enforcement_until.is_some(), then.is_some());
            let found: Vec<&str> =
                status.workloads.iter().map(|workload| workload.enforcement.as_str()).collect();
            assert_eq!(found, workloads, "{switch:?} at {second}");
        }
    }
}
