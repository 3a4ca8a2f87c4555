//! Connections that are delivered to a pod past the host side of its veth pair (`bpf_redirect_peer`), as some CNIs do it.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use enforcer_tests::capture::Capture;
use enforcer_tests::node::{Node, OUTSIDE, decisions};
use serde_json::{Value, json};

/// Longer than the agent takes to look again.
const LOOK: Duration = Duration::from_secs(5);
const NOTE: &str = "connections reach it without passing the node's side of its interface (bpf_redirect_peer): what it answers is \
                    denied; have the CNI deliver through the kernel's stack, for Cilium `bpf.hostLegacyRouting=true`";

/// A client outside, and the pod's server.
struct Ends {
    node: Node,
    outside: Capture,
    client: IpAddr,
    kind: &'static str,
    server: String,
}

impl Ends {
    fn new(client: &str) -> Result<Self> {
        let node = Node::new().workload("web", "curl").pods().start()?;
        let pod = node.world().pod("curl")?;
        let client: IpAddr = client.parse()?;
        let (kind, server) = match client {
            IpAddr::V4(_) => ("tcp4", format!("{}:7000", pod.ipv4())),
            IpAddr::V6(_) => ("tcp6", format!("[{}]:7000", pod.ipv6())),
        };
        assert_eq!(node.probe("curl")?.ask("keep server listen 7000")?["said"], "made");
        let outside = node.world().capture_outside()?;
        Ok(Self { node, outside, client, kind, server })
    }

    /// What becomes of a connection, and how many packets answer it.
    fn connect(&self, name: &str) -> Result<(Value, usize)> {
        self.outside.clear()?;
        let mut probe = self.node.probe(OUTSIDE)?;
        probe.ask(&format!("keep {name} {}", self.kind))?;
        let outcome = probe.ask(&format!("on {name} connect {}", self.server))?;
        Ok((outcome["said"].clone(), self.outside.saw_to(self.client)?.len()))
    }

    fn is_answered(&self, name: &str) -> Result<()> {
        let (said, answers) = self.connect(name)?;
        assert!(said == "connected" && answers > 0, "{}: {name}: {said}, {answers} packets", self.kind);
        Ok(())
    }

    fn is_told(&self) -> Result<()> {
        let status = self.node.status_soon(|status| {
            let notes = &status["workloads"][0]["notes"];
            (*notes != json!([])).then(|| status.clone())
        })?;
        assert_eq!(status["workloads"][0]["notes"], json!([NOTE]));
        assert_eq!((&status["ready"], &status["workloads"][0]["covered"]), (&json!(true), &json!(true)));
        assert!(decisions(&status, "no_flow").0 > 0, "{:#}", status["decisions"]);
        Ok(())
    }
}

#[test]
fn connections_past_the_hosts_side_are_told_and_what_answers_them_is_denied() -> Result<()> {
    for client in ["10.255.0.2", "fd00:255::2"] {
        let ends = Ends::new(client)?;
        ends.is_answered("before")?;
        sleep(LOOK);
        assert_eq!(ends.node.status()?["workloads"][0]["notes"], json!([]));
        let detour = ends.node.world().deliver_past_host_side("curl")?;
        let (said, answers) = ends.connect("skipping")?;
        assert!(said != "connected" && answers == 0, "{client}: {said}, {answers} packets");
        ends.is_told().context(client)?;
        drop(detour);
        ends.is_answered("after")?;
        let log = ends.node.log();
        assert_eq!(log.matches("connections reach a workload without passing").count(), 1, "{log}");
    }
    Ok(())
}
