//! Interfaces of the node, as the status tells of them.

use serde::{Deserialize, Serialize};

/// One that has programs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// `workload` or `uplink`.
    pub side: String,
    /// `namespace/name` of the workload behind it, if it is known.
    pub workload: Option<String>,
    /// `first`, `behind` other programs, or `missing`: as it was when somebody looked last.
    pub order: String,
    /// The programs that see packets before ours and may hide them.
    pub before: Vec<ProgramStatus>,
}

/// Somebody else's program.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct ProgramStatus {
    /// As `bpftool prog` shows it.
    pub id: u32,
    /// Its name; empty when it has gone.
    pub name: String,
}

/// One that should have programs and has none.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct UnattachedInterface {
    /// Its name.
    pub name: String,
    /// Why not.
    pub why: String,
}
