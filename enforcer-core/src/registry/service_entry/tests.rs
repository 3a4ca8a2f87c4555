//! ServiceEntries as typed.

use super::*;
use crate::registry::object::Body;

fn services(spec: &str) -> Vec<Service> {
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: a, namespace: n}}\n{spec}\n"
    );
    let parsed = crate::registry::parse("t", &text).unwrap();
    let Body::ServiceEntry(entry) = &parsed.objects[0].body else { panic!("not a ServiceEntry") };
    entry.services(&parsed.objects[0], &[])
}

/// `host address/index auto4 auto6 resolution [endpoint:port...]`, one service a line.
fn shown(spec: &str) -> String {
    let line = |service: &Service| {
        let auto = [service.auto_v4.map(|ip| ip.to_string()), service.auto_v6.map(|ip| ip.to_string())];
        let auto = auto.into_iter().flatten().collect::<Vec<_>>().join(",");
        let endpoints: Vec<String> =
            service.endpoints.iter().map(|endpoint| shown_endpoint(endpoint, service)).collect();
        let key = &service.key;
        format!(
            "{} {}/{} {auto} {:?} [{}]",
            key.host,
            service.address,
            key.address,
            service.resolution,
            endpoints.join(" ")
        )
    };
    services(spec).iter().map(line).collect::<Vec<_>>().join("\n")
}

fn shown_endpoint(endpoint: &Endpoint, service: &Service) -> String {
    use crate::registry::model::EndpointAddress;
    let ports: Vec<_> = service.ports.iter().map(|port| endpoint.port(port).to_string()).collect();
    match &endpoint.address {
        EndpointAddress::Ip(ip) => format!("{ip}:{}*{}", ports.join(","), endpoint.weight),
        EndpointAddress::Host(host) => format!("{host}:{}*{}", ports.join(","), endpoint.weight),
        EndpointAddress::Unix(path) => format!("{path}*{}", endpoint.weight),
    }
}

#[test]
fn hosts_times_addresses_with_endpoints() {
    let ports = "ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}, {number: 443, name: tls, protocol: TLS}]";
    for (spec, expected) in [
        (
            "{hosts: [b.com, A.com], addresses: [10.0.0.1, 10.1.1.1/16, 10.0.0.2/32], PORTS}",
            "b.com 10.0.0.1/0  None []\nb.com 10.1.1.1/16/1  None []\nb.com 10.0.0.2/2  None []\n\
             a.com 10.0.0.1/0  None []\na.com 10.1.1.1/16/1  None []\na.com 10.0.0.2/2  None []",
        ),
        ("{hosts: [a.com, A.com], addresses: [10.0.0.1, 10.0.0.1/32], PORTS}", "a.com 10.0.0.1/0  None []"),
        (
            "{hosts: [a.com, b.com], resolution: DNS, PORTS}",
            "a.com 0.0.0.0/0  Dns [a.com:8080,443*1]\nb.com 0.0.0.0/0  Dns [b.com:8080,443*1]",
        ),
        (
            "{hosts: [a.com], resolution: DNS_ROUND_ROBIN, PORTS}",
            "a.com 0.0.0.0/0  DnsRoundRobin [a.com:8080,443*1]",
        ),
        ("{hosts: ['*.a.com'], resolution: DYNAMIC_DNS, PORTS}", "*.a.com 0.0.0.0/0  DynamicDns []"),
        ("{hosts: [a.com], resolution: STATIC, PORTS}", "a.com 0.0.0.0/0  Static []"),
        (
            "{hosts: [a.com], resolution: STATIC, endpoints: [{address: 1.1.1.1, ports: {http: 1}, weight: 5}, {address: '2001:db8::1'}], PORTS}",
            "a.com 0.0.0.0/0  Static [1.1.1.1:1,443*5 2001:db8::1:8080,443*1]",
        ),
        (
            "{hosts: [a.com], resolution: STATIC, endpoints: [{address: unix:///a}], ports: [{number: 80, name: http}]}",
            "a.com 0.0.0.0/0  Static [/a*1]",
        ),
        (
            "{hosts: [a.com], resolution: DNS, endpoints: [{address: B.com, ports: {https: 7}}], ports: [{number: 80, name: http}]}",
            "a.com 0.0.0.0/0  Dns [b.com:7*1]",
        ),
    ] {
        assert_eq!(shown(&format!("spec: {}", spec.replace("PORTS", ports))), expected, "{spec}");
    }
}

#[test]
fn addresses_that_the_status_tells() {
    let status = "status: {addresses: [{value: 240.240.0.7, host: a.com}, {value: 240.240.0.9, host: a.com}, {value: '2001:2::9', host: A.com}, {value: 240.240.0.8, host: b.com}]}";
    let ports = "ports: [{number: 443, name: tls, protocol: TLS}]";
    for (spec, expected) in [
        ("hosts: [a.com], resolution: STATIC", "a.com 0.0.0.0/0 240.240.0.9,2001:2::9 Static []"),
        ("hosts: [c.com], resolution: STATIC", "c.com 0.0.0.0/0  Static []"),
        ("hosts: [a.com], resolution: NONE", "a.com 0.0.0.0/0  None []"),
        ("hosts: [a.com], resolution: STATIC, addresses: [10.0.0.1]", "a.com 10.0.0.1/0  Static []"),
    ] {
        assert_eq!(shown(&format!("spec: {{{spec}, {ports}}}\n{status}")), expected, "{spec}");
    }
}

#[test]
fn the_rest_of_a_service() {
    let service = &services(
        "spec: {hosts: [a.com], location: MESH_INTERNAL, exportTo: [., x], subjectAltNames: [s], resolution: STATIC,\n  \
         workloadSelector: {labels: {app: a}}, ports: [{number: 80, name: http, protocol: http2, targetPort: 81}, {number: 1, name: b}]}",
    )[0];
    assert!(!service.mesh_external);
    assert_eq!(service.export_to, [".".into(), "x".into()].into());
    assert_eq!((service.subject_alt_names.as_slice(), service.selector.len()), (&["s".to_owned()][..], 1));
    let ports: Vec<_> =
        service.ports.iter().map(|port| (&*port.name, port.number, port.protocol, port.target)).collect();
    assert_eq!(ports, [("http", 80, AppProtocol::Http2, Some(81)), ("b", 1, AppProtocol::Unsupported, None)]);
}
