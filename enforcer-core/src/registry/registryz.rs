//! The JSON of `/debug/registryz`: read in every shape since Istio 1.11, written in that of 1.30.
//!
//! Source: istio `pilot/pkg/xds/debug.go` (`registryz`), `pilot/pkg/model/service.go`. There are no endpoints in it.

mod import;

use serde_json::{Map, Value, json};

pub use import::import;

use crate::registry::Registry;
use crate::registry::model::{Provider, Resolution, Service};

/// What Go writes for a time that nobody set.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

impl Resolution {
    /// Its number in registryz.
    pub const fn number(self) -> i64 {
        match self {
            Self::Static => 0,
            Self::Dns => 1,
            Self::None => 2,
            Self::DnsRoundRobin => 3,
            Self::Alias => 4,
            Self::DynamicDns => 5,
        }
    }

    /// From its number in registryz.
    pub const fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            0 => Self::Static,
            1 => Self::Dns,
            2 => Self::None,
            3 => Self::DnsRoundRobin,
            4 => Self::Alias,
            5 => Self::DynamicDns,
            _ => return None,
        })
    }
}

/// The registry as istiod's `/debug/registryz` would answer it: one record per service, in the order of their keys.
pub fn export(registry: &Registry) -> Value {
    registry.services.iter().map(|service| record(service)).collect()
}

/// One record of it.
pub fn record(service: &Service) -> Value {
    let mut record = Map::new();
    let mut put = |key: &str, value: Value| record.insert(key.to_owned(), value);
    put("Attributes", attributes(service));
    let port = |port: &crate::registry::model::ServicePort| json!({"name": port.name, "port": port.number, "protocol": port.protocol.name()});
    put("ports", service.ports.iter().map(port).collect());
    if !service.subject_alt_names.is_empty() {
        put("serviceAccounts", json!(service.subject_alt_names));
    }
    put("creationTime", service.created.map_or(NO_TIME.into(), |created| created.to_string().into()));
    put("hostname", json!(service.key.host));
    put("clusterVIPs", json!({"Addresses": or_null(json!(service.cluster_vips))}));
    put("defaultAddress", service.address.to_string().into());
    if let Some(v4) = service.auto_v4 {
        put("autoAllocatedIPv4Address", json!(v4));
    }
    if let Some(v6) = service.auto_v6 {
        put("autoAllocatedIPv6Address", json!(v6));
    }
    put("Resolution", service.resolution.number().into());
    put("MeshExternal", service.mesh_external.into());
    put("ResourceVersion", json!(service.resource_version));
    record.into()
}

fn attributes(service: &Service) -> Value {
    let object = &service.key.object;
    let (registry, name, kind) = match (service.provider, service.resolution) {
        (Provider::External, _) => ("External", service.key.host.as_str(), ""),
        (Provider::Kubernetes, Resolution::Alias) => ("Kubernetes", &*object.name, "ExternalName"),
        (Provider::Kubernetes, _) => ("Kubernetes", &*object.name, "ClusterIP"),
    };
    let export_to: Map<_, _> = service.export_to.iter().map(|to| (to.to_string(), json!({}))).collect();
    let targets = service.ports.iter().filter(|_| service.resolution == Resolution::None);
    let targets: Map<_, _> =
        targets.filter_map(|port| Some((port.number.to_string(), json!(port.target?)))).collect();
    json!({
        "ServiceRegistry": registry,
        "Name": name,
        "Namespace": object.namespace,
        "Labels": or_null(json!(service.labels)),
        "ExportTo": or_null(export_to.into()),
        "LabelSelectors": or_null(json!(service.selector)),
        "Aliases": null,
        "ClusterExternalAddresses": {"Addresses": null},
        "ClusterExternalPorts": null,
        "PassthroughTargetPorts": or_null(targets.into()),
        "Type": kind,
        "ExternalName": service.external_name.as_ref().map_or("", |name| name.as_str()),
        "NodeLocal": false,
        "TrafficDistribution": 0,
        "ObjectName": object.name,
        "DNSConnectStrategy": 0,
        "PublishNotReadyAddresses": false,
    })
}

/// Go writes a map that was never made as null, and istiod makes none that would be empty.
fn or_null(map: Value) -> Value {
    if map.as_object().is_some_and(Map::is_empty) { Value::Null } else { map }
}

#[cfg(test)]
mod tests;
