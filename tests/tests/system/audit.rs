//! The switch: enforce, audit, off, for the node and for one workload.

use anyhow::Result;
use enforcer_tests::node::{Node, decisions};

const ONE: &str = r"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: one, namespace: web}
spec:
  hosts: [one.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 198.51.100.1}]
";

#[test]
fn audit_records_what_it_would_deny_and_blocks_nothing() -> Result<()> {
    let node = Node::new().registry(ONE).workload("web", "curl").flag("--enforcement", "audit").start()?;
    node.expect(
        "curl",
        &[
            ("tcp 192.0.2.11:443", "reached 192.0.2.11:443"),
            ("udp-send [2001:db8::11]:53", "reached [2001:db8::11]:53"),
            ("tcp 240.240.0.1:80", "reached 198.51.100.1:80 under the name 240.240.0.1:80"),
        ],
    );
    let denials =
        node.status_soon(|status| status["denials"].as_array().filter(|all| all.len() == 2).cloned())?;
    assert!(denials.iter().all(|denial| denial["blocked"] == false), "{denials:#?}");
    assert_eq!(denials[1]["destination"], "192.0.2.11:443/tcp");
    let status = node.status()?;
    assert_eq!(status["enforcement"], "audit");
    assert_eq!((decisions(&status, "not_registered"), decisions(&status, "registered")), ((0, 2), (0, 1)));
    Ok(())
}

#[test]
fn off_looks_at_nothing() -> Result<()> {
    let node = Node::new().registry(ONE).workload("web", "curl").flag("--enforcement", "off").start()?;
    node.expect(
        "curl",
        &[("tcp 192.0.2.11:443", "reached 192.0.2.11:443"), ("tcp 240.240.0.1:80", "reached 240.240.0.1:80")],
    );
    let status = node.status()?;
    assert_eq!((&status["decisions"], &status["denials"]), (&serde_json::json!([]), &serde_json::json!([])));
    Ok(())
}

#[test]
fn one_workload_may_differ_from_its_node() -> Result<()> {
    let node = Node::new()
        .registry(ONE)
        .workload("web", "strict")
        .workload_with("watched", "namespace=web,name=watched,enforcement=audit")
        .workload_with("free", "namespace=web,name=free,enforcement=off")
        .start()?;
    node.expect("strict", &[("tcp 192.0.2.11:443", "EPERM")]);
    node.expect("watched", &[("tcp 192.0.2.11:443", "reached 192.0.2.11:443")]);
    node.expect("free", &[("tcp 192.0.2.11:443", "reached 192.0.2.11:443")]);
    assert_eq!(decisions(&node.status()?, "not_registered"), (1, 1));
    Ok(())
}
