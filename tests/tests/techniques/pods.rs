//! Pods come and go quickly, and a capture loses nothing.

use std::time::Instant;

use anyhow::Result;
use enforcer_tests::entry::entry;
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Node, OUTSIDE};
use enforcer_tests::probe::Probe;
use enforcer_tests::world::World;

use crate::{Free, PORTS};

#[test]
fn two_hundred_pods_come_and_go() -> Result<()> {
    let world = World::for_pods("enforcer-techniques", &PORTS)?;
    let since = Instant::now();
    for index in 0..200 {
        world.add_pod(&format!("pod{index}"))?;
    }
    println!("adding took {:?} each", since.elapsed() / 200);
    let pod = world.pod("pod199")?;
    let mut probe = Probe::start_in_pod(&world, &pod)?;
    assert_eq!(probe.dial("tcp 203.0.113.7:9000")?.to_string(), "reached 203.0.113.7:9000");
    let since = Instant::now();
    for index in 0..200 {
        world.remove_pod(&format!("pod{index}"))?;
        assert!(world.pod(&format!("pod{index}")).is_err());
    }
    println!("removing took {:?} each", since.elapsed() / 200);
    assert!(!pod.cgroup().exists());
    // The address is used again.
    assert_eq!(world.add_pod("again")?.interface(), "pod-1");
    Ok(())
}

/// The agent runs on the node; its pods are workloads as any other.
#[test]
fn a_node_may_have_pods() -> Result<()> {
    let node =
        Node::new().pods().registry(&entry("payments", "192.0.2.10")).workload("web", "curl").start()?;
    let rows = [("tcp 192.0.2.10:443", "reached 192.0.2.10:443"), ("tcp 192.0.2.11:443", "EPERM")];
    node.expect("curl", &rows);
    node.expect(OUTSIDE, &[("udp 127.0.0.1:53", "reached 127.0.0.1:53")]);
    let (capture, marker) = (node.world().capture_outside()?, Marker::fresh());
    let answer = node.probe("curl")?.ask(&format!("try tcp {marker} 192.0.2.10:443"))?;
    assert_eq!(answer["at"], "192.0.2.10:443");
    assert_eq!(capture.saw(&marker)?.len(), 1);
    Ok(())
}

#[test]
fn a_capture_counts_what_came_and_sees_no_marker_that_did_not() -> Result<()> {
    let mut free = Free::new()?;
    free.outside.clear()?;
    let (one, other) = (Marker::fresh(), Marker::fresh());
    for _ in 0..50 {
        free.probe.ask(&format!("try packet-raw {one} 203.0.113.7:9001"))?;
    }
    assert_eq!(free.outside.saw(&one)?.len(), 50);
    assert_eq!(free.outside.saw_to("203.0.113.7".parse()?)?.len(), 50);
    assert!(free.outside.saw(&other)?.is_empty());
    assert!(free.pod.network().exists());
    Ok(())
}
