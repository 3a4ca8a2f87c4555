//! An endpoint that is down looks as it does without a VIP.

use anyhow::Result;
use enforcer_tests::node::{Node, OUTSIDE};

/// Nobody listens on 8089.
const DOWN: &str = r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: down, namespace: web}
spec:
  hosts: [down.example.com]
  addresses: [203.0.113.1, "2001:db8:3::1"]
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 8089}
  - {number: 53, name: dns, protocol: UDP, targetPort: 8089}
  endpoints: [{address: 198.51.100.1}, {address: "2001:db8:1::1"}]
"#;

/// What becomes of calls to the VIP, and to the endpoint itself from a process outside.
#[track_caller]
fn same(node: &Node, calls: &[&str], port: u16, outcome: &str) {
    for call in calls {
        for (vip, endpoint) in [
            ("203.0.113.1", "198.51.100.1"),
            ("[::ffff:203.0.113.1]", "[::ffff:198.51.100.1]"),
            ("[2001:db8:3::1]", "[2001:db8:1::1]"),
        ] {
            node.expect("curl", &[(&format!("{call} {vip}:{port}"), outcome)]);
            node.expect(OUTSIDE, &[(&format!("{call} {endpoint}:8089"), outcome)]);
        }
    }
}

#[test]
fn a_call_to_an_endpoint_that_is_down_fails_as_it_does_without_a_vip() -> Result<()> {
    let node = Node::new().registry(DOWN).workload("web", "curl").start()?;
    same(&node, &["tcp", "mptcp", "tfo", "uring-connect"], 80, "ECONNREFUSED");
    same(&node, &["udp"], 53, "ECONNREFUSED");
    // One that is not connected is never told.
    same(&node, &["udp-send", "uring-send"], 53, "silence");
    Ok(())
}

#[test]
fn a_workload_that_may_dial_the_endpoint_meets_the_same() -> Result<()> {
    let node =
        Node::new().registry(DOWN).workload("web", "curl").flag("--direct-endpoints", "all").start()?;
    node.expect(
        "curl",
        &[
            ("tcp 203.0.113.1:80", "ECONNREFUSED"),
            ("tcp 198.51.100.1:8089", "ECONNREFUSED"),
            ("udp 203.0.113.1:53", "ECONNREFUSED"),
            ("udp 198.51.100.1:8089", "ECONNREFUSED"),
        ],
    );
    Ok(())
}

#[test]
fn a_connected_socket_is_told_once_and_keeps_its_peer() -> Result<()> {
    let node = Node::new().registry(DOWN).workload("web", "curl").start()?;
    let story = |to: &str, peer: &str| {
        [
            ("keep a udp4".to_owned(), "made".to_owned()),
            (format!("on a connect {to}"), "connected".to_owned()),
            ("on a say".to_owned(), "ECONNREFUSED".to_owned()),
            ("on a peer".to_owned(), peer.to_owned()),
            ("on a say".to_owned(), "ECONNREFUSED".to_owned()),
        ]
    };
    for (who, to) in [("curl", "203.0.113.1:53"), (OUTSIDE, "198.51.100.1:8089")] {
        let rows = story(to, to);
        let rows: Vec<(&str, &str)> =
            rows.iter().map(|(command, outcome)| (&**command, &**outcome)).collect();
        node.expect(who, &rows);
    }
    Ok(())
}
