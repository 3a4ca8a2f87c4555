//! One decision of the kernel as people and files know it: an event with names. A line of `enforcer observe -o json` and of the
//! files that `enforcer simulate` reads. The field names are stable.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::registry::model::ObjectRef;

/// One decision.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Flow {
    /// When.
    pub time: Timestamp,
    /// Where it was met: `connect4`, `sendmsg6`, ...
    pub hook: String,
    /// `allow`, `deny` or `translate`.
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// `enforce` or `audit`: whether a denial was one or only would have been.
    pub enforcement: String,
    /// Who asked; `None` for a process without identity.
    pub workload: Option<FlowWorkload>,
    /// The id of the workload's cgroup; of the process's own when it has no identity.
    pub cgroup: u64,
    /// The process.
    pub process: FlowProcess,
    /// `tcp`, `udp`, ...
    pub protocol: String,
    /// The socket's own address and port, as far as they were chosen.
    #[serde(default)]
    pub source: Option<SocketAddr>,
    /// Where to.
    pub destination: FlowDestination,
    /// Where it went instead.
    #[serde(default)]
    pub translated: Option<SocketAddr>,
    /// The line of the registry that decided.
    #[serde(default)]
    pub rule: Option<FlowRule>,
}

/// Whose process it was. Everything that decides what it may see, so that a recorded flow can be judged again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct FlowWorkload {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// The process.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FlowProcess {
    /// Its id in the initial pid namespace.
    pub id: u32,
    /// The name of its thread.
    pub name: String,
}

/// Where to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct FlowDestination {
    /// A host that stands behind the address, when one is known.
    #[serde(default)]
    pub host: Option<String>,
    /// The address that was asked for.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
}

/// The line that decided.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FlowRule {
    /// Its number in the maps.
    pub id: u32,
    /// Its object.
    pub object: ObjectRef,
}

impl Flow {
    /// Whether it was denied, or would have been.
    pub fn is_denial(&self) -> bool {
        self.verdict == "deny"
    }

    /// Whether it was stopped.
    pub fn is_blocked(&self) -> bool {
        self.is_denial() && self.enforcement == "enforce"
    }
}

/// One destination that was denied, or would have been, and how often.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Denied {
    /// Who asked; `None` for a process without identity.
    pub workload: Option<FlowWorkload>,
    /// `tcp`, `udp`, ...
    pub protocol: String,
    /// Where to.
    pub destination: FlowDestination,
    /// Why.
    pub reason: String,
    /// The line of the registry that decided last.
    pub rule: Option<FlowRule>,
    /// How often the agent was told; what the kernel suppressed is not in it.
    pub count: u64,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
}

/// Everything that was denied, or would have been, since the agent started.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DeniedList {
    /// By workload, protocol, destination and reason.
    pub denied: Vec<Denied>,
    /// Denials of further destinations, for which there was no room.
    pub did_not_fit: u64,
}
