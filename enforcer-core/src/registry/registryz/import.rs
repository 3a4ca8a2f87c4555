//! registryz → services.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::name::{Host, Labels, Namespace};
use crate::registry::model::{
    AppProtocol, ObjectRef, Provider, Resolution, Service, ServiceAddress, ServiceKey, ServicePort,
};
use crate::registry::object::{Body, Object, typed_value};
use crate::registry::parse::Parsed;
use crate::registry::registryz::NO_TIME;
use crate::registry::report::Report;

/// One record. What changed its name between versions is here under both: the second wins where it is set.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Record {
    #[serde(rename = "Attributes")]
    attributes: Attributes,
    ports: Vec<Port>,
    service_accounts: Vec<String>,
    creation_time: Option<String>,
    hostname: String,
    #[serde(rename = "cluster-vips")]
    cluster_vips_1_11: BTreeMap<String, String>,
    #[serde(rename = "clusterVIPs")]
    cluster_vips: ClusterVips,
    #[serde(rename = "address")]
    address_1_11: String,
    default_address: String,
    #[serde(rename = "autoAllocatedAddress")]
    auto_1_13: String,
    #[serde(rename = "autoAllocatedIPv4Address")]
    auto_v4: String,
    #[serde(rename = "autoAllocatedIPv6Address")]
    auto_v6: String,
    #[serde(rename = "Resolution")]
    resolution: i64,
    #[serde(rename = "MeshExternal")]
    mesh_external: bool,
    #[serde(rename = "ResourceVersion")]
    resource_version: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Attributes {
    service_registry: String,
    name: String,
    namespace: String,
    labels: Labels,
    /// `{"*": true}` until 1.19, `{"*": {}}` since.
    export_to: BTreeMap<String, Value>,
    label_selectors: Labels,
    passthrough_target_ports: BTreeMap<String, u16>,
    external_name: String,
    object_name: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ClusterVips {
    addresses: BTreeMap<String, Vec<String>>,
}

#[allow(clippy::struct_field_names)] // the names are Istio's
#[derive(Deserialize, Default)]
#[serde(default)]
struct Port {
    name: String,
    port: i64,
    protocol: String,
}

/// Reads `records`, the array that `/debug/registryz` answered. The object of a ServiceEntry's record is the ServiceEntry
/// since 1.24; before, only its host is known and stands for the name.
pub fn import(source: &Arc<str>, records: &[Value]) -> Parsed {
    let mut parsed = Parsed::default();
    for (index, record) in records.iter().enumerate() {
        let mut report = Report::new(source, None);
        if let Some(service) = read(record, index, source, &mut report) {
            parsed.objects.push(Arc::new(Object {
                object: service.key.object.clone(),
                source: source.clone(),
                created: service.created,
                labels: service.labels.clone(),
                annotations: Labels::new(),
                body: Body::Registryz(Arc::new(service)),
            }));
        }
        parsed.problems.extend(report.into_problems());
    }
    parsed
}

fn read(record: &Value, index: usize, source: &Arc<str>, report: &mut Report) -> Option<Service> {
    let at = |field: &str| format!("[{index}].{field}");
    if record.get("hostname").and_then(Value::as_str).is_none_or(str::is_empty) {
        let hint = "a list is read as the answer of /debug/registryz; put other objects under kind: List";
        report.error(format!("[{index}]"), "not a record of registryz: it has no hostname", hint);
        return None;
    }
    let record: Record = typed_value(record, &format!("[{index}]"), report)?;
    let object = record.object();
    report.name(&object);
    let text = first_of(&record.default_address, &record.address_1_11);
    let address =
        if text.is_empty() { Some(ServiceAddress::Unspecified) } else { ServiceAddress::parse(text) };
    let Some(address) = address else {
        let message = format!("{text:?} is neither an address nor a network");
        report.error(at("defaultAddress"), message, "the service is left out");
        return None;
    };
    let Some(resolution) = record.resolution() else {
        let message = format!("there is no resolution {}", record.resolution);
        report.error(
            at("Resolution"),
            message,
            "the service is left out: it is newer than this version knows",
        );
        return None;
    };
    Some(record.service(object, source, address, resolution))
}

fn first_of<'a>(now: &'a str, before: &'a str) -> &'a str {
    if now.is_empty() { before } else { now }
}

impl Record {
    fn provider(&self) -> Provider {
        if self.attributes.service_registry == "Kubernetes" {
            Provider::Kubernetes
        } else {
            Provider::External
        }
    }

    fn object(&self) -> ObjectRef {
        let kind = match self.provider() {
            Provider::Kubernetes => "Service",
            Provider::External => "ServiceEntry",
        };
        let name = first_of(&self.attributes.object_name, first_of(&self.attributes.name, &self.hostname));
        let namespace = first_of(&self.attributes.namespace, "default");
        ObjectRef { kind: kind.into(), namespace: Namespace::new(namespace), name: name.into() }
    }

    /// Until 1.20 an ExternalName was a DNS service.
    fn resolution(&self) -> Option<Resolution> {
        match (Resolution::from_number(self.resolution)?, self.provider()) {
            (Resolution::Dns, Provider::Kubernetes) => Some(Resolution::Alias),
            (resolution, _) => Some(resolution),
        }
    }

    fn cluster_vips(&self) -> BTreeMap<String, Vec<IpAddr>> {
        let before = self.cluster_vips_1_11.iter().map(|(cluster, vip)| (cluster, std::slice::from_ref(vip)));
        let now = self.cluster_vips.addresses.iter().map(|(cluster, vips)| (cluster, vips.as_slice()));
        let parse =
            |vips: &[String]| -> Vec<IpAddr> { vips.iter().filter_map(|vip| vip.parse().ok()).collect() };
        before.chain(now).map(|(cluster, vips)| (cluster.clone(), parse(vips))).collect()
    }

    fn ports(&self) -> Vec<ServicePort> {
        let port = |port: &Port| {
            Some(ServicePort {
                name: port.name.as_str().into(),
                number: u16::try_from(port.port).ok().filter(|number| *number > 0)?,
                protocol: AppProtocol::parse(&port.protocol),
                target: self.attributes.passthrough_target_ports.get(&port.port.to_string()).copied(),
            })
        };
        self.ports.iter().filter_map(port).collect()
    }

    fn service(
        self,
        object: ObjectRef,
        source: &Arc<str>,
        address: ServiceAddress,
        resolution: Resolution,
    ) -> Service {
        let auto = [&self.auto_1_13, &self.auto_v4, &self.auto_v6].map(|auto| auto.parse::<IpAddr>().ok());
        let created = self.creation_time.as_deref().filter(|time| *time != NO_TIME);
        let (ports, cluster_vips, provider) = (self.ports(), self.cluster_vips(), self.provider());
        let external_name = self.attributes.external_name;
        Service {
            key: ServiceKey { object, host: Host::new(&self.hostname), address: 0 },
            source: source.clone(),
            provider,
            address,
            cluster_vips,
            auto_v4: auto
                .iter()
                .flatten()
                .rev()
                .find_map(|ip| if let IpAddr::V4(v4) = ip { Some(*v4) } else { None }),
            auto_v6: auto
                .iter()
                .flatten()
                .rev()
                .find_map(|ip| if let IpAddr::V6(v6) = ip { Some(*v6) } else { None }),
            ports,
            resolution,
            mesh_external: self.mesh_external,
            export_to: self.attributes.export_to.into_keys().map(Arc::from).collect(),
            created: created.and_then(|time| time.parse().ok()),
            endpoints: Arc::default(),
            labels: self.attributes.labels,
            selector: self.attributes.label_selectors,
            subject_alt_names: self.service_accounts,
            external_name: (!external_name.is_empty()).then(|| Host::new(&external_name)),
            resource_version: self.resource_version,
        }
    }
}
