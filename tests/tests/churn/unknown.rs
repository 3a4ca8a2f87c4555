//! Interfaces that nobody said anything of, or somebody did: `--interface PATTERN`, `--unknown-workload`, and the fields `interface`
//! and `address` of `--workload`.

use anyhow::{Context as _, Result};
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Builder, Node, OUTSIDE, decisions};

use crate::{FORBIDDEN, REGISTRY, field};

fn start(builder: Builder, fields: &str) -> Result<Node> {
    let fields = format!("namespace=web,name=curl{fields}");
    builder.pods().registry(REGISTRY).workload_with("curl", &fields).start()
}

/// How many frames of a try of `who` got out.
fn got_out(node: &Node, who: &str, attempt: &str) -> Result<usize> {
    let (capture, marker) = (node.world().capture_outside()?, Marker::fresh());
    let (name, rest) = attempt.split_once(' ').context("no target")?;
    node.probe(who)?.ask(&format!("try {name} {marker} {rest}"))?;
    Ok(capture.saw(&marker)?.len())
}

/// The pod of nobody, once the agent has seen it.
fn stranger(node: &Node) -> Result<()> {
    let interface = node.world().add_pod("stranger")?.interface();
    node.status_soon(|_| {
        let pins = node.world().pins();
        let count = pins.iter().filter(|pin| pin.contains("interfaces/")).count();
        (count == 4).then_some(())
    })
    .with_context(|| format!("programs on {interface}: {:?}", node.world().pins()))
}

#[test]
fn what_comes_from_the_interface_of_nobody_is_denied_and_told() -> Result<()> {
    let node = start(Node::new().flag("--interface", "pod-*"), "")?;
    stranger(&node)?;
    node.expect(
        "stranger",
        &[
            ("tcp 203.0.113.7:9000", "ECONNREFUSED"),
            ("udp 203.0.113.7:9000", "EHOSTUNREACH"),
            ("tcp 192.0.2.10:443", "ECONNREFUSED"),
            ("tcp [2001:db8:7::7]:9000", "ECONNREFUSED"),
            ("tcp 127.0.0.1:9000", "ECONNREFUSED"),
        ],
    );
    for attempt in ["packet-raw", "raw4", "raw4-other", "syn-data"] {
        assert_eq!(got_out(&node, "stranger", &format!("{attempt} {FORBIDDEN}"))?, 0, "{attempt}");
    }
    let told = node.status_soon(|status| {
        let found = status["denials"].as_array()?.iter().find(|it| it["reason"] == "unknown_workload");
        found.filter(|_| decisions(status, "unknown_workload").0 > 4).cloned()
    })?;
    assert_eq!((&told["blocked"], &told["hook"]), (&true.into(), &"interface".into()), "{told:#}");
    node.expect(
        "curl",
        &[("tcp 192.0.2.10:443", "reached 192.0.2.10:443"), ("tcp 203.0.113.7:9000", "EPERM")],
    );
    Ok(())
}

#[test]
fn nobody_may_answer_who_asks() -> Result<()> {
    let node = start(Node::new().flag("--interface", "pod-*"), "")?;
    stranger(&node)?;
    node.probe("stranger")?.ask("keep server listen 7000")?;
    let to = format!("{}:7000", node.world().pod("stranger")?.ipv4());
    node.probe(OUTSIDE)?.ask("keep one tcp4")?;
    assert_eq!(node.probe(OUTSIDE)?.ask(&format!("on one connect {to}"))?["said"], "connected");
    node.probe("stranger")?.ask("on server accept one")?;
    let marker = Marker::fresh();
    node.probe("stranger")?.ask(&format!("on one send {marker}"))?;
    assert_eq!(node.probe(OUTSIDE)?.ask("on one receive")?["said"], marker.to_string());
    Ok(())
}

#[test]
fn nobody_may_do_what_the_operator_allows() -> Result<()> {
    let builder = Node::new().flag("--interface", "pod-*").flag("--unknown-workload", "allow");
    let node = start(builder, "")?;
    stranger(&node)?;
    node.expect(
        "stranger",
        &[
            ("tcp 203.0.113.7:9000", "reached 203.0.113.7:9000"),
            ("udp 203.0.113.7:9000", "reached 203.0.113.7:9000"),
        ],
    );
    assert_eq!(got_out(&node, "stranger", &format!("packet-raw {FORBIDDEN}"))?, 1);
    assert!(decisions(&node.status()?, "unknown_workload_allowed").0 > 0);
    // What is known is not allowed more for that.
    node.expect("curl", &[("tcp 203.0.113.7:9000", "EPERM")]);
    assert_eq!(got_out(&node, "curl", &format!("packet-raw {FORBIDDEN}"))?, 0);
    Ok(())
}

/// Without a pattern a stranger is none of the agent's business.
#[test]
fn an_interface_that_no_pattern_names_is_untouched() -> Result<()> {
    let node = start(Node::new(), "")?;
    node.world().add_pod("stranger")?;
    node.expect("stranger", &[("tcp 203.0.113.7:9000", "reached 203.0.113.7:9000")]);
    Ok(())
}

#[test]
fn the_interface_of_a_workload_can_be_named() -> Result<()> {
    let attempt = format!("packet-raw {FORBIDDEN}");
    for (flag, fields, expected) in [
        ("auto", ",interface=pod-1", 0),
        ("pod-*", ",interface=pod-1", 0),
        // The programs are elsewhere: nothing meets a frame, and sockets are judged by their cgroup.
        ("none", "", 1),
    ] {
        let node = start(Node::new().flag("--interface", flag), fields)?;
        assert_eq!(got_out(&node, "curl", &attempt)?, expected, "{flag} {fields}:\n{}", node.log());
        assert_eq!(got_out(&node, "curl", "packet-raw 192.0.2.10:53")?, 1, "{flag} {fields}");
        assert_eq!(got_out(&node, "curl", &format!("raw4 {FORBIDDEN}"))?, 0, "{flag} {fields}");
        let own = node.world().pins().iter().filter(|pin| pin.contains("interfaces/")).count();
        assert_eq!(own, if expected == 0 { 2 } else { 0 }, "{:?}", node.world().pins());
        assert!(field(&node.status()?, "workloads", "name", "curl").is_some());
    }
    Ok(())
}

#[test]
fn only_addresses_that_are_named_are_own() -> Result<()> {
    let from = |source: &str| format!("packet-raw 192.0.2.10:53 source={source}:4000");
    for (fields, expected) in [
        ("", [1, 0]),
        (",address=10.244.0.1", [1, 0]),
        (",address=10.244.0.1;198.51.100.77", [1, 1]),
        (",address=198.51.100.77", [0, 1]),
    ] {
        let node = start(Node::new(), fields)?;
        let met =
            [got_out(&node, "curl", &from("10.244.0.1"))?, got_out(&node, "curl", &from("198.51.100.77"))?];
        assert_eq!(met, expected, "{fields}:\n{}", node.log());
        let is_spoofed = decisions(&node.status()?, "spoofed_source").0 > 0;
        assert_eq!(is_spoofed, expected.contains(&0), "{fields}");
    }
    Ok(())
}
