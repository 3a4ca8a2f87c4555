//! ServiceEntry and WorkloadEntry: their types, and their conversion into services.
//!
//! Source: istio `pilot/pkg/serviceregistry/serviceentry/conversion.go` (`convertServices`,
//! `convertServiceEntryToInstances`), `pilot/pkg/networking/serviceentry/ip_autoallocation.go`.

pub(crate) mod endpoint;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde::Deserialize;

use crate::name::{Host, Labels};
use crate::registry::model::{
    AppProtocol, Endpoint, Provider, Resolution, Service, ServiceAddress, ServiceKey, ServicePort,
};
use crate::registry::object::Object;

/// A label, not an annotation: `false` opts a ServiceEntry out of auto-allocation.
const AUTO_ALLOCATE_LABEL: &str = "networking.istio.io/enable-autoallocate-ip";

/// `ServiceEntry.spec`, and the addresses of its status.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntry {
    /// `hosts`
    pub hosts: Vec<String>,
    /// `addresses`
    pub addresses: Vec<String>,
    /// `ports`
    pub ports: Vec<Port>,
    /// `location`
    pub location: Location,
    /// `resolution`
    pub resolution: EntryResolution,
    /// `endpoints`
    pub endpoints: Vec<WorkloadEntry>,
    /// `exportTo`
    pub export_to: Vec<String>,
    /// `subjectAltNames`
    pub subject_alt_names: Vec<String>,
    /// `workloadSelector`
    pub workload_selector: Option<WorkloadSelector>,
    /// `status.addresses`: what Istio's controller allocated.
    #[serde(skip)]
    pub told: Vec<ToldAddress>,
}

/// `ServiceEntry.spec.ports[]`
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    /// `number`
    pub number: i64,
    /// `protocol`
    pub protocol: String,
    /// `name`
    pub name: String,
    /// `targetPort`, 0 when absent
    pub target_port: i64,
}

/// `ServiceEntry.spec.location`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Location {
    /// The default.
    #[default]
    MeshExternal,
    /// Part of the mesh.
    MeshInternal,
}

/// `ServiceEntry.spec.resolution`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EntryResolution {
    /// The default.
    #[default]
    None,
    /// `STATIC`
    Static,
    /// `DNS`
    Dns,
    /// `DNS_ROUND_ROBIN`
    DnsRoundRobin,
    /// `DYNAMIC_DNS`
    DynamicDns,
}

impl EntryResolution {
    /// As the registry has it.
    pub fn resolution(self) -> Resolution {
        match self {
            Self::None => Resolution::None,
            Self::Static => Resolution::Static,
            Self::Dns => Resolution::Dns,
            Self::DnsRoundRobin => Resolution::DnsRoundRobin,
            Self::DynamicDns => Resolution::DynamicDns,
        }
    }

    /// Whether endpoints may be names (Istio calls these "DNS type"; `DYNAMIC_DNS` is none of them).
    pub fn is_dns(self) -> bool {
        matches!(self, Self::Dns | Self::DnsRoundRobin)
    }
}

/// `ServiceEntry.spec.workloadSelector`
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct WorkloadSelector {
    /// `labels`; empty selects every workload of the namespace
    pub labels: Labels,
}

/// `WorkloadEntry.spec`, also `ServiceEntry.spec.endpoints[]`
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadEntry {
    /// `address`: an IP, a host name or `unix://PATH`
    pub address: String,
    /// `ports`: number by the name of the service's port
    pub ports: BTreeMap<String, i64>,
    /// `labels`
    pub labels: Labels,
    /// `network`
    pub network: String,
    /// `weight`, 0 when absent
    pub weight: u32,
    /// Its health is checked, and nobody has found it healthy: no endpoint for now.
    #[serde(skip)]
    pub unhealthy: bool,
}

/// `WorkloadEntry.metadata.annotations`: its health is reported in `status.conditions`, and counts.
pub(crate) const HEALTH_CHECKED: &str = "proxy.istio.io/health-checks-enabled";

/// `WorkloadEntry.status`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Health {
    pub(crate) conditions: Vec<Condition>,
}

/// `WorkloadEntry.status.conditions[]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
}

impl Health {
    /// Without the condition it is not healthy yet (`isHealthy` in `pilot/pkg/serviceregistry/serviceentry`).
    pub(crate) fn is_healthy(&self) -> bool {
        self.conditions.iter().any(|condition| condition.kind == "Healthy" && condition.status == "True")
    }
}

/// `ServiceEntry.status`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) addresses: Vec<ToldAddress>,
}

/// `ServiceEntry.status.addresses[]`
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ToldAddress {
    /// The address.
    pub value: String,
    /// The host it stands for.
    pub host: String,
}

impl ServiceEntry {
    /// Whether Istio's controller gives addresses to its hosts (`ShouldV2AutoAllocateIP`).
    pub(crate) fn may_be_allocated(&self, labels: &Labels) -> bool {
        let opted_out =
            labels.get(AUTO_ALLOCATE_LABEL).is_some_and(|value| value.eq_ignore_ascii_case("false"));
        self.resolution != EntryResolution::None && self.addresses.is_empty() && !opted_out
    }

    /// The addresses that its status tells for `host`: of several of a family the last.
    fn told(&self, host: &Host) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
        let mut told = (None, None);
        for address in self.told.iter().filter(|told| &Host::new(&told.host) == host) {
            match address.value.parse() {
                Ok(IpAddr::V4(v4)) => told.0 = Some(v4),
                Ok(IpAddr::V6(v6)) => told.1 = Some(v6),
                Err(_) => {}
            }
        }
        told
    }

    fn ports(&self) -> Vec<ServicePort> {
        let number = |number: i64| u16::try_from(number).ok().filter(|number| *number > 0);
        let port = |port: &Port| {
            Some(ServicePort {
                name: port.name.as_str().into(),
                number: number(port.number)?,
                protocol: AppProtocol::parse(&port.protocol),
                target: number(port.target_port),
            })
        };
        self.ports.iter().filter_map(port).collect()
    }

    /// Its addresses with their indices; one without an address when there are none. Repeated ones count once.
    fn addresses(&self) -> Vec<(u32, ServiceAddress)> {
        if self.addresses.is_empty() {
            return vec![(0, ServiceAddress::Unspecified)];
        }
        let mut seen = BTreeSet::new();
        let numbered = (0..).zip(&self.addresses);
        numbered
            .filter_map(|(index, text)| Some((index, ServiceAddress::parse(text)?)))
            .filter(|(_, address)| seen.insert(address.clone()))
            .collect()
    }

    /// The services it stands for: one per host and address. `workloads` are the WorkloadEntries its selector picks.
    pub(crate) fn services(&self, object: &Object, workloads: &[&Object]) -> Vec<Service> {
        let ports = self.ports();
        let addresses = self.addresses();
        let common = self.endpoints_of_all_hosts(&ports, workloads);
        let mut seen = BTreeSet::new();
        let mut services = Vec::with_capacity(self.hosts.len() * addresses.len());
        for host in self.hosts.iter().map(|host| Host::new(host)) {
            if !seen.insert(host.clone()) {
                continue;
            }
            let endpoints = common.clone().unwrap_or_else(|| endpoint::of_host(&host));
            let told = if self.may_be_allocated(&object.labels) { self.told(&host) } else { (None, None) };
            for (index, address) in &addresses {
                services.push(Service {
                    key: ServiceKey { object: object.object.clone(), host: host.clone(), address: *index },
                    address: address.clone(),
                    auto_v4: told.0,
                    auto_v6: told.1,
                    ports: ports.clone(),
                    endpoints: endpoints.clone(),
                    ..self.service(object, &host)
                });
            }
        }
        services
    }

    /// What does not depend on the address.
    fn service(&self, object: &Object, host: &Host) -> Service {
        Service {
            key: ServiceKey { object: object.object.clone(), host: host.clone(), address: 0 },
            source: object.source.clone(),
            provider: Provider::External,
            address: ServiceAddress::Unspecified,
            cluster_vips: BTreeMap::new(),
            auto_v4: None,
            auto_v6: None,
            ports: Vec::new(),
            resolution: self.resolution.resolution(),
            mesh_external: self.location == Location::MeshExternal,
            export_to: self.export_to.iter().map(|to| to.as_str().into()).collect(),
            created: object.created,
            endpoints: Arc::default(),
            labels: object.labels.clone(),
            selector: self
                .workload_selector
                .as_ref()
                .map(|selector| selector.labels.clone())
                .unwrap_or_default(),
            subject_alt_names: self.subject_alt_names.clone(),
            external_name: None,
            resource_version: String::new(),
        }
    }

    /// The endpoints that all its hosts share; `None` when each host is its own endpoint.
    fn endpoints_of_all_hosts(
        &self,
        ports: &[ServicePort],
        workloads: &[&Object],
    ) -> Option<Arc<[Endpoint]>> {
        if self.workload_selector.is_some() {
            return Some(endpoint::of_workloads(self.resolution, ports, workloads));
        }
        if self.endpoints.is_empty() && self.resolution.is_dns() {
            return None;
        }
        Some(self.endpoints.iter().filter_map(|entry| endpoint::convert(entry, ports)).collect())
    }
}

#[cfg(test)]
mod tests;
