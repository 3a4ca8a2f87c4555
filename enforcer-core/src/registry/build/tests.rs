//! Objects in, registry and problems out.

use std::fmt::Write;

use super::*;
use crate::registry::model::EndpointAddress;
use crate::registry::parse;

fn build_from(texts: &[(&str, &str)], vip_allocation: VipAllocation) -> (Registry, Vec<String>) {
    let objects: Vec<_> =
        texts.iter().flat_map(|(source, text)| parse(source, text).unwrap().objects).collect();
    let options = BuildOptions { cluster_id: "c1".to_owned(), vip_allocation, ..BuildOptions::default() };
    let (registry, problems) = build(&objects, &options);
    (
        registry,
        problems.iter().map(|problem| problem.to_string().lines().next().unwrap().to_owned()).collect(),
    )
}

/// One service a line: `namespace/name host address auto4 [endpoint:ports!unready]`.
fn shown(registry: &Registry) -> String {
    let mut text = String::new();
    for service in &registry.services {
        let object = &service.key.object;
        let auto = service.auto_v4.map_or("-".to_owned(), |ip| ip.to_string());
        write!(text, "{}/{} {} {} {auto} [", object.namespace, object.name, service.host(), service.address)
            .unwrap();
        for endpoint in &*service.endpoints {
            let ports: Vec<_> = service.ports.iter().map(|port| endpoint.port(port).to_string()).collect();
            let address = match &endpoint.address {
                EndpointAddress::Ip(ip) => ip.to_string(),
                EndpointAddress::Host(host) => host.to_string(),
                EndpointAddress::Unix(path) => path.to_string(),
            };
            write!(text, " {address}:{}{}", ports.join(","), if endpoint.ready { "" } else { "!" }).unwrap();
        }
        text += " ]\n";
    }
    text
}

fn entry(name: &str, metadata: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, {metadata}}}\n\
         spec: {{ports: [{{number: 443, name: tls, protocol: TLS}}], {spec}}}\n"
    )
}

fn workload(name: &str, metadata: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {{name: {name}, {metadata}}}\nspec: {{{spec}}}\n"
    )
}

fn static_entry(name: &str, host: &str, metadata: &str) -> String {
    entry(name, metadata, &format!("hosts: [{host}], resolution: STATIC, endpoints: [{{address: 1.1.1.1}}]"))
}

#[test]
fn of_two_objects_with_one_name_the_first_stays() {
    let first = static_entry("a", "first.com", "") + &static_entry("b", "b.com", "");
    let (registry, problems) =
        build_from(&[("x", &first), ("y", &static_entry("a", "second.com", ""))], VipAllocation::Off);
    assert_eq!(
        shown(&registry),
        "default/a first.com 0.0.0.0 - [ 1.1.1.1:443 ]\ndefault/b b.com 0.0.0.0 - [ 1.1.1.1:443 ]\n"
    );
    assert_eq!(problems, ["error: y:2: ServiceEntry default/a: already defined at x:2, which stays"]);

    let mesh = "outboundTrafficPolicy: {mode: ALLOW_ANY}";
    let config =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata: {mesh: 'outboundTrafficPolicy: {}'}";
    let (registry, problems) = build_from(&[("x", config), ("y", mesh)], VipAllocation::Off);
    assert_eq!(registry.mesh.unwrap().outbound_policy, crate::registry::model::OutboundMode::RegistryOnly);
    assert_eq!(problems, ["error: y:1: MeshConfig default/mesh: a second MeshConfig; the one at x:1 stays"]);
}

#[test]
fn workload_entries_of_the_own_namespace() {
    let text = [
        entry(
            "s",
            "namespace: a",
            "hosts: [s.com], resolution: STATIC, workloadSelector: {labels: {app: x, v: '1'}}",
        ),
        entry("d", "namespace: a", "hosts: [d.com], resolution: DNS, workloadSelector: {labels: {app: x}}"),
        entry("all", "namespace: a", "hosts: [all.com], resolution: STATIC, workloadSelector: {}"),
        entry(
            "none",
            "namespace: a",
            "hosts: [none.com], resolution: STATIC, workloadSelector: {labels: {app: z}}",
        ),
        workload(
            "w1",
            "namespace: a, labels: {v: '1'}",
            "address: 10.0.0.1, labels: {app: x, v: '2'}, ports: {tls: 8443}",
        ),
        workload("w2", "namespace: a", "address: w2.com, labels: {app: x, v: '1'}"),
        workload("w3", "namespace: a", "address: 10.0.0.3, labels: {app: x}, weight: 3"),
        workload("w4", "namespace: b", "address: 10.0.0.4, labels: {app: x, v: '1'}"),
    ];
    let (registry, problems) = build_from(&[("x", &text.concat())], VipAllocation::Off);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        shown(&registry),
        "a/all all.com 0.0.0.0 - [ 10.0.0.1:8443 10.0.0.3:443 ]\n\
         a/d d.com 0.0.0.0 - [ 10.0.0.1:8443 w2.com:443 10.0.0.3:443 ]\n\
         a/none none.com 0.0.0.0 - [ ]\n\
         a/s s.com 0.0.0.0 - [ 10.0.0.1:8443 ]\n"
    );
    assert_eq!(registry.services[0].endpoints.iter().map(|e| e.weight).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn kubernetes_services_and_their_slices() {
    let text = "
apiVersion: v1
kind: Service
metadata: {name: a, annotations: {networking.istio.io/exportTo: '., other'}}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}, {name: sctp, port: 81, protocol: SCTP}, {name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, ports: [{port: 3306}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: B.com}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-1, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
endpoints:
- {addresses: [10.1.0.1]}
- {addresses: [10.1.0.2], conditions: {ready: false}}
- {addresses: [10.1.0.3], conditions: {ready: true, terminating: true}}
ports: [{name: http, port: 8080}, {name: dns, port: 5353, protocol: UDP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-2, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.2], conditions: {ready: true}}]
ports: [{name: http, port: 8081}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: h, labels: {kubernetes.io/service-name: headless}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.9]}]
ports: [{port: 3307}]
";
    let (registry, problems) = build_from(&[("x", text)], VipAllocation::IstioV2);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        shown(&registry),
        "default/a a.default.svc.cluster.local 10.0.0.1 - [ 10.1.0.1:8080,5353 10.1.0.2:8081,5353 10.1.0.3:8080,5353! ]\n\
         default/alias alias.default.svc.cluster.local 0.0.0.0 - [ ]\n\
         default/headless headless.default.svc.cluster.local 0.0.0.0 - [ 10.1.0.9:3307 ]\n"
    );
    let [a, alias, headless] = &*registry.services else { panic!("three services") };
    assert_eq!(a.cluster_vips, [("c1".to_owned(), vec!["10.0.0.1".parse().unwrap()])].into());
    assert_eq!(a.export_to, [".".into(), "other".into()].into());
    assert_eq!(alias.external_name.as_ref().map(ToString::to_string).as_deref(), Some("b.com"));
    assert!(alias.mesh_external && headless.is_headless());
}

#[test]
fn addresses_are_allocated_in_order_of_age_then_of_the_files() {
    let opt_out = "labels: {networking.istio.io/enable-autoallocate-ip: 'False'}";
    let young = "creationTimestamp: '2024-01-01T00:00:00Z'";
    let old = "creationTimestamp: '2023-01-01T00:00:00Z'";
    let text = [
        static_entry("a-timeless", "a.com", ""),
        static_entry("b-young", "b.com", young),
        static_entry("c-old", "'*.c.com', c.com", old),
        static_entry("d-out", "d.com", opt_out),
        entry("e-none", "", "hosts: [e.com], resolution: NONE"),
        entry("f-own", "", "hosts: [f.com], addresses: [240.240.0.2], resolution: STATIC"),
        entry("g-dynamic", "", "hosts: ['*.g.com'], resolution: DYNAMIC_DNS"),
        static_entry("h-told", "h.com", "") + "status: {addresses: [{value: 240.240.0.4, host: h.com}]}\n",
        static_entry("i-again", "a.com", ""),
    ]
    .concat();
    let told = |allocation, source: &str| {
        let (registry, problems) = build_from(&[(source, &text)], allocation);
        let shared = format!("warning: {source}:43: ServiceEntry default/i-again: spec.hosts[0]: ");
        assert!(problems.len() == 1 && problems[0].starts_with(&shared), "{problems:?}");
        let auto = |service: &Arc<Service>| Some(format!("{} {}", service.host(), service.auto_v4?));
        registry.services.iter().filter_map(auto).collect::<Vec<_>>()
    };
    assert_eq!(
        told(VipAllocation::IstioV2, "file:x"),
        [
            "a.com 240.240.0.5",
            "b.com 240.240.0.3",
            "c.com 240.240.0.1",
            "*.g.com 240.240.0.6",
            "h.com 240.240.0.4",
            "a.com 240.240.0.7"
        ]
    );
    assert_eq!(told(VipAllocation::IstioV2, "kube:"), ["h.com 240.240.0.4"]);
    assert_eq!(told(VipAllocation::Off, "file:x"), ["h.com 240.240.0.4"]);
    let legacy = told(VipAllocation::IstioLegacy, "file:x");
    assert_eq!(legacy.len(), 5, "{legacy:?}");
    assert_eq!(legacy[0], legacy[4], "one host of one namespace has one address");
}

#[test]
fn the_table_of_the_hash_counts_hosts_whose_address_is_told() {
    let text = static_entry("a", "random-1.host.example", "namespace: ns2")
        + &static_entry("b", "random-3.host.example", "namespace: ns2");
    let (registry, _) = build_from(&[("file:x", &text)], VipAllocation::IstioLegacy);
    let auto: Vec<_> = registry.services.iter().map(|service| service.auto_v4.unwrap().to_string()).collect();
    assert_eq!(auto, ["240.240.116.21", "240.240.81.100"]);
}

#[test]
fn registryz_tells_addresses_of_objects_that_are_known_themselves() {
    let record = |host: &str, object: &str, registry: &str, rest: &str| {
        format!(
            r#"{{"hostname":"{host}","Resolution":1,{rest}"Attributes":{{"ServiceRegistry":"{registry}","Name":"{host}","ObjectName":"{object}","Namespace":"default"}}}}"#
        )
    };
    let auto = r#""autoAllocatedIPv4Address":"240.240.9.9","#;
    let records = [
        record("a.com", "a", "External", auto),
        record("b.com", "", "External", auto),
        record("c.com", "other", "External", auto),
        record("k.default.svc.cluster.local", "k", "Kubernetes", ""),
        record("two.com", "two", "External", r#""defaultAddress":"10.0.0.1","#),
        record("two.com", "two", "External", r#""defaultAddress":"10.0.0.2","#),
    ];
    let entries =
        static_entry("a", "a.com", "") + &static_entry("b", "b.com", "") + &static_entry("c", "c.com", "");
    let kube =
        entries + "---\napiVersion: v1\nkind: Service\nmetadata: {name: k}\nspec: {clusterIP: 10.0.0.7}\n";
    let dump = format!("[{}]", records.join(","));
    for sources in [
        [("kube:", &*kube), ("registryz:http://i", &*dump)],
        [("registryz:http://i", &*dump), ("kube:", &*kube)],
    ] {
        let (registry, problems) = build_from(&sources, VipAllocation::IstioV2);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            shown(&registry),
            "default/k k.default.svc.cluster.local 10.0.0.7 - [ ]\n\
             default/a a.com 0.0.0.0 240.240.9.9 [ 1.1.1.1:443 ]\n\
             default/b b.com 0.0.0.0 240.240.9.9 [ 1.1.1.1:443 ]\n\
             default/c c.com 0.0.0.0 - [ 1.1.1.1:443 ]\n\
             default/other c.com 0.0.0.0 240.240.9.9 [ ]\n\
             default/two two.com 10.0.0.1 - [ ]\n\
             default/two two.com 10.0.0.2 - [ ]\n"
        );
    }
    let (_, problems) = build_from(&[("x", &dump), ("y", &dump)], VipAllocation::Off);
    assert_eq!(problems.len(), 6);
}

#[test]
fn a_host_of_two_service_entries_is_a_warning_at_the_later_one() {
    let entries = [
        static_entry("a", "x.com", ""),
        static_entry("b", "'y.com, X.com'", "").replace('\'', ""),
        static_entry("c", "x.com", "namespace: other"),
        static_entry("d", "'*.x.com'", ""),
        static_entry("e", "y.com", ""),
        static_entry("f", "x.com", ""),
    ];
    let shared = |allocation, apart: &str| {
        let (_, problems) = build_from(&[("x", &entries.concat())], allocation);
        let line = |at: usize, name: &str, index: usize, first: &str, host: &str| {
            format!(
                "warning: x:{at}: ServiceEntry default/{name}: spec.hosts[{index}]: ServiceEntry default/{first} has {host}, too: {apart}"
            )
        };
        assert_eq!(
            problems,
            [
                line(7, "b", 1, "a at x:2", "X.com"),
                line(22, "e", 0, "b at x:7", "y.com"),
                line(27, "f", 0, "a at x:2", "x.com")
            ]
        );
    };
    shared(VipAllocation::IstioV2, "each gets its own addresses");
    shared(VipAllocation::IstioLegacy, "each is a service of its own");
}

#[test]
fn sidecars_without_a_name_all_stay() {
    let sidecar = "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {}\nspec: {}\n";
    let (registry, problems) = build_from(&[("x", &sidecar.repeat(2))], VipAllocation::Off);
    assert_eq!((registry.sidecars.len(), problems), (2, Vec::new()));
}

#[test]
fn a_host_of_100_000_service_entries() {
    let text = static_entry("e0", "x.com", "");
    let first = parse("x", &text).unwrap().objects.remove(0);
    let named = |i: usize| {
        let mut object = (*first).clone();
        object.object.name = format!("e{i}").into();
        Arc::new(object)
    };
    let objects: Vec<_> = (0..100_000).map(named).collect();
    let options = BuildOptions { vip_allocation: VipAllocation::Off, ..BuildOptions::default() };
    let (registry, problems) = build(&objects, &options);
    assert_eq!((registry.services.len(), problems.len()), (100_000, 99_999));
    assert!(problems[99_998].message.starts_with("ServiceEntry default/e0 at"), "{}", problems[99_998]);
}

#[test]
fn thousands_of_service_entries_and_workloads() {
    let mut text = String::new();
    for i in 0..4_000 {
        let host = format!(
            "hosts: [h{i}.example.com], resolution: STATIC, workloadSelector: {{labels: {{app: a{i}}}}}"
        );
        text += &entry(&format!("e{i}"), "", &host);
    }
    for i in 0..1_000 {
        text +=
            &workload(&format!("w{i}"), "", &format!("address: 10.0.0.1, labels: {{app: a{i}, common: x}}"));
    }
    let (registry, problems) = build_from(&[("file:x", &text)], VipAllocation::IstioV2);
    assert_eq!((registry.services.len(), problems.len()), (4_000, 0));
    assert_eq!(registry.services.iter().filter(|service| !service.endpoints.is_empty()).count(), 1_000);
}

#[test]
fn a_workload_entry_whose_health_is_checked_counts_when_it_is_healthy() {
    let selecting =
        entry("a", "", "hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {app: a}}");
    let checked = |name: &str, address: &str, annotation: &str, status: &str| {
        let metadata = format!("annotations: {{proxy.istio.io/health-checks-enabled: \"{annotation}\"}}");
        let text = workload(name, &metadata, &format!("address: {address}, labels: {{app: a}}"));
        format!("{text}status: {{conditions: [{status}]}}\n")
    };
    let text = selecting
        + &checked("w1", "1.1.1.1", "true", "{type: Healthy, status: \"True\"}")
        + &checked("w2", "1.1.1.2", "true", "{type: Healthy, status: \"False\"}")
        + &checked("w3", "1.1.1.3", "true", "")
        + &checked("w4", "1.1.1.4", "false", "{type: Healthy, status: \"False\"}");
    let (registry, problems) = build_from(&[("x", &text)], VipAllocation::Off);
    assert_eq!(shown(&registry), "default/a a.com 0.0.0.0 - [ 1.1.1.1:443 1.1.1.4:443 ]\n");
    assert_eq!(problems, Vec::<String>::new());
}
