//! What a registry is made of. One [`Service`] per (object, host, address), as Istio's conversion fans out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use enforcer_common::addr::Protocol;
use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::{Host, Labels, Namespace};

/// Kind, namespace and name of an object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `ServiceEntry`, `Service`, ...
    pub kind: Arc<str>,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: Arc<str>,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// What tells one service from all others: the object, the host, and which of the object's addresses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServiceKey {
    /// The object it came from.
    pub object: ObjectRef,
    /// One of its hosts.
    pub host: Host,
    /// Index of the address in the object, 0 when it has none.
    pub address: u32,
}

/// Which part of the mesh told of a service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Provider {
    /// A Kubernetes Service.
    Kubernetes,
    /// A ServiceEntry.
    External,
}

/// How a proxy finds the endpoints (`ServiceEntry.spec.resolution`; the numbers are those of `/debug/registryz`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Resolution {
    /// `STATIC`, and Kubernetes Services with a ClusterIP: 0.
    Static,
    /// `DNS`: 1.
    Dns,
    /// `NONE`, and headless Kubernetes Services: 2.
    None,
    /// `DNS_ROUND_ROBIN`: 3.
    DnsRoundRobin,
    /// Kubernetes ExternalName: 4.
    Alias,
    /// `DYNAMIC_DNS`: 5.
    DynamicDns,
}

/// The address of one service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ServiceAddress {
    /// None of its own: `0.0.0.0` in registryz.
    Unspecified,
    /// One address.
    Ip(IpAddr),
    /// A network (truncated), and the text as the user wrote it, host bits and all.
    Cidr(IpNet, Arc<str>),
}

/// The application protocol of a port as Istio knows it (`pkg/config/protocol/instance.go`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AppProtocol {
    /// `GRPC`
    Grpc,
    /// `GRPC-Web`
    GrpcWeb,
    /// `HTTP`
    Http,
    /// `HTTP_PROXY`
    HttpProxy,
    /// `HTTP2`
    Http2,
    /// `HTTPS`
    Https,
    /// `TCP`
    Tcp,
    /// `TLS`
    Tls,
    /// `UDP`
    Udp,
    /// `Mongo`
    Mongo,
    /// `Redis`
    Redis,
    /// `MySQL`
    MySql,
    /// `HBONE`
    Hbone,
    /// `DoubleHBONE`
    DoubleHbone,
    /// `UnsupportedProtocol`: to be detected
    Unsupported,
}

impl AppProtocol {
    /// The protocol on the wire: UDP for UDP, TCP for everything else.
    pub const fn transport(self) -> Protocol {
        match self {
            Self::Udp => Protocol::UDP,
            _ => Protocol::TCP,
        }
    }

    /// Whether a Host header or an SNI tells the host: the protocols of which Istio builds listeners without an address.
    pub const fn carries_host(self) -> bool {
        matches!(
            self,
            Self::Grpc | Self::GrpcWeb | Self::Http | Self::HttpProxy | Self::Http2 | Self::Https | Self::Tls
        )
    }
}

/// One port of a service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServicePort {
    /// Its name.
    pub name: Arc<str>,
    /// Its number, 1..=65535.
    pub number: u16,
    /// What is spoken there.
    pub protocol: AppProtocol,
    /// The port of the endpoints where it differs: `targetPort` of a ServiceEntry. Kubernetes' own are in the endpoints.
    pub target: Option<u16>,
}

/// Where an endpoint is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EndpointAddress {
    /// At an address.
    Ip(IpAddr),
    /// At a name that has to be resolved.
    Host(Host),
    /// At a Unix socket: the path.
    Unix(Arc<str>),
}

/// One endpoint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Endpoint {
    /// Where it is.
    pub address: EndpointAddress,
    /// Port numbers by the name of the service's port, where they differ.
    pub ports: BTreeMap<Arc<str>, u16>,
    /// Relative weight, at least 1.
    pub weight: u32,
    /// Whether the service's name or VIP leads there. What is not ready may still be dialled itself.
    pub ready: bool,
}

impl Endpoint {
    /// The port for a service's port: the endpoint's own, else the port's target, else its number.
    pub fn port(&self, port: &ServicePort) -> u16 {
        self.ports.get(&port.name).copied().or(port.target).unwrap_or(port.number)
    }
}

/// Who may see a service. Empty is the mesh's default.
pub type ExportTo = BTreeSet<Arc<str>>;

/// One service: a host with at most one address, its ports, endpoints and visibility.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// What tells it from all others.
    pub key: ServiceKey,
    /// The source as a person finds it: `file:registry/a.yaml:12`.
    pub source: Arc<str>,
    /// Who told of it.
    pub provider: Provider,
    /// Its address.
    pub address: ServiceAddress,
    /// Addresses by cluster: a Kubernetes Service's ClusterIPs.
    pub cluster_vips: BTreeMap<String, Vec<IpAddr>>,
    /// Auto-allocated IPv4 address.
    pub auto_v4: Option<Ipv4Addr>,
    /// Auto-allocated IPv6 address.
    pub auto_v6: Option<Ipv6Addr>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// How its endpoints are found.
    pub resolution: Resolution,
    /// `location: MESH_EXTERNAL`.
    pub mesh_external: bool,
    /// Who may see it.
    pub export_to: ExportTo,
    /// When its object was made.
    pub created: Option<Timestamp>,
    /// Its endpoints. Shared by the services that one object fans out to.
    pub endpoints: Arc<[Endpoint]>,
    /// Labels of the object.
    pub labels: Labels,
    /// What selects its endpoints.
    pub selector: Labels,
    /// Names its endpoints' certificates may have.
    pub subject_alt_names: Vec<String>,
    /// `spec.externalName` of a Kubernetes Service of that type.
    pub external_name: Option<Host>,
    /// `metadata.resourceVersion` of a Kubernetes Service.
    pub resource_version: String,
}

impl Service {
    /// Its host.
    pub fn host(&self) -> &Host {
        &self.key.host
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.key.object.namespace
    }

    /// Whether it says the same, wherever its object stands: a line that moved changes nothing.
    pub fn says_the_same(&self, other: &Self) -> bool {
        // Taken apart, so that a new field has to be thought of.
        let Self {
            source: _,
            key,
            provider,
            address,
            cluster_vips,
            auto_v4,
            auto_v6,
            ports,
            resolution,
            mesh_external,
            export_to,
            created,
            endpoints,
            labels,
            selector,
            subject_alt_names,
            external_name,
            resource_version,
        } = self;
        *key == other.key
            && *provider == other.provider
            && *address == other.address
            && *cluster_vips == other.cluster_vips
            && *auto_v4 == other.auto_v4
            && *auto_v6 == other.auto_v6
            && *ports == other.ports
            && *resolution == other.resolution
            && *mesh_external == other.mesh_external
            && *export_to == other.export_to
            && *created == other.created
            && *endpoints == other.endpoints
            && *labels == other.labels
            && *selector == other.selector
            && *subject_alt_names == other.subject_alt_names
            && *external_name == other.external_name
            && *resource_version == other.resource_version
    }

    /// Whether it is a Kubernetes Service without an address of its own that lists its endpoints.
    pub fn is_headless(&self) -> bool {
        self.provider == Provider::Kubernetes
            && self.address == ServiceAddress::Unspecified
            && self.resolution == Resolution::None
    }
}

/// `outboundTrafficPolicy.mode`, as a MeshConfig or a Sidecar has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum OutboundMode {
    /// Only what is registered.
    #[serde(rename = "REGISTRY_ONLY")]
    RegistryOnly,
    /// Anything.
    #[serde(rename = "ALLOW_ANY")]
    AllowAny,
}

/// What the agent needs of a MeshConfig.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeshConfig {
    /// The source as a person finds it.
    pub source: Arc<str>,
    /// `{}` is REGISTRY_ONLY, absent is ALLOW_ANY.
    pub outbound_policy: OutboundMode,
    /// `defaultServiceExportTo`; `["*"]` when absent.
    pub default_service_export_to: ExportTo,
    /// `rootNamespace`, when set.
    pub root_namespace: Option<Namespace>,
}

/// One line of a Sidecar's `egress[].hosts`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EgressHost {
    /// `.`, `*`, `~` or a namespace.
    pub namespace: Arc<str>,
    /// The host pattern.
    pub host: Host,
}

/// One egress listener of a Sidecar.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EgressListener {
    /// `port.number`, when the listener is for one port only.
    pub port: Option<u16>,
    /// What it imports.
    pub hosts: Vec<EgressHost>,
}

/// What the agent needs of a Sidecar.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sidecar {
    /// The object.
    pub object: ObjectRef,
    /// The source as a person finds it.
    pub source: Arc<str>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// `workloadSelector.labels`; `None` for the namespace's default.
    pub selector: Option<Labels>,
    /// What it imports; `None` when the field is absent: everything visible.
    pub egress: Option<Vec<EgressListener>>,
    /// Its own policy, when it has one: `{}` is REGISTRY_ONLY.
    pub outbound_policy: Option<OutboundMode>,
}

impl Sidecar {
    /// Whether it says the same, wherever it stands.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let elsewhere = Self { source: Arc::clone(&other.source), ..self.clone() };
        elsewhere == *other
    }
}

/// Everything known, in the order of the services' keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Registry {
    /// Sorted by key; keys are unique.
    pub services: Vec<Arc<Service>>,
    /// Sorted by object.
    pub sidecars: Vec<Arc<Sidecar>>,
    /// The mesh's configuration, when a source has it.
    pub mesh: Option<Arc<MeshConfig>>,
}
