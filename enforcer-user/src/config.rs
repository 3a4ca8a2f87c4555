//! What the agent was told, resolved: only valid values.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use enforcer_common::mode::Enforcement;
use enforcer_core::name::{Labels, Namespace};
use enforcer_core::policy::budget::Limits;
use enforcer_core::policy::{DirectEndpoints, ExemptRange, NodePolicy, Settings};
use enforcer_core::registry::BuildOptions;
use enforcer_core::vip::VipAllocation;

pub mod fault;
pub mod file;
pub mod given;
pub mod interface;
pub mod resolve;
pub mod settings;
pub mod show;

pub use interface::{InterfacePattern, Interfaces};

/// `--registry SOURCE`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegistrySource {
    /// `file:PATH`: a file, or a directory of files.
    File(PathBuf),
}

/// `--workload cgroup=PATH,namespace=NS[,...]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StaticWorkload {
    /// The cgroup's directory.
    pub cgroup: PathBuf,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name; the cgroup's own when not given.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its own switch.
    pub enforcement: Option<Enforcement>,
    /// Its host-side interfaces; empty: those that are found.
    pub interfaces: Vec<String>,
    /// Its own addresses; empty: those that are found.
    pub addresses: BTreeSet<IpAddr>,
    /// The proxy of Istio that it has.
    pub mesh: Option<Mesh>,
}

#[cfg(test)]
impl StaticWorkload {
    /// `web/NAME` in this cgroup, as it is without any further field.
    pub fn plain(cgroup: PathBuf, name: &str) -> Self {
        Self {
            cgroup,
            namespace: Namespace::new("web"),
            name: name.to_owned(),
            labels: Labels::new(),
            enforcement: None,
            interfaces: Vec::new(),
            addresses: BTreeSet::new(),
            mesh: None,
        }
    }
}

/// How a workload takes part in the mesh.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mesh {
    /// With a proxy of its own.
    Sidecar {
        /// The cgroup of the proxy's container, below the workload's.
        proxy: PathBuf,
    },
    /// With the node's ztunnel, whose sockets are in the workload's network namespace.
    Ambient,
}

/// What decides about the registry, wherever it is looked at: by the agent, or offline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistryConfig {
    /// Where the registry comes from.
    pub sources: Vec<RegistrySource>,
    /// How hosts of `file:` sources get a VIP.
    pub vip_allocation: VipAllocation,
    /// Our cluster.
    pub cluster_id: String,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// `istio-system`.
    pub root_namespace: Namespace,
}

/// What decides about destinations, beside the registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyConfig {
    /// The node's outbound policy.
    pub outbound_policy: NodePolicy,
    /// Whether a Sidecar may loosen it.
    pub allow_override: bool,
    /// Infrastructure that is always reachable.
    pub exempt: Vec<ExemptRange>,
    /// NONE/TCP services without addresses open their port to any address.
    pub permit_any_address: bool,
    /// Which endpoints may be dialled past the VIP.
    pub direct_endpoints: DirectEndpoints,
    /// Namespaces whose ServiceEntries may be visible beyond their own; `None`: all.
    pub trusted_exporters: Option<Vec<Namespace>>,
}

impl RegistryConfig {
    /// As the builder takes it.
    pub fn build_options(&self) -> BuildOptions {
        BuildOptions {
            cluster_id: self.cluster_id.clone(),
            cluster_domain: self.cluster_domain.clone(),
            root_namespace: self.root_namespace.clone(),
            vip_allocation: self.vip_allocation,
        }
    }
}

/// Policy and registry as the compiler takes them, on a node with these addresses.
pub fn settings(
    policy: &PolicyConfig,
    registry: &RegistryConfig,
    node_addresses: BTreeSet<IpAddr>,
) -> Settings {
    Settings {
        cluster_id: registry.cluster_id.clone(),
        root_namespace: registry.root_namespace.clone(),
        outbound_policy: policy.outbound_policy,
        allow_override: policy.allow_override,
        trusted_exporters: policy.trusted_exporters.as_ref().map(|names| names.iter().cloned().collect()),
        permit_any_address: policy.permit_any_address,
        direct_endpoints: policy.direct_endpoints,
        exempt: policy.exempt.clone(),
        node_addresses,
    }
}

/// What `enforcer run` was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The node's switch.
    pub enforcement: Enforcement,
    /// The registry.
    pub registry: RegistryConfig,
    /// The policy.
    pub policy: PolicyConfig,
    /// Enforce below these cgroups.
    pub cgroups: Vec<PathBuf>,
    /// Identities without Kubernetes.
    pub workloads: Vec<StaticWorkload>,
    /// What a process without identity may do.
    pub unknown_workload_allowed: bool,
    /// Interfaces of workloads.
    pub interfaces: Interfaces,
    /// The node's own interfaces on whose egress it is enforced, too.
    pub uplinks: Vec<InterfacePattern>,
    /// How long established flows to an endpoint that was removed go on.
    pub endpoint_grace: Duration,
    /// Whether connections that a new policy forbids are closed.
    pub terminate_existing: bool,
    /// The bpffs directory.
    pub pin_dir: PathBuf,
    /// The admin socket.
    pub admin: PathBuf,
    /// How much fits.
    pub limits: Limits,
    /// Events per second and workload.
    pub event_rate: u64,
    /// Where metrics and probes are answered, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// The log.
    pub log: LogConfig,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What is logged.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// Which are written: valid filter directives.
    pub directives: String,
}

/// Defaults that more than one command knows.
pub mod defaults {
    pub use enforcer_core::registry::defaults::{CLUSTER_DOMAIN, CLUSTER_ID, ROOT_NAMESPACE};

    /// `--pin-dir`
    pub const PIN_DIR: &str = "/sys/fs/bpf/enforcer";
    /// `--admin`
    pub const ADMIN: &str = "/run/enforcer/admin.sock";
    /// `--metrics`
    pub const METRICS: &str = "127.0.0.1:15090";
    /// `--endpoint-grace`
    pub const ENDPOINT_GRACE: &str = "10m";
    /// Events per second and workload that reach the agent.
    pub const EVENT_RATE: u64 = 100;
}
