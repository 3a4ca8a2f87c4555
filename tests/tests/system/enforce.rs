//! What is registered is reachable, and nothing else.

use anyhow::Result;
use enforcer_tests::agent::Until;
use enforcer_tests::node::{Node, OUTSIDE, decisions};

const PAYMENTS: &str = r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: payments, namespace: web}
spec:
  hosts: [payments.example.com]
  addresses: [192.0.2.10, "2001:db8::10"]
  location: MESH_EXTERNAL
  resolution: NONE
  ports:
  - {number: 443, name: tls, protocol: TLS}
  - {number: 53, name: dns, protocol: UDP}
"#;

#[test]
fn a_workload_reaches_what_is_registered_and_nothing_else() -> Result<()> {
    let node = Node::new().registry(PAYMENTS).workload("web", "curl").start()?;
    node.expect(
        "curl",
        &[
            ("tcp 192.0.2.10:443", "reached 192.0.2.10:443"),
            ("tcp 192.0.2.10:80", "EPERM"),
            ("tcp 192.0.2.11:443", "EPERM"),
            ("tcp 169.254.169.254:80", "EPERM"),
            ("tcp [2001:db8::10]:443", "reached [2001:db8::10]:443"),
            ("tcp [2001:db8::10]:80", "EPERM"),
            ("tcp [2001:db8::11]:443", "EPERM"),
        ],
    );
    // An IPv6 socket that speaks IPv4 is no way around.
    node.expect(
        "curl",
        &[
            ("tcp [::ffff:192.0.2.10]:443", "reached 192.0.2.10:443"),
            ("tcp [::ffff:192.0.2.11]:443", "EPERM"),
            ("udp [::ffff:192.0.2.10]:53", "reached 192.0.2.10:53"),
            ("udp [::ffff:192.0.2.11]:53", "EPERM"),
            ("udp-send [::ffff:192.0.2.10]:53", "reached 192.0.2.10:53"),
            ("udp-send [::ffff:192.0.2.11]:53", "EPERM"),
        ],
    );
    // Neither is UDP, connected or not; and a TCP port is not a UDP port.
    node.expect(
        "curl",
        &[
            ("udp 192.0.2.10:53", "reached 192.0.2.10:53"),
            ("udp 192.0.2.10:443", "EPERM"),
            ("udp 192.0.2.11:53", "EPERM"),
            ("udp-send 192.0.2.10:53", "reached 192.0.2.10:53"),
            ("udp-send 192.0.2.11:53", "EPERM"),
            ("udp [2001:db8::10]:53", "reached [2001:db8::10]:53"),
            ("udp [2001:db8::11]:53", "EPERM"),
            ("udp-send [2001:db8::10]:53", "reached [2001:db8::10]:53"),
            ("udp-send [2001:db8::11]:53", "EPERM"),
            ("tcp 192.0.2.10:53", "EPERM"),
        ],
    );
    Ok(())
}

#[test]
fn loopback_is_free_and_a_process_outside_is_untouched() -> Result<()> {
    let node = Node::new().registry(PAYMENTS).workload("web", "curl").start()?;
    node.expect(
        "curl",
        &[
            ("tcp 127.0.0.1:80", "reached 127.0.0.1:80"),
            ("tcp 127.8.9.10:80", "reached 127.8.9.10:80"),
            ("tcp [::1]:80", "reached [::1]:80"),
            ("tcp [::ffff:127.0.0.1]:80", "reached 127.0.0.1:80"),
            ("udp-send 127.0.0.1:53", "reached 127.0.0.1:53"),
        ],
    );
    node.expect(
        OUTSIDE,
        &[
            ("tcp 192.0.2.11:443", "reached 192.0.2.11:443"),
            ("tcp [2001:db8::11]:443", "reached [2001:db8::11]:443"),
            ("udp 192.0.2.11:53", "reached 192.0.2.11:53"),
            ("udp-send [2001:db8::11]:53", "reached [2001:db8::11]:53"),
        ],
    );
    let status = node.status()?;
    assert_eq!(decisions(&status, "loopback"), (5, 0));
    assert_eq!(decisions(&status, "not_registered"), (0, 0), "nothing is counted that was not asked");
    Ok(())
}

#[test]
fn a_denial_is_told_with_process_destination_and_reason() -> Result<()> {
    let node = Node::new().registry(PAYMENTS).workload("web", "curl").start()?;
    node.expect("curl", &[("tcp 192.0.2.11:443", "EPERM"), ("udp-send [2001:db8::11]:53", "EPERM")]);
    let pid = node.probe("curl")?.pid();
    let denials =
        node.status_soon(|status| status["denials"].as_array().filter(|all| all.len() == 2).cloned())?;
    let told: Vec<_> = denials
        .iter()
        .map(|denial| {
            assert_eq!(denial["pid"], pid);
            assert_eq!(denial["blocked"], true);
            let field = |name: &str| denial[name].as_str().unwrap_or("missing");
            ["workload", "command", "destination", "reason"].map(field).join(" ")
        })
        .collect();
    assert_eq!(
        told,
        [
            "web/curl enforcer-probe [2001:db8::11]:53/udp not_registered",
            "web/curl enforcer-probe 192.0.2.11:443/tcp not_registered"
        ]
    );
    let explained = node.explain("web/curl", "192.0.2.11:443")?;
    assert_eq!((&explained["verdict"], &explained["reason"]), (&"deny".into(), &"not_registered".into()));
    let explained = node.explain("web/curl", "payments.example.com:443")?;
    assert_eq!(
        (&explained["verdict"], &explained["destination"]["ip"]),
        (&"allow".into(), &"192.0.2.10".into())
    );
    assert_eq!(explained["service"]["object"]["name"], "payments");
    Ok(())
}

#[test]
fn allowed_ranges_are_reachable_whatever_the_registry_says() -> Result<()> {
    let node = Node::new()
        .registry(PAYMENTS)
        .workload("web", "curl")
        .flag("--allow", "198.51.100.0/24")
        .flag("--allow", "203.0.113.1:443")
        .flag("--allow", "203.0.113.2:443/tcp")
        .flag("--allow", "[2001:db8:1::/48]:53/udp")
        .start()?;
    node.expect(
        "curl",
        &[
            ("tcp 198.51.100.0:80", "reached 198.51.100.0:80"),
            ("udp-send 198.51.100.255:53", "reached 198.51.100.255:53"),
            ("tcp 198.51.101.0:80", "EPERM"),
            ("tcp 203.0.113.1:443", "reached 203.0.113.1:443"),
            ("udp 203.0.113.1:443", "reached 203.0.113.1:443"),
            ("tcp 203.0.113.1:80", "EPERM"),
            ("tcp 203.0.113.2:443", "reached 203.0.113.2:443"),
            ("udp 203.0.113.2:443", "EPERM"),
            ("udp [2001:db8:1::7]:53", "reached [2001:db8:1::7]:53"),
            ("tcp [2001:db8:1::7]:53", "EPERM"),
            ("tcp 192.0.2.10:443", "reached 192.0.2.10:443"),
        ],
    );
    assert_eq!(node.explain("curl", "198.51.100.9:22")?["reason"], "exempt");
    Ok(())
}

#[test]
fn allow_any_allows_and_the_registry_still_counts() -> Result<()> {
    let node = Node::new()
        .registry(PAYMENTS)
        .workload("web", "curl")
        .flag("--outbound-traffic-policy", "ALLOW_ANY")
        .start()?;
    node.expect(
        "curl",
        &[
            ("tcp 192.0.2.11:80", "reached 192.0.2.11:80"),
            ("udp-send [2001:db8::11]:53", "reached [2001:db8::11]:53"),
            ("tcp 192.0.2.10:443", "reached 192.0.2.10:443"),
        ],
    );
    let status = node.status()?;
    assert_eq!((decisions(&status, "allow_any"), decisions(&status, "registered")), ((2, 0), (1, 0)));
    Ok(())
}

/// The default is the mesh's policy, and as long as nobody has told it, nothing is open.
#[test]
fn a_policy_that_nobody_told_denies_until_the_mesh_tells_it() -> Result<()> {
    let node = Node::new()
        .registry(PAYMENTS)
        .workload("web", "curl")
        .flag("--outbound-traffic-policy", "mesh")
        .start_until(Until::Answers)?;
    // What the agent itself tries is not counted.
    node.status_soon(|status| (status["canary"]["rounds"].as_u64() > Some(0)).then_some(()))?;
    node.expect("curl", &[("tcp 192.0.2.10:443", "reached 192.0.2.10:443"), ("tcp 192.0.2.11:443", "EPERM")]);
    let status = node.status()?;
    assert_eq!((&status["ready"], &status["outbound_policy"]), (&false.into(), &"unknown".into()));
    assert!(
        status["not_ready"][0].as_str().is_some_and(|why| why.contains("--outbound-traffic-policy")),
        "{status:#}"
    );
    assert_eq!(decisions(&status, "policy_unknown"), (1, 0));

    node.write("mesh.yaml", "outboundTrafficPolicy: {mode: ALLOW_ANY}\n")?;
    node.expect_soon("curl", &[("tcp 192.0.2.11:443", "reached 192.0.2.11:443")]);
    // An empty policy is REGISTRY_ONLY: the zero value of Istio's enumeration.
    node.write("mesh.yaml", "outboundTrafficPolicy: {}\n")?;
    node.expect_soon("curl", &[("tcp 192.0.2.11:443", "EPERM")]);
    node.status_soon(|status| (status["ready"] == true).then_some(()))?;
    Ok(())
}
