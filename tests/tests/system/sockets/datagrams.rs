//! UDP through VIPs: one socket keeps to one endpoint for as long as it can.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use enforcer_tests::node::Node;

/// The VIP 203.0.113.1 with these endpoints, and an address that tells which version of the registry this is.
fn version(number: u8, endpoints: &str) -> String {
    format!(
        r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: clock, namespace: web}}
spec:
  hosts: [clock.example.com]
  addresses: [203.0.113.1, "2001:db8:3::1"]
  resolution: STATIC
  ports: [{{number: 53, name: dns, protocol: UDP}}]
  endpoints: [{endpoints}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: version, namespace: web}}
spec:
  hosts: [version.example.com]
  addresses: [192.0.2.{number}]
  resolution: NONE
  ports: [{{number: 53, name: dns, protocol: UDP}}]
"#
    )
}

fn endpoints(hosts: &[u8]) -> String {
    hosts.iter().map(|host| format!("{{address: 198.51.100.{host}}}")).collect::<Vec<_>>().join(", ")
}

/// Waits until the agent has it.
fn change(node: &Node, number: u8, hosts: &[u8]) -> Result<()> {
    node.write("registry.yaml", &version(number, &endpoints(hosts)))?;
    let address = format!("192.0.2.{number}:53");
    node.expect_soon("curl", &[(&format!("udp-send {address}"), &format!("reached {address}"))]);
    Ok(())
}

/// The last number of the endpoint that answers.
fn asked(node: &Node, command: &str) -> Result<u8> {
    let answer = node.probe("curl")?.ask(command)?;
    let host = answer["at"].as_str().and_then(|at| at.strip_prefix("198.51.100.")?.strip_suffix(":53"));
    host.and_then(|host| host.parse().ok()).with_context(|| format!("{command}: {answer}"))
}

#[test]
fn a_socket_keeps_its_endpoint_and_many_sockets_have_all() -> Result<()> {
    let two = "{address: 198.51.100.1, weight: 1}, {address: 198.51.100.2, weight: 3}";
    let node = Node::new().registry(&version(1, two)).workload("web", "curl").start()?;
    for (kind, vip) in
        [("udp4", "203.0.113.1:53"), ("udp6", "[::ffff:203.0.113.1]:53"), ("udp6", "[2001:db8:3::1]:53")]
    {
        // The chance that fifty sockets of weights one and three all go one way is one in 10^6, or less, thrice: a
        // hundred and more do.
        let counts = node.probe("curl")?.ask(&format!("repeat 100 udp-send {vip}"))?;
        let counts: BTreeMap<String, u64> = serde_json::from_value(counts)?;
        assert_eq!(
            counts.keys().collect::<Vec<_>>(),
            ["reached 198.51.100.1:53", "reached 198.51.100.2:53"],
            "{vip}"
        );
        let before = node.probe("curl")?.ask(&format!("keep a {kind}"))?;
        assert_eq!(before["said"], "made");
        let host = asked(&node, &format!("on a to {vip}"))?;
        let said = node.probe("curl")?.ask(&format!("on a exchange 50 10 {vip}"))?;
        let said = said["said"].as_str().context("no answer")?.to_owned();
        assert!(said.starts_with(&format!("50 times 15 bytes of 198.51.100.{host}:53 from {vip}")), "{said}");
        // Connected it is the same flow.
        node.expect("curl", &[(&format!("on a connect {vip}"), "connected")]);
        assert_eq!(asked(&node, "on a say")?, host);
        node.expect("curl", &[("on a off", "off")]);
        assert_eq!(asked(&node, &format!("on a to {vip}"))?, host);
    }
    Ok(())
}

#[test]
fn a_socket_moves_only_when_its_endpoint_goes() -> Result<()> {
    let node = Node::new().registry(&version(1, &endpoints(&[1, 2]))).workload("web", "curl").start()?;
    node.expect("curl", &[("keep a udp4", "made")]);
    let own = asked(&node, "on a to 203.0.113.1:53")?;
    let steps: [&[u8]; 4] = [&[1, 2, 3], &[own, 3], &[3, 4, 5, 6, own, 7, 8], &[own]];
    for (number, hosts) in (2..).zip(steps) {
        change(&node, number, hosts)?;
        for _ in 0..10 {
            assert_eq!(asked(&node, "on a to 203.0.113.1:53")?, own, "{hosts:?}");
        }
    }
    change(&node, 10, &[8, 9])?;
    let new = asked(&node, "on a to 203.0.113.1:53")?;
    assert!(new == 8 || new == 9, "{new}");
    for _ in 0..10 {
        assert_eq!(asked(&node, "on a to 203.0.113.1:53")?, new);
    }
    Ok(())
}

/// The kernel asks nobody about the datagrams of a connected socket, but for those of an IPv6 socket to an IPv4 address:
/// they must not be sent elsewhere, since it would not hear the answers.
#[test]
fn a_connected_socket_stays_where_it_is() -> Result<()> {
    let node = Node::new().registry(&version(1, &endpoints(&[1, 2]))).workload("web", "curl").start()?;
    for (name, kind, vip) in [("a", "udp4", "203.0.113.1:53"), ("b", "udp6", "[::ffff:203.0.113.1]:53")] {
        node.expect(
            "curl",
            &[(&format!("keep {name} {kind}"), "made"), (&format!("on {name} connect {vip}"), "connected")],
        );
    }
    let (a, b) = (asked(&node, "on a say")?, asked(&node, "on b say")?);
    for (number, hosts) in [(2, [1, 2, 3]), (3, [3, 2, 1]), (4, [7, 8, 9])] {
        change(&node, number, &hosts)?;
        for _ in 0..10 {
            assert_eq!((asked(&node, "on a say")?, asked(&node, "on b say")?), (a, b), "{hosts:?}");
        }
        node.expect("curl", &[("on a peer", "203.0.113.1:53"), ("on b peer", "203.0.113.1:53")]);
    }
    Ok(())
}

/// More than a socket remembers: whom it asked last is always among them.
#[test]
fn a_socket_hears_twenty_vips_under_their_names() -> Result<()> {
    let (mut registry, mut v4, mut v6) = (String::new(), Vec::new(), Vec::new());
    let mut names = Vec::new();
    for host in 1..=20 {
        write!(
            registry,
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: s{host}, namespace: web}}\n\
             spec:\n  hosts: [s{host}.example.com]\n  addresses: [203.0.113.{host}]\n  resolution: STATIC\n  \
             ports: [{{number: 53, name: dns, protocol: UDP, targetPort: 9000}}]\n  \
             endpoints: [{{address: 198.51.100.{host}}}]\n"
        )?;
        v4.push(format!("203.0.113.{host}:53"));
        v6.push(format!("[::ffff:203.0.113.{host}]:53"));
        names.push(format!("reached 198.51.100.{host}:9000 under the name 203.0.113.{host}:53"));
    }
    let node = Node::new().registry(&registry).workload("web", "curl").start()?;
    for vips in [v4, v6] {
        let twice = [vips.clone(), vips].concat().join(" ");
        let outcome = [names.clone(), names.clone()].concat().join(", ");
        node.expect("curl", &[(&format!("udp-many {twice}"), &outcome)]);
    }
    Ok(())
}
