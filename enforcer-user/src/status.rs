//! What the agent says of itself: one snapshot, made after every change that reached the kernel. Serialised as it is by
//! `enforcer status -o json`; the field names are stable.

pub mod updates;

use enforcer_core::problem::Problem;
use serde::{Deserialize, Serialize};

/// All of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// `enforce`, `audit` or `off`: what the kernel holds.
    pub enforcement: String,
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
    /// Its outbound policy.
    pub outbound_policy: String,
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
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
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
