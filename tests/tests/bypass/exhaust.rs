//! What is full opens nothing, and is nobody else's trouble.

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Node, OUTSIDE, decisions};
use enforcer_tests::world::{Spot, finish};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::events::Denial;
use crate::stage::{REGISTRY, Stage};
use crate::table::{self, Row};

/// A connection from outside to a server of `who`, both ways: each `name` is used once.
pub(crate) fn serves(node: &Node, who: &str, name: &str) -> Result<()> {
    let ask = |who: &str, command: &str| node.probe(who)?.ask(command);
    let to = format!("{}:7000", node.world().pod(who)?.ipv4());
    ask(OUTSIDE, &format!("keep {name} tcp4"))?;
    let answer = ask(OUTSIDE, &format!("on {name} connect {to}"))?;
    ensure!(answer["said"] == "connected", "{who}: {answer}");
    ask(who, &format!("on server accept {name}"))?;
    talks(node, who, name)
}

pub(crate) fn talks(node: &Node, who: &str, name: &str) -> Result<()> {
    let marker = Marker::fresh();
    node.probe(who)?.ask(&format!("on {name} send {marker}"))?;
    let heard = node.probe(OUTSIDE)?.ask(&format!("on {name} receive"))?;
    ensure!(heard["said"] == marker.to_string(), "{who} over {name}: {heard}");
    Ok(())
}

/// Techniques that a full table could let through.
pub(crate) fn all_stopped(stage: &mut Stage) -> Result<Vec<Denial>> {
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
pub(crate) fn rows(technique: &str, met: Vec<Denial>, control: &str) -> [Row; 2] {
    let (packets, calls): (Vec<_>, Vec<_>) = met.into_iter().partition(|denial| denial.hook == "interface");
    [Row::of(technique, &packets, control), Row::of(&format!("{technique}, calls"), &calls, control)]
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
    let (outside, sent) = (node.world().capture_outside()?, node.world().capture_sent("curl")?);
    let agent = Pid::from_raw(node.agent().context("no agent")?.pid().try_into()?);
    kill(agent, Signal::SIGSTOP)?;
    let counts = node.probe("curl")?.ask("repeat 40000 tcp 203.0.113.7:443")?;
    let (mut leaks, mut met) = (0, Vec::new());
    for command in ["packet-raw", "udp", "syn-data", "icmp-echo", "tcp"] {
        let marker = Marker::fresh();
        let answer = node.probe("curl")?.ask(&format!("try {command} {marker} 203.0.113.7:9000"))?;
        leaks += outside.saw(&marker)?.len();
        // Nobody tells it, so it is known by how far it came.
        let hook = match command {
            "udp" | "tcp" => {
                ensure!(answer["errno"] == "EPERM", "{command}: {answer}");
                if command == "udp" { "sendmsg" } else { "connect" }
            }
            _ => {
                ensure!(!sent.saw(&marker)?.is_empty(), "{command} does not leave the pod: {answer}");
                "interface"
            }
        };
        met.push(Denial::known(hook, "not_registered"));
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
    assert_eq!(counted, 40_006, "every denial counts");
    ensure!(status["events_suppressed"].as_u64() > Some(0), "the ring was not full");
    table::publish("93 ring", &[Row::of("Event ring full", &met, "TCP")])
}
