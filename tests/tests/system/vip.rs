//! Addresses that stand for services: translated in `connect`.

use std::collections::BTreeMap;

use anyhow::Result;
use enforcer_tests::node::Node;

/// The first host without an address, so the first of the automatic ones.
const ORDERS: &str = r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders, namespace: shop}
spec:
  hosts: [orders.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  endpoints: [{address: 198.51.100.1}, {address: "2001:db8:1::1"}]
"#;

#[test]
fn an_automatic_vip_leads_to_the_endpoint_of_its_family() -> Result<()> {
    let node = Node::new().registry(ORDERS).workload("web", "curl").start()?;
    node.expect(
        "curl",
        &[
            ("tcp 240.240.0.1:80", "reached 198.51.100.1:8080 under the name 240.240.0.1:80"),
            ("tcp [::ffff:240.240.0.1]:80", "reached 198.51.100.1:8080 under the name 240.240.0.1:80"),
            ("tcp [2001:2::1]:80", "reached [2001:db8:1::1]:8080 under the name [2001:2::1]:80"),
            ("tcp 240.240.0.1:8080", "EPERM"),
            ("tcp 240.240.0.2:80", "EPERM"),
            // The endpoints of a ServiceEntry are behind its VIP.
            ("tcp 198.51.100.1:8080", "EPERM"),
        ],
    );
    let explained = node.explain("web/curl", "orders.example.com:80")?;
    assert_eq!(
        (&explained["verdict"], &explained["destination"]["ip"]),
        (&"translate".into(), &"240.240.0.1".into())
    );
    assert_eq!(explained["service"]["object"]["name"], "orders");
    Ok(())
}

#[test]
fn every_endpoint_gets_its_share() -> Result<()> {
    let two = ORDERS.replace("\"2001:db8:1::1\"", "198.51.100.2, ports: {http: 9090}");
    let node = Node::new().registry(&two).workload("web", "curl").start()?;
    let counts = node.probe("curl")?.ask("repeat 50 tcp 240.240.0.1:80")?;
    let counts: BTreeMap<String, u64> = serde_json::from_value(counts)?;
    // The chance that fifty fair coins all fall on one side is one in 10^14.
    let reached: Vec<_> = counts.keys().map(String::as_str).collect();
    assert_eq!(reached, ["reached 198.51.100.1:8080", "reached 198.51.100.2:9090"]);
    assert_eq!(counts.values().sum::<u64>(), 50);
    // An IPv6 socket can be sent to an IPv4 endpoint.
    let counts = node.probe("curl")?.ask("repeat 50 tcp [2001:2::1]:80")?;
    let counts: BTreeMap<String, u64> = serde_json::from_value(counts)?;
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["reached 198.51.100.1:8080", "reached 198.51.100.2:9090"]);
    Ok(())
}

/// Checks that `destination` is denied, for this reason.
#[track_caller]
fn denied(node: &Node, command: &str, reason: &str) {
    node.expect("curl", &[(command, "EPERM")]);
    let (how, destination) = command.split_once(' ').expect("a command and a destination");
    let protocol = if how == "tcp" { "tcp" } else { "udp" };
    let explained = node.explain("curl", &format!("{destination}/{protocol}")).expect("an explanation");
    assert_eq!(
        (&explained["verdict"], &explained["reason"]),
        (&"deny".into(), &reason.into()),
        "{explained:#}"
    );
}

#[test]
fn a_vip_that_leads_nowhere_denies_and_says_why() -> Result<()> {
    let node = Node::new()
        .file(
            "1.yaml",
            r"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: nobody, namespace: shop}
spec:
  hosts: [nobody.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: nobody}}
",
        )
        .file(
            "2.yaml",
            r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: clock, namespace: shop}
spec:
  hosts: [clock.example.com]
  resolution: STATIC
  ports: [{number: 53, name: dns, protocol: UDP}, {number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: "2001:db8:1::1"}]
"#,
        )
        .workload("web", "curl")
        .start()?;
    denied(&node, "tcp 240.240.0.1:80", "no_backend");
    denied(&node, "tcp [2001:2::1]:80", "no_backend");
    denied(&node, "udp 240.240.0.2:53", "wrong_family");
    node.expect(
        "curl",
        &[("udp-send [2001:2::2]:53", "reached [2001:db8:1::1]:53 under the name [2001:2::2]:53")],
    );
    denied(&node, "tcp 240.240.0.2:80", "wrong_family");
    node.expect(
        "curl",
        &[("tcp [2001:2::2]:80", "reached [2001:db8:1::1]:80 under the name [2001:2::2]:80")],
    );

    // Somebody comes: the VIP is the same, and now leads there.
    node.write(
        "3.yaml",
        r"
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: somebody, namespace: shop, labels: {app: nobody}}
spec: {address: 198.51.100.9, labels: {app: nobody}}
",
    )?;
    node.expect_soon(
        "curl",
        &[("tcp 240.240.0.1:80", "reached 198.51.100.9:80 under the name 240.240.0.1:80")],
    );
    Ok(())
}

#[test]
fn addresses_that_somebody_wrote_down_are_vips_too() -> Result<()> {
    let node = Node::new()
        .registry(
            r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: mongo, namespace: shop}
spec:
  hosts: [mongo.example.com]
  addresses: [203.0.113.0/24, 192.0.2.40]
  resolution: STATIC
  ports: [{number: 27018, name: mongodb, protocol: MONGO}]
  endpoints: [{address: 198.51.100.1}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: legacy, namespace: shop}
spec:
  hosts: [legacy.example.com]
  addresses: [192.0.2.30, "2001:db8:30::/48"]
  resolution: NONE
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
"#,
        )
        .workload("web", "curl")
        .start()?;
    node.expect(
        "curl",
        &[
            ("tcp 203.0.113.0:27018", "reached 198.51.100.1:27018 under the name 203.0.113.0:27018"),
            ("tcp 203.0.113.77:27018", "reached 198.51.100.1:27018 under the name 203.0.113.77:27018"),
            ("tcp 203.0.113.77:80", "EPERM"),
            ("tcp 203.0.114.1:27018", "EPERM"),
            ("tcp 192.0.2.40:27018", "reached 198.51.100.1:27018 under the name 192.0.2.40:27018"),
            // Resolution NONE keeps the address, and the port is the target's.
            ("tcp 192.0.2.30:80", "reached 192.0.2.30:8080 under the name 192.0.2.30:80"),
            ("tcp 192.0.2.30:8080", "EPERM"),
            ("tcp [2001:db8:30::5]:80", "reached [2001:db8:30::5]:8080 under the name [2001:db8:30::5]:80"),
        ],
    );
    Ok(())
}
