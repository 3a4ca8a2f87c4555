//! What must go on: answers to those outside, quick refusals, and everything that is registered.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::agent::Until;
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Node, OUTSIDE, decisions};
use enforcer_tests::world::{Spot, finish};

use crate::stage::{Stage, builder};

/// A connection from outside to the pod's server, as `name` on both sides; the pod's address with a port, of this family.
pub(crate) fn connect_in(stage: &Node, name: &str, kind: &str, to: &str) -> Result<()> {
    said(stage, OUTSIDE, &format!("keep {name} {kind}"), "made")?;
    said(stage, OUTSIDE, &format!("on {name} connect {to}"), "connected")?;
    let accepted = stage.probe("curl")?.ask(&format!("on server accept {name}"))?;
    ensure!(accepted["said"].as_str().is_some_and(|it| it.starts_with("accepted")), "{name}: {accepted}");
    Ok(())
}

fn said(node: &Node, who: &str, command: &str, expected: &str) -> Result<()> {
    let answer = node.probe(who)?.ask(command)?;
    ensure!(answer["said"] == expected, "{who}: {command}: {answer}, not {expected}");
    Ok(())
}

/// The pod speaks first, then the client.
pub(crate) fn talk(node: &Node, name: &str) -> Result<()> {
    for (from, to) in [("curl", OUTSIDE), (OUTSIDE, "curl"), ("curl", OUTSIDE)] {
        let marker = Marker::fresh();
        let sent = node.probe(from)?.ask(&format!("on {name} send {marker}"))?;
        ensure!(sent["sent"] == 16, "{name}: {from} cannot send: {sent}");
        said(node, to, &format!("on {name} receive"), &marker.to_string())
            .with_context(|| format!("{name}: what {from} sends does not arrive"))?;
    }
    Ok(())
}

/// A datagram from outside, and the answer to it.
fn exchange_in(node: &Node, name: &str, server: &str) -> Result<()> {
    let tuple = node.probe(OUTSIDE)?.ask(&format!("on {name} tuple"))?;
    let tuple = tuple["said"].as_str().context("no tuple")?.to_owned();
    let (client, _) = tuple.split_once(' ').context("no tuple")?;
    let (there, back) = (Marker::fresh(), Marker::fresh());
    node.probe(OUTSIDE)?.ask(&format!("on {name} send {there}"))?;
    said(node, "curl", &format!("on {server} receive"), &there.to_string())?;
    answer(node, name, server, client, &back)
}

fn answer(node: &Node, name: &str, server: &str, client: &str, back: &Marker) -> Result<()> {
    let sent = node.probe("curl")?.ask(&format!("on {server} send-to {client} {back}"))?;
    ensure!(sent["sent"] == 16, "{name}: the answer cannot be sent: {sent}");
    said(node, OUTSIDE, &format!("on {name} receive"), &back.to_string())
}

/// Servers of the pod, and where they are.
pub(crate) fn serve(node: &Node) -> Result<[(&'static str, String); 2]> {
    let pod = node.world().pod("curl")?;
    said(node, "curl", "keep server listen 7000", "made")?;
    said(node, "curl", "keep udp4 bind 0.0.0.0:7001", "made")?;
    said(node, "curl", &format!("keep udp6 bind [{}]:7001", pod.ipv6()), "made")?;
    Ok([("4", pod.ipv4().to_string()), ("6", format!("[{}]", pod.ipv6()))])
}

#[test]
fn clients_outside_are_answered() -> Result<()> {
    let node = builder().start()?;
    for (family, at) in serve(&node)? {
        connect_in(&node, &format!("tcp{family}"), &format!("tcp{family}"), &format!("{at}:7000"))?;
        talk(&node, &format!("tcp{family}"))?;
        let server = format!("udp{family}");
        let client = format!("client{family}");
        said(&node, OUTSIDE, &format!("keep {client} udp{family}"), "made")?;
        said(&node, OUTSIDE, &format!("on {client} connect {at}:7001"), "connected")?;
        exchange_in(&node, &client, &server)?;
        exchange_in(&node, &client, &server)?;
        let (outside, marker) = (node.world().capture_outside()?, Marker::fresh());
        let asked = format!("try icmp-echo {marker} {at}:0 mac=02:00:00:00:ff:01");
        node.probe(OUTSIDE)?.ask(&asked)?;
        assert_eq!(outside.saw(&marker)?.len(), 1, "the reply to a ping");
    }
    // The clients are registered nowhere.
    node.expect("curl", &[("tcp 10.255.0.2:9000", "EPERM"), ("udp 10.255.0.2:9000", "EPERM")]);
    Ok(())
}

#[test]
fn connections_of_clients_outside_that_are_older_than_the_agent_go_on() -> Result<()> {
    let mut node = builder().prepare()?;
    let places = serve(&node)?;
    for (family, at) in &places {
        connect_in(&node, &format!("tcp{family}"), &format!("tcp{family}"), &format!("{at}:7000"))?;
        talk(&node, &format!("tcp{family}"))?;
        said(&node, OUTSIDE, &format!("keep client{family} udp{family}"), "made")?;
        said(&node, OUTSIDE, &format!("on client{family} connect {at}:7001"), "connected")?;
        exchange_in(&node, &format!("client{family}"), &format!("udp{family}"))?;
    }
    node.start_agent(Until::Ready)?;
    let mut faults = Vec::new();
    for (family, _) in &places {
        faults.extend(talk(&node, &format!("tcp{family}")).err());
        // A datagram has no connection: its next question opens the way for the answer.
        faults.extend(exchange_in(&node, &format!("client{family}"), &format!("udp{family}")).err());
    }
    ensure!(faults.is_empty(), "{faults:#?}\n{}", node.log());
    Ok(())
}

/// By a socket that the hooks of calls have not met: made outside of the workload.
#[test]
fn what_is_denied_fails_at_once() -> Result<()> {
    let stage = Stage::new()?;
    let world = stage.node.world();
    let (cgroup, network) = (world.make_cgroup("elsewhere")?, world.pod("curl")?.network());
    let spot = Spot { cgroup: Some(&cgroup), network: Some(&network), ..Spot::default() };
    let mut probe = enforcer_tests::probe::Probe::start_at(world, spot)?;
    for (family, to) in [("4", "203.0.113.7:9000"), ("6", "[2001:db8:7::7]:9000")] {
        probe.ask(&format!("keep tcp tcp{family}"))?;
        let since = Instant::now();
        let answer = probe.ask(&format!("on tcp connect {to}"))?;
        assert_eq!(answer["errno"], "ECONNREFUSED", "TCP of IPv{family}");
        assert!(since.elapsed() < Duration::from_secs(1), "TCP of IPv{family}: {:?}", since.elapsed());
        probe.ask(&format!("keep udp udp{family}"))?;
        probe.ask(&format!("on udp connect {to}"))?;
        let since = Instant::now();
        probe.ask(&format!("on udp send {}", Marker::fresh()))?;
        let answer = probe.ask("on udp receive")?;
        // What "communication administratively prohibited" is to a socket of each family.
        let expected = if family == "4" { "EHOSTUNREACH" } else { "EACCES" };
        assert_eq!(answer["errno"], expected, "UDP of IPv{family}: {answer}");
        assert!(since.elapsed() < Duration::from_secs(1), "UDP of IPv{family}: {:?}", since.elapsed());
    }
    Ok(())
}

/// The peer of an established connection that is not allowed any more is not waited for, either.
#[test]
fn an_established_connection_that_is_denied_ends_at_once() -> Result<()> {
    let stage = Stage::new()?;
    let node = &stage.node;
    said(node, OUTSIDE, "keep server listen 9100", "made")?;
    said(node, "curl", "keep one tcp4", "made")?;
    said(node, "curl", "on one connect 192.0.2.10:9100", "connected")?;
    node.write("registry.yaml", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n")?;
    node.expect_soon("curl", &[("tcp 192.0.2.10:9000", "EPERM")]);
    let since = Instant::now();
    stage.ask("curl", &format!("on one send {}", Marker::fresh()))?;
    let answer = stage.ask("curl", "on one receive")?;
    assert_eq!(answer["errno"], "ECONNRESET", "{answer}");
    assert!(since.elapsed() < Duration::from_secs(1));
    Ok(())
}

#[test]
fn everything_that_is_registered_works() -> Result<()> {
    let mut stage = Stage::new()?;
    let rows = [
        ("tcp 192.0.2.10:9000", "reached 192.0.2.10:9000"),
        ("tcp [2001:db8::10]:9000", "reached [2001:db8::10]:9000"),
        ("udp 192.0.2.10:9000", "reached 192.0.2.10:9000"),
        ("udp [2001:db8::10]:9000", "reached [2001:db8::10]:9000"),
        ("udp-send 192.0.2.10:53", "reached 192.0.2.10:53"),
        ("tcp 192.0.2.80:80", "reached 198.51.100.1:8080 under the name 192.0.2.80:80"),
        ("tcp [2001:db8::80]:80", "reached [2001:db8:1::1]:8080 under the name [2001:db8::80]:80"),
        ("udp 192.0.2.80:53", "reached 198.51.100.1:9000 under the name 192.0.2.80:53"),
        ("udp-send 192.0.2.80:53", "reached 198.51.100.1:9000 under the name 192.0.2.80:53"),
        ("udp [2001:db8::80]:53", "reached [2001:db8:1::1]:9000 under the name [2001:db8::80]:53"),
        ("udp-send [2001:db8::80]:53", "reached [2001:db8:1::1]:9000 under the name [2001:db8::80]:53"),
    ];
    stage.node.expect("curl", &rows);
    for command in ["ping {4}", "ping {6}", "icmp-echo {4}", "icmp-echo {6}"] {
        stage.arrives(command)?;
    }
    // The server takes 2048 bytes of it and answers with as many: fragments as well.
    for (name, to) in
        [("udp4", "192.0.2.10:9000"), ("udp6", "[2001:db8::10]:9000"), ("udp4", "192.0.2.80:53")]
    {
        stage.said("curl", &format!("keep big {name}"))?;
        let heard = stage.said("curl", &format!("on big exchange 3 8000 {to}"))?;
        assert!(heard.starts_with("3 times 2048 bytes of"), "{to}: {heard}");
    }
    forget_neighbours(&stage.node)?;
    stage.node.expect("curl", &rows);
    let status = stage.node.status()?;
    println!("link_control: {:?}", decisions(&status, "link_control"));
    assert_eq!(decisions(&status, "table_fault"), (0, 0));
    Ok(())
}

/// The pod has to ask again who the gateway is.
fn forget_neighbours(node: &Node) -> Result<()> {
    let network = node.world().pod("curl")?.network();
    let spot = Spot { network: Some(&network), ..Spot::default() };
    for family in ["-4", "-6"] {
        let mut command = node.world().command("ip".as_ref(), spot)?;
        let done = finish(command.args([family, "neigh", "flush", "dev", "eth0", "nud", "permanent"]))?;
        ensure!(done.code == Some(0), "ip neigh flush: {}", done.stderr);
    }
    Ok(())
}
