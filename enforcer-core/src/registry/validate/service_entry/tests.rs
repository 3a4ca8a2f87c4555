//! Each rule with what breaks it and what does not.

/// `severity field: message` of every problem of the ServiceEntry with `spec` (flow YAML) in namespace `own`.
fn problems(spec: &str) -> Vec<String> {
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: a, namespace: own}}\nspec: {spec}\n"
    );
    let parsed = crate::registry::parse("t", &text).unwrap();
    let is_error = |line: &String| line.starts_with("error");
    let lines: Vec<String> = parsed
        .problems
        .iter()
        .map(|problem| {
            problem.to_string().lines().next().unwrap().replace(": t:1: ServiceEntry own/a: ", " ")
        })
        .collect();
    assert_eq!(
        parsed.objects.is_empty(),
        lines.iter().any(is_error),
        "an error leaves the object out: {lines:?}"
    );
    assert!(parsed.problems.iter().all(|problem| !problem.hint.is_empty()), "every problem has a hint");
    lines
}

fn check(cases: &[(&str, &str)]) {
    for (spec, expected) in cases {
        assert_eq!(problems(spec).join("\n"), *expected, "{spec}");
    }
}

const TLS: &str = "ports: [{number: 443, name: tls, protocol: TLS}]";

/// Cases whose `TLS` is one good port.
fn check_with_port(cases: &[(&str, &str)]) {
    for (spec, expected) in cases {
        assert_eq!(problems(&spec.replace("TLS", TLS)).join("\n"), *expected, "{spec}");
    }
}

#[test]
fn hosts() {
    check_with_port(&[
        ("{hosts: [a.com], TLS}", ""),
        ("{hosts: ['*.a.com', a.com.], TLS}", ""),
        ("{TLS}", "error spec.hosts: a ServiceEntry needs a host"),
        ("{hosts: [], TLS}", "error spec.hosts: a ServiceEntry needs a host"),
        ("{hosts: ['*'], TLS}", "error spec.hosts[0]: \"*\" would register every host"),
        (
            "{hosts: [a.com, '*wiki.org'], TLS}",
            "error spec.hosts[1]: \"*wiki.org\" also matches names of other owners; only `*.` may stand in front",
        ),
        (
            "{hosts: [1.2.3.4], TLS}",
            "error spec.hosts[0]: \"1.2.3.4\" ends in a number, as only an address can",
        ),
        ("{hosts: [a_b.com], TLS}", "error spec.hosts[0]: \"a_b\" cannot be a part of the name \"a_b.com\""),
        ("{hosts: [a.com, A.com.], TLS}", "warning spec.hosts[1]: \"A.com.\" is listed twice"),
        ("{hosts: a.com, TLS}", "error spec.hosts: invalid type: string \"a.com\", expected a sequence"),
        (
            "{hosts: [a.com], host: [b.com], TLS}",
            "warning spec.host: there is no field \"host\": it is ignored",
        ),
    ]);
}

#[test]
fn addresses() {
    let network = "a network is allowed with resolution NONE or STATIC only";
    check_with_port(&[
        ("{hosts: [a.com], addresses: [10.0.0.1, '2001:db8::/32', 10.1.0.0/16], TLS}", ""),
        ("{hosts: [a.com], addresses: [10.1.0.0/16], resolution: STATIC, TLS}", ""),
        ("{hosts: [a.com], addresses: [10.0.0.1], resolution: DNS, TLS}", ""),
        (
            "{hosts: [a.com], addresses: [10.1.0.0/16], resolution: DNS, TLS}",
            &format!("error spec.addresses[0]: {network}"),
        ),
        (
            "{hosts: [a.com], addresses: [10.1.0.1/32], resolution: DNS_ROUND_ROBIN, TLS}",
            &format!("error spec.addresses[0]: {network}"),
        ),
        (
            "{hosts: [a.com], addresses: [192.192.192.192/24], TLS}",
            "warning spec.addresses[0]: \"192.192.192.192/24\" has bits set beyond its prefix: all of 192.192.192.0/24 is meant",
        ),
        (
            "{hosts: [a.com], addresses: [10.0.0.300], TLS}",
            "error spec.addresses[0]: \"10.0.0.300\" is neither an address nor a network",
        ),
        (
            "{hosts: [a.com], addresses: [1.2.3.4/99], TLS}",
            "error spec.addresses[0]: \"1.2.3.4/99\" is neither an address nor a network",
        ),
        (
            "{hosts: [a.com], addresses: [a.com], TLS}",
            "error spec.addresses[0]: \"a.com\" is neither an address nor a network",
        ),
        (
            "{hosts: [a.com], addresses: [10.0.0.1, 10.0.0.1/32], TLS}",
            "warning spec.addresses[1]: \"10.0.0.1/32\" is listed twice",
        ),
    ]);
}

#[test]
fn ports() {
    check(&[
        ("{hosts: [a.com]}", "warning spec.ports: no ports: nothing of it can be reached"),
        ("{hosts: [a.com], ports: [{number: 1, name: a}, {number: 65535, name: b, targetPort: 65535}]}", ""),
        ("{hosts: [a.com], ports: [{number: 0, name: a}]}", "error spec.ports[0].number: 0 is not a port"),
        ("{hosts: [a.com], ports: [{name: a}]}", "error spec.ports[0].number: 0 is not a port"),
        (
            "{hosts: [a.com], ports: [{number: 99999, name: a}]}",
            "error spec.ports[0].number: 99999 is not a port",
        ),
        ("{hosts: [a.com], ports: [{number: -1, name: a}]}", "error spec.ports[0].number: -1 is not a port"),
        (
            "{hosts: [a.com], ports: [{number: '80', name: a}]}",
            "error spec.ports[0].number: invalid type: string \"80\", expected i64",
        ),
        (
            "{hosts: [a.com], ports: [{number: 80, name: a, targetPort: 70000}]}",
            "error spec.ports[0].targetPort: 70000 is not a port",
        ),
        ("{hosts: [a.com], ports: [{number: 80}]}", "error spec.ports[0].name: a port needs a name"),
        (
            "{hosts: [a.com], ports: [{number: 80, name: a.b}]}",
            "error spec.ports[0].name: \"a.b\" is not a port name",
        ),
        (
            "{hosts: [a.com], ports: [{number: 1, name: a}, {number: 2, name: a}]}",
            "error spec.ports[1].name: the port name \"a\" is used twice",
        ),
        (
            "{hosts: [a.com], ports: [{number: 1, name: a}, {number: 1, name: b}]}",
            "error spec.ports[1].number: port 1 is listed twice",
        ),
        ("{hosts: [a.com], ports: [{number: 1, name: a, protocol: mongo}]}", ""),
        (
            "{hosts: [a.com], ports: [{number: 1, name: a, protocol: QUIC}]}",
            "error spec.ports[0].protocol: \"QUIC\" is not a protocol Istio knows",
        ),
        (
            "{hosts: [a.com], ports: [{number: 1, name: a, port: 2}]}",
            "warning spec.ports[0].port: there is no field \"port\": it is ignored",
        ),
    ]);
}

#[test]
fn resolutions() {
    check_with_port(&[
        (
            "{hosts: [a.com], resolution: NONE, endpoints: [{address: 1.1.1.1}], TLS}",
            "error spec.endpoints: resolution NONE has no endpoints",
        ),
        ("{hosts: ['*.a.com'], resolution: NONE, TLS}", ""),
        (
            "{hosts: ['*.a.com'], resolution: DNS, TLS}",
            "error spec.hosts[0]: \"*.a.com\" cannot be resolved: with resolution DNS and no endpoints every host is a full name",
        ),
        ("{hosts: ['*.a.com'], resolution: DNS, endpoints: [{address: a.com}], TLS}", ""),
        ("{hosts: [a.com], resolution: DNS_ROUND_ROBIN, endpoints: [{address: b.com}], TLS}", ""),
        (
            "{hosts: [a.com], resolution: DNS_ROUND_ROBIN, endpoints: [{address: b.com}, {address: c.com}], TLS}",
            "error spec.endpoints: DNS_ROUND_ROBIN has at most one endpoint, not 2",
        ),
        ("{hosts: ['*.a.com'], resolution: DYNAMIC_DNS, TLS}", ""),
        (
            "{hosts: [a.com], resolution: DYNAMIC_DNS, TLS}",
            "error spec.hosts[0]: DYNAMIC_DNS needs a wildcard, not \"a.com\"",
        ),
        (
            "{hosts: ['*.a.com'], resolution: DYNAMIC_DNS, addresses: [1.1.1.1], TLS}",
            "error spec.addresses: DYNAMIC_DNS has no addresses",
        ),
        (
            "{hosts: ['*.a.com'], resolution: DYNAMIC_DNS, endpoints: [{address: 1.1.1.1}], TLS}",
            "error spec.endpoints: DYNAMIC_DNS has no endpoints",
        ),
        (
            "{hosts: ['*.a.com'], resolution: DYNAMIC_DNS, ports: [{number: 80, name: a, protocol: TCP}]}",
            "error spec.ports[0].protocol: DYNAMIC_DNS needs the host in the protocol, which TCP does not tell",
        ),
        (
            "{hosts: [a.com], resolution: dns, TLS}",
            "error spec.resolution: unknown variant `dns`, expected one of `NONE`, `STATIC`, `DNS`, `DNS_ROUND_ROBIN`, `DYNAMIC_DNS`",
        ),
        (
            "{hosts: [a.com], location: EXTERNAL, TLS}",
            "error spec.location: unknown variant `EXTERNAL`, expected `MESH_EXTERNAL` or `MESH_INTERNAL`",
        ),
    ]);
}

#[test]
fn several_hosts_on_a_port_that_does_not_tell_them_apart() {
    let error =
        "error spec.ports[0].protocol: with 2 hosts a connection to this port does not tell which is meant";
    for (protocol, resolution, expected) in [
        ("TCP", "DNS", error),
        ("MONGO", "STATIC", error),
        ("''", "DNS", error),
        ("TCP", "NONE", ""),
        ("HTTP", "DNS", ""),
        ("HTTPS", "DNS", ""),
        ("TLS", "STATIC", ""),
        ("grpc", "DNS", ""),
    ] {
        let spec = format!(
            "{{hosts: [a.com, b.com], resolution: {resolution}, ports: [{{number: 1, name: a, protocol: {protocol}}}]}}"
        );
        assert_eq!(problems(&spec).join("\n"), expected, "{spec}");
    }
}

/// The problems of an entry with one endpoint.
fn of_endpoint(resolution: &str, endpoint: &str) -> String {
    problems(&format!("{{hosts: [a.com], resolution: {resolution}, endpoints: [{endpoint}], {TLS}}}"))
        .join("\n")
}

#[test]
fn endpoints_at_addresses_and_sockets() {
    for (resolution, endpoint, expected) in [
        ("STATIC", "{address: 1.1.1.1}", ""),
        ("STATIC", "{address: '2001:db8::1', ports: {tls: 8443}, weight: 3}", ""),
        ("STATIC", "{address: b.com}", "error spec.endpoints[0].address: \"b.com\" is not an IP address"),
        (
            "STATIC",
            "{address: 10.0.0.0/8}",
            "error spec.endpoints[0].address: \"10.0.0.0/8\" is not an IP address",
        ),
        ("STATIC", "{}", "error spec.endpoints[0].address: an endpoint needs an address"),
        (
            "STATIC",
            "{network: far}",
            "warning spec.endpoints[0].address: no address, only the network \"far\": this node cannot reach it",
        ),
        ("STATIC", "{address: unix:///run/a}", ""),
        ("STATIC", "{address: unix://@a}", ""),
        (
            "STATIC",
            "{address: unix://run/a}",
            "error spec.endpoints[0].address: \"run/a\" is not an absolute path",
        ),
        (
            "STATIC",
            "{address: unix:///run/a, ports: {tls: 1}}",
            "error spec.endpoints[0].ports: a Unix socket has no ports",
        ),
    ] {
        assert_eq!(of_endpoint(resolution, endpoint), expected, "{resolution} {endpoint}");
    }
}

#[test]
fn endpoints_at_names_and_their_fields() {
    for (resolution, endpoint, expected) in [
        (
            "DNS",
            "{address: unix:///run/a}",
            "error spec.endpoints[0].address: a Unix socket needs resolution STATIC",
        ),
        ("DNS", "{address: b.com, ports: {tls: 8443}}", ""),
        ("DNS", "{address: 1.1.1.1}", ""),
        (
            "DNS",
            "{address: '*.b.com'}",
            "error spec.endpoints[0].address: \"*.b.com\" is neither an IP nor a host name: \"*\" cannot be a part of the name \"*.b.com\"",
        ),
        ("DNS", "{address: b.com, ports: {tls: 0}}", "error spec.endpoints[0].ports.tls: 0 is not a port"),
        (
            "DNS",
            "{address: b.com, ports: {https: 8443}}",
            "warning spec.endpoints[0].ports.https: no port is named \"https\"; it is taken as the only one, \"tls\"",
        ),
        (
            "DNS",
            "{address: b.com, ports: {tls: 1, https: 2}}",
            "error spec.endpoints[0].ports.https: no port of the service is named \"https\"",
        ),
        (
            "STATIC",
            "{address: 1.1.1.1, weight: -1}",
            "error spec.endpoints[0].weight: invalid value: integer `-1`, expected u32",
        ),
        (
            "STATIC",
            "{address: 1.1.1.1, addr: 2}",
            "warning spec.endpoints[0].addr: there is no field \"addr\": it is ignored",
        ),
    ] {
        assert_eq!(of_endpoint(resolution, endpoint), expected, "{resolution} {endpoint}");
    }
}

#[test]
fn endpoints_of_a_service_with_two_ports() {
    let two = "ports: [{number: 1, name: a, protocol: HTTP}, {number: 2, name: b, protocol: HTTP}]";
    check(&[
        (
            &format!("{{hosts: [a.com], resolution: STATIC, endpoints: [{{address: unix:///a}}], {two}}}"),
            "error spec.endpoints[0].address: a Unix socket serves exactly one port, this service has 2",
        ),
        (
            &format!(
                "{{hosts: [a.com], resolution: STATIC, endpoints: [{{address: 1.1.1.1, ports: {{c: 1}}}}], {two}}}"
            ),
            "error spec.endpoints[0].ports.c: no port of the service is named \"c\"",
        ),
    ]);
}

#[test]
fn selectors() {
    check_with_port(&[
        ("{hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {app: a}}, TLS}", ""),
        (
            "{hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {app: a}}, endpoints: [{address: 1.1.1.1}], TLS}",
            "error spec.workloadSelector: workloadSelector and endpoints exclude each other",
        ),
        (
            "{hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {app: '*'}}, TLS}",
            "error spec.workloadSelector.labels: \"app\": \"*\": a selector has no wildcards",
        ),
        (
            "{hosts: [a.com], resolution: STATIC, workloadSelector: {}, TLS}",
            "warning spec.workloadSelector: without labels it selects every workload of the namespace",
        ),
        (
            "{hosts: [a.com], resolution: DNS, workloadSelector: {labels: {app: a}}, TLS}",
            "warning spec.workloadSelector: a selector has little meaning with resolution Dns",
        ),
    ]);
}

#[test]
fn export_to() {
    let with = |to: &str| problems(&format!("{{hosts: [a.com], exportTo: [{to}], {TLS}}}")).join("\n");
    for (to, expected) in [
        ("", ""),
        ("'*'", ""),
        ("'~'", ""),
        ("., other", ""),
        ("own, other", ""),
        ("'*', other", "error spec.exportTo[0]: \"*\" cannot be combined"),
        ("other, '*'", "error spec.exportTo[1]: \"*\" cannot be combined"),
        ("'~', .", "error spec.exportTo[0]: \"~\" cannot be combined"),
        ("., own", "error spec.exportTo[1]: \"own\" is named twice"),
        ("., .", "error spec.exportTo[1]: \".\" is named twice"),
        ("other, other", "error spec.exportTo[1]: \"other\" is named twice"),
        ("a/b", "error spec.exportTo[0]: \"a/b\" is not a namespace"),
    ] {
        assert_eq!(with(to), expected, "{to}");
    }
}
