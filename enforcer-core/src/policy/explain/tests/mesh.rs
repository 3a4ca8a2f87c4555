//! Stories of a mesh proxy beside shop/cart.

use super::*;

const KUBERNETES: &str = "---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.96.0.10, ports: [{port: 5432, name: tcp-db}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.5]}]
ports: [{name: tcp-db, port: 15432}]
---
apiVersion: v1
kind: Service
metadata:
  name: waypoint
  namespace: bank
  annotations: {networking.istio.io/exportTo: .}
  labels: {gateway.istio.io/managed: istio.io-mesh-controller}
spec: {clusterIP: 10.96.0.20, ports: [{port: 15021, name: status-port}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: waypoint-1, namespace: bank, labels: {kubernetes.io/service-name: waypoint}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.20]}]
ports: [{name: status-port, port: 15021}]
---
apiVersion: v1
kind: Service
metadata: {name: eastwest, namespace: istio-system, labels: {topology.istio.io/network: other}}
spec: {clusterIP: 10.96.0.30, ports: [{port: 15021, name: status-port}]}
---
apiVersion: v1
kind: Service
metadata: {name: istiod-canary, namespace: istio-system}
spec: {clusterIP: 10.96.0.40, ports: [{port: 15012, name: https-dns}]}
";

const SIDECAR: &str = "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: narrow, namespace: shop}
spec: {egress: [{hosts: [./db.shop.svc.cluster.local]}]}
";

fn proxy() -> WorkloadSpec {
    WorkloadSpec { cgroup: CgroupId::new(2), role: Role::MeshProxy, ..shopper() }
}

/// Compiled for cart, its proxy, and another workload with one beside it.
fn with_proxy(text: &str) -> Compiler {
    let mut compiler = compiled(text, Settings { direct_endpoints: DirectEndpoints::None, ..settings() });
    let registry = Arc::clone(compiler.registry());
    let meshed = WorkloadSpec { cgroup: CgroupId::new(3), role: Role::Meshed, ..shopper() };
    compiler.update(&registry, &[shopper(), proxy(), meshed], Duration::ZERO).unwrap();
    compiler
}

fn answers(compiler: &Compiler, spec: &WorkloadSpec, destination: &str) -> (String, Option<String>) {
    let answer = compiler.explain(compiler.image(), spec, &destination.parse().unwrap());
    (answer.verdict, answer.service.map(|service| format!("{} {}", service.object, service.host)))
}

#[test]
fn a_mesh_proxy_reaches_what_the_mesh_needs_and_nobody_else_does() {
    let compiler = with_proxy(&[MESH, SHOP, KUBERNETES, SIDECAR].concat());
    for (destination, owner) in [
        ("10.1.0.5:15432", "Service shop/db db.shop.svc.cluster.local"),
        ("10.1.0.5:15008", "Service shop/db db.shop.svc.cluster.local"),
        ("10.96.0.20:15008", "Service bank/waypoint waypoint.bank.svc.cluster.local"),
        ("10.1.0.20:15008", "Service bank/waypoint waypoint.bank.svc.cluster.local"),
        ("10.96.0.30:15443", "Service istio-system/eastwest eastwest.istio-system.svc.cluster.local"),
        ("10.96.0.30:15008", "Service istio-system/eastwest eastwest.istio-system.svc.cluster.local"),
        (
            "10.96.0.40:15012",
            "Service istio-system/istiod-canary istiod-canary.istio-system.svc.cluster.local",
        ),
    ] {
        let allowed = ("allow".to_owned(), Some(owner.to_owned()));
        assert_eq!(answers(&compiler, &proxy(), destination), allowed, "{destination}");
        for role in [Role::Alone, Role::Meshed] {
            let beside = WorkloadSpec { role, ..shopper() };
            assert_eq!(answers(&compiler, &beside, destination).0, "deny", "{destination} of {role:?}");
        }
    }
}

#[test]
fn a_mesh_proxy_is_judged_by_the_view_of_its_workload() {
    let compiler = with_proxy(&[MESH, SHOP, BANK, KUBERNETES].concat());
    for (destination, expected) in [
        ("10.96.0.10:5432", "allow"),
        ("192.0.2.10:5432", "allow"),
        // The endpoints of a ServiceEntry, too.
        ("203.0.113.1:8080", "allow"),
        // What another namespace keeps to itself, its tunnel included.
        ("192.0.2.20:5432", "deny"),
        ("10.96.0.20:15021", "deny"),
        ("10.1.0.20:15021", "deny"),
        // A service's address and a stranger take no tunnel.
        ("10.96.0.10:15008", "deny"),
        ("192.0.2.99:15008", "deny"),
    ] {
        assert_eq!(answers(&compiler, &proxy(), destination).0, expected, "{destination}");
    }
    let told = compiler.explain(compiler.image(), &proxy(), &"10.1.0.5:15008".parse().unwrap());
    let view = told.steps.iter().find(|step| step.step == "view").unwrap();
    assert!(view.detail.contains("It is a mesh proxy, which sees what the mesh needs, too"), "{view:?}");
    assert_eq!(told.rule.unwrap().fields, ["spec.ports[port=5432]"]);
}

/// A VIP is Envoy's to translate: it has to see it.
#[test]
fn nothing_is_translated_beside_a_mesh_proxy() {
    let compiler = with_proxy(&[MESH, SHOP].concat());
    for (role, expected) in [(Role::Alone, "translate"), (Role::Meshed, "allow"), (Role::MeshProxy, "allow")]
    {
        let spec = WorkloadSpec { role, ..shopper() };
        assert_eq!(answers(&compiler, &spec, "orders.example.com:80").0, expected, "{role:?}");
    }
    let told = compiler.explain(compiler.image(), &proxy(), &"orders.example.com:80".parse().unwrap());
    assert_eq!(
        looked(&told).last().map(String::as_str),
        Some("backend allow: It passes as it is: the mesh proxy chooses the endpoint.")
    );
}

#[test]
fn without_a_mesh_proxy_on_the_node_its_offers_are_not_made() {
    let mut compiler = compiled(&[MESH, SHOP, KUBERNETES].concat(), settings());
    let registry = Arc::clone(compiler.registry());
    let count = |compiler: &Compiler| compiler.offers.values().flatten().count();
    let plain = count(&compiler);
    let cells: Vec<_> = compiler.image().cells().collect();
    compiler.update(&registry, &[shopper(), proxy()], Duration::ZERO).unwrap();
    assert!(count(&compiler) > plain);
    // When the last one has gone, the maps are as if there had been none.
    compiler.update(&registry, &[shopper()], Duration::ZERO).unwrap();
    assert_eq!(compiler.image().cells().collect::<Vec<_>>(), cells);
}
