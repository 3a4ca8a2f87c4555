//! The connections that workloads have already: which of them came in, and closing those that may not stay.
//!
//! Sockets are asked for in the network namespace of their workload. The calling thread must be in the node's own.

mod connection;
mod kept;
mod listeners;
mod owned;
mod room;
mod terminate;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use enforcer_common::addr::Protocol;
use enforcer_common::key::CgroupId;

use crate::links::PodNetwork;
use crate::sockets;
use owned::Lister;

pub use connection::Connection;
pub use terminate::{StorageMap, StorageMaps, Terminated, destroy_one, terminate};

/// Whose connections.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The workload's cgroup.
    pub cgroup: CgroupId,
    /// Its directory.
    pub path: PathBuf,
    /// Its own network namespace, if it is known by the interfaces there. Others that its processes are in are found besides.
    pub network: Option<Arc<PodNetwork>>,
}

/// A connection that somebody else made to a workload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Inbound {
    /// To whom.
    pub workload: CgroupId,
    /// TCP.
    pub protocol: Protocol,
    /// Who made it.
    pub remote: IpAddr,
    /// The port there.
    pub remote_port: u16,
    /// The workload's port.
    pub local_port: u16,
}

/// The TCP connections that came in: those at a port at which the workload listens, but not those that it has with itself, nor any in a
/// namespace that it may have made itself. Half-open ones are among them. What cannot be listed for one subject is logged, and missing.
pub fn inbound(subjects: &[Subject]) -> Vec<Inbound> {
    let mut lister = Lister::new(subjects, &[]);
    let mut found = Vec::new();
    for subject in subjects {
        for owned in lister.owned(sockets::Protocol::Tcp, subject) {
            match owned {
                Ok(owned) => found.extend(owned.inbound().map(|entry| Inbound {
                    workload: subject.cgroup,
                    protocol: connection::protocol(entry.protocol),
                    remote: entry.remote.ip(),
                    remote_port: entry.remote.port(),
                    local_port: entry.local.port(),
                })),
                Err(error) => {
                    let cgroup = subject.path.display();
                    tracing::warn!(
                        %cgroup,
                        "cannot list what came in to a workload before the agent, and may cut it: {error:#}"
                    );
                }
            }
        }
    }
    found
}
