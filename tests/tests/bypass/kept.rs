//! Sockets that are older than the rule which forbids them, or come from elsewhere.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::marker::Marker;
use enforcer_tests::node::OUTSIDE;
use enforcer_tests::probe::Probe;
use enforcer_tests::world::Spot;

use crate::events::Denial;
use crate::stage::{Stage, registered};
use crate::table::{self, Row};
use crate::targets::begins;

/// By these sockets, and what each does with them.
pub(crate) const SOCKETS: [(&str, &str, &str); 7] = [
    ("udp4", "udp", "send-to {4} MARKER"),
    ("udp6", "udp", "send-to {6} MARKER"),
    ("tcp4", "tcp", "connect {4}"),
    ("packet", "packet", "craft udp-packet MARKER {4}"),
    ("packet", "packet", "craft udp-packet MARKER {6}"),
    ("raw4", "raw", "craft udp-packet MARKER {4}"),
    ("raw6", "raw", "craft udp-packet MARKER {6}"),
];

pub(crate) fn call(name: &str, last: &str, marker: &Marker, (v4, v6): (SocketAddr, SocketAddr)) -> String {
    let last = last.replace("MARKER", &marker.to_string());
    format!("on {name} {}", last.replace("{4}", &v4.to_string()).replace("{6}", &v6.to_string()))
}

/// A process in the pod's network, but in a cgroup that is no workload's.
fn elsewhere(stage: &Stage) -> Result<Probe> {
    let world = stage.node.world();
    let (cgroup, network) = (world.make_cgroup("elsewhere")?, world.pod("curl")?.network());
    Probe::start_at(world, Spot { cgroup: Some(&cgroup), network: Some(&network), ..Spot::default() })
}

/// With `{4}` and `{6}` registered it must arrive: the marker, or what begins a connection.
pub(crate) fn arrives(stage: &mut Stage, probe: &mut Probe, name: &str, last: &str) -> Result<()> {
    stage.outside.clear()?;
    let marker = Marker::fresh();
    let answer = probe.ask(&call(name, last, &marker, registered()))?;
    let seen = if last.starts_with("connect ") {
        let frames = stage.outside.saw_to(registered().0.ip())?;
        frames.into_iter().filter(|frame| begins(frame)).collect()
    } else {
        stage.outside.saw(&marker)?
    };
    ensure!(!seen.is_empty(), "the control {last} DOES NOT ARRIVE: {answer}");
    Ok(())
}

/// All were stopped like this.
#[track_caller]
fn row(technique: &str, met: &[Denial], hook: &str, reason: &str, control: &str) -> Row {
    for denial in met {
        assert_eq!((&*denial.hook, &*denial.reason), (hook, reason), "{technique}");
    }
    assert!(!met.is_empty());
    Row::of(technique, met, control)
}

#[test]
fn sockets_are_made_before_the_process_enters_the_workload() -> Result<()> {
    let mut stage = Stage::new()?;
    let mut met = Vec::new();
    for (kind, _, last) in SOCKETS {
        let mut probe = elsewhere(&stage)?;
        for name in ["one", "two"] {
            assert_eq!(probe.ask(&format!("keep {name} {kind}"))?["said"], "made");
        }
        let cgroup = stage.node.cgroup("curl").join("cgroup.procs");
        fs::write(cgroup, probe.pid().to_string()).context("moving a process")?;
        met.push(
            stage
                .stopped_if(|_, marker, to| probe.ask(&call("one", last, marker, to)))
                .with_context(|| format!("{kind} {last}"))?,
        );
        arrives(&mut stage, &mut probe, "two", last)?;
    }
    for denial in &met {
        println!("{denial:?}");
    }
    table::publish(
        "80 older",
        &[row("A socket older than its workload", &met, "interface", "not_registered", "itself")],
    )
}

/// One process gives another a socket.
pub(crate) fn pass(giver: &mut Probe, taker: &mut Probe, name: &str, kind: &str, path: &Path) -> Result<()> {
    taker.tell(&format!("take {name} {kind} {}", path.display()))?;
    assert_eq!(giver.ask(&format!("on {name} give {}", path.display()))?["said"], "given");
    assert_eq!(taker.answer()?["said"], "taken");
    Ok(())
}

/// The process that made it was allowed to connect it, and so it goes on until the registry changes.
#[test]
fn a_connection_is_passed_in_from_elsewhere() -> Result<()> {
    let mut stage = Stage::new()?;
    let path = stage.node.world().directory().join("passed");
    let mut met = Vec::new();
    stage.said(OUTSIDE, "keep server listen 9100")?;
    let mut giver = elsewhere(&stage)?;
    let mut taker = Probe::start_in_pod(stage.node.world(), &stage.node.world().pod("curl")?)?;
    let kinds = [("tcp4", "192.0.2.10:9100"), ("tcp6", "[2001:db8::10]:9100")];
    for (kind, to) in kinds {
        assert_eq!(giver.ask(&format!("keep {kind} {kind}"))?["said"], "made");
        assert_eq!(giver.ask(&format!("on {kind} connect {to}"))?["said"], "connected");
        pass(&mut giver, &mut taker, kind, "tcp", &path)?;
        let marker = Marker::fresh();
        assert_eq!(taker.ask(&format!("on {kind} send {marker}"))?["sent"], 16);
        ensure!(!stage.outside.saw(&marker)?.is_empty(), "{kind}: the control does not arrive");
    }
    stage.node.write("registry.yaml", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n")?;
    stage.node.expect_soon("curl", &[("tcp 192.0.2.10:9000", "EPERM")]);
    for (kind, to) in kinds {
        let to: SocketAddr = to.parse().context("no address")?;
        let send = |_: &Stage, marker: &Marker| taker.ask(&format!("on {kind} send {marker}"));
        met.push(stage.stopped_to(to.ip(), send).context(kind)?);
    }
    let technique = "A connection passed in by SCM_RIGHTS";
    table::publish("81 passed tcp", &[row(technique, &met, "interface", "not_registered", "before")])
}

#[test]
fn sockets_are_passed_in_from_elsewhere() -> Result<()> {
    let mut stage = Stage::new()?;
    let path = stage.node.world().directory().join("passed");
    let mut met = Vec::new();
    for (kind, taken, last) in SOCKETS {
        let mut giver = elsewhere(&stage)?;
        let mut taker = Probe::start_in_pod(stage.node.world(), &stage.node.world().pod("curl")?)?;
        for name in ["one", "two"] {
            assert_eq!(giver.ask(&format!("keep {name} {kind}"))?["said"], "made");
            pass(&mut giver, &mut taker, name, taken, &path)?;
        }
        met.push(
            stage
                .stopped_if(|_, marker, to| taker.ask(&call("one", last, marker, to)))
                .with_context(|| format!("{kind} {last}"))?,
        );
        arrives(&mut stage, &mut taker, "two", last)?;
        if kind != "tcp4" {
            arrives(&mut stage, &mut taker, "one", last)?;
            // What was allowed by this socket says nothing of what comes after it.
            let again = stage.stopped_if(|_, marker, to| taker.ask(&call("one", last, marker, to)));
            met.push(again.with_context(|| format!("{kind} {last}, again"))?);
        }
    }
    for denial in &met {
        println!("{denial:?}");
    }
    table::publish(
        "81 passed",
        &[row("A socket passed in by SCM_RIGHTS", &met, "interface", "not_registered", "itself")],
    )
}

/// What was allowed when it began stops with the service.
#[test]
fn connections_outlive_the_service_and_are_stopped() -> Result<()> {
    let mut stage = Stage::new()?;
    let mut met = Vec::new();
    stage.said(OUTSIDE, "keep server listen 9100")?;
    for (kind, to) in [
        ("tcp4", "192.0.2.10:9100"),
        ("tcp6", "[2001:db8::10]:9100"),
        ("udp4", "192.0.2.10:9000"),
        ("udp6", "[2001:db8::10]:9000"),
    ] {
        assert_eq!(stage.said("curl", &format!("keep {kind} {kind}"))?, "made");
        assert_eq!(stage.said("curl", &format!("on {kind} connect {to}"))?, "connected");
        if kind.starts_with("tcp") {
            let accepted = stage.said(OUTSIDE, &format!("on server accept {kind}"))?;
            assert!(accepted.starts_with("accepted"), "{accepted}");
        }
        for _ in 0..2 {
            let marker = Marker::fresh();
            assert_eq!(stage.ask("curl", &format!("on {kind} send {marker}"))?["sent"], 16, "{kind}");
            assert!(!stage.outside.saw(&marker)?.is_empty(), "{kind} does not arrive while it may");
        }
    }
    stage.node.write("registry.yaml", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n")?;
    stage.node.expect_soon("curl", &[("tcp 192.0.2.10:9000", "EPERM"), ("udp 192.0.2.10:9000", "EPERM")]);
    for kind in ["tcp4", "tcp6", "udp4", "udp6"] {
        let to = if kind.ends_with('4') { registered().0 } else { registered().1 };
        let send = |stage: &Stage, marker: &Marker| stage.ask("curl", &format!("on {kind} send {marker}"));
        met.push(stage.stopped_to(to.ip(), send).context(kind)?);
    }
    let at = |met: &[Denial], technique| row(technique, met, "interface", "not_registered", "before");
    table::publish(
        "82 kept",
        &[
            at(&met[..2], "TCP, established before the change"),
            at(&met[2..], "UDP, connected before the change"),
        ],
    )
}

/// A connection that came in has ended; its addresses and ports open nothing.
#[test]
fn the_ports_of_an_inbound_connection_are_used_again() -> Result<()> {
    let mut stage = Stage::new()?;
    let mut met = Vec::new();
    stage.said("curl", "keep server listen 7000")?;
    let pod = stage.node.world().pod("curl")?;
    let addresses = [("tcp4", format!("{}:7000", pod.ipv4())), ("tcp6", format!("[{}]:7000", pod.ipv6()))];
    for (kind, to) in addresses {
        for name in ["forged-data", "forged-syn-ack", "syn-data", "forged-rst"] {
            stage.said(OUTSIDE, &format!("keep client {kind}"))?;
            assert_eq!(stage.said(OUTSIDE, &format!("on client connect {to}"))?, "connected");
            let tuple = stage.said(OUTSIDE, "on client tuple")?;
            let (from, _) = tuple.split_once(' ').context("no tuple")?;
            let from = from.to_owned();
            assert_eq!(stage.said("curl", "on server accept one")?, format!("accepted {from}"));
            let marker = Marker::fresh();
            // While it lasts, what is sent arrives: the positive control.
            assert_eq!(stage.ask("curl", &format!("on one send {marker}"))?["sent"], 16);
            assert!(!stage.outside.saw(&marker)?.is_empty(), "{kind}: the answer does not arrive");
            assert_eq!(stage.said(OUTSIDE, "on client close")?, "closed");
            assert_eq!(stage.said("curl", "on one close")?, "closed");
            let client: SocketAddr = from.parse().context("no address")?;
            let denial = stage.stopped_to(client.ip(), |stage, marker| {
                stage.ask("curl", &format!("try {name} {marker} {from} source={to}"))
            });
            let denial = denial.with_context(|| format!("{name} {kind}"))?;
            println!("{name} {kind}: {denial:?}");
            met.push(denial);
        }
    }
    for denial in &met {
        assert_eq!(denial.hook, "interface");
        assert!(["no_flow", "not_registered"].contains(&&*denial.reason), "{denial:?}");
    }
    table::publish("83 reused", &[Row::of("Ports of ended inbound flows", &met, "before")])
}

/// No hook of a cgroup meets it; the interface does.
#[test]
fn a_process_is_in_the_network_of_a_workload_only() -> Result<()> {
    let mut stage = Stage::new()?;
    let mut probe = elsewhere(&stage)?;
    let mut met = Vec::new();
    for (name, family) in [
        ("tcp", 4),
        ("tcp", 6),
        ("tfo", 4),
        ("mptcp", 4),
        ("udp", 4),
        ("udp-connected", 6),
        ("uring-send-zc", 4),
        ("unconnected-two", 4),
        ("tun-inside", 4),
        ("tun-inside", 6),
        ("new-netns", 4),
        ("new-netns", 6),
    ] {
        let line = |marker: &Marker, (v4, v6): (SocketAddr, SocketAddr)| {
            let to = if family == 4 { v4 } else { v6 };
            format!("try {name} {marker} {to} allowed=192.0.2.10:9000")
        };
        let denial = stage.stopped_if(|_, marker, to| probe.ask(&line(marker, to)));
        met.push(denial.with_context(|| format!("{name} of IPv{family}"))?);
        let marker = Marker::fresh();
        let answer = probe.ask(&line(&marker, registered()))?;
        ensure!(!stage.outside.saw(&marker)?.is_empty(), "{name}: the control does not arrive: {answer}");
    }
    let row = row("A process in the pod's network only", &met, "interface", "not_registered", "itself");
    table::publish("84 network", &[row])
}
