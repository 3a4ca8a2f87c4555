//! Whose process is it?

use std::fs;

use anyhow::{Context as _, Result};
use enforcer_tests::agent::{RunningAgent, Until};
use enforcer_tests::node::{Node, decisions};

const PRIVATE: &str = r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: one, namespace: web}
spec:
  hosts: [one.example.com]
  exportTo: ["."]
  addresses: [192.0.2.1]
  resolution: NONE
  ports: [{number: 443, name: tls, protocol: TLS}]
"#;

const OPEN: (&str, &str) = ("tcp 192.0.2.1:443", "reached 192.0.2.1:443");
const ELSEWHERE: &str = "tcp 192.0.2.2:443";

#[test]
fn a_cgroup_below_the_workloads_is_the_same_workload() -> Result<()> {
    let node = Node::new().registry(PRIVATE).workload("web", "curl").workload("shop", "cart").start()?;
    node.world().make_cgroup("pods/curl/container/worker")?;
    node.world().make_cgroup("pods/cart/container")?;
    node.expect("curl/container/worker", &[OPEN, (ELSEWHERE, "EPERM")]);
    node.expect("cart/container", &[("tcp 192.0.2.1:443", "EPERM"), (ELSEWHERE, "EPERM")]);
    let explained = node.explain("web/curl", "192.0.2.1:443")?;
    assert_eq!((&explained["verdict"], &explained["workload"]["name"]), (&"allow".into(), &"curl".into()));
    Ok(())
}

/// Of two workloads, one below the other, the deeper one counts.
#[test]
fn a_workload_within_a_workload_is_its_own() -> Result<()> {
    let node = Node::new()
        .registry(PRIVATE)
        .workload("shop", "pod")
        .workload_with("pod/sidecar", "namespace=web,name=sidecar")
        .start()?;
    node.expect("pod", &[("tcp 192.0.2.1:443", "EPERM")]);
    node.expect("pod/sidecar", &[OPEN, (ELSEWHERE, "EPERM")]);
    Ok(())
}

#[test]
fn a_process_without_identity_is_denied_or_let_pass_as_the_flag_says() -> Result<()> {
    for (flag, outcome) in [("deny", "EPERM"), ("allow", "reached 192.0.2.2:443")] {
        let node = Node::new()
            .registry(PRIVATE)
            .workload("web", "curl")
            .flag("--cgroup", "{cgroup}/pods")
            .flag("--unknown-workload", flag)
            .start()?;
        node.world().make_cgroup("pods/stranger")?;
        node.expect("stranger", &[(ELSEWHERE, outcome), ("tcp 127.0.0.1:80", "reached 127.0.0.1:80")]);
        node.expect("curl", &[OPEN, (ELSEWHERE, "EPERM")]);
        let reason = if flag == "deny" { "unknown_workload" } else { "unknown_workload_allowed" };
        let status = node.status()?;
        assert_eq!(decisions(&status, reason), (1, 0), "{status:#}");
        assert_eq!(status["attached"].as_array().map(Vec::len), Some(1), "once, at the top: {status:#}");
    }
    Ok(())
}

/// A restarted container: the directory goes and comes again, and is another cgroup.
#[test]
fn a_cgroup_that_comes_again_is_enforced_again() -> Result<()> {
    let node = Node::new().registry(PRIVATE).workload("web", "curl").workload("shop", "cart").start()?;
    fs::remove_dir(node.cgroup("curl"))?;
    let why = node.status_soon(|status| status["not_ready"][0].as_str().map(str::to_owned))?;
    assert!(why.contains("pods/curl"), "{why}");
    node.expect("cart", &[(ELSEWHERE, "EPERM")]);
    node.world().make_cgroup("pods/curl")?;
    node.status_soon(|status| (status["ready"] == true).then_some(()))?;
    node.expect("curl", &[OPEN, (ELSEWHERE, "EPERM")]);
    Ok(())
}

/// After a reboot not all services are up when the agent starts: those that are, are enforced, and the others when they come.
#[test]
fn a_workload_that_is_not_up_yet_keeps_nobody_else_from_being_enforced() -> Result<()> {
    let mut node =
        Node::new().registry(PRIVATE).workload("web", "curl").workload("shop", "cart").prepare()?;
    fs::remove_dir(node.cgroup("curl"))?;
    node.start_agent(Until::Answers)?;
    node.expect("cart", &[(ELSEWHERE, "EPERM")]);
    let status = node.status()?;
    let why = status["not_ready"][0].as_str().unwrap_or_default();
    assert!(why.contains("pods/curl of web/curl") && status["ready"] == false, "{status:#}");
    node.world().make_cgroup("pods/curl")?;
    node.status_soon(|status| (status["ready"] == true).then_some(()))?;
    node.expect("curl", &[OPEN, (ELSEWHERE, "EPERM")]);
    Ok(())
}

/// Nobody is up: an agent that waits is an agent, and what is attached for a workload that it has no more ends.
#[test]
fn an_agent_waits_for_its_only_workload() -> Result<()> {
    let mut node = Node::new().registry(PRIVATE).workload("web", "curl").workload("shop", "cart").start()?;
    node.expect("cart", &[(ELSEWHERE, "EPERM")]);
    node.kill_agent()?;
    fs::remove_dir(node.cgroup("curl"))?;
    let arguments = node.arguments();
    let cart = arguments.iter().rposition(|argument| argument == "--workload").context("a workload")?;
    let agent = RunningAgent::start(node.world(), &arguments[..cart], Until::Answers)?;
    let status = node.status()?;
    assert!(status["ready"] == false && status["attached"] == serde_json::json!([]), "{status:#}");
    node.expect("cart", &[(ELSEWHERE, "reached 192.0.2.2:443")]);
    node.world().make_cgroup("pods/curl")?;
    node.status_soon(|status| (status["ready"] == true).then_some(()))?;
    node.expect("curl", &[OPEN, (ELSEWHERE, "EPERM")]);
    agent.kill()
}

/// The cgroup of a `--cgroup` goes, and the agent goes on for the others, through a change of the registry, too.
#[test]
fn a_root_that_vanishes_does_not_end_the_agent() -> Result<()> {
    let node = Node::new().registry(PRIVATE).workload("web", "curl").prepare()?;
    node.world().make_cgroup("extra")?;
    let arguments = ["--cgroup", "{cgroup}/pods", "--cgroup", "{cgroup}/extra"];
    let arguments = arguments.map(|text| text.replace("{cgroup}", &node.world().cgroup().to_string_lossy()));
    let arguments = [node.arguments(), &arguments].concat();
    let _agent = RunningAgent::start(node.world(), &arguments, Until::Ready)?;
    fs::remove_dir(node.world().cgroup().join("extra"))?;
    node.write("registry.yaml", &PRIVATE.replace("192.0.2.1", "192.0.2.3"))?;
    node.expect_soon("curl", &[("tcp 192.0.2.3:443", "reached 192.0.2.3:443"), (ELSEWHERE, "EPERM")]);
    assert!(node.status()?["attached"].as_array().is_some_and(|all| !all.is_empty()));
    Ok(())
}
