//! Stories of a socket of shop/cart that remembers where it may go.

use std::time::Duration;

use enforcer_common::id::ViewId;
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Enforcement;
use enforcer_common::verdict::Role;

use crate::fixture::registry;
use crate::name::Namespace;
use crate::policy::budget::Limits;
use crate::policy::compile::{Compiler, Stages};
use crate::policy::image::MapOp;
use crate::policy::{DirectEndpoints, Settings, WorkloadSpec};

const CLOSED: &str = "---\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}\n";
const OPEN: &str = "---\noutboundTrafficPolicy: {mode: ALLOW_ANY}\n";
const NARROW: &str = "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: shop}\n\
                      spec: {egress: [{hosts: [./*]}]}\n";
const POD: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n\
                   spec: {clusterIP: 10.96.0.7, ports: [{port: 80, name: http}]}\n---\n\
                   apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                   metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}\n\
                   addressType: IPv4\nendpoints: [{addresses: [203.0.113.7]}]\nports: [{name: http, port: 80}]\n";

/// A ServiceEntry of namespace shop, seen by everyone or by its own namespace.
fn entry(name: &str, to: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{hosts: [{name}.example.com], exportTo: ['{to}'], {spec}}}\n"
    )
}

fn at(addresses: &str) -> String {
    format!("addresses: [{addresses}], resolution: NONE, ports: [{{number: 443, name: tls, protocol: TLS}}]")
}

fn vip(addresses: &str, endpoints: &str) -> String {
    format!(
        "addresses: [{addresses}], resolution: STATIC, endpoints: [{endpoints}], \
         ports: [{{number: 443, name: tls, protocol: TLS}}]"
    )
}

const ONE: &str = "{address: 198.51.100.1}";
const TWO: &str = "{address: 198.51.100.1}, {address: 198.51.100.2}";
const BLIND: &str = "resolution: NONE, ports: [{number: 25, name: tcp-smtp, protocol: TCP}]";

fn cart() -> WorkloadSpec {
    WorkloadSpec::new(CgroupId::new(1), Namespace::new("shop"), "cart")
}

fn compiled(text: &str) -> Compiler {
    let settings =
        Settings { permit_any_address: true, direct_endpoints: DirectEndpoints::None, ..Settings::default() };
    let mut compiler = Compiler::new(settings, Limits::default());
    let first = compiler.update(&registry(text), &[cart()], Duration::ZERO).unwrap();
    assert_eq!(views(&first), [""; 0], "nobody had anything");
    compiler
}

/// What is narrowed: the public part, or a view of the workload's own.
fn views(stages: &Stages) -> Vec<&'static str> {
    let told = |op: &MapOp| match op {
        MapOp::Narrow(ViewId::PUBLIC) => Some("public"),
        MapOp::Narrow(_) => Some("own"),
        _ => None,
    };
    stages.iter().flatten().filter_map(told).collect()
}

fn narrowed(before: &str, after: &str) -> Vec<&'static str> {
    views(&compiled(before).update(&registry(after), &[cart()], Duration::ZERO).unwrap())
}

#[test]
fn what_only_widens_makes_nobody_look_again() {
    let closed = |entries: &[&str]| format!("{CLOSED}{}", entries.concat());
    let (one, net) = (entry("one", "*", &at("192.0.2.10")), entry("net", "*", &at("192.0.2.0/24")));
    for (what, before, after) in [
        ("a new address", closed(&[]), closed(&[&one])),
        ("one of its own", closed(&[&one]), closed(&[&one, &entry("two", ".", &at("192.0.2.11"))])),
        (
            "one more endpoint",
            closed(&[&entry("v", "*", &vip("192.0.2.9", ONE))]),
            closed(&[&entry("v", "*", &vip("192.0.2.9", TWO))]),
        ),
        ("a network around", closed(&[&one]), closed(&[&one, &net])),
        ("a network within", closed(&[&net]), closed(&[&net, &entry("in", "*", &at("192.0.2.64/26"))])),
        ("an address within", closed(&[&net]), closed(&[&net, &one])),
        ("a second owner", closed(&[&one]), closed(&[&one, &entry("a", "*", &at("192.0.2.10"))])),
        ("a port anywhere", closed(&[&one]), closed(&[&one, &entry("b", "*", BLIND)])),
        ("an open policy", closed(&[&one]), format!("{OPEN}{one}")),
        ("an allowed address under an open policy", OPEN.to_owned(), format!("{OPEN}{one}")),
    ] {
        assert_eq!(narrowed(&before, &after), [""; 0], "{what}");
    }
}

#[test]
fn who_loses_something_looks_again() {
    let closed = |entries: &[&str]| format!("{CLOSED}{}", entries.concat());
    let (one, net) = (entry("one", "*", &at("192.0.2.10")), entry("net", "*", &at("192.0.2.0/24")));
    let of_vip = |endpoints: &str| entry("v", "*", &vip("192.0.2.9", endpoints));
    for (what, before, after, expected) in [
        ("an address goes", closed(&[&one]), closed(&[]), "public"),
        ("one of its own goes", closed(&[&entry("two", ".", &at("192.0.2.11"))]), closed(&[]), "own"),
        ("a port goes", closed(&[&one]), closed(&[&one.replace("443", "444")]), "public"),
        ("an endpoint goes", closed(&[&of_vip(TWO)]), closed(&[&of_vip(ONE)]), "public"),
        ("a network goes", closed(&[&net]), closed(&[]), "public"),
        ("a port anywhere goes", closed(&[&entry("b", "*", BLIND)]), closed(&[]), "public"),
        (
            "what was allowed is translated",
            closed(&[&entry("v", "*", &at("192.0.2.9"))]),
            closed(&[&of_vip(ONE)]),
            "public",
        ),
        (
            "its own VIP stands in front of the public one",
            closed(&[&of_vip(ONE)]),
            closed(&[&of_vip(ONE), &entry("a", ".", &vip("192.0.2.9", "{address: 198.51.100.9}"))]),
            "own",
        ),
        ("a VIP stands in front of a network", closed(&[&net]), closed(&[&net, &of_vip(ONE)]), "public"),
        (
            "a pod comes to be within a network that translates",
            closed(&[&entry("n", "*", &vip("203.0.113.0/24", ONE)).replace("443", "80")]),
            format!("{}{POD}", closed(&[&entry("n", "*", &vip("203.0.113.0/24", ONE)).replace("443", "80")])),
            "public",
        ),
        ("the policy closes", format!("{OPEN}{one}"), closed(&[&one]), "own"),
        ("a VIP comes under an open policy", OPEN.to_owned(), format!("{OPEN}{}", of_vip(ONE)), "public"),
        ("a Sidecar narrows", closed(&[&one]), format!("{CLOSED}{one}{NARROW}"), "own"),
    ] {
        assert_eq!(narrowed(&before, &after), [expected], "{what}");
    }
}

#[test]
fn a_workload_loses_by_its_role_or_by_going_and_not_by_its_switches() {
    let text = format!("{CLOSED}{}", entry("one", "*", &at("192.0.2.10")));
    let registry = registry(&text);
    for (what, after, expected) in [
        ("coverage", vec![WorkloadSpec { covered: true, ..cart() }], &[][..]),
        ("enforcement", vec![WorkloadSpec { enforcement: Some(Enforcement::Audit), ..cart() }], &[][..]),
        ("another one comes", vec![cart(), WorkloadSpec { cgroup: CgroupId::new(2), ..cart() }], &[][..]),
        ("a proxy beside it", vec![WorkloadSpec { role: Role::Meshed, ..cart() }], &["own"][..]),
        (
            "another namespace",
            vec![WorkloadSpec { namespace: Namespace::new("bank"), ..cart() }],
            &["own"][..],
        ),
        ("it goes", Vec::new(), &["own"][..]),
    ] {
        let stages = compiled(&text).update(&registry, &after, Duration::ZERO).unwrap();
        assert_eq!(views(&stages), expected, "{what}");
        let last = stages.last().and_then(|stage| stage.last());
        assert_eq!(matches!(last, Some(MapOp::Narrow(_))), !expected.is_empty(), "{what}: {last:?}");
    }
}
