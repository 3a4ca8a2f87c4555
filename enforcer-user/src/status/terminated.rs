//! Connections that were closed, as the status tells of them.

use serde::{Deserialize, Serialize};

/// All since the agent started.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TerminatedStatus {
    /// Connections that were closed: after a narrowing, by `--terminate-existing`, or because a packet of theirs was denied.
    pub total: u64,
    /// Those of them whose packet was denied where nobody else tells their program: in a cgroup without interfaces.
    pub denied: u64,
    /// The last time that existing connections were looked at; null without `--terminate-existing`.
    pub last: Option<LastTermination>,
}

/// What became of existing connections.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LastTermination {
    /// Looked at.
    pub looked_at: u64,
    /// Closed.
    pub closed: u64,
    /// Not to stay, and could not be closed.
    pub failed: u64,
    /// Not to stay as far as is known, but too little is.
    pub spared: u64,
}
