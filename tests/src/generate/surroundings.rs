//! Everything around the services: Sidecars, the mesh, the node's settings, workloads.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use enforcer_common::addr::{Prefix, Protocol};
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Enforcement;
use enforcer_common::verdict::Role;
use enforcer_core::name::{Host, Labels, Namespace};
use enforcer_core::policy::{DirectEndpoints, ExemptRange, NodePolicy, Settings, WorkloadSpec};
use enforcer_core::registry::model::{
    EgressHost, EgressListener, ExportTo, MeshConfig, ObjectRef, OutboundMode, Sidecar,
};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::service::export_to;
use super::universe::{NAMESPACES, NODE_ADDRESSES, ROOT, created, namespace, parse_ip, port};

const EGRESS_NAMESPACES: [&str; 12] =
    ["*", "*", "*", ".", ".", "shop", "north", "istio-system", "~", "~north", "~.", "~*"];

const EGRESS_HOSTS: [&str; 14] = [
    "*",
    "*",
    "*",
    "*",
    "*",
    "*",
    "*",
    "*.example.com",
    "*.corp",
    "*.svc.cluster.local",
    "*.east.svc.cluster.local",
    "api.example.com",
    "db.corp",
    "*.com",
];

const RANGES: [(&str, u8); 8] = [
    ("10.1.2.3", 32),
    ("10.1.2.0", 24),
    ("10.1.0.0", 16),
    ("192.0.2.0", 24),
    ("203.0.113.10", 32),
    ("2001:db8::", 32),
    ("2001:db8::1", 128),
    ("::", 0),
];

/// A workload's or a selector's labels.
fn labels() -> impl Strategy<Value = Labels> {
    let sets: Vec<&[(&str, &str)]> =
        vec![&[], &[("app", "web")], &[("app", "web"), ("tier", "front")], &[("app", "db")]];
    select(sets)
        .prop_map(|pairs| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn mode() -> impl Strategy<Value = OutboundMode> {
    prop_oneof![4 => Just(OutboundMode::RegistryOnly), 1 => Just(OutboundMode::AllowAny)]
}

/// What a mesh configuration says.
pub fn mesh() -> impl Strategy<Value = MeshConfig> {
    let default = prop_oneof![2 => Just(ExportTo::new()), 1 => export_to()];
    (mode(), default).prop_map(|(outbound_policy, default_service_export_to)| MeshConfig {
        source: "generated".into(),
        outbound_policy,
        default_service_export_to,
        root_namespace: None,
    })
}

/// A Sidecar: with a selector, its namespace's default, or the mesh's.
pub fn sidecar() -> impl Strategy<Value = Sidecar> {
    let listeners = vec((weighted(0.25, port()), vec(egress_host(), 1..=3)), 1..=2).prop_map(|listeners| {
        listeners.into_iter().map(|(port, hosts)| EgressListener { port, hosts }).collect::<Vec<_>>()
    });
    let egress = prop_oneof![1 => Just(Vec::new()), 12 => listeners];
    (
        namespace(),
        select(vec!["s", "t", "u"]),
        created(),
        weighted(0.6, labels()),
        weighted(0.8, egress),
        weighted(0.3, mode()),
    )
        .prop_map(|(namespace, name, created, selector, egress, outbound_policy)| Sidecar {
            object: ObjectRef { kind: "Sidecar".into(), namespace, name: name.into() },
            source: "generated".into(),
            created,
            selector,
            egress,
            outbound_policy,
        })
}

fn egress_host() -> impl Strategy<Value = EgressHost> {
    (select(&EGRESS_NAMESPACES[..]), select(&EGRESS_HOSTS[..]))
        .prop_map(|(namespace, host)| EgressHost { namespace: namespace.into(), host: Host::new(host) })
}

/// The node's side.
pub fn settings() -> impl Strategy<Value = Settings> {
    let outbound_policy = prop_oneof![
        6 => Just(NodePolicy::Mesh),
        3 => Just(NodePolicy::Fixed(OutboundMode::RegistryOnly)),
        1 => Just(NodePolicy::Fixed(OutboundMode::AllowAny)),
    ];
    let direct = select(vec![DirectEndpoints::Kubernetes, DirectEndpoints::All, DirectEndpoints::None]);
    let trusted = weighted(0.3, subsequence(NAMESPACES.to_vec(), 0..=3));
    let nodes = subsequence(NODE_ADDRESSES.to_vec(), 0..=2);
    (
        select(vec!["Kubernetes", "Kubernetes", "Kubernetes", "other"]),
        outbound_policy,
        any::<(bool, bool)>(),
        trusted,
        direct,
        vec(exempt_range(), 0..=2),
        nodes,
    )
        .prop_map(
            |(cluster, outbound_policy, (allow_override, permit), trusted, direct, exempt, nodes)| Settings {
                cluster_id: cluster.to_owned(),
                root_namespace: Namespace::new(ROOT),
                outbound_policy,
                allow_override,
                trusted_exporters: trusted.map(|trusted| trusted.into_iter().map(Namespace::new).collect()),
                permit_any_address: permit,
                direct_endpoints: direct,
                exempt,
                node_addresses: nodes.into_iter().map(parse_ip).collect::<BTreeSet<IpAddr>>(),
            },
        )
}

/// One `--allow` range: without a port it has no protocol.
fn exempt_range() -> impl Strategy<Value = ExemptRange> {
    let protocol = select(vec![None, Some(Protocol::TCP), Some(Protocol::UDP)]);
    (select(&RANGES[..]), weighted(0.8, (port(), protocol))).prop_map(|((net, length), at)| ExemptRange {
        prefix: Prefix::of_ip(parse_ip(net), length),
        port: at.map(|(port, _)| port),
        protocol: at.and_then(|(_, protocol)| protocol),
    })
}

/// Most stand alone; the third is a mesh proxy, the fifth stands beside one. No dice: the seeds that are kept mean what they meant.
fn role(number: u64) -> Role {
    match number {
        3 => Role::MeshProxy,
        5 => Role::Meshed,
        _ => Role::Alone,
    }
}

/// One to `most` workloads, some of which share a view.
pub fn workloads(most: usize) -> impl Strategy<Value = Vec<WorkloadSpec>> {
    let enforcement = weighted(0.2, select(vec![Enforcement::Off, Enforcement::Audit, Enforcement::Enforce]));
    vec((namespace(), labels(), enforcement), 1..=most).prop_map(|all| {
        (1..)
            .zip(all)
            .map(|(number, (namespace, labels, enforcement))| WorkloadSpec {
                cgroup: CgroupId::new(1000 + number),
                namespace,
                name: Arc::from(format!("workload-{number}")),
                labels,
                enforcement,
                role: role(number),
                covered: number % 2 == 0,
            })
            .collect()
    })
}
