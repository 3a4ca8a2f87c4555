//! Services: one object at a time, fanned out over its hosts and addresses as Istio does it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use enforcer_core::name::{Host, Labels, Namespace};
use enforcer_core::registry::model::{
    AppProtocol, Endpoint, EndpointAddress, ExportTo, ObjectRef, Provider, Resolution, Service,
    ServiceAddress, ServiceKey, ServicePort,
};
use ipnet::IpNet;
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::universe::{
    ADDRESSES, CLUSTER_IPS, ENDPOINTS, ENTRIES, EXACT_HOSTS, HOSTS, NETWORKS, PORTS, ROOT, SERVICES,
    V4_ENDPOINTS, WIDE_NETWORKS, auto_vips, created, ip, namespace, parse_ip, port, protocol,
};

/// All services of one object, valid by Istio's rules.
pub fn object() -> impl Strategy<Value = Vec<Service>> {
    prop_oneof![3 => entry(), 1 => kubernetes()]
}

/// What objects of both kinds have.
#[derive(Clone, Debug)]
struct Common {
    namespace: Namespace,
    ports: Vec<ServicePort>,
    endpoints: Vec<Endpoint>,
    export_to: ExportTo,
    created: Option<Timestamp>,
}

fn common() -> impl Strategy<Value = Common> {
    (namespace(), ports(), endpoints(), export_to(), created()).prop_map(
        |(namespace, ports, endpoints, export_to, created)| Common {
            namespace,
            ports,
            endpoints,
            export_to,
            created,
        },
    )
}

/// The services of one `ServiceEntry`.
pub fn entry() -> impl Strategy<Value = Vec<Service>> {
    let resolution = prop_oneof![
        5 => Just(Resolution::None),
        5 => Just(Resolution::Static),
        2 => Just(Resolution::Dns),
        1 => Just(Resolution::DnsRoundRobin),
        1 => Just(Resolution::DynamicDns),
    ];
    let hosts = subsequence(HOSTS.to_vec(), 1..=2);
    let addresses = prop_oneof![2 => Just(Vec::new()), 5 => vec(address(), 1..=3)];
    let autos = select(vec![(true, true), (true, true), (true, false), (false, true), (false, false)]);
    (common(), select(&ENTRIES[..]), hosts, resolution, addresses, autos).prop_map(
        |(common, name, hosts, resolution, addresses, autos)| {
            let addresses: Vec<ServiceAddress> =
                addresses.into_iter().filter(|address| address_fits(resolution, address)).collect();
            hosts
                .into_iter()
                .map(|host| if resolution == Resolution::DynamicDns { wildcard(host) } else { host })
                .collect::<BTreeSet<&str>>()
                .into_iter()
                .flat_map(|host| of_host(&common, name, host, resolution, &addresses, autos))
                .collect()
        },
    )
}

/// `DYNAMIC_DNS` is for wildcards only.
fn wildcard(host: &'static str) -> &'static str {
    if host.starts_with('*') { host } else { HOSTS[EXACT_HOSTS] }
}

fn of_host(
    common: &Common,
    name: &str,
    host: &str,
    resolution: Resolution,
    addresses: &[ServiceAddress],
    (with_v4, with_v6): (bool, bool),
) -> Vec<Service> {
    let service = Service {
        key: key("ServiceEntry", &common.namespace, name, host),
        provider: Provider::External,
        resolution,
        mesh_external: true,
        endpoints: fit_endpoints(Provider::External, resolution, host, common.endpoints.clone()),
        ..blank(common)
    };
    if addresses.is_empty() {
        let (v4, v6) = auto_vips(common.namespace.as_str(), name, host);
        let allocates = resolution != Resolution::None
            && (!host.starts_with('*') || resolution == Resolution::DynamicDns);
        let (auto_v4, auto_v6) = ((allocates && with_v4).then_some(v4), (allocates && with_v6).then_some(v6));
        return vec![Service { auto_v4, auto_v6, ..service }];
    }
    (0..)
        .zip(addresses)
        .map(|(index, address)| Service {
            key: ServiceKey { address: index, ..service.key.clone() },
            address: address.clone(),
            ..service.clone()
        })
        .collect()
}

/// Where a Kubernetes Service is.
#[derive(Clone, Debug)]
enum Form {
    /// `ClusterIP`s by cluster, and what registryz says is the address.
    ClusterIp(ServiceAddress, BTreeMap<String, Vec<IpAddr>>),
    Headless,
    ExternalName,
}

/// The service of one Kubernetes Service; some ports are there for UDP, too.
pub fn kubernetes() -> impl Strategy<Value = Vec<Service>> {
    let form = prop_oneof![5 => cluster_ip(), 2 => Just(Form::Headless), 1 => Just(Form::ExternalName)];
    (common(), select(&SERVICES[..]), form, any::<bool>()).prop_map(|(common, name, form, with_udp)| {
        let (address, cluster_vips, resolution) = match form {
            Form::ClusterIp(address, vips) => (address, vips, Resolution::Static),
            Form::Headless => (ServiceAddress::Unspecified, BTreeMap::new(), Resolution::None),
            Form::ExternalName => (ServiceAddress::Unspecified, BTreeMap::new(), Resolution::Alias),
        };
        let host = format!("{name}.{}.svc.cluster.local", common.namespace);
        let ports = kubernetes_ports(common.ports.clone(), with_udp);
        vec![Service {
            key: key("Service", &common.namespace, name, &host),
            provider: Provider::Kubernetes,
            address,
            cluster_vips,
            ports,
            resolution,
            endpoints: fit_endpoints(Provider::Kubernetes, resolution, &host, common.endpoints.clone()),
            labels: mesh_labels(&common, name, with_udp),
            external_name: (resolution == Resolution::Alias).then(|| Host::new(HOSTS[0])),
            ..blank(&common)
        }]
    })
}

/// Some are the mesh's own: istiod, waypoints, and the ways into other networks. What is known of them decides, and no dice.
fn mesh_labels(common: &Common, name: &str, with_udp: bool) -> Labels {
    let label = |key: &str, value: &str| Labels::from([(key.to_owned(), value.to_owned())]);
    match name {
        "svc-a" if common.namespace.as_str() == ROOT => label("app", "istiod"),
        "svc-b" if with_udp => label("gateway.istio.io/managed", "istio.io-mesh-controller"),
        "svc-b" => label("gateway.istio.io/managed", "somebody.else"),
        "svc-c" if with_udp => label("topology.istio.io/network", "network-2"),
        _ => Labels::new(),
    }
}

/// Targets of Kubernetes ports are known to the endpoints only; a number may be there once for TCP and once for UDP.
fn kubernetes_ports(ports: Vec<ServicePort>, with_udp: bool) -> Vec<ServicePort> {
    let mut ports: Vec<_> = ports.into_iter().map(|port| ServicePort { target: None, ..port }).collect();
    if let Some(first) = ports.first().filter(|first| with_udp && first.protocol != AppProtocol::Udp) {
        let name = format!("udp-{}", first.number).into();
        ports.push(ServicePort { name, protocol: AppProtocol::Udp, ..first.clone() });
    }
    ports
}

fn cluster_ip() -> impl Strategy<Value = Form> {
    (ip(&CLUSTER_IPS), ip(&CLUSTER_IPS), 0..6).prop_map(|(one, two, kind)| {
        let (ours, other) = ("Kubernetes".to_owned(), "other".to_owned());
        let at = ServiceAddress::Ip;
        match kind {
            0 => Form::ClusterIp(at(one), BTreeMap::from([(ours, vec![one, two])])),
            1 => Form::ClusterIp(at(one), BTreeMap::from([(ours, vec![two]), (other, vec![one])])),
            2 => Form::ClusterIp(at(one), BTreeMap::from([(ours, Vec::new()), (other, vec![two])])),
            3 => Form::ClusterIp(ServiceAddress::Unspecified, BTreeMap::from([(other, vec![one])])),
            4 => Form::ClusterIp(at(one), BTreeMap::new()),
            _ => Form::ClusterIp(at(one), BTreeMap::from([(ours, vec![one])])),
        }
    })
}

fn key(kind: &str, namespace: &Namespace, name: &str, host: &str) -> ServiceKey {
    let object = ObjectRef { kind: kind.into(), namespace: namespace.clone(), name: name.into() };
    ServiceKey { object, host: Host::new(host), address: 0 }
}

/// What is not yet told of a service stays empty.
fn blank(common: &Common) -> Service {
    Service {
        key: key("", &common.namespace, "", ""),
        source: "generated".into(),
        provider: Provider::External,
        address: ServiceAddress::Unspecified,
        cluster_vips: BTreeMap::new(),
        auto_v4: None,
        auto_v6: None,
        ports: common.ports.clone(),
        resolution: Resolution::None,
        mesh_external: false,
        export_to: common.export_to.clone(),
        created: common.created,
        endpoints: Arc::new([]),
        labels: Labels::new(),
        selector: Labels::new(),
        subject_alt_names: Vec::new(),
        external_name: None,
        resource_version: String::new(),
    }
}

/// One address of a `ServiceEntry`: single or a network.
pub fn address() -> impl Strategy<Value = ServiceAddress> {
    prop_oneof![
        5 => ip(&ADDRESSES).prop_map(ServiceAddress::Ip),
        5 => select(&NETWORKS[..]).prop_map(network),
        1 => select(&WIDE_NETWORKS[..]).prop_map(network),
    ]
}

fn network(text: &str) -> ServiceAddress {
    let net: IpNet = text.parse().expect("networks of the universe are well-formed");
    ServiceAddress::Cidr(net.trunc(), text.into())
}

/// Whether a `ServiceEntry` of this resolution may have this address.
pub fn address_fits(resolution: Resolution, address: &ServiceAddress) -> bool {
    match address {
        ServiceAddress::Unspecified => true,
        ServiceAddress::Ip(_) => resolution != Resolution::DynamicDns,
        ServiceAddress::Cidr(..) => matches!(resolution, Resolution::None | Resolution::Static),
    }
}

/// One to three ports with different numbers, sometimes none.
pub fn ports() -> impl Strategy<Value = Vec<ServicePort>> {
    let numbers = prop_oneof![1 => Just(Vec::new()), 30 => subsequence(PORTS.to_vec(), 1..=3).prop_shuffle()];
    numbers.prop_flat_map(|numbers| {
        let ports: Vec<_> = numbers.into_iter().map(service_port).collect();
        ports
    })
}

fn service_port(number: u16) -> impl Strategy<Value = ServicePort> {
    (protocol(), proptest::option::weighted(0.3, port())).prop_map(move |(protocol, target)| ServicePort {
        name: port_name(number),
        number,
        protocol,
        target,
    })
}

fn port_name(number: u16) -> Arc<str> {
    format!("p{number}").into()
}

/// Up to four endpoints of every kind, sometimes all of them IPv6.
pub fn endpoints() -> impl Strategy<Value = Vec<Endpoint>> {
    let only_v6 = ip(&ENDPOINTS[V4_ENDPOINTS..]).prop_map(EndpointAddress::Ip);
    let mixed = prop_oneof![
        12 => ip(&ENDPOINTS).prop_map(EndpointAddress::Ip),
        1 => Just(EndpointAddress::Host(Host::new("backend.example.net"))),
        1 => Just(EndpointAddress::Unix("/run/backend.sock".into())),
    ];
    prop_oneof![6 => vec(endpoint(mixed), 0..=4), 1 => vec(endpoint(only_v6), 1..=2)]
}

fn endpoint(address: impl Strategy<Value = EndpointAddress>) -> impl Strategy<Value = Endpoint> {
    let ports = prop_oneof![
        2 => Just(BTreeMap::new()),
        1 => proptest::collection::btree_map(port().prop_map(port_name), port(), 1..=3),
    ];
    (address, ports, 1_u32..4, prop::bool::weighted(0.75))
        .prop_map(|(address, ports, weight, ready)| Endpoint { address, ports, weight, ready })
}

/// Those of the endpoints that such a service may have.
pub fn fit_endpoints(
    provider: Provider,
    resolution: Resolution,
    host: &str,
    mut endpoints: Vec<Endpoint>,
) -> Arc<[Endpoint]> {
    let is_ip = |endpoint: &Endpoint| matches!(endpoint.address, EndpointAddress::Ip(_));
    let is_host = |endpoint: &Endpoint| matches!(endpoint.address, EndpointAddress::Host(_));
    match (provider, resolution) {
        (_, Resolution::Alias | Resolution::DynamicDns) | (Provider::External, Resolution::None) => {
            endpoints.clear();
        }
        (Provider::Kubernetes, _) => endpoints.retain(is_ip),
        (Provider::External, Resolution::Static) => endpoints.retain(|endpoint| !is_host(endpoint)),
        (Provider::External, Resolution::Dns | Resolution::DnsRoundRobin) => {
            endpoints.retain(|endpoint| is_ip(endpoint) || is_host(endpoint));
            if resolution == Resolution::DnsRoundRobin {
                endpoints.truncate(1);
            }
            if endpoints.is_empty() && !host.starts_with('*') {
                let address = EndpointAddress::Host(Host::new(host));
                endpoints.push(Endpoint { address, ports: BTreeMap::new(), weight: 1, ready: true });
            }
        }
    }
    endpoints.into()
}

/// `exportTo` of every kind: empty most often, and some that Istio would warn about.
pub fn export_to() -> impl Strategy<Value = ExportTo> {
    let sets: Vec<(u32, &[&str])> = vec![
        (6, &[]),
        (7, &["*"]),
        (3, &["."]),
        (1, &["~"]),
        (1, &["shop"]),
        (1, &["north", "shop"]),
        (1, &[".", "east"]),
        (1, &["*", "~"]),
        (1, &[".", "~"]),
        (1, &["nowhere"]),
    ];
    let sets: Vec<(u32, Just<ExportTo>)> = sets
        .into_iter()
        .map(|(weight, set)| (weight, Just(set.iter().map(|to| Arc::from(*to)).collect())))
        .collect();
    proptest::strategy::Union::new_weighted(sets)
}

/// A `ClusterIP` of the universe, for changes.
pub fn other_cluster_ip() -> impl Strategy<Value = IpAddr> {
    select(&CLUSTER_IPS[..]).prop_map(parse_ip)
}
