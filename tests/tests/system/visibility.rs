//! What one namespace may reach and another may not.

use anyhow::Result;
use enforcer_tests::node::Node;

const LEDGER: &str = r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ledger, namespace: bank}
spec:
  hosts: [ledger.example.com]
  exportTo: ["."]
  addresses: [192.0.2.20]
  resolution: NONE
  ports: [{number: 5432, name: tcp, protocol: TCP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: rates, namespace: bank}
spec:
  hosts: [rates.example.com]
  addresses: [192.0.2.21]
  resolution: NONE
  ports: [{number: 443, name: tls, protocol: TLS}]
"#;

#[test]
fn a_private_service_is_reachable_from_its_own_namespace_only() -> Result<()> {
    let node = Node::new().registry(LEDGER).workload("bank", "teller").workload("web", "curl").start()?;
    let (own, shared) = ("tcp 192.0.2.20:5432", "tcp 192.0.2.21:443");
    node.expect("teller", &[(own, "reached 192.0.2.20:5432"), (shared, "reached 192.0.2.21:443")]);
    node.expect("curl", &[(own, "EPERM"), (shared, "reached 192.0.2.21:443")]);
    let explained = node.explain("web/curl", "192.0.2.20:5432")?;
    let warning = explained["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("bank/ledger") && warning.contains("bank only"), "{explained:#}");

    // Shared with another namespace, it is reachable from there.
    node.write("registry.yaml", &LEDGER.replace("\".\"", "\".\", web"))?;
    node.expect_soon("curl", &[(own, "reached 192.0.2.20:5432")]);
    node.expect("teller", &[(own, "reached 192.0.2.20:5432")]);
    // Taken back, it is not.
    node.write("registry.yaml", LEDGER)?;
    node.expect_soon("curl", &[(own, "EPERM")]);
    node.expect("teller", &[(own, "reached 192.0.2.20:5432")]);
    Ok(())
}

#[test]
fn a_sidecar_narrows_what_its_workloads_see() -> Result<()> {
    let node = Node::new()
        .registry(LEDGER)
        .file(
            "sidecar.yaml",
            r#"
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: own-namespace-only, namespace: web}
spec:
  workloadSelector: {labels: {app: narrow}}
  egress: [{hosts: ["./*"]}]
"#,
        )
        .workload_with("narrow", "namespace=web,name=narrow,labels=app=narrow")
        .workload_with("wide", "namespace=web,name=wide,labels=app=wide")
        .start()?;
    let shared = "tcp 192.0.2.21:443";
    node.expect("narrow", &[(shared, "EPERM")]);
    node.expect("wide", &[(shared, "reached 192.0.2.21:443")]);
    // It imports the one host that it needs.
    let wider = r#"
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: own-namespace-only, namespace: web}
spec:
  workloadSelector: {labels: {app: narrow}}
  egress: [{hosts: ["./*", "bank/rates.example.com"]}]
"#;
    node.write("sidecar.yaml", wider)?;
    node.expect_soon("narrow", &[(shared, "reached 192.0.2.21:443")]);
    Ok(())
}

/// A Sidecar may tighten the mesh's policy, and loosens it only where the node allows that.
#[test]
fn a_sidecar_loosens_the_policy_only_with_leave() -> Result<()> {
    let loose = r"
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: web}
spec: {outboundTrafficPolicy: {mode: ALLOW_ANY}}
";
    for (leave, outcome) in [(false, "EPERM"), (true, "reached 192.0.2.99:80")] {
        let node = Node::new()
            .registry(loose)
            .file("mesh.yaml", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n")
            .workload("web", "curl")
            .flag("--outbound-traffic-policy", "mesh");
        let node = if leave { node.flag("--allow-override", "") } else { node }.start()?;
        node.expect("curl", &[("tcp 192.0.2.99:80", outcome)]);
    }
    Ok(())
}
