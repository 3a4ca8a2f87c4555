//! What a packet of an established flow costs: one look-up of its socket's storage in each program that it meets, and none of any map.
//!
//! The programs are the agent's own, loaded over its maps with the one byte set that makes them count their look-ups.

#[path = "established/counting.rs"]
mod counting;

use std::path::Path;

use anyhow::{Context as _, Result};
use enforcer_common::ABI_VERSION;
use enforcer_tests::marker::Marker;
use enforcer_tests::needs;
use enforcer_tests::node::{Node, OUTSIDE};
use enforcer_tests::sys::testrun::{Program, Runner};
use serde_json::Value;

use crate::counting::Counting;

/// How many packets are sent, at least.
const PACKETS: u64 = 200;
/// The ports that the workload may send to: of TCP, and of UDP.
const TCP: u16 = 4433;
const UDP: u16 = 4434;
/// A registry of a cluster, not of an example.
const MANY: usize = 2_000;

/// What the workload may send to, and so many others.
fn registry(others: usize) -> String {
    let service = |name: &str, addresses: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: web}}\n\
             spec:\n  hosts: [{name}.example.com]\n  addresses: [{addresses}]\n  resolution: NONE\n  \
             ports: [{{number: {TCP}, name: tcp, protocol: TCP}}, {{number: {UDP}, name: udp, protocol: UDP}}]\n"
        )
    };
    let other =
        |number: usize| service(&format!("n{number}"), &format!("10.{}.{}.1", number / 250, number % 250));
    let others: String = (0..others).map(other).collect();
    service("payments", "192.0.2.10, \"2001:db8::10\"") + &others
}

/// The flow of two sockets that are connected.
struct Flow<'a> {
    node: &'a Node,
    /// What both processes call their ends.
    name: &'a str,
}

impl Flow<'_> {
    /// So many packets from the workload, each read before the next one goes: else TCP makes one packet of many.
    fn send(&self, count: u64) -> Result<()> {
        for _ in 0..count {
            let marker = Marker::fresh();
            let said = self.node.probe("curl")?.ask(&format!("on {} send {marker}", self.name))?;
            anyhow::ensure!(said["errno"].is_null(), "{said}");
            let heard = self.node.probe(OUTSIDE)?.ask(&format!("on {} receive", self.name))?;
            anyhow::ensure!(heard["said"] == marker.to_string(), "{}: {heard}", self.name);
        }
        Ok(())
    }
}

/// Somebody outside takes what the workload connects to by this kind of socket.
fn dial<'a>(node: &'a Node, name: &'a str, kind: &str, to: &str) -> Result<Flow<'a>> {
    if kind.starts_with("udp") {
        node.expect(OUTSIDE, &[(&format!("keep {name} bind {to}"), "made")]);
    }
    node.expect("curl", &[(&format!("keep {name} {kind}"), "made")]);
    node.expect("curl", &[(&format!("on {name} connect {to}"), "connected")]);
    if kind.starts_with("tcp") {
        node.probe(OUTSIDE)?.ask(&format!("on l accept {name}"))?;
    }
    Ok(Flow { node, name })
}

/// The workload takes what somebody outside connects to.
fn accept<'a>(node: &'a Node, name: &'a str, at: &str) -> Result<Flow<'a>> {
    node.expect("curl", &[("keep server listen 7000", "made")]);
    node.expect(OUTSIDE, &[(&format!("keep {name} tcp4"), "made")]);
    node.expect(OUTSIDE, &[(&format!("on {name} connect {at}:7000"), "connected")]);
    node.probe("curl")?.ask(&format!("on server accept {name}"))?;
    Ok(Flow { node, name })
}

/// Frames that the pod has sent.
fn sent(node: &Node) -> Result<u64> {
    let interface = node.world().pod("curl")?.interface();
    node.world().on_node(|| {
        let output = needs::tool("ip").args(["-j", "-s", "link", "show", &interface]).output()?;
        let link: Value = serde_json::from_slice(&output.stdout).context("reading what ip says")?;
        link[0]["stats64"]["rx"]["packets"].as_u64().context("no count of packets")
    })
}

/// Counts what the packets of a pod's flow cost, once its first ones are decided over.
fn pods_packets_cost_two_storages(counting: &Counting, flow: &Flow<'_>) -> Result<()> {
    flow.send(5)?;
    let (packets, (maps, storages)) = (sent(flow.node)?, counting.lookups()?);
    flow.send(PACKETS)?;
    let (packets_now, (maps_now, storages_now)) = (sent(flow.node)?, counting.lookups()?);
    let (packets, name) = (packets_now - packets, flow.name);
    assert!(packets >= PACKETS, "{packets} packets");
    assert_eq!(maps_now - maps, 0, "{name}: look-ups of maps over {packets} packets");
    // One program looks at the socket of its cgroup, and one at the interface.
    assert_eq!(storages_now - storages, 2 * packets, "{name}: look-ups of storages over {packets} packets");
    Ok(())
}

fn costs_of_a_pod(others: usize) -> Result<()> {
    let mut node = Node::new().pods().registry(&registry(others)).workload("web", "curl").start()?;
    node.stop_agent()?;
    let counting = Counting::over(&node)?;
    let own = node.world().pod("curl")?.ipv4().to_string();
    node.expect(OUTSIDE, &[(&format!("keep l listen {TCP}"), "made")]);
    for flow in [
        dial(&node, "tcp4", "tcp4", "192.0.2.10:4433")?,
        dial(&node, "tcp6", "tcp6", "[2001:db8::10]:4433")?,
        dial(&node, "udp4", "udp4", "192.0.2.10:4434")?,
        dial(&node, "udp6", "udp6", "[2001:db8::10]:4434")?,
        accept(&node, "accepted", &own)?,
    ] {
        pods_packets_cost_two_storages(&counting, &flow)?;
    }
    // Counting counts: a denied call looks maps up.
    let (maps, _) = counting.lookups()?;
    node.expect("curl", &[("tcp 192.0.2.11:443", "EPERM")]);
    assert!(counting.lookups()?.0 > maps);
    Ok(())
}

#[test]
fn a_packet_of_an_established_flow_costs_one_storage_and_no_map() -> Result<()> {
    costs_of_a_pod(0)
}

#[test]
fn it_costs_no_more_with_a_large_registry() -> Result<()> {
    costs_of_a_pod(MANY)
}

/// There only the programs of its cgroup are.
#[test]
fn it_costs_one_storage_without_an_interface() -> Result<()> {
    for others in [0, MANY] {
        let mut node = Node::new().registry(&registry(others)).workload("web", "curl").start()?;
        node.stop_agent()?;
        let counting = Counting::over(&node)?;
        node.expect(OUTSIDE, &[(&format!("keep l listen {TCP}"), "made")]);
        for (kind, to) in [
            ("tcp4", "192.0.2.10:4433"),
            ("tcp6", "[2001:db8::10]:4433"),
            ("udp4", "192.0.2.10:4434"),
            ("udp6", "[2001:db8::10]:4434"),
        ] {
            let flow = dial(&node, kind, kind, to)?;
            flow.send(5)?;
            let (maps, storages) = counting.lookups()?;
            flow.send(PACKETS)?;
            let (maps_now, storages_now) = counting.lookups()?;
            let storages = storages_now - storages;
            assert_eq!(maps_now - maps, 0, "{kind}: look-ups of maps");
            // A datagram is a packet; of TCP acknowledgments may be more.
            let is_right = if kind.starts_with("udp") { storages == PACKETS } else { storages >= PACKETS };
            assert!(is_right && storages <= 2 * PACKETS, "{kind}: {storages} look-ups of storages");
        }
        drop(counting);
    }
    Ok(())
}

/// Only a socket of the packet's own protocol remembers: by a packet socket, as in a test run, every frame is judged anew.
#[test]
fn a_frame_of_another_kind_of_socket_is_looked_up_each_time() -> Result<()> {
    const TIMES: u32 = 1_000;
    let mut node = Node::new().pods().registry(&registry(0)).workload("web", "curl").start()?;
    node.stop_agent()?;
    let counting = Counting::over(&node)?;
    let world = node.world();
    let (index, pod) = (world.host_index("curl")?, world.pod("curl")?);
    let pin = format!("v{ABI_VERSION}/interfaces/{index}/enforcer_tc_in");
    let pin = world.outside(&world.pin_dir().join(Path::new(&pin)));
    let frame = counting::datagram(&pod, &format!("192.0.2.10:{UDP}"))?;
    let costs = |times: u32| -> Result<u64> {
        let (maps, _) = counting.lookups()?;
        world.on_node(|| Runner::new(Program::pinned(&pin)?, index)?.last_of(&frame, times))?;
        Ok(counting.lookups()?.0 - maps)
    };
    let (once, often) = (costs(1)?, costs(TIMES)?);
    println!("{once} look-ups of maps for one frame, {often} for {TIMES}");
    assert!(once > 0 && often >= u64::from(TIMES), "{once} look-ups for one, {often} for {TIMES}");
    Ok(())
}
