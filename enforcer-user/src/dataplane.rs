//! The kernel: loading, attaching, pinning, and the maps. The only part of the agent that knows eBPF.
//!
//! Everything is pinned below `<pin-dir>/v<ABI>`: `maps/<NAME>`, `links/<cgroup id>/<program>` and
//! `interfaces/<index>/<program>`. A link's pin keeps its
//! program attached whatever becomes of the agent; a new agent finds the pins, loads its own programs over the same
//! maps, and puts them into the links one by one ([`attach`]), so that no instant is without a program.

pub mod allowed;
pub mod attach;
pub mod counters;
pub mod detach;
mod elders;
#[cfg(test)]
pub mod fake;
pub mod flow_tables;
pub mod interface;
pub mod judge;
pub mod kernel;
pub mod load;
pub mod maps;
pub mod misplaced;
mod offsets;
pub mod pin;
pub mod places;
pub mod probe;
pub mod read;
pub mod ring;
pub mod socket_maps;
#[cfg(test)]
mod stack;
#[cfg(test)]
mod stage;
pub mod switch;
mod sys;
pub mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use enforcer_common::id::RuleId;
use enforcer_common::key::CgroupId;
use enforcer_common::mode::{Enforcement, Switch};
use enforcer_common::verdict::{Lookup, Tables, Workload};
use enforcer_core::policy::image::{Image, MapOp};

pub use kernel::Kernel;
pub use misplaced::{Misplaced, Trouble};
pub use places::{InboundFlow, Layout, Placed};

/// Whose connections are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose<'a> {
    /// Those of this workload.
    Workload(CgroupId),
    /// Those of all workloads at this cgroup or below it.
    Below(&'a Path),
}

/// Tells which connections others have made to workloads.
pub type Inbound<'a> = dyn Fn(Whose<'_>) -> Vec<InboundFlow> + 'a;

/// What the controller drives: the kernel, or maps in memory.
pub trait Dataplane: Send + Sync {
    /// The maps, as the verdict reads them.
    type Tables: Tables;

    /// What the maps hold.
    fn read(&self) -> Result<Image>;

    /// Does the operations, in order. On an error the maps are somewhere between two states: read them back.
    fn apply(&mut self, ops: &[MapOp]) -> Result<()>;

    /// Writes the node's settings; the switch last, and only when the flag is not what it was: somebody may have turned it.
    fn configure(&mut self, settings: &NodeSettings) -> Result<()>;

    /// The switch, as it was turned last.
    fn switch(&self) -> Result<Switch>;

    /// Attaches to these cgroups and to no others; on an error to all that it can. `inbound` tells which connections exist already, when what comes in is recorded
    /// and before what goes out is judged.
    fn attach(&mut self, cgroups: &[(CgroupId, PathBuf)], inbound: &Inbound<'_>) -> Result<()>;

    /// Attaches to these interfaces and to no others, and lets the programs know whose they are. Those that could not be are told;
    /// they are tried again the next time. `inbound` is asked for those that were there the first time, or have had programs: what came while
    /// the agent ran has no connections from before. What older versions have attached goes at the end of the first time.
    fn place(&mut self, layout: &Layout, inbound: &Inbound<'_>) -> Result<BTreeMap<u32, String>>;

    /// Looks whether ours come before all other programs of the interfaces, and puts right what does not. Returns what did not, and
    /// what could not be looked at.
    fn check_order(&mut self, inbound: &Inbound<'_>) -> Result<Vec<Misplaced>>;

    /// Whether within a minute a connection has reached `workload` by the interface that it knows as number `inside`, without passing the
    /// node's side of that.
    fn has_unseen(&self, workload: CgroupId, inside: u32) -> Result<bool>;

    /// Whether what was attached still is: not after `enforcer detach`.
    fn is_intact(&self) -> bool;

    /// The cgroups that have programs.
    fn attached(&self) -> &[(CgroupId, PathBuf)];

    /// The maps, for `explain`.
    fn tables(&self) -> &Self::Tables;

    /// What the maps know of one workload.
    fn workload(&self, cgroup: CgroupId) -> Lookup<Workload>;

    /// Flows that met a rule.
    fn flows(&self, rule: RuleId) -> u64;
}

/// The node-wide settings that programs read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeSettings {
    /// The agent's flag.
    pub enforcement: Enforcement,
    /// What a process without identity may do.
    pub unknown_workload_allowed: bool,
    /// The cgroups whose processes have no identity: those above the workloads.
    pub roots: Vec<CgroupId>,
    /// The depths of these and of the workloads' cgroups, deepest first.
    pub levels: Vec<u8>,
    /// Events per second and workload.
    pub event_rate: u64,
    /// Seconds for which established flows to an endpoint that was removed go on.
    pub endpoint_grace: u64,
    /// The node's own addresses, loopback left out.
    pub addresses: Arc<BTreeSet<IpAddr>>,
}

/// The kernel programs, as built from `enforcer-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/enforcer"));

/// What tells this build's kernel programs from others: FNV-1a over the object.
pub fn object_hash() -> String {
    let hash = OBJECT.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
