//! Every socket call that leads somewhere: allowed, denied, and translated.

use anyhow::Result;
use enforcer_tests::node::{Builder, Node, OUTSIDE, decisions};

#[path = "sockets/again.rs"]
mod again;
#[path = "sockets/datagrams.rs"]
mod datagrams;
#[path = "sockets/down.rs"]
mod down;
#[path = "sockets/endpoints.rs"]
mod endpoints;
#[path = "sockets/http.rs"]
mod http;

/// A registered address of each family, and a VIP of each family with one endpoint of each.
const SERVICES: &str = r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: payments, namespace: web}
spec:
  hosts: [payments.example.com]
  addresses: [192.0.2.10, "2001:db8::10"]
  resolution: NONE
  ports:
  - {number: 443, name: tls, protocol: TLS}
  - {number: 53, name: dns, protocol: UDP}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders, namespace: web}
spec:
  hosts: [orders.example.com]
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 8080}
  - {number: 53, name: dns, protocol: UDP, targetPort: 9000}
  endpoints: [{address: 198.51.100.1}, {address: "2001:db8:1::1"}]
"#;

fn services() -> Builder {
    Node::new().registry(SERVICES).workload("web", "curl")
}

/// By each of these ways of connecting.
#[track_caller]
fn by_tcp(node: &Node, call: &str) {
    let rows = [
        ("192.0.2.10:443", "reached 192.0.2.10:443"),
        ("[::ffff:192.0.2.10]:443", "reached 192.0.2.10:443"),
        ("[2001:db8::10]:443", "reached [2001:db8::10]:443"),
        ("192.0.2.11:443", "EPERM"),
        ("[::ffff:192.0.2.11]:443", "EPERM"),
        ("[2001:db8::11]:443", "EPERM"),
        ("192.0.2.10:53", "EPERM"),
        ("240.240.0.1:80", "reached 198.51.100.1:8080 under the name 240.240.0.1:80"),
        ("[::ffff:240.240.0.1]:80", "reached 198.51.100.1:8080 under the name 240.240.0.1:80"),
        ("[2001:2::1]:80", "reached [2001:db8:1::1]:8080 under the name [2001:2::1]:80"),
        ("240.240.0.1:53", "EPERM"),
        ("198.51.100.1:8080", "EPERM"),
        ("127.0.0.1:80", "reached 127.0.0.1:80"),
    ];
    expect_all(node, call, &rows);
}

/// By each of these ways of sending.
#[track_caller]
fn by_udp(node: &Node, call: &str) {
    let rows = [
        ("192.0.2.10:53", "reached 192.0.2.10:53"),
        ("[::ffff:192.0.2.10]:53", "reached 192.0.2.10:53"),
        ("[2001:db8::10]:53", "reached [2001:db8::10]:53"),
        ("192.0.2.11:53", "EPERM"),
        ("[::ffff:192.0.2.11]:53", "EPERM"),
        ("[2001:db8::11]:53", "EPERM"),
        ("192.0.2.10:443", "EPERM"),
        ("240.240.0.1:53", "reached 198.51.100.1:9000 under the name 240.240.0.1:53"),
        ("[::ffff:240.240.0.1]:53", "reached 198.51.100.1:9000 under the name 240.240.0.1:53"),
        ("[2001:2::1]:53", "reached [2001:db8:1::1]:9000 under the name [2001:2::1]:53"),
        ("240.240.0.1:80", "EPERM"),
        ("198.51.100.1:9000", "EPERM"),
        ("127.0.0.1:53", "reached 127.0.0.1:53"),
    ];
    expect_all(node, call, &rows);
}

#[track_caller]
fn expect_all(node: &Node, call: &str, rows: &[(&str, &str)]) {
    let commands: Vec<String> = rows.iter().map(|(to, _)| format!("{call} {to}")).collect();
    let table: Vec<(&str, &str)> =
        commands.iter().zip(rows).map(|(command, (_, outcome))| (&**command, *outcome)).collect();
    node.expect("curl", &table);
}

#[test]
fn connect_and_what_stands_for_it() -> Result<()> {
    let node = services().start()?;
    by_tcp(&node, "tcp");
    by_tcp(&node, "tfo");
    Ok(())
}

/// Threads of the kernel, too, do it in the name of the process that asked.
#[test]
fn io_uring_is_no_way_around() -> Result<()> {
    let node = services().start()?;
    for thread in ["", "/worker", "/poller"] {
        by_tcp(&node, &format!("uring-connect{thread}"));
        by_udp(&node, &format!("uring-send{thread}"));
    }
    Ok(())
}

/// The subflow meets the hook, and the program asks the socket: it shows the VIP all the same.
#[test]
fn mptcp_is_tcp() -> Result<()> {
    by_tcp(&services().start()?, "mptcp");
    Ok(())
}

#[test]
fn send_and_what_stands_for_it() -> Result<()> {
    let node = services().start()?;
    by_udp(&node, "udp");
    by_udp(&node, "udp-send");
    by_udp(&node, "udp-many");
    by_udp(&node, "sendmmsg");
    Ok(())
}

#[test]
fn one_call_to_many_stops_at_the_first_that_is_denied() -> Result<()> {
    let node = services().start()?;
    node.expect(
        "curl",
        &[
            (
                "sendmmsg 192.0.2.10:53 240.240.0.1:53 192.0.2.11:53 192.0.2.10:53",
                "reached 192.0.2.10:53, reached 198.51.100.1:9000 under the name 240.240.0.1:53, EPERM",
            ),
            (
                "sendmmsg [2001:db8::10]:53 [::ffff:240.240.0.1]:53 [2001:2::1]:53",
                "reached [2001:db8::10]:53, reached 198.51.100.1:9000 under the name 240.240.0.1:53, \
                 reached [2001:db8:1::1]:9000 under the name [2001:2::1]:53",
            ),
            ("sendmmsg 192.0.2.11:53 192.0.2.10:53", "EPERM"),
            (
                "udp-many 192.0.2.10:53 192.0.2.11:53 240.240.0.1:53 192.0.2.11:53 192.0.2.10:53",
                "reached 192.0.2.10:53, EPERM, reached 198.51.100.1:9000 under the name 240.240.0.1:53, EPERM, \
                 reached 192.0.2.10:53",
            ),
        ],
    );
    assert_eq!(node.probe("curl")?.ask("sendmmsg 192.0.2.10:53 192.0.2.11:53 192.0.2.10:53")?["sent"], 1);
    Ok(())
}

/// It meets no hook when it connects, so there is no such socket.
#[test]
fn udp_lite_is_denied_whatever_is_allowed() -> Result<()> {
    let everywhere = [
        ("udplite 192.0.2.10:53", "EPERM"),
        ("udplite [2001:db8::10]:53", "EPERM"),
        ("udplite 240.240.0.1:53", "EPERM"),
        ("udplite 127.0.0.1:53", "EPERM"),
        ("udplite [::1]:53", "EPERM"),
        ("udplite 198.51.100.1:53", "EPERM"),
    ];
    services().start()?.expect("curl", &everywhere);
    let lenient = services()
        .flag("--outbound-traffic-policy", "ALLOW_ANY")
        .flag("--allow", "198.51.100.0/24")
        .start()?;
    lenient.expect("curl", &everywhere);
    assert_eq!(decisions(&lenient.status()?, "protocol"), (6, 0));
    // The machine has it.
    lenient.expect(OUTSIDE, &[("udplite 127.0.0.1:53", "silence")]);
    Ok(())
}

#[test]
fn an_audit_lets_udp_lite_pass_and_says_so() -> Result<()> {
    let node = services().flag("--enforcement", "audit").start()?;
    node.expect("curl", &[("udplite 127.0.0.1:53", "silence")]);
    let hooks = node.status_soon(|status| {
        let denials = status["denials"].as_array().filter(|denials| !denials.is_empty())?;
        let told = |denial: &serde_json::Value| {
            ["hook", "reason"].map(|field| denial[field].as_str().unwrap_or("missing")).join(" ")
        };
        Some(denials.iter().map(told).collect::<Vec<_>>())
    })?;
    assert!(hooks.contains(&"sock_create protocol".to_owned()), "{hooks:?}");
    let (enforced, audited) = decisions(&node.status()?, "protocol");
    assert!(enforced == 0 && audited > 0, "{enforced} {audited}");
    Ok(())
}
