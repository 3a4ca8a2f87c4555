//! What the stories are told with: small services, workloads, and one `check`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use enforcer_common::addr::Protocol;
use enforcer_common::key::CgroupId;
use enforcer_core::name::{Host, Labels, Namespace};
use enforcer_core::policy::{DirectEndpoints, Settings, WorkloadSpec};
use enforcer_core::registry::model::{
    AppProtocol, EgressHost, EgressListener, Endpoint, EndpointAddress, MeshConfig, ObjectRef, OutboundMode,
    Provider, Registry, Resolution, Service, ServiceAddress, ServiceKey, ServicePort, Sidecar,
};
use jiff::Timestamp;

use crate::oracle::{Answer, Question, Ruling, answer};

/// A service that a story builds up; namespace `shop` unless told otherwise.
#[derive(Clone)]
pub(super) struct Story(Service);

pub(super) fn entry(name: &str, address: &str, resolution: Resolution) -> Story {
    service("ServiceEntry", Provider::External, name, address, resolution)
}

pub(super) fn kubernetes(name: &str, address: &str, resolution: Resolution) -> Story {
    service("Service", Provider::Kubernetes, name, address, resolution)
}

fn service(kind: &str, provider: Provider, name: &str, address: &str, resolution: Resolution) -> Story {
    let object = ObjectRef { kind: kind.into(), namespace: Namespace::new("shop"), name: name.into() };
    let address = match address.split_once('/') {
        Some(_) => ServiceAddress::Cidr(address.parse().unwrap(), address.into()),
        None if address.is_empty() => ServiceAddress::Unspecified,
        None => ServiceAddress::Ip(address.parse().unwrap()),
    };
    Story(Service {
        key: ServiceKey { object, host: Host::new(&format!("{name}.example.com")), address: 0 },
        source: "story".into(),
        provider,
        address,
        cluster_vips: BTreeMap::new(),
        auto_v4: None,
        auto_v6: None,
        ports: Vec::new(),
        resolution,
        mesh_external: provider == Provider::External,
        export_to: BTreeSet::new(),
        created: None,
        endpoints: Arc::new([]),
        labels: Labels::new(),
        selector: Labels::new(),
        subject_alt_names: Vec::new(),
        external_name: None,
        resource_version: String::new(),
    })
}

impl Story {
    pub(super) fn port(mut self, number: u16, protocol: AppProtocol) -> Self {
        let name = format!("p{number}").into();
        self.0.ports.push(ServicePort { name, number, protocol, target: None });
        self
    }

    /// `targetPort` of the port that was told last.
    pub(super) fn target(mut self, target: u16) -> Self {
        self.0.ports.last_mut().unwrap().target = Some(target);
        self
    }

    pub(super) fn endpoint(self, ip: &str) -> Self {
        self.endpoint_at(EndpointAddress::Ip(ip.parse().unwrap()), &[], true)
    }

    pub(super) fn endpoint_at(
        mut self,
        address: EndpointAddress,
        ports: &[(&str, u16)],
        ready: bool,
    ) -> Self {
        let ports = ports.iter().map(|(name, port)| (Arc::from(*name), *port)).collect();
        let mut endpoints = self.0.endpoints.to_vec();
        endpoints.push(Endpoint { address, ports, weight: 1, ready });
        self.0.endpoints = endpoints.into();
        self
    }

    pub(super) fn in_namespace(mut self, namespace: &str) -> Self {
        self.0.key.object.namespace = Namespace::new(namespace);
        self
    }

    pub(super) fn host(mut self, host: &str) -> Self {
        self.0.key.host = Host::new(host);
        self
    }

    pub(super) fn export(mut self, to: &[&str]) -> Self {
        self.0.export_to = to.iter().map(|to| Arc::from(*to)).collect();
        self
    }

    pub(super) fn created(mut self, second: i64) -> Self {
        self.0.created = Some(Timestamp::from_second(second).unwrap());
        self
    }

    pub(super) fn auto(mut self, v4: &str, v6: &str) -> Self {
        (self.0.auto_v4, self.0.auto_v6) = (Some(v4.parse().unwrap()), Some(v6.parse().unwrap()));
        self
    }

    pub(super) fn vip(mut self, cluster: &str, vip: &str) -> Self {
        self.0.cluster_vips.entry(cluster.into()).or_default().push(vip.parse().unwrap());
        self
    }
}

pub(super) fn ip_endpoint(ip: &str) -> EndpointAddress {
    EndpointAddress::Ip(ip.parse().unwrap())
}

/// A registry under `REGISTRY_ONLY`.
pub(super) fn registry(services: impl IntoIterator<Item = Story>) -> Registry {
    let mut services: Vec<Arc<Service>> = services.into_iter().map(|story| Arc::new(story.0)).collect();
    services.sort_by(|one, other| one.key.cmp(&other.key));
    Registry { services, sidecars: Vec::new(), mesh: Some(mesh(OutboundMode::RegistryOnly, &["*"])) }
}

pub(super) fn mesh(outbound_policy: OutboundMode, export_to: &[&str]) -> Arc<MeshConfig> {
    Arc::new(MeshConfig {
        source: "story".into(),
        outbound_policy,
        default_service_export_to: export_to.iter().map(|to| Arc::from(*to)).collect(),
        root_namespace: None,
    })
}

/// A Sidecar of `namespace`; hosts as `ns/host`, one listener for every port.
pub(super) fn sidecar(namespace: &str, name: &str, hosts: &[&str]) -> Sidecar {
    Sidecar {
        object: ObjectRef { kind: "Sidecar".into(), namespace: Namespace::new(namespace), name: name.into() },
        source: "story".into(),
        created: None,
        selector: None,
        egress: Some(vec![listener(None, hosts)]),
        outbound_policy: None,
    }
}

pub(super) fn listener(port: Option<u16>, hosts: &[&str]) -> EgressListener {
    let line = |line: &&str| {
        let (namespace, host) = line.split_once('/').unwrap();
        EgressHost { namespace: namespace.into(), host: Host::new(host) }
    };
    EgressListener { port, hosts: hosts.iter().map(line).collect() }
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn settings() -> Settings {
    Settings { direct_endpoints: DirectEndpoints::None, ..Settings::default() }
}

pub(super) fn workload(namespace: &str) -> WorkloadSpec {
    let labels = labels(&[("app", "client")]);
    WorkloadSpec { labels, ..WorkloadSpec::new(CgroupId::new(1), Namespace::new(namespace), "client") }
}

/// Asks; a destination is `ip:port`, `[ip]:port`, either with `/udp` or another protocol's number behind it.
pub(super) fn ask(registry: &Registry, settings: &Settings, workload: &WorkloadSpec, to: &str) -> Ruling {
    let (socket, protocol) = match to.split_once('/') {
        Some((socket, "udp")) => (socket, Protocol::UDP),
        Some((socket, number)) => (socket, Protocol::new(number.parse().unwrap())),
        None => (to, Protocol::TCP),
    };
    let socket: std::net::SocketAddr = socket.parse().unwrap();
    answer(registry, settings, &Question { workload, protocol, ip: socket.ip(), port: socket.port() })
}

/// The ruling in one line: `allow registered by NAME`, `translate to IP:PORT IP:PORT by NAME`, ...
pub(super) fn show(ruling: &Ruling) -> String {
    let answer = match &ruling.answer {
        Answer::Allow(reason) => format!("allow {reason}"),
        Answer::Deny(reason) => format!("deny {reason}"),
        Answer::Translate(backends) => {
            let list: Vec<String> =
                backends.iter().map(|(ip, port): &(IpAddr, u16)| format!("{ip}@{port}")).collect();
            format!("translate to {}", list.join(" "))
        }
    };
    match &ruling.service {
        Some(key) => format!("{answer} by {}/{}", key.object.namespace, key.object.name),
        None => answer,
    }
}

/// One workload of `namespace`, one table.
#[track_caller]
pub(super) fn check(registry: &Registry, settings: &Settings, namespace: &str, table: &[(&str, &str)]) {
    check_for(registry, settings, &workload(namespace), table);
}

#[track_caller]
pub(super) fn check_for(
    registry: &Registry,
    settings: &Settings,
    workload: &WorkloadSpec,
    table: &[(&str, &str)],
) {
    let shown: Vec<(&str, String)> =
        table.iter().map(|(to, _)| (*to, show(&ask(registry, settings, workload, to)))).collect();
    let expected: Vec<(&str, String)> = table.iter().map(|(to, line)| (*to, (*line).to_owned())).collect();
    assert_eq!(shown, expected);
}
