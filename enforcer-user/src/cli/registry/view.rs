//! A service as a person looks at it: what its object says of one host, all addresses together.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use enforcer_core::name::{Host, Labels};
use enforcer_core::registry::Registry;
use enforcer_core::registry::model::{
    Endpoint, EndpointAddress, ObjectRef, Provider, Resolution, Service, ServiceAddress, ServicePort,
};
use serde::{Deserialize, Serialize};

/// One host of one object. The field names are stable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServiceView {
    /// The host.
    pub host: String,
    /// The namespace of its object.
    pub namespace: String,
    /// Its object.
    pub object: ObjectRef,
    /// Where the object stands: `file:registry/a.yaml:12`.
    pub source: String,
    /// Who told of it.
    pub provider: Provider,
    /// Its VIPs and networks; none when it has only auto-allocated ones.
    pub addresses: Vec<String>,
    /// Its auto-allocated VIPs.
    pub auto_addresses: Vec<IpAddr>,
    /// `ClusterIP`s by cluster.
    pub cluster_vips: BTreeMap<String, Vec<IpAddr>>,
    /// Its ports.
    pub ports: Vec<PortView>,
    /// `NONE`, `STATIC`, `DNS`, ...
    pub resolution: String,
    /// `MESH_EXTERNAL` or `MESH_INTERNAL`.
    pub location: String,
    /// Who may see it, with the mesh's default filled in.
    pub export_to: Vec<String>,
    /// When its object was made (RFC 3339).
    pub created: Option<String>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointView>,
    /// Labels of its object.
    pub labels: Labels,
    /// What selects its endpoints.
    pub selector: Labels,
    /// Names its endpoints' certificates may have.
    pub subject_alt_names: Vec<String>,
    /// What a Kubernetes `ExternalName` stands for.
    pub external_name: Option<String>,
}

/// One port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PortView {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u16,
    /// What is spoken there, as Istio writes it.
    pub protocol: String,
    /// The port of the endpoints where it differs.
    pub target_port: Option<u16>,
}

/// One endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EndpointView {
    /// An address, a name, or `unix:` and a path.
    pub address: String,
    /// Port numbers by the name of the service's port, where they differ.
    pub ports: BTreeMap<String, u16>,
    /// Its weight.
    pub weight: u32,
    /// Whether new flows may go there.
    pub ready: bool,
}

/// The services of a registry in the order of their objects and hosts: all, or those that stand for `host`, which are those
/// of that name, else the wildcards that cover it.
pub fn views(
    registry: Arc<Registry>,
    host: Option<&str>,
) -> impl Iterator<Item = ServiceView> + Send + 'static {
    let host = host.map(Host::new);
    let exact = registry.services.iter().any(|service| Some(service.host()) == host.as_ref());
    let wanted = move |service: &Service| match &host {
        None => true,
        Some(host) if exact => service.host() == host,
        Some(host) => host.is_subset_of(service.host()),
    };
    let mut next = 0;
    std::iter::from_fn(move || {
        while registry.services.get(next).is_some_and(|service| !wanted(service)) {
            next += 1;
        }
        let first = registry.services.get(next)?;
        let same = |service: &&Arc<Service>| {
            service.key.object == first.key.object && service.key.host == first.key.host
        };
        let count = registry.services[next..].iter().take_while(same).count();
        let view = view(&registry, &registry.services[next..next + count]);
        next += count;
        Some(view)
    })
}

/// `services` is not empty: one object's, of one host.
fn view(registry: &Registry, services: &[Arc<Service>]) -> ServiceView {
    let first = &services[0];
    ServiceView {
        host: first.host().to_string(),
        namespace: first.namespace().to_string(),
        object: first.key.object.clone(),
        source: first.source.to_string(),
        provider: first.provider,
        addresses: distinct(services.iter().flat_map(|service| addresses(service))),
        auto_addresses: distinct(services.iter().flat_map(|service| auto_addresses(service))),
        cluster_vips: first.cluster_vips.clone(),
        ports: first.ports.iter().map(port).collect(),
        resolution: resolution(first.resolution).to_owned(),
        location: if first.mesh_external { "MESH_EXTERNAL" } else { "MESH_INTERNAL" }.to_owned(),
        export_to: export_to(registry, first),
        created: first.created.map(|created| created.to_string()),
        endpoints: first.endpoints.iter().map(endpoint).collect(),
        labels: first.labels.clone(),
        selector: first.selector.clone(),
        subject_alt_names: first.subject_alt_names.clone(),
        external_name: first.external_name.as_ref().map(ToString::to_string),
    }
}

fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut known = Vec::new();
    for value in values {
        if !known.contains(&value) {
            known.push(value);
        }
    }
    known
}

/// Its address; for a Kubernetes Service with one, every `ClusterIP` of the same cluster.
fn addresses(service: &Service) -> Vec<String> {
    match &service.address {
        ServiceAddress::Unspecified => Vec::new(),
        ServiceAddress::Ip(ip) => match service.cluster_vips.values().find(|vips| vips.contains(ip)) {
            Some(vips) => vips.iter().map(ToString::to_string).collect(),
            None => vec![ip.to_string()],
        },
        ServiceAddress::Cidr(..) => vec![service.address.to_string()],
    }
}

fn auto_addresses(service: &Service) -> Vec<IpAddr> {
    [service.auto_v4.map(IpAddr::V4), service.auto_v6.map(IpAddr::V6)].into_iter().flatten().collect()
}

fn port(port: &ServicePort) -> PortView {
    PortView {
        name: port.name.to_string(),
        number: port.number,
        protocol: port.protocol.name().to_owned(),
        target_port: port.target,
    }
}

fn endpoint(endpoint: &Endpoint) -> EndpointView {
    EndpointView {
        address: match &endpoint.address {
            EndpointAddress::Ip(ip) => ip.to_string(),
            EndpointAddress::Host(host) => host.to_string(),
            EndpointAddress::Unix(path) => format!("unix:{path}"),
        },
        ports: endpoint.ports.iter().map(|(name, port)| (name.to_string(), *port)).collect(),
        weight: endpoint.weight,
        ready: endpoint.ready,
    }
}

fn resolution(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::Static => "STATIC",
        Resolution::Dns => "DNS",
        Resolution::None => "NONE",
        Resolution::DnsRoundRobin => "DNS_ROUND_ROBIN",
        Resolution::Alias => "ALIAS",
        Resolution::DynamicDns => "DYNAMIC_DNS",
    }
}

/// Its own, else the mesh's default, else everyone.
fn export_to(registry: &Registry, service: &Service) -> Vec<String> {
    let default = registry.mesh.as_ref().map(|mesh| &mesh.default_service_export_to);
    let export_to = Some(&service.export_to).filter(|own| !own.is_empty()).or(default);
    match export_to {
        Some(export_to) if !export_to.is_empty() => export_to.iter().map(ToString::to_string).collect(),
        _ => vec!["*".to_owned()],
    }
}

#[cfg(test)]
pub(super) mod tests;
