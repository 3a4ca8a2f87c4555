//! From the registry to the maps: what every workload of this node may reach.
//!
//! A service makes *offers* ([`offer`]): at this address (or network, or any address), for this protocol and port, do this.
//! Offers become [`image::Image`] cells per view. The rules, in the order in which they apply:
//!
//! 1. **Visibility.** A workload sees the offers whose service's audience includes its namespace and whose port its
//!    Sidecar imports; a mesh proxy sees, beyond that, what the mesh needs (endpoints and tunnels of what it sees, waypoints,
//!    network gateways, istiod). Offers that every workload may see are *public*. A workload whose Sidecar narrows nothing inherits the
//!    public part; any other has a view that holds everything it sees.
//! 2. **Conflict.** Of the visible offers at one place (address, network, or any) for one protocol and port, one wins:
//!    what allows before what only needs a name, what every workload may have before what only mesh proxies may, then Kubernetes, then the workload's own namespace, then the oldest, then
//!    namespace/name/host/address index, then the order within the service (port by port, its own address before its
//!    endpoints). In the public part itself "own namespace" does not count.
//! 3. **Level.** In an inheriting view a winner that also wins in the public part is found there; every other winner is found in
//!    the view itself. The levels are searched in this order, the first rule is the answer: exact address (view, public),
//!    longest prefix (view, public), any address (view, public). In a prefix level the rules of all covering
//!    prefixes of the same level count, the longest first.
//! 4. **Protection.** At an address that is a ClusterIP, an endpoint of a Kubernetes Service or an address of the node, a
//!    ServiceEntry allows, but never translates: at the exact address its translating offers do not exist, and a network whose
//!    winner translates has no rule there.
//! 5. **Needs a name** ([`enforcer_common::verdict::RuleAction::NeedsName`]) never stops the search; it is the reason of the denial when nothing else allows.

pub mod budget;
mod cells;
pub mod compile;
mod conflict;
pub mod destination;
pub mod explain;
pub mod image;
mod intern;
mod narrow;
pub mod offer;
mod places;
mod plan;
pub mod reasons;
mod view;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use enforcer_common::addr::{Prefix, Protocol};
use enforcer_common::key::CgroupId;
use enforcer_common::mode::{Enforcement, OutboundPolicy};
use enforcer_common::verdict::Role;

use crate::name::{Labels, Namespace};
use crate::registry::defaults;
use crate::registry::model::{OutboundMode, Registry, Sidecar};

/// `--outbound-traffic-policy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NodePolicy {
    /// What the mesh says.
    #[default]
    Mesh,
    /// Final, whatever the mesh says.
    Fixed(OutboundMode),
}

/// `--direct-endpoints`: which services' endpoints applications may dial past the VIP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DirectEndpoints {
    /// Those of Kubernetes Services.
    #[default]
    Kubernetes,
    /// Those of ServiceEntries, too.
    All,
    /// None.
    None,
}

/// One `--allow` range.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ExemptRange {
    /// The network; a host is a /32 or /128.
    pub prefix: Prefix,
    /// One port, or all.
    pub port: Option<u16>,
    /// One protocol, or TCP and UDP; without a port every protocol.
    pub protocol: Option<Protocol>,
}

/// The node's side of the policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Our cluster: which ClusterIPs are ours.
    pub cluster_id: String,
    /// Where mesh-wide Sidecars are.
    pub root_namespace: Namespace,
    /// The node's outbound policy.
    pub outbound_policy: NodePolicy,
    /// Whether a Sidecar may loosen the policy.
    pub allow_override: bool,
    /// Namespaces whose ServiceEntries may be visible beyond their own; `None`: all.
    pub trusted_exporters: Option<BTreeSet<Namespace>>,
    /// NONE/TCP services without addresses open their port to any address.
    pub permit_any_address: bool,
    /// Which endpoints may be dialled past the VIP.
    pub direct_endpoints: DirectEndpoints,
    /// Infrastructure that is always reachable.
    pub exempt: Vec<ExemptRange>,
    /// Addresses of this node: no ServiceEntry translates them.
    pub node_addresses: BTreeSet<IpAddr>,
}

/// As without flags.
impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster_id: defaults::CLUSTER_ID.to_owned(),
            root_namespace: Namespace::new(defaults::ROOT_NAMESPACE),
            outbound_policy: NodePolicy::default(),
            allow_override: false,
            trusted_exporters: None,
            permit_any_address: false,
            direct_endpoints: DirectEndpoints::default(),
            exempt: Vec::new(),
            node_addresses: BTreeSet::new(),
        }
    }
}

/// One workload of this node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WorkloadSpec {
    /// Its cgroup.
    pub cgroup: CgroupId,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// Its own switch, where it differs from the node's.
    pub enforcement: Option<Enforcement>,
    /// Whether a mesh proxy stands beside it, or it is one.
    pub role: Role,
    /// Whether its packets are judged on the host's side of its interfaces.
    pub covered: bool,
}

impl WorkloadSpec {
    /// One without labels, a switch of its own and a mesh proxy, judged at its sockets.
    pub fn new(cgroup: CgroupId, namespace: Namespace, name: &str) -> Self {
        Self {
            cgroup,
            namespace,
            name: name.into(),
            labels: Labels::new(),
            enforcement: None,
            role: Role::Alone,
            covered: false,
        }
    }
}

/// The outbound policy of a workload: the node's flag when it is final; else the mesh's, which the Sidecar's may
/// tighten, and loosen only with `--allow-override`.
pub fn outbound_policy(
    registry: &Registry,
    settings: &Settings,
    sidecar: Option<&Sidecar>,
) -> OutboundPolicy {
    if let NodePolicy::Fixed(mode) = settings.outbound_policy {
        return mode.into();
    }
    let mesh = registry.mesh.as_ref().map_or(OutboundPolicy::Unknown, |mesh| mesh.outbound_policy.into());
    match (mesh, sidecar.and_then(|sidecar| sidecar.outbound_policy)) {
        (_, Some(OutboundMode::RegistryOnly)) => OutboundPolicy::RegistryOnly,
        (_, Some(OutboundMode::AllowAny)) if settings.allow_override => OutboundPolicy::AllowAny,
        (mesh, _) => mesh,
    }
}

impl From<OutboundMode> for OutboundPolicy {
    fn from(mode: OutboundMode) -> Self {
        match mode {
            OutboundMode::RegistryOnly => Self::RegistryOnly,
            OutboundMode::AllowAny => Self::AllowAny,
        }
    }
}
