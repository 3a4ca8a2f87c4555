//! Which host an address gets.

use enforcer_core::name::Namespace;
use enforcer_core::registry::{BuildOptions, build, parse};
use enforcer_core::vip::VipAllocation;

use super::*;

const REGISTRY: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: one, namespace: shop}
spec:
  hosts: [one.example.com]
  addresses: [192.0.2.1, 198.51.100.0/24]
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: STATIC
  endpoints: [{address: 203.0.113.1}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: two, namespace: shop}
spec:
  hosts: [two.example.com]
  addresses: [192.0.2.1]
  ports: [{number: 53, name: dns, protocol: UDP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild, namespace: shop}
spec:
  hosts: ['*.example.org']
  addresses: [192.0.2.2]
  ports: [{number: 443, name: tls, protocol: TLS}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: auto, namespace: shop}
spec:
  hosts: [auto.example.com]
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: DNS
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, 'fd00::1'], ports: [{port: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: capture, namespace: a}
spec:
  hosts: [capture.example.com]
  addresses: [10.96.0.1]
  ports: [{number: 80, name: http, protocol: HTTP}]
";

#[test]
fn an_address_is_its_services_host() {
    let objects = parse("file:a.yaml", REGISTRY).unwrap().objects;
    let options = BuildOptions {
        cluster_id: "Kubernetes".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
        root_namespace: Namespace::new("istio-system"),
        vip_allocation: VipAllocation::IstioV2,
    };
    let registry = build(&objects, &options).0;
    let auto = registry.services.iter().find_map(|service| service.auto_v4).unwrap();
    let hosts = HostNames::new(Arc::new(registry), "Kubernetes");
    let auto = format!("{auto}:443");
    for (to, protocol, expected) in [
        ("192.0.2.1:443", Protocol::TCP, Some("one.example.com")),
        ("192.0.2.1:53", Protocol::UDP, Some("two.example.com")),
        ("192.0.2.1:8080", Protocol::TCP, Some("one.example.com")),
        ("198.51.100.0:443", Protocol::TCP, None),
        ("203.0.113.1:443", Protocol::TCP, None),
        ("192.0.2.2:443", Protocol::TCP, None),
        (auto.as_str(), Protocol::TCP, Some("auto.example.com")),
        ("10.96.0.1:80", Protocol::TCP, Some("web.shop.svc.cluster.local")),
        ("[fd00::1]:80", Protocol::TCP, Some("web.shop.svc.cluster.local")),
        ("192.0.2.99:443", Protocol::TCP, None),
    ] {
        let host = hosts.host(to.parse().unwrap(), protocol).map(Host::as_str);
        assert_eq!(host, expected, "{to}");
    }
}
