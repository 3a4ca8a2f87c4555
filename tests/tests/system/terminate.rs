//! A connection that may not be any more: closed at once with `--terminate-existing`, and else as soon as it says something.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use enforcer_tests::entry::entry_at;
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Node, OUTSIDE};

/// How soon.
const SOON: Duration = Duration::from_secs(2);

/// Where the two services are, and where the workload has one of its own.
const GONE: &str = "192.0.2.1:7000";
const STAYS: &str = "192.0.2.2:7000";

/// A workload with three connections: to a service that will go, to one that stays, and one that somebody made to it.
fn stage(pods: bool, terminate: bool) -> Result<Node> {
    let builder = Node::new()
        .file("gone.yaml", &entry_at("gone", "192.0.2.1", &[7000]))
        .file("stays.yaml", &entry_at("stays", "192.0.2.2", &[7000]));
    let builder = if pods { builder.pods() } else { builder };
    let builder = if terminate { builder.flag("--terminate-existing", "") } else { builder };
    let node = builder.workload("web", "curl").start()?;
    let own = if pods { node.world().pod("curl")?.ipv4().to_string() } else { "198.51.100.7".to_owned() };
    for (who, command, expected) in [
        (OUTSIDE, "keep server listen 7000", "made"),
        ("curl", "keep gone tcp4", "made"),
        ("curl", &format!("on gone connect {GONE}"), "connected"),
        (OUTSIDE, "on server accept gone", "accepted"),
        ("curl", "keep stays tcp4", "made"),
        ("curl", &format!("on stays connect {STAYS}"), "connected"),
        (OUTSIDE, "on server accept stays", "accepted"),
        ("curl", "keep own listen 7001", "made"),
        (OUTSIDE, "keep visit tcp4", "made"),
        (OUTSIDE, &format!("on visit connect {own}:7001"), "connected"),
        ("curl", "on own accept visit", "accepted"),
    ] {
        let said = said(&node, who, command)?;
        assert!(said.starts_with(expected), "{who}: {command}: {said}\n{}", node.log());
    }
    talks(&node, "gone")?;
    go_on(&node)?;
    Ok(node)
}

fn said(node: &Node, who: &str, command: &str) -> Result<String> {
    let answer = node.probe(who)?.ask(command)?;
    let text = answer["said"].as_str().or(answer["errno"].as_str());
    Ok(text.map_or_else(|| answer.to_string(), str::to_owned))
}

/// Bytes go both ways.
#[track_caller]
fn talks(node: &Node, socket: &str) -> Result<()> {
    for (from, to) in [("curl", OUTSIDE), (OUTSIDE, "curl")] {
        let marker = Marker::fresh();
        let sent = said(node, from, &format!("on {socket} send {marker}"))?;
        let came = said(node, to, &format!("on {socket} receive"))?;
        assert_eq!(came, marker.to_string(), "{socket} from {from}, which sent {sent}:\n{}", node.log());
    }
    Ok(())
}

/// The connection to another service, and the one that came in.
#[track_caller]
fn go_on(node: &Node) -> Result<()> {
    talks(node, "stays")?;
    talks(node, "visit")
}

/// What the workload meets at the socket, and how soon.
fn end(node: &Node, socket: &str) -> Result<(String, Duration)> {
    let begun = Instant::now();
    loop {
        let met = said(node, "curl", &format!("on {socket} receive"))?;
        if met != "silence" || begun.elapsed() > 2 * SOON {
            return Ok((met, begun.elapsed()));
        }
    }
}

/// How many sockets were closed for their packets.
fn denied(node: &Node) -> Result<u64> {
    let status = node.status()?;
    status["terminated"]["denied"].as_u64().with_context(|| status["terminated"].to_string())
}

/// Waits until no new connection is made to the service that has gone.
fn until_denied(node: &Node) -> Result<()> {
    let begun = Instant::now();
    while node.dial("curl", &format!("tcp {GONE}"))?.to_string() != "EPERM" {
        anyhow::ensure!(begun.elapsed() < 10 * SOON, "{GONE} is open still:\n{}", node.log());
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

#[test]
fn a_connection_to_a_service_that_goes_is_closed_and_others_go_on() -> Result<()> {
    for pods in [false, true] {
        let node = stage(pods, true)?;
        node.remove("gone.yaml")?;
        let (met, after) = end(&node, "gone")?;
        assert!(
            met == "ECONNABORTED" && after < SOON,
            "{met} after {after:?} (pods: {pods}):\n{}",
            node.log()
        );
        go_on(&node)?;
        let told = node.status_soon(|status| {
            let last = &status["terminated"]["last"];
            (last["closed"] == 1).then(|| status["terminated"].clone())
        })?;
        assert_eq!(
            (&told["total"], &told["denied"], &told["last"]["failed"]),
            (&1.into(), &0.into(), &0.into()),
            "{told}"
        );
    }
    Ok(())
}

#[test]
fn without_the_flag_it_ends_with_the_next_packet_and_its_program_knows_at_once() -> Result<()> {
    for (pods, expected, closed) in [(false, "ECONNABORTED", 1), (true, "ECONNRESET", 0)] {
        let node = stage(pods, false)?;
        node.remove("gone.yaml")?;
        until_denied(&node)?;
        // One that was being made when the service went is closed, too.
        let before = denied(&node)?;
        assert_eq!(said(&node, "curl", "on gone receive")?, "silence", "nothing was sent (pods: {pods})");
        said(&node, "curl", &format!("on gone send {}", Marker::fresh()))?;
        let (met, after) = end(&node, "gone")?;
        assert!(met == expected && after < SOON, "{met} after {after:?} (pods: {pods}):\n{}", node.log());
        go_on(&node)?;
        let told = node.status_soon(|status| {
            (status["terminated"]["denied"] == before + closed).then(|| status["terminated"].clone())
        })?;
        assert_eq!(told["last"], serde_json::Value::Null, "{told}");
    }
    Ok(())
}

#[test]
fn a_connection_that_is_older_than_the_agent_is_closed_when_it_starts() -> Result<()> {
    let mut node = stage(true, true)?;
    node.kill_agent().context("killing the agent")?;
    node.remove("gone.yaml")?;
    talks(&node, "gone")?;
    node.start_agent(enforcer_tests::agent::Until::Ready)?;
    let (met, after) = end(&node, "gone")?;
    assert!(met == "ECONNABORTED" && after < SOON, "{met} after {after:?}:\n{}", node.log());
    go_on(&node)
}
