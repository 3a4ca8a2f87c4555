//! Which endpoint it is.

use std::collections::BTreeMap;

use anyhow::Result;
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Node, OUTSIDE};

/// A ServiceEntry with the VIP 203.0.113.0/28.
fn entry(rest: &str) -> String {
    format!(
        r"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: clock, namespace: web}}
spec:
  hosts: [clock.example.com]
  addresses: [203.0.113.0/28]
  resolution: STATIC
  ports:
  - {{number: 80, name: http, protocol: HTTP, targetPort: 8080}}
  - {{number: 53, name: dns, protocol: UDP, targetPort: 9000}}
  {rest}
"
    )
}

fn start(rest: &str) -> Result<Node> {
    Node::new().registry(&entry(rest)).workload("web", "curl").start()
}

/// Where so many calls went.
fn counts(node: &Node, command: &str) -> Result<BTreeMap<String, u64>> {
    Ok(serde_json::from_value(node.probe("curl")?.ask(command)?)?)
}

#[test]
fn weights_are_shares() -> Result<()> {
    let node = start("endpoints: [{address: 198.51.100.1, weight: 1}, {address: 198.51.100.2, weight: 3}]")?;
    for (command, port) in [("tcp 203.0.113.1:80", 8080), ("udp-send 203.0.113.1:53", 9000)] {
        let counts = counts(&node, &format!("repeat 400 {command}"))?;
        let share = |host: u8| counts.get(&format!("reached 198.51.100.{host}:{port}")).copied().unwrap_or(0);
        assert_eq!(share(1) + share(2), 400, "{counts:?}");
        // Of 400 with the share 1/4, fewer than 51 or more than 155 come once in 10^9.
        assert!((51..=155).contains(&share(1)), "{counts:?}");
    }
    Ok(())
}

#[test]
fn an_endpoint_may_have_ports_of_its_own() -> Result<()> {
    let node = start("endpoints: [{address: 198.51.100.1, ports: {http: 9090, dns: 5432}}]")?;
    node.expect(
        "curl",
        &[
            ("tcp 203.0.113.1:80", "reached 198.51.100.1:9090 under the name 203.0.113.1:80"),
            ("udp 203.0.113.1:53", "reached 198.51.100.1:5432 under the name 203.0.113.1:53"),
            ("udp-send 203.0.113.1:53", "reached 198.51.100.1:5432 under the name 203.0.113.1:53"),
        ],
    );
    Ok(())
}

#[test]
fn every_address_of_a_range_is_a_vip_for_datagrams_too() -> Result<()> {
    let node = start("endpoints: [{address: 198.51.100.1}]")?;
    node.expect(
        "curl",
        &[
            ("udp 203.0.113.0:53", "reached 198.51.100.1:9000 under the name 203.0.113.0:53"),
            ("udp-send 203.0.113.15:53", "reached 198.51.100.1:9000 under the name 203.0.113.15:53"),
            ("udp [::ffff:203.0.113.7]:53", "reached 198.51.100.1:9000 under the name 203.0.113.7:53"),
            ("udp-send 203.0.113.16:53", "EPERM"),
            // Two names of one endpoint over one socket: each answer has the name that was asked last.
            (
                "udp-many 203.0.113.1:53 203.0.113.2:53 203.0.113.1:53",
                "reached 198.51.100.1:9000 under the name 203.0.113.1:53, \
                 reached 198.51.100.1:9000 under the name 203.0.113.2:53, \
                 reached 198.51.100.1:9000 under the name 203.0.113.1:53",
            ),
        ],
    );
    Ok(())
}

#[test]
fn when_all_endpoints_are_gone_everything_is_denied() -> Result<()> {
    let node = start("endpoints: [{address: 198.51.100.1}]")?;
    node.expect(
        "curl",
        &[
            ("keep a udp4", "made"),
            ("on a to 203.0.113.1:53", "reached 198.51.100.1:9000 under the name 203.0.113.1:53"),
        ],
    );
    // Those that the selector finds: none.
    node.write("registry.yaml", &entry("workloadSelector: {labels: {app: nobody}}"))?;
    node.expect_soon("curl", &[("tcp 203.0.113.1:80", "EPERM")]);
    node.expect(
        "curl",
        &[
            ("udp 203.0.113.1:53", "EPERM"),
            ("udp-send 203.0.113.1:53", "EPERM"),
            ("uring-send 203.0.113.1:53", "EPERM"),
            ("sendmmsg 203.0.113.1:53", "EPERM"),
            ("mptcp 203.0.113.1:80", "EPERM"),
            ("tfo 203.0.113.1:80", "EPERM"),
            ("on a to 203.0.113.1:53", "EPERM"),
        ],
    );
    let explained = node.explain("curl", "203.0.113.1:53/udp")?;
    assert_eq!((&explained["verdict"], &explained["reason"]), (&"deny".into(), &"no_backend".into()));
    let reasons = node.status_soon(|status| {
        let denials = status["denials"].as_array().filter(|denials| denials.len() >= 8)?;
        Some(denials.iter().map(|denial| denial["reason"].clone()).collect::<Vec<_>>())
    })?;
    assert!(reasons.iter().all(|reason| reason == "no_backend"), "{reasons:?}");
    Ok(())
}

/// The pods of a headless Service are dialled themselves. A readiness probe that fails, or a graceful end, takes a pod out of the
/// answers of the DNS; what it is in the middle of goes on until no EndpointSlice lists it any more.
#[test]
fn a_headless_endpoint_counts_for_as_long_as_it_is_listed() -> Result<()> {
    let slice = |second: &str| {
        format!(
            r"
apiVersion: v1
kind: Service
metadata: {{name: clock, namespace: web}}
spec: {{clusterIP: None, ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: db, port: 5432}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: clock-1, namespace: web, labels: {{kubernetes.io/service-name: clock}}}}
addressType: IPv4
endpoints: [{{addresses: [198.51.100.1]}}{second}]
ports: [{{name: dns, port: 9000, protocol: UDP}}, {{name: db, port: 7000}}]
"
        )
    };
    let listed =
        |conditions: &str| slice(&format!(", {{addresses: [198.51.100.2], conditions: {{{conditions}}}}}"));
    let node = Node::new().registry(&listed("ready: true")).workload("web", "curl").start()?;
    let said = |who: &str, command: &str| -> Result<String> {
        Ok(node.probe(who)?.ask(command)?["said"].as_str().unwrap_or_default().to_owned())
    };
    node.expect(OUTSIDE, &[("keep server listen 7000", "made")]);
    node.expect("curl", &[("keep a tcp4", "made"), ("on a connect 198.51.100.2:7000", "connected")]);
    assert!(said(OUTSIDE, "on server accept a")?.starts_with("accepted"));
    for (revision, conditions) in
        [(2, "ready: false"), (3, "ready: false, serving: true, terminating: true"), (4, "ready: true")]
    {
        node.write("registry.yaml", &listed(conditions))?;
        node.status_soon(|status| (status["sources"][0]["revision"] == revision).then_some(()))?;
        for (from, to) in [("curl", OUTSIDE), (OUTSIDE, "curl")] {
            let marker = Marker::fresh();
            node.probe(from)?.ask(&format!("on a send {marker}"))?;
            assert_eq!(said(to, "on a receive")?, marker.to_string(), "from {from}, {conditions}");
        }
        node.expect("curl", &[("udp 198.51.100.2:9000", "reached 198.51.100.2:9000")]);
    }
    node.write("registry.yaml", &slice(""))?;
    node.expect_soon("curl", &[("udp 198.51.100.2:9000", "EPERM"), ("tcp 198.51.100.2:7000", "EPERM")]);
    node.expect("curl", &[("udp 198.51.100.1:9000", "reached 198.51.100.1:9000")]);
    node.probe("curl")?.ask(&format!("on a send {}", Marker::fresh()))?;
    assert_eq!(said(OUTSIDE, "on a receive")?, "silence");
    Ok(())
}
