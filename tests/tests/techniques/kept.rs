//! Sockets that live on: connections in and out, tuples used again, sockets from elsewhere.

use anyhow::{Context as _, Result};
use enforcer_tests::marker::Marker;
use enforcer_tests::probe::Probe;
use enforcer_tests::world::Spot;

use crate::Free;

/// Asks, and says what the answer says.
fn said(probe: &mut Probe, command: &str) -> Result<String> {
    let answer = probe.ask(command)?;
    let text = answer["said"].as_str().or(answer["errno"].as_str());
    Ok(text.map_or_else(|| answer.to_string(), str::to_owned))
}

#[test]
fn connections_last() -> Result<()> {
    let mut free = Free::new()?;
    for (kind, to) in [
        ("tcp4", "203.0.113.7:9000"),
        ("tcp6", "[2001:db8:7::7]:9000"),
        ("udp4", "203.0.113.7:9000"),
        ("udp6", "[2001:db8:7::7]:9000"),
    ] {
        assert_eq!(said(&mut free.probe, &format!("keep one {kind}"))?, "made");
        assert_eq!(said(&mut free.probe, &format!("on one connect {to}"))?, "connected");
        for _ in 0..2 {
            let marker = Marker::fresh();
            assert_eq!(free.probe.ask(&format!("on one send {marker}"))?["sent"], 16, "{kind}");
            assert_eq!(free.outside.saw(&marker)?.len(), 1, "{kind}");
            if kind.starts_with("tcp") {
                // The servers hang up after what they heard first.
                break;
            }
        }
    }
    Ok(())
}

#[test]
fn a_server_in_a_pod_is_reached_from_outside_and_both_talk_later() -> Result<()> {
    let mut free = Free::new()?;
    let mut client = Probe::start_outside(&free.world)?;
    let inward = free.world.capture_pod("curl")?;
    assert_eq!(said(&mut free.probe, "keep server listen 7000")?, "made");
    let addresses =
        [("tcp4", format!("{}:7000", free.pod.ipv4())), ("tcp6", format!("[{}]:7000", free.pod.ipv6()))];
    for (kind, to) in addresses {
        client.ask(&format!("keep client {kind}"))?;
        assert_eq!(said(&mut client, &format!("on client connect {to}"))?, "connected");
        let accepted = said(&mut free.probe, "on server accept one")?;
        let tuple = said(&mut client, "on client tuple")?;
        let (local, peer) = tuple.split_once(' ').context("no tuple")?;
        assert_eq!((accepted, peer), (format!("accepted {local}"), &*to));
        for _ in 0..3 {
            let (there, back) = (Marker::fresh(), Marker::fresh());
            client.ask(&format!("on client send {there}"))?;
            assert_eq!(said(&mut free.probe, "on one receive")?, there.to_string());
            free.probe.ask(&format!("on one send {back}"))?;
            assert_eq!(said(&mut client, "on client receive")?, back.to_string());
            assert_eq!((inward.saw(&there)?.len(), free.outside.saw(&back)?.len()), (1, 1));
        }
        assert_eq!(said(&mut client, "on client close")?, "closed");
        assert_eq!(said(&mut free.probe, "on one receive")?, "closed by the peer");
    }
    Ok(())
}

#[test]
fn the_tuple_of_a_connection_that_ended_is_used_again() -> Result<()> {
    let mut free = Free::new()?;
    for (kind, to) in [("tcp4", "203.0.113.7:9000"), ("tcp6", "[2001:db8:7::7]:9000")] {
        free.probe.ask(&format!("keep one {kind}"))?;
        free.probe.ask(&format!("on one connect {to}"))?;
        let tuple = said(&mut free.probe, "on one tuple")?;
        let (source, _) = tuple.split_once(' ').context("no tuple")?;
        assert_eq!(said(&mut free.probe, "on one close")?, "closed");
        for name in ["forged-data", "syn-data", "forged-rst"] {
            let marker = Marker::fresh();
            free.probe.ask(&format!("try {name} {marker} {to} source={source}"))?;
            assert_eq!(free.outside.saw(&marker)?.len(), 1, "{name} {to}");
        }
    }
    Ok(())
}

/// Made by a process in the pod's network, but in another cgroup.
#[test]
fn sockets_come_from_elsewhere() -> Result<()> {
    let mut free = Free::new()?;
    let (cgroup, network) = (free.world.make_cgroup("elsewhere")?, free.pod.network());
    let spot = Spot { cgroup: Some(&cgroup), network: Some(&network), ..Spot::default() };
    let mut elsewhere = Probe::start_at(&free.world, spot)?;
    let path = free.world.directory().join("passed");
    for (kind, taken, last) in [
        ("udp4", "udp", "send-to 203.0.113.7:9000 MARKER"),
        ("udp6", "udp", "send-to [2001:db8:7::7]:9000 MARKER"),
        ("tcp4", "tcp", "send MARKER"),
        ("packet", "packet", "craft udp-packet MARKER 203.0.113.7:9000"),
        ("packet", "packet", "craft lsrr MARKER 203.0.113.7:9000"),
        ("raw4", "raw", "craft udp-packet MARKER 203.0.113.7:9000"),
        ("raw6", "raw", "craft udp-packet MARKER [2001:db8:7::7]:9000"),
    ] {
        assert_eq!(said(&mut elsewhere, &format!("keep one {kind}"))?, "made");
        if taken == "tcp" {
            assert_eq!(said(&mut elsewhere, "on one connect 203.0.113.7:9000")?, "connected");
        }
        free.probe.tell(&format!("take one {taken} {}", path.display()))?;
        assert_eq!(said(&mut elsewhere, &format!("on one give {}", path.display()))?, "given");
        assert_eq!(free.probe.answer()?["said"], "taken");
        let marker = Marker::fresh();
        free.probe.ask(&format!("on one {}", last.replace("MARKER", &marker.to_string())))?;
        assert_eq!(free.outside.saw(&marker)?.len(), 1, "{kind} {last}");
    }
    Ok(())
}
