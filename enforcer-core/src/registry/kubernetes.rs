//! Kubernetes Services and EndpointSlices: their types, and their conversion into services.
//!
//! Source: istio `pilot/pkg/serviceregistry/kube/conversion.go` (`ConvertService`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;

use crate::name::{Host, Labels};
use crate::registry::model::{
    AppProtocol, Endpoint, EndpointAddress, ExportTo, Provider, Resolution, Service, ServiceAddress,
    ServiceKey, ServicePort,
};
use crate::registry::object::Object;

/// The annotation that is a Service's exportTo, separated by commas.
pub(crate) const EXPORT_TO: &str = "networking.istio.io/exportTo";
/// The label that names the Service of an EndpointSlice.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// `Service.spec`
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesService {
    /// `type`
    #[serde(rename = "type")]
    pub kind: String,
    /// `clusterIP`
    #[serde(rename = "clusterIP")]
    pub cluster_ip: String,
    /// `clusterIPs`
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Vec<String>,
    /// `externalName`
    pub external_name: String,
    /// `selector`
    pub selector: Labels,
    /// `ports`
    pub ports: Vec<KubernetesPort>,
    /// `metadata.resourceVersion`
    #[serde(skip)]
    pub resource_version: String,
}

/// `Service.spec.ports[]`; its `targetPort` is in the EndpointSlices, resolved.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesPort {
    /// `name`, empty when the Service has one port
    pub name: String,
    /// `port`
    pub port: i64,
    /// `protocol`: TCP when empty
    pub protocol: String,
    /// `appProtocol`
    pub app_protocol: Option<String>,
}

/// An EndpointSlice.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// `addressType`
    pub address_type: String,
    /// `endpoints`
    pub endpoints: Vec<SliceEndpoint>,
    /// `ports`
    pub ports: Vec<SlicePort>,
}

/// `EndpointSlice.endpoints[]`
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SliceEndpoint {
    /// `addresses`
    pub addresses: Vec<String>,
    /// `conditions`
    pub conditions: Conditions,
}

/// `EndpointSlice.endpoints[].conditions`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Conditions {
    /// `ready`; unknown is ready (`EndpointConditions` of discovery.k8s.io/v1)
    pub ready: Option<bool>,
    /// `terminating`
    pub terminating: Option<bool>,
}

/// `EndpointSlice.ports[]`
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SlicePort {
    /// `name`: that of the Service's port
    pub name: String,
    /// `port`
    pub port: Option<i64>,
}

/// The exportTo of an object's annotations.
pub(crate) fn export_to(annotations: &Labels) -> Vec<String> {
    let list = annotations.get(EXPORT_TO).map(String::as_str).unwrap_or_default();
    list.split(',').map(str::trim).filter(|to| !to.is_empty()).map(str::to_owned).collect()
}

fn port_number(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|number| *number > 0)
}

impl KubernetesService {
    /// Whether it has no ClusterIP because it wants none.
    pub(crate) fn is_headless(&self) -> bool {
        self.cluster_ip == "None" || self.cluster_ips.iter().any(|ip| ip == "None")
    }

    fn is_alias(&self) -> bool {
        self.kind == "ExternalName" && !self.external_name.is_empty()
    }

    /// Its virtual addresses: `clusterIPs`, which has `clusterIP` in front; old API servers fill in the latter alone.
    pub(crate) fn cluster_ips(&self) -> impl Iterator<Item = &String> {
        let old = self.cluster_ips.is_empty().then_some(&self.cluster_ip);
        self.cluster_ips.iter().chain(old).filter(|ip| !ip.is_empty() && *ip != "None")
    }

    fn ports(&self) -> Vec<ServicePort> {
        let port = |port: &KubernetesPort| {
            let number = port_number(port.port)?;
            let app_protocol = port.app_protocol.as_deref();
            let protocol = AppProtocol::of_kubernetes(number, &port.name, &port.protocol, app_protocol);
            // SCTP would otherwise open the TCP port of that number.
            (port.protocol != "SCTP").then(|| ServicePort {
                name: port.name.as_str().into(),
                number,
                protocol,
                target: None,
            })
        };
        self.ports.iter().filter_map(port).collect()
    }

    /// The service it is: `NAME.NAMESPACE.svc.DOMAIN`, with the endpoints of its `slices`.
    pub(crate) fn service(
        &self,
        object: &Object,
        slices: &[&EndpointSlice],
        cluster: &str,
        domain: &str,
    ) -> Service {
        let name = &object.object;
        let host = Host::new(&format!("{}.{}.svc.{domain}", name.name, name.namespace));
        let vips: Vec<IpAddr> = self.cluster_ips().filter_map(|ip| ip.parse().ok()).collect();
        let resolution = match (self.is_alias(), self.is_headless()) {
            (true, _) => Resolution::Alias,
            (false, true) => Resolution::None,
            (false, false) => Resolution::Static,
        };
        Service {
            key: ServiceKey { object: name.clone(), host, address: 0 },
            source: object.source.clone(),
            provider: Provider::Kubernetes,
            address: vips.first().map_or(ServiceAddress::Unspecified, |vip| ServiceAddress::Ip(*vip)),
            cluster_vips: if vips.is_empty() { BTreeMap::new() } else { [(cluster.to_owned(), vips)].into() },
            auto_v4: None,
            auto_v6: None,
            ports: self.ports(),
            resolution,
            mesh_external: self.is_alias(),
            export_to: export_to(&object.annotations)
                .iter()
                .map(|to| to.as_str().into())
                .collect::<ExportTo>(),
            created: object.created,
            endpoints: if self.is_alias() { Arc::default() } else { endpoints(slices) },
            labels: object.labels.clone(),
            selector: self.selector.clone(),
            subject_alt_names: Vec::new(),
            external_name: self.is_alias().then(|| Host::new(&self.external_name)),
            resource_version: self.resource_version.clone(),
        }
    }
}

/// The endpoints of one Service, by address: while slices are rebalanced one may be in two.
fn endpoints(slices: &[&EndpointSlice]) -> Arc<[Endpoint]> {
    let mut by_address: BTreeMap<IpAddr, Endpoint> = BTreeMap::new();
    for slice in slices {
        let ports: BTreeMap<Arc<str>, u16> = slice
            .ports
            .iter()
            .filter_map(|port| Some((port.name.as_str().into(), port_number(port.port?)?)))
            .collect();
        for endpoint in &slice.endpoints {
            let ready =
                endpoint.conditions.ready != Some(false) && endpoint.conditions.terminating != Some(true);
            for ip in endpoint.addresses.iter().filter_map(|address| address.parse().ok()) {
                let known = by_address.entry(ip).or_insert_with(|| Endpoint {
                    address: EndpointAddress::Ip(ip),
                    ports: BTreeMap::new(),
                    weight: 1,
                    ready: false,
                });
                known.ready |= ready;
                known.ports.extend(ports.clone());
            }
        }
    }
    by_address.into_values().collect()
}
