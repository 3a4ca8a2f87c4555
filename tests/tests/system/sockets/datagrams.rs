//! UDP through VIPs: one socket keeps to one endpoint for as long as it can.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use enforcer_tests::node::{Node, decisions};

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

/// The endpoint that answers.
fn asked(node: &Node, command: &str) -> Result<SocketAddr> {
    let answer = node.probe("curl")?.ask(command)?;
    let at = answer["at"].as_str().and_then(|at| at.parse().ok());
    at.with_context(|| format!("{command}: {answer}"))
}

#[test]
fn a_socket_keeps_its_endpoint_and_many_sockets_have_all() -> Result<()> {
    // Datagrams that are sent one by one stay in their family.
    let four = "{address: 198.51.100.1, weight: 1}, {address: 198.51.100.2, weight: 3}, \
        {address: '2001:db8:1::1', weight: 1}, {address: '2001:db8:1::2', weight: 3}";
    let node = Node::new().registry(&version(1, four)).workload("web", "curl").start()?;
    let (v4, v6) = (["198.51.100.1:53", "198.51.100.2:53"], ["[2001:db8:1::1]:53", "[2001:db8:1::2]:53"]);
    for (kind, vip, endpoints) in [
        ("udp4", "203.0.113.1:53", v4),
        ("udp6", "[::ffff:203.0.113.1]:53", v4),
        ("udp6", "[2001:db8:3::1]:53", v6),
    ] {
        // The chance that a hundred sockets all go one way is 0.75 to the power of 100, 3 in 10^13.
        let counts = node.probe("curl")?.ask(&format!("repeat 100 udp-send {vip}"))?;
        let counts: BTreeMap<String, u64> = serde_json::from_value(counts)?;
        let reached = endpoints.map(|endpoint| format!("reached {endpoint}"));
        assert_eq!(counts.keys().collect::<Vec<_>>(), reached.each_ref(), "{vip}");

        node.expect("curl", &[(&format!("keep a {kind}"), "made")]);
        let own = asked(&node, &format!("on a to {vip}"))?;
        let all = format!("50 times 100 bytes of {own} from {vip}");
        node.expect(
            "curl",
            &[
                (&format!("on a exchange 50 100 {vip}"), &all),
                // Connected it is the same flow.
                (&format!("on a connect {vip}"), "connected"),
                ("on a exchange 50 100", &all),
                ("on a off", "off"),
                (&format!("on a exchange 50 100 {vip}"), &all),
            ],
        );
    }
    Ok(())
}

/// The last number of an IPv4 address.
fn host(addr: SocketAddr) -> u8 {
    match addr.ip() {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(ip) => panic!("{ip} is no IPv4 address"),
    }
}

#[test]
fn a_socket_moves_only_when_its_endpoint_goes() -> Result<()> {
    let node = Node::new().registry(&version(1, &endpoints(&[1, 2]))).workload("web", "curl").start()?;
    node.expect("curl", &[("keep a udp4", "made")]);
    let first = asked(&node, "on a to 203.0.113.1:53")?;
    let own = host(first);
    let steps: [&[u8]; 4] = [&[1, 2, 3], &[own, 3], &[3, 4, 5, 6, own, 7, 8], &[own]];
    for (number, hosts) in (2..).zip(steps) {
        change(&node, number, hosts)?;
        for _ in 0..10 {
            assert_eq!(asked(&node, "on a to 203.0.113.1:53")?, first, "{hosts:?}");
        }
    }
    change(&node, 10, &[8, 9])?;
    let new = asked(&node, "on a to 203.0.113.1:53")?;
    assert!([8, 9].contains(&host(new)), "{new}");
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

/// An endpoint that its service does not have any more serves who talks to it already, and not for ever.
#[test]
fn a_flow_to_an_endpoint_that_was_removed_ends_after_its_grace() -> Result<()> {
    let node = Node::new().registry(&version(1, &endpoints(&[1]))).workload("web", "curl");
    let node = node.flag("--endpoint-grace", "2s").start()?;
    node.expect("curl", &[("keep a udp4", "made"), ("on a connect 203.0.113.1:53", "connected")]);
    let before = asked(&node, "on a say")?;
    change(&node, 2, &[7])?;
    // The clock of the grace begins with the first packet that misses the endpoint.
    assert_eq!(asked(&node, "on a say")?, before);
    node.expect_within(Duration::from_secs(5), "curl", &[("on a say", "EPERM")]);
    node.status_soon(|status| (decisions(status, "no_backend").0 > 0).then_some(()))?;
    // Who asks anew gets the endpoint that there is.
    node.expect("curl", &[("udp 203.0.113.1:53", "reached 198.51.100.7:53 under the name 203.0.113.1:53")]);
    Ok(())
}

/// The same address, registered without endpoints now: a socket that was sent to one goes on there no longer than to one that was removed.
#[test]
fn a_flow_to_an_endpoint_ends_after_its_grace_when_its_address_is_translated_no_more() -> Result<()> {
    let node = Node::new().registry(&version(1, &endpoints(&[1]))).workload("web", "curl");
    let node = node.flag("--endpoint-grace", "2s").start()?;
    node.expect("curl", &[("keep a udp4", "made"), ("on a connect 203.0.113.1:53", "connected")]);
    let before = asked(&node, "on a say")?;
    let plain = version(2, "").replacen("resolution: STATIC", "resolution: NONE", 1);
    node.write("registry.yaml", &plain.replacen("  endpoints: []\n", "", 1))?;
    node.expect_soon("curl", &[("udp-send 192.0.2.2:53", "reached 192.0.2.2:53")]);
    assert_eq!(asked(&node, "on a say")?, before);
    node.expect_within(Duration::from_secs(5), "curl", &[("on a say", "EPERM")]);
    node.expect("curl", &[("udp-send 203.0.113.1:53", "reached 203.0.113.1:53")]);
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
