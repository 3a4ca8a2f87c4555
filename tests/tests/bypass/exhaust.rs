//! What is full opens nothing, and is nobody else's trouble.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use enforcer_common::limits::LRU_SPARE_PER_CPU;
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Node, OUTSIDE, decisions};
use enforcer_tests::world::{Spot, finish};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::events::Denial;
use crate::stage::{REGISTRY, Stage, builder};
use crate::table::{self, Row};

/// The smallest table of flows there is.
const FLOWS: usize = 256;

/// What a table has beyond that, for each CPU that there can be.
fn spare() -> Result<usize> {
    let cpus = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last: usize = cpus.trim().rsplit([',', '-']).next().context("no CPU")?.parse()?;
    Ok(usize::try_from(LRU_SPARE_PER_CPU)? * (last + 1))
}

/// A connection from outside to a server of `who`, both ways: each `name` is used once.
fn serves(node: &Node, who: &str, name: &str) -> Result<()> {
    let ask = |who: &str, command: &str| node.probe(who)?.ask(command);
    let to = format!("{}:7000", node.world().pod(who)?.ipv4());
    ask(OUTSIDE, &format!("keep {name} tcp4"))?;
    let answer = ask(OUTSIDE, &format!("on {name} connect {to}"))?;
    ensure!(answer["said"] == "connected", "{who}: {answer}");
    ask(who, &format!("on server accept {name}"))?;
    talks(node, who, name)
}

fn talks(node: &Node, who: &str, name: &str) -> Result<()> {
    let marker = Marker::fresh();
    node.probe(who)?.ask(&format!("on {name} send {marker}"))?;
    let heard = node.probe(OUTSIDE)?.ask(&format!("on {name} receive"))?;
    ensure!(heard["said"] == marker.to_string(), "{who} over {name}: {heard}");
    Ok(())
}

/// Techniques that a full table could let through.
fn all_stopped(stage: &mut Stage) -> Result<Vec<Denial>> {
    let commands = [
        "packet-raw {4}",
        "packet-raw {6}",
        "forged-syn-ack {4}",
        "forged-data {4}",
        "frag-later-only {4}",
        "icmp-error {4}",
        "udp {4}",
        "tcp {6}",
    ];
    commands.iter().map(|command| stage.stopped(command).context(*command)).collect()
}

/// At the interface, and before.
fn rows(technique: &str, met: Vec<Denial>, control: &str) -> [Row; 2] {
    let (packets, calls): (Vec<_>, Vec<_>) = met.into_iter().partition(|denial| denial.hook == "interface");
    [Row::of(technique, &packets, control), Row::of(&format!("{technique}, calls"), &calls, control)]
}

#[test]
fn the_table_of_flows_is_full() -> Result<()> {
    let mut stage = Stage::of(builder().flag("--map-entries", &format!("flows={FLOWS}")))?;
    for who in ["curl", "other"] {
        assert_eq!(stage.said(who, "keep server listen 7000")?, "made");
        serves(&stage.node, who, "before")?;
    }
    // By clients outside, and by the workload itself.
    let pod = stage.node.world().pod("curl")?;
    for number in 0..2 * (FLOWS + spare()?) {
        stage.ask(OUTSIDE, &format!("keep flood udp{}", if number % 2 == 0 { 4 } else { 6 }))?;
        let to = if number % 2 == 0 { pod.ipv4().into() } else { pod.ipv6().into() };
        let to = SocketAddr::new(to, 7001);
        stage.ask(OUTSIDE, &format!("on flood send-to {to} {}", Marker::fresh()))?;
        let own = SocketAddr::new(pod.ipv4().into(), 20_000 + u16::try_from(number)?);
        stage.ask("curl", &format!("try packet-raw {} 192.0.2.10:9000 source={own}", Marker::fresh()))?;
    }
    let met = all_stopped(&mut stage)?;
    talks(&stage.node, "other", "before").context("the neighbour's connection")?;
    for who in ["other", "curl"] {
        serves(&stage.node, who, "after")?;
    }
    stage.arrives("packet-raw {4}")?;
    table::publish("92 flows", &rows("Flow table full", met, "inbound"))
}

/// Too little memory for what sockets remember: every packet is decided anew, and what would be translated is denied.
#[test]
fn sockets_remember_nothing() -> Result<()> {
    let mut stage = Stage::new()?;
    let network = stage.node.world().pod("curl")?.network();
    let spot = Spot { network: Some(&network), ..Spot::default() };
    let mut command = stage.node.world().command("sh".as_ref(), spot)?;
    let set = finish(command.args(["-c", "echo 1 > /proc/sys/net/core/optmem_max"]))?;
    ensure!(set.code == Some(0), "net.core.optmem_max of the pod: {}", set.stderr);
    let met = all_stopped(&mut stage)?;
    stage
        .node
        .expect("other", &[("tcp 192.0.2.80:80", "reached 198.51.100.1:8080 under the name 192.0.2.80:80")]);
    stage.node.expect(
        "curl",
        &[
            ("tcp 192.0.2.10:9000", "reached 192.0.2.10:9000"),
            ("udp 192.0.2.10:9000", "reached 192.0.2.10:9000"),
            ("udp-send [2001:db8::10]:9000", "reached [2001:db8::10]:9000"),
            ("tcp 192.0.2.80:80", "EPERM"),
            ("udp-send 192.0.2.80:53", "EPERM"),
        ],
    );
    let unstored = decisions(&stage.node.status()?, "no_storage").0;
    ensure!(unstored >= 2, "{unstored} denials for want of storage");
    table::publish("93 storage", &rows("No socket storage", met, "TCP, UDP"))
}

/// The agent sleeps while it is told more than the ring holds.
#[test]
fn the_ring_of_events_is_full() -> Result<()> {
    let node = Node::new()
        .pods()
        .registry(REGISTRY)
        .workload("web", "curl")
        .flag("--event-rate", "1000000")
        .start()?;
    let outside = node.world().capture_outside()?;
    let agent = Pid::from_raw(node.agent().context("no agent")?.pid().try_into()?);
    kill(agent, Signal::SIGSTOP)?;
    let counts = node.probe("curl")?.ask("repeat 40000 tcp 203.0.113.7:443")?;
    let mut leaks = 0;
    for command in ["packet-raw", "udp", "syn-data", "icmp-echo"] {
        let marker = Marker::fresh();
        node.probe("curl")?.ask(&format!("try {command} {marker} 203.0.113.7:9000"))?;
        leaks += outside.saw(&marker)?.len();
    }
    node.expect(
        "curl",
        &[("tcp 192.0.2.10:9000", "reached 192.0.2.10:9000"), ("tcp 203.0.113.8:1", "EPERM")],
    );
    kill(agent, Signal::SIGCONT)?;
    assert_eq!(counts, serde_json::json!({ "EPERM": 40_000 }));
    assert_eq!((leaks, outside.saw_to("203.0.113.7".parse()?)?.len()), (0, 0));
    let status = node.status()?;
    let counted = decisions(&status, "not_registered").0;
    assert_eq!(counted, 40_005, "every denial counts");
    ensure!(status["events_suppressed"].as_u64() > Some(0), "the ring was not full");
    Ok(())
}
